//! `@csv`, `@base64` and the other formats.

use super::printer::{compact, excerpt};
use super::value::Json;

/// A value in a format, as a text.
pub fn format(name: &str, value: &Json) -> Result<Json, String> {
    Ok(Json::str(match name {
        "text" => text(value)?,
        "json" => json(value)?,
        "csv" => row(value, "csv", ",", |t| format!("\"{}\"", t.replace('"', "\"\"")))?,
        "tsv" => row(value, "tsv", "\t", tsv)?,
        "html" => html(&text(value)?),
        "uri" => uri(&text(value)?),
        "sh" => shell(value)?,
        "base64" => encode(text(value)?.as_bytes(), BASE64, 6, 4),
        "base64d" => base64_decoded(value)?,
        "base32" => encode(text(value)?.as_bytes(), BASE32, 5, 8),
        "base32d" => base32_decoded(value)?,
        _ => return Err(format!("{name} is not a valid format")),
    }))
}

fn json(value: &Json) -> Result<String, String> {
    compact(value).ok_or_else(|| "Value is too large to be printed".to_string())
}

fn text(value: &Json) -> Result<String, String> {
    value.as_str().map_or_else(|| json(value), |text| Ok(text.to_string()))
}

fn about(value: &Json, what: &str) -> String {
    format!("{} ({}) {what}", value.kind(), excerpt(value, 15))
}

fn row(value: &Json, name: &str, separator: &str, quote: fn(&str) -> String) -> Result<String, String> {
    let items = value.as_array().ok_or_else(|| about(value, &format!("cannot be {name}-formatted, only array")))?;
    let cell = |item: &Json| match item {
        Json::Null => Ok(String::new()),
        Json::Bool(_) | Json::Number(_) | Json::Literal(_) => json(item),
        Json::String(text) => Ok(quote(text)),
        _ => Err(about(item, "is not valid in a csv row")),
    };
    let cells: Result<Vec<String>, String> = items.iter().map(cell).collect();
    Ok(cells?.join(separator))
}

fn tsv(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

fn uri(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(b as char),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn shell(value: &Json) -> Result<String, String> {
    let one = |item: &Json| match item {
        Json::String(text) => Ok(format!("'{}'", text.replace('\'', "'\\''"))),
        Json::Array(_) | Json::Object(_) => Err(about(item, "can not be escaped for shell")),
        other => json(other),
    };
    match value {
        Json::Array(items) => Ok(items.items().iter().map(one).collect::<Result<Vec<_>, _>>()?.join(" ")),
        other => one(other),
    }
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Bytes in digits of so many bits, filled up with `=` to whole groups.
fn encode(bytes: &[u8], alphabet: &[u8], bits: u32, group: usize) -> String {
    let mut out = String::with_capacity(bytes.len() * 8 / bits as usize + group);
    let (mut buffer, mut held) = (0_u32, 0);
    for b in bytes {
        buffer = (buffer << 8) | u32::from(*b);
        held += 8;
        while held >= bits {
            held -= bits;
            out.push(alphabet[(buffer >> held) as usize & (alphabet.len() - 1)] as char);
        }
        buffer &= (1 << held) - 1;
    }
    if held > 0 {
        out.push(alphabet[(buffer << (bits - held)) as usize & (alphabet.len() - 1)] as char);
    }
    while !out.len().is_multiple_of(group) {
        out.push('=');
    }
    out
}

/// The bytes of digits; `None` if one of them isn't in the alphabet.
fn decode(digits: &str, alphabet: &[u8], bits: u32) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(digits.len());
    let (mut buffer, mut held) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = alphabet.iter().position(|a| *a == digit)?;
        buffer = (buffer << bits) | value as u32;
        held += bits;
        if held >= 8 {
            held -= 8;
            out.push((buffer >> held) as u8);
            buffer &= (1 << held) - 1;
        }
    }
    Some(out)
}

fn base64_decoded(value: &Json) -> Result<String, String> {
    let text = text(value)?;
    let shown = Json::str(&text);
    let digits = text.trim_end_matches('=');
    let bytes = decode(digits, BASE64, 6).ok_or_else(|| about(&shown, "is not valid base64 data"))?;
    if digits.len() % 4 == 1 {
        return Err(about(&shown, "trailing base64 byte found"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn base32_decoded(value: &Json) -> Result<String, String> {
    let text = text(value)?;
    let bytes = decode(text.trim_end_matches('='), BASE32, 5);
    let bytes = bytes.ok_or_else(|| about(&Json::str(&text), "is not valid base32 data"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
