//! Horizontal pod autoscalers. Version 1 is the old form of the same objects.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Quantity, Value, value};

use crate::check::{self, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

pub static V2: Rules = Rules {
    default: default_v2,
    new_status: Some(|| value!({"currentMetrics": null, "desiredReplicas": 0})),
    validate,
    ..Rules::of(Kind {
        version: "v2",
        ..Kind::namespaced("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler").status().generation()
    })
};

pub static V1: Rules = Rules {
    default: |e| {
        e.sub_or_new("spec", |s| {
            if !s.has("minReplicas") {
                s.set("minReplicas", 1);
            }
        });
    },
    new_status: Some(|| value!({"currentReplicas": 0, "desiredReplicas": 0})),
    validate,
    ..Rules::of(Kind::namespaced("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler").status().generation())
};

fn default_v2(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        if !spec.has("minReplicas") {
            spec.set("minReplicas", 1);
        }
        if spec.get("metrics").is_none_or(Value::is_empty) {
            let target = value!({"type": "Utilization", "averageUtilization": 80});
            spec.set("metrics", value!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
        }
        spec.sub("behavior", |b| {
            b.sub_or_new("scaleUp", |r| {
                r.default_sym("selectPolicy", "Max");
                r.default("stabilizationWindowSeconds", 0);
                if r.value().get("policies").is_none_or(Value::is_null) {
                    r.set(
                        "policies",
                        value!([
                            {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}
                        ]),
                    );
                }
            });
            b.sub_or_new("scaleDown", |r| {
                r.default_sym("selectPolicy", "Max");
                if r.value().get("policies").is_none_or(Value::is_null) {
                    r.set("policies", value!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
                }
            });
        });
    });
}

fn validate(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let min = some(spec, "minReplicas").and_then(Value::as_i64);
    if let Some(n) = min
        && n < 0
    {
        errors.invalid(&path.child("minReplicas"), n, "must be greater than or equal to 0");
    }
    let max = spec.int_at(&["maxReplicas"]).unwrap_or(0);
    let here = path.child("maxReplicas");
    if max == 0 {
        errors.required(&here, "");
    } else if max < 1 {
        errors.invalid(&here, max, "must be greater than or equal to 1");
    }
    if min.is_some_and(|n| max < n) {
        errors.invalid(&here, max, "must be greater than or equal to `minReplicas`");
    }
    target(spec.get("scaleTargetRef").unwrap_or(&Value::Null), &path.child("scaleTargetRef"), errors);
    let metrics = spec.list_at(&["metrics"]);
    for (i, m) in metrics.iter().enumerate() {
        metric(m, &path.child("metrics").index(i), errors);
    }
    if min == Some(0) && !metrics.iter().any(|m| matches!(text(m, "type"), "Object" | "External")) {
        errors.forbidden(
            &path.child("metrics"),
            "must specify at least one Object or External metric to support scaling to zero replicas",
        );
    }
    if let Some(b) = some(spec, "behavior") {
        let here = path.child("behavior");
        for direction in ["scaleUp", "scaleDown"] {
            if let Some(r) = some(b, direction) {
                rules(r, &here.child(direction), errors);
            }
        }
    }
}

fn target(t: &Value, path: &Path, errors: &mut ErrorList) {
    for field in ["kind", "name"] {
        match text(t, field) {
            "" => errors.required(&path.child(field), ""),
            v => check::path_segment(v).report(errors, &path.child(field), v),
        }
    }
    let api = text(t, "apiVersion");
    if !api.contains('/') && api != "v1" {
        errors.invalid(&path.child("apiVersion"), api, "apiVersion must specify API group");
    }
}

fn metric(m: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = text(m, "type");
    if kind.is_empty() {
        errors.required(&path.child("type"), "must specify a metric source type");
    }
    let kinds = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    if !check::one_of(kind, &kinds, &path.child("type"), errors) {
        return;
    }
    let field = kind[..1].to_lowercase() + &kind[1..];
    let here = path.child(&field);
    let Some(source) = some(m, &field) else {
        return errors.required(&here, "must populate information for the given metric source");
    };
    let t = source.get("target").unwrap_or(&Value::Null);
    if kind == "Object" {
        check::required(
            source.get("describedObject").unwrap_or(&Value::Null),
            &["kind", "name"],
            &here.child("describedObject"),
            errors,
        );
    }
    match kind {
        "Resource" | "ContainerResource" => {
            if text(source, "name").is_empty() {
                errors.required(&here.child("name"), "must specify a resource name");
            }
            if kind == "ContainerResource" {
                match text(source, "container") {
                    "" => errors.required(&here.child("container"), "must specify a container"),
                    c => check::dns1123_label(c).report(errors, &here.child("container"), c),
                }
            }
        }
        _ => {
            let path = here.child("metric");
            match source.str_at(&["metric", "name"]).unwrap_or("") {
                "" => errors.required(&path.child("name"), "must specify a metric name"),
                name => check::path_segment(name).report(errors, &path.child("name"), name),
            }
            check::label_selector(source.at(&["metric", "selector"]), &path.child("selector"), errors);
        }
    }
    metric_target(t, kind, &here.child("target"), errors);
}

fn metric_target(t: &Value, kind: &str, path: &Path, errors: &mut ErrorList) {
    let declared = text(t, "type");
    if declared.is_empty() {
        errors.required(&path.child("type"), "must specify a metric target type");
    }
    if !matches!(declared, "Utilization" | "Value" | "AverageValue") {
        errors.invalid(&path.child("type"), declared, "must be either Utilization, Value, or AverageValue");
    }
    for field in ["value", "averageValue"] {
        let q = some(t, field).and_then(|v| Quantity::from_value(v).ok());
        if q.is_some_and(|q| q.sign() != 1) {
            errors.invalid(&path.child(field), t.get(field).cloned().unwrap_or_default(), "must be positive");
        }
    }
    let has = |f: &str| some(t, f).is_some();
    if let Some(n) = some(t, "averageUtilization").and_then(Value::as_i64)
        && n < 1
    {
        errors.invalid(&path.child("averageUtilization"), n, "must be greater than 0");
    }
    match kind {
        "Resource" | "ContainerResource" => {
            if !has("averageUtilization") && !has("averageValue") {
                errors.required(&path.child("averageUtilization"), "must set either a target raw value or a target utilization");
            }
            if has("averageUtilization") && has("averageValue") {
                errors.forbidden(&path.child("averageValue"), "may not set both a target raw value and a target utilization");
            }
        }
        "Object" if !has("value") && !has("averageValue") => {
            errors.required(&path.child("averageValue"), "must set either a target value or averageValue");
        }
        "External" => {
            if !has("value") && !has("averageValue") {
                errors.required(&path.child("averageValue"), "must set either a target value for metric or a per-pod target");
            }
            if has("value") && has("averageValue") {
                errors.forbidden(&path.child("value"), "may not set both a target value for metric and a per-pod target");
            }
        }
        "Pods" if !has("averageValue") => {
            errors.required(&path.child("averageValue"), "must specify a positive target averageValue");
        }
        _ => {}
    }
}

fn rules(r: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(n) = some(r, "stabilizationWindowSeconds").and_then(Value::as_i64) {
        let here = path.child("stabilizationWindowSeconds");
        if n < 0 {
            errors.invalid(&here, n, "must be greater than or equal to zero");
        }
        if n > 3600 {
            errors.invalid(&here, n, "must be less than or equal to 3600");
        }
    }
    if let Some(p) = some(r, "selectPolicy").and_then(Value::as_str) {
        check::one_of(p, &["Disabled", "Max", "Min"], &path.child("selectPolicy"), errors);
    }
    if let Some(t) = some(r, "tolerance")
        && Quantity::from_value(t).is_ok_and(|q| q.sign() < 0)
    {
        errors.invalid(&path.child("tolerance"), t.clone(), check::NON_NEGATIVE);
    }
    let list = path.child("policies");
    if r.list_at(&["policies"]).is_empty() {
        errors.required(&list, "must specify at least one Policy");
    }
    for (i, p) in r.list_at(&["policies"]).iter().enumerate() {
        let here = list.index(i);
        check::one_of(text(p, "type"), &["Percent", "Pods"], &here.child("type"), errors);
        for (field, max) in [("value", i64::MAX), ("periodSeconds", 1800)] {
            let n = p.int_at(&[field]).unwrap_or(0);
            if n <= 0 {
                errors.invalid(&here.child(field), n, "must be greater than zero");
            }
            if n > max {
                errors.invalid(&here.child(field), n, format!("must be less than or equal to {max}"));
            }
        }
    }
}
