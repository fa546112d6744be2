//! The cronjob controller: makes Jobs on a schedule. Models `pkg/controller/cronjob`.

use std::rc::Rc;

use api::batch::cron::Schedule;
use apimachinery::{Object, ObjectKey, Request, Value, key, value};
use base::Sort as _;
use base::{Duration, Time};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure, failure_but_not_found};
use crate::job::is_finished;
use crate::refs;
use crate::resources::{CRONJOBS, JOBS, Res, gvr};

/// More missed runs than this are too many to reckon: only the last counts, with a warning.
const TOO_MANY: usize = 100;

#[derive(Clone, Default)]
pub struct CronJobController {}

#[derive(Clone)]
pub enum Stage {
    /// Finished jobs beyond the history limits are being deleted.
    Cleaning,
    /// Running jobs are being replaced.
    Replacing(Object, Time),
    Creating(Object, Time),
    /// The status is being written; look again at the next time.
    Status,
}

/// The schedule of a cron job. Only UTC is known: another time zone is refused by name.
fn schedule(cron: &Object) -> Result<Schedule, String> {
    match cron.str_at(&["spec", "timeZone"]) {
        None | Some("" | "UTC" | "Etc/UTC" | "GMT") => Schedule::parse(cron.str_at(&["spec", "schedule"]).unwrap_or("")),
        Some(zone) => Err(format!("the rules of time zone {zone} are not in this bottle")),
    }
}

fn last_schedule(cron: &Object) -> Time {
    let time = cron.str_at(&["status", "lastScheduleTime"]).and_then(Time::parse);
    time.or_else(|| cron.creation_timestamp()).unwrap_or(Time::EPOCH)
}

/// The last time due before now that was not served yet, and whether there were too many to count.
fn missed(cron: &Object, schedule: &Schedule, now: Time) -> (Option<Time>, bool) {
    let mut from = last_schedule(cron);
    if let Some(deadline) = cron.int_at(&["spec", "startingDeadlineSeconds"]) {
        from = from.max(now - Duration::from_secs(deadline));
    }
    let (mut last, mut n) = (None, 0);
    while let Some(next) = schedule.next(from).filter(|t| *t <= now) {
        (last, from) = (Some(next), next);
        n += 1;
        // Far behind: jump near to now instead of counting on.
        if n == TOO_MANY {
            from = from.max(now - Duration::from_secs(86_400));
        }
    }
    (last, n > TOO_MANY)
}

/// The job of a scheduled time: its name is a function of both, so that it can't be made twice.
fn new_job(cron: &Object, at: Time) -> Object {
    let template = cron.at(&["spec", "jobTemplate"]).cloned().unwrap_or_default();
    let mut annotations = template.map_at(&["metadata", "annotations"]).cloned().unwrap_or_default();
    annotations.insert(key("batch.kubernetes.io/cronjob-scheduled-timestamp"), at.rfc3339());
    let mut job = value!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": (format!("{}-{}", cron.name(), at.secs() / 60)), "namespace": (cron.namespace()),
            "annotations": (Value::from(annotations)), "ownerReferences": [(cron.new_controller_ref())]
        },
        "spec": (template.get("spec").cloned().unwrap_or_else(Value::map))
    });
    if let Some(labels) = template.at(&["metadata", "labels"]) {
        job.set_at(&["metadata", "labels"], labels);
    }
    Object::from_value(job).expect("a map was built")
}

impl CronJobController {
    fn jobs(&self, cron: &Object, ctx: &Ctx) -> Vec<Object> {
        ctx.caches.owned_by(JOBS, cron.uid()).cloned().collect()
    }

