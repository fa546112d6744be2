//! Server-side apply: merging what an applier wants into the live object, finding conflicts with other owners, removing what
//! it wanted before and nobody owns now. Models `structured-merge-diff/merge.Updater.Apply` and `managedfields`' wrappers. Each of
//! these steps is a file: [`typed`], [`field_set`], [`merge`], [`conflict`].

mod conflict;
mod field_set;
mod merge;
#[cfg(test)]
mod tests;
mod typed;

use super::compare::compare;
use super::set::{self, node};
use super::{Comparison, Writer, cap, disown, order, own, strip};
use crate::object::Object;
use crate::schema::{StructType, Type, zero};
use crate::status::Status;
use crate::value::Value;
use base::Sort as _;
use conflict::{Conflicts, conflict, conflicts};
use field_set::field_set;
use merge::{merge_struct, remove_struct};
use typed::{check_struct, not_typed};

/// Owns what an object had before anybody applied to it, if nothing was tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The object to store when `writer` applies `config` (as sent: not defaulted, without `managedFields`) to `live` (`None`:
/// creates it). It is to be decoded and defaulted yet. Refused: unknown fields and wrong types (500, as upstream), and with
/// `force` off, values that others own (409 with a cause for each).
pub fn apply(ty: &StructType, live: Option<&Object>, config: &Object, writer: &Writer, force: bool) -> Result<Object, Status> {
    let mut errors = Vec::new();
    check_struct(ty, config.value(), "", &mut errors);
    if !errors.is_empty() {
        return Err(not_typed(config, &errors));
    }
    let nothing = zero(ty);
    let before = live.map_or(&nothing, Object::value);
    let mut entries = live.map_or_else(Vec::new, |live| tracked(ty, live, writer));
    let ours = entries.iter().position(|e| is_ours(e, writer)).map(|i| entries.remove(i));
    let last = ours.as_ref().and_then(|e| e.get("fieldsV1")).map(set::intern);
    let set = field_set(ty, config.value()).and_then(|set| strip(set, writer.reset));

    let merged = merge_struct(ty, before, config.value());
    let owned = entries.iter().filter_map(|e| e.get("fieldsV1")).fold(set.clone(), |all, s| {
        let s = set::intern(s);
        Some(all.map_or(s.clone(), |all| set::union(&all, &s)))
    });
    let merged = match last.as_ref().and_then(|last| gone(ty, last, owned.as_ref())) {
        Some(gone) => remove_struct(ty, merged, &gone),
        None => merged,
    };

    let Comparison { changed, removed } = compare(Some(ty), before, &merged);
    let (changed, removed) = (changed.and_then(|s| strip(s, writer.reset)), removed.and_then(|s| strip(s, writer.reset)));
    let conflicts = conflicts(&entries, changed.as_ref());
    if !force && !conflicts.is_empty() && !settled_by_last_applied(ty, live, writer, &conflicts) {
        return Err(conflict(&conflicts));
    }
    let untouched = changed.is_none() && removed.is_none() && set == last;
    let mut kept: Vec<Value> = entries.iter().filter_map(|e| disown(e, changed.as_ref(), removed.as_ref())).collect();
    match (ours, set) {
        (Some(entry), Some(_)) if untouched => kept.push(entry),
        (ours, Some(set)) => {
            own(&mut kept, "Apply", set, writer);
            // Only what changes the object has a time of its own.
            if let Some(entry) = kept.last_mut().filter(|_| changed.is_none() && removed.is_none()) {
                match ours.as_ref().and_then(|o| o.get("time")) {
                    Some(time) => entry.set_at(&["time"], time.clone()),
                    None => drop(entry.remove_at(&["time"])),
                }
            }
        }
        _ => {}
    }
    cap(&mut kept);
    kept.order_by(order);
    let mut out = Object::from_value(merged).unwrap_or_default();
    if kept.is_empty() {
        out.remove_at(&["metadata", "managedFields"]);
    } else {
        out.set_at(&["metadata", "managedFields"], kept);
    }
    Ok(out)
}

fn is_ours(entry: &Value, writer: &Writer) -> bool {
    let text = |name: &str| entry.str_at(&[name]).unwrap_or("");
    text("operation") == "Apply" && text("manager") == writer.manager && text("subresource") == writer.subresource
}

/// The live object's entries; one for all its fields if nobody tracked them.
fn tracked(ty: &StructType, live: &Object, writer: &Writer) -> Vec<Value> {
    let entries = live.list_at(&["metadata", "managedFields"]).to_vec();
    if !entries.is_empty() {
        return entries;
    }
    let all = compare(Some(ty), &zero(ty), live.value()).changed.and_then(|set| strip(set, writer.reset));
    let mut entries = Vec::new();
    if let Some(set) = all {
        own(&mut entries, "Update", set, &Writer { manager: BEFORE_FIRST_APPLY, ..*writer });
    }
    entries
}

/// kubectl takes over what its own client-side apply wrote: conflicts on fields that are in the last-applied annotation with
/// the live value are none. Models `lastappliedmanager.go`.
fn settled_by_last_applied(ty: &StructType, live: Option<&Object>, writer: &Writer, conflicts: &Conflicts) -> bool {
    let annotation = live.and_then(|l| l.annotation("kubectl.kubernetes.io/last-applied-configuration"));
    let (Some(live), Some(text)) = (live, annotation.filter(|_| writer.manager == "kubectl")) else { return false };
    let Ok(last) = crate::json::parse(text.as_bytes()) else { return false };
    let merged = merge_struct(ty, live.value(), &last);
    let Some(mut allowed) = field_set(ty, &last) else { return false };
    if let Some(differs) = compare(Some(ty), live.value(), &merged).changed {
        match set::difference(&allowed, &differs) {
            Some(rest) => allowed = rest,
            None => return false,
        }
    }
    conflicts.iter().all(|(_, set)| set::difference(set, &allowed).is_none())
}

/// What `last` had and nobody owns now. A struct's field that leads to members counts as a member.
fn gone(ty: &StructType, last: &Value, owned: Option<&Value>) -> Option<Value> {
    let last = with_fields(&Type::Any, Some(ty), last);
    match owned {
        Some(owned) => set::difference(&last, &with_fields(&Type::Any, Some(ty), owned)),
        None => Some(last),
    }
}

/// The set with all struct fields on the way to members as members. Models `EnsureNamedFieldsAreMembers`.
fn with_fields(ty: &Type, root: Option<&StructType>, set: &Value) -> Value {
    let fields = root.or(ty.as_struct().map(|s| &**s));
    let children = set::children(set).map(|(k, v)| {
        let named = k.strip_prefix("f:").and_then(|name| fields?.field(name));
        let below = match (named, ty) {
            (Some(field), _) => &field.ty,
            (None, Type::Map(m)) => &m.elem,
            (None, Type::List(l)) => &l.elem,
            _ => &Type::Any,
        };
        let v = with_fields(below, None, v);
        match named {
            Some(_) if !set::is_member(&v) => (k.clone(), set::union(&v, &set::leaf())),
            _ => (k.clone(), v),
        }
    });
    let children = children.collect();
    node(set::is_member(set), children).unwrap_or_else(set::leaf)
}
