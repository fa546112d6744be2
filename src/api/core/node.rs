//! Nodes.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Quantity, Value};

use super::pod::{defaults, resources, scheduling};
use crate::check::{self, duplicate_raw, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::{Kind, Strategy};

const NODE_INFO: [&str; 10] = [
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
];

static NODE: Rules = Rules {
    default,
    validate,
    update,
    ..Rules::of(Kind {
        // A kubelet registers its node with status, so a create keeps it; updates do not touch it.
        has_status: true,
        ..Kind::cluster("", "nodes", "Node").select(&[("spec.unschedulable", &["spec", "unschedulable"])])
    })
};

/// A node with status: what `prepare_for_create` of other kinds drops is kept by [`NodeStrategy`].
pub struct NodeStrategy;

impl Strategy for NodeStrategy {
    fn kind(&self) -> &Kind {
        &NODE.kind
    }
    fn default(&self, obj: &mut Object) {
        NODE.default(obj);
    }
    fn prepare_for_create(&self, obj: &mut Object) {
        obj.remove_at(&["metadata", "generation"]);
    }
    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        NODE.prepare_for_update(new, old);
    }
    fn validate(&self, obj: &Object, errors: &mut ErrorList) {
        NODE.validate(obj, errors);
    }
    fn validate_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        NODE.validate_update(new, old, errors);
    }
    fn validate_status_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        NODE.validate_update(new, old, errors);
    }
}

fn default(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        let cidr = spec.str("podCIDR").to_string();
        let list = spec.get("podCIDRs").map_or(0, |l| l.items().len());
        if !cidr.is_empty() && list == 0 {
            spec.set("podCIDRs", vec![cidr.into()]);
        } else if cidr.is_empty() && list > 0 {
            let first = spec.get("podCIDRs").and_then(|l| l.items().first()).cloned().unwrap_or_default();
            spec.set("podCIDR", first);
        }
    });
    e.sub_or_new("status", |status| {
        status.sub_or_new("daemonEndpoints", |d| d.sub_or_new("kubeletEndpoint", |k| k.default("Port", 0)));
        status.sub_or_new("nodeInfo", |info| {
            for field in NODE_INFO {
                info.default(field, Value::sym(""));
            }
        });
        defaults::quantities(status, "capacity");
        defaults::quantities(status, "allocatable");
        if let (None, Some(capacity)) = (status.get("allocatable"), status.get("capacity").cloned()) {
            status.set("allocatable", capacity);
        }
    });
}

fn validate(obj: &Object, errors: &mut ErrorList) {
    let (meta, spec) = (Path::new("metadata"), Path::new("spec"));
    taints(obj.list_at(&["spec", "taints"]), &meta.child("taints"), errors);
    let cidrs = obj.list_at(&["spec", "podCIDRs"]);
    let here = spec.child("podCIDRs");
    for (i, cidr) in cidrs.iter().enumerate() {
        check::cidr(cidr.as_str().unwrap_or(""), &here.index(i), errors);
    }
    if cidrs.len() > 2 {
        errors.invalid(&here, Value::list(cidrs.to_vec()), "may specify no more than one CIDR for each IP family");
    }
    let status = Path::new("status");
    for list in ["capacity", "allocatable"] {
        for (name, v) in obj.map_at(&["status", list]).into_iter().flatten() {
            if let Ok(q) = Quantity::from_value(v) {
                resources::amount(name, &q, v, &status.child(list).child(name), errors);
            }
        }
    }
}

/// `validateNodeTaints`
pub fn taints(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, t) in list.iter().enumerate() {
        let here = path.index(i);
        let (key, v, effect) = (text(t, "key"), text(t, "value"), text(t, "effect"));
        check::qualified_name(key).report(errors, &here.child("key"), key);
        check::label_value(v).report(errors, &here.child("value"), v);
        scheduling::taint_effect(effect, false, &here.child("effect"), errors);
        if list[..i].iter().any(|o| text(o, "key") == key && text(o, "effect") == effect) {
            let shown = format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":null}}",
                go_quote(key),
                go_quote(v),
                go_quote(effect)
            );
            duplicate_raw(errors, &here, shown, "taints must be unique by key and effect pair");
        }
    }
}

/// The pod range and the provider's id are set once.
fn update(new: &Object, old: &Object, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let ranges = |o: &Object| o.list_at(&["spec", "podCIDRs"]).to_vec();
    if !ranges(old).is_empty() && ranges(new) != ranges(old) {
        errors.forbidden(&path.child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid");
    }
    let id = |o: &Object| crate::apps::spec_text(o, "providerID").to_string();
    if !id(old).is_empty() && id(new) != id(old) {
        errors.forbidden(&path.child("providerID"), "node updates may not change providerID except from \"\" to valid");
    }
}
