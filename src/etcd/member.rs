//! A member: takes requests, changes the store, answers, and tells watchers.

use std::rc::Rc;

use base::{Duration, Map, Time};
use etcd_api::{
    Error, Event, Key, KeyRange, Message, Op, OpResponse, Request, Response, StatusResponse, TxnRequest, WatchRequest,
};
use sim::{Addr, Outbox, Payload};

use crate::lease::Leases;
use crate::store::{Entry, Stamp, Store};
use crate::watch::{WatcherId, Watchers};

/// How long a member works on anything: mostly the disk's flush. One number for reads and writes keeps everything that is said
/// to a client in the order in which it happened.
pub const RESPONSE_DELAY: Duration = Duration::from_millis(1);

/// etcd 3.7 as recorded beside Kubernetes v1.37.
const VERSION: &str = "3.7.0";
/// What a key costs in the database beside its value (bucket, revision bytes, page overhead).
const KEY_OVERHEAD_BYTES: i64 = 120;

/// A row of the recent history, for the page.
#[derive(Clone, Debug)]
pub struct Change {
    pub revision: i64,
    pub at: Time,
    pub key: Key,
    pub deleted: bool,
    /// 1: created.
    pub version: i64,
    pub cause: u64,
}

/// One etcd member with its data directory. Clone is O(1).
#[derive(Clone, Debug)]
pub struct Member {
    id: u64,
    name: Rc<str>,
    store: Store,
    leases: Leases,
    watchers: Watchers,
    raft_index: u64,
}

impl Member {
    pub fn new(name: &str) -> Member {
        Member {
            id: base::hash64(name.as_bytes()),
            name: name.into(),
            store: Store::default(),
            leases: Leases::default(),
            watchers: Watchers::default(),
            raft_index: 4,
        }
    }

    /// Handles one message. Answers go out after [`RESPONSE_DELAY`], a transaction's before the watch events it makes.
    pub fn handle(&mut self, now: Time, message: sim::Message, out: &mut Outbox) {
        let cause = message.cause.0;
        match message.payload {
            Payload::Start => self.start(now, out),
            Payload::Timer(token) => self.lease_due(token as i64, now, out),
            Payload::PeerGone { peer } => self.watchers.remove_client(peer),
            Payload::ApiRequest { id, request } => {
                let response = Rc::new(crate::gateway::answer(self, &request));
                out.send_after(RESPONSE_DELAY, message.from, Payload::ApiResponse { id, response });
            }
            Payload::Etcd(Message::Request { id, request }) => {
                let response = self.serve(now, message.from, cause, &request, id, out);
                if let Some(response) = response {
                    self.answer(message.from, id, response, out);
                }
            }
            _ => {}
        }
    }

    /// The data directory is still there, connections are not.
    fn start(&mut self, now: Time, out: &mut Outbox) {
        self.watchers = Watchers::default();
        self.leases.renew_all(now);
        for (id, lease) in self.leases.iter() {
            out.timer(lease.ttl, id as u64);
        }
    }

    fn answer(&self, to: Addr, id: u64, response: Response, out: &mut Outbox) {
        let message = Message::Response { id, revision: self.store.revision(), response: Rc::new(response) };
        out.send_after(RESPONSE_DELAY, to, Payload::Etcd(message));
    }

    /// Answers a request, or nothing if it has answered itself.
    fn serve(&mut self, now: Time, from: Addr, cause: u64, request: &Request, id: u64, out: &mut Outbox) -> Option<Response> {
        Some(match request {
            Request::Txn(txn) => {
                let stamp = self.store.next(now, cause);
                let response = self.txn(txn, stamp);
                self.answer(from, id, response, out);
                self.notify(stamp.revision, out);
                return None;
            }
            Request::Range(range) => self.store.range(range).map_or_else(Response::Error, Response::Range),
            Request::Watch(request) => {
                self.watch(from, id, request, out);
                return None;
            }
            Request::CancelWatch { watch_id } => {
                self.watchers.remove((from, *watch_id));
                self.send(from, Message::WatchCanceled { watch_id: *watch_id, compact_revision: 0 }, out);
                return None;
            }
            Request::WatchProgress => {
                self.progress(from, out);
                return None;
            }
            Request::Compact { revision } => self.store.compact(*revision).map_or_else(Response::Error, |()| Response::Compact),
            Request::LeaseRevoke { id: lease } => {
                if !self.leases.contains(*lease) {
                    return Some(Response::Error(Error::LeaseNotFound));
                }
                self.answer(from, id, Response::LeaseRevoke, out);
                self.revoke(*lease, now, cause, out);
                return None;
            }
            other => self.serve_small(now, other, out),
        })
    }

