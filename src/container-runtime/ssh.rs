//! The node's ssh daemon: a shell on a terminal, or one command with three streams, at the other end of a connection to port 22.
//!
//! Keys, ciphers and passwords are not modelled. What goes over the connection is frames: a letter, the length in four bytes,
//! and so many bytes. From the client `O` (open: columns, rows and the command), `I` (input), `E` (its end), `R` (size of the
//! window); from the daemon `1` and `2` (output), `X` (the exit code, then the connection ends). Output waits when the client
//! doesn't read ([`cri_api::MachineInput::Hold`]).

use std::rc::Rc;

use base::Time;
use cri_api::machine::StreamId;
use cri_api::net::{NetInput, SEND_WINDOW};
use cri_api::packet::{Endpoint, PacketBody};
use cri_api::{MachineInput, Signal};
use sim::Outbox;

use crate::Runtime;
use crate::host::{FIRST_SSH_JOB, job_streams};
use crate::network::Owner;

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    near: Endpoint,
    far: Endpoint,
    /// Of a frame that isn't whole yet.
    received: Rc<Vec<u8>>,
    run: Run,
    /// Bytes that the client hasn't read.
    in_flight: usize,
    held: bool,
}

/// What the client asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Run {
    Nothing,
    Terminal,
    Command,
}

/// Nobody types frames as long as this.
const MAX_FRAME: usize = 1 << 20;

/// The terminal's and the job's number of a session: both count from the far end, away from the page's own.
fn tab(session: u32) -> u32 {
    u32::MAX - session
}

fn job(session: u32) -> u32 {
    FIRST_SSH_JOB + session
}

/// A frame as it goes over the connection.
fn frame(kind: u8, data: &[u8]) -> Rc<[u8]> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&(data.len() as u32).to_be_bytes());
    bytes.extend_from_slice(data);
    bytes.into()
}

impl Runtime {
    /// Somebody connects to port 22.
    pub(crate) fn accept_ssh(&mut self, now: Time, near: Endpoint, far: Endpoint, out: &mut Outbox) {
        // Numbers of streams and terminals are made of it, so it is kept small.
        let id = self.next() as u32 & 0x0fff_ffff;
        let session = Session { near, far, received: Rc::default(), run: Run::Nothing, in_flight: 0, held: false };
        self.host_calls.ssh.insert(id, session);
        self.network.remember(near, far, Owner::Ssh(id), cri_api::net::ConnId::incoming(id.into()));
        self.send(now, near, far, PacketBody::SynAck, out);
    }

    pub(crate) fn ssh_event(&mut self, now: Time, id: u32, input: NetInput, out: &mut Outbox) {
        match input {
            NetInput::Data { data, .. } => self.ssh_data(now, id, &data, out),
            NetInput::Window { bytes, .. } => {
                if let Some(session) = self.host_calls.ssh.get_mut(&id) {
                    session.in_flight = session.in_flight.saturating_sub(bytes);
                }
                self.ssh_flow(now, id, out);
            }
            NetInput::Eof { .. } | NetInput::Failed { .. } => self.ssh_gone(now, id, out),
            _ => {}
        }
    }

    fn ssh_data(&mut self, now: Time, id: u32, data: &[u8], out: &mut Outbox) {
        let Some(session) = self.host_calls.ssh.get_mut(&id) else { return };
        let (near, far) = (session.near, session.far);
        let received = Rc::make_mut(&mut session.received);
        received.extend_from_slice(data);
        let mut frames = Vec::new();
        let mut at = 0;
        while received.len() - at >= 5 {
            let length = u32::from_be_bytes([received[at + 1], received[at + 2], received[at + 3], received[at + 4]]) as usize;
            if length > MAX_FRAME || received.len() - at - 5 < length {
                break;
            }
            frames.push((received[at], received[at + 5..at + 5 + length].to_vec()));
            at += 5 + length;
        }
        received.drain(..at);
        self.send(now, near, far, PacketBody::Window(data.len()), out);
        for (kind, data) in frames {
            self.ssh_frame(now, id, kind, data, out);
        }
    }

    fn ssh_frame(&mut self, now: Time, id: u32, kind: u8, data: Vec<u8>, out: &mut Outbox) {
        let Some(run) = self.host_calls.ssh.get(&id).map(|s| s.run) else { return };
        let tty = self.host_calls.ttys.get(&tab(id)).map(|(tty, _)| *tty);
        let stdin = job_streams(job(id))[2];
        let input = match (kind, run, tty) {
            (b'O', Run::Nothing, _) => return self.ssh_open(now, id, &String::from_utf8_lossy(&data), out),
            (b'I', _, Some(tty)) => MachineInput::Tty { tty, data: data.into() },
            (b'I', Run::Command, _) => MachineInput::Stdin { stream: stdin, data: data.into() },
            (b'E', Run::Command, _) => MachineInput::StdinEof { stream: stdin },
            (b'R', _, Some(tty)) => {
                let (cols, rows) = size(&String::from_utf8_lossy(&data)).unwrap_or((80, 24));
                MachineInput::TtyResize { tty, cols, rows }
            }
            _ => return,
        };
        self.feed_host(now, input, out);
    }

