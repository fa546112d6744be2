//! Short messages in the corner, read out by screen readers.

use protocol::{Level, Thing};
use yew::prelude::*;

use crate::app::Do;
use crate::inspector::emit;

/// One message.
#[derive(Clone, PartialEq)]
pub struct Toast {
    pub id: u32,
    pub level: Level,
    pub text: String,
    pub thing: Option<Thing>,
    /// What can be done about it.
    pub button: Option<(&'static str, Do)>,
}

#[derive(Properties, PartialEq)]
pub struct ToastsProps {
    pub toasts: Vec<Toast>,
    pub run: Callback<Do>,
}

/// The corner.
#[function_component]
pub fn Toasts(props: &ToastsProps) -> Html {
    html! {
        <div class="toasts" role="status" aria-live="polite">
            { for props.toasts.iter().map(|toast| html! {
                <div key={toast.id} class={classes!("toast", level(toast.level))}>
                    <p>{ &toast.text }
                        if let Some(thing) = &toast.thing { { " " }<button class="link" onclick={emit(&props.run, Do::Inspect(Some(thing.clone())))}>{ thing.title() }</button> }
                        if let Some((label, what)) = &toast.button { { " " }<button class="link" onclick={emit(&props.run, what.clone())}>{ *label }</button> }
                    </p>
                    <button class="x" aria-label="Dismiss" onclick={emit(&props.run, Do::DropToast(toast.id))}>{ "×" }</button>
                </div>
            }) }
        </div>
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}
