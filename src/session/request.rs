//! The last request to a Service, from the trace: who asked for the name, what was called, which endpoint the rules chose and why.

use std::net::IpAddr;

use apimachinery::{Object, Value, resources};
use base::Time;
use cluster::{Bottle, Cluster, Record};
use cri_api::net::{Answer, RecordData, ResponseCode};
use cri_api::packet::{Endpoint, HopKind, Packet, PacketBody};
use cri_api::policy::Direction;
use lenses::HopSeen;
use protocol::{Glyph, State, Thing};
use sim::Payload;

use crate::api;

/// Messages looked at most.
const MAX_RECORDS: usize = 60_000;

/// A name that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The box of the server.
    pub server: String,
    name: String,
    answer: Option<String>,
    message: u64,
}

/// One connection to the Service.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The box of the client.
    pub from: String,
    /// What it called: a virtual address or a node port.
    pub called: Endpoint,
    /// The node whose rules translated it.
    pub rule_node: Option<String>,
    pub endpoint: Option<Endpoint>,
    pub dns: Option<Asked>,
    at: Time,
    of: u32,
    message: u64,
    refused: Option<String>,
    /// Dropped on its way, and why.
    dropped: Option<String>,
    /// Policies that let it leave its pod, and enter the endpoint.
    admitted: [Option<String>; 2],
    /// The caller's address as the endpoint sees it.
    seen_as: IpAddr,
    accepted: bool,
    endpoint_pod: Option<(String, String)>,
    via: Option<String>,
    /// The node port that the cloud's load balancer chose, if it came that way.
    balanced: Option<Endpoint>,
}

/// Finds the newest connection to a Service.
pub(crate) fn last(bottle: &Bottle, service: &Object, pods: &[Object]) -> Option<Request> {
    let now = bottle.shown().now();
    let target = Target::of(bottle.shown(), service);
    let records = bottle.trace().newest().filter(|r| r.message.sent <= now).take(MAX_RECORDS);
    let found = records.filter_map(|r| Some((r, packet(r)?))).find_map(|(r, p)| target.opening(r, p))?;
    Some(complete(bottle, found, pods, now))
}

fn packet(record: &Record) -> Option<&Packet> {
    match &record.message.payload {
        Payload::Packet(packet) => Some(packet),
        _ => None,
    }
}

/// By what a packet is known to be for a Service.
struct Target {
    /// `default/web:`
    key: String,
    /// Its virtual addresses, and the ports that it has on every node.
    virtual_ends: Vec<Endpoint>,
    node_ports: Vec<u16>,
    /// Of a headless one: the pods' own addresses.
    direct: Vec<Endpoint>,
}

impl Target {
    fn of(cluster: &Cluster, service: &Object) -> Target {
        let ports = service.list_at(&["spec", "ports"]);
        let number = |p: &Value, field: &str| p.int_at(&[field]).and_then(|n| u16::try_from(n).ok());
        let ips = service.list_at(&["spec", "clusterIPs"]).iter().filter_map(|ip| ip.as_str()?.parse::<IpAddr>().ok());
        let ips: Vec<IpAddr> = ips.collect();
        let all = |ip: &IpAddr| ports.iter().filter_map(|p| Some((*ip, number(p, "port")?))).collect::<Vec<_>>();
        let mut target = Target {
            key: format!("{}/{}:", service.namespace(), service.name()),
            virtual_ends: ips.iter().flat_map(all).collect(),
            node_ports: ports.iter().filter_map(|p| number(p, "nodePort")).collect(),
            direct: Vec::new(),
        };
        if service.str_at(&["spec", "clusterIP"]) != Some("None") {
            return target;
        }
        let slices = api::list(cluster, resources::endpointslices(), service.namespace());
        for slice in slices.iter().filter(|s| s.label("kubernetes.io/service-name") == Some(service.name())) {
            for port in slice.list_at(&["ports"]).iter().filter_map(|p| number(p, "port")) {
                let addresses = slice.list_at(&["endpoints"]).iter().flat_map(|e| e.list_at(&["addresses"]));
                target.direct.extend(addresses.filter_map(|a| Some((a.as_str()?.parse().ok()?, port))));
            }
        }
        target
    }

    /// A first packet that the rules of this Service have translated or refused, or one to a pod of a headless Service.
    fn opening(&self, record: &Record, packet: &Packet) -> Option<Request> {
        opening(record, packet, &self.key).or_else(|| self.untranslated(record, packet))
    }

