//! `backoffLimitPerIndex`: each index of an indexed job has its own retries. Models `pkg/controller/job/backoff_utils.go` and the
//! delayed deletion of `indexed_job_utils.go`.
//!
//! How often an index has failed is written on its newest pod. So the last failed pod of an index keeps its finalizer, and isn't
//! counted, until a pod that takes its place carries the number on.

use apimachinery::{Object, key};
use base::{Duration, Set, Time};
use client_go::pods;

use super::failure_policy::{Verdict, judge};
use super::{View, finished_at, has_finalizer, indexes, status};

const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// The limit, if the job has one.
pub fn limit(view: &View) -> Option<i64> {
    view.spec_int("backoffLimitPerIndex").filter(|_| view.is_indexed())
}

fn written(pod: &Object, annotation: &str) -> i64 {
    pod.annotation(annotation).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn verdict(view: &View, pod: &Object) -> Verdict {
    view.job.at(&["spec", "podFailurePolicy"]).map_or(Verdict::Count, |policy| judge(policy, pod))
}

/// Failures and ignored failures of an index, its failed pod included.
fn failures(view: &View, pod: &Object) -> (i64, i64) {
    let (counted, ignored) = (written(pod, FAILURES), written(pod, IGNORED));
    match verdict(view, pod) {
        Verdict::Ignore => (counted, ignored + 1),
        _ => (counted + 1, ignored),
    }
}

fn failed_pods(view: &View) -> impl Iterator<Item = &Object> {
    view.pods.iter().filter(|pod| pods::phase(pod) == "Failed" && has_finalizer(pod))
}

/// The indexes that are given up.
pub fn failed(view: &View) -> Set<i64> {
    let mut set = indexes::parse(view.status.str_at(&["failedIndexes"]).unwrap_or(""), indexes::completions(view));
    let Some(limit) = limit(view) else { return set };
    for pod in failed_pods(view) {
        let over = verdict(view, pod) == Verdict::FailIndex || failures(view, pod).0 > limit;
        if let Some(index) = indexes::of(pod).filter(|index| over && *index < indexes::completions(view)) {
            set.insert(index);
        }
    }
    set
}

/// The failed pod that carries the numbers of an index.
fn last_failed(view: &View, index: i64) -> Option<&Object> {
    let mine = failed_pods(view).filter(|pod| indexes::of(pod) == Some(index));
    mine.max_by_key(|pod| (written(pod, FAILURES) + written(pod, IGNORED), pod.creation_timestamp(), pod.name().to_string()))
}

/// Whether an ended pod is kept until another takes its place.
pub fn is_kept(view: &View, pod: &Object) -> bool {
    if limit(view).is_none() || status::ending(&view.status) || pods::phase(pod) != "Failed" {
        return false;
    }
    let Some(index) = indexes::of(pod) else { return false };
    last_failed(view, index).is_some_and(|last| last.uid() == pod.uid())
        && !view.active().any(|other| indexes::of(other) == Some(index))
        && !failed(view).contains(&index)
        && !indexes::succeeded(view).contains(&index)
}

/// Those of the indexes that may have a pod now, at most `n`, and how long the next one has to wait.
pub fn due(view: &View, indexes: Vec<i64>, n: i64, now: Time) -> (Vec<i64>, Option<Duration>) {
    let left = |index: i64| {
        let last = last_failed(view, index)?;
        let times = failures(view, last);
        Some((finished_at(last)? + status::delay_after(times.0 + times.1)).since(now)).filter(|left| *left > Duration::ZERO)
    };
    let wait = indexes.iter().filter_map(|index| left(*index)).min();
    (indexes.into_iter().filter(|index| left(*index).is_none()).take(n as usize).collect(), wait)
}

/// Writes the numbers of an index on its new pod.
pub fn annotate(view: &View, index: i64, pod: &mut Object) {
    if limit(view).is_none() {
        return;
    }
    let (counted, ignored) = last_failed(view, index).map_or((0, 0), |last| failures(view, last));
    let annotations = pod.value_mut().entry(&["metadata", "annotations"]).map_mut();
    annotations.insert(key(FAILURES), counted.to_string());
    if ignored > 0 {
        annotations.insert(key(IGNORED), ignored.to_string());
    }
}
