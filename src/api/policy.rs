//! The policy group: pod disruption budgets.

use apimachinery::field::Path;
use apimachinery::{Value, value};

use crate::apps::{int_or_percent, not_over_100_percent};
use crate::check::{self, some};
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
