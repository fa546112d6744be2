//! Raft in a member: its ticks, the other members' messages, reads that wait for a quorum, and what comes of a leader's going.
//!
//! A member without others needs none of it: it commits by itself (`serve`), and no timer runs. Models `etcdserver/raft.go` and
//! the loops of `etcdserver/v3_server.go`.

use std::rc::Rc;

use base::{Duration, Time, Vector};
use etcd_api::raftpb::{EntryData, Snapshot};
use etcd_api::{Command, Database, Error, Message, Proposal, RaftMessage, Request, Response};
use sim::{Addr, MsgId, Outbox, Payload};

use crate::client::Client;
use crate::data_dir::{DataDir, State};
use crate::member::{Member, RESPONSE_DELAY, VERSION, timer};
use crate::raft::{ProgressState, ReadState};

/// `--heartbeat-interval`; an election timeout is ten of them.
const TICK: Duration = Duration::from_millis(100);
const ELECTION_TICKS: u32 = 10;
/// How long a request may wait: five seconds and two election timeouts.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(7);
/// A question to the quorum is asked again after so long.
const READ_RETRY: Duration = Duration::from_millis(500);
/// Without a leader for so many ticks, watches end.
const CANCEL_AFTER_TICKS: u32 = 3 * ELECTION_TICKS;
const JOIN_RETRY: Duration = Duration::from_secs(1);

/// A linearizable read under way.
#[derive(Clone, Debug)]
struct Read {
    client: Client,
    request: Rc<Request>,
    since: Time,
}

/// Reads that wait for a quorum's word. One question is under way at a time and serves all that came before it.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Names the question under way; 0: there is none.
    context: u64,
    asked_at: Time,
    asked: Vector<Read>,
    next: Vector<Read>,
    /// May be answered when so much is applied.
    confirmed: Vector<(u64, Read)>,
}

impl Reads {
    pub fn len(&self) -> usize {
        self.asked.len() + self.next.len() + self.confirmed.len()
    }
}

impl Member {
    fn is_alone(&self) -> bool {
        let conf = self.raft().conf_state();
        conf.voters == [self.data.id] && conf.learners.is_empty()
    }

    /// A member with others needs a clock. They don't all start at the same moment.
    pub(crate) fn keep_ticking(&mut self, now: Time, out: &mut Outbox) {
        if !self.ticking && !self.is_alone() {
            self.ticking = true;
            let offset = self.config.seed.derive("tick").below(now.0 as u64, TICK.as_micros() as u64);
            arm(Duration(offset as i64), out);
        }
    }

    pub(crate) fn tick(&mut self, now: Time, out: &mut Outbox) {
        self.ticking = false;
        self.data.raft.tick();
        self.leaderless = if self.raft().lead() == 0 { self.leaderless + 1 } else { 0 };
        if self.leaderless == CANCEL_AFTER_TICKS {
            self.cancel_watches(out);
        }
        if self.reads.context != 0 && now - self.reads.asked_at >= READ_RETRY {
            self.reads.asked_at = now;
            self.data.raft.read_index(self.reads.context);
        }
        self.give_up_overdue(now, out);
        self.publish(now, out);
        self.work(now, out);
        if !self.is_alone() {
            self.ticking = true;
            arm(TICK, out);
        }
    }

    /// Another member's message.
    pub(crate) fn peer_says(&mut self, now: Time, from: Addr, message: &Rc<RaftMessage>, out: &mut Outbox) {
        if self.data.state.removed.contains(&message.from) {
            return out.send(from, Payload::Etcd(Message::MemberRemoved));
        }
        // A number of another life of this address: not meant for what is here now.
        if self.joining || message.to != self.data.id {
            return;
        }
        self.heard.insert(message.from, from);
        self.data.raft.step((**message).clone());
        self.work(now, out);
    }

    /// Carries out what Raft wants, until it wants nothing more.
    pub(crate) fn work(&mut self, now: Time, out: &mut Outbox) {
        while self.fatal.is_none() {
            while self.data.raft.has_ready() && self.fatal.is_none() {
                self.carry_out_ready(now, out);
            }
            if self.raft().has_lost_log() {
                return self.end("tocommit is out of range: was the raft log corrupted, truncated, or lost?");
            }
            self.notice_leader(now, out);
            self.offer_queued();
            self.ask_quorum(now);
            if !self.data.raft.has_ready() {
                break;
            }
        }
        self.serve_confirmed(out);
        self.shorten_log();
    }

    fn carry_out_ready(&mut self, now: Time, out: &mut Outbox) {
        let mut ready = self.data.raft.ready();
        if let Some(snapshot) = &ready.snapshot {
            self.install(snapshot, out);
        }
        // A leader's entries go out while its disk is still at it; everybody else flushes first.
        let flushed = !ready.entries.is_empty() || ready.hard_state.is_some() || ready.snapshot.is_some();
        let delay = if flushed && !self.raft().is_leader() { RESPONSE_DELAY } else { Duration::ZERO };
        for message in std::mem::take(&mut ready.messages) {
            if let Some(to) = self.addr_of(message.to) {
                out.send_after(delay, to, Payload::Etcd(Message::Raft(Rc::new(message))));
            }
        }
        for entry in &ready.committed {
            self.apply_entry(now, entry, out);
        }
        self.data.raft.advance(&ready);
        if ready.wants_snapshot {
            let database = Database(Rc::new(self.data.state.clone()));
            self.data.raft.offer_snapshot(database);
        }
        ready.read_states.iter().for_each(|r| self.read_confirmed(*r));
    }

