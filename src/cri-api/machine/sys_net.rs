//! System calls on sockets, names, the Kubernetes API and the editor; and the machine's side of them.

use std::net::IpAddr;
use std::rc::Rc;

use super::file::{Kind, OpenFile};
use super::pipe::Pipe;
use super::{Machine, MachineOutput, Sys};
use crate::call::{ApiCall, ApiEvent, CallId};
use crate::errno::Errno;
use crate::net::{Answer, ConnId, NetInput, NetOutput, Question, SEND_WINDOW};
use crate::program::{Fd, Pid, Text};

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnState {
    Connecting,
    Open,
    Failed(Errno),
}

#[derive(Clone)]
pub(super) struct Conn {
    pub state: ConnState,
    pub received: Pipe,
    pub eof: bool,
    pub shut: bool,
    pub in_flight: usize,
    pub local: Option<(IpAddr, u16)>,
    pub peer: Option<(IpAddr, u16)>,
    pub waiters: Vec<Pid>,
}

#[derive(Clone, Default)]
pub(super) struct Listener {
    pub backlog: std::collections::VecDeque<ConnId>,
    pub waiters: Vec<Pid>,
}

#[derive(Clone, Default)]
pub(super) struct DnsServer {
    pub queue: std::collections::VecDeque<(u64, IpAddr, Question)>,
    pub waiters: Vec<Pid>,
}

/// Connections that wait for `accept` at most; more are refused.
const BACKLOG: usize = 511;

#[derive(Clone)]
pub(super) struct CallState {
    pub owner: Pid,
    pub kind: CallKind,
}

#[derive(Clone)]
pub(super) enum CallKind {
    Query(Option<Option<Answer>>),
    Ping(Option<Option<u8>>),
    Api { events: base::Vector<ApiEvent>, over: bool },
    Edit(Option<Option<Text>>),
}

impl Machine {
    pub(super) fn deliver_net(&mut self, input: NetInput, out: &mut Vec<MachineOutput>) {
        match input {
            NetInput::Connected { conn, local } => self.change_conn(conn, |c| {
                c.state = ConnState::Open;
                c.local = Some(local);
            }),
            NetInput::Failed { conn, error } => self.change_conn(conn, |c| c.state = ConnState::Failed(error)),
            NetInput::Data { conn, data } => self.change_conn(conn, |c| c.received.push(&data)),
            NetInput::Eof { conn } => self.change_conn(conn, |c| c.eof = true),
            NetInput::Window { conn, bytes } => self.change_conn(conn, |c| c.in_flight = c.in_flight.saturating_sub(bytes)),
            NetInput::Incoming { conn, port, peer, local } => self.incoming(conn, port, peer, local, out),
            NetInput::Answered { call, answer } => self.finish_call(call, |kind| {
                if let CallKind::Query(slot) = kind {
                    *slot = Some(answer);
                }
            }),
            NetInput::Pong { call, ttl } => self.finish_call(call, |kind| {
                if let CallKind::Ping(slot) = kind {
                    *slot = Some(ttl);
                }
            }),
            NetInput::Query { query, from, question } => {
                let Some(port) = self.dns_servers.keys().next().copied() else { return };
                let Some(server) = self.dns_servers.get_mut(&port) else { return };
                let server = Rc::make_mut(server);
                server.queue.push_back((query, from, question));
                let waiters = std::mem::take(&mut server.waiters);
                self.wake_all(waiters);
            }
        }
    }

