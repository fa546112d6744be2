//! etcd's v3 API as messages: what kube-apiserver (and `etcdctl`) says to an etcd member and what comes back.
//!
//! Models `etcdserverpb`: Range, Txn, Compact, Watch, Lease*, Maintenance. Keys are texts (`/registry/pods/default/web`);
//! values are objects as shared trees or bytes. kube-apiserver knows etcd only through these types, so that a real etcd (with
//! values serialised) or several members under Raft can stand behind them.

pub mod raftpb;

use std::any::Any;
use std::rc::Rc;

use apimachinery::Object;

/// `/registry/pods/default/web`
pub type Key = Rc<str>;

/// A stored value.
#[derive(Clone, PartialEq, Debug)]
pub enum Stored {
    /// An API object. Its `metadata.resourceVersion` is absent in the store: the revision is.
    Object(Object),
    Bytes(Rc<[u8]>),
}

/// A key with its value and revisions. Models `mvccpb.KeyValue`.
#[derive(Clone, PartialEq, Debug)]
pub struct KeyValue {
    pub key: Key,
    pub value: Stored,
    pub create_revision: i64,
    pub mod_revision: i64,
    /// Number of changes since creation; 1 after creation.
    pub version: i64,
    /// 0: none.
    pub lease: i64,
}

/// Keys from `key` (inclusive) to `end` (exclusive); without `end` the one key; `end` of `"\0"` is "to the last key".
#[derive(Clone, PartialEq, Debug)]
pub struct KeyRange {
    pub key: Key,
    pub end: Option<Key>,
}

