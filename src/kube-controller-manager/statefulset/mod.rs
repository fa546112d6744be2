//! The statefulset controller: numbered pods with claims of their own, made and replaced in order. Models `pkg/controller/statefulset`.
//!
//! Left out: maxUnavailable above one. Read next: [`claims`].

mod claims;

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, Value, key, value};
use client_go::history::{REVISION_HASH_LABEL, template_patch};
use client_go::{Delta, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure};
use crate::resources::{CONTROLLERREVISIONS, PERSISTENTVOLUMECLAIMS, PODS, Res, STATEFULSETS, gvr};
use crate::{history, refs};

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

#[derive(Clone, Default)]
pub struct StatefulSetController {}

/// A StatefulSet with its pods in order of their numbers, and its revisions.
#[derive(Clone)]
pub struct View {
    set: Object,
    pods: Vec<(i64, Object)>,
    current: Object,
    update: Object,
    revisions: Vec<Object>,
}

#[derive(Clone)]
pub enum Stage {
    Claiming,
    /// Claims and pods are being made or deleted; then the status.
    Acting(Rc<View>),
    Last,
}

/// What a look at the pods decided.
#[derive(Clone, Debug, Default, PartialEq)]
struct Acts {
    create: Vec<i64>,
    delete: Vec<i64>,
}

impl View {
    fn replicas(&self) -> i64 {
        refs::spec_int(&self.set, "replicas", 1)
    }
    fn first(&self) -> i64 {
        self.set.int_at(&["spec", "ordinals", "start"]).unwrap_or(0)
    }
    fn ordinals(&self) -> std::ops::Range<i64> {
        self.first()..self.first() + self.replicas()
    }
    fn pod(&self, ordinal: i64) -> Option<&Object> {
        self.pods.iter().find(|(n, _)| *n == ordinal).map(|(_, pod)| pod)
    }
    fn is_parallel(&self) -> bool {
        self.set.str_at(&["spec", "podManagementPolicy"]) == Some("Parallel")
    }
    fn rolls(&self) -> bool {
        self.set.str_at(&["spec", "updateStrategy", "type"]) != Some("OnDelete")
    }
    fn partition(&self) -> Option<i64> {
        self.set.int_at(&["spec", "updateStrategy", "rollingUpdate", "partition"])
    }
    /// The revision that a new pod of this number is made of.
    fn revision_for(&self, ordinal: i64) -> &Object {
        let old = match self.partition() {
            Some(partition) => ordinal < self.first() + partition,
            None => ordinal < self.first() + refs::status_int(&self.set, "currentReplicas"),
        };
        if self.rolls() && old { &self.current } else { &self.update }
    }
    fn is_available(&self, pod: &Object, ctx_now: base::Time) -> bool {
        pods::phase(pod) == "Running" && pods::is_available(pod, refs::spec_int(&self.set, "minReadySeconds", 0), ctx_now)
    }
}

/// The number in a pod's name.
fn ordinal(pod: &Object, set: &str) -> Option<i64> {
    pod.name().strip_prefix(set)?.strip_prefix('-')?.parse().ok()
}

/// Decides what to make and what to delete. Models `updateStatefulSet`.
fn decide(view: &View, now: base::Time) -> Acts {
    let mut acts = Acts::default();
    let ordered = !view.is_parallel();
    for n in view.ordinals() {
        match view.pod(n) {
            None => acts.create.push(n),
            Some(pod) if pods::is_terminal(pod) => {
                if !pod.is_being_deleted() {
                    acts.delete.push(n);
                }
            }
            Some(pod) if !pod.is_being_deleted() && view.is_available(pod, now) => continue,
            Some(_) => {}
        }
        if ordered {
            return acts;
        }
    }
    let unhealthy = |pod: &Object| pod.is_being_deleted() || !view.is_available(pod, now);
    let all = || view.pods.iter();
    let first_unhealthy = all().find(|(_, pod)| unhealthy(pod)).map(|(n, _)| *n);
    for (n, pod) in all().rev().filter(|(n, _)| !view.ordinals().contains(n)) {
        if pod.is_being_deleted() {
            if ordered {
                return acts;
            }
            continue;
        }
        if ordered && unhealthy(pod) && first_unhealthy.is_some_and(|first| first != *n) {
            return acts;
        }
        acts.delete.push(*n);
        if ordered {
            return acts;
        }
    }
    if view.rolls() && acts == Acts::default() {
        acts.delete.extend(next_to_replace(view, now));
    }
    acts
}

