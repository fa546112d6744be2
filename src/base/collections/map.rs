//! An ordered map as a B+ tree of shared nodes ([`node`]): the state that grows of every component lies in these.

mod find;
mod iter;
mod node;
#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Borrow;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

pub use iter::Iter;
pub use tree::TreeNode;

pub use find::{Find, Finder, Heads, Parts, Plain, Text};

use iter::Cursor;
use node::{Items, Node};

/// An ordered persistent map. Clone is O(1). `F`: how a key is found in a node.
pub struct Tree<K, V, F> {
    root: Option<Rc<Node<K, V, F>>>,
    len: usize,
}

/// An ordered persistent map. Clone is O(1).
pub type Map<K, V> = Tree<K, V, Plain>;

/// A [`Map`] whose keys are texts: a large one is searched faster, a small one as any other.
pub type TextMap<K, V> = Tree<K, V, Heads>;

impl<K, V, F> Tree<K, V, F> {
    pub fn new() -> Tree<K, V, F> {
        Tree { root: None, len: 0 }
    }
    pub fn len(&self) -> usize {
        self.len
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    pub fn clear(&mut self) {
        *self = Tree::new();
    }
    /// Whether both are the same allocation.
    pub fn ptr_eq(&self, other: &Tree<K, V, F>) -> bool {
        match (&self.root, &other.root) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    /// All entries in order.
    pub fn iter(&self) -> Iter<'_, K, V, F> {
        Iter { front: Cursor::at_end(self.root.as_deref(), false), back: Cursor::at_end(self.root.as_deref(), true) }
    }
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(k, _)| k)
    }
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, v)| v)
    }
    /// The first entry.
    pub fn get_min(&self) -> Option<(&K, &V)> {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Leaf(entries) => return entries.first().map(|(k, v)| (k, v)),
                Node::Branch(children) => node = &children.first()?.1,
            }
        }
    }
    /// The last entry.
    pub fn get_max(&self) -> Option<(&K, &V)> {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Leaf(entries) => return entries.last().map(|(k, v)| (k, v)),
                Node::Branch(children) => node = &children.last()?.1,
            }
        }
    }
}

impl<K: Ord, V, F> Tree<K, V, F> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Leaf(entries) => return entries.search(key).ok().map(|i| &entries[i].1),
                Node::Branch(children) => node = &children[children.child_of(key)].1,
            }
        }
    }
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        self.get(key).is_some()
    }

    /// The entries of a range of keys, in order.
    pub fn range<R: RangeBounds<Q>, Q: Ord + ?Sized>(&self, range: R) -> Iter<'_, K, V, F>
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        let root = self.root.as_deref();
        let is_nothing = match (range.start_bound(), range.end_bound()) {
            (Bound::Included(a), Bound::Included(b)) => a > b,
            (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
            _ => false,
        };
        if is_nothing {
            return Iter { front: Cursor::at_end(None, false), back: Cursor::at_end(None, true) };
        }
        let front = match range.start_bound() {
            Bound::Unbounded => Cursor::at_end(root, false),
            Bound::Included(key) => Cursor::before(root, key, |k| k < key),
            Bound::Excluded(key) => Cursor::before(root, key, |k| k <= key),
        };
        let back = match range.end_bound() {
            Bound::Unbounded => Cursor::at_end(root, true),
            Bound::Included(key) => Cursor::before(root, key, |k| k <= key),
            Bound::Excluded(key) => Cursor::before(root, key, |k| k < key),
        };
        Iter { front, back }
    }
}

impl<K: Ord + Clone, V: Clone, F: Finder<K> + Find<K>> Tree<K, V, F> {
    /// Puts a value in; returns what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Rc::new(Node::Leaf(Items::of(vec![(key, value)]))));
            self.len = 1;
            return None;
        };
        let (old, split) = Node::put(root, key, value);
        self.len += usize::from(old.is_none());
        if let Some(right) = split {
            let left = root.clone();
            let first = match &*left {
                Node::Leaf(entries) => entries[0].0.clone(),
                Node::Branch(children) => children[0].0.clone(),
            };
            self.root = Some(Rc::new(Node::Branch(Items::of(vec![(first, left), right]))));
        }
        old
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        // What isn't there must not cost a copy of the path.
        self.get(key)?;
        let root = self.root.as_mut()?;
        let taken = Node::take(root, key);
        self.len -= 1;
        match &**root {
            Node::Branch(children) if children.len() == 1 => {
                let only = children[0].1.clone();
                self.root = Some(only);
            }
            node if node.len() == 0 => self.root = None,
            _ => {}
        }
        taken
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        Node::get_mut(self.root.as_mut()?, key)
    }

    /// The place of a key, to be filled or written to.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V, F> {
        Entry { map: self, key }
    }

    /// Keeps the entries for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let gone: Vec<K> = self.iter().filter(|(k, v)| !keep(k, v)).map(|(k, _)| k.clone()).collect();
        for key in &gone {
            self.remove(key);
        }
    }
}

/// The place of a key in a map.
pub struct Entry<'a, K, V, F> {
    map: &'a mut Tree<K, V, F>,
    key: K,
}

impl<'a, K: Ord + Clone, V: Clone, F: Finder<K> + Find<K>> Entry<'a, K, V, F> {
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        if !self.map.contains_key(&self.key) {
            self.map.insert(self.key.clone(), make());
        }
        self.map.get_mut(&self.key).expect("it is there now")
    }
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V, F> Clone for Tree<K, V, F> {
    fn clone(&self) -> Tree<K, V, F> {
        Tree { root: self.root.clone(), len: self.len }
    }
}

impl<K, V, F> Default for Tree<K, V, F> {
    fn default() -> Tree<K, V, F> {
        Tree::new()
    }
}

impl<K: PartialEq, V: PartialEq, F> PartialEq for Tree<K, V, F> {
    fn eq(&self, other: &Tree<K, V, F>) -> bool {
        self.len == other.len && (self.ptr_eq(other) || self.iter().eq(other.iter()))
    }
}

impl<K: Eq, V: Eq, F> Eq for Tree<K, V, F> {}

impl<K: fmt::Debug, V: fmt::Debug, F> fmt::Debug for Tree<K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord + Clone, V: Clone, F: Finder<K> + Find<K>> Extend<(K, V)> for Tree<K, V, F> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord + Clone, V: Clone, F: Finder<K> + Find<K>> FromIterator<(K, V)> for Tree<K, V, F> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Tree<K, V, F> {
        let mut map = Tree::new();
        map.extend(entries);
        map
    }
}

impl<'a, K, V, F> IntoIterator for &'a Tree<K, V, F> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V, F>;
    fn into_iter(self) -> Iter<'a, K, V, F> {
        self.iter()
    }
}

impl<K: Clone, V: Clone, F> IntoIterator for Tree<K, V, F> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        let entries: Vec<(K, V)> = self.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        entries.into_iter()
    }
}
