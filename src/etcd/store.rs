//! Keys and revisions: etcd's `mvcc`.
//!
//! Upstream keeps a B-tree in memory from key to its generations of revisions and a B+ tree on disk from revision to value.
//! Here both are persistent: `keys` is an ordered map (`base::Map`, a B+ tree whose nodes are shared, so that cloning the store is
//! O(1) and a put copies one path of about four nodes), and `log` holds one entry per changed key in order of revision. An entry
//! names the value before it, so an old revision of a key is found by walking back from its newest entry, and freeing history
//! means dropping the front of the log and nothing else: what is still current is held by `keys`.

mod observe;

use std::ops::Bound;
use std::rc::Rc;

use base::{Digest, TextMap, Time, Vector, hash64};
use etcd_api::{Compare, CompareResult, Error, Key, KeyRange, KeyValue, RangeRequest, RangeResponse, Stored, Target};

use crate::content;

pub use observe::{EntrySeen, NodeSeen};

/// A key's newest state.
#[derive(Clone, Debug)]
struct Slot {
    /// `None`: deleted, not yet compacted.
    kv: Option<Rc<KeyValue>>,
    /// Position of its newest entry in the log (counted from the first entry ever).
    last: u64,
    /// Estimated bytes of the value.
    size: i64,
}

/// One change of one key.
#[derive(Clone, Debug)]
pub struct Entry {
    pub revision: i64,
    pub at: Time,
    pub key: Key,
    /// `None`: deleted.
    pub kv: Option<Rc<KeyValue>>,
    pub prev: Option<Rc<KeyValue>>,
    /// Position of the key's entry before this one.
    prev_position: u64,
    pub cause: u64,
}

/// All keys with their history since the last compaction. Clone is O(1).
#[derive(Clone, Debug)]
pub struct Store {
    revision: i64,
    compacted: i64,
    keys: TextMap<Key, Slot>,
    log: Vector<Entry>,
    /// How many entries compaction has dropped: the position of `log[0]`.
    first: u64,
    live: usize,
    in_use: i64,
    digest: u64,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            revision: 1,
            compacted: 0,
            keys: TextMap::default(),
            log: Vector::default(),
            first: 0,
            live: 0,
            in_use: 0,
            digest: 0,
        }
    }
}

/// What a transaction is made with.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub revision: i64,
    pub at: Time,
    pub cause: u64,
}

impl Store {
    /// A store that begins with these keys, in order, at a revision: what came before counts as compacted.
    pub fn restored(revision: i64, kvs: Vec<Rc<KeyValue>>) -> Store {
        let mut store = Store { revision, compacted: revision, ..Store::default() };
        for kv in kvs {
            let (hash, size) = content::change(&kv.value, None);
            store.roll(&kv.key, hash, kv.mod_revision);
            (store.live, store.in_use) = (store.live + 1, store.in_use + size);
            // No entry of the log is its own: it stands before the first.
            store.keys.insert(kv.key.clone(), Slot { kv: Some(kv), last: 0, size });
        }
        store.first = 1;
        store
    }

