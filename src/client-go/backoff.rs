//! Exponential backoff with jitter. Models `wait.Backoff` as reflectors and kubelets use it.

use base::{Duration, Seed, Time};

/// Grows with every failure up to a cap, and starts afresh after a quiet time.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    reset_after: Duration,
    /// Adds up to this many per cent of the delay.
    jitter_percent: u64,
    seed: Seed,
    draws: u64,
    current: Duration,
    last: Time,
}

impl Backoff {
    pub fn new(seed: Seed, initial: Duration, max: Duration, reset_after: Duration, jitter_percent: u64) -> Backoff {
        let last = Time(i64::MIN / 2);
        Backoff { initial, max, reset_after, jitter_percent, seed, draws: 0, current: Duration::ZERO, last }
    }
    /// 800 ms doubling to 30 s with full jitter, reset after two minutes: the reflector's.
    pub fn reflector(seed: Seed) -> Backoff {
        Backoff::new(seed, Duration::from_millis(800), Duration::from_secs(30), Duration::from_secs(120), 100)
    }
    /// The next delay.
    pub fn next(&mut self, now: Time) -> Duration {
        let quiet = now.since(self.last) > self.reset_after;
        self.last = now;
        self.current = match self.current {
            Duration::ZERO => self.initial,
            _ if quiet => self.initial,
            current => (current * 2).min(self.max),
        };
        self.draws += 1;
        let extra = self.current.as_micros() as u64 * self.jitter_percent / 100;
        self.current + Duration(self.seed.below(self.draws, extra.max(1)) as i64)
    }
    pub fn reset(&mut self) {
        self.current = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_cap_and_forgets() {
        let s = Duration::from_secs;
        let mut backoff = Backoff::new(Seed(1), s(1), s(4), s(100), 0);
        let delays: Vec<i64> = [0, 1, 2, 3, 200].map(|at| backoff.next(Time::from_secs(at)).as_secs()).into();
        assert_eq!(delays, [1, 2, 4, 4, 1]);
    }
}
