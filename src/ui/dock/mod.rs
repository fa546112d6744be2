//! The dock: terminals on the left, manifests or events on the right; one of them at a time where there is no room for two.

mod addons;
mod events;
mod manifests;
pub mod objects;
mod tabs;
pub mod terminal;

use protocol::{Applied, ClusterInfo, EventRow, Table, TableQuery};
use yew::prelude::*;

use crate::app::{Answers, Do, Pane};
use crate::inspector::emit;
use crate::shared::Shared;
use manifests::Manifests;
use tabs::TerminalTabs;
use terminal::{TermTab, Terminals};

/// A manifest to begin with.
pub struct Example {
    pub name: &'static str,
    pub title: &'static str,
    pub hint: &'static str,
    pub text: &'static str,
}

/// The example manifests, in the order in which they are offered.
pub const EXAMPLES: [Example; 4] = [
    Example {
        name: "web.yaml",
        title: "A Service and its three pods",
        hint: "my-service, port 80 → 9376, with a Deployment of nginx that it selects",
        text: include_str!("../examples/web.yaml"),
    },
    Example {
        name: "init.yaml",
        title: "A pod that waits",
        hint: "its init container loops until /db/dir exists",
        text: include_str!("../examples/init.yaml"),
    },
    Example {
        name: "guestbook.yaml",
        title: "The guestbook",
        hint: "a front end, a Redis leader and its followers",
        text: include_str!("../examples/guestbook.yaml"),
    },
    Example {
        name: "crash.yaml",
        title: "A pod that crashes",
        hint: "then ask why, and watch the back-off grow",
        text: include_str!("../examples/crash.yaml"),
    },
];

/// `kubectl edit` wants this buffer edited.
pub struct EditRequest {
    pub buffer: u32,
    pub name: String,
    pub text: String,
}

#[derive(Properties, PartialEq)]
pub struct DockProps {
    pub ready: bool,
    pub pane: Pane,
    /// On a small screen: the dock is up.
    pub shown: bool,
    pub hub: Terminals,
    pub tabs: Vec<TermTab>,
    pub active: u32,
    pub applied: Option<Shared<Applied>>,
    pub edit: Option<Shared<EditRequest>>,
    pub insert: Option<Shared<&'static str>>,
    pub events: Shared<(Vec<EventRow>, u32)>,
    pub addons: Shared<Answers>,
    pub cluster: Shared<ClusterInfo>,
    pub query: TableQuery,
    pub table: Option<Shared<Table>>,
    pub run: Callback<Do>,
}

/// The dock.
#[function_component]
pub fn Dock(props: &DockProps) -> Html {
    let pane = props.pane;
    let right = if pane == Pane::Terminal { Pane::Manifests } else { pane };
    html! {
        <section class={classes!("dock", (pane == Pane::Terminal).then_some("show-terminal"))} aria-label="Dock">
            <Grip run={props.run.clone()} />
            <div class="bar left">
                <div class="tabs panes only-narrow" role="tablist">{ for [Pane::Terminal, Pane::Manifests, Pane::Objects, Pane::Events, Pane::Addons].map(|p| pane_tab(props, p, p == pane)) }</div>
                <TerminalTabs tabs={props.tabs.clone()} active={props.active} run={props.run.clone()} />
            </div>
            <div class="bar right">
                <div class="tabs panes" role="tablist">
                    <span class="only-narrow">{ pane_tab(props, Pane::Terminal, false) }</span>
                    { pane_tab(props, Pane::Manifests, right == Pane::Manifests) }
                    { pane_tab(props, Pane::Objects, right == Pane::Objects) }
                    { pane_tab(props, Pane::Events, right == Pane::Events) }
                    { pane_tab(props, Pane::Addons, right == Pane::Addons) }
                </div>
                if right == Pane::Manifests {
                    <span class="end">{ examples(props) }</span>
                }
            </div>
            <div class="pane left">
                { for props.tabs.iter().map(|tab| html! {
                    <terminal::TerminalView key={tab.id} id={tab.id} active={tab.id == props.active} note={tab.note.clone()}
                        ready={props.ready && props.shown && (pane == Pane::Terminal || wide())} hub={props.hub.clone()} run={props.run.clone()} />
                }) }
            </div>
            <div class="pane right">
                <Manifests hidden={right != Pane::Manifests} ready={props.ready && props.shown && (pane != Pane::Terminal || wide())}
                    applied={props.applied.clone()} edit={props.edit.clone()} insert={props.insert.clone()} run={props.run.clone()} />
                if right == Pane::Objects {
                    <objects::Objects asked={props.query.clone()} table={props.table.clone()} run={props.run.clone()} />
                }
                if right == Pane::Addons {
                    <addons::Addons answers={props.addons.clone()} cluster={props.cluster.clone()} run={props.run.clone()} />
                }
                if right == Pane::Events {
                    <events::Events events={props.events.clone()} run={props.run.clone()} />
                }
            </div>
        </section>
    }
}

