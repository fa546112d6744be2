//! Validation of environment variables and of references to fields.

use apimachinery::Value;
use apimachinery::field::{ErrorList, Path};
use base::Sort as _;

use super::Ctx;
use crate::check::{self, invalid_raw, some, text};

const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
pub const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCES: [&str; 6] =
    ["limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"];

/// `ValidateEnv`
pub fn env(list: &[Value], path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    for (i, var) in list.iter().enumerate() {
        let here = path.index(i);
        match text(var, "name") {
            "" => errors.required(&here.child("name"), ""),
            name => check::env_var_name(name).report(errors, &here.child("name"), name),
        }
        if let Some(from) = some(var, "valueFrom") {
            value_from(from, text(var, "value"), &here.child("valueFrom"), ctx, errors);
        }
    }
}

fn value_from(from: &Value, value: &str, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let mut sources = 0;
    if let Some(r) = some(from, "fieldRef") {
        sources += 1;
        field_ref(r, &ENV_FIELDS, &path.child("fieldRef"), errors);
    }
    if let Some(r) = some(from, "resourceFieldRef") {
        sources += 1;
        resource_ref(r, false, &path.child("resourceFieldRef"), errors);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(r) = some(from, name) {
            sources += 1;
            key_ref(r, &path.child(name), errors);
        }
    }
    if let Some(r) = some(from, "fileKeyRef") {
        sources += 1;
        file_key_ref(r, &path.child("fileKeyRef"), ctx, errors);
    }
    let detail = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if !value.is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.invalid(path, "", detail);
}

fn key_ref(r: &Value, path: &Path, errors: &mut ErrorList) {
    let name = text(r, "name");
    check::dns1123_subdomain(name).report(errors, &path.child("name"), name);
    match text(r, "key") {
        "" => errors.required(&path.child("key"), ""),
        key => check::config_map_key(key).report(errors, &path.child("key"), key),
    }
}

fn file_key_ref(r: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    check::required(r, &["key", "volumeName", "path"], path, errors);
    let volume = text(r, "volumeName");
    match ctx.volume(volume) {
        None => errors.not_found(&path.child("volumeName"), volume),
        Some(v) if some(v, "emptyDir").is_none() => {
            errors.invalid(&path.child("volumeName"), volume, "referenced volume must be of type emptyDir");
        }
        Some(_) => {}
    }
    let file = text(r, "path");
    if !file.is_empty() {
        check::non_reserved_path(file, &path.child("path"), errors);
    }
}

/// `ValidateEnvFrom`
pub fn env_from(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, from) in list.iter().enumerate() {
        let here = path.index(i);
        let prefix = text(from, "prefix");
        if !prefix.is_empty() {
            check::env_var_name(prefix).report(errors, &here.child("prefix"), prefix);
        }
        let mut sources = 0;
        for name in ["configMapRef", "secretRef"] {
            let Some(r) = some(from, name) else { continue };
            sources += 1;
            match text(r, "name") {
                "" => errors.required(&here.child(name).child("name"), ""),
                n => check::dns1123_subdomain(n).report(errors, &here.child(name).child("name"), n),
            }
        }
        match sources {
            0 => errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid(path, "", "may not have more than one field specified at a time"),
        }
    }
}

/// What `ConvertDownwardAPIFieldLabel` says of a path.
fn field_label_error(api_version: &str, path: &str) -> Option<String> {
    if api_version != "v1" {
        return Some(format!("unsupported pod version: {api_version}"));
    }
    if let Some((field, _)) = subscript(path) {
        return match field {
            "metadata.annotations" | "metadata.labels" => None,
            _ => Some(format!("field label does not support subscript: {path}")),
        };
    }
    match path {
        "metadata.annotations" | "metadata.labels" | "spec.restartPolicy" | "spec.schedulerName" | "status.phase" => None,
        _ if ENV_FIELDS.contains(&path) || path == "spec.host" => None,
        _ => Some(format!("field label not supported: {path}")),
    }
}

/// `metadata.labels['a']` as path and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (field, rest) = path.split_once("['")?;
    Some((field, rest.strip_suffix("']")?)).filter(|(f, _)| !f.is_empty())
}

/// `validateObjectFieldSelector`
pub fn field_ref(r: &Value, allowed: &[&str], path: &Path, errors: &mut ErrorList) {
    if text(r, "apiVersion").is_empty() {
        return errors.required(&path.child("apiVersion"), "");
    }
    let field = text(r, "fieldPath");
    if field.is_empty() {
        return errors.required(&path.child("fieldPath"), "");
    }
    if allowed.contains(&field) && text(r, "apiVersion") == "v1" {
        return;
    }
    if let Some(err) = field_label_error(text(r, "apiVersion"), field) {
        return errors.invalid(&path.child("fieldPath"), field, format!("error converting fieldPath: {err}"));
    }
    match subscript(field) {
        Some(("metadata.annotations", key)) => {
            check::qualified_name(&key.to_ascii_lowercase()).report(errors, path, key);
        }
        Some((_, key)) => check::qualified_name(key).report(errors, path, key),
        None => {
            let mut sorted = allowed.to_vec();
            sorted.order();
            errors.not_supported(&path.child("fieldPath"), field, &sorted);
        }
    }
}

/// `validateContainerResourceFieldSelector`
pub fn resource_ref(r: &Value, volume: bool, path: &Path, errors: &mut ErrorList) {
    let resource = text(r, "resource");
    if volume && text(r, "containerName").is_empty() {
        errors.required(&path.child("containerName"), "");
    } else if resource.is_empty() {
        errors.required(&path.child("resource"), "");
    } else if !RESOURCES.contains(&resource)
        && !resource.starts_with("limits.hugepages-")
        && !resource.starts_with("requests.hugepages-")
    {
        errors.not_supported(&path.child("resource"), resource, &RESOURCES);
    }
    divisor(r, resource, path, errors);
}

fn divisor(r: &Value, resource: &str, path: &Path, errors: &mut ErrorList) {
    const MEMORY: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let divisor = text(r, "divisor");
    if matches!(divisor, "" | "0") {
        return;
    }
    let detail = match resource.split_once('.').map(|(_, r)| r) {
        Some("cpu") if !matches!(divisor, "1m" | "1") => {
            "only divisor's values 1m and 1 are supported with the cpu resource".to_string()
        }
        Some(kind @ ("memory" | "ephemeral-storage")) if !MEMORY.contains(&divisor) => {
            let kind = if kind == "memory" { "memory" } else { "local ephemeral storage" };
            format!("only divisor's values {} are supported with the {kind} resource", MEMORY.join(", "))
        }
        _ => return,
    };
    invalid_raw(errors, &path.child("divisor"), format!("\"{divisor}\""), detail);
}
