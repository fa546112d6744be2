//! The storage group.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::check::{self, some, text};
use crate::core::pod::volume;
use crate::rules::Rules;
use crate::strategy::Kind;

const GROUP: &str = "storage.k8s.io";
/// Where a claim named its class before it was a field.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Whether a claim leaves its class to the cluster. Models `PersistentVolumeClaimHasClass`, the other way round.
pub fn names_no_class(claim: &Object) -> bool {
    claim.str_at(&["spec", "storageClassName"]).is_none() && claim.annotation(BETA_CLASS).is_none()
}

/// The class that claims get that name none: of several defaults the newest, of equally old ones the first by name. Models
/// `pkg/volume/util/storageclass.go`.
pub fn default_class<'a>(classes: impl Iterator<Item = &'a Object>) -> Option<&'a Object> {
    let newest = |c: &&Object| (c.creation_timestamp(), std::cmp::Reverse(c.name().to_string()));
    classes.filter(|c| c.annotation(DEFAULT) == Some("true")).max_by_key(newest)
}

pub static STORAGE_CLASS: Rules = Rules {
    default: |e| {
        if !e.has("reclaimPolicy") {
            e.set("reclaimPolicy", Value::sym("Delete"));
        }
        if !e.has("volumeBindingMode") {
            e.set("volumeBindingMode", Value::sym("Immediate"));
        }
    },
    validate: storage_class,
    update: |new, old, errors| {
        if !check::same(new.get("parameters"), old.get("parameters")) {
            errors.forbidden(&Path::new("parameters"), "updates to parameters are forbidden.");
        }
        if new.get("provisioner") != old.get("provisioner") {
            errors.invalid(&Path::new("provisioner"), Value::Null, "field is immutable");
        }
        if new.get("reclaimPolicy") != old.get("reclaimPolicy") {
            errors.forbidden(&Path::new("reclaimPolicy"), "updates to reclaimPolicy are forbidden.");
        }
        let path = Path::new("volumeBindingMode");
        check::immutable(new.get("volumeBindingMode"), old.get("volumeBindingMode"), &path, errors);
    },
    ..Rules::of(Kind::cluster(GROUP, "storageclasses", "StorageClass"))
};

/// The name of a driver: a qualified name, compared in lower case.
fn provisioner(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    let lower = name.to_lowercase();
    check::qualified_name(&lower).report(errors, path, &lower);
}

fn parameters(obj: &Object, errors: &mut ErrorList) {
    let path = Path::new("parameters");
    let mut size = 0;
    for (k, v) in obj.map_at(&["parameters"]).into_iter().flatten() {
        if k.is_empty() {
            errors.invalid(&path, "", "field can not be empty.");
        }
        size += k.len() + v.as_str().map_or(0, str::len);
    }
    if size > 256 * 1024 {
        errors.too_long(&path, 256 * 1024);
    }
}

fn storage_class(obj: &Object, errors: &mut ErrorList) {
    provisioner(obj.str_at(&["provisioner"]).unwrap_or(""), &Path::new("provisioner"), errors);
    parameters(obj, errors);
    let policy = obj.str_at(&["reclaimPolicy"]).unwrap_or("");
    if !policy.is_empty() {
        check::one_of(policy, &["Delete", "Retain"], &Path::new("reclaimPolicy"), errors);
    }
    let mode = obj.str_at(&["volumeBindingMode"]).unwrap_or("");
    check::one_of(mode, &["Immediate", "WaitForFirstConsumer"], &Path::new("volumeBindingMode"), errors);
    topologies(obj.list_at(&["allowedTopologies"]), errors);
}

