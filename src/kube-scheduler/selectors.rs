//! How many placed pods match a selector, by node: counted as pods come and go, so that spreading and inter-pod affinity need
//! not look at all pods of all nodes in every cycle (upstream does).

use std::rc::Rc;

use apimachinery::Value;
use apimachinery::labels::{Operator, Selector};
use base::{Map, TextMap, Vector};

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

/// What is known of a label pair.
#[derive(Clone, Default)]
struct Pair {
    /// How many placed pods have it.
    pods: u32,
    /// The selectors that require it.
    selectors: Vector<u32>,
}

/// All selectors that are being counted.
#[derive(Clone, Default)]
pub struct Selectors {
    tracked: Map<u32, Tracked>,
    ids: TextMap<Text, u32>,
    /// Selectors that require no pair are under the empty one.
    by_label: Map<(Text, Text), Pair>,
    next: u32,
    clock: u64,
}

impl Selectors {
    /// The id of a selector, and whether placed pods are still to be counted for it: it is new, and there are some that may match.
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
        let needs = tracked.needs();
        let any = needs.is_none();
        let pair = self.by_label.entry(needs.unwrap_or_default()).or_default();
        pair.selectors.push_back(id);
        let uncounted = any || pair.pods > 0;
        self.ids.insert(key, id);
        self.tracked.insert(id, tracked);
        (id, uncounted)
    }

    fn forget_old(&mut self) {
        if self.tracked.len() < KEEP {
            return;
        }
        let Some((&id, _)) = self.tracked.iter().min_by_key(|(_, t)| t.last_used) else { return };
        let tracked = self.tracked.remove(&id).expect("found above");
        self.ids.remove(&tracked.key);
        let needs = tracked.needs().unwrap_or_default();
        let Some(pair) = self.by_label.get_mut(&needs) else { return };
        pair.selectors.retain(|i| *i != id);
        if pair.pods == 0 && pair.selectors.is_empty() {
            self.by_label.remove(&needs);
        }
    }

    /// A pod came to a node (`sign` 1) or left it (-1).
    pub fn count(&mut self, pod: &PodInfo, node: u32, sign: i32) {
        let mut candidates: Vec<u32> = Vec::new();
        candidates.extend(self.by_label.get(&<(Text, Text)>::default()).into_iter().flat_map(|pair| &pair.selectors));
        for (key, value) in pod.label_fields().into_iter().flatten() {
            let Some(value) = Value::as_rc_str(value) else { continue };
            let label = (key.clone(), value.clone());
            let pair = self.by_label.entry(label.clone()).or_default();
            pair.pods = pair.pods.saturating_add_signed(sign);
            candidates.extend(&pair.selectors);
            if pair.pods == 0 && pair.selectors.is_empty() {
                self.by_label.remove(&label);
            }
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

#[cfg(test)]
mod tests {
    use apimachinery::{Object, value};
    use base::Seed;

    use super::*;
    use crate::cache::Cache;

    fn pod(n: u64, labels: Value) -> Rc<PodInfo> {
        let name = format!("pod-{n}");
        let v = value!({"metadata": {"namespace": "default", "name": (&name), "uid": (&name), "labels": labels}, "spec": {}});
        Rc::new(PodInfo::new(&Object::from_value(v).unwrap()))
    }

    /// Nodes that exist only as names of pods' nodes have numbers, too.
    fn index(cache: &Cache, node: u32) -> u32 {
        let name = format!("node-{node}");
        cache.pods().map(|p| cache.node(p.node)).find(|n| *n.name == *name).map_or(u32::MAX, |n| n.index)
    }

    /// Pods come, move and go; selectors are asked for at any time, and count what a look at every pod would.
    #[test]
    fn counts_are_those_of_a_look_at_every_pod() {
        let (seed, mut draws) = (Seed(7), 0);
        let mut below = |n: u64| {
            draws += 1;
            seed.below(draws, n)
        };
        let texts = ["app=a", "app=b", "app in (a,b)", "tier=web", "app=a,tier=web", "app!=a", "tier", ""];
        let namespaces: [Text; 1] = ["default".into()];
        let (mut cache, mut placed) = (Cache::default(), Map::<u64, (u32, Rc<PodInfo>)>::default());
        let mut counted = 0;
        for _ in 0..2_000 {
            let n = below(30);
            match (below(3), placed.get(&n).cloned()) {
                (0, Some((_, pod))) => {
                    cache.remove_pod(pod.id);
                    placed.remove(&n);
                }
                _ => {
                    let labels = match below(4) {
                        0 => value!({"app": "a", "tier": "web"}),
                        1 => value!({"app": "a"}),
                        2 => value!({"app": "b"}),
                        _ => value!({}),
                    };
                    let (pod, node) = (pod(n, labels), below(4) as u32);
                    cache.add_pod(pod.clone(), &format!("node-{node}").into(), false);
                    placed.insert(n, (node, pod));
                }
            }
            let text = texts[below(texts.len() as u64) as usize];
            let selector = Selector::parse(text).unwrap();
            // Now and then nobody knows the selectors any more.
            if below(50) == 0 {
                let mut fresh = Selectors::default();
                for (_, (node, pod)) in &placed {
                    fresh.count(pod, index(&cache, *node), 1);
                }
                cache.selectors = fresh;
            }
            let id = cache.matching(&namespaces, &selector, false);
            let counts = cache.selectors.by_node(id);
            for node in 0..4 {
                let matching = |(at, pod): &&(u32, Rc<PodInfo>)| *at == node && selector.matches(pod.label_fields());
                let expected = placed.values().filter(matching).count() as i64;
                assert_eq!(counts.get(index(&cache, node)), expected, "{text} on node-{node}");
                counted += expected;
            }
        }
        assert!(counted > 5_000, "{counted} pods were counted");
        let labels = cache.selectors.by_label.iter().filter(|(_, pair)| pair.pods > 0).count();
        assert!(labels <= 3, "label pairs of pods that are gone");
    }
}
