//! kube-proxy: watches Services and EndpointSlices and programs its node's kernel with what they mean.
//!
//! A real kube-proxy writes iptables or nftables rules; here a rule says the same in a table (virtual address and port → ready
//! endpoints), one message per changed service. Models `pkg/proxy`. Left out by name: IPVS, topology hints, terminating endpoints
//! as a last resort, `loadBalancerSourceRanges`, host port and health check node port servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use apimachinery::{Gvr, Object, ObjectKey, Response, ResponseBody, Value, resources, value};
use base::Sort as _;
use base::{Seed, Set, Time};
use client_go::{Client, ClientConfig, Delta, EventRecorderV1, EventType, Handled, Informers, Selectors};
use cri_api::packet::{AddressKind, KernelUpdate, RuleEndpoint, ServiceRule};
use sim::{Addr, Message, Outbox, Payload};

type Text = Rc<str>;

const SERVICES: usize = 0;
const SLICES: usize = 1;
/// Its own node: nothing else is asked for before that is known.
const NODE: usize = 2;

/// Left out: headless services, and those that another proxy takes care of.
const OURS: &str = "!service.kubernetes.io/service-proxy-name";
const NOT_HEADLESS: &str = "!service.kubernetes.io/headless";

/// One node's kube-proxy.
#[derive(Clone, Debug)]
pub struct KubeProxy {
    node: Text,
    /// The node's machine, whose kernel is programmed.
    machine: Addr,
    informers: Informers,
    /// For events.
    client: Client<()>,
    recorder: EventRecorderV1,
    node_known: bool,
    /// Services whose rules are in the kernel.
    programmed: Set<ObjectKey>,
    started: bool,
}

impl KubeProxy {
    pub fn new(node: &str, machine: Addr, config: ClientConfig, seed: Seed) -> KubeProxy {
        let mut informers = Informers::new(1, config.clone(), seed.derive("kube-proxy"));
        let services = Selectors { label: Some(OURS.into()), ..Selectors::field("spec.clusterIP!=None") };
        let services = informers.add(resources::services(), services, &[]);
        let slices = informers.add(resources::endpointslices(), Selectors::label(NOT_HEADLESS), &[by_service]);
        let me = informers.add(resources::nodes(), Selectors::field(&format!("metadata.name={node}")), &[]);
        // Followed as upstream does, which warns of services outside of every range.
        informers.add(Gvr::new("networking.k8s.io", "v1", "servicecidrs"), Selectors::default(), &[]);
        debug_assert_eq!((services, slices, me), (SERVICES, SLICES, NODE));
        KubeProxy {
            node: node.into(),
            machine,
            informers,
            client: Client::new(2, config),
            recorder: EventRecorderV1::new("kube-proxy", &format!("kube-proxy-{node}")),
            node_known: false,
            programmed: Set::new(),
            started: false,
        }
    }

    pub fn handle(&mut self, _now: Time, message: Message, out: &mut Outbox) {
        match &message.payload {
            Payload::Start => {
                self.kernel(KernelUpdate::FlushServices, out);
                self.informers.start_one(NODE, out);
            }
            Payload::ApiResponse { id, .. } if self.client.owns(*id) => drop(self.client.take(*id)),
            Payload::ApiRequest { id, .. } => out.respond(message.from, *id, self.health()),
            payload => {
                let handled = self.informers.handle(payload, out);
                if !self.node_known && self.informers.find(NODE, "", &self.node).is_some() {
                    self.on_node_known(out);
                }
                if !self.started && self.informers.all_synced() {
                    self.program_all(out);
                } else if let (Handled::Deltas(number, deltas), true) = (handled, self.started) {
                    self.changed(number, &deltas, out);
                }
            }
        }
    }

    /// The node is registered: says so, and follows the rest.
    fn on_node_known(&mut self, out: &mut Outbox) {
        self.node_known = true;
        self.informers.start(out);
        let about = value!({"kind": "Node", "name": (&self.node), "uid": (&self.node)});
        let action = "StartKubeProxy";
        let event = self.recorder.eventf(about, Value::Null, EventType::Normal, "Starting", action, "", out.now);
        self.client.call(event, (), out);
    }

    /// `/healthz`: 200 once both caches are filled.
    fn health(&self) -> Response {
        let code = if self.informers.all_synced() { 200 } else { 503 };
        Response { code, warnings: Vec::new(), body: ResponseBody::Text("text/plain".into(), "ok".into()) }
    }

    /// The first sync, when both caches are filled.
    fn program_all(&mut self, out: &mut Outbox) {
        self.started = true;
        let all: Vec<ObjectKey> = self.informers.store(SERVICES).iter().map(|(key, _)| key.clone()).collect();
        for key in all {
            self.program(&key, out);
        }
    }

    fn changed(&mut self, number: usize, deltas: &[Delta], out: &mut Outbox) {
        if !matches!(number, SERVICES | SLICES) {
            return;
        }
        let mut keys: Vec<ObjectKey> = deltas.iter().filter_map(|d| service_of(number, d.object())).collect();
        keys.order();
        keys.dedup();
        for key in keys {
            self.program(&key, out);
        }
    }

    /// Writes the rules of one service, or takes them away.
    fn program(&mut self, key: &ObjectKey, out: &mut Outbox) {
        let rules = match self.informers.store(SERVICES).get(key) {
            Some(service) => self.rules(key, service),
            None => Vec::new(),
        };
        let known = match rules.is_empty() {
            true => self.programmed.remove(key),
            false => !self.programmed.insert(key.clone()),
        };
        if known || !rules.is_empty() {
            let service = key.to_string().into();
            self.kernel(KernelUpdate::Service { service, rules: Rc::new(rules) }, out);
        }
    }

