//! The daemonset controller: one pod on every node that fits. Models `pkg/controller/daemon`. Read next: [`surge`].

mod surge;

use std::rc::Rc;

use apimachinery::quantity::scaled_int_or_percent;
use apimachinery::{Object, ObjectKey, Request, Value, key, value};
use base::Sort as _;
use base::{Duration, Map};
use client_go::history::{REVISION_HASH_LABEL, number, revision_name, template_patch};
use client_go::{Delta, Expectations, pods};

use crate::affinity::{matches_node, tolerates_all};
use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure, failure_but_not_found};
use crate::resources::{CONTROLLERREVISIONS, Caches, DAEMONSETS, NODES, PODS, PODS_BY_NODE, Res, gvr};
use crate::template_hash::compute_hash;
use crate::{history, refs};

const BURST: usize = 250;
const GENERATION: &str = "deprecated.daemonset.template.generation";
/// What every daemon pod tolerates: key and effect.
const TOLERATIONS: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

#[derive(Clone, Default)]
pub struct DaemonSetController {
    expectations: Expectations<ObjectKey>,
}

#[derive(Clone)]
pub enum Stage {
    Claiming,
    Revision,
    /// Failed pods are deleted by name; creations go on in batches.
    Creating {
        ds: Object,
        hash: Rc<str>,
        batch: usize,
        left: Vec<Rc<str>>,
    },
    Deleting {
        ds: Object,
        hash: Rc<str>,
    },
    Cleaning {
        ds: Object,
        hash: Rc<str>,
    },
    Status(Option<Duration>),
}

/// The tolerations of the template and of every daemon pod.
fn tolerations(ds: &Object) -> Vec<Value> {
    let mut list = ds.list_at(&["spec", "template", "spec", "tolerations"]).to_vec();
    let host_network = ds.bool_at(&["spec", "template", "spec", "hostNetwork"]).unwrap_or(false);
    let network = host_network.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    for (taint, effect) in TOLERATIONS.iter().copied().chain(network) {
        let new = value!({"key": (Value::sym(taint)), "operator": (Value::sym("Exists")), "effect": (Value::sym(effect))});
        let same = |t: &Value| ["key", "operator", "effect"].iter().all(|f| t.get(f) == new.get(f)) && t.get("value").is_none();
        match list.iter_mut().find(|t| same(t)) {
            Some(place) => *place = new,
            None => list.push(new),
        }
    }
    list
}

/// Whether a daemon pod should start on a node, and whether one that runs may stay. Models `NodeShouldRunDaemonPod`.
fn fits(ds: &Object, tolerations: &[Value], node: &Object) -> (bool, bool) {
    let empty = Value::map();
    let spec = ds.at(&["spec", "template", "spec"]).unwrap_or(&empty);
    let named = spec.str_at(&["nodeName"]).unwrap_or("");
    if (!named.is_empty() && named != node.name()) || !matches_node(spec, node) {
        return (false, false);
    }
    let stays = tolerates_all(tolerations, node, &["NoExecute"]);
    (stays && tolerates_all(tolerations, node, &["NoSchedule"]), stays)
}

/// Whether a node's change calls for a look: a pod is missing, one must go, or one was there by mistake.
fn node_concerns(ds: &Object, node: &Object, caches: Caches) -> bool {
    let (run, stay) = fits(ds, &tolerations(ds), node);
    let mut here = caches.store(PODS).by_index(PODS_BY_NODE, node.name());
    let scheduled = here.any(|pod| pod.controller_ref().and_then(|r| r.str_at(&["uid"])) == Some(ds.uid()));
    (run && !scheduled) || (scheduled && (!stay || refs::status_int(ds, "numberMisscheduled") > 0))
}

/// The pod for a node: the template pinned to it by its name.
fn new_pod(ds: &Object, tolerations: &[Value], hash: &str, node: &str) -> Object {
    let template = ds.at(&["spec", "template"]).cloned().unwrap_or_default();
    let mut pod = pods::from_template(&template, ds, ds.new_controller_ref());
    let labels = pod.value_mut().entry(&["metadata", "labels"]).map_mut();
    labels.insert(key(REVISION_HASH_LABEL), hash);
    if let Some(generation) = ds.annotation(GENERATION) {
        labels.insert(key("pod-template-generation"), generation);
    }
    pod.set_at(&["spec", "tolerations"], tolerations.to_vec());
    let pinned = value!([{"key": "metadata.name", "operator": "In", "values": [node]}]);
    let path = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"];
    match pod.at(&path) {
        Some(_) => {
            for term in pod.value_mut().entry(&path).list_mut() {
                *term = value!({"matchFields": (pinned.clone())});
            }
        }
        None => pod.set_at(&path, vec![value!({"matchFields": pinned})]),
    }
    pod
}