    fn is_virtual(&self, end: Endpoint) -> bool {
        self.virtual_ends.contains(&end) || self.node_ports.contains(&end.1)
    }

    fn untranslated(&self, record: &Record, packet: &Packet) -> Option<Request> {
        let dropped = ended(packet, true);
        let refused = ended(packet, false);
        let (called, endpoint) = match packet.body {
            PacketBody::Syn if self.direct.contains(&packet.dst) => (packet.dst, Some(packet.dst)),
            PacketBody::Syn if dropped.is_some() && self.is_virtual(packet.dst) => (packet.dst, None),
            PacketBody::Reset(_) if refused.is_some() && self.is_virtual(packet.src) => (packet.src, None),
            _ => return None,
        };
        let mut request = seen(record, packet, called, endpoint);
        let end = packet.hops.iter().find(|h| matches!(h.what, HopKind::Refused { .. } | HopKind::Dropped { .. }));
        request.rule_node = end.filter(|_| endpoint.is_none()).map(|h| h.place.to_string());
        Some(request)
    }
}

/// Why a packet went no further: refused with an answer, or dropped.
fn ended(packet: &Packet, dropped: bool) -> Option<String> {
    packet.hops.iter().find_map(|h| match &h.what {
        HopKind::Refused { reason } if !dropped => Some(reason.to_string()),
        HopKind::Dropped { reason, .. } if dropped => Some(reason.to_string()),
        _ => None,
    })
}

/// What a packet says of a connection.
fn seen(record: &Record, packet: &Packet, called: Endpoint, endpoint: Option<Endpoint>) -> Request {
    Request {
        from: packet.hops.first().map_or_else(String::new, |h| h.place.to_string()),
        called,
        rule_node: None,
        endpoint,
        dns: None,
        at: record.message.sent,
        of: 0,
        via: way(packet),
        balanced: None,
        message: record.message.id.0,
        refused: ended(packet, false),
        dropped: ended(packet, true),
        admitted: admitted(packet),
        seen_as: packet.src.0,
        accepted: false,
        endpoint_pod: None,
    }
}

/// A first packet that the rules of a Service have translated, or refused.
fn opening(record: &Record, packet: &Packet, key: &str) -> Option<Request> {
    let dnat = packet.hops.iter().find_map(|h| match &h.what {
        HopKind::Dnat { service, from, to, of } if service.starts_with(key) => Some((h.place.to_string(), *from, *to, *of)),
        _ => None,
    });
    let first = matches!(packet.body, PacketBody::Syn);
    let (place, from, to, of) = dnat.filter(|_| first || ended(packet, false).is_some())?;
    let (called, balanced) = match balanced(packet) {
        Some((called, chosen)) => (called, Some(chosen)),
        None => (from, None),
    };
    Some(Request { rule_node: Some(place), of, balanced, ..seen(record, packet, called, Some(to)) })
}

/// What a load balancer was called at, and the node port that it chose.
fn balanced(packet: &Packet) -> Option<(Endpoint, Endpoint)> {
    packet.hops.iter().find_map(|h| match &h.what {
        HopKind::Dnat { from, to, .. } if &*h.place == "load balancer" => Some((*from, *to)),
        _ => None,
    })
}

/// How it gets to another node.
fn way(packet: &Packet) -> Option<String> {
    let mut way = None;
    for hop in &packet.hops {
        match &hop.what {
            HopKind::Routed { cidr, via } => way = Some(format!("route {cidr} via {via}")),
            HopKind::Encapsulated { device, .. } => way = way.map(|w| format!("{w}, in VXLAN by {device}")),
            _ => {}
        }
    }
    way
}

/// The policies that let a packet pass: out of its pod, into the other.
fn admitted(packet: &Packet) -> [Option<String>; 2] {
    [Direction::Egress, Direction::Ingress].map(|wanted| {
        packet.hops.iter().find_map(|h| match &h.what {
            HopKind::Admitted { direction, policy, .. } if *direction == wanted => Some(policy.to_string()),
            _ => None,
        })
    })
}

