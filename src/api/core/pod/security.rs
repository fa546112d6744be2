//! Validation of security contexts, and what an operating system forbids.

use apimachinery::Value;
use apimachinery::field::{ErrorList, Path};

use super::Ctx;
use crate::check::{self, invalid_raw, some, text};

const ID_RANGE: &str = "must be between 0 and 2147483647, inclusive";

fn id(v: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    if let Some(n) = v.and_then(Value::as_i64)
        && !(0..=i32::MAX as i64).contains(&n)
    {
        errors.invalid(path, n, ID_RANGE);
    }
}

/// A Go struct as its error prints it: every field by its Go name, in order.
fn go_struct(v: &Value, fields: &[(&str, &str)]) -> String {
    let member = |(go, json): &(&str, &str)| {
        let text = match v.get(json) {
            None | Some(Value::Null) => "null".to_string(),
            Some(inner) => match *go {
                "Capabilities" => go_struct(inner, &[("Add", "add"), ("Drop", "drop")]),
                "SeccompProfile" | "AppArmorProfile" => go_struct(inner, &PROFILE),
                "SELinuxOptions" => go_struct(inner, &[("User", "user"), ("Role", "role"), ("Type", "type"), ("Level", "level")]),
                _ => apimachinery::json::to_string(inner),
            },
        };
        format!("\"{go}\":{text}")
    };
    format!("{{{}}}", fields.iter().map(member).collect::<Vec<_>>().join(","))
}

const PROFILE: [(&str, &str); 2] = [("Type", "type"), ("LocalhostProfile", "localhostProfile")];
const SECURITY_CONTEXT: [(&str, &str); 12] = [
    ("Capabilities", "capabilities"),
    ("Privileged", "privileged"),
    ("SELinuxOptions", "seLinuxOptions"),
    ("WindowsOptions", "windowsOptions"),
    ("RunAsUser", "runAsUser"),
    ("RunAsGroup", "runAsGroup"),
    ("RunAsNonRoot", "runAsNonRoot"),
    ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
    ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
    ("ProcMount", "procMount"),
    ("SeccompProfile", "seccompProfile"),
    ("AppArmorProfile", "appArmorProfile"),
];

/// `ValidateSecurityContext`
pub fn container(sc: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    for field in ["runAsUser", "runAsGroup"] {
        id(sc.get(field), &path.child(field), errors);
    }
    if let Some(mount) = some(sc, "procMount").and_then(Value::as_str) {
        let ok = check::one_of(mount, &["Default", "Unmasked"], &path.child("procMount"), errors);
        if ok && mount == "Unmasked" && ctx.host_users {
            errors.invalid(&path.child("procMount"), mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    profiles(sc, path, errors);
    if sc.bool_at(&["allowPrivilegeEscalation"]) == Some(false) {
        if sc.bool_at(&["privileged"]) == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            invalid_raw(errors, path, go_struct(sc, &SECURITY_CONTEXT), detail);
        }
        if sc.list_at(&["capabilities", "add"]).iter().any(|c| c.as_str() == Some("CAP_SYS_ADMIN")) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            invalid_raw(errors, path, go_struct(sc, &SECURITY_CONTEXT), detail);
        }
    }
    windows_options(sc, path, errors);
    if ctx.os == "windows" {
        forbid(
            sc,
            &[
                "appArmorProfile",
                "seLinuxOptions",
                "seccompProfile",
                "capabilities",
                "readOnlyRootFilesystem",
                "privileged",
                "allowPrivilegeEscalation",
                "procMount",
                "runAsUser",
                "runAsGroup",
            ],
            path,
            errors,
        );
    }
    if ctx.os == "linux" && some(sc, "windowsOptions").is_some() {
        errors.forbidden(&path.child("windowsOptions"), "windows options cannot be set for a linux pod");
    }
}

fn forbid(v: &Value, fields: &[&str], path: &Path, errors: &mut ErrorList) {
    for field in fields {
        if some(v, field).is_some() {
            errors.forbidden(&path.child(field), "cannot be set for a windows pod");
        }
    }
}

fn profiles(sc: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(p) = some(sc, "seccompProfile") {
        seccomp(p, &path.child("seccompProfile"), errors);
    }
    if let Some(p) = some(sc, "appArmorProfile") {
        app_armor(p, &path.child("appArmorProfile"), errors);
    }
}

const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(p: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = text(p, "type");
    match kind {
        "" => errors.required(&path.child("type"), "type is required when seccompProfile is set"),
        _ => drop(check::one_of(kind, &PROFILE_TYPES, &path.child("type"), errors)),
    }
    let here = path.child("localhostProfile");
    match some(p, "localhostProfile").and_then(Value::as_str) {
        None if kind == "Localhost" => errors.required(&here, "must be set when seccomp type is Localhost"),
        Some(profile) if kind == "Localhost" => check::descending_path(profile, &here, errors),
        Some(_) => invalid_raw(errors, &here, go_struct(p, &PROFILE), "can only be set when seccomp type is Localhost"),
        None => {}
    }
}

fn app_armor(p: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = text(p, "type");
    let profile = some(p, "localhostProfile").and_then(Value::as_str);
    let here = path.child("localhostProfile");
    match (kind, profile) {
        ("Localhost", None) => errors.required(&here, "must be set when AppArmor type is Localhost"),
        ("Localhost", Some(name)) if name.trim() != name => errors.invalid(&here, name, "must not be padded with whitespace"),
        ("Localhost", Some("")) => errors.required(&here, "must be set when AppArmor type is Localhost"),
        ("Localhost", Some(name)) if name.len() > 4095 => errors.too_long(&here, 4095),
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.invalid(&here, name, "can only be set when AppArmor type is Localhost");
        }
        ("", _) => errors.required(&path.child("type"), "type is required when appArmorProfile is set"),
        ("Localhost" | "RuntimeDefault" | "Unconfined", _) => {}
        (other, _) => errors.not_supported(&path.child("type"), other, &PROFILE_TYPES),
    }
}

