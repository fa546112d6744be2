//! The queues of one priority level and their fair service. Models `util/flowcontrol/fairqueuing/queueset`.
//!
//! Each queue has a point in *virtual* time up to which it has been served. Virtual time passes as fast as seats are used, divided by
//! the queues that want them; who is served next is the queue that has got least. What a request takes is guessed when it is sent
//! on its way ([`GUESS`]) and set right when it is done. Requests that found a free seat while nobody waited were in no queue.
//!
//! Work is counted in seats × nanoseconds. Left out: seats that a write takes after its answer for those who watch.

use base::{Duration, Map, Time, Vector};

/// How long a request is thought to take before it is known.
const GUESS: Duration = Duration::from_millis(3);

/// A request that waits: `T` is what it is.
#[derive(Clone, Debug)]
pub struct Waiting<T> {
    pub since: Time,
    pub seats: i64,
    /// Virtual time at its arrival.
    arrived: i64,
    pub item: T,
}

#[derive(Clone, Debug)]
struct Queue<T> {
    waiting: Vector<Waiting<T>>,
    seats_waiting: i64,
    executing: i64,
    seats_in_use: i64,
    /// Virtual time at which the next request of this queue begins.
    next: i64,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { waiting: Vector::default(), seats_waiting: 0, executing: 0, seats_in_use: 0, next: 0 }
    }
}

impl<T: Clone> Queue<T> {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.executing == 0
    }
    /// A queue can't save up what it didn't ask for.
    fn bound(&mut self) {
        if let Some(oldest) = self.waiting.front() {
            self.next = self.next.max(oldest.arrived);
        }
    }
}

/// A queue, as it is.
pub struct QueueSeen {
    pub queue: u32,
    pub waiting: usize,
    pub executing: i64,
    pub seats_in_use: i64,
    pub seats_waiting: i64,
}

/// The queues that hold or have sent on something; all others of the deck are empty.
#[derive(Clone, Debug)]
pub struct Queues<T> {
    queues: Map<u32, Queue<T>>,
    waiting: i64,
    seats_waiting: i64,
    /// Virtual time, and when it was looked at.
    virtual_now: i64,
    synced: Time,
    /// The queue that was served last: among equals the next one comes.
    robin: u32,
    /// Counts arrivals: where in a hand the search begins.
    arrivals: u64,
}

impl<T> Default for Queues<T> {
    fn default() -> Queues<T> {
        Queues {
            queues: Map::default(),
            waiting: 0,
            seats_waiting: 0,
            virtual_now: 0,
            synced: Time::EPOCH,
            robin: 0,
            arrivals: 0,
        }
    }
}

fn work(seats: i64, time: Duration) -> i64 {
    seats.saturating_mul(time.as_micros()).saturating_mul(1_000)
}

