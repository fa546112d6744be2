//! metrics-server: asks every kubelet's `/metrics/resource`, keeps the last two points of each container and node, and serves
//! `metrics.k8s.io/v1beta1` behind kube-apiserver's aggregator.
//!
//! Models `sigs.k8s.io/metrics-server` v0.8: use of CPU is the difference of the last two points, of memory the last one; a
//! container younger than the resolution counts from its start; a pod is shown when all its containers are known. Callers come
//! through kube-apiserver, which names them by `X-Remote-*`; others are refused.
//! Left out by name: TLS and its flags (taken, without effect), delegated authorization, watches, Tables, its own `/metrics`.

use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::quantity::Format;
use apimachinery::{Object, ObjectKey, Quantity, Value, json, resources, value};
use base::{Duration, Map, Time};
use cri_api::machine::Sys;
use cri_api::{Poll, Program};

use crate::exposition;
use crate::http::{Fetch, Incoming, Server, catch_ends};
use crate::informer::{Informer, token};

const AGENT: &str = "metrics-server/v0.8.0 (linux/amd64) kubernetes";
/// A container must have run so long to count from its start.
const FRESH: Duration = Duration::from_secs(10);
const API: &str = "/apis/metrics.k8s.io/v1beta1";

/// What was read at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    at: Time,
    /// Core-seconds since the start.
    cpu: f64,
    memory: f64,
    started: Time,
}

/// The last point and the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Series {
    before: Option<Point>,
    last: Option<Point>,
}

type Container = (ObjectKey, Rc<str>);

#[derive(Clone)]
struct Scrape {
    node: Rc<str>,
    url: String,
    fetch: Fetch,
}

/// A running metrics-server.
#[derive(Clone)]
pub struct MetricsServer {
    started: bool,
    resolution: Duration,
    server: Server,
    nodes: Informer,
    pods: Informer,
    next_scrape: Time,
    scrapes: Vec<Scrape>,
    node_points: Map<Rc<str>, Series>,
    containers: Map<Container, Series>,
    /// Which containers a scrape of a node has brought, so that what is gone is forgotten.
    seen: Map<Rc<str>, Vec<Container>>,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(MetricsServer {
        started: false,
        resolution: Duration::from_secs(60),
        server: Server::default(),
        nodes: Informer::new(resources::nodes(), "", None, AGENT),
        pods: Informer::new(resources::pods(), "", Some("status.phase=Running"), AGENT),
        next_scrape: Time::EPOCH,
        scrapes: Vec::new(),
        node_points: Map::new(),
        containers: Map::new(),
        seen: Map::new(),
    })
}

impl Program for MetricsServer {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            if let Some(code) = self.begin(sys) {
                return Poll::Exit(code);
            }
        }
        if sys.take_signal().is_some() {
            return Poll::Exit(0);
        }
        for informer in [&mut self.nodes, &mut self.pods] {
            informer.poll(sys);
            if let Some(error) = informer.take_error() {
                log(sys, 'E', "reflector.go:205", &format!("\"Failed to watch\" err=\"{error}\""));
            }
        }
        self.scrape(sys);
        for request in self.server.requests(sys) {
            let (code, kind, body) = self.serve(&request);
            self.server.answer(request.id, code, kind, body.as_bytes());
        }
        self.server.flush(sys);
        let wakes = [self.nodes.wake_at(), self.pods.wake_at(), Some(self.next_scrape)].into_iter().flatten();
        let wake = wakes.chain(self.scrapes.iter().map(|s| s.fetch.deadline())).min();
        match wake {
            Some(at) if sys.sleep_until(at) => Poll::Ready,
            _ => Poll::Pending,
        }
    }
}

fn log(sys: &mut Sys<'_>, level: char, place: &str, text: &str) {
    let (_, month, day, hour, minute, second) = sys.now().civil();
    let micros = sys.now().0.rem_euclid(1_000_000);
    let line = format!("{level}{month:02}{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}       1 {place}] {text}\n");
    // A log that nobody reads is not the server's trouble.
    let _ = sys.write(2, line.as_bytes());
}

