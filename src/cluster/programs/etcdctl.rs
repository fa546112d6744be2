//! `etcdctl`: what is under kube-apiserver, key by key, and the members that keep it.
//!
//! `get`, `put`, `del`, `watch`, `compaction`, `member list|add|remove|promote`, `endpoint status|health`, `alarm list|disarm`,
//! `defrag`, `move-leader`, `snapshot save|status|restore`, `version`. Values of API objects print as JSON; a real cluster has
//! protobuf there. On a node the endpoint is 127.0.0.1:2379 and needs no certificates; on the laptop it is that port of the
//! control plane, as `ETCDCTL_ENDPOINTS` would say. `watch` asks every 200 ms: only the time of printing is coarser than in a
//! real one. Left out by name: txn, leases, locks, users and roles. The command line is read in `etcdctl_args`.

use std::rc::Rc;

use apimachinery::{Request, ResponseBody, Value, json};
use base::{Duration, Time};
use cri_api::machine::Sys;
use cri_api::{ApiCall, ApiEvent, CallId, Errno, Poll, Program};

use super::etcdctl_args::{Asked, Command, Refused, parse};
use super::etcdctl_print::{self as print, Row};
use super::etcdutl;

/// Between two questions of a watch.
const WATCH_EVERY: Duration = Duration::from_millis(200);

#[derive(Clone)]
struct Etcdctl {
    /// Called as `etcdutl`.
    offline: bool,
    asked: Option<Asked>,
    /// The members are asked for their endpoints first (`--cluster`), or for the leader's (`move-leader`).
    finding: bool,
    call: Option<CallId>,
    sent: Time,
    /// Which endpoint is asked.
    at: usize,
    /// What the endpoints so far have said.
    rows: Vec<Row>,
    /// A watch waits until then.
    rests: Option<Time>,
    /// Where a watch goes on.
    revision: i64,
    output: Vec<(u32, Rc<[u8]>)>,
    exit: Option<i32>,
}

