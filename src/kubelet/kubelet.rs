//! The process: takes messages, hands them to the node's part, to pod workers and to the server, and sends what these want.

mod pods;
mod runtime;

use std::rc::Rc;

use apimachinery::{Gvr, Object, ObjectKey, Response, Value, resources};
use base::{Duration, Map, Time};
use client_go::{Client, Delta, EventRecorder, Handled, Informers, Selectors};
use cri_api::cri;
use sim::{Addr, Message, Outbox, Payload, StreamId};

use crate::authorization::Authorizer;
use crate::config::Config;
use crate::events::EventSink;
use crate::hollow::Hollow;
use crate::node::{NodeCall, NodeState};
use crate::pod_worker::{Op, PodWorker, Stage};
use crate::prober::ProbeKind;
use crate::references::References;
use crate::server::{Served, Server};
use crate::static_pods::StaticPods;
use crate::status_manager::{StatusCall, StatusManager, is_mirror};
use crate::wheel::Wheel;

type Text = Rc<str>;

const SCOPE_INFORMERS: u16 = 1;
const SCOPE_CALLS: u16 = 2;
const SCOPE_REFERENCES: u16 = 3;

/// How often the runtime is asked what has changed (the pod lifecycle event generator): exits show with the next look.
const RELIST: Duration = Duration::from_secs(1);
/// How long a runtime that does not answer is given.
const RUNTIME_RETRY: Duration = Duration::from_secs(5);

/// The status manager's sync period: what was lost is said again then.
const HOLLOW_RETRY: Duration = Duration::from_secs(10);
/// Who has too much to do says by `Retry-After` that it has time again in a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a request to kube-apiserver was for.
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    Node(NodeCall),
    Status(Text, StatusCall),
    Token(Text, Text, usize),
    Claim(Text, Text),
    /// The PersistentVolume that a claim is bound to.
    Volume(Text, Text),
    Mirror(Text),
    /// A hollow pod's status or end.
    Hollow(ObjectKey),
    Event,
    /// Whether a caller of the kubelet's server may do what it asks.
    Review(u64),
    Other,
}

/// What a request to the runtime was for.
#[derive(Clone, PartialEq, Debug)]
pub enum CriCall {
    Pod(Text, Op),
    Served(Addr, StreamId, Served),
    ListPods,
    ListImages,
    Manifests,
    /// Statistics for the eviction manager.
    Usage,
    /// Images, to remove those that nobody uses.
    UnusedImages,
    Other,
}

/// What is due.
#[derive(Clone, PartialEq, Debug)]
pub enum Wake {
    Register,
    CsiNode,
    NodeStatus,
    Lease,
    Runtime,
    /// The runtime has been away for long, or is back.
    RuntimeDown,
    Pod(Text, Time),
    Probe(Text, Text, ProbeKind),
    Status(Text),
    Mirror(Text),
    /// An event that could not be delivered.
    Event,
    /// The eviction manager looks.
    Eviction,
    /// Of a hollow kubelet.
    JobDone(ObjectKey),
    /// A write about its pod was lost.
    Hollow(ObjectKey),
}

/// Informers by number.
pub mod informer {
    pub const NODE: usize = 0;
    pub const PODS: usize = 1;
    pub const SERVICES: usize = 2;
}

/// A node's kubelet.
#[derive(Clone)]
pub struct Kubelet {
    pub(crate) config: Config,
    pub(crate) client: Client<Call>,
    pub(crate) informers: Informers,
    references: References,
    pub(crate) recorder: EventRecorder,
    pub(crate) wheel: Wheel<Wake>,
    pub(crate) node: NodeState,
    pub(crate) hollow: Hollow,
    pub(crate) workers: Map<Text, Rc<PodWorker>>,
    pub(crate) by_key: Map<ObjectKey, Text>,
    pub(crate) statuses: StatusManager,
    pub(crate) statics: StaticPods,
    pub(crate) server: Server,
    pub(crate) authorizer: Authorizer,
    pub(crate) events: EventSink,
    pub(crate) eviction: crate::eviction::Eviction,
    pub(crate) journal: crate::journal::Journal,
    pub(crate) bootstrap: Option<Rc<crate::bootstrap::Bootstrap>>,
    /// What the runtime had when the kubelet started, by pod uid, until a source claims it. `None`: not listed yet.
    known: Option<Map<Text, cri::PodStatus>>,
    cri_calls: Map<u64, CriCall>,
    next_cri: u64,
    pub(crate) started: Time,
    images_stale: bool,
    /// The time of the message being handled.
    pub(crate) now: Time,
    draws: u64,
}

