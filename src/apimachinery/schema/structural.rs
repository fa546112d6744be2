//! The types of a custom resource, from the structural schema of its definition. Models `apiextensions-apiserver/pkg/apiserver/schema`.
//!
//! What is read here: which fields there are (for pruning and strict field validation), and how lists and maps are owned (for
//! managed fields and server-side apply). Limits, formats and defaults of values are the strategy's, which reads the schema itself.

use std::rc::Rc;

use super::{Field, ListKind, ListType, MapType, StructType, Type, named};
use crate::value::{Key, Value, key};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The type of a kind whose `openAPIV3Schema` is `schema`. `name`: `com.example.v1.Widget`.
pub fn structural(name: &str, schema: &Value) -> Rc<StructType> {
    let mut root = object(name, schema, true);
    root.by_value("metadata");
    Rc::new(root)
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.bool_at(&[name]) == Some(true)
}

fn object(name: &str, schema: &Value, is_resource: bool) -> StructType {
    let properties = schema.map_at(&["properties"]).into_iter().flatten();
    let own = |field: &str| is_resource && matches!(field, "apiVersion" | "kind" | "metadata");
    let mut fields: Vec<Field> = properties.filter(|(k, _)| !own(k)).map(|(k, s)| field(k, s)).collect();
    if is_resource {
        fields.push(Field::new("apiVersion", Type::String(None)));
        fields.push(Field::new("kind", Type::String(None)));
        fields.push(Field::new("metadata", named(OBJECT_META).map_or(Type::Any, Type::Struct)));
    }
    let atomic = schema.str_at(&["x-kubernetes-map-type"]) == Some("atomic");
    StructType::new(name, fields, atomic, flag(schema, "x-kubernetes-preserve-unknown-fields"))
}

fn field(name: &str, schema: &Value) -> Field {
    Field { default: schema.get("default").cloned(), ..Field::new(name, type_of(schema)) }
}

/// A value that keeps whatever is in it.
fn anything() -> Type {
    Type::Struct(Rc::new(StructType::new("Object", Vec::new(), false, true)))
}

fn type_of(schema: &Value) -> Type {
    if flag(schema, "x-kubernetes-int-or-string") {
        return Type::IntOrString;
    }
    match schema.str_at(&["type"]).unwrap_or("") {
        "boolean" => Type::Bool,
        "integer" => Type::Int64,
        "number" => Type::Float,
        "string" => Type::String(None),
        "array" => list(schema),
        "object" => map_or_struct(schema),
        _ => anything(),
    }
}

fn map_or_struct(schema: &Value) -> Type {
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    match schema.get("additionalProperties") {
        Some(Value::Map(_)) => {
            let elem = schema.get("additionalProperties").map_or_else(anything, type_of);
            Type::Map(Rc::new(MapType { elem, atomic: schema.str_at(&["x-kubernetes-map-type"]) == Some("atomic") }))
        }
        Some(Value::Bool(true)) => anything(),
        _ => Type::Struct(Rc::new(object("Object", schema, embedded))),
    }
}

fn list(schema: &Value) -> Type {
    let elem = schema.get("items").map_or_else(anything, type_of);
    let keys =
        || -> Vec<Key> { schema.list_at(&["x-kubernetes-list-map-keys"]).iter().filter_map(Value::as_str).map(key).collect() };
    let kind = match schema.str_at(&["x-kubernetes-list-type"]) {
        Some("set") => ListKind::Set,
        Some("map") => ListKind::Map(keys()),
        _ => ListKind::Atomic,
    };
    Type::List(Rc::new(ListType { elem, kind }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::decode;
    use crate::yaml;

    fn check(schema: &str, input: &str) -> Result<(String, String), String> {
        let ty = structural("Widget", &yaml::parse(schema).unwrap().value);
        let decoded = decode(&ty, &yaml::parse(input).unwrap().value)?;
        Ok((format!("{:?}", decoded.value), decoded.unknown.join(" ")))
    }

    #[test]
    fn unknown_fields_go_and_all_else_stays() {
        let schema = "{type: object, properties: {spec: {type: object, properties: {size: {type: integer}, e: {type: array, items: {type: string}}, \
                      m: {type: object, additionalProperties: {type: object, properties: {k: {type: string}}}}, \
                      open: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {known: {type: object}}}}}}}";
        let input = "{kind: Widget, x: 1, metadata: {name: a, junk: 1, labels: {}}, \
                     spec: {size: 3.0, e: [], m: {a: {k: null, z: 1}, b: null}, open: {free: {q: 1}, known: {gone: 1}}}}";
        let (value, unknown) = check(schema, input).unwrap();
        assert_eq!(
            value,
            r#"{"kind":"Widget","metadata":{"name":"a"},"spec":{"e":[],"m":{"a":{"k":null},"b":null},"open":{"free":{"q":1},"known":{}},"size":3}}"#
        );
        assert_eq!(unknown, "metadata.junk spec.m.a.z spec.open.known.gone x");
    }

    #[test]
    fn only_metadata_must_have_its_types() {
        let schema = "{type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}";
        assert_eq!(check(schema, "{spec: {size: x}}").unwrap().0, r#"{"metadata":{},"spec":{"size":"x"}}"#);
        assert_eq!(check(schema, "{spec: x}").unwrap().0, r#"{"metadata":{},"spec":"x"}"#);
        assert_eq!(
            check(schema, "{metadata: {labels: {x: 5}}}").unwrap_err(),
            "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
        );
    }
}
