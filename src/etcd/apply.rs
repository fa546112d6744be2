//! Carrying out what was agreed on: the same on every member, in the order of the log. Only the member that proposed something
//! has somebody to answer.

use base::{Duration, Time};
use etcd_api::raftpb::{ConfChange, ConfChangeType, Entry, EntryData};
use etcd_api::{Command, Error, Key, KeyRange, Op, OpResponse, Proposal, Request, Response, TxnRequest};
use sim::Outbox;
use std::rc::Rc;

use crate::client::Client;
use crate::member::Member;
use crate::store::Stamp;

impl Member {
    /// Carries out an entry of the log.
    pub(crate) fn apply_entry(&mut self, now: Time, entry: &Entry<Rc<Proposal>>, out: &mut Outbox) {
        match &entry.data {
            EntryData::Empty => {}
            EntryData::Normal(proposal) => {
                let client = self.client_of(proposal);
                self.carry_out(now, proposal, client.as_ref(), out);
            }
            EntryData::ConfChange(change) => self.apply_conf_change(change, out),
        }
    }

    fn client_of(&mut self, proposal: &Proposal) -> Option<Client> {
        let mine = proposal.member == self.data.id;
        mine.then(|| self.waiting.remove(&proposal.id)).flatten().map(|w| w.client)
    }

    /// Carries out a command and answers whoever asked for it here.
    pub(crate) fn carry_out(&mut self, now: Time, proposal: &Proposal, client: Option<&Client>, out: &mut Outbox) {
        let response = match &proposal.command {
            Command::Request(request) => return self.apply_request(now, request, proposal, client, out),
            Command::Publish(info) => {
                if let Some(known) = self.data.state.members.get_mut(&info.id) {
                    (known.name, known.client_url) = (info.name.clone(), info.client_url.clone());
                }
                Response::MemberList(Vec::new())
            }
            Command::SetAlarm(alarm) => {
                self.data.state.alarms.insert(alarm.clone());
                Response::Alarm(vec![alarm.clone()])
            }
            Command::ClusterVersion(version) => {
                self.data.state.version = Some(version.clone());
                return;
            }
            Command::Member(_) => return,
        };
        if let Some(client) = client {
            self.answer(client, response, out);
        }
    }

    fn apply_request(&mut self, now: Time, request: &Request, p: &Proposal, client: Option<&Client>, out: &mut Outbox) {
        let stamp = self.data.state.store.next(p.at, p.cause);
        let response = match request {
            Request::Txn(txn) => self.txn(txn, stamp),
            Request::Compact { revision } => {
                self.data.state.store.compact(*revision).map_or_else(Response::Error, |()| Response::Compact)
            }
            Request::LeaseGrant { id, ttl_s } => self.grant(*id, *ttl_s, now, out),
            Request::LeaseRevoke { id } => match self.data.state.leases.contains(*id) {
                true => Response::LeaseRevoke,
                false => Response::Error(Error::LeaseNotFound),
            },
            Request::AlarmDisarm => {
                let before = std::mem::take(&mut self.data.state.alarms);
                Response::Alarm(before.into_iter().collect())
            }
            _ => Response::Error(Error::Timeout),
        };
        let revokes = matches!(response, Response::LeaseRevoke);
        // The answer goes before the watch events.
        match client {
            // A transaction's answer names the revision that it made.
            Some(client) => self.answer(client, response, out),
            None => {}
        }
        match request {
            Request::Txn(_) => self.notify(stamp.revision, out),
            Request::LeaseRevoke { id } if revokes => self.revoke(*id, stamp, out),
            _ => {}
        }
        self.data.file_size = self.data.file_size.max(self.size_in_use());
    }

    fn grant(&mut self, id: i64, ttl_s: i64, now: Time, out: &mut Outbox) -> Response {
        match self.data.state.leases.grant(id, ttl_s, now) {
            Ok(ttl) => {
                out.timer(ttl, id as u64);
                Response::LeaseGrant { id, ttl_s }
            }
            Err(e) => Response::Error(e),
        }
    }

    /// A lease's timer. The leader alone decides that it is over, and has that agreed on.
    pub(crate) fn lease_due(&mut self, id: i64, now: Time, out: &mut Outbox) {
        match self.data.state.leases.get(id).map(|lease| lease.expires - now) {
            Some(left) if left > Duration::ZERO => out.timer(left, id as u64),
            Some(_) if self.raft().is_leader() => {
                let cause = out.handling.0;
                self.propose(now, Client::Nobody, cause, &Rc::new(Request::LeaseRevoke { id }), out);
            }
            _ => {}
        }
    }

