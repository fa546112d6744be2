//! A controller whose stages are hidden: runners are compiled once per kind of key, not once per controller. What is loaded first is
//! smaller for it, and a browser compiles what all controllers share when the first of them runs.

use std::any::Any;
use std::rc::Rc;

use apimachinery::Request;
use base::Duration;
use client_go::Delta;

use crate::custom::Kinds;
use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan};
use crate::resources::Res;

/// A stage of some controller; only that one looks into it.
pub(crate) type AnyStage = Rc<dyn Any>;

/// What a runner asks of a [`Controller`] with keys `K`. The methods are the controller's own.
pub(crate) trait AnyController<K: Ord + Clone> {
    fn info(&self) -> Info;
    fn watches(&self) -> &'static [Res];
    fn clone_box(&self) -> Box<dyn AnyController<K>>;
    fn start(&mut self, queue: &mut Enqueue<K>);
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<K>);
    fn sync(&mut self, key: &K, ctx: &mut Ctx) -> Plan<AnyStage>;
    fn resume(&mut self, key: &K, stage: AnyStage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<AnyStage>;
    fn take_queued(&mut self) -> Vec<(K, Duration)>;
    fn custom_kinds(&self) -> Option<&Kinds>;
    fn wants_custom(&self) -> bool;
    fn on_outcome(&mut self, key: &K, stage: &AnyStage, request: &Request, outcome: &Outcome, ctx: &mut Ctx);
}

impl<C: Controller> AnyController<C::Key> for C {
    fn info(&self) -> Info {
        Controller::info(self)
    }
    fn watches(&self) -> &'static [Res] {
        Controller::watches(self)
    }
    fn clone_box(&self) -> Box<dyn AnyController<C::Key>> {
        Box::new(self.clone())
    }
    fn start(&mut self, queue: &mut Enqueue<C::Key>) {
        Controller::start(self, queue);
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<C::Key>) {
        Controller::on_event(self, res, delta, queue);
    }
    fn sync(&mut self, key: &C::Key, ctx: &mut Ctx) -> Plan<AnyStage> {
        hidden(Controller::sync(self, key, ctx))
    }
    fn resume(&mut self, key: &C::Key, stage: AnyStage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<AnyStage> {
        // A runner gives a stage back to the controller that it has it from.
        let Ok(stage) = stage.downcast::<C::Stage>() else { return Plan::Done };
        hidden(Controller::resume(self, key, Rc::unwrap_or_clone(stage), outcomes, ctx))
    }
    fn take_queued(&mut self) -> Vec<(C::Key, Duration)> {
        Controller::take_queued(self)
    }
    fn custom_kinds(&self) -> Option<&Kinds> {
        Controller::custom_kinds(self)
    }
    fn wants_custom(&self) -> bool {
        Controller::wants_custom(self)
    }
    fn on_outcome(&mut self, key: &C::Key, stage: &AnyStage, request: &Request, outcome: &Outcome, ctx: &mut Ctx) {
        if let Some(stage) = stage.downcast_ref::<C::Stage>() {
            Controller::on_outcome(self, key, stage, request, outcome, ctx);
        }
    }
}

fn hidden<S: 'static>(plan: Plan<S>) -> Plan<AnyStage> {
    match plan {
        Plan::Done => Plan::Done,
        Plan::After(delay) => Plan::After(delay),
        Plan::Retry(why) => Plan::Retry(why),
        Plan::Calls { why, calls, in_order, then } => Plan::Calls { why, calls, in_order, then: Rc::new(then) },
    }
}

impl<K: Ord + Clone> Clone for Box<dyn AnyController<K>> {
    fn clone(&self) -> Box<dyn AnyController<K>> {
        self.clone_box()
    }
}
