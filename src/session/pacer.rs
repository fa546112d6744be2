//! Turns wall time into virtual time. *Auto* is slow while a chain of effects that the user (or the boot) caused is in flight, so
//! that each message can be seen; between chains it is real time, and faster where nothing but heartbeats happens.

use std::collections::BTreeSet;

use base::{Duration, Time};
use cluster::{Record, is_heartbeat};
use protocol::Speed;
use sim::Payload;

/// Auto's speed while a chain is in flight, in thousandths.
const CHAIN_MILLI: i64 = 20;
/// How fast a stretch without messages inside a chain passes: this part of the rest per frame, of so many ms.
const GAP_PART: i64 = 8;
const FRAME_MS: f64 = 16.0;
/// A timer that fires later than this ends a chain: it is a new beginning.
const LONGEST_LINK: Duration = Duration::from_millis(2_500);
/// Wall time after the last chain before idle time runs faster, in ms.
const IDLE_AFTER_MS: f64 = 6_000.0;
/// The boot plays in about that much wall time, in ms.
pub(crate) const BOOT_MS: f64 = 5_200.0;
/// Messages of one slice, if there is time for so many, of a boot that is longer than was thought.
pub(crate) const LATE: u64 = 4_096;

/// The pacer.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    pub speed: Speed,
    pub paused: bool,
    /// Ids of messages that belong to the chain in flight.
    chain: BTreeSet<u64>,
    /// The chain's last known arrival.
    chain_until: Time,
    last_chain_ms: f64,
    /// The boot that is being played: messages still to come, and when it must be over.
    pub boot: Option<BootPlay>,
    last_ms: Option<f64>,
    /// Virtual microseconds owed (fractions of a message are not lost).
    owed: i64,
    /// A command in a terminal waits for time to pass: no faster than real time.
    pub watched: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BootPlay {
    pub events_left: u64,
    pub started_ms: Option<f64>,
}

/// What to do in this slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Slice {
    Nothing,
    /// Handle so many messages, whenever they are.
    Events(u64),
    /// Run to this time.
    Until(Time),
    /// As much as fits into the slice.
    Max,
}

impl Pacer {
    pub fn new() -> Pacer {
        Pacer {
            speed: Speed::Auto,
            paused: false,
            chain: BTreeSet::new(),
            chain_until: Time(i64::MIN / 2),
            last_chain_ms: 0.0,
            boot: None,
            last_ms: None,
            owed: 0,
            watched: false,
        }
    }

    /// The user did something that became message `id`: what follows from it is the chain.
    pub fn begin_chain(&mut self, id: u64, now: Time) {
        if self.chain.len() > 20_000 {
            self.chain.clear();
        }
        self.chain.insert(id);
        self.chain_until = self.chain_until.max(now + Duration::from_millis(5));
    }

    /// Looks at a message that set out: does it belong to the chain?
    pub fn notice(&mut self, record: &Record) {
        let message = &record.message;
        if !self.chain.contains(&message.cause.0) || self.chain.len() > 60_000 {
            return;
        }
        let timer = matches!(message.payload, Payload::Timer(_));
        if (timer && record.arrives.since(message.sent) > LONGEST_LINK) || is_heartbeat(message) {
            return;
        }
        self.chain.insert(message.id.0);
        if !timer || record.arrives.since(message.sent) < Duration::from_millis(600) {
            self.chain_until = self.chain_until.max(record.arrives);
        }
    }

    pub fn is_chain_in_flight(&self, now: Time) -> bool {
        now < self.chain_until
    }

    /// Time was moved from outside (a seek, a step): nothing is owed.
    pub fn reset(&mut self) {
        self.last_ms = None;
        self.owed = 0;
    }