fn topologies(list: &[Value], errors: &mut ErrorList) {
    let path = Path::new("allowedTopologies");
    for (i, term) in list.iter().enumerate() {
        let here = path.index(i);
        let all = here.child("matchLabelExpressions");
        let expressions = term.list_at(&["matchLabelExpressions"]);
        if list[..i].contains(term) || expressions.is_empty() {
            errors.duplicate(&all, "");
        }
        for (j, req) in expressions.iter().enumerate() {
            let here = all.index(j);
            let values = req.list_at(&["values"]);
            if values.is_empty() {
                errors.required(&here.child("values"), "");
            }
            for (k, v) in values.iter().enumerate() {
                let v = v.as_str().unwrap_or("");
                if values[..k].iter().any(|o| o.as_str() == Some(v)) {
                    errors.duplicate(&here.child("values").index(k), v);
                }
            }
            let key = text(req, "key");
            check::qualified_name(key).report(errors, &here.child("key"), key);
            if expressions[..j].iter().any(|o| text(o, "key") == key) {
                errors.duplicate(&here.child("key"), key);
            }
        }
    }
}

pub static VOLUME_ATTRIBUTES_CLASS: Rules = Rules {
    validate: |obj, errors| {
        provisioner(obj.str_at(&["driverName"]).unwrap_or(""), &Path::new("driverName"), errors);
        if obj.map_at(&["parameters"]).is_none_or(|p| p.is_empty()) {
            errors.required(&Path::new("parameters"), "must contain at least one key/value pair");
        }
        parameters(obj, errors);
    },
    update: |new, old, errors| {
        for field in ["driverName", "parameters"] {
            if !check::same(new.get(field), old.get(field)) {
                errors.forbidden(&Path::new(field), format!("updates to {field} are forbidden."));
            }
        }
    },
    ..Rules::of(Kind::cluster(GROUP, "volumeattributesclasses", "VolumeAttributesClass"))
};

pub static CSI_DRIVER: Rules = Rules {
    default: |e| {
        e.sub_or_new("spec", |spec| {
            spec.default("attachRequired", true);
            spec.default("podInfoOnMount", false);
            spec.default("storageCapacity", false);
            spec.default_sym("fsGroupPolicy", "ReadWriteOnceWithFSType");
            if spec.get("volumeLifecycleModes").is_none_or(Value::is_empty) {
                spec.set("volumeLifecycleModes", vec![Value::sym("Persistent")]);
            }
            spec.default("requiresRepublish", false);
            spec.default("seLinuxMount", false);
            spec.default("preventPodSchedulingIfMissing", false);
        });
    },
    validate: csi_driver,
    ..Rules::of(Kind::cluster(GROUP, "csidrivers", "CSIDriver").conditional())
};

fn csi_driver(obj: &Object, errors: &mut ErrorList) {
    let path = Path::new("spec");
    if let Some(p) = obj.str_at(&["spec", "fsGroupPolicy"]) {
        check::one_of(p, &["File", "None", "ReadWriteOnceWithFSType"], &path.child("fsGroupPolicy"), errors);
    }
    for mode in obj.list_at(&["spec", "volumeLifecycleModes"]) {
        let set = ["Persistent", "Ephemeral"];
        check::one_of(mode.as_str().unwrap_or(""), &set, &path.child("volumeLifecycleModes"), errors);
    }
    let requests = obj.list_at(&["spec", "tokenRequests"]);
    for (i, r) in requests.iter().enumerate() {
        let list = path.child("tokenRequests");
        let here = list.index(i);
        if requests[..i].iter().any(|o| text(o, "audience") == text(r, "audience")) {
            errors.duplicate(&here.child("audience"), text(r, "audience"));
        }
        if let Some(n) = r.int_at(&["expirationSeconds"]) {
            if n < 600 {
                errors.invalid(&here.child("expirationSeconds"), n, "may not specify a duration less than 10 minutes");
            } else if n > 1 << 32 {
                errors.invalid(&here.child("expirationSeconds"), n, "may not specify a duration larger than 2^32 seconds");
            }
        }
    }
}

pub static CSI_NODE: Rules = Rules {
    default: |e| {
        e.sub_or_new("spec", |s| {
            if s.value().get("drivers").is_none() {
                s.set("drivers", Value::Null);
            }
            s.each("drivers", |d| {
                if d.value().get("topologyKeys").is_none() {
                    d.set("topologyKeys", Value::Null);
                }
            });
        });
    },
    new_status: Some(|| value!({})),
    validate: csi_node,
    ..Rules::of(Kind::cluster(GROUP, "csinodes", "CSINode").status().conditional())
};

