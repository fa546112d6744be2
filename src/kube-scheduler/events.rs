//! What the scheduler's informers tell: kept in the cache, and passed to the pods that wait. Models `pkg/scheduler/eventhandlers.go`.

use std::rc::Rc;

use apimachinery::{Gvr, resources};
use client_go::{Delta, Informers, Selectors};
use sim::Outbox;

use crate::framework::{ClusterEvent, Cx};
use crate::pod_info::{PodId, PodInfo};
use crate::scheduler::Scheduler;

/// Informers by number. The first eleven matter; the rest is watched as upstream watches it.
pub mod informer {
    pub const PODS: usize = 0;
    pub const NODES: usize = 1;
    pub const NAMESPACES: usize = 2;
    pub const SERVICES: usize = 3;
    pub const REPLICA_SETS: usize = 4;
    pub const STATEFUL_SETS: usize = 5;
    pub const REPLICATION_CONTROLLERS: usize = 6;
    pub const CLAIMS: usize = 7;
    pub const VOLUMES: usize = 8;
    pub const CLASSES: usize = 9;
    pub const BUDGETS: usize = 10;
    /// So many must have been filled before the first cycle.
    pub const NEEDED: usize = 11;
}

/// Everything that a kube-scheduler watches.
pub fn add_informers(informers: &mut Informers) {
    let unfinished = Selectors::field("status.phase!=Succeeded,status.phase!=Failed");
    informers.add(resources::pods(), unfinished, &[]);
    let needed = [
        resources::nodes(),
        resources::namespaces(),
        resources::services(),
        resources::replicasets(),
        resources::statefulsets(),
        resources::replicationcontrollers(),
        resources::persistentvolumeclaims(),
        resources::persistentvolumes(),
        resources::storageclasses(),
        resources::poddisruptionbudgets(),
    ];
    let also = [
        resources::csidrivers(),
        resources::csinodes(),
        Gvr::new("storage.k8s.io", "v1", "csistoragecapacities"),
        resources::volumeattachments(),
        Gvr::new("resource.k8s.io", "v1", "deviceclasses"),
        Gvr::new("resource.k8s.io", "v1", "devicetaintrules"),
        Gvr::new("resource.k8s.io", "v1", "resourceclaims"),
        Gvr::new("resource.k8s.io", "v1", "resourceslices"),
    ];
    for gvr in needed.into_iter().chain(also) {
        informers.add(gvr, Selectors::default(), &[]);
    }
    for _ in 0..3 {
        let mut selectors = Selectors::field("metadata.name=extension-apiserver-authentication");
        selectors.namespace = "kube-system".into();
        informers.add(resources::configmaps(), selectors, &[]);
    }
}

impl Scheduler {
    pub(crate) fn on_delta(&mut self, number: usize, delta: &Delta, out: &mut Outbox) {
        match number {
            informer::PODS => self.on_pod(delta, out),
            informer::NODES => self.on_node(delta, out),
            informer::NAMESPACES => self.on_namespace(delta),
            informer::CLAIMS | informer::VOLUMES | informer::CLASSES => self.on_storage(number, delta, out),
            informer::SERVICES => {
                let selector = |o: &Option<apimachinery::Object>| o.as_ref().and_then(|o| o.at(&["spec", "selector"]).cloned());
                if selector(&delta.old) != selector(&delta.new) || delta.old.is_none() {
                    self.owners.forget();
                }
            }
            informer::REPLICA_SETS | informer::STATEFUL_SETS | informer::REPLICATION_CONTROLLERS
                if delta.old.is_none() || delta.new.is_none() =>
            {
                self.owners.forget();
            }
            _ => {}
        }
    }

    fn on_pod(&mut self, delta: &Delta, out: &mut Outbox) {
        let Some(pod) = &delta.new else {
            let id = PodId::of(delta.object().uid());
            return self.on_pod_gone(id, out);
        };
        let id = PodId::of(pod.uid());
        if let Some(old) = delta.old.as_ref().filter(|old| old.uid() != pod.uid()) {
            self.on_pod_gone(PodId::of(old.uid()), out);
        }
        match pod.at(&["spec", "nodeName"]).and_then(|n| n.as_rc_str()).filter(|n| !n.is_empty()) {
            Some(node) => self.on_assigned_pod(id, pod, node, out),
            None => self.on_waiting_pod(id, pod, out),
        }
    }

