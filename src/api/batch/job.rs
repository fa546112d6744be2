//! Jobs. Models `pkg/registry/batch/job/strategy.go` and `pkg/apis/batch/validation`.

mod policies;

use apimachinery::field::{ErrorList, Path};
use apimachinery::labels::Selector;
use apimachinery::{Object, Value, value};

use crate::apps::{render_selector, selects_template, template_warnings};
use crate::check::{self, invalid_raw, some, text};
use crate::core::pod::{self, defaults};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";

pub static JOB: Rules = Rules {
    default,
    create,
    canonicalize: labels_of_template,
    new_status: Some(|| value!({})),
    validate,
    update,
    warnings: template_warnings,
    ..Rules::of(
        Kind::namespaced("batch", "jobs", "Job").status().generation().select(&[("status.successful", &["status", "succeeded"])]),
    )
};

/// Conditions of a failure policy default to `True`; so does the job template of a cron job.
pub fn default_failure_policy(spec: &mut Edit) {
    spec.sub("podFailurePolicy", |p| {
        p.each("rules", |r| r.each("onPodConditions", |c| c.default_sym("status", "True")));
    });
}

fn default(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        if !spec.has("completions") && !spec.has("parallelism") {
            spec.set("completions", 1);
        }
        spec.default("parallelism", 1);
        let limit = if spec.has("backoffLimitPerIndex") { i32::MAX } else { 6 };
        spec.default("backoffLimit", limit);
        spec.default_sym("completionMode", "NonIndexed");
        spec.default("suspend", false);
        default_failure_policy(spec);
        let replacement = if spec.has("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
        spec.default_sym("podReplacementPolicy", replacement);
        spec.default("manualSelector", false);
        spec.sub_or_new("template", defaults::template);
    });
    labels_of_template(e);
}

/// A job without labels takes those of its template: whenever it is read, also the generated ones.
fn labels_of_template(e: &mut Edit) {
    let labels = e.get("spec").and_then(|s| s.at(&["template", "metadata", "labels"])).cloned();
    let Some(labels) = labels.filter(|l| !l.is_empty()) else { return };
    e.sub_or_new("metadata", |m| {
        if m.get("labels").is_none_or(Value::is_empty) {
            m.set("labels", labels);
        }
    });
}

/// Unless the selector is manual, the job's pods are told by its uid.
fn create(e: &mut Edit) {
    let meta = e.get("metadata").cloned().unwrap_or_default();
    let (uid, name) = (text(&meta, "uid").to_string(), text(&meta, "name").to_string());
    // Labels that defaulting took from the template are one map with the template's in upstream, and get what that gets.
    let of_template = e.get("spec").and_then(|s| s.at(&["template", "metadata", "labels"]));
    let shared = of_template.is_some_and(|t| meta.get("labels").is_some_and(|l| l.ptr_eq(t)));
    e.sub("spec", |spec| {
        if spec.get("manualSelector").and_then(Value::as_bool) == Some(true) {
            return;
        }
        spec.sub_or_new("template", |t| {
            t.sub_or_new("metadata", |m| {
                m.sub_or_new("labels", |labels| {
                    for (key, v) in [
                        ("batch.kubernetes.io/job-name", &name),
                        ("job-name", &name),
                        (CONTROLLER_UID, &uid),
                        ("controller-uid", &uid),
                    ] {
                        labels.set(key, v.as_str());
                    }
                });
            });
        });
        spec.sub_or_new("selector", |s| s.sub_or_new("matchLabels", |m| m.set(CONTROLLER_UID, uid.as_str())));
    });
    if shared {
        let labels = e.get("spec").and_then(|s| s.at(&["template", "metadata", "labels"])).cloned().unwrap_or_default();
        e.sub("metadata", |m| m.set("labels", labels));
    }
}

fn validate(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let selector = some(spec, "selector");
    generated_selector(obj, spec, errors);
    validate_spec(spec, &path, errors);
    match selector {
        None => errors.required(&path.child("selector"), ""),
        Some(_) => check::label_selector(selector, &path.child("selector"), errors),
    }
    if let Ok(parsed) = Selector::from_label_selector(selector) {
        let template = spec.get("template").unwrap_or(&Value::Null);
        selects_template(&parsed, template, &path.child("template"), errors);
    }
}

/// `validateGeneratedSelector`
fn generated_selector(obj: &Object, spec: &Value, errors: &mut ErrorList) {
    if spec.bool_at(&["manualSelector"]) == Some(true) || some(spec, "selector").is_none() {
        return;
    }
    let selector = spec.get("selector");
    let expected = selector.is_some_and(|s| {
        s.map_at(&["matchLabels"])
            .is_some_and(|m| m.len() == 1 && m.get(CONTROLLER_UID).and_then(Value::as_str) == Some(obj.uid()))
            && s.get("matchExpressions").is_none_or(Value::is_empty)
    });
    if !expected {
        let path = Path::new("spec");
        invalid_raw(errors, &path.child("selector"), render_selector(selector), "`selector` not auto-generated");
    }
}

