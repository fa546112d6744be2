//! NetworkPolicies as a node's kernel holds them: rules over sets of addresses, and which of them apply to a pod of the node.
//!
//! A real agent writes chains of iptables or nftables, or BPF maps, and IP sets beside them. A selector becomes a set of addresses
//! here too, so that a pod that comes or goes changes a set and no rule. Who compiles policies into this is the CNI plugin's
//! agent; who looks connections up in it is the node's machine.

use std::net::IpAddr;
use std::rc::Rc;

use base::{Map, Set};

use crate::packet::Endpoint;
use crate::program::Text;

/// How a policy looks at a connection: by the pod that is called, or by the one that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Ingress,
    Egress,
}

/// The compiled rules of one policy.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PolicyRules {
    pub ingress: Vec<PolicyRule>,
    pub egress: Vec<PolicyRule>,
}

/// Lets pass what is from (or to) one of the peers and to one of the ports. Empty: all of them.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PolicyRule {
    pub peers: Vec<Peer>,
    pub ports: Vec<PortMatch>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Peer {
    /// Members of a set by its name.
    Set(Text),
    Block {
        block: Block,
        except: Vec<Block>,
    },
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    pub network: IpAddr,
    pub bits: u8,
}

impl Block {
    /// `10.0.0.0/8`
    pub fn parse(text: &str) -> Option<Block> {
        let (network, bits) = text.split_once('/')?;
        let (network, bits): (IpAddr, u8) = (network.parse().ok()?, bits.parse().ok()?);
        (bits <= if network.is_ipv4() { 32 } else { 128 }).then_some(Block { network, bits })
    }

    /// Without bits beyond the prefix.
    pub fn truncated(self) -> Block {
        let network = match self.network {
            IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) & u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0)).into()),
            IpAddr::V6(ip) => {
                IpAddr::V6((u128::from(ip) & u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0)).into())
            }
        };
        Block { network, ..self }
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let differ = u32::from(network) ^ u32::from(ip);
                differ.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let differ = u128::from(network) ^ u128::from(ip);
                differ.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum PortMatch {
    /// Both ends included; 0 to 65535: any port of the protocol.
    Range { protocol: Text, from: u16, to: u16 },
    /// A port by its name: the called address and port are a member of the set.
    Named { protocol: Text, set: Text },
}

/// Which policies apply to a pod; `None`: it is not isolated that way, everything passes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Applied {
    pub ingress: Option<Vec<Text>>,
    pub egress: Option<Vec<Text>>,
}

/// A change to the kernel's policies.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyUpdate {
    /// The agent starts: nothing is known.
    Flush,
    /// The rules of a policy (`namespace/name`); none: it is gone.
    Rules {
        policy: Text,
        rules: Option<Rc<PolicyRules>>,
    },
    /// Members of a set: address, and port where the set is of named ports (else 0).
    Set {
        set: Text,
        add: Vec<Endpoint>,
        remove: Vec<Endpoint>,
    },
    DropSet(Text),
    /// A pod of this node (`namespace/name`).
    Pod {
        pod: Text,
        applied: Option<Rc<Applied>>,
    },
}

/// What is said of a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// No policy has a say.
    Free,
    /// This policy lets it pass.
    Admitted(Text),
    /// The pod is isolated and none of these policies lets it pass.
    Dropped(Vec<Text>),
}

/// One connection that begins.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The other end: the caller of an ingress rule, the called end of an egress rule.
    pub peer: IpAddr,
    /// What is called.
    pub called: Endpoint,
    /// `TCP`, `UDP`, `SCTP`, `ICMP`
    pub protocol: &'a str,
}

/// The policies in a node's kernel.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    rules: Map<Text, Rc<PolicyRules>>,
    sets: Map<Text, Set<Endpoint>>,
    pods: Map<Text, Rc<Applied>>,
}

impl Policies {
    pub fn update(&mut self, updates: &[PolicyUpdate]) {
        for update in updates {
            match update {
                PolicyUpdate::Flush => *self = Policies::default(),
                PolicyUpdate::Rules { policy, rules: Some(rules) } => drop(self.rules.insert(policy.clone(), rules.clone())),
                PolicyUpdate::Rules { policy, rules: None } => drop(self.rules.remove(policy)),
                PolicyUpdate::Set { set, add, remove } => {
                    let mut members = self.sets.get(set).cloned().unwrap_or_default();
                    for member in remove {
                        members.remove(member);
                    }
                    for member in add {
                        members.insert(*member);
                    }
                    self.sets.insert(set.clone(), members);
                }
                PolicyUpdate::DropSet(set) => drop(self.sets.remove(set)),
                PolicyUpdate::Pod { pod, applied: Some(applied) } => drop(self.pods.insert(pod.clone(), applied.clone())),
                PolicyUpdate::Pod { pod, applied: None } => drop(self.pods.remove(pod)),
            }
        }
    }

