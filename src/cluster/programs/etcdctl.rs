//! `etcdctl`: what is under kube-apiserver, key by key.
//!
//! `get`, `watch`, `member list`, `endpoint status|health`, `version`. Values of API objects print as JSON; a real cluster has
//! protobuf there. On a node the endpoint is 127.0.0.1:2379 and needs no certificates; on the laptop it is that port of the
//! control plane, as `ETCDCTL_ENDPOINTS` would say. `watch` asks every 200 ms: only the time of printing is coarser than in a
//! real one. Left out by name: everything that writes, leases, snapshots, alarms, defrag, users.

use std::rc::Rc;

use apimachinery::{Request, ResponseBody, Value, json};
use base::{Duration, Time};
use cri_api::machine::Sys;
use cri_api::{ApiCall, ApiEvent, CallId, Errno, Poll, Program};

use super::etcdctl_print::{self as print, Format};

/// etcdctl's `--command-timeout`.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Between two questions of a watch.
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Get,
    Watch,
    MemberList,
    EndpointStatus,
    EndpointHealth,
}

/// A parsed command line.
#[derive(Clone, Debug)]
pub struct Asked {
    pub command: Command,
    pub format: Format,
    pub keys_only: bool,
    pub values_only: bool,
    pub endpoint: String,
    path: &'static str,
    query: Vec<(Rc<str>, Rc<str>)>,
}

#[derive(Clone)]
struct Etcdctl {
    asked: Option<Asked>,
    call: Option<CallId>,
    sent: Time,
    /// A watch waits until then.
    rests: Option<Time>,
    /// Where a watch goes on.
    revision: i64,
    output: Vec<(u32, Rc<[u8]>)>,
    exit: Option<i32>,
}

/// The constructor for the program table.
pub fn start(_name: &str) -> Box<dyn Program> {
    let (sent, output) = (Time::EPOCH, Vec::new());
    Box::new(Etcdctl { asked: None, call: None, sent, rests: None, revision: 0, output, exit: None })
}

impl Program for Etcdctl {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        loop {
            if !self.flush(sys) {
                return Poll::Pending;
            }
            if let Some(code) = self.exit {
                return Poll::Exit(code);
            }
            if let Some(at) = self.rests {
                if !sys.sleep_until(at) {
                    return Poll::Pending;
                }
                self.rests = None;
            }
            let Some(asked) = self.asked.clone() else {
                self.begin(sys);
                continue;
            };
            let Some(call) = self.call else {
                self.ask(sys, &asked);
                continue;
            };
            match sys.api_event(call) {
                Err(Errno::EAGAIN) => {
                    if !sys.sleep_until(self.sent + TIMEOUT) {
                        return Poll::Pending;
                    }
                    sys.api_close(call);
                    self.fail(&asked, "context deadline exceeded");
                }
                Ok(event) => {
                    self.call = None;
                    self.answered(sys, &asked, &event);
                }
                Err(_) => self.fail(&asked, "context canceled"),
            }
        }
    }
}

impl Etcdctl {
    fn begin(&mut self, sys: &mut Sys<'_>) {
        let args: Vec<String> = sys.argv().iter().skip(1).map(|a| a.to_string()).collect();
        let there = match &*sys.config().hostname {
            "laptop" => "https://172.18.0.2:2379",
            _ => "https://127.0.0.1:2379",
        };
        let endpoint = sys.var("ETCDCTL_ENDPOINTS").map_or_else(|| there.to_string(), |e| e.to_string());
        match parse(&args, &endpoint) {
            Ok(asked) => self.asked = Some(asked),
            Err((0, text)) => self.end(1, &text, 0),
            Err((code, text)) => self.end(2, &format!("Error: {text}\n"), code),
        }
    }

    fn say(&mut self, fd: u32, text: &str) {
        if !text.is_empty() {
            self.output.push((fd, text.as_bytes().into()));
        }
    }

    fn end(&mut self, fd: u32, text: &str, code: i32) {
        self.say(fd, text);
        self.exit = Some(code);
    }

