//! How events get to kube-apiserver: one after the other, so that a repeat finds the event that it counts up. What could not be
//! delivered is tried again for two minutes. Models `tools/record`'s sink.

use apimachinery::{Request, Response};
use base::{Duration, Vector};
use sim::Outbox;

use crate::kubelet::{Call, Kubelet, Wake};

/// How often an event is tried, and the time between.
const MAX_TRIES: u32 = 12;
const RETRY: Duration = Duration::from_secs(10);
/// What waits at most: beyond that events are lost, as upstream's broadcaster drops them.
const MAX_WAITING: usize = 1000;

/// Events on their way. The first is under way, or waits to be tried again.
#[derive(Clone, Default)]
pub struct EventSink {
    waiting: Vector<Request>,
    tries: u32,
}

impl Kubelet {
    pub(crate) fn send_event(&mut self, request: Request, out: &mut Outbox) {
        if self.events.waiting.len() == MAX_WAITING {
            return;
        }
        self.events.waiting.push_back(request);
        if self.events.waiting.len() == 1 {
            self.try_event(out);
        }
    }

    pub(crate) fn try_event(&mut self, out: &mut Outbox) {
        if let Some(request) = self.events.waiting.front().cloned() {
            self.events.tries += 1;
            self.client.call(request, Call::Event, out);
        }
    }

    /// Delivered, refused (then it is dropped) or lost.
    pub(crate) fn on_event_response(&mut self, response: &Response, out: &mut Outbox) {
        let lost = response.code == 0 || response.code >= 500;
        if lost && self.events.tries < MAX_TRIES {
            self.wheel.after(RETRY, Wake::Event, out.now);
            return;
        }
        self.events.waiting.pop_front();
        self.events.tries = 0;
        self.try_event(out);
    }
}
