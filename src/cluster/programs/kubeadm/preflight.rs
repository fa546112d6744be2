//! The checks before `init` and `join`: what is on the machine already.

use super::Line;
use super::STACK;
use super::script::{Cx, Step};

/// This machine's address on the nodes' network.
pub(super) fn address(cx: &mut Cx<'_, '_>) -> Step<String> {
    let told = cx.world("/machine", &[])?;
    Ok(told.value.str_at(&["ip"]).unwrap_or("127.0.0.1").to_string())
}

/// Ports of this machine that somebody listens on.
pub(super) fn ports(cx: &mut Cx<'_, '_>) -> Step<Vec<i64>> {
    let told = cx.world("/machine", &[])?;
    Ok(told.value.list_at(&["ports"]).iter().filter_map(|p| p.as_i64()).collect())
}

/// Checks ports, files and directories. `Some`: the exit code, and everything was said.
pub(super) fn check(cx: &mut Cx<'_, '_>, line: &Line, wanted: &[&str]) -> Step<Option<i32>> {
    let used = ports(cx)?;
    let mut errors: Vec<(String, String)> = Vec::new();
    for check in wanted {
        let (kind, what) = check.split_once(' ').unwrap_or((check, ""));
        let dashed = what.replace('/', "-");
        match kind {
            "port" if used.contains(&what.parse().unwrap_or(0)) => {
                errors.push((format!("Port-{what}"), format!("Port {what} is in use")));
            }
            "file" if cx.exists(what) => errors.push((format!("FileAvailable-{dashed}"), format!("{what} already exists"))),
            "dir" if !cx.list(what).is_empty() => errors.push((format!("DirAvailable-{dashed}"), format!("{what} is not empty"))),
            _ => {}
        }
    }
    let ignored: Vec<String> =
        line.value("ignore-preflight-errors").unwrap_or("").split(',').map(|s| s.trim().to_ascii_lowercase()).collect();
    let is_ignored = |name: &str| ignored.iter().any(|i| i == "all" || *i == name.to_ascii_lowercase());
    let (warnings, fatal): (Vec<_>, Vec<_>) = errors.into_iter().partition(|(name, _)| is_ignored(name));
    for (name, text) in warnings {
        cx.complain(format!("\t[WARNING {name}]: {text}\n"));
    }
    if fatal.is_empty() {
        return Ok(None);
    }
    let list: String = fatal.iter().map(|(name, text)| format!("\t[ERROR {name}]: {text}\n")).collect();
    cx.complain(format!(
        "error: error execution phase preflight: preflight checks failed: [preflight] Some fatal errors occurred:\n{list}[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`\n{STACK}"
    ));
    Ok(Some(1))
}
