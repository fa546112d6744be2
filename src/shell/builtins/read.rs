//! `read`.

use base::Time;
use cri_api::{Errno, Fd, Sys, Text, TtyMode};

use super::{BuiltinState, Outcome};
use crate::eval::{Flavour, Shell};
use crate::parse::is_name;

/// A `read` that waits for more bytes.
#[derive(Clone)]
pub struct Read {
    names: Vec<Text>,
    raw: bool,
    fd: Fd,
    limit: Option<usize>,
    delimiter: u8,
    deadline: Option<Time>,
    silent: bool,
    data: Vec<u8>,
    /// Which bytes came with a backslash: they don't split.
    quoted: Vec<bool>,
    escaped: bool,
}

pub fn builtin(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let mut state = Read {
        names: Vec::new(),
        raw: false,
        fd: 0,
        limit: None,
        delimiter: b'\n',
        deadline: None,
        silent: false,
        data: Vec::new(),
        quoted: Vec::new(),
        escaped: false,
    };
    let mut args = argv[1..].iter();
    while let Some(arg) = args.next() {
        let Some(letters) = arg.strip_prefix('-').filter(|l| !l.is_empty()) else {
            state.names.push(arg.clone());
            continue;
        };
        for (at, letter) in letters.char_indices() {
            if matches!(letter, 'r' | 's' | 'e') {
                state.raw |= letter == 'r';
                state.silent |= letter == 's';
                continue;
            }
            let inline = &letters[at + 1..];
            let value: Text = if inline.is_empty() { args.next().cloned().unwrap_or_default() } else { inline.into() };
            match letter {
                'p' => shell.out.push(2, value.as_bytes()),
                'n' => state.limit = value.parse().ok(),
                'u' => state.fd = value.parse().unwrap_or(0),
                'd' => state.delimiter = value.bytes().next().unwrap_or(0),
                't' => state.deadline = crate::text::parse_duration(&value).map(|d| sys.now() + d),
                _ => {
                    shell.complain(Some("read"), &format!("illegal option -{letter}"));
                    return Outcome::Done(2);
                }
            }
            break;
        }
    }
    if let Some(bad) = state.names.iter().find(|n| !is_name(n)).cloned() {
        shell.complain(Some("read"), &format!("{bad}: bad variable name"));
        return Outcome::Done(2);
    }
    if sys.is_tty(state.fd) && (state.silent || state.limit.is_some()) {
        let mode = TtyMode { canonical: state.limit.is_none(), echo: !state.silent, ..TtyMode::COOKED };
        let _ = sys.set_tty_mode(state.fd, mode);
    }
    Outcome::Wait(BuiltinState::Read(state))
}

impl Read {
    pub(super) fn abandon(&self, sys: &mut Sys<'_>) {
        if self.silent || self.limit.is_some() {
            let _ = sys.set_tty_mode(self.fd, TtyMode::COOKED);
        }
    }

    pub(super) fn go_on(mut self, shell: &mut Shell, sys: &mut Sys<'_>) -> Outcome {
        loop {
            match sys.read(self.fd, 1) {
                Ok(bytes) => match bytes.first() {
                    None => return self.finish(shell, sys, 1),
                    Some(&byte) => {
                        if self.byte(byte) {
                            return self.finish(shell, sys, 0);
                        }
                    }
                },
                Err(Errno::EAGAIN) => {
                    if self.deadline.is_some_and(|at| sys.sleep_until(at)) {
                        return self.finish(shell, sys, if shell.flavour == Flavour::Bash { 142 } else { 1 });
                    }
                    return Outcome::Wait(BuiltinState::Read(self));
                }
                Err(error) => {
                    shell.complain(Some("read"), &format!("read error: {error}"));
                    return self.finish(shell, sys, 1);
                }
            }
        }
    }

    /// True when the line is complete.
    fn byte(&mut self, byte: u8) -> bool {
        if self.escaped {
            self.escaped = false;
            if byte != b'\n' {
                self.data.push(byte);
                self.quoted.push(true);
            }
        } else if byte == b'\\' && !self.raw {
            self.escaped = true;
        } else if byte == self.delimiter {
            return true;
        } else if byte != 0 {
            self.data.push(byte);
            self.quoted.push(false);
        }
        self.limit.is_some_and(|n| self.data.len() >= n)
    }

    fn finish(self, shell: &mut Shell, sys: &mut Sys<'_>, status: i32) -> Outcome {
        self.abandon(sys);
        let names = if self.names.is_empty() { vec![Text::from("REPLY")] } else { self.names.clone() };
        let plain = self.names.is_empty();
        let values = if plain { vec![self.data.clone()] } else { self.split(&shell.ifs(), names.len()) };
        for (i, name) in names.iter().enumerate() {
            let value = values.get(i).map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default();
            if let Err(message) = shell.set(name, &value) {
                shell.complain(Some("read"), &message);
                return Outcome::Done(1);
            }
        }
        Outcome::Done(status)
    }

    /// Splits at IFS into at most `count` values; the last takes the rest.
    fn split(&self, ifs: &str, count: usize) -> Vec<Vec<u8>> {
        let ifs = ifs.as_bytes();
        let is_ifs = |i: usize| !self.quoted[i] && ifs.contains(&self.data[i]);
        let is_blank = |i: usize| is_ifs(i) && b" \t\n".contains(&self.data[i]);
        let len = self.data.len();
        let mut values = Vec::new();
        let mut at = 0;
        while at < len && is_blank(at) {
            at += 1;
        }
        while at < len && values.len() + 1 < count {
            let start = at;
            while at < len && !is_ifs(at) {
                at += 1;
            }
            values.push(self.data[start..at].to_vec());
            let mut hard = false;
            while at < len && is_ifs(at) && (is_blank(at) || !hard) {
                hard |= !is_blank(at);
                at += 1;
            }
        }
        if at < len {
            let mut end = len;
            while end > at && is_blank(end - 1) {
                end -= 1;
            }
            values.push(self.data[at..end].to_vec());
        }
        values
    }
}
