//! The deployment controller: one ReplicaSet per revision of the template, scaled so that enough pods are available all the time.
//!
//! Models `pkg/controller/deployment`. `plan.rs` decides the sizes of ReplicaSets, `status.rs` the status, `revision.rs` annotations.
//! Left out: the rollback annotation of extensions/v1beta1.

mod plan;
mod revision;
mod status;

use std::rc::Rc;

use apimachinery::{Fields, Object, ObjectKey, Request, Value, key, value};
use base::Duration;
use base::Sort as _;
use client_go::{Delta, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure, finish};
use crate::refs;
use crate::resources::{DEPLOYMENTS, PODS, REPLICASETS, Res, gvr};
use crate::template_hash::compute_hash;

use plan::{Scale, replicas};

const HASH_LABEL: &str = "pod-template-hash";

#[derive(Clone, Default)]
pub struct DeploymentController {}

/// A Deployment with its ReplicaSets.
#[derive(Clone)]
pub struct View {
    pub d: Object,
    pub new: Option<Object>,
    /// All others, oldest first.
    pub old: Vec<Object>,
}

/// Where a sync stands.
#[derive(Clone)]
pub enum Stage {
    Claiming,
    /// The ReplicaSet of a new template is being created.
    Creating(Rc<View>),
    /// ReplicaSets are being scaled or annotated; then the status.
    Scaling(Rc<View>, Vec<Rc<str>>),
    /// Old ReplicaSets are being deleted; then the status.
    Cleaning(Rc<View>),
    /// The last write of this sync; an update event brings the key back if more is to do.
    Status,
}

impl View {
    fn all(&self) -> impl Iterator<Item = &Object> {
        self.old.iter().chain(&self.new)
    }
    fn new(d: Object, mut sets: Vec<Object>) -> View {
        sets.order_by(|a, b| (a.creation_timestamp(), a.name()).cmp(&(b.creation_timestamp(), b.name())));
        let new = sets.iter().position(|rs| equal_ignore_hash(rs, &d)).map(|i| sets.remove(i));
        View { d, new, old: sets }
    }
}

/// Whether the templates are the same but for the hash label. Shared subtrees make this cheap.
fn equal_ignore_hash(rs: &Object, d: &Object) -> bool {
    let (Some(a), Some(b)) = (rs.at(&["spec", "template"]), d.at(&["spec", "template"])) else { return false };
    if a.get("spec") != b.get("spec") {
        return false;
    }
    let metadata = |template: &Value| {
        let mut metadata = template.get("metadata").cloned().unwrap_or_else(Value::map);
        let fields = metadata.map_mut();
        fields.remove("creationTimestamp");
        if let Some(labels) = fields.get_mut("labels") {
            labels.map_mut().remove(HASH_LABEL);
        }
        fields.retain(|_, v| !v.is_empty());
        metadata
    };
    metadata(a) == metadata(b)
}