    fn change_conn(&mut self, id: ConnId, change: impl FnOnce(&mut Conn)) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let conn = Rc::make_mut(conn);
        change(conn);
        let waiters = std::mem::take(&mut conn.waiters);
        self.wake_all(waiters);
    }

    fn incoming(&mut self, conn: ConnId, port: u16, peer: (IpAddr, u16), local: (IpAddr, u16), out: &mut Vec<MachineOutput>) {
        let Some(listener) = self.listeners.get_mut(&port).filter(|l| l.backlog.len() < BACKLOG) else {
            out.push(MachineOutput::Net(NetOutput::Close { conn }));
            return;
        };
        let listener = Rc::make_mut(listener);
        listener.backlog.push_back(conn);
        let waiters = std::mem::take(&mut listener.waiters);
        let state = Conn {
            state: ConnState::Open,
            received: Pipe::default(),
            eof: false,
            shut: false,
            in_flight: 0,
            local: Some(local),
            peer: Some(peer),
            waiters: Vec::new(),
        };
        self.conns.insert(conn, Rc::new(state));
        self.wake_all(waiters);
    }

    pub(super) fn finish_call(&mut self, id: CallId, change: impl FnOnce(&mut CallKind)) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let call = Rc::make_mut(call);
        change(&mut call.kind);
        let owner = call.owner;
        self.wake(owner);
    }

    /// A process has died: nobody waits for its calls.
    pub(super) fn drop_calls(&mut self, pid: Pid, out: &mut Vec<MachineOutput>) {
        let mine: Vec<CallId> = self.calls.iter().filter(|(_, c)| c.owner == pid).map(|(id, _)| *id).collect();
        for call in mine {
            self.drop_call(call, out);
        }
    }

    fn drop_call(&mut self, call: CallId, out: &mut Vec<MachineOutput>) {
        match self.calls.remove(&call).map(|c| c.kind.clone()) {
            Some(CallKind::Api { over: false, .. }) => out.push(MachineOutput::ApiClosed { call }),
            Some(CallKind::Edit(None)) => out.push(MachineOutput::EditClosed { call }),
            _ => {}
        }
    }
}

