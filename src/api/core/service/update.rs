//! Updates of services: what is filled in from before, what is dropped with a change of type, what may not change.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value};

use super::{needs_cluster_ip, needs_health_check_port, needs_node_port};
use crate::check::{some, text};
use crate::edit::{Edit, edit};

/// `patchAllocatedValues`, `NormalizeClusterIPs` and `dropTypeDependentFields`.
pub fn prepare(new: &mut Object, old: &Object) {
    let before = old.get("spec").cloned().unwrap_or_default();
    edit(new, |e| {
        e.sub("spec", |spec| {
            fill_in(spec, &before);
            normalize(spec, &before);
            drop_by_type(spec, &before);
        });
    });
}

fn fill_in(spec: &mut Edit, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(spec.value()) {
        if spec.str("clusterIP").is_empty()
            && let Some(ip) = old.get("clusterIP")
        {
            spec.set("clusterIP", ip);
        }
        let same = spec.str("clusterIP") == text(old, "clusterIP");
        if let (true, true, Some(list)) = (same, spec.get("clusterIPs").is_none_or(Value::is_empty), old.get("clusterIPs")) {
            spec.set("clusterIPs", list);
        }
    }
    if needs_node_port(old) && needs_node_port(spec.value()) {
        let port = |p: &Value| p.int_at(&["nodePort"]).unwrap_or(0);
        let used: Vec<i64> = spec.value().list_at(&["ports"]).iter().map(port).collect();
        spec.each("ports", |p| {
            let named = old.list_at(&["ports"]).iter().find(|o| text(o, "name") == p.str("name"));
            if let Some(n) = named.map(port).filter(|n| *n != 0 && !used.contains(n)) {
                p.default_int("nodePort", n);
            }
        });
    }
    if needs_health_check_port(old)
        && needs_health_check_port(spec.value())
        && let Some(n) = old.int_at(&["healthCheckNodePort"])
    {
        spec.default_int("healthCheckNodePort", n);
    }
}

/// A client that knows only `clusterIP` changes the list too.
fn normalize(spec: &mut Edit, old: &Value) {
    let (ip, before) = (spec.str("clusterIP").to_string(), text(old, "clusterIP"));
    let same_list = spec.get("clusterIPs") == old.get("clusterIPs");
    if ip.is_empty() && !before.is_empty() && same_list {
        spec.remove("clusterIPs");
    } else if ip != before && !ip.is_empty() && (same_list || !spec.has("clusterIPs")) {
        spec.set("clusterIPs", vec![ip.into()]);
    } else if !spec.has("clusterIPs") && some(old, "clusterIPs").is_some() && ip == before {
        spec.remove("clusterIP");
    }
}

fn drop_by_type(spec: &mut Edit, old: &Value) {
    let unchanged = |spec: &Edit, field: &str| spec.get(field) == some(old, field);
    if needs_cluster_ip(old) && !needs_cluster_ip(spec.value()) {
        if unchanged(spec, "clusterIP") && unchanged(spec, "clusterIPs") {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if unchanged(spec, field) {
                spec.remove(field);
            }
        }
    }
    if needs_node_port(old) && !needs_node_port(spec.value()) {
        let ports: Vec<Option<i64>> = old.list_at(&["ports"]).iter().map(|p| p.int_at(&["nodePort"])).collect();
        let now: Vec<Option<i64>> = spec.value().list_at(&["ports"]).iter().map(|p| p.int_at(&["nodePort"])).collect();
        if ports == now {
            spec.each("ports", |p| p.remove("nodePort"));
        }
    }
    if needs_health_check_port(old) && !needs_health_check_port(spec.value()) && unchanged(spec, "healthCheckNodePort") {
        spec.remove("healthCheckNodePort");
    }
    if text(old, "type") == "LoadBalancer" && spec.str("type") != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if unchanged(spec, field) {
                spec.remove(field);
            }
        }
    }
    let external = super::externally_accessible(spec.value());
    if super::externally_accessible(old) && !external && unchanged(spec, "externalTrafficPolicy") {
        spec.remove("externalTrafficPolicy");
    }
}

/// The first cluster IP and the load balancer's class stay.
pub fn validate(new: &Object, old: &Object, errors: &mut ErrorList) {
    let (n, o) = (new.get("spec").unwrap_or(&Value::Null), old.get("spec").unwrap_or(&Value::Null));
    let path = Path::new("spec");
    if needs_cluster_ip(n) && needs_cluster_ip(o) {
        let first = |s: &Value| s.list_at(&["clusterIPs"]).first().cloned();
        if first(o).is_some()
            && first(n) != first(o)
            && text(n, "clusterIP") == first(n).as_ref().and_then(Value::as_str).unwrap_or("")
        {
            let shown = n.get("clusterIPs").cloned().unwrap_or_default();
            errors.invalid(&path.child("clusterIPs").index(0), shown, "may not change once set");
        }
    }
    let class = |s: &Value| some(s, "loadBalancerClass").cloned();
    if text(o, "type") == "LoadBalancer" && text(n, "type") == "LoadBalancer" && class(n) != class(o) {
        let shown = class(n).unwrap_or_default();
        errors.invalid(&path.child("loadBalancerClass"), shown, "may not change once set");
    }
}
