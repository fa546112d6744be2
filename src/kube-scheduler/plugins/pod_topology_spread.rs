//! Spreads the pods of one selector over zones and nodes. Models `plugins/podtopologyspread` with the system's default
//! constraints (zone 5, hostname 3, both soft) for pods of a Service or a controller.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use apimachinery::labels::Selector;

use crate::cache::Cache;
use crate::framework::{ClusterEvent, Cx, CycleState, MAX_NODE_SCORE, Plugin, PreFilter, Reject};
use crate::node_info::{HOSTNAME, NodeInfo, ZONE};
use crate::plugins::{matches_node_affinity, untolerated};
use crate::pod_info::{PodInfo, SpreadConstraint};
use crate::selectors::NodeCounts;

pub struct PodTopologySpread;

const MISMATCH: &str = "node(s) didn't match pod topology spread constraints";
const MISSING_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// The topology keys that every pod of a Service or a controller is spread by, and all others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Hostname,
    Zone,
    Other,
}

/// A constraint with what is counted for it.
#[derive(Clone)]
pub struct Constraint {
    spec: SpreadConstraint,
    key: Key,
    /// Matching pods by node.
    by_node: NodeCounts,
    /// Matching pods by value of the topology key, over the nodes that count.
    domains: BTreeMap<Rc<str>, i64>,
    /// The pod itself matches.
    own: i64,
    /// Of the score: how much one pod weighs.
    weight: f64,
}

impl Constraint {
    fn new(spec: SpreadConstraint, by_node: NodeCounts, own: i64) -> Constraint {
        let key = match &*spec.topology_key {
            HOSTNAME => Key::Hostname,
            ZONE => Key::Zone,
            _ => Key::Other,
        };
        Constraint { spec, key, by_node, domains: BTreeMap::new(), own, weight: 0.0 }
    }
    /// The node's domain.
    fn value<'a>(&self, node: &'a NodeInfo) -> Option<&'a Rc<str>> {
        match self.key {
            Key::Zone => node.zone_label.as_ref(),
            _ => node.label(&self.spec.topology_key),
        }
    }
    /// Matching pods in the node's domain; `None`: the node is in none.
    fn count(&self, cx: &Cx, node: u32) -> Option<i64> {
        let topology = cx.cache.topology(node);
        match self.key {
            Key::Hostname => topology.has_hostname.then(|| self.by_node.get(node)),
            Key::Zone if !topology.has_zone => None,
            _ => self.value(cx.cache.node(node)).map(|value| self.domains.get(value).copied().unwrap_or(0)),
        }
    }
}

/// What was counted for one pod.
#[derive(Clone, Default)]
pub struct SpreadState {
    hard: Vec<Constraint>,
    soft: Vec<Constraint>,
    /// Nodes without all keys are ignored when scoring: only for constraints that the pod states itself.
    all_keys: bool,
}

/// Fetches the counts of the pod's constraints, or of the default ones for `default_selector`.
pub fn prepare(cache: &mut Cache, pod: &PodInfo, default_selector: Option<&Selector>, state: &mut SpreadState) {
    let namespaces = std::slice::from_ref(&pod.key.namespace);
    let mut count = |selector: &Selector| {
        let id = cache.matching(namespaces, selector, false);
        (cache.selectors.by_node(id), selector.matches(pod.label_fields()) as i64)
    };
    for spec in &pod.spread {
        let (by_node, own) = count(&spec.selector);
        let list = if spec.hard { &mut state.hard } else { &mut state.soft };
        list.push(Constraint::new(spec.clone(), by_node, own));
    }
    state.all_keys = !pod.spread.is_empty();
    let Some(selector) = default_selector.filter(|_| pod.spread.is_empty()) else { return };
    let (by_node, own) = count(selector);
    for (key, max_skew) in [(HOSTNAME, 3), (ZONE, 5)] {
        let spec = SpreadConstraint {
            max_skew,
            topology_key: key.into(),
            selector: selector.clone(),
            min_domains: 1,
            hard: false,
            honor_affinity: true,
            honor_taints: false,
        };
        state.soft.push(Constraint::new(spec, by_node.clone(), own));
    }
}

impl SpreadState {
    /// A pod is thought away from a node (preemption).
    pub fn remove(&mut self, victim: &PodInfo, node: &NodeInfo) {
        for c in &mut self.hard {
            if c.spec.selector.matches(victim.label_fields())
                && !victim.terminating
                && let Some(n) = node.label(&c.spec.topology_key).and_then(|value| c.domains.get_mut(value))
            {
                *n -= 1;
            }
        }
    }
}

/// Whether a node counts for a constraint. Models `matchNodeInclusionPolicies`.
fn included(spec: &SpreadConstraint, pod: &PodInfo, node: &NodeInfo) -> bool {
    (!spec.honor_affinity || matches_node_affinity(pod, node))
        && (!spec.honor_taints || untolerated(pod, node, &["NoSchedule", "NoExecute"]).is_none())
}

