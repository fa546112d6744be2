//! The status of a job: counters, what is noted, and how it ends.

use std::rc::Rc;

use apimachinery::{Object, Value};
use base::{Duration, Time};
use client_go::pods;

use super::failure_policy::{Verdict, judge as judge_pod};
use super::{View, finished_at, has_finalizer, indexes, per_index, success_policy};
use crate::refs::{condition, find_condition, remove_condition, set_int};

/// Delays after failed pods: doubling from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));
/// Normal or not, reason, message.
type Event = (bool, Rc<str>, Rc<str>);

fn count(status: &Value, field: &str) -> i64 {
    status.int_at(&[field]).unwrap_or(0)
}
fn noted(status: &Value, list: &str) -> i64 {
    status.list_at(&["uncountedTerminatedPods", list]).len() as i64
}

/// Counters that are simply counted, and the start time.
pub fn refresh(view: &mut View, now: Time) {
    let active = view.active().count() as i64;
    let ready = view.active().filter(|pod| pods::is_ready(pod)).count() as i64;
    let terminating = view.pods.iter().filter(|pod| pods::is_terminating(pod)).count() as i64;
    set_int(&mut view.status, "active", active);
    view.status.set_at(&["ready"], ready);
    view.status.set_at(&["terminating"], terminating);
    if view.status.get("uncountedTerminatedPods").is_none() {
        view.status.set_at(&["uncountedTerminatedPods"], Value::map());
    }
    if view.status.get("startTime").is_none() && !view.is_suspended() {
        view.status.set_at(&["startTime"], now.rfc3339());
    }
}

/// Succeeded and failed, with those that are noted or about to be.
fn totals(view: &View) -> (i64, i64) {
    let fresh = |phase_ok: bool| {
        let seen = |pod: &Object| {
            ["succeeded", "failed"].iter().any(|list| {
                view.status.list_at(&["uncountedTerminatedPods", list]).iter().any(|uid| uid.as_str() == Some(pod.uid()))
            })
        };
        view.uncounted().filter(|pod| (pods::phase(pod) == "Succeeded") == phase_ok && !seen(pod) && counts(view, pod)).count()
            as i64
    };
    let succeeded = if view.is_indexed() {
        indexes::succeeded(view).len() as i64
    } else {
        count(&view.status, "succeeded") + noted(&view.status, "succeeded") + fresh(true)
    };
    (succeeded, count(&view.status, "failed") + noted(&view.status, "failed") + fresh(false))
}

/// Whether an ended pod counts at all: a failure policy may ignore it, an elastic job may no longer have its index.
fn counts(view: &View, pod: &Object) -> bool {
    if view.is_indexed() && indexes::of(pod).is_none_or(|index| index >= indexes::completions(view)) {
        return false;
    }
    match view.job.at(&["spec", "podFailurePolicy"]) {
        Some(policy) if pods::phase(pod) == "Failed" => judge_pod(policy, pod) != Verdict::Ignore,
        _ => true,
    }
}

/// Whether the outcome is decided and only the pods' end is awaited.
pub fn ending(status: &Value) -> bool {
    ["SuccessCriteriaMet", "FailureTarget"].iter().any(|kind| find_condition(status, kind).is_some())
}

/// Decides whether the job has failed or succeeded.
pub fn judge(view: &mut View, now: Time) {
    if ending(&view.status) {
        return;
    }
    let (succeeded, failed) = totals(view);
    let verdict = |pod: &Object| match view.job.at(&["spec", "podFailurePolicy"]).map(|policy| judge_pod(policy, pod)) {
        Some(Verdict::FailJob(message)) => Some(message),
        _ => None,
    };
    let by_policy = view.pods.iter().filter(|pod| has_finalizer(pod) && pods::phase(pod) == "Failed").find_map(verdict);
    let limit = view.spec_int("backoffLimit").unwrap_or(6);
    // With restartPolicy OnFailure the restarts of running pods count too.
    let restarts: i64 = match view.job.str_at(&["spec", "template", "spec", "restartPolicy"]) {
        Some("OnFailure") => view.active().map(restarts_of).sum(),
        _ => 0,
    };
    let failure = if let Some(message) = by_policy {
        Some(("PodFailurePolicy", message))
    } else if failed > limit || (restarts > 0 && restarts > limit) {
        Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_string()))
    } else if deadline_in(view, now).is_some_and(|left| left <= Duration::ZERO) {
        Some(("DeadlineExceeded", "Job was active longer than specified deadline".to_string()))
    } else {
        too_many_indexes(view, succeeded)
    };
    if let Some((reason, message)) = failure {
        push(view, condition("FailureTarget", "True", reason, &message, now), now);
        return;
    }
    let policy = view.job.at(&["spec", "successPolicy"]).filter(|_| view.is_indexed());
    if let Some(message) = policy.and_then(|policy| success_policy::matching(policy, &indexes::succeeded(view))) {
        push(view, condition("SuccessCriteriaMet", "True", "SuccessPolicy", &message, now), now);
        return;
    }
    let active = view.active().count() as i64;
    let complete = match view.spec_int("completions") {
        None => succeeded > 0 && active == 0,
        Some(wanted) => succeeded >= wanted && (active == 0 || !view.is_indexed() || wanted == 0),
    };
    if complete && !view.is_suspended() {
        let message = "Reached expected number of succeeded pods";
        push(view, condition("SuccessCriteriaMet", "True", "CompletionsReached", message, now), now);
    }
}

