//! The leader's side: proposals into the log, the log to the others, commits by counting, reads, and handing over.

use etcd_api::raftpb::{EntryData, Message, MessageType, RejectHint};

use super::progress::ProgressState;
use super::{ProposalDropped, Raft, ReadState};

impl<D: Clone, S: Clone> Raft<D, S> {
    pub(super) fn step_leader(&mut self, message: Message<D, S>) {
        let from = message.from;
        match message.body {
            MessageType::MsgProp { entries } => {
                // A proposal that is dropped is missed by its proposer, who waits with a timeout.
                let _ = self.append_proposals(entries);
            }
            MessageType::MsgReadIndex { context } => self.asked_to_read(from, context),
            MessageType::MsgTransferLeader { transferee } => self.transfer(transferee),
            MessageType::MsgAppResp { index, reject } => self.append_answered(from, index, reject),
            MessageType::MsgHeartbeatResp { context } => self.heartbeat_answered(from, context),
            _ => {}
        }
    }

    pub(super) fn append_proposals(&mut self, entries: Vec<EntryData<D>>) -> Result<(), ProposalDropped> {
        if self.lead_transferee != 0 || !self.tracker.progress.contains_key(&self.config.id) {
            return Err(ProposalDropped);
        }
        for data in entries {
            let data = match data {
                // One change at a time: a second one becomes an entry that says nothing.
                EntryData::ConfChange(_) if self.pending_conf_index > self.log.applied => EntryData::Empty,
                other => other,
            };
            let changes = matches!(data, EntryData::ConfChange(_));
            let index = self.log.push(self.term, data);
            if changes {
                self.pending_conf_index = index;
            }
        }
        self.broadcast_append();
        Ok(())
    }

    pub(super) fn broadcast_append(&mut self) {
        for id in self.tracker.ids() {
            self.send_append(id, true);
        }
    }

    /// Sends what a node is missing. `even_empty`: also if that is nothing (it learns of the commit index).
    pub(super) fn send_append(&mut self, to: u64, even_empty: bool) -> bool {
        let Some(progress) = self.tracker.progress.get(&to) else { return false };
        if to == self.config.id || progress.is_paused() {
            return false;
        }
        let index = progress.next - 1;
        let Some(log_term) = self.log.term(index) else { return self.send_snapshot(to) };
        let limit = self.config.max_entries;
        let entries = self.log.slice(index + 1, self.log.last_index(), limit);
        if entries.is_empty() && !even_empty {
            return false;
        }
        if let Some(progress) = self.tracker.progress.get_mut(&to) {
            progress.sent(entries.len(), index + entries.len() as u64, self.config.max_inflight);
        }
        let commit = self.log.committed;
        self.send(to, MessageType::MsgApp { index, log_term, entries, commit });
        true
    }

    /// What it needs is compacted. Without a snapshot that reaches the log, one is asked for and this is tried again.
    fn send_snapshot(&mut self, to: u64) -> bool {
        let Some(progress) = self.tracker.progress.get_mut(&to).filter(|p| p.recent_active) else { return false };
        match self.log.snapshot().filter(|s| s.metadata.index + 1 >= self.log.first_index()).cloned() {
            Some(snapshot) => {
                progress.become_snapshot(snapshot.metadata.index);
                self.send(to, MessageType::MsgSnap(Box::new(snapshot)));
                true
            }
            None => {
                self.wants_snapshot = true;
                false
            }
        }
    }

    /// The network says that a node can't be reached, or that a snapshot did not arrive.
    pub fn report_unreachable(&mut self, id: u64) {
        let Some(progress) = self.tracker.progress.get_mut(&id).filter(|_| self.lead == self.config.id) else { return };
        match progress.state {
            ProgressState::Replicate => progress.become_probe(),
            ProgressState::Snapshot => {
                progress.pending_snapshot = 0;
                progress.become_probe();
            }
            ProgressState::Probe => {}
        }
    }

    /// A snapshot that wasn't answered between two checks is lost: what the node needs is found out again.
    pub(super) fn retry_snapshots(&mut self) {
        for id in self.tracker.ids() {
            let Some(progress) = self.tracker.progress.get_mut(&id) else { continue };
            if progress.state == ProgressState::Snapshot && std::mem::replace(&mut progress.paused, true) {
                self.report_unreachable(id);
            }
        }
    }

    fn append_answered(&mut self, from: u64, index: u64, reject: Option<RejectHint>) {
        let Some(progress) = self.tracker.progress.get_mut(&from) else { return };
        progress.recent_active = true;
        match reject {
            Some(hint) => self.append_refused(from, index, hint),
            None => self.append_taken(from, index),
        }
    }

    fn append_refused(&mut self, from: u64, rejected: u64, hint: RejectHint) {
        let next = match hint.term {
            0 => hint.index,
            term => self.log.find_conflict_by_term(hint.index, term).0,
        };
        let Some(progress) = self.tracker.progress.get_mut(&from) else { return };
        if progress.maybe_decrease(rejected, next) {
            if progress.state == ProgressState::Replicate {
                progress.become_probe();
            }
            self.send_append(from, true);
        }
    }

