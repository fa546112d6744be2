//! Raft: how several members keep one log. Models `go.etcd.io/raft/v3`, with its names.
//!
//! A node is a plain value and does nothing by itself: it is told of a message ([`Raft::step`]), of time ([`Raft::tick`]) or of
//! something to be agreed on ([`Raft::propose`]), and [`Raft::ready`] says what came of it: what to write to the disk, what to
//! send, what is committed. Its owner carries that out and calls [`Raft::advance`]. The same inputs and seed give the same
//! outputs, a clone is O(1), and the node is `Serialize` if what it carries is.
//!
//! There are pre-votes and the check of the quorum, election timeouts drawn from the seed, hints for conflicts, commits by
//! counting only in the leader's own term, reads confirmed by a quorum, transfer of leadership, members added, promoted and
//! removed one at a time, snapshots for who is too far behind, and compaction. Left out by name: joint consensus, leases for
//! reads, limits in bytes (messages are limited by number of entries), a disk that is written while messages go out.
//!
//! Read next: [`election`] (who leads), [`replication`] (the leader's side), [`follower`], [`ready`], and the scripts in
//! `testdata`, which show the messages of each.

pub mod describe;
mod election;
mod follower;
mod log;
mod membership;
mod persistent;
mod progress;
mod read_only;
mod ready;
mod replication;

#[cfg(test)]
mod tests;

use base::{Seed, Vector};
use etcd_api::raftpb::{ConfState, EntryData, HardState, Message, MessageType, SnapshotMetadata};
use serde::{Deserialize, Serialize};

pub use log::Log;
pub use progress::{Progress, ProgressState};
pub use ready::{ReadState, Ready};

use progress::Tracker;
use read_only::ReadOnly;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StateRole {
    Follower,
    /// Asks whether an election would be worth it.
    PreCandidate,
    Candidate,
    Leader,
}

/// What a node is started with. Times are in ticks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    pub id: u64,
    /// A follower that has heard nothing for so long (and up to as much again) campaigns.
    pub election_tick: u32,
    pub heartbeat_tick: u32,
    /// A leader that hears of no majority for an election timeout steps down.
    pub check_quorum: bool,
    pub pre_vote: bool,
    /// Entries in one message.
    pub max_entries: usize,
    /// Messages with entries under way to one follower.
    pub max_inflight: usize,
    /// Election timeouts are drawn from it.
    pub seed: u64,
}

impl Config {
    /// With etcd's settings: ticks of 100 ms, an election timeout of ten.
    pub fn new(id: u64, seed: Seed) -> Config {
        let (check_quorum, pre_vote) = (true, true);
        Config {
            id,
            election_tick: 10,
            heartbeat_tick: 1,
            check_quorum,
            pre_vote,
            max_entries: 1024,
            max_inflight: 512,
            seed: seed.0,
        }
    }
}

/// Why a proposal was not taken. etcd waits and tries again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProposalDropped;

/// A node. Clone is O(1).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(
    serialize = "D: Serialize + Clone, S: Serialize + Clone",
    deserialize = "D: Deserialize<'de> + Clone, S: Deserialize<'de> + Clone"
))]
pub struct Raft<D: Clone, S: Clone> {
    config: Config,
    term: u64,
    /// Whom it voted for in this term. 0: nobody.
    vote: u64,
    /// Who leads in this term, as far as is known. 0: nobody.
    lead: u64,
    role: StateRole,
    log: Log<D, S>,
    tracker: Tracker,
    /// Ticks since the last sign of a leader (of a leader: since the last check of the quorum).
    election_elapsed: u32,
    heartbeat_elapsed: u32,
    randomized_election_timeout: u32,
    /// Counts the draws of timeouts.
    draws: u64,
    /// Who is to lead next. 0: no transfer is under way.
    lead_transferee: u64,
    /// Where the newest change of membership stands in the log: the next has to wait until it is applied.
    pending_conf_index: u64,
    read_only: ReadOnly,
    /// Reads that came before the leader had committed anything in its term: who asked, context.
    #[serde(with = "persistent")]
    early_reads: Vector<(u64, u64)>,
    #[serde(with = "persistent")]
    messages: Vector<Message<D, S>>,
    #[serde(with = "persistent")]
    read_states: Vector<ReadState>,
    /// What the disk has.
    hard_state: HardState,
    /// Somebody is so far behind that only a snapshot helps, and there is none recent enough.
    wants_snapshot: bool,
    /// See [`Raft::has_lost_log`].
    lost_log: bool,
}

impl<D: Clone, S: Clone> Raft<D, S> {
    /// A node that knows its group, with an empty log after `start`. To begin a cluster, every node gets the same `start`.
    pub fn new(config: Config, start: &SnapshotMetadata) -> Raft<D, S> {
        let hard_state = HardState { term: start.term, vote: 0, commit: start.index };
        let mut raft = Raft {
            config,
            term: start.term,
            vote: 0,
            lead: 0,
            role: StateRole::Follower,
            log: Log::after(start),
            tracker: Tracker::default(),
            election_elapsed: 0,
            heartbeat_elapsed: 0,
            randomized_election_timeout: 0,
            draws: 0,
            lead_transferee: 0,
            pending_conf_index: 0,
            read_only: ReadOnly::default(),
            early_reads: Vector::new(),
            messages: Vector::new(),
            read_states: Vector::new(),
            hard_state,
            wants_snapshot: false,
            lost_log: false,
        };
        raft.set_conf_state(&start.conf_state);
        raft.become_follower(start.term, 0);
        raft
    }

