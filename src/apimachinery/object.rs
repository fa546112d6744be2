//! An API object: a tree with `apiVersion`, `kind` and `metadata`.

use std::fmt;
use std::rc::Rc;

use base::Time;

use crate::gvr::Gvk;
use crate::value::{Fields, Value};

/// An API object. Cloning it costs one reference count; writing copies the path written.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Object(Value);

/// Namespace and name; the namespace is empty for what is cluster-wide. Ordered as etcd orders keys.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ObjectKey {
    pub namespace: Rc<str>,
    pub name: Rc<str>,
}

impl Ord for ObjectKey {
    /// Objects of one namespace mostly share its name.
    fn cmp(&self, other: &ObjectKey) -> std::cmp::Ordering {
        let namespaces = match Rc::ptr_eq(&self.namespace, &other.namespace) {
            true => std::cmp::Ordering::Equal,
            false => self.namespace.cmp(&other.namespace),
        };
        namespaces.then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for ObjectKey {
    fn partial_cmp(&self, other: &ObjectKey) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl base::Text for ObjectKey {
    fn parts(&self) -> base::Parts<'_> {
        (self.namespace.as_bytes(), self.name.as_bytes())
    }
}

impl ObjectKey {
    pub fn new(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

impl Object {
    /// `None` if the value is not a map.
    pub fn from_value(value: Value) -> Option<Object> {
        matches!(value, Value::Map(_)).then_some(Object(value))
    }
    pub fn from_fields(fields: Fields) -> Object {
        Object(fields.into())
    }
    pub fn value(&self) -> &Value {
        &self.0
    }
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }
    pub fn into_value(self) -> Value {
        self.0
    }
    pub fn ptr_eq(&self, other: &Object) -> bool {
        self.0.ptr_eq(&other.0)
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        self.0.at(path)
    }
    pub fn str_at(&self, path: &[&str]) -> Option<&str> {
        self.0.str_at(path)
    }
    pub fn int_at(&self, path: &[&str]) -> Option<i64> {
        self.0.int_at(path)
    }
    pub fn bool_at(&self, path: &[&str]) -> Option<bool> {
        self.0.bool_at(path)
    }
    pub fn list_at(&self, path: &[&str]) -> &[Value] {
        self.0.list_at(path)
    }
    pub fn map_at(&self, path: &[&str]) -> Option<&Fields> {
        self.0.map_at(path)
    }
    pub fn set_at(&mut self, path: &[&str], value: impl Into<Value>) {
        self.0.set_at(path, value);
    }
    pub fn remove_at(&mut self, path: &[&str]) -> Option<Value> {
        self.0.remove_at(path)
    }

    pub fn api_version(&self) -> &str {
        self.0.str_at(&["apiVersion"]).unwrap_or("")
    }
    pub fn kind(&self) -> &str {
        self.0.str_at(&["kind"]).unwrap_or("")
    }
    pub fn gvk(&self) -> Gvk {
        Gvk::from_api_version(self.api_version(), self.kind())
    }
    fn meta(&self, name: &str) -> Option<&Value> {
        self.0.get("metadata")?.get(name)
    }
    fn meta_str(&self, name: &str) -> &str {
        self.meta(name).and_then(Value::as_str).unwrap_or("")
    }
    pub fn name(&self) -> &str {
        self.meta_str("name")
    }
    /// Empty for what is cluster-wide.
    pub fn namespace(&self) -> &str {
        self.meta_str("namespace")
    }
    pub fn uid(&self) -> &str {
        self.meta_str("uid")
    }
    pub fn resource_version(&self) -> &str {
        self.meta_str("resourceVersion")
    }
    /// The resource version as a number: an etcd revision, 0 if there is none.
    pub fn revision(&self) -> i64 {
        self.meta_str("resourceVersion").parse().unwrap_or(0)
    }
    pub fn generation(&self) -> i64 {
        self.meta("generation").and_then(Value::as_i64).unwrap_or(0)
    }
    pub fn deletion_timestamp(&self) -> Option<&str> {
        self.meta("deletionTimestamp").and_then(Value::as_str)
    }
    pub fn is_being_deleted(&self) -> bool {
        self.deletion_timestamp().is_some()
    }
    pub fn creation_timestamp(&self) -> Option<Time> {
        Time::parse(self.meta_str("creationTimestamp"))
    }
    pub fn label(&self, name: &str) -> Option<&str> {
        self.meta("labels")?.get(name)?.as_str()
    }
    pub fn labels(&self) -> Option<&Fields> {
        self.meta("labels")?.as_map()
    }
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.meta("annotations")?.get(name)?.as_str()
    }
    pub fn annotations(&self) -> Option<&Fields> {
        self.meta("annotations")?.as_map()
    }
    pub fn finalizers(&self) -> &[Value] {
        self.meta("finalizers").map_or(&[], Value::items)
    }
    pub fn owner_references(&self) -> &[Value] {
        self.meta("ownerReferences").map_or(&[], Value::items)
    }
    /// The owner reference with `controller: true`.
    pub fn controller_ref(&self) -> Option<&Value> {
        self.owner_references().iter().find(|r| r.bool_at(&["controller"]) == Some(true))
    }
    /// Shares the strings of the tree where they exist.
    pub fn key(&self) -> ObjectKey {
        let part = |name| self.meta(name).and_then(Value::as_rc_str).cloned().unwrap_or_else(|| crate::value::key(""));
        ObjectKey { namespace: part("namespace"), name: part("name") }
    }

    /// The status condition of a type.
    pub fn condition(&self, kind: &str) -> Option<&Value> {
        self.list_at(&["status", "conditions"]).iter().find(|c| c.str_at(&["type"]) == Some(kind))
    }
    /// Whether the condition of a type is `True`.
    pub fn condition_is_true(&self, kind: &str) -> bool {
        self.condition(kind).and_then(|c| c.str_at(&["status"])) == Some("True")
    }

    /// A reference to this object as a controller: for `ownerReferences` of what it creates. Models `metav1.NewControllerRef`.
    pub fn new_controller_ref(&self) -> Value {
        crate::value!({
            "apiVersion": (self.api_version()), "kind": (self.kind()), "name": (self.name()), "uid": (self.uid()),
            "controller": true, "blockOwnerDeletion": true
        })
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        object.0
    }
}

impl From<&Object> for Value {
    fn from(object: &Object) -> Value {
        object.0.clone()
    }
}
