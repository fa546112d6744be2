//! Why a pod is as it is: not placed, not started, crashed, not Ready, evicted, on its way out.

use apimachinery::{Object, Value, resources};
use cluster::{Bottle, Cluster};
use protocol::{Action, Span, Thing, WhyStep};

use super::{about, advice, advice_with, as_it_is, fact, refused, scheduling, step, throttled};
use crate::offers::offer;
use crate::{api, observe};

pub(super) fn steps(bottle: &Bottle, pod: &Object) -> Vec<WhyStep> {
    let cluster = bottle.shown();
    let status = observe::pod_status(pod, cluster.now());
    let node = pod.str_at(&["spec", "nodeName"]);
    let at = node.map_or_else(|| "no node yet".to_string(), |n| format!("on {n}"));
    let mut steps = vec![step(vec![Span::bold(status.clone())], at)];
    steps.extend(disrupted(cluster, pod));
    steps.extend(deleted(cluster, pod));
    let Some(node) = node else {
        steps.extend(scheduling::steps(cluster, pod));
        return steps;
    };
    steps.extend(silent_node(cluster, node));
    for (field, list) in [("initContainerStatuses", "initContainers"), ("containerStatuses", "containers")] {
        for container in pod.list_at(&["status", field]) {
            steps.extend(container_steps(cluster, pod, container, list));
        }
    }
    if status == "Running" && !pod.condition_is_true("Ready") {
        steps.extend(not_ready(cluster, pod));
    }
    let events = api::events_about(cluster, pod);
    if let Some(event) = events.iter().rev().find(|e| e.str_at(&["type"]) == Some("Warning")) {
        steps.extend(warning(pod, event, &steps));
    }
    let account = pod.str_at(&["spec", "serviceAccountName"]).unwrap_or("default");
    let user = format!("system:serviceaccount:{}:{account}", pod.namespace());
    steps.extend(throttled::of_object(cluster, pod));
    steps.extend(refused::of_user(bottle, &user, 1));
    steps
}

/// The last warning, unless it says what has been said.
fn warning(pod: &Object, event: &Object, said: &[WhyStep]) -> Option<WhyStep> {
    let message = event.str_at(&["message"]).unwrap_or("");
    if said.iter().any(|s| s.text.iter().any(|t| t.text == message) || s.detail == message) {
        return None;
    }
    let count = event.int_at(&["count"]).or_else(|| event.int_at(&["series", "count"])).unwrap_or(1);
    let detail = format!(
        "event {} ×{count}, {}",
        event.str_at(&["reason"]).unwrap_or(""),
        event.str_at(&["source", "component"]).or_else(|| event.str_at(&["reportingComponent"])).unwrap_or("")
    );
    let _ = pod;
    Some(fact(message, detail))
}

/// Somebody ended it for a reason of their own: eviction, preemption, a taint, the node's lack of memory.
fn disrupted(cluster: &Cluster, pod: &Object) -> Vec<WhyStep> {
    let mut steps = Vec::new();
    if let Some(reason) = pod.str_at(&["status", "reason"]) {
        let message = pod.str_at(&["status", "message"]).unwrap_or("");
        steps.push(step(
            vec![Span::bold(reason), Span::plain(if message.is_empty() { "" } else { ": " }), Span::plain(message)],
            "status.reason",
        ));
    }
    if let Some(condition) = pod.condition("DisruptionTarget").filter(|c| c.str_at(&["status"]) == Some("True")) {
        let reason = condition.str_at(&["reason"]).unwrap_or("");
        let who = match reason {
            "DeletionByTaintManager" => {
                "The taint-eviction controller deletes it: its node has a taint that it does not tolerate (for so long)"
            }
            "PreemptionByScheduler" => "kube-scheduler made room for a pod of higher priority",
            "EvictionByEvictionAPI" => "Somebody asked for its eviction: kubectl drain does",
            "TerminationByKubelet" => "Its kubelet ended it to save the node",
            "DeletionByPodGC" => "The pod garbage collector deletes it: its node is gone",
            _ => "It was chosen to be ended",
        };
        steps.push(fact(who, format!("condition DisruptionTarget · {reason}: {}", condition.str_at(&["message"]).unwrap_or(""))));
        if reason == "DeletionByTaintManager"
            && let Some(node) = pod.str_at(&["spec", "nodeName"])
        {
            let taints = cluster.api().and_then(|a| a.object(resources::nodes(), "", node)).map(taints).unwrap_or_default();
            let text = if taints.is_empty() { format!("See why of {node}") } else { format!("{node} has {taints}") };
            steps.push(about(fact(text, "spec.taints of the node"), Thing::core("nodes", "", node)));
        }
    }
    steps
}

