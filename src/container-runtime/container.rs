//! Sandboxes and containers: create, start, stop, remove. Models containerd's CRI plugin with runc under it.

use std::net::IpAddr;
use std::rc::Rc;

use base::{Duration, Time, Vector};
use cri_api::cri::{self, ContainerConfig, ContainerState, Id, PodSandboxConfig};
use cri_api::host::{ComponentSpec, HostMessage};
use cri_api::program::Spawn;
use cri_api::{Machine, MachineConfig, MachineInput, Signal, StartSpec, Status, Stdio, StreamId};
use sim::{Addr, Outbox, Payload};

use crate::image::{Image, Start};
use crate::logs::LogLine;
use crate::{Runtime, Text, Wake, error};

/// Standard output and error of a container's first process.
pub(crate) const STDOUT: StreamId = StreamId(1);
pub(crate) const STDERR: StreamId = StreamId(2);
pub(crate) const STDIN: StreamId = StreamId(3);

/// What a process holds before it asks for more.
const SIGKILL_CODE: i32 = 137;

/// A pod sandbox: the network namespace and the name that its containers share.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub config: Rc<PodSandboxConfig>,
    pub ready: bool,
    pub created_at: Time,
    pub ips: Vec<IpAddr>,
}

/// A container.
#[derive(Clone)]
pub struct Container {
    pub sandbox: Id,
    pub config: Rc<ContainerConfig>,
    pub image: Rc<Image>,
    pub state: ContainerState,
    pub created_at: Time,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub exit_code: i32,
    pub reason: Text,
    pub message: Text,
    /// Process 1 of its machine.
    pub(crate) pid: u32,
    pub(crate) tty: Option<cri_api::machine::TtyId>,
    /// Where its component runs, if it is one.
    pub component: Option<Addr>,
    pub(crate) log: Vector<LogLine>,
    /// An unfinished line per stream.
    pub(crate) partial: [Rc<Vec<u8>>; 2],
    /// Stop requests to answer when it is dead.
    pub(crate) stopping: Vec<(Addr, u64)>,
    pub(crate) oom: bool,
    pub(crate) cpu: crate::stats::CpuMeter,
    /// Bytes of memory, as they are counted for the machine.
    pub(crate) held_memory: u64,
    /// Bytes of the disk that it can be held for: its layer, its log, and the volumes it may write to.
    pub(crate) held_disk: u64,
    /// Its processes, if the node's are counted.
    pub(crate) held_processes: u32,
    pub(crate) log_bytes: u64,
}

impl Container {
    pub fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }
    pub fn is_component(&self) -> bool {
        matches!(self.image.start, Start::Component(_))
    }
}

impl Runtime {
    pub(crate) fn run_sandbox(&mut self, now: Time, config: &Rc<PodSandboxConfig>) -> cri::Response {
        let id = self.new_id();
        let ips = match config.host_network {
            true => std::iter::once(self.config.node_ip).chain(self.network.node_ip6).collect(),
            false => match self.network.add_pod(&id) {
                Some(ips) => ips,
                None => {
                    let text = format!(
                        "failed to setup network for sandbox {id:?}: plugin type=\"bridge\" failed (add): no IP addresses available in range"
                    );
                    return error("Unknown", text);
                }
            },
        };
        let sandbox = Sandbox { config: config.clone(), ready: true, created_at: now, ips: ips.clone() };
        self.sandboxes.insert(id.clone(), Rc::new(sandbox));
        cri::Response::Sandbox { sandbox: id, ips }
    }

