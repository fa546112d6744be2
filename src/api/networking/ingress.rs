//! Ingresses and their classes.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::check::{self, some, text};
use crate::rules::Rules;
use crate::strategy::Kind;

pub static INGRESS: Rules = Rules {
    new_status: Some(|| value!({"loadBalancer": {}})),
    validate: ingress,
    warnings: |new, _, out| {
        if new.annotation("kubernetes.io/ingress.class").is_some() && new.at(&["spec", "ingressClassName"]).is_none() {
            out.push(
                "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead".into(),
            );
        }
    },
    ..Rules::of(Kind::namespaced("networking.k8s.io", "ingresses", "Ingress").status().generation())
};

fn ingress(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let rules = spec.list_at(&["rules"]);
    let default = some(spec, "defaultBackend");
    if rules.is_empty() && default.is_none() {
        errors.invalid(&path, Value::Null, "either `defaultBackend` or `rules` must be specified");
    }
    if let Some(b) = default {
        backend(b, &path.child("defaultBackend"), errors);
    }
    for (i, rule) in rules.iter().enumerate() {
        let list = path.child("rules");
        rule_of(rule, &list.index(i), errors);
    }
    for (i, tls) in spec.list_at(&["tls"]).iter().enumerate() {
        let list = path.child("tls");
        let here = list.index(i);
        for (j, h) in tls.list_at(&["hosts"]).iter().enumerate() {
            host(h.as_str().unwrap_or(""), &here.child("hosts").index(j), errors);
        }
        let secret = text(tls, "secretName");
        if !secret.is_empty() {
            check::dns1123_subdomain(secret).report(errors, &here.child("secretName"), secret);
        }
    }
    if let Some(class) = some(spec, "ingressClassName").and_then(Value::as_str) {
        check::dns1123_subdomain(class).report(errors, &path.child("ingressClassName"), class);
    }
}

fn host(host: &str, path: &Path, errors: &mut ErrorList) {
    if host.contains('*') {
        check::wildcard_subdomain(host).report(errors, path, host);
    } else {
        check::dns1123_subdomain(host).report(errors, path, host);
    }
}

fn rule_of(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let name = text(rule, "host");
    if !name.is_empty() {
        if check::parse_ip(name).is_some() {
            errors.invalid(&path.child("host"), name, "must be a DNS name, not an IP address");
        }
        host(name, &path.child("host"), errors);
    }
    let Some(http) = some(rule, "http") else { return };
    let list = path.child("http");
    let list = list.child("paths");
    let paths = http.list_at(&["paths"]);
    if paths.is_empty() {
        errors.required(&list, "");
    }
    for (i, p) in paths.iter().enumerate() {
        http_path(p, &list.index(i), errors);
    }
}

const BAD_PARTS: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_ENDS: [&str; 2] = ["/..", "/."];

fn http_path(p: &Value, path: &Path, errors: &mut ErrorList) {
    let (kind, route) = (some(p, "pathType").and_then(Value::as_str), text(p, "path"));
    let here = path.child("path");
    match kind {
        None => return errors.required(&path.child("pathType"), "pathType must be specified"),
        Some("Exact" | "Prefix") => {
            if !route.starts_with('/') {
                errors.invalid(&here, route, "must be an absolute path");
            }
            for part in BAD_PARTS.iter().filter(|b| route.contains(**b)) {
                errors.invalid(&here, route, format!("must not contain '{part}'"));
            }
            for end in BAD_ENDS.iter().filter(|b| route.ends_with(**b)) {
                errors.invalid(&here, route, format!("cannot end with '{end}'"));
            }
        }
        Some("ImplementationSpecific") => {
            if !route.is_empty() && !route.starts_with('/') {
                errors.invalid(&here, route, "must be an absolute path");
            }
        }
        Some(other) => {
            errors.not_supported(&path.child("pathType"), other, &["Exact", "ImplementationSpecific", "Prefix"]);
        }
    }
    backend(p.get("backend").unwrap_or(&Value::Null), &path.child("backend"), errors);
}

