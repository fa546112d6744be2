//! ObjectMeta: what holds for the metadata of every kind, and the generic halves of a strategy.
//! Models `apimachinery/pkg/api/validation/objectmeta.go` and `apiserver/pkg/registry/rest`.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Value, labels};

use crate::check::{self, Wrong, invalid_raw};
use crate::strategy::{Kind, NameRule, Scale, ScalePaths};

/// All annotations of an object together, keys and values.
const TOTAL_ANNOTATION_SIZE: usize = 256 * 1024;
pub const METADATA: Path<'static> = Path::new("metadata");

/// What is wrong with a name by a rule. With `prefix` the name is a `generateName`: a dash may end it.
pub fn check_name(rule: NameRule, name: &str, prefix: bool) -> Wrong {
    let masked;
    let name = match name.strip_suffix('-') {
        Some(stem) if prefix && !stem.is_empty() => {
            masked = format!("{stem}a");
            &masked
        }
        _ => name,
    };
    match rule {
        NameRule::DnsSubdomain => check::dns1123_subdomain(name),
        NameRule::DnsLabel => check::dns1123_label(name),
        NameRule::Dns1035Label => check::dns1035_label(name),
        NameRule::PathSegment => check::path_segment(name),
        NameRule::IpAddress | NameRule::Own => Wrong::default(),
    }
}

/// `ValidateObjectMeta`.
pub fn validate(kind: &Kind, obj: &Object, errors: &mut ErrorList) {
    validate_named(kind, obj, errors, |name, prefix| check_name(kind.name_rule, name, prefix));
}

/// As [`validate`], with a kind's own check of the name.
pub fn validate_named(kind: &Kind, obj: &Object, errors: &mut ErrorList, check: impl Fn(&str, bool) -> Wrong) {
    let meta = obj.get("metadata").unwrap_or(&Value::Null);
    validate_meta(meta, kind.namespaced, &METADATA, errors, check);
}

/// Metadata anywhere: also that of templates, whose name may be empty if `check` is never asked for it.
pub fn validate_meta(meta: &Value, namespaced: bool, path: &Path, errors: &mut ErrorList, check: impl Fn(&str, bool) -> Wrong) {
    if let Some(text) = meta.str_at(&["generateName"])
        && !text.is_empty()
    {
        check(text, true).report(errors, &path.child("generateName"), text);
    }
    match meta.str_at(&["name"]).unwrap_or("") {
        "" => errors.required(&path.child("name"), "name or generateName is required"),
        name => {
            let wrong = check(name, false);
            if !wrong.is_none() {
                wrong.report(errors, &path.child("name"), name);
            }
        }
    }
    let namespace = meta.str_at(&["namespace"]).unwrap_or("");
    match (namespaced, namespace) {
        (true, "") => errors.required(&path.child("namespace"), ""),
        (true, ns) => check::dns1123_label(ns).report(errors, &path.child("namespace"), ns),
        (false, "") => {}
        (false, _) => errors.forbidden(&path.child("namespace"), "not allowed on this type"),
    }
    validate_accessory(meta, path, errors);
}

/// Generation, labels, annotations, owner references, finalizers.
fn validate_accessory(meta: &Value, path: &Path, errors: &mut ErrorList) {
    check::non_negative(meta.int_at(&["generation"]), &path.child("generation"), errors);
    check::labels(meta.map_at(&["labels"]), &path.child("labels"), errors);
    annotations(meta, path, errors);
    let owners = meta.list_at(&["ownerReferences"]);
    if !owners.is_empty() {
        validate_owner_references(owners, &path.child("ownerReferences"), errors);
    }
    let finalizers = meta.list_at(&["finalizers"]);
    if !finalizers.is_empty() {
        validate_finalizers(finalizers, &path.child("finalizers"), errors);
    }
}

pub fn annotations(meta: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(map) = meta.map_at(&["annotations"]) else { return };
    let mut size = 0;
    for (k, v) in map {
        let lower;
        let key: &str = if k.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = k.to_ascii_lowercase();
            &lower
        } else {
            k
        };
        let wrong = check::qualified_name(key);
        if !wrong.is_none() {
            wrong.report(errors, &path.child("annotations"), k);
        }
        size += k.len() + v.as_str().map_or(0, str::len);
    }
    if size > TOTAL_ANNOTATION_SIZE {
        errors.too_long(&path.child("annotations"), TOTAL_ANNOTATION_SIZE);
    }
}

