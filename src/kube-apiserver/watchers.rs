//! Watches of clients. A change finds those that may care by an index and puts an event into their batch; one flush sends all
//! batches that have something.

use std::rc::Rc;

use apimachinery::{Object, WatchEvent, WatchEventType, resources};
use base::{Map, Set, Time, hash64, mix64};
use etcd_api::Key;
use sim::{Addr, StreamId};

use crate::cache::{Change, node_name};
use crate::scheme::Resource;
use crate::select::Filter;
use crate::view::Form;

pub type WatcherId = u64;

/// An open watch.
#[derive(Clone)]
pub struct Watcher {
    pub client: Addr,
    pub stream: StreamId,
    pub resource: Rc<Resource>,
    /// Empty: all.
    pub namespace: Rc<str>,
    pub filter: Filter,
    pub form: Form,
    pub bookmarks: bool,
    /// The server ends the watch then.
    pub deadline: Time,
    /// Events not yet sent.
    pub ready: Vec<WatchEvent>,
    /// The revision up to which the client has been told.
    pub told: i64,
    place: Place,
}

/// The list of an index that a watcher is in.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    All(usize),
    Key(Key),
    Node(Rc<str>),
    Namespace(usize, Rc<str>),
}

impl Place {
    /// Under what it is found: every change asks for several, and numbers are found faster than texts.
    fn hash(&self) -> u64 {
        let of = |kind: u64, storage: usize, text: &str| mix64(kind << 32 | storage as u64) ^ hash64(text.as_bytes());
        match self {
            Place::All(storage) => of(0, *storage, ""),
            Place::Key(key) => of(1, 0, key),
            Place::Node(name) => of(2, 0, name),
            Place::Namespace(storage, name) => of(3, *storage, name),
        }
    }
    /// Those whose watchers may care about a change.
    fn all_of(storage: usize, pods: bool, change: &Change) -> impl Iterator<Item = Place> {
        let namespace = change.object.at(&["metadata", "namespace"]).and_then(|v| v.as_rc_str());
        let nodes = |o: &Object| node_name(o).filter(|_| pods).cloned();
        let (now, before) = (nodes(&change.object), change.prev.as_ref().and_then(nodes));
        let before = before.filter(|b| now.as_ref() != Some(b));
        let general = [Place::All(storage), Place::Key(change.key.clone())];
        let namespace = namespace.map(|ns| Place::Namespace(storage, ns.clone()));
        general.into_iter().chain(namespace).chain(now.into_iter().chain(before).map(Place::Node))
    }
}

/// All watches of the server.
#[derive(Clone, Default)]
pub struct Watchers {
    all: Map<WatcherId, Watcher>,
    by_stream: Map<(Addr, StreamId), WatcherId>,
    /// By [`Place::hash`].
    by_place: Map<u64, Set<WatcherId>>,
    deadlines: Set<(Time, WatcherId)>,
    dirty: Set<WatcherId>,
    next: WatcherId,
}

/// What a new watch is made of.
pub struct NewWatch {
    pub client: Addr,
    pub stream: StreamId,
    pub resource: Rc<Resource>,
    pub storage: usize,
    pub namespace: Rc<str>,
    /// The key, if the watch is about one object.
    pub key: Option<Key>,
    pub filter: Filter,
    pub form: Form,
    pub bookmarks: bool,
    pub deadline: Time,
    pub told: i64,
    pub ready: Vec<WatchEvent>,
}

impl Watchers {
    pub fn add(&mut self, new: NewWatch) -> WatcherId {
        let place = match (new.key, new.filter.exact("spec.nodeName")) {
            (Some(key), _) => Place::Key(key),
            (None, Some(node)) if !node.is_empty() && new.resource.gvr == resources::pods() => Place::Node(node.clone()),
            _ if new.namespace.is_empty() => Place::All(new.storage),
            _ => Place::Namespace(new.storage, new.namespace.clone()),
        };
        self.next += 1;
        let id = self.next;
        self.by_place.entry(place.hash()).or_default().insert(id);
        self.by_stream.insert((new.client, new.stream), id);
        self.deadlines.insert((new.deadline, id));
        if !new.ready.is_empty() {
            self.dirty.insert(id);
        }
        let watcher = Watcher {
            client: new.client,
            stream: new.stream,
            resource: new.resource,
            namespace: new.namespace,
            filter: new.filter,
            form: new.form,
            bookmarks: new.bookmarks,
            deadline: new.deadline,
            ready: new.ready,
            told: new.told,
            place,
        };
        self.all.insert(id, watcher);
        id
    }

