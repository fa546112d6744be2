//! Names to addresses for programs of other images: the C library's resolver is the shell's.

use std::net::IpAddr;

use cri_api::Errno;
use cri_api::machine::Sys;
use shell::resolve::{Lookup, Resolver};

/// A name being resolved.
#[derive(Clone)]
pub struct Resolve(Resolver);

impl Resolve {
    pub fn new(name: &str) -> Resolve {
        Resolve(Resolver::new(name))
    }

    /// Only addresses of one family.
    pub fn of_family(name: &str, v6: bool) -> Resolve {
        Resolve(Resolver::new(name).of_family(v6))
    }

    /// `Err(EAGAIN)`: not yet; `Ok(None)`: there is no such name, or nobody to ask.
    pub fn poll(&mut self, sys: &mut Sys<'_>) -> Result<Option<IpAddr>, Errno> {
        match self.0.poll(sys) {
            None => Err(Errno::EAGAIN),
            Some(Lookup::Found(found)) => Ok(found.first().copied()),
            Some(_) => Ok(None),
        }
    }
}