impl MetricsServer {
    /// Reads the flags and listens. A code: it can't run.
    fn begin(&mut self, sys: &mut Sys<'_>) -> Option<i32> {
        catch_ends(sys);
        let mut port = 443u16;
        let argv: Vec<String> = sys.argv().iter().skip(1).map(|a| a.to_string()).collect();
        for arg in &argv {
            let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
            match name {
                "--secure-port" => port = value.parse().unwrap_or(0),
                "--metric-resolution" => match duration(value).filter(|d| *d >= Duration::from_secs(10)) {
                    Some(resolution) => self.resolution = resolution,
                    None => {
                        let text = format!(
                            "Error: metric-resolution should be a time duration at least 10s, but value {value:?} provided\n"
                        );
                        let _ = sys.write(2, text.as_bytes());
                        return Some(1);
                    }
                },
                "--cert-dir"
                | "--kubelet-insecure-tls"
                | "--kubelet-preferred-address-types"
                | "--kubelet-use-node-status-port"
                | "--tls-cert-file"
                | "--tls-private-key-file"
                | "--v" => {}
                _ => {
                    let _ = sys.write(2, format!("Error: unknown flag: {name}\n").as_bytes());
                    return Some(1);
                }
            }
        }
        if let Err(e) = self.server.listen(sys, port) {
            let text = format!(
                "panic: failed to create listener: failed to listen on 0.0.0.0:{port}: listen tcp 0.0.0.0:{port}: bind: {}\n",
                e.text().to_lowercase()
            );
            let _ = sys.write(2, text.as_bytes());
            return Some(1);
        }
        // What the process holds of points and caches is small beside itself.
        sys.set_memory(18 << 20);
        self.next_scrape = sys.now() + Duration::from_secs(1);
        log(sys, 'I', "server.go:191", &format!("\"Serving securely\" address=\"[::]:{port}\""));
        None
    }

    /// Begins a round when it is due, and takes what has come.
    fn scrape(&mut self, sys: &mut Sys<'_>) {
        if sys.now() >= self.next_scrape && self.nodes.has_synced() {
            self.next_scrape = self.next_scrape.max(sys.now() - self.resolution) + self.resolution;
            self.forget_nodes();
            let bearer = format!("Bearer {}", token(sys));
            let timeout = Duration(self.resolution.as_micros() * 9 / 10);
            let targets: Vec<(Rc<str>, String)> = self.nodes.items().filter_map(|(_, n)| target(n)).collect();
            for (node, ip) in targets {
                let headers = [("Authorization", bearer.as_str()), ("User-Agent", AGENT)];
                let fetch = Fetch::get(sys, (&ip, 10250), "/metrics/resource", &headers, timeout);
                self.scrapes.push(Scrape { node, url: format!("https://{ip}:10250/metrics/resource"), fetch });
            }
        } else if !self.nodes.has_synced() && sys.now() >= self.next_scrape {
            self.next_scrape = sys.now() + Duration::from_secs(1);
        }
        let mut done = Vec::new();
        self.scrapes.retain_mut(|scrape| match scrape.fetch.poll(sys) {
            None => true,
            Some(result) => {
                done.push((scrape.node.clone(), scrape.url.clone(), result));
                false
            }
        });
        for (node, url, result) in done {
            let error = match result {
                Ok(answer) if answer.code == 200 => match exposition::parse(&String::from_utf8_lossy(&answer.body)) {
                    Ok(samples) => {
                        self.store(&node, &samples);
                        continue;
                    }
                    Err(e) => format!("unable to decode: {e}"),
                },
                Ok(answer) => format!("request failed, status: \"{}\"", status_text(answer.code)),
                Err(text) => format!("Get \\\"{url}\\\": {text}"),
            };
            log(sys, 'E', "scraper.go:149", &format!("\"Failed to scrape node\" err=\"{error}\" node=\"{node}\""));
        }
    }

