//! HTTP/1.1 for programs that are clients and servers at once (metrics-server, Prometheus, Fluentd, the log store): one request a
//! connection, over simulated sockets. Left out by name: TLS (`https` is spoken in clear), keep-alive, chunks.

use std::rc::Rc;

use base::{Duration, Time};
use cri_api::machine::Sys;
use cri_api::program::Fd;
use cri_api::{Errno, Signal};

use crate::lookup::Lookup;

/// Bytes of one answer or request at most.
const MOST_BYTES: usize = 16 << 20;
/// Open connections of a server at most; more wait in the backlog.
const MOST_CONNECTIONS: usize = 256;

/// A request under way.
#[derive(Clone)]
pub struct Fetch {
    host: String,
    port: u16,
    state: State,
    request: Rc<Vec<u8>>,
    received: Vec<u8>,
    deadline: Time,
}

#[derive(Clone)]
enum State {
    Resolving(Box<Lookup>),
    Connecting(Fd),
    Sending(Fd, usize),
    Reading(Fd),
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Vec<u8>,
}

impl Fetch {
    /// Begins a GET. `path` has its query.
    pub fn get(sys: &mut Sys<'_>, to: (&str, u16), path: &str, headers: &[(&str, &str)], timeout: Duration) -> Fetch {
        Fetch::begin(sys, to, "GET", path, headers, &[], timeout)
    }

    /// Begins a POST of JSON.
    pub fn post(sys: &mut Sys<'_>, to: (&str, u16), path: &str, body: &[u8], timeout: Duration) -> Fetch {
        Fetch::begin(sys, to, "POST", path, &[("Content-Type", "application/json")], body, timeout)
    }

    fn begin(
        sys: &mut Sys<'_>,
        (host, port): (&str, u16),
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        timeout: Duration,
    ) -> Fetch {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("Connection: close\r\n\r\n");
        let mut request = text.into_bytes();
        request.extend_from_slice(body);
        Fetch {
            host: host.into(),
            port,
            state: State::Resolving(Box::new(Lookup::new(host, sys))),
            request: Rc::new(request),
            received: Vec::new(),
            deadline: sys.now() + timeout,
        }
    }

    /// When it is given up: whoever polls must be awake then.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Goes on. `None`: not yet. An error is Go's text.
    pub fn poll(&mut self, sys: &mut Sys<'_>) -> Option<Result<Answer, String>> {
        let result = match self.run(sys) {
            Ok(answer) => Ok(answer),
            Err(Error::Again) if sys.now() < self.deadline => return None,
            Err(Error::Again) => Err("context deadline exceeded".to_string()),
            Err(Error::Failed(text)) => Err(text),
        };
        self.close(sys);
        Some(result)
    }

    /// Gives up.
    pub fn close(&mut self, sys: &mut Sys<'_>) {
        if let State::Connecting(fd) | State::Sending(fd, _) | State::Reading(fd) = &self.state {
            let _ = sys.close(*fd);
        }
    }

    fn run(&mut self, sys: &mut Sys<'_>) -> Result<Answer, Error> {
        let target = format!("{}:{}", self.host, self.port);
        loop {
            match &mut self.state {
                State::Resolving(resolve) => {
                    let Some(ip) = resolve.poll(sys)? else {
                        return Err(Error::Failed(format!("dial tcp: lookup {}: no such host", self.host)));
                    };
                    let fd = sys.connect(ip, self.port)?;
                    self.state = State::Connecting(fd);
                }
                State::Connecting(fd) => {
                    let fd = *fd;
                    match sys.connection(fd) {
                        Ok(()) => self.state = State::Sending(fd, 0),
                        Err(Errno::EAGAIN) => return Err(Error::Again),
                        Err(e) => return Err(Error::Failed(format!("dial tcp {target}: connect: {}", e.text().to_lowercase()))),
                    }
                }
                State::Sending(fd, sent) => {
                    let (fd, at) = (*fd, *sent);
                    if at == self.request.len() {
                        self.state = State::Reading(fd);
                        continue;
                    }
                    let n = sys.write(fd, &self.request[at..])?;
                    self.state = State::Sending(fd, at + n);
                }
                State::Reading(fd) => {
                    let fd = *fd;
                    let ended = match sys.read(fd, 64 * 1024) {
                        Ok(bytes) => {
                            self.received.extend_from_slice(&bytes);
                            bytes.is_empty()
                        }
                        Err(Errno::EAGAIN) => return Err(Error::Again),
                        Err(_) => true,
                    };
                    if let Some(answer) = answer(&self.received, ended) {
                        return Ok(answer);
                    }
                    if ended || self.received.len() > MOST_BYTES {
                        return Err(Error::Failed("EOF".into()));
                    }
                }
            }
        }
    }
}

enum Error {
    Again,
    Failed(String),
}

impl From<Errno> for Error {
    fn from(e: Errno) -> Error {
        if e == Errno::EAGAIN { Error::Again } else { Error::Failed(e.text().to_lowercase()) }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|l| l.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()))
}

fn answer(bytes: &[u8], ended: bool) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let code = head.split(' ').nth(1)?.parse().ok()?;
    let body = &bytes[end + 4..];
    let length = header(&head, "content-length").and_then(|v| v.parse::<usize>().ok());
    if !ended && length.is_none_or(|n| body.len() < n) {
        return None;
    }
    Some(Answer { code, body: body[..length.unwrap_or(body.len()).min(body.len())].to_vec() })
}

