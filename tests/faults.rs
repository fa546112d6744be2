//! Seeds × faults: whatever breaks, some things stay true. A seed picks a small cluster's fate: processes are frozen, links cut,
//! slowed or made lossy, machines lose power; then all is mended and the cluster must come to rest in order.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use apimachinery::{Gvr, Object, Request, Verb, WatchEventType, resources, value};
use base::{Duration, Seed, Time};
use cluster::{Cluster, Config, Observer};
use etcd_log::History;
use sim::{Addr, Message, Payload, StreamId};

/// `KUBOTTLE_SEEDS=7..8` tries others.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("KUBOTTLE_SEEDS").ok();
    let range = asked.as_deref().and_then(|r| r.split_once("..")).and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    range.unwrap_or(1..101)
}

/// What goes over the wire, as far as the invariants need it.
#[derive(Default)]
struct Watcher {
    writes: BTreeSet<(Addr, StreamId)>,
    /// Revisions of acknowledged writes.
    acknowledged: BTreeSet<i64>,
    /// Whole watches (no namespace, no selector) of a kind: what they were told.
    streams: BTreeMap<(Addr, Addr, StreamId), Vec<(String, i64)>>,
    wrong: Vec<String>,
}

impl Observer for Watcher {
    fn sent(&mut self, message: &Message, _: Time) {
        match &message.payload {
            Payload::ApiRequest { id, request } => self.asked(message, *id, request),
            Payload::ApiResponse { id, response } if self.writes.remove(&(message.to, *id)) => {
                let revision = response.ok().map_or(0, Object::revision);
                if revision > 0 && response.ok().is_some_and(|o| o.kind() != "Status") {
                    self.acknowledged.insert(revision);
                }
            }
            Payload::WatchEvents { id, events } => {
                let Some(told) = self.streams.get_mut(&(message.from, message.to, *id)) else { return };
                for event in events.iter().filter(|e| !matches!(e.kind, WatchEventType::Bookmark | WatchEventType::Error)) {
                    let revision = event.object.revision();
                    if told.last().is_some_and(|(_, last)| *last >= revision) {
                        self.wrong.push(format!("a watch was told of revision {revision} after {:?}", told.last()));
                    }
                    told.push((event.object.kind().to_string(), revision));
                }
            }
            _ => {}
        }
    }
}

impl Watcher {
    fn asked(&mut self, message: &Message, id: StreamId, request: &Request) {
        if request.verb.is_write() && !request.options.dry_run {
            self.writes.insert((message.from, id));
        }
        let o = &request.options;
        let whole = o.label_selector.is_none() && o.field_selector.is_none() && !o.send_initial_events;
        let whole = whole && request.namespace.is_empty() && request.accept.is_none();
        if request.verb == Verb::Watch && whole && o.resource_version.as_deref().is_some_and(|v| v != "0" && !v.is_empty()) {
            self.streams.insert((message.to, message.from, id), Vec::new());
        }
    }
}

/// Reading etcd's log.
mod etcd_log {
    use super::{BTreeMap, Cluster, Object};

    pub struct Change {
        pub revision: i64,
        pub key: String,
        /// `None`: deleted.
        pub object: Option<Object>,
        pub kind: String,
    }

    pub struct History(pub Vec<Change>);

    impl History {
        pub fn of(cluster: &Cluster) -> History {
            let store = cluster.etcd_member().expect("etcd exists").store();
            assert_eq!(store.compacted(), 0, "the whole history is there");
            let object = |kv: &etcd_api::KeyValue| match &kv.value {
                etcd_api::Stored::Object(o) => Some(o.clone()),
                etcd_api::Stored::Bytes(_) => None,
            };
            let change = |e: &etcd::store::Entry| {
                let now = e.kv.as_deref().and_then(object);
                let last = now.clone().or_else(|| e.prev.as_deref().and_then(object));
                let kind = last.map_or_else(String::new, |o| o.kind().to_string());
                Change { revision: e.revision, key: e.key.to_string(), object: now, kind }
            };
            History(store.log().iter().map(change).collect())
        }

        /// By key, then by uid: the states of one object in order.
        pub fn lives(&self, kind: &str) -> BTreeMap<(String, String), Vec<&Object>> {
            let mut lives: BTreeMap<(String, String), Vec<&Object>> = BTreeMap::new();
            for change in self.0.iter().filter(|c| c.kind == kind) {
                if let Some(object) = &change.object {
                    lives.entry((change.key.clone(), object.uid().to_string())).or_default().push(object);
                }
            }
            lives
        }
    }
}

