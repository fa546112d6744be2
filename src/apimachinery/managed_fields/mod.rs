//! Who owns which field: `metadata.managedFields` of creates, updates and patches, as upstream writes them.
//!
//! Server-side apply is in [`apply`]. A field set is kept as the value that goes on the wire (FieldsV1): maps whose keys are `f:name`, `k:{…}`, `v:…`, and `.`
//! for a member that has members below. All of them are hash-consed ([`set`]), so pods of one template share theirs, and
//! subtrees that are the same allocation in both objects are never walked ([`compare`]). Models
//! `apimachinery/pkg/util/managedfields` and `structured-merge-diff/merge`. Left out: conversion of sets between API versions
//! (all versions of a built-in kind name their fields alike where both exist).

mod apply;
mod compare;
pub mod set;

use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

use base::Sort as _;
use base::Time;

pub use apply::apply;
pub use compare::{Comparison, compare};

use crate::object::Object;
use crate::schema::{StructType, zero};
use crate::value::{Fields, Value};

/// More entries of updates than this are merged into one of the oldest.
const MAX_UPDATERS: usize = 10;
/// The manager of that one.
const OLD_UPDATERS: &str = "ancient-changes";
/// Fields that are nobody's.
const STRIPPED: [&str; 2] = ["apiVersion", "kind"];
const STRIPPED_METADATA: [&str; 8] =
    ["name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"];

/// Who writes, how and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// See [`manager_name`].
    pub manager: &'a str,
    /// `v1`, `apps/v1`: of the request.
    pub api_version: &'a str,
    /// `status`, `scale`; empty for the object itself.
    pub subresource: &'a str,
    pub time: Time,
    /// Paths that a write to this endpoint can't change and therefore never owns (`["status"]` for the object itself,
    /// `["spec"]` and more for its status): a strategy's `GetResetFields`.
    pub reset: &'a [&'a [&'a str]],
}

/// The name under which fields are owned: the `fieldManager` parameter, or the user agent up to its slash; at most 128
/// bytes, printable.
pub fn manager_name(field_manager: Option<&str>, user_agent: &str) -> String {
    let name = field_manager.filter(|m| !m.is_empty()).unwrap_or_else(|| user_agent.split('/').next().unwrap_or(""));
    let mut out = String::new();
    for c in name.chars().filter(|c| !c.is_control()) {
        if out.len() + c.len_utf8() > 128 {
            break;
        }
        out.push(c);
    }
    if out.is_empty() { "unknown".to_string() } else { out }
}

/// The object to store, with its `metadata.managedFields`, when `writer` makes `new` of `live` (`None`: creates it). Both are
/// decoded objects; `new` as the client wants it, before admission changes it. Managed fields that the client sent are taken
/// if they are there and the write is not to a subresource; one empty entry resets them.
pub fn update(ty: Option<&StructType>, live: Option<&Object>, mut new: Object, writer: &Writer) -> Object {
    let start = starting_entries(live, &new, writer);
    let entries = change(ty, live, &new, start.as_ref(), writer).unwrap_or(start);
    let has = new.at(&["metadata", "managedFields"]);
    match entries {
        Some(entries) if has.is_none_or(|have| !have.ptr_eq(&entries)) => new.set_at(&["metadata", "managedFields"], entries),
        None if has.is_some() => {
            new.remove_at(&["metadata", "managedFields"]);
        }
        _ => {}
    }
    new
}

/// The entries that a write starts from.
fn starting_entries(live: Option<&Object>, new: &Object, writer: &Writer) -> Option<Value> {
    let of = |o: &Object| o.at(&["metadata", "managedFields"]).filter(|m| !m.items().is_empty()).cloned();
    let before = live.and_then(of);
    if !writer.subresource.is_empty() {
        return before;
    }
    match of(new) {
        Some(sent) if sent.items() == [Value::map()] => None,
        Some(sent) if sent.items().iter().all(is_valid_entry) => Some(sent),
        Some(_) => before,
        None => before,
    }
}

/// Whether an entry that a client sent can be read.
fn is_valid_entry(entry: &Value) -> bool {
    matches!(entry.str_at(&["operation"]), Some("Apply" | "Update"))
        && entry.str_at(&["fieldsType"]) == Some("FieldsV1")
        && matches!(entry.get("fieldsV1"), Some(Value::Map(_)))
}

/// The new entries (none if there is nothing left to own); `None`: as they were.
fn change(
    ty: Option<&StructType>,
    live: Option<&Object>,
    new: &Object,
    start: Option<&Value>,
    writer: &Writer,
) -> Option<Option<Value>> {
    // An update of an object whose fields nobody tracks starts no tracking.
    if live.is_some() && start.is_none() {
        return None;
    }
    let nothing = ty.map_or_else(Value::map, zero);
    let comparison = compare(ty, live.map_or(&nothing, Object::value), new.value());
    let changed = comparison.changed.and_then(|set| stripped(set, writer.reset));
    let removed = comparison.removed.and_then(|set| stripped(set, writer.reset));
    if changed.is_none() && removed.is_none() {
        return None;
    }
    let mut entries: Vec<Value> = Vec::new();
    for entry in start.map_or(&[][..], Value::items) {
        entries.extend(disown(entry, changed.as_ref(), removed.as_ref()));
    }
    if let Some(set) = changed {
        own(&mut entries, "Update", set, writer);
    }
    cap(&mut entries);
    entries.order_by(order);
    Some((!entries.is_empty()).then(|| Value::list(entries)))
}

