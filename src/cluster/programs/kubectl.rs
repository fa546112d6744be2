//! kubectl as a program: what the command asks for becomes system calls of its process.

use std::rc::Rc;

use apimachinery::Credential;
use base::{Duration, Time};
use cri_api::machine::{Sys, TtyMode, WaitFor};
use cri_api::program::{Fd, Pid, Spawn};
use cri_api::{ApiCall, ApiEvent, CallId, Disposition, Errno, Poll, Program, Signal};
use kubectl::{Ask, AskId, DirEntry, Env, FileError, Input, Kubectl, StreamFrame, StreamInput};

use super::forward::Forwards;
use crate::laptop;

/// How often a request without a seat is made again, and after what time: the server's `Retry-After` is always this.
const MAX_RETRIES: u32 = 10;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A kubectl process.
#[derive(Clone)]
pub struct KubectlProgram {
    command: Option<Kubectl>,
    inputs: Vec<Input>,
    calls: Vec<(AskId, CallId)>,
    /// What was asked by the calls under way, and how often it was put off.
    asked: Vec<(AskId, ApiCall, u32)>,
    /// What is asked again, and when.
    again: Vec<(AskId, Time)>,
    timers: Vec<(AskId, Time)>,
    edits: Vec<(AskId, CallId)>,
    forwards: Forwards,
    /// An editor that runs as a child (`KUBE_EDITOR`), with the file it edits.
    editor: Option<(AskId, Pid, String)>,
    /// What is still to be written: descriptor and bytes.
    output: Vec<(Fd, Rc<[u8]>)>,
    reads_stdin: bool,
    cooked: Option<TtyMode>,
    exit: Option<i32>,
}

/// The constructor for the program table.
pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(KubectlProgram {
        command: None,
        inputs: Vec::new(),
        calls: Vec::new(),
        asked: Vec::new(),
        again: Vec::new(),
        timers: Vec::new(),
        edits: Vec::new(),
        forwards: Forwards::default(),
        editor: None,
        output: Vec::new(),
        reads_stdin: false,
        cooked: None,
        exit: None,
    })
}

impl Program for KubectlProgram {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if self.command.is_none() {
            self.begin(sys);
        }
        // A bounded number of steps at a time: ten thousand documents must not hold up the machine.
        for _ in 0..64 {
            if !self.flush(sys) {
                return Poll::Pending;
            }
            if let Some(code) = self.exit {
                if let Some(mode) = self.cooked.take() {
                    let _ = sys.set_tty_mode(0, mode);
                }
                return Poll::Exit(code);
            }
            self.gather(sys);
            if self.inputs.is_empty() {
                return self.rest(sys);
            }
            for input in std::mem::take(&mut self.inputs) {
                sys.charge(2);
                let mut asks = Vec::new();
                if let Some(command) = &mut self.command {
                    command.step(sys.now(), input, &mut asks);
                }
                for ask in asks {
                    self.carry_out(sys, ask);
                }
            }
        }
        Poll::Ready
    }
}

impl KubectlProgram {
    fn begin(&mut self, sys: &mut Sys<'_>) {
        sys.on_signal(Signal::INT, Disposition::Catch);
        sys.on_signal(Signal::WINCH, Disposition::Catch);
        let argv: Vec<String> = sys.argv().iter().map(|a| a.to_string()).collect();
        let columns = sys.tty_size(1).map_or(0, |(c, _)| c as usize);
        let env = Env {
            home: sys.var("HOME").map_or_else(|| "/root".into(), |h| h.to_string()),
            vars: sys.env().iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            columns,
            stdin_tty: sys.is_tty(0),
            stdout_tty: sys.is_tty(1),
            credential: if &*sys.config().hostname == "laptop" { laptop::administrator() } else { Credential::Anonymous },
        };
        let completes = argv.get(1).is_some_and(|a| a == "__complete");
        self.command = Some(match completes {
            true => {
                let words = std::iter::once(argv[0].clone()).chain(argv[2..].iter().cloned()).collect();
                Kubectl::complete(words, env)
            }
            false => Kubectl::new(argv, env),
        });
        self.inputs.push(Input::Start);
    }

