//! The load balancer in front of several kube-apiservers: the address that is in every kubeconfig of a highly available control plane.
//!
//! It balances connections, as HAProxy with `mode tcp` does: all that one client sends goes to one kube-apiserver, until that is gone;
//! then its connections break, and the next request opens one to another. Who is there is found out by asking each for `/readyz`
//! every three seconds; two that stay unanswered are enough to be given up, and a refused connection is tried elsewhere at once.
//! Left out: weights, and a second load balancer (this one is never lost by itself).

use std::rc::Rc;

use apimachinery::{Request, Response, ResponseBody};
use base::{Duration, Map, Time};
use sim::{Addr, Message, Outbox, Payload, StreamId, transport_error};

/// Its address on the nodes' network.
pub const IP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(172, 18, 254, 1);

/// Between two questions to a kube-apiserver …
const INTERVAL: Duration = Duration::from_secs(3);
/// … and how many of them may stay unanswered.
const FALL: u32 = 2;
/// Numbers of questions, apart from those of clients' calls.
const PROBES: u64 = 1 << 62;
const TICK: u64 = 1;

/// One kube-apiserver.
#[derive(Clone, Debug)]
struct Backend {
    addr: Addr,
    up: bool,
    /// Questions in a row that were not answered well.
    failures: u32,
    /// The question under way.
    asked: Option<u64>,
}

/// A client's call, or the stream that it has opened.
#[derive(Clone, Debug)]
struct Call {
    client: Addr,
    id: StreamId,
    backend: usize,
    request: Rc<Request>,
    streams: bool,
}

/// The process. Clone is cheap.
#[derive(Clone, Debug)]
pub struct Balancer {
    backends: Vec<Backend>,
    /// Which kube-apiserver a client's connection leads to.
    connections: Map<Addr, usize>,
    calls: Map<u64, Rc<Call>>,
    by_client: Map<(Addr, StreamId), u64>,
    next: u64,
    turn: usize,
}

impl Balancer {
    pub(crate) fn new(backends: &[Addr]) -> Balancer {
        let backend = |addr: &Addr| Backend { addr: *addr, up: false, failures: 0, asked: None };
        Balancer {
            backends: backends.iter().map(backend).collect(),
            connections: Map::new(),
            calls: Map::new(),
            by_client: Map::new(),
            next: 0,
            turn: 0,
        }
    }

    /// One more kube-apiserver: it is used as soon as it has answered.
    pub(crate) fn add(&mut self, addr: Addr) {
        if self.backends.iter().all(|b| b.addr != addr) {
            self.backends.push(Backend { addr, up: false, failures: 0, asked: None });
        }
    }

    /// The kube-apiservers, whether each is used, and how many clients are connected to it. For the page.
    pub fn backends(&self) -> impl Iterator<Item = (Addr, bool, usize)> {
        let clients = |n: usize| self.connections.values().filter(|b| **b == n).count();
        self.backends.iter().enumerate().map(move |(n, b)| (b.addr, b.up, clients(n)))
    }

    pub(crate) fn handle(&mut self, _now: Time, message: Message, out: &mut Outbox) {
        let from = message.from;
        match message.payload {
            Payload::Start => self.tick(out),
            Payload::Timer(_) => self.tick(out),
            Payload::ApiRequest { id, request } => self.begin(from, id, request, out),
            Payload::ApiResponse { id, response } if id >= PROBES => self.probed(from, id, &response, out),
            Payload::ApiResponse { id, response } => self.answered(id, response, out),
            Payload::WatchEvents { id, events } => {
                if let Some(call) = self.calls.get(&id).cloned() {
                    out.send(call.client, Payload::WatchEvents { id: call.id, events });
                }
            }
            Payload::StreamFrame { id, channel, data } => {
                if let Some((to, id)) = self.other_end(from, id) {
                    out.send(to, Payload::StreamFrame { id, channel, data });
                }
            }
            Payload::StreamEnd { id } => {
                if let Some((to, other)) = self.other_end(from, id) {
                    out.send(to, Payload::StreamEnd { id: other });
                    let number = self.by_client.get(&(from, id)).copied().unwrap_or(id);
                    self.forget(number);
                }
            }
            Payload::PeerGone { peer } => match self.backends.iter().position(|b| b.addr == peer) {
                Some(backend) => self.lost(backend, out),
                None => self.client_gone(peer, out),
            },
            _ => {}
        }
    }

