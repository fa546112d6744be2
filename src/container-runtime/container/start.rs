//! From an image to a running container: its machine with mounts, its first process with environment and streams, or the component
//! that the image is. Models containerd's `CreateContainer` and `StartContainer`, and runc under them.

use std::rc::Rc;

use base::{Time, Vector};
use cri_api::cri::{self, ContainerConfig, ContainerState, Id};
use cri_api::host::{ComponentSpec, HostMessage};
use cri_api::program::Spawn;
use cri_api::{Machine, MachineConfig, StartError, StartSpec, Stdio};
use sim::Outbox;

use super::etc::{full_name, write_etc};
use super::{Container, STDERR, STDIN, STDOUT, Sandbox};
use crate::image::{Image, Start};
use crate::{Runtime, Text, error};

impl Runtime {
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
        let pid = match machine.start(now, &mut host, spec.clone(), &mut outputs) {
            // The real image has the program. That the bottle hasn't is the stand-in's to say, not runc's.
            Err(StartError::NotInPath(_) | StartError::NoSuchFile(_)) if image.stub => {
                let command = Spawn { argv: image.entrypoint.clone(), ..spec.command };
                machine.start(now, &mut host, StartSpec { command, ..spec }, &mut outputs)
            }
            started => started,
        };
        let pid = pid.map_err(|e| e.to_string())?;
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
}
