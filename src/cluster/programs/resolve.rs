//! Names to addresses as a C library does it: /etc/hosts, then the servers and search list of /etc/resolv.conf.

use std::net::IpAddr;
use std::rc::Rc;

use cri_api::machine::Sys;
use cri_api::net::{Question, RecordData, RecordType};
use cri_api::{CallId, Errno};

/// A name being resolved.
#[derive(Clone)]
pub struct Resolve {
    /// Names still to be tried, the next one first.
    names: Vec<String>,
    servers: Vec<IpAddr>,
    asked: Option<CallId>,
    found: Option<IpAddr>,
}

impl Resolve {
    pub fn new(name: &str, sys: &mut Sys<'_>) -> Resolve {
        let mut resolve = Resolve { names: Vec::new(), servers: Vec::new(), asked: None, found: name.parse().ok() };
        if resolve.found.is_some() {
            return resolve;
        }
        let hosts = sys.read_file("/etc/hosts").map(|d| String::from_utf8_lossy(&d).into_owned()).unwrap_or_default();
        resolve.found = hosts.lines().filter(|l| !l.starts_with('#')).find_map(|line| {
            let mut words = line.split_whitespace();
            let ip = words.next()?.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4)?;
            words.any(|w| w == name).then_some(ip)
        });
        let conf = sys.read_file("/etc/resolv.conf").map(|d| String::from_utf8_lossy(&d).into_owned()).unwrap_or_default();
        let (mut searches, mut ndots) = (Vec::new(), 1);
        for line in conf.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => resolve.servers.extend(words.next().and_then(|w| w.parse::<IpAddr>().ok())),
                Some("search") => searches = words.map(str::to_string).collect(),
                Some("options") => ndots = words.find_map(|w| w.strip_prefix("ndots:")?.parse().ok()).unwrap_or(ndots),
                _ => {}
            }
        }
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        let absolute = name.ends_with('.');
        if !absolute {
            resolve.names = searches.iter().map(|s| format!("{bare}.{s}")).collect();
        }
        let first = absolute || bare.matches('.').count() >= ndots;
        let at = if first { 0 } else { resolve.names.len() };
        resolve.names.insert(at, bare);
        resolve
    }

    /// `Err(EAGAIN)`: not yet; `Ok(None)`: there is no such name.
    pub fn poll(&mut self, sys: &mut Sys<'_>) -> Result<Option<IpAddr>, Errno> {
        loop {
            if self.found.is_some() {
                return Ok(self.found);
            }
            if let Some(call) = self.asked {
                let answer = sys.answer(call)?;
                self.asked = None;
                let records = answer.map(|a| a.records).unwrap_or_default();
                self.found = records.iter().find_map(|r| if let RecordData::Ip(ip) = r.data { Some(ip) } else { None });
                continue;
            }
            let (Some(server), false) = (self.servers.first().copied(), self.names.is_empty()) else { return Ok(None) };
            let name: Rc<str> = self.names.remove(0).into();
            self.asked = Some(sys.query(server, Question { name, record_type: RecordType::A }));
        }
    }
}
