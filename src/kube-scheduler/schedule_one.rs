//! The algorithm: filter nodes until enough fit, score those, take the best. Models `pkg/scheduler/schedule_one.go`.

use std::rc::Rc;

use apimachinery::labels::Selector;
use base::{Map, Seed, mix64};

use crate::cache::Cache;
use crate::diagnosis::Diagnosis;
use crate::framework::{Cx, CycleState, PreFilter, Reject};
use crate::memo::{Memo, Table};
use crate::node_info::NodeInfo;
use crate::plugins::{PLUGINS, inter_pod_affinity, pod_topology_spread};
use crate::pod_info::{PodId, PodInfo};
use crate::volumes::Volumes;

/// With fewer nodes all are looked at.
const MIN_FEASIBLE_NODES: usize = 100;
/// At least so many per cent of the nodes are looked at.
const MIN_PERCENTAGE: usize = 5;

/// Pods that preempted others and wait for their node, by node.
pub type Nominated = Map<u32, Vec<Rc<PodInfo>>>;

/// What a cycle found out.
pub enum Outcome {
    /// The node, of how many that fit, and how many were looked at; the score if it had to be better than others.
    Node {
        node: u32,
        fit: usize,
        looked_at: usize,
        score: Option<i64>,
    },
    Nowhere(Diagnosis, Box<CycleState>, Vec<bool>),
}

/// How many feasible nodes are enough. Models `numFeasibleNodesToFind` with an adaptive percentage.
pub fn enough_nodes(all: usize) -> usize {
    if all < MIN_FEASIBLE_NODES {
        return all;
    }
    let percentage = 50usize.saturating_sub(all / 125).max(MIN_PERCENTAGE);
    (all * percentage / 100).max(MIN_FEASIBLE_NODES)
}

/// What one cycle works with.
pub struct Cycle<'a> {
    pub cache: &'a mut Cache,
    pub volumes: &'a Volumes,
    pub memo: &'a mut Memo,
    pub nominated: &'a Nominated,
    /// Where the search begins; moves on with every cycle.
    pub start: &'a mut u32,
    pub seed: Seed,
}

impl Cycle<'_> {
    /// Finds a node for a pod. `default_selector`: of the Services and controllers that select it.
    pub fn schedule(&mut self, pod: &PodInfo, default_selector: Option<&Selector>) -> Outcome {
        let order = self.cache.order();
        let mut state = CycleState::default();
        inter_pod_affinity::prepare(self.cache, pod, &mut state.affinity);
        pod_topology_spread::prepare(self.cache, pod, default_selector, &mut state.spread);
        let cx = Cx { cache: self.cache, volumes: self.volumes };
        let mut diagnosis = Diagnosis::new(order.len());
        let active = match pre_filter(&cx, pod, &mut state) {
            Ok(active) => active,
            Err(reject) => {
                diagnosis.pre_filter = Some(reject);
                // Upstream: the next plugin's PostFilter finds no state of its own.
                diagnosis.post_filter = "not found".into();
                return Outcome::Nowhere(diagnosis, Box::new(state), Vec::new());
            }
        };
        let table = self.memo.table(pod.signature, cx.cache.image_generation);
        let (feasible, rejected) = find_feasible(&cx, pod, &state, &active, &order, self.start, self.nominated, table);
        let looked_at = feasible.len() + rejected.len();
        match feasible[..] {
            [] => {
                for (node, reject) in rejected {
                    // What the table said it says again.
                    if let Some(reject) = reject.or_else(|| table.reject(&cx, pod, &state, node).cloned()) {
                        diagnosis.reject(node, reject);
                    }
                }
                Outcome::Nowhere(diagnosis, Box::new(state), active)
            }
            [only] => Outcome::Node { node: only, fit: 1, looked_at, score: None },
            _ => {
                let (node, score) = best(&cx, pod, &mut state, &feasible, table, self.seed);
                Outcome::Node { node, fit: feasible.len(), looked_at, score: Some(score) }
            }
        }
    }
}

/// Runs PreFilter of all; tells which plugins are to filter.
fn pre_filter(cx: &Cx, pod: &PodInfo, state: &mut CycleState) -> Result<Vec<bool>, Reject> {
    PLUGINS
        .iter()
        .map(|plugin| match plugin.pre_filter(cx, pod, state) {
            PreFilter::Run => Ok(true),
            PreFilter::Skip => Ok(false),
            PreFilter::Reject(reject) => Err(reject),
        })
        .collect()
}

