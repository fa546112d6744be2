//! Kinds of the cluster's own machinery: API services, custom resource definitions, certificates, flow control, migrations, reviews.
//!
//! Left out: schemas of custom resource definitions are not checked for being structural, nor their CEL rules; certificate
//! requests are not parsed beyond their PEM type.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::admission::{client_config, review_versions};
use crate::check::{self, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

pub static API_SERVICE: Rules = Rules {
    default: |e| e.sub("spec", |s| s.sub("service", |s| s.default("port", 443))),
    new_status: Some(|| value!({})),
    validate: api_service,
    ..Rules::of(
        Kind::cluster("apiregistration.k8s.io", "apiservices", "APIService").status().conditional().names(NameRule::PathSegment),
    )
};

fn api_service(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let (meta, path) = (Path::new("metadata"), Path::new("spec"));
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    let name = format!("{version}.{group}");
    if obj.name() != name && !obj.name().is_empty() && check::path_segment(obj.name()).is_none() {
        errors.invalid(&meta.child("name"), obj.name(), format!("must be `spec.version+\".\"+spec.group`: \"{name}\""));
    }
    if group.is_empty() {
        if version != "v1" {
            errors.required(&path.child("group"), "only v1 may have an empty group and it better be legacy kube");
        }
    } else {
        check::dns1123_subdomain(group).report(errors, &path.child("group"), group);
    }
    check::dns1035_label(version).report(errors, &path.child("version"), version);
    for (field, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let n = spec.int_at(&[field]).unwrap_or(0);
        if n <= 0 || n > max {
            errors.invalid(&path.child(field), n, format!("must be positive and less than {max}"));
        }
    }
    let ca = !text(spec, "caBundle").is_empty();
    let insecure = spec.bool_at(&["insecureSkipTLSVerify"]) == Some(true);
    match some(spec, "service") {
        None => {
            if ca {
                errors.invalid(&path.child("caBundle"), "<value omitted>", "local APIServices may not have a caBundle");
            }
            if insecure {
                errors.invalid(
                    &path.child("insecureSkipTLSVerify"),
                    true,
                    "local APIServices may not have insecureSkipTLSVerify",
                );
            }
        }
        Some(s) => {
            let here = path.child("service");
            check::required(s, &["namespace", "name"], &here, errors);
            let port = s.int_at(&["port"]).unwrap_or(443);
            if !check::port_num(port).is_none() {
                errors.invalid(&here.child("port"), port, format!("port is not valid: {}", check::PORT));
            }
            if insecure && ca {
                errors.invalid(&path.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
            }
        }
    }
}

pub static CSR: Rules = Rules {
    new_status: Some(|| value!({})),
    validate: csr,
    subresource: Some(("approval", |new, old| {
        let conditions = new.at(&["status", "conditions"]).cloned();
        crate::meta::keep_all_but_status(new, old);
        match old.get("status") {
            Some(s) => new.set_at(&["status"], s),
            None => drop(new.remove_at(&["status"])),
        }
        if let Some(c) = conditions {
            new.set_at(&["status", "conditions"], c);
        }
    })),
    ..Rules::of(
        Kind::cluster("certificates.k8s.io", "certificatesigningrequests", "CertificateSigningRequest")
            .status()
            .names(NameRule::PathSegment)
            .select(&[("spec.signerName", &["spec", "signerName"])]),
    )
};

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

fn csr(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    // "-----BEGIN CERTIFICATE REQUEST-----" in base64.
    if !text(spec, "request").starts_with("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0") {
        let shown = some(spec, "request").cloned().unwrap_or_default();
        errors.invalid(&path.child("request"), shown, "PEM block type must be CERTIFICATE REQUEST");
    }
    let usages = spec.list_at(&["usages"]);
    let here = path.child("usages");
    if usages.is_empty() {
        errors.required(&here, "");
    }
    for (i, u) in usages.iter().enumerate() {
        check::one_of(u.as_str().unwrap_or(""), &USAGES, &here.index(i), errors);
        if usages[..i].contains(u) {
            errors.duplicate(&here.index(i), u.clone());
        }
    }
    let signer = text(spec, "signerName");
    if signer == "kubernetes.io/legacy-unknown" {
        errors.invalid(&path.child("signerName"), signer, "the legacy signerName is not allowed via this API version");
    } else {
        signer_name(signer, &path.child("signerName"), errors);
    }
    if let Some(n) = some(spec, "expirationSeconds").and_then(Value::as_i64)
        && n < 600
    {
        errors.invalid(&path.child("expirationSeconds"), n, "may not specify a duration less than 600 seconds (10 minutes)");
    }
}

/// `ValidateSignerName`: a domain of two segments at least, and a path.
fn signer_name(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        return errors.invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
    };
    if domain.split('.').count() < 2 {
        errors.invalid(path, domain, "should be a domain with at least two segments separated by dots");
    }
    for segment in domain.split('.') {
        for wrong in check::dns1123_label(segment).iter() {
            errors.invalid(path, domain, format!("validating label \"{segment}\": {wrong}"));
        }
    }
    for wrong in check::dns1123_subdomain(rest).iter() {
        errors.invalid(path, rest, wrong);
    }
}

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
}

