//! Services. Models `pkg/registry/core/service` and `ValidateService`.
//!
//! The allocators (cluster IPs, node ports) are kube-apiserver's; the choice of IP families, which needs only the cluster's
//! families (IPv4, or IPv4 and IPv6), is made when a valid service is put into its stored form.

mod ips;
mod ports;
mod update;

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::check::{self, some, text};
use crate::edit::{Edit, edit};
use crate::meta;
use crate::strategy::{Kind, NameRule, Strategy};

/// The strategy of Services; a dual-stack cluster has another one than a cluster of IPv4 alone.
pub struct ServiceStrategy {
    pub dual_stack: bool,
}

/// That of a cluster whose service range has both families.
pub static DUAL_STACK: ServiceStrategy = ServiceStrategy { dual_stack: true };

static KIND: Kind = Kind::namespaced("", "services", "Service")
    .status()
    .create_on_update()
    .names(NameRule::DnsLabel)
    .select(&[("spec.clusterIP", &["spec", "clusterIP"]), ("spec.type", &["spec", "type"])]);

impl Strategy for ServiceStrategy {
    fn kind(&self) -> &Kind {
        &KIND
    }
    fn default(&self, obj: &mut Object) {
        edit(obj, default);
    }
    fn prepare_for_create(&self, obj: &mut Object) {
        meta::reset_for_create(&KIND, obj);
        obj.set_at(&["status"], value!({"loadBalancer": {}}));
        edit(obj, |e| e.sub("spec", ips::normalize_new));
    }
    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        meta::keep_status(&KIND, new, old);
        update::prepare(new, old);
    }
    fn validate(&self, obj: &Object, errors: &mut ErrorList) {
        meta::validate(&KIND, obj, errors);
        validate(obj, errors);
        if errors.is_empty() && !self.dual_stack {
            ips::check_families(obj, errors);
        }
    }
    fn validate_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        meta::validate_update(&KIND, new, old, errors);
        update::validate(new, old, errors);
        validate(new, errors);
        if errors.is_empty() && !self.dual_stack {
            ips::check_families(new, errors);
        }
    }
    fn warnings(&self, new: &Object, _old: Option<&Object>) -> Vec<String> {
        warnings(new)
    }
    fn canonicalize(&self, obj: &mut Object) {
        edit(obj, |e| e.sub("spec", |spec| ips::set_families(spec, self.dual_stack)));
    }
}

fn default(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        spec.default_sym("sessionAffinity", "None");
        match spec.str("sessionAffinity") {
            "None" => spec.remove("sessionAffinityConfig"),
            "ClientIP" => spec.sub_or_new("sessionAffinityConfig", |c| {
                c.sub_or_new("clientIP", |ip| ip.default("timeoutSeconds", 10_800));
            }),
            _ => {}
        }
        spec.default_sym("type", "ClusterIP");
        spec.each("ports", |p| {
            p.default_sym("protocol", "TCP");
            let unset = p.get("targetPort").is_none_or(Value::is_empty);
            if let (true, Some(port)) = (unset, p.get("port").cloned()) {
                p.set("targetPort", port);
            }
        });
        let kind = spec.str("type").to_string();
        if externally_accessible(spec.value()) {
            spec.default_sym("externalTrafficPolicy", "Cluster");
        }
        if matches!(&*kind, "ClusterIP" | "NodePort" | "LoadBalancer") && !spec.has("internalTrafficPolicy") {
            spec.set("internalTrafficPolicy", Value::sym("Cluster"));
        }
        if kind == "LoadBalancer" {
            spec.default("allocateLoadBalancerNodePorts", true);
        }
    });
    e.sub_or_new("status", |s| s.default("loadBalancer", Value::map()));
}

/// `clusterIP: None`
pub fn is_headless(spec: &Value) -> bool {
    text(spec, "clusterIP") == "None" || spec.list_at(&["clusterIPs"]).first().and_then(Value::as_str) == Some("None")
}

