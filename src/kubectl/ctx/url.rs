//! The URL of a request, as `-v=6` prints it.

use apimachinery::{Request, Verb};
use base::Sort as _;

/// The URL as `-v=6` prints it.
pub(super) fn url(server: &str, request: &Request) -> String {
    let mut out = format!("{server}{}", request.url_path());
    let mut parameters: Vec<(String, String)> = Vec::new();
    let options = &request.options;
    let texts = [
        ("labelSelector", &options.label_selector),
        ("fieldSelector", &options.field_selector),
        ("fieldManager", &options.field_manager),
        ("fieldValidation", &options.field_validation),
        ("resourceVersion", &options.resource_version),
    ];
    parameters.extend(texts.iter().filter_map(|(k, v)| Some((k.to_string(), v.as_ref()?.to_string()))));
    if options.limit > 0 {
        parameters.push(("limit".into(), options.limit.to_string()));
    }
    if options.dry_run {
        parameters.push(("dryRun".into(), "All".into()));
    }
    if request.verb == Verb::Watch {
        parameters.push(("watch".into(), "true".into()));
    }
    parameters.extend(options.query.iter().map(|(k, v)| (k.to_string(), v.to_string())));
    parameters.order();
    for (i, (k, v)) in parameters.iter().enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        out.push_str(&format!("{k}={}", escape_query(v)));
    }
    out
}

/// Go's `url.QueryEscape`.
fn escape_query(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(b as char),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}
