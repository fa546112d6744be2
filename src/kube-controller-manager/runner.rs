//! Runs one controller: feeds its queue, starts syncs up to the number of workers, sends the calls of their plans, hands outcomes
//! back. What it did is noted for the page (`observe`), and a debugger may hold it and let single items through.

use std::fmt::{Debug, Display};
use std::rc::Rc;

use apimachinery::{Request, Response};
use base::{Map, Seed, Time};
use client_go::{ClientConfig, Delta, EventRecorder, Steer, Timers, WorkQueue};
use sim::{MsgId, Outbox, StreamId, transport_error};

use crate::account::{Account, Tag};
use crate::any::{AnyController, AnyStage};
use crate::custom::Kinds;
use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan};
use crate::observe::{ControllerView, LoopView, Notes, RunningView};
use crate::resources::{Caches, Res};

/// What is queued.
pub trait Key: Ord + Clone + Display + Debug + 'static {}
impl<K: Ord + Clone + Display + Debug + 'static> Key for K {}

/// A running sync.
#[derive(Clone)]
struct Running<K> {
    key: K,
    cause: MsgId,
    stage: AnyStage,
    calls: Rc<Vec<Request>>,
    /// In sequence: the calls from this index on are still to be sent.
    next: usize,
    in_order: bool,
    outcomes: Vec<Option<Outcome>>,
    missing: usize,
}

/// A controller with its queue and client.
#[derive(Clone)]
pub struct Runner<K: Key> {
    pub(crate) controller: Box<dyn AnyController<K>>,
    pub(crate) info: Info,
    pub queue: WorkQueue<K>,
    account: Account,
    timers: Timers<()>,
    armed: Option<Time>,
    recorder: EventRecorder,
    seed: Seed,
    running: Map<u64, Running<K>>,
    started: u64,
    pub(crate) notes: Notes,
    /// A debugger holds it: it takes no item from its queue but by steps.
    pub(crate) is_held: bool,
    /// Steps that were asked for and not made yet.
    steps: u32,
}

/// A [`Runner`] of any controller.
pub trait AnyRunner {
    fn info(&self) -> Info;
    fn watches(&self) -> &'static [Res];
    fn custom_kinds(&self) -> Option<&Kinds>;
    fn wants_custom(&self) -> bool;
    fn clone_box(&self) -> Box<dyn AnyRunner>;
    fn account(&mut self) -> &mut Account;
    fn start(&mut self, caches: Caches, out: &mut Outbox);
    fn on_delta(&mut self, res: Res, delta: &Delta, caches: Caches, out: &Outbox);
    fn run(&mut self, caches: Caches, out: &mut Outbox);
    fn on_response(&mut self, id: StreamId, response: &Rc<Response>, caches: Caches, out: &mut Outbox);
    /// Whether the timer was this runner's.
    fn on_timer(&mut self, token: u64, caches: Caches, out: &mut Outbox) -> bool;
    fn on_peer_gone(&mut self, caches: Caches, out: &mut Outbox);
    fn view(&self) -> ControllerView;
    /// All of it, with at most `limit` items of the queue.
    fn loop_view(&self, limit: usize) -> LoopView;
    /// Takes effect at the next [`AnyRunner::nudge`].
    fn steer(&mut self, what: Steer);
    fn nudge(&mut self, caches: Caches, out: &mut Outbox);
}

impl<K: Key> Runner<K> {
    pub fn boxed(
        controller: impl Controller<Key = K>,
        scope: u16,
        client: ClientConfig,
        with_token: bool,
        seed: Seed,
    ) -> Box<dyn AnyRunner> {
        Box::new(Runner::of(Box::new(controller), scope, client, with_token, seed))
    }

    fn of(controller: Box<dyn AnyController<K>>, scope: u16, client: ClientConfig, with_token: bool, seed: Seed) -> Runner<K> {
        let info = controller.info();
        Runner {
            info,
            queue: WorkQueue::default(),
            account: Account::new(scope, info.account, client, with_token),
            timers: Timers::new(scope),
            armed: None,
            recorder: EventRecorder::new(info.source, ""),
            seed: seed.derive(info.name),
            running: Map::default(),
            started: 0,
            notes: Notes::default(),
            is_held: false,
            steps: 0,
            controller,
        }
    }

