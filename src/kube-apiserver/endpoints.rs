//! Which etcd member is spoken to, and what is asked of another one when it goes. Models the balancer of etcd's client.
//!
//! All goes to one member until its connection breaks, it is silent for too long, or it has lost its leader; then to the next.
//! A read may be asked again, a write may have happened and is not. Left out: spreading requests over all members.

use std::rc::Rc;

use base::{Duration, Map};
use etcd_api::{Error, Request, Response};
use sim::Addr;

/// The client's keep-alive: a member that says nothing for so long is given up, if there is another.
const SILENCE: Duration = Duration::from_secs(10);
/// Before a read is asked again.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(25);

/// `--etcd-servers`, one of which is in use.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    all: Rc<[Addr]>,
    at: usize,
    /// Reads under way. With one member none is kept: there is nobody else to ask.
    reads: Map<u64, Rc<Request>>,
}

impl Endpoints {
    pub fn new(all: &[Addr]) -> Endpoints {
        Endpoints { all: all.into(), at: 0, reads: Map::default() }
    }
    pub fn current(&self) -> Addr {
        self.all[self.at]
    }
    /// Turns to the next. False: there is none.
    pub fn turn(&mut self) -> bool {
        self.at = (self.at + 1) % self.all.len();
        self.all.len() > 1
    }
    /// How long a request may stay unanswered.
    pub fn patience(&self, with_one: Duration) -> Duration {
        if self.all.len() > 1 { SILENCE } else { with_one }
    }
    pub fn sent(&mut self, id: u64, request: &Rc<Request>) {
        if self.all.len() > 1 && matches!(**request, Request::Range(_)) {
            self.reads.insert(id, request.clone());
        }
    }
    pub fn read(&self, id: u64) -> Option<Rc<Request>> {
        self.reads.get(&id).cloned()
    }
    /// An answer came: the read to ask again, if that is what it calls for.
    pub fn answered(&mut self, id: u64, response: &Response) -> Option<Rc<Request>> {
        let again = matches!(response, Response::Error(Error::LeaderChanged | Error::NoLeader | Error::Stopped));
        match again {
            true => self.read(id),
            false => {
                if !self.reads.is_empty() {
                    self.reads.remove(&id);
                }
                None
            }
        }
    }
}
