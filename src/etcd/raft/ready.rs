//! What came of inputs: for the owner to carry out.

use etcd_api::raftpb::{Entry, HardState, Message, Snapshot, SnapshotMetadata};
use serde::{Deserialize, Serialize};

use super::{Raft, StateRole};

/// A read may be answered once everything up to `index` is applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadState {
    pub context: u64,
    pub index: u64,
}

/// To be carried out in this order: the disk first, then messages, then what is committed.
#[derive(Clone, Debug)]
pub struct Ready<D, S> {
    /// To the disk, if it changed.
    pub hard_state: Option<HardState>,
    /// Replaces log and state.
    pub snapshot: Option<Snapshot<S>>,
    /// To the disk; what is there from the first one's index on is replaced.
    pub entries: Vec<Entry<D>>,
    pub messages: Vec<Message<D, S>>,
    /// To be applied, in order; a change of membership also by [`Raft::apply_conf_change`].
    pub committed: Vec<Entry<D>>,
    pub read_states: Vec<ReadState>,
    /// Somebody needs a snapshot: answer with [`Raft::offer_snapshot`].
    pub wants_snapshot: bool,
}

impl<D: Clone, S: Clone> Raft<D, S> {
    fn current_hard_state(&self) -> HardState {
        HardState { term: self.term, vote: self.vote, commit: self.log.committed }
    }

    /// Whether there is anything to carry out.
    pub fn has_ready(&self) -> bool {
        self.log.stable < self.log.last_index()
            || self.log.applied < self.log.committed
            || !self.messages.is_empty()
            || !self.read_states.is_empty()
            || self.log.incoming().is_some()
            || self.wants_snapshot
            || self.hard_state != self.current_hard_state()
    }

    /// Takes what is to be carried out. [`Raft::advance`] must follow before anything else is asked of the node.
    pub fn ready(&mut self) -> Ready<D, S> {
        let hard = self.current_hard_state();
        let snapshot = self.log.incoming().cloned();
        let applied = snapshot.as_ref().map_or(self.log.applied, |s| s.metadata.index);
        Ready {
            hard_state: (hard != self.hard_state).then_some(hard),
            entries: self.log.slice(self.log.stable + 1, self.log.last_index(), usize::MAX),
            committed: self.log.slice(applied + 1, self.log.committed.min(self.log.stable), usize::MAX),
            snapshot,
            messages: std::mem::take(&mut self.messages).into_iter().collect(),
            read_states: std::mem::take(&mut self.read_states).into_iter().collect(),
            wants_snapshot: std::mem::take(&mut self.wants_snapshot),
        }
    }

    /// The ready is carried out: the disk has it, and what was committed is applied.
    pub fn advance(&mut self, ready: &Ready<D, S>) {
        if let Some(hard) = ready.hard_state {
            self.hard_state = hard;
        }
        if ready.snapshot.is_some() {
            self.log.restored();
        }
        if let Some(last) = ready.entries.last()
            && self.log.term(last.index) == Some(last.term)
        {
            self.log.stable = last.index;
        }
        if let Some(last) = ready.committed.last() {
            self.log.applied = last.index;
        }
        if self.role == StateRole::Leader {
            self.persisted();
        }
    }

    /// A leader counts itself when its disk has the entries.
    fn persisted(&mut self) {
        let stable = self.log.stable;
        let Some(mine) = self.tracker.progress.get_mut(&self.config.id) else { return };
        if mine.maybe_update(stable) && self.maybe_commit() {
            self.broadcast_append();
        }
    }

    /// The owner's state as it is after everything applied so far, for who needs it.
    pub fn offer_snapshot(&mut self, data: S) {
        let index = self.log.applied;
        let Some(term) = self.log.term(index) else { return };
        let metadata = SnapshotMetadata { index, term, conf_state: self.conf_state() };
        self.log.set_snapshot(Some(Snapshot { metadata, data }));
        if self.role == StateRole::Leader {
            for id in self.tracker.ids() {
                self.send_append(id, false);
            }
        }
    }

    /// Forgets the log up to `index` (never what isn't applied).
    pub fn compact(&mut self, index: u64) {
        self.log.compact(index);
    }
    /// Forgets the snapshot kept for others: the next one who needs one gets a newer one.
    pub fn drop_snapshot(&mut self) {
        if self.log.incoming().is_none() {
            self.log.set_snapshot(None);
        }
    }
}
