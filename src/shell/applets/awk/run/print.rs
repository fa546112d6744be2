//! What awk's `print` and `printf` write.

use cri_api::Text;

use super::{Control, Interpreter, Run, Val, conversions};
use crate::applets::awk::parse::Expr;
use crate::builtins::printf;

impl Interpreter {
    pub(super) fn print(&mut self, args: &[Expr]) -> Run<()> {
        let mut texts = Vec::with_capacity(args.len());
        for arg in args {
            texts.push(self.eval(arg)?.text());
        }
        let line = if args.is_empty() { self.record.to_string() } else { texts.join(&self.global("OFS")) };
        let end = self.global("ORS");
        self.output.extend(line.bytes());
        self.output.extend(end.bytes());
        if self.output.len() > 8 << 20 { Err(Control::Fail("too much output from one record".into())) } else { Ok(()) }
    }

    pub(super) fn format(&mut self, args: &[Expr]) -> Run<Vec<u8>> {
        let mut texts = Vec::with_capacity(args.len());
        for arg in args {
            texts.push(self.eval(arg)?);
        }
        let Some((format, rest)) = texts.split_first() else { return Err(Control::Fail("printf: no format".into())) };
        let format = format.text();
        let kinds: Vec<char> = conversions(&format);
        let rest: Vec<Text> = rest
            .iter()
            .enumerate()
            .map(|(i, value)| match kinds.get(i) {
                Some('d' | 'i' | 'o' | 'x' | 'X' | 'u' | '*') => format!("{}", value.number() as i64).into(),
                Some('e' | 'f' | 'g' | 'E' | 'G') => format!("{}", value.number()).into(),
                Some('c') if matches!(value, Val::Number(_)) => {
                    char::from_u32(value.number() as u32).map(String::from).unwrap_or_default().into()
                }
                _ => value.text(),
            })
            .take(kinds.len())
            .collect();
        Ok(printf::printf(&format, &rest).bytes)
    }

    // ---- variables ----
}
