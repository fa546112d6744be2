//! The patches that kube-apiserver applies and that kubectl makes.
//!
//! Applying: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge patch. Making: two-way patches (`kubectl
//! edit`, `set`, `label`) and three-way patches (`kubectl apply`), each as JSON merge patch (kinds without a schema) and as
//! strategic merge patch. Everything works on shared trees: what a patch does not touch stays the same allocation.
//! Server-side apply is in [`crate::managed_fields`].

mod diff;
mod json_patch;
mod merge;
mod strategic;

pub use diff::{three_way_strategic, two_way_strategic};
pub use json_patch::json_patch;
pub use merge::{create_merge_patch, merge_patch, three_way_merge_patch};
pub use strategic::{conversion_error_of, strategic_merge};

use crate::request::PatchType;
use crate::schema::StructType;
use crate::status::Status;
use crate::value::Value;

/// More operations in a JSON patch are refused.
pub const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;

/// Applies a patch to an object (as a tree). `ty` is the type of the kind; a kind without one can't be patched strategically.
/// The result is not decoded yet: see [`crate::schema::decode`]. Models `apiserver/pkg/endpoints/handlers/patch.go`.
pub fn apply(kind: PatchType, object: &Value, patch: &Value, ty: Option<&StructType>) -> Result<Value, Status> {
    match kind {
        PatchType::Json => {
            check_json_patch(patch)?;
            json_patch(object, patch).map_err(|_| rejected())
        }
        PatchType::Merge => match patch {
            Value::Map(_) => Ok(merge_patch(object, patch)),
            Value::Null => Err(Status::bad_request("Invalid JSON Patch")),
            other => Err(wrong_patch("error decoding patch: ", other, "map[string]interface {}")),
        },
        PatchType::StrategicMerge => match patch {
            Value::Map(_) => strategic_merge(object, patch, ty),
            other => Err(wrong_patch("", other, "map[string]interface {}")),
        },
        PatchType::Apply => Err(Status::not_implemented("server-side apply through patch::apply")),
    }
}

fn check_json_patch(patch: &Value) -> Result<(), Status> {
    match patch {
        Value::List(ops) if ops.len() > MAX_JSON_PATCH_OPERATIONS => Err(Status::new(
            413,
            "RequestEntityTooLarge",
            format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_JSON_PATCH_OPERATIONS}, got {}",
                ops.len()
            ),
        )),
        Value::List(_) => Ok(()),
        Value::Null => Err(Status::bad_request("Invalid JSON Patch")),
        other => Err(wrong_patch("error decoding patch: ", other, "[]handlers.jsonPatchOp")),
    }
}

fn wrong_patch(prefix: &str, value: &Value, ty: &str) -> Status {
    let kind = match value {
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "number",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
        Value::Null => "null",
    };
    Status::bad_request(format!("{prefix}json: cannot unmarshal {kind} into Go value of type {ty}"))
}

/// The answer to a JSON patch that can't be applied: it names no reason.
fn rejected() -> Status {
    let mut status = Status::new(422, "Invalid", "the server rejected our request due to an error in our request");
    status.details = Value::map();
    status
}

/// A value as Go's `%v` prints it: `map[a:1 b:[x y]]`. For error texts.
pub fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_string(),
        Value::Str(s) => s.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(go_print).collect::<Vec<_>>().join(" ")),
        Value::Map(fields) => {
            let members: Vec<String> = fields.iter().map(|(k, v)| format!("{k}:{}", go_print(v))).collect();
            format!("map[{}]", members.join(" "))
        }
        other => crate::json::to_string(other),
    }
}
