//! Managed fields: who wrote what. The sets are apimachinery's; here is who the writer is.

use std::rc::Rc;

use apimachinery::managed_fields::{self, Writer};
use apimachinery::status::Status;
use apimachinery::{Object, Value, Verb};
use base::Time;

use crate::call::Call;

/// The manager of a client that names none.
pub fn manager_of(user_agent: &str) -> Rc<str> {
    managed_fields::manager_name(None, user_agent).into()
}

/// Brings the new version's `managedFields` up to date.
pub fn track(call: &Call, new: &mut Object, old: Option<&Object>, now: Time) {
    let manager = call.manager();
    let resource = &call.stored;
    let writer = Writer {
        manager: &manager,
        api_version: &call.resource.api_version,
        subresource: &call.request.subresource.text(),
        time: now,
        reset: reset_fields(call),
    };
    *new = managed_fields::update(resource.schema.as_deref(), old, std::mem::take(new), &writer);
}

/// As [`track`], for the body of a subresource that is a kind of its own.
pub fn track_as(call: &Call, api_version: &str, new: &mut Object, now: Time) {
    let manager = call.manager();
    let schema = apimachinery::schema::of(new.gvk());
    let subresource = call.request.subresource.text();
    let writer = Writer { manager: &manager, api_version, subresource: &subresource, time: now, reset: &[] };
    *new = managed_fields::update(schema.as_deref(), None, std::mem::take(new), &writer);
}

/// What a write through this path can't change. Models the strategies' `GetResetFields`.
fn reset_fields(call: &Call) -> &'static [&'static [&'static str]] {
    let sub = &*call.request.subresource.text();
    match sub {
        "" if call.resource.kind().has_status => &[&["status"]],
        "status" if call.request.verb != Verb::Create => &[&["spec"]],
        _ => &[],
    }
}

/// Server-side apply is not built yet.
pub fn apply(_call: &Call, _old: &Object, _patch: &Value, _now: Time) -> Result<Object, Status> {
    Err(Status::not_implemented("server-side apply (application/apply-patch+yaml)"))
}
