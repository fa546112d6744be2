//! An ordered set: a map to nothing.

use std::borrow::Borrow;
use std::fmt;
use std::ops::RangeBounds;

use super::map::{Find, Finder, Heads, Iter, Plain, Tree};

/// An ordered persistent set. Clone is O(1). `F`: how a key is found in a node.
pub struct KeySet<K, F>(Tree<K, (), F>);

/// An ordered persistent set. Clone is O(1).
pub type Set<K> = KeySet<K, Plain>;

/// A [`Set`] of texts: a large one is searched faster, a small one as any other.
pub type TextSet<K> = KeySet<K, Heads>;

impl<K, F> KeySet<K, F> {
    pub fn new() -> KeySet<K, F> {
        KeySet(Tree::new())
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn clear(&mut self) {
        self.0.clear();
    }
    pub fn iter(&self) -> Keys<'_, K, F> {
        Keys(self.0.iter())
    }
    pub fn get_min(&self) -> Option<&K> {
        self.iter().next()
    }
    pub fn get_max(&self) -> Option<&K> {
        self.iter().next_back()
    }
}

impl<K: Ord, F> KeySet<K, F> {
    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        self.0.contains_key(key)
    }
    pub fn range<R: RangeBounds<Q>, Q: Ord + ?Sized>(&self, range: R) -> Keys<'_, K, F>
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        Keys(self.0.range(range))
    }
}

impl<K: Ord + Clone, F: Finder<K> + Find<K>> KeySet<K, F> {
    /// Whether it was not there.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }
    /// Whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        self.0.remove(key).is_some()
    }
    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        self.0.retain(|k, ()| keep(k));
    }
}

/// The members of a set or of a range of it, in order.
pub struct Keys<'a, K, F>(Iter<'a, K, (), F>);

impl<'a, K, F> Iterator for Keys<'a, K, F> {
    type Item = &'a K;
    fn next(&mut self) -> Option<&'a K> {
        self.0.next().map(|(k, ())| k)
    }
}

impl<'a, K, F> DoubleEndedIterator for Keys<'a, K, F> {
    fn next_back(&mut self) -> Option<&'a K> {
        self.0.next_back().map(|(k, ())| k)
    }
}

impl<K, F> Clone for KeySet<K, F> {
    fn clone(&self) -> KeySet<K, F> {
        KeySet(self.0.clone())
    }
}

impl<K, F> Default for KeySet<K, F> {
    fn default() -> KeySet<K, F> {
        KeySet::new()
    }
}

impl<K: PartialEq, F> PartialEq for KeySet<K, F> {
    fn eq(&self, other: &KeySet<K, F>) -> bool {
        self.0 == other.0
    }
}

impl<K: Eq, F> Eq for KeySet<K, F> {}

impl<K: fmt::Debug, F> fmt::Debug for KeySet<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<K: Ord + Clone, F: Finder<K> + Find<K>> Extend<K> for KeySet<K, F> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        for key in keys {
            self.insert(key);
        }
    }
}

impl<K: Ord + Clone, F: Finder<K> + Find<K>> FromIterator<K> for KeySet<K, F> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> KeySet<K, F> {
        let mut set = KeySet::new();
        set.extend(keys);
        set
    }
}

impl<'a, K, F> IntoIterator for &'a KeySet<K, F> {
    type Item = &'a K;
    type IntoIter = Keys<'a, K, F>;
    fn into_iter(self) -> Keys<'a, K, F> {
        self.iter()
    }
}

impl<K: Clone, F> IntoIterator for KeySet<K, F> {
    type Item = K;
    type IntoIter = std::vec::IntoIter<K>;
    fn into_iter(self) -> Self::IntoIter {
        let keys: Vec<K> = self.iter().cloned().collect();
        keys.into_iter()
    }
}
