//! Observes one Service: its name, addresses, the rules that a node's kernel has for it, its endpoints; and the last request to it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use apimachinery::{Object, Value, resources};
use cluster::{Bottle, Cluster};
use cri_api::packet::ServiceRule;
use lenses::{EndpointSeen, NameSeen, Place, PodSeen, ServiceSeen, TableSeen};
use protocol::{Choice, Glyph, State, Thing, ViewOptions};

use crate::request::{self, Request};
use crate::{api, observe};

pub(crate) use crate::ways::Ways;

const MAX_ENDPOINTS: usize = 6;
const MAX_CLIENTS: usize = 4;
/// Pods that nearly match are drawn too, below the endpoints.
const MAX_NEAR: usize = 2;
const MAX_POLICIES: usize = 3;

/// Observes the chosen Service, or the newest one of the user's.
pub(crate) fn observe(bottle: &Bottle, options: &ViewOptions) -> ServiceSeen {
    let cluster = bottle.shown();
    let services = services(cluster, options);
    let chosen = options.chosen.as_ref().and_then(|t| services.iter().find(|s| thing(s) == *t)).or(services.first());
    let choices = services.iter().map(|s| Choice {
        thing: thing(s),
        label: format!("{}/{}", s.namespace(), s.name()),
        chosen: chosen.is_some_and(|c| c.key() == s.key()),
    });
    let mut seen = ServiceSeen { choices: choices.collect(), title: "Service network".into(), ..ServiceSeen::default() };
    if let Some(service) = chosen {
        let pods = api::list(cluster, resources::pods(), "");
        See { bottle, cluster, service, pods: &pods }.fill(&mut seen);
    }
    seen
}

pub(crate) fn thing(service: &Object) -> Thing {
    Thing::core("services", service.namespace(), service.name())
}

/// Services by age, newest first; the system's own last.
fn services(cluster: &Cluster, options: &ViewOptions) -> Vec<Object> {
    let mut all = api::list(cluster, resources::services(), options.namespace.as_deref().unwrap_or(""));
    all.sort_by_key(|s| {
        let system = s.namespace().starts_with("kube-") || s.namespace() == "default" && s.name() == "kubernetes";
        (system, std::cmp::Reverse(s.creation_timestamp()), s.name().to_string())
    });
    all
}

struct See<'a> {
    bottle: &'a Bottle,
    cluster: &'a Cluster,
    service: &'a Object,
    pods: &'a [Object],
}