    pub fn remove(&mut self, id: WatcherId) -> Option<Watcher> {
        let watcher = self.all.remove(&id)?;
        self.by_stream.remove(&(watcher.client, watcher.stream));
        self.deadlines.remove(&(watcher.deadline, id));
        self.dirty.remove(&id);
        let place = watcher.place.hash();
        if let Some(ids) = self.by_place.get_mut(&place) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_place.remove(&place);
            }
        }
        Some(watcher)
    }

    pub fn by_stream(&self, client: Addr, stream: StreamId) -> Option<WatcherId> {
        self.by_stream.get(&(client, stream)).copied()
    }
    /// The watches of a client that is gone.
    pub fn of_client(&self, client: Addr) -> Vec<WatcherId> {
        self.by_stream.range((client, 0)..=(client, StreamId::MAX)).map(|(_, id)| *id).collect()
    }
    /// The watches on a storage, by any index.
    pub fn of_storage(&self, storage: usize) -> Vec<WatcherId> {
        self.all.iter().filter(|(_, w)| w.resource.storage == Some(storage)).map(|(id, _)| *id).collect()
    }
    pub fn iter(&self) -> impl Iterator<Item = (&WatcherId, &Watcher)> {
        self.all.iter()
    }
    pub fn get_mut(&mut self, id: WatcherId) -> Option<&mut Watcher> {
        self.all.get_mut(&id)
    }
    pub fn len(&self) -> usize {
        self.all.len()
    }
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.get_min().map(|(at, _)| *at)
    }
    /// Watches whose time is over.
    pub fn overdue(&self, now: Time) -> Vec<WatcherId> {
        self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// Puts a change into the batches of those who want it. `true`: somebody has something to be sent.
    pub fn tell(&mut self, storage: usize, pods: bool, change: &Change) -> bool {
        let mut any = false;
        for place in Place::all_of(storage, pods, change) {
            for id in self.by_place.get(&place.hash()).into_iter().flatten() {
                let Some(watcher) = self.all.get_mut(id).filter(|w| w.place == place) else { continue };
                watcher.told = change.revision;
                let Some(event) = watcher.event(change) else { continue };
                if watcher.ready.is_empty() {
                    self.dirty.insert(*id);
                }
                watcher.ready.push(event);
                any = true;
            }
        }
        any
    }

    pub fn mark(&mut self, id: WatcherId) {
        self.dirty.insert(id);
    }
    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }
    /// The batches that are ready, in order of the watches' age.
    pub fn take_ready(&mut self) -> Vec<(Addr, StreamId, WatcherId, Vec<WatchEvent>)> {
        let dirty = std::mem::take(&mut self.dirty);
        let take = |id: &WatcherId| {
            let w = self.all.get_mut(id)?;
            Some((w.client, w.stream, *id, std::mem::take(&mut w.ready)))
        };
        dirty.iter().filter_map(take).collect()
    }
}

impl Watcher {
    /// A change as this watch sees it: coming into its selection is an addition, leaving it a deletion.
    pub fn event(&mut self, change: &Change) -> Option<WatchEvent> {
        let (kind, object) =
            if self.filter.is_everything() { (change.kind, change.object.clone()) } else { self.transition(change)? };
        Some(WatchEvent { kind, object: self.form.event_object(&self.resource, object, kind, change.at), cause: change.cause })
    }

    fn transition(&self, change: &Change) -> Option<(WatchEventType, Object)> {
        let strategy = &*self.resource.strategy;
        let before = change.prev.as_ref().is_some_and(|o| self.filter.matches(strategy, o));
        let after = change.kind != WatchEventType::Deleted && self.filter.matches(strategy, &change.object);
        match (before, after) {
            (true, true) => Some((WatchEventType::Modified, change.object.clone())),
            (false, true) => Some((WatchEventType::Added, change.object.clone())),
            (true, false) if change.kind == WatchEventType::Deleted => Some((WatchEventType::Deleted, change.object.clone())),
            (true, false) => {
                let last = change.prev.clone()?;
                Some((WatchEventType::Deleted, crate::cache::stamp(last, change.revision)))
            }
            (false, false) => None,
        }
    }
}

/// A watcher that is in no list: to find out what a watch would have been told of the past.
pub fn probe(new: &NewWatch) -> Watcher {
    Watcher {
        client: new.client,
        stream: new.stream,
        resource: new.resource.clone(),
        namespace: new.namespace.clone(),
        filter: new.filter.clone(),
        form: new.form,
        bookmarks: new.bookmarks,
        deadline: new.deadline,
        ready: Vec::new(),
        told: new.told,
        place: Place::All(new.storage),
    }
}
