//! The server's state and the messages it handles.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Gvr, Object, UserInfo, Value, Verb, WatchEventType, resources};
use base::{Duration, Map, Sym, Time, Vector};
use sim::{Addr, Message, MsgId, Outbox, Payload, StreamId};

use crate::admission::{self, Plugin};
use crate::aggregator::Aggregator;
use crate::alloc::Allocations;
use crate::authz;
use crate::boot::Boot;
use crate::cache::PodIndex;
use crate::call::Pending;
use crate::config::Config;
use crate::custom::{Caches, Customs};
use crate::endpoints::Endpoints;
use crate::flowcontrol::FlowControl;
use crate::memo::Memo;
use crate::proxy::Relays;
use crate::registry::Collection;
use crate::scheme::{Scheme, dual_stack_scheme, scheme};
use crate::stages::Ring;
use crate::token::Claims;
use crate::watchers::Watchers;

/// Tokens of the server's own timers.
pub(crate) mod timer {
    pub const FLUSH: u64 = 1;
    pub const SWEEP: u64 = 2;
    pub const BOOKMARKS: u64 = 3;
    pub const DEADLINES: u64 = 4;
    pub const COMPACT: u64 = 5;
    pub const RECONNECT: u64 = 6;
    pub const AGGREGATOR: u64 = 7;
    pub const DEFINITIONS: u64 = 8;
    pub const MASTER_LEASE: u64 = 9;
    pub const FLOW_WAIT: u64 = 10;
    pub const FLOW_PERIOD: u64 = 11;
}

/// How long events are gathered before they are sent: one message then carries them all.
const FLUSH_DELAY: Duration = Duration::from_micros(500);
/// `--etcd-healthcheck-timeout` and `--etcd-readycheck-timeout`
const ETCD_HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// `--request-timeout`
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Models `cacher.go`'s bookmark frequency.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// `--etcd-compaction-interval`
pub(crate) const COMPACTION_PERIOD: Duration = Duration::from_secs(300);

/// Derived answers, see [`Memo`].
#[derive(Clone, Default)]
pub(crate) struct Memos {
    pub users: Memo<usize, (Rc<UserInfo>, Rc<UserInfo>)>,
    pub tokens: Memo<Rc<str>, Option<(Rc<UserInfo>, Rc<Claims>)>>,
    pub grants: Memo<u128, authz::Grant>,
    pub bound: Memo<u128, authz::Bound>,
    /// What aggregated discovery tells of the groups that are built in.
    pub discovery: Memo<Sym, Value>,
}

/// One kube-apiserver process. A clone shares everything.
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) config: Rc<Config>,
    pub(crate) scheme: Rc<Scheme>,
    pub(crate) admission: Rc<[&'static dyn Plugin]>,
    pub(crate) memo: Memos,
    pub(crate) caches: Caches,
    pub(crate) customs: Customs,
    pub(crate) pods: PodIndex,
    pub(crate) watchers: Watchers,
    pub(crate) pending: Map<u64, Pending>,
    /// When a pending request was sent to etcd. Numbers grow, so the first is the oldest.
    pub(crate) waiting: Map<u64, Time>,
    pub(crate) endpoints: Endpoints,
    pub(crate) flow: FlowControl,
    pub(crate) collections: Map<u64, Collection>,
    /// Numbers etcd requests, and everything random.
    pub(crate) counter: u64,
    pub(crate) boot: Boot,
    /// Its key among all servers' is kept alive by a timer.
    pub(crate) is_master: bool,
    /// Requests that wait for the end of the boot.
    pub(crate) held: Vector<Message>,
    pub(crate) allocations: Allocations,
    pub(crate) relays: Relays,
    pub(crate) aggregator: Aggregator,
    pub(crate) kubelets: Map<Rc<str>, Addr>,
    pub(crate) event_lease: (i64, Time),
    /// The object written last, with its revision: the watch event that follows takes the same one.
    pub(crate) written: Option<(i64, Object)>,
    /// The newest revision that etcd has named.
    pub(crate) revision: i64,
    pub(crate) compact_to: i64,
    pub(crate) ring: Ring,
    /// Requests answered by code, for /metrics.
    pub(crate) answered: Map<(Verb, u16), u64>,
    pub(crate) requests: crate::metrics::Requests,
    /// [`timer::RECONNECT`] is set.
    pub(crate) reconnects: bool,
    /// Nothing has come from etcd since a connection to it broke or a request to it ran out of time.
    pub(crate) etcd_is_lost: bool,
    flush_armed: bool,
    sweep_armed: bool,
    deadline_armed: Option<Time>,
}