impl See<'_> {
    fn fill(&self, seen: &mut ServiceSeen) {
        let service = self.service;
        let last = request::last(self.bottle, service, self.pods);
        seen.service = Some(thing(service));
        seen.title = format!("From a client to the endpoints of {}", service.name());
        seen.selector = service
            .map_at(&["spec", "selector"])
            .into_iter()
            .flatten()
            .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or("")))
            .collect();
        seen.clients = self.clients(last.as_ref());
        seen.name = self.name(last.as_ref());
        seen.addresses = self.addresses(last.as_ref());
        let node = self.node(last.as_ref());
        let rules = self.rules(&node);
        seen.table = self.table(&node, &rules, last.as_ref());
        self.endpoints(seen, last.as_ref());
        seen.policies = self.policies(&seen.endpoints);
        seen.hops = last.as_ref().map(|r| r.hops(self.cluster, service)).unwrap_or_default();
    }

    /// The laptop, and pods that aren't endpoints of it; the last sender first.
    fn clients(&self, last: Option<&Request>) -> Vec<Place> {
        let sender = last.map(|r| r.from.as_str());
        let laptop = Place {
            id: "laptop".into(),
            title: "your laptop".into(),
            line: "outside the cluster".into(),
            glyph: Glyph::None,
            opens: Some(Thing::component("laptop")),
            chosen: sender == Some("laptop"),
            ..Place::default()
        };
        let mut pods: Vec<&Object> = self.pods.iter().filter(|p| self.may_call(p)).collect();
        let id = |p: &Object| format!("pod/{}/{}", p.namespace(), p.name());
        pods.sort_by_key(|p| (sender != Some(&id(p)), p.namespace() != self.service.namespace(), p.name().to_string()));
        let now = self.cluster.now();
        let places = pods.into_iter().take(MAX_CLIENTS - 1).map(|p| {
            let seen = observe::pod_seen(p, now);
            Place {
                id: id(p),
                title: p.name().into(),
                line: format!("{} · {}", seen.note, p.str_at(&["spec", "nodeName"]).unwrap_or("no node")),
                state: seen.state,
                glyph: seen.glyph,
                opens: Some(Thing::core("pods", p.namespace(), p.name())),
                chosen: sender == Some(&id(p)),
            }
        });
        let mut all: Vec<Place> = places.collect();
        let at = usize::from(all.first().is_some_and(|p| p.chosen));
        all.insert(at, laptop);
        all
    }

    /// Pods of users that could call: not of the system, not endpoints.
    fn may_call(&self, pod: &Object) -> bool {
        !pod.namespace().starts_with("kube-") && !self.selects(pod) && pod.str_at(&["status", "podIP"]).is_some()
    }

    fn selects(&self, pod: &Object) -> bool {
        let selector = self.service.map_at(&["spec", "selector"]);
        pod.namespace() == self.service.namespace()
            && selector.is_some_and(|s| !s.is_empty() && s.iter().all(|(k, v)| pod.label(k) == v.as_str()))
    }

    fn name(&self, last: Option<&Request>) -> NameSeen {
        let (name, namespace) = (self.service.name(), self.service.namespace());
        let now = self.cluster.now();
        let servers = self.pods.iter().filter(|p| p.namespace() == "kube-system" && p.label("k8s-app") == Some("kube-dns"));
        let servers: Vec<PodSeen> = servers.take(2).map(|p| observe::pod_seen(p, now)).collect();
        let record = match (self.service.str_at(&["spec", "externalName"]), self.service.str_at(&["spec", "clusterIP"])) {
            (Some(external), _) => format!("CNAME {external}"),
            (_, Some("None")) => "A: the Ready endpoints' own addresses".into(),
            (_, Some(ip)) => format!("A {ip}"),
            _ => "no record yet".into(),
        };
        NameSeen {
            id: format!("name/{namespace}/{name}"),
            fqdn: format!("{name}.{namespace}.svc.cluster.local"),
            record,
            asked: last.and_then(|r| r.dns.as_ref()).map(|d| d.server.clone()),
            servers,
        }
    }

    fn addresses(&self, last: Option<&Request>) -> Vec<Place> {
        let s = self.service;
        let base = format!("service/{}/{}", s.namespace(), s.name());
        let called = last.map(|r| r.called);
        let mut out = Vec::new();
        let mut push = |id: String, title: String, line: String, chosen: bool, state: State| {
            out.push(Place { id, title, line, state, glyph: Glyph::None, opens: Some(thing(s)), chosen });
        };
        let headless = s.str_at(&["spec", "clusterIP"]) == Some("None");
        for port in s.list_at(&["spec", "ports"]) {
            let number = port.int_at(&["port"]).unwrap_or(0);
            let protocol = port.str_at(&["protocol"]).unwrap_or("TCP");
            let ip = s.str_at(&["spec", "clusterIP"]).unwrap_or("");
            let is_it = called.is_some_and(|(i, p)| i.to_string() == ip && i64::from(p) == number);
            if headless {
                push(
                    format!("{base}/{number}"),
                    "no virtual address".into(),
                    format!("headless · {number}/{protocol}"),
                    false,
                    State::Idle,
                );
            } else if !ip.is_empty() {
                push(format!("{base}/{number}"), format!("{ip}:{number}"), format!("ClusterIP · {protocol}"), is_it, State::Idle);
            }
            if let Some(node_port) = port.int_at(&["nodePort"]).filter(|p| *p > 0) {
                let is_it = called.is_some_and(|(_, p)| i64::from(p) == node_port);
                push(
                    format!("{base}/node/{node_port}"),
                    format!("any node:{node_port}"),
                    format!("NodePort · {protocol}"),
                    is_it,
                    State::Idle,
                );
            }
        }
        if s.str_at(&["spec", "type"]) == Some("LoadBalancer") {
            let ingress = s.list_at(&["status", "loadBalancer", "ingress"]).first().and_then(|i| i.str_at(&["ip"]));
            let port = s.list_at(&["spec", "ports"]).first().and_then(|p| p.int_at(&["port"])).unwrap_or(0);
            let (title, line, state) = match ingress {
                Some(ip) => (format!("{ip}:{port}"), "load balancer of the cloud".to_string(), State::Idle),
                None => ("<pending>".into(), "no load balancer yet".into(), State::Pending),
            };
            let is_it = called.is_some_and(|(ip, p)| format!("{ip}:{p}") == title);
            push(format!("{base}/lb"), title, line, is_it, state);
        }
        out
    }

    /// The node whose rules are shown: where the last request was translated, else where a client or an endpoint is.
    fn node(&self, last: Option<&Request>) -> String {
        if let Some(node) = last.and_then(|r| r.rule_node.clone()) {
            return node;
        }
        let at = |p: &&Object| p.str_at(&["spec", "nodeName"]).is_some();
        let client = self
            .pods
            .iter()
            .filter(|p| self.may_call(p))
            .find(at)
            .or_else(|| self.pods.iter().filter(|p| self.selects(p)).find(at));
        let named = client.and_then(|p| p.str_at(&["spec", "nodeName"])).map(str::to_string);
        let any = || {
            self.cluster.nodes.iter().find(|(_, n)| n.runtime.is_some() && !n.config.control_plane).map(|(n, _)| n.to_string())
        };
        named.or_else(any).unwrap_or_default()
    }

    fn rules(&self, node: &str) -> Vec<ServiceRule> {
        let key = format!("{}/{}:", self.service.namespace(), self.service.name());
        let machine = self.cluster.machine(node);
        machine.into_iter().flat_map(|m| m.network().rules()).filter(|r| r.service.starts_with(&key)).cloned().collect()
    }

    /// One row for each endpoint of the rule that was used last (or the first one).
    fn table(&self, node: &str, rules: &[ServiceRule], last: Option<&Request>) -> TableSeen {
        let called = last.and_then(|r| rules.iter().find(|rule| rule.port == r.called.1));
        let rule = called.or_else(|| rules.iter().find(|r| !r.ip.is_unspecified())).or(rules.first());
        let mut table = TableSeen { id: format!("kube-proxy/{node}"), node: format!("on {node}"), ..TableSeen::default() };
        let Some(rule) = rule else {
            table.empty = Some(match self.service.str_at(&["spec", "clusterIP"]) {
                Some("None") => "Headless: no rule, clients get the pods' addresses".into(),
                _ => "No rule: kube-proxy has not seen it, or does not run here".to_string(),
            });
            return table;
        };
        let ready = rule.endpoints.iter().filter(|e| e.ready && (!rule.local_only || e.is_local)).count();
        table.note = format!("{} rules for {}", rules.len(), rule.service);
        if rule.endpoints.is_empty() {
            table.empty = Some("A rule without endpoints: connections are refused".into());
        }
        for e in rule.endpoints.iter().take(MAX_ENDPOINTS) {
            let usable = e.ready && (!rule.local_only || e.is_local);
            let chosen = last.is_some_and(|r| r.endpoint == Some((e.ip, e.port)));
            let share = match (usable, rule.session_affinity_s) {
                (false, _) if !e.ready => "not ready: never chosen".to_string(),
                (false, _) => "on another node: not chosen (Local)".into(),
                (_, Some(s)) => format!("1 of {ready}, kept per client {s} s"),
                _ => format!("1 of {ready}, at random"),
            };
            table.rows.push(Place {
                id: format!("rule/{}:{}", e.ip, e.port),
                title: format!("→ {}:{}", e.ip, e.port),
                line: share,
                state: if usable { State::Idle } else { State::Off },
                glyph: if usable { Glyph::None } else { Glyph::Off },
                opens: Some(Thing::component(&table.id)),
                chosen,
            });
        }
        table
    }

    /// Pods that the endpoint slices name, in the order of the rules; then pods that nearly match.
    fn endpoints(&self, seen: &mut ServiceSeen, last: Option<&Request>) {
        let slices = api::list(self.cluster, resources::endpointslices(), self.service.namespace());
        let mine = slices.iter().filter(|s| s.label("kubernetes.io/service-name") == Some(self.service.name()));
        let mut by_ip: BTreeMap<IpAddr, (String, bool, i64)> = BTreeMap::new();
        for slice in mine {
            let port = slice.list_at(&["ports"]).first().and_then(|p| p.int_at(&["port"])).unwrap_or(0);
            for e in slice.list_at(&["endpoints"]) {
                let ip = e.list_at(&["addresses"]).first().and_then(Value::as_str).and_then(|a| a.parse().ok());
                let name = e.str_at(&["targetRef", "name"]).unwrap_or("").to_string();
                if let Some(ip) = ip {
                    by_ip.insert(ip, (name, e.bool_at(&["conditions", "ready"]) != Some(false), port));
                }
            }
        }
        seen.more_endpoints = by_ip.len().saturating_sub(MAX_ENDPOINTS);
        for (ip, (name, ready, port)) in by_ip.iter().take(MAX_ENDPOINTS) {
            let pod = self.pods.iter().find(|p| p.name() == name && p.namespace() == self.service.namespace());
            let row = seen.table.rows.iter().position(|r| r.id == format!("rule/{ip}:{port}"));
            let node = pod.and_then(|p| p.str_at(&["spec", "nodeName"])).unwrap_or("no pod");
            let word = if *ready { "" } else { " · not ready" };
            seen.endpoints.push(EndpointSeen {
                pod: pod.map_or_else(|| stranger(*ip), |p| observe::pod_seen(p, self.cluster.now())),
                line: format!("{ip}:{port} · {node}{word}"),
                labels: pod.map(|p| self.labels(p)).unwrap_or_default(),
                row,
                chosen: last.is_some_and(|r| r.endpoint.is_some_and(|e| e.0 == *ip)),
            });
        }
        let near = self.pods.iter().filter(|p| self.nearly(p) && !by_ip.values().any(|(name, ..)| name == p.name()));
        for pod in near.take(MAX_NEAR) {
            let seen_pod = observe::pod_seen(pod, self.cluster.now());
            let line = if self.selects(pod) {
                format!("selected · {}", seen_pod.note)
            } else {
                "not selected: no endpoint".to_string()
            };
            seen.endpoints.push(EndpointSeen { pod: seen_pod, line, labels: self.labels(pod), row: None, chosen: false });
        }
    }

    /// The NetworkPolicies of the pods that are drawn. Where the network plugin enforces none, that is said before anybody relies on it.
    fn policies(&self, endpoints: &[EndpointSeen]) -> Vec<Place> {
        let namespace = self.service.namespace();
        let drawn = |p: &&Object| p.namespace() == namespace && endpoints.iter().any(|e| e.pod.name == p.name());
        let pods: Vec<&Object> = self.pods.iter().filter(drawn).collect();
        let place = |policy: &Object| {
            let selector = apimachinery::labels::Selector::from_label_selector(policy.at(&["spec", "podSelector"])).ok()?;
            let pod = pods.iter().find(|p| selector.matches(p.labels()))?;
            let plugin = request::plugin(self.cluster, pod)?;
            let enforced = request::enforces(plugin);
            Some(Place {
                id: format!("networkpolicy/{namespace}/{}", policy.name()),
                title: policy.name().into(),
                line: if enforced { format!("{plugin} enforces it") } else { format!("{plugin} does not enforce it") },
                state: if enforced { State::Idle } else { State::Starting },
                glyph: if enforced { Glyph::Done } else { Glyph::Off },
                opens: Some(Thing::object("networking.k8s.io", "networkpolicies", namespace, policy.name())),
                chosen: false,
            })
        };
        let policies = api::list(self.cluster, resources::networkpolicies(), namespace);
        policies.iter().filter_map(place).take(MAX_POLICIES).collect()
    }

    /// It has one of the selector's keys, or matches but has no address yet.
    fn nearly(&self, pod: &Object) -> bool {
        let selector = self.service.map_at(&["spec", "selector"]);
        pod.namespace() == self.service.namespace() && selector.is_some_and(|s| s.iter().any(|(k, _)| pod.label(k).is_some()))
    }

    fn labels(&self, pod: &Object) -> Vec<(String, bool)> {
        let selector = self.service.map_at(&["spec", "selector"]);
        let label = |(k, wanted): &(apimachinery::Key, Value)| {
            let has = pod.label(k);
            (has.map_or_else(|| format!("no {k}"), |v| format!("{k}={v}")), has == wanted.as_str())
        };
        selector.into_iter().flatten().map(label).collect()
    }
}

/// An endpoint without a pod: an address that somebody wrote by hand, or a component of the control plane.
fn stranger(ip: IpAddr) -> PodSeen {
    PodSeen {
        namespace: String::new(),
        name: ip.to_string(),
        state: State::Idle,
        glyph: Glyph::None,
        note: "not a pod".into(),
        aria: format!("Endpoint {ip}, not a pod"),
    }
}
