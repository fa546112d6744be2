//! `crictl`: what the node's container runtime runs, asked over its socket; it works when kube-apiserver does not.
//!
//! `ps`, `pods`, `images`, `inspect`, `inspectp`, `logs`, `exec`, `version`, with the flags that filter. Left out by name:
//! what changes containers, `stats`, `logs -f`, other output formats.

use std::rc::Rc;

use apimachinery::{Request, ResponseBody};
use cri_api::machine::{Sys, TtyMode};
use cri_api::{ApiCall, ApiEvent, CallId, Errno, Poll, Program};

const SOCKET: &str = "unix:///run/containerd/containerd.sock";

#[derive(Clone)]
struct Crictl {
    call: Option<CallId>,
    output: Vec<(u32, Rc<[u8]>)>,
    exit: Option<i32>,
    /// `exec -i`: standard input is sent along until it ends.
    sends_input: bool,
    wants_terminal: bool,
    cooked: Option<TtyMode>,
    status: i32,
}

/// The constructor for the program table.
pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Crictl {
        call: None,
        output: Vec::new(),
        exit: None,
        sends_input: false,
        wants_terminal: false,
        cooked: None,
        status: 0,
    })
}

impl Program for Crictl {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        loop {
            if !self.flush(sys) {
                return Poll::Pending;
            }
            if let Some(code) = self.exit {
                if let Some(mode) = self.cooked.take() {
                    let _ = sys.set_tty_mode(0, mode);
                }
                return Poll::Exit(code);
            }
            let Some(call) = self.call else {
                self.begin(sys);
                continue;
            };
            self.send_input(sys, call);
            match sys.api_event(call) {
                Err(Errno::EAGAIN) => return Poll::Pending,
                Ok(event) => self.answered(sys, &event),
                Err(_) => self.end(2, &fatal("connection to the runtime was closed"), 1),
            }
        }
    }
}

impl Crictl {
    fn begin(&mut self, sys: &mut Sys<'_>) {
        let args: Vec<String> = sys.argv().iter().skip(1).map(|a| a.to_string()).collect();
        let request = match parse(&args) {
            Ok(request) => request,
            Err(Stop::Says(text)) => return self.end(1, &text, 0),
            Err(Stop::Refuses(text)) => return self.end(2, &fatal(&text), 1),
        };
        self.sends_input = request.options.query("stdin") == Some("true");
        self.wants_terminal = request.options.query("tty") == Some("true");
        self.call = Some(sys.api(ApiCall { server: SOCKET.into(), request: Rc::new(request) }));
    }

    fn flush(&mut self, sys: &mut Sys<'_>) -> bool {
        while let Some((fd, bytes)) = self.output.first().cloned() {
            match sys.write(fd as _, &bytes) {
                Ok(n) if n < bytes.len() => self.output[0].1 = bytes[n..].into(),
                Ok(_) => drop(self.output.remove(0)),
                Err(Errno::EAGAIN) => return false,
                Err(_) => {
                    self.output.clear();
                    self.exit = Some(1);
                }
            }
        }
        true
    }

    fn end(&mut self, fd: u32, text: &str, code: i32) {
        self.output.push((fd, text.as_bytes().into()));
        self.exit = Some(code);
    }

    fn send_input(&mut self, sys: &mut Sys<'_>, call: CallId) {
        while self.sends_input {
            match sys.read(0, 32 * 1024) {
                Ok(bytes) if bytes.is_empty() => {
                    self.sends_input = false;
                    sys.api_send(call, 255, &[0]);
                }
                Ok(bytes) => sys.api_send(call, 0, &bytes),
                Err(Errno::EAGAIN) => return,
                Err(_) => self.sends_input = false,
            }
        }
    }

    fn answered(&mut self, sys: &mut Sys<'_>, event: &ApiEvent) {
        match event {
            ApiEvent::Response(response) => match &response.body {
                ResponseBody::Text(_, text) if response.is_success() => self.end(1, text, 0),
                ResponseBody::Text(_, text) => self.end(2, &fatal(text), 1),
                ResponseBody::StreamStarted => {
                    if self.wants_terminal && sys.is_tty(0) {
                        self.cooked = sys.tty_mode(0).ok();
                        let _ = sys.set_tty_mode(0, TtyMode::RAW);
                    }
                }
                _ => self.end(2, &fatal("unexpected answer of the runtime"), 1),
            },
            ApiEvent::Frame { channel: 3, data } => self.status = exit_code(data),
            ApiEvent::Frame { channel, data } => self.output.push((if *channel == 2 { 2 } else { 1 }, data.clone())),
            ApiEvent::Closed if self.status != 0 => {
                let text = format!("execing command in container: command terminated with exit code {}", self.status);
                self.end(2, &fatal(&text), 1);
            }
            ApiEvent::Closed => self.exit = Some(0),
            ApiEvent::Failed(text) => self.end(2, &fatal(&format!("execing command in container: {text}")), 1),
            ApiEvent::Watch(_) => {}
        }
    }
}

