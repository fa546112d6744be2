//! Facts about pods that every controller needs, and pods made from templates.
//!
//! Models `pkg/api/v1/pod` and `pkg/controller/controller_utils.go`.

use std::cmp::Ordering;
use std::rc::Rc;

use apimachinery::{Fields, Object, Value, key, value};
use base::{Duration, Time};

/// `status.phase`, `""` before kube-apiserver set it.
pub fn phase(pod: &Object) -> &str {
    pod.str_at(&["status", "phase"]).unwrap_or("")
}
/// The node it is bound to; empty before.
pub fn node_name(pod: &Object) -> &str {
    pod.str_at(&["spec", "nodeName"]).unwrap_or("")
}
/// Succeeded or Failed.
pub fn is_terminal(pod: &Object) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}
/// Neither ended nor being deleted.
pub fn is_active(pod: &Object) -> bool {
    !is_terminal(pod) && !pod.is_being_deleted()
}
/// Being deleted, and not yet ended.
pub fn is_terminating(pod: &Object) -> bool {
    !is_terminal(pod) && pod.is_being_deleted()
}
/// A condition of the pod.
pub fn condition<'a>(pod: &'a Object, kind: &str) -> Option<&'a Value> {
    pod.condition(kind)
}
pub fn is_ready(pod: &Object) -> bool {
    pod.condition_is_true("Ready")
}
/// When the Ready condition last changed.
pub fn ready_since(pod: &Object) -> Option<Time> {
    pod.condition("Ready").and_then(|c| c.str_at(&["lastTransitionTime"])).and_then(Time::parse)
}
/// Ready for at least `min_ready_seconds`.
pub fn is_available(pod: &Object, min_ready_seconds: i64, now: Time) -> bool {
    if !is_ready(pod) {
        return false;
    }
    let since = if min_ready_seconds == 0 { return true } else { ready_since(pod) };
    since.is_some_and(|t| t + Duration::from_secs(min_ready_seconds) <= now)
}
/// When a ready pod will be available; `None` if it is already or isn't ready.
pub fn available_in(pod: &Object, min_ready_seconds: i64, now: Time) -> Option<Duration> {
    if min_ready_seconds == 0 || !is_ready(pod) {
        return None;
    }
    let left = (ready_since(pod)? + Duration::from_secs(min_ready_seconds)).since(now);
    (left > Duration::ZERO).then_some(left)
}
/// The `uid` of an object as a shared text.
pub fn uid(object: &Object) -> Rc<str> {
    object.at(&["metadata", "uid"]).and_then(Value::as_rc_str).cloned().unwrap_or_else(|| key(""))
}
/// The highest restart count of its containers.
fn max_restarts(pod: &Object) -> i64 {
    let of = |list: &str| pod.list_at(&["status", list]).iter().filter_map(|c| c.int_at(&["restartCount"])).max().unwrap_or(0);
    of("containerStatuses").max(of("initContainerStatuses"))
}
/// The value of `controller.kubernetes.io/pod-deletion-cost`, 0 if it is missing or not a number.
fn deletion_cost(pod: &Object) -> i64 {
    pod.annotation("controller.kubernetes.io/pod-deletion-cost").and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// What decides which pod goes first: computed once per pod. Models `ActivePodsWithRanks`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletionRank {
    assigned: bool,
    phase: u8,
    ready: bool,
    cost: i64,
    /// How many pods of the same owner are on its node; more goes first.
    neighbours: i64,
    ready_bucket: i64,
    restarts: i64,
    created_bucket: i64,
    uid: Rc<str>,
}

