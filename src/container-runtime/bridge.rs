//! Components on the network: a connection to a component's port (kube-apiserver's 443, CoreDNS' 8080) is spoken to on its
//! behalf. The bridge reads HTTP/1.1, hands the request over whole, and writes the answer. TLS is not modelled: `https` is
//! spoken in clear, and certificates are neither shown nor checked (a client's `-k` makes no difference, and says nothing).

use std::net::IpAddr;
use std::rc::Rc;

use apimachinery::{Body, Credential, Request, Response, ResponseBody, Verb, json};
use base::Time;
use cri_api::cri::Id;
use cri_api::net::{ConnId, NetInput};
use cri_api::packet::{Packet, PacketBody};
use sim::{Addr, Outbox};

use crate::Runtime;
use crate::network::Owner;

/// One connection to a component.
#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    component: Addr,
    received: Rc<Vec<u8>>,
}

/// The ports of the control plane's components, which share their node's address.
const HOST_PORTS: [(&str, &[u16]); 5] = [
    ("kube-apiserver", &[6443]),
    ("etcd", &[2379, 2381]),
    ("kube-controller-manager", &[10257]),
    ("kube-scheduler", &[10259]),
    ("kube-proxy", &[10249, 10256]),
];

/// `--port` of a kubelet: metrics, logs, exec.
const KUBELET_PORT: u16 = 10250;

impl Runtime {
    /// The component that has a pod address for itself.
    pub(crate) fn component_at(&self, ip: IpAddr) -> Option<(Addr, Id)> {
        if ip == self.config.node_ip {
            return None;
        }
        let sandbox = self.network.pod_at(ip)?;
        let found = self.containers.iter().find(|(_, c)| c.sandbox == *sandbox && c.component.is_some() && c.is_running());
        found.and_then(|(id, c)| Some((c.component?, id.clone())))
    }

    /// The component that answers at an address and port.
    pub(crate) fn component_for(&self, ip: IpAddr, port: u16) -> Option<(Addr, Id)> {
        if ip != self.config.node_ip && !ip.is_loopback() {
            return self.component_at(ip);
        }
        // The kubelet is no container: systemd runs it.
        if matches!(port, KUBELET_PORT | 10248) {
            return (self.kubelet != Addr::OUTSIDE).then(|| (self.kubelet, "".into()));
        }
        let program = HOST_PORTS.iter().find(|(_, ports)| ports.contains(&port)).map(|(name, _)| *name)?;
        let is_it = |c: &crate::Container| matches!(&c.image.start, crate::Start::Component(p) if &**p == program);
        let found = self.containers.iter().find(|(_, c)| c.is_running() && is_it(c))?;
        Some((found.1.component?, found.0.clone()))
    }

    /// Takes a connection for a component. False: there is none at this end.
    pub(crate) fn accept_for_component(&mut self, now: Time, packet: &Packet, out: &mut Outbox) -> bool {
        let Some((component, _)) = self.component_for(packet.dst.0, packet.dst.1) else { return false };
        let key = self.next();
        self.bridges.insert(key, Bridge { component, received: Rc::default() });
        self.network.remember(packet.dst, packet.src, Owner::Bridge(key), ConnId::incoming(key));
        self.send_accept(now, packet, out);
        true
    }

    pub(crate) fn bridge_event(&mut self, now: Time, key: u64, input: NetInput, out: &mut Outbox) {
        match input {
            NetInput::Data { data, .. } => {
                let Some(bridge) = self.bridges.get_mut(&key) else { return };
                let received = Rc::make_mut(&mut bridge.received);
                received.extend_from_slice(&data);
                let Some((request, used)) = parse_request(received) else { return };
                received.drain(..used);
                let component = bridge.component;
                let _ = now;
                out.request(component, key, request);
            }
            NetInput::Failed { .. } | NetInput::Eof { .. } => {
                self.bridges.remove(&key);
                if let Some(ends) = self.network.ends_of(&Owner::Bridge(key), ConnId::incoming(key)) {
                    self.network.forget(ends);
                }
            }
            _ => {}
        }
    }

    /// A component's answer. False: it was for somebody else.
    pub(crate) fn bridge_answered(&mut self, now: Time, key: u64, response: &Response, out: &mut Outbox) -> bool {
        if !self.bridges.contains_key(&key) {
            return false;
        }
        let Some((near, far)) = self.network.ends_of(&Owner::Bridge(key), ConnId::incoming(key)) else { return true };
        let (content_type, body) = match &response.body {
            ResponseBody::None => ("text/plain".to_string(), String::new()),
            ResponseBody::Object(o) => ("application/json".into(), json::to_string(o.value())),
            ResponseBody::List(l) => ("application/json".into(), json::to_string(&l.to_value())),
            ResponseBody::Text(kind, text) => (kind.to_string(), text.to_string()),
            ResponseBody::WatchStarted | ResponseBody::StreamStarted => {
                ("text/plain".into(), "streams over plain HTTP are not in this bottle\n".into())
            }
        };
        let code = if response.code == 0 { 502 } else { response.code };
        let head = format!(
            "HTTP/1.1 {code} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            reason(code),
            body.len()
        );
        self.send(now, near, far, PacketBody::Data((head + &body).into_bytes().into()), out);
        self.send(now, near, far, PacketBody::Fin, out);
        true
    }
}

/// The reason phrase of a status.
fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        422 => "Unprocessable Entity",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

/// A whole HTTP request, and how many bytes it took. It becomes a raw request: method in `query("method")`, path in `path`.
fn parse_request(bytes: &[u8]) -> Option<(Request, usize)> {
    let head_end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?, first.next()?);
    let mut length = 0;
    let mut request =
        Request { verb: if method == "GET" { Verb::GetPath } else { Verb::OtherPath }, path: path.into(), ..Request::default() };
    let mut content_type = "application/json".to_string();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "content-type" => content_type = value.into(),
            "accept" if value != "*/*" => request.accept = Some(value.into()),
            "user-agent" => request.user_agent = value.into(),
            "authorization" => {
                if let Some(token) = value.strip_prefix("Bearer ") {
                    request.credential = Credential::Bearer(token.into());
                }
            }
            _ => {}
        }
    }
    let end = head_end + 4 + length;
    let body = bytes.get(head_end + 4..end)?;
    if !body.is_empty() {
        request.body = Body::Bytes(content_type.into(), body.into());
    }
    request.options.query.push(("method".into(), method.into()));
    Some((request, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_when_it_is_whole() {
        let text = b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 2\r\n\r\n{}GET";
        assert!(parse_request(&text[..text.len() - 5]).is_none());
        let (request, used) = parse_request(text).unwrap();
        assert_eq!((used, request.options.query("method"), &*request.path), (text.len() - 3, Some("POST"), "/api/v1/namespaces"));
        assert_eq!(request.credential, Credential::Bearer("t".into()));
    }
}