/// The highest number whose pod is of an old revision, once all above it are healthy.
fn next_to_replace(view: &View, now: base::Time) -> Option<i64> {
    let lowest = view.first() + view.partition().unwrap_or(0);
    for n in view.ordinals().rev().take_while(|n| *n >= lowest) {
        let pod = view.pod(n)?;
        let is_new = pod.label(REVISION_HASH_LABEL) == Some(view.update.name());
        if !is_new && !pod.is_being_deleted() {
            return Some(n);
        }
        if pod.is_being_deleted() || !view.is_available(pod, now) {
            return None;
        }
    }
    None
}

/// The pod of a number, of a revision's template.
fn new_pod(view: &View, ordinal: i64) -> Object {
    let revision = view.revision_for(ordinal);
    let set = &view.set;
    let mut template = revision.at(&["data", "spec", "template"]).cloned().unwrap_or_default();
    template.map_mut().remove("$patch");
    let mut pod = pods::from_template(&template, set, set.new_controller_ref());
    let name = format!("{}-{ordinal}", set.name());
    pod.remove_at(&["metadata", "generateName"]);
    pod.set_at(&["metadata", "name"], name.as_str());
    let labels = pod.value_mut().entry(&["metadata", "labels"]).map_mut();
    labels.insert(key(POD_NAME), name.as_str());
    labels.insert(key(POD_INDEX), ordinal.to_string());
    labels.insert(key(REVISION_HASH_LABEL), revision.name());
    pod.set_at(&["spec", "hostname"], name);
    if let Some(service) = set.at(&["spec", "serviceName"]).filter(|s| !s.is_empty()) {
        pod.set_at(&["spec", "subdomain"], service);
    }
    let templates = set.list_at(&["spec", "volumeClaimTemplates"]);
    if !templates.is_empty() {
        let is_claim = |v: &Value| templates.iter().any(|t| t.at(&["metadata", "name"]) == v.get("name"));
        let volumes = templates.iter().map(|t| {
            let name = t.str_at(&["metadata", "name"]).unwrap_or("");
            value!({"name": name, "persistentVolumeClaim": {"claimName": (claims::name(t, set, ordinal))}})
        });
        let others = pod.list_at(&["spec", "volumes"]).iter().filter(|v| !is_claim(v)).cloned();
        let all: Vec<Value> = volumes.chain(others).collect();
        pod.set_at(&["spec", "volumes"], all);
    }
    pod
}

impl StatefulSetController {
    /// Current and updated revision, made or renumbered if need be. Models `getStatefulSetRevisions`.
    fn revisions(&self, set: &Object, revisions: &[Object]) -> Result<(Object, Object), Plan<Stage>> {
        let collisions = set.int_at(&["status", "collisionCount"]).unwrap_or(0);
        let wanted =
            client_go::history::new_revision(set, template_patch(set), history::next_number(revisions), Some(collisions));
        let update = match revisions.iter().rfind(|r| client_go::history::equal(r, &wanted)) {
            None => {
                let why = format!("{} has a new template", set.name());
                return Err(Plan::call(why, Request::create(gvr(CONTROLLERREVISIONS), wanted), Stage::Last));
            }
            Some(found) if revisions.last().is_some_and(|last| last.uid() != found.uid()) => {
                let mut renumbered = found.clone();
                renumbered.set_at(&["revision"], history::next_number(revisions));
                let why = format!("{} goes back to a former template", set.name());
                return Err(Plan::call(why, Request::update(gvr(CONTROLLERREVISIONS), renumbered), Stage::Last));
            }
            Some(found) => found.clone(),
        };
        let current = revisions.iter().find(|r| Some(r.name()) == set.str_at(&["status", "currentRevision"]));
        Ok((current.cloned().unwrap_or_else(|| update.clone()), update))
    }

