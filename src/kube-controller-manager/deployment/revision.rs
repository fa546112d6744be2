//! Revisions: annotations of Deployments and ReplicaSets, and the limit of history. Models `util/deployment_util.go`.

use apimachinery::{Object, key};
use base::Sort as _;

use super::{plan, strings};
use crate::refs::status_int;

pub const REVISION: &str = "deployment.kubernetes.io/revision";
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// A ReplicaSet remembers so many characters of earlier revision numbers.
const MAX_HISTORY_CHARS: usize = 2000;
/// Annotations of a Deployment that its ReplicaSets don't get.
const NOT_COPIED: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// The revision of a ReplicaSet; 0 if it has none.
pub fn of(rs: &Object) -> i64 {
    rs.annotation(REVISION).and_then(|n| n.parse().ok()).unwrap_or(0)
}
pub fn max_of(sets: &[Object]) -> i64 {
    sets.iter().map(of).max().unwrap_or(0)
}

/// The annotations of the newest ReplicaSet. Models `SetNewReplicaSetAnnotations`.
pub fn annotate_new(d: &Object, rs: &mut Object, revision: i64, exists: bool) {
    let mut annotations = strings(rs, &["metadata", "annotations"]);
    for (name, text) in strings(d, &["metadata", "annotations"]).iter() {
        if !NOT_COPIED.contains(&&**name) {
            annotations.insert(name.clone(), text);
        }
    }
    let before = annotations.get(REVISION).and_then(|v| v.as_str()).map(str::to_string);
    let number = before.as_deref().and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
    if number < revision {
        annotations.insert(key(REVISION), revision.to_string());
        if let Some(before) = before {
            let history = annotations.get(REVISION_HISTORY).and_then(|v| v.as_str()).unwrap_or("");
            annotations.insert(key(REVISION_HISTORY), appended(history, &before));
        }
    }
    set_annotations(rs, annotations);
    if !exists {
        annotate_replicas(d, rs);
    }
}

/// The history with one more revision, the oldest dropped as the limit demands.
fn appended(history: &str, revision: &str) -> String {
    if history.is_empty() {
        return revision.to_string();
    }
    let mut text = format!("{history},{revision}");
    while text.len() > MAX_HISTORY_CHARS {
        let Some((_, rest)) = text.split_once(',') else { break };
        text = rest.to_string();
    }
    text
}

/// What later proportional scaling is reckoned from.
pub fn annotate_replicas(d: &Object, rs: &mut Object) {
    let mut annotations = strings(rs, &["metadata", "annotations"]);
    let wanted = plan::replicas(d);
    annotations.insert(key(DESIRED_REPLICAS), wanted.to_string());
    annotations.insert(key(MAX_REPLICAS), (wanted + plan::max_surge(d)).to_string());
    set_annotations(rs, annotations);
}

fn set_annotations(object: &mut Object, annotations: apimachinery::Fields) {
    if !annotations.is_empty() && object.annotations() != Some(&annotations) {
        object.set_at(&["metadata", "annotations"], annotations);
    }
}

/// The Deployment's revision is that of its newest ReplicaSet.
pub fn set_on_deployment(d: &mut Object, rs: &Object) {
    if d.annotation(REVISION) == rs.annotation(REVISION) {
        return;
    }
    if let Some(revision) = rs.annotation(REVISION) {
        let mut annotations = strings(d, &["metadata", "annotations"]);
        annotations.insert(key(REVISION), revision);
        d.set_at(&["metadata", "annotations"], annotations);
    }
}

/// Old ReplicaSets beyond the history limit that have no pods. Models `cleanupDeployment`.
pub fn over_limit(d: &Object, old: &[Object]) -> Vec<Object> {
    let limit = d.int_at(&["spec", "revisionHistoryLimit"]).unwrap_or(10);
    if limit == i32::MAX as i64 {
        return Vec::new();
    }
    let mut cleanable: Vec<&Object> = old.iter().filter(|rs| !rs.is_being_deleted()).collect();
    let surplus = cleanable.len() as i64 - limit;
    if surplus <= 0 {
        return Vec::new();
    }
    cleanable.order_by_key(|rs| of(rs));
    let empty = |rs: &&Object| {
        status_int(rs, "replicas") == 0 && plan::replicas(rs) == 0 && rs.generation() <= status_int(rs, "observedGeneration")
    };
    cleanable.into_iter().take(surplus as usize).filter(empty).cloned().collect()
}
