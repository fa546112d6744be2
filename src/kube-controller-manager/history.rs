//! ControllerRevisions of DaemonSets and StatefulSets as both controllers use them.

use apimachinery::Object;
use client_go::history::{number, sort};

use crate::refs::label_selector;
use crate::resources::{CONTROLLERREVISIONS, Caches};

/// The revisions that an object owns, oldest first.
pub fn of(caches: Caches, owner: &Object) -> Vec<Object> {
    let selector = label_selector(owner);
    let owned = caches.owned_by(CONTROLLERREVISIONS, owner.uid()).filter(|r| selector.matches(r.labels()));
    let mut revisions: Vec<Object> = owned.cloned().collect();
    sort(&mut revisions);
    revisions
}

/// The number of the next revision.
pub fn next_number(revisions: &[Object]) -> i64 {
    revisions.last().map_or(1, |last| number(last) + 1)
}

/// Revisions beyond the limit that no pod is of, oldest first. `live` are hashes or names in use.
pub fn over_limit(owner: &Object, revisions: &[Object], live: impl Fn(&Object) -> bool) -> Vec<Object> {
    let limit = owner.int_at(&["spec", "revisionHistoryLimit"]).unwrap_or(10).max(0) as usize;
    let old: Vec<&Object> = revisions.iter().filter(|r| !live(r)).collect();
    let surplus = old.len().saturating_sub(limit);
    old.into_iter().take(surplus).cloned().collect()
}
