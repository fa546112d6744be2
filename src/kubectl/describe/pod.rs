//! Pods.

use apimachinery::{Object, Value};

use super::pod_template::{containers, resources, spread, tolerations};
use super::{Writer, controlled_by, rfc1123, since, volumes};

pub(super) fn pod(pod: &Object, w: &mut Writer) {
    w.head(pod);
    if let Some(priority) = pod.int_at(&["spec", "priority"]) {
        w.field(0, "Priority", priority.to_string());
    }
    for (name, field) in [
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    ] {
        if let Some(text) = pod.str_at(&["spec", field]).filter(|t| !t.is_empty()) {
            w.field(0, name, text);
        }
    }
    match pod.str_at(&["spec", "nodeName"]).filter(|n| !n.is_empty()) {
        Some(node) => w.field(0, "Node", format!("{node}/{}", pod.str_at(&["status", "hostIP"]).unwrap_or(""))),
        None => w.field(0, "Node", "<none>"),
    }
    if let Some(start) = pod.str_at(&["status", "startTime"]) {
        w.field(0, "Start Time", rfc1123(Some(start)));
    }
    w.labels(pod);
    w.annotations(pod);
    status(pod, w);
    w.field(0, "IP", pod.str_at(&["status", "podIP"]).unwrap_or(""));
    let ips = pod.list_at(&["status", "podIPs"]);
    w.line(0, if ips.is_empty() { "IPs:\t<none>" } else { "IPs:" });
    for ip in ips {
        w.field(1, "IP", ip.str_at(&["ip"]).unwrap_or(""));
    }
    if let Some(controller) = controlled_by(pod) {
        w.field(0, "Controlled By", controller);
    }
    if let Some(node) = pod.str_at(&["status", "nominatedNodeName"]).filter(|n| !n.is_empty()) {
        w.field(0, "NominatedNodeName", node);
    }
    if let Some(all) = pod.at(&["spec", "resources"]) {
        w.line(0, "Resources:");
        resources(Some(all), 1, w);
    }
    let list = |field: &str| pod.list_at(&["spec", field]);
    let statuses = |field: &str| pod.list_at(&["status", field]);
    if !list("initContainers").is_empty() {
        containers("Init Containers", list("initContainers"), statuses("initContainerStatuses"), Some(pod), "", w);
    }
    containers("Containers", list("containers"), statuses("containerStatuses"), Some(pod), "", w);
    if !list("ephemeralContainers").is_empty() {
        containers("Ephemeral Containers", list("ephemeralContainers"), statuses("ephemeralContainerStatuses"), Some(pod), "", w);
    }
    conditions(pod, w);
    volumes::volumes(list("volumes"), "", w);
    w.field(0, "QoS Class", pod.str_at(&["status", "qosClass"]).unwrap_or("BestEffort"));
    w.map("", "Node-Selectors", pod.at(&["spec", "nodeSelector"]), "=");
    tolerations("", list("tolerations"), w);
    spread(list("topologySpreadConstraints"), "", w);
}

fn status(pod: &Object, w: &mut Writer) {
    let phase = pod.str_at(&["status", "phase"]).unwrap_or("");
    match pod.deletion_timestamp() {
        Some(time) if !matches!(phase, "Failed" | "Succeeded") => {
            w.field(0, "Status", format!("Terminating (lasts {})", since(Some(time), w.now)));
            let grace = pod.int_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
            w.field(0, "Termination Grace Period", format!("{grace}s"));
        }
        _ => w.field(0, "Status", phase),
    }
    for (name, field) in [("Reason", "reason"), ("Message", "message")] {
        if let Some(text) = pod.str_at(&["status", field]).filter(|t| !t.is_empty()) {
            w.field(0, name, text);
        }
    }
    if let Some(kind) = pod.str_at(&["spec", "securityContext", "seccompProfile", "type"]) {
        w.field(0, "SeccompProfile", kind);
    }
}

fn conditions(pod: &Object, w: &mut Writer) {
    let list = pod.list_at(&["status", "conditions"]);
    let text = |c: &Value, f: &str| c.str_at(&[f]).unwrap_or("").to_string();
    let gates = pod.list_at(&["spec", "readinessGates"]);
    if !gates.is_empty() {
        w.line(0, "Readiness Gates:");
        w.line(1, "Type\tStatus");
        for gate in gates {
            let kind = text(gate, "conditionType");
            let status = list.iter().find(|c| text(c, "type") == kind).map_or("<none>".into(), |c| text(c, "status"));
            w.line(1, format!("{kind} \t{status} "));
        }
    }
    if !list.is_empty() {
        w.line(0, "Conditions:");
        w.line(1, "Type\tStatus");
        for c in list {
            w.line(1, format!("{} \t{} ", text(c, "type"), text(c, "status")));
        }
    }
}
