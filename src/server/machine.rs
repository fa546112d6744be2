//! The thread that the cluster lives on. It takes requests from connections, puts them into the simulation as an outside client's
//! messages, and hands back what that client is told. Nothing of the cluster ever leaves this thread.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration as Wall;

use apimachinery::status::Status;
use apimachinery::{Request, Response, ResponseBody, UserInfo};
use base::{Duration, Time};
use cluster::{Cluster, Config};
use sim::{Addr, Payload};
use tokio::sync::mpsc::UnboundedSender;

use crate::encode::{self, Asked, Head};
use crate::pacer::{Pacer, Speed};

/// An HTTP request as it came.
pub struct HttpRequest {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whose the client's certificate is.
    pub certificate: Option<crate::der::Holder>,
}

impl HttpRequest {
    /// A body in protobuf becomes the JSON that says the same.
    fn read_protobuf(&mut self) {
        let media = self.headers.iter_mut().find(|(k, _)| k.eq_ignore_ascii_case("Content-Type"));
        let Some((_, media)) = media.filter(|(_, v)| v.starts_with("application/vnd.kubernetes.protobuf")) else { return };
        if let Some(json) = crate::protobuf::to_json(&self.body) {
            *media = "application/json".into();
            self.body = json;
        }
    }
}

/// From a connection. `id` names the call for as long as it lasts.
pub enum ToCluster {
    Request { id: u64, request: HttpRequest, reply: UnboundedSender<FromCluster> },
    Frame { id: u64, channel: u8, data: Vec<u8> },
    Close { id: u64 },
}

/// To a connection.
pub enum FromCluster {
    /// The whole answer.
    Answer(Head, Vec<u8>),
    /// An answer whose body follows in chunks, until [`FromCluster::End`]. Code 101: frames follow instead.
    Start(Head),
    Chunk(Vec<u8>),
    Frame(u8, Vec<u8>),
    End,
}

struct Call {
    asked: Asked,
    flow: Option<encode::FlowUids>,
    reply: UnboundedSender<FromCluster>,
}

/// How far ahead of the pacer an unanswered request may push virtual time: a real one takes milliseconds.
const HURRY: Duration = Duration::from_millis(300);
/// Messages handled between two looks at the channel.
const SLICE: u32 = 2_000;
/// A cluster that is further behind than this gives up catching up.
const MAX_LAG: Duration = Duration::from_secs(120);

struct Machine {
    cluster: Cluster,
    client: Addr,
    calls: BTreeMap<u64, Call>,
    /// Calls without an answer, with the time until which they are hurried.
    hurried: BTreeMap<u64, Time>,
}

