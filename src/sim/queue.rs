//! The queue of messages under way, ordered by (time of delivery, number).

use std::rc::Rc;

use apimachinery::{Response, ResponseBody};
use base::{Digest, Duration, Map, Seed, Set, Time, Vector};

use crate::faults::{Faults, Link};
use crate::message::{Addr, Message, MsgId, Payload, StreamId};
use crate::outbox::{Outbox, Outgoing};
use crate::stalled::Stalled;

/// How long a client waits before it gives up on a request that was lost. client-go's clients mostly set 10 s or more.
const LOST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client takes to notice that a stream is dead: HTTP/2's health check, 30 s of silence and 15 s for the ping.
const DEAD_STREAM_TIMEOUT: Duration = Duration::from_secs(45);

/// What comes out of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub at: Time,
    pub message: Message,
}

/// Messages under way, and the clock. Clone is O(1).
#[derive(Clone, Debug)]
pub struct Queue {
    now: Time,
    next: u64,
    seed: Seed,
    pending: Map<(Time, MsgId), Message>,
    /// Messages for frozen processes with their times of arrival, in order.
    held: Map<Addr, Vector<(Time, Message)>>,
    /// Watches of which something was lost: nothing more comes through them (bytes keep their order) until they are opened anew.
    dead: Set<(Addr, Addr, StreamId)>,
    /// Connections that wait for a retransmission.
    pub(crate) stalled: Map<Link, Stalled>,
    pub faults: Faults,
}

impl Queue {
    pub fn new(seed: Seed, epoch: Time) -> Queue {
        Queue {
            now: epoch,
            next: 1,
            seed: seed.derive("sim"),
            pending: Map::default(),
            held: Map::default(),
            dead: Set::default(),
            stalled: Map::default(),
            faults: Faults::default(),
        }
    }

