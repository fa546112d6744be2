//! A NetworkPolicy as rules over sets of addresses. Selectors become sets, which other policies with the same selector share.

use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::{Object, Value};
use cri_api::policy::{Block, Peer, PolicyRule, PolicyRules, PortMatch};

type Text = Rc<str>;

/// Whose addresses a set holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Members {
    /// Pods of one namespace.
    Of { namespace: Text, pods: Selector },
    /// Pods of the namespaces that a selector matches.
    Among { namespaces: Selector, pods: Selector },
    /// Container ports of a name: address and port.
    Ports { name: Text, protocol: Text },
}

impl Members {
    /// The name by which rules speak of it: the same for the same selectors.
    pub fn name(&self) -> Text {
        match self {
            Members::Of { namespace, pods } => format!("pods in {namespace} with {}", shown(pods)).into(),
            Members::Among { namespaces, pods } => format!("pods in [{}] with {}", shown(namespaces), shown(pods)).into(),
            Members::Ports { name, protocol } => format!("ports {name}/{protocol}").into(),
        }
    }
}

fn shown(selector: &Selector) -> String {
    if selector.is_everything() { "any labels".into() } else { selector.to_string() }
}

/// A policy, ready for the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub selector: Selector,
    pub ingress: bool,
    pub egress: bool,
    pub rules: Rc<PolicyRules>,
    pub sets: Vec<Members>,
}

/// Compiles a policy that kube-apiserver has validated and defaulted.
pub(crate) fn compile(policy: &Object) -> Compiled {
    let mut sets = Vec::new();
    let mut rules = |list: &str, peers: &str| -> Vec<PolicyRule> {
        let rule = |rule: &Value| PolicyRule {
            peers: rule.list_at(&[peers]).iter().filter_map(|p| peer(policy, p, &mut sets)).collect(),
            ports: rule.list_at(&["ports"]).iter().filter_map(|p| port(p, &mut sets)).collect(),
        };
        policy.list_at(&["spec", list]).iter().map(rule).collect()
    };
    let rules = Rc::new(PolicyRules { ingress: rules("ingress", "from"), egress: rules("egress", "to") });
    let types = policy.list_at(&["spec", "policyTypes"]);
    let has = |kind| types.iter().any(|t| t.as_str() == Some(kind));
    Compiled {
        selector: selector(policy.at(&["spec", "podSelector"])),
        ingress: types.is_empty() || has("Ingress"),
        egress: has("Egress") || types.is_empty() && !rules.egress.is_empty(),
        rules,
        sets,
    }
}

/// Validation has refused what can't be read: nothing is matched by it.
fn selector(value: Option<&Value>) -> Selector {
    Selector::from_label_selector(value).unwrap_or_else(|_| Selector::nothing())
}

fn peer(policy: &Object, peer: &Value, sets: &mut Vec<Members>) -> Option<Peer> {
    if let Some(block) = peer.get("ipBlock") {
        let parse = |v: &Value| Block::parse(v.as_str()?);
        let except = block.list_at(&["except"]).iter().filter_map(parse).collect();
        return Some(Peer::Block { block: parse(block.get("cidr")?)?, except });
    }
    let pods = match peer.get("podSelector") {
        Some(pods) => selector(Some(pods)),
        None => Selector::everything(),
    };
    let members = match peer.get("namespaceSelector") {
        Some(namespaces) => Members::Among { namespaces: selector(Some(namespaces)), pods },
        None => Members::Of { namespace: policy.namespace().into(), pods },
    };
    Some(Peer::Set(remember(members, sets)))
}

fn port(port: &Value, sets: &mut Vec<Members>) -> Option<PortMatch> {
    let protocol: Text = port.str_at(&["protocol"]).unwrap_or("TCP").into();
    Some(match port.get("port") {
        None => PortMatch::Range { protocol, from: 0, to: u16::MAX },
        Some(Value::Str(name)) => {
            let members = Members::Ports { name: name.clone(), protocol: protocol.clone() };
            PortMatch::Named { protocol, set: remember(members, sets) }
        }
        Some(number) => {
            let from = u16::try_from(number.as_i64()?).ok()?;
            let to = port.int_at(&["endPort"]).and_then(|n| u16::try_from(n).ok()).unwrap_or(from);
            PortMatch::Range { protocol, from, to }
        }
    })
}

fn remember(members: Members, sets: &mut Vec<Members>) -> Text {
    let name = members.name();
    if !sets.contains(&members) {
        sets.push(members);
    }
    name
}
