//! Validation of what steers a pod to a node: affinity, tolerations, spreading, gates.

use apimachinery::Value;
use apimachinery::field::{ErrorList, Path, go_quote};

use crate::check::{self, invalid_raw, some, text};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `validateAffinity`
pub fn affinity(a: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(node) = some(a, "nodeAffinity") {
        let here = path.child("nodeAffinity");
        if let Some(required) = some(node, REQUIRED) {
            node_selector(required, &here.child(REQUIRED), errors);
        }
        for (i, term) in node.list_at(&[PREFERRED]).iter().enumerate() {
            let list = here.child(PREFERRED);
            let one = list.index(i);
            weight(term, &one, errors);
            node_selector_term(term.get("preference"), &one.child("preference"), false, errors);
        }
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = some(a, name) else { continue };
        let here = path.child(name);
        for (i, term) in pods.list_at(&[REQUIRED]).iter().enumerate() {
            pod_affinity_term(term, &here.child(REQUIRED).index(i), errors);
        }
        for (i, term) in pods.list_at(&[PREFERRED]).iter().enumerate() {
            let list = here.child(PREFERRED);
            let one = list.index(i);
            weight(term, &one, errors);
            pod_affinity_term(term.get("podAffinityTerm").unwrap_or(&Value::Null), &one.child("podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &Value, path: &Path, errors: &mut ErrorList) {
    let n = term.int_at(&["weight"]).unwrap_or(0);
    if !(1..=100).contains(&n) {
        errors.invalid(&path.child("weight"), n, "must be in the range 1-100");
    }
}

/// `ValidateNodeSelector`
pub fn node_selector(selector: &Value, path: &Path, errors: &mut ErrorList) {
    let terms = selector.list_at(&["nodeSelectorTerms"]);
    if terms.is_empty() {
        errors.required(&path.child("nodeSelectorTerms"), "must have at least one node selector term");
    }
    for (i, term) in terms.iter().enumerate() {
        node_selector_term(Some(term), &path.child("nodeSelectorTerms").index(i), true, errors);
    }
}

fn node_selector_term(term: Option<&Value>, path: &Path, check_values: bool, errors: &mut ErrorList) {
    let Some(term) = term else { return };
    for (i, req) in term.list_at(&["matchExpressions"]).iter().enumerate() {
        check::requirement(req, &path.child("matchExpressions").index(i), check_values, true, errors);
    }
    for (i, req) in term.list_at(&["matchFields"]).iter().enumerate() {
        let list = path.child("matchFields");
        let here = list.index(i);
        let values = req.list_at(&["values"]);
        match text(req, "operator") {
            "In" | "NotIn" if values.len() != 1 => {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.required(&here.child("values"), detail);
            }
            "In" | "NotIn" => {}
            other => errors.invalid(&here.child("operator"), other, "not a valid selector operator"),
        }
        match text(req, "key") {
            "metadata.name" => {
                for (j, v) in values.iter().enumerate() {
                    let name = v.as_str().unwrap_or("");
                    check::dns1123_subdomain(name).report(errors, &here.child("values").index(j), name);
                }
            }
            other => errors.invalid(&here.child("key"), other, "not a valid field selector key"),
        }
    }
}

fn pod_affinity_term(term: &Value, path: &Path, errors: &mut ErrorList) {
    check::label_selector(some(term, "labelSelector"), &path.child("labelSelector"), errors);
    check::label_selector(some(term, "namespaceSelector"), &path.child("namespaceSelector"), errors);
    for ns in term.list_at(&["namespaces"]) {
        let ns = ns.as_str().unwrap_or("");
        check::dns1123_label(ns).report(errors, &path.child("namespace"), ns);
    }
    for keys in ["matchLabelKeys", "mismatchLabelKeys"] {
        match_label_keys(term, keys, path, errors);
    }
    let key = text(term, "topologyKey");
    if key.is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    }
    check::qualified_name(key).report(errors, &path.child("topologyKey"), key);
}

fn match_label_keys(v: &Value, name: &str, path: &Path, errors: &mut ErrorList) {
    let keys = v.list_at(&[name]);
    if keys.is_empty() {
        return;
    }
    if some(v, "labelSelector").is_none() {
        errors.forbidden(&path.child(name), "must not be specified when labelSelector is not set");
    }
    for (i, key) in keys.iter().enumerate() {
        let key = key.as_str().unwrap_or("");
        check::qualified_name(key).report(errors, &path.child(name).index(i), key);
    }
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// `validateTaintEffect`
pub fn taint_effect(effect: &str, allow_empty: bool, path: &Path, errors: &mut ErrorList) {
    match effect {
        "" if allow_empty => {}
        "" => errors.required(path, ""),
        _ => drop(check::one_of(effect, &EFFECTS, path, errors)),
    }
}

/// `ValidateTolerations`
pub fn tolerations(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, t) in list.iter().enumerate() {
        let here = path.index(i);
        let (key, operator, effect, value) = (text(t, "key"), text(t, "operator"), text(t, "effect"), text(t, "value"));
        if key.is_empty() {
            if operator != "Exists" {
                let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
                errors.invalid(&here.child("operator"), operator, detail);
            }
        } else {
            let wrong = check::qualified_name(key);
            if !wrong.is_none() {
                wrong.report(errors, &here.child("key"), key);
            }
        }
        if some(t, "tolerationSeconds").is_some() && effect != "NoExecute" {
            errors.invalid(&here.child("effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        }
        match operator {
            "Equal" | "" => check::label_value(value).report(errors, &here.child("operator"), value),
            "Exists" if !value.is_empty() => {
                let shown = format!(
                    "{{\"Key\":{},\"Operator\":\"Exists\",\"Value\":{},\"Effect\":{},\"TolerationSeconds\":{}}}",
                    go_quote(key),
                    go_quote(value),
                    go_quote(effect),
                    t.int_at(&["tolerationSeconds"]).map_or("null".into(), |n| n.to_string())
                );
                invalid_raw(errors, &here.child("operator"), shown, "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            "Lt" | "Gt" => errors.not_supported(&here.child("operator"), operator, &["Equal", "Exists", "Lt", "Gt"]),
            other => errors.not_supported(&here.child("operator"), other, &["Equal", "Exists"]),
        }
        taint_effect(effect, true, &here.child("effect"), errors);
    }
}

/// `validateTopologySpreadConstraints`
pub fn spread(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, c) in list.iter().enumerate() {
        let here = path.index(i);
        let skew = c.int_at(&["maxSkew"]).unwrap_or(0);
        if skew <= 0 {
            errors.invalid(&here.child("maxSkew"), skew, "must be greater than zero");
        }
        let (key, when) = (text(c, "topologyKey"), text(c, "whenUnsatisfiable"));
        if key.is_empty() {
            errors.required(&here.child("topologyKey"), "can not be empty");
        }
        check::one_of(when, &["DoNotSchedule", "ScheduleAnyway"], &here.child("whenUnsatisfiable"), errors);
        if let Some(n) = c.int_at(&["minDomains"]) {
            if n <= 0 {
                errors.invalid(&here.child("minDomains"), n, "must be greater than zero");
            }
            if when != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
                errors.invalid(&here.child("minDomains"), n, detail);
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(p) = some(c, policy).and_then(Value::as_str) {
                check::one_of(p, &["Honor", "Ignore"], &here.child(policy), errors);
            }
        }
        if list[i + 1..].iter().any(|o| text(o, "topologyKey") == key && text(o, "whenUnsatisfiable") == when) {
            errors.duplicate(&here.child("{topologyKey, whenUnsatisfiable}"), format!("{{{key}, {when}}}"));
        }
        match_label_keys(c, "matchLabelKeys", &here, errors);
        check::label_selector(some(c, "labelSelector"), &here.child("labelSelector"), errors);
    }
}

/// Scheduling gates: qualified and unique.
pub fn gates(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, gate) in list.iter().enumerate() {
        let name = text(gate, "name");
        check::qualified_name(name).report(errors, &path.index(i), name);
        if list[..i].iter().any(|o| text(o, "name") == name) {
            errors.duplicate(&path.index(i), name);
        }
    }
}
