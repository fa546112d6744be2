//! Between the choice of a node and the binding: claims that waited for their first consumer get their volumes. Models PreBind of
//! `plugins/volumebinding` (`volumeBinder.BindPodVolumes`): the pod counts on its node meanwhile; upstream looks every second
//! whether all is bound, here every change of a claim or volume is looked at.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, Response, resources, value};
use base::{Duration, Time};
use sim::Outbox;

use crate::plugins::claims_of;
use crate::pod_info::{PodId, PodInfo};
use crate::scheduler::{Call, Scheduler, Wake};
use crate::volumes::{Decision, SELECTED_NODE};

type Text = Rc<str>;

/// `bindTimeoutSeconds`
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

/// A pod that has its node and waits for its volumes.
#[derive(Clone, Debug)]
pub struct PreBinding {
    pod: Rc<PodInfo>,
    node: Text,
    until: Time,
}

impl Scheduler {
    /// Gives claims that wait their volumes, or to their provisioners. False: nothing has to be waited for.
    pub(crate) fn bind_volumes(&mut self, pod: &Rc<PodInfo>, node: u32, out: &mut Outbox) -> bool {
        if pod.claims.is_empty() {
            return false;
        }
        let waits = |key: &ObjectKey| {
            let claim = self.volumes.claims.get(key);
            claim.is_some_and(|c| self.volumes.bound_volume(c).is_none() && self.volumes.waits_for_consumer(c))
        };
        let unbound: Vec<ObjectKey> = claims_of(pod).filter(waits).collect();
        if unbound.is_empty() {
            return false;
        }
        let info = self.cache.node(node).clone();
        let until = out.now + BIND_TIMEOUT;
        self.pre_binding.insert(pod.id, PreBinding { pod: pod.clone(), node: info.name.clone(), until });
        self.timers.after(BIND_TIMEOUT, Wake::PreBind(pod.id, until), out);
        for decision in self.volumes.decide(&unbound, &info).unwrap_or_default() {
            self.carry_out_decision(pod.id, decision, &info.name, out);
        }
        true
    }

    fn carry_out_decision(&mut self, pod: PodId, decision: Decision, node: &Text, out: &mut Outbox) {
        let request = match decision {
            Decision::Bind { claim: key, volume } => {
                let Some(claim) = self.volumes.claims.get(&key) else { return };
                let Some(found) = self.volumes.volume(&volume) else { return };
                let mut found = found.clone();
                let reference = value!({
                    "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": (&key.namespace), "name": (&key.name),
                    "uid": (claim.uid()), "resourceVersion": (claim.resource_version())
                });
                found.set_at(&["spec", "claimRef"], reference);
                found.set_at(&["metadata", "annotations", "pv.kubernetes.io/bound-by-controller"], "yes");
                self.volumes.assume(&volume, &key);
                Request::update(resources::persistentvolumes(), found)
            }
            Decision::Provision { claim } => {
                let Some(claim) = self.volumes.claims.get(&claim).filter(|c| c.annotation(SELECTED_NODE).is_none()) else {
                    return;
                };
                let mut claim = claim.clone();
                claim.set_at(&["metadata", "annotations", SELECTED_NODE], node);
                Request::update(resources::persistentvolumeclaims(), claim)
            }
        };
        self.client.call(request, Call::Volume(pod), out);
    }

    /// A write for a pod's volumes was answered.
    pub(crate) fn on_volume_written(&mut self, id: PodId, response: &Response, out: &mut Outbox) {
        if !response.is_success() || response.code == 0 {
            self.give_up_volumes(id, response.message(), out);
        }
    }

    /// A storage object changed: pods whose claims are all bound now are bound themselves.
    pub(crate) fn look_at_pre_bindings(&mut self, out: &mut Outbox) {
        let waiting: Vec<PreBinding> = self.pre_binding.values().cloned().collect();
        for entry in waiting {
            match self.are_volumes_bound(&entry) {
                Ok(true) => {
                    self.pre_binding.remove(&entry.pod.id);
                    self.post_binding(&entry.pod, &entry.node, out);
                }
                Ok(false) => {}
                Err(why) => self.give_up_volumes(entry.pod.id, &why, out),
            }
        }
    }

    /// Models `checkBindings`.
    fn are_volumes_bound(&self, entry: &PreBinding) -> Result<bool, String> {
        let mut all = true;
        for key in claims_of(&entry.pod) {
            let Some(claim) = self.volumes.claims.get(&key) else {
                return Err(format!("persistentvolumeclaim \"{}\" not found", key.name));
            };
            if let Some(volume) = self.volumes.bound_volume(claim) {
                all &= self.volumes.volume(volume).is_some();
                continue;
            }
            all = false;
            let taken_back = |claim: &Object| claim.annotation(SELECTED_NODE).is_some_and(|node| *node != *entry.node);
            if taken_back(claim) {
                return Err(format!("provisioning failed for PVC \"{}\"", key.name));
            }
        }
        Ok(all)
    }

    /// It took too long.
    pub(crate) fn on_pre_bind_timeout(&mut self, id: PodId, until: Time, out: &mut Outbox) {
        if self.pre_binding.get(&id).is_some_and(|entry| entry.until == until) {
            self.give_up_volumes(id, "context deadline exceeded", out);
        }
    }

    /// The pod has gone, or is placed otherwise.
    pub(crate) fn forget_pre_binding(&mut self, id: PodId) {
        if let Some(entry) = self.pre_binding.remove(&id) {
            claims_of(&entry.pod).for_each(|claim| self.volumes.forget(&claim));
        }
    }

    fn give_up_volumes(&mut self, id: PodId, why: &str, out: &mut Outbox) {
        let Some(entry) = self.pre_binding.get(&id).cloned() else { return };
        self.forget_pre_binding(id);
        self.cache.remove_pod(id);
        let message = format!("running PreBind plugin \"VolumeBinding\": binding volumes: {why}");
        self.failed_scheduling(&entry.pod, &message, "SchedulerError", None, out);
        self.queue.failed(id, out.now);
    }
}
