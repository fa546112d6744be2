//! Whether a custom resource is as its schema says. Models `kube-openapi/pkg/validation/validate`, how apiextensions-apiserver turns its
//! results into field errors, and `schema/{listtype,objectmeta}`.
//!
//! On an update, what did not change is not judged again (ratcheting): a rule that came later forgives what was there before.
//! Left out: rules in CEL (`x-kubernetes-validations`); whoever writes a definition with some is told so.

use std::fmt;

use apimachinery::field::{Error, ErrorList, ErrorType, go_quote, go_value};
use apimachinery::{Value, json};

use super::defaults::member;
use super::{formats, pattern};

/// The largest float that is surely an integer.
const MAX_INTEGER: f64 = 9_007_199_254_740_991.0;

/// Where a value is; the root has no name.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    Root,
    Name(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => Ok(()),
            Place::Name(Place::Root, name) => f.write_str(name),
            Place::Name(parent, name) => write!(f, "{parent}.{name}"),
            Place::Index(parent, i) => write!(f, "{parent}[{i}]"),
        }
    }
}

/// All that is wrong with a value. `old`: what it was before, if that can be told.
pub fn check(schema: &Value, value: &Value, old: Option<&Value>, errors: &mut ErrorList) {
    walk(schema, value, old, &Place::Root, errors);
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.bool_at(&[name]) == Some(true)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) => "integer",
        Value::Float(_) => "number",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}

fn add(errors: &mut ErrorList, kind: ErrorType, place: &Place, bad_value: String, detail: String) {
    errors.push(Error { kind, field: place.to_string(), bad_value, detail });
}

/// `spec.size in body …`
fn invalid(errors: &mut ErrorList, place: &Place, bad_value: String, why: &str) {
    add(errors, ErrorType::Invalid, place, bad_value, format!("{place} in body {why}"));
}

/// A mistake that upstream's validator gives no place.
fn nowhere(errors: &mut ErrorList, detail: String) {
    errors.push(Error { kind: ErrorType::Invalid, field: "<nil>".into(), bad_value: "\"\"".into(), detail });
}

fn walk(schema: &Value, value: &Value, old: Option<&Value>, place: &Place, errors: &mut ErrorList) {
    if old.is_some_and(|old| old == value) || value.is_null() && flag(schema, "nullable") {
        return;
    }
    types(schema, value, place, errors);
    values(schema, value, place, errors);
    match value {
        Value::Int(_) | Value::Float(_) => numbers(schema, value, place, errors),
        Value::Str(text) => strings(schema, text, place, errors),
        Value::List(items) => lists(schema, items, old, place, errors),
        Value::Map(_) => maps(schema, value, old, place, errors),
        Value::Null | Value::Bool(_) => {}
    }
    combined(schema, value, place, errors);
}

fn types(schema: &Value, value: &Value, place: &Place, errors: &mut ErrorList) {
    let either = flag(schema, "x-kubernetes-int-or-string");
    let wanted = if either { "integer,string" } else { schema.str_at(&["type"]).unwrap_or("") };
    if wanted.is_empty() {
        return;
    }
    let whole = matches!(value, Value::Float(f) if f.fract() == 0.0 && f.abs() <= MAX_INTEGER);
    let name = type_name(value);
    let fits = wanted.split(',').any(|w| w == name || w == "number" && name == "integer" || w == "integer" && whole);
    if fits {
        return;
    }
    if wanted == "integer" && name == "number" {
        nowhere(errors, format!("Checked value must be of type integer (default format) in {place}"));
    }
    let detail = format!("{place} in body must be of type {wanted}: {}", go_quote(name));
    add(errors, ErrorType::TypeInvalid, place, go_quote(name), detail);
}

