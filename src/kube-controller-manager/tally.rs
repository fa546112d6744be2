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
    /// Takes a change of a pod into account, if an owner of this kind has it. What nobody counts costs nothing: a pod's binding, its
    /// addresses.
    pub fn change(&mut self, delta: &Delta, kind: &str) {
        let counted = |pod: &Option<Object>| pod.as_ref().and_then(|pod| Some((owner_uid(pod, kind)?.clone(), Class::of(pod))));
        let (old, new) = (counted(&delta.old), counted(&delta.new));
        if old == new {
            return;
        }
        for ((uid, class), n) in old.map(|old| (old, -1)).into_iter().chain(new.map(|new| (new, 1))) {
            self.add(uid, class, n);
        }
    }

    fn add(&mut self, uid: Rc<str>, class: Class, n: i64) {
        let classes = self.0.entry(uid.clone()).or_default();
        match classes.iter_mut().find(|(c, _)| *c == class) {
            Some((_, count)) => *count += n,
            None => classes.push((class, n)),
        }
        classes.retain(|(_, count)| *count != 0);
        if classes.is_empty() {
            self.0.remove(&uid);
        }
    }

    pub fn of(&self, uid: &str) -> &[(Class, i64)] {
        self.0.get(uid).map_or(&[], Vec::as_slice)
    }
}

/// The uid of the controller that owns a pod, if it is of this kind.
fn owner_uid<'a>(pod: &'a Object, kind: &str) -> Option<&'a Rc<str>> {
    let owner = pod.controller_ref()?;
    owner.get("uid").filter(|_| owner.str_at(&["kind"]).is_some_and(|k| k == kind)).and_then(Value::as_rc_str)
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
            "metadata": {"labels": {"app": "a"}, "ownerReferences": [{"kind": "ReplicaSet", "uid": uid, "controller": true}]},
            "status": {"phase": phase}
        });
        Object::from_value(v).unwrap()
    }

    #[test]
    fn pods_move_between_owners_and_classes() {
        let mut tallies = Tallies::default();
        let mut change =
            |old: Option<Object>, new: Option<Object>| tallies.change(&Delta { old, new, initial: false }, "ReplicaSet");
        change(None, Some(pod("x", "Running")));
        change(None, Some(pod("x", "Running")));
        change(Some(pod("x", "Running")), Some(pod("x", "Failed")));
        change(Some(pod("x", "Running")), Some(pod("y", "Running")));
        let numbers = |uid: &str| tallies.of(uid).iter().map(|(c, n)| (c.active, *n)).collect::<Vec<_>>();
        assert_eq!((numbers("x"), numbers("y")), (vec![(false, 1)], vec![(true, 1)]));
        let gone = Delta { old: Some(pod("x", "Failed")), new: None, initial: false };
        tallies.change(&gone, "ReplicationController");
        assert_eq!(tallies.of("x").len(), 1);
        tallies.change(&gone, "ReplicaSet");
        assert!(tallies.of("x").is_empty());
    }
}
