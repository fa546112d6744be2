//! What the levels baseline and restricted forbid, in upstream's order and words. Models `k8s.io/pod-security-admission/policy`.
//!
//! Left out: AppArmor annotations, and hosts in probes and hooks (`hostProbesAndHostLifecycle`).

use std::collections::BTreeSet;
use std::fmt;

use apimachinery::Value;

/// How much a pod may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    pub fn parse(text: &str) -> Option<Level> {
        match text {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            _ => None,
        }
    }
}

/// One thing that is forbidden: `runAsNonRoot != true (pod or container "c" must set …)`.
pub struct Violation {
    pub reason: String,
    detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.detail)
    }
}

type Found = Option<(String, String)>;
type Check = fn(&Value) -> Found;

/// Baseline's checks; restricted has wider ones in place of the marked.
const BASELINE: [(Check, bool); 11] = [
    (app_armor, false),
    (default_capabilities, true),
    (host_namespaces, false),
    (host_paths, true),
    (host_ports, false),
    (privileged, false),
    (proc_mount, false),
    (se_linux, false),
    (seccomp_baseline, true),
    (sysctls, false),
    (host_process, false),
];

/// Restricted's own; the marked don't concern Windows.
const RESTRICTED: [(Check, bool); 6] = [
    (escalation, true),
    (capabilities, true),
    (volume_types, false),
    (run_as_non_root, false),
    (run_as_user, false),
    (seccomp_restricted, true),
];

/// What of a pod a level forbids.
pub fn violations(spec: &Value, level: Level) -> Vec<Violation> {
    let windows = spec.str_at(&["os", "name"]) == Some("windows");
    let baseline = BASELINE.iter().filter(|(_, replaced)| level == Level::Baseline || level > Level::Baseline && !replaced);
    let restricted = RESTRICTED.iter().filter(|(_, linux)| level == Level::Restricted && !(*linux && windows));
    let all = baseline.chain(restricted).filter_map(|(check, _)| check(spec));
    all.map(|(reason, detail)| Violation { reason, detail }).collect()
}

// ------------------------------------------------------------------ words

fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|i| format!("\"{}\"", i.as_ref())).collect::<Vec<_>>().join(", ")
}

fn plural(word: &'static str, words: &'static str, n: usize) -> &'static str {
    if n == 1 { word } else { words }
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|l| spec.list_at(&[l]))
}

/// `container "a"` or `containers "a", "b"` for which `bad` holds.
fn named(spec: &Value, bad: impl Fn(&Value) -> bool) -> Option<String> {
    let names: Vec<&str> = containers(spec).filter(|c| bad(c)).map(|c| c.str_at(&["name"]).unwrap_or("")).collect();
    let word = plural("container", "containers", names.len());
    (!names.is_empty()).then(|| format!("{word} {}", quoted(names)))
}

fn is_plural(who: &str) -> bool {
    who.starts_with("containers")
}

/// `pod and container "a"`: who of pod and containers has a bad value at a path, and the values, sorted.
fn setters<'a>(spec: &'a Value, path: &[&str], bad: impl Fn(&str) -> bool) -> Option<(String, BTreeSet<&'a str>)> {
    let value = |v: &'a Value| v.str_at(path).filter(|t| bad(t));
    let who: Vec<String> =
        value(spec).map(|_| "pod".to_string()).into_iter().chain(named(spec, |c| c.str_at(path).is_some_and(&bad))).collect();
    let values: BTreeSet<&str> = value(spec).into_iter().chain(containers(spec).filter_map(value)).collect();
    (!who.is_empty()).then(|| (who.join(" and "), values))
}

/// The same for a boolean.
fn boolean_setters(spec: &Value, path: &[&str], bad: bool) -> Option<String> {
    let pod = (spec.bool_at(path) == Some(bad)).then(|| "pod".to_string());
    let who: Vec<String> = pod.into_iter().chain(named(spec, |c| c.bool_at(path) == Some(bad))).collect();
    (!who.is_empty()).then(|| who.join(" and "))
}

// ------------------------------------------------------------------ baseline

fn app_armor(spec: &Value) -> Found {
    let path = ["securityContext", "appArmorProfile", "type"];
    let (who, values) = setters(spec, &path, |t| !matches!(t, "RuntimeDefault" | "Localhost"))?;
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len());
    Some((reason.into(), format!("{who} must not set AppArmor profile type to {}", quoted(values))))
}

