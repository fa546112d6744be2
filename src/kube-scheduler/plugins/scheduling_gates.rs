//! A pod with scheduling gates does not enter the queue. Models `plugins/schedulinggates`. (The
//! condition that says so is written by kube-apiserver when the pod is created.)

use crate::pod_info::PodInfo;

pub fn is_gated(pod: &PodInfo) -> bool {
    !pod.spec.list_at(&["schedulingGates"]).is_empty()
}
