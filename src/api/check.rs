//! Formats of names, labels and numbers with upstream's texts. Models `apimachinery/pkg/util/validation`.
//!
//! Each function returns what is wrong as static texts; a valid value allocates nothing.

use apimachinery::field::{Error, ErrorList, ErrorType, Path};
use apimachinery::{Fields, Value};

pub const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
pub const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
pub const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
pub const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const QUALIFIED_PREFIX: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_KEY: &str = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
pub const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
pub const HTTP_HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
pub const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
pub const SUBDOMAIN_UNDERSCORE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
pub const SUBDOMAIN_CASELESS: &str = "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'Example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
pub const WILDCARD_SUBDOMAIN: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
pub const NO_DOTS: &str = "must not contain dots";
pub const PORT: &str = "must be between 1 and 65535, inclusive";
pub const IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
pub const NON_NEGATIVE: &str = "must be greater than or equal to 0";
pub const IMMUTABLE: &str = "field is immutable";
const MAX63: &str = "must be no more than 63 characters";
const MAX253: &str = "must be no more than 253 characters";

/// What is wrong with a value: at most three texts.
#[derive(Clone, Copy, Default)]
pub struct Wrong([&'static str; 3]);

impl Wrong {
    pub fn add(&mut self, text: &'static str) {
        if let Some(place) = self.0.iter_mut().find(|t| t.is_empty()) {
            *place = text;
        }
    }
    pub fn one(text: &'static str) -> Wrong {
        Wrong([text, "", ""])
    }
    pub fn is_none(self) -> bool {
        self.0[0].is_empty()
    }
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.into_iter().take_while(|t| !t.is_empty())
    }
    /// One `Invalid` for each.
    pub fn report(self, errors: &mut ErrorList, path: &Path, value: &str) {
        for text in self.iter() {
            errors.invalid(path, value, text);
        }
    }
}

/// Pushes an `Invalid` whose value is rendered already (Go structs print with Go's names and order).
pub fn invalid_raw(errors: &mut ErrorList, path: &Path, bad_value: impl Into<String>, detail: impl Into<String>) {
    errors.push(Error { kind: ErrorType::Invalid, field: path.to_string(), bad_value: bad_value.into(), detail: detail.into() });
}

/// A duplicate with a detail, as some callers of upstream make it.
pub fn duplicate_raw(errors: &mut ErrorList, path: &Path, bad_value: impl Into<String>, detail: impl Into<String>) {
    errors.push(Error {
        kind: ErrorType::Duplicate,
        field: path.to_string(),
        bad_value: bad_value.into(),
        detail: detail.into(),
    });
}

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_label_chars(s: &str) -> bool {
    let b = s.as_bytes();
    let (Some(&first), Some(&last)) = (b.first(), b.last()) else { return false };
    lower_alnum(first) && lower_alnum(last) && b.iter().all(|&c| lower_alnum(c) || c == b'-')
}

/// Letters, digits, `-_.`, beginning and ending with a letter or digit.
fn is_name_chars(s: &str) -> bool {
    let b = s.as_bytes();
    let (Some(&first), Some(&last)) = (b.first(), b.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && b.iter().all(|&c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

pub fn dns1123_label(s: &str) -> Wrong {
    let mut wrong = Wrong::default();
    if s.len() > 63 {
        wrong.add(MAX63);
    }
    if !is_label_chars(s) {
        wrong.add(if is_subdomain_chars(s) { NO_DOTS } else { LABEL });
    }
    wrong
}

fn is_subdomain_chars(s: &str) -> bool {
    s.split('.').all(is_label_chars)
}

pub fn dns1123_subdomain(s: &str) -> Wrong {
    let mut wrong = Wrong::default();
    if s.len() > 253 {
        wrong.add(MAX253);
    }
    if !is_subdomain_chars(s) {
        wrong.add(SUBDOMAIN);
    }
    wrong
}

pub fn dns1123_subdomain_caseless(s: &str) -> Wrong {
    let mut wrong = Wrong::default();
    if s.len() > 253 {
        wrong.add(MAX253);
    }
    if !is_subdomain_chars(&s.to_ascii_lowercase()) {
        wrong.add(SUBDOMAIN_CASELESS);
    }
    wrong
}

pub fn dns1123_subdomain_underscore(s: &str) -> Wrong {
    let part = |p: &str| {
        let p = p.strip_prefix('_').unwrap_or(p).as_bytes();
        let (Some(&first), Some(&last)) = (p.first(), p.last()) else { return false };
        lower_alnum(first) && lower_alnum(last) && p.iter().all(|&c| lower_alnum(c) || matches!(c, b'-' | b'_'))
    };
    let mut wrong = Wrong::default();
    if s.len() > 253 {
        wrong.add(MAX253);
    }
    if !s.split('.').all(part) {
        wrong.add(SUBDOMAIN_UNDERSCORE);
    }
    wrong
}

pub fn wildcard_subdomain(s: &str) -> Wrong {
    let mut wrong = Wrong::default();
    if s.len() > 253 {
        wrong.add(MAX253);
    }
    if !s.strip_prefix("*.").is_some_and(is_subdomain_chars) {
        wrong.add(WILDCARD_SUBDOMAIN);
    }
    wrong
}

pub fn dns1035_label(s: &str) -> Wrong {
    let mut wrong = Wrong::default();
    if s.len() > 63 {
        wrong.add(MAX63);
    }
    if !is_label_chars(s) || s.as_bytes()[0].is_ascii_digit() {
        wrong.add(LABEL_1035);
    }
    wrong
}

pub fn qualified_name(s: &str) -> Wrong {
    let mut wrong = Wrong::default();
    let mut parts = s.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                wrong.add("prefix part must be non-empty");
            } else {
                if prefix.len() > 253 {
                    wrong.add("prefix part must be no more than 253 bytes");
                }
                if !is_subdomain_chars(prefix) {
                    wrong.add(QUALIFIED_PREFIX);
                }
            }
            name
        }
        _ => return Wrong::one(LABEL_KEY),
    };
    if name.is_empty() {
        wrong.add("name part must be non-empty");
    } else if name.len() > 63 {
        wrong.add("name part must be no more than 63 bytes");
    }
    if !is_name_chars(name) {
        wrong.add(QUALIFIED);
    }
    wrong
}

pub fn label_value(s: &str) -> Wrong {
    let mut wrong = Wrong::default();
    if s.len() > 63 {
        wrong.add("must be no more than 63 bytes");
    }
    if !s.is_empty() && !is_name_chars(s) {
        wrong.add(LABEL_VALUE);
    }
    wrong
}

pub fn path_segment(s: &str) -> Wrong {
    match s {
        "." => return Wrong::one("may not be '.'"),
        ".." => return Wrong::one("may not be '..'"),
        _ => {}
    }
    let mut wrong = Wrong::default();
    if s.contains('/') {
        wrong.add("may not contain '/'");
    }
    if s.contains('%') {
        wrong.add("may not contain '%'");
    }
    wrong
}

pub fn config_map_key(s: &str) -> Wrong {
    let mut wrong = Wrong::default();
    if s.len() > 253 {
        wrong.add(MAX253);
    }
    if s.is_empty() || !s.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')) {
        wrong.add(CONFIG_KEY);
    }
    match s {
        "." => wrong.add("must not be '.'"),
        ".." => wrong.add("must not be '..'"),
        _ if s.starts_with("..") => wrong.add("must not start with '..'"),
        _ => {}
    }
    wrong
}

