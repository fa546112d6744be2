//! Rows of workloads: what is wanted, what is there; wide: containers, images, selector.

use apimachinery::labels::Selector;
use apimachinery::{Value, labels};

use super::{Row, duration};
use crate::check::{some, text};

/// Rows of the apps, batch, autoscaling and policy groups, and of replication controllers and pod templates.
pub fn row(resource: &str, r: &Row) -> Option<Vec<Value>> {
    let status = |f: &str| Value::from(r.int(&["status", f]));
    let spec = |f: &str| Value::from(r.int(&["spec", f]));
    let template = &["spec", "template"][..];
    Some(match resource {
        "deployments" => {
            let ready = format!("{}/{}", r.int(&["status", "readyReplicas"]), r.int(&["spec", "replicas"]));
            // Upstream prints these two as numbers in columns of strings.
            let mut cells = vec![r.name(), ready.into(), status("updatedReplicas"), status("availableReplicas"), r.age()];
            wide(r, template, &mut cells);
            cells.push(selector(r).into());
            cells
        }
        "replicasets" | "replicationcontrollers" => {
            let mut cells = vec![r.name(), spec("replicas"), status("replicas"), status("readyReplicas"), r.age()];
            wide(r, template, &mut cells);
            cells.push(if resource == "replicasets" { selector(r) } else { plain(r.obj.at(&["spec", "selector"])) }.into());
            cells
        }
        "daemonsets" => {
            let mut cells = vec![r.name()];
            let counts =
                ["desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable"];
            cells.extend(counts.map(status));
            cells.push(plain(r.obj.at(&["spec", "template", "spec", "nodeSelector"])).into());
            cells.push(r.age());
            wide(r, template, &mut cells);
            cells.push(selector(r).into());
            cells
        }
        "statefulsets" => {
            let ready = format!("{}/{}", r.int(&["status", "readyReplicas"]), r.int(&["spec", "replicas"]));
            let mut cells = vec![r.name(), ready.into(), r.age()];
            wide(r, template, &mut cells);
            cells
        }
        "controllerrevisions" => vec![r.name(), controller(r).into(), r.int(&["revision"]).to_string().into(), r.age()],
        "podtemplates" => {
            let mut cells = vec![r.name()];
            wide(r, &["template"], &mut cells);
            cells.push(plain(r.obj.at(&["template", "metadata", "labels"])).into());
            cells
        }
        "jobs" => job(r),
        "cronjobs" => cron_job(r),
        "horizontalpodautoscalers" => autoscaler(r),
        "poddisruptionbudgets" => {
            let bound = |f: &str| Value::from(r.obj.at(&["spec", f]).map_or("N/A".into(), int_or_text));
            vec![r.name(), bound("minAvailable"), bound("maxUnavailable"), status("disruptionsAllowed"), r.age()]
        }
        _ => return None,
    })
}

fn int_or_text(v: &Value) -> String {
    v.as_str().map_or_else(|| v.as_i64().unwrap_or(0).to_string(), str::to_string)
}

/// Containers and images of a template.
fn wide(r: &Row, template: &[&str], cells: &mut Vec<Value>) {
    let containers = r.obj.at(template).map_or(&[][..], |t| t.list_at(&["spec", "containers"]));
    for field in ["name", "image"] {
        cells.push(containers.iter().map(|c| text(c, field)).collect::<Vec<_>>().join(",").into());
    }
}

fn selector(r: &Row) -> String {
    label_selector(r.obj.at(&["spec", "selector"]))
}

/// A label selector, or `<none>` if there is nothing to print.
pub fn label_selector(selector: Option<&Value>) -> String {
    let text = labels::format_label_selector(selector);
    if text.is_empty() { "<none>".into() } else { text }
}

/// `a=b,c=d`, or `<none>`.
pub fn plain(map: Option<&Value>) -> String {
    match map.and_then(Value::as_map).filter(|m| !m.is_empty()) {
        Some(m) => Selector::from_set(m).to_string(),
        None => "<none>".into(),
    }
}

fn controller(r: &Row) -> String {
    let Some(owner) = r.obj.controller_ref() else { return "<none>".into() };
    let api = text(owner, "apiVersion");
    let kind = text(owner, "kind").to_lowercase();
    match api.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", text(owner, "name")),
        None => format!("{kind}/{}", text(owner, "name")),
    }
}

