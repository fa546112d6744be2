//! Leader election by a Lease: of several instances of a component one works, the others watch its lease run out.
//!
//! Models `tools/leaderelection` with its defaults: lease 15 s, renewal within 10 s, a try every 2 s.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, Response, resources, value};
use base::{Duration, Seed, Time};
use sim::{Outbox, Payload};

use crate::client::{Client, ClientConfig};
use crate::timers::Timers;

/// Names and times of an election.
#[derive(Clone, Debug)]
pub struct LeaderConfig {
    /// `kube-system/kube-scheduler`
    pub lease: ObjectKey,
    /// `<host>_<uuid>`
    pub identity: Rc<str>,
    pub lease_duration: Duration,
    pub renew_deadline: Duration,
    pub retry_period: Duration,
}

impl LeaderConfig {
    pub fn new(lease: ObjectKey, identity: &str) -> LeaderConfig {
        LeaderConfig {
            lease,
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// What a payload changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leadership {
    /// The payload isn't for the elector.
    NotMine,
    Unchanged,
    /// Now this instance leads. It should note `<identity> became leader` about the lease.
    Started,
    /// The lease could not be renewed in time: the process must end.
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Get,
    Create,
    Update,
}

/// One candidate.
#[derive(Clone, Debug)]
pub struct LeaderElector {
    pub config: LeaderConfig,
    client: Client<Call>,
    timers: Timers<()>,
    seed: Seed,
    draws: u64,
    leading: bool,
    /// The lease as last seen, and when it was seen to change.
    observed: Option<Object>,
    observed_at: Time,
    renewed_at: Time,
}

impl LeaderElector {
    pub fn new(scope: u16, client: ClientConfig, config: LeaderConfig, seed: Seed) -> LeaderElector {
        LeaderElector {
            config,
            client: Client::new(scope, client),
            timers: Timers::new(scope),
            seed,
            draws: 0,
            leading: false,
            observed: None,
            observed_at: Time::EPOCH,
            renewed_at: Time::EPOCH,
        }
    }
    pub fn is_leader(&self) -> bool {
        self.leading
    }
    /// The lease as last seen.
    pub fn lease(&self) -> Option<&Object> {
        self.observed.as_ref()
    }

    /// Becomes a candidate.
    pub fn start(&mut self, out: &mut Outbox) {
        self.try_acquire_or_renew(out);
    }

    pub fn handle(&mut self, payload: &Payload, out: &mut Outbox) -> Leadership {
        match payload {
            Payload::ApiResponse { id, response } if self.client.owns(*id) => match self.client.take(*id) {
                Some(call) => self.on_response(call, response, out),
                None => Leadership::Unchanged,
            },
            Payload::Timer(token) if self.timers.owns(*token) => {
                if self.timers.take(*token).is_some() {
                    self.client.drop_all();
                    self.try_acquire_or_renew(out);
                }
                Leadership::Unchanged
            }
            _ => Leadership::NotMine,
        }
    }

    /// Updates the lease as last seen if it is ours or run out, else looks at it.
    fn try_acquire_or_renew(&mut self, out: &mut Outbox) {
        match &self.observed {
            Some(lease) if self.leading => {
                let lease = self.renewed(lease, out.now);
                self.client.call(Request::update(resources::leases(), lease), Call::Update, out);
            }
            _ => {
                self.client.call(Request::get(resources::leases(), &self.config.lease), Call::Get, out);
            }
        }
    }

    fn on_response(&mut self, call: Call, response: &Response, out: &mut Outbox) -> Leadership {
        if call == Call::Get && response.is_not_found() {
            let lease = self.new_lease(out.now);
            self.client.call(Request::create(resources::leases(), lease), Call::Create, out);
            return Leadership::Unchanged;
        }
        let Some(lease) = response.ok() else {
            return self.failed(out);
        };
        self.observe(lease, out.now);
        if call != Call::Get {
            return self.renewed_now(out);
        }
        let holder = lease.str_at(&["spec", "holderIdentity"]).unwrap_or("");
        let free =
            holder.is_empty() || holder == &*self.config.identity || out.now.since(self.observed_at) > self.config.lease_duration;
        if !free {
            self.retry(out);
            return Leadership::Unchanged;
        }
        let lease = self.renewed(lease, out.now);
        self.client.call(Request::update(resources::leases(), lease), Call::Update, out);
        Leadership::Unchanged
    }

    fn renewed_now(&mut self, out: &mut Outbox) -> Leadership {
        self.renewed_at = out.now;
        let started = !self.leading;
        self.leading = true;
        self.retry(out);
        if started { Leadership::Started } else { Leadership::Unchanged }
    }

    /// A try failed. A leader that has not renewed within its deadline leads no more.
    fn failed(&mut self, out: &mut Outbox) -> Leadership {
        if self.leading {
            if out.now.since(self.renewed_at) > self.config.renew_deadline {
                self.leading = false;
                return Leadership::Lost;
            }
            // Another writer may have changed the lease: look again before the next update.
            self.client.call(Request::get(resources::leases(), &self.config.lease), Call::Get, out);
            self.leading_retry(out);
            return Leadership::Unchanged;
        }
        self.retry(out);
        Leadership::Unchanged
    }
    fn leading_retry(&mut self, out: &mut Outbox) {
        self.timers.after(self.config.retry_period, (), out);
    }

    /// The next try: after the retry period, jittered while this instance doesn't lead.
    fn retry(&mut self, out: &mut Outbox) {
        let mut delay = self.config.retry_period;
        if !self.leading {
            self.draws += 1;
            delay = delay + Duration(self.seed.below(self.draws, delay.as_micros() as u64 * 12 / 10) as i64);
        }
        self.timers.after(delay, (), out);
    }

    fn observe(&mut self, lease: &Object, now: Time) {
        if self.observed.as_ref().is_none_or(|seen| seen.resource_version() != lease.resource_version()) {
            self.observed = Some(lease.clone());
            self.observed_at = now;
        }
    }

    fn new_lease(&self, now: Time) -> Object {
        let lease = value!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": (&self.config.lease.name), "namespace": (&self.config.lease.namespace)},
            "spec": {
                "holderIdentity": (&self.config.identity), "leaseDurationSeconds": (self.config.lease_duration.as_secs()),
                "acquireTime": (now.rfc3339_micro()), "renewTime": (now.rfc3339_micro()), "leaseTransitions": 0
            }
        });
        Object::from_value(lease).expect("a map was built")
    }

    /// The lease with this instance as its holder.
    fn renewed(&self, lease: &Object, now: Time) -> Object {
        let mut lease = lease.clone();
        if lease.str_at(&["spec", "holderIdentity"]) != Some(&self.config.identity) {
            let transitions = lease.int_at(&["spec", "leaseTransitions"]).unwrap_or(0);
            lease.set_at(&["spec", "holderIdentity"], &self.config.identity);
            lease.set_at(&["spec", "acquireTime"], now.rfc3339_micro());
            lease.set_at(&["spec", "leaseTransitions"], transitions + 1);
        }
        lease.set_at(&["spec", "leaseDurationSeconds"], self.config.lease_duration.as_secs());
        lease.set_at(&["spec", "renewTime"], now.rfc3339_micro());
        lease
    }
}
