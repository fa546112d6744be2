//! Taints keep pods away that don't tolerate them. Models `plugins/tainttoleration`.

use crate::framework::{ClusterEvent, Cx, CycleState, Plugin, Reject, default_normalize};
use crate::node_info::{NodeInfo, Taint};
use crate::pod_info::{PodInfo, Toleration};

pub struct TaintToleration;

/// Models `v1.Toleration.ToleratesTaint`. The numeric operators `Gt` and `Lt` (alpha) are left out.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    (toleration.effect.is_empty() || toleration.effect == taint.effect)
        && (toleration.key.is_empty() || toleration.key == taint.key)
        && (toleration.exists || (!toleration.key.is_empty() && toleration.value == taint.value))
}

/// The first taint with one of the effects that the pod doesn't tolerate.
pub fn untolerated<'a>(pod: &PodInfo, node: &'a NodeInfo, effects: &[&str]) -> Option<&'a Taint> {
    node.taints.iter().find(|taint| effects.contains(&&*taint.effect) && !pod.tolerations.iter().any(|t| tolerates(t, taint)))
}

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn filter(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> Option<Reject> {
        untolerated(pod, node, &["NoSchedule", "NoExecute"])?;
        Some(Reject::unresolvable(self.name(), "node(s) had untolerated taint(s)"))
    }
    fn weight(&self) -> i64 {
        3
    }
    /// The number of soft taints that the pod doesn't tolerate.
    fn score(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> i64 {
        let soft = |t: &&Toleration| t.effect.is_empty() || &*t.effect == "PreferNoSchedule";
        let intolerable = |taint: &&Taint| {
            &*taint.effect == "PreferNoSchedule" && !pod.tolerations.iter().filter(soft).any(|t| tolerates(t, taint))
        };
        node.taints.iter().filter(intolerable).count() as i64
    }
    fn normalizes(&self) -> bool {
        true
    }
    fn normalize(&self, _: &CycleState, _: &[u32], scores: &mut [i64]) {
        default_normalize(scores, true);
    }
    fn may_help(&self, _: &Cx, pod: &PodInfo, event: &ClusterEvent) -> bool {
        match event {
            ClusterEvent::NodeChanged { change, .. } => change.added || change.taints,
            ClusterEvent::PodUpdated { key } => *key == pod.key,
            _ => false,
        }
    }
}