    /// Deletes a lease and its keys, in one revision.
    fn revoke(&mut self, id: i64, stamp: Stamp, out: &mut Outbox) {
        let Some(lease) = self.data.state.leases.remove(id) else { return };
        let mut any = false;
        for key in &lease.keys {
            any |= self.data.state.store.delete(key, stamp).is_some();
        }
        if any {
            self.data.state.store.commit(stamp);
            self.notify(stamp.revision, out);
        }
    }

    fn txn(&mut self, txn: &TxnRequest, stamp: Stamp) -> Response {
        let succeeded = txn.compare.iter().all(|c| self.store().compare(c));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        if let Some(e) = self.refuse(ops) {
            return Response::Error(e);
        }
        let before = self.store().log().len();
        let mut responses = Vec::with_capacity(ops.len());
        for op in ops {
            match self.op(op, stamp) {
                Ok(response) => responses.push(response),
                // Only a range can fail here (an old revision), and upstream checks it before it applies.
                Err(e) => return Response::Error(e),
            }
        }
        if self.store().log().len() > before {
            self.data.state.store.commit(stamp);
        }
        Response::Txn { succeeded, responses }
    }

    /// What makes a whole transaction fail.
    fn refuse(&self, ops: &[Op]) -> Option<Error> {
        for (i, op) in ops.iter().enumerate() {
            let Op::Put { key, lease, .. } = op else { continue };
            if *lease != 0 && !self.data.state.leases.contains(*lease) {
                return Some(Error::LeaseNotFound);
            }
            if ops[..i].iter().any(|other| matches!(other, Op::Put { key: k, .. } if k == key)) {
                return Some(Error::DuplicateKey);
            }
        }
        None
    }

    fn op(&mut self, op: &Op, stamp: Stamp) -> Result<OpResponse, Error> {
        Ok(match op {
            Op::Put { key, value, lease } => {
                let state = &mut self.data.state;
                let prev = state.store.put(key, value.clone(), *lease, stamp);
                state.leases.move_key(key, prev.map_or(0, |p| p.lease), *lease);
                OpResponse::Put
            }
            Op::DeleteRange(range) => OpResponse::DeleteRange { deleted: self.delete_range(range, stamp) },
            Op::Range(range) => OpResponse::Range(self.store().range(range)?),
        })
    }

    fn delete_range(&mut self, range: &KeyRange, stamp: Stamp) -> i64 {
        if range.end.is_none() {
            return i64::from(self.delete(&range.key, stamp));
        }
        let keys = self.store().keys_in(range);
        keys.iter().filter(|key| self.delete(key, stamp)).count() as i64
    }

    fn delete(&mut self, key: &Key, stamp: Stamp) -> bool {
        let Some(prev) = self.data.state.store.delete(key, stamp) else { return false };
        self.data.state.leases.move_key(key, prev.lease, 0);
        true
    }

    /// Another membership: in Raft, in the list of members, and for whoever asked.
    fn apply_conf_change(&mut self, change: &ConfChange<Rc<Proposal>>, out: &mut Outbox) {
        self.data.raft.apply_conf_change(change);
        let state = &mut self.data.state;
        let Some(proposal) = &change.context else { return };
        let Command::Member(info) = &proposal.command else { return };
        match change.kind {
            ConfChangeType::RemoveNode => {
                state.members.remove(&change.node);
                state.removed.insert(change.node);
            }
            // A promoted one keeps its name.
            _ => match state.members.get_mut(&change.node) {
                Some(known) => known.is_learner = info.is_learner,
                None => {
                    state.members.insert(change.node, info.clone());
                }
            },
        }
        if let Some(client) = self.client_of(proposal) {
            let response = self.changed(change, info);
            self.answer(&client, response, out);
        }
        if change.kind == ConfChangeType::RemoveNode && change.node == self.data.id {
            self.end("the member has been permanently removed from the cluster");
        }
    }

    fn changed(&self, change: &ConfChange<Rc<Proposal>>, info: &etcd_api::Member) -> Response {
        let all = self.members().cloned().collect();
        match change.kind {
            ConfChangeType::RemoveNode => Response::MemberRemove(all),
            ConfChangeType::AddNode if !info.name.is_empty() => Response::MemberPromote(all),
            _ => Response::MemberAdd(info.clone(), all),
        }
    }
}