/// `IsEnvVarName` in its relaxed form.
pub fn env_var_name(s: &str) -> Wrong {
    let ok = !s.is_empty() && s.bytes().all(|c| (0x20..0x7f).contains(&c) && c != b'=');
    if ok {
        return Wrong::default();
    }
    Wrong::one("a valid environment variable name must consist only of printable ASCII characters other than '='")
}

/// An IANA service name.
pub fn port_name(s: &str) -> Wrong {
    let mut wrong = Wrong::default();
    if s.len() > 15 {
        wrong.add("must be no more than 15 characters");
    }
    if s.is_empty() || !s.bytes().all(|c| lower_alnum(c) || c == b'-') {
        wrong.add("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !s.bytes().any(|c| c.is_ascii_lowercase()) {
        wrong.add("must contain at least one letter (a-z)");
    }
    if s.contains("--") {
        wrong.add("must not contain consecutive hyphens");
    }
    if s.starts_with('-') || s.ends_with('-') {
        wrong.add("must not begin or end with a hyphen");
    }
    wrong
}

pub fn port_num(n: i64) -> Wrong {
    if (1..=65535).contains(&n) { Wrong::default() } else { Wrong::one(PORT) }
}

pub fn http_header(s: &str) -> Wrong {
    let ok = !s.is_empty() && s.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    if ok { Wrong::default() } else { Wrong::one(HTTP_HEADER) }
}

pub fn is_percent(s: &str) -> bool {
    s.strip_suffix('%').is_some_and(|d| !d.is_empty() && d.bytes().all(|c| c.is_ascii_digit()))
}

/// An IP of either family in any legal form; Go's parser refuses leading zeros.
pub fn parse_ip(s: &str) -> Option<std::net::IpAddr> {
    s.parse().ok()
}

/// `ValidateLabels`: all at the same path.
pub fn labels(map: Option<&Fields>, path: &Path, errors: &mut ErrorList) {
    let Some(map) = map else { return };
    for (k, v) in map {
        let wrong = qualified_name(k);
        if !wrong.is_none() {
            wrong.report(errors, path, k);
        }
        let text = v.as_str().unwrap_or("");
        let wrong = label_value(text);
        if !wrong.is_none() {
            wrong.report(errors, path, text);
        }
    }
}

/// `ValidateImmutableField`. Absent and empty are the same.
pub fn immutable(new: Option<&Value>, old: Option<&Value>, path: &Path, errors: &mut ErrorList) -> bool {
    if same(new, old) {
        return true;
    }
    errors.invalid(path, new.cloned().unwrap_or_default(), IMMUTABLE);
    false
}

/// Semantic equality: absent, null and empty are the same.
pub fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let full = |v: Option<&Value>| {
        v.is_some_and(|v| {
            !v.is_null() && !matches!(v, Value::List(l) if l.is_empty()) && !matches!(v, Value::Map(m) if m.is_empty())
        })
    };
    match (a, b) {
        (Some(a), Some(b)) if a == b => true,
        _ => !full(a) && !full(b),
    }
}

