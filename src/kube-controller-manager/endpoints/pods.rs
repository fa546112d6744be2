//! What a pod is to a service: an endpoint with its address, conditions and ports.

use std::rc::Rc;

use apimachinery::{Object, Value, value};
use client_go::pods::{is_ready, is_terminal, node_name};

use crate::resources::{Caches, NODES};

/// The label that says in which zone a node is.
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// Whether a pod's change can change endpoints. Models `podEndpointsChanged`.
pub fn endpoint_changed(old: &Object, new: &Object) -> bool {
    let differs = |path: &[&str]| old.at(path) != new.at(path);
    old.is_being_deleted() != new.is_being_deleted()
        || is_ready(old) != is_ready(new)
        || is_terminal(old) != is_terminal(new)
        || differs(&["status", "podIPs"])
        || differs(&["status", "podIP"])
        || differs(&["spec", "nodeName"])
        || differs(&["metadata", "labels"])
        || differs(&["spec", "hostname"])
}

/// Whether a pod is listed at all: it has an address, and has not ended.
pub fn is_included(pod: &Object, include_terminating: bool) -> bool {
    !is_terminal(pod) && !ip(pod).is_empty() && (include_terminating || !pod.is_being_deleted())
}

pub fn ip(pod: &Object) -> &str {
    pod.str_at(&["status", "podIP"]).unwrap_or("")
}

/// The pod's address of a family.
pub fn ip_of(pod: &Object, v6: bool) -> &str {
    let all = pod.list_at(&["status", "podIPs"]).iter().filter_map(|i| i.str_at(&["ip"]));
    std::iter::once(ip(pod)).chain(all).find(|ip| !ip.is_empty() && ip.contains(':') == v6).unwrap_or("")
}

/// The host name of a pod if it belongs to the headless service that its subdomain names.
pub fn hostname<'a>(pod: &'a Object, service: &Object) -> Option<&'a str> {
    let hostname = pod.str_at(&["spec", "hostname"]).filter(|h| !h.is_empty())?;
    (pod.str_at(&["spec", "subdomain"]) == Some(service.name())).then_some(hostname)
}

pub fn target_ref(pod: &Object) -> Value {
    value!({"kind": "Pod", "namespace": (pod.namespace()), "name": (pod.name()), "uid": (pod.uid())})
}

/// An endpoint of discovery.k8s.io/v1. Models `podToEndpoint`.
pub fn endpoint(pod: &Object, address: &str, service: &Object, caches: Caches) -> Value {
    let publish = service.bool_at(&["spec", "publishNotReadyAddresses"]).unwrap_or(false);
    let (serving, terminating) = (is_ready(pod), pod.is_being_deleted());
    let ready = publish || (serving && !terminating);
    let mut endpoint = value!({
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": (target_ref(pod))
    });
    let node = node_name(pod);
    if !node.is_empty() {
        endpoint.set_at(&["nodeName"], node);
        let zone = caches.find(NODES, "", node).and_then(|n| n.label(ZONE));
        if let Some(zone) = zone {
            endpoint.set_at(&["zone"], zone);
        }
    }
    if let Some(hostname) = hostname(pod, service) {
        endpoint.set_at(&["hostname"], hostname);
    }
    endpoint
}

/// The ports of a service as numbers of this pod, `(name, number, protocol, app protocol)`; those whose name the pod lacks are left out.
pub fn ports(service: &Object, pod: &Object) -> Vec<Value> {
    service.list_at(&["spec", "ports"]).iter().filter_map(|port| port_of(port, pod)).collect()
}

fn port_of(port: &Value, pod: &Object) -> Option<Value> {
    let protocol = port.str_at(&["protocol"]).unwrap_or("TCP");
    let number = target_port(port, protocol, pod)?;
    let mut v = value!({"name": (port.str_at(&["name"]).unwrap_or("")), "port": number, "protocol": protocol});
    if let Some(app) = port.get("appProtocol") {
        v.set_at(&["appProtocol"], app);
    }
    Some(v)
}

/// The number that a target port stands for in a pod. Models `FindPort`.
fn target_port(port: &Value, protocol: &str, pod: &Object) -> Option<i64> {
    let name: Rc<str> = match port.get("targetPort") {
        Some(Value::Str(name)) => name.clone(),
        Some(Value::Int(n)) if *n != 0 => return Some(*n),
        _ => return port.int_at(&["port"]),
    };
    let containers = pod.list_at(&["spec", "containers"]).iter();
    let sidecars = pod.list_at(&["spec", "initContainers"]).iter().filter(|c| c.str_at(&["restartPolicy"]) == Some("Always"));
    containers.chain(sidecars).flat_map(|c| c.list_at(&["ports"])).find_map(|p| {
        let fits = p.str_at(&["name"]) == Some(&name) && p.str_at(&["protocol"]).unwrap_or("TCP") == protocol;
        if fits { p.int_at(&["containerPort"]) } else { None }
    })
}
