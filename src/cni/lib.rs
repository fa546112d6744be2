//! The CNI plugin's agent on a node: gives the node its pod range, keeps routes to the other nodes' ranges, enforces policies.
//!
//! CNI itself only wires one pod to its node; making pods reach one another across nodes is the plugin's own business, and so are
//! NetworkPolicies. There are three plugins, in the manner of three real ones:
//!
//! | plugin | in the manner of | way to other nodes | policies |
//! | --- | --- | --- | --- |
//! | `bridge` | kindnet with a bridge | a route to each node's `spec.podCIDR` by the node's address | enforced |
//! | `flannel` | flannel | the same ranges, each packet wrapped into VXLAN | stored only; an event at each policy says so |
//! | `calico` | Calico with `usePodCidr`, without overlay | a route a pod on its node, a route a range between nodes (BGP's) | enforced |
//!
//! What the kernel does with a packet is the business of the node's machine; `compile.rs` and `enforcer.rs` say what policies mean.
//! Left out by name: Calico's own kinds (its policies, IP pools, BGP peers), IPIP and WireGuard, flannel's other backends.

mod compile;
mod enforcer;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::rc::Rc;

use apimachinery::{Object, Response, ResponseBody, Value, resources};
use base::{Map, Seed, Time};
use client_go::{Client, ClientConfig, Delta, EventRecorder, EventType, Handled, Informers, Selectors};
use cri_api::packet::KernelUpdate;
use cri_api::policy::PolicyUpdate;
use sim::{Addr, Message, Outbox, Payload};

use enforcer::Enforcer;

type Text = Rc<str>;

/// Which plugin an agent belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    Bridge,
    Flannel,
    Calico,
}

impl Plugin {
    /// By the name of the agent's program: `kindnetd`, `flanneld`, `calico-node`.
    pub fn of_program(program: &str) -> Option<Plugin> {
        Some(match program {
            "kindnetd" => Plugin::Bridge,
            "flanneld" => Plugin::Flannel,
            "calico-node" => Plugin::Calico,
            _ => return None,
        })
    }
    /// As configurations and the kernel name it.
    pub fn name(self) -> &'static str {
        match self {
            Plugin::Bridge => "bridge",
            Plugin::Flannel => "flannel",
            Plugin::Calico => "calico",
        }
    }
    /// As it calls itself in requests and events.
    pub fn agent(self) -> &'static str {
        match self {
            Plugin::Bridge => "kindnet",
            Plugin::Flannel => "flannel",
            Plugin::Calico => "calico-node",
        }
    }
    pub fn enforces(self) -> bool {
        self != Plugin::Flannel
    }
}

/// The agent of one node.
#[derive(Clone, Debug)]
pub struct Agent {
    plugin: Plugin,
    node: Text,
    machine: Addr,
    informers: Informers,
    /// Routes in the kernel: node → (range, next hop), one per family.
    routes: Map<Text, Vec<(Text, IpAddr)>>,
    own: Vec<Text>,
    enforcer: Option<Enforcer>,
    events: Client<()>,
    recorder: EventRecorder,
}

/// Numbers of informers.
const NODES: usize = 0;
const POLICIES: usize = 1;

const NOT_ENFORCED: &str = "NetworkPolicies are stored but not enforced: this network plugin has no policies, all traffic passes";

impl Agent {
    pub fn new(plugin: Plugin, node: &str, machine: Addr, config: ClientConfig, seed: Seed) -> Agent {
        let events = Client::new(2, config.clone());
        let mut informers = Informers::new(1, config.clone(), seed.derive("cni"));
        informers.add(resources::nodes(), Selectors::default(), &[]);
        informers.add(resources::networkpolicies(), Selectors::default(), &[]);
        let recorder = EventRecorder::new(plugin.agent(), node);
        let enforcer = plugin.enforces().then(|| Enforcer::new(node, config, seed));
        Agent { plugin, node: node.into(), machine, informers, routes: Map::new(), own: Vec::new(), enforcer, events, recorder }
    }

