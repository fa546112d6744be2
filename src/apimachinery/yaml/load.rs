//! Text to values: one document, with limits against documents that explode.

use std::collections::{HashMap, HashSet};
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::scalar::resolve;
use crate::field::go_quote;
use crate::schema::shared_key;
use crate::value::{Fields, Key, Value};

/// Nesting beyond this is refused (upstream: 10,000, which would overflow a worker's stack).
const MAX_DEPTH: usize = 1_000;

/// A document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    pub value: Value,
    /// `line 7: key "k" already set in map`: keys given twice, lines counted from the start of the document. The last counts.
    pub duplicates: Vec<String>,
}

/// Why a text is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// As go-yaml words it: `yaml: line 4: did not find expected key`. Its line is go-yaml's, which is often one less.
    pub message: String,
    /// Where the scanner stopped: line and column, from 1.
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Parses the first document of a text; what follows it is not looked at (as Go's `yaml.Unmarshal`). An empty text is null.
pub fn parse(text: &str) -> Result<Document, Error> {
    let mut builder = Builder::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // go-yaml refuses what can't be printed before it looks at anything else (the scanner takes a NUL for the end).
    if let Some(at) = text.find(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) {
        let begin = text[..at].rfind('\n').map_or(0, |i| i + 1);
        let (line, column) = (text[..at].matches('\n').count() + 1, text[begin..at].chars().count() + 1);
        return Err(Error { message: "yaml: control characters are not allowed".into(), line, column });
    }
    // YAML 1.2 allows what 1.1 refuses: a tab before the first token.
    if let Some((i, _)) = text.lines().enumerate().find(|(_, l)| !l.is_empty()).filter(|(_, l)| l.starts_with('\t')) {
        let place = if i > 0 { format!("line {}: ", i + 1) } else { String::new() };
        let message = format!("yaml: {place}found character that cannot start any token");
        return Err(Error { message, line: i + 1, column: 1 });
    }
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| builder.scan_error(&e))?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        builder.event(event, span)?;
    }
    Ok(Document { value: builder.root.unwrap_or_default(), duplicates: builder.duplicates })
}

/// Line and column (from 1) of the field at a path such as `spec.containers[0].image` or `metadata.labels[app]`: of its key,
/// or of the item. A path that is not there gives its nearest parent that is; `None` for a text that can't be read.
pub fn locate(text: &str, path: &str) -> Option<(usize, usize)> {
    let mut builder = Builder { positions: Some(Vec::new()), ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        builder.event(event, span).ok()?;
    }
    let positions = builder.positions?;
    let mut wanted = segments(path);
    loop {
        if let Some((_, line, column)) = positions.iter().rev().find(|(p, ..)| *p == wanted) {
            return Some((*line, *column));
        }
        wanted.pop()?;
    }
}

/// `a.b[0].c` as `a`, `b`, `0`, `c`.
fn segments(path: &str) -> Vec<String> {
    path.split(['.', '[', ']']).filter(|s| !s.is_empty()).map(str::to_string).collect()
}

enum Frame {
    List {
        items: Vec<Value>,
        anchor: usize,
        size: usize,
    },
    Map {
        entries: Vec<(Key, Value)>,
        seen: HashSet<Key>,
        merged: Vec<Value>,
        key: Option<Key>,
        anchor: usize,
        size: usize,
        line: usize,
    },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    root: Option<Value>,
    /// Values by anchor, with the number of nodes in them.
    anchors: HashMap<usize, (Value, usize)>,
    nodes: usize,
    aliased: usize,
    aliases: usize,
    duplicates: Vec<String>,
    positions: Option<Vec<(Vec<String>, usize, usize)>>,
}

