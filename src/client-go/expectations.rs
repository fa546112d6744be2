//! What a controller expects to see through its informer before it counts again. Models `controller.ControllerExpectations`.
//!
//! A controller that created three pods must not create three more because its cache doesn't show them yet. Deletions are expected
//! by name (uid), so that an update of a pod that is being deleted and its removal count once.

use std::rc::Rc;

use base::{Duration, Map, TextSet, Time};

/// Expectations that are not met are dropped after this time: an event was lost.
const TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Default)]
struct Expected {
    creations: i64,
    deletions: TextSet<Rc<str>>,
    since: Time,
}

/// Expectations by the key of the controller object.
#[derive(Clone, Debug)]
pub struct Expectations<K: Ord + Clone> {
    expected: Map<K, Expected>,
}

impl<K: Ord + Clone> Default for Expectations<K> {
    fn default() -> Expectations<K> {
        Expectations { expected: Map::default() }
    }
}

impl<K: Ord + Clone> Expectations<K> {
    pub fn expect_creations(&mut self, key: &K, n: i64, now: Time) {
        self.expected.insert(key.clone(), Expected { creations: n, since: now, ..Expected::default() });
    }
    pub fn expect_deletions(&mut self, key: &K, uids: impl IntoIterator<Item = Rc<str>>, now: Time) {
        let deletions = uids.into_iter().collect();
        self.expected.insert(key.clone(), Expected { creations: 0, deletions, since: now });
    }
    /// Further creations (or, negative, creations that will not happen) on top of what is expected already.
    pub fn raise_creations(&mut self, key: &K, n: i64, now: Time) {
        let expected = self.expected.entry(key.clone()).or_default();
        expected.creations += n;
        expected.since = now;
    }
    pub fn creation_observed(&mut self, key: &K) {
        if let Some(expected) = self.expected.get_mut(key) {
            expected.creations -= 1;
        }
    }
    pub fn deletion_observed(&mut self, key: &K, uid: &str) {
        if let Some(expected) = self.expected.get_mut(key) {
            expected.deletions.remove(uid);
        }
    }
    /// Whether the controller may count: nothing is outstanding, or it has been for too long.
    pub fn satisfied(&self, key: &K, now: Time) -> bool {
        self.expected.get(key).is_none_or(|e| (e.creations <= 0 && e.deletions.is_empty()) || now.since(e.since) > TIMEOUT)
    }
    pub fn delete(&mut self, key: &K) {
        self.expected.remove(key);
    }
}
