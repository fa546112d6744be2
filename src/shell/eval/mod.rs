//! The evaluator: a shell as an explicit state machine.
//!
//! What a recursive evaluator keeps on the host's stack is a stack of [`Frame`]s here, each pointing into the shared syntax
//! tree. One step pops the top frame, does a bounded piece of work and pushes what remains; so the shell can be cloned,
//! paused or killed between any two steps, and waits for children, timers or input without blocking. `break`, `return`,
//! `exit` and ^C set a [`Flow`] that unwinds frames. A subshell is a fork: a clone of this state with other frames.

mod children;
mod compound;
mod redirect;
mod simple;
mod source;
mod vars;

use std::rc::Rc;

use base::{Map, Vector};
use cri_api::{Errno, Fd, Pid, Poll, Program, Signal, Sys, Text, WriteOut};

use crate::ast::Cmd;
use crate::builtins::BuiltinState;
use crate::editor::Interactive;

pub use vars::Var;

/// Whose words and habits a shell has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// busybox' `sh`, as in most images.
    Ash,
    /// What people have on their laptops.
    Bash,
}

/// `set -o`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub errexit: bool,
    pub nounset: bool,
    pub xtrace: bool,
    pub pipefail: bool,
    pub noglob: bool,
    pub noexec: bool,
    pub verbose: bool,
    pub noclobber: bool,
    pub allexport: bool,
}

/// What unwinds frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    #[default]
    None,
    Break(u32),
    Continue(u32),
    Return,
    Exit,
    /// ^C at a prompt: back to the prompt.
    Interrupt,
}

/// A job in the background.
#[derive(Clone, Debug)]
pub struct Job {
    pub number: u32,
    pub pids: Vec<Pid>,
    pub group: Pid,
    pub text: Text,
    pub status: Option<i32>,
}

/// What is still to do. The last of the stack is next.
#[derive(Clone)]
pub(crate) enum Frame {
    Run(Rc<Cmd>),
    List {
        command: Rc<Cmd>,
        next: usize,
    },
    AndOr {
        command: Rc<Cmd>,
        next: usize,
    },
    If {
        command: Rc<Cmd>,
        arm: usize,
    },
    While {
        command: Rc<Cmd>,
        testing: bool,
        status: i32,
    },
    For {
        command: Rc<Cmd>,
        words: Rc<Vec<Text>>,
        next: usize,
    },
    /// Words are being expanded; answers of command substitutions so far.
    Expand {
        command: Rc<Cmd>,
        answers: Vec<Text>,
    },
    /// Output of a command substitution is being read for the `Expand` below.
    Substitution {
        fd: Fd,
        pid: Pid,
        data: Vec<u8>,
        ended: bool,
    },
    Wait {
        pids: Vec<Pid>,
        statuses: Vec<Option<i32>>,
        not: bool,
        foreground: bool,
    },
    Not,
    /// `$?` isn't looked at by `set -e` until here.
    Guarded,
    /// Descriptors to put back.
    Restore(Vec<(Fd, Option<Fd>)>),
    RestoreVars(Vec<(Text, Option<Var>)>),
    /// A function returns here.
    Call {
        params: Rc<Vec<Text>>,
        locals: Map<Text, Option<Var>>,
        depth: u32,
    },
    Source(Source),
    /// A trap's action ends here; `$?` is as before.
    TrapEnd(i32),
    Builtin(Box<BuiltinState>),
    Interactive,
}

/// Commands that are parsed one by one.
#[derive(Clone)]
pub(crate) struct Source {
    pub text: Text,
    pub pos: usize,
    pub kind: SourceKind,
    pub line: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// `-c`, a script, a line at the prompt.
    Main,
    Eval,
    /// `.`: `return` ends it.
    Dot,
    /// More may be read from standard input.
    Stdin,
}

/// A shell.
#[derive(Clone)]
pub struct Shell {
    pub flavour: Flavour,
    started: bool,
    pub arg0: Text,
    pub(crate) vars: Map<Text, Var>,
    pub functions: Map<Text, Rc<Cmd>>,
    pub aliases: Map<Text, Text>,
    pub params: Rc<Vec<Text>>,
    pub options: Options,
    pub(crate) traps: Map<Signal, Text>,
    pub status: i32,
    /// Of the last command substitution in a command without words.
    substitution_status: Option<i32>,
    pub(crate) background: Option<Pid>,
    pub(crate) shell_pid: Pid,
    pub(crate) jobs: Vec<Job>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) flow: Flow,
    pub(crate) out: WriteOut,
    guards: u32,
    pub(crate) calls: u32,
    pub(crate) loops: u32,
    /// A child of a shell: may become its last command.
    forked: bool,
    exec_name: Option<Text>,
    exit_trap_ran: bool,
    pub(crate) line: u32,
    line_base: u32,
    pub(crate) random: u64,
    pub(crate) getopts: (usize, usize),
    pub interactive: Option<Box<Interactive>>,
    /// A subshell of an interactive shell knows what was typed: `history | tail`.
    pub(crate) history: Vector<Text>,
    /// Name of the script, if one runs (messages then carry line numbers).
    pub(crate) script: bool,
    pub(crate) dirs: Vector<Text>,
}