impl DeploymentController {
    /// A ReplicaSet for the template as it is now. Models the middle of `getNewReplicaSet`.
    fn create(&self, view: View) -> Plan<Stage> {
        let d = &view.d;
        let template = d.at(&["spec", "template"]).cloned().unwrap_or_default();
        let hash = compute_hash(&template, d.int_at(&["status", "collisionCount"]));
        let mut labels = template.map_at(&["metadata", "labels"]).cloned().unwrap_or_default();
        labels.insert(key(HASH_LABEL), hash.as_str());
        let mut new_template = template;
        new_template.set_at(&["metadata", "labels"], labels.clone());
        let mut selector = d.at(&["spec", "selector"]).cloned().unwrap_or_else(Value::map);
        selector.entry(&["matchLabels"]).map_mut().insert(key(HASH_LABEL), hash.as_str());
        let name = format!("{}-{hash}", &d.name()[..d.name().len().min(253 - 1 - hash.len())]);
        let mut rs = Object::from_value(value!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": (d.namespace()), "labels": (Value::from(labels)),
                "ownerReferences": [(d.new_controller_ref())]
            },
            "spec": {"replicas": 0, "selector": selector, "template": new_template}
        }))
        .expect("a map was built");
        if let Some(secs) = d.int_at(&["spec", "minReadySeconds"]).filter(|s| *s != 0) {
            rs.set_at(&["spec", "minReadySeconds"], secs);
        }
        let size = plan::new_size(d, view.old.iter().map(replicas).sum(), 0);
        rs.set_at(&["spec", "replicas"], size);
        revision::annotate_new(d, &mut rs, revision::max_of(&view.old) + 1, false);
        let why = format!("{} has a new template: creates ReplicaSet {} with {size}", d.name(), rs.name());
        Plan::call(why, Request::create(gvr(REPLICASETS), rs), Stage::Creating(Rc::new(view)))
    }

    fn created(&self, view: &View, outcome: &Outcome, ctx: &mut Ctx) -> Plan<Stage> {
        let d = &view.d;
        let Some(rs) = outcome.ok() else { return self.not_created(view, outcome, ctx) };
        let size = replicas(rs);
        if size > 0 {
            ctx.normal(d, "ScalingReplicaSet", &format!("Scaled up replica set {} from 0 to {size}", rs.name()));
        }
        let mut d = d.clone();
        revision::set_on_deployment(&mut d, rs);
        let mut status = refs::status_of(&d);
        if status::has_deadline(&d) {
            let message = format!("Created new replica set \"{}\"", rs.name());
            status::set(&mut status, "Progressing", "True", "NewReplicaSetCreated", &message, ctx.now);
        }
        let why = format!("{} notes its revision", d.name());
        Plan::call(why, refs::update_status(DEPLOYMENTS, &d, status), Stage::Status)
    }

    fn not_created(&self, view: &View, outcome: &Outcome, ctx: &mut Ctx) -> Plan<Stage> {
        let d = &view.d;
        let error: Rc<str> = outcome.message().into();
        if refs::namespace_terminating(outcome) {
            return Plan::Done;
        }
        let mut status = refs::status_of(d);
        if outcome.is_already_exists() {
            // The cache may lag behind: if the ReplicaSet is this Deployment's own, its event brings the key back.
            let hash = compute_hash(d.at(&["spec", "template"]).unwrap_or(&Value::Null), d.int_at(&["status", "collisionCount"]));
            let existing = ctx.caches.find(REPLICASETS, d.namespace(), &format!("{}-{hash}", d.name()));
            match existing {
                None => return Plan::Retry(error),
                Some(rs) if rs.controller_ref().and_then(|r| r.str_at(&["uid"])) == Some(d.uid()) && equal_ignore_hash(rs, d) => {
                    return Plan::Retry(error);
                }
                Some(_) => {
                    let count = status.int_at(&["collisionCount"]).unwrap_or(0);
                    status.set_at(&["collisionCount"], count + 1);
                }
            }
        } else {
            let hash_name = outcome.message();
            let message = format!("Failed to create new replica set \"{}\": {hash_name}", d.name());
            if status::has_deadline(d) {
                status::set(&mut status, "Progressing", "False", "ReplicaSetCreateError", &message, ctx.now);
            }
            ctx.warning(d, "ReplicaSetCreateError", &message);
        }
        if refs::same_status(&status, &refs::status_of(d)) {
            return Plan::Retry(error);
        }
        Plan::call(format!("{} could not create", d.name()), refs::update_status(DEPLOYMENTS, d, status), Stage::Status)
    }

    /// Carries out a scaling, then writes the status.
    fn scale(&self, view: View, scales: Vec<Scale>) -> Plan<Stage> {
        let why = scales.iter().map(|s| format!("{} {}→{}", s.rs.name(), replicas(&s.rs), s.size)).collect::<Vec<_>>().join(", ");
        let messages = scales.iter().map(|s| s.message().into()).collect();
        let calls = scales.iter().map(|s| Request::update(gvr(REPLICASETS), s.scaled(&view.d))).collect();
        Plan::sequence(why, calls, Stage::Scaling(Rc::new(view), messages))
    }

    /// Deletes what exceeds the history limit if the roll-out is complete, then writes the status.
    fn finish_sync(&self, view: View, clean: bool, ctx: &mut Ctx) -> Plan<Stage> {
        let doomed = if clean { revision::over_limit(&view.d, &view.old) } else { Vec::new() };
        if doomed.is_empty() {
            return self.write_status(&view, ctx);
        }
        let calls = doomed.iter().map(|rs| Request::delete(gvr(REPLICASETS), &rs.key())).collect();
        let why = format!("{} keeps fewer revisions: deletes {}", view.d.name(), doomed.len());
        Plan::calls(why, calls, Stage::Cleaning(Rc::new(view)))
    }

    fn write_status(&self, view: &View, ctx: &mut Ctx) -> Plan<Stage> {
        let status = status::rollout(view, ctx.now);
        if refs::same_status(&status, &refs::status_of(&view.d)) {
            return Plan::after(status::progress_check(&view.d, &status, ctx.now));
        }
        let ready = status.int_at(&["readyReplicas"]).unwrap_or(0);
        let why = format!("{} has {ready} ready", view.d.name());
        Plan::call(why, refs::update_status(DEPLOYMENTS, &view.d, status), Stage::Status)
    }

    /// The annotations and `minReadySeconds` of the ReplicaSet that fits the template. Models the beginning of `getNewReplicaSet`.
    fn sync_new(&self, view: &mut View, ctx: &mut Ctx) -> Option<Plan<Stage>> {
        let rs = view.new.as_ref()?;
        let mut wanted = rs.clone();
        revision::annotate_new(&view.d, &mut wanted, revision::max_of(&view.old) + 1, true);
        let min_ready = refs::spec_int(&view.d, "minReadySeconds", 0);
        if refs::spec_int(rs, "minReadySeconds", 0) != min_ready {
            wanted.set_at(&["spec", "minReadySeconds"], min_ready);
        }
        if wanted != *rs {
            let why = format!("{} is the newest revision of {}", rs.name(), view.d.name());
            return Some(Plan::call(
                why,
                Request::update(gvr(REPLICASETS), wanted),
                Stage::Scaling(Rc::new(view.clone()), Vec::new()),
            ));
        }
        let before = view.d.clone();
        let rs = rs.clone();
        revision::set_on_deployment(&mut view.d, &rs);
        let mut status = refs::status_of(&view.d);
        if status::has_deadline(&view.d) && refs::find_condition(&status, "Progressing").is_none() {
            let message = format!("Found new replica set \"{}\"", rs.name());
            status::set(&mut status, "Progressing", "True", "FoundNewReplicaSet", &message, ctx.now);
        }
        if view.d == before && refs::same_status(&status, &refs::status_of(&before)) {
            return None;
        }
        let why = format!("{} is at revision {}", view.d.name(), revision::of(&rs));
        Some(Plan::call(why, refs::update_status(DEPLOYMENTS, &view.d, status), Stage::Status))
    }

    fn roll(&self, mut view: View, ctx: &mut Ctx) -> Plan<Stage> {
        if let Some(plan) = self.sync_new(&mut view, ctx) {
            return plan;
        }
        let recreate = view.d.str_at(&["spec", "strategy", "type"]) == Some("Recreate");
        if recreate {
            let scales = plan::down_for_recreate(&view);
            if !scales.is_empty() {
                return self.scale(view, scales);
            }
            if self.old_pods_run(&view, ctx) {
                return self.write_status(&view, ctx);
            }
        }
        if view.new.is_none() {
            return self.create(view);
        }
        let mut scales = plan::up(&view);
        if scales.is_empty() && !recreate {
            scales = plan::down_for_rolling_update(&view);
        }
        if !scales.is_empty() {
            return self.scale(view, scales);
        }
        let complete = status::is_complete(&view.d, &refs::status_of(&view.d));
        self.finish_sync(view, complete, ctx)
    }

    /// Whether pods of older revisions still run (also those whose ReplicaSet doesn't count them any more).
    fn old_pods_run(&self, view: &View, ctx: &Ctx) -> bool {
        view.old.iter().any(|rs| {
            refs::status_int(rs, "replicas") > 0 || ctx.caches.owned_by(PODS, rs.uid()).any(|pod| !pods::is_terminal(pod))
        })
    }

    /// Paused, or its size changed: no roll-out, only proportional scaling. Models `sync`.
    fn scale_only(&self, mut view: View, ctx: &mut Ctx) -> Plan<Stage> {
        if let Some(plan) = self.sync_new(&mut view, ctx) {
            return plan;
        }
        let scales = plan::proportional(&view);
        if !scales.is_empty() {
            return self.scale(view, scales);
        }
        let paused = is_paused(&view.d);
        self.finish_sync(view, paused, ctx)
    }

    /// The Progressing condition of a Deployment that was just paused or resumed.
    fn pause_condition(&self, d: &Object, ctx: &Ctx) -> Option<Plan<Stage>> {
        if !status::has_deadline(d) {
            return None;
        }
        let reason = d.condition("Progressing").and_then(|c| c.str_at(&["reason"])).unwrap_or("");
        let (reason, message) = match (is_paused(d), reason) {
            (_, "ProgressDeadlineExceeded") => return None,
            (true, reason) if reason != "DeploymentPaused" => ("DeploymentPaused", "Deployment is paused"),
            (false, "DeploymentPaused") => ("DeploymentResumed", "Deployment is resumed"),
            _ => return None,
        };
        let mut status = refs::status_of(d);
        status::set(&mut status, "Progressing", "Unknown", reason, message, ctx.now);
        Some(Plan::call(message, refs::update_status(DEPLOYMENTS, d, status), Stage::Status))
    }
}

