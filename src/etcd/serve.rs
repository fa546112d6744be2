//! What clients ask. A write is proposed to the cluster; a linearizable read waits for a quorum's word; the rest is answered
//! from what this member has.

use std::rc::Rc;

use base::Time;
use etcd_api::raftpb::{ConfChange, ConfChangeType, EntryData};
use etcd_api::{AlarmMember, Command, Error, Message, Op, Proposal, Request, Response};
use sim::{Outbox, Payload};

use crate::client::{Client, Waiting};
use crate::member::{Member, RESPONSE_DELAY};

/// Entries kept by a member without others: for who looks at it; nobody has to catch up.
const KEPT_ALONE: u64 = 1000;

impl Member {
    pub(crate) fn serve(&mut self, now: Time, client: Client, cause: u64, request: &Rc<Request>, out: &mut Outbox) {
        if self.joining {
            return self.answer(&client, Response::Error(Error::NoLeader), out);
        }
        if self.raft().is_learner() && !answers_as_learner(request) {
            return self.answer(&client, Response::Error(Error::NotSupportedForLearner), out);
        }
        match &**request {
            Request::Txn(txn) if txn.success.iter().chain(&txn.failure).any(is_put) => match self.out_of_space(now, out) {
                true => self.answer(&client, Response::Error(Error::NoSpace), out),
                false => self.propose(now, client, cause, request, out),
            },
            Request::LeaseGrant { .. } if self.out_of_space(now, out) => {
                self.answer(&client, Response::Error(Error::NoSpace), out);
            }
            Request::Txn(_)
            | Request::Compact { .. }
            | Request::LeaseGrant { .. }
            | Request::LeaseRevoke { .. }
            | Request::AlarmDisarm => self.propose(now, client, cause, request, out),
            Request::MemberAdd { .. } | Request::MemberRemove { .. } | Request::MemberPromote { .. } => {
                self.change_members(now, client, cause, request, out);
            }
            Request::Range(range) if !range.serializable => self.read(now, client, request, out),
            Request::MemberList => self.read(now, client, request, out),
            Request::LeaseKeepAlive { .. } | Request::LeaseTimeToLive { .. } => self.lease_of_leader(now, client, request, out),
            Request::MoveLeader { target } => self.move_leader(now, client, *target, out),
            Request::Watch(_) | Request::CancelWatch { .. } | Request::WatchProgress => self.serve_watch(&client, request, out),
            local => {
                let response = self.local(local);
                self.answer(&client, response, out);
            }
        }
    }

    fn serve_watch(&mut self, client: &Client, request: &Request, out: &mut Outbox) {
        let Client::Grpc { addr, id } = *client else { return };
        match request {
            Request::Watch(request) => self.watch(addr, id, request, out),
            Request::CancelWatch { watch_id } => {
                self.watchers.remove((addr, *watch_id));
                let message = Message::WatchCanceled { watch_id: *watch_id, compact_revision: 0 };
                out.send_after(RESPONSE_DELAY, addr, Payload::Etcd(message));
            }
            _ => self.progress(addr, out),
        }
    }

    /// From what this member has.
    pub(crate) fn local(&mut self, request: &Request) -> Response {
        match request {
            Request::Range(range) => self.store().range(range).map_or_else(Response::Error, Response::Range),
            Request::MemberList | Request::PeerMembers => Response::MemberList(self.members().cloned().collect()),
            Request::Status => Response::Status(self.status()),
            Request::HashKv { .. } => Response::HashKv { hash: self.digest(), compact_revision: self.store().compacted() },
            Request::Alarm => Response::Alarm(self.alarms().iter().cloned().collect()),
            Request::Defragment => {
                self.data.file_size = self.size_in_use();
                Response::Defragment
            }
            Request::Snapshot => Response::Snapshot(crate::backup::write(self).as_bytes().into()),
            _ => Response::Error(Error::Timeout),
        }
    }

