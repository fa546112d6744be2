//! The store from outside, for the page: the end of its log with what compaction would take, a key's history, and the tree.

use std::rc::Rc;

use base::Time;
use etcd_api::{Key, KeyValue};

use super::{Entry, Store};

/// One change of one key, as it lies in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct EntrySeen {
    pub revision: i64,
    pub at: Time,
    pub key: Key,
    /// 0: the key was deleted.
    pub version: i64,
    pub cause: u64,
    /// A newer change of its key exists, or it is a deletion: the next compaction takes it.
    pub superseded: bool,
}

/// One node of the tree, on the way to a key.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSeen {
    /// The keys with the revision of their newest change (inner nodes: of children, 0).
    pub keys: Vec<(Key, i64)>,
    /// The child on the way; in a leaf the key's place.
    pub at: usize,
    pub is_leaf: bool,
}

impl Store {
    fn seen(&self, entry: &Entry, position: u64) -> EntrySeen {
        let newest = self.keys.get(&*entry.key).is_some_and(|slot| slot.last == position);
        EntrySeen {
            revision: entry.revision,
            at: entry.at,
            key: entry.key.clone(),
            version: entry.kv.as_ref().map_or(0, |kv| kv.version),
            cause: entry.cause,
            superseded: !newest || entry.kv.is_none(),
        }
    }

    /// The last `n` entries of the log, oldest first.
    pub fn last_entries(&self, n: usize) -> Vec<EntrySeen> {
        let from = self.log.len().saturating_sub(n);
        self.log.range(from..).enumerate().map(|(i, e)| self.seen(e, self.first + (from + i) as u64)).collect()
    }

    /// The entries of a key that are still in the log, newest first, at most `n`.
    pub fn history(&self, key: &str, n: usize) -> Vec<EntrySeen> {
        let mut history = Vec::new();
        let mut next = self.keys.get(key).map(|slot| slot.last);
        while let Some(position) = next.filter(|p| *p >= self.first && history.len() < n) {
            let Some(entry) = self.log.get((position - self.first) as usize).filter(|e| *e.key == *key) else { break };
            history.push(self.seen(entry, position));
            next = (entry.prev.is_some() && entry.prev_position < position).then_some(entry.prev_position);
        }
        history
    }

    /// How many nodes the tree of keys has on each level, from the root to the leaves.
    pub fn tree_levels(&self) -> Vec<usize> {
        self.keys.levels()
    }

    /// The nodes from the root to the leaf of a key.
    pub fn way_to(&self, key: &str) -> Vec<NodeSeen> {
        let revision = |key: &Key| {
            let slot = self.keys.get(&**key)?;
            let deleted = || Some(self.log.get(slot.last.checked_sub(self.first)? as usize)?.revision);
            slot.kv.as_ref().map_or_else(deleted, |kv: &Rc<KeyValue>| Some(kv.mod_revision))
        };
        let node = |n: base::TreeNode<'_, Key>| NodeSeen {
            keys: n.keys.iter().map(|k| ((*k).clone(), if n.is_leaf { revision(k).unwrap_or(0) } else { 0 })).collect(),
            at: n.at,
            is_leaf: n.is_leaf,
        };
        self.keys.path_to(key).into_iter().map(node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etcd_api::Stored;

    #[test]
    fn what_compaction_takes_is_marked_and_the_tree_is_walked() {
        let mut store = Store::default();
        let put = |store: &mut Store, key: &str, text: &str| {
            let stamp = store.next(Time::EPOCH, 7);
            store.put(&key.into(), Stored::Bytes(text.as_bytes().into()), 0, stamp);
            store.commit(stamp);
        };
        for n in 0..100 {
            put(&mut store, &format!("/k/{n:03}"), "a");
        }
        put(&mut store, "/k/005", "b");
        put(&mut store, "/k/005", "c");
        let stamp = store.next(Time::EPOCH, 8);
        store.delete("/k/006", stamp);
        store.commit(stamp);
        let last: Vec<(i64, i64, bool)> = store.last_entries(4).iter().map(|e| (e.revision, e.version, e.superseded)).collect();
        assert_eq!(last, [(101, 1, false), (102, 2, true), (103, 3, false), (104, 0, true)]);
        let history: Vec<i64> = store.history("/k/005", 9).iter().map(|e| e.revision).collect();
        assert_eq!(history, [103, 102, 7]);
        store.compact(103).unwrap();
        assert_eq!(store.history("/k/005", 9).len(), 1);
        let way = store.way_to("/k/005");
        let leaf = way.last().unwrap();
        assert!(way.len() == store.tree_levels().len() && leaf.is_leaf && !way[0].is_leaf);
        assert_eq!(leaf.keys[leaf.at], ("/k/005".into(), 103));
        assert_eq!(leaf.keys[leaf.at + 1], ("/k/006".into(), 104));
    }
}
