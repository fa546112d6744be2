//! Whether a pod that was bound here may run here. Models `pkg/kubelet/lifecycle/predicate.go` for resources, the number of pods and
//! nodeSelector. Left out by name: host ports, node affinity terms, critical pods pushing others out.

use std::rc::Rc;

use apimachinery::{Object, Quantity, Value};

use crate::config::Config;
use crate::pod::{app_specs, init_specs};

type Text = Rc<str>;

/// CPU (millicores) and memory (bytes) that a pod asks for.
pub fn requests(pod: &Object) -> (i64, i64) {
    let amount = |c: &Value, name: &str| c.at(&["resources", "requests", name]).and_then(|q| Quantity::from_value(q).ok());
    let of = |c: &Value| (amount(c, "cpu").map_or(0, |q| q.milli_value()), amount(c, "memory").map_or(0, |q| q.value()));
    let mut total = app_specs(pod).iter().map(|s| of(&s.value)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    for spec in init_specs(pod) {
        let step = of(&spec.value);
        total = (total.0.max(step.0), total.1.max(step.1));
    }
    total
}

/// Reason and message if the pod is refused. `used`: what the pods that are here already ask for, and how many they are.
pub fn refuse(config: &Config, node: Option<&Object>, pod: &Object, used: (i64, i64), count: i64) -> Option<(Text, Text)> {
    let said = |reason: &str, message: String| Some((reason.into(), format!("Pod was rejected: {message}").into()));
    if count + 1 > config.max_pods {
        let message =
            format!("Node didn't have enough resource: pods, requested: 1, used: {count}, capacity: {}", config.max_pods);
        return said("OutOfpods", message);
    }
    let wanted = requests(pod);
    for (name, wanted, used, capacity) in
        [("cpu", wanted.0, used.0, config.cpu_milli), ("memory", wanted.1, used.1, config.memory_bytes)]
    {
        if wanted > 0 && wanted + used > capacity {
            let message =
                format!("Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}");
            return said(&format!("OutOf{name}"), message);
        }
    }
    let selector = pod.map_at(&["spec", "nodeSelector"]);
    let matches = |node: &Object| selector.is_none_or(|s| s.iter().all(|(k, v)| node.label(k) == v.as_str()));
    if node.is_some_and(|n| !matches(n)) {
        let message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
        return said("NodeAffinity", message.into());
    }
    None
}
