//! The scheduling group: priority classes.

use apimachinery::Value;
use apimachinery::field::Path;

use crate::check;
use crate::rules::Rules;
use crate::strategy::Kind;

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
