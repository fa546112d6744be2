//! The generic REST path: what a verb does to a resource of any kind. Models `registry/generic/registry/store.go` and
//! `endpoints/handlers`.
//!
//! A write is *planned* from the object as the cache has it, sent as one transaction that holds only if the object is still
//! that, and planned again from the newer one if it isn't. Plans have no effects, so a lost race costs nothing else.

mod collection;
mod create;
mod delete;
mod list;
mod pod;
mod read;
mod sub;
mod update;
mod watch;

use apimachinery::status::Status;
use apimachinery::{Object, Response, Value, Verb};
use base::Time;
use etcd_api::KeyRange;
use sim::Outbox;

use crate::cache::stamp;
use crate::call::{Answer, Call, Change, Pending, Plan, Planned, Unwritten, Write};
use crate::codec;
use crate::etcd_client::range_of;
use crate::server::ApiServer;

pub(crate) use collection::Collection;
pub(crate) use list::Page;
pub(crate) use read::bookmark;

/// How often a generated name is tried anew when it is taken.
const NAME_ATTEMPTS: u32 = 8;

pub(crate) fn method_not_allowed() -> Status {
    let mut status = Status::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    status.details = Value::map();
    status
}

impl ApiServer {
    /// Sends a call to its verb.
    pub(crate) fn dispatch(&mut self, mut call: Box<Call>, now: Time, out: &mut Outbox) {
        if !allows(&call) {
            let status = match &call.resource.custom {
                Some(_) => Status::method_not_supported(call.resource.gvr, call.request.verb.as_str()),
                None => method_not_allowed(),
            };
            return self.finish(call, status.into(), now, out);
        }
        match call.request.verb {
            Verb::Get if call.subresource_is("log") => self.proxy(call, now, out),
            Verb::Create | Verb::Get if matches!(&*call.request.subresource.text(), "exec" | "attach" | "portforward") => {
                self.proxy(call, now, out);
            }
            _ if !call.request.subresource.is_empty() && call.subresource_is("proxy") => self.proxy(call, now, out),
            Verb::Get => self.get(call, now, out),
            Verb::List => self.list(call, now, out),
            Verb::Watch => self.watch(call, now, out),
            Verb::DeleteCollection => self.delete_collection(call, now, out),
            _ => {
                if let Err(status) = codec::read_body(self, &mut call) {
                    return self.finish(call, status.into(), now, out);
                }
                if call.resource.storage.is_none() {
                    return self.serve_virtual(call, now, out);
                }
                let current = self.cached(&call);
                self.write(call, current, now, out);
            }
        }
    }

    /// The object that a call names, as the cache has it.
    pub(crate) fn cached(&self, call: &Call) -> Option<Object> {
        let storage = call.resource.storage?;
        let key = self.storage(storage).key(&call.request.namespace, &call.name);
        self.caches[storage].get(&key).cloned()
    }

    /// Plans a write from `current` and sends it.
    pub(crate) fn write(&mut self, mut call: Box<Call>, current: Option<Object>, now: Time, out: &mut Outbox) {
        if call.resource.storage.is_some_and(|s| self.caches.get(s).is_none()) {
            // Its definition has gone in the meantime.
            return self.finish(call, crate::routing::not_found().into(), now, out);
        }
        let revision = current.as_ref().map_or(0, Object::revision);
        match self.plan(&mut call, current, now) {
            Ok(Plan::Write(write)) if call.dry_run() => {
                let response = self.answer_of(&call, *write, None, None, now);
                self.finish(call, response, now, out);
            }
            Ok(Plan::Write(write)) => self.commit(call, write, now, out),
            Ok(Plan::Answer(response)) => self.unwritten(call, Unwritten { response, revision }, now, out),
            Err(status) => self.unwritten(call, Unwritten { response: status.into(), revision }, now, out),
        }
    }

    /// Nothing is to be written, by what the cache has: which may be behind (or, after etcd was restored, ahead). etcd is asked before
    /// the client is told. Models `GuaranteedUpdate`, whose first try may be with stale data.
    fn unwritten(&mut self, call: Box<Call>, unwritten: Unwritten, now: Time, out: &mut Outbox) {
        if call.attempts > 0 || !is_of_an_object(&call) {
            return self.finish(call, unwritten.response, now, out);
        }
        let (msg, range) = (call.msg, range_of(KeyRange::one(self.key_of(&call))));
        self.ask_for(msg, etcd_api::Request::Range(range), Pending::Unwritten(call, Box::new(unwritten)), now, out);
    }

