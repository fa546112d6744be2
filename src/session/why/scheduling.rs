//! Why a pod has no node: the scheduler's verdict on each, and the field that would change it.

use apimachinery::{Object, ObjectKey, Value, resources};
use cluster::Cluster;
use protocol::{Action, Span, Thing, WhyStep};

use super::{about, advice, advice_with, as_it_is, fact, step};
use crate::offers::offer;

/// Up to so many nodes of one verdict each has a line of its own.
const EACH: usize = 6;
/// Nodes whose objects are looked at for what they lack.
const LOOKED_AT: usize = 200;

pub(super) fn steps(cluster: &Cluster, pod: &Object) -> Vec<WhyStep> {
    if let Some(gates) = pod.at(&["spec", "schedulingGates"]).filter(|g| !g.items().is_empty()) {
        let names: Vec<&str> = gates.items().iter().filter_map(|g| g.str_at(&["name"])).collect();
        return vec![
            fact(format!("It waits for its scheduling gates: {}", names.join(", ")), "spec.schedulingGates"),
            advice("Whoever set a gate takes it off: kubectl patch, spec.schedulingGates"),
        ];
    }
    if pod.str_at(&["spec", "schedulerName"]).is_some_and(|name| name != "default-scheduler") {
        let name = pod.str_at(&["spec", "schedulerName"]).unwrap_or("");
        return vec![fact(format!("It waits for a scheduler called {name}, and there is none"), "spec.schedulerName")];
    }
    let Some(scheduler) = cluster.scheduler() else {
        let thing = Thing::component("kube-scheduler");
        return vec![about(as_it_is(fact("kube-scheduler isn't running: nobody looks for a node", "")), thing)];
    };
    let key = ObjectKey::new(pod.namespace(), pod.name());
    let Some(why) = scheduler.why(&key) else {
        let thing = Thing::component("kube-scheduler");
        let text = match scheduler.is_held() {
            true => "kube-scheduler has not tried it: you hold it",
            false => "kube-scheduler has not tried it yet",
        };
        return vec![about(as_it_is(fact(text, "its queue")), thing)];
    };
    let mut steps = vec![fact(why.message.clone(), format!("condition PodScheduled · tried {} times", why.attempts))];
    for (plugin, reasons, nodes) in &why.verdicts {
        let text: Vec<&str> = reasons.iter().map(|r| &**r).collect();
        steps.extend(verdict(plugin, &text.join(", "), nodes));
        steps.extend(fix(cluster, plugin, &text, pod, nodes));
    }
    steps
}

/// What one plugin said of which nodes; of few, one line each.
fn verdict(plugin: &str, reasons: &str, nodes: &[std::rc::Rc<str>]) -> Vec<WhyStep> {
    let detail = format!("plugin {plugin}");
    let line = |names: String| as_it_is(step(vec![Span::bold(names), Span::plain(format!(": {reasons}"))], detail.clone()));
    match nodes.len() {
        0 => vec![line("All nodes".into())],
        n if n <= EACH => nodes.iter().map(|n| about(line(n.to_string()), Thing::core("nodes", "", n))).collect(),
        n => {
            let names: Vec<&str> = nodes.iter().take(EACH).map(|n| &**n).collect();
            vec![about(line(format!("{} and {} more", names.join(", "), n - EACH)), Thing::core("nodes", "", &nodes[0]))]
        }
    }
}

/// The field that would change a plugin's verdict, with the numbers or names that are missing.
fn fix(cluster: &Cluster, plugin: &str, reasons: &[&str], pod: &Object, nodes: &[std::rc::Rc<str>]) -> Vec<WhyStep> {
    match plugin {
        "NodeResourcesFit" => reasons.iter().flat_map(|r| resources_fix(cluster, r, pod)).collect(),
        "TaintToleration" => taint_fix(cluster, pod, nodes),
        "NodeAffinity" => vec![affinity_fix(cluster, pod, nodes)],
        "NodeUnschedulable" => nodes
            .iter()
            .take(2)
            .map(|n| {
                let action = Action::Uncordon { node: n.to_string() };
                advice_with(
                    format!("Uncordon {n}: spec.unschedulable of the node"),
                    offer(action, &format!("Uncordon {n}"), "New pods may come again", false),
                )
            })
            .collect(),
        "NodeName" => {
            let name = pod.str_at(&["spec", "nodeName"]).unwrap_or("");
            vec![advice(format!("No node is called {name}: change spec.nodeName"))]
        }
        "NodePorts" => vec![advice("Another pod has the hostPort: change spec.containers[].ports[].hostPort")],
        "PodTopologySpread" => vec![advice("Relax spec.topologySpreadConstraints, or add nodes in other domains")],
        "InterPodAffinity" => vec![advice("Relax spec.affinity.podAffinity or podAntiAffinity")],
        "VolumeBinding" => claims(cluster, pod),
        _ => Vec::new(),
    }
}

/// `Insufficient cpu` → what it asks for, who has most left, and where to ask for less.
fn resources_fix(cluster: &Cluster, reason: &str, pod: &Object) -> Vec<WhyStep> {
    let Some(name) = reason.strip_prefix("Insufficient ") else {
        return vec![advice("Add a node, or delete pods: a node takes only so many (status.allocatable.pods)")];
    };
    let key = ObjectKey::new(pod.namespace(), pod.name());
    let mut steps = Vec::new();
    if let Some((asked, node, left)) = cluster.scheduler().and_then(|s| s.most_left(&key, name)) {
        let text = vec![
            Span::plain(format!("It asks for {name} ")),
            Span::bold(amount(name, asked)),
            Span::plain("; most is left on "),
            Span::bold(node.to_string()),
            Span::plain(format!(": {}", amount(name, left.max(0)))),
        ];
        steps.push(about(as_it_is(step(text, "kube-scheduler's own sums")), Thing::core("nodes", "", &node)));
    }
    let asks = |c: &&Value| c.at(&["resources", "requests"]).and_then(|r| r.get(name)).is_some();
    let container = pod.list_at(&["spec", "containers"]).iter().find(asks).and_then(|c| c.str_at(&["name"])).unwrap_or("");
    let add = offer(Action::AddNode, "+ node", "A new worker is switched on; its kubelet registers it", false);
    steps
        .push(advice_with(format!("Ask for less in spec.containers[{container}].resources.requests.{name}, or add a node"), add));
    steps
}

