//! How a key is found among those of one node.
//!
//! The keys of a cluster's large maps are texts that begin alike (`/registry/pods/default/web-7d4b9c5f8-`), each a block of its own:
//! comparing them one by one costs a miss of the cache each. [`Heads`] keeps what tells a node's keys apart, sixteen bytes of
//! each, beside one another. Data bases call it prefix truncation with normalized keys.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::rc::Rc;

/// A node with fewer keys compares them as they are.
const MIN_KEYS: usize = 8;

/// What a node knows about its keys to find one of them.
pub trait Finder<K>: Clone {
    fn of<T>(list: &[(K, T)]) -> Self;
    /// A key was put in at `at`.
    fn put<T>(&mut self, list: &[(K, T)], at: usize);
    /// The key at `at` was taken out.
    fn removed(&mut self, at: usize);
}

/// Finding a key of a kind.
pub trait Find<Q: ?Sized> {
    /// Where the key is, or where it would be.
    fn find<K: Borrow<Q>, T>(&self, list: &[(K, T)], key: &Q) -> Result<usize, usize>;
}

/// Nothing: keys are compared as they are.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl<K> Finder<K> for Plain {
    fn of<T>(_: &[(K, T)]) -> Plain {
        Plain
    }
    fn put<T>(&mut self, _: &[(K, T)], _: usize) {}
    fn removed(&mut self, _: usize) {}
}

impl<Q: Ord + ?Sized> Find<Q> for Plain {
    fn find<K: Borrow<Q>, T>(&self, list: &[(K, T)], key: &Q) -> Result<usize, usize> {
        among(list, key)
    }
}

fn among<K: Borrow<Q>, T, Q: Ord + ?Sized>(list: &[(K, T)], key: &Q) -> Result<usize, usize> {
    list.binary_search_by(|(k, _)| k.borrow().cmp(key))
}

/// A key that is a text in two parts (a namespace and a name; a plain text has no first part), ordered by the first, then by the second.
/// The first has no NUL in it.
pub trait Text: Ord {
    fn parts(&self) -> Parts<'_>;
}

/// The parts of a [`Text`].
pub type Parts<'a> = (&'a [u8], &'a [u8]);

impl Text for str {
    fn parts(&self) -> Parts<'_> {
        (&[], self.as_bytes())
    }
}

impl Text for Rc<str> {
    fn parts(&self) -> Parts<'_> {
        (**self).parts()
    }
}

/// Of each key the sixteen bytes after those that all have in common. For this a text is its parts with a NUL between them.
#[derive(Clone, Debug)]
pub struct Heads {
    /// How many bytes all keys begin with.
    common: usize,
    /// None for a small node.
    heads: Vec<u128>,
}

impl<K: Text> Finder<K> for Heads {
    fn of<T>(list: &[(K, T)]) -> Heads {
        match list {
            [(first, _), .., (last, _)] if list.len() >= MIN_KEYS => {
                let common = common(first.parts(), last.parts());
                Heads { common, heads: list.iter().map(|(k, _)| head(k.parts(), common)).collect() }
            }
            _ => Heads { common: 0, heads: Vec::new() },
        }
    }
    fn put<T>(&mut self, list: &[(K, T)], at: usize) {
        if self.heads.is_empty() && list.len() < MIN_KEYS {
            return;
        }
        let (new, other) = (list[at].0.parts(), list[usize::from(at == 0)].0.parts());
        if !self.heads.is_empty() && compare(new, other, self.common).is_eq() {
            self.heads.insert(at, head(new, self.common));
        } else {
            *self = Heads::of(list);
        }
    }
    fn removed(&mut self, at: usize) {
        if !self.heads.is_empty() {
            self.heads.remove(at);
        }
    }
}

impl<Q: Text + ?Sized> Find<Q> for Heads {
    fn find<K: Borrow<Q>, T>(&self, list: &[(K, T)], key: &Q) -> Result<usize, usize> {
        if self.heads.is_empty() {
            return among(list, key);
        }
        let head = head(key.parts(), self.common);
        let alike = self.alike(head);
        // What is looked for is there, as a rule, and nothing else looks like it.
        if alike.len() == 1 && list[alike.start].0.borrow() == key {
            return Ok(alike.start);
        }
        match compare(key.parts(), list[0].0.borrow().parts(), self.common) {
            Ordering::Less => Err(0),
            Ordering::Greater => Err(list.len()),
            Ordering::Equal => {
                let start = alike.start;
                among(&list[alike], key).map(|i| start + i).map_err(|i| start + i)
            }
        }
    }
}

impl Heads {
    /// The keys with this head; an empty range where they would be.
    #[inline(never)]
    fn alike(&self, head: u128) -> std::ops::Range<usize> {
        let start = self.heads.partition_point(|h| *h < head);
        start..start + self.heads[start..].iter().take_while(|h| **h == head).count()
    }
}

/// Sixteen bytes from the `from`-th on, as a number: what is beyond the end is 0.
#[inline(never)]
fn head((a, b): Parts, from: usize) -> u128 {
    let mut bytes = [0; 16];
    match from.checked_sub(a.len() + 1) {
        Some(from) => {
            let rest = b.get(from..).unwrap_or(&[]);
            match rest.first_chunk() {
                Some(all) => bytes = *all,
                None => bytes[..rest.len()].copy_from_slice(rest),
            }
        }
        None => bytes.iter_mut().zip(a[from..].iter().chain(&[0]).chain(b)).for_each(|(to, byte)| *to = *byte),
    }
    u128::from_be_bytes(bytes)
}

/// How many bytes two texts begin with both.
#[inline(never)]
fn common((a, b): Parts, (c, d): Parts) -> usize {
    let both = |x: &[u8], y: &[u8]| x.iter().zip(y).take_while(|(p, q)| p == q).count();
    if a == c { a.len() + 1 + both(b, d) } else { both(a, c) }
}

/// How the beginning of a text compares with the first `n` bytes of another, which has that many.
#[inline(never)]
fn compare((a, b): Parts, (c, d): Parts, n: usize) -> Ordering {
    let begin = |x: &[u8], y: &[u8], n: usize| x[..n.min(x.len())].cmp(&y[..n]);
    match n.checked_sub(c.len() + 1) {
        Some(n) if std::ptr::eq(a, c) => begin(b, d, n),
        Some(n) => a.cmp(c).then_with(|| begin(b, d, n)),
        None => begin(a, c, n),
    }
}
