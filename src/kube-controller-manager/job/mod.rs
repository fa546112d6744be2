//! The job controller: runs pods until enough have succeeded.
//!
//! Models `pkg/controller/job`. Ended pods are counted exactly once: they are noted in `uncountedTerminatedPods`, lose their finalizer,
//! and only then move into the counters. Left out: `managedBy`.

mod failure_policy;
mod indexes;
mod per_index;
mod status;
mod success_policy;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, key, value};
use base::Sort as _;
use base::{Duration, Time};
use client_go::{Delta, Expectations, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure, failure_but_not_found};
use crate::refs;
use crate::resources::{JOBS, PODS, Res, gvr};

pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
pub const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Changes of pods are gathered for so long before a job is looked at.
const BATCH_PERIOD: Duration = Duration::from_secs(1);
const BURST: i64 = 500;
/// Keys of pods without a job begin so: no name can.
const ORPHAN_POD: &str = "pod:";

#[derive(Clone, Default)]
pub struct JobController {
    expectations: Expectations<ObjectKey>,
}

/// A job with its pods, as one sync sees them.
#[derive(Clone)]
pub struct View {
    pub job: Object,
    pub pods: Vec<Object>,
    pub status: Value,
}

#[derive(Clone)]
pub enum Stage {
    Claiming,
    Creating {
        view: Rc<View>,
        batch: i64,
        left: Vec<Object>,
    },
    Deleting(Rc<View>),
    /// The first write: ended pods are noted.
    Noted(Rc<View>),
    /// The finalizers of noted pods are being removed.
    Released(Rc<View>),
    Last {
        events: Vec<(bool, Rc<str>, Rc<str>)>,
        again: Option<Duration>,
    },
}

impl View {
    pub fn spec_int(&self, field: &str) -> Option<i64> {
        self.job.int_at(&["spec", field])
    }
    pub fn is_indexed(&self) -> bool {
        self.job.str_at(&["spec", "completionMode"]) == Some("Indexed")
    }
    pub fn is_suspended(&self) -> bool {
        self.job.bool_at(&["spec", "suspend"]).unwrap_or(false)
    }
    pub fn active(&self) -> impl Iterator<Item = &Object> {
        self.pods.iter().filter(|pod| pods::is_active(pod))
    }
    /// Ended pods that are still to be counted.
    pub fn uncounted(&self) -> impl Iterator<Item = &Object> {
        let ended = |pod: &&Object| {
            pods::is_terminal(pod) || (pod.is_being_deleted() && self.replaces_terminating() && !pods::node_name(pod).is_empty())
        };
        self.pods.iter().filter(|pod| has_finalizer(pod)).filter(ended).filter(|pod| !per_index::is_kept(self, pod))
    }
    /// `podReplacementPolicy: TerminatingOrFailed`: a pod that is being deleted counts as failed at once.
    fn replaces_terminating(&self) -> bool {
        self.job.str_at(&["spec", "podReplacementPolicy"]) != Some("Failed")
    }
}

pub fn has_finalizer(pod: &Object) -> bool {
    pod.finalizers().iter().any(|f| f.as_str() == Some(FINALIZER))
}

pub fn is_finished(job: &Object) -> bool {
    job.condition_is_true("Complete") || job.condition_is_true("Failed")
}

fn release(pod: &Object) -> Request {
    let left: Vec<Value> = pod.finalizers().iter().filter(|f| f.as_str() != Some(FINALIZER)).cloned().collect();
    let finalizers = if left.is_empty() { Value::Null } else { left.into() };
    let patch = value!({"metadata": {"uid": (pod.uid()), "finalizers": finalizers}});
    Request::patch(gvr(PODS), &pod.key(), PatchType::Merge, patch)
}