    /// Leases and maintenance.
    fn serve_small(&mut self, now: Time, request: &Request, out: &mut Outbox) -> Response {
        let refused = Response::Error;
        match request {
            Request::LeaseGrant { id, ttl_s } => match self.leases.grant(*id, *ttl_s, now) {
                Ok(ttl) => {
                    self.raft_index += 1;
                    out.timer(ttl, *id as u64);
                    Response::LeaseGrant { id: *id, ttl_s: *ttl_s }
                }
                Err(e) => refused(e),
            },
            Request::LeaseKeepAlive { id } => {
                let kept = self.leases.keep_alive(*id, now);
                kept.map_or_else(refused, |ttl| Response::LeaseKeepAlive { ttl_s: ttl.as_secs() })
            }
            Request::LeaseTimeToLive { id } => {
                self.leases.get(*id).map_or(refused(Error::LeaseNotFound), |lease| Response::LeaseTimeToLive {
                    granted_ttl_s: lease.ttl.as_secs(),
                    ttl_s: (lease.expires - now).as_secs(),
                    keys: lease.keys.iter().cloned().collect(),
                })
            }
            Request::MemberList => Response::MemberList(vec![self.describe()]),
            Request::Status => Response::Status(self.status()),
            Request::HashKv { .. } => Response::HashKv { hash: self.store.digest(), compact_revision: self.store.compacted() },
            Request::Alarm => Response::Alarm(Vec::new()),
            // Nothing to give back: what compaction frees is free at once.
            Request::Defragment => Response::Defragment,
            // The cluster saves itself as a whole (see crate cluster); a member's own file format is not modelled.
            Request::Snapshot => Response::Snapshot(Rc::new([])),
            _ => refused(Error::Timeout),
        }
    }

    fn txn(&mut self, txn: &TxnRequest, stamp: Stamp) -> Response {
        let succeeded = txn.compare.iter().all(|c| self.store.compare(c));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        if let Some(e) = self.refuse(ops) {
            return Response::Error(e);
        }
        let before = self.store.log().len();
        let mut responses = Vec::with_capacity(ops.len());
        for op in ops {
            match self.apply(op, stamp) {
                Ok(response) => responses.push(response),
                // Only a range can fail here (an old revision), and upstream checks it before it applies.
                Err(e) => return Response::Error(e),
            }
        }
        if self.store.log().len() > before {
            self.store.commit(stamp);
            self.raft_index += 1;
        }
        Response::Txn { succeeded, responses }
    }

    /// What makes a whole transaction fail.
    fn refuse(&self, ops: &[Op]) -> Option<Error> {
        for (i, op) in ops.iter().enumerate() {
            let Op::Put { key, lease, .. } = op else { continue };
            if *lease != 0 && !self.leases.contains(*lease) {
                return Some(Error::LeaseNotFound);
            }
            if ops[..i].iter().any(|other| matches!(other, Op::Put { key: k, .. } if k == key)) {
                return Some(Error::DuplicateKey);
            }
        }
        None
    }

    fn apply(&mut self, op: &Op, stamp: Stamp) -> Result<OpResponse, Error> {
        Ok(match op {
            Op::Put { key, value, lease } => {
                let prev = self.store.put(key, value.clone(), *lease, stamp);
                self.leases.move_key(key, prev.map_or(0, |p| p.lease), *lease);
                OpResponse::Put
            }
            Op::DeleteRange(range) => OpResponse::DeleteRange { deleted: self.delete_range(range, stamp) },
            Op::Range(range) => OpResponse::Range(self.store.range(range)?),
        })
    }

    fn delete_range(&mut self, range: &KeyRange, stamp: Stamp) -> i64 {
        if range.end.is_none() {
            return i64::from(self.delete(&range.key, stamp));
        }
        let keys = self.store.keys_in(range);
        keys.iter().filter(|key| self.delete(key, stamp)).count() as i64
    }

    fn delete(&mut self, key: &Key, stamp: Stamp) -> bool {
        let Some(prev) = self.store.delete(key, stamp) else { return false };
        self.leases.move_key(key, prev.lease, 0);
        true
    }

    /// Tells watchers of the changes of the newest revision.
    fn notify(&mut self, revision: i64, out: &mut Outbox) {
        let mut batches: Vec<(WatcherId, Vec<Event>)> = Vec::new();
        let log = self.store.log();
        let mut first = log.len();
        while first > 0 && log[first - 1].revision == revision {
            first -= 1;
        }
        for i in first..log.len() {
            let entry = &log[i];
            for id in self.watchers.candidates(&entry.key) {
                let Some(event) = self.watchers.peek(id).and_then(|w| w.event(entry)) else { continue };
                match batches.iter_mut().find(|(i, _)| *i == id) {
                    Some((_, events)) => events.push(event),
                    None => batches.push((id, vec![event])),
                }
            }
        }
        for (id, events) in batches {
            self.send_batch(id, events, out);
        }
    }

