//! Timers with a meaning: a token and what it stands for. Timers can't be cancelled; a forgotten one is ignored when it fires.

use base::{Duration, Map};
use sim::Outbox;

use crate::client::Ids;

/// The timers that one owner has set.
#[derive(Clone, Debug)]
pub struct Timers<T: Clone> {
    ids: Ids,
    set: Map<u64, T>,
}

impl<T: Clone> Timers<T> {
    /// The scope keeps the tokens of several owners in one process apart; it may equal a client's.
    pub fn new(scope: u16) -> Timers<T> {
        Timers { ids: Ids::new(scope), set: Map::default() }
    }
    /// Sets a timer. The token can be given to [`Timers::cancel`].
    pub fn after(&mut self, delay: Duration, meaning: T, out: &mut Outbox) -> u64 {
        let token = self.ids.next();
        self.set.insert(token, meaning);
        out.timer(delay, token);
        token
    }
    pub fn owns(&self, token: u64) -> bool {
        self.ids.owns(token)
    }
    /// What a timer that fired was for; `None` if it was cancelled or isn't ours.
    pub fn take(&mut self, token: u64) -> Option<T> {
        self.set.remove(&token)
    }
    pub fn cancel(&mut self, token: u64) {
        self.set.remove(&token);
    }
}
