//! Why a controller's object is as it is: how many pods it has, what its conditions and its controller say, and which of its pods
//! keeps it from being done.

use apimachinery::{Object, resources};
use cluster::Cluster;
use protocol::{Source, Span, Thing, WhyStep};

use super::{about, advice, as_it_is, fact, refused, step};
use crate::observe;

pub(super) fn steps(cluster: &Cluster, object: &Object) -> Vec<WhyStep> {
    let n = |path: &[&str]| object.int_at(path).unwrap_or(0);
    let wanted = object
        .int_at(&["spec", "replicas"])
        .or_else(|| object.int_at(&["spec", "completions"]))
        .or_else(|| object.int_at(&["status", "desiredNumberScheduled"]))
        .unwrap_or(1);
    let ready = n(&["status", "readyReplicas"]).max(n(&["status", "numberReady"])).max(n(&["status", "succeeded"]));
    let word = if object.kind() == "Job" { " completed" } else { " ready" };
    let mut steps = vec![step(vec![Span::bold(format!("{ready} of {wanted}")), Span::plain(word)], "status")];
    for condition in object.list_at(&["status", "conditions"]) {
        let message = condition.str_at(&["message"]).unwrap_or("");
        let text = vec![
            Span::code(format!("{}={}", condition.str_at(&["type"]).unwrap_or(""), condition.str_at(&["status"]).unwrap_or(""))),
            Span::plain(format!(" {message}")),
        ];
        steps.push(step(text, condition.str_at(&["reason"]).unwrap_or("")));
        steps.extend(refused::by_quota(cluster, object.namespace(), message));
    }
    if object.kind() == "Deployment" && object.bool_at(&["spec", "paused"]) == Some(true) {
        steps.push(fact("Its rollout is paused: changes of the template wait", "spec.paused"));
        steps.push(advice("kubectl rollout resume"));
    }
    steps.extend(plan_of(cluster, object));
    if ready < wanted {
        steps.extend(part_that_waits(cluster, object));
    }
    steps
}

/// What the kind's controller last decided about it, and whether somebody holds that controller.
fn plan_of(cluster: &Cluster, object: &Object) -> Vec<WhyStep> {
    let Some(manager) = cluster.controller_manager() else {
        let thing = Thing::component("kube-controller-manager");
        return vec![about(as_it_is(fact("kube-controller-manager isn't running: nobody acts on it", "its process")), thing)];
    };
    let kind = object.kind().to_lowercase();
    let views = manager.view();
    let Some(view) = views.iter().find(|v| observe::controller_title(v.name) == kind) else { return Vec::new() };
    let thing = Thing::component(&format!("kube-controller-manager/{kind}"));
    let mut steps = Vec::new();
    if view.is_held {
        steps.push(about(
            as_it_is(fact(format!("You hold the {}: it takes nothing from its queue", view.name), "a debugger's hand")),
            thing.clone(),
        ));
    }
    let key = object.key().to_string();
    let plans = manager.loop_view(view.name, 0).map(|l| l.plans).unwrap_or_default();
    if let Some(plan) = plans.iter().rev().find(|p| *p.key == *key) {
        let detail = match &plan.fate {
            cluster::Fate::UnderWay => "the controller's last plan, under way".to_string(),
            cluster::Fate::Done => "the controller's last plan, done".to_string(),
            cluster::Fate::Failed(error) => format!("the controller's last plan, failed: {error}"),
        };
        steps.push(about(WhyStep { source: Source::AsItIs, ..fact(plan.why.to_string(), detail) }, thing));
    }
    steps
}

/// The ReplicaSet or pod of it that is not well: the next one to ask.
fn part_that_waits(cluster: &Cluster, object: &Object) -> Vec<WhyStep> {
    let Some(api) = cluster.api() else { return Vec::new() };
    let owned = |o: &&Object| o.controller_ref().and_then(|r| r.str_at(&["uid"])) == Some(object.uid());
    if object.kind() == "Deployment" {
        let sets = api.objects(resources::replicasets(), object.namespace()).filter(owned);
        let lacking = |s: &&Object| {
            let wants = s.int_at(&["spec", "replicas"]).unwrap_or(0);
            wants > s.int_at(&["status", "readyReplicas"]).unwrap_or(0)
        };
        let set = sets.filter(lacking).max_by_key(|s| s.revision());
        return set.map_or_else(Vec::new, |s| {
            let text = vec![Span::plain("Its ReplicaSet "), Span::bold(s.name()), Span::plain(" is not done")];
            vec![about(step(text, "metadata.ownerReferences"), Thing::object("apps", "replicasets", s.namespace(), s.name()))]
        });
    }
    let waiting = |p: &&Object| !p.condition_is_true("Ready") && p.str_at(&["status", "phase"]) != Some("Succeeded");
    let pods = api.objects(resources::pods(), object.namespace()).filter(owned).filter(waiting);
    let told = pods.take(3).map(|p| {
        let text = vec![
            Span::plain("Pod "),
            Span::bold(p.name()),
            Span::plain(format!(" is {}", observe::pod_status(p, cluster.now()))),
        ];
        about(step(text, "one of its pods"), Thing::core("pods", p.namespace(), p.name()))
    });
    told.collect()
}

/// Whether the object of a uid is no more.
pub(super) fn is_gone(cluster: &Cluster, thing: Option<&Thing>, uid: &str) -> bool {
    let Some(Thing::Object { group, resource, namespace, name }) = thing else { return false };
    let Some(api) = cluster.api() else { return false };
    let version = crate::lists::resources_version(cluster, group, resource);
    let found = api.object(apimachinery::Gvr::new(group, &version, resource), namespace, name);
    found.is_none_or(|o| o.uid() != uid)
}