impl KeyRange {
    pub fn one(key: Key) -> KeyRange {
        KeyRange { key, end: None }
    }
    /// All keys that begin with `prefix` (which must not be empty nor end in the greatest character).
    pub fn prefix(prefix: &str) -> KeyRange {
        KeyRange { key: prefix.into(), end: Some(KeyRange::prefix_end(prefix).into()) }
    }
    /// The first key after all that begin with `prefix`.
    pub fn prefix_end(prefix: &str) -> String {
        let mut end = prefix.as_bytes().to_vec();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        String::from_utf8(end).expect("prefixes are ASCII")
    }
    pub fn contains(&self, key: &str) -> bool {
        match &self.end {
            None => *self.key == *key,
            Some(end) if &**end == "\0" => *self.key <= *key,
            Some(end) => *self.key <= *key && *key < **end,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct RangeRequest {
    pub range: KeyRange,
    /// 0: the newest.
    pub revision: i64,
    /// 0: no limit.
    pub limit: i64,
    pub count_only: bool,
    pub keys_only: bool,
    /// Answered from the member at once, even without a quorum.
    pub serializable: bool,
}

/// What is compared of a key. A key that doesn't exist has revision 0 and version 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Version(i64),
    CreateRevision(i64),
    ModRevision(i64),
    Lease(i64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompareResult {
    Equal,
    Greater,
    Less,
    NotEqual,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Compare {
    pub key: Key,
    pub result: CompareResult,
    pub target: Target,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    Put { key: Key, value: Stored, lease: i64 },
    DeleteRange(KeyRange),
    Range(RangeRequest),
}

/// If all comparisons hold, `success` runs, else `failure`; all in one revision.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TxnRequest {
    pub compare: Vec<Compare>,
    pub success: Vec<Op>,
    pub failure: Vec<Op>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct WatchRequest {
    /// Chosen by the client; events carry it.
    pub watch_id: u64,
    pub range: KeyRange,
    /// First revision wanted; 0: from now on.
    pub start_revision: i64,
    pub prev_kv: bool,
    pub progress_notify: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    Range(RangeRequest),
    Txn(TxnRequest),
    Compact {
        revision: i64,
    },
    LeaseGrant {
        id: i64,
        ttl_s: i64,
    },
    LeaseRevoke {
        id: i64,
    },
    LeaseKeepAlive {
        id: i64,
    },
    LeaseTimeToLive {
        id: i64,
    },
    Watch(WatchRequest),
    CancelWatch {
        watch_id: u64,
    },
    /// Answered on every watch of the client: an empty batch with the present revision.
    WatchProgress,
    MemberList,
    /// `/members` on a peer URL: what one member knows, asked by one that joins. Needs no quorum, which may need the new one.
    PeerMembers,
    MemberAdd {
        peer_url: Rc<str>,
        is_learner: bool,
    },
    MemberRemove {
        id: u64,
    },
    MemberPromote {
        id: u64,
    },
    /// Hands leadership to a member; only the leader can.
    MoveLeader {
        target: u64,
    },
    Status,
    HashKv {
        revision: i64,
    },
    Defragment,
    /// The alarms in force.
    Alarm,
    /// Takes all alarms back. Only the members' own requests set one.
    AlarmDisarm,
    /// `etcdctl snapshot save`
    Snapshot,
}

#[derive(Clone, PartialEq, Debug)]
pub enum OpResponse {
    Put,
    DeleteRange { deleted: i64 },
    Range(RangeResponse),
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct RangeResponse {
    pub kvs: Vec<Rc<KeyValue>>,
    pub more: bool,
    pub count: i64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    pub id: u64,
    pub name: Rc<str>,
    pub peer_url: Rc<str>,
    pub client_url: Rc<str>,
    pub is_learner: bool,
}

/// An alarm in force: `NOSPACE`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AlarmMember {
    pub member: u64,
    pub alarm: Rc<str>,
}

/// `etcdctl endpoint status`
#[derive(Clone, PartialEq, Debug)]
pub struct StatusResponse {
    pub version: Rc<str>,
    pub db_size: i64,
    pub db_size_in_use: i64,
    pub leader: u64,
    pub raft_index: u64,
    pub raft_term: u64,
    pub raft_applied_index: u64,
    pub is_learner: bool,
    /// What is wrong, in etcd's words: `etcdserver: no leader`.
    pub errors: Vec<Rc<str>>,
    pub quota: i64,
}

/// Why etcd refused. The texts are etcd's own.
#[derive(Clone, PartialEq, Debug)]
pub enum Error {
    Compacted,
    FutureRevision,
    LeaseNotFound,
    LeaseExists,
    NoLeader,
    LeaderChanged,
    NotLeader,
    Timeout,
    /// The leader went while the request was under way: it may have been carried out or not.
    TimeoutDueToLeaderFail,
    TimeoutDueToConnectionLost,
    TimeoutLeaderTransfer,
    BadLeaderTransferee,
    MemberNotFound,
    PeerUrlExists,
    MemberNotLearner,
    LearnerNotReady,
    TooManyLearners,
    NotEnoughStarted,
    UnhealthyCluster,
    NotSupportedForLearner,
    Stopped,
    NoSpace,
    DuplicateKey,
}

impl Error {
    pub fn text(&self) -> &'static str {
        match self {
            Error::Compacted => "etcdserver: mvcc: required revision has been compacted",
            Error::FutureRevision => "etcdserver: mvcc: required revision is a future revision",
            Error::LeaseNotFound => "etcdserver: requested lease not found",
            Error::LeaseExists => "etcdserver: lease already exists",
            Error::NoLeader => "etcdserver: no leader",
            Error::LeaderChanged => "etcdserver: leader changed",
            Error::NotLeader => "etcdserver: not leader",
            Error::Timeout => "etcdserver: request timed out",
            Error::TimeoutDueToLeaderFail => "etcdserver: request timed out, possibly due to previous leader failure",
            Error::TimeoutDueToConnectionLost => "etcdserver: request timed out, possibly due to connection lost",
            Error::TimeoutLeaderTransfer => "etcdserver: request timed out, leader transfer took too long",
            Error::BadLeaderTransferee => "etcdserver: bad leader transferee",
            Error::MemberNotFound => "etcdserver: member not found",
            Error::PeerUrlExists => "etcdserver: Peer URLs already exists",
            Error::MemberNotLearner => "etcdserver: can only promote a learner member",
            Error::LearnerNotReady => "etcdserver: can only promote a learner member which is in sync with leader",
            Error::TooManyLearners => "etcdserver: too many learner members in cluster",
            Error::NotEnoughStarted => "etcdserver: re-configuration failed due to not enough started members",
            Error::UnhealthyCluster => "etcdserver: unhealthy cluster",
            Error::NotSupportedForLearner => "etcdserver: rpc not supported for learner",
            Error::Stopped => "etcdserver: server stopped",
            Error::NoSpace => "etcdserver: mvcc: database space exceeded",
            Error::DuplicateKey => "etcdserver: duplicate key given in txn request",
        }
    }
}

impl Error {
    /// Whether a client may ask another member the same again (gRPC's `Unavailable`): reads only, a write may have happened.
    pub fn is_unavailable(&self) -> bool {
        use Error::{LeaderChanged, NoLeader, Stopped, Timeout, TimeoutDueToConnectionLost, TimeoutDueToLeaderFail};
        matches!(self, LeaderChanged | NoLeader | Stopped | Timeout | TimeoutDueToConnectionLost | TimeoutDueToLeaderFail)
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Response {
    Range(RangeResponse),
    Txn {
        succeeded: bool,
        responses: Vec<OpResponse>,
    },
    Compact,
    LeaseGrant {
        id: i64,
        ttl_s: i64,
    },
    LeaseRevoke,
    LeaseKeepAlive {
        ttl_s: i64,
    },
    LeaseTimeToLive {
        granted_ttl_s: i64,
        ttl_s: i64,
        keys: Vec<Key>,
    },
    WatchCreated {
        watch_id: u64,
    },
    MemberList(Vec<Member>),
    /// The new member, and all.
    MemberAdd(Member, Vec<Member>),
    MemberRemove(Vec<Member>),
    MemberPromote(Vec<Member>),
    MoveLeader,
    Status(StatusResponse),
    HashKv {
        hash: u64,
        compact_revision: i64,
    },
    Defragment,
    Alarm(Vec<AlarmMember>),
    Snapshot(Rc<[u8]>),
    Error(Error),
}

/// A change of one key.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// `None`: deleted (then `key` and `mod_revision` say what and when).
    pub kv: Option<Rc<KeyValue>>,
    pub key: Key,
    pub mod_revision: i64,
    pub prev_kv: Option<Rc<KeyValue>>,
    /// The message that made the client send the transaction: for kube-apiserver the id of the API request.
    pub cause: u64,
}

/// What members agree on.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// What a client asked for and changes something.
    Request(Rc<Request>),
    /// A member tells its name and where clients find it.
    Publish(Member),
    /// With a change of membership: who comes.
    Member(Member),
    SetAlarm(AlarmMember),
    ClusterVersion(Rc<str>),
}

/// A command on its way through the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    /// The proposer waits for it by this number.
    pub id: u64,
    pub member: u64,
    /// When it was proposed: all members store the same.
    pub at: base::Time,
    pub cause: u64,
    pub command: Command,
}

/// A member's whole state as it goes to another one: shared, not copied, and a secret of the members.
#[derive(Clone)]
pub struct Database(pub Rc<dyn Any>);

impl PartialEq for Database {
    fn eq(&self, other: &Database) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database")
    }
}

/// What members say to one another.
pub type RaftMessage = raftpb::Message<Rc<Proposal>, Database>;

/// What passes between a client and a member, or between members.
#[derive(Clone, PartialEq, Debug)]
pub enum Message {
    Request {
        id: u64,
        request: Rc<Request>,
    },
    /// `revision` is the member's revision when it answered (the response header).
    Response {
        id: u64,
        revision: i64,
        response: Rc<Response>,
    },
    /// `after` is the `revision` of the batch before it on this watch: a client that sees a gap has lost something.
    WatchEvents {
        watch_id: u64,
        after: i64,
        revision: i64,
        events: Rc<Vec<Event>>,
    },
    /// The watch ended; `compact_revision` above 0 says why, else the member has lost its leader (or the client wanted it).
    WatchCanceled {
        watch_id: u64,
        compact_revision: i64,
    },
    /// Between members.
    Raft(Rc<RaftMessage>),
    /// To a member that no longer belongs to the cluster and doesn't know.
    MemberRemoved,
}
