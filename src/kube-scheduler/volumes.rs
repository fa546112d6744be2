//! Claims, volumes and storage classes, as far as placing depends on them.

use apimachinery::{Object, ObjectKey};
use base::Map;

/// The storage objects that the scheduler watches.
#[derive(Clone, Default)]
pub struct Volumes {
    pub claims: Map<ObjectKey, Object>,
    pub volumes: Map<ObjectKey, Object>,
    pub classes: Map<ObjectKey, Object>,
}

impl Volumes {
    pub fn claim(&self, namespace: &str, name: &str) -> Option<&Object> {
        self.claims.get(&ObjectKey::new(namespace, name))
    }
    pub fn volume(&self, name: &str) -> Option<&Object> {
        self.volumes.get(&ObjectKey::new("", name))
    }
    /// The volume of a claim that is bound to one completely.
    pub fn bound_volume<'a>(&self, claim: &'a Object) -> Option<&'a str> {
        let name = claim.str_at(&["spec", "volumeName"]).filter(|n| !n.is_empty())?;
        claim.annotation("pv.kubernetes.io/bind-completed").map(|_| name)
    }
    /// Whether the claim's class binds when its first pod is placed.
    pub fn waits_for_consumer(&self, claim: &Object) -> bool {
        let class = claim.str_at(&["spec", "storageClassName"]).filter(|n| !n.is_empty());
        let class = class.and_then(|name| self.classes.get(&ObjectKey::new("", name)));
        class.is_some_and(|c| c.str_at(&["volumeBindingMode"]) == Some("WaitForFirstConsumer"))
    }
}
