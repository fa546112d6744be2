//! The taint-eviction controller: deletes pods that don't tolerate a NoExecute taint of their node, at once or when their time is up.
//!
//! Models `pkg/controller/tainteviction`.

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, value};
use base::{Duration, Map, Time};
use client_go::{Delta, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::resources::{Caches, NODES, PODS, PODS_BY_NODE, Res, gvr};

#[derive(Clone, Default)]
pub struct TaintEvictionController {
    /// Pods that will be deleted: since when the time runs, and when it is up.
    scheduled: Map<ObjectKey, (Time, Time)>,
    /// Evictions that were called off: an event says so.
    cancelled: Vec<ObjectKey>,
}

#[derive(Clone)]
pub enum Stage {
    Looked,
    Deleted,
}

/// Whether a toleration covers a taint. Models `Toleration.ToleratesTaint`.
pub fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |v: &Value, field: &str| v.str_at(&[field]).unwrap_or("").to_string();
    let effect = text(toleration, "effect");
    if !effect.is_empty() && effect != text(taint, "effect") {
        return false;
    }
    let key = text(toleration, "key");
    if !key.is_empty() && key != text(taint, "key") {
        return false;
    }
    match &*text(toleration, "operator") {
        "" | "Equal" => text(toleration, "value") == text(taint, "value"),
        "Exists" => true,
        _ => false,
    }
}

/// How long a pod may stay on a node with these taints; `None`: for ever.
fn time_to_stay(pod: &Object, taints: &[&Value]) -> Option<Duration> {
    let tolerations = pod.list_at(&["spec", "tolerations"]);
    let mut least = None;
    for taint in taints {
        let Some(used) = tolerations.iter().find(|t| tolerates(t, taint)) else { return Some(Duration::ZERO) };
        if let Some(seconds) = used.int_at(&["tolerationSeconds"]) {
            let time = Duration::from_secs(seconds.max(0));
            least = Some(least.map_or(time, |least: Duration| least.min(time)));
        }
    }
    least
}

fn no_execute(node: &Object) -> Vec<&Value> {
    node.list_at(&["spec", "taints"]).iter().filter(|t| t.str_at(&["effect"]) == Some("NoExecute")).collect()
}

impl TaintEvictionController {
    /// Schedules, moves or calls off the eviction of a pod.
    fn decide(&mut self, pod: &Object, caches: Caches, queue: &mut Enqueue<ObjectKey>) {
        let Some(node) = caches.find(NODES, "", pods::node_name(pod)) else { return };
        let taints = no_execute(node);
        let key = pod.key();
        let stay = if taints.is_empty() { None } else { time_to_stay(pod, &taints) };
        let Some(stay) = stay else {
            if self.scheduled.remove(&key).is_some() {
                self.cancelled.push(key.clone());
                queue.add(key);
            }
            return;
        };
        let since = self.scheduled.get(&key).map_or(queue.now, |(since, _)| *since);
        let at = since + stay;
        self.scheduled.insert(key.clone(), (since, at));
        queue.add_after(key, at.since(queue.now).max(Duration::ZERO));
    }
}

impl Controller for TaintEvictionController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        let name = "taint-eviction-controller";
        Info { name, account: "node-controller", source: name, workers: 8 }
    }
    fn watches(&self) -> &'static [Res] {
        &[PODS, NODES]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let caches = queue.caches;
        if res == NODES {
            let taints = |o: &Object| o.at(&["spec", "taints"]).cloned();
            let Some(node) = &delta.new else { return };
            if delta.old.as_ref().map_or(no_execute(node).is_empty(), |old| taints(old) == taints(node)) {
                return;
            }
            for pod in caches.store(PODS).by_index(PODS_BY_NODE, node.name()) {
                self.decide(pod, caches, queue);
            }
            return;
        }
        match (&delta.old, &delta.new) {
            (_, None) => {
                self.scheduled.remove(&delta.object().key());
            }
            (old, Some(pod)) => {
                let moved = old.as_ref().is_none_or(|old| {
                    pods::node_name(old) != pods::node_name(pod)
                        || old.at(&["spec", "tolerations"]) != pod.at(&["spec", "tolerations"])
                });
                if moved && !pods::node_name(pod).is_empty() {
                    self.decide(pod, caches, queue);
                }
            }
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let reference = |key: &ObjectKey| {
            let v = value!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": (&key.name), "namespace": (&key.namespace)}});
            Object::from_value(v).expect("a map was built")
        };
        for key in std::mem::take(&mut self.cancelled) {
            ctx.normal(&reference(&key), "TaintManagerEviction", &format!("Cancelling deletion of Pod {key}"));
        }
        let Some((_, at)) = self.scheduled.get(key).copied() else { return Plan::Done };
        if at > ctx.now {
            return Plan::After(at.since(ctx.now));
        }
        self.scheduled.remove(key);
        ctx.normal(&reference(key), "TaintManagerEviction", &format!("Marking for deletion Pod {key}"));
        Plan::call(format!("{key} doesn't tolerate its node's taint any longer"), Request::get(gvr(PODS), key), Stage::Looked)
    }
    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        if let Some(error) = failure_but_not_found(outcomes) {
            self.scheduled.insert(key.clone(), (ctx.now, ctx.now));
            return Plan::Retry(error);
        }
        match (stage, outcomes[0].ok()) {
            (Stage::Looked, Some(pod)) => {
                let reason = "DeletionByTaintManager";
                let message = "Taint manager: deleting due to NoExecute taint";
                let calls = vec![disruption_patch(pod, reason, message, ctx.now), Request::delete(gvr(PODS), key)];
                Plan::sequence(format!("{key} is evicted"), calls, Stage::Deleted)
            }
            _ => Plan::Done,
        }
    }
}

/// The patch that says why a pod will be deleted.
pub fn disruption_patch(pod: &Object, reason: &str, message: &str, now: Time) -> Request {
    let mut condition = value!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastProbeTime": null, "lastTransitionTime": (now.rfc3339_shared())
    });
    if pod.generation() != 0 {
        condition.set_at(&["observedGeneration"], pod.generation());
    }
    let patch = value!({"metadata": {"uid": (pod.uid())}, "status": {"conditions": [condition]}});
    Request::patch_status(gvr(PODS), &pod.key(), PatchType::StrategicMerge, patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_toleration_counts_and_none_means_now() {
        let taint = value!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"});
        for (tolerations, expected) in [
            (value!([]), Some(0)),
            (value!([{"operator": "Exists"}]), None),
            (
                value!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]),
                Some(300),
            ),
            (value!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoSchedule"}]), Some(0)),
            (value!([{"key": "other", "operator": "Exists"}]), Some(0)),
        ] {
            let pod = Object::from_value(value!({"spec": {"tolerations": tolerations}})).unwrap();
            assert_eq!(time_to_stay(&pod, &[&taint]).map(Duration::as_secs), expected);
        }
    }
}
