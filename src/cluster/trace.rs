//! The record of messages: who said what to whom, when, and because of which message.
//!
//! It is derived: not part of the cluster's value or hash, and a stretch that was dropped for its budget comes back by replay.
//! Recent messages are kept whole (bodies are shared with the store); of all time the counts per slice remain.

use std::collections::VecDeque;

use base::{Duration, Time};
use sim::{Message, MsgId, Payload};

/// A message with its time of arrival.
#[derive(Clone, Debug)]
pub struct Record {
    pub message: Message,
    pub arrives: Time,
}

/// Messages kept whole. A record with its share of bodies takes about 150 bytes, so this is the budget of 64 MB.
const MAX_RECORDS: usize = 400_000;
/// Slices of the histogram; two become one when there are more.
const MAX_SLICES: usize = 960;

/// The trace.
#[derive(Clone, Debug)]
pub struct Trace {
    records: VecDeque<Record>,
    start: Time,
    slice: Duration,
    counts: Vec<u32>,
    /// Off in benches that measure the cluster alone.
    pub enabled: bool,
}

impl Trace {
    pub fn new(start: Time) -> Trace {
        Trace { records: VecDeque::new(), start, slice: Duration::from_millis(50), counts: Vec::new(), enabled: true }
    }

    pub fn record(&mut self, message: &Message, arrives: Time) {
        if !self.enabled || matches!(message.payload, Payload::Timer(_)) && message.from == message.to && message.cause.0 == 0 {
            return;
        }
        if self.records.len() == MAX_RECORDS {
            self.records.pop_front();
        }
        if !matches!(message.payload, Payload::Timer(_)) && !is_heartbeat(message) {
            self.count(message.sent);
        }
        self.records.push_back(Record { message: message.clone(), arrives });
    }

    fn count(&mut self, at: Time) {
        let mut slot = (at.since(self.start).0.max(0) / self.slice.0) as usize;
        while slot >= MAX_SLICES {
            self.slice = self.slice * 2;
            self.counts = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            slot /= 2;
        }
        if self.counts.len() <= slot {
            self.counts.resize(slot + 1, 0);
        }
        self.counts[slot] += 1;
    }

    /// The message of a number, if its detail is still there.
    pub fn get(&self, id: MsgId) -> Option<&Record> {
        let i = self.records.binary_search_by_key(&id, |r| r.message.id).ok()?;
        self.records.get(i)
    }

    /// Records from `id` (inclusive) on.
    pub fn from(&self, id: MsgId) -> impl Iterator<Item = &Record> {
        let first = self.records.partition_point(|r| r.message.id < id);
        self.records.range(first..)
    }

    /// Records sent at `time` or later.
    pub fn since(&self, time: Time) -> impl DoubleEndedIterator<Item = &Record> {
        let first = self.records.partition_point(|r| r.message.sent < time);
        self.records.range(first..)
    }

    /// Records from the newest back.
    pub fn newest(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().rev()
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
    /// Number of the oldest message that is kept whole.
    pub fn first(&self) -> Option<MsgId> {
        self.records.front().map(|r| r.message.id)
    }

    /// What a message caused, directly. Looks at most at `limit` records after it.
    pub fn effects(&self, id: MsgId, limit: usize) -> Vec<&Record> {
        self.from(MsgId(id.0 + 1)).take(limit).filter(|r| r.message.cause == id).collect()
    }

    /// Forgets what was sent after `time`: a fork goes another way from there.
    pub fn truncate(&mut self, time: Time) {
        while self.records.back().is_some_and(|r| r.message.sent > time) {
            self.records.pop_back();
        }
        let keep = (time.since(self.start).0.max(0) / self.slice.0) as usize + 1;
        self.counts.truncate(keep);
    }

    /// Messages per slice, evenly over `start..=end`, in `n` slices.
    pub fn histogram(&self, end: Time, n: usize) -> Vec<u32> {
        let mut out = vec![0; n.max(1)];
        let total = end.since(self.start).0.max(1);
        for (i, count) in self.counts.iter().enumerate() {
            let at = i as i64 * self.slice.0;
            let slot = ((at as i128 * n as i128) / total as i128) as usize;
            out[slot.min(n.max(1) - 1)] += count;
        }
        out
    }
}

/// Lease renewals (nodes', leaders', kube-apiservers') and the heartbeats between members of etcd: drawn only when asked for.
pub fn is_heartbeat(message: &Message) -> bool {
    const SERVERS: &str = "/registry/masterleases/";
    match &message.payload {
        Payload::ApiRequest { request, .. } => request.gvr.resource == "leases",
        Payload::Etcd(etcd_api::Message::Request { request, .. }) => match &**request {
            etcd_api::Request::Range(range) => range.range.key.starts_with(SERVERS),
            etcd_api::Request::Txn(txn) => txn.compare.iter().any(|c| c.key.starts_with(SERVERS)),
            _ => false,
        },
        Payload::Etcd(etcd_api::Message::Raft(m)) => m.body.is_heartbeat(),
        _ => false,
    }
}
