//! Validation of volumes. Models `ValidateVolumes` of `pkg/apis/core/validation`.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Quantity, Value};

use super::{claim, env};
use crate::check::{self, some, text};

/// Sources in upstream's order: JSON name, name in error paths, members that must not be empty.
const SOURCES: [(&str, &str, &[&str]); 29] = [
    ("emptyDir", "emptyDir", &[]),
    ("hostPath", "hostPath", &["path"]),
    ("gitRepo", "gitRepo", &["repository"]),
    ("gcePersistentDisk", "persistentDisk", &["pdName"]),
    ("awsElasticBlockStore", "awsElasticBlockStore", &["volumeID"]),
    ("secret", "secret", &["secretName"]),
    ("nfs", "nfs", &["server", "path"]),
    ("iscsi", "iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", "glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", "persistentVolumeClaim", &["claimName"]),
    ("rbd", "rbd", &["monitors", "image"]),
    ("configMap", "configMap", &["name"]),
    ("flexVolume", "flexVolume", &["driver"]),
    ("cinder", "cinder", &["volumeID"]),
    ("cephfs", "cephfs", &["monitors"]),
    ("flocker", "flocker", &[]),
    ("downwardAPI", "downwardAPI", &[]),
    ("fc", "fc", &[]),
    ("azureFile", "azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", "vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", "photonPersistentDisk", &["pdID"]),
    ("portworxVolume", "portworxVolume", &["volumeID"]),
    ("azureDisk", "azureDisk", &["diskName", "diskURI"]),
    ("quobyte", "quobyte", &["volume"]),
    ("storageos", "storageos", &["volumeName"]),
    ("scaleIO", "scaleIO", &["gateway", "system", "volumeName"]),
    ("projected", "projected", &[]),
    ("csi", "csi", &[]),
    ("image", "image", &["reference"]),
];

/// `ValidateVolumes`; `pod_name` is known in pods, not in templates. Returns the indices of volumes with mistakes.
pub fn volumes(list: &[Value], pod_name: Option<&str>, path: &Path, errors: &mut ErrorList) -> Vec<usize> {
    let mut bad = Vec::new();
    for (i, v) in list.iter().enumerate() {
        let here = path.index(i);
        let before = errors.len();
        match text(v, "name") {
            "" => errors.required(&here.child("name"), ""),
            name => {
                let wrong = check::dns1123_label(name);
                if !wrong.is_none() {
                    wrong.report(errors, &here.child("name"), name);
                } else if list[..i].iter().any(|o| text(o, "name") == name) {
                    errors.duplicate(&here.child("name"), name);
                }
            }
        }
        let mut found = false;
        // Nearly always there is a name and one source.
        let only = v.as_map().filter(|m| m.len() == 2).and_then(|m| m.keys().find(|k| &***k != "name"));
        for (json, shown, required) in SOURCES.iter().filter(|s| only.is_none_or(|k| **k == *s.0)) {
            let Some(source) = some(v, json) else { continue };
            source_once(source, shown, required, &mut found, &here, errors);
        }
        if let Some(e) = some(v, "ephemeral") {
            ephemeral(e, text(v, "name"), pod_name, found, &here, errors);
        } else if !found {
            errors.required(&here, "must specify a volume type");
        }
        if errors.len() > before {
            bad.push(i);
        }
    }
    bad
}

