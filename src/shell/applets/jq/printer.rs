//! Values to text.

use super::number;
use super::value::Json;

/// How values are printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// `None`: all on one line. `Some(0..=7)` spaces, or a tab.
    pub indent: Option<Indent>,
    /// `-S`
    pub sorted: bool,
    /// `-a`
    pub ascii: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indent {
    Spaces(u8),
    Tab,
}

/// A text that grew beyond this is nobody's wish: values that share their parts can be printed to any size.
const MAX_TEXT: usize = 256 << 20;

/// One line, as `tojson` makes it. `None`: too much.
pub fn compact(value: &Json) -> Option<String> {
    print(value, Style::default())
}

/// The value as text. `None`: too much.
pub fn print(value: &Json, style: Style) -> Option<String> {
    let mut out = String::new();
    write(value, style, 0, &mut out).then_some(out)
}

/// At most so many bytes of the one-line form, with `...` at the end of what was cut: for messages.
pub fn excerpt(value: &Json, most: usize) -> String {
    // Only so much of a value is printed as can be shown.
    let mut text = String::new();
    shallow(value, most, &mut text);
    if text.len() < most {
        return text;
    }
    let mut end = most.saturating_sub(4);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

/// As [`compact`], but stops soon after `most` bytes.
fn shallow(value: &Json, most: usize, out: &mut String) {
    match value {
        Json::String(text) if text.len() > most => {
            let cut: String = text.chars().take(most).collect();
            quote(&cut, false, out);
        }
        Json::Array(array) => {
            out.push('[');
            for (i, item) in array.items().iter().enumerate() {
                if out.len() > most {
                    return;
                }
                out.push_str(if i > 0 { "," } else { "" });
                shallow(item, most, out);
            }
            out.push(']');
        }
        Json::Object(object) => {
            out.push('{');
            for (i, (key, item)) in object.entries().into_iter().enumerate() {
                if out.len() > most {
                    return;
                }
                out.push_str(if i > 0 { "," } else { "" });
                quote(key, false, out);
                out.push(':');
                shallow(item, most, out);
            }
            out.push('}');
        }
        _ => scalar(value, false, out),
    }
}

fn scalar(value: &Json, ascii: bool, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(value) => out.push_str(&number::print(*value)),
        Json::Literal(literal) => out.push_str(&literal.1),
        Json::String(text) => quote(text, ascii, out),
        Json::Array(_) | Json::Object(_) => {}
    }
}

fn write(value: &Json, style: Style, level: usize, out: &mut String) -> bool {
    if out.len() > MAX_TEXT {
        return false;
    }
    match value {
        Json::Array(array) if array.items().is_empty() => out.push_str("[]"),
        Json::Object(object) if object.len() == 0 => out.push_str("{}"),
        Json::Array(array) => {
            out.push('[');
            for (i, item) in array.items().iter().enumerate() {
                separate(i, style, level, out);
                if !write(item, style, level + 1, out) {
                    return false;
                }
            }
            line(style, level, out);
            out.push(']');
        }
        Json::Object(object) => {
            out.push('{');
            let entries = if style.sorted { object.sorted().collect() } else { object.entries() };
            for (i, (key, item)) in entries.into_iter().enumerate() {
                separate(i, style, level, out);
                quote(key, style.ascii, out);
                out.push_str(if style.indent.is_some() { ": " } else { ":" });
                if !write(item, style, level + 1, out) {
                    return false;
                }
            }
            line(style, level, out);
            out.push('}');
        }
        _ => scalar(value, style.ascii, out),
    }
    true
}

fn separate(i: usize, style: Style, level: usize, out: &mut String) {
    if i > 0 {
        out.push(',');
    }
    line(style, level + 1, out);
}

fn line(style: Style, level: usize, out: &mut String) {
    let (character, width) = match style.indent {
        None => return,
        Some(Indent::Tab) => ('\t', 1),
        Some(Indent::Spaces(width)) => (' ', width as usize),
    };
    out.push('\n');
    out.extend(std::iter::repeat_n(character, width * level));
}

/// A JSON string.
pub fn quote(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f || (ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
