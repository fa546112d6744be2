//! Network policies.

use apimachinery::field::{ErrorList, Path};
use apimachinery::validation::parse_cidr;
use apimachinery::{Object, Value};

use crate::check::{self, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

pub static NETWORK_POLICY: Rules = Rules {
    default: |e| {
        e.sub_or_new("spec", |spec| {
            spec.default("podSelector", Value::map());
            for list in ["ingress", "egress"] {
                spec.each(list, |rule: &mut Edit| rule.each("ports", |p| p.default_sym("protocol", "TCP")));
            }
            if spec.get("policyTypes").is_none_or(Value::is_empty) {
                let mut types = vec![Value::sym("Ingress")];
                if spec.get("egress").is_some_and(|e| !e.items().is_empty()) {
                    types.push(Value::sym("Egress"));
                }
                spec.set("policyTypes", types);
            }
        });
    },
    validate,
    ..Rules::of(Kind::namespaced("networking.k8s.io", "networkpolicies", "NetworkPolicy").generation())
};

fn validate(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    check::label_selector(some(spec, "podSelector"), &path.child("podSelector"), errors);
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in spec.list_at(&[list]).iter().enumerate() {
            let all = path.child(list);
            let here = all.index(i);
            for (j, p) in rule.list_at(&["ports"]).iter().enumerate() {
                port(p, &here.child("ports").index(j), errors);
            }
            for (j, p) in rule.list_at(&[peers]).iter().enumerate() {
                peer(p, &here.child(peers).index(j), errors);
            }
        }
    }
    let types = spec.list_at(&["policyTypes"]);
    let here = path.child("policyTypes");
    if types.len() > 2 {
        return errors.invalid(&here, Value::list(types.to_vec()), "may not specify more than two policyTypes");
    }
    for (i, t) in types.iter().enumerate() {
        check::one_of(t.as_str().unwrap_or(""), &["Ingress", "Egress"], &here.index(i), errors);
    }
}

fn port(p: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(protocol) = some(p, "protocol").and_then(Value::as_str) {
        check::one_of(protocol, &["TCP", "UDP", "SCTP"], &path.child("protocol"), errors);
    }
    let end = some(p, "endPort").and_then(Value::as_i64);
    let here = path.child("endPort");
    match some(p, "port") {
        Some(port) => {
            check::port_or_name(Some(port), &path.child("port"), errors);
            match (port, end) {
                (Value::Int(n), Some(end)) => {
                    if end < *n {
                        errors.invalid(&here, end, "must be greater than or equal to `port`");
                    }
                    if !check::port_num(end).is_none() {
                        errors.invalid(&here, end, check::PORT);
                    }
                }
                (_, Some(end)) => errors.invalid(&here, end, "may not be specified when `port` is non-numeric"),
                _ => {}
            }
        }
        None => {
            if let Some(end) = end {
                errors.invalid(&here, end, "may not be specified when `port` is not specified");
            }
        }
    }
}

fn peer(p: &Value, path: &Path, errors: &mut ErrorList) {
    let (pods, namespaces, block) = (some(p, "podSelector"), some(p, "namespaceSelector"), some(p, "ipBlock"));
    check::label_selector(pods, &path.child("podSelector"), errors);
    check::label_selector(namespaces, &path.child("namespaceSelector"), errors);
    if let Some(block) = block {
        ip_block(block, &path.child("ipBlock"), errors);
    }
    if pods.is_none() && namespaces.is_none() && block.is_none() {
        errors.required(path, "must specify a peer");
    } else if block.is_some() && (pods.is_some() || namespaces.is_some()) {
        errors.forbidden(path, "may not specify both ipBlock and another peer");
    }
}

fn ip_block(block: &Value, path: &Path, errors: &mut ErrorList) {
    let cidr = text(block, "cidr");
    if cidr.is_empty() {
        return errors.required(&path.child("cidr"), "");
    }
    if !check::cidr(cidr, &path.child("cidr"), errors) {
        return;
    }
    if super::has_host_bits(cidr) {
        errors.invalid(&path.child("cidr"), cidr, "must not have bits set beyond the prefix length");
    }
    let outer = parse_cidr(cidr);
    for (i, except) in block.list_at(&["except"]).iter().enumerate() {
        let list = path.child("except");
        let here = list.index(i);
        let text = except.as_str().unwrap_or("");
        if !check::cidr(text, &here, errors) {
            continue;
        }
        let (Some((net, len)), Some((inner, inner_len))) = (outer, parse_cidr(text)) else { continue };
        if !(contains(net, len, inner) && inner_len > len) {
            errors.invalid(&here, text, format!("must be a strict subset of `cidr`: \"{cidr}\""));
        }
    }
}

fn contains(net: std::net::IpAddr, len: u8, ip: std::net::IpAddr) -> bool {
    use std::net::IpAddr::{V4, V6};
    match (net, ip) {
        (V4(a), V4(b)) => len == 0 || (u32::from(a) ^ u32::from(b)) >> (32 - u32::from(len)) == 0,
        (V6(a), V6(b)) => len == 0 || (u128::from(a) ^ u128::from(b)) >> (128 - u32::from(len)) == 0,
        _ => false,
    }
}
