//! The pod garbage collector: pods of nodes that are gone, pods that never got a node but are being deleted, and too many ended pods.
//!
//! Models `pkg/controller/podgc`. Upstream looks every 20 s; here the beat runs while there is something to look at.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, value};
use base::{Duration, Map, Set, Time};
use client_go::{Delta, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::resources::{NODES, PODS, PODS_BY_NODE, Res, gvr};
use crate::taint_eviction::disruption_patch;

const PERIOD: Duration = Duration::from_secs(20);
/// A node must be missing for this long.
const QUARANTINE: Duration = Duration::from_secs(40);

#[derive(Clone)]
pub struct PodGcController {
    threshold: usize,
    began: Time,
    /// Ended pods by age.
    ended: Set<(Time, ObjectKey)>,
    /// Pods without a node that are being deleted.
    unscheduled: Set<ObjectKey>,
    /// Nodes that pods name but that don't exist, and since when.
    missing: Map<Rc<str>, Time>,
}

#[derive(Clone)]
pub enum Stage {
    NodeLooked(Rc<str>),
    Deleted,
}

impl PodGcController {
    pub fn new(threshold: usize) -> PodGcController {
        PodGcController {
            threshold,
            began: Time::EPOCH,
            ended: Set::default(),
            unscheduled: Set::default(),
            missing: Map::default(),
        }
    }
    fn beat(&self, queue: &mut Enqueue<ObjectKey>) {
        let left = PERIOD.as_micros() - queue.now.since(self.began).as_micros().rem_euclid(PERIOD.as_micros());
        queue.add_after(ObjectKey::default(), Duration(left));
    }
    fn age(pod: &Object) -> (Time, ObjectKey) {
        (pod.creation_timestamp().unwrap_or(Time::EPOCH), pod.key())
    }
}

fn force_delete(pod: &ObjectKey) -> Request {
    let options = value!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
    let body = Object::from_value(options).expect("a map was built");
    Request { body: apimachinery::Body::Object(body), ..Request::delete(gvr(PODS), pod) }
}

impl Controller for PodGcController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        let name = "pod-garbage-collector-controller";
        Info { name, account: "pod-garbage-collector", source: "pod-garbage-collector", workers: 1 }
    }
    fn watches(&self) -> &'static [Res] {
        &[PODS, NODES]
    }
    fn start(&mut self, queue: &mut Enqueue<ObjectKey>) {
        self.began = queue.now;
        self.beat(queue);
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let object = delta.object();
        if res == NODES {
            let name: Rc<str> = object.name().into();
            match &delta.new {
                Some(_) => {
                    self.missing.remove(&name);
                }
                None if queue.caches.store(PODS).count(PODS_BY_NODE, &name) > 0 => {
                    self.missing.insert(name, queue.now);
                    self.beat(queue);
                }
                None => {}
            }
            return;
        }
        if let Some(old) = delta.old.as_ref().filter(|old| pods::is_terminal(old)) {
            self.ended.remove(&PodGcController::age(old));
        }
        let Some(pod) = &delta.new else {
            self.unscheduled.remove(&object.key());
            return;
        };
        if pods::is_terminal(pod) {
            self.ended.insert(PodGcController::age(pod));
        }
        let node = pods::node_name(pod);
        if node.is_empty() {
            if pod.is_being_deleted() {
                self.unscheduled.insert(pod.key());
            }
        } else if delta.old.as_ref().is_none_or(|old| pods::node_name(old) != node)
            && !self.missing.contains_key(node)
            && queue.caches.find(NODES, "", node).is_none()
        {
            self.missing.insert(node.into(), queue.now);
        }
        if !self.unscheduled.is_empty() || !self.missing.is_empty() || self.ended.len() > self.threshold {
            self.beat(queue);
        }
    }
    fn sync(&mut self, _: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let gone = self.missing.iter().find(|(_, since)| ctx.now.since(**since) >= QUARANTINE).map(|(name, _)| name.clone());
        if let Some(name) = gone {
            let look = Request::get(gvr(NODES), &ObjectKey::new("", &name));
            return Plan::call(format!("is node {name} really gone?"), look, Stage::NodeLooked(name));
        }
        let surplus = self.ended.len().saturating_sub(self.threshold);
        let mut calls: Vec<Request> = self.ended.iter().take(surplus).map(|(_, key)| force_delete(key)).collect();
        calls.extend(self.unscheduled.iter().map(force_delete));
        if !calls.is_empty() {
            return Plan::calls(format!("{} pods are of no use any more", calls.len()), calls, Stage::Deleted);
        }
        if self.missing.is_empty() { Plan::Done } else { Plan::After(PERIOD) }
    }
    fn resume(&mut self, _: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        let Stage::NodeLooked(name) = stage else {
            return match failure_but_not_found(outcomes) {
                Some(error) => Plan::Retry(error),
                None if self.missing.is_empty() => Plan::Done,
                None => Plan::After(PERIOD),
            };
        };
        self.missing.remove(&name);
        let mut calls = Vec::new();
        if outcomes[0].is_not_found() {
            for pod in ctx.caches.store(PODS).by_index(PODS_BY_NODE, &name) {
                if !pods::is_terminal(pod) {
                    let mut patch = disruption_patch(pod, "DeletionByPodGC", "PodGC: node no longer exists", ctx.now);
                    if let apimachinery::Body::Patch(_, body) = &mut patch.body {
                        body.set_at(&["status", "phase"], "Failed");
                    }
                    calls.push(patch);
                }
                calls.push(force_delete(&pod.key()));
            }
        }
        if calls.is_empty() {
            return if self.missing.is_empty() { Plan::Done } else { Plan::After(PERIOD) };
        }
        Plan::calls(format!("node {name} is gone, and its pods with it"), calls, Stage::Deleted)
    }
}
