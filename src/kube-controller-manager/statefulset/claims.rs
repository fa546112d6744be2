//! The claims of a StatefulSet's pods: their names, their making, and who owns them so that they go when they should. Models
//! `stateful_set_utils.go` (`claimOwnerMatchesSetAndPod`, `updateClaimOwnerRefForSetAndPod`).
//!
//! `whenDeleted: Delete` makes the set the owner, so that the garbage collector takes the claims with it; `whenScaled: Delete`
//! makes a pod that is scaled away the owner of its claims, before it is deleted.

use std::rc::Rc;

use apimachinery::{Object, Request, Value};

use super::View;
use crate::framework::Ctx;
use crate::resources::{Caches, PERSISTENTVOLUMECLAIMS, gvr};

pub fn name(template: &Value, set: &Object, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", template.str_at(&["metadata", "name"]).unwrap_or(""), set.name())
}

/// The claims of a pod that don't exist yet.
pub fn missing(set: &Object, ordinal: i64, ctx: &Ctx) -> Vec<Object> {
    let templates = set.list_at(&["spec", "volumeClaimTemplates"]).iter();
    let missing =
        templates.filter(|t| ctx.caches.find(PERSISTENTVOLUMECLAIMS, set.namespace(), &name(t, set, ordinal)).is_none());
    let claim = |template: &Value| {
        let mut claim = template.clone();
        claim.map_mut().remove("status");
        claim.set_at(&["apiVersion"], "v1");
        claim.set_at(&["kind"], "PersistentVolumeClaim");
        claim.set_at(&["metadata", "name"], name(template, set, ordinal));
        claim.set_at(&["metadata", "namespace"], set.namespace());
        let labels = claim.entry(&["metadata", "labels"]).map_mut();
        for (name, text) in set.map_at(&["spec", "selector", "matchLabels"]).into_iter().flatten() {
            labels.insert(name.clone(), text);
        }
        if deletes(set, "whenDeleted") {
            claim.set_at(&["metadata", "ownerReferences"], vec![set.new_controller_ref()]);
        }
        Object::from_value(claim).expect("a map was built")
    };
    missing.map(claim).collect()
}

/// Whether the policy says `Delete` for an occasion (`whenDeleted`, `whenScaled`).
fn deletes(set: &Object, when: &str) -> bool {
    set.str_at(&["spec", "persistentVolumeClaimRetentionPolicy", when]) == Some("Delete")
}

/// Updates of claims whose owners are not those of the policy.
pub fn fix_owners(view: &View, caches: Caches) -> Vec<Request> {
    let set = &view.set;
    let templates = set.list_at(&["spec", "volumeClaimTemplates"]);
    let mut calls = Vec::new();
    for (ordinal, pod) in view.pods.iter().filter(|_| !templates.is_empty() && !set.is_being_deleted()) {
        let is_scaled_away = !view.ordinals().contains(ordinal);
        for template in templates {
            let found = caches.find(PERSISTENTVOLUMECLAIMS, set.namespace(), &name(template, set, *ordinal));
            let Some(claim) = found.filter(|claim| !claim.is_being_deleted()) else { continue };
            if let Some(owners) = owners(set, pod, is_scaled_away, claim) {
                let mut claim = claim.clone();
                claim.set_at(&["metadata", "ownerReferences"], owners);
                calls.push(Request::update(gvr(PERSISTENTVOLUMECLAIMS), claim));
            }
        }
    }
    calls
}

