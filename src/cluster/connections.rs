//! Requests under way. A client speaks to a server over one HTTP/2 connection, and of that a server takes [`MOST`] streams at a time
//! (Go's default): who asks more waits in the client, in order. Without that bound a controller that has ten thousand things
//! to do would be refused by flow control most of the time; the real ones have client-side rate limits besides, which are not
//! modelled.
//!
//! Watches aren't counted, so that none ever waits. A count may be too low after a server has gone; what a client gave up on counts
//! until it is answered, or its server is gone.

use apimachinery::{ResponseBody, Verb};
use base::{Map, Vector};
use sim::{Addr, Message, Outbox, Outgoing, Payload};

use crate::cluster::{Cluster, Observer};
use crate::process::Process;

/// Streams of a connection at a time.
const MOST: u16 = 250;

#[derive(Clone, Default)]
pub(crate) struct Connections {
    /// By client.
    under_way: Vec<u16>,
    held: Map<Addr, Vector<Outgoing>>,
}

impl Connections {
    fn count(&mut self, client: Addr) -> &mut u16 {
        let at = client.0 as usize;
        if at >= self.under_way.len() {
            self.under_way.resize(at + 1, 0);
        }
        &mut self.under_way[at]
    }

    /// A client's process is gone, with what it had asked and wanted to ask.
    pub(crate) fn forget(&mut self, client: Addr) {
        *self.count(client) = 0;
        self.held.remove(&client);
    }

    /// How many requests wait for a stream.
    pub(crate) fn waiting(&self) -> usize {
        self.held.values().map(Vector::len).sum()
    }
}

fn is_counted(me: Addr, o: &Outgoing) -> bool {
    matches!(&o.payload, Payload::ApiRequest { request, .. } if request.verb != Verb::Watch) && o.to != me
}

impl Cluster {
    /// Takes out of what a process sends the requests that have to wait for a stream.
    pub(crate) fn bound(&mut self, out: &mut Outbox) {
        let me = out.me;
        let requests = out.outgoing().iter().filter(|o| is_counted(me, o)).count();
        if requests == 0 {
            return;
        }
        let count = self.connections.count(me);
        if usize::from(*count) + requests <= usize::from(MOST) {
            *count += requests as u16;
            return;
        }
        // A load balancer passes on what others ask.
        if self.proc(me).is_none_or(|p| matches!(p.process, Process::Balancer(_))) {
            return;
        }
        let mut free = MOST - (*self.connections.count(me)).min(MOST);
        *self.connections.count(me) += free;
        let (mut kept, mut held) = (Vec::new(), Vec::new());
        for mut o in out.take() {
            if !is_counted(me, &o) {
                kept.push(o);
            } else if free > 0 {
                free -= 1;
                kept.push(o);
            } else {
                o.cause = Some(o.cause.unwrap_or(out.handling));
                held.push(o);
            }
        }
        out.put_back(kept);
        self.connections.held.entry(me).or_default().extend(held);
    }

    /// A message has reached its process: an answer frees its stream, and a connection that has broken frees all.
    pub(crate) fn freed(&mut self, message: &Message, observer: &mut impl Observer) {
        let client = message.to;
        let freed = match &message.payload {
            Payload::ApiResponse { response, .. } => u16::from(!matches!(response.body, ResponseBody::WatchStarted)),
            Payload::PeerGone { .. } => MOST,
            _ => 0,
        };
        if freed == 0 {
            return;
        }
        let count = self.connections.count(client);
        *count = count.saturating_sub(freed);
        if self.connections.held.is_empty() {
            return;
        }
        let Some(held) = self.connections.held.get_mut(&client) else { return };
        let next: Vec<Outgoing> = held.take_front(usize::from(freed));
        if held.is_empty() {
            self.connections.held.remove(&client);
        }
        let mut out = Outbox::new(client, message.id, self.now());
        out.put_back(next);
        self.send(out, observer);
    }

    /// A machine has lost its power, and what was under way to it is never answered.
    pub(crate) fn disconnect(&mut self, observer: &mut impl Observer) {
        self.connections.under_way.fill(0);
        for (client, held) in std::mem::take(&mut self.connections.held).iter() {
            let mut out = Outbox::new(*client, sim::MsgId(0), self.now());
            out.put_back(held.iter().cloned().collect());
            self.send(out, observer);
        }
    }
}
