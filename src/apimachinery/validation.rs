//! Rules for names, label values, addresses and ports with upstream's texts. Models `apimachinery/pkg/util/validation`.
//!
//! Each `is_…` function returns the complaints about a value, none if it is fine. All are hand-written scanners: they run on
//! every write, and a regex engine would cost more in wasm than all of them.

/// The complaints about one value, in upstream's order.
pub type Complaints = Vec<String>;

pub const DNS1123_LABEL_MAX: usize = 63;
pub const DNS1123_SUBDOMAIN_MAX: usize = 253;
pub const LABEL_VALUE_MAX: usize = 63;
pub const QUALIFIED_NAME_MAX: usize = 63;

/// The charset of names, as upstream's messages quote it.
const QUALIFIED: &str =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const QUALIFIED_RE: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const DNS1123_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const DNS1123_LABEL_RE: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const DNS1123_SUBDOMAIN_RE: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

/// Models `validation.RegexError`.
pub fn regex_error(msg: &str, re: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{msg} (regex used for validation is '{re}')");
    }
    let quoted: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{msg} (e.g. {}regex used for validation is '{re}')", quoted.join(" or "))
}

/// `must be no more than N characters`
pub fn max_len_error(n: usize) -> String {
    format!("must be no more than {n} characters")
}
/// `must be no more than N bytes`
pub fn max_bytes_error(n: usize) -> String {
    format!("must be no more than {n} bytes")
}
/// `must be non-empty`
pub const EMPTY_ERROR: &str = "must be non-empty";

/// `must be between LO and HI, inclusive`
pub fn inclusive_range_error(lo: i64, hi: i64) -> String {
    format!("must be between {lo} and {hi}, inclusive")
}

/// Whether `s` is not empty, has only bytes that satisfy `inner`, and begins and ends with bytes that satisfy `edge`.
fn edged(s: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let b = s.as_bytes();
    let (Some(&first), Some(&last)) = (b.first(), b.last()) else { return false };
    edge(first) && edge(last) && b.iter().all(|&c| inner(c))
}