fn is_paused(d: &Object) -> bool {
    d.bool_at(&["spec", "paused"]).unwrap_or(false)
}

impl Controller for DeploymentController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        Info { name: "deployment-controller", account: "deployment-controller", source: "deployment-controller", workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[DEPLOYMENTS, REPLICASETS, PODS]
    }

    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        match res {
            DEPLOYMENTS => queue.add(delta.object().key()),
            REPLICASETS => {
                for rs in [&delta.old, &delta.new].into_iter().flatten() {
                    if let Some(key) = refs::controller_key(queue.caches, DEPLOYMENTS, rs) {
                        queue.add(key);
                    }
                }
                let orphan = delta.new.as_ref().filter(|rs| rs.controller_ref().is_none() && rs.labels().is_some());
                if let Some(rs) = orphan {
                    let all = queue.caches.store(DEPLOYMENTS).in_namespace(rs.namespace());
                    let matching = all.filter(|d| refs::label_selector(d).matches(rs.labels()));
                    let keys: Vec<ObjectKey> = matching.map(Object::key).collect();
                    keys.into_iter().for_each(|key| queue.add(key));
                }
            }
            // The last pod of an old revision is gone: a Recreate may go on.
            _ => {
                let Some(pod) = delta.old.as_ref().filter(|_| delta.new.is_none()) else { return };
                let Some(rs) = queue.caches.controller_of(REPLICASETS, pod) else { return };
                let Some(d) = queue.caches.controller_of(DEPLOYMENTS, rs) else { return };
                if d.str_at(&["spec", "strategy", "type"]) == Some("Recreate") {
                    queue.add(d.key());
                }
            }
        }
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(d) = ctx.caches.get(DEPLOYMENTS, key).cloned() else { return Plan::Done };
        let selector = refs::label_selector(&d);
        if selector.is_everything() {
            ctx.warning(&d, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.");
            return Plan::Done;
        }
        let claim = refs::claim(ctx.caches, REPLICASETS, DEPLOYMENTS, &d, &selector);
        if !claim.calls.is_empty() {
            return Plan::sequence(format!("{} adopts or lets go of ReplicaSets", d.name()), claim.calls, Stage::Claiming);
        }
        let view = View::new(d, claim.owned);
        if view.d.is_being_deleted() {
            return self.write_status(&view, ctx);
        }
        if let Some(plan) = self.pause_condition(&view.d, ctx) {
            return plan;
        }
        if is_paused(&view.d) || plan::is_scaling_event(&view) {
            return self.scale_only(view, ctx);
        }
        self.roll(view, ctx)
    }

    fn resume(&mut self, _: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match stage {
            Stage::Claiming | Stage::Status => finish(outcomes),
            Stage::Creating(view) => self.created(&view, &outcomes[0], ctx),
            Stage::Scaling(view, messages) => {
                let mut view = (*view).clone();
                for outcome in outcomes {
                    view.replace(outcome);
                }
                for (message, _) in messages.iter().zip(outcomes).filter(|(_, o)| o.ok().is_some()) {
                    if !message.is_empty() {
                        ctx.normal(&view.d, "ScalingReplicaSet", message);
                    }
                }
                match failure(outcomes) {
                    Some(error) => Plan::Retry(error),
                    None => self.write_status(&view, ctx),
                }
            }
            Stage::Cleaning(view) => match crate::framework::failure_but_not_found(outcomes) {
                Some(error) => Plan::Retry(error),
                None => self.write_status(&view, ctx),
            },
        }
    }
}

impl View {
    /// Takes a ReplicaSet as it was answered.
    fn replace(&mut self, outcome: &Outcome) {
        let Some(rs) = outcome.ok() else { return };
        for place in self.old.iter_mut().chain(&mut self.new) {
            if place.uid() == rs.uid() {
                *place = rs.clone();
            }
        }
    }
}

/// Fields of a map of strings, for annotations.
fn strings(object: &Object, path: &[&str]) -> Fields {
    object.map_at(path).cloned().unwrap_or_default()
}

/// Seconds of a spec field as a duration.
fn seconds(d: &Object, field: &str) -> Option<Duration> {
    d.int_at(&["spec", field]).map(Duration::from_secs)
}
