//! Custom resources: the strategy of a kind, made from one version of its CustomResourceDefinition. Models
//! `apiextensions-apiserver/pkg/registry/customresource` and the strategy's parts of `pkg/apiserver`.
//!
//! The schema is read as it was written: `defaults` fills in, `validation` judges, `path` finds what columns, scale and
//! selectable fields show. Pruning and ownership of fields are apimachinery's, by the types made of the same schema.

mod defaults;
pub mod formats;
mod path;
pub mod pattern;
mod validation;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use apimachinery::field::{Error, ErrorList, ErrorType, go_quote};
use apimachinery::{Object, Value, json};
use base::Sort as _;
use base::Time;

use crate::apiextensions::has_rules;
use crate::meta;
use crate::printers::{Column, duration};
use crate::strategy::{Kind, Scale, Strategy};

pub use defaults::member;
pub use path::JsonPath;
pub use validation::check as check_value;

/// A kind that a definition brings, in one of its versions.
pub struct Custom {
    kind: Kind,
    schema: Value,
    columns: Vec<Column>,
    /// Where the columns after the name find their cells.
    cells: Vec<JsonPath>,
    selectable: Vec<(String, JsonPath)>,
    scale: Option<ScalePaths>,
    /// There are rules in CEL. None is checked, and whoever makes another mistake is told so as upstream tells it.
    has_rules: bool,
}

struct ScalePaths {
    spec: JsonPath,
    spec_text: String,
    status: JsonPath,
    status_text: String,
    selector: Option<JsonPath>,
}

/// A text that lives as long as the program. Names of kinds are few; each is kept once.
fn fixed(text: &str) -> &'static str {
    thread_local!(static TEXTS: RefCell<HashMap<String, &'static str>> = RefCell::default());
    TEXTS.with_borrow_mut(|texts| {
        if let Some(have) = texts.get(text) {
            return *have;
        }
        let kept: &'static str = Box::leak(text.to_string().into_boxed_str());
        texts.insert(text.to_string(), kept);
        kept
    })
}

impl Custom {
    /// From a definition's spec; `None`: it has no such version, or one without a schema.
    pub fn new(spec: &Value, version: &str) -> Option<Custom> {
        let facts = spec.list_at(&["versions"]).iter().find(|v| v.str_at(&["name"]) == Some(version))?;
        let text = |path: &[&str]| fixed(spec.str_at(path).unwrap_or(""));
        let has_status = facts.at(&["subresources", "status"]).is_some_and(|s| !s.is_null());
        let kind = Kind {
            group: text(&["group"]),
            version: fixed(version),
            resource: text(&["names", "plural"]),
            kind: text(&["names", "kind"]),
            namespaced: spec.str_at(&["scope"]) == Some("Namespaced"),
            has_status,
            has_generation: true,
            allow_unconditional_update: false,
            ..Kind::namespaced("", "", "")
        };
        let schema = facts.at(&["schema", "openAPIV3Schema"])?.clone();
        let (columns, cells) = columns(facts.list_at(&["additionalPrinterColumns"]));
        let selectable = facts.list_at(&["selectableFields"]).iter().filter_map(|s| s.str_at(&["jsonPath"]));
        Some(Custom {
            kind,
            has_rules: has_rules(&schema),
            schema,
            columns,
            cells,
            selectable: selectable.filter_map(|p| Some((p.trim_start_matches('.').into(), JsonPath::parse(p).ok()?))).collect(),
            scale: facts.at(&["subresources", "scale"]).and_then(ScalePaths::new),
        })
    }