/// The code in the Status that ends an exec.
fn exit_code(status: &[u8]) -> i32 {
    let status = apimachinery::json::parse(status).unwrap_or_default();
    if status.str_at(&["status"]) == Some("Success") {
        return 0;
    }
    let causes = status.list_at(&["details", "causes"]);
    causes.iter().find_map(|c| c.str_at(&["message"])?.parse().ok()).unwrap_or(1)
}

fn fatal(text: &str) -> String {
    format!("FATA[0000] {text}\n")
}

enum Stop {
    Says(String),
    Refuses(String),
}

const USAGE: &str = "Usage: crictl ps [-a] [-q] [--name N] [--state S] [-p POD-ID] | pods [-q] [--name N] [--namespace N] [--state S] | images [-q] | inspect ID | inspectp POD-ID | logs [--tail N] [-t] ID | exec [-i] [-t] ID COMMAND… | version\n";

/// What a command takes: flags with the parameter that they set (a colon: with a value), and the parameter of its operand.
const COMMANDS: &[(&str, &str, &[(&str, &str)], &str)] = &[
    (
        "ps",
        "RuntimeService/ListContainers",
        &[
            ("-a", "all"),
            ("--all", "all"),
            ("-q", "quiet"),
            ("--quiet", "quiet"),
            ("--name", "name:"),
            ("--state", "state:"),
            ("-s", "state:"),
            ("-p", "pod:"),
            ("--pod", "pod:"),
        ],
        "",
    ),
    (
        "pods",
        "RuntimeService/ListPodSandbox",
        &[
            ("-q", "quiet"),
            ("--quiet", "quiet"),
            ("--name", "name:"),
            ("--namespace", "namespace:"),
            ("--state", "state:"),
            ("-s", "state:"),
        ],
        "",
    ),
    ("images", "ImageService/ListImages", &[("-q", "quiet"), ("--quiet", "quiet")], ""),
    ("inspect", "RuntimeService/ContainerStatus", &[], "id"),
    ("inspectp", "RuntimeService/PodSandboxStatus", &[], "id"),
    ("logs", "RuntimeService/ContainerLogs", &[("--tail", "tail:"), ("-t", "timestamps"), ("--timestamps", "timestamps")], "id"),
    (
        "exec",
        "RuntimeService/Exec",
        &[("-i", "stdin"), ("--interactive", "stdin"), ("-t", "tty"), ("--tty", "tty"), ("-s", "sync"), ("--sync", "sync")],
        "id",
    ),
];

fn parse(args: &[String]) -> Result<Request, Stop> {
    let refuse = |text: String| Err(Stop::Refuses(text));
    let Some((command, rest)) = args.split_first() else { return Err(Stop::Says(USAGE.into())) };
    let command = if matches!(command.as_str(), "image" | "img") { "images" } else { command };
    match command {
        "version" => {
            let text = "Version:  0.1.0\nRuntimeName:  containerd\nRuntimeVersion:  2.4.2\nRuntimeApiVersion:  v1\n";
            return Err(Stop::Says(text.into()));
        }
        "help" | "-h" | "--help" => return Err(Stop::Says(USAGE.into())),
        _ => {}
    }
    let Some((_, path, flags, operand)) = COMMANDS.iter().find(|c| c.0 == command) else {
        return refuse(format!("crictl {command} is not in this bottle"));
    };
    let mut query: Vec<(Rc<str>, Rc<str>)> = Vec::new();
    let mut words = expand(command, rest).into_iter();
    while let Some(word) = words.next() {
        let (name, inline) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v.to_string())));
        match flags.iter().find(|(flag, _)| *flag == name) {
            Some((_, parameter)) => match parameter.strip_suffix(':') {
                Some(parameter) => match inline.or_else(|| words.next()) {
                    Some(value) => query.push((parameter.into(), value.into())),
                    None => return refuse(format!("flag needs an argument: {name}")),
                },
                None => query.push(((*parameter).into(), "true".into())),
            },
            None if word.starts_with('-') => return refuse(format!("crictl {command}: flag {word} is not in this bottle")),
            None if operand.is_empty() => return refuse(format!("crictl {command}: the filter {word} is not in this bottle")),
            None => {
                query.push(((*operand).into(), word.into()));
                if command == "exec" {
                    query.extend(words.by_ref().map(|w| ("cmd".into(), w.into())));
                }
            }
        }
    }
    let has = |name: &str| query.iter().any(|(k, _)| &**k == name);
    if !operand.is_empty() && !has(operand) {
        return refuse("ID cannot be empty".into());
    }
    if command == "exec" && !has("cmd") {
        return refuse("execing command in container: command cannot be empty".into());
    }
    let mut request = Request::get_path(&format!("/runtime.v1.{path}"));
    request.options.query = query;
    Ok(request)
}

/// `-it` is `-i -t`, in front of the container's name.
fn expand(command: &str, args: &[String]) -> Vec<String> {
    let flags = args.iter().take_while(|a| a.starts_with('-')).count();
    let mut words = Vec::new();
    for (i, word) in args.iter().enumerate() {
        match word.strip_prefix('-').filter(|w| command == "exec" && i < flags && w.len() > 1 && !w.starts_with('-')) {
            Some(letters) => words.extend(letters.chars().map(|c| format!("-{c}"))),
            None => words.push(word.clone()),
        }
    }
    words
}
