//! The connection to etcd: requests, their answers, and one watch per storage that feeds the cache.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Object, Value, WatchEventType, value};
use base::{Duration, TextMap, Time};
use etcd_api::{
    Compare, CompareResult, Error, Event, Key, KeyRange, KeyValue, Message, Op, OpResponse, RangeRequest, Request, Response,
    Stored, Target, TxnRequest, WatchRequest,
};
use sim::{MsgId, Outbox, Payload};

use crate::cache::{self, stamp};
use crate::call::{Call, Change, Pending, Write};
use crate::endpoints;
use crate::scheme::Special;
use crate::server::{ApiServer, COMPACTION_PERIOD, timer};

/// An event's lease is shared by all events of a minute. Models `etcd3/lease_manager.go`.
const LEASE_REUSE: Duration = Duration::from_secs(60);
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// The object in a stored value, with its revision.
pub fn object_of(kv: &KeyValue) -> Option<Object> {
    match &kv.value {
        Stored::Object(object) => Some(stamp(object.clone(), kv.mod_revision)),
        Stored::Bytes(_) => None,
    }
}

/// "The key's revision is that": 0 says that there is no such key.
pub fn unchanged(key: &Key, revision: i64) -> Compare {
    Compare { key: key.clone(), result: CompareResult::Equal, target: Target::ModRevision(revision) }
}

pub fn range_of(range: KeyRange) -> RangeRequest {
    RangeRequest { range, revision: 0, limit: 0, count_only: false, keys_only: false, serializable: false }
}

impl ApiServer {
    /// Sends a request to etcd and remembers what for.
    pub(crate) fn ask(&mut self, request: Request, pending: Pending, now: Time, out: &mut Outbox) {
        let id = self.draw();
        if !matches!(pending, Pending::Ignored) {
            self.pending.insert(id, pending);
            self.waiting.insert(id, now);
            self.arm_sweep(out);
        }
        let request = Rc::new(request);
        self.endpoints.sent(id, &request);
        out.send(self.endpoints.current(), Payload::Etcd(Message::Request { id, request }));
    }

    /// Sends a call's request; what it changes will name the call's message as its cause.
    pub(crate) fn ask_for(&mut self, msg: MsgId, request: Request, pending: Pending, now: Time, out: &mut Outbox) {
        out.set_cause(Some(msg));
        self.ask(request, pending, now, out);
        out.set_cause(None);
    }

    pub(crate) fn from_etcd(&mut self, now: Time, message: Message, out: &mut Outbox) {
        self.etcd_is_lost = false;
        match message {
            Message::Response { id, revision, response } => {
                if let Some(request) = self.endpoints.answered(id, &response) {
                    let message = Payload::Etcd(Message::Request { id, request });
                    return out.send_after(endpoints::RETRY_DELAY, self.endpoints.current(), message);
                }
                self.revision = self.revision.max(revision);
                self.waiting.remove(&id);
                let Some(pending) = self.pending.remove(&id) else { return };
                self.answered_by_etcd(pending, revision, &response, now, out);
            }
            Message::WatchEvents { watch_id, after, revision, events } => {
                self.cache_events(watch_id as usize, after, revision, &events, now, out);
            }
            // It was asked for: a custom resource's definition has gone.
            Message::WatchCanceled { watch_id, .. } if self.caches.get(watch_id as usize).is_none() => {}
            Message::WatchCanceled { watch_id, compact_revision } if compact_revision > 0 => {
                self.load(watch_id as usize, now, out);
            }
            // The member has lost its leader.
            Message::WatchCanceled { .. } if self.endpoints.turn() => {
                self.ask_the_next(now, out);
            }
            _ => {}
        }
    }

    /// Another member is spoken to: what was asked of the one before and changes nothing is asked again.
    pub(crate) fn ask_the_next(&mut self, now: Time, out: &mut Outbox) {
        let ids: Vec<u64> = self.pending.keys().copied().collect();
        for id in ids {
            match self.endpoints.read(id) {
                Some(request) => {
                    self.waiting.insert(id, now);
                    out.send(self.endpoints.current(), Payload::Etcd(Message::Request { id, request }));
                }
                None => self.give_up(id, Status::new(500, "", Error::Timeout.text()), now, out),
            }
        }
        self.arm_sweep(out);
        self.arm_reconnect(out);
    }

