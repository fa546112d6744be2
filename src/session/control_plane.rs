//! Observes health and leadership: etcd's members as they are, leases and conditions as the API has them.

use apimachinery::{Object, resources};
use base::{Duration, Time};
use cluster::{Bottle, Cluster, Proc, Process};
use lenses::{ComponentHealth, Health, LeaseSeen, Link, MemberSeen, NodeHealth, Part, Traffic};
use protocol::{Glyph, Row, Span, State};
use sim::Addr;

use crate::checks::Checks;
use crate::components::{fault, process_health};
use crate::inspect::as_it_is;
use crate::{api, cloud, flights, message, nodes, observe};

const GLOW: Duration = Duration::from_millis(40);

/// Observes everything that the Control plane lens shows.
pub(crate) fn observe(bottle: &Bottle, checks: &Checks, drawn: &mut nodes::Memo) -> Health {
    let cluster = bottle.shown();
    let recent = flights::recent_of(bottle, cluster.now() - GLOW);
    let traffic: Vec<Traffic> =
        recent.iter().map(|(from, to, kind, _)| Traffic { from: from.clone(), to: to.clone(), kind: *kind }).collect();
    let (machine, place) = observe::control_plane(cluster);
    let members = members(cluster);
    let (checks, checks_note) = checks.seen(cluster.now());
    let many = cluster.nodes.len() > nodes::MAX_BOXES;
    let mut seen = Health {
        now: cluster.now(),
        place,
        machine,
        quorum: quorum(&members),
        members,
        apiserver: apiserver(cluster),
        candidates: candidates(cluster).iter().filter_map(|name| candidate(cluster, name)).collect(),
        cloud: cloud::observe(cluster, traffic.iter().any(|t| t.from == "cloud" || t.to == "cloud")),
        nodes: if many { Vec::new() } else { told_nodes(cluster) },
        cells: if many { drawn.cells(cluster) } else { Vec::new() },
        links: links(cluster),
        checks,
        checks_note,
        ..Health::default()
    };
    light(&mut seen, &traffic);
    seen.traffic = traffic;
    seen
}

/// What elects a leader here.
fn candidates(cluster: &Cluster) -> &'static [&'static str] {
    const ALL: [&str; 3] = ["kube-scheduler", "kube-controller-manager", cloud::CONTROLLER];
    if cloud::has_controller(cluster) { &ALL } else { &ALL[..2] }
}

/// Boxes that talk now have the brand's border.
fn light(seen: &mut Health, traffic: &[Traffic]) {
    let talks = |id: &str| traffic.iter().any(|t| t.from == id || t.to == id);
    for c in seen.candidates.iter_mut().chain([&mut seen.apiserver]).filter(|c| c.state == State::Idle && talks(&c.id)) {
        c.state = State::Active;
    }
    for m in seen.members.iter_mut().filter(|m| m.state == State::Idle && talks("etcd")) {
        m.state = State::Writing;
    }
    for part in seen.nodes.iter_mut().flat_map(|n| n.parts.iter_mut()).filter(|p| p.state == State::Idle && talks(&p.id)) {
        part.state = State::Active;
    }
}

fn members(cluster: &Cluster) -> Vec<MemberSeen> {
    let all = cluster.of_component("etcd");
    all.map(|(addr, proc)| member(cluster, addr, proc)).collect()
}

fn member(cluster: &Cluster, addr: Addr, proc: &Proc) -> MemberSeen {
    let (state, _, word) = process_health(cluster, addr);
    let id = message::etcd_box(cluster, proc);
    let seen = MemberSeen { id, title: proc.name.replace('/', " "), state, role: word.into(), ..MemberSeen::default() };
    let Process::Etcd(m) = &proc.process else { return seen };
    let raft = m.raft();
    MemberSeen {
        leader: raft.is_leader() && state != State::Off,
        role: match (state, raft.is_leader(), raft.is_learner()) {
            (State::Off, ..) => word.into(),
            (_, true, _) => "leader".into(),
            (_, _, true) => "learner".into(),
            // Nobody leads that it knows of: it asks to be elected.
            _ if raft.lead() == 0 => "candidate".into(),
            _ => "follower".into(),
        },
        term: raft.term(),
        revision: m.revision(),
        last: raft.log().last_index(),
        commit: raft.commit(),
        applied: raft.applied(),
        db_size: m.status().db_size.max(0) as u64,
        ..seen
    }
}

