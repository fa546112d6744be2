//! Rows of the server-side Table. Models `pkg/printers/internalversion/printers.go`.

mod columns;
pub mod duration;

pub use columns::Column;
pub use duration::human_duration;

use apimachinery::{Object, Value};
use base::Time;

use crate::strategy::Kind;

/// The columns of a kind.
pub fn columns(kind: &Kind) -> &'static [Column] {
    columns::of(kind.group, kind.resource)
}

/// The cells of an object's row.
pub fn row(_kind: &Kind, obj: &Object, _now: Time) -> Vec<Value> {
    let created = obj.at(&["metadata", "creationTimestamp"]).cloned().unwrap_or_default();
    vec![obj.name().into(), created]
}
