//! `ValidatePodSpec`: the pod as a whole.

use apimachinery::Value;
use apimachinery::field::{ErrorList, Path};

use super::{Ctx, container, resources, scheduling, security, volume};
use crate::check::{self, invalid_raw, some, text};

/// All mistakes of a pod spec. `pod_name` is that of a pod, none in templates.
pub fn validate_spec(spec: &Value, pod_name: Option<&str>, path: &Path, errors: &mut ErrorList) {
    let mut ctx = Ctx::new(spec);
    let (containers, init) = (spec.list_at(&["containers"]), spec.list_at(&["initContainers"]));
    ctx.bad_volumes = volume::volumes(ctx.volumes, pod_name, &path.child("volumes"), errors);
    resource_claims(ctx.claims, &path.child("resourceClaims"), errors);
    container::containers(containers, &path.child("containers"), &ctx, errors);
    container::init_containers(init, containers, &path.child("initContainers"), &ctx, errors);
    let ephemeral = spec.list_at(&["ephemeralContainers"]);
    container::ephemeral_containers(ephemeral, spec, &path.child("ephemeralContainers"), &ctx, errors);
    if let Some(r) = some(spec, "resources") {
        resources::pod_level(r, spec, &path.child("resources"), &ctx, errors);
    }
    match text(spec, "restartPolicy") {
        "" => errors.required(&path.child("restartPolicy"), ""),
        p => drop(check::one_of(p, &["Always", "OnFailure", "Never"], &path.child("restartPolicy"), errors)),
    }
    dns(spec, path, errors);
    check::labels(spec.map_at(&["nodeSelector"]), &path.child("nodeSelector"), errors);
    security::pod(spec, path, &ctx, errors);
    if let Some(a) = some(spec, "affinity") {
        scheduling::affinity(a, &path.child("affinity"), errors);
    }
    names(spec, path, errors);
    scheduling::tolerations(spec.list_at(&["tolerations"]), &path.child("tolerations"), errors);
    host_aliases(spec.list_at(&["hostAliases"]), &path.child("hostAliases"), errors);
    for (i, gate) in spec.list_at(&["readinessGates"]).iter().enumerate() {
        let kind = text(gate, "conditionType");
        check::qualified_name(kind).report(errors, &path.child("readinessGates").index(i).child("conditionType"), kind);
    }
    scheduling::gates(spec.list_at(&["schedulingGates"]), &path.child("schedulingGates"), errors);
    let spread = spec.list_at(&["topologySpreadConstraints"]);
    scheduling::spread(spread, &path.child("topologySpreadConstraints"), errors);
    deadline(spec, path, errors);
    operating_system(spec, path, errors);
    for (resource, v) in spec.map_at(&["overhead"]).into_iter().flatten() {
        let overhead = path.child("overhead");
        resources::container_name(resource, &overhead.key(resource), errors);
        if let Ok(q) = apimachinery::Quantity::from_value(v) {
            resources::amount(resource, &q, v, &overhead.key(resource), errors);
        }
    }
}

fn names(spec: &Value, path: &Path, errors: &mut ErrorList) {
    for field in ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"] {
        let name = text(spec, field);
        if !name.is_empty() {
            let wrong = check::dns1123_subdomain(name);
            if !wrong.is_none() {
                wrong.report(errors, &path.child(field), name);
            }
        }
    }
    for field in ["hostname", "subdomain"] {
        let name = text(spec, field);
        if !name.is_empty() {
            check::dns1123_label(name).report(errors, &path.child(field), name);
        }
    }
    if let Some(policy) = some(spec, "preemptionPolicy").and_then(Value::as_str) {
        match policy {
            "" => errors.required(&path.child("preemptionPolicy"), ""),
            p => drop(check::one_of(p, &["PreemptLowerPriority", "Never"], &path.child("preemptionPolicy"), errors)),
        }
    }
}

fn deadline(spec: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(n) = spec.int_at(&["activeDeadlineSeconds"])
        && !(1..=i32::MAX as i64).contains(&n)
    {
        errors.invalid(&path.child("activeDeadlineSeconds"), n, "must be between 1 and 2147483647, inclusive");
    }
}