/// The constructor for the program table.
pub fn start(name: &str) -> Box<dyn Program> {
    Box::new(Etcdctl {
        offline: name == "etcdutl",
        asked: None,
        finding: false,
        call: None,
        sent: Time::EPOCH,
        at: 0,
        rows: Vec::new(),
        rests: None,
        revision: 0,
        output: Vec::new(),
        exit: None,
    })
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
                    if !sys.sleep_until(self.sent + asked.timeout) {
                        return Poll::Pending;
                    }
                    sys.api_close(call);
                    self.call = None;
                    self.failed(sys, &asked, "context deadline exceeded", false);
                }
                Ok(event) => {
                    self.call = None;
                    self.heard(sys, &asked, &event);
                }
                Err(_) => self.end(2, "Error: context canceled\n", 1),
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
        let endpoints = sys.var("ETCDCTL_ENDPOINTS").map_or_else(|| there.to_string(), |e| e.to_string());
        let asked = match parse(&args, &endpoints) {
            Ok(asked) => asked,
            Err(Refused { code: 0, text }) if self.offline => {
                return self.end(1, &text.replace("etcdctl version", "etcdutl version"), 0);
            }
            Err(Refused { code: 0, text }) => return self.end(1, &text, 0),
            Err(Refused { code, text }) => return self.end(2, &format!("Error: {text}\n"), code),
        };
        match asked.command {
            Command::SnapshotStatus | Command::SnapshotRestore => {
                if !self.offline {
                    let verb = if asked.command == Command::SnapshotStatus { "status" } else { "restore" };
                    self.say(2, &format!("Deprecated: Use `etcdutl snapshot {verb}` instead.\n\n"));
                }
                let (said, failed) = match etcdutl::run(sys, &asked) {
                    Ok((out, log)) => {
                        self.say(2, &log);
                        (out, None)
                    }
                    Err(text) => (String::new(), Some(text)),
                };
                self.say(1, &said);
                match failed {
                    Some(text) => self.end(2, &format!("Error: {text}\n"), 1),
                    None => self.exit = Some(0),
                }
            }
            _ if self.offline => self.end(2, "Error: etcdutl has snapshot status and snapshot restore in this bottle\n", 128),
            _ => {
                self.finding = asked.cluster || asked.command == Command::MoveLeader;
                self.asked = Some(asked);
            }
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
        let path = match (self.finding, asked.command) {
            (true, Command::MoveLeader) => "/v3/maintenance/status",
            (true, _) => "/v3/cluster/member/list",
            _ => asked.path,
        };
        let mut request = Request::get_path(path);
        if !self.finding {
            request.options.query = asked.query.clone();
        }
        if asked.command == Command::Watch && self.revision > 0 {
            request.options.query.retain(|(k, _)| &**k != "start_revision");
            request.options.query.push(("start_revision".into(), self.revision.to_string().into()));
        }
        self.sent = sys.now();
        let server = asked.endpoints[self.at].as_str().into();
        self.call = Some(sys.api(ApiCall { server, request: Rc::new(request) }));
    }

    fn heard(&mut self, sys: &mut Sys<'_>, asked: &Asked, event: &ApiEvent) {
        let (code, text) = match event {
            ApiEvent::Response(response) => match &response.body {
                ResponseBody::Text(_, text) => (response.code, text.clone()),
                _ => (500, "unexpected answer".into()),
            },
            ApiEvent::Failed(text) => {
                let text = format!("connection error: desc = \"transport: Error while dialing: {text}\"");
                return self.failed(sys, asked, &text, true);
            }
            _ => return self.failed(sys, asked, "connection closed", true),
        };
        if code != 200 {
            return self.failed(sys, asked, &text, false);
        }
        if asked.command == Command::SnapshotSave {
            return self.saved(sys, asked, &text);
        }
        let body = json::parse(text.as_bytes()).unwrap_or_default();
        match (self.finding, asked.command) {
            (true, Command::MoveLeader) => self.found_leader(asked, &body),
            (true, _) => self.found(asked, &body),
            _ if asked.command.is_per_endpoint() => self.row(sys, asked, Ok(body)),
            _ => self.answered(sys, asked, &body),
        }
    }

    /// An endpoint has said no, or nothing. `unreachable`: another may be asked.
    fn failed(&mut self, sys: &mut Sys<'_>, asked: &Asked, why: &str, unreachable: bool) {
        if asked.command.is_per_endpoint() && !self.finding {
            return self.row(sys, asked, Err(why.to_string()));
        }
        if self.at + 1 < asked.endpoints.len() && (unreachable || self.finding) {
            self.at += 1;
            return;
        }
        self.end(2, &format!("Error: {why}\n"), 1);
    }

    /// The members' endpoints take the place of those that were named.
    fn found(&mut self, asked: &Asked, body: &Value) {
        let url = |m: &Value| m.list_at(&["clientURLs"]).first().and_then(Value::as_str).map(str::to_string);
        let endpoints: Vec<String> = body.list_at(&["members"]).iter().filter_map(url).collect();
        self.asked = Some(Asked { endpoints, ..asked.clone() });
        (self.finding, self.at) = (false, 0);
    }

    /// Leadership is moved by the leader: one of the endpoints has to be it.
    fn found_leader(&mut self, asked: &Asked, body: &Value) {
        let me = print::unsigned(body, &["header", "member_id"]);
        if me != 0 && me == print::unsigned(body, &["leader"]) {
            self.asked = Some(Asked { from: me, ..asked.clone() });
            self.finding = false;
        } else if self.at + 1 < asked.endpoints.len() {
            self.at += 1;
        } else {
            self.end(2, &format!("Error: no leader endpoint given at [{}]\n", asked.endpoints.join(" ")), 128);
        }
    }

    /// What one endpoint says goes into the table; after the last it is printed.
    fn row(&mut self, sys: &mut Sys<'_>, asked: &Asked, said: Result<Value, String>) {
        let (endpoint, took) = (asked.endpoints[self.at].clone(), sys.now().since(self.sent));
        self.rows.push(Row { endpoint, took, said });
        self.at += 1;
        if self.at < asked.endpoints.len() {
            return;
        }
        let rows = std::mem::take(&mut self.rows);
        let (out, err, code) = print::per_endpoint(asked, &rows);
        self.say(1, &out);
        self.end(2, &err, code);
    }

    fn saved(&mut self, sys: &mut Sys<'_>, asked: &Asked, text: &str) {
        let path = &asked.file;
        let mut file = text.as_bytes().to_vec();
        file.extend_from_slice(&shell::applets::digest::sha256(text.as_bytes()));
        match sys.write_file(path, &file) {
            Ok(()) => self.end(1, &format!("Snapshot saved at {path}\nServer version 3.7.0\n"), 0),
            Err(e) => {
                let why = e.text().to_lowercase();
                self.end(2, &format!("Error: could not open {path}.part (open {path}.part: {why})\n"), 1);
            }
        }
    }

    fn answered(&mut self, sys: &mut Sys<'_>, asked: &Asked, body: &Value) {
        if asked.command == Command::Watch {
            self.revision = body.int_at(&["next_revision"]).unwrap_or(self.revision);
            self.rests = Some(sys.now() + WATCH_EVERY);
            return self.say(1, &print::events(asked, body));
        }
        self.end(1, &print::answer(asked, body), 0);
    }
}
