//! `deletecollection`: each object is deleted by its own transaction; the answer lists them as they were.

use std::rc::Rc;

use apimachinery::{List, Request, Response, Verb};
use base::Time;
use sim::Outbox;

use crate::call::{Call, Origin};
use crate::codec;
use crate::server::ApiServer;

/// A deletion of a collection under way.
#[derive(Clone)]
pub struct Collection {
    call: Box<Call>,
    left: usize,
    list: List,
    /// The first refusal; it is the answer.
    failure: Option<Response>,
}

impl ApiServer {
    pub(crate) fn delete_collection(&mut self, mut call: Box<Call>, now: Time, out: &mut Outbox) {
        let selected = codec::read_body(self, &mut call).and_then(|()| self.filter_of(&call));
        let filter = match selected {
            Ok(filter) => filter,
            Err(status) => return self.finish(call, status.into(), now, out),
        };
        let Some(storage) = call.resource.storage else {
            return self.finish(call, super::method_not_allowed().into(), now, out);
        };
        let mut items = self.select(storage, &call, &filter);
        if call.request.options.limit > 0 {
            items.truncate(call.request.options.limit as usize);
        }
        let list = List {
            api_version: call.resource.api_version.clone(),
            kind: call.resource.list_kind.clone(),
            resource_version: self.revision,
            continue_token: None,
            remaining_item_count: None,
            items: items.clone(),
        };
        if items.is_empty() {
            let response = call.form.list(&call.resource, list, now);
            return self.finish(call, response, now, out);
        }
        let id = self.draw();
        self.collections.insert(id, Collection { call: call.clone(), left: items.len(), list, failure: None });
        for object in items {
            let key = object.key();
            let request =
                Request { verb: Verb::Delete, namespace: key.namespace, name: key.name.clone(), ..(*call.request).clone() };
            let part = Call { request: Rc::new(request), name: key.name, origin: Origin::Collection(id), ..(*call).clone() };
            self.write(Box::new(part), Some(object), now, out);
        }
    }

    pub(crate) fn collection_part_done(&mut self, id: u64, response: Response, now: Time, out: &mut Outbox) {
        let Some(collection) = self.collections.get_mut(&id) else { return };
        collection.left -= 1;
        if !response.is_success() && !response.is_not_found() && collection.failure.is_none() {
            collection.failure = Some(response);
        }
        if collection.left > 0 {
            return;
        }
        let Some(done) = self.collections.remove(&id) else { return };
        let response = done.failure.unwrap_or_else(|| done.call.form.list(&done.call.resource, done.list, now));
        self.finish(done.call, response, now, out);
    }
}