/// Boots the cluster (as fast as it goes), says so by `ready`, then serves until every sender of `inbox` is gone.
pub fn run(config: Config, speed: Speed, inbox: &Receiver<ToCluster>, ready: impl FnOnce()) {
    let mut cluster = Cluster::new(config);
    let client = cluster.connect_client();
    let limit = cluster.now() + Duration::from_secs(300);
    while !cluster.is_ready() && cluster.now() < limit {
        let next = cluster.now() + Duration::from_millis(100);
        cluster.run_until(next, &mut ());
    }
    let mut machine = Machine { cluster, client, calls: BTreeMap::new(), hurried: BTreeMap::new() };
    machine.catch_up();
    ready();
    let mut pacer = Pacer::new(speed, machine.cluster.now());
    loop {
        match inbox.recv_timeout(machine.wait(&pacer)) {
            Ok(message) => {
                machine.take(message);
                while let Ok(message) = inbox.try_recv() {
                    machine.take(message);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        machine.advance(&mut pacer);
    }
}

impl Machine {
    /// The boot went faster than the wall clock. Where the cluster was set to begin a moment ago, it is now brought to the present.
    fn catch_up(&mut self) {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
        let behind = Time(wall).since(self.cluster.now());
        if behind > Duration::ZERO && behind < MAX_LAG {
            self.cluster.run_until(Time(wall), &mut ());
        }
        self.cluster.take_page_messages();
    }

    /// How long nothing needs to be done.
    fn wait(&self, pacer: &Pacer) -> Wall {
        match self.cluster.queue.peek() {
            Some(at) => pacer.wait_for(at).min(Wall::from_secs(1)),
            None => Wall::from_secs(1),
        }
    }

    fn advance(&mut self, pacer: &mut Pacer) {
        let target = pacer.target();
        let mut left = SLICE;
        while left > 0 && self.cluster.queue.peek().is_some_and(|at| at <= target) {
            self.step();
            left -= 1;
        }
        if left > 0 {
            self.cluster.queue.advance_to(target);
        } else if target.since(self.cluster.now()) > MAX_LAG {
            pacer.rebase(self.cluster.now());
        }
        while let Some(until) = self.hurried.values().next_back().copied() {
            if self.cluster.queue.peek().is_none_or(|at| at > until) {
                // It waits for something slow (a timeout, a grace period): the clock decides.
                self.hurried.clear();
                break;
            }
            self.step();
        }
        self.cluster.take_page_messages();
    }

    fn step(&mut self) {
        self.cluster.step(&mut ());
        for payload in self.cluster.take_client_messages(self.client) {
            self.deliver(payload);
        }
    }

    fn take(&mut self, message: ToCluster) {
        match message {
            ToCluster::Request { id, request, reply } => self.request(id, request, reply),
            ToCluster::Frame { id, channel, data } => {
                self.send(Payload::StreamFrame { id, channel, data: data.into() });
            }
            ToCluster::Close { id } => {
                self.hurried.remove(&id);
                if self.calls.remove(&id).is_some() {
                    self.send(Payload::StreamEnd { id });
                }
            }
        }
    }

    fn send(&mut self, payload: Payload) {
        let to = self.cluster.apiserver;
        self.cluster.queue.inject(self.client, to, payload, |_, _| ());
    }

    fn request(&mut self, id: u64, mut request: HttpRequest, reply: UnboundedSender<FromCluster>) {
        request.read_protobuf();
        let asked = Asked::new(&request, id);
        let headers: Vec<(&str, &str)> = request.headers.iter().map(|(k, v)| (&**k, &**v)).collect();
        let certificate = request.certificate.as_ref().map(|holder| {
            let groups: Vec<&str> = holder.groups.iter().map(|g| &**g).collect();
            let extra = vec![("authentication.kubernetes.io/credential-id".into(), vec![holder.credential_id.as_str().into()])];
            Rc::new(UserInfo { extra, ..UserInfo::new(&holder.name, &groups) })
        });
        let body = request.body.as_slice().into();
        let parsed = kube_apiserver::parse(&request.method, &request.target, &headers, body, certificate.clone());
        let flow_of = |request: &Request| self.cluster.api().and_then(|api| api.flow_of(request, self.cluster.now()));
        let flow = match &parsed {
            Ok(parsed) => flow_of(parsed),
            Err(_) => flow_of(&encode::as_path(&request, certificate)),
        };
        let mut call = Call { asked, flow, reply };
        match parsed {
            Ok(parsed) => {
                call.asked.learn(&parsed);
                if let Some(status) = call.asked.refusal() {
                    return self.answer(&call, &status.into());
                }
                self.calls.insert(id, call);
                self.hurried.insert(id, self.cluster.now() + HURRY);
                self.cluster.send_as_client(self.client, id, parsed);
            }
            Err(status) => self.answer(&call, &status.into()),
        }
    }

    fn answer(&mut self, call: &Call, response: &Response) {
        let mut head = Head::new(&call.asked, response);
        encode::stamp_flow(&mut head, call.flow.as_ref());
        let message = match &response.body {
            ResponseBody::WatchStarted | ResponseBody::StreamStarted => FromCluster::Start(head),
            _ => {
                let body = encode::body(&call.asked, response);
                FromCluster::Answer(head, body)
            }
        };
        // A connection that is gone closes its call by itself.
        let _ = call.reply.send(message);
    }

    fn deliver(&mut self, payload: Payload) {
        match payload {
            Payload::ApiResponse { id, response } => self.answered(id, &response),
            Payload::WatchEvents { id, events } => {
                if let Some(call) = self.calls.get(&id) {
                    let bytes = encode::watch_events(&events);
                    let _ = call.reply.send(FromCluster::Chunk(bytes));
                }
            }
            Payload::StreamFrame { id, channel, data } => {
                if let Some(call) = self.calls.get(&id) {
                    let message = match call.asked.websocket {
                        true => FromCluster::Frame(channel, data.to_vec()),
                        false => FromCluster::Chunk(data.to_vec()),
                    };
                    let _ = call.reply.send(message);
                }
            }
            Payload::StreamEnd { id } => {
                if let Some(call) = self.calls.remove(&id) {
                    let _ = call.reply.send(FromCluster::End);
                }
            }
            // The server's process is gone, and with it every connection.
            Payload::PeerGone { .. } => {
                self.hurried.clear();
                for (_, call) in std::mem::take(&mut self.calls) {
                    let _ = call.reply.send(FromCluster::End);
                }
            }
            _ => {}
        }
    }

    fn answered(&mut self, id: u64, response: &Response) {
        self.hurried.remove(&id);
        let Some(call) = self.calls.remove(&id) else { return };
        let streams = matches!(response.body, ResponseBody::WatchStarted | ResponseBody::StreamStarted);
        if response.code == 0 {
            let ResponseBody::Text(_, text) = &response.body else { return };
            let status = Status::new(503, "ServiceUnavailable", format!("the bottle's kube-apiserver does not answer: {text}"));
            return self.answer(&call, &status.into());
        }
        if response.code == 101 && !call.asked.websocket {
            let status = Status::not_implemented("streams by anything but websockets (v5.channel.k8s.io)");
            self.send(Payload::StreamEnd { id });
            return self.answer(&call, &status.into());
        }
        self.answer(&call, response);
        if streams {
            self.calls.insert(id, call);
        }
    }
}
