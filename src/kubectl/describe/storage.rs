//! PersistentVolumes, claims, storage classes.

use apimachinery::{Object, Request, Value, resources};
use base::Sort as _;

use super::{Writer, or_none, show, since, title, volumes};
use crate::builder::Info;
use crate::ctx::{Ctx, Res};

/// `RWO,RWX`
fn modes(list: &[Value]) -> String {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteMany") => "RWX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "",
    };
    list.iter().map(short).collect::<Vec<_>>().join(",")
}

fn finalizers(object: &Object) -> String {
    format!("[{}]", super::join(object.finalizers(), " "))
}

pub(super) fn volume(pv: &Object, w: &mut Writer) {
    w.field(0, "Name", pv.name());
    w.labels(pv);
    w.annotations(pv);
    w.field(0, "Finalizers", finalizers(pv));
    w.field(0, "StorageClass", pv.str_at(&["spec", "storageClassName"]).unwrap_or(""));
    match pv.deletion_timestamp() {
        Some(time) => w.field(0, "Status", format!("Terminating (lasts {})", since(Some(time), w.now))),
        None => w.field(0, "Status", pv.str_at(&["status", "phase"]).unwrap_or("")),
    }
    match pv.at(&["spec", "claimRef"]) {
        Some(claim) => w.field(0, "Claim", format!("{}/{}", show(claim.get("namespace")), show(claim.get("name")))),
        None => w.field(0, "Claim", ""),
    }
    w.field(0, "Reclaim Policy", pv.str_at(&["spec", "persistentVolumeReclaimPolicy"]).unwrap_or(""));
    w.field(0, "Access Modes", modes(pv.list_at(&["spec", "accessModes"])));
    w.field(0, "VolumeMode", pv.str_at(&["spec", "volumeMode"]).unwrap_or("Filesystem"));
    w.field(0, "Capacity", show(pv.at(&["spec", "capacity", "storage"])));
    w.line(0, if pv.at(&["spec", "nodeAffinity"]).is_some() { "Node Affinity:" } else { "Node Affinity:\t<none>" });
    for term in pv.list_at(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"]) {
        w.line(1, "Required Terms:");
        for e in term.list_at(&["matchExpressions"]) {
            let operator = show(e.get("operator")).to_lowercase();
            let values = super::join(e.list_at(&["values"]), ", ");
            w.line(2, format!("Term 0:\t{} {operator} [{values}]", show(e.get("key"))));
        }
    }
    w.field(0, "Message", pv.str_at(&["status", "message"]).unwrap_or(""));
    w.line(0, "Source:");
    volumes::source(&pv.get("spec").cloned().unwrap_or_default(), w);
}

pub(super) fn claim(ctx: &mut Ctx, info: &Info, w: &mut Writer) -> Res<()> {
    let pvc = &info.object;
    let mut users = Vec::new();
    for pod in ctx.list(Request::list(resources::pods(), &info.namespace))?.items {
        let mut volumes = pod.list_at(&["spec", "volumes"]).iter();
        if volumes.any(|v| v.str_at(&["persistentVolumeClaim", "claimName"]) == Some(pvc.name())) {
            users.push(pod.name().to_string());
        }
    }
    let text = |path: &[&str]| pvc.str_at(path).unwrap_or("").to_string();
    w.head(pvc);
    w.field(0, "StorageClass", text(&["spec", "storageClassName"]));
    match pvc.deletion_timestamp() {
        Some(time) => w.field(0, "Status", format!("Terminating (lasts {})", since(Some(time), w.now))),
        None => w.field(0, "Status", text(&["status", "phase"])),
    }
    w.field(0, "Volume", text(&["spec", "volumeName"]));
    w.labels(pvc);
    w.annotations(pvc);
    w.field(0, "Finalizers", finalizers(pvc));
    let bound = !text(&["spec", "volumeName"]).is_empty();
    let capacity = if bound { show(pvc.at(&["status", "capacity", "storage"])) } else { String::new() };
    w.field(0, "Capacity", capacity);
    w.field(0, "Access Modes", if bound { modes(pvc.list_at(&["status", "accessModes"])) } else { String::new() });
    w.field(0, "VolumeMode", pvc.str_at(&["spec", "volumeMode"]).unwrap_or("Filesystem"));
    if let Some(source) = pvc.at(&["spec", "dataSource"]) {
        w.line(0, "DataSource:");
        for (name, field) in [("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name")] {
            w.field(1, name, show(source.get(field)));
        }
    }
    users.order();
    w.field(0, "Used By", or_none(users.join("\n\t")));
    Ok(())
}

pub(super) fn class(class: &Object, w: &mut Writer) {
    w.field(0, "Name", class.name());
    let default = class.annotation("storageclass.kubernetes.io/is-default-class") == Some("true");
    w.field(0, "IsDefaultClass", if default { "Yes" } else { "No" });
    w.field(0, "Annotations", super::format_labels(class.at(&["metadata", "annotations"])));
    w.field(0, "Provisioner", class.str_at(&["provisioner"]).unwrap_or(""));
    w.field(0, "Parameters", super::format_labels(class.get("parameters")));
    let expands = class.bool_at(&["allowVolumeExpansion"]);
    w.field(0, "AllowVolumeExpansion", expands.map_or("<unset>", title));
    let options = class.list_at(&["mountOptions"]);
    if options.is_empty() {
        w.field(0, "MountOptions", "<none>");
    } else {
        w.line(0, "MountOptions:");
        options.iter().filter_map(Value::as_str).for_each(|o| w.line(1, o));
    }
    w.field(0, "ReclaimPolicy", class.str_at(&["reclaimPolicy"]).unwrap_or("<unset>"));
    w.field(0, "VolumeBindingMode", class.str_at(&["volumeBindingMode"]).unwrap_or("<unset>"));
    w.line(0, "AllowedTopologies:\t<none>");
}
