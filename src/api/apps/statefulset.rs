//! Stateful sets.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Value, json, value};

use super::{TemplateRules, int_or_percent, int_or_percent_value, non_negative, not_over_100_percent};
use crate::check::{self, invalid_raw, some, text};
use crate::core::pod::{claim, defaults};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

pub static STATEFUL_SET: Rules = Rules {
    default,
    new_status: Some(|| value!({"availableReplicas": 0, "replicas": 0})),
    validate,
    update,
    status: |new, _, errors| {
        let names = [
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "observedGeneration",
            "collisionCount",
            "availableReplicas",
        ];
        super::status_counts(new, &names, errors);
    },
    warnings: super::template_warnings,
    ..Rules::of(
        Kind::namespaced("apps", "statefulsets", "StatefulSet")
            .status()
            .generation()
            .scaled(&["spec", "selector"])
            .names(NameRule::DnsLabel),
    )
};

fn default(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        spec.default_sym("podManagementPolicy", "OrderedReady");
        spec.default("replicas", 1);
        spec.default("revisionHistoryLimit", 10);
        spec.sub_or_new("updateStrategy", |s| {
            if s.str("type").is_empty() {
                s.default_sym("type", "RollingUpdate");
                s.default("rollingUpdate", Value::map());
            }
            if s.str("type") == "RollingUpdate" {
                s.sub("rollingUpdate", |r| {
                    r.default("partition", 0);
                    r.default("maxUnavailable", 1);
                });
            }
        });
        spec.sub_or_new("persistentVolumeClaimRetentionPolicy", |p| {
            p.default_sym("whenDeleted", "Retain");
            p.default_sym("whenScaled", "Retain");
        });
        spec.sub_or_new("template", defaults::template);
        spec.each("volumeClaimTemplates", |t| {
            t.default_sym("apiVersion", "v1");
            t.default_sym("kind", "PersistentVolumeClaim");
            t.default("metadata", Value::map());
            t.sub_or_new("spec", defaults::claim_spec);
            t.sub_or_new("status", |s| s.default_sym("phase", "Pending"));
        });
    });
}

const RULES: TemplateRules = TemplateRules {
    kind: "StatefulSet",
    selector_of: "statefulset",
    invalid_selector: Some(""),
    selector_required: true,
    always_template: false,
};

fn validate(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    match text(spec, "podManagementPolicy") {
        "" => errors.required(&path.child("podManagementPolicy"), ""),
        "OrderedReady" | "Parallel" => {}
        other => errors.invalid(&path.child("podManagementPolicy"), other, "must be 'OrderedReady' or 'Parallel'"),
    }
    update_strategy(spec.get("updateStrategy").unwrap_or(&Value::Null), &path.child("updateStrategy"), errors);
    let retention = path.child("persistentVolumeClaimRetentionPolicy");
    for when in ["whenDeleted", "whenScaled"] {
        if let Some(p) = spec.str_at(&["persistentVolumeClaimRetentionPolicy", when]) {
            check::one_of(p, &["Retain", "Delete"], &retention.child(when), errors);
        }
    }
    non_negative(spec, &["replicas", "minReadySeconds", "revisionHistoryLimit"], errors);
    check::non_negative(spec.int_at(&["ordinals", "start"]), &path.child("ordinals").child("start"), errors);
    let service = text(spec, "serviceName");
    if !service.is_empty() {
        check::dns1123_label(service).report(errors, &path.child("serviceName"), service);
    }
    let claims = spec.list_at(&["volumeClaimTemplates"]);
    let template = with_claims(spec.get("template"), claims);
    super::selector_and_template(spec, template.as_ref().or(spec.get("template")), &RULES, errors);
    for (i, t) in claims.iter().enumerate() {
        claim::template(t, &path.child("volumeClaimTemplates").index(i), errors);
    }
}

/// The template with a volume for each claim template, as its pods will have it. `None` without claims.
fn with_claims(template: Option<&Value>, claims: &[Value]) -> Option<Value> {
    if claims.is_empty() {
        return None;
    }
    let mut template = template?.clone();
    let name = |v: &Value| v.str_at(&["metadata", "name"]).unwrap_or("").to_string();
    let own = template.list_at(&["spec", "volumes"]).iter();
    let kept: Vec<Value> = own.filter(|v| !claims.iter().any(|c| name(c) == text(v, "name"))).cloned().collect();
    let claimed = claims.iter().map(|c| value!({"name": (name(c)), "persistentVolumeClaim": {"claimName": (name(c))}}));
    let volumes: Vec<Value> = claimed.chain(kept).collect();
    template.set_at(&["spec", "volumes"], volumes);
    Some(template)
}

fn render_rolling(r: Option<&Value>) -> String {
    let Some(r) = r else { return "null".into() };
    let unavailable = r.get("maxUnavailable").map_or("null".into(), json::to_string);
    format!("{{\"Partition\":{},\"MaxUnavailable\":{unavailable}}}", r.int_at(&["partition"]).unwrap_or(0))
}

fn update_strategy(s: &Value, path: &Path, errors: &mut ErrorList) {
    let rolling = some(s, "rollingUpdate");
    let here = path.child("rollingUpdate");
    match (text(s, "type"), rolling) {
        ("", _) => errors.required(path, ""),
        ("OnDelete", Some(_)) => {
            invalid_raw(errors, &here, render_rolling(rolling), "only allowed for updateStrategy 'RollingUpdate'");
        }
        ("RollingUpdate", Some(r)) => {
            check::non_negative(r.int_at(&["partition"]), &here.child("partition"), errors);
            let Some(v) = some(r, "maxUnavailable") else { return };
            let here = here.child("maxUnavailable");
            int_or_percent(Some(v), &here, errors);
            if int_or_percent_value(Some(v)) == 0 {
                errors.invalid(&here, v.clone(), "cannot be 0");
            }
            not_over_100_percent(Some(v), &here, errors);
        }
        ("OnDelete" | "RollingUpdate", None) => {}
        (other, _) => {
            let shown = format!("{{\"Type\":{},\"RollingUpdate\":{}}}", go_quote(other), render_rolling(rolling));
            invalid_raw(errors, path, shown, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
}

/// What is not a number, the template or a policy never changes.
fn update(new: &Object, old: &Object, errors: &mut ErrorList) {
    let path = Path::new("spec");
    for field in ["serviceName", "podManagementPolicy"] {
        check::immutable(new.at(&["spec", field]), old.at(&["spec", field]), &path.child(field), errors);
    }
    super::selector_immutable(new, old, errors);
    let claims = |o: &Object| o.at(&["spec", "volumeClaimTemplates"]).cloned();
    if !check::same(claims(new).as_ref(), claims(old).as_ref()) {
        let list = claims(new).unwrap_or_default();
        let shown: Vec<String> = list.items().iter().map(crate::gotypes::claim).collect();
        invalid_raw(errors, &path.child("volumeClaimTemplates"), format!("[{}]", shown.join(",")), check::IMMUTABLE);
    }
}
