//! How many pods an owner has, by what they count as, kept up to date with every change of a pod: a sync of a ReplicaSet with a
//! thousand pods then looks at a handful of numbers and not at a thousand pods. Upstream counts anew each time.

use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::{Object, Value};
use base::Map;
use client_go::{Delta, pods};

/// What a pod counts as.
#[derive(Clone, PartialEq, Debug)]
pub struct Class {
    /// `metadata.labels`; the pods of one template share them.
    pub labels: Value,
    pub active: bool,
    pub ready: bool,
    pub terminating: bool,
}

impl Class {
    fn of(pod: &Object) -> Class {
        Class {
            labels: pod.at(&["metadata", "labels"]).cloned().unwrap_or_default(),
            active: pods::is_active(pod),
            ready: pods::is_ready(pod),
            terminating: pods::is_terminating(pod),
        }
    }
}

/// The pods of one owner: classes with the number of pods in each.
pub type Classes = Vec<(Class, i64)>;

/// The pods of every owner, by its uid.
#[derive(Clone, Default, Debug)]
pub struct Tallies(Map<Rc<str>, Classes>);

impl Tallies {
    /// Takes a change of a pod into account.
    pub fn change(&mut self, delta: &Delta) {
        if let Some(old) = &delta.old {
            self.add(old, -1);
        }
        if let Some(new) = &delta.new {
            self.add(new, 1);
        }
    }

    fn add(&mut self, pod: &Object, n: i64) {
        let Some(uid) = pod.controller_ref().and_then(|owner| owner.get("uid")).and_then(Value::as_rc_str) else { return };
        let class = Class::of(pod);
        let classes = self.0.entry(uid.clone()).or_default();
        match classes.iter_mut().find(|(c, _)| *c == class) {
            Some((_, count)) => *count += n,
            None => classes.push((class, n)),
        }
        classes.retain(|(_, count)| *count != 0);
        if classes.is_empty() {
            self.0.remove(uid);
        }
    }

    pub fn of(&self, uid: &str) -> &[(Class, i64)] {
        self.0.get(uid).map_or(&[], Vec::as_slice)
    }
}

/// Whether a selector matches all pods of the classes: then none of them is let go.
pub fn all_match(classes: &[(Class, i64)], selector: &Selector) -> bool {
    classes.iter().all(|(class, _)| selector.matches(class.labels.as_map()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn pod(uid: &str, phase: &str) -> Object {
        let v = value!({
            "metadata": {"labels": {"app": "a"}, "ownerReferences": [{"uid": uid, "controller": true}]},
            "status": {"phase": phase}
        });
        Object::from_value(v).unwrap()
    }

    #[test]
    fn pods_move_between_owners_and_classes() {
        let mut tallies = Tallies::default();
        let mut change = |old: Option<Object>, new: Option<Object>| tallies.change(&Delta { old, new, initial: false });
        change(None, Some(pod("x", "Running")));
        change(None, Some(pod("x", "Running")));
        change(Some(pod("x", "Running")), Some(pod("x", "Failed")));
        change(Some(pod("x", "Running")), Some(pod("y", "Running")));
        let numbers = |uid: &str| tallies.of(uid).iter().map(|(c, n)| (c.active, *n)).collect::<Vec<_>>();
        assert_eq!((numbers("x"), numbers("y")), (vec![(false, 1)], vec![(true, 1)]));
        tallies.change(&Delta { old: Some(pod("x", "Failed")), new: None, initial: false });
        assert!(tallies.of("x").is_empty());
    }
}
