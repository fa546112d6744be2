//! Values to text as go-yaml v2 writes them: keys in natural order, two spaces, lists not indented below their key, literal
//! blocks for text of several lines, long lines folded after column 80. After libyaml's emitter.

use base::Sort as _;
use std::cmp::Ordering;

use super::scalar::needs_quotes;
use crate::value::{Key, Value};

/// Lines are folded at the first space after this column.
const BEST_WIDTH: usize = 80;

/// A document, ending in a newline.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// Appends a document, ending in a newline.
pub fn write(value: &Value, out: &mut String) {
    let mut e = Emitter { out, column: 0 };
    match value {
        Value::Map(m) if !m.is_empty() => e.map(value, 0),
        Value::List(l) if !l.is_empty() => e.list(l, 0),
        scalar => {
            e.scalar(scalar, 0, false);
            e.raw("\n");
        }
    }
}

struct Emitter<'a> {
    out: &'a mut String,
    /// Characters on this line so far.
    column: usize,
}

impl Emitter<'_> {
    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
        match text.rfind('\n') {
            Some(i) => self.column = text[i + 1..].chars().count(),
            None => self.column += text.chars().count(),
        }
    }
    fn indent(&mut self, n: usize) {
        if self.column > 0 {
            self.raw("\n");
        }
        for _ in 0..n {
            self.out.push(' ');
        }
        self.column = n;
    }

    /// The members at a column; the first begins where we are.
    fn map(&mut self, value: &Value, indent: usize) {
        let mut entries: Vec<&(Key, Value)> = value.as_map().into_iter().flatten().collect();
        entries.order_by(|a, b| natural(&a.0, &b.0));
        for (i, (key, value)) in entries.into_iter().enumerate() {
            if i > 0 {
                self.indent(indent);
            }
            let start = self.out.len();
            self.string(key, indent, true);
            let length = self.out.len() - start;
            if length > 128 {
                self.out.insert_str(start, "? ");
                self.indent(indent);
            }
            self.raw(":");
            self.value(value, indent);
        }
    }

    /// What follows a key.
    fn value(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Map(m) if !m.is_empty() => {
                self.indent(indent + 2);
                self.map(value, indent + 2);
            }
            Value::List(l) if !l.is_empty() => {
                self.indent(indent);
                self.list(l, indent);
            }
            scalar => {
                self.raw(" ");
                self.scalar(scalar, indent, false);
                self.end_line();
            }
        }
    }

    fn list(&mut self, items: &[Value], indent: usize) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.indent(indent);
            }
            self.raw("- ");
            match item {
                Value::Map(m) if !m.is_empty() => self.map(item, indent + 2),
                Value::List(l) if !l.is_empty() => self.list(l, indent + 2),
                scalar => {
                    self.scalar(scalar, indent, false);
                    self.end_line();
                }
            }
        }
    }

    fn end_line(&mut self) {
        if self.column > 0 {
            self.raw("\n");
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, key: bool) {
        match value {
            Value::Str(s) => self.string(s, indent, key),
            Value::Map(_) => self.raw("{}"),
            Value::List(_) => self.raw("[]"),
            other => {
                let text = crate::json::to_string(other);
                self.raw(&text);
            }
        }
    }

    fn string(&mut self, s: &str, indent: usize, key: bool) {
        let shape = Shape::of(s);
        if s.contains('\n') && !key && shape.literal {
            return self.literal(s, indent + 2);
        }
        if s.contains('\n') || needs_quotes(s) {
            return self.double_quoted(s, indent + 2, key);
        }
        if shape.plain {
            return self.folded(s, indent + 2, key);
        }
        if shape.single_quoted {
            self.raw("'");
            self.folded(&s.replace('\'', "''"), indent + 2, key);
            return self.raw("'");
        }
        self.double_quoted(s, indent + 2, key)
    }

    /// Text of one line, broken at single spaces where it gets too long.
    fn folded(&mut self, s: &str, indent: usize, key: bool) {
        if key || self.column + s.len() <= BEST_WIDTH {
            return self.raw(s);
        }
        let chars: Vec<char> = s.chars().collect();
        let mut spaces = false;
        for (i, &c) in chars.iter().enumerate() {
            let single = c == ' ' && !spaces && i > 0 && i + 1 < chars.len() && chars[i + 1] != ' ';
            if single && self.column > BEST_WIDTH {
                self.indent(indent);
            } else {
                self.out.push(c);
                self.column += 1;
            }
            spaces = c == ' ';
        }
    }

    fn literal(&mut self, s: &str, indent: usize) {
        self.raw("|");
        if s.starts_with([' ', '\n']) {
            self.raw("2");
        }
        if !s.ends_with('\n') {
            self.raw("-");
        } else if s.len() == 1 || s.ends_with("\n\n") {
            self.raw("+");
        }
        self.raw("\n");
        for line in s.split_inclusive('\n') {
            let text = line.strip_suffix('\n').unwrap_or(line);
            if !text.is_empty() {
                self.indent(indent);
                self.raw(text);
            }
            if line.ends_with('\n') {
                self.out.push('\n');
                self.column = 0;
            }
        }
    }

    fn double_quoted(&mut self, s: &str, indent: usize, key: bool) {
        self.raw("\"");
        let chars: Vec<char> = s.chars().collect();
        let mut spaces = false;
        for (i, &c) in chars.iter().enumerate() {
            if c == ' ' && !key && !spaces && self.column > BEST_WIDTH && i > 0 && i + 1 < chars.len() {
                self.indent(indent);
                if chars[i + 1] == ' ' {
                    self.raw("\\");
                }
                spaces = true;
                continue;
            }
            spaces = c == ' ';
            match escape(c) {
                Some(text) => self.raw(&text),
                None => {
                    self.out.push(c);
                    self.column += 1;
                }
            }
        }
        self.raw("\"");
    }
}