fn windows_options(sc: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(w) = some(sc, "windowsOptions") else { return };
    let path = path.child("windowsOptions");
    if let Some(name) = some(w, "gmsaCredentialSpecName").and_then(Value::as_str) {
        check::dns1123_subdomain(name).report(errors, &path.child("gmsaCredentialSpecName"), name);
    }
    if let Some(user) = some(w, "runAsUserName").and_then(Value::as_str)
        && user.is_empty()
    {
        errors.invalid(&path.child("runAsUserName"), user, "runAsUserName cannot be an empty string");
    }
}

/// `ValidatePodSecurityContext` and the settings of the pod that go with it.
pub fn pod(spec: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let set = |name: &str| spec.bool_at(&[name]) == Some(true);
    if set("shareProcessNamespace") && set("hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&path.child("shareProcessNamespace"), true, detail);
    }
    if !ctx.host_users {
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            if set(field) {
                errors.forbidden(&path.child(field), "when `hostUsers` is false");
            }
        }
    }
    if ctx.os == "windows" {
        for field in ["hostPID", "hostIPC", "shareProcessNamespace"] {
            if set(field) {
                errors.forbidden(&path.child(field), "cannot be set for a windows pod");
            }
        }
        if some(spec, "hostUsers").is_some() {
            errors.forbidden(&path.child("hostUsers"), "cannot be set for a windows pod");
        }
    }
    let Some(sc) = some(spec, "securityContext") else { return };
    if sc.is_empty() {
        return;
    }
    let here = path.child("securityContext");
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        id(sc.get(field), &here.child(field), errors);
    }
    for (i, group) in sc.list_at(&["supplementalGroups"]).iter().enumerate() {
        id(Some(group), &here.child("supplementalGroups").index(i), errors);
    }
    for (field, set) in [
        ("fsGroupChangePolicy", ["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", ["Merge", "Strict"]),
        ("seLinuxChangePolicy", ["MountOption", "Recursive"]),
    ] {
        if let Some(v) = some(sc, field).and_then(Value::as_str) {
            check::one_of(v, &set, &here.child(field), errors);
        }
    }
    sysctls(sc.list_at(&["sysctls"]), &here.child("sysctls"), spec, errors);
    profiles(sc, &here, errors);
    windows_options(sc, &here, errors);
    if ctx.os == "windows" {
        let fields = [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "fsGroup",
            "fsGroupChangePolicy",
            "sysctls",
            "runAsUser",
            "runAsGroup",
            "supplementalGroups",
            "supplementalGroupsPolicy",
        ];
        forbid(sc, &fields, &here, errors);
    }
    if ctx.os == "linux" && some(sc, "windowsOptions").is_some() {
        errors.forbidden(&here.child("windowsOptions"), "windows options cannot be set for a linux pod");
    }
}

fn sysctls(list: &[Value], path: &Path, spec: &Value, errors: &mut ErrorList) {
    for (i, s) in list.iter().enumerate() {
        let here = path.index(i);
        let name = text(s, "name");
        if name.is_empty() {
            errors.required(&here.child("name"), "");
        } else if !is_sysctl(name) {
            let detail = "must have at most 253 characters and match regex \
                          ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.invalid(&here.child("name"), name, detail);
        } else if list[..i].iter().any(|o| text(o, "name") == name) {
            errors.duplicate(&here.child("name"), name);
        }
        if spec.bool_at(&["hostNetwork"]) == Some(true) && name.starts_with("net.") {
            errors.invalid(&here.child("name"), name, "may not be specified when 'hostNetwork' is true");
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |p: &str| {
        let b = p.as_bytes();
        let (Some(&first), Some(&last)) = (b.first(), b.last()) else { return false };
        edge(first) && edge(last) && b.iter().all(|&c| edge(c) || c == b'-' || c == b'_')
    };
    name.len() <= 253 && name.split(['.', '/']).all(part)
}
