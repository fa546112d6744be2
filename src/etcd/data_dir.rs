//! A member's data directory as a value: what survives its process and the machine's power. In a real one the write-ahead log,
//! the snapshots and the database file lie there; all is flushed before anything is said, so here it is simply current.

use std::rc::Rc;

use base::{Map, Set};
use etcd_api::raftpb::{ConfState, SnapshotMetadata};
use etcd_api::{AlarmMember, Database, Member as MemberInfo, Proposal};

use crate::config::MemberConfig;
use crate::lease::Leases;
use crate::raft::{Config, Raft};
use crate::store::Store;

/// The state machine's log and votes, with what etcd puts into it.
pub type Node = Raft<Rc<Proposal>, Database>;

/// What the members agree on: the same on all of them after the same entry.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub store: Store,
    pub leases: Leases,
    pub members: Map<u64, MemberInfo>,
    /// Numbers that belonged to the cluster once and never will again.
    pub removed: Set<u64>,
    pub alarms: Set<AlarmMember>,
    /// The version that the whole cluster has; set once by its first leader.
    pub version: Option<Rc<str>>,
}

/// A data directory. Clone is O(1).
#[derive(Clone, Debug)]
pub struct DataDir {
    pub id: u64,
    pub cluster_id: u64,
    pub raft: Node,
    pub state: State,
    /// The database file never shrinks by itself: its size, estimated.
    pub file_size: i64,
}

impl DataDir {
    /// That of a member of a new cluster. All members begin with the same log: an entry for each of them, already agreed on.
    pub fn new(config: &MemberConfig) -> DataDir {
        DataDir::begin(config, State::default())
    }

    /// That of a member of a new cluster which begins with somebody else's keys (`etcdctl snapshot restore`).
    pub fn begin(config: &MemberConfig, mut state: State) -> DataDir {
        state.members = Map::default();
        for (name, peer_url) in &config.initial_cluster {
            let id = config.id_of(name, peer_url);
            let info = MemberInfo { id, name: "".into(), peer_url: peer_url.clone(), client_url: "".into(), is_learner: false };
            state.members.insert(id, info);
        }
        let voters: Vec<u64> = state.members.keys().copied().collect();
        let start = SnapshotMetadata {
            index: voters.len() as u64,
            term: 1,
            conf_state: ConfState { voters: voters.clone(), learners: Vec::new() },
        };
        DataDir::with(config, config.id_of(&config.name, &config.peer_url), &start, state)
    }

    /// That of a member that joins: it knows its number and nobody's votes; the log will tell.
    pub fn joining(config: &MemberConfig, id: u64) -> DataDir {
        DataDir::with(config, id, &SnapshotMetadata::default(), State::default())
    }

    fn with(config: &MemberConfig, id: u64, start: &SnapshotMetadata, state: State) -> DataDir {
        let raft = Raft::new(Config::new(id, config.seed), start);
        let cluster_id = base::hash64(config.token.as_bytes());
        DataDir { id, cluster_id, raft, state, file_size: 0 }
    }
}