fn limited_level(l: &Value, path: &Path, errors: &mut ErrorList) {
    let shares = l.int_at(&["nominalConcurrencyShares"]).unwrap_or(0);
    if shares < 0 {
        errors.invalid(&path.child("nominalConcurrencyShares"), shares, "must be a non-negative integer");
    }
    for field in ["lendablePercent"] {
        if let Some(n) = l.int_at(&[field])
            && !(0..=100).contains(&n)
        {
            errors.invalid(&path.child(field), n, "must be between 0 and 100, inclusive");
        }
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

pub static MIGRATION: Rules = Rules {
    new_status: Some(|| value!({})),
    validate: |obj, errors| {
        let spec = Path::new("spec");
        let path = spec.child("resource");
        let resource = obj.at(&["spec", "resource"]).unwrap_or(&Value::Null);
        match text(resource, "resource") {
            "" => errors.required(&path.child("resource"), "resource is required to be set"),
            r => check::dns1123_label(r).report(errors, &path.child("resource"), r),
        }
        let group = text(resource, "group");
        if !group.is_empty() {
            check::dns1123_subdomain(group).report(errors, &path.child("group"), group);
        }
    },
    ..Rules::of(Kind::cluster("storagemigration.k8s.io", "storageversionmigrations", "StorageVersionMigration").status())
};

pub static CRD: Rules = Rules {
    default: crd_defaults,
    create: |e| {
        let versions = e.get("spec").and_then(|s| s.get("versions")).cloned().unwrap_or_default();
        let stored = versions.items().iter().filter(|v| v.bool_at(&["storage"]) == Some(true));
        let stored: Vec<Value> = stored.filter_map(|v| v.get("name").cloned()).collect();
        let mut status = value!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null});
        status.set_at(&["storedVersions"], if stored.is_empty() { Value::Null } else { Value::list(stored) });
        e.set("status", status);
    },
    validate: crd,
    ..Rules::of(
        Kind::cluster("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition")
            .status()
            .generation()
            .conditional()
            .names(NameRule::Own),
    )
};

fn crd_defaults(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        spec.sub_or_new("names", |n| {
            let kind = n.str("kind").to_string();
            n.default_sym("singular", &kind.to_lowercase());
            if !kind.is_empty() {
                n.default_sym("listKind", &format!("{kind}List"));
            }
        });
        spec.sub_or_new("conversion", |c| {
            if !c.has("strategy") {
                c.set("strategy", Value::sym("None"));
            }
            c.sub("webhook", |w| w.sub("clientConfig", |c| c.sub("service", |s| s.default("port", 443))));
        });
    });
}

fn crd(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let (meta, path) = (Path::new("metadata"), Path::new("spec"));
    let plural = spec.str_at(&["names", "plural"]).unwrap_or("");
    let group = text(spec, "group");
    if !obj.name().is_empty() && obj.name() != format!("{plural}.{group}") {
        errors.invalid(&meta.child("name"), obj.name(), "must be spec.names.plural+\".\"+spec.group");
    }
    match group {
        "" => errors.required(&path.child("group"), ""),
        g => {
            check::dns1123_subdomain(g).report(errors, &path.child("group"), g);
            if g.split('.').count() < 2 {
                errors.invalid(&path.child("group"), g, "should be a domain with at least one dot");
            }
        }
    }
    match text(spec, "scope") {
        "" => errors.required(&path.child("scope"), ""),
        s => drop(check::one_of(s, &["Cluster", "Namespaced"], &path.child("scope"), errors)),
    }
    crd_names(spec.get("names").unwrap_or(&Value::Null), &path.child("names"), errors);
    conversion(spec.get("conversion").unwrap_or(&Value::Null), &path.child("conversion"), errors);
}

fn crd_names(names: &Value, path: &Path, errors: &mut ErrorList) {
    for field in ["plural", "singular"] {
        match text(names, field) {
            "" => errors.required(&path.child(field), ""),
            n => check::dns1035_label(n).report(errors, &path.child(field), n),
        }
    }
    let (kind, list) = (text(names, "kind"), text(names, "listKind"));
    for (field, v) in [("kind", kind), ("listKind", list)] {
        if v.is_empty() {
            errors.required(&path.child(field), "");
            continue;
        }
        for wrong in check::dns1035_label(&v.to_lowercase()).iter() {
            errors.invalid(&path.child(field), v, format!("may have mixed case, but should otherwise match: {wrong}"));
        }
    }
    if !kind.is_empty() && kind == list {
        errors.invalid(&path.child("listKind"), list, "kind and listKind may not be the same");
    }
    for field in ["shortNames", "categories"] {
        for (i, n) in names.list_at(&[field]).iter().enumerate() {
            let n = n.as_str().unwrap_or("");
            check::dns1035_label(n).report(errors, &path.child(field).index(i), n);
        }
    }
}

fn conversion(c: &Value, path: &Path, errors: &mut ErrorList) {
    let webhook = some(c, "webhook");
    let config = webhook.and_then(|w| some(w, "clientConfig"));
    let versions = webhook.map_or(&[][..], |w| w.list_at(&["conversionReviewVersions"]));
    match text(c, "strategy") {
        "Webhook" => {
            match config {
                None => errors.required(&path.child("webhookClientConfig"), "required when strategy is set to Webhook"),
                Some(config) => client_config(config, &path.child("webhookClientConfig"), errors),
            }
            review_versions(versions, &path.child("conversionReviewVersions"), false, errors);
        }
        strategy => {
            match strategy {
                "" => errors.required(&path.child("strategy"), ""),
                s => drop(check::one_of(s, &["None", "Webhook"], &path.child("strategy"), errors)),
            }
            const ONLY: &str = "should not be set when strategy is not set to Webhook";
            if config.is_some() {
                errors.forbidden(&path.child("webhookClientConfig"), ONLY);
            }
            if !versions.is_empty() {
                errors.forbidden(&path.child("conversionReviewVersions"), ONLY);
            }
        }
    }
}