    /// Proposes a change. A member without others carries it out at once.
    pub(crate) fn propose(&mut self, now: Time, client: Client, cause: u64, request: &Rc<Request>, out: &mut Outbox) {
        self.propose_command(now, client, cause, Command::Request(request.clone()), out);
    }

    pub(crate) fn propose_command(&mut self, now: Time, client: Client, cause: u64, command: Command, out: &mut Outbox) {
        let proposal = Rc::new(Proposal { id: self.next_id(), member: self.data.id, at: now, cause, command });
        if self.data.raft.commit_alone(proposal.clone()).is_some() {
            self.carry_out(now, &proposal, Some(&client), out);
            return self.shorten_log_alone();
        }
        self.waiting.insert(proposal.id, Waiting { client, since: now });
        self.offer(EntryData::Normal(proposal));
        self.work(now, out);
    }

    fn shorten_log_alone(&mut self) {
        let log = self.raft().log();
        if log.last_index() - log.first_index() > 2 * KEPT_ALONE {
            let keep_from = log.last_index() - KEPT_ALONE;
            self.data.raft.compact(keep_from);
        }
    }

    /// To the leader, or aside until there is one.
    pub(crate) fn offer(&mut self, entry: EntryData<Rc<Proposal>>) {
        if self.data.raft.propose(entry.clone()).is_err() {
            self.queued.push_back(entry);
        }
    }

    /// Whether the database is full. The first to find that out raises the alarm.
    fn out_of_space(&mut self, now: Time, out: &mut Outbox) -> bool {
        if !self.alarms().is_empty() {
            return true;
        }
        if self.config.quota <= 0 || self.data.file_size.max(self.size_in_use()) <= self.config.quota {
            return false;
        }
        let alarm = AlarmMember { member: self.data.id, alarm: "NOSPACE".into() };
        self.propose_command(now, Client::Nobody, 0, Command::SetAlarm(alarm), out);
        true
    }

    /// Leases are counted by the leader.
    fn lease_of_leader(&mut self, now: Time, client: Client, request: &Rc<Request>, out: &mut Outbox) {
        if !self.raft().is_leader() {
            return match self.addr_of(self.raft().lead()) {
                Some(leader) => self.relay(now, leader, client, request, out),
                None => self.answer(&client, Response::Error(Error::NoLeader), out),
            };
        }
        let response = match **request {
            Request::LeaseKeepAlive { id } => {
                let kept = self.data.state.leases.keep_alive(id, now);
                kept.map_or_else(Response::Error, |ttl| Response::LeaseKeepAlive { ttl_s: ttl.as_secs() })
            }
            Request::LeaseTimeToLive { id } => self.time_to_live(id, now),
            _ => Response::Error(Error::Timeout),
        };
        self.answer(&client, response, out);
    }

    fn time_to_live(&self, id: i64, now: Time) -> Response {
        self.data.state.leases.get(id).map_or(Response::Error(Error::LeaseNotFound), |lease| Response::LeaseTimeToLive {
            granted_ttl_s: lease.ttl.as_secs(),
            ttl_s: (lease.expires - now).as_secs(),
            keys: lease.keys.iter().cloned().collect(),
        })
    }

    fn move_leader(&mut self, now: Time, client: Client, target: u64, out: &mut Outbox) {
        if !self.raft().is_leader() {
            return self.answer(&client, Response::Error(Error::NotLeader), out);
        }
        if !self.raft().conf_state().voters.contains(&target) {
            return self.answer(&client, Response::Error(Error::BadLeaderTransferee), out);
        }
        if target == self.data.id {
            return self.answer(&client, Response::MoveLeader, out);
        }
        self.transfer = Some((Waiting { client, since: now }, target));
        self.data.raft.transfer_leader(target);
        self.work(now, out);
    }