impl Sys<'_> {
    // ---- TCP ----

    /// Begins to connect. Ask [`Sys::connection`] until it isn't `Connecting`.
    pub fn connect(&mut self, ip: IpAddr, port: u16) -> Result<Fd, Errno> {
        self.machine.counters.conn += 1;
        let conn = ConnId(self.machine.counters.conn);
        let state = Conn {
            state: ConnState::Connecting,
            received: Pipe::default(),
            eof: false,
            shut: false,
            in_flight: 0,
            local: None,
            peer: Some((ip, port)),
            waiters: Vec::new(),
        };
        let fd = self.install(OpenFile::new(Kind::Conn(conn), true, true))?;
        self.machine.conns.insert(conn, Rc::new(state));
        self.out.push(MachineOutput::Net(NetOutput::Connect { conn, ip, port }));
        Ok(fd)
    }

    fn conn_of(&mut self, fd: Fd) -> Result<(ConnId, &mut Conn), Errno> {
        let Kind::Conn(id) = self.file(fd)?.kind else { return Err(Errno::EINVAL) };
        let conn = self.machine.conns.get_mut(&id).ok_or(Errno::ENOTCONN)?;
        Ok((id, Rc::make_mut(conn)))
    }

    /// `EAGAIN` while it is being made (the process is woken), `Ok` when open, else why it failed.
    pub fn connection(&mut self, fd: Fd) -> Result<(), Errno> {
        let pid = self.pid;
        let (_, conn) = self.conn_of(fd)?;
        match conn.state {
            ConnState::Open => Ok(()),
            ConnState::Failed(error) => Err(error),
            ConnState::Connecting => {
                note(&mut conn.waiters, pid);
                Err(Errno::EAGAIN)
            }
        }
    }

    /// Own address and the other end's.
    pub fn addresses(&mut self, fd: Fd) -> Result<(Option<(IpAddr, u16)>, Option<(IpAddr, u16)>), Errno> {
        let (_, conn) = self.conn_of(fd)?;
        Ok((conn.local, conn.peer))
    }

    pub(super) fn read_conn(&mut self, id: ConnId, max: usize) -> Result<Vec<u8>, Errno> {
        let pid = self.pid;
        let conn = Rc::make_mut(self.machine.conns.get_mut(&id).ok_or(Errno::ENOTCONN)?);
        if conn.received.len() == 0 {
            match conn.state {
                ConnState::Failed(error) => return Err(error),
                ConnState::Open if conn.eof => return Ok(Vec::new()),
                _ => {
                    note(&mut conn.waiters, pid);
                    return Err(Errno::EAGAIN);
                }
            }
        }
        let data = conn.received.pull(max);
        self.out.push(MachineOutput::Net(NetOutput::Consumed { conn: id, bytes: data.len() }));
        Ok(data)
    }

    pub(super) fn write_conn(&mut self, id: ConnId, bytes: &[u8]) -> Result<usize, Errno> {
        let pid = self.pid;
        let conn = Rc::make_mut(self.machine.conns.get_mut(&id).ok_or(Errno::ENOTCONN)?);
        match conn.state {
            ConnState::Failed(_) => {
                self.broken_pipe();
                return Err(Errno::EPIPE);
            }
            ConnState::Open if conn.shut => return Err(Errno::EPIPE),
            ConnState::Open if conn.in_flight < SEND_WINDOW => {}
            _ => {
                note(&mut conn.waiters, pid);
                return Err(Errno::EAGAIN);
            }
        }
        let n = bytes.len().min(SEND_WINDOW - conn.in_flight);
        conn.in_flight += n;
        self.out.push(MachineOutput::Net(NetOutput::Send { conn: id, data: bytes[..n].into() }));
        Ok(n)
    }

    /// Sends no more on a connection; reading goes on.
    pub fn shutdown(&mut self, fd: Fd) -> Result<(), Errno> {
        let (id, conn) = self.conn_of(fd)?;
        if !std::mem::replace(&mut conn.shut, true) {
            self.out.push(MachineOutput::Net(NetOutput::Shutdown { conn: id }));
        }
        Ok(())
    }

    /// Listens on a TCP port (of all addresses if `ip` is `None`).
    pub fn listen(&mut self, ip: Option<IpAddr>, port: u16) -> Result<Fd, Errno> {
        if self.machine.listeners.contains_key(&port) || self.machine.foreign_ports.contains(&port) {
            return Err(Errno::EADDRINUSE);
        }
        if port < 1024 && self.uid() != 0 && self.machine.config.capabilities & (1 << 10) == 0 {
            return Err(Errno::EACCES);
        }
        let fd = self.install(OpenFile::new(Kind::Listener(port), true, false))?;
        self.machine.listeners.insert(port, Rc::default());
        self.out.push(MachineOutput::Net(NetOutput::Listen { ip, port }));
        Ok(fd)
    }

    /// The next connection of a listener, or `EAGAIN`.
    pub fn accept(&mut self, fd: Fd) -> Result<Fd, Errno> {
        let pid = self.pid;
        let Kind::Listener(port) = self.file(fd)?.kind else { return Err(Errno::EINVAL) };
        let listener = Rc::make_mut(self.machine.listeners.get_mut(&port).ok_or(Errno::EINVAL)?);
        let Some(conn) = listener.backlog.pop_front() else {
            note(&mut listener.waiters, pid);
            return Err(Errno::EAGAIN);
        };
        self.install(OpenFile::new(Kind::Conn(conn), true, true))
    }

    // ---- DNS, ping ----

    fn add_call(&mut self, kind: CallKind) -> CallId {
        self.machine.counters.call += 1;
        let id = CallId(self.machine.counters.call);
        let owner = self.pid;
        self.machine.calls.insert(id, Rc::new(CallState { owner, kind }));
        id
    }

    /// Sends one DNS query to a server.
    pub fn query(&mut self, server: IpAddr, question: Question) -> CallId {
        let call = self.add_call(CallKind::Query(None));
        self.out.push(MachineOutput::Net(NetOutput::Query { call, server, question }));
        call
    }

    /// The answer to a query: `EAGAIN` until it is there; `None`: the network says that nobody answers.
    pub fn answer(&mut self, call: CallId) -> Result<Option<Answer>, Errno> {
        match self.machine.calls.get(&call).map(|c| &c.kind) {
            Some(CallKind::Query(Some(_))) => {}
            Some(CallKind::Query(None)) => return Err(Errno::EAGAIN),
            _ => return Err(Errno::EINVAL),
        }
        match self.machine.calls.remove(&call).map(|c| c.kind.clone()) {
            Some(CallKind::Query(Some(answer))) => Ok(answer),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Answers DNS queries that reach this machine on a UDP port.
    pub fn serve_dns(&mut self, port: u16) -> Result<Fd, Errno> {
        if self.machine.dns_servers.contains_key(&port) {
            return Err(Errno::EADDRINUSE);
        }
        let fd = self.install(OpenFile::new(Kind::Dns(port), true, true))?;
        self.machine.dns_servers.insert(port, Rc::default());
        self.out.push(MachineOutput::Net(NetOutput::ServeDns { port }));
        Ok(fd)
    }

    /// The next query: its number, who asks, what. `EAGAIN` if there is none.
    pub fn next_query(&mut self, fd: Fd) -> Result<(u64, IpAddr, Question), Errno> {
        let pid = self.pid;
        let Kind::Dns(port) = self.file(fd)?.kind else { return Err(Errno::EINVAL) };
        let server = Rc::make_mut(self.machine.dns_servers.get_mut(&port).ok_or(Errno::EINVAL)?);
        server.queue.pop_front().ok_or_else(|| {
            note(&mut server.waiters, pid);
            Errno::EAGAIN
        })
    }

    pub fn answer_query(&mut self, query: u64, answer: Answer) {
        self.out.push(MachineOutput::Net(NetOutput::Answer { query, answer }));
    }

    /// Sends one ICMP echo request.
    pub fn ping(&mut self, ip: IpAddr) -> CallId {
        let call = self.add_call(CallKind::Ping(None));
        self.out.push(MachineOutput::Net(NetOutput::Ping { call, ip }));
        call
    }

    /// The echo's TTL; `None`: lost. `EAGAIN` until it is known.
    pub fn pong(&mut self, call: CallId) -> Result<Option<u8>, Errno> {
        let Some(CallKind::Ping(slot)) = self.machine.calls.get(&call).map(|c| c.kind.clone()) else { return Err(Errno::EINVAL) };
        let ttl = slot.ok_or(Errno::EAGAIN)?;
        self.machine.calls.remove(&call);
        Ok(ttl)
    }

    // ---- the Kubernetes API ----

    /// Sends a request to a kube-apiserver.
    pub fn api(&mut self, request: ApiCall) -> CallId {
        let call = self.add_call(CallKind::Api { events: base::Vector::new(), over: false });
        self.out.push(MachineOutput::Api { call, request });
        call
    }

    /// The next event of a call. `EAGAIN`: none yet, the process is woken. `EINVAL`: the call is over.
    pub fn api_event(&mut self, call: CallId) -> Result<ApiEvent, Errno> {
        let state = self.machine.calls.get_mut(&call).ok_or(Errno::EINVAL)?;
        let CallKind::Api { events, over } = &mut Rc::make_mut(state).kind else { return Err(Errno::EINVAL) };
        let event = events.pop_front().ok_or(Errno::EAGAIN)?;
        if *over && events.is_empty() {
            self.machine.calls.remove(&call);
        }
        Ok(event)
    }

    /// Sends a frame on an open stream (stdin 0, resize 4).
    pub fn api_send(&mut self, call: CallId, channel: u8, data: &[u8]) {
        if self.machine.calls.contains_key(&call) {
            self.out.push(MachineOutput::ApiFrame { call, channel, data: data.into() });
        }
    }

    /// Ends a watch or stream.
    pub fn api_close(&mut self, call: CallId) {
        self.machine.drop_call(call, self.out);
    }

    // ---- the editor ----

    /// Opens a text in the page's editor. A terminal would stand there without a word meanwhile: it is told, as git does.
    pub fn edit(&mut self, title: &str, text: &str) -> CallId {
        if self.is_tty(2) {
            let _ = self.write(2, b"hint: Waiting for your editor to close the file... (in Manifests; ^C gives up)\n");
        }
        let call = self.add_call(CallKind::Edit(None));
        self.out.push(MachineOutput::Edit { call, title: title.into(), text: text.into() });
        call
    }

    /// What the user saved, or `None` if they gave up. `EAGAIN` while they edit.
    pub fn edited(&mut self, call: CallId) -> Result<Option<Text>, Errno> {
        let Some(CallKind::Edit(slot)) = self.machine.calls.get(&call).map(|c| c.kind.clone()) else { return Err(Errno::EINVAL) };
        let text = slot.ok_or(Errno::EAGAIN)?;
        self.machine.calls.remove(&call);
        Ok(text)
    }
}

fn note(waiters: &mut Vec<Pid>, pid: Pid) {
    if !waiters.contains(&pid) {
        waiters.push(pid);
    }
}
