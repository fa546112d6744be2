//! Daemon sets.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Value, value};

use super::{TemplateRules, int_or_percent, int_or_percent_value, non_negative, not_over_100_percent};
use crate::check::{not_supported_raw, some, text};
use crate::core::pod::defaults;
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

/// Counts changes of the template, from a time before `generation`.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub static DAEMON_SET: Rules = Rules {
    default,
    create: |e| {
        e.sub_or_new("metadata", |m| m.sub_or_new("annotations", |a| a.set(TEMPLATE_GENERATION, "1")));
    },
    new_status: Some(
        || value!({"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0}),
    ),
    validate,
    update: super::selector_immutable,
    prepare_update: |new, old| {
        let before: i64 = old.annotation(TEMPLATE_GENERATION).and_then(|n| n.parse().ok()).unwrap_or(0);
        let changed = new.at(&["spec", "template"]) != old.at(&["spec", "template"]);
        let now = (before + i64::from(changed)).to_string();
        if new.annotation(TEMPLATE_GENERATION) != Some(&now) {
            new.set_at(&["metadata", "annotations", TEMPLATE_GENERATION], now);
        }
    },
    status: |new, _, errors| {
        let names = [
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ];
        super::status_counts(new, &names, errors);
    },
    warnings: super::template_warnings,
    ..Rules::of(Kind::namespaced("apps", "daemonsets", "DaemonSet").status().generation())
};

fn default(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        spec.default("revisionHistoryLimit", 10);
        spec.sub_or_new("updateStrategy", |s| {
            s.default_sym("type", "RollingUpdate");
            if s.str("type") == "RollingUpdate" {
                s.sub_or_new("rollingUpdate", |r| {
                    r.default("maxUnavailable", 1);
                    r.default("maxSurge", 0);
                });
            }
        });
        spec.sub_or_new("template", defaults::template);
    });
}

const RULES: TemplateRules = TemplateRules {
    kind: "DaemonSet",
    selector_of: "daemonset",
    invalid_selector: None,
    selector_required: false,
    always_template: true,
};

fn validate(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    super::selector_and_template(spec, spec.get("template"), &RULES, errors);
    non_negative(spec, &["minReadySeconds", "revisionHistoryLimit"], errors);
    let strategy = spec.get("updateStrategy").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let here = path.child("updateStrategy");
    match text(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" => match some(strategy, "rollingUpdate") {
            None => errors.required(&here.child("rollingUpdate"), ""),
            Some(r) => rolling_update(r, &here.child("rollingUpdate"), errors),
        },
        other => {
            let shown = format!("{{\"Type\":{},\"RollingUpdate\":null}}", go_quote(other));
            not_supported_raw(errors, &here, shown, &["RollingUpdate", "OnDelete"]);
        }
    }
}

fn rolling_update(r: &Value, path: &Path, errors: &mut ErrorList) {
    let (unavailable, surge) = (r.get("maxUnavailable"), r.get("maxSurge"));
    for (v, name) in [(unavailable, "maxUnavailable"), (surge, "maxSurge")] {
        int_or_percent(v, &path.child(name), errors);
        not_over_100_percent(v, &path.child(name), errors);
    }
    match (int_or_percent_value(unavailable) != 0, int_or_percent_value(surge) != 0) {
        (true, true) => {
            let shown = surge.cloned().unwrap_or_default();
            errors.invalid(&path.child("maxSurge"), shown, "may not be set when maxUnavailable is non-zero");
        }
        (false, false) => errors.required(&path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}
