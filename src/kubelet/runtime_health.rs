//! When the container runtime's socket is gone: what runs goes on, nothing can be started or ended, and after half a minute the node
//! says that it is not ready. Models `runtimeState` and the kubelet's `updateRuntimeUp`.
//!
//! Upstream asks the runtime every five seconds; here the runtime's connection says when it is lost and when it is back.

use base::Duration;
use sim::Outbox;

use crate::kubelet::{Kubelet, Wake};
use crate::pod_worker::Stage;

/// How long a runtime may be away before the node is not ready.
const THRESHOLD: Duration = Duration::from_secs(30);
/// In whose words a call to a socket without listener fails.
const REFUSED: &str = "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial unix \
     /run/containerd/containerd.sock: connect: connection refused\"";

impl Kubelet {
    pub(crate) fn on_runtime_gone(&mut self, out: &mut Outbox) {
        if self.node.runtime_gone.is_some() {
            return;
        }
        self.node.runtime_gone = Some(out.now);
        self.error("kubelet.go:3005", "Container runtime sanity check failed", vec![("err", REFUSED.into())]);
        self.wheel.after(THRESHOLD, Wake::RuntimeDown, out.now);
    }

    /// Half a minute later, or it is back.
    pub(crate) fn on_runtime_threshold(&mut self, out: &mut Outbox) {
        let away = self.node.runtime_gone.is_some_and(|since| out.now.since(since) >= THRESHOLD);
        if away && !self.node.runtime_down {
            self.node.runtime_down = true;
            let err = "container runtime is down";
            self.error("kubelet.go:2475", "Skipping pod synchronization", vec![("err", err.into())]);
            self.sync_node_status(out);
        }
    }

    pub(crate) fn on_runtime_back(&mut self, out: &mut Outbox) {
        self.node.runtime_gone = None;
        if std::mem::take(&mut self.node.runtime_down) {
            self.sync_node_status(out);
        }
    }

    /// The runtime has said again what it has: what was to end there is ended now.
    pub(crate) fn end_what_was_to_end(&mut self, out: &mut Outbox) {
        let ending: Vec<_> =
            self.workers.iter().filter(|(_, w)| w.stage == Stage::Terminating).map(|(uid, _)| uid.clone()).collect();
        for uid in ending {
            self.with_worker(&uid, out, |w, cx, fx| w.stop_again(cx, fx));
        }
    }
}
