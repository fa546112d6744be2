//! Endpoints and EndpointSlices.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value};

use crate::check::{self, some, text};
use crate::rules::Rules;
use crate::strategy::Kind;

pub static ENDPOINTS: Rules = Rules {
    default: |e| e.each("subsets", |s| s.each("ports", |p| p.default_sym("protocol", "TCP"))),
    validate: endpoints,
    warnings: |_, _, out| out.push("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".into()),
    ..Rules::of(Kind::namespaced("", "endpoints", "Endpoints").create_on_update())
};

fn endpoints(obj: &Object, errors: &mut ErrorList) {
    let path = Path::new("subsets");
    for (i, subset) in obj.list_at(&["subsets"]).iter().enumerate() {
        let here = path.index(i);
        let (ready, not_ready) = (subset.list_at(&["addresses"]), subset.list_at(&["notReadyAddresses"]));
        if ready.is_empty() && not_ready.is_empty() {
            errors.required(&here, "must specify `addresses` or `notReadyAddresses`");
        }
        for (field, list) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
            for (j, address) in list.iter().enumerate() {
                endpoint_address(address, &here.child(field).index(j), errors);
            }
        }
        let ports = subset.list_at(&["ports"]);
        for (j, port) in ports.iter().enumerate() {
            endpoint_port(port, ports.len() > 1, &here.child("ports").index(j), errors);
        }
    }
}

fn endpoint_address(address: &Value, path: &Path, errors: &mut ErrorList) {
    let ip = text(address, "ip");
    match check::ip(ip, &path.child("ip"), errors) {
        Some(parsed) => check::special_ip(parsed, ip, &path.child("ip"), errors),
        None => errors.invalid(&path.child("ip"), ip, "must be a valid IP address"),
    }
    let host = text(address, "hostname");
    if !host.is_empty() {
        check::dns1123_label(host).report(errors, &path.child("hostname"), host);
    }
    if let Some(node) = some(address, "nodeName").and_then(Value::as_str) {
        check::dns1123_subdomain(node).report(errors, &path.child("nodeName"), node);
    }
}

fn endpoint_port(port: &Value, name_required: bool, path: &Path, errors: &mut ErrorList) {
    match text(port, "name") {
        "" if name_required => errors.required(&path.child("name"), ""),
        "" => {}
        name => check::dns1123_label(name).report(errors, &path.child("name"), name),
    }
    let n = port.int_at(&["port"]).unwrap_or(0);
    if !check::port_num(n).is_none() {
        errors.invalid(&path.child("port"), n, check::PORT);
    }
    match text(port, "protocol") {
        "" => errors.required(&path.child("protocol"), ""),
        p => drop(check::one_of(p, &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors)),
    }
}

pub static ENDPOINT_SLICE: Rules = Rules {
    default: |e| {
        e.each("ports", |p| {
            p.default("name", Value::sym(""));
            p.default_sym("protocol", "TCP");
        });
        if e.value().get("endpoints").is_none() {
            e.set("endpoints", Value::Null);
        }
        if e.value().get("ports").is_none() {
            e.set("ports", Value::Null);
        }
        e.each("endpoints", |ep| ep.default("conditions", Value::map()));
    },
    validate: slice,
    update: |new, old, errors| {
        if !check::same(new.get("addressType"), old.get("addressType")) {
            // Upstream's declarative validation shows no value here.
            errors.invalid(&Path::new("addressType"), Value::Null, check::IMMUTABLE);
        }
    },
    warnings: |new, _, out| {
        if new.str_at(&["addressType"]) == Some("FQDN") {
            out.push("spec.addressType: FQDN endpoints are deprecated".into());
        }
    },
    ..Rules::of(Kind::namespaced("discovery.k8s.io", "endpointslices", "EndpointSlice").generation_and("labels"))
};

fn slice(obj: &Object, errors: &mut ErrorList) {
    let kind = obj.str_at(&["addressType"]).unwrap_or("");
    let path = Path::new("addressType");
    match kind {
        "" => errors.required(&path, ""),
        k => drop(check::one_of(k, &["FQDN", "IPv4", "IPv6"], &path, errors)),
    }
    let path = Path::new("endpoints");
    let list = obj.list_at(&["endpoints"]);
    if list.len() > 1000 {
        return errors.too_many(&path, list.len(), 1000);
    }
    for (i, endpoint) in list.iter().enumerate() {
        slice_endpoint(endpoint, kind, &path.index(i), errors);
    }
    slice_ports(obj.list_at(&["ports"]), errors);
}

fn slice_endpoint(endpoint: &Value, kind: &str, path: &Path, errors: &mut ErrorList) {
    let addresses = endpoint.list_at(&["addresses"]);
    let here = path.child("addresses");
    if addresses.is_empty() {
        errors.required(&here, "");
    } else if addresses.len() > 100 {
        errors.too_many(&here, addresses.len(), 100);
    }
    for (i, a) in addresses.iter().enumerate() {
        let a = a.as_str().unwrap_or("");
        if kind == "FQDN" {
            check::dns1123_subdomain(a).report(errors, &here.index(i), a);
            continue;
        }
        if !matches!(kind, "IPv4" | "IPv6") {
            continue;
        }
        let Some(ip) = check::ip(a, &here.index(i), errors) else { continue };
        if ip.is_ipv6() != (kind == "IPv6") {
            errors.invalid(&here, a, format!("must be an {kind} address"));
        }
        check::special_ip(ip, a, &here.index(i), errors);
    }
    if let Some(node) = some(endpoint, "nodeName").and_then(Value::as_str) {
        check::dns1123_subdomain(node).report(errors, &path.child("nodeName"), node);
    }
    if let Some(host) = some(endpoint, "hostname").and_then(Value::as_str) {
        check::dns1123_label(host).report(errors, &path.child("hostname"), host);
    }
    check::labels(endpoint.map_at(&["deprecatedTopology"]), &path.child("deprecatedTopology"), errors);
}

fn slice_ports(list: &[Value], errors: &mut ErrorList) {
    let path = Path::new("ports");
    if list.len() > 20_000 {
        return errors.too_many(&path, list.len(), 20_000);
    }
    for (i, port) in list.iter().enumerate() {
        let here = path.index(i);
        let name = text(port, "name");
        if !name.is_empty() {
            check::dns1123_label(name).report(errors, &here.child("name"), name);
        }
        if list[..i].iter().any(|o| text(o, "name") == name) {
            errors.duplicate(&here.child("name"), name);
        }
        check::one_of(text(port, "protocol"), &["SCTP", "TCP", "UDP"], &here.child("protocol"), errors);
        let app = text(port, "appProtocol");
        if !app.is_empty() {
            check::qualified_name(app).report(errors, &here.child("appProtocol"), app);
        }
    }
}
