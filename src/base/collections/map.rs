//! An ordered map as a B+ tree of shared nodes.

mod tree;

use std::borrow::Borrow;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

pub use tree::TreeNode;

/// The most that a node holds.
const MAX: usize = 32;
/// A node with less than this is put together with a neighbour, if both fit into one.
const MIN: usize = 10;

/// An ordered persistent map. Clone is O(1).
pub struct Map<K, V> {
    root: Option<Rc<Node<K, V>>>,
    len: usize,
}

/// Entries in order, or children in order with a key that is not above their first (and above all keys before).
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Branch(Vec<(K, Rc<Node<K, V>>)>),
}

impl<K: Clone, V: Clone> Clone for Node<K, V> {
    fn clone(&self) -> Node<K, V> {
        match self {
            Node::Leaf(entries) => Node::Leaf(entries.clone()),
            Node::Branch(children) => Node::Branch(children.clone()),
        }
    }
}

impl<K, V> Node<K, V> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(children) => children.len(),
        }
    }
}

/// The child in which a key is, if it is anywhere.
fn child_of<K: Borrow<Q>, N, Q: Ord + ?Sized>(children: &[(K, N)], key: &Q) -> usize {
    children.partition_point(|(first, _)| first.borrow() <= key).saturating_sub(1)
}

fn search<K: Borrow<Q>, V, Q: Ord + ?Sized>(entries: &[(K, V)], key: &Q) -> Result<usize, usize> {
    entries.binary_search_by(|(k, _)| k.borrow().cmp(key))
}

/// Puts an item into a full or not full list; the part that no longer fits comes back. What grows at its end leaves full nodes
/// behind.
fn put_in<T>(list: &mut Vec<T>, at: usize, item: T) -> Option<Vec<T>> {
    if list.len() < MAX {
        list.insert(at, item);
        return None;
    }
    if at == list.len() {
        return Some(vec![item]);
    }
    let mut right = list.split_off(MAX / 2);
    if at <= MAX / 2 {
        list.insert(at, item)
    } else {
        right.insert(at - MAX / 2, item)
    }
    Some(right)
}

type Split<K, V> = Option<(K, Rc<Node<K, V>>)>;

impl<K: Ord + Clone, V: Clone> Node<K, V> {
    /// What was there under the key, and the new right neighbour of this node, if it had to be split.
    fn put(node: &mut Rc<Node<K, V>>, key: K, value: V) -> (Option<V>, Split<K, V>) {
        match Rc::make_mut(node) {
            Node::Leaf(entries) => match search(entries, &key) {
                Ok(i) => (Some(std::mem::replace(&mut entries[i].1, value)), None),
                Err(i) => {
                    let right = put_in(entries, i, (key, value));
                    (None, right.map(|right| (right[0].0.clone(), Rc::new(Node::Leaf(right)))))
                }
            },
            Node::Branch(children) => {
                let i = child_of(children, &key);
                let (old, split) = Node::put(&mut children[i].1, key, value);
                let right = split.and_then(|child| put_in(children, i + 1, child));
                (old, right.map(|right| (right[0].0.clone(), Rc::new(Node::Branch(right)))))
            }
        }
    }

    /// Takes out an entry that is there.
    fn take<Q: Ord + ?Sized>(node: &mut Rc<Node<K, V>>, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match Rc::make_mut(node) {
            Node::Leaf(entries) => search(entries, key).ok().map(|i| entries.remove(i).1),
            Node::Branch(children) => {
                let i = child_of(children, key);
                let taken = Node::take(&mut children[i].1, key);
                match children[i].1.len() {
                    0 => drop(children.remove(i)),
                    n if n < MIN => merge(children, i),
                    _ => {}
                }
                taken
            }
        }
    }

    fn get_mut<'a, Q: Ord + ?Sized>(node: &'a mut Rc<Node<K, V>>, key: &Q) -> Option<&'a mut V>
    where
        K: Borrow<Q>,
    {
        match Rc::make_mut(node) {
            Node::Leaf(entries) => search(entries, key).ok().map(|i| &mut entries[i].1),
            Node::Branch(children) => {
                let i = child_of(children, key);
                Node::get_mut(&mut children[i].1, key)
            }
        }
    }
}