/// An owner reference as Go prints it: fields in the order of the struct.
fn render_owner(r: &Value) -> String {
    let mut out = String::from("{");
    for name in ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"] {
        let value = match r.get(name) {
            Some(v) if !v.is_null() => apimachinery::json::to_string(v),
            _ if name == "controller" || name == "blockOwnerDeletion" => continue,
            _ => "\"\"".to_string(),
        };
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&format!("\"{name}\":{value}"));
    }
    out + "}"
}

fn validate_owner_references(owners: &[Value], path: &Path, errors: &mut ErrorList) {
    let mut controller: Option<&Value> = None;
    for (i, owner) in owners.iter().enumerate() {
        let here = path.index(i);
        let text = |name| owner.str_at(&[name]).unwrap_or("");
        for name in ["apiVersion", "kind", "name", "uid"] {
            if text(name).is_empty() {
                errors.required(&here.child(name), "must not be empty");
            }
        }
        if text("kind") == "Event" && text("apiVersion") == "v1" {
            invalid_raw(errors, &here, render_owner(owner), "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner.bool_at(&["controller"]) == Some(true) {
            if let Some(first) = controller {
                let name = |r: &Value| format!("{}/{}", r.str_at(&["kind"]).unwrap_or(""), r.str_at(&["name"]).unwrap_or(""));
                let all: Vec<String> = owners.iter().map(render_owner).collect();
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                    name(first),
                    name(owner)
                );
                invalid_raw(errors, path, format!("[{}]", all.join(",")), detail);
            } else {
                controller = Some(owner);
            }
        }
    }
}

