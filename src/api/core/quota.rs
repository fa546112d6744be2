//! ResourceQuotas and LimitRanges.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Quantity, Value, json, value};

use super::pod::{defaults, resources};
use crate::check::{self, invalid_raw, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

pub static RESOURCE_QUOTA: Rules = Rules {
    default: |e| e.sub_or_new("spec", |s| defaults::quantities(s, "hard")),
    new_status: Some(|| value!({})),
    validate: quota,
    ..Rules::of(Kind::namespaced("", "resourcequotas", "ResourceQuota").status())
};

fn quota(obj: &Object, errors: &mut ErrorList) {
    let spec = Path::new("spec");
    let path = spec.child("hard");
    for (name, v) in obj.map_at(&["spec", "hard"]).into_iter().flatten() {
        let here = path.key(name);
        quota_name(name, &here, errors);
        if let Ok(q) = Quantity::from_value(v) {
            resources::amount(name, &q, v, &here, errors);
        }
    }
    scopes(obj, errors);
    scope_selector(obj, errors);
}

/// `ValidateResourceQuotaResourceName`
fn quota_name(name: &str, path: &Path, errors: &mut ErrorList) {
    let known = resources::is_standard(name) || name.starts_with("requests.hugepages-");
    let before = errors.len();
    if !known {
        resources::name(name, path, errors);
    }
    if !name.contains('/') && !known && (errors.len() == before || check::qualified_name(name).is_none()) {
        errors.invalid(path, name, "must be a standard resource for quota");
    }
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// Whether a scope can count a resource.
fn scope_fits(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => resource == "persistentvolumeclaims" || resource.contains("storage"),
        _ => {
            matches!(
                resource,
                "pods"
                    | "cpu"
                    | "memory"
                    | "requests.cpu"
                    | "requests.memory"
                    | "limits.cpu"
                    | "limits.memory"
                    | "ephemeral-storage"
                    | "requests.ephemeral-storage"
                    | "limits.ephemeral-storage"
            ) || resource.contains("hugepages-")
                || resource.starts_with("count/pods")
        }
    }
}

/// Object counts go with any scope.
fn all_fit(scope: &str, obj: &Object) -> bool {
    obj.map_at(&["spec", "hard"]).into_iter().flatten().all(|(name, _)| {
        scope_fits(scope, name) || (name.starts_with("count/") && scope != "BestEffort" && scope != "VolumeAttributesClass")
    })
}

fn scopes(obj: &Object, errors: &mut ErrorList) {
    let list = obj.list_at(&["spec", "scopes"]);
    if list.is_empty() {
        return;
    }
    let spec = Path::new("spec");
    let path = spec.child("scopes");
    let shown = || Value::list(list.to_vec());
    let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    let mut seen: Vec<&str> = Vec::new();
    for name in &names {
        if !SCOPES.contains(name) {
            errors.invalid(&path, shown(), "unsupported scope");
        } else if !all_fit(name, obj) {
            errors.invalid(&path, shown(), "unsupported scope applied to resource");
        }
        if !seen.contains(name) {
            seen.push(name);
        }
    }
    for (a, b) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if seen.contains(&a) && seen.contains(&b) {
            errors.invalid(&path, shown(), "conflicting scopes");
        }
    }
}

fn render_scope_selector(s: &Value) -> String {
    let one = |m: &Value| {
        let values = some(m, "values").map_or("null".into(), json::to_string);
        format!(
            "{{\"ScopeName\":{},\"Operator\":{},\"Values\":{values}}}",
            go_quote(text(m, "scopeName")),
            go_quote(text(m, "operator"))
        )
    };
    let list: Vec<String> = s.list_at(&["matchExpressions"]).iter().map(one).collect();
    format!("{{\"MatchExpressions\":[{}]}}", list.join(","))
}

fn scope_selector(obj: &Object, errors: &mut ErrorList) {
    let Some(selector) = obj.at(&["spec", "scopeSelector"]) else { return };
    let spec = Path::new("spec");
    let here = spec.child("scopeSelector");
    let path = here.child("matchExpressions");
    for req in selector.list_at(&["matchExpressions"]) {
        let (name, operator, values) = (text(req, "scopeName"), text(req, "operator"), req.list_at(&["values"]));
        if !SCOPES.contains(&name) {
            errors.invalid(&path.child("scopeName"), name, "unsupported scope");
        } else if !all_fit(name, obj) {
            invalid_raw(errors, &path, render_scope_selector(selector), "unsupported scope applied to resource");
        }
        let only_exists =
            matches!(name, "BestEffort" | "NotBestEffort" | "Terminating" | "NotTerminating" | "CrossNamespacePodAffinity");
        if only_exists && operator != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                          ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.invalid(&path.child("operator"), operator, detail);
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(
                    &path.child("values"),
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
                );
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.invalid(&path.child("values"), Value::list(values.to_vec()), detail);
            }
            "Exists" | "DoesNotExist" => {}
            other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
        }
    }
}

pub static LIMIT_RANGE: Rules = Rules {
    default: limit_range_defaults,
    create: |e| {
        e.sub_or_new("metadata", |m| {
            let uid = m.str("uid").to_string();
            m.default_sym("name", &uid);
        });
    },
    validate: limit_range,
    ..Rules::of(Kind::namespaced("", "limitranges", "LimitRange").create_on_update())
};

