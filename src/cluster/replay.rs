//! The way to a saved moment, in slices: as it was, message by message; or, where that is not possible, by the clock.

use base::Time;

use crate::bottle::Bottle;
use crate::save::Moment;

/// A replay under way. The bottle is one of [`Moment::config`], fresh at the beginning and touched by nobody else.
#[derive(Clone, Debug)]
pub struct Replay {
    moment: Moment,
    /// Inputs given so far.
    next: usize,
    /// So far every input came at its very message.
    exact: bool,
}

impl Replay {
    /// `same_release`: the moment was made by this very build, so that counts of messages hold.
    pub fn new(moment: Moment, same_release: bool) -> Replay {
        Replay { moment, next: 0, exact: same_release }
    }

    pub fn moment(&self) -> &Moment {
        &self.moment
    }

    /// Handles at most `budget` messages. True: the moment is reached.
    pub fn run(&mut self, bottle: &mut Bottle, budget: u64) -> bool {
        let limit = bottle.head().events.saturating_add(budget);
        loop {
            let input = self.moment.inputs.get(self.next).cloned();
            let (at, events) = input.as_ref().map_or((self.moment.at, self.moment.events), |i| (i.at, i.events));
            if !self.reach(bottle, at, events, limit) {
                return false;
            }
            let Some(logged) = input else { return true };
            bottle.input(logged.input);
            self.next += 1;
        }
    }

    /// Goes to the message of this number, which must be there by `at`. False: the limit came first.
    fn reach(&mut self, bottle: &mut Bottle, at: Time, events: u64, limit: u64) -> bool {
        while self.exact && bottle.head().events < events && bottle.head().queue.peek().is_some_and(|t| t <= at) {
            if bottle.head().events >= limit {
                return false;
            }
            bottle.step();
        }
        // The count can't be met: from here the clock alone tells when an input comes.
        let skips = bottle.head().queue.peek().is_some_and(|t| t < at);
        self.exact &= bottle.head().events == events && !skips;
        let budget = if self.exact { 0 } else { limit.saturating_sub(bottle.head().events) };
        if !self.exact {
            return bottle.run_until(at, budget);
        }
        bottle.advance_to(at);
        true
    }

    /// How much of the way is done, in thousandths.
    pub fn permille(&self, bottle: &Bottle) -> u32 {
        let (done, all) = match self.exact {
            true => (bottle.head().events as f64, self.moment.events as f64),
            false => {
                let span = |t: Time| t.since(self.moment.epoch).0 as f64;
                (span(bottle.head().now()), span(self.moment.at))
            }
        };
        if all <= 0.0 { 1000 } else { (done / all * 1000.0).clamp(0.0, 1000.0) as u32 }
    }

    /// Whether the bottle's head is the very moment.
    pub fn met(&self, bottle: &Bottle) -> bool {
        bottle.head().digest() == self.moment.digest
    }
}
