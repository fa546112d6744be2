//! Prompts: `PS1` with backslash escapes and parameters.

use cri_api::{Sys, Text};

use crate::eval::{Flavour, Shell};
use crate::expand::Expander;

impl Shell {
    /// The text of `PS1` or `PS2`.
    pub(super) fn prompt(&mut self, name: &str, sys: &mut Sys<'_>) -> String {
        let standard = match (name, self.flavour) {
            ("PS1", Flavour::Ash) => "\\w \\$ ",
            ("PS1", Flavour::Bash) => "\\u@\\h:\\w\\$ ",
            _ => "> ",
        };
        let format = self.get(name).unwrap_or_else(|| standard.into());
        let text = self.prompt_escapes(&format, sys);
        if !text.contains('$') && !text.contains('`') {
            return text;
        }
        let word = crate::parse::parse_quoted(&text);
        let mut answers: Vec<Text> = Vec::new();
        let mut expander = Expander { shell: self, sys, answers: &mut answers, cursor: 0 };
        // A command substitution in a prompt isn't run.
        expander.string(&word).unwrap_or(text)
    }

    fn prompt_escapes(&mut self, format: &str, sys: &mut Sys<'_>) -> String {
        let mut out = String::new();
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('u') => out.push_str(&crate::applets::user_name(sys, sys.uid())),
                Some('h') => out.push_str(sys.config().hostname.split('.').next().unwrap_or("")),
                Some('H') => out.push_str(&sys.config().hostname.clone()),
                Some('w') => out.push_str(&self.short_pwd()),
                Some('W') => {
                    let pwd = self.short_pwd();
                    out.push_str(crate::text::basename(&pwd));
                }
                Some('$') => out.push_str(if sys.uid() == 0 { "#" } else { "\\$" }),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('e') => out.push('\x1b'),
                Some('t') => {
                    let (_, _, _, h, m, s) = sys.now().civil();
                    out.push_str(&format!("{h:02}:{m:02}:{s:02}"));
                }
                Some('[' | ']') => {}
                Some('0') => {
                    let digits: String = std::iter::from_fn(|| chars.next_if(|c| c.is_digit(8))).take(2).collect();
                    out.push(u8::from_str_radix(&digits, 8).unwrap_or(b'?') as char);
                }
                Some('s') => out.push_str(crate::text::basename(&self.arg0)),
                Some('\\') => out.push_str("\\\\"),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            }
        }
        out
    }

    fn short_pwd(&self) -> String {
        let pwd = self.get("PWD").unwrap_or_default();
        match self.get("HOME").filter(|home| home.len() > 1) {
            Some(home) if *pwd == *home => "~".into(),
            Some(home) if pwd.starts_with(&format!("{home}/")) => format!("~{}", &pwd[home.len()..]),
            _ => pwd.to_string(),
        }
    }
}