fn source_once(source: &Value, name: &str, required: &[&str], found: &mut bool, volume: &Path, errors: &mut ErrorList) {
    let path = volume.child(name);
    if *found {
        return errors.forbidden(&path, "may not specify more than 1 volume type");
    }
    *found = true;
    check::required(source, required, &path, errors);
    match name {
        "secret" | "configMap" => keys(source, &path, errors),
        "downwardAPI" => {
            mode(source.get("defaultMode"), &path.child("defaultMode"), errors);
            for file in source.list_at(&["items"]) {
                downward_file(file, &path, errors);
            }
        }
        "projected" => projected(source, &path, errors),
        "emptyDir" => {
            let limit = some(source, "sizeLimit").and_then(|q| Quantity::from_value(q).ok());
            if limit.is_some_and(|q| q.sign() < 0) {
                errors.forbidden(&path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
            }
        }
        "gitRepo" => {
            let directory = text(source, "directory");
            if !directory.is_empty() {
                check::descending_path(directory, &path.child("directory"), errors);
            }
        }
        "csi" => csi_driver(text(source, "driver"), &path.child("driver"), errors),
        "image" => {
            if text(source, "pullPolicy").is_empty() {
                errors.required(&path.child("pullPolicy"), "");
            } else {
                let set = ["Always", "IfNotPresent", "Never"];
                check::one_of(text(source, "pullPolicy"), &set, &path.child("pullPolicy"), errors);
            }
        }
        _ => shared_source(source, name, &path, errors),
    }
}

/// Sources that pods and PersistentVolumes check alike.
pub fn shared_source(source: &Value, name: &str, path: &Path, errors: &mut ErrorList) {
    match name {
        "hostPath" => {
            check::no_backsteps(text(source, "path"), &path.child("path"), errors);
            let types = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
            check::one_of(text(source, "type"), &types, &path.child("type"), errors);
        }
        "nfs" if !text(source, "path").starts_with('/') => {
            errors.invalid(&path.child("path"), text(source, "path"), "must be an absolute path");
        }
        "iscsi" => iscsi(source, path, errors),
        "fc" => {
            let (wwns, wwids) = (source.list_at(&["targetWWNs"]).len(), source.list_at(&["wwids"]).len());
            if (wwns > 0) == (wwids > 0) {
                let detail = "must specify either targetWWNs or wwids, but not both";
                errors.required(&path.child("targetWWNs"), detail);
            } else if wwns > 0 && some(source, "lun").is_none() {
                errors.required(&path.child("lun"), "lun is required if targetWWNs is specified");
            }
            lun(source, path, errors);
        }
        "flocker" => flocker(source, path, errors),
        "azureDisk" => azure_disk(source, path, errors),
        "quobyte" => {
            let registry = text(source, "registry");
            if registry.is_empty() {
                errors.required(&path.child("registry"), "must be a host:port pair or multiple pairs separated by commas");
            } else if !registry.split(',').all(|pair| pair.rsplit_once(':').is_some_and(|(h, p)| !h.is_empty() && !p.is_empty()))
            {
                errors.invalid(
                    &path.child("registry"),
                    registry,
                    "must be a host:port pair or multiple pairs separated by commas",
                );
            }
        }
        _ => {}
    }
}

fn flocker(source: &Value, path: &Path, errors: &mut ErrorList) {
    let (name, uuid) = (text(source, "datasetName"), text(source, "datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.required(path, "one of datasetName and datasetUUID is required");
    }
    if !name.is_empty() && !uuid.is_empty() {
        errors.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously");
    }
    if name.contains('/') {
        errors.invalid(&path.child("datasetName"), name, "must not contain '/'");
    }
}

fn azure_disk(source: &Value, path: &Path, errors: &mut ErrorList) {
    let uri = text(source, "diskURI");
    let managed = text(source, "kind") == "Managed";
    if managed && !uri.starts_with("/subscriptions/") {
        let shape = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
        errors.not_supported(&path.child("diskURI"), uri, &[shape]);
    }
    if !managed && !uri.starts_with("https://") {
        let shape = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
        errors.not_supported(&path.child("diskURI"), uri, &[shape]);
    }
}

fn lun(source: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(n) = source.int_at(&["lun"])
        && !(0..=255).contains(&n)
    {
        errors.invalid(&path.child("lun"), n, "must be between 0 and 255, inclusive");
    }
}

fn iscsi(source: &Value, path: &Path, errors: &mut ErrorList) {
    let iqn = text(source, "iqn");
    if !iqn.is_empty() && !["iqn", "eui", "naa"].iter().any(|p| iqn.starts_with(p)) {
        errors.invalid(&path.child("iqn"), iqn, "must be valid format starting with iqn, eui, or naa");
    }
    lun(source, path, errors);
    let chap = |n: &str| source.bool_at(&[n]) == Some(true);
    if (chap("chapAuthDiscovery") || chap("chapAuthSession")) && some(source, "secretRef").is_none() {
        errors.required(&path.child("secretRef"), "");
    }
}

/// `ValidateCSIDriverName`
pub fn csi_driver(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    if name.len() > 63 {
        errors.too_long(path, 63);
    }
    check::dns1123_subdomain(&name.to_ascii_lowercase()).report(errors, path, name);
}

fn mode(v: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    if let Some(n) = v.and_then(Value::as_i64)
        && !(0..=0o777).contains(&n)
    {
        errors.invalid(path, n, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

/// `defaultMode` and `items` of a ConfigMap or Secret.
fn keys(source: &Value, path: &Path, errors: &mut ErrorList) {
    mode(source.get("defaultMode"), &path.child("defaultMode"), errors);
    for (i, item) in source.list_at(&["items"]).iter().enumerate() {
        key_to_path(item, &path.child("items").index(i), errors);
    }
}

fn key_to_path(item: &Value, path: &Path, errors: &mut ErrorList) {
    check::required(item, &["key", "path"], path, errors);
    check::non_reserved_path(text(item, "path"), &path.child("path"), errors);
    mode(item.get("mode"), &path.child("mode"), errors);
}

/// `validateDownwardAPIVolumeFile`: its paths have no index upstream either.
fn downward_file(file: &Value, path: &Path, errors: &mut ErrorList) {
    check::required(file, &["path"], path, errors);
    check::non_reserved_path(text(file, "path"), &path.child("path"), errors);
    match (some(file, "fieldRef"), some(file, "resourceFieldRef")) {
        (Some(field), resource) => {
            env::field_ref(field, &env::VOLUME_FIELDS, &path.child("fieldRef"), errors);
            if resource.is_some() {
                errors.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
        }
        (None, Some(resource)) => env::resource_ref(resource, true, &path.child("resourceFieldRef"), errors),
        (None, None) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(file.get("mode"), &path.child("mode"), errors);
}

fn projected(source: &Value, path: &Path, errors: &mut ErrorList) {
    mode(source.get("defaultMode"), &path.child("defaultMode"), errors);
    let mut seen: Vec<&str> = Vec::new();
    let list = path.child("sources");
    for (i, s) in source.list_at(&["sources"]).iter().enumerate() {
        let here = list.index(i);
        let mut count = 0;
        for name in ["secret", "configMap"] {
            let Some(p) = some(s, name) else { continue };
            count += 1;
            let projection = here.child(name);
            check::required(p, &["name"], &projection, errors);
            for (j, item) in p.list_at(&["items"]).iter().enumerate() {
                key_to_path(item, &projection.child("items").index(j), errors);
                claim_path(text(item, "path"), text(p, "name"), &mut seen, path, errors);
            }
        }
        if let Some(p) = some(s, "downwardAPI") {
            count += 1;
            for file in p.list_at(&["items"]) {
                downward_file(file, &here.child("downwardAPI"), errors);
                claim_path(text(file, "path"), text(file, "path"), &mut seen, path, errors);
            }
        }
        if let Some(p) = some(s, "serviceAccountToken") {
            count += 1;
            token(p, &here.child("serviceAccountToken"), path, errors);
            claim_path(text(p, "path"), text(p, "path"), &mut seen, path, errors);
        }
        for name in ["clusterTrustBundle", "podCertificate"] {
            count += usize::from(some(s, name).is_some());
        }
        if count > 1 {
            errors.forbidden(&here, "may not specify more than 1 volume type");
        }
    }
}

fn claim_path<'a>(file: &'a str, shown: &str, seen: &mut Vec<&'a str>, path: &Path, errors: &mut ErrorList) {
    if file.is_empty() {
        return;
    }
    if seen.contains(&file) {
        errors.invalid(path, shown, "conflicting duplicate paths");
    } else {
        seen.push(file);
    }
}

fn token(p: &Value, here: &Path, volume: &Path, errors: &mut ErrorList) {
    let seconds = p.int_at(&["expirationSeconds"]).unwrap_or(0);
    if seconds < 600 {
        errors.invalid(&here.child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        errors.invalid(&here.child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds");
    }
    match text(p, "path") {
        "" => errors.required(&volume.child("path"), ""),
        file => check::non_reserved_path(file, &volume.child("path"), errors),
    }
}

fn ephemeral(e: &Value, volume: &str, pod_name: Option<&str>, found: bool, path: &Path, errors: &mut ErrorList) {
    let here = path.child("ephemeral");
    if found {
        return errors.forbidden(&here, "may not specify more than 1 volume type");
    }
    match some(e, "volumeClaimTemplate") {
        None => errors.required(&here.child("volumeClaimTemplate"), ""),
        Some(template) => claim::template(template, &here.child("volumeClaimTemplate"), errors),
    }
    if let Some(pod) = pod_name.filter(|n| !n.is_empty()) {
        let name = format!("{pod}-{volume}");
        for text in check::dns1123_subdomain(&name).iter() {
            errors.invalid(&path.child("name"), volume, format!("PVC name \"{name}\": {text}"));
        }
    }
}