fn backend(b: &Value, path: &Path, errors: &mut ErrorList) {
    let (service, resource) = (some(b, "service"), some(b, "resource"));
    match (service, resource) {
        (Some(_), Some(_)) => errors.invalid(path, "", "cannot set both resource and service backends"),
        (None, Some(r)) => {
            let here = path.child("resource");
            for field in ["name", "kind"] {
                match text(r, field) {
                    "" => errors.required(&here.child(field), ""),
                    v => check::path_segment(v).report(errors, &here.child(field), v),
                }
            }
            if let Some(group) = some(r, "apiGroup").and_then(Value::as_str) {
                check::dns1123_subdomain(group).report(errors, &here.child("apiGroup"), group);
            }
        }
        (None, None) => errors.invalid(path, "", "resource or service backend is required"),
        (Some(s), None) => {
            let here = path.child("service");
            match text(s, "name") {
                "" => errors.required(&here.child("name"), ""),
                name => check::dns1123_label(name).report(errors, &here.child("name"), name),
            }
            service_port(s, path, errors);
        }
    }
}

fn service_port(s: &Value, path: &Path, errors: &mut ErrorList) {
    let here = path.child("service");
    let here = here.child("port");
    let (name, number) = (s.str_at(&["port", "name"]).unwrap_or(""), s.int_at(&["port", "number"]).unwrap_or(0));
    match (name, number) {
        ("", 0) => errors.required(path, "port name or number is required"),
        ("", n) => {
            if !check::port_num(n).is_none() {
                errors.invalid(&here.child("number"), n, check::PORT);
            }
        }
        (name, 0) => check::port_name(name).report(errors, &here.child("name"), name),
        _ => errors.invalid(path, "", "cannot set both port name & port number"),
    }
}

pub static INGRESS_CLASS: Rules = Rules {
    default: |e| {
        e.sub("spec", |spec| spec.sub("parameters", |p| p.default_sym("scope", "Cluster")));
    },
    validate: |obj, errors| {
        let path = Path::new("spec");
        let controller = crate::apps::spec_text(obj, "controller");
        if controller.len() > 250 {
            errors.too_long(&path.child("controller"), 250);
        }
        super::domain_prefixed_path(controller, &path.child("controller"), errors);
        if let Some(p) = obj.at(&["spec", "parameters"]) {
            parameters(p, &path.child("parameters"), errors);
        }
    },
    update: |new, old, errors| {
        let path = Path::new("spec");
        let of = |o: &Object| o.at(&["spec", "controller"]).cloned();
        check::immutable(of(new).as_ref(), of(old).as_ref(), &path.child("controller"), errors);
    },
    ..Rules::of(Kind::cluster("networking.k8s.io", "ingressclasses", "IngressClass").generation())
};

fn parameters(p: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(group) = some(p, "apiGroup").and_then(Value::as_str) {
        check::dns1123_subdomain(group).report(errors, &path.child("apiGroup"), group);
    }
    for field in ["kind", "name"] {
        match text(p, field) {
            "" => errors.required(&path.child(field), ""),
            v => check::path_segment(v).report(errors, &path.child(field), v),
        }
    }
    let namespace = some(p, "namespace").and_then(Value::as_str);
    let here = path.child("namespace");
    if let Some(ns) = namespace.filter(|n| !n.is_empty()) {
        check::dns1123_label(ns).report(errors, &here, ns);
    }
    match text(p, "scope") {
        "Namespace" if namespace.is_none_or(str::is_empty) => errors.required(&here, "`parameters.scope` is set to 'Namespace'"),
        "Namespace" => {}
        "Cluster" if namespace.is_some() => errors.forbidden(&here, "`parameters.scope` is set to 'Cluster'"),
        "Cluster" => {}
        other => errors.not_supported(&path.child("scope"), other, &["Cluster", "Namespace"]),
    }
}
