//! Startup, liveness and readiness probes. Models `pkg/kubelet/prober/worker.go`: a ticker per probe, whose phase is drawn when the
//! pod comes, and results that count only after their threshold.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{Object, Value};
use base::{Duration, Seed, Time};
use client_go::EventType;
use cri_api::cri::{ContainerState, ContainerStatus, Id, Response};

use crate::hooks;
use crate::pod::Spec;
use crate::pod_worker::{Cx, Effect, Op, PodWorker, Stage};

type Text = Rc<str>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

const KINDS: [ProbeKind; 3] = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];

impl ProbeKind {
    fn field(self) -> &'static str {
        match self {
            ProbeKind::Startup => "startupProbe",
            ProbeKind::Liveness => "livenessProbe",
            ProbeKind::Readiness => "readinessProbe",
        }
    }
    fn title(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        }
    }
}

#[derive(Clone, Debug)]
struct State {
    container: Id,
    /// The next tick; a timer for another time is stale.
    next: Time,
    in_flight: bool,
    last: Option<bool>,
    run: i64,
    /// The result that counts; `None`: none yet.
    result: Option<bool>,
    /// It failed for good: nothing more until another container comes.
    on_hold: bool,
}

/// The probes of one pod.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    born: Option<Time>,
    states: BTreeMap<(Text, ProbeKind), State>,
}

fn seconds(probe: &Value, field: &str, default: i64) -> i64 {
    probe.int_at(&[field]).filter(|n| *n > 0).unwrap_or(default)
}

impl Probes {
    pub fn new(_pod: &Object) -> Probes {
        Probes::default()
    }

    fn state(&self, name: &Text, kind: ProbeKind, container: &Id) -> Option<&State> {
        self.states.get(&(name.clone(), kind)).filter(|s| s.container == *container)
    }

    /// Ready and started, as far as probes say.
    pub fn outcome(&self, spec: &Spec, c: &ContainerStatus) -> (bool, bool) {
        let holds = |kind: ProbeKind| {
            spec.value.get(kind.field()).is_none() || self.state(&spec.name, kind, &c.id).is_some_and(|s| s.result == Some(true))
        };
        let started = holds(ProbeKind::Startup);
        (started && holds(ProbeKind::Readiness), started)
    }

    /// Whether a probe says that the container must go.
    pub fn failed(&self, name: &Text, container: &Id, kind: ProbeKind) -> bool {
        self.state(name, kind, container).is_some_and(|s| s.result == Some(false))
    }

    /// A container began to run.
    pub fn start(&mut self, spec: &Spec, c: &ContainerStatus, seed: Seed, now: Time, fx: &mut Vec<Effect>) {
        let born = *self.born.get_or_insert(now);
        for kind in KINDS {
            let Some(probe) = spec.value.get(kind.field()) else { continue };
            let period = Duration::from_secs(seconds(probe, "periodSeconds", 10)).as_micros();
            let phase = seed.derive(&spec.name).derive(kind.field()).below(0, period as u64) as i64;
            let past = (now.since(born).as_micros() - phase).max(0);
            let mut next = born + Duration(phase + (past + period - 1) / period * period);
            // A container that just began to run is asked at once whether it is ready.
            let gated = spec.value.get(ProbeKind::Startup.field()).is_some() || seconds(probe, "initialDelaySeconds", 0) > 0;
            if kind == ProbeKind::Readiness && !gated {
                next = now;
            }
            let state =
                State { container: c.id.clone(), next, in_flight: false, last: None, run: 0, result: None, on_hold: false };
            self.states.insert((spec.name.clone(), kind), state);
            fx.push(Effect::ProbeAt(next, spec.name.clone(), kind));
        }
    }

    fn next_tick(&self, spec: &Spec, kind: ProbeKind, probe: &Value, seed: Seed, now: Time) -> Time {
        let period = Duration::from_secs(seconds(probe, "periodSeconds", 10)).as_micros();
        let phase = seed.derive(&spec.name).derive(kind.field()).below(0, period as u64) as i64;
        let first = self.born.unwrap_or(now) + Duration(phase);
        if now < first {
            return first;
        }
        first + Duration((now.since(first).as_micros() / period + 1) * period)
    }
}

