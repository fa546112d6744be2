//! `nslookup`: asks the servers of `/etc/resolv.conf`, or the one named, along the search domains.

use std::net::IpAddr;

use base::{Duration, Time};
use cri_api::net::{RecordData, RecordType, ResponseCode};
use cri_api::{CallId, Poll, Program, Sys, Text, WriteOut};

use crate::applets::finish;
use crate::resolve::Config;

/// `nslookup NAME [SERVER]`, `-type=`.
#[derive(Clone, Default)]
pub(super) struct Nslookup {
    started: bool,
    name: String,
    server: Option<IpAddr>,
    types: Vec<RecordType>,
    /// Names still to ask, by search domain.
    names: Vec<String>,
    calls: Vec<(CallId, RecordType, bool)>,
    deadline: Option<Time>,
    tries: u32,
    text: String,
    failed: bool,
    out: WriteOut,
    code: Option<i32>,
}

impl Nslookup {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        self.started = true;
        let argv = sys.argv();
        let mut words: Vec<&Text> = Vec::new();
        for arg in argv.iter().skip(1) {
            match arg.strip_prefix("-type=").or(arg.strip_prefix("-query=")).or(arg.strip_prefix("-q=")) {
                Some(kind) => self.types.push(record_type(kind).ok_or_else(|| format!("invalid query type \"{kind}\""))?),
                None if arg.starts_with('-') => {}
                None => words.push(arg),
            }
        }
        let name = words.first().ok_or("missing operand")?;
        let config = Config::read(sys);
        self.server = match words.get(1) {
            Some(server) => Some(server.parse().map_err(|_| format!("bad address '{server}'"))?),
            None => config.servers.first().copied(),
        };
        let Some(server) = self.server else { return Err("no DNS servers".into()) };
        let shown = if server.is_ipv6() { format!("[{server}]:53") } else { format!("{server}:53") };
        self.out.push(1, format!("Server:\t\t{server}\nAddress:\t{shown}\n\n").as_bytes());
        if let Ok(ip) = name.parse::<IpAddr>() {
            self.types = vec![RecordType::PTR];
            self.names = vec![crate::resolve::reverse_name(ip)];
        } else {
            if self.types.is_empty() {
                self.types = vec![RecordType::A, RecordType::AAAA];
            }
            self.names = config.candidates(name);
        }
        self.name = name.to_string();
        self.ask(sys);
        Ok(())
    }

    fn ask(&mut self, sys: &mut Sys<'_>) {
        let (Some(name), Some(server)) = (self.names.first().cloned(), self.server) else { return };
        for kind in self.types.clone() {
            let question = cri_api::net::Question { name: name.to_ascii_lowercase().into(), record_type: kind };
            self.calls.push((sys.query(server, question), kind, false));
        }
        self.deadline = Some(sys.after(Duration::from_secs(5)));
    }

    fn answers(&mut self, sys: &mut Sys<'_>) -> bool {
        let mut moved = false;
        for i in 0..self.calls.len() {
            let (call, kind, done) = self.calls[i];
            if done {
                continue;
            }
            let Ok(answer) = sys.answer(call) else { continue };
            moved = true;
            self.calls[i].2 = true;
            let Some(answer) = answer else { continue };
            let name = self.names.first().cloned().unwrap_or_default();
            match answer.code {
                ResponseCode::NoError => self.show(&answer, kind, &name),
                ResponseCode::NxDomain => {
                    let line = format!("** server can't find {name}: NXDOMAIN\n\n");
                    if !self.text.contains(&line) {
                        self.text += &line;
                    }
                    self.failed = true;
                }
                ResponseCode::ServFail => {
                    self.text += &format!("** server can't find {name}: SERVFAIL\n\n");
                    self.failed = true;
                }
                ResponseCode::Refused => {
                    self.text += &format!("** server can't find {name}: REFUSED\n\n");
                    self.failed = true;
                }
            }
        }
        moved
    }

    fn show(&mut self, answer: &cri_api::net::Answer, kind: RecordType, name: &str) {
        if answer.records.is_empty() {
            if kind != RecordType::AAAA || self.types.len() == 1 {
                self.text += &format!("*** Can't find {name}: No answer\n\n");
            }
            return;
        }
        let mut text = if answer.authoritative { String::new() } else { "Non-authoritative answer:\n".into() };
        for record in &answer.records {
            let owner = &record.name;
            text += &match &record.data {
                RecordData::Ip(ip) => format!("Name:\t{owner}\nAddress: {ip}\n"),
                RecordData::Cname(target) => format!("{owner}\tcanonical name = {target}\n"),
                RecordData::Ptr(target) => format!("{owner}\tname = {target}\n"),
                RecordData::Ns(target) => format!("{owner}\tnameserver = {target}\n"),
                RecordData::Txt(text) => format!("{owner}\ttext = \"{text}\"\n"),
                RecordData::Srv { priority, weight, port, target } => {
                    format!("{owner}\tservice = {priority} {weight} {port} {target}\n")
                }
                RecordData::Soa(text) => format!("{owner}\n\t{text}\n"),
            };
        }
        self.text += &text;
        self.text.push('\n');
    }

    /// All answers are there: the next search domain, or the end.
    fn advance(&mut self, sys: &mut Sys<'_>) {
        self.calls.clear();
        if self.failed && self.names.len() > 1 {
            self.names.remove(0);
            self.failed = false;
            self.ask(sys);
            return;
        }
        self.out.push(1, self.text.as_bytes());
        self.code = Some(self.failed as i32);
    }
}

fn record_type(text: &str) -> Option<RecordType> {
    Some(match text.to_ascii_uppercase().as_str() {
        "A" => RecordType::A,
        "AAAA" => RecordType::AAAA,
        "CNAME" => RecordType::CNAME,
        "NS" => RecordType::NS,
        "PTR" => RecordType::PTR,
        "SOA" => RecordType::SOA,
        "SRV" => RecordType::SRV,
        "TXT" => RecordType::TXT,
        _ => return None,
    })
}

impl Program for Nslookup {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("nslookup: {message}\n").as_bytes());
            self.code = Some(1);
        }
        loop {
            if let Some(code) = self.code {
                return finish(&mut self.out, sys, code);
            }
            let moved = self.answers(sys);
            if self.calls.iter().all(|(_, _, done)| *done) {
                self.advance(sys);
                continue;
            }
            if moved {
                continue;
            }
            if self.deadline.is_some_and(|at| sys.sleep_until(at)) {
                self.tries += 1;
                if self.tries >= 2 {
                    self.out.push(1, b";; connection timed out; no servers could be reached\n\n");
                    self.code = Some(1);
                } else {
                    self.calls.clear();
                    self.ask(sys);
                }
                continue;
            }
            return Poll::Pending;
        }
    }
}
