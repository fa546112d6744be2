//! The node-lifecycle controller: notices nodes that fell silent, says so in their conditions, and taints them.
//!
//! Models `pkg/controller/nodelifecycle`. Upstream looks at every node every five seconds; here a node is looked at when its time has
//! run out or its object changed, on the same five-second beat, so that a healthy cluster costs nothing. Left out: the large-cluster
//! secondary rate beyond one zone's own count.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, value};
use base::{Duration, Map, Set, TextSet, Time};
use client_go::{Delta, RateLimiter, pods};

use crate::config::Config;
use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::refs;
use crate::resources::{LEASES, NODES, PODS, PODS_BY_NODE, Res, gvr};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Condition, its bad status, and the NoSchedule taint that it means.
const TAINTS: &[(&str, &str, &str)] = &[
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];
/// A zone in which more than this share (and more than two) of the nodes is down is disrupted.
const UNHEALTHY_PERCENT: usize = 55;
/// In a disrupted zone of at most so many nodes evictions stop.
const LARGE_CLUSTER: usize = 50;

#[derive(Clone, Debug)]
struct Health {
    /// When it was last heard of (by lease or status).
    probe: Time,
    ready: bool,
    zone: Rc<str>,
    uid: Rc<str>,
}

#[derive(Clone, Debug, Default)]
struct Zone {
    nodes: usize,
    unready: usize,
    limiter: Option<RateLimiter>,
}

#[derive(Clone)]
pub struct NodeLifecycleController {
    period: Duration,
    grace: Duration,
    startup_grace: Duration,
    began: Option<Time>,
    health: Map<Rc<str>, Health>,
    deadlines: Set<(Time, Rc<str>)>,
    /// Nodes to look at on the next beat.
    attention: TextSet<Rc<str>>,
    added: TextSet<Rc<str>>,
    removed: Map<Rc<str>, Rc<str>>,
    zones: Map<Rc<str>, Zone>,
    disrupted: bool,
    queued: Vec<(Key, Duration)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Work {
    /// The five-second beat.
    Beat,
    /// NoSchedule taints by conditions, at once when a node changes.
    Taint,
    /// Conditions of a silent node.
    Silence,
    /// The NoExecute taint, rate-limited per zone.
    Evict,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key(Work, Rc<str>);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.1)
    }
}

#[derive(Clone)]
pub enum Stage {
    Last,
    /// The lease is looked at once more.
    Lease,
    /// The conditions are being written; then the pods.
    Conditions(Object),
    Pods(Vec<Object>),
}

fn ready_status(node: &Object) -> &str {
    node.condition("Ready").and_then(|c| c.str_at(&["status"])).unwrap_or("")
}

fn zone_of(node: &Object) -> Rc<str> {
    let label = |name: &str| node.label(name).unwrap_or("");
    format!("{}:{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone")).into()
}

impl NodeLifecycleController {
    pub fn new(config: &Config) -> NodeLifecycleController {
        NodeLifecycleController {
            period: config.node_monitor_period,
            grace: config.node_monitor_grace_period,
            startup_grace: config.node_startup_grace_period,
            began: None,
            health: Map::default(),
            deadlines: Set::default(),
            attention: TextSet::default(),
            added: TextSet::default(),
            removed: Map::default(),
            zones: Map::default(),
            disrupted: false,
            queued: Vec::new(),
        }
    }

    /// How long until the beat at or after `at`.
    fn until_beat(&self, at: Time, now: Time) -> Duration {
        let began = self.began.unwrap_or(now);
        let periods = (at.since(began).as_micros() + self.period.as_micros() - 1).div_euclid(self.period.as_micros());
        let beat = began + self.period * periods.max(0);
        if beat <= now { self.period } else { beat.since(now) }
    }

    fn note(&mut self, node: &Object, now: Time) -> bool {
        let name: Rc<str> = node.name().into();
        let ready = ready_status(node) == "True";
        let zone = zone_of(node);
        let old = self.health.get(&name).cloned();
        let known = old.is_some();
        if let Some(old) = &old {
            self.count(&old.zone, -1, if old.ready { 0 } else { -1 });
        }
        self.count(&zone, 1, if ready { 0 } else { 1 });
        let probe = old.as_ref().map_or(now, |h| h.probe);
        if !known {
            self.deadlines.insert((now + self.grace_of(node), name.clone()));
        }
        self.health.insert(name, Health { probe, ready, zone, uid: refs::uid(node) });
        known
    }
    fn count(&mut self, zone: &Rc<str>, nodes: isize, unready: isize) {
        let zone = self.zones.entry(zone.clone()).or_default();
        zone.nodes = zone.nodes.saturating_add_signed(nodes);
        zone.unready = zone.unready.saturating_add_signed(unready);
    }
    fn grace_of(&self, node: &Object) -> Duration {
        if ready_status(node).is_empty() { self.startup_grace } else { self.grace }
    }
    fn heard(&mut self, name: &str, now: Time) {
        if let Some(health) = self.health.get_mut(name) {
            health.probe = now;
        }
    }
    fn all_down(&self) -> bool {
        !self.zones.is_empty() && self.zones.values().all(|z| z.nodes == z.unready)
    }