/// Adds what came before (the name) and after (the answer).
fn complete(bottle: &Bottle, mut request: Request, pods: &[Object], now: Time) -> Request {
    let sender = request.from.strip_prefix("pod ").map(|p| format!("pod/{p}"));
    let client_ip = sender.as_ref().and_then(|id| ip_of(pods, id));
    request.from = sender.unwrap_or_else(|| match request.from.as_str() {
        "laptop" => "laptop".into(),
        node => format!("node/{node}"),
    });
    request.endpoint_pod = request.endpoint.and_then(|(ip, _)| pod_at(pods, ip)).map(|p| (p.namespace().into(), p.name().into()));
    let after = bottle.trace().from(sim::MsgId(request.message)).take(4_000).filter(|r| r.message.sent <= now);
    for p in after.filter_map(packet) {
        if Some(p.src) == request.endpoint && matches!(p.body, PacketBody::SynAck) {
            request.accepted = true;
            // The answer says what was found on the endpoint's node.
            let [_, ingress] = admitted(p);
            request.admitted[1] = request.admitted[1].take().or(ingress);
            break;
        }
    }
    request.dns = client_ip.and_then(|ip| asked(bottle, &request, ip, pods));
    request
}

fn ip_of(pods: &[Object], id: &str) -> Option<IpAddr> {
    let pod = pods.iter().find(|p| id == format!("pod/{}/{}", p.namespace(), p.name()))?;
    pod.str_at(&["status", "podIP"])?.parse().ok()
}

pub(crate) fn pod_at(pods: &[Object], ip: IpAddr) -> Option<&Object> {
    let text = ip.to_string();
    pods.iter().find(|p| p.str_at(&["status", "podIP"]) == Some(&text) && p.bool_at(&["spec", "hostNetwork"]) != Some(true))
}

/// The question that the client asked before, whose answer is the address that it called.
fn asked(bottle: &Bottle, request: &Request, client: IpAddr, pods: &[Object]) -> Option<Asked> {
    let before = bottle.trace().newest().skip_while(|r| r.message.id.0 >= request.message).take(8_000);
    let mut answer: Option<(u64, String)> = None;
    for (record, p) in before.filter_map(|r| Some((r, packet(r)?))) {
        match &p.body {
            PacketBody::Answer(n, a) if p.dst.0 == client && answers(a, request.called.0) => answer = Some((*n, words(a))),
            PacketBody::Query(n, question) if p.src.0 == client && answer.as_ref().is_some_and(|(of, _)| of == n) => {
                let server = pod_at(pods, p.dst.0).map(|s| format!("pod/{}/{}", s.namespace(), s.name()))?;
                let answer = answer.map(|(_, words)| words);
                return Some(Asked { server, name: question.name.to_string(), answer, message: record.message.id.0 });
            }
            _ => {}
        }
    }
    None
}

fn answers(answer: &Answer, ip: IpAddr) -> bool {
    answer.records.iter().any(|r| r.data == RecordData::Ip(ip))
}

fn words(answer: &Answer) -> String {
    match (answer.code, answer.records.first()) {
        (ResponseCode::NoError, Some(r)) => match &r.data {
            RecordData::Ip(ip) => format!("A {ip}, for {} s", r.ttl),
            other => format!("{other:?}"),
        },
        (code, _) => format!("{code:?}"),
    }
}

impl Request {
    /// The steps with their reasons.
    pub fn hops(&self, cluster: &Cluster, service: &Object) -> Vec<HopSeen> {
        let (.., h, m, s) = self.at.civil();
        let step = |title: &str, reason: String, message: u64| HopSeen {
            title: title.into(),
            reason,
            state: State::Idle,
            glyph: Glyph::Done,
            opens: Some(Thing::Message { id: message }),
        };
        let who = self.from.rsplit('/').next().unwrap_or("");
        let called = format!("{}:{}", self.called.0, self.called.1);
        let mut steps = vec![step("client", format!("{who} connects to {called} at {h:02}:{m:02}:{s:02}"), self.message)];
        match &self.dns {
            Some(dns) => {
                let server = dns.server.rsplit('/').next().unwrap_or("");
                let answer = dns.answer.clone().unwrap_or_default();
                steps.insert(1, step("name", format!("{} is {answer}, says {server}", dns.name), dns.message));
            }
            None => steps.push(HopSeen {
                glyph: Glyph::Off,
                ..step("name", "no name was asked for: the address was given".into(), self.message)
            }),
        }
        let address = match (self.rule_node.as_deref(), self.balanced) {
            (Some(node), Some((ip, port))) => {
                format!("the cloud's load balancer sends it to {ip}:{port}, a node port: kube-proxy's rules on {node} match it")
            }
            (Some(node), None) => format!("no machine has {called}: kube-proxy's rules on {node} match it"),
            (None, _) => format!("{} is the pod's own: nothing is rewritten on the way", self.called.0),
        };
        steps.push(step("address", address, self.message));
        steps.push(self.rule_step(service, step("rule", String::new(), self.message)));
        steps.push(self.endpoint_step(cluster, step("endpoint", String::new(), self.message)));
        steps
    }

