//! When nothing fits: which less important pods would have to go, and where. Models `plugins/defaultpreemption` and
//! `framework/preemption`. A candidate needs all of its victims; victims come back in order of importance as long as the pod
//! still fits.

use base::Sort as _;
use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::Object;
use apimachinery::labels::Selector;

use crate::diagnosis::{Diagnosis, histogram};
use crate::framework::{Cx, CycleState};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::schedule_one::filter_node;

const NOT_ELIGIBLE_NEVER: &str = "not eligible due to preemptionPolicy=Never.";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
/// At least so many candidates are looked at, or a tenth of the nodes.
const MIN_CANDIDATES: usize = 100;

/// Who has to go from a node.
#[derive(Clone)]
pub struct Victims {
    pub node: u32,
    pub pods: Vec<Rc<PodInfo>>,
    /// How many of them their disruption budget would not let go.
    pub violations: usize,
}

/// The outcome: a node and its victims, or the sentence that says why not.
pub enum Preemption {
    Evict(Victims),
    No(String),
}

/// Finds the cheapest node to make room on.
pub fn preempt(
    cx: &Cx,
    pod: &PodInfo,
    state: &CycleState,
    diagnosis: &Diagnosis,
    budgets: &[Object],
    active: &[bool],
) -> Preemption {
    if !pod.preempts {
        return Preemption::No(format!("preemption: {NOT_ELIGIBLE_NEVER}"));
    }
    let mut reasons: BTreeMap<Rc<str>, usize> = BTreeMap::new();
    let mut best: Option<Victims> = None;
    let wanted = MIN_CANDIDATES.max(diagnosis.nodes as usize / 10);
    let mut candidates = 0;
    for (reject, nodes) in &diagnosis.rejects {
        for &index in nodes {
            if reject.unresolvable {
                *reasons.entry(NOT_HELPFUL.into()).or_default() += 1;
                continue;
            }
            if candidates >= wanted {
                continue;
            }
            match victims_on(cx, pod, state, cx.cache.node(index), budgets, active) {
                Ok(victims) => {
                    candidates += 1;
                    best = Some(best.take().map_or(victims.clone(), |b| cheaper(b, victims)));
                }
                Err(reason) => *reasons.entry(reason).or_default() += 1,
            }
        }
    }
    match best {
        Some(victims) => Preemption::Evict(victims),
        None => {
            let why = histogram(reasons.into_iter());
            Preemption::No(format!("preemption: 0/{} nodes are available:{why}", diagnosis.nodes))
        }
    }
}

/// Models `SelectVictimsOnNode`.
fn victims_on(
    cx: &Cx,
    pod: &PodInfo,
    state: &CycleState,
    node: &NodeInfo,
    budgets: &[Object],
    active: &[bool],
) -> Result<Victims, Rc<str>> {
    let mut lower: Vec<Rc<PodInfo>> = node.pods.iter().filter(|p| p.priority < pod.priority).cloned().collect();
    if lower.is_empty() {
        return Err(NO_VICTIMS.into());
    }
    lower.order_by_key(|p| (-p.priority, p.created, p.id));
    let fits = |gone: &[Rc<PodInfo>]| -> Option<Rc<str>> {
        let (mut without, mut state) = (node.clone(), state.clone());
        for victim in gone {
            without.remove_pod(victim);
            state.spread.remove(victim, node);
            state.affinity.remove(cx, pod, victim, node);
        }
        filter_node(cx, pod, &state, &without, active).map(|r| r.reasons.join(", ").into())
    };
    if let Some(reason) = fits(&lower) {
        return Err(reason);
    }
    let (violating, rest) = split_by_budget(&lower, budgets);
    let mut gone = lower;
    let mut violations = 0;
    for (candidates, violates) in [(violating, true), (rest, false)] {
        for candidate in candidates {
            let without: Vec<Rc<PodInfo>> = gone.iter().filter(|p| p.id != candidate.id).cloned().collect();
            match fits(&without) {
                None => gone = without,
                Some(_) => violations += violates as usize,
            }
        }
    }
    Ok(Victims { node: node.index, pods: gone, violations })
}

/// Pods whose budget allows no more disruption, and the others. Models `filterPodsWithPDBViolation`.
fn split_by_budget(pods: &[Rc<PodInfo>], budgets: &[Object]) -> (Vec<Rc<PodInfo>>, Vec<Rc<PodInfo>>) {
    let mut allowed: Vec<i64> = budgets.iter().map(|b| b.int_at(&["status", "disruptionsAllowed"]).unwrap_or(0)).collect();
    pods.iter().cloned().partition(|pod| {
        let mut violates = false;
        for (budget, allowed) in budgets.iter().zip(&mut allowed) {
            let selector = Selector::from_label_selector(budget.at(&["spec", "selector"]));
            let selected = budget.namespace() == &*pod.key.namespace && selector.is_ok_and(|s| s.matches(pod.label_fields()));
            if selected {
                *allowed -= 1;
                violates |= *allowed < 0;
            }
        }
        violates
    })
}

/// The better of two candidates. Models `pickOneNodeForPreemption`'s order of criteria.
fn cheaper(a: Victims, b: Victims) -> Victims {
    let rank = |v: &Victims| {
        let highest = v.pods.iter().map(|p| p.priority).max().unwrap_or(i64::MIN);
        let sum: i128 = v.pods.iter().map(|p| p.priority as i128 + i32::MAX as i128 + 1).sum();
        let latest = v.pods.iter().filter(|p| p.priority == highest).map(|p| p.created).min();
        (v.violations, highest, sum, v.pods.len(), std::cmp::Reverse(latest))
    };
    if rank(&b) < rank(&a) { b } else { a }
}
