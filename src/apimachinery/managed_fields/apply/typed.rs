//! Whether a configuration fits its schema: unknown fields, wrong kinds of values, elements given twice. Models `typed.AsTyped`; the
//! answer is a 500, as upstream's.

use super::field_set::with_default_keys;
use crate::managed_fields::compare::item_key;
use crate::managed_fields::set;
use crate::object::Object;
use crate::patch::go_print;
use crate::schema::{ListKind, ListType, StructType, Type};
use crate::status::Status;
use crate::value::{Key, Value};

pub(super) fn not_typed(config: &Object, errors: &[String]) -> Status {
    let text = match errors {
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let (namespace, name, gvk) = (config.namespace(), config.name(), config.gvk());
    let gvk = if gvk.group.is_empty() { format!("/{gvk}") } else { gvk.to_string() };
    Status::new(500, "", format!("failed to create typed patch object ({namespace}/{name}; {gvk}): {text}"))
}

/// Models typed validation: unknown fields, wrong kinds of values, elements given twice.
pub(super) fn check_struct(ty: &StructType, value: &Value, path: &str, errors: &mut Vec<String>) {
    for (name, value) in value.as_map().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match ty.field(name) {
            Some(field) => check(&field.ty, value, &path, errors),
            None if ty.preserve_unknown => {}
            None => errors.push(format!("{path}: field not declared in schema")),
        }
    }
}

fn check(ty: &Type, value: &Value, path: &str, errors: &mut Vec<String>) {
    let go = |v: &Value| match v {
        Value::Map(_) | Value::List(_) => format!("&{{{}}}", go_print(v)),
        _ => format!("&value.valueUnstructured{{Value:{}}}", crate::field::go_value(v)),
    };
    let mut expected = |what: &str, got: String| errors.push(format!("{path}: expected {what}, got {got}"));
    match (ty, value) {
        (_, Value::Null) | (Type::Any | Type::Quantity | Type::IntOrString, _) => {}
        (Type::Struct(s), Value::Map(_)) => check_struct(s, value, path, errors),
        (Type::Map(m), Value::Map(fields)) => {
            for (key, value) in fields.iter() {
                check(&m.elem, value, &format!("{path}.{key}"), errors);
            }
        }
        (Type::List(l), Value::List(items)) => check_list(l, items, path, errors),
        (Type::Struct(_) | Type::Map(_), v) => expected("map", go(v)),
        (Type::List(_), v) => expected("list", go(v)),
        (Type::Int32 | Type::Int64 | Type::Float, Value::Int(_) | Value::Float(_)) => {}
        (Type::Int32 | Type::Int64 | Type::Float, v) => {
            let kind = if v.as_str().is_some() { "string".to_string() } else { go(v) };
            expected("numeric (int or float)", kind);
        }
        (Type::Bool, v) if v.as_bool().is_none() => expected("boolean", go(v)),
        (Type::String(_) | Type::Bytes | Type::Time | Type::MicroTime, v) if v.as_str().is_none() => expected("string", go(v)),
        _ => {}
    }
}

fn check_list(list: &ListType, items: &[Value], path: &str, errors: &mut Vec<String>) {
    let mut seen: Vec<Key> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        if list.kind == ListKind::Atomic {
            check(&list.elem, item, &format!("{path}[{i}]"), errors);
            continue;
        }
        let key = item_key(&list.kind, &with_default_keys(list, item));
        let element = set::element(&key);
        if seen.contains(&key) {
            errors.push(format!("{path}: duplicate entries for key {element}"));
        }
        check(&list.elem, item, &format!("{path}{element}"), errors);
        seen.push(key);
    }
}
