//! What the performance promises are measured with, natively; `make bench` runs it and puts its numbers (`target/bench-native.json`)
//! beside those of Chromium.
//!
//! `cargo bench --bench bottle -- boot rollout` runs only those whose name begins so; `limit` (150,000 pods) runs only if named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use apimachinery::{Credential, Object, ObjectKey, Request, UserInfo, resources, value};
use base::Duration;
use cluster::{Bottle, Cluster, Config};
use sim::Payload;

struct Row {
    id: &'static str,
    value: f64,
    unit: &'static str,
    must: Option<f64>,
    aim: Option<f64>,
}

fn credential() -> Credential {
    Credential::Certificate(Rc::new(UserInfo::new("kubernetes-admin", &["system:masters"])))
}

fn create(cluster: &mut Cluster, gvr: apimachinery::Gvr, object: apimachinery::Value) {
    let mut request = Request::create(gvr, Object::from_value(object).expect("a map"));
    request.credential = credential();
    let to = cluster.apiserver;
    cluster.inject(to, Payload::ApiRequest { id: 1, request: Rc::new(request) }, &mut ());
}

fn get(cluster: &Cluster, gvr: apimachinery::Gvr, name: &str) -> Option<Object> {
    let mut request = Request::get(gvr, &ObjectKey::new("default", name));
    request.credential = credential();
    cluster.api()?.read(&request, cluster.now()).ok().cloned()
}

fn deployment(name: &str, replicas: i64) -> apimachinery::Value {
    value!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "srv", "image": "nginx:1.27", "ports": [{"containerPort": 80}]}]}
            }
        }
    })
}

/// Boots a cluster of hollow nodes.
fn hollow(nodes: u32) -> Cluster {
    let mut cluster = Cluster::new(Config::hollow(nodes));
    for _ in 0..2_000 {
        let next = cluster.now() + Duration::from_millis(100);
        cluster.run_until(next, &mut ());
        if cluster.is_ready() {
            break;
        }
    }
    assert!(cluster.is_ready(), "{nodes} hollow nodes did not become Ready");
    cluster
}

/// Wall seconds from apply to all Ready, and virtual ones.
fn rollout(cluster: &mut Cluster, deployments: i64, replicas: i64, services: bool) -> (f64, f64) {
    let (begin, virtual_begin) = (Instant::now(), cluster.now());
    for n in 0..deployments {
        let name = format!("d-{n}");
        create(cluster, resources::deployments(), deployment(&name, replicas));
        if services {
            let service = value!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": (&name), "namespace": "default"},
                "spec": {"selector": {"app": (&name)}, "ports": [{"port": 80}]}
            });
            create(cluster, resources::services(), service);
        }
    }
    let ready = |c: &Cluster, n: i64| {
        get(c, resources::deployments(), &format!("d-{n}")).and_then(|d| d.int_at(&["status", "readyReplicas"])).unwrap_or(0)
            >= replicas
    };
    let mut done = 0;
    while done < deployments {
        let next = cluster.now() + Duration::from_millis(100);
        cluster.run_until(next, &mut ());
        while done < deployments && ready(cluster, done) {
            done += 1;
        }
        assert!(
            cluster.now().since(virtual_begin) < Duration::from_secs(7200),
            "not Ready after two virtual hours: {done} of {deployments}"
        );
    }
    (begin.elapsed().as_secs_f64(), cluster.now().since(virtual_begin).as_secs_f64())
}

/// Wall milliseconds of a boot of the demo cluster.
fn boot() -> f64 {
    let begin = Instant::now();
    let mut cluster = Cluster::new(Config::named("demo").expect("built in"));
    while !cluster.is_ready() {
        let next = cluster.now() + Duration::from_millis(250);
        cluster.run_until(next, &mut ());
    }
    begin.elapsed().as_secs_f64() * 1e3
}

/// Proves every lab as `tests/labs.rs` does, the cluster being booted already: the slowest one, in wall milliseconds. Each is proved
/// twice and the quicker time counts, because a machine has other things to do at times.
fn labs() -> f64 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/labs");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("static/labs").map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    let (mut booted, mut times) = (BTreeMap::new(), Vec::new());
    for path in folders {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let files = server::labs::files(&path).expect("its files");
        let lab = Rc::new(labs::read(&name, &files, "en").unwrap_or_else(|mistakes| panic!("{name}: {mistakes}")));
        let bottle = booted.entry(format!("{:?}", lab.recipe)).or_insert_with(|| labs::prove::booted(&lab.config));
        let prove = || {
            let begin = Instant::now();
            let problems = labs::prove::prove(&lab, bottle);
            assert!(problems.is_empty(), "{name}: {}", problems.join("; "));
            begin.elapsed().as_secs_f64() * 1e3
        };
        times.push((prove().min(prove()), name));
    }
    times.sort_by(|a, b| b.0.total_cmp(&a.0));
    let slowest: Vec<String> = times.iter().take(5).map(|(ms, name)| format!("{name} {ms:.0} ms")).collect();
    println!(
        "{} labs, {:.0} ms together; the slowest: {}",
        times.len(),
        times.iter().map(|t| t.0).sum::<f64>(),
        slowest.join(", ")
    );
    times.first().map_or(0.0, |t| t.0)
}

