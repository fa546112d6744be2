//! PromQL's words. Models `promql/parser/lex.go`.

use std::rc::Rc;

/// A word and where it begins (bytes).
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub at: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A name: of a metric, a label, a function, or a keyword.
    Name(Rc<str>),
    Number(f64),
    /// `5m`, in milliseconds.
    Duration(i64),
    Text(Rc<str>),
    /// `+ - * / % ^ == != <= < >= > = =~ !~ ( ) { } [ ] , : @`
    Sign(&'static str),
    End,
}

/// Longest first.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "=~", "!~", "+", "-", "*", "/", "%", "^", "<", ">", "=", "(", ")", "{", "}", "[", "]", ",", ":", "@",
];

/// Splits a query into words. An error says where.
pub fn words(text: &str) -> Result<Vec<Token>, (usize, String)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if first == '#' {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (kind, length) = word(rest, first).map_err(|text| (at, text))?;
        out.push(Token { at, kind });
        at += length;
    }
    out.push(Token { at: text.len(), kind: Kind::End });
    Ok(out)
}

fn word(rest: &str, first: char) -> Result<(Kind, usize), String> {
    if matches!(first, '"' | '\'' | '`') {
        return string(rest, first);
    }
    if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
        return number(rest);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))).unwrap_or(rest.len());
        return Ok((Kind::Name(rest[..end].into()), end));
    }
    match SIGNS.iter().find(|s| rest.starts_with(**s)) {
        Some(sign) => Ok((Kind::Sign(sign), sign.len())),
        None => Err(format!("unexpected character: {first:?}")),
    }
}

fn string(rest: &str, quote: char) -> Result<(Kind, usize), String> {
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Kind::Text(out.into()), i + 1)),
            '\\' if quote != '`' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(c @ ('\\' | '"' | '\'')) => out.push(c),
                _ => return Err("unknown escape sequence".into()),
            },
            '\n' if quote != '`' => return Err("unterminated quoted string".into()),
            c => out.push(c),
        }
    }
    Err("unterminated quoted string".into())
}

/// A number, or a duration if a unit follows.
fn number(rest: &str) -> Result<(Kind, usize), String> {
    if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let value = i64::from_str_radix(&hex[..end], 16).map_err(|_| bad(rest))?;
        return Ok((Kind::Number(value as f64), end + 2));
    }
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let unit = |text: &str| ["ms", "s", "m", "h", "d", "w", "y"].into_iter().find(|u| text.starts_with(u));
    if digits > 0 && unit(&rest[digits..]).is_some() {
        return duration(rest);
    }
    let mut end = digits;
    if rest[end..].starts_with('.') {
        end += 1 + rest[end + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - end - 1);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let signed = usize::from(rest[end + 1..].starts_with(['+', '-']));
        let exponent = rest[end + 1 + signed..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - end - 1 - signed);
        if exponent > 0 {
            end += 1 + signed + exponent;
        }
    }
    if rest[end..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return Err(bad(rest));
    }
    let value = rest[..end].parse().map_err(|_| bad(rest))?;
    Ok((Kind::Number(value), end))
}

fn bad(rest: &str) -> String {
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
    format!("bad number or duration syntax: {:?}", &rest[..end])
}

fn duration(rest: &str) -> Result<(Kind, usize), String> {
    let (mut at, mut total) = (0usize, 0i64);
    while rest[at..].starts_with(|c: char| c.is_ascii_digit()) {
        let digits = rest[at..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - at);
        let n: i64 = rest[at..at + digits].parse().map_err(|_| bad(rest))?;
        at += digits;
        let (unit, ms) = [
            ("ms", 1i64),
            ("s", 1000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
            ("w", 604_800_000),
            ("y", 31_536_000_000),
        ]
        .into_iter()
        .find(|(u, _)| rest[at..].starts_with(u))
        .ok_or_else(|| bad(rest))?;
        at += unit.len();
        total = n.checked_mul(ms).and_then(|ms| total.checked_add(ms)).ok_or_else(|| bad(rest))?;
    }
    if rest[at..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return Err(bad(rest));
    }
    if total > 3_153_600_000_000 {
        return Err("duration out of range".into());
    }
    Ok((Kind::Duration(total), at))
}

impl Kind {
    /// As errors name it.
    pub fn show(&self) -> String {
        match self {
            Kind::Name(name) => format!("identifier {name:?}"),
            Kind::Number(n) => format!("number \"{n}\""),
            Kind::Duration(ms) => format!("duration \"{}s\"", *ms as f64 / 1000.0),
            Kind::Text(text) => format!("string {text:?}"),
            Kind::Sign(sign @ ("(" | ")" | "{" | "}" | "[" | "]" | "," | ":")) => format!("{sign:?}"),
            Kind::Sign(sign) => format!("<op:{sign}>"),
            Kind::End => "end of input".into(),
        }
    }
}
