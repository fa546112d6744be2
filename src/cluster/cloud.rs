//! The cloud: a process outside of the cluster that rents out machines, load balancers and routes, reached by requests only.
//!
//! Its API is what cloud-controller-manager calls (`src/cloud-controller-manager/cloud.rs`) and what the `cloud` command on the laptop
//! prints. A load balancer has an address on the nodes' network; it hands each connection to a node port, and a node that doesn't
//! answer within a second is passed over for a while. The machines are the bottle's own: the world says when one is switched off or
//! on, and deletes it when that is asked for. Left out by name: quotas, prices, volumes, UDP, health checks over HTTP.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use apimachinery::{Body, Request, Response, ResponseBody, Value, json, value};
use base::{Duration, Map, Seed, Time};
use cloud_controller_manager::{Machine, State};
use cri_api::Errno;
use cri_api::packet::{Endpoint, Hop, HopKind, Packet, PacketBody};
use sim::{Addr, Message, Outbox, Payload};

use crate::cluster::Cluster;
use crate::config::{CloudConfig, NodeConfig};
use crate::process::Process;

type Text = Rc<str>;

/// Load balancers get 172.18.255.1 and up.
const BALANCERS: u8 = 60;
/// How long a node may take to answer …
const PATIENCE: Duration = Duration::from_secs(1);
/// … and how long one that didn't is passed over.
const REST: Duration = Duration::from_secs(10);

/// A load balancer.
#[derive(Clone, Debug, PartialEq)]
struct Balancer {
    service: Text,
    ip: Ipv4Addr,
    /// Port and node port.
    ports: Vec<(u16, u16)>,
    /// Machine and address.
    hosts: Vec<(Text, IpAddr)>,
}

/// A connection through a load balancer.
#[derive(Clone, Debug)]
struct Through {
    client: Endpoint,
    called: Endpoint,
    /// The load balancer's own end, and the node's.
    near: Endpoint,
    target: Endpoint,
    syn: Rc<Packet>,
    open: bool,
    tried: Vec<IpAddr>,
}

/// The cloud. Clone is cheap.
#[derive(Clone)]
pub struct Cloud {
    seed: Seed,
    machines: Map<Text, Machine>,
    balancers: Map<Text, Balancer>,
    by_ip: Map<IpAddr, Text>,
    /// Machine → pod range.
    routes: Map<Text, Text>,
    through: Map<u64, Rc<Through>>,
    /// From the client's side, and from the node's: (src, dst) of a packet.
    ends: Map<(Endpoint, Endpoint), (u64, bool)>,
    rests: Map<IpAddr, Time>,
    counter: u64,
}

impl Cloud {
    pub(crate) fn new(seed: Seed) -> Cloud {
        Cloud {
            seed: seed.derive("cloud"),
            machines: Map::new(),
            balancers: Map::new(),
            by_ip: Map::new(),
            routes: Map::new(),
            through: Map::new(),
            ends: Map::new(),
            rests: Map::new(),
            counter: 0,
        }
    }