    /// Writes what there is to write. False: the reader is slow, or gone.
    fn flush(&mut self, sys: &mut Sys<'_>) -> bool {
        while let Some((fd, bytes)) = self.output.first().cloned() {
            match sys.write(fd, &bytes) {
                Ok(n) if n >= bytes.len() => {
                    self.output.remove(0);
                }
                Ok(n) => self.output[0].1 = bytes[n..].into(),
                Err(Errno::EAGAIN) => return false,
                Err(_) => {
                    self.output.clear();
                    self.exit.get_or_insert(1);
                }
            }
        }
        true
    }

    /// Collects what has happened.
    fn gather(&mut self, sys: &mut Sys<'_>) {
        while let Some(signal) = sys.take_signal() {
            match signal {
                Signal::INT => self.inputs.push(Input::Interrupt),
                _ => {
                    if let Ok((columns, rows)) = sys.tty_size(1) {
                        self.inputs.push(Input::Resize { columns, rows });
                    }
                }
            }
        }
        self.ask_again(sys);
        self.gather_calls(sys);
        let now = sys.now();
        let inputs = &mut self.inputs;
        self.timers.retain(|(id, at)| {
            let due = *at <= now;
            if due {
                inputs.push(Input::TimerFired(*id));
            }
            !due
        });
        self.edits.retain(|(id, call)| match sys.edited(*call) {
            Err(Errno::EAGAIN) => true,
            Ok(text) => {
                inputs.push(Input::Edited { id: *id, result: Ok(text.map(|t| t.to_string())) });
                false
            }
            Err(_) => {
                inputs.push(Input::Edited { id: *id, result: Err(()) });
                false
            }
        });
        self.gather_editor(sys);
        self.forwards.poll(sys, &mut self.inputs);
        if self.reads_stdin {
            match sys.read(0, 64 * 1024) {
                Ok(bytes) if bytes.is_empty() => {
                    self.reads_stdin = false;
                    self.inputs.push(Input::StdinEof);
                }
                Ok(bytes) => self.inputs.push(Input::Stdin(bytes.into())),
                Err(Errno::EAGAIN) => {}
                Err(_) => {
                    self.reads_stdin = false;
                    self.inputs.push(Input::StdinEof);
                }
            }
        }
    }

    fn gather_calls(&mut self, sys: &mut Sys<'_>) {
        let mut over = Vec::new();
        for (id, call) in self.calls.clone() {
            loop {
                match sys.api_event(call) {
                    Ok(event) => {
                        if event.is_last() {
                            over.push(call);
                        }
                        if self.put_off(id, &event, sys.now()) {
                            break;
                        }
                        let server = self.asked.iter().find(|(i, ..)| *i == id).map(|(_, a, _)| a.server.to_string());
                        self.inputs.extend(input_of(id, event, server.unwrap_or_default()));
                    }
                    Err(Errno::EAGAIN) => break,
                    Err(_) => {
                        over.push(call);
                        break;
                    }
                }
            }
        }
        self.calls.retain(|(_, call)| !over.contains(call));
        let (calls, again) = (&self.calls, &self.again);
        self.asked.retain(|(id, ..)| calls.iter().any(|(i, _)| i == id) || again.iter().any(|(i, _)| i == id));
    }

    /// Whether the server has no seat for a request: it is asked again when `Retry-After` says. Models `rest.withRetry`.
    fn put_off(&mut self, id: AskId, event: &ApiEvent, now: Time) -> bool {
        let ApiEvent::Response(response) = event else { return false };
        // Flow control answers by a text; a Status of this code is a decision (an eviction), and the command's to read.
        if response.code != 429 || !matches!(response.body, apimachinery::ResponseBody::Text(..)) {
            return false;
        }
        let Some((.., tries)) = self.asked.iter_mut().find(|(i, ..)| *i == id).filter(|(.., n)| *n < MAX_RETRIES) else {
            return false;
        };
        *tries += 1;
        self.again.push((id, now + RETRY_AFTER));
        true
    }

