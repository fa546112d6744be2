//! JSON merge patch (RFC 7386): maps merge, null deletes, everything else replaces.

use crate::value::{Fields, Value};

/// Applies a merge patch. Nulls in maps that the patch adds are dropped.
pub fn merge_patch(object: &Value, patch: &Value) -> Value {
    let Value::Map(changes) = patch else { return patch.clone() };
    let mut out = object.clone();
    if changes.is_empty() && object.as_map().is_some() {
        return out;
    }
    let fields = out.map_mut();
    for (key, change) in changes.iter() {
        match change {
            Value::Null => {
                fields.remove(key);
            }
            Value::Map(_) => {
                let merged = merge_patch(fields.get(key).unwrap_or(&Value::Null), change);
                fields.insert(key.clone(), merged);
            }
            other => {
                fields.insert(key.clone(), other.clone());
            }
        }
    }
    out
}

/// The merge patch that makes `modified` of `original`.
pub fn create_merge_patch(original: &Value, modified: &Value) -> Value {
    let (Some(old), Some(new)) = (original.as_map(), modified.as_map()) else { return modified.clone() };
    let mut patch = Fields::new();
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before) if before.as_map().is_some() && value.as_map().is_some() => {
                patch.insert(key.clone(), create_merge_patch(before, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|k| !new.contains_key(k)) {
        patch.insert(key.clone(), Value::Null);
    }
    patch.into()
}

/// The merge patch of `kubectl apply` for kinds without a schema: what `modified` changes in `current`, and deletions of what
/// `original` (the last applied) had and `modified` has not. Models `jsonmergepatch.CreateThreeWayJSONMergePatch`.
pub fn three_way_merge_patch(original: &Value, modified: &Value, current: &Value) -> Value {
    let changes = keep_changes(&create_merge_patch(current, modified));
    let deletions = keep_deletions(&create_merge_patch(original, modified));
    join(&deletions, &changes)
}

fn keep_changes(patch: &Value) -> Value {
    let Some(fields) = patch.as_map() else { return patch.clone() };
    let kept = fields.iter().filter(|(_, v)| !v.is_null()).filter_map(|(k, v)| {
        let inner = keep_changes(v);
        let emptied = inner.as_map().is_some_and(Fields::is_empty) && !v.as_map().is_some_and(Fields::is_empty);
        (!emptied).then(|| (k.clone(), inner))
    });
    Fields::from_entries(kept.collect()).into()
}

fn keep_deletions(patch: &Value) -> Value {
    let kept = patch.as_map().into_iter().flatten().filter_map(|(k, v)| match v {
        Value::Null => Some((k.clone(), Value::Null)),
        Value::Map(_) => Some((k.clone(), keep_deletions(v))).filter(|(_, v)| !v.is_empty()),
        _ => None,
    });
    Fields::from_entries(kept.collect()).into()
}

/// Both patches as one; `b` wins. Nulls stay.
fn join(a: &Value, b: &Value) -> Value {
    let (Some(_), Some(changes)) = (a.as_map(), b.as_map()) else { return b.clone() };
    let mut out = a.clone();
    for (key, value) in changes {
        let joined = out.get(key).map_or_else(|| value.clone(), |have| join(have, value));
        out.map_mut().insert(key.clone(), joined);
    }
    out
}
