//! Commands in running containers: exec with streams, exec for probes and hooks, attach.

use std::rc::Rc;

use apimachinery::ResponseBody;
use base::{Duration, Time};
use cri_api::call::ApiEvent;
use cri_api::cri::{self, Id};
use cri_api::machine::TtyId;
use cri_api::program::Spawn;
use cri_api::{MachineInput, Signal, StartSpec, Stdio, StreamId};
use sim::{Addr, Outbox, Payload};

use crate::container::STDIN;
use crate::logs::frame;
use crate::{Runtime, Text, Wake, error};

/// A command that runs in a container by somebody's wish.
#[derive(Clone)]
pub(crate) struct Exec {
    container: Id,
    to: Addr,
    request: u64,
    pid: u32,
    tty: Option<TtyId>,
    command: Vec<Text>,
    /// For `crictl exec`: the call of the node's shell.
    caller: Option<u64>,
    /// For `ExecSync`: what it printed so far (at most 16 KiB each).
    collected: Option<[Rc<Vec<u8>>; 2]>,
}

/// Numbers of `crictl`'s execs, apart from the kubelet's.
const CRICTL_REQUEST: u64 = 1 << 62;
const MAX_COLLECTED: usize = 16 * 1024;
/// Streams below belong to a container's first process.
const FIRST_EXEC_STREAM: u32 = 16;

/// The three streams of an exec.
fn streams(key: u64) -> [StreamId; 3] {
    let first = FIRST_EXEC_STREAM + (key as u32) * 4;
    [StreamId(first), StreamId(first + 1), StreamId(first + 2)]
}

impl Runtime {
    pub(crate) fn exec_sync(
        &mut self,
        now: Time,
        from: Addr,
        request: u64,
        container: &Id,
        command: &[Text],
        timeout: Duration,
        out: &mut Outbox,
    ) -> Option<cri::Response> {
        let exec = Exec {
            container: container.clone(),
            to: from,
            request,
            pid: 0,
            tty: None,
            command: command.to_vec(),
            caller: None,
            collected: Some(Default::default()),
        };
        if self.containers.get(container).is_some_and(|c| c.is_running()) && !self.machines.contains_key(container) {
            return Some(error("Unimplemented", "this image has no shell: its program is a component of the bottle"));
        }
        match self.start_exec(now, exec, false, out) {
            Ok(key) => {
                if timeout > Duration::ZERO && self.execs.contains_key(&key) {
                    self.wake_after(timeout, Wake::ExecTimeout(key), out);
                }
                None
            }
            Err(text) => Some(error("Unknown", format!("failed to exec in container: {text}"))),
        }
    }

    pub(crate) fn exec(
        &mut self,
        now: Time,
        from: Addr,
        request: u64,
        container: &Id,
        command: &[Text],
        tty: bool,
        stdin: bool,
        out: &mut Outbox,
    ) -> Option<cri::Response> {
        if let Err((code, text)) = self.may_exec(container, command) {
            return Some(error(code, text));
        }
        let tty = tty.then(|| self.machines.get_mut(container).map(|m| Rc::make_mut(m).open_tty(80, 24))).flatten();
        let (container, command) = (container.clone(), command.to_vec());
        let exec = Exec { container, to: from, request, pid: 0, tty, command, caller: None, collected: None };
        // `Streaming` has to come before the first frame, but only a started command streams.
        let before = out.take();
        let started = self.start_exec(now, exec, stdin, out);
        let frames = out.take();
        out.put_back(before);
        match started {
            Ok(_) => {
                let response = cri::Response::Streaming;
                out.send(from, Payload::Cri(Rc::new(cri::Message::Response { id: request, response })));
                out.put_back(frames);
                None
            }
            Err(text) => Some(error(
                "Unknown",
                format!(
                    "failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: {text}"
                ),
            )),
        }
    }