    fn change_members(&mut self, now: Time, client: Client, cause: u64, request: &Request, out: &mut Outbox) {
        let (kind, info) = match self.changed_member(now, request) {
            Ok(change) => change,
            Err(e) => return self.answer(&client, Response::Error(e), out),
        };
        let node = info.id;
        let proposal =
            Rc::new(Proposal { id: self.next_id(), member: self.data.id, at: now, cause, command: Command::Member(info) });
        self.waiting.insert(proposal.id, Waiting { client, since: now });
        self.offer(EntryData::ConfChange(ConfChange { kind, node, context: Some(proposal) }));
        self.work(now, out);
        self.keep_ticking(now, out);
    }

    /// What a request for another membership comes to, or why it is refused (`--strict-reconfig-check`).
    fn changed_member(&self, now: Time, request: &Request) -> Result<(ConfChangeType, etcd_api::Member), Error> {
        let find = |id: &u64| self.data.state.members.get(id).cloned().ok_or(Error::MemberNotFound);
        match request {
            Request::MemberAdd { peer_url, is_learner } => {
                if self.members().any(|m| m.peer_url == *peer_url) {
                    return Err(Error::PeerUrlExists);
                }
                match is_learner {
                    true if self.members().any(|m| m.is_learner) => return Err(Error::TooManyLearners),
                    true => {}
                    false => self.may_have_voters(1)?,
                }
                let id = crate::config::member_id(peer_url, &format!("{}{}", self.config.token, now.0));
                let (name, client_url): (Rc<str>, Rc<str>) = ("".into(), "".into());
                let info = etcd_api::Member { id, name, peer_url: peer_url.clone(), client_url, is_learner: *is_learner };
                let kind = if *is_learner { ConfChangeType::AddLearnerNode } else { ConfChangeType::AddNode };
                Ok((kind, info))
            }
            Request::MemberPromote { id } => {
                let member = find(id)?;
                if !member.is_learner {
                    return Err(Error::MemberNotLearner);
                }
                self.is_in_sync(*id)?;
                Ok((ConfChangeType::AddNode, etcd_api::Member { is_learner: false, ..member }))
            }
            Request::MemberRemove { id } => {
                let member = find(id)?;
                let counts = !member.is_learner && !member.name.is_empty() && self.is_active(*id);
                if counts {
                    self.may_have_voters(-1)?;
                }
                Ok((ConfChangeType::RemoveNode, member))
            }
            _ => Err(Error::MemberNotFound),
        }
    }

    /// Whether the voters that have started would still be a majority if there were one more or one less of them.
    fn may_have_voters(&self, change: i64) -> Result<(), Error> {
        let voters: Vec<_> = self.members().filter(|m| !m.is_learner).collect();
        let started = voters.iter().filter(|m| !m.name.is_empty()).count() as i64;
        let (total, started) = (voters.len() as i64 + change, started + change.min(0));
        if voters.len() > 1 && started < total / 2 + 1 {
            return Err(Error::NotEnoughStarted);
        }
        let active = voters.iter().filter(|m| self.is_active(m.id)).count();
        let healthy = if change > 0 { active == voters.len() } else { active > voters.len() / 2 };
        if healthy { Ok(()) } else { Err(Error::UnhealthyCluster) }
    }

    /// Whether a member was heard of lately, as far as this one can tell (a leader knows most).
    fn is_active(&self, id: u64) -> bool {
        id == self.data.id
            || match self.raft().is_leader() {
                true => self.raft().progress().any(|(n, p)| n == id && p.recent_active),
                false => self.raft().lead() != 0,
            }
    }

    /// A learner is promoted when it has nine tenths of the leader's log. Only the leader knows.
    fn is_in_sync(&self, id: u64) -> Result<(), Error> {
        if !self.raft().is_leader() {
            return Err(Error::NotLeader);
        }
        let matched = self.raft().progress().find(|(n, _)| *n == id).map_or(0, |(_, p)| p.matched);
        if matched * 10 < self.raft().log().last_index() * 9 { Err(Error::LearnerNotReady) } else { Ok(()) }
    }
}

fn is_put(op: &Op) -> bool {
    matches!(op, Op::Put { .. })
}

fn answers_as_learner(request: &Request) -> bool {
    matches!(request, Request::Range(r) if r.serializable) || matches!(request, Request::Status)
}
