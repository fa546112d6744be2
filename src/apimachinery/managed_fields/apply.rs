//! Server-side apply: merging what an applier wants into the live object, finding conflicts with other owners, removing what
//! it wanted before and nobody owns now. Models `structured-merge-diff/merge.Updater.Apply` and `managedfields`' wrappers.

use super::compare::{compare, item_key};
use super::set::{self, node};
use super::{Comparison, Writer, cap, disown, order, own, strip};
use crate::object::Object;
use crate::patch::go_print;
use crate::schema::{ListKind, ListType, StructType, Type, zero};
use crate::status::Status;
use crate::value::{Fields, Key, Value};
use base::Sort as _;

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

/// Managers with the members of theirs that change.
type Conflicts = Vec<(String, Value)>;

fn conflicts(entries: &[Value], changed: Option<&Value>) -> Conflicts {
    let Some(changed) = changed else { return Vec::new() };
    let mut found: Conflicts = entries
        .iter()
        .filter_map(|e| Some((manager_text(e), set::intersection(&set::intern(e.get("fieldsV1")?), changed)?)))
        .collect();
    found.order_by(|a, b| a.0.cmp(&b.0));
    found
}

/// `"alice"`, `"kubectl" with subresource "scale" using apps/v1`.
fn manager_text(entry: &Value) -> String {
    let text = |name: &str| entry.str_at(&[name]).unwrap_or("");
    let mut out = crate::field::go_quote(text("manager"));
    if !text("subresource").is_empty() {
        out += &format!(" with subresource {}", crate::field::go_quote(text("subresource")));
    }
    if text("operation") == "Update" {
        out += &format!(" using {}", text("apiVersion"));
    }
    out
}

