//! The cache of an informer: objects by key, with indexes. Objects are shared with kube-apiserver's store.
//!
//! Models `cache.Indexer`. Reading never copies; an index holds the objects themselves, so that a lookup is one search.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Value};
use base::TextMap;

/// Adds the values under which an object is found. Must be a pure function of the object.
pub type IndexFn = fn(&Object, &mut Vec<Rc<str>>);

#[derive(Clone, Debug)]
struct Index {
    keys: IndexFn,
    entries: TextMap<Rc<str>, TextMap<ObjectKey, Object>>,
}

/// Objects by key and by index. Clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Store {
    objects: TextMap<ObjectKey, Object>,
    indexes: Vec<Index>,
}

impl Store {
    pub fn new(indexes: &[IndexFn]) -> Store {
        let indexes = indexes.iter().map(|keys| Index { keys: *keys, entries: TextMap::default() }).collect();
        Store { objects: TextMap::default(), indexes }
    }
    /// Adds an index and returns its number. The objects already there are indexed too.
    pub fn add_index(&mut self, keys: IndexFn) -> usize {
        if let Some(i) = self.indexes.iter().position(|index| std::ptr::fn_addr_eq(index.keys, keys)) {
            return i;
        }
        let mut index = Index { keys, entries: TextMap::default() };
        for (key, object) in &self.objects {
            index.insert(key, None, object);
        }
        self.indexes.push(index);
        self.indexes.len() - 1
    }

    pub fn get(&self, key: &ObjectKey) -> Option<&Object> {
        self.objects.get(key)
    }
    /// Builds a key from texts: for lookups off the hot path.
    pub fn find(&self, namespace: &str, name: &str) -> Option<&Object> {
        self.objects.get(&ObjectKey::new(namespace, name))
    }
    pub fn len(&self) -> usize {
        self.objects.len()
    }
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
    /// All objects in order of keys. Costs the size of the cache: not for handlers.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Object)> {
        self.objects.iter()
    }
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }
    /// The objects of a namespace, in order of names.
    pub fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Object> {
        let first = ObjectKey::new(namespace, "");
        self.objects.range(first..).take_while(move |(key, _)| *key.namespace == *namespace).map(|(_, object)| object)
    }
    /// The objects that the `index`-th index has under `value`, in order of keys.
    pub fn by_index<'a>(&'a self, index: usize, value: &str) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.indexes[index].entries.get(value).into_iter().flat_map(|group| group.values())
    }
    /// Whether nothing is in an index.
    pub fn is_index_empty(&self, index: usize) -> bool {
        self.indexes[index].entries.is_empty()
    }
    /// How many objects an index has under `value`.
    pub fn count(&self, index: usize, value: &str) -> usize {
        self.indexes[index].entries.get(value).map_or(0, |group| group.len())
    }

    /// Puts an object in; returns what was there.
    pub fn insert(&mut self, key: ObjectKey, object: Object) -> Option<Object> {
        let old = self.objects.insert(key.clone(), object.clone());
        for index in &mut self.indexes {
            index.insert(&key, old.as_ref(), &object);
        }
        old
    }
    pub fn remove(&mut self, key: &ObjectKey) -> Option<Object> {
        let old = self.objects.remove(key)?;
        for index in &mut self.indexes {
            index.remove(key, &old);
        }
        Some(old)
    }
}

impl Index {
    fn insert(&mut self, key: &ObjectKey, old: Option<&Object>, new: &Object) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        (self.keys)(new, &mut after);
        if let Some(old) = old {
            (self.keys)(old, &mut before);
        }
        for value in before.iter().filter(|value| !after.contains(value)) {
            self.remove_from(value, key);
        }
        for value in after {
            // One search for a group that is there, as most are.
            match self.entries.get_mut(&value) {
                Some(group) => drop(group.insert(key.clone(), new.clone())),
                None => drop(self.entries.insert(value, TextMap::from_iter([(key.clone(), new.clone())]))),
            }
        }
    }
    fn remove(&mut self, key: &ObjectKey, old: &Object) {
        let mut before = Vec::new();
        (self.keys)(old, &mut before);
        for value in &before {
            self.remove_from(value, key);
        }
    }
    fn remove_from(&mut self, value: &Rc<str>, key: &ObjectKey) {
        let Some(group) = self.entries.get_mut(value) else { return };
        group.remove(key);
        if group.is_empty() {
            self.entries.remove(value);
        }
    }
}

/// By namespace.
pub fn by_namespace(object: &Object, keys: &mut Vec<Rc<str>>) {
    keys.extend(object.at(&["metadata", "namespace"]).and_then(Value::as_rc_str).cloned());
}

/// By the uid of the controller that owns the object.
pub fn by_controller_uid(object: &Object, keys: &mut Vec<Rc<str>>) {
    keys.extend(object.controller_ref().and_then(|owner| owner.get("uid")).and_then(Value::as_rc_str).cloned());
}

/// Pods by the node they are bound to.
pub fn by_node_name(object: &Object, keys: &mut Vec<Rc<str>>) {
    let node = object.at(&["spec", "nodeName"]).and_then(Value::as_rc_str);
    keys.extend(node.filter(|name| !name.is_empty()).cloned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn indexes_follow_their_objects() {
        let pod = |name: &str, node: &str| {
            let v = value!({"metadata": {"namespace": "default", "name": name}, "spec": {"nodeName": node}});
            Object::from_value(v).unwrap()
        };
        let mut store = Store::new(&[by_node_name]);
        for (name, node) in [("a", ""), ("b", "n1"), ("c", "n1"), ("a", "n1"), ("b", "n2")] {
            let pod = pod(name, node);
            store.insert(pod.key(), pod);
        }
        store.remove(&ObjectKey::new("default", "c"));
        let names = |node: &str| store.by_index(0, node).map(|p| p.name().to_string()).collect::<Vec<_>>();
        assert_eq!((names("n1"), names("n2"), store.count(0, "")), (vec!["a".into()], vec!["b".into()], 0));
        assert_eq!(store.in_namespace("default").count(), 2);
    }
}
