//! The end of a container: the stop signal and its grace period, SIGKILL, the exit of the first process, the termination message, and
//! removal. Models containerd's `StopContainer` and `RemoveContainer`.

use std::rc::Rc;

use base::{Duration, Time};
use cri_api::cri::{self, ContainerState, Id};
use cri_api::host::HostMessage;
use cri_api::{MachineInput, Signal, Status};
use sim::{Addr, Outbox, Payload};

use crate::{Runtime, Text, Wake};

/// Of a process that SIGKILL ended.
const SIGKILL_CODE: i32 = 137;

impl Runtime {
    /// Signals and waits. `None`: it will be answered when the container is dead.
    pub(crate) fn stop_container(
        &mut self,
        now: Time,
        from: Addr,
        request: u64,
        id: &Id,
        grace: Duration,
        out: &mut Outbox,
    ) -> Option<cri::Response> {
        let Some(container) = self.containers.get(id).cloned() else { return Some(cri::Response::Done) };
        if !container.is_running() {
            return Some(self.status(id).map_or(cri::Response::Done, cri::Response::Status));
        }
        self.change(id, |c| c.stopping.push((from, request)));
        if grace <= Duration::ZERO {
            self.kill(now, id, out);
            return None;
        }
        if container.is_component() {
            // A component ends well within its grace.
            self.wake_after(Duration::from_millis(150), Wake::Kill(id.clone()), out);
            return None;
        }
        let wanted = [&container.config.stop_signal, &container.image.stop_signal];
        let signal = wanted.iter().find_map(|s| Signal::parse(s)).filter(|s| s.0 != 0).unwrap_or(Signal::TERM);
        self.wake_after(grace, Wake::Kill(id.clone()), out);
        self.feed(now, id, MachineInput::Signal { pid: container.pid, signal }, out);
        None
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, now: Time, id: &Id, out: &mut Outbox) {
        let Some(container) = self.containers.get(id).cloned() else { return };
        if !container.is_running() {
            return;
        }
        if container.is_component() {
            self.ask_world(HostMessage::StopComponent { container: id.clone() }, out);
            let code = if container.stopping.is_empty() { SIGKILL_CODE } else { 0 };
            self.container_ended(now, id, code, "", out);
        } else {
            self.feed(now, id, MachineInput::Signal { pid: container.pid, signal: Signal::KILL }, out);
        }
    }

    /// A process that the runtime started has ended: the container's first one, or an exec.
    pub(crate) fn process_ended(&mut self, now: Time, id: &Id, pid: u32, status: Status, oom: bool, out: &mut Outbox) {
        if self.containers.get(id).is_some_and(|c| c.pid == pid && c.is_running()) {
            if oom && self.containers.get(id).is_some_and(|c| c.config.memory_limit == 0) {
                let command =
                    self.containers.get(id).and_then(|c| c.config.command.first().or(c.image.entrypoint.first()).cloned());
                let process = command.as_deref().and_then(|c| c.rsplit('/').next()).unwrap_or("process").into();
                self.event(cri::Event::SystemOom { process, pid }, out);
            }
            self.change(id, |c| c.oom = oom);
            self.container_ended(now, id, status.code(), "", out);
        } else {
            self.exec_ended(now, id, pid, status.code(), out);
        }
    }

    /// Records the end, answers those who wait for it and tells the kubelet.
    pub(crate) fn container_ended(&mut self, now: Time, id: &Id, code: i32, reason: &str, out: &mut Outbox) {
        self.flush_partial(now, id, out);
        let message = self.termination_message(id, code);
        let mut waiting = Vec::new();
        self.change(id, |c| {
            (c.state, c.finished_at, c.exit_code) = (ContainerState::Exited, Some(now), code);
            c.reason = match reason {
                "" if c.oom => "OOMKilled",
                "" if code == 0 => "Completed",
                "" => "Error",
                other => other,
            }
            .into();
            c.message = message;
            c.component = None;
            waiting = std::mem::take(&mut c.stopping);
        });
        self.settle_stats(now, id, out);
        self.network.container_ended(id);
        self.end_streams_of(now, id, out);
        let Some(status) = self.status(id) else { return };
        for (to, request) in waiting {
            let response = cri::Response::Status(status.clone());
            out.send(to, Payload::Cri(Rc::new(cri::Message::Response { id: request, response })));
        }
        self.event(cri::Event::ContainerStopped(status), out);
    }

    /// What `terminationMessagePath` holds, or the end of the log if so asked.
    fn termination_message(&mut self, id: &Id, code: i32) -> Text {
        let Some(container) = self.containers.get(id).cloned() else { return "".into() };
        let path = &container.config.termination_message_path;
        let file = self.machines.get_mut(id).and_then(|machine| {
            let fs = Rc::make_mut(machine).fs(&mut self.volumes);
            let found = fs.walk(cri_api::vfs::Credentials::ROOT, "/", path, true).ok()?;
            let cri_api::vfs::Found::There { loc, .. } = found else { return None };
            fs.tree(loc.fs).ok()?.data(loc.ino).ok()
        });
        if let Some(data) = file.filter(|d| !d.is_empty()) {
            return String::from_utf8_lossy(&data[..data.len().min(4096)]).into_owned().into();
        }
        if code != 0 && container.config.fallback_to_logs_on_error {
            return crate::logs::tail(&container.log, 2048, 80).into();
        }
        "".into()
    }

    pub(crate) fn remove_container(&mut self, id: &Id) -> cri::Response {
        self.remove_log_file(id);
        if let Some(gone) = self.containers.remove(id) {
            self.held_memory -= gone.held_memory;
            self.watch.forget(gone.held_disk, gone.held_processes);
        }
        self.machines.remove(id);
        cri::Response::Done
    }
}
