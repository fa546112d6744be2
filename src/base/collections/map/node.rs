//! The nodes of the B+ tree behind a map: shared, copied when written to, split when full, put together with a neighbour when small.

use std::borrow::Borrow;
use std::rc::Rc;

/// The most that a node holds.
const MAX: usize = 32;
/// A node with less than this is put together with a neighbour, if both fit into one.
const MIN: usize = 10;

/// Entries in order, or children in order with a key that is not above their first (and above all keys before).
pub(super) enum Node<K, V> {
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
    pub(super) fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(children) => children.len(),
        }
    }
}

/// The child in which a key is, if it is anywhere.
pub(super) fn child_of<K: Borrow<Q>, N, Q: Ord + ?Sized>(children: &[(K, N)], key: &Q) -> usize {
    children.partition_point(|(first, _)| first.borrow() <= key).saturating_sub(1)
}

pub(super) fn search<K: Borrow<Q>, V, Q: Ord + ?Sized>(entries: &[(K, V)], key: &Q) -> Result<usize, usize> {
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
    pub(super) fn put(node: &mut Rc<Node<K, V>>, key: K, value: V) -> (Option<V>, Split<K, V>) {
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
    pub(super) fn take<Q: Ord + ?Sized>(node: &mut Rc<Node<K, V>>, key: &Q) -> Option<V>
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

    pub(super) fn get_mut<'a, Q: Ord + ?Sized>(node: &'a mut Rc<Node<K, V>>, key: &Q) -> Option<&'a mut V>
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