/// Whether `s` is one of `set`; an unsupported value is reported.
pub fn one_of(s: &str, set: &[&str], path: &Path, errors: &mut ErrorList) -> bool {
    let ok = set.contains(&s);
    if !ok {
        errors.not_supported(path, s, set);
    }
    ok
}

pub fn non_negative(n: Option<i64>, path: &Path, errors: &mut ErrorList) {
    if let Some(n) = n
        && n < 0
    {
        errors.invalid(path, n, NON_NEGATIVE);
    }
}

/// A text member; empty if it is missing.
pub fn text<'a>(v: &'a Value, name: &str) -> &'a str {
    v.get(name).and_then(Value::as_str).unwrap_or("")
}

/// A member that is there and not null.
pub fn some<'a>(v: &'a Value, name: &str) -> Option<&'a Value> {
    v.get(name).filter(|v| !v.is_null())
}

/// `Required` for each missing text of `names`.
pub fn required(v: &Value, names: &[&str], path: &Path, errors: &mut ErrorList) {
    for name in names {
        if v.get(name).is_none_or(Value::is_empty) {
            errors.required(&path.child(name), "");
        }
    }
}

/// An IP address, else upstream's text.
pub fn ip(s: &str, path: &Path, errors: &mut ErrorList) -> Option<std::net::IpAddr> {
    let ip = parse_ip(s);
    if ip.is_none() {
        errors.invalid(path, s, IP);
    }
    ip
}

