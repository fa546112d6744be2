//! Validation of containers. Models `validateContainers` and below of `pkg/apis/core/validation`.

use apimachinery::Value;
use apimachinery::field::{ErrorList, Path};

use super::{Ctx, env, probe, resources, security};
use crate::check::{self, some, text};

/// `spec.containers`
pub fn containers(list: &[Value], path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    if list.is_empty() {
        errors.required(path, "");
    }
    for (i, c) in list.iter().enumerate() {
        let here = path.index(i);
        common(c, &here, ctx, errors);
        unique_name(list, i, &here, errors);
        restart_policy(c, &here, errors);
        probe::lifecycle(c.get("lifecycle"), &here.child("lifecycle"), ctx, errors);
        probe::probes(c, &here, ctx, errors);
    }
    host_ports(list, path, errors);
}

/// `spec.initContainers`: names are unique among all containers; only sidecars have probes and hooks.
pub fn init_containers(list: &[Value], regular: &[Value], path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    for (i, c) in list.iter().enumerate() {
        let here = path.index(i);
        common(c, &here, ctx, errors);
        let name = text(c, "name");
        if !name.is_empty() && regular.iter().chain(&list[..i]).any(|other| text(other, "name") == name) {
            errors.duplicate(&here.child("name"), name);
        }
        restart_policy(c, &here, errors);
        if text(c, "restartPolicy") == "Always" {
            probe::lifecycle(c.get("lifecycle"), &here.child("lifecycle"), ctx, errors);
            probe::probes(c, &here, ctx, errors);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if some(c, field).is_some() {
                errors.forbidden(&here.child(field), "may not be set for init containers without restartPolicy=Always");
            }
        }
    }
    host_ports(list, path, errors);
}

/// Fields that an ephemeral container may have; the rest is forbidden.
const EPHEMERAL_FIELDS: [&str; 17] = [
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "env",
    "envFrom",
    "volumeMounts",
    "volumeDevices",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
    "targetContainerName",
];