/// The inspector's rows of a member.
pub(crate) fn member_rows(cluster: &Cluster, addr: Addr) -> Vec<Row> {
    let Some(proc) = cluster.proc(addr) else { return Vec::new() };
    let seen = member(cluster, addr, proc);
    let Process::Etcd(m) = &proc.process else { return Vec::new() };
    vec![
        as_it_is("Role", seen.role),
        as_it_is("Term", seen.term.to_string()),
        as_it_is("Log", format!("to {}, committed {}, applied {}", seen.last, seen.commit, seen.applied)),
        as_it_is("Revision", seen.revision.to_string()),
        as_it_is("Size", format!("{} kB", seen.db_size / 1024)),
        as_it_is("Watches", m.watch_count().to_string()),
        as_it_is("Leases", m.lease_count().to_string()),
    ]
}

fn quorum(members: &[MemberSeen]) -> String {
    let n = members.len();
    let quorum = n / 2 + 1;
    let up = members.iter().filter(|m| m.state != State::Off).count();
    let spare = up.saturating_sub(quorum);
    let s = if n == 1 { "" } else { "s" };
    match up {
        up if up < quorum => format!("{up} of {n} member{s} up: no quorum ({quorum} needed)"),
        _ if spare == 0 => format!("{up} of {n} member{s} up: quorum {quorum}, none may fail"),
        _ => format!("{up} of {n} members up: quorum {quorum}, {spare} may fail"),
    }
}

fn apiserver(cluster: &Cluster) -> ComponentHealth {
    let (state, glyph, word) = process_health(cluster, cluster.serving_apiserver());
    let mut lines = Vec::new();
    let all = cluster.apiservers();
    if all.len() > 1 {
        let up = all.iter().filter(|a| cluster.proc(**a).is_some_and(Proc::is_running) && !cluster.is_silent(**a)).count();
        lines.push(vec![Span::plain(format!("{up} of {} behind the load balancer", all.len()))]);
    }
    match cluster.api() {
        Some(a) if state != State::Off => {
            lines.push(vec![Span::plain(match (a.is_ready(), a.etcd_answers(cluster.now())) {
                (false, _) => "starting: /readyz fails",
                (true, false) => "etcd doesn't answer: /readyz fails",
                (true, true) => "ready",
            })]);
            lines.push(vec![Span::dim(format!("{} watches open", a.watch_count()))]);
            lines.push(vec![Span::dim(format!("{} requests in flight", a.pending_count()))]);
            lines.push(vec![Span::dim(format!("its caches are at revision {}", a.revision()))]);
        }
        _ => lines.push(vec![Span::plain(word)]),
    }
    let (state, glyph) = match cluster.api() {
        Some(a) if !a.is_ready() => (state, Glyph::Starting),
        Some(a) if state != State::Off && !a.etcd_answers(cluster.now()) => (State::Failing, Glyph::Failing),
        _ => (state, glyph),
    };
    ComponentHealth {
        id: "kube-apiserver".into(),
        title: "kube-apiserver".into(),
        state,
        glyph,
        lines,
        ..ComponentHealth::default()
    }
}

/// A component that elects a leader. Who leads is what its Lease says, as long as that has not run out.
fn candidate(cluster: &Cluster, name: &str) -> Option<ComponentHealth> {
    let lease = api::get(cluster, resources::leases(), "kube-system", name).and_then(|l| lease(&l, cluster.now()));
    let is_holder = |p: &Proc| lease.as_ref().is_some_and(|l| l.left() > 0.0 && l.holder.starts_with(&*p.machine));
    // Of several the one that holds the lease, or the first.
    let all = || cluster.of_component(name);
    let (addr, proc) = all().find(|(_, p)| is_holder(p)).or_else(|| all().next())?;
    let (state, glyph, word) = process_health(cluster, addr);
    let holds = is_holder(proc);
    let queue = match &proc.process {
        Process::ControllerManager(m) => {
            let views = m.view();
            let busy: usize = views.iter().map(|v| v.waiting + v.in_process).sum();
            format!(" · {} controllers, {busy} items queued", views.len())
        }
        Process::Scheduler(s) => {
            let q = s.queue_counts();
            format!(" · {} pods active, {} waiting", q.active, q.waiting())
        }
        _ => String::new(),
    };
    let role = match (state, holds) {
        (State::Off, _) => word.to_string(),
        (_, true) => format!("leader{queue}"),
        _ => "waits for the lease".to_string(),
    };
    Some(ComponentHealth {
        id: name.into(),
        title: name.into(),
        state,
        glyph,
        lines: vec![vec![Span::dim(role)]],
        leader: holds && state != State::Off,
        lease,
    })
}

fn lease(lease: &Object, now: Time) -> Option<LeaseSeen> {
    let renewed = lease.str_at(&["spec", "renewTime"]).and_then(Time::parse)?;
    let duration = Duration::from_secs(lease.int_at(&["spec", "leaseDurationSeconds"])?);
    Some(LeaseSeen { holder: lease.str_at(&["spec", "holderIdentity"]).unwrap_or("").into(), age: now.since(renewed), duration })
}

