//! Patches by kind: strategic where the kind has a schema with Go types, JSON merge otherwise.

use apimachinery::{Gvk, PatchType, Value, patch, schema};

/// The patch from last applied, new and live configuration.
pub(crate) fn three_way(
    original: Option<&Value>,
    modified: &Value,
    current: &Value,
    gvk: Gvk,
) -> Result<(PatchType, Value), String> {
    let nothing = Value::map();
    let original = original.unwrap_or(&nothing);
    match schema::of(gvk) {
        Some(ty) => Ok((PatchType::StrategicMerge, patch::three_way_strategic(original, modified, current, &ty)?)),
        None => Ok((PatchType::Merge, patch::three_way_merge_patch(original, modified, current))),
    }
}

/// The patch from one state to another.
pub(crate) fn two_way(old: &Value, new: &Value, gvk: Gvk) -> (PatchType, Value) {
    if let Some(ty) = schema::of(gvk)
        && let Ok(patch) = patch::two_way_strategic(old, new, &ty)
    {
        return (PatchType::StrategicMerge, patch);
    }
    (PatchType::Merge, patch::create_merge_patch(old, new))
}

/// Applies a patch here, for `--local` and `--dry-run=client`.
pub(crate) fn apply(kind: PatchType, object: &Value, change: &Value, gvk: Gvk) -> Result<Value, String> {
    let ty = schema::of(gvk);
    patch::apply(kind, object, change, ty.as_deref()).map_err(|status| status.message)
}
