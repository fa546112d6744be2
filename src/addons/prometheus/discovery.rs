//! Targets from Kubernetes objects: `kubernetes_sd_configs` with its meta labels. Models `discovery/kubernetes`.

use std::rc::Rc;

use apimachinery::{Object, Value, resources};

use super::config::{Discovery, Role};
use crate::informer::Informer;

type Text = Rc<str>;
/// The labels of a target before relabelling; `__address__` is among them.
pub type Raw = Vec<(Text, Text)>;

/// The objects that the roles in use need.
#[derive(Clone, Default)]
pub struct Informers {
    nodes: Option<Informer>,
    pods: Option<Informer>,
    services: Option<Informer>,
    slices: Option<Informer>,
}

const AGENT: &str = "Prometheus/3.5.0";

impl Informers {
    pub fn for_roles(roles: &[Role]) -> Informers {
        let wants = |wanted: &[Role]| roles.iter().any(|r| wanted.contains(r));
        let informer = |gvr| Informer::new(gvr, "", None, AGENT);
        let slices = apimachinery::Gvr::new("discovery.k8s.io", "v1", "endpointslices");
        let endpoints = [Role::Endpoints, Role::EndpointSlice];
        Informers {
            nodes: wants(&[Role::Node]).then(|| informer(resources::nodes())),
            pods: wants(&[Role::Pod, Role::Endpoints, Role::EndpointSlice]).then(|| informer(resources::pods())),
            services: wants(&[Role::Service, Role::Endpoints, Role::EndpointSlice]).then(|| informer(resources::services())),
            slices: wants(&endpoints).then(|| informer(slices)),
        }
    }

    pub fn all(&mut self) -> impl Iterator<Item = &mut Informer> {
        [&mut self.nodes, &mut self.pods, &mut self.services, &mut self.slices].into_iter().flatten()
    }

    /// The targets of one `kubernetes_sd_configs` entry.
    pub fn targets(&self, discovery: &Discovery) -> Vec<Raw> {
        let inside = |o: &Object| discovery.namespaces.is_empty() || discovery.namespaces.iter().any(|n| **n == *o.namespace());
        let of = |informer: &Option<Informer>| -> Vec<Object> {
            let items = informer.iter().flat_map(|i| i.items());
            items.map(|(_, o)| o.clone()).filter(|o| inside(o) || o.namespace().is_empty()).collect()
        };
        match discovery.role {
            Role::Node => of(&self.nodes).iter().filter_map(node).collect(),
            Role::Pod => of(&self.pods).iter().flat_map(pod).collect(),
            Role::Service => of(&self.services).iter().flat_map(service).collect(),
            Role::Endpoints | Role::EndpointSlice => {
                of(&self.slices).iter().flat_map(|slice| self.slice(slice, discovery.role)).collect()
            }
        }
    }

    fn slice(&self, slice: &Object, role: Role) -> Vec<Raw> {
        let (kind, prefix) = match role {
            Role::Endpoints => ("endpoints", "__meta_kubernetes_endpoint"),
            _ => ("endpointslice", "__meta_kubernetes_endpointslice"),
        };
        let service = slice.label("kubernetes.io/service-name").unwrap_or("").to_string();
        let mut found = Vec::new();
        for port in slice.list_at(&["ports"]) {
            for endpoint in slice.list_at(&["endpoints"]) {
                for ip in endpoint.list_at(&["addresses"]).iter().filter_map(Value::as_str) {
                    let number = port.int_at(&["port"]).unwrap_or(0);
                    let ready = endpoint.bool_at(&["conditions", "ready"]) != Some(false);
                    let mut raw = Raw::new();
                    add(&mut raw, "__address__", &address(ip, number));
                    add(&mut raw, "__meta_kubernetes_namespace", slice.namespace());
                    let own_name = if role == Role::Endpoints { service.as_str() } else { slice.name() };
                    add(&mut raw, &format!("__meta_kubernetes_{kind}_name"), own_name);
                    add(&mut raw, &format!("{prefix}_port_name"), port.str_at(&["name"]).unwrap_or(""));
                    add(&mut raw, &format!("{prefix}_port_protocol"), port.str_at(&["protocol"]).unwrap_or("TCP"));
                    match role {
                        Role::Endpoints => add(&mut raw, "__meta_kubernetes_endpoint_ready", &ready.to_string()),
                        _ => {
                            add(&mut raw, &format!("{prefix}_port"), &number.to_string());
                            add(&mut raw, &format!("{prefix}_endpoint_conditions_ready"), &ready.to_string());
                        }
                    }
                    if let Some(node) = endpoint.str_at(&["nodeName"]) {
                        let field = if role == Role::Endpoints { "node_name" } else { "endpoint_node_name" };
                        add(&mut raw, &format!("{prefix}_{field}"), node);
                    }
                    if let Some(target) = endpoint.at(&["targetRef"]) {
                        let text = |f: &str| target.str_at(&[f]).unwrap_or("");
                        add(&mut raw, &format!("{prefix}_address_target_kind"), text("kind"));
                        add(&mut raw, &format!("{prefix}_address_target_name"), text("name"));
                        let pod = self.pods.as_ref().filter(|_| text("kind") == "Pod");
                        if let Some(pod) = pod.and_then(|pods| pods.get(slice.namespace(), text("name"))) {
                            pod_labels(&mut raw, pod);
                        }
                    }
                    if let Some(service) = self.services.as_ref().and_then(|s| s.get(slice.namespace(), &service)) {
                        service_labels(&mut raw, service);
                    }
                    found.push(raw);
                }
            }
        }
        found
    }
}

fn add(raw: &mut Raw, name: &str, value: &str) {
    raw.push((name.into(), value.into()));
}

