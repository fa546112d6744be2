//! Status of pods: what a new pod has, its quality of service, and what a status update may do.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Quantity, Value, value};

use crate::check::{self, text};
use crate::meta;

/// The status of a new pod. With scheduling gates a condition says so, stamped with the creation time.
pub fn initial(obj: &Object) -> Value {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let mut status = Value::map();
    status.set_at(&["phase"], Value::sym("Pending"));
    status.set_at(&["qosClass"], Value::sym(qos_class(spec)));
    if !spec.list_at(&["schedulingGates"]).is_empty() {
        let mut condition = value!({
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null
        });
        if let Some(t) = obj.at(&["metadata", "creationTimestamp"]) {
            condition.set_at(&["lastTransitionTime"], t);
        }
        status.set_at(&["conditions"], vec![condition]);
    }
    status
}

/// `Guaranteed` if every container has equal requests and limits of cpu and memory, `BestEffort` if none has any.
/// Models `pkg/apis/core/helper/qos.ComputePodQOS`.
pub fn qos_class(spec: &Value) -> &'static str {
    if let Some(r) = spec.get("resources")
        && (has_compute(r, "requests") || has_compute(r, "limits"))
    {
        return if guaranteed(r) { "Guaranteed" } else { "Burstable" };
    }
    let (mut any, mut all) = (false, true);
    for c in spec.list_at(&["containers"]).iter().chain(spec.list_at(&["initContainers"])) {
        let r = c.get("resources").unwrap_or(&Value::Null);
        any |= has_compute(r, "requests") || has_compute(r, "limits");
        all &= guaranteed(r);
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// An amount that is not zero. Those that begin with a digit but 0 need no parsing.
fn amount<'a>(r: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    let v = r.at(&[list, name])?;
    let plain = v.as_str().is_some_and(|s| matches!(s.as_bytes().first(), Some(b'1'..=b'9')));
    (plain || Quantity::from_value(v).is_ok_and(|q| !q.is_zero())).then_some(v)
}

fn has_compute(r: &Value, list: &str) -> bool {
    r.get(list).is_some_and(|l| !l.is_empty()) && ["cpu", "memory"].iter().any(|n| amount(r, list, n).is_some())
}

fn guaranteed(r: &Value) -> bool {
    r.get("limits").is_some_and(|l| !l.is_empty())
        && ["cpu", "memory"].iter().all(|n| match (amount(r, "limits", n), amount(r, "requests", n)) {
            (Some(limit), Some(request)) => {
                limit == request || Quantity::from_value(limit).ok() == Quantity::from_value(request).ok()
            }
            (Some(_), None) => true,
            _ => false,
        })
}

/// The spec and the owners stay as they were.
pub fn prepare_update(new: &mut Object, old: &Object) {
    meta::keep_all_but_status(new, old);
    for field in ["ownerReferences", "deletionTimestamp"] {
        let before = old.at(&["metadata", field]);
        if new.at(&["metadata", field]) != before {
            match before {
                Some(v) => new.set_at(&["metadata", field], v),
                None => drop(new.remove_at(&["metadata", field])),
            }
        }
    }
    if let (Some(class), true) = (old.at(&["status", "qosClass"]), new.at(&["status", "qosClass"]).is_none()) {
        new.set_at(&["status", "qosClass"], class);
    }
}

/// `ValidatePodStatusUpdate`
pub fn validate_update(new: &Object, old: &Object, errors: &mut ErrorList) {
    let path = Path::new("status");
    let nominated = new.str_at(&["status", "nominatedNodeName"]).unwrap_or("");
    if !nominated.is_empty() {
        check::dns1123_subdomain(nominated).report(errors, &path.child("nominatedNodeName"), nominated);
    }
    let (before, after) = (old.at(&["status", "qosClass"]), new.at(&["status", "qosClass"]));
    check::immutable(after, before, &path.child("qosClass"), errors);
    for list in ["containerStatuses", "initContainerStatuses"] {
        let here = path.child(list);
        for (i, status) in new.list_at(&["status", list]).iter().enumerate() {
            let states =
                status.get("state").and_then(Value::as_map).map_or(0, |m| m.iter().filter(|(_, v)| !v.is_null()).count());
            if states > 1 {
                errors.forbidden(&here.index(i).child("state"), "only one of state may be set");
            }
        }
    }
    for (i, entry) in new.list_at(&["status", "podIPs"]).iter().enumerate() {
        check::ip(text(entry, "ip"), &path.child("podIPs").index(i), errors);
    }
}