fn config(seed: u64) -> Config {
    let base = Config::named("recorded").unwrap();
    Config { seed, kube_api_qps: 0, nodes: base.nodes.iter().take(2).cloned().collect(), ..base }
}

/// The client's wishes: deployments come, grow and go.
fn wish(cluster: &mut Cluster, client: Addr, n: u64, seed: Seed) {
    let deployments = Gvr::new("apps", "v1", "deployments");
    let name = format!("web-{}", seed.below(n, 4));
    let object = value!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": (name.as_str()), "namespace": "default"},
        "spec": {
            "replicas": (1 + seed.below(n + 1000, 4) as i64), "selector": {"matchLabels": {"app": (name.as_str())}},
            "template": {
                "metadata": {"labels": {"app": (name.as_str())}},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]}
            }
        }
    });
    let object = Object::from_value(object).unwrap();
    let mut request = match seed.below(n + 2000, 4) {
        0 => Request::delete(deployments, &object.key()),
        1 => Request::update(deployments, object),
        _ => Request::create(deployments, object),
    };
    request.credential = cluster::administrator();
    request.user_agent = "faults".into();
    let id = 1000 + n;
    cluster.queue.inject(client, cluster.apiserver, Payload::ApiRequest { id, request: request.into() }, |_, _| ());
}

/// Breaks something, by the seed.
fn break_something(cluster: &mut Cluster, seed: Seed, n: u64, watcher: &mut Watcher) {
    let processes: Vec<Addr> =
        cluster.procs().filter(|(_, p)| p.is_running() && !p.name.starts_with("client")).map(|(a, _)| a).collect();
    let pick = |k: u64| processes[seed.below(n * 10 + k, processes.len() as u64) as usize];
    let (a, b) = (pick(1), pick(2));
    if std::env::var("KUBOTTLE_SEEDS").is_ok() {
        println!("{}: fault {} on {} and {}", cluster.now().rfc3339(), seed.below(n * 10, 5), cluster.name(a), cluster.name(b));
    }
    match seed.below(n * 10, 5) {
        0 => cluster.queue.freeze(a),
        1 => {
            cluster.queue.faults.cut.insert((a, b));
            cluster.queue.faults.cut.insert((b, a));
        }
        2 => {
            cluster.queue.faults.delay.insert((a, b), Duration::from_millis(50 + seed.below(n * 10 + 3, 3000) as i64));
        }
        3 => {
            cluster.queue.faults.drop_per_mille.insert((a, cluster.apiserver), 200);
        }
        _ => cluster.power_off(["node-1", "node-2"][(n % 2) as usize], watcher),
    }
}

fn mend(cluster: &mut Cluster, watcher: &mut Watcher) {
    for addr in cluster.queue.faults.frozen.clone() {
        cluster.queue.thaw(addr);
    }
    cluster.queue.faults = Default::default();
    cluster.power_on("node-1", watcher);
    cluster.power_on("node-2", watcher);
}

fn invariants(cluster: &Cluster, watcher: &Watcher) -> Vec<String> {
    let mut wrong = watcher.wrong.clone();
    let history = History::of(cluster);
    if !history.0.windows(2).all(|w| w[0].revision <= w[1].revision) {
        wrong.push("revisions go back in etcd's log".into());
    }
    for ((key, _), states) in history.lives("Pod") {
        let mut nodes: Vec<&str> =
            states.iter().filter_map(|p| p.str_at(&["spec", "nodeName"])).filter(|n| !n.is_empty()).collect();
        let bound = states.iter().skip_while(|p| p.str_at(&["spec", "nodeName"]).is_none());
        if bound.into_iter().any(|p| p.str_at(&["spec", "nodeName"]).is_none()) {
            wrong.push(format!("{key} lost its binding"));
        }
        nodes.dedup();
        if nodes.len() > 1 {
            wrong.push(format!("{key} was bound to {nodes:?}"));
        }
    }
    let revisions: BTreeSet<i64> = history.0.iter().map(|c| c.revision).collect();
    for lost in watcher.acknowledged.difference(&revisions).filter(|r| **r > 1) {
        wrong.push(format!("the write acknowledged with revision {lost} is not in etcd"));
    }
    for ((_, to, _), told) in &watcher.streams {
        let (Some((kind, first)), Some((_, last))) = (told.first(), told.last()) else { continue };
        let expected: Vec<i64> =
            history.0.iter().filter(|c| c.kind == *kind && (*first..=*last).contains(&c.revision)).map(|c| c.revision).collect();
        let got: Vec<i64> = told.iter().map(|(_, r)| *r).collect();
        if expected != got {
            wrong.push(format!("{} was told {} {kind} changes of {}", cluster.name(*to), got.len(), expected.len()));
        }
    }
    let mut ips: BTreeMap<String, String> = BTreeMap::new();
    for pod in common::list(cluster, resources::pods(), "") {
        let phase = pod.str_at(&["status", "phase"]).unwrap_or("");
        let Some(ip) = pod.str_at(&["status", "podIP"]).filter(|ip| !ip.is_empty()) else { continue };
        if matches!(phase, "Succeeded" | "Failed")
            || pod.is_being_deleted()
            || pod.bool_at(&["spec", "hostNetwork"]) == Some(true)
        {
            continue;
        }
        if let Some(other) = ips.insert(ip.to_string(), pod.name().to_string()) {
            wrong.push(format!("{other} and {} both have {ip}", pod.name()));
        }
    }
    wrong
}

