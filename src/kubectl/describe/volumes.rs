//! The volumes of a pod.

use apimachinery::Value;

use super::{Writer, show};

pub(super) fn volumes(list: &[Value], space: &str, w: &mut Writer) {
    if list.is_empty() {
        return w.out.push_str(&format!("{space}Volumes:\t<none>\n"));
    }
    w.out.push_str(&format!("{space}Volumes:\n"));
    for volume in list {
        let indent = if space.is_empty() { "" } else { " " };
        w.line(1, format!("{indent}{}:", volume.str_at(&["name"]).unwrap_or("")));
        source(volume, w);
    }
}

/// What a volume (of a pod or a PersistentVolume's spec) is made of.
pub(super) fn source(volume: &Value, w: &mut Writer) {
    let fields = volume.as_map().into_iter().flat_map(|m| m.iter());
    for (kind, source) in fields {
        let text = |f: &str| show(source.get(f));
        let flag = |f: &str| source.bool_at(&[f]).unwrap_or(false).to_string();
        match &**kind {
            "emptyDir" => {
                w.field(2, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
                w.field(2, "Medium", text("medium"));
                let limit = text("sizeLimit");
                w.field(2, "SizeLimit", if limit.is_empty() || limit == "0" { "<unset>".into() } else { limit });
            }
            "hostPath" => {
                w.field(2, "Type", "HostPath (bare host directory volume)");
                w.field(2, "Path", text("path"));
                w.field(2, "HostPathType", text("type"));
            }
            "secret" => {
                w.field(2, "Type", "Secret (a volume populated by a Secret)");
                w.field(2, "SecretName", text("secretName"));
                w.field(2, "Optional", flag("optional"));
            }
            "configMap" => {
                w.field(2, "Type", "ConfigMap (a volume populated by a ConfigMap)");
                w.field(2, "Name", text("name"));
                w.field(2, "Optional", flag("optional"));
            }
            "persistentVolumeClaim" => {
                w.field(2, "Type", "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)");
                w.field(2, "ClaimName", text("claimName"));
                w.field(2, "ReadOnly", flag("readOnly"));
            }
            "nfs" => {
                w.field(2, "Type", "NFS (an NFS mount that lasts the lifetime of a pod)");
                w.field(2, "Server", text("server"));
                w.field(2, "Path", text("path"));
                w.field(2, "ReadOnly", flag("readOnly"));
            }
            "local" => {
                w.field(2, "Type", "LocalVolume (a persistent volume backed by local storage on a node)");
                w.field(2, "Path", text("path"));
            }
            "csi" => {
                w.field(2, "Type", "CSI (a Container Storage Interface (CSI) volume source)");
                w.field(2, "Driver", text("driver"));
                w.field(2, "FSType", text("fsType"));
                w.field(2, "ReadOnly", flag("readOnly"));
            }
            "downwardAPI" => {
                w.field(2, "Type", "DownwardAPI (a volume populated by information about the pod)");
                w.line(2, "Items:");
                for item in source.list_at(&["items"]) {
                    items(item, w);
                }
            }
            "projected" => projected(source, w),
            _ => {}
        }
    }
}

fn items(item: &Value, w: &mut Writer) {
    let path = item.str_at(&["path"]).unwrap_or("");
    if let Some(field) = item.str_at(&["fieldRef", "fieldPath"]) {
        w.line(3, format!("{field} -> {path}"));
    }
    if let Some(resource) = item.str_at(&["resourceFieldRef", "resource"]) {
        w.line(3, format!("{resource} -> {path}"));
    }
}

fn projected(source: &Value, w: &mut Writer) {
    w.field(2, "Type", "Projected (a volume that contains injected data from multiple sources)");
    for part in source.list_at(&["sources"]) {
        if let Some(secret) = part.get("secret") {
            w.field(2, "SecretName", show(secret.get("name")));
            w.field(2, "Optional", secret.bool_at(&["optional"]).unwrap_or(false).to_string());
        } else if part.get("downwardAPI").is_some() {
            w.field(2, "DownwardAPI", "true");
        } else if let Some(map) = part.get("configMap") {
            w.field(2, "ConfigMapName", show(map.get("name")));
            w.field(2, "Optional", map.bool_at(&["optional"]).unwrap_or(false).to_string());
        } else if let Some(token) = part.get("serviceAccountToken") {
            w.field(2, "TokenExpirationSeconds", show(token.get("expirationSeconds")));
        }
    }
}
