//! `ssh [-t] HOST [COMMAND…]`: a terminal of a node, or one command there, at the other end of a connection. Keys and passwords
//! are not modelled. What goes over the connection is told in `container-runtime`'s `ssh.rs`.
//!
//! Left out by name: forwarding (`-L`, `-R`, `-D`), `-N`, `-f` and configuration files.

use cri_api::machine::{Sys, TtyMode};
use cri_api::program::Fd;
use cri_api::{Disposition, Errno, Poll, Program, Signal};

use super::resolve::Resolve;

#[derive(Clone)]
enum State {
    Start,
    Resolving(Box<Resolve>),
    Connecting(Fd),
    Open(Fd),
}

/// What the command line asks for.
#[derive(Clone, Default)]
struct Asked {
    host: String,
    command: String,
    /// `-t`, or no command.
    terminal: bool,
    /// `-n`
    no_input: bool,
}

/// An ssh client.
#[derive(Clone)]
pub struct Ssh {
    state: State,
    asked: Asked,
    cooked: Option<TtyMode>,
    /// Frames for the host.
    to_host: Vec<u8>,
    input_over: bool,
    received: Vec<u8>,
    /// What is to be written, and where.
    to_user: Vec<(Fd, Vec<u8>)>,
    exit: Option<i32>,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Ssh {
        state: State::Start,
        asked: Asked::default(),
        cooked: None,
        to_host: Vec::new(),
        input_over: false,
        received: Vec::new(),
        to_user: Vec::new(),
        exit: None,
    })
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

/// ssh's own failures end with this code.
const FAILED: i32 = 255;
/// What is held of one direction before more is read.
const ENOUGH: usize = 64 * 1024;

