//! The messages by which one pod came to be, from the trace: its creation, what caused it, and what it caused.

use std::collections::BTreeSet;

use apimachinery::{Object, Verb, resources};
use base::Sort as _;
use base::{Duration, Time};
use cluster::{Bottle, Cluster, Record, is_heartbeat};
use lenses::{Flow, FlowMessage, Lifeline};
use protocol::{Choice, Thing, ViewOptions};
use sim::{MsgId, Payload};

use crate::message;

/// Columns, left to right: title, and the components that it stands for.
const COLUMNS: [(&str, &[&str]); 9] = [
    ("kubectl", &["laptop", "kubeadm"]),
    ("kube-apiserver", &["kube-apiserver"]),
    ("etcd", &["etcd"]),
    ("controllers", &["kube-controller-manager"]),
    ("scheduler", &["kube-scheduler"]),
    ("kubelet", &["kubelet"]),
    ("runtime", &["containerd"]),
    ("CNI", &["flanneld", "kindnetd", "calico-node"]),
    ("kube-proxy", &["kube-proxy"]),
];

/// A flow is followed for so long after the pod's creation.
const SPAN: Duration = Duration::from_secs(40);
const MAX_MESSAGES: usize = 160;
const MAX_CHOICES: usize = 40;

/// Observes the flow of the chosen pod, or of the newest one of the user's.
pub(crate) fn observe(bottle: &Bottle, options: &ViewOptions) -> Flow {
    let cluster = bottle.shown();
    let creations = creations(bottle, options);
    let chosen = options.chosen.as_ref().and_then(|t| creations.iter().find(|c| c.thing() == *t)).or(creations.first());
    let choices = creations.iter().take(MAX_CHOICES).map(|c| Choice {
        thing: c.thing(),
        label: format!("{}/{}", c.namespace, c.name),
        chosen: chosen.is_some_and(|x| x.id == c.id),
    });
    let lifelines = COLUMNS.iter().map(|(title, parts)| Lifeline {
        id: format!("lifeline/{title}"),
        title: (*title).into(),
        opens: Some(Thing::component(parts[0])),
    });
    let mut flow = Flow { choices: choices.collect(), lifelines: lifelines.collect(), now: cluster.now(), ..Flow::default() };
    match chosen {
        Some(c) => {
            flow.title = format!("How pod {} came to be", c.name);
            flow.pod = Some(c.thing());
            flow.messages = messages(bottle, c);
        }
        None => flow.title = "Pod creation flow".into(),
    }
    flow
}

/// A request that created a pod.
struct Creation {
    id: MsgId,
    at: Time,
    namespace: String,
    name: String,
}

impl Creation {
    fn thing(&self) -> Thing {
        Thing::core("pods", &self.namespace, &self.name)
    }
}

/// Creations of pods that are still in the trace, newest first; the system's own last.
fn creations(bottle: &Bottle, options: &ViewOptions) -> Vec<Creation> {
    let trace = bottle.trace();
    let mut found: Vec<Creation> = Vec::new();
    for record in trace.newest() {
        let Payload::ApiResponse { response, .. } = &record.message.payload else { continue };
        if response.code != 201 {
            continue;
        }
        let Some(pod) = response.ok().filter(|o| o.kind() == "Pod") else { continue };
        if options.namespace.as_deref().is_some_and(|n| n != pod.namespace()) {
            continue;
        }
        if let Some(id) = request_of(bottle, record) {
            found.push(Creation { id, at: record.message.sent, namespace: pod.namespace().into(), name: pod.name().into() });
        }
        if found.len() >= 200 {
            break;
        }
    }
    found.order_by_key(|c| (c.namespace.starts_with("kube-"), std::cmp::Reverse(c.at)));
    found
}

/// The request that an answer answers: the nearest above it in the chain of causes.
fn request_of(bottle: &Bottle, answer: &Record) -> Option<MsgId> {
    let mut cause = answer.message.cause;
    for _ in 0..12 {
        let record = bottle.trace().get(cause)?;
        match &record.message.payload {
            Payload::ApiRequest { request, .. } if request.gvr == resources::pods() && request.verb == Verb::Create => {
                return Some(cause);
            }
            _ => cause = record.message.cause,
        }
    }
    None
}

fn messages(bottle: &Bottle, creation: &Creation) -> Vec<FlowMessage> {
    let (cluster, trace) = (bottle.head(), bottle.trace());
    let chain = led_to(bottle, creation.id);
    let first = chain.first().copied().unwrap_or(creation.id);
    let until = creation.at + SPAN;
    let mut out = Vec::new();
    let mut about: BTreeSet<MsgId> = BTreeSet::from([creation.id]);
    for record in trace.from(first) {
        if record.message.sent > until || out.len() >= MAX_MESSAGES {
            break;
        }
        let follows = about.contains(&record.message.cause);
        let named = names(record, creation);
        if follows && (named != Some(false)) || named == Some(true) {
            about.insert(record.message.id);
        }
        let wanted = chain.contains(&record.message.id) || about.contains(&record.message.id);
        if wanted && !is_heartbeat(&record.message) {
            out.extend(flow_message(cluster, record));
        }
    }
    out
}

