//! Why a pod fits nowhere: the verdict on every node, kept by groups, and upstream's sentence about it. Models `framework.FitError`.

use base::Sort as _;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::framework::Reject;

/// The outcome of a cycle that found no node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    pub nodes: u32,
    /// PreFilter refused the pod for all nodes at once.
    pub pre_filter: Option<Reject>,
    /// Verdict → the nodes it holds for.
    pub rejects: Vec<(Reject, Vec<u32>)>,
    /// What preemption said.
    pub post_filter: String,
}

impl Diagnosis {
    pub fn new(nodes: usize) -> Diagnosis {
        Diagnosis { nodes: nodes as u32, ..Diagnosis::default() }
    }

    pub fn reject(&mut self, node: u32, reject: Reject) {
        match self.rejects.iter_mut().find(|(r, _)| *r == reject) {
            Some((_, nodes)) => nodes.push(node),
            None => self.rejects.push((reject, vec![node])),
        }
    }

    /// The plugins because of which the pod waits.
    pub fn plugins(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = self.rejects.iter().map(|(r, _)| r.plugin).collect();
        names.extend(self.pre_filter.iter().map(|r| r.plugin));
        names.order();
        names.dedup();
        names
    }

    /// `0/3 nodes are available: 3 Insufficient cpu. preemption: …`
    pub fn message(&self) -> String {
        let mut out = format!("0/{} nodes are available:", self.nodes);
        match &self.pre_filter {
            Some(reject) => out.push_str(&format!(" {}.", reject.reasons.join(", "))),
            None => out.push_str(&histogram(
                self.rejects.iter().flat_map(|(r, n)| r.reasons.iter().map(|text| (text.clone(), n.len()))),
            )),
        }
        if !self.post_filter.is_empty() {
            out.push(' ');
            out.push_str(&self.post_filter);
        }
        out
    }
}

/// ` 1 node(s) had untolerated taint(s), 2 Insufficient cpu.`: counts and texts, sorted as texts.
pub fn histogram(reasons: impl Iterator<Item = (Rc<str>, usize)>) -> String {
    let mut counts: BTreeMap<Rc<str>, usize> = BTreeMap::new();
    for (reason, n) in reasons {
        *counts.entry(reason).or_default() += n;
    }
    let mut lines: Vec<String> = counts.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    lines.order();
    if lines.is_empty() { String::new() } else { format!(" {}.", lines.join(", ")) }
}
