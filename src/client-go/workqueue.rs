//! A queue of keys to work on: each waits at most once, and is never worked on twice at the same time.
//!
//! Models `util/workqueue` with its delaying and rate-limiting parts. A queue sets no timers: [`WorkQueue::next_wake`] says when
//! its owner should call [`WorkQueue::wake`]. Every item remembers the message because of which it was queued first.

use base::{Duration, Map, Set, Time, Vector};
use sim::MsgId;

use crate::client::RateLimiter;

/// How a key that failed is delayed: per key exponentially, and all together by a bucket (10 a second, 100 at once).
#[derive(Clone, Debug)]
pub struct RetryLimiter<K: Ord + Clone> {
    initial: Duration,
    max: Duration,
    failures: Map<K, u32>,
    overall: Option<RateLimiter>,
}

impl<K: Ord + Clone> RetryLimiter<K> {
    /// 5 ms doubling to 1000 s. Models `DefaultTypedControllerRateLimiter`.
    pub fn controller() -> RetryLimiter<K> {
        let overall = Some(RateLimiter::new(10, 100));
        RetryLimiter { overall, ..RetryLimiter::exponential(Duration::from_millis(5), Duration::from_secs(1000)) }
    }
    pub fn exponential(initial: Duration, max: Duration) -> RetryLimiter<K> {
        RetryLimiter { initial, max, failures: Map::default(), overall: None }
    }
    /// Counts a failure and returns the delay.
    pub fn when(&mut self, key: &K, now: Time) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        let factor = 1i64.checked_shl(*failures).filter(|f| *f > 0).unwrap_or(i64::MAX);
        *failures += 1;
        let delay = (self.initial * factor).min(self.max);
        self.overall.as_mut().map_or(delay, |bucket| delay.max(bucket.reserve(now)))
    }
    pub fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }
    pub fn failures(&self, key: &K) -> u32 {
        self.failures.get(key).copied().unwrap_or(0)
    }
}

/// The queue. Clone is cheap.
#[derive(Clone, Debug)]
pub struct WorkQueue<K: Ord + Clone> {
    queue: Vector<K>,
    /// What waits or must be worked on again, and why.
    dirty: Map<K, MsgId>,
    processing: Set<K>,
    delayed: Map<K, (Time, MsgId)>,
    by_time: Set<(Time, K)>,
    pub retries: RetryLimiter<K>,
}

impl<K: Ord + Clone> Default for WorkQueue<K> {
    fn default() -> WorkQueue<K> {
        WorkQueue::new(RetryLimiter::controller())
    }
}

impl<K: Ord + Clone> WorkQueue<K> {
    pub fn new(retries: RetryLimiter<K>) -> WorkQueue<K> {
        WorkQueue {
            queue: Vector::default(),
            dirty: Map::default(),
            processing: Set::default(),
            delayed: Map::default(),
            by_time: Set::default(),
            retries,
        }
    }

    /// Queues a key because of `cause`, unless it waits already.
    pub fn add(&mut self, key: K, cause: MsgId) {
        if self.dirty.contains_key(&key) {
            return;
        }
        self.dirty.insert(key.clone(), cause);
        if !self.processing.contains(&key) {
            self.queue.push_back(key);
        }
    }
    /// Queues a key after a time. If it is delayed already, the earlier time counts.
    pub fn add_after(&mut self, key: K, delay: Duration, cause: MsgId, now: Time) {
        if delay <= Duration::ZERO {
            return self.add(key, cause);
        }
        let at = now + delay;
        if let Some(&(earlier, _)) = self.delayed.get(&key) {
            if earlier <= at {
                return;
            }
            self.by_time.remove(&(earlier, key.clone()));
        }
        self.by_time.insert((at, key.clone()));
        self.delayed.insert(key, (at, cause));
    }
    /// Queues a key that failed, after its backoff.
    pub fn add_rate_limited(&mut self, key: K, cause: MsgId, now: Time) {
        let delay = self.retries.when(&key, now);
        self.add_after(key, delay, cause, now);
    }
    /// Success: the key's backoff starts afresh.
    pub fn forget(&mut self, key: &K) {
        self.retries.forget(key);
    }
    pub fn num_requeues(&self, key: &K) -> u32 {
        self.retries.failures(key)
    }

