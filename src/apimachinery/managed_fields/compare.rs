//! What a write changes, as field sets. Models `structured-merge-diff/typed/compare.go`.
//!
//! What is the same allocation on both sides is not walked. Structs that are new are memoised by address: the pods of one
//! template have one set.

use base::Sort as _;
use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

use super::set::{leaf, node};
use crate::json;
use crate::schema::{Field, ListKind, ListType, StructType, Type};
use crate::value::{Fields, Key, Value, key};

/// The sets of changed places; `None` if there are none.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Comparison {
    /// Added or modified.
    pub changed: Option<Value>,
    pub removed: Option<Value>,
}

/// Compares two objects of a type (without one: maps by member, lists as a whole).
pub fn compare(ty: Option<&StructType>, old: &Value, new: &Value) -> Comparison {
    match ty {
        Some(ty) => structs(ty, Some(old), Some(new)),
        None => deduced(Some(old), Some(new)),
    }
}

impl Comparison {
    fn changed(set: Value) -> Comparison {
        Comparison { changed: Some(set), removed: None }
    }
}

/// Members of the two sets in the making.
struct Builder {
    changed: Vec<(Key, Value)>,
    removed: Vec<(Key, Value)>,
    /// So many members may have changed, and the place itself.
    most: usize,
    /// The place itself is new, or gone.
    is_new: bool,
    is_gone: bool,
}

impl Builder {
    fn new(old: Option<&Value>, new: Option<&Value>) -> Builder {
        let most = 1 + new.map_or(0, |v| entries(Some(v)).len().max(v.items().len()));
        Builder { changed: Vec::new(), removed: Vec::new(), most, is_new: old.is_none(), is_gone: new.is_none() }
    }
    fn add(&mut self, name: impl Fn() -> Key, below: Comparison) {
        if let Some(set) = below.changed {
            if self.changed.is_empty() {
                self.changed.reserve_exact(self.most);
            }
            self.changed.push((name(), set));
        }
        if let Some(set) = below.removed {
            self.removed.push((name(), set));
        }
    }
    fn finish(mut self) -> Comparison {
        let sort = |list: &mut Vec<(Key, Value)>| {
            if !list.is_sorted_by(|a, b| a.0 < b.0) {
                list.order_by(|a, b| a.0.cmp(&b.0));
            }
        };
        sort(&mut self.changed);
        sort(&mut self.removed);
        Comparison { changed: node(self.is_new, self.changed), removed: node(self.is_gone, self.removed) }
    }
}

fn leaves(old: Option<&Value>, new: Option<&Value>) -> Comparison {
    match (old, new) {
        (Some(a), Some(b)) if a == b => Comparison::default(),
        (_, Some(_)) => Comparison::changed(leaf()),
        (Some(_), None) => Comparison { changed: None, removed: Some(leaf()) },
        (None, None) => Comparison::default(),
    }
}

/// Nothing in it on either side: then it is compared as a leaf, which keeps null and empty apart.
fn both_empty(old: Option<&Value>, new: Option<&Value>) -> bool {
    let empty = |v: Option<&Value>| match v {
        Some(Value::List(l)) => l.is_empty(),
        Some(Value::Map(m)) => m.is_empty(),
        Some(Value::Null) | None => true,
        _ => false,
    };
    empty(old) && empty(new)
}

fn values(ty: &Type, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    if let (Some(a), Some(b)) = (old, new)
        && a.ptr_eq(b)
    {
        return Comparison::default();
    }
    match ty {
        _ if both_empty(old, new) => leaves(old, new),
        Type::Struct(s) if !s.atomic => structs(s, old, new),
        Type::Map(m) if !m.atomic => maps(&m.elem, old, new),
        Type::List(l) if l.kind != ListKind::Atomic => lists(l, old, new),
        _ => leaves(old, new),
    }
}

/// A map, or nothing that would make it something else.
fn is_map(value: Option<&Value>) -> bool {
    matches!(value, None | Some(Value::Map(_) | Value::Null))
}

/// Values of no known type: maps by member, everything else as a whole.
fn deduced(old: Option<&Value>, new: Option<&Value>) -> Comparison {
    if both_empty(old, new) || !is_map(old) || !is_map(new) {
        return leaves(old, new);
    }
    let mut out = Builder::new(old, new);
    zip(entries(old), entries(new), |name, a, b| out.add(|| field_key(name), deduced(a, b)));
    out.finish()
}

