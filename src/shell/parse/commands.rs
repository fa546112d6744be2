//! Commands: lists, pipelines, compound commands, redirections. Recursive descent.

use std::cell::OnceCell;
use std::rc::Rc;

use cri_api::Text;

use super::{HereDoc, MAX_DEPTH, ParseError, Parser, Result, is_meta, is_name};
use crate::ast::{Cmd, Cond, Param, ParamOp, Part, Redirect, RedirectKind, Simple, Word};

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

    fn compound(&mut self) -> Result<Option<Rc<Cmd>>> {
        if self.starts_with("((")
            && let Some(command) = self.arithmetic_command()?
        {
            return Ok(Some(command));
        }
        if self.eat("(") {
            let body = self.list_until(&[])?;
            self.newlines()?;
            if !self.eat(")") {
                return self.unexpected(Some(")"));
            }
            if matches!(&*body, Cmd::List(items) if items.is_empty()) {
                self.pos -= 1;
                return self.unexpected(None);
            }
            return Ok(Some(Rc::new(Cmd::Subshell(body))));
        }
        let rest = &self.src[self.pos..];
        let len = rest.iter().position(|b| is_meta(*b)).unwrap_or(rest.len());
        let word = self.text(self.pos, self.pos + len);
        let start = self.pos;
        self.pos += len;
        let command = match word.as_str() {
            "{" => self.group()?,
            "if" => self.if_command()?,
            "while" | "until" => self.while_command(word == "until")?,
            "for" => self.for_command()?,
            "case" => self.case_command()?,
            "[[" => self.condition_command()?,
            "function" => self.function_command()?,
            "select" | "coproc" => {
                return Err(ParseError::Other(format!("{word}: not supported by this shell").into()));
            }
            _ => {
                self.pos = start;
                if RESERVED.contains(&word.as_str()) && word != "in" {
                    return self.unexpected(None);
                }
                return self.function_definition(&word);
            }
        };
        Ok(Some(command))
    }

    /// `name() body`.
    fn function_definition(&mut self, name: &str) -> Result<Option<Rc<Cmd>>> {
        let start = self.pos;
        self.pos += name.len();
        self.blanks();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b)) || !self.eat("(") {
            self.pos = start;
            return Ok(None);
        }
        self.blanks();
        if !self.eat(")") {
            return self.unexpected(Some(")"));
        }
        self.function_body(name).map(Some)
    }

    fn function_command(&mut self) -> Result<Rc<Cmd>> {
        let Some(name) = self.word()?.and_then(|w| literal_text(&w)) else { return self.unexpected(None) };
        self.blanks();
        if self.eat("(") {
            self.blanks();
            if !self.eat(")") {
                return self.unexpected(Some(")"));
            }
        }
        self.function_body(&name)
    }

    fn function_body(&mut self, name: &str) -> Result<Rc<Cmd>> {
        self.newlines()?;
        if self.peek().is_none() {
            return self.incomplete("{");
        }
        let body = self.command()?;
        Ok(Rc::new(Cmd::Function { name: name.into(), body }))
    }

    fn group(&mut self) -> Result<Rc<Cmd>> {
        let body = self.list_until(&["}"])?;
        self.expect_word("}")?;
        Ok(body)
    }

    fn if_command(&mut self) -> Result<Rc<Cmd>> {
        let mut arms = Vec::new();
        loop {
            let condition = self.list_until(&["then"])?;
            self.expect_word("then")?;
            let body = self.list_until(&["fi", "elif", "else"])?;
            arms.push((condition, body));
            self.newlines()?;
            if self.eat_word("elif") {
                continue;
            }
            let otherwise = if self.eat_word("else") { Some(self.list_until(&["fi"])?) } else { None };
            self.expect_word("fi")?;
            return Ok(Rc::new(Cmd::If { arms, otherwise }));
        }
    }

    fn do_group(&mut self) -> Result<Rc<Cmd>> {
        self.expect_word("do")?;
        let body = self.list_until(&["done"])?;
        self.expect_word("done")?;
        Ok(body)
    }

    fn while_command(&mut self, until: bool) -> Result<Rc<Cmd>> {
        let condition = self.list_until(&["do"])?;
        let body = self.do_group()?;
        Ok(Rc::new(Cmd::While { until, condition, body }))
    }

    fn for_command(&mut self) -> Result<Rc<Cmd>> {
        self.blanks();
        if self.starts_with("((") {
            return Err(ParseError::Other("for ((;;)): not supported by this shell".into()));
        }
        let Some(name) = self.word()?.and_then(|w| literal_text(&w)).filter(|n| is_name(n)) else {
            return match self.peek() {
                None => self.incomplete("do"),
                Some(_) => Err(ParseError::Other("bad for loop variable".into())),
            };
        };
        self.newlines()?;
        let mut words = None;
        if self.eat_word("in") {
            let mut list = Vec::new();
            while let Some(word) = self.word()? {
                list.push(word);
            }
            words = Some(list);
        }
        self.blanks();
        self.eat(";");
        let body = self.do_group()?;
        Ok(Rc::new(Cmd::For { name: name.as_str().into(), words, body }))
    }

    fn case_command(&mut self) -> Result<Rc<Cmd>> {
        let Some(word) = self.word()? else { return self.unexpected(None) };
        self.expect_word("in")?;
        let mut arms = Vec::new();
        loop {
            self.newlines()?;
            if self.eat_word("esac") {
                return Ok(Rc::new(Cmd::Case { word, arms }));
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                let Some(pattern) = self.word()? else {
                    return if self.peek().is_none() { self.incomplete("esac") } else { self.unexpected(None) };
                };
                patterns.push(pattern);
                self.blanks();
                if !self.eat("|") {
                    break;
                }
            }
            if !self.eat(")") {
                return self.unexpected(Some(")"));
            }
            let body = self.case_body()?;
            arms.push((patterns, body));
            self.newlines()?;
            if !self.eat(";;") {
                self.expect_word("esac")?;
                return Ok(Rc::new(Cmd::Case { word, arms }));
            }
        }
    }

    fn case_body(&mut self) -> Result<Rc<Cmd>> {
        self.newlines()?;
        if self.starts_with(";;") || self.at_word("esac") {
            return Ok(list(Vec::new()));
        }
        self.list_until(&["esac"])
    }

    fn arithmetic_command(&mut self) -> Result<Option<Rc<Cmd>>> {
        let start = self.pos;
        let mut depth = 0;
        let mut at = start + 2;
        while let Some(&byte) = self.src.get(at) {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b')' if self.src.get(at + 1) == Some(&b')') => {
                    let inner = self.text(start + 2, at);
                    self.pos = at + 2;
                    return Ok(Some(Rc::new(Cmd::Arithmetic(self.nested_quoted(&inner)?))));
                }
                b')' => return Ok(None),
                _ => {}
            }
            at += 1;
        }
        Ok(None)
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

    fn condition_command(&mut self) -> Result<Rc<Cmd>> {
        let condition = self.cond_or()?;
        self.expect_word("]]")?;
        Ok(Rc::new(Cmd::Condition(condition)))
    }

    fn cond_or(&mut self) -> Result<Rc<Cond>> {
        let mut left = self.cond_and()?;
        self.newlines()?;
        while self.eat("||") {
            left = Rc::new(Cond::Or(left, self.cond_and()?));
            self.newlines()?;
        }
        Ok(left)
    }

    fn cond_and(&mut self) -> Result<Rc<Cond>> {
        let mut left = self.cond_not()?;
        self.newlines()?;
        while self.eat("&&") {
            left = Rc::new(Cond::And(left, self.cond_not()?));
            self.newlines()?;
        }
        Ok(left)
    }

    fn cond_not(&mut self) -> Result<Rc<Cond>> {
        self.newlines()?;
        if self.eat_word("!") {
            return Ok(Rc::new(Cond::Not(self.cond_not()?)));
        }
        if self.eat("(") {
            let inner = self.cond_or()?;
            if !self.eat(")") {
                return self.unexpected(Some(")"));
            }
            return Ok(inner);
        }
        let Some(first) = self.word()? else { return self.unexpected(Some("]]")) };
        if let Some(operator) = literal_text(&first).filter(|t| t.len() == 2 && t.starts_with('-')) {
            self.blanks();
            if !self.at_word("]]")
                && let Some(operand) = self.word()?
            {
                return Ok(Rc::new(Cond::Unary(operator.as_str().into(), operand)));
            }
        }
        self.blanks();
        let operator = match () {
            () if self.at_word("]]") || self.starts_with("&&") || self.starts_with("||") || self.starts_with(")") => {
                return Ok(Rc::new(Cond::Word(first)));
            }
            () if self.eat("<") => "<".to_string(),
            () if self.eat(">") => ">".to_string(),
            () => match self.word()?.and_then(|w| literal_text(&w)) {
                Some(operator) => operator,
                None => return self.unexpected(Some("]]")),
            },
        };
        self.blanks();
        let operand = if operator == "=~" { self.regex_word()? } else { self.word()? };
        let Some(second) = operand else { return self.unexpected(Some("]]")) };
        Ok(Rc::new(Cond::Binary(operator.as_str().into(), first, second)))
    }

    /// The right side of `=~`: parentheses and bars belong to it.
    fn regex_word(&mut self) -> Result<Option<Word>> {
        let start = self.pos;
        let mut depth = 0;
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => self.pos += 1,
                b'(' => depth += 1,
                b')' if depth == 0 => break,
                b')' => depth -= 1,
                b' ' | b'\t' | b'\n' if depth == 0 => break,
                b'$' if !self.peek_at(1).is_some_and(|b| b.is_ascii_alphanumeric() || b"_{(@*#?".contains(&b)) => {}
                b'\'' | b'"' | b'$' => {
                    self.pos = start;
                    return self.word();
                }
                _ => {}
            }
            self.pos += 1;
        }
        let text = self.text(start, self.pos.min(self.src.len()));
        Ok(Some(Word { parts: vec![Part::Literal(text.as_str().into())] }))
    }
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
