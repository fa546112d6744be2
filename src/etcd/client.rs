//! Whoever asked and waits for an answer.

use std::rc::Rc;

use base::Time;
use etcd_api::{Message, Response};
use sim::{Addr, Outbox, Payload};

use crate::member::{Member, RESPONSE_DELAY};

/// Who is to be answered, and how.
#[derive(Clone, Debug)]
pub enum Client {
    /// kube-apiserver: by the number of its request.
    Grpc { addr: Addr, id: u64 },
    /// `etcdctl`, by the gateway.
    Http { addr: Addr, id: u64, keys_only: bool },
    /// The member itself.
    Nobody,
}

/// A request that waits for its entry to be applied, or for a quorum's word.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub client: Client,
    pub since: Time,
}

impl Member {
    /// Answers go out after [`RESPONSE_DELAY`].
    pub(crate) fn answer(&self, client: &Client, response: Response, out: &mut Outbox) {
        let (to, payload) = match client {
            Client::Grpc { addr, id } => {
                let (id, revision) = (*id, self.revision());
                (*addr, Payload::Etcd(Message::Response { id, revision, response: Rc::new(response) }))
            }
            Client::Http { addr, id, keys_only } => {
                let response = Rc::new(crate::gateway::render(self, &response, *keys_only));
                (*addr, Payload::ApiResponse { id: *id, response })
            }
            Client::Nobody => return,
        };
        out.send_after(RESPONSE_DELAY, to, payload);
    }
}
