//! OpenAPI v3, made from the schema: enough for `kubectl explain`, for client-side checks and for clients that look up which
//! parameters a verb takes. Models `kube-openapi/pkg/builder3`. Descriptions, responses and the paths of subresources are left
//! out, v2 and protobuf are not served.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::schema::{self, Field, ListKind, Resource, StructType, Type};
use apimachinery::{Gvk, Object, Value, value};
use base::{Sym, hash64};

use crate::scheme::Rules;
use crate::server::ApiServer;

/// The documents there are: path below `/openapi/v3/` with where it is.
pub fn index(server: &ApiServer) -> Object {
    let mut paths = Value::map();
    for (group, version) in server.group_versions().iter() {
        let name = document_name(*group, *version);
        let hash = hash64(name.as_bytes());
        paths.set_at(&[&name], value!({"serverRelativeURL": (format!("/openapi/v3/{name}?hash={hash:016X}"))}));
    }
    Object::from_value(value!({"paths": paths})).expect("a map was built")
}

fn document_name(group: Sym, version: Sym) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// One group version's document; `None`: there is none of that name (`apis/apps/v1`).
pub fn document(server: &ApiServer, name: &str) -> Option<Object> {
    let (group, version) = *server.group_versions().iter().find(|(g, v)| document_name(*g, *v) == name)?;
    let mut builder = Builder::default();
    for info in server.resources_in(group, version) {
        match server.resource(info.gvr).map(|r| (r, &r.strategy)) {
            Some((resource, Rules::Custom(custom))) => builder.add_custom(resource, custom.schema()),
            _ => builder.add(&info),
        }
    }
    let mut v = value!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "1.37"}});
    let schemas = std::mem::take(&mut builder.schemas).into_iter().filter_map(|(k, v)| Some((k, v?)));
    v.set_at(&["paths"], builder.paths);
    for (name, schema) in schemas {
        v.set_at(&["components", "schemas", &name], schema);
    }
    Object::from_value(v)
}

#[derive(Default)]
struct Builder {
    paths: Value,
    /// By name; `None` while it is being made.
    schemas: BTreeMap<Rc<str>, Option<Value>>,
}

fn gvk_value(gvk: Gvk) -> Value {
    value!({"group": (gvk.group), "version": (gvk.version), "kind": (gvk.kind)})
}

impl Builder {
    fn add(&mut self, resource: &Resource) {
        let gvk = resource.kind;
        let reference = schema::of(gvk).map(|ty| {
            self.define(&ty, Some(gvk));
            reference(&ty)
        });
        self.add_paths(resource, reference);
    }

