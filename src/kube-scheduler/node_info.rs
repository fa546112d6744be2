//! A node with what runs on it, summed up. Models `pkg/scheduler/framework.NodeInfo`.

use std::rc::Rc;

use apimachinery::{Object, Value};

use crate::pod_info::PodInfo;
use crate::resource::Resource;

type Text = Rc<str>;

pub const HOSTNAME: &str = "kubernetes.io/hostname";
pub const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Clone, Debug, PartialEq)]
pub struct Taint {
    pub key: Text,
    pub value: Text,
    pub effect: Text,
}

#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// Its place in the cache, for ever (a node that comes back gets a new one).
    pub index: u32,
    /// Grows with every change: what was computed for an older one is stale.
    pub generation: u64,
    /// False: the object is gone, but pods are still bound to the name.
    pub exists: bool,
    pub name: Text,
    pub labels: Value,
    pub zone_label: Option<Text>,
    pub unschedulable: bool,
    pub taints: Vec<Taint>,
    pub allocatable: Resource,
    pub requested: Resource,
    /// With the defaults that scoring assumes.
    pub counted: Resource,
    pub images: Value,
    pub pods: Vec<Rc<PodInfo>>,
}

impl NodeInfo {
    /// Takes over what the object says. Returns what changed.
    pub fn set_node(&mut self, node: &Object) -> NodeChange {
        let part = |path: &[&str]| node.at(path).cloned().unwrap_or_default();
        let taints: Vec<Taint> = node.list_at(&["spec", "taints"]).iter().map(taint).collect();
        let labels = part(&["metadata", "labels"]);
        let allocatable = Resource::from_list(node.at(&["status", "allocatable"]));
        let images = part(&["status", "images"]);
        let unschedulable = node.bool_at(&["spec", "unschedulable"]) == Some(true);
        let change = NodeChange {
            added: !self.exists,
            labels: self.labels != labels,
            taints: self.taints != taints || self.unschedulable != unschedulable,
            allocatable: self.allocatable != allocatable,
            images: self.images != images,
        };
        (self.exists, self.name) = (true, node.key().name);
        (self.labels, self.taints, self.unschedulable) = (labels, taints, unschedulable);
        self.zone_label = self.label(ZONE).cloned();
        (self.allocatable, self.images) = (allocatable, images);
        change
    }

    pub fn add_pod(&mut self, pod: Rc<PodInfo>) {
        self.requested.add(&pod.requests, 1);
        self.counted.add(&pod.counted, 1);
        self.pods.push(pod);
    }

    pub fn remove_pod(&mut self, pod: &PodInfo) {
        let Some(i) = self.pods.iter().position(|p| p.id == pod.id) else { return };
        let pod = self.pods.swap_remove(i);
        self.requested.add(&pod.requests, -1);
        self.counted.add(&pod.counted, -1);
    }

    pub fn label(&self, key: &str) -> Option<&Text> {
        self.labels.get(key)?.as_rc_str()
    }

    /// The zone in which upstream's node tree files it.
    pub fn zone(&self) -> Text {
        let region = self.label("topology.kubernetes.io/region").cloned().unwrap_or_default();
        let zone = self.label("topology.kubernetes.io/zone").cloned().unwrap_or_default();
        match region.is_empty() && zone.is_empty() {
            true => zone,
            false => format!("{region}:\0:{zone}").into(),
        }
    }
}

/// What an update of a node's object changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeChange {
    pub added: bool,
    pub labels: bool,
    pub taints: bool,
    pub allocatable: bool,
    pub images: bool,
}

impl NodeChange {
    pub fn any(self) -> bool {
        self != NodeChange::default()
    }
}

fn taint(value: &Value) -> Taint {
    let text = |field| value.get(field).and_then(Value::as_rc_str).cloned().unwrap_or_default();
    Taint { key: text("key"), value: text("value"), effect: text("effect") }
}
