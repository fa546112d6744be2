//! A node's network: pod addresses (host-local), service rules (kube-proxy's), routes (CNI's), connections (conntrack).

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use base::{Map, Seed, Set};
use cri_api::cri::Id;
use cri_api::net::ConnId;
use cri_api::packet::{Endpoint, KernelUpdate, RuleEndpoint, ServiceRule};

type Text = Rc<str>;

/// Who holds the near end of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Owner {
    Container(Id),
    /// The node's own shell.
    Host,
    /// A probe of the kubelet.
    Dial(u64),
    /// A component, spoken to by a bridge that understands HTTP.
    Bridge(u64),
    /// A terminal of the node at the other end of an ssh connection.
    Ssh(u32),
}

/// The near end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub owner: Owner,
    pub conn: ConnId,
}

/// A rewritten connection that passes through this node (NodePort from outside).
#[derive(Clone, Debug)]
pub(crate) struct Forwarded {
    /// Who began.
    pub client: Endpoint,
    /// What the client called.
    pub called: Endpoint,
}

/// The kernel's tables of one node.
#[derive(Clone, Debug)]
pub struct Network {
    pub node_ip: IpAddr,
    seed: Seed,
    /// This node's pod range: network and prefix length.
    range: Option<(u32, u32)>,
    last_pod: u32,
    pods: Map<IpAddr, Id>,
    /// Pod ranges of other nodes: (network, prefix length) → next hop.
    routes: Map<(u32, u32), IpAddr>,
    /// By virtual address and port; node ports have the unspecified address.
    rules: Map<(IpAddr, u16, Text), ServiceRule>,
    by_service: Map<Text, Vec<(IpAddr, u16, Text)>>,
    /// (near, far) → who.
    pub(crate) ends: Map<(Endpoint, Endpoint), End>,
    /// (owner's sort key, conn) → (near, far).
    pub(crate) conns: Map<(Text, u64), (Endpoint, Endpoint)>,
    pub(crate) forwarded: Map<(Endpoint, Endpoint), Forwarded>,
    /// Who listens: (address, port) → container, empty for the node itself.
    pub(crate) listeners: Map<Endpoint, Id>,
    pub(crate) dns_listeners: Map<Endpoint, Id>,
    affinity: Map<(Text, IpAddr), Endpoint>,
    ephemeral: u16,
    draws: u64,
}

impl Network {
    pub fn new(node_ip: IpAddr, seed: Seed) -> Network {
        Network {
            node_ip,
            seed,
            range: None,
            last_pod: 1,
            pods: Map::new(),
            routes: Map::new(),
            rules: Map::new(),
            by_service: Map::new(),
            ends: Map::new(),
            conns: Map::new(),
            forwarded: Map::new(),
            listeners: Map::new(),
            dns_listeners: Map::new(),
            affinity: Map::new(),
            ephemeral: 0,
            draws: 0,
        }
    }

    /// Connections end when the machine does; addresses, routes and rules are set up anew by those who own them.
    pub(crate) fn reboot(&mut self) {
        let fresh = Network::new(self.node_ip, self.seed);
        *self = Network { range: self.range, ..fresh };
    }

    /// Whether the CNI plugin has given this node a pod range.
    pub fn is_ready(&self) -> bool {
        self.range.is_some()
    }
    /// The rules that kube-proxy wrote, for the page.
    pub fn rules(&self) -> impl Iterator<Item = &ServiceRule> {
        self.rules.values()
    }
    pub fn pod_ips(&self) -> impl Iterator<Item = (&IpAddr, &Id)> {
        self.pods.iter()
    }

    pub(crate) fn update(&mut self, update: &KernelUpdate) {
        match update {
            KernelUpdate::Service { service, rules } => {
                for key in self.by_service.remove(service).unwrap_or_default() {
                    self.rules.remove(&key);
                }
                let mut keys = Vec::new();
                for rule in rules.iter() {
                    let key = (rule.ip, rule.port, rule.protocol.clone());
                    self.rules.insert(key.clone(), rule.clone());
                    keys.push(key);
                }
                if !keys.is_empty() {
                    self.by_service.insert(service.clone(), keys);
                }
            }
            KernelUpdate::PodCidrs(ranges) => self.range = ranges.iter().find_map(|r| parse_range(r)),
            KernelUpdate::Route { cidr, via } => {
                let Some(range) = parse_range(cidr) else { return };
                match via {
                    Some(hop) => self.routes.insert(range, *hop),
                    None => self.routes.remove(&range),
                };
            }
            KernelUpdate::FlushServices => (self.rules, self.by_service) = (Map::new(), Map::new()),
        }
    }

