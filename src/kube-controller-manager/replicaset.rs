//! The replicaset controller, and with other names the replication controller: keeps as many pods as asked.
//!
//! Models `pkg/controller/replicaset`. Pods are created in batches of 1, 2, 4, … (a broken template fails once, not a thousand times)
//! and deleted least useful first; expectations keep it from counting while its cache lags behind.

use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::{Fields, Object, ObjectKey, Request, Value};
use base::Sort as _;
use base::{Duration, Map, Time};
use client_go::pods::{self, DeletionRank};
use client_go::{Delta, Expectations};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure};
use crate::refs;
use crate::resources::{Caches, PODS, REPLICASETS, REPLICATIONCONTROLLERS, Res, TABLE, gvr};
use crate::tally::{Tallies, all_match};

/// The most that one sync creates or deletes.
const BURST_REPLICAS: i64 = 500;

#[derive(Clone)]
pub struct ReplicaSetController {
    res: Res,
    info: Info,
    expectations: Expectations<ObjectKey>,
    tallies: Tallies,
}

/// Where a sync stands.
#[derive(Clone)]
pub enum Stage {
    /// Pods are being adopted or let go; their events bring the key back.
    Claiming,
    /// A batch is under way; so many are still to be created.
    Creating {
        rs: Object,
        counted: Counted,
        batch: i64,
        left: i64,
    },
    Deleting {
        rs: Object,
        counted: Counted,
    },
    /// The status is being written; then the error of the sync counts.
    Status {
        error: Option<Rc<str>>,
        check_again: Option<Duration>,
    },
}

/// The pods of a ReplicaSet in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    pub replicas: i64,
    pub fully_labeled: i64,
    pub ready: i64,
    pub available: i64,
    pub terminating: i64,
}

impl ReplicaSetController {
    pub fn replica_sets() -> ReplicaSetController {
        let info =
            Info { name: "replicaset-controller", account: "replicaset-controller", source: "replicaset-controller", workers: 5 };
        ReplicaSetController { res: REPLICASETS, info, expectations: Expectations::default(), tallies: Tallies::default() }
    }
    pub fn replication_controllers() -> ReplicaSetController {
        let info = Info {
            name: "replicationcontroller-controller",
            account: "replication-controller",
            source: "replication-controller",
            workers: 5,
        };
        ReplicaSetController {
            res: REPLICATIONCONTROLLERS,
            info,
            expectations: Expectations::default(),
            tallies: Tallies::default(),
        }
    }

    fn selector(&self, rs: &Object) -> Selector {
        match self.res {
            REPLICATIONCONTROLLERS => rs.map_at(&["spec", "selector"]).map_or_else(Selector::nothing, Selector::from_set),
            _ => refs::label_selector(rs),
        }
    }

    /// Queues every controller of the namespace whose selector matches an orphan.
    fn queue_matching(&self, pod: &Object, queue: &mut Enqueue<ObjectKey>) {
        if pod.labels().is_none() {
            return;
        }
        let matching = queue.caches.store(self.res).in_namespace(pod.namespace());
        let keys: Vec<ObjectKey> = matching.filter(|rs| self.selector(rs).matches(pod.labels())).map(Object::key).collect();
        keys.into_iter().for_each(|key| queue.add(key));
    }

    fn on_pod(&mut self, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        self.tallies.change(delta, TABLE[self.res].kind);
        let key_of = |pod: &Object, queue: &Enqueue<ObjectKey>| refs::controller_key(queue.caches, self.res, pod);
        match (&delta.old, &delta.new) {
            (old, Some(pod)) => {
                if let Some(old) = old
                    && refs::controller_changed(old, pod)
                    && let Some(key) = key_of(old, queue)
                {
                    queue.add(key);
                }
                let Some(key) = key_of(pod, queue) else {
                    let news = old.as_ref().is_none_or(|old| {
                        refs::controller_changed(old, pod) || old.at(&["metadata", "labels"]) != pod.at(&["metadata", "labels"])
                    });
                    if news && pod.controller_ref().is_none() && !pod.is_being_deleted() {
                        self.queue_matching(pod, queue);
                    }
                    return;
                };
                if pod.is_being_deleted() {
                    self.expectations.deletion_observed(&key, pod.uid());
                } else if old.is_none() {
                    self.expectations.creation_observed(&key);
                }
                let became_ready = old.as_ref().is_some_and(|old| !pods::is_ready(old)) && pods::is_ready(pod);
                if became_ready
                    && let Some(rs) = queue.caches.get(self.res, &key)
                    && let Some(secs) = rs.int_at(&["spec", "minReadySeconds"]).filter(|s| *s > 0)
                {
                    queue.add_after(key.clone(), Duration::from_secs(secs + 1));
                }
                queue.add(key);
            }
            (Some(old), None) => {
                if let Some(key) = key_of(old, queue) {
                    self.expectations.deletion_observed(&key, old.uid());
                    queue.add(key);
                }
            }
            (None, None) => {}
        }
    }