fn amount(resource: &str, n: i64) -> String {
    match resource {
        "cpu" if n % 1000 == 0 => (n / 1000).to_string(),
        "cpu" => format!("{n}m"),
        "memory" | "ephemeral-storage" => format!("{}Mi", n >> 20),
        _ => n.to_string(),
    }
}

/// The taint that is not tolerated, and the toleration that would do.
fn taint_fix(cluster: &Cluster, pod: &Object, nodes: &[std::rc::Rc<str>]) -> Vec<WhyStep> {
    let Some(api) = cluster.api() else { return Vec::new() };
    let mut told: Vec<String> = Vec::new();
    let mut steps = Vec::new();
    for node in nodes.iter().take(LOOKED_AT) {
        let Some(object) = api.object(resources::nodes(), "", node) else { continue };
        for taint in object.list_at(&["spec", "taints"]) {
            let (key, effect) = (taint.str_at(&["key"]).unwrap_or(""), taint.str_at(&["effect"]).unwrap_or(""));
            let value = taint.str_at(&["value"]).filter(|v| !v.is_empty()).map_or_else(String::new, |v| format!("={v}"));
            let text = format!("{key}{value}:{effect}");
            if effect == "PreferNoSchedule" || tolerated(pod, taint) || told.contains(&text) {
                continue;
            }
            let span = vec![Span::bold(node.to_string()), Span::plain(" has the taint "), Span::code(text.clone())];
            steps.push(about(step(span, "spec.taints"), Thing::core("nodes", "", node)));
            let own = key.starts_with("node.kubernetes.io/");
            steps.push(advice(match own {
                true => format!("{key} is the cluster's own sign that the node is not well: see why of the node"),
                false => format!("Add to spec.tolerations {{key: {key}, operator: Exists, effect: {effect}}}, or kubectl taint node {node} {key}-"),
            }));
            told.push(text);
        }
        if told.len() >= 3 {
            break;
        }
    }
    steps
}

/// Models `Toleration.ToleratesTaint`.
fn tolerated(pod: &Object, taint: &Value) -> bool {
    let of = |v: &Value, field: &str| v.str_at(&[field]).unwrap_or("").to_string();
    pod.list_at(&["spec", "tolerations"]).iter().any(|t| {
        let (effect, key) = (of(t, "effect"), of(t, "key"));
        let same_value = of(t, "operator") == "Exists" || of(t, "value") == of(taint, "value");
        (effect.is_empty() || effect == of(taint, "effect")) && (key.is_empty() || key == of(taint, "key")) && same_value
    })
}

/// The label of the selector that a node lacks; the node that comes nearest.
fn affinity_fix(cluster: &Cluster, pod: &Object, nodes: &[std::rc::Rc<str>]) -> WhyStep {
    let selector = pod.map_at(&["spec", "nodeSelector"]).filter(|s| !s.is_empty());
    let (Some(selector), Some(api)) = (selector, cluster.api()) else {
        return advice("Change spec.affinity.nodeAffinity, or label a node to match");
    };
    let wanted: Vec<(String, String)> = selector.iter().map(|(k, v)| (k.to_string(), v.as_str().unwrap_or("").into())).collect();
    let lacks = |node: &Object| wanted.iter().filter(|(k, v)| node.label(k) != Some(v)).cloned().collect::<Vec<_>>();
    let objects = nodes.iter().take(LOOKED_AT).filter_map(|n| api.object(resources::nodes(), "", n));
    let Some(nearest) = objects.min_by_key(|n| lacks(n).len()) else { return advice("Change spec.nodeSelector") };
    let (key, value) = lacks(nearest).first().cloned().unwrap_or_default();
    let has = nearest.label(&key).map_or_else(|| "has no such label".to_string(), |v| format!("has {key}={v}"));
    let thing = Thing::core("nodes", "", nearest.name());
    let action = Action::Label { thing, key: key.clone(), value: Some(value.clone()) };
    let hint = format!("kubectl label node {} {key}={value} --overwrite", nearest.name());
    advice_with(
        format!("spec.nodeSelector wants {key}={value}, {} {has}: change the selector, or label a node", nearest.name()),
        offer(action, &format!("Label {}", nearest.name()), &hint, false),
    )
}

/// The claims that are not bound.
fn claims(cluster: &Cluster, pod: &Object) -> Vec<WhyStep> {
    let Some(api) = cluster.api() else { return Vec::new() };
    let names = pod.list_at(&["spec", "volumes"]).iter().filter_map(|v| v.str_at(&["persistentVolumeClaim", "claimName"]));
    let told = names.filter_map(|name| {
        let thing = Thing::core("persistentvolumeclaims", pod.namespace(), name);
        let Some(claim) = api.object(resources::persistentvolumeclaims(), pod.namespace(), name) else {
            return Some(advice(format!("There is no PersistentVolumeClaim {name}: create it")));
        };
        let phase = claim.str_at(&["status", "phase"]).unwrap_or("");
        (phase != "Bound").then(|| about(fact(format!("Claim {name} is {phase}"), "spec.volumes[].persistentVolumeClaim"), thing))
    });
    told.collect()
}
