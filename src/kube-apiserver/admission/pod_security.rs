//! PodSecurity: a namespace's labels say which pods it takes. Models `k8s.io/pod-security-admission`.
//!
//! Checks of the levels baseline and restricted, in their latest version (pinned older versions are judged as the latest).
//! Templates of workloads are warned about, pods are refused.

use apimachinery::status::Status;
use apimachinery::{Object, Value, Verb, resources};

use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct PodSecurity;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// The level that a namespace asks for in a mode, and how it is printed.
fn level(namespace: &Object, mode: &str) -> (Level, String) {
    let text = namespace.label(&format!("pod-security.kubernetes.io/{mode}")).unwrap_or("privileged");
    let version = namespace.label(&format!("pod-security.kubernetes.io/{mode}-version")).unwrap_or("latest");
    let level = match text {
        "baseline" => Level::Baseline,
        "restricted" => Level::Restricted,
        _ => Level::Privileged,
    };
    (level, format!("{text}:{version}"))
}

/// The pod's spec in an object of a kind that makes pods.
fn template(a: &Attributes) -> Option<&Value> {
    match &*a.gvr.resource.text() {
        "pods" => a.object.get("spec"),
        "deployments" | "replicasets" | "daemonsets" | "statefulsets" | "jobs" | "replicationcontrollers" => {
            a.object.at(&["spec", "template", "spec"])
        }
        "cronjobs" => a.object.at(&["spec", "jobTemplate", "spec", "template", "spec"]),
        "podtemplates" => a.object.at(&["template", "spec"]),
        _ => None,
    }
}

impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }
    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !matches!(a.verb, Verb::Create | Verb::Update) || !a.subresource.is_empty() || a.namespace.is_empty() {
            return Ok(());
        }
        let Some(namespace) = server.peek(resources::namespaces(), "", &a.namespace) else { return Ok(()) };
        let Some(spec) = template(a) else { return Ok(()) };
        let unchanged = a.old.as_ref().is_some_and(|o| o.get("spec") == a.object.get("spec"));
        if unchanged {
            return Ok(());
        }
        let (warn, shown) = level(namespace, "warn");
        let bad = violations(spec, &a.object, warn);
        let is_pod = a.gvr == resources::pods();
        let refused = is_pod && !violations(spec, &a.object, level(namespace, "enforce").0).is_empty();
        if !bad.is_empty() && !refused {
            a.warnings.push(format!("would violate PodSecurity \"{shown}\": {}", bad.join(", ")));
        }
        Ok(())
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        if a.gvr != resources::pods() || !matches!(a.verb, Verb::Create | Verb::Update) || !a.subresource.is_empty() {
            return Ok(());
        }
        let Some(namespace) = server.peek(resources::namespaces(), "", &a.namespace) else { return Ok(()) };
        if a.old.as_ref().is_some_and(|o| o.get("spec") == a.object.get("spec")) {
            return Ok(());
        }
        let (enforce, shown) = level(namespace, "enforce");
        let Some(spec) = a.object.get("spec") else { return Ok(()) };
        let bad = violations(spec, &a.object, enforce);
        if bad.is_empty() { Ok(()) } else { Err(a.forbidden(format!("violates PodSecurity \"{shown}\": {}", bad.join(", ")))) }
    }
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|l| spec.list_at(&[l]))
}

/// `container "a"` or `containers "a", "b"` for which `bad` holds.
fn named(spec: &Value, bad: impl Fn(&Value) -> bool) -> Option<String> {
    let names: Vec<String> =
        containers(spec).filter(|c| bad(c)).map(|c| format!("\"{}\"", c.str_at(&["name"]).unwrap_or(""))).collect();
    match names.len() {
        0 => None,
        1 => Some(format!("container {}", names[0])),
        _ => Some(format!("containers {}", names.join(", "))),
    }
}

const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What of a pod a level forbids, in upstream's order and words.
fn violations(spec: &Value, pod: &Object, level: Level) -> Vec<String> {
    let mut out = Vec::new();
    if level >= Level::Baseline {
        baseline(spec, pod, level, &mut out);
    }
    if level == Level::Restricted {
        restricted(spec, &mut out);
    }
    out
}

