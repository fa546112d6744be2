//! Field sets as FieldsV1 values, hash-consed: equal trees are one allocation.
//!
//! A node is a map: empty for a leaf; with `.` for a member that has members below; without for a mere way to members.

use std::cell::RefCell;
use std::hash::Hasher as _;
use std::rc::{Rc, Weak};

use base::{Lookup, LookupHasher};

use crate::value::{Fields, Key, Value, key};

/// Sweep the table when it has grown this much since it was last swept, and by a half: a sweep looks at all of it.
const SWEEP_GROWTH: usize = 4_096;

#[derive(Default)]
struct Table {
    nodes: Lookup<u64, Vec<Weak<Fields>>>,
    count: usize,
    swept_at: usize,
    leaf: Option<Value>,
    dot: Option<Key>,
}

thread_local! {
    /// A memo outside the state: nothing that it does can be seen but in memory and time.
    static TABLE: RefCell<Table> = RefCell::default();
}

/// The set of one member: the place itself.
pub fn leaf() -> Value {
    TABLE.with_borrow_mut(|t| t.leaf.get_or_insert_with(Value::map).clone())
}

fn dot() -> Key {
    TABLE.with_borrow_mut(|t| t.dot.get_or_insert_with(|| key(".")).clone())
}

/// A node: whether the place itself is a member, and the sets below (keys sorted). `None` if it has neither.
pub fn node(member: bool, mut children: Vec<(Key, Value)>) -> Option<Value> {
    if children.is_empty() {
        return member.then(leaf);
    }
    if member {
        children.insert(0, (dot(), leaf()));
    }
    Some(cons(Fields::from_entries(children)))
}

fn address(value: &Value) -> u64 {
    if let Value::Map(m) = value { Rc::as_ptr(m) as usize as u64 } else { 0 }
}

/// The one allocation for these members. Their values must have been consed.
fn cons(fields: Fields) -> Value {
    let mut hasher = LookupHasher::default();
    for (k, v) in &fields {
        hasher.write(k.as_bytes());
        hasher.write_u64(address(v));
    }
    let hash = hasher.finish();
    TABLE.with_borrow_mut(|t| {
        let bucket = t.nodes.entry(hash).or_default();
        let same = |have: &Rc<Fields>| {
            have.len() == fields.len() && have.iter().zip(&fields).all(|(a, b)| a.0 == b.0 && a.1.ptr_eq(&b.1))
        };
        if let Some(have) = bucket.iter().filter_map(Weak::upgrade).find(same) {
            return Value::Map(have);
        }
        let made = Rc::new(fields);
        // Sets on the way to others die at once: their places are used again.
        let died = bucket.len();
        bucket.retain(|w| w.strong_count() > 0);
        t.count -= died - bucket.len();
        bucket.push(Rc::downgrade(&made));
        t.count += 1;
        if t.count > t.swept_at + SWEEP_GROWTH.max(t.swept_at / 2) {
            t.nodes.retain(|_, bucket| {
                bucket.retain(|w| w.strong_count() > 0);
                !bucket.is_empty()
            });
            t.count = t.nodes.values().map(Vec::len).sum();
            t.swept_at = t.count.max(t.swept_at / 2);
        }
        Value::Map(made)
    })
}

/// The same set, consed: for sets that came from outside.
pub fn intern(set: &Value) -> Value {
    match set {
        Value::Map(fields) if !fields.is_empty() => {
            cons(Fields::from_entries(fields.iter().map(|(k, v)| (k.clone(), intern(v))).collect()))
        }
        _ => leaf(),
    }
}

fn fields(set: &Value) -> &[(Key, Value)] {
    set.as_map().map_or(&[], Fields::entries)
}

/// Whether the place itself is a member.
pub fn is_member(set: &Value) -> bool {
    fields(set).is_empty() || set.get(".").is_some()
}

/// The sets below.
pub fn children(set: &Value) -> impl Iterator<Item = &(Key, Value)> {
    fields(set).iter().filter(|(k, _)| &**k != ".")
}

