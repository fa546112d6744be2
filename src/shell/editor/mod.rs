//! The interactive shell: prompt, line editor, history, completion. Models bash's readline and busybox' `lineedit.c` as far
//! as fingers know them.

mod complete;
mod line;
mod prompt;

use base::Vector;
use cri_api::{Errno, Fd, Pid, Poll, Signal, Sys, Text, TtyMode};

use crate::eval::{Flavour, Flow, Frame, Shell, Source, SourceKind};
use crate::parse::{ParseError, parse_next};
pub(crate) use complete::columns;
pub use line::{LineEditor, Outcome};

/// What an interactive shell keeps between lines.
#[derive(Clone)]
pub struct Interactive {
    pub history: Vector<Text>,
    /// The last command line, for job messages.
    pub last_line: Text,
    /// Lines of an unfinished command.
    pending: String,
    editor: LineEditor,
    editing: bool,
    completing: Option<Completing>,
}

/// A program that is asked for completions.
#[derive(Clone)]
struct Completing {
    pid: Pid,
    fd: Fd,
    data: Vec<u8>,
    /// The word to complete.
    word: String,
}

/// Lines kept.
const HISTORY: usize = 1000;
/// Keys come one by one, signals too; output as usual.
const EDITING: TtyMode = TtyMode { canonical: false, echo: false, signals: false, output_newlines: true };

impl Interactive {
    pub fn new(_flavour: Flavour) -> Interactive {
        Interactive {
            history: Vector::new(),
            last_line: "".into(),
            pending: String::new(),
            editor: LineEditor::default(),
            editing: false,
            completing: None,
        }
    }

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || line.starts_with(' ') || self.history.back().is_some_and(|last| **last == *line) {
            return;
        }
        self.history.push_back(line.into());
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }
}

impl Shell {
    /// The bottom frame of an interactive shell: edits a line, then runs it.
    pub(crate) fn interactive(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        let mut state = self.interactive.take()?;
        let poll = self.interact(&mut state, sys);
        self.interactive = Some(state);
        poll
    }

    fn interact(&mut self, state: &mut Interactive, sys: &mut Sys<'_>) -> Option<Poll> {
        if !state.editing {
            self.interactive = Some(Box::new(state.clone()));
            self.report_jobs(sys);
            self.interactive = None;
            self.begin_line(state, sys);
            self.frames.push(Frame::Interactive);
            return None;
        }
        if state.completing.is_some() {
            return self.read_completions(state, sys);
        }
        while let Some(signal) = sys.take_signal() {
            if signal == Signal::WINCH {
                let (cols, _) = sys.tty_size(0).unwrap_or((80, 24));
                state.editor.resize(cols);
                self.out.push(1, &state.editor.redraw());
            } else if let Some(action) = self.traps.get(&signal).cloned() {
                self.frames.push(Frame::Interactive);
                self.push(Frame::TrapEnd(self.status));
                self.frames.push(Frame::Source(Source { text: action, pos: 0, kind: SourceKind::Eval, line: 0 }));
                return None;
            }
        }
        match sys.read(0, 16_384) {
            Ok(bytes) if bytes.is_empty() => self.keys(state, Outcome::Eof, sys),
            Ok(bytes) => state.editor.type_ahead(&bytes),
            Err(Errno::EAGAIN) if state.editor.has_input() => {}
            Err(Errno::EAGAIN) => {
                self.frames.push(Frame::Interactive);
                return Some(Poll::Pending);
            }
            Err(_) => {
                self.flow = Flow::Exit;
                return None;
            }
        }
        if state.editing {
            let mut echo = Vec::new();
            let outcome = state.editor.feed(&state.history, &mut echo);
            self.out.push(1, &echo);
            self.frames.push(Frame::Interactive);
            if let Some(outcome) = outcome {
                self.frames.pop();
                self.keys(state, outcome, sys);
            }
        }
        None
    }

    fn begin_line(&mut self, state: &mut Interactive, sys: &mut Sys<'_>) {
        let _ = sys.set_tty_mode(0, EDITING);
        let (cols, _) = sys.tty_size(0).unwrap_or((80, 24));
        let name = if state.pending.is_empty() { "PS1" } else { "PS2" };
        let text = self.prompt(name, sys);
        state.editing = true;
        self.out.push(1, &state.editor.begin(&text, cols, self.flavour == Flavour::Bash));
    }

    /// What a finished line, ^C, ^D or Tab does.
    fn keys(&mut self, state: &mut Interactive, outcome: Outcome, sys: &mut Sys<'_>) {
        match outcome {
            Outcome::Line(line) => {
                self.frames.push(Frame::Interactive);
                state.editing = false;
                self.submit(state, &line, sys);
            }
            Outcome::Interrupt => {
                state.editing = false;
                state.pending.clear();
                self.status = 130;
                self.frames.push(Frame::Interactive);
            }
            Outcome::TooLong => {
                state.editing = false;
                state.pending.clear();
                self.status = 1;
                self.out.push(1, b"\n");
                self.complain(None, "input line too long");
                self.frames.push(Frame::Interactive);
            }
            Outcome::Eof => {
                let _ = sys.set_tty_mode(0, TtyMode::COOKED);
                let text: &[u8] = if self.flavour == Flavour::Bash { b"exit\n" } else { b"\n" };
                self.out.push(1, text);
                state.editing = false;
                self.flow = Flow::Exit;
            }
            Outcome::Complete => {
                self.frames.push(Frame::Interactive);
                self.complete(state, sys);
            }
        }
    }

    fn submit(&mut self, state: &mut Interactive, line: &str, sys: &mut Sys<'_>) {
        state.pending.push_str(line);
        let text: Text = format!("{}\n", state.pending).into();
        match self.is_complete(&text) {
            false => state.pending.push('\n'),
            true => {
                let _ = sys.set_tty_mode(0, TtyMode::COOKED);
                let whole = std::mem::take(&mut state.pending);
                state.remember(&whole);
                state.last_line = whole.trim().into();
                self.frames.push(Frame::Source(Source { text, pos: 0, kind: SourceKind::Main, line: 0 }));
            }
        }
    }

    /// Whether a text needs no more lines (errors are for the run).
    fn is_complete(&self, text: &Text) -> bool {
        let mut pos = 0;
        loop {
            match parse_next(text, pos, &self.aliases) {
                Ok(Some((_, next))) => pos = next,
                Ok(None) => return true,
                Err(ParseError::Incomplete { .. }) => return false,
                Err(_) => return true,
            }
        }
    }
}