/// Where the numbers of a server's life begin: beyond those of its earlier lives, and apart from those of other servers.
fn first_draw(config: &Config, now: Time) -> u64 {
    let seconds = now.since(config.epoch).as_secs().max(0) as u64;
    u64::from(config.instance) << 56 | seconds << 24
}

impl ApiServer {
    pub fn new(config: Config) -> ApiServer {
        let scheme = if config.service_cidr.contains(',') { dual_stack_scheme() } else { scheme() };
        ApiServer {
            caches: Caches::new(scheme.storages.len()),
            customs: Customs::default(),
            endpoints: Endpoints::new(&config.etcd_servers),
            admission: admission::enabled(&config),
            config: Rc::new(config),
            scheme,
            memo: Memos::default(),
            pods: PodIndex::default(),
            watchers: Watchers::default(),
            pending: Map::default(),
            waiting: Map::default(),
            flow: FlowControl::default(),
            collections: Map::default(),
            counter: 0,
            boot: Boot::default(),
            is_master: false,
            held: Vector::default(),
            allocations: Allocations::default(),
            relays: Relays::default(),
            aggregator: Aggregator::default(),
            kubelets: Map::default(),
            event_lease: (0, Time::EPOCH),
            written: None,
            revision: 0,
            compact_to: 0,
            ring: Ring::default(),
            answered: Map::default(),
            requests: Default::default(),
            reconnects: false,
            flush_armed: false,
            sweep_armed: false,
            etcd_is_lost: false,
            deadline_armed: None,
        }
    }

    /// Tells where a node's kubelet listens (logs, exec); `None`: no longer.
    pub fn set_kubelet(&mut self, node: &str, addr: Option<Addr>) {
        match addr {
            Some(addr) => self.kubelets.insert(node.into(), addr),
            None => self.kubelets.remove(node),
        };
    }

    /// Whether every start-up hook has finished. `/readyz` wants that, and etcd.
    pub fn is_ready(&self) -> bool {
        self.boot.is_done()
    }

    /// Whether etcd answers in time, by what was asked of it last: upstream asks it for a key of its own, `/registry/health`.
    pub fn etcd_answers(&self, now: Time) -> bool {
        !self.etcd_is_lost && self.waiting.get_min().is_none_or(|(_, at)| now.since(*at) <= ETCD_HEALTH_TIMEOUT)
    }

    /// Handles one message.
    pub fn handle(&mut self, now: Time, message: Message, out: &mut Outbox) {
        self.handle_message(now, message, out);
        if self.flow.needs_care && self.is_ready() {
            self.care_for_flows(now, out);
        }
    }

    fn handle_message(&mut self, now: Time, message: Message, out: &mut Outbox) {
        match message.payload {
            Payload::Start => self.start(now, out),
            Payload::Timer(token) => self.timer(token, now, out),
            Payload::ApiRequest { id, ref request } => {
                let holds = !self.is_ready() && !request.gvr.resource.is_empty();
                if holds {
                    self.held.push_back(message);
                } else {
                    let request = request.clone();
                    self.receive(now, message.id, message.from, id, &request, out);
                }
            }
            Payload::Etcd(m) if message.from == self.endpoints.current() => self.from_etcd(now, m, out),
            Payload::StreamEnd { id } => self.stream_ended(message.from, id, now, out),
            Payload::StreamFrame { id, channel, data } => self.relay_frame(message.from, id, channel, data, out),
            Payload::ApiResponse { id, ref response } if self.remote_answered(id, response, now, out) => {}
            Payload::ApiResponse { id, response } => self.kubelet_answered(message.from, id, response, now, out),
            Payload::PeerGone { peer } => self.peer_gone(peer, now, out),
            _ => {}
        }
    }