fn taints(node: &Object) -> String {
    let one = |t: &Value| format!("{}:{}", t.str_at(&["key"]).unwrap_or(""), t.str_at(&["effect"]).unwrap_or(""));
    node.list_at(&["spec", "taints"]).iter().map(one).collect::<Vec<_>>().join(", ")
}

fn deleted(cluster: &Cluster, pod: &Object) -> Vec<WhyStep> {
    let mut steps = Vec::new();
    if !pod.is_being_deleted() {
        return steps;
    }
    let grace = pod.int_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
    steps.push(fact(format!("It is being deleted: its containers get {grace} s to end"), "metadata.deletionTimestamp"));
    if !pod.finalizers().is_empty() {
        let names: Vec<&str> = pod.finalizers().iter().filter_map(Value::as_str).collect();
        steps.push(fact(format!("Finalizers keep it: {}", names.join(", ")), "metadata.finalizers"));
        steps.push(advice("Whoever set a finalizer takes it off when its work is done"));
    }
    let silent = pod.str_at(&["spec", "nodeName"]).is_some_and(|n| is_silent(cluster, n));
    if silent {
        let action = Action::Delete { thing: Thing::core("pods", pod.namespace(), pod.name()), grace_s: Some(0) };
        let hint = "kubectl delete --force --grace-period=0: the object goes, whatever runs on the node";
        steps.push(advice_with(
            "Its kubelet would have to say that it has ended, and is not heard: bring the node back, or delete by force",
            offer(action, "Delete by force", hint, true),
        ));
    }
    steps
}

fn is_silent(cluster: &Cluster, node: &str) -> bool {
    cluster.nodes.get(node).is_some_and(|n| !n.powered || cluster.is_silent(n.kubelet))
}

/// A node that is not heard explains everything on it.
fn silent_node(cluster: &Cluster, node: &str) -> Option<WhyStep> {
    let object = cluster.api()?.object(resources::nodes(), "", node);
    let ready = object.is_some_and(|o| o.condition_is_true("Ready"));
    let text = match object {
        None => format!("There is no Node {node}"),
        Some(_) if !ready => format!("Its node {node} is not Ready: what is said of the pod is what was known last"),
        _ => return None,
    };
    Some(about(fact(text, "condition Ready of the node"), Thing::core("nodes", "", node)))
}

fn container_steps(cluster: &Cluster, pod: &Object, container: &Value, list: &str) -> Vec<WhyStep> {
    let name = container.str_at(&["name"]).unwrap_or("");
    let mut steps = Vec::new();
    if let Some(waiting) = container.at(&["state", "waiting"]) {
        steps.extend(waiting_steps(cluster, pod, container, waiting, list));
    }
    let ended = container.at(&["state", "terminated"]).or_else(|| container.at(&["lastState", "terminated"]));
    if let Some(ended) = ended.filter(|e| e.int_at(&["exitCode"]) != Some(0)) {
        steps.extend(ended_steps(cluster, pod, container, ended, list));
    }
    if list == "initContainers"
        && container.at(&["state", "running"]).is_some()
        && container.bool_at(&["started"]) != Some(false)
        && let Some(line) = last_log_line(cluster, pod, name)
    {
        let text = vec![Span::plain(format!("Init container {name} still runs; it said last: ")), Span::code(line)];
        steps.push(as_it_is(step(text, "init containers run one after another, before the others")));
    }
    steps
}

