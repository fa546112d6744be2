//! Commands: lists, pipelines, compound commands, redirections. Recursive descent.

mod compound;
mod condition;

use std::cell::OnceCell;
use std::rc::Rc;

use cri_api::Text;

use super::{HereDoc, MAX_DEPTH, ParseError, Parser, Result, is_meta, is_name};
use crate::ast::{Cmd, Param, ParamOp, Part, Redirect, RedirectKind, Simple, Word};

const RESERVED: [&str; 15] =
    ["if", "then", "elif", "else", "fi", "while", "until", "for", "do", "done", "case", "esac", "in", "{", "}"];

impl Parser<'_> {
    /// A list up to the end of a line, with its here-documents.
    pub(super) fn complete_command(&mut self) -> Result<Option<Rc<Cmd>>> {
        self.newlines()?;
        if self.peek().is_none() {
            return Ok(None);
        }
        let mut items = Vec::new();
        loop {
            let command = self.and_or()?;
            self.blanks();
            let background = self.separator();
            items.push((command, background.unwrap_or(false)));
            self.blanks();
            match self.peek() {
                None => break,
                Some(b'\n') => {
                    self.newline()?;
                    break;
                }
                Some(_) if background.is_none() => return self.unexpected(None),
                Some(_) => {}
            }
        }
        if !self.here_docs.is_empty() {
            return Err(ParseError::Incomplete { expecting: None, in_quotes: true });
        }
        Ok(Some(list(items)))
    }

    /// `;` (false) or `&` (true).
    fn separator(&mut self) -> Option<bool> {
        match self.peek() {
            Some(b';') if self.peek_at(1) != Some(b';') => {
                self.pos += 1;
                Some(false)
            }
            Some(b'&') if self.peek_at(1) != Some(b'&') => {
                self.pos += 1;
                Some(true)
            }
            _ => None,
        }
    }

    /// Commands until one of the reserved words, `)`, `;;` or the end. At least one command must come.
    pub(super) fn list_until(&mut self, words: &[&'static str]) -> Result<Rc<Cmd>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ParseError::Other("nesting too deep".into()));
        }
        let mut items = Vec::new();
        loop {
            self.newlines()?;
            if self.at_end_of_list(words) {
                break;
            }
            let command = self.and_or()?;
            self.blanks();
            let background = self.separator();
            items.push((command, background.unwrap_or(false)));
            self.blanks();
            if background.is_none() && self.peek() != Some(b'\n') {
                break;
            }
        }
        self.depth -= 1;
        if items.is_empty() && !words.is_empty() {
            return self.unexpected(Some(words[0]));
        }
        Ok(list(items))
    }

    fn at_end_of_list(&mut self, words: &[&'static str]) -> bool {
        match self.peek() {
            None | Some(b')') => true,
            Some(b';') => self.peek_at(1) == Some(b';'),
            Some(_) => words.iter().any(|word| self.at_word(word)),
        }
    }

    fn at_word(&self, word: &str) -> bool {
        self.starts_with(word) && self.src.get(self.pos + word.len()).is_none_or(|b| is_meta(*b))
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.pos += word.len();
        }
        found
    }

    fn expect_word(&mut self, word: &'static str) -> Result<()> {
        self.newlines()?;
        if self.eat_word(word) {
            return Ok(());
        }
        match self.peek() {
            None => self.incomplete(word),
            Some(_) => self.unexpected(Some(word)),
        }
    }

    fn and_or(&mut self) -> Result<Rc<Cmd>> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let and = self.eat("&&");
            if !and && !self.eat("||") {
                break;
            }
            self.newlines()?;
            if self.peek().is_none() {
                return Err(ParseError::Incomplete { expecting: None, in_quotes: false });
            }
            rest.push((and, self.pipeline()?));
        }
        Ok(if rest.is_empty() { first } else { Rc::new(Cmd::AndOr { first, rest }) })
    }

    fn pipeline(&mut self) -> Result<Rc<Cmd>> {
        self.blanks();
        let mut not = false;
        while self.eat_word("!") {
            not = !not;
            self.blanks();
        }
        let mut stages = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() != Some(b'|') || self.peek_at(1) == Some(b'|') {
                break;
            }
            self.pos += 1;
            let both = self.eat("&");
            if both && let Some(last) = stages.pop() {
                let redirect = Redirect { fd: 2, kind: RedirectKind::Dup(literal("1")) };
                stages.push(Rc::new(Cmd::Redirected { command: last, redirects: vec![redirect] }));
            }
            self.newlines()?;
            if self.peek().is_none() {
                return Err(ParseError::Incomplete { expecting: None, in_quotes: false });
            }
            stages.push(self.command()?);
        }
        match stages.len() {
            1 if !not => Ok(stages.remove(0)),
            _ => Ok(Rc::new(Cmd::Pipeline { not, stages })),
        }
    }

    fn command(&mut self) -> Result<Rc<Cmd>> {
        self.blanks();
        self.expand_alias();
        let compound = match self.compound()? {
            Some(command) => command,
            None => return self.simple(),
        };
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        Ok(if redirects.is_empty() { compound } else { Rc::new(Cmd::Redirected { command: compound, redirects }) })
    }

    /// Replaces an alias at a command's first word in the source itself.
    fn expand_alias(&mut self) {
        let left = self.src.len() - self.pos;
        self.expanding.retain(|(_, end)| *end < left);
        while !self.aliases.is_empty() {
            let rest = &self.src[self.pos..];
            let len = rest.iter().position(|b| is_meta(*b) || b"'\"\\$`".contains(b)).unwrap_or(rest.len());
            let name = self.text(self.pos, self.pos + len);
            let plain = rest.get(len).is_none_or(|b| is_meta(*b));
            let Some(value) = self.aliases.get(name.as_str()).filter(|_| plain) else { return };
            if self.expanding.iter().any(|(n, _)| **n == *name) {
                return;
            }
            let end = self.src.len() - self.pos - len;
            self.expanding.push((name.as_str().into(), end));
            self.src.splice(self.pos..self.pos + len, value.bytes());
            self.blanks();
        }
    }

    fn simple(&mut self) -> Result<Rc<Cmd>> {
        let line = self.src[..self.pos].iter().filter(|b| **b == b'\n').count() as u32 + 1;
        let mut simple = Simple { assignments: Vec::new(), words: Vec::new(), redirects: Vec::new(), line };
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
                continue;
            }
            let Some(word) = self.word()? else { break };
            if simple.words.is_empty()
                && let Some((name, value)) = assignment(&word)
            {
                if self.peek() == Some(b'(') {
                    return Err(ParseError::Other("arrays are not supported by this shell".into()));
                }
                simple.assignments.push((name, value));
                continue;
            }
            simple.words.push(word);
        }
        if simple.words.is_empty() && simple.assignments.is_empty() && simple.redirects.is_empty() {
            return self.unexpected(None);
        }
        if self.peek() == Some(b'(') {
            return self.unexpected(None);
        }
        Ok(Rc::new(Cmd::Simple(simple)))
    }

    fn redirect(&mut self) -> Result<Option<Redirect>> {
        self.blanks();
        let start = self.pos;
        let digits = self.src[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        let number = self.text(start, start + digits).parse::<u32>().ok();
        self.pos += digits;
        if !matches!(self.peek(), Some(b'<' | b'>')) {
            self.pos = start;
            return self.redirect_both();
        }
        let output = self.peek() == Some(b'>');
        let fd = number.unwrap_or(output as u32);
        for operator in ["<<-", "<<<", "<<", "<&", "<>", ">>", ">&", ">|", "<", ">"] {
            if self.eat(operator) {
                return self.redirect_target(fd, operator, number.is_none()).map(Some);
            }
        }
        self.pos = start;
        Ok(None)
    }

    fn redirect_both(&mut self) -> Result<Option<Redirect>> {
        let append = self.starts_with("&>>");
        if !append && !self.starts_with("&>") {
            return Ok(None);
        }
        self.pos += 2 + append as usize;
        let Some(word) = self.word()? else { return self.unexpected(None) };
        Ok(Some(Redirect { fd: 1, kind: RedirectKind::Both { word, append } }))
    }

    fn redirect_target(&mut self, fd: u32, operator: &str, no_number: bool) -> Result<Redirect> {
        let Some(word) = self.word()? else { return self.unexpected(None) };
        let kind = match operator {
            "<" => RedirectKind::Read(word),
            ">" => RedirectKind::Write { word, clobber: false },
            ">|" => RedirectKind::Write { word, clobber: true },
            ">>" => RedirectKind::Append(word),
            "<>" => RedirectKind::ReadWrite(word),
            "<&" => RedirectKind::Dup(word),
            ">&" => {
                let text = literal_text(&word);
                let to_fd = text.is_none_or(|t| t == "-" || t.bytes().all(|b| b.is_ascii_digit()));
                match to_fd || !no_number {
                    true => RedirectKind::Dup(word),
                    false => RedirectKind::Both { word, append: false },
                }
            }
            "<<<" => RedirectKind::HereString(word),
            _ => RedirectKind::HereDoc(self.note_here_doc(&word, operator == "<<-")),
        };
        Ok(Redirect { fd, kind })
    }

    fn note_here_doc(&mut self, word: &Word, strip_tabs: bool) -> Rc<OnceCell<Word>> {
        let quoted = word.parts.iter().any(|p| matches!(p, Part::Quoted(_) | Part::Double(_)));
        let delimiter = flat_text(&word.parts);
        let cell = Rc::new(OnceCell::new());
        self.here_docs.push(HereDoc { cell: cell.clone(), delimiter, strip_tabs, quoted });
        cell
    }

    // ---- [[ … ]] ----
}

