//! *Why?*: from an effect back to its cause, each step a fact with its place, the last one a thing to do.

use apimachinery::{Object, ObjectKey, Value, resources};
use cluster::{Bottle, Cluster};
use protocol::{Source, Span, Thing, WhyStep};

use crate::{api, observe};

fn step(text: Vec<Span>, detail: impl Into<String>) -> WhyStep {
    WhyStep { text, detail: detail.into(), source: Source::Api, thing: None, advice: false, offer: None }
}

fn fact(text: impl Into<String>, detail: impl Into<String>) -> WhyStep {
    step(vec![Span::plain(text)], detail)
}

fn advice(text: impl Into<String>) -> WhyStep {
    WhyStep { advice: true, ..fact(text, "") }
}

/// The causal story of an object's present state.
pub(crate) fn of_object(bottle: &Bottle, object: &Object) -> Vec<WhyStep> {
    let cluster = bottle.shown();
    let mut steps = match object.kind() {
        "Pod" => of_pod(cluster, object),
        "Service" => of_service(cluster, object),
        "Node" => of_node(cluster, object),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" => of_workload(cluster, object),
        _ => Vec::new(),
    };
    steps.extend(origin(cluster, object));
    steps
}

/// Who made it, and for whom.
fn origin(cluster: &Cluster, object: &Object) -> Vec<WhyStep> {
    let mut steps = Vec::new();
    if let Some(owner) = object.controller_ref() {
        let (kind, name) = (owner.str_at(&["kind"]).unwrap_or(""), owner.str_at(&["name"]).unwrap_or(""));
        let gvk = apimachinery::Gvk::from_api_version(owner.str_at(&["apiVersion"]).unwrap_or(""), kind);
        let thing = apimachinery::schema::resource_for_kind(gvk).map(|r| {
            let namespace = if r.namespaced { object.namespace() } else { "" };
            Thing::object(&r.gvr.group.to_string(), &r.gvr.resource.to_string(), namespace, name)
        });
        let text = vec![Span::plain("It was made by "), Span::bold(format!("{} {name}", kind.to_lowercase()))];
        steps.push(WhyStep { thing, ..step(text, "metadata.ownerReferences") });
    }
    let managers = object.list_at(&["metadata", "managedFields"]);
    let first = managers.iter().min_by_key(|m| m.str_at(&["time"]).unwrap_or("").to_string());
    let who = first.and_then(|m| m.str_at(&["manager"])).unwrap_or("");
    let when = object.creation_timestamp();
    if let Some(when) = when.filter(|_| object.controller_ref().is_none() && !who.is_empty()) {
        let (h, m, s) = (when.civil().3, when.civil().4, when.civil().5);
        let text = vec![Span::plain("It was created by "), Span::code(who)];
        steps.push(step(text, format!("{h:02}:{m:02}:{s:02} · metadata.managedFields, revision {}", object.resource_version())));
    }
    let _ = cluster;
    steps
}

fn of_pod(cluster: &Cluster, pod: &Object) -> Vec<WhyStep> {
    let now = cluster.now();
    let status = observe::pod_status(pod, now);
    let node = pod.str_at(&["spec", "nodeName"]);
    let at = node.map_or_else(|| "no node yet".to_string(), |n| format!("on {n}"));
    let mut steps = vec![step(vec![Span::bold(status.clone())], at)];
    if pod.is_being_deleted() {
        let grace = pod.int_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
        steps.push(fact(format!("It is being deleted: its containers get {grace} s to end"), "metadata.deletionTimestamp"));
        if !pod.finalizers().is_empty() {
            let names: Vec<&str> = pod.finalizers().iter().filter_map(Value::as_str).collect();
            steps.push(fact(format!("Finalizers keep it: {}", names.join(", ")), "metadata.finalizers"));
        }
    }
    if node.is_none() {
        steps.extend(unscheduled(cluster, pod));
        return steps;
    }
    for (field, list) in [("initContainerStatuses", "initContainers"), ("containerStatuses", "containers")] {
        for container in pod.list_at(&["status", field]) {
            steps.extend(container_steps(cluster, pod, container, list));
        }
    }
    if status == "Running" && !pod.condition_is_true("Ready") {
        steps.extend(not_ready(cluster, pod));
    }
    let warnings = api::events_about(cluster, pod);
    if let Some(event) = warnings.iter().rev().find(|e| e.str_at(&["type"]) == Some("Warning")) {
        let count = event.int_at(&["count"]).unwrap_or(1);
        let detail = format!(
            "event {} ×{count}, {}",
            event.str_at(&["reason"]).unwrap_or(""),
            event.str_at(&["source", "component"]).unwrap_or("")
        );
        steps.push(fact(event.str_at(&["message"]).unwrap_or(""), detail));
    }
    steps
}

