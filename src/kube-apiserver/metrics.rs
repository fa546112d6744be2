//! `/metrics`: a few of the real families, by their names and labels.
//!
//! Models `apiserver/pkg/endpoints/metrics`. A finished call costs one or two look-ups by a small key; texts are made when somebody
//! asks. Left out by name: requests of paths and of virtual resources by resource (they are counted without), `dry_run` and
//! `component` other than `apiserver`, sizes, admission, etcd's request times.

use std::fmt::Write;

use apimachinery::{Response, ResponseBody, Verb, key};
use base::{Map, Time};

use crate::call::Call;
use crate::server::ApiServer;

/// Upper bounds in microseconds of `apiserver_request_duration_seconds`.
const BOUNDS: [i64; 23] = [
    5_000, 25_000, 50_000, 100_000, 200_000, 400_000, 600_000, 800_000, 1_000_000, 1_250_000, 1_500_000, 2_000_000, 3_000_000,
    4_000_000, 5_000_000, 6_000_000, 8_000_000, 10_000_000, 15_000_000, 20_000_000, 30_000_000, 45_000_000, 60_000_000,
];
/// Subresources that are told apart; the rest is `other`.
const SUBRESOURCES: [&str; 12] = [
    "",
    "status",
    "scale",
    "binding",
    "log",
    "exec",
    "attach",
    "eviction",
    "token",
    "approval",
    "finalize",
    "ephemeralcontainers",
];
const SCOPES: [&str; 3] = ["cluster", "namespace", "resource"];
const NO_STORAGE: u16 = u16::MAX;

/// Resource (by the number of its storage), subresource, scope, verb.
type About = (u16, u8, u8, Verb);

/// What the finished calls were, and how long they took.
#[derive(Clone, Default)]
pub struct Requests {
    by_code: Map<(About, u16), u64>,
    took: Map<About, Histogram>,
}

#[derive(Clone, Copy, Default)]
struct Histogram {
    /// Not cumulative; the last holds what was longer than all bounds.
    counts: [u32; BOUNDS.len() + 1],
    sum_us: i64,
}

impl Requests {
    pub(crate) fn note(&mut self, call: &Call, code: u16, now: Time) {
        let storage = call.resource.storage.and_then(|s| u16::try_from(s).ok()).unwrap_or(NO_STORAGE);
        let sub = call.request.subresource;
        let sub = if sub.is_empty() { 0 } else { SUBRESOURCES.iter().position(|s| sub == **s).unwrap_or(SUBRESOURCES.len()) };
        let scope = match (call.name.is_empty(), call.request.namespace.is_empty()) {
            (false, _) => 2,
            (true, false) => 1,
            (true, true) => 0,
        };
        let about = (storage, sub as u8, scope, call.request.verb);
        match self.by_code.get_mut(&(about, code)) {
            Some(n) => *n += 1,
            None => {
                self.by_code.insert((about, code), 1);
            }
        }
        if call.request.verb == Verb::Watch {
            return;
        }
        if !self.took.contains_key(&about) {
            self.took.insert(about, Histogram::default());
        }
        if let Some(histogram) = self.took.get_mut(&about) {
            let us = now.since(call.stages.received).as_micros().max(0);
            let bucket = BOUNDS.iter().position(|b| us <= *b).unwrap_or(BOUNDS.len());
            histogram.counts[bucket] = histogram.counts[bucket].saturating_add(1);
            histogram.sum_us += us;
        }
    }
}

/// GET of a path and other methods on it have the method as their verb.
fn verb_name(verb: Verb) -> String {
    match verb {
        Verb::Create => "POST".into(),
        Verb::Update => "PUT".into(),
        other => other.as_str().to_uppercase(),
    }
}

impl ApiServer {
    fn about(&self, (storage, sub, scope, verb): About) -> String {
        let gvr = self.scheme.storages.get(storage as usize).map(|s| s.gvr);
        let (group, version, resource) =
            gvr.map_or_else(Default::default, |g| (g.group.to_string(), g.version.to_string(), g.resource.to_string()));
        let sub = SUBRESOURCES.get(sub as usize).copied().unwrap_or("other");
        let scope = SCOPES.get(scope as usize).copied().unwrap_or("");
        format!(
            "component=\"apiserver\",dry_run=\"\",group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",subresource=\"{sub}\",verb=\"{}\",version=\"{version}\"",
            verb_name(verb)
        )
    }

    /// Answers `/metrics`.
    pub(crate) fn metrics(&self) -> Response {
        let mut out = String::new();
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        let name = "apiserver_request_total";
        head(
            &mut out,
            name,
            "counter",
            "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
        );
        for ((about, code), n) in self.requests.by_code.iter() {
            let _ = writeln!(out, "{name}{{code=\"{code}\",{}}} {n}", self.about(*about));
        }
        let name = "apiserver_request_duration_seconds";
        head(
            &mut out,
            name,
            "histogram",
            "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
        );
        for (about, histogram) in self.requests.took.iter() {
            let about = self.about(*about);
            let mut sum = 0u64;
            for (i, n) in histogram.counts.iter().enumerate() {
                sum += u64::from(*n);
                let bound = BOUNDS.get(i).map_or("+Inf".to_string(), |b| format!("{}", *b as f64 / 1e6));
                let _ = writeln!(out, "{name}_bucket{{{about},le=\"{bound}\"}} {sum}");
            }
            let _ = writeln!(out, "{name}_sum{{{about}}} {}", histogram.sum_us as f64 / 1e6);
            let _ = writeln!(out, "{name}_count{{{about}}} {sum}");
        }
        let name = "apiserver_longrunning_requests";
        head(&mut out, name, "gauge", "[STABLE] Gauge of all active long-running apiserver requests.");
        let mut watches: Map<(String, String), u64> = Map::new();
        for (_, gvr, _) in self.open_watches() {
            let key = (gvr.group.to_string(), gvr.resource.to_string());
            let n = watches.get(&key).copied().unwrap_or(0);
            watches.insert(key, n + 1);
        }
        for ((group, resource), n) in watches.iter() {
            let _ =
                writeln!(out, "{name}{{component=\"apiserver\",group=\"{group}\",resource=\"{resource}\",verb=\"WATCH\"}} {n}");
        }
        let name = "apiserver_current_inflight_requests";
        head(
            &mut out,
            name,
            "gauge",
            "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind in last second.",
        );
        let _ = writeln!(out, "{name}{{request_kind=\"mutating\"}} {}", self.pending.len());
        let name = "apiserver_resource_objects";
        head(&mut out, name, "gauge", "[ALPHA] Number of stored objects at the time of last check split by kind.");
        for storage in &self.scheme.storages {
            let n = self.caches.get(storage.index).map_or(0, |c| c.objects.len());
            let _ = writeln!(out, "{name}{{group=\"{}\",resource=\"{}\"}} {n}", storage.gvr.group, storage.gvr.resource);
        }
        self.flow_metrics(&mut out);
        self.aggregator_metrics(&mut out);
        let kind = key("text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
        Response { code: 200, warnings: Vec::new(), body: ResponseBody::Text(kind, out.into()) }
    }
}