/// Puts a small child together with a neighbour.
fn merge<K: Clone, V: Clone>(children: &mut Vec<(K, Rc<Node<K, V>>)>, i: usize) {
    let left = if i + 1 < children.len() { i } else { i.saturating_sub(1) };
    if left + 1 >= children.len() || children[left].1.len() + children[left + 1].1.len() > MAX {
        return;
    }
    let (_, right) = children.remove(left + 1);
    match (Rc::make_mut(&mut children[left].1), Rc::unwrap_or_clone(right)) {
        (Node::Leaf(a), Node::Leaf(b)) => a.extend(b),
        (Node::Branch(a), Node::Branch(b)) => a.extend(b),
        _ => unreachable!("neighbours are of one depth"),
    }
}

impl<K, V> Map<K, V> {
    pub fn new() -> Map<K, V> {
        Map { root: None, len: 0 }
    }
    pub fn len(&self) -> usize {
        self.len
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    pub fn clear(&mut self) {
        *self = Map::new();
    }
    /// Whether both are the same allocation.
    pub fn ptr_eq(&self, other: &Map<K, V>) -> bool {
        match (&self.root, &other.root) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    /// All entries in order.
    pub fn iter(&self) -> Iter<'_, K, V> {
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
        self.iter().next()
    }
    /// The last entry.
    pub fn get_max(&self) -> Option<(&K, &V)> {
        self.iter().next_back()
    }
}

impl<K: Ord, V> Map<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Leaf(entries) => return search(entries, key).ok().map(|i| &entries[i].1),
                Node::Branch(children) => node = &children[child_of(children, key)].1,
            }
        }
    }
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The entries of a range of keys, in order.
    pub fn range<R: RangeBounds<Q>, Q: Ord + ?Sized>(&self, range: R) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
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

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    /// Puts a value in; returns what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Rc::new(Node::Leaf(vec![(key, value)])));
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
            self.root = Some(Rc::new(Node::Branch(vec![(first, left), right])));
        }
        old
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
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
    {
        Node::get_mut(self.root.as_mut()?, key)
    }

    /// The place of a key, to be filled or written to.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
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
pub struct Entry<'a, K, V> {
    map: &'a mut Map<K, V>,
    key: K,
}

impl<'a, K: Ord + Clone, V: Clone> Entry<'a, K, V> {
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

/// A place between two entries of a map: `leaf[..at]` and what is left of the path is before it.
struct Cursor<'a, K, V> {
    /// Branches above the leaf, each with the child that is on the way.
    path: Vec<(&'a [(K, Rc<Node<K, V>>)], usize)>,
    leaf: &'a [(K, V)],
    at: usize,
}

impl<'a, K, V> Cursor<'a, K, V> {
    /// Before all (or after all) entries.
    fn at_end(root: Option<&'a Node<K, V>>, last: bool) -> Cursor<'a, K, V> {
        let mut cursor = Cursor { path: Vec::new(), leaf: &[], at: 0 };
        if let Some(node) = root {
            cursor.descend(node, last);
        }
        cursor
    }

    fn descend(&mut self, mut node: &'a Node<K, V>, last: bool) {
        loop {
            match node {
                Node::Leaf(entries) => {
                    self.leaf = entries;
                    self.at = if last { entries.len() } else { 0 };
                    return;
                }
                Node::Branch(children) => {
                    let i = if last { children.len() - 1 } else { 0 };
                    self.path.push((children, i));
                    node = &children[i].1;
                }
            }
        }
    }

    /// Before the first entry whose key is not `less`, which must be about `key`.
    fn before<Q: Ord + ?Sized>(root: Option<&'a Node<K, V>>, key: &Q, less: impl Fn(&Q) -> bool) -> Cursor<'a, K, V>
    where
        K: Borrow<Q>,
    {
        let mut cursor = Cursor { path: Vec::new(), leaf: &[], at: 0 };
        let Some(mut node) = root else { return cursor };
        loop {
            match node {
                Node::Leaf(entries) => {
                    cursor.leaf = entries;
                    cursor.at = entries.partition_point(|(k, _)| less(k.borrow()));
                    return cursor;
                }
                Node::Branch(children) => {
                    let i = child_of(children, key);
                    cursor.path.push((children, i));
                    node = &children[i].1;
                }
            }
        }
    }

    /// Goes to the neighbouring leaf; `false`: there is none.
    fn next_leaf(&mut self, backwards: bool) -> bool {
        while let Some((children, i)) = self.path.pop() {
            let next = if backwards { i.checked_sub(1) } else { Some(i + 1).filter(|i| *i < children.len()) };
            if let Some(next) = next {
                self.path.push((children, next));
                self.descend(&children[next].1, backwards);
                return true;
            }
        }
        false
    }
}

impl<K, V> Clone for Cursor<'_, K, V> {
    fn clone(&self) -> Self {
        Cursor { path: self.path.clone(), leaf: self.leaf, at: self.at }
    }
}

/// The entries of a map or of a range of it, in order.
pub struct Iter<'a, K, V> {
    front: Cursor<'a, K, V>,
    back: Cursor<'a, K, V>,
}

impl<K, V> Iter<'_, K, V> {
    fn is_over(&self) -> bool {
        std::ptr::eq(self.front.leaf, self.back.leaf) && self.front.at >= self.back.at
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        while !self.is_over() {
            if let Some((k, v)) = self.front.leaf.get(self.front.at) {
                self.front.at += 1;
                return Some((k, v));
            }
            if !self.front.next_leaf(false) {
                break;
            }
        }
        None
    }
}