/// A pod of the job; of an indexed job with its number.
fn new_pod(job: &Object, index: Option<i64>) -> Object {
    let template = job.at(&["spec", "template"]).cloned().unwrap_or_default();
    let mut pod = pods::from_template(&template, job, job.new_controller_ref());
    pod.value_mut().entry(&["metadata", "finalizers"]).list_mut().push(Value::sym(FINALIZER));
    let Some(index) = index else { return pod };
    let text = index.to_string();
    for map in ["labels", "annotations"] {
        pod.value_mut().entry(&["metadata", map]).map_mut().insert(key(INDEX), text.as_str());
    }
    let name = job.name();
    pod.set_at(&["metadata", "generateName"], format!("{}-{index}-", &name[..name.len().min(253)]));
    pod.set_at(&["spec", "hostname"], format!("{name}-{index}"));
    let variable = value!({
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": (format!("metadata.labels['{INDEX}']"))}}
    });
    for list in ["containers", "initContainers"] {
        if pod.at(&["spec", list]).is_none() {
            continue;
        }
        for container in pod.value_mut().entry(&["spec", list]).list_mut() {
            let env = container.entry(&["env"]).list_mut();
            if !env.iter().any(|v| v.str_at(&["name"]) == Some("JOB_COMPLETION_INDEX")) {
                env.push(variable.clone());
            }
        }
    }
    pod
}

impl JobController {
    /// Creates or deletes pods as parallelism and completions demand. Models `manageJob`.
    fn manage(&mut self, key: &ObjectKey, view: View, ctx: &mut Ctx) -> Plan<Stage> {
        let active = view.active().count() as i64;
        let ending = status::ending(&view.status);
        let wanted = match () {
            () if view.is_suspended() || ending => 0,
            () => status::wanted_active(&view),
        };
        let surplus = if view.is_indexed() { indexes::surplus(&view) } else { Vec::new() };
        let too_many = (active - wanted).max(surplus.len() as i64);
        if too_many > 0 {
            return self.delete(key, view, surplus, too_many, ctx);
        }
        let terminating =
            if view.replaces_terminating() { 0 } else { view.pods.iter().filter(|p| pods::is_terminating(p)).count() as i64 };
        let missing = (wanted - active - terminating).min(BURST);
        if missing <= 0 || ending {
            return self.note(view, None, ctx);
        }
        if let Some(wait) = status::backoff(&view, ctx.now) {
            return self.note(view, Some(wait), ctx);
        }
        let pods: Vec<Object> = if view.is_indexed() {
            let (due, wait) = match per_index::limit(&view) {
                None => (indexes::free(&view, missing), None),
                Some(_) => per_index::due(&view, indexes::free(&view, i64::MAX), missing, ctx.now),
            };
            if due.is_empty() {
                return self.note(view, wait, ctx);
            }
            let indexed = |index| {
                let mut pod = new_pod(&view.job, Some(index));
                per_index::annotate(&view, index, &mut pod);
                pod
            };
            due.into_iter().map(indexed).collect()
        } else {
            (0..missing).map(|_| new_pod(&view.job, None)).collect()
        };
        self.expectations.expect_creations(key, pods.len() as i64, ctx.now);
        self.create(Rc::new(view), 1, pods, ctx)
    }

    fn create(&mut self, view: Rc<View>, batch: i64, mut left: Vec<Object>, ctx: &mut Ctx) -> Plan<Stage> {
        let rest = left.split_off((batch as usize).min(left.len()));
        if left.is_empty() {
            return self.note((*view).clone(), None, ctx);
        }
        let why = format!("{} creates {}", view.job.name(), left.len());
        let calls = left.into_iter().map(|pod| Request::create(gvr(PODS), pod)).collect();
        Plan::calls(why, calls, Stage::Creating { view, batch, left: rest })
    }

    /// Deletes `n` active pods, `first` before all others.
    fn delete(&mut self, key: &ObjectKey, view: View, first: Vec<Object>, n: i64, ctx: &mut Ctx) -> Plan<Stage> {
        let is_first = |pod: &Object| first.iter().any(|f| f.uid() == pod.uid());
        let mut doomed: Vec<Object> = view.active().cloned().collect();
        let order = |pod: &Object| (!is_first(pod), pods::phase(pod) == "Running", pods::is_ready(pod), pod.name().to_string());
        doomed.order_by_key(order);
        doomed.truncate(n.min(BURST) as usize);
        self.expectations.expect_deletions(key, doomed.iter().map(pods::uid), ctx.now);
        let why = format!("{} deletes {}", view.job.name(), doomed.len());
        let calls = doomed.iter().map(|pod| Request::delete(gvr(PODS), &pod.key())).collect();
        Plan::calls(why, calls, Stage::Deleting(Rc::new(view)))
    }

