//! Claims must exist, be bound, and their volumes reachable from the node. Models `plugins/volumebinding` and `volumezone` thinly:
//! a claim whose class waits for its first consumer is left to its provisioner after the node is chosen (`selected-node`);
//! capacity tracking and static binding by the scheduler are not modelled.

use crate::framework::{ClusterEvent, Cx, CycleState, Plugin, PreFilter, Reject};
use crate::node_info::NodeInfo;
use crate::plugins::node_affinity::matches_terms;
use crate::pod_info::PodInfo;

pub struct VolumeBinding;

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }
    fn pre_filter(&self, cx: &Cx, pod: &PodInfo, state: &mut CycleState) -> PreFilter {
        if pod.claims.is_empty() {
            return PreFilter::Skip;
        }
        for name in &pod.claims {
            let Some(claim) = cx.volumes.claim(&pod.key.namespace, name) else {
                let reason = format!("persistentvolumeclaim \"{name}\" not found");
                return PreFilter::Reject(Reject::unresolvable(self.name(), &reason));
            };
            if claim.is_being_deleted() {
                let reason = format!("persistentvolumeclaim \"{name}\" is being deleted");
                return PreFilter::Reject(Reject::unresolvable(self.name(), &reason));
            }
            match cx.volumes.bound_volume(claim) {
                Some(volume) => state.volumes.push(volume.into()),
                None if cx.volumes.waits_for_consumer(claim) => {}
                None => {
                    let reason = "pod has unbound immediate PersistentVolumeClaims";
                    return PreFilter::Reject(Reject::unresolvable(self.name(), reason));
                }
            }
        }
        PreFilter::Run
    }
    fn filter(&self, cx: &Cx, _: &PodInfo, state: &CycleState, node: &NodeInfo) -> Option<Reject> {
        for name in &state.volumes {
            let Some(volume) = cx.volumes.volume(name) else {
                return Some(Reject::unresolvable(
                    self.name(),
                    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
                ));
            };
            let terms = volume.list_at(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"]);
            if !terms.is_empty() && !matches_terms(terms, node) {
                return Some(Reject::unresolvable(self.name(), "node(s) didn't match PersistentVolume's node affinity"));
            }
        }
        None
    }
    fn may_help(&self, _: &Cx, _: &PodInfo, event: &ClusterEvent) -> bool {
        match event {
            ClusterEvent::Storage => true,
            ClusterEvent::NodeChanged { change, .. } => change.added || change.labels,
            _ => false,
        }
    }
}