impl Ssh {
    fn run(&mut self, sys: &mut Sys<'_>) -> Result<i32, Errno> {
        loop {
            match &mut self.state {
                State::Start => {
                    let args: Vec<String> = sys.argv().iter().skip(1).map(|a| a.to_string()).collect();
                    match parse(&args) {
                        Ok(asked) => self.asked = asked,
                        Err(text) => return Ok(complain(sys, &text)),
                    }
                    self.state = State::Resolving(Box::new(Resolve::new(&self.asked.host)));
                }
                State::Resolving(resolve) => {
                    let Some(ip) = resolve.poll(sys)? else {
                        let text = format!("ssh: Could not resolve hostname {}: Name or service not known\n", self.asked.host);
                        return Ok(complain(sys, &text));
                    };
                    let fd = sys.connect(ip, 22)?;
                    self.state = State::Connecting(fd);
                    // A machine without power answers nothing at all.
                    sys.sleep_until(sys.now() + base::Duration::from_secs(10));
                }
                State::Connecting(fd) => {
                    let fd = *fd;
                    match sys.connection(fd) {
                        Ok(()) => self.open(sys, fd),
                        Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
                        Err(e) => {
                            let text = format!("ssh: connect to host {} port 22: {}\n", self.asked.host, e.text());
                            return Ok(complain(sys, &text));
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

    fn open(&mut self, sys: &mut Sys<'_>, fd: Fd) {
        let on_terminal = self.asked.terminal && sys.is_tty(0);
        if self.asked.terminal && !on_terminal {
            let text = b"Pseudo-terminal will not be allocated because stdin is not a terminal.\r\n";
            let _ = sys.write(2, text);
        }
        let request = match sys.tty_size(0) {
            Ok((cols, rows)) if on_terminal => format!("{cols} {rows} {}", self.asked.command),
            _ => format!("- {}", self.asked.command),
        };
        self.frame(b'O', request.as_bytes());
        if on_terminal {
            self.cooked = sys.tty_mode(0).ok();
            let _ = sys.set_tty_mode(0, TtyMode::RAW);
            sys.on_signal(Signal::WINCH, Disposition::Catch);
        }
        if self.asked.no_input {
            self.input_over = true;
            self.frame(b'E', b"");
        }
        self.state = State::Open(fd);
    }

    fn frame(&mut self, kind: u8, data: &[u8]) {
        self.to_host.push(kind);
        self.to_host.extend_from_slice(&(data.len() as u32).to_be_bytes());
        self.to_host.extend_from_slice(data);
    }

    /// Input there, output back, until the other end says how it ended.
    fn relay(&mut self, fd: Fd, sys: &mut Sys<'_>) -> Result<i32, Errno> {
        while sys.take_signal().is_some() {
            if let Ok((cols, rows)) = sys.tty_size(0) {
                self.frame(b'R', format!("{cols} {rows}").as_bytes());
            }
        }
        loop {
            self.send_input(fd, sys)?;
            if !self.show(sys)? {
                return Err(Errno::EAGAIN);
            }
            if let Some(code) = self.exit {
                if self.cooked.is_some() {
                    let text = format!("Connection to {} closed.\r\n", self.asked.host);
                    let _ = sys.write(2, text.as_bytes());
                }
                return Ok(code);
            }
            match sys.read(fd, ENOUGH) {
                Ok(bytes) if bytes.is_empty() => return Ok(self.lost(sys)),
                Ok(bytes) => {
                    self.received.extend(bytes);
                    self.take_frames();
                }
                Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
                Err(_) => return Ok(self.lost(sys)),
            }
        }
    }

    fn lost(&self, sys: &mut Sys<'_>) -> i32 {
        complain(sys, &format!("Connection to {} closed by remote host.\r\n", self.asked.host))
    }

    fn send_input(&mut self, fd: Fd, sys: &mut Sys<'_>) -> Result<(), Errno> {
        loop {
            while !self.to_host.is_empty() {
                match sys.write(fd, &self.to_host) {
                    Ok(n) => drop(self.to_host.drain(..n)),
                    Err(Errno::EAGAIN) => return Ok(()),
                    // What the other end still had to say comes first.
                    Err(_) => {
                        self.to_host.clear();
                        self.input_over = true;
                    }
                }
            }
            if self.input_over {
                return Ok(());
            }
            match sys.read(0, ENOUGH / 2) {
                Ok(bytes) if bytes.is_empty() => {
                    self.input_over = true;
                    self.frame(b'E', b"");
                }
                Ok(bytes) => self.frame(b'I', &bytes),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(_) => self.input_over = true,
            }
        }
    }

    fn take_frames(&mut self) {
        let mut at = 0;
        while let Some(head) = self.received.get(at..at + 5) {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let Some(data) = self.received.get(at + 5..at + 5 + length) else { break };
            match head[0] {
                b'X' => self.exit = std::str::from_utf8(data).ok().and_then(|t| t.parse().ok()),
                kind => self.to_user.push((if kind == b'2' { 2 } else { 1 }, data.to_vec())),
            }
            at += 5 + length;
        }
        self.received.drain(..at);
    }

    /// Writes what came. False: the reader is slow.
    fn show(&mut self, sys: &mut Sys<'_>) -> Result<bool, Errno> {
        while let Some((fd, data)) = self.to_user.first_mut() {
            match sys.write(*fd, data) {
                Ok(n) if n < data.len() => drop(data.drain(..n)),
                Err(Errno::EAGAIN) => return Ok(false),
                _ => drop(self.to_user.remove(0)),
            }
        }
        Ok(true)
    }
}

fn complain(sys: &mut Sys<'_>, text: &str) -> i32 {
    let _ = sys.write(2, text.as_bytes());
    FAILED
}

const USAGE: &str =
    "usage: ssh [-ntTqv] [-i identity_file] [-l login_name] [-o option] [-p port] destination [command [argument ...]]\n";

/// Options come before the host; everything behind it is the command.
fn parse(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let (mut with_terminal, mut without) = (false, false);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) else {
            asked.host = word.rsplit('@').next().unwrap_or(word).to_string();
            break;
        };
        if matches!(letters, "i" | "l" | "o" | "p" | "F" | "E") {
            // Whoever connects is root, and every key fits.
            if letters == "p" && words.next().is_none_or(|port| port != "22") {
                return Err("ssh: only port 22 is in this bottle\n".into());
            } else if letters != "p" && words.next().is_none() {
                return Err(USAGE.into());
            }
            continue;
        }
        for letter in letters.chars() {
            match letter {
                't' => with_terminal = true,
                'T' => without = true,
                'n' => asked.no_input = true,
                'q' | 'v' | '4' | '6' | 'A' | 'a' | 'x' | 'X' | 'C' => {}
                _ => return Err(format!("ssh: option -{letter} is not in this bottle\n")),
            }
        }
    }
    if asked.host.is_empty() {
        return Err(USAGE.into());
    }
    asked.command = words.cloned().collect::<Vec<_>>().join(" ");
    asked.terminal = !without && (with_terminal || asked.command.is_empty());
    Ok(asked)
}
