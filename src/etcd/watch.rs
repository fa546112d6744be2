//! Watches: who is told of which keys. Models `mvcc/watchable_store.go`.
//!
//! Watchers are found by the first two segments of a key (`/registry/pods/`), so that a change touches only those who may care.
//! A watch that begins in the past gets its backlog at once and is synced from then on.

use std::rc::Rc;

use base::{Map, Set};
use etcd_api::{Event, KeyRange, WatchRequest};
use sim::Addr;

use crate::store::Entry;

/// A watch: its client, and the number the client gave it.
pub type WatcherId = (Addr, u64);

#[derive(Clone, Debug)]
pub struct Watcher {
    pub range: KeyRange,
    pub prev_kv: bool,
    /// Revision of the batch sent last.
    pub sent: i64,
}

/// All watches of a member.
#[derive(Clone, Debug, Default)]
pub struct Watchers {
    all: Map<WatcherId, Watcher>,
    by_bucket: Map<Rc<str>, Set<WatcherId>>,
}

/// `/registry/pods/` of `/registry/pods/default/web`; all of a key with fewer segments.
pub fn bucket(key: &str) -> &str {
    key.match_indices('/').nth(2).map_or("", |(i, _)| &key[..=i])
}

/// The bucket that a range lies in; empty if it reaches over several.
fn bucket_of(range: &KeyRange) -> &str {
    let bucket = bucket(&range.key);
    match range.end.as_deref() {
        None => bucket,
        // The end of a prefix differs from it in the last character only.
        Some(end) if end.len() >= bucket.len() && end[..bucket.len()] == *bucket => bucket,
        Some(end) if *range.key == *bucket && *end == *KeyRange::prefix_end(bucket) => bucket,
        Some(_) => "",
    }
}

impl Watchers {
    pub fn add(&mut self, client: Addr, request: &WatchRequest, sent: i64) {
        let id = (client, request.watch_id);
        self.by_bucket.entry(bucket_of(&request.range).into()).or_default().insert(id);
        self.all.insert(id, Watcher { range: request.range.clone(), prev_kv: request.prev_kv, sent });
    }

    pub fn remove(&mut self, id: WatcherId) -> bool {
        let Some(watcher) = self.all.remove(&id) else { return false };
        let bucket = bucket_of(&watcher.range);
        if let Some(ids) = self.by_bucket.get_mut(bucket) {
            ids.remove(&id);
        }
        true
    }

    /// Forgets a client whose connection is gone.
    pub fn remove_client(&mut self, client: Addr) {
        for id in self.of(client) {
            self.remove(id);
        }
    }

    pub fn of(&self, client: Addr) -> Vec<WatcherId> {
        self.all.range((client, 0)..=(client, u64::MAX)).map(|(id, _)| *id).collect()
    }

    /// Every watch with the revision of its last batch.
    pub fn all(&self) -> Vec<(WatcherId, i64)> {
        self.all.iter().map(|(id, w)| (*id, w.sent)).collect()
    }

    pub fn peek(&self, id: WatcherId) -> Option<&Watcher> {
        self.all.get(&id)
    }

    pub fn get_mut(&mut self, id: WatcherId) -> Option<&mut Watcher> {
        self.all.get_mut(&id)
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Who may care about a key.
    pub fn candidates(&self, key: &str) -> impl Iterator<Item = WatcherId> {
        let of = |bucket: &str| self.by_bucket.get(bucket).into_iter().flatten().copied();
        of(bucket(key)).chain(of(""))
    }
}

impl Watcher {
    /// The event of a change, if this watch is about its key.
    pub fn event(&self, entry: &Entry) -> Option<Event> {
        self.range.contains(&entry.key).then(|| Event {
            kv: entry.kv.clone(),
            key: entry.key.clone(),
            mod_revision: entry.revision,
            prev_kv: entry.prev.clone().filter(|_| self.prev_kv),
            cause: entry.cause,
        })
    }
}