    /// Points of nodes that are gone.
    fn forget_nodes(&mut self) {
        let gone: Vec<Rc<str>> = self.node_points.keys().filter(|n| self.nodes.get("", n).is_none()).cloned().collect();
        for node in gone {
            self.node_points.remove(&node);
            for container in self.seen.remove(&node).unwrap_or_default() {
                self.containers.remove(&container);
            }
        }
    }

    /// Takes what a node has answered.
    fn store(&mut self, node: &Rc<str>, samples: &[exposition::Sample]) {
        let mut points: Map<Container, Point> = Map::new();
        let mut own = Point { at: Time::EPOCH, cpu: 0.0, memory: 0.0, started: Time::EPOCH };
        for s in samples {
            let label = |name: &str| s.labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
            let at = Time(s.at_ms.unwrap_or(0).saturating_mul(1000));
            if let Some(what) = s.name.strip_prefix("container_") {
                let key = (ObjectKey::new(label("namespace"), label("pod")), Rc::from(label("container")));
                let mut point = points.get(&key).copied().unwrap_or(own);
                match what {
                    "cpu_usage_seconds_total" => (point.cpu, point.at) = (s.value, at),
                    "memory_working_set_bytes" => point.memory = s.value,
                    "start_time_seconds" => point.started = Time((s.value * 1e6) as i64),
                    _ => continue,
                }
                points.insert(key, point);
            }
        }
        for s in samples {
            match s.name.as_str() {
                "node_cpu_usage_seconds_total" => {
                    (own.cpu, own.at) = (s.value, Time(s.at_ms.unwrap_or(0).saturating_mul(1000)));
                }
                "node_memory_working_set_bytes" => own.memory = s.value,
                _ => {}
            }
        }
        self.node_points.insert(node.clone(), next(self.node_points.get(node).copied(), own));
        let mut seen = Vec::new();
        for (key, point) in points.iter() {
            self.containers.insert(key.clone(), next(self.containers.get(key).copied(), *point));
            seen.push(key.clone());
        }
        for key in self.seen.insert(node.clone(), seen).unwrap_or_default() {
            if !points.contains_key(&key) {
                self.containers.remove(&key);
            }
        }
    }

    fn serve(&self, request: &Incoming) -> (u16, &'static str, String) {
        let plain = |code, text: &str| (code, "text/plain; charset=utf-8", text.to_string());
        match request.path.as_str() {
            "/livez" | "/healthz" => return plain(200, "ok"),
            "/readyz" if self.node_points.is_empty() => {
                return plain(500, "[+]ping ok\n[-]metric-storage-ready failed: reason withheld\nreadyz check failed\n");
            }
            "/readyz" => return plain(200, "ok"),
            _ => {}
        }
        if request.header("X-Remote-User").is_none() {
            return status(401, "Unauthorized", "Unauthorized");
        }
        let Some(rest) = request.path.strip_prefix(API) else {
            return status(404, "NotFound", "the server could not find the requested resource");
        };
        if request.method != "GET" {
            return status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
        }
        let selector = match request.parameter("labelSelector").map_or(Ok(Selector::everything()), Selector::parse) {
            Ok(selector) => selector,
            Err(e) => return status(400, "BadRequest", &e.to_string()),
        };
        let parts: Vec<&str> = rest.split('/').filter(|p| !p.is_empty()).collect();
        let found = match parts.as_slice() {
            [] => Some(resource_list()),
            ["nodes"] => Some(list("NodeMetricsList", self.nodes.items().filter_map(|(_, n)| self.node(n, &selector)).collect())),
            ["nodes", name] => self.nodes.get("", name).and_then(|n| self.node(n, &Selector::everything())),
            ["pods"] => Some(self.pod_list("", &selector)),
            ["namespaces", namespace, "pods"] => Some(self.pod_list(namespace, &selector)),
            ["namespaces", namespace, "pods", name] => {
                self.pods.get(namespace, name).and_then(|p| self.pod(p, &Selector::everything()))
            }
            _ => return status(404, "NotFound", "the server could not find the requested resource"),
        };
        match (found, parts.as_slice()) {
            (Some(v), ["nodes", _]) => (200, "application/json", json::to_string(&typed(v, "NodeMetrics"))),
            (Some(v), [_, _, _, _]) => (200, "application/json", json::to_string(&typed(v, "PodMetrics"))),
            (Some(v), _) => (200, "application/json", json::to_string(&v)),
            (None, parts) => {
                let (resource, name) = (if parts[0] == "nodes" { "nodes" } else { "pods" }, parts.last().copied().unwrap_or(""));
                status(404, "NotFound", &format!("{resource}.metrics.k8s.io \"{name}\" not found"))
            }
        }
    }

