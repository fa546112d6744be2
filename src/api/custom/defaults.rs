//! Defaults of a custom resource, from its schema. Models `apiextensions-apiserver/pkg/apiserver/schema/defaulting`.
//!
//! A null where the schema allows none counts as missing. What has its defaults is not copied.

use apimachinery::{Fields, Object, Value};

/// Fills in what is missing and drops nulls that can't be. Metadata is left alone.
pub fn apply(schema: &Value, obj: &mut Object) {
    if let Some(changed) = below(schema, obj.value(), true) {
        *obj.value_mut() = changed;
    }
}

/// The schema of a member; none for one that the schema doesn't know.
pub fn member<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let additional = || schema.get("additionalProperties").filter(|a| a.as_map().is_some());
    schema.at(&["properties", name]).or_else(additional)
}

fn is_nullable(schema: &Value) -> bool {
    schema.bool_at(&["nullable"]) == Some(true)
}

/// `None`: the value stays as it is.
fn below(schema: &Value, value: &Value, is_root: bool) -> Option<Value> {
    match value {
        Value::Map(members) => in_map(schema, members, is_root).map(Value::from),
        Value::List(items) => {
            let schema = schema.get("items")?;
            let mut changed: Option<Vec<Value>> = None;
            for (i, item) in items.iter().enumerate() {
                if let Some(new) = below(schema, item, false) {
                    changed.get_or_insert_with(|| items.to_vec())[i] = new;
                }
            }
            changed.map(Value::list)
        }
        _ => None,
    }
}

fn in_map(schema: &Value, members: &Fields, is_root: bool) -> Option<Fields> {
    let mut changed: Option<Fields> = None;
    let own = |name: &str| is_root && matches!(name, "metadata" | "apiVersion" | "kind");
    for (name, property) in schema.map_at(&["properties"]).into_iter().flatten() {
        let missing = match members.get(name) {
            None => true,
            Some(Value::Null) => !is_nullable(property),
            Some(_) => false,
        };
        if let Some(default) = property.get("default").filter(|_| missing && !own(name)) {
            let filled = below(property, default, false).unwrap_or_else(|| default.clone());
            changed.get_or_insert_with(|| members.clone()).insert(name.clone(), filled);
        }
    }
    for (name, value) in members.iter().filter(|(name, _)| !own(name)) {
        let Some(property) = member(schema, name) else { continue };
        if value.is_null() {
            if !is_nullable(property) && property.get("default").is_none() {
                changed.get_or_insert_with(|| members.clone()).remove(name);
            }
        } else if let Some(new) = below(property, value, false) {
            changed.get_or_insert_with(|| members.clone()).insert(name.clone(), new);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::yaml;

    #[test]
    fn what_is_missing_is_filled_in() {
        let parse = |text: &str| yaml::parse(text).unwrap().value;
        let schema = parse(
            "{properties: {spec: {default: {}, properties: {a: {default: A}, free: {nullable: true, default: z}, gone: {}, \
             list: {items: {properties: {v: {default: dv}}}}}}}}",
        );
        let check = |input: &str, output: &str| {
            let mut obj = Object::from_value(parse(input)).unwrap();
            apply(&schema, &mut obj);
            assert_eq!(format!("{obj:?}"), output);
            let before = obj.clone();
            apply(&schema, &mut obj);
            assert!(obj.ptr_eq(&before), "what has its defaults is not copied");
        };
        check("{kind: X}", r#"{"kind":"X","spec":{"a":"A","free":"z"}}"#);
        check(
            "{spec: {a: null, free: null, gone: null, list: [{v: '1'}, {}]}}",
            r#"{"spec":{"a":"A","free":null,"list":[{"v":"1"},{"v":"dv"}]}}"#,
        );
    }
}
