//! Admission policies and their bindings.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use super::{GROUP, match_conditions, pointer, rule, scopes};
use crate::check::{self, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

fn match_resources_defaults(m: &mut Edit) {
    pointer(m, "matchPolicy", "Equivalent");
    m.default("namespaceSelector", Value::map());
    m.default("objectSelector", Value::map());
    scopes(m, "resourceRules");
    scopes(m, "excludeResourceRules");
}

fn policy_defaults(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        pointer(spec, "failurePolicy", "Fail");
        spec.sub("matchConstraints", match_resources_defaults);
    });
}

pub static VALIDATING_POLICY: Rules = Rules {
    default: policy_defaults,
    new_status: Some(|| value!({})),
    validate: validating_policy,
    ..Rules::of(
        Kind::cluster(GROUP, "validatingadmissionpolicies", "ValidatingAdmissionPolicy").status().generation().conditional(),
    )
};

pub static MUTATING_POLICY: Rules = Rules {
    default: policy_defaults,
    validate: mutating_policy,
    ..Rules::of(Kind::cluster(GROUP, "mutatingadmissionpolicies", "MutatingAdmissionPolicy").generation().conditional())
};

pub static VALIDATING_POLICY_BINDING: Rules = Rules {
    default: |e| e.sub("spec", |s| s.sub("matchResources", match_resources_defaults)),
    validate: |obj, errors| {
        binding(obj, errors);
        let spec = Path::new("spec");
        let path = spec.child("validationActions");
        let list = obj.list_at(&["spec", "validationActions"]);
        if list.is_empty() {
            errors.required(&path, "");
        }
        for (i, a) in list.iter().enumerate() {
            check::one_of(a.as_str().unwrap_or(""), &["Audit", "Deny", "Warn"], &path.index(i), errors);
            if list[..i].contains(a) {
                errors.duplicate(&path.index(i), a.clone());
            }
        }
        let has = |n: &str| list.iter().any(|a| a.as_str() == Some(n));
        if has("Deny") && has("Warn") {
            let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                          response and headers serves no purpose)";
            errors.invalid(&path, Value::list(list.to_vec()), detail);
        }
    },
    ..Rules::of(
        Kind::cluster(GROUP, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding").generation().conditional(),
    )
};

pub static MUTATING_POLICY_BINDING: Rules = Rules {
    default: |e| e.sub("spec", |s| s.sub("matchResources", match_resources_defaults)),
    validate: binding,
    ..Rules::of(
        Kind::cluster(GROUP, "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding").generation().conditional(),
    )
};

fn binding(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    match text(spec, "policyName") {
        "" => errors.required(&path.child("policyName"), ""),
        name => check::dns1123_subdomain(name).report(errors, &path.child("policyName"), name),
    }
    if let Some(p) = some(spec, "paramRef") {
        let here = path.child("paramRef");
        match (text(p, "name"), some(p, "selector")) {
            ("", None) => errors.required(&here, "one of name or selector must be specified"),
            ("", Some(s)) => check::label_selector(Some(s), &here.child("selector"), errors),
            (_, Some(_)) => {
                for field in ["name", "selector"] {
                    errors.forbidden(&here.child(field), "name and selector are mutually exclusive");
                }
            }
            (name, None) => check::dns1123_subdomain(name).report(errors, &here.child("name"), name),
        }
        match some(p, "parameterNotFoundAction").and_then(Value::as_str) {
            None => errors.required(&here.child("parameterNotFoundAction"), ""),
            Some(a) => drop(check::one_of(a, &["Deny", "Allow"], &here.child("parameterNotFoundAction"), errors)),
        }
    }
    if let Some(m) = some(spec, "matchResources") {
        match_resources(m, &path.child("matchResources"), errors);
    }
}

fn match_resources(m: &Value, path: &Path, errors: &mut ErrorList) {
    for selector in ["namespaceSelector", "objectSelector"] {
        check::label_selector(some(m, selector), &path.child(selector), errors);
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        for (i, r) in m.list_at(&[list]).iter().enumerate() {
            rule(r, &path.child(list).index(i), errors);
        }
    }
}

