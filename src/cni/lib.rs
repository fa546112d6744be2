//! The CNI plugin's agent on a node: gives the node its pod range and keeps routes to the other nodes' ranges.
//!
//! CNI itself only wires one pod to its node; making pods reach one another across nodes is the plugin's own business. This one
//! does what flannel does with its host-gw backend: it watches Nodes and routes each `spec.podCIDR` by that node's address.
//! Left out by name: overlays (VXLAN), other plugins, and network policies: as with flannel they are stored and nobody acts on
//! them. Flannel says nothing; here an event says so about each policy.

use std::net::IpAddr;
use std::rc::Rc;

use apimachinery::{Gvr, Object, Response, ResponseBody, resources};
use base::{Map, Seed, Time};
use client_go::{Client, ClientConfig, Delta, EventRecorder, EventType, Handled, Informers, Selectors};
use cri_api::packet::KernelUpdate;
use sim::{Addr, Message, Outbox, Payload};

type Text = Rc<str>;

/// The agent of one node.
#[derive(Clone, Debug)]
pub struct Agent {
    node: Text,
    machine: Addr,
    informers: Informers,
    /// Routes in the kernel: node → (range, next hop).
    routes: Map<Text, (Text, IpAddr)>,
    own: Option<Text>,
    events: Client<()>,
    recorder: EventRecorder,
}

/// Numbers of informers.
const NODES: usize = 0;

const NOT_ENFORCED: &str = "NetworkPolicies are stored but not enforced: this network plugin has no policies, all traffic passes";

impl Agent {
    pub fn new(node: &str, machine: Addr, config: ClientConfig, seed: Seed) -> Agent {
        let events = Client::new(2, config.clone());
        let mut informers = Informers::new(1, config, seed.derive("cni"));
        informers.add(resources::nodes(), Selectors::default(), &[]);
        informers.add(Gvr::new("networking.k8s.io", "v1", "networkpolicies"), Selectors::default(), &[]);
        let recorder = EventRecorder::new("flannel", node);
        Agent { node: node.into(), machine, informers, routes: Map::new(), own: None, events, recorder }
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
                if let Handled::Deltas(number, deltas) = self.informers.handle(payload, out) {
                    for delta in &deltas {
                        match number {
                            NODES => self.node_changed(delta, out),
                            _ => self.policy_changed(delta, out),
                        }
                    }
                }
            }
        }
    }

    /// The agents all see a new policy; the one of the first node says that nothing comes of it.
    fn policy_changed(&mut self, delta: &Delta, out: &mut Outbox) {
        let (None, Some(policy)) = (&delta.old, &delta.new) else { return };
        let is_first = self.routes.get_min().is_none_or(|(other, _)| self.node < *other);
        // What was there before this agent has been spoken of.
        if !is_first || delta.initial {
            return;
        }
        if let Some(event) = self.recorder.event(policy, EventType::Warning, "NotEnforced", NOT_ENFORCED, out.now) {
            self.events.call(event, (), out);
        }
    }

    fn node_changed(&mut self, delta: &Delta, out: &mut Outbox) {
        let node = delta.object();
        let name: Text = node.name().into();
        let gone = delta.new.is_none();
        let range: Option<Text> = node.str_at(&["spec", "podCIDR"]).filter(|r| !r.is_empty() && !gone).map(Into::into);
        if name == self.node {
            if range.is_some() && range != self.own {
                self.own = range.clone();
                self.kernel(KernelUpdate::PodCidrs(range.into_iter().collect()), out);
            }
            return;
        }
        let wanted = range.zip(internal_ip(node));
        let known = self.routes.get(&name).cloned();
        if wanted == known {
            return;
        }
        if let Some((cidr, _)) = known {
            self.kernel(KernelUpdate::Route { cidr, via: None }, out);
            self.routes.remove(&name);
        }
        if let Some((cidr, via)) = wanted {
            self.kernel(KernelUpdate::Route { cidr: cidr.clone(), via: Some(via) }, out);
            self.routes.insert(name, (cidr, via));
        }
    }

    fn kernel(&self, update: KernelUpdate, out: &mut Outbox) {
        out.send(self.machine, Payload::Kernel(Rc::new(update)));
    }

    /// The routes in the kernel, for the page: node, range, next hop.
    pub fn routes(&self) -> impl Iterator<Item = (&Text, &(Text, IpAddr))> {
        self.routes.iter()
    }
}

fn internal_ip(node: &Object) -> Option<IpAddr> {
    let addresses = node.list_at(&["status", "addresses"]);
    addresses.iter().find(|a| a.str_at(&["type"]) == Some("InternalIP"))?.str_at(&["address"])?.parse().ok()
}
