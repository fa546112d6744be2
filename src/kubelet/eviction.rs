//! Ends pods before the node's memory runs out. Models `pkg/kubelet/eviction` for the signal `memory.available`: thresholds (hard,
//! and soft with a grace period), the node's condition with its transition period, the ranking of pods, one pod at a time, and
//! the admission of pods under pressure; and `pkg/kubelet/qos` for `oom_score_adj`.
//!
//! A real kubelet asks for statistics every ten seconds for ever. This one asks at the same moments, but only from when the
//! kernel says that memory is low (`cri::Event::MemoryLow`) until all is well again: what it finds and when is the same.
//! An emptyDir that holds more than its `sizeLimit` ends its pod at the same looks.
//! Left out by name: disk and PID pressure, minimum reclaim, `allocatableMemory.available`, limits of `ephemeral-storage`.

use std::cmp::Reverse;
use std::rc::Rc;

use apimachinery::{Object, Quantity, Value};
use base::{Duration, Sort as _, Time};
use client_go::EventType;
use cri_api::cri::{self, ContainerStats, NodeStats};
use sim::Outbox;

use crate::admission;
use crate::config::Config;
use crate::kubelet::{CriCall, Kubelet, Wake};
use crate::pod::{Spec, all_specs};
use crate::pod_worker::{PodWorker, Stage};
use crate::status::qos_class;

type Text = Rc<str>;

/// `evictionMonitoringPeriod`
const MONITORING: Duration = Duration::from_secs(10);
/// How often, and how long, is looked whether an evicted pod has gone.
const CLEANUP_POLL: Duration = Duration::from_secs(1);
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);
/// Grace of pods that a hard threshold ends.
const HARD_GRACE_S: i64 = 1;
/// From here on a pod is critical: it is never evicted.
const SYSTEM_CRITICAL: i64 = 2_000_000_000;
pub const REASON: &str = "Evicted";

/// What the eviction manager remembers between two looks.
#[derive(Clone, Default)]
pub struct Eviction {
    /// Looks are under way.
    looking: bool,
    /// When a threshold was last found to be met.
    met_at: Option<Time>,
    /// Since when the soft threshold has been met.
    soft_since: Option<Time>,
    /// The node's condition MemoryPressure.
    pub(crate) pressure: bool,
    /// emptyDirs that hold too much: pod and volume.
    full: base::Set<(Text, Text)>,
    /// A pod that was evicted, and until when its end is waited for.
    leaving: Option<(Text, Time)>,
}

impl Kubelet {
    /// Below this much available memory the kernel is to say so: the highest threshold, in bytes.
    pub fn memory_notice(&self) -> u64 {
        let soft = self.config.eviction_soft_memory.map_or(0, |(bytes, _)| bytes);
        self.config.eviction_hard_memory.max(soft).max(0) as u64
    }

    /// The kernel says that memory is low, or a pod may be through: looks at the next due moment.
    pub(crate) fn on_memory_low(&mut self, out: &mut Outbox) {
        if !std::mem::replace(&mut self.eviction.looking, true) {
            let past = out.now.since(self.started).as_micros() % MONITORING.as_micros();
            self.wheel.after(Duration(MONITORING.as_micros() - past), Wake::Eviction, out.now);
        }
    }

    /// An emptyDir has grown beyond its limit, or not any more.
    pub(crate) fn on_volume_limit(&mut self, volume: &str, exceeded: bool, out: &mut Outbox) {
        let Some((uid, name)) = volume.split_once('/') else { return };
        let entry = (Text::from(uid), Text::from(name));
        if exceeded {
            self.eviction.full.insert(entry);
            self.on_memory_low(out);
        } else {
            self.eviction.full.remove(&entry);
        }
    }

    /// Models `localStorageEviction` for emptyDirs.
    fn evict_full(&mut self, out: &mut Outbox) -> bool {
        let mut evicted = false;
        for (uid, volume) in std::mem::take(&mut self.eviction.full) {
            let Some(worker) = self.workers.get(&uid).filter(|w| w.stage == Stage::Syncing && !is_critical(w)) else { continue };
            let volumes = worker.pod.list_at(&["spec", "volumes"]);
            let limit =
                volumes.iter().find(|v| v.str_at(&["name"]) == Some(&volume)).and_then(|v| v.at(&["emptyDir", "sizeLimit"]));
            let limit = limit.and_then(|q| Quantity::from_value(q).ok()).map(|q| q.canonical()).unwrap_or_default();
            let message = format!("Usage of EmptyDir volume \"{volume}\" exceeds the limit \"{limit}\". ");
            self.eviction.leaving = Some((uid.clone(), out.now + CLEANUP_TIMEOUT));
            self.with_worker(&uid, out, |w, cx, fx| w.evict(message.into(), false, HARD_GRACE_S, cx, fx));
            evicted = true;
        }
        evicted
    }

