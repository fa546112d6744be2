//! Replica sets and replication controllers.

use apimachinery::field::{ErrorList, Path};
use apimachinery::labels::Selector;
use apimachinery::{Object, Value, value};

use super::{TemplateRules, non_negative};
use crate::check::{some, text};
use crate::core::pod::{self, defaults};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

const COUNTS: [&str; 5] = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];

pub static REPLICA_SET: Rules = Rules {
    default: |e| {
        e.sub_or_new("spec", |spec| {
            spec.default("replicas", 1);
            spec.sub_or_new("template", defaults::template);
        });
    },
    new_status: Some(|| value!({"replicas": 0})),
    validate: |obj, errors| {
        let spec = obj.get("spec").unwrap_or(&Value::Null);
        non_negative(spec, &["replicas", "minReadySeconds"], errors);
        super::selector_and_template(spec, spec.get("template"), &RULES, errors);
    },
    update: super::selector_immutable,
    status: status_counts,
    warnings: super::template_warnings,
    ..Rules::of(Kind::namespaced("apps", "replicasets", "ReplicaSet").status().generation().scaled(&["spec", "selector"]))
};

const RULES: TemplateRules = TemplateRules {
    kind: "ReplicaSet",
    selector_of: "deployment",
    invalid_selector: Some("invalid label selector"),
    selector_required: true,
    always_template: false,
};

/// Neither count of ready nor of available replicas exceeds the count of replicas.
fn status_counts(new: &Object, _old: &Object, errors: &mut ErrorList) {
    super::status_counts(new, &COUNTS, errors);
    let count = |name: &str| new.int_at(&["status", name]).unwrap_or(0);
    let path = Path::new("status");
    for (name, limit) in [
        ("fullyLabeledReplicas", "replicas"),
        ("readyReplicas", "replicas"),
        ("availableReplicas", "replicas"),
        ("availableReplicas", "readyReplicas"),
    ] {
        if count(name) > count(limit) {
            let than = if limit == "replicas" { "status.replicas" } else { "readyReplicas" };
            errors.invalid(&path.child(name), count(name), format!("cannot be greater than {than}"));
        }
    }
}

pub static REPLICATION_CONTROLLER: Rules = Rules {
    default: default_controller,
    new_status: Some(|| value!({"replicas": 0})),
    validate: validate_controller,
    status: status_counts,
    warnings: super::template_warnings,
    ..Rules::of(
        Kind::namespaced("", "replicationcontrollers", "ReplicationController")
            .status()
            .generation()
            .scaled(&["spec", "selector"])
            .select(&[("status.replicas", &["status", "replicas"])]),
    )
};

fn default_controller(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        spec.default("replicas", 1);
        spec.sub("template", defaults::template);
    });
    let labels = e.get("spec").and_then(|s| s.at(&["template", "metadata", "labels"])).cloned();
    let Some(labels) = labels.filter(|l| !l.is_empty()) else { return };
    e.sub_or_new("metadata", |m| {
        if m.get("labels").is_none_or(Value::is_empty) {
            m.set("labels", &labels);
        }
    });
    e.sub("spec", |spec| {
        if spec.get("selector").is_none_or(Value::is_empty) {
            spec.set("selector", &labels);
        }
    });
}

/// `ValidateReplicationControllerSpec`: the selector is a plain map.
fn validate_controller(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    non_negative(spec, &["minReadySeconds"], errors);
    let selector = spec.map_at(&["selector"]).filter(|m| !m.is_empty());
    if selector.is_none() {
        errors.required(&path.child("selector"), "");
    }
    if some(spec, "replicas").is_none() {
        errors.required(&path.child("replicas"), "");
    }
    non_negative(spec, &["replicas"], errors);
    let here = path.child("template");
    let Some(template) = some(spec, "template") else { return errors.required(&here, "") };
    if let Some(selector) = selector {
        super::selects_template(&Selector::from_set(selector), template, &here, errors);
    }
    pod::validate_template(template, &here, errors);
    let policy = template.get("spec").map_or("", |s| text(s, "restartPolicy"));
    if policy != "Always" {
        errors.not_supported(&here.child("spec").child("restartPolicy"), policy, &["Always"]);
    }
    if template.at(&["spec", "activeDeadlineSeconds"]).is_some() {
        let detail = "activeDeadlineSeconds in ReplicationController is not Supported";
        errors.forbidden(&here.child("spec").child("activeDeadlineSeconds"), detail);
    }
}
