//! The node's own shell (`ssh node-1`), the world's messages about components, and API calls of programs in containers.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use apimachinery::{Response, ResponseBody, WatchEvent};
use base::{Map, Time};
use cri_api::call::{ApiCall, ApiEvent, CallId};
use cri_api::cri::Id;
use cri_api::host::HostMessage;
use cri_api::machine::{StreamId, TtyId};
use cri_api::program::Spawn;
use cri_api::{MachineInput, MachineOutput, StartSpec, Stdio};
use sim::{Addr, Outbox, Payload};

use crate::network::Owner;
use crate::{Runtime, Text, Wake, ssh};

/// Calls to kube-apiserver that programs have made, and terminals on the node.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostCalls {
    /// Our id → whose call: a container's, or the node's own.
    calls: Map<u64, (Option<Id>, CallId)>,
    pub(crate) ttys: Map<u32, (TtyId, u32)>,
    /// Commands without a terminal: job → its process.
    pub(crate) jobs: Map<u32, u32>,
    /// Open buffers of the page's editor: whose, and which call.
    buffers: Map<u32, (Option<Id>, CallId)>,
    /// Connections to the node's ssh daemon.
    pub(crate) ssh: Map<u32, ssh::Session>,
    /// kube-apiserver's address, as the world told.
    apiserver: Addr,
    /// Other kube-apiservers, by the address of the machine that they run on.
    apiservers: Map<IpAddr, Addr>,
    /// etcd's members by the address of the machine that they run on.
    etcd: Map<IpAddr, Addr>,
}

/// The sockets of systemd and of the journal, and the cloud's command line: the world answers there.
const WORLD: &str = "unix:///run/systemd/";

impl Runtime {
    /// Where programs' API calls go.
    pub fn set_apiserver(&mut self, addr: Addr) {
        self.host_calls.apiserver = addr;
    }

    /// Where calls to port 6443 of `ip` go, if not to the usual kube-apiserver.
    pub fn set_apiserver_at(&mut self, addr: Addr, ip: IpAddr) {
        self.host_calls.apiservers.insert(ip, addr);
    }

    /// Where calls to port 2379 of `ip` (or of the loopback address on that machine) go.
    pub fn set_etcd(&mut self, addr: Addr, ip: IpAddr) {
        self.host_calls.etcd.insert(ip, addr);
    }

    pub(crate) fn host_message(&mut self, now: Time, message: &HostMessage, out: &mut Outbox) {
        match message {
            HostMessage::ComponentStarted { container, addr } => {
                let addr = Addr(*addr);
                self.change(container, |c| c.component = Some(addr));
            }
            HostMessage::ComponentExited { container, code } => {
                if self.containers.get(container).is_some_and(|c| c.is_running()) {
                    self.container_ended(now, container, *code, "", out);
                }
            }
            HostMessage::ComponentLog { container, line } => self.log_line(now, container, line, out),
            HostMessage::TtyOpen { tab, cols, rows } => {
                self.open_shell(now, *tab, *cols, *rows, &["bash".into(), "-i".into()], out);
            }
            HostMessage::TtyInput { tab, data } => {
                if let Some((tty, _)) = self.host_calls.ttys.get(tab).copied() {
                    self.feed_host(now, MachineInput::Tty { tty, data: data.clone() }, out);
                }
            }
            HostMessage::TtyResize { tab, cols, rows } => {
                if let Some((tty, _)) = self.host_calls.ttys.get(tab).copied() {
                    self.feed_host(now, MachineInput::TtyResize { tty, cols: *cols, rows: *rows }, out);
                }
            }
            HostMessage::TtyClose { tab } => {
                if let Some((tty, _)) = self.host_calls.ttys.remove(tab) {
                    self.feed_host(now, MachineInput::TtyHangup { tty }, out);
                }
            }
            HostMessage::WriteFile { path, data } => {
                self.write_host_file(now, path, data, 0o644);
                self.notice_directories(now, out);
            }
            HostMessage::RunJob { job, argv, stdin } => {
                self.start_job(now, *job, argv, out);
                let stream = job_streams(*job)[2];
                self.feed_host(now, MachineInput::Stdin { stream, data: stdin.clone() }, out);
                self.feed_host(now, MachineInput::StdinEof { stream }, out);
            }
            HostMessage::BufferClosed { buffer, saved } => self.buffer_closed(now, *buffer, saved.clone(), out),
            _ => {}
        }
    }