fn operating_system(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(os) = some(spec, "os") else { return };
    match text(os, "name") {
        "" => errors.required(&path.child("os").child("name"), "cannot be empty"),
        name => drop(check::one_of(name, &["linux", "windows"], &path.child("os"), errors)),
    }
}

fn dns(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let policy = text(spec, "dnsPolicy");
    match policy {
        "" => errors.required(&path.child("dnsPolicy"), ""),
        p => {
            let set = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
            check::one_of(p, &set, &path.child("dnsPolicy"), errors);
        }
    }
    let here = path.child("dnsConfig");
    let config = some(spec, "dnsConfig");
    if policy == "None" {
        if config.is_none() {
            return errors.required(&here, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if config.is_some_and(|c| c.list_at(&["nameservers"]).is_empty()) {
            errors.required(&here.child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None");
        }
    }
    if let Some(config) = config {
        dns_config(config, &here, errors);
    }
}

fn dns_config(config: &Value, path: &Path, errors: &mut ErrorList) {
    let servers = config.list_at(&["nameservers"]);
    if servers.len() > 3 {
        let list = Value::list(servers.to_vec());
        errors.invalid(&path.child("nameservers"), list, "must not have more than 3 nameservers");
    }
    for (i, server) in servers.iter().enumerate() {
        check::ip(server.as_str().unwrap_or(""), &path.child("nameservers").index(i), errors);
    }
    let searches = config.list_at(&["searches"]);
    if searches.len() > 32 {
        let list = Value::list(searches.to_vec());
        errors.invalid(&path.child("searches"), list, "must not have more than 32 search paths");
    }
    let total: usize = searches.iter().filter_map(Value::as_str).map(|s| s.len() + 1).sum::<usize>().saturating_sub(1);
    if total > 2048 {
        let list = Value::list(searches.to_vec());
        let detail = "must not have more than 2048 characters (including spaces) in the search list";
        errors.invalid(&path.child("searches"), list, detail);
    }
    for (i, search) in searches.iter().enumerate() {
        let search = search.as_str().unwrap_or("");
        if search != "." {
            let name = search.strip_suffix('.').unwrap_or(search);
            check::dns1123_subdomain_underscore(name).report(errors, &path.child("searches").index(i), name);
        }
    }
    for (i, option) in config.list_at(&["options"]).iter().enumerate() {
        if text(option, "name").is_empty() {
            errors.required(&path.child("options").index(i), "must not be empty");
        }
    }
}

fn host_aliases(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, alias) in list.iter().enumerate() {
        let here = path.index(i);
        check::ip(text(alias, "ip"), &here.child("ip"), errors);
        for (j, name) in alias.list_at(&["hostnames"]).iter().enumerate() {
            let name = name.as_str().unwrap_or("");
            check::dns1123_subdomain(name).report(errors, &here.child("hostnames").index(j), name);
        }
    }
}

fn resource_claims(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, claim) in list.iter().enumerate() {
        let here = path.index(i);
        let name = text(claim, "name");
        match name {
            "" => errors.required(&here.child("name"), ""),
            _ if list[..i].iter().any(|o| text(o, "name") == name) => errors.duplicate(&here.child("name"), name),
            _ => check::dns1123_label(name).report(errors, &here.child("name"), name),
        }
        let part = |field: &str| some(claim, field).map_or("null".to_string(), apimachinery::json::to_string);
        let (direct, template) = (part("resourceClaimName"), part("resourceClaimTemplateName"));
        let detail = match (direct == "null", template == "null") {
            (false, false) => "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            (true, true) => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            _ => "",
        };
        if !detail.is_empty() {
            let shown = format!(
                "{{\"Name\":{},\"ResourceClaimName\":{direct},\"ResourceClaimTemplateName\":{template}}}",
                apimachinery::field::go_quote(name)
            );
            invalid_raw(errors, &here, shown, detail);
        }
        for field in ["resourceClaimName", "resourceClaimTemplateName"] {
            if let Some(name) = some(claim, field).and_then(Value::as_str) {
                check::dns1123_subdomain(name).report(errors, &here.child(field), name);
            }
        }
    }
}
