//! The list of labs.

use serde::Deserialize;
use web_sys::HtmlInputElement;
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

impl Entry {
    /// Whether every word that is looked for is somewhere in what the list says of it.
    fn has(&self, wanted: &str) -> bool {
        let told = format!("{} {} {} {}", self.title, self.summary, self.row, self.name).to_lowercase();
        wanted.to_lowercase().split_whitespace().all(|word| told.contains(word))
    }
    /// Folders are numbered: from 50 on they tell of failures.
    fn is_failure(&self) -> bool {
        self.folder.split('-').next().and_then(|n| n.parse().ok()).is_some_and(|n: u32| n >= 50)
    }
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
    let wanted = use_state(String::new);
    let oninput = {
        let wanted = wanted.clone();
        Callback::from(move |event: InputEvent| wanted.set(event.target_unchecked_into::<HtmlInputElement>().value()))
    };
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
                    <button class="btn icon small ghost" title="Close (Esc)" aria-label="Close" onclick={close}>{ icons::icon("close") }</button>
                    <input ref={first} type="search" placeholder="Find a lab: a word of its title, or what it is about" aria-label="Find a lab"
                        value={(*wanted).clone()} {oninput} />
                </header>
                if let Some(entries) = &props.entries {
                    { list(&props.run, entries, &wanted) }
                } else {
                    <p class="loading">{ "Fetching the list…" }</p>
                }
            </div>
        </div>
    }
}

/// The labs that are looked for, each with its number in the whole list.
fn list(run: &Callback<Do>, entries: &[Entry], wanted: &str) -> Html {
    let found: Vec<(usize, &Entry)> = entries.iter().enumerate().filter(|(_, e)| e.has(wanted)).collect();
    let (stories, rows): (Vec<_>, Vec<_>) = found.iter().copied().partition(|(_, e)| e.is_failure());
    let group = |title: &str, labs: &[(usize, &Entry)]| {
        let Some((first, _)) = labs.first() else { return Html::default() };
        html! {
            <section key={title.to_owned()} aria-label={title.to_owned()}>
                <h3>{ title }</h3>
                <ol start={(first + 1).to_string()}>{ for labs.iter().map(|(n, e)| entry(run, *n, e)) }</ol>
            </section>
        }
    };
    html! {
        <div class="found">
            { group("Row by row: how a cluster works", &rows) }
            { group("When something goes wrong", &stories) }
            if found.is_empty() {
                <p class="loading" role="status">{ format!("No lab has “{}” in its title or in what it is about.", wanted.trim()) }</p>
            }
        </div>
    }
}

fn entry(run: &Callback<Do>, number: usize, e: &Entry) -> Html {
    let passed: u32 = js::remembered(&super::key(&e.name)).and_then(|n| n.parse().ok()).unwrap_or(0);
    let far = match passed {
        0 => format!("{} min", e.minutes),
        n if n >= e.steps => "done".to_owned(),
        n => format!("{n} of {}", e.steps),
    };
    html! {
        <li key={e.name.clone()}>
            <button onclick={emit(run, Do::Lab(LabDo::Open(e.name.clone())))}>
                <span aria-hidden="true">{ number + 1 }</span><b>{ &e.title }</b><small>{ &e.summary }</small><i class={classes!((passed >= e.steps && e.steps > 0).then_some("t-ok"))}>{ far }</i>
            </button>
        </li>
    }
}