    /// Starts a command without a terminal; its input comes later.
    pub(crate) fn start_job(&mut self, now: Time, job: u32, argv: &[Text], out: &mut Outbox) {
        self.show_log_files(now);
        let host = Rc::make_mut(&mut self.host);
        let env = Some(shell_env(&self.config.node));
        let command = Spawn { argv: argv.to_vec(), env, cwd: Some("/root".into()), ..Spawn::default() };
        let [stdout, stderr, input] = job_streams(job);
        let stdio = [Stdio::Stream(input), Stdio::Stream(stdout), Stdio::Stream(stderr)];
        let spec = StartSpec { command, uid: 0, gid: 0, groups: Vec::new(), stdio };
        let mut outputs = Vec::new();
        let mut lent = cri_api::Host { volumes: &mut self.volumes, programs: &self.config.programs };
        match host.start(now, &mut lent, spec, &mut outputs) {
            Ok(pid) => {
                self.host_calls.jobs.insert(job, pid);
                self.carry_out_host(now, outputs, out);
            }
            Err(e) => {
                self.job_output(now, job, true, format!("{e}\n").into_bytes().into(), out);
                self.job_done(now, job, 127, out);
            }
        }
    }

    /// A program wants a text edited: the page has an editor.
    pub(crate) fn open_buffer(&mut self, whose: Option<Id>, call: CallId, title: &Text, text: &Text, out: &mut Outbox) {
        let buffer = self.next() as u32;
        self.host_calls.buffers.insert(buffer, (whose, call));
        let machine = self.config.node.clone();
        self.ask_world(HostMessage::OpenBuffer { machine, buffer, name: title.clone(), text: text.clone() }, out);
    }

    fn buffer_closed(&mut self, now: Time, buffer: u32, saved: Option<Text>, out: &mut Outbox) {
        let Some((whose, call)) = self.host_calls.buffers.remove(&buffer) else { return };
        let input = MachineInput::Edited { call, text: saved };
        match whose {
            Some(container) => self.feed(now, &container, input, out),
            None => self.feed_host(now, input, out),
        }
    }

    /// Terminal output: to the page, or to the far end of an ssh session.
    fn tab_output(&mut self, now: Time, tab: u32, data: Rc<[u8]>, out: &mut Outbox) {
        if !self.ssh_tab_output(now, tab, &data, out) {
            self.ask_world(HostMessage::TtyOutput { tab, data }, out);
        }
    }

    fn tab_closed(&mut self, now: Time, tab: u32, code: i32, out: &mut Outbox) {
        self.host_calls.ttys.remove(&tab);
        if !self.ssh_tab_closed(now, tab, code, out) {
            self.ask_world(HostMessage::TtyClosed { tab, code }, out);
        }
    }

    fn job_output(&mut self, now: Time, job: u32, stderr: bool, data: Rc<[u8]>, out: &mut Outbox) {
        if !self.ssh_job_output(now, job, stderr, &data, out) {
            self.ask_world(HostMessage::JobOutput { job, stderr, data }, out);
        }
    }

    fn job_done(&mut self, now: Time, job: u32, code: i32, out: &mut Outbox) {
        self.host_calls.jobs.remove(&job);
        if !self.ssh_job_done(now, job, code, out) {
            self.ask_world(HostMessage::JobDone { job, code }, out);
        }
    }

    /// Starts a command on a terminal of its own.
    pub(crate) fn open_shell(&mut self, now: Time, tab: u32, cols: u16, rows: u16, argv: &[Text], out: &mut Outbox) {
        self.show_log_files(now);
        let host = Rc::make_mut(&mut self.host);
        let tty = host.open_tty(cols, rows);
        let env = Some(shell_env(&self.config.node));
        let command = Spawn { argv: argv.to_vec(), env, cwd: Some("/root".into()), ..Spawn::default() };
        let spec = StartSpec { command, uid: 0, gid: 0, groups: Vec::new(), stdio: [Stdio::Tty(tty); 3] };
        let mut outputs = Vec::new();
        let mut lent = cri_api::Host { volumes: &mut self.volumes, programs: &self.config.programs };
        match host.start(now, &mut lent, spec, &mut outputs) {
            Ok(pid) => {
                self.host_calls.ttys.insert(tab, (tty, pid));
                self.carry_out_host(now, outputs, out);
            }
            Err(_) => self.tab_closed(now, tab, 127, out),
        }
    }