    /// Creates the next batch, or goes on to the status when none is left.
    fn create(&mut self, key: &ObjectKey, rs: Object, counted: Counted, batch: i64, left: i64, ctx: &mut Ctx) -> Plan<Stage> {
        let n = batch.min(left);
        if n <= 0 {
            return self.write_status(&rs, counted, None, ctx);
        }
        let template = rs.at(&["spec", "template"]).cloned().unwrap_or_default();
        let pod = pods::from_template(&template, &rs, rs.new_controller_ref());
        let calls = (0..n).map(|_| Request::create(gvr(PODS), pod.clone())).collect();
        let wants = refs::spec_int(&rs, "replicas", 1);
        let why = format!("{} wants {wants}, has {}: creates {n}", key.name, wants.min(counted.replicas));
        Plan::calls(why, calls, Stage::Creating { rs, counted, batch, left: left - n })
    }

    fn delete(
        &mut self,
        key: &ObjectKey,
        rs: Object,
        counted: Counted,
        active: Vec<Object>,
        n: i64,
        ctx: &mut Ctx,
    ) -> Plan<Stage> {
        let doomed = pods_to_delete(ctx.caches, self.res, &rs, active, n as usize, ctx.now);
        self.expectations.expect_deletions(key, doomed.iter().map(pods::uid), ctx.now);
        let calls: Vec<Request> = doomed.iter().map(|pod| Request::delete(gvr(PODS), &pod.key())).collect();
        let wants = refs::spec_int(&rs, "replicas", 1);
        let why = format!("{} wants {wants}, has {}: deletes {n}", key.name, counted.replicas);
        Plan::calls(why, calls, Stage::Deleting { rs, counted })
    }

    /// The pods in numbers without a look at each; `None` where one has to be looked at: pods to adopt or to let go, or times to
    /// be compared.
    fn tallied(&self, rs: &Object, selector: &Selector, ctx: &Ctx) -> Option<Counted> {
        let classes = self.tallies.of(rs.uid());
        let adopts = |pod: &Object| !pod.is_being_deleted() && selector.matches(pod.labels());
        if refs::spec_int(rs, "minReadySeconds", 0) > 0
            || !all_match(classes, selector)
            || ctx.caches.orphans(PODS, rs.namespace()).any(adopts)
        {
            return None;
        }
        let mut counted = Counted::default();
        for (class, n) in classes {
            if class.active {
                counted.replicas += n;
                counted.fully_labeled += if has_labels_of_template(rs, class.labels.as_map()) { *n } else { 0 };
                counted.ready += if class.ready { *n } else { 0 };
            }
            counted.terminating += if class.terminating { *n } else { 0 };
        }
        counted.available = counted.ready;
        Some(counted)
    }

    /// The same by a look at every pod: what tallies are checked with in debug builds.
    fn recounted(&self, rs: &Object, selector: &Selector, ctx: &Ctx) -> Counted {
        let owned = refs::claim(ctx.caches, PODS, self.res, rs, selector).owned;
        let active: Vec<Object> = owned.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
        count(rs, &owned, &active, ctx.now)
    }

    /// Creates what is missing; too many pods are for [`Self::delete`].
    fn create_or_report(&mut self, key: &ObjectKey, rs: Object, counted: Counted, ctx: &mut Ctx) -> Plan<Stage> {
        let missing = refs::spec_int(&rs, "replicas", 1) - counted.replicas;
        if missing > 0 && self.may_act(key, &rs, ctx) {
            let n = missing.min(BURST_REPLICAS);
            self.expectations.expect_creations(key, n, ctx.now);
            return self.create(key, rs, counted, 1, n, ctx);
        }
        self.write_status(&rs, counted, None, ctx)
    }

    fn may_act(&mut self, key: &ObjectKey, rs: &Object, ctx: &Ctx) -> bool {
        !rs.is_being_deleted() && self.expectations.satisfied(key, ctx.now)
    }

    /// Writes the status if it changed.
    fn write_status(&self, rs: &Object, counted: Counted, error: Option<Rc<str>>, ctx: &Ctx) -> Plan<Stage> {
        let status = self.status(rs, counted, error.as_deref(), ctx.now);
        let check_again = self.check_again(rs, counted, ctx);
        if refs::same_status(&status, &refs::status_of(rs)) {
            return match error {
                Some(error) => Plan::Retry(error),
                None => Plan::after(check_again),
            };
        }
        let why = format!("{} has {} pods, {} ready", rs.name(), counted.replicas, counted.ready);
        Plan::call(why, refs::update_status(self.res, rs, status), Stage::Status { error, check_again })
    }

