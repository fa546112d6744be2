//! The two questions that stop the page: the worker has died; a command would write into the past.

use protocol::Us;
use web_sys::HtmlElement;
use yew::prelude::*;

use crate::app::Do;
use crate::format;
use crate::inspector::emit;

#[derive(Properties, PartialEq)]
pub struct DiedProps {
    pub reason: String,
    /// The moment of the newest saved log.
    pub saved_us: Option<Us>,
    /// What the worker had used when it last said.
    pub memory_bytes: u64,
    pub run: Callback<Do>,
}

/// The worker is gone: go on from the last snapshot, or begin again. One whose memory was used up would come to that again: there a
/// smaller cluster is what is offered first.
#[function_component]
pub fn Died(props: &DiedProps) -> Html {
    let first = use_focus();
    let full = props.reason.contains(protocol::OUT_OF_MEMORY);
    let (title, reason) = match full {
        true => (
            "The cluster has become too large for this tab",
            format!(
                "It has used all the memory that the browser gives a page ({} MB). A smaller cluster fits; this one, with fewer objects, may too.",
                props.memory_bytes >> 20
            ),
        ),
        false => ("The cluster's worker has stopped", props.reason.clone()),
    };
    let snapshot = match props.saved_us {
        Some(at) => format!(
            "Its last snapshot is of {}. What came after it is lost; your manifests in the editor are kept.",
            format::clock(at)
        ),
        None => "There is no snapshot yet; your manifests in the editor are kept.".to_owned(),
    };
    let button = |label: &'static str, what: Do, is_first: bool| {
        let class = classes!("btn", is_first.then_some("primary"));
        let node = if is_first { first.clone() } else { NodeRef::default() };
        html! { <button {class} ref={node} onclick={emit(&props.run, what)}>{ label }</button> }
    };
    let saved = props.saved_us.is_some();
    html! {
        <div class="veil">
            <div class="dialog ask" role="alertdialog" aria-modal="true" aria-labelledby="died-title">
                <h2 id="died-title">{ title }</h2>
                <p>{ reason }</p>
                <p>{ snapshot }</p>
                <div class="row">
                    if full && saved {
                        { button("Keep the last snapshot as a file", Do::KeepLast, false) }
                    }
                    if saved {
                        { button("Restart from the last snapshot", Do::Restart { resume: true }, !full) }
                    }
                    if full {
                        { button("Start a smaller cluster", Do::Smaller, true) }
                    } else {
                        { button("Start a new cluster", Do::Restart { resume: false }, !saved) }
                    }
                </div>
            </div>
        </div>
    }
}

#[derive(Properties, PartialEq)]
pub struct AskForkProps {
    pub tab: u32,
    pub command: String,
    pub run: Callback<Do>,
}

/// A command that writes was given while the past is shown.
#[function_component]
pub fn AskFork(props: &AskForkProps) -> Html {
    let first = use_focus();
    let answer = |yes: bool| emit(&props.run, Do::ForkAnswer { tab: props.tab, yes });
    let onkeydown = {
        let (run, tab) = (props.run.clone(), props.tab);
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Escape" {
                event.stop_propagation();
                run.emit(Do::ForkAnswer { tab, yes: false });
            }
        })
    };
    html! {
        <div class="veil" {onkeydown}>
            <div class="dialog ask" role="alertdialog" aria-modal="true" aria-labelledby="fork-title">
                <h2 id="fork-title">{ "Change the past?" }</h2>
                <p><code>{ &props.command }</code></p>
                <p>{ "You are looking at an earlier moment. Writing here starts a new branch from it; what happened since stays on its own branch." }</p>
                <div class="row">
                    <button class="btn" onclick={answer(false)}>{ "Cancel" }</button>
                    <button class="btn primary" ref={first} onclick={answer(true)}>{ "Fork here and run" }</button>
                </div>
            </div>
        </div>
    }
}

/// Puts the focus on an element when it appears.
#[hook]
pub fn use_focus() -> NodeRef {
    let node = use_node_ref();
    let at = node.clone();
    use_effect_with((), move |()| {
        if let Some(element) = at.cast::<HtmlElement>() {
            // Focusing can fail only if the element is already gone again.
            let _ = element.focus();
        }
    });
    node
}
