//! Who belongs to the group: changed one node at a time, when the entry that says so is applied.

use etcd_api::raftpb::{ConfChange, ConfChangeType, ConfState};

use super::progress::Progress;
use super::{Raft, StateRole};

impl<D: Clone, S: Clone> Raft<D, S> {
    /// Takes over a membership as it stands in a snapshot or on the disk.
    pub(super) fn set_conf_state(&mut self, conf: &ConfState) {
        self.tracker.voters = conf.voters.iter().copied().collect();
        self.tracker.learners = conf.learners.iter().copied().collect();
        let (me, last) = (self.config.id, self.log.last_index());
        let all = conf.voters.iter().chain(&conf.learners);
        self.tracker.progress = all.map(|id| (*id, Progress::new(last + 1, *id == me))).collect();
    }

    /// Carries out a change whose entry the owner has just applied. Returns the membership after it.
    pub fn apply_conf_change(&mut self, change: &ConfChange<D>) -> ConfState {
        let id = change.node;
        match change.kind {
            ConfChangeType::AddNode => {
                self.tracker.learners.remove(&id);
                self.tracker.voters.insert(id);
                self.track(id);
            }
            // A voter is not demoted.
            ConfChangeType::AddLearnerNode if self.tracker.voters.contains(&id) => {}
            ConfChangeType::AddLearnerNode => {
                self.tracker.learners.insert(id);
                self.track(id);
            }
            // A group never loses its last voter.
            ConfChangeType::RemoveNode if self.tracker.voters.len() == 1 && self.tracker.voters.contains(&id) => {}
            ConfChangeType::RemoveNode => {
                self.tracker.voters.remove(&id);
                self.tracker.learners.remove(&id);
                self.tracker.progress.remove(&id);
            }
        }
        self.membership_changed();
        self.conf_state()
    }

    fn track(&mut self, id: u64) {
        if !self.tracker.progress.contains_key(&id) {
            // Counted as active, so that the next check of the quorum gives it time to say something.
            self.tracker.progress.insert(id, Progress::new(self.log.last_index() + 1, true));
        }
    }

    fn membership_changed(&mut self) {
        if self.role != StateRole::Leader {
            return;
        }
        if !self.tracker.voters.contains(&self.config.id) {
            // A leader that was removed steps down; the others elect.
            return self.become_follower(self.term, 0);
        }
        match self.maybe_commit() {
            true => self.broadcast_append(),
            false => {
                for id in self.tracker.ids() {
                    self.send_append(id, false);
                }
            }
        }
        if !self.tracker.voters.contains(&self.lead_transferee) {
            self.lead_transferee = 0;
        }
    }
}
