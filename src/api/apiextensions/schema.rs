//! The schema of a custom resource: types everywhere, what structural schemas forbid, lists that are maps.
//!
//! Left out: compiling CEL rules (`x-kubernetes-validations`), which are stored and not enforced; a warning says so.

use apimachinery::field::{Error, ErrorList, Path, go_quote};
use apimachinery::{Object, Value};

use crate::check::{self, some, text};
use crate::custom::{check_value, formats, member, pattern};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

fn flag(schema: &Value, name: &str) -> bool {
    schema.bool_at(&[name]) == Some(true)
}

/// `spec.versions[*].schema.openAPIV3Schema`
pub fn root(schema: &Value, path: &Path, errors: &mut ErrorList) {
    match text(schema, "type") {
        "object" => {}
        "" if flag(schema, "x-kubernetes-preserve-unknown-fields") || some(schema, "$ref").is_some() => {}
        "" => errors.required(&path.child("type"), "must not be empty at the root"),
        other => errors.invalid(&path.child("type"), other, "must be object at the root"),
    }
    let properties = path.child("properties");
    for name in ["apiVersion", "kind"] {
        if let Some(kind) = schema.str_at(&["properties", name, "type"])
            && kind != "string"
        {
            errors.invalid(&properties.key(name).child("type"), kind, "must be string");
        }
    }
    let metadata = schema.at(&["properties", "metadata", "properties"]).and_then(Value::as_map);
    if metadata.is_some_and(|m| m.keys().any(|k| !matches!(&**k, "name" | "generateName"))) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.forbidden(&properties.key("metadata"), detail);
    }
    node(schema, "", path, errors);
}

/// A schema below the root, and all below it. `untyped` is what a missing type is told.
fn node(schema: &Value, untyped: &str, path: &Path, errors: &mut ErrorList) {
    let kind = text(schema, "type");
    let free = flag(schema, "x-kubernetes-int-or-string") || flag(schema, "x-kubernetes-preserve-unknown-fields");
    if kind.is_empty() {
        if !free && !untyped.is_empty() && some(schema, "$ref").is_none() {
            errors.required(&path.child("type"), untyped);
        }
    } else if !TYPES.contains(&kind) {
        errors.not_supported(&path.child("type"), kind, &TYPES);
    }
    forbidden(schema, path, errors);
    list_type(schema, kind, path, errors);
    embedded(schema, kind, path, errors);
    values(schema, path, errors);
    alternatives(schema, path, errors);
    rules(schema.list_at(&["x-kubernetes-validations"]), &path.child("x-kubernetes-validations"), errors);
    let properties = path.child("properties");
    for (name, s) in schema.map_at(&["properties"]).into_iter().flatten() {
        node(s, "must not be empty for specified object fields", &properties.key(name), errors);
    }
    if let Some(s) = some(schema, "additionalProperties").filter(|s| s.as_map().is_some()) {
        node(s, "must not be empty for specified object fields", &path.child("additionalProperties"), errors);
    }
    match some(schema, "items") {
        Some(items) if items.as_map().is_some() => {
            node(items, "must not be empty for specified array items", &path.child("items"), errors);
        }
        Some(_) => {}
        None if kind == "array" => errors.required(&path.child("items"), "must be specified"),
        None => {}
    }
}

fn forbidden(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let additional = some(schema, "additionalProperties");
    let both = schema.map_at(&["properties"]).is_some_and(|p| !p.is_empty()) && additional.is_some();
    if additional == Some(&Value::Bool(false)) {
        errors.forbidden(&path.child("additionalProperties"), "additionalProperties cannot be set to false");
    } else if both {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.forbidden(&path.child("additionalProperties"), detail);
    }
    for field in ["$ref", "additionalItems", "patternProperties", "definitions", "dependencies", "id"] {
        if some(schema, field).is_some() {
            errors.forbidden(&path.child(field), format!("{field} is not supported"));
        }
    }
    if flag(schema, "uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&path.child("uniqueItems"), detail);
    }
    if schema.bool_at(&["x-kubernetes-preserve-unknown-fields"]) == Some(false) {
        errors.invalid(&path.child("x-kubernetes-preserve-unknown-fields"), false, "must be true or undefined");
    }
}

