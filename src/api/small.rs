//! Groups with one or two small kinds: policy, coordination, scheduling, node.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Quantity, Value, value};

use crate::apps::{int_or_percent, not_over_100_percent};
use crate::check::{self, some, text};
use crate::core::pod::{defaults, resources, scheduling};
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

pub static POD_DISRUPTION_BUDGET: Rules = Rules {
    default: |e| e.default("spec", Value::map()),
    new_status: Some(|| value!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0})),
    validate: |obj, errors| {
        let spec = obj.get("spec").unwrap_or(&Value::Null);
        let path = Path::new("spec");
        let (min, max) = (some(spec, "minAvailable"), some(spec, "maxUnavailable"));
        if min.is_some() && max.is_some() {
            errors.invalid(&path, pdb_shown(spec), "minAvailable and maxUnavailable cannot be both set");
        }
        for (v, name) in [(min, "minAvailable"), (max, "maxUnavailable")] {
            int_or_percent(v, &path.child(name), errors);
            not_over_100_percent(v, &path.child(name), errors);
        }
        check::label_selector(some(spec, "selector"), &path.child("selector"), errors);
        if let Some(p) = some(spec, "unhealthyPodEvictionPolicy").and_then(Value::as_str) {
            check::one_of(p, &["AlwaysAllow", "IfHealthyBudget"], &path.child("unhealthyPodEvictionPolicy"), errors);
        }
    },
    ..Rules::of(
        Kind::namespaced("policy", "poddisruptionbudgets", "PodDisruptionBudget")
            .status()
            .generation()
            .conditional()
            .names(NameRule::PathSegment),
    )
};

/// A budget's spec with Go's names.
fn pdb_shown(spec: &Value) -> Value {
    let part = |f: &str| some(spec, f).cloned().unwrap_or_default();
    value!({
        "MinAvailable": (part("minAvailable")), "Selector": (part("selector")), "MaxUnavailable": (part("maxUnavailable")),
        "UnhealthyPodEvictionPolicy": (part("unhealthyPodEvictionPolicy"))
    })
}

pub static LEASE: Rules = Rules {
    default: |e| e.default("spec", Value::map()),
    validate: |obj, errors| {
        let spec = obj.get("spec").unwrap_or(&Value::Null);
        let path = Path::new("spec");
        if let Some(n) = spec.int_at(&["leaseDurationSeconds"])
            && n <= 0
        {
            errors.invalid(&path.child("leaseDurationSeconds"), n, "must be greater than 0");
        }
        check::non_negative(spec.int_at(&["leaseTransitions"]), &path.child("leaseTransitions"), errors);
        if let Some(holder) = some(spec, "holderIdentity").and_then(Value::as_str)
            && some(spec, "preferredHolder").is_some()
            && holder.is_empty()
        {
            errors.invalid(&path.child("holderIdentity"), holder, "must not be empty");
        }
    },
    ..Rules::of(Kind::namespaced("coordination.k8s.io", "leases", "Lease").create_on_update().conditional())
};

/// User-defined priorities end here; the system's own begin above.
const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;

pub static PRIORITY_CLASS: Rules = Rules {
    default: |e| {
        if !e.has("preemptionPolicy") {
            e.set("preemptionPolicy", Value::sym("PreemptLowerPriority"));
        }
        e.default("value", 0);
    },
    validate: |obj, errors| {
        let n = obj.int_at(&["value"]).unwrap_or(0);
        let system = match obj.name() {
            "system-cluster-critical" => Some(2_000_000_000),
            "system-node-critical" => Some(2_000_001_000),
            _ => None,
        };
        let meta = Path::new("metadata");
        match system {
            Some(fixed) if fixed != n => errors.forbidden(
                &meta.child("name"),
                format!(
                    "priority class names with 'system-' prefix are reserved for system use only. error: value of {} PriorityClass \
                     must be {fixed}",
                    obj.name()
                ),
            ),
            Some(_) => {}
            None if obj.name().starts_with("system-") => errors.forbidden(
                &meta.child("name"),
                format!(
                    "priority class names with 'system-' prefix are reserved for system use only. error: {} is not a known system \
                     priority class",
                    obj.name()
                ),
            ),
            None if n > HIGHEST_USER_PRIORITY => {
                let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}");
                errors.forbidden(&Path::new("value"), detail);
            }
            None => {}
        }
        let path = Path::new("preemptionPolicy");
        match obj.str_at(&["preemptionPolicy"]).unwrap_or("") {
            "" => errors.required(&path, ""),
            p => drop(check::one_of(p, &["PreemptLowerPriority", "Never"], &path, errors)),
        }
    },
    update: |new, old, errors| {
        if new.int_at(&["value"]).unwrap_or(0) != old.int_at(&["value"]).unwrap_or(0) {
            errors.forbidden(&Path::new("value"), "may not be changed in an update.");
        }
        check::immutable(new.get("preemptionPolicy"), old.get("preemptionPolicy"), &Path::new("preemptionPolicy"), errors);
    },
    update_validates_all: false,
    ..Rules::of(Kind::cluster("scheduling.k8s.io", "priorityclasses", "PriorityClass").generation())
};

pub static RUNTIME_CLASS: Rules = Rules {
    default: |e| {
        e.sub("overhead", |o| defaults::quantities(o, "podFixed"));
    },
    validate: runtime_class,
    update: |new, old, errors| {
        if new.get("handler") != old.get("handler") {
            // Upstream's declarative validation shows no value here.
            errors.invalid(&Path::new("handler"), Value::Null, check::IMMUTABLE);
        }
    },
    ..Rules::of(Kind::cluster("node.k8s.io", "runtimeclasses", "RuntimeClass").conditional())
};

fn runtime_class(obj: &Object, errors: &mut ErrorList) {
    let path = Path::new("handler");
    match obj.str_at(&["handler"]).unwrap_or("") {
        "" => errors.required(&path, ""),
        handler => {
            for text in check::dns1123_label(handler).iter() {
                errors.invalid(&path, handler, text.replace("63 characters", "63 bytes"));
            }
        }
    }
    let overhead = Path::new("overhead");
    // Upstream checks these as the limits of a container, hence the path.
    let limits = overhead.child("limits");
    for (name, v) in obj.map_at(&["overhead", "podFixed"]).into_iter().flatten() {
        resources::container_name(name, &limits.key(name), errors);
        if let Ok(q) = Quantity::from_value(v) {
            resources::amount(name, &q, v, &limits.key(name), errors);
        }
    }
    let path = Path::new("scheduling");
    check::labels(obj.map_at(&["scheduling", "nodeSelector"]), &path.child("nodeSelector"), errors);
    tolerations(obj.list_at(&["scheduling", "tolerations"]), &path.child("tolerations"), errors);
}

/// As of pods, but a value with `Exists` is shown alone.
fn tolerations(list: &[Value], path: &Path, errors: &mut ErrorList) {
    let before = errors.len();
    scheduling::tolerations(list, path, errors);
    if errors.len() == before {
        return;
    }
    let all: Vec<_> = std::mem::take(errors).into_iter().collect();
    for mut e in all {
        if e.detail == "value must be empty when `operator` is 'Exists'" {
            let at = list.iter().find(|t| text(t, "operator") == "Exists" && !text(t, "value").is_empty());
            e.bad_value = go_quote(at.map_or("", |t| text(t, "value")));
        }
        errors.push(e);
    }
}
