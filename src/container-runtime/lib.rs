//! A node's machine: container runtime, kernel network, volumes and the node's own shell, as one process.
//!
//! In a real node these are containerd with runc and a CNI plugin, the kernel's namespaces and netfilter, and the filesystem.
//! Here [`Runtime`] answers the kubelet's CRI requests, runs programs over simulated files ([`cri_api::Machine`]), starts
//! components (kube-apiserver, CoreDNS …) through the world that hosts it, and carries connections by kube-proxy's rules and
//! CNI's routes. Images come from a table ([`Images`]) that the cluster makes.
//!
//! Left out by name: image layers and garbage collection, cgroups beyond limits, user namespaces, runtime classes.

mod bridge;
mod container;
mod crictl;
mod dial;
mod disk;
mod egress;
mod exec;
mod files;
mod forward;
mod host;
mod image;
mod log_files;
mod logs;
mod netlink;
mod network;
mod policy;
mod route;
mod ssh;
mod stats;
mod volume;

use std::net::IpAddr;
use std::rc::Rc;

use base::{Duration, Map, Seed, TextSet, Time};
use cri_api::cri::{self, Id};
use cri_api::host::HostMessage;
use cri_api::{Machine, MachineOutput, ProgramTable, VolumeId, Volumes};
use sim::{Addr, Message, Outbox, Payload};

pub use container::{Container, Sandbox};
pub use egress::{CONNECT_TO, HEADER};
pub use image::{Image, Images, PullError, Start};
pub use network::Network;

type Text = Rc<str>;

/// What a runtime is made from.
#[derive(Clone)]
pub struct Config {
    pub node: Text,
    pub node_ip: IpAddr,
    pub seed: Seed,
    pub boot: Time,
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
    /// Bytes of the one disk.
    pub disk: u64,
    pub programs: Rc<ProgramTable>,
    pub images: Rc<Images>,
    /// The node's own root filesystem (its shell).
    pub root: cri_api::Tree,
    /// Pull images at once (tests, `recorded`).
    pub images_present: bool,
}

/// How long a sandbox takes (pause container, CNI).
const SANDBOX_TIME: Duration = Duration::from_millis(380);
/// How long creating a container takes (snapshot, spec).
const CREATE_TIME: Duration = Duration::from_millis(12);
/// How long starting it takes (runc).
const START_TIME: Duration = Duration::from_millis(70);

/// What a timer of the runtime is for.
#[derive(Clone, Debug)]
enum Wake {
    Container(Id),
    Host,
    /// The grace period of a stop is over.
    Kill(Id),
    ExecTimeout(u64),
    DialTimeout(u64),
    EgressTimeout(u64),
    Pulled(Text),
    /// A connection that may not have been answered: whose, which, how often it was tried again.
    Syn(network::Owner, cri_api::net::ConnId, u32),
}

/// A node's machine. Clone is cheap.
#[derive(Clone)]
pub struct Runtime {
    config: Rc<Config>,
    /// Who gets events: the kubelet that spoke last.
    kubelet: Addr,
    sandboxes: Map<Id, Rc<Sandbox>>,
    containers: Map<Id, Rc<Container>>,
    machines: Map<Id, Rc<Machine>>,
    pulled: TextSet<Text>,
    volumes: Volumes,
    volume_ids: Map<Text, VolumeId>,
    /// Where on the node's disk volumes of pods lie that are directories of it.
    host_paths: Map<Text, Text>,
    /// emptyDirs on the disk with a size limit.
    limits: Map<Text, volume::SizeLimit>,
    host: Rc<Machine>,
    network: Network,
    execs: Map<u64, exec::Exec>,
    followers: Map<u64, logs::Follower>,
    dials: Map<u64, dial::Dialing>,
    egresses: Map<u64, egress::Egress>,
    forwards: Map<u64, forward::Forward>,
    bridges: Map<u64, bridge::Bridge>,
    host_calls: host::HostCalls,
    wakes: Map<u64, Wake>,
    watched: TextSet<Text>,
    /// Logs are written to `/var/log` too: somebody can see it.
    log_files: bool,
    /// containerd's unit is stopped: nobody listens at its socket, and what it had started runs on.
    stopped: bool,
    /// Bytes that running containers hold, all together (see `stats.rs`).
    held_memory: u64,
    /// The kubelet is told when less is available.
    memory_notice: u64,
    /// The disk and the processes (see `disk.rs`).
    watch: disk::Watch,
    /// CPU time of containers that have ended.
    ended_cpu: u64,
    counter: u64,
}