    /// A custom resource: its schema as the definition has it, with what every object has.
    fn add_custom(&mut self, resource: &crate::scheme::Resource, schema: &Value) {
        let Some(ty) = &resource.schema else { return };
        let mut v = schema.clone();
        for name in ["apiVersion", "kind"] {
            v.set_at(&["properties", name, "type"], "string");
        }
        if let Some(meta) = schema::named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta") {
            self.define(&meta, None);
            v.set_at(&["properties", "metadata", "allOf"], vec![reference(&meta)]);
        }
        v.set_at(&["x-kubernetes-group-version-kind"], vec![gvk_value(resource.gvk)]);
        self.schemas.insert(ty.name.clone(), Some(v));
        self.add_paths(&resource.info, Some(reference(ty)));
    }

    fn add_paths(&mut self, resource: &Resource, reference: Option<Value>) {
        let gvk = resource.kind;
        let root = format!("/{}", document_name(resource.gvr.group, resource.gvr.version));
        let collection = match resource.namespaced {
            true => format!("{root}/namespaces/{{namespace}}/{}", resource.gvr.resource),
            false => format!("{root}/{}", resource.gvr.resource),
        };
        let item = format!("{collection}/{{name}}");
        for verb in &resource.verbs {
            let (path, method, action) = match *verb {
                "list" => (&collection, "get", "list"),
                "create" => (&collection, "post", "post"),
                "deletecollection" => (&collection, "delete", "deletecollection"),
                "get" => (&item, "get", "get"),
                "update" => (&item, "put", "put"),
                "patch" => (&item, "patch", "patch"),
                "delete" => (&item, "delete", "delete"),
                _ => continue,
            };
            let mut operation = value!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": (gvk_value(gvk))});
            operation.set_at(&["parameters"], parameters(action));
            if let Some(reference) = reference.as_ref().filter(|_| matches!(action, "post" | "put")) {
                operation.set_at(&["requestBody", "content", "*/*", "schema"], reference.clone());
            }
            if self.paths.is_null() {
                self.paths = Value::map();
            }
            self.paths.set_at(&[path.as_str(), method], operation);
        }
    }

    fn define(&mut self, ty: &Rc<StructType>, gvk: Option<Gvk>) {
        if self.schemas.contains_key(&ty.name) {
            return;
        }
        self.schemas.insert(ty.name.clone(), None);
        let mut v = value!({"type": "object"});
        let mut required: Vec<Value> = Vec::new();
        for field in ty.fields() {
            let schema = self.field(field);
            v.set_at(&["properties", &field.name], schema);
            if field.required && field.default.is_none() {
                required.push((&field.name).into());
            }
        }
        if !required.is_empty() {
            v.set_at(&["required"], required);
        }
        if ty.atomic {
            v.set_at(&["x-kubernetes-map-type"], "atomic");
        }
        if let Some(gvk) = gvk {
            v.set_at(&["x-kubernetes-group-version-kind"], vec![gvk_value(gvk)]);
        }
        self.schemas.insert(ty.name.clone(), Some(v));
    }

    fn field(&mut self, field: &Field) -> Value {
        let mut v = self.ty(&field.ty);
        if let Some(default) = &field.default {
            v.set_at(&["default"], default.clone());
        }
        if field.patch.merge {
            v.set_at(&["x-kubernetes-patch-strategy"], if field.patch.retain_keys { "merge,retainKeys" } else { "merge" });
        }
        if let Some(key) = &field.patch.key {
            v.set_at(&["x-kubernetes-patch-merge-key"], key);
        }
        v
    }

    fn ty(&mut self, ty: &Type) -> Value {
        match ty {
            Type::Bool => value!({"type": "boolean"}),
            Type::Int32 => value!({"type": "integer", "format": "int32"}),
            Type::Int64 => value!({"type": "integer", "format": "int64"}),
            Type::Float => value!({"type": "number", "format": "double"}),
            Type::String(None) => value!({"type": "string"}),
            Type::String(Some(allowed)) => {
                value!({"type": "string", "enum": (allowed.iter().map(Value::from).collect::<Vec<_>>())})
            }
            Type::Bytes => value!({"type": "string", "format": "byte"}),
            Type::Time | Type::MicroTime => value!({"type": "string", "format": "date-time"}),
            Type::Quantity => value!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            Type::IntOrString => value!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            Type::Any => value!({"type": "object"}),
            Type::List(list) => {
                let items = self.ty(&list.elem);
                let mut v = value!({"type": "array", "items": items});
                match &list.kind {
                    ListKind::Atomic => v.set_at(&["x-kubernetes-list-type"], "atomic"),
                    ListKind::Set => v.set_at(&["x-kubernetes-list-type"], "set"),
                    ListKind::Map(keys) => {
                        v.set_at(&["x-kubernetes-list-type"], "map");
                        v.set_at(&["x-kubernetes-list-map-keys"], keys.iter().map(Value::from).collect::<Vec<_>>());
                    }
                }
                v
            }
            Type::Map(map) => {
                let elem = self.ty(&map.elem);
                value!({"type": "object", "additionalProperties": elem})
            }
            Type::Struct(ty) => {
                self.define(ty, None);
                value!({"allOf": [(reference(ty))]})
            }
        }
    }
}

fn reference(ty: &StructType) -> Value {
    value!({"$ref": (format!("#/components/schemas/{}", ty.name))})
}

/// Query parameters by what is done.
fn parameters(action: &str) -> Vec<Value> {
    let names: &[&str] = match action {
        "post" | "put" => &["dryRun", "fieldManager", "fieldValidation", "pretty"],
        "patch" => &["dryRun", "fieldManager", "fieldValidation", "force", "pretty"],
        "delete" => &["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy", "pretty"],
        "get" => &["pretty"],
        _ => &["continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "timeoutSeconds", "watch", "pretty"],
    };
    names.iter().map(|n| value!({"name": (*n), "in": "query", "schema": {"type": "string", "uniqueItems": true}})).collect()
}