impl DeletionRank {
    pub fn new(pod: &Object, neighbours: i64, now: Time) -> DeletionRank {
        let phase = match phase(pod) {
            "Pending" => 0,
            "Running" => 2,
            _ => 1,
        };
        DeletionRank {
            assigned: !node_name(pod).is_empty(),
            phase,
            ready: is_ready(pod),
            cost: deletion_cost(pod),
            neighbours,
            ready_bucket: age_bucket(ready_since(pod), now),
            restarts: max_restarts(pod),
            created_bucket: age_bucket(pod.creation_timestamp(), now),
            uid: uid(pod),
        }
    }
    /// Less: deleted earlier.
    pub fn cmp(&self, other: &DeletionRank) -> Ordering {
        self.assigned
            .cmp(&other.assigned)
            .then(self.phase.cmp(&other.phase))
            .then(self.ready.cmp(&other.ready))
            .then(self.cost.cmp(&other.cost))
            .then(other.neighbours.cmp(&self.neighbours))
            .then_with(|| if self.ready && other.ready { self.ready_bucket.cmp(&other.ready_bucket) } else { Ordering::Equal })
            .then(other.restarts.cmp(&self.restarts))
            .then(self.created_bucket.cmp(&other.created_bucket))
            .then_with(|| self.uid.cmp(&other.uid))
    }
}

/// Ages are compared on a logarithmic scale, so that those of one roll-out are equal. An unknown time is the youngest.
fn age_bucket(since: Option<Time>, now: Time) -> i64 {
    let Some(since) = since else { return -1 };
    let secs = now.since(since).as_secs().max(0);
    if secs == 0 { 0 } else { 1 + secs.ilog2() as i64 }
}

/// A pod of a template: metadata is new, the spec is the template's own subtree. Models `GetPodFromTemplate`.
///
/// `parent` is the controller object (its name, cut to leave room, and a dash make `generateName`); `controller_ref` its owner reference.
pub fn from_template(template: &Value, parent: &Object, controller_ref: Value) -> Object {
    let namespace = parent.at(&["metadata", "namespace"]).cloned().unwrap_or_default();
    let mut metadata = Fields::with_capacity(5);
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(v) = template.at(&["metadata", field]).filter(|v| !v.is_empty()) {
            metadata.set(field, v);
        }
    }
    metadata.set("generateName", generate_name_prefix(parent.name()));
    metadata.set("namespace", namespace);
    metadata.set("ownerReferences", vec![controller_ref]);
    let spec = template.get("spec").cloned().unwrap_or_else(Value::map);
    let pod = value!({"apiVersion": "v1", "kind": "Pod", "metadata": (Value::from(metadata)), "spec": spec});
    Object::from_value(pod).expect("a map was built")
}

/// The controller's name and a dash, if a pod may be called so.
pub fn generate_name_prefix(controller: &str) -> String {
    if controller.len() < 253 { format!("{controller}-") } else { controller.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_shared_and_the_least_useful_pod_goes_first() {
        let rs = Object::from_value(value!({"kind": "ReplicaSet", "metadata": {"name": "web-1", "namespace": "ns"},
            "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}}}))
        .unwrap();
        let template = rs.at(&["spec", "template"]).unwrap();
        let pod = from_template(template, &rs, rs.new_controller_ref());
        assert!(pod.get("spec").unwrap().ptr_eq(template.get("spec").unwrap()));
        assert_eq!(pod.str_at(&["metadata", "generateName"]), Some("web-1-"));

        let with = |node: &str, phase: &str, uid: &str| {
            let mut pod = pod.clone();
            pod.set_at(&["spec", "nodeName"], node);
            pod.set_at(&["status", "phase"], phase);
            pod.set_at(&["metadata", "uid"], uid);
            DeletionRank::new(&pod, 1, Time::EPOCH)
        };
        let mut ranks =
            [with("n", "Running", "b"), with("n", "Pending", "a"), with("", "Pending", "z"), with("n", "Running", "a")];
        ranks.sort_by(DeletionRank::cmp);
        let order: Vec<(&str, u8)> = ranks.iter().map(|r| (&*r.uid, r.phase)).collect();
        assert_eq!(order, [("z", 0), ("a", 0), ("a", 2), ("b", 2)]);
    }
}
