//! Claims must exist, be bound or be served on the node, and their volumes reachable from it. Models `plugins/volumebinding` and
//! `volumezone`. What a claim that waits for its first consumer gets is decided here for each node
//! ([`crate::volumes::Volumes::decide`]) and carried out after the node is chosen (`pre_bind.rs`).
//! Left out by name: storage capacity tracking and scoring (CSI).

use apimachinery::ObjectKey;

use crate::framework::{ClusterEvent, Cx, CycleState, Plugin, PreFilter, Reject};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::volumes::is_reachable;

pub struct VolumeBinding;

/// Why a claim keeps its pod from all nodes, or what is to be looked at on each.
fn look_at(cx: &Cx, pod: &PodInfo, name: &str, state: &mut CycleState) -> Result<(), String> {
    let Some(claim) = cx.volumes.claim(&pod.key.namespace, name) else {
        // The claim of a generic ephemeral volume comes a moment after its pod.
        return Err(match pod.is_ephemeral_claim(name) {
            true => format!("waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\""),
            false => format!("persistentvolumeclaim \"{name}\" not found"),
        });
    };
    if claim.str_at(&["status", "phase"]) == Some("Lost") {
        let volume = claim.str_at(&["spec", "volumeName"]).unwrap_or("");
        return Err(format!("persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""));
    }
    if claim.is_being_deleted() {
        return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
    }
    match cx.volumes.bound_volume(claim) {
        Some(volume) => state.volumes.push(volume.into()),
        None if cx.volumes.waits_for_consumer(claim) => state.unbound.push(ObjectKey::new(&pod.key.namespace, name)),
        None => return Err("pod has unbound immediate PersistentVolumeClaims".into()),
    }
    Ok(())
}

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }
    fn pre_filter(&self, cx: &Cx, pod: &PodInfo, state: &mut CycleState) -> PreFilter {
        if pod.claims.is_empty() {
            return PreFilter::Skip;
        }
        for name in &pod.claims {
            if let Err(reason) = look_at(cx, pod, name, state) {
                return PreFilter::Reject(Reject::unresolvable(self.name(), &reason));
            }
        }
        PreFilter::Run
    }
    fn filter(&self, cx: &Cx, _: &PodInfo, state: &CycleState, node: &NodeInfo) -> Option<Reject> {
        let mut reasons: Vec<&str> = Vec::new();
        for name in &state.volumes {
            match cx.volumes.volume(name) {
                None => reasons.push("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"),
                Some(volume) if is_reachable(volume, node) => continue,
                Some(_) => reasons.push("node(s) didn't match PersistentVolume's node affinity"),
            }
            break;
        }
        if !state.unbound.is_empty() && cx.volumes.decide(&state.unbound, node).is_none() {
            reasons.push("node(s) didn't find available persistent volumes to bind");
        }
        let reasons = reasons.into_iter().map(Into::into).collect::<Vec<_>>();
        (!reasons.is_empty()).then(|| Reject { plugin: self.name(), unresolvable: true, reasons })
    }
    fn may_help(&self, _: &Cx, _: &PodInfo, event: &ClusterEvent) -> bool {
        match event {
            ClusterEvent::Storage => true,
            ClusterEvent::NodeChanged { change, .. } => change.added || change.labels,
            _ => false,
        }
    }
}