impl DaemonSetController {
    /// The revision of the template as it is now, made or renumbered if need be.
    fn revision(&self, ds: &Object, ctx: &Ctx) -> Result<Rc<str>, Plan<Stage>> {
        let revisions = history::of(ctx.caches, ds);
        let data = template_patch(ds);
        let fits = revisions.iter().rfind(|r| r.get("data") == Some(&data));
        let next = history::next_number(&revisions);
        if let Some(current) = fits {
            if revisions.last().is_some_and(|last| last.uid() != current.uid()) {
                let mut renumbered = current.clone();
                renumbered.set_at(&["revision"], next);
                let why = format!("{} goes back to a former template", ds.name());
                return Err(Plan::call(why, Request::update(gvr(CONTROLLERREVISIONS), renumbered), Stage::Revision));
            }
            return Ok(client_go::history::hash_label(current));
        }
        let template = ds.at(&["spec", "template"]).unwrap_or(&Value::Null);
        let hash = compute_hash(template, ds.int_at(&["status", "collisionCount"]));
        let mut revision = client_go::history::new_revision(ds, data, next, None);
        revision.set_at(&["metadata", "name"], revision_name(ds.name(), &hash));
        revision.value_mut().entry(&["metadata", "labels"]).map_mut().insert(key(REVISION_HASH_LABEL), hash.as_str());
        let why = format!("{} has a new template: revision {next}", ds.name());
        Err(Plan::call(why, Request::create(gvr(CONTROLLERREVISIONS), revision), Stage::Revision))
    }

    /// Which nodes lack a pod, and which pods should go. Models `manage`.
    fn manage(&mut self, key: &ObjectKey, ds: Object, hash: Rc<str>, owned: Vec<Object>, ctx: &mut Ctx) -> Plan<Stage> {
        let tolerations = tolerations(&ds);
        let mut by_node: Map<Rc<str>, Vec<&Object>> = Map::default();
        for pod in &owned {
            by_node.entry(target_node(pod).into()).or_default().push(pod);
        }
        let (mut missing, mut doomed): (Vec<Rc<str>>, Vec<Object>) = (Vec::new(), Vec::new());
        for node in ctx.caches.store(NODES).objects() {
            let name: Rc<str> = node.name().into();
            let there = by_node.remove(&name).unwrap_or_default();
            let (run, stay) = fits(&ds, &tolerations, node);
            let mut alive: Vec<&Object> = there.iter().filter(|p| !p.is_being_deleted()).copied().collect();
            if !stay || (!run && there.is_empty()) {
                doomed.extend(alive.into_iter().cloned());
                continue;
            }
            let ended: Vec<&Object> = alive.iter().filter(|p| pods::phase(p) == "Failed").copied().collect();
            for pod in ended {
                let message = format!("Found failed daemon pod {} on node {name}, will try to kill it", pod_name(pod));
                ctx.warning(&ds, "FailedDaemonPod", &message);
                doomed.push(pod.clone());
            }
            alive.retain(|p| !pods::is_terminal(p));
            alive.order_by_key(|p| (p.creation_timestamp(), p.name().to_string()));
            doomed.extend(surge::excess(&ds, &hash, &alive, ctx.now));
            if there.is_empty() && run {
                missing.push(name);
            }
        }
        // Pods of nodes that are gone are the pod garbage collector's, but those that wait for one are not.
        let waiting = by_node.values().flatten().filter(|p| pods::node_name(p).is_empty() && !p.is_being_deleted());
        doomed.extend(waiting.map(|p| (*p).clone()));
        drop(by_node);
        if missing.is_empty() && doomed.is_empty() {
            return self.update(ds, hash, owned, &tolerations, ctx);
        }
        if !doomed.is_empty() {
            doomed.truncate(BURST);
            return self.delete(key, ds, hash, doomed, ctx);
        }
        missing.truncate(BURST);
        self.expectations.expect_creations(key, missing.len() as i64, ctx.now);
        self.create(ds, hash, 1, missing, ctx)
    }

