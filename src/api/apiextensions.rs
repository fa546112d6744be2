//! The apiextensions group: custom resource definitions.
//!
//! Left out: see `schema.rs`.

mod schema;
mod versions;

pub use schema::{has_rules, not_enforced};

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::admissionregistration::{client_config, review_versions};
use crate::check::{self, some, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

pub static CRD: Rules = Rules {
    default: crd_defaults,
    create: |e| {
        let versions = e.get("spec").and_then(|s| s.get("versions")).cloned().unwrap_or_default();
        let stored = versions.items().iter().filter(|v| v.bool_at(&["storage"]) == Some(true));
        let stored: Vec<Value> = stored.filter_map(|v| v.get("name").cloned()).take(1).collect();
        let mut status = value!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null});
        status.set_at(&["storedVersions"], if stored.is_empty() { Value::Null } else { Value::list(stored) });
        e.set("status", status);
    },
    validate: crd,
    prepare_update: note_storage_version,
    update: immutable,
    warnings: schema::warnings,
    ..Rules::of(
        Kind::cluster("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition")
            .status()
            .generation()
            .conditional()
            .names(NameRule::Own),
    )
};

/// A version that objects are stored in is remembered until somebody says that none are left.
fn note_storage_version(new: &mut Object, _: &Object) {
    let marked = new.list_at(&["spec", "versions"]).iter().find(|v| v.bool_at(&["storage"]) == Some(true));
    let Some(name) = marked.and_then(|v| v.get("name")).cloned() else { return };
    if !new.list_at(&["status", "storedVersions"]).contains(&name) {
        new.value_mut().entry(&["status", "storedVersions"]).list_mut().push(name);
    }
}

/// What objects that are stored already depend on.
fn immutable(new: &Object, old: &Object, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let mut keep = |names: &[&str]| {
        let (now, before) = (new.get("spec").and_then(|s| s.at(names)), old.get("spec").and_then(|s| s.at(names)));
        match names {
            [parent, name] => check::immutable(now, before, &path.child(parent).child(name), errors),
            [name, ..] => check::immutable(now, before, &path.child(name), errors),
            [] => true,
        };
    };
    if old.condition_is_true("Established") {
        keep(&["scope"]);
        keep(&["names", "kind"]);
    }
    keep(&["group"]);
    keep(&["names", "plural"]);
}

/// Groups of Kubernetes' own need its word. Models `validateAPIApproval`.
fn approval(obj: &Object, group: &str, errors: &mut ErrorList) {
    let protected =
        group == "k8s.io" || group == "kubernetes.io" || group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io");
    let meta = Path::new("metadata");
    let annotations = meta.child("annotations");
    let path = annotations.key("api-approved.kubernetes.io");
    match obj.annotation("api-approved.kubernetes.io").unwrap_or("") {
        _ if !protected => {}
        "" => errors.required(
            &path,
            "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
        ),
        text if text.starts_with("unapproved") || text.starts_with("https://") || text.starts_with("http://") => {}
        text => errors.invalid(
            &path,
            text,
            "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111",
        ),
    }
}

fn crd_defaults(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        spec.sub_or_new("names", |n| {
            let kind = n.str("kind").to_string();
            n.default_sym("singular", &kind.to_lowercase());
            if !kind.is_empty() {
                n.default_sym("listKind", &format!("{kind}List"));
            }
        });
        spec.sub_or_new("conversion", |c| {
            if !c.has("strategy") {
                c.set("strategy", Value::sym("None"));
            }
            c.sub("webhook", |w| w.sub("clientConfig", |c| c.sub("service", |s| s.default("port", 443))));
        });
    });
}

fn crd(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let (meta, path) = (Path::new("metadata"), Path::new("spec"));
    let plural = spec.str_at(&["names", "plural"]).unwrap_or("");
    let group = text(spec, "group");
    check::dns1123_subdomain(obj.name()).report(errors, &meta.child("name"), obj.name());
    if !obj.name().is_empty() && obj.name() != format!("{plural}.{group}") {
        errors.invalid(&meta.child("name"), obj.name(), "must be spec.names.plural+\".\"+spec.group");
    }
    match group {
        "" => errors.required(&path.child("group"), ""),
        g => {
            check::dns1123_subdomain(g).report(errors, &path.child("group"), g);
            if g.split('.').count() < 2 && check::dns1123_subdomain(g).is_none() {
                errors.invalid(&path.child("group"), g, "should be a domain with at least one dot");
            }
        }
    }
    approval(obj, group, errors);
    match text(spec, "scope") {
        "" => errors.required(&path.child("scope"), ""),
        s => drop(check::one_of(s, &["Cluster", "Namespaced"], &path.child("scope"), errors)),
    }
    crd_names(spec.get("names").unwrap_or(&Value::Null), &path.child("names"), errors);
    versions::versions(spec, &path, errors);
    versions::stored(spec, obj.get("status").unwrap_or(&Value::Null), errors);
    if spec.bool_at(&["preserveUnknownFields"]) == Some(true) {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.invalid(&path.child("preserveUnknownFields"), true, detail);
    }
    conversion(spec.get("conversion").unwrap_or(&Value::Null), &path.child("conversion"), errors);
}

fn crd_names(names: &Value, path: &Path, errors: &mut ErrorList) {
    for field in ["plural", "singular"] {
        match text(names, field) {
            "" => errors.required(&path.child(field), ""),
            n => check::dns1035_label(n).report(errors, &path.child(field), n),
        }
    }
    let (kind, list) = (text(names, "kind"), text(names, "listKind"));
    for (field, v) in [("kind", kind), ("listKind", list)] {
        if v.is_empty() {
            errors.required(&path.child(field), "");
            continue;
        }
        for wrong in check::dns1035_label(&v.to_lowercase()).iter() {
            errors.invalid(&path.child(field), v, format!("may have mixed case, but should otherwise match: {wrong}"));
        }
    }
    if !kind.is_empty() && kind == list {
        errors.invalid(&path.child("listKind"), list, "kind and listKind may not be the same");
    }
    for field in ["shortNames", "categories"] {
        for (i, n) in names.list_at(&[field]).iter().enumerate() {
            let n = n.as_str().unwrap_or("");
            check::dns1035_label(n).report(errors, &path.child(field).index(i), n);
        }
    }
}

fn conversion(c: &Value, path: &Path, errors: &mut ErrorList) {
    let webhook = some(c, "webhook");
    let config = webhook.and_then(|w| some(w, "clientConfig"));
    let versions = webhook.map_or(&[][..], |w| w.list_at(&["conversionReviewVersions"]));
    match text(c, "strategy") {
        "Webhook" => {
            match config {
                None => errors.required(&path.child("webhookClientConfig"), "required when strategy is set to Webhook"),
                Some(config) => client_config(config, &path.child("webhookClientConfig"), errors),
            }
            review_versions(versions, &path.child("conversionReviewVersions"), false, errors);
        }
        strategy => {
            match strategy {
                "" => errors.required(&path.child("strategy"), ""),
                s => drop(check::one_of(s, &["None", "Webhook"], &path.child("strategy"), errors)),
            }
            const ONLY: &str = "should not be set when strategy is not set to Webhook";
            if config.is_some() {
                errors.forbidden(&path.child("webhookClientConfig"), ONLY);
            }
            if !versions.is_empty() {
                errors.forbidden(&path.child("conversionReviewVersions"), ONLY);
            }
        }
    }
}
