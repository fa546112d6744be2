//! Compound commands: groups, `if`, loops, `case`, functions, arithmetic.

use std::rc::Rc;

use super::{RESERVED, list, literal_text};
use crate::ast::Cmd;
use crate::parse::{ParseError, Parser, Result, is_meta, is_name};

impl Parser<'_> {
    pub(super) fn compound(&mut self) -> Result<Option<Rc<Cmd>>> {
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
    pub(super) fn function_definition(&mut self, name: &str) -> Result<Option<Rc<Cmd>>> {
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

    pub(super) fn function_command(&mut self) -> Result<Rc<Cmd>> {
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

    pub(super) fn function_body(&mut self, name: &str) -> Result<Rc<Cmd>> {
        self.newlines()?;
        if self.peek().is_none() {
            return self.incomplete("{");
        }
        let body = self.command()?;
        Ok(Rc::new(Cmd::Function { name: name.into(), body }))
    }

    pub(super) fn group(&mut self) -> Result<Rc<Cmd>> {
        let body = self.list_until(&["}"])?;
        self.expect_word("}")?;
        Ok(body)
    }

    pub(super) fn if_command(&mut self) -> Result<Rc<Cmd>> {
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

    pub(super) fn do_group(&mut self) -> Result<Rc<Cmd>> {
        self.expect_word("do")?;
        let body = self.list_until(&["done"])?;
        self.expect_word("done")?;
        Ok(body)
    }

    pub(super) fn while_command(&mut self, until: bool) -> Result<Rc<Cmd>> {
        let condition = self.list_until(&["do"])?;
        let body = self.do_group()?;
        Ok(Rc::new(Cmd::While { until, condition, body }))
    }

    pub(super) fn for_command(&mut self) -> Result<Rc<Cmd>> {
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

    pub(super) fn case_command(&mut self) -> Result<Rc<Cmd>> {
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

    pub(super) fn case_body(&mut self) -> Result<Rc<Cmd>> {
        self.newlines()?;
        if self.starts_with(";;") || self.at_word("esac") {
            return Ok(list(Vec::new()));
        }
        self.list_until(&["esac"])
    }

    pub(super) fn arithmetic_command(&mut self) -> Result<Option<Rc<Cmd>>> {
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
}
