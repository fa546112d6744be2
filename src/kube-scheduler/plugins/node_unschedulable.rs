//! Cordoned nodes take no new pods. Models `plugins/nodeunschedulable`.

use crate::framework::{ClusterEvent, Cx, CycleState, Plugin, Reject};
use crate::node_info::{NodeInfo, Taint};
use crate::pod_info::PodInfo;

pub struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn filter(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> Option<Reject> {
        if !node.unschedulable {
            return None;
        }
        let taint = Taint { key: "node.kubernetes.io/unschedulable".into(), value: "".into(), effect: "NoSchedule".into() };
        let tolerated = pod.tolerations.iter().any(|t| super::tolerates(t, &taint));
        (!tolerated).then(|| Reject::unresolvable(self.name(), "node(s) were unschedulable"))
    }
    fn may_help(&self, _: &Cx, _: &PodInfo, event: &ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeChanged { change, .. } if change.added || change.taints)
    }
}
