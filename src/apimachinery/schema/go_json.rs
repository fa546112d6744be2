//! JSON as Go reads it: `encoding/json`'s error texts, members given twice named by path, document order on demand.

use base::Sym;

use crate::value::{Fields, Key, Value};

/// Deeper documents are refused. Go stops at 10,000, which would overflow a worker's stack.
const MAX_DEPTH: usize = 1_000;

/// Why a text is no JSON: Go's text, e.g. `unexpected end of JSON input`.
pub type JsonError = String;

/// A JSON document.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub value: Value,
    /// Paths of members that were given before (`spec.containers[0].image`), in document order. The last one counts.
    pub duplicates: Vec<String>,
}

/// Parses one document; anything but white space after it is an error.
pub fn parse(text: &[u8]) -> Result<Parsed, JsonError> {
    let mut p = Parser { text, pos: 0, depth: 0, path: Vec::new(), duplicates: Vec::new(), members: None };
    let value = p.document()?;
    Ok(Parsed { value, duplicates: p.duplicates })
}

/// The paths of all members in document order; a member given twice is there twice. For putting complaints in order.
pub fn member_paths(text: &[u8]) -> Vec<String> {
    let members = Some(Vec::new());
    let mut p = Parser { text, pos: 0, depth: 0, path: Vec::new(), duplicates: Vec::new(), members };
    let _ = p.document();
    p.members.unwrap_or_default()
}

/// The key that the schema (or anything else in the house) has interned already; others are user data.
pub(crate) fn shared_key(text: &str) -> Key {
    Sym::existing(text).map_or_else(|| text.into(), Sym::text)
}

enum Step {
    Member(Key),
    Index(usize),
}

struct Parser<'a> {
    text: &'a [u8],
    pos: usize,
    depth: usize,
    path: Vec<Step>,
    duplicates: Vec<String>,
    members: Option<Vec<String>>,
}