    fn answered_by_etcd(&mut self, pending: Pending, revision: i64, response: &Response, now: Time, out: &mut Outbox) {
        if let Response::Error(e) = response {
            return self.etcd_refused(pending, e, now, out);
        }
        match (pending, response) {
            (Pending::Get(call), Response::Range(r)) => {
                let object = r.kvs.first().and_then(|kv| object_of(kv));
                self.got(call, object, now, out);
            }
            (Pending::Unwritten(call, unwritten), Response::Range(r)) => {
                let object = r.kvs.first().and_then(|kv| object_of(kv));
                self.checked_with_etcd(call, *unwritten, object, now, out);
            }
            (Pending::Fresh(call), _) => self.list_fresh(call, revision, now, out),
            (Pending::Page(call, page), Response::Range(r)) => self.got_page(call, page, r, revision, now, out),
            (Pending::Write(call, write), Response::Txn { succeeded, responses }) => {
                if *succeeded {
                    self.written(call, *write, revision, now, out);
                } else {
                    let current = match responses.first() {
                        Some(OpResponse::Range(r)) => r.kvs.first().and_then(|kv| object_of(kv)),
                        _ => None,
                    };
                    self.lost_race(call, current, now, out);
                }
            }
            (Pending::Lease(call, write), Response::LeaseGrant { id, .. }) => {
                self.event_lease = (*id, now);
                self.send_write(call, write, *id, now, out);
            }
            (Pending::Load(storage), Response::Range(r)) => self.loaded(storage, &r.kvs, revision, now, out),
            (Pending::Watch, _) => {}
            (Pending::Boot, _) => self.boot_step(now, out),
            (Pending::Master(step), response) => self.master_step(step, response, now, out),
            _ => {}
        }
    }