    fn pod_list(&self, namespace: &str, selector: &Selector) -> Value {
        let mine = self.pods.items().filter(|(k, _)| namespace.is_empty() || *k.namespace == *namespace);
        list("PodMetricsList", mine.filter_map(|(_, p)| self.pod(p, selector)).collect())
    }

    fn node(&self, node: &Object, selector: &Selector) -> Option<Value> {
        if !selector.matches(node.labels()) {
            return None;
        }
        let (usage, at, window) = usage(self.node_points.get(node.name())?)?;
        Some(metrics(node, at, window, "usage", usage))
    }

    fn pod(&self, pod: &Object, selector: &Selector) -> Option<Value> {
        if !selector.matches(pod.labels()) {
            return None;
        }
        let key = pod.key();
        let (mut containers, mut at, mut window) = (Vec::new(), None::<Time>, Duration::ZERO);
        let sidecars = pod.list_at(&["spec", "initContainers"]).iter().filter(|c| c.str_at(&["restartPolicy"]) == Some("Always"));
        for container in pod.list_at(&["spec", "containers"]).iter().chain(sidecars) {
            let name: Rc<str> = container.str_at(&["name"]).unwrap_or("").into();
            let (usage, time, span) = usage(self.containers.get(&(key.clone(), name.clone()))?)?;
            containers.push(value!({"name": (&*name), "usage": usage}));
            if at.is_none_or(|earliest| time < earliest) {
                (at, window) = (Some(time), span);
            }
        }
        Some(metrics(pod, at?, window, "containers", Value::list(containers)))
    }
}

/// A series with one more point. A counter that fell is another container's.
fn next(series: Option<Series>, point: Point) -> Series {
    let last = series.and_then(|s| s.last);
    let before = match last {
        Some(last) if last.at == point.at => series.and_then(|s| s.before),
        Some(last) if last.started == point.started && last.cpu <= point.cpu => Some(last),
        _ => {
            let age = point.at.since(point.started);
            let fresh = point.started > Time::EPOCH && age >= FRESH && age < Duration::from_secs(60);
            fresh.then_some(Point { at: point.started, cpu: 0.0, ..point })
        }
    };
    Series { before, last: Some(point) }
}

/// Use, when it was read, and over which time. `None`: two points are needed.
fn usage(series: &Series) -> Option<(Value, Time, Duration)> {
    let (before, last) = (series.before?, series.last?);
    let window = last.at.since(before.at);
    if window <= Duration::ZERO {
        return None;
    }
    let nanos = ((last.cpu - before.cpu) / window.as_secs_f64() * 1e9).ceil().max(0.0) as i64;
    let cpu = Quantity::parse(&format!("{nanos}n")).ok()?.canonical();
    let memory = Quantity::parse(&format!("{}", last.memory as i64)).ok()?.with_format(Format::BinarySi).canonical();
    Some((value!({"cpu": cpu, "memory": memory}), last.at, window))
}