    pub fn revision(&self) -> i64 {
        self.revision
    }
    pub fn compacted(&self) -> i64 {
        self.compacted
    }
    /// Keys that exist now.
    pub fn len(&self) -> usize {
        self.live
    }
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }
    /// Changes kept.
    pub fn log(&self) -> &Vector<Entry> {
        &self.log
    }
    /// Estimated bytes of the newest values.
    pub fn size_in_use(&self) -> i64 {
        self.in_use
    }
    /// A rolling hash over every change since the beginning.
    pub fn digest(&self) -> u64 {
        self.digest
    }
    pub fn get(&self, key: &str) -> Option<&Rc<KeyValue>> {
        self.keys.get(key)?.kv.as_ref()
    }

    /// The stamp of the next transaction; it takes effect with [`Store::commit`].
    pub fn next(&self, at: Time, cause: u64) -> Stamp {
        Stamp { revision: self.revision + 1, at, cause }
    }
    pub fn commit(&mut self, stamp: Stamp) {
        self.revision = stamp.revision;
    }

    /// Writes a key. Returns the key-value before it.
    pub fn put(&mut self, key: &Key, value: Stored, lease: i64, stamp: Stamp) -> Option<Rc<KeyValue>> {
        let position = self.first + self.log.len() as u64;
        let slot = self.keys.get_mut(&**key);
        let (prev, prev_position) = slot.as_ref().map_or((None, 0), |s| (s.kv.clone(), s.last));
        let (hash, bytes) = content::change(&value, prev.as_ref().map(|kv| &kv.value));
        let kv = Rc::new(KeyValue {
            key: prev.as_ref().map_or(key, |p| &p.key).clone(),
            value,
            create_revision: prev.as_ref().map_or(stamp.revision, |p| p.create_revision),
            mod_revision: stamp.revision,
            version: prev.as_ref().map_or(1, |p| p.version + 1),
            lease,
        });
        match slot {
            Some(slot) => {
                self.in_use += bytes;
                *slot = Slot { kv: Some(kv.clone()), last: position, size: slot.size + bytes };
            }
            None => {
                self.in_use += bytes;
                self.keys.insert(kv.key.clone(), Slot { kv: Some(kv.clone()), last: position, size: bytes });
            }
        }
        self.live += usize::from(prev.is_none());
        self.roll(&kv.key, hash, stamp.revision);
        let entry = Entry {
            revision: stamp.revision,
            at: stamp.at,
            key: kv.key.clone(),
            kv: Some(kv),
            prev: prev.clone(),
            prev_position,
            cause: stamp.cause,
        };
        self.log.push_back(entry);
        prev
    }

    /// Deletes a key. Returns what it was; `None`: there was none, nothing happened.
    pub fn delete(&mut self, key: &str, stamp: Stamp) -> Option<Rc<KeyValue>> {
        let position = self.first + self.log.len() as u64;
        let slot = self.keys.get_mut(key)?;
        let prev = slot.kv.take()?;
        let prev_position = std::mem::replace(&mut slot.last, position);
        self.in_use -= std::mem::take(&mut slot.size);
        self.live -= 1;
        self.roll(&prev.key, 0, stamp.revision);
        self.log.push_back(Entry {
            revision: stamp.revision,
            at: stamp.at,
            key: prev.key.clone(),
            kv: None,
            prev: Some(prev.clone()),
            prev_position,
            cause: stamp.cause,
        });
        Some(prev)
    }

    fn roll(&mut self, key: &str, content: u64, revision: i64) {
        let mut digest = Digest::new();
        digest.write_u64(self.digest);
        digest.write_u64(hash64(key.as_bytes()));
        digest.write_u64(revision as u64);
        digest.write_u64(content);
        self.digest = digest.finish();
    }

    pub fn keys_in(&self, range: &KeyRange) -> Vec<Key> {
        self.slots(range).filter(|(_, slot)| slot.kv.is_some()).map(|(key, _)| key.clone()).collect()
    }

    fn slots<'a>(&'a self, range: &'a KeyRange) -> impl Iterator<Item = (&'a Key, &'a Slot)> {
        let start = Bound::Included(&*range.key);
        let end = match range.end.as_deref() {
            None => Bound::Included(&*range.key),
            Some("\0") => Bound::Unbounded,
            Some(end) => Bound::Excluded(end),
        };
        // A range whose end is not after its start is empty in etcd, and a panic in the map.
        let empty = range.end.as_deref().is_some_and(|end| end != "\0" && *end <= *range.key);
        (!empty).then(|| self.keys.range::<_, str>((start, end))).into_iter().flatten()
    }

    /// Reads keys, now or at an old revision. `count` counts beyond the limit.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        if request.revision > self.revision {
            return Err(Error::FutureRevision);
        }
        if request.revision > 0 && request.revision < self.compacted {
            return Err(Error::Compacted);
        }
        let mut response = RangeResponse::default();
        for (_, slot) in self.slots(&request.range) {
            let Some(kv) = self.at(slot, request.revision) else { continue };
            response.count += 1;
            if request.count_only || (request.limit > 0 && response.count > request.limit) {
                continue;
            }
            response.kvs.push(kv.clone());
        }
        response.more = request.limit > 0 && response.count > request.limit;
        Ok(response)
    }

    /// The key-value of a slot as it was at `revision` (0: now).
    fn at<'a>(&'a self, slot: &'a Slot, revision: i64) -> Option<&'a Rc<KeyValue>> {
        let mut position = slot.last;
        let mut kv = slot.kv.as_ref();
        if revision == 0 {
            return kv;
        }
        while let Some(entry) = position.checked_sub(self.first).and_then(|i| self.log.get(i as usize)) {
            if entry.revision <= revision {
                break;
            }
            (kv, position) = (entry.prev.as_ref(), entry.prev_position);
            if kv.is_none() && entry.prev_position == 0 {
                break;
            }
        }
        kv
    }

    pub fn compare(&self, compare: &Compare) -> bool {
        let kv = self.get(&compare.key);
        let (have, want) = match compare.target {
            Target::Version(want) => (kv.map_or(0, |kv| kv.version), want),
            Target::CreateRevision(want) => (kv.map_or(0, |kv| kv.create_revision), want),
            Target::ModRevision(want) => (kv.map_or(0, |kv| kv.mod_revision), want),
            Target::Lease(want) => (kv.map_or(0, |kv| kv.lease), want),
        };
        match compare.result {
            CompareResult::Equal => have == want,
            CompareResult::Greater => have > want,
            CompareResult::Less => have < want,
            CompareResult::NotEqual => have != want,
        }
    }

    /// The changes from `revision` on, in order.
    pub fn changes_from(&self, revision: i64) -> impl Iterator<Item = &Entry> {
        let (mut low, mut high) = (0, self.log.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.log[middle].revision < revision { low = middle + 1 } else { high = middle }
        }
        self.log.range(low..)
    }

    /// Frees what is older than `revision`: the log up to it and keys whose deletion is in that part.
    pub fn compact(&mut self, revision: i64) -> Result<(), Error> {
        if revision > self.revision {
            return Err(Error::FutureRevision);
        }
        if revision <= self.compacted {
            return Err(Error::Compacted);
        }
        self.compacted = revision;
        while self.log.front().is_some_and(|e| e.revision < revision) {
            let Some(entry) = self.log.pop_front() else { break };
            let tombstone = entry.kv.is_none() && self.keys.get(&*entry.key).is_some_and(|s| s.last == self.first);
            if tombstone {
                self.keys.remove(&*entry.key);
            }
            self.first += 1;
        }
        Ok(())
    }
}