    /// Whether a command can be started in a container at all. Most components have nothing but themselves in their image.
    fn may_exec(&self, container: &Id, command: &[Text]) -> Result<(), (&'static str, String)> {
        match self.containers.get(container) {
            Some(c) if c.is_running() && !self.machines.contains_key(container) => {
                let name = command.first().map_or("", |c| c);
                let why = match name.contains('/') {
                    true => format!("stat {name}: no such file or directory"),
                    false => "executable file not found in $PATH".to_string(),
                };
                let text = "OCI runtime exec failed: exec failed: unable to start container process";
                Err(("Unknown", format!("{text}: exec: {name:?}: {why}")))
            }
            Some(c) if c.is_running() => Ok(()),
            _ => Err(("NotFound", format!("container not found ({container:?})"))),
        }
    }

    /// `crictl exec`: the call becomes a stream.
    pub(crate) fn crictl_exec(&mut self, now: Time, call: u64, request: &apimachinery::Request, out: &mut Outbox) {
        let query = |name: &str| request.options.query(name).unwrap_or("");
        let command: Vec<Text> = request.options.query.iter().filter(|(k, _)| &**k == "cmd").map(|(_, v)| v.clone()).collect();
        let found = self.one_container(query("id")).map(|(id, _)| id.clone());
        let checked = found.and_then(|id| self.may_exec(&id, &command).map(|()| id).map_err(|(_, text)| text));
        let id = match checked {
            Ok(id) => id,
            Err(text) => return self.to_caller(now, call, ApiEvent::Failed(text.into()), out),
        };
        let tty = query("tty") == "true";
        let tty = tty.then(|| self.machines.get_mut(&id).map(|m| Rc::make_mut(m).open_tty(80, 24))).flatten();
        let (to, request, caller) = (out.me, CRICTL_REQUEST | call, Some(call));
        let exec = Exec { container: id, to, request, pid: 0, tty, command, caller, collected: None };
        let started = apimachinery::Response { code: 101, warnings: Vec::new(), body: ResponseBody::StreamStarted };
        self.to_caller(now, call, ApiEvent::Response(Rc::new(started)), out);
        if let Err(text) = self.start_exec(now, exec, query("stdin") == "true", out) {
            let text = format!("OCI runtime exec failed: exec failed: unable to start container process: {text}");
            self.to_caller(now, call, ApiEvent::Failed(text.into()), out);
        }
    }

    /// A frame for whoever asked for an exec.
    fn exec_frame(&mut self, now: Time, exec: &Exec, channel: u8, data: Rc<[u8]>, out: &mut Outbox) {
        match exec.caller {
            Some(call) => self.to_caller(now, call, ApiEvent::Frame { channel, data }, out),
            None => frame(exec.to, exec.request, channel, data, out),
        }
    }

