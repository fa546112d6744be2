//! Port-forward: the node's end of a stream that leads to a port of a pod. The real runtime enters the pod's network namespace and
//! dials localhost there; here the node dials the pod's address, which stands for it.

use std::net::SocketAddr;
use std::rc::Rc;

use base::Time;
use cri_api::Errno;
use cri_api::cri::{self, Id};
use cri_api::net::{ConnId, NetInput};
use cri_api::packet::PacketBody;
use sim::{Addr, Outbox, Payload};

use crate::logs::frame;
use crate::network::Owner;
use crate::{Runtime, error};

/// A connection for somebody's stream.
#[derive(Clone, Debug)]
pub(crate) struct Forward {
    to: Addr,
    request: u64,
    far: SocketAddr,
    open: bool,
    /// What the caller sent before the connection was open.
    early: Rc<Vec<PacketBody>>,
}

impl Runtime {
    pub(crate) fn port_forward(
        &mut self,
        now: Time,
        from: Addr,
        request: u64,
        sandbox: &Id,
        port: u16,
        out: &mut Outbox,
    ) -> Option<cri::Response> {
        let Some(ip) = self.sandboxes.get(sandbox).and_then(|s| s.ips.first().copied()) else {
            return Some(error("NotFound", format!("failed to find sandbox {sandbox:?} in store: not found")));
        };
        let key = self.next();
        let far = SocketAddr::new(ip, port);
        self.forwards.insert(key, Forward { to: from, request, far, open: false, early: Rc::default() });
        let response = cri::Response::Streaming;
        out.send(from, Payload::Cri(Rc::new(cri::Message::Response { id: request, response })));
        self.connect(now, Owner::Forward(key), ConnId(1), self.config.node_ip, (ip, port), out);
        None
    }

    /// What the network says to a forwarded connection.
    pub(crate) fn forward_event(&mut self, now: Time, key: u64, input: NetInput, out: &mut Outbox) {
        let Some(forward) = self.forwards.get_mut(&key) else { return };
        let (to, request) = (forward.to, forward.request);
        match input {
            NetInput::Connected { .. } => {
                forward.open = true;
                for body in forward.early.clone().iter() {
                    self.forward_send(now, key, body.clone(), out);
                }
            }
            NetInput::Data { data, .. } => {
                self.forward_send(now, key, PacketBody::Window(data.len()), out);
                frame(to, request, 0, data, out);
            }
            NetInput::Eof { .. } => self.forward_done(now, key, out),
            NetInput::Failed { error, .. } => {
                if !forward.open {
                    let (ip, port) = (forward.far.ip(), forward.far.port());
                    let text = format!(
                        "failed to connect to localhost:{port} inside the pod's network namespace: dial tcp {ip}:{port}: connect: {}",
                        error.text().to_lowercase()
                    );
                    frame(to, request, 1, text.into_bytes().into(), out);
                }
                self.forward_done(now, key, out);
            }
            _ => {}
        }
    }

    fn forward_send(&mut self, now: Time, key: u64, body: PacketBody, out: &mut Outbox) {
        if let Some((near, far)) = self.network.ends_of(&Owner::Forward(key), ConnId(1)) {
            self.send(now, near, far, body, out);
        }
    }

    /// Bytes of the caller, or their end. False: the stream is none of these.
    pub(crate) fn forward_input(&mut self, now: Time, request: u64, channel: u8, data: &Rc<[u8]>, out: &mut Outbox) -> bool {
        let Some((key, forward)) = self.forwards.iter().find(|(_, f)| f.request == request) else { return false };
        let (key, open) = (*key, forward.open);
        let body = if channel == 0 { PacketBody::Data(data.clone()) } else { PacketBody::Fin };
        match open {
            true => self.forward_send(now, key, body, out),
            false => {
                if let Some(forward) = self.forwards.get_mut(&key) {
                    Rc::make_mut(&mut forward.early).push(body);
                }
            }
        }
        true
    }

    /// The caller has hung up. False: the stream is none of these.
    pub(crate) fn forward_closed(&mut self, now: Time, request: u64, out: &mut Outbox) -> bool {
        let Some(key) = self.forwards.iter().find(|(_, f)| f.request == request).map(|(k, _)| *k) else { return false };
        self.forwards.remove(&key);
        self.forward_reset(now, key, out);
        true
    }

    fn forward_done(&mut self, now: Time, key: u64, out: &mut Outbox) {
        if let Some(forward) = self.forwards.remove(&key) {
            self.forward_reset(now, key, out);
            out.send(forward.to, Payload::Cri(Rc::new(cri::Message::FrameEnd { id: forward.request })));
        }
    }

    fn forward_reset(&mut self, now: Time, key: u64, out: &mut Outbox) {
        if let Some(ends) = self.network.ends_of(&Owner::Forward(key), ConnId(1)) {
            self.send(now, ends.0, ends.1, PacketBody::Reset(Errno::ECONNRESET), out);
            self.network.forget(ends);
        }
    }
}
