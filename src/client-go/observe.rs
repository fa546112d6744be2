//! What a loop looks like from outside, and the hand on it. For the page: nothing here happens in a real cluster.

use std::fmt::Display;
use std::rc::Rc;

use base::Time;
use sim::MsgId;

use crate::workqueue::WorkQueue;

/// The token of the timer by which a loop that was steered looks at its queue again: no [`crate::Timers`] gives it.
pub const NUDGE: u64 = 0;

/// What a debugger does to a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Takes no item from its queue any more; what is under way goes on.
    Hold,
    /// As before.
    Release,
    /// Takes exactly one item, held or not.
    Step,
}

/// An item of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueItem {
    pub key: Rc<str>,
    /// The message because of which it was queued.
    pub cause: MsgId,
    /// When it comes to the end of the queue; `None`: it waits there already.
    pub due: Option<Time>,
    /// How often it has failed in a row.
    pub retries: u32,
}

/// A work queue as the page sees it: at most so many items of each kind as were asked for, and how many there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueView {
    /// In order.
    pub waiting: Vec<QueueItem>,
    pub waiting_count: usize,
    /// By the time at which they are due.
    pub delayed: Vec<QueueItem>,
    pub delayed_count: usize,
    /// Being worked on, and queued again meanwhile: these wait until that is over.
    pub again: Vec<QueueItem>,
}

impl<K: Ord + Clone + Display> WorkQueue<K> {
    /// The queue as it is, at most `limit` items of each kind.
    pub fn view(&self, limit: usize) -> QueueView {
        let item = |key: &K, due: Option<Time>| QueueItem {
            key: key.to_string().into(),
            cause: self.cause_of(key),
            due,
            retries: self.num_requeues(key),
        };
        QueueView {
            waiting: self.waiting().take(limit).map(|key| item(key, None)).collect(),
            waiting_count: self.len(),
            delayed: self.delayed().take(limit).map(|(at, key)| item(key, Some(*at))).collect(),
            delayed_count: self.delayed_count(),
            again: self.queued_again().take(limit).map(|key| item(key, None)).collect(),
        }
    }
}
