//! The seam between the scheduling algorithm and its plugins. Models `kube-scheduler/framework`: the extension points PreFilter,
//! Filter, PreScore, Score and NormalizeScore are methods of [`Plugin`]; QueueSort is in the queue; Reserve, Permit, PreBind and Bind
//! are steps of the binding cycle. Left out by name: DynamicResources, GangScheduling, pod groups, extenders, profiles beyond the default one.

use std::rc::Rc;

use apimachinery::ObjectKey;
use base::Map;

use crate::cache::Cache;
use crate::node_info::{NodeChange, NodeInfo};
use crate::plugins::inter_pod_affinity::AffinityState;
use crate::plugins::pod_topology_spread::SpreadState;
use crate::pod_info::PodInfo;
use crate::volumes::Volumes;

/// The best score of one plugin for a node.
pub const MAX_NODE_SCORE: i64 = 100;

/// Why a node (or all of them) can't take a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    pub plugin: &'static str,
    /// False: evicting pods could help.
    pub unresolvable: bool,
    pub reasons: Vec<Rc<str>>,
}

impl Reject {
    /// Evicting pods could help.
    pub fn unschedulable(plugin: &'static str, reason: &str) -> Reject {
        Reject { plugin, unresolvable: false, reasons: vec![reason.into()] }
    }
    /// Evicting pods can't help.
    pub fn unresolvable(plugin: &'static str, reason: &str) -> Reject {
        Reject { plugin, unresolvable: true, reasons: vec![reason.into()] }
    }
}

/// What a plugin may read besides the pod and the node.
pub struct Cx<'a> {
    pub cache: &'a Cache,
    pub volumes: &'a Volumes,
}

/// What plugins computed for one pod before they looked at nodes.
#[derive(Clone, Default)]
pub struct CycleState {
    pub affinity: AffinityState,
    pub spread: SpreadState,
    /// Claims' volumes whose node affinity counts, and whether there are claims at all.
    pub volumes: Vec<Rc<str>>,
    /// Claims that are bound when the pod is placed.
    pub unbound: Vec<ObjectKey>,
}

/// The answer of PreFilter.
pub enum PreFilter {
    Run,
    /// Filter and Score of this plugin have nothing to say for this pod.
    Skip,
    Reject(Reject),
}

/// What happened in the cluster, as far as a waiting pod may care.
#[derive(Clone, Debug)]
pub enum ClusterEvent {
    NodeChanged {
        node: u32,
        change: NodeChange,
    },
    /// A pod was placed, or a placed one changed its labels.
    AssignedPodChanged {
        pod: Rc<PodInfo>,
    },
    AssignedPodDeleted {
        pod: Rc<PodInfo>,
    },
    /// Storage objects.
    Storage,
    /// The waiting pod itself changed.
    PodUpdated {
        key: ObjectKey,
    },
}

/// A scheduler plugin. All methods are pure.
pub trait Plugin {
    fn name(&self) -> &'static str;
    /// Whether Filter and Score look at nothing but the pod's template and the node: then answers are kept until the node changes.
    fn is_local(&self) -> bool {
        false
    }
    fn pre_filter(&self, _cx: &Cx, _pod: &PodInfo, _state: &mut CycleState) -> PreFilter {
        PreFilter::Run
    }
    fn filter(&self, _cx: &Cx, _pod: &PodInfo, _state: &CycleState, _node: &NodeInfo) -> Option<Reject> {
        None
    }
    /// The weight of the score in the default profile; 0: the plugin doesn't score.
    fn weight(&self) -> i64 {
        0
    }
    /// Whether to score at all.
    fn pre_score(&self, _cx: &Cx, _pod: &PodInfo, _state: &mut CycleState, _nodes: &[u32]) -> bool {
        true
    }
    /// The raw score of one node; a plugin that scores has this or [`Plugin::scores`].
    fn score(&self, _cx: &Cx, _pod: &PodInfo, _state: &CycleState, _node: &NodeInfo) -> i64 {
        0
    }
    /// The raw scores of many nodes, put at the end of `raw`.
    fn scores(&self, cx: &Cx, pod: &PodInfo, state: &CycleState, nodes: &[u32], raw: &mut Vec<i64>) {
        raw.extend(nodes.iter().map(|&i| self.score(cx, pod, state, cx.cache.node(i))));
    }
    /// Whether raw scores have to be compared with one another; else they are 0..=100 as they are.
    fn normalizes(&self) -> bool {
        !self.is_local()
    }
    /// Brings raw scores to 0..=100.
    fn normalize(&self, _state: &CycleState, _nodes: &[u32], _scores: &mut [i64]) {}
    /// Whether the event may make a pod schedulable that this plugin rejected (the queueing hint).
    fn may_help(&self, _cx: &Cx, _pod: &PodInfo, event: &ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeChanged { change, .. } if change.added)
    }
}

/// Scales so that the largest raw score becomes 100; `reverse`: the largest becomes 0. Models `helper.DefaultNormalizeScore`.
pub fn default_normalize(scores: &mut [i64], reverse: bool) {
    let max = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let scaled = if max == 0 { 0 } else { MAX_NODE_SCORE * *score / max };
        *score = if reverse { MAX_NODE_SCORE - scaled } else { scaled };
    }
}

/// Sums of counts by (topology key, value): what affinity and spreading compare.
pub type TopologyCounts = Map<(Rc<str>, Rc<str>), i64>;
