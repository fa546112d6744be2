//! Managed fields: who wrote what. The sets are apimachinery's; here is who the writer is.

use std::rc::Rc;

use apimachinery::field::{ErrorList, Path};
use apimachinery::managed_fields::{self, Writer};
use apimachinery::status::Status;
use apimachinery::{Body, Gvk, Object, PatchType, Value, Verb};
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
        "" => call.resource.strategy.reset_fields(),
        "status" if call.resource.custom.is_some() => &[&["spec"], &["metadata"]],
        "status" if call.request.verb != Verb::Create => &[&["spec"]],
        _ => &[],
    }
}

/// Whether the call is a server-side apply.
pub fn is_apply(call: &Call) -> bool {
    matches!(call.request.body, Body::Patch(PatchType::Apply, _))
}

/// The object that an apply makes of `live` (`None`: creates it), in the version of the request; it is still to be decoded.
/// Models `applyPatcher.applyPatchToCurrentObject`.
pub fn apply(call: &Call, live: Option<&Object>, config: &Value, now: Time) -> Result<Object, Status> {
    check_options(call)?;
    let config = check_config(call, config)?;
    let resource = &call.resource;
    let Some(schema) = resource.schema.as_deref() else {
        return Err(Status::not_implemented(format!("server-side apply of {}", resource.gvr.resource)));
    };
    let manager = call.manager();
    let writer = Writer {
        manager: &manager,
        api_version: &resource.api_version,
        subresource: &call.request.subresource.text(),
        time: now,
        reset: reset_fields(call),
    };
    managed_fields::apply(schema, live, &config, &writer, call.request.options.force)
}

/// Models `ValidatePatchOptions`.
fn check_options(call: &Call) -> Result<(), Status> {
    if call.request.options.field_manager.as_ref().is_some_and(|m| !m.is_empty()) {
        return Ok(());
    }
    let mut errors = ErrorList::new();
    errors.required(&Path::new("fieldManager"), "is required for apply patch");
    Err(Status::invalid(Gvk::new("meta.k8s.io", "", "PatchOptions"), "", &errors))
}

/// What is applied must say what it is, and be what the URL names.
fn check_config(call: &Call, config: &Value) -> Result<Object, Status> {
    let mut config = Object::from_value(config.clone()).unwrap_or_default();
    let (given, wanted) = (Gvk::from_api_version(config.api_version(), config.kind()), call.resource.gvk);
    if given != wanted {
        let text = format!("invalid object type: {}/{}, Kind={}", given.group, given.version, given.kind);
        return Err(Status::bad_request(text));
    }
    if config.at(&["metadata", "managedFields"]).is_some() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    if config.name().is_empty() {
        config.set_at(&["metadata", "name"], &call.request.name);
    }
    Ok(config)
}