/// The members of either.
pub fn union(a: &Value, b: &Value) -> Value {
    if a.ptr_eq(b) {
        return a.clone();
    }
    let mut out: Vec<(Key, Value)> = Vec::with_capacity(fields(a).len() + fields(b).len());
    let (mut left, mut right) = (children(a).peekable(), children(b).peekable());
    loop {
        match (left.peek(), right.peek()) {
            (Some(l), Some(r)) if l.0 == r.0 => {
                out.push((l.0.clone(), union(&l.1, &r.1)));
                left.next();
                right.next();
            }
            (Some(l), Some(r)) if l.0 < r.0 => {
                out.push((*l).clone());
                left.next();
            }
            (Some(l), None) => {
                out.push((*l).clone());
                left.next();
            }
            (_, Some(r)) => {
                out.push((*r).clone());
                right.next();
            }
            (None, None) => break,
        }
    }
    node(is_member(a) || is_member(b), out).unwrap_or_else(leaf)
}

/// The members of `a` that are not members of `b`.
pub fn difference(a: &Value, b: &Value) -> Option<Value> {
    if a.ptr_eq(b) {
        return None;
    }
    let kept = children(a).filter_map(|(k, v)| match b.get(k) {
        Some(other) => Some((k.clone(), difference(v, other)?)),
        None => Some((k.clone(), v.clone())),
    });
    let kept = kept.collect();
    node(is_member(a) && !is_member(b), kept)
}

/// The members of both.
pub fn intersection(a: &Value, b: &Value) -> Option<Value> {
    if a.ptr_eq(b) {
        return Some(a.clone());
    }
    let both = children(a).filter_map(|(k, v)| Some((k.clone(), intersection(v, b.get(k)?)?)));
    let both = both.collect();
    node(is_member(a) && is_member(b), both)
}

/// Without the place at a path of field names and everything below it. The same allocation if it is not there.
pub fn without(set: Value, path: &[&str]) -> Option<Value> {
    let (first, rest) = path.split_first()?;
    let Some(at) = fields(&set).iter().position(|(k, _)| k.strip_prefix("f:") == Some(first)) else { return Some(set) };
    let before = &fields(&set)[at].1;
    let below = without(before.clone(), rest);
    if below.as_ref().is_some_and(|b| b.ptr_eq(before)) {
        return Some(set);
    }
    retain(&set, |i, v| if i == at { below.clone() } else { Some(v.clone()) })
}

/// Without the fields named, which are directly below.
pub fn without_fields(set: Value, names: &[&str]) -> Option<Value> {
    let named = |k: &str| k.strip_prefix("f:").is_some_and(|k| names.contains(&k));
    if !fields(&set).iter().any(|(k, _)| named(k)) {
        return Some(set);
    }
    let entries = fields(&set);
    retain(&set, |i, v| (!named(&entries[i].0)).then(|| v.clone()))
}

/// With another set (or none) at a key.
pub fn replace(set: &Value, key: &str, below: Option<Value>) -> Option<Value> {
    let entries = fields(set);
    retain(set, |i, v| if &*entries[i].0 == key { below.clone() } else { Some(v.clone()) })
}

/// Keeps what `keep` makes of each member of the node (by index).
fn retain(set: &Value, keep: impl Fn(usize, &Value) -> Option<Value>) -> Option<Value> {
    let mut kept: Vec<(Key, Value)> = Vec::with_capacity(fields(set).len());
    for (i, (k, v)) in fields(set).iter().enumerate() {
        if &**k != "."
            && let Some(v) = keep(i, v)
        {
            kept.push((k.clone(), v));
        }
    }
    node(is_member(set), kept)
}

/// The paths of all members, as upstream prints them in conflicts: `.spec.containers[name="c"].image`.
pub fn paths(set: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (k, v) in children(set) {
        walk(&element(k), v, &mut out);
    }
    out
}

fn walk(path: &str, set: &Value, out: &mut Vec<String>) {
    if is_member(set) {
        out.push(path.to_string());
    }
    for (k, v) in children(set) {
        walk(&format!("{path}{}", element(k)), v, out);
    }
}

/// `f:spec` as `.spec`, `k:{"name":"c"}` as `[name="c"]`, `v:1` as `[=1]`.
pub(super) fn element(key: &str) -> String {
    let (kind, text) = key.split_at(2.min(key.len()));
    match kind {
        "f:" => format!(".{text}"),
        "v:" => format!("[={text}]"),
        "k:" => {
            let value = crate::json::parse(text.as_bytes()).unwrap_or_default();
            let keys: Vec<String> =
                value.as_map().into_iter().flatten().map(|(k, v)| format!("{k}={}", crate::json::to_string(v))).collect();
            format!("[{}]", keys.join(","))
        }
        _ => format!("[{text}]"),
    }
}
