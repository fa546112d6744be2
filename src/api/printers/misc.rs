//! Rows of events, RBAC, admission, certificates and the rest.

use apimachinery::Value;

use super::{Row, duration, joined};
use crate::check::{some, text};

/// Rows of the smaller groups.
pub fn row(group: &str, resource: &str, r: &Row) -> Option<Vec<Value>> {
    let count = |path: &[&str]| Value::from(r.obj.list_at(path).len() as i64);
    Some(match (group, resource) {
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => role_binding(r),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations" | "validatingwebhookconfigurations") => {
            vec![r.name(), count(&["webhooks"]), r.age()]
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicies" | "mutatingadmissionpolicies") => {
            let list = if resource.starts_with('v') { "validations" } else { "mutations" };
            let kind = match r.obj.at(&["spec", "paramKind"]) {
                Some(p) => format!("{}/{}", text(p, "apiVersion"), text(p, "kind")),
                None => "<unset>".into(),
            };
            vec![r.name(), count(&["spec", list]), kind.into(), r.age()]
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings") => {
            vec![r.name(), r.text(&["spec", "policyName"], ""), param_ref(r).into(), r.age()]
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            let global = r.obj.bool_at(&["globalDefault"]) == Some(true);
            vec![r.name(), r.int(&["value"]).into(), global.into(), r.age(), r.text(&["preemptionPolicy"], "")]
        }
        ("node.k8s.io", "runtimeclasses") => vec![r.name(), r.text(&["handler"], ""), r.age()],
        ("coordination.k8s.io", "leases") => vec![r.name(), r.text(&["spec", "holderIdentity"], ""), r.age()],
        ("certificates.k8s.io", "certificatesigningrequests") => signing_request(r),
        ("certificates.k8s.io", "clustertrustbundles") => vec![r.name(), r.text(&["spec", "signerName"], "<none>")],
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => flow_schema(r),
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => priority_level(r),
        ("apiregistration.k8s.io", "apiservices") => api_service(r),
        ("apiextensions.k8s.io", "customresourcedefinitions") => crd(r),
        ("resource.k8s.io", "deviceclasses" | "resourceclaimtemplates") => vec![r.name(), r.age()],
        ("resource.k8s.io", "resourceclaims") => vec![r.name(), claim_state(r).into(), r.age()],
        ("resource.k8s.io", "resourceslices") => vec![
            r.name(),
            r.text(&["spec", "nodeName"], "<unset>"),
            r.text(&["spec", "driver"], ""),
            r.text(&["spec", "pool", "name"], ""),
            r.age(),
        ],
        ("storagemigration.k8s.io", _) => {
            let (resource, group) = (["spec", "resource", "resource"], ["spec", "resource", "group"]);
            let name = match r.obj.str_at(&group).unwrap_or("") {
                "" => r.obj.str_at(&resource).unwrap_or("").to_string(),
                g => format!("{}.{g}", r.obj.str_at(&resource).unwrap_or("")),
            };
            let state = ["Running", "Succeeded", "Failed"].into_iter().rfind(|c| r.obj.condition_is_true(c)).unwrap_or("");
            vec![r.name(), name.into(), state.into()]
        }
        _ => return None,
    })
}

