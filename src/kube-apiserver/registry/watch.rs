//! `watch`: from a revision in the recent past, or with the present state as initial events.

use apimachinery::status::Status;
use apimachinery::{Response, ResponseBody, WatchEvent, WatchEventType};
use base::{Duration, Time};
use sim::Outbox;

use super::list::check_options;
use super::read::{bookmark, parse_revision};
use crate::call::Call;
use crate::server::ApiServer;
use crate::watchers::NewWatch;

/// `--min-request-timeout`: a watch without `timeoutSeconds` ends after this and up to twice of it.
const MIN_TIMEOUT_S: i64 = 1800;

impl ApiServer {
    pub(crate) fn watch(&mut self, call: Box<Call>, now: Time, out: &mut Outbox) {
        match self.new_watch(&call, now) {
            Ok(Opened::Watch(watch)) => {
                let response = Response { code: 200, warnings: call.warnings.clone(), body: ResponseBody::WatchStarted };
                self.finish(call, response, now, out);
                self.watchers.add(*watch);
                if self.watchers.has_dirty() {
                    self.arm_flush(out);
                }
                self.arm_deadline(now, out);
            }
            Ok(Opened::Failed(status)) => {
                // The stream opens, says why it can't go on, and ends.
                let (client, stream) = (call.client, call.stream);
                let response = Response { code: 200, warnings: Vec::new(), body: ResponseBody::WatchStarted };
                self.finish(call, response, now, out);
                let event = WatchEvent { kind: WatchEventType::Error, object: status.to_object(), cause: 0 };
                out.watch_events(client, stream, vec![event]);
                out.send(client, sim::Payload::StreamEnd { id: stream });
            }
            Err(status) => self.finish(call, status.into(), now, out),
        }
    }

    fn new_watch(&mut self, call: &Call, now: Time) -> Result<Opened, Status> {
        let filter = self.filter_of(call)?;
        check_options(&call.request)?;
        let options = &call.request.options;
        let Some(storage) = call.resource.storage else { return Err(super::method_not_allowed()) };
        let text = options.resource_version.as_deref().filter(|v| !v.is_empty());
        let revision = parse_revision(text).map_err(|e| Status::bad_request(format!("invalid resource version: {e}")))?;
        let seconds = match options.timeout_seconds {
            Some(s) if s > 0 => s,
            _ => {
                let n = self.draw();
                MIN_TIMEOUT_S + self.config.seed.derive("watch-timeout").below(n, MIN_TIMEOUT_S as u64) as i64
            }
        };
        let s = &*self.storage(storage);
        let name = filter.exact("metadata.name").filter(|_| !call.request.namespace.is_empty() || !call.resource.namespaced());
        let mut watch = NewWatch {
            client: call.client,
            stream: call.stream,
            resource: call.resource.clone(),
            storage,
            namespace: call.request.namespace.clone(),
            key: name.map(|n| s.key(&call.request.namespace, n)),
            filter,
            form: call.form,
            bookmarks: options.allow_watch_bookmarks,
            deadline: now + Duration::from_secs(seconds),
            told: self.caches[storage].revision,
            ready: Vec::new(),
        };
        let initial = options.send_initial_events || revision == 0;
        if initial {
            self.initial_events(call, &mut watch, now);
            return Ok(Opened::Watch(Box::new(watch)));
        }
        let Some(changes) = self.caches[storage].since(revision) else {
            let text = format!("too old resource version: {revision} ({})", self.caches[storage].oldest());
            return Ok(Opened::Failed(Status::expired(text)));
        };
        let mut ready = Vec::new();
        let mut probe = crate::watchers::probe(&watch);
        for change in changes.filter(|c| in_scope(&c.key, &watch, s)) {
            ready.extend(probe.event(change));
        }
        watch.form = probe.form;
        watch.ready = ready;
        Ok(Opened::Watch(Box::new(watch)))
    }

    /// The present objects as additions; then, if they were asked for, the mark that these were all.
    fn initial_events(&self, call: &Call, watch: &mut NewWatch, now: Time) {
        for object in self.select(watch.storage, call, &watch.filter) {
            let object = watch.form.event_object(&watch.resource, object, WatchEventType::Added, now);
            watch.ready.push(WatchEvent { kind: WatchEventType::Added, object, cause: 0 });
        }
        let options = &call.request.options;
        if options.send_initial_events && options.allow_watch_bookmarks {
            let revision = self.revision.max(watch.told);
            let object = bookmark(&watch.resource, revision, true);
            let object = watch.form.event_object(&watch.resource, object, WatchEventType::Bookmark, now);
            watch.ready.push(WatchEvent { kind: WatchEventType::Bookmark, object, cause: 0 });
        }
    }
}

enum Opened {
    Watch(Box<NewWatch>),
    Failed(Status),
}

fn in_scope(key: &str, watch: &NewWatch, storage: &crate::scheme::Storage) -> bool {
    match &watch.key {
        Some(one) => **one == *key,
        None => key.starts_with(&*storage.scope(&watch.namespace)),
    }
}
