//! A debugger's hand on the loops of the control plane: hold one, let one item through, let it go.

use client_go::{NUDGE, Steer};
use sim::{MsgId, Payload};

use crate::cluster::{Cluster, Observer};
use crate::process::Process;

/// The scheduler as a loop; all other names are controllers of the controller manager.
const SCHEDULER: &str = "kube-scheduler";

/// Steers a loop by its name (`replicaset-controller`, `kube-scheduler`). A message tells it to look at its queue, so that a
/// process that is frozen acts when it is thawed. A name that no process knows does nothing.
pub(crate) fn steer(cluster: &mut Cluster, name: &str, what: Steer, observer: &mut impl Observer) {
    let component = if name == SCHEDULER { SCHEDULER } else { "kube-controller-manager" };
    let all = cluster.of_component(component).filter(|(_, p)| p.is_running());
    let addresses: Vec<_> = all.map(|(addr, _)| addr).collect();
    for addr in addresses {
        cluster.with_proc(addr, |p| match &mut p.process {
            Process::ControllerManager(manager) => manager.steer(name, what),
            Process::Scheduler(scheduler) => scheduler.steer(what),
            _ => {}
        });
        cluster.inject(addr, Payload::Timer(NUDGE), observer);
    }
}

impl Cluster {
    /// The message because of which the next item of a loop was queued.
    pub fn next_item(&self, name: &str) -> Option<MsgId> {
        let queue = match name {
            SCHEDULER => self.scheduler()?.queue_view(1).active,
            _ => self.controller_manager()?.loop_view(name, 1)?.queue.waiting,
        };
        queue.first().map(|item| item.cause)
    }
}