fn address(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// A label's name as Prometheus can have it.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// Labels and annotations of an object under `__meta_kubernetes_<what>_…`.
fn metadata(raw: &mut Raw, object: &Object, what: &str) {
    for (field, pairs) in [("label", object.labels()), ("annotation", object.annotations())] {
        for (name, value) in pairs.into_iter().flat_map(|m| m.iter()) {
            let name = clean(name);
            add(raw, &format!("__meta_kubernetes_{what}_{field}_{name}"), value.as_str().unwrap_or(""));
            add(raw, &format!("__meta_kubernetes_{what}_{field}present_{name}"), "true");
        }
    }
}

fn node(node: &Object) -> Option<Raw> {
    let addresses = node.list_at(&["status", "addresses"]);
    let ip = addresses.iter().find(|a| a.str_at(&["type"]) == Some("InternalIP"))?.str_at(&["address"])?;
    let port = node.int_at(&["status", "daemonEndpoints", "kubeletEndpoint", "Port"]).unwrap_or(10250);
    let mut raw = Raw::new();
    add(&mut raw, "__address__", &address(ip, port));
    add(&mut raw, "instance", node.name());
    add(&mut raw, "__meta_kubernetes_node_name", node.name());
    metadata(&mut raw, node, "node");
    for a in addresses {
        if let (Some(kind), Some(value)) = (a.str_at(&["type"]), a.str_at(&["address"])) {
            add(&mut raw, &format!("__meta_kubernetes_node_address_{}", clean(kind)), value);
        }
    }
    Some(raw)
}

fn pod_labels(raw: &mut Raw, pod: &Object) {
    let text = |path: &[&str]| pod.str_at(path).unwrap_or("").to_string();
    add(raw, "__meta_kubernetes_pod_name", pod.name());
    add(raw, "__meta_kubernetes_pod_ip", &text(&["status", "podIP"]));
    add(raw, "__meta_kubernetes_pod_node_name", &text(&["spec", "nodeName"]));
    add(raw, "__meta_kubernetes_pod_host_ip", &text(&["status", "hostIP"]));
    add(raw, "__meta_kubernetes_pod_phase", &text(&["status", "phase"]));
    add(raw, "__meta_kubernetes_pod_uid", pod.uid());
    let ready = pod.condition("Ready").and_then(|c| c.str_at(&["status"])).unwrap_or("unknown").to_lowercase();
    add(raw, "__meta_kubernetes_pod_ready", &ready);
    if let Some(owner) = pod.controller_ref() {
        add(raw, "__meta_kubernetes_pod_controller_kind", owner.str_at(&["kind"]).unwrap_or(""));
        add(raw, "__meta_kubernetes_pod_controller_name", owner.str_at(&["name"]).unwrap_or(""));
    }
    metadata(raw, pod, "pod");
}

/// One target a container port; a container without ports is one target.
fn pod(pod: &Object) -> Vec<Raw> {
    let ip = pod.str_at(&["status", "podIP"]).unwrap_or("");
    let ended = matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed"));
    if ip.is_empty() || ended {
        return Vec::new();
    }
    let mut found = Vec::new();
    for container in pod.list_at(&["spec", "containers"]) {
        let ports = container.list_at(&["ports"]);
        let none = [Value::map()];
        for port in if ports.is_empty() { &none[..] } else { ports } {
            let mut raw = Raw::new();
            let number = port.int_at(&["containerPort"]);
            add(&mut raw, "__address__", &number.map_or(ip.to_string(), |n| address(ip, n)));
            add(&mut raw, "__meta_kubernetes_namespace", pod.namespace());
            add(&mut raw, "__meta_kubernetes_pod_container_name", container.str_at(&["name"]).unwrap_or(""));
            add(&mut raw, "__meta_kubernetes_pod_container_image", container.str_at(&["image"]).unwrap_or(""));
            if let Some(n) = number {
                add(&mut raw, "__meta_kubernetes_pod_container_port_number", &n.to_string());
                add(&mut raw, "__meta_kubernetes_pod_container_port_name", port.str_at(&["name"]).unwrap_or(""));
                let protocol = port.str_at(&["protocol"]).unwrap_or("TCP");
                add(&mut raw, "__meta_kubernetes_pod_container_port_protocol", protocol);
            }
            pod_labels(&mut raw, pod);
            found.push(raw);
        }
    }
    found
}

fn service_labels(raw: &mut Raw, service: &Object) {
    add(raw, "__meta_kubernetes_service_name", service.name());
    metadata(raw, service, "service");
}

fn service(service: &Object) -> Vec<Raw> {
    let ports = service.list_at(&["spec", "ports"]).iter();
    ports
        .map(|port| {
            let mut raw = Raw::new();
            let number = port.int_at(&["port"]).unwrap_or(0);
            add(&mut raw, "__address__", &format!("{}.{}.svc:{number}", service.name(), service.namespace()));
            add(&mut raw, "__meta_kubernetes_namespace", service.namespace());
            add(&mut raw, "__meta_kubernetes_service_port_name", port.str_at(&["name"]).unwrap_or(""));
            add(&mut raw, "__meta_kubernetes_service_port_number", &number.to_string());
            add(&mut raw, "__meta_kubernetes_service_port_protocol", port.str_at(&["protocol"]).unwrap_or("TCP"));
            let spec = |f: &str| service.str_at(&["spec", f]).unwrap_or("");
            add(&mut raw, "__meta_kubernetes_service_cluster_ip", spec("clusterIP"));
            add(&mut raw, "__meta_kubernetes_service_type", spec("type"));
            service_labels(&mut raw, service);
            raw
        })
        .collect()
}
