//! Whether a node has room, and how much it has left. Models `plugins/noderesources/fit.go` with LeastAllocated.

use std::rc::Rc;

use crate::framework::{ClusterEvent, Cx, CycleState, MAX_NODE_SCORE, Plugin, Reject};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct NodeResourcesFit;

/// What a node lacks for a pod, resource by resource, and whether it could never hold it. Models `fitsRequest`.
pub fn insufficient(pod: &PodInfo, node: &NodeInfo) -> (Vec<Rc<str>>, bool) {
    let (mut lacking, mut never) = (Vec::new(), false);
    if node.pods.len() as i64 + 1 > node.allocatable.pods {
        lacking.push("Too many pods".into());
    }
    let mut check = |name: &str, wanted: i64, used: i64, total: i64| {
        if wanted > 0 && wanted > total - used {
            lacking.push(format!("Insufficient {name}").into());
            never |= wanted > total;
        }
    };
    let (wanted, used, total) = (&pod.requests, &node.requested, &node.allocatable);
    check("cpu", wanted.milli_cpu, used.milli_cpu, total.milli_cpu);
    check("memory", wanted.memory, used.memory, total.memory);
    check("ephemeral-storage", wanted.ephemeral_storage, used.ephemeral_storage, total.ephemeral_storage);
    for (name, amount) in &wanted.scalar {
        check(name, *amount, used.scalar(name), total.scalar(name));
    }
    (lacking, never)
}

/// The free share of a resource after placing, 0..=100.
fn least_requested(requested: i64, capacity: i64) -> i64 {
    if capacity == 0 || requested > capacity { 0 } else { (capacity - requested) * MAX_NODE_SCORE / capacity }
}

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn filter(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> Option<Reject> {
        let (reasons, unresolvable) = insufficient(pod, node);
        (!reasons.is_empty()).then(|| Reject { plugin: self.name(), unresolvable, reasons })
    }
    fn weight(&self) -> i64 {
        1
    }
    fn score(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> i64 {
        let resources = [
            (node.counted.milli_cpu + pod.counted.milli_cpu, node.allocatable.milli_cpu),
            (node.counted.memory + pod.counted.memory, node.allocatable.memory),
        ];
        let known = resources.iter().filter(|(_, capacity)| *capacity > 0);
        let n = known.clone().count() as i64;
        known.map(|(requested, capacity)| least_requested(*requested, *capacity)).sum::<i64>() / n.max(1)
    }
    fn may_help(&self, cx: &Cx, pod: &PodInfo, event: &ClusterEvent) -> bool {
        match event {
            ClusterEvent::NodeChanged { node, change } => {
                (change.added || change.allocatable) && !insufficient(pod, cx.cache.node(*node)).1
            }
            ClusterEvent::AssignedPodDeleted { pod: gone } => frees(gone, pod),
            ClusterEvent::PodUpdated { key } => *key == pod.key,
            _ => false,
        }
    }
}

/// Whether a pod that leaves makes room of a kind that `pod` wants. A place among a node's pods always counts.
fn frees(gone: &PodInfo, pod: &PodInfo) -> bool {
    let (given, wanted) = (&gone.requests, &pod.requests);
    wanted.is_zero()
        || (given.milli_cpu > 0 && wanted.milli_cpu > 0)
        || (given.memory > 0 && wanted.memory > 0)
        || (given.ephemeral_storage > 0 && wanted.ephemeral_storage > 0)
        || wanted.scalar.iter().any(|(name, _)| given.scalar(name) > 0)
        || given.is_zero()
}
