//! `update` and `patch`, of objects and of those subresources that show the whole object (status, approval, resize …).

use apimachinery::field::{ErrorList, Path};
use apimachinery::schema::{StructType, restore_error};
use apimachinery::status::Status;
use apimachinery::{Body, Gvk, Object, PatchType, Value, Verb, patch};
use base::Time;

use super::create::place;
use super::read::parse_revision;
use crate::admission::{self, Attributes};
use crate::call::{Answer, Call, Change, Plan, Planned, Write};
use crate::codec;
use crate::convert;
use crate::fields;
use crate::server::ApiServer;

impl ApiServer {
    pub(super) fn plan_update(&mut self, call: &mut Call, current: Option<Object>, now: Time) -> Planned {
        let patching = call.request.verb == Verb::Patch;
        let Some(old) = current else {
            if fields::is_apply(call) && call.request.subresource.is_empty() {
                return self.create_by_apply(call, now);
            }
            if patching || !call.resource.kind().allow_create_on_update || !call.request.subresource.is_empty() {
                return Err(self.missing(call));
            }
            return self.create_by_update(call, now);
        };
        let mut new = if patching { self.patched(call, &old, now)? } else { self.replacement(call)? };
        check_base(call, &mut new, &old)?;
        keep_system_fields(&mut new, &old);
        if !fields::is_apply(call) {
            fields::track(call, &mut new, Some(&old), now);
        }
        let mut attributes = Attributes::new(call, Verb::Update, new, Some(old.clone()));
        admission::mutate(self, &mut attributes)?;
        admission::refine(call, &mut attributes);
        let mut new = attributes.take_object();
        prepare(call, &mut new, &old, now)?;
        check(call, &new, &old)?;
        let stored = call.stored.clone();
        let strategy = &*stored.strategy;
        strategy.canonicalize(&mut new);
        for text in strategy.warnings(&new, Some(&old)) {
            call.warn(text);
        }
        let mut extra = self.allocate(call, &mut new, Some(&old))?;
        let attributes = Attributes::new(call, Verb::Update, new, Some(old.clone()));
        admission::validate(self, &attributes, &mut extra, &mut call.stages)?;
        Ok(self.update_write(call, attributes.into_object(), old, extra, now))
    }

    /// The write of a new version, unless nothing has changed; if it lost its last finalizer, the object goes.
    pub(super) fn update_write(
        &self,
        call: &Call,
        mut new: Object,
        old: Object,
        extra: Vec<(etcd_api::Compare, etcd_api::Op)>,
        now: Time,
    ) -> Plan {
        new.set_at(&["metadata", "resourceVersion"], old.resource_version());
        if new == old && extra.is_empty() {
            return self.unchanged(call, old, now);
        }
        let over = new.is_being_deleted()
            && new.finalizers().is_empty()
            && new.int_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
            && !super::delete::waits_for_spec_finalizers(&new);
        new.remove_at(&["metadata", "resourceVersion"]);
        let (change, answer) = match over {
            // Unlike after a deletion the answer has the revision before.
            true => {
                let last = crate::cache::stamp(new, old.revision());
                (Change::Delete, Answer::Fixed(call.form.object(&call.resource, last, now)))
            }
            false => (Change::Put(new), if call.subresource_is("scale") { Answer::Scale } else { Answer::Written }),
        };
        Plan::Write(Box::new(Write { key: self.key_of(call), change, base: Some(old), code: 200, answer, extra, ttl_s: None }))
    }

    pub(super) fn missing(&self, call: &Call) -> Status {
        Status::not_found(call.resource.gvr, &call.name)
    }

    fn create_by_update(&mut self, call: &mut Call, now: Time) -> Planned {
        self.replacement(call)?;
        let mut body = call.body.clone().unwrap_or_default();
        if body.at(&["metadata", "uid"]).is_some() && !body.uid().is_empty() {
            let text = format!("Precondition failed: UID in precondition: {}, UID in object meta: ", body.uid());
            return Err(Status::conflict(call.resource.gvr, &call.name, &text));
        }
        body.remove_at(&["metadata", "resourceVersion"]);
        call.body = Some(body);
        self.plan_create(call, now)
    }

