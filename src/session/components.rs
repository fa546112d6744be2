//! Observes who has a connection to whom: open watches as kube-apiserver has them, requests as the trace has them.

use std::collections::BTreeMap;

use base::Duration;
use cluster::{Bottle, Cluster, Proc};
use lenses::{Client, Connections, Fault, Link, NodeClients, Traffic};
use protocol::{Glyph, State, Thing};
use sim::{Addr, Payload};

use crate::{cloud, flights, message};

/// Requests are counted over so much virtual time.
const WINDOW: Duration = Duration::from_secs(10);
/// Messages looked at most; then the window is shorter.
const MAX_RECORDS: usize = 20_000;
/// Above that many nodes their clients are drawn by kind.
const MAX_NODES: usize = 4;
const GLOW: Duration = Duration::from_millis(40);
/// What has a connection to kube-apiserver on a node.
const ON_NODES: [&str; 5] = ["kubelet", "kube-proxy", "flanneld", "kindnetd", "calico-node"];

/// What was said on one connection within the window.
#[derive(Clone, Debug, Default)]
struct Count {
    requests: u32,
    events: u32,
    refused: u32,
    verbs: BTreeMap<&'static str, (u32, bool)>,
}

impl Count {
    fn add(&mut self, other: &Count) {
        self.requests += other.requests;
        self.events += other.events;
        self.refused += other.refused;
        for (verb, (n, writes)) in &other.verbs {
            let entry = self.verbs.entry(*verb).or_insert((0, *writes));
            entry.0 += n;
        }
    }
}

/// Everything counted, by (client, server).
struct Counts {
    by_link: BTreeMap<(Addr, Addr), Count>,
    watches: BTreeMap<Addr, u32>,
    span: Duration,
}

/// Observes everything that the Components lens shows.
pub(crate) fn observe(bottle: &Bottle) -> Connections {
    let cluster = bottle.shown();
    let counts = count(bottle);
    let recent = flights::recent_of(bottle, cluster.now() - GLOW);
    let traffic: Vec<Traffic> =
        recent.iter().map(|(from, to, kind, _)| Traffic { from: from.clone(), to: to.clone(), kind: *kind }).collect();
    let see = See { cluster, counts: &counts, traffic: &traffic };
    let mut seen = Connections { window: window_words(counts.span), traffic: traffic.clone(), ..Connections::default() };
    seen.hub = see.hub();
    seen.stores = cluster.of_component("etcd").map(|(a, p)| see.store(a, p)).collect();
    seen.clients = see.clients();
    seen.nodes = see.nodes();
    seen.cloud = see.cloud();
    seen
}

fn window_words(span: Duration) -> String {
    match span.as_millis() {
        ms if ms >= 9_500 => "in the last 10 s".into(),
        ms if ms >= 1_000 => format!("in the last {:.1} s", span.as_secs_f64()),
        ms => format!("in the last {ms} ms"),
    }
}

fn count(bottle: &Bottle) -> Counts {
    let cluster = bottle.shown();
    let now = cluster.now();
    let mut by_link: BTreeMap<(Addr, Addr), Count> = BTreeMap::new();
    let mut oldest = now;
    let records = bottle.trace().since(now - WINDOW).rev().take(MAX_RECORDS).filter(|r| r.message.sent <= now);
    let mut n = 0;
    for record in records {
        let m = &record.message;
        oldest = m.sent;
        n += 1;
        let (link, verb) = match &m.payload {
            Payload::ApiRequest { request, .. } => ((m.from, m.to), Some(api_verb(cluster, m.to, request))),
            Payload::WatchEvents { .. } => ((m.to, m.from), None),
            Payload::ApiResponse { response, .. } if response.code == 429 => {
                by_link.entry((m.to, m.from)).or_default().refused += 1;
                continue;
            }
            Payload::Etcd(etcd_api::Message::Request { request, .. }) => ((m.from, m.to), Some(etcd_verb(request))),
            Payload::Etcd(etcd_api::Message::WatchEvents { .. }) => ((m.to, m.from), None),
            Payload::Cri(c) => match &**c {
                cri_api::cri::Message::Request { request, .. } => ((m.from, m.to), Some((message::cri_verb(request), true))),
                _ => continue,
            },
            Payload::Kernel(_) => ((m.from, m.to), Some(("rules and routes", true))),
            _ => continue,
        };
        let count = by_link.entry(link).or_default();
        match verb {
            Some((verb, writes)) => {
                count.requests += 1;
                count.verbs.entry(verb).or_insert((0, writes)).0 += 1;
            }
            None => count.events += 1,
        }
    }
    let mut watches = BTreeMap::new();
    for (client, ..) in cluster.api().into_iter().flat_map(|a| a.open_watches()) {
        *watches.entry(client).or_insert(0) += 1;
    }
    let lived = now.since(bottle.start());
    let span = if n < MAX_RECORDS { if lived < WINDOW { lived } else { WINDOW } } else { now.since(oldest) };
    Counts { by_link, watches, span }
}