    /// `openAPIV3Schema`
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    fn judge(&self, new: &Object, old: Option<&Object>, errors: &mut ErrorList) {
        let mut found = ErrorList::new();
        match old {
            None => meta::validate(&self.kind, new, &mut found),
            Some(old) => meta::validate_update(&self.kind, new, old, &mut found),
        }
        validation::check(&self.schema, new.value(), old.map(Object::value), &mut found);
        if let Some(scale) = &self.scale {
            scale.check(new, &mut found);
        }
        // Upstream walks Go's maps: in no order. Ours is that of the texts.
        let mut found: Vec<Error> = found.into_iter().collect();
        found.order_by_key(|e| e.to_string());
        use ErrorType::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
        let stops = |e: &Error| matches!(e.kind, NotSupported | Required | TooLong | TooMany | TypeInvalid);
        if self.has_rules && found.iter().any(stops) {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete \
                          validation";
            found.push(Error {
                kind: ErrorType::Invalid,
                field: "<nil>".into(),
                bad_value: "null".into(),
                detail: detail.into(),
            });
        }
        found.into_iter().for_each(|e| errors.push(e));
    }
}

impl ScalePaths {
    fn new(facts: &Value) -> Option<ScalePaths> {
        let path = |name: &str| JsonPath::parse(facts.str_at(&[name])?).ok();
        let spec_text = facts.str_at(&["specReplicasPath"])?.to_string();
        Some(ScalePaths {
            spec: path("specReplicasPath")?,
            spec_text,
            status: path("statusReplicasPath")?,
            status_text: facts.str_at(&["statusReplicasPath"])?.to_string(),
            selector: path("labelSelectorPath"),
        })
    }

    /// Models `ValidateScaleSpec` and `ValidateScaleStatus`.
    fn check(&self, obj: &Object, errors: &mut ErrorList) {
        for (path, text, field) in
            [(&self.spec, &*self.spec_text, &*self.spec_text), (&self.status, &*self.status_text, ".status.replicas")]
        {
            if let Some(why) = access_error(obj.value(), text) {
                errors.push(Error { kind: ErrorType::Invalid, field: text.into(), bad_value: "0".into(), detail: why });
                continue;
            }
            let Some(n) = path.first(obj.value()).and_then(Value::as_i64) else { continue };
            let why = match n {
                n if n < 0 => "should be a non-negative integer".to_string(),
                n if n > i64::from(i32::MAX) => format!("should be less than or equal to {}", i32::MAX),
                _ => continue,
            };
            errors.push(Error { kind: ErrorType::Invalid, field: field.into(), bad_value: n.to_string(), detail: why });
        }
    }
}

/// What Go's `NestedInt64` says of something on the way that has no members.
fn access_error(value: &Value, path: &str) -> Option<String> {
    let mut here = value;
    for name in path.trim_start_matches('.').split('.') {
        let (shown, kind) = match here {
            Value::Map(_) => (String::new(), ""),
            Value::Null => return None,
            Value::List(_) => (json::to_string(here), "[]interface {}"),
            Value::Str(text) => (text.to_string(), "string"),
            Value::Bool(_) => (json::to_string(here), "bool"),
            Value::Int(_) => (json::to_string(here), "int64"),
            Value::Float(_) => (json::to_string(here), "float64"),
        };
        if !kind.is_empty() {
            return Some(format!("{path} accessor error: {shown} is of the type {kind}, expected map[string]interface{{}}"));
        }
        here = here.get(name)?;
    }
    None
}

/// The columns with the name before them, and the paths of their cells. Without any: name and age.
fn columns(list: &[Value]) -> (Vec<Column>, Vec<JsonPath>) {
    let column = |name: &str, kind: &str, format: &str, description: &str, priority| Column {
        name: Cow::Owned(name.into()),
        kind: Cow::Owned(kind.into()),
        format: Cow::Owned(format.into()),
        description: Cow::Owned(description.into()),
        priority,
    };
    let (mut all, mut paths) = (vec![column("Name", "string", "name", "", 0)], Vec::new());
    for c in list {
        let text = |field: &str| c.str_at(&[field]).unwrap_or("");
        let path = text("jsonPath");
        let Ok(found) = JsonPath::parse(path) else { continue };
        let description = match text("description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            own => own.to_string(),
        };
        let priority = c.int_at(&["priority"]).unwrap_or(0);
        all.push(column(text("name"), text("type"), text("format"), &description, priority));
        paths.push(found);
    }
    if list.is_empty() {
        all.push(column("Age", "date", "", "", 0));
        paths.extend(JsonPath::parse(".metadata.creationTimestamp"));
    }
    (all, paths)
}