    fn create_by_apply(&mut self, call: &mut Call, now: Time) -> Planned {
        let request = call.request.clone();
        let Body::Patch(_, config) = &request.body else { return Err(self.missing(call)) };
        let resource = call.resource.clone();
        let applied = fields::apply(call, None, config, now)?;
        if !applied.uid().is_empty() {
            let text =
                format!("uid mismatch: the provided object specified uid {}, and no existing object was found", applied.uid());
            return Err(Status::conflict(resource.gvr, &call.name, &text));
        }
        check_name(call, &applied)?;
        let mut new = codec::prune(call, &resource, applied.into_value())?;
        new.remove_at(&["metadata", "resourceVersion"]);
        resource.strategy.default(&mut new);
        if convert::differs(&resource) {
            new = convert::to_storage(&resource, new);
        }
        call.body = Some(new);
        self.plan_create(call, now)
    }

    /// The object that a PUT wants.
    fn replacement(&self, call: &mut Call) -> Result<Object, Status> {
        let mut new = call.body.clone().ok_or_else(|| Status::bad_request("an empty body is no object"))?;
        check_name(call, &new)?;
        place(call, &mut new)?;
        Ok(new)
    }

    /// The object that a patch makes of `old`.
    fn patched(&self, call: &mut Call, old: &Object, now: Time) -> Result<Object, Status> {
        let request = call.request.clone();
        let Body::Patch(kind, patch) = &request.body else { return Err(Status::bad_request("a patch needs a body")) };
        let resource = call.resource.clone();
        let base = convert::from_storage(&resource, old.clone());
        let patched = match kind {
            PatchType::Apply => fields::apply(call, Some(&base), patch, now)?.into_value(),
            _ => patch::apply(*kind, base.value(), patch, resource.schema.as_deref())?,
        };
        let decoded = codec::prune_beside(call, &resource, patched.clone(), Some(&base));
        let mut new = decoded.map_err(|s| patch_error(&s, *kind, patch, &patched, resource.schema.as_deref()))?;
        resource.strategy.default(&mut new);
        if convert::differs(&resource) {
            new = convert::to_storage(&resource, new);
        }
        check_name(call, &new)?;
        place(call, &mut new)?;
        Ok(new)
    }
}

/// A patch whose result does not decode is an invalid patch. Models `applyPatchToObject` (strategic merge patches stay trees,
/// and are named as they came) and `jsonPatcher` (which names the result).
fn patch_error(status: &Status, kind: PatchType, patch: &Value, patched: &Value, schema: Option<&StructType>) -> Status {
    let mut why = status.message.split_once(": ").map_or(&*status.message, |(_, why)| why).to_string();
    let mut shown = apimachinery::json::to_string(patched);
    if kind == PatchType::StrategicMerge {
        why = schema.and_then(|s| restore_error(s, patched)).unwrap_or(why);
        shown = patch::go_print(patch);
    }
    let mut errors = ErrorList::new();
    errors.invalid(&apimachinery::field::Path::new("patch"), shown, why);
    let mut status = Status::invalid(apimachinery::Gvk::default(), "", &errors);
    status.details.map_mut().retain(|k, _| &**k == "causes");
    status
}

fn check_name(call: &Call, object: &Object) -> Result<(), Status> {
    match object.name() {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            call.request.name
        ))),
        name if *name == *call.request.name => Ok(()),
        name => Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.request.name
        ))),
    }
}