fn list(mut items: Vec<(Rc<Cmd>, bool)>) -> Rc<Cmd> {
    match items.as_slice() {
        [(_, false)] => items.remove(0).0,
        _ => Rc::new(Cmd::List(items)),
    }
}

fn literal(text: &str) -> Word {
    Word { parts: vec![Part::Literal(text.into())] }
}

/// The text of a word without quotes and expansions.
pub(crate) fn literal_text(word: &Word) -> Option<String> {
    match word.parts.as_slice() {
        [Part::Literal(text)] => Some(text.to_string()),
        _ => None,
    }
}

/// The text of a word with its quotes removed, for here-document delimiters.
fn flat_text(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Literal(text) | Part::Quoted(text) => text.to_string(),
            Part::Double(inner) => flat_text(inner),
            Part::Tilde(user) => format!("~{user}"),
            Part::Param(param) => format!("${}", param.name),
            Part::Command(_) | Part::Arithmetic(_) => String::new(),
        })
        .collect()
}

/// `name=value` as a word.
fn assignment(word: &Word) -> Option<(Text, Word)> {
    let Some(Part::Literal(first)) = word.parts.first() else { return None };
    let (name, value) = first.split_once('=')?;
    let mut parts = Vec::new();
    let name = match name.strip_suffix('+') {
        Some(name) => {
            let old = Param { name: name.into(), op: ParamOp::None };
            parts.push(Part::Double(vec![Part::Param(Rc::new(old))]));
            name
        }
        None => name,
    };
    if !is_name(name) {
        return None;
    }
    if !value.is_empty() {
        parts.push(Part::Literal(value.into()));
    }
    parts.extend(word.parts[1..].iter().cloned());
    Some((name.into(), Word { parts }))
}