    pub(crate) fn feed_host(&mut self, now: Time, input: MachineInput, out: &mut Outbox) {
        let mut outputs = Vec::new();
        let mut lent = cri_api::Host { volumes: &mut self.volumes, programs: &self.config.programs };
        Rc::make_mut(&mut self.host).handle(now, &mut lent, input, &mut outputs);
        self.carry_out_host(now, outputs, out);
    }

    fn carry_out_host(&mut self, now: Time, outputs: Vec<MachineOutput>, out: &mut Outbox) {
        for output in outputs {
            match output {
                MachineOutput::Timer(at) => self.wake_after(at.since(now), Wake::Host, out),
                MachineOutput::TtyOutput { tty, data } => {
                    let tab = self.host_calls.ttys.iter().find(|(_, (t, _))| *t == tty).map(|(tab, _)| *tab);
                    if let Some(tab) = tab {
                        self.tab_output(now, tab, data, out);
                    }
                }
                MachineOutput::Exited { pid, status, .. } => {
                    let tab = self.host_calls.ttys.iter().find(|(_, (_, p))| *p == pid).map(|(tab, _)| *tab);
                    let job = self.host_calls.jobs.iter().find(|(_, p)| **p == pid).map(|(job, _)| *job);
                    if let Some(tab) = tab {
                        self.tab_closed(now, tab, status.code(), out);
                    }
                    if let Some(job) = job {
                        self.job_done(now, job, status.code(), out);
                    }
                }
                MachineOutput::Net(net) => self.net_request(now, Owner::Host, self.config.node_ip, net, out),
                MachineOutput::Api { call, request } => self.api_call(None, call, &request, out),
                MachineOutput::ApiFrame { call, channel, data } => self.api_call_frame(None, call, channel, data, out),
                MachineOutput::ApiClosed { call } => self.api_call_closed(None, call, out),
                MachineOutput::Edit { call, title, text } => self.open_buffer(None, call, &title, &text, out),
                MachineOutput::EditClosed { .. } => {}
                MachineOutput::Output { stream, data } => {
                    let (job, stderr) = job_of(stream);
                    self.job_output(now, job, stderr, data, out);
                }
            }
        }
        self.notice_directories(now, out);
    }

    /// A program calls kube-apiserver, etcd (port 2379) or, on the node itself, the runtime's socket.
    pub(crate) fn api_call(&mut self, whose: Option<Id>, call: CallId, request: &ApiCall, out: &mut Outbox) {
        let id = self.next();
        self.host_calls.calls.insert(id, (whose.clone(), call));
        if &*request.server == crate::netlink::SOCKET {
            let response = self.netlink(whose.as_ref(), &request.request);
            return out.respond(out.me, id, response);
        }
        if whose.is_none() && request.server.starts_with(WORLD) {
            return self.ask_world(HostMessage::Call { call: id, request: request.request.clone() }, out);
        }
        if whose.is_none() && request.server.starts_with("unix://") {
            let now = out.now;
            if self.stopped {
                let text = "failed to connect: dial unix /run/containerd/containerd.sock: connect: connection refused";
                return out.respond(out.me, id, sim::transport_error(text));
            }
            return match &*request.request.path {
                "/runtime.v1.RuntimeService/Exec" => self.crictl_exec(now, id, &request.request, out),
                _ => out.respond(out.me, id, self.crictl(now, &request.request)),
            };
        }
        match self.server(&request.server) {
            Ok(addr) => out.send(addr, Payload::ApiRequest { id, request: request.request.clone() }),
            Err(text) => out.respond(out.me, id, sim::transport_error(&text)),
        }
    }

