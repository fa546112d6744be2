//! Telling watchers: of each revision as it is made, and of what they missed.

use std::rc::Rc;

use etcd_api::{Event, Message, Response, WatchRequest};
use sim::{Addr, Outbox, Payload};

use crate::client::Client;
use crate::member::{Member, RESPONSE_DELAY};
use crate::store::Entry;
use crate::watch::WatcherId;

impl Member {
    /// Tells watchers of the changes of the newest revision.
    pub(crate) fn notify(&mut self, revision: i64, out: &mut Outbox) {
        let mut batches: Vec<(WatcherId, Vec<Event>)> = Vec::new();
        let log = self.data.state.store.log();
        let mut first = log.len();
        while first > 0 && log[first - 1].revision == revision {
            first -= 1;
        }
        for i in first..log.len() {
            let entry = &log[i];
            for id in self.watchers.candidates(&entry.key) {
                let Some(event) = self.watchers.peek(id).and_then(|w| w.event(entry)) else { continue };
                match batches.iter_mut().find(|(i, _)| *i == id) {
                    Some((_, events)) => events.push(event),
                    None => batches.push((id, vec![event])),
                }
            }
        }
        for (id, events) in batches {
            self.send_batch(id, events, out);
        }
    }

    fn send_batch(&mut self, id: WatcherId, events: Vec<Event>, out: &mut Outbox) {
        let revision = self.revision();
        let Some(watcher) = self.watchers.get_mut(id) else { return };
        let after = std::mem::replace(&mut watcher.sent, revision);
        self.tell(id.0, Message::WatchEvents { watch_id: id.1, after, revision, events: Rc::new(events) }, out);
    }

    fn tell(&self, to: Addr, message: Message, out: &mut Outbox) {
        out.send_after(RESPONSE_DELAY, to, Payload::Etcd(message));
    }

    pub(crate) fn progress(&mut self, client: Addr, out: &mut Outbox) {
        for id in self.watchers.of(client) {
            self.send_batch(id, Vec::new(), out);
        }
    }

    pub(crate) fn watch(&mut self, from: Addr, id: u64, request: &WatchRequest, out: &mut Outbox) {
        let watch_id = request.watch_id;
        self.watchers.remove((from, watch_id));
        self.answer(&Client::Grpc { addr: from, id }, Response::WatchCreated { watch_id }, out);
        let compact_revision = self.store().compacted();
        if request.start_revision > 0 && request.start_revision < compact_revision {
            return self.tell(from, Message::WatchCanceled { watch_id, compact_revision }, out);
        }
        let (start, now) = (request.start_revision, self.revision());
        self.watchers.add(from, request, if start > 0 { (start - 1).min(now) } else { now });
        if start > 0 && start <= now {
            self.send_backlog((from, watch_id), start, out);
        }
    }

    fn send_backlog(&mut self, id: WatcherId, start: i64, out: &mut Outbox) {
        let Some(watcher) = self.watchers.peek(id) else { return };
        let backlog: Vec<Event> = self.store().changes_from(start).filter_map(|e: &Entry| watcher.event(e)).collect();
        if !backlog.is_empty() {
            self.send_batch(id, backlog, out);
        }
    }

    /// The store was replaced by a leader's snapshot: watchers get what they have not seen of it.
    pub(crate) fn resync_watchers(&mut self, out: &mut Outbox) {
        let compact_revision = self.store().compacted();
        for (id, sent) in self.watchers.all() {
            if sent + 1 < compact_revision {
                self.watchers.remove(id);
                self.tell(id.0, Message::WatchCanceled { watch_id: id.1, compact_revision }, out);
            } else {
                self.send_backlog(id, sent + 1, out);
            }
        }
    }

    /// A member that has lost its leader for long ends its watches, so that clients look for another member.
    pub(crate) fn cancel_watches(&mut self, out: &mut Outbox) {
        for (id, _) in self.watchers.all() {
            self.watchers.remove(id);
            self.tell(id.0, Message::WatchCanceled { watch_id: id.1, compact_revision: 0 }, out);
        }
    }
}
