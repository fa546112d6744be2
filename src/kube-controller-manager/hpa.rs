//! The horizontal pod autoscaler, without metrics: keeps a target within its bounds and says honestly that it knows no more.
//!
//! Models the part of `pkg/controller/podautoscaler` that needs no metrics API, which is not in the bottle.

use apimachinery::{Gvr, Object, ObjectKey, Request, Value};
use base::Duration;
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure};
use crate::refs;
use crate::resources::{HORIZONTALPODAUTOSCALERS, Res, TABLE, by_kind, gvr};

const PERIOD: Duration = Duration::from_secs(15);

#[derive(Clone, Default)]
pub struct HorizontalPodAutoscalerController {}

#[derive(Clone)]
pub enum Stage {
    Scale(Object, Gvr),
    Scaled(Object, i64, i64),
    Last,
}

/// The first resource metric's name, for the texts.
fn metric(hpa: &Object) -> &str {
    let metrics = hpa.list_at(&["spec", "metrics"]);
    metrics.iter().find_map(|m| m.str_at(&["resource", "name"])).unwrap_or("cpu")
}

fn set(status: &mut Value, kind: &str, state: &str, reason: &str, message: &str, now: base::Time) {
    let mut new = refs::condition(kind, state, reason, message, now);
    let list = status.entry(&["conditions"]).list_mut();
    match list.iter_mut().find(|c| c.str_at(&["type"]) == Some(kind)) {
        Some(old) => {
            if old.get("status") == new.get("status") {
                let since = old.get("lastTransitionTime").cloned().unwrap_or_default();
                new.set_at(&["lastTransitionTime"], since);
            }
            *old = new;
        }
        None => list.push(new),
    }
}

impl HorizontalPodAutoscalerController {
    fn write_status(&self, hpa: &Object, current: i64, desired: i64, ctx: &mut Ctx) -> Plan<Stage> {
        let mut status = refs::status_of(hpa);
        status.set_at(&["currentReplicas"], current);
        status.set_at(&["desiredReplicas"], desired);
        status.set_at(&["currentMetrics"], Value::Null);
        let metric = metric(hpa);
        let able = "the HPA controller was able to get the target's current scale";
        set(&mut status, "AbleToScale", "True", "SucceededGetScale", able, ctx.now);
        if current == 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            set(&mut status, "ScalingActive", "False", "ScalingDisabled", message, ctx.now);
        } else {
            let cause = format!(
                "failed to get {metric} utilization: unable to get metrics for resource {metric}: unable to fetch metrics from \
                 resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
            );
            let message = format!("the HPA was unable to compute the replica count: {cause}");
            set(&mut status, "ScaledToZero", "False", "NotScaledToZero", "the HPA has not scaled the target to zero", ctx.now);
            set(&mut status, "ScalingActive", "False", "FailedGetResourceMetric", &message, ctx.now);
            ctx.warning(hpa, "FailedGetResourceMetric", &cause);
            let invalid = format!("invalid metrics (1 invalid out of 1), first error is: {cause}");
            ctx.warning(hpa, "FailedComputeMetricsReplicas", &invalid);
        }
        if refs::same_status(&status, &refs::status_of(hpa)) {
            return Plan::After(PERIOD);
        }
        let why = format!("{} has no metrics", hpa.name());
        Plan::call(why, refs::update_status(HORIZONTALPODAUTOSCALERS, hpa, status), Stage::Last)
    }

    fn got_scale(&self, hpa: Object, target: Gvr, outcome: &Outcome, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(scale) = outcome.ok() else {
            let message = format!("the HPA controller was unable to get the target's current scale: {}", outcome.message());
            ctx.warning(&hpa, "FailedGetScale", outcome.message());
            let mut status = refs::status_of(&hpa);
            set(&mut status, "AbleToScale", "False", "FailedGetScale", &message, ctx.now);
            return Plan::call(message, refs::update_status(HORIZONTALPODAUTOSCALERS, &hpa, status), Stage::Last);
        };
        let current = refs::spec_int(scale, "replicas", 0);
        let (min, max) = (refs::spec_int(&hpa, "minReplicas", 1), refs::spec_int(&hpa, "maxReplicas", 1));
        let (wanted, reason) = match current {
            0 => (0, ""),
            n if n > max => (max, "Current number of replicas above Spec.MaxReplicas"),
            n if n < min => (min, "Current number of replicas below Spec.MinReplicas"),
            n => (n, ""),
        };
        if wanted == current {
            return self.write_status(&hpa, current, wanted, ctx);
        }
        let mut scale = scale.clone();
        scale.set_at(&["spec", "replicas"], wanted);
        let key = ObjectKey::new(hpa.namespace(), scale.name());
        let body = apimachinery::Body::Object(scale);
        let call = Request { verb: apimachinery::Verb::Update, body, ..Request::get(target, &key).with_subresource("scale") };
        Plan::call(format!("{}: {reason}", hpa.name()), call, Stage::Scaled(hpa, current, wanted))
    }
}

impl Controller for HorizontalPodAutoscalerController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        Info {
            name: "horizontal-pod-autoscaler-controller",
            account: "horizontal-pod-autoscaler",
            source: "horizontal-pod-autoscaler",
            workers: 5,
        }
    }
    fn watches(&self) -> &'static [Res] {
        &[HORIZONTALPODAUTOSCALERS]
    }
    fn on_event(&mut self, _: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let same = matches!((&delta.old, &delta.new), (Some(a), Some(b)) if a.get("spec") == b.get("spec"));
        if !same {
            queue.add(delta.object().key());
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(hpa) = ctx.caches.get(HORIZONTALPODAUTOSCALERS, key).cloned() else { return Plan::Done };
        let target = |field: &str| hpa.str_at(&["spec", "scaleTargetRef", field]).unwrap_or("");
        let Some(res) = by_kind(target("apiVersion"), target("kind")).filter(|res| TABLE[*res].namespaced) else {
            return Plan::After(PERIOD);
        };
        let scale = Request::get(gvr(res), &ObjectKey::new(&key.namespace, target("name"))).with_subresource("scale");
        Plan::call(format!("{key} looks at its target"), scale, Stage::Scale(hpa, gvr(res)))
    }
    fn resume(&mut self, _: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match stage {
            Stage::Scale(hpa, target) => self.got_scale(hpa, target, &outcomes[0], ctx),
            Stage::Scaled(hpa, current, wanted) => {
                let reason = if wanted > current { "below Spec.MinReplicas" } else { "above Spec.MaxReplicas" };
                let message = format!("New size: {wanted}; reason: Current number of replicas {reason}");
                match failure(outcomes) {
                    None => ctx.normal(&hpa, "SuccessfulRescale", &message),
                    Some(error) => ctx.warning(&hpa, "FailedRescale", &format!("{message}; error: {error}")),
                }
                self.write_status(&hpa, current, wanted, ctx)
            }
            Stage::Last => Plan::After(PERIOD),
        }
    }
}