/// Waits to be started, with the field that keeps it waiting.
fn waiting_steps(cluster: &Cluster, pod: &Object, container: &Value, waiting: &Value, list: &str) -> Vec<WhyStep> {
    let name = container.str_at(&["name"]).unwrap_or("");
    let (reason, message) = (waiting.str_at(&["reason"]).unwrap_or(""), waiting.str_at(&["message"]).unwrap_or(""));
    let text = vec![Span::plain(format!("Container {name} waits: ")), Span::bold(reason)];
    let mut steps = vec![step(text, if message.is_empty() { "status.containerStatuses".into() } else { message.to_string() })];
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" => {
            let image = container.str_at(&["image"]).unwrap_or("");
            if reason == "ImagePullBackOff"
                && let Some(event) = newest(cluster, pod, "Failed", "Failed to pull image")
            {
                steps.push(fact(event, "event Failed, kubelet"));
            }
            steps.push(advice(format!("Correct the image {image} in spec.{list}[{name}].image")));
        }
        "CreateContainerConfigError" => {
            let what = missing_reference(cluster, pod, message);
            steps.push(what.unwrap_or_else(|| advice("Create the ConfigMap, Secret or key that it refers to")));
        }
        "CreateContainerError" | "RunContainerError" => {
            steps.push(advice(format!("Correct spec.{list}[{name}].command, or what it mounts")));
        }
        _ => {}
    }
    steps
}

/// `configmap "x" not found`: what to create.
fn missing_reference(cluster: &Cluster, pod: &Object, message: &str) -> Option<WhyStep> {
    let (kind, rest) = message.split_once(" \"")?;
    let name = rest.split('"').next()?;
    let (resource, gvr) = match kind {
        "configmap" => ("configmaps", resources::configmaps()),
        "secret" => ("secrets", resources::secrets()),
        _ => return None,
    };
    let there = cluster.api()?.object(gvr, pod.namespace(), name).is_some();
    if there {
        let thing = Thing::core(resource, pod.namespace(), name);
        return Some(about(advice(format!("{kind} {name} lacks the key: add it")), thing));
    }
    Some(advice(format!("Create {kind} {name} in namespace {}", pod.namespace())))
}

fn newest(cluster: &Cluster, pod: &Object, reason: &str, begins: &str) -> Option<String> {
    let events = api::events_about(cluster, pod);
    let says =
        |e: &&Object| e.str_at(&["reason"]) == Some(reason) && e.str_at(&["message"]).is_some_and(|m| m.starts_with(begins));
    events.iter().rev().find(says)?.str_at(&["message"]).map(Into::into)
}

/// It ended with an error: what it said last, and who ended it if it was not itself.
fn ended_steps(cluster: &Cluster, pod: &Object, container: &Value, ended: &Value, list: &str) -> Vec<WhyStep> {
    let name = container.str_at(&["name"]).unwrap_or("");
    let code = ended.int_at(&["exitCode"]).unwrap_or(0);
    let reason = ended.str_at(&["reason"]).unwrap_or("");
    let restarts = container.int_at(&["restartCount"]).unwrap_or(0);
    let text = vec![
        Span::plain(format!("Container {name} exited with ")),
        Span::bold(code.to_string()),
        Span::plain(format!(" ({reason})")),
    ];
    let mut steps = vec![step(text, format!("{} · restarted {restarts} times", ended.str_at(&["finishedAt"]).unwrap_or("")))];
    if let Some(line) = last_log_line(cluster, pod, name) {
        steps.push(as_it_is(step(vec![Span::plain("It said last: "), Span::code(line)], "its log")));
    }
    if let Some(event) = newest(cluster, pod, "Killing", &format!("Container {name} failed liveness probe")) {
        steps.push(fact(event, "event Killing, kubelet"));
        if let Some(unhealthy) = newest(cluster, pod, "Unhealthy", "Liveness probe failed") {
            steps.push(fact(unhealthy, format!("event Unhealthy · spec.{list}[{name}].livenessProbe")));
        }
    }
    steps.extend(match (reason, code) {
        ("OOMKilled", _) => Some(advice(format!("Raise spec.{list}[{name}].resources.limits.memory, or let it use less"))),
        (_, 127) => Some(advice(format!("127: there is no such program; correct spec.{list}[{name}].command"))),
        (_, 126) => Some(advice(format!("126: it is not executable; correct spec.{list}[{name}].command"))),
        (_, 1..) if restarts > 0 => {
            Some(advice(format!("Its log says why: correct spec.{list}[{name}]; until then each restart waits twice as long")))
        }
        _ => None,
    });
    steps
}

