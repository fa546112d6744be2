//! Observes nodes and their pods. What a look costs grows with what is drawn and not with what there is: kube-apiserver's index says
//! which pods a node has, only those that have a place in the picture are looked at, and of these only the changed ones anew.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{Object, resources};
use base::Time;
use cluster::Cluster;
use kube_apiserver::ApiServer;
use lenses::{NodeCell, NodeSeen, Observed, Part, PodSeen};
use protocol::{Glyph, State, ViewOptions};

use crate::observe::{age, pod_seen};

/// Of more nodes than this each one is a cell.
pub(crate) const MAX_BOXES: usize = 24;
/// More pods than that have no place in a node's box, nor among those that wait.
const MAX_PODS: usize = 12;
/// Namespaces of what the cluster runs for itself.
const SYSTEM: [&str; 2] = ["kube-system", "kube-flannel"];

/// What was drawn last, so that only what has changed is looked at anew.
#[derive(Default)]
pub(crate) struct Memo {
    /// By uid, with the revision that they were drawn of.
    pods: DrawnPods,
    /// Of many nodes, in order of names.
    nodes: Vec<Registered>,
}

type DrawnPods = BTreeMap<String, (i64, PodSeen)>;

/// A Node object of many, and what it says.
struct Registered {
    object: Object,
    name: Rc<str>,
    said: Said,
}

/// The pods of one look: what was drawn before is taken over.
struct Pods<'a> {
    now: Time,
    before: &'a mut DrawnPods,
    after: DrawnPods,
}

impl Pods<'_> {
    fn seen(&mut self, pod: &Object) -> PodSeen {
        let revision = pod.revision();
        let known = self.before.remove(pod.uid()).filter(|(r, _)| *r == revision && *r > 0);
        let seen = known.map_or_else(|| pod_seen(pod, self.now), |(_, seen)| seen);
        self.after.insert(pod.uid().to_string(), (revision, seen.clone()));
        seen
    }
}

/// Fills in nodes (or cells) and pods.
pub(crate) fn observe(
    cluster: &Cluster,
    options: &ViewOptions,
    glows: &dyn Fn(&str) -> bool,
    memo: &mut Memo,
    seen: &mut Observed,
) {
    let api = cluster.api();
    let mut pods = Pods { now: cluster.now(), before: &mut memo.pods, after: DrawnPods::default() };
    if cluster.nodes.len() > MAX_BOXES {
        seen.cells = cells(cluster, &mut memo.nodes);
    } else {
        for (name, node) in &cluster.nodes {
            let object = api.and_then(|a| a.object(resources::nodes(), "", name));
            let mut drawn = node_seen(cluster, name, node, object, glows);
            if let Some(api) = api {
                pods_of(api, name, options, &mut pods, &mut drawn);
            }
            seen.nodes.push(drawn);
        }
    }
    if let Some(api) = api {
        let (waiting, count) = api.unbound_pods();
        let (mut told, mut looked_at) = (Vec::new(), 0);
        for pod in waiting {
            if told.len() == MAX_PODS {
                break;
            }
            looked_at += 1;
            if !hides(pod, options) {
                told.push(pods.seen(pod));
            }
        }
        seen.more_pending = (count - looked_at) as u32;
        seen.pending = told;
    }
    memo.pods = pods.after;
}

/// The pods of a node that are drawn, and how many there are besides.
fn pods_of(api: &ApiServer, node: &str, options: &ViewOptions, pods: &mut Pods, drawn: &mut NodeSeen) {
    let total = api.count_on_node(node, "");
    drawn.total_pods = total as u32;
    let system = |api: &ApiServer| SYSTEM.iter().map(|n| api.count_on_node(node, n)).sum::<usize>();
    let visible = match (options.namespace.as_deref(), options.system_pods) {
        (None | Some(""), true) => total,
        // CoreDNS is drawn all the same.
        (None | Some(""), false) => total - system(api) + dns_on(api, node),
        (Some(namespace), _) => api.pods_of_node(node).filter(|p| p.namespace() == namespace && !hides(p, options)).count(),
    };
    // What the user runs comes first, whatever its namespace is called.
    let of = |system: bool| api.pods_of_node(node).filter(move |p| SYSTEM.contains(&p.namespace()) == system);
    let shown = of(false).chain(of(true)).filter(|p| !hides(p, options)).take(MAX_PODS);
    drawn.pods = shown.map(|p| pods.seen(p)).collect();
    drawn.more_pods = visible.saturating_sub(drawn.pods.len()) as u32;
    drawn.hidden_pods = total.saturating_sub(visible) as u32;
}

fn dns_on(api: &ApiServer, node: &str) -> usize {
    let dns = |p: &&Object| p.label("k8s-app") == Some("kube-dns") && p.str_at(&["spec", "nodeName"]) == Some(node);
    api.objects(resources::pods(), "kube-system").filter(dns).count()
}

impl Memo {
    /// Every node as a cell, in order of names.
    pub fn cells(&mut self, cluster: &Cluster) -> Vec<NodeCell> {
        cells(cluster, &mut self.nodes)
    }
}

