//! What the scheduler believes about nodes and placed pods, its own placements included before they are bound. Models
//! `pkg/scheduler/backend/cache`. Upstream takes a snapshot for every cycle because watch events come in meanwhile; here a
//! cycle runs to its end, so the cache is the snapshot.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Value};
use base::{Map, Set, TextMap};

use crate::node_info::{HOSTNAME, NodeChange, NodeInfo};
use crate::pod_info::{PodId, PodInfo};
use crate::selectors::Selectors;

type Text = Rc<str>;

/// A pod with a node.
#[derive(Clone, Debug)]
pub struct Placed {
    pub pod: Rc<PodInfo>,
    pub node: u32,
    /// Placed by this scheduler; the binding has not been seen in a watch event yet.
    pub assumed: bool,
}

/// The labels that the default spreading looks at.
#[derive(Clone, Copy, Default)]
pub struct Topology {
    pub has_hostname: bool,
    pub has_zone: bool,
}

#[derive(Clone, Default)]
pub struct Cache {
    /// Flat, because every cycle looks at hundreds of them.
    nodes: Rc<Vec<Rc<NodeInfo>>>,
    /// Of each node the generation, beside it: most looks at a node need no more.
    generations: Rc<Vec<u64>>,
    /// Of each node which topology labels it has, beside it for the same reason.
    topologies: Rc<Vec<Topology>>,
    by_name: TextMap<Text, u32>,
    pods: Map<PodId, Placed>,
    generation: u64,
    /// Nodes in the order in which they are tried: zones take turns. `None`: to be made again.
    order: Option<Rc<Vec<u32>>>,
    /// Nodes with a pod that has required anti-affinity, and with any pod affinity.
    pub with_anti_affinity: Set<u32>,
    pub with_affinity: Set<u32>,
    /// Image name → (size in bytes, on how many nodes).
    images: Map<Text, (i64, i64)>,
    /// Changes when a score by images may change on nodes that did not.
    pub image_generation: u64,
    /// Labels of namespaces.
    pub namespaces: Map<Text, Value>,
    pub selectors: Selectors,
    /// How many placed pods use a claim.
    claim_users: Map<ObjectKey, i64>,
}

impl Cache {
    pub fn node(&self, index: u32) -> &Rc<NodeInfo> {
        &self.nodes[index as usize]
    }
    /// What a node's [`NodeInfo::generation`] is.
    pub fn generation_of(&self, index: u32) -> u64 {
        self.generations[index as usize]
    }
    /// Which topology labels a node has.
    pub fn topology(&self, index: u32) -> Topology {
        self.topologies[index as usize]
    }
    pub fn node_by_name(&self, name: &str) -> Option<&Rc<NodeInfo>> {
        self.by_name.get(name).map(|&i| self.node(i)).filter(|n| n.exists)
    }
    pub fn pod(&self, id: PodId) -> Option<&Placed> {
        self.pods.get(&id)
    }
    pub fn pods(&self) -> impl Iterator<Item = &Placed> {
        self.pods.values()
    }
    /// How many nodes are known, existing or not.
    pub fn known_nodes(&self) -> i64 {
        self.by_name.len() as i64
    }
    pub fn image(&self, name: &str) -> Option<(i64, i64)> {
        self.images.get(name).copied()
    }

    /// Existing nodes in the order in which they are tried.
    pub fn order(&mut self) -> Rc<Vec<u32>> {
        if self.order.is_none() {
            self.order = Some(Rc::new(self.zones_in_turn()));
        }
        self.order.clone().expect("made above")
    }

    /// The order as it was made last; empty before the first cycle.
    pub fn current_order(&self) -> &[u32] {
        self.order.as_ref().map_or(&[], |o| o)
    }

    /// Models `nodeTree.list`.
    fn zones_in_turn(&self) -> Vec<u32> {
        let mut zones: Vec<(Text, Vec<u32>)> = Vec::new();
        for node in self.nodes.iter().filter(|n| n.exists) {
            let zone = node.zone();
            match zones.iter_mut().find(|(z, _)| *z == zone) {
                Some((_, members)) => members.push(node.index),
                None => zones.push((zone, vec![node.index])),
            }
        }
        let longest = zones.iter().map(|(_, m)| m.len()).max().unwrap_or(0);
        (0..longest).flat_map(|turn| zones.iter().filter_map(move |(_, m)| m.get(turn).copied())).collect()
    }

    fn index_of(&mut self, name: &Text) -> u32 {
        if let Some(&i) = self.by_name.get(name) {
            return i;
        }
        let index = self.nodes.len() as u32;
        Rc::make_mut(&mut self.nodes).push(Rc::new(NodeInfo { index, name: name.clone(), ..NodeInfo::default() }));
        Rc::make_mut(&mut self.generations).push(0);
        Rc::make_mut(&mut self.topologies).push(Topology::default());
        self.by_name.insert(name.clone(), index);
        index
    }

