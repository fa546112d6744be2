//! The nodes of the B+ tree behind a map: shared, copied when written to, split when full, put together with a neighbour when small.

use std::borrow::Borrow;
use std::ops::Deref;
use std::rc::Rc;

use super::find::{Find, Finder};

/// The most that a node holds.
const MAX: usize = 32;
/// A node with less than this is put together with a neighbour, if both fit into one.
const MIN: usize = 10;

/// Puts an item into a full or not full list; the part that no longer fits comes back. What grows at its end leaves full nodes
/// behind. (A function of its own: it is the same for all items of one size, and then in the module once.)
#[inline(never)]
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

/// Keys in order, each with what is under it.
pub(super) struct Items<K, T, F> {
    list: Vec<(K, T)>,
    finder: F,
}

impl<K: Clone, T: Clone, F: Clone> Clone for Items<K, T, F> {
    fn clone(&self) -> Items<K, T, F> {
        Items { list: self.list.clone(), finder: self.finder.clone() }
    }
}

impl<K, T, F> Deref for Items<K, T, F> {
    type Target = [(K, T)];
    fn deref(&self) -> &[(K, T)] {
        &self.list
    }
}

impl<K, T, F> Items<K, T, F> {
    /// Where the key is, or where it would be.
    pub(super) fn search<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        self.finder.find(&self.list, key)
    }
    /// Of children: the one in which a key is, if it is anywhere.
    pub(super) fn child_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        self.finder.child(&self.list, key)
    }
}

impl<K: Clone, T, F: Finder<K>> Items<K, T, F> {
    pub(super) fn of(list: Vec<(K, T)>) -> Items<K, T, F> {
        let finder = F::of(&list);
        Items { list, finder }
    }

    /// Puts an item in; the part that no longer fits comes back.
    fn put(&mut self, at: usize, item: (K, T)) -> Option<Items<K, T, F>> {
        let right = put_in(&mut self.list, at, item);
        match right {
            None => self.finder.put(&self.list, at),
            Some(_) => self.finder = F::of(&self.list),
        }
        right.map(Items::of)
    }

    /// The first has a lower key now.
    fn lower(&mut self, key: K) {
        self.finder.removed(0);
        self.list[0].0 = key;
        self.finder.put(&self.list, 0);
    }

    fn remove(&mut self, at: usize) -> T {
        self.finder.removed(at);
        self.list.remove(at).1
    }

    fn append(&mut self, other: Items<K, T, F>) {
        self.list.extend(other.list);
        self.finder = F::of(&self.list);
    }
}

/// Entries in order, or children in order, each with a key that is not above its first and above all keys before. (The first child's
/// key may be above its first, unless [`Finder::LOWERS`]: what is below all others is looked for there anyway.)
pub(super) enum Node<K, V, F> {
    Leaf(Items<K, V, F>),
    Branch(Items<K, Rc<Node<K, V, F>>, F>),
}

impl<K: Clone, V: Clone, F: Clone> Clone for Node<K, V, F> {
    fn clone(&self) -> Node<K, V, F> {
        match self {
            Node::Leaf(entries) => Node::Leaf(entries.clone()),
            Node::Branch(children) => Node::Branch(children.clone()),
        }
    }
}

impl<K, V, F> Node<K, V, F> {
    pub(super) fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(children) => children.len(),
        }
    }
}

type Split<K, V, F> = Option<(K, Rc<Node<K, V, F>>)>;

impl<K: Ord + Clone, V: Clone, F: Finder<K>> Node<K, V, F> {
    /// What was there under the key, and the new right neighbour of this node, if it had to be split.
    pub(super) fn put(node: &mut Rc<Node<K, V, F>>, key: K, value: V) -> (Option<V>, Split<K, V, F>)
    where
        F: Find<K>,
    {
        match Rc::make_mut(node) {
            Node::Leaf(entries) => match entries.search(&key) {
                Ok(i) => (Some(std::mem::replace(&mut entries.list[i].1, value)), None),
                Err(i) => {
                    let right = entries.put(i, (key, value));
                    (None, right.map(|right| (right[0].0.clone(), Rc::new(Node::Leaf(right)))))
                }
            },
            Node::Branch(children) => {
                let i = children.child_of(&key);
                if F::LOWERS && i == 0 && key < children[0].0 {
                    children.lower(key.clone());
                }
                let (old, split) = Node::put(&mut children.list[i].1, key, value);
                let right = split.and_then(|child| children.put(i + 1, child));
                (old, right.map(|right| (right[0].0.clone(), Rc::new(Node::Branch(right)))))
            }
        }
    }

    /// Takes out an entry that is there.
    pub(super) fn take<Q: Ord + ?Sized>(node: &mut Rc<Node<K, V, F>>, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        match Rc::make_mut(node) {
            Node::Leaf(entries) => entries.search(key).ok().map(|i| entries.remove(i)),
            Node::Branch(children) => {
                let i = children.child_of(key);
                let taken = Node::take(&mut children.list[i].1, key);
                match children[i].1.len() {
                    0 => drop(children.remove(i)),
                    n if n < MIN => merge(children, i),
                    _ => {}
                }
                taken
            }
        }
    }

    pub(super) fn get_mut<'a, Q: Ord + ?Sized>(node: &'a mut Rc<Node<K, V, F>>, key: &Q) -> Option<&'a mut V>
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        match Rc::make_mut(node) {
            Node::Leaf(entries) => entries.search(key).ok().map(|i| &mut entries.list[i].1),
            Node::Branch(children) => {
                let i = children.child_of(key);
                Node::get_mut(&mut children.list[i].1, key)
            }
        }
    }
}

/// Puts a small child together with a neighbour.
fn merge<K: Clone, V: Clone, F: Finder<K>>(children: &mut Items<K, Rc<Node<K, V, F>>, F>, i: usize) {
    let left = if i + 1 < children.len() { i } else { i.saturating_sub(1) };
    if left + 1 >= children.len() || children[left].1.len() + children[left + 1].1.len() > MAX {
        return;
    }
    let right = children.remove(left + 1);
    match (Rc::make_mut(&mut children.list[left].1), Rc::unwrap_or_clone(right)) {
        (Node::Leaf(a), Node::Leaf(b)) => a.append(b),
        (Node::Branch(a), Node::Branch(b)) => a.append(b),
        _ => unreachable!("neighbours are of one depth"),
    }
}
