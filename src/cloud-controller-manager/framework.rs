//! How the controllers run: a queue of keys, and syncs that return a plan. Calls go to kube-apiserver or to the cloud, one after the
//! other; the first that fails is the last. As in kube-controller-manager, what Go writes as a blocking sync is cut at its waits:
//! a plan names its calls and the stage to go on with when they are answered.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, Response};
use base::{Duration, Map, Time, Vector};
use client_go::{Delta, EventRecorder, EventType, Informers, WorkQueue};
use sim::{MsgId, Outbox};

/// Numbers of the manager's informers.
pub(crate) const NODES: usize = 0;
pub(crate) const SERVICES: usize = 1;

/// How many plans are remembered for the page.
const REMEMBERED: usize = 20;

/// Something that a plan wants done.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Api(Request),
    Cloud(Request),
}

pub(crate) type Outcome = Rc<Response>;

/// What a sync decided.
#[derive(Clone, Debug)]
pub(crate) enum Plan<S> {
    Done,
    /// As `Done`, and look again after a time.
    After(Duration),
    /// Failed: again after the key's backoff.
    Retry(Rc<str>),
    Calls {
        why: Rc<str>,
        calls: Vec<Call>,
        then: S,
    },
}

impl<S> Plan<S> {
    pub fn calls(why: impl Into<Rc<str>>, calls: Vec<Call>, then: S) -> Plan<S> {
        Plan::Calls { why: why.into(), calls, then }
    }
}

/// The error text of the outcome that failed, if one did.
pub(crate) fn failure(outcomes: &[Outcome]) -> Option<Rc<str>> {
    outcomes.iter().find(|o| !o.is_success() || o.code == 0).map(|o| text_of(o))
}

pub(crate) fn text_of(response: &Response) -> Rc<str> {
    match &response.body {
        apimachinery::ResponseBody::Text(_, text) => text.clone(),
        _ => response.message().into(),
    }
}

/// A plan that was made: for the page.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanNote {
    pub at: Time,
    pub key: Rc<str>,
    pub why: Rc<str>,
    pub calls: usize,
}

/// What a sync may look at, and the events that it notes.
pub(crate) struct Ctx<'a> {
    pub now: Time,
    pub informers: &'a Informers,
    recorder: &'a mut EventRecorder,
    events: Vec<Request>,
}

impl Ctx<'_> {
    pub fn node(&self, key: &ObjectKey) -> Option<&Object> {
        self.informers.store(NODES).get(key)
    }
    pub fn service(&self, key: &ObjectKey) -> Option<&Object> {
        self.informers.store(SERVICES).get(key)
    }
    pub fn normal(&mut self, object: &Object, reason: &str, message: &str) {
        self.events.extend(self.recorder.event(object, EventType::Normal, reason, message, self.now));
    }
    pub fn warning(&mut self, object: &Object, reason: &str, message: &str) {
        self.events.extend(self.recorder.event(object, EventType::Warning, reason, message, self.now));
    }
}

/// A controller over keys of objects.
pub(crate) trait Controller: Clone {
    /// Where a sync stands while its calls are under way.
    type Stage: Clone;

    /// Its name, and the source of its events.
    const NAME: &'static str;
    const SOURCE: &'static str;
    /// How many keys it works on at once.
    const WORKERS: usize;