/// A cell by the type of its column. Models `cellForJSONValue`.
fn cell(kind: &str, value: Option<&Value>, now: Time) -> Value {
    match (kind, value) {
        (_, None) => Value::Null,
        ("string", Some(Value::Str(s))) => s.into(),
        ("string", Some(Value::Null)) => Value::Null,
        ("string", Some(v)) => json::to_string(v).into(),
        ("integer", Some(Value::Float(f))) => Value::Int(*f as i64),
        ("integer", Some(v @ Value::Int(_))) | ("number", Some(v @ (Value::Int(_) | Value::Float(_)))) => v.clone(),
        ("boolean", Some(v @ Value::Bool(_))) => v.clone(),
        ("date", Some(v @ Value::Str(s))) => match Time::parse(s) {
            Some(_) => duration::since(Some(v), now).into(),
            None => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}

/// Puts everything back to what it was but for `status` and who owns what.
fn keep_all_but_status(new: &mut Object, old: &Object) {
    let (status, managed) = (new.get("status").cloned(), new.at(&["metadata", "managedFields"]).cloned());
    let revision = new.at(&["metadata", "resourceVersion"]).cloned();
    let mut kept = old.clone();
    match status {
        Some(status) => kept.set_at(&["status"], status),
        None => drop(kept.remove_at(&["status"])),
    }
    for (name, value) in [("managedFields", managed), ("resourceVersion", revision)] {
        match value {
            Some(value) => kept.set_at(&["metadata", name], value),
            None => drop(kept.remove_at(&["metadata", name])),
        }
    }
    *new = kept;
}

impl Strategy for Custom {
    fn kind(&self) -> &Kind {
        &self.kind
    }
    fn default(&self, obj: &mut Object) {
        defaults::apply(&self.schema, obj);
    }
    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        meta::keep_status(&self.kind, new, old);
        // Without the subresource status is a field like others.
        let counts =
            |name: &str| !(matches!(name, "metadata" | "apiVersion" | "kind") || self.kind.has_status && name == "status");
        let members = |o: &Object| -> Vec<(Rc<str>, Value)> {
            o.value().as_map().into_iter().flatten().filter(|(k, _)| counts(k)).cloned().collect()
        };
        let generation = old.generation() + i64::from(members(new) != members(old));
        if new.generation() != generation {
            new.set_at(&["metadata", "generation"], generation);
        }
    }
    fn validate(&self, obj: &Object, errors: &mut ErrorList) {
        self.judge(obj, None, errors);
    }
    fn validate_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        self.judge(new, Some(old), errors);
    }
    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        keep_all_but_status(new, old);
    }
    fn validate_status_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        self.judge(new, Some(old), errors);
    }
    fn selectable_field(&self, obj: &Object, name: &str) -> Option<String> {
        let Some((_, path)) = self.selectable.iter().find(|(n, _)| n == name) else {
            return meta::selectable_field(&self.kind, obj, name);
        };
        Some(match path.first(obj.value()) {
            Some(Value::Str(s)) => s.to_string(),
            None | Some(Value::Null) => String::new(),
            Some(other) => json::to_string(other),
        })
    }
    fn unknown_field(&self, name: &str) -> Option<String> {
        let known = matches!(name, "metadata.name" | "metadata.namespace") || self.selectable.iter().any(|(n, _)| n == name);
        (!known).then(|| format!("field label not supported: {name}"))
    }
    fn scale(&self, obj: &Object) -> Option<Result<Scale, String>> {
        let paths = self.scale.as_ref()?;
        let number = |path: &JsonPath| path.first(obj.value()).and_then(Value::as_i64);
        let Some(spec_replicas) = number(&paths.spec) else {
            return Some(Err(format!("the spec replicas field {} does not exist", go_quote(&paths.spec_text))));
        };
        let selector = paths.selector.as_ref().and_then(|p| p.first(obj.value())?.as_str()).unwrap_or("").to_string();
        Some(Ok(Scale { spec_replicas, status_replicas: number(&paths.status).unwrap_or(0), selector }))
    }
    fn set_replicas(&self, obj: &mut Object, replicas: i64) -> bool {
        let Some(names) = self.scale.as_ref().and_then(|paths| paths.spec.names()) else { return false };
        obj.set_at(&names, replicas);
        true
    }
    fn columns(&self) -> Cow<'_, [Column]> {
        Cow::Borrowed(&self.columns)
    }
    fn row(&self, obj: &Object, now: Time) -> Vec<Value> {
        let mut row = vec![obj.name().into()];
        row.extend(self.cells.iter().zip(&self.columns[1..]).map(|(path, c)| cell(&c.kind, path.first(obj.value()), now)));
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::yaml;

    const SPEC: &str = "
group: example.com
scope: Namespaced
names: {plural: widgets, kind: Widget}
versions:
- name: v1
  schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {replicas: {type: integer, default: 1}}}}}}
  subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
  selectableFields: [{jsonPath: .spec.color}]
  additionalPrinterColumns:
  - {name: Want, type: integer, jsonPath: .spec.replicas}
  - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
