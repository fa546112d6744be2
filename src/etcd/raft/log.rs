//! The log of a node: what is kept of it, what is on the disk, what is committed, what is applied.
//!
//! Entries before `first_index` are gone; of the last of these the term is still known, because the next append is compared
//! with it. Models `raft/log.go` with its storage: the value itself is the storage, and `stable` says how much of it is on
//! the disk.

use base::Vector;
use etcd_api::raftpb::{Entry, EntryData, Snapshot, SnapshotMetadata};
use serde::{Deserialize, Serialize};

use super::persistent;

/// A node's log. Clone is O(1).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(
    serialize = "D: Serialize + Clone, S: Serialize",
    deserialize = "D: Deserialize<'de> + Clone, S: Deserialize<'de>"
))]
pub struct Log<D: Clone, S> {
    #[serde(with = "persistent")]
    entries: Vector<Entry<D>>,
    /// Of the entry just before the first one kept.
    before: (u64, u64),
    /// The newest snapshot that can be sent to others.
    snapshot: Option<Snapshot<S>>,
    /// Came from a leader and is not yet on the disk.
    incoming: bool,
    pub committed: u64,
    pub applied: u64,
    /// The last entry that is on the disk.
    pub stable: u64,
}

impl<D: Clone, S: Clone> Log<D, S> {
    /// An empty log that begins after a snapshot's entry.
    pub fn after(metadata: &SnapshotMetadata) -> Log<D, S> {
        Log {
            entries: Vector::new(),
            before: (metadata.index, metadata.term),
            snapshot: None,
            incoming: false,
            committed: metadata.index,
            applied: metadata.index,
            stable: metadata.index,
        }
    }

    pub fn first_index(&self) -> u64 {
        self.before.0 + 1
    }
    pub fn last_index(&self) -> u64 {
        self.before.0 + self.entries.len() as u64
    }
    pub fn last_term(&self) -> u64 {
        self.entries.last().map_or(self.before.1, |e| e.term)
    }
    pub fn get(&self, index: u64) -> Option<&Entry<D>> {
        self.entries.get(index.checked_sub(self.first_index())? as usize)
    }
    /// The term of an entry; `None`: compacted, or not there yet.
    pub fn term(&self, index: u64) -> Option<u64> {
        if index == self.before.0 { Some(self.before.1) } else { self.get(index).map(|e| e.term) }
    }
    pub fn entries(&self) -> &Vector<Entry<D>> {
        &self.entries
    }

    /// Entries `low..=high`, at most `limit`.
    pub fn slice(&self, low: u64, high: u64, limit: usize) -> Vec<Entry<D>> {
        let skip = low.saturating_sub(self.first_index()) as usize;
        let len = (high + 1).saturating_sub(low.max(self.first_index())) as usize;
        self.entries.range(skip.min(self.entries.len())..).take(len.min(limit)).cloned().collect()
    }

    /// Whether somebody whose log ends there has at least what this one has.
    pub fn is_up_to_date(&self, index: u64, term: u64) -> bool {
        (term, index) >= (self.last_term(), self.last_index())
    }

    pub fn push(&mut self, term: u64, data: EntryData<D>) -> u64 {
        let index = self.last_index() + 1;
        self.entries.push_back(Entry { term, index, data });
        index
    }

    /// Takes a leader's entries, which follow one that agrees. What contradicts them goes. Returns the last index they cover;
    /// `None`: they contradict what is committed.
    pub fn append(&mut self, previous: u64, entries: &[Entry<D>]) -> Option<u64> {
        for entry in entries {
            match self.term(entry.index) {
                Some(term) if term == entry.term => continue,
                Some(_) if entry.index <= self.committed => return None,
                Some(_) => self.truncate(entry.index),
                None => {}
            }
            self.entries.push_back(entry.clone());
        }
        Some(previous + entries.len() as u64)
    }

    /// Drops the entries from `index` on.
    fn truncate(&mut self, index: u64) {
        self.entries.truncate((index - self.first_index()) as usize);
        self.stable = self.stable.min(index - 1);
    }

    /// The last index up to `index` whose term is at most `term`: where two logs may agree. (0 if that part is compacted.)
    pub fn find_conflict_by_term(&self, index: u64, term: u64) -> (u64, u64) {
        let mut i = index.min(self.last_index());
        loop {
            match self.term(i) {
                Some(t) if t > term && i > 0 => i -= 1,
                Some(t) => return (i, t),
                None => return (i, 0),
            }
        }
    }

    /// False: what is committed elsewhere is not in this log.
    pub fn commit_to(&mut self, index: u64) -> bool {
        self.committed = self.committed.max(index.min(self.last_index()));
        index <= self.last_index()
    }

    /// The snapshot that others may be sent.
    pub fn snapshot(&self) -> Option<&Snapshot<S>> {
        self.snapshot.as_ref()
    }
    pub fn set_snapshot(&mut self, snapshot: Option<Snapshot<S>>) {
        self.snapshot = snapshot;
    }
    /// A leader's snapshot that waits to be taken over.
    pub fn incoming(&self) -> Option<&Snapshot<S>> {
        self.snapshot.as_ref().filter(|_| self.incoming)
    }

    /// Replaces everything by a leader's snapshot.
    pub fn restore(&mut self, snapshot: Snapshot<S>) {
        let metadata = &snapshot.metadata;
        self.entries = Vector::new();
        self.before = (metadata.index, metadata.term);
        self.committed = metadata.index;
        self.stable = metadata.index;
        self.snapshot = Some(snapshot);
        self.incoming = true;
    }
    /// The leader's snapshot is on the disk and applied.
    pub fn restored(&mut self) {
        if let Some(snapshot) = self.snapshot.take_if(|_| self.incoming) {
            self.applied = self.applied.max(snapshot.metadata.index);
        }
        self.incoming = false;
    }

    /// Forgets the entries up to `index`, which are applied.
    pub fn compact(&mut self, index: u64) {
        let index = index.min(self.applied);
        let Some(term) = self.term(index).filter(|_| index >= self.first_index()) else { return };
        self.entries.take_front((index - self.before.0) as usize);
        self.before = (index, term);
    }

    /// What a crash leaves: nothing that wasn't on the disk.
    pub fn crash(&mut self, commit: u64) {
        assert!(!self.incoming, "a leader's snapshot is taken over in one piece");
        self.entries.truncate((self.stable - self.before.0) as usize);
        self.committed = commit.max(self.before.0);
        self.applied = self.applied.min(self.committed);
        self.snapshot = None;
    }
}
