//! The networking group: ingresses, network policies, service CIDRs, IP addresses.

mod ingress;
mod policy;

pub use ingress::{INGRESS, INGRESS_CLASS};
pub use policy::NETWORK_POLICY;

use apimachinery::field::{ErrorList, Path};
use apimachinery::validation::parse_cidr;
use apimachinery::{Object, Value, json, value};

use crate::check::{self, IP, invalid_raw, text};
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

/// `IsDomainPrefixedPath`: `acme.io/foo`.
pub fn domain_prefixed_path(s: &str, path: &Path, errors: &mut ErrorList) {
    if s.is_empty() {
        return errors.required(path, "");
    }
    let Some((host, rest)) = s.split_once('/').filter(|(h, r)| !h.is_empty() && !r.is_empty()) else {
        return errors.invalid(path, s, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    };
    check::dns1123_subdomain(host).report(errors, path, host);
    if !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b)) {
        errors.invalid(path, rest, "Invalid path");
    }
}

/// Whether an address has bits beyond its prefix.
pub fn has_host_bits(cidr: &str) -> bool {
    let Some((ip, len)) = parse_cidr(cidr) else { return false };
    match ip {
        std::net::IpAddr::V4(v4) => u32::from(v4).checked_shl(u32::from(len)).unwrap_or(0) != 0,
        std::net::IpAddr::V6(v6) => u128::from(v6).checked_shl(u32::from(len)).unwrap_or(0) != 0,
    }
}

pub static SERVICE_CIDR: Rules = Rules {
    new_status: Some(|| value!({})),
    validate: |obj, errors| {
        let spec = Path::new("spec");
        let path = spec.child("cidrs");
        let list = obj.list_at(&["spec", "cidrs"]);
        if list.is_empty() {
            errors.required(&path, "at least one CIDR required");
        }
        if list.len() > 2 {
            let shown = format!("{{\"CIDRs\":{}}}", json::to_string(&Value::list(list.to_vec())));
            return invalid_raw(errors, &path, shown, "may only hold up to 2 values");
        }
        for (i, cidr) in list.iter().enumerate() {
            let cidr = cidr.as_str().unwrap_or("");
            if check::cidr(cidr, &path.index(i), errors) && has_host_bits(cidr) {
                errors.invalid(&path.index(i), cidr, "must not have bits set beyond the prefix length");
            }
        }
    },
    update: |new, old, errors| {
        let spec = Path::new("spec");
        check::immutable(new.at(&["spec", "cidrs"]), old.at(&["spec", "cidrs"]), &spec.child("cidrs"), errors);
    },
    ..Rules::of(Kind::cluster("networking.k8s.io", "servicecidrs", "ServiceCIDR").status())
};

pub static IP_ADDRESS: Rules = Rules {
    validate: ip_address,
    update: |new, old, errors| {
        let spec = Path::new("spec");
        check::immutable(new.at(&["spec", "parentRef"]), old.at(&["spec", "parentRef"]), &spec.child("parentRef"), errors);
    },
    ..Rules::of(Kind::cluster("networking.k8s.io", "ipaddresses", "IPAddress").names(NameRule::Own))
};

fn ip_address(obj: &Object, errors: &mut ErrorList) {
    let meta = Path::new("metadata");
    let name = obj.name();
    if !name.is_empty() {
        match check::parse_ip(name) {
            Some(ip) if ip.to_string() != name => {
                errors.invalid(&meta.child("name"), name, format!("must be in canonical form (\"{ip}\")"));
            }
            Some(_) => {}
            None if name.split('.').count() == 4 && name.split('.').all(|p| p.parse::<u8>().is_ok()) => {
                errors.invalid(&meta.child("name"), name, "must not have leading 0s");
            }
            None => errors.invalid(&meta.child("name"), name, IP),
        }
    }
    let spec = Path::new("spec");
    let path = spec.child("parentRef");
    let Some(parent) = obj.at(&["spec", "parentRef"]) else { return errors.required(&path, "") };
    let group = text(parent, "group");
    if !group.is_empty() {
        check::dns1123_subdomain(group).report(errors, &path.child("group"), group);
    }
    check::required(parent, &["resource", "name"], &path, errors);
    for field in ["resource", "name", "namespace"] {
        let v = text(parent, field);
        check::path_segment(v).report(errors, &path.child(field), v);
    }
}
