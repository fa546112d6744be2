//! The flowcontrol group: flow schemas and priority levels. What they do to requests is in `kube-apiserver/flowcontrol`.

mod fixed;

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::check::{self, some, text};
use crate::rules::Rules;
use crate::strategy::Kind;

const FLOW: &str = "flowcontrol.apiserver.k8s.io";

pub static FLOW_SCHEMA: Rules = Rules {
    default: |e| e.sub_or_new("spec", |s| s.default_int("matchingPrecedence", 1000)),
    new_status: Some(|| value!({})),
    validate: flow_schema,
    ..Rules::of(Kind::cluster(FLOW, "flowschemas", "FlowSchema").status().generation())
};

fn flow_schema(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let n = spec.int_at(&["matchingPrecedence"]).unwrap_or(0);
    if n <= 0 {
        errors.invalid(&path.child("matchingPrecedence"), n, "must be a positive value");
    }
    if n > 10_000 {
        errors.invalid(&path.child("matchingPrecedence"), n, "must not be greater than 10000");
    }
    if let Some(method) = some(spec, "distinguisherMethod") {
        let kind = text(method, "type");
        if !matches!(kind, "ByUser" | "ByNamespace") {
            let here = path.child("distinguisherMethod");
            let shown = format!("{{\"Type\":\"{kind}\"}}");
            check::not_supported_raw(errors, &here.child("type"), shown, &["ByNamespace", "ByUser"]);
        }
    }
    let here = path.child("priorityLevelConfiguration");
    match spec.str_at(&["priorityLevelConfiguration", "name"]).unwrap_or("") {
        "" => errors.required(&here.child("name"), "must reference a priority level"),
        name => check::dns1123_subdomain(name).report(errors, &here.child("name"), name),
    }
    for (i, r) in spec.list_at(&["rules"]).iter().enumerate() {
        flow_rule(r, &path.child("rules").index(i), errors);
    }
    fixed::flow_schema(obj.name(), spec, errors);
}