/// Counts a hard constraint's domains over all nodes, as upstream's calPreFilterState.
fn count_domains(cx: &Cx, pod: &PodInfo, hard: &mut [Constraint], order: &[u32]) {
    let keys: Vec<Rc<str>> = hard.iter().map(|c| c.spec.topology_key.clone()).collect();
    for &i in order {
        let node = cx.cache.node(i);
        if !keys.iter().all(|key| node.label(key).is_some()) {
            continue;
        }
        for c in hard.iter_mut().filter(|c| included(&c.spec, pod, node)) {
            let value = node.label(&c.spec.topology_key).expect("all keys are there").clone();
            *c.domains.entry(value).or_default() += c.by_node.get(i);
        }
    }
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }
    fn pre_filter(&self, cx: &Cx, pod: &PodInfo, state: &mut CycleState) -> PreFilter {
        if state.spread.hard.is_empty() {
            return PreFilter::Skip;
        }
        count_domains(cx, pod, &mut state.spread.hard, cx.cache.current_order());
        PreFilter::Run
    }
    fn filter(&self, _: &Cx, _: &PodInfo, state: &CycleState, node: &NodeInfo) -> Option<Reject> {
        for c in &state.spread.hard {
            let Some(value) = node.label(&c.spec.topology_key) else {
                return Some(Reject::unresolvable(self.name(), MISSING_LABEL));
            };
            let too_few = (c.domains.len() as i64) < c.spec.min_domains;
            let min = if too_few { 0 } else { c.domains.values().copied().min().unwrap_or(0) };
            let count = c.domains.get(value).copied().unwrap_or(0);
            if count + c.own - min > c.spec.max_skew {
                return Some(Reject::unschedulable(self.name(), MISMATCH));
            }
        }
        None
    }
    fn weight(&self) -> i64 {
        2
    }
    fn pre_score(&self, cx: &Cx, pod: &PodInfo, state: &mut CycleState, nodes: &[u32]) -> bool {
        let all_keys = state.spread.all_keys;
        for c in &mut state.spread.soft {
            c.domains.clear();
            if c.key == Key::Hostname {
                c.weight = ln(nodes.len() as f64 + 2.0);
                continue;
            }
            let is_in_some = |i: &&u32| c.key != Key::Zone || cx.cache.topology(**i).has_zone;
            let values: BTreeSet<&Rc<str>> = nodes.iter().filter(is_in_some).filter_map(|&i| c.value(cx.cache.node(i))).collect();
            c.weight = ln(values.len() as f64 + 2.0);
            if values.is_empty() && !all_keys {
                continue;
            }
            let mut domains = BTreeMap::new();
            for (i, n) in c.by_node.iter() {
                let node = cx.cache.node(i);
                let value = c.value(node).filter(|v| values.contains(v) && included(&c.spec, pod, node));
                if let Some(value) = value {
                    *domains.entry(value.clone()).or_default() += n;
                }
            }
            c.domains = domains;
        }
        !state.spread.soft.is_empty()
    }
    /// Matching pods in the node's domains, weighted; -1: the node is ignored.
    fn scores(&self, cx: &Cx, _: &PodInfo, state: &CycleState, nodes: &[u32], raw: &mut Vec<i64>) {
        let SpreadState { soft, all_keys, .. } = &state.spread;
        raw.extend(nodes.iter().map(|&node| {
            let mut score = 0.0;
            for c in soft {
                match c.count(cx, node) {
                    Some(count) => score += count as f64 * c.weight + (c.spec.max_skew - 1) as f64,
                    None if *all_keys => return -1,
                    None => {}
                }
            }
            (score + 0.5) as i64
        }));
    }
    /// Fewer is better.
    fn normalize(&self, _: &CycleState, _: &[u32], scores: &mut [i64]) {
        let counted = || scores.iter().copied().filter(|s| *s >= 0);
        let (min, max) = (counted().min().unwrap_or(0), counted().max().unwrap_or(0));
        for score in scores {
            *score = match *score {
                s if s < 0 => 0,
                _ if max == 0 => MAX_NODE_SCORE,
                s => MAX_NODE_SCORE * (max + min - s) / max,
            };
        }
    }
    fn may_help(&self, _: &Cx, pod: &PodInfo, event: &ClusterEvent) -> bool {
        let selected = |other: &PodInfo| {
            other.key.namespace == pod.key.namespace && pod.spread.iter().any(|c| c.selector.matches(other.label_fields()))
        };
        match event {
            ClusterEvent::NodeChanged { change, .. } => change.added || change.labels || change.taints,
            ClusterEvent::AssignedPodChanged { pod } | ClusterEvent::AssignedPodDeleted { pod } => selected(pod),
            ClusterEvent::PodUpdated { key } => *key == pod.key,
            _ => false,
        }
    }
}

/// The natural logarithm by basic operations only, so that it is the same number everywhere. For x >= 1.
fn ln(mut x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let mut twos = 0.0;
    while x > 1.5 {
        x /= 2.0;
        twos += 1.0;
    }
    let y = (x - 1.0) / (x + 1.0);
    let (mut term, mut sum) = (y, 0.0);
    for n in 0..20 {
        sum += term / (2 * n + 1) as f64;
        term *= y * y;
    }
    2.0 * sum + twos * LN_2
}

#[cfg(test)]
mod tests {
    #[test]
    fn logarithms_are_right() {
        for x in [1.0, 2.0, 5.0, 102.0, 5002.0f64] {
            assert!((super::ln(x) - x.ln()).abs() < 1e-9, "{x}");
        }
    }
}