    /// The next free address of the range, as CNI's host-local hands them out: round and round from .2 on.
    pub(crate) fn add_pod(&mut self, sandbox: &Id) -> Option<IpAddr> {
        let (network, bits) = self.range?;
        let size = 1u32 << (32 - bits).min(31);
        for _ in 0..size {
            self.last_pod = if self.last_pod + 2 >= size { 2 } else { self.last_pod + 1 };
            let ip = IpAddr::V4(Ipv4Addr::from(network + self.last_pod));
            if !self.pods.contains_key(&ip) {
                self.pods.insert(ip, sandbox.clone());
                return Some(ip);
            }
        }
        None
    }

    pub(crate) fn remove_pod(&mut self, ip: IpAddr) {
        self.pods.remove(&ip);
        let gone: Vec<_> = self.ends.keys().filter(|(near, _)| near.0 == ip).cloned().collect();
        for key in gone {
            self.ends.remove(&key);
        }
    }

    /// Whether an address belongs to a pod of this node or to the node itself.
    pub(crate) fn is_local(&self, ip: IpAddr) -> bool {
        ip == self.node_ip || ip.is_loopback() || self.pods.contains_key(&ip)
    }
    pub(crate) fn in_pod_range(&self, ip: IpAddr) -> bool {
        matches!((self.range, ip), (Some((network, bits)), IpAddr::V4(v4)) if contains(network, bits, v4))
    }

    /// Where a packet for another machine goes next, and by which pod range.
    pub(crate) fn route(&self, ip: IpAddr) -> Option<(IpAddr, Option<String>)> {
        let IpAddr::V4(v4) = ip else { return None };
        for length in [24, 25, 26, 23, 22, 16] {
            let network = u32::from(v4) & mask(length);
            if let Some(hop) = self.routes.get(&(network, length)) {
                return Some((*hop, Some(format!("{}/{length}", Ipv4Addr::from(network)))));
            }
        }
        // The nodes' own network is a /16 around this node.
        let IpAddr::V4(me) = self.node_ip else { return None };
        (u32::from(me) & mask(16) == u32::from(v4) & mask(16)).then_some((ip, None))
    }

    /// The rule for a virtual end, if there is one.
    pub(crate) fn rule(&self, dst: Endpoint, protocol: &Text) -> Option<&ServiceRule> {
        if let Some(rule) = self.rules.get(&(dst.0, dst.1, protocol.clone())) {
            return Some(rule);
        }
        let node_port = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), dst.1, protocol.clone());
        (dst.0 == self.node_ip).then(|| self.rules.get(&node_port)).flatten()
    }

    /// Chooses an endpoint of a rule for a client: equally likely, or the same as before with session affinity.
    pub(crate) fn choose(&mut self, rule: &ServiceRule, client: IpAddr) -> Option<RuleEndpoint> {
        let usable: Vec<&RuleEndpoint> = rule.endpoints.iter().filter(|e| e.ready && (!rule.local_only || e.is_local)).collect();
        if usable.is_empty() {
            return None;
        }
        let key = (rule.service.clone(), client);
        if rule.session_affinity_s.is_some() {
            let known = self.affinity.get(&key).and_then(|e| usable.iter().find(|u| (u.ip, u.port) == *e));
            if let Some(known) = known {
                return Some((**known).clone());
            }
        }
        self.draws += 1;
        let chosen = usable[self.seed.below(self.draws, usable.len() as u64) as usize].clone();
        if rule.session_affinity_s.is_some() {
            self.affinity.insert(key, (chosen.ip, chosen.port));
        }
        Some(chosen)
    }

    /// A port for a connection that begins here: 32768–60999, as Linux has them.
    pub(crate) fn ephemeral_port(&mut self) -> u16 {
        self.ephemeral = (self.ephemeral + 1) % 28_232;
        32_768 + self.ephemeral
    }

    pub(crate) fn container_ended(&mut self, id: &Id) {
        let gone: Vec<Endpoint> = self.listeners.iter().filter(|(_, c)| *c == id).map(|(e, _)| *e).collect();
        for endpoint in gone {
            self.listeners.remove(&endpoint);
        }
        let gone: Vec<Endpoint> = self.dns_listeners.iter().filter(|(_, c)| *c == id).map(|(e, _)| *e).collect();
        for endpoint in gone {
            self.dns_listeners.remove(&endpoint);
        }
        let ends: Vec<_> =
            self.ends.iter().filter(|(_, end)| end.owner == Owner::Container(id.clone())).map(|(k, _)| *k).collect();
        for key in ends {
            self.forget(key);
        }
    }

    pub(crate) fn remember(&mut self, near: Endpoint, far: Endpoint, owner: Owner, conn: ConnId) {
        self.conns.insert((owner_key(&owner), conn.0), (near, far));
        self.ends.insert((near, far), End { owner, conn });
    }
    pub(crate) fn forget(&mut self, key: (Endpoint, Endpoint)) {
        if let Some(end) = self.ends.remove(&key) {
            self.conns.remove(&(owner_key(&end.owner), end.conn.0));
        }
    }
    pub(crate) fn ends_of(&self, owner: &Owner, conn: ConnId) -> Option<(Endpoint, Endpoint)> {
        self.conns.get(&(owner_key(owner), conn.0)).copied()
    }
    /// Addresses in use, for `add_pod`'s callers and the page.
    pub fn pods_in_use(&self) -> Set<IpAddr> {
        self.pods.keys().copied().collect()
    }
}

