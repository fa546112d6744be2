//! What travels between nodes, and what a node's kernel is programmed with.
//!
//! A real node has a kernel with network namespaces, routes and netfilter tables. Here a node's machine holds a table of
//! addresses, routes and service rules; a packet is one step of one connection (open, data, close), a DNS message or an echo.

use std::net::IpAddr;
use std::rc::Rc;

use crate::errno::Errno;
use crate::net::{Answer, Question};
use crate::policy::{Direction, PolicyUpdate};

type Text = Rc<str>;

/// One end of a connection.
pub type Endpoint = (IpAddr, u16);

#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    pub src: Endpoint,
    pub dst: Endpoint,
    pub body: PacketBody,
    /// The node (or host outside) that the last hop hands it to; the nodes' network delivers by it.
    pub next_hop: IpAddr,
    /// What happened to it on its way, for the picture: one entry a hop, in order.
    pub hops: Vec<Hop>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PacketBody {
    Syn,
    SynAck,
    /// Refused, or the connection broke.
    Reset(Errno),
    Data(Rc<[u8]>),
    /// So many bytes were read at the far end.
    Window(usize),
    Fin,
    Query(u64, Question),
    Answer(u64, Answer),
    Echo(u64),
    EchoReply(u64),
}

/// A station of a packet with the reason for what was done there.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// `node-1`, `pod default/web`
    pub place: Text,
    pub what: HopKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HopKind {
    /// Left a pod or the host.
    Sent,
    /// kube-proxy's rule for a service port chose an endpoint: service (`default/my-service:80`), virtual end, endpoint, of how many.
    Dnat {
        service: Text,
        from: Endpoint,
        to: Endpoint,
        of: u32,
    },
    /// Source rewritten to the node's address (NodePort from outside).
    Masquerade {
        to: IpAddr,
    },
    /// By the route to a pod range.
    Routed {
        cidr: Text,
        via: IpAddr,
    },
    /// Wrapped into a packet between nodes (flannel's VXLAN): the outer addresses.
    Encapsulated {
        device: Text,
        from: IpAddr,
        to: IpAddr,
    },
    /// A NetworkPolicy (`default/allow-web`) that selects the pod let the connection pass.
    Admitted {
        direction: Direction,
        pod: Text,
        policy: Text,
    },
    /// Dropped without a word to the sender, and why; the NetworkPolicies of which none lets it pass.
    Dropped {
        reason: Text,
        policies: Vec<Text>,
    },
    /// Refused with an answer, and why.
    Refused {
        reason: Text,
    },
    Delivered,
}

/// A virtual end of a service and what it leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRule {
    /// `default/my-service:http`
    pub service: Text,
    /// Cluster IP, external IP or load balancer IP; unspecified (0.0.0.0) for a node port on all of the node's addresses.
    pub ip: IpAddr,
    pub port: u16,
    pub protocol: Text,
    pub endpoints: Rc<Vec<RuleEndpoint>>,
    pub session_affinity_s: Option<i64>,
    /// Only endpoints of this node (internal or external traffic policy `Local`).
    pub local_only: bool,
    pub kind: AddressKind,
    /// From outside: the source becomes the node's address.
    pub masquerade: bool,
}

/// What sort of virtual address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressKind {
    Cluster,
    External,
    LoadBalancer,
    NodePort,
}

impl AddressKind {
    /// For clients outside the cluster: clients on this node may reach every endpoint all the same.
    pub fn is_external(self) -> bool {
        self != AddressKind::Cluster
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct RuleEndpoint {
    pub ip: IpAddr,
    pub port: u16,
    pub is_local: bool,
    pub ready: bool,
}

/// A change to a node's kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum KernelUpdate {
    /// kube-proxy: the whole rule set of one service (`namespace/name`); empty: removed.
    Service { service: Text, rules: Rc<Vec<ServiceRule>> },
    /// The CNI plugin's configuration: which one it is (`bridge`, `flannel`, `calico`) and this node's pod range (one per family).
    PodCidrs { plugin: Text, ranges: Vec<Text> },
    /// Routes to other nodes' pod ranges: (range, next hop); `None` removes.
    Route { cidr: Text, via: Option<IpAddr> },
    /// kube-proxy starts: forget all rules.
    FlushServices,
    /// NetworkPolicies, as far as this node's pods are concerned.
    Policies(Vec<PolicyUpdate>),
}
