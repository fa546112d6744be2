//! The process: informers and leader election outside, cycles inside, bindings, conditions and events as what comes of them.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, PatchType, Request, Response, Value, resources, value};
use base::{Duration, Map, Seed, Time};
use client_go::{
    Client, ClientConfig, EventRecorder, EventRecorderV1, EventType, Handled, Informers, LeaderConfig, LeaderElector, Leadership,
    Timers,
};
use sim::{Message, Outbox, Payload};

use crate::cache::Cache;
use crate::diagnosis::Diagnosis;
use crate::events::{add_informers, informer};
use crate::framework::{Cx, CycleState};
use crate::memo::Memo;
use crate::observe::{Cycles, Found};
use crate::owners::{OwnerStores, Owners};
use crate::plugins::{Preemption, Victims, preempt};
use crate::pod_info::{PodId, PodInfo};
use crate::pre_bind::PreBinding;
use crate::queue::{Queued, SchedulingQueue};
use crate::schedule_one::{Cycle, Nominated, Outcome, withdraw};
use crate::volumes::Volumes;

/// Cycles in one handling; the rest goes on a moment later, so that the caller is never kept for long.
const CYCLES_AT_ONCE: usize = 64;
/// … namely after so long.
const NEXT_CYCLES: Duration = Duration::from_millis(1);

const NAME: &str = "default-scheduler";

/// Scopes of call and timer numbers.
const SCOPE_INFORMERS: u16 = 1;
const SCOPE_ELECTION: u16 = 2;
const SCOPE_CALLS: u16 = 3;
const SCOPE_EVENTS: u16 = 4;