    /// `COLS ROWS COMMAND` or `- COMMAND`; without a command it is the login shell.
    fn ssh_open(&mut self, now: Time, id: u32, request: &str, out: &mut Outbox) {
        let (run, size, command) = match request.strip_prefix("- ") {
            Some(command) => (Run::Command, None, command),
            None => (Run::Terminal, size(request), request.splitn(3, ' ').nth(2).unwrap_or("")),
        };
        if let Some(session) = self.host_calls.ssh.get_mut(&id) {
            session.run = run;
        }
        let argv: Vec<crate::Text> = match command {
            "" if run == Run::Terminal => vec!["sh".into(), "-i".into()],
            "" => vec!["sh".into()],
            command => vec!["sh".into(), "-c".into(), command.into()],
        };
        match run {
            Run::Terminal => {
                let (cols, rows) = size.unwrap_or((80, 24));
                self.open_shell(now, tab(id), cols, rows, &argv, out);
            }
            _ => self.start_job(now, job(id), &argv, out),
        }
    }

    /// Output of a session's terminal. False: the tab is the page's.
    pub(crate) fn ssh_tab_output(&mut self, now: Time, tab_number: u32, data: &Rc<[u8]>, out: &mut Outbox) -> bool {
        let id = tab(tab_number);
        let ours = self.host_calls.ssh.contains_key(&id);
        if ours {
            self.ssh_send(now, id, b'1', data, out);
        }
        ours
    }

    /// A session's shell has ended. False: the tab is the page's.
    pub(crate) fn ssh_tab_closed(&mut self, now: Time, tab_number: u32, code: i32, out: &mut Outbox) -> bool {
        self.ssh_exit(now, tab(tab_number), code, out)
    }

    /// Output of a session's command. False: the job is the page's.
    pub(crate) fn ssh_job_output(&mut self, now: Time, job: u32, stderr: bool, data: &Rc<[u8]>, out: &mut Outbox) -> bool {
        if job >= FIRST_SSH_JOB {
            self.ssh_send(now, job - FIRST_SSH_JOB, if stderr { b'2' } else { b'1' }, data, out);
        }
        job >= FIRST_SSH_JOB
    }

    /// A session's command has ended. False: the job is the page's.
    pub(crate) fn ssh_job_done(&mut self, now: Time, job: u32, code: i32, out: &mut Outbox) -> bool {
        if job >= FIRST_SSH_JOB {
            self.ssh_exit(now, job - FIRST_SSH_JOB, code, out);
        }
        job >= FIRST_SSH_JOB
    }

    fn ssh_send(&mut self, now: Time, id: u32, kind: u8, data: &[u8], out: &mut Outbox) {
        let Some(session) = self.host_calls.ssh.get_mut(&id) else { return };
        let (near, far) = (session.near, session.far);
        let bytes = frame(kind, data);
        session.in_flight += bytes.len();
        self.send(now, near, far, PacketBody::Data(bytes), out);
        self.ssh_flow(now, id, out);
    }

    /// Holds a command's output back while the client has too much of it, and lets it go on.
    fn ssh_flow(&mut self, now: Time, id: u32, out: &mut Outbox) {
        let Some(session) = self.host_calls.ssh.get_mut(&id).filter(|s| s.run == Run::Command) else { return };
        let held = if session.held { session.in_flight > SEND_WINDOW / 2 } else { session.in_flight > SEND_WINDOW };
        if std::mem::replace(&mut session.held, held) == held {
            return;
        }
        for stream in &job_streams(job(id))[..2] {
            self.hold(now, *stream, held, out);
        }
    }

    fn hold(&mut self, now: Time, stream: StreamId, held: bool, out: &mut Outbox) {
        self.feed_host(now, MachineInput::Hold { stream, held }, out);
    }

    fn ssh_exit(&mut self, now: Time, id: u32, code: i32, out: &mut Outbox) -> bool {
        let Some(session) = self.host_calls.ssh.remove(&id) else { return false };
        let end = frame(b'X', code.to_string().as_bytes());
        self.send(now, session.near, session.far, PacketBody::Data(end), out);
        self.send(now, session.near, session.far, PacketBody::Fin, out);
        true
    }

    /// The client has hung up: so does the terminal; a command finds out when it reads or writes.
    fn ssh_gone(&mut self, now: Time, id: u32, out: &mut Outbox) {
        if self.host_calls.ssh.remove(&id).is_none() {
            return;
        }
        if let Some((tty, _)) = self.host_calls.ttys.remove(&tab(id)) {
            self.feed_host(now, MachineInput::TtyHangup { tty }, out);
        }
        if let Some(pid) = self.host_calls.jobs.get(&job(id)).copied() {
            self.feed_host(now, MachineInput::Signal { pid, signal: Signal::HUP }, out);
        }
    }
}

/// `COLS ROWS …`
fn size(text: &str) -> Option<(u16, u16)> {
    let mut words = text.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}