fn validate_finalizers(finalizers: &[Value], path: &Path, errors: &mut ErrorList) {
    let has = |name: &str| finalizers.iter().any(|f| f.as_str() == Some(name));
    for (i, finalizer) in finalizers.iter().enumerate() {
        let text = finalizer.as_str().unwrap_or("");
        check::qualified_name(text).report(errors, path, text);
        if !text.contains('/') && !matches!(text, "kubernetes" | "orphan" | "foregroundDeletion") {
            errors.invalid(&path.index(i), text, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
    if has("orphan") && has("foregroundDeletion") {
        let list = Value::list(finalizers.to_vec());
        errors.invalid(path, list, "finalizer orphan and foregroundDeletion cannot be both set");
    }
}

/// `ValidateObjectMetaUpdate`.
pub fn validate_update(_kind: &Kind, new: &Object, old: &Object, errors: &mut ErrorList) {
    let (Some(n), Some(o)) = (new.get("metadata"), old.get("metadata")) else { return };
    if o.get("deletionTimestamp").is_some_and(|v| !v.is_null()) {
        let before = o.list_at(&["finalizers"]);
        let added: Vec<String> =
            n.list_at(&["finalizers"]).iter().filter(|f| !before.contains(f)).filter_map(|f| f.as_str().map(go_quote)).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.forbidden(&METADATA.child("finalizers"), detail);
        }
    }
    if n.str_at(&["resourceVersion"]).unwrap_or("").is_empty() {
        errors.invalid(&METADATA.child("resourceVersion"), "", "must be specified for an update");
    }
    let generation = |m: &Value| m.int_at(&["generation"]).unwrap_or(0);
    if generation(n) < generation(o) {
        errors.invalid(&METADATA.child("generation"), generation(n), "must not be decremented");
    }
    for name in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        check::immutable(n.get(name), o.get(name), &METADATA.child(name), errors);
    }
    let unchanged = |name: &str| match (n.get(name), o.get(name)) {
        (Some(a), Some(b)) => a.ptr_eq(b),
        (a, _) => a.is_none(),
    };
    if !["labels", "annotations", "ownerReferences", "finalizers"].into_iter().all(unchanged) {
        validate_accessory(n, &METADATA, errors);
    }
}

/// The numbers of a `Scale`, from where a built-in kind has them.
pub fn scale(paths: &ScalePaths, obj: &Object) -> Scale {
    let selector = match obj.at(paths.selector) {
        Some(s) if s.get("matchLabels").is_some() || s.get("matchExpressions").is_some() => {
            labels::format_label_selector(Some(s))
        }
        Some(s) => s.as_map().map(|m| labels::Selector::from_set(m).to_string()).unwrap_or_default(),
        None => String::new(),
    };
    Scale {
        spec_replicas: obj.int_at(paths.spec_replicas).unwrap_or(0),
        status_replicas: obj.int_at(paths.status_replicas).unwrap_or(0),
        selector,
    }
}

/// On create: no status, generation 1.
pub fn reset_for_create(kind: &Kind, obj: &mut Object) {
    if kind.has_status && obj.get("status").is_some() {
        obj.value_mut().map_mut().remove("status");
    }
    set_first_generation(kind, obj);
}

pub fn set_first_generation(kind: &Kind, obj: &mut Object) {
    // Of other kinds upstream keeps whatever the client says.
    if kind.has_generation {
        obj.set_at(&["metadata", "generation"], 1);
    }
}

/// What [`keep_status`] keeps.
pub fn reset_fields(kind: &Kind) -> &'static [&'static [&'static str]] {
    if kind.has_status { &[&["status"]] } else { &[] }
}

/// On update: the status stays as it was.
pub fn keep_status(kind: &Kind, new: &mut Object, old: &Object) {
    if kind.has_status {
        keep_field("status", new, old);
    }
}

/// Puts a top-level field back to what it was.
pub fn keep_field(name: &str, new: &mut Object, old: &Object) {
    match old.get(name) {
        Some(v) if new.get(name).is_some_and(|n| n.ptr_eq(v)) => {}
        Some(v) => new.set_at(&[name], v),
        None => {
            new.remove_at(&[name]);
        }
    }
}

/// Counts up the generation if anything but metadata and status changed, or the map of metadata that counts for the kind.
pub fn bump_generation(kind: &Kind, new: &mut Object, old: &Object) {
    if !kind.has_generation {
        return;
    }
    let Some(fields) = new.value().as_map() else { return };
    let counts = |k: &str| !matches!(k, "metadata" | "status" | "apiVersion" | "kind");
    let changed = fields.iter().any(|(k, v)| counts(k) && !check::same(Some(v), old.get(k)))
        || old.value().as_map().is_some_and(|o| o.iter().any(|(k, v)| counts(k) && !check::same(new.get(k), Some(v))))
        || !kind.generation_of.is_empty() && {
            let map = ["metadata", kind.generation_of];
            !check::same(new.at(&map), old.at(&map))
        };
    let generation = old.generation() + i64::from(changed);
    if new.generation() != generation {
        new.set_at(&["metadata", "generation"], generation);
    }
}

/// On a status update: everything but status and metadata stays as it was; of metadata, what only a spec update may touch.
pub fn keep_all_but_status(new: &mut Object, old: &Object) {
    let names: Vec<_> = new.value().as_map().into_iter().flat_map(|m| m.keys().cloned()).collect();
    let others = old.value().as_map().into_iter().flat_map(|m| m.keys().cloned());
    for name in names.into_iter().chain(others) {
        if !matches!(&*name, "status" | "metadata" | "apiVersion" | "kind") {
            keep_field(&name, new, old);
        }
    }
    let generation = old.get("metadata").and_then(|m| m.get("generation"));
    if new.get("metadata").and_then(|m| m.get("generation")) != generation {
        match generation {
            Some(g) => new.set_at(&["metadata", "generation"], g),
            None => {
                new.remove_at(&["metadata", "generation"]);
            }
        }
    }
}

/// The text of a field selector's field, if the kind knows it.
pub fn selectable_field(kind: &Kind, obj: &Object, name: &str) -> Option<String> {
    match name {
        "metadata.name" => Some(obj.name().to_string()),
        "metadata.namespace" => Some(obj.namespace().to_string()),
        _ => {
            let (_, path) = kind.selectable.iter().find(|(n, _)| *n == name)?;
            Some(match obj.at(path) {
                Some(Value::Str(s)) => s.to_string(),
                Some(Value::Bool(b)) => b.to_string(),
                Some(Value::Int(n)) => n.to_string(),
                _ => zero_text(name).to_string(),
            })
        }
    }
}

/// What an absent field prints as: Go's zero value of its type.
fn zero_text(name: &str) -> &'static str {
    match name {
        "spec.unschedulable" | "spec.hostNetwork" => "false",
        "status.replicas" | "status.successful" => "0",
        _ => "",
    }
}

/// The error of a field selector with a field that the kind does not know.
pub fn unknown_field(kind: &Kind, name: &str) -> Option<String> {
    let namespaced = name == "metadata.namespace" && !matches!(kind.kind, "Node" | "Namespace");
    if name == "metadata.name" || namespaced || kind.selectable.iter().any(|(n, _)| *n == name) {
        return None;
    }
    Some(match (kind.selectable.is_empty(), kind.group, kind.kind) {
        (_, "apps", "StatefulSet") => format!("field label not supported for appsv1.StatefulSet: {name}"),
        (true, ..) => format!("{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", go_quote(name)),
        (_, "resource.k8s.io", _) => {
            format!("field label not supported for {}, Kind={}: {name}", kind.group.to_string() + "/" + kind.version, kind.kind)
        }
        _ => format!("field label not supported: {name}"),
    })
}
