//! Programs that talk over the network: `wget`, `nslookup`, `nc`, `ping`. Left out by name: `telnet`, `ftpget`.

mod nc;
mod nslookup;
mod ping;
mod wget;

use super::Make;

pub(super) const TABLE: &[(&str, Make)] = &[
    ("wget", || Box::new(wget::Wget::default())),
    ("nslookup", || Box::new(nslookup::Nslookup::default())),
    ("nc", || Box::new(nc::Nc::default())),
    ("ping", || Box::new(ping::Ping::default())),
];
