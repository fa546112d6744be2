//! The tree that every object is made of: immutable, shared, copied on write by path.
//!
//! Maps are sorted vectors (objects' maps are small, and output must be sorted anyway). Keys of the schema are interned, so
//! that the same key is one allocation in all objects; keys that users choose (labels, data) are not. Equality looks at
//! pointers first: comparing two revisions of an object costs what changed.

use std::fmt;
use std::rc::Rc;

use base::Sort as _;
use base::Sym;

/// A key of a map. Interned when it comes from the schema, see [`key`].
pub type Key = Rc<str>;

/// The shared text of a schema key.
pub fn key(text: &str) -> Key {
    Sym::new(text).text()
}

/// A JSON value with integers kept apart from floats.
#[derive(Clone, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    /// Never NaN or infinite: JSON has neither.
    Float(f64),
    Str(Rc<str>),
    List(Rc<Vec<Value>>),
    Map(Rc<Fields>),
}

/// Maps up to this size are scanned, larger ones halved.
const SCANNED: usize = 20;

/// Equality of short texts, some bytes at a time: a call of `memcmp` costs more than that, in wasm much more. The last bytes are
/// looked at together with those before them, so that there is no loop for what is left over.
#[inline]
fn same_text(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let word = |text: &[u8; 8]| u64::from_ne_bytes(*text);
    if let (Some(a0), Some(b0), Some(a1), Some(b1)) = (a.first_chunk(), b.first_chunk(), a.last_chunk(), b.last_chunk()) {
        return word(a1) == word(b1) && word(a0) == word(b0) && (a.len() <= 16 || a == b);
    }
    let half = |text: &[u8; 4]| u32::from_ne_bytes(*text);
    if let (Some(a0), Some(b0), Some(a1), Some(b1)) = (a.first_chunk(), b.first_chunk(), a.last_chunk(), b.last_chunk()) {
        return half(a1) == half(b1) && half(a0) == half(b0);
    }
    a.iter().zip(b).all(|(x, y)| x == y)
}

/// The members of a map, sorted by key, each key once.
#[derive(Clone, Default, PartialEq)]
pub struct Fields {
    entries: Vec<(Key, Value)>,
}

impl Fields {
    pub fn new() -> Fields {
        Fields::default()
    }
    pub fn with_capacity(n: usize) -> Fields {
        Fields { entries: Vec::with_capacity(n) }
    }