    /// `status.active` and `lastSuccessfulTime` as the jobs say.
    fn status(&self, cron: &Object, jobs: &[Object]) -> Value {
        let mut status = refs::status_of(cron);
        let active: Vec<Value> = jobs
            .iter()
            .filter(|job| !is_finished(job))
            .map(|job| {
                value!({
                    "apiVersion": "batch/v1", "kind": "Job", "name": (job.name()), "namespace": (job.namespace()),
                    "uid": (job.uid()), "resourceVersion": (job.resource_version())
                })
            })
            .collect();
        let old = status.list_at(&["active"]);
        let uids = |list: &[Value]| list.iter().filter_map(|r| r.str_at(&["uid"]).map(str::to_string)).collect::<Vec<_>>();
        if uids(old) != uids(&active) {
            if active.is_empty() {
                status.map_mut().remove("active");
            } else {
                status.set_at(&["active"], active);
            }
        }
        let done = jobs.iter().filter(|job| job.condition_is_true("Complete"));
        let last = done.filter_map(|job| job.str_at(&["status", "completionTime"])).max();
        if let Some(last) = last.filter(|last| Some(*last) > status.str_at(&["lastSuccessfulTime"])) {
            status.set_at(&["lastSuccessfulTime"], last);
        }
        status
    }

