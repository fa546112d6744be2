//! From the cluster to what the lenses draw. Objects come from the API; liveness of processes is "as it is".

use apimachinery::{Object, Value, resources};
use base::Sort as _;
use base::{Duration, Time};
use cluster::{Bottle, Cluster};
use lenses::{Chip, Component, Observed, PodSeen, RevisionSeen, Traffic};
use protocol::{Glyph, Span, State, Thing, Tone, ViewOptions};
use sim::MsgId;

use crate::components::process_health;
use crate::{cloud, flights, message, nodes};

/// Box ids light up for that much virtual time after a message.
const GLOW: Duration = Duration::from_millis(40);

/// Observes everything that the Architecture lens shows.
pub(crate) fn observe(bottle: &Bottle, options: &ViewOptions, memo: &mut nodes::Memo) -> Observed {
    let cluster = bottle.shown();
    let now = cluster.now();
    let recent = if bottle.is_past() { Vec::new() } else { flights::recent(cluster, bottle.trace(), now - GLOW, 400) };
    let glows = |id: &str| recent.iter().any(|(from, to, ..)| from == id || to == id);
    let traffic = recent.iter().map(|(from, to, kind, _)| Traffic { from: from.clone(), to: to.clone(), kind: *kind }).collect();
    let (control_plane, note) = control_plane(cluster);
    let mut seen = Observed {
        now,
        control_plane,
        control_plane_note: note,
        etcd: said(cluster, etcd(cluster, &glows)),
        revisions: revisions(cluster),
        apiserver: said(cluster, apiserver(cluster, bottle, &glows, recent.last().map(|r| r.3))),
        stages: ["authn", "authz", "mutate", "valid", "etcd"].iter().map(|s| (s.to_string(), false)).collect(),
        scheduler: scheduler(cluster, &glows).map(|c| said(cluster, c)),
        controllers: controllers(cluster, &glows).map(|c| said(cluster, c)),
        cloud_controllers: cloud_controllers(cluster, &glows).map(|c| said(cluster, c)),
        cloud: cloud::observe(cluster, glows("cloud")),
        traffic,
        ..Observed::default()
    };
    light_stages(cluster, &recent, &mut seen);
    nodes::observe(cluster, options, &glows, memo, &mut seen);
    seen
}

/// The machine of the control plane (of several the first that has power), and a word about how it runs there.
pub(crate) fn control_plane(cluster: &Cluster) -> (String, String) {
    let machines: Vec<&str> = cluster.config.nodes.iter().filter(|n| n.control_plane).map(|n| &*n.name).collect();
    let powered = |name: &&&str| cluster.nodes.get(**name).is_some_and(|n| n.powered);
    let machine = machines.iter().find(powered).or(machines.first()).map_or(String::new(), |name| name.to_string());
    let nodes = format!("node{} {}", if machines.len() > 1 { "s" } else { "" }, machines.join(", "));
    let note = match (machine.is_empty(), cluster.config.static_pods) {
        (true, _) => "runs without kubelets".to_string(),
        (false, true) => format!("{nodes} · static pods from /etc/kubernetes/manifests"),
        (false, false) => nodes,
    };
    (machine, note)
}

/// Lights the stages that the newest request to kube-apiserver has passed, as kube-apiserver recorded them.
fn light_stages(cluster: &Cluster, recent: &[(String, String, protocol::MessageKind, MsgId)], seen: &mut Observed) {
    let newest = recent.iter().rev().filter(|(_, to, ..)| to == "kube-apiserver").find_map(|r| cluster.api()?.stages(r.3));
    let Some(stages) = newest else { return };
    let refused = stages.refused_by.is_some();
    let passed = [
        stages.code != 401,
        stages.code != 403 || refused,
        !stages.mutated_by.is_empty() || stages.valid,
        stages.valid,
        stages.revision > 0,
    ];
    for (stage, passed) in seen.stages.iter_mut().zip(passed) {
        stage.1 = passed;
    }
}

/// Whether a component's process runs; frozen ones are shown as off.
fn process_state(cluster: &Cluster, component: &str, glows: bool) -> State {
    // Of several one that works counts.
    let all = || cluster.of_component(component);
    let working = all().find(|(addr, p)| p.is_running() && !cluster.is_silent(*addr));
    let running = working.or_else(|| all().next()).map(|(addr, p)| (addr, p.is_running()));
    match running {
        Some((addr, true)) if cluster.is_silent(addr) => State::Off,
        Some((_, true)) if glows => State::Active,
        Some((_, true)) => State::Idle,
        _ => State::Off,
    }
}