fn baseline(spec: &Value, _pod: &Object, level: Level, out: &mut Vec<String>) {
    let host: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|f| spec.bool_at(&[f]) == Some(true))
        .map(|f| format!("{f}=true"))
        .collect();
    if !host.is_empty() {
        out.push(format!("host namespaces ({})", host.join(", ")));
    }
    let volumes: Vec<String> = spec
        .list_at(&["volumes"])
        .iter()
        .filter(|v| v.get("hostPath").is_some())
        .map(|v| format!("\"{}\"", v.str_at(&["name"]).unwrap_or("")))
        .collect();
    if !volumes.is_empty() && level == Level::Baseline {
        let s = if volumes.len() == 1 { "volume" } else { "volumes" };
        out.push(format!("hostPath volumes ({s} {})", volumes.join(", ")));
    }
    let host_port = |c: &Value| c.list_at(&["ports"]).iter().any(|p| p.int_at(&["hostPort"]).unwrap_or(0) != 0);
    if let Some(who) = named(spec, host_port) {
        let ports: Vec<String> = containers(spec)
            .flat_map(|c| c.list_at(&["ports"]))
            .filter_map(|p| p.int_at(&["hostPort"]).filter(|n| *n != 0))
            .map(|n| n.to_string())
            .collect();
        let s = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
        let uses = if who.starts_with("containers") { "use" } else { "uses" };
        out.push(format!("hostPort ({who} {uses} {s} {})", ports.join(", ")));
    }
    if let Some(who) = named(spec, |c| c.bool_at(&["securityContext", "privileged"]) == Some(true)) {
        out.push(format!("privileged ({who} must not set securityContext.privileged=true)"));
    }
    if level == Level::Baseline {
        let adds = |c: &Value| {
            let bad = |v: &&Value| v.as_str().is_some_and(|v| !BASELINE_CAPABILITIES.contains(&v));
            c.list_at(&["securityContext", "capabilities", "add"]).iter().find(bad).is_some()
        };
        if let Some(who) = named(spec, adds) {
            let all: Vec<String> = containers(spec)
                .flat_map(|c| c.list_at(&["securityContext", "capabilities", "add"]))
                .filter_map(Value::as_str)
                .filter(|v| !BASELINE_CAPABILITIES.contains(v))
                .map(|v| format!("\"{v}\""))
                .collect();
            out.push(format!(
                "non-default capabilities ({who} must not include {} in securityContext.capabilities.add)",
                all.join(", ")
            ));
        }
    }
}

fn restricted(spec: &Value, out: &mut Vec<String>) {
    let escalates = |c: &Value| c.bool_at(&["securityContext", "allowPrivilegeEscalation"]) != Some(false);
    if let Some(who) = named(spec, escalates) {
        out.push(format!("allowPrivilegeEscalation != false ({who} must set securityContext.allowPrivilegeEscalation=false)"));
    }
    let keeps = |c: &Value| !c.list_at(&["securityContext", "capabilities", "drop"]).iter().any(|v| v.as_str() == Some("ALL"));
    let adds =
        |c: &Value| c.list_at(&["securityContext", "capabilities", "add"]).iter().any(|v| v.as_str() != Some("NET_BIND_SERVICE"));
    let mut parts = Vec::new();
    parts.extend(named(spec, keeps).map(|who| format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]")));
    if let Some(who) = named(spec, adds) {
        let all: Vec<String> = containers(spec)
            .flat_map(|c| c.list_at(&["securityContext", "capabilities", "add"]))
            .filter_map(Value::as_str)
            .filter(|v| *v != "NET_BIND_SERVICE")
            .map(|v| format!("\"{v}\""))
            .collect();
        parts.push(format!("{who} must not include {} in securityContext.capabilities.add", all.join(", ")));
    }
    if !parts.is_empty() {
        out.push(format!("unrestricted capabilities ({})", parts.join("; ")));
    }
    restricted_volumes(spec, out);
    let pod_non_root = spec.bool_at(&["securityContext", "runAsNonRoot"]);
    let may_be_root = |c: &Value| c.bool_at(&["securityContext", "runAsNonRoot"]).or(pod_non_root) != Some(true);
    if let Some(who) = named(spec, may_be_root) {
        out.push(format!("runAsNonRoot != true (pod or {who} must set securityContext.runAsNonRoot=true)"));
    }
    let root = |c: &Value| c.int_at(&["securityContext", "runAsUser"]) == Some(0);
    let root_parts: Vec<String> = (spec.int_at(&["securityContext", "runAsUser"]) == Some(0))
        .then(|| "pod must not set runAsUser=0".to_string())
        .into_iter()
        .chain(named(spec, root).map(|who| format!("{who} must not set runAsUser=0")))
        .collect();
    if !root_parts.is_empty() {
        out.push(format!("runAsUser=0 ({})", root_parts.join(" and ")));
    }
    let profile = |v: &Value| v.str_at(&["securityContext", "seccompProfile", "type"]).map(str::to_string);
    let of_pod = profile(spec);
    let open = |c: &Value| !matches!(profile(c).or_else(|| of_pod.clone()).as_deref(), Some("RuntimeDefault" | "Localhost"));
    if let Some(who) = named(spec, open) {
        out.push(format!(
            "seccompProfile (pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        ));
    }
}

fn restricted_volumes(spec: &Value, out: &mut Vec<String>) {
    const ALLOWED: [&str; 8] =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    let kind = |v: &Value| v.as_map().and_then(|m| m.keys().find(|k| &***k != "name").map(|k| k.to_string()));
    let bad: Vec<(String, String)> = spec
        .list_at(&["volumes"])
        .iter()
        .filter_map(|v| Some((v.str_at(&["name"])?.to_string(), kind(v)?)))
        .filter(|(_, kind)| !ALLOWED.contains(&&**kind))
        .collect();
    if bad.is_empty() {
        return;
    }
    let quoted = |f: &dyn Fn(&(String, String)) -> &String| {
        let mut all: Vec<String> = bad.iter().map(|b| format!("\"{}\"", f(b))).collect();
        all.dedup();
        all
    };
    let (names, kinds) = (quoted(&|b| &b.0), quoted(&|b| &b.1));
    let (v, uses) = if names.len() == 1 { ("volume", "uses") } else { ("volumes", "use") };
    let t = if kinds.len() == 1 { "type" } else { "types" };
    out.push(format!("restricted volume types ({v} {} {uses} restricted volume {t} {})", names.join(", "), kinds.join(", ")));
}
