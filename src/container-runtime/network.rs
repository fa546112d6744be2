//! A node's network: pod addresses (host-local), service rules (kube-proxy's), routes (CNI's), connections (conntrack).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use base::{Duration, Map, Seed, Set, Sort as _, Time};
use cri_api::cri::Id;
use cri_api::net::ConnId;
use cri_api::packet::{Endpoint, KernelUpdate, RuleEndpoint, ServiceRule};
use cri_api::policy::{Block, Policies};

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
    /// A request of a component of this machine.
    Egress(u64),
    /// A port that somebody outside forwards.
    Forward(u64),
    /// A terminal of the node at the other end of an ssh connection.
    Ssh(u32),
}

/// The near end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub owner: Owner,
    pub conn: ConnId,
    /// The far end has answered, or it began there.
    pub open: bool,
}

/// A rewritten connection that passes through this node (NodePort from outside).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Forwarded {
    /// Who began.
    pub client: Endpoint,
    /// What the client called.
    pub called: Endpoint,
}

/// What a service's rule led to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    Endpoint(RuleEndpoint),
    /// There is none: refused.
    Nothing,
    /// There are some, but the traffic policy `Local` wants one of this node: dropped.
    NotHere,
}

/// A range that pods' addresses are taken from.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pool {
    range: Block,
    last: u32,
}

/// The kernel's tables of one node.
#[derive(Clone, Debug)]
pub struct Network {
    pub node_ip: IpAddr,
    /// Of a dual-stack node.
    pub node_ip6: Option<IpAddr>,
    seed: Seed,
    /// The CNI plugin that has configured the node; empty: none has.
    plugin: Text,
    /// This node's pod ranges, one per family.
    pools: Vec<Pool>,
    pods: Map<IpAddr, Id>,
    /// Pod ranges of other nodes: (network, prefix length) → next hop.
    routes: Map<(IpAddr, u8), IpAddr>,
    /// Prefix lengths among the routes, longest first: (is IPv6, length).
    lengths: Vec<(bool, u8)>,
    /// By virtual address and port; node ports have the unspecified address.
    rules: Map<(IpAddr, u16, Text), ServiceRule>,
    by_service: Map<Text, Vec<(IpAddr, u16, Text)>>,
    /// (near, far) → who.
    pub(crate) ends: Map<(Endpoint, Endpoint), End>,
    /// (owner's sort key, conn) → (near, far).
    pub(crate) conns: Map<(Text, u64), (Endpoint, Endpoint)>,
    /// (source as the endpoint sees it, endpoint) → who began and what it called; and the other way round.
    forwarded: Map<(Endpoint, Endpoint), Forwarded>,
    forwards: Map<(Endpoint, Endpoint), (Endpoint, Endpoint)>,
    /// Who listens: (address, port) → container, empty for the node itself.
    pub(crate) listeners: Map<Endpoint, Id>,
    pub(crate) dns_listeners: Map<Endpoint, Id>,
    /// (service port, client) → endpoint, and when it was last used.
    affinity: Map<(Text, IpAddr), (Endpoint, Time)>,
    pub(crate) policies: Policies,
    ephemeral: u16,
    draws: u64,
}

impl Network {
    pub fn new(node_ip: IpAddr, seed: Seed) -> Network {
        Network {
            node_ip,
            node_ip6: None,
            seed,
            plugin: "".into(),
            pools: Vec::new(),
            pods: Map::new(),
            routes: Map::new(),
            lengths: Vec::new(),
            rules: Map::new(),
            by_service: Map::new(),
            ends: Map::new(),
            conns: Map::new(),
            forwarded: Map::new(),
            forwards: Map::new(),
            listeners: Map::new(),
            dns_listeners: Map::new(),
            affinity: Map::new(),
            policies: Policies::default(),
            ephemeral: 0,
            draws: 0,
        }
    }

    /// Connections end when the machine does; addresses, routes and rules are set up anew by those who own them.
    pub(crate) fn reboot(&mut self) {
        let fresh = Network::new(self.node_ip, self.seed);
        let pools = self.pools.iter().map(|p| Pool { last: 1, ..*p }).collect();
        *self = Network { node_ip6: self.node_ip6, plugin: self.plugin.clone(), pools, ..fresh };
    }