/// A component that is off says that (*not running*, *frozen*) in place of figures that no longer move.
fn said(cluster: &Cluster, mut component: Component) -> Component {
    if component.state == State::Off {
        let addr = cluster.of_component(&component.id).next().map(|(addr, _)| addr);
        let word = addr.map_or("not there", |addr| process_health(cluster, addr).2);
        component.lines = vec![vec![Span::dim(word)]];
        component.aria = format!("{}: {word}", component.id);
    }
    component
}

fn etcd(cluster: &Cluster, glows: &dyn Fn(&str) -> bool) -> Component {
    let revision = cluster.etcd_member().map_or(0, |m| m.revision());
    let members = cluster.of_component("etcd").count();
    let (line, said) = match members {
        0 | 1 => (format!("revision {}", spaced(revision)), "one member".to_string()),
        n => (format!("{n} members · rev {}", spaced(revision)), format!("{n} members")),
    };
    Component {
        id: "etcd".into(),
        state: match process_state(cluster, "etcd", glows("etcd")) {
            State::Active => State::Writing,
            other => other,
        },
        lines: vec![vec![Span { mono: true, ..Span::dim(line) }]],
        aria: format!("etcd: {said}, revision {revision}"),
        ..Component::default()
    }
}

fn revisions(cluster: &Cluster) -> Vec<RevisionSeen> {
    let Some(member) = cluster.etcd_member() else { return Vec::new() };
    let mut changes = member.recent(5);
    changes.order_by_key(|c| c.revision);
    let newest = changes.last().map_or(0, |c| c.revision);
    let fresh = changes.last().is_some_and(|c| cluster.now().since(c.at) < GLOW);
    changes.iter().map(|c| RevisionSeen { revision: c.revision, newest: fresh && c.revision == newest }).collect()
}

