//! The local end of `kubectl port-forward`: listening sockets, and for each connection a stream to kube-apiserver that carries its
//! bytes. Channel 0 is the data's, channel 1 says why nothing could be reached.

use std::net::IpAddr;

use cri_api::machine::Sys;
use cri_api::program::Fd;
use cri_api::{ApiCall, ApiEvent, CallId, Errno};
use kubectl::{AskId, Input};

/// Where free ports are looked for, and how many are tried.
const FIRST_FREE: u16 = 32_768;
const TRIES: u16 = 64;
/// Read from a connection at a time.
const CHUNK: usize = 64 * 1024;

#[derive(Clone, Default)]
pub(super) struct Forwards {
    listeners: Vec<(AskId, Fd, ApiCall)>,
    links: Vec<Link>,
}

/// A connection and the stream behind it.
#[derive(Clone)]
struct Link {
    id: AskId,
    conn: Fd,
    call: CallId,
    /// The stream is open: before, nobody would take what the client sends.
    started: bool,
    /// What came from the pod and is not written yet.
    back: Vec<u8>,
    /// The client sends no more, the pod sends no more.
    client_done: bool,
    pod_done: bool,
}

impl Forwards {
    /// Begins to listen; 0 is any free port.
    pub fn listen(&mut self, sys: &mut Sys<'_>, id: AskId, ip: IpAddr, port: u16, call: ApiCall) -> Input {
        let free = FIRST_FREE + (sys.pid() % 100) as u16 * TRIES;
        let mut ports = if port == 0 { free..free + TRIES } else { port..port + 1 };
        let result = ports.try_fold(String::new(), |_, port| match sys.listen(Some(ip), port) {
            Ok(fd) => Err((fd, port)),
            Err(error) => Ok(format!("bind: {}", error.text().to_lowercase())),
        });
        let result = match result {
            Err((fd, port)) => {
                self.listeners.push((id, fd, call));
                Ok(port)
            }
            Ok(text) => Err(text),
        };
        Input::Listening { id, result }
    }

    /// Takes connections and carries what there is to carry; what happened goes to `inputs`.
    pub fn poll(&mut self, sys: &mut Sys<'_>, inputs: &mut Vec<Input>) {
        for (id, fd, call) in &self.listeners {
            while let Ok(conn) = sys.accept(*fd) {
                let call = sys.api(call.clone());
                let link = Link { id: *id, conn, call, started: false, back: Vec::new(), client_done: false, pod_done: false };
                self.links.push(link);
                inputs.push(Input::Accepted { id: *id });
            }
        }
        self.links.retain_mut(|link| link.carry(sys, inputs));
    }
}

impl Link {
    /// False: it is over.
    fn carry(&mut self, sys: &mut Sys<'_>, inputs: &mut Vec<Input>) -> bool {
        while !self.pod_done {
            match sys.api_event(self.call) {
                Ok(ApiEvent::Frame { channel: 0, data }) => self.back.extend_from_slice(&data),
                Ok(ApiEvent::Frame { channel: 1, data }) => return self.failed(sys, &String::from_utf8_lossy(&data), inputs),
                Ok(ApiEvent::Failed(text)) => return self.failed(sys, &text, inputs),
                Ok(ApiEvent::Response(response)) if !response.is_success() => {
                    let text = response.message().to_string();
                    return self.failed(sys, &text, inputs);
                }
                Ok(ApiEvent::Closed) => self.pod_done = true,
                Ok(_) => self.started = true,
                Err(Errno::EAGAIN) => break,
                Err(_) => self.pod_done = true,
            }
        }
        while self.started && !self.client_done {
            match sys.read(self.conn, CHUNK) {
                Ok(bytes) if !bytes.is_empty() => sys.api_send(self.call, 0, &bytes),
                Err(Errno::EAGAIN) => break,
                _ => {
                    self.client_done = true;
                    sys.api_send(self.call, 255, &[0]);
                }
            }
        }
        while !self.back.is_empty() {
            match sys.write(self.conn, &self.back) {
                Ok(n) => drop(self.back.drain(..n)),
                Err(Errno::EAGAIN) => return true,
                Err(_) => {
                    sys.api_close(self.call);
                    let _ = sys.close(self.conn);
                    return false;
                }
            }
        }
        if self.pod_done {
            let _ = sys.close(self.conn);
        }
        !self.pod_done
    }

    fn failed(&mut self, sys: &mut Sys<'_>, text: &str, inputs: &mut Vec<Input>) -> bool {
        sys.api_close(self.call);
        let _ = sys.close(self.conn);
        inputs.push(Input::ForwardFailed { id: self.id, error: text.into() });
        false
    }
}
