//! A pod that names its node fits only there. Models `plugins/nodename`.

use crate::framework::{Cx, CycleState, Plugin, Reject};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn filter(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> Option<Reject> {
        let wanted = pod.spec.str_at(&["nodeName"]).unwrap_or("");
        let fits = wanted.is_empty() || *wanted == *node.name;
        (!fits).then(|| Reject::unresolvable(self.name(), "node(s) didn't match the requested node name"))
    }
}
