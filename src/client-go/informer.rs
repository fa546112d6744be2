//! A reflector with its cache: lists by a watch that begins with all objects, follows it, and starts again where it broke.
//!
//! Models `cache.Reflector` with the WatchListClient gate on, as v1.37 has it. Left out: resync, paging of the fallback list.

use std::rc::Rc;

use apimachinery::{Gvr, Object, ObjectKey, Request, Response, ResponseBody, WatchEvent, WatchEventType};
use base::{Duration, Seed, TextMap, Time};
use sim::StreamId;

use crate::backoff::Backoff;
use crate::store::Store;

/// The annotation of the bookmark that ends the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What an informer watches of its resource.
#[derive(Clone, Debug, Default)]
pub struct Selectors {
    /// Empty: all namespaces.
    pub namespace: Rc<str>,
    pub label: Option<Rc<str>>,
    pub field: Option<Rc<str>>,
}

impl Selectors {
    /// Objects whose field has a value: `spec.nodeName=node-1`.
    pub fn field(selector: &str) -> Selectors {
        Selectors { field: Some(selector.into()), ..Selectors::default() }
    }
    pub fn label(selector: &str) -> Selectors {
        Selectors { label: Some(selector.into()), ..Selectors::default() }
    }
}

/// One change of the cache. Added: no `old`; deleted: no `new`, and `old` is the last state.
#[derive(Clone, Debug)]
pub struct Delta {
    pub old: Option<Object>,
    pub new: Option<Object>,
    /// Part of the first fill (or of a fill after a break).
    pub initial: bool,
}

impl Delta {
    /// The object concerned, in its newest known state.
    pub fn object(&self) -> &Object {
        self.new.as_ref().or(self.old.as_ref()).expect("a delta has an object")
    }
}

/// What the owner must do next for the informer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    Nothing,
    Connect,
    ConnectAfter(Duration),
}

#[derive(Clone, Debug)]
enum Phase {
    /// Not started, or waiting for its timer.
    Idle,
    /// The request is under way, or its stream is open.
    Open { id: StreamId, initial: Option<TextMap<ObjectKey, Object>> },
    /// The plain list of servers that refuse the other form.
    Listing { id: StreamId },
}

/// A cursor over one resource and the cache that it fills.
#[derive(Clone, Debug)]
pub struct Informer {
    pub gvr: Gvr,
    pub selectors: Selectors,
    pub store: Store,
    phase: Phase,
    /// The last revision seen; empty: start from nothing.
    resource_version: Rc<str>,
    synced: bool,
    plain_list: bool,
    backoff: Backoff,
    seed: Seed,
    draws: u64,
}

impl Informer {
    pub fn new(gvr: Gvr, selectors: Selectors, store: Store, seed: Seed) -> Informer {
        let seed = gvr.resource.with(|name| seed.derive(name));
        Informer {
            gvr,
            selectors,
            store,
            phase: Phase::Idle,
            resource_version: "".into(),
            synced: false,
            plain_list: false,
            backoff: Backoff::reflector(seed.derive("backoff")),
            seed,
            draws: 0,
        }
    }

