//! A controller's client: it speaks as its service account, whose token it fetches on first use.
//!
//! Models `clientbuilder.DynamicControllerClientBuilder`. The token is fetched by the manager's own client, see `manager.rs`.

use std::rc::Rc;

use apimachinery::{Credential, Request};
use base::{Duration, Time, Vector};
use client_go::{Client, ClientConfig};
use sim::{MsgId, Outbox, StreamId};

/// What a call was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tag {
    /// The `.1`-th call of the running sync `.0`.
    Sync(u64, u32),
    /// An event: nobody waits for the answer.
    Event,
}

/// A renewed token is wanted this long before the old one ends.
const LEEWAY: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct Account {
    pub name: &'static str,
    client: Client<Tag>,
    /// Until when the token is good; `None`: none yet.
    good_until: Option<Time>,
    fetching: bool,
    waiting: Vector<(Request, Tag, MsgId)>,
}

impl Account {
    /// `with_token`: the client's credential is complete as it is (no `--use-service-account-credentials`).
    pub fn new(scope: u16, name: &'static str, config: ClientConfig, with_token: bool) -> Account {
        let good_until = with_token.then_some(Time(i64::MAX));
        Account { name, client: Client::new(scope, config), good_until, fetching: false, waiting: Vector::default() }
    }

    /// Sends a call, or keeps it until the token is there.
    pub fn call(&mut self, request: Request, tag: Tag, out: &mut Outbox) {
        if self.good_until.is_some_and(|until| out.now < until) {
            self.client.call(request, tag, out);
        } else {
            self.waiting.push_back((request, tag, out.cause()));
        }
    }
    /// Whether a token must be fetched now. Asked once per need.
    pub fn wants_token(&mut self) -> bool {
        let wants = !self.waiting.is_empty() && !self.fetching;
        self.fetching |= wants;
        wants
    }
    /// The token is here: what waited goes out.
    pub fn set_token(&mut self, token: &str, lifetime: Duration, out: &mut Outbox) {
        self.fetching = false;
        self.client.config.credential = Credential::Bearer(Rc::from(token));
        self.good_until = Some(out.now + lifetime - LEEWAY);
        for (request, tag, cause) in std::mem::take(&mut self.waiting) {
            out.set_cause(Some(cause));
            self.client.call(request, tag, out);
        }
        out.set_cause(None);
    }
    /// The fetch failed; it will be asked for again by the manager's timer.
    pub fn token_failed(&mut self) {
        self.fetching = false;
    }
    /// The token was refused: the next call fetches another.
    pub fn forget_token(&mut self) {
        self.good_until = None;
    }
    pub fn owns(&self, id: StreamId) -> bool {
        self.client.owns(id)
    }
    pub fn take(&mut self, id: StreamId) -> Option<Tag> {
        self.client.take(id)
    }
    pub fn drop_all(&mut self) -> Vec<(StreamId, Tag)> {
        self.client.drop_all()
    }
    pub fn outstanding(&self) -> usize {
        self.client.outstanding() + self.waiting.len()
    }
}
