//! Validation of probes and lifecycle hooks.

use apimachinery::Value;
use apimachinery::field::{ErrorList, Path};

use super::Ctx;
use crate::check::{self, some, text};

pub fn probes(c: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(p) = some(c, name) else { continue };
        let here = path.child(name);
        probe(p, &here, ctx, errors);
        let grace = some(p, "terminationGracePeriodSeconds").and_then(Value::as_i64);
        if name == "readinessProbe" {
            if let Some(n) = grace {
                errors.invalid(&here.child("terminationGracePeriodSeconds"), n, "must not be set for readinessProbes");
            }
        } else {
            let n = p.int_at(&["successThreshold"]).unwrap_or(0);
            if n != 1 {
                errors.invalid(&here.child("successThreshold"), n, "must be 1");
            }
        }
    }
}

fn probe(p: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    handler(p, path, ctx, errors);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        check::non_negative(p.int_at(&[field]), &path.child(field), errors);
    }
    if let Some(n) = p.int_at(&["terminationGracePeriodSeconds"])
        && n <= 0
    {
        errors.invalid(&path.child("terminationGracePeriodSeconds"), n, "must be greater than 0");
    }
}

pub fn lifecycle(l: Option<&Value>, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let Some(l) = l else { return };
    for name in ["postStart", "preStop"] {
        if let Some(h) = some(l, name) {
            handler(h, &path.child(name), ctx, errors);
        }
    }
    let signal = text(l, "stopSignal");
    if !signal.is_empty() && ctx.os.is_empty() {
        errors.forbidden(&path.child("stopSignal"), "may not be set for containers with empty `spec.os.name`");
    }
}

/// `validateHandler`: exactly one of the handlers.
fn handler(h: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let mut found = false;
    for name in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(action) = some(h, name) else { continue };
        let here = path.child(name);
        if found {
            errors.forbidden(&here, "may not specify more than 1 handler type");
            continue;
        }
        found = true;
        match name {
            "exec" if action.list_at(&["command"]).is_empty() => errors.required(&here.child("command"), ""),
            "exec" => {}
            "httpGet" => http_get(action, &here, errors),
            "sleep" => sleep(action, &here, ctx, errors),
            _ => check::port_or_name(action.get("port"), &here.child("port"), errors),
        }
    }
    if !found {
        errors.required(path, "must specify a handler type");
    }
}

fn http_get(get: &Value, path: &Path, errors: &mut ErrorList) {
    if text(get, "path").is_empty() {
        errors.required(&path.child("path"), "");
    }
    check::port_or_name(get.get("port"), &path.child("port"), errors);
    check::one_of(text(get, "scheme"), &["HTTP", "HTTPS"], &path.child("scheme"), errors);
    for header in get.list_at(&["httpHeaders"]) {
        let name = text(header, "name");
        check::http_header(name).report(errors, &path.child("httpHeaders"), name);
    }
}

fn sleep(action: &Value, path: &Path, ctx: &Ctx, errors: &mut ErrorList) {
    let seconds = action.int_at(&["seconds"]).unwrap_or(0);
    if seconds < 0 || seconds > ctx.grace_seconds {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({})", ctx.grace_seconds);
        errors.invalid(path, seconds, detail);
    }
}
