//! Answers that are only derived: kept beside the state, never part of it.

use base::Lookup;
use std::cell::RefCell;

/// A lookup table that a clone starts without. Never iterated, so that its order can't show.
pub struct Memo<K, V>(RefCell<Lookup<K, V>>);

/// Beyond this many entries a memo starts over.
const MAX_ENTRIES: usize = 200_000;

impl<K: std::hash::Hash + Eq, V: Clone> Memo<K, V> {
    pub fn get_or(&self, key: K, make: impl FnOnce() -> V) -> V {
        if let Some(v) = self.0.borrow().get(&key) {
            return v.clone();
        }
        let v = make();
        let mut map = self.0.borrow_mut();
        if map.len() >= MAX_ENTRIES {
            map.clear();
        }
        map.insert(key, v.clone());
        v
    }
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Memo<K, V> {
        Memo(RefCell::default())
    }
}

impl<K, V> Clone for Memo<K, V> {
    fn clone(&self) -> Memo<K, V> {
        Memo::default()
    }
}
