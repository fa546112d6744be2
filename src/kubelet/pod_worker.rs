//! The life of one pod on the node: a worker syncs it until it is to end, ends it, and cleans up. Models `pkg/kubelet/pod_workers.go`,
//! `kubelet.SyncPod` and `kuberuntime.computePodActions`.
//!
//! What Go writes as one blocking function is a queue of [`Step`]s here; each asks the runtime for something and goes on when the
//! answer comes. All methods only note [`Effect`]s; the kubelet carries them out.

mod answers;
mod plan;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Value};
use base::{Duration, Time};
use client_go::EventType;
use cri_api::cri::{ContainerState, ContainerStatus, Id, PodStatus, Request};

use crate::backoff::Backoff;
use crate::config::Config;
use crate::pod::{self, Kind, Spec, all_specs, app_specs, init_specs, restarts};
use crate::prober::{ProbeKind, Probes};
use crate::references::References;
use crate::start::Starting;
use crate::status::{self, View};
use crate::volumes::Mounts;

type Text = Rc<str>;

/// A pod without errors is looked at this often (and up to half as much later).
const RESYNC: Duration = Duration::from_secs(60);
/// … and one with errors this often.
const RETRY: Duration = Duration::from_secs(10);
/// How soon a change that the sync itself made shows in the status.
const SOON: Duration = Duration::from_millis(10);

/// What a request to the runtime was for.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    Sandbox,
    StopSandbox,
    /// A step of starting a container.
    Start,
    /// Stopping one in the course of a sync.
    Kill(Id),
    /// Stopping one because the pod ends.
    Stop(Id),
    PreStop(Id),
    Probe(Text, ProbeKind),
    Volume(Text),
    Other,
}

/// What a worker wants done.
#[derive(Clone, Debug)]
pub enum Effect {
    Cri(Op, Request),
    /// An event about the pod, or one of its containers.
    Event {
        path: Option<String>,
        kind: EventType,
        reason: &'static str,
        message: String,
    },
    /// The pod's status is this now.
    Status(Value),
    /// Look at the pod again at this time.
    Wake(Time),
    /// Run a probe at this time.
    ProbeAt(Time, Text, ProbeKind),
    /// Fetch a service account token: for a volume's source, audience, seconds.
    Token {
        volume: Text,
        source: usize,
        audience: Text,
        seconds: i64,
    },
    /// Read a claim.
    Claim {
        volume: Text,
        name: Text,
    },
    /// Everything is gone from the node: the API object may go too.
    Deletable,
}

/// What a worker may read.
pub struct Cx<'a> {
    pub config: &'a Config,
    pub now: Time,
    pub references: &'a References,
    /// The node's object as last seen.
    pub node: Option<&'a Object>,
    pub services: &'a client_go::Store,
    /// The CNI plugin has a configuration.
    pub network: bool,
    /// Until the runtime is next asked what has changed.
    pub relist: Duration,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stage {
    Syncing,
    /// Containers are being ended.
    Terminating,
    Terminated,
}

/// The pod's sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub id: Id,
    pub ready: bool,
    pub ips: Vec<Text>,
}

/// One step of a sync.
#[derive(Clone, Debug)]
pub enum Step {
    /// Ends a container that is to be started anew: the message of its event.
    Kill(Id, Spec, String),
    StopSandbox,
    RunSandbox,
    Start(Spec),
}

/// The step under way.
#[derive(Clone, Debug)]
pub enum Active {
    Mount,
    /// Waits for one answer.
    Runtime,
    Start(Starting),
}

