//! Everything else: the object's own fields, their names in words.

use apimachinery::{Object, Value};
use base::Sort as _;

use super::Writer;
use crate::printers::go;

pub(super) fn generic(object: &Object, w: &mut Writer) {
    w.field(0, "Name", object.name());
    w.field(0, "Namespace", object.namespace());
    w.labels(object);
    w.annotations(object);
    let skip = |path: &str| {
        matches!(
            path,
            ".metadata.name" | ".metadata.namespace" | ".metadata.labels" | ".metadata.annotations" | ".metadata.managedFields"
        )
    };
    fields(object.value(), 0, "", &skip, w);
}

/// `creationTimestamp` is `Creation Timestamp`.
fn words(name: &str) -> String {
    match name {
        "apiVersion" => return "API Version".into(),
        "uid" => return "UID".into(),
        _ => {}
    }
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after_lower = i > 0 && c.is_uppercase() && chars[i - 1].is_lowercase();
        let before_lower =
            i > 0 && c.is_uppercase() && chars[i - 1].is_uppercase() && chars.get(i + 1).is_some_and(|n| n.is_lowercase());
        if after_lower || before_lower {
            out.push(' ');
        }
        if i == 0 { out.extend(c.to_uppercase()) } else { out.push(*c) }
    }
    out
}

fn fields(value: &Value, level: usize, path: &str, skip: &dyn Fn(&str) -> bool, w: &mut Writer) {
    let mut entries: Vec<_> = value.as_map().into_iter().flat_map(|m| m.iter()).collect();
    entries.order_by_key(|(k, _)| words(k));
    for (k, v) in entries {
        let here = format!("{path}.{k}");
        if skip(&here) {
            continue;
        }
        match v {
            Value::Map(_) => {
                w.line(level, format!("{}:", words(k)));
                fields(v, level + 1, &here, skip, w);
            }
            Value::List(items) => {
                w.line(level, format!("{}:", words(k)));
                for item in items.iter() {
                    match item {
                        Value::Map(_) => fields(item, level + 1, &here, skip, w),
                        other => w.line(level + 1, go::sprint(other)),
                    }
                }
            }
            other => w.field(level, &words(k), go::sprint(other)),
        }
    }
}