const DEFAULT_CAPABILITIES: [&str; 13] = [
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

/// `container "a" must not include "X" in securityContext.capabilities.add`
fn added_capabilities(spec: &Value, allowed: &[&str]) -> Option<String> {
    let added = |c: &Value| -> Vec<String> {
        let list = c.list_at(&["securityContext", "capabilities", "add"]);
        list.iter().filter_map(Value::as_str).filter(|v| !allowed.contains(v)).map(str::to_string).collect()
    };
    let who = named(spec, |c| !added(c).is_empty())?;
    let all: BTreeSet<String> = containers(spec).flat_map(added).collect();
    Some(format!("{who} must not include {} in securityContext.capabilities.add", quoted(all)))
}

fn default_capabilities(spec: &Value) -> Found {
    Some(("non-default capabilities".into(), added_capabilities(spec, &DEFAULT_CAPABILITIES)?))
}

fn host_namespaces(spec: &Value) -> Found {
    let on: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|f| spec.bool_at(&[f]) == Some(true))
        .map(|f| format!("{f}=true"))
        .collect();
    (!on.is_empty()).then(|| ("host namespaces".into(), on.join(", ")))
}

fn host_paths(spec: &Value) -> Found {
    let volumes = spec.list_at(&["volumes"]).iter().filter(|v| v.get("hostPath").is_some());
    let names: Vec<&str> = volumes.map(|v| v.str_at(&["name"]).unwrap_or("")).collect();
    let word = plural("volume", "volumes", names.len());
    (!names.is_empty()).then(|| ("hostPath volumes".into(), format!("{word} {}", quoted(names))))
}

fn host_ports(spec: &Value) -> Found {
    let ports = |c: &Value| -> Vec<i64> {
        c.list_at(&["ports"]).iter().filter_map(|p| p.int_at(&["hostPort"])).filter(|n| *n != 0).collect()
    };
    let who = named(spec, |c| !ports(c).is_empty())?;
    let all: BTreeSet<String> = containers(spec).flat_map(ports).map(|n| n.to_string()).collect();
    let (uses, word) = (if is_plural(&who) { "use" } else { "uses" }, plural("hostPort", "hostPorts", all.len()));
    let all: Vec<String> = all.into_iter().collect();
    Some(("hostPort".into(), format!("{who} {uses} {word} {}", all.join(", "))))
}

fn privileged(spec: &Value) -> Found {
    let who = named(spec, |c| c.bool_at(&["securityContext", "privileged"]) == Some(true))?;
    Some(("privileged".into(), format!("{who} must not set securityContext.privileged=true")))
}

fn proc_mount(spec: &Value) -> Found {
    let (who, values) = setters(spec, &["securityContext", "procMount"], |t| t != "Default")?;
    Some(("procMount".into(), format!("{who} must not set securityContext.procMount to {}", quoted(values))))
}

fn se_linux(spec: &Value) -> Found {
    const TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let options = |v: &Value| v.at(&["securityContext", "seLinuxOptions"]).cloned();
    let text = |o: &Value, name: &str| o.str_at(&[name]).unwrap_or("").to_string();
    let is_bad = |v: &Value| {
        options(v)
            .is_some_and(|o| !TYPES.contains(&&*text(&o, "type")) || !text(&o, "user").is_empty() || !text(&o, "role").is_empty())
    };
    let pod = is_bad(spec).then(|| "pod".to_string());
    let who: Vec<String> = pod.into_iter().chain(named(spec, is_bad)).collect();
    if who.is_empty() {
        return None;
    }
    let all: Vec<Value> = std::iter::once(spec).chain(containers(spec)).filter_map(options).collect();
    let types: BTreeSet<String> = all.iter().map(|o| text(o, "type")).filter(|t| !TYPES.contains(&&**t)).collect();
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!("{} {}", plural("type", "types", types.len()), quoted(types)));
    }
    for name in ["user", "role"] {
        if all.iter().any(|o| !text(o, name).is_empty()) {
            what.push(format!("{name} may not be set"));
        }
    }
    Some((
        "seLinuxOptions".into(),
        format!("{} set forbidden securityContext.seLinuxOptions: {}", who.join(" and "), what.join("; ")),
    ))
}

