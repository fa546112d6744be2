//! The disruption controller: how many pods of a PodDisruptionBudget may be missing. Models `pkg/controller/disruption`.
//!
//! Left out: scales of custom controllers, events of stale disruptions.

use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::quantity::scaled_int_or_percent;
use apimachinery::{Object, ObjectKey, Value};
use base::{Duration, Map, Time};
use client_go::{Delta, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Plan};
use crate::refs;
use crate::resources::{
    Caches, DEPLOYMENTS, PODDISRUPTIONBUDGETS, PODS, REPLICASETS, REPLICATIONCONTROLLERS, Res, STATEFULSETS, selected_pods,
};

/// An eviction that was allowed but didn't delete its pod is forgotten after this time.
const DELETION_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Clone, Default)]
pub struct DisruptionController {}

/// What a budget counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Numbers {
    expected: i64,
    desired: i64,
    current: i64,
}

fn selector(pdb: &Object) -> Selector {
    Selector::from_label_selector(pdb.at(&["spec", "selector"])).unwrap_or_else(|_| Selector::nothing())
}

/// The size that the pods' controllers want, together. Models `getExpectedScale`.
fn expected_scale(caches: Caches, matching: &[&Object]) -> i64 {
    let mut scales: Map<Rc<str>, i64> = Map::default();
    for pod in matching {
        for res in [REPLICASETS, STATEFULSETS, REPLICATIONCONTROLLERS] {
            let Some(owner) = caches.controller_of(res, pod) else { continue };
            let top = caches.controller_of(DEPLOYMENTS, owner).unwrap_or(owner);
            scales.insert(refs::uid(top), refs::spec_int(top, "replicas", 1));
        }
    }
    scales.values().sum()
}

fn numbers(pdb: &Object, matching: &[&Object], current: i64, scale: impl Fn() -> i64) -> Numbers {
    let count = matching.len() as i64;
    let (min, max) = (pdb.at(&["spec", "minAvailable"]), pdb.at(&["spec", "maxUnavailable"]));
    let (expected, desired) = match (max, min) {
        (Some(max), _) => {
            let expected = scale();
            (expected, (expected - scaled_int_or_percent(max, expected, true).unwrap_or(0)).max(0))
        }
        (None, Some(Value::Int(n))) => (count, *n),
        (None, Some(min)) => {
            let expected = scale();
            (expected, scaled_int_or_percent(min, expected, true).unwrap_or(0))
        }
        // Neither is given: as minAvailable 1.
        (None, None) => (count, 1),
    };
    Numbers { expected, desired, current }
}

/// The status, and when a disrupted pod is to be forgotten.
fn status(pdb: &Object, n: Numbers, disrupted: Value, now: Time) -> Value {
    let mut status = refs::status_of(pdb);
    let allowed = if n.expected <= 0 { 0 } else { (n.current - n.desired).max(0) };
    for (field, number) in [
        ("currentHealthy", n.current),
        ("desiredHealthy", n.desired),
        ("expectedPods", n.expected),
        ("disruptionsAllowed", allowed),
    ] {
        status.set_at(&[field], number);
    }
    refs::set_int(&mut status, "observedGeneration", pdb.generation());
    if disrupted.is_empty() {
        status.map_mut().remove("disruptedPods");
    } else {
        status.set_at(&["disruptedPods"], disrupted);
    }
    let (state, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let mut condition = refs::condition("DisruptionAllowed", state, reason, "", now);
    condition.set_at(&["message"], "");
    condition.set_at(&["observedGeneration"], pdb.generation());
    let list = status.entry(&["conditions"]).list_mut();
    match list.iter_mut().find(|c| c.str_at(&["type"]) == Some("DisruptionAllowed")) {
        Some(old) => {
            if old.get("status") == condition.get("status") {
                let since = old.get("lastTransitionTime").cloned().unwrap_or_default();
                condition.set_at(&["lastTransitionTime"], since);
            }
            *old = condition;
        }
        None => list.push(condition),
    }
    status
}

impl Controller for DisruptionController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        Info { name: "disruption-controller", account: "disruption-controller", source: "controllermanager", workers: 1 }
    }
    fn watches(&self) -> &'static [Res] {
        &[PODDISRUPTIONBUDGETS, PODS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let object = delta.object();
        if res == PODDISRUPTIONBUDGETS {
            return queue.add(object.key());
        }
        if queue.caches.store(PODDISRUPTIONBUDGETS).is_empty() {
            return;
        }
        let budgets = queue.caches.store(PODDISRUPTIONBUDGETS).in_namespace(object.namespace());
        let keys: Vec<ObjectKey> = budgets.filter(|pdb| selector(pdb).matches(object.labels())).map(Object::key).collect();
        keys.into_iter().for_each(|key| queue.add(key));
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let Some(pdb) = ctx.caches.get(PODDISRUPTIONBUDGETS, key).cloned() else { return Plan::Done };
        let matching: Vec<&Object> =
            selected_pods(ctx.caches, &key.namespace, selector(&pdb)).filter(|pod| !pods::is_terminal(pod)).collect();
        if matching.is_empty() {
            ctx.normal(&pdb, "NoPods", "No matching pods found");
        }
        let mut disrupted = pdb.at(&["status", "disruptedPods"]).cloned().unwrap_or_default();
        let mut again = None;
        if !disrupted.is_empty() {
            disrupted.map_mut().retain(|name, time| {
                let pod = matching.iter().find(|pod| pod.name() == &**name);
                let until = time.as_str().and_then(Time::parse).unwrap_or(ctx.now) + DELETION_TIMEOUT;
                let keep = pod.is_some_and(|pod| !pod.is_being_deleted()) && until > ctx.now;
                if keep {
                    again = Some(until.since(ctx.now));
                }
                keep
            });
        }
        let healthy = |pod: &&&Object| !pod.is_being_deleted() && pods::is_ready(pod) && disrupted.get(pod.name()).is_none();
        let current = matching.iter().filter(healthy).count() as i64;
        let n = numbers(&pdb, &matching, current, || expected_scale(ctx.caches, &matching));
        let status = status(&pdb, n, disrupted.clone(), ctx.now);
        if refs::same_status(&status, &refs::status_of(&pdb)) {
            return Plan::after(again);
        }
        let why = format!("{key}: {current} of {} healthy", n.expected);
        Plan::call(why, refs::update_status(PODDISRUPTIONBUDGETS, &pdb, status), ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn budgets_as_numbers_and_percentages() {
        let pod = Object::default();
        let three = [&pod, &pod, &pod];
        for (spec, expected, desired) in [
            (value!({"minAvailable": 3}), 3, 3),
            (value!({"minAvailable": "50%"}), 4, 2),
            (value!({"maxUnavailable": "34%"}), 4, 2),
            (value!({"maxUnavailable": 0}), 4, 4),
        ] {
            let pdb = Object::from_value(value!({"spec": spec})).unwrap();
            let n = numbers(&pdb, &three, 3, || 4);
            assert_eq!((n.expected, n.desired), (expected, desired), "{pdb:?}");
        }
    }
}
