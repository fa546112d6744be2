//! A follower: takes what its leader sends, and hands on what only a leader can do.

use etcd_api::raftpb::{Entry, Message, MessageType, RejectHint, Snapshot};

use super::{Raft, ReadState};

impl<D: Clone, S: Clone> Raft<D, S> {
    pub(super) fn step_follower(&mut self, message: Message<D, S>) {
        let from = message.from;
        match message.body {
            MessageType::MsgProp { entries } => self.hand_on(MessageType::MsgProp { entries }),
            MessageType::MsgApp { index, log_term, entries, commit } => {
                self.heard_of(from);
                self.take_entries(from, index, log_term, &entries, commit);
            }
            MessageType::MsgHeartbeat { commit, context } => {
                self.heard_of(from);
                self.lost_log |= !self.log.commit_to(commit);
                self.send(from, MessageType::MsgHeartbeatResp { context });
            }
            MessageType::MsgSnap(snapshot) => {
                self.heard_of(from);
                self.take_snapshot(from, *snapshot);
            }
            MessageType::MsgTransferLeader { transferee } => self.hand_on(MessageType::MsgTransferLeader { transferee }),
            MessageType::MsgTimeoutNow => self.timeout_now(),
            MessageType::MsgReadIndex { context } => self.hand_on(MessageType::MsgReadIndex { context }),
            MessageType::MsgReadIndexResp { context, index } => self.read_states.push_back(ReadState { context, index }),
            _ => {}
        }
    }

    fn heard_of(&mut self, leader: u64) {
        self.election_elapsed = 0;
        self.lead = leader;
    }

    /// To the leader, if one is known.
    pub(super) fn hand_on(&mut self, body: MessageType<D, S>) {
        if self.lead != 0 && self.lead != self.config.id {
            self.send(self.lead, body);
        }
    }

    fn take_entries(&mut self, from: u64, index: u64, log_term: u64, entries: &[Entry<D>], commit: u64) {
        if index < self.log.committed {
            let index = self.log.committed;
            return self.send(from, MessageType::MsgAppResp { index, reject: None });
        }
        if self.log.term(index) == Some(log_term) {
            let Some(last) = self.log.append(index, entries) else {
                self.lost_log = true;
                return;
            };
            self.log.commit_to(commit.min(last));
            return self.send(from, MessageType::MsgAppResp { index: last, reject: None });
        }
        let (hint, term) = self.log.find_conflict_by_term(index, log_term);
        self.send(from, MessageType::MsgAppResp { index, reject: Some(RejectHint { index: hint, term }) });
    }

    fn take_snapshot(&mut self, from: u64, snapshot: Snapshot<S>) {
        if self.restore(snapshot) {
            let index = self.log.last_index();
            return self.send(from, MessageType::MsgAppResp { index, reject: None });
        }
        let index = self.log.committed;
        self.send(from, MessageType::MsgAppResp { index, reject: None });
    }

    /// Whether the snapshot replaced what was here.
    fn restore(&mut self, snapshot: Snapshot<S>) -> bool {
        let metadata = snapshot.metadata.clone();
        if metadata.index <= self.log.committed {
            return false;
        }
        if self.log.term(metadata.index) == Some(metadata.term) {
            // Everything in it is here already.
            self.log.commit_to(metadata.index);
            return false;
        }
        self.log.restore(snapshot);
        self.set_conf_state(&metadata.conf_state);
        true
    }
}
