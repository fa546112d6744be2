//! Who has a connection to whom, and what goes over it.

use protocol::{Glyph, State, Thing};

use super::{CloudSeen, Traffic};

/// Everything that the Components lens draws.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connections {
    /// kube-apiserver.
    pub hub: Client,
    /// etcd's members: the hub is their client.
    pub stores: Vec<Client>,
    /// Clients of the hub that aren't on a worker: kubectl, the controllers, the scheduler, DNS.
    pub clients: Vec<Client>,
    pub nodes: Vec<NodeClients>,
    /// Outside of the cluster, and the connection that its controller has to it.
    pub cloud: Option<(CloudSeen, Link)>,
    /// `in the last 10 s`: the stretch that requests were counted over.
    pub window: String,
    pub traffic: Vec<Traffic>,
}

/// A component with the connections that it has opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// The box's id, as in every lens.
    pub id: String,
    pub title: String,
    pub state: State,
    pub glyph: Glyph,
    /// What it says of itself: `leader · 26 controllers`.
    pub note: String,
    pub opens: Option<Thing>,
    /// The connection to the hub (of a store: from the hub).
    pub link: Link,
    /// A connection back: kube-apiserver asks a kubelet for logs. Of a store: the hub has none to it.
    pub back: Option<Link>,
    /// A connection within the node: CRI, or rules for the kernel. Of a store: from the leader.
    pub local: Option<Link>,
}

/// One node's clients (or, of many nodes, all clients of one kind).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeClients {
    pub id: String,
    pub title: String,
    pub glyph: Glyph,
    pub state: State,
    pub note: String,
    pub opens: Option<Thing>,
    pub clients: Vec<Client>,
    /// The machine below them: container runtime and kernel.
    pub machine: Option<Client>,
}

/// A connection: the client is `from`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    pub from: String,
    pub to: String,
    /// Watches that are open on it now.
    pub watches: u32,
    /// Requests per second over the window.
    pub rate: f32,
    /// Requests by verb in the window, most first.
    pub verbs: Vec<(String, u32, bool)>,
    /// Watch events in the window.
    pub events: u32,
    /// Requests that were answered with 429 in the window.
    pub refused: u32,
    pub fault: Fault,
}

/// What somebody has done to a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    Cut,
    /// Slower by so many milliseconds.
    Slow(u32),
}