    /// Whether no pod of this node is selected by a policy.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }
    pub fn rules(&self) -> impl Iterator<Item = (&Text, &Rc<PolicyRules>)> {
        self.rules.iter()
    }
    pub fn sets(&self) -> impl Iterator<Item = (&Text, &Set<Endpoint>)> {
        self.sets.iter()
    }
    pub fn pods(&self) -> impl Iterator<Item = (&Text, &Rc<Applied>)> {
        self.pods.iter()
    }

    /// Whether a connection may begin, as far as one of its pods (`namespace/name`) is concerned.
    pub fn verdict(&self, direction: Direction, pod: &str, attempt: &Attempt<'_>) -> Verdict {
        let Some(applied) = self.pods.get(pod) else { return Verdict::Free };
        let names = match direction {
            Direction::Ingress => &applied.ingress,
            Direction::Egress => &applied.egress,
        };
        let Some(names) = names else { return Verdict::Free };
        let admits = |name: &&Text| {
            let rules = self.rules.get(*name).map(|r| match direction {
                Direction::Ingress => &r.ingress,
                Direction::Egress => &r.egress,
            });
            rules.is_some_and(|rules| rules.iter().any(|rule| self.matches(rule, attempt)))
        };
        match names.iter().find(admits) {
            Some(name) => Verdict::Admitted(name.clone()),
            None => Verdict::Dropped(names.clone()),
        }
    }

    fn matches(&self, rule: &PolicyRule, attempt: &Attempt<'_>) -> bool {
        let has = |set: &Text, member: Endpoint| self.sets.get(set).is_some_and(|s| s.contains(&member));
        let peer = |peer: &Peer| match peer {
            Peer::Set(set) => has(set, (attempt.peer, 0)),
            Peer::Block { block, except } => block.contains(attempt.peer) && !except.iter().any(|b| b.contains(attempt.peer)),
        };
        let port = |port: &PortMatch| match port {
            PortMatch::Range { protocol, from, to } => {
                **protocol == *attempt.protocol && (*from..=*to).contains(&attempt.called.1)
            }
            PortMatch::Named { protocol, set } => **protocol == *attempt.protocol && has(set, attempt.called),
        };
        (rule.peers.is_empty() || rule.peers.iter().any(peer)) && (rule.ports.is_empty() || rule.ports.iter().any(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn blocks_hold_their_addresses() {
        for (block, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("10.244.1.7/32", "10.244.1.7", true),
            ("10.244.1.7/32", "10.244.1.6", false),
            ("fd00::/16", "fd00::1", true),
            ("::/0", "fd00::1", true),
            ("::/0", "10.0.0.1", false),
        ] {
            assert_eq!(Block::parse(block).unwrap().contains(ip(address)), inside, "{block} {address}");
        }
        assert_eq!(Block::parse("10.0.0.0/33"), None);
    }

    #[test]
    fn an_isolated_pod_gets_what_a_rule_lets_pass() {
        let mut policies = Policies::default();
        let tcp = |from, to| PortMatch::Range { protocol: "TCP".into(), from, to };
        let rule = PolicyRule { peers: vec![Peer::Set("clients".into())], ports: vec![tcp(80, 90)] };
        policies.update(&[
            PolicyUpdate::Rules {
                policy: "default/allow".into(),
                rules: Some(Rc::new(PolicyRules { ingress: vec![rule], egress: Vec::new() })),
            },
            PolicyUpdate::Set { set: "clients".into(), add: vec![(ip("10.244.1.2"), 0)], remove: Vec::new() },
            PolicyUpdate::Pod {
                pod: "default/web".into(),
                applied: Some(Rc::new(Applied { ingress: Some(vec!["default/allow".into()]), egress: None })),
            },
        ]);
        let ask = |policies: &Policies, from: &str, port, protocol: &'static str| {
            let attempt = Attempt { peer: ip(from), called: (ip("10.244.2.2"), port), protocol };
            policies.verdict(Direction::Ingress, "default/web", &attempt)
        };
        assert_eq!(ask(&policies, "10.244.1.2", 85, "TCP"), Verdict::Admitted("default/allow".into()));
        let dropped = Verdict::Dropped(vec!["default/allow".into()]);
        assert_eq!(ask(&policies, "10.244.1.2", 91, "TCP"), dropped);
        assert_eq!(ask(&policies, "10.244.1.2", 85, "UDP"), dropped);
        assert_eq!(ask(&policies, "10.244.1.3", 85, "TCP"), dropped);
        let attempt = Attempt { peer: ip("10.244.1.3"), called: (ip("10.244.2.2"), 80), protocol: "TCP" };
        assert_eq!(policies.verdict(Direction::Egress, "default/web", &attempt), Verdict::Free);
        assert_eq!(policies.verdict(Direction::Ingress, "default/other", &attempt), Verdict::Free);
        policies.update(&[PolicyUpdate::Set { set: "clients".into(), add: Vec::new(), remove: vec![(ip("10.244.1.2"), 0)] }]);
        assert_eq!(ask(&policies, "10.244.1.2", 85, "TCP"), dropped);
    }
}
