//! The ttl-after-finished controller: deletes jobs some time after their end. Models `pkg/controller/ttlafterfinished`.

use apimachinery::{Object, ObjectKey, Request};
use base::{Duration, Time};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::job::is_finished;
use crate::refs;
use crate::resources::{JOBS, Res, gvr};

#[derive(Clone, Default)]
pub struct TtlAfterFinishedController {}

#[derive(Clone)]
pub enum Stage {
    Looked,
    Deleted,
}

/// When a finished job with a time to live shall go.
fn expiry(job: &Object) -> Option<Time> {
    if !is_finished(job) || job.is_being_deleted() {
        return None;
    }
    let ttl = job.int_at(&["spec", "ttlSecondsAfterFinished"])?;
    let end = ["Complete", "Failed"].iter().find_map(|kind| {
        let condition = job.condition(kind).filter(|c| c.str_at(&["status"]) == Some("True"))?;
        condition.str_at(&["lastTransitionTime"]).and_then(Time::parse)
    })?;
    Some(end + Duration::from_secs(ttl))
}

impl Controller for TtlAfterFinishedController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        let name = "ttl-after-finished-controller";
        Info { name, account: name, source: name, workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[JOBS]
    }
    fn on_event(&mut self, _: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if let Some(at) = delta.new.as_ref().and_then(expiry) {
            queue.add_after(delta.object().key(), at.since(queue.now));
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        match ctx.caches.get(JOBS, key).and_then(expiry) {
            None => Plan::Done,
            Some(at) if at > ctx.now => Plan::After(at.since(ctx.now)),
            Some(_) => Plan::call(format!("the time of {key} is up"), Request::get(gvr(JOBS), key), Stage::Looked),
        }
    }
    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match (stage, outcomes[0].ok()) {
            (Stage::Looked, Some(job)) => match expiry(job) {
                Some(at) if at <= ctx.now => {
                    Plan::call(format!("{key} goes"), refs::delete_with(JOBS, job, "Foreground"), Stage::Deleted)
                }
                other => Plan::after(other.map(|at| at.since(ctx.now))),
            },
            _ => failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry),
        }
    }
}