    /// Writes the status, ended pods noted but not yet counted.
    fn note(&mut self, mut view: View, again: Option<Duration>, ctx: &mut Ctx) -> Plan<Stage> {
        let before = refs::status_of(&view.job);
        status::note_uncounted(&mut view);
        if view.uncounted().next().is_none() && status::nothing_noted(&view.status) {
            return self.settle(view, again, ctx);
        }
        if before == view.status {
            return self.release(view, ctx);
        }
        let why = format!("{} notes ended pods", view.job.name());
        let call = refs::update_status(JOBS, &view.job, view.status.clone());
        Plan::call(why, call, Stage::Noted(Rc::new(view)))
    }

    fn release(&mut self, view: View, ctx: &mut Ctx) -> Plan<Stage> {
        let calls: Vec<Request> = view.uncounted().map(release).collect();
        if calls.is_empty() {
            return self.settle(view, None, ctx);
        }
        let why = format!("{} lets {} ended pods go", view.job.name(), calls.len());
        Plan::calls(why, calls, Stage::Released(Rc::new(view)))
    }

    /// The last write: counters, and the terminal condition when all pods are accounted for.
    fn settle(&mut self, mut view: View, again: Option<Duration>, ctx: &mut Ctx) -> Plan<Stage> {
        status::count_noted(&mut view);
        let mut events = status::finish(&mut view, ctx.now);
        events.extend(status::suspension(&mut view, ctx.now));
        let again = again.or_else(|| status::deadline_in(&view, ctx.now));
        if refs::status_of(&view.job) == view.status {
            return Plan::after(again);
        }
        let why = format!("{} has {} active", view.job.name(), view.active().count());
        let call = refs::update_status(JOBS, &view.job, view.status.clone());
        Plan::call(why, call, Stage::Last { events, again })
    }
}

impl Controller for JobController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        Info { name: "job-controller", account: "job-controller", source: "job-controller", workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[JOBS, PODS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if res == JOBS {
            let job = delta.object();
            let settled = matches!((&delta.old, &delta.new), (Some(a), Some(b)) if a.generation() == b.generation());
            if delta.new.is_none() {
                self.expectations.delete(&job.key());
                for pod in queue.caches.owned_by(PODS, job.uid()).filter(|pod| has_finalizer(pod)) {
                    let key = ObjectKey::new(pod.namespace(), &format!("{ORPHAN_POD}{}", pod.name()));
                    queue.queue.add(key, queue.cause);
                }
            }
            return if settled { queue.add_after(job.key(), BATCH_PERIOD) } else { queue.add(job.key()) };
        }
        for pod in [&delta.old, &delta.new].into_iter().flatten() {
            let Some(key) = refs::controller_key(queue.caches, JOBS, pod) else {
                // Its job is gone: nobody will count it any more.
                if delta.new.is_some() && has_finalizer(pod) {
                    queue.add(ObjectKey::new(pod.namespace(), &format!("{ORPHAN_POD}{}", pod.name())));
                }
                continue;
            };
            match (&delta.old, &delta.new) {
                (None, Some(_)) => self.expectations.creation_observed(&key),
                (_, None) => self.expectations.deletion_observed(&key, pod.uid()),
                (_, Some(new)) if new.is_being_deleted() => self.expectations.deletion_observed(&key, pod.uid()),
                _ => {}
            }
            queue.add_after(key, BATCH_PERIOD);
        }
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        if let Some(name) = key.name.strip_prefix(ORPHAN_POD) {
            let pod = ctx.caches.find(PODS, &key.namespace, name);
            let orphan = pod.filter(|pod| has_finalizer(pod) && ctx.caches.controller_of(JOBS, pod).is_none());
            return match orphan {
                Some(pod) => Plan::call(format!("{name} has no job"), release(pod), Stage::Claiming),
                None => Plan::Done,
            };
        }
        let Some(job) = ctx.caches.get(JOBS, key).cloned() else {
            self.expectations.delete(key);
            return Plan::Done;
        };
        if is_finished(&job) || job.is_being_deleted() {
            return Plan::Done;
        }
        let claim = refs::claim(ctx.caches, PODS, JOBS, &job, &refs::label_selector(&job));
        if !claim.calls.is_empty() {
            return Plan::sequence(format!("{key} adopts or lets go of pods"), claim.calls, Stage::Claiming);
        }
        let status = refs::status_of(&job);
        let mut view = View { job, pods: claim.owned, status };
        status::refresh(&mut view, ctx.now);
        status::judge(&mut view, ctx.now);
        if !self.expectations.satisfied(key, ctx.now) {
            return self.note(view, None, ctx);
        }
        self.manage(key, view, ctx)
    }

