//! `$x` and the forms of `${…}`.

use cri_api::Text;

use super::{Expander, Fields, Result, Stop};
use crate::ast::{Param, ParamOp, Word};
use crate::pattern::match_chars;

impl Expander<'_, '_> {
    pub(super) fn param(&mut self, param: &Param, quoted: bool, out: &mut Fields) -> Result<()> {
        if matches!(&*param.name, "@" | "*") && !matches!(param.op, ParamOp::Length) {
            return self.all_params(param, quoted, out);
        }
        let value = self.shell.param(&param.name, self.sys);
        match &param.op {
            ParamOp::Test { colon, operator, word } => {
                let missing = value.as_ref().is_none_or(|v| *colon && v.is_empty());
                return self.test(param, value, missing, *operator, word, quoted, out);
            }
            ParamOp::Length => {
                let value = match &*param.name {
                    "@" | "*" => self.shell.params.len().to_string(),
                    _ => self.checked(param, value)?.chars().count().to_string(),
                };
                self.expanded(&value, quoted, out);
                return Ok(());
            }
            _ => {}
        }
        let value = self.checked(param, value)?;
        let value = self.modify(param, value)?;
        self.expanded(&value, quoted, out);
        Ok(())
    }

    /// With `set -u`, an unset parameter is an error.
    fn checked(&mut self, param: &Param, value: Option<Text>) -> Result<Text> {
        match value {
            Some(value) => Ok(value),
            None if self.shell.options.nounset && &*param.name != "!" => Err(Stop::Error(self.shell.unset_message(&param.name))),
            None => Ok("".into()),
        }
    }

    fn modify(&mut self, param: &Param, value: Text) -> Result<Text> {
        Ok(match &param.op {
            ParamOp::Trim { suffix, longest, pattern } => {
                let pattern = self.pattern(pattern)?;
                trim(&value, &pattern, *suffix, *longest).into()
            }
            ParamOp::Slice { offset, length } => {
                let offset = self.arithmetic(offset)?;
                let length = match length {
                    Some(length) => Some(self.arithmetic(length)?),
                    None => None,
                };
                slice(&value, offset, length).into()
            }
            ParamOp::Replace { mode, pattern, with } => {
                let (pattern, with) = (self.pattern(pattern)?, self.string(with)?);
                replace(&value, *mode, &pattern, &with).into()
            }
            ParamOp::Case { upper, all } => change_case(&value, *upper, *all).into(),
            ParamOp::Indirect => self.shell.param(&value, self.sys).unwrap_or_default(),
            ParamOp::None | ParamOp::Length | ParamOp::Test { .. } => value,
        })
    }

    fn test(
        &mut self,
        param: &Param,
        value: Option<Text>,
        missing: bool,
        operator: u8,
        word: &Word,
        quoted: bool,
        out: &mut Fields,
    ) -> Result<()> {
        match operator {
            b'+' if missing => Ok(()),
            b'+' => self.parts(&word.parts, quoted, out),
            _ if !missing => {
                self.expanded(&value.unwrap_or_default(), quoted, out);
                Ok(())
            }
            b'-' => self.parts(&word.parts, quoted, out),
            b'=' => {
                let value = self.string(word)?;
                let value = self.answer(|this| {
                    this.shell.set(&param.name, &value).map_err(Stop::Error)?;
                    Ok(value.as_str().into())
                })?;
                self.expanded(&value, quoted, out);
                Ok(())
            }
            _ => {
                let text = self.string(word)?;
                let text = if text.is_empty() { "parameter not set".to_string() } else { text };
                Err(Stop::Error(format!("{}: {text}", param.name)))
            }
        }
    }

    /// `$@` and `$*`.
    fn all_params(&mut self, param: &Param, quoted: bool, out: &mut Fields) -> Result<()> {
        let mut params = self.shell.params.to_vec();
        match &param.op {
            ParamOp::Test { colon, operator, word } => {
                let missing = params.is_empty() || (*colon && params.iter().all(|p| p.is_empty()));
                if missing || *operator == b'+' {
                    let value = (!params.is_empty()).then(|| Text::from(params.join(" ")));
                    return self.test(param, value, missing, *operator, word, quoted, out);
                }
            }
            ParamOp::Slice { offset, length } => {
                let from = self.arithmetic(offset)?.max(0) as usize;
                let count = match length {
                    Some(length) => self.arithmetic(length)?.max(0) as usize,
                    None => usize::MAX,
                };
                params.insert(0, self.shell.arg0.clone());
                params = params.into_iter().skip(from).take(count).collect();
            }
            _ => {}
        }
        if quoted && &*param.name == "*" || !out.splits() {
            let ifs = self.shell.ifs();
            let separator =
                if &*param.name == "*" { ifs.chars().next().map(String::from).unwrap_or_default() } else { " ".into() };
            let joined = params.join(&separator);
            self.expanded(&joined, quoted, out);
            return Ok(());
        }
        for (i, value) in params.iter().enumerate() {
            if i > 0 {
                out.end_field();
            }
            self.expanded(value, quoted, out);
        }
        Ok(())
    }
}

fn trim(value: &str, pattern: &str, suffix: bool, longest: bool) -> String {
    let text: Vec<char> = value.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let len = text.len();
    let hit = |n: usize| {
        let part = if suffix { &text[len - n..] } else { &text[..n] };
        match_chars(&pattern, part)
    };
    let found = if longest { (0..=len).rev().find(|n| hit(*n)) } else { (0..=len).find(|n| hit(*n)) };
    match found {
        None => value.to_string(),
        Some(n) if suffix => text[..len - n].iter().collect(),
        Some(n) => text[n..].iter().collect(),
    }
}

fn slice(value: &str, offset: i64, length: Option<i64>) -> String {
    let text: Vec<char> = value.chars().collect();
    let len = text.len() as i64;
    let start = if offset < 0 { len + offset } else { offset };
    if start < 0 || start > len {
        return String::new();
    }
    let end = match length {
        None => len,
        Some(n) if n < 0 => len + n,
        Some(n) => start.saturating_add(n).min(len),
    };
    if end <= start { String::new() } else { text[start as usize..end as usize].iter().collect() }
}

fn replace(value: &str, mode: u8, pattern: &str, with: &str) -> String {
    let text: Vec<char> = value.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    if pattern.is_empty() {
        return value.to_string();
    }
    let len = text.len();
    let longest = |from: usize| (from..=len).rev().find(|end| match_chars(&pattern, &text[from..*end]));
    match mode {
        b'#' => match longest(0) {
            Some(end) => with.to_string() + &text[end..].iter().collect::<String>(),
            None => value.to_string(),
        },
        b'%' => match (0..=len).find(|from| match_chars(&pattern, &text[*from..])) {
            Some(from) => text[..from].iter().collect::<String>() + with,
            None => value.to_string(),
        },
        mode => {
            let mut out = String::new();
            let mut at = 0;
            while at < len {
                match longest(at).filter(|end| *end > at) {
                    Some(end) => {
                        out.push_str(with);
                        at = end;
                        if mode != b'/' {
                            break;
                        }
                    }
                    None => {
                        out.push(text[at]);
                        at += 1;
                    }
                }
            }
            out.extend(&text[at..]);
            out
        }
    }
}

fn change_case(value: &str, upper: bool, all: bool) -> String {
    let change = |c: char| if upper { c.to_uppercase().to_string() } else { c.to_lowercase().to_string() };
    let mut chars = value.chars();
    match all {
        true => chars.map(change).collect(),
        false => chars.next().map(change).unwrap_or_default() + chars.as_str(),
    }
}
