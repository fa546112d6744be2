//! The stub resolver of the C library: `/etc/hosts`, `/etc/resolv.conf`, search domains, `ndots`. Used by every program that
//! takes a host's name (also by those of other images).

use std::net::IpAddr;

use base::Sort as _;
use base::{Duration, Time};
use cri_api::net::{Question, RecordData, RecordType, ResponseCode};
use cri_api::{CallId, Errno, Sys};

/// `/etc/resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    pub ndots: usize,
}

impl Config {
    pub fn read(sys: &mut Sys<'_>) -> Config {
        let bytes = sys.read_file("/etc/resolv.conf").unwrap_or_default();
        let mut config = Config { ndots: 1, ..Config::default() };
        for line in String::from_utf8_lossy(&bytes).lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => config.servers.extend(words.next().and_then(|w| w.parse::<IpAddr>().ok())),
                Some("search" | "domain") => config.search = words.map(str::to_string).collect(),
                Some("options") => {
                    for word in words {
                        if let Some(n) = word.strip_prefix("ndots:").and_then(|n| n.parse().ok()) {
                            config.ndots = n;
                        }
                    }
                }
                _ => {}
            }
        }
        config
    }

    /// The names to ask for, in order: search domains first if the name has fewer dots than `ndots`.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_string()];
        }
        let mut names: Vec<String> = self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let dots = name.matches('.').count();
        let at = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(at, name.to_string());
        names
    }
}

/// `4.3.2.1.in-addr.arpa`.
pub fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let digits: Vec<String> = ip.octets().iter().rev().flat_map(|b| [b & 15, b >> 4]).map(|n| format!("{n:x}")).collect();
            format!("{}.ip6.arpa", digits.join("."))
        }
    }
}

/// What came of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    Found(Vec<IpAddr>),
    /// NXDOMAIN or no address.
    NotFound,
    /// No server answered, or none is configured.
    TryAgain,
}

/// Finds the addresses of a name: IPv4, and IPv6 where there is no other. Poll it until it gives something.
#[derive(Clone, Debug)]
pub struct Resolver {
    name: String,
    /// Addresses of this family only (IPv6?).
    family: Option<bool>,
    /// What is asked for now.
    wanted: RecordType,
    config: Option<Config>,
    names: Vec<String>,
    call: Option<CallId>,
    deadline: Option<Time>,
    attempt: usize,
}

const TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 2;

impl Resolver {
    pub fn new(name: &str) -> Resolver {
        Resolver {
            name: name.to_string(),
            family: None,
            wanted: RecordType::A,
            config: None,
            names: Vec::new(),
            call: None,
            deadline: None,
            attempt: 0,
        }
    }

    /// Only IPv4, or only IPv6.
    pub fn of_family(self, v6: bool) -> Resolver {
        Resolver { family: Some(v6), wanted: if v6 { RecordType::AAAA } else { RecordType::A }, ..self }
    }

    /// `None`: wait (the process is woken).
    pub fn poll(&mut self, sys: &mut Sys<'_>) -> Option<Lookup> {
        if self.config.is_none() {
            let fits = |ip: &IpAddr| self.family.is_none_or(|v6| ip.is_ipv6() == v6);
            if let Ok(ip) = self.name.parse() {
                return Some(if fits(&ip) { Lookup::Found(vec![ip]) } else { Lookup::NotFound });
            }
            let mut here = from_hosts(sys, &self.name);
            here.retain(fits);
            if !here.is_empty() {
                return Some(Lookup::Found(here));
            }
            let config = Config::read(sys);
            self.names = config.candidates(&self.name);
            self.config = Some(config);
        }
        loop {
            let Some(call) = self.call else {
                if let Some(end) = self.ask(sys) {
                    return Some(end);
                }
                continue;
            };
            match sys.answer(call) {
                Err(Errno::EAGAIN) => {
                    if !self.deadline.is_some_and(|at| sys.sleep_until(at)) {
                        return None;
                    }
                    self.again();
                }
                Ok(Some(answer)) if answer.code == ResponseCode::NoError => {
                    let found: Vec<IpAddr> = answer
                        .records
                        .iter()
                        .filter_map(|r| if let RecordData::Ip(ip) = r.data { Some(ip) } else { None })
                        .collect();
                    if !found.is_empty() {
                        return Some(Lookup::Found(found));
                    }
                    // The name is there, but has no such address.
                    if self.wanted == RecordType::A && self.family.is_none() {
                        (self.wanted, self.call, self.attempt) = (RecordType::AAAA, None, 0);
                    } else {
                        self.next_name();
                    }
                }
                Ok(Some(answer)) if answer.code == ResponseCode::NxDomain => self.next_name(),
                _ => self.again(),
            }
        }
    }

    fn ask(&mut self, sys: &mut Sys<'_>) -> Option<Lookup> {
        let config = self.config.as_ref()?;
        if config.servers.is_empty() || self.attempt >= ATTEMPTS * config.servers.len() {
            return Some(Lookup::TryAgain);
        }
        let Some(name) = self.names.first() else { return Some(Lookup::NotFound) };
        let server = config.servers[self.attempt % config.servers.len()];
        let question = Question { name: name.to_ascii_lowercase().into(), record_type: self.wanted };
        self.call = Some(sys.query(server, question));
        self.deadline = Some(sys.after(TIMEOUT));
        None
    }

    fn again(&mut self) {
        self.attempt += 1;
        self.call = None;
    }

    fn next_name(&mut self) {
        self.names.remove(0);
        self.wanted = if self.family == Some(true) { RecordType::AAAA } else { RecordType::A };
        self.call = None;
        self.attempt = 0;
    }
}

fn from_hosts(sys: &mut Sys<'_>, name: &str) -> Vec<IpAddr> {
    let bytes = sys.read_file("/etc/hosts").unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut found: Vec<IpAddr> = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        if let Some(ip) = words.next().and_then(|w| w.parse().ok())
            && words.any(|w| w.eq_ignore_ascii_case(name))
        {
            found.push(ip);
        }
    }
    found.order_by_key(IpAddr::is_ipv6);
    if found.is_empty() && name == "localhost" {
        found.push(IpAddr::from([127, 0, 0, 1]));
    }
    found
}
