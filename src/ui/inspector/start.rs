//! What the inspector shows before anything is chosen: how the cluster is, and what to try.

use protocol::{Stats, Thing};
use yew::prelude::*;

use super::{InspectorProps, emit};
use crate::app::Do;
use crate::dock::EXAMPLES;
use crate::format;

/// Numbers of the whole, and the examples.
pub fn start(props: &InspectorProps) -> Html {
    let (cluster, stats) = (&props.cluster, &props.stats);
    let revision = props.clock.as_ref().map_or(0, |c| c.revision);
    html! {
        <div class="start">
            <div class="numbers">
                { number(cluster.nodes.into(), "nodes") }
                { number(cluster.pods.into(), "pods") }
                { number(revision, "revision") }
                { number(stats.watches.into(), "open watches") }
                { number(props.clock.as_ref().map_or(0, |c| c.events), "events so far") }
                { busy(stats) }
            </div>
            <p class="note">{ "This is a Kubernetes control plane with its nodes, running in this tab. Click anything in the picture, also a moving dot, to see what it is and why." }</p>
            { steps(props) }
            <h3>{ "Try" }</h3>
            <div class="try">
                <button onclick={emit(&props.run, Do::Lab(crate::labs::LabDo::Catalogue(true)))}><b>{ "Labs" }</b><small>{ "Tasks that check themselves, from the first pod to a lost quorum" }</small></button>
                { for EXAMPLES.iter().map(|e| html! {
                    <button onclick={emit(&props.run, Do::InsertExample(e.name))}><b>{ e.title }</b><small>{ e.hint }</small></button>
                }) }
            </div>
        </div>
    }
}

/// The last messages in words, for who has asked for less motion.
fn steps(props: &InspectorProps) -> Html {
    if props.steps.is_empty() {
        return html! {};
    }
    html! {
        <>
            <h3>{ "Messages, in order" }</h3>
            <ul class="refs">
                { for props.steps.iter().rev().map(|s| html! {
                    <li key={s.number}><button onclick={emit(&props.run, Do::Inspect(Some(Thing::Message { id: s.message })))}><b class="t-dim">{ s.number }</b><span>{ &s.text }</span></button></li>
                }) }
            </ul>
        </>
    }
}

/// Requests, if the worker counts them, else events.
fn busy(stats: &Stats) -> Html {
    match stats.requests_per_s {
        0 => number(stats.events_per_s.into(), "events/s"),
        requests => number(requests.into(), "requests/s"),
    }
}

fn number(n: u64, what: &'static str) -> Html {
    html! { <div><b>{ format::number(n) }</b><small>{ what }</small></div> }
}