    fn tick(&mut self, out: &mut Outbox) {
        for n in 0..self.backends.len() {
            if self.backends[n].asked.is_some() {
                self.failed(n, out);
            }
            self.next += 1;
            let id = PROBES + self.next;
            self.backends[n].asked = Some(id);
            let mut request = Request::get_path("/readyz");
            request.user_agent = "haproxy".into();
            // One that lost its etcd still says so itself to who asks it: that is told better than a connection that breaks.
            request.options.query.extend(["etcd", "etcd-readiness"].map(|check| ("exclude".into(), check.into())));
            out.request(self.backends[n].addr, id, request);
        }
        out.timer(INTERVAL, TICK);
    }

    fn probed(&mut self, from: Addr, id: u64, response: &Response, out: &mut Outbox) {
        let Some(n) = self.backends.iter().position(|b| b.addr == from && b.asked == Some(id)) else { return };
        self.backends[n].asked = None;
        if response.code == 200 {
            (self.backends[n].up, self.backends[n].failures) = (true, 0);
        } else {
            self.failed(n, out);
        }
    }

    fn failed(&mut self, n: usize, out: &mut Outbox) {
        self.backends[n].failures += 1;
        if self.backends[n].failures >= FALL && self.backends[n].up {
            self.lost(n, out);
        }
    }

    /// The next kube-apiserver in turn that is there.
    fn choose(&mut self) -> Option<usize> {
        let count = self.backends.len();
        let n = (1..=count).map(|step| (self.turn + step) % count).find(|n| self.backends[*n].up)?;
        self.turn = n;
        Some(n)
    }

    fn begin(&mut self, client: Addr, id: StreamId, request: Rc<Request>, out: &mut Outbox) {
        let backend = match self.connections.get(&client).copied().filter(|n| self.backends[*n].up) {
            Some(backend) => Some(backend),
            None => self.choose(),
        };
        let Some(backend) = backend else {
            return out.respond(client, id, transport_error("EOF"));
        };
        self.connections.insert(client, backend);
        self.next += 1;
        let number = self.next;
        self.by_client.insert((client, id), number);
        self.calls.insert(number, Rc::new(Call { client, id, backend, request: request.clone(), streams: false }));
        out.send(self.backends[backend].addr, Payload::ApiRequest { id: number, request });
    }

    fn answered(&mut self, number: u64, response: Rc<Response>, out: &mut Outbox) {
        let Some(call) = self.calls.get(&number).cloned() else { return };
        if response.code == 0 {
            return self.broken(number, &call, response, out);
        }
        match response.body {
            ResponseBody::WatchStarted | ResponseBody::StreamStarted => {
                self.calls.insert(number, Rc::new(Call { streams: true, ..(*call).clone() }));
            }
            _ => self.forget(number),
        }
        out.send(call.client, Payload::ApiResponse { id: call.id, response });
    }

    /// No connection could be made: another kube-apiserver is tried. Or it broke: that the client must know.
    fn broken(&mut self, number: u64, call: &Call, response: Rc<Response>, out: &mut Outbox) {
        self.forget(number);
        let refused = matches!(&response.body, ResponseBody::Text(_, text) if text.contains("connection refused"));
        self.backends[call.backend].up = false;
        self.connections.remove(&call.client);
        if refused && self.backends.iter().any(|b| b.up) {
            return self.begin(call.client, call.id, call.request.clone(), out);
        }
        let response = if refused { Rc::new(transport_error("EOF")) } else { response };
        out.send(call.client, Payload::ApiResponse { id: call.id, response });
    }

    /// A kube-apiserver is gone: all connections to it break.
    fn lost(&mut self, n: usize, out: &mut Outbox) {
        self.backends[n].up = false;
        let calls: Vec<(u64, Rc<Call>)> =
            self.calls.iter().filter(|(_, c)| c.backend == n).map(|(number, c)| (*number, c.clone())).collect();
        for (number, call) in calls {
            self.forget(number);
            match call.streams {
                true => out.send(call.client, Payload::StreamEnd { id: call.id }),
                false => out.respond(call.client, call.id, transport_error("http2: client connection lost")),
            }
        }
        let clients: Vec<Addr> = self.connections.iter().filter(|(_, b)| **b == n).map(|(client, _)| *client).collect();
        for client in clients {
            self.connections.remove(&client);
            out.send(client, Payload::PeerGone { peer: out.me });
        }
    }