    fn on_outcome(&mut self, key: &ObjectKey, stage: &Stage, request: &Request, outcome: &Outcome, ctx: &mut Ctx) {
        match stage {
            Stage::Creating { view, .. } => match outcome.ok() {
                Some(pod) => ctx.normal(&view.job, "SuccessfulCreate", &format!("Created pod: {}", pod.name())),
                None => {
                    self.expectations.creation_observed(key);
                    if !refs::namespace_terminating(outcome) {
                        ctx.warning(&view.job, "FailedCreate", &format!("Error creating: {}", outcome.message()));
                    }
                }
            },
            Stage::Deleting(view) if outcome.is_success() => {
                ctx.normal(&view.job, "SuccessfulDelete", &format!("Deleted pod: {}", request.name));
            }
            Stage::Deleting(_) => {
                if let Some(pod) = ctx.caches.find(PODS, &request.namespace, &request.name) {
                    self.expectations.deletion_observed(key, pod.uid());
                }
            }
            _ => {}
        }
    }

    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match stage {
            Stage::Claiming => failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry),
            Stage::Creating { view, batch, left } => {
                let mut next = (*view).clone();
                next.pods.extend(outcomes.iter().filter_map(|o| o.ok()).cloned());
                status::refresh(&mut next, ctx.now);
                match failure(outcomes) {
                    None => self.create(Rc::new(next), batch * 2, left, ctx),
                    Some(error) => {
                        self.expectations.raise_creations(key, -(left.len() as i64), ctx.now);
                        Plan::Retry(error)
                    }
                }
            }
            Stage::Deleting(view) => match failure_but_not_found(outcomes) {
                Some(error) => Plan::Retry(error),
                None => {
                    let mut view = (*view).clone();
                    for outcome in outcomes.iter().filter_map(|o| o.ok()) {
                        if let Some(pod) = view.pods.iter_mut().find(|pod| pod.uid() == outcome.uid()) {
                            *pod = outcome.clone();
                        }
                    }
                    status::refresh(&mut view, ctx.now);
                    self.note(view, None, ctx)
                }
            },
            Stage::Noted(view) => match outcomes[0].ok() {
                Some(job) => {
                    let mut view = (*view).clone();
                    view.job = job.clone();
                    self.release(view, ctx)
                }
                None => crate::framework::finish(outcomes),
            },
            Stage::Released(view) => match failure_but_not_found(outcomes) {
                Some(error) => Plan::Retry(error),
                None => self.settle((*view).clone(), None, ctx),
            },
            Stage::Last { events, again } => match (failure(outcomes), outcomes[0].ok()) {
                (None, Some(job)) => {
                    for (normal, reason, message) in events {
                        if normal { ctx.normal(job, &reason, &message) } else { ctx.warning(job, &reason, &message) }
                    }
                    Plan::after(again)
                }
                (error, _) => Plan::Retry(error.unwrap_or_else(|| "no answer".into())),
            },
        }
    }
}

/// When a pod ended: the latest end of its containers, else when it was found so.
pub fn finished_at(pod: &Object) -> Option<Time> {
    let ends = pod.list_at(&["status", "containerStatuses"]).iter();
    let ends = ends.filter_map(|c| c.str_at(&["state", "terminated", "finishedAt"])).filter_map(Time::parse);
    ends.max().or_else(|| pods::ready_since(pod)).or_else(|| pod.creation_timestamp())
}