impl Builder {
    fn event(&mut self, event: Event, span: Span) -> Result<(), Error> {
        match event {
            Event::MappingStart(anchor, _) => {
                self.note(&span);
                self.push(
                    Frame::Map {
                        entries: Vec::new(),
                        seen: HashSet::new(),
                        merged: Vec::new(),
                        key: None,
                        anchor,
                        size: 1,
                        line: span.start.line(),
                    },
                    &span,
                )
            }
            Event::SequenceStart(anchor, _) => {
                self.note(&span);
                self.push(Frame::List { items: Vec::new(), anchor, size: 1 }, &span)
            }
            Event::MappingEnd | Event::SequenceEnd => self.pop(&span),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain || tag.is_some_and(|t| t.is_yaml_core_schema() && t.suffix == "str");
                let value = if is_text { Value::str(&text) } else { resolve(&text) };
                let merge = !is_text && text == "<<";
                self.add(value, anchor, 1, merge, &span)
            }
            Event::Alias(id) => {
                let (value, size) = self.anchors.get(&id).cloned().ok_or_else(|| error("unknown anchor referenced", &span))?;
                self.aliases += 1;
                self.aliased += size;
                self.check_aliases(&span)?;
                self.add(value, 0, size, false, &span)
            }
            _ => Ok(()),
        }
    }

    /// go-yaml's limit: the more nodes there are, the fewer of them may come from aliases.
    fn check_aliases(&self, span: &Span) -> Result<(), Error> {
        let total = self.nodes + self.aliased;
        let allowed_percent = match total {
            0..=400_000 => 99,
            400_001..=4_000_000 => 99 - 89 * (total - 400_000) / 3_600_000,
            _ => 10,
        };
        if self.aliases > 100 && total > 1_000 && self.aliased * 100 > total * allowed_percent || self.aliased > 10_000_000 {
            return Err(error("document contains excessive aliasing", span));
        }
        Ok(())
    }

    fn push(&mut self, frame: Frame, span: &Span) -> Result<(), Error> {
        if let Some(Frame::Map { key: None, .. }) = self.stack.last() {
            return Err(error("invalid map key: a collection", span));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(error(&format!("exceeded max depth of {MAX_DEPTH}"), span));
        }
        self.nodes += 1;
        self.stack.push(frame);
        Ok(())
    }

    fn pop(&mut self, span: &Span) -> Result<(), Error> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let (value, anchor, size) = match frame {
            Frame::List { items, anchor, size } => (Value::list(items), anchor, size),
            Frame::Map { mut entries, merged, anchor, size, .. } => {
                for source in merged {
                    for (k, v) in source.as_map().into_iter().flatten() {
                        if !entries.iter().any(|(have, _)| have == k) {
                            entries.push((k.clone(), v.clone()));
                        }
                    }
                }
                (Value::from(Fields::from_entries(entries)), anchor, size)
            }
        };
        self.nodes -= 1;
        self.add(value, anchor, size, false, span)
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, value: Value, anchor: usize, size: usize, merge: bool, span: &Span) -> Result<(), Error> {
        self.nodes += 1;
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
        let is_container = matches!(value, Value::List(_) | Value::Map(_));
        match self.stack.last() {
            Some(Frame::Map { key: None, .. }) => return self.add_key(&value, merge, span),
            Some(_) if !is_container => self.note(span),
            _ => {}
        }
        match self.stack.last_mut() {
            None => self.root = Some(value),
            Some(Frame::List { items, size: total, .. }) => {
                *total += size;
                items.push(value);
            }
            Some(Frame::Map { entries, merged, key, size: total, .. }) => {
                *total += size;
                let key = key.take().expect("a key was read before its value");
                match (&*key, &value) {
                    ("<<", Value::Map(_)) => merged.push(value),
                    ("<<", Value::List(items)) if items.iter().all(|v| v.as_map().is_some()) => merged.extend_from_slice(items),
                    _ => entries.push((key, value)),
                }
            }
        }
        Ok(())
    }

    fn add_key(&mut self, value: &Value, merge: bool, span: &Span) -> Result<(), Error> {
        let text = match value {
            Value::Str(s) => shared_key(s),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => crate::json::to_string(value).into(),
            Value::Null => return Err(error("unsupported map key of type: %!s(<nil>), key: <nil>", span)),
            Value::List(_) | Value::Map(_) => return Err(error("invalid map key: a collection", span)),
        };
        let line = span.start.line();
        if let Some(Frame::Map { seen, key, .. }) = self.stack.last_mut() {
            if !merge && !seen.insert(text.clone()) {
                let shown = value.as_str().map_or_else(|| text.to_string(), go_quote);
                self.duplicates.push(format!("line {line}: key {shown} already set in map"));
            }
            *key = Some(text);
        }
        if let Some(positions) = self.positions.take() {
            self.positions = Some(positions);
            self.note_at(line, span.start.col() + 1);
        }
        Ok(())
    }

    /// Remembers where the item begins that is about to be added to a list.
    fn note(&mut self, span: &Span) {
        if self.positions.is_some() && matches!(self.stack.last(), Some(Frame::List { .. })) {
            let (line, column) = (span.start.line(), span.start.col() + 1);
            self.note_at(line, column);
        }
    }

    fn note_at(&mut self, line: usize, column: usize) {
        let path = self.stack.iter().flat_map(|frame| match frame {
            Frame::List { items, .. } => vec![items.len().to_string()],
            // Keys with dots or slashes are compared in the parts that `segments` makes of them.
            Frame::Map { key, .. } => key.as_deref().map(segments).unwrap_or_default(),
        });
        let path = path.collect();
        if let Some(positions) = &mut self.positions {
            positions.push((path, line, column));
        }
    }

    /// A scanner's error in libyaml's words, with go-yaml's idea of the line: that of the collection it was in if that does
    /// not begin on the first line, else that of the problem; both counted from 0, except where the scanner stopped.
    fn scan_error(&self, e: &ScanError) -> Error {
        let info = e.info();
        if info.contains("recursion limit") {
            let message = format!("yaml: exceeded max depth of {MAX_DEPTH}");
            return Error { message, line: e.marker().line(), column: e.marker().col() + 1 };
        }
        let (line, column) = (e.marker().line(), e.marker().col() + 1);
        let words = info.rsplit_once(", ").map_or(info, |(_, last)| last);
        let (text, scanner) = match words {
            _ if info.contains("flow mapping") => ("did not find expected ',' or '}'", false),
            _ if info.contains("flow sequence") => ("did not find expected ',' or ']'", false),
            _ if info.contains("tab") => ("found character that cannot start any token", true),
            _ if info.starts_with("unexpected character") => ("found character that cannot start any token", true),
            "simple key expect ':'" | "simple key expected" => ("could not find expected ':'", true),
            "invalid indentation" => ("did not find expected key", false),
            "invalid indentation in quoted scalar" | "unterminated quote" => ("found unexpected end of stream", true),
            "unexpected eof" => ("did not find expected node content", false),
            other => (other, info.contains("scanning") || other.contains("not allowed in this context")),
        };
        let context = self.stack.iter().rev().find_map(|f| if let Frame::Map { line, .. } = f { Some(*line) } else { None });
        let zero_based = match (scanner, context) {
            (false, Some(context)) if context > 1 => context - 1,
            _ => line - 1,
        };
        let shown = if scanner && zero_based > 0 { zero_based + 1 } else { zero_based };
        let place = match (shown, scanner) {
            (0, true) => String::new(),
            (0, false) => "line 1: ".to_string(),
            (n, _) => format!("line {n}: "),
        };
        Error { message: format!("yaml: {place}{text}"), line, column }
    }
}

