//! Strategic merge patch: a merge patch that knows the schema's merge keys, and directives (`$patch`, `$retainKeys`,
//! `$setElementOrder/…`, `$deleteFromPrimitiveList/…`). Models `apimachinery/pkg/util/strategicpatch`.

use base::Sort as _;
use std::rc::Rc;

use super::go_print;
use crate::schema::{Field, StructType, Type};
use crate::status::Status;
use crate::value::{Fields, Key, Value, key};

pub(super) const DIRECTIVE: &str = "$patch";
pub(super) const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const SET_ORDER: &str = "$setElementOrder";
pub(super) const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList";

/// Why a patch can't be applied.
pub(super) enum Error {
    /// `invalid patch format of retainKeys` and its like: 400.
    Format(String),
    /// Everything else: 500, as upstream has it.
    Other(String),
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::Format(message) => Status::bad_request(message),
            Error::Other(message) => Status::new(500, "", message),
        }
    }
}

type Merged<T> = Result<T, Error>;

/// Applies a strategic merge patch to an object of a type; without a type, lists are replaced.
pub fn strategic_merge(object: &Value, patch: &Value, ty: Option<&StructType>) -> Result<Value, Status> {
    let (Some(object), Some(patch)) = (object.as_map(), patch.as_map()) else { return Ok(patch.clone()) };
    Ok(Value::from(merge_map(object, patch, Schema::Struct(ty), Mode::Apply)?))
}

/// Whether a patch is applied to an object, or a patch is merged into another patch (then directives stay).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Apply,
    Join,
}

/// What is known of the members of a map.
#[derive(Clone, Copy)]
pub(super) enum Schema<'a> {
    Struct(Option<&'a StructType>),
    /// The type of all values.
    Map(&'a Type),
}

/// How one member is merged.
pub(super) struct Member<'a> {
    pub merge: bool,
    pub retain_keys: bool,
    pub key: Option<Key>,
    /// Of the member itself, or of the elements of its list.
    pub schema: Schema<'a>,
}

impl<'a> Schema<'a> {
    pub(super) fn member(self, name: &str) -> Member<'a> {
        match self {
            Schema::Struct(ty) => {
                let Some(field) = ty.and_then(|t| t.field(name)) else { return Member::plain(Schema::Struct(None)) };
                Member::of(field)
            }
            Schema::Map(elem) => Member::plain(below(elem)),
        }
    }
}

fn below(ty: &Type) -> Schema<'_> {
    match ty {
        Type::Struct(s) => Schema::Struct(Some(s)),
        Type::List(l) => below(&l.elem),
        Type::Map(m) => Schema::Map(&m.elem),
        _ => Schema::Struct(None),
    }
}

impl<'a> Member<'a> {
    fn plain(schema: Schema<'a>) -> Member<'a> {
        Member { merge: false, retain_keys: false, key: None, schema }
    }
    fn of(field: &'a Field) -> Member<'a> {
        let p = &field.patch;
        Member { merge: p.merge, retain_keys: p.retain_keys, key: p.key.clone(), schema: below(&field.ty) }
    }
}

pub(super) fn merge_map(original: &Fields, patch: &Fields, schema: Schema, mode: Mode) -> Merged<Fields> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return map_directive(directive, patch);
    }
    let mut out = original.clone();
    let mut done: Vec<Key> = Vec::new();
    if let Some(retain) = patch.get(RETAIN_KEYS) {
        retain_keys(&mut out, patch, retain, mode)?;
        done.push(key(RETAIN_KEYS));
    }
    for (name, order) in patch.iter().filter(|(k, _)| k.starts_with(SET_ORDER)) {
        done.push(name.clone());
        if let Some(field) = set_element_order(&mut out, patch, name, order, schema, mode)? {
            done.push(field);
        }
    }
    for (name, change) in patch.iter().filter(|(k, _)| !done.contains(k)) {
        merge_member(&mut out, name, change, schema, mode)?;
    }
    Ok(out)
}

