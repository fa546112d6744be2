//! The terminals' tabs.

use yew::prelude::*;

use super::terminal::TermTab;
use crate::app::Do;
use crate::icons;
use crate::inspector::emit;

#[derive(Properties, PartialEq)]
pub struct TabsProps {
    pub tabs: Vec<TermTab>,
    pub active: u32,
    pub run: Callback<Do>,
}

/// One tab a terminal, and a button for another one.
#[function_component]
pub fn TerminalTabs(props: &TabsProps) -> Html {
    let several = props.tabs.len() > 1;
    html! {
        <>
            <div class="tabs" role="tablist" aria-label="Terminals">
                { for props.tabs.iter().enumerate().map(|(i, tab)| html! {
                    <span class="term-tab" key={tab.id}>
                        <button role="tab" aria-selected={(tab.id == props.active).to_string()} onclick={emit(&props.run, Do::SelectTerminal(tab.id))}>
                            { title(tab, i, several) }
                        </button>
                        if several {
                            <button class="x" aria-label="Close this terminal" onclick={emit(&props.run, Do::CloseTerminal(tab.id))}>{ "×" }</button>
                        }
                    </span>
                }) }
            </div>
            <button class="btn icon small ghost" style="align-self: center" title="Another terminal" aria-label="Another terminal" onclick={emit(&props.run, Do::NewTerminal)}>{ icons::icon("plus") }</button>
        </>
    }
}

fn title(tab: &TermTab, index: usize, several: bool) -> String {
    let place = if tab.place.is_empty() { "Terminal" } else { tab.place.as_str() };
    let end = if tab.closed { " (ended)" } else { "" };
    if several { format!("{} {}{end}", place, index + 1) } else { format!("{place}{end}") }
}