    /// Whether the CNI plugin has given this node a pod range.
    pub fn is_ready(&self) -> bool {
        !self.pools.is_empty()
    }
    /// The CNI plugin that has configured this node: `bridge`, `flannel`, `calico`; empty: none.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }
    /// This node's pod ranges.
    pub fn ranges(&self) -> impl Iterator<Item = Block> {
        self.pools.iter().map(|p| p.range)
    }
    /// Other nodes' pod ranges with their next hops.
    pub fn routes(&self) -> impl Iterator<Item = (Block, IpAddr)> {
        self.routes.iter().map(|((network, bits), hop)| (Block { network: *network, bits: *bits }, *hop))
    }
    /// The NetworkPolicies that an agent wrote, for the page.
    pub fn policies(&self) -> &Policies {
        &self.policies
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
            KernelUpdate::PodCidrs { plugin, ranges } => {
                let known = |range| self.pools.iter().find(|p| p.range == range).copied();
                let ranges = ranges.iter().filter_map(|r| parse_range(r));
                self.pools = ranges.map(|range| known(range).unwrap_or(Pool { range, last: 1 })).collect();
                self.plugin = plugin.clone();
            }
            KernelUpdate::Policies(updates) => self.policies.update(updates),
            KernelUpdate::Route { cidr, via } => {
                let Some(range) = parse_range(cidr) else { return };
                match via {
                    Some(hop) => self.routes.insert((range.network, range.bits), *hop),
                    None => self.routes.remove(&(range.network, range.bits)),
                };
                let mut lengths: Vec<(bool, u8)> = self.routes.keys().map(|(n, bits)| (n.is_ipv6(), *bits)).collect();
                lengths.order_by_key(|length| std::cmp::Reverse(*length));
                lengths.dedup();
                self.lengths = lengths;
            }
            KernelUpdate::FlushServices => (self.rules, self.by_service) = (Map::new(), Map::new()),
        }
    }

    /// The next free address of each range, as CNI's host-local hands them out: round and round from .2 on.
    pub(crate) fn add_pod(&mut self, sandbox: &Id) -> Option<Vec<IpAddr>> {
        let mut taken = Vec::new();
        for i in 0..self.pools.len() {
            match self.next_address(i) {
                Some(ip) => {
                    self.pods.insert(ip, sandbox.clone());
                    taken.push(ip);
                }
                None => {
                    taken.iter().for_each(|ip| drop(self.pods.remove(ip)));
                    return None;
                }
            }
        }
        (!taken.is_empty()).then_some(taken)
    }

    fn next_address(&mut self, pool: usize) -> Option<IpAddr> {
        let Pool { range, mut last } = self.pools[pool];
        let all = if range.network.is_ipv4() { 32 } else { 128 };
        // Of an IPv6 range the first 65,536 addresses serve; the last one of an IPv4 range is for broadcasts.
        let size = 1u32 << u32::from(all - range.bits).min(16);
        for _ in 0..size {
            last = if last + 2 >= size { 2 } else { last + 1 };
            let ip = nth(range.network, last);
            if !self.pods.contains_key(&ip) {
                self.pools[pool].last = last;
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
        self.is_node(ip) || ip.is_loopback() || self.pods.contains_key(&ip)
    }
    /// Whether it is this node's own.
    pub(crate) fn is_node(&self, ip: IpAddr) -> bool {
        ip == self.node_ip || self.node_ip6 == Some(ip)
    }
    /// The sandbox that has an address.
    pub(crate) fn pod_at(&self, ip: IpAddr) -> Option<&Id> {
        self.pods.get(&ip)
    }
    pub(crate) fn in_pod_range(&self, ip: IpAddr) -> bool {
        self.pools.iter().any(|p| p.range.contains(ip))
    }
    /// This node's address of a family.
    pub(crate) fn node_address(&self, like: IpAddr) -> IpAddr {
        if like.is_ipv6() { self.node_ip6.unwrap_or(self.node_ip) } else { self.node_ip }
    }

    /// Where a packet for another machine goes next, and by which pod range.
    pub(crate) fn route(&self, ip: IpAddr) -> Option<(IpAddr, Option<String>)> {
        for (_, bits) in self.lengths.iter().filter(|(v6, _)| *v6 == ip.is_ipv6()) {
            let network = mask(ip, *bits);
            if let Some(hop) = self.routes.get(&(network, *bits)) {
                return Some((*hop, Some(format!("{network}/{bits}"))));
            }
        }
        // The nodes' own network is a /16 (or /64) around this node.
        let bits = if ip.is_ipv4() { 16 } else { 64 };
        let me = if ip.is_ipv4() { Some(self.node_ip) } else { self.node_ip6 };
        me.filter(|me| me.is_ipv4() == ip.is_ipv4() && mask(*me, bits) == mask(ip, bits)).map(|_| (ip, None))
    }

    /// The rule for a virtual end, if there is one.
    pub(crate) fn rule(&self, dst: Endpoint, protocol: &Text) -> Option<&ServiceRule> {
        if let Some(rule) = self.rules.get(&(dst.0, dst.1, protocol.clone())) {
            return Some(rule);
        }
        let any = if dst.0.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        self.is_node(dst.0).then(|| self.rules.get(&(any, dst.1, protocol.clone()))).flatten()
    }

    /// Chooses an endpoint of a rule for a client: equally likely, or the same as before with session affinity.
    pub(crate) fn choose(&mut self, now: Time, rule: &ServiceRule, client: IpAddr) -> Choice {
        // Who calls an address for outside from this node is inside: the policy is about what comes from elsewhere.
        let local_only = rule.local_only && !(rule.kind.is_external() && self.is_local(client));
        let usable: Vec<&RuleEndpoint> = rule.endpoints.iter().filter(|e| e.ready && (!local_only || e.is_local)).collect();
        if usable.is_empty() {
            let elsewhere = rule.endpoints.iter().any(|e| e.ready);
            return if elsewhere { Choice::NotHere } else { Choice::Nothing };
        }
        let key = (rule.service.clone(), client);
        let kept = rule.session_affinity_s.and_then(|seconds| {
            let (endpoint, used) = self.affinity.get(&key)?;
            let fresh = now.since(*used) <= Duration::from_secs(seconds);
            usable.iter().find(|u| fresh && (u.ip, u.port) == *endpoint).map(|e| (**e).clone())
        });
        let chosen = kept.unwrap_or_else(|| {
            self.draws += 1;
            usable[self.seed.below(self.draws, usable.len() as u64) as usize].clone()
        });
        if rule.session_affinity_s.is_some() {
            self.affinity.insert(key, ((chosen.ip, chosen.port), now));
        }
        Choice::Endpoint(chosen)
    }

    /// Remembers a connection from elsewhere that was led to an endpoint: its packets and the answers follow.
    pub(crate) fn add_forwarded(&mut self, seen_as: Endpoint, target: Endpoint, by: Forwarded) {
        self.forwarded.insert((seen_as, target), by);
        self.forwards.insert((by.client, by.called), (seen_as, target));
    }
    /// The client of a connection that was rewritten here, by its source as the endpoint sees it.
    pub(crate) fn forwarded(&self, seen_as: Endpoint, target: Endpoint) -> Option<Forwarded> {
        self.forwarded.get(&(seen_as, target)).copied()
    }
    /// Where a later packet of such a client goes: (source, endpoint).
    pub(crate) fn forwards(&self, client: Endpoint, called: Endpoint) -> Option<(Endpoint, Endpoint)> {
        self.forwards.get(&(client, called)).copied()
    }
    pub(crate) fn forget_forwarded(&mut self, seen_as: Endpoint, target: Endpoint) {
        if let Some(by) = self.forwarded.remove(&(seen_as, target)) {
            self.forwards.remove(&(by.client, by.called));
        }
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
        let open = conn.0 >> 63 == 1;
        self.ends.insert((near, far), End { owner, conn, open });
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
        Owner::Egress(n) => format!("egress-{n}").into(),
        Owner::Forward(n) => format!("forward-{n}").into(),
        Owner::Ssh(n) => format!("ssh-{n}").into(),
    }
}

/// The network that an address is in.
fn mask(network: IpAddr, bits: u8) -> IpAddr {
    Block { network, bits }.truncated().network
}

/// The `n`-th address of a network.
pub(crate) fn nth(network: IpAddr, n: u32) -> IpAddr {
    match network {
        IpAddr::V4(ip) => IpAddr::V4((u32::from(ip).wrapping_add(n)).into()),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip).wrapping_add(n.into())).into()),
    }
}