/// Patterns that can be read, defaults that fit.
fn values(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let expression = text(schema, "pattern");
    if let Some(why) = pattern::mistake(expression).filter(|_| !expression.is_empty()) {
        errors.invalid(&path.child("pattern"), expression, format!("must be a valid regular expression, but isn't: {why}"));
    }
    let Some(default) = some(schema, "default") else { return };
    if !is_known(schema, default) {
        return errors.invalid(&path.child("default"), default.clone(), "must not have unknown fields");
    }
    let mut found = ErrorList::new();
    check_value(schema, default, None, &mut found);
    let here = path.child("default").to_string();
    for e in found {
        let joint = if e.field.is_empty() || e.field.starts_with('[') { "" } else { "." };
        errors.push(Error { field: format!("{here}{joint}{}", e.field), ..e });
    }
}

/// What may not be said inside of `allOf`, `anyOf`, `oneOf` and `not`, because the schema around must say it.
fn alternatives(schema: &Value, path: &Path, errors: &mut ErrorList) {
    for kind in ["allOf", "anyOf", "oneOf"] {
        let here = path.child(kind);
        for (i, s) in schema.list_at(&[kind]).iter().enumerate() {
            alternative(s, schema, path, &here.index(i), errors);
        }
    }
    if let Some(s) = some(schema, "not").filter(|s| s.as_map().is_some()) {
        alternative(s, schema, path, &path.child("not"), errors);
    }
}

fn alternative(schema: &Value, around: &Value, around_path: &Path, path: &Path, errors: &mut ErrorList) {
    let either = flag(around, "x-kubernetes-int-or-string");
    for (field, why) in [
        ("type", "must be empty to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("default", "must be undefined to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
    ] {
        if some(schema, field).is_some_and(|v| !v.is_empty()) && !(either && field == "type") {
            errors.forbidden(&path.child(field), why);
        }
    }
    let (properties, outer) = (path.child("properties"), around_path.child("properties"));
    for (name, s) in schema.map_at(&["properties"]).into_iter().flatten() {
        let here = properties.key(name);
        match around.at(&["properties", name]) {
            Some(outside) => alternative(s, outside, &outer.key(name), &here, errors),
            None if name.as_ref() == "metadata" => errors.forbidden(&here, "must not be specified in a nested context"),
            None => {
                let before = errors.len();
                alternative(s, &Value::Null, &outer.key(name), &here, errors);
                if errors.len() == before {
                    errors.required(&outer.key(name), format!("because it is defined in {here}"));
                }
            }
        }
    }
    if let Some(items) = some(schema, "items") {
        let here = path.child("items");
        match some(around, "items") {
            Some(outside) => alternative(items, outside, &around_path.child("items"), &here, errors),
            None => errors.required(&around_path.child("items"), format!("because it is defined in {here}")),
        }
    }
    alternatives(schema, path, errors);
}

/// Whether nothing of a value would be dropped because the schema doesn't know it.
fn is_known(schema: &Value, value: &Value) -> bool {
    match value {
        Value::Map(members) => members.iter().all(|(name, v)| match member(schema, name) {
            Some(s) => is_known(s, v),
            None => {
                let resource = flag(schema, "x-kubernetes-embedded-resource");
                flag(schema, "x-kubernetes-preserve-unknown-fields")
                    || schema.bool_at(&["additionalProperties"]) == Some(true)
                    || resource && matches!(&**name, "apiVersion" | "kind" | "metadata")
            }
        }),
        Value::List(items) => schema.get("items").is_none_or(|s| items.iter().all(|v| is_known(s, v))),
        _ => true,
    }
}

/// Whether a schema has rules in CEL, anywhere.
pub fn has_rules(schema: &Value) -> bool {
    let mut any = false;
    below(schema, &mut |s| any |= !s.list_at(&["x-kubernetes-validations"]).is_empty());
    any
}

/// Upstream's warning of formats that nobody knows.
pub fn warnings(new: &Object, old: Option<&Object>, out: &mut Vec<String>) {
    if old.is_some_and(|old| old.get("spec") == new.get("spec")) {
        return;
    }
    each_schema(new, &mut |schema| {
        let format = text(schema, "format");
        let text = format!("unrecognized format {}", go_quote(format));
        if !format.is_empty() && !formats::is_known(format) && !out.contains(&text) {
            out.push(text);
        }
    });
}

/// What a definition says and the bottle does not enforce: rules in CEL, some formats.
pub fn not_enforced(crd: &Object) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    each_schema(crd, &mut |schema| {
        let mut add = |what: &str| {
            let text = format!("{what} is stored but not enforced in this bottle");
            if !out.contains(&text) {
                out.push(text);
            }
        };
        if !schema.list_at(&["x-kubernetes-validations"]).is_empty() {
            add("x-kubernetes-validations (CEL)");
        }
        let format = text(schema, "format");
        if formats::UNCHECKED.contains(&format) {
            add(&format!("format {}", go_quote(format)));
        }
    });
    out
}

