//! Containers and pod templates, as pods, workloads and `rollout history` show them.

use apimachinery::{Object, Value};
use base::Sort as _;

use super::{Writer, annotations, join, or_none, rfc1123, show, title, volumes};
use crate::printers::go;

/// A pod template with bare tabs.
pub(crate) fn text(template: &Value, _level: usize) -> String {
    let mut w = Writer { out: String::new(), now: base::Time::EPOCH };
    template_lines(template, &mut w);
    w.out
}

pub(super) fn template_lines(template: &Value, w: &mut Writer) {
    w.line(0, "Pod Template:");
    w.map("  ", "Labels", template.at(&["metadata", "labels"]), "=");
    if template.map_at(&["metadata", "annotations"]).is_some_and(|a| !a.is_empty()) {
        annotations(w, "  ", template.at(&["metadata", "annotations"]));
    }
    if let Some(account) = template.str_at(&["spec", "serviceAccountName"]).filter(|a| !a.is_empty()) {
        w.field(1, "Service Account", account);
    }
    if !template.list_at(&["spec", "initContainers"]).is_empty() {
        containers("Init Containers", template.list_at(&["spec", "initContainers"]), &[], None, "  ", w);
    }
    containers("Containers", template.list_at(&["spec", "containers"]), &[], None, "  ", w);
    volumes::volumes(template.list_at(&["spec", "volumes"]), "  ", w);
    spread(template.list_at(&["spec", "topologySpreadConstraints"]), "  ", w);
    if let Some(class) = template.str_at(&["spec", "priorityClassName"]).filter(|c| !c.is_empty()) {
        w.field(1, "Priority Class Name", class);
    }
    w.map("  ", "Node-Selectors", template.at(&["spec", "nodeSelector"]), "=");
    tolerations("  ", template.list_at(&["spec", "tolerations"]), w);
}

pub(super) fn containers(label: &str, list: &[Value], statuses: &[Value], pod: Option<&Object>, space: &str, w: &mut Writer) {
    let none = if list.is_empty() { " <none>" } else { "" };
    w.out.push_str(&format!("{space}{label}:{none}\n"));
    for container in list {
        let name = container.str_at(&["name"]).unwrap_or("");
        let status = statuses.iter().find(|s| s.str_at(&["name"]) == Some(name));
        w.line(1, format!("{}{name}:", if space.is_empty() { "" } else { " " }));
        basics(container, status, w);
        command("Command", container, "command", w);
        command("Args", container, "args", w);
        if let Some(status) = status {
            state("State", status.get("state"), w);
            if status.at(&["lastState", "terminated"]).is_some() {
                state("Last State", status.get("lastState"), w);
            }
            w.field(2, "Ready", title(status.bool_at(&["ready"]).unwrap_or(false)));
            w.field(2, "Restart Count", status.int_at(&["restartCount"]).unwrap_or(0).to_string());
        }
        resources(container.get("resources"), 2, w);
        for (label, field) in [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")] {
            if let Some(probe) = container.get(field) {
                w.field(2, label, probe_text(probe));
            }
        }
        env_from(container, w);
        environment(container, pod, w);
        mounts(container, w);
    }
}

fn basics(container: &Value, status: Option<&Value>, w: &mut Writer) {
    if let Some(status) = status {
        w.field(2, "Container ID", status.str_at(&["containerID"]).unwrap_or(""));
    }
    w.field(2, "Image", container.str_at(&["image"]).unwrap_or(""));
    if let Some(status) = status {
        w.field(2, "Image ID", status.str_at(&["imageID"]).unwrap_or(""));
    }
    let port =
        |p: &Value, field: &str| format!("{}/{}", p.int_at(&[field]).unwrap_or(0), p.str_at(&["protocol"]).unwrap_or("TCP"));
    let named = |p: &Value, text: String| match p.str_at(&["name"]).filter(|n| !n.is_empty()) {
        Some(name) => format!("{text} ({name})"),
        None => text,
    };
    let list = container.list_at(&["ports"]);
    for (label, field) in [("Port", "containerPort"), ("Host Port", "hostPort")] {
        let text = list.iter().map(|p| named(p, port(p, field))).collect::<Vec<_>>().join(", ");
        let label = if text.contains(',') { format!("{label}s") } else { label.to_string() };
        w.field(2, &label, or_none(text));
    }
    if let Some(kind) = container.str_at(&["securityContext", "seccompProfile", "type"]) {
        w.field(2, "SeccompProfile", kind);
    }
}

fn command(label: &str, container: &Value, field: &str, w: &mut Writer) {
    let words = container.list_at(&[field]);
    if words.is_empty() {
        return;
    }
    w.line(2, format!("{label}:"));
    for word in words.iter().filter_map(Value::as_str) {
        for line in word.split('\n') {
            w.line(3, line);
        }
    }
}

