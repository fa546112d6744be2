//! The nodes' row. Models `printNode`.

use apimachinery::Value;
use base::Sort as _;

use super::Row;
use crate::check::text;

/// Name, status, roles, age, version; wide: addresses, OS image, kernel, container runtime.
pub fn row(r: &Row) -> Vec<Value> {
    let status = r.obj.get("status").unwrap_or(&Value::Null);
    let ready = r.obj.condition("Ready").map_or("Unknown", |c| if text(c, "status") == "True" { "Ready" } else { "NotReady" });
    let mut state = ready.to_string();
    if r.obj.bool_at(&["spec", "unschedulable"]) == Some(true) {
        state.push_str(",SchedulingDisabled");
    }
    let address = |kind: &str| {
        let found = status.list_at(&["addresses"]).iter().find(|a| text(a, "type") == kind).map(|a| text(a, "address"));
        Value::from(found.unwrap_or("<none>"))
    };
    vec![
        r.name(),
        state.into(),
        roles(r).into(),
        r.age(),
        r.text(&["status", "nodeInfo", "kubeletVersion"], ""),
        address("InternalIP"),
        address("ExternalIP"),
        r.text(&["status", "nodeInfo", "osImage"], "<unknown>"),
        r.text(&["status", "nodeInfo", "kernelVersion"], "<unknown>"),
        r.text(&["status", "nodeInfo", "containerRuntimeVersion"], "<unknown>"),
    ]
}

/// From the labels `node-role.kubernetes.io/ROLE` and `kubernetes.io/role`.
fn roles(r: &Row) -> String {
    let mut roles: Vec<&str> = Vec::new();
    for (k, v) in r.obj.labels().into_iter().flatten() {
        let role = match k.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => role,
            _ if **k == *"kubernetes.io/role" => v.as_str().unwrap_or(""),
            _ => continue,
        };
        if !role.is_empty() && !roles.contains(&role) {
            roles.push(role);
        }
    }
    roles.order();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}
