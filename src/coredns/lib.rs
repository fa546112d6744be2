//! CoreDNS with its `kubernetes` plugin: names of Services, endpoints and pods, answered from watches.
//!
//! Models the DNS specification of Kubernetes (A, SRV, PTR records for services, headless services and pods) under the zone
//! `cluster.local`. Left out by name: forwarding (there is no internet in the bottle: other names get SERVFAIL), zone transfers,
//! other plugins of a Corefile.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use apimachinery::{Object, Response, ResponseBody, Value, resources};
use base::Sort as _;
use base::{Seed, Time};
use client_go::{ClientConfig, Informers, Selectors};
use cri_api::net::{Answer, Question, Record, RecordData, RecordType, ResponseCode};
use cri_api::packet::{Packet, PacketBody};
use sim::{Message, Outbox, Payload};

type Text = Rc<str>;

const ZONE: &str = "cluster.local";
/// Seconds that answers may be cached.
const TTL: u32 = 30;

/// Names that lead to names, one after the other, at most.
const MAX_ALIASES: usize = 7;

const SERVICES: usize = 0;
const SLICES: usize = 1;
const NAMESPACES: usize = 2;

/// One CoreDNS process.
#[derive(Clone, Debug)]
pub struct CoreDns {
    informers: Informers,
    /// Questions so far, for its metrics.
    answered: u64,
}

impl CoreDns {
    pub fn new(config: ClientConfig, seed: Seed) -> CoreDns {
        let mut informers = Informers::new(1, config, seed.derive("coredns"));
        informers.add(resources::services(), Selectors::default(), &[by_cluster_ip]);
        informers.add(resources::endpointslices(), Selectors::default(), &[by_service, by_address]);
        informers.add(resources::namespaces(), Selectors::default(), &[]);
        CoreDns { informers, answered: 0 }
    }

    pub fn handle(&mut self, _now: Time, message: Message, out: &mut Outbox) {
        match &message.payload {
            Payload::Start => self.informers.start(out),
            Payload::Packet(packet) => {
                if let PacketBody::Query(number, question) = &packet.body {
                    let answer = self.answer(question);
                    self.answered += 1;
                    let reply = Packet {
                        src: packet.dst,
                        dst: packet.src,
                        body: PacketBody::Answer(*number, answer),
                        next_hop: packet.src.0,
                        hops: Vec::new(),
                    };
                    out.send(message.from, Payload::Packet(Rc::new(reply)));
                }
            }
            Payload::ApiRequest { id, request } => {
                // `/ready` waits for the caches, `/health` only for the process.
                let ready = &*request.path != "/ready" || self.informers.all_synced();
                let (code, text) = if ready { (200, "OK") } else { (503, "kubernetes") };
                let body = ResponseBody::Text("text/plain".into(), text.into());
                out.respond(message.from, *id, Response { code, warnings: Vec::new(), body });
            }
            payload => {
                self.informers.handle(payload, out);
            }
        }
    }

    /// How many questions it has answered.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Answers one question from the caches.
    pub fn answer(&self, question: &Question) -> Answer {
        let name = &*question.name;
        if name.ends_with(".in-addr.arpa") || name.ends_with(".ip6.arpa") {
            return match reversed(name) {
                Some(ip) => self.reverse(question, &ip.to_string()),
                None => coded(ResponseCode::NxDomain),
            };
        }
        let Some(rest) = name.strip_suffix(ZONE).and_then(|n| n.strip_suffix('.')) else {
            return if name == ZONE { found(Vec::new()) } else { coded(ResponseCode::ServFail) };
        };
        let labels: Vec<&str> = rest.split('.').collect();
        let records = match labels.as_slice() {
            ["svc"] | ["pod"] => Some(Vec::new()),
            [namespace, "svc" | "pod"] => self.informers.find(NAMESPACES, "", namespace).map(|_| Vec::new()),
            [service, namespace, "svc"] => self.service(question, namespace, service),
            [host, service, namespace, "svc"] if !host.starts_with('_') => self.endpoint(question, namespace, service, host),
            [port, protocol, service, namespace, "svc"] => self.srv(question, namespace, service, port, protocol),
            [ip, namespace, "pod"] => self.pod(question, namespace, ip),
            _ => None,
        };
        records.map_or_else(|| coded(ResponseCode::NxDomain), found)
    }