fn map_directive(directive: &Value, patch: &Fields) -> Merged<Fields> {
    match directive.as_str() {
        Some("replace") => {
            let mut replaced = patch.clone();
            replaced.remove(DIRECTIVE);
            Ok(replaced)
        }
        Some("delete") => Ok(Fields::new()),
        _ => Err(bad_patch_type(directive, patch)),
    }
}

fn bad_patch_type(directive: &Value, patch: &Fields) -> Error {
    let map = go_print(&Value::from(patch.clone()));
    Error::Other(format!("unknown patch type: {} in map: {map}", go_print(directive)))
}

fn merge_member(out: &mut Fields, name: &Key, change: &Value, schema: Schema, mode: Mode) -> Merged<()> {
    let (name, deletes) = match name.strip_prefix(DELETE_PRIMITIVES).and_then(|n| n.strip_prefix('/')) {
        Some(_) if mode == Mode::Join => {
            out.insert(name.clone(), change.clone());
            return Ok(());
        }
        Some(field) => (key(field), true),
        None => (name.clone(), false),
    };
    if change.is_null() {
        out.remove(&name);
        if mode == Mode::Join {
            out.insert(name, Value::Null);
        }
        return Ok(());
    }
    let merged = match (out.get(&name), change) {
        (None, _) if deletes => return Ok(()),
        (Some(Value::Map(have)), Value::Map(new)) => {
            let member = schema.member(&name);
            Value::from(merge_map(have, new, member.schema, mode)?)
        }
        (Some(Value::List(have)), Value::List(new)) => {
            let member = schema.member(&name);
            match member.merge {
                true => Value::list(merge_list(have, new, &member, deletes, mode)?),
                false => change.clone(),
            }
        }
        _ if deletes => return Ok(()),
        _ if mode == Mode::Join => change.clone(),
        _ => match without_directives(change) {
            Some(value) => value,
            None => return Ok(()),
        },
    };
    out.insert(name, merged);
    Ok(())
}

/// A value that is new to the object: its directives and nulls mean nothing any more. `None`: it asked to be deleted.
fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Map(fields) => {
            if fields.get(DIRECTIVE).and_then(Value::as_str) == Some("delete") {
                return None;
            }
            let kept = fields.iter().filter(|(k, v)| !v.is_null() && !is_directive(k));
            let entries = kept.filter_map(|(k, v)| Some((k.clone(), without_directives(v)?)));
            Some(Fields::from_entries(entries.collect()).into())
        }
        Value::List(items) => {
            let kept: Vec<Value> = items
                .iter()
                .filter(|v| !v.as_map().is_some_and(|m| m.len() == 1 && m.contains_key(DIRECTIVE)))
                .filter_map(without_directives)
                .collect();
            Some(Value::list(kept))
        }
        other => Some(other.clone()),
    }
}

fn is_directive(name: &str) -> bool {
    name == DIRECTIVE || name == RETAIN_KEYS || name.starts_with(SET_ORDER) || name.starts_with(DELETE_PRIMITIVES)
}

fn retain_keys(out: &mut Fields, patch: &Fields, retain: &Value, mode: Mode) -> Merged<()> {
    let bad = || Error::Format("invalid patch format of retainKeys".to_string());
    let Some(list) = retain.as_list() else { return Err(bad()) };
    if mode == Mode::Join {
        out.insert(key(RETAIN_KEYS), retain.clone());
        return Ok(());
    }
    let retained = |name: &str| list.iter().any(|v| v.as_str() == Some(name));
    for (name, value) in patch {
        if !value.is_null() && !is_directive(name) && !retained(name) {
            return Err(bad());
        }
    }
    out.retain(|name, _| retained(name));
    Ok(())
}