/// Whether the indexes that are given up decide the job's end.
fn too_many_indexes(view: &View, succeeded: i64) -> Option<(&'static str, String)> {
    per_index::limit(view)?;
    let failed = per_index::failed(view).len() as i64;
    if view.spec_int("maxFailedIndexes").is_some_and(|most| failed > most) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(("MaxFailedIndexesExceeded", message.into()));
    }
    let over = failed > 0 && succeeded + failed >= view.spec_int("completions").unwrap_or(0) && view.active().next().is_none();
    over.then(|| ("FailedIndexes", "Job has failed indexes".into()))
}

fn restarts_of(pod: &Object) -> i64 {
    pod.list_at(&["status", "containerStatuses"]).iter().filter_map(|c| c.int_at(&["restartCount"])).sum()
}

/// Adds a condition; job conditions carry a probe time.
fn push(view: &mut View, mut new: Value, now: Time) {
    new.set_at(&["lastProbeTime"], now.rfc3339());
    view.status.entry(&["conditions"]).list_mut().push(new);
}

/// How many pods should be active. Models the beginning of `manageJob`.
pub fn wanted_active(view: &View) -> i64 {
    let parallelism = view.spec_int("parallelism").unwrap_or(1);
    let (succeeded, _) = totals(view);
    match view.spec_int("completions") {
        None if succeeded > 0 => view.active().count() as i64,
        None => parallelism,
        Some(completions) => {
            let given_up = if per_index::limit(view).is_some() { per_index::failed(view).len() as i64 } else { 0 };
            parallelism.min((completions - succeeded - given_up).max(0))
        }
    }
}

/// How long to wait before the next pod after failures.
pub fn backoff(view: &View, now: Time) -> Option<Duration> {
    if per_index::limit(view).is_some() {
        return None;
    }
    let (_, failed) = totals(view);
    let last = view.pods.iter().filter(|pod| pods::phase(pod) == "Failed").filter_map(finished_at).max()?;
    let succeeded_since =
        view.pods.iter().filter(|pod| pods::phase(pod) == "Succeeded").filter_map(finished_at).any(|t| t > last);
    if failed == 0 || succeeded_since {
        return None;
    }
    let left = (last + delay_after(failed)).since(now);
    (left > Duration::ZERO).then_some(left)
}

/// The delay after so many failures.
pub fn delay_after(failures: i64) -> Duration {
    (BACKOFF.0 * (1i64 << (failures - 1).clamp(0, 20))).min(BACKOFF.1)
}

/// Notes ended pods by uid.
pub fn note_uncounted(view: &mut View) {
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    for pod in view.uncounted() {
        let uid = Value::from(pods::uid(pod));
        match pods::phase(pod) {
            // Of an indexed job the index counts, not the pod.
            "Succeeded" if view.is_indexed() => {}
            "Succeeded" => succeeded.push(uid),
            _ if counts(view, pod) => failed.push(uid),
            _ => {}
        }
    }
    if view.is_indexed() {
        let done = indexes::succeeded(view);
        set_int(&mut view.status, "succeeded", done.len() as i64);
        match done.is_empty() {
            false => view.status.set_at(&["completedIndexes"], indexes::format(&done)),
            true => drop(view.status.map_mut().remove("completedIndexes")),
        }
        if per_index::limit(view).is_some() {
            let failed = indexes::format(&per_index::failed(view));
            view.status.set_at(&["failedIndexes"], failed);
        }
    }
    for (list, uids) in [("succeeded", succeeded), ("failed", failed)] {
        for uid in uids {
            let known = view.status.list_at(&["uncountedTerminatedPods", list]).contains(&uid);
            if !known {
                view.status.entry(&["uncountedTerminatedPods", list]).list_mut().push(uid);
            }
        }
    }
}

