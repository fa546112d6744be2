//! A kubelet without a runtime, as kubemark and kwok have them: pods run and are ready at once, pods of Jobs succeed after a
//! second, deleted pods are gone at once. One request per pod and nothing in memory but its address.

use std::net::Ipv4Addr;
use std::rc::Rc;

use apimachinery::{Object, PatchType, Request, Value, key, resources, value};
use base::{Duration, Set, TextMap};
use client_go::Delta;
use sim::Outbox;

use crate::kubelet::{Call, Kubelet, Wake};

/// How long a Job's pod works.
const JOB_TIME: Duration = Duration::from_secs(1);

/// What is known about the pods.
#[derive(Clone, Default)]
pub struct Hollow {
    /// Address (its place in the node's range) by pod uid.
    ips: TextMap<Rc<str>, u32>,
    used: Set<u32>,
    last: u32,
}

impl Hollow {
    fn take(&mut self, uid: &Rc<str>, size: u32) -> u32 {
        if let Some(n) = self.ips.get(uid) {
            return *n;
        }
        for _ in 0..size {
            self.last = if self.last + 1 >= size - 1 { 2 } else { self.last.max(1) + 1 };
            if !self.used.contains(&self.last) {
                break;
            }
        }
        self.used.insert(self.last);
        self.ips.insert(uid.clone(), self.last);
        self.last
    }
    /// An address that a pod has from before this process started.
    fn keep(&mut self, uid: &Rc<str>, n: u32) {
        self.used.insert(n);
        self.ips.insert(uid.clone(), n);
    }
    fn release(&mut self, uid: &str) {
        if let Some(n) = self.ips.remove(uid) {
            self.used.remove(&n);
        }
    }
}

/// The first address and the size of a range such as `10.244.3.0/24`.
fn range(cidr: &str) -> Option<(Ipv4Addr, u32)> {
    let (first, bits) = cidr.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    Some((first.parse().ok()?, 1u32.checked_shl(32 - bits)?))
}

impl Kubelet {
    pub(crate) fn on_hollow_pod(&mut self, delta: &Delta, out: &mut Outbox) {
        let Some(pod) = &delta.new else {
            return self.hollow.release(delta.object().uid());
        };
        let phase = pod.str_at(&["status", "phase"]).unwrap_or("");
        if pod.is_being_deleted() {
            if !delta.old.as_ref().is_some_and(|old| old.is_being_deleted()) {
                self.delete_now(pod, out);
            }
        } else if matches!(phase, "Pending" | "") {
            self.run_hollow(pod, out);
        } else if phase == "Running" && delta.initial && is_of_job(pod) {
            self.wheel.after(JOB_TIME, Wake::JobDone(pod.key()), out.now);
        } else if phase == "Running" && !pod.condition_is_true("Ready") {
            self.say_ready(pod, out);
        }
    }

    /// While the node was not heard from, its pods were called not ready: a kubelet corrects what others wrote into its status.
    fn say_ready(&mut self, pod: &Object, out: &mut Outbox) {
        let now = Value::from(out.now.rfc3339_shared());
        let ready = value!({"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": now, "observedGeneration": (pod.generation())});
        self.patch_pod(pod, value!({"conditions": [ready]}), out);
    }

    /// Says again what was lost.
    pub(crate) fn retry_hollow(&mut self, pod: &apimachinery::ObjectKey, out: &mut Outbox) {
        let Some(pod) = self.informers.store(self.pods_informer()).get(pod).cloned() else { return };
        match pod.str_at(&["status", "phase"]).unwrap_or("") {
            _ if pod.is_being_deleted() => self.delete_now(&pod, out),
            "Pending" | "" => self.run_hollow(&pod, out),
            "Running" if is_of_job(&pod) => self.finish_hollow(&pod.key(), out),
            "Running" if !pod.condition_is_true("Ready") => self.say_ready(&pod, out),
            _ => {}
        }
    }

    fn delete_now(&mut self, pod: &Object, out: &mut Outbox) {
        let options = value!({"gracePeriodSeconds": 0, "preconditions": {"uid": (pod.uid())}});
        let mut request = Request::delete(resources::pods(), &pod.key());
        request.body = apimachinery::Body::Object(Object::from_value(options).expect("a map was built"));
        self.client.call(request, Call::Hollow(pod.key()), out);
    }

    fn pod_ip(&mut self, pod: &Object) -> Option<Rc<str>> {
        if pod.bool_at(&["spec", "hostNetwork"]) == Some(true) {
            return Some(self.config.node_ip.to_string().into());
        }
        let (first, size) = self.node.object.as_ref()?.str_at(&["spec", "podCIDR"]).and_then(range)?;
        if self.hollow.last == 0 {
            self.keep_addresses(first, size);
        }
        let n = self.hollow.take(&pod.uid().into(), size);
        Some(Ipv4Addr::from(u32::from(first) + n).to_string().into())
    }

