//! The cluster: processes, the messages under way between them, and the world around them (the nodes' network, the page).
//!
//! `Cluster` is a value: a clone costs a few reference counts and goes on exactly as the original does with the same inputs.

use std::net::IpAddr;
use std::ops::Bound;
use std::rc::Rc;

use apimachinery::{Response, ResponseBody, Verb};
use base::{Digest, Map, Set, Sort, Time, Vector};
use cri_api::host::HostMessage;
use cri_api::packet::{Packet, PacketBody};
use sim::{Addr, Delivery, Message, MsgId, Outbox, Outgoing, Payload, Queue, transport_error};

use crate::config::Config;
use crate::logs::Standing;
use crate::process::{Proc, Process};

type Text = Rc<str>;

/// A machine and the processes that belong to it.
#[derive(Clone, Debug)]
pub struct Node {
    pub config: Rc<crate::config::NodeConfig>,
    /// Its machine (runtime, kernel, shell); `None` for hollow nodes.
    pub runtime: Option<Addr>,
    pub kubelet: Addr,
    pub powered: bool,
    /// Its disk has what the configuration puts there (or it is a blank machine).
    pub(crate) installed: bool,
}

/// Who is told of each message that sets out. The trace is one; tests and benches count.
pub trait Observer {
    fn sent(&mut self, message: &Message, arrives: Time);
}

impl Observer for () {
    fn sent(&mut self, _: &Message, _: Time) {}
}

impl Observer for crate::trace::Trace {
    fn sent(&mut self, message: &Message, arrives: Time) {
        self.record(message, arrives);
    }
}

/// A whole cluster with the user's laptop.
#[derive(Clone)]
pub struct Cluster {
    pub config: Rc<Config>,
    pub queue: Queue,
    pub(crate) procs: Vector<Rc<Proc>>,
    pub(crate) by_name: Map<Text, Addr>,
    /// Container → its component.
    pub(crate) components: Map<Text, Addr>,
    pub nodes: Map<Text, Node>,
    /// Who has an address on the nodes' network.
    pub(crate) ips: Map<IpAddr, Addr>,
    /// What systemd knows on each machine.
    pub(crate) units: Map<Text, crate::systemd::Units>,
    /// Machines without power: nothing reaches them, nothing is said.
    pub(crate) dark: Set<Addr>,
    /// Open watches: (server, client). Both ends hear when the other is gone.
    pub(crate) links: Set<(Addr, Addr)>,
    pub laptop: Addr,
    /// The first kube-apiserver.
    pub apiserver: Addr,
    /// What kubeconfigs lead to: the kube-apiserver, or the load balancer in front of several.
    pub endpoint: Addr,
    pub etcd: Addr,
    /// kube-apiservers on machines that have joined the control plane later, in this order.
    pub(crate) joined: Vector<Addr>,
    pub(crate) disks: crate::etcd::Disks,
    pub(crate) connections: crate::connections::Connections,
    /// Deliveries handled since the beginning: inputs are logged at a count.
    pub events: u64,
    /// What is for the page, until it is taken.
    pub(crate) to_page: Vec<HostMessage>,
}

