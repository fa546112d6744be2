//! The horizontal pod autoscaler: every fifteen seconds it reads what the pods of a target use (`metrics.k8s.io`), computes how many
//! are needed, and scales the target within its bounds and as fast as its behavior allows.
//!
//! Models `pkg/controller/podautoscaler`: the arithmetic is in `replicas`, the speed in `rules`. Left out by name: the custom and
//! external metrics APIs (their metrics answer upstream's error), one replica-count memory across a restart of the process.

mod replicas;
mod rules;

use apimachinery::labels::Selector;
use apimachinery::{Gvr, Object, ObjectKey, Quantity, Request, Value, value};
use base::{Duration, Map, Time};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure};
use crate::refs;
use crate::resources::{HORIZONTALPODAUTOSCALERS, Res, TABLE, by_kind, gvr, selected_pods};

use replicas::{Proposal, Target};
use rules::{Past, Why};

const PERIOD: Duration = Duration::from_secs(15);

#[derive(Clone, Default)]
pub struct HorizontalPodAutoscalerController {
    past: Map<ObjectKey, Past>,
}

/// Where a sync stands.
#[derive(Clone)]
pub enum Stage {
    /// The target's scale is being read.
    Scale(Object, Gvr),
    /// The metrics of its pods are.
    Metrics(Box<Work>),
    /// The scale is being written: from, to, why.
    Scaled(Box<Work>, i64, String),
    Last,
}

/// One look at an autoscaler.
#[derive(Clone)]
pub struct Work {
    hpa: Object,
    target: Gvr,
    scale: Object,
    status: Value,
    current: i64,
}

/// A reason of a condition, the text of the error, and how the condition puts it.
struct Failed {
    reason: &'static str,
    text: String,
}