    /// Finished jobs beyond the limits, oldest first.
    fn surplus(&self, cron: &Object, jobs: &[Object]) -> Vec<Object> {
        let mut doomed = Vec::new();
        for (condition, field, default) in
            [("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)]
        {
            let mut ended: Vec<&Object> = jobs.iter().filter(|job| job.condition_is_true(condition)).collect();
            ended.order_by_key(|job| (job.str_at(&["status", "startTime"]).map(str::to_string), job.name().to_string()));
            let limit = refs::spec_int(cron, field, default).max(0) as usize;
            doomed.extend(ended.iter().take(ended.len().saturating_sub(limit)).map(|job| (*job).clone()));
        }
        doomed
    }

    /// Says what became of the jobs that were active when it looked last.
    fn tell_of_ended(&self, cron: &Object, jobs: &[Object], ctx: &mut Ctx) {
        for reference in cron.list_at(&["status", "active"]) {
            let name = reference.str_at(&["name"]).unwrap_or("");
            match jobs.iter().find(|job| Some(job.uid()) == reference.str_at(&["uid"])) {
                None => ctx.normal(cron, "MissingJob", &format!("Active job went missing: {name}")),
                Some(job) if is_finished(job) => {
                    let condition = if job.condition_is_true("Complete") { "Complete" } else { "Failed" };
                    let message = format!("Saw completed job: {name}, condition: {condition}");
                    ctx.normal(cron, "SawCompletedJob", &message);
                }
                Some(_) => {}
            }
        }
    }

    fn write_status(&self, cron: &Object, status: Value) -> Option<Plan<Stage>> {
        let changed = !refs::same_status(&status, &refs::status_of(cron));
        changed.then(|| {
            Plan::call(format!("{} notes its jobs", cron.name()), refs::update_status(CRONJOBS, cron, status), Stage::Status)
        })
    }

    /// When the next run is due.
    fn next(&self, cron: &Object, now: Time) -> Plan<Stage> {
        if cron.bool_at(&["spec", "suspend"]) == Some(true) {
            return Plan::Done;
        }
        let next = schedule(cron).ok().and_then(|s| s.next(now));
        Plan::after(next.map(|at| at.since(now) + Duration::from_millis(100)))
    }

    fn launch(&self, cron: Object, at: Time, jobs: &[Object], ctx: &mut Ctx) -> Plan<Stage> {
        let running: Vec<&Object> = jobs.iter().filter(|job| !is_finished(job)).collect();
        match cron.str_at(&["spec", "concurrencyPolicy"]) {
            Some("Forbid") if !running.is_empty() => {
                let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
                ctx.normal(&cron, "JobAlreadyActive", message);
                self.next(&cron, ctx.now)
            }
            Some("Replace") if !running.is_empty() => {
                let calls = running.iter().map(|job| refs::delete_with(JOBS, job, "Background")).collect();
                Plan::calls(format!("{} replaces its jobs", cron.name()), calls, Stage::Replacing(cron, at))
            }
            _ => self.create(cron, at),
        }
    }

    fn create(&self, cron: Object, at: Time) -> Plan<Stage> {
        let job = new_job(&cron, at);
        Plan::call(format!("{} is due", cron.name()), Request::create(gvr(JOBS), job), Stage::Creating(cron, at))
    }
}

impl Controller for CronJobController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        Info { name: "cronjob-controller", account: "cronjob-controller", source: "cronjob-controller", workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[CRONJOBS, JOBS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if res == CRONJOBS {
            return queue.add(delta.object().key());
        }
        if let Some(key) = refs::controller_key(queue.caches, CRONJOBS, delta.object()) {
            queue.add(key);
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(cron) = ctx.caches.get(CRONJOBS, key).cloned() else { return Plan::Done };
        if cron.is_being_deleted() {
            return Plan::Done;
        }
        let jobs = self.jobs(&cron, ctx);
        let surplus = self.surplus(&cron, &jobs);
        if !surplus.is_empty() {
            let calls = surplus.iter().map(|job| refs::delete_with(JOBS, job, "Background")).collect();
            return Plan::calls(format!("{key} keeps fewer jobs"), calls, Stage::Cleaning);
        }
        if let Some(plan) = self.write_status(&cron, self.status(&cron, &jobs)) {
            self.tell_of_ended(&cron, &jobs, ctx);
            return plan;
        }
        if cron.bool_at(&["spec", "suspend"]) == Some(true) {
            return Plan::Done;
        }
        let schedule = match schedule(&cron) {
            Ok(schedule) => schedule,
            Err(error) => {
                let text = cron.str_at(&["spec", "schedule"]).unwrap_or("");
                ctx.warning(&cron, "UnparseableSchedule", &format!("unparseable schedule: \"{text}\" : {error}"));
                return Plan::Done;
            }
        };
        let (due, too_many) = missed(&cron, &schedule, ctx.now);
        if too_many {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            ctx.warning(&cron, "TooManyMissedTimes", message);
        }
        match due {
            Some(at) => self.launch(cron, at, &jobs, ctx),
            None => self.next(&cron, ctx.now),
        }
    }
    fn on_outcome(&mut self, key: &ObjectKey, _: &Stage, request: &Request, outcome: &Outcome, ctx: &mut Ctx) {
        let deletes = request.verb == apimachinery::Verb::Delete && outcome.is_success();
        if let Some(cron) = ctx.caches.get(CRONJOBS, key).filter(|_| deletes).cloned() {
            ctx.normal(&cron, "SuccessfulDelete", &format!("Deleted job {}", request.name));
        }
    }
    fn resume(&mut self, _: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match stage {
            // The events of what was deleted or written bring the key back.
            Stage::Cleaning => failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry),
            Stage::Status => failure(outcomes).map_or(Plan::Done, Plan::Retry),
            Stage::Replacing(cron, at) => match failure_but_not_found(outcomes) {
                Some(error) => Plan::Retry(error),
                None => self.create(cron, at),
            },
            Stage::Creating(cron, at) => {
                let Some(job) = outcomes[0].ok().cloned() else {
                    let error: Rc<str> = outcomes[0].message().into();
                    if refs::namespace_terminating(&outcomes[0]) {
                        return Plan::Done;
                    }
                    if !outcomes[0].is_already_exists() {
                        ctx.warning(&cron, "FailedCreate", &format!("Error creating job: {error}"));
                        return Plan::Retry(error);
                    }
                    return self.next(&cron, ctx.now);
                };
                ctx.normal(&cron, "SuccessfulCreate", &format!("Created job {}", job.name()));
                let mut jobs = self.jobs(&cron, ctx);
                jobs.retain(|known| known.uid() != job.uid());
                jobs.push(job);
                let mut status = self.status(&cron, &jobs);
                status.set_at(&["lastScheduleTime"], at.rfc3339());
                self.write_status(&cron, status).unwrap_or(Plan::Done)
            }
        }
    }
}
