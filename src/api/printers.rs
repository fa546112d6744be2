//! Rows of the server-side Table. Models `pkg/printers/internalversion/printers.go`.

mod columns;
pub mod duration;
mod misc;
mod network;
mod nodes;
mod pods;
mod storage;
mod workloads;

pub use columns::Column;
pub use duration::human_duration;

use apimachinery::{Object, Value};
use base::Time;

use crate::strategy::Kind;

/// The columns of a kind.
pub fn columns(kind: &Kind) -> &'static [Column] {
    columns::of(kind.group, kind.resource)
}

/// What a printer sees.
pub struct Row<'a> {
    pub obj: &'a Object,
    pub now: Time,
}

impl Row<'_> {
    pub fn name(&self) -> Value {
        self.obj.get("metadata").and_then(|m| m.get("name")).cloned().unwrap_or_else(|| "".into())
    }
    pub fn age(&self) -> Value {
        duration::since(self.obj.at(&["metadata", "creationTimestamp"]), self.now).into()
    }
    /// A text, else `otherwise`.
    pub fn text(&self, path: &[&str], otherwise: &str) -> Value {
        match self.obj.str_at(path) {
            Some(s) if !s.is_empty() => s.into(),
            _ => otherwise.into(),
        }
    }
    /// A number, 0 if it is missing.
    pub fn int(&self, path: &[&str]) -> i64 {
        self.obj.int_at(path).unwrap_or(0)
    }
}

/// Texts joined, or `<none>`.
pub fn joined(items: &[Value], separator: &str) -> String {
    let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
    if texts.is_empty() { "<none>".into() } else { texts.join(separator) }
}

/// The cells of an object's row, in the order of [`columns`].
pub fn row(kind: &Kind, obj: &Object, now: Time) -> Vec<Value> {
    let r = Row { obj, now };
    let cells = match kind.group {
        "" => core(kind.resource, &r),
        "apps" | "batch" | "autoscaling" | "policy" => workloads::row(kind.resource, &r),
        "networking.k8s.io" | "discovery.k8s.io" => network::row(kind.resource, &r),
        "storage.k8s.io" => storage::row(kind.resource, &r),
        "events.k8s.io" => Some(misc::event(&r)),
        group => misc::row(group, kind.resource, &r),
    };
    cells.unwrap_or_else(|| {
        let created = obj.at(&["metadata", "creationTimestamp"]).cloned().unwrap_or_default();
        vec![r.name(), created]
    })
}

fn core(resource: &str, r: &Row) -> Option<Vec<Value>> {
    Some(match resource {
        "pods" => pods::row(r),
        "nodes" => nodes::row(r),
        "services" => network::service(r),
        "endpoints" => network::endpoints(r),
        "events" => misc::event(r),
        "persistentvolumes" | "persistentvolumeclaims" => return storage::row(resource, r),
        "replicationcontrollers" | "podtemplates" => return workloads::row(resource, r),
        "namespaces" => vec![r.name(), r.text(&["status", "phase"], ""), r.age()],
        "configmaps" => {
            let count = |f: &str| r.obj.map_at(&[f]).map_or(0, |m| m.len());
            vec![r.name(), ((count("data") + count("binaryData")) as i64).into(), r.age()]
        }
        "secrets" => {
            let count = r.obj.map_at(&["data"]).map_or(0, |m| m.len());
            vec![r.name(), r.text(&["type"], ""), (count as i64).into(), r.age()]
        }
        "serviceaccounts" => vec![r.name(), r.age()],
        "resourcequotas" => misc::quota(r),
        "componentstatuses" => misc::component_status(r),
        _ => return None,
    })
}