impl<'a, K, V> DoubleEndedIterator for Iter<'a, K, V> {
    fn next_back(&mut self) -> Option<(&'a K, &'a V)> {
        while !self.is_over() {
            if let Some(at) = self.back.at.checked_sub(1) {
                self.back.at = at;
                let (k, v) = &self.back.leaf[at];
                return Some((k, v));
            }
            if !self.back.next_leaf(true) {
                break;
            }
        }
        None
    }
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Iter { front: self.front.clone(), back: self.back.clone() }
    }
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Map<K, V> {
        Map { root: self.root.clone(), len: self.len }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Map<K, V> {
        Map::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Map<K, V>) -> bool {
        self.len == other.len && (self.ptr_eq(other) || self.iter().eq(other.iter()))
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Map<K, V> {
        let mut map = Map::new();
        map.extend(entries);
        map
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;
    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K: Clone, V: Clone> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        let entries: Vec<(K, V)> = self.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use std::collections::BTreeMap;

    /// Does the same to both, and compares everything that can be asked.
    #[test]
    fn it_does_what_an_ordered_map_does() {
        let seed = Seed(7);
        let (mut map, mut model) = (Map::new(), BTreeMap::new());
        let mut snapshots = Vec::new();
        for n in 0..20_000_u64 {
            let key = seed.below(n * 3, 3_000);
            // First it grows, then it shrinks.
            if seed.below(n * 3 + 1, 100) < if n < 8_000 { 80 } else { 35 } {
                assert_eq!(map.insert(key, n), model.insert(key, n));
            } else {
                assert_eq!(map.remove(&key), model.remove(&key));
            }
            if let Some(v) = map.get_mut(&(key + 1)) {
                *v += 1;
                *model.get_mut(&(key + 1)).unwrap() += 1;
            }
            if n % 2_500 == 0 {
                snapshots.push((map.clone(), model.clone()));
            }
        }
        snapshots.push((map, model));
        for (map, model) in &snapshots {
            assert_eq!(map.len(), model.len());
            assert!(map.iter().eq(model.iter()));
            assert!(map.iter().rev().eq(model.iter().rev()));
            assert_eq!(map.get_min(), model.iter().next());
            assert_eq!(map.get_max(), model.iter().next_back());
            for at in (0..3_000).step_by(37) {
                assert_eq!(map.get(&at), model.get(&at));
                assert!(map.range(at..at + 90).eq(model.range(at..at + 90)));
                assert!(map.range(at..=at).rev().eq(model.range(at..=at).rev()));
                assert!(map.range(..at).rev().eq(model.range(..at).rev()));
                let after = (Bound::Excluded(at), Bound::Unbounded);
                assert!(map.range(after).eq(model.range(after)));
            }
        }
    }

    #[test]
    fn both_ends_of_an_iterator_meet() {
        let map: Map<u32, u32> = (0..500).map(|n| (n, n)).collect();
        let mut iter = map.iter();
        let mut seen = Vec::new();
        while let Some((a, _)) = iter.next() {
            seen.push(*a);
            seen.extend(iter.next_back().map(|(b, _)| *b));
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..500));
        assert_eq!(
            map.range((Bound::Included(9), Bound::Excluded(3))).count()
                + map.range((Bound::Excluded(3), Bound::Excluded(3))).count(),
            0
        );
    }
}