    fn create(&mut self, ds: Object, hash: Rc<str>, batch: usize, mut left: Vec<Rc<str>>, ctx: &mut Ctx) -> Plan<Stage> {
        let rest = left.split_off(batch.min(left.len()));
        if left.is_empty() {
            return self.write_status(ds, hash, ctx);
        }
        let tolerations = tolerations(&ds);
        let why = format!("{} creates pods for {} nodes", ds.name(), left.len());
        let calls = left.iter().map(|node| Request::create(gvr(PODS), new_pod(&ds, &tolerations, &hash, node))).collect();
        Plan::calls(why, calls, Stage::Creating { ds, hash, batch: batch * 2, left: rest })
    }

    fn delete(&mut self, key: &ObjectKey, ds: Object, hash: Rc<str>, doomed: Vec<Object>, ctx: &Ctx) -> Plan<Stage> {
        self.expectations.expect_deletions(key, doomed.iter().map(pods::uid), ctx.now);
        let why = format!("{} deletes {} pods", ds.name(), doomed.len());
        let calls = doomed.iter().map(|pod| Request::delete(gvr(PODS), &pod.key())).collect();
        Plan::calls(why, calls, Stage::Deleting { ds, hash })
    }

    /// Replaces pods of older revisions. Models `rollingUpdate` without surge.
    fn update(&mut self, ds: Object, hash: Rc<str>, owned: Vec<Object>, tolerations: &[Value], ctx: &mut Ctx) -> Plan<Stage> {
        if ds.str_at(&["spec", "updateStrategy", "type"]) == Some("OnDelete") {
            return self.clean(ds, hash, owned, ctx);
        }
        let desired = ctx.caches.store(NODES).objects().filter(|node| fits(&ds, tolerations, node).0).count() as i64;
        let surge = surge::max_surge(&ds, desired);
        if surge > 0 {
            return self.surge(ds, hash, owned, surge, ctx);
        }
        let limit = ds.at(&["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]).cloned().unwrap_or(Value::Int(1));
        let limit = scaled_int_or_percent(&limit, desired, true).unwrap_or(1).max(1);
        let min_ready = refs::spec_int(&ds, "minReadySeconds", 0);
        let available = |pod: &Object| !pod.is_being_deleted() && pods::is_available(pod, min_ready, ctx.now);
        let is_old = |pod: &&Object| !is_current(pod, &hash, &ds) && !pod.is_being_deleted();
        let unavailable = desired - owned.iter().filter(|pod| available(pod)).count() as i64;
        let mut doomed: Vec<Object> = owned.iter().filter(is_old).filter(|pod| !available(pod)).cloned().collect();
        let room = (limit - unavailable).max(0) as usize;
        doomed.extend(owned.iter().filter(is_old).filter(|pod| available(pod)).take(room).cloned());
        if doomed.is_empty() {
            return self.clean(ds, hash, owned, ctx);
        }
        let key = ds.key();
        self.delete(&key, ds, hash, doomed, ctx)
    }

    /// A new pod beside the old one of a node, for as many nodes at once as may be; the old one goes when the new one is
    /// available. Models `rollingUpdate` with surge.
    fn surge(&mut self, ds: Object, hash: Rc<str>, owned: Vec<Object>, most: i64, ctx: &mut Ctx) -> Plan<Stage> {
        let (doomed, mut at_once) = surge::decide(&ds, &hash, &owned, most, ctx.now);
        let key = ds.key();
        if !doomed.is_empty() {
            return self.delete(&key, ds, hash, doomed, ctx);
        }
        if at_once.is_empty() {
            return self.clean(ds, hash, owned, ctx);
        }
        at_once.truncate(BURST);
        self.expectations.expect_creations(&key, at_once.len() as i64, ctx.now);
        self.create(ds, hash, 1, at_once, ctx)
    }

    fn clean(&mut self, ds: Object, hash: Rc<str>, owned: Vec<Object>, ctx: &mut Ctx) -> Plan<Stage> {
        let revisions = history::of(ctx.caches, &ds);
        let live = |revision: &Object| {
            let label = revision.label(REVISION_HASH_LABEL);
            label == Some(&*hash) || owned.iter().any(|pod| pod.label(REVISION_HASH_LABEL) == label)
        };
        let doomed = history::over_limit(&ds, &revisions, live);
        if doomed.is_empty() {
            return self.write_status(ds, hash, ctx);
        }
        let why = format!("{} keeps fewer revisions than {}", ds.name(), number(&doomed[0]) + doomed.len() as i64);
        let calls = doomed.iter().map(|r| Request::delete(gvr(CONTROLLERREVISIONS), &r.key())).collect();
        Plan::calls(why, calls, Stage::Cleaning { ds, hash })
    }

    /// Models `updateDaemonSetStatus`.
    fn write_status(&self, ds: Object, hash: Rc<str>, ctx: &Ctx) -> Plan<Stage> {
        let tolerations = tolerations(&ds);
        let min_ready = refs::spec_int(&ds, "minReadySeconds", 0);
        let mut by_node: Map<Rc<str>, Vec<&Object>> = Map::default();
        for pod in ctx.caches.owned_by(PODS, ds.uid()) {
            by_node.entry(target_node(pod).into()).or_default().push(pod);
        }
        let (mut desired, mut current, mut mis, mut ready, mut available, mut updated) = (0, 0, 0, 0, 0, 0);
        let mut again = None;
        for node in ctx.caches.store(NODES).objects() {
            let pods_here = by_node.get(node.name()).cloned().unwrap_or_default();
            let first = pods_here.iter().min_by_key(|p| (p.creation_timestamp(), p.name().to_string()));
            if !fits(&ds, &tolerations, node).0 {
                mis += first.is_some() as i64;
                continue;
            }
            desired += 1;
            let Some(pod) = first else { continue };
            current += 1;
            if pods::is_ready(pod) {
                ready += 1;
                available += pods::is_available(pod, min_ready, ctx.now) as i64;
            }
            let ready_here = pods_here.iter().filter(|p| pods::is_ready(p));
            again = again.or(ready_here.filter_map(|p| pods::available_in(p, min_ready, ctx.now)).min());
            updated += is_current(pod, &hash, &ds) as i64;
        }
        let mut status = refs::status_of(&ds);
        for (field, n) in [
            ("desiredNumberScheduled", desired),
            ("currentNumberScheduled", current),
            ("numberMisscheduled", mis),
            ("numberReady", ready),
        ] {
            status.set_at(&[field], n);
        }
        for (field, n) in [
            ("numberAvailable", available),
            ("updatedNumberScheduled", updated),
            ("numberUnavailable", desired - available),
            ("observedGeneration", ds.generation()),
        ] {
            refs::set_int(&mut status, field, n);
        }
        if refs::same_status(&status, &refs::status_of(&ds)) {
            return Plan::after(again);
        }
        let why = format!("{} has {ready} of {desired} ready", ds.name());
        Plan::call(why, refs::update_status(DAEMONSETS, &ds, status), Stage::Status(again))
    }
}

/// The node that a daemon pod is meant for, also before it is bound.
fn target_node(pod: &Object) -> &str {
    let bound = pods::node_name(pod);
    if !bound.is_empty() {
        return bound;
    }
    let path = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"];
    let fields = pod.list_at(&path).first().map_or(&[][..], |term| term.list_at(&["matchFields"]));
    let name = fields.iter().find(|f| f.str_at(&["key"]) == Some("metadata.name"));
    name.and_then(|f| f.list_at(&["values"]).first()).and_then(Value::as_str).unwrap_or("")
}

fn is_current(pod: &Object, hash: &str, ds: &Object) -> bool {
    pod.label(REVISION_HASH_LABEL) == Some(hash)
        || ds.annotation(GENERATION).is_some_and(|g| pod.label("pod-template-generation") == Some(g))
}

fn pod_name(pod: &Object) -> String {
    format!("{}/{}", pod.namespace(), pod.name())
}

impl Controller for DaemonSetController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        Info { name: "daemonset-controller", account: "daemon-set-controller", source: "daemonset-controller", workers: 2 }
    }
    fn watches(&self) -> &'static [Res] {
        &[DAEMONSETS, PODS, NODES, CONTROLLERREVISIONS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        match res {
            DAEMONSETS => {
                let key = delta.object().key();
                if delta.new.is_none() {
                    self.expectations.delete(&key);
                }
                queue.add(key);
            }
            NODES => {
                let fate = |n: &Object| (n.at(&["metadata", "labels"]).cloned(), n.at(&["spec", "taints"]).cloned());
                if let (Some(old), Some(new)) = (&delta.old, &delta.new)
                    && fate(old) == fate(new)
                {
                    return;
                }
                let caches = queue.caches;
                let node = delta.new.as_ref();
                let concerned = |ds: &Object| node.is_none_or(|node| node_concerns(ds, node, caches));
                let keys: Vec<ObjectKey> =
                    caches.store(DAEMONSETS).objects().filter(|ds| concerned(ds)).map(Object::key).collect();
                keys.into_iter().for_each(|key| queue.add(key));
            }
            PODS => {
                for pod in [&delta.old, &delta.new].into_iter().flatten() {
                    let Some(key) = refs::controller_key(queue.caches, DAEMONSETS, pod) else { continue };
                    match (&delta.old, &delta.new) {
                        (None, Some(_)) => self.expectations.creation_observed(&key),
                        (_, None) => self.expectations.deletion_observed(&key, pod.uid()),
                        (_, Some(new)) if new.is_being_deleted() => self.expectations.deletion_observed(&key, pod.uid()),
                        _ => {}
                    }
                    queue.add(key);
                }
            }
            _ => {
                if let Some(key) = refs::controller_key(queue.caches, DAEMONSETS, delta.object()) {
                    queue.add(key);
                }
            }
        }
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(ds) = ctx.caches.get(DAEMONSETS, key).cloned() else {
            self.expectations.delete(key);
            return Plan::Done;
        };
        let selector = refs::label_selector(&ds);
        if ds.is_being_deleted() || selector.is_everything() {
            return Plan::Done;
        }
        for res in [CONTROLLERREVISIONS, PODS] {
            let claim = refs::claim(ctx.caches, res, DAEMONSETS, &ds, &selector);
            if !claim.calls.is_empty() {
                return Plan::sequence(format!("{key} adopts or lets go"), claim.calls, Stage::Claiming);
            }
        }
        let hash = match self.revision(&ds, ctx) {
            Ok(hash) => hash,
            Err(plan) => return plan,
        };
        if !self.expectations.satisfied(key, ctx.now) {
            return self.write_status(ds, hash, ctx);
        }
        let owned = ctx.caches.owned_by(PODS, ds.uid()).cloned().collect();
        self.manage(key, ds, hash, owned, ctx)
    }

