//! `create`.

use std::rc::Rc;

use apimachinery::field::ErrorList;
use apimachinery::status::Status;
use apimachinery::{Object, Value, Verb};
use base::Time;
use etcd_api::{Compare, Op};

use crate::admission::{self, Attributes};
use crate::call::{Answer, Call, Change, Plan, Planned, Write};
use crate::fields;
use crate::scheme::Special;
use crate::server::ApiServer;

impl ApiServer {
    /// Models `createHandler` and `Store.Create`: managed fields are taken before admission adds its own.
    pub(super) fn plan_create(&mut self, call: &mut Call, now: Time) -> Planned {
        let mut object = call.body.clone().ok_or_else(|| Status::bad_request("an empty body is no object"))?;
        if !object.resource_version().is_empty() {
            return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        self.begin_metadata(call, &mut object, now)?;
        if call.resource.custom.as_ref().is_some_and(|c| c.terminating) {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Status::forbidden(call.resource.gvr, &call.name, why));
        }
        let mut old = None;
        if !fields::is_apply(call) {
            fields::track(call, &mut object, None, now);
        }
        let mut attributes = Attributes::new(call, Verb::Create, object, None);
        admission::mutate(self, &mut attributes)?;
        admission::refine(call, &mut attributes);
        let mut object = attributes.take_object();
        let stored = call.stored.clone();
        let strategy = &*stored.strategy;
        strategy.default(&mut object);
        strategy.prepare_for_create(&mut object);
        if call.resource.gvr.resource == "certificatesigningrequests" {
            // Who asks is what the server knows, whatever the body claims. Models `csrStrategy.PrepareForCreate`.
            for name in ["username", "uid", "groups", "extra"] {
                object.remove_at(&["spec", name]);
            }
            for (name, value) in crate::reviews::show_user(&call.user).as_map().into_iter().flatten() {
                object.set_at(&["spec", name], value.clone());
            }
        }
        self.check_new(call, &object)?;
        strategy.canonicalize(&mut object);
        for text in strategy.warnings(&object, old.as_ref()) {
            call.warn(text);
        }
        let mut extra = self.allocate(call, &mut object, old.take().as_ref())?;
        let attributes = Attributes::new(call, Verb::Create, object, None);
        admission::validate(self, &attributes, &mut extra, &mut call.stages)?;
        call.stages.mutated_by = std::mem::take(&mut call.stages.mutated_by);
        Ok(self.new_write(call, attributes.into_object(), extra))
    }

    fn new_write(&self, call: &Call, object: Object, extra: Vec<(Compare, Op)>) -> Plan {
        let storage = call.resource.storage.expect("a stored resource");
        let events = self.storage(storage).special == Special::Events;
        Plan::Write(Box::new(Write {
            key: self.key_of(call),
            change: Change::Put(object),
            base: None,
            code: 201,
            answer: Answer::Written,
            extra,
            ttl_s: events.then_some(self.config.event_ttl_s),
        }))
    }

    /// Namespace, name, uid and time: what the server decides.
    fn begin_metadata(&mut self, call: &mut Call, object: &mut Object, now: Time) -> Result<(), Status> {
        place(call, object)?;
        let seed = self.config.seed;
        let generated = object.at(&["metadata", "generateName"]).and_then(Value::as_rc_str).filter(|g| !g.is_empty()).cloned();
        let name: Rc<str> = match (object.name(), generated) {
            ("", Some(prefix)) => {
                let n = self.draw();
                let longest = prefix.len().min(63 - 5);
                format!("{}{}", &prefix[..longest], seed.derive("generateName").suffix(n, 5)).into()
            }
            (name, _) => name.into(),
        };
        let n = self.draw();
        let uid = seed.derive("uid").uuid(n);
        let meta = object.value_mut().map_mut().entry("metadata").map_mut();
        for gone in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            meta.remove(gone);
        }
        if !name.is_empty() {
            meta.set("name", name.clone());
        }
        meta.set("uid", uid);
        meta.set("creationTimestamp", now.rfc3339_shared());
        call.name = name;
        Ok(())
    }

    fn check_new(&self, call: &mut Call, object: &Object) -> Result<(), Status> {
        let mut errors = ErrorList::new();
        call.stored.strategy.validate(object, &mut errors);
        call.stages.valid = errors.is_empty();
        if errors.is_empty() { Ok(()) } else { Err(Status::invalid(call.resource.gvk, object.name(), &errors)) }
    }
}

/// Puts an object into the URL's namespace; a different one of its own is refused.
pub(super) fn place(call: &Call, object: &mut Object) -> Result<(), Status> {
    if !call.resource.namespaced() {
        return Ok(());
    }
    let wanted = &call.request.namespace;
    match object.namespace() {
        "" => object.set_at(&["metadata", "namespace"], wanted),
        own if *own == **wanted => {}
        _ => {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    }
    Ok(())
}
