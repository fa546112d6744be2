//! Prefers nodes that have the images already, unless everybody would go there. Models `plugins/imagelocality`.

use apimachinery::Value;

use crate::framework::{Cx, CycleState, MAX_NODE_SCORE, Plugin};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct ImageLocality;

const MB: i64 = 1024 * 1024;
/// Images below this size count as nothing.
const MIN_THRESHOLD: i64 = 23 * MB;
/// … and above this, per container, as full.
const MAX_CONTAINER_THRESHOLD: i64 = 1000 * MB;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn weight(&self) -> i64 {
        1
    }
    fn score(&self, cx: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> i64 {
        if node.images.items().is_empty() {
            return 0;
        }
        let total_nodes = cx.cache.known_nodes().max(1);
        let mut sum = 0;
        for image in &pod.images {
            let names = |i: &&Value| i.list_at(&["names"]).iter().any(|n| n.as_str() == Some(&**image));
            if node.images.items().iter().find(names).is_some() {
                let (size, nodes) = cx.cache.image(image).unwrap_or((0, 0));
                sum += (size as i128 * nodes as i128 / total_nodes as i128) as i64;
            }
        }
        let max = (MAX_CONTAINER_THRESHOLD * pod.containers).max(MIN_THRESHOLD + 1);
        MAX_NODE_SCORE * (sum.clamp(MIN_THRESHOLD, max) - MIN_THRESHOLD) / (max - MIN_THRESHOLD)
    }
}