/// A server on one port.
#[derive(Clone, Default)]
pub struct Server {
    listener: Option<Fd>,
    conns: Vec<Conn>,
    counter: u64,
}

#[derive(Clone)]
struct Conn {
    id: u64,
    fd: Fd,
    received: Vec<u8>,
    /// It was handed out: an answer is awaited.
    taken: bool,
    sending: Option<Rc<Vec<u8>>>,
    sent: usize,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Names the connection for [`Server::answer`].
    pub id: u64,
    pub method: String,
    pub path: String,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    pub head: String,
    pub body: Vec<u8>,
}

impl Incoming {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
    /// The first parameter of a name, of the query or of a form in the body.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    pub fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Server {
    pub fn listen(&mut self, sys: &mut Sys<'_>, port: u16) -> Result<(), Errno> {
        self.listener = Some(sys.listen(None, port)?);
        Ok(())
    }

    /// Requests that have come in whole.
    pub fn requests(&mut self, sys: &mut Sys<'_>) -> Vec<Incoming> {
        if let Some(listener) = self.listener {
            while self.conns.len() < MOST_CONNECTIONS {
                let Ok(fd) = sys.accept(listener) else { break };
                self.counter += 1;
                let id = self.counter;
                self.conns.push(Conn { id, fd, received: Vec::new(), taken: false, sending: None, sent: 0 });
            }
        }
        let mut found = Vec::new();
        self.conns.retain_mut(|conn| {
            if conn.taken || conn.sending.is_some() {
                return true;
            }
            loop {
                match sys.read(conn.fd, 64 * 1024) {
                    Ok(bytes) if !bytes.is_empty() => conn.received.extend_from_slice(&bytes),
                    Err(Errno::EAGAIN) => break,
                    _ => {
                        let _ = sys.close(conn.fd);
                        return false;
                    }
                }
                if conn.received.len() > MOST_BYTES {
                    let _ = sys.close(conn.fd);
                    return false;
                }
                if let Some(request) = incoming(conn.id, &conn.received) {
                    conn.taken = true;
                    found.push(request);
                    break;
                }
            }
            true
        });
        found
    }

    /// What is to be sent to a connection. [`Server::flush`] sends it.
    pub fn answer(&mut self, id: u64, code: u16, kind: &str, body: &[u8]) {
        let Some(conn) = self.conns.iter_mut().find(|c| c.id == id) else { return };
        let head = format!(
            "HTTP/1.1 {code} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            reason(code),
            body.len()
        );
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        conn.sending = Some(Rc::new(bytes));
    }

    /// Sends what can be sent now.
    pub fn flush(&mut self, sys: &mut Sys<'_>) {
        self.conns.retain_mut(|conn| {
            let Some(bytes) = conn.sending.clone() else { return true };
            while conn.sent < bytes.len() {
                match sys.write(conn.fd, &bytes[conn.sent..]) {
                    Ok(n) => conn.sent += n,
                    Err(Errno::EAGAIN) => return true,
                    Err(_) => break,
                }
            }
            let _ = sys.close(conn.fd);
            false
        });
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        422 => "Unprocessable Entity",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

fn incoming(id: u64, bytes: &[u8]) -> Option<Incoming> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut words = head.lines().next()?.split(' ');
    let (method, target) = (words.next()?.to_string(), words.next().unwrap_or("/").to_string());
    let length: usize = header(&head, "content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let body = bytes.get(end + 4..(end + 4).checked_add(length)?)?.to_vec();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut query = parse_query(query);
    if header(&head, "content-type").is_some_and(|k| k.starts_with("application/x-www-form-urlencoded")) {
        query.extend(parse_query(&String::from_utf8_lossy(&body)));
    }
    let path = decode(path);
    Some(Incoming { id, method, path, query, head, body })
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|p| !p.is_empty());
    pairs.map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(k, v)| (decode(k), decode(v))).collect()
}

/// `%2F` and `+` undone.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| (*b as char).to_digit(16));
        match (bytes[i], hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
            }
            (b'+', _, _) => {
                out.push(b' ');
                i += 1;
            }
            (b, _, _) => {
                out.push(b);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Signals that end a server in peace.
pub fn catch_ends(sys: &mut Sys<'_>) {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        sys.on_signal(signal, cri_api::Disposition::Catch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_when_whole_and_decoded() {
        let text = b"GET /api/v1/query?query=up%7Bjob%3D%22x%22%7D+%2B+1 HTTP/1.1\r\nHost: h\r\n\r\n";
        assert!(incoming(1, &text[..20]).is_none());
        let request = incoming(1, text).unwrap();
        assert_eq!((&*request.path, request.parameter("query")), ("/api/v1/query", Some("up{job=\"x\"} + 1")));
        let post = b"POST /q HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\nquery=1";
        assert_eq!(incoming(1, post).unwrap().parameter("query"), Some("1"));
        // No length of a request overflows.
        let huge = format!("GET / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", usize::MAX);
        assert!(incoming(1, huge.as_bytes()).is_none());
        assert_eq!(decode("%zz%4"), "%zz%4");
    }
}
