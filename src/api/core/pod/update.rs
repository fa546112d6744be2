//! What an update may change of a pod. Models `ValidatePodUpdate`, `ValidatePodEphemeralContainersUpdate`, `ValidatePodResize`.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value};

use super::spec::validate_spec;
use crate::check::{self, some, text};
use crate::edit::{Edit, edit};
use crate::meta;

const SPEC: Path<'static> = Path::new("spec");

/// The update of a pod as such.
pub fn spec(new: &Object, old: &Object, errors: &mut ErrorList) {
    let (Some(n), Some(o)) = (new.get("spec"), old.get("spec")) else { return };
    if n.ptr_eq(o) || n == o {
        return;
    }
    validate_spec(n, Some(new.name()), &SPEC, errors);
    for list in ["containers", "initContainers"] {
        if n.list_at(&[list]).len() != o.list_at(&[list]).len() {
            return errors.forbidden(&SPEC.child(list), "pod updates may not add or remove containers");
        }
    }
    deadline(n, o, errors);
    let gated = !o.list_at(&["schedulingGates"]).is_empty();
    gates(n, o, errors);
    if gated {
        node_selector(n, o, errors);
    }
    tolerations(n, o, errors);
    if !same_but_mutable(n, o, gated) {
        let detail = "pod updates may not change fields other than `spec.containers[*].image`,\
                      `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
                      tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        errors.forbidden(&SPEC, detail);
    }
}

/// The new spec with everything that may change put back.
fn with_mutable_of(new: &Value, old: &Value, gated: bool) -> Value {
    let mut obj = Object::from_value(apimachinery::value!({"spec": new})).expect("a map was built");
    edit(&mut obj, |e| {
        e.sub("spec", |spec| {
            for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
                put_back(spec, old, field);
            }
            if gated {
                for field in ["nodeSelector", "affinity"] {
                    put_back(spec, old, field);
                }
            }
            for list in ["containers", "initContainers"] {
                let mut images = old.list_at(&[list]).iter();
                spec.each(list, |c| {
                    if let Some(image) = images.next().and_then(|o| o.get("image")) {
                        c.set("image", image);
                    }
                });
            }
            if old.int_at(&["terminationGracePeriodSeconds"]).is_some_and(|n| n < 0) {
                put_back(spec, old, "terminationGracePeriodSeconds");
            }
        });
    });
    obj.get("spec").cloned().unwrap_or_default()
}

fn put_back(spec: &mut Edit, old: &Value, field: &str) {
    match old.get(field) {
        Some(v) => spec.set(field, v),
        None => spec.remove(field),
    }
}

fn same_but_mutable(new: &Value, old: &Value, gated: bool) -> bool {
    let new = with_mutable_of(new, old, gated);
    let (Some(n), Some(o)) = (new.as_map(), old.as_map()) else { return false };
    n.iter().all(|(k, v)| check::same(Some(v), o.get(k))) && o.iter().all(|(k, v)| check::same(n.get(k), Some(v)))
}

fn deadline(new: &Value, old: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("activeDeadlineSeconds");
    match (new.int_at(&["activeDeadlineSeconds"]), old.int_at(&["activeDeadlineSeconds"])) {
        (Some(n), Some(o)) if n > o => errors.invalid(&path, n, "must be less than or equal to previous value"),
        (None, Some(_)) => errors.invalid(&path, Value::Null, "must not update from a positive integer to nil value"),
        _ => {}
    }
}

fn gates(new: &Value, old: &Value, errors: &mut ErrorList) {
    let before = old.list_at(&["schedulingGates"]);
    let path = SPEC.child("schedulingGates");
    for (i, gate) in new.list_at(&["schedulingGates"]).iter().enumerate() {
        let name = text(gate, "name");
        if !before.iter().any(|g| text(g, "name") == name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.forbidden(&path.index(i).child("name"), detail);
        }
    }
}

fn node_selector(new: &Value, old: &Value, errors: &mut ErrorList) {
    let after = new.get("nodeSelector");
    let kept = |(k, v): &(apimachinery::Key, Value)| after.and_then(|m| m.get(k)) == Some(v);
    if !old.map_at(&["nodeSelector"]).into_iter().flatten().all(kept) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.invalid(&SPEC.child("nodeSelector"), after.cloned().unwrap_or_default(), detail);
    }
}

fn tolerations(new: &Value, old: &Value, errors: &mut ErrorList) {
    let after = new.list_at(&["tolerations"]);
    let found = |t: &Value| {
        after.iter().any(|n| {
            ["key", "value", "effect"].iter().all(|f| text(n, f) == text(t, f))
                && check::same(some(n, "operator"), some(t, "operator"))
        })
    };
    // Upstream puts the missing ones back before it compares, but for the empty list.
    if !after.is_empty() && !old.list_at(&["tolerations"]).iter().all(found) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.forbidden(&SPEC.child("tolerations"), detail);
    }
}

/// Everything but what the subresource is for stays as it was.
pub fn prepare_subresource(subresource: &str, new: &mut Object, old: &Object) -> bool {
    let wanted = new.get("spec").cloned().unwrap_or_default();
    let before = old.get("spec").cloned().unwrap_or_default();
    match subresource {
        "ephemeralcontainers" => {
            let mut spec = before;
            match wanted.get("ephemeralContainers") {
                Some(list) => spec.set_at(&["ephemeralContainers"], list),
                None => drop(spec.map_mut().remove("ephemeralContainers")),
            }
            new.set_at(&["spec"], spec);
        }
        "resize" => {
            for list in ["containers", "initContainers"] {
                if wanted.list_at(&[list]).len() != before.list_at(&[list]).len() {
                    return true;
                }
            }
            let mut target = old.clone();
            edit(&mut target, |e| {
                e.sub("spec", |spec| {
                    for list in ["containers", "initContainers"] {
                        let mut sources = wanted.list_at(&[list]).iter();
                        spec.each(list, |c| {
                            let source = sources.next().unwrap_or(&Value::Null);
                            for field in ["resources", "resizePolicy"] {
                                put_back(c, source, field);
                            }
                        });
                    }
                });
            });
            let spec = target.get("spec").cloned().unwrap_or_default();
            new.set_at(&["spec"], spec);
        }
        _ => return false,
    }
    meta::keep_field("status", new, old);
    let bump = i64::from(new.get("spec") != old.get("spec"));
    new.set_at(&["metadata", "generation"], old.generation() + bump);
    true
}

/// What is wrong with such an update.
pub fn subresource(subresource: &str, new: &Object, old: &Object, errors: &mut ErrorList) {
    let (Some(n), Some(o)) = (new.get("spec"), old.get("spec")) else { return };
    validate_spec(n, Some(new.name()), &SPEC, errors);
    match subresource {
        "ephemeralcontainers" => {
            let path = SPEC.child("ephemeralContainers");
            let after = n.list_at(&["ephemeralContainers"]);
            for c in o.list_at(&["ephemeralContainers"]) {
                match after.iter().position(|a| text(a, "name") == text(c, "name")) {
                    None => errors
                        .forbidden(&path, format!("existing ephemeral containers {:?} may not be removed\n", text(c, "name"))),
                    Some(i) if &after[i] != c => {
                        let detail = format!("existing ephemeral containers {:?} may not be changed\n", text(c, "name"));
                        errors.forbidden(&path, detail);
                    }
                    Some(_) => {}
                }
            }
        }
        "resize" if super::status::qos_class(n) != super::status::qos_class(o) => {
            errors.invalid(&SPEC, super::status::qos_class(o), "Pod QOS Class may not change as a result of resizing");
        }
        _ => {}
    }
}
