//! What members of an etcd cluster say to one another under Raft. Models `raft/raftpb`.
//!
//! `D` is what a log entry carries, `S` what a snapshot carries: the state machine (crate `etcd`, `raft`) looks into neither.
//! A node's number is never 0: 0 says "none". Where upstream has one struct with a type and all fields, here each kind of
//! message names its own. Left out: joint consensus (changes are made one member at a time), local messages (a node's own
//! ticks and reports are method calls).

use serde::{Deserialize, Serialize};

/// What a log entry holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum EntryData<D> {
    /// Appended by a new leader, so that something of its own term can be committed.
    Empty,
    Normal(D),
    ConfChange(ConfChange<D>),
}

/// One entry of the log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry<D> {
    pub term: u64,
    pub index: u64,
    pub data: EntryData<D>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConfChangeType {
    /// A voter; a learner of that number is promoted.
    AddNode,
    /// Gets the log and has no vote.
    AddLearnerNode,
    RemoveNode,
}

/// A change of membership, one node at a time. `context` is the proposer's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConfChange<D> {
    pub kind: ConfChangeType,
    pub node: u64,
    pub context: Option<D>,
}

/// Who belongs to the group, sorted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ConfState {
    pub voters: Vec<u64>,
    pub learners: Vec<u64>,
}

/// What must be on the disk before any message goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HardState {
    pub term: u64,
    /// 0: for nobody yet.
    pub vote: u64,
    pub commit: u64,
}

/// Where in the log a snapshot stands, and the membership there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SnapshotMetadata {
    pub index: u64,
    pub term: u64,
    pub conf_state: ConfState,
}

/// The whole state up to an entry: instead of the entries, for whoever is too far behind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Snapshot<S> {
    pub metadata: SnapshotMetadata,
    pub data: S,
}

/// Why an append was refused: the last entry that may agree, so that the leader skips whole terms instead of single entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RejectHint {
    pub index: u64,
    pub term: u64,
}

/// The kinds of message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum MessageType<D, S> {
    /// A follower hands proposals on to its leader.
    MsgProp {
        entries: Vec<EntryData<D>>,
    },
    /// Entries that follow the one at `index` of term `log_term`.
    MsgApp {
        index: u64,
        log_term: u64,
        entries: Vec<Entry<D>>,
        commit: u64,
    },
    /// The log agrees up to `index`; or, with a hint, not at `index`.
    MsgAppResp {
        index: u64,
        reject: Option<RejectHint>,
    },
    /// `transfer`: the leader itself wants this election, so nobody's lease protects it.
    MsgVote {
        index: u64,
        log_term: u64,
        transfer: bool,
    },
    MsgVoteResp {
        reject: bool,
    },
    /// "Would you vote for me?", asked without disturbing anybody's term.
    MsgPreVote {
        index: u64,
        log_term: u64,
    },
    MsgPreVoteResp {
        reject: bool,
    },
    MsgSnap(Box<Snapshot<S>>),
    /// `context`: of the newest read that waits for a quorum; 0: none.
    MsgHeartbeat {
        commit: u64,
        context: u64,
    },
    MsgHeartbeatResp {
        context: u64,
    },
    /// A follower was asked to hand leadership over and tells its leader.
    MsgTransferLeader {
        transferee: u64,
    },
    /// The leader to its successor: campaign now.
    MsgTimeoutNow,
    MsgReadIndex {
        context: u64,
    },
    /// A read with this context sees everything up to `index`.
    MsgReadIndexResp {
        context: u64,
        index: u64,
    },
}

/// One message between two members.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Message<D, S> {
    pub from: u64,
    pub to: u64,
    /// The sender's term; of a pre-vote the term that it would campaign in.
    pub term: u64,
    pub body: MessageType<D, S>,
}

impl<D, S> MessageType<D, S> {
    /// The name, as upstream writes it.
    pub fn name(&self) -> &'static str {
        match self {
            MessageType::MsgProp { .. } => "MsgProp",
            MessageType::MsgApp { .. } => "MsgApp",
            MessageType::MsgAppResp { .. } => "MsgAppResp",
            MessageType::MsgVote { .. } => "MsgVote",
            MessageType::MsgVoteResp { .. } => "MsgVoteResp",
            MessageType::MsgPreVote { .. } => "MsgPreVote",
            MessageType::MsgPreVoteResp { .. } => "MsgPreVoteResp",
            MessageType::MsgSnap(_) => "MsgSnap",
            MessageType::MsgHeartbeat { .. } => "MsgHeartbeat",
            MessageType::MsgHeartbeatResp { .. } => "MsgHeartbeatResp",
            MessageType::MsgTransferLeader { .. } => "MsgTransferLeader",
            MessageType::MsgTimeoutNow => "MsgTimeoutNow",
            MessageType::MsgReadIndex { .. } => "MsgReadIndex",
            MessageType::MsgReadIndexResp { .. } => "MsgReadIndexResp",
        }
    }
    /// Leader's signs of life and the answers to them: nothing changes by them.
    pub fn is_heartbeat(&self) -> bool {
        matches!(self, MessageType::MsgHeartbeat { context: 0, .. } | MessageType::MsgHeartbeatResp { context: 0 })
    }
}
