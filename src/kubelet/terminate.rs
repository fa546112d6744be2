//! The end of a pod: hooks, signals, grace, the sandbox, the volumes. Models `SyncTerminatingPod`, `SyncTerminatedPod` and
//! `kuberuntime.killContainersWithSyncResult` with its order (sidecars after the containers, last first).

use std::rc::Rc;

use base::Duration;
use client_go::EventType;
use cri_api::cri::{ContainerState, ContainerStatus, Id, Request, Response};

use crate::pod::{Kind, Spec};
use crate::pod_worker::{Active, Cx, Effect, Op, PodWorker, Stage};

/// Upstream grants at least this, whatever was asked for.
pub const MIN_GRACE_S: i64 = 2;

impl PodWorker {
    /// Ends the pod because it was deleted (or its manifest was). A shorter grace than before counts.
    pub fn terminate(&mut self, grace_s: i64, cx: &Cx, fx: &mut Vec<Effect>) {
        match self.stage {
            Stage::Terminated => return fx.push(Effect::Deletable),
            Stage::Terminating => return self.shorten(grace_s, cx, fx),
            Stage::Syncing => {}
        }
        self.begin_end(grace_s, cx, fx);
        self.publish(cx, fx);
        self.end_unless_busy(cx, fx);
    }

    /// Ends a pod whose containers are through, or that may not run (a deadline, a refusal).
    pub(crate) fn terminate_by_itself(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        let grace = self.pod.int_at(&["spec", "terminationGracePeriodSeconds"]).unwrap_or(30);
        self.by_itself = true;
        self.begin_end(grace, cx, fx);
        if self.verdict.is_some() {
            self.publish(cx, fx);
        }
        self.end_unless_busy(cx, fx);
    }

    /// Ends the pod because the node is short of memory (`disrupted`), or because it took more than its own.
    pub(crate) fn evict(&mut self, message: Rc<str>, disrupted: bool, grace_s: i64, cx: &Cx, fx: &mut Vec<Effect>) {
        if self.stage != Stage::Syncing {
            return;
        }
        let reason = crate::eviction::REASON;
        self.event(None, EventType::Warning, reason, message.to_string(), fx);
        self.verdict = Some((reason.into(), message));
        self.disrupted = disrupted;
        self.by_itself = true;
        self.begin_end(grace_s, cx, fx);
        self.publish(cx, fx);
        self.end_unless_busy(cx, fx);
    }

    fn begin_end(&mut self, grace_s: i64, _cx: &Cx, _fx: &mut [Effect]) {
        self.stage = Stage::Terminating;
        self.grace = Duration::from_secs(grace_s.max(MIN_GRACE_S));
        self.steps.clear();
    }

    /// What was asked of the runtime and may still make a container is waited for; all else is dropped.
    fn end_unless_busy(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        let busy = match &self.active {
            Some(Active::Runtime) => true,
            Some(Active::Start(starting)) => starting.is_creating(),
            _ => false,
        };
        if !busy {
            self.active = None;
            self.stop_containers(cx, fx);
        }
    }

    fn shorten(&mut self, grace_s: i64, cx: &Cx, fx: &mut Vec<Effect>) {
        let grace = Duration::from_secs(grace_s.max(MIN_GRACE_S));
        if grace >= self.grace {
            return;
        }
        self.grace = grace;
        for id in self.stopping.clone().into_keys() {
            self.stop(&id, grace, fx);
        }
        let _ = cx;
    }

    /// Stops what runs: everything but sidecars at once, then the sidecars from the last to the first.
    pub(crate) fn stop_containers(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        self.active = None;
        let running: Vec<ContainerStatus> =
            self.containers.iter().filter(|c| c.state == ContainerState::Running).cloned().collect();
        if running.is_empty() {
            return self.stop_sandbox(cx, fx);
        }
        let first_call = self.stopping.is_empty();
        let spec_of = |c: &ContainerStatus| self.spec(&c.name).unwrap_or_else(|| unknown(&c.name));
        let (sidecars, others): (Vec<_>, Vec<_>) =
            running.iter().map(|c| (spec_of(c), c.clone())).partition(|(s, _)| s.kind == Kind::Sidecar);
        if first_call {
            for (spec, _) in others.iter().chain(&sidecars) {
                self.event(Some(spec), EventType::Normal, "Killing", format!("Stopping container {}", spec.name), fx);
            }
        }
        let now: Vec<_> = match others.is_empty() {
            false => others,
            true => sidecars.into_iter().next_back().into_iter().collect(),
        };
        for (spec, c) in now {
            if self.stopping.insert(c.id.clone(), cx.now).is_none() {
                self.begin_stop(&spec, &c, cx, fx);
            }
        }
    }