impl PodWorker {
    /// A probe's time has come.
    pub fn on_probe_due(&mut self, name: &Text, kind: ProbeKind, cx: &Cx, fx: &mut Vec<Effect>) {
        let Some(spec) = self.spec(name) else { return };
        let Some(probe) = spec.value.get(kind.field()).cloned() else { return };
        let Some(c) = self.latest(name).filter(|c| c.state == ContainerState::Running).cloned() else { return };
        let seed = cx.config.seed.derive(&self.key.to_string());
        let next = self.probes.next_tick(&spec, kind, &probe, seed, cx.now);
        let started = self.probes.outcome(&spec, &c).1;
        let ending = self.stage != Stage::Syncing && kind != ProbeKind::Readiness;
        let Some(state) = self.probes.states.get_mut(&(name.clone(), kind)) else { return };
        let done = kind == ProbeKind::Startup && state.result == Some(true);
        if state.next != cx.now || state.container != c.id || state.on_hold || done || ending || self.stage == Stage::Terminated {
            return;
        }
        state.next = next;
        fx.push(Effect::ProbeAt(next, name.clone(), kind));
        let early =
            c.started_at.is_some_and(|t| cx.now.since(t) < Duration::from_secs(seconds(&probe, "initialDelaySeconds", 0)));
        if state.in_flight || early || (kind != ProbeKind::Startup && !started) {
            return;
        }
        let timeout = Duration::from_secs(seconds(&probe, "timeoutSeconds", 1));
        if let Some(request) = hooks::request(&probe, &self.pod, &c, self.sandbox.as_ref(), timeout) {
            state.in_flight = true;
            fx.push(Effect::Cri(Op::Probe(name.clone(), kind), request));
        }
    }

    pub(crate) fn on_probe(&mut self, name: &Text, kind: ProbeKind, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        let Some(spec) = self.spec(name) else { return };
        let Some(probe) = spec.value.get(kind.field()).cloned() else { return };
        let current = self.latest(name).map(|c| c.id.clone());
        let Some(state) = self.probes.states.get_mut(&(name.clone(), kind)) else { return };
        state.in_flight = false;
        if current.as_ref() != Some(&state.container) || state.on_hold {
            return;
        }
        let (success, output) = verdict(response);
        state.run = if state.last == Some(success) { state.run + 1 } else { 1 };
        state.last = Some(success);
        let field = if success { "successThreshold" } else { "failureThreshold" };
        let enough = state.run >= seconds(&probe, field, if success { 1 } else { 3 });
        let changed = enough && state.result != Some(success);
        if enough {
            state.result = Some(success);
            state.on_hold = !success && kind != ProbeKind::Readiness;
        }
        if !success {
            let message = format!("{} probe failed: {output}", kind.title());
            self.event(Some(&spec), EventType::Warning, "Unhealthy", message, fx);
        }
        let matters = match kind {
            ProbeKind::Liveness => !success,
            ProbeKind::Startup | ProbeKind::Readiness => true,
        };
        if changed && matters && self.stage == Stage::Syncing {
            self.sync(cx, fx);
        }
    }
}

/// Success, and what a failure says.
fn verdict(response: &Response) -> (bool, String) {
    match response {
        Response::ExecSync { timed_out: true, .. } => (false, "command timed out".into()),
        Response::ExecSync { exit_code, stdout, stderr, .. } => {
            let output = format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
            (*exit_code == 0, output.trim_end().to_string())
        }
        Response::Dialed { status: 0, .. } => (true, String::new()),
        Response::Dialed { status, .. } if (200..400).contains(status) => (true, String::new()),
        Response::Dialed { status, .. } => (false, format!("HTTP probe failed with statuscode: {status}")),
        Response::Error { message, .. } => (false, message.to_string()),
        _ => (false, String::new()),
    }
}
