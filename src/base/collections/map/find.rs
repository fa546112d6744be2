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
    /// Whether a branch's first key has to be as low as what is below it.
    const LOWERS: bool;
    /// Of a list of keys in order.
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
    /// Of a branch's children the one in which the key is, if it is anywhere.
    fn child<K: Borrow<Q>, T>(&self, children: &[(K, T)], key: &Q) -> usize {
        self.find(children, key).unwrap_or_else(|i| i.saturating_sub(1))
    }
}

/// Nothing: keys are compared as they are.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl<K> Finder<K> for Plain {
    const LOWERS: bool = false;
    fn of<T>(_: &[(K, T)]) -> Plain {
        Plain
    }
    fn put<T>(&mut self, _: &[(K, T)], _: usize) {}
    fn removed(&mut self, _: usize) {}
}

impl<Q: Ord + ?Sized> Find<Q> for Plain {
    fn find<K: Borrow<Q>, T>(&self, list: &[(K, T)], key: &Q) -> Result<usize, usize> {
        list.binary_search_by(|(k, _)| k.borrow().cmp(key))
    }
    /// In less code: there are hundreds of kinds of maps.
    fn child<K: Borrow<Q>, T>(&self, children: &[(K, T)], key: &Q) -> usize {
        children.partition_point(|(first, _)| first.borrow() <= key).saturating_sub(1)
    }
}

/// A key that is a text in two parts (a namespace and a name; a plain text has no first part), ordered by the first, then by the
/// second. The first has no NUL in it.
pub trait Text: Ord {
    /// The first part and the second, as they are ordered.
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
    const LOWERS: bool = true;
    fn of<T>(list: &[(K, T)]) -> Heads {
        Heads::made(list.len(), &|i| list[i].0.parts())
    }
    fn put<T>(&mut self, list: &[(K, T)], at: usize) {
        self.take_in(at, list.len(), &|i| list[i].0.parts());
    }
    fn removed(&mut self, at: usize) {
        if !self.heads.is_empty() {
            self.heads.remove(at);
        }
    }
}

impl<Q: Text + ?Sized> Find<Q> for Heads {
    fn find<K: Borrow<Q>, T>(&self, list: &[(K, T)], key: &Q) -> Result<usize, usize> {
        self.search(key.parts(), list.len(), &|i| list[i].0.borrow().parts())
    }
}

/// The keys of a node. (Not generic: what follows is in the module once, not for each kind of map.)
type Keys<'a, 'k> = &'a dyn Fn(usize) -> Parts<'k>;

impl Heads {
    #[inline(never)]
    fn made(len: usize, keys: Keys) -> Heads {
        if len < MIN_KEYS {
            return Heads { common: 0, heads: Vec::new() };
        }
        let common = common(keys(0), keys(len - 1));
        Heads { common, heads: (0..len).map(|i| head(keys(i), common)).collect() }
    }

    #[inline(never)]
    fn take_in(&mut self, at: usize, len: usize, keys: Keys) {
        if self.heads.is_empty() && len < MIN_KEYS {
            return;
        }
        let (new, other) = (keys(at), keys(usize::from(at == 0)));
        if !self.heads.is_empty() && compare(new, other, self.common).is_eq() {
            self.heads.insert(at, head(new, self.common));
        } else {
            *self = Heads::made(len, keys);
        }
    }

    #[inline(never)]
    fn search(&self, key: Parts, len: usize, keys: Keys) -> Result<usize, usize> {
        let (mut start, mut end) = (0, len);
        if !self.heads.is_empty() {
            let head = head(key, self.common);
            start = self.heads.partition_point(|h| *h < head);
            end = start + self.heads[start..].iter().take_while(|h| **h == head).count();
            // What is looked for is there, as a rule, and nothing else looks like it.
            if end == start + 1 && keys(start) == key {
                return Ok(start);
            }
            match compare(key, keys(0), self.common) {
                Ordering::Less => return Err(0),
                Ordering::Greater => return Err(len),
                Ordering::Equal => {}
            }
        }
        while start < end {
            let middle = (start + end) / 2;
            match whole(keys(middle), key) {
                Ordering::Less => start = middle + 1,
                Ordering::Greater => end = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(start)
    }
}

/// How two texts compare. Those of one namespace mostly share its name.
fn whole((a, b): Parts, (c, d): Parts) -> Ordering {
    let first = if std::ptr::eq(a, c) { Ordering::Equal } else { a.cmp(c) };
    first.then_with(|| b.cmp(d))
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
