//! Connections that keep what they carry. A lost packet of a TCP connection is sent again, and what was sent after it waits, so
//! the receiver sees all in order and only late; when nothing gets through for long, both ends give the connection up.
//!
//! kube-apiserver and etcd talk through one such connection. Times are those of Linux' retransmission (200 ms, doubled each time)
//! and of the keepalive of etcd's client (a ping after 30 s, 10 s for its answer). Other payloads are requests, streams and
//! packets whose loss their senders notice themselves (`queue.rs`).

use base::{Duration, Time, Vector};

use crate::faults::Link;
use crate::message::{Message, MsgId, Payload};
use crate::queue::Queue;

const FIRST_RETRANSMISSION: Duration = Duration::from_millis(200);
const GIVEN_UP_AFTER: Duration = Duration::from_secs(40);

/// One direction of a connection, waiting for its retransmission.
#[derive(Clone, Debug)]
pub(crate) struct Stalled {
    waiting: Vector<Message>,
    since: Time,
    tries: u32,
    pub next: Time,
}

impl Queue {
    /// When the message will be tried again, if it was lost or something before it was.
    pub(crate) fn stall(&mut self, message: &Message) -> Option<Time> {
        let Payload::Etcd(_) = message.payload else { return None };
        let (link, now) = ((message.from, message.to), self.now());
        if !self.stalled.contains_key(&link) {
            if !self.is_lost(link, message.id.0) {
                return None;
            }
            let next = now + FIRST_RETRANSMISSION;
            self.stalled.insert(link, Stalled { waiting: Vector::default(), since: now, tries: 1, next });
        }
        let stalled = self.stalled.get_mut(&link)?;
        stalled.waiting.push_back(message.clone());
        Some(stalled.next)
    }

    /// Carries out what retransmissions there are before the next delivery.
    pub(crate) fn retransmit(&mut self) {
        while let Some((&link, next)) = self.stalled.iter().map(|(l, s)| (l, s.next)).min_by_key(|(l, next)| (*next, **l)) {
            if self.first_pending().is_some_and(|first| first < next) {
                return;
            }
            let Some(mut stalled) = self.stalled.remove(&link) else { return };
            self.set_now(next);
            let draw = stalled.waiting.front().map_or(0, |m| m.id.0) << 8 | u64::from(stalled.tries);
            if !self.is_lost(link, draw) {
                stalled.waiting.into_iter().for_each(|message| self.carry(message));
            } else if next - stalled.since >= GIVEN_UP_AFTER {
                self.break_connection(link);
            } else {
                stalled.next = next + FIRST_RETRANSMISSION * (1 << stalled.tries);
                stalled.tries += 1;
                self.stalled.insert(link, stalled);
            }
        }
    }

    fn break_connection(&mut self, (from, to): Link) {
        self.stalled.remove(&(to, from));
        for (from, to) in [(from, to), (to, from)] {
            let id = self.take_id();
            let payload = Payload::PeerGone { peer: from };
            self.carry(Message { id, cause: MsgId(0), from, to, sent: self.now(), payload });
        }
    }
}
