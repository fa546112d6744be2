//! How a command is written: straight through, resumable by replay.
//!
//! A command is a chain of [`Stage`]s. A stage is ordinary code over a [`Ctx`]; whatever it asks of the outside (a request, a file, a
//! line of output) is an *effect*, and effects are numbered in the order the code reaches them. Reaching one for the first time
//! emits it; if it has an answer the stage stops there with `Stop::Suspend`. When the answer has come the stage is run again from
//! its top: effects before that point return what they returned before and emit nothing.
//!
//! So a stage must be a function of its own (immutable) data and the answers. A loop over many objects is a chain of stages, one per
//! object ([`each`]), so that ten thousand documents cost ten thousand short replays and not one quadratic one. What is cached
//! across stages (kubeconfig, discovery) goes through a numbered effect as well.

mod requests;
mod stage;
mod streams;
mod url;

use std::collections::VecDeque;
use std::rc::Rc;

use apimachinery::{Body, Object, Response, Value, WatchEvent};
use base::Time;

use crate::config::Config;
use crate::error::Error;
use crate::grammar::Flags;
use crate::mapper::Discovery;
use crate::{Ask, AskId, DirEntry, Env, FileError, StreamFrame};

pub(crate) use requests::list_of;
pub(crate) use stage::{Next, Res, Stage, Stop, done, each, fail, then};

/// What happened on a stream, a timer or standard input.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Watch(WatchEvent),
    Frame(StreamFrame),
    End,
    Timer,
    /// Somebody has connected to a forwarded port, or it led nowhere.
    Accepted,
    ForwardFailed(Rc<str>),
    Stdin(Rc<[u8]>),
    StdinEof,
    Resize(u16, u16),
}

#[derive(Clone)]
pub(crate) enum Answer {
    Response(Rc<Response>),
    Unreachable(Rc<str>, Rc<str>),
    File(Result<Rc<[u8]>, FileError>),
    Dir(Result<Rc<[DirEntry]>, FileError>),
    Written(Result<(), FileError>),
    Edited(Result<Option<Rc<str>>, ()>),
    Listening(Result<u16, String>),
    Event(AskId, Event),
    Config(Rc<Config>),
    Discovery(Rc<Discovery>),
    Id(AskId),
    Nothing,
    Time(Time),
}

#[derive(Clone)]
pub(crate) enum Slot {
    Done,
    Waiting(AskId),
    WaitingEvent,
    Answer(Answer),
}

/// What lives as long as the command.
#[derive(Clone)]
pub(crate) struct State {
    pub env: Rc<Env>,
    pub flags: Rc<Flags>,
    pub config: Option<Rc<Config>>,
    pub discovery: Option<Rc<Discovery>>,
    pub events: VecDeque<(AskId, Event)>,
    pub open_streams: Vec<AskId>,
    warned: Rc<Vec<Rc<str>>>,
    stdin_open: bool,
    next_id: AskId,
    stdout: String,
}

impl State {
    pub fn new(env: Env) -> State {
        State {
            env: Rc::new(env),
            flags: Rc::default(),
            config: None,
            discovery: None,
            events: VecDeque::new(),
            open_streams: Vec::new(),
            warned: Rc::default(),
            stdin_open: false,
            next_id: 1,
            stdout: String::new(),
        }
    }

    /// Emits buffered output.
    pub fn flush(&mut self, out: &mut Vec<Ask>) {
        if !self.stdout.is_empty() {
            out.push(Ask::Stdout(std::mem::take(&mut self.stdout).into_bytes().into()));
        }
    }
}

/// What a stage sees of the outside.
pub(crate) struct Ctx<'a> {
    pub now: Time,
    pub flags: Rc<Flags>,
    pub env: Rc<Env>,
    state: &'a mut State,
    slots: &'a mut Vec<Slot>,
    out: &'a mut Vec<Ask>,
    at: usize,
}