    /// From entries in any order; of equal keys the last wins.
    pub fn from_entries(mut entries: Vec<(Key, Value)>) -> Fields {
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            entries.order_by(|a, b| a.0.cmp(&b.0));
            entries.reverse();
            entries.dedup_by(|a, b| a.0 == b.0);
            entries.reverse();
        }
        entries.shrink_to_fit();
        Fields { entries }
    }

    /// Puts a new member in its place. A map that has been built seldom grows again and lives long: room for one or two more, not
    /// for twice as many.
    fn put(&mut self, i: usize, key: Key, value: Value) {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(2 + self.entries.len() / 8);
        }
        self.entries.insert(i, (key, value));
    }
    /// Where the key is, or where it would have to be put.
    fn find(&self, key: &str) -> Result<usize, usize> {
        match self.position(key) {
            Some(i) => Ok(i),
            None => Err(self.entries.partition_point(|(k, _)| **k < *key)),
        }
    }
    /// Where the key is. Most maps are small and most keys differ in length: then no text is looked at but the right one.
    fn position(&self, key: &str) -> Option<usize> {
        if self.entries.len() <= SCANNED {
            return self.entries.iter().position(|(k, _)| same_text(k, key));
        }
        self.entries.binary_search_by(|(k, _)| (**k).cmp(key)).ok()
    }
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.position(key).map(|i| &self.entries[i].1)
    }
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.position(key).map(|i| &mut self.entries[i].1)
    }
    pub fn contains_key(&self, key: &str) -> bool {
        self.position(key).is_some()
    }
    pub fn insert(&mut self, key: Key, value: impl Into<Value>) -> Option<Value> {
        match self.find(&key) {
            Ok(i) => Some(std::mem::replace(&mut self.entries[i].1, value.into())),
            Err(i) => {
                self.put(i, key, value.into());
                None
            }
        }
    }
    /// Sets a schema field (its key is interned).
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        match self.find(name) {
            Ok(i) => self.entries[i].1 = value.into(),
            Err(i) => self.put(i, key(name), value.into()),
        }
    }
    /// The member, made `Null` first if it is missing.
    pub fn entry(&mut self, name: &str) -> &mut Value {
        let i = match self.find(name) {
            Ok(i) => i,
            Err(i) => {
                self.put(i, key(name), Value::Null);
                i
            }
        };
        &mut self.entries[i].1
    }
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.position(key).map(|i| self.entries.remove(i).1)
    }
    pub fn retain(&mut self, mut keep: impl FnMut(&Key, &mut Value) -> bool) {
        self.entries.retain_mut(|(k, v)| keep(k, v));
    }
    pub fn iter(&self) -> std::slice::Iter<'_, (Key, Value)> {
        self.entries.iter()
    }
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Value)> {
        self.entries.iter_mut().map(|(k, v)| (&*k, v))
    }
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.iter().map(|(k, _)| k)
    }
    /// The members as a sorted slice.
    pub fn entries(&self) -> &[(Key, Value)] {
        &self.entries
    }
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<(Key, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(iter: I) -> Fields {
        Fields::from_entries(iter.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = &'a (Key, Value);
    type IntoIter = std::slice::Iter<'a, (Key, Value)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl Value {
    pub fn str(text: &str) -> Value {
        Value::Str(text.into())
    }
    /// A string from a closed world (phases, reasons, condition types): interned, one allocation in all objects.
    pub fn sym(text: &str) -> Value {
        Value::Str(key(text))
    }
    pub fn list(mut items: Vec<Value>) -> Value {
        items.shrink_to_fit();
        Value::List(Rc::new(items))
    }
    pub fn map() -> Value {
        Value::Map(Rc::default())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Str(s) = self { Some(s) } else { None }
    }
    pub fn as_rc_str(&self) -> Option<&Rc<str>> {
        if let Value::Str(s) = self { Some(s) } else { None }
    }
    pub fn as_i64(&self) -> Option<i64> {
        if let Value::Int(n) = self { Some(*n) } else { None }
    }
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(b) = self { Some(*b) } else { None }
    }
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(l) = self { Some(l) } else { None }
    }
    pub fn as_map(&self) -> Option<&Fields> {
        if let Value::Map(m) = self { Some(m) } else { None }
    }
    /// The items; none if this is not a list.
    pub fn items(&self) -> &[Value] {
        self.as_list().unwrap_or(&[])
    }

    /// A member of a map.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }
    /// The value at a path of map keys.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |v, key| v.get(key))
    }
    pub fn str_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str()
    }
    pub fn int_at(&self, path: &[&str]) -> Option<i64> {
        self.at(path)?.as_i64()
    }
    pub fn bool_at(&self, path: &[&str]) -> Option<bool> {
        self.at(path)?.as_bool()
    }
    /// The items at a path; none if there is no list.
    pub fn list_at(&self, path: &[&str]) -> &[Value] {
        self.at(path).map_or(&[], Value::items)
    }
    /// The members at a path; none if there is no map.
    pub fn map_at(&self, path: &[&str]) -> Option<&Fields> {
        self.at(path)?.as_map()
    }

    /// This value as a map to write to. Anything else becomes an empty map first.
    pub fn map_mut(&mut self) -> &mut Fields {
        if !matches!(self, Value::Map(_)) {
            *self = Value::map();
        }
        let Value::Map(map) = self else { unreachable!("made a map above") };
        Rc::make_mut(map)
    }
    /// This value as a list to write to. Anything else becomes an empty list first.
    pub fn list_mut(&mut self) -> &mut Vec<Value> {
        if !matches!(self, Value::List(_)) {
            *self = Value::List(Rc::default());
        }
        let Value::List(list) = self else { unreachable!("made a list above") };
        Rc::make_mut(list)
    }
    /// The place at a path of schema keys, to write to; missing maps are made. Copies only the path.
    pub fn entry(&mut self, path: &[&str]) -> &mut Value {
        path.iter().fold(self, |v, name| v.map_mut().entry(name))
    }
    pub fn set_at(&mut self, path: &[&str], value: impl Into<Value>) {
        *self.entry(path) = value.into();
    }
    /// Removes the member at a path. Maps that become empty stay.
    pub fn remove_at(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        self.at(path)?;
        parents.iter().fold(self, |v, name| v.map_mut().entry(name)).map_mut().remove(last)
    }

    /// Whether both are the very same allocation (or equal scalars): then nothing below differs.
    pub fn ptr_eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Map(a), Value::Map(b)) => Rc::ptr_eq(a, b),
            (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b),
            (Value::Str(a), Value::Str(b)) => Rc::ptr_eq(a, b) || a == b,
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.total_cmp(b).is_eq(),
            _ => false,
        }
    }

    /// Go's zero value of the type: what `omitempty` leaves out.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Null | Value::Bool(false) | Value::Int(0) => true,
            Value::Float(f) => *f == 0.0,
            Value::Str(s) => s.is_empty(),
            Value::List(l) => l.is_empty(),
            Value::Map(m) => m.is_empty(),
            Value::Bool(true) | Value::Int(_) => false,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        if self.ptr_eq(other) {
            return true;
        }
        match (self, other) {
            (Value::Map(a), Value::Map(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::json::to_string(self))
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter().map(|(k, v)| (k, v))).finish()
    }
}

