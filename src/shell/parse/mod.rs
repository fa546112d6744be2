//! The parser: text to syntax tree, one complete command at a time, as a shell reads its input.
//!
//! Written by hand rather than over brush-parser, which was tried: it costs 141 kB of the page's budget, needs sixty crates
//! (a clock and process-wide caches among them, which the core may not have), can't expand aliases while parsing, and its
//! messages aren't ash's. Grammar: POSIX plus what busybox ash and bash users lean on (`[[ ]]`, `(( ))`, `&>`, `<<<`,
//! `function f`, `$'…'`, `${x/p/r}`, `${x:o:l}`). Left out by name: arrays, `select`, `coproc`, process substitution,
//! `for ((;;))`, brace expansion; the first, second and fourth are syntax errors that say so.

mod commands;
mod words;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use base::Map;
use cri_api::Text;

use crate::ast::{Cmd, Word};

/// Why a text isn't a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// More lines are needed; what is missing (`"done"`), if known.
    Incomplete {
        expecting: Option<&'static str>,
        in_quotes: bool,
    },
    Unexpected {
        token: Text,
        expecting: Option<&'static str>,
    },
    /// Any other message.
    Other(Text),
}

pub(crate) type Result<T> = std::result::Result<T, ParseError>;

pub(crate) struct Parser<'a> {
    src: Vec<u8>,
    pos: usize,
    aliases: &'a Map<Text, Text>,
    /// Aliases being expanded, with where their text ends (counted from the end of the source).
    expanding: Vec<(Text, usize)>,
    here_docs: Vec<HereDoc>,
    depth: u32,
}

struct HereDoc {
    cell: Rc<OnceCell<Word>>,
    delimiter: String,
    strip_tabs: bool,
    quoted: bool,
}

/// Nesting that is still parsed.
const MAX_DEPTH: u32 = 200;

type Parsed = Result<Option<(Rc<Cmd>, usize)>>;

thread_local! {
    /// Parsed commands by text and position. Derived, outside the state; cleared when it is full.
    static MEMO: RefCell<HashMap<(Text, usize), Parsed>> = RefCell::default();
}

/// Parses the next complete command of `source` from byte `from`; returns it and where to go on. `None`: nothing is left.
pub fn parse_next(source: &Text, from: usize, aliases: &Map<Text, Text>) -> Parsed {
    if !aliases.is_empty() || source.len() > 64 * 1024 {
        return parse_fresh(source, from, aliases);
    }
    let key = (source.clone(), from);
    if let Some(found) = MEMO.with_borrow(|memo| memo.get(&key).cloned()) {
        return found;
    }
    let parsed = parse_fresh(source, from, aliases);
    MEMO.with_borrow_mut(|memo| {
        if memo.len() >= 512 {
            memo.clear();
        }
        memo.insert(key, parsed.clone());
    });
    parsed
}

fn parse_fresh(source: &str, from: usize, aliases: &Map<Text, Text>) -> Parsed {
    let mut parser = Parser {
        src: source.as_bytes()[from..].to_vec(),
        pos: 0,
        aliases,
        expanding: Vec::new(),
        here_docs: Vec::new(),
        depth: 0,
    };
    let command = parser.complete_command()?;
    let left = parser.src.len() - parser.pos;
    Ok(command.map(|command| (command, source.len() - left)))
}

/// Parses the inside of `"…"` (a prompt, a here-document).
pub fn parse_quoted(text: &str) -> Word {
    let aliases = Map::new();
    let mut parser = Parser {
        src: text.as_bytes().to_vec(),
        pos: 0,
        aliases: &aliases,
        expanding: Vec::new(),
        here_docs: Vec::new(),
        depth: 0,
    };
    let parts = parser.here_body().unwrap_or_else(|_| vec![crate::ast::Part::Quoted(text.into())]);
    Word { parts }
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.src.get(self.pos).copied()
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.src.get(self.pos + ahead).copied()
    }

    fn starts_with(&self, text: &str) -> bool {
        self.src[self.pos..].starts_with(text.as_bytes())
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.starts_with(text);
        if found {
            self.pos += text.len();
        }
        found
    }

    fn text(&self, from: usize, to: usize) -> String {
        String::from_utf8_lossy(&self.src[from..to]).into_owned()
    }

    fn incomplete<T>(&self, expecting: &'static str) -> Result<T> {
        Err(ParseError::Incomplete { expecting: Some(expecting), in_quotes: false })
    }

    fn unexpected<T>(&self, expecting: Option<&'static str>) -> Result<T> {
        match self.peek() {
            None => Err(ParseError::Incomplete { expecting, in_quotes: false }),
            Some(b'\n') => Err(ParseError::Unexpected { token: "newline".into(), expecting }),
            Some(_) => {
                let operators = [";;", "&&", "||", "&", ";", "|", "(", ")", "<", ">"];
                let token = operators.iter().find(|op| self.starts_with(op)).map(|op| op.to_string());
                let token = token.unwrap_or_else(|| {
                    let rest = &self.src[self.pos..];
                    let end = rest.iter().position(|b| is_meta(*b)).unwrap_or(rest.len()).max(1);
                    String::from_utf8_lossy(&rest[..end]).into_owned()
                });
                Err(ParseError::Unexpected { token: token.into(), expecting })
            }
        }
    }

    /// Skips blanks, escaped newlines and a comment.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.pos += 1,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => self.pos += 2,
                Some(b'#') => {
                    while self.peek().is_some_and(|b| b != b'\n') {
                        self.pos += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// Skips newlines too, reading here-documents behind the first.
    fn newlines(&mut self) -> Result<()> {
        loop {
            self.blanks();
            if self.peek() != Some(b'\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    fn newline(&mut self) -> Result<()> {
        self.pos += 1;
        for doc in std::mem::take(&mut self.here_docs) {
            self.read_here_doc(&doc)?;
        }
        Ok(())
    }

    fn read_here_doc(&mut self, doc: &HereDoc) -> Result<()> {
        let mut body = String::new();
        loop {
            if self.pos >= self.src.len() {
                // ash takes what there is at the end of a script; a terminal is asked for more.
                return Err(ParseError::Incomplete { expecting: None, in_quotes: true });
            }
            let end = self.src[self.pos..].iter().position(|b| *b == b'\n').map_or(self.src.len(), |n| self.pos + n);
            let line = self.text(self.pos, end);
            self.pos = (end + 1).min(self.src.len());
            let line = if doc.strip_tabs { line.trim_start_matches('\t') } else { &line };
            if line == doc.delimiter {
                break;
            }
            body.push_str(line);
            body.push('\n');
        }
        let word = match doc.quoted {
            true => Word { parts: vec![crate::ast::Part::Quoted(body.as_str().into())] },
            false => parse_quoted(&body),
        };
        let _ = doc.cell.set(word);
        Ok(())
    }
}

pub(crate) fn is_meta(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')')
}

pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
