//! Rows of volumes, claims and storage classes.

use apimachinery::Value;

use super::{Row, joined};
use crate::check::text;

/// Rows of the storage group, of PersistentVolumes and their claims.
pub fn row(resource: &str, r: &Row) -> Option<Vec<Value>> {
    let flag = |path: &[&str]| Value::from(r.obj.bool_at(path) == Some(true));
    Some(match resource {
        "persistentvolumes" => {
            let claim = match r.obj.at(&["spec", "claimRef"]) {
                Some(c) => format!("{}/{}", text(c, "namespace"), text(c, "name")),
                None => String::new(),
            };
            vec![
                r.name(),
                r.text(&["spec", "capacity", "storage"], ""),
                modes(r.obj.list_at(&["spec", "accessModes"])).into(),
                r.text(&["spec", "persistentVolumeReclaimPolicy"], ""),
                phase(r),
                claim.into(),
                class(r, "volume.beta.kubernetes.io/storage-class"),
                r.text(&["spec", "volumeAttributesClassName"], "<unset>"),
                r.text(&["status", "reason"], ""),
                r.age(),
                r.text(&["spec", "volumeMode"], "<unset>"),
            ]
        }
        "persistentvolumeclaims" => {
            let volume = r.obj.str_at(&["spec", "volumeName"]).unwrap_or("");
            let bound = !volume.is_empty();
            let modes = if bound { modes(r.obj.list_at(&["status", "accessModes"])) } else { String::new() };
            let capacity = if bound { r.text(&["status", "capacity", "storage"], "") } else { "".into() };
            vec![
                r.name(),
                phase(r),
                volume.into(),
                capacity,
                modes.into(),
                class(r, "volume.beta.kubernetes.io/storage-class"),
                r.text(&["spec", "volumeAttributesClassName"], "<unset>"),
                r.age(),
                r.text(&["spec", "volumeMode"], "<unset>"),
            ]
        }
        "storageclasses" => {
            let default = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
                .iter()
                .any(|a| r.obj.annotation(a) == Some("true"));
            let name = if default { format!("{} (default)", r.obj.name()) } else { r.obj.name().into() };
            let expansion = r.obj.bool_at(&["allowVolumeExpansion"]) == Some(true);
            vec![
                name.into(),
                r.text(&["provisioner"], ""),
                r.text(&["reclaimPolicy"], "Delete"),
                r.text(&["volumeBindingMode"], "Immediate"),
                expansion.into(),
                r.age(),
            ]
        }
        "volumeattributesclasses" => vec![r.name(), r.text(&["driverName"], ""), r.age()],
        "csinodes" => vec![r.name(), (r.obj.list_at(&["spec", "drivers"]).len() as i64).into(), r.age()],
        "csidrivers" => {
            let attach = r.obj.bool_at(&["spec", "attachRequired"]) != Some(false);
            let tokens: Vec<&str> = r.obj.list_at(&["spec", "tokenRequests"]).iter().map(|t| text(t, "audience")).collect();
            let tokens = if tokens.is_empty() { "<unset>".to_string() } else { tokens.join(",") };
            let modes = joined(r.obj.list_at(&["spec", "volumeLifecycleModes"]), ",");
            vec![
                r.name(),
                attach.into(),
                flag(&["spec", "podInfoOnMount"]),
                flag(&["spec", "storageCapacity"]),
                tokens.into(),
                flag(&["spec", "requiresRepublish"]),
                modes.into(),
                r.age(),
            ]
        }
        "volumeattachments" => vec![
            r.name(),
            r.text(&["spec", "attacher"], ""),
            r.text(&["spec", "source", "persistentVolumeName"], ""),
            r.text(&["spec", "nodeName"], ""),
            flag(&["status", "attached"]),
            r.age(),
        ],
        _ => return None,
    })
}

/// The phase; `Terminating` once it is being deleted.
fn phase(r: &Row) -> Value {
    if r.obj.is_being_deleted() { "Terminating".into() } else { r.text(&["status", "phase"], "") }
}

fn class(r: &Row, annotation: &str) -> Value {
    match r.obj.annotation(annotation) {
        Some(class) => class.into(),
        None => r.text(&["spec", "storageClassName"], ""),
    }
}

/// `RWO,ROX,RWX,RWOP`, each once.
fn modes(list: &[Value]) -> String {
    let short = [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| list.iter().any(|m| m.as_str() == Some(mode));
    short.iter().filter(|(mode, _)| has(mode)).map(|(_, s)| *s).collect::<Vec<_>>().join(",")
}
