//! What a session has observed, as plain data: the input of every lens.

mod cloud;
mod components;
mod control_plane;
mod service;

use base::Time;
use protocol::{Ghost, Glyph, MessageKind, Span, State, Thing};

pub use cloud::CloudSeen;
pub use components::{Client, Connections, Fault, Link, NodeClients};
pub use control_plane::{CheckSeen, ComponentHealth, Health, LeaseSeen, MemberSeen, NodeHealth};
pub use service::{EndpointSeen, HopSeen, NameSeen, Place, ServiceSeen, TableSeen};

/// The cluster at one moment, as much of it as is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    pub now: Time,
    /// The node that carries the control plane, and a word about how.
    pub control_plane: String,
    pub control_plane_note: String,
    pub etcd: Component,
    pub revisions: Vec<RevisionSeen>,
    pub apiserver: Component,
    /// kube-apiserver's stages by short name; true: acts now.
    pub stages: Vec<(String, bool)>,
    pub scheduler: Option<Component>,
    pub controllers: Option<Component>,
    pub cloud_controllers: Option<Component>,
    /// Outside of the cluster, if the machines are rented.
    pub cloud: Option<CloudSeen>,
    pub nodes: Vec<NodeSeen>,
    /// Instead of `nodes`, where there are too many for a box each.
    pub cells: Vec<NodeCell>,
    /// Pods that no node has yet: the first of them, and how many more there are.
    pub pending: Vec<PodSeen>,
    pub more_pending: u32,
    /// Who talked lately, by box ids.
    pub traffic: Vec<Traffic>,
    /// What the goal of a lab's step still lacks.
    pub ghosts: Vec<Ghost>,
}

/// A component of the control plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Component {
    /// `kube-apiserver`
    pub id: String,
    pub state: State,
    pub lines: Vec<Vec<Span>>,
    pub chips: Vec<Chip>,
    pub aria: String,
}

/// A part of a component that acts by itself: a controller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chip {
    pub id: String,
    pub title: String,
    pub active: bool,
    pub opens: Option<Thing>,
}

/// One entry of etcd's log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RevisionSeen {
    pub revision: i64,
    pub newest: bool,
}

/// A machine with what runs on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeSeen {
    pub name: String,
    pub state: State,
    pub glyph: Glyph,
    /// `Ready · lease 3 s ago`
    pub note: String,
    pub parts: Vec<Part>,
    pub pods: Vec<PodSeen>,
    /// Pods on it that aren't drawn because nobody asked for them (of kube-system, of other namespaces), and those that would be
    /// too many.
    pub hidden_pods: u32,
    pub more_pods: u32,
    pub total_pods: u32,
    pub control_plane: bool,
}

/// A node of many.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeCell {
    pub name: std::rc::Rc<str>,
    pub state: State,
    pub pods: u32,
}

/// A component of a node: kubelet, kube-proxy, container runtime.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub id: String,
    pub title: String,
    pub state: State,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodSeen {
    pub namespace: String,
    pub name: String,
    /// Its address, or why it has none: the STATUS column's word.
    pub note: String,
    pub state: State,
    pub glyph: Glyph,
    pub aria: String,
}

impl PodSeen {
    pub fn id(&self) -> String {
        format!("pod/{}/{}", self.namespace, self.name)
    }
}

/// Messages went between two boxes lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    pub from: String,
    pub to: String,
    pub kind: MessageKind,
}

/// A column of the flow lens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lifeline {
    pub id: String,
    pub title: String,
    pub opens: Option<Thing>,
}

/// One message of a pod's creation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowMessage {
    pub id: u64,
    pub at: Time,
    /// Columns.
    pub from: usize,
    pub to: usize,
    pub kind: MessageKind,
    /// In a few letters, on the arrow.
    pub label: String,
    /// All of it.
    pub caption: String,
    /// kube-apiserver's stages that this request went through, with whether each let it pass.
    pub stages: Vec<(String, bool)>,
}

/// The messages by which one pod came to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    pub pod: Option<Thing>,
    pub title: String,
    pub choices: Vec<protocol::Choice>,
    pub lifelines: Vec<Lifeline>,
    pub messages: Vec<FlowMessage>,
    /// The moment shown.
    pub now: Time,
}
