//! What a handler sends. The queue stamps it when the handler has returned.

use std::rc::Rc;

use apimachinery::{Request, Response, WatchEvent};
use base::{Duration, Time};

use crate::message::{Addr, MsgId, Payload, StreamId};

/// One message to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    pub to: Addr,
    pub payload: Payload,
    /// For a timer: when; for a message: how long the sender holds it back before it goes onto the link.
    pub delay: Duration,
    /// The reason, where it isn't the message being handled (a work queue item names the watch event that queued it).
    pub cause: Option<MsgId>,
}

/// Collects what one handler sends. Order is kept.
#[derive(Debug)]
pub struct Outbox {
    /// The process that is handling.
    pub me: Addr,
    /// The message being handled.
    pub handling: MsgId,
    pub now: Time,
    cause: Option<MsgId>,
    pub(crate) sent: Vec<Outgoing>,
}

impl Outbox {
    pub fn new(me: Addr, handling: MsgId, now: Time) -> Outbox {
        Outbox { me, handling, now, cause: None, sent: Vec::new() }
    }

    /// From here on messages name `cause` as their reason; `None`: the message being handled.
    pub fn set_cause(&mut self, cause: Option<MsgId>) {
        self.cause = cause;
    }
    /// The reason that messages sent now will name.
    pub fn cause(&self) -> MsgId {
        self.cause.unwrap_or(self.handling)
    }

    pub fn send(&mut self, to: Addr, payload: Payload) {
        self.send_after(Duration::ZERO, to, payload);
    }
    /// Sends after the sender has worked for `delay`.
    pub fn send_after(&mut self, delay: Duration, to: Addr, payload: Payload) {
        self.sent.push(Outgoing { to, payload, delay, cause: self.cause });
    }
    /// `Payload::Timer(token)` comes back after `delay`. Timers can't be cancelled: a stale one is recognised by its token.
    pub fn timer(&mut self, delay: Duration, token: u64) {
        self.send_after(delay, self.me, Payload::Timer(token));
    }
    pub fn request(&mut self, to: Addr, id: StreamId, request: Request) {
        self.send(to, Payload::ApiRequest { id, request: Rc::new(request) });
    }
    pub fn respond(&mut self, to: Addr, id: StreamId, response: Response) {
        self.send(to, Payload::ApiResponse { id, response: Rc::new(response) });
    }
    pub fn watch_events(&mut self, to: Addr, id: StreamId, events: Vec<WatchEvent>) {
        self.send(to, Payload::WatchEvents { id, events: Rc::new(events) });
    }

    /// What was sent so far.
    pub fn outgoing(&self) -> &[Outgoing] {
        &self.sent
    }
    /// Everything sent so far, for tests and for components that host others.
    pub fn take(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.sent)
    }
    /// Appends what was taken.
    pub fn put_back(&mut self, outgoing: Vec<Outgoing>) {
        self.sent.extend(outgoing);
    }
}
