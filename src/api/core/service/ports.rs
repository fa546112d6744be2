//! Validation of a service's ports.

use apimachinery::Value;
use apimachinery::field::{ErrorList, Path};

use crate::check::{self, text};

pub fn ports(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let list = spec.list_at(&["ports"]);
    let kind = text(spec, "type");
    let here = path.child("ports");
    if list.is_empty() && !super::is_headless(spec) && kind != "ExternalName" {
        errors.required(&here, "");
    }
    let n = |p: &Value, name: &str| p.int_at(&[name]).unwrap_or(0);
    for (i, port) in list.iter().enumerate() {
        let here = here.index(i);
        one(port, &list[..i], list.len() > 1, &here, errors);
        if kind == "ClusterIP" && n(port, "nodePort") != 0 {
            errors.forbidden(&here.child("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
        let same = |o: &&Value, field: &str| text(o, "protocol") == text(port, "protocol") && n(o, field) == n(port, field);
        if kind != "ClusterIP" && n(port, "nodePort") != 0 && list[..i].iter().any(|o| same(&o, "nodePort")) {
            errors.duplicate(&here.child("nodePort"), n(port, "nodePort"));
        }
        if list[..i].iter().any(|o| same(&o, "port")) {
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":\"{}\",\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                text(port, "protocol"),
                n(port, "port")
            );
            check::duplicate_raw(errors, &here, shown, "");
        }
    }
}

fn one(port: &Value, before: &[Value], name_required: bool, path: &Path, errors: &mut ErrorList) {
    let name = text(port, "name");
    if name.is_empty() {
        if name_required {
            errors.required(&path.child("name"), "");
        }
    } else {
        check::dns1123_label(name).report(errors, &path.child("name"), name);
        if before.iter().any(|o| text(o, "name") == name) {
            errors.duplicate(&path.child("name"), name);
        }
    }
    let number = port.int_at(&["port"]).unwrap_or(0);
    if !check::port_num(number).is_none() {
        errors.invalid(&path.child("port"), number, check::PORT);
    }
    match text(port, "protocol") {
        "" => errors.required(&path.child("protocol"), ""),
        p => drop(check::one_of(p, &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors)),
    }
    check::port_or_name(port.get("targetPort"), &path.child("targetPort"), errors);
    let app = text(port, "appProtocol");
    if !app.is_empty() {
        check::qualified_name(app).report(errors, &path.child("appProtocol"), app);
    }
}