    /// What etcd has of that object: the answer stands if the cache had the same.
    pub(crate) fn checked_with_etcd(
        &mut self,
        mut call: Box<Call>,
        unwritten: Unwritten,
        current: Option<Object>,
        now: Time,
        out: &mut Outbox,
    ) {
        if current.as_ref().map_or(0, Object::revision) == unwritten.revision {
            return self.finish(call, unwritten.response, now, out);
        }
        call.attempts += 1;
        self.write(call, current, now, out);
    }

    fn plan(&mut self, call: &mut Call, current: Option<Object>, now: Time) -> Planned {
        let sub = &*call.request.subresource.text();
        match (call.request.verb, sub) {
            (Verb::Create, "") => self.plan_create(call, now),
            (Verb::Update | Verb::Patch, "") => self.plan_update(call, current, now),
            (Verb::Update | Verb::Patch, "scale") => self.plan_scale(call, current, now),
            (Verb::Update | Verb::Patch, _) => self.plan_update(call, current, now),
            (Verb::Delete, _) => self.plan_delete(call, current, now),
            (Verb::Create, "binding") => self.plan_binding(call, current, now),
            (Verb::Create, "eviction") => self.plan_eviction(call, current, now),
            (Verb::Create, "token") => self.plan_token(call, current, now),
            _ => Err(method_not_allowed()),
        }
    }

    /// The object was changed in between: plan again from what it is now.
    pub(crate) fn lost_race(&mut self, mut call: Box<Call>, current: Option<Object>, now: Time, out: &mut Outbox) {
        call.attempts += 1;
        let creates = call.request.verb == Verb::Create && call.request.subresource.is_empty();
        if creates && current.is_some() {
            let generated = call.body.as_ref().is_some_and(|b| b.name().is_empty());
            if !generated || call.attempts >= NAME_ATTEMPTS {
                let status = Status::already_exists(call.resource.gvr, &call.name);
                return self.finish(call, status.into(), now, out);
            }
        }
        self.write(call, current, now, out);
    }

    /// The transaction has succeeded.
    pub(crate) fn written(&mut self, mut call: Box<Call>, write: Write, revision: i64, now: Time, out: &mut Outbox) {
        call.stages.revision = revision;
        let stamped = match &write.change {
            Change::Put(object) => Some(stamp(object.clone(), revision)),
            Change::Delete => None,
        };
        if let Some(object) = &stamped {
            self.written = Some((revision, object.clone()));
        }
        let response = self.answer_of(&call, write, stamped, Some(revision), now);
        self.finish(call, response, now, out);
    }

    /// What a write answers; without a revision it was a dry run.
    fn answer_of(&self, call: &Call, write: Write, stamped: Option<Object>, revision: Option<i64>, now: Time) -> Response {
        let shown = |object: Object| Response::object(write.code, call.form.object(&call.resource, object, now));
        let with_revision = |object: Object| match (revision, &write.base) {
            (Some(revision), _) => stamp(object, revision),
            (None, Some(base)) => stamp(object, base.revision()),
            (None, None) => object,
        };
        match (write.answer, write.change) {
            (Answer::Fixed(object), _) => Response::object(write.code, object),
            (Answer::Gone(object), _) => shown(with_revision(object)),
            (answer, Change::Put(object)) => {
                let object = stamped.unwrap_or_else(|| with_revision(object));
                match answer {
                    Answer::Scale => sub::scale_response(write.code, &call.resource, &object),
                    _ => shown(object),
                }
            }
            (_, Change::Delete) => shown(write.base.clone().unwrap_or_default()),
        }
    }

    /// An answer without a write: nothing changed.
    pub(crate) fn unchanged(&self, call: &Call, object: Object, now: Time) -> Plan {
        Plan::Answer(Response::object(200, call.form.object(&call.resource, object, now)))
    }

    pub(crate) fn key_of(&self, call: &Call) -> etcd_api::Key {
        let storage = call.resource.storage.expect("a stored resource");
        self.storage(storage).key(&call.request.namespace, &call.name)
    }
}

/// Whether the call writes to an object that is there, or should be.
fn is_of_an_object(call: &Call) -> bool {
    match call.request.verb {
        Verb::Update | Verb::Patch | Verb::Delete => true,
        Verb::Create => call.subresource_is("binding"),
        _ => false,
    }
}

/// Whether discovery lists the verb.
fn allows(call: &Call) -> bool {
    let verb = match call.request.verb {
        // `create` on a name goes to subresources only.
        Verb::Create if call.request.subresource.is_empty() && !call.request.name.is_empty() => return false,
        Verb::Update | Verb::Patch | Verb::Delete | Verb::Get if call.request.name.is_empty() => return false,
        v => v.as_str(),
    };
    if call.request.subresource.is_empty() {
        return call.resource.info.has_verb(verb);
    }
    call.resource.info.subresource(call.request.subresource).is_some_and(|s| s.verbs.contains(&verb))
}
