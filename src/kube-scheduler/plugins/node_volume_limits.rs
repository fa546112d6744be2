//! How many volumes of a CSI driver a node takes. Models `plugins/nodevolumelimits` thinly: without CSI drivers, as in the bottle,
//! no node has a limit; CSINode limits are not modelled.

use crate::framework::{Cx, CycleState, Plugin, PreFilter};
use crate::pod_info::PodInfo;

pub struct NodeVolumeLimits;

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }
    fn pre_filter(&self, _: &Cx, _: &PodInfo, _: &mut CycleState) -> PreFilter {
        PreFilter::Skip
    }
}
