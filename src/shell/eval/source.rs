//! Where commands come from: `-c`, a script, standard input, `eval`, `.`, traps.

use std::rc::Rc;

use cri_api::{Errno, Poll, Signal, Sys, Text};

use super::{Flavour, Flow, Frame, Shell, Source, SourceKind};
use crate::editor::Interactive;
use crate::parse::{self, ParseError};

impl Shell {
    /// Reads the command line and begins.
    pub(super) fn start(&mut self, sys: &mut Sys<'_>) {
        let argv = sys.argv();
        self.shell_pid = sys.pid();
        let name = argv.first().cloned().unwrap_or_default();
        let base = crate::text::basename(&name).trim_start_matches('-').to_string();
        self.arg0 = name.clone();
        self.import(&sys.env());
        if self.vars.get("PATH").is_none() {
            let _ = self.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        }
        let cwd = sys.cwd();
        let _ = self.set("PWD", &cwd);
        if let Some(var) = self.vars.get_mut("PWD") {
            var.exported = true;
        }
        let _ = self.set("IFS", " \t\n");
        if self.flavour == Flavour::Bash && &*base == "bash" {
            let _ = self.set("BASH_VERSION", "5.2.37(1)-release");
        }
        let mut args = argv.iter().skip(1).cloned().peekable();
        let (mut command_string, mut interactive, mut from_stdin) = (false, false, false);
        while let Some(arg) = args.peek().cloned().filter(|a| a.len() > 1 && (a.starts_with('-') || a.starts_with('+'))) {
            args.next();
            if &*arg == "--" {
                break;
            }
            if &*arg == "-o" || &*arg == "+o" {
                let option = args.next().unwrap_or_default();
                self.set_long_option(&option, arg.starts_with('-'));
                continue;
            }
            if arg.starts_with("--") {
                continue;
            }
            for c in arg[1..].chars() {
                match c {
                    'c' => command_string = true,
                    'i' => interactive = true,
                    's' => from_stdin = true,
                    'l' => {}
                    c => {
                        self.set_option(c, arg.starts_with('-'));
                    }
                }
            }
        }
        let rest: Vec<Text> = args.collect();
        self.begin(rest, command_string, interactive, from_stdin, sys);
    }

    fn begin(&mut self, mut rest: Vec<Text>, command_string: bool, interactive: bool, from_stdin: bool, sys: &mut Sys<'_>) {
        if command_string {
            if rest.is_empty() {
                self.complain(None, "-c requires an argument");
                return self.abort(2);
            }
            let text = rest.remove(0);
            if !rest.is_empty() {
                self.arg0 = rest.remove(0);
            }
            self.params = Rc::new(rest);
            // The last command of `-c` may replace the shell.
            self.forked = true;
            self.frames.push(Frame::Source(Source { text, pos: 0, kind: SourceKind::Main, line: 0 }));
            return;
        }
        if !rest.is_empty() && !from_stdin {
            let path = rest.remove(0);
            self.params = Rc::new(rest);
            return self.begin_script(&path, sys);
        }
        self.params = Rc::new(rest);
        if interactive || sys.is_tty(0) {
            self.interactive = Some(Box::new(Interactive::new(self.flavour)));
            for (signal, disposition) in super::children::INTERACTIVE {
                sys.on_signal(signal, disposition);
            }
            let (pid, group) = (sys.pid(), sys.group());
            if group != pid {
                sys.set_group(pid, pid);
            }
            let _ = sys.set_tty_foreground(0, pid);
            self.frames.push(Frame::Interactive);
            self.load_profile(sys);
            return;
        }
        self.frames.push(Frame::Source(Source { text: "".into(), pos: 0, kind: SourceKind::Stdin, line: 0 }));
    }

    fn begin_script(&mut self, path: &Text, sys: &mut Sys<'_>) {
        match sys.read_file(path) {
            Ok(bytes) => {
                self.arg0 = path.clone();
                self.script = true;
                let text: Text = String::from_utf8_lossy(&bytes).into();
                self.frames.push(Frame::Source(Source { text, pos: 0, kind: SourceKind::Main, line: 0 }));
            }
            Err(error) => {
                match self.flavour {
                    Flavour::Ash => {
                        let message = format!("{}: can't open '{path}': {error}\n", self.arg0);
                        self.out.push(2, message.as_bytes());
                    }
                    Flavour::Bash => {
                        let message = format!("{}: {path}: {error}\n", self.arg0);
                        self.out.push(2, message.as_bytes());
                    }
                }
                self.abort(if error == Errno::ENOENT { 127 } else { 2 });
            }
        }
    }

    /// `/etc/profile` and `~/.bashrc` (or `$ENV`), as an interactive shell reads them.
    fn load_profile(&mut self, sys: &mut Sys<'_>) {
        let home = self.get("HOME").unwrap_or_else(|| "/root".into());
        let personal = match self.flavour {
            Flavour::Bash => format!("{home}/.bashrc"),
            Flavour::Ash => self.get("ENV").map_or_else(|| format!("{home}/.profile"), |e| e.to_string()),
        };
        for path in [personal.as_str(), "/etc/profile"] {
            if let Ok(bytes) = sys.read_file(path) {
                let text: Text = String::from_utf8_lossy(&bytes).into();
                self.frames.push(Frame::Source(Source { text, pos: 0, kind: SourceKind::Dot, line: 0 }));
            }
        }
    }

