//! `get`.

use apimachinery::status::Status;
use apimachinery::{Object, Request, Response, value};
use base::Time;
use etcd_api::KeyRange;
use sim::Outbox;

use super::sub;
use crate::call::{Call, Pending};
use crate::etcd_client::range_of;
use crate::scheme::Resource;
use crate::server::ApiServer;

/// The object of a bookmark.
pub(crate) fn bookmark(resource: &Resource, revision: i64, initial_events_end: bool) -> Object {
    let mut v = value!({
        "apiVersion": (&resource.api_version), "kind": (resource.gvk.kind),
        "metadata": {"resourceVersion": (revision.to_string())}
    });
    if initial_events_end {
        v.set_at(&["metadata", "annotations", "k8s.io/initial-events-end"], "true");
    }
    Object::from_value(v).expect("a map was built")
}

/// A `resourceVersion` parameter as a number; 0 if it is absent.
pub(crate) fn parse_revision(text: Option<&str>) -> Result<i64, String> {
    match text {
        None | Some("") => Ok(0),
        Some(text) => text.parse::<u64>().ok().and_then(|n| i64::try_from(n).ok()).ok_or_else(|| {
            let quoted = apimachinery::field::go_quote(text);
            format!("resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: invalid syntax")
        }),
    }
}

impl ApiServer {
    /// Without a resourceVersion etcd is asked; with one the cache is good enough.
    pub(crate) fn get(&mut self, call: Box<Call>, now: Time, out: &mut Outbox) {
        if call.resource.storage.is_none() {
            return self.serve_virtual(call, now, out);
        }
        let asked = call.request.options.resource_version.as_deref();
        if let Err(text) = parse_revision(asked) {
            return self.finish(call, Status::new(500, "", text).into(), now, out);
        }
        if asked.is_some_and(|v| !v.is_empty()) {
            let object = self.cached(&call);
            return self.got(call, object, now, out);
        }
        let (msg, range) = (call.msg, range_of(KeyRange::one(self.key_of(&call))));
        self.ask_for(msg, etcd_api::Request::Range(range), Pending::Get(call), now, out);
    }

    pub(crate) fn got(&mut self, call: Box<Call>, object: Option<Object>, now: Time, out: &mut Outbox) {
        let response = self.show(&call, object, now);
        self.finish(call, response, now, out);
    }

    pub(crate) fn show(&self, call: &Call, object: Option<Object>, now: Time) -> Response {
        let Some(object) = object else { return Status::not_found(call.resource.gvr, &call.name).into() };
        if call.subresource_is("scale") {
            return sub::scale_response(200, &call.resource, &object);
        }
        // The same allocation as the cache's, if it is the same: readers then share it. The revision alone doesn't tell: after etcd was
        // restored from a backup they are given again.
        let shared = self.cached(call).filter(|c| *c == object).unwrap_or(object);
        Response::object(200, call.form.object(&call.resource, shared, now))
    }

    /// Answers a read off the record: no message, no event, no revision. For the page and for a terminal that stands still.
    /// A request that is no read is refused.
    pub fn read(&self, request: &Request, now: Time) -> Response {
        let user = match self.authenticate(&request.credential, now) {
            Ok(user) => user,
            Err(status) => return status.into(),
        };
        if request.gvr.resource.is_empty() {
            return self.serve_path(request, &user, now);
        }
        if let Err(status) = self.authorize(&user, request) {
            return status.into();
        }
        match self.read_call(request, user, now) {
            Ok(response) => response,
            Err(status) => status.into(),
        }
    }
}
