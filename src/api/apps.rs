//! The apps group: deployments, replica sets, daemon sets, stateful sets, controller revisions; and what workloads share.

pub mod daemonset;
pub mod deployment;
pub mod replicaset;
pub mod statefulset;

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::labels::Selector;
use apimachinery::{Object, Value, json};

use crate::check::{self, invalid_raw, some, text};
use crate::core::pod;
use crate::rules::Rules;
use crate::strategy::Kind;

/// A label selector as Go prints it: `matchLabels` before `matchExpressions`.
pub fn render_selector(selector: Option<&Value>) -> String {
    let Some(s) = selector.filter(|v| !v.is_null()) else { return "null".into() };
    let parts: Vec<String> = ["matchLabels", "matchExpressions"]
        .iter()
        .filter_map(|f| {
            let v = s.get(f).filter(|v| !v.is_empty())?;
            let text = if *f == "matchLabels" { json::to_string(v) } else { render_requirements(v) };
            Some(format!("\"{f}\":{text}"))
        })
        .collect();
    format!("{{{}}}", parts.join(","))
}

fn render_requirements(list: &Value) -> String {
    let one = |r: &Value| {
        let values =
            r.get("values").filter(|v| !v.is_empty()).map_or(String::new(), |v| format!(",\"values\":{}", json::to_string(v)));
        format!("{{\"key\":{},\"operator\":{}{values}}}", go_quote(text(r, "key")), go_quote(text(r, "operator")))
    };
    format!("[{}]", list.items().iter().map(one).collect::<Vec<_>>().join(","))
}

/// What a kind demands of its template.
pub struct TemplateRules {
    /// In texts: `ReplicaSet`.
    pub kind: &'static str,
    /// For an empty selector: `deployment`.
    pub selector_of: &'static str,
    /// Of a selector that does not parse; `None`: no text of its own.
    pub invalid_selector: Option<&'static str>,
    /// A selector must be there (upstream checks it apart for daemon sets).
    pub selector_required: bool,
    /// The template is checked although the selector is wrong.
    pub always_template: bool,
}

/// The selector, and that it selects the template's pods; then the template.
pub fn selector_and_template(spec: &Value, template: Option<&Value>, rules: &TemplateRules, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let here = path.child("selector");
    let selector = some(spec, "selector");
    match selector {
        None if rules.selector_required => errors.required(&here, ""),
        None => {}
        Some(s) => {
            check::label_selector(Some(s), &here, errors);
            if is_empty_selector(s) {
                let detail = format!("empty selector is invalid for {}", rules.selector_of);
                invalid_raw(errors, &here, render_selector(selector), detail);
            }
        }
    }
    let parsed = Selector::from_label_selector(selector);
    if parsed.is_err()
        && let Some(detail) = rules.invalid_selector
    {
        invalid_raw(errors, &here, render_selector(selector), detail);
    }
    let template_path = path.child("template");
    let template = template.unwrap_or(&Value::Null);
    if let Ok(parsed) = &parsed {
        selects_template(parsed, template, &template_path, errors);
    }
    if parsed.is_err() && !rules.always_template {
        return;
    }
    pod::validate_template(template, &template_path, errors);
    always_restarts(template, rules.kind, &template_path, errors);
}

/// Whether a selector has no requirement at all.
pub fn is_empty_selector(s: &Value) -> bool {
    s.get("matchLabels").is_none_or(Value::is_empty) && s.get("matchExpressions").is_none_or(Value::is_empty)
}

pub fn selects_template(selector: &Selector, template: &Value, path: &Path, errors: &mut ErrorList) {
    let labels = template.at(&["metadata", "labels"]);
    if !selector.is_everything() && !selector.matches(labels.and_then(Value::as_map)) {
        let here = path.child("metadata");
        let detail = "`selector` does not match template `labels`";
        errors.invalid(&here.child("labels"), labels.cloned().unwrap_or_default(), detail);
    }
}