const SECCOMP: [&str; 3] = ["securityContext", "seccompProfile", "type"];

fn seccomp_baseline(spec: &Value) -> Found {
    let (who, values) = setters(spec, &SECCOMP, |t| !matches!(t, "RuntimeDefault" | "Localhost"))?;
    Some(("seccompProfile".into(), format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(values))))
}

fn sysctls(spec: &Value) -> Found {
    const SAFE: [&str; 12] = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    ];
    let names = spec.list_at(&["securityContext", "sysctls"]).iter().filter_map(|s| s.str_at(&["name"]));
    let bad: Vec<&str> = names.filter(|n| !SAFE.contains(n)).collect();
    (!bad.is_empty()).then(|| ("forbidden sysctls".into(), bad.join(", ")))
}

fn host_process(spec: &Value) -> Found {
    let who = boolean_setters(spec, &["securityContext", "windowsOptions", "hostProcess"], true)?;
    Some(("hostProcess".into(), format!("{who} must not set securityContext.windowsOptions.hostProcess=true")))
}

// ------------------------------------------------------------------ restricted

fn escalation(spec: &Value) -> Found {
    let who = named(spec, |c| c.bool_at(&["securityContext", "allowPrivilegeEscalation"]) != Some(false))?;
    Some(("allowPrivilegeEscalation != false".into(), format!("{who} must set securityContext.allowPrivilegeEscalation=false")))
}

fn capabilities(spec: &Value) -> Found {
    let keeps = |c: &Value| !c.list_at(&["securityContext", "capabilities", "drop"]).iter().any(|v| v.as_str() == Some("ALL"));
    let kept = named(spec, keeps).map(|who| format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    let parts: Vec<String> = kept.into_iter().chain(added_capabilities(spec, &["NET_BIND_SERVICE"])).collect();
    (!parts.is_empty()).then(|| ("unrestricted capabilities".into(), parts.join("; ")))
}

fn volume_types(spec: &Value) -> Found {
    const ALLOWED: [&str; 8] =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    let kind = |v: &Value| v.as_map().and_then(|m| m.keys().find(|k| &***k != "name").map(|k| k.to_string()));
    let bad: Vec<(&str, String)> = spec
        .list_at(&["volumes"])
        .iter()
        .filter_map(|v| Some((v.str_at(&["name"])?, kind(v)?)))
        .filter(|(_, kind)| !ALLOWED.contains(&&**kind))
        .collect();
    if bad.is_empty() {
        return None;
    }
    let kinds: BTreeSet<&str> = bad.iter().map(|(_, k)| &**k).collect();
    let (volumes, uses) = (plural("volume", "volumes", bad.len()), plural("uses", "use", bad.len()));
    let types = plural("type", "types", kinds.len());
    let names = quoted(bad.iter().map(|(n, _)| n));
    Some(("restricted volume types".into(), format!("{volumes} {names} {uses} restricted volume {types} {}", quoted(kinds))))
}

fn run_as_non_root(spec: &Value) -> Found {
    let reason = "runAsNonRoot != true".to_string();
    let path = ["securityContext", "runAsNonRoot"];
    if let Some(who) = boolean_setters(spec, &path, false) {
        return Some((reason, format!("{who} must not set securityContext.runAsNonRoot=false")));
    }
    let of_pod = spec.bool_at(&path) == Some(true);
    let who = named(spec, |c| !of_pod && c.bool_at(&path).is_none())?;
    Some((reason, format!("pod or {who} must set securityContext.runAsNonRoot=true")))
}

fn run_as_user(spec: &Value) -> Found {
    let root = |v: &Value| v.int_at(&["securityContext", "runAsUser"]) == Some(0);
    let pod = root(spec).then(|| "pod".to_string());
    let who: Vec<String> = pod.into_iter().chain(named(spec, root)).collect();
    (!who.is_empty()).then(|| ("runAsUser=0".into(), format!("{} must not set runAsUser=0", who.join(" and "))))
}

fn seccomp_restricted(spec: &Value) -> Found {
    if let Some(found) = seccomp_baseline(spec) {
        return Some(found);
    }
    let of_pod = spec.str_at(&SECCOMP).is_some();
    let who = named(spec, |c| !of_pod && c.str_at(&SECCOMP).is_none())?;
    let text = format!("pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"");
    Some(("seccompProfile".into(), text))
}
