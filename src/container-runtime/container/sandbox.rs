//! Pod sandboxes: what the containers of a pod share. Models containerd's `RunPodSandbox`, with the CNI plugin's `ADD` and `DEL`.

use std::rc::Rc;

use base::Time;
use cri_api::cri::{self, Id, PodSandboxConfig};
use sim::Outbox;

use super::Sandbox;
use crate::{Runtime, error};

impl Runtime {
    pub(crate) fn run_sandbox(&mut self, now: Time, config: &Rc<PodSandboxConfig>) -> cri::Response {
        let id = self.new_id();
        let ips = match config.host_network {
            true => std::iter::once(self.config.node_ip).chain(self.network.node_ip6).collect(),
            false => match self.network.add_pod(&id) {
                Some(ips) => ips,
                None => {
                    let text = format!(
                        "failed to setup network for sandbox {id:?}: plugin type=\"bridge\" failed (add): no IP addresses available in range"
                    );
                    return error("Unknown", text);
                }
            },
        };
        let sandbox = Sandbox { config: config.clone(), ready: true, created_at: now, ips: ips.clone() };
        self.sandboxes.insert(id.clone(), Rc::new(sandbox));
        cri::Response::Sandbox { sandbox: id, ips }
    }

    pub(crate) fn stop_sandbox(&mut self, now: Time, id: &Id, out: &mut Outbox) -> cri::Response {
        let running: Vec<Id> =
            self.containers.iter().filter(|(_, c)| c.sandbox == *id && c.is_running()).map(|(i, _)| i.clone()).collect();
        for container in running {
            self.kill(now, &container, out);
        }
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return cri::Response::Done };
        let sandbox = Rc::make_mut(sandbox);
        sandbox.ready = false;
        if !sandbox.config.host_network {
            for ip in sandbox.ips.clone() {
                self.network.remove_pod(ip);
            }
        }
        cri::Response::Done
    }

    pub(crate) fn remove_sandbox(&mut self, id: &Id) -> cri::Response {
        let members: Vec<Id> = self.containers.iter().filter(|(_, c)| c.sandbox == *id).map(|(i, _)| i.clone()).collect();
        for container in members {
            self.remove_container(&container);
        }
        self.sandboxes.remove(id);
        cri::Response::Done
    }
}