/// `validateJobSpec`: all but the selector, at `path`.
pub fn validate_spec(spec: &Value, path: &Path, errors: &mut ErrorList) {
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        check::non_negative(spec.int_at(&[name]), &path.child(name), errors);
    }
    let managed_by = text(spec, "managedBy");
    if !managed_by.is_empty() {
        let here = path.child("managedBy");
        crate::networking::domain_prefixed_path(managed_by, &here, errors);
        if managed_by.len() > 63 {
            errors.too_long(&here, 63);
        }
    }
    if let Some(mode) = some(spec, "completionMode").and_then(Value::as_str) {
        check::one_of(mode, &["NonIndexed", "Indexed"], &path.child("completionMode"), errors);
    }
    if let Some(p) = some(spec, "podReplacementPolicy").and_then(Value::as_str) {
        if some(spec, "podFailurePolicy").is_some() {
            check::one_of(p, &["Failed"], &path.child("podReplacementPolicy"), errors);
        } else {
            check::one_of(p, &["Failed", "TerminatingOrFailed"], &path.child("podReplacementPolicy"), errors);
        }
    }
    indexes(spec, path, errors);
    policies::failure(spec, path, errors);
    policies::success(spec, path, errors);
    let here = path.child("template");
    let template = spec.get("template").unwrap_or(&Value::Null);
    pod::validate_template(template, &here, errors);
    let here = here.child("spec");
    match template.str_at(&["spec", "restartPolicy"]).unwrap_or("") {
        "" | "Always" => errors.required(&here.child("restartPolicy"), "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if some(spec, "podFailurePolicy").is_some() => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.invalid(&here.child("restartPolicy"), "OnFailure", detail);
        }
        "OnFailure" | "Never" => {}
        other => errors.not_supported(&here.child("restartPolicy"), other, &["OnFailure", "Never"]),
    }
}

fn indexes(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let n = |name: &str| some(spec, name).and_then(Value::as_i64);
    let indexed = text(spec, "completionMode") == "Indexed";
    if indexed {
        match n("completions") {
            None => errors.required(&path.child("completions"), "when completion mode is Indexed"),
            Some(completions) if completions > 100_000 && n("backoffLimitPerIndex").is_some() => {
                let limit = n("maxFailedIndexes");
                if limit.is_none() {
                    errors.required(&path.child("maxFailedIndexes"), "must be specified when completions is above 100000");
                }
            }
            Some(_) => {}
        }
        if n("parallelism").is_some_and(|p| p > 100_000) {
            let detail = "must be less than or equal to 100000 when completion mode is Indexed";
            errors.invalid(&path.child("parallelism"), n("parallelism").unwrap_or(0), detail);
        }
    }
    for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if let Some(v) = n(name)
            && text(spec, "completionMode") == "NonIndexed"
        {
            errors.invalid(&path.child(name), v, "requires indexed completion mode");
        }
    }
    if let Some(max) = n("maxFailedIndexes") {
        if n("backoffLimitPerIndex").is_none() {
            errors.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
        }
        if n("completions").is_some_and(|c| max > c) {
            errors.invalid(&path.child("maxFailedIndexes"), max, "must be less than or equal to completions");
        }
    }
}

/// What makes up the job's identity never changes; the template only while the job is suspended and has not begun.
fn update(new: &Object, old: &Object, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let (n, o) = (new.get("spec").unwrap_or(&Value::Null), old.get("spec").unwrap_or(&Value::Null));
    if !check::same(n.get("selector"), o.get("selector")) {
        invalid_raw(errors, &path.child("selector"), render_selector(n.get("selector")), check::IMMUTABLE);
    }
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        check::immutable(n.get(field), o.get(field), &path.child(field), errors);
    }
    let elastic = text(n, "completionMode") == "Indexed" && n.get("completions") == n.get("parallelism");
    if !elastic {
        check::immutable(n.get("completions"), o.get("completions"), &path.child("completions"), errors);
    }
    let open = o.bool_at(&["suspend"]) == Some(true) && old.at(&["status", "startTime"]).is_none();
    if n.get("template") != o.get("template") && !template_changes_allowed(n, o, open) {
        let shown = crate::gotypes::template(n.get("template").unwrap_or(&Value::Null));
        invalid_raw(errors, &path.child("template"), shown, check::IMMUTABLE);
    }
}

/// Of a suspended job that never ran: labels, annotations and what steers scheduling.
fn template_changes_allowed(new: &Value, old: &Value, open: bool) -> bool {
    if !open {
        return false;
    }
    let strip = |v: &Value| {
        let mut t = v.get("template").cloned().unwrap_or_default();
        for field in ["annotations", "labels"] {
            t.remove_at(&["metadata", field]);
        }
        for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
            t.remove_at(&["spec", field]);
        }
        t
    };
    strip(new) == strip(old)
}
