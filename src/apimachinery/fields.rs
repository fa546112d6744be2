//! Field selectors: `status.phase=Running,spec.nodeName!=node-1`. Models `apimachinery/pkg/fields`.

use std::fmt;
use std::rc::Rc;

/// One condition on one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    pub field: Rc<str>,
    /// `!=` instead of `=` or `==`.
    pub not_equals: bool,
    pub value: Rc<str>,
}

/// All requirements must hold; none match everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selector {
    requirements: Rc<[Requirement]>,
}

impl Selector {
    pub fn everything() -> Selector {
        Selector::default()
    }
    /// `field=value`
    pub fn one_term_equal(field: &str, value: &str) -> Selector {
        Selector { requirements: Rc::new([Requirement { field: field.into(), not_equals: false, value: value.into() }]) }
    }
    /// The error is upstream's text. Whether a field is supported is the resource's matter, see [`Selector::fields`].
    pub fn parse(text: &str) -> Result<Selector, String> {
        let mut requirements = Vec::new();
        for part in split_terms(text) {
            if part.is_empty() {
                continue;
            }
            let Some((field, not_equals, value)) = split_term(part) else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            let value = unescape(value).map_err(|c| format!("invalid field selector: unescaped character in value: {c}"))?;
            requirements.push(Requirement { field: field.into(), not_equals, value: value.into() });
        }
        Ok(Selector { requirements: requirements.into() })
    }
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
    /// The fields named, for checking that all are supported.
    pub fn fields(&self) -> impl Iterator<Item = &Rc<str>> {
        self.requirements.iter().map(|r| &r.field)
    }
    /// Whether the object whose fields `get` reads matches. A field that is missing reads as empty.
    pub fn matches<'v>(&self, get: impl Fn(&str) -> Option<&'v str>) -> bool {
        self.requirements.iter().all(|r| (get(&r.field).unwrap_or("") == &*r.value) != r.not_equals)
    }
    /// The value a field must have, if there is one: for lookups in an index.
    pub fn exact(&self, field: &str) -> Option<&Rc<str>> {
        self.requirements.iter().find(|r| &*r.field == field && !r.not_equals).map(|r| &r.value)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let operator = if r.not_equals { "!=" } else { "=" };
            write!(f, "{comma}{}{operator}{}", r.field, escape(&r.value))?;
        }
        Ok(())
    }
}

/// Splits at commas that no backslash escapes.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// Field, whether `!=`, and raw value; `None` without an operator.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    for (i, _) in term.char_indices() {
        let rest = &term[i..];
        for (operator, not_equals) in [("!=", true), ("==", false), ("=", false)] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((&term[..i], not_equals, value));
            }
        }
    }
    None
}

/// The error is the first character that should have been escaped, as Go prints it (its number).
fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(format!("invalid escape sequence: \\{c}")),
                None => return Err("invalid escape sequence".to_string()),
            },
            ',' | '=' => return Err((c as u32).to_string()),
            c => out.push(c),
        }
    }
    Ok(out)
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_matches() {
        let s = Selector::parse("status.phase!=Running,metadata.name==a\\,b").unwrap();
        assert_eq!(s.to_string(), "status.phase!=Running,metadata.name=a\\,b");
        assert!(s.matches(|f| if f == "metadata.name" { Some("a,b") } else { None }));
        assert_eq!(s.exact("metadata.name").map(|v| &**v), Some("a,b"));
        assert_eq!(Selector::parse("a").unwrap_err(), "invalid selector: 'a'; can't understand 'a'");
        assert_eq!(Selector::parse("a=b=c").unwrap_err(), "invalid field selector: unescaped character in value: 61");
    }
}