/// `enum`
fn values(schema: &Value, value: &Value, place: &Place, errors: &mut ErrorList) {
    let allowed = schema.list_at(&["enum"]);
    if allowed.is_empty() || allowed.contains(value) {
        return;
    }
    let texts = allowed.iter().map(|v| go_quote(&v.as_str().map_or_else(|| json::to_string(v), str::to_string)));
    let detail = format!("supported values: {}", texts.collect::<Vec<_>>().join(", "));
    add(errors, ErrorType::NotSupported, place, go_value(value), detail);
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(f) => Some(*f),
        _ => None,
    }
}

/// A float as Go's `%v` prints it: `0.5`, `9`, `1e+20`.
fn go_float(f: f64) -> String {
    let text = format!("{f:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        Ok(e) if !(-4..6).contains(&e) => {
            format!("{digits}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
        }
        _ => format!("{f}"),
    }
}

fn numbers(schema: &Value, value: &Value, place: &Place, errors: &mut ErrorList) {
    let Some(have) = number(value) else { return };
    // Go compares an integer with an integer.
    let limit = |name: &str| {
        let limit = schema.get(name).and_then(number)?;
        Some(if matches!(value, Value::Int(_)) { limit.trunc() } else { limit })
    };
    let whole = matches!(value, Value::Int(_));
    let text = |limit: f64| if whole { (limit as i64).to_string() } else { go_float(limit) };
    let bad = || if let Value::Float(f) = value { go_float(*f) } else { go_value(value) };
    if let Some(max) = limit("maximum") {
        let exclusive = flag(schema, "exclusiveMaximum");
        if have > max || exclusive && have == max {
            let than = if exclusive { "less than" } else { "less than or equal to" };
            invalid(errors, place, bad(), &format!("should be {than} {}", text(max)));
        }
    }
    if let Some(min) = limit("minimum") {
        let exclusive = flag(schema, "exclusiveMinimum");
        if have < min || exclusive && have == min {
            let than = if exclusive { "greater than" } else { "greater than or equal to" };
            invalid(errors, place, bad(), &format!("should be {than} {}", text(min)));
        }
    }
    if let Some(factor) = limit("multipleOf") {
        let ratio = have / factor;
        if factor <= 0.0 {
            let detail = format!("factor MultipleOf declared for {place} must be positive: {}", text(factor));
            add(errors, ErrorType::Invalid, place, text(factor), detail);
        } else if (ratio - ratio.round()).abs() > 1e-9 {
            invalid(errors, place, bad(), &format!("should be a multiple of {}", text(factor)));
        }
    }
    if let (Some("int32"), Value::Int(n)) = (schema.str_at(&["format"]), value)
        && i32::try_from(*n).is_err()
    {
        nowhere(errors, format!("Checked value must be of type integer with format int32 in {place}"));
    }
}

/// The first mistake only, as upstream.
fn strings(schema: &Value, text: &str, place: &Place, errors: &mut ErrorList) {
    if let Some(format) = schema.str_at(&["format"])
        && formats::check(format, text) == Some(false)
    {
        let detail = format!("{place} in body must be of type {format}: {}", go_quote(text));
        add(errors, ErrorType::TypeInvalid, place, go_quote(text), detail);
    }
    let length = text.chars().count() as i64;
    if let Some(max) = schema.int_at(&["maxLength"]).filter(|max| length > *max) {
        let unit = if max == 1 { "byte" } else { "bytes" };
        return add(errors, ErrorType::TooLong, place, String::new(), format!("may not be more than {max} {unit}"));
    }
    if let Some(min) = schema.int_at(&["minLength"]).filter(|min| length < *min) {
        return invalid(errors, place, go_quote(text), &format!("should be at least {min} chars long"));
    }
    if let Some(wanted) = schema.str_at(&["pattern"]).filter(|p| !p.is_empty())
        && !pattern::matches(wanted, text)
    {
        invalid(errors, place, go_quote(text), &format!("should match '{wanted}'"));
    }
}

fn too_many(errors: &mut ErrorList, place: &Place, have: usize, max: i64) {
    let unit = if max == 1 { "item" } else { "items" };
    add(errors, ErrorType::TooMany, place, have.to_string(), format!("must have at most {max} {unit}"));
}