/// Merges the list that a `$setElementOrder/name` is about, and orders it. Gives the name of the list if it is done.
fn set_element_order(
    out: &mut Fields,
    patch: &Fields,
    directive: &Key,
    order: &Value,
    schema: Schema,
    mode: Mode,
) -> Merged<Option<Key>> {
    let Some(name) = directive.strip_prefix(SET_ORDER).and_then(|n| n.strip_prefix('/')) else { return Ok(None) };
    let member = schema.member(name);
    let order = order.items();
    let (have, new) = (out.get(name).cloned(), patch.get(name));
    check_order(new.map_or(&[], Value::items), order, &member)?;
    if mode == Mode::Join {
        out.insert(directive.clone(), Value::list(order.to_vec()));
    }
    let server: Vec<Value> = have.as_ref().map_or(&[][..], Value::items).to_vec();
    let merged = match (&have, new) {
        (None, None) => return Ok(None),
        (Some(_), None) => server.clone(),
        (None, Some(added)) if mode == Mode::Join => added.items().to_vec(),
        (None, Some(added)) => without_directives(added).unwrap_or_default().items().to_vec(),
        (Some(_), Some(new)) if member.merge => merge_list(&server, new.items(), &member, false, mode)?,
        (Some(_), Some(new)) => new.items().to_vec(),
    };
    out.insert(key(name), Value::list(arrange(merged, order, &server, member.key.as_deref())));
    Ok(Some(key(name)))
}

/// The patch's items that are not deleted must come in the order given.
fn check_order(items: &[Value], order: &[Value], member: &Member) -> Merged<()> {
    if items.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in items.iter().filter(|i| i.get(DIRECTIVE).is_none()) {
        if !rest.any(|o| same(o, item, member.key.as_deref())) {
            let (items, order) = (go_print(&Value::list(items.to_vec())), go_print(&Value::list(order.to_vec())));
            return Err(Error::Other(format!("The order in patch list:\n{items}\n doesn't match {SET_ORDER} list:\n{order}\n")));
        }
    }
    Ok(())
}

/// Whether two elements are the same: by merge key, or as scalars.
pub(super) fn same(a: &Value, b: &Value, merge_key: Option<&str>) -> bool {
    match merge_key {
        Some(k) => matches!((a.get(k), b.get(k)), (Some(x), Some(y)) if x == y),
        None => a == b,
    }
}

fn merge_list(have: &[Value], new: &[Value], member: &Member, deletes: bool, mode: Mode) -> Merged<Vec<Value>> {
    let is_map = |v: &Value| matches!(v, Value::Map(_));
    let maps = have.iter().chain(new).filter(|v| is_map(v)).count();
    let total = have.len() + new.len();
    if maps != 0 && maps != total {
        let both = go_print(&Value::list(vec![Value::list(have.to_vec()), Value::list(new.to_vec())]));
        return Err(Error::Other(format!("list element types are not identical: {both}")));
    }
    if maps == 0 {
        return Ok(merge_scalars(have, new, deletes));
    }
    let Some(merge_key) = member.key.as_deref() else {
        return Err(Error::Other("cannot merge lists without merge key".to_string()));
    };
    let (mut merged, new) = special_elements(have, new, merge_key)?;
    let server = merged.clone();
    for item in &new {
        let (Some(fields), Some(_)) = (item.as_map(), item.get(merge_key)) else { return Err(no_merge_key(item, merge_key)) };
        match merged.iter_mut().find(|m| same(m, item, Some(merge_key))) {
            Some(slot) => {
                let base = slot.as_map().cloned().unwrap_or_default();
                *slot = Value::from(merge_map(&base, fields, member.schema, mode)?);
            }
            None if mode == Mode::Join => merged.push(item.clone()),
            None => merged.extend(without_directives(item)),
        }
    }
    Ok(arrange(merged, &new, &server, Some(merge_key)))
}

fn no_merge_key(item: &Value, merge_key: &str) -> Error {
    Error::Other(format!("map: {} does not contain declared merge key: {merge_key}", go_print(item)))
}

fn merge_scalars(have: &[Value], new: &[Value], deletes: bool) -> Vec<Value> {
    if deletes {
        return have.iter().filter(|v| !new.contains(v)).cloned().collect();
    }
    let mut merged: Vec<Value> = Vec::with_capacity(have.len() + new.len());
    for v in have.iter().chain(new) {
        if !merged.contains(v) {
            merged.push(v.clone());
        }
    }
    arrange(merged, new, have, None)
}