fn metrics(of: &Object, at: Time, window: Duration, field: &str, content: Value) -> Value {
    let mut v = value!({
        "metadata": {"name": (of.name()), "creationTimestamp": (at.rfc3339())}, "timestamp": (at.rfc3339()),
        "window": (go_duration(window))
    });
    if !of.namespace().is_empty() {
        v.set_at(&["metadata", "namespace"], of.namespace());
    }
    if let Some(labels) = of.at(&["metadata", "labels"]) {
        v.set_at(&["metadata", "labels"], labels);
    }
    v.set_at(&[field], content);
    v
}

fn typed(mut v: Value, kind: &str) -> Value {
    v.set_at(&["kind"], kind);
    v.set_at(&["apiVersion"], "metrics.k8s.io/v1beta1");
    v
}

fn list(kind: &str, items: Vec<Value>) -> Value {
    typed(value!({"metadata": {}, "items": items}), kind)
}

fn resource_list() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| value!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    value!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
        "resources": [(resource("nodes", "NodeMetrics", false)), (resource("pods", "PodMetrics", true))]
    })
}

fn status(code: u16, reason: &str, message: &str) -> (u16, &'static str, String) {
    let status = value!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": (i64::from(code))
    });
    (code, "application/json", json::to_string(&status))
}

fn status_text(code: u16) -> String {
    let text = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        500 => "Internal Server Error",
        _ => "",
    };
    format!("{code} {text}").trim_end().to_string()
}

/// A node's name and the address that its kubelet listens on.
fn target(node: &Object) -> Option<(Rc<str>, String)> {
    let addresses = node.list_at(&["status", "addresses"]);
    let ip = addresses.iter().find(|a| a.str_at(&["type"]) == Some("InternalIP"))?.str_at(&["address"])?;
    Some((node.name().into(), ip.into()))
}

/// `15s`, `1m`, `1m30s`
pub fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let n: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |i| end + i);
        total += n * match &rest[end..unit_end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_536_000.0,
            _ => return None,
        };
        rest = &rest[unit_end..];
    }
    (!text.is_empty() && total < 1e9).then(|| Duration::from_secs_f64(total))
}

/// `15.004s`, as Go prints a duration below a minute; above, `1m2s`.
fn go_duration(d: Duration) -> String {
    let (micros, minutes) = (d.as_micros(), d.as_secs() / 60);
    if minutes == 0 {
        return format!("{}s", micros as f64 / 1e6);
    }
    format!("{minutes}m{}s", (micros - minutes * 60_000_000) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_s: i64, cpu: f64, started_s: i64) -> Point {
        Point { at: Time(at_s * 1_000_000), cpu, memory: 2048.0, started: Time(started_s * 1_000_000) }
    }

    #[test]
    fn use_is_the_difference_of_two_points() {
        let first = next(None, point(100, 5.0, 1));
        assert!(usage(&first).is_none());
        let second = next(Some(first), point(115, 6.5, 1));
        let (used, at, window) = usage(&second).unwrap();
        assert_eq!((used.str_at(&["cpu"]), used.str_at(&["memory"])), (Some("100m"), Some("2Ki")));
        assert_eq!((at, go_duration(window)), (Time(115_000_000), "15s".into()));
    }

    #[test]
    fn a_young_container_counts_from_its_start_and_a_restarted_one_begins_anew() {
        let young = next(None, point(120, 1.0, 100));
        assert_eq!(usage(&young).unwrap().0.str_at(&["cpu"]), Some("50m"));
        let restarted = next(Some(young), point(135, 0.1, 130));
        assert!(usage(&restarted).is_none());
    }

    #[test]
    fn durations_are_go_s() {
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        for bad in ["", "s", "1", "1x", "ä", "1e99s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(go_duration(Duration::from_secs(75)), "1m15s");
    }
}