/// `10.244.1.0/24`, without bits beyond the prefix.
pub(crate) fn parse_range(text: &str) -> Option<Block> {
    Block::parse(text).map(Block::truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        let mut network = Network::new("172.18.0.3".parse().unwrap(), Seed(1));
        network.update(&KernelUpdate::PodCidrs { plugin: "bridge".into(), ranges: vec!["10.244.1.0/24".into()] });
        network.update(&KernelUpdate::Route { cidr: "10.244.2.0/24".into(), via: "172.18.0.4".parse().ok() });
        network
    }

    #[test]
    fn addresses_go_round_and_routes_are_by_pod_range() {
        let mut network = network();
        let first = network.add_pod(&"a".into()).unwrap()[0];
        assert_eq!(first.to_string(), "10.244.1.2");
        network.remove_pod(first);
        assert_eq!(network.add_pod(&"b".into()).unwrap()[0].to_string(), "10.244.1.3");
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
            kind: cri_api::packet::AddressKind::Cluster,
            masquerade: false,
        };
        network.update(&KernelUpdate::Service { service: "default/web".into(), rules: Rc::new(vec![rule]) });
        let rule = network.rule(("10.96.0.7".parse().unwrap(), 80), &"TCP".into()).cloned().unwrap();
        let client = "10.244.1.2".parse().unwrap();
        let at = |s| Time::EPOCH + Duration::from_secs(s);
        let first = network.choose(at(0), &rule, client);
        assert!((1..20).all(|n| network.choose(at(n), &rule, client) == first));
        // Each use counts anew; after three hours without one it is drawn again, and sooner or later differs.
        assert!((20..60).any(|n| network.choose(at(n * 10_801), &rule, client) != first));
        network.update(&KernelUpdate::Service { service: "default/web".into(), rules: Rc::default() });
        assert!(network.rule(("10.96.0.7".parse().unwrap(), 80), &"TCP".into()).is_none());
    }
}