    fn fail(&mut self, asked: &Asked, why: &str) {
        if asked.command == Command::EndpointHealth {
            let text = print::health(asked, Err(why));
            self.say(if asked.format == Format::Simple { 2 } else { 1 }, &text);
            return self.end(2, "Error: unhealthy cluster\n", 1);
        }
        self.end(2, &format!("Error: {why}\n"), 1);
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

    fn ask(&mut self, sys: &mut Sys<'_>, asked: &Asked) {
        let mut request = Request::get_path(asked.path);
        request.options.query = asked.query.clone();
        if asked.command == Command::Watch && self.revision > 0 {
            request.options.query.retain(|(k, _)| &**k != "start_revision");
            request.options.query.push(("start_revision".into(), self.revision.to_string().into()));
        }
        self.sent = sys.now();
        self.call = Some(sys.api(ApiCall { server: asked.endpoint.as_str().into(), request: Rc::new(request) }));
    }

    fn answered(&mut self, sys: &mut Sys<'_>, asked: &Asked, event: &ApiEvent) {
        let (code, text) = match event {
            ApiEvent::Response(response) => match &response.body {
                ResponseBody::Text(_, text) => (response.code, text.clone()),
                _ => (500, "unexpected answer".into()),
            },
            ApiEvent::Failed(text) => {
                (503, format!("connection error: desc = \"transport: Error while dialing: {text}\"").into())
            }
            _ => (503, "connection closed".into()),
        };
        if code != 200 {
            return self.fail(asked, &text);
        }
        let body = json::parse(text.as_bytes()).unwrap_or_default();
        let out = match asked.command {
            Command::Get => print::get(asked, &body),
            Command::MemberList => print::members(asked, &body),
            Command::EndpointStatus => print::status(asked, &body),
            Command::EndpointHealth => print::health(asked, Ok(sys.now().since(self.sent))),
            Command::Watch => {
                self.revision = body.int_at(&["next_revision"]).unwrap_or(self.revision);
                self.rests = Some(sys.now() + WATCH_EVERY);
                return self.say(1, &print::events(asked, &body));
            }
        };
        self.end(1, &out, 0);
    }
}

/// The command line, or an exit code and what to say.
fn parse(args: &[String], endpoint: &str) -> Result<Asked, (i32, String)> {
    let refuse = |text: String| Err((128, text));
    let (mut words, mut flags) = (Vec::new(), Vec::new());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let name = match arg.strip_prefix("--") {
            Some(name) => name,
            None if arg == "-w" => "write-out",
            None if arg.starts_with('-') && arg.len() > 1 => return refuse(format!("flag {arg} is not in this bottle")),
            None => {
                words.push(arg.as_str());
                continue;
            }
        };
        let (name, value) = name.split_once('=').map_or((name, None), |(n, v)| (n, Some(v)));
        let takes_value = ["write-out", "rev", "limit", "endpoints", "cacert", "cert", "key", "command-timeout"].contains(&name);
        let value = match value {
            None if takes_value => rest.next().map(String::as_str),
            other => other,
        };
        if takes_value && value.is_none() {
            return refuse(format!("flag needs an argument: {arg}"));
        }
        flags.push((name, value.unwrap_or("true")));
    }
    let (command, path) = match words.as_slice() {
        ["get", ..] => (Command::Get, "/v3/kv/range"),
        ["watch", ..] => (Command::Watch, "/v3/watch"),
        ["member", "list"] => (Command::MemberList, "/v3/cluster/member/list"),
        ["endpoint", "status"] => (Command::EndpointStatus, "/v3/maintenance/status"),
        ["endpoint", "health"] => (Command::EndpointHealth, "/v3/kv/range"),
        ["version"] => return Err((0, "etcdctl version: 3.7.0\nAPI version: 3.7\n".into())),
        [] | ["help"] => {
            return Err((0, "Usage: etcdctl get | watch | member list | endpoint status | endpoint health | version\n".into()));
        }
        other => return refuse(format!("etcdctl {} is not in this bottle", other[..other.len().min(2)].join(" "))),
    };
    let mut asked = Asked {
        command,
        format: Format::Simple,
        keys_only: false,
        values_only: false,
        endpoint: endpoint.split(',').next().unwrap_or(endpoint).into(),
        path,
        query: Vec::new(),
    };
    let count_only = apply(&mut asked, &flags)?;
    match (command, &words[1..]) {
        (Command::Get | Command::Watch, keys) => key_range(&mut asked, keys, &flags)?,
        (Command::EndpointHealth, _) => asked.query.push(("key".into(), "health".into())),
        _ => {}
    }
    match (asked.format, command) {
        (Format::Fields, Command::Get) | (Format::Simple | Format::Json, _) => {}
        (Format::Table, Command::MemberList | Command::EndpointStatus | Command::EndpointHealth) => {}
        (format, _) => return refuse(format!("--write-out={} is not supported by this command here", format.name())),
    }
    if count_only && asked.format != Format::Fields {
        return refuse("--count-only is only for `--write-out=fields`".into());
    }
    if asked.values_only && asked.format != Format::Simple {
        return refuse("print-value-only is only for `--write-out=simple`".into());
    }
    Ok(asked)
}