/// `spec.ephemeralContainers`
pub fn ephemeral_containers(list: &[Value], spec: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let regular = || spec.list_at(&["containers"]).iter().chain(spec.list_at(&["initContainers"]));
    for (i, c) in list.iter().enumerate() {
        let here = path.index(i);
        common(c, &here, ctx, errors);
        let name = text(c, "name");
        if regular().chain(&list[..i]).any(|other| text(other, "name") == name) {
            errors.duplicate(&here.child("name"), name);
        }
        let target = text(c, "targetContainerName");
        if !target.is_empty() && !regular().any(|other| text(other, "name") == target) {
            errors.not_found(&here.child("targetContainerName"), target);
        }
        for (k, v) in c.as_map().into_iter().flatten() {
            if !EPHEMERAL_FIELDS.contains(&&**k) && !v.is_empty() {
                errors.forbidden(&here.child(k), "cannot be set for an Ephemeral Container");
            }
        }
        for (j, m) in c.list_at(&["volumeMounts"]).iter().enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !text(m, field).is_empty() {
                    errors
                        .forbidden(&here.child("volumeMounts").index(j).child(field), "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

fn unique_name(list: &[Value], i: usize, here: &Path, errors: &mut ErrorList) {
    let name = text(&list[i], "name");
    if !name.is_empty() && list[..i].iter().any(|other| text(other, "name") == name) {
        errors.duplicate(&here.child("name"), name);
    }
}

fn restart_policy(c: &Value, here: &Path, errors: &mut ErrorList) {
    let Some(policy) = some(c, "restartPolicy") else { return };
    check::one_of(policy.as_str().unwrap_or(""), &["Always", "Never", "OnFailure"], &here.child("restartPolicy"), errors);
    for (i, rule) in c.list_at(&["restartPolicyRules"]).iter().enumerate() {
        let rule_path = here.child("restartPolicyRules");
        let path = rule_path.index(i);
        if !matches!(text(rule, "action"), "Restart" | "RestartAllContainers") {
            errors.not_supported(&path.child("action"), text(rule, "action"), &["Restart", "RestartAllContainers"]);
        }
        if some(rule, "exitCodes").is_none() {
            errors.required(&path.child("exitCodes"), "must be specified");
        }
    }
}

/// What holds for every container.
fn common(c: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    match text(c, "name") {
        "" => errors.required(&path.child("name"), ""),
        name => check::dns1123_label(name).report(errors, &path.child("name"), name),
    }
    match text(c, "image") {
        "" => errors.required(&path.child("image"), ""),
        image if image.trim() != image => {
            errors.invalid(&path.child("image"), image, "must not have leading or trailing whitespace");
        }
        _ => {}
    }
    match text(c, "terminationMessagePolicy") {
        "File" | "FallbackToLogsOnError" => {}
        "" => errors.required(&path.child("terminationMessagePolicy"), ""),
        other => errors.not_supported(&path.child("terminationMessagePolicy"), other, &["FallbackToLogsOnError", "File"]),
    }
    match text(c, "imagePullPolicy") {
        "Always" | "IfNotPresent" | "Never" => {}
        "" => errors.required(&path.child("imagePullPolicy"), ""),
        other => errors.not_supported(&path.child("imagePullPolicy"), other, &["Always", "IfNotPresent", "Never"]),
    }
    ports(c.list_at(&["ports"]), &path.child("ports"), ctx, errors);
    env::env(c.list_at(&["env"]), &path.child("env"), ctx, errors);
    env::env_from(c.list_at(&["envFrom"]), &path.child("envFrom"), errors);
    volume_mounts(c, &path.child("volumeMounts"), ctx, errors);
    volume_devices(c, &path.child("volumeDevices"), ctx, errors);
    if let Some(r) = some(c, "resources") {
        resources::requirements(r, &path.child("resources"), ctx, errors);
    }
    resize_policy(c.list_at(&["resizePolicy"]), &path.child("resizePolicy"), errors);
    if let Some(sc) = some(c, "securityContext") {
        security::container(sc, &path.child("securityContext"), ctx, errors);
    }
}

fn resize_policy(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, p) in list.iter().enumerate() {
        let resource = text(p, "resourceName");
        if list[..i].iter().any(|o| text(o, "resourceName") == resource) {
            errors.duplicate(&path.index(i), resource);
        }
        match resource {
            "cpu" | "memory" => {}
            "" => errors.required(path, ""),
            other => errors.not_supported(path, other, &["cpu", "memory"]),
        }
        match text(p, "restartPolicy") {
            "NotRequired" | "RestartContainer" => {}
            "" => errors.required(path, ""),
            other => errors.not_supported(path, other, &["NotRequired", "RestartContainer"]),
        }
    }
}

fn ports(list: &[Value], path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    for (i, port) in list.iter().enumerate() {
        let here = path.index(i);
        let name = text(port, "name");
        if !name.is_empty() {
            let wrong = check::port_name(name);
            if !wrong.is_none() {
                wrong.report(errors, &here.child("name"), name);
            } else if list[..i].iter().any(|other| text(other, "name") == name) {
                errors.duplicate(&here.child("name"), name);
            }
        }
        let number = port.int_at(&["containerPort"]).unwrap_or(0);
        if number == 0 {
            errors.required(&here.child("containerPort"), "");
        } else if !check::port_num(number).is_none() {
            errors.invalid(&here.child("containerPort"), number, check::PORT);
        }
        let host = port.int_at(&["hostPort"]).unwrap_or(0);
        if host != 0 && !check::port_num(host).is_none() {
            errors.invalid(&here.child("hostPort"), host, check::PORT);
        }
        if ctx.host_network && host != number {
            errors.invalid(&here.child("hostPort"), host, "must match `containerPort` when `hostNetwork` is true");
        }
        match text(port, "protocol") {
            "TCP" | "UDP" | "SCTP" => {}
            "" => errors.required(&here.child("protocol"), ""),
            other => errors.not_supported(&here.child("protocol"), other, &["SCTP", "TCP", "UDP"]),
        }
    }
}

/// No two containers claim one port of the node.
fn host_ports(list: &[Value], path: &Path, errors: &mut ErrorList) {
    let host_port = |p: &Value| p.int_at(&["hostPort"]).unwrap_or(0);
    if list.iter().all(|c| c.list_at(&["ports"]).iter().all(|p| host_port(p) == 0)) {
        return;
    }
    let mut seen: Vec<String> = Vec::new();
    for (i, c) in list.iter().enumerate() {
        for (j, port) in c.list_at(&["ports"]).iter().enumerate() {
            if host_port(port) == 0 {
                continue;
            }
            let id = format!("{}/{}/{}", text(port, "protocol"), text(port, "hostIP"), host_port(port));
            if seen.contains(&id) {
                errors.duplicate(&path.index(i).child("ports").index(j).child("hostPort"), id);
            } else {
                seen.push(id);
            }
        }
    }
}

/// `ValidateVolumeMounts`
fn volume_mounts(c: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let list = c.list_at(&["volumeMounts"]);
    for (i, m) in list.iter().enumerate() {
        let here = path.index(i);
        let name = text(m, "name");
        if name.is_empty() {
            errors.required(&here.child("name"), "");
        }
        if ctx.volume(name).is_none() {
            errors.not_found(&here.child("name"), name);
        }
        let mount_path = text(m, "mountPath");
        if mount_path.is_empty() {
            errors.required(&here.child("mountPath"), "");
        } else if list[..i].iter().any(|other| text(other, "mountPath") == mount_path) {
            errors.invalid(&here.child("mountPath"), mount_path, "must be unique");
        }
        let device = |d: &Value| text(d, "devicePath") == mount_path && !mount_path.is_empty();
        if c.list_at(&["volumeDevices"]).iter().any(device) {
            errors.invalid(&here.child("mountPath"), mount_path, "must not already exist in volumeDevices");
        }
        let sub_path = text(m, "subPath");
        if !sub_path.is_empty() {
            check::descending_path(sub_path, &path.child("subPath"), errors);
        }
        let expr = text(m, "subPathExpr");
        if !expr.is_empty() {
            if !sub_path.is_empty() {
                errors.invalid(&here.child("subPathExpr"), expr, "subPathExpr and subPath are mutually exclusive");
            }
            check::descending_path(expr, &path.child("subPathExpr"), errors);
        }
        mount_options(m, c, path, errors);
    }
}

fn mount_options(m: &Value, c: &Value, path: &Path, errors: &mut ErrorList) {
    let propagation = some(m, "mountPropagation").and_then(Value::as_str);
    if let Some(p) = propagation {
        let ok = check::one_of(p, &["Bidirectional", "HostToContainer", "None"], &path.child("mountPropagation"), errors);
        if ok && p == "Bidirectional" && c.bool_at(&["securityContext", "privileged"]) != Some(true) {
            let detail = "Bidirectional mount propagation is available only to privileged containers";
            errors.forbidden(&path.child("mountPropagation"), detail);
        }
    }
    let Some(mode) = some(m, "recursiveReadOnly").and_then(Value::as_str) else { return };
    let here = path.child("recursiveReadOnly");
    match mode {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if m.bool_at(&["readOnly"]) != Some(true) {
                errors.forbidden(&here, "may only be specified when readOnly is true");
            }
            if propagation.is_some_and(|p| p != "None") {
                errors.forbidden(&here, "may only be specified when mountPropagation is None or not specified");
            }
        }
        other => errors.not_supported(&here, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

/// `ValidateVolumeDevices`
fn volume_devices(c: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let list = c.list_at(&["volumeDevices"]);
    for (i, d) in list.iter().enumerate() {
        let here = path.index(i);
        let (name, device) = (text(d, "name"), text(d, "devicePath"));
        if name.is_empty() {
            errors.required(&here.child("name"), "");
        }
        if list[..i].iter().any(|other| text(other, "name") == name) {
            errors.invalid(&here.child("name"), name, "must be unique");
        }
        match ctx.volume(name) {
            None => errors.not_found(&here.child("name"), name),
            Some(v) if some(v, "persistentVolumeClaim").is_none() && some(v, "ephemeral").is_none() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&here.child("name"), name, detail);
            }
            Some(_) => {}
        }
        if device.is_empty() {
            errors.required(&here.child("devicePath"), "");
        } else if list[..i].iter().any(|other| text(other, "devicePath") == device) {
            errors.invalid(&here.child("devicePath"), device, "must be unique");
        }
        if device.split('/').any(|p| p == "..") {
            errors.invalid(&here.child("devicePath"), device, "can not contain backsteps ('..')");
        }
        if !device.is_empty() && c.list_at(&["volumeMounts"]).iter().any(|m| text(m, "mountPath") == device) {
            errors.invalid(&here.child("devicePath"), device, "must not already exist in volumeMounts");
        }
    }
}
