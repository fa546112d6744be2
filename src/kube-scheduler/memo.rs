//! Answers of local plugins, kept until their node changes: pods of one template are tried on the same nodes again and again.
//!
//! Derived, hence outside of the value: a clone starts empty, and no answer depends on whether it was remembered.

use crate::framework::{Cx, CycleState, Reject};
use crate::node_info::NodeInfo;
use crate::plugins::PLUGINS;
use crate::pod_info::PodInfo;
use base::Lookup;

/// Templates that are remembered; the one unused for longest makes room.
const TEMPLATES: usize = 32;
/// The local plugins whose scores are compared with one another.
const SCORERS: usize = 2;

#[derive(Clone, Copy, Default)]
struct Row {
    /// The node's when the row was made; 0: never.
    generation: u64,
    /// 0: fits; else one more than the index in `rejects`.
    reject: u16,
    /// The weighted sum of the scores that need no comparison.
    sum: i32,
    scores: [i32; SCORERS],
}

#[derive(Default)]
pub struct Table {
    image_generation: u64,
    rows: Vec<Row>,
    rejects: Vec<Reject>,
    used: u64,
}

#[derive(Default)]
pub struct Memo {
    tables: Lookup<u64, Table>,
    clock: u64,
}

impl Clone for Memo {
    fn clone(&self) -> Memo {
        Memo::default()
    }
}

impl Memo {
    /// The table of a template, emptied if image scores may have changed.
    pub fn table(&mut self, signature: u64, image_generation: u64) -> &mut Table {
        self.clock += 1;
        if self.tables.len() >= TEMPLATES && !self.tables.contains_key(&signature) {
            let oldest = self.tables.iter().min_by_key(|(_, t)| t.used).map(|(s, _)| *s);
            oldest.and_then(|s| self.tables.remove(&s));
        }
        let table = self.tables.entry(signature).or_default();
        if table.image_generation != image_generation {
            *table = Table { image_generation, ..Table::default() };
        }
        table.used = self.clock;
        table
    }
}

impl Table {
    /// Whether the local plugins let the pod onto the node.
    pub fn reject(&mut self, cx: &Cx, pod: &PodInfo, state: &CycleState, node: u32) -> Option<&Reject> {
        let index = node as usize;
        if self.rows.len() <= index {
            self.rows.resize(index + 1, Row::default());
        }
        if self.rows[index].generation != cx.cache.generation_of(node) {
            self.rows[index] = self.compute(cx, pod, state, cx.cache.node(node));
        }
        match self.rows[index].reject {
            0 => None,
            n => Some(&self.rejects[n as usize - 1]),
        }
    }

    fn compute(&mut self, cx: &Cx, pod: &PodInfo, state: &CycleState, node: &NodeInfo) -> Row {
        let mut row = Row { generation: node.generation, ..Row::default() };
        let local = || PLUGINS.iter().filter(|p| p.is_local());
        if let Some(reject) = local().find_map(|p| p.filter(cx, pod, state, node)) {
            let known = self.rejects.iter().position(|r| *r == reject);
            let index = known.unwrap_or_else(|| {
                self.rejects.push(reject);
                self.rejects.len() - 1
            });
            row.reject = index as u16 + 1;
            return row;
        }
        let mut slots = row.scores.iter_mut();
        for plugin in local().filter(|p| p.weight() > 0) {
            let score = plugin.score(cx, pod, state, node);
            match plugin.normalizes() {
                true => *slots.next().expect("one slot per such plugin") = score as i32,
                false => row.sum += (plugin.weight() * score) as i32,
            }
        }
        row
    }

    /// The weighted sum of what needs no comparison, for a node that fits.
    pub fn sum(&self, node: u32) -> i64 {
        self.rows[node as usize].sum as i64
    }
    /// The raw score of the `scorer`-th local plugin whose scores are compared, for a node that fits.
    pub fn score(&self, node: u32, scorer: usize) -> i64 {
        self.rows[node as usize].scores[scorer] as i64
    }
}