    /// How fast a zone's nodes may be tainted now; `None`: not at all.
    fn rate(&self, zone: &str) -> Option<Duration> {
        let zone = self.zones.get(zone)?;
        let partial = zone.unready > 2 && zone.unready * 100 >= zone.nodes * UNHEALTHY_PERCENT && zone.unready < zone.nodes;
        match partial {
            false => Some(Duration::from_secs(10)),
            true if zone.nodes > LARGE_CLUSTER => Some(Duration::from_secs(100)),
            true => None,
        }
    }

    /// The beat: events of nodes that came and went, and whoever needs a look.
    fn beat(&mut self, ctx: &mut Ctx) -> Plan<Stage> {
        for name in std::mem::take(&mut self.added) {
            if let Some(health) = self.health.get(&name) {
                let message = format!("Node {name} event: Registered Node {name} in Controller");
                ctx.normal(&node_named(&name, &health.uid), "RegisteredNode", &message);
            }
        }
        for (name, uid) in std::mem::take(&mut self.removed) {
            let message = format!("Node {name} event: Removing Node {name} from Controller");
            ctx.normal(&node_named(&name, &uid), "RemovingNode", &message);
        }
        let mut due = std::mem::take(&mut self.attention);
        while let Some((at, name)) = self.deadlines.get_min().cloned() {
            if at > ctx.now {
                break;
            }
            self.deadlines.remove(&(at, name.clone()));
            due.insert(name);
        }
        for name in due {
            let Some(node) = ctx.caches.find(NODES, "", &name) else { continue };
            let Some(health) = self.health.get(&name) else { continue };
            let deadline = health.probe + self.grace_of(node);
            if deadline <= ctx.now && ready_status(node) != "Unknown" {
                self.queued.push((Key(Work::Silence, name.clone()), Duration::ZERO));
            }
            self.deadlines.insert((deadline.max(ctx.now + self.period), name.clone()));
        }
        self.update_disruption(ctx);
        self.next_beat(ctx.now)
    }

    fn next_beat(&self, now: Time) -> Plan<Stage> {
        let next = self.deadlines.get_min().map(|(at, _)| *at);
        Plan::after(next.map(|at| self.until_beat(at, now)))
    }

    /// When every node is down, it is rather the control plane that is cut off: nothing is evicted.
    fn update_disruption(&mut self, ctx: &Ctx) {
        let down = self.all_down();
        if self.disrupted && !down {
            let names: Vec<Rc<str>> = self.health.keys().cloned().collect();
            names.iter().for_each(|name| self.heard(name, ctx.now));
        }
        self.disrupted = down;
    }

