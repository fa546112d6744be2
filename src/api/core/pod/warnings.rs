//! Warnings about pods that are accepted. Models `pkg/api/pod/warnings.go`.

use apimachinery::{Object, Value};

use crate::check::{some, text};

/// Warnings of a pod.
pub fn pod(new: &Object, old: Option<&Object>) -> Vec<String> {
    let mut out = Vec::new();
    let spec = new.get("spec").unwrap_or(&Value::Null);
    if old.is_none_or(|o| o.get("spec") != new.get("spec")) {
        spec_warnings(spec, "spec", &mut out);
    }
    for (key, _) in new.annotations().into_iter().flatten() {
        let advice = if **key == *"seccomp.security.alpha.kubernetes.io/pod"
            || key.starts_with("container.seccomp.security.alpha.kubernetes.io/")
        {
            "non-functional in v1.27+; use the \"seccompProfile\" field instead"
        } else if **key == *"scheduler.alpha.kubernetes.io/critical-pod" {
            "non-functional in v1.16+; use the \"priorityClassName\" field instead"
        } else {
            continue;
        };
        out.push(format!("metadata.annotations[{key}]: {advice}"));
    }
    out
}

/// Warnings of a workload's template, at `spec.template`.
pub fn template_warnings(template: Option<&Value>, old: Option<&Value>, path: &str, out: &mut Vec<String>) {
    let Some(spec) = template.and_then(|t| t.get("spec")) else { return };
    if old.and_then(|t| t.get("spec")).is_none_or(|o| o != spec) {
        spec_warnings(spec, &format!("{path}.spec"), out);
    }
}

fn spec_warnings(spec: &Value, path: &str, out: &mut Vec<String>) {
    for (i, term) in spec.list_at(&["topologySpreadConstraints"]).iter().enumerate() {
        if some(term, "labelSelector").is_none() {
            out.push(format!(
                "{path}.topologySpreadConstraints[{i}].labelSelector: a null labelSelector results in matching no pod"
            ));
        }
    }
    for (i, secret) in spec.list_at(&["imagePullSecrets"]).iter().enumerate() {
        if text(secret, "name").is_empty() {
            out.push(format!("{path}.imagePullSecrets[{i}].name: invalid empty name \"\""));
        }
    }
    for v in spec.list_at(&["volumes"]) {
        if some(v, "projected").is_some_and(|p| p.list_at(&["sources"]).iter().any(Value::is_empty)) {
            out.push(format!("volume \"{}\" (Projected) has no sources provided", text(v, "name")));
        }
    }
    for list in ["containers", "initContainers"] {
        for (i, c) in spec.list_at(&[list]).iter().enumerate() {
            let here = format!("{path}.{list}[{i}]");
            duplicate_env(c, &here, out);
            ports(c, &here, out);
        }
    }
    if spec.int_at(&["terminationGracePeriodSeconds"]).is_some_and(|n| n < 0) {
        out.push(format!(
            "{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
}

fn duplicate_env(c: &Value, path: &str, out: &mut Vec<String>) {
    let list = c.list_at(&["env"]);
    for (i, var) in list.iter().enumerate() {
        let name = text(var, "name");
        if list[..i].iter().any(|o| text(o, "name") == name) {
            out.push(format!("{path}.env[{i}]: hides previous definition of \"{name}\", which may be dropped when using apply"));
        }
    }
}

fn ports(c: &Value, path: &str, out: &mut Vec<String>) {
    let list = c.list_at(&["ports"]);
    let n = |p: &Value, name: &str| p.int_at(&[name]).unwrap_or(0);
    for (i, port) in list.iter().enumerate() {
        let same = |o: &Value| {
            n(o, "containerPort") == n(port, "containerPort")
                && n(o, "hostPort") == n(port, "hostPort")
                && text(o, "protocol") == text(port, "protocol")
                && text(o, "hostIP") == text(port, "hostIP")
        };
        if let Some(first) = list[..i].iter().position(same) {
            out.push(format!("{path}.ports[{i}]: duplicate port definition with {path}.ports[{first}]"));
        }
        if n(port, "hostPort") == 0 && !text(port, "hostIP").is_empty() {
            out.push(format!(
                "{path}.ports[{i}]: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{}}}",
                text(port, "name"),
                n(port, "containerPort"),
                text(port, "protocol"),
                text(port, "hostIP")
            ));
        }
    }
}