    /// Who listens at a URL: etcd's members on port 2379 of their machines, else kube-apiserver (which has several names).
    fn server(&self, url: &str) -> Result<Addr, String> {
        let Some(host) = url.strip_prefix("https://").filter(|h| h.ends_with(":2379")) else {
            // Where kubectl looks without a kubeconfig.
            if url == "http://localhost:8080" && &*self.config.node != "laptop" {
                return Err("dial tcp 127.0.0.1:8080: connect: connection refused".into());
            }
            let ip = url.strip_prefix("https://").and_then(|h| h.parse::<SocketAddr>().ok()).map(|a| a.ip());
            let other = ip.and_then(|ip| self.host_calls.apiservers.get(&ip)).copied();
            return Ok(other.unwrap_or(self.host_calls.apiserver));
        };
        let ip = host.parse::<SocketAddr>().ok().map(|a| a.ip());
        let ip = ip.map(|ip| if ip.is_loopback() { self.config.node_ip } else { ip });
        let member = ip.and_then(|ip| self.host_calls.etcd.get(&ip));
        member.copied().ok_or_else(|| format!("dial tcp {host}: connect: connection refused"))
    }

    fn find_call(&self, whose: Option<&Id>, call: CallId) -> Option<u64> {
        self.host_calls.calls.iter().find(|(_, (w, c))| w.as_ref() == whose && *c == call).map(|(id, _)| *id)
    }

    pub(crate) fn api_call_frame(&mut self, whose: Option<&Id>, call: CallId, channel: u8, data: Rc<[u8]>, out: &mut Outbox) {
        let Some(id) = self.find_call(whose, call) else { return };
        if !self.crictl_input(out.now, id, channel, &data, out) {
            out.send(self.host_calls.apiserver, Payload::StreamFrame { id, channel, data });
        }
    }

    pub(crate) fn api_call_closed(&mut self, whose: Option<&Id>, call: CallId, out: &mut Outbox) {
        if let Some(id) = self.find_call(whose, call) {
            self.host_calls.calls.remove(&id);
            if !self.crictl_closed(out.now, id, out) {
                out.send(self.host_calls.apiserver, Payload::StreamEnd { id });
            }
        }
    }

    pub(crate) fn to_caller(&mut self, now: Time, id: u64, event: ApiEvent, out: &mut Outbox) {
        let Some((whose, call)) = self.host_calls.calls.get(&id).cloned() else { return };
        if event.is_last() {
            self.host_calls.calls.remove(&id);
        }
        match whose {
            Some(container) => self.feed(now, &container, MachineInput::Api { call, event }, out),
            None => self.feed_host(now, MachineInput::Api { call, event }, out),
        }
    }

    pub(crate) fn api_response(&mut self, now: Time, id: u64, response: &Rc<Response>, out: &mut Outbox) {
        if self.dial_answered(now, id, response, out) || self.bridge_answered(now, id, response, out) {
            return;
        }
        let event = match &response.body {
            ResponseBody::Text(_, text) if response.code == 0 => ApiEvent::Failed(text.clone()),
            _ => ApiEvent::Response(response.clone()),
        };
        self.to_caller(now, id, event, out);
    }

    pub(crate) fn api_events(&mut self, now: Time, id: u64, events: &[WatchEvent], out: &mut Outbox) {
        for event in events {
            self.to_caller(now, id, ApiEvent::Watch(event.clone()), out);
        }
    }

    pub(crate) fn api_frame(&mut self, now: Time, id: u64, channel: u8, data: &Rc<[u8]>, out: &mut Outbox) {
        self.to_caller(now, id, ApiEvent::Frame { channel, data: data.clone() }, out);
    }

    pub(crate) fn api_closed(&mut self, now: Time, id: u64, out: &mut Outbox) {
        self.to_caller(now, id, ApiEvent::Closed, out);
    }
}

/// The environment of a login on the node (or the laptop).
fn shell_env(node: &str) -> cri_api::program::Env {
    let mut env = base::Map::new();
    let prompt = if node == "laptop" { "\\[\\e[32m\\]$\\[\\e[0m\\] ".to_string() } else { format!("root@{node}:\\w# ") };
    let vars = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("TERM", "xterm-256color"),
        ("USER", "root"),
        ("SHELL", "/bin/sh"),
        ("PS1", &prompt),
    ];
    for (name, value) in vars {
        env.insert(name.into(), value.into());
    }
    env
}

/// Jobs from here on are commands of the ssh daemon.
pub(crate) const FIRST_SSH_JOB: u32 = 1 << 28;

/// Output, error and input of a job.
pub(crate) fn job_streams(job: u32) -> [StreamId; 3] {
    [StreamId(job * 4), StreamId(job * 4 + 1), StreamId(job * 4 + 2)]
}

fn job_of(stream: StreamId) -> (u32, bool) {
    (stream.0 / 4, stream.0 % 4 == 1)
}