    fn etcd_refused(&mut self, pending: Pending, e: &Error, now: Time, out: &mut Outbox) {
        let status = match e {
            Error::Compacted => Status::expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            ),
            Error::FutureRevision => too_large(0, self.revision),
            other => Status::new(500, "", other.text()),
        };
        self.fail(pending, status, now, out);
    }

    /// Ends a pending request with an error.
    pub(crate) fn give_up(&mut self, id: u64, status: Status, now: Time, out: &mut Outbox) {
        self.waiting.remove(&id);
        if let Some(pending) = self.pending.remove(&id) {
            self.fail(pending, status, now, out);
        }
    }

    fn fail(&mut self, pending: Pending, status: Status, now: Time, out: &mut Outbox) {
        match pending {
            Pending::Get(call)
            | Pending::Unwritten(call, _)
            | Pending::Fresh(call)
            | Pending::Page(call, _)
            | Pending::Write(call, _)
            | Pending::Lease(call, _) => self.finish(call, status.into(), now, out),
            Pending::Boot => {
                // What is missing is created when etcd is back.
                self.boot = crate::boot::Boot::Loading;
                self.arm_reconnect(out);
            }
            Pending::Load(_) | Pending::Watch => self.arm_reconnect(out),
            // The next one begins anew.
            Pending::Master(_) | Pending::Ignored => {}
        }
    }

    /// Sends the transaction of a write, with a lease first if the object has a limited life.
    pub(crate) fn commit(&mut self, call: Box<Call>, write: Box<Write>, now: Time, out: &mut Outbox) {
        let Some(ttl_s) = write.ttl_s else { return self.send_write(call, write, 0, now, out) };
        let (lease, granted) = self.event_lease;
        if lease != 0 && now - granted < LEASE_REUSE {
            return self.send_write(call, write, lease, now, out);
        }
        let id = (self.draw() as i64) | 1 << 40;
        let msg = call.msg;
        let request = Request::LeaseGrant { id, ttl_s: ttl_s + LEASE_REUSE.as_secs() };
        self.ask_for(msg, request, Pending::Lease(call, write), now, out);
    }

    fn send_write(&mut self, call: Box<Call>, write: Box<Write>, lease: i64, now: Time, out: &mut Outbox) {
        let key = &write.key;
        let mut txn = TxnRequest {
            compare: vec![unchanged(key, write.base.as_ref().map_or(0, Object::revision))],
            success: Vec::with_capacity(1 + write.extra.len()),
            failure: vec![Op::Range(range_of(KeyRange::one(key.clone())))],
        };
        txn.success.push(match &write.change {
            Change::Put(object) => Op::Put { key: key.clone(), value: Stored::Object(object.clone()), lease },
            Change::Delete => Op::DeleteRange(KeyRange::one(key.clone())),
        });
        for (compare, op) in &write.extra {
            txn.compare.push(compare.clone());
            txn.success.push(op.clone());
        }
        let msg = call.msg;
        self.ask_for(msg, Request::Txn(txn), Pending::Write(call, write), now, out);
    }

    /// Reads every storage; each is watched from the revision it was read at.
    pub(crate) fn open_storages(&mut self, now: Time, out: &mut Outbox) {
        for storage in self.caches.storages() {
            self.load(storage, now, out);
        }
    }

    pub(crate) fn load(&mut self, storage: usize, now: Time, out: &mut Outbox) {
        let range = KeyRange::prefix(&self.storage(storage).prefix);
        self.ask(Request::Range(range_of(range)), Pending::Load(storage), now, out);
    }

    fn loaded(&mut self, storage: usize, kvs: &[Rc<KeyValue>], revision: i64, now: Time, out: &mut Outbox) {
        let fresh: TextMap<Key, Object> = kvs.iter().filter_map(|kv| Some((kv.key.clone(), object_of(kv)?))).collect();
        if self.caches.get(storage).is_none() {
            // A custom resource's: its definition is gone.
            return;
        }
        let special = self.storage(storage).special;
        let old = std::mem::take(&mut self.caches[storage].objects);
        for (key, object) in &old {
            self.note(special, key, Some(object), None);
        }
        for (key, object) in &fresh {
            self.note(special, key, None, Some(object));
        }
        let reload = self.caches[storage].synced;
        if special == Special::Definitions {
            self.definitions_loaded(&old, &fresh, now, out);
        }
        self.caches[storage].load(fresh, revision);
        if reload {
            // Watchers can't be told what they missed.
            for id in self.watchers.of_storage(storage) {
                if let Some(w) = self.watchers.remove(id) {
                    out.send(w.client, Payload::StreamEnd { id: w.stream });
                }
            }
        }
        self.open_watch(storage, revision + 1, now, out);
        self.arm_aggregator(out);
        self.boot_loaded(now, out);
    }

    fn open_watch(&mut self, storage: usize, start_revision: i64, now: Time, out: &mut Outbox) {
        let range = KeyRange::prefix(&self.storage(storage).prefix);
        let watch = WatchRequest { watch_id: storage as u64, range, start_revision, prev_kv: true, progress_notify: true };
        self.ask(Request::Watch(watch), Pending::Watch, now, out);
    }

    pub(crate) fn etcd_gone(&mut self, now: Time, out: &mut Outbox) {
        self.etcd_is_lost = true;
        if self.endpoints.turn() {
            return self.ask_the_next(now, out);
        }
        let text = "etcdserver: request timed out";
        let ids: Vec<u64> = self.pending.keys().copied().collect();
        for id in ids {
            self.give_up(id, Status::new(500, "", text), now, out);
        }
        self.arm_reconnect(out);
    }

    /// What is missing is opened a little later, once for all that failed.
    fn arm_reconnect(&mut self, out: &mut Outbox) {
        if !std::mem::replace(&mut self.reconnects, true) {
            out.timer(RECONNECT_DELAY, timer::RECONNECT);
        }
    }

    /// Opens what is missing after etcd was away.
    pub(crate) fn reopen_watches(&mut self, now: Time, out: &mut Outbox) {
        self.reconnects = false;
        for storage in self.caches.storages() {
            match self.caches[storage].synced {
                true => self.open_watch(storage, self.caches[storage].revision + 1, now, out),
                false => self.load(storage, now, out),
            }
        }
        if !self.is_ready() {
            self.boot_loaded(now, out);
        }
    }

    /// Takes a batch of etcd's events into the cache and to the watchers.
    fn cache_events(&mut self, storage: usize, after: i64, revision: i64, events: &[Event], now: Time, out: &mut Outbox) {
        let Some(cache) = self.caches.get(storage) else { return };
        if !cache.synced {
            return;
        }
        if after > cache.revision {
            // Something was lost on the way: ask again for what came after the last thing known.
            return self.open_watch(storage, self.caches[storage].revision + 1, now, out);
        }
        self.revision = self.revision.max(revision);
        let special = self.storage(storage).special;
        let (mut any, mut gone, mut definitions) = (false, false, Vec::new());
        for event in events {
            let Some(change) = self.change_of(storage, event, now) else { continue };
            gone |= change.kind == WatchEventType::Deleted;
            if special == Special::Definitions {
                let new = (change.kind != WatchEventType::Deleted).then(|| change.object.clone());
                definitions.push((change.object.key().name, new));
            }
            any |= self.take_change(storage, change);
        }
        let cache = &mut self.caches[storage];
        cache.revision = cache.revision.max(revision);
        self.arm_aggregator(out);
        if any {
            self.arm_flush(out);
        }
        for (name, new) in definitions {
            self.definition_changed(&name, new.as_ref(), now, out);
        }
        if gone && storage >= self.scheme.storages.len() {
            self.custom_objects_gone(storage, now, out);
        }
    }

    /// What an event changes here; `None`: nothing, it is known (a watch that was opened again repeats some).
    fn change_of(&mut self, storage: usize, event: &Event, now: Time) -> Option<cache::Change> {
        let revision = event.mod_revision;
        let cache = &self.caches[storage];
        let prev = cache.get(&event.key).cloned();
        let known = prev.as_ref().map_or(0, Object::revision).max(if event.kv.is_none() { 0 } else { cache.oldest() });
        if revision <= known {
            return None;
        }
        let object = match &event.kv {
            // The object that the answer to its writer carried, if it is this one.
            Some(_) if self.written.as_ref().is_some_and(|(r, _)| *r == revision) && self.written_is(&event.key) => {
                self.written.take().map(|(_, o)| o)?
            }
            Some(kv) => object_of(kv)?,
            None => stamp(prev.clone()?, revision),
        };
        let kind = match (&event.kv, &prev) {
            (None, _) => WatchEventType::Deleted,
            (Some(_), None) => WatchEventType::Added,
            (Some(_), Some(_)) => WatchEventType::Modified,
        };
        Some(cache::Change { revision, at: now, key: event.key.clone(), kind, object, prev, cause: event.cause })
    }

    fn written_is(&self, key: &str) -> bool {
        let Some((_, object)) = &self.written else { return false };
        key.ends_with(object.name()) && key[..key.len() - object.name().len()].trim_end_matches('/').ends_with(object.namespace())
    }

    fn take_change(&mut self, storage: usize, change: cache::Change) -> bool {
        let special = self.storage(storage).special;
        let new = (change.kind != WatchEventType::Deleted).then_some(&change.object);
        self.note(special, &change.key, change.prev.as_ref(), new);
        let any = self.watchers.tell(storage, special == Special::Pods, &change);
        self.caches[storage].apply(change);
        any
    }

    /// What a change means to the server's own indexes.
    fn note(&mut self, special: Special, key: &Key, old: Option<&Object>, new: Option<&Object>) {
        match special {
            Special::None | Special::Events | Special::Definitions => {}
            Special::Pods => self.pods.change(key, old, new),
            Special::Rbac => {
                self.memo.grants.clear();
                self.memo.bound.clear();
            }
            Special::Services => self.allocations.change(old, new),
            Special::ApiServices => self.note_apiservice(old, new),
            Special::FlowControl => self.note_flow_control(old, new),
        }
    }

    /// Every five minutes history older than that is given up. Models `etcd3/compact.go`.
    pub(crate) fn compact(&mut self, now: Time, out: &mut Outbox) {
        if self.compact_to > 0 {
            self.ask(Request::Compact { revision: self.compact_to }, Pending::Ignored, now, out);
        }
        self.compact_to = self.revision;
        out.timer(COMPACTION_PERIOD, timer::COMPACT);
    }
}

pub fn too_large(asked: i64, current: i64) -> Status {
    let mut status = Status::timeout(format!("Too large resource version: {asked}, current: {current}"), 1);
    status.details.set_at(
        &["causes"],
        Value::from(vec![value!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"})]),
    );
    status
}
