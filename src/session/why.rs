//! *Why?*: from an effect back to its cause, each step a fact with its place, the last one a thing to do. What an object says of
//! itself comes first, then what the components decided, then the messages that led to it, up to what the user did.

mod chain;
mod node;
mod pod;
mod refused;
mod scheduling;
mod service;
mod throttled;
mod workload;

use apimachinery::Object;
use cluster::{Bottle, Cluster};
use protocol::{Offer, Source, Span, Thing, WhyStep};

pub(crate) use pod::container_id;
pub(crate) use refused::of_message;

fn step(text: Vec<Span>, detail: impl Into<String>) -> WhyStep {
    WhyStep { text, detail: detail.into(), source: Source::Api, thing: None, advice: false, offer: None }
}

fn fact(text: impl Into<String>, detail: impl Into<String>) -> WhyStep {
    step(vec![Span::plain(text)], detail)
}

/// A fact that no API tells: read from the component.
fn as_it_is(step: WhyStep) -> WhyStep {
    WhyStep { source: Source::AsItIs, ..step }
}

fn advice(text: impl Into<String>) -> WhyStep {
    WhyStep { advice: true, ..fact(text, "") }
}

/// Advice with a button that follows it.
fn advice_with(text: impl Into<String>, offer: Offer) -> WhyStep {
    WhyStep { offer: Some(offer), ..advice(text) }
}

fn about(step: WhyStep, thing: Thing) -> WhyStep {
    WhyStep { thing: Some(thing), ..step }
}

/// The causal story of an object's present state.
pub(crate) fn of_object(bottle: &Bottle, object: &Object) -> Vec<WhyStep> {
    let cluster = bottle.shown();
    let mut steps = match object.kind() {
        "Pod" => pod::steps(bottle, object),
        "Service" => service::steps(cluster, object),
        "Node" => node::steps(bottle, object),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" => workload::steps(cluster, object),
        "ServiceAccount" => refused::of_account(bottle, object),
        "PriorityLevelConfiguration" => throttled::of_level(bottle, object),
        "FlowSchema" => throttled::of_schema(bottle, object),
        "Event" => event(object),
        _ => Vec::new(),
    };
    steps.extend(origin(cluster, object));
    steps.extend(chain::of_object(bottle, object));
    steps
}

/// What an event is about is what to ask further.
fn event(event: &Object) -> Vec<WhyStep> {
    let row = crate::lists::event_row(event);
    vec![about(fact(row.message, format!("{} ×{}, {}", row.reason, row.count, row.from)), row.about)]
}

/// Who made it, and for whom.
fn origin(cluster: &Cluster, object: &Object) -> Vec<WhyStep> {
    let mut steps = Vec::new();
    if let Some(owner) = object.controller_ref() {
        let (kind, name) = (owner.str_at(&["kind"]).unwrap_or(""), owner.str_at(&["name"]).unwrap_or(""));
        let gvk = apimachinery::Gvk::from_api_version(owner.str_at(&["apiVersion"]).unwrap_or(""), kind);
        let thing = apimachinery::schema::resource_for_kind(gvk).map(|r| {
            let namespace = if r.namespaced { object.namespace() } else { "" };
            Thing::object(&r.gvr.group.to_string(), &r.gvr.resource.to_string(), namespace, name)
        });
        let gone = owner.str_at(&["uid"]).is_some_and(|uid| workload::is_gone(cluster, thing.as_ref(), uid));
        let word = if gone { " (which is gone)" } else { "" };
        let text = vec![Span::plain("It was made by "), Span::bold(format!("{} {name}", kind.to_lowercase())), Span::plain(word)];
        steps.push(WhyStep { thing, ..step(text, "metadata.ownerReferences") });
        return steps;
    }
    let managers = object.list_at(&["metadata", "managedFields"]);
    let first = managers.iter().min_by_key(|m| m.str_at(&["time"]).unwrap_or("").to_string());
    let who = first.and_then(|m| m.str_at(&["manager"])).unwrap_or("");
    if let Some(when) = object.creation_timestamp().filter(|_| !who.is_empty()) {
        let (_, _, _, h, m, s) = when.civil();
        let text = vec![Span::plain("It was created by "), Span::code(who)];
        steps.push(step(text, format!("{h:02}:{m:02}:{s:02} · metadata.managedFields, revision {}", object.resource_version())));
    }
    steps
}
