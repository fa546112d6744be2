//! Waits that double per key and are forgotten after a quiet time. Models `client-go/util/flowcontrol.Backoff`.

use base::{Duration, Time};

const INITIAL: Duration = Duration::from_secs(10);
const MAX: Duration = Duration::from_secs(300);

/// The wait of one key.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    delay: Duration,
    updated: Time,
}

impl Backoff {
    pub fn delay(&self) -> Duration {
        self.delay
    }
    /// Twice the wait, or the first one if the key was quiet for long at `event`.
    pub fn next(&mut self, event: Time, now: Time) {
        let quiet = event.since(self.updated) > MAX * 2;
        self.delay = if self.delay == Duration::ZERO || quiet { INITIAL } else { (self.delay * 2).min(MAX) };
        self.updated = now;
    }
    /// How long the key still has to wait, counted from `event`.
    pub fn rest(&self, event: Time, now: Time) -> Option<Duration> {
        if self.delay == Duration::ZERO || event.since(self.updated) > MAX * 2 {
            return None;
        }
        let rest = self.delay - now.since(event);
        (rest > Duration::ZERO).then_some(rest)
    }
    /// The same, counted from the last failure.
    pub fn rest_since_update(&self, now: Time) -> Option<Duration> {
        self.rest(self.updated, now)
    }
}