fn error(text: &str, span: &Span) -> Error {
    Error { message: format!("yaml: {text}"), line: span.start.line(), column: span.start.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::super::{parse_all, split_documents};
    use super::*;

    fn json(text: &str) -> String {
        format!("{:?}", parse(text).unwrap().value)
    }

    #[test]
    fn scalars_mean_what_go_yaml_says() {
        assert_eq!(
            json(
                "{a: yes, b: 'yes', c: 0777, d: 1.0, e: 1.5, f: ~, g: 2026-01-02, h: 0x1F, i: 1e3, j: 1_000, k: '', l: , m: 08}"
            ),
            r#"{"a":true,"b":"yes","c":511,"d":1,"e":1.5,"f":null,"g":"2026-01-02","h":31,"i":1000,"j":1000,"k":"","l":null,"m":8}"#
        );
        assert_eq!(
            json("a: |\n  x\n  y\nb: >-\n  folded\n  text\n1: one\non: o\n"),
            r#"{"1":"one","a":"x\ny\n","b":"folded text","true":"o"}"#
        );
        assert_eq!(json(""), "null");
    }

    #[test]
    fn anchors_merge_and_have_a_limit() {
        assert_eq!(
            json("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\nc: *x"),
            r#"{"a":{"p":1,"q":2},"b":{"p":1,"q":3},"c":{"p":1,"q":2}}"#
        );
        let mut bomb = "a0: &a0 [x]\n".to_string();
        for i in 1..12 {
            bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(","));
        }
        assert_eq!(parse(&bomb).unwrap_err().message, "yaml: document contains excessive aliasing");
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn errors_and_duplicates_have_lines() {
        let d = parse("kind: ConfigMap\ndata:\n  k: a\n  k: b\n").unwrap();
        assert_eq!(d.duplicates, ["line 4: key \"k\" already set in map"]);
        for (text, message) in [
            ("a: b: c", "yaml: mapping values are not allowed in this context"),
            (
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n data:\n  x: y\n",
                "yaml: line 4: did not find expected key",
            ),
            ("apiVersion: v1\nkind: C\nmetadata:\n\tname: tab\n", "yaml: line 4: found character that cannot start any token"),
            ("\tapiVersion: v1", "yaml: found character that cannot start any token"),
            ("spec: [unclosed", "yaml: line 1: did not find expected ',' or ']'"),
            ("{\"a\":\"b\"", "yaml: line 1: did not find expected ',' or '}'"),
        ] {
            assert_eq!(parse(text).unwrap_err().message, message, "{text:?}");
        }
        let err = parse_all("a: 1\n---\nb: [\n---\n").unwrap_err();
        assert!(err.line >= 3, "{err:?}");
    }

    #[test]
    fn documents_and_places() {
        let text = "# c\n---\na: 1\n---\n\n---\nb: 2\n";
        let lines: Vec<usize> = parse_all(text).unwrap().iter().map(|(line, _)| *line).collect();
        assert_eq!((split_documents(text).len(), lines), (4, vec![3, 7]));
        let pod = "kind: Pod\nspec:\n  containers:\n  - name: c\n    image: x\nmetadata:\n  labels:\n    a.b/c: d\n";
        assert_eq!(locate(pod, "spec.containers[0].image"), Some((5, 5)));
        assert_eq!(locate(pod, "spec.containers[0].bogus"), Some((4, 5)));
        assert_eq!(locate(pod, "metadata.labels[a.b/c]"), Some((8, 5)));
    }
}
