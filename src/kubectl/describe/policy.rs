//! Namespaces, quotas, limit ranges, disruption budgets, autoscalers.

use apimachinery::{Object, Request, Value, labels, resources};
use base::Sort as _;

use super::{Writer, rfc1123, show};
use crate::builder::Info;
use crate::ctx::{Ctx, Res};
use crate::printers::{go, tabwriter};

pub(super) fn namespace(ctx: &mut Ctx, info: &Info, mut w: Writer) -> Res<String> {
    let ns = &info.object;
    let quotas = ctx.list(Request::list(resources::resourcequotas(), ns.name()))?.items;
    let limits = ctx.list(Request::list(resources::limitranges(), ns.name()))?.items;
    w.field(0, "Name", ns.name());
    w.labels(ns);
    w.annotations(ns);
    w.field(0, "Status", ns.str_at(&["status", "phase"]).unwrap_or(""));
    let conditions = ns.list_at(&["status", "conditions"]);
    if !conditions.is_empty() {
        w.line(0, "Conditions:");
        w.line(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
        w.line(1, "----\t------\t------------------\t------\t-------");
        for c in conditions {
            let text = |f: &str| c.str_at(&[f]).unwrap_or("");
            let time = rfc1123(c.str_at(&["lastTransitionTime"]));
            w.line(1, format!("{}\t{}\t{time}\t{}\t{}", text("type"), text("status"), text("reason"), text("message")));
        }
    }
    w.line(0, "");
    match quotas.is_empty() {
        true => w.line(0, "No resource quota."),
        false => {
            w.line(0, "Resource Quotas");
            for quota in &quotas {
                w.line(1, format!("Name:\t{}", quota.name()));
                w.line(1, "Resource\tUsed\tHard");
                w.line(1, "--------\t---\t---");
                quota_rows(quota, 1, &mut w);
            }
        }
    }
    w.line(0, "");
    match limits.is_empty() {
        true => w.line(0, "No LimitRange resource."),
        false => {
            w.line(0, "Resource Limits");
            w.line(0, " Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
            w.line(0, " ----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
            limits.iter().for_each(|range| limit_rows(range, " ", &mut w));
        }
    }
    Ok(tabwriter::description(&w.out))
}

fn quota_rows(quota: &Object, level: usize, w: &mut Writer) {
    for (name, hard) in quota.map_at(&["status", "hard"]).into_iter().flat_map(|m| m.iter()) {
        let used = quota.at(&["status", "used", name]).map_or("0".into(), go::sprint);
        w.line(level, format!("{name}\t{used}\t{}", go::sprint(hard)));
    }
}

pub(super) fn quota(quota: &Object, w: &mut Writer) {
    w.head(quota);
    let mut scopes: Vec<&str> = quota.list_at(&["spec", "scopes"]).iter().filter_map(Value::as_str).collect();
    scopes.order();
    if !scopes.is_empty() {
        w.field(0, "Scopes", scopes.join(", "));
        for scope in scopes {
            let help = match scope {
                "Terminating" => {
                    "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."
                }
                "NotTerminating" => {
                    "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."
                }
                "BestEffort" => {
                    "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."
                }
                "NotBestEffort" => {
                    "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."
                }
                _ => continue,
            };
            w.line(0, format!(" * {help}"));
        }
    }
    w.line(0, "Resource\tUsed\tHard");
    w.line(0, "--------\t----\t----");
    quota_rows(quota, 0, w);
}

pub(super) fn limit_range(range: &Object, w: &mut Writer) {
    w.head(range);
    w.line(0, "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
    w.line(0, "----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    limit_rows(range, "", w);
}

fn limit_rows(range: &Object, prefix: &str, w: &mut Writer) {
    const FIELDS: [&str; 5] = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
    for item in range.list_at(&["spec", "limits"]) {
        let mut names: Vec<&str> =
            FIELDS.iter().flat_map(|f| item.map_at(&[f]).into_iter().flat_map(|m| m.keys().map(|k| &**k))).collect();
        names.order();
        names.dedup();
        for name in names {
            let cells: Vec<String> = FIELDS.iter().map(|f| item.at(&[f, name]).map_or("-".into(), go::sprint)).collect();
            w.line(0, format!("{prefix}{}\t{name}\t{}", item.str_at(&["type"]).unwrap_or(""), cells.join("\t")));
        }
    }
}

pub(super) fn pdb(pdb: &Object, w: &mut Writer) {
    w.head(pdb);
    if let Some(min) = pdb.at(&["spec", "minAvailable"]) {
        w.field(0, "Min available", go::sprint(min));
    } else if let Some(max) = pdb.at(&["spec", "maxUnavailable"]) {
        w.field(0, "Max unavailable", go::sprint(max));
    }
    let selector = pdb.at(&["spec", "selector"]);
    w.field(0, "Selector", if selector.is_some() { labels::format_label_selector(selector) } else { "<unset>".into() });
    w.line(0, "Status:");
    for (name, field) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        w.field(2, name, pdb.int_at(&["status", field]).unwrap_or(0).to_string());
    }
}

/// One metric: what it measures, and `current / target`.
fn metric(spec: &Value, current: Option<&Value>) -> (String, String) {
    let unknown = || "<unknown>".to_string();
    let kind = spec.str_at(&["type"]).unwrap_or("");
    let (source, what) = match kind {
        "Resource" => ("resource", format!("resource {} on pods", show(spec.at(&["resource", "name"])))),
        "ContainerResource" => (
            "containerResource",
            format!(
                "resource {} of container {:?} on pods",
                show(spec.at(&["containerResource", "name"])),
                show(spec.at(&["containerResource", "container"]))
            ),
        ),
        "Pods" => ("pods", format!("{:?} on pods", show(spec.at(&["pods", "metric", "name"])))),
        "External" => ("external", format!("{:?} (target value)", show(spec.at(&["external", "metric", "name"])))),
        "Object" => (
            "object",
            format!(
                "{:?} on {}/{} (target value)",
                show(spec.at(&["object", "metric", "name"])),
                show(spec.at(&["object", "describedObject", "kind"])),
                show(spec.at(&["object", "describedObject", "name"]))
            ),
        ),
        other => return (format!("<unknown metric type {other:?}>"), String::new()),
    };
    let target = |f: &str| spec.at(&[source, "target", f]).map(go::sprint);
    let now = |f: &str| current.and_then(|c| c.at(&[source, "current", f])).map(go::sprint);
    if let Some(value) = target("averageValue") {
        return (what, format!("{} / {value}", now("averageValue").unwrap_or_else(unknown)));
    }
    if let Some(value) = target("value") {
        return (what, format!("{} / {value}", now("value").unwrap_or_else(unknown)));
    }
    let percent = target("averageUtilization").map_or("<auto>".into(), |n| format!("{n}%"));
    let have = now("averageUtilization").map_or_else(unknown, |n| format!("{n}% ({})", now("averageValue").unwrap_or_default()));
    (format!("{what}  (as a percentage of request)"), format!("{have} / {percent}"))
}

pub(super) fn hpa(hpa: &Object, w: &mut Writer) {
    w.head(hpa);
    w.labels(hpa);
    w.annotations(hpa);
    w.field(0, "CreationTimestamp", rfc1123(hpa.str_at(&["metadata", "creationTimestamp"])));
    let target = |f: &str| hpa.str_at(&["spec", "scaleTargetRef", f]).unwrap_or("");
    w.field(0, "Reference", format!("{}/{}", target("kind"), target("name")));
    w.field(0, "Metrics", "( current / target )");
    let current = hpa.list_at(&["status", "currentMetrics"]);
    for (i, spec) in hpa.list_at(&["spec", "metrics"]).iter().enumerate() {
        let (what, text) = metric(spec, current.get(i));
        w.field(1, &what, text);
    }
    w.field(0, "Min replicas", hpa.int_at(&["spec", "minReplicas"]).map_or("<unset>".into(), |n| n.to_string()));
    w.field(0, "Max replicas", hpa.int_at(&["spec", "maxReplicas"]).unwrap_or(0).to_string());
    if let Some(behavior) = hpa.at(&["spec", "behavior"]) {
        w.line(0, "Behavior:");
        for (name, field) in [("Scale Up", "scaleUp"), ("Scale Down", "scaleDown")] {
            direction(name, behavior.get(field), w);
        }
    }
    let status = |f: &str| hpa.int_at(&["status", f]).unwrap_or(0);
    w.field(
        0,
        &format!("{} pods", target("kind")),
        format!("{} current / {} desired", status("currentReplicas"), status("desiredReplicas")),
    );
    let conditions = hpa.list_at(&["status", "conditions"]);
    if !conditions.is_empty() {
        w.line(0, "Conditions:");
        w.line(1, "Type\tStatus\tReason\tMessage");
        w.line(1, "----\t------\t------\t-------");
        for c in conditions {
            let text = |f: &str| c.str_at(&[f]).unwrap_or("");
            w.line(1, format!("{}\t{}\t{}\t{}", text("type"), text("status"), text("reason"), text("message")));
        }
    }
}

fn direction(name: &str, rules: Option<&Value>, w: &mut Writer) {
    let Some(rules) = rules else { return };
    w.line(1, format!("{name}:"));
    if let Some(window) = rules.int_at(&["stabilizationWindowSeconds"]) {
        w.line(2, format!("Stabilization Window: {window} seconds"));
    }
    let policies = rules.list_at(&["policies"]);
    if policies.is_empty() {
        return;
    }
    w.line(2, format!("Select Policy: {}", rules.str_at(&["selectPolicy"]).unwrap_or("Max")));
    w.line(2, "Policies:");
    for p in policies {
        w.line(
            3,
            format!(
                "- Type: {}\tValue: {}\tPeriod: {} seconds",
                show(p.get("type")),
                show(p.get("value")),
                show(p.get("periodSeconds"))
            ),
        );
    }
}