    fn ask_again(&mut self, sys: &mut Sys<'_>) {
        let now = sys.now();
        let due: Vec<AskId> = self.again.iter().filter(|(_, at)| *at <= now).map(|(id, _)| *id).collect();
        self.again.retain(|(_, at)| *at > now);
        for id in due {
            if let Some((_, asked, _)) = self.asked.iter().find(|(i, ..)| *i == id) {
                let call = sys.api(asked.clone());
                self.calls.push((id, call));
            }
        }
    }

    fn gather_editor(&mut self, sys: &mut Sys<'_>) {
        let Some((id, pid, path)) = self.editor.clone() else { return };
        let Ok((_, status)) = sys.wait(WaitFor::Pid(pid)) else { return };
        self.editor = None;
        let result = match status.code() {
            0 => sys.read_file(&path).map(|d| Some(String::from_utf8_lossy(&d).into_owned())).map_err(|_| ()),
            _ => Err(()),
        };
        let _ = sys.unlink(&path);
        self.inputs.push(Input::Edited { id, result });
    }

    fn rest(&mut self, sys: &mut Sys<'_>) -> Poll {
        if let Some(at) = self.timers.iter().chain(&self.again).map(|(_, at)| *at).min()
            && sys.sleep_until(at)
        {
            return Poll::Ready;
        }
        Poll::Pending
    }

    fn carry_out(&mut self, sys: &mut Sys<'_>, ask: Ask) {
        match ask {
            Ask::Request { id, request, server } => {
                let asked = ApiCall { server, request: Rc::from(request) };
                self.calls.push((id, sys.api(asked.clone())));
                self.asked.push((id, asked, 0));
            }
            Ask::CancelStream(id) => {
                self.again.retain(|(i, _)| *i != id);
                if let Some((_, call)) = self.calls.iter().find(|(i, _)| *i == id).copied() {
                    sys.api_close(call);
                    self.calls.retain(|(i, _)| *i != id);
                }
            }
            Ask::StreamInput { id, frame } => {
                let Some((_, call)) = self.calls.iter().find(|(i, _)| *i == id).copied() else { return };
                match frame {
                    StreamInput::Stdin(bytes) => sys.api_send(call, 0, &bytes),
                    StreamInput::StdinEof => sys.api_send(call, 255, &[0]),
                    StreamInput::Resize { columns, rows } => {
                        sys.api_send(call, 4, format!("{{\"Width\":{columns},\"Height\":{rows}}}").as_bytes());
                    }
                }
            }
            Ask::ReadFile { id, path } => {
                let result = sys.read_file(&path).map(|d| Rc::from(d.as_slice())).map_err(file_error);
                self.inputs.push(Input::FileContent { id, result });
            }
            Ask::ListDir { id, path } => {
                let result = list_dir(sys, &path);
                self.inputs.push(Input::DirEntries { id, result });
            }
            Ask::WriteFile { id, path, bytes } => {
                let mut at = 0;
                while let Some(n) = path[at + 1..].find('/') {
                    at += n + 1;
                    let _ = sys.mkdir(&path[..at], 0o755);
                }
                let result = sys.write_file(&path, &bytes).map_err(file_error);
                self.inputs.push(Input::Written { id, result });
            }
            Ask::ReadStdin => self.reads_stdin = true,
            Ask::Stdout(bytes) => self.output.push((1, bytes)),
            Ask::Stderr(bytes) => self.output.push((2, bytes)),
            Ask::Timer { id, after } => self.timers.push((id, sys.now() + after)),
            Ask::Forward { id, ip, port, request, server } => {
                let call = ApiCall { server, request: Rc::from(request) };
                let listening = self.forwards.listen(sys, id, ip, port, call);
                self.inputs.push(listening);
            }
            Ask::Edit { id, editor, name, text } => self.edit(sys, id, editor, &name, &text),
            Ask::RawTerminal(true) => {
                if let Ok(mode) = sys.tty_mode(0) {
                    self.cooked = Some(mode);
                    let _ = sys.set_tty_mode(0, TtyMode::RAW);
                }
            }
            Ask::RawTerminal(false) => {
                if let Some(mode) = self.cooked.take() {
                    let _ = sys.set_tty_mode(0, mode);
                }
            }
            Ask::Exit(code) => self.exit = Some(code),
        }
    }

