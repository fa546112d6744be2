//! PersistentVolumes and PersistentVolumeClaims.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Quantity, Value, json, value};

use super::pod::{claim, defaults, scheduling, volume};
use crate::check::{self, invalid_raw, not_supported_raw, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

pub static CLAIM: Rules = Rules {
    default: |e| {
        e.sub_or_new("spec", |spec| {
            defaults::claim_spec(spec);
            data_source_ref(spec);
        });
    },
    new_status: Some(|| value!({"phase": (Value::sym("Pending"))})),
    validate: |obj, errors| {
        claim::spec(obj.get("spec").unwrap_or(&Value::Null), &Path::new("spec"), errors);
    },
    update: claim_update,
    ..Rules::of(Kind::namespaced("", "persistentvolumeclaims", "PersistentVolumeClaim").status())
};

/// `dataSource` and `dataSourceRef` say the same; an absent group is printed as null.
fn data_source_ref(spec: &mut Edit) {
    for field in ["dataSource", "dataSourceRef"] {
        let nameless = |s: &Value| text(s, "name").is_empty() || text(s, "kind").is_empty();
        if spec.get(field).is_some_and(nameless) {
            spec.remove(field);
        }
    }
    for (from, to) in [("dataSource", "dataSourceRef"), ("dataSourceRef", "dataSource")] {
        if let (Some(source), false) = (spec.get(from).cloned(), spec.has(to))
            && text(&source, "namespace").is_empty()
        {
            spec.set(to, source);
        }
    }
    for field in ["dataSource", "dataSourceRef"] {
        spec.sub(field, |s| {
            if s.value().get("apiGroup").is_none() {
                s.set("apiGroup", Value::Null);
            }
        });
    }
}

/// Requests may grow once bound; everything else stays.
fn claim_update(new: &Object, old: &Object, errors: &mut ErrorList) {
    let (n, o) = (new.get("spec").unwrap_or(&Value::Null), old.get("spec").unwrap_or(&Value::Null));
    let path = Path::new("spec");
    let strip = |v: &Value| {
        let mut v = v.clone();
        for field in ["resources", "volumeAttributesClassName"] {
            v.remove_at(&[field]);
        }
        v
    };
    let size = |v: &Value| v.at(&["resources", "requests", "storage"]).and_then(|q| Quantity::from_value(q).ok());
    let mut n_rest = strip(n);
    if text(o, "volumeName").is_empty() {
        if let Some(name) = o.get("volumeName").cloned() {
            n_rest.set_at(&["volumeName"], name);
        } else {
            n_rest.remove_at(&["volumeName"]);
        }
    }
    // A claim that named no class may be given one: the default class may have come later.
    if crate::storage::names_no_class(old) {
        match o.get("storageClassName").cloned() {
            Some(before) => n_rest.set_at(&["storageClassName"], before),
            None => drop(n_rest.remove_at(&["storageClassName"])),
        }
    }
    let bound = old.str_at(&["status", "phase"]) == Some("Bound");
    if n_rest != strip(o) || (!bound && size(n) != size(o)) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.forbidden(&path, detail);
    } else if let (Some(now), Some(before)) = (size(n), size(o))
        && now < before
    {
        let resources = path.child("resources");
        errors.forbidden(&resources.child("requests").child("storage"), "field can not be less than status.capacity");
    }
}

pub static VOLUME: Rules = Rules {
    default: |e| {
        e.sub_or_new("spec", |spec| {
            spec.default_sym("persistentVolumeReclaimPolicy", "Retain");
            if !spec.has("volumeMode") {
                spec.set("volumeMode", Value::sym("Filesystem"));
            }
            defaults::quantities(spec, "capacity");
            defaults::persistent_source(spec);
        });
    },
    create: |e| {
        let now = e.get("metadata").and_then(|m| m.get("creationTimestamp")).cloned();
        e.sub_or_new("status", |s| {
            s.set("phase", Value::sym("Pending"));
            if let Some(now) = now {
                s.set("lastPhaseTransitionTime", now);
            }
        });
    },
    validate: persistent_volume,
    update: volume_update,
    warnings: |new, _, out| {
        if new.str_at(&["spec", "persistentVolumeReclaimPolicy"]) == Some("Recycle") {
            out.push(
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is \
                 to use dynamic provisioning."
                    .into(),
            );
        }
    },
    ..Rules::of(Kind::cluster("", "persistentvolumes", "PersistentVolume").status())
};

/// Members of the spec that are no volume source.
const NO_SOURCE: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn sources(spec: &Value) -> Vec<(&str, &Value)> {
    let all = spec.as_map().into_iter().flatten();
    all.filter(|(k, v)| !NO_SOURCE.contains(&&**k) && !v.is_null()).map(|(k, v)| (&**k, v)).collect()
}