    /// A service's name: its cluster IP, its endpoints if it is headless, or its external name.
    fn service(&self, question: &Question, namespace: &str, name: &str) -> Option<Vec<Record>> {
        let service = self.informers.find(SERVICES, namespace, name)?;
        if let Some(external) = service.str_at(&["spec", "externalName"]).filter(|n| !n.is_empty()) {
            return Some(self.alias(question, external));
        }
        if !is_headless(service) {
            let ips = service.list_at(&["spec", "clusterIPs"]);
            return Some(addresses(question, ips.iter().filter_map(ip)));
        }
        let publish = service.bool_at(&["spec", "publishNotReadyAddresses"]) == Some(true);
        let mut ips: Vec<IpAddr> = self.endpoints(namespace, name, publish).map(|(ip, _)| ip).collect();
        ips.order();
        ips.dedup();
        (!ips.is_empty()).then(|| addresses(question, ips.into_iter()))
    }

    /// An external name, and what it leads to as far as that is in this zone.
    fn alias(&self, question: &Question, external: &str) -> Vec<Record> {
        let mut records = vec![record(question, RecordData::Cname(external.into()))];
        let mut target: Text = external.trim_end_matches('.').to_ascii_lowercase().into();
        let wants = matches!(question.record_type, RecordType::A | RecordType::AAAA);
        // Names may lead in a circle.
        for _ in 0..MAX_ALIASES {
            let Some((service, namespace)) = wants.then(|| service_name(&target)).flatten() else { break };
            let asked = Question { name: target.clone(), record_type: question.record_type };
            let found = self.informers.find(SERVICES, namespace, service);
            match found.and_then(|s| s.str_at(&["spec", "externalName"])).filter(|n| !n.is_empty()) {
                Some(next) => {
                    records.push(record(&asked, RecordData::Cname(next.into())));
                    target = next.trim_end_matches('.').to_ascii_lowercase().into();
                }
                None => {
                    records.extend(self.answer(&asked).records);
                    break;
                }
            }
        }
        records
    }

    /// `host.service.namespace.svc`: one endpoint by its hostname or its address with dashes.
    fn endpoint(&self, question: &Question, namespace: &str, service: &str, host: &str) -> Option<Vec<Record>> {
        // One host may have an address of each family.
        let named = self.endpoints(namespace, service, true).filter(|(ip, name)| endpoint_host(*ip, name.as_deref()) == host);
        let ips: Vec<IpAddr> = named.map(|(ip, _)| ip).collect();
        (!ips.is_empty()).then(|| addresses(question, ips.into_iter()))
    }

    fn srv(&self, question: &Question, namespace: &str, name: &str, port: &str, protocol: &str) -> Option<Vec<Record>> {
        let (port, protocol) = (port.strip_prefix('_')?, protocol.strip_prefix('_')?);
        let service = self.informers.find(SERVICES, namespace, name)?;
        let matches = |p: &&Value| {
            p.str_at(&["name"]) == Some(port) && p.str_at(&["protocol"]).unwrap_or("TCP").eq_ignore_ascii_case(protocol)
        };
        let number = service.list_at(&["spec", "ports"]).iter().find(matches)?.int_at(&["port"])? as u16;
        if question.record_type != RecordType::SRV {
            return Some(Vec::new());
        }
        let base = format!("{name}.{namespace}.svc.{ZONE}");
        let srv = |target: String, weight| {
            record(question, RecordData::Srv { priority: 0, weight, port: number, target: target.into() })
        };
        if !is_headless(service) {
            return Some(vec![srv(base, 100)]);
        }
        let mut hosts: Vec<String> =
            self.endpoints(namespace, name, false).map(|(ip, host)| endpoint_host(ip, host.as_deref())).collect();
        hosts.order();
        hosts.dedup();
        Some(hosts.into_iter().map(|host| srv(format!("{host}.{base}"), 100)).collect())
    }

