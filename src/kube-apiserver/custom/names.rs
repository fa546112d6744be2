//! Conditions of a definition, and whose names win. Models `apiextensions-apiserver/pkg/controller/{status,establish,apiapproval}`.
//! Pure functions of the definitions.

use apimachinery::{Object, Value, value};
use base::Time;

pub const NAMES_ACCEPTED: &str = "NamesAccepted";
pub const ESTABLISHED: &str = "Established";
pub const TERMINATING: &str = "Terminating";
const APPROVED: &str = "KubernetesAPIApprovalPolicyConformant";
/// Holds a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Sets a condition; its time changes with its status only. Models `SetCRDCondition`.
pub fn set_condition(crd: &mut Object, kind: &str, status: &str, reason: &str, message: &str, now: Time) {
    let mut new = value!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": (now.rfc3339())
    });
    let list = crd.value_mut().entry(&["status", "conditions"]).list_mut();
    match list.iter_mut().find(|c| c.str_at(&["type"]) == Some(kind)) {
        Some(old) => {
            if old.str_at(&["status"]) == Some(status)
                && let Some(since) = old.get("lastTransitionTime")
            {
                new.set_at(&["lastTransitionTime"], since.clone());
            }
            *old = new;
        }
        None => list.push(new),
    }
}

pub fn condition<'a>(crd: &'a Object, kind: &str) -> Option<&'a Value> {
    crd.list_at(&["status", "conditions"]).iter().find(|c| c.str_at(&["type"]) == Some(kind))
}

pub fn is_true(crd: &Object, kind: &str) -> bool {
    condition(crd, kind).is_some_and(|c| c.str_at(&["status"]) == Some("True"))
}

/// The names that other definitions of the group hold: of resources and of kinds.
struct Taken {
    resources: Vec<Value>,
    kinds: Vec<Value>,
}

fn taken<'a>(others: impl Iterator<Item = &'a Object>) -> Taken {
    let mut taken = Taken { resources: Vec::new(), kinds: Vec::new() };
    for other in others {
        let names = other.at(&["status", "acceptedNames"]).cloned().unwrap_or_default();
        let held = |field: &str| names.get(field).filter(|n| !n.is_empty()).cloned();
        taken.resources.extend(held("plural").into_iter().chain(held("singular")));
        taken.resources.extend(names.list_at(&["shortNames"]).iter().cloned());
        taken.kinds.extend(held("kind").into_iter().chain(held("listKind")));
    }
    taken
}

/// The definition with the names that it may have and the conditions that follow. Models `calculateNamesAndConditions`.
pub fn accept<'a>(crd: &Object, others: impl Iterator<Item = &'a Object>, now: Time) -> Object {
    let taken = taken(others);
    let wanted = crd.at(&["spec", "names"]).cloned().unwrap_or_default();
    let mut accepted = crd.at(&["status", "acceptedNames"]).cloned().unwrap_or_else(Value::map);
    let mut conflict: Option<(&str, String)> = None;
    let in_use = |name: &Value| format!("{} is already in use", apimachinery::field::go_quote(name.as_str().unwrap_or("")));
    let plain = [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ];
    for (field, reason, used) in plain {
        let name = wanted.get(field).cloned().unwrap_or_else(|| "".into());
        if accepted.get(field) != Some(&name) && used.contains(&name) {
            conflict = Some((reason, in_use(&name)));
        } else {
            accepted.set_at(&[field], name);
        }
    }
    let (short, held) = (wanted.list_at(&["shortNames"]), accepted.list_at(&["shortNames"]).to_vec());
    let mut lost: Vec<String> = short.iter().filter(|n| !held.contains(n) && taken.resources.contains(n)).map(in_use).collect();
    match lost.len() {
        0 => replace(&mut accepted, "shortNames", wanted.get("shortNames")),
        1 => conflict = Some(("ShortNamesConflict", lost.remove(0))),
        _ => conflict = Some(("ShortNamesConflict", format!("[{}]", lost.join(", ")))),
    }
    replace(&mut accepted, "categories", wanted.get("categories"));

    let mut new = crd.clone();
    new.set_at(&["status", "acceptedNames"], accepted);
    match &conflict {
        Some((reason, why)) => set_condition(&mut new, NAMES_ACCEPTED, "False", reason, why, now),
        None => set_condition(&mut new, NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found", now),
    }
    if !is_true(crd, ESTABLISHED) {
        let (reason, message) = match conflict {
            None => ("Installing", "the initial names have been accepted"),
            Some(_) => ("NotAccepted", "not all names are accepted"),
        };
        set_condition(&mut new, ESTABLISHED, "False", reason, message, now);
    }
    approve(&mut new, now);
    new
}

fn replace(names: &mut Value, field: &str, with: Option<&Value>) {
    match with.filter(|v| !v.is_empty()) {
        Some(v) => names.set_at(&[field], v.clone()),
        None => drop(names.remove_at(&[field])),
    }
}

/// Groups below `k8s.io` say who approved them.
fn approve(crd: &mut Object, now: Time) {
    let group = crd.str_at(&["spec", "group"]).unwrap_or("");
    if !(group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io")) {
        return;
    }
    let annotation = crd.annotation("api-approved.kubernetes.io").unwrap_or("").to_string();
    let (status, reason, message) = match &*annotation {
        "" => ("False", "MissingAnnotation", "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111".to_string()),
        text if text.starts_with("unapproved") => ("False", "UnapprovedAPI", format!("not approved: \"{text}\"")),
        text => ("True", "ApprovedAnnotation", format!("approved in {text}")),
    };
    set_condition(crd, APPROVED, status, reason, &message, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crd(name: &str, kind: &str, short: &str) -> Object {
        let names =
            value!({"plural": name, "singular": name, "kind": kind, "listKind": (format!("{kind}List")), "shortNames": [short]});
        Object::from_value(value!({"spec": {"group": "example.com", "names": names}, "status": {}})).unwrap()
    }
    fn conditions(crd: &Object) -> String {
        let text = |c: &Value, f: &str| c.str_at(&[f]).unwrap_or("").to_string();
        let list = crd.list_at(&["status", "conditions"]).iter();
        list.map(|c| format!("{}={} {} {}", text(c, "type"), text(c, "status"), text(c, "reason"), text(c, "message")))
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn the_first_has_the_name() {
        let now = Time::EPOCH;
        let first = accept(&crd("a", "A", "x"), [].into_iter(), now);
        assert_eq!(
            conditions(&first),
            "NamesAccepted=True NoConflicts no conflicts found; Established=False Installing the initial names have been accepted"
        );
        let second = accept(&crd("b", "B", "x"), [&first].into_iter(), now);
        assert_eq!(
            conditions(&second),
            "NamesAccepted=False ShortNamesConflict \"x\" is already in use; Established=False NotAccepted not all names are accepted"
        );
        assert_eq!(second.str_at(&["status", "acceptedNames", "kind"]), Some("B"));
        assert!(second.list_at(&["status", "acceptedNames", "shortNames"]).is_empty());
        let again = accept(&second, [].into_iter(), now);
        assert!(is_true(&again, NAMES_ACCEPTED));
        let third = accept(&crd("c", "A", "z"), [&first].into_iter(), now);
        assert!(conditions(&third).contains("ListKindConflict \"AList\" is already in use"));
    }
}
