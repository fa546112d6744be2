//! Events: one storage under two groups. Models `pkg/apis/core/validation/events.go`.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::check::{self, invalid_raw, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

const SELECTABLE: &[(&str, &[&str])] = &[
    ("involvedObject.kind", &["involvedObject", "kind"]),
    ("involvedObject.namespace", &["involvedObject", "namespace"]),
    ("involvedObject.name", &["involvedObject", "name"]),
    ("involvedObject.uid", &["involvedObject", "uid"]),
    ("involvedObject.apiVersion", &["involvedObject", "apiVersion"]),
    ("involvedObject.resourceVersion", &["involvedObject", "resourceVersion"]),
    ("involvedObject.fieldPath", &["involvedObject", "fieldPath"]),
    ("reason", &["reason"]),
    ("reportingComponent", &["reportingComponent"]),
    ("source", &["source", "component"]),
    ("type", &["type"]),
];

pub static EVENT: Rules = Rules {
    default: |e| {
        for time in ["eventTime", "firstTimestamp", "lastTimestamp"] {
            null_default(e, time);
        }
        e.default("reportingComponent", Value::sym(""));
        e.default("reportingInstance", Value::sym(""));
        e.default("source", value!({}));
        e.default("involvedObject", value!({}));
    },
    validate: core_event,
    ..Rules::of(Kind::namespaced("", "events", "Event").create_on_update().names(NameRule::PathSegment).select(SELECTABLE))
};

pub static EVENT_V1: Rules = Rules {
    default: |e| {
        for time in ["eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"] {
            null_default(e, time);
        }
        e.default("deprecatedSource", value!({}));
        e.default("regarding", value!({}));
    },
    validate: new_event,
    ..Rules::of(
        Kind::namespaced("events.k8s.io", "events", "Event").create_on_update().names(NameRule::PathSegment).select(SELECTABLE),
    )
};

/// A time that is not set is printed as null.
fn null_default(e: &mut Edit, name: &str) {
    if e.value().get(name).is_none() {
        e.set(name, Value::Null);
    }
}

/// An event of the old API may say little; with an `eventTime` it is checked as a new one.
fn core_event(obj: &Object, errors: &mut ErrorList) {
    namespaces(obj, "involvedObject", "involvedObject", errors);
    let e = obj.value();
    if some(e, "eventTime").is_some() {
        new_style(e, "reportingComponent", "message", errors);
    }
}

fn new_event(obj: &Object, errors: &mut ErrorList) {
    namespaces(obj, "regarding", "involvedObject", errors);
    let e = obj.value();
    if some(e, "eventTime").is_none() {
        errors.required(&Path::new("eventTime"), "");
    }
    let kind = text(e, "type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.invalid(&Path::new("type"), "", format!("has invalid value: {kind}"));
    }
    new_style(e, "reportingController", "note", errors);
}

fn new_style(e: &Value, controller_field: &str, note_field: &str, errors: &mut ErrorList) {
    let controller = text(e, controller_field);
    let path = Path::new(controller_field);
    if controller.is_empty() {
        errors.required(&path, "");
    }
    check::qualified_name(controller).report(errors, &path, controller);
    for (field, max) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        let v = text(e, field);
        let path = Path::new(field);
        if v.is_empty() {
            errors.required(&path, "");
        } else if v.len() > max {
            errors.invalid(&path, "", format!("can have at most {max} characters"));
        }
    }
    if text(e, note_field).len() > 1024 {
        errors.invalid(&Path::new("message"), "", "can have at most 1024 characters");
    }
}

/// An event lives where its object does; those of cluster-wide objects in `default`.
fn namespaces(obj: &Object, field: &str, shown: &str, errors: &mut ErrorList) {
    let about = obj.str_at(&[field, "namespace"]).unwrap_or("");
    let path = Path::new(shown);
    let ok = match about {
        "" => matches!(obj.namespace(), "default" | "kube-system"),
        ns => ns == obj.namespace() || field == "regarding",
    };
    if !ok {
        invalid_raw(errors, &path.child("namespace"), format!("\"{about}\""), "does not match event.namespace");
    }
}
