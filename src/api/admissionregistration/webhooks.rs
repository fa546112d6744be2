//! Webhook configurations.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value};

use super::{GROUP, match_conditions, pointer, rule, scopes};
use crate::check::{self, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

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
