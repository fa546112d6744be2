//! Pods that want to be near others, or far from them. Models `plugins/interpodaffinity`.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::Value;

use crate::cache::Cache;
use crate::framework::{ClusterEvent, Cx, CycleState, MAX_NODE_SCORE, Plugin, PreFilter, Reject, TopologyCounts};
use crate::node_info::NodeInfo;
use crate::pod_info::{AffinityTerm, PodInfo};

pub struct InterPodAffinity;

const AFFINITY: &str = "node(s) didn't match pod affinity rules";
const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
const EXISTING: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// A required or preferred term of an existing pod weighs as a preferred one of this weight (`hardPodAffinityWeight`).
const HARD_WEIGHT: i64 = 1;

/// What was counted for one pod, by topology key and value.
#[derive(Clone, Default)]
pub struct AffinityState {
    affinity: TopologyCounts,
    anti_affinity: TopologyCounts,
    existing_anti_affinity: TopologyCounts,
    scores: TopologyCounts,
}

/// Whether a term means a pod.
fn selects(term: &AffinityTerm, namespaces: &base::Map<Rc<str>, Value>, pod: &PodInfo) -> bool {
    let by_selector = || {
        let selector = term.namespace_selector.as_ref();
        selector.is_some_and(|s| s.matches(namespaces.get(&pod.key.namespace).and_then(Value::as_map)))
    };
    (term.namespaces.contains(&pod.key.namespace) || by_selector()) && term.selector.matches(pod.label_fields())
}

/// The names of the namespaces that a term means.
fn namespaces_of(cache: &Cache, term: &AffinityTerm) -> Vec<Rc<str>> {
    let mut names = term.namespaces.clone();
    if let Some(selector) = &term.namespace_selector {
        let matching = cache.namespaces.iter().filter(|(_, labels)| selector.matches(labels.as_map()));
        names.extend(matching.map(|(name, _)| name.clone()));
        names.order();
        names.dedup();
    }
    names
}

fn add(counts: &mut TopologyCounts, node: &NodeInfo, key: &Rc<str>, n: i64) {
    if let Some(value) = node.label(key) {
        *counts.entry((key.clone(), value.clone())).or_insert(0) += n;
    }
}

/// Adds `sign` for every pod that a term means, at the place of its node.
fn count_term(cache: &mut Cache, term: &AffinityTerm, weight: i64, counts: &mut TopologyCounts) {
    let namespaces = namespaces_of(cache, term);
    let id = cache.matching(&namespaces, &term.selector, true);
    for (i, n) in cache.selectors.by_node(id).iter() {
        let node = cache.node(i).clone();
        add(counts, &node, &term.topology_key, weight * n);
    }
}

/// Counts what the pod's own terms select and what existing pods' terms say about it.
pub fn prepare(cache: &mut Cache, pod: &PodInfo, state: &mut AffinityState) {
    match &pod.affinity.required[..] {
        [] => {}
        [term] => count_term(cache, term, 1, &mut state.affinity),
        terms => count_all_terms(cache, terms, &mut state.affinity),
    }
    for term in &pod.anti_affinity.required {
        count_term(cache, term, 1, &mut state.anti_affinity);
    }
    for i in cache.with_anti_affinity.clone() {
        let node = cache.node(i).clone();
        for other in &node.pods {
            for term in other.anti_affinity.required.iter().filter(|t| selects(t, &cache.namespaces, pod)) {
                add(&mut state.existing_anti_affinity, &node, &term.topology_key, 1);
            }
        }
    }
    for term in &pod.affinity.preferred {
        count_term(cache, term, term.weight, &mut state.scores);
    }
    for term in &pod.anti_affinity.preferred {
        count_term(cache, term, -term.weight, &mut state.scores);
    }
    for i in cache.with_affinity.clone() {
        let node = cache.node(i).clone();
        for other in &node.pods {
            score_of_existing(cache, other, pod, &node, &mut state.scores);
        }
    }
}

/// With several required terms only pods count that all of them select: no kept count serves that, all placed pods are looked at.
fn count_all_terms(cache: &Cache, terms: &[AffinityTerm], counts: &mut TopologyCounts) {
    for placed in cache.pods().filter(|p| terms.iter().all(|t| selects(t, &cache.namespaces, &p.pod))) {
        for term in terms {
            add(counts, cache.node(placed.node), &term.topology_key, 1);
        }
    }
}

fn score_of_existing(cache: &Cache, other: &PodInfo, pod: &PodInfo, node: &NodeInfo, scores: &mut TopologyCounts) {
    let required = other.affinity.required.iter().map(|t| (t, HARD_WEIGHT));
    let preferred = other.affinity.preferred.iter().map(|t| (t, t.weight));
    let avoided = other.anti_affinity.preferred.iter().map(|t| (t, -t.weight));
    for (term, weight) in required.chain(preferred).chain(avoided) {
        if selects(term, &cache.namespaces, pod) {
            add(scores, node, &term.topology_key, weight);
        }
    }
}