    fn on_outcome(&mut self, key: &ObjectKey, stage: &Stage, request: &Request, outcome: &Outcome, ctx: &mut Ctx) {
        match stage {
            Stage::Creating { ds, .. } => match outcome.ok() {
                Some(pod) => ctx.normal(ds, "SuccessfulCreate", &format!("Created pod: {}", pod.name())),
                None => {
                    self.expectations.creation_observed(key);
                    if !refs::namespace_terminating(outcome) {
                        ctx.warning(ds, "FailedCreate", &format!("Error creating: {}", outcome.message()));
                    }
                }
            },
            Stage::Deleting { ds, .. } if outcome.is_success() => {
                ctx.normal(ds, "SuccessfulDelete", &format!("Deleted pod: {}", request.name));
            }
            Stage::Deleting { .. } => {
                if let Some(pod) = ctx.caches.find(PODS, &request.namespace, &request.name) {
                    self.expectations.deletion_observed(key, pod.uid());
                }
            }
            _ => {}
        }
    }

    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match stage {
            // Events of what was written bring the key back.
            Stage::Claiming | Stage::Revision => match outcomes.iter().all(|o| o.is_already_exists()) {
                true => Plan::retry("the cache lags behind"),
                false => crate::framework::finish(outcomes),
            },
            Stage::Creating { ds, hash, batch, left } => match failure(outcomes) {
                None => self.create(ds, hash, batch, left, ctx),
                Some(error) => {
                    self.expectations.raise_creations(key, -(left.len() as i64), ctx.now);
                    Plan::Retry(error)
                }
            },
            Stage::Deleting { ds, hash } | Stage::Cleaning { ds, hash } => match failure_but_not_found(outcomes) {
                Some(error) => Plan::Retry(error),
                None => self.write_status(ds, hash, ctx),
            },
            Stage::Status(again) => match failure(outcomes) {
                Some(error) => Plan::Retry(error),
                None => Plan::after(again),
            },
        }
    }
}