fn role_binding(r: &Row) -> Vec<Value> {
    let role =
        format!("{}/{}", r.obj.str_at(&["roleRef", "kind"]).unwrap_or(""), r.obj.str_at(&["roleRef", "name"]).unwrap_or(""));
    let of = |kind: &str| {
        let named = r.obj.list_at(&["subjects"]).iter().filter(|s| text(s, "kind") == kind);
        let names = named.map(|s| match kind {
            "ServiceAccount" => format!("{}/{}", text(s, "namespace"), text(s, "name")),
            _ => text(s, "name").to_string(),
        });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    vec![r.name(), role.into(), r.age(), of("User"), of("Group"), of("ServiceAccount")]
}

fn param_ref(r: &Row) -> String {
    let Some(p) = r.obj.at(&["spec", "paramRef"]) else { return "<unset>".into() };
    match (text(p, "namespace"), text(p, "name")) {
        (_, "") => super::workloads::label_selector(p.get("selector")),
        ("", name) => format!("*/{name}"),
        (ns, name) => format!("{ns}/{name}"),
    }
}

fn signing_request(r: &Row) -> Vec<Value> {
    let duration = match r.obj.int_at(&["spec", "expirationSeconds"]) {
        Some(n) => duration::human_duration(base::Duration::from_secs(n)),
        None => "<none>".into(),
    };
    let mut parts: Vec<&str> = Vec::new();
    let has = |kind: &str| r.obj.condition_is_true(kind);
    if has("Approved") {
        parts.push("Approved");
    } else if has("Denied") {
        parts.push("Denied");
    } else {
        parts.push("Pending");
    }
    if has("Failed") {
        parts.push("Failed");
    }
    if !r.obj.str_at(&["status", "certificate"]).unwrap_or("").is_empty() {
        parts.push("Issued");
    }
    vec![
        r.name(),
        r.age(),
        r.text(&["spec", "signerName"], "<none>"),
        r.text(&["spec", "username"], ""),
        duration.into(),
        parts.join(",").into(),
    ]
}

fn flow_schema(r: &Row) -> Vec<Value> {
    let missing = r.obj.condition("Dangling").map_or("?", |c| text(c, "status"));
    vec![
        r.name(),
        r.text(&["spec", "priorityLevelConfiguration", "name"], "<none>"),
        r.int(&["spec", "matchingPrecedence"]).into(),
        r.text(&["spec", "distinguisherMethod", "type"], "<none>"),
        r.age(),
        missing.into(),
    ]
}

fn priority_level(r: &Row) -> Vec<Value> {
    let limited = r.obj.at(&["spec", "limited"]);
    let queuing = limited.and_then(|l| l.at(&["limitResponse", "queuing"]));
    let of_queuing = |f: &str| match queuing {
        Some(q) => q.int_at(&[f]).map_or(Value::from("<none>"), Value::from),
        None => "<none>".into(),
    };
    let shares = limited.and_then(|l| l.get("nominalConcurrencyShares")).and_then(Value::as_i64);
    vec![
        r.name(),
        r.text(&["spec", "type"], ""),
        shares.map_or("<none>".into(), Value::from),
        of_queuing("queues"),
        of_queuing("handSize"),
        of_queuing("queueLengthLimit"),
        r.age(),
    ]
}

fn api_service(r: &Row) -> Vec<Value> {
    let service = match r.obj.at(&["spec", "service"]) {
        Some(s) => format!("{}/{}", text(s, "namespace"), text(s, "name")),
        None => "Local".into(),
    };
    let available = match r.obj.condition("Available") {
        Some(c) if text(c, "status") == "True" => "True".to_string(),
        Some(c) => format!("{} ({})", text(c, "status"), text(c, "reason")),
        None => "Unknown".into(),
    };
    vec![r.name(), service.into(), available.into(), r.age()]
}

fn crd(r: &Row) -> Vec<Value> {
    let versions = r.obj.list_at(&["spec", "versions"]).iter();
    let shown = |v: &Value| {
        let mark = if v.bool_at(&["storage"]) == Some(true) { "(storage)" } else { "" };
        Some(Value::from(format!("{}{mark}", v.str_at(&["name"])?)))
    };
    let served: Vec<Value> = versions.filter(|v| v.bool_at(&["served"]) == Some(true)).filter_map(shown).collect();
    vec![
        r.name(),
        r.text(&["spec", "scope"], ""),
        joined(&served, ",").into(),
        r.obj.at(&["metadata", "creationTimestamp"]).cloned().unwrap_or_default(),
        r.text(&["spec", "group"], ""),
        r.text(&["spec", "names", "kind"], ""),
        joined(r.obj.list_at(&["spec", "names", "shortNames"]), ",").into(),
        r.obj.condition_is_true("Established").into(),
    ]
}

/// `pending`, `allocated,reserved`, with `deleted,` before.
fn claim_state(r: &Row) -> String {
    let mut states = Vec::new();
    if r.obj.is_being_deleted() {
        states.push("deleted");
    }
    match r.obj.at(&["status", "allocation"]) {
        None if states.is_empty() => states.push("pending"),
        None => {}
        Some(_) => states.push("allocated"),
    }
    if !r.obj.list_at(&["status", "reservedFor"]).is_empty() {
        states.push("reserved");
    }
    states.join(",")
}

/// Last seen, type, reason, object, message; wide: subobject, source, first seen, count, name. Models `printEvent`.
pub fn event(r: &Row) -> Vec<Value> {
    let e = r.obj.value();
    // The same storage under two groups: the names of fields differ.
    let core = |core: &str, new: &str| some(e, core).or_else(|| some(e, new)).cloned().unwrap_or_default();
    let first_time = core("firstTimestamp", "deprecatedFirstTimestamp");
    let mut first = duration::since(Some(&first_time), r.now);
    if first_time.is_null() {
        first = duration::since(e.get("eventTime"), r.now);
    }
    let last_time = core("lastTimestamp", "deprecatedLastTimestamp");
    let mut last = if last_time.is_null() { first.clone() } else { duration::since(Some(&last_time), r.now) };
    let mut count = core("count", "deprecatedCount").as_i64().unwrap_or(0);
    if let Some(series) = some(e, "series") {
        last = duration::since(series.get("lastObservedTime"), r.now);
        count = series.int_at(&["count"]).unwrap_or(0);
    } else if count == 0 {
        count = 1;
    }
    let about = some(e, "involvedObject").or_else(|| some(e, "regarding")).cloned().unwrap_or_default();
    let source = core("source", "deprecatedSource");
    let component = match text(&source, "component") {
        "" => text(e, if some(e, "reportingComponent").is_some() { "reportingComponent" } else { "reportingController" }),
        component => component,
    };
    let host = match text(&source, "host") {
        "" => text(e, "reportingInstance"),
        host => host,
    };
    let source = if host.is_empty() { component.to_string() } else { format!("{component}, {host}") };
    let message = core("message", "note");
    vec![
        last.into(),
        r.text(&["type"], ""),
        r.text(&["reason"], ""),
        format!("{}/{}", text(&about, "kind").to_lowercase(), text(&about, "name")).into(),
        text(&about, "fieldPath").into(),
        source.into(),
        message.as_str().unwrap_or("").trim().into(),
        first.into(),
        count.into(),
        r.name(),
    ]
}

/// `requests.cpu: 1/2, …` of requests, and of limits.
pub fn quota(r: &Row) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in r.obj.map_at(&["status", "hard"]).into_iter().flatten() {
        let used = r.obj.str_at(&["status", "used", name]).unwrap_or("0");
        let text = format!("{name}: {used}/{}", hard.as_str().unwrap_or(""));
        if name.starts_with("limits") { limits.push(text) } else { requests.push(text) }
    }
    vec![r.name(), requests.join(", ").into(), limits.join(", ").into(), r.age()]
}

pub fn component_status(r: &Row) -> Vec<Value> {
    let condition = r.obj.list_at(&["conditions"]).iter().find(|c| text(c, "type") == "Healthy");
    let (status, message, error) = match condition {
        Some(c) => (text(c, "status"), text(c, "message"), text(c, "error")),
        None => ("Unknown", "", ""),
    };
    let status = match status {
        "True" => "Healthy",
        "False" => "Unhealthy",
        other => other,
    };
    vec![r.name(), status.into(), message.into(), error.into()]
}
