//! How many placed pods match a selector, by node: counted as pods come and go, so that spreading and inter-pod affinity need
//! not look at all pods of all nodes in every cycle (upstream does).

use std::rc::Rc;

use apimachinery::Value;
use apimachinery::labels::{Operator, Selector};
use base::{Map, Vector};

use crate::pod_info::PodInfo;

type Text = Rc<str>;

/// Selectors that nobody used for this many others are forgotten.
const KEEP: usize = 4096;

/// Numbers of pods by node. Flat, because scoring asks for hundreds of nodes.
#[derive(Clone, Default, Debug)]
pub struct NodeCounts(Rc<Vec<u32>>);

impl NodeCounts {
    pub fn get(&self, node: u32) -> i64 {
        self.0.get(node as usize).copied().unwrap_or(0).into()
    }
    /// The nodes with any, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, i64)> {
        self.0.iter().enumerate().filter(|(_, n)| **n > 0).map(|(node, n)| (node as u32, i64::from(*n)))
    }
    fn add(&mut self, node: u32, sign: i32) {
        let counts = Rc::make_mut(&mut self.0);
        let index = node as usize;
        if counts.len() <= index {
            counts.resize(index + 1, 0);
        }
        counts[index] = counts[index].saturating_add_signed(sign);
    }
}

#[derive(Clone)]
struct Tracked {
    key: Text,
    namespaces: Vec<Text>,
    selector: Selector,
    with_terminating: bool,
    by_node: NodeCounts,
    last_used: u64,
}

impl Tracked {
    fn matches(&self, pod: &PodInfo) -> bool {
        (self.with_terminating || !pod.terminating)
            && self.namespaces.contains(&pod.key.namespace)
            && self.selector.matches(pod.label_fields())
    }
    /// A label pair without which nothing matches; `None`: any pod may match.
    fn needs(&self) -> Option<(Text, Text)> {
        let exact = |op| matches!(op, Operator::Equals | Operator::DoubleEquals | Operator::In);
        let r = self.selector.requirements().iter().find(|r| exact(r.operator) && r.values.len() == 1)?;
        Some((r.key.clone(), r.values[0].clone()))
    }
}

/// All selectors that are being counted.
#[derive(Clone, Default)]
pub struct Selectors {
    tracked: Map<u32, Tracked>,
    ids: Map<Text, u32>,
    /// By a label pair that the selector requires; those without one under the empty pair.
    by_label: Map<(Text, Text), Vector<u32>>,
    next: u32,
    clock: u64,
}

impl Selectors {
    /// The id of a selector, and whether it is new (then existing pods are still to be counted).
    pub fn intern(&mut self, namespaces: &[Text], selector: &Selector, with_terminating: bool) -> (u32, bool) {
        self.clock += 1;
        let key: Text = format!("{}|{with_terminating}|{}|{selector}", namespaces.join(","), selector.is_nothing()).into();
        if let Some(&id) = self.ids.get(&key) {
            if let Some(tracked) = self.tracked.get_mut(&id) {
                tracked.last_used = self.clock;
            }
            return (id, false);
        }
        self.forget_old();
        let id = self.next;
        self.next += 1;
        let tracked = Tracked {
            key: key.clone(),
            namespaces: namespaces.to_vec(),
            selector: selector.clone(),
            with_terminating,
            by_node: NodeCounts::default(),
            last_used: self.clock,
        };
        self.by_label.entry(tracked.needs().unwrap_or_default()).or_default().push_back(id);
        self.ids.insert(key, id);
        self.tracked.insert(id, tracked);
        (id, true)
    }

    fn forget_old(&mut self) {
        if self.tracked.len() < KEEP {
            return;
        }
        let Some((&id, _)) = self.tracked.iter().min_by_key(|(_, t)| t.last_used) else { return };
        let tracked = self.tracked.remove(&id).expect("found above");
        self.ids.remove(&tracked.key);
        if let Some(ids) = self.by_label.get_mut(&tracked.needs().unwrap_or_default()) {
            ids.retain(|i| *i != id);
        }
    }

    /// A pod came to a node (`sign` 1) or left it (-1).
    pub fn count(&mut self, pod: &PodInfo, node: u32, sign: i32) {
        if self.tracked.is_empty() {
            return;
        }
        let mut candidates: Vec<u32> = Vec::new();
        candidates.extend(self.by_label.get(&<(Text, Text)>::default()).into_iter().flatten());
        for (key, value) in pod.label_fields().into_iter().flatten() {
            let Some(value) = Value::as_rc_str(value) else { continue };
            candidates.extend(self.by_label.get(&(key.clone(), value.clone())).into_iter().flatten());
        }
        for id in candidates {
            self.count_into(id, pod, node, sign);
        }
    }

    pub fn count_into(&mut self, id: u32, pod: &PodInfo, node: u32, sign: i32) {
        let Some(tracked) = self.tracked.get(&id) else { return };
        if !tracked.matches(pod) {
            return;
        }
        self.tracked.get_mut(&id).expect("found above").by_node.add(node, sign);
    }

    /// Matching pods by node.
    pub fn by_node(&self, id: u32) -> NodeCounts {
        self.tracked.get(&id).map(|t| t.by_node.clone()).unwrap_or_default()
    }
}