    /// A change of a cache (the cache shows it already). Returns the keys to look at, and when.
    fn on_delta(&mut self, number: usize, delta: &Delta, informers: &Informers) -> Vec<(ObjectKey, Duration)>;
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Self::Stage>;
    /// All calls were answered (fewer, if one failed).
    fn resume(&mut self, key: &ObjectKey, stage: Self::Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Self::Stage>;
}

#[derive(Clone)]
struct Running<S> {
    key: ObjectKey,
    cause: MsgId,
    waiting: Vector<Call>,
    outcomes: Vec<Outcome>,
    then: S,
}

/// What a runner wants sent: the call, and the sync that it is of.
pub(crate) type Wanted = (Call, u64);

/// One controller with its queue.
#[derive(Clone)]
pub(crate) struct Runner<C: Controller> {
    controller: C,
    queue: WorkQueue<ObjectKey>,
    recorder: EventRecorder,
    running: Map<u64, Rc<Running<C::Stage>>>,
    started: u64,
    plans: Vector<PlanNote>,
}

impl<C: Controller> Runner<C> {
    pub fn new(controller: C) -> Runner<C> {
        Runner {
            controller,
            queue: WorkQueue::default(),
            recorder: EventRecorder::new(C::SOURCE, ""),
            running: Map::new(),
            started: 0,
            plans: Vector::new(),
        }
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
    pub fn in_process(&self) -> usize {
        self.running.len()
    }
    pub fn plans(&self) -> impl Iterator<Item = &PlanNote> {
        self.plans.iter()
    }
    pub fn next_wake(&self) -> Option<Time> {
        self.queue.next_wake()
    }
    pub fn wake(&mut self, now: Time) {
        self.queue.wake(now);
    }

    pub fn on_delta(&mut self, number: usize, delta: &Delta, informers: &Informers, out: &Outbox) {
        for (key, delay) in self.controller.on_delta(number, delta, informers) {
            self.queue.add_after(key, delay, out.handling, out.now);
        }
    }

    /// Works on what waits. Calls to send go into `wanted`, events into `events`.
    pub fn run(&mut self, informers: &Informers, out: &Outbox, wanted: &mut Vec<(Wanted, MsgId)>, events: &mut Vec<Request>) {
        while self.running.len() < C::WORKERS {
            let Some((key, cause)) = self.queue.get() else { return };
            self.started += 1;
            let number = self.started;
            let plan = self.with_ctx(informers, out.now, events, |c, ctx| c.sync(&key, ctx));
            self.apply(number, key, cause, plan, out.now, wanted);
        }
    }

    /// A call of a sync was answered.
    pub fn on_answer(
        &mut self,
        number: u64,
        outcome: Outcome,
        informers: &Informers,
        out: &Outbox,
        wanted: &mut Vec<(Wanted, MsgId)>,
        events: &mut Vec<Request>,
    ) {
        let Some(running) = self.running.get(&number).cloned() else { return };
        let mut running = (*running).clone();
        let failed = !outcome.is_success() || outcome.code == 0;
        running.outcomes.push(outcome);
        let next = if failed { None } else { running.waiting.pop_front() };
        if let Some(call) = next {
            wanted.push(((call, number), running.cause));
            self.running.insert(number, Rc::new(running));
            return;
        }
        self.running.remove(&number);
        let Running { key, cause, outcomes, then, .. } = running;
        let plan = self.with_ctx(informers, out.now, events, |c, ctx| c.resume(&key, then, &outcomes, ctx));
        self.apply(number, key, cause, plan, out.now, wanted);
    }

    /// The connection with kube-apiserver is gone: every sync under way has failed.
    pub fn drop_all(&mut self, now: Time) {
        for (_, running) in std::mem::take(&mut self.running) {
            self.queue.done(&running.key);
            self.queue.add_rate_limited(running.key.clone(), running.cause, now);
        }
    }

    fn with_ctx<R>(
        &mut self,
        informers: &Informers,
        now: Time,
        events: &mut Vec<Request>,
        f: impl FnOnce(&mut C, &mut Ctx) -> R,
    ) -> R {
        let mut ctx = Ctx { now, informers, recorder: &mut self.recorder, events: Vec::new() };
        let result = f(&mut self.controller, &mut ctx);
        events.append(&mut ctx.events);
        result
    }

    fn apply(
        &mut self,
        number: u64,
        key: ObjectKey,
        cause: MsgId,
        plan: Plan<C::Stage>,
        now: Time,
        wanted: &mut Vec<(Wanted, MsgId)>,
    ) {
        match plan {
            Plan::Done => {
                self.queue.forget(&key);
                self.queue.done(&key);
            }
            Plan::After(delay) => {
                self.queue.forget(&key);
                self.queue.done(&key);
                self.queue.add_after(key, delay, cause, now);
            }
            Plan::Retry(why) => {
                self.note(&key, why, 0, now);
                self.queue.done(&key);
                self.queue.add_rate_limited(key, cause, now);
            }
            Plan::Calls { why, calls, then } => {
                self.note(&key, why, calls.len(), now);
                let mut waiting: Vector<Call> = calls.into_iter().collect();
                let Some(first) = waiting.pop_front() else {
                    return self.queue.done(&key);
                };
                self.running.insert(number, Rc::new(Running { key, cause, waiting, outcomes: Vec::new(), then }));
                wanted.push(((first, number), cause));
            }
        }
    }

    fn note(&mut self, key: &ObjectKey, why: Rc<str>, calls: usize, at: Time) {
        if self.plans.len() >= REMEMBERED {
            self.plans.pop_front();
        }
        self.plans.push_back(PlanNote { at, key: key.to_string().into(), why, calls });
    }
}