    fn begin_stop(&mut self, spec: &Spec, c: &ContainerStatus, cx: &Cx, fx: &mut Vec<Effect>) {
        let hook = spec.value.at(&["lifecycle", "preStop"]).cloned();
        match hook.and_then(|hook| crate::hooks::request(&hook, &self.pod, c, self.sandbox.as_ref(), self.grace)) {
            Some(request) => fx.push(Effect::Cri(Op::PreStop(c.id.clone()), request)),
            None => self.stop(&c.id, self.grace, fx),
        }
        let _ = cx;
    }

    fn stop(&self, id: &Id, grace: Duration, fx: &mut Vec<Effect>) {
        fx.push(Effect::Cri(Op::Stop(id.clone()), Request::StopContainer { container: id.clone(), grace }));
    }

    /// The hook is through: what is left of the grace is the container's.
    pub(crate) fn on_pre_stop(&mut self, id: &Id, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        let Some(since) = self.stopping.get(id).copied() else { return };
        if crate::hooks::failure(response, "").is_some() {
            let name = self.containers.iter().find(|c| c.id == *id).map(|c| c.name.clone()).unwrap_or_default();
            let spec = self.spec(&name).unwrap_or_else(|| unknown(&name));
            self.event(Some(&spec), EventType::Warning, "FailedPreStopHook", "PreStopHook failed".into(), fx);
        }
        let rest = (self.grace - cx.now.since(since)).max(Duration::from_secs(MIN_GRACE_S));
        self.stop(id, rest, fx);
    }

    pub(crate) fn on_stopped(&mut self, id: &Id, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        self.note_end(id, response);
        if self.stage != Stage::Terminating || self.stopping.keys().any(|id| self.is_alive(id)) {
            return;
        }
        self.stop_containers(cx, fx);
    }

    /// Asks again for what the runtime was not there to do.
    pub(crate) fn stop_again(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        self.stopping.clear();
        self.stop_containers(cx, fx);
    }

    fn is_alive(&self, id: &Id) -> bool {
        self.containers.iter().any(|c| c.id == *id && c.state == ContainerState::Running)
    }

    fn stop_sandbox(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        match &self.sandbox {
            Some(sandbox) if sandbox.ready => {
                fx.push(Effect::Cri(Op::StopSandbox, Request::StopPodSandbox { sandbox: sandbox.id.clone() }));
            }
            _ => self.terminated(cx, fx),
        }
    }

    /// The sandbox has stopped. Nobody waits for the end of a pod that ended by itself: the next look at the runtime shows it.
    pub(crate) fn on_last_sandbox_stopped(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        if !self.by_itself {
            return self.terminated(cx, fx);
        }
        self.seen_at = Some(cx.now + cx.relist);
        self.wake_in(cx.relist, cx, fx);
    }

    /// A look at a pod that is ending.
    pub(crate) fn end_when_seen(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        match self.seen_at {
            Some(at) if at <= cx.now => self.terminated(cx, fx),
            Some(at) => self.wake_in(at.since(cx.now), cx, fx),
            None => {}
        }
    }

    /// All is quiet: the last status, and the volumes go.
    pub(crate) fn terminated(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        if self.stage == Stage::Terminated {
            return;
        }
        self.stage = Stage::Terminated;
        self.active = None;
        self.set_ended();
        self.publish(cx, fx);
        for volume in self.mounts.mounted_ids() {
            fx.push(Effect::Cri(Op::Other, Request::RemoveVolume { volume }));
        }
        fx.push(Effect::Deletable);
    }
}

/// A container that the spec no longer names.
fn unknown(name: &Rc<str>) -> Spec {
    Spec { kind: Kind::App, name: name.clone(), value: apimachinery::Value::map() }
}