/// What led to a message, back to the first thing that the user's command asked about the same object: what it did before, for the
/// other documents of a file, came earlier but has nothing to do with the pod.
fn led_to(bottle: &Bottle, id: MsgId) -> BTreeSet<MsgId> {
    let (cluster, trace) = (bottle.head(), bottle.trace());
    let (mut chain, mut doubtful) = (BTreeSet::new(), Vec::new());
    let (mut cause, mut object) = (id, None);
    for _ in 0..40 {
        let Some(record) = trace.get(cause) else { break };
        if !chain.insert(cause) {
            break;
        }
        doubtful.push(cause);
        if let Payload::ApiRequest { request, .. } = &record.message.payload
            && column(cluster, record.message.from) == Some(0)
        {
            let this = subject(request);
            if *object.get_or_insert_with(|| this.clone()) != this {
                for id in &doubtful {
                    chain.remove(id);
                }
                break;
            }
            doubtful.clear();
        }
        if record.message.cause.0 == 0 {
            break;
        }
        cause = record.message.cause;
    }
    chain
}

/// The object that a request is about: its resource, namespace and name, of a creation those of the body.
fn subject(request: &apimachinery::Request) -> (apimachinery::Gvr, String, String) {
    let name = match &request.body {
        apimachinery::Body::Object(o) if request.name.is_empty() => o.name().to_string(),
        _ => request.name.to_string(),
    };
    (request.gvr, request.namespace.to_string(), name)
}

/// What is asked for a pod although it is another object: the kubelet's way to what it mounts, and where the pod can be reached.
const FOR_A_POD: [&str; 4] = ["serviceaccounts", "configmaps", "secrets", "endpointslices"];

/// Whether a message names the pod: yes, no (another object), or it doesn't say.
fn names(record: &Record, creation: &Creation) -> Option<bool> {
    let is_it = |o: &Object| match o.kind() {
        "Pod" => o.name() == creation.name && o.namespace() == creation.namespace,
        "Event" => o.str_at(&["involvedObject", "name"]).or(o.str_at(&["regarding", "name"])) == Some(&creation.name),
        _ => false,
    };
    match &record.message.payload {
        Payload::ApiRequest { request, .. } => {
            if request.gvr == resources::pods() && !request.name.is_empty() {
                return Some(*request.name == *creation.name && *request.namespace == *creation.namespace);
            }
            match &request.body {
                apimachinery::Body::Object(o) if o.kind() == "Event" => Some(is_it(o)),
                apimachinery::Body::Object(o) if o.kind() == "Binding" => Some(o.name() == creation.name),
                _ if request.gvr == resources::pods() || FOR_A_POD.iter().any(|r| request.gvr.resource == **r) => None,
                _ => Some(false),
            }
        }
        Payload::WatchEvents { events, .. } if events.iter().all(|e| e.object.kind() == "EndpointSlice") => None,
        Payload::WatchEvents { events, .. } => Some(events.iter().any(|e| is_it(&e.object))),
        Payload::Etcd(etcd_api::Message::WatchEvents { .. }) => Some(false),
        Payload::Timer(_) => None,
        Payload::Cri(_) => None,
        Payload::Kernel(_) => None,
        _ => None,
    }
}

fn column(cluster: &Cluster, addr: sim::Addr) -> Option<usize> {
    let component = cluster.proc(addr).map_or("laptop", |p| p.component());
    COLUMNS.iter().position(|(_, parts)| parts.contains(&component))
}

fn flow_message(cluster: &Cluster, record: &Record) -> Option<FlowMessage> {
    let m = &record.message;
    let kind = message::kind_of(cluster, record)?;
    let (from, to) = (column(cluster, m.from)?, column(cluster, m.to)?);
    if from == to {
        return None;
    }
    let stages = match &m.payload {
        Payload::ApiRequest { request, .. } if request.verb.is_write() => stages(cluster, m.id),
        _ => Vec::new(),
    };
    let (label, caption) = (message::brief(cluster, record), message::caption(cluster, record));
    Some(FlowMessage { id: m.id.0, at: m.sent, from, to, kind, label, caption, stages })
}

/// kube-apiserver's stages of a request, while it remembers them.
fn stages(cluster: &Cluster, id: MsgId) -> Vec<(String, bool)> {
    let Some(stages) = cluster.api().and_then(|a| a.stages(id)) else { return Vec::new() };
    let refused = stages.refused_by.is_some();
    let allowed = stages.code != 401 && stages.code != 403 || refused;
    // What was done although a stage did nothing passed it by: a binding has no object of its own to validate, what changes nothing
    // writes nothing. It is neither passed nor refused there.
    let done = (200..300).contains(&stages.code);
    [("authn", stages.code != 401), ("authz", allowed), ("mutate", true), ("valid", stages.valid), ("etcd", stages.revision > 0)]
        .into_iter()
        .filter(|(_, passed)| *passed || !done)
        .map(|(name, passed)| (name.to_string(), passed))
        .collect()
}