/// What both kinds of policy have: parameters, constraints, variables, conditions.
fn policy(spec: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(p) = some(spec, "failurePolicy").and_then(Value::as_str) {
        check::one_of(p, &["Fail", "Ignore"], &path.child("failurePolicy"), errors);
    }
    if let Some(p) = some(spec, "paramKind") {
        let here = path.child("paramKind");
        match text(p, "apiVersion") {
            "" => errors.required(&here.child("apiVersion"), ""),
            v if v.matches('/').count() > 1 => {
                errors.invalid(&here.child("apiVersion"), v, format!("unexpected GroupVersion string: {v}"));
            }
            _ => {}
        }
        match text(p, "kind") {
            "" => errors.required(&here.child("kind"), ""),
            kind => {
                for wrong in check::dns1035_label(&kind.to_lowercase()).iter() {
                    errors.invalid(
                        &here.child("kind"),
                        kind,
                        format!("may have mixed case, but should otherwise match: {wrong}"),
                    );
                }
            }
        }
    }
    let here = path.child("matchConstraints");
    match some(spec, "matchConstraints") {
        None => errors.required(&here, ""),
        Some(m) => {
            match_resources(m, &here, errors);
            if m.list_at(&["resourceRules"]).is_empty() {
                errors.required(&here.child("resourceRules"), "");
            }
        }
    }
    match_conditions(spec, path, errors);
    variables(spec.list_at(&["variables"]), &path.child("variables"), errors);
}

fn variables(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, v) in list.iter().enumerate() {
        let here = path.index(i);
        let name = text(v, "name").trim();
        let identifier = |s: &str| s.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') && !s.as_bytes()[0].is_ascii_digit();
        if name.is_empty() {
            errors.required(&here.child("name"), "name is not specified");
        } else if !identifier(name) {
            errors.invalid(&here.child("name"), text(v, "name"), "must be a valid CEL identifier");
        }
        if text(v, "expression").trim().is_empty() {
            errors.required(&here.child("expression"), "expression is not specified");
        }
    }
}

fn validating_policy(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    policy(spec, &path, errors);
    let (validations, audits) = (spec.list_at(&["validations"]), spec.list_at(&["auditAnnotations"]));
    if validations.is_empty() && audits.is_empty() {
        for field in ["validations", "auditAnnotations"] {
            errors.required(&path.child(field), "validations or auditAnnotations must contain at least one item");
        }
    }
    for (i, v) in validations.iter().enumerate() {
        let list = path.child("validations");
        let here = list.index(i);
        if text(v, "expression").trim().is_empty() {
            errors.required(&here.child("expression"), "expression is not specified");
        }
        for field in ["message", "messageExpression"] {
            let m = text(v, field);
            if !m.is_empty() && m.trim().is_empty() {
                errors.invalid(&here.child(field), m, "must be non-empty if specified");
            }
        }
        let message = text(v, "message").trim();
        if message.contains('\n') {
            errors.invalid(&here.child("message"), message, "must not contain line breaks");
        }
        if let Some(reason) = some(v, "reason").and_then(Value::as_str) {
            let set = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
            if reason != "Unauthorized" {
                check::one_of(reason, &set, &here.child("reason"), errors);
            }
        }
    }
    for (i, a) in audits.iter().enumerate() {
        let list = path.child("auditAnnotations");
        let here = list.index(i);
        let key = format!("{}/{}", obj.name(), text(a, "key"));
        check::qualified_name(&key).report(errors, &here.child("key"), &key);
        if audits[..i].iter().any(|o| text(o, "key") == text(a, "key")) {
            errors.duplicate(&here.child("key"), text(a, "key"));
        }
        if text(a, "valueExpression").trim().is_empty() {
            errors.required(&here.child("valueExpression"), "valueExpression is not specified");
        }
    }
}

fn mutating_policy(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    policy(spec, &path, errors);
    let mutations = spec.list_at(&["mutations"]);
    let list = path.child("mutations");
    if mutations.is_empty() {
        errors.required(&list, "mutations must contain at least one item");
    }
    for (i, m) in mutations.iter().enumerate() {
        let here = list.index(i);
        let field = match text(m, "patchType") {
            "" => {
                errors.required(&here.child("patchType"), "");
                continue;
            }
            "ApplyConfiguration" => "applyConfiguration",
            "JSONPatch" => "jsonPatch",
            other => {
                errors.not_supported(&here.child("patchType"), other, &["ApplyConfiguration", "JSONPatch"]);
                continue;
            }
        };
        match some(m, field) {
            None => errors.required(&here.child(field), format!("must be specified when patchType is {}", text(m, "patchType"))),
            Some(p) if text(p, "expression").trim().is_empty() => errors.required(&here.child(field).child("expression"), ""),
            Some(_) => {}
        }
    }
    match text(spec, "reinvocationPolicy") {
        "" => errors.required(&path.child("reinvocationPolicy"), ""),
        p => drop(check::one_of(p, &["IfNeeded", "Never"], &path.child("reinvocationPolicy"), errors)),
    }
}
