//! jq's values: JSON whose objects remember in which order their keys came, and numbers that remember how they were written
//! as long as nobody calculates with them.
//!
//! Values share: a clone is a reference count, and a change copies only what somebody else also holds. Nesting is bounded
//! ([`MAX_DEPTH`]), so that comparing, printing and dropping may recurse. Left out: jq's own bound is 10,000.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: u16 = 1000;

#[derive(Clone, Debug, Default)]
pub enum Json {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    /// A number that a double can't hold as it was written: its value, and its text.
    Literal(Rc<(f64, String)>),
    String(Rc<str>),
    Array(Rc<Array>),
    Object(Rc<Object>),
}

/// Items, and how deep the deepest of them (ever) was nested.
#[derive(Clone, Debug, Default)]
pub struct Array {
    items: Vec<Json>,
    depth: u16,
}

/// Members by key, each with its place in the order of insertion.
#[derive(Clone, Debug, Default)]
pub struct Object {
    members: BTreeMap<Rc<str>, (u64, Json)>,
    next: u64,
    depth: u16,
}

impl Array {
    pub fn items(&self) -> &[Json] {
        &self.items
    }

    /// The items, to be changed or taken out; for more or other ones use [`Array::push`] or collect anew.
    pub fn items_mut(&mut self) -> &mut Vec<Json> {
        &mut self.items
    }

    pub fn push(&mut self, value: Json) {
        self.depth = self.depth.max(value.depth());
        self.items.push(value);
    }

    /// Puts a value at an index; the gap before it is null.
    pub fn set(&mut self, at: usize, value: Json) {
        self.depth = self.depth.max(value.depth());
        if at >= self.items.len() {
            self.items.resize(at + 1, Json::Null);
        }
        self.items[at] = value;
    }

    /// Replaces a range.
    pub fn splice(&mut self, from: usize, to: usize, values: &[Json]) {
        self.depth = values.iter().map(Json::depth).fold(self.depth, u16::max);
        self.items.splice(from..to, values.iter().cloned());
    }

    /// Takes an item out, leaving null.
    pub fn take(&mut self, at: usize) -> Json {
        self.items.get_mut(at).map(std::mem::take).unwrap_or_default()
    }
}

impl FromIterator<Json> for Array {
    fn from_iter<I: IntoIterator<Item = Json>>(values: I) -> Array {
        let items: Vec<Json> = values.into_iter().collect();
        let depth = items.iter().map(Json::depth).max().unwrap_or(0);
        Array { items, depth }
    }
}

impl Object {
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.members.get(key).map(|(_, value)| value)
    }

    /// Sets a member; a new one goes to the end.
    pub fn insert(&mut self, key: Rc<str>, value: Json) {
        self.depth = self.depth.max(value.depth());
        if let Some((_, old)) = self.members.get_mut(&key) {
            *old = value;
            return;
        }
        self.members.insert(key, (self.next, value));
        self.next += 1;
    }

    pub fn remove(&mut self, key: &str) {
        self.members.remove(key);
    }

    /// Takes a member's value out, leaving null in its place.
    pub fn take(&mut self, key: &str) -> Json {
        self.members.get_mut(key).map(|(_, value)| std::mem::take(value)).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Members as they were inserted.
    pub fn entries(&self) -> Vec<(&Rc<str>, &Json)> {
        let mut all: Vec<_> = self.members.iter().collect();
        all.sort_unstable_by_key(|(_, (place, _))| *place);
        all.into_iter().map(|(key, (_, value))| (key, value)).collect()
    }

    /// Members sorted by key.
    pub fn sorted(&self) -> impl Iterator<Item = (&Rc<str>, &Json)> {
        self.members.iter().map(|(key, (_, value))| (key, value))
    }
}

impl FromIterator<(Rc<str>, Json)> for Object {
    fn from_iter<I: IntoIterator<Item = (Rc<str>, Json)>>(members: I) -> Object {
        let mut object = Object::default();
        members.into_iter().for_each(|(key, value)| object.insert(key, value));
        object
    }
}

impl Json {
    pub fn str(text: impl AsRef<str>) -> Json {
        Json::String(text.as_ref().into())
    }

    pub fn int(number: impl TryInto<i64>) -> Json {
        Json::Number(number.try_into().unwrap_or(i64::MAX) as f64)
    }

    pub fn array<I: IntoIterator<Item = Json>>(items: I) -> Json {
        Json::Array(Rc::new(items.into_iter().collect()))
    }

    pub fn object<K: Into<Rc<str>>, I: IntoIterator<Item = (K, Json)>>(members: I) -> Json {
        Json::Object(Rc::new(members.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }

    /// What `type` says.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) | Json::Literal(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// All but `false` and `null`.
    pub fn is_true(&self) -> bool {
        !matches!(self, Json::Null | Json::Bool(false))
    }

    pub fn as_number(&self) -> Option<f64> {
        match self {
            Json::Number(number) => Some(*number),
            Json::Literal(literal) => Some(literal.0),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    pub fn as_array(&self) -> Option<&[Json]> {
        if let Json::Array(array) = self { Some(array.items()) } else { None }
    }

    /// Nesting: 0 for what holds nothing.
    pub fn depth(&self) -> u16 {
        match self {
            Json::Array(array) => array.depth + 1,
            Json::Object(object) => object.depth + 1,
            _ => 0,
        }
    }

    /// Bytes on the heap of this one value, without what it holds.
    pub fn own_bytes(&self) -> usize {
        match self {
            Json::Null | Json::Bool(_) | Json::Number(_) => 0,
            Json::Literal(literal) => 40 + literal.1.len(),
            Json::String(text) => 16 + text.len(),
            Json::Array(array) => 48 + array.items.capacity() * size_of::<Json>(),
            Json::Object(object) => 64 + object.members.len() * 72,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Json::Null => 0,
            Json::Bool(value) => 1 + u8::from(*value),
            Json::Number(_) | Json::Literal(_) => 3,
            Json::String(_) => 4,
            Json::Array(_) => 5,
            Json::Object(_) => 6,
        }
    }
}

/// jq's order of all values: null, false, true, numbers (nan below all), strings by code point, arrays, objects (first by
/// their sets of keys, then by their values).
impl Ord for Json {
    fn cmp(&self, other: &Json) -> Ordering {
        match (self, other) {
            (Json::String(a), Json::String(b)) => a.cmp(b),
            (Json::Array(a), Json::Array(b)) if Rc::ptr_eq(a, b) => Ordering::Equal,
            (Json::Array(a), Json::Array(b)) => a.items.cmp(&b.items),
            (Json::Object(a), Json::Object(b)) if Rc::ptr_eq(a, b) => Ordering::Equal,
            (Json::Object(a), Json::Object(b)) => {
                let values = |o: &'_ Object| -> Vec<Json> { o.sorted().map(|(_, value)| value.clone()).collect() };
                a.members.keys().cmp(b.members.keys()).then_with(|| values(a).cmp(&values(b)))
            }
            _ => match (self.as_number(), other.as_number()) {
                (Some(a), Some(b)) if a < b || a.is_nan() => Ordering::Less,
                (Some(a), Some(b)) if a == b => Ordering::Equal,
                (Some(_), Some(_)) => Ordering::Greater,
                _ => self.rank().cmp(&other.rank()),
            },
        }
    }
}

impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Json) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Json {}
