//! The pods' row: READY, STATUS and RESTARTS are read off the container statuses. Models `printPod`.

use apimachinery::Value;
use base::Time;

use super::{Row, human_duration};
use crate::check::{some, text};

/// Name, ready, status, restarts, age; wide: IP, node, nominated node, readiness gates.
pub fn row(r: &Row) -> Vec<Value> {
    let spec = r.obj.get("spec").unwrap_or(&Value::Null);
    let status = r.obj.get("status").unwrap_or(&Value::Null);
    let mut sum = Summary { reason: base_reason(status), ..Summary::default() };
    sum.total = spec.list_at(&["containers"]).len();
    let initializing = sum.init_containers(spec, status);
    if !initializing || init_condition_true(status) {
        sum.containers(status);
    }
    if r.obj.is_being_deleted() {
        let lost = text(status, "reason") == "NodeLost";
        let over = matches!(text(status, "phase"), "Succeeded" | "Failed");
        if lost {
            sum.reason = "Unknown".into();
        } else if !over {
            sum.reason = "Terminating".into();
        }
    }
    let ip = status.list_at(&["podIPs"]).first().map_or("", |ip| text(ip, "ip"));
    let or_none = |s: &str| Value::from(if s.is_empty() { "<none>" } else { s });
    vec![
        r.name(),
        format!("{}/{}", sum.ready, sum.total).into(),
        sum.reason.clone().into(),
        sum.restarts_text(r.now).into(),
        r.age(),
        or_none(ip),
        or_none(text(spec, "nodeName")),
        or_none(text(status, "nominatedNodeName")),
        readiness_gates(spec, status).into(),
    ]
}

#[derive(Default)]
struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Time>,
    /// Of sidecars: shown even when the other init containers are done.
    sidecar_restarts: i64,
    last_sidecar_restart: Option<Time>,
}

/// The phase, or the status' own reason; gated pods say so.
fn base_reason(status: &Value) -> String {
    let mut reason = match text(status, "reason") {
        "" => text(status, "phase").to_string(),
        reason => reason.to_string(),
    };
    for c in status.list_at(&["conditions"]) {
        if text(c, "type") == "PodScheduled" && text(c, "reason") == "SchedulingGated" {
            reason = "SchedulingGated".into();
        }
    }
    reason
}

fn init_condition_true(status: &Value) -> bool {
    status.list_at(&["conditions"]).iter().any(|c| text(c, "type") == "Initialized" && text(c, "status") == "True")
}

fn finished(status: &Value) -> Option<Time> {
    let terminated = status.at(&["lastState", "terminated"])?;
    Time::parse(text(terminated, "finishedAt"))
}

/// `ExitCode:1`, `Signal:9` or the reason.
fn terminated_reason(terminated: &Value) -> String {
    match (text(terminated, "reason"), terminated.int_at(&["signal"]).unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", terminated.int_at(&["exitCode"]).unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_string(),
    }
}

impl Summary {
    /// Whether the pod is still initializing; then the reason says where.
    fn init_containers(&mut self, spec: &Value, status: &Value) -> bool {
        let specs = spec.list_at(&["initContainers"]);
        let is_sidecar = |name: &str| specs.iter().any(|c| text(c, "name") == name && text(c, "restartPolicy") == "Always");
        self.total += specs.iter().filter(|c| text(c, "restartPolicy") == "Always").count();
        for (i, c) in status.list_at(&["initContainerStatuses"]).iter().enumerate() {
            let sidecar = is_sidecar(text(c, "name"));
            self.restarts += c.int_at(&["restartCount"]).unwrap_or(0);
            self.last_restart = self.last_restart.max(finished(c));
            if sidecar {
                self.sidecar_restarts += c.int_at(&["restartCount"]).unwrap_or(0);
                self.last_sidecar_restart = self.last_sidecar_restart.max(finished(c));
            }
            let terminated = c.at(&["state", "terminated"]).filter(|t| !t.is_null());
            if terminated.is_some_and(|t| t.int_at(&["exitCode"]).unwrap_or(0) == 0) {
                continue;
            }
            if sidecar && c.bool_at(&["started"]) == Some(true) {
                if c.bool_at(&["ready"]) == Some(true) {
                    self.ready += 1;
                }
                continue;
            }
            let waiting = c.str_at(&["state", "waiting", "reason"]).unwrap_or("");
            self.reason = match terminated {
                Some(t) => format!("Init:{}", terminated_reason(t)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{i}/{}", specs.len()),
            };
            return true;
        }
        false
    }

    fn containers(&mut self, status: &Value) {
        self.restarts = self.sidecar_restarts;
        self.last_restart = self.last_sidecar_restart;
        let mut running = false;
        for c in status.list_at(&["containerStatuses"]).iter().rev() {
            self.restarts += c.int_at(&["restartCount"]).unwrap_or(0);
            self.last_restart = self.last_restart.max(finished(c));
            let waiting = c.str_at(&["state", "waiting", "reason"]).unwrap_or("");
            if !waiting.is_empty() {
                self.reason = waiting.into();
            } else if let Some(t) = c.at(&["state", "terminated"]).filter(|t| !t.is_null()) {
                self.reason = terminated_reason(t);
            } else if c.bool_at(&["ready"]) == Some(true) && some(c.get("state").unwrap_or(&Value::Null), "running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        // A pod is not Completed while a container of it still runs.
        if self.reason == "Completed" && running {
            let ready = status.list_at(&["conditions"]).iter().any(|c| text(c, "type") == "Ready" && text(c, "status") == "True");
            self.reason = if ready { "Running" } else { "NotReady" }.into();
        }
    }

    fn restarts_text(&self, now: Time) -> String {
        match self.last_restart {
            Some(t) if self.restarts > 0 => format!("{} ({} ago)", self.restarts, human_duration(now - t)),
            _ => self.restarts.to_string(),
        }
    }
}

fn readiness_gates(spec: &Value, status: &Value) -> String {
    let gates = spec.list_at(&["readinessGates"]);
    if gates.is_empty() {
        return "<none>".into();
    }
    let conditions = status.list_at(&["conditions"]);
    let passed =
        |g: &&Value| conditions.iter().any(|c| text(c, "type") == text(g, "conditionType") && text(c, "status") == "True");
    format!("{}/{}", gates.iter().filter(passed).count(), gates.len())
}