    /// What to do now. `next`: when the next message arrives.
    pub fn slice(&mut self, wall_ms: f64, now: Time, next: Option<Time>) -> Slice {
        let elapsed_ms = self.last_ms.map_or(16.0, |last| (wall_ms - last).clamp(0.0, 100.0));
        self.last_ms = Some(wall_ms);
        if self.paused {
            return Slice::Nothing;
        }
        if let Some(boot) = &mut self.boot {
            let started = *boot.started_ms.get_or_insert(wall_ms);
            let left = BOOT_MS - (wall_ms - started);
            if left <= 0.0 {
                // What is still to come comes as fast as it can: nobody waits for a boot message by message.
                return Slice::Events(LATE);
            }
            let frames = (left / elapsed_ms.max(4.0)).max(1.0);
            return Slice::Events(((boot.events_left as f64 / frames).ceil() as u64).clamp(1, boot.events_left.max(1)));
        }
        let milli = match self.speed {
            Speed::Max => return Slice::Max,
            Speed::Milli(milli) => i64::from(milli),
            Speed::Auto if self.is_chain_in_flight(now) => {
                self.last_chain_ms = wall_ms;
                let gap = next.map_or(Duration::ZERO, |n| n.since(now));
                if gap > Duration::from_millis(4) {
                    // Within a chain, a wait (a sandbox being made) passes quickly but visibly.
                    self.owed = 0;
                    // A slow machine has fewer and longer frames: nobody waits longer there.
                    let frames = (elapsed_ms / FRAME_MS).clamp(0.0, GAP_PART as f64);
                    return Slice::Until(now + Duration(((gap.0 / GAP_PART) as f64 * frames) as i64).max(Duration(2_000)));
                }
                CHAIN_MILLI
            }
            Speed::Auto if self.watched || wall_ms - self.last_chain_ms < IDLE_AFTER_MS => 1_000,
            Speed::Auto => 5_000,
        };
        self.owed += (elapsed_ms * milli as f64) as i64;
        let until = now + Duration(self.owed);
        self.owed = 0;
        Slice::Until(until)
    }

    /// The speed that this comes to, in thousandths, for the clock.
    pub fn actual_milli(&self, wall_ms: f64, now: Time) -> u64 {
        match self.speed {
            _ if self.paused => 0,
            Speed::Milli(milli) => milli.into(),
            Speed::Max => 0,
            Speed::Auto if self.is_chain_in_flight(now) => CHAIN_MILLI as u64,
            Speed::Auto if self.watched || wall_ms - self.last_chain_ms < IDLE_AFTER_MS => 1_000,
            Speed::Auto => 5_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_longer_than_thought_is_not_played_message_by_message() {
        let mut pacer = Pacer::new();
        pacer.boot = Some(BootPlay { events_left: 260, started_ms: None });
        let mut slices = Vec::new();
        for frame in 0..400_u32 {
            let Slice::Events(n) = pacer.slice(f64::from(frame) * 16.0, Time::from_secs(1), None) else { panic!("not a boot") };
            if let Some(boot) = &mut pacer.boot {
                boot.events_left = boot.events_left.saturating_sub(n);
            }
            slices.push(n);
        }
        assert!(slices[..320].iter().all(|n| (1..=3).contains(n)), "{slices:?}");
        assert_eq!(slices[330..].iter().min(), Some(&LATE));
    }

    #[test]
    fn auto_is_slow_in_a_chain_and_quick_over_its_waits() {
        let mut pacer = Pacer::new();
        let now = Time::from_secs(100);
        pacer.slice(0.0, now, None);
        pacer.begin_chain(7, now);
        let soon = pacer.slice(16.0, now, Some(now + Duration::from_millis(1)));
        assert_eq!(soon, Slice::Until(now + Duration(320)));
        let far = pacer.slice(32.0, now, Some(now + Duration::from_millis(400)));
        assert_eq!(far, Slice::Until(now + Duration::from_millis(50)));
        pacer.paused = true;
        assert_eq!(pacer.slice(48.0, now, None), Slice::Nothing);
    }
}