    /// Parses and runs the next command of a text.
    pub(super) fn source(&mut self, mut source: Source, sys: &mut Sys<'_>) -> Option<Poll> {
        let parsed = parse::parse_next(&source.text, source.pos, &self.aliases);
        match parsed {
            Ok(Some((command, next))) => {
                if source.kind != SourceKind::Eval {
                    self.line_base = source.line;
                }
                let consumed = &source.text.as_bytes()[source.pos..next];
                source.line += consumed.iter().filter(|b| **b == b'\n').count() as u32;
                source.pos = next;
                let done = source.text.as_bytes()[next..].iter().all(u8::is_ascii_whitespace);
                if !done || source.kind == SourceKind::Stdin || source.kind == SourceKind::Dot {
                    self.frames.push(Frame::Source(source));
                }
                if !self.options.noexec {
                    self.push(Frame::Run(command));
                }
                None
            }
            Ok(None) if source.kind == SourceKind::Stdin => self.read_more(source, sys),
            Ok(None) => None,
            Err(ParseError::Incomplete { .. }) if source.kind == SourceKind::Stdin => self.read_more(source, sys),
            Err(error) => {
                self.syntax_error(&error);
                None
            }
        }
    }

    fn read_more(&mut self, mut source: Source, sys: &mut Sys<'_>) -> Option<Poll> {
        match sys.read(0, 65_536) {
            Ok(bytes) if bytes.is_empty() => {
                let rest = source.text[source.pos..].trim();
                if rest.is_empty() {
                    return None;
                }
                // The end of input ends a here-document, and shows what is missing elsewhere.
                let text: Text = rest.into();
                self.frames.push(Frame::Source(Source { text, pos: 0, kind: SourceKind::Main, line: source.line }));
                None
            }
            Ok(bytes) => {
                let text = format!("{}{}", &source.text[source.pos..], String::from_utf8_lossy(&bytes));
                // Only whole lines are parsed.
                source.text = text.into();
                source.pos = 0;
                self.frames.push(Frame::Source(source));
                None
            }
            Err(Errno::EAGAIN) => {
                self.frames.push(Frame::Source(source));
                Some(Poll::Pending)
            }
            Err(_) => None,
        }
    }

    pub(crate) fn syntax_error(&mut self, error: &ParseError) {
        let text = match (self.flavour, error) {
            (_, ParseError::Other(text)) => text.to_string(),
            (Flavour::Ash, ParseError::Incomplete { in_quotes: true, expecting: None }) => {
                "syntax error: unterminated quoted string".into()
            }
            (Flavour::Ash, ParseError::Incomplete { expecting: Some("}"), in_quotes: true }) => {
                "syntax error: missing '}'".into()
            }
            (Flavour::Ash, ParseError::Incomplete { expecting: Some(what), .. }) => {
                format!("syntax error: unexpected end of file (expecting \"{what}\")")
            }
            (Flavour::Ash, ParseError::Incomplete { .. }) => "syntax error: unexpected end of file".into(),
            (Flavour::Ash, ParseError::Unexpected { token, expecting }) => {
                let shown = if &**token == "newline" { "newline".to_string() } else { format!("\"{token}\"") };
                match expecting {
                    Some(what) => format!("syntax error: unexpected {shown} (expecting \"{what}\")"),
                    None => format!("syntax error: unexpected {shown}"),
                }
            }
            (Flavour::Bash, ParseError::Unexpected { token, .. }) => format!("syntax error near unexpected token `{token}'"),
            (Flavour::Bash, ParseError::Incomplete { in_quotes: true, .. }) => {
                "unexpected EOF while looking for matching quote".into()
            }
            (Flavour::Bash, ParseError::Incomplete { .. }) => "syntax error: unexpected end of file".into(),
        };
        self.complain(None, &text);
        self.abort(2);
    }

    // ---- traps ----

    /// Traps wait until a foreground child has ended.
    pub(super) fn takes_traps(&self) -> bool {
        !matches!(self.frames.last(), Some(Frame::Wait { .. } | Frame::Substitution { .. }))
    }

    /// Begins the action of a signal that has come in. True if there was one.
    pub(super) fn run_trap(&mut self, sys: &mut Sys<'_>) -> bool {
        if self.traps.is_empty() && self.interactive.is_none() {
            return false;
        }
        if matches!(self.frames.last(), Some(Frame::Interactive)) && self.traps.is_empty() {
            return false;
        }
        let Some(signal) = sys.take_signal() else { return false };
        let Some(action) = self.traps.get(&signal).cloned() else {
            if signal == Signal::INT && self.interactive.is_some() {
                self.out.push(2, b"\n");
                self.status = 130;
                self.flow = Flow::Interrupt;
                return true;
            }
            return false;
        };
        if let Some(Frame::Builtin(state)) = self.frames.last()
            && state.ends_on_signal()
        {
            // `wait` returns at once.
            self.frames.pop();
            self.status = 128 + signal.0 as i32;
        }
        self.push(Frame::TrapEnd(self.status));
        self.frames.push(Frame::Source(Source { text: action, pos: 0, kind: SourceKind::Eval, line: 0 }));
        true
    }
}