pub fn needs_cluster_ip(spec: &Value) -> bool {
    matches!(text(spec, "type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether the type has node ports (a load balancer may go without).
pub fn needs_node_port(spec: &Value) -> bool {
    match text(spec, "type") {
        "NodePort" => true,
        "LoadBalancer" => spec.bool_at(&["allocateLoadBalancerNodePorts"]) != Some(false),
        _ => false,
    }
}

pub fn needs_health_check_port(spec: &Value) -> bool {
    text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
}

fn externally_accessible(spec: &Value) -> bool {
    matches!(text(spec, "type"), "NodePort" | "LoadBalancer")
        || text(spec, "type") == "ClusterIP" && !spec.list_at(&["externalIPs"]).is_empty()
}

fn validate(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let kind = text(spec, "type");
    match kind {
        "" => errors.required(&path.child("type"), ""),
        k => {
            let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
            check::one_of(k, &types, &path.child("type"), errors);
        }
    }
    by_type(spec, kind, &path, errors);
    ports::ports(spec, &path, errors);
    check::labels(spec.map_at(&["selector"]), &path.child("selector"), errors);
    affinity(spec, &path, errors);
    ips::cluster_ips(spec, &path, errors);
    for (i, ip) in spec.list_at(&["externalIPs"]).iter().enumerate() {
        let here = path.child("externalIPs");
        let text = ip.as_str().unwrap_or("");
        if let Some(ip) = check::ip(text, &here.index(i), errors) {
            check::special_ip(ip, text, &here.index(i), errors);
        }
    }
    load_balancer(spec, kind, &path, errors);
    traffic(spec, kind, &path, errors);
}

fn by_type(spec: &Value, kind: &str, path: &Path, errors: &mut ErrorList) {
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.invalid(&path.child("clusterIPs").index(0), "None", detail);
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies"] {
                if !spec.list_at(&[field]).is_empty() {
                    errors.forbidden(&path.child(field), "may not be set for ExternalName services");
                }
            }
            if some(spec, "ipFamilyPolicy").is_some() {
                errors.forbidden(&path.child("ipFamilyPolicy"), "may not be set for ExternalName services");
            }
            let name = text(spec, "externalName");
            match name.strip_suffix('.').unwrap_or(name) {
                "" => errors.required(&path.child("externalName"), ""),
                cname => check::dns1123_subdomain(cname).report(errors, &path.child("externalName"), cname),
            }
        }
        _ => {}
    }
}

fn affinity(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let here = path.child("sessionAffinity");
    match text(spec, "sessionAffinity") {
        "" => errors.required(&here, ""),
        "None" => {}
        "ClientIP" => {
            let n = spec.int_at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]).unwrap_or(0);
            if n <= 0 || n > 86_400 {
                let here = path.child("sessionAffinityConfig");
                let here = here.child("clientIP");
                errors.invalid(&here.child("timeoutSeconds"), n, "must be greater than 0 and less than 86400");
            }
        }
        other => errors.not_supported(&here, other, &["ClientIP", "None"]),
    }
}

fn load_balancer(spec: &Value, kind: &str, path: &Path, errors: &mut ErrorList) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    let ranges = spec.list_at(&["loadBalancerSourceRanges"]);
    let here = path.child("LoadBalancerSourceRanges");
    if !ranges.is_empty() && kind != "LoadBalancer" {
        errors.forbidden(&here, ONLY);
    }
    for (i, range) in ranges.iter().enumerate() {
        check::cidr(range.as_str().unwrap_or("").trim(), &here.index(i), errors);
    }
    if some(spec, "allocateLoadBalancerNodePorts").is_some() && kind != "LoadBalancer" {
        errors.forbidden(&path.child("allocateLoadBalancerNodePorts"), ONLY);
    }
    if let Some(class) = some(spec, "loadBalancerClass").and_then(Value::as_str) {
        let here = path.child("loadBalancerClass");
        if kind != "LoadBalancer" {
            errors.forbidden(&here, ONLY);
        }
        check::qualified_name(class).report(errors, &here, class);
    }
}

fn traffic(spec: &Value, kind: &str, path: &Path, errors: &mut ErrorList) {
    let policy = text(spec, "externalTrafficPolicy");
    let here = path.child("externalTrafficPolicy");
    match (externally_accessible(spec), policy) {
        (false, "") => {}
        (false, p) => errors.invalid(&here, p, "may only be set for externally-accessible services"),
        (true, "") if kind == "ClusterIP" => {}
        (true, "") => errors.required(&here, ""),
        (true, p) => drop(check::one_of(p, &["Cluster", "Local"], &here, errors)),
    }
    let port = spec.int_at(&["healthCheckNodePort"]).unwrap_or(0);
    let here = path.child("healthCheckNodePort");
    if port != 0 && !needs_health_check_port(spec) {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.invalid(&here, port, detail);
    } else if port != 0 && !check::port_num(port).is_none() {
        errors.invalid(&here, port, check::PORT);
    }
    if needs_cluster_ip(spec) {
        let here = path.child("internalTrafficPolicy");
        match some(spec, "internalTrafficPolicy").and_then(Value::as_str) {
            None => errors.required(&here, ""),
            Some(p) => drop(check::one_of(p, &["Cluster", "Local"], &here, errors)),
        }
    }
    if let Some(d) = some(spec, "trafficDistribution").and_then(Value::as_str) {
        let set = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        check::one_of(d, &set, &path.child("trafficDistribution"), errors);
    }
}

/// Warnings about services that are accepted.
fn warnings(obj: &Object) -> Vec<String> {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let mut out = Vec::new();
    let kind = text(spec, "type");
    if !spec.list_at(&["externalIPs"]).is_empty() {
        out.push(match kind {
            "ExternalName" => "spec.externalIPs is ignored when spec.type is \"ExternalName\"".into(),
            _ => "spec.externalIPs is deprecated and may no longer be implemented in some clusters".into(),
        });
    }
    if kind != "ExternalName" && !text(spec, "externalName").is_empty() {
        out.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".into());
    }
    if text(spec, "trafficDistribution") == "PreferClose" {
        out.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".into());
    }
    out
}