/// A list of the examples, each put into a buffer of its own.
fn examples(props: &DockProps) -> Html {
    let run = props.run.clone();
    let onchange = Callback::from(move |event: Event| {
        let select: web_sys::HtmlSelectElement = event.target_unchecked_into();
        let index = select.selected_index();
        select.set_selected_index(0);
        if let Some(example) = usize::try_from(index - 1).ok().and_then(|i| EXAMPLES.get(i)) {
            run.emit(Do::InsertExample(example.name));
        }
    });
    html! {
        <select class="select" aria-label="Insert an example" {onchange}>
            <option selected=true>{ "Examples" }</option>
            { for EXAMPLES.iter().map(|e| html! { <option>{ e.title }</option> }) }
        </select>
    }
}

/// Both panes are on screen (the same width as in the style sheet).
fn wide() -> bool {
    crate::js::media("(min-width: 1181px)")
}

fn pane_tab(props: &DockProps, pane: Pane, selected: bool) -> Html {
    let count = (pane == Pane::Events).then_some(props.events.1).filter(|n| *n > 0);
    html! {
        <button role="tab" aria-selected={selected.to_string()} onclick={emit(&props.run, Do::Pane(pane))}>
            { pane.title() }
            if let Some(count) = count { <span class="count">{ count }</span> }
        </button>
    }
}

#[derive(Properties, PartialEq)]
struct GripProps {
    run: Callback<Do>,
}

/// The dock's upper border: dragged, or moved with the arrow keys, it changes the dock's height.
#[function_component]
fn Grip(props: &GripProps) -> Html {
    let dragging = use_mut_ref(|| false);
    let set = |down: bool| {
        let dragging = dragging.clone();
        Callback::from(move |event: PointerEvent| {
            *dragging.borrow_mut() = down;
            let target: web_sys::Element = event.target_unchecked_into();
            // Without capture the drag ends when the pointer leaves the border: only less comfortable.
            let _ = if down {
                target.set_pointer_capture(event.pointer_id())
            } else {
                target.release_pointer_capture(event.pointer_id())
            };
        })
    };
    let onpointermove = {
        let (dragging, run) = (dragging.clone(), props.run.clone());
        Callback::from(move |event: PointerEvent| {
            if *dragging.borrow() {
                run.emit(Do::DockTop(event.client_y()));
            }
        })
    };
    let onkeydown = {
        let run = props.run.clone();
        Callback::from(move |event: KeyboardEvent| match event.key().as_str() {
            "ArrowUp" => run.emit(Do::DockBy(24)),
            "ArrowDown" => run.emit(Do::DockBy(-24)),
            _ => {}
        })
    };
    html! {
        <div class="grip" role="button" aria-label="Height of the dock: arrow up and down change it" tabindex="0"
            onpointerdown={set(true)} onpointerup={set(false)} {onpointermove} {onkeydown}></div>
    }
}