fn apiserver(cluster: &Cluster, bottle: &Bottle, glows: &dyn Fn(&str) -> bool, last: Option<MsgId>) -> Component {
    let watches = cluster.api().map_or(0, |a| a.watch_count());
    let ready = cluster.api().is_some_and(|a| a.is_ready());
    let mut lines = vec![vec![Span::dim(match ready {
        false => "starting".to_string(),
        true => match cluster.apiservers().len() {
            0 | 1 => format!("{watches} watches"),
            n => format!("{watches} watches on one of {n}"),
        },
    })]];
    let request = last.and_then(|id| bottle.trace().get(id)).filter(|r| cluster.apiservers().contains(&r.message.to));
    if let Some(record) = request
        && let sim::Payload::ApiRequest { request, .. } = &record.message.payload
    {
        let tone = if request.verb.is_write() { Tone::Write } else { Tone::Read };
        let path = request.url_path();
        let tail: String = path.rsplitn(3, '/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/");
        let method = Span { mono: true, ..Span::toned(request.verb.method(), tone) };
        lines.push(vec![method, Span { mono: true, ..Span::plain(format!(" …/{tail}")) }]);
    }
    Component {
        id: "kube-apiserver".into(),
        state: process_state(cluster, "kube-apiserver", glows("kube-apiserver")),
        lines,
        aria: format!("kube-apiserver, {watches} open watches"),
        ..Component::default()
    }
}

fn scheduler(cluster: &Cluster, glows: &dyn Fn(&str) -> bool) -> Option<Component> {
    cluster.of_component("kube-scheduler").next()?;
    let (active, waiting) = cluster.scheduler().map(|s| s.queue_counts()).map_or((0, 0), |q| (q.active, q.waiting()));
    Some(Component {
        id: "kube-scheduler".into(),
        state: process_state(cluster, "kube-scheduler", glows("kube-scheduler")),
        lines: vec![vec![Span::dim(format!("{active} active · {waiting} waiting"))]],
        aria: format!("kube-scheduler, {active} pods active, {waiting} waiting"),
        ..Component::default()
    })
}

fn controllers(cluster: &Cluster, glows: &dyn Fn(&str) -> bool) -> Option<Component> {
    cluster.of_component("kube-controller-manager").next()?;
    let manager = cluster.controller_manager();
    let views = manager.map(|m| m.view()).unwrap_or_default();
    let leads = manager.is_some_and(|m| m.is_running());
    let busy = |v: &cluster::ControllerView| v.waiting + v.in_process > 0;
    // Those that act come first, then those that people know.
    let known = ["deployment", "replicaset", "endpointslice", "job", "daemonset", "node-lifecycle"];
    let mut order: Vec<&cluster::ControllerView> = views.iter().collect();
    order.order_by_key(|v| {
        let short = controller_title(v.name);
        (!busy(v), known.iter().position(|k| *k == short).unwrap_or(99))
    });
    let chips = order
        .iter()
        .map(|v| {
            let n = v.waiting + v.in_process;
            let short = controller_title(v.name);
            let title = if n > 0 { format!("{short} · {n}") } else { short.to_string() };
            let id = format!("kube-controller-manager/{short}");
            Chip { opens: Some(Thing::component(&id)), id, title, active: n > 0 }
        })
        .collect();
    Some(Component {
        id: "kube-controller-manager".into(),
        state: process_state(cluster, "kube-controller-manager", glows("kube-controller-manager")),
        lines: vec![vec![Span::dim(if leads {
            format!("leader · {} controllers", views.len())
        } else {
            "not leading yet".to_string()
        })]],
        chips,
        aria: format!("kube-controller-manager with {} controllers", views.len()),
    })
}

fn cloud_controllers(cluster: &Cluster, glows: &dyn Fn(&str) -> bool) -> Option<Component> {
    cloud::has_controller(cluster).then(|| {
        let word = "asks the API and the cloud";
        Component {
            id: cloud::CONTROLLER.into(),
            state: process_state(cluster, cloud::CONTROLLER, glows(cloud::CONTROLLER)),
            lines: vec![vec![Span::dim(word)]],
            aria: format!("{}: {word}", cloud::CONTROLLER),
            ..Component::default()
        }
    })
}

/// `deployment-controller` → `deployment`
pub(crate) fn controller_title(name: &str) -> &str {
    name.strip_suffix("-controller").unwrap_or(name)
}

/// A pod in one box: the STATUS column of `kubectl get pods` and what it means.
pub(crate) fn pod_seen(pod: &Object, now: Time) -> PodSeen {
    let status = pod_status(pod, now);
    let (state, glyph) = pod_state(pod, &status);
    let ip = pod.str_at(&["status", "podIP"]).unwrap_or("");
    let note = if state == State::Ok && !ip.is_empty() { ip.to_string() } else { status.clone() };
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or("no node yet");
    PodSeen {
        namespace: pod.namespace().into(),
        name: pod.name().into(),
        note,
        state,
        glyph,
        aria: format!("Pod {}, namespace {}, {status}, {node}", pod.name(), pod.namespace()),
    }
}

/// The STATUS column, by kube-apiserver's own printer.
pub(crate) fn pod_status(pod: &Object, now: Time) -> String {
    let row = cluster::printed_row(resources::pods(), pod, now);
    row.get(2).and_then(Value::as_str).unwrap_or("Unknown").to_string()
}

pub(crate) fn pod_state(pod: &Object, status: &str) -> (State, Glyph) {
    if pod.is_being_deleted() {
        return (State::Terminating, Glyph::Terminating);
    }
    match status {
        "Running" if pod.condition_is_true("Ready") => (State::Ok, Glyph::Running),
        "Running" => (State::Starting, Glyph::Starting),
        "Completed" | "Succeeded" => (State::Done, Glyph::Done),
        "Pending" if pod.str_at(&["spec", "nodeName"]).is_none() => (State::Pending, Glyph::Pending),
        "Pending" | "ContainerCreating" | "PodInitializing" => (State::Starting, Glyph::Starting),
        s if s.starts_with("Init:") && !s.contains("Error") && !s.contains("BackOff") => (State::Starting, Glyph::Starting),
        _ => (State::Failing, Glyph::Failing),
    }
}

/// `3 s`, `5 m`
pub(crate) fn age(d: Duration) -> String {
    match d.as_secs().max(0) {
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} m", s / 60),
        s => format!("{} h", s / 3600),
    }
}

/// `1 284`: thin groups of thousands.
fn spaced(n: i64) -> String {
    let digits = n.to_string();
    let head = digits.len() % 3;
    let mut out = digits[..head].to_string();
    for chunk in digits.as_bytes()[head..].chunks(3) {
        if !out.is_empty() {
            out.push('\u{202f}');
        }
        out.extend(chunk.iter().map(|b| *b as char));
    }
    out
}

/// The thing that a box id names, for messages' ends.
pub(crate) fn title_of(cluster: &Cluster, addr: sim::Addr) -> String {
    match message::box_of(cluster, addr) {
        id if id == "laptop" => "you · kubectl".into(),
        id => id,
    }
}
