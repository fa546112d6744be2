//! Roles and bindings.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Value};

use crate::check::{self, invalid_raw, text};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

const GROUP: &str = "rbac.authorization.k8s.io";

pub static ROLE: Rules = Rules {
    default: rules_default,
    validate: |obj, errors| rules(obj, true, errors),
    ..Rules::of(Kind::namespaced(GROUP, "roles", "Role").create_on_update().names(NameRule::PathSegment))
};

pub static CLUSTER_ROLE: Rules = Rules {
    default: rules_default,
    validate: |obj, errors| {
        rules(obj, false, errors);
        let Some(aggregation) = obj.get("aggregationRule").filter(|v| !v.is_null()) else { return };
        let path = Path::new("aggregationRule");
        let list = path.child("clusterRoleSelectors");
        let selectors = aggregation.list_at(&["clusterRoleSelectors"]);
        if selectors.is_empty() {
            errors.required(&list, "at least one clusterRoleSelector required if aggregationRule is non-nil");
        }
        for (i, s) in selectors.iter().enumerate() {
            let before = errors.len();
            check::label_selector(Some(s), &list.index(i), errors);
            if errors.len() > before {
                errors.invalid(&list.index(i), Value::Null, "invalid label selector.");
            }
        }
    },
    ..Rules::of(Kind::cluster(GROUP, "clusterroles", "ClusterRole").create_on_update().names(NameRule::PathSegment))
};

/// `rules` is always printed.
fn rules_default(e: &mut Edit) {
    if e.value().get("rules").is_none() {
        e.set("rules", Value::Null);
    }
}

fn rules(obj: &Object, namespaced: bool, errors: &mut ErrorList) {
    let path = Path::new("rules");
    for (i, rule) in obj.list_at(&["rules"]).iter().enumerate() {
        let here = path.index(i);
        let list = |f: &str| rule.list_at(&[f]);
        if list("verbs").is_empty() {
            errors.required(&here.child("verbs"), "");
        }
        let urls = list("nonResourceURLs");
        if !urls.is_empty() {
            let shown = || Value::list(urls.to_vec());
            if namespaced {
                errors.invalid(&here.child("nonResourceURLs"), shown(), "namespaced rules cannot apply to non-resource URLs");
            }
            if !list("apiGroups").is_empty() || !list("resources").is_empty() || !list("resourceNames").is_empty() {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(&here.child("nonResourceURLs"), shown(), detail);
            }
            continue;
        }
        if list("apiGroups").is_empty() {
            errors.required(&here.child("apiGroups"), "resource rules must supply at least one api group");
        }
        if list("resources").is_empty() {
            errors.required(&here.child("resources"), "resource rules must supply at least one resource");
        }
    }
}

pub static ROLE_BINDING: Rules = Rules {
    default: binding_default,
    validate: |obj, errors| binding(obj, true, errors),
    update: role_ref_immutable,
    ..Rules::of(Kind::namespaced(GROUP, "rolebindings", "RoleBinding").create_on_update().names(NameRule::PathSegment))
};

pub static CLUSTER_ROLE_BINDING: Rules = Rules {
    default: binding_default,
    validate: |obj, errors| binding(obj, false, errors),
    update: role_ref_immutable,
    ..Rules::of(Kind::cluster(GROUP, "clusterrolebindings", "ClusterRoleBinding").create_on_update().names(NameRule::PathSegment))
};

fn binding_default(e: &mut Edit) {
    e.sub_or_new("roleRef", |r| r.default_sym("apiGroup", GROUP));
    e.each("subjects", |s| {
        if matches!(s.str("kind"), "User" | "Group") {
            s.default_sym("apiGroup", GROUP);
        }
    });
}

fn binding(obj: &Object, namespaced: bool, errors: &mut ErrorList) {
    let role = obj.get("roleRef").unwrap_or(&Value::Null);
    let path = Path::new("roleRef");
    if text(role, "apiGroup") != GROUP {
        errors.not_supported(&path.child("apiGroup"), text(role, "apiGroup"), &[GROUP]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    check::one_of(text(role, "kind"), kinds, &path.child("kind"), errors);
    match text(role, "name") {
        "" => errors.required(&path.child("name"), ""),
        name => check::path_segment(name).report(errors, &path.child("name"), name),
    }
    let path = Path::new("subjects");
    for (i, s) in obj.list_at(&["subjects"]).iter().enumerate() {
        subject(s, namespaced, &path.index(i), errors);
    }
}

fn subject(s: &Value, namespaced: bool, path: &Path, errors: &mut ErrorList) {
    let (kind, name, group) = (text(s, "kind"), text(s, "name"), text(s, "apiGroup"));
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    }
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                check::dns1123_subdomain(name).report(errors, &path.child("name"), name);
            }
            if !group.is_empty() {
                errors.not_supported(&path.child("apiGroup"), group, &[""]);
            }
            if !namespaced && text(s, "namespace").is_empty() {
                errors.required(&path.child("namespace"), "");
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.not_supported(&path.child("apiGroup"), group, &[GROUP]);
            }
        }
        other => errors.not_supported(&path.child("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

fn role_ref_immutable(new: &Object, old: &Object, errors: &mut ErrorList) {
    if new.get("roleRef") != old.get("roleRef") {
        let r = new.get("roleRef").unwrap_or(&Value::Null);
        let shown = format!(
            "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
            go_quote(text(r, "apiGroup")),
            go_quote(text(r, "kind")),
            go_quote(text(r, "name"))
        );
        invalid_raw(errors, &Path::new("roleRef"), shown, check::IMMUTABLE);
    }
}
