//! Persistent collections: `Clone` is O(1), an update copies one path. Ordered, so that iteration is deterministic.

use imbl::shared_ptr::RcK;

/// An ordered persistent map. Clone is O(1).
pub type Map<K, V> = imbl::GenericOrdMap<K, V, RcK>;
/// An ordered persistent set. Clone is O(1).
pub type Set<K> = imbl::GenericOrdSet<K, RcK>;
/// A persistent sequence with cheap push and pop at both ends. Clone is O(1).
pub type Vector<T> = imbl::GenericVector<T, RcK>;