impl Runtime {
    pub fn new(config: Config) -> Runtime {
        let machine_config = cri_api::MachineConfig {
            hostname: config.node.clone(),
            fqdn: config.node.clone(),
            container: false,
            boot: config.boot,
            cpus: config.cpus,
            memory: config.memory,
            ..cri_api::MachineConfig::default()
        };
        let host = Machine::new(machine_config, config.root.clone());
        Runtime {
            network: Network::new(config.node_ip, config.seed.derive("network")),
            config: Rc::new(config),
            kubelet: Addr::OUTSIDE,
            sandboxes: Map::new(),
            containers: Map::new(),
            machines: Map::new(),
            pulled: TextSet::new(),
            volumes: Volumes::default(),
            volume_ids: Map::new(),
            host_paths: Map::new(),
            limits: Map::new(),
            host: Rc::new(host),
            execs: Map::new(),
            followers: Map::new(),
            dials: Map::new(),
            egresses: Map::new(),
            forwards: Map::new(),
            bridges: Map::new(),
            host_calls: host::HostCalls::default(),
            wakes: Map::new(),
            watched: TextSet::new(),
            log_files: false,
            stopped: false,
            held_memory: 0,
            memory_notice: 0,
            watch: disk::Watch::default(),
            ended_cpu: 0,
            counter: 0,
        }
    }

    pub fn handle(&mut self, now: Time, message: Message, out: &mut Outbox) {
        let from = message.from;
        match message.payload {
            Payload::Start => {
                self.stopped = false;
                self.reboot(now, out);
            }
            Payload::Timer(token) => self.wake(now, token, out),
            Payload::Cri(m) => match &*m {
                cri::Message::Request { id, request } => {
                    self.kubelet = from;
                    self.request(now, from, *id, request, out);
                }
                cri::Message::Frame { id, channel, data } => self.exec_input(now, *id, *channel, data, out),
                cri::Message::FrameEnd { id } => self.stream_closed(now, *id, out),
                cri::Message::Response { .. } | cri::Message::Event(_) => {}
            },
            Payload::Packet(packet) => self.packet_in(now, from, (*packet).clone(), out),
            Payload::Kernel(update) => {
                let before = self.network.is_ready();
                self.network.update(&update);
                if self.network.is_ready() != before {
                    self.event(cri::Event::NetworkReady(!before), out);
                }
            }
            Payload::Host(m) => self.host_message(now, &m, out),
            Payload::ApiResponse { id, response } => self.api_response(now, id, &response, out),
            Payload::WatchEvents { id, events } => self.api_events(now, id, &events, out),
            Payload::StreamFrame { id, channel, data } => self.api_frame(now, id, channel, &data, out),
            Payload::StreamEnd { id } => self.api_closed(now, id, out),
            Payload::ApiRequest { id, request } => self.egress(now, from, id, &request, out),
            Payload::PeerGone { .. } | Payload::Etcd(_) => {}
        }
    }