    fn send_batch(&mut self, id: WatcherId, events: Vec<Event>, out: &mut Outbox) {
        let revision = self.store.revision();
        let Some(watcher) = self.watchers.get_mut(id) else { return };
        let after = std::mem::replace(&mut watcher.sent, revision);
        self.send(id.0, Message::WatchEvents { watch_id: id.1, after, revision, events: Rc::new(events) }, out);
    }

    fn send(&self, to: Addr, message: Message, out: &mut Outbox) {
        out.send_after(RESPONSE_DELAY, to, Payload::Etcd(message));
    }

    fn progress(&mut self, client: Addr, out: &mut Outbox) {
        for id in self.watchers.of(client) {
            self.send_batch(id, Vec::new(), out);
        }
    }

    fn watch(&mut self, from: Addr, id: u64, request: &WatchRequest, out: &mut Outbox) {
        let watch_id = request.watch_id;
        self.watchers.remove((from, watch_id));
        self.answer(from, id, Response::WatchCreated { watch_id }, out);
        if request.start_revision > 0 && request.start_revision < self.store.compacted() {
            let compact_revision = self.store.compacted();
            return self.send(from, Message::WatchCanceled { watch_id, compact_revision }, out);
        }
        let (start, now) = (request.start_revision, self.store.revision());
        self.watchers.add(from, request, if start > 0 { (start - 1).min(now) } else { now });
        if start == 0 || start > now {
            return;
        }
        let Some(watcher) = self.watchers.peek((from, watch_id)) else { return };
        let backlog: Vec<Event> = self.store.changes_from(start).filter_map(|e: &Entry| watcher.event(e)).collect();
        if !backlog.is_empty() {
            self.send_batch((from, watch_id), backlog, out);
        }
    }

    fn lease_due(&mut self, id: i64, now: Time, out: &mut Outbox) {
        match self.leases.get(id).map(|lease| lease.expires - now) {
            Some(left) if left > Duration::ZERO => out.timer(left, id as u64),
            Some(_) => self.revoke(id, now, out.handling.0, out),
            None => {}
        }
    }

    /// Deletes a lease and its keys, in one revision.
    fn revoke(&mut self, id: i64, now: Time, cause: u64, out: &mut Outbox) {
        let Some(lease) = self.leases.remove(id) else { return };
        let stamp = self.store.next(now, cause);
        let mut any = false;
        for key in &lease.keys {
            any |= self.store.delete(key, stamp).is_some();
        }
        self.raft_index += 1;
        if any {
            self.store.commit(stamp);
            self.notify(stamp.revision, out);
        }
    }

    pub(crate) fn describe(&self) -> etcd_api::Member {
        etcd_api::Member {
            id: self.id,
            name: self.name.clone(),
            peer_url: "https://127.0.0.1:2380".into(),
            client_url: "https://127.0.0.1:2379".into(),
        }
    }
}

/// What the page and `etcdctl endpoint status` see.
impl Member {
    pub fn store(&self) -> &Store {
        &self.store
    }
    pub fn id(&self) -> u64 {
        self.id
    }
    pub fn name(&self) -> &str {
        &self.name
    }
    pub fn revision(&self) -> i64 {
        self.store.revision()
    }
    /// A hash of everything ever written, in order.
    pub fn digest(&self) -> u64 {
        self.store.digest()
    }
    pub fn watch_count(&self) -> usize {
        self.watchers.len()
    }
    pub fn lease_count(&self) -> usize {
        self.leases.iter().count()
    }
    /// The newest `n` changes, newest first.
    pub fn recent(&self, n: usize) -> Vec<Change> {
        let change = |e: &Entry| Change {
            revision: e.revision,
            at: e.at,
            key: e.key.clone(),
            deleted: e.kv.is_none(),
            version: e.kv.as_ref().map_or(0, |kv| kv.version),
            cause: e.cause,
        };
        self.store.log().iter().rev().take(n).map(change).collect()
    }
    /// How many keys there are below each of the resource prefixes (`/registry/pods/`): for the page's picture of the store.
    pub fn counts(&self) -> Map<Rc<str>, usize> {
        let mut counts: Map<Rc<str>, usize> = Map::default();
        for key in self.store.keys_in(&KeyRange::prefix("/")) {
            let prefix = crate::watch::bucket(&key);
            match counts.get_mut(prefix) {
                Some(n) => *n += 1,
                None => {
                    counts.insert(prefix.into(), 1);
                }
            }
        }
        counts
    }
    pub fn status(&self) -> StatusResponse {
        let in_use = self.store.size_in_use() + self.store.len() as i64 * KEY_OVERHEAD_BYTES;
        StatusResponse {
            version: VERSION.into(),
            db_size: in_use + self.store.log().len() as i64 * KEY_OVERHEAD_BYTES,
            db_size_in_use: in_use,
            leader: self.id,
            raft_index: self.raft_index,
            raft_term: 2,
            raft_applied_index: self.raft_index,
            is_learner: false,
        }
    }
}
