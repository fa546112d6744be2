//! Why a request got no seat: 429, by whose rule, and who takes the seats.

use apimachinery::{Gvr, Object};
use cluster::{Bottle, Cluster, Culprit, RefusalReason};
use protocol::{Span, Thing, WhyStep};
use sim::MsgId;

use super::{about, advice, as_it_is, fact, step};
use crate::flows;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

fn schema(name: &str) -> Thing {
    Thing::object(GROUP, "flowschemas", "", name)
}

fn level(name: &str) -> Thing {
    Thing::object(GROUP, "prioritylevelconfigurations", "", name)
}

/// Of a request that was answered with 429. Empty: flow control didn't.
pub(super) fn of_request(cluster: &Cluster, request: MsgId) -> Vec<WhyStep> {
    let Some(api) = cluster.api() else { return Vec::new() };
    let Some(refusal) = api.refusal(request) else { return Vec::new() };
    let reason = match refusal.reason {
        RefusalReason::ConcurrencyLimit => format!("all {} seats were taken, and the level has no queue", refusal.seats),
        RefusalReason::QueueFull => {
            format!("all {} seats were taken, and the flow's queues were full ({} waited)", refusal.seats, refusal.waiting)
        }
        RefusalReason::TimeOut => format!("it waited a quarter of a minute for one of {} seats", refusal.seats),
        RefusalReason::Cancelled => "its client gave up".into(),
    };
    let flow = if refusal.flow.is_empty() { String::new() } else { format!(", flow {}", refusal.flow) };
    let falls = vec![
        Span::plain("Requests of "),
        Span::code(refusal.user.to_string()),
        Span::plain(" fall to FlowSchema "),
        Span::bold(refusal.schema.to_string()),
        Span::plain(format!("{flow}, and with it to priority level {}", refusal.level)),
    ];
    let mut steps = vec![
        about(step(falls, "API Priority and Fairness: the schema that matches first"), schema(&refusal.schema)),
        about(as_it_is(fact(format!("There {reason}"), refusal.reason.as_str())), level(&refusal.level)),
    ];
    let same = api.throttled(cluster.now()).into_iter().find(|c| c.schema == refusal.schema && c.flow == refusal.flow);
    steps.extend(same.map(|c| culprit(cluster, c)));
    steps.push(advice("Retry-After says when to ask again, and clients made with client-go do. Ask less often: watch instead of asking in a loop, write only what has changed; or give the level more shares"));
    steps
}

/// Who it is and how much he asks.
fn culprit(cluster: &Cluster, c: &Culprit) -> WhyStep {
    let text = vec![
        Span::code(c.user.name.to_string()),
        Span::plain(format!(" asks {} times a second: {}", c.rate(cluster.now()), flows::outcome(c))),
    ];
    let steps = as_it_is(step(text, format!("kube-apiserver's flow control · {}", c.user_agent)));
    match flows::whose(c) {
        Some(thing) => about(steps, thing),
        None => steps,
    }
}

/// Of a pod or service account that finds no seat.
pub(super) fn of_object(cluster: &Cluster, object: &Object) -> Vec<WhyStep> {
    let found = flows::of_object(cluster, object.kind(), object.namespace(), object.name());
    let told = |c: &&Culprit| {
        let text = vec![
            Span::bold("Throttled"),
            Span::plain(format!(
                ": it asks kube-apiserver {} times a second, {}. FlowSchema ",
                c.rate(cluster.now()),
                flows::outcome(c)
            )),
            Span::bold(c.schema.to_string()),
            Span::plain(format!(" gives it priority level {}", c.level)),
        ];
        about(as_it_is(step(text, "kube-apiserver's flow control")), level(&c.level))
    };
    found.iter().map(told).collect()
}

/// Of a priority level: its seats, and who wants them.
pub(super) fn of_level(bottle: &Bottle, object: &Object) -> Vec<WhyStep> {
    let cluster = bottle.shown();
    let Some(api) = cluster.api() else { return Vec::new() };
    let Some(seen) = api.priority_levels().into_iter().find(|l| *l.name == *object.name()) else {
        return vec![as_it_is(fact("So few requests are under way that every one finds a seat", "kube-apiserver"))];
    };
    let seats = match (seen.exempt, seen.seats == seen.nominal) {
        (true, _) => "It has no limit".to_string(),
        (_, true) => format!("It has {} seats by its shares", seen.seats),
        _ => format!("It has {} seats now, {} by its shares: idle levels lend theirs", seen.seats, seen.nominal),
    };
    let use_of = format!("{seats}; {} are in use, {} requests wait, {} got 429", seen.in_use, seen.waiting, seen.refused);
    let mut steps = vec![as_it_is(fact(use_of, "spec.limited.nominalConcurrencyShares of all levels"))];
    let culprits = api.throttled(cluster.now());
    steps.extend(culprits.into_iter().filter(|c| c.level == seen.name).map(|c| culprit(cluster, c)));
    steps
}

/// Of a schema: whether its level exists, and who was throttled by it.
pub(super) fn of_schema(bottle: &Bottle, object: &Object) -> Vec<WhyStep> {
    let cluster = bottle.shown();
    let Some(api) = cluster.api() else { return Vec::new() };
    let name = object.str_at(&["spec", "priorityLevelConfiguration", "name"]).unwrap_or("");
    let levels = Gvr::new(GROUP, "v1", "prioritylevelconfigurations");
    let mut steps = match api.object(levels, "", name) {
        Some(_) => vec![about(
            fact(format!("Its requests take the seats of priority level {name}"), "spec.priorityLevelConfiguration"),
            level(name),
        )],
        None => vec![
            fact(format!("There is no priority level {name}: the schema is passed over"), "condition Dangling"),
            advice(format!("Create PriorityLevelConfiguration {name}, or name one that exists")),
        ],
    };
    let culprits = api.throttled(cluster.now());
    steps.extend(culprits.into_iter().filter(|c| *c.schema == *object.name()).map(|c| culprit(cluster, c)));
    steps
}
