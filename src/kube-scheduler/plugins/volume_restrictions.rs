//! A claim with the access mode ReadWriteOncePod is one pod's at a time. Models `plugins/volumerestrictions`; the rules for GCE, EBS,
//! iSCSI and RBD volumes that pods name directly are left out (none of these is in the bottle).

use apimachinery::{Object, ObjectKey, Value};

use crate::framework::{ClusterEvent, Cx, CycleState, Plugin, PreFilter, Reject};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct VolumeRestrictions;

fn is_for_one_pod(claim: &Object) -> bool {
    claim.list_at(&["spec", "accessModes"]).iter().any(|m| m.as_str() == Some("ReadWriteOncePod"))
}

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }
    fn pre_filter(&self, cx: &Cx, pod: &PodInfo, _: &mut CycleState) -> PreFilter {
        let is_taken = |name: &std::rc::Rc<str>| {
            let claim = cx.volumes.claim(&pod.key.namespace, name).filter(|claim| is_for_one_pod(claim));
            claim.is_some_and(|claim| cx.cache.users_of(&claim.key()) > 0)
        };
        if pod.claims.iter().any(is_taken) { PreFilter::Run } else { PreFilter::Skip }
    }
    /// Runs only if some claim is taken, which holds for every node.
    fn filter(&self, _: &Cx, _: &PodInfo, _: &CycleState, _: &NodeInfo) -> Option<Reject> {
        let reason = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
        Some(Reject::unschedulable(self.name(), reason))
    }
    fn may_help(&self, _: &Cx, pod: &PodInfo, event: &ClusterEvent) -> bool {
        match event {
            ClusterEvent::AssignedPodDeleted { pod: gone } => {
                gone.key.namespace == pod.key.namespace && gone.claims.iter().any(|claim| pod.claims.contains(claim))
            }
            ClusterEvent::Storage => true,
            _ => false,
        }
    }
}

/// The claims of a pod, by their keys.
pub fn claims_of(pod: &PodInfo) -> impl Iterator<Item = ObjectKey> {
    pod.claims.iter().map(|name| ObjectKey { namespace: pod.key.namespace.clone(), name: name.clone() })
}

/// Whether a claim's name is that of a generic ephemeral volume of the pod.
pub fn is_ephemeral(spec: &Value, pod: &str, claim: &str) -> bool {
    let volumes = spec.list_at(&["volumes"]).iter().filter(|v| v.get("ephemeral").is_some());
    volumes
        .filter_map(|v| v.str_at(&["name"]))
        .any(|name| claim.strip_prefix(pod).and_then(|c| c.strip_prefix('-')) == Some(name))
}
