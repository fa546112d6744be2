//! The list of labs.

use serde::Deserialize;
use yew::prelude::*;

use super::LabDo;
use crate::app::Do;
use crate::dialogs::use_focus;
use crate::icons;
use crate::inspector::emit;
use crate::js;

/// A lab that comes with the page.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Entry {
    pub folder: String,
    pub name: String,
    pub title: String,
    pub summary: String,
    pub row: String,
    pub minutes: u32,
    pub steps: u32,
    pub languages: Vec<String>,
}

/// Reads `index.json`.
///
/// # Errors
/// A sentence.
pub fn read(text: &str) -> Result<Vec<Entry>, String> {
    let value = js_sys::JSON::parse(text).map_err(|e| js::text_of(&e))?;
    serde_wasm_bindgen::from_value(value).map_err(|e| format!("the list of labs can't be read: {e}"))
}

#[derive(Properties, PartialEq)]
pub struct CatalogueProps {
    /// None while it is fetched.
    pub entries: Option<Vec<Entry>>,
    pub run: Callback<Do>,
}

/// All labs, over the page.
#[function_component]
pub fn Catalogue(props: &CatalogueProps) -> Html {
    let first = use_focus();
    let close = emit(&props.run, Do::Lab(LabDo::Catalogue(false)));
    let onkeydown = {
        let run = props.run.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Escape" {
                event.stop_propagation();
                run.emit(Do::Lab(LabDo::Catalogue(false)));
            }
        })
    };
    html! {
        <div class="veil" onclick={close.clone()} {onkeydown}>
            <div class="dialog labs" role="dialog" aria-modal="true" aria-labelledby="labs-title" onclick={|e: MouseEvent| e.stop_propagation()}>
                <header>
                    <h2 id="labs-title">{ "Labs" }</h2>
                    <p>{ "Each boots a cluster of its own and checks itself. Any way to the goal is a right one." }</p>
                    <button class="btn icon small ghost" ref={first} title="Close (Esc)" aria-label="Close" onclick={close}>{ icons::icon("close") }</button>
                </header>
                if let Some(entries) = &props.entries {
                    <ol>{ for entries.iter().map(|e| entry(&props.run, e)) }</ol>
                } else {
                    <p class="loading">{ "Fetching the list…" }</p>
                }
            </div>
        </div>
    }
}

fn entry(run: &Callback<Do>, e: &Entry) -> Html {
    let passed: u32 = js::remembered(&super::key(&e.name)).and_then(|n| n.parse().ok()).unwrap_or(0);
    let far = match passed {
        0 => format!("{} min", e.minutes),
        n if n >= e.steps => "done".to_owned(),
        n => format!("{n} of {}", e.steps),
    };
    html! {
        <li key={e.name.clone()}>
            <button onclick={emit(run, Do::Lab(LabDo::Open(e.name.clone())))}>
                <b>{ &e.title }</b><small>{ &e.summary }</small><i class={classes!((passed >= e.steps && e.steps > 0).then_some("t-ok"))}>{ far }</i>
            </button>
        </li>
    }
}
