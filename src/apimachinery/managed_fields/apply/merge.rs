//! The live object with what an applier wants put in, and without what it no longer wants and nobody else owns. Models
//! `typed.TypedValue.Merge` and `RemoveItems`.

use super::field_set::with_default_keys;
use crate::managed_fields::compare::item_key;
use crate::managed_fields::set;
use crate::schema::{ListKind, ListType, StructType, Type};
use crate::value::{Fields, Key, Value};

pub(super) fn merge_struct(ty: &StructType, live: &Value, config: &Value) -> Value {
    let Some(wanted) = config.as_map() else { return config.clone() };
    let mut out = if live.as_map().is_some() { live.clone() } else { Value::map() };
    for (name, value) in wanted {
        let field = ty.field(name);
        let merged = match (out.get(name), field) {
            (Some(have), Some(field)) if !field.is_atomic() => merge(&field.ty, have, value),
            _ => value.clone(),
        };
        if out.get(name).is_none_or(|have| !have.ptr_eq(&merged)) {
            out.map_mut().insert(name.clone(), merged);
        }
    }
    out
}

fn merge(ty: &Type, live: &Value, config: &Value) -> Value {
    match (ty, live, config) {
        _ if live == config => live.clone(),
        (Type::Struct(s), Value::Map(_), Value::Map(_)) => merge_struct(s, live, config),
        (Type::Map(m), Value::Map(_), Value::Map(wanted)) if !m.atomic => {
            let mut out = live.clone();
            for (key, value) in wanted.iter() {
                let merged = out.get(key).map_or_else(|| value.clone(), |have| merge(&m.elem, have, value));
                out.map_mut().insert(key.clone(), merged);
            }
            out
        }
        (Type::List(l), Value::List(have), Value::List(wanted)) if l.kind != ListKind::Atomic => {
            Value::list(merge_lists(l, have, wanted))
        }
        _ => config.clone(),
    }
}

/// Elements of both, in an order that respects both lists; where they disagree, the config's.
fn merge_lists(list: &ListType, live: &[Value], config: &[Value]) -> Vec<Value> {
    let key = |v: &Value| item_key(&list.kind, &with_default_keys(list, v));
    let (live_keys, config_keys): (Vec<Key>, Vec<Key>) = (live.iter().map(key).collect(), config.iter().map(key).collect());
    let (mut i, mut j, mut out) = (0, 0, Vec::with_capacity(live.len() + config.len()));
    while i < live.len() || j < config.len() {
        if i < live.len() && !config_keys.contains(&live_keys[i]) {
            out.push(live[i].clone());
            i += 1;
        } else if j < config.len() {
            match live_keys.iter().position(|k| *k == config_keys[j]) {
                Some(at) => {
                    out.push(if list.elem.is_atomic() { config[j].clone() } else { merge(&list.elem, &live[at], &config[j]) });
                    i += usize::from(i < live.len());
                }
                None => out.push(config[j].clone()),
            }
            j += 1;
        } else {
            i += 1;
        }
    }
    out
}

pub(super) fn remove_struct(ty: &StructType, value: Value, gone: &Value) -> Value {
    let mut out = value;
    for (k, below) in set::children(gone) {
        let Some(name) = k.strip_prefix("f:") else { continue };
        let Some(have) = out.get(name).cloned() else { continue };
        if set::is_member(below) && !holds_more(&have, below) {
            out.map_mut().remove(name);
        } else if let Some(field) = ty.field(name) {
            let rest = remove(&field.ty, have, below);
            out.map_mut().insert(field.name.clone(), rest);
        }
    }
    out
}

/// Whether a container has members that the set does not name: then it stays, without those it names.
fn holds_more(value: &Value, set: &Value) -> bool {
    match value {
        Value::Map(m) if set::children(set).next().is_some() => {
            m.keys().any(|k| !set::children(set).any(|(c, _)| c.strip_prefix("f:") == Some(k)))
        }
        Value::List(l) if set::children(set).next().is_some() => l.len() > set::children(set).count(),
        _ => false,
    }
}

fn remove(ty: &Type, value: Value, gone: &Value) -> Value {
    match (ty, &value) {
        (Type::Struct(s), Value::Map(_)) => remove_struct(s, value, gone),
        (Type::Map(m), Value::Map(fields)) => {
            let kept = fields.iter().filter_map(|(k, v)| {
                let below = gone.as_map()?.iter().find(|(c, _)| c.strip_prefix("f:") == Some(k)).map(|(_, b)| b);
                match below {
                    None => Some((k.clone(), v.clone())),
                    Some(b) if set::is_member(b) => None,
                    Some(b) => Some((k.clone(), remove(&m.elem, v.clone(), b))),
                }
            });
            Fields::from_entries(kept.collect()).into()
        }
        (Type::List(l), Value::List(items)) => {
            let kept = items.iter().filter_map(|item| match gone.get(&item_key(&l.kind, &with_default_keys(l, item))) {
                None => Some(item.clone()),
                Some(b) if set::is_member(b) => None,
                Some(b) => Some(remove(&l.elem, item.clone(), b)),
            });
            Value::list(kept.collect())
        }
        _ => value,
    }
}