/// The scheduler's own verdict per node.
fn unscheduled(cluster: &Cluster, pod: &Object) -> Vec<WhyStep> {
    if let Some(gates) = pod.at(&["spec", "schedulingGates"]).filter(|g| !g.items().is_empty()) {
        let names: Vec<&str> = gates.items().iter().filter_map(|g| g.str_at(&["name"])).collect();
        return vec![fact(format!("It waits for its scheduling gates: {}", names.join(", ")), "spec.schedulingGates")];
    }
    let Some(scheduler) = cluster.scheduler() else {
        return vec![WhyStep { source: Source::AsItIs, ..fact("kube-scheduler isn't running: nobody looks for a node", "") }];
    };
    let Some(why) = scheduler.why(&ObjectKey::new(pod.namespace(), pod.name())) else {
        return vec![fact("kube-scheduler has not tried it yet", "condition PodScheduled")];
    };
    let mut steps = vec![fact(why.message.clone(), format!("condition PodScheduled · tried {} times", why.attempts))];
    for (plugin, reasons, nodes) in &why.verdicts {
        let names: Vec<&str> = nodes.iter().take(4).map(|n| &**n).collect();
        let more = if nodes.len() > 4 { format!(" and {} more", nodes.len() - 4) } else { String::new() };
        let reasons: Vec<&str> = reasons.iter().map(|r| &**r).collect();
        let text = vec![Span::bold(format!("{}{more}", names.join(", "))), Span::plain(format!(": {}", reasons.join(", ")))];
        steps.push(WhyStep { source: Source::AsItIs, ..step(text, format!("plugin {plugin}")) });
        steps.extend(fix_of(plugin, pod).map(advice));
    }
    steps
}

/// The field that would change a plugin's verdict.
fn fix_of(plugin: &str, pod: &Object) -> Option<String> {
    Some(match plugin {
        "NodeResourcesFit" => "Ask for less in spec.containers[].resources.requests, or add a node".into(),
        "TaintToleration" => "Tolerate the taint in spec.tolerations, or remove it with kubectl taint".into(),
        "NodeAffinity" => format!(
            "Change {}, or label a node to match",
            if pod.at(&["spec", "nodeSelector"]).is_some() { "spec.nodeSelector" } else { "spec.affinity.nodeAffinity" }
        ),
        "NodeUnschedulable" => "Uncordon a node: kubectl uncordon".into(),
        "NodeName" => "No node has the name in spec.nodeName".into(),
        "NodePorts" => "Another pod has the hostPort: change spec.containers[].ports[].hostPort".into(),
        "PodTopologySpread" => "Relax spec.topologySpreadConstraints, or add nodes in other domains".into(),
        "InterPodAffinity" => "Relax spec.affinity.podAffinity or podAntiAffinity".into(),
        _ => return None,
    })
}