/// A pod worker, for the page.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    pub pod: ObjectKey,
    /// `Syncing`, `Terminating`, `Terminated`
    pub stage: &'static str,
    /// When it looks again.
    pub next_look: Option<Time>,
    /// Per container that could not be started: reason and message.
    pub waiting: Vec<(Text, Text, Text)>,
}

impl Kubelet {
    pub fn new(config: Config) -> Kubelet {
        let mut informers = Informers::new(SCOPE_INFORMERS, config.client.clone(), config.seed.derive("informers"));
        let name = &config.node_name;
        informers.add(resources::nodes(), Selectors::field(&format!("metadata.name={name}")), &[]);
        informers.add(resources::pods(), Selectors::field(&format!("spec.nodeName={name}")), &[]);
        if !config.is_hollow() {
            informers.add(resources::services(), Selectors::field("spec.clusterIP!=None"), &[]);
            informers.add(resources::csidrivers(), Selectors::default(), &[]);
            informers.add(resources::runtimeclasses(), Selectors::default(), &[]);
            let requests = Gvr::new("certificates.k8s.io", "v1", "podcertificaterequests");
            informers.add(requests, Selectors::field(&format!("spec.nodeName={name}")), &[]);
        }
        Kubelet {
            client: Client::new(SCOPE_CALLS, config.client.clone()),
            references: References::new(SCOPE_REFERENCES, config.client.clone(), config.seed.derive("references")),
            recorder: EventRecorder::new("kubelet", &config.node_name),
            node: NodeState::new(config.is_hollow()),
            hollow: Hollow::default(),
            wheel: Wheel::default(),
            workers: Map::default(),
            by_key: Map::default(),
            statuses: StatusManager::default(),
            statics: StaticPods::default(),
            server: Server::default(),
            authorizer: Authorizer::default(),
            events: EventSink::default(),
            eviction: Default::default(),
            journal: crate::journal::Journal::default(),
            bootstrap: config.bootstrap.clone().map(|token| Rc::new(crate::bootstrap::Bootstrap::new(&config, token))),
            known: None,
            cri_calls: Map::default(),
            next_cri: 0,
            started: Time::EPOCH,
            images_stale: false,
            now: Time::EPOCH,
            informers,
            config,
            draws: 0,
        }
    }

    pub(crate) fn pods_informer(&self) -> usize {
        informer::PODS
    }

    /// A draw below `bound_us` microseconds.
    pub(crate) fn jitter(&mut self, bound_us: u64) -> Duration {
        self.draws += 1;
        Duration(self.config.seed.derive("jitter").below(self.draws, bound_us) as i64)
    }

    /// Takes one message.
    pub fn handle(&mut self, now: Time, message: Message, out: &mut Outbox) {
        self.now = now;
        match &message.payload {
            Payload::Start if self.bootstrap.is_some() => self.start_bootstrap(out),
            payload if self.bootstrap.is_some() => self.on_bootstrap(payload, out),
            Payload::Start => self.start(out),
            Payload::Timer(token) if self.wheel.owns(*token) => {
                self.wheel.fired(*token);
                while let Some(wake) = self.wheel.pop(out.now) {
                    self.on_wake(wake, out);
                }
            }
            Payload::Cri(m) => self.on_cri(m, out),
            Payload::ApiRequest { id, request } => self.serve_if_allowed(message.from, *id, request, out),
            Payload::StreamFrame { id, channel, data } => self.frame_in(message.from, *id, *channel, data, out),
            Payload::StreamEnd { id } if self.end_in(message.from, *id, out) => {}
            payload => self.on_payload(payload, out),
        }
        self.wheel.arm(out);
    }