    /// After a restart: what the pods on the node have already.
    fn keep_addresses(&mut self, first: Ipv4Addr, size: u32) {
        let store = self.informers.store(self.pods_informer());
        let ip = |pod: &Object| pod.str_at(&["status", "podIP"]).and_then(|ip| ip.parse::<Ipv4Addr>().ok());
        let place = |ip: Ipv4Addr| u32::from(ip).checked_sub(u32::from(first)).filter(|n| *n < size);
        let kept: Vec<(Rc<str>, u32)> =
            store.iter().filter_map(|(_, pod)| Some((pod.uid().into(), ip(pod).and_then(place)?))).collect();
        for (uid, n) in kept {
            self.hollow.keep(&uid, n);
        }
    }

    /// Writes the status of a pod that runs and is ready.
    fn run_hollow(&mut self, pod: &Object, out: &mut Outbox) {
        let now = Value::from(out.now.rfc3339_shared());
        let host_ip: Value = self.config.node_ip.to_string().into();
        let state = value!({"running": {"startedAt": (&now)}});
        let mut status = value!({
            "phase": (Value::sym("Running")), "startTime": (&now), "hostIP": (&host_ip), "hostIPs": [{"ip": (&host_ip)}],
            "conditions": (conditions(&now, true, pod.generation())),
            "containerStatuses": (container_statuses(pod, "containers", &state, true)),
            "observedGeneration": (pod.generation())
        });
        if !pod.list_at(&["spec", "initContainers"]).is_empty() {
            let done = value!({"terminated": {"exitCode": 0, "reason": (Value::sym("Completed")), "startedAt": (&now), "finishedAt": (&now)}});
            status.set_at(&["initContainerStatuses"], container_statuses(pod, "initContainers", &done, true));
        }
        if let Some(ip) = self.pod_ip(pod) {
            status.set_at(&["podIP"], &ip);
            status.set_at(&["podIPs"], vec![value!({"ip": ip})]);
        }
        self.patch_pod(pod, status, out);
        if is_of_job(pod) {
            self.wheel.after(JOB_TIME, Wake::JobDone(pod.key()), out.now);
        }
    }

    /// A Job's pod has worked for a second.
    pub(crate) fn finish_hollow(&mut self, pod: &apimachinery::ObjectKey, out: &mut Outbox) {
        let Some(pod) = self.informers.store(self.pods_informer()).get(pod).cloned() else { return };
        if pod.str_at(&["status", "phase"]) != Some("Running") || pod.is_being_deleted() {
            return;
        }
        let now = Value::from(out.now.rfc3339_shared());
        let started = pod.at(&["status", "startTime"]).cloned().unwrap_or_else(|| now.clone());
        let state = value!({"terminated": {"exitCode": 0, "reason": (Value::sym("Completed")), "startedAt": started, "finishedAt": (&now)}});
        let status = value!({
            "phase": (Value::sym("Succeeded")), "conditions": (conditions(&now, false, pod.generation())),
            "containerStatuses": (container_statuses(&pod, "containers", &state, false))
        });
        self.patch_pod(&pod, status, out);
    }

    fn patch_pod(&mut self, pod: &Object, status: Value, out: &mut Outbox) {
        let patch = value!({"metadata": {"uid": (pod.at(&["metadata", "uid"]).cloned().unwrap_or_default())}, "status": status});
        let request = Request::patch_status(resources::pods(), &pod.key(), PatchType::StrategicMerge, patch);
        self.client.call(request, Call::Hollow(pod.key()), out);
    }
}

fn is_of_job(pod: &Object) -> bool {
    pod.controller_ref().is_some_and(|owner| owner.str_at(&["kind"]) == Some("Job"))
}

fn conditions(now: &Value, ready: bool, generation: i64) -> Vec<Value> {
    let condition = |(kind, on): (&str, bool)| {
        let mut c = value!({
            "type": (Value::sym(kind)), "status": (Value::sym(if on { "True" } else { "False" })),
            "lastProbeTime": null, "lastTransitionTime": now, "observedGeneration": generation
        });
        if !ready && kind != "PodScheduled" {
            c.set_at(&["reason"], Value::sym("PodCompleted"));
        }
        c
    };
    let mut kinds = vec![("Initialized", true), ("Ready", ready), ("ContainersReady", ready)];
    if ready {
        kinds.insert(0, ("PodReadyToStartContainers", true));
    }
    kinds.into_iter().map(condition).collect()
}

fn container_statuses(pod: &Object, list: &str, state: &Value, up: bool) -> Vec<Value> {
    let status = |c: &Value| {
        value!({
            "name": (c.get("name").cloned().unwrap_or_default()), "image": (c.get("image").cloned().unwrap_or_default()),
            "imageID": (Value::Str(key(""))), "lastState": {}, "ready": up, "started": up, "restartCount": 0, "state": state
        })
    };
    pod.list_at(&["spec", list]).iter().map(status).collect()
}