fn container_steps(cluster: &Cluster, pod: &Object, container: &Value, list: &str) -> Vec<WhyStep> {
    let name = container.str_at(&["name"]).unwrap_or("");
    let mut steps = Vec::new();
    if let Some(waiting) = container.at(&["state", "waiting"]) {
        let (reason, message) = (waiting.str_at(&["reason"]).unwrap_or(""), waiting.str_at(&["message"]).unwrap_or(""));
        let text = vec![Span::plain(format!("Container {name} waits: ")), Span::bold(reason)];
        steps.push(step(text, if message.is_empty() { "status.containerStatuses".into() } else { message.to_string() }));
        match reason {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" => {
                let image = container.str_at(&["image"]).unwrap_or("");
                steps.push(advice(format!("Correct the image {image} in spec.{list}[{name}].image")));
            }
            "CreateContainerConfigError" => steps.push(advice("Create the ConfigMap, Secret or key that it refers to")),
            _ => {}
        }
    }
    let ended = container.at(&["state", "terminated"]).or_else(|| container.at(&["lastState", "terminated"]));
    if let Some(ended) = ended.filter(|e| e.int_at(&["exitCode"]) != Some(0)) {
        let code = ended.int_at(&["exitCode"]).unwrap_or(0);
        let reason = ended.str_at(&["reason"]).unwrap_or("");
        let restarts = container.int_at(&["restartCount"]).unwrap_or(0);
        let text = vec![
            Span::plain(format!("Container {name} exited with ")),
            Span::bold(code.to_string()),
            Span::plain(format!(" ({reason})")),
        ];
        steps.push(step(text, format!("{} · restarted {restarts} times", ended.str_at(&["finishedAt"]).unwrap_or(""))));
        if let Some(line) = last_log_line(cluster, pod, name) {
            steps.push(WhyStep {
                source: Source::AsItIs,
                ..step(vec![Span::plain("It said last: "), Span::code(line)], "its log")
            });
        }
        if reason == "OOMKilled" {
            steps.push(advice(format!("Raise spec.{list}[{name}].resources.limits.memory")));
        }
    }
    if list == "initContainers"
        && container.at(&["state", "running"]).is_some()
        && container.bool_at(&["started"]) != Some(false)
        && let Some(line) = last_log_line(cluster, pod, name)
    {
        let text = vec![Span::plain(format!("Init container {name} still runs; it said last: ")), Span::code(line)];
        steps.push(WhyStep { source: Source::AsItIs, ..step(text, "init containers run one after another, before the others") });
    }
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

fn not_ready(cluster: &Cluster, pod: &Object) -> Vec<WhyStep> {
    let mut steps = Vec::new();
    if let Some(condition) = pod.condition("Ready") {
        steps.push(fact(
            condition.str_at(&["message"]).unwrap_or("not ready"),
            format!("condition Ready · {}", condition.str_at(&["reason"]).unwrap_or("")),
        ));
    }
    let probed = pod.list_at(&["spec", "containers"]).iter().any(|c| c.get("readinessProbe").is_some());
    let events = api::events_about(cluster, pod);
    let unhealthy = events.iter().rev().find(|e| e.str_at(&["reason"]) == Some("Unhealthy"));
    match (unhealthy, probed) {
        (Some(event), _) => steps.push(fact(event.str_at(&["message"]).unwrap_or(""), "the probe, as the kubelet reports it")),
        (None, true) => steps.push(fact("Its readiness probe has not succeeded yet", "spec.containers[].readinessProbe")),
        _ => {}
    }
    steps
}

fn of_service(cluster: &Cluster, service: &Object) -> Vec<WhyStep> {
    let selector = service.map_at(&["spec", "selector"]);
    let slices = api::list(cluster, resources::endpointslices(), service.namespace());
    let mine = slices.iter().filter(|s| s.label("kubernetes.io/service-name") == Some(service.name()));
    let (mut ready, mut unready) = (0, 0);
    for endpoint in mine.flat_map(|s| s.list_at(&["endpoints"])) {
        if endpoint.bool_at(&["conditions", "ready"]) == Some(false) { unready += 1 } else { ready += 1 }
    }
    let text = vec![
        Span::bold(format!("{ready} ready endpoints")),
        Span::plain(if unready > 0 { format!(", {unready} not ready") } else { String::new() }),
    ];
    let mut steps = vec![step(text, "its EndpointSlices")];
    let Some(selector) = selector.filter(|s| !s.is_empty()) else {
        steps.push(fact("It has no selector: somebody else must write its endpoints", "spec.selector"));
        return steps;
    };
    if ready + unready > 0 {
        return steps;
    }
    let wanted: Vec<String> = selector.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect();
    steps.push(step(vec![Span::plain("It selects pods with "), Span::code(wanted.join(","))], "spec.selector"));
    let pods = api::list(cluster, resources::pods(), service.namespace());
    if pods.is_empty() {
        steps.push(advice(format!("There is no pod in namespace {}: create one with these labels", service.namespace())));
        return steps;
    }
    // The pod that comes nearest.
    let missing = |pod: &Object| -> Vec<String> {
        let differs = |(k, v): &&(apimachinery::Key, Value)| pod.label(k) != v.as_str();
        selector
            .iter()
            .filter(differs)
            .map(|(k, v)| match pod.label(k) {
                Some(has) => format!("{k} is {has}, not {}", v.as_str().unwrap_or("")),
                None => format!("it has no label {k}"),
            })
            .collect()
    };
    if let Some(nearest) = pods.iter().min_by_key(|p| missing(p).len()) {
        let text = vec![
            Span::plain("Nearest is pod "),
            Span::bold(nearest.name()),
            Span::plain(format!(": {}", missing(nearest).join("; "))),
        ];
        steps.push(WhyStep {
            thing: Some(Thing::core("pods", nearest.namespace(), nearest.name())),
            ..step(text, "metadata.labels")
        });
        steps.push(advice("Make the labels and the selector agree"));
    }
    steps
}

