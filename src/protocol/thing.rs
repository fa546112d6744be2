//! What a user can point at, and what they can do to it.

use serde::{Deserialize, Serialize};

/// Everything that a click can open and an action can aim at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Thing {
    /// An API object. `group` is empty for the core group, `resource` is the plural (`pods`), `namespace` is empty for cluster-scoped kinds.
    Object { group: String, resource: String, namespace: String, name: String },
    /// A running component as it is: `kube-apiserver`, `etcd`, `kubelet/node-1`, `kube-controller-manager/replicaset`, `kubectl`.
    Component { name: String },
    /// A machine (it exists also without its Node object).
    Machine { name: String },
    /// One container of a pod.
    Container { namespace: String, pod: String, container: String },
    /// One message of the trace.
    Message { id: u64 },
    /// The connection between two components (boxes' component names).
    Connection { from: String, to: String },
    /// One of the tries behind "what works now": `read`, `write`, …
    Check { name: String },
    /// One revision of etcd's log.
    Revision { revision: u64 },
    /// A key of etcd: the way to it through the tree.
    Key { key: String },
}

impl Thing {
    /// An object of the core group.
    pub fn core(resource: &str, namespace: &str, name: &str) -> Thing {
        Thing::object("", resource, namespace, name)
    }

    /// An API object.
    pub fn object(group: &str, resource: &str, namespace: &str, name: &str) -> Thing {
        Thing::Object { group: group.into(), resource: resource.into(), namespace: namespace.into(), name: name.into() }
    }

    /// A component by its name.
    pub fn component(name: &str) -> Thing {
        Thing::Component { name: name.into() }
    }

    /// What the thing is called in one line of text, as kubectl would write it where it is an object.
    pub fn title(&self) -> String {
        match self {
            Thing::Object { resource, name, .. } => format!("{}/{name}", singular(resource)),
            Thing::Component { name } | Thing::Machine { name } => name.clone(),
            Thing::Container { pod, container, .. } => format!("{pod}/{container}"),
            Thing::Message { id } => format!("message {id}"),
            Thing::Connection { from, to } => format!("{from} → {to}"),
            Thing::Check { name } => format!("can I {name}?"),
            Thing::Revision { revision } => format!("revision {revision}"),
            Thing::Key { key } => key.clone(),
        }
    }
}

/// `pods` → `pod`; display only (`kubectl` has the real table).
fn singular(resource: &str) -> &str {
    match resource {
        "endpoints" => resource,
        _ if resource.ends_with("classes") => &resource[..resource.len() - 2],
        _ if resource.ends_with("policies") || resource.ends_with("ies") => resource,
        _ => resource.strip_suffix('s').unwrap_or(resource),
    }
}

/// What a user can do to a thing with a button. Each becomes a logged input of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Pull the plug of a machine: everything on it stops at once, nobody is told.
    PowerOff {
        machine: String,
    },
    PowerOn {
        machine: String,
    },
    /// Stop a component from handling anything (SIGSTOP), and let it go on (SIGCONT).
    Freeze {
        component: String,
    },
    Unfreeze {
        component: String,
    },
    /// Kill a component's process; its kubelet starts it again.
    Kill {
        component: String,
    },
    /// Cut the network between two machines or components, both ways; and mend it.
    Cut {
        from: String,
        to: String,
    },
    Mend {
        from: String,
        to: String,
    },
    /// Everything between the two takes longer by so many milliseconds; 0: as usual again.
    Slow {
        from: String,
        to: String,
        ms: u32,
    },
    /// Cut a machine off from all other machines; and plug it in again.
    Isolate {
        machine: String,
    },
    Rejoin {
        machine: String,
    },
    /// Take a static pod's manifest out of the kubelet's directory, so that it stays stopped; and put it back.
    Stop {
        component: String,
    },
    Start {
        component: String,
    },
    /// `kubectl label --overwrite`; None takes the label off.
    Label {
        thing: Thing,
        key: String,
        value: Option<String>,
    },
    /// One HTTP request from a pod (or, None, from the laptop) to a URL.
    Request {
        from: Option<Thing>,
        url: String,
    },
    /// `kubectl run client --image=busybox`: a pod to send requests from.
    RunClient,
    /// Try anew what works now.
    Recheck,
    /// Hold a loop of the control plane (`replicaset-controller`, `kube-scheduler`), let it go, let one item of its queue through.
    HoldLoop {
        name: String,
    },
    ReleaseLoop {
        name: String,
    },
    StepLoop {
        name: String,
    },
    /// `etcdctl compact` at the newest revision, in the member's container.
    Compact,
    /// `etcdctl defrag`, in the member's container.
    Defrag,
    /// `kubectl delete`; `grace_s` None is the object's own grace period.
    Delete {
        thing: Thing,
        grace_s: Option<u32>,
    },
    /// `kubectl scale --replicas`.
    Scale {
        thing: Thing,
        replicas: u32,
    },
    /// `kubectl rollout restart`.
    RolloutRestart {
        thing: Thing,
    },
    Cordon {
        node: String,
    },
    Uncordon {
        node: String,
    },
    Drain {
        node: String,
    },
    /// A new worker joins; the cluster picks its name.
    AddNode,
    /// A blank machine is put beside the others, named as a new worker would be: it belongs to no cluster until `kubeadm join`.
    AddMachine,
    /// `kubeadm join` on a blank machine, with a token made on the control plane's.
    Join {
        machine: String,
    },
}

/// A button that the worker offers. The page shows what is offered and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    pub action: Action,
    /// The button's text, e.g. `Power off`.
    pub label: String,
    /// One sentence on what will happen.
    pub hint: String,
    /// Drawn as dangerous (still undoable by the timeline).
    pub danger: bool,
    /// Why it can't be done now; the button is shown disabled with this as its title.
    pub disabled: Option<String>,
}