    /// A node to change; whatever was computed for it becomes stale.
    fn touch(&mut self, index: u32) -> &mut NodeInfo {
        self.generation += 1;
        Rc::make_mut(&mut self.generations)[index as usize] = self.generation;
        let node = Rc::make_mut(&mut Rc::make_mut(&mut self.nodes)[index as usize]);
        node.generation = self.generation;
        node
    }

    /// Adds or updates a node. A mere heartbeat changes nothing.
    pub fn set_node(&mut self, node: &Object) -> NodeChange {
        let index = self.index_of(&node.key().name);
        let old = self.node(index).clone();
        let mut next = (*old).clone();
        let change = next.set_node(node);
        if !change.any() {
            return change;
        }
        self.generation += 1;
        next.generation = self.generation;
        if change.images || change.added {
            self.count_images(&old.images, -1);
            self.count_images(&next.images, 1);
        }
        if change.added || next.zone() != old.zone() {
            self.order = None;
        }
        Rc::make_mut(&mut self.generations)[index as usize] = self.generation;
        if change.labels {
            let topology = Topology { has_hostname: next.label(HOSTNAME).is_some(), has_zone: next.zone_label.is_some() };
            Rc::make_mut(&mut self.topologies)[index as usize] = topology;
        }
        Rc::make_mut(&mut self.nodes)[index as usize] = Rc::new(next);
        change
    }

    /// Removes a node's object. Pods bound to the name stay counted until they are deleted.
    pub fn remove_node(&mut self, name: &Text) {
        let Some(&index) = self.by_name.get(name) else { return };
        let images = self.node(index).images.clone();
        self.count_images(&images, -1);
        let node = self.touch(index);
        (node.exists, node.images) = (false, Value::Null);
        self.order = None;
        if self.node(index).pods.is_empty() {
            self.by_name.remove(name);
        }
    }

    fn count_images(&mut self, images: &Value, sign: i64) {
        for image in images.items() {
            let size = image.int_at(&["sizeBytes"]).unwrap_or(0);
            for name in image.list_at(&["names"]).iter().filter_map(Value::as_rc_str) {
                let entry = self.images.entry(name.clone()).or_insert((size, 0));
                *entry = (size, entry.1 + sign);
                if entry.1 <= 0 {
                    self.images.remove(name);
                }
            }
        }
        self.image_generation += 1;
    }

    /// Adds a pod to a node, or moves it. `assumed`: before the binding is written.
    pub fn add_pod(&mut self, pod: Rc<PodInfo>, node_name: &Text, assumed: bool) {
        self.remove_pod(pod.id);
        let index = self.index_of(node_name);
        self.touch(index).add_pod(pod.clone());
        if !pod.anti_affinity.required.is_empty() {
            self.with_anti_affinity.insert(index);
        }
        if pod.has_affinity() {
            self.with_affinity.insert(index);
        }
        self.selectors.count(&pod, index, 1);
        self.count_claims(&pod, 1);
        self.pods.insert(pod.id, Placed { pod, node: index, assumed });
    }

    fn count_claims(&mut self, pod: &PodInfo, sign: i64) {
        for claim in crate::plugins::claims_of(pod) {
            let users = self.claim_users.entry(claim.clone()).or_insert(0);
            *users += sign;
            if *users == 0 {
                self.claim_users.remove(&claim);
            }
        }
    }

    /// How many placed pods use a claim.
    pub fn users_of(&self, claim: &ObjectKey) -> i64 {
        self.claim_users.get(claim).copied().unwrap_or(0)
    }

    /// The binding was seen.
    pub fn confirm(&mut self, id: PodId) {
        if let Some(placed) = self.pods.get_mut(&id) {
            placed.assumed = false;
        }
    }

    /// Takes a pod away, also an assumed one.
    pub fn remove_pod(&mut self, id: PodId) -> Option<Placed> {
        let placed = self.pods.remove(&id)?;
        self.touch(placed.node).remove_pod(&placed.pod);
        self.selectors.count(&placed.pod, placed.node, -1);
        self.count_claims(&placed.pod, -1);
        let node = self.node(placed.node).clone();
        if !placed.pod.anti_affinity.required.is_empty() && node.pods.iter().all(|p| p.anti_affinity.required.is_empty()) {
            self.with_anti_affinity.remove(&placed.node);
        }
        if placed.pod.has_affinity() && !node.pods.iter().any(|p| p.has_affinity()) {
            self.with_affinity.remove(&placed.node);
        }
        if !node.exists && node.pods.is_empty() && self.by_name.get(&node.name) == Some(&placed.node) {
            self.by_name.remove(&node.name);
        }
        Some(placed)
    }

    /// How many pods of the given namespaces match, by node. Kept up to date from now on.
    pub fn matching(&mut self, namespaces: &[Text], selector: &apimachinery::labels::Selector, with_terminating: bool) -> u32 {
        let (id, uncounted) = self.selectors.intern(namespaces, selector, with_terminating);
        if uncounted {
            for placed in self.pods.values() {
                self.selectors.count_into(id, &placed.pod, placed.node, 1);
            }
        }
        id
    }
}