pub fn cidr(s: &str, path: &Path, errors: &mut ErrorList) -> bool {
    let ok = apimachinery::validation::parse_cidr(s).is_some();
    if !ok {
        errors.invalid(path, s, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    }
    ok
}

/// The values of a selector's requirement fit its operator. `also_valid` are further operators (node selectors' `Gt`, `Lt`).
pub fn requirement(req: &Value, path: &Path, check_values: bool, node: bool, errors: &mut ErrorList) {
    let values = req.list_at(&["values"]);
    match text(req, "operator") {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "In" | "NotIn" => {}
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.forbidden(&path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Exists" | "DoesNotExist" => {}
        "Gt" | "Lt" if node && values.len() == 1 => {}
        "Gt" | "Lt" if node => {
            errors.required(&path.child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    let key = text(req, "key");
    qualified_name(key).report(errors, &path.child("key"), key);
    if check_values {
        for (i, v) in values.iter().enumerate() {
            let v = v.as_str().unwrap_or("");
            let wrong = label_value(v);
            if !wrong.is_none() {
                wrong.report(errors, &path.child("values").index(i), v);
            }
        }
    }
}

/// `ValidateLabelSelector`.
pub fn label_selector(selector: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    let Some(selector) = selector else { return };
    labels(selector.map_at(&["matchLabels"]), &path.child("matchLabels"), errors);
    for (i, req) in selector.list_at(&["matchExpressions"]).iter().enumerate() {
        requirement(req, &path.child("matchExpressions").index(i), true, false, errors);
    }
}

/// A path below a volume: relative and without `..`.
pub fn descending_path(s: &str, path: &Path, errors: &mut ErrorList) {
    if s.starts_with('/') {
        errors.invalid(path, s, "must be a relative path");
    }
    no_backsteps(s, path, errors);
}

pub fn no_backsteps(s: &str, path: &Path, errors: &mut ErrorList) {
    if s.split('/').any(|part| part == "..") {
        errors.invalid(path, s, "must not contain '..'");
    }
}

/// As [`descending_path`]; names that begin with `..` are the kubelet's.
pub fn non_reserved_path(s: &str, path: &Path, errors: &mut ErrorList) {
    descending_path(s, path, errors);
    if s.starts_with("..") && !s.starts_with("../") && s != ".." {
        errors.invalid(path, s, "must not start with '..'");
    }
}

/// A port by number or by name.
pub fn port_or_name(port: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    match port {
        Some(Value::Str(name)) => port_name(name).report(errors, path, name),
        other => {
            let n = other.and_then(Value::as_i64).unwrap_or(0);
            if !port_num(n).is_none() {
                errors.invalid(path, n, PORT);
            }
        }
    }
}

/// As `not_supported`, with a value that is rendered already.
pub fn not_supported_raw(errors: &mut ErrorList, path: &Path, bad_value: impl Into<String>, supported: &[&str]) {
    let quoted: Vec<String> = supported.iter().map(|s| apimachinery::field::go_quote(s)).collect();
    let detail = format!("supported values: {}", quoted.join(", "));
    errors.push(Error { kind: ErrorType::NotSupported, field: path.to_string(), bad_value: bad_value.into(), detail });
}

/// `ValidateNonSpecialIP`: addresses that no endpoint or external IP may have.
pub fn special_ip(ip: std::net::IpAddr, shown: &str, path: &Path, errors: &mut ErrorList) {
    use std::net::IpAddr;
    if ip.is_unspecified() {
        errors.invalid(path, shown, format!("may not be unspecified ({shown})"));
    }
    if ip.is_loopback() {
        errors.invalid(path, shown, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (link_local, local_multicast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02),
    };
    if link_local {
        errors.invalid(path, shown, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if local_multicast {
        errors.invalid(path, shown, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// The spec never changes.
pub fn immutable_spec(new: &apimachinery::Object, old: &apimachinery::Object, errors: &mut ErrorList) {
    immutable(new.get("spec"), old.get("spec"), &Path::new("spec"), errors);
}
