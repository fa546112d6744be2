//! `kubectl` v1.37: the command that people type, as a value.
//!
//! Nothing here blocks, reads a file or opens a connection. A running command is a [`Kubectl`]: it is handed what happened
//! ([`Input`]) and says what it wants next ([`Ask`]). The same code therefore runs on the simulated laptop, in a container, and
//! natively over HTTP, and a cluster with a half-finished `kubectl apply` in it can be cloned, saved and rewound.
//!
//! Where to read next: `ctx.rs` says how a command is written straight through and resumed by replay; `grammar.txt` is the command
//! tree; `cmd/` holds a file per verb, `describe/` one per kind, `printers/` the output formats.
//!
//! Left out, by name when asked for: plugins, `proxy`, shell completion scripts, `kuberc`, exec and auth-provider credentials,
//! kustomize's remote resources, Helm and plugins, go-template functions beyond those of `printers/gotemplate.rs`.

pub mod base64;
mod builder;
mod cmd;
mod complete;
mod config;
mod ctx;
mod describe;
mod docs;
mod error;
mod grammar;
mod help;
mod identity;
mod mapper;
mod merge;
mod printers;
mod sha;
mod unified;

use std::net::IpAddr;
use std::rc::Rc;

use apimachinery::{Credential, Request, Response, WatchEvent};
use base::{Duration, Time};

pub use complete::Completion;
pub use identity::user_of_certificate;

use ctx::{Answer, Ctx, Next, Slot, Stage, State, Stop};

/// What surrounds the process: the environment variables that kubectl reads and what its streams are.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// `$HOME`: `~/.kube/config` and the discovery cache are below it.
    pub home: String,
    /// Environment variables (`KUBECONFIG`, `KUBE_EDITOR`, `EDITOR`, `KUBECTL_APPLYSET`, `KUBERNETES_SERVICE_HOST` …).
    pub vars: Vec<(String, String)>,
    /// Width of the terminal, 0 if unknown.
    pub columns: usize,
    pub stdin_tty: bool,
    pub stdout_tty: bool,
    /// What the connection proves when the kubeconfig's user has a client certificate that cannot be read here.
    pub credential: Credential,
}

impl Env {
    /// The value of an environment variable; `None` if unset or empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.iter().find(|(k, v)| k == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }
}

/// Identifies what was asked, unique within one command.
pub type AskId = u32;

/// What a running command asks of its surroundings.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Answered by `Input::Response`; watches and byte streams go on with `WatchEvent`/`StreamFrame` of the same id.
    Request {
        id: AskId,
        request: Box<Request>,
        /// `https://host:port` of the kubeconfig's cluster.
        server: Rc<str>,
    },
    /// Closes the watch or byte stream of a request.
    CancelStream(AskId),
    /// Bytes for the other side of an exec or attach stream.
    StreamInput {
        id: AskId,
        frame: StreamInput,
    },
    /// Answered by `Input::FileContent`. Paths are as typed: relative ones are the working directory's.
    ReadFile {
        id: AskId,
        path: String,
    },
    /// Answered by `Input::DirEntries`; asked of a path that may be a file.
    ListDir {
        id: AskId,
        path: String,
    },
    /// Answered by `Input::Written`. Missing parent directories are made.
    WriteFile {
        id: AskId,
        path: String,
        bytes: Rc<[u8]>,
    },
    /// From now on standard input arrives as `Input::Stdin` and `Input::StdinEof`.
    ReadStdin,
    Stdout(Rc<[u8]>),
    Stderr(Rc<[u8]>),
    /// Answered by `Input::TimerFired` after that much time.
    Timer {
        id: AskId,
        after: Duration,
    },
    /// Listens on a local TCP port (0: a free one). Answered by `Input::Listening`; from then on each connection is told
    /// (`Input::Accepted`) and gets a stream of its own by `request`, between which and the connection bytes go both ways.
    Forward {
        id: AskId,
        ip: IpAddr,
        port: u16,
        request: Box<Request>,
        server: Rc<str>,
    },
    /// Opens `text` in an editor (`editor` is `KUBE_EDITOR`/`EDITOR` if set: a shell command that takes the file's name).
    /// Answered by `Input::Edited`.
    Edit {
        id: AskId,
        editor: Option<String>,
        name: String,
        text: String,
    },
    /// Puts the terminal in raw mode (`exec -t`, `attach -t`) or back.
    RawTerminal(bool),
    /// The command is over. Nothing is asked after this.
    Exit(i32),
}

/// What the user sends down an exec or attach stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamInput {
    Stdin(Rc<[u8]>),
    StdinEof,
    Resize { columns: u16, rows: u16 },
}

/// What came back on an exec, attach or log stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamFrame {
    Stdout(Rc<[u8]>),
    Stderr(Rc<[u8]>),
    /// The command's exit status; the last frame of an exec.
    ExitStatus(i32),
    /// The stream failed, with the text of the Status that came over it.
    Error(Rc<str>),
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
}

/// Why a file could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    NotFound,
    IsDirectory,
    /// Asked to list what is a file.
    NotADirectory,
    Permission,
}

