//! Validation of the spec of a PersistentVolumeClaim, also as a template in pods and StatefulSets.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Quantity, Value};

use crate::check::{self, some, text};

pub const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// `ValidatePersistentVolumeClaimTemplate`
pub fn template(t: &Value, path: &Path, errors: &mut ErrorList) {
    check::labels(t.map_at(&["metadata", "labels"]), &path.child("metadata").child("labels"), errors);
    spec(t.get("spec").unwrap_or(&Value::Null), &path.child("spec"), errors);
}

/// `ValidatePersistentVolumeClaimSpec`
pub fn spec(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let modes = spec.list_at(&["accessModes"]);
    if modes.is_empty() {
        errors.required(&path.child("accessModes"), "at least 1 access mode is required");
    }
    check::label_selector(some(spec, "selector"), &path.child("selector"), errors);
    access_modes(modes, &path.child("accessModes"), errors);
    let resources = path.child("resources");
    match spec.at(&["resources", "requests", "storage"]) {
        None => errors.required(&resources.key("storage"), ""),
        Some(v) => {
            if Quantity::from_value(v).is_ok_and(|q| q.sign() <= 0) {
                errors.invalid(&resources.key("storage"), v.clone(), "must be greater than zero");
            }
        }
    }
    if let Some(class) = some(spec, "storageClassName").and_then(Value::as_str)
        && !class.is_empty()
    {
        check::dns1123_subdomain(class).report(errors, &path.child("storageClassName"), class);
    }
    if let Some(mode) = some(spec, "volumeMode").and_then(Value::as_str) {
        check::one_of(mode, &["Block", "Filesystem"], &path.child("volumeMode"), errors);
    }
    data_sources(spec, path, errors);
    if let Some(class) = some(spec, "volumeAttributesClassName").and_then(Value::as_str)
        && !class.is_empty()
    {
        check::dns1123_subdomain(class).report(errors, &path.child("volumeAttributesClassName"), class);
    }
}

pub fn access_modes(modes: &[Value], path: &Path, errors: &mut ErrorList) {
    for mode in modes {
        check::one_of(mode.as_str().unwrap_or(""), &ACCESS_MODES, path, errors);
    }
    let once_pod = modes.iter().any(|m| m.as_str() == Some("ReadWriteOncePod"));
    if once_pod && modes.len() > 1 {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

fn data_sources(spec: &Value, path: &Path, errors: &mut ErrorList) {
    for field in ["dataSource", "dataSourceRef"] {
        let Some(source) = some(spec, field) else { continue };
        let here = path.child(field);
        check::required(source, &["name", "kind"], &here, errors);
        let group = text(source, "apiGroup");
        if group.is_empty() && text(source, "kind") != "PersistentVolumeClaim" {
            errors.invalid(&here, text(source, "kind"), "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
        }
        if !group.is_empty() {
            check::dns1123_subdomain(group).report(errors, &here.child("apiGroup"), group);
        }
    }
}
