//! Who owns whom, by uid. Models `graph_builder.go`.
//!
//! An owner that is referred to but not seen is *virtual* until it is looked up; one that was looked up in vain is *absent*.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Value};
use base::{Map, TextMap, TextSet, Vector};
use client_go::Delta;

use super::{FOREGROUND, Key, ORPHAN, has_finalizer, uid_of};
use crate::custom::Kinds;
use crate::resources::Res;

/// How many absent owners are remembered.
const ABSENT_REMEMBERED: usize = 500;

/// Where an object is.
#[derive(Clone, Debug)]
pub struct Item {
    pub uid: Rc<str>,
    pub res: Res,
    pub key: ObjectKey,
    pub is_virtual: bool,
    pub is_being_deleted: bool,
}

#[derive(Clone, Debug)]
struct Node {
    item: Item,
    /// `ownerReferences` as in the object.
    owners: Value,
    deleting_dependents: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Which kinds there are.
    pub kinds: Kinds,
    nodes: TextMap<Rc<str>, Node>,
    dependents: Map<Rc<str>, TextSet<Rc<str>>>,
    absent: TextSet<Rc<str>>,
    absent_order: Vector<Rc<str>>,
}

fn owners(object: &Object) -> Value {
    object.at(&["metadata", "ownerReferences"]).cloned().unwrap_or_default()
}

/// Whether anything that the graph shows differs. Cheap: unchanged lists are the same allocation.
pub fn changed(old: &Object, new: &Object) -> bool {
    let at = |o: &Object, field: &str| o.at(&["metadata", field]).cloned().unwrap_or_default();
    ["ownerReferences", "finalizers", "deletionTimestamp", "uid"].iter().any(|field| at(old, field) != at(new, field))
}