    fn client_gone(&mut self, client: Addr, out: &mut Outbox) {
        self.connections.remove(&client);
        let calls: Vec<(u64, Rc<Call>)> =
            self.calls.iter().filter(|(_, c)| c.client == client).map(|(number, c)| (*number, c.clone())).collect();
        for (number, call) in calls {
            self.forget(number);
            out.send(self.backends[call.backend].addr, Payload::StreamEnd { id: number });
        }
    }

    /// Where a frame of a stream goes on to: from the client to the kube-apiserver, or back.
    fn other_end(&self, from: Addr, id: StreamId) -> Option<(Addr, StreamId)> {
        if let Some(number) = self.by_client.get(&(from, id)) {
            let call = self.calls.get(number)?;
            return Some((self.backends[call.backend].addr, *number));
        }
        let call = self.calls.get(&id).filter(|c| self.backends[c.backend].addr == from)?;
        Some((call.client, call.id))
    }

    fn forget(&mut self, number: u64) {
        if let Some(call) = self.calls.remove(&number) {
            self.by_client.remove(&(call.client, call.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::MsgId;

    const ME: Addr = Addr(9);
    const CLIENT: Addr = Addr(5);

    fn give(balancer: &mut Balancer, from: Addr, payload: Payload) -> Vec<(Addr, Payload)> {
        let mut out = Outbox::new(ME, MsgId(1), Time::EPOCH);
        let message = Message { id: MsgId(1), cause: MsgId(0), from, to: ME, sent: Time::EPOCH, payload };
        balancer.handle(Time::EPOCH, message, &mut out);
        out.take().into_iter().map(|o| (o.to, o.payload)).collect()
    }

    fn ask(balancer: &mut Balancer, id: u64) -> Vec<(Addr, Payload)> {
        let request = Rc::new(Request::get_path("/version"));
        give(balancer, CLIENT, Payload::ApiRequest { id, request })
    }

    /// Starts one whose kube-apiservers 1 and 2 are there.
    fn begin() -> Balancer {
        let mut balancer = Balancer::new(&[Addr(1), Addr(2)]);
        for (to, payload) in give(&mut balancer, ME, Payload::Start) {
            let Payload::ApiRequest { id, .. } = payload else { continue };
            let response = Rc::new(Response { code: 200, ..Response::default() });
            give(&mut balancer, to, Payload::ApiResponse { id, response });
        }
        balancer
    }

    #[test]
    fn a_client_stays_with_its_apiserver_until_that_is_gone() {
        let mut balancer = begin();
        let first = ask(&mut balancer, 1)[0].0;
        assert_eq!(ask(&mut balancer, 2)[0].0, first);
        let told = give(&mut balancer, first, Payload::PeerGone { peer: first });
        assert_eq!(told.len(), 3, "two answers, and the broken connection");
        assert!(told.iter().all(|(to, _)| *to == CLIENT));
        let second = ask(&mut balancer, 3)[0].0;
        assert_ne!(second, first);
    }

    #[test]
    fn a_refused_connection_is_tried_elsewhere() {
        let mut balancer = begin();
        let (first, Payload::ApiRequest { id, .. }) = ask(&mut balancer, 1).remove(0) else { panic!() };
        let response = Rc::new(transport_error("dial tcp 172.18.0.2:6443: connect: connection refused"));
        let next = give(&mut balancer, first, Payload::ApiResponse { id, response });
        assert!(matches!(&next[0], (to, Payload::ApiRequest { .. }) if *to != first && *to != CLIENT));
    }

    #[test]
    fn silence_is_noticed_by_two_questions() {
        let mut balancer = Balancer::new(&[Addr(1), Addr(2)]);
        assert!(matches!(&ask(&mut balancer, 1)[0], (CLIENT, Payload::ApiResponse { response, .. }) if response.code == 0));
        let mut balancer = begin();
        let first = ask(&mut balancer, 1)[0].0;
        let mut told = Vec::new();
        for _ in 0..3 {
            for (to, payload) in give(&mut balancer, ME, Payload::Timer(TICK)) {
                match payload {
                    Payload::ApiRequest { id, .. } if to != first => {
                        let response = Rc::new(Response { code: 200, ..Response::default() });
                        give(&mut balancer, to, Payload::ApiResponse { id, response });
                    }
                    other if to == CLIENT => told.push(other),
                    _ => {}
                }
            }
        }
        assert!(told.iter().any(|p| matches!(p, Payload::PeerGone { peer: ME })));
        assert_ne!(ask(&mut balancer, 2)[0].0, first);
    }
}