    /// The lease is as old as the cache says: the node's conditions become Unknown.
    fn silence(&self, name: &str, ctx: &Ctx) -> Plan<Stage> {
        let Some(node) = ctx.caches.find(NODES, "", name) else { return Plan::Done };
        if ready_status(node) == "Unknown" {
            return Plan::Done;
        }
        let mut status = refs::status_of(node);
        let now = ctx.now.rfc3339();
        for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
            let list = status.entry(&["conditions"]).list_mut();
            match list.iter_mut().find(|c| c.str_at(&["type"]) == Some(kind)) {
                None => list.push(value!({
                    "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": (node.at(&["metadata", "creationTimestamp"]).cloned().unwrap_or_default()),
                    "lastTransitionTime": (&now)
                })),
                Some(condition) if condition.str_at(&["status"]) != Some("Unknown") => {
                    for (field, text) in [
                        ("status", "Unknown"),
                        ("reason", "NodeStatusUnknown"),
                        ("message", "Kubelet stopped posting node status."),
                        ("lastTransitionTime", &*now),
                    ] {
                        condition.set_at(&[field], text);
                    }
                }
                Some(_) => {}
            }
        }
        let call = refs::update_status(NODES, node, status);
        Plan::call(format!("{name} stopped posting its status"), call, Stage::Conditions(node.clone()))
    }

    /// All pods of a silent node are not ready any more.
    fn mark_pods(&self, node: &Object, ctx: &mut Ctx) -> Plan<Stage> {
        if ready_status(node) == "True" {
            ctx.normal(node, "NodeNotReady", &format!("Node {} status is now: NodeNotReady", node.name()));
        }
        let (mut calls, mut about) = (Vec::new(), Vec::new());
        for pod in ctx.caches.store(PODS).by_index(PODS_BY_NODE, node.name()).filter(|pod| pods::is_ready(pod)) {
            let mut status = refs::status_of(pod);
            let conditions = status.entry(&["conditions"]).list_mut();
            if let Some(ready) = conditions.iter_mut().find(|c| c.str_at(&["type"]) == Some("Ready")) {
                ready.set_at(&["status"], "False");
                ready.set_at(&["lastTransitionTime"], ctx.now.rfc3339());
            }
            calls.push(refs::update_status(PODS, pod, status));
            about.push(pod.clone());
        }
        if calls.is_empty() {
            return Plan::Done;
        }
        Plan::calls(format!("{}: its pods are not ready", node.name()), calls, Stage::Pods(about))
    }

    /// NoSchedule taints as conditions and `spec.unschedulable` demand.
    fn taint(&self, name: &str, ctx: &Ctx) -> Plan<Stage> {
        let Some(node) = ctx.caches.find(NODES, "", name) else { return Plan::Done };
        let status_of = |kind: &str| node.condition(kind).and_then(|c| c.str_at(&["status"])).unwrap_or("");
        let mut wanted: Vec<&str> =
            TAINTS.iter().filter(|(kind, bad, _)| status_of(kind) == *bad).map(|(_, _, key)| *key).collect();
        if node.bool_at(&["spec", "unschedulable"]) == Some(true) {
            wanted.push(UNSCHEDULABLE);
        }
        let managed = |key: &str| key == UNSCHEDULABLE || TAINTS.iter().any(|(_, _, k)| *k == key);
        let add: Vec<Taint> = wanted.iter().map(|key| (*key, "NoSchedule")).collect();
        swap(node, &add, |key, effect| effect == "NoSchedule" && managed(key) && !wanted.contains(&key), ctx)
    }

    /// The NoExecute taint of a node that isn't ready.
    fn evict(&mut self, name: &str, ctx: &Ctx) -> Plan<Stage> {
        let Some(node) = ctx.caches.find(NODES, "", name) else { return Plan::Done };
        let key = match ready_status(node) {
            "False" => NOT_READY,
            "Unknown" => UNREACHABLE,
            _ => "",
        };
        let ours = |k: &str, effect: &str| effect == "NoExecute" && (k == NOT_READY || k == UNREACHABLE);
        if key.is_empty() || self.disrupted || self.all_down() {
            return swap(node, &[], ours, ctx);
        }
        let has = |k: &str| node.list_at(&["spec", "taints"]).iter().any(|t| taint_is(t, k, "NoExecute"));
        if has(key) {
            return Plan::Done;
        }
        // From one of the two to the other there is no limit.
        let swapping = has(NOT_READY) || has(UNREACHABLE);
        let zone = zone_of(node);
        let Some(interval) = self.rate(&zone) else { return Plan::After(self.period) };
        let zone = self.zones.entry(zone).or_default();
        let limiter = zone.limiter.get_or_insert_with(|| RateLimiter::every(interval, 1));
        if !swapping && !limiter.try_accept(ctx.now) {
            return Plan::After(Duration::from_millis(100));
        }
        swap(node, &[(key, "NoExecute")], |k, effect| ours(k, effect) && k != key, ctx)
    }
}

type Taint<'a> = (&'a str, &'a str);

fn taint_is(taint: &Value, key: &str, effect: &str) -> bool {
    taint.str_at(&["key"]) == Some(key) && taint.str_at(&["effect"]) == Some(effect)
}

/// A node of that name and uid, for events about one that may be gone.
fn node_named(name: &str, uid: &str) -> Object {
    let node = value!({"apiVersion": "", "kind": "Node", "metadata": {"name": name, "uid": uid}});
    Object::from_value(node).expect("a map was built")
}

