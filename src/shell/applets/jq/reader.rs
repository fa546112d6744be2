//! JSON texts one after another, as they come: jq's own reader with its words. A text that isn't finished waits for more.

use std::rc::Rc;

use super::number;
use super::value::{Array, Json, MAX_DEPTH, Object};

/// A reader in the middle of its input.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    input: Vec<u8>,
    at: usize,
    /// What is open, outermost first.
    stack: Vec<Open>,
    /// A value that is complete, and waits for what comes behind it.
    next: Option<Json>,
    /// Letters of a literal, or the inside of a string.
    token: Vec<u8>,
    string: Option<Quoted>,
    line: usize,
    column: usize,
    begun: bool,
}

#[derive(Clone, Debug)]
enum Open {
    Array(Array),
    Object(Object),
    /// A key whose value hasn't come, on top of its object.
    Key(Rc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoted {
    Plain,
    /// After a backslash.
    Escaped,
}

impl Reader {
    /// Adds input.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.drain(..self.at);
        self.at = 0;
        let bytes = match self.begun {
            false => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
            true => bytes,
        };
        self.begun = true;
        self.input.extend_from_slice(bytes);
    }

    /// Bytes that it holds.
    pub fn held(&self) -> usize {
        self.input.len() + self.token.len()
    }

    /// Line ends read so far: the line of the last value's end counts whole.
    pub fn lines(&self) -> usize {
        let in_line = self.column > 0 && self.input[self.at..].contains(&b'\n');
        self.line + usize::from(in_line)
    }

    /// The next value; `None`: more input is needed. An error is jq's message.
    pub fn next_value(&mut self) -> Result<Option<Json>, String> {
        while let Some(byte) = self.input.get(self.at).copied() {
            self.at += 1;
            match byte {
                b'\n' => (self.line, self.column) = (self.line + 1, 0),
                _ => self.column += 1,
            }
            match self.byte(byte) {
                Ok(None) => {}
                Ok(done) => return Ok(done),
                Err(message) => return Err(format!("{message} at line {}, column {}", self.line + 1, self.column)),
            }
        }
        Ok(None)
    }

    /// What is left when no more input comes.
    pub fn finish(&mut self) -> Result<Option<Json>, String> {
        let place = format!("at EOF at line {}, column {}", self.line + 1, self.column);
        if self.string.is_some() {
            return Err(format!("Unfinished string {place}"));
        }
        self.literal().map_err(|message| format!("{message} {place}"))?;
        if !self.stack.is_empty() {
            return Err(format!("Unfinished JSON term {place}"));
        }
        Ok(self.next.take())
    }

    fn byte(&mut self, byte: u8) -> Result<Option<Json>, String> {
        if let Some(state) = self.string {
            return self.in_string(byte, state).map(|()| None);
        }
        let ends = matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'[' | b'{' | b':' | b',' | b']' | b'}' | b'"');
        if !ends {
            self.token.push(byte);
            return Ok(None);
        }
        self.literal()?;
        let done = if self.stack.is_empty() && !matches!(byte, b',' | b':' | b']' | b'}') { self.next.take() } else { None };
        match byte {
            b'"' => self.string = Some(Quoted::Plain),
            b'[' | b'{' | b':' | b',' | b']' | b'}' => self.structure(byte)?,
            _ => {}
        }
        Ok(done)
    }

    fn in_string(&mut self, byte: u8, state: Quoted) -> Result<(), String> {
        if state == Quoted::Plain && byte == b'"' {
            self.string = None;
            let text = unescape(&std::mem::take(&mut self.token))?;
            return self.value(Json::str(text));
        }
        self.token.push(byte);
        self.string = Some(if state == Quoted::Plain && byte == b'\\' { Quoted::Escaped } else { Quoted::Plain });
        Ok(())
    }

    /// Makes a value of the letters read.
    fn literal(&mut self) -> Result<(), String> {
        if self.token.is_empty() {
            return Ok(());
        }
        let token = std::mem::take(&mut self.token);
        let text = std::str::from_utf8(&token).unwrap_or("");
        let word = match text.as_bytes().first() {
            Some(b't') => Some(("true", Json::Bool(true))),
            Some(b'f') => Some(("false", Json::Bool(false))),
            Some(b'n') if text == "nan" => Some(("nan", Json::Number(f64::NAN))),
            Some(b'n') => Some(("null", Json::Null)),
            _ => None,
        };
        match word {
            Some((name, value)) if name == text => self.value(value),
            Some(_) => Err("Invalid literal".into()),
            None if text == "NaN" => self.value(Json::Number(f64::NAN)),
            None => {
                let number = number::parse(text).ok_or("Invalid numeric literal")?;
                self.value(number)
            }
        }
    }

    fn value(&mut self, value: Json) -> Result<(), String> {
        if self.next.is_some() {
            return Err("Expected separator between values".into());
        }
        self.next = Some(value);
        Ok(())
    }