#[derive(Clone)]
pub struct PodWorker {
    pub pod: Object,
    pub key: ObjectKey,
    pub is_static: bool,
    pub stage: Stage,
    pub sandbox: Option<Sandbox>,
    pub attempt: u32,
    /// Sandboxes before this one.
    pub old_sandboxes: Vec<Id>,
    /// Oldest first.
    pub containers: Vec<ContainerStatus>,
    pub(crate) hashes: BTreeMap<Id, u64>,
    pub(crate) steps: VecDeque<Step>,
    pub(crate) active: Option<Active>,
    /// Changes that came while a sync was under way.
    resync: bool,
    pub(crate) changed: bool,
    pub(crate) failed: bool,
    /// The shortest rest of a back-off met in this sync.
    pub(crate) rest: Option<Duration>,
    pub(crate) backoffs: BTreeMap<Text, Backoff>,
    pub(crate) image_backoffs: BTreeMap<Text, (Backoff, Text)>,
    pub(crate) reasons: BTreeMap<Text, (Text, Text)>,
    pub(crate) probes: Probes,
    pub(crate) mounts: Mounts,
    pub(crate) stopping: BTreeMap<Id, Time>,
    pub(crate) grace: Duration,
    /// The status as generated last.
    pub status: Value,
    pub start_time: Time,
    pub wake_at: Option<Time>,
    /// A verdict that ends the pod: reason and message.
    pub(crate) verdict: Option<(Text, Text)>,
    /// The kubelet ends it for the node's sake (condition DisruptionTarget).
    pub(crate) disrupted: bool,
    ended: bool,
    /// It ended by itself: its end counts when the next look at the runtime shows it.
    pub(crate) by_itself: bool,
    pub(crate) seen_at: Option<Time>,
    pub(crate) jitters: u64,
    last_probed: BTreeSet<Id>,
}

impl PodWorker {
    /// A worker for a pod that came to the node; `known`: what the runtime still has of it from an earlier life of the kubelet.
    pub fn new(pod: Object, is_static: bool, known: Option<&PodStatus>, now: Time) -> PodWorker {
        let start_time = pod.str_at(&["status", "startTime"]).and_then(Time::parse).unwrap_or(now);
        let sandbox = known.map(|k| Sandbox {
            id: k.sandbox.clone(),
            ready: k.ready,
            ips: k.ips.iter().map(|ip| ip.to_string().into()).collect(),
        });
        PodWorker {
            key: pod.key(),
            is_static,
            stage: Stage::Syncing,
            sandbox,
            attempt: known.map_or(0, |k| k.config.attempt),
            old_sandboxes: Vec::new(),
            containers: known.map(|k| k.containers.clone()).unwrap_or_default(),
            hashes: BTreeMap::new(),
            steps: VecDeque::new(),
            active: None,
            resync: false,
            changed: false,
            failed: false,
            rest: None,
            backoffs: BTreeMap::new(),
            image_backoffs: BTreeMap::new(),
            reasons: BTreeMap::new(),
            probes: Probes::new(&pod),
            mounts: Mounts::default(),
            stopping: BTreeMap::new(),
            grace: Duration::ZERO,
            status: pod.get("status").cloned().unwrap_or_default(),
            start_time,
            wake_at: None,
            verdict: None,
            disrupted: false,
            ended: false,
            by_itself: false,
            seen_at: None,
            jitters: 0,
            last_probed: BTreeSet::new(),
            pod,
        }
    }

    /// The newest container of a name that was at least tried.
    pub fn latest(&self, name: &str) -> Option<&ContainerStatus> {
        self.containers.iter().rev().find(|c| &*c.name == name && c.state != ContainerState::Created)
    }
    fn is_running(&self, name: &str) -> bool {
        self.latest(name).is_some_and(|c| c.state == ContainerState::Running)
    }
    pub fn spec(&self, name: &str) -> Option<Spec> {
        all_specs(&self.pod).into_iter().find(|s| &*s.name == name)
    }
    pub(crate) fn jitter(&mut self, cx: &Cx, bound: Duration) -> Duration {
        self.jitters += 1;
        let seed = cx.config.seed.derive(&self.key.to_string()).derive("wait");
        Duration(seed.below(self.jitters, bound.as_micros().max(1) as u64) as i64)
    }
    pub(crate) fn event(
        &self,
        spec: Option<&Spec>,
        kind: EventType,
        reason: &'static str,
        message: String,
        fx: &mut Vec<Effect>,
    ) {
        fx.push(Effect::Event { path: spec.map(Spec::field_path), kind, reason, message });
    }
    /// Looks again after `delay`, unless that is due earlier anyway.
    pub(crate) fn wake_in(&mut self, delay: Duration, cx: &Cx, fx: &mut Vec<Effect>) {
        let at = cx.now + delay;
        if self.wake_at.is_none_or(|set| at < set || set <= cx.now) {
            self.wake_at = Some(at);
            fx.push(Effect::Wake(at));
        }
    }

