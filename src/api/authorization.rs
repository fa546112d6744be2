//! Access reviews: asked, answered and never stored.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Value};

use crate::check::{invalid_raw, some, text};
use crate::rules::Rules;
use crate::strategy::Kind;

const GROUP: &str = "authorization.k8s.io";

pub static SUBJECT_ACCESS_REVIEW: Rules = Rules {
    validate: |obj, errors| review(obj, true, errors),
    ..Rules::of(Kind::cluster(GROUP, "subjectaccessreviews", "SubjectAccessReview").not_stored())
};

pub static LOCAL_SUBJECT_ACCESS_REVIEW: Rules = Rules {
    validate: |obj, errors| review(obj, true, errors),
    ..Rules::of(Kind::namespaced(GROUP, "localsubjectaccessreviews", "LocalSubjectAccessReview").not_stored())
};

pub static SELF_SUBJECT_ACCESS_REVIEW: Rules = Rules {
    validate: |obj, errors| review(obj, false, errors),
    ..Rules::of(Kind::cluster(GROUP, "selfsubjectaccessreviews", "SelfSubjectAccessReview").not_stored())
};

/// Of something, and (unless of oneself) for somebody.
fn review(obj: &Object, for_somebody: bool, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    let (resource, other) = (some(spec, "resourceAttributes"), some(spec, "nonResourceAttributes"));
    if resource.is_some() == other.is_some() {
        let shown = match other {
            Some(o) => format!("{{\"Path\":{},\"Verb\":{}}}", go_quote(text(o, "path")), go_quote(text(o, "verb"))),
            None => "null".into(),
        };
        invalid_raw(errors, &path, shown, "exactly one of nonResourceAttributes or resourceAttributes must be specified");
    }
    if for_somebody && text(spec, "user").is_empty() && spec.list_at(&["groups"]).is_empty() {
        errors.invalid(&path.child("user"), "", "at least one of user or group must be specified");
    }
}