const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

/// Of containers: a maximum is the default limit, a default limit the default request, else the minimum.
fn limit_range_defaults(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        spec.each("limits", |item| {
            for list in LISTS {
                defaults::quantities(item, list);
            }
            if item.str("type") != "Container" {
                return;
            }
            fill(item, "default", "max");
            fill(item, "defaultRequest", "default");
            fill(item, "defaultRequest", "min");
        });
    });
}

fn fill(item: &mut Edit, target: &str, source: &str) {
    let Some(from) = item.get(source).cloned() else { return };
    for (k, v) in from.as_map().into_iter().flatten() {
        if item.get(target).and_then(|t| t.get(k)).is_none() {
            item.sub_or_new(target, |t| t.set(k, v));
        }
    }
}

fn limit_range(obj: &Object, errors: &mut ErrorList) {
    let spec = Path::new("spec");
    let path = spec.child("limits");
    let list = obj.list_at(&["spec", "limits"]);
    for (i, item) in list.iter().enumerate() {
        let here = path.index(i);
        let kind = text(item, "type");
        let before = errors.len();
        limit_type(kind, &here.child("type"), errors);
        if errors.len() == before && list[..i].iter().any(|o| text(o, "type") == kind) {
            errors.duplicate(&here.child("type"), kind);
        }
        for list in LISTS {
            for (name, _) in item.map_at(&[list]).into_iter().flatten() {
                let keyed = here.child(list);
                limit_name(name, kind, &keyed.key(name), errors);
            }
        }
        if kind == "Pod" {
            for list in ["default", "defaultRequest"] {
                if item.get(list).is_some_and(|v| !v.is_empty()) {
                    errors.forbidden(&here.child(list), "may not be specified when `type` is 'Pod'");
                }
            }
        }
        if kind == "PersistentVolumeClaim" && item.at(&["min", "storage"]).is_none() && item.at(&["max", "storage"]).is_none() {
            errors
                .required(&here.child("limits"), "either minimum or maximum storage value is required, but neither was provided");
        }
        bounds(item, kind == "Container", &here, errors);
    }
}

fn limit_type(kind: &str, path: &Path, errors: &mut ErrorList) {
    let wrong = check::qualified_name(kind);
    if !wrong.is_none() {
        return wrong.report(errors, path, kind);
    }
    if !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
        errors.invalid(path, kind, "must be a standard limit type or fully qualified");
    }
}

fn limit_name(name: &str, kind: &str, path: &Path, errors: &mut ErrorList) {
    match kind {
        "Pod" | "Container" => resources::container_name(name, path, errors),
        _ => resources::name(name, path, errors),
    }
}

/// Minimum, default request, default limit and maximum are in order.
fn bounds(item: &Value, container: bool, path: &Path, errors: &mut ErrorList) {
    let q = |list: &str, name: &str| item.at(&[list, name]).and_then(|v| Quantity::from_value(v).ok());
    let mut names: Vec<&str> = Vec::new();
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        for (name, _) in item.map_at(&[list]).into_iter().flatten() {
            if !names.contains(&&**name) {
                names.push(name);
            }
        }
    }
    for name in names {
        let (min, max) = (q("min", name), q("max", name));
        let (default, request) = (q("default", name), q("defaultRequest", name));
        let mut greater = |a: Option<Quantity>, b: Option<Quantity>, list: &str, shown: Option<Quantity>, what: (&str, &str)| {
            if let (Some(a), Some(b), Some(shown)) = (a, b, shown)
                && a > b
            {
                let here = path.child(list);
                let detail = format!("{} value {a} is greater than {} value {b}", what.0, what.1);
                errors.invalid(&here.key(name), shown.canonical(), detail);
            }
        };
        greater(min, max, "min", min, ("min", "max"));
        if container {
            greater(min, request, "defaultRequest", request, ("min", "default request"));
            greater(request, max, "defaultRequest", request, ("default request", "max"));
            greater(request, default, "defaultRequest", request, ("default request", "default limit"));
            greater(min, default, "default", min, ("min", "default"));
            greater(default, max, "default", max, ("default", "max"));
        }
        ratio(item, name, min, max, path, errors);
    }
}

fn ratio(item: &Value, name: &str, min: Option<Quantity>, max: Option<Quantity>, path: &Path, errors: &mut ErrorList) {
    let Some(shown) = item.at(&["maxLimitRequestRatio", name]) else { return };
    let Ok(ratio) = Quantity::from_value(shown) else { return };
    let list = path.child("maxLimitRequestRatio");
    let here = list.key(name);
    if ratio.milli_value() < 1000 {
        errors.invalid(&here, shown.clone(), format!("ratio {} is less than 1", ratio.canonical()));
    }
    if let (Some(min), Some(max)) = (min, max)
        && min.milli_value() > 0
    {
        let largest = max.milli_value() / min.milli_value();
        if ratio.value() > largest {
            let detail = format!("ratio {ratio} is greater than max/min = {largest}.000000");
            errors.invalid(&here, shown.clone(), detail);
        }
    }
}
