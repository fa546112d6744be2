//! One apiserver, one etcd, one client, and stand-ins for the two controllers without which no pod can be made.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{Credential, Object, Request, Response, ResponseBody, UserInfo, WatchEvent, resources, value};
use base::{Duration, Seed, Time};
use etcd::Member;
use sim::{Addr, Outbox, Payload, Queue, StreamId};

use crate::{ApiServer, Config};

pub const API: Addr = Addr(1);
pub const ETCD: Addr = Addr(2);
pub const CLIENT: Addr = Addr(3);

#[derive(Clone)]
pub struct World {
    pub api: ApiServer,
    pub etcd: Member,
    pub queue: Queue,
    pub answers: BTreeMap<StreamId, Rc<Response>>,
    pub events: BTreeMap<StreamId, Vec<WatchEvent>>,
    pub ended: Vec<StreamId>,
    next: StreamId,
}

thread_local! {
    static ADMIN: Rc<UserInfo> = Rc::new(UserInfo::new("kubernetes-admin", &["system:masters"]));
}

pub fn admin() -> Credential {
    Credential::Certificate(ADMIN.with(Rc::clone))
}

impl World {
    pub fn new() -> World {
        let epoch = Time::parse("2026-11-23T03:00:00Z").unwrap();
        let mut world = World {
            api: ApiServer::new(Config::new(API, ETCD, Seed(7), epoch)),
            etcd: Member::new("etcd-0"),
            queue: Queue::new(Seed(7), epoch),
            answers: BTreeMap::new(),
            events: BTreeMap::new(),
            ended: Vec::new(),
            next: 0,
        };
        for addr in [ETCD, API] {
            world.queue.inject(Addr::OUTSIDE, addr, Payload::Start, |_, _| ());
        }
        world.run(Duration::from_secs(1));
        assert!(world.api.is_ready());
        world
    }

    pub fn step(&mut self) -> bool {
        let Some(delivery) = self.queue.pop() else { return false };
        let (now, message) = (self.queue.now(), delivery.message);
        let mut out = Outbox::new(message.to, message.id, now);
        match message.to {
            API => self.api.handle(now, message, &mut out),
            ETCD => self.etcd.handle(now, message, &mut out),
            _ => match message.payload {
                Payload::ApiResponse { id, response } => {
                    self.answers.insert(id, response);
                }
                Payload::WatchEvents { id, events } => self.events.entry(id).or_default().extend(events.iter().cloned()),
                Payload::StreamEnd { id } => self.ended.push(id),
                _ => {}
            },
        }
        self.queue.dispatch(out, |_, _| ());
        true
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.queue.now() + time;
        while self.queue.peek().is_some_and(|at| at <= until) {
            self.step();
        }
        self.queue.advance_to(until);
    }

    pub fn send(&mut self, request: Request) -> StreamId {
        self.next += 1;
        let id = self.next;
        let payload = Payload::ApiRequest { id, request: Rc::new(request) };
        self.queue.inject(CLIENT, API, payload, |_, _| ());
        id
    }

    /// Sends and waits for the answer.
    pub fn ask(&mut self, request: Request) -> Rc<Response> {
        let id = self.send(request);
        while !self.answers.contains_key(&id) {
            assert!(self.step(), "no answer");
        }
        self.answers.remove(&id).unwrap()
    }

    pub fn ask_admin(&mut self, mut request: Request) -> Rc<Response> {
        request.credential = admin();
        if request.user_agent.is_empty() {
            request.user_agent = "test/1.0".into();
        }
        self.ask(request)
    }

    /// Creates a namespace with what its controllers would put into it.
    pub fn namespace(&mut self, name: &str) {
        let object = Object::from_value(value!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).unwrap();
        self.ask_admin(Request::create(resources::namespaces(), object));
        self.furnish(name);
    }

    pub fn furnish(&mut self, namespace: &str) {
        let account = value!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}
        });
        let ca = value!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt", "namespace": namespace},
            "data": {"ca.crt": "x"}
        });
        for (gvr, v) in [(resources::serviceaccounts(), account), (resources::configmaps(), ca)] {
            self.ask_admin(Request::create(gvr, Object::from_value(v).unwrap()));
        }
    }
}

/// The object that was answered.
pub(crate) fn object(response: &Response) -> Object {
    match &response.body {
        ResponseBody::Object(object) => object.clone(),
        other => panic!("{} {other:?}", response.code),
    }
}
