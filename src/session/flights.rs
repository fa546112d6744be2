//! Which messages are drawn moving: those that set out since the last frame, several alike as one counted dot.

use std::collections::BTreeMap;

use base::Time;
use cluster::{Bottle, Cluster, Record, Trace, is_heartbeat};
use protocol::{Flight, Lens, MessageKind, Scene, Speed};
use sim::{MsgId, Payload};

use crate::message::{box_of, caption, drawn, kind_of};
use crate::pacer::Pacer;
use crate::service;

/// Dots per batch: above, messages of one edge are one counted dot.
const MAX_PER_EDGE: u32 = 2;
/// An after-image lasts at least so long (wall ms).
const LEAST_MS: u32 = 420;
/// Dots of one batch set out within a frame or two of one another, in causal order.
const SPREAD_MS: u32 = 160;

/// Collects the flights of the records from `next` on, and moves `next` past them. Chains are noticed on the way.
pub(crate) fn collect(bottle: &Bottle, scene: &Scene, next: &mut MsgId, pacer: &mut Pacer, heartbeats: bool) -> Vec<Flight> {
    let (cluster, trace) = (bottle.head(), bottle.trace());
    if pacer.speed == Speed::Max {
        // Nothing is drawn moving, and chains mean nothing.
        *next = cluster.queue.next_id();
        return Vec::new();
    }
    let packets = (scene.head.lens == Lens::ServiceNetwork).then(|| service::Ways::of(scene));
    let mut flights: BTreeMap<(String, String, u8), Flight> = BTreeMap::new();
    let mut order: Vec<(String, String, u8)> = Vec::new();
    for record in trace.from(*next) {
        *next = MsgId(record.message.id.0 + 1);
        pacer.notice(record);
        let Some(kind) = kind_of(cluster, record) else { continue };
        if !heartbeats && hidden(record, trace) {
            continue;
        }
        if let (Some(ways), Payload::Packet(packet)) = (&packets, &record.message.payload) {
            order.extend(ways.legs(cluster, record, packet).into_iter().filter_map(|flight| {
                let key = (flight.from.clone(), flight.to.clone(), kind as u8);
                flights.insert(key.clone(), flight).is_none().then_some(key)
            }));
            continue;
        }
        let (from, to) = (drawn(scene, cluster, record.message.from), drawn(scene, cluster, record.message.to));
        if from == to {
            continue;
        }
        let key = (from.clone(), to.clone(), kind as u8);
        match flights.get_mut(&key) {
            Some(flight) => flight.count += 1,
            None => {
                let (mut edge, mut reverse) = edge_of(record, &from, &to);
                // Between equals (etcd's members) the line is drawn one way only.
                let other = if reverse { format!("{from}>{to}") } else { format!("{to}>{from}") };
                if !scene.edges.contains_key(&edge) && scene.edges.contains_key(&other) {
                    (edge, reverse) = (other, !reverse);
                }
                let flight = Flight {
                    message: record.message.id.0,
                    kind,
                    edge,
                    from,
                    to,
                    reverse,
                    count: 1,
                    start_ms: 0,
                    duration_ms: LEAST_MS,
                    caption: caption(cluster, record),
                };
                flights.insert(key.clone(), flight);
                order.push(key);
            }
        }
    }
    let n = order.len().max(1) as u32;
    let mut out: Vec<Flight> = order.iter().filter_map(|key| flights.remove(key)).collect();
    for (i, flight) in out.iter_mut().enumerate() {
        flight.start_ms += (i as u32 * SPREAD_MS) / n;
        if flight.count <= MAX_PER_EDGE {
            flight.count = 1;
        }
    }
    out
}

/// Heartbeats, and what belongs to them: the lease's way to etcd and back.
fn hidden(record: &Record, trace: &Trace) -> bool {
    let sign_of_life = matches!(&record.message.payload, Payload::Etcd(etcd_api::Message::Raft(m)) if m.body.is_heartbeat());
    if is_heartbeat(&record.message) || sign_of_life {
        return true;
    }
    let mut cause = record.message.cause;
    for _ in 0..4 {
        let Some(above) = trace.get(cause) else { return false };
        if is_heartbeat(&above.message) {
            return true;
        }
        if matches!(above.message.payload, Payload::Timer(_)) {
            return false;
        }
        cause = above.message.cause;
    }
    false
}

/// The connection that a message travels on: the client opened it. True: against its direction.
fn edge_of(record: &Record, from: &str, to: &str) -> (String, bool) {
    let towards_client = match &record.message.payload {
        Payload::ApiResponse { .. } | Payload::WatchEvents { .. } => true,
        Payload::Etcd(etcd_api::Message::Request { .. }) => false,
        Payload::Etcd(_) => true,
        Payload::Cri(m) => !matches!(&**m, cri_api::cri::Message::Request { .. }),
        Payload::StreamFrame { .. } | Payload::StreamEnd { .. } => to != "kube-apiserver",
        _ => false,
    };
    if towards_client { (format!("{to}>{from}"), true) } else { (format!("{from}>{to}"), false) }
}

/// The same for the moment shown; of the past nothing is known to move.
pub(crate) fn recent_of(bottle: &Bottle, since: Time) -> Vec<(String, String, MessageKind, MsgId)> {
    if bottle.is_past() { Vec::new() } else { recent(bottle.head(), bottle.trace(), since, 400) }
}

/// Boxes that talked within the last moment, for lit edges and chips: newest last.
pub(crate) fn recent(cluster: &Cluster, trace: &Trace, since: Time, limit: usize) -> Vec<(String, String, MessageKind, MsgId)> {
    let newest = trace.newest().take(limit).take_while(|r| r.message.sent >= since);
    let mut out: Vec<_> = newest
        .filter(|r| !is_heartbeat(&r.message))
        .filter_map(|r| {
            Some((box_of(cluster, r.message.from), box_of(cluster, r.message.to), kind_of(cluster, r)?, r.message.id))
        })
        .filter(|(from, to, ..)| from != to)
        .collect();
    out.reverse();
    out
}