fn csi_node(obj: &Object, errors: &mut ErrorList) {
    let spec = Path::new("spec");
    let list = spec.child("drivers");
    let drivers = obj.list_at(&["spec", "drivers"]);
    for (i, d) in drivers.iter().enumerate() {
        let here = list.index(i);
        let name = text(d, "name");
        volume::csi_driver(name, &here.child("name"), errors);
        if drivers[..i].iter().any(|o| text(o, "name") == name) {
            errors.duplicate(&here.child("name"), name);
        }
        let id = text(d, "nodeID");
        if id.is_empty() {
            errors.required(&here.child("nodeID"), "");
        } else if id.len() > 256 {
            errors.invalid(&here.child("nodeID"), id, "must be 256 characters or less");
        }
        if let Some(n) = d.int_at(&["allocatable", "count"])
            && n < 0
        {
            errors.invalid(&here.child("allocatable").child("count"), n, check::NON_NEGATIVE);
        }
        let keys = d.list_at(&["topologyKeys"]);
        for (j, key) in keys.iter().enumerate() {
            let key = key.as_str().unwrap_or("");
            if key.is_empty() {
                errors.required(&here, "");
            } else if keys[..j].iter().any(|k| k.as_str() == Some(key)) {
                errors.duplicate(&here, key);
            }
            check::qualified_name(key).report(errors, &here, key);
        }
    }
}

pub static CSI_STORAGE_CAPACITY: Rules = Rules {
    validate: |obj, errors| {
        let class = obj.str_at(&["storageClassName"]).unwrap_or("");
        check::dns1123_subdomain(class).report(errors, &Path::new("storageClassName"), class);
        check::label_selector(obj.get("nodeTopology"), &Path::new("nodeTopology"), errors);
    },
    update: |new, old, errors| {
        for field in ["nodeTopology", "storageClassName"] {
            check::immutable(new.get(field), old.get(field), &Path::new(field), errors);
        }
    },
    ..Rules::of(Kind::namespaced(GROUP, "csistoragecapacities", "CSIStorageCapacity").conditional())
};

pub static VOLUME_ATTACHMENT: Rules = Rules {
    new_status: Some(|| value!({"attached": false})),
    validate: attachment,
    update: |new, old, errors| check::immutable_spec(new, old, errors),
    ..Rules::of(Kind::cluster(GROUP, "volumeattachments", "VolumeAttachment").status().conditional())
};

fn attachment(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let attacher = text(spec, "attacher");
    let here = path.child("attacher");
    if attacher.is_empty() {
        errors.required(&here, "");
    } else {
        for text in check::dns1123_subdomain_caseless(attacher).iter() {
            errors.invalid(&here, attacher, text.replace("253 characters", "253 bytes"));
        }
        if attacher.len() > 63 {
            errors.push(apimachinery::field::Error {
                kind: apimachinery::field::ErrorType::TooLong,
                field: here.to_string(),
                bad_value: String::new(),
                detail: "may not be more than 63 characters".into(),
            });
        }
    }
    let node = text(spec, "nodeName");
    check::dns1123_subdomain(node).report(errors, &path.child("nodeName"), node);
    let source = spec.get("source").unwrap_or(&Value::Null);
    let here = path.child("source");
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (some(source, "inlineVolumeSpec"), some(source, "persistentVolumeName").and_then(Value::as_str)) {
        (None, None) => errors.required(&here, ONE),
        (Some(_), Some(_)) => errors.forbidden(&here, ONE),
        (_, Some(name)) => {
            let here = here.child("persistentVolumeName");
            if name.is_empty() {
                errors.required(&here, "must specify non empty persistentVolumeName");
            }
            check::dns1123_subdomain(name).report(errors, &here, name);
        }
        _ => {}
    }
}
