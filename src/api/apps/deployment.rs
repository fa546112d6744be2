//! Deployments.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Value, json, value};

use super::{TemplateRules, int_or_percent, int_or_percent_value, non_negative, not_over_100_percent};
use crate::check::{self, some, text};
use crate::core::pod::defaults;
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

pub static DEPLOYMENT: Rules = Rules {
    default,
    new_status: Some(|| value!({})),
    validate,
    update: super::selector_immutable,
    status: |new, _, errors| {
        let names = [
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "collisionCount",
        ];
        super::status_counts(new, &names, errors);
    },
    warnings,
    ..Rules::of(
        Kind::namespaced("apps", "deployments", "Deployment")
            .status()
            .generation_and("annotations")
            .scaled(&["spec", "selector"]),
    )
};

fn default(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        spec.default("replicas", 1);
        spec.default("revisionHistoryLimit", 10);
        spec.default("progressDeadlineSeconds", 600);
        spec.sub_or_new("strategy", |s| {
            s.default_sym("type", "RollingUpdate");
            if s.str("type") == "RollingUpdate" {
                s.sub_or_new("rollingUpdate", |r| {
                    r.default("maxUnavailable", Value::sym("25%"));
                    r.default("maxSurge", Value::sym("25%"));
                });
            }
        });
        spec.sub_or_new("template", defaults::template);
    });
}

const RULES: TemplateRules = TemplateRules {
    kind: "ReplicaSet",
    selector_of: "deployment",
    invalid_selector: Some("invalid label selector"),
    selector_required: true,
    always_template: false,
};

fn validate(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    non_negative(spec, &["replicas", "minReadySeconds", "revisionHistoryLimit"], errors);
    super::selector_and_template(spec, spec.get("template"), &RULES, errors);
    let path = Path::new("spec");
    strategy(spec.get("strategy").unwrap_or(&Value::Null), &path.child("strategy"), errors);
    if let Some(n) = spec.int_at(&["progressDeadlineSeconds"]) {
        let here = path.child("progressDeadlineSeconds");
        check::non_negative(Some(n), &here, errors);
        if n <= spec.int_at(&["minReadySeconds"]).unwrap_or(0) {
            errors.invalid(&here, n, "must be greater than minReadySeconds");
        }
    }
}

fn strategy(s: &Value, path: &Path, errors: &mut ErrorList) {
    let rolling = some(s, "rollingUpdate");
    let here = path.child("rollingUpdate");
    match text(s, "type") {
        "Recreate" if rolling.is_some() => {
            errors.forbidden(&here, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" => rolling_update(rolling.unwrap_or(&Value::Null), &here, errors),
        other => {
            let part = |name| rolling.and_then(|r| r.get(name)).map_or("0".into(), json::to_string);
            let rolling_text = match rolling {
                Some(_) => format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", part("maxUnavailable"), part("maxSurge")),
                None => "null".into(),
            };
            let shown = format!("{{\"Type\":{},\"RollingUpdate\":{rolling_text}}}", go_quote(other));
            check::not_supported_raw(errors, path, shown, &["Recreate", "RollingUpdate"]);
        }
    }
}

fn rolling_update(r: &Value, path: &Path, errors: &mut ErrorList) {
    let (unavailable, surge) = (r.get("maxUnavailable"), r.get("maxSurge"));
    int_or_percent(unavailable, &path.child("maxUnavailable"), errors);
    int_or_percent(surge, &path.child("maxSurge"), errors);
    if int_or_percent_value(unavailable) == 0 && int_or_percent_value(surge) == 0 {
        let shown = unavailable.cloned().unwrap_or_default();
        errors.invalid(&path.child("maxUnavailable"), shown, "may not be 0 when `maxSurge` is 0");
    }
    not_over_100_percent(unavailable, &path.child("maxUnavailable"), errors);
}

fn warnings(new: &Object, old: Option<&Object>, out: &mut Vec<String>) {
    let wrong = check::dns1123_label(new.name());
    if old.is_none() && !wrong.is_none() {
        let texts: Vec<&str> = wrong.iter().collect();
        out.push(format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
             recommended: [{}]",
            texts.join(" ")
        ));
    }
    super::template_warnings(new, old, out);
}