    fn status(&self, rs: &Object, counted: Counted, error: Option<&str>, now: Time) -> Value {
        let mut status = refs::status_of(rs);
        status.set_at(&["replicas"], counted.replicas);
        refs::set_int(&mut status, "fullyLabeledReplicas", counted.fully_labeled);
        refs::set_int(&mut status, "readyReplicas", counted.ready);
        refs::set_int(&mut status, "availableReplicas", counted.available);
        refs::set_int(&mut status, "observedGeneration", rs.generation());
        if self.res == REPLICASETS {
            status.set_at(&["terminatingReplicas"], counted.terminating);
        }
        match error {
            Some(error) if refs::find_condition(&status, "ReplicaFailure").is_none() => {
                let wants = refs::spec_int(rs, "replicas", 1);
                let reason = if counted.replicas < wants { "FailedCreate" } else { "FailedDelete" };
                refs::set_condition(&mut status, refs::condition("ReplicaFailure", "True", reason, error, now));
            }
            Some(_) => {}
            None => refs::remove_condition(&mut status, "ReplicaFailure"),
        }
        status
    }

    /// When a pod that is ready will be available.
    fn check_again(&self, rs: &Object, counted: Counted, ctx: &Ctx) -> Option<Duration> {
        let min_ready = refs::spec_int(rs, "minReadySeconds", 0);
        if min_ready == 0 || counted.ready == counted.available {
            return None;
        }
        let owned = ctx.caches.owned_by(PODS, rs.uid());
        owned.filter_map(|pod| pods::available_in(pod, min_ready, ctx.now)).min().map(|d| d + Duration::from_secs(1))
    }
}

/// Counts pods. Models `calculateStatus`.
fn count(rs: &Object, owned: &[Object], active: &[Object], now: Time) -> Counted {
    let min_ready = refs::spec_int(rs, "minReadySeconds", 0);
    let mut counted = Counted { replicas: active.len() as i64, ..Counted::default() };
    for pod in active {
        counted.fully_labeled += has_labels_of_template(rs, pod.labels()) as i64;
        if pods::is_ready(pod) {
            counted.ready += 1;
            counted.available += pods::is_available(pod, min_ready, now) as i64;
        }
    }
    counted.terminating = owned.iter().filter(|pod| pods::is_terminating(pod)).count() as i64;
    counted
}

fn has_labels_of_template(rs: &Object, labels: Option<&Fields>) -> bool {
    let wanted = rs.map_at(&["spec", "template", "metadata", "labels"]);
    wanted.is_none_or(|t| t.iter().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v)))
}

/// The `n` least useful pods. Models `getPodsToDelete`.
fn pods_to_delete(caches: Caches, res: Res, rs: &Object, active: Vec<Object>, n: usize, now: Time) -> Vec<Object> {
    if n >= active.len() {
        return active;
    }
    let per_node = related_per_node(caches, res, rs, &active);
    let rank = |pod: &Object| {
        let node: Rc<str> = pods::node_name(pod).into();
        DeletionRank::new(pod, per_node.get(&node).copied().unwrap_or(0), now)
    };
    let mut ranked: Vec<(DeletionRank, Object)> = active.into_iter().map(|pod| (rank(&pod), pod)).collect();
    ranked.order_by(|a, b| a.0.cmp(&b.0));
    ranked.into_iter().take(n).map(|(_, pod)| pod).collect()
}

/// How many active pods of the same owner (a Deployment's ReplicaSets together) are on each node.
fn related_per_node(caches: Caches, res: Res, rs: &Object, active: &[Object]) -> Map<Rc<str>, i64> {
    let mut per_node: Map<Rc<str>, i64> = Map::default();
    let mut add = |pod: &Object| *per_node.entry(pods::node_name(pod).into()).or_default() += 1;
    let owner = rs.controller_ref().and_then(|owner| owner.str_at(&["uid"]));
    match owner.filter(|_| res == REPLICASETS) {
        Some(owner) => {
            for sibling in caches.owned_by(REPLICASETS, owner) {
                caches.owned_by(PODS, sibling.uid()).filter(|pod| pods::is_active(pod)).for_each(&mut add);
            }
        }
        None => active.iter().for_each(&mut add),
    }
    per_node
}