    pub fn handle(&mut self, _now: Time, message: Message, out: &mut Outbox) {
        match &message.payload {
            Payload::Start => self.informers.start(out),
            Payload::ApiRequest { id, .. } => {
                let body = ResponseBody::Text("text/plain".into(), "ok".into());
                out.respond(message.from, *id, Response { code: 200, warnings: Vec::new(), body });
            }
            Payload::ApiResponse { id, .. } if self.events.owns(*id) => drop(self.events.take(*id)),
            payload => {
                if let Some(updates) = self.enforcer.as_mut().and_then(|e| e.handle(payload, out)) {
                    return self.enforce(updates, out);
                }
                let had = self.informers.get(POLICIES).has_synced();
                let handled = self.informers.handle(payload, out);
                if !had && self.informers.get(POLICIES).has_synced() && self.informers.store(POLICIES).is_empty() {
                    self.forget_policies(out);
                }
                let Handled::Deltas(number, deltas) = handled else { return };
                for delta in &deltas {
                    match number {
                        NODES => self.node_changed(delta, out),
                        _ => self.policy_changed(delta, out),
                    }
                }
            }
        }
    }

    /// What an earlier agent of this node may have left in the kernel.
    fn forget_policies(&self, out: &mut Outbox) {
        if self.enforcer.is_some() {
            self.kernel(KernelUpdate::Policies(vec![PolicyUpdate::Flush]), out);
        }
    }

    fn policy_changed(&mut self, delta: &Delta, out: &mut Outbox) {
        if let Some(enforcer) = &mut self.enforcer {
            let updates = enforcer.policy_changed(delta, out);
            return self.enforce(updates, out);
        }
        let (None, Some(policy)) = (&delta.old, &delta.new) else { return };
        // The agents all see a new policy; the one of the first node says that nothing comes of it.
        let is_first = self.routes.get_min().is_none_or(|(other, _)| self.node < *other);
        // What was there before this agent has been spoken of.
        if !is_first || delta.initial {
            return;
        }
        if let Some(event) = self.recorder.event(policy, EventType::Warning, "NotEnforced", NOT_ENFORCED, out.now) {
            self.events.call(event, (), out);
        }
    }

    fn enforce(&self, updates: Vec<PolicyUpdate>, out: &mut Outbox) {
        if !updates.is_empty() {
            self.kernel(KernelUpdate::Policies(updates), out);
        }
    }

    fn node_changed(&mut self, delta: &Delta, out: &mut Outbox) {
        let node = delta.object();
        let name: Text = node.name().into();
        let ranges = if delta.new.is_some() { ranges(node) } else { Vec::new() };
        if name == self.node {
            if !ranges.is_empty() && ranges != self.own {
                self.own = ranges.clone();
                self.kernel(KernelUpdate::PodCidrs { plugin: self.plugin.name().into(), ranges }, out);
            }
            return;
        }
        let hop = |range: &Text| addresses(node).find(|ip| ip.is_ipv6() == range.contains(':'));
        let wanted: Vec<(Text, IpAddr)> = ranges.iter().filter_map(|range| Some((range.clone(), hop(range)?))).collect();
        let known = self.routes.get(&name).cloned().unwrap_or_default();
        if wanted == known {
            return;
        }
        for (cidr, _) in known {
            self.kernel(KernelUpdate::Route { cidr, via: None }, out);
        }
        for (cidr, via) in &wanted {
            self.kernel(KernelUpdate::Route { cidr: cidr.clone(), via: Some(*via) }, out);
        }
        match wanted.is_empty() {
            true => self.routes.remove(&name),
            false => self.routes.insert(name, wanted),
        };
    }

    fn kernel(&self, update: KernelUpdate, out: &mut Outbox) {
        out.send(self.machine, Payload::Kernel(Rc::new(update)));
    }

    /// The routes in the kernel, for the page: node, ranges with their next hops.
    pub fn routes(&self) -> impl Iterator<Item = (&Text, &Vec<(Text, IpAddr)>)> {
        self.routes.iter()
    }
}

/// A node's pod ranges, one per family.
fn ranges(node: &Object) -> Vec<Text> {
    let list = node.list_at(&["spec", "podCIDRs"]);
    let mut ranges: Vec<Text> = list.iter().filter_map(Value::as_str).map(Into::into).collect();
    if ranges.is_empty() {
        ranges.extend(node.str_at(&["spec", "podCIDR"]).filter(|r| !r.is_empty()).map(Text::from));
    }
    ranges
}

fn addresses(node: &Object) -> impl Iterator<Item = IpAddr> {
    let addresses = node.list_at(&["status", "addresses"]).iter();
    addresses.filter(|a| a.str_at(&["type"]) == Some("InternalIP")).filter_map(|a| a.str_at(&["address"])?.parse().ok())
}