impl Cluster {
    /// A process by name.
    pub fn addr(&self, name: &str) -> Option<Addr> {
        self.by_name.get(name).copied()
    }
    pub fn proc(&self, addr: Addr) -> Option<&Proc> {
        self.procs.get((addr.0 as usize).checked_sub(1)?).map(|p| &**p)
    }
    /// The name of a process; `you` for the outside.
    pub fn name(&self, addr: Addr) -> Text {
        self.proc(addr).map_or_else(|| "outside".into(), |p| p.name.clone())
    }
    pub fn procs(&self) -> impl Iterator<Item = (Addr, &Proc)> {
        self.procs.iter().enumerate().map(|(i, p)| (Addr(i as u32 + 1), &**p))
    }
    /// The processes of a component (`kubelet`: those of all machines), in the order in which they were added. What it costs grows
    /// with their number and not with that of all processes.
    pub fn of_component<'a>(&'a self, component: &str) -> impl Iterator<Item = (Addr, &'a Proc)> + use<'a> {
        let placed = format!("{component}/");
        let first = self.by_name.get(component).copied();
        let from_there = self.by_name.range::<_, str>((Bound::Included(&*placed), Bound::Unbounded));
        let others = from_there.take_while(|(name, _)| name.starts_with(&placed)).map(|(_, addr)| *addr);
        let mut addrs: Vec<Addr> = first.into_iter().chain(others).collect();
        addrs.order_by_key(|addr| *addr);
        addrs.into_iter().filter_map(|addr| Some((addr, self.proc(addr)?)))
    }
    pub fn now(&self) -> Time {
        self.queue.now()
    }

    pub(crate) fn add_proc(&mut self, name: &str, machine: &str, process: Process) -> Addr {
        if let Some(addr) = self.by_name.get(name).copied() {
            self.with_proc(addr, |p| p.process = process);
            return addr;
        }
        let proc = Proc { name: name.into(), machine: machine.into(), container: None, process };
        self.procs.push_back(Rc::new(proc));
        let addr = Addr(self.procs.len() as u32);
        self.by_name.insert(name.into(), addr);
        addr
    }

    pub(crate) fn with_proc(&mut self, addr: Addr, change: impl FnOnce(&mut Proc)) {
        if let Some(proc) = (addr.0 as usize).checked_sub(1).and_then(|i| self.procs.get_mut(i)) {
            change(Rc::make_mut(proc));
        }
    }

    /// Handles the next message under way. `None`: nothing is under way (which can't last: there are always timers).
    pub fn step(&mut self, observer: &mut impl Observer) -> Option<Delivery> {
        let delivery = self.queue.pop()?;
        self.events += 1;
        self.deliver(delivery.message.clone(), observer);
        Some(delivery)
    }

    /// Runs until `time`; then the clock stands there. Returns the number of messages handled.
    pub fn run_until(&mut self, time: Time, observer: &mut impl Observer) -> u64 {
        let before = self.events;
        while self.queue.peek().is_some_and(|at| at <= time) {
            self.step(observer);
        }
        self.queue.advance_to(time);
        self.events - before
    }

    fn deliver(&mut self, message: Message, observer: &mut impl Observer) {
        let now = self.queue.now();
        let (to, from) = (message.to, message.from);
        if self.dark.contains(&to) {
            return;
        }
        self.freed(&message, observer);
        if let Payload::ApiRequest { id, request } = &message.payload {
            if !self.proc(to).is_some_and(Proc::is_running) {
                return self.refuse_connection(&message, *id, observer);
            }
            if request.verb == Verb::Watch {
                self.links.insert((to, from));
            }
            if &*request.path == "/metrics"
                && let Some(text) = self.proc(to).and_then(|p| crate::metrics::document(&p.process))
            {
                return self.answer_for(&message, *id, &text, observer);
            }
            if !request.path.is_empty() && !request.path.starts_with("/v3/") && self.answers_health(to) {
                return self.answer_health(&message, *id, observer);
            }
        }
        if let Payload::Etcd(etcd_api::Message::Request { request, .. }) = &message.payload
            && matches!(**request, etcd_api::Request::Watch(_))
        {
            self.links.insert((to, from));
        }
        let mut out = Outbox::new(to, message.id, now);
        let mut ended = false;
        let mut turned = None;
        if let Some(proc) = (to.0 as usize).checked_sub(1).and_then(|i| self.procs.get_mut(i)) {
            let proc = Rc::make_mut(proc);
            let before = Standing::of(&proc.process);
            proc.process.handle(now, message, &mut out);
            ended = proc.process.has_ended();
            turned = (Standing::of(&proc.process) != before).then_some(before);
        }
        self.dispatch(out, observer);
        if let Some(before) = turned {
            self.log_turn(to, before, observer);
        }
        if ended {
            self.component_ended(to, observer);
        }
    }

    /// Sends what a handler left, carrying out what is meant for the world.
    fn dispatch(&mut self, mut out: Outbox, observer: &mut impl Observer) {
        let (me, handling, now) = (out.me, out.handling, out.now);
        let world = |o: &Outgoing| o.to == Addr::OUTSIDE;
        let outgoing = out.take();
        if !outgoing.iter().any(world) {
            out.put_back(outgoing);
            self.send(out, observer);
            return;
        }
        for o in outgoing {
            if !world(&o) {
                out.put_back(vec![o]);
                continue;
            }
            match o.payload {
                Payload::Packet(packet) => self.switch(me, packet, o.cause, &mut out),
                Payload::Host(message) => {
                    // What was said before goes first.
                    let said = std::mem::replace(&mut out, Outbox::new(me, handling, now));
                    self.send(said, observer);
                    self.world(me, handling, &message, observer);
                }
                _ => {}
            }
        }
        self.send(out, observer);
    }

    pub(crate) fn send(&mut self, mut out: Outbox, observer: &mut impl Observer) {
        if !self.dark.is_empty() {
            let me = out.me;
            let kept = out.take().into_iter().filter(|o| o.to == me || !self.dark.contains(&o.to)).collect();
            out.put_back(kept);
        }
        self.bound(&mut out);
        self.queue.dispatch(out, |message, at| observer.sent(message, at));
    }

    /// The nodes' network: hands a packet to the machine that has the next hop's address.
    fn switch(&self, me: Addr, packet: Rc<Packet>, cause: Option<MsgId>, out: &mut Outbox) {
        let to = self.ips.get(&packet.next_hop).copied();
        let outgoing = match to {
            Some(to) => Outgoing { to, payload: Payload::Packet(packet), delay: base::Duration::ZERO, cause },
            None if matches!(packet.body, PacketBody::Reset(_)) => return,
            None => {
                let back = Packet {
                    src: packet.dst,
                    dst: packet.src,
                    body: PacketBody::Reset(cri_api::Errno::EHOSTUNREACH),
                    next_hop: packet.src.0,
                    hops: packet.hops.clone(),
                };
                Outgoing { to: me, payload: Payload::Packet(Rc::new(back)), delay: base::Duration::from_secs(3), cause }
            }
        };
        out.put_back(vec![outgoing]);
    }

    fn world(&mut self, from: Addr, handling: MsgId, message: &HostMessage, observer: &mut impl Observer) {
        match message {
            HostMessage::StartComponent(spec) => self.start_component(from, handling, spec, observer),
            HostMessage::StopComponent { container } => {
                if let Some(addr) = self.components.remove(container) {
                    self.stop_process(addr, observer);
                }
            }
            HostMessage::Call { call, request } => self.world_call(from, handling, *call, request, observer),
            other => self.to_page.push(other.clone()),
        }
    }

    /// Ends a process: its memory is gone (etcd's data directory is not), and who talked to it hears of it.
    pub(crate) fn stop_process(&mut self, addr: Addr, observer: &mut impl Observer) {
        self.keep_data_dir(addr);
        self.keep_journal(addr);
        self.with_proc(addr, |p| p.process = Process::Stopped);
        self.queue.forget(addr);
        self.connections.forget(addr);
        let peers: Vec<Addr> =
            self.links.iter().filter(|(s, c)| *s == addr || *c == addr).map(|(s, c)| if *s == addr { *c } else { *s }).collect();
        self.links = self.links.iter().filter(|(s, c)| *s != addr && *c != addr).copied().collect();
        for peer in peers {
            self.queue.inject(addr, peer, Payload::PeerGone { peer: addr }, |m, at| observer.sent(m, at));
        }
    }

    /// A component can't go on. A member of etcd says why, and without a container it stays down.
    fn component_ended(&mut self, addr: Addr, observer: &mut impl Observer) {
        let Some(proc) = self.proc(addr) else { return };
        let bare = proc.container.is_none();
        if let Process::Etcd(m) = &proc.process {
            let why = m.fatal().unwrap_or_default().to_string();
            self.log_fatal(addr, &why, observer);
            if bare {
                return self.stop_process(addr, observer);
            }
        }
        self.component_crashed(addr, 1, observer);
    }

    /// A component ended by itself: its runtime hears the exit code.
    pub(crate) fn component_crashed(&mut self, addr: Addr, code: i32, observer: &mut impl Observer) {
        let Some(proc) = self.proc(addr) else { return };
        let (container, machine) = (proc.container.clone(), proc.machine.clone());
        self.stop_process(addr, observer);
        let runtime = self.nodes.get(&machine).and_then(|n| n.runtime);
        if let (Some(container), Some(runtime)) = (container, runtime) {
            self.components.remove(&container);
            let exited = Payload::Host(Rc::new(HostMessage::ComponentExited { container, code }));
            self.queue.inject(addr, runtime, exited, |m, at| observer.sent(m, at));
        } else {
            // Not in a container: whoever supervises it starts it again.
            self.restart_bare(addr, observer);
        }
    }

    fn refuse_connection(&mut self, message: &Message, id: u64, observer: &mut impl Observer) {
        let port = match message.to {
            to if matches!(self.proc(to).map(Proc::component), Some("kube-apiserver" | "load-balancer")) => 6443,
            to if self.proc(to).is_some_and(|p| p.component() == "etcd") => 2379,
            _ => 10250,
        };
        let ip = self.ip_of(message.to).map_or_else(|| "127.0.0.1".to_string(), |ip| ip.to_string());
        let response = transport_error(&format!("dial tcp {ip}:{port}: connect: connection refused"));
        let mut out = Outbox::new(message.to, message.id, self.queue.now());
        out.respond(message.from, id, response);
        self.send(out, observer);
    }

    /// The address of the machine that a process runs on.
    pub fn ip_of(&self, addr: Addr) -> Option<IpAddr> {
        let machine = &self.proc(addr)?.machine;
        if &**machine == "load-balancer" {
            return Some(crate::balancer::IP.into());
        }
        self.nodes.get(machine).map(|n| n.config.ip)
    }

    /// Whether a process answers health checks only by being there (the others have handlers of their own).
    fn answers_health(&self, addr: Addr) -> bool {
        self.proc(addr).is_some_and(|p| {
            matches!(p.process, Process::ControllerManager(_) | Process::CloudControllerManager(_) | Process::Scheduler(_))
        })
    }

    fn answer_health(&mut self, message: &Message, id: u64, observer: &mut impl Observer) {
        self.answer_for(message, id, "ok", observer);
    }

    /// Answers in a process' name.
    fn answer_for(&mut self, message: &Message, id: u64, text: &str, observer: &mut impl Observer) {
        let body = ResponseBody::Text("text/plain; charset=utf-8".into(), text.into());
        let mut out = Outbox::new(message.to, message.id, self.queue.now());
        out.respond(message.from, id, Response { code: 200, warnings: Vec::new(), body });
        self.send(out, observer);
    }

    /// Sends a message from outside of any handler.
    pub fn inject(&mut self, to: Addr, payload: Payload, observer: &mut impl Observer) -> MsgId {
        self.queue.inject(Addr::OUTSIDE, to, payload, |m, at| observer.sent(m, at))
    }

    /// What has come for the page since the last call.
    pub fn take_page_messages(&mut self) -> Vec<HostMessage> {
        std::mem::take(&mut self.to_page)
    }

    /// Observes kube-apiserver (its memory, off the record): of several the first that is there.
    pub fn api(&self) -> Option<&kube_apiserver::ApiServer> {
        self.api_at(self.serving_apiserver())
    }

    fn api_at(&self, addr: Addr) -> Option<&kube_apiserver::ApiServer> {
        match &self.proc(addr)?.process {
            Process::ApiServer(p) => Some(p),
            _ => None,
        }
    }

    /// The kube-apiserver that is looked at: of several the first that serves.
    pub fn serving_apiserver(&self) -> Addr {
        if self.config.control_planes <= 1 && self.joined.is_empty() {
            return self.apiserver;
        }
        let serves = |addr: &Addr| !self.is_silent(*addr) && self.api_at(*addr).is_some_and(|a| a.is_ready());
        self.apiservers().into_iter().find(serves).unwrap_or(self.apiserver)
    }
    /// The running member that knows most: that of kube-apiserver's machine, unless another is ahead of it.
    pub fn etcd_member(&self) -> Option<&etcd::Member> {
        let mine = |addr| u8::from(addr == self.etcd);
        self.etcd_members().max_by_key(|(addr, m)| (m.revision(), mine(*addr))).map(|(_, m)| m)
    }
    pub fn scheduler(&self) -> Option<&kube_scheduler::Scheduler> {
        let mut all = self.of_component("kube-scheduler");
        all.find_map(|(_, p)| if let Process::Scheduler(s) = &p.process { Some(s) } else { None })
    }
    pub fn controller_manager(&self) -> Option<&kube_controller_manager::KubeControllerManager> {
        let all = || {
            let managers = self.of_component("kube-controller-manager");
            managers.filter_map(|(_, p)| if let Process::ControllerManager(c) = &p.process { Some(c) } else { None })
        };
        all().find(|c| c.is_running()).or_else(|| all().next())
    }
    /// The machine of a node (or `laptop`).
    pub fn machine(&self, name: &str) -> Option<&container_runtime::Runtime> {
        let addr = self.nodes.get(name).and_then(|n| n.runtime).or_else(|| (name == "laptop").then_some(self.laptop))?;
        match &self.proc(addr)?.process {
            Process::Machine(m) => Some(m),
            _ => None,
        }
    }
    pub fn kubelet(&self, node: &str) -> Option<&kubelet::Kubelet> {
        match &self.proc(self.nodes.get(node)?.kubelet)?.process {
            Process::Kubelet(k) => Some(k),
            _ => None,
        }
    }

    /// A hash of the state: etcd's transactions, what is under way, and which processes run. The same inputs give the same one.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        for (_, member) in self.etcd_members() {
            digest.write_u64(member.digest());
        }
        digest.write_u64(self.queue.digest());
        digest.write_u64(self.events);
        digest.write_u64(self.connections.waiting() as u64);
        for proc in &self.procs {
            digest.write(proc.name.as_bytes());
            digest.write_u64(u64::from(proc.is_running()));
        }
        digest.finish()
    }
}