/// Models `NewConflictError`.
fn conflict(conflicts: &Conflicts) -> Status {
    let all: Vec<(&String, Vec<String>)> = conflicts.iter().map(|(m, s)| (m, set::paths(s))).collect();
    let count: usize = all.iter().map(|(_, paths)| paths.len()).sum();
    let groups: Vec<String> = match &all[..] {
        [(manager, paths)] if paths.len() == 1 => vec![format!("conflict with {manager}: {}", paths[0])],
        _ => all.iter().map(|(m, paths)| format!("conflicts with {m}:\n- {}", paths.join("\n- "))).collect(),
    };
    let plural = if count == 1 { "" } else { "s" };
    let causes: Vec<Value> = all
        .iter()
        .flat_map(|(m, paths)| {
            paths.iter().map(move |path| {
                crate::value!({"reason": "FieldManagerConflict", "message": (format!("conflict with {m}")), "field": path})
            })
        })
        .collect();
    let mut status = Status::new(409, "Conflict", format!("Apply failed with {count} conflict{plural}: {}", groups.join("\n")));
    status.details = crate::value!({"causes": causes});
    status
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

/// The members of a config: leaves and elements of lists, but not the maps around them. Models `ToFieldSet`.
fn field_set(ty: &StructType, value: &Value) -> Option<Value> {
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
            let children = children.filter_map(|(k, v)| Some((super::compare::field_key(k), value_set(&m.elem, v, false)?)));
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
fn with_default_keys(list: &ListType, item: &Value) -> Value {
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

fn merge_struct(ty: &StructType, live: &Value, config: &Value) -> Value {
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

fn remove_struct(ty: &StructType, value: Value, gone: &Value) -> Value {
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

fn not_typed(config: &Object, errors: &[String]) -> Status {
    let text = match errors {
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let (namespace, name, gvk) = (config.namespace(), config.name(), config.gvk());
    let gvk = if gvk.group.is_empty() { format!("/{gvk}") } else { gvk.to_string() };
    Status::new(500, "", format!("failed to create typed patch object ({namespace}/{name}; {gvk}): {text}"))
}

/// Models typed validation: unknown fields, wrong kinds of values, elements given twice.
fn check_struct(ty: &StructType, value: &Value, path: &str, errors: &mut Vec<String>) {
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

#[cfg(test)]
mod tests {
    use base::Time;

    use super::*;
    use crate::gvr::Gvk;
    use crate::schema::of;

    fn object(yaml: &str) -> Object {
        Object::from_value(crate::yaml::parse(yaml).unwrap().value).unwrap()
    }
    fn by<'a>(manager: &'a str, api_version: &'a str) -> Writer<'a> {
        Writer { manager, api_version, subresource: "", time: Time::EPOCH, reset: &[&["status"]] }
    }
    fn owners(o: &Object) -> String {
        let entries = o.list_at(&["metadata", "managedFields"]).iter();
        let texts = entries.map(|e| format!("{} {:?}", e.str_at(&["manager"]).unwrap(), e.get("fieldsV1").unwrap()));
        texts.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn appliers_share_and_conflict() {
        let ty = of(Gvk::new("", "v1", "ConfigMap")).unwrap();
        let config = |data: &str| object(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, data: {data}}}"));
        let one = apply(&ty, None, &config("{x: '1', w: '1'}"), &by("alice", "v1"), false).unwrap();
        assert_eq!(owners(&one), r#"alice {"f:data":{"f:w":{},"f:x":{}}}"#);
        let two = apply(&ty, Some(&one), &config("{x: '2'}"), &by("alice", "v1"), false).unwrap();
        assert_eq!(format!("{:?}", two.get("data").unwrap()), r#"{"x":"2"}"#);
        let both = apply(&ty, Some(&two), &config("{x: '2'}"), &by("bob", "v1"), false).unwrap();
        // What changed nothing has no time, and comes first.
        assert_eq!(owners(&both), r#"bob {"f:data":{"f:x":{}}}; alice {"f:data":{"f:x":{}}}"#);
        let status = apply(&ty, Some(&both), &config("{x: '3', z: '9'}"), &by("carol", "v1"), false).unwrap_err();
        assert_eq!(
            (status.code, status.message.as_str()),
            (409, "Apply failed with 2 conflicts: conflicts with \"alice\":\n- .data.x\nconflicts with \"bob\":\n- .data.x")
        );
        let forced = apply(&ty, Some(&both), &config("{x: '3'}"), &by("bob", "v1"), true).unwrap();
        assert_eq!(owners(&forced), r#"bob {"f:data":{"f:x":{}}}"#);
        let again = apply(&ty, Some(&forced), &config("{x: '3'}"), &by("bob", "v1"), false).unwrap();
        assert_eq!(again, forced);
        let status = apply(&ty, None, &config("[x]"), &by("bob", "v1"), false).unwrap_err();
        assert_eq!(
            status.message,
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data: expected map, got &{[x]}"
        );
    }

    #[test]
    fn elements_of_lists_are_owned_by_key() {
        let ty = of(Gvk::new("apps", "v1", "Deployment")).unwrap();
        let config = |containers: &str| {
            object(&format!(
                "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{template: {{spec: {{containers: {containers}}}}}}}}}"
            ))
        };
        let one = apply(
            &ty,
            None,
            &config("[{name: a, image: x, ports: [{containerPort: 80}]}, {name: b}]"),
            &by("alice", "apps/v1"),
            false,
        )
        .unwrap();
        assert_eq!(
            owners(&one),
            r#"alice {"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}},"k:{\"name\":\"b\"}":{".":{},"f:name":{}}}}}}}"#
        );
        let two = apply(&ty, Some(&one), &config("[{name: a, image: w}]"), &by("alice", "apps/v1"), false).unwrap();
        assert_eq!(
            format!("{:?}", two.at(&["spec", "template", "spec", "containers"]).unwrap()),
            r#"[{"image":"w","name":"a"}]"#
        );
        let status = apply(&ty, Some(&two), &config("[{name: a, image: z}]"), &by("bob", "apps/v1"), false).unwrap_err();
        assert_eq!(
            status.message,
            "Apply failed with 1 conflict: conflict with \"alice\": .spec.template.spec.containers[name=\"a\"].image"
        );
    }
}