pub fn nothing_noted(status: &Value) -> bool {
    noted(status, "succeeded") + noted(status, "failed") == 0
}

/// Moves what is noted into the counters: the pods have lost their finalizers.
pub fn count_noted(view: &mut View) {
    for list in ["succeeded", "failed"] {
        let n = noted(&view.status, list);
        if n > 0 {
            let total = count(&view.status, list) + n;
            set_int(&mut view.status, list, total);
        }
    }
    view.status.set_at(&["uncountedTerminatedPods"], Value::map());
}

/// The terminal condition, when no pod is left to wait for.
pub fn finish(view: &mut View, now: Time) -> Vec<Event> {
    let waiting = view.pods.iter().any(|pod| !pods::is_terminal(pod) && (has_finalizer(pod) || pod.is_being_deleted()));
    if waiting {
        return Vec::new();
    }
    for (target, terminal, normal) in [("SuccessCriteriaMet", "Complete", true), ("FailureTarget", "Failed", false)] {
        let Some(decided) = find_condition(&view.status, target) else { continue };
        let text = |field: &str| decided.str_at(&[field]).unwrap_or("").to_string();
        let (reason, message) = (text("reason"), text("message"));
        push(view, condition(terminal, "True", &reason, &message, now), now);
        if normal {
            view.status.set_at(&["completionTime"], now.rfc3339());
            return vec![(true, "Completed".into(), "Job completed".into())];
        }
        return vec![(false, reason.as_str().into(), message.as_str().into())];
    }
    Vec::new()
}

/// The Suspended condition, and the start time that goes and comes with it.
pub fn suspension(view: &mut View, now: Time) -> Vec<Event> {
    if ending(&view.status) {
        return Vec::new();
    }
    let was = find_condition(&view.status, "Suspended").and_then(|c| c.str_at(&["status"])).map(str::to_string);
    let (state, reason, message) = match (view.is_suspended(), was.as_deref()) {
        (true, Some("True")) | (false, None | Some("False")) => return Vec::new(),
        (true, _) => ("True", "JobSuspended", "Job suspended"),
        (false, _) => ("False", "JobResumed", "Job resumed"),
    };
    remove_condition(&mut view.status, "Suspended");
    push(view, condition("Suspended", state, reason, message, now), now);
    if state == "True" {
        view.status.map_mut().remove("startTime");
        return vec![(true, "Suspended".into(), message.into())];
    }
    view.status.set_at(&["startTime"], now.rfc3339());
    vec![(true, "Resumed".into(), message.into())]
}

/// Time left until `activeDeadlineSeconds` are over.
pub fn deadline_in(view: &View, now: Time) -> Option<Duration> {
    let seconds = view.spec_int("activeDeadlineSeconds")?;
    let start = view.status.str_at(&["startTime"]).and_then(Time::parse)?;
    Some((start + Duration::from_secs(seconds)).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn view(completions: i64, parallelism: i64, phases: &[&str]) -> View {
        let job = value!({"metadata": {"name": "j"}, "spec": {"completions": completions, "parallelism": parallelism, "backoffLimit": 1}});
        let pods = phases.iter().enumerate().map(|(i, phase)| {
            let pod = value!({
                "metadata": {"name": (format!("p{i}")), "uid": (format!("u{i}")), "finalizers": ["batch.kubernetes.io/job-tracking"]},
                "spec": {"nodeName": "n"}, "status": {"phase": (*phase)}
            });
            Object::from_value(pod).unwrap()
        });
        View { job: Object::from_value(job).unwrap(), pods: pods.collect(), status: Value::map() }
    }

    #[test]
    fn how_many_more_and_when_it_is_over() {
        for (completions, parallelism, phases, wanted, decided) in [
            (4, 2, &[][..], 2, ""),
            (4, 2, &["Running", "Succeeded"][..], 2, ""),
            (2, 2, &["Running", "Succeeded"][..], 1, ""),
            (1, 1, &["Succeeded"][..], 0, "SuccessCriteriaMet"),
            (1, 1, &["Failed"][..], 1, ""),
            (1, 1, &["Failed", "Failed"][..], 1, "FailureTarget"),
        ] {
            let mut v = view(completions, parallelism, phases);
            assert_eq!(wanted_active(&v), wanted, "{phases:?}");
            judge(&mut v, Time::EPOCH);
            let kind = v.status.list_at(&["conditions"]).first().and_then(|c| c.str_at(&["type"])).unwrap_or("");
            assert_eq!(kind, decided, "{phases:?}");
        }
    }
}