/// Steps of the evaluator in one poll.
const SLICE: u32 = 256;
/// Functions calling functions.
const MAX_CALLS: u32 = 500;

impl Shell {
    pub fn new(flavour: Flavour) -> Shell {
        Shell {
            flavour,
            started: false,
            arg0: "sh".into(),
            vars: Map::new(),
            functions: Map::new(),
            aliases: Map::new(),
            params: Rc::default(),
            options: Options::default(),
            traps: Map::new(),
            status: 0,
            substitution_status: None,
            background: None,
            shell_pid: 0,
            jobs: Vec::new(),
            frames: Vec::new(),
            flow: Flow::None,
            out: WriteOut::default(),
            guards: 0,
            calls: 0,
            loops: 0,
            forked: false,
            exec_name: None,
            exit_trap_ran: false,
            line: 0,
            line_base: 0,
            random: 0,
            getopts: (1, 0),
            interactive: None,
            history: Vector::new(),
            script: false,
            dirs: Vector::new(),
        }
    }

    /// Writes a message to standard error, with the shell's name in front as its flavour does it.
    pub(crate) fn complain(&mut self, builtin: Option<&str>, text: &str) {
        let message = self.message(builtin, text);
        self.out.push(2, message.as_bytes());
    }

    fn message(&self, builtin: Option<&str>, text: &str) -> String {
        let line = self.line;
        let name = &self.arg0;
        match (self.flavour, builtin) {
            (Flavour::Bash, _) => {
                let place = if self.interactive.is_some() { String::new() } else { format!("line {line}: ") };
                let builtin = builtin.map(|b| format!("{b}: ")).unwrap_or_default();
                let name = if self.interactive.is_some() { "bash" } else { name };
                format!("{name}: {place}{builtin}{text}\n")
            }
            (Flavour::Ash, Some(builtin)) if self.interactive.is_some() => format!("{name}: {builtin}: {text}\n"),
            (Flavour::Ash, Some(builtin)) => format!("{name}: {builtin}: line {line}: {text}\n"),
            (Flavour::Ash, None) if self.script => format!("{name}: line {line}: {text}\n"),
            (Flavour::Ash, None) => format!("{name}: {text}\n"),
        }
    }

    /// An error that ends a shell which isn't interactive.
    pub(crate) fn fatal(&mut self, text: &str) {
        self.complain(None, text);
        self.abort(if self.flavour == Flavour::Bash { 1 } else { 2 });
    }

    pub(crate) fn abort(&mut self, status: i32) {
        self.status = status;
        self.flow = if self.interactive.is_some() { Flow::Interrupt } else { Flow::Exit };
    }

    pub(crate) fn unset_message(&self, name: &str) -> String {
        match self.flavour {
            Flavour::Ash => format!("{name}: parameter not set"),
            Flavour::Bash => format!("{name}: unbound variable"),
        }
    }

    /// A command has ended: sets `$?`, and `set -e` looks at it.
    pub(crate) fn finish(&mut self, status: i32) {
        self.status = status;
        if status != 0 && self.options.errexit && self.guards == 0 && self.flow == Flow::None {
            self.flow = Flow::Exit;
        }
    }

    pub(crate) fn push(&mut self, frame: Frame) {
        if matches!(frame, Frame::Guarded) {
            self.guards += 1;
        }
        self.frames.push(frame);
    }

    /// One step. `Some` if the shell has to stop running for now.
    fn step(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        match self.out.flush(sys) {
            Ok(true) => {}
            Ok(false) => return Some(Poll::Pending),
            Err(_) => self.status = 1,
        }
        if sys.is_killed() {
            return Some(Poll::Ready);
        }
        if self.flow != Flow::None {
            return self.unwind(sys);
        }
        if self.takes_traps() && self.run_trap(sys) {
            return None;
        }
        let Some(frame) = self.frames.pop() else {
            self.flow = Flow::Exit;
            return None;
        };
        self.frame(frame, sys)
    }