fn quote_char(c: char) -> String {
    match c {
        '\'' => r"'\''".to_string(),
        '"' => "'\"'".to_string(),
        c => {
            let quoted = crate::field::go_quote(c.encode_utf8(&mut [0; 4]));
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Value, JsonError> {
        let value = self.value()?;
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(self.unexpected("after top-level value")),
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.pos).is_some_and(|c| matches!(c, b' ' | b'\t' | b'\r' | b'\n')) {
            self.pos += 1;
        }
        self.text.get(self.pos).copied()
    }

    fn unexpected(&self, context: &str) -> JsonError {
        match self.text.get(self.pos) {
            None => "unexpected end of JSON input".to_string(),
            // Go looks at bytes, and prints a byte above 127 as the Latin-1 character of that number.
            Some(&c) => format!("invalid character {} {context}", quote_char(char::from(c))),
        }
    }

    fn path_text(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            match step {
                Step::Member(k) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(k);
                }
                Step::Index(i) => out.push_str(&format!("[{i}]")),
            }
        }
        out
    }

    fn value(&mut self) -> Result<Value, JsonError> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Value::Str(self.string()?.into())),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn nested(&mut self, f: impl Fn(&mut Self) -> Result<Value, JsonError>) -> Result<Value, JsonError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("exceeded max depth".to_string());
        }
        self.pos += 1;
        let value = f(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        for expected in word.bytes() {
            if self.text.get(self.pos) != Some(&expected) {
                return Err(self.unexpected(&format!("in literal {word} (expecting {})", quote_char(char::from(expected)))));
            }
            self.pos += 1;
        }
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, JsonError> {
        let mut entries: Vec<(Key, Value)> = Vec::new();
        if self.peek() == Some(b'}') {
            self.pos += 1;
            return Ok(Value::map());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let key = shared_key(&self.string()?);
            if self.peek() != Some(b':') {
                return Err(self.unexpected("after object key"));
            }
            self.pos += 1;
            self.path.push(Step::Member(key.clone()));
            if self.members.is_some() {
                let path = self.path_text();
                self.members.get_or_insert_default().push(path);
            }
            let value = self.value()?;
            if entries.len() < 64 && entries.iter().any(|(k, _)| *k == key) {
                self.duplicates.push(self.path_text());
            }
            self.path.pop();
            entries.push((key, value));
            match self.peek() {
                Some(b',') => self.pos += 1,
                Some(b'}') => break,
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
        self.pos += 1;
        Ok(self.finish_object(entries))
    }

    /// Sorts; finds duplicates in large objects (small ones were searched as they were read).
    fn finish_object(&mut self, entries: Vec<(Key, Value)>) -> Value {
        let total = entries.len();
        let large = (total > 64).then(|| entries.iter().map(|(k, _)| k.clone()).collect::<Vec<Key>>());
        let fields = Fields::from_entries(entries);
        if let (Some(keys), true) = (large, fields.len() < total) {
            let mut seen = std::collections::BTreeSet::new();
            for (i, key) in keys.into_iter().enumerate() {
                if !seen.insert(key.clone()) && i >= 64 {
                    self.path.push(Step::Member(key));
                    self.duplicates.push(self.path_text());
                    self.path.pop();
                }
            }
        }
        fields.into()
    }

    fn array(&mut self) -> Result<Value, JsonError> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.pos += 1;
            return Ok(Value::list(items));
        }
        loop {
            self.path.push(Step::Index(items.len()));
            items.push(self.value()?);
            self.path.pop();
            match self.peek() {
                Some(b',') => self.pos += 1,
                Some(b']') => break,
                _ => return Err(self.unexpected("after array element")),
            }
        }
        self.pos += 1;
        Ok(Value::list(items))
    }

    fn digits(&mut self) -> bool {
        let start = self.pos;
        while self.text.get(self.pos).is_some_and(u8::is_ascii_digit) {
            self.pos += 1;
        }
        self.pos > start
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.pos;
        let mut whole = true;
        if self.text[self.pos] == b'-' {
            self.pos += 1;
        }
        if self.text.get(self.pos) == Some(&b'0') {
            self.pos += 1;
        } else if !self.digits() {
            return Err(self.unexpected("in numeric literal"));
        }
        if self.text.get(self.pos) == Some(&b'.') {
            whole = false;
            self.pos += 1;
            if !self.digits() {
                return Err(self.unexpected("after decimal point in numeric literal"));
            }
        }
        if let Some(b'e' | b'E') = self.text.get(self.pos) {
            whole = false;
            self.pos += 1;
            if let Some(b'+' | b'-') = self.text.get(self.pos) {
                self.pos += 1;
            }
            if !self.digits() {
                return Err(self.unexpected("in exponent of numeric literal"));
            }
        }
        let text = std::str::from_utf8(&self.text[start..self.pos]).expect("digits are ASCII");
        if let (true, Ok(n)) = (whole, text.parse()) {
            return Ok(Value::Int(n));
        }
        let f: f64 = text.parse().map_err(|_| "invalid number".to_string())?;
        if !f.is_finite() {
            return Err(format!("json: cannot unmarshal number {text} into Go value of type float64"));
        }
        Ok(Value::Float(f))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.pos += 1;
        let mut out: Vec<u8> = Vec::new();
        let mut clean = self.pos;
        loop {
            match self.text.get(self.pos) {
                Some(b'"') => break,
                Some(b'\\') => {
                    out.extend_from_slice(&self.text[clean..self.pos]);
                    self.pos += 1;
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    clean = self.pos;
                }
                Some(0..0x20) | None => return Err(self.unexpected("in string literal")),
                Some(_) => self.pos += 1,
            }
        }
        out.extend_from_slice(&self.text[clean..self.pos]);
        self.pos += 1;
        Ok(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let c = match self.text.get(self.pos) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.pos += 1;
        Ok(c)
    }

    /// `uXXXX`, and a pair of surrogates; one that is alone becomes U+FFFD.
    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let high = self.hex4()?;
        if !(0xd800..0xdc00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or('\u{fffd}'));
        }
        let at = self.pos;
        if self.text[at..].starts_with(b"\\u") {
            self.pos += 1;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                let c = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(c).unwrap_or('\u{fffd}'));
            }
            self.pos = at;
        }
        Ok('\u{fffd}')
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        self.pos += 1;
        let mut n = 0;
        for _ in 0..4 {
            let digit = self.text.get(self.pos).and_then(|c| char::from(*c).to_digit(16));
            n = n * 16 + digit.ok_or_else(|| self.unexpected("in \\u hexadecimal character escape"))?;
            self.pos += 1;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_gos() {
        for (text, error) in [
            ("{", "unexpected end of JSON input"),
            ("not json", "invalid character 'o' in literal null (expecting 'u')"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{'a':'b'}", r"invalid character '\'' looking for beginning of object key string"),
            ("{\"a\":NaN}", "invalid character 'N' looking for beginning of value"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), error, "{text}");
        }
        assert_eq!(parse("[".repeat(100_000).as_bytes()).unwrap_err(), "exceeded max depth");
    }

    #[test]
    fn values_and_duplicates() {
        let p = parse(br#"{"b":[{"x":1,"x":2.5}],"a":"\ud83d\ude00\ud800","b":null}"#).unwrap();
        assert_eq!(format!("{:?}", p.value), "{\"a\":\"\u{1f600}\u{fffd}\",\"b\":null}");
        assert_eq!(p.duplicates, ["b[0].x", "b"]);
        assert_eq!(member_paths(br#"{"b":[{"x":1}],"a":2}"#), ["b", "b[0].x", "a"]);
    }
}
