//! Conflicts: fields that an applier would change and that others own, and the 409 that names them.

use base::Sort as _;

use crate::managed_fields::set;
use crate::status::Status;
use crate::value::Value;

/// Managers with the members of theirs that change.
pub(super) type Conflicts = Vec<(String, Value)>;

pub(super) fn conflicts(entries: &[Value], changed: Option<&Value>) -> Conflicts {
    let Some(changed) = changed else { return Vec::new() };
    let mut found: Conflicts = entries
        .iter()
        .filter_map(|e| Some((manager_text(e), set::intersection(&set::intern(e.get("fieldsV1")?), changed)?)))
        .collect();
    found.order_by(|a, b| a.0.cmp(&b.0));
    found
}

/// `"alice"`, `"kubectl" with subresource "scale" using apps/v1`.
fn manager_text(entry: &Value) -> String {
    let text = |name: &str| entry.str_at(&[name]).unwrap_or("");
    let mut out = crate::field::go_quote(text("manager"));
    if !text("subresource").is_empty() {
        out += &format!(" with subresource {}", crate::field::go_quote(text("subresource")));
    }
    if text("operation") == "Update" {
        out += &format!(" using {}", text("apiVersion"));
    }
    out
}

/// Models `NewConflictError`.
pub(super) fn conflict(conflicts: &Conflicts) -> Status {
    let all: Vec<(&String, Vec<String>)> = conflicts.iter().map(|(m, s)| (m, set::paths(s))).collect();
    let count: usize = all.iter().map(|(_, paths)| paths.len()).sum();
    let groups: Vec<String> = match &all[..] {
        [(manager, paths)] if paths.len() == 1 => vec![format!("conflict with {manager}: {}", paths[0])],
        _ => all.iter().map(|(m, paths)| format!("conflicts with {m}:\n- {}", paths.join("\n- "))).collect(),
    };
    let plural = if count == 1 { "" } else { "s" };
    let causes: Vec<Value> = all
        .iter()
        .flat_map(|(m, paths)| {
            paths.iter().map(move |path| {
                crate::value!({"reason": "FieldManagerConflict", "message": (format!("conflict with {m}")), "field": path})
            })
        })
        .collect();
    let mut status = Status::new(409, "Conflict", format!("Apply failed with {count} conflict{plural}: {}", groups.join("\n")));
    status.details = crate::value!({"causes": causes});
    status
}
