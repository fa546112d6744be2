//! Field paths and field errors. Models `apimachinery/pkg/util/validation/field`.
//!
//! Validation walks every object that is written, so a path is a linked list on the stack and becomes text only in errors.

use std::fmt;

use crate::json;
use crate::value::Value;

/// A path to a field: `spec.containers[0].name`, `metadata.labels[app]`.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    pub const fn new(field: &'a str) -> Path<'a> {
        Path { parent: None, segment: Segment::Field(field) }
    }
    /// `parent.field`
    pub const fn child<'b>(&'b self, field: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), segment: Segment::Field(field) }
    }
    /// `parent[index]`
    pub const fn index(&self, index: usize) -> Path<'_> {
        Path { parent: Some(self), segment: Segment::Index(index) }
    }
    /// `parent[key]`
    pub const fn key<'b>(&'b self, key: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), segment: Segment::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.segment {
            Segment::Field(name) if self.parent.is_some() => write!(f, ".{name}"),
            Segment::Field(name) => f.write_str(name),
            Segment::Index(i) => write!(f, "[{i}]"),
            Segment::Key(k) => write!(f, "[{k}]"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorType {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    InternalError,
    TypeInvalid,
}

/// One mistake.
#[derive(Clone, PartialEq, Debug)]
pub struct Error {
    pub kind: ErrorType,
    pub field: String,
    /// The bad value as Go prints it, already rendered (quoted strings, bare numbers); empty where the type shows none.
    pub bad_value: String,
    pub detail: String,
}

impl Error {
    /// The machine-readable cause.
    pub fn reason(&self) -> &'static str {
        match self.kind {
            ErrorType::NotFound => "FieldValueNotFound",
            ErrorType::Required => "FieldValueRequired",
            ErrorType::Duplicate => "FieldValueDuplicate",
            ErrorType::Invalid => "FieldValueInvalid",
            ErrorType::NotSupported => "FieldValueNotSupported",
            ErrorType::Forbidden => "FieldValueForbidden",
            ErrorType::TooLong => "FieldValueTooLong",
            ErrorType::TooMany => "FieldValueTooMany",
            ErrorType::InternalError => "InternalError",
            ErrorType::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    /// The message without the field: `Invalid value: -1: must be …`.
    pub fn body(&self) -> String {
        let text = match self.kind {
            ErrorType::NotFound => "Not found",
            ErrorType::Required => "Required value",
            ErrorType::Duplicate => "Duplicate value",
            ErrorType::Invalid | ErrorType::TypeInvalid => "Invalid value",
            ErrorType::NotSupported => "Unsupported value",
            ErrorType::Forbidden => "Forbidden",
            ErrorType::TooLong => "Too long",
            ErrorType::TooMany => "Too many",
            ErrorType::InternalError => "Internal error",
        };
        let mut out = text.to_string();
        let bare =
            matches!(self.kind, ErrorType::Required | ErrorType::Forbidden | ErrorType::TooLong | ErrorType::InternalError);
        if !bare && !self.bad_value.is_empty() {
            out.push_str(": ");
            out.push_str(&self.bad_value);
        }
        if !self.detail.is_empty() {
            out.push_str(": ");
            out.push_str(&self.detail);
        }
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// The mistakes of an object, in the order found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorList(Vec<Error>);

impl ErrorList {
    pub fn new() -> ErrorList {
        ErrorList::default()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.0.iter()
    }
    pub fn push(&mut self, error: Error) {
        self.0.push(error);
    }
    pub fn append(&mut self, mut other: ErrorList) {
        self.0.append(&mut other.0);
    }
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    fn add(&mut self, kind: ErrorType, path: &Path, bad_value: String, detail: impl Into<String>) {
        self.0.push(Error { kind, field: path.to_string(), bad_value, detail: detail.into() });
    }
    pub fn required(&mut self, path: &Path, detail: impl Into<String>) {
        self.add(ErrorType::Required, path, String::new(), detail);
    }
    pub fn invalid(&mut self, path: &Path, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(ErrorType::Invalid, path, go_value(&value.into()), detail);
    }
    pub fn type_invalid(&mut self, path: &Path, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(ErrorType::TypeInvalid, path, go_value(&value.into()), detail);
    }
    pub fn duplicate(&mut self, path: &Path, value: impl Into<Value>) {
        self.add(ErrorType::Duplicate, path, go_value(&value.into()), "");
    }
    pub fn not_found(&mut self, path: &Path, value: impl Into<Value>) {
        self.add(ErrorType::NotFound, path, go_value(&value.into()), "");
    }
    pub fn forbidden(&mut self, path: &Path, detail: impl Into<String>) {
        self.add(ErrorType::Forbidden, path, String::new(), detail);
    }
    /// `supported` is printed in the order given (upstream sorts it).
    pub fn not_supported(&mut self, path: &Path, value: impl Into<Value>, supported: &[&str]) {
        let quoted: Vec<String> = supported.iter().map(|s| go_quote(s)).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        self.add(ErrorType::NotSupported, path, go_value(&value.into()), detail);
    }
    pub fn too_long(&mut self, path: &Path, max: usize) {
        let unit = if max == 1 { "byte" } else { "bytes" };
        self.add(ErrorType::TooLong, path, String::new(), format!("may not be more than {max} {unit}"));
    }
    pub fn too_many(&mut self, path: &Path, actual: usize, max: usize) {
        let unit = if max == 1 { "item" } else { "items" };
        self.add(ErrorType::TooMany, path, actual.to_string(), format!("must have at most {max} {unit}"));
    }

    /// One text for all: `a`, or `[a, b]`; equal texts once. Models `utilerrors.Aggregate`.
    pub fn aggregate(&self) -> String {
        let mut texts: Vec<String> = Vec::with_capacity(self.0.len());
        for error in &self.0 {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) }
    }
}

impl IntoIterator for ErrorList {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A bad value as `field.Error` prints it: strings quoted by Go's rules, scalars bare, the rest as JSON.
pub fn go_value(value: &Value) -> String {
    match value {
        Value::Str(s) => go_quote(s),
        Value::Null => "null".to_string(),
        other => json::to_string(other),
    }
}

/// Go's `%q` for text: control characters escaped, printable Unicode left.
pub fn go_quote(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_upstream() {
        let spec = Path::new("spec");
        let containers = spec.child("containers");
        let first = containers.index(0);
        let mut errors = ErrorList::new();
        errors.required(&first.child("image"), "");
        errors.invalid(&first.child("name"), "Main", "must be lower case");
        errors.not_supported(&spec.child("restartPolicy"), "Maybe", &["Always", "Never"]);
        assert_eq!(
            errors.aggregate(),
            "[spec.containers[0].image: Required value, spec.containers[0].name: Invalid value: \"Main\": must be lower case, \
             spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"Never\"]"
        );
    }
}
