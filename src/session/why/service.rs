//! Why a Service has the endpoints it has: its selector, and the label in which the nearest pod differs.

use apimachinery::{Object, Value, resources};
use cluster::Cluster;
use protocol::{Action, Span, Thing, WhyStep};

use super::{about, advice, advice_with, fact, step};
use crate::offers::offer;

pub(super) fn steps(cluster: &Cluster, service: &Object) -> Vec<WhyStep> {
    let Some(api) = cluster.api() else { return Vec::new() };
    let slices = api.objects(resources::endpointslices(), service.namespace());
    let mine = slices.filter(|s| s.label("kubernetes.io/service-name") == Some(service.name()));
    let (mut ready, mut unready) = (0, Vec::new());
    for endpoint in mine.flat_map(|s| s.list_at(&["endpoints"])) {
        match endpoint.bool_at(&["conditions", "ready"]) {
            Some(false) => unready.extend(endpoint.str_at(&["targetRef", "name"]).map(str::to_string)),
            _ => ready += 1,
        }
    }
    let more = if unready.is_empty() { String::new() } else { format!(", {} not ready", unready.len()) };
    let mut steps = vec![step(vec![Span::bold(format!("{ready} ready endpoints")), Span::plain(more)], "its EndpointSlices")];
    if service.str_at(&["spec", "type"]) == Some("ExternalName") {
        let name = service.str_at(&["spec", "externalName"]).unwrap_or("");
        steps.push(fact(format!("It is another name for {name}: it has no endpoints of its own"), "spec.externalName"));
        return steps;
    }
    let Some(selector) = service.map_at(&["spec", "selector"]).filter(|s| !s.is_empty()) else {
        steps.push(fact("It has no selector: somebody else must write its endpoints", "spec.selector"));
        return steps;
    };
    for name in unready.iter().take(3) {
        let text = vec![Span::plain("Pod "), Span::bold(name.clone()), Span::plain(" is selected but not Ready")];
        steps.push(about(step(text, "conditions.ready of its endpoint"), Thing::core("pods", service.namespace(), name)));
    }
    if ready > 0 || !unready.is_empty() {
        return steps;
    }
    let wanted: Vec<(String, String)> = selector.iter().map(|(k, v)| (k.to_string(), v.as_str().unwrap_or("").into())).collect();
    let shown: Vec<String> = wanted.iter().map(|(k, v)| format!("{k}={v}")).collect();
    steps.push(step(vec![Span::plain("It selects pods with "), Span::code(shown.join(","))], "spec.selector"));
    steps.extend(nearest(api, service, &wanted));
    steps
}

/// The pod that comes nearest to the selector, and what would make it one of the endpoints.
fn nearest(api: &kube_apiserver::ApiServer, service: &Object, wanted: &[(String, String)]) -> Vec<WhyStep> {
    let namespace = service.namespace();
    let lacks = |pod: &Object| wanted.iter().filter(|(k, v)| pod.label(k) != Some(v)).count();
    let Some(pod) = api.objects(resources::pods(), namespace).min_by_key(|p| lacks(p)) else {
        return vec![advice(format!("There is no pod in namespace {namespace}: create one with these labels"))];
    };
    let thing = Thing::core("pods", namespace, pod.name());
    if lacks(pod) == 0 {
        return vec![about(fact(unready_because(pod, service), "the endpointslice controller's rules"), thing)];
    }
    let differs = wanted.iter().filter(|(k, v)| pod.label(k) != Some(v)).map(|(k, v)| match pod.label(k) {
        Some(has) => format!("{k} is {has}, not {v}"),
        None => format!("it has no label {k}"),
    });
    let text = vec![
        Span::plain("Nearest is pod "),
        Span::bold(pod.name()),
        Span::plain(format!(": {}", differs.collect::<Vec<_>>().join("; "))),
    ];
    let (key, value) = wanted.iter().find(|(k, v)| pod.label(k) != Some(v)).cloned().unwrap_or_default();
    let hint = format!("kubectl label pod {} {key}={value} --overwrite", pod.name());
    let action = Action::Label { thing: thing.clone(), key, value: Some(value) };
    let mut steps = vec![about(step(text, "metadata.labels"), thing)];
    steps.push(advice_with(
        "Make the labels and the selector agree",
        offer(action, &format!("Label {}", pod.name()), &hint, false),
    ));
    if let Some(owner) = pod.controller_ref().and_then(|o| o.str_at(&["kind"])).filter(|k| *k == "ReplicaSet") {
        steps.push(advice(format!(
            "For good, change spec.template.metadata.labels of the Deployment: the {owner} makes new pods from it"
        )));
    }
    steps
}

/// A pod is selected and no endpoint all the same.
fn unready_because(pod: &Object, service: &Object) -> String {
    let ip = pod.str_at(&["status", "podIP"]).unwrap_or("");
    let named: Vec<&str> =
        service.list_at(&["spec", "ports"]).iter().filter_map(|p| p.get("targetPort").and_then(Value::as_str)).collect();
    match pod.str_at(&["status", "phase"]) {
        Some("Succeeded" | "Failed") => format!("Pod {} matches, but it has ended", pod.name()),
        _ if ip.is_empty() => format!("Pod {} matches, but has no address yet", pod.name()),
        _ if !named.is_empty() => {
            format!("Pod {} matches; does a container of it name its port {}?", pod.name(), named.join(" or "))
        }
        _ => format!("Pod {} matches; the endpointslice controller has not written it yet", pod.name()),
    }
}
