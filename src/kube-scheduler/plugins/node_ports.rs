//! Host ports can be taken once per address. Models `plugins/nodeports`.

use crate::framework::{ClusterEvent, Cx, CycleState, Plugin, Reject};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct NodePorts;

const ANY: &str = "0.0.0.0";

/// Whether two pods want the same port of a node.
fn conflict(a: &PodInfo, b: &PodInfo) -> bool {
    a.host_ports.iter().any(|(ip, protocol, port)| {
        let same_ip = |other: &str| **ip == *other || &**ip == ANY || other == ANY;
        b.host_ports.iter().any(|(i, p, n)| n == port && p == protocol && same_ip(i))
    })
}

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn filter(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> Option<Reject> {
        if pod.host_ports.is_empty() || !node.pods.iter().any(|other| conflict(pod, other)) {
            return None;
        }
        Some(Reject::unschedulable(self.name(), "node(s) didn't have free ports for the requested pod ports"))
    }
    fn may_help(&self, _: &Cx, pod: &PodInfo, event: &ClusterEvent) -> bool {
        match event {
            ClusterEvent::NodeChanged { change, .. } => change.added,
            ClusterEvent::AssignedPodDeleted { pod: gone } => conflict(pod, gone),
            _ => false,
        }
    }
}
