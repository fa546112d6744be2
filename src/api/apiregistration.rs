//! The apiregistration group: API services.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::check::{self, some, text};
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

pub static API_SERVICE: Rules = Rules {
    default: |e| e.sub("spec", |s| s.sub("service", |s| s.default("port", 443))),
    new_status: Some(|| value!({})),
    validate: api_service,
    ..Rules::of(
        Kind::cluster("apiregistration.k8s.io", "apiservices", "APIService").status().conditional().names(NameRule::PathSegment),
    )
};

fn api_service(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let (meta, path) = (Path::new("metadata"), Path::new("spec"));
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    let name = format!("{version}.{group}");
    if obj.name() != name && !obj.name().is_empty() && check::path_segment(obj.name()).is_none() {
        errors.invalid(&meta.child("name"), obj.name(), format!("must be `spec.version+\".\"+spec.group`: \"{name}\""));
    }
    if group.is_empty() {
        if version != "v1" {
            errors.required(&path.child("group"), "only v1 may have an empty group and it better be legacy kube");
        }
    } else {
        check::dns1123_subdomain(group).report(errors, &path.child("group"), group);
    }
    check::dns1035_label(version).report(errors, &path.child("version"), version);
    for (field, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let n = spec.int_at(&[field]).unwrap_or(0);
        if n <= 0 || n > max {
            errors.invalid(&path.child(field), n, format!("must be positive and less than {max}"));
        }
    }
    let ca = !text(spec, "caBundle").is_empty();
    let insecure = spec.bool_at(&["insecureSkipTLSVerify"]) == Some(true);
    match some(spec, "service") {
        None => {
            if ca {
                errors.invalid(&path.child("caBundle"), "<value omitted>", "local APIServices may not have a caBundle");
            }
            if insecure {
                errors.invalid(
                    &path.child("insecureSkipTLSVerify"),
                    true,
                    "local APIServices may not have insecureSkipTLSVerify",
                );
            }
        }
        Some(s) => {
            let here = path.child("service");
            check::required(s, &["namespace", "name"], &here, errors);
            let port = s.int_at(&["port"]).unwrap_or(443);
            if !check::port_num(port).is_none() {
                errors.invalid(&here.child("port"), port, format!("port is not valid: {}", check::PORT));
            }
            if insecure && ca {
                errors.invalid(&path.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
            }
        }
    }
}
