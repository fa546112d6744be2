//! Counts of a FlowSchema, for `/metrics`. Models `util/flowcontrol/metrics`.

use base::Duration;

use super::state::Reason;

/// Upper bounds in microseconds of the histograms of time.
pub const TIMES: [i64; 13] =
    [0, 5_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 15_000_000, 30_000_000];
/// Upper bounds of `request_queue_length_after_enqueue`.
pub const LENGTHS: [i64; 8] = [0, 10, 25, 50, 100, 250, 500, 1000];
/// Upper bounds of `work_estimated_seats`.
pub const SEATS: [i64; 8] = [1, 2, 4, 8, 16, 32, 64, 100];

/// Not cumulative; the last holds what is above all bounds.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<const N: usize> {
    pub counts: [u64; N],
    pub above: u64,
    pub sum: i64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Histogram<N> {
        Histogram { counts: [0; N], above: 0, sum: 0 }
    }
}

impl<const N: usize> Histogram<N> {
    pub fn add(&mut self, bounds: &[i64; N], value: i64) {
        match bounds.iter().position(|b| value <= *b) {
            Some(i) => self.counts[i] += 1,
            None => self.above += 1,
        }
        self.sum += value;
    }
    pub fn is_empty(&self) -> bool {
        self.above == 0 && self.counts.iter().all(|n| *n == 0)
    }
}

/// What happened to the requests of a schema.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub dispatched: u64,
    pub refused: [u64; 4],
    pub executing: i64,
    pub seats: i64,
    pub waiting: i64,
    pub seats_waiting: i64,
    /// Waits of those that were executed, and of those that weren't.
    pub waited: Histogram<13>,
    pub waited_in_vain: Histogram<13>,
    pub regular: Histogram<13>,
    pub watches: Histogram<13>,
    pub lengths: Histogram<8>,
    pub widths: Histogram<8>,
}

impl Tally {
    /// A request waits in a queue that is so long now.
    pub fn queued(&mut self, seats: i64, length: usize) {
        self.waiting += 1;
        self.seats_waiting += seats;
        self.lengths.add(&LENGTHS, length as i64);
    }

    pub fn leaves_queue(&mut self, seats: i64) {
        self.waiting -= 1;
        self.seats_waiting -= seats;
    }

    /// A request has its seats, at once or after a wait.
    pub fn begins(&mut self, seats: i64, waited: Option<Duration>) {
        if waited.is_some() {
            self.leaves_queue(seats);
        }
        self.waited.add(&TIMES, waited.unwrap_or_default().as_micros());
        self.widths.add(&SEATS, seats);
        self.dispatched += 1;
        self.executing += 1;
        self.seats += seats;
    }

    pub fn ends(&mut self, seats: i64, took: Duration, is_watch: bool) {
        self.executing -= 1;
        self.seats -= seats;
        let histogram = if is_watch { &mut self.watches } else { &mut self.regular };
        histogram.add(&TIMES, took.as_micros());
    }

    /// Whether any request has come.
    pub fn was_used(&self) -> bool {
        self.dispatched > 0 || self.waiting > 0 || self.refused.iter().any(|n| *n > 0)
    }

    /// Nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.executing == 0 && self.waiting == 0
    }

    pub fn refused(&mut self, reason: Reason, waited: Option<Duration>) {
        self.refused[reason as usize] += 1;
        self.waited_in_vain.add(&TIMES, waited.unwrap_or_default().as_micros());
    }
}
