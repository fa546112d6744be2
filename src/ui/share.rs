//! The share dialog: the moment shown as a link, as a file, as YAML, as a picture; and the way back from a file.

use protocol::Keep;
use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::app::Do;
use crate::dialogs::use_focus;
use crate::inspector::emit;

/// What is known of the link.
#[derive(Clone, PartialEq, Default)]
pub enum ShareLink {
    #[default]
    Making,
    Ready(String),
    /// So many bytes: only a file is large enough.
    TooLong(usize),
    Failed(String),
}

#[derive(Properties, PartialEq)]
pub struct ShareProps {
    pub link: ShareLink,
    /// `12:04:33`
    pub at: String,
    pub copied: bool,
    pub run: Callback<Do>,
}

/// The dialog over the page.
#[function_component]
pub fn Share(props: &ShareProps) -> Html {
    let first = use_focus();
    let run = &props.run;
    let onkeydown = {
        let run = run.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Escape" {
                event.stop_propagation();
                run.emit(Do::Share(false));
            }
        })
    };
    let button = |label: &'static str, what: Do| html! { <button class="btn" onclick={emit(run, what)}>{ label }</button> };
    let select = |event: FocusEvent| event.target_unchecked_into::<HtmlInputElement>().select();
    let link = match &props.link {
        ShareLink::Making => html! { <p class="t-dim">{ "Making the link…" }</p> },
        ShareLink::Ready(link) => html! {
            <>
                <p>{ "Whoever opens it sees this moment, replayed message by message in their own browser. Nothing is uploaded." }</p>
                <div class="row share-link">
                    <input class="input" type="text" readonly=true aria-label="Link to this moment" value={link.clone()} onfocus={select} />
                    <button class="btn primary" ref={first.clone()} onclick={emit(run, Do::CopyLink)}>{ if props.copied { "Copied" } else { "Copy" } }</button>
                </div>
            </>
        },
        ShareLink::TooLong(bytes) => html! {
            <p>{ format!("So much has been done here that it doesn't fit into a link ({bytes} bytes). A file has room for it.") }</p>
        },
        ShareLink::Failed(why) => html! { <p class="t-bad">{ why }</p> },
    };
    html! {
        <div class="veil" onclick={emit(run, Do::Share(false))} {onkeydown}>
            <div class="dialog ask share" role="dialog" aria-modal="true" aria-labelledby="share-title" onclick={|e: MouseEvent| e.stop_propagation()}>
                <h2 id="share-title">{ format!("Share the cluster as it was at {}", props.at) }</h2>
                { link }
                <h3>{ "As a file" }</h3>
                <div class="row">
                    { button("Cluster", Do::Keep(Keep::File)) }
                    { button("Your objects (YAML)", Do::Keep(Keep::Yaml { all: false })) }
                    { button("All objects (YAML)", Do::Keep(Keep::Yaml { all: true })) }
                </div>
                <h3>{ "The picture" }</h3>
                <div class="row">
                    { button("SVG", Do::Picture { png: false }) }
                    { button("PNG", Do::Picture { png: true }) }
                </div>
                <h3>{ "Another cluster" }</h3>
                <div class="row">
                    { button("Open a file…", Do::OpenFile) }
                    { button("Start a new cluster", Do::Fresh) }
                    <span class="grow"></span>
                    { button("Close", Do::Share(false)) }
                </div>
            </div>
        </div>
    }
}
