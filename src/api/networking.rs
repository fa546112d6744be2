//! The networking group.

use apimachinery::field::{ErrorList, Path};

use crate::check;

/// `IsDomainPrefixedPath`: `acme.io/foo`.
pub fn domain_prefixed_path(s: &str, path: &Path, errors: &mut ErrorList) {
    if s.is_empty() {
        return errors.required(path, "");
    }
    let Some((host, rest)) = s.split_once('/').filter(|(h, r)| !h.is_empty() && !r.is_empty()) else {
        return errors.invalid(path, s, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    };
    check::dns1123_subdomain(host).report(errors, path, host);
    if !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b)) {
        errors.invalid(path, rest, "Invalid path");
    }
}