    /// Starts with an empty memory: everything comes from etcd.
    fn start(&mut self, now: Time, out: &mut Outbox) {
        let mut fresh = ApiServer::new((*self.config).clone());
        fresh.counter = self.counter.max(first_draw(&self.config, now));
        fresh.kubelets = std::mem::take(&mut self.kubelets);
        let early = std::mem::replace(self, fresh).held;
        for message in early {
            // Who came before there was a listener.
            if let Payload::ApiRequest { id, .. } = message.payload {
                out.respond(message.from, id, sim::transport_error("dial tcp: connect: connection refused"));
            }
        }
        self.open_storages(now, out);
        out.timer(BOOKMARK_PERIOD, timer::BOOKMARKS);
        out.timer(COMPACTION_PERIOD, timer::COMPACT);
    }

    fn timer(&mut self, token: u64, now: Time, out: &mut Outbox) {
        match token {
            timer::FLUSH => self.flush(out),
            timer::SWEEP => self.sweep(now, out),
            timer::BOOKMARKS => self.bookmarks(out),
            timer::DEADLINES => self.end_overdue_watches(now, out),
            timer::COMPACT => self.compact(now, out),
            timer::RECONNECT => self.reopen_watches(now, out),
            timer::AGGREGATOR => self.check_remotes(now, out),
            timer::DEFINITIONS => self.look_at_definitions(now, out),
            timer::MASTER_LEASE => self.renew_master_lease(now, out),
            timer::FLOW_WAIT => self.end_overdue_waits(now, out),
            timer::FLOW_PERIOD => self.share_seats_out(now, out),
            _ => {}
        }
    }

    /// Takes the requests that came during the boot.
    pub(crate) fn release_held(&mut self, now: Time, out: &mut Outbox) {
        for message in std::mem::take(&mut self.held) {
            out.set_cause(Some(message.id));
            if let Payload::ApiRequest { id, request } = message.payload {
                self.receive(now, message.id, message.from, id, &request, out);
            }
        }
        out.set_cause(None);
    }