fn entries(value: Option<&Value>) -> &[(Key, Value)] {
    value.and_then(Value::as_map).map_or(&[], Fields::entries)
}

/// Walks two sorted maps together.
fn zip<'a>(
    old: &'a [(Key, Value)],
    new: &'a [(Key, Value)],
    mut visit: impl FnMut(&'a Key, Option<&'a Value>, Option<&'a Value>),
) {
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        let order = match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if Rc::ptr_eq(&a.0, &b.0) => std::cmp::Ordering::Equal,
            (Some(a), Some(b)) => a.0.cmp(&b.0),
            (Some(_), None) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        let (a, b) = (old.get(i).filter(|_| order.is_le()), new.get(j).filter(|_| order.is_ge()));
        if let Some((name, _)) = a.or(b) {
            visit(name, a.map(|e| &e.1), b.map(|e| &e.1));
        }
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
}

fn structs(ty: &StructType, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    if old.is_some_and(|v| !is_map(Some(v))) || new.is_some_and(|v| !is_map(Some(v))) {
        return leaves(old, new);
    }
    if let Some(found) = memo(ty, old, new) {
        return found;
    }
    let mut out = Builder::new(old, new);
    let mut fields = ty.fields();
    zip(entries(old), entries(new), |name, a, b| {
        if let (Some(a), Some(b)) = (a, b)
            && a.ptr_eq(b)
        {
            return;
        }
        // Both are sorted: what was passed is not needed again.
        let at = fields.iter().position(|f| Rc::ptr_eq(&f.name, name) || f.name >= *name).unwrap_or(fields.len());
        fields = &fields[at..];
        match fields.first().filter(|f| f.name == *name) {
            Some(field) => out.add(|| field.path_key.clone(), member(field, a, b)),
            None => out.add(|| field_key(name), deduced(a, b)),
        }
    });
    let result = out.finish();
    remember(ty, old, new, &result);
    result
}

fn member(field: &Field, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    match (field.atomic, &field.ty) {
        (Some(true), _) => leaves(old, new),
        (Some(false), Type::Struct(s)) if !both_empty(old, new) => structs(s, old, new),
        (_, ty) => values(ty, old, new),
    }
}

fn maps(elem: &Type, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    let mut out = Builder::new(old, new);
    zip(entries(old), entries(new), |name, a, b| out.add(|| field_key(name), values(elem, a, b)));
    out.finish()
}

fn lists(list: &ListType, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    let mut out = Builder::new(old, new);
    let (a, b) = (old.map_or(&[][..], Value::items), new.map_or(&[][..], Value::items));
    let same = |x: &Value, y: &Value| match &list.kind {
        ListKind::Map(keys) => x.ptr_eq(y) || keys.iter().all(|k| x.get(k) == y.get(k)),
        _ => x == y,
    };
    for (i, item) in b.iter().enumerate() {
        // Usually they are in the same place.
        let before = a.get(i).filter(|x| same(x, item)).or_else(|| a.iter().find(|x| same(x, item)));
        let below = values(&list.elem, before, Some(item));
        if below.changed.is_some() || below.removed.is_some() {
            out.add(|| item_key(&list.kind, item), below);
        }
    }
    for item in a.iter().filter(|x| !b.iter().any(|y| same(x, y))) {
        out.add(|| item_key(&list.kind, item), values(&list.elem, Some(item), None));
    }
    // Elements given twice are one place.
    out.changed.order_by(|x, y| x.0.cmp(&y.0));
    out.changed.dedup_by(|x, y| x.0 == y.0);
    out.removed.order_by(|x, y| x.0.cmp(&y.0));
    out.removed.dedup_by(|x, y| x.0 == y.0);
    out.finish()
}

/// `f:name` for a key that users chose.
pub(super) fn field_key(name: &str) -> Key {
    let text = format!("f:{name}");
    base::Sym::existing(&text).map_or_else(|| text.as_str().into(), base::Sym::text)
}