/// A verb of the API, or a method of the cloud.
fn api_verb(cluster: &Cluster, to: Addr, request: &apimachinery::Request) -> (&'static str, bool) {
    match cloud::method(cluster, to, request) {
        Some("PUT") => ("put", true),
        Some("DELETE") => ("delete", true),
        _ => (request.verb.as_str(), request.verb.is_write()),
    }
}

fn etcd_verb(request: &etcd_api::Request) -> (&'static str, bool) {
    use etcd_api::Request as R;
    match request {
        R::Txn(_) => ("txn", true),
        R::Range(_) => ("range", false),
        R::Watch(_) => ("watch", false),
        R::Compact { .. } => ("compact", true),
        R::LeaseGrant { .. } | R::LeaseKeepAlive { .. } | R::LeaseRevoke { .. } => ("lease", true),
        _ => ("other", false),
    }
}

/// What somebody has done to the link between two processes.
pub(crate) fn fault(cluster: &Cluster, a: Addr, b: Addr) -> Fault {
    let faults = &cluster.queue.faults;
    if faults.cut.contains(&(a, b)) || faults.cut.contains(&(b, a)) {
        return Fault::Cut;
    }
    let delay = faults.delay.get(&(a, b)).or_else(|| faults.delay.get(&(b, a)));
    delay.map_or(Fault::None, |d| Fault::Slow(d.as_millis().clamp(0, i64::from(u32::MAX)) as u32))
}

/// How a process is: `Off` and the word for it, or running.
pub(crate) fn process_health(cluster: &Cluster, addr: Addr) -> (State, Glyph, &'static str) {
    let Some(proc) = cluster.proc(addr) else { return (State::Off, Glyph::Off, "not there") };
    let frozen = cluster.queue.faults.frozen.contains(&addr);
    match (proc.is_running(), frozen) {
        (false, _) => (State::Off, Glyph::Off, "not running"),
        (_, true) => (State::Off, Glyph::Off, "frozen"),
        _ if cluster.is_silent(addr) => (State::Off, Glyph::Off, "not running"),
        _ => (State::Idle, Glyph::Running, "running"),
    }
}

struct See<'a> {
    cluster: &'a Cluster,
    counts: &'a Counts,
    traffic: &'a [Traffic],
}