/// One fate. Returns what was wrong.
fn fate(seed: u64) -> Vec<String> {
    let mut watcher = Watcher::default();
    let mut cluster = Cluster::new(config(seed));
    let until = cluster.now() + Duration::from_secs(15);
    cluster.run_until(until, &mut watcher);
    let client = cluster.connect_client();
    let random = Seed(seed).derive("fate");
    for n in 0..5 {
        wish(&mut cluster, client, n * 2, random);
        wish(&mut cluster, client, n * 2 + 1, random);
        if (1..4).contains(&n) {
            break_something(&mut cluster, random, n, &mut watcher);
        }
        let until = cluster.now() + Duration::from_secs(2);
        cluster.run_until(until, &mut watcher);
    }
    mend(&mut cluster, &mut watcher);
    let until = cluster.now() + Duration::from_secs(90);
    cluster.run_until(until, &mut watcher);
    let mut wrong = invariants(&cluster, &watcher);
    if std::env::var("KUBOTTLE_SEEDS").is_ok() {
        tell(&cluster);
    }
    wrong.extend(at_rest(&cluster));
    wrong
}

/// What the controllers are for: as many Ready pods as wanted.
fn at_rest(cluster: &Cluster) -> Vec<String> {
    let deployments = common::list(cluster, Gvr::new("apps", "v1", "deployments"), "default");
    let off = |d: &&Object| d.int_at(&["spec", "replicas"]) != d.int_at(&["status", "readyReplicas"]);
    deployments
        .iter()
        .filter(off)
        .map(|d| {
            let (wanted, ready) = (d.int_at(&["spec", "replicas"]), d.int_at(&["status", "readyReplicas"]));
            format!("{}: {wanted:?} wanted, {ready:?} ready; {}", d.name(), pods_of(cluster, d.name()))
        })
        .collect()
}

/// What a reader of a bad fate wants to know first: the events, and who leads since when.
fn tell(cluster: &Cluster) {
    for event in common::list(cluster, Gvr::new("", "v1", "events"), "") {
        let text = |path: &[&str]| event.str_at(path).unwrap_or("-").to_string();
        let (at, last) = (text(&["metadata", "creationTimestamp"]), text(&["lastTimestamp"]));
        println!("{at} {last} {}: {} {}", event.name(), text(&["reason"]), text(&["message"]));
    }
    for lease in common::list(cluster, resources::leases(), "") {
        let text = |field: &str| lease.str_at(&["spec", field]).unwrap_or("-").to_string();
        println!("{}: {} since {}, renewed {}", lease.name(), text("holderIdentity"), text("acquireTime"), text("renewTime"));
    }
}

/// The pods of a deployment, in a few words each.
fn pods_of(cluster: &Cluster, name: &str) -> String {
    let pods = common::list(cluster, resources::pods(), "default");
    let mine = pods.iter().filter(|p| p.label("app") == Some(name));
    let text = |p: &Object, path: &[&str]| p.str_at(path).unwrap_or("-").to_string();
    let one = |p: &Object| {
        let (node, phase) = (text(p, &["spec", "nodeName"]), text(p, &["status", "phase"]));
        format!("{} on {node}: {phase}, ready {}", p.name(), p.condition_is_true("Ready"))
    };
    mine.map(one).collect::<Vec<_>>().join("; ")
}

#[test]
fn many_fates() {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get()) {
            let work = || loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return;
                }
                let found = std::panic::catch_unwind(|| fate(seed)).unwrap_or_else(|_| vec!["a panic".to_string()]);
                if !found.is_empty() {
                    wrong.lock().unwrap().push(format!("seed {seed}:\n  {}", found.join("\n  ")));
                }
            };
            std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, work).unwrap();
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {seeds:?}:\n{}", wrong.len(), wrong.join("\n"));
}