fn always_restarts(template: &Value, kind: &str, path: &Path, errors: &mut ErrorList) {
    let here = path.child("spec");
    let policy = template.str_at(&["spec", "restartPolicy"]).unwrap_or("");
    if policy != "Always" {
        errors.not_supported(&here.child("restartPolicy"), policy, &["Always"]);
    }
    if template.at(&["spec", "activeDeadlineSeconds"]).is_some() {
        errors.forbidden(&here.child("activeDeadlineSeconds"), format!("activeDeadlineSeconds in {kind} is not Supported"));
    }
}

/// `ValidateNonnegativeField` of members of `spec`.
pub fn non_negative(spec: &Value, names: &[&str], errors: &mut ErrorList) {
    for name in names {
        check::non_negative(spec.int_at(&[name]), &Path::new("spec").child(name), errors);
    }
}

/// `ValidatePositiveIntOrPercent`
pub fn int_or_percent(v: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    match v {
        Some(Value::Str(s)) if !check::is_percent(s) => errors.invalid(path, &**s, check::PERCENT),
        Some(Value::Int(n)) => check::non_negative(Some(*n), path, errors),
        _ => {}
    }
}

/// `IsNotMoreThan100Percent`
pub fn not_over_100_percent(v: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    if let Some(Value::Str(s)) = v
        && percent(s).is_some_and(|n| n > 100)
    {
        errors.invalid(path, &**s, "must not be greater than 100%");
    }
}

fn percent(s: &str) -> Option<i64> {
    if check::is_percent(s) { s.strip_suffix('%')?.parse().ok() } else { None }
}

/// The number or the percentage; 0 for what is neither.
pub fn int_or_percent_value(v: Option<&Value>) -> i64 {
    match v {
        Some(Value::Int(n)) => *n,
        Some(Value::Str(s)) => percent(s).unwrap_or(0),
        _ => 0,
    }
}

/// The selector never changes.
pub fn selector_immutable(new: &Object, old: &Object, errors: &mut ErrorList) {
    let of = |o: &Object| o.at(&["spec", "selector"]).cloned();
    if !check::same(of(new).as_ref(), of(old).as_ref()) {
        let path = Path::new("spec");
        invalid_raw(errors, &path.child("selector"), render_selector(of(new).as_ref()), check::IMMUTABLE);
    }
}

/// Numbers of a status are not negative.
pub fn status_counts(new: &Object, names: &[&str], errors: &mut ErrorList) {
    let path = Path::new("status");
    for name in names {
        check::non_negative(new.int_at(&["status", name]), &path.child(name), errors);
    }
}

/// Warnings of a template at `spec.template`.
pub fn template_warnings(new: &Object, old: Option<&Object>, out: &mut Vec<String>) {
    let of = |o: &Object| o.at(&["spec", "template"]).cloned();
    pod::template_warnings(of(new).as_ref(), old.and_then(of).as_ref(), "spec.template", out);
}

/// `ControllerRevision`: data that never changes.
pub static CONTROLLER_REVISION: Rules = Rules {
    validate: |obj, errors| {
        if !matches!(obj.get("data"), Some(Value::Map(_))) {
            errors.required(&Path::new("data"), "data must be a valid JSON object");
        }
        check::non_negative(obj.int_at(&["revision"]), &Path::new("revision"), errors);
    },
    default: |e| e.default("revision", 0),
    update: |new, old, errors| {
        if !check::same(new.get("data"), old.get("data")) {
            errors.invalid(&Path::new("data"), new.get("data").cloned().unwrap_or_default(), check::IMMUTABLE);
        }
    },
    ..Rules::of(Kind::namespaced("apps", "controllerrevisions", "ControllerRevision"))
};

/// A text member of the spec.
pub fn spec_text<'a>(obj: &'a Object, name: &str) -> &'a str {
    obj.get("spec").map_or("", |s| text(s, name))
}
