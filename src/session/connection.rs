//! The inspector of a connection: its last messages, each request with its answer, the revision it made and what caused it; and what
//! can be done to the link.

use cluster::{Bottle, Cluster, Record};
use lenses::Fault;
use protocol::{Action, Inspector, MessageKind, Offer, Row, Source, Span, State, Tab, Thing, Tone};
use sim::{Addr, Payload};

use crate::components::fault;
use crate::inspect::{answer_to, as_it_is};
use crate::message;

const LOOKED_AT: usize = 20_000;
const SHOWN: usize = 24;
/// What *Slow* adds, in milliseconds.
const SLOW_MS: u32 = 400;

pub(crate) fn connection(bottle: &Bottle, from: &str, to: &str) -> Inspector {
    let cluster = bottle.shown();
    let now = cluster.now();
    let at = |addr, id: &str| message::is_at(cluster, addr, id);
    let between = |r: &&Record| {
        let (a, b) = (r.message.from, r.message.to);
        r.message.sent <= now && (at(a, from) && at(b, to) || at(a, to) && at(b, from))
    };
    let told = |r: &&Record| message::kind_of(cluster, r).is_some() && !is_answer(r);
    let last = bottle.trace().newest().take(LOOKED_AT).filter(between).filter(told).take(SHOWN);
    let mut rows = state_rows(cluster, from, to);
    let first = rows.len();
    rows.extend(last.map(|r| row(bottle, r)));
    match rows.get_mut(first) {
        Some(row) => row.heading = Some("Last messages".into()),
        None => rows.push(as_it_is("Messages", "none lately")),
    }
    Inspector {
        title: format!("{from} → {to}"),
        subtitle: format!("{} opens the connection", from.rsplit("pod/").next().unwrap_or(from)),
        state: State::Idle,
        tabs: vec![(Tab::Overview, None)],
        overview: Some(rows),
        offers: offers(cluster, from, to),
        ..Inspector::default()
    }
}

/// Answers are told with their requests.
fn is_answer(record: &Record) -> bool {
    matches!(&record.message.payload, Payload::ApiResponse { .. } | Payload::Etcd(etcd_api::Message::Response { .. }))
}

fn state_rows(cluster: &Cluster, from: &str, to: &str) -> Vec<Row> {
    let Some((a, b)) = ends(cluster, from, to) else { return Vec::new() };
    let mut rows = Vec::new();
    match fault(cluster, a, b) {
        Fault::Cut => rows.push(as_it_is("Link", "cut: nothing passes")),
        Fault::Slow(ms) => rows.push(as_it_is("Link", format!("slowed by {ms} ms"))),
        Fault::None => {}
    }
    let watches: Vec<String> = cluster
        .api()
        .into_iter()
        .flat_map(|api| api.open_watches())
        .filter(|(client, ..)| *client == a && b == cluster.apiserver)
        .map(|(_, gvr, namespace)| match namespace.is_empty() {
            true => gvr.resource.to_string(),
            false => format!("{} in {namespace}", gvr.resource),
        })
        .collect();
    if !watches.is_empty() {
        rows.push(as_it_is(&format!("{} watches", watches.len()), watches.join(", ")));
    }
    rows
}

fn row(bottle: &Bottle, record: &Record) -> Row {
    let (cluster, t) = (bottle.head(), record.message.sent.rfc3339_micro());
    let tone = match message::kind_of(cluster, record).unwrap_or_default() {
        MessageKind::Read => Tone::Read,
        MessageKind::Write => Tone::Write,
        MessageKind::Watch => Tone::Watch,
        MessageKind::Status => Tone::Status,
        MessageKind::Packet => Tone::Packet,
    };
    let mut value = vec![Span::toned(message::caption(cluster, record), tone)];
    value.extend(answer(bottle, record));
    if let Some(cause) = bottle.trace().get(record.message.cause).filter(|c| message::kind_of(cluster, c).is_some()) {
        let caption: String = message::caption(cluster, cause).chars().take(80).collect();
        value.push(Span::dim(format!(" · because of {caption}")));
    }
    Row {
        label: t.get(11..23).unwrap_or("").to_string(),
        value,
        source: Source::Api,
        thing: Some(Thing::Message { id: record.message.id.0 }),
        heading: None,
    }
}

/// ` → 201, revision 1 284`
fn answer(bottle: &Bottle, request: &Record) -> Option<Span> {
    match &request.message.payload {
        Payload::ApiRequest { .. } => {
            let answer = answer_to(bottle, request)?;
            let Payload::ApiResponse { response, .. } = &answer.message.payload else { return None };
            let revision = response.ok().map(|o| o.revision()).filter(|r| *r > 0);
            let revision = revision.map_or_else(String::new, |r| format!(", revision {r}"));
            let tone = if response.is_success() { Tone::Ok } else { Tone::Bad };
            Some(Span::toned(format!(" → {}{revision}", message::caption(bottle.head(), answer)), tone))
        }
        Payload::Etcd(etcd_api::Message::Request { id, .. }) => {
            let answer = bottle.trace().from(request.message.id).take(2_000).find(|r| {
                r.message.to == request.message.from
                    && matches!(&r.message.payload, Payload::Etcd(etcd_api::Message::Response { id: i, .. }) if i == id)
            })?;
            Some(Span::toned(format!(" → {}", message::caption(bottle.head(), answer)), Tone::Ok))
        }
        _ => None,
    }
}

/// The processes at both ends; None if a box stands for several.
fn ends(cluster: &Cluster, from: &str, to: &str) -> Option<(Addr, Addr)> {
    let find = |id: &str| {
        let exact = cluster.addr(id).filter(|_| !id.ends_with("/*"));
        exact.or_else(|| cluster.procs().find(|(a, p)| p.is_running() && message::is_at(cluster, *a, id)).map(|(a, _)| a))
    };
    let many = from.ends_with("/*") || to.ends_with("/*");
    if many { None } else { Some((find(from)?, find(to)?)) }
}

fn offers(cluster: &Cluster, from: &str, to: &str) -> Vec<Offer> {
    let Some((a, b)) = ends(cluster, from, to) else { return Vec::new() };
    let fault = fault(cluster, a, b);
    let (from, to) = (from.to_string(), to.to_string());
    let offer = |action, label: &str, hint: &str, danger| Offer {
        action,
        label: label.into(),
        hint: hint.into(),
        danger,
        disabled: None,
    };
    let cut = match fault {
        Fault::Cut => offer(Action::Mend { from: from.clone(), to: to.clone() }, "Mend", "Packets pass again", false),
        _ => offer(
            Action::Cut { from: from.clone(), to: to.clone() },
            "Cut",
            "No packet passes, either way, and nobody is told",
            true,
        ),
    };
    let slow = match fault {
        Fault::Slow(_) => offer(Action::Slow { from, to, ms: 0 }, "As fast as before", "The usual latency", false),
        _ => offer(Action::Slow { from, to, ms: SLOW_MS }, "Slow", "Every message takes 400 ms longer, either way", true),
    };
    vec![cut, slow]
}