/// Carries out the elements with `$patch`: the list without what they delete, and the patch without them.
fn special_elements(have: &[Value], new: &[Value], merge_key: &str) -> Merged<(Vec<Value>, Vec<Value>)> {
    let (mut have, mut rest, mut replace) = (have.to_vec(), Vec::with_capacity(new.len()), false);
    for item in new {
        let Some(directive) = item.get(DIRECTIVE) else {
            rest.push(item.clone());
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                if item.get(merge_key).is_none() {
                    return Err(no_merge_key(item, merge_key));
                }
                have.retain(|h| !same(h, item, Some(merge_key)));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(Error::Other("merging lists cannot yet be specified in the patch".to_string())),
            _ => return Err(bad_patch_type(directive, item.as_map().unwrap_or(&Fields::new()))),
        }
    }
    Ok(if replace { (rest, Vec::new()) } else { (have, rest) })
}

/// Puts items into order: those of `order` as there, those only the server has as it had them; the two are merged by their
/// relative order on the server, and where that says nothing, what is in `order` comes first.
fn arrange(items: Vec<Value>, order: &[Value], server: &[Value], merge_key: Option<&str>) -> Vec<Value> {
    let index = |list: &[Value], v: &Value| list.iter().position(|x| same(x, v, merge_key));
    let (mut ordered, mut rest): (Vec<Value>, Vec<Value>) = items.into_iter().partition(|v| index(order, v).is_some());
    ordered.order_by_key(|v| index(order, v));
    rest.order_by_key(|v| index(server, v));
    let mut out = Vec::with_capacity(ordered.len() + rest.len());
    let (mut left, mut right) = (rest.into_iter().peekable(), ordered.into_iter().peekable());
    while let (Some(l), Some(r)) = (left.peek(), right.peek()) {
        let before = matches!((index(server, l), index(server, r)), (Some(li), Some(ri)) if li < ri);
        out.extend(if before { left.next() } else { right.next() });
    }
    out.extend(left);
    out.extend(right);
    out
}

/// Why a value that came out of a strategic merge patch does not fit its type, in the words of Go's unstructured converter
/// (`cannot restore map from string`); `None` if it fits. Models `runtime.DefaultUnstructuredConverter`.
pub fn conversion_error(ty: &Type, value: &Value) -> Option<String> {
    let kind = |v: &Value| match v {
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::Str(_) => "string",
        Value::List(_) => "slice",
        Value::Map(_) | Value::Null => "map",
    };
    match (ty, value) {
        (_, Value::Null) | (Type::Any, _) => None,
        (Type::Struct(s), Value::Map(fields)) => {
            fields.iter().find_map(|(k, v)| s.field(k).and_then(|f| conversion_error(&f.ty, v)))
        }
        (Type::Struct(_), v) => Some(format!("cannot restore struct from: {}", kind(v))),
        (Type::Map(m), Value::Map(fields)) => fields.iter().find_map(|(_, v)| conversion_error(&m.elem, v)),
        (Type::Map(_), v) => Some(format!("cannot restore map from {}", kind(v))),
        (Type::List(l), Value::List(items)) => items.iter().find_map(|v| conversion_error(&l.elem, v)),
        (Type::List(_) | Type::Bytes, v) if !matches!(v, Value::Str(_)) => Some(format!("cannot restore slice from {}", kind(v))),
        (Type::List(_), v) => Some(format!("cannot restore slice from {}", kind(v))),
        (Type::String(_), v) if v.as_str().is_none() => Some(format!("cannot convert {} to string", kind(v))),
        (Type::Bool, v) if v.as_bool().is_none() => Some("unrecognized type: bool".to_string()),
        (Type::Int32, v) if v.as_i64().is_none() => Some("unrecognized type: int32".to_string()),
        (Type::Int64, v) if v.as_i64().is_none() => Some("unrecognized type: int64".to_string()),
        _ => None,
    }
}

/// For the root of a kind.
pub fn conversion_error_of(ty: &Rc<StructType>, value: &Value) -> Option<String> {
    conversion_error(&Type::Struct(ty.clone()), value)
}
