//! `[[ … ]]`: words are told from operators by where they stand.

use std::rc::Rc;

use super::literal_text;
use crate::ast::{Cmd, Cond, Part, Word};
use crate::parse::{Parser, Result};

impl Parser<'_> {
    pub(super) fn condition_command(&mut self) -> Result<Rc<Cmd>> {
        let condition = self.cond_or()?;
        self.expect_word("]]")?;
        Ok(Rc::new(Cmd::Condition(condition)))
    }

    pub(super) fn cond_or(&mut self) -> Result<Rc<Cond>> {
        let mut left = self.cond_and()?;
        self.newlines()?;
        while self.eat("||") {
            left = Rc::new(Cond::Or(left, self.cond_and()?));
            self.newlines()?;
        }
        Ok(left)
    }

    pub(super) fn cond_and(&mut self) -> Result<Rc<Cond>> {
        let mut left = self.cond_not()?;
        self.newlines()?;
        while self.eat("&&") {
            left = Rc::new(Cond::And(left, self.cond_not()?));
            self.newlines()?;
        }
        Ok(left)
    }

    pub(super) fn cond_not(&mut self) -> Result<Rc<Cond>> {
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
    pub(super) fn regex_word(&mut self) -> Result<Option<Word>> {
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
