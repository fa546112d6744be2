//! The resource group: claims of devices. Left out: CEL selectors are not compiled, configurations not looked into.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::check::{self, duplicate_raw, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

const GROUP: &str = "resource.k8s.io";

fn devices_default(e: &mut Edit) {
    e.sub("devices", |d| {
        d.each("requests", |r| {
            r.sub("exactly", |x| {
                x.default_sym("allocationMode", "ExactCount");
                if x.str("allocationMode") == "ExactCount" {
                    x.default_int("count", 1);
                }
            });
            r.each("firstAvailable", |x| {
                x.default_sym("allocationMode", "ExactCount");
                if x.str("allocationMode") == "ExactCount" {
                    x.default_int("count", 1);
                }
            });
        });
    });
}

pub static CLAIM: Rules = Rules {
    default: |e| e.sub_or_new("spec", devices_default),
    new_status: Some(|| value!({})),
    validate: |obj, errors| claim(obj.get("spec").unwrap_or(&Value::Null), &Path::new("spec"), errors),
    update: check::immutable_spec,
    ..Rules::of(Kind::namespaced(GROUP, "resourceclaims", "ResourceClaim").status())
};

pub static CLAIM_TEMPLATE: Rules = Rules {
    default: |e| {
        e.sub_or_new("spec", |s| {
            s.default("metadata", Value::map());
            s.sub_or_new("spec", devices_default);
        });
    },
    validate: |obj, errors| {
        let spec = Path::new("spec");
        claim(obj.at(&["spec", "spec"]).unwrap_or(&Value::Null), &spec.child("spec"), errors);
    },
    update: check::immutable_spec,
    ..Rules::of(Kind::namespaced(GROUP, "resourceclaimtemplates", "ResourceClaimTemplate"))
};

fn claim(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let devices = spec.get("devices").unwrap_or(&Value::Null);
    let here = path.child("devices");
    let requests = devices.list_at(&["requests"]);
    for (i, r) in requests.iter().enumerate() {
        let list = here.child("requests");
        request(r, &requests[..i], &list.index(i), errors);
    }
    for (i, c) in devices.list_at(&["constraints"]).iter().enumerate() {
        let list = here.child("constraints");
        constraint(c, requests, &list.index(i), errors);
    }
    for (i, c) in devices.list_at(&["config"]).iter().enumerate() {
        let list = here.child("config");
        opaque(c, &list.index(i), errors);
    }
}

/// Driver parameters: only the opaque kind exists.
fn opaque(c: &Value, path: &Path, errors: &mut ErrorList) {
    let here = path.child("opaque");
    let Some(o) = some(c, "opaque") else { return errors.required(&here, "") };
    match text(o, "driver") {
        "" => errors.required(&here.child("driver"), ""),
        d => {
            if d.len() > 63 {
                errors.too_long(&here.child("driver"), 63);
            }
            check::dns1123_subdomain_caseless(d).report(errors, &here.child("driver"), d);
        }
    }
    if o.get("parameters").is_none_or(Value::is_null) {
        errors.required(&here.child("parameters"), "");
    }
}

fn request(r: &Value, before: &[Value], path: &Path, errors: &mut ErrorList) {
    let name = text(r, "name");
    check::dns1123_label(name).report(errors, &path.child("name"), name);
    if before.iter().any(|o| text(o, "name") == name) {
        let exactly = some(r, "exactly").map_or(String::new(), |x| format!(",\"exactly\":{}", render_exactly(x)));
        duplicate_raw(errors, path, format!("{{\"name\":\"{name}\"{exactly}}}"), "");
    }
    let (exactly, first) = (some(r, "exactly"), r.list_at(&["firstAvailable"]));
    if exactly.is_some() != first.is_empty() {
        let detail = match exactly {
            None => "exactly one of `exactly` or `firstAvailable` is required",
            Some(_) => "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set",
        };
        errors.required(path, detail);
    }
    if let Some(x) = exactly {
        exact(x, &path.child("exactly"), errors);
    }
    for (i, x) in first.iter().enumerate() {
        let list = path.child("firstAvailable");
        let here = list.index(i);
        let name = text(x, "name");
        check::dns1123_label(name).report(errors, &here.child("name"), name);
        exact(x, &here, errors);
    }
}