/// A set stripped before.
struct Stripped {
    from: Value,
    reset: u64,
    result: Option<Value>,
}

const MEMO_SLOTS: usize = 64;

thread_local! {
    /// A memo outside the state, of bounded size: pods of one template have one set. It holds the sets, so that an address means one.
    static MEMO: RefCell<[Option<Stripped>; MEMO_SLOTS]> = const { RefCell::new([const { None }; MEMO_SLOTS]) };
}

/// [`strip`], remembered.
fn stripped(set: Value, reset: &[&[&str]]) -> Option<Value> {
    let Value::Map(fields) = &set else { return strip(set, reset) };
    let mut digest = base::Digest::new();
    for path in reset {
        digest.write_u64(path.len() as u64);
        path.iter().for_each(|name| digest.write(name.as_bytes()));
    }
    let reset_hash = digest.finish();
    let slot = base::mix64(Rc::as_ptr(fields) as usize as u64 ^ reset_hash) as usize % MEMO_SLOTS;
    let known = MEMO.with_borrow(|memo| {
        let have = memo[slot].as_ref().filter(|have| have.reset == reset_hash && have.from.ptr_eq(&set))?;
        Some(have.result.clone())
    });
    known.unwrap_or_else(|| {
        let result = strip(set.clone(), reset);
        MEMO.with_borrow_mut(|memo| memo[slot] = Some(Stripped { from: set, reset: reset_hash, result: result.clone() }));
        result
    })
}

/// Without what is nobody's and what this endpoint can't change.
fn strip(set: Value, reset: &[&[&str]]) -> Option<Value> {
    let mut set = set::without_fields(set, &STRIPPED)?;
    if let Some(metadata) = set.get("f:metadata") {
        let stripped = set::without_fields(metadata.clone(), &STRIPPED_METADATA);
        if stripped.as_ref().is_none_or(|s| !s.ptr_eq(metadata)) {
            set = set::replace(&set, "f:metadata", stripped)?;
        }
    }
    reset.iter().try_fold(set, |set, path| set::without(set, path))
}

/// An entry after others took or removed fields; `None` if nothing is left.
fn disown(entry: &Value, changed: Option<&Value>, removed: Option<&Value>) -> Option<Value> {
    let before = entry.get("fieldsV1").cloned().unwrap_or_else(Value::map);
    let mut left = Some(before.clone());
    for taken in [changed, removed].into_iter().flatten() {
        left = left.and_then(|set| set::difference(&set, taken));
    }
    let left = left?;
    if left == before {
        return Some(entry.clone());
    }
    let mut entry = entry.clone();
    entry.set_at(&["fieldsV1"], left);
    Some(entry)
}

/// Adds fields to the writer's entry, which gets the time of the write.
fn own(entries: &mut Vec<Value>, operation: &str, set: Value, writer: &Writer) {
    let is_ours = |e: &Value| {
        let text = |name: &str| e.str_at(&[name]).unwrap_or("");
        text("manager") == writer.manager
            && text("operation") == operation
            && text("apiVersion") == writer.api_version
            && text("subresource") == writer.subresource
    };
    let time = writer.time.rfc3339_shared();
    match entries.iter_mut().find(|e| is_ours(e)) {
        Some(entry) => {
            let before = entry.get("fieldsV1").map_or_else(set::leaf, set::intern);
            entry.set_at(&["fieldsV1"], set::union(&before, &set));
            entry.set_at(&["time"], time);
        }
        None => entries.push(entry(operation, set, time, writer)),
    }
}

fn entry(operation: &str, set: Value, time: Rc<str>, writer: &Writer) -> Value {
    let mut fields = Fields::with_capacity(7);
    fields.set("apiVersion", Value::sym(writer.api_version));
    fields.set("fieldsType", Value::sym("FieldsV1"));
    fields.set("fieldsV1", set);
    fields.set("manager", Value::sym(writer.manager));
    fields.set("operation", Value::sym(operation));
    if !writer.subresource.is_empty() {
        fields.set("subresource", Value::sym(writer.subresource));
    }
    fields.set("time", time);
    fields.into()
}

/// Applies before updates, then by time, manager, version, subresource.
fn order(a: &Value, b: &Value) -> Ordering {
    let by = |name: &str| a.str_at(&[name]).unwrap_or("").cmp(b.str_at(&[name]).unwrap_or(""));
    ["operation", "time", "manager", "apiVersion", "subresource"].iter().fold(Ordering::Equal, |o, name| o.then_with(|| by(name)))
}

