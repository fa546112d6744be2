//! Going through a map, or a range of its keys, from both ends: a cursor is a path from the root to a leaf.

use std::borrow::Borrow;
use std::rc::Rc;

use super::find::Find;
use super::node::Node;

/// A place between two entries of a map: `leaf[..at]` and what is left of the path is before it.
pub(super) struct Cursor<'a, K, V, F> {
    /// Branches above the leaf, each with the child that is on the way.
    path: Vec<(&'a [(K, Rc<Node<K, V, F>>)], usize)>,
    leaf: &'a [(K, V)],
    at: usize,
}

impl<'a, K, V, F> Cursor<'a, K, V, F> {
    /// Before all (or after all) entries.
    pub(super) fn at_end(root: Option<&'a Node<K, V, F>>, last: bool) -> Cursor<'a, K, V, F> {
        let mut cursor = Cursor { path: Vec::new(), leaf: &[], at: 0 };
        if let Some(node) = root {
            cursor.descend(node, last);
        }
        cursor
    }

    fn descend(&mut self, mut node: &'a Node<K, V, F>, last: bool) {
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
    pub(super) fn before<Q: Ord + ?Sized>(
        root: Option<&'a Node<K, V, F>>,
        key: &Q,
        less: impl Fn(&Q) -> bool,
    ) -> Cursor<'a, K, V, F>
    where
        K: Borrow<Q>,
        F: Find<Q>,
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
                    let i = children.child_of(key);
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

impl<K, V, F> Clone for Cursor<'_, K, V, F> {
    fn clone(&self) -> Self {
        Cursor { path: self.path.clone(), leaf: self.leaf, at: self.at }
    }
}

/// The entries of a map or of a range of it, in order.
pub struct Iter<'a, K, V, F> {
    pub(super) front: Cursor<'a, K, V, F>,
    pub(super) back: Cursor<'a, K, V, F>,
}

impl<K, V, F> Iter<'_, K, V, F> {
    fn is_over(&self) -> bool {
        std::ptr::eq(self.front.leaf, self.back.leaf) && self.front.at >= self.back.at
    }
}

impl<'a, K, V, F> Iterator for Iter<'a, K, V, F> {
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

impl<'a, K, V, F> DoubleEndedIterator for Iter<'a, K, V, F> {
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

impl<K, V, F> Clone for Iter<'_, K, V, F> {
    fn clone(&self) -> Self {
        Iter { front: self.front.clone(), back: self.back.clone() }
    }
}