";

    #[test]
    fn a_kind_by_its_definition() {
        let parse = |text: &str| Object::from_value(yaml::parse(text).unwrap().value).unwrap();
        let spec = yaml::parse(SPEC).unwrap().value;
        assert!(Custom::new(&spec, "v2").is_none());
        let custom = Custom::new(&spec, "v1").unwrap();
        let mut old = parse(
            "{metadata: {name: a, namespace: d, generation: 1, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z'}, spec: {color: red}}",
        );
        custom.default(&mut old);
        let now = Time::parse("2026-01-01T00:05:00Z").unwrap();
        assert_eq!(format!("{:?}", custom.row(&old, now)), r#"["a", 1, "5m"]"#);
        assert_eq!(custom.selectable_field(&old, "spec.color").as_deref(), Some("red"));
        assert_eq!(custom.unknown_field("spec.replicas").as_deref(), Some("field label not supported: spec.replicas"));

        let mut new = old.clone();
        assert!(custom.set_replicas(&mut new, -1));
        new.set_at(&["status"], apimachinery::value!({"replicas": 7}));
        custom.prepare_for_update(&mut new, &old);
        assert_eq!((new.generation(), new.get("status").is_none()), (2, true));
        let mut errors = ErrorList::new();
        custom.validate_update(&new, &old, &mut errors);
        assert_eq!(errors.aggregate(), ".spec.replicas: Invalid value: -1: should be a non-negative integer");
        assert_eq!(
            custom.scale(&parse("{spec: {}}")).unwrap().unwrap_err(),
            "the spec replicas field \".spec.replicas\" does not exist"
        );
    }

    #[test]
    fn rules_that_are_not_reached() {
        let rules =
            "{type: object, x-kubernetes-validations: [{rule: 'self.replicas > 0'}], properties: {replicas: {type: integer}}}";
        let spec = SPEC.replace("{type: object, properties: {replicas: {type: integer, default: 1}}}", rules);
        let custom = Custom::new(&yaml::parse(&spec).unwrap().value, "v1").unwrap();
        let errors_of = |spec: &str| {
            let text = format!("{{metadata: {{name: a, namespace: d}}, spec: {spec}}}");
            let mut errors = ErrorList::new();
            custom.validate(&Object::from_value(yaml::parse(&text).unwrap().value).unwrap(), &mut errors);
            errors.aggregate()
        };
        assert_eq!(errors_of("{replicas: 1}"), "[]");
        let not_reached = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the \
                           existing errors to complete validation";
        assert_eq!(
            errors_of("x"),
            format!(
                "[.spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected \
                 map[string]interface{{}}, spec: Invalid value: \"string\": spec in body must be of type object: \"string\", \
                 {not_reached}]"
            )
        );
    }
}
