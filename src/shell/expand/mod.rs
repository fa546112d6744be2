//! Expansion of words: parameters, command substitution, arithmetic, field splitting, pathnames, quote removal.
//!
//! A command substitution has to run before its word is known, and an evaluator may not block. So expansion is replayed: it
//! runs from its top with the answers so far, and stops with [`Stop::Command`] at a substitution that has none; what changes
//! state on the way (`${x:=w}`, `$((x++))`) is an answer too, so that a replay does it once.

mod arith;
mod fields;
mod glob;
mod param;

use std::rc::Rc;

use cri_api::{Sys, Text};

use crate::ast::{Cmd, Part, Word};
use crate::eval::Shell;
use fields::Fields;

pub use arith::Arith;

/// Why expansion stopped.
pub enum Stop {
    /// Run this, append its output as an answer, expand again.
    Command(Rc<Cmd>),
    /// A message; a shell that isn't interactive ends.
    Error(String),
}

pub type Result<T> = std::result::Result<T, Stop>;

/// One run of an expansion.
pub struct Expander<'a, 'b> {
    pub shell: &'a mut Shell,
    pub sys: &'a mut Sys<'b>,
    pub answers: &'a mut Vec<Text>,
    pub cursor: usize,
}

impl Expander<'_, '_> {
    /// Words of a command: split and globbed.
    pub fn words(&mut self, words: &[Word]) -> Result<Vec<Text>> {
        let mut out = Vec::with_capacity(words.len());
        for word in words {
            if let [Part::Literal(text)] = word.parts.as_slice()
                && !crate::pattern::is_pattern(text)
            {
                out.push(text.clone());
                continue;
            }
            let mut fields = Fields::new(true, self.shell.ifs());
            self.parts(&word.parts, false, &mut fields)?;
            for field in fields.finish() {
                if self.shell.options.noglob || !crate::pattern::is_pattern(&field) {
                    out.push(crate::pattern::unescape(&field).into());
                    continue;
                }
                match glob::expand(self.sys, &field) {
                    names if names.is_empty() => out.push(crate::pattern::unescape(&field).into()),
                    names => out.extend(names),
                }
            }
        }
        Ok(out)
    }

    /// One string: no splitting, no pathnames.
    pub fn string(&mut self, word: &Word) -> Result<String> {
        match word.parts.as_slice() {
            [] => return Ok(String::new()),
            [Part::Literal(text)] | [Part::Quoted(text)] => return Ok(text.to_string()),
            _ => {}
        }
        Ok(crate::pattern::unescape(&self.pattern(word)?))
    }

    /// A pattern: quoted characters carry a backslash.
    pub fn pattern(&mut self, word: &Word) -> Result<String> {
        let mut fields = Fields::new(false, Text::from(""));
        self.parts(&word.parts, false, &mut fields)?;
        Ok(fields.finish().join(" "))
    }

    fn parts(&mut self, parts: &[Part], quoted: bool, out: &mut Fields) -> Result<()> {
        for part in parts {
            self.part(part, quoted, out)?;
        }
        Ok(())
    }

    fn part(&mut self, part: &Part, quoted: bool, out: &mut Fields) -> Result<()> {
        match part {
            Part::Literal(text) if !quoted => out.literal(text),
            Part::Literal(text) | Part::Quoted(text) => out.quoted(text),
            Part::Double(parts) => {
                // `""` is a field, `"$@"` without parameters is none.
                let only_at = matches!(parts.as_slice(), [Part::Param(p)] if &*p.name == "@");
                if !only_at {
                    out.quoted("");
                }
                self.parts(parts, true, out)?;
            }
            Part::Param(param) => self.param(param, quoted, out)?,
            Part::Command(command) => {
                let text = self.answer(|_| Err(Stop::Command(command.clone())))?;
                self.expanded(&text, quoted, out);
            }
            Part::Arithmetic(word) => {
                let value = self.arithmetic(word)?;
                self.expanded(&value.to_string(), quoted, out);
            }
            Part::Tilde(user) => {
                let home = self.home(user);
                out.quoted(&home);
            }
        }
        Ok(())
    }

    fn expanded(&mut self, text: &str, quoted: bool, out: &mut Fields) {
        if quoted { out.quoted(text) } else { out.expanded(text) }
    }

    /// The next answer, or what `make` gives (which is then kept).
    fn answer(&mut self, make: impl FnOnce(&mut Self) -> Result<Text>) -> Result<Text> {
        if let Some(answer) = self.answers.get(self.cursor) {
            self.cursor += 1;
            return Ok(answer.clone());
        }
        let answer = make(self)?;
        self.answers.push(answer.clone());
        self.cursor += 1;
        Ok(answer)
    }

    /// Evaluates `$((…))`.
    pub fn arithmetic(&mut self, word: &Word) -> Result<i64> {
        let text = self.string(word)?;
        let changes = text.contains('=') || text.contains("++") || text.contains("--");
        if !changes {
            return Arith::evaluate(&text, self.shell, self.sys).map_err(Stop::Error);
        }
        let answer = self.answer(|this| {
            let value = Arith::evaluate(&text, this.shell, this.sys).map_err(Stop::Error)?;
            Ok(value.to_string().into())
        })?;
        Ok(answer.parse().unwrap_or(0))
    }

    fn home(&mut self, user: &str) -> String {
        if user.is_empty() {
            return self.shell.get("HOME").map_or_else(|| "~".to_string(), |h| h.to_string());
        }
        let passwd = self.sys.read_file("/etc/passwd").unwrap_or_default();
        let passwd = String::from_utf8_lossy(&passwd);
        let home = passwd.lines().find_map(|line| {
            let mut columns = line.split(':');
            (columns.next() == Some(user)).then(|| columns.nth(4)).flatten().map(str::to_string)
        });
        home.unwrap_or_else(|| format!("~{user}"))
    }
}
