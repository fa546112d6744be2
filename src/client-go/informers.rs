//! The shared informers of one process: one watch per resource (and selector), however many look at it.

use std::rc::Rc;

use apimachinery::{Gvr, Object};
use base::Seed;
use sim::{Addr, Outbox, Payload, StreamId};

use crate::client::{Client, ClientConfig};
use crate::informer::{Delta, Informer, Next, Selectors};
use crate::store::{IndexFn, Store};
use crate::timers::Timers;

/// What became of a payload that was offered.
#[derive(Clone, Debug)]
pub enum Handled {
    /// It isn't for these informers.
    NotMine,
    /// Nothing in a cache changed.
    Nothing,
    /// The cache of the informer of this number changed, in this order.
    Deltas(usize, Vec<Delta>),
}

/// Informers by number: 0, 1, … in the order in which they were added. They talk through a client of their own.
#[derive(Clone, Debug)]
pub struct Informers {
    client: Client<usize>,
    timers: Timers<usize>,
    list: Vec<Informer>,
    seed: Seed,
}

impl Informers {
    pub fn new(scope: u16, config: ClientConfig, seed: Seed) -> Informers {
        Informers { client: Client::new(scope, config), timers: Timers::new(scope), list: Vec::new(), seed }
    }
    /// Adds an informer; it is started by [`Informers::start`] or [`Informers::start_one`].
    pub fn add(&mut self, gvr: Gvr, selectors: Selectors, indexes: &[IndexFn]) -> usize {
        let seed = self.seed.derive(&self.list.len().to_string());
        self.list.push(Informer::new(gvr, selectors, Store::new(indexes), seed));
        self.list.len() - 1
    }
    /// Changes the credential (a renewed token) that the next watches use.
    pub fn config_mut(&mut self) -> &mut ClientConfig {
        &mut self.client.config
    }
    pub fn get(&self, number: usize) -> &Informer {
        &self.list[number]
    }
    pub fn store(&self, number: usize) -> &Store {
        &self.list[number].store
    }
    /// For caches that look ahead (the scheduler's assumed pods) and for adding indexes.
    pub fn store_mut(&mut self, number: usize) -> &mut Store {
        &mut self.list[number].store
    }
    pub fn iter(&self) -> impl Iterator<Item = &Informer> {
        self.list.iter()
    }
    pub fn len(&self) -> usize {
        self.list.len()
    }
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    pub fn all_synced(&self) -> bool {
        self.list.iter().all(Informer::has_synced)
    }

    /// Starts all that aren't under way.
    pub fn start(&mut self, out: &mut Outbox) {
        for number in 0..self.list.len() {
            if self.list[number].stream().is_none() {
                self.start_one(number, out);
            }
        }
    }
    pub fn start_one(&mut self, number: usize, out: &mut Outbox) {
        let informer = &mut self.list[number];
        let request = informer.request();
        let id = self.client.open(request, number, out);
        informer.opened(id);
    }
    /// Ends the watch of an informer (its cache stays as it is).
    pub fn stop_one(&mut self, number: usize, out: &mut Outbox) {
        if let Some(id) = self.list[number].stream() {
            self.client.close(id, out);
        }
    }

    /// Ends the watch of an informer and forgets what it brought: when it is started again, it begins anew.
    pub fn reset_one(&mut self, number: usize, out: &mut Outbox) {
        self.stop_one(number, out);
        self.list[number].forget();
    }

    /// Takes what is meant for these informers: answers, watch events, ends of streams, timers, a lost peer.
    pub fn handle(&mut self, payload: &Payload, out: &mut Outbox) -> Handled {
        let mut deltas = Vec::new();
        let (number, next) = match payload {
            Payload::WatchEvents { id, events } if self.client.owns(*id) => {
                let Some(number) = self.current(*id) else { return Handled::Nothing };
                (number, self.list[number].on_events(events, out.now, &mut deltas))
            }
            Payload::ApiResponse { id, response } if self.client.owns(*id) => {
                let Some(number) = self.current(*id) else { return Handled::Nothing };
                (number, self.list[number].on_response(response, out.now, &mut deltas))
            }
            Payload::StreamEnd { id } if self.client.owns(*id) => {
                let Some(number) = self.current(*id) else { return Handled::Nothing };
                (number, self.list[number].on_end(out.now))
            }
            Payload::Timer(token) if self.timers.owns(*token) => {
                let Some(number) = self.timers.take(*token) else { return Handled::Nothing };
                let idle = self.list[number].stream().is_none();
                (number, if idle { Next::Connect } else { Next::Nothing })
            }
            Payload::PeerGone { peer } if *peer == self.client.config.apiserver => {
                self.lost(*peer, out);
                return Handled::NotMine;
            }
            _ => return Handled::NotMine,
        };
        self.go_on(number, next, out);
        if deltas.is_empty() { Handled::Nothing } else { Handled::Deltas(number, deltas) }
    }

    /// The informer whose stream this is; late messages of an earlier stream find none.
    fn current(&self, id: StreamId) -> Option<usize> {
        self.client.tag(id).copied().filter(|number| self.list[*number].stream() == Some(id))
    }

    fn go_on(&mut self, number: usize, next: Next, out: &mut Outbox) {
        match next {
            Next::Nothing => return,
            Next::Connect => self.start_one(number, out),
            Next::ConnectAfter(delay) => {
                self.timers.after(delay, number, out);
            }
        }
        // Forget the streams that are over: only what an informer holds is alive.
        let live: Vec<StreamId> = self.list[number].stream().into_iter().collect();
        let over: Vec<StreamId> = self.client.ids_of(number).filter(|id| !live.contains(id)).collect();
        for id in over {
            self.client.take(id);
        }
    }

    /// Every stream with kube-apiserver broke; each informer comes back after a backoff of its own.
    fn lost(&mut self, _peer: Addr, out: &mut Outbox) {
        self.client.drop_all();
        for number in 0..self.list.len() {
            if self.list[number].stream().is_some() {
                let next = self.list[number].broken(out.now);
                self.go_on(number, next, out);
            }
        }
    }

    /// The object of a name in an informer's cache.
    pub fn find(&self, number: usize, namespace: &str, name: &str) -> Option<&Object> {
        self.list[number].store.find(namespace, name)
    }
    /// Resource and last revision of each: for the page.
    pub fn positions(&self) -> impl Iterator<Item = (Gvr, &Rc<str>)> {
        self.list.iter().map(|i| (i.gvr, i.last_resource_version()))
    }
}
