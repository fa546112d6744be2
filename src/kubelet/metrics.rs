//! What a kubelet says of itself and of its node in Prometheus' text format: `/metrics`, `/metrics/resource` (what metrics-server
//! reads), `/metrics/cadvisor` (the same counters under cAdvisor's names).
//!
//! Models `pkg/kubelet/metrics/collectors/resource_metrics.go` and cAdvisor's `metrics/prometheus.go`. The figures are the runtime's
//! (`container-runtime/stats.rs` tells their model). Left out by name: `/stats/summary`, `/metrics/probes`, file systems, network
//! and start-up histograms.

use std::fmt::Write;
use std::rc::Rc;

use apimachinery::{Response, ResponseBody};
use base::{Map, Time};
use cri_api::cri::{ContainerState, ContainerStats, NodeStats};

use crate::kubelet::Kubelet;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which of the two documents made of the runtime's figures is asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Document {
    Resource,
    Cadvisor,
}

/// A text in the exposition format.
pub(crate) fn exposition(text: String) -> Response {
    Response { code: 200, body: ResponseBody::Text(TEXT.into(), text.into()), ..Response::default() }
}

impl Kubelet {
    /// `/metrics`: the kubelet's own.
    pub(crate) fn own_metrics(&self) -> Response {
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        };
        let containers = |state: ContainerState| {
            let all = self.workers.values().flat_map(|w| w.containers.iter());
            all.filter(|c| c.state == state).count() as u64
        };
        let running = |w: &crate::pod_worker::PodWorker| w.sandbox.as_ref().is_some_and(|s| s.ready);
        let pods = self.workers.values().filter(|w| running(w)).count() as u64;
        let statics = self.workers.values().filter(|w| w.is_static).count() as u64;
        let desired = self.workers.len() as u64 - statics;
        let node = format!("{{node=\"{}\"}}", self.config.node_name);
        family("kubelet_node_name", "gauge", "[ALPHA] The node's name. The count is always 1.", &[(&node, 1)]);
        family("kubelet_running_pods", "gauge", "[BETA] Number of pods that have a running pod sandbox", &[("", pods)]);
        family(
            "kubelet_running_containers",
            "gauge",
            "[BETA] Number of containers currently running",
            &[
                ("{container_state=\"created\"}", containers(ContainerState::Created)),
                ("{container_state=\"exited\"}", containers(ContainerState::Exited)),
                ("{container_state=\"running\"}", containers(ContainerState::Running)),
            ],
        );
        family(
            "kubelet_desired_pods",
            "gauge",
            "[ALPHA] The number of pods the kubelet is being instructed to run",
            &[("{static=\"\"}", desired), ("{static=\"true\"}", statics)],
        );
        exposition(out)
    }

    /// The document that a caller asked for, made of the runtime's figures.
    pub(crate) fn stats_document(&self, document: Document, node: &NodeStats, containers: &[ContainerStats]) -> Response {
        exposition(match document {
            Document::Resource => resource(node, containers, self.now),
            Document::Cadvisor => cadvisor(containers, self.now),
        })
    }
}

fn seconds(nanos: u64) -> String {
    format!("{}", nanos as f64 / 1e9)
}

fn millis(now: Time) -> i64 {
    now.0.div_euclid(1000)
}

