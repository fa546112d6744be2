//! The header: what cluster this is, which lens is on, what can be done to the whole; and, on small screens, the navigation.

use protocol::{ClusterInfo, Lens};
use yew::prelude::*;

use crate::app::{Do, Pane, Sheet, Theme};
use crate::icons;
use crate::shared::Shared;

#[derive(Properties, PartialEq)]
pub struct HeaderProps {
    pub cluster: Shared<ClusterInfo>,
    pub lens: Lens,
    pub theme: Theme,
    pub aside: bool,
    pub run: Callback<Do>,
}

/// The header's row.
#[function_component]
pub fn Header(props: &HeaderProps) -> Html {
    let run = |what: fn() -> Do| {
        let run = props.run.clone();
        Callback::from(move |_: MouseEvent| run.emit(what()))
    };
    let cluster = &props.cluster;
    let crumb =
        [cluster.name.as_str(), cluster.version.as_str()].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" · ");
    html! {
        <header class="header">
            <div class="header-side left">
                <div class="logo">{ icons::logo() }<span>{ "Kubottle" }</span></div>
                <span class="crumb">{ crumb }</span>
            </div>
            <div class="lenses" role="tablist" aria-label="Lens">
                { for Lens::ALL.into_iter().map(|lens| lens_tab(props, lens)) }
            </div>
            { lens_pick(props) }
            <div class="header-side">
                { for cluster.offers.iter().map(|offer| offer_button(&props.run, offer, "btn wide")) }
                <button class="btn" title="Share this moment" aria-label="Share this moment" onclick={run(|| Do::Share(true))}>{ icons::icon("share") }<span class="wide">{ "Share" }</span></button>
                <button class="btn commands" title="Commands" aria-label={format!("Commands {}", crate::js::shortcut("K"))} onclick={run(|| Do::Palette(true))}>{ icons::icon("more") }<span class="wide t-dim">{ crate::js::shortcut("K") }</span></button>
                <button class="btn icon" title={format!("Theme: {}", props.theme.word())} aria-label={format!("Theme: {}. Change it", props.theme.word())} onclick={run(|| Do::NextTheme)}>
                    { icons::icon(props.theme.icon()) }
                </button>
                <button class="btn icon wide" title="Inspector" aria-label="Show or hide the inspector" aria-pressed={props.aside.to_string()} onclick={run(|| Do::ToggleAside)}>{ icons::icon("panel") }</button>
            </div>
        </header>
    }
}

fn lens_tab(props: &HeaderProps, lens: Lens) -> Html {
    let run = props.run.clone();
    let onclick = Callback::from(move |_: MouseEvent| run.emit(Do::Lens(lens)));
    html! {
        <button role="tab" aria-selected={(lens == props.lens).to_string()} {onclick}>{ lens.title() }</button>
    }
}

/// The same where there is no room for tabs.
fn lens_pick(props: &HeaderProps) -> Html {
    let run = props.run.clone();
    let onchange = Callback::from(move |event: Event| {
        let select: web_sys::HtmlSelectElement = event.target_unchecked_into();
        if let Some(lens) = Lens::ALL.get(select.selected_index().max(0) as usize) {
            run.emit(Do::Lens(*lens));
        }
    });
    html! {
        <select class="select lens-pick" aria-label="Lens" {onchange}>
            { for Lens::ALL.into_iter().map(|lens| html! { <option selected={lens == props.lens}>{ lens.title() }</option> }) }
        </select>
    }
}

/// A button for something that the worker offers.
pub fn offer_button(run: &Callback<Do>, offer: &protocol::Offer, class: &'static str) -> Html {
    let (run, action) = (run.clone(), offer.action.clone());
    let onclick = Callback::from(move |_: MouseEvent| run.emit(Do::Act(action.clone())));
    let title = offer.disabled.clone().unwrap_or_else(|| offer.hint.clone());
    html! {
        <button class={classes!(class, offer.danger.then_some("danger"))} disabled={offer.disabled.is_some()} {title} {onclick}>{ &offer.label }</button>
    }
}

#[derive(Properties, PartialEq)]
pub struct NavProps {
    pub sheet: Sheet,
    pub pane: Pane,
    pub list: bool,
    /// A lab is open.
    pub lab: bool,
    pub run: Callback<Do>,
}

/// The navigation of small screens: what is on the one surface there is.
#[function_component]
pub fn Nav(props: &NavProps) -> Html {
    let entry = |class: &'static str, name: &'static str, pressed: bool, what: Do| {
        let run = props.run.clone();
        let onclick = Callback::from(move |_: MouseEvent| run.emit(what.clone()));
        html! { <button class={class} title={name} aria-pressed={pressed.to_string()} {onclick}>{ icons::icon(class) }<span>{ name }</span></button> }
    };
    let dock = |pane: Pane| props.sheet == Sheet::Dock && props.pane == pane;
    let bare = props.sheet == Sheet::None;
    html! {
        <nav class="nav" aria-label="Views">
            if props.lab {
                { entry("lab", "Lab", props.sheet == Sheet::Lab, Do::Lab(crate::labs::LabDo::Sheet)) }
            }
            { entry("things", "List", bare && props.list, Do::ShowList(true)) }
            { entry("picture", "Picture", bare && !props.list, Do::ShowList(false)) }
            { entry("terminal", "Terminal", dock(Pane::Terminal), Do::Pane(Pane::Terminal)) }
            { entry("edit", "Manifests", dock(Pane::Manifests), Do::Pane(Pane::Manifests)) }
            { entry("objects", "Objects", dock(Pane::Objects), Do::Pane(Pane::Objects)) }
            { entry("events", "Events", dock(Pane::Events), Do::Pane(Pane::Events)) }
        </nav>
    }
}