fn job(r: &Row) -> Vec<Value> {
    let spec = r.obj.get("spec").unwrap_or(&Value::Null);
    let succeeded = r.int(&["status", "succeeded"]);
    let completions = match (some(spec, "completions").and_then(Value::as_i64), spec.int_at(&["parallelism"]).unwrap_or(0)) {
        (Some(n), _) => format!("{succeeded}/{n}"),
        (None, p) if p > 1 => format!("{succeeded}/1 of {p}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let took = match (r.obj.at(&["status", "startTime"]), r.obj.at(&["status", "completionTime"])) {
        (None, _) => String::new(),
        (start, None) => duration::since(start, r.now),
        (Some(start), Some(end)) => {
            let t = |v: &Value| v.as_str().and_then(base::Time::parse).unwrap_or_default();
            duration::human_duration(t(end) - t(start))
        }
    };
    let mut cells = vec![r.name(), job_status(r).into(), completions.into(), took.into(), r.age()];
    wide(r, &["spec", "template"], &mut cells);
    cells.push(selector(r).into());
    cells
}

fn job_status(r: &Row) -> &'static str {
    let is = |kind: &str| r.obj.condition_is_true(kind);
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if r.obj.is_being_deleted() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn cron_job(r: &Row) -> Vec<Value> {
    let last = match r.obj.at(&["status", "lastScheduleTime"]) {
        Some(t) => duration::since(Some(t), r.now),
        None => "<none>".into(),
    };
    let suspend = r.obj.bool_at(&["spec", "suspend"]) == Some(true);
    let mut cells = vec![
        r.name(),
        r.text(&["spec", "schedule"], ""),
        r.text(&["spec", "timeZone"], "<none>"),
        if suspend { "True" } else { "False" }.into(),
        (r.obj.list_at(&["status", "active"]).len() as i64).into(),
        last.into(),
        r.age(),
    ];
    wide(r, &["spec", "jobTemplate", "spec", "template"], &mut cells);
    cells.push(label_selector(r.obj.at(&["spec", "jobTemplate", "spec", "selector"])).into());
    cells
}

fn autoscaler(r: &Row) -> Vec<Value> {
    let spec = r.obj.get("spec").unwrap_or(&Value::Null);
    let reference = format!(
        "{}/{}",
        spec.str_at(&["scaleTargetRef", "kind"]).unwrap_or(""),
        spec.str_at(&["scaleTargetRef", "name"]).unwrap_or("")
    );
    let min = some(spec, "minReplicas").and_then(Value::as_i64).map_or("<unset>".into(), |n| n.to_string());
    vec![
        r.name(),
        reference.into(),
        targets(r, spec).into(),
        min.into(),
        r.int(&["spec", "maxReplicas"]).into(),
        r.int(&["status", "currentReplicas"]).into(),
        r.age(),
    ]
}

/// `cpu: 10%/50%`, at most two metrics. Models `formatHPAMetrics`.
fn targets(r: &Row, spec: &Value) -> String {
    let metrics = spec.list_at(&["metrics"]);
    if metrics.is_empty() {
        return "<none>".into();
    }
    let current = r.obj.list_at(&["status", "currentMetrics"]);
    let one = |(i, m): (usize, &Value)| {
        let kind = text(m, "type");
        let field = kind[..1.min(kind.len())].to_lowercase() + kind.get(1..).unwrap_or("");
        let source = m.get(&field).unwrap_or(&Value::Null);
        let now = current.get(i).and_then(|c| c.at(&[&field, "current"])).unwrap_or(&Value::Null);
        let prefix = match kind {
            "Resource" | "ContainerResource" => format!("{}: ", text(source, "name")),
            _ => String::new(),
        };
        let target = source.get("target").unwrap_or(&Value::Null);
        for (field, suffix) in [("averageUtilization", "%"), ("averageValue", ""), ("value", "")] {
            let Some(want) = some(target, field) else { continue };
            let have = some(now, field).map_or("<unknown>".into(), |v| int_or_text(v) + suffix);
            let per_pod = if field == "averageValue" && kind != "Resource" && kind != "Pods" { " (avg)" } else { "" };
            return format!("{prefix}{have}/{}{suffix}{per_pod}", int_or_text(want));
        }
        "<unknown type>".into()
    };
    let shown: Vec<String> = metrics.iter().enumerate().take(2).map(one).collect();
    match metrics.len() {
        n if n > 2 => format!("{} + {} more...", shown.join(", "), n - 2),
        _ => shown.join(", "),
    }
}