    fn start_exec(&mut self, now: Time, mut exec: Exec, stdin: bool, out: &mut Outbox) -> Result<u64, String> {
        let key = self.next();
        let id = exec.container.clone();
        let Some(container) = self.containers.get(&id).filter(|c| c.is_running()).cloned() else {
            return Err(format!("container {id} is not running"));
        };
        let [stdout_id, stderr_id, stdin_id] = streams(key);
        let stdio = match exec.tty {
            Some(tty) => [Stdio::Tty(tty); 3],
            None => {
                [if stdin { Stdio::Stream(stdin_id) } else { Stdio::Null }, Stdio::Stream(stdout_id), Stdio::Stream(stderr_id)]
            }
        };
        self.note_foreign_ports(&id);
        let Some(machine) = self.machines.get_mut(&id) else { return Err("no machine".into()) };
        let machine = Rc::make_mut(machine);
        let (config, image) = (&container.config, &container.image);
        let mut env = base::Map::new();
        env.insert("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        env.insert("HOSTNAME".into(), machine.config.hostname.clone());
        env.insert("HOME".into(), "/root".into());
        if exec.tty.is_some() {
            env.insert("TERM".into(), "xterm".into());
        }
        for (k, v) in image.env.iter().chain(&config.env) {
            env.insert(k.clone(), v.clone());
        }
        let dir = if config.working_dir.is_empty() { &image.working_dir } else { &config.working_dir };
        let spec = StartSpec {
            command: Spawn {
                argv: exec.command.clone(),
                env: Some(env),
                cwd: (!dir.is_empty()).then(|| dir.clone()),
                ..Spawn::default()
            },
            uid: config.run_as_user.map_or(image.user.unwrap_or(0), |u| u as u32),
            gid: config.run_as_group.unwrap_or(0) as u32,
            groups: config.supplemental_groups.iter().map(|g| *g as u32).collect(),
            stdio,
        };
        // Known before it runs: a short command ends within `start`.
        exec.pid = u32::MAX;
        self.execs.insert(key, exec);
        let mut outputs = Vec::new();
        let mut host = cri_api::Host { volumes: &mut self.volumes, programs: &self.config.programs };
        match machine.start(now, &mut host, spec, &mut outputs) {
            Ok(pid) => {
                if let Some(exec) = self.execs.get_mut(&key) {
                    exec.pid = pid;
                }
                self.carry_out(now, &id, outputs, out);
                Ok(key)
            }
            Err(e) => {
                self.execs.remove(&key);
                Err(e.to_string())
            }
        }
    }

    pub(crate) fn attach(&mut self, from: Addr, request: u64, container: &Id) -> cri::Response {
        let Some(c) = self.containers.get(container).filter(|c| c.is_running()).cloned() else {
            return error("NotFound", format!("container not found ({container:?})"));
        };
        let exec = Exec {
            container: container.clone(),
            to: from,
            request,
            pid: c.pid,
            tty: c.tty,
            command: Vec::new(),
            caller: None,
            collected: None,
        };
        let key = self.next();
        self.execs.insert(key, exec);
        // What the first process prints goes to the log; the attached see it as it comes.
        let _ = self.read_logs(
            from,
            request,
            container,
            &cri::LogOptions { follow: true, tail_lines: Some(0), ..Default::default() },
        );
        cri::Response::Streaming
    }

    /// Keys and input from the caller.
    pub(crate) fn exec_input(&mut self, now: Time, request: u64, channel: u8, data: &Rc<[u8]>, out: &mut Outbox) {
        if self.forward_input(now, request, channel, data, out) {
            return;
        }
        let Some((key, exec)) = self.execs.iter().find(|(_, e)| e.request == request).map(|(k, e)| (*k, e.clone())) else {
            return;
        };
        let attached = exec.command.is_empty();
        let stdin = if attached { STDIN } else { streams(key)[2] };
        let input = match (channel, exec.tty) {
            (0, Some(tty)) => MachineInput::Tty { tty, data: data.clone() },
            (0, None) if data.is_empty() => MachineInput::StdinEof { stream: stdin },
            (0, None) => MachineInput::Stdin { stream: stdin, data: data.clone() },
            (4, Some(tty)) => {
                let (cols, rows) = resize(data);
                MachineInput::TtyResize { tty, cols, rows }
            }
            (255, _) => MachineInput::StdinEof { stream: stdin },
            _ => return,
        };
        self.feed(now, &exec.container, input, out);
    }

    pub(crate) fn exec_output(&mut self, now: Time, stream: StreamId, data: Rc<[u8]>, out: &mut Outbox) {
        let n = stream.0.saturating_sub(FIRST_EXEC_STREAM);
        let (key, which) = ((n / 4) as u64, (n % 4) as usize);
        let Some(exec) = self.execs.get_mut(&key) else { return };
        match &mut exec.collected {
            Some(collected) => {
                let buffer = Rc::make_mut(&mut collected[which.min(1)]);
                let room = MAX_COLLECTED.saturating_sub(buffer.len());
                buffer.extend_from_slice(&data[..data.len().min(room)]);
            }
            None => {
                let exec = exec.clone();
                self.exec_frame(now, &exec, 1 + which.min(1) as u8, data, out);
            }
        }
    }

    pub(crate) fn tty_output(&mut self, now: Time, id: &Id, tty: TtyId, data: Rc<[u8]>, out: &mut Outbox) {
        if self.containers.get(id).is_some_and(|c| c.tty == Some(tty)) {
            self.log(now, id, 0, &data, out);
            return;
        }
        let exec = self.execs.values().find(|e| e.container == *id && e.tty == Some(tty)).cloned();
        if let Some(exec) = exec {
            self.exec_frame(now, &exec, 1, data, out);
        }
    }

    pub(crate) fn exec_ended(&mut self, now: Time, id: &Id, pid: u32, code: i32, out: &mut Outbox) {
        let found = self.execs.iter().find(|(_, e)| e.container == *id && e.pid == pid && !e.command.is_empty());
        let Some(key) = found.map(|(k, _)| *k) else { return };
        let Some(exec) = self.execs.remove(&key) else { return };
        self.finish_exec(now, &exec, code, false, out);
    }

    pub(crate) fn exec_timeout(&mut self, now: Time, key: u64, out: &mut Outbox) {
        let Some(exec) = self.execs.remove(&key) else { return };
        self.finish_exec(now, &exec, 137, true, out);
        self.feed(now, &exec.container, MachineInput::Signal { pid: exec.pid, signal: Signal::KILL }, out);
    }

    /// Input and end of a `crictl exec`. False: the call is none.
    pub(crate) fn crictl_input(&mut self, now: Time, call: u64, channel: u8, data: &Rc<[u8]>, out: &mut Outbox) -> bool {
        let ours = self.execs.values().any(|e| e.caller == Some(call));
        if ours {
            self.exec_input(now, CRICTL_REQUEST | call, channel, data, out);
        }
        ours
    }

    pub(crate) fn crictl_closed(&mut self, now: Time, call: u64, out: &mut Outbox) -> bool {
        let ours = self.execs.values().any(|e| e.caller == Some(call));
        if ours {
            self.exec_closed(now, CRICTL_REQUEST | call, out);
        }
        ours
    }

    /// The caller has hung up.
    pub(crate) fn exec_closed(&mut self, now: Time, request: u64, out: &mut Outbox) {
        let Some(key) = self.execs.iter().find(|(_, e)| e.request == request).map(|(k, _)| *k) else { return };
        let Some(exec) = self.execs.remove(&key) else { return };
        let input = match exec.tty {
            _ if exec.command.is_empty() => return,
            Some(tty) => MachineInput::TtyHangup { tty },
            None => MachineInput::StdinEof { stream: streams(key)[2] },
        };
        self.feed(now, &exec.container, input, out);
    }

    pub(crate) fn execs_of_ended_container(&mut self, now: Time, id: &Id, out: &mut Outbox) {
        let keys: Vec<u64> = self.execs.iter().filter(|(_, e)| e.container == *id).map(|(k, _)| *k).collect();
        for key in keys {
            if let Some(exec) = self.execs.remove(&key) {
                self.finish_exec(now, &exec, 137, false, out);
            }
        }
    }

    /// Tells the caller how it ended.
    fn finish_exec(&mut self, now: Time, exec: &Exec, code: i32, timed_out: bool, out: &mut Outbox) {
        if let Some([stdout, stderr]) = &exec.collected {
            let response = cri::Response::ExecSync {
                exit_code: code,
                stdout: Rc::from(stdout.as_slice()),
                stderr: Rc::from(stderr.as_slice()),
                timed_out,
            };
            out.send(exec.to, Payload::Cri(Rc::new(cri::Message::Response { id: exec.request, response })));
            return;
        }
        let status = match code {
            0 => "{\"metadata\":{},\"status\":\"Success\"}".to_string(),
            _ => format!(
                "{{\"metadata\":{{}},\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code: error executing command [{}], exit code {code}\",\"reason\":\"NonZeroExitCode\",\"details\":{{\"causes\":[{{\"reason\":\"ExitCode\",\"message\":\"{code}\"}}]}}}}",
                exec.command.iter().map(|c| c.escape_default().to_string()).collect::<Vec<_>>().join(" ")
            ),
        };
        self.exec_frame(now, exec, 3, status.into_bytes().into(), out);
        match exec.caller {
            Some(call) => self.to_caller(now, call, ApiEvent::Closed, out),
            None => out.send(exec.to, Payload::Cri(Rc::new(cri::Message::FrameEnd { id: exec.request }))),
        }
    }
}

/// `{"Width":80,"Height":24}`
fn resize(data: &[u8]) -> (u16, u16) {
    let value = apimachinery::json::parse(data).unwrap_or_default();
    let get = |name| value.int_at(&[name]).and_then(|n| u16::try_from(n).ok());
    (get("Width").unwrap_or(80), get("Height").unwrap_or(24))
}
