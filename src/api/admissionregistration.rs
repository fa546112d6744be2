//! The admissionregistration group: webhooks and admission policies, and the rules of what they match.
//!
//! Left out: compiling CEL expressions (a policy with an expression that does not compile is accepted here).

mod policies;
mod webhooks;

pub use policies::{MUTATING_POLICY, MUTATING_POLICY_BINDING, VALIDATING_POLICY, VALIDATING_POLICY_BINDING};
pub use webhooks::{MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, client_config, review_versions};

use apimachinery::Value;
use apimachinery::field::{ErrorList, Path};

use crate::check::{self, some, text};
use crate::edit::Edit;

const GROUP: &str = "admissionregistration.k8s.io";

/// As `default_sym`, for pointers: an empty text is not missing.
fn pointer(e: &mut Edit, name: &str, text: &str) {
    if !e.has(name) {
        e.set(name, Value::sym(text));
    }
}

fn scopes(e: &mut Edit, list: &str) {
    e.each(list, |r| pointer(r, "scope", "*"));
}

fn match_conditions(v: &Value, path: &Path, errors: &mut ErrorList) {
    let list = v.list_at(&["matchConditions"]);
    let all = path.child("matchConditions");
    if list.len() > 64 {
        errors.too_many(&all, list.len(), 64);
    }
    for (i, c) in list.iter().enumerate() {
        let here = all.index(i);
        if text(c, "expression").trim().is_empty() {
            errors.required(&here.child("expression"), "");
        }
        match text(c, "name") {
            "" => errors.required(&here.child("name"), ""),
            name => {
                check::qualified_name(name).report(errors, &here.child("name"), name);
                if list[..i].iter().any(|o| text(o, "name") == name) {
                    errors.duplicate(&here.child("name"), name);
                }
            }
        }
    }
}

/// `validateRuleWithOperations`
fn rule(r: &Value, path: &Path, errors: &mut ErrorList) {
    let list = |f: &str| r.list_at(&[f]);
    let star = |l: &[Value]| l.iter().any(|v| v.as_str() == Some("*"));
    let operations = list("operations");
    if operations.is_empty() {
        errors.required(&path.child("operations"), "");
    }
    if operations.len() > 1 && star(operations) {
        let detail = "if '*' is present, must not specify other operations";
        errors.invalid(&path.child("operations"), Value::list(operations.to_vec()), detail);
    }
    for (i, op) in operations.iter().enumerate() {
        let set = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
        check::one_of(op.as_str().unwrap_or(""), &set, &path.child("operations").index(i), errors);
    }
    for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let values = list(field);
        if values.is_empty() {
            errors.required(&path.child(field), "");
        }
        if values.len() > 1 && star(values) {
            let detail = format!("if '*' is present, must not specify other {what}");
            errors.invalid(&path.child(field), Value::list(values.to_vec()), detail);
        }
        if field == "apiVersions" {
            for (i, _) in values.iter().enumerate().filter(|(_, v)| v.as_str() == Some("")) {
                errors.required(&path.child(field).index(i), "");
            }
        }
    }
    resources(list("resources"), &path.child("resources"), errors);
    if let Some(scope) = some(r, "scope").and_then(Value::as_str) {
        check::one_of(scope, &["*", "Cluster", "Namespaced"], &path.child("scope"), errors);
    }
}

fn resources(list: &[Value], path: &Path, errors: &mut ErrorList) {
    if list.is_empty() {
        errors.required(path, "");
    }
    let has = |name: &str| list.iter().any(|v| v.as_str() == Some(name));
    for (i, _) in list.iter().enumerate().filter(|(_, v)| v.as_str() == Some("")) {
        errors.required(&path.index(i), "");
    }
    let shown = || Value::list(list.to_vec());
    if list.len() > 1 && has("*/*") {
        errors.invalid(path, shown(), "if '*/*' is present, must not specify other resources");
    }
    if has("*") && list.iter().any(|v| v.as_str().is_some_and(|s| s != "*" && !s.contains('/'))) {
        errors.invalid(path, shown(), "if '*' is present, must not specify other resources without subresources");
    }
}