/// Visits the schemas of all versions, and all below them.
fn each_schema(crd: &Object, visit: &mut impl FnMut(&Value)) {
    for v in crd.list_at(&["spec", "versions"]) {
        if let Some(schema) = v.at(&["schema", "openAPIV3Schema"]) {
            below(schema, visit);
        }
    }
}

fn below(schema: &Value, visit: &mut impl FnMut(&Value)) {
    visit(schema);
    for (_, s) in schema.map_at(&["properties"]).into_iter().flatten() {
        below(s, visit);
    }
    for field in ["additionalProperties", "items"] {
        if let Some(s) = schema.get(field).filter(|s| s.as_map().is_some()) {
            below(s, visit);
        }
    }
}

fn embedded(schema: &Value, kind: &str, path: &Path, errors: &mut ErrorList) {
    if !flag(schema, "x-kubernetes-embedded-resource") {
        return;
    }
    if kind != "object" {
        errors.invalid(&path.child("type"), kind, "must be object if x-kubernetes-embedded-resource is true");
    }
    if schema.map_at(&["properties"]).is_none_or(|p| p.is_empty()) && !flag(schema, "x-kubernetes-preserve-unknown-fields") {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.required(&path.child("properties"), detail);
    }
}

fn list_type(schema: &Value, kind: &str, path: &Path, errors: &mut ErrorList) {
    let list = some(schema, "x-kubernetes-list-type").and_then(Value::as_str);
    let keys = schema.list_at(&["x-kubernetes-list-map-keys"]);
    let here = path.child("x-kubernetes-list-type");
    if let Some(list) = list {
        const ARRAY: &str = "must be array if x-kubernetes-list-type is specified";
        match kind {
            "array" => {}
            "" => errors.required(&path.child("type"), ARRAY),
            other => errors.invalid(&path.child("type"), other, ARRAY),
        }
        check::one_of(list, &["atomic", "set", "map"], &here, errors);
    }
    if let (Some("set"), Some(items)) = (list, some(schema, "items")) {
        let items_path = path.child("items");
        let must = |field: &str, errors: &mut ErrorList| {
            let have = some(items, field).cloned().unwrap_or_default();
            if have.as_str() != Some("atomic") {
                let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
                errors.invalid(&items_path.child(field), have, detail);
            }
        };
        match text(items, "type") {
            "object" => must("x-kubernetes-map-type", errors),
            "array" => must("x-kubernetes-list-type", errors),
            _ => {}
        }
    }
    if list != Some("map") {
        const MAP: &str = "must be map if x-kubernetes-list-map-keys is non-empty";
        match list {
            _ if keys.is_empty() => {}
            None => errors.required(&here, MAP),
            Some(other) => errors.invalid(&here, other, MAP),
        }
        return;
    }
    let keys_path = path.child("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.required(&keys_path, "must not be empty if x-kubernetes-list-type is map");
    }
    let items_path = path.child("items");
    let Some(items) = some(schema, "items") else {
        return errors.required(&items_path, "must have a schema if x-kubernetes-list-type is map");
    };
    if text(items, "type") != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.invalid(&items_path.child("type"), text(items, "type"), detail);
    }
    map_keys(keys, items, &keys_path, &items_path, errors);
}

fn map_keys(keys: &[Value], items: &Value, path: &Path, items_path: &Path, errors: &mut ErrorList) {
    let shown = || Value::list(keys.to_vec());
    let properties = items_path.child("properties");
    for (i, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or("");
        if keys[..i].contains(key) {
            errors.invalid(path, shown(), "must not contain duplicate entries");
            continue;
        }
        let Some(property) = items.at(&["properties", name]) else {
            errors.invalid(path, shown(), "entries must all be names of item properties");
            continue;
        };
        let required = items.list_at(&["required"]).contains(key);
        if !required && some(property, "default").is_none() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.required(&properties.key(name).child("default"), detail);
        }
    }
}

fn rules(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, r) in list.iter().enumerate() {
        let here = path.index(i);
        if text(r, "rule").trim().is_empty() {
            errors.required(&here.child("rule"), "rule is not specified");
        }
        let message = text(r, "message");
        if !message.is_empty() && message.trim().is_empty() {
            errors.invalid(&here.child("message"), message, "must be non-empty if specified");
        }
        if let Some(reason) = some(r, "reason").and_then(Value::as_str) {
            let set = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
            check::one_of(reason, &set, &here.child("reason"), errors);
        }
    }
}
