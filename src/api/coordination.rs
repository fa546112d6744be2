//! The coordination group: leases.

use apimachinery::Value;
use apimachinery::field::Path;

use crate::check::{self, some};
use crate::rules::Rules;
use crate::strategy::Kind;

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