    pub fn now(&self) -> Time {
        self.now
    }
    /// The id that the next message will get.
    pub fn next_id(&self) -> MsgId {
        MsgId(self.next)
    }
    pub fn len(&self) -> usize {
        self.pending.len()
    }
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
    /// When the next message arrives.
    pub fn peek(&self) -> Option<Time> {
        let first = self.first_pending();
        if self.stalled.is_empty() {
            return first;
        }
        self.stalled.iter().map(|(_, s)| s.next).chain(first).min()
    }
    pub(crate) fn first_pending(&self) -> Option<Time> {
        self.pending.get_min().map(|((at, _), _)| *at)
    }
    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = self.now.max(now);
    }
    pub(crate) fn take_id(&mut self) -> MsgId {
        self.next += 1;
        MsgId(self.next - 1)
    }
    /// Puts a message onto its link, faults aside.
    pub(crate) fn carry(&mut self, message: Message) {
        let delay = self.faults.delay.get(&(message.from, message.to)).copied().unwrap_or_default();
        let at = self.now + self.latency(message.from, message.to) + delay;
        self.pending.insert((at, message.id), message);
    }
    /// The messages under way, in order of delivery.
    pub fn pending(&self) -> impl Iterator<Item = (Time, &Message)> {
        self.pending.iter().map(|((at, _), m)| (*at, m))
    }

    /// Moves the clock forward without delivering anything. Never past the next delivery.
    pub fn advance_to(&mut self, time: Time) {
        let limit = self.peek().unwrap_or(time);
        self.now = self.now.max(time.min(limit));
    }

    /// Takes the next message and moves the clock to it. Messages for frozen processes are put aside.
    pub fn pop(&mut self) -> Option<Delivery> {
        loop {
            if !self.stalled.is_empty() {
                self.retransmit();
            }
            let (&(at, id), _) = self.pending.get_min()?;
            let message = self.pending.remove(&(at, id))?;
            self.now = self.now.max(at);
            if self.faults.frozen.contains(&message.to) {
                self.held.entry(message.to).or_default().push_back((at, message));
                continue;
            }
            return Some(Delivery { at, message });
        }
    }

    /// Sends what a handler left in its outbox. `sent` is told of each message that goes onto a link (timers too).
    pub fn dispatch(&mut self, outbox: Outbox, mut sent: impl FnMut(&Message, Time)) {
        let (from, handling) = (outbox.me, outbox.handling);
        for outgoing in outbox.sent {
            let Outgoing { to, payload, delay, cause } = outgoing;
            let message = Message { id: MsgId(self.next), cause: cause.unwrap_or(handling), from, to, sent: self.now, payload };
            self.next += 1;
            if let Some(retry) = self.stall(&message) {
                sent(&message, retry);
                continue;
            }
            let at = self.now + delay + self.latency(from, to);
            let Some((at, message)) = self.through_faults(at, message) else { continue };
            sent(&message, at);
            match self.faults.frozen.contains(&to) {
                true => self.held.entry(to).or_default().push_back((at, message)),
                false => {
                    self.pending.insert((at, message.id), message);
                }
            }
        }
    }

    /// Sends one message from outside of any handler (the boot, a user's action).
    pub fn inject(&mut self, from: Addr, to: Addr, payload: Payload, sent: impl FnMut(&Message, Time)) -> MsgId {
        let id = MsgId(self.next);
        let mut outbox = Outbox::new(from, MsgId(0), self.now);
        outbox.send(to, payload);
        self.dispatch(outbox, sent);
        id
    }

    /// Drops what is under way to a process that is gone, what it had sent itself as timers, and its SIGSTOP: whoever comes in
    /// its place runs.
    pub fn forget(&mut self, addr: Addr) {
        let gone: Vec<_> = self.pending.iter().filter(|(_, m)| m.to == addr).map(|(k, _)| *k).collect();
        for k in gone {
            self.pending.remove(&k);
        }
        self.held.remove(&addr);
        self.faults.frozen.remove(&addr);
        self.stalled = self.stalled.iter().filter(|((a, b), _)| *a != addr && *b != addr).map(|(l, s)| (*l, s.clone())).collect();
    }

    /// Stops a process from receiving; what comes for it waits.
    pub fn freeze(&mut self, addr: Addr) {
        self.faults.frozen.insert(addr);
        let under_way: Vec<_> = self.pending.iter().filter(|(_, m)| m.to == addr).map(|(k, _)| *k).collect();
        for k in under_way {
            if let Some(message) = self.pending.remove(&k) {
                self.held.entry(addr).or_default().push_back((k.0, message));
            }
        }
    }
    /// Lets a frozen process go on: what waited arrives now, in order; what is still to come (timers) comes at its time.
    pub fn thaw(&mut self, addr: Addr) {
        self.faults.frozen.remove(&addr);
        for (at, message) in self.held.remove(&addr).unwrap_or_default() {
            self.pending.insert((at.max(self.now), message.id), message);
        }
    }

    /// A hash of the clock, the counter and what is under way (who, to whom, when: bodies are in the components' digests).
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.write_u64(self.now.0 as u64);
        digest.write_u64(self.next);
        for ((at, id), m) in &self.pending {
            digest.write_u64(at.0 as u64);
            digest.write_u64(id.0);
            digest.write_u64((m.from.0 as u64) << 32 | m.to.0 as u64);
        }
        digest.finish()
    }

    /// The latency of a link: a function of the pair alone, so that messages of one link never overtake one another.
    fn latency(&self, from: Addr, to: Addr) -> Duration {
        if from == to {
            return Duration::ZERO;
        }
        let (a, b) = (from.0.min(to.0) as u64, from.0.max(to.0) as u64);
        Duration(250 + self.seed.below(a << 32 | b, 500) as i64)
    }

    /// Applies cuts, losses and delays.
    fn through_faults(&mut self, at: Time, message: Message) -> Option<(Time, Message)> {
        if self.faults.is_empty() && self.dead.is_empty() || message.from == message.to {
            return Some((at, message));
        }
        let link = (message.from, message.to);
        if let Payload::ApiRequest { id, .. } = message.payload {
            self.dead.remove(&(link.1, link.0, id));
        }
        if let Payload::WatchEvents { id, .. } = message.payload
            && self.dead.contains(&(link.0, link.1, id))
        {
            return None;
        }
        if !self.is_lost(link, message.id.0) {
            let delay = self.faults.delay.get(&link).copied().unwrap_or_default();
            return Some((at + delay, message));
        }
        self.lose(at, message)
    }

    /// Whether what is sent over a link now is lost.
    pub(crate) fn is_lost(&self, link: Link, draw: u64) -> bool {
        let chance = self.faults.drop_per_mille.get(&link).copied().unwrap_or(0) as u64;
        self.faults.cut.contains(&link) || (chance > 0 && self.seed.below(draw, 1000) < chance)
    }

    /// What comes of a message that is lost: who waits for an answer gives up, a watch is found dead.
    fn lose(&mut self, at: Time, message: Message) -> Option<(Time, Message)> {
        let given_up = |id| {
            let response = transport_error("context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
            Payload::ApiResponse { id, response: Rc::new(response) }
        };
        match message.payload {
            Payload::ApiRequest { id, .. } => {
                let (from, to) = (message.to, message.from);
                Some((at + LOST_REQUEST_TIMEOUT, Message { from, to, payload: given_up(id), ..message }))
            }
            Payload::ApiResponse { id, .. } => Some((at + LOST_REQUEST_TIMEOUT, Message { payload: given_up(id), ..message })),
            Payload::WatchEvents { id, .. } => {
                self.dead.insert((message.from, message.to, id));
                Some((at + DEAD_STREAM_TIMEOUT, Message { payload: Payload::StreamEnd { id }, ..message }))
            }
            _ => None,
        }
    }
}