macro_rules! value_from {
    ($($from:ty => |$v:ident| $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($v: $from) -> Value {
                $to
            }
        }
    )*};
}

value_from! {
    bool => |v| Value::Bool(v);
    i64 => |v| Value::Int(v);
    i32 => |v| Value::Int(v.into());
    u32 => |v| Value::Int(v.into());
    u16 => |v| Value::Int(v.into());
    &str => |v| Value::Str(v.into());
    &String => |v| Value::Str(v.as_str().into());
    String => |v| Value::Str(v.into());
    Rc<str> => |v| Value::Str(v);
    &Rc<str> => |v| Value::Str(v.clone());
    Sym => |v| Value::Str(v.text());
    Vec<Value> => |v| Value::list(v);
    Fields => |v| Value::Map(Rc::new(v));
    &Value => |v| v.clone();
}

/// Builds a [`Value`] as JSON is written. Keys are schema keys (interned); a value is any expression that is `Into<Value>`
/// (wrap an expression of more than one token in parentheses).
#[macro_export]
macro_rules! value {
    (null) => { $crate::Value::Null };
    ([ $($item:tt),* $(,)? ]) => { $crate::Value::from(vec![ $( $crate::value!($item) ),* ]) };
    ({ $($key:tt : $val:tt),* $(,)? }) => {{
        let entries: Vec<($crate::Key, $crate::Value)> = vec![ $( ($crate::key($key), $crate::value!($val)) ),* ];
        $crate::Value::from($crate::Fields::from_entries(entries))
    }};
    ($other:expr) => { $crate::Value::from($other) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_copy_only_the_path() {
        let v = value!({"spec": {"a": 1, "list": [1, 2]}, "status": {"phase": "Pending"}});
        let mut w = v.clone();
        w.set_at(&["status", "phase"], "Running");
        assert_eq!(v.str_at(&["status", "phase"]), Some("Pending"));
        assert_eq!(w.str_at(&["status", "phase"]), Some("Running"));
        assert!(v.get("spec").unwrap().ptr_eq(w.get("spec").unwrap()));
        assert_eq!(w.remove_at(&["spec", "a"]), Some(Value::Int(1)));
        assert_eq!(w.remove_at(&["spec", "nothing", "there"]), None);
        assert_eq!(format!("{w:?}"), r#"{"spec":{"list":[1,2]},"status":{"phase":"Running"}}"#);
    }

    #[test]
    fn maps_are_sorted_and_the_last_of_equal_keys_wins() {
        let fields = Fields::from_entries(vec![("b".into(), 1.into()), ("a".into(), 2.into()), ("b".into(), 3.into())]);
        assert_eq!(format!("{:?}", Value::from(fields)), r#"{"a":2,"b":3}"#);
    }
}
