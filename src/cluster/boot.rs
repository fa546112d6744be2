//! Switching a cluster on: which processes exist, and how components come to life.

use std::rc::Rc;

use apimachinery::{Credential, UserInfo};
use base::{Map, Set, Vector};
use client_go::ClientConfig;
use cri_api::host::{ComponentSpec, HostMessage};
use cri_api::packet::KernelUpdate;
use sim::{Addr, MsgId, Outbox, Payload, Queue};

use crate::cluster::{Cluster, Node, Observer};
use crate::config::{Config, NodeConfig};
use crate::kubeadm::{Kubeadm, STATIC_PODS, manifest};
use crate::process::Process;
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
            dark: Set::new(),
            links: Set::new(),
            laptop: Addr::OUTSIDE,
            apiserver: Addr::OUTSIDE,
            etcd: Addr::OUTSIDE,
            disks: Default::default(),
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
        let laptop = laptop::machine(&config);
        self.laptop = self.add_proc("laptop", "laptop", Process::Machine(laptop));
        self.ips.insert(laptop::IP.into(), self.laptop);
        self.tell_machine_of_apiserver(self.laptop);
        for node in &config.nodes {
            self.place_node(node);
        }
    }

    /// Adds a machine; it is off until [`Cluster::power_on`].
    pub(crate) fn place_node(&mut self, node: &NodeConfig) {
        let name = &node.name;
        let runtime = (!node.hollow).then(|| {
            let machine = container_runtime::Runtime::new(container_runtime::Config {
                node: name.clone(),
                node_ip: node.ip,
                seed: self.config.seed().derive("machine").derive(name),
                boot: self.config.epoch,
                cpus: (node.cpu_milli / 1000).max(1) as u32,
                memory: node.memory as u64,
                programs: images::programs(),
                images: images::images(),
                root: images::node_root(name),
                images_present: self.config.images_present,
            });
            let addr = self.add_proc(&format!("containerd/{name}"), name, Process::Machine(machine));
            self.tell_machine_of_apiserver(addr);
            self.ips.insert(node.ip, addr);
            addr
        });
        let kubelet = self.add_proc(&format!("kubelet/{name}"), name, Process::Stopped);
        let entry = Node { config: Rc::new(node.clone()), runtime, kubelet, powered: false };
        self.nodes.insert(name.clone(), entry);
        self.tell_apiserver_of_kubelet(name, kubelet);
    }

    fn tell_machine_of_apiserver(&mut self, machine: Addr) {
        let (apiserver, first) = (self.apiserver, self.control_plane());
        let ip = |machine: &str| self.config.nodes.iter().find(|n| *n.name == *machine).map(|n| n.ip);
        let mut etcd: Vec<(Addr, std::net::IpAddr)> = Vec::new();
        for machine in self.config.etcd_machines(&first) {
            let fallback = (machine == first).then_some(laptop::CONTROL_PLANE_IP.into());
            etcd.extend(self.addr(&format!("etcd/{machine}")).zip(ip(&machine).or(fallback)));
        }
        self.with_proc(machine, |p| {
            if let Process::Machine(m) = &mut p.process {
                m.set_apiserver(apiserver);
                etcd.iter().for_each(|(addr, ip)| m.set_etcd(*addr, *ip));
            }
        });
    }

    fn tell_apiserver_of_kubelet(&mut self, node: &str, kubelet: Addr) {
        self.with_proc(self.apiserver, |p| {
            if let Process::ApiServer(a) = &mut p.process {
                a.set_kubelet(node, Some(kubelet));
            }
        });
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
        let nodes: Vec<Rc<str>> = config.nodes.iter().map(|n| n.name.clone()).collect();
        for name in nodes {
            self.power_on(&name, observer);
        }
        if config.static_pods {
            let kubeadm = Kubeadm::new(self.apiserver, &config);
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
        let node = node.clone();
        let now = self.queue.now();
        if let Some(runtime) = node.runtime {
            self.dark.remove(&runtime);
            let config = self.config.clone();
            let first = self.control_plane();
            let has_etcd = config.etcd_machines(&first).iter().any(|m| **m == *name);
            self.with_proc(runtime, |p| {
                let Process::Machine(machine) = &mut p.process else { return };
                if node.config.control_plane && config.static_pods {
                    let here = |pod: &str| if pod == "etcd" { has_etcd } else { *first == *name };
                    for (pod, template) in STATIC_PODS.into_iter().filter(|(pod, _)| here(pod)) {
                        let path = format!("/etc/kubernetes/manifests/{pod}.yaml");
                        if !machine.has_host_file(&path) && !machine.has_host_file("/etc/kubernetes/.initialised") {
                            machine.write_host_file(now, &path, manifest(template, &node.config, &config).as_bytes(), 0o600);
                        }
                    }
                    machine.write_host_file(now, "/etc/kubernetes/.initialised", b"", 0o600);
                }
            });
            self.start_at(runtime, observer);
            if !self.config.addons {
                // No add-on brings a network: a bridge plugin with a range of its own was configured by hand.
                let range = self.bridge_range(name);
                let update = Payload::Kernel(Rc::new(KernelUpdate::PodCidrs(vec![range])));
                self.queue.inject(Addr::OUTSIDE, runtime, update, |m, at| observer.sent(m, at));
            }
        }
        self.start_kubelet(name, observer);
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

    /// (Re)starts a node's kubelet, as systemd does.
    /// Ends a node's kubelet, as `systemctl stop kubelet` does: its containers run on.
    pub fn stop_kubelet(&mut self, name: &str, observer: &mut impl Observer) {
        if let Some(kubelet) = self.nodes.get(name).map(|n| n.kubelet) {
            self.stop_process(kubelet, observer);
        }
    }

    /// Starts a node's kubelet, with an empty memory.
    pub fn start_kubelet(&mut self, name: &str, observer: &mut impl Observer) {
        let Some(node) = self.nodes.get(name).cloned() else { return };
        let kubelet = self.make_kubelet(&node);
        self.with_proc(node.kubelet, |p| p.process = Process::Kubelet(kubelet));
        self.dark.remove(&node.kubelet);
        self.start_at(node.kubelet, observer);
    }

    fn make_kubelet(&self, node: &Node) -> kubelet::Kubelet {
        let name = &node.config.name;
        let user = UserInfo::new(&format!("system:node:{name}"), &["system:nodes"]);
        let client = ClientConfig {
            apiserver: self.apiserver,
            credential: Credential::Certificate(Rc::new(user)),
            user_agent: "kubelet/v1.37.2 (linux/amd64) kubernetes".into(),
            qps: 50,
            burst: 100,
        };
        let mut config = kubelet::Config::new(name, node.config.ip, client, self.config.seed().derive("kubelet").derive(name));
        config.cpu_milli = node.config.cpu_milli;
        config.memory_bytes = node.config.memory;
        config.max_pods = node.config.pods;
        config.labels = node.config.labels.clone();
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
        let _ = observer;
        let on_it: Vec<Addr> = self.procs().filter(|(_, p)| &*p.machine == name).map(|(a, _)| a).collect();
        for addr in on_it {
            self.keep_data_dir(addr);
            let keeps = self.proc(addr).is_some_and(|p| matches!(p.process, Process::Machine(_)));
            if !keeps {
                self.with_proc(addr, |p| p.process = Process::Stopped);
            }
            self.queue.forget(addr);
            self.dark.insert(addr);
        }
        self.components = self.components.iter().filter(|(_, a)| !self.dark.contains(*a)).map(|(c, a)| (c.clone(), *a)).collect();
    }

    /// Starts a component that runs bare (again): as systemd or a person would.
    pub(crate) fn restart_bare(&mut self, addr: Addr, observer: &mut impl Observer) {
        let Some(proc) = self.proc(addr) else { return };
        let (component, machine) = (proc.component().to_string(), proc.machine.clone());
        if component == "kubelet" {
            return self.start_kubelet(&machine, observer);
        }
        if let Some(process) = self.make_component(&component, &machine, addr, None) {
            self.with_proc(addr, |p| p.process = process);
        }
        self.dark.remove(&addr);
        self.start_at(addr, observer);
    }

    /// A container of a component's image was started: makes the process.
    pub(crate) fn start_component(&mut self, runtime: Addr, handling: MsgId, spec: &ComponentSpec, observer: &mut impl Observer) {
        if let Some(runtime) = node.runtime {
            let notice = kubelet.memory_notice();
            self.with_proc(runtime, |p| {
                if let Process::Machine(machine) = &mut p.process {
                    machine.notify_memory(notice);
                }
            });
        }
        let Some(machine) = self.proc(runtime).map(|p| p.machine.clone()) else { return };
        let name = match &*spec.program {
            "coredns" => format!("coredns/{}", spec.pod_name),
            program => format!("{program}/{machine}"),
        };
        let addr = self.addr(&name).unwrap_or_else(|| self.add_proc(&name, &machine, Process::Stopped));
        self.with_proc(addr, |p| (p.machine, p.container) = (machine.clone(), Some(spec.container.clone())));
        let made = match &*spec.program {
            "etcd" => self.make_etcd(&machine, addr, Some(spec)).map(Process::Etcd).map_err(|e| {
                self.log_fatal(addr, &e, observer);
                1
            }),
            program => self.make_component(program, &machine, addr, Some(spec)).ok_or(127),
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
    }

    fn make_component(&mut self, program: &str, machine: &str, addr: Addr, spec: Option<&ComponentSpec>) -> Option<Process> {
        let config = self.config.clone();
        let seed = config.seed().derive(machine);
        let client = |user: &str, qps, burst| {
            let credential = match spec.and_then(|s| s.token.clone()) {
                Some(token) => Credential::Bearer(token),
                None => Credential::Certificate(Rc::new(UserInfo::new(user, &[]))),
            };
            let user_agent = format!("{program}/v1.37.2 (linux/amd64) kubernetes").into();
            ClientConfig { apiserver: self.apiserver, credential, user_agent, qps, burst }
        };
        let runtime = self.nodes.get(machine).and_then(|n| n.runtime).unwrap_or_default();
        Some(match program {
            "etcd" => return self.make_etcd(machine, addr, spec).ok().map(Process::Etcd),
            "kube-apiserver" => {
                let mut c = kube_apiserver::Config::new(addr, self.etcd, config.seed(), config.epoch);
                c.etcd_servers = self.etcd_addrs();
                c.service_cidr = config.service_cidr.clone();
                c.hostname = machine.into();
                c.ca_pem = laptop::CA_PEM.into();
                if let Some(node) = self.nodes.get(machine) {
                    c.advertise_address = node.config.ip.to_string().into();
                }
                let mut server = kube_apiserver::ApiServer::new(c);
                for (name, node) in &self.nodes {
                    server.set_kubelet(name, Some(node.kubelet));
                }
                Process::ApiServer(server)
            }
            "kube-controller-manager" => {
                let mut c = kube_controller_manager::Config::new(self.apiserver, machine);
                c.cluster_cidr = config.pod_cidr.clone();
                c.node_cidr_mask_size = config.node_cidr_mask as u8;
                c.service_cluster_ip_range = config.service_cidr.clone();
                (c.kube_api_qps, c.kube_api_burst) = (config.kube_api_qps, config.kube_api_burst);
                c.root_ca = laptop::CA_PEM.into();
                // kubeadm's sa.key, which kube-apiserver has too.
                c.service_account_key = kube_apiserver::Config::new(self.apiserver, self.etcd, config.seed(), config.epoch).seed;
                Process::ControllerManager(kube_controller_manager::KubeControllerManager::new(c, seed))
            }
            "kube-scheduler" => {
                let (qps, burst) = if config.kube_api_qps == 0 { (0, 0) } else { (50, 100) };
                let client = client("system:kube-scheduler", qps, burst);
                let c = kube_scheduler::Config { client, hostname: machine.into(), leader_elect: true, seed };
                let scheduler = kube_scheduler::Scheduler::new(c);
                Process::Scheduler(if config.core_scheduler_events { scheduler.with_core_events() } else { scheduler })
            }
            "kube-proxy" => {
                Process::KubeProxy(kube_proxy::KubeProxy::new(machine, runtime, client("system:kube-proxy", 50, 100), seed))
            }
            "flanneld" => Process::Cni(cni::Agent::new(machine, runtime, client("flannel", 50, 100), seed)),
            "coredns" => Process::CoreDns(coredns::CoreDns::new(client("coredns", 50, 100), seed)),
            _ => return None,
        })
    }
}