/// Takes the flags. Returns whether only the count is wanted.
fn apply(asked: &mut Asked, flags: &[(&str, &str)]) -> Result<bool, (i32, String)> {
    let reads = asked.command == Command::Get;
    let mut count_only = false;
    for (name, value) in flags {
        let set = |asked: &mut Asked, key: &str| asked.query.push((key.into(), (*value).into()));
        let number = value.parse::<i64>().is_ok();
        match *name {
            "write-out" => {
                let unknown = || (128, format!("invalid output format {value:?}"));
                asked.format = Format::of(value).ok_or_else(unknown)?;
            }
            "endpoints" => {
                let first = value.split(',').next().unwrap_or(value);
                let host = first.trim_start_matches("https://").trim_start_matches("http://");
                asked.endpoint = format!("https://{}", host.replace("localhost", "127.0.0.1"));
            }
            // TLS is not modelled: every client is the right one.
            "cacert" | "cert" | "key" | "command-timeout" => {}
            "prefix" | "from-key" if matches!(asked.command, Command::Get | Command::Watch) => {}
            "keys-only" if reads => {
                asked.keys_only = true;
                set(asked, "keys_only");
            }
            "print-value-only" if reads => asked.values_only = true,
            "count-only" if reads => {
                count_only = true;
                set(asked, "count_only");
            }
            "limit" if reads && number => set(asked, "limit"),
            "rev" if reads && number => set(asked, "revision"),
            "rev" if asked.command == Command::Watch && number => set(asked, "start_revision"),
            "rev" | "limit" => return Err((128, format!("invalid argument {value:?} for \"--{name}\""))),
            other => return Err((128, format!("flag --{other} is not in this bottle"))),
        }
    }
    Ok(count_only)
}

fn key_range(asked: &mut Asked, keys: &[&str], flags: &[(&str, &str)]) -> Result<(), (i32, String)> {
    let has = |flag: &str| flags.iter().any(|(n, v)| *n == flag && *v == "true");
    let (key, end) = match keys {
        [key] if has("prefix") && key.is_empty() => ("\0", Some("\0".to_string())),
        [key] if has("prefix") && key.is_ascii() && !key.ends_with('\x7f') => (*key, Some(etcd_api::KeyRange::prefix_end(key))),
        [_] if has("prefix") => return Err((128, "prefixes here are ASCII".into())),
        [key] if has("from-key") => (*key, Some("\0".to_string())),
        [key] => (*key, None),
        [key, end] if !has("prefix") && !has("from-key") => (*key, Some((*end).to_string())),
        [] if asked.command == Command::Watch => return Err((128, "watch in interactive mode is not in this bottle".into())),
        _ => return Err((128, "get command needs one argument as key and an optional argument as range_end".into())),
    };
    asked.query.push(("key".into(), key.into()));
    asked.query.extend(end.map(|end| ("range_end".into(), end.into())));
    Ok(())
}

/// A 64-bit number that went as a text.
pub fn unsigned(value: &Value, path: &[&str]) -> u64 {
    value.str_at(path).and_then(|t| t.parse().ok()).unwrap_or(0)
}