    fn append_taken(&mut self, from: u64, index: u64) {
        let (first, last) = (self.log.first_index(), self.log.last_index());
        let Some(progress) = self.tracker.progress.get_mut(&from) else { return };
        let was_paused = progress.is_paused();
        let news = progress.maybe_update(index);
        match progress.state {
            ProgressState::Probe if news || progress.matched == index => progress.become_replicate(),
            ProgressState::Snapshot if progress.matched + 1 >= first => {
                progress.become_probe();
                progress.become_replicate();
            }
            ProgressState::Replicate if news => progress.free_inflights(index),
            _ => {}
        }
        let matched = progress.matched;
        match news && self.maybe_commit() {
            true => self.broadcast_append(),
            false if was_paused => drop(self.send_append(from, true)),
            false => {}
        }
        while self.send_append(from, false) {}
        if from == self.lead_transferee && matched == last {
            self.send(from, MessageType::MsgTimeoutNow);
        }
    }

    /// Counts what the voters have. Only an entry of the leader's own term is committed by counting; those before it go along.
    pub(super) fn maybe_commit(&mut self) -> bool {
        let index = self.tracker.committed();
        if index <= self.log.committed || self.log.term(index) != Some(self.term) {
            return false;
        }
        self.log.commit_to(index);
        for (from, context) in std::mem::take(&mut self.early_reads) {
            self.asked_to_read(from, context);
        }
        true
    }

    pub(super) fn broadcast_heartbeat(&mut self) {
        let context = self.read_only.last_context();
        for (id, matched) in self.tracker.progress.iter().map(|(id, p)| (*id, p.matched)).collect::<Vec<_>>() {
            if id != self.config.id {
                // Not beyond what the other is known to have.
                let commit = matched.min(self.log.committed);
                self.send(id, MessageType::MsgHeartbeat { commit, context });
            }
        }
    }

    fn heartbeat_answered(&mut self, from: u64, context: u64) {
        let last = self.log.last_index();
        let Some(progress) = self.tracker.progress.get_mut(&from) else { return };
        progress.recent_active = true;
        if progress.inflights.len() >= self.config.max_inflight {
            // What is under way may be lost: room for one more, whose answer will tell.
            progress.inflights.pop_front();
        }
        progress.paused &= progress.state == ProgressState::Snapshot;
        if progress.matched < last || progress.state == ProgressState::Probe {
            self.send_append(from, true);
        }
        let Some(acks) = (context != 0).then(|| self.read_only.ack(context, from)).flatten() else { return };
        let confirmed = self.tracker.voters.iter().filter(|id| acks.contains(*id)).count();
        if confirmed >= self.tracker.quorum() {
            for read in self.read_only.advance(context) {
                self.answer_read(read.from, read.context, read.index);
            }
        }
    }

    /// Asks for the index that a read must see. Answered in [`super::Ready::read_states`]; without a leader never.
    pub fn read_index(&mut self, context: u64) {
        match self.is_leader() {
            true => self.asked_to_read(self.config.id, context),
            false => self.hand_on(MessageType::MsgReadIndex { context }),
        }
    }

    fn asked_to_read(&mut self, from: u64, context: u64) {
        if self.log.term(self.log.committed) != Some(self.term) {
            // What earlier leaders committed isn't all known before something of this term is.
            return self.early_reads.push_back((from, context));
        }
        if self.tracker.voters.len() == 1 && self.tracker.voters.contains(&self.config.id) {
            return self.answer_read(from, context, self.log.committed);
        }
        self.read_only.add(context, self.log.committed, from, self.config.id);
        self.broadcast_heartbeat();
    }

    fn answer_read(&mut self, from: u64, context: u64, index: u64) {
        match from == self.config.id {
            true => self.read_states.push_back(ReadState { context, index }),
            false => self.send(from, MessageType::MsgReadIndexResp { context, index }),
        }
    }

    /// Hands leadership over. Asked of a follower, its leader is told.
    pub fn transfer_leader(&mut self, transferee: u64) {
        match self.is_leader() {
            true => self.transfer(transferee),
            false => self.hand_on(MessageType::MsgTransferLeader { transferee }),
        }
    }

    fn transfer(&mut self, to: u64) {
        if to == self.config.id || to == self.lead_transferee || !self.tracker.voters.contains(&to) {
            return;
        }
        self.lead_transferee = to;
        // It has to be done within an election timeout.
        self.election_elapsed = 0;
        let Some(progress) = self.tracker.progress.get(&to) else { return };
        match progress.matched == self.log.last_index() {
            true => self.send(to, MessageType::MsgTimeoutNow),
            false => drop(self.send_append(to, true)),
        }
    }
}