/// `k:{"name":"c"}` or `v:"x"`.
pub(super) fn item_key(kind: &ListKind, item: &Value) -> Key {
    let ListKind::Map(keys) = kind else { return written_item_key(kind, item) };
    let ([name], Some(Value::Str(value))) = (&keys[..], keys.first().and_then(|k| item.get(k))) else {
        return written_item_key(kind, item);
    };
    // Mostly the type of a condition or the name of a container, which is one allocation in all objects.
    let mixed = base::mix64(Rc::as_ptr(value).addr() as u64 ^ base::mix64(Rc::as_ptr(name).addr() as u64));
    let place = mixed as usize % MEMO_SLOTS;
    let known = |keys: &mut Vec<Option<(Key, Rc<str>, Key)>>| match &keys[place] {
        Some((n, v, key)) if Rc::ptr_eq(n, name) && Rc::ptr_eq(v, value) => Some(key.clone()),
        _ => None,
    };
    ITEM_KEYS.with_borrow_mut(known).unwrap_or_else(|| {
        let key = written_item_key(kind, item);
        ITEM_KEYS.with_borrow_mut(|keys| keys[place] = Some((name.clone(), value.clone(), key.clone())));
        key
    })
}

thread_local! {
    /// Keys of elements that were written before, with what they were made of: as long as that is held, its addresses mean it. A memo
    /// outside the state, of bounded size.
    static ITEM_KEYS: RefCell<Vec<Option<(Key, Rc<str>, Key)>>> = RefCell::new(vec![None; MEMO_SLOTS]);
}

fn written_item_key(kind: &ListKind, item: &Value) -> Key {
    let mut text = String::new();
    match kind {
        ListKind::Map(keys) => {
            text.push_str("k:{");
            let mut first = true;
            let mut sorted: Vec<&Key> = keys.iter().collect();
            sorted.order();
            for k in sorted {
                let Some(value) = item.get(k) else { continue };
                let comma = if first { "" } else { "," };
                first = false;
                let _ = write!(text, "{comma}\"{k}\":");
                json::write(value, &mut text);
            }
            text.push('}');
        }
        _ => {
            text.push_str("v:");
            json::write(item, &mut text);
        }
    }
    key_text(&text)
}

/// Keys of elements are few in a cluster (names of containers, ports, conditions), but addresses, uids and some volumes'
/// names are not: those are not interned.
fn key_text(text: &str) -> Key {
    match text.len() <= 48 && !["kube-api-access-", "\"uid\"", "\"ip\""].iter().any(|s| text.contains(s)) {
        true => key(text),
        false => text.into(),
    }
}

/// A struct compared before.
struct Remembered {
    ty: u32,
    old: Option<Value>,
    new: Value,
    result: Comparison,
}

const MEMO_SLOTS: usize = 512;

thread_local! {
    /// A memo outside the state, of bounded size. It holds the values compared, so that an address means one value.
    static MEMO: RefCell<Vec<Option<Remembered>>> = RefCell::new((0..MEMO_SLOTS).map(|_| None).collect());
}

/// Only structs that are new and not tiny are worth it.
fn slot(ty: &StructType, old: Option<&Value>, new: Option<&Value>) -> Option<usize> {
    let Some(Value::Map(new)) = new else { return None };
    let old = match old {
        None => 0,
        Some(Value::Map(m)) if m.len() <= 3 => Rc::as_ptr(m) as usize,
        _ => return None,
    };
    if new.len() < 3 {
        return None;
    }
    let mixed = base::mix64((Rc::as_ptr(new) as usize as u64) ^ base::mix64(old as u64 ^ u64::from(ty.serial)));
    Some(mixed as usize % MEMO_SLOTS)
}

fn memo(ty: &StructType, old: Option<&Value>, new: Option<&Value>) -> Option<Comparison> {
    let slot = slot(ty, old, new)?;
    let same = |a: Option<&Value>, b: Option<&Value>| match (a, b) {
        (Some(a), Some(b)) => a.ptr_eq(b),
        (None, None) => true,
        _ => false,
    };
    MEMO.with_borrow(|memo| {
        let have = memo[slot].as_ref()?;
        let hit = have.ty == ty.serial && same(have.old.as_ref(), old) && same(Some(&have.new), new);
        hit.then(|| have.result.clone())
    })
}

fn remember(ty: &StructType, old: Option<&Value>, new: Option<&Value>, result: &Comparison) {
    if let (Some(slot), Some(new)) = (slot(ty, old, new), new) {
        let entry = Remembered { ty: ty.serial, old: old.cloned(), new: new.clone(), result: result.clone() };
        MEMO.with_borrow_mut(|memo| memo[slot] = Some(entry));
    }
}