    /// The machine was switched on: what ran before has stopped; files on disk are still there.
    fn reboot(&mut self, now: Time, out: &mut Outbox) {
        let running: Vec<Id> = self.containers.iter().filter(|(_, c)| c.is_running()).map(|(id, _)| id.clone()).collect();
        for id in running {
            self.container_ended(now, &id, 255, "Unknown", out);
        }
        let sandboxes: Vec<Id> = self.sandboxes.keys().cloned().collect();
        for id in sandboxes {
            if let Some(sandbox) = self.sandboxes.get_mut(&id) {
                Rc::make_mut(sandbox).ready = false;
            }
        }
        self.network.reboot();
        self.execs = Map::new();
        self.dials = Map::new();
        self.egresses = Map::new();
        self.forwards = Map::new();
        self.wakes = Map::new();
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// 64 hexadecimal digits.
    fn new_id(&mut self) -> Id {
        let n = self.next() * 4;
        let seed = self.config.seed.derive("id");
        format!("{:016x}{:016x}{:016x}{:016x}", seed.draw(n), seed.draw(n + 1), seed.draw(n + 2), seed.draw(n + 3)).into()
    }

    fn wake_after(&mut self, delay: Duration, wake: Wake, out: &mut Outbox) {
        let token = self.next();
        self.wakes.insert(token, wake);
        out.timer(delay, token);
    }

    fn wake(&mut self, now: Time, token: u64, out: &mut Outbox) {
        match self.wakes.remove(&token) {
            Some(Wake::Container(id)) => self.feed(now, &id, cri_api::MachineInput::Timer, out),
            Some(Wake::Host) => self.feed_host(now, cri_api::MachineInput::Timer, out),
            Some(Wake::Kill(id)) => self.kill(now, &id, out),
            Some(Wake::ExecTimeout(id)) => self.exec_timeout(now, id, out),
            Some(Wake::DialTimeout(id)) => self.dial_timeout(now, id, out),
            Some(Wake::EgressTimeout(id)) => self.egress_timeout(now, id, out),
            Some(Wake::Syn(owner, conn, tries)) => self.syn_timeout(now, owner, conn, tries, out),
            Some(Wake::Pulled(image)) => {
                self.image_pulled(image, out);
            }
            None => {}
        }
    }

    fn request(&mut self, now: Time, from: Addr, id: u64, request: &cri::Request, out: &mut Outbox) {
        use cri::Request as R;
        if self.stopped && !is_of_the_node(request) {
            let response = error("Unavailable", NO_SOCKET);
            return out.send(from, Payload::Cri(Rc::new(cri::Message::Response { id, response })));
        }
        let (delay, response) = match request {
            R::Version if self.network.is_ready() => {
                self.repeat_memory_notice(out);
                self.notice_usage(None, out);
                // A kubelet that has just started learns that the network is there already.
                self.event(cri::Event::NetworkReady(true), out);
                (Duration::ZERO, cri::Response::Version { runtime: "containerd".into(), version: "2.4.2".into() })
            }
            R::Version => (Duration::ZERO, cri::Response::Version { runtime: "containerd".into(), version: "2.4.2".into() }),
            R::RunPodSandbox(config) => (SANDBOX_TIME, self.run_sandbox(now, config)),
            R::StopPodSandbox { sandbox } => (Duration::from_millis(20), self.stop_sandbox(now, sandbox, out)),
            R::RemovePodSandbox { sandbox } => (Duration::ZERO, self.remove_sandbox(sandbox)),
            R::PullImage { image } => self.pull(image, out),
            R::ImageStatus { image } => (Duration::ZERO, self.image_status(image)),
            R::ListImages => (Duration::ZERO, self.list_images()),
            R::RemoveImage { image } => (Duration::from_millis(40), self.remove_image(image)),
            R::CreateContainer { sandbox, config } => (CREATE_TIME, self.create_container(now, sandbox, config)),
            R::StartContainer { container } => (START_TIME, self.start_container(now, container, out)),
            R::StopContainer { container, grace } => {
                match self.stop_container(now, from, id, container, *grace, out) {
                    Some(response) => (Duration::ZERO, response),
                    None => return, // answered when it is dead
                }
            }
            R::RemoveContainer { container } => (Duration::ZERO, self.remove_container(container)),
            R::UpdateContainerResources { container, memory_limit, cpu_limit_milli } => {
                (Duration::ZERO, self.update_resources(container, *memory_limit, *cpu_limit_milli))
            }
            R::ListPodSandbox => (Duration::ZERO, self.list_pods()),
            R::ExecSync { container, command, timeout } => {
                match self.exec_sync(now, from, id, container, command, *timeout, out) {
                    Some(response) => (Duration::ZERO, response),
                    None => return,
                }
            }
            R::Exec { container, command, tty, stdin } => match self.exec(now, from, id, container, command, *tty, *stdin, out) {
                Some(response) => (Duration::ZERO, response),
                None => return,
            },
            R::Attach { container, tty: _, stdin: _ } => (Duration::ZERO, self.attach(from, id, container)),
            R::PortForward { sandbox, port } => match self.port_forward(now, from, id, sandbox, *port, out) {
                Some(response) => (Duration::ZERO, response),
                None => return,
            },
            R::ReadLogs { container, options } => (Duration::ZERO, self.read_logs(from, id, container, options)),
            R::Stats => (Duration::ZERO, self.stats(now)),
            R::SetupVolume { volume, content, fs_group } => (Duration::ZERO, self.setup_volume(now, volume, content, *fs_group)),
            R::RemoveVolume { volume } => (Duration::ZERO, self.remove_volume(volume)),
            R::Dial { dial, timeout } => {
                self.dial(now, from, id, dial, *timeout, out);
                return;
            }
            R::WatchDirectory { path } => (Duration::ZERO, self.watch_directory(now, path)),
        };
        out.send_after(delay, from, Payload::Cri(Rc::new(cri::Message::Response { id, response })));
    }

    fn event(&self, event: cri::Event, out: &mut Outbox) {
        // Its directory the kubelet watches itself.
        let heard = !self.stopped || matches!(event, cri::Event::DirectoryChanged { .. });
        if self.kubelet != Addr::OUTSIDE && heard {
            out.send(self.kubelet, Payload::Cri(Rc::new(cri::Message::Event(event))));
        }
    }

    /// Asks the world.
    fn ask_world(&self, message: HostMessage, out: &mut Outbox) {
        out.send(Addr::OUTSIDE, Payload::Host(Rc::new(message)));
    }

    /// Feeds a container's machine and carries out what it asks for.
    fn feed(&mut self, now: Time, id: &Id, input: cri_api::MachineInput, out: &mut Outbox) {
        let mut outputs = Vec::new();
        self.note_foreign_ports(id);
        let Some(machine) = self.machines.get_mut(id) else { return };
        let mut host = cri_api::Host { volumes: &mut self.volumes, programs: &self.config.programs };
        Rc::make_mut(machine).handle(now, &mut host, input, &mut outputs);
        self.carry_out(now, id, outputs, out);
    }

    fn carry_out(&mut self, now: Time, id: &Id, outputs: Vec<MachineOutput>, out: &mut Outbox) {
        for output in outputs {
            match output {
                MachineOutput::Timer(at) => self.wake_after(at.since(now), Wake::Container(id.clone()), out),
                MachineOutput::Exited { pid, status, oom } => self.process_ended(now, id, pid, status, oom, out),
                MachineOutput::Output { stream, data } => self.output(now, id, stream, data, out),
                MachineOutput::TtyOutput { tty, data } => self.tty_output(now, id, tty, data, out),
                MachineOutput::Net(net) => self.net_output(now, id, net, out),
                MachineOutput::Api { call, request } => self.api_call(Some(id.clone()), call, &request, out),
                MachineOutput::ApiFrame { call, channel, data } => self.api_call_frame(Some(id), call, channel, data, out),
                MachineOutput::ApiClosed { call } => self.api_call_closed(Some(id), call, out),
                MachineOutput::Edit { call, title, text } => self.open_buffer(Some(id.clone()), call, &title, &text, out),
                MachineOutput::EditClosed { .. } => {}
            }
        }
        self.weigh(now, id, out);
        self.weigh_disk(id, out);
        if !self.limits.is_empty() {
            self.notice_limits(out);
        }
        self.notice_directories(now, out);
    }

    /// containerd's unit stops or starts. Returns the kubelet, which hears of it, if there is one.
    pub fn set_stopped(&mut self, stopped: bool) -> Option<Addr> {
        self.stopped = stopped;
        (self.kubelet != Addr::OUTSIDE).then_some(self.kubelet)
    }
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The containers that exist, for the page and `crictl`.
    pub fn containers(&self) -> impl Iterator<Item = (&Id, &Container)> {
        self.containers.iter().map(|(id, c)| (id, &**c))
    }
    pub fn sandboxes(&self) -> impl Iterator<Item = (&Id, &Sandbox)> {
        self.sandboxes.iter().map(|(id, s)| (id, &**s))
    }
    /// The processes of a container, for the page.
    pub fn machine(&self, container: &str) -> Option<&Machine> {
        self.machines.get(container).map(|m| &**m)
    }
    /// The processes of the node's own shell (or the laptop's).
    pub fn own_machine(&self) -> &Machine {
        &self.host
    }
    /// Gives a dual-stack node its second address.
    pub fn set_node_ip6(&mut self, ip: IpAddr) {
        self.network.node_ip6 = Some(ip);
    }
    pub fn network(&self) -> &Network {
        &self.network
    }
}

const NO_SOCKET: &str = "connection error: desc = \"transport: Error while dialing: dial unix /run/containerd/containerd.sock: \
     connect: connection refused\"";

/// What the kubelet does itself on a real node: volumes, files, probes over the network.
fn is_of_the_node(request: &cri::Request) -> bool {
    use cri::Request as R;
    matches!(
        request,
        R::Dial { .. } | R::WatchDirectory { .. } | R::SetupVolume { .. } | R::RemoveVolume { .. } | R::ReadLogs { .. }
    )
}

/// A gRPC error.
fn error(code: &str, message: impl Into<Text>) -> cri::Response {
    cri::Response::Error { code: code.into(), message: message.into() }
}