/// `deployments` of 500 replicas with a Service each on `nodes`: wall seconds from apply to all Ready, and GB at the end.
fn limit(nodes: u32, deployments: i64) -> (f64, f64) {
    let begin = Instant::now();
    let mut cluster = hollow(nodes);
    println!("{nodes} nodes Ready after {:.1} s", begin.elapsed().as_secs_f64());
    let (wall, seconds) = rollout(&mut cluster, deployments, 500, true);
    println!("{} pods after {wall:.1} s: {seconds:.0} virtual seconds, {} messages", deployments * 500, cluster.events);
    (wall, peak_gb())
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let runs = |name: &str| if wanted.is_empty() { name != "limit" } else { wanted.iter().any(|w| name.starts_with(w.as_str())) };
    let mut rows = Vec::new();
    if runs("boot") {
        let mut times: Vec<f64> = (0..21).map(|_| boot()).collect();
        println!("the first boot took {:.1} ms", times[0]);
        times.sort_by(f64::total_cmp);
        rows.push(Row { id: "boot-native-ms", value: times[10], unit: "ms", must: None, aim: None });
    }
    if runs("rollout") {
        let mut cluster = hollow(10);
        let (wall, seconds) = rollout(&mut cluster, 1, 1000, false);
        println!("rollout of 1,000: {seconds:.1} virtual seconds, {} messages", cluster.events);
        rows.push(Row { id: "rollout-1000-native-ms", value: wall * 1e3, unit: "ms", must: None, aim: None });
        let mut cluster = hollow(100);
        let (wall, _) = rollout(&mut cluster, 1, 5000, false);
        rows.push(Row { id: "rollout-5000-native-ms", value: wall * 1e3, unit: "ms", must: None, aim: None });
        let begin = Instant::now();
        let clones: Vec<Cluster> = (0..100).map(|_| cluster.clone()).collect();
        rows.push(Row {
            id: "clone-ms",
            value: begin.elapsed().as_secs_f64() * 1e3 / clones.len() as f64,
            unit: "ms",
            must: Some(5.0),
            aim: Some(1.0),
        });
    }
    if runs("rewind") {
        let mut bottle = Bottle::new(Config::named("demo").expect("built in"));
        while bottle.head().events < 20_000 {
            let next = bottle.head().now() + Duration::from_secs(1);
            bottle.run_until(next, u64::MAX);
        }
        let start = bottle.start();
        let half = start + Duration(bottle.head().now().since(start).0 / 2);
        let begin = Instant::now();
        bottle.seek(half);
        rows.push(Row {
            id: "rewind-ms",
            value: begin.elapsed().as_secs_f64() * 1e3,
            unit: "ms",
            must: Some(200.0),
            aim: Some(50.0),
        });
    }
    if runs("idle-day") {
        let mut cluster = hollow(3);
        rollout(&mut cluster, 1, 30, false);
        let (begin, before) = (Instant::now(), cluster.events);
        let until = cluster.now() + Duration::from_secs(86_400);
        let mut requests = Requests(0);
        cluster.run_until(until, &mut requests);
        println!("idle day: {} messages, {} requests to kube-apiserver", cluster.events - before, requests.0);
        rows.push(Row { id: "idle-day-s", value: begin.elapsed().as_secs_f64(), unit: "s", must: Some(10.0), aim: Some(3.0) });
    }
    if runs("labs") {
        rows.push(Row { id: "labs-slowest-ms", value: labs(), unit: "ms", must: Some(200.0), aim: None });
    }
    if wanted.iter().any(|w| w == "limit") {
        take_memory();
        let small = limit(340, 20).0 / 10_000.0;
        let (wall, gb) = limit(5000, 300);
        rows.push(Row { id: "limit-native-s", value: wall, unit: "s", must: Some(90.0), aim: Some(30.0) });
        rows.push(Row { id: "limit-native-gb", value: gb, unit: "GB", must: Some(4.0), aim: Some(2.0) });
        rows.push(Row { id: "growth", value: wall / 150_000.0 / small, unit: "×", must: Some(2.0), aim: Some(1.2) });
    }
    report(&rows);
}

/// Has the kernel give this process memory before the clock runs, less than the 150,000 pods will take (the peak is to be theirs). In a
/// virtual machine whose host takes back what is free, each gigabyte costs seconds that are not the cluster's. malloc keeps what it
/// has got by its tunables (`tools/bench.sh`).
fn take_memory() {
    const BYTES: usize = 2_800_000_000;
    let begin = Instant::now();
    drop(std::hint::black_box(vec![1_u8; BYTES]));
    println!("{:.1} GB of memory after {:.1} s", BYTES as f64 / 1e9, begin.elapsed().as_secs_f64());
}

/// Counts what kube-apiserver is asked.
struct Requests(u64);

impl cluster::Observer for Requests {
    fn sent(&mut self, message: &sim::Message, _: base::Time) {
        self.0 += u64::from(matches!(message.payload, Payload::ApiRequest { .. }));
    }
}

/// The process' greatest resident size so far (Linux).
fn peak_gb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok());
    line.unwrap_or(0.0) / 1e6
}

/// The part of the table that is measured here; `benches/table.mjs` puts all parts together.
fn report(rows: &[Row]) {
    let number = |n: Option<f64>| n.map_or_else(|| "null".to_string(), |n| n.to_string());
    let json = |r: &Row| {
        println!("{}: {:.2} {}", r.id, r.value, r.unit);
        let (must, aim) = (number(r.must), number(r.aim));
        format!("{{\"id\": \"{}\", \"value\": {:.3}, \"unit\": \"{}\", \"must\": {must}, \"aim\": {aim}}}", r.id, r.value, r.unit)
    };
    let rows: Vec<String> = rows.iter().map(json).collect();
    if let Err(e) = std::fs::write("target/bench-native.json", format!("[\n{}\n]\n", rows.join(",\n"))) {
        eprintln!("target/bench-native.json: {e}");
    }
}