    /// As new: nothing is known, nothing is under way.
    pub(crate) fn forget(&mut self) {
        let keys: Vec<ObjectKey> = self.store.iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.store.remove(&key);
        }
        self.phase = Phase::Idle;
        self.resource_version = "".into();
        self.synced = false;
    }

    /// Whether the cache has been filled once.
    pub fn has_synced(&self) -> bool {
        self.synced
    }
    /// The last revision seen; empty before the first.
    pub fn last_resource_version(&self) -> &Rc<str> {
        &self.resource_version
    }
    /// The open stream or call.
    pub fn stream(&self) -> Option<StreamId> {
        match self.phase {
            Phase::Idle => None,
            Phase::Open { id, .. } | Phase::Listing { id } => Some(id),
        }
    }

    /// The request with which to go on. [`Informer::opened`] must follow.
    pub(crate) fn request(&mut self) -> Request {
        if self.resource_version.is_empty() && self.plain_list {
            let mut request = Request::list(self.gvr, &self.selectors.namespace);
            self.select(&mut request);
            return request;
        }
        let mut request = Request::watch(self.gvr, &self.selectors.namespace, &self.resource_version);
        self.select(&mut request);
        self.draws += 1;
        // Between five and ten minutes, so that not all clients come back at once.
        request.options.timeout_seconds = Some(300 + self.seed.below(self.draws, 300) as i64);
        if self.resource_version.is_empty() {
            request.options.resource_version = None;
            request.options.resource_version_match = Some("NotOlderThan".into());
            request.options.send_initial_events = true;
        }
        request
    }
    fn select(&self, request: &mut Request) {
        request.options.label_selector = self.selectors.label.clone();
        request.options.field_selector = self.selectors.field.clone();
    }
    pub(crate) fn opened(&mut self, id: StreamId) {
        self.phase = match (self.resource_version.is_empty(), self.plain_list) {
            (true, true) => Phase::Listing { id },
            (true, false) => Phase::Open { id, initial: Some(TextMap::default()) },
            (false, _) => Phase::Open { id, initial: None },
        };
    }

    /// The answer to the request: the watch is open, the list is here, or neither.
    pub(crate) fn on_response(&mut self, response: &Response, now: Time, deltas: &mut Vec<Delta>) -> Next {
        match (&response.body, response.code) {
            (ResponseBody::WatchStarted, 200) => Next::Nothing,
            (ResponseBody::List(list), 200) => {
                let items = list.items.iter().map(|o| (o.key(), o.clone())).collect();
                self.resource_version = list.resource_version.to_string().into();
                self.replace(items, deltas);
                self.phase = Phase::Idle;
                Next::Connect
            }
            (_, 400 | 422) if self.resource_version.is_empty() && !self.plain_list => {
                self.plain_list = true;
                self.phase = Phase::Idle;
                Next::Connect
            }
            (_, 410) => self.restart(now),
            _ => self.broken(now),
        }
    }

    /// Events of the open watch.
    pub(crate) fn on_events(&mut self, events: &[WatchEvent], now: Time, deltas: &mut Vec<Delta>) -> Next {
        for event in events {
            match event.kind {
                WatchEventType::Error if event.object.int_at(&["code"]) == Some(410) => return self.restart(now),
                WatchEventType::Error => return self.broken(now),
                WatchEventType::Bookmark => self.on_bookmark(&event.object, deltas),
                kind => self.on_change(kind, &event.object, deltas),
            }
        }
        // One clone for the batch: within a stream revisions only grow.
        if let (Phase::Open { initial: None, .. }, Some(last)) = (&self.phase, events.last())
            && let Some(version) = last.object.at(&["metadata", "resourceVersion"]).and_then(|v| v.as_rc_str())
        {
            self.resource_version = version.clone();
        }
        Next::Nothing
    }

    fn on_bookmark(&mut self, object: &Object, deltas: &mut Vec<Delta>) {
        let Phase::Open { initial, .. } = &mut self.phase else { return };
        if object.annotation(INITIAL_EVENTS_END) != Some("true") {
            return;
        }
        if let Some(items) = initial.take() {
            self.replace(items, deltas);
        }
    }

    fn on_change(&mut self, kind: WatchEventType, object: &Object, deltas: &mut Vec<Delta>) {
        let Phase::Open { initial, .. } = &mut self.phase else { return };
        let key = object.key();
        match (initial, kind) {
            (Some(items), WatchEventType::Deleted) => {
                items.remove(&key);
            }
            (Some(items), _) => {
                items.insert(key, object.clone());
            }
            (None, WatchEventType::Deleted) => {
                self.store.remove(&key);
                deltas.push(Delta { old: Some(object.clone()), new: None, initial: false });
            }
            (None, _) => {
                let old = self.store.insert(key, object.clone());
                deltas.push(Delta { old, new: Some(object.clone()), initial: false });
            }
        }
    }

    /// Makes the cache equal to a full list; what is the same revision gives no delta.
    fn replace(&mut self, items: TextMap<ObjectKey, Object>, deltas: &mut Vec<Delta>) {
        self.synced = true;
        self.backoff.reset();
        let gone: Vec<ObjectKey> = self.store.iter().map(|(k, _)| k).filter(|k| !items.contains_key(*k)).cloned().collect();
        for key in gone {
            let old = self.store.remove(&key);
            deltas.push(Delta { old, new: None, initial: true });
        }
        for (key, object) in items {
            if self.store.get(&key).is_some_and(|o| o.resource_version() == object.resource_version()) {
                continue;
            }
            let old = self.store.insert(key, object.clone());
            deltas.push(Delta { old, new: Some(object), initial: true });
        }
    }

    /// The stream ended. A watch that was simply over goes on at once where it was.
    pub(crate) fn on_end(&mut self, now: Time) -> Next {
        let was_initial = matches!(self.phase, Phase::Open { initial: Some(_), .. } | Phase::Listing { .. });
        self.phase = Phase::Idle;
        if was_initial { self.broken(now) } else { Next::Connect }
    }
    /// No connection: tries again after its backoff, from where it was.
    pub(crate) fn broken(&mut self, now: Time) -> Next {
        self.phase = Phase::Idle;
        Next::ConnectAfter(self.backoff.next(now))
    }
    /// History is gone: fills the cache anew.
    fn restart(&mut self, now: Time) -> Next {
        self.resource_version = "".into();
        self.broken(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::{resources, value};

    fn event(kind: WatchEventType, name: &str, version: i64) -> WatchEvent {
        let v = value!({"metadata": {"name": name, "namespace": "ns", "resourceVersion": (version.to_string())}});
        WatchEvent { kind, object: Object::from_value(v).unwrap(), cause: 0 }
    }
    fn end_of_initial(version: i64) -> WatchEvent {
        let mut e = event(WatchEventType::Bookmark, "", version);
        e.object.set_at(&["metadata", "annotations"], value!({"k8s.io/initial-events-end": "true"}));
        e
    }
    fn describe(deltas: &[Delta]) -> Vec<String> {
        let version = |o: &Option<Object>| o.as_ref().map_or("-".to_string(), |o| o.resource_version().to_string());
        deltas.iter().map(|d| format!("{} {}→{}", d.object().name(), version(&d.old), version(&d.new))).collect()
    }

    #[test]
    fn fills_follows_and_fills_again_after_410() {
        use WatchEventType::*;
        let mut informer = Informer::new(resources::pods(), Selectors::default(), Store::new(&[]), Seed(1));
        let (now, mut deltas) = (Time::EPOCH, Vec::new());
        let first = informer.request();
        assert!(first.options.send_initial_events && first.options.resource_version.is_none());
        informer.opened(1);
        informer.on_events(&[event(Added, "a", 1), event(Added, "b", 2)], now, &mut deltas);
        assert!(deltas.is_empty() && !informer.has_synced());
        informer.on_events(&[end_of_initial(2), event(Modified, "a", 3)], now, &mut deltas);
        assert_eq!(describe(&deltas), ["a -→1", "b -→2", "a 1→3"]);

        assert_eq!(informer.on_end(now), Next::Connect);
        assert_eq!(informer.request().options.resource_version.as_deref(), Some("3"));
        informer.opened(2);
        let mut gone = event(Error, "", 0);
        gone.object.set_at(&["code"], 410);
        assert!(matches!(informer.on_events(&[gone], now, &mut deltas), Next::ConnectAfter(_)));
        assert!(informer.request().options.send_initial_events);
        informer.opened(3);
        deltas.clear();
        informer.on_events(&[event(Added, "a", 3), event(Added, "c", 9), end_of_initial(9)], now, &mut deltas);
        assert_eq!(describe(&deltas), ["b 2→-", "c -→9"]);
    }
}
