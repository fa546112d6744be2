//! A member: one process of an etcd cluster with its data directory. Takes messages and time, and hands them to the file that
//! knows: `serve` (what clients ask), `consensus` (Raft and the other members), `apply` (what was agreed on), `notify` (watches).

use std::rc::Rc;

use base::{Duration, Map, Set, Time, Vector};
use etcd_api::raftpb::EntryData;
use etcd_api::{Key, KeyRange, Message, Proposal, Request, StatusResponse};
use sim::{Addr, Outbox, Payload};

use crate::client::{Client, Waiting};
use crate::config::MemberConfig;
use crate::consensus::Reads;
use crate::data_dir::{DataDir, Node};
use crate::store::{Entry, Store};
use crate::watch::Watchers;

/// How long a member works on anything: mostly the disk's flush. One number for reads and writes keeps everything that is said
/// to a client in the order in which it happened.
pub const RESPONSE_DELAY: Duration = Duration::from_millis(1);

/// etcd 3.7 as recorded beside Kubernetes v1.37.
pub const VERSION: &str = "3.7.0";
/// What a key costs in the database beside its value (bucket, revision bytes, page overhead).
const KEY_OVERHEAD_BYTES: i64 = 120;

/// Timers that aren't a lease's (whose tokens are their numbers) have the highest bit set.
pub(crate) mod timer {
    pub const TICK: u64 = 1 << 63;
    pub const JOIN: u64 = (1 << 63) + 1;
}

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
    pub(crate) config: Rc<MemberConfig>,
    /// Who listens at a peer URL: the network's, known before anything runs.
    pub(crate) network: Map<Rc<str>, Addr>,
    pub(crate) data: DataDir,
    pub(crate) watchers: Watchers,
    /// Proposals under way, by number.
    pub(crate) waiting: Map<u64, Waiting>,
    /// Proposals that wait for a leader.
    pub(crate) queued: Vector<EntryData<Rc<Proposal>>>,
    pub(crate) reads: Reads,
    /// Requests handed to the leader: whose they were.
    pub(crate) relayed: Map<u64, Waiting>,
    /// Who asked for leadership to be moved, and to whom.
    pub(crate) transfer: Option<(Waiting, u64)>,
    /// Where a member was last heard from.
    pub(crate) heard: Map<u64, Addr>,
    /// Numbers everything that is asked of others.
    pub(crate) counter: u64,
    pub(crate) ticking: bool,
    /// The leader as of the last look, and since when there is one.
    pub(crate) known_lead: u64,
    pub(crate) lead_since: Time,
    /// Ticks without a leader.
    pub(crate) leaderless: u32,
    /// When it last told the cluster its name.
    pub(crate) published: Option<Time>,
    /// It joins a cluster and doesn't know its own number yet.
    pub(crate) joining: bool,
    /// Why its process must end.
    pub(crate) fatal: Option<Rc<str>>,
}

impl Member {
    /// A cluster of one, with an empty data directory.
    pub fn new(name: &str) -> Member {
        Member::with(MemberConfig::alone(name), None, Map::default())
    }

    /// A member with the flags of its command line. Without a data directory a new one is made.
    pub fn with(config: MemberConfig, data: Option<DataDir>, network: Map<Rc<str>, Addr>) -> Member {
        let joining = data.is_none() && config.existing;
        let data = data.unwrap_or_else(|| match joining {
            true => DataDir::joining(&config, 0),
            false => DataDir::new(&config),
        });
        Member {
            config: Rc::new(config),
            network,
            data,
            watchers: Watchers::default(),
            waiting: Map::default(),
            queued: Vector::new(),
            reads: Reads::default(),
            relayed: Map::default(),
            transfer: None,
            heard: Map::default(),
            counter: 0,
            ticking: false,
            known_lead: 0,
            lead_since: Time::EPOCH,
            leaderless: 0,
            published: None,
            joining,
            fatal: None,
        }
    }

    /// Handles one message. Answers go out after [`RESPONSE_DELAY`], a transaction's before the watch events it makes.
    pub fn handle(&mut self, now: Time, message: sim::Message, out: &mut Outbox) {
        if self.fatal.is_some() {
            return;
        }
        let cause = message.cause.0;
        match message.payload {
            Payload::Start => self.start(now, out),
            Payload::Timer(timer::TICK) => self.tick(now, out),
            Payload::Timer(timer::JOIN) => self.ask_to_join(out),
            Payload::Timer(token) => self.lease_due(token as i64, now, out),
            Payload::PeerGone { peer } => self.watchers.remove_client(peer),
            Payload::ApiRequest { id, request } => self.gateway(now, message.from, id, cause, &request, out),
            Payload::Etcd(Message::Request { id, request }) => {
                let client = Client::Grpc { addr: message.from, id };
                self.serve(now, client, cause, &request, out);
            }
            Payload::Etcd(Message::Raft(m)) => self.peer_says(now, message.from, &m, out),
            Payload::Etcd(Message::Response { id, response, .. }) => self.peer_answered(now, id, &response, out),
            Payload::Etcd(Message::MemberRemoved) => self.end("the member has been permanently removed from the cluster"),
            _ => {}
        }
    }