    fn rule_step(&self, service: &Object, step: HopSeen) -> HopSeen {
        let Some(to) = self.endpoint else {
            return HopSeen { state: State::Failing, glyph: Glyph::Failing, reason: "no endpoint to choose".into(), ..step };
        };
        let route = self.via.clone().unwrap_or_else(|| "on the same node".into());
        if self.rule_node.is_none() {
            return HopSeen { glyph: Glyph::Off, reason: format!("no rule: the Service is headless; {route}"), ..step };
        }
        let why = match service.str_at(&["spec", "sessionAffinity"]) {
            Some("ClientIP") => format!("kept for this client, of {} ready ones", self.of),
            _ => format!("drawn at random, 1 of {} ready", self.of),
        };
        HopSeen { reason: format!("{}:{} {why}; {route}", to.0, to.1), ..step }
    }

    fn endpoint_step(&self, cluster: &Cluster, step: HopSeen) -> HopSeen {
        let (namespace, name) = self.endpoint_pod.clone().unwrap_or_default();
        let policy = self.policy_words(cluster, &namespace, &name);
        let who = if name.is_empty() { "the endpoint".to_string() } else { name };
        if let Some(reason) = &self.dropped {
            return HopSeen { state: State::Failing, glyph: Glyph::Failing, reason: format!("dropped: {reason}"), ..step };
        }
        match (&self.refused, self.accepted) {
            (Some(reason), _) => {
                HopSeen { state: State::Failing, glyph: Glyph::Failing, reason: format!("refused: {reason}"), ..step }
            }
            (None, true) => HopSeen { reason: format!("{who} accepts {}; {policy}", self.seen_as), ..step },
            (None, false) => HopSeen {
                state: State::Starting,
                glyph: Glyph::Starting,
                reason: format!("{who} has not answered yet; {policy}"),
                ..step
            },
        }
    }
}

impl Request {
    /// Which policies let it pass, or why none had a say.
    fn policy_words(&self, cluster: &Cluster, namespace: &str, name: &str) -> String {
        let short = |policy: &String| policy.rsplit('/').next().unwrap_or("").to_string();
        match [&self.admitted[0], &self.admitted[1]].map(|p| p.as_ref().map(short)) {
            [Some(out), Some(into)] => return format!("NetworkPolicy {out} let it out, {into} let it in"),
            [Some(out), None] => return format!("NetworkPolicy {out} let it out"),
            [None, Some(into)] => return format!("NetworkPolicy {into} let it in"),
            [None, None] => {}
        }
        let policies = api::list(cluster, resources::networkpolicies(), namespace);
        match policies.iter().find(|p| selects(cluster, p, namespace, name)) {
            Some(p) if !enforced(cluster, namespace, name) => {
                format!("NetworkPolicy {} selects it, but this network plugin does not enforce policies", p.name())
            }
            _ => "no NetworkPolicy isolates it, so all may come".into(),
        }
    }
}

/// Whether the CNI plugin of a pod's node enforces policies.
fn enforced(cluster: &Cluster, namespace: &str, pod: &str) -> bool {
    let pod = api::get(cluster, resources::pods(), namespace, pod);
    pod.as_ref().and_then(|p| plugin(cluster, p)).is_some_and(enforces)
}

/// The CNI plugin of a pod's node.
pub(crate) fn plugin<'a>(cluster: &'a Cluster, pod: &Object) -> Option<&'a str> {
    Some(cluster.machine(pod.str_at(&["spec", "nodeName"])?)?.network().plugin())
}

/// Whether a CNI plugin enforces policies.
pub(crate) fn enforces(plugin: &str) -> bool {
    plugin != "flannel"
}

fn selects(cluster: &Cluster, policy: &Object, namespace: &str, pod: &str) -> bool {
    let Some(pod) = api::get(cluster, resources::pods(), namespace, pod) else { return false };
    let selector = policy.at(&["spec", "podSelector"]);
    apimachinery::labels::Selector::from_label_selector(selector).is_ok_and(|s| s.matches(pod.labels()))
}
