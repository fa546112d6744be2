//! What a leader knows of each other node, and what the majority has. Models `raft/tracker`.

use base::{Map, Set, Vector};
use etcd_api::raftpb::ConfState;
use serde::{Deserialize, Serialize};

use super::persistent;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ProgressState {
    /// It isn't known where the logs agree: one message at a time.
    Probe,
    /// Entries are sent on without waiting for answers.
    Replicate,
    /// A snapshot is under way.
    Snapshot,
}

/// A leader's view of one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// The log is known to agree up to here.
    pub matched: u64,
    /// What is sent next.
    pub next: u64,
    pub state: ProgressState,
    /// The snapshot's index while one is under way.
    pub pending_snapshot: u64,
    /// It has said something since the last check of the quorum.
    pub recent_active: bool,
    /// A probe is under way (or too much is): nothing is sent until it says something.
    pub paused: bool,
    /// The last index of each message under way.
    #[serde(with = "persistent")]
    pub inflights: Vector<u64>,
}

impl Progress {
    pub fn new(next: u64, recent_active: bool) -> Progress {
        Progress {
            matched: 0,
            next,
            state: ProgressState::Probe,
            pending_snapshot: 0,
            recent_active,
            paused: false,
            inflights: Vector::new(),
        }
    }

    fn enter(&mut self, state: ProgressState) {
        self.state = state;
        self.paused = false;
        self.pending_snapshot = 0;
        self.inflights = Vector::new();
    }
    pub fn become_probe(&mut self) {
        // After a snapshot, the probe goes on behind it.
        let pending = if self.state == ProgressState::Snapshot { self.pending_snapshot } else { 0 };
        self.enter(ProgressState::Probe);
        self.next = self.matched.max(pending) + 1;
    }
    pub fn become_replicate(&mut self) {
        self.enter(ProgressState::Replicate);
        self.next = self.matched + 1;
    }
    pub fn become_snapshot(&mut self, index: u64) {
        self.enter(ProgressState::Snapshot);
        self.pending_snapshot = index;
        self.next = index + 1;
    }

    pub fn is_paused(&self) -> bool {
        self.paused || self.state == ProgressState::Snapshot
    }

    /// Notes that entries up to `last` were sent.
    pub fn sent(&mut self, entries: usize, last: u64, max_inflight: usize) {
        match self.state {
            ProgressState::Replicate if entries > 0 => {
                self.next = last + 1;
                self.inflights.push_back(last);
                self.paused = self.inflights.len() >= max_inflight;
            }
            ProgressState::Replicate => {}
            ProgressState::Probe => self.paused = true,
            ProgressState::Snapshot => {}
        }
    }

    /// It agrees up to `index`. False: that was known.
    pub fn maybe_update(&mut self, index: u64) -> bool {
        self.next = self.next.max(index + 1);
        if index <= self.matched {
            return false;
        }
        self.matched = index;
        self.paused = false;
        true
    }

    /// It refused what follows `rejected`. False: an old answer.
    pub fn maybe_decrease(&mut self, rejected: u64, hint: u64) -> bool {
        if self.state == ProgressState::Replicate {
            if rejected <= self.matched {
                return false;
            }
            self.next = self.matched + 1;
            return true;
        }
        if self.next - 1 != rejected {
            return false;
        }
        self.next = rejected.min(hint + 1).max(self.matched + 1);
        self.paused = false;
        true
    }

    pub fn free_inflights(&mut self, index: u64) {
        while self.inflights.front().is_some_and(|last| *last <= index) {
            self.inflights.pop_front();
        }
        self.paused = false;
    }
}

/// The members and what is known of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tracker {
    #[serde(with = "persistent")]
    pub voters: Set<u64>,
    #[serde(with = "persistent")]
    pub learners: Set<u64>,
    #[serde(with = "persistent")]
    pub progress: Map<u64, Progress>,
    /// Who answered in the election under way, and what.
    #[serde(with = "persistent")]
    pub votes: Map<u64, bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VoteResult {
    Pending,
    Won,
    Lost,
}

impl Tracker {
    pub fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }
    pub fn conf_state(&self) -> ConfState {
        ConfState { voters: self.voters.iter().copied().collect(), learners: self.learners.iter().copied().collect() }
    }

    /// The highest index that a majority of the voters has.
    pub fn committed(&self) -> u64 {
        let mut matched: Vec<u64> = self.voters.iter().map(|id| self.progress.get(id).map_or(0, |p| p.matched)).collect();
        matched.sort_unstable();
        matched.len().checked_sub(self.quorum()).map_or(0, |i| matched[i])
    }

    pub fn tally(&self) -> VoteResult {
        let count = |wanted| self.voters.iter().filter(|id| self.votes.get(*id) == Some(&wanted)).count();
        match (count(true), self.voters.len() - count(false)) {
            (granted, _) if granted >= self.quorum() => VoteResult::Won,
            (_, possible) if possible < self.quorum() => VoteResult::Lost,
            _ => VoteResult::Pending,
        }
    }

    /// Whether a majority has said something since the last check.
    pub fn quorum_active(&self) -> bool {
        let active = |id: &&u64| self.progress.get(*id).is_some_and(|p| p.recent_active);
        self.voters.iter().filter(active).count() >= self.quorum()
    }

    /// Every member, voters and learners, by number.
    pub fn ids(&self) -> Vec<u64> {
        self.progress.keys().copied().collect()
    }
}