/// The answer that stands for "no answer": code 0 and Go's text.
pub fn transport_error(text: &str) -> Response {
    Response { code: 0, warnings: Vec::new(), body: ResponseBody::Text("text/plain".into(), text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(queue: &mut Queue, from: Addr, to: Addr, delay_s: i64, token: u64) {
        let mut outbox = Outbox::new(from, MsgId(0), queue.now());
        outbox.send_after(Duration::from_secs(delay_s), to, Payload::Timer(token));
        queue.dispatch(outbox, |_, _| ());
    }

    fn drain(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop())
            .map(|d| if let Payload::Timer(token) = d.message.payload { token } else { 0 })
            .collect()
    }

    #[test]
    fn order_is_time_then_number_and_a_clone_goes_its_own_way() {
        let mut queue = Queue::new(Seed(1), Time::EPOCH);
        for (delay, token) in [(2, 1), (1, 2), (1, 3), (0, 4)] {
            send(&mut queue, Addr(1), Addr(1), delay, token);
        }
        let mut fork = queue.clone();
        assert_eq!(drain(&mut queue), [4, 2, 3, 1]);
        send(&mut fork, Addr(1), Addr(1), 0, 5);
        assert_eq!(drain(&mut fork), [4, 5, 2, 3, 1]);
        assert_eq!(queue.now(), Time::from_secs(2));
    }

    fn say(queue: &mut Queue, id: u64) {
        let mut outbox = Outbox::new(Addr(1), MsgId(0), queue.now());
        let request = Rc::new(etcd_api::Request::WatchProgress);
        outbox.send(Addr(2), Payload::Etcd(etcd_api::Message::Request { id, request }));
        queue.dispatch(outbox, |_, _| ());
    }

    #[test]
    fn a_connection_keeps_what_it_carries_or_breaks() {
        let mut queue = Queue::new(Seed(1), Time::EPOCH);
        queue.faults.drop_per_mille.insert((Addr(1), Addr(2)), 500);
        (0..20).for_each(|id| say(&mut queue, id));
        let id = |d: Delivery| match d.message.payload {
            Payload::Etcd(etcd_api::Message::Request { id, .. }) => Some(id),
            _ => None,
        };
        let got: Vec<u64> = std::iter::from_fn(|| queue.pop()).filter_map(id).collect();
        assert_eq!(got, (0..20).collect::<Vec<_>>());
        assert!(queue.now() >= Time::EPOCH + Duration::from_millis(200));

        queue.faults.cut.insert((Addr(1), Addr(2)));
        let before = queue.now();
        say(&mut queue, 20);
        let told: Vec<Addr> = std::iter::from_fn(|| queue.pop()).map(|d| d.message.to).collect();
        assert_eq!(told, [Addr(2), Addr(1)]);
        assert!(queue.now().since(before) >= Duration::from_secs(40));
    }

    #[test]
    fn a_cut_loses_and_a_freeze_holds() {
        let mut queue = Queue::new(Seed(1), Time::EPOCH);
        queue.faults.cut.insert((Addr(1), Addr(2)));
        send(&mut queue, Addr(1), Addr(2), 0, 1);
        queue.freeze(Addr(3));
        send(&mut queue, Addr(1), Addr(3), 0, 2);
        assert_eq!(drain(&mut queue), Vec::<u64>::new());
        queue.thaw(Addr(3));
        assert_eq!(drain(&mut queue), [2]);
    }
}