/// Nodes, their objects and the counts of their pods come in the same order.
fn cells(cluster: &Cluster, before: &mut Vec<Registered>) -> Vec<NodeCell> {
    let Some(api) = cluster.api() else {
        let cell = |(name, node): (&Rc<str>, &cluster::Node)| NodeCell {
            name: name.clone(),
            state: if node.powered { State::Starting } else { State::Off },
            pods: 0,
        };
        return cluster.nodes.iter().map(cell).collect();
    };
    *before = registered(api, std::mem::take(before));
    let mut objects = before.iter().peekable();
    let mut counts = api.pods_by_node().peekable();
    let mut cells = Vec::with_capacity(cluster.nodes.len());
    for (name, node) in &cluster.nodes {
        while objects.next_if(|o| *o.name < **name).is_some() {}
        while counts.next_if(|(n, _)| **n < *name).is_some() {}
        let said = objects.next_if(|o| o.name == *name).map_or(Said::Nothing, |o| o.said);
        let pods = counts.next_if(|(n, _)| **n == *name).map_or(0, |(_, n)| n as u32);
        let state = match state(cluster, node, said) {
            (State::Idle, Glyph::Running, _) => State::Ok,
            (state, ..) => state,
        };
        cells.push(NodeCell { name: name.clone(), state, pods });
    }
    cells
}

/// The Node objects as they are now. Those that are the same as before are not read again.
fn registered(api: &ApiServer, before: Vec<Registered>) -> Vec<Registered> {
    let mut after = Vec::with_capacity(before.len());
    let mut before = before.into_iter().peekable();
    for object in api.objects(resources::nodes(), "") {
        let same = before.next_if(|b| b.object.ptr_eq(object));
        after.push(same.unwrap_or_else(|| {
            let name: Rc<str> = object.name().into();
            while before.next_if(|b| b.name <= name).is_some() {}
            Registered { object: object.clone(), name, said: Said::by(Some(object)) }
        }));
    }
    after
}

/// Pods of the add-ons and the control plane are drawn only if asked for (CoreDNS always: it is what names depend on).
fn hides(pod: &Object, options: &ViewOptions) -> bool {
    if options.namespace.as_deref().is_some_and(|n| n != pod.namespace()) {
        return true;
    }
    !options.system_pods && SYSTEM.contains(&pod.namespace()) && pod.label("k8s-app") != Some("kube-dns")
}

fn node_seen(
    cluster: &Cluster,
    name: &str,
    node: &cluster::Node,
    object: Option<&Object>,
    glows: &dyn Fn(&str) -> bool,
) -> NodeSeen {
    let ready = ready_status(object);
    let (state, glyph, word) = node_state(cluster, node, object);
    let lease = cluster.api().and_then(|a| a.object(resources::leases(), "kube-node-lease", name));
    let renewed = lease.and_then(|l| l.str_at(&["spec", "renewTime"])).and_then(Time::parse);
    let note = match renewed {
        Some(at) if node.powered || ready != Some("True") => format!("{word} · lease {} ago", age(cluster.now().since(at))),
        _ => word.to_string(),
    };
    let part = |component: &str, title: &str| {
        let id = format!("{component}/{name}");
        let addr = cluster.addr(&id);
        let running = addr.is_some_and(|a| cluster.proc(a).is_some_and(|p| p.is_running()) && !cluster.is_silent(a));
        let state = match (running, glows(&id)) {
            (false, _) => State::Off,
            (true, true) => State::Active,
            _ => State::Idle,
        };
        Part { id, title: title.into(), state }
    };
    let mut parts = vec![part("kubelet", "kubelet")];
    if cluster.config.addons && state != State::Pending {
        parts.push(part("kube-proxy", "kube-proxy"));
    }
    if node.runtime.is_some() {
        parts.push(part("containerd", "containerd"));
    }
    NodeSeen { name: name.into(), state, glyph, note, parts, control_plane: node.config.control_plane, ..NodeSeen::default() }
}

fn ready_status(node: Option<&Object>) -> Option<&str> {
    node.and_then(|o| o.condition("Ready")).and_then(|c| c.str_at(&["status"]))
}

/// A machine that belongs to no cluster yet (or no longer).
pub(crate) fn is_blank(cluster: &Cluster, node: &cluster::Node) -> bool {
    node.config.blank && !cluster.proc(node.kubelet).is_some_and(cluster::Proc::is_running)
}

/// What a Node object says of its node.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    /// There is none, or it has no word on being ready.
    Nothing,
    Ready,
    /// Ready, and cordoned.
    Cordoned,
    /// Nothing has been heard of it.
    Unknown,
    NotReady,
}

impl Said {
    fn by(object: Option<&Object>) -> Said {
        let cordoned = || object.is_some_and(|o| o.bool_at(&["spec", "unschedulable"]) == Some(true));
        match ready_status(object) {
            None => Said::Nothing,
            Some("True") if cordoned() => Said::Cordoned,
            Some("True") => Said::Ready,
            Some("Unknown") => Said::Unknown,
            Some(_) => Said::NotReady,
        }
    }
}

/// A node as its object and its power say.
pub(crate) fn node_state(cluster: &Cluster, node: &cluster::Node, object: Option<&Object>) -> (State, Glyph, &'static str) {
    state(cluster, node, Said::by(object))
}

fn state(cluster: &Cluster, node: &cluster::Node, said: Said) -> (State, Glyph, &'static str) {
    match (node.powered, said) {
        (false, Said::Ready | Said::Cordoned) => (State::Off, Glyph::Off, "switched off · still Ready in the API"),
        (false, _) => (State::Off, Glyph::Off, "switched off"),
        (_, Said::Nothing) if is_blank(cluster, node) => (State::Pending, Glyph::Pending, "blank, waits for kubeadm join"),
        (_, Said::Nothing) => (State::Starting, Glyph::Starting, "not registered yet"),
        (_, Said::Cordoned) => (State::Idle, Glyph::Cordoned, "Ready, SchedulingDisabled"),
        (_, Said::Ready) => (State::Idle, Glyph::Running, "Ready"),
        (_, Said::Unknown) => (State::Failing, Glyph::Failing, "NotReady (Unknown)"),
        (_, Said::NotReady) => (State::Starting, Glyph::Starting, "NotReady"),
    }
}
