//! The admissionregistration group: webhooks and admission policies.
//!
//! Left out: compiling CEL expressions (a policy with an expression that does not compile is accepted here).

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::check::{self, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

const GROUP: &str = "admissionregistration.k8s.io";

pub static VALIDATING_WEBHOOKS: Rules = Rules {
    default: |e| e.each("webhooks", |w| webhook_defaults(w, false)),
    validate: |obj, errors| webhooks(obj, false, errors),
    ..Rules::of(
        Kind::cluster(GROUP, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration").generation().conditional(),
    )
};

pub static MUTATING_WEBHOOKS: Rules = Rules {
    default: |e| e.each("webhooks", |w| webhook_defaults(w, true)),
    validate: |obj, errors| webhooks(obj, true, errors),
    ..Rules::of(Kind::cluster(GROUP, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration").generation().conditional())
};

/// As `default_sym`, for pointers: an empty text is not missing.
fn pointer(e: &mut Edit, name: &str, text: &str) {
    if !e.has(name) {
        e.set(name, Value::sym(text));
    }
}

fn scopes(e: &mut Edit, list: &str) {
    e.each(list, |r| pointer(r, "scope", "*"));
}

fn webhook_defaults(w: &mut Edit, mutating: bool) {
    pointer(w, "failurePolicy", "Fail");
    pointer(w, "matchPolicy", "Equivalent");
    w.default("namespaceSelector", Value::map());
    w.default("objectSelector", Value::map());
    w.default("timeoutSeconds", 10);
    if mutating {
        pointer(w, "reinvocationPolicy", "Never");
    }
    w.sub("clientConfig", |c| c.sub("service", |s| s.default("port", 443)));
    scopes(w, "rules");
}

fn webhooks(obj: &Object, mutating: bool, errors: &mut ErrorList) {
    let path = Path::new("webhooks");
    let list = obj.list_at(&["webhooks"]);
    for (i, w) in list.iter().enumerate() {
        let here = path.index(i);
        webhook(w, mutating, &here, errors);
        if list[..i].iter().any(|o| text(o, "name") == text(w, "name")) {
            errors.duplicate(&here.child("name"), text(w, "name"));
        }
    }
}

/// `ValidateFullyQualifiedName`
pub fn fully_qualified(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    let wrong = check::dns1123_subdomain(name);
    if !wrong.is_none() {
        return wrong.report(errors, path, name);
    }
    if name.split('.').count() < 3 {
        errors.invalid(path, name, "should be a domain with at least three segments separated by dots");
    }
}

fn webhook(w: &Value, mutating: bool, path: &Path, errors: &mut ErrorList) {
    fully_qualified(text(w, "name"), &path.child("name"), errors);
    for (i, r) in w.list_at(&["rules"]).iter().enumerate() {
        rule(r, &path.child("rules").index(i), errors);
    }
    for (field, set) in [("failurePolicy", ["Fail", "Ignore"]), ("matchPolicy", ["Equivalent", "Exact"])] {
        if let Some(p) = some(w, field).and_then(Value::as_str) {
            check::one_of(p, &set, &path.child(field), errors);
        }
    }
    match some(w, "sideEffects").and_then(Value::as_str) {
        None => errors.required(&path.child("sideEffects"), "must specify one of None, NoneOnDryRun"),
        Some(s) => drop(check::one_of(s, &["None", "NoneOnDryRun"], &path.child("sideEffects"), errors)),
    }
    if let Some(n) = w.int_at(&["timeoutSeconds"])
        && !(1..=30).contains(&n)
    {
        errors.invalid(&path.child("timeoutSeconds"), n, "the timeout value must be between 1 and 30 seconds");
    }
    for selector in ["namespaceSelector", "objectSelector"] {
        check::label_selector(some(w, selector), &path.child(selector), errors);
    }
    if mutating && let Some(p) = some(w, "reinvocationPolicy").and_then(Value::as_str) {
        check::one_of(p, &["IfNeeded", "Never"], &path.child("reinvocationPolicy"), errors);
    }
    client_config(w.get("clientConfig").unwrap_or(&Value::Null), &path.child("clientConfig"), errors);
    review_versions(w.list_at(&["admissionReviewVersions"]), &path.child("admissionReviewVersions"), true, errors);
    match_conditions(w, path, errors);
}

/// Versions of review objects: known, and each once.
pub fn review_versions(list: &[Value], path: &Path, say_which: bool, errors: &mut ErrorList) {
    if list.is_empty() {
        return errors.required(path, if say_which { "must specify one of v1, v1beta1" } else { "" });
    }
    let known = list.iter().any(|v| matches!(v.as_str(), Some("v1" | "v1beta1")));
    for (i, v) in list.iter().enumerate() {
        let v = v.as_str().unwrap_or("");
        if list[..i].iter().any(|o| o.as_str() == Some(v)) {
            errors.invalid(&path.index(i), v, "duplicate version");
            continue;
        }
        check::dns1035_label(v).report(errors, &path.index(i), v);
    }
    if !known {
        errors.invalid(path, Value::list(list.to_vec()), "must include at least one of v1, v1beta1");
    }
}

/// A URL or a service, as webhooks and conversions have it.
pub fn client_config(c: &Value, path: &Path, errors: &mut ErrorList) {
    let (url, service) = (some(c, "url").and_then(Value::as_str), some(c, "service"));
    match (url, service) {
        (Some(_), Some(_)) | (None, None) => errors.required(path, "exactly one of url or service is required"),
        (Some(url), None) => webhook_url(url, &path.child("url"), errors),
        (None, Some(s)) => webhook_service(s, &path.child("service"), errors),
    }
}

fn webhook_url(url: &str, path: &Path, errors: &mut ErrorList) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("", ""),
    };
    if scheme != "https" {
        errors.invalid(path, scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (before, query) = before.split_once('?').unwrap_or((before, ""));
    let authority = before.split('/').next().unwrap_or("");
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(u, h)| (u, h));
    if host.is_empty() {
        errors.invalid(path, "", format!("host must be specified{FORM}"));
    }
    for (what, v) in [("user information is", user), ("fragments are", fragment), ("query parameters are", query)] {
        if !v.is_empty() {
            errors.invalid(path, v, format!("{what} not permitted in the URL"));
        }
    }
}

fn webhook_service(s: &Value, path: &Path, errors: &mut ErrorList) {
    check::required(s, &["name", "namespace"], path, errors);
    let port = s.int_at(&["port"]).unwrap_or(443);
    if !check::port_num(port).is_none() {
        errors.invalid(&path.child("port"), port, format!("port is not valid: {}", check::PORT));
    }
    let Some(route) = some(s, "path").and_then(Value::as_str).filter(|r| !matches!(*r, "" | "/")) else { return };
    let here = path.child("path");
    let Some(steps) = route.strip_prefix('/') else {
        errors.invalid(&here, route, "must start with a '/'");
        return errors.invalid(&here, route, "segment[0] may not be empty");
    };
    let steps: Vec<&str> = steps.strip_suffix('/').unwrap_or(steps).split('/').collect();
    for (i, step) in steps.iter().enumerate() {
        if step.is_empty() {
            errors.invalid(&here, route, format!("segment[{i}] may not be empty"));
            continue;
        }
        for wrong in check::dns1123_subdomain(step).iter() {
            errors.invalid(&here, route, format!("segment[{i}]: {wrong}"));
        }
    }
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