    pub(crate) fn start(&mut self, out: &mut Outbox) {
        self.started = out.now;
        self.info("server.go:530", "Kubelet version", vec![("kubeletVersion", "v1.37.2".into())]);
        for number in 0..self.informers.len() {
            if number != informer::PODS {
                self.informers.start_one(number, out);
            }
        }
        match self.config.is_hollow() {
            true => self.start_node(out),
            false => self.ask_runtime(out),
        }
    }

    /// Asks the runtime what there is. The rest starts when it has answered.
    fn ask_runtime(&mut self, out: &mut Outbox) {
        self.cri(CriCall::Other, cri::Request::Version, out);
        self.cri(CriCall::ListImages, cri::Request::ListImages, out);
        self.cri(CriCall::ListPods, cri::Request::ListPodSandbox, out);
        self.wheel.after(RUNTIME_RETRY, Wake::Runtime, out.now);
    }

    /// The node is registered: now pods can be watched, and those that run already can be told of.
    pub(crate) fn on_node_known(&mut self, out: &mut Outbox) {
        if self.informers.get(informer::PODS).stream().is_none() {
            self.informers.start_one(informer::PODS, out);
        }
        self.ensure_mirrors(out);
        self.sync_all_statuses(out);
    }

    fn on_payload(&mut self, payload: &Payload, out: &mut Outbox) {
        match self.informers.handle(payload, out) {
            Handled::NotMine => {}
            Handled::Nothing => return self.kill_orphans(false, out),
            Handled::Deltas(number, deltas) => {
                deltas.iter().for_each(|d| self.on_delta(number, d, out));
                return self.kill_orphans(false, out);
            }
        }
        if self.references.handle(payload, out) {
            return;
        }
        match payload {
            Payload::ApiResponse { id, response } => {
                if let Some(call) = self.client.take(*id) {
                    self.on_response(call, response, out);
                }
            }
            Payload::PeerGone { peer } if *peer == self.config.client.apiserver => self.on_lost(out),
            _ => {}
        }
    }

    fn on_delta(&mut self, number: usize, delta: &Delta, out: &mut Outbox) {
        match number {
            informer::NODE => match &delta.new {
                Some(node) => self.on_node(node.clone(), out),
                None => self.node.object = None,
            },
            informer::PODS if self.config.is_hollow() => self.on_hollow_pod(delta, out),
            informer::PODS if is_mirror(delta.object()) => self.on_mirror(delta, out),
            informer::PODS => self.on_api_pod(delta, out),
            _ => {}
        }
    }

    fn on_response(&mut self, call: Call, response: &Response, out: &mut Outbox) {
        match call {
            Call::Node(call) => self.on_node_response(call, response, out),
            Call::Status(uid, call) => self.on_status_response(&uid, call, response, out),
            Call::Mirror(uid) => self.on_mirror_response(&uid, response, out),
            Call::Token(uid, volume, source) => {
                let answer = match response.ok().and_then(|o| o.at(&["status", "token"])?.as_rc_str()) {
                    Some(token) => {
                        let seconds = response.ok().and_then(|o| o.int_at(&["spec", "expirationSeconds"])).unwrap_or(3600);
                        Ok((token.clone(), seconds))
                    }
                    None => Err(failure(response)),
                };
                self.with_worker(&uid, out, |w, cx, fx| w.on_token(&volume, source, answer, cx, fx));
            }
            Call::Claim(uid, volume) => self.on_claim_read(uid, volume, response, out),
            Call::Volume(uid, volume) => {
                let answer = response.ok().cloned().ok_or_else(|| failure(response));
                self.with_worker(&uid, out, |w, cx, fx| w.on_persistent_volume(&volume, answer, cx, fx));
            }
            Call::Hollow(pod) if matches!(response.code, 0 | 429 | 500..) => {
                let delay = if response.code == 429 { RETRY_AFTER } else { HOLLOW_RETRY };
                self.wheel.after(delay, Wake::Hollow(pod), out.now);
            }
            Call::Event => self.on_event_response(response, out),
            Call::Review(number) => self.on_review(number, response, out),
            Call::Hollow(_) | Call::Other => {}
        }
    }

