//! The form of an answer: the object itself, its metadata only, or a Table. Models `endpoints/handlers/response.go`.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{List, Object, Request, Response, ResponseBody, Value, WatchEventType, value};
use base::Time;

use crate::convert;
use crate::scheme::Resource;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Include {
    None,
    Metadata,
    Object,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Object,
    Partial,
    /// `headers`: the columns are still to be described.
    Table {
        include: Include,
        headers: bool,
    },
}

impl Form {
    /// From the `Accept` header: the first media type that can be served.
    pub fn parse(request: &Request) -> Result<Form, Status> {
        let Some(accept) = request.accept.as_deref() else { return Ok(Form::Object) };
        let mut known = false;
        for media in accept.split(',') {
            let mut parts = media.split(';').map(str::trim);
            let kind = parts.next().unwrap_or("");
            if !matches!(kind, "application/json" | "application/yaml" | "*/*" | "") {
                continue;
            }
            known = true;
            let (mut form, mut group, mut version) = ("", "", "");
            for p in parts {
                match p.split_once('=') {
                    Some(("as", v)) => form = v,
                    Some(("g", v)) => group = v,
                    Some(("v", v)) => version = v,
                    _ => {}
                }
            }
            match form {
                "" => return Ok(Form::Object),
                "Table" if group == "meta.k8s.io" && version == "v1" => return Form::table(request),
                "PartialObjectMetadata" | "PartialObjectMetadataList" if group == "meta.k8s.io" && version == "v1" => {
                    return Ok(Form::Partial);
                }
                _ => {}
            }
        }
        let all = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
        if known {
            let text = format!("only the following media types are accepted: {all}");
            return Err(Status::new(406, "NotAcceptable", text));
        }
        let mut status = Status::new(406, "NotAcceptable", format!("406: Not Acceptable\n\nAvailable representations: {all}"));
        status.details = Value::map();
        Err(status)
    }

    fn table(request: &Request) -> Result<Form, Status> {
        let include = match request.options.query("includeObject") {
            None | Some("" | "Metadata") => Include::Metadata,
            Some("None") => Include::None,
            Some("Object") => Include::Object,
            Some(other) => {
                return Err(Status::bad_request(format!(
                    "unrecognized includeObject value: {}",
                    apimachinery::field::go_quote(other)
                )));
            }
        };
        Ok(Form::Table { include, headers: true })
    }

    /// One object as a whole answer.
    pub fn object(&self, resource: &Resource, object: Object, now: Time) -> Object {
        let object = convert::from_storage(resource, object);
        match self {
            Form::Object => object,
            Form::Partial => partial(&object),
            Form::Table { include, headers } => {
                let metadata = value!({"resourceVersion": (object.resource_version())});
                table(resource, metadata, std::slice::from_ref(&object), *include, *headers, now)
            }
        }
    }

    /// The object of a watch event.
    pub fn event_object(&mut self, resource: &Resource, object: Object, kind: WatchEventType, now: Time) -> Object {
        if matches!(self, Form::Object) {
            return convert::from_storage(resource, object);
        }
        let shown = self.object(resource, object, now);
        if kind != WatchEventType::Bookmark
            && let Form::Table { headers, .. } = self
        {
            *headers = false;
        }
        shown
    }

    /// A list as a whole answer. `list.items` are in the storage version.
    pub fn list(&self, resource: &Resource, mut list: List, now: Time) -> Response {
        if convert::differs(resource) {
            list.items = list.items.into_iter().map(|o| convert::from_storage(resource, o)).collect();
        }
        let body = match self {
            Form::Object => ResponseBody::List(Rc::new(list)),
            Form::Partial => {
                list.api_version = "meta.k8s.io/v1".into();
                list.kind = "PartialObjectMetadataList".into();
                // Unlike in typed lists every item names its type here.
                let mut value = List { items: Vec::new(), ..list.clone() }.to_value();
                value.set_at(&["items"], list.items.iter().map(|o| partial(o).into_value()).collect::<Vec<_>>());
                ResponseBody::Object(Object::from_value(value).expect("a list is a map"))
            }
            Form::Table { include, headers } => {
                let metadata = List { items: Vec::new(), ..list.clone() }.to_value().get("metadata").cloned().unwrap_or_default();
                ResponseBody::Object(table(resource, metadata, &list.items, *include, *headers, now))
            }
        };
        Response { code: 200, warnings: Vec::new(), body }
    }
}

/// `PartialObjectMetadata` of an object.
fn partial(object: &Object) -> Object {
    let v = value!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": (object.get("metadata").cloned().unwrap_or_else(Value::map))
    });
    Object::from_value(v).expect("a map was built")
}

fn table(resource: &Resource, metadata: Value, objects: &[Object], include: Include, headers: bool, now: Time) -> Object {
    let columns: Vec<Value> = resource.strategy.columns().iter().map(column).collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let shown = match include {
                Include::None => Value::Null,
                Include::Metadata => partial(object).into_value(),
                Include::Object => object.value().clone(),
            };
            value!({"cells": (resource.strategy.row(object, now)), "object": shown})
        })
        .collect();
    let columns = if headers { Value::from(columns) } else { Value::Null };
    let v = value!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": metadata, "columnDefinitions": columns, "rows": rows
    });
    Object::from_value(v).expect("a map was built")
}

fn column(c: &api::Column) -> Value {
    value!({
        "name": (&*c.name), "type": (&*c.kind), "format": (&*c.format), "description": (&*c.description), "priority": (c.priority)
    })
}