fn flow_rule(r: &Value, path: &Path, errors: &mut ErrorList) {
    let subjects = r.list_at(&["subjects"]);
    if subjects.is_empty() {
        errors.required(&path.child("subjects"), "subjects must contain at least one value");
    }
    for (i, s) in subjects.iter().enumerate() {
        let list = path.child("subjects");
        flow_subject(s, &list.index(i), errors);
    }
    let (resource, other) = (r.list_at(&["resourceRules"]), r.list_at(&["nonResourceRules"]));
    if resource.is_empty() && other.is_empty() {
        errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
    for (i, rule) in resource.iter().enumerate() {
        let list = path.child("resourceRules");
        let here = list.index(i);
        verbs(rule, &here, errors);
        one_or_star(rule, "apiGroups", "api groups", "resource rules must supply at least one api group", &here, errors);
        one_or_star(rule, "resources", "resources", "resource rules must supply at least one resource", &here, errors);
        let namespaces = rule.list_at(&["namespaces"]);
        if namespaces.is_empty() && rule.bool_at(&["clusterScope"]) != Some(true) {
            let detail = "resource rules that are not cluster scoped must supply at least one namespace";
            errors.required(&here.child("namespaces"), detail);
        }
        for (j, ns) in namespaces.iter().enumerate() {
            let ns = ns.as_str().unwrap_or("");
            for wrong in check::dns1123_label(ns).iter().filter(|_| ns != "*") {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {wrong}");
                errors.invalid(&here.child("namespaces").index(j), ns, detail);
            }
        }
    }
    for (i, rule) in other.iter().enumerate() {
        let list = path.child("nonResourceRules");
        let here = list.index(i);
        verbs(rule, &here, errors);
        let urls = rule.list_at(&["nonResourceURLs"]);
        if urls.is_empty() {
            errors.required(&here.child("nonResourceURLs"), "nonResourceURLs must contain at least one value");
        }
        for (j, url) in urls.iter().enumerate() {
            let url = url.as_str().unwrap_or("");
            if url != "*" && !url.starts_with('/') {
                errors.invalid(&here.child("nonResourceURLs").index(j), url, "must start with slash");
            }
        }
    }
}

fn flow_subject(s: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = text(s, "kind");
    if !check::one_of(kind, &["Group", "ServiceAccount", "User"], &path.child("kind"), errors) {
        return;
    }
    let field = kind[..1].to_lowercase() + &kind[1..];
    let here = path.child(&field);
    match some(s, &field) {
        None => errors.required(&here, ""),
        Some(v) => {
            check::required(v, &["name"], &here, errors);
            if kind == "ServiceAccount" {
                check::required(v, &["namespace"], &here, errors);
            }
        }
    }
}

const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

fn verbs(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let list = rule.list_at(&["verbs"]);
    let here = path.child("verbs");
    let star = list.iter().any(|v| v.as_str() == Some("*"));
    let shown = || Value::list(list.to_vec());
    if list.is_empty() {
        errors.required(&here, "verbs must contain at least one value");
    } else if star && list.len() > 1 {
        errors.invalid(&here, shown(), "if '*' is present, must not specify other verbs");
    } else if !star && !list.iter().all(|v| v.as_str().is_some_and(|v| VERBS.contains(&v))) {
        errors.not_supported(&here, shown(), &VERBS);
    }
}

fn one_or_star(rule: &Value, field: &str, what: &str, missing: &str, path: &Path, errors: &mut ErrorList) {
    let list = rule.list_at(&[field]);
    if list.is_empty() {
        errors.required(&path.child(field), missing);
    } else if list.len() > 1 && list.iter().any(|v| v.as_str() == Some("*")) {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.invalid(&path.child(field), Value::list(list.to_vec()), detail);
    }
}

pub static PRIORITY_LEVEL: Rules = Rules {
    default: |e| {
        e.sub_or_new("spec", |s| {
            s.sub("limited", |l| {
                l.default("nominalConcurrencyShares", 30);
                l.default("lendablePercent", 0);
                l.sub("limitResponse", |r| {
                    r.sub("queuing", |q| {
                        q.default_int("handSize", 8);
                        q.default_int("queues", 64);
                        q.default_int("queueLengthLimit", 50);
                    });
                });
            });
            s.sub("exempt", |x| {
                x.default("nominalConcurrencyShares", 0);
                x.default("lendablePercent", 0);
            });
        });
    },
    new_status: Some(|| value!({})),
    validate: priority_level,
    ..Rules::of(Kind::cluster(FLOW, "prioritylevelconfigurations", "PriorityLevelConfiguration").status().generation())
};

fn priority_level(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let kind = text(spec, "type");
    if (obj.name() == "exempt") != (kind == "Exempt") && matches!(kind, "Exempt" | "Limited") {
        errors.invalid(&path.child("type"), kind, "must be 'Exempt' if and only if `name` is 'exempt'");
    }
    let limited = some(spec, "limited");
    let here = path.child("limited");
    if kind != "Limited" && limited.is_some() {
        errors.forbidden(&here, "");
    }
    match (kind, limited) {
        ("Exempt", _) => {}
        ("Limited", None) => errors.required(&here, ""),
        ("Limited", Some(l)) => limited_level(l, &here, errors),
        ("", _) => errors.required(&path.child("type"), ""),
        (other, _) => errors.not_supported(&path.child("type"), other, &["Exempt", "Limited"]),
    }
    fixed::priority_level(obj.name(), spec, errors);
}

fn limited_level(l: &Value, path: &Path, errors: &mut ErrorList) {
    let shares = l.int_at(&["nominalConcurrencyShares"]).unwrap_or(0);
    if shares < 0 {
        errors.invalid(&path.child("nominalConcurrencyShares"), shares, "must be a non-negative integer");
    }
    if let Some(n) = l.int_at(&["lendablePercent"]).filter(|n| !(0..=100).contains(n)) {
        errors.invalid(&path.child("lendablePercent"), n, "must be between 0 and 100, inclusive");
    }
    if let Some(n) = l.int_at(&["borrowingLimitPercent"]).filter(|n| *n < 0) {
        errors.invalid(&path.child("borrowingLimitPercent"), n, "if specified, must be a non-negative integer");
    }
    let response = l.get("limitResponse").unwrap_or(&Value::Null);
    let here = path.child("limitResponse");
    let queuing = some(response, "queuing");
    if text(response, "type") != "Queue" && queuing.is_some() {
        errors.forbidden(&here.child("queuing"), "");
    }
    match (text(response, "type"), queuing) {
        ("Reject", _) => {}
        ("Queue", None) => errors.required(&here.child("queuing"), ""),
        ("Queue", Some(q)) => queuing_of(q, &here.child("queuing"), errors),
        ("", _) => errors.required(&here.child("type"), ""),
        (other, _) => errors.not_supported(&here.child("type"), other, &["Queue", "Reject"]),
    }
}

fn queuing_of(q: &Value, path: &Path, errors: &mut ErrorList) {
    let n = |f: &str| q.int_at(&[f]).unwrap_or(0);
    for field in ["queueLengthLimit", "queues", "handSize"] {
        if n(field) <= 0 {
            errors.invalid(&path.child(field), n(field), "must be positive");
        }
    }
    if n("queues") > 10_000_000 {
        errors.invalid(&path.child("queues"), n("queues"), "must not be greater than 10000000");
    }
    if n("handSize") > n("queues") {
        let detail = format!("should not be greater than queues ({})", n("queues"));
        errors.invalid(&path.child("handSize"), n("handSize"), detail);
    } else if entropy_bits(n("queues"), n("handSize")) > 60 {
        let detail = format!(
            "required entropy bits of deckSize {} and handSize {} should not be greater than 60",
            n("queues"),
            n("handSize")
        );
        errors.invalid(&path.child("handSize"), n("handSize"), detail);
    }
}

/// Bits that dealing a hand from a deck takes: of `deck × (deck-1) × …`.
fn entropy_bits(deck: i64, hand: i64) -> u32 {
    let mut product: u128 = 1;
    for i in 0..hand {
        let Some(p) = product.checked_mul((deck - i).max(1) as u128) else { return u32::MAX };
        product = p;
    }
    product.ilog2() + u32::from(!product.is_power_of_two())
}