    /// Calls the controller with a context, and sends the events that it noted.
    fn with_ctx<R>(&mut self, caches: Caches, out: &mut Outbox, f: impl FnOnce(&mut dyn AnyController<K>, &mut Ctx) -> R) -> R {
        let mut ctx = Ctx { now: out.now, caches, seed: self.seed, recorder: &mut self.recorder, events: Vec::new() };
        let result = f(&mut *self.controller, &mut ctx);
        for event in ctx.events {
            self.account.call(event, Tag::Event, out);
        }
        for (key, delay) in self.controller.take_queued() {
            self.queue.add_after(key, delay, out.cause(), out.now);
        }
        result
    }

    fn apply(&mut self, number: u64, key: K, cause: MsgId, plan: Plan<AnyStage>, out: &mut Outbox) {
        match plan {
            Plan::Done => self.queue.forget(&key),
            Plan::After(delay) => {
                self.queue.forget(&key);
                self.queue.add_after(key.clone(), delay, cause, out.now);
            }
            Plan::Retry(why) => {
                self.notes.failed(number, out.now, &key, why, cause);
                self.queue.add_rate_limited(key.clone(), cause, out.now);
            }
            Plan::Calls { why, calls, in_order, then } => {
                self.notes.planned(number, out.now, &key, why, calls.len(), cause);
                return self.launch(number, key, cause, calls, in_order, then, out);
            }
        }
        self.queue.done(&key);
    }

    fn launch(
        &mut self,
        number: u64,
        key: K,
        cause: MsgId,
        calls: Vec<Request>,
        in_order: bool,
        stage: AnyStage,
        out: &mut Outbox,
    ) {
        let n = calls.len();
        assert!(n > 0, "a plan with calls has at least one");
        let first = if in_order { 1 } else { n };
        let calls = Rc::new(calls);
        for (i, call) in calls.iter().take(first).enumerate() {
            self.account.call(call.clone(), Tag::Sync(number, i as u32), out);
        }
        let running = Running { key, cause, stage, calls, next: first, in_order, outcomes: vec![None; n], missing: first };
        self.running.insert(number, running);
    }

    /// Files an outcome. Goes on with the sync when it was the last that is waited for.
    fn on_outcome(&mut self, number: u64, index: usize, response: &Rc<Response>, caches: Caches, out: &mut Outbox) {
        let Some(mut running) = self.running.remove(&number) else { return };
        let (key, stage, calls) = (running.key.clone(), running.stage.clone(), running.calls.clone());
        self.with_ctx(caches, out, |c, ctx| c.on_outcome(&key, &stage, &calls[index], response, ctx));
        running.outcomes[index] = Some(response.clone());
        running.missing -= 1;
        let failed = !response.is_success() || response.code == 0;
        if running.in_order && !failed && running.next < running.calls.len() {
            let call = running.calls[running.next].clone();
            self.account.call(call, Tag::Sync(number, running.next as u32), out);
            running.next += 1;
            running.missing += 1;
        }
        if running.missing > 0 {
            self.running.insert(number, running);
            return;
        }
        self.notes.answered(number, &running.outcomes);
        let outcomes: Vec<Outcome> = running.outcomes.into_iter().flatten().collect();
        let plan = self.with_ctx(caches, out, |c, ctx| c.resume(&key, stage, &outcomes, ctx));
        self.apply(number, key, running.cause, plan, out);
    }

    /// Takes one item. False: none waits.
    fn take_one(&mut self, caches: Caches, out: &mut Outbox) -> bool {
        let Some((key, cause)) = self.queue.get() else { return false };
        self.started += 1;
        self.notes.counts.syncs += 1;
        let number = self.started;
        out.set_cause((cause != MsgId(0)).then_some(cause));
        let plan = self.with_ctx(caches, out, |c, ctx| c.sync(&key, ctx));
        self.notes.counts.idle += u64::from(matches!(plan, Plan::Done | Plan::After(_)));
        self.apply(number, key, cause, plan, out);
        true
    }

