//! Owning by reference: which objects a controller owns, adopts and lets go; small helpers that all controllers share.
//!
//! Models `controller.BaseControllerRefManager`. Adoption asks kube-apiserver first whether the owner still lives, as upstream does.

use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::{Object, ObjectKey, PatchType, Request, Value, value};
use base::Time;

use crate::resources::{Caches, Res, gvr};

/// What belongs to a controller, and the calls that change it.
pub struct Claim {
    pub owned: Vec<Object>,
    /// In sequence: the look at the owner, then patches. Empty if nothing changes.
    pub calls: Vec<Request>,
}

/// Sorts the candidates for `owner`: owned and matching stay, owned but not matching are released, orphans that match are adopted.
pub fn claim(caches: Caches, res: Res, owner_res: Res, owner: &Object, selector: &Selector) -> Claim {
    let (mut owned, mut adopt, mut release) = (Vec::new(), Vec::new(), Vec::new());
    let deleted = owner.is_being_deleted();
    for object in caches.owned_by(res, owner.uid()) {
        if selector.matches(object.labels()) {
            owned.push(object.clone());
        } else if !deleted {
            release.push(release_patch(res, object, owner.uid()));
        }
    }
    if !deleted {
        let orphans = caches.orphans(res, owner.namespace());
        for orphan in orphans.filter(|o| !o.is_being_deleted() && selector.matches(o.labels())) {
            adopt.push(adopt_patch(res, orphan, owner));
        }
    }
    let mut calls = Vec::new();
    if !adopt.is_empty() {
        calls.push(Request::get(gvr(owner_res), &owner.key()));
    }
    calls.extend(adopt);
    calls.extend(release);
    Claim { owned, calls }
}

fn adopt_patch(res: Res, object: &Object, owner: &Object) -> Request {
    let patch = value!({"metadata": {"ownerReferences": [(owner.new_controller_ref())], "uid": (object.uid())}});
    Request::patch(gvr(res), &object.key(), PatchType::StrategicMerge, patch)
}

/// A patch that removes the owner of a uid.
pub fn release_patch(res: Res, object: &Object, owner_uid: &str) -> Request {
    let patch = value!({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": owner_uid}], "uid": (object.uid())}});
    Request::patch(gvr(res), &object.key(), PatchType::StrategicMerge, patch)
}

/// The key of the controller that an object names, if it is of this kind (and lives in the cache with that uid).
pub fn controller_key(caches: Caches, res: Res, object: &Object) -> Option<ObjectKey> {
    caches.controller_of(res, object).map(Object::key)
}

/// Whether the controller reference differs between two states.
pub fn controller_changed(old: &Object, new: &Object) -> bool {
    let refs = |o: &Object| o.at(&["metadata", "ownerReferences"]).cloned().unwrap_or_default();
    let (a, b) = (refs(old), refs(new));
    !a.ptr_eq(&b) && old.controller_ref() != new.controller_ref()
}

/// `spec.selector` as a LabelSelector; a broken one selects nothing.
pub fn label_selector(object: &Object) -> Selector {
    Selector::from_label_selector(object.at(&["spec", "selector"])).unwrap_or_else(|_| Selector::nothing())
}

/// A `spec` number with its default.
pub fn spec_int(object: &Object, field: &str, default: i64) -> i64 {
    object.int_at(&["spec", field]).unwrap_or(default)
}
/// A `status` number, 0 if it is missing.
pub fn status_int(object: &Object, field: &str) -> i64 {
    object.int_at(&["status", field]).unwrap_or(0)
}

/// Sets a number in a status, leaving zero out as Go's `omitempty` does.
pub fn set_int(status: &mut Value, field: &str, n: i64) {
    if n != 0 {
        status.set_at(&[field], n);
    } else {
        status.map_mut().remove(field);
    }
}

/// A condition with transition time (and, for Deployments, update time).
pub fn condition(kind: &str, status: &str, reason: &str, message: &str, now: Time) -> Value {
    let mut v =
        value!({"type": (Value::sym(kind)), "status": (Value::sym(status)), "lastTransitionTime": (now.rfc3339_shared())});
    for (field, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            v.set_at(&[field], text);
        }
    }
    v
}

/// Puts a condition into a list: the same status and reason leave it as it is, the same status keeps its transition time.
/// Models the `Set…Condition` functions; the new or changed condition goes to the end.
pub fn set_condition(status: &mut Value, new: Value) {
    let kind = new.str_at(&["type"]).unwrap_or("").to_string();
    let mut new = new;
    if let Some(old) = find_condition(status, &kind)
        && old.get("status") == new.get("status")
    {
        if old.get("reason") == new.get("reason") {
            return;
        }
        if let Some(time) = old.get("lastTransitionTime") {
            new.set_at(&["lastTransitionTime"], time);
        }
    }
    remove_condition(status, &kind);
    status.entry(&["conditions"]).list_mut().push(new);
}

pub fn find_condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status.list_at(&["conditions"]).iter().find(|c| c.str_at(&["type"]) == Some(kind))
}

pub fn remove_condition(status: &mut Value, kind: &str) {
    if find_condition(status, kind).is_none() {
        return;
    }
    status.entry(&["conditions"]).list_mut().retain(|c| c.str_at(&["type"]) != Some(kind));
    if status.list_at(&["conditions"]).is_empty() {
        status.map_mut().remove("conditions");
    }
}

/// The status as a value to work on.
pub fn status_of(object: &Object) -> Value {
    object.get("status").cloned().unwrap_or_else(Value::map)
}

/// The object with another status, as an update of the status subresource.
pub fn update_status(res: Res, object: &Object, status: Value) -> Request {
    let mut object = object.clone();
    object.set_at(&["status"], status);
    Request::update_status(gvr(res), object)
}

/// Whether two statuses say the same: empty members don't count.
pub fn same_status(a: &Value, b: &Value) -> bool {
    a == b || stripped(a) == stripped(b)
}

fn stripped(v: &Value) -> Value {
    let mut v = v.clone();
    v.map_mut().retain(|_, field| !matches!(field, Value::Null) && !matches!(field, Value::Int(0)));
    v
}

/// Whether an error says that the namespace is going: then creating is pointless and not worth a retry.
pub fn namespace_terminating(response: &apimachinery::Response) -> bool {
    response.code == 403
        && match &response.body {
            apimachinery::ResponseBody::Object(o) => {
                o.list_at(&["details", "causes"]).iter().any(|c| c.str_at(&["reason"]) == Some("NamespaceTerminating"))
            }
            _ => false,
        }
}

/// A deletion with a precondition on the uid (and a propagation policy, unless empty).
pub fn delete_with(res: Res, object: &Object, propagation: &str) -> Request {
    let mut options = value!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": (object.uid())}});
    if !propagation.is_empty() {
        options.set_at(&["propagationPolicy"], propagation);
    }
    let body = Object::from_value(options).expect("a map was built");
    Request { body: apimachinery::Body::Object(body), ..Request::delete(gvr(res), &object.key()) }
}

/// The uid as a shared text.
pub fn uid(object: &Object) -> Rc<str> {
    client_go::pods::uid(object)
}
