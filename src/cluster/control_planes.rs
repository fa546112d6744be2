//! Control planes that come later: a machine on which `kubeadm join --control-plane` was run has a kube-apiserver and a member of
//! etcd of its own, and the load balancer has one more to choose from.
//!
//! What belongs to the cluster is seen from the machine's own `admin.conf`: it leads to the load balancer. In a real installation
//! somebody, or the cloud, adds the machine to the load balancer's list; here it stands there as soon as its kube-apiserver starts.
//! Left out: taking it from the list again (a kube-apiserver that is gone answers no question and gets no connection).

use std::rc::Rc;

use sim::{Addr, Payload};

use crate::cluster::{Cluster, Observer};
use crate::config::NodeConfig;
use crate::kubelet_config::server_of;
use crate::process::{Proc, Process};

const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";

impl Cluster {
    /// A component of a control plane is about to start on a machine: others learn where it is.
    pub(crate) fn note_control_plane(&mut self, program: &str, machine: &str, addr: Addr, observer: &mut impl Observer) {
        match program {
            "kube-apiserver" => {
                // It may come up before the member beside it, and must know where that will be.
                let etcd = format!("etcd/{machine}");
                if self.addr(&etcd).is_none() {
                    self.add_proc(&etcd, machine, Process::Stopped);
                }
                if self.joins(machine, addr) {
                    self.join_control_plane(machine, addr);
                }
            }
            "etcd" => {
                self.tell_machines(machine, |m, ip| m.set_etcd(addr, ip));
                self.etcd_listens(machine, addr, observer);
            }
            _ => {}
        }
    }

    /// Whether a kube-apiserver belongs behind the load balancer and isn't there yet.
    fn joins(&self, machine: &str, addr: Addr) -> bool {
        if !self.config.has_balancer() || self.apiservers().contains(&addr) {
            return false;
        }
        let server = self.disk_text(machine, ADMIN_CONF).and_then(|text| server_of(&text));
        server.and_then(|url| self.apiserver_at(&url)) == Some(self.endpoint)
    }

    fn join_control_plane(&mut self, machine: &str, addr: Addr) {
        self.joined.push_back(addr);
        if let Some(node) = self.nodes.get_mut(machine) {
            node.config = Rc::new(NodeConfig { control_plane: true, ..(*node.config).clone() });
        }
        self.tell_machines(machine, |m, ip| m.set_apiserver_at(addr, ip));
        self.with_proc(self.endpoint, |p| {
            if let Process::Balancer(balancer) = &mut p.process {
                balancer.add(addr);
            }
        });
    }

    /// The kube-apiserver beside a member has tried in vain while there was none: its next connection is made.
    fn etcd_listens(&mut self, machine: &str, etcd: Addr, observer: &mut impl Observer) {
        let Some(apiserver) = self.addr(&format!("kube-apiserver/{machine}")) else { return };
        if self.proc(apiserver).is_some_and(Proc::is_running) {
            self.queue.inject(etcd, apiserver, Payload::PeerGone { peer: etcd }, |m, at| observer.sent(m, at));
        }
    }
}
