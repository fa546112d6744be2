//! The watch cache: per storage the present objects, and the newest events for watches that begin in the recent past.
//!
//! Models `apiserver/pkg/storage/cacher`. etcd tells of every change; here it becomes a new state of the map and one entry of the
//! window, both shared by all watchers. Lists are read from here; what a list must not be older than is asked of etcd first.

use std::ops::Bound;
use std::rc::Rc;

use apimachinery::{Object, WatchEventType};
use base::{Duration, TextMap, TextSet, Time, Vector};
use etcd_api::{Key, KeyRange};

/// Events younger than this are kept for late watchers, see [`MAX_WINDOW`].
const FRESH: Duration = Duration::from_secs(75);
const MIN_WINDOW: usize = 100;
const MAX_WINDOW: usize = 102_400;

/// A change as watchers see it.
#[derive(Clone, Debug)]
pub struct Change {
    pub revision: i64,
    pub at: Time,
    pub key: Key,
    /// `Added`, `Modified` or `Deleted`.
    pub kind: WatchEventType,
    /// The new state; of a deletion the last state with the deletion's revision.
    pub object: Object,
    pub prev: Option<Object>,
    /// The API request that made it.
    pub cause: u64,
}

/// The cache of one storage.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    pub objects: TextMap<Key, Object>,
    /// The newest revision that etcd told of here.
    pub revision: i64,
    /// Loaded, and the watch on etcd is open.
    pub synced: bool,
    window: Vector<Change>,
    /// Changes up to this revision are no longer in the window.
    forgotten: i64,
}

impl Cache {
    /// Starts over with what etcd has at `revision`.
    pub fn load(&mut self, objects: TextMap<Key, Object>, revision: i64) {
        *self = Cache { objects, revision, synced: true, window: Vector::default(), forgotten: revision };
    }

    /// Takes over a change and gives it to `tell` before it goes into the window.
    pub fn apply(&mut self, change: Change) {
        match change.kind {
            WatchEventType::Deleted => self.objects.remove(&*change.key),
            _ => self.objects.insert(change.key.clone(), change.object.clone()),
        };
        self.revision = change.revision;
        let now = change.at;
        self.window.push_back(change);
        while let Some(oldest) = self.window.front()
            && self.window.len() > MIN_WINDOW
            && (now - oldest.at > FRESH || self.window.len() > MAX_WINDOW)
        {
            self.forgotten = oldest.revision;
            self.window.pop_front();
        }
    }

    pub fn get(&self, key: &str) -> Option<&Object> {
        self.objects.get(key)
    }

    /// The objects whose keys begin with `prefix`, in order of their keys.
    pub fn scope<'a>(&'a self, prefix: &str) -> impl Iterator<Item = (&'a Key, &'a Object)> + use<'a> {
        let end = KeyRange::prefix_end(prefix);
        self.objects.range::<_, str>((Bound::Included(prefix), Bound::Excluded(&*end)))
    }

    /// The changes after `revision`, in order; `None`: some of them are gone.
    pub fn since(&self, revision: i64) -> Option<impl Iterator<Item = &Change>> {
        if revision < self.forgotten {
            return None;
        }
        let (mut low, mut high) = (0, self.window.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.window[middle].revision <= revision { low = middle + 1 } else { high = middle }
        }
        Some(self.window.range(low..))
    }

    /// The changes that are remembered, newest first.
    pub fn changes_from_newest(&self) -> impl Iterator<Item = &Change> {
        self.window.iter().rev()
    }

    /// The revision of the newest change.
    pub fn changed_at(&self) -> i64 {
        self.window.last().map_or(self.forgotten, |c| c.revision)
    }

    /// The oldest revision a watch may begin after.
    pub fn oldest(&self) -> i64 {
        self.forgotten
    }
}

/// Pods by the node they are bound to, and those that are bound to none.
#[derive(Clone, Debug, Default)]
pub struct PodIndex {
    by_node: TextMap<Rc<str>, TextSet<Key>>,
    unbound: TextSet<Key>,
}

impl PodIndex {
    pub fn change(&mut self, key: &Key, old: Option<&Object>, new: Option<&Object>) {
        let node = |o: Option<&Object>| o.and_then(node_name).cloned();
        let (before, after) = (node(old), node(new));
        match (old.is_some() && before.is_none(), new.is_some() && after.is_none()) {
            (false, true) => drop(self.unbound.insert(key.clone())),
            (true, false) => drop(self.unbound.remove(&**key)),
            _ => {}
        }
        if before == after {
            return;
        }
        if let Some(pods) = before.and_then(|n| self.by_node.get_mut(&*n)) {
            pods.remove(key);
        }
        if let Some(node) = after {
            self.by_node.entry(node).or_default().insert(key.clone());
        }
    }
    pub fn on(&self, node: &str) -> impl Iterator<Item = &Key> {
        self.by_node.get(node).into_iter().flatten()
    }
    /// How many pods each node has, in order of names; nodes without a pod may be missing.
    pub fn counts(&self) -> impl Iterator<Item = (&Rc<str>, usize)> {
        self.by_node.iter().map(|(node, pods)| (node, pods.len()))
    }
    /// How many pods a node has.
    pub fn len_on(&self, node: &str) -> usize {
        self.by_node.get(node).map_or(0, TextSet::len)
    }
    /// How many pods a node has whose keys begin with `prefix`.
    pub fn count_on(&self, node: &str, prefix: &str) -> usize {
        let end = KeyRange::prefix_end(prefix);
        let within = |pods: &TextSet<Key>| pods.range::<_, str>((Bound::Included(prefix), Bound::Excluded(&*end))).count();
        self.by_node.get(node).map_or(0, within)
    }
    /// The pods without a node.
    pub fn unbound(&self) -> &TextSet<Key> {
        &self.unbound
    }
}

/// `spec.nodeName`, if it is set.
pub fn node_name(pod: &Object) -> Option<&Rc<str>> {
    pod.at(&["spec", "nodeName"])?.as_rc_str().filter(|n| !n.is_empty())
}

/// The object with its revision in it.
pub fn stamp(mut object: Object, revision: i64) -> Object {
    object.set_at(&["metadata", "resourceVersion"], revision.to_string());
    object
}
