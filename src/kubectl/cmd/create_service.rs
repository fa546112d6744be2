//! `kubectl create service …` and `create ingress`.

use apimachinery::{Value, value};

use super::create::{name_arg, submit};
use crate::ctx::{Ctx, Res, fail};
use crate::error::Error;

/// `80`, `80:8080`, `80:web` as a port.
fn tcp_port(text: &str) -> Res<Value> {
    let (port, target) = text.split_once(':').unwrap_or((text, text));
    let number = |t: &str| -> Res<i64> {
        match t.parse::<u32>() {
            Ok(n) if (1..=65535).contains(&n) => Ok(n.into()),
            Ok(n) => fail(format!("{n}: must be between 1 and 65535, inclusive")),
            Err(_) => fail(format!("strconv.ParseUint: parsing {t:?}: invalid syntax")),
        }
    };
    let port_number = number(port)?;
    let target_value: Value = match target.parse::<i64>() {
        Ok(n) => n.into(),
        Err(_) => target.into(),
    };
    let name = text.replace(':', "-");
    Ok(value!({"name": name, "port": port_number, "protocol": "TCP", "targetPort": target_value}))
}

fn service(ctx: &mut Ctx, kind: &str, failure: &str) -> Res<()> {
    let name = name_arg(ctx)?;
    let flags = ctx.flags.clone();
    let mapping = ctx.resource("services")?;
    let mut ports = Vec::new();
    for text in flags.list("tcp") {
        ports.push(tcp_port(&text)?);
    }
    let headless = flags.str("clusterip") == "None";
    if ports.is_empty() && kind != "ExternalName" && !headless {
        return fail("at least one tcp port specifier must be provided");
    }
    let mut spec = value!({"type": kind, "selector": {"app": (&name)}});
    let node_port = flags.int("node-port").unwrap_or(0);
    if node_port > 0
        && let Some(first) = ports.first_mut()
    {
        first.set_at(&["nodePort"], node_port);
    }
    if !ports.is_empty() {
        spec.set_at(&["ports"], ports);
    }
    if !flags.str("clusterip").is_empty() {
        spec.set_at(&["clusterIP"], flags.str("clusterip"));
    }
    if kind == "ExternalName" {
        spec.set_at(&["externalName"], flags.str("external-name"));
    }
    let object = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": (&name), "labels": {"app": (&name)}}, "spec": spec,
        "status": {"loadBalancer": {}}
    });
    submit(ctx, mapping, object, Some(failure)).map(drop)
}

pub(super) fn clusterip(ctx: &mut Ctx) -> Res<()> {
    service(ctx, "ClusterIP", "failed to create ClusterIP service")
}
pub(super) fn nodeport(ctx: &mut Ctx) -> Res<()> {
    service(ctx, "NodePort", "failed to create NodePort service")
}
pub(super) fn loadbalancer(ctx: &mut Ctx) -> Res<()> {
    service(ctx, "LoadBalancer", "failed to create LoadBalancer service")
}
pub(super) fn externalname(ctx: &mut Ctx) -> Res<()> {
    service(ctx, "ExternalName", "failed to create ExternalName service")
}

/// `svc:port` as a backend.
fn backend(text: &str) -> Option<Value> {
    let (name, port) = text.split_once(':')?;
    let port = match port.parse::<i64>() {
        Ok(number) => value!({"number": number}),
        Err(_) => value!({"name": port}),
    };
    Some(value!({"service": {"name": name, "port": port}}))
}

pub(super) fn ingress(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let flags = ctx.flags.clone();
    let rules = flags.list("rule");
    if rules.is_empty() && flags.str("default-backend").is_empty() {
        return fail(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)",
        );
    }
    let mut spec = Value::map();
    let (mut hosts, mut tls): (Vec<(String, Vec<Value>)>, Vec<(String, Vec<String>)>) = (Vec::new(), Vec::new());
    for rule in &rules {
        let bad =
            || Error::Plain(format!("rule {rule} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"));
        let (target, options) = rule.split_once(',').map_or((rule.as_str(), None), |(t, o)| (t, Some(o)));
        let (place, service) = target.split_once('=').ok_or_else(bad)?;
        let (host, path) = place.split_once('/').ok_or_else(bad)?;
        let backend = backend(service).ok_or_else(bad)?;
        let (path, kind) = match format!("/{path}").strip_suffix('*') {
            Some(prefix) => (prefix.to_string(), "Prefix"),
            None => (format!("/{path}"), "Exact"),
        };
        let entry = value!({"path": path, "pathType": kind, "backend": backend});
        match hosts.iter_mut().find(|(h, _)| h == host) {
            Some((_, paths)) => paths.push(entry),
            None => hosts.push((host.into(), vec![entry])),
        }
        if let Some(options) = options {
            let secret = match options.split_once('=') {
                Some(("tls", secret)) => secret,
                None if options == "tls" => "",
                _ => return Err(bad().into()),
            };
            match tls.iter_mut().find(|(s, _)| s == secret) {
                Some((_, hosts)) if hosts.iter().any(|h| h == host) => {}
                Some((_, hosts)) => hosts.push(host.into()),
                None => tls.push((secret.into(), vec![host.into()])),
            }
        }
    }
    if !flags.str("class").is_empty() {
        spec.set_at(&["ingressClassName"], flags.str("class"));
    }
    if !flags.str("default-backend").is_empty() {
        match backend(flags.str("default-backend")) {
            Some(backend) => spec.set_at(&["defaultBackend"], backend),
            None => return fail("default-backend should be in format servicename:serviceport"),
        }
    }
    let rule = |(host, paths): (String, Vec<Value>)| {
        let mut rule = value!({"http": {"paths": paths}});
        if !host.is_empty() {
            rule.set_at(&["host"], host);
        }
        rule
    };
    let rules: Vec<Value> = hosts.into_iter().map(rule).collect();
    if !rules.is_empty() {
        spec.set_at(&["rules"], rules);
    }
    let tls: Vec<Value> = tls
        .into_iter()
        .map(|(secret, hosts)| {
            let hosts: Vec<Value> = hosts.iter().filter(|h| !h.is_empty()).map(Value::from).collect();
            let mut entry = value!({"hosts": hosts});
            if !secret.is_empty() {
                entry.set_at(&["secretName"], secret);
            }
            entry
        })
        .collect();
    if !tls.is_empty() {
        spec.set_at(&["tls"], tls);
    }
    let mut object = value!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": (&name)}, "spec": spec, "status": {"loadBalancer": {}}
    });
    for annotation in flags.list("annotation") {
        let (k, v) = annotation.split_once('=').unwrap_or((&annotation, ""));
        object.entry(&["metadata", "annotations"]).map_mut().insert(k.into(), v);
    }
    let mapping = ctx.resource("ingresses")?;
    submit(ctx, mapping, object, Some("failed to create ingress")).map(drop)
}