    fn on_assigned_pod(&mut self, id: PodId, pod: &apimachinery::Object, node: &Rc<str>, out: &mut Outbox) {
        self.queue.remove(id);
        self.decisions.remove(&id);
        self.withdraw_nomination(id);
        let placed = self.cache.pod(id);
        if let Some(placed) = placed.filter(|p| p.pod.same_as_bound(pod) && self.cache.node(p.node).name == *node) {
            if placed.assumed {
                let pod = placed.pod.clone();
                self.cache.confirm(id);
                self.wake(&ClusterEvent::AssignedPodChanged { pod }, out);
            }
            return;
        }
        let info = Rc::new(PodInfo::new(pod));
        self.cache.add_pod(info.clone(), node, false);
        self.wake(&ClusterEvent::AssignedPodChanged { pod: info }, out);
    }

    fn on_waiting_pod(&mut self, id: PodId, pod: &apimachinery::Object, out: &mut Outbox) {
        let mine = pod.str_at(&["spec", "schedulerName"]).is_none_or(|name| name == "default-scheduler");
        if !mine || self.cache.pod(id).is_some() {
            return;
        }
        let known = self.queue.get(id);
        if pod.is_being_deleted() {
            self.queue.remove(id);
        } else if known.is_none() {
            self.queue.add(Rc::new(PodInfo::new(pod)), out.handling, out.now);
        } else if !known.is_some_and(|q| q.pod.same_as(pod)) {
            let cx = Cx { cache: &self.cache, volumes: &self.volumes };
            self.queue.update(Rc::new(PodInfo::new(pod)), &cx, out.handling, out.now);
        }
    }

    fn on_pod_gone(&mut self, id: PodId, out: &mut Outbox) {
        self.queue.remove(id);
        self.forget_pre_binding(id);
        self.decisions.remove(&id);
        self.withdraw_nomination(id);
        if let Some(placed) = self.cache.remove_pod(id) {
            self.wake(&ClusterEvent::AssignedPodDeleted { pod: placed.pod }, out);
        }
    }

    fn on_node(&mut self, delta: &Delta, out: &mut Outbox) {
        let Some(node) = &delta.new else {
            let name = delta.object().key().name;
            return self.cache.remove_node(&name);
        };
        let change = self.cache.set_node(node);
        if change.any() {
            let index = self.cache.node_by_name(node.name()).expect("set above").index;
            self.wake(&ClusterEvent::NodeChanged { node: index, change }, out);
        }
    }

    fn on_namespace(&mut self, delta: &Delta) {
        let name = delta.object().key().name;
        match &delta.new {
            Some(ns) => self.cache.namespaces.insert(name, ns.at(&["metadata", "labels"]).cloned().unwrap_or_default()),
            None => self.cache.namespaces.remove(&name),
        };
    }

    fn on_storage(&mut self, number: usize, delta: &Delta, out: &mut Outbox) {
        let key = delta.object().key();
        let objects = match number {
            informer::VOLUMES => None,
            informer::CLAIMS => Some(&mut self.volumes.claims),
            _ => Some(&mut self.volumes.classes),
        };
        match (objects, &delta.new) {
            (None, volume) => self.volumes.set_volume(key, volume.clone()),
            (Some(objects), Some(object)) => drop(objects.insert(key, object.clone())),
            (Some(objects), None) => drop(objects.remove(&key)),
        }
        self.look_at_pre_bindings(out);
        self.wake(&ClusterEvent::Storage, out);
    }

    /// Tells the waiting pods.
    fn wake(&mut self, event: &ClusterEvent, out: &mut Outbox) {
        let cx = Cx { cache: &self.cache, volumes: &self.volumes };
        self.queue.on_event(&cx, event, out.handling, out.now);
    }
}
