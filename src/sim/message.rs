//! Messages: the closed set of what one process can say to another.

use std::rc::Rc;

use apimachinery::{Request, Response, WatchEvent};

/// A process: a component instance, a node's machine, the user's laptop. Given by the cluster in order of creation, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Addr(pub u32);

impl Addr {
    /// Outside of the cluster: the boot, the user's hand, the native server's clients.
    pub const OUTSIDE: Addr = Addr(0);
}

/// The number of a message: its place in the order in which messages were sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MsgId(pub u64);

/// Names a call, and the stream (watch, log, exec) that it opened. Chosen by the client, unique within it.
pub type StreamId = u64;

/// What is said. Small: bodies are shared.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// The process starts (its memory is empty).
    Start,
    /// A timer that the process set itself. The token is its own.
    Timer(u64),
    /// HTTP to kube-apiserver, or from it to a kubelet's server (logs, exec), an aggregated server or a webhook.
    ApiRequest {
        id: StreamId,
        request: Rc<Request>,
    },
    /// The answer. `response.code == 0`: no connection could be made or it broke; the body is then Go's text of the error.
    ApiResponse {
        id: StreamId,
        response: Rc<Response>,
    },
    /// Events of a watch, in order, as many as were ready.
    WatchEvents {
        id: StreamId,
        events: Rc<Vec<WatchEvent>>,
    },
    /// A frame of an upgraded stream or a followed log (`v5.channel.k8s.io` channels: 0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize).
    StreamFrame {
        id: StreamId,
        channel: u8,
        data: Rc<[u8]>,
    },
    /// The peer ended the stream. Also sent by the client to end it.
    StreamEnd {
        id: StreamId,
    },
    /// The process at this address is gone: every stream with it is broken (a TCP reset, or a missed ping).
    PeerGone {
        peer: Addr,
    },
    Etcd(etcd_api::Message),
    /// kubelet to container runtime and back.
    Cri(Rc<cri_api::cri::Message>),
    /// A packet on the nodes' network.
    Packet(Rc<cri_api::packet::Packet>),
    /// kube-proxy and the CNI plugin program their node's kernel.
    Kernel(Rc<cri_api::packet::KernelUpdate>),
    /// Between a node's runtime or the laptop and the world around it.
    Host(Rc<cri_api::host::HostMessage>),
}

/// One message on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub id: MsgId,
    /// The message in whose handling this one was sent (or which the sender named as the reason). 0: none.
    pub cause: MsgId,
    pub from: Addr,
    pub to: Addr,
    pub sent: base::Time,
    pub payload: Payload,
}