    /// kube-apiserver is gone: what was under way counts as failed.
    fn on_lost(&mut self, out: &mut Outbox) {
        let failed = sim::transport_error("connect: connection refused");
        for (_, call) in self.client.drop_all() {
            self.on_response(call, &failed, out);
        }
    }

    fn on_wake(&mut self, wake: Wake, out: &mut Outbox) {
        match wake {
            Wake::Register => self.register(out),
            Wake::CsiNode => self.find_csi_owner(out),
            Wake::NodeStatus => {
                if self.images_stale {
                    self.cri(CriCall::ListImages, cri::Request::ListImages, out);
                }
                self.node_status_tick(out);
            }
            Wake::Lease => self.renew_lease(out),
            Wake::Runtime if self.known.is_none() => self.ask_runtime(out),
            Wake::Runtime => {}
            Wake::RuntimeDown => self.on_runtime_threshold(out),
            Wake::Pod(uid, at) => {
                if self.workers.get(&uid).is_some_and(|w| w.wake_at == Some(at)) {
                    self.with_worker(&uid, out, |w, cx, fx| w.sync(cx, fx));
                }
            }
            Wake::Probe(uid, name, kind) => self.with_worker(&uid, out, |w, cx, fx| w.on_probe_due(&name, kind, cx, fx)),
            Wake::Status(uid) => self.sync_status(&uid, out),
            Wake::Mirror(uid) => {
                let pod = self.workers.get(&uid).filter(|w| w.is_static).map(|w| w.pod.clone());
                pod.into_iter().for_each(|pod| self.ensure_mirror(&pod, out));
            }
            Wake::Event => self.try_event(out),
            Wake::Eviction => self.look_at_usage(out),
            Wake::JobDone(pod) => self.finish_hollow(&pod, out),
            Wake::Hollow(pod) => self.retry_hollow(&pod, out),
        }
    }

    /// The open watches, for the page.
    pub fn informers(&self) -> impl Iterator<Item = &Informers> {
        [&self.informers, self.references.informers()].into_iter()
    }

    /// The pod workers, for the page.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.workers.values().map(|w| WorkerView {
            pod: w.key.clone(),
            stage: match w.stage {
                Stage::Syncing => "Syncing",
                Stage::Terminating => "Terminating",
                Stage::Terminated => "Terminated",
            },
            next_look: w.wake_at,
            waiting: w.reasons.iter().map(|(c, (r, m))| (c.clone(), r.clone(), m.clone())).collect(),
        })
    }
}

/// Go's text of a failed call.
pub(crate) fn failure(response: &Response) -> Text {
    match &response.body {
        apimachinery::ResponseBody::Text(_, text) => text.clone(),
        _ => response.message().into(),
    }
}

/// Whether an update brings nothing that a worker must look at: the status that the kubelet wrote itself.
pub(crate) fn only_status_of_ours_changed(old: &Object, new: &Object) -> bool {
    let gates = |pod: &Object| -> Vec<Value> {
        let names = pod.list_at(&["spec", "readinessGates"]).iter().filter_map(|g| g.str_at(&["conditionType"]));
        names.filter_map(|name| pod.condition(name).cloned()).collect()
    };
    let meta = |pod: &Object, field: &str| pod.at(&["metadata", field]).cloned();
    old.get("spec") == new.get("spec")
        && ["deletionTimestamp", "deletionGracePeriodSeconds", "labels", "generation"]
            .iter()
            .all(|f| meta(old, f) == meta(new, f))
        && own_annotations(old) == own_annotations(new)
        && gates(old) == gates(new)
}

/// Annotations without those that the kubelet adds to its copy.
fn own_annotations(pod: &Object) -> Vec<(Text, Value)> {
    let ours = |k: &str| matches!(k, "kubernetes.io/config.seen" | "kubernetes.io/config.source");
    pod.annotations().into_iter().flatten().filter(|(k, _)| !ours(k)).cloned().collect()
}