    /// The pod's object changed, or its deletion was asked for.
    pub fn update(&mut self, pod: Object, cx: &Cx, fx: &mut Vec<Effect>) {
        let deleted = pod.is_being_deleted() && !self.is_static;
        self.pod = pod;
        if deleted {
            let grace = self.pod.int_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(30);
            return self.terminate(grace, cx, fx);
        }
        self.sync(cx, fx);
    }

    /// Publishes the status as things are now.
    pub(crate) fn publish(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        // A pod that ended before this kubelet's time keeps the status that it ended with.
        let remembered = pod::is_terminal(&self.pod) && self.containers.is_empty();
        self.status = if remembered { self.pod.get("status").cloned().unwrap_or_default() } else { self.generate(cx) };
        fx.push(Effect::Status(self.status.clone()));
    }

    fn generate(&self, cx: &Cx) -> Value {
        let probes = |spec: &Spec, c: &ContainerStatus| self.probes.outcome(spec, c);
        status::generate(&View {
            pod: &self.pod,
            containers: &self.containers,
            sandbox: self.sandbox.as_ref().map(|s| (s.ready, s.ips.clone())),
            reasons: &self.reasons,
            probes: &probes,
            host_ip: cx.config.node_ip.to_string().into(),
            host_ip6: cx.config.node_ip6.map(|ip| ip.to_string().into()),
            start_time: self.start_time,
            ended: self.ended,
            verdict: self.verdict.clone(),
            disrupted: self.disrupted,
            old: &self.status,
            now: cx.now,
        })
    }

    /// Compares what is with what should be, and begins to change it.
    pub fn sync(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        match self.stage {
            Stage::Terminated => return fx.push(Effect::Deletable),
            Stage::Terminating => return self.end_when_seen(cx, fx),
            Stage::Syncing if self.active.is_some() => {
                self.resync = true;
                return self.go_on_mounting(cx, fx);
            }
            Stage::Syncing => {}
        }
        (self.resync, self.changed, self.failed, self.rest, self.wake_at) = (false, false, false, None, None);
        self.check_deadline(cx, fx);
        if self.verdict.is_some() {
            return self.terminate_by_itself(cx, fx);
        }
        self.publish(cx, fx);
        self.start_probes(cx, fx);
        if self.is_over() {
            return self.terminate_by_itself(cx, fx);
        }
        if !cx.network && self.pod.bool_at(&["spec", "hostNetwork"]) != Some(true) {
            let message = format!("network is not ready: {}", crate::node_object::NO_NETWORK);
            self.event(None, EventType::Warning, "NetworkNotReady", message, fx);
            return self.wake_in(Duration::from_secs(2), cx, fx);
        }
        self.active = Some(Active::Mount);
        self.mount(cx, fx);
    }

    /// `activeDeadlineSeconds`.
    fn check_deadline(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        let Some(seconds) = self.pod.int_at(&["spec", "activeDeadlineSeconds"]) else { return };
        if cx.now.since(self.start_time) >= Duration::from_secs(seconds) && self.verdict.is_none() {
            let message = "Pod was active on the node longer than the specified deadline";
            self.event(None, EventType::Normal, "DeadlineExceeded", message.into(), fx);
            self.verdict = Some(("DeadlineExceeded".into(), message.into()));
        }
    }

    /// Whether all containers have ended for good.
    fn is_over(&self) -> bool {
        if pod::is_terminal(&self.pod) {
            return true;
        }
        let over = |s: &Spec| {
            let latest = self.latest(&s.name);
            latest.is_some_and(|c| c.state == ContainerState::Exited && !restarts(&self.pod, s.kind, c.exit_code))
        };
        let failed_init = |s: &Spec| s.kind == Kind::Init && over(s) && self.latest(&s.name).is_some_and(|c| c.exit_code != 0);
        app_specs(&self.pod).iter().all(over) || init_specs(&self.pod).iter().any(failed_init)
    }

