//! NetworkPolicies as chains and IP sets: what `iptables-save` and `ipset list` show of the table that `policy.rs` goes by.
//!
//! In the form of Calico's Felix where Calico is the plugin, else in that of kube-router: a chain a pod and direction, which runs
//! through a chain for each policy and drops what none of them accepted.

use std::fmt::Write;
use std::net::IpAddr;

use cri_api::policy::{Applied, Direction, Peer, PolicyRule, PortMatch};

use super::iptables::{Table, hash};
use crate::Runtime;

const MARK: &str = "0x10000/0x10000";

impl Runtime {
    pub(super) fn policy_chains(&self, table: &mut Table) {
        let policies = self.network.policies();
        if policies.is_empty() {
            return;
        }
        let calico = self.network.plugin() == "calico";
        let dispatch = if calico { "cali-FORWARD" } else { "KUBE-ROUTER-FORWARD" };
        table.chain(dispatch);
        table.add("FORWARD", format!("-m comment --comment \"network policies\" -j {dispatch}"));
        table.add(dispatch, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
        for (pod, applied) in policies.pods() {
            let Some(ip) = self.address_of_pod(pod) else { continue };
            for direction in [Direction::Ingress, Direction::Egress] {
                self.pod_chain(table, dispatch, pod, ip, applied, direction);
            }
        }
        for (name, rules) in policies.rules() {
            for (direction, rules) in [(Direction::Ingress, &rules.ingress), (Direction::Egress, &rules.egress)] {
                let chain = policy_chain(calico, name, direction);
                if table.rules.iter().any(|r| r.ends_with(&format!("-j {chain}"))) {
                    table.chain(&chain);
                    for rule in rules {
                        accept(table, &chain, rule, direction, calico);
                    }
                }
            }
        }
    }

    fn address_of_pod(&self, pod: &str) -> Option<IpAddr> {
        let (namespace, name) = pod.split_once('/')?;
        let is_it =
            |s: &&std::rc::Rc<crate::Sandbox>| s.ready && *s.config.pod_namespace == *namespace && *s.config.pod_name == *name;
        self.sandboxes.values().find(is_it)?.ips.first().copied()
    }

    fn pod_chain(&self, table: &mut Table, dispatch: &str, pod: &str, ip: IpAddr, applied: &Applied, direction: Direction) {
        let names = match direction {
            Direction::Ingress => &applied.ingress,
            Direction::Egress => &applied.egress,
        };
        let Some(names) = names else { return };
        let calico = self.network.plugin() == "calico";
        let (flag, side, word) = match direction {
            Direction::Ingress => ("-d", "tw", "destined to"),
            Direction::Egress => ("-s", "fw", "leaving"),
        };
        let chain = match calico {
            true => format!("cali-{side}-{}", self.veth_of(ip)),
            false => format!("KUBE-POD-FW-{}", hash(&format!("{pod}{side}"))),
        };
        table.chain(&chain);
        table.add(dispatch, format!("{flag} {ip}/32 -m comment --comment \"traffic {word} pod {pod}\" -j {chain}"));
        for name in names {
            let run = format!("-m comment --comment \"run through policy {name}\" -m mark ! --mark {MARK}");
            table.add(&chain, format!("{run} -j {}", policy_chain(calico, name, direction)));
        }
        table.add(&chain, format!("-m comment --comment \"accepted by a policy\" -m mark --mark {MARK} -j RETURN"));
        table.add(&chain, "-m comment --comment \"accepted by none\" -j DROP");
    }

    /// `ipset list [SET]`.
    pub(super) fn ipset(&self, args: &[&str]) -> Result<String, String> {
        let wanted = match args {
            ["list"] | ["-L"] => None,
            ["list" | "-L", name] => Some(*name),
            _ => return Err("ipset: in this bottle it lists: ipset list [SETNAME]\n".into()),
        };
        let calico = self.network.plugin() == "calico";
        let mut text = String::new();
        for (name, members) in self.network.policies().sets() {
            let shown = set_name(calico, name);
            if wanted.is_some_and(|w| w != shown) {
                continue;
            }
            let has_ports = members.iter().any(|(_, port)| *port != 0);
            let kind = if has_ports { "hash:ip,port" } else { "hash:ip" };
            let _ =
                writeln!(text, "Name: {shown}\nType: {kind}\nComment: {name}\nNumber of entries: {}\nMembers:", members.len());
            for (ip, port) in members {
                let _ = if *port == 0 { writeln!(text, "{ip}") } else { writeln!(text, "{ip},{port}") };
            }
            text.push('\n');
        }
        match (text.is_empty(), wanted) {
            (true, Some(_)) => Err("ipset v7.17: The set with the given name does not exist\n".into()),
            _ => Ok(text),
        }
    }
}

fn policy_chain(calico: bool, policy: &str, direction: Direction) -> String {
    let side = if direction == Direction::Ingress { "pi" } else { "po" };
    if calico {
        format!("cali-{side}-{}", policy.replace('/', "."))
    } else {
        format!("KUBE-NWPLCY-{}", hash(&format!("{policy}{side}")))
    }
}

fn set_name(calico: bool, set: &str) -> String {
    let hash = hash(set);
    if calico { format!("cali40s:{hash}") } else { format!("KUBE-SRC-{hash}") }
}

/// One line for each peer and port that a rule accepts.
fn accept(table: &mut Table, chain: &str, rule: &PolicyRule, direction: Direction, calico: bool) {
    let (flag, side) = if direction == Direction::Ingress { ("-s", "src") } else { ("-d", "dst") };
    let peer = |peer: &Peer| match peer {
        Peer::Set(set) => format!("-m set --match-set {} {side} ", set_name(calico, set)),
        Peer::Block { block, except } => {
            let except: String = except.iter().map(|b| format!("! {flag} {b} ")).collect();
            format!("{flag} {block} {except}")
        }
    };
    let port = |port: &PortMatch| match port {
        PortMatch::Range { protocol, from: 0, to: u16::MAX } => format!("-p {} ", protocol.to_ascii_lowercase()),
        PortMatch::Range { protocol, from, to } => {
            let protocol = protocol.to_ascii_lowercase();
            let ports = if from == to { from.to_string() } else { format!("{from}:{to}") };
            format!("-p {protocol} -m {protocol} --dport {ports} ")
        }
        PortMatch::Named { protocol, set } => {
            format!("-p {} -m set --match-set {} dst,dst ", protocol.to_ascii_lowercase(), set_name(calico, set))
        }
    };
    let all = vec![String::new()];
    let peers = if rule.peers.is_empty() { all.clone() } else { rule.peers.iter().map(peer).collect() };
    let ports = if rule.ports.is_empty() { all } else { rule.ports.iter().map(port).collect() };
    for peer in &peers {
        for port in &ports {
            table.add(chain, format!("{peer}{port}-j MARK --set-xmark {MARK}"));
        }
    }
}
