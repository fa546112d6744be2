//! Objects in error texts where upstream prints its internal structs: every field by its Go name, in the order of the type.
//!
//! Left out: Go's names and zero values; whole templates and claims are printed in their own form, as JSON.

use apimachinery::Value;

/// A claim template.
pub fn claim(v: &Value) -> String {
    apimachinery::json::to_string(v)
}

/// A pod template.
pub fn template(v: &Value) -> String {
    apimachinery::json::to_string(v)
}
