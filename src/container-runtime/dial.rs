//! The kubelet's probes and HTTP hooks: small clients in the node's own network namespace.

use std::net::IpAddr;
use std::rc::Rc;

use apimachinery::{Request, ResponseBody};
use base::{Duration, Time};
use cri_api::cri::{self, Dial};
use cri_api::net::{ConnId, NetInput};
use cri_api::packet::PacketBody;
use sim::{Addr, Outbox, Payload};

use crate::network::Owner;
use crate::{Runtime, Text, Wake, error};

/// A probe under way.
#[derive(Clone, Debug)]
pub(crate) struct Dialing {
    to: Addr,
    request: u64,
    dial: Dial,
    target: Text,
    received: Rc<Vec<u8>>,
}

impl Runtime {
    pub(crate) fn dial(&mut self, now: Time, from: Addr, request: u64, dial: &Dial, timeout: Duration, out: &mut Outbox) {
        let (Dial::Http { host, port, .. } | Dial::Tcp { host, port } | Dial::Grpc { host, port, .. }) = dial;
        let target: Text = format!("{host}:{port}").into();
        let dialing = Dialing { to: from, request, dial: dial.clone(), target, received: Rc::default() };
        let key = self.next();
        let Ok(ip) = host.parse::<IpAddr>() else {
            let text = format!("dial tcp: lookup {host}: no such host");
            return self.answer_dial(dialing, error("Unknown", text), out);
        };
        // A component answers HTTP by itself.
        if let (Some((addr, _)), Dial::Http { path, .. }) = (self.component_for(ip, *port), dial) {
            self.dials.insert(key, dialing);
            self.wake_after(timeout, Wake::DialTimeout(key), out);
            return out.request(addr, key, Request::get_path(path));
        }
        self.dials.insert(key, dialing);
        self.wake_after(timeout, Wake::DialTimeout(key), out);
        self.connect(now, Owner::Dial(key), ConnId(1), self.config.node_ip, (ip, *port), out);
    }

    fn answer_dial(&self, dialing: Dialing, response: cri::Response, out: &mut Outbox) {
        out.send(dialing.to, Payload::Cri(Rc::new(cri::Message::Response { id: dialing.request, response })));
    }

    pub(crate) fn dial_timeout(&mut self, now: Time, key: u64, out: &mut Outbox) {
        let Some(dialing) = self.dials.remove(&key) else { return };
        self.close_dial(now, key, out);
        let text = match &dialing.dial {
            Dial::Http { path, scheme, .. } => {
                let scheme = if *scheme == cri::HttpScheme::Https { "https" } else { "http" };
                format!(
                    "Get \"{scheme}://{}{path}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                    dialing.target
                )
            }
            _ => format!("dial tcp {}: i/o timeout", dialing.target),
        };
        self.answer_dial(dialing, error("DeadlineExceeded", text), out);
    }

    fn close_dial(&mut self, now: Time, key: u64, out: &mut Outbox) {
        if let Some((near, far)) = self.network.ends_of(&Owner::Dial(key), ConnId(1)) {
            self.send(now, near, far, PacketBody::Reset(cri_api::Errno::ECONNRESET), out);
            self.network.forget((near, far));
        }
    }

    /// What the network says to a probe.
    pub(crate) fn dial_event(&mut self, now: Time, key: u64, input: NetInput, out: &mut Outbox) {
        let Some(dialing) = self.dials.get(&key).cloned() else { return };
        match input {
            NetInput::Connected { .. } => match &dialing.dial {
                Dial::Http { path, headers, .. } => {
                    let request = http_request(&dialing.target, path, headers);
                    if let Some((near, far)) = self.network.ends_of(&Owner::Dial(key), ConnId(1)) {
                        self.send(now, near, far, PacketBody::Data(request.into_bytes().into()), out);
                    }
                }
                Dial::Tcp { .. } | Dial::Grpc { .. } => self.dialed(now, key, 0, "", out),
            },
            NetInput::Data { data, .. } => {
                let mut complete = None;
                if let Some(d) = self.dials.get_mut(&key) {
                    Rc::make_mut(&mut d.received).extend_from_slice(&data);
                    complete = status_and_body(&d.received, false);
                }
                if let Some((status, body)) = complete {
                    self.dialed(now, key, status, &body, out);
                }
            }
            NetInput::Eof { .. } => {
                let (status, body) = status_and_body(&dialing.received, true).unwrap_or((0, String::new()));
                match status {
                    0 => self.dial_failed(now, key, &format!("Get {:?}: EOF", dialing.target), out),
                    _ => self.dialed(now, key, status, &body, out),
                }
            }
            NetInput::Failed { error, .. } => {
                let text = format!("dial tcp {}: connect: {}", dialing.target, error.text().to_lowercase());
                let text = match &dialing.dial {
                    Dial::Http { path, scheme, .. } => {
                        let scheme = if *scheme == cri::HttpScheme::Https { "https" } else { "http" };
                        format!("Get \"{scheme}://{}{path}\": {text}", dialing.target)
                    }
                    _ => text,
                };
                self.dial_failed(now, key, &text, out);
            }
            _ => {}
        }
    }

    fn dial_failed(&mut self, now: Time, key: u64, text: &str, out: &mut Outbox) {
        self.close_dial(now, key, out);
        if let Some(dialing) = self.dials.remove(&key) {
            self.answer_dial(dialing, error("Unknown", text), out);
        }
    }

    fn dialed(&mut self, now: Time, key: u64, status: u16, body: &str, out: &mut Outbox) {
        self.close_dial(now, key, out);
        if let Some(dialing) = self.dials.remove(&key) {
            self.answer_dial(dialing, cri::Response::Dialed { status, body: body.into() }, out);
        }
    }

    /// A component's answer to a probe. False: it was for somebody else.
    pub(crate) fn dial_answered(&mut self, now: Time, key: u64, response: &apimachinery::Response, out: &mut Outbox) -> bool {
        let Some(dialing) = self.dials.get(&key).cloned() else { return false };
        let body = match &response.body {
            ResponseBody::Text(_, text) => text.to_string(),
            _ => String::new(),
        };
        match response.code {
            0 => {
                let text = format!("Get {:?}: dial tcp {}: connect: connection refused", dialing.target, dialing.target);
                self.dial_failed(now, key, &text, out);
            }
            code => self.dialed(now, key, code, &body, out),
        }
        true
    }
}

fn http_request(host: &str, path: &str, headers: &[(Text, Text)]) -> String {
    let mut text =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-probe/1.37\r\nAccept: */*\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}

/// The status and what there is of the body, once the head is there and the body is as long as it says.
pub(crate) fn status_and_body(bytes: &[u8], ended: bool) -> Option<(u16, String)> {
    let head_end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..head_end]);
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = &bytes[head_end + 4..];
    let length = head.lines().find_map(|l| {
        let (name, value) = l.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let complete = ended || length.is_some_and(|n| body.len() >= n);
    complete.then(|| (status, String::from_utf8_lossy(&body[..body.len().min(10 * 1024)]).into_owned()))
}
