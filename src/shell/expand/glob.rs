//! Pathname expansion.

use base::Sort as _;
use cri_api::{Sys, Text};

use crate::pattern::{is_pattern, matches, unescape};

/// Paths that exist and match, sorted. Empty if none does.
pub(super) fn expand(sys: &mut Sys<'_>, pattern: &str) -> Vec<Text> {
    let (mut paths, rest) = match pattern.strip_prefix('/') {
        Some(rest) => (vec!["/".to_string()], rest),
        None => (vec![String::new()], pattern),
    };
    let parts: Vec<&str> = rest.split('/').collect();
    for (i, part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        let mut next = Vec::new();
        for path in paths {
            if !is_pattern(part) {
                let candidate = format!("{path}{}", unescape(part));
                // Literal parts in front of a pattern needn't be looked at; behind one they must exist.
                if !last || part.is_empty() || sys.lstat(&candidate).is_ok() {
                    next.push(candidate);
                }
                continue;
            }
            let dir = if path.is_empty() { "." } else { &path };
            for name in sys.read_dir(dir).unwrap_or_default() {
                if name.starts_with('.') && !part.starts_with('.') && !part.starts_with("\\.") {
                    continue;
                }
                if matches(part, &name) {
                    next.push(format!("{path}{name}"));
                }
            }
        }
        if !last {
            for path in &mut next {
                path.push('/');
            }
            next.retain(|path| path == "/" || sys.stat(path).is_ok_and(|s| s.is_dir()));
        }
        paths = next;
    }
    paths.order();
    paths.into_iter().map(Text::from).collect()
}