/// All filters on one node, without memory.
pub fn filter_node(cx: &Cx, pod: &PodInfo, state: &CycleState, node: &NodeInfo, active: &[bool]) -> Option<Reject> {
    PLUGINS.iter().zip(active).filter(|(_, on)| **on).find_map(|(plugin, _)| plugin.filter(cx, pod, state, node))
}

/// A node that the pod does not fit on, with the verdict; `None`: the table has it. Nobody wants to know if another node fits.
type Rejected = (u32, Option<Reject>);

/// Goes round from where the last cycle stopped until enough nodes fit. Models `findNodesThatPassFilters`.
fn find_feasible(
    cx: &Cx,
    pod: &PodInfo,
    state: &CycleState,
    active: &[bool],
    order: &[u32],
    start: &mut u32,
    nominated: &Nominated,
    table: &mut Table,
) -> (Vec<u32>, Vec<Rejected>) {
    let n = order.len();
    let enough = enough_nodes(n);
    let global: Vec<usize> = (0..PLUGINS.len()).filter(|&i| active[i] && !PLUGINS[i].is_local()).collect();
    *start = if n > 0 { *start % n as u32 } else { 0 };
    let (mut feasible, mut rejected, mut seen) = (Vec::with_capacity(enough), Vec::new(), 0);
    while seen < n && feasible.len() < enough {
        let mut at = *start as usize + seen;
        at -= if at >= n { n } else { 0 };
        let index = order[at];
        seen += 1;
        if !nominated.is_empty()
            && let Some(reject) = beside_nominated(cx, pod, state, cx.cache.node(index), nominated, active)
        {
            rejected.push((index, Some(reject)));
            continue;
        }
        if table.reject(cx, pod, state, index).is_some() {
            rejected.push((index, None));
            continue;
        }
        match global.iter().find_map(|&i| PLUGINS[i].filter(cx, pod, state, cx.cache.node(index))) {
            Some(reject) => rejected.push((index, Some(reject))),
            None => feasible.push(index),
        }
    }
    if n > 0 {
        *start = ((*start as usize + seen) % n) as u32;
    }
    (feasible, rejected)
}

/// Whether the node would still do if the pods nominated for it were there. Models `RunFilterPluginsWithNominatedPods`.
fn beside_nominated(
    cx: &Cx,
    pod: &PodInfo,
    state: &CycleState,
    node: &NodeInfo,
    nominated: &Nominated,
    active: &[bool],
) -> Option<Reject> {
    let others = nominated.get(&node.index)?.iter().filter(|p| p.priority >= pod.priority && p.id != pod.id);
    let mut with = node.clone();
    let before = with.pods.len();
    others.for_each(|p| with.add_pod(p.clone()));
    if with.pods.len() == before { None } else { filter_node(cx, pod, state, &with, active) }
}

/// The node with the highest weighted sum of scores, and this; among equals a draw.
fn best(cx: &Cx, pod: &PodInfo, state: &mut CycleState, nodes: &[u32], table: &Table, seed: Seed) -> (u32, i64) {
    let mut totals: Vec<i64> = nodes.iter().map(|&i| table.sum(i)).collect();
    let mut raw: Vec<i64> = Vec::with_capacity(nodes.len());
    let mut local_scorer = 0;
    for plugin in PLUGINS.iter().filter(|p| p.weight() > 0 && p.normalizes()) {
        let scorer = local_scorer;
        local_scorer += plugin.is_local() as usize;
        if !plugin.pre_score(cx, pod, state, nodes) {
            continue;
        }
        raw.clear();
        match plugin.is_local() {
            true => raw.extend(nodes.iter().map(|&i| table.score(i, scorer))),
            false => plugin.scores(cx, pod, state, nodes, &mut raw),
        }
        // Where all are equal nothing is preferred.
        if raw.iter().all(|score| *score == raw[0]) {
            continue;
        }
        plugin.normalize(state, nodes, &mut raw);
        for (total, score) in totals.iter_mut().zip(&raw) {
            *total += plugin.weight() * score;
        }
    }
    let draw = |node: u32| mix64(seed.0 ^ pod.id.0 ^ mix64(node as u64));
    let top = (0..nodes.len()).max_by_key(|&i| (totals[i], draw(nodes[i]))).expect("there are nodes");
    (nodes[top], totals[top])
}

/// Forgets that a pod was nominated.
pub fn withdraw(nominated: &mut Nominated, id: PodId) {
    let node = nominated.iter().find(|(_, pods)| pods.iter().any(|p| p.id == id)).map(|(n, _)| *n);
    let Some(node) = node else { return };
    let pods = nominated.get_mut(&node).expect("found above");
    pods.retain(|p| p.id != id);
    if pods.is_empty() {
        nominated.remove(&node);
    }
}