    /// Takes over a leader's state.
    fn install(&mut self, snapshot: &Snapshot<Database>, out: &mut Outbox) {
        let state = snapshot.data.0.downcast_ref::<State>().expect("members send their state");
        self.data.state = state.clone();
        self.data.file_size = self.size_in_use();
        self.resync_watchers(out);
    }

    /// Where a member is: by its peer URL, or where it was heard from.
    pub(crate) fn addr_of(&self, id: u64) -> Option<Addr> {
        let by_url = self.data.state.members.get(&id).and_then(|m| self.network.get(&m.peer_url));
        by_url.or_else(|| self.heard.get(&id)).copied()
    }

    fn notice_leader(&mut self, now: Time, out: &mut Outbox) {
        let lead = self.raft().lead();
        if std::mem::replace(&mut self.known_lead, lead) == lead || lead == 0 {
            return;
        }
        self.lead_since = now;
        self.reads.context = 0;
        for read in std::mem::take(&mut self.reads.asked) {
            self.answer(&read.client, Response::Error(Error::LeaderChanged), out);
        }
        if let Some((waiting, _)) = self.transfer.take_if(|(_, target)| *target == lead) {
            self.answer(&waiting.client, Response::MoveLeader, out);
        }
        if lead == self.data.id {
            self.renew_leases(now, out);
        }
        self.publish(now, out);
        if lead == self.data.id && self.data.state.version.is_none() {
            self.enqueue(now, Command::ClusterVersion(VERSION.into()), out);
        }
    }

    /// Tells the cluster this member's name and where clients find it, until that is known.
    fn publish(&mut self, now: Time, out: &mut Outbox) {
        let known = self.data.state.members.get(&self.data.id);
        let Some(known) = known.filter(|m| m.name != self.config.name || m.client_url != self.config.client_url) else { return };
        let lately = self.published.is_some_and(|at| now - at < REQUEST_TIMEOUT);
        if self.raft().lead() == 0 || lately {
            return;
        }
        let (name, client_url) = (self.config.name.clone(), self.config.client_url.clone());
        let info = etcd_api::Member { name, client_url, ..known.clone() };
        self.published = Some(now);
        self.enqueue(now, Command::Publish(info), out);
    }

    /// Proposes something of the member's own.
    fn enqueue(&mut self, now: Time, command: Command, out: &mut Outbox) {
        let proposal = Rc::new(Proposal { id: self.next_id(), member: self.data.id, at: now, cause: 0, command });
        match self.data.raft.commit_alone(proposal.clone()) {
            Some(_) => self.carry_out(now, &proposal, None, out),
            None => self.offer(EntryData::Normal(proposal)),
        }
    }

    fn offer_queued(&mut self) {
        if self.raft().lead() == 0 || self.queued.is_empty() {
            return;
        }
        for entry in std::mem::take(&mut self.queued) {
            let waits = match &entry {
                EntryData::Normal(p) => p.member != self.data.id || self.waiting.contains_key(&p.id) || is_own(&p.command),
                EntryData::ConfChange(c) => c.context.as_ref().is_some_and(|p| self.waiting.contains_key(&p.id)),
                EntryData::Empty => false,
            };
            // Whoever gave up waiting doesn't want it any more.
            if waits {
                self.offer(entry);
            }
        }
    }

    /// A linearizable read: of a leader without others at once, else when a quorum has confirmed who leads.
    pub(crate) fn read(&mut self, now: Time, client: Client, request: &Rc<Request>, out: &mut Outbox) {
        if self.raft().leads_alone() {
            let response = self.local(request);
            return self.answer(&client, response, out);
        }
        self.reads.next.push_back(Read { client, request: request.clone(), since: now });
        self.work(now, out);
    }

    fn ask_quorum(&mut self, now: Time) {
        if self.reads.context != 0 || self.reads.next.is_empty() {
            return;
        }
        self.reads.context = self.next_id();
        self.reads.asked_at = now;
        self.reads.asked = std::mem::take(&mut self.reads.next);
        self.data.raft.read_index(self.reads.context);
    }

    fn read_confirmed(&mut self, state: ReadState) {
        if state.context != self.reads.context {
            return;
        }
        self.reads.context = 0;
        for read in std::mem::take(&mut self.reads.asked) {
            self.reads.confirmed.push_back((state.index, read));
        }
    }