    /// `calls` come first: claims whose owners change.
    fn act(&self, view: View, acts: Acts, mut calls: Vec<Request>, ctx: &mut Ctx) -> Plan<Stage> {
        for n in &acts.create {
            calls.extend(
                claims::missing(&view.set, *n, ctx).into_iter().map(|claim| Request::create(gvr(PERSISTENTVOLUMECLAIMS), claim)),
            );
            calls.push(Request::create(gvr(PODS), new_pod(&view, *n)));
        }
        for n in &acts.delete {
            let Some(pod) = view.pod(*n) else { continue };
            let place = format!("StatefulSet {}/{} is recreating", view.set.namespace(), view.set.name());
            match pods::phase(pod) {
                "Failed" => ctx.warning(&view.set, "RecreatingFailedPod", &format!("{place} failed Pod {}", pod.name())),
                "Succeeded" => {
                    ctx.normal(&view.set, "RecreatingTerminatedPod", &format!("{place} terminated Pod {}", pod.name()));
                }
                _ => {}
            }
            calls.push(Request::delete(gvr(PODS), &pod.key()));
        }
        let why = format!("{}: creates {:?}, deletes {:?}", view.set.name(), acts.create, acts.delete);
        Plan::sequence(why, calls, Stage::Acting(Rc::new(view)))
    }

    fn write_status(&self, view: &View, ctx: &Ctx) -> Plan<Stage> {
        let mut status = refs::status_of(&view.set);
        let alive = || view.pods.iter().map(|(_, pod)| pod).filter(|pod| !pods::phase(pod).is_empty());
        let of = |revision: &Object| {
            let name = revision.name().to_string();
            alive().filter(|p| !p.is_being_deleted() && p.label(REVISION_HASH_LABEL) == Some(&name)).count() as i64
        };
        let ready = alive().filter(|pod| pods::phase(pod) == "Running" && pods::is_ready(pod)).count() as i64;
        let (replicas, updated) = (alive().count() as i64, of(&view.update));
        let (mut current, mut current_name) = (of(&view.current), view.current.name().to_string());
        if view.rolls() && updated == replicas && ready == replicas && replicas == view.replicas() {
            (current, current_name) = (updated, view.update.name().to_string());
        }
        status.set_at(&["replicas"], replicas);
        status.set_at(&["availableReplicas"], alive().filter(|pod| view.is_available(pod, ctx.now)).count() as i64);
        for (field, n) in [("readyReplicas", ready), ("currentReplicas", current), ("updatedReplicas", updated)] {
            refs::set_int(&mut status, field, n);
        }
        refs::set_int(&mut status, "observedGeneration", view.set.generation());
        status.set_at(&["currentRevision"], current_name);
        status.set_at(&["updateRevision"], view.update.name());
        status.set_at(&["collisionCount"], view.set.int_at(&["status", "collisionCount"]).unwrap_or(0));
        if refs::same_status(&status, &refs::status_of(&view.set)) {
            return self.clean(view);
        }
        let why = format!("{} has {ready} of {} ready", view.set.name(), view.replicas());
        Plan::call(why, refs::update_status(STATEFULSETS, &view.set, status), Stage::Last)
    }

    fn clean(&self, view: &View) -> Plan<Stage> {
        let live = |r: &Object| {
            r.name() == view.current.name()
                || r.name() == view.update.name()
                || view.pods.iter().any(|(_, pod)| pod.label(REVISION_HASH_LABEL) == Some(r.name()))
        };
        let doomed = history::over_limit(&view.set, &view.revisions, live);
        if doomed.is_empty() {
            return Plan::Done;
        }
        let calls = doomed.iter().map(|r| Request::delete(gvr(CONTROLLERREVISIONS), &r.key())).collect();
        Plan::calls(format!("{} keeps fewer revisions", view.set.name()), calls, Stage::Last)
    }
}