/// How a scheduler is started.
#[derive(Clone)]
pub struct Config {
    /// kube-apiserver, credential (`system:kube-scheduler`), and the rate limit (upstream: 50 a second, 100 at once).
    pub client: ClientConfig,
    /// The machine, for the lease's holder and the events' reporting instance.
    pub hostname: Rc<str>,
    pub leader_elect: bool,
    pub seed: Seed,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Call {
    Bind(PodId),
    /// A volume or claim for a pod that waits to be bound.
    Volume(PodId),
    Evict(ObjectKey),
    Other,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Wake {
    Cycles,
    Flush(Time),
    /// A pod waits too long for its volumes.
    PreBind(PodId, Time),
}

/// kube-scheduler.
#[derive(Clone)]
pub struct Scheduler {
    config: Config,
    informers: Informers,
    elector: LeaderElector,
    pub(crate) client: Client<Call>,
    event_client: Client<()>,
    recorder: EventRecorderV1,
    core_recorder: Option<EventRecorder>,
    pub(crate) timers: Timers<Wake>,
    pub(crate) cache: Cache,
    pub(crate) volumes: Volumes,
    pub(crate) pre_binding: Map<PodId, PreBinding>,
    pub(crate) queue: SchedulingQueue,
    pub(crate) owners: Owners,
    pub(crate) decisions: Map<PodId, Rc<Diagnosis>>,
    nominated: Nominated,
    memo: Memo,
    start: u32,
    /// A timer for more cycles is set.
    cycles_due: bool,
    ended: bool,
    flush_at: Option<Time>,
    scheduled: u64,
    pub(crate) cycles: Cycles,
    /// A debugger holds it: it takes no pod from its queue but by steps.
    pub(crate) is_held: bool,
    /// Steps that were asked for and not made yet.
    pub(crate) steps: u32,
}

impl Scheduler {
    pub fn new(config: Config) -> Scheduler {
        let seed = config.seed.derive("kube-scheduler");
        let mut informers = Informers::new(SCOPE_INFORMERS, config.client.clone(), seed.derive("informers"));
        add_informers(&mut informers);
        let identity = format!("{}_{}", config.hostname, seed.derive("identity").uuid(0));
        let election = LeaderConfig::new(ObjectKey::new("kube-system", "kube-scheduler"), &identity);
        Scheduler {
            elector: LeaderElector::new(SCOPE_ELECTION, config.client.clone(), election, seed.derive("election")),
            client: Client::new(SCOPE_CALLS, config.client.clone()),
            event_client: Client::new(SCOPE_EVENTS, config.client.clone()),
            recorder: EventRecorderV1::new(NAME, &format!("{NAME}-{}", config.hostname)),
            core_recorder: None,
            timers: Timers::new(SCOPE_CALLS),
            informers,
            config,
            cache: Cache::default(),
            volumes: Volumes::default(),
            pre_binding: Map::default(),
            queue: SchedulingQueue::default(),
            owners: Owners::default(),
            decisions: Map::default(),
            nominated: Map::default(),
            memo: Memo::default(),
            start: 0,
            cycles_due: false,
            ended: false,
            flush_at: None,
            scheduled: 0,
            cycles: Cycles::default(),
            is_held: false,
            steps: 0,
        }
    }

    /// Its events are those of the core group. Upstream falls back to these if it starts when kube-apiserver does not list the
    /// group `events.k8s.io` (yet).
    pub fn with_core_events(self) -> Scheduler {
        Scheduler { core_recorder: Some(EventRecorder::new(NAME, "")), ..self }
    }

    /// Takes one message.
    pub fn handle(&mut self, _now: Time, message: Message, out: &mut Outbox) {
        match &message.payload {
            Payload::Start => self.start(out),
            payload => self.on_payload(payload, out),
        }
        self.run_cycles(out);
    }

    fn start(&mut self, out: &mut Outbox) {
        self.informers.start(out);
        if self.config.leader_elect {
            self.elector.start(out);
        }
    }

    fn on_payload(&mut self, payload: &Payload, out: &mut Outbox) {
        match self.informers.handle(payload, out) {
            Handled::NotMine => {}
            Handled::Nothing => return,
            Handled::Deltas(number, deltas) => return deltas.iter().for_each(|d| self.on_delta(number, d, out)),
        }
        match self.elector.handle(payload, out) {
            Leadership::NotMine => {}
            Leadership::Started => return self.on_leading(out),
            Leadership::Lost => {
                self.ended = true;
                return;
            }
            Leadership::Unchanged => return,
        }
        match payload {
            Payload::ApiResponse { id, response } if self.client.owns(*id) => {
                if let Some(call) = self.client.take(*id) {
                    self.on_response(call, response, out);
                }
            }
            Payload::ApiResponse { id, .. } => {
                self.event_client.take(*id);
            }
            Payload::Timer(token) => match self.timers.take(*token) {
                Some(Wake::Cycles) => self.cycles_due = false,
                Some(Wake::Flush(at)) if self.flush_at == Some(at) => self.flush_at = None,
                Some(Wake::PreBind(id, until)) => self.on_pre_bind_timeout(id, until, out),
                _ => {}
            },
            Payload::PeerGone { peer } if *peer == self.config.client.apiserver => self.on_lost(out),
            _ => {}
        }
    }

    fn on_leading(&mut self, out: &mut Outbox) {
        let Some(lease) = self.elector.lease() else { return };
        let regarding = client_go::object_reference(lease);
        let note = format!("{} became leader", self.elector.config.identity);
        self.event(regarding, Value::Null, EventType::Normal, "LeaderElection", "LeaderElection", &note, out);
    }

    /// Whether the process has ended (it lost its lease) and must be started anew.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether this instance places pods.
    pub fn is_leader(&self) -> bool {
        !self.config.leader_elect || self.elector.is_leader()
    }

    fn ready(&self) -> bool {
        self.is_leader() && self.informers.iter().take(informer::NEEDED).all(|i| i.has_synced())
    }

    fn run_cycles(&mut self, out: &mut Outbox) {
        if self.cycles_due || !self.ready() {
            return;
        }
        self.queue.flush(out.handling, out.now);
        let steps = std::mem::take(&mut self.steps) as usize;
        if self.is_held && steps == 0 {
            return;
        }
        for _ in 0..if self.is_held { steps } else { CYCLES_AT_ONCE } {
            let Some(queued) = self.queue.pop() else {
                let next = self.queue.flush(out.handling, out.now);
                return self.set_flush(next, out);
            };
            out.set_cause(Some(queued.cause));
            self.schedule(&queued, out);
            out.set_cause(None);
        }
        if self.is_held {
            return;
        }
        self.cycles_due = true;
        self.timers.after(NEXT_CYCLES, Wake::Cycles, out);
    }

    /// One timer for the earliest back-off or leftover.
    fn set_flush(&mut self, next: Option<Time>, out: &mut Outbox) {
        let Some(at) = next.filter(|at| self.flush_at.is_none_or(|set| *at < set)) else { return };
        self.flush_at = Some(at);
        self.timers.after(at.since(out.now), Wake::Flush(at), out);
    }

    /// One scheduling cycle.
    fn schedule(&mut self, queued: &Queued, out: &mut Outbox) {
        let pod = &queued.pod;
        let stores = OwnerStores {
            services: self.informers.store(informer::SERVICES),
            replica_sets: self.informers.store(informer::REPLICA_SETS),
            stateful_sets: self.informers.store(informer::STATEFUL_SETS),
            replication_controllers: self.informers.store(informer::REPLICATION_CONTROLLERS),
        };
        let selector = self.owners.selector(pod, &stores);
        let mut cycle = Cycle {
            cache: &mut self.cache,
            volumes: &self.volumes,
            memo: &mut self.memo,
            nominated: &self.nominated,
            start: &mut self.start,
            seed: self.config.seed,
        };
        match cycle.schedule(pod, selector.as_ref()) {
            Outcome::Node { node, fit, looked_at, score } => {
                self.cycles.note(out.now, queued, Found::Node { node, fit, looked_at, score });
                self.bind(pod, node, out);
            }
            Outcome::Nowhere(diagnosis, state, active) => self.on_nowhere(queued, diagnosis, &state, &active, out),
        }
    }

    /// Reserve, PreBind, Bind: counts the pod on its node and posts the binding.
    fn bind(&mut self, pod: &Rc<PodInfo>, node: u32, out: &mut Outbox) {
        let node_name = self.cache.node(node).name.clone();
        self.cache.add_pod(pod.clone(), &node_name, true);
        if !self.bind_volumes(pod, node, out) {
            self.post_binding(pod, &node_name, out);
        }
    }

    pub(crate) fn post_binding(&mut self, pod: &Rc<PodInfo>, node_name: &Rc<str>, out: &mut Outbox) {
        let binding = value!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"namespace": (&pod.key.namespace), "name": (&pod.key.name), "uid": (&pod.uid)},
            "target": {"kind": "Node", "name": node_name}
        });
        let binding = Object::from_value(binding).expect("a map was built");
        let request = Request::create(resources::pods(), binding).with_subresource("binding");
        let request = Request { name: pod.key.name.clone(), ..request };
        self.client.call(request, Call::Bind(pod.id), out);
    }

    fn on_response(&mut self, call: Call, response: &Response, out: &mut Outbox) {
        let id = match call {
            Call::Bind(id) => id,
            Call::Volume(id) => return self.on_volume_written(id, response, out),
            Call::Evict(_) | Call::Other => return,
        };
        let Some(placed) = self.cache.pod(id).cloned() else { return };
        if response.is_success() {
            self.scheduled += 1;
            let node = self.cache.node(placed.node).name.clone();
            let note = format!("Successfully assigned {}/{} to {node}", placed.pod.key.namespace, placed.pod.key.name);
            let regarding = reference(&placed.pod);
            return self.event(regarding, Value::Null, EventType::Normal, "Scheduled", "Binding", &note, out);
        }
        if !placed.assumed {
            return;
        }
        self.cache.remove_pod(id);
        let message = format!("binding rejected: {}", response.message());
        self.failed_scheduling(&placed.pod, &message, "SchedulerError", None, out);
        self.queue.failed(id, out.now);
    }

    /// The connection broke: what was posted may or may not have been written; the watch will tell, or it is tried again.
    fn on_lost(&mut self, out: &mut Outbox) {
        self.event_client.drop_all();
        for (_, call) in self.client.drop_all() {
            let (Call::Bind(id) | Call::Volume(id)) = call else { continue };
            self.forget_pre_binding(id);
            if self.cache.pod(id).is_some_and(|p| p.assumed) {
                self.cache.remove_pod(id);
                self.queue.failed(id, out.now);
            }
        }
    }

    fn on_nowhere(&mut self, queued: &Queued, mut diagnosis: Diagnosis, state: &CycleState, active: &[bool], out: &mut Outbox) {
        let pod = &queued.pod;
        let mut nominated = None;
        if diagnosis.pre_filter.is_none() && diagnosis.nodes > 0 {
            let budgets: Vec<Object> = self.informers.store(informer::BUDGETS).objects().cloned().collect();
            let cx = Cx { cache: &self.cache, volumes: &self.volumes };
            match preempt(&cx, pod, state, &diagnosis, &budgets, active) {
                Preemption::No(why) => diagnosis.post_filter = why,
                Preemption::Evict(victims) => nominated = Some(self.evict(pod, victims, out)),
            }
        }
        let message = match diagnosis.nodes {
            0 => "no nodes available to schedule pods".to_string(),
            _ => diagnosis.message(),
        };
        let mut plugins = diagnosis.plugins();
        if diagnosis.nodes == 0 {
            plugins = crate::plugins::PLUGINS.iter().map(|p| p.name()).collect();
        }
        let diagnosis = Rc::new(diagnosis);
        self.cycles.note(out.now, queued, Found::Nowhere(diagnosis.clone()));
        self.decisions.insert(pod.id, diagnosis);
        self.failed_scheduling(pod, &message, "Unschedulable", nominated, out);
        self.queue.unschedulable(pod.id, &plugins, out.now);
    }

    /// Makes room: the victims are marked and deleted, the pod is nominated for the node.
    fn evict(&mut self, pod: &Rc<PodInfo>, victims: Victims, out: &mut Outbox) -> Rc<str> {
        let node = self.cache.node(victims.node).name.clone();
        for victim in &victims.pods {
            let condition = value!({"status": {"conditions": [{
                "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                "message": (format!("{NAME}: preempting to accommodate a higher priority pod")),
                "lastProbeTime": null, "lastTransitionTime": (out.now.rfc3339_shared())
            }]}});
            let request = Request::patch_status(resources::pods(), &victim.key, PatchType::StrategicMerge, condition);
            self.client.call(request, Call::Other, out);
            let request = Request::delete(resources::pods(), &victim.key);
            self.client.call(request, Call::Evict(victim.key.clone()), out);
            let note = format!("Preempted by pod {} on node {node}", pod.uid);
            self.event(reference(victim), reference(pod), EventType::Normal, "Preempted", "Preempting", &note, out);
        }
        self.withdraw_nomination(pod.id);
        self.nominated.entry(victims.node).or_default().push(pod.clone());
        node
    }

    pub(crate) fn withdraw_nomination(&mut self, id: PodId) {
        if !self.nominated.is_empty() {
            withdraw(&mut self.nominated, id);
        }
    }

    /// The event, and the condition if it says something new. Models `handleSchedulingFailure`.
    pub(crate) fn failed_scheduling(
        &mut self,
        pod: &PodInfo,
        message: &str,
        reason: &str,
        nominated: Option<Rc<str>>,
        out: &mut Outbox,
    ) {
        self.event(reference(pod), Value::Null, EventType::Warning, "FailedScheduling", "Scheduling", message, out);
        let Some(object) = self.informers.store(informer::PODS).get(&pod.key) else { return };
        let old = object.condition("PodScheduled");
        let same = |field: &str, wanted: &str| old.and_then(|c| c.str_at(&[field])) == Some(wanted);
        let unchanged = same("status", "False") && same("reason", reason) && same("message", message);
        if unchanged && nominated.is_none() {
            return;
        }
        let since = match old.filter(|_| same("status", "False")).and_then(|c| c.get("lastTransitionTime")) {
            Some(time) => time.clone(),
            None => out.now.rfc3339_shared().into(),
        };
        let mut status = value!({"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": reason, "message": message,
            "lastProbeTime": null, "lastTransitionTime": since, "observedGeneration": (object.generation())
        }]});
        if let Some(node) = nominated {
            status.set_at(&["nominatedNodeName"], node);
        }
        let patch = value!({"status": status});
        let request = Request::patch_status(resources::pods(), &pod.key, PatchType::StrategicMerge, patch);
        self.client.call(request, Call::Other, out);
    }

    fn event(
        &mut self,
        regarding: Value,
        related: Value,
        kind: EventType,
        reason: &str,
        action: &str,
        note: &str,
        out: &mut Outbox,
    ) {
        let request = match &mut self.core_recorder {
            Some(recorder) => recorder.record(regarding, kind, reason, note, out.now),
            None => Some(self.recorder.eventf(regarding, related, kind, reason, action, note, out.now)),
        };
        if let Some(request) = request {
            self.event_client.call(request, (), out);
        }
    }

    /// Bindings that were written.
    pub fn scheduled(&self) -> u64 {
        self.scheduled
    }

    /// The informers, for the page's view of open watches.
    pub fn informers(&self) -> &Informers {
        &self.informers
    }
}

/// The ObjectReference of a pod.
fn reference(pod: &PodInfo) -> Value {
    value!({
        "kind": "Pod", "namespace": (&pod.key.namespace), "name": (&pod.key.name), "uid": (&pod.uid),
        "apiVersion": "v1", "resourceVersion": (&pod.resource_version)
    })
}
