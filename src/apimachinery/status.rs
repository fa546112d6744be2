//! `metav1.Status`: upstream's errors with their exact texts. Models `apimachinery/pkg/api/errors`.

use std::rc::Rc;

use crate::field::ErrorList;
use crate::gvr::Gvr;
use crate::object::Object;
use crate::request::Response;
use crate::value::Value;
use crate::{Gvk, value};

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    /// `details` as a map, or null.
    pub details: Value,
}

impl Status {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Status {
        Status { code, reason, message: message.into(), details: Value::Null }
    }
    fn named(mut self, gvr: Gvr, name: &str) -> Status {
        self.details = details(&gvr.group.text(), &gvr.resource.text(), name);
        self
    }

    pub fn not_found(gvr: Gvr, name: &str) -> Status {
        Status::new(404, "NotFound", format!("{} \"{name}\" not found", gvr.group_resource())).named(gvr, name)
    }
    pub fn already_exists(gvr: Gvr, name: &str) -> Status {
        Status::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", gvr.group_resource())).named(gvr, name)
    }
    pub fn conflict(gvr: Gvr, name: &str, err: &str) -> Status {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {err}", gvr.group_resource());
        Status::new(409, "Conflict", message).named(gvr, name)
    }
    /// The conflict of an update with an old resourceVersion.
    pub fn modified(gvr: Gvr, name: &str) -> Status {
        Status::conflict(gvr, name, "the object has been modified; please apply your changes to the latest version and try again")
    }
    /// `err` is the whole reason, e.g. `User "jane" cannot get resource "pods" in API group "" in the namespace "default"`.
    pub fn forbidden(gvr: Gvr, name: &str, err: &str) -> Status {
        let message = match (gvr.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {err}"),
            (false, true) => format!("{} is forbidden: {err}", gvr.group_resource()),
            (false, false) => format!("{} \"{name}\" is forbidden: {err}", gvr.group_resource()),
        };
        Status::new(403, "Forbidden", message).named(gvr, name)
    }
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(400, "BadRequest", message)
    }
    pub fn unauthorized() -> Status {
        Status::new(401, "Unauthorized", "Unauthorized")
    }
    pub fn method_not_supported(gvr: Gvr, action: &str) -> Status {
        let message = format!("{action} is not supported on resources of kind \"{}\"", gvr.group_resource());
        Status::new(405, "MethodNotAllowed", message).named(gvr, "")
    }
    /// A history that is gone.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::new(410, "Expired", message)
    }
    pub fn timeout(message: impl Into<String>, seconds: i64) -> Status {
        let mut status = Status::new(504, "Timeout", format!("Timeout: {}", message.into()));
        status.details = value!({"retryAfterSeconds": seconds});
        status
    }
    pub fn internal(err: impl std::fmt::Display) -> Status {
        let mut status = Status::new(500, "InternalError", format!("Internal error occurred: {err}"));
        status.details = value!({"causes": [{"message": (err.to_string())}]});
        status
    }
    pub fn service_unavailable(message: impl Into<String>) -> Status {
        Status::new(503, "ServiceUnavailable", message)
    }
    /// What upstream has and the bottle has not: said by name.
    pub fn not_implemented(what: impl std::fmt::Display) -> Status {
        Status::new(501, "NotImplemented", format!("{what} is not in this bottle"))
    }
    /// All mistakes at once. Models `errors.NewInvalid`.
    pub fn invalid(gvk: Gvk, name: &str, errors: &ErrorList) -> Status {
        let kind = match gvk.group.is_empty() {
            true => gvk.kind.to_string(),
            false => format!("{}.{}", gvk.kind, gvk.group),
        };
        let message = format!("{kind} \"{name}\" is invalid: {}", errors.aggregate());
        // Upstream names equal mistakes once.
        let mut causes: Vec<Value> = Vec::new();
        for e in errors.iter() {
            let cause = value!({"reason": (e.reason()), "message": (e.body()), "field": (&e.field)});
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        let mut status = Status::new(422, "Invalid", message);
        status.details = details(&gvk.group.text(), &gvk.kind.text(), name);
        status.details.set_at(&["causes"], causes);
        status
    }

    /// The `Status` object of the answer.
    pub fn to_object(&self) -> Object {
        let mut v = value!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": (&self.message), "reason": (self.reason), "code": (self.code)
        });
        if self.reason.is_empty() {
            v.map_mut().remove("reason");
        }
        if !self.details.is_null() {
            v.set_at(&["details"], &self.details);
        }
        Object::from_value(v).expect("a map was built")
    }
}

/// StatusDetails without empty members.
fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut v = Value::map();
    for (field, text) in [("group", group), ("kind", kind), ("name", name)] {
        if !text.is_empty() {
            v.set_at(&[field], text);
        }
    }
    v
}

impl From<Status> for Response {
    fn from(status: Status) -> Response {
        Response::object(status.code, status.to_object())
    }
}

/// A success Status, as deletions of kinds without graceful deletion answer.
pub fn success(gvr: Gvr, name: &str, uid: &str) -> Object {
    let mut d = details(&gvr.group.text(), &gvr.resource.text(), name);
    d.set_at(&["uid"], Rc::<str>::from(uid));
    let v = value!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "details": d});
    Object::from_value(v).expect("a map was built")
}