    pub(crate) fn stop_sandbox(&mut self, now: Time, id: &Id, out: &mut Outbox) -> cri::Response {
        let running: Vec<Id> =
            self.containers.iter().filter(|(_, c)| c.sandbox == *id && c.is_running()).map(|(i, _)| i.clone()).collect();
        for container in running {
            self.kill(now, &container, out);
        }
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return cri::Response::Done };
        let sandbox = Rc::make_mut(sandbox);
        sandbox.ready = false;
        if !sandbox.config.host_network {
            for ip in sandbox.ips.clone() {
                self.network.remove_pod(ip);
            }
        }
        cri::Response::Done
    }

    pub(crate) fn remove_sandbox(&mut self, id: &Id) -> cri::Response {
        let members: Vec<Id> = self.containers.iter().filter(|(_, c)| c.sandbox == *id).map(|(i, _)| i.clone()).collect();
        for container in members {
            self.remove_container(&container);
        }
        self.sandboxes.remove(id);
        cri::Response::Done
    }

    pub(crate) fn create_container(&mut self, now: Time, sandbox_id: &Id, config: &Rc<ContainerConfig>) -> cri::Response {
        let Some(sandbox) = self.sandboxes.get(sandbox_id).cloned() else {
            return error("NotFound", format!("failed to find sandbox id {sandbox_id:?}: not found"));
        };
        let image = match self.find_image(&config.image) {
            Ok(image) => image,
            Err(e) => return error("NotFound", e.message),
        };
        if config.run_as_non_root && config.run_as_user.or(image.user.map(i64::from)).unwrap_or(0) == 0 {
            return error("Unknown", "container has runAsNonRoot and image will run as root");
        }
        let id = self.new_id();
        // A component whose image holds tools (etcd's has etcdctl) has a machine for those who exec.
        let has_tools = image.root.entries(cri_api::Tree::ROOT).is_ok_and(|e| !e.is_empty());
        if matches!(image.start, Start::Command) || has_tools {
            match self.build_machine(now, &sandbox, config, &image) {
                Ok(machine) => {
                    self.machines.insert(id.clone(), Rc::new(machine));
                }
                Err(text) => return error("Unknown", text),
            }
        }
        let container = Container {
            sandbox: sandbox_id.clone(),
            config: config.clone(),
            image: Rc::new(image),
            state: ContainerState::Created,
            created_at: now,
            started_at: None,
            finished_at: None,
            exit_code: 0,
            reason: "".into(),
            message: "".into(),
            pid: 0,
            tty: None,
            component: None,
            log: Vector::new(),
            partial: Default::default(),
            stopping: Vec::new(),
            oom: false,
            cpu: Default::default(),
            held_memory: 0,
            held_disk: 0,
            held_processes: 0,
            log_bytes: 0,
        };
        self.containers.insert(id.clone(), Rc::new(container));
        cri::Response::Container { container: id }
    }

    fn build_machine(
        &mut self,
        now: Time,
        sandbox: &Sandbox,
        config: &ContainerConfig,
        image: &Image,
    ) -> Result<Machine, String> {
        let mut root = image.root.clone();
        root.read_only = false;
        write_etc(&mut root, now, sandbox);
        let hostname = sandbox.config.hostname.clone();
        let machine_config = MachineConfig {
            fqdn: full_name(&sandbox.config).into(),
            hostname,
            container: !matches!(image.start, Start::Component(_)),
            cpu: crate::stats::cpu_bucket(config.cpu_limit_milli),
            memory_limit: (config.memory_limit > 0).then_some(config.memory_limit as u64),
            boot: self.config.boot,
            cpus: self.config.cpus,
            memory: self.config.memory,
            ..MachineConfig::default()
        };
        let mut machine = Machine::new(machine_config, root);
        for mount in &config.mounts {
            for (volume, sub_path, path) in self.sources(now, mount)? {
                let Machine { root, namespace, .. } = &mut machine;
                namespace
                    .mount(root, &mut self.volumes, &path, volume, &sub_path, mount.read_only)
                    .map_err(|e| format!("failed to mount {path:?}: {}", e.text()))?;
            }
        }
        machine.root.read_only = config.read_only_rootfs;
        Ok(machine)
    }

    pub(crate) fn start_container(&mut self, now: Time, id: &Id, out: &mut Outbox) -> cri::Response {
        let Some(container) = self.containers.get(id).cloned() else {
            return error("NotFound", format!("an error occurred when try to find container {id:?}: not found"));
        };
        let started = match &container.image.start {
            Start::Component(program) => {
                self.start_component(id, &container, program, out);
                Ok((0, None))
            }
            Start::Command => self.start_command(now, id, &container, out),
        };
        match started {
            Ok((pid, tty)) => {
                self.change(id, |c| {
                    if c.state == ContainerState::Created {
                        (c.state, c.started_at) = (ContainerState::Running, Some(now));
                    }
                    (c.pid, c.tty) = (pid, tty);
                });
                self.write_log_file(now, id, &[]);
                self.weigh(now, id, out);
                self.status(id).map_or(cri::Response::Done, cri::Response::Status)
            }
            Err(text) => {
                let text = format!(
                    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
                     unable to start container process: error during container init: {text}"
                );
                self.change(id, |c| {
                    (c.state, c.exit_code, c.reason, c.message) =
                        (ContainerState::Exited, 128, "StartError".into(), text.as_str().into());
                    (c.started_at, c.finished_at) = (Some(Time::EPOCH), Some(now));
                });
                error("Unknown", text)
            }
        }
    }

    fn start_command(
        &mut self,
        now: Time,
        id: &Id,
        container: &Container,
        out: &mut Outbox,
    ) -> Result<(u32, Option<cri_api::machine::TtyId>), String> {
        let (config, image) = (&container.config, &container.image);
        self.note_foreign_ports(id);
        let Some(machine) = self.machines.get_mut(id) else { return Err("the container's machine is gone".into()) };
        let machine = Rc::make_mut(machine);
        let tty = config.tty.then(|| machine.open_tty(80, 24));
        let argv: Vec<Text> = match (config.command.is_empty(), config.args.is_empty()) {
            (false, _) => config.command.iter().chain(&config.args).cloned().collect(),
            (true, false) => image.entrypoint.iter().chain(&config.args).cloned().collect(),
            (true, true) => image.entrypoint.iter().chain(&image.cmd).cloned().collect(),
        };
        if argv.is_empty() {
            return Err("no command specified".into());
        }
        let mut env = base::Map::new();
        env.insert("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        env.insert("HOSTNAME".into(), machine.config.hostname.clone());
        env.insert("HOME".into(), if config.run_as_user.unwrap_or(0) == 0 { "/root" } else { "/" }.into());
        if tty.is_some() {
            env.insert("TERM".into(), "xterm".into());
        }
        for (k, v) in image.env.iter().chain(&config.env) {
            env.insert(k.clone(), v.clone());
        }
        let dir = if config.working_dir.is_empty() { &image.working_dir } else { &config.working_dir };
        let stdin = if config.stdin { Stdio::Stream(STDIN) } else { Stdio::Null };
        let stdio = tty.map_or([stdin, Stdio::Stream(STDOUT), Stdio::Stream(STDERR)], |t| [Stdio::Tty(t); 3]);
        let spec = StartSpec {
            command: Spawn { argv, env: Some(env), cwd: (!dir.is_empty()).then(|| dir.clone()), ..Spawn::default() },
            uid: config.run_as_user.map_or(image.user.unwrap_or(0), |u| u as u32),
            gid: config.run_as_group.unwrap_or(0) as u32,
            groups: config.supplemental_groups.iter().map(|g| *g as u32).collect(),
            stdio,
        };
        let mut outputs = Vec::new();
        let mut host = cri_api::Host { volumes: &mut self.volumes, programs: &self.config.programs };
        let pid = machine.start(now, &mut host, spec, &mut outputs).map_err(|e| e.to_string())?;
        // Set first: a process that ends at once is known by its number.
        self.change(id, |c| (c.state, c.started_at, c.pid, c.tty) = (ContainerState::Running, Some(now), pid, tty));
        self.carry_out(now, id, outputs, out);
        Ok((pid, tty))
    }

    fn start_component(&mut self, id: &Id, container: &Container, program: &Text, out: &mut Outbox) {
        let Some(sandbox) = self.sandboxes.get(&container.sandbox) else { return };
        let token = container.config.mounts.iter().find(|m| m.container_path.ends_with("/serviceaccount")).and_then(|m| {
            let volume = self.volumes.get(*self.volume_ids.get(&m.volume)?)?;
            // Through the dated directory that `..data` leads to: a tree by itself follows no links.
            let entries = volume.tree.entries(cri_api::Tree::ROOT).ok()?;
            let data = entries.keys().find_map(|dir| volume.tree.read_file(&format!("{dir}/token")))?;
            Some(String::from_utf8_lossy(&data).into_owned().into())
        });
        let mounts = container.config.mounts.iter();
        let spec = ComponentSpec {
            container: id.clone(),
            program: program.clone(),
            args: container.config.command.iter().skip(1).chain(&container.config.args).cloned().collect(),
            env: container.config.env.clone(),
            pod_namespace: sandbox.config.pod_namespace.clone(),
            pod_name: sandbox.config.pod_name.clone(),
            pod_uid: sandbox.config.pod_uid.clone(),
            ips: sandbox.ips.clone(),
            token,
            host_mounts: mounts.filter_map(|m| Some((m.container_path.clone(), self.host_path_of(&m.volume)?))).collect(),
        };
        self.ask_world(HostMessage::StartComponent(spec), out);
    }

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

    pub(crate) fn update_resources(&mut self, id: &Id, memory_limit: i64, cpu_limit_milli: i64) -> cri::Response {
        self.change(id, |c| {
            let config = Rc::make_mut(&mut c.config);
            (config.memory_limit, config.cpu_limit_milli) = (memory_limit, cpu_limit_milli);
        });
        if let Some(machine) = self.machines.get_mut(id) {
            let machine = Rc::make_mut(machine);
            let config = Rc::make_mut(&mut machine.config);
            config.memory_limit = (memory_limit > 0).then_some(memory_limit as u64);
            config.cpu = crate::stats::cpu_bucket(cpu_limit_milli);
        }
        cri::Response::Done
    }

    pub(crate) fn status(&self, id: &Id) -> Option<cri::ContainerStatus> {
        let c = self.containers.get(id)?;
        let (image, image_ref) = self.image_ref(&c.config.image);
        Some(cri::ContainerStatus {
            id: id.clone(),
            sandbox: c.sandbox.clone(),
            name: c.config.name.clone(),
            attempt: c.config.attempt,
            image,
            image_ref,
            state: c.state,
            created_at: c.created_at,
            started_at: c.started_at,
            finished_at: c.finished_at,
            exit_code: c.exit_code,
            reason: c.reason.clone(),
            message: c.message.clone(),
        })
    }

    pub(crate) fn list_pods(&self) -> cri::Response {
        let pods = self.sandboxes.iter().map(|(id, sandbox)| cri::PodStatus {
            sandbox: id.clone(),
            config: sandbox.config.clone(),
            ready: sandbox.ready,
            created_at: sandbox.created_at,
            ips: sandbox.ips.clone(),
            containers: self.containers.iter().filter(|(_, c)| c.sandbox == *id).filter_map(|(i, _)| self.status(i)).collect(),
        });
        cri::Response::Pods(pods.collect())
    }

    pub(crate) fn change(&mut self, id: &Id, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.containers.get_mut(id) {
            change(Rc::make_mut(container));
        }
    }
}