fn lower_alnum(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn dns1123_label_shape(s: &str) -> bool {
    edged(s, lower_alnum, |c| lower_alnum(c) || c == b'-')
}

fn dns1123_subdomain_shape(s: &str) -> bool {
    s.split('.').all(dns1123_label_shape)
}

fn qualified_shape(s: &str) -> bool {
    edged(s, |c| c.is_ascii_alphanumeric(), |c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

/// A qualified name: an optional DNS prefix and `/`, then a name. Label keys, annotation keys, taint keys, finalizers.
pub fn is_qualified_name(value: &str) -> Complaints {
    let mut errs = Vec::new();
    let mut parts = value.split('/');
    let (first, second, third) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    let name = match (second, third) {
        (None, _) => first,
        (Some(name), None) => {
            if first.is_empty() {
                errs.push(format!("prefix part {EMPTY_ERROR}"));
            } else {
                errs.extend(is_dns1123_subdomain(first).into_iter().map(|e| match e.starts_with("must be no more") {
                    true => format!("prefix part {}", max_bytes_error(DNS1123_SUBDOMAIN_MAX)),
                    false => format!("prefix part {e}"),
                }));
            }
            name
        }
        _ => {
            errs.push(
                regex_error(
                    &QUALIFIED.replace("name part must", "a valid label key must"),
                    QUALIFIED_RE,
                    &["MyName", "my.name", "123-abc"],
                ) + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            );
            return errs;
        }
    };
    if name.is_empty() {
        errs.push(format!("name part {EMPTY_ERROR}"));
    } else if name.len() > QUALIFIED_NAME_MAX {
        errs.push(format!("name part {}", max_bytes_error(QUALIFIED_NAME_MAX)));
    }
    if !qualified_shape(name) {
        errs.push(regex_error(QUALIFIED, QUALIFIED_RE, &["MyName", "my.name", "123-abc"]));
    }
    errs
}

/// A label's key. Models `content.IsLabelKey`.
pub fn is_label_key(value: &str) -> Complaints {
    is_qualified_name(value)
}

/// A label's value; may be empty.
pub fn is_valid_label_value(value: &str) -> Complaints {
    let mut errs = Vec::new();
    if value.len() > LABEL_VALUE_MAX {
        errs.push(max_bytes_error(LABEL_VALUE_MAX));
    }
    if !value.is_empty() && !qualified_shape(value) {
        errs.push(regex_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    errs
}

/// A DNS label: namespaces, container names, port names of services.
pub fn is_dns1123_label(value: &str) -> Complaints {
    let mut errs = Vec::new();
    if value.len() > DNS1123_LABEL_MAX {
        errs.push(max_len_error(DNS1123_LABEL_MAX));
    }
    if !dns1123_label_shape(value) {
        if dns1123_subdomain_shape(value) {
            errs.push("must not contain dots".to_string());
        } else {
            errs.push(regex_error(DNS1123_LABEL, DNS1123_LABEL_RE, &["my-name", "123-abc"]));
        }
    }
    errs
}

/// A DNS subdomain: the names of most objects.
pub fn is_dns1123_subdomain(value: &str) -> Complaints {
    let mut errs = Vec::new();
    if value.len() > DNS1123_SUBDOMAIN_MAX {
        errs.push(max_len_error(DNS1123_SUBDOMAIN_MAX));
    }
    if !dns1123_subdomain_shape(value) {
        errs.push(regex_error(DNS1123_SUBDOMAIN, DNS1123_SUBDOMAIN_RE, &["example.com"]));
    }
    errs
}

/// As [`is_dns1123_subdomain`], with `_` allowed: names in pods' DNS search lists.
pub fn is_dns1123_subdomain_with_underscore(value: &str) -> Complaints {
    let mut errs = Vec::new();
    if value.len() > DNS1123_SUBDOMAIN_MAX {
        errs.push(max_len_error(DNS1123_SUBDOMAIN_MAX));
    }
    let label = |s: &str| edged(s.strip_prefix('_').unwrap_or(s), lower_alnum, |c| lower_alnum(c) || matches!(c, b'-' | b'_'));
    if !value.split('.').all(label) {
        errs.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    errs
}

/// A DNS label that begins with a letter: services' names.
pub fn is_dns1035_label(value: &str) -> Complaints {
    let mut errs = Vec::new();
    if value.len() > DNS1123_LABEL_MAX {
        errs.push(max_len_error(DNS1123_LABEL_MAX));
    }
    if !(dns1123_label_shape(value) && value.as_bytes()[0].is_ascii_lowercase()) {
        errs.push(regex_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    errs
}

/// `*.example.com`
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Complaints {
    let mut errs = Vec::new();
    if value.len() > DNS1123_SUBDOMAIN_MAX {
        errs.push(max_len_error(DNS1123_SUBDOMAIN_MAX));
    }
    if !value.strip_prefix("*.").is_some_and(dns1123_subdomain_shape) {
        errs.push(regex_error(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{DNS1123_SUBDOMAIN_RE}"),
            &["*.example.com"],
        ));
    }
    errs
}

/// A C identifier (e.g. a ResourceClaim's CEL names).
pub fn is_c_identifier(value: &str) -> Complaints {
    let ok = value.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
        && value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    match ok {
        true => Vec::new(),
        false => vec![regex_error(
            "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
            "[A-Za-z_][A-Za-z0-9_]*",
            &["my_name", "MY_NAME", "MyName"],
        )],
    }
}

/// 1–65535.
pub fn is_valid_port_num(port: i64) -> Complaints {
    if (1..=65535).contains(&port) { Vec::new() } else { vec![inclusive_range_error(1, 65535)] }
}

/// 0–2147483647: a user or group id.
pub fn is_valid_id(id: i64) -> Complaints {
    if (0..=i64::from(i32::MAX)).contains(&id) { Vec::new() } else { vec![inclusive_range_error(0, i64::from(i32::MAX))] }
}

/// The name of a container's port (an IANA service name).
pub fn is_valid_port_name(port: &str) -> Complaints {
    let mut errs = Vec::new();
    if port.len() > 15 {
        errs.push(max_len_error(15));
    }
    if !port.bytes().all(|c| lower_alnum(c) || c == b'-') || port.is_empty() {
        errs.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_string());
    }
    if !port.bytes().any(|c| c.is_ascii_lowercase()) {
        errs.push("must contain at least one letter (a-z)".to_string());
    }
    if port.contains("--") {
        errs.push("must not contain consecutive hyphens".to_string());
    }
    if port.starts_with('-') || port.ends_with('-') {
        errs.push("must not begin or end with a hyphen".to_string());
    }
    errs
}

/// A key of a ConfigMap's or Secret's data.
pub fn is_config_map_key(value: &str) -> Complaints {
    let mut errs = Vec::new();
    if value.len() > DNS1123_SUBDOMAIN_MAX {
        errs.push(max_len_error(DNS1123_SUBDOMAIN_MAX));
    }
    if value.is_empty() || !value.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')) {
        errs.push(regex_error(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    if value == "." {
        errs.push("must not be '.'".to_string());
    } else if value == ".." {
        errs.push("must not be '..'".to_string());
    } else if value.starts_with("..") {
        errs.push("must not start with '..'".to_string());
    }
    errs
}

/// The name of an environment variable: anything printable but `=` (since v1.32).
pub fn is_env_var_name(value: &str) -> Complaints {
    let mut errs = Vec::new();
    if value.is_empty() {
        errs.push(format!("environment variable name {EMPTY_ERROR}"));
    }
    if value.bytes().any(|c| !(0x20..0x7f).contains(&c) || c == b'=') {
        errs.push("a valid environment variable name must consist only of printable ASCII characters other than '='".to_string());
    }
    errs
}

/// The name of a header of an HTTP probe.
pub fn is_http_header_name(value: &str) -> Complaints {
    match !value.is_empty() && value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        true => Vec::new(),
        false => vec![regex_error(
            "a valid HTTP header must consist of alphanumeric characters or '-'",
            "[-A-Za-z0-9]+",
            &["X-Header-Name"],
        )],
    }
}

/// `25%`
pub fn is_valid_percent(percent: &str) -> Complaints {
    let ok = percent.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()));
    match ok {
        true => Vec::new(),
        false => vec![regex_error(
            "a valid percent string must be a numeric string followed by an ending '%'",
            "[0-9]+%",
            &["1%", "93%"],
        )],
    }
}

/// An IPv4 or IPv6 address. Go's parser: no leading zeros, no zone.
pub fn is_valid_ip(value: &str) -> Complaints {
    match value.parse::<std::net::IpAddr>() {
        Ok(_) => Vec::new(),
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_string()],
    }
}

/// An address and a prefix length. Bits beyond the prefix are the caller's matter (`strict` CIDRs).
pub fn is_valid_cidr(value: &str) -> Complaints {
    match parse_cidr(value) {
        Some(_) => Vec::new(),
        None => vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_string()],
    }
}

/// Address and prefix length of a CIDR.
pub fn parse_cidr(value: &str) -> Option<(std::net::IpAddr, u8)> {
    let (ip, len) = value.split_once('/')?;
    let ip: std::net::IpAddr = ip.parse().ok()?;
    let plain = len == "0" || (!len.starts_with('0') && len.bytes().all(|c| c.is_ascii_digit()));
    let len: u8 = plain.then(|| len.parse().ok())??;
    (len <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "my-name", "0a"] {
            assert!(is_dns1123_label(good).is_empty(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b"] {
            assert!(!is_dns1123_label(bad).is_empty(), "{bad}");
        }
        assert_eq!(is_dns1123_label("a.b"), ["must not contain dots"]);
        assert!(is_dns1123_subdomain("a.b-c.d").is_empty());
        assert!(!is_dns1123_subdomain("a..b").is_empty());
        assert!(is_qualified_name("example.com/My_Name").is_empty());
        assert_eq!(is_qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(is_qualified_name("").len(), 2);
        assert!(is_valid_label_value("").is_empty());
        assert!(is_valid_label_value("a..b").is_empty());
        assert!(!is_dns1035_label("0a").is_empty());
        assert_eq!(parse_cidr("10.0.0.0/08"), None);
        assert!(is_valid_percent("5%").is_empty());
    }

    #[test]
    fn messages_are_upstreams() {
        assert_eq!(
            is_valid_label_value("a b"),
            ["a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and \
              end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
              '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"]
        );
    }
}
