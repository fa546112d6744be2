//! The clock, the boot's progress and the bar at the bottom.

use apimachinery::resources;
use cluster::{Bottle, Cluster, Input};
use cri_api::host::HostMessage;
use protocol::{Addon, Boot, Branch, Clock, ClusterInfo, Mark, Offer, PaceSpeed, Timeline};

use crate::pacer::Pacer;
use crate::{api, offers};

pub(crate) fn clock(bottle: &Bottle, pacer: &Pacer, wall_ms: f64, booting: bool) -> Clock {
    let shown = bottle.shown();
    Clock {
        now_us: shown.now().0,
        start_us: bottle.start().0,
        head_us: bottle.head().now().0,
        revision: shown.etcd_member().map_or(0, |m| m.revision()) as u64,
        events: shown.events,
        branch: bottle.current_branch() as u32,
        branch_name: bottle.branches()[bottle.current_branch()].name.to_string(),
        paused: pacer.paused || bottle.is_past(),
        past: bottle.is_past(),
        speed: PaceSpeed(pacer.speed),
        actual_milli: if bottle.is_past() { 0 } else { pacer.actual_milli(wall_ms, shown.now()) },
        idle_until_us: None,
        booting,
    }
}

pub(crate) fn timeline(bottle: &Bottle) -> Timeline {
    let head = bottle.head().now();
    let mut marks = vec![Mark { at_us: bottle.start().0, label: "boot".into(), message: None }];
    marks.extend(bottle.log().iter().filter_map(|i| Some(Mark { at_us: i.at.0, label: label(&i.input)?, message: None })));
    let branches = bottle.branches().iter().enumerate().map(|(id, b)| Branch {
        id: id as u32,
        name: b.name.to_string(),
        forked_from: b.forked_from.map(|(from, at)| (from as u32, at.0)),
        head_us: b.head_time().0,
    });
    Timeline {
        branch: bottle.current_branch() as u32,
        start_us: bottle.start().0,
        head_us: head.0,
        slices: bottle.trace().histogram(head, 160),
        marks,
        branches: branches.collect(),
    }
}

/// What a user's action is called on the timeline. Keys and terminals aren't marked one by one.
fn label(input: &Input) -> Option<String> {
    Some(match input {
        Input::Laptop(m) => match &**m {
            HostMessage::RunJob { argv, .. } => match &**argv {
                // A line for the shell: the line.
                [shell, flag, line] if &**shell == "sh" && &**flag == "-c" => line.to_string(),
                _ => argv.iter().skip(1).map(|a| &**a).filter(|a| *a != "-f" && *a != "-").collect::<Vec<_>>().join(" "),
            },
            HostMessage::TtyInput { data, .. } if data.contains(&b'\r') => "command".into(),
            _ => return None,
        },
        Input::Aside(_) => return None,
        Input::Machine(node, _) => format!("file on {node}"),
        Input::PowerOff(node) => format!("power off {node}"),
        Input::PowerOn(node) => format!("power on {node}"),
        Input::Freeze(name) => format!("freeze {name}"),
        Input::Thaw(name) => format!("thaw {name}"),
        Input::Kill(name) => format!("kill {name}"),
        Input::Cut(a, b) => format!("cut {a} – {b}"),
        Input::Mend(a, b) => format!("mend {a} – {b}"),
        Input::Slow(a, b, 0) => format!("{a} – {b} as fast as before"),
        Input::Slow(a, b, ms) => format!("slow {a} – {b} by {ms} ms"),
        Input::HoldLoop(name) => format!("hold {name}"),
        Input::ReleaseLoop(name) => format!("release {name}"),
        Input::StepLoop(name) => format!("one step of {name}"),
        Input::AddNode => "add node".into(),
        Input::AddMachine => "add a blank machine".into(),
    })
}

pub(crate) fn info(bottle: &Bottle) -> ClusterInfo {
    let cluster = bottle.shown();
    let with_pods = |api: &kube_apiserver::ApiServer| {
        let all = api::list(cluster, resources::namespaces(), "");
        let names = all.iter().map(|n| n.name().to_string()).filter(|n| api.has_any(resources::pods(), n)).collect();
        (names, api.object_count(resources::pods()) as u32)
    };
    let (namespaces, pods) = cluster.api().map(with_pods).unwrap_or_default();
    let name = &cluster.config.name;
    ClusterInfo {
        name: format!("{name} cluster"),
        version: "v1.37.2".into(),
        nodes: cluster.nodes.len() as u32,
        pods,
        offers: vec![
            Offer {
                action: protocol::Action::AddNode,
                label: "+ node".into(),
                hint: "A new worker is switched on; its kubelet registers it".into(),
                danger: false,
                disabled: None,
            },
            offers::blank_machine(),
        ],
        namespaces,
        addons: ADDONS.iter().filter_map(|(name, of)| addon(cluster, name, of)).collect(),
    }
}

/// The add-ons, by the workload that each stands and falls with: whether it is a DaemonSet, its namespace, its name.
const ADDONS: [(&str, (bool, &str, &str)); 4] = [
    ("metrics-server", (false, "kube-system", "metrics-server")),
    ("prometheus", (false, "monitoring", "prometheus")),
    ("fluentd", (true, "logging", "fluentd")),
    ("local-path", (false, "local-path-storage", "local-path-provisioner")),
];

fn addon(cluster: &Cluster, name: &str, (daemon, namespace, workload): &(bool, &str, &str)) -> Option<Addon> {
    let (gvr, fields) = match daemon {
        true => (resources::daemonsets(), ["numberReady", "desiredNumberScheduled"]),
        false => (resources::deployments(), ["readyReplicas", "replicas"]),
    };
    let object = api::get(cluster, gvr, namespace, workload)?;
    let [ready, pods] = fields.map(|field| object.int_at(&["status", field]).unwrap_or(0) as u32);
    Some(Addon { name: name.to_string(), ready, pods })
}

/// The CNI plugins' agents.
const AGENTS: [&str; 3] = ["flanneld", "kindnetd", "calico-node"];

pub(crate) fn boot(bottle: &Bottle) -> Boot {
    let cluster = bottle.head();
    let nodes = api::list(cluster, resources::nodes(), "");
    let pods = api::list(cluster, resources::pods(), "");
    let done = cluster.is_ready();
    let running = |name: &str| cluster.of_component(name).any(|(_, p)| p.is_running());
    let step = if done {
        "the cluster is ready"
    } else if !running("etcd") {
        "the kubelet on the control-plane node starts etcd"
    } else if !running("kube-apiserver") {
        "the kubelet starts kube-apiserver"
    } else if !cluster.api().is_some_and(|a| a.is_ready()) {
        "kube-apiserver makes its bootstrap objects"
    } else if nodes.len() < cluster.nodes.len() {
        "kubelets register their nodes"
    } else if !running("kube-proxy") || !AGENTS.iter().any(|agent| running(agent)) {
        "kube-proxy and the CNI agent start on every node"
    } else {
        "CoreDNS becomes ready"
    };
    Boot {
        step: step.into(),
        nodes_ready: nodes.iter().filter(|n| n.condition_is_true("Ready")).count() as u32,
        nodes: cluster.nodes.len() as u32,
        pods_ready: pods.iter().filter(|p| p.condition_is_true("Ready")).count() as u32,
        pods: pods.len() as u32,
        done,
    }
}
