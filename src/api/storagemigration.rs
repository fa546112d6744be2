//! The storagemigration group.

use apimachinery::field::Path;
use apimachinery::{Value, value};

use crate::check::{self, text};
use crate::rules::Rules;
use crate::strategy::Kind;

pub static MIGRATION: Rules = Rules {
    new_status: Some(|| value!({})),
    validate: |obj, errors| {
        let spec = Path::new("spec");
        let path = spec.child("resource");
        let resource = obj.at(&["spec", "resource"]).unwrap_or(&Value::Null);
        match text(resource, "resource") {
            "" => errors.required(&path.child("resource"), "resource is required to be set"),
            r => check::dns1123_label(r).report(errors, &path.child("resource"), r),
        }
        let group = text(resource, "group");
        if !group.is_empty() {
            check::dns1123_subdomain(group).report(errors, &path.child("group"), group);
        }
    },
    ..Rules::of(Kind::cluster("storagemigration.k8s.io", "storageversionmigrations", "StorageVersionMigration").status())
};