fn of_node(cluster: &Cluster, node: &Object) -> Vec<WhyStep> {
    let mut steps = Vec::new();
    if let Some(ready) = node.condition("Ready") {
        let status = ready.str_at(&["status"]).unwrap_or("");
        let text = vec![
            Span::plain("Ready is "),
            Span::bold(status),
            Span::plain(format!(": {}", ready.str_at(&["message"]).unwrap_or(""))),
        ];
        steps.push(step(text, format!("condition Ready since {}", ready.str_at(&["lastTransitionTime"]).unwrap_or(""))));
    }
    let machine = cluster.nodes.get(node.name());
    if machine.is_some_and(|m| !m.powered) {
        steps.push(WhyStep { source: Source::AsItIs, ..fact("The machine is switched off", "its kubelet renews no lease") });
    } else if let Some(m) = machine.filter(|m| cluster.is_silent(m.kubelet)) {
        let _ = m;
        steps.push(WhyStep { source: Source::AsItIs, ..fact("Its kubelet is frozen or cut off", "") });
    }
    if let Some(lease) = api::get(cluster, resources::leases(), "kube-node-lease", node.name())
        && let Some(at) = lease.str_at(&["spec", "renewTime"]).and_then(base::Time::parse)
    {
        steps.push(fact(
            format!("Its lease was renewed {} ago", observe::age(cluster.now().since(at))),
            "Lease in kube-node-lease",
        ));
    }
    for taint in node.list_at(&["spec", "taints"]) {
        let text = vec![
            Span::plain("Taint "),
            Span::code(format!("{}:{}", taint.str_at(&["key"]).unwrap_or(""), taint.str_at(&["effect"]).unwrap_or(""))),
        ];
        steps.push(step(text, "spec.taints"));
    }
    if node.bool_at(&["spec", "unschedulable"]) == Some(true) {
        steps.push(fact("It is cordoned: new pods go elsewhere, those on it stay", "spec.unschedulable"));
    }
    steps
}

fn of_workload(cluster: &Cluster, object: &Object) -> Vec<WhyStep> {
    let n = |path: &[&str]| object.int_at(path).unwrap_or(0);
    let wanted = object
        .int_at(&["spec", "replicas"])
        .or_else(|| object.int_at(&["spec", "completions"]))
        .or_else(|| object.int_at(&["status", "desiredNumberScheduled"]));
    let ready = n(&["status", "readyReplicas"]).max(n(&["status", "numberReady"])).max(n(&["status", "succeeded"]));
    let text = vec![
        Span::bold(format!("{ready} of {}", wanted.unwrap_or(1))),
        Span::plain(if object.kind() == "Job" { " completed" } else { " ready" }),
    ];
    let mut steps = vec![step(text, "status")];
    for condition in object.list_at(&["status", "conditions"]) {
        let text = vec![
            Span::code(format!("{}={}", condition.str_at(&["type"]).unwrap_or(""), condition.str_at(&["status"]).unwrap_or(""))),
            Span::plain(format!(" {}", condition.str_at(&["message"]).unwrap_or(""))),
        ];
        steps.push(step(text, condition.str_at(&["reason"]).unwrap_or("")));
    }
    if let Some(plan) = plan_of(cluster, object) {
        steps.push(WhyStep { source: Source::AsItIs, ..fact(plan, "the controller's last plan") });
    }
    steps
}

/// What the kind's controller last decided about it.
fn plan_of(cluster: &Cluster, object: &Object) -> Option<String> {
    let views = cluster.controller_manager()?.view();
    let name = object.kind().to_lowercase();
    let view = views.iter().find(|v| observe::controller_title(v.name) == name)?;
    let key = object.key().to_string();
    view.plans.iter().rev().find(|p| *p.key == *key).map(|p| p.why.to_string())
}
