//! Who leads: terms, votes, pre-votes, timeouts, and the leader that finds itself alone.

use base::{Seed, Vector};
use etcd_api::raftpb::{EntryData, Message, MessageType};

use super::progress::{Progress, VoteResult};
use super::{Raft, StateRole};

impl<D: Clone, S: Clone> Raft<D, S> {
    fn reset(&mut self, term: u64) {
        if self.term != term {
            self.term = term;
            self.vote = 0;
        }
        self.lead = 0;
        self.election_elapsed = 0;
        self.heartbeat_elapsed = 0;
        self.draw_timeout();
        self.lead_transferee = 0;
        self.tracker.votes = Default::default();
        self.pending_conf_index = 0;
        self.read_only.clear();
        self.early_reads = Vector::new();
        let (me, last) = (self.config.id, self.log.last_index());
        for id in self.tracker.ids() {
            let mut progress = Progress::new(last + 1, id == me);
            if id == me {
                progress.matched = self.log.stable;
            }
            self.tracker.progress.insert(id, progress);
        }
    }

    /// Between one and two election timeouts, by the seed: so that not all campaign at once.
    fn draw_timeout(&mut self) {
        self.draws += 1;
        let span = u64::from(self.config.election_tick);
        let drawn = Seed(self.config.seed).below(self.draws, span);
        self.randomized_election_timeout = self.config.election_tick + drawn as u32;
    }

    pub(super) fn become_follower(&mut self, term: u64, lead: u64) {
        self.reset(term);
        self.lead = lead;
        self.role = StateRole::Follower;
    }

    fn become_leader(&mut self) {
        self.reset(self.term);
        self.lead = self.config.id;
        self.role = StateRole::Leader;
        if let Some(mine) = self.tracker.progress.get_mut(&self.config.id) {
            mine.become_replicate();
        }
        // There may be a change of membership in what is not yet applied; the next waits until all of it is.
        self.pending_conf_index = self.log.last_index();
        self.log.push(self.term, EntryData::Empty);
        self.broadcast_append();
    }

    /// Whether it may lead: a voter, with nothing half restored.
    pub(super) fn is_promotable(&self) -> bool {
        self.tracker.voters.contains(&self.config.id) && self.log.incoming().is_none()
    }

    fn has_unapplied_conf_change(&self) -> bool {
        let (first, last) = (self.log.applied + 1, self.log.committed);
        (first..=last).any(|i| matches!(self.log.get(i).map(|e| &e.data), Some(EntryData::ConfChange(_))))
    }

    /// Runs for leadership (a timeout, or by hand).
    pub fn campaign(&mut self) {
        self.hup(self.config.pre_vote, false);
    }

    fn hup(&mut self, pre_vote: bool, transfer: bool) {
        if self.role == StateRole::Leader || !self.is_promotable() || self.has_unapplied_conf_change() {
            return;
        }
        match pre_vote {
            true => self.ask_for_pre_votes(),
            false => self.ask_for_votes(transfer),
        }
    }

    fn ask_for_pre_votes(&mut self) {
        self.role = StateRole::PreCandidate;
        self.lead = 0;
        let (index, log_term) = (self.log.last_index(), self.log.last_term());
        self.ask_voters(self.term + 1, || MessageType::MsgPreVote { index, log_term });
        self.counted();
    }

    fn ask_for_votes(&mut self, transfer: bool) {
        self.reset(self.term + 1);
        self.role = StateRole::Candidate;
        self.vote = self.config.id;
        let (index, log_term) = (self.log.last_index(), self.log.last_term());
        self.ask_voters(self.term, || MessageType::MsgVote { index, log_term, transfer });
        self.counted();
    }

    fn ask_voters(&mut self, term: u64, ask: impl Fn() -> MessageType<D, S>) {
        self.tracker.votes = std::iter::once((self.config.id, true)).collect();
        for id in self.tracker.voters.clone() {
            if id != self.config.id {
                self.send_in_term(term, id, ask());
            }
        }
    }

    fn counted(&mut self) {
        match (self.tracker.tally(), self.role) {
            (VoteResult::Won, StateRole::PreCandidate) => self.ask_for_votes(false),
            (VoteResult::Won, StateRole::Candidate) => self.become_leader(),
            (VoteResult::Lost, StateRole::PreCandidate | StateRole::Candidate) => self.become_follower(self.term, 0),
            _ => {}
        }
    }

