//! Cluster IPs and their families, in a cluster of IPv4 alone or of both (with IPv4 first).

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value};

use super::{is_headless, needs_cluster_ip};
use crate::check::{self, some, text};
use crate::edit::Edit;

fn is_v6(ip: &str) -> bool {
    ip.contains(':')
}

/// `NormalizeClusterIPs` on create: `clusterIP` alone means a list of one.
pub fn normalize_new(spec: &mut Edit) {
    let ip = spec.str("clusterIP").to_string();
    if !ip.is_empty() && spec.get("clusterIPs").is_none_or(Value::is_empty) {
        spec.set("clusterIPs", vec![ip.into()]);
    }
}

/// `ValidateServiceClusterIPsRelatedFields`
pub fn cluster_ips(spec: &Value, path: &Path, errors: &mut ErrorList) {
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let (ip, list) = (text(spec, "clusterIP"), spec.list_at(&["clusterIPs"]));
    let here = path.child("clusterIPs");
    let shown = || Value::list(list.to_vec());
    let first = list.first().and_then(Value::as_str).unwrap_or("");
    if ip.is_empty() && !list.is_empty() {
        errors.invalid(&here, shown(), "must be empty when `clusterIP` is not specified");
    } else if !ip.is_empty() && ip != first {
        errors.invalid(&here, shown(), "first value must match `clusterIP`");
    }
    families(spec, path, errors);
    let before = errors.len();
    for (i, ip) in list.iter().enumerate() {
        let ip = ip.as_str().unwrap_or("");
        if i == 0 && ip == "None" {
            if list.len() > 1 {
                errors.invalid(&here, shown(), "'None' must be the first and only value");
            }
            continue;
        }
        check::ip(ip, &here.index(i), errors);
    }
    if list.len() > 2 {
        errors.invalid(&here, shown(), "may only hold up to 2 values");
    }
    if errors.len() > before {
        return;
    }
    if let [a, b] = list
        && is_v6(a.as_str().unwrap_or("")) == is_v6(b.as_str().unwrap_or(""))
    {
        errors.invalid(&here, shown(), "may specify no more than one IP for each IP family");
    }
    if is_headless(spec) || errors.len() > before {
        return;
    }
    for (i, (ip, family)) in list.iter().zip(spec.list_at(&["ipFamilies"])).enumerate() {
        let (ip, family) = (ip.as_str().unwrap_or(""), family.as_str().unwrap_or(""));
        if is_v6(ip) != (family == "IPv6") {
            let kind = if family == "IPv6" { "n IPv6" } else { "n IPv4" };
            errors.invalid(&here.index(i), ip, format!("expected a{kind} value as indicated by `ipFamilies[{i}]`"));
        }
    }
}

fn families(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let list = spec.list_at(&["ipFamilies"]);
    let here = path.child("ipFamilies");
    for (i, family) in list.iter().enumerate() {
        let family = family.as_str().unwrap_or("");
        check::one_of(family, &["IPv4", "IPv6"], &here.index(i), errors);
        if list[..i].iter().any(|f| f.as_str() == Some(family)) {
            errors.duplicate(&here.index(i), family);
        }
    }
    if let Some(policy) = some(spec, "ipFamilyPolicy").and_then(Value::as_str) {
        let set = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        check::one_of(policy, &set, &path.child("ipFamilyPolicy"), errors);
    }
}

fn without_selector(spec: &Value) -> bool {
    is_headless(spec) && spec.get("selector").is_none_or(Value::is_empty)
}

/// What this cluster cannot give. Models `initIPFamilyFields`.
pub fn check_families(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    if !needs_cluster_ip(spec) || without_selector(spec) {
        return;
    }
    let path = Path::new("spec");
    let policy = text(spec, "ipFamilyPolicy");
    if policy == "RequireDualStack" {
        let detail = "this cluster is not configured for dual-stack services";
        errors.invalid(&path.child("ipFamilyPolicy"), policy, detail);
    }
    let ips = spec.list_at(&["clusterIPs"]);
    for (i, ip) in ips.iter().enumerate() {
        if is_v6(ip.as_str().unwrap_or("")) {
            let shown = Value::list(ips.to_vec());
            errors.invalid(&path.child("clusterIPs").index(i), shown, "IPv6 is not configured on this cluster");
        }
    }
    for (i, family) in spec.list_at(&["ipFamilies"]).iter().enumerate() {
        if family.as_str() == Some("IPv6") {
            errors.invalid(&path.child("ipFamilies").index(i), "IPv6", "not configured on this cluster");
        }
    }
}

/// In a dual-stack cluster addresses say which families they are of, and a policy may want the second one.
fn set_both(spec: &mut Edit, open: bool) {
    let text = |v: &Value| v.as_str().unwrap_or("").to_string();
    let ips: Vec<String> = spec.get("clusterIPs").map(|l| l.items().iter().map(text).collect()).unwrap_or_default();
    let mut families: Vec<String> = spec.get("ipFamilies").map(|l| l.items().iter().map(text).collect()).unwrap_or_default();
    for ip in ips.iter().filter(|ip| *ip != "None").skip(families.len()) {
        families.push(if is_v6(ip) { "IPv6" } else { "IPv4" }.into());
    }
    if !spec.has("ipFamilyPolicy") {
        let both = families.len() > 1 || open && families.is_empty();
        spec.set("ipFamilyPolicy", Value::sym(if both { "RequireDualStack" } else { "SingleStack" }));
    }
    if families.is_empty() {
        families.push("IPv4".into());
    }
    if spec.str("ipFamilyPolicy") != "SingleStack" && families.len() == 1 {
        families.push(if families[0] == "IPv6" { "IPv4" } else { "IPv6" }.into());
    }
    if spec.str("ipFamilyPolicy") == "SingleStack" {
        families.truncate(1);
    }
    spec.set("ipFamilies", families.iter().map(|f| Value::sym(f)).collect::<Vec<_>>());
}

/// Families and policy that were left open.
pub fn set_families(spec: &mut Edit, dual_stack: bool) {
    if !needs_cluster_ip(spec.value()) {
        return;
    }
    let open = without_selector(spec.value());
    if dual_stack {
        set_both(spec, open);
    }
    let list = spec.get("ipFamilies").map_or(0, |l| l.items().len());
    if !spec.has("ipFamilyPolicy") {
        let policy = if open && list != 1 || list > 1 { "RequireDualStack" } else { "SingleStack" };
        spec.set("ipFamilyPolicy", Value::sym(policy));
    }
    if list == 0 {
        let dual = open && spec.str("ipFamilyPolicy") != "SingleStack";
        let names: &[&str] = if dual { &["IPv4", "IPv6"] } else { &["IPv4"] };
        spec.set("ipFamilies", names.iter().map(|n| Value::sym(n)).collect::<Vec<_>>());
    }
}
