//! Wall time into virtual time: the one place of the native server that looks at a clock.

use std::time::Instant;

use base::{Duration, Time};

/// How fast virtual time runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many virtual seconds a second.
    Times(f64),
    /// As fast as it makes sense: a virtual minute a second, so that an idle cluster doesn't burn the processor.
    Max,
}

impl Speed {
    /// `1x`, `0.5x`, `60x`, `max`.
    pub fn parse(text: &str) -> Option<Speed> {
        if text == "max" {
            return Some(Speed::Max);
        }
        let times: f64 = text.trim_end_matches('x').parse().ok()?;
        (times.is_finite() && times > 0.0 && times <= 10_000.0).then_some(Speed::Times(times))
    }

    fn rate(self) -> f64 {
        match self {
            Speed::Times(n) => n,
            Speed::Max => 60.0,
        }
    }
}

/// Where virtual time should be.
pub struct Pacer {
    rate: f64,
    wall: Instant,
    virtual_base: Time,
}

impl Pacer {
    /// Starts at virtual time `now`.
    pub fn new(speed: Speed, now: Time) -> Pacer {
        Pacer { rate: speed.rate(), wall: Instant::now(), virtual_base: now }
    }

    /// The virtual time of this moment.
    pub fn target(&self) -> Time {
        self.virtual_base + Duration::from_secs_f64(self.wall.elapsed().as_secs_f64() * self.rate)
    }

    /// How long to wait until virtual time `at`.
    pub fn wait_for(&self, at: Time) -> std::time::Duration {
        let ahead = at.since(self.target()).as_secs_f64() / self.rate;
        std::time::Duration::from_secs_f64(ahead.max(0.0))
    }

    /// The cluster could not keep up (or the machine slept): virtual time goes on from where it is.
    pub fn rebase(&mut self, now: Time) {
        self.wall = Instant::now();
        self.virtual_base = now;
    }
}