    fn structure(&mut self, byte: u8) -> Result<(), String> {
        match byte {
            b'[' => self.open(Open::Array(Array::default())),
            b'{' => self.open(Open::Object(Object::default())),
            b':' => self.colon(),
            b',' => self.comma(),
            _ => self.close(byte == b']'),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), String> {
        if self.stack.iter().filter(|o| !matches!(o, Open::Key(_))).count() >= MAX_DEPTH as usize {
            return Err("Exceeds depth limit for parsing".into());
        }
        if self.next.is_some() {
            return Err("Expected separator between values".into());
        }
        self.stack.push(open);
        Ok(())
    }

    fn colon(&mut self) -> Result<(), String> {
        let next = self.next.take().ok_or("Expected string key before ':'")?;
        match (self.stack.last(), next) {
            (Some(Open::Object(_)), Json::String(key)) => self.stack.push(Open::Key(key)),
            (Some(Open::Object(_)), _) => return Err("Object keys must be strings".into()),
            _ => return Err("':' not as part of an object".into()),
        }
        Ok(())
    }

    fn comma(&mut self) -> Result<(), String> {
        let next = self.next.take().ok_or("Expected value before ','")?;
        match self.stack.last() {
            None => Err("',' not as part of an object or array".into()),
            Some(Open::Object(_)) => Err("Objects must consist of key:value pairs".into()),
            Some(_) => {
                self.add(next);
                Ok(())
            }
        }
    }

    /// Adds a value to the array, or under the key, on top of the stack.
    fn add(&mut self, value: Json) {
        if let Some(Open::Array(array)) = self.stack.last_mut() {
            return array.push(value);
        }
        if let Some(Open::Key(key)) = self.stack.pop()
            && let Some(Open::Object(object)) = self.stack.last_mut()
        {
            object.insert(key, value);
        }
    }

    fn close(&mut self, bracket: bool) -> Result<(), String> {
        let unmatched = || Err(format!("Unmatched '{}'", if bracket { ']' } else { '}' }));
        match (self.stack.last(), bracket, self.next.is_some()) {
            (Some(Open::Array(array)), true, false) if !array.items().is_empty() => {
                return Err("Expected another array element".into());
            }
            (Some(Open::Object(object)), false, false) if object.len() > 0 => {
                return Err("Expected another key-value pair".into());
            }
            (Some(Open::Object(_)), false, true) => return Err("Objects must consist of key:value pairs".into()),
            (Some(Open::Array(_)), true, _) | (Some(Open::Object(_)), false, false) | (Some(Open::Key(_)), false, true) => {}
            _ => return unmatched(),
        }
        if let Some(last) = self.next.take() {
            self.add(last);
        }
        self.next = match self.stack.pop() {
            Some(Open::Array(array)) => Some(Json::Array(Rc::new(array))),
            Some(Open::Object(object)) => Some(Json::Object(Rc::new(object))),
            _ => return unmatched(),
        };
        Ok(())
    }
}

/// The inside of a string with its escapes carried out.
fn unescape(inside: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(inside);
    if text.bytes().any(|b| b < 0x20) {
        return Err("Invalid string: control characters from U+0000 through U+001F must be escaped".into());
    }
    if !text.contains('\\') {
        return Ok(text.into_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match rest.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => code_point(&mut rest)?,
            _ => return Err("Invalid escape".into()),
        });
    }
    Ok(out)
}

/// What follows `\u`, with the second half of a pair.
fn code_point(rest: &mut std::str::Chars<'_>) -> Result<char, String> {
    let four = |rest: &mut std::str::Chars<'_>| -> Result<u32, String> {
        let digits: String = rest.by_ref().take(4).collect();
        let good = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        good.then(|| u32::from_str_radix(&digits, 16).ok()).flatten().ok_or_else(|| "Invalid escape".to_string())
    };
    let first = four(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Ok(char::from_u32(first).unwrap_or('\u{fffd}'));
    }
    if !rest.as_str().starts_with("\\u") {
        return Ok('\u{fffd}');
    }
    let mut ahead = rest.clone();
    ahead.nth(1);
    let second = four(&mut ahead)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Ok('\u{fffd}');
    }
    *rest = ahead;
    Ok(char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).unwrap_or('\u{fffd}'))
}

/// The one value of a text, for `fromjson`, `--argjson` and `tonumber`. `Ok(None)`: there is none.
pub fn parse_one(text: &str) -> Result<Option<Json>, String> {
    let mut reader = Reader::default();
    reader.feed(text.as_bytes());
    let first = match reader.next_value()? {
        Some(value) => value,
        None => return reader.finish(),
    };
    match (reader.next_value()?, reader.finish()) {
        (None, Ok(None)) => Ok(Some(first)),
        (_, Err(message)) => Err(message),
        _ => Err("Unexpected extra JSON values".into()),
    }
}