impl AffinityState {
    /// A pod is thought away from a node (preemption).
    pub fn remove(&mut self, cx: &Cx, pod: &PodInfo, victim: &PodInfo, node: &NodeInfo) {
        let namespaces = &cx.cache.namespaces;
        for term in pod.anti_affinity.required.iter().filter(|t| selects(t, namespaces, victim)) {
            add(&mut self.anti_affinity, node, &term.topology_key, -1);
        }
        for term in victim.anti_affinity.required.iter().filter(|t| selects(t, namespaces, pod)) {
            add(&mut self.existing_anti_affinity, node, &term.topology_key, -1);
        }
        if !pod.affinity.required.is_empty() && pod.affinity.required.iter().all(|t| selects(t, namespaces, victim)) {
            for term in &pod.affinity.required {
                add(&mut self.affinity, node, &term.topology_key, -1);
            }
        }
    }
}

fn count_at(counts: &TopologyCounts, node: &NodeInfo, key: &Rc<str>) -> i64 {
    let value = node.label(key);
    value.and_then(|v| counts.get(&(key.clone(), v.clone()))).copied().unwrap_or(0)
}

/// Whether all required terms hold on the node. The first pod of a group that wants to be with its like may go anywhere.
fn satisfies_affinity(cx: &Cx, pod: &PodInfo, state: &AffinityState, node: &NodeInfo) -> bool {
    let terms = &pod.affinity.required;
    if terms.iter().any(|t| node.label(&t.topology_key).is_none()) {
        return false;
    }
    terms.iter().all(|t| count_at(&state.affinity, node, &t.topology_key) > 0)
        || (state.affinity.values().all(|n| *n <= 0) && terms.iter().all(|t| selects(t, &cx.cache.namespaces, pod)))
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }
    fn pre_filter(&self, _: &Cx, pod: &PodInfo, state: &mut CycleState) -> PreFilter {
        let nothing = pod.affinity.required.is_empty()
            && pod.anti_affinity.required.is_empty()
            && state.affinity.existing_anti_affinity.is_empty();
        if nothing { PreFilter::Skip } else { PreFilter::Run }
    }
    fn filter(&self, cx: &Cx, pod: &PodInfo, state: &CycleState, node: &NodeInfo) -> Option<Reject> {
        let state = &state.affinity;
        if !satisfies_affinity(cx, pod, state, node) {
            return Some(Reject::unresolvable(self.name(), AFFINITY));
        }
        if pod.anti_affinity.required.iter().any(|t| count_at(&state.anti_affinity, node, &t.topology_key) > 0) {
            return Some(Reject::unschedulable(self.name(), ANTI_AFFINITY));
        }
        let here = |key: &Rc<str>, value: &Rc<str>| node.label(key) == Some(value);
        let forbidden = state.existing_anti_affinity.iter().any(|((key, value), n)| *n > 0 && here(key, value));
        forbidden.then(|| Reject::unschedulable(self.name(), EXISTING))
    }
    fn weight(&self) -> i64 {
        2
    }
    fn pre_score(&self, _: &Cx, _: &PodInfo, state: &mut CycleState, _: &[u32]) -> bool {
        !state.affinity.scores.is_empty()
    }
    fn score(&self, _: &Cx, _: &PodInfo, state: &CycleState, node: &NodeInfo) -> i64 {
        let here = |key: &Rc<str>, value: &Rc<str>| node.label(key) == Some(value);
        state.affinity.scores.iter().filter(|((key, value), _)| here(key, value)).map(|(_, n)| n).sum()
    }
    fn normalize(&self, _: &CycleState, _: &[u32], scores: &mut [i64]) {
        let (min, max) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
        for score in scores {
            *score = if max > min { MAX_NODE_SCORE * (*score - min) / (max - min) } else { 0 };
        }
    }
    fn may_help(&self, cx: &Cx, pod: &PodInfo, event: &ClusterEvent) -> bool {
        let namespaces = &cx.cache.namespaces;
        match event {
            ClusterEvent::NodeChanged { change, .. } => change.added || change.labels,
            ClusterEvent::AssignedPodChanged { pod: other } => {
                pod.affinity.required.iter().any(|t| selects(t, namespaces, other))
            }
            ClusterEvent::AssignedPodDeleted { pod: gone } => {
                pod.anti_affinity.required.iter().any(|t| selects(t, namespaces, gone))
                    || gone.anti_affinity.required.iter().any(|t| selects(t, namespaces, pod))
            }
            ClusterEvent::PodUpdated { key } => *key == pod.key,
            _ => false,
        }
    }
}