    /// The machines, for the page.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.values()
    }

    /// The load balancers, for the page: address, `namespace/name` of the Service, the machines behind it.
    pub fn balancers(&self) -> impl Iterator<Item = (Ipv4Addr, &str, Vec<&str>)> {
        self.balancers.values().map(|b| (b.ip, &*b.service, b.hosts.iter().map(|(name, _)| &**name).collect()))
    }

    /// How many routes it keeps.
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }

    pub(crate) fn handle(&mut self, now: Time, message: Message, out: &mut Outbox) {
        match &message.payload {
            Payload::ApiRequest { id, request } => {
                let (code, body) = self.serve(request);
                let body = ResponseBody::Text("application/json".into(), body.into());
                out.respond(message.from, *id, Response { code, warnings: Vec::new(), body });
            }
            Payload::Packet(packet) => self.packet(now, packet, out),
            Payload::Timer(number) => self.next_host(now, *number, out),
            _ => {}
        }
    }

    fn serve(&mut self, request: &Request) -> (u16, String) {
        let body = match &request.body {
            Body::Bytes(_, bytes) => json::parse(bytes).unwrap_or_default(),
            _ => Value::default(),
        };
        let method = request.options.query("method").unwrap_or("GET");
        let mut parts = request.path.trim_start_matches('/').splitn(2, '/');
        let (kind, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let missing = |what: &str| (404, format!("there is no {what} {name:?}"));
        match (kind, method) {
            ("console", _) => (200, json::to_string(&value!({"out": (self.console(name)), "err": "", "code": 0}))),
            ("machines", "GET") => match self.machines.get(name) {
                Some(machine) => (200, json::to_string(&machine.to_value())),
                None => missing("machine"),
            },
            ("loadbalancers", "PUT") => self.put_balancer(name, &body),
            ("loadbalancers", "DELETE") => match self.balancers.remove(name) {
                Some(balancer) => {
                    self.by_ip.remove(&balancer.ip.into());
                    (200, "{}".into())
                }
                None => missing("load balancer"),
            },
            ("routes", "PUT") if self.machines.contains_key(name) => {
                self.routes.insert(name.into(), body.str_at(&["cidr"]).unwrap_or("").into());
                (200, "{}".into())
            }
            ("routes", "PUT") => missing("machine"),
            ("routes", "DELETE") => match self.routes.remove(name) {
                Some(_) => (200, "{}".into()),
                None => missing("route"),
            },
            _ => (501, format!("{method} {} is not in this cloud", request.path)),
        }
    }

    fn put_balancer(&mut self, name: &str, body: &Value) -> (u16, String) {
        let number = |v: &Value, field: &str| v.int_at(&[field]).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
        let ports: Vec<(u16, u16)> =
            body.list_at(&["ports"]).iter().filter_map(|p| Some((number(p, "port")?, number(p, "nodePort")?))).collect();
        if ports.is_empty() {
            return (400, "a load balancer needs ports with node ports (spec.allocateLoadBalancerNodePorts is false?)".into());
        }
        let asked = body.str_at(&["ip"]).filter(|ip| !ip.is_empty());
        let ip = match (self.balancers.get(name).map(|b| b.ip), asked) {
            (Some(ip), _) => ip,
            (None, Some(asked)) => match asked.parse::<Ipv4Addr>().ok().filter(|ip| pool().any(|p| p == *ip)) {
                Some(ip) if !self.by_ip.contains_key(&IpAddr::from(ip)) => ip,
                Some(_) => return (409, format!("the address {asked} is in use")),
                None => return (400, format!("the address {asked} is not one of this cloud's")),
            },
            (None, None) => match pool().find(|ip| !self.by_ip.contains_key(&IpAddr::from(*ip))) {
                Some(ip) => ip,
                None => return (507, format!("all {BALANCERS} addresses are in use")),
            },
        };
        let host = |h: &Value| Some((h.str_at(&["machine"])?.into(), h.str_at(&["ip"])?.parse().ok()?));
        let balancer = Balancer {
            service: body.str_at(&["service"]).unwrap_or("").into(),
            ip,
            ports,
            hosts: body.list_at(&["hosts"]).iter().filter_map(host).collect(),
        };
        self.by_ip.insert(ip.into(), name.into());
        self.balancers.insert(name.into(), balancer);
        (200, json::to_string(&value!({"ip": (ip.to_string())})))
    }

    /// What the `cloud` command prints.
    fn console(&self, what: &str) -> String {
        let mut out = String::new();
        match what {
            "machines" => {
                let _ = writeln!(out, "{:<12} {:<20} {:<10} {:<12} {:<14} STATE", "NAME", "ID", "TYPE", "ZONE", "ADDRESS");
                for m in self.machines.values() {
                    let state = if m.state == State::Running { "running" } else { "stopped" };
                    let _ = writeln!(out, "{:<12} {:<20} {:<10} {:<12} {:<14} {state}", m.name, m.id, m.kind, m.zone, m.ip);
                }
            }
            "loadbalancers" => {
                let _ = writeln!(out, "{:<34} {:<15} {:<20} {:<14} MACHINES", "NAME", "ADDRESS", "SERVICE", "PORTS");
                for (name, b) in &self.balancers {
                    let ports: Vec<String> = b.ports.iter().map(|(port, node)| format!("{port}:{node}")).collect();
                    let hosts: Vec<&str> = b.hosts.iter().map(|(name, _)| &**name).collect();
                    let (ip, ports) = (b.ip.to_string(), ports.join(","));
                    let _ = writeln!(out, "{name:<34} {ip:<15} {:<20} {ports:<14} {}", b.service, hosts.join(","));
                }
            }
            _ => {
                let _ = writeln!(out, "{:<18} MACHINE", "DESTINATION");
                for (machine, range) in &self.routes {
                    let _ = writeln!(out, "{range:<18} {machine}");
                }
            }
        }
        out
    }

    /// A packet at a load balancer's address.
    fn packet(&mut self, now: Time, packet: &Rc<Packet>, out: &mut Outbox) {
        if let Some((number, from_client)) = self.ends.get(&(packet.src, packet.dst)).copied() {
            return self.pass(now, number, from_client, packet, out);
        }
        let balancer = self.by_ip.get(&packet.dst.0).and_then(|name| self.balancers.get(name)).cloned();
        let listens = balancer.filter(|b| b.ports.iter().any(|(port, _)| *port == packet.dst.1));
        match (&packet.body, listens) {
            (PacketBody::Syn, Some(_)) => self.accept(now, packet, out),
            (PacketBody::Syn, None) => refuse(packet, "no load balancer listens here", out),
            _ => {}
        }
    }

    fn accept(&mut self, now: Time, packet: &Rc<Packet>, out: &mut Outbox) {
        self.counter += 1;
        let near = (packet.dst.0, 32_768 + (self.counter % 28_000) as u16);
        let through = Through {
            client: packet.src,
            called: packet.dst,
            near,
            target: packet.dst,
            syn: packet.clone(),
            open: false,
            tried: Vec::new(),
        };
        self.ends.insert((packet.src, packet.dst), (self.counter, true));
        self.through.insert(self.counter, Rc::new(through));
        self.next_host(now, self.counter, out);
    }

    /// Tries a node that was not tried yet; none is left: the client is refused.
    fn next_host(&mut self, now: Time, number: u64, out: &mut Outbox) {
        let Some(through) = self.through.get(&number).filter(|t| !t.open).cloned() else { return };
        let mut through = (*through).clone();
        if let Some(slow) = through.tried.last() {
            self.rests.insert(*slow, now + REST);
            self.ends.remove(&(through.target, through.near));
        }
        let found = self.by_ip.get(&through.called.0).and_then(|name| self.balancers.get(name)).and_then(|b| {
            let (_, node_port) = b.ports.iter().find(|(port, _)| *port == through.called.1)?;
            let untried = |ip: &IpAddr| !through.tried.contains(ip);
            let rested = |ip: &IpAddr| self.rests.get(ip).is_none_or(|until| *until <= now);
            let ips = || b.hosts.iter().map(|(_, ip)| *ip).filter(untried);
            let mut fit: Vec<IpAddr> = ips().filter(rested).collect();
            if fit.is_empty() {
                fit = ips().collect();
            }
            let chosen = (!fit.is_empty())
                .then(|| fit[self.seed.below(number * 64 + through.tried.len() as u64, fit.len() as u64) as usize])?;
            Some(((chosen, *node_port), b.service.clone(), b.hosts.len()))
        });
        let Some((target, service, of)) = found else {
            self.forget(number);
            return refuse(&through.syn, "no node answers", out);
        };
        through.target = target;
        through.tried.push(target.0);
        self.ends.insert((target, through.near), (number, false));
        let mut packet = (*through.syn).clone();
        packet.hops.push(Hop {
            place: "load balancer".into(),
            what: HopKind::Dnat { service, from: through.called, to: target, of: of as u32 },
        });
        (packet.src, packet.dst, packet.next_hop) = (through.near, target, target.0);
        self.through.insert(number, Rc::new(through));
        out.send(Addr::OUTSIDE, Payload::Packet(Rc::new(packet)));
        out.timer(PATIENCE, number);
    }

    /// A later packet of a connection.
    fn pass(&mut self, now: Time, number: u64, from_client: bool, packet: &Rc<Packet>, out: &mut Outbox) {
        let Some(through) = self.through.get_mut(&number) else { return };
        let is_reset = matches!(packet.body, PacketBody::Reset(_));
        if !from_client && !through.open {
            if is_reset {
                return self.next_host(now, number, out);
            }
            Rc::make_mut(through).open = true;
        }
        let (near, target, client, called) = (through.near, through.target, through.client, through.called);
        let mut packet = (**packet).clone();
        (packet.src, packet.dst) = if from_client { (near, target) } else { (called, client) };
        packet.next_hop = packet.dst.0;
        out.send(Addr::OUTSIDE, Payload::Packet(Rc::new(packet)));
        if is_reset {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(t) = self.through.remove(&number) {
            self.ends.remove(&(t.client, t.called));
            self.ends.remove(&(t.target, t.near));
        }
    }
}

fn pool() -> impl Iterator<Item = Ipv4Addr> {
    (1..=BALANCERS).map(|n| Ipv4Addr::new(172, 18, 255, n))
}

fn refuse(packet: &Packet, reason: &str, out: &mut Outbox) {
    let mut hops = packet.hops.clone();
    hops.push(Hop { place: "load balancer".into(), what: HopKind::Refused { reason: reason.into() } });
    let body = PacketBody::Reset(Errno::ECONNREFUSED);
    let back = Packet { src: packet.dst, dst: packet.src, body, next_hop: packet.src.0, hops };
    out.send(Addr::OUTSIDE, Payload::Packet(Rc::new(back)));
}

impl Cluster {
    /// The cloud's process, if there is a cloud.
    pub fn cloud(&self) -> Option<Addr> {
        self.addr("cloud")
    }

    /// There is a cloud from now on, and all machines are rented from it.
    pub(crate) fn ensure_cloud(&mut self) -> Addr {
        if let Some(addr) = self.cloud() {
            return addr;
        }
        let cloud = Cloud::new(self.config.seed());
        let addr = self.add_proc("cloud", "cloud", Process::Cloud(cloud));
        for ip in pool() {
            self.ips.insert(ip.into(), addr);
        }
        let names: Vec<Text> = self.nodes.keys().cloned().collect();
        for name in names {
            self.tell_cloud(&name);
        }
        addr
    }

    /// Tells the cloud of a machine: that there is one, that it has power or not, that it is gone.
    pub(crate) fn tell_cloud(&mut self, name: &str) {
        let Some(cloud) = self.cloud() else { return };
        let settings = self.config.cloud.clone().unwrap_or_default();
        let known = self.proc(cloud).and_then(|p| match &p.process {
            Process::Cloud(c) => Some((c.machines.get(name).cloned(), c.machines.len())),
            _ => None,
        });
        let Some((known, count)) = known else { return };
        let machine = self.nodes.get(name).map(|node| {
            let fresh = || machine(&node.config, &settings, count, self.config.seed());
            let state = if node.powered { State::Running } else { State::Stopped };
            Machine { state, ..known.clone().unwrap_or_else(fresh) }
        });
        self.with_proc(cloud, |p| {
            let Process::Cloud(c) = &mut p.process else { return };
            match machine {
                Some(machine) => {
                    c.machines.insert(name.into(), machine);
                }
                None => {
                    c.machines.remove(name);
                }
            }
        });
    }

    /// A machine is given back to the cloud: it loses its power and its disk, and is never seen again.
    pub fn delete_machine(&mut self, name: &str, observer: &mut impl crate::cluster::Observer) -> bool {
        let Some(node) = self.nodes.get(name).cloned() else { return false };
        self.power_off(name, observer);
        self.nodes.remove(name);
        self.ips.remove(&node.config.ip);
        self.units.remove(name);
        self.tell_cloud(name);
        true
    }
}

fn machine(node: &NodeConfig, settings: &CloudConfig, number: usize, seed: Seed) -> Machine {
    let draw = seed.derive("machine-id").derive(&node.name).draw(number as u64);
    let gi = (node.memory >> 30).max(1);
    Machine {
        id: format!("i-{:017x}", draw).into(),
        name: node.name.clone(),
        kind: format!("b1.{}x{gi}", (node.cpu_milli / 1000).max(1)).into(),
        zone: settings.zones[number % settings.zones.len()].clone(),
        region: settings.region.clone(),
        ip: node.ip.to_string().into(),
        state: State::Stopped,
    }
}
