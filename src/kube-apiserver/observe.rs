//! What a page may know of the watch cache without asking for all of it: counts, the newest objects, the pods of a node. Off the record, like
//! [`ApiServer::read`].

use std::rc::Rc;

use apimachinery::{Gvr, Object, WatchEventType, resources};
use base::{Set, Sym};
use sim::{Addr, MsgId};

use crate::cache::Cache;
use crate::server::ApiServer;
use crate::stages::Stages;

impl ApiServer {
    /// The stages of a recent write, by the id of its message.
    pub fn stages(&self, id: MsgId) -> Option<&Rc<Stages>> {
        self.ring.get(id)
    }
    pub fn watch_count(&self) -> usize {
        self.watchers.len()
    }
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }
    /// The newest revision known.
    pub fn revision(&self) -> i64 {
        self.revision
    }
    /// Client, resource and namespace of every open watch.
    pub fn open_watches(&self) -> impl Iterator<Item = (Addr, Gvr, &Rc<str>)> {
        self.watchers.iter().map(|(_, w)| (w.client, w.resource.gvr, &w.namespace))
    }

    fn cache_of(&self, gvr: Gvr) -> Option<(&Cache, usize)> {
        let storage = self.resource(gvr)?.storage?;
        Some((&self.caches[storage], storage))
    }

    /// The version in which a resource is served, of custom ones the first by priority.
    pub fn version_of(&self, group: &str, resource: &str) -> Option<Sym> {
        let built_in = self.scheme.resources.iter().find(|r| r.gvr.group == group && r.gvr.resource == resource);
        built_in.or_else(|| self.customs.preferred(group, resource)).map(|r| r.gvr.version)
    }

    /// How many requests have been answered since the process started.
    pub fn answered(&self) -> u64 {
        self.answered.values().sum()
    }

    /// How many objects of a resource exist.
    pub fn object_count(&self, gvr: Gvr) -> usize {
        self.cache_of(gvr).map_or(0, |(cache, _)| cache.objects.len())
    }

    /// Whether a namespace has any object of a resource.
    pub fn has_any(&self, gvr: Gvr, namespace: &str) -> bool {
        self.cache_of(gvr).is_some_and(|(cache, s)| cache.scope(&self.storage(s).scope(namespace)).next().is_some())
    }

    /// An object as the cache has it.
    pub fn object(&self, gvr: Gvr, namespace: &str, name: &str) -> Option<&Object> {
        self.peek(gvr, namespace, name)
    }

    /// The custom resources that are served, each in the first of its versions.
    pub fn custom_resources(&self) -> impl Iterator<Item = Gvr> {
        let all = self.customs.resources().into_iter().map(|r| r.gvr);
        all.filter(|gvr| self.version_of(&gvr.group.text(), &gvr.resource.text()) == Some(gvr.version))
    }

    /// The objects of a resource in a namespace (empty: everywhere), in order of their keys.
    pub fn objects(&self, gvr: Gvr, namespace: &str) -> impl Iterator<Item = &Object> {
        self.all(gvr, namespace)
    }

    /// The pods bound to a node, in order of their keys.
    pub fn pods_of_node(&self, node: &str) -> impl Iterator<Item = &Object> {
        self.pods_on(node)
    }

    /// How many pods of a namespace (empty: of all) are bound to a node.
    pub fn count_on_node(&self, node: &str, namespace: &str) -> usize {
        match self.cache_of(resources::pods()) {
            Some(_) if namespace.is_empty() => self.pods.len_on(node),
            Some((_, s)) => self.pods.count_on(node, &self.scheme.storages[s].scope(namespace)),
            None => 0,
        }
    }

    /// How many pods each node has, in order of names; nodes without a pod may be missing.
    pub fn pods_by_node(&self) -> impl Iterator<Item = (&Rc<str>, usize)> {
        self.pods.counts()
    }

    /// The pods that are bound to no node, in order of their keys, and how many there are.
    pub fn unbound_pods(&self) -> (impl Iterator<Item = &Object>, usize) {
        let cache = self.cache_of(resources::pods()).map(|(cache, _)| cache);
        let unbound = self.pods.unbound();
        (unbound.iter().filter_map(move |key| cache?.get(key)), unbound.len())
    }

    /// The revision of the newest change of a resource's objects.
    pub fn revision_of(&self, gvr: Gvr) -> i64 {
        self.cache_of(gvr).map_or(0, |(cache, _)| cache.changed_at())
    }

    /// The objects changed last, newest first, at most `limit`. Where the window of changes does not reach back so far, all others
    /// follow, in order of their keys and whatever their number.
    pub fn newest(&self, gvr: Gvr, limit: usize) -> Vec<Object> {
        let Some((cache, _)) = self.cache_of(gvr) else { return Vec::new() };
        let mut seen = Set::default();
        let mut newest = Vec::new();
        for change in cache.changes_from_newest() {
            if newest.len() == limit {
                return newest;
            }
            if seen.insert(change.key.clone()) && change.kind != WatchEventType::Deleted {
                newest.push(change.object.clone());
            }
        }
        newest.extend(cache.objects.iter().filter(|(key, _)| !seen.contains(*key)).map(|(_, object)| object.clone()));
        newest
    }
}