fn set(status: &mut Value, kind: &str, state: &str, (reason, message): (&str, &str), now: Time) {
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

const ABLE: Why = ("SucceededGetScale", "the HPA controller was able to get the target's current scale");

impl HorizontalPodAutoscalerController {
    fn got_scale(&mut self, hpa: Object, target: Gvr, outcome: &Outcome, ctx: &mut Ctx) -> Plan<Stage> {
        let mut status = refs::status_of(&hpa);
        let Some(scale) = outcome.ok().cloned() else {
            let message = format!("the HPA controller was unable to get the target's current scale: {}", outcome.message());
            ctx.warning(&hpa, "FailedGetScale", outcome.message());
            set(&mut status, "AbleToScale", "False", ("FailedGetScale", &message), ctx.now);
            return Plan::call(message, refs::update_status(HORIZONTALPODAUTOSCALERS, &hpa, status), Stage::Last);
        };
        set(&mut status, "AbleToScale", "True", ABLE, ctx.now);
        let current = refs::spec_int(&scale, "replicas", 0);
        self.past(&hpa).begin(ctx.now, current);
        let (min, max) = bounds(&hpa);
        let selector: std::rc::Rc<str> = scale.str_at(&["status", "selector"]).unwrap_or("").into();
        let mut work = Work { hpa, target, scale, status, current };
        match current {
            0 if min != 0 => {
                let why = ("ScalingDisabled", "scaling is disabled since the replica count of the target is zero");
                set(&mut work.status, "ScalingActive", "False", why, ctx.now);
                work.status.set_at(&["currentMetrics"], Value::Null);
                self.finish(work, 0, ctx)
            }
            n if n > max => self.rescale(work, max, "Current number of replicas above Spec.MaxReplicas".into(), ctx),
            n if n < min => self.rescale(work, min, "Current number of replicas below Spec.MinReplicas".into(), ctx),
            _ if needs_resource_metrics(&work.hpa) => {
                let mut request = Request::list(Gvr::new("metrics.k8s.io", "v1beta1", "pods"), work.hpa.namespace());
                request.options.label_selector = Some(selector);
                Plan::call(format!("{} asks what its pods use", work.hpa.name()), request, Stage::Metrics(Box::new(work)))
            }
            _ => self.decide(work, Err(String::new()), ctx),
        }
    }

    /// The pods' metrics are here, or why they aren't.
    fn decide(&mut self, mut work: Work, metrics: Result<Object, String>, ctx: &mut Ctx) -> Plan<Stage> {
        let text = work.scale.str_at(&["status", "selector"]).unwrap_or("");
        let selector = Selector::parse(text).ok().filter(|s| !s.is_everything()).unwrap_or_else(Selector::nothing);
        let namespace = work.hpa.key().namespace;
        let pods: Vec<&Object> = selected_pods(ctx.caches, &namespace, selector).collect();
        let specs = work.hpa.list_at(&["spec", "metrics"]).to_vec();
        let (mut statuses, mut best, mut first_failure, mut failures) = (Vec::new(), None::<(i64, String)>, None, 0);
        for spec in &specs {
            match propose(&work, spec, &metrics, &pods, ctx.now) {
                Ok((proposal, name, status)) => {
                    statuses.push(status);
                    if best.as_ref().is_none_or(|(n, _)| proposal.replicas > *n) {
                        best = Some((proposal.replicas, name));
                    }
                }
                Err(failed) => {
                    ctx.warning(&work.hpa, failed.reason, &failed.text);
                    failures += 1;
                    first_failure.get_or_insert(failed);
                }
            }
        }
        let statuses = if statuses.is_empty() { Value::Null } else { Value::list(statuses) };
        work.status.set_at(&["currentMetrics"], statuses);
        let not_zero = ("NotScaledToZero", "the HPA has not scaled the target to zero");
        set(&mut work.status, "ScaledToZero", "False", not_zero, ctx.now);
        let shrinks = best.as_ref().is_none_or(|(n, _)| *n < work.current);
        if let Some(failed) = first_failure.filter(|_| failures >= specs.len() || shrinks) {
            let message = format!("the HPA was unable to compute the replica count: {}", failed.text);
            set(&mut work.status, "ScalingActive", "False", (failed.reason, &message), ctx.now);
            let invalid = format!("invalid metrics ({failures} invalid out of {}), first error is: {}", specs.len(), failed.text);
            ctx.warning(&work.hpa, "FailedComputeMetricsReplicas", &invalid);
            let current = work.current;
            return self.finish(work, current, ctx);
        }
        let Some((desired, name)) = best else {
            let current = work.current;
            return self.finish(work, current, ctx);
        };
        let found = format!("the HPA was able to successfully calculate a replica count from {name}");
        set(&mut work.status, "ScalingActive", "True", ("ValidMetricFound", &found), ctx.now);
        let reason = match desired {
            n if n > work.current => format!("{name} above target"),
            n if n < work.current => "All metrics below target".to_string(),
            _ => String::new(),
        };
        let (current, bounds, now) = (work.current, bounds(&work.hpa), ctx.now);
        let hpa = work.hpa.clone();
        let normal = self.past(&hpa).normalize(&hpa, now, current, desired, bounds);
        set(&mut work.status, "AbleToScale", "True", normal.able, ctx.now);
        set(&mut work.status, "ScalingLimited", if normal.limited { "True" } else { "False" }, normal.limit, ctx.now);
        match normal.replicas {
            n if n == current => self.finish(work, n, ctx),
            n => self.rescale(work, n, reason, ctx),
        }
    }

    fn rescale(&mut self, work: Work, wanted: i64, reason: String, _: &mut Ctx) -> Plan<Stage> {
        let mut scale = work.scale.clone();
        scale.set_at(&["spec", "replicas"], wanted);
        let key = ObjectKey::new(work.hpa.namespace(), scale.name());
        let body = apimachinery::Body::Object(scale);
        let call =
            Request { verb: apimachinery::Verb::Update, body, ..Request::get(work.target, &key).with_subresource("scale") };
        Plan::call(format!("{}: {reason}", work.hpa.name()), call, Stage::Scaled(Box::new(work), wanted, reason))
    }

    fn rescaled(&mut self, mut work: Work, wanted: i64, reason: &str, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        let message = format!("New size: {wanted}; reason: {reason}");
        match failure(outcomes) {
            None => {
                let able = format!("the HPA controller was able to update the target scale to {wanted}");
                set(&mut work.status, "AbleToScale", "True", ("SucceededRescale", &able), ctx.now);
                ctx.normal(&work.hpa, "SuccessfulRescale", &message);
                let (now, current) = (ctx.now, work.current);
                self.past(&work.hpa.clone()).scaled(now, current, wanted);
                work.status.set_at(&["lastScaleTime"], ctx.now.rfc3339());
            }
            Some(error) => {
                let able = format!("the HPA controller was unable to update the target scale: {error}");
                set(&mut work.status, "AbleToScale", "False", ("FailedUpdateScale", &able), ctx.now);
                ctx.warning(&work.hpa, "FailedRescale", &format!("{message}; error: {error}"));
            }
        }
        self.finish(work, wanted, ctx)
    }

    /// Writes the status, if it says anything new.
    fn finish(&mut self, mut work: Work, desired: i64, _: &mut Ctx) -> Plan<Stage> {
        work.status.set_at(&["currentReplicas"], work.current);
        work.status.set_at(&["desiredReplicas"], desired);
        if refs::same_status(&work.status, &refs::status_of(&work.hpa)) {
            return Plan::After(PERIOD);
        }
        let why = format!("{} has {} and wants {desired}", work.hpa.name(), work.current);
        Plan::call(why, refs::update_status(HORIZONTALPODAUTOSCALERS, &work.hpa, work.status), Stage::Last)
    }

    fn past(&mut self, hpa: &Object) -> &mut Past {
        let key = hpa.key();
        if !self.past.contains_key(&key) {
            self.past.insert(key.clone(), Past::default());
        }
        self.past.get_mut(&key).expect("just put there")
    }
}

fn bounds(hpa: &Object) -> (i64, i64) {
    (refs::spec_int(hpa, "minReplicas", 1), refs::spec_int(hpa, "maxReplicas", 1))
}

fn needs_resource_metrics(hpa: &Object) -> bool {
    let metrics = hpa.list_at(&["spec", "metrics"]);
    metrics.iter().any(|m| matches!(m.str_at(&["type"]), Some("Resource" | "ContainerResource")))
}

/// What one metric asks for, what it is called, and its part of the status.
fn propose(
    work: &Work,
    spec: &Value,
    metrics: &Result<Object, String>,
    pods: &[&Object],
    now: Time,
) -> Result<(Proposal, String, Value), Failed> {
    let kind = spec.str_at(&["type"]).unwrap_or("");
    let (source, reason) = match kind {
        "Resource" => ("resource", "FailedGetResourceMetric"),
        "ContainerResource" => ("containerResource", "FailedGetContainerResourceMetric"),
        other => return Err(not_resource(other, spec, work.hpa.namespace())),
    };
    let source_spec = spec.get(source).unwrap_or(&Value::Null);
    let resource = source_spec.str_at(&["name"]).unwrap_or("");
    let container = source_spec.str_at(&["container"]).filter(|_| source == "containerResource");
    let quantity = source_spec.at(&["target", "averageValue"]).and_then(|v| Quantity::from_value(v).ok());
    let (target, what) = match (&quantity, source_spec.int_at(&["target", "averageUtilization"])) {
        (Some(average), _) => (Target::AverageMilli(average.milli_value()), format!("{resource} resource")),
        (None, Some(percent)) => {
            (Target::Utilization(percent), format!("{resource} resource utilization (percentage of request)"))
        }
        (None, None) => {
            let text = "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set";
            return Err(Failed { reason, text: text.into() });
        }
    };
    let what = container.map_or(what.clone(), |_| what.replacen("resource", "container resource", 1));
    let measured = if matches!(target, Target::Utilization(_)) { "utilization" } else { "usage" };
    let fail = |text: String| Failed { reason, text: format!("failed to get {resource} {measured}: {text}") };
    let no_metrics = |text: &str| fail(format!("unable to get metrics for resource {resource}: {text}"));
    let list = match metrics {
        Ok(list) if list.list_at(&["items"]).is_empty() => {
            return Err(no_metrics("no metrics returned from resource metrics API"));
        }
        Ok(list) => list,
        Err(text) => return Err(no_metrics(&format!("unable to fetch metrics from resource metrics API: {text}"))),
    };
    let uses = replicas::uses_of(list, resource, container);
    let tolerances = rules::tolerances(&work.hpa);
    let proposal = replicas::propose(work.current, target, tolerances, resource, container, pods, uses, now).map_err(fail)?;
    Ok((proposal, what, metric_status(kind, source, source_spec, resource, proposal)))
}

/// `status.currentMetrics[]`
fn metric_status(kind: &str, source: &str, spec: &Value, resource: &str, proposal: Proposal) -> Value {
    let average = match resource {
        "cpu" => format!("{}m", proposal.average_milli),
        _ => (proposal.average_milli / 1000).to_string(),
    };
    let average = Quantity::parse(&average).map_or(average, |q| q.canonical());
    let mut current = value!({"averageValue": average});
    if let Some(utilization) = proposal.utilization {
        current.set_at(&["averageUtilization"], utilization);
    }
    let mut inner = value!({"current": current, "name": resource});
    if let Some(container) = spec.get("container") {
        inner.set_at(&["container"], container);
    }
    let mut status = value!({"type": kind});
    status.set_at(&[source], inner);
    status
}

/// Metrics of APIs that nobody serves here: upstream's errors where none is registered.
fn not_resource(kind: &str, spec: &Value, namespace: &str) -> Failed {
    let name = |source: &str| spec.str_at(&[source, "metric", "name"]).unwrap_or("").to_string();
    let none = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered";
    match kind {
        "Pods" => {
            let text = format!("failed to get pods metric value: unable to get metric {}: {none}", name("pods"));
            Failed { reason: "FailedGetPodsMetric", text }
        }
        "Object" => {
            let described = |f: &str| spec.str_at(&["object", "describedObject", f]).unwrap_or("").to_string();
            let text = format!(
                "failed to get object metric value: unable to get metric {}: {} on {namespace} {}/{none}",
                name("object"),
                described("kind"),
                described("name")
            );
            Failed { reason: "FailedGetObjectMetric", text }
        }
        "External" => {
            let metric = name("external");
            let text = format!(
                "failed to get {metric} external metric: unable to get external metric {namespace}/{metric}/nil: unable to fetch metrics \
                 from external metrics API: no external metrics API (external.metrics.k8s.io) registered"
            );
            Failed { reason: "FailedGetExternalMetric", text }
        }
        other => Failed { reason: "InvalidMetricSourceType", text: format!("unknown metric source type \"{other}\"") },
    }
}

/// The list of PodMetrics in an answer, or client-go's text of why there is none.
fn metrics_of(outcome: &Outcome) -> Result<Object, String> {
    if let Some(list) = outcome.ok() {
        return Ok(list.clone());
    }
    let asked = "(get pods.metrics.k8s.io)";
    Err(match (outcome.code, outcome.message()) {
        (0, _) => match &outcome.body {
            apimachinery::ResponseBody::Text(_, text) => text.to_string(),
            _ => "connection refused".into(),
        },
        (404, _) => format!("the server could not find the requested resource {asked}"),
        (503, _) => format!("the server is currently unable to handle the request {asked}"),
        (_, message) => message.to_string(),
    })
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
        let Some(hpa) = ctx.caches.get(HORIZONTALPODAUTOSCALERS, key).cloned() else {
            self.past.remove(key);
            return Plan::Done;
        };
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
            Stage::Metrics(work) => self.decide(*work, metrics_of(&outcomes[0]), ctx),
            Stage::Scaled(work, wanted, reason) => self.rescaled(*work, wanted, &reason, outcomes, ctx),
            Stage::Last => Plan::After(PERIOD),
        }
    }
}