fn persistent_volume(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let modes = spec.list_at(&["accessModes"]);
    if modes.is_empty() {
        errors.required(&path.child("accessModes"), "");
    }
    claim::access_modes(modes, &path.child("accessModes"), errors);
    capacity(spec, &path, errors);
    if let Some(affinity) = spec.at(&["nodeAffinity", "required"]) {
        let here = path.child("nodeAffinity");
        scheduling::node_selector(affinity, &here.child("required"), errors);
    }
    let found = sources(spec);
    if found.is_empty() {
        errors.required(&path, "must specify a volume type");
    }
    for (i, (name, source)) in found.iter().enumerate() {
        let here = path.child(name);
        if i > 0 {
            errors.forbidden(&here, "may not specify more than 1 volume type");
            continue;
        }
        source_of(name, source, spec, &path, errors);
    }
    if text(spec, "persistentVolumeReclaimPolicy") == "Recycle"
        && found.iter().any(|(n, s)| *n == "hostPath" && text(s, "path") == "/")
    {
        errors.forbidden(&path.child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'");
    }
    let policies = ["Delete", "Recycle", "Retain"];
    check::one_of(text(spec, "persistentVolumeReclaimPolicy"), &policies, &path.child("persistentVolumeReclaimPolicy"), errors);
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        check::dns1123_subdomain(class).report(errors, &path.child("storageClassName"), class);
    }
    if let Some(mode) = some(spec, "volumeMode").and_then(Value::as_str) {
        check::one_of(mode, &["Block", "Filesystem"], &path.child("volumeMode"), errors);
    }
    if let Some(class) = some(spec, "volumeAttributesClassName").and_then(Value::as_str) {
        if class.is_empty() {
            errors.required(&path.child("volumeAttributesClassName"), "an empty string is disallowed");
        } else {
            check::dns1123_subdomain(class).report(errors, &path.child("volumeAttributesClassName"), class);
        }
        if some(spec, "csi").is_none() {
            errors.required(&path.child("csi"), "has to be specified when using volumeAttributesClassName");
        }
    }
}

fn capacity(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let here = path.child("capacity");
    let list = spec.map_at(&["capacity"]);
    if list.is_none_or(|l| l.is_empty()) {
        errors.required(&here, "");
    }
    if list.is_none_or(|l| l.len() != 1 || !l.contains_key("storage")) {
        let shown = spec.get("capacity").map_or("null".into(), json::to_string);
        not_supported_raw(errors, &here, shown, &["storage"]);
    }
    for (name, v) in list.into_iter().flatten() {
        let Ok(q) = Quantity::from_value(v) else { continue };
        if q.sign() <= 0 {
            errors.invalid(&here.key(name), v.clone(), "must be greater than zero");
        }
        if q.sign() < 0 {
            errors.invalid(&here.key(name), q.value(), "must be a valid resource quantity");
        }
    }
}

fn source_of(name: &str, source: &Value, spec: &Value, path: &Path, errors: &mut ErrorList) {
    let here = path.child(name);
    match name {
        "csi" => {
            volume::csi_driver(text(source, "driver"), &here.child("driver"), errors);
            check::required(source, &["volumeHandle"], &here, errors);
            for secret in [
                "controllerPublishSecretRef",
                "controllerExpandSecretRef",
                "nodePublishSecretRef",
                "nodeExpandSecretRef",
                "nodeStageSecretRef",
            ] {
                if let Some(r) = some(source, secret) {
                    check::required(r, &["name", "namespace"], &here.child(secret), errors);
                }
            }
        }
        "local" => {
            check::required(source, &["path"], &here, errors);
            check::no_backsteps(text(source, "path"), &here.child("path"), errors);
            if spec.at(&["nodeAffinity", "required"]).is_none() {
                errors.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
            }
        }
        "hostPath" => {
            check::required(source, &["path"], &here, errors);
            volume::shared_source(source, name, &here, errors);
        }
        "nfs" => {
            check::required(source, &["server", "path"], &here, errors);
            volume::shared_source(source, name, &here, errors);
        }
        "iscsi" => {
            check::required(source, &["targetPortal", "iqn"], &here, errors);
            volume::shared_source(source, name, &here, errors);
        }
        _ => volume::shared_source(source, name, &here, errors),
    }
}

fn volume_update(new: &Object, old: &Object, errors: &mut ErrorList) {
    let (n, o) = (new.get("spec").unwrap_or(&Value::Null), old.get("spec").unwrap_or(&Value::Null));
    let path = Path::new("spec");
    let rest =
        |v: &Value| Value::from(sources(v).into_iter().map(|(k, v)| (k.into(), v.clone())).collect::<apimachinery::Fields>());
    if rest(n) != rest(o) {
        errors.forbidden(&path.child("persistentvolumesource"), "spec.persistentvolumesource is immutable after creation");
    }
    check::immutable(n.get("volumeMode"), o.get("volumeMode"), &Path::new("volumeMode"), errors);
    let affinity = |v: &Value| some(v, "nodeAffinity").cloned();
    if affinity(o).is_some() && affinity(n) != affinity(o) {
        let shown = affinity(n).map_or("null".into(), |v| json::to_string(&v));
        invalid_raw(errors, &Path::new("nodeAffinity"), shown, "field is immutable, except for updating from beta label to GA");
    }
}
