//! Words: quoting, `$…`, backquotes.

use std::rc::Rc;

use cri_api::Text;

use super::{MAX_DEPTH, ParseError, Parser, Result, is_meta};
use crate::ast::{Param, ParamOp, Part, Word};

/// Collects parts, joining literal characters.
#[derive(Default)]
struct Parts {
    done: Vec<Part>,
    literal: Vec<u8>,
}

impl Parts {
    fn flush(&mut self) {
        if !self.literal.is_empty() {
            let text: Text = String::from_utf8_lossy(&std::mem::take(&mut self.literal)).into();
            self.done.push(Part::Literal(text));
        }
    }

    fn push(&mut self, part: Part) {
        self.flush();
        self.done.push(part);
    }

    fn finish(mut self) -> Vec<Part> {
        self.flush();
        self.done
    }
}

impl Parser<'_> {
    /// A word, or `None` if an operator or the end comes next.
    pub(super) fn word(&mut self) -> Result<Option<Word>> {
        self.blanks();
        let parts = self.parts(is_meta)?;
        Ok((!parts.is_empty()).then_some(Word { parts }))
    }

    /// Parts up to an unquoted byte that ends the word.
    fn parts(&mut self, ends: impl Fn(u8) -> bool + Copy) -> Result<Vec<Part>> {
        let mut parts = Parts::default();
        if self.peek() == Some(b'~') {
            self.tilde(&mut parts, ends);
        }
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' if self.peek_at(1) == Some(b'\n') => self.pos += 2,
                b'\\' => {
                    self.pos += 1;
                    let start = self.pos;
                    if self.pos >= self.src.len() {
                        parts.push(Part::Quoted("\\".into()));
                        break;
                    }
                    self.pos += utf8_len(self.src[start]).min(self.src.len() - start);
                    parts.push(Part::Quoted(self.text(start, self.pos).into()));
                }
                b'\'' => {
                    let text = self.single_quoted()?;
                    parts.push(Part::Quoted(text.into()));
                }
                b'"' => {
                    self.pos += 1;
                    let inner = self.double_quoted()?;
                    parts.push(Part::Double(inner));
                }
                b'$' if self.peek_at(1) == Some(b'\'') => {
                    self.pos += 1;
                    let text = self.ansi_quoted()?;
                    parts.push(Part::Quoted(text.into()));
                }
                b'$' if self.peek_at(1) == Some(b'"') => self.pos += 1,
                b'$' => match self.dollar()? {
                    Some(part) => parts.push(part),
                    None => parts.literal.push(b'$'),
                },
                b'`' => {
                    let part = self.backquoted(false)?;
                    parts.push(part);
                }
                byte if ends(byte) => break,
                byte => {
                    parts.literal.push(byte);
                    self.pos += 1;
                    // `x=~/y`: a tilde behind the first `=` counts too.
                    if byte == b'=' && parts.literal.len() > 1 && self.peek() == Some(b'~') && parts.done.is_empty() {
                        parts.flush();
                        self.tilde(&mut parts, ends);
                    }
                }
            }
        }
        Ok(parts.finish())
    }

    fn tilde(&mut self, parts: &mut Parts, ends: impl Fn(u8) -> bool) {
        let rest = &self.src[self.pos + 1..];
        let len = rest.iter().position(|b| *b == b'/' || *b == b':' || ends(*b)).unwrap_or(rest.len());
        if rest[..len].iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
            let user = self.text(self.pos + 1, self.pos + 1 + len);
            self.pos += 1 + len;
            parts.push(Part::Tilde(user.into()));
        }
    }

    fn single_quoted(&mut self) -> Result<String> {
        let start = self.pos + 1;
        match self.src[start..].iter().position(|b| *b == b'\'') {
            Some(len) => {
                self.pos = start + len + 1;
                Ok(self.text(start, start + len))
            }
            None => Err(ParseError::Incomplete { expecting: None, in_quotes: true }),
        }
    }

    /// `'…'` behind a `$`, with C's escapes.
    fn ansi_quoted(&mut self) -> Result<String> {
        let start = self.pos + 1;
        let mut end = start;
        while self.src.get(end).is_some_and(|b| *b != b'\'') {
            end += if self.src[end] == b'\\' { 2 } else { 1 };
        }
        if end >= self.src.len() {
            return Err(ParseError::Incomplete { expecting: None, in_quotes: true });
        }
        self.pos = end + 1;
        let bytes = crate::text::unescape(&self.src[start..end]).bytes;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Behind the opening quote, up to and with the closing one.
    fn double_quoted(&mut self) -> Result<Vec<Part>> {
        let parts = self.quoted_parts(Some(b'"'))?;
        self.pos += 1;
        Ok(parts)
    }

    /// The whole rest, as the body of a here-document.
    pub(super) fn here_body(&mut self) -> Result<Vec<Part>> {
        self.quoted_parts(None)
    }

    fn quoted_parts(&mut self, close: Option<u8>) -> Result<Vec<Part>> {
        let mut parts = Parts::default();
        loop {
            let Some(byte) = self.peek() else {
                return match close {
                    Some(_) => Err(ParseError::Incomplete { expecting: None, in_quotes: true }),
                    None => Ok(as_quoted(parts.finish())),
                };
            };
            match byte {
                byte if Some(byte) == close => return Ok(as_quoted(parts.finish())),
                b'\\' => match self.peek_at(1) {
                    Some(b'\n') => self.pos += 2,
                    Some(next) if matches!(next, b'$' | b'`' | b'\\') || (Some(next) == close && close == Some(b'"')) => {
                        parts.literal.push(next);
                        self.pos += 2;
                    }
                    _ => {
                        parts.literal.push(b'\\');
                        self.pos += 1;
                    }
                },
                b'$' => match self.dollar()? {
                    Some(part) => parts.push(part),
                    None => parts.literal.push(b'$'),
                },
                b'`' => {
                    let part = self.backquoted(true)?;
                    parts.push(part);
                }
                byte => {
                    parts.literal.push(byte);
                    self.pos += 1;
                }
            }
        }
    }

    /// What begins with `$`; `None` (one byte eaten) if it is just a dollar sign.
    fn dollar(&mut self) -> Result<Option<Part>> {
        self.pos += 1;
        let start = self.pos;
        match self.peek() {
            Some(b'(') if self.peek_at(1) == Some(b'(') => {
                if let Some(part) = self.arithmetic()? {
                    return Ok(Some(part));
                }
                self.command_substitution().map(Some)
            }
            Some(b'(') => self.command_substitution().map(Some),
            Some(b'{') => {
                self.pos += 1;
                self.braced().map(Some)
            }
            Some(b) if b.is_ascii_alphabetic() || b == b'_' => {
                while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
                    self.pos += 1;
                }
                Ok(Some(plain(&self.text(start, self.pos))))
            }
            Some(b) if b.is_ascii_digit() || b"@*#?-$!".contains(&b) => {
                self.pos += 1;
                Ok(Some(plain(&self.text(start, self.pos))))
            }
            _ => Ok(None),
        }
    }

    /// `((…))` behind a `$`. `None` (nothing eaten) if it is a subshell in a command substitution after all.
    fn arithmetic(&mut self) -> Result<Option<Part>> {
        let start = self.pos + 2;
        let mut depth = 0;
        let mut at = start;
        while let Some(&byte) = self.src.get(at) {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b')' if self.src.get(at + 1) == Some(&b')') => {
                    let inner = self.text(start, at);
                    self.pos = at + 2;
                    return Ok(Some(Part::Arithmetic(self.nested_quoted(&inner)?)));
                }
                b')' => return Ok(None),
                _ => {}
            }
            at += 1;
        }
        Err(ParseError::Incomplete { expecting: Some("))"), in_quotes: false })
    }

    pub(super) fn nested_quoted(&mut self, text: &str) -> Result<Word> {
        let mut inner = Parser {
            src: text.as_bytes().to_vec(),
            pos: 0,
            aliases: self.aliases,
            expanding: Vec::new(),
            here_docs: Vec::new(),
            depth: self.depth + 1,
        };
        if inner.depth > MAX_DEPTH {
            return Err(ParseError::Other("nesting too deep".into()));
        }
        Ok(Word { parts: inner.here_body()? })
    }

    fn command_substitution(&mut self) -> Result<Part> {
        self.pos += 1;
        let docs = std::mem::take(&mut self.here_docs);
        let command = self.list_until(&[])?;
        self.newlines()?;
        if !self.eat(")") {
            return self.unexpected(Some(")"));
        }
        self.here_docs = docs;
        Ok(Part::Command(command))
    }

    fn backquoted(&mut self, in_double: bool) -> Result<Part> {
        self.pos += 1;
        let mut inner = Vec::new();
        loop {
            match self.peek() {
                None => return Err(ParseError::Incomplete { expecting: None, in_quotes: true }),
                Some(b'`') => break,
                Some(b'\\') => {
                    let next = self.peek_at(1);
                    let special = matches!(next, Some(b'$' | b'`' | b'\\')) || (in_double && next == Some(b'"'));
                    if !special {
                        inner.push(b'\\');
                    }
                    inner.extend(next);
                    self.pos += 2;
                }
                Some(byte) => {
                    inner.push(byte);
                    self.pos += 1;
                }
            }
        }
        self.pos += 1;
        let mut parser = Parser {
            src: inner,
            pos: 0,
            aliases: self.aliases,
            expanding: Vec::new(),
            here_docs: Vec::new(),
            depth: self.depth + 1,
        };
        if parser.depth > MAX_DEPTH {
            return Err(ParseError::Other("nesting too deep".into()));
        }
        let command = parser.list_until(&[])?;
        parser.newlines()?;
        if parser.pos < parser.src.len() {
            return parser.unexpected(None);
        }
        Ok(Part::Command(command))
    }

    /// `${…}` behind the brace.
    fn braced(&mut self) -> Result<Part> {
        let start = self.pos;
        let length = self.peek() == Some(b'#') && self.peek_at(1).is_some_and(|b| b != b'}' && !b"-=?+#%:".contains(&b));
        let length = length
            || (self.peek() == Some(b'#')
                && self.peek_at(1).is_some_and(|b| b"@*#?".contains(&b))
                && self.peek_at(2) == Some(b'}'));
        let indirect = self.peek() == Some(b'!') && self.peek_at(1).is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if length || indirect {
            self.pos += 1;
        }
        let name = self.param_name()?;
        if length || indirect {
            if !self.eat("}") {
                return self.bad_substitution(start);
            }
            let op = if length { ParamOp::Length } else { ParamOp::Indirect };
            return Ok(Part::Param(Rc::new(Param { name, op })));
        }
        let op = self.param_op(start)?;
        if !self.eat("}") {
            return match self.peek() {
                None => Err(ParseError::Incomplete { expecting: Some("}"), in_quotes: true }),
                Some(_) => self.bad_substitution(start),
            };
        }
        Ok(Part::Param(Rc::new(Param { name, op })))
    }

    fn bad_substitution<T>(&self, _start: usize) -> Result<T> {
        Err(ParseError::Other("bad substitution".into()))
    }

    fn param_name(&mut self) -> Result<Text> {
        let start = self.pos;
        match self.peek() {
            Some(b) if b.is_ascii_alphabetic() || b == b'_' => {
                while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
                    self.pos += 1;
                }
            }
            Some(b) if b.is_ascii_digit() => {
                while self.peek().is_some_and(|b| b.is_ascii_digit()) {
                    self.pos += 1;
                }
            }
            Some(b) if b"@*#?-$!".contains(&b) => self.pos += 1,
            None => return Err(ParseError::Incomplete { expecting: Some("}"), in_quotes: true }),
            _ => return self.bad_substitution(start),
        }
        Ok(self.text(start, self.pos).into())
    }

    fn param_op(&mut self, start: usize) -> Result<ParamOp> {
        let colon = self.peek() == Some(b':');
        let operator = if colon { self.peek_at(1) } else { self.peek() };
        if let Some(operator) = operator.filter(|b| b"-=?+".contains(b)) {
            self.pos += 1 + colon as usize;
            return Ok(ParamOp::Test { colon, operator, word: self.brace_word(b"}")? });
        }
        match self.peek() {
            Some(b'}') => Ok(ParamOp::None),
            Some(b':') => {
                self.pos += 1;
                let offset = self.brace_word(b":}")?;
                let length = if self.eat(":") { Some(self.brace_word(b"}")?) } else { None };
                Ok(ParamOp::Slice { offset, length })
            }
            Some(byte @ (b'#' | b'%')) => {
                self.pos += 1;
                let longest = self.peek() == Some(byte);
                self.pos += longest as usize;
                Ok(ParamOp::Trim { suffix: byte == b'%', longest, pattern: self.brace_word(b"}")? })
            }
            Some(b'/') => {
                self.pos += 1;
                let mode = self.peek().filter(|b| b"/#%".contains(b)).unwrap_or(0);
                self.pos += (mode != 0) as usize;
                let pattern = self.brace_word(b"/}")?;
                let with = if self.eat("/") { self.brace_word(b"}")? } else { Word::default() };
                Ok(ParamOp::Replace { mode, pattern, with })
            }
            Some(byte @ (b'^' | b',')) => {
                self.pos += 1;
                let all = self.peek() == Some(byte);
                self.pos += all as usize;
                Ok(ParamOp::Case { upper: byte == b'^', all })
            }
            None => Err(ParseError::Incomplete { expecting: Some("}"), in_quotes: true }),
            Some(_) => self.bad_substitution(start),
        }
    }

    fn brace_word(&mut self, ends: &'static [u8]) -> Result<Word> {
        let parts = self.parts(move |b| ends.contains(&b))?;
        if self.peek().is_none() {
            return Err(ParseError::Incomplete { expecting: Some("}"), in_quotes: true });
        }
        Ok(Word { parts })
    }
}

fn plain(name: &str) -> Part {
    Part::Param(Rc::new(Param { name: name.into(), op: ParamOp::None }))
}

/// Text in double quotes is quoted.
fn as_quoted(parts: Vec<Part>) -> Vec<Part> {
    parts.into_iter().map(|part| if let Part::Literal(text) = part { Part::Quoted(text) } else { part }).collect()
}

fn utf8_len(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}
