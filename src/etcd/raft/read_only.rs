//! Reads that wait until a majority has confirmed that the leader still leads. Models `raft/read_only.go` (`ReadOnlySafe`).

use base::{Set, Vector};
use serde::{Deserialize, Serialize};

use super::persistent;

/// A read on its way: nothing older than `index` may be answered for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingRead {
    pub context: u64,
    pub index: u64,
    /// The node that asked.
    pub from: u64,
    #[serde(with = "persistent")]
    pub acks: Set<u64>,
}

/// The queue of such reads, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ReadOnly {
    #[serde(with = "persistent")]
    queue: Vector<PendingRead>,
}

impl ReadOnly {
    pub fn add(&mut self, context: u64, index: u64, from: u64, me: u64) {
        if self.queue.iter().all(|r| r.context != context) {
            self.queue.push_back(PendingRead { context, index, from, acks: Set::from_iter([me]) });
        }
    }
    /// The newest read's context: confirming it confirms all before it. 0: none waits.
    pub fn last_context(&self) -> u64 {
        self.queue.last().map_or(0, |r| r.context)
    }
    /// Who has confirmed the read of this context.
    pub fn ack(&mut self, context: u64, from: u64) -> Option<&Set<u64>> {
        let at = self.queue.iter().position(|r| r.context == context)?;
        let read = self.queue.get_mut(at)?;
        read.acks.insert(from);
        Some(&read.acks)
    }
    /// Takes the reads up to this one.
    pub fn advance(&mut self, context: u64) -> Vec<PendingRead> {
        let Some(at) = self.queue.iter().position(|r| r.context == context) else { return Vec::new() };
        self.queue.take_front(at + 1)
    }
    pub fn clear(&mut self) {
        self.queue = Vector::new();
    }
}
