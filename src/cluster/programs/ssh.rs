//! `ssh HOST`: a terminal of a node at the other end of a connection. Keys and passwords are not modelled.

use base::Time;
use cri_api::machine::{Sys, TtyMode};
use cri_api::program::Fd;
use cri_api::{Errno, Poll, Program};

use super::resolve::Resolve;

#[derive(Clone)]
enum State {
    Start,
    Resolving(Box<Resolve>),
    Connecting(Fd),
    Open(Fd),
}

/// An ssh client.
#[derive(Clone)]
pub struct Ssh {
    state: State,
    host: String,
    cooked: Option<TtyMode>,
    to_host: Vec<u8>,
    to_user: Vec<u8>,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Ssh { state: State::Start, host: String::new(), cooked: None, to_host: Vec::new(), to_user: Vec::new() })
}

impl Program for Ssh {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        match self.run(sys) {
            Ok(code) => {
                if let Some(mode) = self.cooked.take() {
                    let _ = sys.set_tty_mode(0, mode);
                }
                Poll::Exit(code)
            }
            Err(_) => Poll::Pending,
        }
    }
}

impl Ssh {
    fn run(&mut self, sys: &mut Sys<'_>) -> Result<i32, Errno> {
        loop {
            match &mut self.state {
                State::Start => {
                    let argv = sys.argv();
                    let Some(host) = argv.iter().skip(1).find(|a| !a.starts_with('-')) else {
                        let _ = sys.write(2, b"usage: ssh [user@]host\n");
                        return Ok(255);
                    };
                    self.host = host.rsplit('@').next().unwrap_or(host).to_string();
                    let host = self.host.clone();
                    self.state = State::Resolving(Box::new(Resolve::new(&host, sys)));
                }
                State::Resolving(resolve) => {
                    let Some(ip) = resolve.poll(sys)? else {
                        let text = format!("ssh: Could not resolve hostname {}: Name or service not known\n", self.host);
                        let _ = sys.write(2, text.as_bytes());
                        return Ok(255);
                    };
                    let fd = sys.connect(ip, 22)?;
                    self.state = State::Connecting(fd);
                    // A machine without power answers nothing at all.
                    sys.sleep_until(sys.now() + base::Duration::from_secs(10));
                }
                State::Connecting(fd) => {
                    let fd = *fd;
                    match sys.connection(fd) {
                        Ok(()) => {
                            self.cooked = sys.tty_mode(0).ok();
                            let _ = sys.set_tty_mode(0, TtyMode::RAW);
                            self.state = State::Open(fd);
                        }
                        Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
                        Err(e) => {
                            let text = format!("ssh: connect to host {} port 22: {}\n", self.host, e.text());
                            let _ = sys.write(2, text.as_bytes());
                            return Ok(255);
                        }
                    }
                }
                State::Open(fd) => {
                    let fd = *fd;
                    return self.relay(fd, sys);
                }
            }
        }
    }

    /// Keys there, output back, until the other end closes.
    fn relay(&mut self, fd: Fd, sys: &mut Sys<'_>) -> Result<i32, Errno> {
        loop {
            match sys.read(0, 4096) {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => self.to_host.extend(bytes),
                Err(_) => break,
            }
        }
        while !self.to_host.is_empty() {
            match sys.write(fd, &self.to_host) {
                Ok(n) => drop(self.to_host.drain(..n)),
                Err(Errno::EAGAIN) => break,
                Err(_) => return Ok(255),
            }
        }
        let mut ended = false;
        loop {
            match sys.read(fd, 4096) {
                Ok(bytes) if bytes.is_empty() => {
                    ended = true;
                    break;
                }
                Ok(bytes) => self.to_user.extend(bytes),
                Err(Errno::EAGAIN) => break,
                Err(_) => {
                    ended = true;
                    break;
                }
            }
        }
        while !self.to_user.is_empty() {
            match sys.write(1, &self.to_user) {
                Ok(n) => drop(self.to_user.drain(..n)),
                Err(_) => break,
            }
        }
        if ended {
            let text = format!("Connection to {} closed.\r\n", self.host);
            let _ = sys.write(1, text.as_bytes());
            return Ok(0);
        }
        let _ = Time::EPOCH;
        Err(Errno::EAGAIN)
    }
}