impl Controller for ReplicaSetController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        self.info
    }
    fn watches(&self) -> &'static [Res] {
        if self.res == REPLICASETS { &[REPLICASETS, PODS] } else { &[REPLICATIONCONTROLLERS, PODS] }
    }

    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if res == PODS {
            return self.on_pod(delta, queue);
        }
        let key = delta.object().key();
        let replaced = matches!((&delta.old, &delta.new), (Some(old), Some(new)) if old.uid() != new.uid());
        if delta.new.is_none() || replaced {
            self.expectations.delete(&key);
        }
        queue.add(key);
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(rs) = ctx.caches.get(self.res, key).cloned() else {
            self.expectations.delete(key);
            return Plan::Done;
        };
        let selector = self.selector(&rs);
        let wants = refs::spec_int(&rs, "replicas", 1);
        if let Some(counted) = self.tallied(&rs, &selector, ctx).filter(|c| c.replicas <= wants) {
            debug_assert_eq!(counted, self.recounted(&rs, &selector, ctx), "the tally of {key} is wrong");
            return self.create_or_report(key, rs, counted, ctx);
        }
        let claim = refs::claim(ctx.caches, PODS, self.res, &rs, &selector);
        if !claim.calls.is_empty() {
            return Plan::sequence(format!("{} adopts or lets go of pods", rs.name()), claim.calls, Stage::Claiming);
        }
        let active: Vec<Object> = claim.owned.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
        let counted = count(&rs, &claim.owned, &active, ctx.now);
        let surplus = counted.replicas - wants;
        if surplus > 0 && self.may_act(key, &rs, ctx) {
            return self.delete(key, rs, counted, active, surplus.min(BURST_REPLICAS), ctx);
        }
        self.create_or_report(key, rs, counted, ctx)
    }

    fn on_outcome(&mut self, key: &ObjectKey, stage: &Stage, request: &Request, outcome: &Outcome, ctx: &mut Ctx) {
        match stage {
            Stage::Creating { rs, .. } => match outcome.ok() {
                Some(pod) => ctx.normal(rs, "SuccessfulCreate", &format!("Created pod: {}", pod.name())),
                None => {
                    self.expectations.creation_observed(key);
                    if !refs::namespace_terminating(outcome) {
                        ctx.warning(rs, "FailedCreate", &format!("Error creating: {}", outcome.message()));
                    }
                }
            },
            Stage::Deleting { rs, .. } if outcome.is_success() && outcome.code != 0 => {
                ctx.normal(rs, "SuccessfulDelete", &format!("Deleted pod: {}", request.name));
            }
            Stage::Deleting { rs, .. } => {
                let pod = ctx.caches.find(PODS, &request.namespace, &request.name);
                if let Some(pod) = pod {
                    self.expectations.deletion_observed(key, pod.uid());
                }
                if !outcome.is_not_found() {
                    ctx.warning(rs, "FailedDelete", &format!("Error deleting: {}", outcome.message()));
                }
            }
            _ => {}
        }
    }

    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match stage {
            Stage::Claiming => crate::framework::finish(outcomes),
            Stage::Creating { rs, counted, batch, left } => match failure(outcomes) {
                None => self.create(key, rs, counted, batch * 2, left, ctx),
                Some(_) if outcomes.iter().all(|o| o.ok().is_some() || refs::namespace_terminating(o)) => {
                    self.expectations.raise_creations(key, -left, ctx.now);
                    Plan::Done
                }
                Some(error) => {
                    // What the batches to come would have created will not be.
                    self.expectations.raise_creations(key, -left, ctx.now);
                    self.write_status(&rs, counted, Some(error), ctx)
                }
            },
            Stage::Deleting { rs, counted } => {
                let error = crate::framework::failure_but_not_found(outcomes);
                self.write_status(&rs, counted, error, ctx)
            }
            Stage::Status { error, check_again } => match error.or_else(|| failure(outcomes)) {
                Some(error) => Plan::Retry(error),
                None => Plan::after(check_again),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn pods_are_counted_by_state_and_label() {
        let rs = Object::from_value(value!({"spec": {"template": {"metadata": {"labels": {"app": "a"}}}}})).unwrap();
        let pod = |ready: &str, phase: &str, label: &str, deleting: bool| {
            let mut pod = value!({
                "metadata": {"labels": {"app": label}},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}
            });
            if deleting {
                pod.set_at(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
            }
            Object::from_value(pod).unwrap()
        };
        let owned = [
            pod("True", "Running", "a", false),
            pod("False", "Pending", "a", false),
            pod("True", "Running", "b", false),
            pod("True", "Running", "a", true),
            pod("False", "Succeeded", "a", false),
        ];
        let active: Vec<Object> = owned.iter().filter(|p| pods::is_active(p)).cloned().collect();
        let expected = Counted { replicas: 3, fully_labeled: 2, ready: 2, available: 2, terminating: 1 };
        assert_eq!(count(&rs, &owned, &active, Time::EPOCH), expected);
    }
}