    fn serve_confirmed(&mut self, out: &mut Outbox) {
        let applied = self.raft().applied();
        while let Some((_, read)) = self.reads.confirmed.front().filter(|(index, _)| *index <= applied).cloned() {
            self.reads.confirmed.pop_front();
            let response = self.local(&read.request);
            self.answer(&read.client, response, out);
        }
    }

    /// Tells those who have waited too long.
    fn give_up_overdue(&mut self, now: Time, out: &mut Outbox) {
        let overdue = |since: Time| now - since >= REQUEST_TIMEOUT;
        let late: Vec<u64> = self.waiting.iter().filter(|(_, w)| overdue(w.since)).map(|(id, _)| *id).collect();
        for id in late {
            let Some(w) = self.waiting.remove(&id) else { continue };
            self.answer(&w.client, Response::Error(self.why_too_late(w.since)), out);
        }
        let late: Vec<u64> = self.relayed.iter().filter(|(_, w)| overdue(w.since)).map(|(id, _)| *id).collect();
        for w in late.iter().filter_map(|id| self.relayed.remove(id)).collect::<Vec<_>>() {
            self.answer(&w.client, Response::Error(Error::Timeout), out);
        }
        if let Some((w, _)) = self.transfer.take_if(|(w, _)| overdue(w.since)) {
            self.answer(&w.client, Response::Error(Error::TimeoutLeaderTransfer), out);
        }
        let (asked, next) = (std::mem::take(&mut self.reads.asked), std::mem::take(&mut self.reads.next));
        let (late, asked): (Vec<Read>, Vec<Read>) = asked.into_iter().partition(|r| overdue(r.since));
        let (later, next): (Vec<Read>, Vec<Read>) = next.into_iter().partition(|r| overdue(r.since));
        (self.reads.asked, self.reads.next) = (asked.into_iter().collect(), next.into_iter().collect());
        if self.reads.asked.is_empty() {
            self.reads.context = 0;
        }
        for read in late.iter().chain(&later) {
            self.answer(&read.client, Response::Error(Error::Timeout), out);
        }
    }

    /// Why a proposal was not agreed on in time, as far as this member can tell.
    fn why_too_late(&self, since: Time) -> Error {
        let lost_leader = self.lead_since - TICK * i64::from(2 * ELECTION_TICKS);
        if since > lost_leader && since < self.lead_since {
            return Error::TimeoutDueToLeaderFail;
        }
        let quorum = self.raft().conf_state().voters.len() / 2 + 1;
        match self.raft().is_leader() && self.raft().active_voters() < quorum {
            true => Error::TimeoutDueToConnectionLost,
            false => Error::Timeout,
        }
    }

    /// Entries that everybody has applied long ago go; who is behind them gets a snapshot.
    fn shorten_log(&mut self) {
        let (count, applied) = (self.config.snapshot_count, self.raft().applied());
        let catch_up = count / 2;
        if applied.saturating_sub(self.raft().log().first_index()) >= count + catch_up {
            self.data.raft.compact(applied - catch_up);
        }
        if self.raft().log().snapshot().is_some() && self.raft().progress().all(|(_, p)| p.state != ProgressState::Snapshot) {
            self.data.raft.drop_snapshot();
        }
    }

    /// A member that was added asks the others which number it has.
    pub(crate) fn ask_to_join(&mut self, out: &mut Outbox) {
        if !self.joining {
            return;
        }
        let others: Vec<Addr> = self
            .config
            .initial_cluster
            .iter()
            .filter(|(name, _)| *name != self.config.name)
            .filter_map(|(_, url)| self.network.get(url).copied())
            .collect();
        for to in others {
            let id = self.next_id();
            out.send(to, Payload::Etcd(Message::Request { id, request: Rc::new(Request::PeerMembers) }));
        }
        out.timer(JOIN_RETRY, timer::JOIN);
    }

    /// Another member's answer: to a request handed on, or to the question who this one is.
    pub(crate) fn peer_answered(&mut self, now: Time, id: u64, response: &Response, out: &mut Outbox) {
        match response {
            Response::MemberList(members) if self.joining => self.join(now, members, out),
            _ => {
                if let Some(w) = self.relayed.remove(&id) {
                    self.answer(&w.client, response.clone(), out);
                }
            }
        }
    }

    fn join(&mut self, now: Time, members: &[etcd_api::Member], out: &mut Outbox) {
        let Some(me) = members.iter().find(|m| m.peer_url == self.config.peer_url) else {
            return self.end("error validating peerURLs: member count is unequal");
        };
        self.joining = false;
        self.data = DataDir::joining(&self.config, me.id);
        self.data.state.members = members.iter().map(|m| (m.id, m.clone())).collect();
        self.keep_ticking(now, out);
    }
}

/// The clock has no cause: nobody made it tick.
fn arm(delay: Duration, out: &mut Outbox) {
    out.set_cause(Some(MsgId(0)));
    out.timer(delay, timer::TICK);
    out.set_cause(None);
}

/// Proposed by the member for itself: nobody waits for it.
fn is_own(command: &Command) -> bool {
    matches!(command, Command::Publish(_) | Command::ClusterVersion(_) | Command::SetAlarm(_))
}
