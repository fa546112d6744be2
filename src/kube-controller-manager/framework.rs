//! How controllers run: a queue, some workers, and syncs that return a plan.
//!
//! What Go writes as a blocking sync becomes *plan → outcomes*: [`Controller::sync`] reads the caches and returns the calls that it
//! wants and a stage; when all have been answered, [`Controller::resume`] gets the outcomes and goes on from that stage. The last
//! plans are kept for the page.

use std::rc::Rc;

use apimachinery::{Object, Request, Response};
use base::{Duration, Seed, Time};
use client_go::{Delta, EventRecorder, EventType, WorkQueue};
use sim::MsgId;

use crate::custom::Kinds;
use crate::resources::{Caches, Res};
use crate::runner::Key;

/// The answer to one call of a plan.
pub type Outcome = Rc<Response>;

/// What a controller is called, as whom it speaks, and how many keys it works on at once.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// `deployment-controller`: as in `--controllers` and on the page.
    pub name: &'static str,
    /// Its service account in kube-system.
    pub account: &'static str,
    /// The source of its events.
    pub source: &'static str,
    pub workers: usize,
}

/// What a sync decided.
#[derive(Clone, Debug)]
pub enum Plan<S> {
    /// Nothing (more) to do; the key's backoff starts afresh.
    Done,
    /// As `Done`, and look again after a time.
    After(Duration),
    /// Failed: again after the key's backoff.
    Retry(Rc<str>),
    /// Sends calls, and goes on with the stage when all are answered.
    Calls { why: Rc<str>, calls: Vec<Request>, in_order: bool, then: S },
}

impl<S> Plan<S> {
    /// Calls sent at once.
    pub fn calls(why: impl Into<Rc<str>>, calls: Vec<Request>, then: S) -> Plan<S> {
        Plan::Calls { why: why.into(), calls, in_order: false, then }
    }
    /// Calls sent one after the other; the first that fails is the last.
    pub fn sequence(why: impl Into<Rc<str>>, calls: Vec<Request>, then: S) -> Plan<S> {
        Plan::Calls { why: why.into(), calls, in_order: true, then }
    }
    pub fn call(why: impl Into<Rc<str>>, call: Request, then: S) -> Plan<S> {
        Plan::calls(why, vec![call], then)
    }
    pub fn retry(why: impl Into<Rc<str>>) -> Plan<S> {
        Plan::Retry(why.into())
    }
    /// `Done`, or `After` if there is a time.
    pub fn after(delay: Option<Duration>) -> Plan<S> {
        delay.map_or(Plan::Done, Plan::After)
    }
}

/// The error text of an outcome that failed.
pub fn failure(outcomes: &[Outcome]) -> Option<Rc<str>> {
    outcomes.iter().find(|o| !o.is_success() || o.code == 0).map(|o| o.message().into())
}

/// As [`failure`], where an object that is gone already is no failure.
pub fn failure_but_not_found(outcomes: &[Outcome]) -> Option<Rc<str>> {
    outcomes.iter().find(|o| (!o.is_success() || o.code == 0) && !o.is_not_found()).map(|o| o.message().into())
}

/// Done, or a retry if one of the outcomes failed.
pub fn finish<S>(outcomes: &[Outcome]) -> Plan<S> {
    failure(outcomes).map_or(Plan::Done, Plan::Retry)
}

/// The two requests of aggregated discovery.
pub fn discovery() -> Vec<Request> {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    ["/api", "/apis"].map(|path| Request { accept: Some(accept.into()), ..Request::get_path(path) }).into()
}

/// What a sync may look at, and the events that it notes.
pub struct Ctx<'a> {
    pub now: Time,
    pub caches: Caches<'a>,
    /// For names and jitter: derive per purpose, draw by a counter of the controller's.
    pub seed: Seed,
    pub(crate) recorder: &'a mut EventRecorder,
    pub(crate) events: Vec<Request>,
}

impl Ctx<'_> {
    /// Notes an event about an object.
    pub fn event(&mut self, object: &Object, kind: EventType, reason: &str, message: &str) {
        self.events.extend(self.recorder.event(object, kind, reason, message, self.now));
    }
    pub fn normal(&mut self, object: &Object, reason: &str, message: &str) {
        self.event(object, EventType::Normal, reason, message);
    }
    pub fn warning(&mut self, object: &Object, reason: &str, message: &str) {
        self.event(object, EventType::Warning, reason, message);
    }
}

/// Where event handlers queue keys.
pub struct Enqueue<'a, K: Ord + Clone> {
    pub queue: &'a mut WorkQueue<K>,
    pub caches: Caches<'a>,
    pub now: Time,
    pub cause: MsgId,
}

impl<K: Ord + Clone> Enqueue<'_, K> {
    pub fn add(&mut self, key: K) {
        self.queue.add(key, self.cause);
    }
    pub fn add_after(&mut self, key: K, delay: Duration) {
        self.queue.add_after(key, delay, self.cause, self.now);
    }
}

/// A controller. Its state must be cheap to clone.
pub trait Controller: Clone + 'static {
    /// What is queued: mostly an `ObjectKey`.
    type Key: Key;
    /// Where a sync stands while its calls are under way.
    type Stage: Clone + 'static;

    fn info(&self) -> Info;
    /// The resources whose changes it wants to see.
    fn watches(&self) -> &'static [Res];
    /// Runs once, when the caches are filled: queues what must be looked at though nothing changes.
    fn start(&mut self, _queue: &mut Enqueue<Self::Key>) {}
    /// A change of a watched cache (the cache shows it already).
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<Self::Key>);
    /// Decides what to do about a key.
    fn sync(&mut self, key: &Self::Key, ctx: &mut Ctx) -> Plan<Self::Stage>;
    /// All calls of a plan were answered (fewer, if a sequence failed).
    fn resume(&mut self, key: &Self::Key, stage: Self::Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Self::Stage> {
        let _ = (key, stage, ctx);
        finish(outcomes)
    }
    /// Keys that a sync wants queued (now); taken after each sync.
    fn take_queued(&mut self) -> Vec<(Self::Key, Duration)> {
        Vec::new()
    }
    /// Custom kinds that it has found by discovery; their informers are started and stopped accordingly.
    fn custom_kinds(&self) -> Option<&Kinds> {
        None
    }
    /// Whether it wants to see the changes of custom resources, whose numbers follow those of the table.
    fn wants_custom(&self) -> bool {
        false
    }
    /// One outcome is here, before the others: for expectations and events that shouldn't wait.
    fn on_outcome(&mut self, key: &Self::Key, stage: &Self::Stage, request: &Request, outcome: &Outcome, ctx: &mut Ctx) {
        let _ = (key, stage, request, outcome, ctx);
    }
}