    pub(crate) fn running_views(&self, limit: usize) -> Vec<RunningView> {
        let view = |r: &Running<K>| RunningView {
            key: r.key.to_string().into(),
            cause: r.cause,
            calls: r.calls.len(),
            answered: r.outcomes.iter().flatten().count(),
        };
        self.running.values().take(limit).map(view).collect()
    }

    /// Sets a timer for the first delayed key, unless an earlier one is set.
    fn arm(&mut self, out: &mut Outbox) {
        let Some(at) = self.queue.next_wake() else { return };
        if self.armed.is_none_or(|armed| at < armed || armed <= out.now) {
            self.armed = Some(at);
            self.timers.after(at.since(out.now), (), out);
        }
    }
}

impl<K: Key> AnyRunner for Runner<K> {
    fn info(&self) -> Info {
        self.info
    }
    fn watches(&self) -> &'static [Res] {
        self.controller.watches()
    }
    fn custom_kinds(&self) -> Option<&Kinds> {
        self.controller.custom_kinds()
    }
    fn wants_custom(&self) -> bool {
        self.controller.wants_custom()
    }
    fn clone_box(&self) -> Box<dyn AnyRunner> {
        Box::new(self.clone())
    }
    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
    fn start(&mut self, caches: Caches, out: &mut Outbox) {
        let mut queue = Enqueue { queue: &mut self.queue, caches, now: out.now, cause: out.handling };
        self.controller.start(&mut queue);
        self.run(caches, out);
    }
    fn on_delta(&mut self, res: Res, delta: &Delta, caches: Caches, out: &Outbox) {
        let mut queue = Enqueue { queue: &mut self.queue, caches, now: out.now, cause: out.handling };
        self.controller.on_event(res, delta, &mut queue);
    }

    fn run(&mut self, caches: Caches, out: &mut Outbox) {
        while !self.is_held && self.running.len() < self.info.workers && self.take_one(caches, out) {}
        out.set_cause(None);
        self.arm(out);
    }

    fn on_response(&mut self, id: StreamId, response: &Rc<Response>, caches: Caches, out: &mut Outbox) {
        if response.code == 401 {
            self.account.forget_token();
        }
        if let Some(Tag::Sync(number, index)) = self.account.take(id) {
            self.on_outcome(number, index as usize, response, caches, out);
            self.run(caches, out);
        }
    }

    fn on_timer(&mut self, token: u64, caches: Caches, out: &mut Outbox) -> bool {
        if !self.timers.owns(token) {
            return false;
        }
        if self.timers.take(token).is_some() {
            self.queue.wake(out.now);
            if self.armed.is_some_and(|at| at <= out.now) {
                self.armed = None;
            }
            self.run(caches, out);
        }
        true
    }

    /// Every call under way failed.
    fn on_peer_gone(&mut self, caches: Caches, out: &mut Outbox) {
        let response = Rc::new(transport_error("http2: client connection lost"));
        for (_, tag) in self.account.drop_all() {
            if let Tag::Sync(number, index) = tag {
                self.on_outcome(number, index as usize, &response, caches, out);
            }
        }
        self.run(caches, out);
    }

    fn view(&self) -> ControllerView {
        ControllerView {
            name: self.info.name,
            waiting: self.queue.len(),
            in_process: self.queue.in_process(),
            is_held: self.is_held,
        }
    }
    fn loop_view(&self, limit: usize) -> LoopView {
        Runner::loop_view(self, limit)
    }
    fn steer(&mut self, what: Steer) {
        match what {
            Steer::Hold => self.is_held = true,
            Steer::Release => self.is_held = false,
            Steer::Step => self.steps += 1,
        }
    }
    fn nudge(&mut self, caches: Caches, out: &mut Outbox) {
        for _ in 0..std::mem::take(&mut self.steps) {
            self.take_one(caches, out);
        }
        self.run(caches, out);
    }
}

impl Clone for Box<dyn AnyRunner> {
    fn clone(&self) -> Box<dyn AnyRunner> {
        self.clone_box()
    }
}