impl Cluster {
    /// Frozen, or on a machine without power.
    pub fn is_silent(&self, addr: Addr) -> bool {
        self.dark.contains(&addr) || self.queue.faults.frozen.contains(&addr)
    }

    /// Whether every node is Ready and every pod of kube-system too: the end of the boot.
    pub fn is_ready(&self) -> bool {
        use apimachinery::{Request, resources};
        let Some(api) = self.api().filter(|a| a.is_ready()) else { return false };
        let all = |gvr, namespace: &str| {
            let mut request = Request::list(gvr, namespace);
            request.credential = crate::laptop::administrator();
            let response = api.read(&request, self.now());
            response.as_list().map(|l| l.items.clone()).unwrap_or_default()
        };
        let nodes = all(resources::nodes(), "");
        let networked = self.config.cni.is_some();
        if nodes.len() < self.nodes.values().filter(|n| !n.config.blank).count()
            || networked && !nodes.iter().all(|n| n.condition_is_true("Ready"))
        {
            return false;
        }
        // Without the cloud's controller the cluster's DNS has no node to run on.
        if !self.config.addons || self.config.cloud.as_ref().is_some_and(|c| !c.controller) {
            return true;
        }
        if !networked {
            // As far as it comes without a CNI plugin: what is on the nodes' own network runs.
            let pods = all(resources::pods(), "kube-system");
            let on_host = |p: &&apimachinery::Object| p.bool_at(&["spec", "hostNetwork"]) == Some(true);
            let proxies = pods.iter().filter(|p| p.label("k8s-app") == Some("kube-proxy")).count();
            return proxies > 0 && pods.iter().filter(on_host).all(|p| p.condition_is_true("Ready"));
        }
        let pods = all(resources::pods(), "kube-system");
        let dns = pods.iter().filter(|p| p.label("k8s-app") == Some("kube-dns")).count();
        dns > 0 && pods.iter().all(|p| p.condition_is_true("Ready"))
    }
}
