//! Sockets and names as they cross the wall of a machine. The owner (container runtime, CNI, the laptop's link) carries
//! connections through kube-proxy's rules and routes; a machine only knows its ends.

use std::net::IpAddr;
use std::rc::Rc;

use crate::call::CallId;
use crate::errno::Errno;
use crate::program::Text;

/// One end of a TCP connection. A machine numbers those it opens from 1 upwards; the owner numbers incoming ones with
/// [`ConnId::incoming`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The name of a connection that came from outside; `n` is the owner's counter.
    pub fn incoming(n: u64) -> ConnId {
        ConnId(n | 1 << 63)
    }
}

/// Bytes in flight that a sender may have on one connection before it has to wait for [`NetInput::Window`].
pub const SEND_WINDOW: usize = 256 * 1024;

/// What a machine asks of the network.
#[derive(Clone, Debug)]
pub enum NetOutput {
    /// Opens a connection. Answered by `Connected` or `Failed` (refused, timed out, no route).
    Connect {
        conn: ConnId,
        ip: IpAddr,
        port: u16,
    },
    /// A process listens from now on; connections to this port may be handed in as `Incoming`.
    Listen {
        ip: Option<IpAddr>,
        port: u16,
    },
    Unlisten {
        port: u16,
    },
    Send {
        conn: ConnId,
        data: Rc<[u8]>,
    },
    /// This end sends no more.
    Shutdown {
        conn: ConnId,
    },
    /// This end is gone (closed, or its process died with unread data: a reset).
    Close {
        conn: ConnId,
    },
    /// The program has read that many bytes: the owner tells the sender's machine (`NetInput::Window`).
    Consumed {
        conn: ConnId,
        bytes: usize,
    },
    /// A DNS query to a server, over UDP.
    Query {
        call: CallId,
        server: IpAddr,
        question: Question,
    },
    /// Answer to a query that came in as `NetInput::Query`.
    Answer {
        query: u64,
        answer: Answer,
    },
    /// Serves DNS on UDP from now on.
    ServeDns {
        port: u16,
    },
    /// One ICMP echo request. Answered by `Pong`.
    Ping {
        call: CallId,
        ip: IpAddr,
    },
}

/// What the network tells a machine.
#[derive(Clone, Debug)]
pub enum NetInput {
    Connected {
        conn: ConnId,
        local: (IpAddr, u16),
    },
    /// Connecting failed, or the connection broke (`ECONNRESET`).
    Failed {
        conn: ConnId,
        error: Errno,
    },
    Incoming {
        conn: ConnId,
        port: u16,
        peer: (IpAddr, u16),
        local: (IpAddr, u16),
    },
    Data {
        conn: ConnId,
        data: Rc<[u8]>,
    },
    /// The peer sends no more.
    Eof {
        conn: ConnId,
    },
    /// The peer has read so many bytes of what was sent.
    Window {
        conn: ConnId,
        bytes: usize,
    },
    /// `None`: nobody answered (the program decides when it has waited long enough, or the owner sends this).
    Answered {
        call: CallId,
        answer: Option<Answer>,
    },
    Query {
        query: u64,
        from: IpAddr,
        question: Question,
    },
    /// `None`: no reply.
    Pong {
        call: CallId,
        ttl: Option<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::upper_case_acronyms)]
pub enum RecordType {
    A,
    AAAA,
    CNAME,
    NS,
    PTR,
    SOA,
    SRV,
    TXT,
}

/// A DNS question: a fully qualified name without its last dot, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub name: Text,
    pub record_type: RecordType,
}

/// A DNS answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: ResponseCode,
    pub authoritative: bool,
    pub records: Vec<Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseCode {
    NoError,
    NxDomain,
    ServFail,
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: Text,
    /// Seconds.
    pub ttl: u32,
    pub data: RecordData,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordData {
    Ip(IpAddr),
    Cname(Text),
    Ptr(Text),
    Ns(Text),
    Srv { priority: u16, weight: u16, port: u16, target: Text },
    Txt(Text),
    Soa(Text),
}