    pub(crate) fn on_system_oom(&mut self, process: &str, pid: u32, out: &mut Outbox) {
        let message = format!("System OOM encountered, victim process: {process}, pid: {pid}");
        self.node_event(EventType::Warning, "SystemOOM", &message, out);
    }

    /// Due: asks for statistics, unless a pod that was evicted is still on its way out.
    pub(crate) fn look_at_memory(&mut self, out: &mut Outbox) {
        if let Some((uid, until)) = &self.eviction.leaving {
            let there = self.workers.get(uid).is_some_and(|w| w.stage != Stage::Terminated);
            if there && out.now < *until {
                return self.wheel.after(CLEANUP_POLL, Wake::Eviction, out.now);
            }
            self.eviction.leaving = None;
        }
        self.cri(CriCall::Memory, cri::Request::Stats, out);
    }

    /// Models `managerImpl.synchronize`.
    pub(crate) fn on_memory_stats(&mut self, node: &NodeStats, containers: &[ContainerStats], out: &mut Outbox) {
        let available = node.memory_available_bytes() as i64;
        let (hard, soft) = (self.config.eviction_hard_memory, self.config.eviction_soft_memory);
        let hard_met = available < hard;
        let soft_met = soft.is_some_and(|(bytes, _)| available < bytes);
        if hard_met || soft_met {
            self.eviction.met_at = Some(out.now);
        }
        self.eviction.soft_since = self.eviction.soft_since.or(Some(out.now)).filter(|_| soft_met);
        let transition = self.config.eviction_pressure_transition;
        self.eviction.pressure = self.eviction.met_at.is_some_and(|at| out.now.since(at) < transition);
        if self.evict_full(out) {
            return self.wheel.after(CLEANUP_POLL, Wake::Eviction, out.now);
        }
        let overdue = |since: Time| soft.is_some_and(|(_, grace)| out.now.since(since) >= grace);
        let soft_due = self.eviction.soft_since.is_some_and(overdue);
        let (threshold, grace) = match (hard_met, soft) {
            (true, _) => (hard, HARD_GRACE_S),
            (false, Some((bytes, _))) => (bytes, self.config.eviction_max_pod_grace_s),
            (false, None) => (hard, HARD_GRACE_S),
        };
        if hard_met || soft_due {
            self.node_event(EventType::Warning, "EvictionThresholdMet", "Attempting to reclaim memory", out);
            if self.evict_one(threshold, available, grace, containers, out) {
                return self.wheel.after(CLEANUP_POLL, Wake::Eviction, out.now);
            }
        }
        self.eviction.looking = self.eviction.pressure || soft_met;
        if self.eviction.looking {
            self.wheel.after(MONITORING, Wake::Eviction, out.now);
        }
    }

    /// Ends the first pod of the ranking that may be ended.
    fn evict_one(&mut self, threshold: i64, available: i64, grace: i64, stats: &[ContainerStats], out: &mut Outbox) -> bool {
        let active = self.workers.iter().filter(|(_, w)| w.stage == Stage::Syncing);
        let mut ranked: Vec<(Rank, Text)> = active.map(|(uid, w)| (Rank::of(w, stats), uid.clone())).collect();
        ranked.order_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        let victim = ranked.into_iter().map(|(_, uid)| uid).find(|uid| self.workers.get(uid).is_some_and(|w| !is_critical(w)));
        let Some(uid) = victim else { return false };
        let Some(worker) = self.workers.get(&uid) else { return false };
        let message: Text = message(&worker.pod, &uid, threshold, available, stats).into();
        self.eviction.leaving = Some((uid.clone(), out.now + CLEANUP_TIMEOUT));
        self.with_worker(&uid, out, |w, cx, fx| w.evict(message, true, grace, cx, fx));
        true
    }
}

/// Who goes first: those above their requests, then by priority, then those furthest above.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    within_requests: bool,
    priority: i64,
    above: Reverse<i64>,
}

impl Rank {
    fn of(worker: &PodWorker, stats: &[ContainerStats]) -> Rank {
        let mine = stats.iter().filter(|s| *s.pod_uid == *worker.pod.uid());
        let usage: i64 = mine.map(|s| s.memory_working_set_bytes as i64).sum();
        let above = usage - admission::requests(&worker.pod).1;
        Rank { within_requests: above <= 0, priority: priority(&worker.pod), above: Reverse(above) }
    }
}

fn priority(pod: &Object) -> i64 {
    pod.int_at(&["spec", "priority"]).unwrap_or(0)
}

fn is_critical(worker: &PodWorker) -> bool {
    worker.is_static || priority(&worker.pod) >= SYSTEM_CRITICAL
}

