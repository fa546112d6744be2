//! Validation of resource lists: names, amounts, requests against limits.

use apimachinery::field::{Error, ErrorList, ErrorType, Path};
use apimachinery::{Fields, Quantity, Value};

use super::Ctx;
use super::defaults::is_plain;
use crate::check::{self, text};

const QUOTA_NAMES: [&str; 14] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
    "services.nodeports",
    "services.loadbalancers",
];

/// `IsStandardResourceName`
pub fn is_standard(name: &str) -> bool {
    is_standard_container(name)
        || QUOTA_NAMES.contains(&name)
        || matches!(name, "requests.storage" | "requests.ephemeral-storage" | "limits.ephemeral-storage")
}

/// `IsStandardContainerResourceName`
pub fn is_standard_container(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(name)
}

pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

pub fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && check::qualified_name(name).is_none()
}

/// Counted in whole numbers only.
pub fn is_integer(name: &str) -> bool {
    matches!(
        name,
        "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || name.starts_with("count/")
        || is_extended(name)
}

/// `validateResourceName`
pub fn name(name: &str, path: &Path, errors: &mut ErrorList) {
    let wrong = check::qualified_name(name);
    if !wrong.is_none() {
        return wrong.report(errors, path, name);
    }
    if !name.contains('/') && !is_standard(name) {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
}

/// `validateContainerResourceName`
pub fn container_name(resource: &str, path: &Path, errors: &mut ErrorList) {
    if matches!(resource, "cpu" | "memory") {
        return;
    }
    name(resource, path, errors);
    if !resource.contains('/') {
        if !is_standard_container(resource) {
            errors.invalid(path, resource, "must be a standard resource for containers");
        }
    } else if !is_native(resource) && !is_extended(resource) {
        errors.invalid(path, resource, "doesn't follow extended resource name standard");
    }
}

/// `ValidateResourceQuantityValue`
pub fn amount(resource: &str, q: &Quantity, shown: &Value, path: &Path, errors: &mut ErrorList) {
    if q.sign() < 0 {
        errors.invalid(path, shown.clone(), check::NON_NEGATIVE);
    }
    if is_integer(resource) && !q.is_integer() {
        errors.invalid(path, shown.clone(), "must be an integer");
    }
}

fn quantity(list: Option<&Fields>, name: &str) -> Option<Quantity> {
    list?.get(name).and_then(|v| Quantity::from_value(v).ok())
}

/// `validateContainerResourceRequirements`
pub fn requirements(r: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let (limits, requests) = (r.map_at(&["limits"]), r.map_at(&["requests"]));
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let (mut huge, mut computed) = (false, false);
    for (list, here) in [(limits, &limits_path), (requests, &requests_path)] {
        for (resource, v) in list.into_iter().flatten() {
            let compute = matches!(&**resource, "cpu" | "memory");
            computed |= compute;
            // The usual amounts ("100m", "128Mi") are right as they stand.
            if compute && v.as_str().is_some_and(is_plain) {
                continue;
            }
            container_name(resource, &here.key(resource), errors);
            let Ok(q) = Quantity::from_value(v) else { continue };
            amount(resource, &q, v, &here.key(resource), errors);
            huge |= is_huge_page(resource);
        }
    }
    requests_within_limits(limits, requests, path, errors);
    if huge && !computed {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
    for (i, claim) in r.list_at(&["claims"]).iter().enumerate() {
        resource_claim(claim, &path.child("claims").index(i), ctx, errors);
    }
}

fn requests_within_limits(limits: Option<&Fields>, requests: Option<&Fields>, path: &Path, errors: &mut ErrorList) {
    let here = path.child("requests");
    for (resource, v) in requests.into_iter().flatten() {
        let overcommit = is_native(resource) && !is_huge_page(resource);
        let Some(limit) = limits.and_then(|l| l.get(resource)) else {
            if !overcommit {
                errors.required(&path.child("limits"), "Limit must be set for non overcommitable resources");
            }
            continue;
        };
        if limit == v {
            continue;
        }
        let (Ok(q), Some(l)) = (Quantity::from_value(v), quantity(limits, resource)) else { continue };
        if !overcommit && q != l {
            errors.invalid(&here, v.clone(), format!("must be equal to {resource} limit of {l}"));
        } else if q > l {
            errors.invalid(&here, v.clone(), format!("must be less than or equal to {resource} limit of {l}"));
        }
    }
}

fn resource_claim(claim: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let name = text(claim, "name");
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    }
    if !ctx.claims.iter().any(|c| text(c, "name") == name) {
        let names: Vec<&str> = ctx.claims.iter().map(|c| text(c, "name")).collect();
        let known = if names.is_empty() { "which is empty".to_string() } else { format!("[{}]", names.join(" ")) };
        let detail = format!("must be one of the names in pod.spec.resourceClaims {known}");
        let bad_value = apimachinery::field::go_quote(name);
        errors.push(Error { kind: ErrorType::NotFound, field: path.to_string(), bad_value, detail });
    }
}

/// `spec.resources`: cpu, memory and huge pages of the whole pod.
pub fn pod_level(r: &Value, spec: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    if !r.list_at(&["claims"]).is_empty() {
        errors.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
        for (i, claim) in r.list_at(&["claims"]).iter().enumerate() {
            resource_claim(claim, &path.child("claims").index(i), ctx, errors);
        }
    }
    for list in ["limits", "requests"] {
        for (resource, v) in r.map_at(&[list]).into_iter().flatten() {
            let list_path = path.child(list);
            let here = list_path.key(resource);
            let supported = matches!(&**resource, "cpu" | "memory") || is_huge_page(resource);
            let before = errors.len();
            name(resource, &here, errors);
            if !supported && errors.len() == before {
                errors.not_supported(&here, &**resource, &["cpu", "hugepages-", "memory"]);
            }
            if let Ok(q) = Quantity::from_value(v) {
                amount(resource, &q, v, &here, errors);
            }
        }
    }
    requests_within_limits(r.map_at(&["limits"]), r.map_at(&["requests"]), path, errors);
    container_sums(r, spec, path, errors);
}

/// Containers together may not ask for more than the pod; no container's limit may pass the pod's.
fn container_sums(r: &Value, spec: &Value, path: &Path, errors: &mut ErrorList) {
    for (resource, v) in r.map_at(&["requests"]).into_iter().flatten() {
        let Ok(pod) = Quantity::from_value(v) else { continue };
        let of = |c: &Value| quantity(c.map_at(&["resources", "requests"]), resource);
        let sum = spec.list_at(&["containers"]).iter().filter_map(of).reduce(|a, b| a + b);
        if let Some(sum) = sum
            && sum > pod
        {
            let requests = path.child("requests");
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.invalid(&requests.key(resource), v.clone(), detail);
        }
    }
    for (resource, v) in r.map_at(&["limits"]).into_iter().flatten() {
        let Ok(pod) = Quantity::from_value(v) else { continue };
        for (i, c) in spec.list_at(&["containers"]).iter().enumerate() {
            let Some(limit) = c.at(&["resources", "limits", resource]) else { continue };
            if Quantity::from_value(limit).is_ok_and(|l| l > pod) {
                let list = path.child("containers");
                let one = list.index(i);
                let keyed = one.key(resource);
                errors.invalid(
                    &keyed.child("limits"),
                    limit.clone(),
                    format!("must be less than or equal to pod limits of {pod}"),
                );
            }
        }
    }
}
