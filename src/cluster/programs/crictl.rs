//! `crictl`: what the node's container runtime runs, asked over its socket; it works when kube-apiserver does not.
//!
//! `ps [-a]`, `pods`, `images`, `logs [--tail N] ID`, `version`. Left out by name: inspect and what changes containers.

use std::rc::Rc;

use apimachinery::{Request, ResponseBody};
use cri_api::machine::Sys;
use cri_api::{ApiCall, ApiEvent, CallId, Errno, Poll, Program};

const SOCKET: &str = "unix:///run/containerd/containerd.sock";

#[derive(Clone)]
struct Crictl {
    call: Option<CallId>,
    output: Option<(u32, Rc<[u8]>, i32)>,
}

/// The constructor for the program table.
pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Crictl { call: None, output: None })
}

impl Program for Crictl {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        loop {
            if let Some((fd, bytes, code)) = self.output.clone() {
                return match sys.write(fd as _, &bytes) {
                    Ok(n) if n < bytes.len() => {
                        self.output = Some((fd, bytes[n..].into(), code));
                        continue;
                    }
                    Err(Errno::EAGAIN) => Poll::Pending,
                    Ok(_) => Poll::Exit(code),
                    Err(_) => Poll::Exit(1),
                };
            }
            let Some(call) = self.call else {
                let args: Vec<String> = sys.argv().iter().skip(1).map(|a| a.to_string()).collect();
                match parse(&args) {
                    Ok(request) => self.call = Some(sys.api(ApiCall { server: SOCKET.into(), request: Rc::new(request) })),
                    Err(Stop::Says(text)) => self.say(1, &text, 0),
                    Err(Stop::Refuses(text)) => self.say(2, &fatal(&text), 1),
                }
                continue;
            };
            match sys.api_event(call) {
                Err(Errno::EAGAIN) => return Poll::Pending,
                Ok(ApiEvent::Response(response)) => match &response.body {
                    ResponseBody::Text(_, text) if response.is_success() => self.say(1, text, 0),
                    ResponseBody::Text(_, text) => self.say(2, &fatal(text), 1),
                    _ => self.say(2, &fatal("unexpected answer of the runtime"), 1),
                },
                Ok(ApiEvent::Failed(text)) => self.say(2, &fatal(&text), 1),
                _ => self.say(2, &fatal("connection to the runtime was closed"), 1),
            }
        }
    }
}

impl Crictl {
    fn say(&mut self, fd: u32, text: &str, code: i32) {
        self.output = Some((fd, text.as_bytes().into(), code));
    }
}

fn fatal(text: &str) -> String {
    format!("FATA[0000] {text}\n")
}

enum Stop {
    Says(String),
    Refuses(String),
}

fn parse(args: &[String]) -> Result<Request, Stop> {
    let refuse = |text: String| Err(Stop::Refuses(text));
    let Some((command, rest)) = args.split_first() else {
        return Err(Stop::Says("Usage: crictl ps [-a] | pods | images | logs [--tail N] CONTAINER-ID | version\n".into()));
    };
    let mut query = Vec::new();
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match (command.as_str(), word.as_str()) {
            ("ps", "-a" | "--all") => query.push(("all".into(), "true".into())),
            ("logs", "--tail") => match words.next().filter(|n| n.parse::<usize>().is_ok()) {
                Some(n) => query.push(("tail".into(), n.as_str().into())),
                None => return refuse("flag needs an argument: --tail".into()),
            },
            (_, flag) if flag.starts_with('-') => return refuse(format!("crictl {command}: flag {flag} is not in this bottle")),
            ("logs", id) => query.push(("id".into(), id.into())),
            (_, word) => return refuse(format!("crictl {command}: the filter {word} is not in this bottle")),
        }
    }
    let path = match command.as_str() {
        "ps" => "/runtime.v1.RuntimeService/ListContainers",
        "pods" => "/runtime.v1.RuntimeService/ListPodSandbox",
        "images" | "image" | "img" => "/runtime.v1.ImageService/ListImages",
        "logs" if !query.iter().any(|(k, _): &(Rc<str>, Rc<str>)| &**k == "id") => return refuse("ID cannot be empty".into()),
        "logs" => "/runtime.v1.RuntimeService/ContainerLogs",
        "version" => {
            let text = "Version:  0.1.0\nRuntimeName:  containerd\nRuntimeVersion:  2.4.2\nRuntimeApiVersion:  v1\n";
            return Err(Stop::Says(text.into()));
        }
        other => return refuse(format!("crictl {other} is not in this bottle")),
    };
    let mut request = Request::get_path(path);
    request.options.query = query;
    Ok(request)
}
