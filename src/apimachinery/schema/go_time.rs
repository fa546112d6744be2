//! Times as Go's decoder reads and writes them, with the errors of `time.Parse`.

use base::Time;

use crate::value::Value;

/// The canonical form of a time; `None`: it is canonical.
pub fn time(text: &str, value: &Value, micro: bool) -> Result<Option<Value>, String> {
    if text.is_empty() && !micro {
        return Ok(Some(Value::Null));
    }
    // Canonical already: the usual case.
    let canonical_len = if micro { 27 } else { 20 };
    let Some(t) = Time::parse(text) else {
        let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
        return Err(time_error(text, layout));
    };
    if text.len() == canonical_len && text.ends_with('Z') {
        return Ok(None);
    }
    let canonical = if micro { t.rfc3339_micro() } else { t.rfc3339() };
    Ok((value.as_str() != Some(&canonical)).then(|| canonical.into()))
}

/// Go's `time.Parse` names the first part of the layout that does not fit.
fn time_error(text: &str, layout: &str) -> String {
    const PARTS: [(&str, usize, &str); 12] = [
        ("2006", 4, ""),
        ("-", 1, "-"),
        ("01", 2, ""),
        ("-", 1, "-"),
        ("02", 2, ""),
        ("T", 1, "T"),
        ("15", 2, ""),
        (":", 1, ":"),
        ("04", 2, ""),
        (":", 1, ":"),
        ("05", 2, ""),
        ("Z07:00", 1, "Z"),
    ];
    let mut rest = text;
    for (part, len, literal) in PARTS {
        let fits = rest.len() >= len
            && rest.is_char_boundary(len)
            && if literal.is_empty() { rest[..len].bytes().all(|c| c.is_ascii_digit()) } else { &rest[..len] == literal };
        if !fits {
            let (text, rest) = (crate::field::go_quote(text), crate::field::go_quote(rest));
            return format!("parsing time {text} as \"{layout}\": cannot parse {rest} as \"{part}\"");
        }
        rest = &rest[len..];
    }
    format!("parsing time {}: out of range", crate::field::go_quote(text))
}