    /// Takes a message: first what its term means, then what it says.
    pub fn step(&mut self, message: Message<D, S>) {
        if message.term > self.term && !self.newer_term(&message) || message.term < self.term && !self.older_term(&message) {
            return;
        }
        match message.body {
            MessageType::MsgVote { index, log_term, .. } | MessageType::MsgPreVote { index, log_term } => {
                self.asked_for_vote(&message, index, log_term);
            }
            _ => match self.role {
                StateRole::Leader => self.step_leader(message),
                StateRole::Follower => self.step_follower(message),
                StateRole::Candidate | StateRole::PreCandidate => self.step_candidate(message),
            },
        }
    }

    /// A message from a later term: mostly that term begins here. False: it is to be ignored.
    fn newer_term(&mut self, message: &Message<D, S>) -> bool {
        let lead = match message.body {
            MessageType::MsgVote { transfer: true, .. } => 0,
            MessageType::MsgVote { .. } | MessageType::MsgPreVote { .. } if self.hears_a_leader() => return false,
            // The term will come if the election does.
            MessageType::MsgPreVote { .. } | MessageType::MsgPreVoteResp { reject: false } => return true,
            MessageType::MsgApp { .. } | MessageType::MsgHeartbeat { .. } | MessageType::MsgSnap(_) => message.from,
            _ => 0,
        };
        self.become_follower(message.term, lead);
        true
    }

    /// A leader has been heard within an election timeout: an election now would only disturb.
    fn hears_a_leader(&self) -> bool {
        self.config.check_quorum && self.lead != 0 && self.election_elapsed < self.config.election_tick
    }

    /// A message of a past term, which is answered so that the sender learns of the present one. Always false.
    fn older_term(&mut self, message: &Message<D, S>) -> bool {
        match message.body {
            MessageType::MsgApp { .. } | MessageType::MsgHeartbeat { .. } if self.config.check_quorum || self.config.pre_vote => {
                self.send(message.from, MessageType::MsgAppResp { index: 0, reject: None });
            }
            MessageType::MsgPreVote { .. } => self.send(message.from, MessageType::MsgPreVoteResp { reject: true }),
            _ => {}
        }
        false
    }

    fn asked_for_vote(&mut self, message: &Message<D, S>, index: u64, log_term: u64) {
        let pre = matches!(message.body, MessageType::MsgPreVote { .. });
        let free = self.vote == message.from || self.vote == 0 && self.lead == 0 || pre && message.term > self.term;
        let granted = free && self.log.is_up_to_date(index, log_term);
        let answer = match pre {
            true => MessageType::MsgPreVoteResp { reject: !granted },
            false => MessageType::MsgVoteResp { reject: !granted },
        };
        let term = if granted { message.term } else { self.term };
        self.send_in_term(term, message.from, answer);
        if granted && !pre {
            self.election_elapsed = 0;
            self.vote = message.from;
        }
    }

    pub(super) fn step_candidate(&mut self, message: Message<D, S>) {
        match (&message.body, self.role) {
            (MessageType::MsgPreVoteResp { reject }, StateRole::PreCandidate)
            | (MessageType::MsgVoteResp { reject }, StateRole::Candidate) => {
                let (from, granted) = (message.from, !reject);
                if !self.tracker.votes.contains_key(&from) {
                    self.tracker.votes.insert(from, granted);
                }
                self.counted();
            }
            // There is a leader in this term.
            (MessageType::MsgApp { .. } | MessageType::MsgHeartbeat { .. } | MessageType::MsgSnap(_), _) => {
                self.become_follower(message.term, message.from);
                self.step_follower(message);
            }
            _ => {}
        }
    }

    /// The leader says that this node shall lead.
    pub(super) fn timeout_now(&mut self) {
        self.hup(false, true);
    }

    /// A leader that has heard of no majority since the last time doesn't lead any more.
    pub(super) fn check_quorum(&mut self) {
        let me = self.config.id;
        if let Some(mine) = self.tracker.progress.get_mut(&me) {
            mine.recent_active = true;
        }
        if !self.tracker.quorum_active() {
            return self.become_follower(self.term, 0);
        }
        for id in self.tracker.ids() {
            if let Some(progress) = self.tracker.progress.get_mut(&id).filter(|_| id != me) {
                progress.recent_active = false;
            }
        }
    }
}
