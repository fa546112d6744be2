//! The status of a Deployment: counts, conditions, progress. Models `progress.go` and `calculateStatus`.

use apimachinery::{Object, Value};
use base::{Duration, Time};

use super::{View, plan, seconds};
use crate::refs::{condition, find_condition, remove_condition, set_int, status_int, status_of};

/// Whether progress is watched at all.
pub fn has_deadline(d: &Object) -> bool {
    d.int_at(&["spec", "progressDeadlineSeconds"]).is_some_and(|s| s != i32::MAX as i64)
}

/// Sets a condition with update time. Models `SetDeploymentCondition`.
pub fn set(status: &mut Value, kind: &str, state: &str, reason: &str, message: &str, now: Time) {
    let mut new = condition(kind, state, reason, message, now);
    new.set_at(&["lastUpdateTime"], now.rfc3339());
    if let Some(old) = find_condition(status, kind) {
        if old.get("status") == new.get("status") && old.get("reason") == new.get("reason") {
            return;
        }
        if old.get("status") == new.get("status")
            && let Some(time) = old.get("lastTransitionTime")
        {
            new.set_at(&["lastTransitionTime"], time);
        }
    }
    remove_condition(status, kind);
    status.entry(&["conditions"]).list_mut().push(new);
}

/// Counts, Available, and the rest as it was.
fn calculate(view: &View, now: Time) -> Value {
    let sum = |field: &str| view.all().map(|rs| status_int(rs, field)).sum::<i64>();
    let d = &view.d;
    let available = sum("availableReplicas");
    let wanted: i64 = view.all().map(plan::replicas).sum();
    let mut status = status_of(d);
    set_int(&mut status, "observedGeneration", d.generation());
    set_int(&mut status, "replicas", sum("replicas"));
    set_int(&mut status, "updatedReplicas", view.new.as_ref().map_or(0, |rs| status_int(rs, "replicas")));
    set_int(&mut status, "readyReplicas", sum("readyReplicas"));
    set_int(&mut status, "availableReplicas", available);
    set_int(&mut status, "unavailableReplicas", (wanted - available).max(0));
    if view.all().any(|rs| rs.at(&["status", "terminatingReplicas"]).is_some()) {
        status.set_at(&["terminatingReplicas"], sum("terminatingReplicas"));
    }
    if available >= plan::replicas(d) - plan::max_unavailable(d) {
        set(&mut status, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now);
    } else {
        let message = "Deployment does not have minimum availability.";
        set(&mut status, "Available", "False", "MinimumReplicasUnavailable", message, now);
    }
    status
}

/// All wanted replicas are of the newest revision and available, and nothing else runs.
pub fn is_complete(d: &Object, status: &Value) -> bool {
    let wanted = plan::replicas(d);
    let n = |field: &str| status.int_at(&[field]).unwrap_or(0);
    n("updatedReplicas") == wanted
        && n("replicas") == wanted
        && n("availableReplicas") == wanted
        && n("observedGeneration") >= d.generation()
}

fn is_progressing(d: &Object, status: &Value) -> bool {
    let old = |field: &str| status_int(d, field);
    let new = |field: &str| status.int_at(&[field]).unwrap_or(0);
    new("updatedReplicas") > old("updatedReplicas")
        || new("replicas") - new("updatedReplicas") < old("replicas") - old("updatedReplicas")
        || new("readyReplicas") > old("readyReplicas")
        || new("availableReplicas") > old("availableReplicas")
}

fn progress_reason(status: &Value) -> &str {
    find_condition(status, "Progressing").and_then(|c| c.str_at(&["reason"])).unwrap_or("")
}

fn has_timed_out(d: &Object, status: &Value, now: Time) -> bool {
    let Some(condition) = find_condition(status, "Progressing") else { return false };
    match condition.str_at(&["reason"]) {
        Some("NewReplicaSetAvailable") => false,
        Some("ProgressDeadlineExceeded") => true,
        _ => {
            let from = condition.str_at(&["lastUpdateTime"]).and_then(Time::parse).unwrap_or(now);
            seconds(d, "progressDeadlineSeconds").is_some_and(|deadline| from + deadline < now)
        }
    }
}

/// The whole status. Models `syncRolloutStatus`.
pub fn rollout(view: &View, now: Time) -> Value {
    let d = &view.d;
    let mut status = calculate(view, now);
    if d.is_being_deleted() {
        return status;
    }
    if !has_deadline(d) {
        remove_condition(&mut status, "Progressing");
    }
    let n = |status: &Value, field: &str| status.int_at(&[field]).unwrap_or(0);
    let settled = n(&status, "replicas") == n(&status, "updatedReplicas") && progress_reason(&status) == "NewReplicaSetAvailable";
    if has_deadline(d) && !settled && d.bool_at(&["spec", "paused"]) != Some(true) {
        progress(view, &mut status, now);
    }
    match replica_failure(view) {
        Some(failure) => {
            let text = |field: &str| failure.str_at(&[field]).unwrap_or("").to_string();
            set(&mut status, "ReplicaFailure", &text("status"), &text("reason"), &text("message"), now);
        }
        None => remove_condition(&mut status, "ReplicaFailure"),
    }
    status
}

fn progress(view: &View, status: &mut Value, now: Time) {
    let d = &view.d;
    let who = match &view.new {
        Some(rs) => format!("ReplicaSet \"{}\"", rs.name()),
        None => format!("Deployment \"{}\"", d.name()),
    };
    if is_complete(d, status) {
        let message = format!("{who} has successfully progressed.");
        set(status, "Progressing", "True", "NewReplicaSetAvailable", &message, now);
    } else if is_progressing(d, status) {
        let message = format!("{who} is progressing.");
        // The same reason again must move the update time: so the old condition goes first.
        let since = find_condition(status, "Progressing")
            .filter(|c| c.str_at(&["status"]) == Some("True"))
            .and_then(|c| c.get("lastTransitionTime"))
            .cloned();
        remove_condition(status, "Progressing");
        set(status, "Progressing", "True", "ReplicaSetUpdated", &message, now);
        if let (Some(since), Some(last)) = (since, status.entry(&["conditions"]).list_mut().last_mut()) {
            last.set_at(&["lastTransitionTime"], since);
        }
    } else if has_timed_out(d, status, now) {
        let message = format!("{who} has timed out progressing.");
        set(status, "Progressing", "False", "ProgressDeadlineExceeded", &message, now);
    }
}

/// The failure of the newest ReplicaSet, or of any other.
fn replica_failure(view: &View) -> Option<&Value> {
    view.new
        .iter()
        .chain(&view.old)
        .find_map(|rs| rs.condition("ReplicaFailure").filter(|c| c.str_at(&["status"]) == Some("True")))
}

/// When to look whether progress has stopped. Models `requeueStuckDeployment`.
pub fn progress_check(d: &Object, status: &Value, now: Time) -> Option<Duration> {
    let condition = find_condition(status, "Progressing")?;
    let reason = condition.str_at(&["reason"]).unwrap_or("");
    if !has_deadline(d) || is_complete(d, status) || reason == "ProgressDeadlineExceeded" || reason == "NewReplicaSetAvailable" {
        return None;
    }
    let from = condition.str_at(&["lastUpdateTime"]).and_then(Time::parse)?;
    let left = (from + seconds(d, "progressDeadlineSeconds")?).since(now);
    Some(left.max(Duration::ZERO) + Duration::from_secs(1))
}