impl Graph {
    /// The resource and key that an owner reference names; `None` for a kind that isn't known.
    pub fn place_of(&self, reference: &Value, namespace: &str) -> Option<(Res, ObjectKey)> {
        let text = |field: &str| reference.str_at(&[field]).unwrap_or("");
        let res = self.kinds.by_kind(text("apiVersion"), text("kind"))?;
        let namespace = if self.kinds.is_namespaced(res) { namespace } else { "" };
        Some((res, ObjectKey::new(namespace, text("name"))))
    }
    pub fn item(&self, uid: &str) -> Option<Item> {
        self.nodes.get(uid).map(|node| node.item.clone())
    }
    pub fn is_real(&self, uid: &str) -> bool {
        self.nodes.get(uid).is_some_and(|node| !node.item.is_virtual)
    }
    pub fn is_absent(&self, uid: &str) -> bool {
        self.absent.contains(uid)
    }
    pub fn is_deleting_dependents(&self, uid: &str) -> bool {
        self.nodes.get(uid).is_some_and(|node| node.deleting_dependents)
    }
    pub fn has_dependents(&self, uid: &str) -> bool {
        self.dependents.get(uid).is_some_and(|d| !d.is_empty())
    }
    pub fn dependents(&self, uid: &str) -> Vec<Rc<str>> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }
    /// Dependents whose reference blocks the deletion of their owner.
    pub fn blocking_dependents(&self, uid: &str) -> Vec<Rc<str>> {
        let blocks = |dependent: &Rc<str>| {
            self.nodes.get(dependent).is_some_and(|node| {
                node.owners.items().iter().any(|r| *uid_of(r) == *uid && r.bool_at(&["blockOwnerDeletion"]) == Some(true))
            })
        };
        self.dependents(uid).into_iter().filter(blocks).collect()
    }

    pub fn note_absent(&mut self, uid: &Rc<str>) {
        if self.absent.insert(uid.clone()) {
            self.absent_order.push_back(uid.clone());
            if self.absent_order.len() > ABSENT_REMEMBERED
                && let Some(oldest) = self.absent_order.pop_front()
            {
                self.absent.remove(&oldest);
            }
        }
    }

    /// Takes an object out; returns what depended on it, to be looked at.
    pub fn remove(&mut self, uid: &Rc<str>) -> Vec<Rc<str>> {
        if let Some(node) = self.nodes.remove(uid) {
            self.unlink(uid, &node.owners);
        }
        let dependents = self.dependents(uid);
        if !dependents.is_empty() {
            self.note_absent(uid);
        }
        dependents
    }

    fn unlink(&mut self, uid: &Rc<str>, owners: &Value) {
        for reference in owners.items() {
            let owner = uid_of(reference);
            if let Some(dependents) = self.dependents.get_mut(&owner) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner);
                }
            }
        }
    }

    /// Takes a change over; returns the work that follows from it.
    pub fn apply(&mut self, res: Res, delta: &Delta) -> Vec<Key> {
        let mut work = Vec::new();
        if let Some(old) = &delta.old {
            let replaced = delta.new.as_ref().is_none_or(|new| new.uid() != old.uid());
            if replaced {
                self.deleted(&client_go::pods::uid(old), &mut work);
            }
        }
        if let Some(new) = &delta.new {
            self.upsert(res, new, &mut work);
        }
        work
    }

    fn deleted(&mut self, uid: &Rc<str>, work: &mut Vec<Key>) {
        let owners = self.nodes.get(uid).map(|node| node.owners.clone()).unwrap_or_default();
        work.extend(self.remove(uid).into_iter().map(Key::Delete));
        self.wake_waiting(&owners, work);
    }

    /// Owners that wait for their dependents have one less to wait for.
    fn wake_waiting(&self, owners: &Value, work: &mut Vec<Key>) {
        let waiting = owners.items().iter().map(uid_of).filter(|owner| self.is_deleting_dependents(owner));
        work.extend(waiting.map(Key::Delete));
    }

    fn upsert(&mut self, res: Res, object: &Object, work: &mut Vec<Key>) {
        let uid = client_go::pods::uid(object);
        if uid.is_empty() {
            return;
        }
        let before = self.nodes.get(&uid).cloned();
        let new_owners = owners(object);
        let old_owners = before.as_ref().map(|node| node.owners.clone()).unwrap_or_default();
        let deleting = object.is_being_deleted();
        let item = Item { uid: uid.clone(), res, key: object.key(), is_virtual: false, is_being_deleted: deleting };
        let was_deleting_dependents = before.as_ref().is_some_and(|node| node.deleting_dependents);
        let deleting_dependents = deleting && has_finalizer(object, FOREGROUND);
        self.nodes.insert(uid.clone(), Node { item, owners: new_owners.clone(), deleting_dependents });
        self.absent.remove(&uid);
        if new_owners != old_owners {
            self.unlink(&uid, &old_owners);
            self.link(&uid, &new_owners, object.namespace(), work);
            self.wake_waiting(&old_owners, work);
        }
        if deleting && has_finalizer(object, ORPHAN) {
            work.push(Key::Orphan(uid));
        } else if deleting_dependents && !was_deleting_dependents {
            work.extend(self.dependents(&uid).into_iter().map(Key::Delete));
            work.push(Key::Delete(uid));
        }
    }

    fn link(&mut self, uid: &Rc<str>, owners: &Value, namespace: &str, work: &mut Vec<Key>) {
        for reference in owners.items() {
            let owner = uid_of(reference);
            self.dependents.entry(owner.clone()).or_default().insert(uid.clone());
            if self.is_absent(&owner) {
                work.push(Key::Delete(uid.clone()));
            } else if self.is_deleting_dependents(&owner) {
                work.push(Key::Delete(uid.clone()));
            } else if !self.nodes.contains_key(&owner)
                && let Some((res, key)) = self.place_of(reference, namespace)
            {
                let item = Item { uid: owner.clone(), res, key, is_virtual: true, is_being_deleted: false };
                self.nodes.insert(owner.clone(), Node { item, owners: Value::Null, deleting_dependents: false });
                work.push(Key::Delete(owner));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn object(kind: &str, uid: &str, owner: &str) -> Object {
        let mut v = value!({"apiVersion": "v1", "kind": kind, "metadata": {"name": uid, "namespace": "ns", "uid": uid}});
        if !owner.is_empty() {
            let reference = value!({"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": owner, "blockOwnerDeletion": true});
            v.set_at(&["metadata", "ownerReferences"], vec![reference]);
        }
        Object::from_value(v).unwrap()
    }
    fn change(graph: &mut Graph, old: Option<&Object>, new: Option<&Object>) -> Vec<String> {
        let delta = Delta { old: old.cloned(), new: new.cloned(), initial: false };
        graph.apply(0, &delta).iter().map(Key::to_string).collect()
    }

    #[test]
    fn dependents_follow_their_owner_and_foreground_waits() {
        let mut graph = Graph::default();
        let (owner, child) = (object("Pod", "owner", ""), object("Pod", "child", "owner"));
        assert_eq!(change(&mut graph, None, Some(&child)), ["owner"], "an owner not seen yet is looked up");
        assert!(change(&mut graph, None, Some(&owner)).is_empty());
        let mut dying = owner.clone();
        dying.set_at(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
        dying.set_at(&["metadata", "finalizers"], vec![Value::from(FOREGROUND)]);
        assert_eq!(change(&mut graph, Some(&owner), Some(&dying)), ["child", "owner"]);
        assert_eq!(graph.blocking_dependents("owner"), ["child".into()]);
        assert_eq!(change(&mut graph, Some(&child), None), ["owner"], "the last dependent is gone");
        assert!(graph.blocking_dependents("owner").is_empty());
        change(&mut graph, None, Some(&child));
        assert_eq!(change(&mut graph, Some(&dying), None), ["child"]);
        assert!(graph.is_absent("owner"));
    }
}
