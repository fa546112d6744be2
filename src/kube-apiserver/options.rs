//! Query parameters of writes. Models `metav1/validation.ValidateCreateOptions` and its kin.

use apimachinery::field::{ErrorList, Path};
use apimachinery::status::Status;
use apimachinery::{Body, Gvk, PatchType, Value, Verb};

use crate::call::Call;

/// Refuses parameters with values that there are not.
pub fn check(call: &Call) -> Result<(), Status> {
    let options = &call.request.options;
    let mut errors = ErrorList::new();
    if let Some(value) = options.query("dryRun").filter(|v| !v.is_empty()) {
        errors.not_supported(&Path::new("dryRun"), Value::list(vec![value.into()]), &["All"]);
    }
    let validation = options.field_validation.as_deref().unwrap_or("");
    if !matches!(validation, "" | "Ignore" | "Strict" | "Warn") {
        errors.not_supported(&Path::new("fieldValidation"), validation, &["", "Ignore", "Strict", "Warn"]);
    }
    let applies = matches!(call.request.body, Body::Patch(PatchType::Apply, _));
    if call.request.verb == Verb::Patch && options.force && !applies {
        errors.forbidden(&Path::new("force"), "may not be specified for non-apply patch");
    }
    let kind = match call.request.verb {
        Verb::Create => "CreateOptions",
        Verb::Update => "UpdateOptions",
        _ => "PatchOptions",
    };
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(Gvk::new("meta.k8s.io", "", kind), "", &errors)) }
}