/// The host name without its domain (`setHostnameAsFQDN` makes the whole the host name).
fn short_name(config: &PodSandboxConfig) -> &str {
    config.hostname.strip_suffix(&*config.domain).and_then(|n| n.strip_suffix('.')).unwrap_or(&config.hostname)
}

fn full_name(config: &PodSandboxConfig) -> String {
    match &*config.domain {
        "" => config.hostname.to_string(),
        domain => format!("{}.{domain}", short_name(config)),
    }
}

/// The files that the kubelet and the runtime write into every container.
fn write_etc(root: &mut cri_api::Tree, now: Time, sandbox: &Sandbox) {
    let config = &sandbox.config;
    let mut hosts = String::from(match config.host_network {
        true => "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n",
        false => {
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
        }
    });
    for ip in &sandbox.ips {
        match (full_name(config), short_name(config)) {
            (full, short) if full == short => hosts.push_str(&format!("{ip}\t{short}\n")),
            (full, short) => hosts.push_str(&format!("{ip}\t{full}\t{short}\n")),
        }
    }
    if !config.host_aliases.is_empty() {
        hosts.push_str("\n# Entries added by HostAliases.\n");
        for (ip, names) in &config.host_aliases {
            hosts.push_str(&format!("{ip}\t{}\n", names.iter().map(|n| &**n).collect::<Vec<_>>().join("\t")));
        }
    }
    let mut resolv = String::new();
    if !config.dns_searches.is_empty() {
        resolv.push_str(&format!("search {}\n", join(&config.dns_searches)));
    }
    for server in &config.dns_servers {
        resolv.push_str(&format!("nameserver {server}\n"));
    }
    if !config.dns_options.is_empty() {
        resolv.push_str(&format!("options {}\n", join(&config.dns_options)));
    }
    for (path, text) in [("etc/hosts", hosts), ("etc/resolv.conf", resolv), ("etc/hostname", format!("{}\n", config.hostname))] {
        // An image without room for these files doesn't exist: trees start empty and grow.
        let _ = root.put_file(path, text.into_bytes(), 0o644, now);
    }
    let _ = root.put_file("dev/termination-log", Vec::new(), 0o666, now);
}

fn join(parts: &[Text]) -> String {
    parts.iter().map(|p| &**p).collect::<Vec<_>>().join(" ")
}