/// The owners that a claim should have; `None`: it has them, or it belongs to somebody else.
fn owners(set: &Object, pod: &Object, is_scaled_away: bool, claim: &Object) -> Option<Vec<Value>> {
    let (when_deleted, when_scaled) = (deletes(set, "whenDeleted"), deletes(set, "whenScaled"));
    let wants_pod = when_scaled && is_scaled_away;
    let wants_set = when_deleted && !wants_pod;
    let old = claim.owner_references();
    let is_of = |r: &Value, owner: &Object| r.str_at(&["uid"]) == Some(owner.uid());
    // A set or pod of the same name that has gone: its reference is stale.
    let is_stale = |r: &Value, owner: &Object| {
        r.str_at(&["name"]) == Some(owner.name()) && r.str_at(&["kind"]) == Some(owner.kind()) && !is_of(r, owner)
    };
    let foreign = old.iter().any(|r| {
        let ours = [set, pod].iter().any(|owner| is_of(r, owner) || is_stale(r, owner));
        r.bool_at(&["controller"]) == Some(true) && !ours
    });
    if foreign {
        return None;
    }
    let has = |owner: &Object| old.iter().any(|r| is_of(r, owner));
    let stale = old.iter().any(|r| is_stale(r, set) || is_stale(r, pod));
    if has(set) == wants_set && has(pod) == wants_pod && !stale {
        return None;
    }
    let others = old.iter().filter(|r| ![set, pod].iter().any(|owner| is_of(r, owner) || is_stale(r, owner)));
    let mut owners: Vec<Value> = others.cloned().collect();
    owners.extend(wants_set.then(|| set.new_controller_ref()));
    owners.extend(wants_pod.then(|| pod.new_controller_ref()));
    Some(owners)
}

/// `data-db-0` of pod `db-0`
pub fn pod_of(claim: &str, set: &Object) -> Rc<str> {
    let templates = set.list_at(&["spec", "volumeClaimTemplates"]).iter().filter_map(|t| t.str_at(&["metadata", "name"]));
    let found = templates.filter_map(|t| claim.strip_prefix(t)?.strip_prefix('-')).next();
    found.unwrap_or("").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn set(deleted: &str, scaled: &str) -> Object {
        Object::from_value(value!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "default", "uid": "set"},
            "spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}}
        }))
        .expect("a map was built")
    }
    fn pod() -> Object {
        Object::from_value(value!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db-1", "uid": "pod"}}))
            .expect("a map was built")
    }
    fn claim(owners: &[Value]) -> Object {
        Object::from_value(value!({"metadata": {"name": "data-db-1", "ownerReferences": (owners.to_vec())}}))
            .expect("a map was built")
    }
    fn uids(owners: Option<Vec<Value>>) -> Option<Vec<String>> {
        owners.map(|o| o.iter().filter_map(|r| r.str_at(&["uid"])).map(str::to_string).collect())
    }

    #[test]
    fn owners_follow_the_policy() {
        let own = |set: &Object| vec![set.new_controller_ref()];
        for (deleted, scaled, away, wanted) in [
            ("Retain", "Retain", false, None),
            ("Retain", "Retain", true, None),
            ("Delete", "Retain", false, Some("set")),
            ("Delete", "Retain", true, Some("set")),
            ("Retain", "Delete", false, None),
            ("Retain", "Delete", true, Some("pod")),
            ("Delete", "Delete", false, Some("set")),
            ("Delete", "Delete", true, Some("pod")),
        ] {
            let set = set(deleted, scaled);
            let found = uids(owners(&set, &pod(), away, &claim(&[])));
            assert_eq!(found, wanted.map(|w| vec![w.to_string()]), "{deleted} {scaled} {away}");
            // What is right already is left alone; what is owned by the set against the policy is let go.
            let owned = claim(&own(&set));
            let expected = match wanted {
                Some("set") => None,
                Some(other) => Some(vec![other.to_string()]),
                None => Some(vec![]),
            };
            assert_eq!(uids(owners(&set, &pod(), away, &owned)), expected, "{deleted} {scaled} {away}, owned");
        }
    }

    #[test]
    fn claims_of_others_are_left_alone() {
        let other = value!({"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "x", "controller": true});
        assert_eq!(owners(&set("Delete", "Delete"), &pod(), true, &claim(&[other])), None);
    }
}