/// Merges the oldest updaters of a version into one while there are too many.
fn cap(entries: &mut Vec<Value>) {
    let is_update = |e: &Value| e.str_at(&["operation"]) == Some("Update");
    let mut count = entries.iter().filter(|e| is_update(e)).count();
    if count <= MAX_UPDATERS {
        return;
    }
    let mut all = std::mem::take(entries);
    all.order_by(order);
    let (updates, others): (Vec<Value>, Vec<Value>) = all.into_iter().partition(is_update);
    entries.extend(others);
    // Per version: where its first entry stands in `entries`.
    let mut firsts: Vec<(String, usize)> = Vec::new();
    for update in updates {
        let version = update.str_at(&["apiVersion"]).unwrap_or("").to_string();
        let first = firsts.iter().find(|(v, _)| *v == version).map(|(_, i)| *i);
        match first {
            Some(i) if count > MAX_UPDATERS => {
                let both = |name: &str, e: &Value| e.get(name).cloned().unwrap_or_default();
                let set = set::union(&set::intern(&both("fieldsV1", &update)), &set::intern(&both("fieldsV1", &entries[i])));
                let bucket = &mut entries[i];
                bucket.remove_at(&["subresource"]);
                bucket.set_at(&["manager"], Value::sym(OLD_UPDATERS));
                bucket.set_at(&["fieldsV1"], set);
                bucket.set_at(&["time"], both("time", &update));
                count -= 1;
            }
            _ => {
                if first.is_none() {
                    firsts.push((version, entries.len()));
                }
                entries.push(update);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvr::Gvk;
    use crate::schema::{decode, of};

    fn object(ty: &StructType, yaml: &str) -> Object {
        Object::from_value(decode(ty, &crate::yaml::parse(yaml).unwrap().value).unwrap().value).unwrap()
    }
    fn writer<'a>(manager: &'a str, seconds: i64) -> Writer<'a> {
        Writer { manager, api_version: "v1", subresource: "", time: Time::from_secs(seconds), reset: &[&["status"]] }
    }
    fn sets(o: &Object) -> Vec<String> {
        o.list_at(&["metadata", "managedFields"])
            .iter()
            .map(|e| format!("{} {:?}", e.str_at(&["manager"]).unwrap(), e.get("fieldsV1").unwrap()))
            .collect()
    }

    #[test]
    fn creates_and_updates_are_tracked() {
        let ty = of(Gvk::new("", "v1", "Pod")).unwrap();
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {a: '1'}}, spec: {imagePullSecrets: [{name: s}], containers: [{name: c, image: i, ports: [{containerPort: 80, protocol: TCP}], command: [x]}]}, status: {phase: Pending}}";
        let created = update(Some(&ty), None, object(&ty, pod), &writer("one", 1));
        assert_eq!(
            sets(&created),
            [
                r#"one {"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:command":{},"f:image":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{}}},"f:imagePullSecrets":{".":{},"k:{\"name\":\"s\"}":{}}}}"#
            ]
        );
        let twin = update(Some(&ty), None, object(&ty, &pod.replace("name: p,", "name: q,")), &writer("one", 2));
        let set = |o: &Object| o.list_at(&["metadata", "managedFields"])[0].get("fieldsV1").unwrap().clone();
        assert!(set(&created).ptr_eq(&set(&twin)));

        let mut changed = created.clone();
        changed.set_at(&["metadata", "labels", "a"], "2");
        changed.remove_at(&["spec", "imagePullSecrets"]);
        let changed = update(Some(&ty), Some(&created), changed, &writer("two", 3));
        assert_eq!(
            sets(&changed),
            [
                r#"one {"f:metadata":{"f:labels":{}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:command":{},"f:image":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{}}}}}"#,
                r#"two {"f:metadata":{"f:labels":{"f:a":{}}}}"#,
            ]
        );
        let same = update(Some(&ty), Some(&changed), changed.clone(), &writer("three", 4));
        assert!(same.ptr_eq(&changed));
    }

    #[test]
    fn old_updaters_are_merged() {
        let ty = of(Gvk::new("", "v1", "ConfigMap")).unwrap();
        let mut o = update(Some(&ty), None, object(&ty, "{data: {k: '0'}}"), &writer("m0", 0));
        for i in 1..13 {
            let mut next = o.clone();
            next.set_at(&["data", format!("k{i}").as_str()], "x");
            o = update(Some(&ty), Some(&o), next, &writer(&format!("m{i}"), i));
        }
        let managers: Vec<String> = sets(&o).iter().map(|s| s.split(' ').next().unwrap().to_string()).collect();
        assert_eq!((managers.len(), managers[0].as_str(), managers[9].as_str()), (10, "ancient-changes", "m12"));
    }

    #[test]
    fn names_come_from_user_agents() {
        assert_eq!(manager_name(None, "kubectl/v1.37 (linux)"), "kubectl");
        assert_eq!(manager_name(Some("me"), "kubectl/v1.37"), "me");
    }
}
