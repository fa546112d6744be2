//! A name to an address: /etc/hosts, then the servers and the search list of /etc/resolv.conf. IPv4 only, which is what the add-ons' own
//! Services have.

use std::net::IpAddr;
use std::rc::Rc;

use cri_api::machine::Sys;
use cri_api::net::{Question, RecordData, RecordType};
use cri_api::{CallId, Errno};

/// A name being looked up.
#[derive(Clone)]
pub struct Lookup {
    server: Option<IpAddr>,
    /// Still to be tried, the next one first.
    names: Vec<Rc<str>>,
    asked: Option<CallId>,
    found: Option<IpAddr>,
}

impl Lookup {
    pub fn new(name: &str, sys: &mut Sys<'_>) -> Lookup {
        let found = name.parse().ok();
        let mut lookup = Lookup { server: None, names: Vec::new(), asked: None, found };
        if lookup.found.is_some() {
            return lookup;
        }
        let hosts = sys.read_file("/etc/hosts").map(|d| String::from_utf8_lossy(&d).into_owned()).unwrap_or_default();
        lookup.found = hosts.lines().filter(|l| !l.starts_with('#')).find_map(|line| {
            let mut words = line.split_whitespace();
            let ip = words.next()?.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4)?;
            words.any(|w| w == name).then_some(ip)
        });
        let conf = sys.read_file("/etc/resolv.conf").map(|d| String::from_utf8_lossy(&d).into_owned()).unwrap_or_default();
        for line in conf.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if lookup.server.is_none() => lookup.server = words.next().and_then(|w| w.parse().ok()),
                Some("search") => lookup.names.extend(words.map(|suffix| Rc::from(format!("{name}.{suffix}")))),
                _ => {}
            }
        }
        lookup.names.push(name.trim_end_matches('.').into());
        lookup
    }

    /// `Err(EAGAIN)`: not yet; `Ok(None)`: there is no such name.
    pub fn poll(&mut self, sys: &mut Sys<'_>) -> Result<Option<IpAddr>, Errno> {
        while self.found.is_none() {
            if let Some(call) = self.asked {
                let answer = sys.answer(call)?;
                self.asked = None;
                let records = answer.map(|a| a.records).unwrap_or_default();
                self.found = records.iter().find_map(|r| if let RecordData::Ip(ip) = r.data { Some(ip) } else { None });
                continue;
            }
            let (Some(server), false) = (self.server, self.names.is_empty()) else { return Ok(None) };
            let name = self.names.remove(0);
            self.asked = Some(sys.query(server, Question { name, record_type: RecordType::A }));
        }
        Ok(self.found)
    }
}
