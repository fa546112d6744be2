//! The `format` of strings. Models `kube-openapi/pkg/validation/strfmt`.
//!
//! Left out, and said so when a definition is written: `isbn`, `isbn10`, `isbn13`, `creditcard`, `ssn`, `rgbcolor`.

use apimachinery::validation::{is_dns1123_label, is_dns1123_subdomain, parse_cidr};
use base::Time;

/// Formats that are known and not checked.
pub const UNCHECKED: &[&str] = &["isbn", "isbn10", "isbn13", "creditcard", "ssn", "rgbcolor"];

/// Whether a text has a format; `None`: the format is unknown or not checked.
pub fn check(format: &str, text: &str) -> Option<bool> {
    let hex = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_hexdigit());
    Some(match format {
        "date-time" | "datetime" => Time::parse(&text.to_ascii_uppercase()).is_some(),
        "date" => text.len() == 10 && Time::parse(&format!("{text}T00:00:00Z")).is_some(),
        "duration" => duration(text),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => parse_cidr(text).is_some(),
        "mac" => {
            let parts: Vec<&str> = text.split([':', '-']).collect();
            matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|p| p.len() == 2 && hex(p))
        }
        "email" => email(text),
        "hostname" => text.len() <= 253 && text.split('.').all(|l| is_dns1123_label(&l.to_ascii_lowercase()).is_empty()),
        "uri" => uri(text),
        "uuid" => uuid(text, None),
        "uuid3" => uuid(text, Some('3')),
        "uuid4" => uuid(text, Some('4')),
        "uuid5" => uuid(text, Some('5')),
        "bsonobjectid" => text.len() == 24 && hex(text),
        "hexcolor" => matches!(text.len(), 3 | 4 | 6 | 7) && hex(text.strip_prefix('#').unwrap_or(text)),
        "byte" => base64(text),
        "k8s-short-name" => is_dns1123_label(text).is_empty(),
        "k8s-long-name" => is_dns1123_subdomain(text).is_empty(),
        "password" => true,
        _ => return None,
    })
}

/// Whether a format is one of strings or numbers that upstream has.
pub fn is_known(format: &str) -> bool {
    matches!(format, "int32" | "int64" | "float" | "double" | "int-or-string")
        || UNCHECKED.contains(&format)
        || check(format, "").is_some()
}

fn email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"()<>,;:\\\"[]@".contains(c);
    !local.is_empty() && local.chars().all(plain) && !domain.is_empty() && domain.chars().all(plain) && !domain.starts_with('.')
}

/// An absolute URI, or a path from the root. Models Go's `url.ParseRequestURI`.
fn uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return false;
    }
    let scheme = |s: &str| {
        s.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    };
    text.starts_with('/') || text.split_once(':').is_some_and(|(s, rest)| scheme(s) && !rest.is_empty())
}

fn uuid(text: &str, version: Option<char>) -> bool {
    let plain: String = text.chars().filter(|c| *c != '-').collect();
    plain.len() == 32
        && plain.bytes().all(|b| b.is_ascii_hexdigit())
        && matches!(text.len(), 32..=36)
        && version.is_none_or(|v| plain.chars().nth(12) == Some(v))
}

fn base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

/// Go's durations, or one number and a unit: `1h30m`, `3 days`.
fn duration(text: &str) -> bool {
    const UNITS: &[&str] = &[
        "ns", "us", "µs", "ms", "s", "m", "h", "nano", "nanos", "micro", "micros", "milli", "millis", "sec", "secs", "second",
        "seconds", "min", "mins", "minute", "minutes", "hr", "hrs", "hour", "hours", "d", "day", "days", "w", "wk", "week",
        "weeks",
    ];
    let mut rest = text.trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    let mut any = false;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let after = rest[number..].trim_start();
        let unit = after.find(|c: char| c.is_ascii_digit() || c == ' ').unwrap_or(after.len());
        if number == 0 || rest[..number].parse::<f64>().is_err() || !UNITS.contains(&&after[..unit]) {
            return false;
        }
        any = true;
        rest = &after[unit..];
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        for (format, good, bad) in [
            ("date-time", "2026-01-02T03:04:05Z", "yesterday"),
            ("date", "2026-01-02", "2026-13-02"),
            ("ipv4", "10.0.0.1", "999.1.1.1"),
            ("ipv6", "::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0"),
            ("mac", "00:11:22:33:44:55", "00:11"),
            ("email", "a@example.com", "nobody"),
            ("hostname", "a.example.com", "-a"),
            ("uri", "https://example.com/x", "no uri"),
            ("uuid", "0192d5a2-1111-4222-8333-444455556666", "x"),
            ("byte", "aGVsbG8=", "not base64!"),
            ("duration", "1h30m", "soon"),
            ("k8s-short-name", "abc", "A"),
        ] {
            assert_eq!((check(format, good), check(format, bad)), (Some(true), Some(false)), "{format}");
        }
        assert_eq!(check("mine", "x"), None);
        assert!(is_known("int32") && !is_known("mine"));
    }
}