fn state(label: &str, state: Option<&Value>, w: &mut Writer) {
    let Some(state) = state else { return w.field(2, label, "Waiting") };
    if let Some(running) = state.get("running") {
        w.field(2, label, "Running");
        w.field(3, "Started", rfc1123(running.str_at(&["startedAt"])));
    } else if let Some(ended) = state.get("terminated") {
        w.field(2, label, "Terminated");
        for (name, field) in [("Reason", "reason"), ("Message", "message")] {
            if let Some(text) = ended.str_at(&[field]).filter(|t| !t.is_empty()) {
                w.field(3, name, text);
            }
        }
        w.field(3, "Exit Code", ended.int_at(&["exitCode"]).unwrap_or(0).to_string());
        if let Some(signal) = ended.int_at(&["signal"]).filter(|s| *s > 0) {
            w.field(3, "Signal", signal.to_string());
        }
        w.field(3, "Started", rfc1123(ended.str_at(&["startedAt"])));
        w.field(3, "Finished", rfc1123(ended.str_at(&["finishedAt"])));
    } else {
        w.field(2, label, "Waiting");
        if let Some(reason) = state.str_at(&["waiting", "reason"]).filter(|r| !r.is_empty()) {
            w.field(3, "Reason", reason);
        }
    }
}

pub(super) fn resources(resources: Option<&Value>, level: usize, w: &mut Writer) {
    for (label, field) in [("Limits", "limits"), ("Requests", "requests")] {
        let list = resources.and_then(|r| r.map_at(&[field])).filter(|m| !m.is_empty());
        let Some(list) = list else { continue };
        w.line(level, format!("{label}:"));
        for (k, v) in list.iter() {
            w.field(level + 1, k, go::sprint(v));
        }
    }
}

fn probe_text(probe: &Value) -> String {
    let n = |field: &str| probe.int_at(&[field]).unwrap_or(0);
    let attributes = format!(
        "delay={}s timeout={}s period={}s successThreshold={} failureThreshold={}",
        n("initialDelaySeconds"),
        n("timeoutSeconds"),
        n("periodSeconds"),
        n("successThreshold"),
        n("failureThreshold")
    );
    let how = if let Some(exec) = probe.get("exec") {
        format!("exec [{}]", join(exec.list_at(&["command"]), " "))
    } else if let Some(http) = probe.get("httpGet") {
        let scheme = http.str_at(&["scheme"]).unwrap_or("HTTP").to_lowercase();
        let path = http.str_at(&["path"]).unwrap_or("");
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        format!("http-get {scheme}://{}:{}{slash}{path}", http.str_at(&["host"]).unwrap_or(""), show(http.get("port")))
    } else if let Some(tcp) = probe.get("tcpSocket") {
        format!("tcp-socket {}:{}", tcp.str_at(&["host"]).unwrap_or(""), show(tcp.get("port")))
    } else if let Some(grpc) = probe.get("grpc") {
        format!("grpc <pod>:{} {}", show(grpc.get("port")), grpc.str_at(&["service"]).unwrap_or(""))
    } else {
        "unknown".into()
    };
    format!("{how} {attributes}")
}

fn env_from(container: &Value, w: &mut Writer) {
    let list = container.list_at(&["envFrom"]);
    if list.is_empty() {
        return;
    }
    w.line(2, "Environment Variables from:");
    for source in list {
        let (kind, reference) = match (source.get("configMapRef"), source.get("secretRef")) {
            (Some(r), _) => ("ConfigMap", r),
            (_, Some(r)) => ("Secret", r),
            _ => continue,
        };
        let name = reference.str_at(&["name"]).unwrap_or("");
        let optional = reference.bool_at(&["optional"]).unwrap_or(false);
        match source.str_at(&["prefix"]).filter(|p| !p.is_empty()) {
            Some(prefix) => w.line(3, format!("{name}\t{kind} with prefix '{prefix}'\tOptional: {optional}")),
            None => w.line(3, format!("{name}\t{kind}\tOptional: {optional}")),
        }
    }
}