    fn frame(&mut self, frame: Frame, sys: &mut Sys<'_>) -> Option<Poll> {
        match frame {
            Frame::Run(command) => return self.run(&command, sys),
            Frame::List { command, next } => self.list(&command, next, sys),
            Frame::AndOr { command, next } => self.and_or(&command, next),
            Frame::If { command, arm } => self.if_arm(&command, arm),
            Frame::While { command, testing, status } => self.while_loop(&command, testing, status),
            Frame::For { command, words, next } => self.for_loop(&command, &words, next),
            Frame::Expand { command, answers } => return self.expand(&command, answers, sys),
            Frame::Substitution { fd, pid, data, ended } => return self.substitution(fd, pid, data, ended, sys),
            Frame::Wait { pids, statuses, not, foreground } => return self.wait_children(pids, statuses, not, foreground, sys),
            Frame::Not => self.status = (self.status == 0) as i32,
            Frame::Guarded => self.guards -= 1,
            Frame::Restore(saved) => self.restore(saved, sys),
            Frame::RestoreVars(saved) => self.restore_vars(saved),
            Frame::Call { params, locals, depth } => self.end_call(params, locals, depth),
            Frame::Source(source) => return self.source(source, sys),
            Frame::TrapEnd(status) => self.status = status,
            Frame::Builtin(state) => return self.continue_builtin(*state, sys),
            Frame::Interactive => return self.interactive(sys),
        }
        None
    }

    /// Takes one frame away on behalf of `break`, `return`, `exit` or ^C.
    fn unwind(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        let Some(frame) = self.frames.pop() else {
            if self.flow != Flow::Exit {
                self.flow = Flow::Exit;
            }
            return self.end(sys);
        };
        match frame {
            Frame::While { command, .. } => self.unwind_loop(Frame::While { command, testing: false, status: 0 }),
            Frame::For { command, words, next } => self.unwind_loop(Frame::For { command, words, next }),
            Frame::Guarded => self.guards -= 1,
            Frame::Restore(saved) => self.restore(saved, sys),
            Frame::RestoreVars(saved) => self.restore_vars(saved),
            Frame::Call { params, locals, depth } => {
                self.end_call(params, locals, depth);
                if matches!(self.flow, Flow::Return | Flow::Break(_) | Flow::Continue(_)) {
                    self.flow = Flow::None;
                }
            }
            Frame::Source(source) if self.flow == Flow::Return && source.kind == SourceKind::Dot => self.flow = Flow::None,
            Frame::Source(source) if source.kind == SourceKind::Stdin && self.flow == Flow::Return => {
                self.flow = Flow::None;
                self.frames.push(Frame::Source(source));
            }
            Frame::Interactive if self.flow != Flow::Exit => {
                self.flow = Flow::None;
                self.loops = 0;
                self.frames.push(Frame::Interactive);
            }
            Frame::Substitution { fd, .. } => {
                let _ = sys.close(fd);
            }
            Frame::Builtin(state) => state.abandon(sys),
            _ => {}
        }
        None
    }

    fn unwind_loop(&mut self, frame: Frame) {
        match self.flow {
            Flow::Break(n) => {
                self.loops -= 1;
                self.flow = if n > 1 { Flow::Break(n - 1) } else { Flow::None };
            }
            Flow::Continue(n) if n > 1 => {
                self.loops -= 1;
                self.flow = Flow::Continue(n - 1);
            }
            Flow::Continue(_) => {
                self.flow = Flow::None;
                self.frames.push(frame);
            }
            _ => self.loops -= 1,
        }
    }

    fn end_call(&mut self, params: Rc<Vec<Text>>, locals: Map<Text, Option<Var>>, depth: u32) {
        self.params = params;
        self.loops = depth;
        self.calls -= 1;
        for (name, old) in locals {
            self.put_back(&name, old);
        }
    }

    /// Everything is done: the EXIT trap, then the end.
    fn end(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        if let Some(action) = self.traps.get(&Signal(0)).cloned()
            && !self.exit_trap_ran
        {
            self.exit_trap_ran = true;
            self.flow = Flow::None;
            self.guards += 1;
            self.push(Frame::TrapEnd(self.status));
            self.push(Frame::Source(Source { text: action, pos: 0, kind: SourceKind::Eval, line: 0 }));
            return None;
        }
        if !self.out.is_empty() {
            return match self.out.flush(sys) {
                Ok(false) => Some(Poll::Pending),
                _ => None,
            };
        }
        Some(Poll::Exit(self.status))
    }
}

impl Program for Shell {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            self.start(sys);
        }
        if let Some(name) = self.exec_name.take()
            && let Some(error) = sys.exec_error()
        {
            self.exec_failed(&name, error, sys);
        }
        loop {
            sys.charge(1);
            if let Some(poll) = self.step(sys) {
                return poll;
            }
            if sys.charged() > SLICE {
                return Poll::Ready;
            }
        }
    }
}

impl Shell {
    fn exec_failed(&mut self, name: &str, error: Errno, sys: &mut Sys<'_>) {
        let status = self.not_found(name, error, sys);
        self.abort(status);
        // Whoever called `exec` at a prompt gets the prompt back; a script ends.
        self.finish(status);
    }
}
