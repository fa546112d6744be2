//! From a configuration to the set of fields that it names. Models `typed.TypedValue.ToFieldSet`.

use base::Sort as _;

use crate::managed_fields::compare::{field_key, item_key};
use crate::managed_fields::set::{self, node};
use crate::schema::{ListKind, ListType, StructType, Type};
use crate::value::{Key, Value};

/// The members of a config: leaves and elements of lists, but not the maps around them. Models `ToFieldSet`.
pub(super) fn field_set(ty: &StructType, value: &Value) -> Option<Value> {
    let children = value.as_map().into_iter().flatten().filter_map(|(k, v)| {
        let field = ty.field(k)?;
        let set = match field.atomic {
            Some(true) => Some(set::leaf()),
            _ => value_set(&field.ty, v, field.atomic == Some(false)),
        };
        Some((field.path_key.clone(), set?))
    });
    let children: Vec<(Key, Value)> = children.collect();
    node(false, children)
}

fn value_set(ty: &Type, value: &Value, granular: bool) -> Option<Value> {
    let empty = match value {
        Value::Map(m) => m.is_empty(),
        Value::List(l) => l.is_empty(),
        _ => true,
    };
    match ty {
        _ if empty => Some(set::leaf()),
        Type::Struct(s) if granular || !s.atomic => field_set(s, value),
        Type::Map(m) if !m.atomic => {
            let children = value.as_map()?.iter();
            let children = children.filter_map(|(k, v)| Some((field_key(k), value_set(&m.elem, v, false)?)));
            let children = children.collect();
            node(false, children)
        }
        Type::List(l) if l.kind != ListKind::Atomic => {
            let children = value.items().iter().map(|item| {
                let below = value_set(&l.elem, item, false).unwrap_or_else(set::leaf);
                (item_key(&l.kind, &with_default_keys(l, item)), set::union(&below, &set::leaf()))
            });
            let mut children: Vec<(Key, Value)> = children.collect();
            children.order_by(|a, b| a.0.cmp(&b.0));
            children.dedup_by(|a, b| a.0 == b.0);
            node(false, children)
        }
        _ => Some(set::leaf()),
    }
}

/// An element with the schema's defaults for keys that are missing (`protocol: TCP`).
pub(super) fn with_default_keys(list: &ListType, item: &Value) -> Value {
    let (ListKind::Map(keys), Type::Struct(s)) = (&list.kind, &list.elem) else { return item.clone() };
    let mut item = item.clone();
    for key in keys {
        if item.get(key).is_none()
            && let Some(default) = s.field(key).and_then(|f| f.default.clone())
        {
            item.map_mut().insert(key.clone(), default);
        }
    }
    item
}
