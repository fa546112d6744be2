//! The process: takes messages, hands them to the node's part, to pod workers and to the server, and sends what these want.

use std::rc::Rc;

use apimachinery::{Gvr, Object, ObjectKey, Request, Response, Value, resources, value};
use base::Sort as _;
use base::{Duration, Map, Time};
use client_go::{Client, Delta, EventRecorder, EventType, Handled, Informers, Selectors, object_reference};
use cri_api::cri;
use sim::{Addr, Message, Outbox, Payload, StreamId};

use crate::admission;
use crate::authorization::Authorizer;
use crate::config::Config;
use crate::events::EventSink;
use crate::hollow::Hollow;
use crate::node::{NodeCall, NodeState};
use crate::pod_worker::{Cx, Effect, Op, PodWorker, Stage};
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

    /// A pod that is bound to this node came, changed or went.
    fn on_api_pod(&mut self, delta: &Delta, out: &mut Outbox) {
        let uid: Text = delta.object().uid().into();
        if let Some(old) = delta.old.as_ref().filter(|old| old.uid() != &*uid) {
            self.remove_pod(&old.uid().into(), out);
        }
        self.note_api_pod(delta);
        let Some(pod) = &delta.new else { return self.remove_pod(&uid, out) };
        let mut pod = pod.clone();
        pod.set_at(&["metadata", "annotations", "kubernetes.io/config.seen"], self.started.rfc3339_nano());
        pod.set_at(&["metadata", "annotations", "kubernetes.io/config.source"], "api");
        if !self.workers.contains_key(&uid) {
            return self.add_pod(pod, false, out);
        }
        if delta.old.as_ref().is_some_and(|old| only_status_of_ours_changed(old, &pod)) {
            // What came back is what was sent.
            self.with_worker(&uid, out, |w, _, _| w.pod = pod);
            return;
        }
        self.references.register(&pod, out);
        self.with_worker(&uid, out, |w, cx, fx| w.update(pod, cx, fx));
    }

    /// Forced away, or gone in the end.
    fn remove_pod(&mut self, uid: &Text, out: &mut Outbox) {
        let Some(worker) = self.workers.get(uid) else { return };
        if worker.stage == Stage::Terminated {
            return self.finish(uid, out);
        }
        self.forget_status(uid);
        self.with_worker(uid, out, |w, cx, fx| w.terminate(0, cx, fx));
    }

    pub(crate) fn add_pod(&mut self, pod: Object, is_static: bool, out: &mut Outbox) {
        let uid: Text = pod.uid().into();
        let known = self.known.as_mut().and_then(|k| k.remove(&uid));
        if known.is_none() && crate::pod::is_terminal(&pod) && !pod.is_being_deleted() {
            return; // It ended in an earlier life of the kubelet and left nothing behind.
        }
        let mut worker = PodWorker::new(pod.clone(), is_static, known.as_ref(), out.now);
        if known.is_none() && !is_static && !pod.is_being_deleted() {
            worker.verdict = self.refuse(&pod, out);
        }
        self.references.register(&pod, out);
        self.by_key.insert(pod.key(), uid.clone());
        self.workers.insert(uid.clone(), Rc::new(worker));
        match pod.is_being_deleted() {
            true => self.with_worker(&uid, out, |w, cx, fx| w.update(pod, cx, fx)),
            false => self.with_worker(&uid, out, |w, cx, fx| w.sync(cx, fx)),
        }
    }

    fn refuse(&mut self, pod: &Object, out: &mut Outbox) -> Option<(Text, Text)> {
        let here = self.workers.values().filter(|w| w.stage == Stage::Syncing);
        let (mut used, mut count) = ((0, 0), 0);
        for worker in here {
            let r = admission::requests(&worker.pod);
            (used, count) = ((used.0 + r.0, used.1 + r.1), count + 1);
        }
        let (reason, message) = crate::eviction::refuse(self.eviction.pressures, pod)
            .or_else(|| admission::refuse(&self.config, self.node.object.as_ref(), pod, used, count))?;
        if let Some(request) = self.recorder.event(pod, EventType::Warning, &reason, &message, out.now) {
            self.send_event(request, out);
        }
        Some((reason, message))
    }

    /// Runs a worker's method and carries out what it wants.
    pub(crate) fn with_worker(&mut self, uid: &Text, out: &mut Outbox, f: impl FnOnce(&mut PodWorker, &Cx, &mut Vec<Effect>)) {
        let Some(mut worker) = self.workers.get(uid).cloned() else { return };
        let mut effects = Vec::new();
        let cx = Cx {
            config: &self.config,
            now: out.now,
            references: &self.references,
            node: self.node.object.as_ref(),
            services: self.informers.store(informer::SERVICES),
            network: self.node.network,
            relist: self.until_relist(out.now),
        };
        f(Rc::make_mut(&mut worker), &cx, &mut effects);
        self.workers.insert(uid.clone(), worker);
        for effect in effects {
            self.carry_out(uid, effect, out);
        }
    }

    fn carry_out(&mut self, uid: &Text, effect: Effect, out: &mut Outbox) {
        let Some(worker) = self.workers.get(uid).cloned() else { return };
        match effect {
            Effect::Cri(op, request) => {
                self.images_stale |= matches!(request, cri::Request::PullImage { .. });
                self.note_request(&worker, &request);
                self.cri(CriCall::Pod(uid.clone(), op), request, out);
            }
            Effect::Event { path, kind, reason, message } => {
                let mut about = object_reference(&worker.pod);
                if let Some(path) = path {
                    about.set_at(&["fieldPath"], path);
                }
                self.note_pod_event(&worker.key, uid, reason, &message);
                if let Some(request) = self.recorder.record(about, kind, reason, &message, out.now) {
                    self.send_event(request, out);
                }
            }
            Effect::Status(status) => self.set_status(uid, &worker.key, worker.is_static, status, out),
            Effect::Wake(at) => {
                self.wheel.after(at.since(out.now), Wake::Pod(uid.clone(), at), out.now);
            }
            Effect::ProbeAt(at, name, kind) => {
                self.wheel.after(at.since(out.now), Wake::Probe(uid.clone(), name, kind), out.now);
            }
            Effect::Token { volume, source, audience, seconds } => {
                self.request_token(uid, &worker.pod, volume, source, &audience, seconds, out);
            }
            Effect::Claim { volume, name } => {
                let key = ObjectKey { namespace: worker.key.namespace.clone(), name };
                let request = Request::get(resources::persistentvolumeclaims(), &key);
                self.client.call(request, Call::Claim(uid.clone(), volume), out);
            }
            Effect::Deletable if worker.is_static => self.finish(uid, out),
            Effect::Deletable => {
                self.set_deletable(uid, out);
                // Deleted by force: nothing waits for the end of it.
                if self.informers.store(informer::PODS).get(&worker.key).is_none_or(|p| p.uid() != &**uid) {
                    self.finish(uid, out);
                }
            }
        }
    }

    /// Forgets a pod of which nothing runs any more, and what the runtime keeps of it.
    fn finish(&mut self, uid: &Text, out: &mut Outbox) {
        let Some(worker) = self.workers.remove(uid) else { return };
        if self.by_key.get(&worker.key) == Some(uid) {
            self.by_key.remove(&worker.key);
        }
        self.references.unregister(uid, out);
        self.forget_status(uid);
        for sandbox in worker.old_sandboxes.iter().chain(worker.sandbox.iter().map(|s| &s.id)) {
            self.cri(CriCall::Other, cri::Request::RemovePodSandbox { sandbox: sandbox.clone() }, out);
        }
        if worker.is_static {
            self.on_static_gone(&worker.key, out);
        }
    }

    fn request_token(
        &mut self,
        uid: &Text,
        pod: &Object,
        volume: Text,
        source: usize,
        audience: &str,
        seconds: i64,
        out: &mut Outbox,
    ) {
        let audiences: Vec<Value> = if audience.is_empty() { vec![] } else { vec![audience.into()] };
        let body = value!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
            "spec": {"audiences": audiences, "expirationSeconds": seconds,
                "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": (pod.name()), "uid": (pod.uid())}}
        });
        let account = pod.str_at(&["spec", "serviceAccountName"]).filter(|n| !n.is_empty()).unwrap_or("default");
        let body = Object::from_value(body).expect("a map was built");
        let mut request = Request::create(resources::serviceaccounts(), body).with_subresource("token").with_name(account);
        request.namespace = pod.key().namespace;
        self.client.call(request, Call::Token(uid.clone(), volume, source), out);
    }

    /// Sends a request to the runtime.
    pub(crate) fn cri(&mut self, call: CriCall, request: cri::Request, out: &mut Outbox) -> u64 {
        self.next_cri += 1;
        let id = self.next_cri;
        self.cri_calls.insert(id, call);
        if let Some(runtime) = self.config.runtime {
            out.send(runtime, Payload::Cri(Rc::new(cri::Message::Request { id, request })));
        }
        id
    }

    fn on_cri(&mut self, message: &cri::Message, out: &mut Outbox) {
        match message {
            cri::Message::Response { id, response } => {
                let Some(call) = self.cri_calls.remove(id) else { return };
                self.on_cri_response(*id, call, response, out);
            }
            cri::Message::Event(event) => self.on_cri_event(event, out),
            cri::Message::Frame { id, channel, data } => self.frame_out(*id, *channel, data, out),
            cri::Message::FrameEnd { id } => self.end_out(*id, out),
            cri::Message::Request { .. } => {}
        }
    }

    fn on_cri_response(&mut self, id: u64, call: CriCall, response: &cri::Response, out: &mut Outbox) {
        match (call, response) {
            (CriCall::Pod(uid, op), response) => self.with_worker(&uid, out, |w, cx, fx| w.on_cri(op, response, cx, fx)),
            (CriCall::Served(to, stream, served), response) => self.on_served(id, (to, stream), served, response, out),
            (CriCall::ListPods, cri::Response::Pods(pods)) if self.known.is_none() => self.on_runtime_known(pods, out),
            (CriCall::ListPods, cri::Response::Pods(pods)) => self.on_relisted(pods, out),
            (CriCall::ListImages, cri::Response::Images(images)) => self.on_images(images, out),
            (CriCall::Manifests, cri::Response::Files(files)) => self.on_manifests(files, out),
            (CriCall::Usage, cri::Response::Stats { node, containers, volumes }) => {
                self.on_usage(&crate::eviction::Usage { node: *node, containers, volumes }, out);
            }
            (CriCall::UnusedImages, cri::Response::Images(images)) => self.remove_unused_images(images, out),
            (CriCall::Manifests, _) => self.on_manifests(&[], out),
            _ => {}
        }
    }

    /// The runtime answers: manifests are read, and the node may register.
    fn on_runtime_known(&mut self, pods: &[cri::PodStatus], out: &mut Outbox) {
        let mut known: Map<Text, cri::PodStatus> = Map::default();
        for pod in pods {
            // Of several sandboxes of a pod the newest counts; its containers' history is that of all.
            let uid = pod.config.pod_uid.clone();
            let mut pod = pod.clone();
            if let Some(other) = known.get(&uid) {
                let (mut older, newer) =
                    if other.created_at <= pod.created_at { (other.clone(), pod) } else { (pod, other.clone()) };
                older.containers.extend(newer.containers.iter().cloned());
                pod = cri::PodStatus { containers: older.containers, ..newer };
            }
            known.insert(uid, pod);
        }
        self.known = Some(known);
        self.info("kubelet.go:408", "Adding static pod path", vec![("path", (&self.config.static_pod_path).into())]);
        self.info("kubelet.go:419", "Adding apiserver pod source", Vec::new());
        self.info("server.go:1262", "Started kubelet", Vec::new());
        self.info("server.go:180", "Starting to listen", vec![("address", "0.0.0.0".into()), ("port", 10250.into())]);
        self.info("kubelet.go:2436", "Starting kubelet main sync loop", Vec::new());
        self.cri(CriCall::Manifests, cri::Request::WatchDirectory { path: self.config.static_pod_path.clone() }, out);
        self.start_node(out);
    }

    /// The runtime was restarted: workers take over what it has now.
    fn on_relisted(&mut self, pods: &[cri::PodStatus], out: &mut Outbox) {
        let uids: Vec<Text> = self.workers.keys().cloned().collect();
        for uid in uids {
            let found = pods.iter().filter(|p| p.config.pod_uid == uid).max_by_key(|p| p.created_at);
            self.with_worker(&uid, out, |w, cx, fx| {
                match found {
                    Some(found) => {
                        if let Some(sandbox) = w.sandbox.as_mut().filter(|s| s.id == found.sandbox) {
                            sandbox.ready = found.ready;
                        }
                        found.containers.iter().for_each(|c| w.note(c));
                    }
                    None => w.sandbox.iter_mut().for_each(|s| s.ready = false),
                }
                w.sync(cx, fx);
            });
        }
        self.end_what_was_to_end(out);
    }

    fn on_images(&mut self, images: &[cri::Image], out: &mut Outbox) {
        self.images_stale = false;
        let mut images = images.to_vec();
        images.order_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.name.cmp(&b.name)));
        let image = |i: &cri::Image| value!({"names": [(&i.digest), (&i.name)], "sizeBytes": (i.size_bytes)});
        self.node.images = Value::list(images.iter().take(50).map(image).collect());
        if self.node.registered {
            self.sync_node_status(out);
        }
    }

    fn on_cri_event(&mut self, event: &cri::Event, out: &mut Outbox) {
        let relist = self.until_relist(out.now);
        match event {
            cri::Event::ContainerStopped(status) => {
                let owner = self.workers.iter().find(|(_, w)| w.sandbox.as_ref().is_some_and(|s| s.id == status.sandbox));
                let Some(uid) = owner.map(|(uid, _)| uid.clone()) else { return };
                self.note_exit(&uid, status);
                self.with_worker(&uid, out, |w, cx, fx| w.on_container_stopped(status, relist, cx, fx));
            }
            cri::Event::SandboxStopped { sandbox } => {
                let owner = self.workers.iter().find(|(_, w)| w.sandbox.as_ref().is_some_and(|s| s.id == *sandbox));
                let Some(uid) = owner.map(|(uid, _)| uid.clone()) else { return };
                self.with_worker(&uid, out, |w, cx, fx| w.on_sandbox_died(sandbox, relist, cx, fx));
            }
            cri::Event::DirectoryChanged { path, files } if *path == self.config.static_pod_path => self.on_manifests(files, out),
            cri::Event::DirectoryChanged { .. } => {}
            cri::Event::RuntimeGone => self.on_runtime_gone(out),
            cri::Event::RuntimeReady => {
                self.on_runtime_back(out);
                self.cri(CriCall::ListPods, cri::Request::ListPodSandbox, out);
            }
            cri::Event::MemoryLow | cri::Event::UsageHigh => self.on_usage_high(out),
            cri::Event::SystemOom { process, pid } => self.on_system_oom(process, *pid, out),
            cri::Event::NetworkReady(ready) => {
                if std::mem::replace(&mut self.node.network, *ready) != *ready && self.node.registered {
                    self.sync_node_status(out);
                }
            }
        }
    }

    /// Until the next look at the runtime.
    fn until_relist(&self, now: Time) -> Duration {
        let past = now.since(self.started).as_micros() % RELIST.as_micros();
        Duration(RELIST.as_micros() - past)
    }

    /// What the runtime has and no source wants is ended. `is_static`: the manifests have just been read.
    pub(crate) fn kill_orphans(&mut self, is_static: bool, out: &mut Outbox) {
        if self.known.as_ref().is_none_or(|k| k.is_empty()) || !(is_static || self.informers.get(informer::PODS).has_synced()) {
            return;
        }
        let known = self.known.take().unwrap_or_default();
        let (orphans, rest): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, pod)| pod.config.is_static == is_static);
        self.known = Some(rest.into_iter().collect());
        for (_, pod) in orphans {
            self.cri(CriCall::Other, cri::Request::StopPodSandbox { sandbox: pod.sandbox.clone() }, out);
            self.cri(CriCall::Other, cri::Request::RemovePodSandbox { sandbox: pod.sandbox }, out);
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
            Call::Hollow(pod) if response.code == 0 || response.code >= 500 => {
                self.wheel.after(HOLLOW_RETRY, Wake::Hollow(pod), out.now);
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