fn bytes(n: i64) -> String {
    Quantity::binary(n).canonical()
}

fn memory_request(container: &Value) -> Option<Quantity> {
    container.at(&["resources", "requests", "memory"]).and_then(|q| Quantity::from_value(q).ok())
}

/// Models `evictionMessage`.
fn message(pod: &Object, uid: &str, threshold: i64, available: i64, stats: &[ContainerStats]) -> String {
    let mut text = format!(
        "The node was low on resource: memory. Threshold quantity: {}, available: {}. ",
        bytes(threshold),
        bytes(available.max(0))
    );
    for used in stats.iter().filter(|s| &*s.pod_uid == uid) {
        let specs = all_specs(pod);
        let Some(spec) = specs.iter().find(|s| s.name == used.container) else { continue };
        let request = memory_request(&spec.value);
        let usage = used.memory_working_set_bytes as i64;
        if usage > request.as_ref().map_or(0, |q| q.value()) {
            let request = request.map_or_else(|| "0".to_string(), |q| q.canonical());
            text.push_str(&format!(
                "Container {} was using {}, request is {request}, has larger consumption of memory. ",
                spec.name,
                bytes(usage)
            ));
        }
    }
    text
}

/// Models `managerImpl.Admit`: under memory pressure only those that asked for memory, tolerate it or are critical may come.
pub fn refuse(pressure: bool, pod: &Object) -> Option<(Text, Text)> {
    let tolerates = |t: &Value| {
        let effect = t.str_at(&["effect"]).unwrap_or("");
        let key = t.str_at(&["key"]).unwrap_or("");
        let exists = t.str_at(&["operator"]) == Some("Exists");
        let named = key == "node.kubernetes.io/memory-pressure" && (exists || t.str_at(&["value"]).unwrap_or("").is_empty());
        (effect.is_empty() || effect == "NoSchedule") && (named || key.is_empty() && exists)
    };
    let may_come = !pressure
        || priority(pod) >= SYSTEM_CRITICAL
        || qos_class(pod) != "BestEffort"
        || pod.list_at(&["spec", "tolerations"]).iter().any(tolerates);
    (!may_come).then(|| (REASON.into(), "Pod was rejected: The node had condition: [MemoryPressure]. ".into()))
}

/// Models `GetContainerOOMScoreAdjust`.
pub fn oom_score_adj(config: &Config, pod: &Object, spec: &Spec) -> i32 {
    const GUARANTEED: i64 = -997;
    const NODE_CRITICAL: i64 = 2_000_001_000;
    let adjust = match qos_class(pod) {
        _ if priority(pod) >= NODE_CRITICAL => GUARANTEED,
        "Guaranteed" => GUARANTEED,
        "BestEffort" => 1000,
        _ => {
            let request = memory_request(&spec.value).map_or(0, |q| q.value());
            let share = (request as i128 * 1000 / config.memory_bytes.max(1) as i128) as i64;
            // Never as safe as a guaranteed one, never as exposed as one without requests.
            (1000 - share).clamp(1000 + GUARANTEED, 999)
        }
    };
    adjust as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn pod(requests: Value) -> Object {
        let container = value!({"name": "c", "resources": {"requests": (&requests), "limits": {}}});
        Object::from_value(value!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u"}, "spec": {"containers": [container]}
        }))
        .expect("a map was built")
    }

    fn used(bytes: u64) -> ContainerStats {
        ContainerStats {
            pod_uid: "u".into(),
            pod_namespace: "default".into(),
            pod_name: "p".into(),
            container: "c".into(),
            started_at: Time::EPOCH,
            cpu_nanos_total: 0,
            memory_working_set_bytes: bytes,
        }
    }

    #[test]
    fn the_message_names_containers_above_their_request() {
        let pod = pod(value!({"memory": "64Mi"}));
        let above = message(&pod, "u", 100 << 20, 50 << 20, &[used(200 << 20)]);
        let start = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ";
        let more = "Container c was using 200Mi, request is 64Mi, has larger consumption of memory. ";
        assert_eq!(above, format!("{start}{more}"));
        assert_eq!(message(&pod, "u", 100 << 20, 50 << 20, &[used(1 << 20)]), start);
    }

    #[test]
    fn under_pressure_only_pods_without_requests_are_refused() {
        assert!(refuse(true, &pod(value!({}))).is_some());
        assert!(refuse(false, &pod(value!({}))).is_none());
        assert!(refuse(true, &pod(value!({"memory": "1Mi"}))).is_none());
        let mut tolerant = pod(value!({}));
        let toleration = value!({"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"});
        tolerant.set_at(&["spec", "tolerations"], vec![toleration]);
        assert!(refuse(true, &tolerant).is_none());
    }
}