impl Controller for StatefulSetController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        let name = "statefulset-controller";
        Info { name, account: name, source: name, workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[STATEFULSETS, PODS, CONTROLLERREVISIONS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if res == STATEFULSETS {
            return queue.add(delta.object().key());
        }
        for object in [&delta.old, &delta.new].into_iter().flatten() {
            if let Some(key) = refs::controller_key(queue.caches, STATEFULSETS, object) {
                queue.add(key);
            }
        }
        if res == PODS
            && let Some(pod) = delta.new.as_ref().filter(|pod| pod.controller_ref().is_none())
            && let Some((set, _)) = pod.name().rsplit_once('-')
        {
            let key = ObjectKey::new(pod.namespace(), set);
            if queue.caches.get(STATEFULSETS, &key).is_some_and(|set| refs::label_selector(set).matches(pod.labels())) {
                queue.add(key);
            }
        }
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(set) = ctx.caches.get(STATEFULSETS, key).cloned() else { return Plan::Done };
        let selector = refs::label_selector(&set);
        for res in [CONTROLLERREVISIONS, PODS] {
            let mut claim = refs::claim(ctx.caches, res, STATEFULSETS, &set, &selector);
            if res == PODS {
                // Only pods that are named after the set are its own.
                let prefix = format!("{}-", set.name());
                claim.calls.retain(|call| call.gvr != gvr(PODS) || call.name.starts_with(&prefix));
                if claim.calls.len() == 1 && claim.calls[0].gvr == gvr(STATEFULSETS) {
                    claim.calls.clear();
                }
            }
            if !claim.calls.is_empty() {
                return Plan::sequence(format!("{key} adopts or lets go"), claim.calls, Stage::Claiming);
            }
        }
        let revisions = history::of(ctx.caches, &set);
        let (current, update) = match self.revisions(&set, &revisions) {
            Ok(pair) => pair,
            Err(plan) => return plan,
        };
        let owned = ctx.caches.owned_by(PODS, set.uid());
        let mut numbered: Vec<(i64, Object)> = owned.filter_map(|pod| Some((ordinal(pod, set.name())?, pod.clone()))).collect();
        numbered.order_by_key(|(n, _)| *n);
        let view = View { set, pods: numbered, current, update, revisions };
        let acts = if view.set.is_being_deleted() { Acts::default() } else { decide(&view, ctx.now) };
        let owners = claims::fix_owners(&view, ctx.caches);
        if acts == Acts::default() && owners.is_empty() {
            return self.write_status(&view, ctx);
        }
        self.act(view, acts, owners, ctx)
    }

    fn on_outcome(&mut self, _: &ObjectKey, stage: &Stage, request: &Request, outcome: &Outcome, ctx: &mut Ctx) {
        let Stage::Acting(view) = stage else { return };
        let set = view.set.name();
        let named = |o: &Outcome| o.ok().map_or(request.name.to_string(), |o| o.name().to_string());
        let ok = outcome.ok().is_some();
        let name = match &request.body {
            apimachinery::Body::Object(object) => object.name().to_string(),
            _ => named(outcome),
        };
        let is_claim = request.gvr == gvr(PERSISTENTVOLUMECLAIMS);
        let creates = request.verb == apimachinery::Verb::Create;
        let text = outcome.message();
        match (ok, is_claim, creates) {
            (true, true, true) => {
                let pod = claims::pod_of(&name, &view.set);
                ctx.normal(&view.set, "SuccessfulCreate", &format!("Create Claim {name} Pod {pod} in StatefulSet {set} success"));
            }
            (true, false, true) => {
                ctx.normal(&view.set, "SuccessfulCreate", &format!("Create Pod {name} in StatefulSet {set} successful"));
            }
            (true, false, false) => {
                ctx.normal(&view.set, "SuccessfulDelete", &format!("delete Pod {name} in StatefulSet {set} successful"));
            }
            (true, true, false) => {}
            (false, _, true) if !outcome.is_already_exists() => {
                let what = if is_claim { "Claim" } else { "Pod" };
                let message = format!("create {what} {name} in StatefulSet {set} failed error: {text}");
                ctx.warning(&view.set, "FailedCreate", &message);
            }
            _ => {}
        }
    }

    fn resume(&mut self, _: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        let error =
            failure(&outcomes.iter().filter(|o| !o.is_already_exists() && !o.is_not_found()).cloned().collect::<Vec<_>>());
        match (stage, error) {
            (_, Some(error)) => Plan::Retry(error),
            (Stage::Acting(view), None) => {
                let mut view = (*view).clone();
                for pod in outcomes.iter().filter_map(|o| o.ok()).filter(|o| o.kind() == "Pod") {
                    let Some(n) = ordinal(pod, view.set.name()) else { continue };
                    view.pods.retain(|(m, _)| *m != n);
                    view.pods.push((n, pod.clone()));
                }
                view.pods.order_by_key(|(n, _)| *n);
                self.write_status(&view, ctx)
            }
            (_, None) => Plan::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(name: &str) -> Object {
        Object::from_value(value!({"metadata": {"name": name, "uid": name}})).unwrap()
    }
    /// `pods`: letters by number: `R` ready, `P` not ready, `T` terminating, `r` ready of the old revision, `.` missing.
    fn acts(policy: &str, replicas: i64, pods: &str) -> (Vec<i64>, Vec<i64>) {
        let set = value!({"metadata": {"name": "db"}, "spec": {"replicas": replicas, "podManagementPolicy": policy}});
        let pod = |n: usize, c: char| {
            let mut pod = value!({
                "metadata": {"name": (format!("db-{n}")), "labels": {"controller-revision-hash": (if c == 'r' { "old" } else { "new" })}},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": (if c == 'P' { "False" } else { "True" })}]}
            });
            if c == 'T' {
                pod.set_at(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
            }
            (n as i64, Object::from_value(pod).unwrap())
        };
        let pods = pods.chars().enumerate().filter(|(_, c)| *c != '.').map(|(n, c)| pod(n, c)).collect();
        let set = Object::from_value(set).unwrap();
        let view = View { set, pods, current: revision("old"), update: revision("new"), revisions: Vec::new() };
        let acts = decide(&view, base::Time::EPOCH);
        (acts.create, acts.delete)
    }

    #[test]
    fn order_is_kept_unless_parallel() {
        for (policy, replicas, pods, create, delete) in [
            ("OrderedReady", 3, "", &[0][..], &[][..]),
            ("OrderedReady", 3, "P", &[], &[]),
            ("OrderedReady", 3, "R", &[1], &[]),
            ("OrderedReady", 3, "R.R", &[1], &[]),
            ("OrderedReady", 1, "RRR", &[], &[2]),
            ("OrderedReady", 1, "RRT", &[], &[]),
            ("OrderedReady", 3, "rrr", &[], &[2]),
            ("OrderedReady", 3, "rrP", &[], &[]),
            ("OrderedReady", 3, "rrR", &[], &[1]),
            ("Parallel", 3, "", &[0, 1, 2], &[]),
            ("Parallel", 1, "RRR", &[], &[2, 1]),
        ] {
            assert_eq!(acts(policy, replicas, pods), (create.to_vec(), delete.to_vec()), "{policy} {replicas} {pods}");
        }
    }

    #[test]
    fn the_revision_is_named_as_upstream_names_it() {
        let set = value!({"metadata": {"name": "store"}, "spec": {"template": {
            "metadata": {"labels": {"app": "store"}},
            "spec": {
                "containers": [{
                    "image": "redis:7.2", "imagePullPolicy": "IfNotPresent", "name": "store", "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"
                }],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "securityContext": {}, "terminationGracePeriodSeconds": 30
            }
        }}});
        let set = Object::from_value(set).unwrap();
        let revision = client_go::history::new_revision(&set, template_patch(&set), 1, Some(0));
        assert_eq!(revision.name(), "store-6b9b8f59c9");
    }
}