    /// A number never used before, by this server or another of the cluster.
    pub(crate) fn draw(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Makes sure that what has become ready is sent soon.
    pub(crate) fn arm_flush(&mut self, out: &mut Outbox) {
        if !self.flush_armed {
            self.flush_armed = true;
            out.timer(FLUSH_DELAY, timer::FLUSH);
        }
    }

    fn flush(&mut self, out: &mut Outbox) {
        self.flush_armed = false;
        for (client, stream, _, events) in self.watchers.take_ready() {
            let cause = events.iter().rev().map(|e| e.cause).find(|c| *c > 0);
            out.set_cause(cause.map(MsgId));
            out.watch_events(client, stream, events);
        }
        out.set_cause(None);
    }

    pub(crate) fn arm_sweep(&mut self, out: &mut Outbox) {
        if !self.sweep_armed {
            self.sweep_armed = true;
            out.timer(self.endpoints.patience(REQUEST_TIMEOUT), timer::SWEEP);
        }
    }

    /// Gives up on requests that etcd has not answered in time.
    fn sweep(&mut self, now: Time, out: &mut Outbox) {
        self.sweep_armed = false;
        while let Some((id, at)) = self.waiting.get_min().map(|(id, at)| (*id, *at)) {
            let left = at + self.endpoints.patience(REQUEST_TIMEOUT) - now;
            if left > Duration::ZERO {
                self.sweep_armed = true;
                out.timer(left, timer::SWEEP);
                return;
            }
            self.etcd_is_lost = true;
            if self.endpoints.turn() {
                return self.ask_the_next(now, out);
            }
            let text = "request did not complete within requested timeout - context deadline exceeded";
            self.give_up(id, Status::timeout(text, 0), now, out);
        }
    }

    pub(crate) fn arm_deadline(&mut self, now: Time, out: &mut Outbox) {
        let Some(next) = self.watchers.next_deadline() else { return };
        if self.deadline_armed.is_none_or(|armed| next < armed) {
            self.deadline_armed = Some(next);
            out.timer(next - now, timer::DEADLINES);
        }
    }

    fn end_overdue_watches(&mut self, now: Time, out: &mut Outbox) {
        self.deadline_armed = None;
        for id in self.watchers.overdue(now) {
            if let Some(watcher) = self.watchers.remove(id) {
                if !watcher.ready.is_empty() {
                    out.watch_events(watcher.client, watcher.stream, watcher.ready);
                }
                out.send(watcher.client, Payload::StreamEnd { id: watcher.stream });
            }
        }
        self.arm_deadline(now, out);
    }

    /// Tells watchers that asked for it how far they have come.
    fn bookmarks(&mut self, out: &mut Outbox) {
        let due: Vec<_> = self.watchers.iter().filter(|(_, w)| w.bookmarks && w.ready.is_empty()).map(|(id, _)| *id).collect();
        for id in due {
            let Some(watcher) = self.watchers.get_mut(id) else { continue };
            let Some(storage) = watcher.resource.storage else { continue };
            let revision = self.caches[storage].revision.max(self.revision);
            if revision <= watcher.told {
                continue;
            }
            watcher.told = revision;
            let object = crate::registry::bookmark(&watcher.resource, revision, false);
            let event = apimachinery::WatchEvent { kind: WatchEventType::Bookmark, object, cause: 0 };
            watcher.ready.push(event);
            self.watchers.mark(id);
        }
        if self.watchers.has_dirty() {
            self.arm_flush(out);
        }
        out.timer(BOOKMARK_PERIOD, timer::BOOKMARKS);
    }

    fn stream_ended(&mut self, client: Addr, stream: StreamId, now: Time, out: &mut Outbox) {
        self.leave_queue(client, Some(stream), now);
        match self.watchers.by_stream(client, stream) {
            Some(id) => {
                self.watchers.remove(id);
            }
            None => self.relay_end(client, stream, out),
        }
    }

    fn peer_gone(&mut self, peer: Addr, now: Time, out: &mut Outbox) {
        if peer == self.endpoints.current() {
            return self.etcd_gone(now, out);
        }
        self.leave_queue(peer, None, now);
        for id in self.watchers.of_client(peer) {
            self.watchers.remove(id);
        }
        self.relay_peer_gone(peer, out);
    }
}

/// Reading from the cache, for the server's own needs.
impl ApiServer {
    /// An object as the cache has it.
    pub(crate) fn peek(&self, gvr: Gvr, namespace: &str, name: &str) -> Option<&Object> {
        let storage = self.storage(self.resource(gvr)?.storage?);
        self.caches[storage.index].get(&storage.key(namespace, name))
    }
    /// All objects of a resource in a namespace (empty: everywhere).
    pub(crate) fn all(&self, gvr: Gvr, namespace: &str) -> impl Iterator<Item = &Object> {
        let storage = self.resource(gvr).and_then(|r| r.storage).map(|i| self.storage(i));
        // Most writes look for quotas and limits, and most clusters have none.
        let storage = storage.filter(|s| !self.caches[s.index].objects.is_empty());
        storage.into_iter().flat_map(move |s| self.caches[s.index].scope(&s.scope(namespace)).map(|(_, o)| o))
    }
    pub(crate) fn pods_on(&self, node: &str) -> impl Iterator<Item = &Object> {
        let storage = self.scheme.storage(resources::pods()).expect("pods are served");
        self.pods.on(node).filter_map(move |key| self.caches[storage].get(key))
    }
}