fn owner_key(owner: &Owner) -> Text {
    match owner {
        Owner::Container(id) => id.clone(),
        Owner::Host => "host".into(),
        Owner::Dial(n) => format!("dial-{n}").into(),
        Owner::Bridge(n) => format!("bridge-{n}").into(),
        Owner::Ssh(n) => format!("ssh-{n}").into(),
    }
}

fn mask(bits: u32) -> u32 {
    if bits == 0 { 0 } else { u32::MAX << (32 - bits) }
}

fn contains(network: u32, bits: u32, ip: Ipv4Addr) -> bool {
    u32::from(ip) & mask(bits) == network
}

/// `10.244.1.0/24` → network and prefix length.
pub(crate) fn parse_range(text: &str) -> Option<(u32, u32)> {
    let (ip, bits) = text.split_once('/')?;
    let (ip, bits): (Ipv4Addr, u32) = (ip.parse().ok()?, bits.parse().ok()?);
    (bits <= 32).then(|| (u32::from(ip) & mask(bits), bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        let mut network = Network::new("172.18.0.3".parse().unwrap(), Seed(1));
        network.update(&KernelUpdate::PodCidrs(vec!["10.244.1.0/24".into()]));
        network.update(&KernelUpdate::Route { cidr: "10.244.2.0/24".into(), via: "172.18.0.4".parse().ok() });
        network
    }

    #[test]
    fn addresses_go_round_and_routes_are_by_pod_range() {
        let mut network = network();
        let first = network.add_pod(&"a".into()).unwrap();
        assert_eq!(first.to_string(), "10.244.1.2");
        network.remove_pod(first);
        assert_eq!(network.add_pod(&"b".into()).unwrap().to_string(), "10.244.1.3");
        let hop = network.route("10.244.2.9".parse().unwrap()).unwrap();
        assert_eq!((hop.0.to_string(), hop.1.as_deref()), ("172.18.0.4".into(), Some("10.244.2.0/24")));
        assert_eq!(network.route("8.8.8.8".parse().unwrap()), None);
    }

    #[test]
    fn a_rule_chooses_among_ready_endpoints_and_keeps_to_affinity() {
        let mut network = network();
        let endpoint =
            |n: u8, ready| RuleEndpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 244, 2, n)), port: 80, is_local: false, ready };
        let rule = ServiceRule {
            service: "default/web:".into(),
            ip: "10.96.0.7".parse().unwrap(),
            port: 80,
            protocol: "TCP".into(),
            endpoints: Rc::new(vec![endpoint(2, true), endpoint(3, false), endpoint(4, true)]),
            session_affinity_s: Some(10_800),
            local_only: false,
            masquerade: false,
        };
        network.update(&KernelUpdate::Service { service: "default/web".into(), rules: Rc::new(vec![rule]) });
        let rule = network.rule(("10.96.0.7".parse().unwrap(), 80), &"TCP".into()).cloned().unwrap();
        let client = "10.244.1.2".parse().unwrap();
        let first = network.choose(&rule, client).unwrap();
        assert!((0..20).all(|_| network.choose(&rule, client).unwrap() == first));
        network.update(&KernelUpdate::Service { service: "default/web".into(), rules: Rc::default() });
        assert!(network.rule(("10.96.0.7".parse().unwrap(), 80), &"TCP".into()).is_none());
    }
}