impl<T: Clone> Queues<T> {
    /// How many requests wait.
    pub fn waiting(&self) -> i64 {
        self.waiting
    }
    pub fn seats_waiting(&self) -> i64 {
        self.seats_waiting
    }
    /// How many queues have a request that waits or is executed.
    pub fn active(&self) -> usize {
        self.queues.len()
    }
    /// Requests of a queue that wait.
    pub fn length(&self, queue: u32) -> usize {
        self.queues.get(&queue).map_or(0, |q| q.waiting.len())
    }
    /// All requests that wait, by queue, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, usize, &Waiting<T>)> {
        self.queues.iter().flat_map(|(queue, q)| q.waiting.iter().enumerate().map(move |(i, w)| (*queue, i, w)))
    }
    /// The queues that have something.
    pub fn each(&self) -> impl Iterator<Item = QueueSeen> {
        self.queues.iter().map(|(queue, q)| QueueSeen {
            queue: *queue,
            waiting: q.waiting.len(),
            executing: q.executing,
            seats_in_use: q.seats_in_use,
            seats_waiting: q.seats_waiting,
        })
    }

    /// Lets virtual time pass up to now. `limit`: the seats that there are.
    fn sync(&mut self, limit: i64, now: Time) {
        let past = now.since(self.synced);
        self.synced = now;
        let active = self.queues.len() as i64;
        if active > 0 && past > Duration::ZERO {
            let wanted: i64 = self.seats_waiting + self.queues.values().map(|q| q.seats_in_use).sum::<i64>();
            self.virtual_now += work(wanted.min(limit), past) / active;
        }
    }

    /// Of a flow's hand, the queue with least work waiting.
    pub fn choose(&mut self, hand: &[u32]) -> u32 {
        let from = (self.arrivals % hand.len().max(1) as u64) as usize;
        self.arrivals += 1;
        let seats = |queue: &u32| self.queues.get(queue).map_or(0, |q| q.seats_waiting);
        let turned = hand.iter().cycle().skip(from).take(hand.len());
        turned.min_by_key(|queue| seats(queue)).copied().unwrap_or(0)
    }

    /// Puts a request at a queue's end.
    pub fn push(&mut self, queue: u32, seats: i64, item: T, limit: i64, now: Time) {
        self.sync(limit, now);
        let arrived = self.virtual_now;
        let q = self.queues.entry(queue).or_default();
        if q.is_idle() {
            q.next = arrived;
        }
        q.waiting.push_back(Waiting { since: now, seats, arrived, item });
        q.seats_waiting += seats;
        self.waiting += 1;
        self.seats_waiting += seats;
    }

    /// The queue that is served next, and the seats that its first request wants.
    pub fn next(&self) -> Option<(u32, i64)> {
        let after = self.queues.range(self.robin.saturating_add(1)..);
        let before = self.queues.range(..=self.robin);
        let mut best: Option<(i64, u32, i64)> = None;
        for (queue, q) in after.chain(before) {
            let Some(first) = q.waiting.front() else { continue };
            let end = q.next + work(first.seats, GUESS);
            if best.is_none_or(|(least, ..)| end < least) {
                best = Some((end, *queue, first.seats));
            }
        }
        best.map(|(_, queue, seats)| (queue, seats))
    }

    /// Takes the first request of a queue: it has a seat now.
    pub fn pop(&mut self, queue: u32, limit: i64, now: Time) -> Option<Waiting<T>> {
        self.sync(limit, now);
        self.robin = queue;
        let q = self.queues.get_mut(&queue)?;
        let first = q.waiting.pop_front()?;
        q.seats_waiting -= first.seats;
        q.executing += 1;
        q.seats_in_use += first.seats;
        q.next += work(first.seats, GUESS);
        q.bound();
        self.waiting -= 1;
        self.seats_waiting -= first.seats;
        Some(first)
    }

    /// A request of a queue has been answered after `took`.
    pub fn done(&mut self, queue: u32, seats: i64, took: Duration, limit: i64, now: Time) {
        self.sync(limit, now);
        let Some(q) = self.queues.get_mut(&queue) else { return };
        q.executing -= 1;
        q.seats_in_use -= seats;
        q.next -= work(seats, GUESS) - work(seats, took);
        q.bound();
        if q.is_idle() {
            self.queues.remove(&queue);
        }
    }

    /// Takes out what waits and is `meant`: its time is over, or its client has gone.
    pub fn take_out(&mut self, meant: impl Fn(&Waiting<T>) -> bool) -> Vec<Waiting<T>> {
        let mut out = Vec::new();
        let concerned: Vec<u32> = self.queues.iter().filter(|(_, q)| q.waiting.iter().any(&meant)).map(|(k, _)| *k).collect();
        for key in concerned {
            let Some(q) = self.queues.get_mut(&key) else { continue };
            let mut kept = Vector::default();
            for w in q.waiting.iter() {
                match meant(w) {
                    true => out.push(w.clone()),
                    false => kept.push_back(w.clone()),
                }
            }
            q.waiting = kept;
            q.seats_waiting = q.waiting.iter().map(|w| w.seats).sum();
            if q.is_idle() {
                self.queues.remove(&key);
            }
        }
        self.waiting -= out.len() as i64;
        self.seats_waiting -= out.iter().map(|w| w.seats).sum::<i64>();
        out
    }

    /// The oldest request that waits.
    pub fn oldest(&self) -> Option<Time> {
        self.queues.values().filter_map(|q| q.waiting.front()).map(|w| w.since).min()
    }
}
