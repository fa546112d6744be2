//! Prefers nodes whose CPU and memory would be used in equal shares. Models `plugins/noderesources/balanced_allocation.go`, in
//! millionths instead of floats.

use crate::framework::{Cx, CycleState, MAX_NODE_SCORE, Plugin};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct NodeResourcesBalancedAllocation;

const ONE: i64 = 1_000_000;

fn share(requested: i64, capacity: i64) -> Option<i64> {
    (capacity > 0).then(|| ((requested as i128 * ONE as i128 / capacity as i128) as i64).min(ONE))
}

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn weight(&self) -> i64 {
        1
    }
    /// Pods that request nothing are not scored.
    fn score(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> i64 {
        if pod.best_effort {
            return 0;
        }
        let cpu = share(node.requested.milli_cpu + pod.requests.milli_cpu, node.allocatable.milli_cpu);
        let memory = share(node.requested.memory + pod.requests.memory, node.allocatable.memory);
        let deviation = match (cpu, memory) {
            (Some(a), Some(b)) => (a - b).abs() / 2,
            _ => 0,
        };
        (ONE - deviation) * MAX_NODE_SCORE / ONE
    }
}
