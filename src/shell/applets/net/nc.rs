//! `nc`: connects or listens, and copies both ways. Left out by name: `-u`.

use base::{Duration, Time};
use cri_api::{Errno, Fd, Poll, Program, Sys, Text, WriteOut};

use crate::applets::{Options, STDIN, finish};
use crate::resolve::{Lookup, Resolver};

/// `nc HOST PORT`, `nc -z`, `nc -l -p PORT`.
#[derive(Clone, Default)]
pub(super) struct Nc {
    started: bool,
    scan: bool,
    verbose: bool,
    wait: Option<Duration>,
    deadline: Option<Time>,
    port: u16,
    host: String,
    resolver: Option<Resolver>,
    listener: Option<Fd>,
    fd: Option<Fd>,
    open: bool,
    stdin_ended: bool,
    out: WriteOut,
    code: Option<i32>,
}

impl Nc {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        self.started = true;
        let argv = sys.argv();
        let options = Options::parse(&argv[1..], "lp:w:zvnq:i:k", &[])?;
        (self.scan, self.verbose) = (options.has('z'), options.has('v'));
        self.wait = options.value('w').and_then(|w| crate::text::parse_duration(w));
        let mut words = options.operands.iter();
        let port = |text: Option<&Text>| text.and_then(|t| t.parse::<u16>().ok()).ok_or_else(|| "bad port".to_string());
        if options.has('l') {
            self.port = port(options.value('p').or(words.next()))?;
            self.listener = Some(sys.listen(None, self.port).map_err(|error| format!("bind: {error}"))?);
        } else {
            self.host = words.next().ok_or("missing operand")?.to_string();
            self.port = port(words.next())?;
            self.resolver = Some(Resolver::new(&self.host));
        }
        self.deadline = self.wait.map(|span| sys.after(span));
        Ok(())
    }

    fn connect(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        if let Some(listener) = self.listener {
            match sys.accept(listener) {
                Ok(fd) => {
                    (self.fd, self.open) = (Some(fd), true);
                    let _ = sys.close(listener);
                }
                Err(_) => return Some(Poll::Pending),
            }
            return None;
        }
        if self.fd.is_none() {
            let looked = self.resolver.as_mut()?.poll(sys);
            match looked {
                None => return self.wait_more(sys),
                Some(Lookup::Found(addresses)) => self.fd = sys.connect(addresses[0], self.port).ok(),
                Some(_) => self.fail(format!("bad address '{}'", self.host)),
            }
            return None;
        }
        match sys.connection(self.fd.unwrap_or(0)) {
            Ok(()) => {
                self.open = true;
                self.deadline = None;
                if self.verbose {
                    self.out.push(2, format!("{} ({}:{}) open\n", self.host, self.host, self.port).as_bytes());
                }
                if self.scan {
                    self.code = Some(0);
                }
            }
            Err(Errno::EAGAIN) => return self.wait_more(sys),
            Err(error) => self.fail(format!("can't connect to remote host ({}): {error}", self.host)),
        }
        None
    }

    fn wait_more(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        if self.deadline.is_some_and(|at| sys.sleep_until(at)) {
            self.fail("timed out".into());
            return None;
        }
        Some(Poll::Pending)
    }

    fn fail(&mut self, text: String) {
        if self.verbose || !self.scan {
            self.out.push(2, format!("nc: {text}\n").as_bytes());
        }
        self.code = Some(1);
    }

    /// Carries bytes both ways. False: nothing could be moved.
    fn carry(&mut self, sys: &mut Sys<'_>) -> bool {
        let Some(fd) = self.fd else { return false };
        let mut moved = false;
        match sys.read(fd, 65_536) {
            Ok(bytes) if bytes.is_empty() => self.code = Some(0),
            Ok(bytes) => {
                self.out.push(1, &bytes);
                moved = true;
            }
            Err(Errno::EAGAIN) => {}
            Err(_) => self.code = Some(1),
        }
        if !self.stdin_ended {
            match sys.read(STDIN, 65_536) {
                Ok(bytes) if bytes.is_empty() => {
                    self.stdin_ended = true;
                    let _ = sys.shutdown(fd);
                }
                Ok(bytes) => {
                    self.out.push(fd, &bytes);
                    moved = true;
                }
                Err(Errno::EAGAIN) => {}
                Err(_) => self.stdin_ended = true,
            }
        }
        moved || self.code.is_some()
    }
}

impl Program for Nc {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("nc: {message}\n").as_bytes());
            self.code = Some(1);
        }
        for _ in 0..64 {
            if let Some(code) = self.code {
                return finish(&mut self.out, sys, code);
            }
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            if !self.open {
                if let Some(poll) = self.connect(sys) {
                    return poll;
                }
            } else if !self.carry(sys) {
                return Poll::Pending;
            }
        }
        Poll::Ready
    }
}
