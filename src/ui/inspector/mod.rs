//! The inspector: one thing from all sides. Its first tab answers *why*, from effect to cause.

mod message;
mod parts;
mod sections;
mod start;
mod yaml;

use protocol::{Clock, ClusterInfo, Inspector as Seen, Stats, Tab, Thing};
use web_sys::HtmlElement;
use yew::prelude::*;

use crate::app::Do;
use crate::header::offer_button;
use crate::icons;
use crate::js;
use crate::shared::Shared;
use crate::stage::dots::Step;

#[derive(Properties, PartialEq)]
pub struct InspectorProps {
    /// What was asked for; the worker's answer may still be under way.
    pub asked: Option<Thing>,
    pub tab: Tab,
    pub seen: Option<Shared<Seen>>,
    pub cluster: Shared<ClusterInfo>,
    pub stats: Shared<Stats>,
    /// Only for the numbers of the empty state; None while a thing is open, so that the clock does not redraw it.
    pub clock: Option<Shared<Clock>>,
    /// The last messages in words, with reduced motion.
    pub steps: Vec<Step>,
    pub run: Callback<Do>,
}

/// A link inside the panel leads to another thing, and is gone with its own: the focus goes to the new heading, so that the next Tab
/// doesn't begin somewhere else on the page.
#[hook]
fn use_kept_focus(heading: &NodeRef, asked: Option<&Thing>) {
    let before = use_mut_ref(|| None::<Thing>);
    let heading = heading.clone();
    use_effect_with(asked.cloned(), move |asked| {
        let before = before.replace(asked.clone());
        let nowhere = js::document().active_element().is_none_or(|e| e.tag_name() == "BODY");
        if let (Some(_), true, Some(heading)) = (before, nowhere, heading.cast::<HtmlElement>()) {
            // A heading that is on the page takes the focus.
            let _ = heading.focus();
        }
    });
}

/// The panel.
#[function_component]
pub fn Inspector(props: &InspectorProps) -> Html {
    let heading = use_node_ref();
    use_kept_focus(&heading, props.asked.as_ref());
    let Some(asked) = &props.asked else {
        return html! { <aside class="inspector" aria-label="Inspector"><div class="body">{ start::start(props) }</div></aside> };
    };
    let seen = props.seen.as_ref().filter(|seen| seen.thing.as_ref() == Some(asked));
    let (title, subtitle) = seen.map_or_else(|| (asked.title(), String::new()), |s| (s.title.clone(), s.subtitle.clone()));
    html! {
        <aside class="inspector" aria-label={format!("Inspector: {title}")}>
            <header>
                <h2 ref={heading} tabindex="-1">
                    { seen.map(|s| icons::glyph(s.glyph)).unwrap_or_default() }
                    <span class="name">{ title }</span>
                    <button class="btn icon small ghost" title="Close (Esc)" aria-label="Close" onclick={emit(&props.run, Do::Inspect(None))}>{ icons::icon("close") }</button>
                </h2>
                <p class="sub">{ subtitle }</p>
                if seen.is_some_and(|s| s.gone) {
                    <p class="gone">{ "It is gone. This is how it last was." }</p>
                }
                <div class="offers">
                    if is_pod(asked) {
                        <button class="btn small" title="Draw how it came to be" onclick={emit(&props.run, Do::ShowFlow(asked.clone()))}>{ "Creation flow" }</button>
                    }
                    { for seen.iter().flat_map(|s| s.offers.iter()).map(|o| offer_button(&props.run, o, "btn small")) }
                </div>
            </header>
            { tabs(props, seen) }
            <div class="body" id="inspector-body" role="tabpanel" tabindex="0" aria-label={props.tab.title()}>{ seen.map(|s| body(props, s)).unwrap_or_else(waiting) }</div>
        </aside>
    }
}

fn is_pod(thing: &Thing) -> bool {
    matches!(thing, Thing::Object { group, resource, .. } if group.is_empty() && resource == "pods")
}

fn waiting() -> Html {
    html! { <p class="note">{ "…" }</p> }
}

fn tabs(props: &InspectorProps, seen: Option<&Shared<Seen>>) -> Html {
    let open = open_tab(props, seen.map(|s| &**s));
    let offered: Vec<(Tab, Option<u32>)> = match seen {
        Some(seen) if !seen.tabs.is_empty() => seen.tabs.clone(),
        _ => Tab::ALL.into_iter().map(|t| (t, None)).collect(),
    };
    html! {
        <div class="tabs" role="tablist">
            { for offered.into_iter().map(|(tab, count)| html! {
                <button role="tab" aria-selected={(tab == open).to_string()} aria-controls="inspector-body" onclick={emit(&props.run, Do::InspectTab(tab))}>
                    { tab.title() }
                    if let Some(count) = count { <span class="count">{ count }</span> }
                </button>
            }) }
        </div>
    }
}

/// The tab that was asked for, or the first one if this thing doesn't have it.
fn open_tab(props: &InspectorProps, seen: Option<&Seen>) -> Tab {
    let offered = seen.map(|s| s.tabs.as_slice()).unwrap_or_default();
    let has = offered.is_empty() || offered.iter().any(|(tab, _)| *tab == props.tab);
    if has { props.tab } else { offered[0].0 }
}

fn body(props: &InspectorProps, seen: &Seen) -> Html {
    match open_tab(props, Some(seen)) {
        Tab::Why => seen.why.as_ref().map(|steps| parts::why(steps, &props.run)),
        Tab::Overview => match (&seen.message, &seen.overview) {
            (None, None) => None,
            (message, rows) => Some(html! {
                <div class="blocks">
                    { message.as_ref().map(|m| message::message(m, &props.run)).unwrap_or_default() }
                    { sections::sections(&seen.sections, &props.run) }
                    { rows.as_ref().map(|rows| parts::facts(rows, &props.run)).unwrap_or_default() }
                </div>
            }),
        },
        Tab::Yaml => seen.yaml.as_ref().map(|text| yaml::yaml(text)),
        Tab::Events => seen.events.as_ref().map(|rows| parts::events(rows)),
        Tab::Logs => seen.logs.as_ref().map(|logs| parts::logs(logs)),
    }
    .unwrap_or_else(waiting)
}

/// A click handler that asks for one thing.
pub fn emit(run: &Callback<Do>, what: Do) -> Callback<MouseEvent> {
    let run = run.clone();
    Callback::from(move |_| run.emit(what.clone()))
}