/// Adds and removes taints by a patch, after a look at the newest state, as upstream does.
fn swap(node: &Object, add: &[Taint], remove: impl Fn(&str, &str) -> bool, ctx: &Ctx) -> Plan<Stage> {
    let old = node.list_at(&["spec", "taints"]);
    let text = |t: &Value, field: &str| t.str_at(&[field]).unwrap_or("").to_string();
    let mut taints: Vec<Value> = old.iter().filter(|t| !remove(&text(t, "key"), &text(t, "effect"))).cloned().collect();
    for (key, effect) in add {
        if !taints.iter().any(|t| taint_is(t, key, effect)) {
            let mut taint = value!({"key": (Value::sym(key)), "effect": (Value::sym(effect))});
            taint.set_at(&["timeAdded"], ctx.now.rfc3339());
            taints.push(taint);
        }
    }
    if taints == old {
        return Plan::Done;
    }
    let key = node.key();
    let mut look = Request::get(gvr(NODES), &key);
    look.options.resource_version = Some("0".into());
    let taints = if taints.is_empty() { Value::Null } else { taints.into() };
    let patch = value!({"metadata": {"resourceVersion": (node.resource_version())}, "spec": {"taints": taints}});
    let patch = Request::patch(gvr(NODES), &key, PatchType::StrategicMerge, patch);
    Plan::sequence(format!("taints of {}", node.name()), vec![look, patch], Stage::Last)
}

impl Controller for NodeLifecycleController {
    type Key = Key;
    type Stage = Stage;

    fn info(&self) -> Info {
        Info { name: "node-lifecycle-controller", account: "node-controller", source: "node-controller", workers: 8 }
    }
    fn watches(&self) -> &'static [Res] {
        &[NODES, LEASES]
    }
    fn start(&mut self, queue: &mut Enqueue<Key>) {
        self.began = Some(queue.now);
        queue.add(Key(Work::Beat, "".into()));
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<Key>) {
        let object = delta.object();
        let name: Rc<str> = object.name().into();
        if res == LEASES {
            if object.namespace() == "kube-node-lease" && delta.new.is_some() {
                self.heard(&name, queue.now);
            }
            return;
        }
        let Some(node) = &delta.new else {
            if let Some(health) = self.health.remove(&name) {
                self.count(&health.zone, -1, if health.ready { 0 } else { -1 });
                self.removed.insert(name, health.uid);
            }
            let delay = self.until_beat(queue.now, queue.now);
            return queue.add_after(Key(Work::Beat, "".into()), delay);
        };
        if !self.note(node, queue.now) {
            self.added.insert(name.clone());
        }
        let old = delta.old.as_ref();
        let heartbeat = |node: &Object| node.condition("Ready").and_then(|c| c.get("lastHeartbeatTime")).cloned();
        if old.is_none_or(|old| heartbeat(old) != heartbeat(node)) {
            self.heard(&name, queue.now);
        }
        let relevant = old.is_none_or(|old| {
            old.at(&["spec"]) != node.at(&["spec"])
                || TAINTS.iter().any(|(kind, _, _)| {
                    let status = |n: &Object| n.condition(kind).and_then(|c| c.get("status")).cloned();
                    status(old) != status(node)
                })
        });
        if relevant {
            queue.add(Key(Work::Taint, name.clone()));
            queue.add_after(Key(Work::Evict, name.clone()), Duration::from_millis(200));
            self.attention.insert(name);
            let delay = self.until_beat(queue.now, queue.now);
            queue.add_after(Key(Work::Beat, "".into()), delay);
        }
    }

    fn take_queued(&mut self) -> Vec<(Key, Duration)> {
        std::mem::take(&mut self.queued)
    }
    fn sync(&mut self, key: &Key, ctx: &mut Ctx) -> Plan<Stage> {
        match key.0 {
            Work::Beat => self.beat(ctx),
            Work::Taint => self.taint(&key.1, ctx),
            Work::Silence => {
                let lease = ObjectKey::new("kube-node-lease", &key.1);
                Plan::call(format!("{key} was not heard of"), Request::get(gvr(LEASES), &lease), Stage::Lease)
            }
            Work::Evict => self.evict(&key.1, ctx),
        }
    }

    fn resume(&mut self, key: &Key, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match stage {
            Stage::Lease => {
                let cached = ctx.caches.find(LEASES, "kube-node-lease", &key.1).map(Object::resource_version).unwrap_or("");
                let live = outcomes[0].ok().map_or("", Object::resource_version);
                let agreed = outcomes[0].is_not_found() || live == cached;
                if agreed { self.silence(&key.1, ctx) } else { Plan::Done }
            }
            Stage::Conditions(_) if failure_but_not_found(outcomes).is_some() => Plan::retry("conditions not written"),
            Stage::Conditions(node) => self.mark_pods(&node, ctx),
            Stage::Pods(about) => {
                for (pod, _) in about.iter().zip(outcomes).filter(|(_, o)| !o.is_not_found()) {
                    ctx.warning(pod, "NodeNotReady", "Node is not ready");
                }
                Plan::Done
            }
            Stage::Last => failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry),
        }
    }
}