    /// The volumes are there: decides on the steps.
    pub(crate) fn on_mounted(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        self.active = None;
        self.steps = self.plan();
        if self.sandbox.as_ref().is_some_and(|s| !s.ready) && matches!(self.steps.front(), Some(Step::StopSandbox)) {
            let message = "Pod sandbox changed, it will be killed and re-created.".to_string();
            self.event(None, EventType::Normal, "SandboxChanged", message, fx);
        }
        self.go_on(cx, fx);
    }

    /// Takes the next step, or ends the sync.
    pub(crate) fn go_on(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        while self.active.is_none() && self.stage == Stage::Syncing {
            match self.steps.pop_front() {
                None => return self.end_sync(cx, fx),
                Some(step) => self.take(step, cx, fx),
            }
        }
    }

    fn take(&mut self, step: Step, cx: &Cx, fx: &mut Vec<Effect>) {
        match step {
            Step::Kill(id, spec, message) => {
                self.active = Some(Active::Runtime);
                self.event(Some(&spec), EventType::Normal, "Killing", message, fx);
                let grace = self.probe_grace(&spec).unwrap_or_else(|| self.spec_grace());
                fx.push(Effect::Cri(Op::Kill(id.clone()), Request::StopContainer { container: id, grace }));
            }
            Step::StopSandbox => {
                let Some(sandbox) = &self.sandbox else { return };
                self.active = Some(Active::Runtime);
                fx.push(Effect::Cri(Op::StopSandbox, Request::StopPodSandbox { sandbox: sandbox.id.clone() }));
            }
            Step::RunSandbox => {
                self.active = Some(Active::Runtime);
                let attempt = if self.sandbox.is_some() { self.attempt + 1 } else { self.attempt };
                self.attempt = attempt;
                let config = crate::sandbox::config(cx.config, &self.pod, attempt, self.is_static);
                fx.push(Effect::Cri(Op::Sandbox, Request::RunPodSandbox(Rc::new(config))));
            }
            Step::Start(spec) => self.start_container(spec, cx, fx),
        }
    }

    /// `terminationGracePeriodSeconds`, at least what upstream always grants.
    fn spec_grace(&self) -> Duration {
        Duration::from_secs(
            self.pod.int_at(&["spec", "terminationGracePeriodSeconds"]).unwrap_or(30).max(crate::terminate::MIN_GRACE_S),
        )
    }
    fn probe_grace(&self, spec: &Spec) -> Option<Duration> {
        let own = ["livenessProbe", "startupProbe"].iter().find_map(|p| spec.value.int_at(&[p, "terminationGracePeriodSeconds"]));
        own.map(|s| Duration::from_secs(s.max(1)))
    }

    /// When to look again. Models `podWorkers.completeWork`.
    fn end_sync(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        self.mounts.refresh_due = true;
        if self.changed || std::mem::take(&mut self.resync) {
            return self.wake_in(SOON, cx, fx);
        }
        let mut wait = match self.rest {
            Some(rest) => rest.min(RESYNC),
            None if self.failed => RETRY,
            None => RESYNC,
        };
        if self.failed && self.rest.is_some() {
            wait = wait.min(RETRY);
        }
        let mut wait = wait + self.jitter(cx, Duration(wait.0 / 2));
        if let Some(seconds) = self.pod.int_at(&["spec", "activeDeadlineSeconds"]) {
            let rest = self.start_time + Duration::from_secs(seconds) - cx.now.since(Time::EPOCH);
            wait = wait.min(Duration(rest.0.max(0)));
        }
        self.wake_in(wait, cx, fx);
    }

    /// Probes of containers that began to run since.
    fn start_probes(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        for spec in all_specs(&self.pod) {
            let Some(c) = self.latest(&spec.name).filter(|c| c.state == ContainerState::Running).cloned() else { continue };
            if self.last_probed.insert(c.id.clone()) {
                let seed = cx.config.seed.derive(&self.key.to_string());
                self.probes.start(&spec, &c, seed, cx.now, fx);
            }
        }
    }

    pub fn set_ended(&mut self) {
        self.ended = true;
    }
    pub(crate) fn runs(&self, name: &str) -> bool {
        self.is_running(name)
    }
}