    /// `10-244-1-2.default.pod`: the address that the name says, as the plugin's `pods insecure` mode answers.
    fn pod(&self, question: &Question, namespace: &str, dashed: &str) -> Option<Vec<Record>> {
        self.informers.find(NAMESPACES, "", namespace)?;
        let v4 = || dashed.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
        let ip = v4().or_else(|| dashed.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6))?;
        Some(addresses(question, std::iter::once(ip)))
    }

    fn reverse(&self, question: &Question, ip: &str) -> Answer {
        let service = self.informers.store(SERVICES).by_index(0, ip).next();
        if let Some(s) = service {
            return found(vec![record(question, RecordData::Ptr(format!("{}.{}.svc.{ZONE}", s.name(), s.namespace()).into()))]);
        }
        let slice = self.informers.store(SLICES).by_index(1, ip).next();
        let named = slice.and_then(|slice| {
            let service = slice.label("kubernetes.io/service-name")?;
            let endpoint = slice
                .list_at(&["endpoints"])
                .iter()
                .find(|e| e.list_at(&["addresses"]).iter().any(|a| a.as_str() == Some(ip)))?;
            let host = endpoint_host(ip.parse().ok()?, endpoint.str_at(&["hostname"]));
            Some(format!("{host}.{service}.{}.svc.{ZONE}", slice.namespace()))
        });
        match named {
            Some(name) => found(vec![record(question, RecordData::Ptr(name.into()))]),
            None => coded(ResponseCode::NxDomain),
        }
    }

    /// Addresses and hostnames of a service's endpoints.
    fn endpoints<'a>(
        &'a self,
        namespace: &str,
        service: &str,
        unready: bool,
    ) -> impl Iterator<Item = (IpAddr, Option<String>)> + 'a {
        let slices = self.informers.store(SLICES).by_index(0, &format!("{namespace}/{service}"));
        slices.flat_map(|slice| slice.list_at(&["endpoints"])).filter_map(move |endpoint| {
            let ready = endpoint.bool_at(&["conditions", "ready"]) != Some(false);
            let address = endpoint.list_at(&["addresses"]).first().and_then(ip)?;
            (ready || unready).then(|| (address, endpoint.str_at(&["hostname"]).map(str::to_string)))
        })
    }
}

/// The Service that `name.namespace.svc.cluster.local` names; other names have more labels before it, or none.
fn service_name(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_suffix(ZONE)?.strip_suffix(".svc.")?;
    let (service, namespace) = rest.split_once('.')?;
    (!namespace.contains('.')).then_some((service, namespace))
}

/// Records of the family that is asked for.
fn addresses(question: &Question, ips: impl Iterator<Item = IpAddr>) -> Vec<Record> {
    let wanted = |ip: &IpAddr| match question.record_type {
        RecordType::A => ip.is_ipv4(),
        RecordType::AAAA => ip.is_ipv6(),
        _ => false,
    };
    ips.filter(wanted).map(|ip| record(question, RecordData::Ip(ip))).collect()
}

/// The address of `4.3.2.1.in-addr.arpa` or of 32 digits under `ip6.arpa`.
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(v4) = name.strip_suffix(".in-addr.arpa") {
        let parts: Vec<&str> = v4.split('.').rev().collect();
        return parts.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').rev().collect();
    if digits.len() != 32 || digits.iter().any(|d| d.len() != 1) {
        return None;
    }
    u128::from_str_radix(&digits.concat(), 16).ok().map(|n| IpAddr::V6(n.into()))
}

fn is_headless(service: &Object) -> bool {
    service.str_at(&["spec", "clusterIP"]) == Some("None")
}

fn endpoint_host(ip: IpAddr, hostname: Option<&str>) -> String {
    hostname.map_or_else(|| ip.to_string().replace(['.', ':'], "-"), str::to_string)
}

fn ip(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}

fn record(question: &Question, data: RecordData) -> Record {
    Record { name: question.name.clone(), ttl: TTL, data }
}

fn found(records: Vec<Record>) -> Answer {
    Answer { code: ResponseCode::NoError, authoritative: true, records }
}

fn coded(code: ResponseCode) -> Answer {
    Answer { code, authoritative: code == ResponseCode::NxDomain, records: Vec::new() }
}

fn by_service(slice: &Object, keys: &mut Vec<Text>) {
    if let Some(service) = slice.label("kubernetes.io/service-name") {
        keys.push(format!("{}/{service}", slice.namespace()).into());
    }
}

fn by_address(slice: &Object, keys: &mut Vec<Text>) {
    for endpoint in slice.list_at(&["endpoints"]) {
        keys.extend(endpoint.list_at(&["addresses"]).iter().filter_map(|a| a.as_rc_str().cloned()));
    }
}

fn by_cluster_ip(service: &Object, keys: &mut Vec<Text>) {
    keys.extend(service.list_at(&["spec", "clusterIPs"]).iter().filter_map(|ip| ip.as_rc_str().cloned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_addresses_and_of_services() {
        assert_eq!(reversed("2.1.244.10.in-addr.arpa"), "10.244.1.2".parse().ok());
        let v6 = "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(reversed(v6), "fd00:10:96::a".parse().ok());
        for broken in ["1.2.in-addr.arpa", "x.0.ip6.arpa", "300.1.1.1.in-addr.arpa"] {
            assert_eq!(reversed(broken), None, "{broken}");
        }
        assert_eq!(service_name("web.default.svc.cluster.local"), Some(("web", "default")));
        assert_eq!(service_name("a.web.default.svc.cluster.local"), None);
        assert_eq!(service_name("example.com"), None);
    }
}