fn lists(schema: &Value, items: &[Value], old: Option<&Value>, place: &Place, errors: &mut ErrorList) {
    if let Some(min) = schema.int_at(&["minItems"]).filter(|min| (items.len() as i64) < *min) {
        invalid(errors, place, items.len().to_string(), &format!("should have at least {min} items"));
    }
    if let Some(max) = schema.int_at(&["maxItems"]).filter(|max| items.len() as i64 > *max) {
        too_many(errors, place, items.len(), max);
    }
    let keys = schema.list_at(&["x-kubernetes-list-map-keys"]);
    let key_of = |item: &Value| -> Vec<Option<Value>> { keys.iter().map(|k| item.get(k.as_str()?).cloned()).collect() };
    let of_map = schema.str_at(&["x-kubernetes-list-type"]) == Some("map");
    let of_set = schema.str_at(&["x-kubernetes-list-type"]) == Some("set");
    for (i, item) in items.iter().enumerate() {
        let here = Place::Index(place, i);
        // Items of other lists than maps have no identity.
        let before = old.map_or(&[][..], Value::items).iter().find(|o| of_map && key_of(o) == key_of(item));
        if let Some(schema) = schema.get("items") {
            walk(schema, item, before, &here, errors);
        }
        if of_map && items[..i].iter().any(|other| key_of(other) == key_of(item)) {
            let mut shown = Value::map();
            for key in keys.iter().filter_map(Value::as_str) {
                shown.set_at(&[key], item.get(key).cloned().unwrap_or_default());
            }
            add(errors, ErrorType::Duplicate, &here, go_value(&shown), String::new());
        }
        if of_set && items[..i].contains(item) {
            add(errors, ErrorType::Duplicate, &here, go_value(item), String::new());
        }
    }
}

fn maps(schema: &Value, value: &Value, old: Option<&Value>, place: &Place, errors: &mut ErrorList) {
    let Some(members) = value.as_map() else { return };
    if let Some(min) = schema.int_at(&["minProperties"]).filter(|min| (members.len() as i64) < *min) {
        invalid(errors, place, members.len().to_string(), &format!("should have at least {min} properties"));
    }
    if let Some(max) = schema.int_at(&["maxProperties"]).filter(|max| members.len() as i64 > *max) {
        too_many(errors, place, members.len(), max);
    }
    for name in schema.list_at(&["required"]).iter().filter_map(Value::as_str).filter(|n| !members.contains_key(n)) {
        add(errors, ErrorType::Required, &Place::Name(place, name), String::new(), String::new());
    }
    if flag(schema, "x-kubernetes-embedded-resource") {
        for name in ["apiVersion", "kind"].into_iter().filter(|n| value.str_at(&[n]).unwrap_or("").is_empty()) {
            add(errors, ErrorType::Required, &Place::Name(place, name), String::new(), String::new());
        }
    }
    for (name, v) in members {
        if let Some(schema) = member(schema, name) {
            walk(schema, v, old.and_then(|o| o.get(name)), &Place::Name(place, name), errors);
        }
    }
}