fn environment(container: &Value, pod: Option<&Object>, w: &mut Writer) {
    let env = container.list_at(&["env"]);
    w.line(2, if env.is_empty() { "Environment:\t<none>" } else { "Environment:" });
    for variable in env {
        let name = variable.str_at(&["name"]).unwrap_or("");
        let from = variable.get("valueFrom");
        let key_ref = |kind: &str| {
            let r = from?.get(kind)?;
            Some((r.str_at(&["key"]).unwrap_or(""), r.str_at(&["name"]).unwrap_or(""), r.bool_at(&["optional"]).unwrap_or(false)))
        };
        if let Some(field) = from.and_then(|f| f.get("fieldRef")) {
            let path = field.str_at(&["fieldPath"]).unwrap_or("");
            let value = pod.map(|p| field_value(p, path)).unwrap_or_default();
            w.line(3, format!("{name}:\t{value} ({}:{path})", field.str_at(&["apiVersion"]).unwrap_or("v1")));
        } else if let Some(field) = from.and_then(|f| f.get("resourceFieldRef")) {
            let resource = field.str_at(&["resource"]).unwrap_or("");
            let (kind, what) = resource.split_once('.').unwrap_or(("", ""));
            let mut value = show(container.at(&["resources", kind, what]));
            if value.is_empty() {
                value = if kind == "limits" { "node allocatable".into() } else { "0".into() };
            }
            w.line(3, format!("{name}:\t{value} ({resource})"));
        } else if let Some((key, source, optional)) = key_ref("secretKeyRef") {
            w.line(3, format!("{name}:\t<set to the key '{key}' in secret '{source}'>\tOptional: {optional}"));
        } else if let Some((key, source, optional)) = key_ref("configMapKeyRef") {
            w.line(3, format!("{name}:\t<set to the key '{key}' of config map '{source}'>\tOptional: {optional}"));
        } else {
            let value = variable.str_at(&["value"]).unwrap_or("");
            for (i, line) in value.split('\n').enumerate() {
                w.line(3, if i == 0 { format!("{name}:\t{line}") } else { format!("\t{line}") });
            }
        }
    }
}

/// `metadata.name`, `metadata.labels['x']`, `status.podIP` …
fn field_value(pod: &Object, path: &str) -> String {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let parts: Vec<&str> = map.split('.').chain([key]).collect();
        return pod.str_at(&parts).unwrap_or("").to_string();
    }
    let parts: Vec<&str> = path.split('.').collect();
    show(pod.at(&parts))
}

fn mounts(container: &Value, w: &mut Writer) {
    let mut list: Vec<&Value> = container.list_at(&["volumeMounts"]).iter().collect();
    list.order_by_key(|m| m.str_at(&["mountPath"]).unwrap_or("").to_string());
    w.line(2, if list.is_empty() { "Mounts:\t<none>" } else { "Mounts:" });
    for mount in list {
        let mut flags = vec![if mount.bool_at(&["readOnly"]) == Some(true) { "ro".to_string() } else { "rw".to_string() }];
        if let Some(path) = mount.str_at(&["subPath"]).filter(|p| !p.is_empty()) {
            flags.push(format!("path={}", go::quote(path)));
        }
        w.line(
            3,
            format!(
                "{} from {} ({})",
                mount.str_at(&["mountPath"]).unwrap_or(""),
                mount.str_at(&["name"]).unwrap_or(""),
                flags.join(",")
            ),
        );
    }
    let devices = container.list_at(&["volumeDevices"]);
    if !devices.is_empty() {
        w.line(2, "Devices:");
        for device in devices {
            w.line(
                3,
                format!("{} from {}", device.str_at(&["devicePath"]).unwrap_or(""), device.str_at(&["name"]).unwrap_or("")),
            );
        }
    }
}

pub(super) fn tolerations(space: &str, list: &[Value], w: &mut Writer) {
    if list.is_empty() {
        return w.out.push_str(&format!("{space}Tolerations:\t<none>\n"));
    }
    let mut sorted: Vec<&Value> = list.iter().collect();
    sorted.order_by_key(|t| t.str_at(&["key"]).unwrap_or("").to_string());
    for (i, toleration) in sorted.into_iter().enumerate() {
        let text = |f: &str| toleration.str_at(&[f]).unwrap_or("");
        let mut line = if i == 0 { format!("{space}Tolerations:\t") } else { format!("{space}\t") };
        line.push_str(text("key"));
        if !text("value").is_empty() {
            line.push_str(&format!("={}", text("value")));
        }
        if !text("effect").is_empty() {
            line.push_str(&format!(":{}", text("effect")));
        }
        if text("operator") == "Exists" && text("value").is_empty() {
            line.push_str(if text("key").is_empty() && text("effect").is_empty() { "op=Exists" } else { " op=Exists" });
        }
        if let Some(seconds) = toleration.int_at(&["tolerationSeconds"]) {
            line.push_str(&format!(" for {seconds}s"));
        }
        w.line(0, line);
    }
}

pub(super) fn spread(list: &[Value], space: &str, w: &mut Writer) {
    if list.is_empty() {
        return;
    }
    for (i, c) in list.iter().enumerate() {
        let head = if i == 0 { format!("{space}Topology Spread Constraints:\t") } else { format!("{space}\t") };
        let mut line = format!(
            "{head}{}:{} when max skew {} is exceeded",
            c.str_at(&["topologyKey"]).unwrap_or(""),
            c.str_at(&["whenUnsatisfiable"]).unwrap_or(""),
            c.int_at(&["maxSkew"]).unwrap_or(0)
        );
        if c.get("labelSelector").is_some() {
            line.push_str(&format!(" for selector {}", apimachinery::labels::format_label_selector(c.get("labelSelector"))));
        }
        w.line(0, line);
    }
}