impl See<'_> {
    fn api(&self) -> Addr {
        self.cluster.apiserver
    }

    fn link(&self, from: Addr, to: Addr, ids: (&str, &str)) -> Link {
        let none = Count::default();
        self.link_of(ids, self.counts.by_link.get(&(from, to)).unwrap_or(&none), fault(self.cluster, from, to))
    }

    fn link_of(&self, (from, to): (&str, &str), count: &Count, fault: Fault) -> Link {
        let seconds = self.counts.span.as_secs_f64().max(0.05) as f32;
        let mut verbs: Vec<(String, u32, bool)> = count.verbs.iter().map(|(v, (n, w))| ((*v).to_string(), *n, *w)).collect();
        verbs.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Link {
            from: from.into(),
            to: to.into(),
            watches: 0,
            rate: count.requests as f32 / seconds,
            events: count.events,
            refused: count.refused,
            verbs,
            fault,
        }
    }

    /// A client of the hub.
    fn client(&self, addr: Addr, id: &str, title: &str, note: String) -> Client {
        let (state, glyph, word) = process_health(self.cluster, addr);
        let glows = self.traffic.iter().any(|t| t.from == id || t.to == id);
        let mut link = self.link(addr, self.api(), (id, "kube-apiserver"));
        link.watches = self.counts.watches.get(&addr).copied().unwrap_or(0);
        Client {
            id: id.into(),
            title: title.into(),
            state: if glows && state == State::Idle { State::Active } else { state },
            glyph,
            note: if state == State::Off { word.into() } else { note },
            opens: Some(Thing::component(id)),
            link,
            back: None,
            local: None,
        }
    }

    fn hub(&self) -> Client {
        let api = self.cluster.api();
        let note = match api {
            Some(a) if a.is_ready() => format!("{} watches · {} in flight", a.watch_count(), a.pending_count()),
            Some(_) => "starting".into(),
            None => String::new(),
        };
        Client { link: Link::default(), ..self.client(self.api(), "kube-apiserver", "kube-apiserver", note) }
    }

    fn store(&self, addr: Addr, proc: &Proc) -> Client {
        let id = message::etcd_box(self.cluster, proc);
        let (revision, watches) = match &proc.process {
            cluster::Process::Etcd(m) => (m.revision(), m.watch_count() as u32),
            _ => (0, 0),
        };
        let mut client = self.client(addr, &id, &id, format!("revision {revision}"));
        client.link = self.link(self.api(), addr, ("kube-apiserver", &id));
        client.link.watches = if client.state == State::Off { 0 } else { watches };
        let leader = self.cluster.etcd_members().find(|(a, m)| *a != addr && m.raft().is_leader());
        client.local = leader.and_then(|(a, _)| Some(self.link(a, addr, (&self.cluster.proc(a)?.name, &id))));
        client.back = (!message::serves(self.cluster, addr)).then(Link::default);
        client
    }

    fn clients(&self) -> Vec<Client> {
        let mut clients = vec![self.client(self.cluster.laptop, "laptop", "kubectl", "on your laptop".into())];
        let mut known = vec![self.cluster.laptop, self.api()];
        for (addr, proc) in self.cluster.procs() {
            let (id, title) = match proc.component() {
                "kube-controller-manager" | "kube-scheduler" => (proc.component().to_string(), proc.component().to_string()),
                "coredns" => (message::box_of(self.cluster, addr), proc.name.replace('/', " ")),
                _ => continue,
            };
            known.push(addr);
            // A CoreDNS pod that is gone leaves a stopped process behind.
            if proc.component() == "coredns" && !proc.is_running() {
                continue;
            }
            let note = self.note(proc);
            let mut client = self.client(addr, &id, &title, note);
            if proc.component() == "coredns" {
                let name = proc.name.rsplit('/').next().unwrap_or("").to_string();
                (client.title, client.opens) = (name.clone(), Some(Thing::core("pods", "kube-system", &name)));
            }
            clients.push(client);
        }
        clients.extend(self.cloud_controllers());
        // Whoever else asked: programs of the native server's users, tools.
        let others = self.counts.by_link.keys().filter(|(_, to)| *to == self.api()).map(|(from, _)| *from);
        for addr in others.filter(|a| !known.contains(a)) {
            let Some(proc) = self.cluster.proc(addr) else { continue };
            let own =
                ON_NODES.contains(&proc.component()) || matches!(proc.component(), "containerd" | "kubeadm" | cloud::CONTROLLER);
            if !own {
                clients.push(self.client(addr, &proc.name, &proc.name, "another client".into()));
            }
        }
        clients
    }

    /// The last of the clients: the cloud is below it.
    fn cloud_controllers(&self) -> Option<Client> {
        let addr = self.cloud_controller()?;
        Some(self.client(addr, cloud::CONTROLLER, cloud::CONTROLLER, "asks the API and the cloud".into()))
    }

    /// Of several the one that asks the cloud.
    fn cloud_controller(&self) -> Option<Addr> {
        let all = || self.cluster.of_component(cloud::CONTROLLER).map(|(a, _)| a);
        let to = self.cluster.cloud();
        let asks = |a: &Addr| to.is_some_and(|to| self.counts.by_link.contains_key(&(*a, to)));
        all().find(asks).or_else(|| all().find(|a| self.cluster.proc(*a).is_some_and(Proc::is_running))).or_else(|| all().next())
    }

    fn cloud(&self) -> Option<(lenses::CloudSeen, Link)> {
        let talks = self.traffic.iter().any(|t| t.from == "cloud" || t.to == "cloud");
        let seen = cloud::observe(self.cluster, talks)?;
        let ids = (cloud::CONTROLLER, "cloud");
        let link = match (self.cloud_controller(), self.cluster.cloud()) {
            (Some(from), Some(to)) => self.link(from, to, ids),
            _ => Link { from: ids.0.into(), to: ids.1.into(), ..Link::default() },
        };
        Some((seen, link))
    }

    fn note(&self, proc: &Proc) -> String {
        match &proc.process {
            cluster::Process::ControllerManager(m) if m.is_running() => format!("leader · {} controllers", m.view().len()),
            cluster::Process::ControllerManager(_) => "not leading yet".into(),
            cluster::Process::Scheduler(s) => {
                let q = s.queue_counts();
                format!("{} active · {} waiting", q.active, q.waiting())
            }
            cluster::Process::CoreDns(_) => "the cluster's DNS".into(),
            _ => String::new(),
        }
    }

    fn nodes(&self) -> Vec<NodeClients> {
        if self.cluster.nodes.len() > MAX_NODES {
            return vec![self.by_kind()];
        }
        // A blank machine has no connection to anybody.
        let nodes = self.cluster.nodes.iter().filter(|(_, node)| !crate::nodes::is_blank(self.cluster, node));
        nodes.map(|(name, node)| self.node(name, node)).collect()
    }

    fn node(&self, name: &str, node: &cluster::Node) -> NodeClients {
        let machine = node.runtime.map(|addr| {
            let id = format!("containerd/{name}");
            // The link of a machine: programs in its containers that ask kube-apiserver.
            Client { note: "and the kernel".into(), ..self.client(addr, &id, "containerd", String::new()) }
        });
        let mut clients = Vec::new();
        for kind in ON_NODES {
            let id = format!("{kind}/{name}");
            let Some(addr) = self.cluster.addr(&id) else { continue };
            let mut client = self.client(addr, &id, kind, String::new());
            let back = self.link(self.api(), addr, ("kube-apiserver", &id));
            client.back = (!back.verbs.is_empty()).then_some(back);
            client.local = node.runtime.map(|m| self.link(addr, m, (&id, &format!("containerd/{name}"))));
            clients.push(client);
        }
        NodeClients {
            id: format!("node/{name}"),
            title: name.into(),
            glyph: if node.powered { Glyph::Running } else { Glyph::Off },
            state: if node.powered { State::Idle } else { State::Off },
            note: if node.powered { String::new() } else { "switched off".into() },
            opens: Some(Thing::core("nodes", "", name)),
            clients,
            machine,
        }
    }

    /// Many nodes: one row for each kind of client.
    fn by_kind(&self) -> NodeClients {
        let mut clients = Vec::new();
        for kind in ON_NODES {
            let all: Vec<Addr> = self.cluster.of_component(kind).map(|(a, _)| a).collect();
            if all.is_empty() {
                continue;
            }
            let mut count = Count::default();
            let mut watches = 0;
            for addr in &all {
                if let Some(c) = self.counts.by_link.get(&(*addr, self.api())) {
                    count.add(c);
                }
                watches += self.counts.watches.get(addr).copied().unwrap_or(0);
            }
            let running = all.iter().filter(|a| process_health(self.cluster, **a).0 == State::Idle).count();
            let id = format!("{kind}/*");
            let link = Link { watches, ..self.link_of((&id, "kube-apiserver"), &count, Fault::None) };
            let note = format!("{running} of {} running", all.len());
            clients.push(Client {
                id,
                title: format!("{kind} × {}", all.len()),
                note,
                link,
                glyph: Glyph::Running,
                ..Client::default()
            });
        }
        NodeClients {
            id: "nodes".into(),
            title: format!("{} nodes", self.cluster.nodes.len()),
            glyph: Glyph::Running,
            note: "their clients, by kind".into(),
            clients,
            ..NodeClients::default()
        }
    }
}