    fn edit(&mut self, sys: &mut Sys<'_>, id: AskId, editor: Option<String>, name: &str, text: &str) {
        let Some(editor) = editor.filter(|e| !matches!(e.as_str(), "vi" | "vim" | "nano" | "code")) else {
            let call = sys.edit(name, text);
            return self.edits.push((id, call));
        };
        let path = format!("/tmp/kubectl-edit-{}.yaml", sys.pid());
        if sys.write_file(&path, text.as_bytes()).is_err() {
            return self.inputs.push(Input::Edited { id, result: Err(()) });
        }
        match sys.spawn(Spawn::new(&["sh", "-c", &format!("{editor} {path}")])) {
            Ok(pid) => self.editor = Some((id, pid, path)),
            Err(_) => self.inputs.push(Input::Edited { id, result: Err(()) }),
        }
    }
}

fn list_dir(sys: &mut Sys<'_>, path: &str) -> Result<Vec<DirEntry>, FileError> {
    let names = sys.read_dir(path).map_err(file_error)?;
    let entry = |name: Rc<str>, sys: &mut Sys<'_>| {
        let is_dir = sys.stat(&format!("{}/{name}", path.trim_end_matches('/'))).is_ok_and(|s| s.is_dir());
        DirEntry { name: name.to_string(), is_dir }
    };
    Ok(names.into_iter().map(|n| entry(n, sys)).collect())
}

fn file_error(error: Errno) -> FileError {
    match error {
        Errno::EISDIR => FileError::IsDirectory,
        Errno::ENOTDIR => FileError::NotADirectory,
        Errno::EACCES | Errno::EPERM | Errno::EROFS => FileError::Permission,
        _ => FileError::NotFound,
    }
}

fn input_of(id: AskId, event: ApiEvent, server: String) -> Option<Input> {
    Some(match event {
        ApiEvent::Response(response) => Input::Response { id, response: (*response).clone() },
        ApiEvent::Watch(event) => Input::WatchEvent { id, event },
        ApiEvent::Closed => Input::StreamEnd { id },
        ApiEvent::Failed(text) => Input::Unreachable { id, server, error: text.to_string() },
        ApiEvent::Frame { channel, data } => {
            let frame = match channel {
                1 => StreamFrame::Stdout(data),
                2 => StreamFrame::Stderr(data),
                3 => status_frame(&data),
                _ => return None,
            };
            Input::StreamFrame { id, frame }
        }
    })
}

/// The Status that ends an exec: its exit code, or what went wrong.
fn status_frame(data: &[u8]) -> StreamFrame {
    let status = apimachinery::json::parse(data).unwrap_or_default();
    if status.str_at(&["status"]) == Some("Success") {
        return StreamFrame::ExitStatus(0);
    }
    let causes = status.list_at(&["details", "causes"]);
    let code =
        causes.iter().find(|c| c.str_at(&["reason"]) == Some("ExitCode")).and_then(|c| c.str_at(&["message"])?.parse().ok());
    match code {
        Some(code) => StreamFrame::ExitStatus(code),
        None => StreamFrame::Error(status.str_at(&["message"]).unwrap_or("stream error").into()),
    }
}