/// The uid and resourceVersion that the new version names must be those of the object.
fn check_base(call: &Call, new: &mut Object, old: &Object) -> Result<(), Status> {
    let gvr = call.resource.gvr;
    let patching = call.request.verb == Verb::Patch;
    if !patching && !new.uid().is_empty() && new.uid() != old.uid() {
        let text = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: {}",
            gvr.resource,
            old.key(),
            new.uid(),
            old.uid()
        );
        return Err(Status::conflict(gvr, &call.name, &text));
    }
    let given = new.resource_version();
    parse_revision(Some(given)).map_err(|e| {
        Status::new(500, "", e.split_once(": strconv").map_or(String::new(), |(_, rest)| format!("strconv{rest}")))
    })?;
    if !given.is_empty() && given != "0" && given != old.resource_version() {
        return Err(Status::modified(gvr, &call.name));
    }
    let unconditional = given.is_empty() || given == "0";
    if unconditional && !call.resource.kind().allow_unconditional_update && !patching {
        let mut errors = ErrorList::new();
        let metadata = Path::new("metadata");
        errors.invalid(&metadata.child("resourceVersion"), 0, "must be specified for an update");
        let gvk = Gvk { group: gvr.group, version: gvr.version, kind: gvr.resource };
        return Err(Status::invalid(gvk, &call.name, &errors));
    }
    if unconditional && (call.resource.kind().allow_unconditional_update || patching) {
        new.set_at(&["metadata", "resourceVersion"], old.resource_version());
    } else if given == "0" {
        new.remove_at(&["metadata", "resourceVersion"]);
    }
    Ok(())
}

/// What a client can neither set nor clear stays as it was.
fn keep_system_fields(new: &mut Object, old: &Object) {
    let (Some(before), wants_uid) = (old.get("metadata").cloned(), new.uid().is_empty()) else { return };
    let meta = new.value_mut().map_mut().entry("metadata").map_mut();
    for name in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "uid", "selfLink"] {
        if name == "uid" && !wants_uid {
            continue;
        }
        match before.get(name) {
            Some(v) if meta.get(name).is_some_and(|n| n.ptr_eq(v)) => {}
            Some(v) => meta.set(name, v),
            None => {
                meta.remove(name);
            }
        }
    }
}

fn prepare(call: &Call, new: &mut Object, old: &Object, now: Time) -> Result<(), Status> {
    let strategy = &*call.stored.strategy;
    match &*call.request.subresource.text() {
        "" => strategy.prepare_for_update(new, old),
        "status" => strategy.prepare_for_status_update(new, old),
        sub => {
            if !strategy.prepare_for_subresource_update(sub, new, old) {
                return Err(Status::not_implemented(format!("{}/{sub}", call.resource.gvr.resource)));
            }
            if sub == "approval" {
                stamp_conditions(new, old, now);
            }
        }
    }
    Ok(())
}

/// The times of an approval's conditions, where the client gave none. Models `populateConditionTimestamps`.
fn stamp_conditions(new: &mut Object, old: &Object, now: Time) {
    let old = old.list_at(&["status", "conditions"]);
    let unset = |c: &Value, name: &str| c.get(name).is_none_or(Value::is_null);
    let mut all = new.list_at(&["status", "conditions"]).to_vec();
    for c in &mut all {
        if unset(c, "lastUpdateTime") {
            c.set_at(&["lastUpdateTime"], now.rfc3339());
        }
        if unset(c, "lastTransitionTime") {
            let same = |o: &&Value| o.get("type") == c.get("type") && o.get("status") == c.get("status");
            let since = old.iter().find(same).and_then(|o| o.get("lastTransitionTime")).filter(|t| !t.is_null()).cloned();
            c.set_at(&["lastTransitionTime"], since.unwrap_or_else(|| now.rfc3339().into()));
        }
    }
    if !all.is_empty() {
        new.set_at(&["status", "conditions"], all);
    }
}

fn check(call: &mut Call, new: &Object, old: &Object) -> Result<(), Status> {
    let stored = call.stored.clone();
    let strategy = &*stored.strategy;
    let mut errors = ErrorList::new();
    match &*call.request.subresource.text() {
        "" => strategy.validate_update(new, old, &mut errors),
        "status" => strategy.validate_status_update(new, old, &mut errors),
        sub => strategy.validate_subresource_update(sub, new, old, &mut errors),
    }
    call.stages.valid = errors.is_empty();
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(call.resource.gvk, &call.name, &errors)) }
}
