//! Switching a cluster on: which processes exist, and how components come to life.

use std::rc::Rc;

use apimachinery::{Credential, UserInfo};
use base::{Map, Set, Vector};
use client_go::ClientConfig;
use cri_api::host::{ComponentSpec, HostMessage};
use cri_api::packet::KernelUpdate;
use sim::{Addr, MsgId, Outbox, Payload, Queue};

use crate::cluster::{Cluster, Node, Observer};
use crate::config::{Config, NodeConfig, node};
use crate::kubeadm::Kubeadm;
use crate::process::{Proc, Process};
use crate::{images, laptop};

/// Control-plane components that run bare, without a kubelet, as `recorded` and `wire` have them.
const BARE: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

impl Cluster {
    /// A cluster whose machines are switched on at the configuration's epoch; nothing has happened yet.
    pub fn new(config: Config) -> Cluster {
        let config = Rc::new(config);
        let mut cluster = Cluster {
            queue: Queue::new(config.seed(), config.epoch),
            procs: Vector::new(),
            by_name: Map::new(),
            components: Map::new(),
            nodes: Map::new(),
            ips: Map::new(),
            units: Map::new(),
            dark: Set::new(),
            links: Set::new(),
            laptop: Addr::OUTSIDE,
            apiserver: Addr::OUTSIDE,
            endpoint: Addr::OUTSIDE,
            etcd: Addr::OUTSIDE,
            joined: Vector::new(),
            disks: Default::default(),
            connections: Default::default(),
            events: 0,
            to_page: Vec::new(),
            config,
        };
        cluster.place();
        cluster.switch_on(&mut ());
        cluster
    }

    /// The machine that the control plane runs on.
    pub(crate) fn control_plane(&self) -> Rc<str> {
        let node =
            self.config.nodes.iter().find(|n| n.control_plane).or(self.config.nodes.first().filter(|_| self.config.static_pods));
        node.map_or_else(|| "control-plane".into(), |n| n.name.clone())
    }

    /// Gives every process its address: known before anything runs, as names in configuration files are.
    fn place(&mut self) {
        let config = self.config.clone();
        let cp = self.control_plane();
        self.etcd = self.add_proc(&format!("etcd/{cp}"), &cp, Process::Stopped);
        self.apiserver = self.add_proc(&format!("kube-apiserver/{cp}"), &cp, Process::Stopped);
        if config.controllers {
            self.add_proc(&format!("kube-controller-manager/{cp}"), &cp, Process::Stopped);
            self.add_proc(&format!("kube-scheduler/{cp}"), &cp, Process::Stopped);
        }
        for machine in config.etcd_machines(&cp).iter().skip(1) {
            self.add_proc(&format!("etcd/{machine}"), machine, Process::Stopped);
        }
        self.endpoint = self.apiserver;
        if config.has_balancer() {
            self.place_control_planes();
        }
        if config.cloud.is_some() {
            self.ensure_cloud();
        }
        let mut laptop = laptop::machine(&config);
        let second = config.second_address(laptop::IP.into());
        second.into_iter().for_each(|ip| laptop.set_node_ip6(ip));
        self.laptop = self.add_proc("laptop", "laptop", Process::Machine(laptop));
        self.ips.insert(laptop::IP.into(), self.laptop);
        if let Some(ip) = second {
            self.ips.insert(ip, self.laptop);
        }
        self.tell_machine_of_apiserver(self.laptop);
        for node in &config.nodes {
            self.place_node(node);
        }
    }

