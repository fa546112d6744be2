//! A client of kube-apiserver: credential, numbers of calls, outstanding calls, and client-side rate limit.
//!
//! Models `rest.RESTClient` and `flowcontrol.NewTokenBucketRateLimiter`. Left out: retries of `Retry-After` answers (callers see
//! them), HTTP/2 connections as such.

use std::rc::Rc;

use apimachinery::{Credential, Request};
use base::{Duration, Map, Time};
use sim::{Addr, Outbox, Payload, StreamId};

/// Numbers of calls and of timers. The scope is in the upper 16 bits, so that several owners in one process don't collide.
#[derive(Clone, Debug)]
pub struct Ids {
    scope: u16,
    next: u64,
}

impl Ids {
    pub fn new(scope: u16) -> Ids {
        Ids { scope, next: 0 }
    }
    pub fn next(&mut self) -> u64 {
        self.next += 1;
        (self.scope as u64) << 48 | self.next
    }
    /// Whether `id` was given by an `Ids` of this scope.
    pub fn owns(&self, id: u64) -> bool {
        Ids::scope_of(id) == self.scope
    }
    pub fn scope(&self) -> u16 {
        self.scope
    }
    pub fn scope_of(id: u64) -> u16 {
        (id >> 48) as u16
    }
}

/// A token bucket in integers: `qps` tokens a second, at most `burst` saved. Models `golang.org/x/time/rate`.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    /// Microseconds per token; 0: no limit.
    interval: i64,
    burst: i64,
    /// When the bucket would be full again if nothing were taken any more.
    full_at: Time,
}

impl RateLimiter {
    /// `qps` 0: unlimited.
    pub fn new(qps: u32, burst: u32) -> RateLimiter {
        let interval = if qps == 0 { 0 } else { 1_000_000 / qps as i64 };
        RateLimiter { interval, burst: burst.max(1) as i64, full_at: Time(i64::MIN / 2) }
    }
    /// One token every `interval`. For limits below one a second.
    pub fn every(interval: Duration, burst: u32) -> RateLimiter {
        RateLimiter { interval: interval.as_micros(), burst: burst.max(1) as i64, full_at: Time(i64::MIN / 2) }
    }
    /// Takes a token, and returns how long the caller must wait for it.
    pub fn reserve(&mut self, now: Time) -> Duration {
        if self.interval == 0 {
            return Duration::ZERO;
        }
        self.full_at = self.full_at.max(now) + Duration(self.interval);
        let wait = self.full_at.since(now).as_micros() - self.interval * self.burst;
        Duration(wait.max(0))
    }
    /// Takes a token if there is one now.
    pub fn try_accept(&mut self, now: Time) -> bool {
        let ready = self.interval == 0 || self.full_at.since(now).as_micros() <= self.interval * (self.burst - 1);
        if ready {
            self.reserve(now);
        }
        ready
    }
}

/// Whom a client talks to, as whom, and how often at most.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub apiserver: Addr,
    pub credential: Credential,
    /// `kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/…`
    pub user_agent: Rc<str>,
    /// Requests a second, without watches; 0: unlimited.
    pub qps: u32,
    pub burst: u32,
}

/// A client. `T` says what a call was for; it comes back with the answer.
#[derive(Clone, Debug)]
pub struct Client<T: Clone> {
    pub config: ClientConfig,
    ids: Ids,
    limiter: RateLimiter,
    calls: Map<StreamId, T>,
}

impl<T: Clone> Client<T> {
    pub fn new(scope: u16, config: ClientConfig) -> Client<T> {
        let limiter = RateLimiter::new(config.qps, config.burst);
        Client { config, ids: Ids::new(scope), limiter, calls: Map::default() }
    }

    /// Sends a request, held back as the rate limit demands.
    pub fn call(&mut self, request: Request, tag: T, out: &mut Outbox) -> StreamId {
        let delay = self.limiter.reserve(out.now);
        self.send(request, tag, delay, out)
    }

    /// Opens a watch or another stream. Not subject to the rate limit, as upstream.
    pub fn open(&mut self, request: Request, tag: T, out: &mut Outbox) -> StreamId {
        self.send(request, tag, Duration::ZERO, out)
    }

    fn send(&mut self, mut request: Request, tag: T, delay: Duration, out: &mut Outbox) -> StreamId {
        let id = self.ids.next();
        request.credential = self.config.credential.clone();
        request.user_agent = self.config.user_agent.clone();
        self.calls.insert(id, tag);
        out.send_after(delay, self.config.apiserver, Payload::ApiRequest { id, request: Rc::new(request) });
        id
    }

    /// Whether a call or timer number is of this client's scope.
    pub fn owns(&self, id: StreamId) -> bool {
        self.ids.owns(id)
    }
    /// The tag of an open call or stream.
    pub fn tag(&self, id: StreamId) -> Option<&T> {
        self.calls.get(&id)
    }
    /// The tag of a call that is over: its answer came, or its stream ended.
    pub fn take(&mut self, id: StreamId) -> Option<T> {
        self.calls.remove(&id)
    }
    /// Ends a stream from this side.
    pub fn close(&mut self, id: StreamId, out: &mut Outbox) {
        if self.calls.remove(&id).is_some() {
            out.send(self.config.apiserver, Payload::StreamEnd { id });
        }
    }
    /// The open calls with this tag.
    pub fn ids_of(&self, tag: T) -> impl Iterator<Item = StreamId>
    where
        T: PartialEq,
    {
        self.calls.iter().filter(move |(_, t)| **t == tag).map(|(id, _)| *id)
    }
    /// How many calls and streams are open.
    pub fn outstanding(&self) -> usize {
        self.calls.len()
    }
    /// The connection broke: all calls and streams under way are lost. Returns them in order of sending.
    pub fn drop_all(&mut self) -> Vec<(StreamId, T)> {
        std::mem::take(&mut self.calls).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_gives_its_burst_and_then_one_per_interval() {
        let mut limiter = RateLimiter::new(20, 3);
        let waits: Vec<i64> = (0..5).map(|_| limiter.reserve(Time::from_secs(9)).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 50, 100]);
        assert_eq!(limiter.reserve(Time::from_secs(10)).as_millis(), 0);
        let mut spam = RateLimiter::every(Duration::from_secs(300), 2);
        let accepted: Vec<bool> = [0, 1, 2, 301].map(|s| spam.try_accept(Time::from_secs(s))).into();
        assert_eq!(accepted, [true, true, false, true]);
    }
}