    /// The process of the node starts again: what was on the disk is there, all else is gone. `applied` and `conf_state` are
    /// the owner's: how far its own state got, and the membership there.
    pub fn restart(&mut self, applied: u64, conf_state: &ConfState) {
        let hard = self.hard_state;
        (self.term, self.vote) = (hard.term, hard.vote);
        self.log.crash(hard.commit.max(applied));
        self.log.applied = applied;
        self.messages = Vector::new();
        self.read_states = Vector::new();
        self.wants_snapshot = false;
        self.set_conf_state(conf_state);
        self.become_follower(hard.term, 0);
    }

    /// One tick of the clock.
    pub fn tick(&mut self) {
        self.election_elapsed += 1;
        if self.role == StateRole::Leader {
            return self.tick_leader();
        }
        if self.is_promotable() && self.election_elapsed >= self.randomized_election_timeout {
            self.election_elapsed = 0;
            self.campaign();
        }
    }

    fn tick_leader(&mut self) {
        self.heartbeat_elapsed += 1;
        if self.election_elapsed >= self.config.election_tick {
            self.election_elapsed = 0;
            if self.config.check_quorum {
                self.check_quorum();
            }
            // A transfer that took so long has failed.
            self.lead_transferee = 0;
            self.retry_snapshots();
        }
        if self.role == StateRole::Leader && self.heartbeat_elapsed >= self.config.heartbeat_tick {
            self.heartbeat_elapsed = 0;
            self.broadcast_heartbeat();
        }
    }

    /// Asks that something be agreed on. Taken does not mean committed: the owner sees it in [`Ready::committed`] if it is.
    ///
    /// # Errors
    /// There is no leader, or it is handing over, or this node was removed.
    pub fn propose(&mut self, data: EntryData<D>) -> Result<(), ProposalDropped> {
        match self.role {
            StateRole::Leader => self.append_proposals(vec![data]),
            StateRole::Follower if self.lead != 0 => {
                self.send(self.lead, MessageType::MsgProp { entries: vec![data] });
                Ok(())
            }
            _ => Err(ProposalDropped),
        }
    }

    /// The way of a group of one: nothing to send, nothing to wait for. Appends, commits and says where; the owner applies it
    /// now. `None`: there are others, or this node doesn't lead (yet).
    pub fn commit_alone(&mut self, data: D) -> Option<u64> {
        let alone = self.role == StateRole::Leader && self.tracker.progress.len() == 1;
        if !alone || self.log.applied != self.log.last_index() {
            return None;
        }
        let index = self.log.push(self.term, EntryData::Normal(data));
        (self.log.stable, self.log.committed, self.log.applied) = (index, index, index);
        self.hard_state.commit = index;
        if let Some(progress) = self.tracker.progress.get_mut(&self.config.id) {
            (progress.matched, progress.next) = (index, index + 1);
        }
        Some(index)
    }

    fn send(&mut self, to: u64, body: MessageType<D, S>) {
        self.send_in_term(self.term, to, body);
    }
    fn send_in_term(&mut self, term: u64, to: u64, body: MessageType<D, S>) {
        self.messages.push_back(Message { from: self.config.id, to, term, body });
    }
}

/// What can be seen of a node.
impl<D: Clone, S: Clone> Raft<D, S> {
    pub fn id(&self) -> u64 {
        self.config.id
    }
    pub fn term(&self) -> u64 {
        self.term
    }
    pub fn vote(&self) -> u64 {
        self.vote
    }
    /// 0: none is known.
    pub fn lead(&self) -> u64 {
        self.lead
    }
    pub fn role(&self) -> StateRole {
        self.role
    }
    pub fn is_leader(&self) -> bool {
        self.role == StateRole::Leader
    }
    /// It leads, and nobody else has a vote: what it says needs nobody's word.
    pub fn leads_alone(&self) -> bool {
        self.is_leader() && self.tracker.voters.len() == 1 && self.log.applied == self.log.committed
    }
    pub fn is_learner(&self) -> bool {
        self.tracker.learners.contains(&self.config.id)
    }
    pub fn commit(&self) -> u64 {
        self.log.committed
    }
    pub fn applied(&self) -> u64 {
        self.log.applied
    }
    pub fn log(&self) -> &Log<D, S> {
        &self.log
    }
    pub fn conf_state(&self) -> ConfState {
        self.tracker.conf_state()
    }
    /// What the leader knows of the others; of itself too.
    pub fn progress(&self) -> impl Iterator<Item = (u64, &Progress)> {
        self.tracker.progress.iter().map(|(id, p)| (*id, p))
    }
    /// Voters that the leader has heard from since the last check of the quorum, itself among them.
    pub fn active_voters(&self) -> usize {
        let active = |id: &&u64| **id == self.config.id || self.tracker.progress.get(*id).is_some_and(|p| p.recent_active);
        self.tracker.voters.iter().filter(active).count()
    }
    /// A leader counts on entries that this node said it had and that aren't here: its disk was replaced by hand. Upstream's
    /// process ends there ("Was the raft log corrupted, truncated, or lost?"), and so should the owner's.
    pub fn has_lost_log(&self) -> bool {
        self.lost_log
    }
    /// Whom leadership is being handed to. 0: nobody.
    pub fn lead_transferee(&self) -> u64 {
        self.lead_transferee
    }
}
