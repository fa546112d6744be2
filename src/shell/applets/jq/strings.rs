//! Functions on texts.

use super::natives::{Answer, about};
use super::ops;
use super::value::Json;

pub fn explode(value: &Json) -> Answer {
    let Some(text) = value.as_str() else { return Err("explode input must be a string".into()) };
    Ok(Json::array(text.chars().map(|c| Json::int(c as i64))))
}

pub fn implode(value: &Json) -> Answer {
    let Some(codes) = value.as_array() else { return Err("implode input must be an array".into()) };
    let mut text = String::with_capacity(codes.len());
    for code in codes {
        let Some(code) = code.as_number() else { return Err("Unicode codepoint must be numeric".into()) };
        text.push(char::from_u32(code as u32).unwrap_or('\u{fffd}'));
    }
    Ok(Json::str(text))
}

/// Without a text at its beginning or end; whatever doesn't have it stays as it is.
pub fn trim_text(value: Json, part: &Json, start: bool) -> Json {
    let (Some(text), Some(part)) = (value.as_str(), part.as_str()) else { return value };
    let rest = if start { text.strip_prefix(part) } else { text.strip_suffix(part) };
    match rest {
        Some(rest) => Json::str(rest),
        None => value,
    }
}

pub fn starts(value: &Json, part: &Json, start: bool) -> Answer {
    let (Some(text), Some(part)) = (value.as_str(), part.as_str()) else {
        return Err(if start { "startswith() requires string inputs" } else { "endswith() requires string inputs" }.into());
    };
    Ok(Json::Bool(if start { text.starts_with(part) } else { text.ends_with(part) }))
}

pub fn case(value: &Json, name: &str, change: fn(&str) -> String) -> Answer {
    match value.as_str() {
        Some(text) => Ok(Json::str(change(text))),
        None => Err(format!("{name} input must be a string").into()),
    }
}

pub fn trim(value: &Json, change: fn(&str) -> &str) -> Answer {
    match value.as_str() {
        Some(text) => Ok(Json::str(change(text))),
        None => Err(about(value, "cannot be trimmed")),
    }
}

pub fn split(value: &Json, separator: &Json) -> Answer {
    match (value.as_str(), separator.as_str()) {
        (Some(text), Some(separator)) => Ok(ops::split(text, separator)),
        _ => Err("split input and separator must be strings".into()),
    }
}

/// Where a text begins inside another one, in code points; occurrences may overlap.
pub fn indices(text: &str, part: &str) -> Json {
    if part.is_empty() {
        return Json::Null;
    }
    let mut found = Vec::new();
    for (at, (byte, _)) in text.char_indices().enumerate() {
        if text[byte..].starts_with(part) {
            found.push(Json::int(at as i64));
        }
    }
    Json::array(found)
}