    fn rules(&self, key: &ObjectKey, service: &Object) -> Vec<ServiceRule> {
        let addresses = virtual_addresses(service);
        if addresses.is_empty() {
            return Vec::new();
        }
        let affinity = (service.str_at(&["spec", "sessionAffinity"]) == Some("ClientIP"))
            .then(|| service.int_at(&["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"]).unwrap_or(10_800));
        let local = |field| service.str_at(&["spec", field]) == Some("Local");
        let mut rules = Vec::new();
        for port in service.list_at(&["spec", "ports"]) {
            let name = port.str_at(&["name"]).unwrap_or("");
            let protocol: Text = port.str_at(&["protocol"]).unwrap_or("TCP").into();
            let all = self.endpoints(key, name, &protocol);
            // An address leads to endpoints of its own family.
            let [v4, v6] =
                [false, true].map(|v6| Rc::new(all.iter().filter(|e| e.ip.is_ipv6() == v6).cloned().collect::<Vec<_>>()));
            let rule = |ip: IpAddr, number: i64, local_only, kind: AddressKind| ServiceRule {
                service: format!("{key}:{name}").into(),
                ip,
                port: number as u16,
                protocol: protocol.clone(),
                endpoints: if ip.is_ipv6() { v6.clone() } else { v4.clone() },
                session_affinity_s: affinity,
                local_only,
                kind,
                // With `Local` the endpoint sees who calls.
                masquerade: kind.is_external() && !local_only,
            };
            let number = port.int_at(&["port"]).unwrap_or(0);
            rules.extend(addresses.iter().map(|(ip, kind)| {
                let field = if kind.is_external() { "externalTrafficPolicy" } else { "internalTrafficPolicy" };
                rule(*ip, number, local(field), *kind)
            }));
            if let Some(node_port) = port.int_at(&["nodePort"]).filter(|p| *p > 0) {
                let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
                let has = |any: &IpAddr| addresses.iter().any(|(ip, _)| ip.is_ipv6() == any.is_ipv6());
                let any = any.into_iter().filter(has);
                rules.extend(any.map(|any| rule(any, node_port, local("externalTrafficPolicy"), AddressKind::NodePort)));
            }
        }
        rules
    }

    /// The endpoints of one port of a service, from all its slices.
    fn endpoints(&self, key: &ObjectKey, port_name: &str, protocol: &str) -> Vec<RuleEndpoint> {
        let mut endpoints = Vec::new();
        for slice in self.informers.store(SLICES).by_index(0, &key.to_string()) {
            if slice.str_at(&["addressType"]) == Some("FQDN") {
                continue;
            }
            let port = slice
                .list_at(&["ports"])
                .iter()
                .find(|p| p.str_at(&["name"]).unwrap_or("") == port_name && p.str_at(&["protocol"]).unwrap_or("TCP") == protocol);
            let Some(port) = port.and_then(|p| p.int_at(&["port"])) else { continue };
            for endpoint in slice.list_at(&["endpoints"]) {
                let ip = endpoint.list_at(&["addresses"]).first().and_then(Value::as_str).and_then(|a| a.parse().ok());
                let Some(ip) = ip else { continue };
                endpoints.push(RuleEndpoint {
                    ip,
                    port: port as u16,
                    is_local: endpoint.str_at(&["nodeName"]) == Some(&self.node),
                    ready: endpoint.bool_at(&["conditions", "ready"]) != Some(false),
                });
            }
        }
        endpoints.order_by_key(|e| (e.ip, e.port));
        endpoints
    }

    fn kernel(&self, update: KernelUpdate, out: &mut Outbox) {
        out.send(self.machine, Payload::Kernel(Rc::new(update)));
    }

    /// The services whose rules are in the kernel, for the page.
    pub fn programmed(&self) -> impl Iterator<Item = &ObjectKey> {
        self.programmed.iter()
    }
}

/// Cluster, external and load balancer addresses.
fn virtual_addresses(service: &Object) -> Vec<(IpAddr, AddressKind)> {
    let parse = |v: &Value| v.as_str().and_then(|s| s.parse().ok());
    let mut addresses: Vec<(IpAddr, AddressKind)> =
        service.list_at(&["spec", "clusterIPs"]).iter().filter_map(parse).map(|ip| (ip, AddressKind::Cluster)).collect();
    addresses.extend(service.list_at(&["spec", "externalIPs"]).iter().filter_map(parse).map(|ip| (ip, AddressKind::External)));
    let ingress = service.list_at(&["status", "loadBalancer", "ingress"]);
    addresses.extend(ingress.iter().filter_map(|i| parse(i.get("ip")?)).map(|ip| (ip, AddressKind::LoadBalancer)));
    addresses
}

/// Slices by `namespace/service`.
fn by_service(slice: &Object, keys: &mut Vec<Rc<str>>) {
    if let Some(service) = slice.label("kubernetes.io/service-name") {
        keys.push(format!("{}/{service}", slice.namespace()).into());
    }
}

fn service_of(number: usize, object: &Object) -> Option<ObjectKey> {
    match number {
        SERVICES => Some(object.key()),
        _ => Some(ObjectKey::new(object.namespace(), object.label("kubernetes.io/service-name")?)),
    }
}