impl<'a> Ctx<'a> {
    pub fn new(state: &'a mut State, slots: &'a mut Vec<Slot>, now: Time, out: &'a mut Vec<Ask>) -> Ctx<'a> {
        Ctx { now, flags: state.flags.clone(), env: state.env.clone(), state, slots, out, at: 0 }
    }

    /// The next effect's answer; `first` runs when it is reached for the first time.
    fn effect(&mut self, first: impl FnOnce(&mut State, &mut Vec<Ask>) -> Slot) -> Res<Answer> {
        if self.at == self.slots.len() {
            let slot = first(self.state, self.out);
            self.slots.push(slot);
        }
        self.at += 1;
        match &self.slots[self.at - 1] {
            Slot::Answer(answer) => Ok(answer.clone()),
            Slot::Done => Ok(Answer::Nothing),
            Slot::Waiting(_) | Slot::WaitingEvent => Err(Stop::Suspend),
        }
    }

    /// An effect without an answer.
    fn emit(&mut self, first: impl FnOnce(&mut State, &mut Vec<Ask>)) {
        let _ = self.effect(|state, out| {
            first(state, out);
            Slot::Done
        });
    }

    fn ask(&mut self, make: impl FnOnce(AskId) -> Ask) -> Res<Answer> {
        self.effect(|state, out| {
            let id = state.next_id;
            state.next_id += 1;
            state.flush(out);
            out.push(make(id));
            Slot::Waiting(id)
        })
    }

    pub fn set_flags(&mut self, flags: Flags) {
        self.flags = Rc::new(flags);
        self.state.flags = self.flags.clone();
    }

    /// Standard output, as it is (a newline is the caller's).
    pub fn print(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref();
        self.emit(|state, out| {
            state.stdout.push_str(text);
            if state.stdout.len() > 4096 {
                state.flush(out);
            }
        });
    }
    pub fn println(&mut self, text: impl AsRef<str>) {
        let mut line = text.as_ref().to_string();
        line.push('\n');
        self.print(line);
    }
    pub fn print_bytes(&mut self, bytes: &Rc<[u8]>) {
        self.emit(|state, out| {
            state.flush(out);
            out.push(Ask::Stdout(bytes.clone()));
        });
    }
    /// Standard error, with a newline.
    pub fn eprintln(&mut self, text: impl AsRef<str>) {
        let line = format!("{}\n", text.as_ref());
        self.eprint_bytes(&line.into_bytes().into());
    }
    pub fn eprint_bytes(&mut self, bytes: &Rc<[u8]>) {
        self.emit(|state, out| {
            state.flush(out);
            out.push(Ask::Stderr(bytes.clone()));
        });
    }
    /// `Warning: …`, each text once per command.
    pub fn warn(&mut self, text: &str) {
        let text: Rc<str> = text.into();
        self.emit(|state, out| {
            if !state.warned.contains(&text) {
                Rc::make_mut(&mut state.warned).push(text.clone());
                state.flush(out);
                out.push(Ask::Stderr(format!("Warning: {text}\n").into_bytes().into()));
            }
        });
    }

    /// Reports an error without ending the command.
    pub fn report(&mut self, error: &Error) {
        let (text, _) = error.report();
        self.eprint_bytes(&text.into_bytes().into());
    }

    // ------------------------------------------------------------ files

    pub fn read_file(&mut self, path: &str) -> Res<Result<Rc<[u8]>, FileError>> {
        match self.ask(|id| Ask::ReadFile { id, path: path.into() })? {
            Answer::File(result) => Ok(result),
            _ => Err(Stop::Suspend),
        }
    }
    pub fn list_dir(&mut self, path: &str) -> Res<Result<Rc<[DirEntry]>, FileError>> {
        match self.ask(|id| Ask::ListDir { id, path: path.into() })? {
            Answer::Dir(result) => Ok(result),
            _ => Err(Stop::Suspend),
        }
    }
    pub fn write_file(&mut self, path: &str, bytes: &[u8]) -> Res<Result<(), FileError>> {
        match self.ask(|id| Ask::WriteFile { id, path: path.into(), bytes: bytes.into() })? {
            Answer::Written(result) => Ok(result),
            _ => Err(Stop::Suspend),
        }
    }
    pub fn edit(&mut self, name: &str, text: &str) -> Res<Result<Option<Rc<str>>, ()>> {
        let editor = self.env.var("KUBE_EDITOR").or_else(|| self.env.var("EDITOR")).map(String::from);
        match self.ask(|id| Ask::Edit { id, editor, name: name.into(), text: text.into() })? {
            Answer::Edited(result) => Ok(result),
            _ => Err(Stop::Suspend),
        }
    }
    /// All of standard input.
    pub fn read_stdin(&mut self) -> Res<Vec<u8>> {
        self.open_stdin();
        let mut all = Vec::new();
        loop {
            match self.next_event()? {
                (_, Event::Stdin(bytes)) => all.extend_from_slice(&bytes),
                (_, Event::StdinEof) => return Ok(all),
                _ => {}
            }
        }
    }
    pub fn open_stdin(&mut self) {
        self.emit(|state, out| {
            if !state.stdin_open {
                state.stdin_open = true;
                state.flush(out);
                out.push(Ask::ReadStdin);
            }
        });
    }
}

/// A request body from a tree.
pub(crate) fn body(value: Value) -> Body {
    Object::from_value(value).map_or(Body::None, Body::Object)
}