    /// Takes the next key and why it was queued. [`WorkQueue::done`] must follow.
    pub fn get(&mut self) -> Option<(K, MsgId)> {
        let key = self.queue.pop_front()?;
        let cause = self.dirty.remove(&key).unwrap_or_default();
        self.processing.insert(key.clone());
        Some((key, cause))
    }
    /// Work on the key is over; it waits again if it was added meanwhile.
    pub fn done(&mut self, key: &K) {
        self.processing.remove(key);
        if self.dirty.contains_key(key) {
            self.queue.push_back(key.clone());
        }
    }

    /// When the first delayed key is due.
    pub fn next_wake(&self) -> Option<Time> {
        self.by_time.get_min().map(|(at, _)| *at)
    }
    /// Queues the delayed keys that are due.
    pub fn wake(&mut self, now: Time) {
        while let Some((at, key)) = self.by_time.get_min().cloned() {
            if at > now {
                return;
            }
            self.by_time.remove(&(at, key.clone()));
            let cause = self.delayed.remove(&key).map_or(MsgId(0), |(_, cause)| cause);
            self.add(key, cause);
        }
    }

    /// How many keys wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
    /// How many keys are being worked on.
    pub fn in_process(&self) -> usize {
        self.processing.len()
    }
    /// The keys that wait, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &K> {
        self.queue.iter()
    }
    /// The delayed keys and when they are due.
    pub fn delayed(&self) -> impl Iterator<Item = &(Time, K)> {
        self.by_time.iter()
    }
    /// How many keys are delayed.
    pub fn delayed_count(&self) -> usize {
        self.by_time.len()
    }
    /// The keys that are being worked on and wait again already.
    pub fn queued_again(&self) -> impl Iterator<Item = &K> {
        self.processing.iter().filter(|key| self.dirty.contains_key(*key))
    }
    /// The message because of which a key waits or is delayed.
    pub fn cause_of(&self, key: &K) -> MsgId {
        self.dirty.get(key).copied().or_else(|| self.delayed.get(key).map(|d| d.1)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_waits_once_and_is_worked_on_once() {
        let mut queue: WorkQueue<u32> = WorkQueue::default();
        for (key, cause) in [(1, 10), (2, 11), (1, 12)] {
            queue.add(key, MsgId(cause));
        }
        assert_eq!(queue.get(), Some((1, MsgId(10))));
        queue.add(1, MsgId(13));
        assert_eq!(queue.get(), Some((2, MsgId(11))));
        assert_eq!(queue.get(), None);
        queue.done(&1);
        assert_eq!(queue.get(), Some((1, MsgId(13))));
    }

    #[test]
    fn delays_keep_the_earliest_and_failures_double() {
        let mut queue: WorkQueue<u32> = WorkQueue::default();
        let now = Time::from_secs(1);
        queue.add_after(1, Duration::from_secs(5), MsgId(1), now);
        queue.add_after(1, Duration::from_secs(2), MsgId(2), now);
        queue.add_after(1, Duration::from_secs(9), MsgId(3), now);
        assert_eq!(queue.next_wake(), Some(Time::from_secs(3)));
        queue.wake(Time::from_secs(3));
        assert_eq!(queue.get(), Some((1, MsgId(2))));
        let delays: Vec<i64> = (0..4).map(|_| queue.retries.when(&7, now).as_millis()).collect();
        assert_eq!(delays, [5, 10, 20, 40]);
    }

    #[test]
    fn a_view_says_what_waits_until_when_and_why() {
        let mut queue: WorkQueue<u32> = WorkQueue::default();
        let now = Time::from_secs(1);
        queue.add(1, MsgId(10));
        queue.add(2, MsgId(11));
        queue.get();
        queue.add(1, MsgId(12));
        queue.add_rate_limited(3, MsgId(13), now);
        queue.add_after(4, Duration::from_secs(9), MsgId(14), now);
        let view = queue.view(1);
        assert_eq!((view.waiting_count, &*view.waiting[0].key, view.waiting[0].cause), (1, "2", MsgId(11)));
        assert_eq!((&*view.again[0].key, view.again[0].cause), ("1", MsgId(12)));
        let first = &view.delayed[0];
        assert_eq!((view.delayed_count, view.delayed.len(), &*first.key, first.retries), (2, 1, "3", 1));
        assert_eq!((first.due, first.cause), (Some(now + Duration::from_millis(5)), MsgId(13)));
    }
}