fn render_exactly(x: &Value) -> String {
    let fields = ["deviceClassName", "selectors", "allocationMode", "count", "adminAccess"];
    let shown = fields.iter().filter_map(|f| some(x, f).map(|v| format!("\"{f}\":{}", apimachinery::json::to_string(v))));
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

fn exact(x: &Value, path: &Path, errors: &mut ErrorList) {
    match text(x, "deviceClassName") {
        "" => errors.required(&path.child("deviceClassName"), ""),
        class => check::dns1123_subdomain(class).report(errors, &path.child("deviceClassName"), class),
    }
    selectors(x, path, errors);
    let count = x.int_at(&["count"]).unwrap_or(0);
    match text(x, "allocationMode") {
        "All" if count != 0 => errors.invalid(&path.child("count"), count, "must not be specified when allocationMode is 'All'"),
        "All" => {}
        "ExactCount" if count <= 0 => errors.invalid(&path.child("count"), count, "must be greater than zero"),
        "ExactCount" => {}
        other => errors.not_supported(&path.child("allocationMode"), other, &["All", "ExactCount"]),
    }
}

fn selectors(v: &Value, path: &Path, errors: &mut ErrorList) {
    for (i, s) in v.list_at(&["selectors"]).iter().enumerate() {
        let list = path.child("selectors");
        let here = list.index(i);
        if some(s, "cel").is_none() {
            errors.required(&here.child("cel"), "");
        }
    }
}

fn constraint(c: &Value, requests: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, name) in c.list_at(&["requests"]).iter().enumerate() {
        let name = name.as_str().unwrap_or("");
        let base = name.split('/').next().unwrap_or("");
        if !requests.iter().any(|r| text(r, "name") == base) {
            let detail = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
            errors.invalid(&path.child("requests").index(i), name, detail);
        }
    }
    let attribute = |f: &str| some(c, f).and_then(Value::as_str);
    match (attribute("matchAttribute"), attribute("distinctAttribute")) {
        (Some(_), Some(_)) => {
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
            errors.required(path, detail);
        }
        (None, None) => errors.required(path, "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required"),
        (Some(name), _) if !name.contains('/') => {
            let detail = "a fully qualified name must be a domain and a name separated by a slash";
            errors.invalid(&path.child("matchAttribute"), name, detail);
        }
        _ => {}
    }
}

pub static DEVICE_CLASS: Rules = Rules {
    validate: |obj, errors| {
        let spec = obj.get("spec").unwrap_or(&Value::Null);
        let path = Path::new("spec");
        selectors(spec, &path, errors);
        for (i, c) in spec.list_at(&["config"]).iter().enumerate() {
            let list = path.child("config");
            opaque(c, &list.index(i), errors);
        }
    },
    ..Rules::of(Kind::cluster(GROUP, "deviceclasses", "DeviceClass").generation())
};

pub static SLICE: Rules = Rules {
    validate: slice,
    ..Rules::of(
        Kind::cluster(GROUP, "resourceslices", "ResourceSlice")
            .generation()
            .select(&[("spec.nodeName", &["spec", "nodeName"]), ("spec.driver", &["spec", "driver"])]),
    )
};

fn slice(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    match text(spec, "driver") {
        "" => errors.required(&path.child("driver"), ""),
        d => {
            if d.len() > 63 {
                errors.too_long(&path.child("driver"), 63);
            }
            check::dns1123_subdomain(d).report(errors, &path.child("driver"), d);
        }
    }
    pool(spec.get("pool").unwrap_or(&Value::Null), &path.child("pool"), errors);
    let node = some(spec, "nodeName").and_then(Value::as_str);
    let places = usize::from(node.is_some_and(|n| !n.is_empty()))
        + usize::from(some(spec, "nodeSelector").is_some())
        + usize::from(spec.bool_at(&["allNodes"]) == Some(true))
        + usize::from(spec.bool_at(&["perDeviceNodeSelection"]) == Some(true));
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match places {
        0 => errors.required(&path, ONE),
        1 => {}
        _ => errors.required(&path, format!("{ONE}, but multiple fields are set")),
    }
    match node {
        Some("") => errors.invalid(&path.child("nodeName"), "", "must be either unset or set to a non-empty string"),
        Some(n) => check::dns1123_subdomain(n).report(errors, &path.child("nodeName"), n),
        None => {}
    }
    let devices = spec.list_at(&["devices"]);
    let list = path.child("devices");
    for (i, d) in devices.iter().enumerate() {
        let here = list.index(i);
        let name = text(d, "name");
        if devices[..i].iter().any(|o| text(o, "name") == name) {
            errors.duplicate(&here, name);
        }
        check::dns1123_label(name).report(errors, &here.child("name"), name);
    }
}

fn pool(p: &Value, path: &Path, errors: &mut ErrorList) {
    let name = text(p, "name");
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        if name.len() > 253 {
            errors.too_long(&path.child("name"), 253);
        }
        for part in name.split('/') {
            check::dns1123_subdomain(part).report(errors, &path.child("name"), part);
        }
    }
    let count = p.int_at(&["resourceSliceCount"]).unwrap_or(0);
    if count <= 0 {
        errors.invalid(&path.child("resourceSliceCount"), count, "must be greater than zero");
    }
    let generation = p.int_at(&["generation"]).unwrap_or(0);
    if generation < 0 {
        errors.invalid(&path.child("generation"), generation, check::NON_NEGATIVE);
    }
}