fn resource(node: &NodeStats, containers: &[ContainerStats], now: Time) -> String {
    let at = millis(now);
    let mut out = String::new();
    let mut pods: Map<(Rc<str>, Rc<str>), (u64, u64)> = Map::new();
    for c in containers {
        let key = (c.pod_namespace.clone(), c.pod_name.clone());
        let (cpu, memory) = pods.get(&key).copied().unwrap_or_default();
        pods.insert(key, (cpu + c.cpu_nanos_total, memory + c.memory_working_set_bytes));
    }
    let labels = |c: &ContainerStats| {
        format!("{{container=\"{}\",namespace=\"{}\",pod=\"{}\"}}", c.container, c.pod_namespace, c.pod_name)
    };
    let head = |out: &mut String, name: &str, kind: &str, help: &str| {
        let _ = writeln!(out, "# HELP {name} [STABLE] {help}\n# TYPE {name} {kind}");
    };
    let name = "container_cpu_usage_seconds_total";
    head(&mut out, name, "counter", "Cumulative cpu time consumed by the container in core-seconds");
    for c in containers {
        let _ = writeln!(out, "{name}{} {} {at}", labels(c), seconds(c.cpu_nanos_total));
    }
    let name = "container_memory_working_set_bytes";
    head(&mut out, name, "gauge", "Current working set of the container in bytes");
    for c in containers {
        let _ = writeln!(out, "{name}{} {} {at}", labels(c), c.memory_working_set_bytes);
    }
    let name = "container_start_time_seconds";
    head(&mut out, name, "gauge", "Start time of the container since unix epoch in seconds");
    for c in containers {
        let _ = writeln!(out, "{name}{} {}", labels(c), c.started_at.0 as f64 / 1e6);
    }
    head(&mut out, "node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds");
    let _ = writeln!(out, "node_cpu_usage_seconds_total {} {at}", seconds(node.cpu_nanos_total));
    head(&mut out, "node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes");
    let _ = writeln!(out, "node_memory_working_set_bytes {} {at}", node.memory_working_set_bytes);
    head(&mut out, "pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds");
    for ((namespace, pod), (cpu, _)) in pods.iter() {
        let _ = writeln!(out, "pod_cpu_usage_seconds_total{{namespace=\"{namespace}\",pod=\"{pod}\"}} {} {at}", seconds(*cpu));
    }
    head(&mut out, "pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes");
    for ((namespace, pod), (_, memory)) in pods.iter() {
        let _ = writeln!(out, "pod_memory_working_set_bytes{{namespace=\"{namespace}\",pod=\"{pod}\"}} {memory} {at}");
    }
    head(&mut out, "resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise");
    out.push_str("resource_scrape_error 0\n");
    out
}

fn cadvisor(containers: &[ContainerStats], now: Time) -> String {
    let at = millis(now);
    let mut out = String::new();
    let labels = |c: &ContainerStats, more: &str| {
        format!("{{container=\"{}\",{more}namespace=\"{}\",pod=\"{}\"}}", c.container, c.pod_namespace, c.pod_name)
    };
    out.push_str("# HELP container_cpu_usage_seconds_total Cumulative cpu time consumed in seconds.\n");
    out.push_str("# TYPE container_cpu_usage_seconds_total counter\n");
    for c in containers {
        let cpu = seconds(c.cpu_nanos_total);
        let _ = writeln!(out, "container_cpu_usage_seconds_total{} {cpu} {at}", labels(c, "cpu=\"total\","));
    }
    out.push_str("# HELP container_memory_working_set_bytes Current working set in bytes.\n");
    out.push_str("# TYPE container_memory_working_set_bytes gauge\n");
    for c in containers {
        let _ = writeln!(out, "container_memory_working_set_bytes{} {} {at}", labels(c, ""), c.memory_working_set_bytes);
    }
    out.push_str("# HELP container_start_time_seconds Start time of the container since unix epoch in seconds.\n");
    out.push_str("# TYPE container_start_time_seconds gauge\n");
    for c in containers {
        let _ = writeln!(out, "container_start_time_seconds{} {} {at}", labels(c, ""), c.started_at.0 as f64 / 1e6);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_the_sum_of_its_containers() {
        let container = |name: &str, cpu, memory| ContainerStats {
            pod_uid: "u".into(),
            pod_namespace: "default".into(),
            pod_name: "web".into(),
            container: name.into(),
            started_at: Time(2_500_000),
            cpu_nanos_total: cpu,
            memory_working_set_bytes: memory,
            rootfs_used_bytes: 0,
            logs_used_bytes: 0,
            processes: 1,
        };
        let node = NodeStats { cpu_nanos_total: 7_000_000_000, memory_working_set_bytes: 9, ..NodeStats::default() };
        let text = resource(&node, &[container("a", 1_500_000_000, 3), container("b", 500_000_000, 4)], Time(60_000_000));
        for line in [
            "container_cpu_usage_seconds_total{container=\"a\",namespace=\"default\",pod=\"web\"} 1.5 60000",
            "container_start_time_seconds{container=\"b\",namespace=\"default\",pod=\"web\"} 2.5",
            "pod_cpu_usage_seconds_total{namespace=\"default\",pod=\"web\"} 2 60000",
            "pod_memory_working_set_bytes{namespace=\"default\",pod=\"web\"} 7 60000",
            "node_cpu_usage_seconds_total 7 60000",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