    /// The other control planes, and the load balancer in front of all.
    fn place_control_planes(&mut self) {
        let config = self.config.clone();
        let others = config.nodes.iter().filter(|n| n.control_plane).take(config.control_planes as usize).skip(1);
        for node in others {
            for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
                self.add_proc(&format!("{component}/{}", node.name), &node.name, Process::Stopped);
            }
        }
        let balancer = Process::Balancer(crate::balancer::Balancer::new(&self.apiservers()));
        self.endpoint = self.add_proc("load-balancer", "load-balancer", balancer);
        self.ips.insert(crate::balancer::IP.into(), self.endpoint);
    }

    /// The kube-apiservers' processes, in the order of their machines.
    pub fn apiservers(&self) -> Vec<Addr> {
        if self.config.control_planes <= 1 {
            return std::iter::once(self.apiserver).chain(self.joined.iter().copied()).collect();
        }
        let leads = self.config.nodes.iter().filter(|n| n.control_plane).take(self.config.control_planes as usize);
        let first = leads.filter_map(|n| self.addr(&format!("kube-apiserver/{}", n.name)));
        first.chain(self.joined.iter().copied()).collect()
    }

    /// Adds a machine; it is off until [`Cluster::power_on`].
    pub(crate) fn place_node(&mut self, node: &NodeConfig) {
        let name = &node.name;
        let runtime = (!node.hollow).then(|| {
            let mut machine = container_runtime::Runtime::new(container_runtime::Config {
                node: name.clone(),
                node_ip: node.ip,
                seed: self.config.seed().derive("machine").derive(name),
                boot: self.config.epoch,
                cpus: (node.cpu_milli / 1000).max(1) as u32,
                memory: node.memory as u64,
                disk: node.disk as u64,
                programs: images::programs(),
                images: images::images(),
                root: images::node_root(name),
                images_present: self.config.images_present,
            });
            let second = self.config.second_address(node.ip);
            second.into_iter().for_each(|ip| machine.set_node_ip6(ip));
            let addr = self.add_proc(&format!("containerd/{name}"), name, Process::Machine(machine));
            if let Some(ip) = second {
                self.ips.insert(ip, addr);
            }
            self.tell_machine_of_apiserver(addr);
            self.ips.insert(node.ip, addr);
            addr
        });
        let kubelet = self.add_proc(&format!("kubelet/{name}"), name, Process::Stopped);
        let installed = node.blank || node.hollow;
        let entry = Node { config: Rc::new(node.clone()), runtime, kubelet, powered: false, installed };
        self.nodes.insert(name.clone(), entry);
        self.tell_apiserver_of_kubelet(name, kubelet);
        self.tell_cloud(name);
    }

    /// One more machine with the next free `node-N` as its name, switched on. A blank one belongs to no cluster yet.
    pub(crate) fn add_machine(&mut self, blank: bool, observer: &mut impl Observer) -> Rc<str> {
        let taken = |n: &u32| self.nodes.contains_key(&*format!("node-{n}"));
        let n = (1..).find(|n| !taken(n)).expect("there are more numbers than nodes");
        let name: Rc<str> = format!("node-{n}").into();
        let place = (self.nodes.len() as u32..).find(|n| !self.ips.contains_key(&node(*n, "", false).ip)).unwrap_or(n);
        let config = NodeConfig { blank, ..node(place, &name, false) };
        self.place_node(&config);
        self.name_on_laptop(&config);
        self.power_on(&name, observer);
        name
    }

    /// The laptop's `/etc/hosts` knows the machine.
    fn name_on_laptop(&mut self, node: &NodeConfig) {
        let now = self.now();
        self.with_proc(self.laptop, |p| {
            let Process::Machine(laptop) = &mut p.process else { return };
            let hosts = laptop.read_host_file("/etc/hosts").map(|h| String::from_utf8_lossy(&h).into_owned()).unwrap_or_default();
            let others = hosts.lines().filter(|l| l.split_whitespace().nth(1) != Some(&*node.name));
            let mut text: String = others.map(|l| format!("{l}\n")).collect();
            text += &format!("{}\t{}\n", node.ip, node.name);
            laptop.put_host_file(now, "/etc/hosts", text.as_bytes(), 0o644);
        });
    }

    fn tell_machine_of_apiserver(&mut self, machine: Addr) {
        let (apiserver, first) = (self.endpoint, self.control_plane());
        let configured = |machine: &str| self.config.nodes.iter().find(|n| *n.name == *machine).map(|n| n.ip);
        let ip = |machine: &str| self.nodes.get(machine).map(|n| n.config.ip).or_else(|| configured(machine));
        let mut etcd: Vec<(Addr, std::net::IpAddr)> = Vec::new();
        for machine in self.config.etcd_machines(&first) {
            let fallback = (machine == first).then_some(laptop::CONTROL_PLANE_IP.into());
            etcd.extend(self.addr(&format!("etcd/{machine}")).zip(ip(&machine).or(fallback)));
        }
        for addr in &self.joined {
            let Some(machine) = self.proc(*addr).map(|p| p.machine.clone()) else { continue };
            etcd.extend(self.addr(&format!("etcd/{machine}")).zip(ip(&machine)));
        }
        let several: Vec<(Addr, std::net::IpAddr)> = match self.config.has_balancer() {
            false => Vec::new(),
            true => self.apiservers().into_iter().filter_map(|a| Some((a, ip(&self.proc(a)?.machine)?))).collect(),
        };
        self.with_proc(machine, |p| {
            if let Process::Machine(m) = &mut p.process {
                several.iter().for_each(|(addr, ip)| m.set_apiserver_at(*addr, *ip));
                m.set_apiserver(apiserver);
                etcd.iter().for_each(|(addr, ip)| m.set_etcd(*addr, *ip));
            }
        });
    }

    fn tell_apiserver_of_kubelet(&mut self, node: &str, kubelet: Addr) {
        for addr in self.apiservers() {
            self.with_proc(addr, |p| {
                if let Process::ApiServer(a) = &mut p.process {
                    a.set_kubelet(node, Some(kubelet));
                }
            });
        }
    }

    fn switch_on(&mut self, observer: &mut impl Observer) {
        let config = self.config.clone();
        if !config.static_pods {
            for machine in config.etcd_machines(&self.control_plane()).iter().skip(1) {
                if let Some(addr) = self.addr(&format!("etcd/{machine}")) {
                    self.restart_bare(addr, observer);
                }
            }
            for name in BARE {
                if let Some(addr) = self.addr(&format!("{name}/{}", self.control_plane())) {
                    self.restart_bare(addr, observer);
                }
            }
        }
        self.start_at(self.laptop, observer);
        if config.has_balancer() {
            self.start_at(self.endpoint, observer);
        }
        let off = |name: &Rc<str>| config.backup.as_ref().is_some_and(|b| b.off.contains(name));
        let nodes: Vec<Rc<str>> = config.nodes.iter().map(|n| n.name.clone()).filter(|n| !off(n)).collect();
        for name in nodes {
            self.power_on(&name, observer);
        }
        if config.static_pods {
            let kubeadm = Kubeadm::new(self.endpoint, &config);
            let cp = self.control_plane();
            let addr = self.add_proc(&format!("kubeadm/{cp}"), &cp, Process::Kubeadm(kubeadm));
            self.start_at(addr, observer);
        }
    }

    fn start_at(&mut self, addr: Addr, observer: &mut impl Observer) {
        self.queue.inject(Addr::OUTSIDE, addr, Payload::Start, |m, at| observer.sent(m, at));
    }

    /// Switches a machine on: its disk is as it was, systemd starts containerd and the kubelet.
    pub fn power_on(&mut self, name: &str, observer: &mut impl Observer) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        if std::mem::replace(&mut node.powered, true) {
            return;
        }
        let installed = std::mem::replace(&mut node.installed, true);
        let node = node.clone();
        self.tell_cloud(name);
        let now = self.queue.now();
        if let Some(runtime) = node.runtime {
            self.dark.remove(&runtime);
            let config = self.config.clone();
            let first = self.control_plane();
            let has_etcd = config.etcd_machines(&first).iter().any(|m| **m == *name);
            let leads = node.config.control_plane && config.static_pods;
            let files = match installed {
                true => Vec::new(),
                false => config.first_files(
                    &node.config,
                    leads && has_etcd,
                    leads && (*first == *name || (config.control_planes > 1 && has_etcd)),
                ),
            };
            self.with_proc(runtime, |p| {
                let Process::Machine(machine) = &mut p.process else { return };
                for (path, text, mode) in &files {
                    machine.write_host_file(now, path, text.as_bytes(), *mode);
                }
            });
            self.start_at(runtime, observer);
            if !self.config.addons && self.config.cni.is_some() {
                // No add-on brings a network: a bridge plugin with a range of its own was configured by hand.
                let range = self.bridge_range(name);
                let update = Payload::Kernel(Rc::new(KernelUpdate::PodCidrs { plugin: "bridge".into(), ranges: vec![range] }));
                self.queue.inject(Addr::OUTSIDE, runtime, update, |m, at| observer.sent(m, at));
            }
        }
        let starts = node.runtime.is_none() || self.boot_units(name);
        if starts {
            self.start_kubelet(name, observer);
        }
        if self.config.kube_proxy && !self.config.addons && node.runtime.is_some() {
            let proxy = self.add_proc(&format!("kube-proxy/{name}"), name, Process::Stopped);
            self.restart_bare(proxy, observer);
        }
    }

    /// The range of a node whose CNI plugin is host-local: that of its place among the nodes.
    fn bridge_range(&self, name: &str) -> Rc<str> {
        let n = self.config.nodes.iter().position(|n| &*n.name == name).unwrap_or(self.config.nodes.len()) as u32;
        let (base, _) = self.config.pod_cidr.split_once('/').unwrap_or(("10.244.0.0", ""));
        let base: std::net::Ipv4Addr = base.parse().unwrap_or(std::net::Ipv4Addr::new(10, 244, 0, 0));
        let mask = self.config.node_cidr_mask;
        let first = std::net::Ipv4Addr::from(u32::from(base) + (n << (32 - mask)));
        format!("{first}/{mask}").into()
    }

    /// Ends a node's kubelet, as `systemctl stop kubelet` does: its containers run on.
    pub fn stop_kubelet(&mut self, name: &str, observer: &mut impl Observer) {
        let Some(node) = self.nodes.get(name).cloned() else { return };
        if self.proc(node.kubelet).is_some_and(Proc::is_running) {
            self.stop_process(node.kubelet, observer);
        }
        if node.runtime.is_some() {
            self.kubelet_unit_stopped(name);
        }
    }

    /// Starts a node's kubelet, with an empty memory, as systemd does.
    pub fn start_kubelet(&mut self, name: &str, observer: &mut impl Observer) {
        let Some(node) = self.nodes.get(name).cloned() else { return };
        self.keep_journal(node.kubelet);
        if node.runtime.is_some() && !self.kubelet_unit_started(name) {
            return;
        }
        self.place_apiserver_of(name);
        let kubelet = self.make_kubelet(&node);
        if let Some(runtime) = node.runtime {
            let (memory, (disk, processes)) = (kubelet.memory_notice(), kubelet.usage_notice());
            self.with_proc(runtime, |p| {
                if let Process::Machine(machine) = &mut p.process {
                    machine.notify_memory(memory);
                    machine.notify_usage(disk, processes);
                }
            });
        }
        self.with_proc(node.kubelet, |p| p.process = Process::Kubelet(kubelet));
        self.dark.remove(&node.kubelet);
        self.start_at(node.kubelet, observer);
    }

    fn make_kubelet(&self, node: &Node) -> kubelet::Kubelet {
        let name = &node.config.name;
        let user = UserInfo::new(&format!("system:node:{name}"), &["system:nodes"]);
        let client = ClientConfig {
            apiserver: self.endpoint,
            credential: Credential::Certificate(Rc::new(user)),
            user_agent: "kubelet/v1.37.2 (linux/amd64) kubernetes".into(),
            qps: 50,
            burst: 100,
        };
        let mut config = kubelet::Config::new(name, node.config.ip, client, self.config.seed().derive("kubelet").derive(name));
        config.node_ip6 = self.config.second_address(node.config.ip);
        config.cpu_milli = node.config.cpu_milli;
        config.memory_bytes = node.config.memory;
        config.disk_bytes = node.config.disk;
        config.max_pods = node.config.pods;
        config.labels = node.config.labels.clone();
        self.configure_kubelet(&mut config);
        match node.runtime {
            Some(runtime) => config.runtime = Some(runtime),
            None => config.runtime = None,
        }
        kubelet::Kubelet::new(config)
    }

    /// Pulls the plug: everything on the machine stops at once and nobody is told.
    pub fn power_off(&mut self, name: &str, observer: &mut impl Observer) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        if !std::mem::replace(&mut node.powered, false) {
            return;
        }
        let node = node.clone();
        self.tell_cloud(name);
        if node.runtime.is_some() {
            self.lose_units(name);
        }
        let on_it: Vec<Addr> = self.procs().filter(|(_, p)| &*p.machine == name).map(|(a, _)| a).collect();
        for addr in on_it {
            self.keep_data_dir(addr);
            self.keep_journal(addr);
            let keeps = self.proc(addr).is_some_and(|p| matches!(p.process, Process::Machine(_)));
            if !keeps {
                self.with_proc(addr, |p| p.process = Process::Stopped);
            }
            self.queue.forget(addr);
            self.connections.forget(addr);
            self.dark.insert(addr);
        }
        self.components = self.components.iter().filter(|(_, a)| !self.dark.contains(*a)).map(|(c, a)| (c.clone(), *a)).collect();
        self.disconnect(observer);
    }

    /// Starts a component that runs bare (again): as systemd or a person would.
    pub(crate) fn restart_bare(&mut self, addr: Addr, observer: &mut impl Observer) {
        let Some(proc) = self.proc(addr) else { return };
        let (component, machine) = (proc.component().to_string(), proc.machine.clone());
        if component == "kubelet" {
            self.kubelet_unit_killed(&machine);
            return self.start_kubelet(&machine, observer);
        }
        if let Ok(process) = self.make_component(&component, &machine, addr, None, observer) {
            self.with_proc(addr, |p| p.process = process);
        }
        self.dark.remove(&addr);
        self.start_at(addr, observer);
    }

    /// A container of a component's image was started: makes the process.
    pub(crate) fn start_component(&mut self, runtime: Addr, handling: MsgId, spec: &ComponentSpec, observer: &mut impl Observer) {
        let Some(machine) = self.proc(runtime).map(|p| p.machine.clone()) else { return };
        let name = match &*spec.program {
            "coredns" => format!("coredns/{}", spec.pod_name),
            program => format!("{program}/{machine}"),
        };
        let addr = self.addr(&name).unwrap_or_else(|| self.add_proc(&name, &machine, Process::Stopped));
        self.with_proc(addr, |p| (p.machine, p.container) = (machine.clone(), Some(spec.container.clone())));
        self.note_control_plane(&spec.program, &machine, addr, observer);
        let made = match &*spec.program {
            "etcd" => self.make_etcd(&machine, addr, Some(spec)).map(Process::Etcd).map_err(|e| {
                self.log_fatal(addr, &e, observer);
                1
            }),
            program => self.make_component(program, &machine, addr, Some(spec), observer),
        };
        let process = match made {
            Ok(process) => process,
            Err(code) => {
                let exited = HostMessage::ComponentExited { container: spec.container.clone(), code };
                self.queue.inject(addr, runtime, Payload::Host(Rc::new(exited)), |m, at| observer.sent(m, at));
                return;
            }
        };
        self.with_proc(addr, |p| p.process = process);
        self.dark.remove(&addr);
        self.components.insert(spec.container.clone(), addr);
        let started = HostMessage::ComponentStarted { container: spec.container.clone(), addr: addr.0 };
        let mut out = Outbox::new(runtime, handling, self.queue.now());
        out.send(addr, Payload::Start);
        self.queue.dispatch(out, |m, at| observer.sent(m, at));
        let mut out = Outbox::new(addr, handling, self.queue.now());
        out.send(runtime, Payload::Host(Rc::new(started)));
        self.queue.dispatch(out, |m, at| observer.sent(m, at));
        self.log_start(addr, spec, observer);
    }
}
