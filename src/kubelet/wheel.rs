//! All timers of one kubelet behind a single timer of the simulation: nothing runs between two due times.

use base::{Duration, Map, Time};
use sim::Outbox;

/// Due times and what they are for.
#[derive(Clone, Debug)]
pub struct Wheel<T: Clone> {
    due: Map<(Time, u64), T>,
    next: u64,
    /// When the set timer fires, and its token.
    armed: Option<(Time, u64)>,
}

/// Tokens of the wheel have this bit, so that they are told apart from those of informers.
const MARK: u64 = 1 << 63;

impl<T: Clone> Default for Wheel<T> {
    fn default() -> Wheel<T> {
        Wheel { due: Map::default(), next: 0, armed: None }
    }
}

impl<T: Clone> Wheel<T> {
    /// Notes that `what` is due after `delay`.
    pub fn after(&mut self, delay: Duration, what: T, now: Time) {
        self.next += 1;
        self.due.insert((now + delay, self.next), what);
    }
    pub fn owns(&self, token: u64) -> bool {
        token & MARK != 0
    }
    /// The set timer fired: the next thing that is due, if any.
    pub fn pop(&mut self, now: Time) -> Option<T> {
        let key = self.due.get_min().map(|(key, _)| *key).filter(|(at, _)| *at <= now)?;
        self.due.remove(&key)
    }
    /// A timer's token came back.
    pub fn fired(&mut self, token: u64) {
        if self.armed.is_some_and(|(_, t)| t == token) {
            self.armed = None;
        }
    }
    /// Sets the timer for the earliest due time, unless it is set for that or earlier.
    pub fn arm(&mut self, out: &mut Outbox) {
        let Some(((at, _), _)) = self.due.get_min() else { return };
        let at = *at;
        if self.armed.is_some_and(|(set, _)| set <= at) {
            return;
        }
        self.next += 1;
        let token = MARK | self.next;
        self.armed = Some((at, token));
        out.timer(at.since(out.now), token);
    }
}
