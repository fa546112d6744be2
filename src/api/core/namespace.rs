//! Namespaces: born active with a finalizer of their own; `finalize` and `status` have a subresource each.

use apimachinery::field::Path;
use apimachinery::{Value, value};

use crate::meta;
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

/// Every namespace wears its name as a label.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub static NAMESPACE: Rules = Rules {
    default: |e| {
        e.sub_or_new("metadata", |m| {
            let name = m.get("name").cloned().unwrap_or_default();
            if name.as_str().is_some_and(|n| !n.is_empty()) {
                m.sub_or_new("labels", |labels| labels.set(NAME_LABEL, name));
            }
        });
        e.default("spec", Value::map());
    },
    create: |e| {
        e.sub_or_new("spec", |spec| {
            let mut list = spec.get("finalizers").map_or(Vec::new(), |l| l.items().to_vec());
            if !list.iter().any(|f| f.as_str() == Some("kubernetes")) {
                list.push(Value::sym("kubernetes"));
                spec.set("finalizers", list);
            }
        });
    },
    new_status: Some(|| value!({"phase": (Value::sym("Active"))})),
    prepare_update: |new, old| match old.at(&["spec", "finalizers"]) {
        Some(f) => new.set_at(&["spec", "finalizers"], f),
        None => drop(new.remove_at(&["spec", "finalizers"])),
    },
    status: |new, _, errors| {
        let phase = new.str_at(&["status", "phase"]).unwrap_or("");
        let path = Path::new("status");
        let being_deleted = new.is_being_deleted();
        if being_deleted && phase != "Terminating" {
            let detail = "may only be 'Terminating' if `deletionTimestamp` is not empty";
            errors.invalid(&path.child("Phase"), phase, detail);
        } else if !being_deleted && phase != "Active" {
            errors.invalid(&path.child("Phase"), phase, "may only be 'Active' if `deletionTimestamp` is empty");
        }
    },
    subresource: Some(("finalize", |new, old| meta::keep_field("status", new, old))),
    ..Rules::of(
        Kind::cluster("", "namespaces", "Namespace")
            .status()
            .names(NameRule::DnsLabel)
            .select(&[("status.phase", &["status", "phase"])]),
    )
};
