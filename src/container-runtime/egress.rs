//! Requests that a component of this machine sends into the cluster's network: kube-apiserver to an aggregated API server behind
//! a Service. In a real node the component opens the connection itself; here components speak in messages, so the machine's
//! kernel opens it for them, and the packets go by the same rules and routes as all others.
//!
//! Left out by name: TLS (spoken in clear), answers that are streams.

use std::net::SocketAddr;
use std::rc::Rc;

use apimachinery::{Body, Request, Response, ResponseBody, json};
use base::{Duration, Time};
use cri_api::Errno;
use cri_api::net::{ConnId, NetInput};
use cri_api::packet::PacketBody;
use sim::{Addr, Outbox, StreamId, transport_error};

use crate::network::Owner;
use crate::{Runtime, Text, Wake};

/// The query parameter of a request that names the far end: `10.96.3.4:443`.
pub const CONNECT_TO: &str = "\u{0}connect";
/// Query parameters that are headers: `X-Remote-User: jane`.
pub const HEADER: &str = "\u{0}header";

const TIMEOUT: Duration = Duration::from_secs(10);
/// No answer may be longer.
const MOST_BYTES: usize = 16 << 20;

/// A request under way.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    to: Addr,
    id: StreamId,
    target: Text,
    text: Rc<Vec<u8>>,
    received: Rc<Vec<u8>>,
}

impl Runtime {
    /// Opens a connection for a component and sends its request.
    pub(crate) fn egress(&mut self, now: Time, from: Addr, id: StreamId, request: &Request, out: &mut Outbox) {
        let target: Text = request.options.query(CONNECT_TO).unwrap_or("").into();
        let Ok(far) = target.parse::<SocketAddr>() else {
            return out.respond(from, id, transport_error(&format!("dial tcp: address {target}: invalid address")));
        };
        let key = self.next();
        let text = Rc::new(http_text(request, &target));
        self.egresses.insert(key, Egress { to: from, id, target, text, received: Rc::default() });
        self.wake_after(TIMEOUT, Wake::EgressTimeout(key), out);
        self.connect(now, Owner::Egress(key), ConnId(1), self.config.node_ip, (far.ip(), far.port()), out);
    }

    /// What the network says to a component's connection.
    pub(crate) fn egress_event(&mut self, now: Time, key: u64, input: NetInput, out: &mut Outbox) {
        let Some(egress) = self.egresses.get_mut(&key) else { return };
        match input {
            NetInput::Connected { .. } => {
                let text = egress.text.clone();
                if let Some((near, far)) = self.network.ends_of(&Owner::Egress(key), ConnId(1)) {
                    self.send(now, near, far, PacketBody::Data(text.as_slice().into()), out);
                }
            }
            NetInput::Data { data, .. } => {
                Rc::make_mut(&mut egress.received).extend_from_slice(&data);
                if let Some((near, far)) = self.network.ends_of(&Owner::Egress(key), ConnId(1)) {
                    self.send(now, near, far, PacketBody::Window(data.len()), out);
                }
                self.egress_look(now, key, false, out);
            }
            NetInput::Eof { .. } => self.egress_look(now, key, true, out),
            NetInput::Failed { error, .. } => {
                let text = format!("dial tcp {}: connect: {}", egress.target, error.text().to_lowercase());
                self.egress_done(now, key, transport_error(&text), out);
            }
            _ => {}
        }
    }

    /// Answers if what came is whole.
    fn egress_look(&mut self, now: Time, key: u64, ended: bool, out: &mut Outbox) {
        let Some(egress) = self.egresses.get(&key) else { return };
        match http_response(&egress.received, ended) {
            Some(response) => self.egress_done(now, key, response, out),
            None if ended || egress.received.len() > MOST_BYTES => self.egress_done(now, key, transport_error("EOF"), out),
            None => {}
        }
    }

    pub(crate) fn egress_timeout(&mut self, now: Time, key: u64, out: &mut Outbox) {
        let Some(egress) = self.egresses.get(&key) else { return };
        let text = format!("dial tcp {}: i/o timeout", egress.target);
        self.egress_done(now, key, transport_error(&text), out);
    }

    fn egress_done(&mut self, now: Time, key: u64, response: Response, out: &mut Outbox) {
        let Some(egress) = self.egresses.remove(&key) else { return };
        if let Some((near, far)) = self.network.ends_of(&Owner::Egress(key), ConnId(1)) {
            self.send(now, near, far, PacketBody::Reset(Errno::ECONNRESET), out);
            self.network.forget((near, far));
        }
        out.respond(egress.to, egress.id, response);
    }
}

/// The request as HTTP/1.1.
fn http_text(request: &Request, host: &str) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", request.verb.method(), request.path);
    text.push_str(&format!("User-Agent: {}\r\nAccept: {}\r\n", request.user_agent, request.accept.as_deref().unwrap_or("*/*")));
    for (_, header) in request.options.query.iter().filter(|(k, _)| &**k == HEADER) {
        // A line break in a header would begin another one.
        text.push_str(&header.replace(['\r', '\n'], " "));
        text.push_str("\r\n");
    }
    let (kind, body): (&str, Vec<u8>) = match &request.body {
        Body::None => ("", Vec::new()),
        Body::Object(object) => ("application/json", json::to_string(object.value()).into_bytes()),
        Body::Patch(_, value) => ("application/merge-patch+json", json::to_string(value).into_bytes()),
        Body::Bytes(kind, bytes) => (kind, bytes.to_vec()),
    };
    if !body.is_empty() {
        text.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()));
    }
    text.push_str("Connection: close\r\n\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend(body);
    bytes
}

/// An answer that is whole: by its length, or because the connection has ended.
fn http_response(bytes: &[u8], ended: bool) -> Option<Response> {
    let head_end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..head_end]);
    let code = head.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        head.lines().find_map(|l| l.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()))
    };
    let body = &bytes[head_end + 4..];
    let length = header("content-length").and_then(|v| v.parse::<usize>().ok());
    if !ended && length.is_none_or(|n| body.len() < n) {
        return None;
    }
    let body = &body[..length.unwrap_or(body.len()).min(body.len())];
    let text = String::from_utf8_lossy(body).into_owned();
    let kind = header("content-type").unwrap_or("text/plain");
    Some(Response { code, warnings: Vec::new(), body: ResponseBody::Text(kind.into(), text.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(http_response(&text[..text.len() - 1], false), None);
        let response = http_response(text, false).unwrap();
        assert_eq!((response.code, response.body), (200, ResponseBody::Text("application/json".into(), "{}".into())));
        // Nonsense is no answer and no panic.
        assert_eq!(http_response(b"\r\n\r\n", true), None);
        assert_eq!(http_response(b"HTTP/1.1 abc\r\n\r\n", true), None);
    }

    #[test]
    fn a_header_stays_one_line() {
        let mut request = Request::get_path("/x?y=1");
        request.options.query.push((HEADER.into(), "X-Remote-User: a\r\nX: b".into()));
        let text = String::from_utf8(http_text(&request, "h:1")).unwrap();
        assert!(text.starts_with("GET /x?y=1 HTTP/1.1\r\nHost: h:1\r\n"));
        assert!(text.contains("X-Remote-User: a  X: b\r\n"));
    }
}