/// The nodes with their conditions and leases, where there are few; of many see [`nodes::cells`].
fn told_nodes(cluster: &Cluster) -> Vec<NodeHealth> {
    let api = cluster.api();
    let each = cluster.nodes.iter().map(|(name, node)| {
        let object = api.and_then(|a| a.object(resources::nodes(), "", name));
        let (state, glyph, word) = nodes::node_state(cluster, node, object);
        let lease = api.and_then(|a| a.object(resources::leases(), "kube-node-lease", name));
        NodeHealth {
            name: name.to_string(),
            state,
            glyph,
            note: word.into(),
            lease: lease.and_then(|l| self::lease(l, cluster.now())),
            conditions: object.map(conditions).unwrap_or_default(),
            facts: facts(cluster, object, api.map_or(0, |a| a.count_on_node(name, ""))),
            parts: parts(cluster, name, node),
        }
    });
    each.collect()
}

fn conditions(node: &Object) -> Vec<(String, String, bool)> {
    let mut all: Vec<(String, String, bool)> = node
        .list_at(&["status", "conditions"])
        .iter()
        .map(|c| {
            let (kind, status) = (c.str_at(&["type"]).unwrap_or(""), c.str_at(&["status"]).unwrap_or(""));
            (kind.to_string(), status.to_string(), status == if kind == "Ready" { "True" } else { "False" })
        })
        .collect();
    all.sort_by_key(|(kind, ..)| kind != "Ready");
    all
}

fn facts(cluster: &Cluster, node: Option<&Object>, pods: usize) -> Vec<String> {
    let mut facts = Vec::new();
    let beat = node.and_then(|n| n.condition("Ready")?.str_at(&["lastHeartbeatTime"]).and_then(Time::parse));
    if let Some(at) = beat {
        facts.push(format!("status {} ago", observe::age(cluster.now().since(at))));
    }
    facts.push(format!("{pods} pods"));
    for taint in node.map(|n| n.list_at(&["spec", "taints"])).unwrap_or_default() {
        let key = taint.str_at(&["key"]).unwrap_or("");
        facts.push(format!("{}:{}", key.rsplit('/').next().unwrap_or(key), taint.str_at(&["effect"]).unwrap_or("")));
    }
    facts
}

fn parts(cluster: &Cluster, name: &str, node: &cluster::Node) -> Vec<Part> {
    let mut kinds = vec!["kubelet", "kube-proxy"];
    if node.runtime.is_some() {
        kinds.push("containerd");
    }
    let part = |kind: &str| {
        let id = format!("{kind}/{name}");
        let addr = cluster.addr(&id)?;
        let (state, _, word) = process_health(cluster, addr);
        let title = if state == State::Off { format!("{kind}: {word}") } else { kind.to_string() };
        Some(Part { id, title, state })
    };
    kinds.into_iter().filter_map(part).collect()
}

/// The connections that leadership and health depend on.
fn links(cluster: &Cluster) -> Vec<Link> {
    let api = cluster.apiserver;
    let mut links = Vec::new();
    let mut link = |from: Addr, to: Addr, ids: (&str, &str)| {
        links.push(Link { from: ids.0.into(), to: ids.1.into(), fault: fault(cluster, from, to), ..Link::default() });
    };
    for (addr, proc) in cluster.procs() {
        match proc.component() {
            "etcd" if message::serves(cluster, addr) => link(api, addr, ("kube-apiserver", &message::etcd_box(cluster, proc))),
            name @ ("kube-scheduler" | "kube-controller-manager") => link(addr, api, (name, "kube-apiserver")),
            cloud::CONTROLLER => {
                link(addr, api, (cloud::CONTROLLER, "kube-apiserver"));
                if let Some(to) = cluster.cloud() {
                    link(addr, to, (cloud::CONTROLLER, "cloud"));
                }
            }
            "kubelet" if cluster.nodes.get(&proc.machine).is_some_and(|n| nodes::is_blank(cluster, n)) => {}
            "kubelet" if cluster.nodes.len() <= nodes::MAX_BOXES => link(addr, api, (&proc.name, "kube-apiserver")),
            _ => {}
        }
    }
    let leader = cluster.etcd_members().find(|(_, m)| m.raft().is_leader()).map(|(addr, _)| addr);
    for (addr, proc) in cluster.of_component("etcd").filter(|(a, _)| leader.is_some_and(|l| l != *a)) {
        let (Some(lead), Some(leader)) = (leader, leader.and_then(|l| cluster.proc(l))) else { continue };
        link(lead, addr, (&leader.name, &proc.name));
    }
    links
}
