//! A client outside of the bottle (a real kubectl at the native server): a process that keeps what it is told until it is fetched.

use std::rc::Rc;

use apimachinery::Request;
use base::Vector;
use sim::{Addr, Message, MsgId, Payload, StreamId};

use crate::cluster::Cluster;
use crate::process::Process;

/// What has come for the client and was not fetched yet.
#[derive(Clone, Default)]
pub struct Client {
    inbox: Vector<Payload>,
}

impl Client {
    pub(crate) fn handle(&mut self, message: Message) {
        self.inbox.push_back(message.payload);
    }
}

impl Cluster {
    /// A new client's address.
    pub fn connect_client(&mut self) -> Addr {
        let n = self.of_component("client").count() + 1;
        self.add_proc(&format!("client/{n}"), "outside", Process::Client(Client::default()))
    }

    /// Sends a request in a client's name. Its answer and what follows are named by `id`.
    pub fn send_as_client(&mut self, client: Addr, id: StreamId, request: Request) -> MsgId {
        let to = self.endpoint;
        self.queue.inject(client, to, Payload::ApiRequest { id, request: Rc::new(request) }, |_, _| ())
    }

    /// What has come for a client since the last call.
    pub fn take_client_messages(&mut self, client: Addr) -> Vector<Payload> {
        let waiting = self.proc(client).is_some_and(|p| matches!(&p.process, Process::Client(c) if !c.inbox.is_empty()));
        let mut taken = Vector::default();
        if waiting {
            self.with_proc(client, |p| {
                if let Process::Client(c) = &mut p.process {
                    taken = std::mem::take(&mut c.inbox);
                }
            });
        }
        taken
    }
}