/// What happened since the last step.
#[derive(Clone, Debug)]
pub enum Input {
    Start,
    Response {
        id: AskId,
        response: Response,
    },
    /// The server could not be reached; the text is that of the transport (`dial tcp …: connect: connection refused`).
    Unreachable {
        id: AskId,
        server: String,
        error: String,
    },
    WatchEvent {
        id: AskId,
        event: WatchEvent,
    },
    StreamFrame {
        id: AskId,
        frame: StreamFrame,
    },
    /// A watch or byte stream ended from the other side.
    StreamEnd {
        id: AskId,
    },
    FileContent {
        id: AskId,
        result: Result<Rc<[u8]>, FileError>,
    },
    DirEntries {
        id: AskId,
        result: Result<Vec<DirEntry>, FileError>,
    },
    Written {
        id: AskId,
        result: Result<(), FileError>,
    },
    /// The port that is listened on, or why there is none: `bind: address already in use`.
    Listening {
        id: AskId,
        result: Result<u16, String>,
    },
    /// Somebody has connected to a forwarded port.
    Accepted {
        id: AskId,
    },
    /// What a connection wanted could not be reached.
    ForwardFailed {
        id: AskId,
        error: String,
    },
    Stdin(Rc<[u8]>),
    StdinEof,
    TimerFired(AskId),
    /// The editor is closed: the text, `None` if it was cancelled, `Err` if the editor failed.
    Edited {
        id: AskId,
        result: Result<Option<String>, ()>,
    },
    /// Ctrl-C.
    Interrupt,
    /// The terminal's size changed.
    Resize {
        columns: u16,
        rows: u16,
    },
}

/// A running command.
#[derive(Clone)]
pub struct Kubectl {
    state: State,
    stage: Rc<dyn Stage>,
    slots: Vec<Slot>,
    finished: bool,
}

impl Kubectl {
    /// `argv` begins with the program's name.
    pub fn new(argv: Vec<String>, env: Env) -> Kubectl {
        let start = cmd::start(argv.get(1..).unwrap_or(&[]).to_vec());
        Kubectl { state: State::new(env), stage: start, slots: Vec::new(), finished: false }
    }

    /// Candidates for the last of `words` (`words[0]` is `kubectl`), printed one a line by a command that runs like any other.
    pub fn complete(words: Vec<String>, env: Env) -> Kubectl {
        Kubectl { state: State::new(env), stage: complete::start(words), slots: Vec::new(), finished: false }
    }

    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Runs as far as it can with the inputs so far and appends what it asks for next.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Vec<Ask>) {
        if self.finished {
            return;
        }
        if let Some(code) = self.accept(input, out) {
            return self.exit(code, out);
        }
        loop {
            let stage = self.stage.clone();
            let mut ctx = Ctx::new(&mut self.state, &mut self.slots, now, out);
            match stage.run(&mut ctx) {
                Ok(Next::Then(next)) => {
                    self.stage = next;
                    self.slots.clear();
                }
                Ok(Next::Exit(code)) => return self.exit(code, out),
                Err(Stop::Suspend) => return,
                Err(Stop::Err(error)) => {
                    let (text, code) = error.report();
                    self.state.flush(out);
                    if !text.is_empty() {
                        out.push(Ask::Stderr(text.into_bytes().into()));
                    }
                    return self.exit(code, out);
                }
            }
        }
    }

    fn exit(&mut self, code: i32, out: &mut Vec<Ask>) {
        self.finished = true;
        out.extend(self.state.open_streams.iter().map(|id| Ask::CancelStream(*id)));
        self.state.flush(out);
        out.push(Ask::Exit(code));
    }

    /// Puts an input where it was asked for. Returns an exit status if it ends the command.
    fn accept(&mut self, input: Input, out: &mut Vec<Ask>) -> Option<i32> {
        use ctx::Event;
        let (id, answer) = match input {
            Input::Start => return None,
            Input::Interrupt => {
                self.state.flush(out);
                return Some(130);
            }
            Input::Response { id, response } => (id, Answer::Response(Rc::new(response))),
            Input::Unreachable { id, server, error } => (id, Answer::Unreachable(server.into(), error.into())),
            Input::FileContent { id, result } => (id, Answer::File(result)),
            Input::DirEntries { id, result } => (id, Answer::Dir(result.map(Rc::from))),
            Input::Written { id, result } => (id, Answer::Written(result)),
            Input::Edited { id, result } => (id, Answer::Edited(result.map(|text| text.map(Rc::from)))),
            Input::WatchEvent { id, event } => return self.happened(id, Event::Watch(event)),
            Input::StreamFrame { id, frame } => return self.happened(id, Event::Frame(frame)),
            Input::StreamEnd { id } => return self.happened(id, Event::End),
            Input::Listening { id, result } => (id, Answer::Listening(result)),
            Input::Accepted { id } => return self.happened(id, Event::Accepted),
            Input::ForwardFailed { id, error } => return self.happened(id, Event::ForwardFailed(error.into())),
            Input::TimerFired(id) => return self.happened(id, Event::Timer),
            Input::Stdin(bytes) => return self.happened(0, Event::Stdin(bytes)),
            Input::StdinEof => return self.happened(0, Event::StdinEof),
            Input::Resize { columns, rows } => return self.happened(0, Event::Resize(columns, rows)),
        };
        if let Some(slot) = self.slots.iter_mut().find(|slot| matches!(slot, Slot::Waiting(n) if *n == id)) {
            *slot = Slot::Answer(answer);
        }
        None
    }

    fn happened(&mut self, id: AskId, event: ctx::Event) -> Option<i32> {
        if matches!(event, ctx::Event::End) {
            self.state.open_streams.retain(|open| *open != id);
        }
        match self.slots.iter_mut().find(|slot| matches!(slot, Slot::WaitingEvent)) {
            Some(slot) => *slot = Slot::Answer(Answer::Event(id, event)),
            None => self.state.events.push_back((id, event)),
        }
        None
    }
}