    fn gateway(&mut self, now: Time, from: Addr, id: u64, cause: u64, request: &apimachinery::Request, out: &mut Outbox) {
        match crate::gateway::parse(self, request) {
            Ok((asked, keys_only)) => {
                let client = Client::Http { addr: from, id, keys_only };
                self.serve(now, client, cause, &Rc::new(asked), out);
            }
            Err(response) => out.send_after(RESPONSE_DELAY, from, Payload::ApiResponse { id, response: Rc::new(response) }),
        }
    }

    /// The data directory is still there, connections are not.
    fn start(&mut self, now: Time, out: &mut Outbox) {
        let fresh = Member::with((*self.config).clone(), Some(self.data.clone()), self.network.clone());
        let joining = self.joining;
        *self = Member { joining, counter: now.0 as u64, ..fresh };
        if joining {
            return self.ask_to_join(out);
        }
        if self.data.state.removed.contains(&self.data.id) {
            return self.end("the member has been permanently removed from the cluster");
        }
        let (applied, conf) = (self.raft().applied(), self.raft().conf_state());
        self.data.raft.restart(applied, &conf);
        if conf.voters == [self.data.id] && conf.learners.is_empty() {
            self.data.raft.campaign();
        }
        self.work(now, out);
        self.keep_ticking(now, out);
    }

    /// After a restart or a change of leader every lease lives its whole time again.
    pub(crate) fn renew_leases(&mut self, now: Time, out: &mut Outbox) {
        self.data.state.leases.renew_all(now);
        for (id, lease) in self.data.state.leases.iter() {
            out.timer(lease.ttl, id as u64);
        }
    }

    /// Whatever goes wrong beyond repair ends the process.
    pub(crate) fn end(&mut self, why: &str) {
        self.fatal = Some(why.into());
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.counter += 1;
        base::mix64(self.data.id ^ base::mix64(self.counter)) | 1
    }

    /// Who listens at a peer URL.
    pub fn set_peer(&mut self, peer_url: &Rc<str>, addr: Addr) {
        self.network.insert(peer_url.clone(), addr);
    }

    /// Asks another member something in a client's name.
    pub(crate) fn relay(&mut self, now: Time, to: Addr, client: Client, request: &Rc<Request>, out: &mut Outbox) {
        let id = self.next_id();
        self.relayed.insert(id, Waiting { client, since: now });
        out.send(to, Payload::Etcd(Message::Request { id, request: request.clone() }));
    }
}

/// What the page and `etcdctl endpoint status` see.
impl Member {
    pub fn store(&self) -> &Store {
        &self.data.state.store
    }
    /// The state machine: role, term, log, progress of the others.
    pub fn raft(&self) -> &Node {
        &self.data.raft
    }
    /// What survives the process.
    pub fn data_dir(&self) -> &DataDir {
        &self.data
    }
    /// Why its process has to end, if it has.
    pub fn fatal(&self) -> Option<&str> {
        self.fatal.as_deref()
    }
    pub fn id(&self) -> u64 {
        self.data.id
    }
    pub fn name(&self) -> &str {
        &self.config.name
    }
    pub fn revision(&self) -> i64 {
        self.store().revision()
    }
    /// A hash of everything ever written, in order.
    pub fn digest(&self) -> u64 {
        self.store().digest()
    }
    pub fn watch_count(&self) -> usize {
        self.watchers.len()
    }
    pub fn lease_count(&self) -> usize {
        self.data.state.leases.iter().count()
    }
    /// The cluster's members as this one knows them.
    pub fn members(&self) -> impl Iterator<Item = &etcd_api::Member> {
        self.data.state.members.values()
    }
    pub fn alarms(&self) -> &Set<etcd_api::AlarmMember> {
        &self.data.state.alarms
    }
    /// Writes that wait to be agreed on, and reads that wait for a quorum's word.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len() + self.reads.len()
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
        self.store().log().iter().rev().take(n).map(change).collect()
    }
    /// How many keys there are below each of the resource prefixes (`/registry/pods/`): for the page's picture of the store.
    pub fn counts(&self) -> Map<Rc<str>, usize> {
        let mut counts: Map<Rc<str>, usize> = Map::default();
        for key in self.store().keys_in(&KeyRange::prefix("/")) {
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
    /// Bytes that the database needs, estimated: keys and values, and the revisions that aren't compacted yet.
    pub(crate) fn size_in_use(&self) -> i64 {
        let store = self.store();
        store.size_in_use() + (store.len() + store.log().len()) as i64 * KEY_OVERHEAD_BYTES
    }
    pub fn status(&self) -> StatusResponse {
        let (in_use, raft) = (self.size_in_use(), self.raft());
        let mut errors: Vec<Rc<str>> = Vec::new();
        if raft.lead() == 0 {
            errors.push(etcd_api::Error::NoLeader.text().into());
        }
        errors.extend(self.alarms().iter().map(|a| format!("memberID:{} alarm:{} ", a.member, a.alarm).into()));
        StatusResponse {
            version: VERSION.into(),
            db_size: self.data.file_size.max(in_use),
            db_size_in_use: in_use,
            leader: raft.lead(),
            raft_index: raft.commit(),
            raft_term: raft.term(),
            raft_applied_index: raft.applied(),
            is_learner: raft.is_learner(),
            errors,
            quota: self.config.quota,
        }
    }
}