fn last_log_line(cluster: &Cluster, pod: &Object, container: &str) -> Option<String> {
    let machine = cluster.machine(pod.str_at(&["spec", "nodeName"])?)?;
    let id = container_id(pod, container)?;
    machine.log_tail(&id, 1).lines().last().map(|l| l.chars().take(160).collect())
}

/// The runtime's id of a container, now or before its last restart.
pub(crate) fn container_id(pod: &Object, container: &str) -> Option<String> {
    let statuses = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    let status = statuses.iter().flat_map(|s| pod.list_at(&["status", s])).find(|c| c.str_at(&["name"]) == Some(container))?;
    let id = status.str_at(&["containerID"]).filter(|id| !id.is_empty());
    let id = id.or_else(|| status.str_at(&["lastState", "terminated", "containerID"]))?;
    Some(id.trim_start_matches("containerd://").to_string())
}

/// Running and not Ready: the probe, with its field and what it got.
fn not_ready(cluster: &Cluster, pod: &Object) -> Vec<WhyStep> {
    let mut steps = Vec::new();
    if let Some(condition) = pod.condition("Ready") {
        steps.push(fact(
            condition.str_at(&["message"]).unwrap_or("not ready"),
            format!("condition Ready · {}", condition.str_at(&["reason"]).unwrap_or("")),
        ));
    }
    let unready = pod.list_at(&["status", "containerStatuses"]).iter().filter(|c| c.bool_at(&["ready"]) == Some(false));
    for name in unready.filter_map(|c| c.str_at(&["name"])) {
        let container = pod.list_at(&["spec", "containers"]).iter().find(|c| c.str_at(&["name"]) == Some(name));
        let Some(probe) = container.and_then(|c| c.get("readinessProbe")) else { continue };
        let asked = probe_words(probe);
        let field = format!("spec.containers[{name}].readinessProbe");
        match newest(cluster, pod, "Unhealthy", "Readiness probe") {
            Some(text) => steps.push(fact(text, format!("event Unhealthy: the probe {asked}, as the kubelet reports it"))),
            None => steps.push(fact(format!("Its readiness probe ({asked}) has not succeeded yet"), field.clone())),
        }
        steps.push(advice(format!("Let the program answer {asked}, or correct {field}")));
    }
    let gates = pod.list_at(&["spec", "readinessGates"]).iter().filter_map(|g| g.str_at(&["conditionType"]));
    for gate in gates.filter(|g| !pod.condition_is_true(g)) {
        steps.push(fact(format!("Its readiness gate {gate} is not True"), "spec.readinessGates"));
    }
    steps
}

/// `GET /ready on port 8080`
fn probe_words(probe: &Value) -> String {
    let port = |p: &Value| {
        p.get("port").map_or_else(String::new, |v| v.as_str().map_or_else(|| apimachinery::json::to_string(v), Into::into))
    };
    if let Some(http) = probe.get("httpGet") {
        return format!("GET {} on port {}", http.str_at(&["path"]).unwrap_or("/"), port(http));
    }
    if let Some(tcp) = probe.get("tcpSocket") {
        return format!("a connection to port {}", port(tcp));
    }
    if let Some(grpc) = probe.get("grpc") {
        return format!("gRPC on port {}", port(grpc));
    }
    let argv: Vec<&str> = probe.list_at(&["exec", "command"]).iter().filter_map(Value::as_str).collect();
    argv.join(" ")
}
