//! What a plain scalar means to go-yaml v2, and which strings therefore need quotes.

use crate::value::Value;

/// Models go-yaml v2's `resolve` for scalars without a tag.
pub fn resolve(text: &str) -> Value {
    let Some(&first) = text.as_bytes().first() else { return Value::Null };
    match first {
        b'+' | b'-' | b'0'..=b'9' | b'.' => number(text).unwrap_or_else(|| Value::str(text)),
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => {
            word(text).unwrap_or_else(|| Value::str(text))
        }
        _ => Value::str(text),
    }
}

fn word(text: &str) -> Option<Value> {
    Some(match text {
        "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => return None,
    })
}

fn number(text: &str) -> Option<Value> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(n) = integer(&plain) {
        return Some(n);
    }
    if !is_float(&plain) {
        return None;
    }
    let f: f64 = plain.parse().ok()?;
    if !f.is_finite() {
        return None;
    }
    // Through JSON, `1.0` becomes `1`.
    Some(if f.fract() == 0.0 && f.abs() < 1e15 { Value::Int(f as i64) } else { Value::Float(f) })
}

/// Go's `ParseInt(s, 0, 64)`, then `ParseUint`.
fn integer(plain: &str) -> Option<Value> {
    let (negative, digits) = match plain.as_bytes()[0] {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let n = i128::from_str_radix(digits, radix).ok()?;
    let n = if negative { -n } else { n };
    match i64::try_from(n) {
        Ok(n) => Some(Value::Int(n)),
        Err(_) if u64::try_from(n).is_ok() => Some(Value::Float(n as f64)),
        Err(_) => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = digits(rest);
    let mut rest = &rest[whole..];
    if let Some(after) = rest.strip_prefix('.') {
        let fraction = digits(after);
        if whole == 0 && fraction == 0 {
            return false;
        }
        rest = &after[fraction..];
    } else if whole == 0 {
        return false;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

/// Whether a string printed plain would be read back as something else.
pub fn needs_quotes(text: &str) -> bool {
    let Some(&first) = text.as_bytes().first() else { return true };
    match first {
        b'+' | b'-' | b'0'..=b'9' | b'.' => {
            number(text).is_some() || is_special_float(text) || is_timestamp(text) || is_base60(text)
        }
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => word(text).is_some(),
        b'<' => text == "<<",
        _ => false,
    }
}

fn is_special_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(rest, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// Dates and times in the forms go-yaml takes for timestamps.
fn is_timestamp(text: &str) -> bool {
    let b = text.as_bytes();
    if b.len() < 8 || !b[..4].iter().all(u8::is_ascii_digit) || b[4] != b'-' {
        return false;
    }
    let one_or_two = |s: &str| {
        let n = s.bytes().take_while(u8::is_ascii_digit).count();
        (1..=2).contains(&n).then_some(n)
    };
    let mut rest = &text[5..];
    let Some(n) = one_or_two(rest) else { return false };
    let Some(after) = rest[n..].strip_prefix('-') else { return false };
    rest = after;
    let Some(n) = one_or_two(rest) else { return false };
    rest = &rest[n..];
    if rest.is_empty() {
        return true;
    }
    let Some(time) = rest.strip_prefix(['T', 't', ' ']) else { return false };
    let clock = time.trim_end_matches(['Z']);
    let clock = clock.split(['+']).next().unwrap_or(clock);
    clock.matches(':').count() >= 2 && clock.bytes().all(|c| c.is_ascii_digit() || matches!(c, b':' | b'.' | b'-'))
}

/// `1:20`: sexagesimal in YAML 1.1; never read as such, but quoted for others' sake.
fn is_base60(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = rest.split(':');
    let head = parts.next().unwrap_or("");
    if !head.starts_with(|c: char| c.is_ascii_digit()) || !head.bytes().all(|c| c.is_ascii_digit() || c == b'_') {
        return false;
    }
    let tail: Vec<&str> = parts.collect();
    !tail.is_empty()
        && tail.iter().enumerate().all(|(i, part)| {
            let (part, fraction) = part.split_once('.').unwrap_or((part, ""));
            let last = i + 1 == tail.len();
            (last || fraction.is_empty())
                && fraction.bytes().all(|c| c.is_ascii_digit() || c == b'_')
                && match part.as_bytes() {
                    [d] => d.is_ascii_digit(),
                    [t, d] => (b'0'..=b'5').contains(t) && d.is_ascii_digit(),
                    _ => false,
                }
        })
}