fn escape(c: char) -> Option<String> {
    Some(match c {
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\0' => "\\0".into(),
        '\u{7}' => "\\a".into(),
        '\u{8}' => "\\b".into(),
        '\t' => "\\t".into(),
        '\n' => "\\n".into(),
        '\u{b}' => "\\v".into(),
        '\u{c}' => "\\f".into(),
        '\r' => "\\r".into(),
        '\u{1b}' => "\\e".into(),
        '\u{85}' => "\\N".into(),
        '\u{2028}' => "\\L".into(),
        '\u{2029}' => "\\P".into(),
        c if is_printable(c) => return None,
        c if (c as u32) <= 0xff => format!("\\x{:02X}", c as u32),
        c if (c as u32) <= 0xffff => format!("\\u{:04X}", c as u32),
        c => format!("\\U{:08X}", c as u32),
    })
}

/// libyaml's notion, in which a tab and everything beyond the basic plane is not printable.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// In which styles a string can be written (outside flow collections).
struct Shape {
    plain: bool,
    single_quoted: bool,
    literal: bool,
}

impl Shape {
    /// Models libyaml's `yaml_emitter_analyze_scalar`.
    fn of(s: &str) -> Shape {
        let b = s.as_bytes();
        let blank_after = |i: usize| matches!(b.get(i + 1), None | Some(b' ' | b'\t' | b'\n' | b'\r'));
        let mut indicators = s.starts_with("---") || s.starts_with("...");
        let (mut special, mut break_space, mut space_break) = (false, false, false);
        let (mut was_space, mut was_break, mut was_blank) = (false, false, true);
        for (i, c) in s.char_indices() {
            indicators |= match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' if i == 0 => true,
                '?' | '-' if i == 0 => blank_after(i),
                ':' => blank_after(i),
                '#' => was_blank,
                _ => false,
            };
            special |= !is_printable(c);
            break_space |= c == ' ' && was_break;
            space_break |= c == '\n' && was_space;
            (was_space, was_break) = (c == ' ', c == '\n');
            was_blank = matches!(c, ' ' | '\t' | '\n' | '\r');
        }
        let outer = s.starts_with([' ', '\n']) || s.ends_with([' ', '\n']);
        let broken = space_break || special;
        Shape {
            plain: !(s.is_empty() || outer || break_space || broken || indicators || s.contains('\n')),
            single_quoted: !(break_space || broken),
            literal: !(broken || s.ends_with(' ') || s.is_empty()),
        }
    }
}

/// go-yaml's order of keys: digits by their number, letters after everything else.
fn natural(a: &str, b: &str) -> Ordering {
    if less(a, b) {
        Ordering::Less
    } else if less(b, a) {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

fn less(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for i in 0..a.len().min(b.len()) {
        let (x, y) = (a[i], b[i]);
        if x == y {
            digits = x.is_numeric();
            continue;
        }
        let (xl, yl) = (x.is_alphabetic(), y.is_alphabetic());
        if xl && yl {
            return x < y;
        }
        if xl || yl {
            return if digits { xl } else { yl };
        }
        let leading = a[..i].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
        let start = i64::from((x == '0' || y == '0') && leading);
        let number = |s: &[char]| {
            let n = s[i..].iter().take_while(|c| c.is_ascii_digit()).count();
            let value = |n: i64, c: &char| n.wrapping_mul(10).wrapping_add(i64::from(*c as u32) - 48);
            (s[i..i + n].iter().fold(start, value), n)
        };
        let ((xn, xi), (yn, yi)) = (number(&a), number(&b));
        if xn != yn {
            return xn < yn;
        }
        return if xi != yi { xi < yi } else { x < y };
    }
    a.len() < b.len()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::value;

    #[test]
    fn prints_as_kubectl() {
        let v = value!({
            "metadata": {"labels": {"true": "on", "v": "1.0", "a10": "y", "a2": "x"}, "creationTimestamp": "2026-11-23T03:00:24Z"},
            "data": {"e": "", "q": "a\nb", "k": "line1\nline2\n", "t": "a\tb", "sp": "x \ny", "c": "a: b", "hash": "a #b",
                     "dash": "-", "star": "*x", "quote": "it's", "colon": "a:b", "null": "null", "base60": "1:20", "emoji": "😀", "u": "ü ☃"},
            "items": [{"name": "c", "ports": [1, 2]}, [1, [2]], "s", {}, [], null, (Value::Float(1.5))],
            "empty": {}, "none": null
        });
        let text = r#"data:
  base60: "1:20"
  c: 'a: b'
  colon: a:b
  dash: '-'
  e: ""
  emoji: "\U0001F600"
  hash: 'a #b'
  k: |
    line1
    line2
  "null": "null"
  q: |-
    a
    b
  quote: it's
  sp: "x \ny"
  star: '*x'
  t: "a\tb"
  u: ü ☃
empty: {}
items:
- name: c
  ports:
  - 1
  - 2
- - 1
  - - 2
- s
- {}
- []
- null
- 1.5
metadata:
  creationTimestamp: "2026-11-23T03:00:24Z"
  labels:
    a2: x
    a10: "y"
    "true": "on"
    v: "1.0"
none: null
"#;
        assert_eq!(to_string(&v), text);
        assert_eq!(parse(text).unwrap().value, v);
    }

    #[test]
    fn long_lines_fold_after_column_80() {
        let d =
            "Name must be unique within a namespace. Is required when creating resources, although some resources may allow: it";
        assert_eq!(
            to_string(&value!([{"description": d}])),
            "- description: 'Name must be unique within a namespace. Is required when creating\n    resources, although some resources may allow: it'\n"
        );
    }
}
