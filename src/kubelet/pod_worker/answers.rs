//! What the runtime answered, and what it tells by itself.

use base::Duration;
use client_go::EventType;
use cri_api::cri::{ContainerState, ContainerStatus, Id, Response};

use super::{Cx, Effect, Op, PodWorker, Sandbox, Stage};

impl PodWorker {
    /// An answer of the runtime.
    pub fn on_cri(&mut self, op: Op, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        match op {
            Op::Sandbox => self.on_sandbox(response, cx, fx),
            Op::StopSandbox => self.on_sandbox_stopped(cx, fx),
            Op::Start => self.on_start(response, cx, fx),
            Op::Kill(id) => {
                self.note_end(&id, response);
                self.active = None;
                self.changed = true;
                match self.stage {
                    Stage::Terminating => self.stop_containers(cx, fx),
                    _ => self.go_on(cx, fx),
                }
            }
            Op::Stop(id) => self.on_stopped(&id, response, cx, fx),
            Op::PreStop(id) => self.on_pre_stop(&id, response, cx, fx),
            Op::Probe(name, kind) => self.on_probe(&name, kind, response, cx, fx),
            Op::Volume(name) => self.on_volume(&name, response, cx, fx),
            Op::Other => {}
        }
    }

    pub(super) fn on_sandbox(&mut self, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        self.active = None;
        match response {
            Response::Sandbox { sandbox, ips } => {
                let ips = ips.iter().map(|ip| ip.to_string().into()).collect();
                self.sandbox = Some(Sandbox { id: sandbox.clone(), ready: true, ips });
                self.changed = true;
                if self.stage == Stage::Terminating {
                    return self.stop_containers(cx, fx);
                }
                // The status says at once that containers may start.
                self.publish(cx, fx);
                self.go_on(cx, fx);
            }
            Response::Error { message, .. } => {
                let message = format!("Failed to create pod sandbox: rpc error: code = Unknown desc = {message}");
                self.event(None, EventType::Warning, "FailedCreatePodSandBox", message, fx);
                self.steps.clear();
                self.failed = true;
                if self.stage == Stage::Terminating {
                    return self.stop_containers(cx, fx);
                }
                self.go_on(cx, fx);
            }
            _ => self.go_on(cx, fx),
        }
    }

    pub(super) fn on_sandbox_stopped(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.ready = false;
        }
        if self.stage == Stage::Terminating {
            return self.on_last_sandbox_stopped(cx, fx);
        }
        // Its containers stay until the pod goes: they are the history that the status shows.
        self.old_sandboxes.extend(self.sandbox.as_ref().map(|s| s.id.clone()));
        self.active = None;
        self.go_on(cx, fx);
    }

    /// Takes over how a container ended.
    pub(crate) fn note_end(&mut self, id: &Id, response: &Response) {
        if let Response::Status(status) = response {
            self.note(status);
        } else if let Some(c) = self.containers.iter_mut().find(|c| c.id == *id && c.state == ContainerState::Running) {
            c.state = ContainerState::Exited;
        }
    }
    pub(crate) fn note(&mut self, status: &ContainerStatus) {
        match self.containers.iter_mut().find(|c| c.id == status.id) {
            // Once ended, always ended: an answer that was under way may be older.
            Some(c) if c.state == ContainerState::Exited => {}
            Some(c) => *c = status.clone(),
            None => self.containers.push(status.clone()),
        }
    }

    /// The runtime tells that a container ended. The look at it comes with the next relist.
    pub fn on_container_stopped(&mut self, status: &ContainerStatus, relist: Duration, cx: &Cx, fx: &mut Vec<Effect>) {
        let known = self.containers.iter().any(|c| c.id == status.id && c.state == ContainerState::Exited);
        self.note(status);
        if !known && self.stage == Stage::Syncing {
            self.resync |= self.active.is_some();
            self.wake_in(relist, cx, fx);
        }
    }

    /// The sandbox died without being asked to.
    pub fn on_sandbox_died(&mut self, id: &Id, relist: Duration, cx: &Cx, fx: &mut Vec<Effect>) {
        if let Some(sandbox) = self.sandbox.as_mut().filter(|s| s.id == *id) {
            sandbox.ready = false;
            self.wake_in(relist, cx, fx);
        }
    }
}