/// `allOf`, `anyOf`, `oneOf`, `not`. Where none of several fits, the one that comes closest is explained.
fn combined(schema: &Value, value: &Value, place: &Place, errors: &mut ErrorList) {
    let judge = |schema: &Value| {
        let mut found = ErrorList::new();
        walk(schema, value, None, place, &mut found);
        found
    };
    let shown = || go_quote(&place.to_string());
    let closest = |results: Vec<ErrorList>, errors: &mut ErrorList| {
        if let Some(best) = results.into_iter().min_by_key(ErrorList::len) {
            errors.append(best);
        }
    };
    let any = schema.list_at(&["anyOf"]);
    if !any.is_empty() {
        let results: Vec<ErrorList> = any.iter().map(judge).collect();
        if !results.iter().any(ErrorList::is_empty) {
            nowhere(errors, format!("{} must validate at least one schema (anyOf)", shown()));
            closest(results, errors);
        }
    }
    let one = schema.list_at(&["oneOf"]);
    if !one.is_empty() {
        let results: Vec<ErrorList> = one.iter().map(judge).collect();
        let valid = results.iter().filter(|r| r.is_empty()).count();
        let found = match valid {
            0 => "none valid".to_string(),
            n => format!("{n} valid alternatives"),
        };
        if valid != 1 {
            nowhere(errors, format!("{} must validate one and only one schema (oneOf). Found {found}", shown()));
        }
        if valid == 0 {
            closest(results, errors);
        }
    }
    let all: Vec<ErrorList> = schema.list_at(&["allOf"]).iter().map(judge).filter(|r| !r.is_empty()).collect();
    if !all.is_empty() {
        nowhere(errors, format!("{} must validate all the schemas (allOf)", shown()));
        all.into_iter().for_each(|r| errors.append(r));
    }
    if let Some(not) = schema.get("not").filter(|n| n.as_map().is_some())
        && judge(not).is_empty()
    {
        nowhere(errors, format!("{} must not validate the schema (not)", shown()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::yaml;

    fn parse(text: &str) -> Value {
        yaml::parse(text).unwrap().value
    }
    fn found(schema: &str, value: &str, old: Option<&str>) -> String {
        let mut errors = ErrorList::new();
        let old = old.map(parse);
        check(&parse(schema), &parse(value), old.as_ref(), &mut errors);
        errors.iter().map(Error::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn limits_with_upstreams_texts() {
        let size = "{properties: {size: {type: integer, minimum: 1, maximum: 9}, ratio: {type: number, multipleOf: 0.5}}}";
        assert_eq!(
            found(size, "{size: 3, ratio: 1}", None),
            "ratio: Invalid value: 0: factor MultipleOf declared for ratio must be positive: 0"
        );
        assert_eq!(found(size, "{size: 10}", None), "size: Invalid value: 10: size in body should be less than or equal to 9");
        assert_eq!(found(size, "{ratio: 0.75}", None), "ratio: Invalid value: 0.75: ratio in body should be a multiple of 0.5");
        let code = "{properties: {code: {type: string, pattern: '^[a-z]+$', minLength: 2}}}";
        assert_eq!(found(code, "{code: A}", None), "code: Invalid value: \"A\": code in body should be at least 2 chars long");
        assert_eq!(found(code, "{code: AB}", None), "code: Invalid value: \"AB\": code in body should match '^[a-z]+$'");
        assert_eq!(
            found("{type: string}", "5", None),
            ": Invalid value: \"integer\":  in body must be of type string: \"integer\""
        );
    }

    #[test]
    fn what_was_wrong_before_may_stay() {
        let schema = "{properties: {note: {maxLength: 3}, list: {x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], \
                      items: {properties: {k: {}, v: {maxLength: 1}}}}}}";
        let old = "{note: too long, list: [{k: a, v: long}]}";
        assert_eq!(found(schema, "{note: too long, list: [{k: b}, {k: a, v: long}]}", Some(old)), "");
        assert_eq!(
            found(schema, "{note: as long, list: [{k: a, v: longer}]}", Some(old)),
            "list[0].v: Too long: may not be more than 1 byte; note: Too long: may not be more than 3 bytes"
        );
    }

    #[test]
    fn one_of_several() {
        let schema = "{properties: {one: {oneOf: [{required: [a]}, {required: [b]}], not: {required: [c]}}}}";
        assert_eq!(found(schema, "{one: {a: 1}}", None), "");
        assert_eq!(
            found(schema, "{one: {}}", None),
            "<nil>: Invalid value: \"\": \"one\" must validate one and only one schema (oneOf). Found none valid; one.a: Required value"
        );
        assert_eq!(
            found(schema, "{one: {a: 1, c: 1}}", None),
            "<nil>: Invalid value: \"\": \"one\" must not validate the schema (not)"
        );
    }
}
