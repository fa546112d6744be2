//! Ends pods before the node's memory, disk or numbers of processes run out, and those that take more of the disk than they may.
//! Models `pkg/kubelet/eviction` for the signals `memory.available`, `nodefs.available`, `imagefs.available` and `pid.available`:
//! thresholds (hard, and soft with a grace period), the node's conditions with their transition period, what can be had back without
//! ending a pod (dead containers, unused images), the ranking of pods, one pod at a time, limits of emptyDirs and of
//! `ephemeral-storage`, and the admission of pods under pressure; and `pkg/kubelet/qos` for `oom_score_adj`.
//!
//! A real kubelet asks for statistics every ten seconds for ever. This one asks at the same moments, but only from when the
//! kernel says that something is low (`cri::Event::MemoryLow`, `UsageHigh`) until all is well again: what it finds and when is the
//! same. (A real one counts what is in volumes once a minute only.)
//! Left out by name: inodes, minimum reclaim, `allocatableMemory.available`, a disk of its own for images.

mod rank;
mod signal;

use std::rc::Rc;

use apimachinery::{Object, Quantity, Value};
use base::{Duration, Map, Sort as _, Time};
use client_go::EventType;
use cri_api::cri::{self, ContainerState};
use sim::Outbox;

use self::rank::{Rank, message, over_its_limits};
pub use self::rank::{Usage, pod_disk_limit};
pub use self::signal::{Amount, Pressures, Signal, Threshold};
use crate::config::Config;
use crate::kubelet::{CriCall, Kubelet, Wake};
use crate::pod::Spec;
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
    /// When a threshold of a signal was last found to be met.
    met_at: Map<Signal, Time>,
    /// Since when a threshold (by its place in the configuration) has been met.
    since: Map<usize, Time>,
    /// The node's conditions.
    pub(crate) pressures: Pressures,
    /// In this look all was had back that can be without ending a pod.
    reclaimed: bool,
    /// A pod that was evicted, and until when its end is waited for.
    leaving: Option<(Text, Time)>,
}

impl Kubelet {
    /// Below this much available memory the kernel is to say so: the highest threshold, in bytes.
    pub fn memory_notice(&self) -> u64 {
        self.notice(&[Signal::Memory])
    }

    /// Below so many available bytes of the disk, and below so many processes that may be made, the kernel is to say so.
    pub fn usage_notice(&self) -> (u64, u64) {
        (self.notice(&[Signal::NodeFs, Signal::ImageFs]), self.notice(&[Signal::Pid]))
    }

    fn notice(&self, signals: &[Signal]) -> u64 {
        let config = &self.config;
        let whole = cri::NodeStats {
            memory_capacity_bytes: config.memory_bytes.max(0) as u64,
            disk_capacity_bytes: config.disk_bytes.max(0) as u64,
            ..cri::NodeStats::default()
        };
        let of = config.eviction.iter().filter(|t| signals.contains(&t.signal));
        of.map(|t| t.value(&whole).max(0) as u64).max().unwrap_or(0)
    }

    /// The kernel says that something is low, or a pod may be through: looks at the next due moment.
    pub(crate) fn on_usage_high(&mut self, out: &mut Outbox) {
        if !std::mem::replace(&mut self.eviction.looking, true) {
            let past = out.now.since(self.started).as_micros() % MONITORING.as_micros();
            self.wheel.after(Duration(MONITORING.as_micros() - past), Wake::Eviction, out.now);
        }
    }

    pub(crate) fn on_system_oom(&mut self, process: &str, pid: u32, out: &mut Outbox) {
        let message = format!("System OOM encountered, victim process: {process}, pid: {pid}");
        self.node_event(EventType::Warning, "SystemOOM", &message, out);
    }

    /// Due: asks for statistics, unless a pod that was evicted is still on its way out.
    pub(crate) fn look_at_usage(&mut self, out: &mut Outbox) {
        if let Some((uid, until)) = &self.eviction.leaving {
            let there = self.workers.get(uid).is_some_and(|w| w.stage != Stage::Terminated);
            if there && out.now < *until {
                return self.wheel.after(CLEANUP_POLL, Wake::Eviction, out.now);
            }
            self.eviction.leaving = None;
        }
        self.eviction.reclaimed = false;
        self.cri(CriCall::Usage, cri::Request::Stats, out);
    }

    /// Models `managerImpl.synchronize`.
    pub(crate) fn on_usage(&mut self, usage: &Usage<'_>, out: &mut Outbox) {
        let due = self.note_thresholds(usage, out.now);
        let mut evicted = self.evict_over_their_limits(usage, out);
        if let Some(threshold) = due.filter(|_| !evicted) {
            if !std::mem::replace(&mut self.eviction.reclaimed, true) {
                let text = format!("Attempting to reclaim {}", threshold.signal.resource());
                self.node_event(EventType::Warning, "EvictionThresholdMet", &text, out);
                if threshold.signal.is_of_the_disk() {
                    return self.reclaim_disk(out);
                }
            }
            evicted = self.evict_one(&threshold, usage, out);
        }
        if evicted {
            return self.wheel.after(CLEANUP_POLL, Wake::Eviction, out.now);
        }
        self.eviction.looking = self.eviction.pressures.any() || !self.eviction.since.is_empty();
        if self.eviction.looking {
            self.wheel.after(MONITORING, Wake::Eviction, out.now);
        }
    }

    /// Takes note of the thresholds that are met. The first whose grace is over is to be acted on: memory before all others.
    fn note_thresholds(&mut self, usage: &Usage<'_>, now: Time) -> Option<Threshold> {
        let thresholds = self.config.eviction.clone();
        let mut due: Option<Threshold> = None;
        for (place, threshold) in thresholds.iter().enumerate() {
            if !threshold.is_met(&usage.node) {
                self.eviction.since.remove(&place);
                continue;
            }
            self.eviction.met_at.insert(threshold.signal, now);
            let since = *self.eviction.since.get(&place).unwrap_or(&now);
            self.eviction.since.insert(place, since);
            let is_due = threshold.grace.is_none_or(|grace| now.since(since) >= grace);
            let is_first = due.as_ref().is_none_or(|d| threshold.signal == Signal::Memory && d.signal != Signal::Memory);
            if is_due && is_first {
                due = Some(threshold.clone());
            }
        }
        let transition = self.config.eviction_pressure_transition;
        let mut pressures = Pressures::default();
        for (signal, at) in &self.eviction.met_at {
            if now.since(*at) < transition {
                pressures.set(*signal);
            }
        }
        self.eviction.pressures = pressures;
        due
    }

    /// Ends the pods that have taken more of the disk than they may. Models `localStorageEviction`.
    fn evict_over_their_limits(&mut self, usage: &Usage<'_>, out: &mut Outbox) -> bool {
        let active = self.workers.iter().filter(|(_, w)| w.stage == Stage::Syncing && !is_critical(w));
        let over: Vec<(Text, Text)> =
            active.filter_map(|(uid, w)| Some((uid.clone(), over_its_limits(&w.pod, usage)?.into()))).collect();
        for (uid, message) in &over {
            self.eviction.leaving = Some((uid.clone(), out.now + CLEANUP_TIMEOUT));
            self.with_worker(uid, out, |w, cx, fx| w.evict(message.clone(), false, HARD_GRACE_S, cx, fx));
        }
        !over.is_empty()
    }

    /// Removes what the runtime keeps of containers that have ended: all of pods that are through, of the others all but the last.
    /// Then the images; then the statistics are asked for again. Models `DeleteAllUnusedContainers`.
    fn reclaim_disk(&mut self, out: &mut Outbox) {
        let mut dead = Vec::new();
        for worker in self.workers.values() {
            let ended = worker.containers.iter().filter(|c| c.state == ContainerState::Exited);
            let newest = |name: &Text| worker.containers.iter().filter(|c| c.name == *name).map(|c| c.attempt).max();
            let is_kept = |attempt: u32, name: &Text| worker.stage != Stage::Terminated && newest(name) == Some(attempt);
            dead.extend(ended.filter(|c| !is_kept(c.attempt, &c.name)).map(|c| c.id.clone()));
        }
        for container in dead {
            self.cri(CriCall::Other, cri::Request::RemoveContainer { container }, out);
        }
        self.cri(CriCall::UnusedImages, cri::Request::ListImages, out);
    }

    /// Models `imageManager.DeleteUnusedImages`.
    pub(crate) fn remove_unused_images(&mut self, images: &[cri::Image], out: &mut Outbox) {
        let here = self.workers.values().filter(|w| w.stage != Stage::Terminated);
        let used: Vec<Text> = here.flat_map(|w| w.containers.iter().map(|c| c.image.clone())).collect();
        let unused: Vec<Text> = images.iter().map(|i| i.name.clone()).filter(|name| !used.contains(name)).collect();
        let any = !unused.is_empty();
        for image in unused {
            self.cri(CriCall::Other, cri::Request::RemoveImage { image }, out);
        }
        if any {
            self.cri(CriCall::ListImages, cri::Request::ListImages, out);
        }
        self.cri(CriCall::Usage, cri::Request::Stats, out);
    }

    /// Ends the first pod of the ranking that may be ended.
    fn evict_one(&mut self, threshold: &Threshold, usage: &Usage<'_>, out: &mut Outbox) -> bool {
        let active = self.workers.iter().filter(|(_, w)| w.stage == Stage::Syncing);
        let mut ranked: Vec<(Rank, Text)> =
            active.map(|(uid, w)| (Rank::of(&w.pod, threshold.signal, usage), uid.clone())).collect();
        ranked.order_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        let victim = ranked.into_iter().map(|(_, uid)| uid).find(|uid| self.workers.get(uid).is_some_and(|w| !is_critical(w)));
        let Some(uid) = victim else { return false };
        let Some(worker) = self.workers.get(&uid) else { return false };
        let message: Text = message(&worker.pod, threshold, usage).into();
        let grace = if threshold.grace.is_none() { HARD_GRACE_S } else { self.config.eviction_max_pod_grace_s };
        self.eviction.leaving = Some((uid.clone(), out.now + CLEANUP_TIMEOUT));
        self.with_worker(&uid, out, |w, cx, fx| w.evict(message, true, grace, cx, fx));
        true
    }
}

fn priority(pod: &Object) -> i64 {
    pod.int_at(&["spec", "priority"]).unwrap_or(0)
}

fn is_critical(worker: &PodWorker) -> bool {
    worker.is_static || priority(&worker.pod) >= SYSTEM_CRITICAL
}

/// Models `managerImpl.Admit`: under memory pressure only those that asked for something, tolerate it or are critical may come;
/// under any other only the critical ones.
pub fn refuse(pressures: Pressures, pod: &Object) -> Option<(Text, Text)> {
    let tolerates = |t: &Value| {
        let effect = t.str_at(&["effect"]).unwrap_or("");
        let key = t.str_at(&["key"]).unwrap_or("");
        let exists = t.str_at(&["operator"]) == Some("Exists");
        let named = key == "node.kubernetes.io/memory-pressure" && (exists || t.str_at(&["value"]).unwrap_or("").is_empty());
        (effect.is_empty() || effect == "NoSchedule") && (named || key.is_empty() && exists)
    };
    let only_memory = !pressures.disk && !pressures.pid;
    let may_come = !pressures.any()
        || priority(pod) >= SYSTEM_CRITICAL
        || only_memory && (qos_class(pod) != "BestEffort" || pod.list_at(&["spec", "tolerations"]).iter().any(tolerates));
    let message = || format!("Pod was rejected: The node had condition: [{}]. ", pressures.names());
    (!may_come).then(|| (REASON.into(), message().into()))
}

/// Models `GetContainerOOMScoreAdjust`.
pub fn oom_score_adj(config: &Config, pod: &Object, spec: &Spec) -> i32 {
    const GUARANTEED: i64 = -997;
    const NODE_CRITICAL: i64 = 2_000_001_000;
    let request = spec.value.at(&["resources", "requests", "memory"]).and_then(|q| Quantity::from_value(q).ok());
    let adjust = match qos_class(pod) {
        _ if priority(pod) >= NODE_CRITICAL => GUARANTEED,
        "Guaranteed" => GUARANTEED,
        "BestEffort" => 1000,
        _ => {
            let request = request.map_or(0, |q| q.value());
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

    #[test]
    fn under_memory_pressure_only_pods_without_requests_are_refused() {
        let memory = Pressures { memory: true, ..Pressures::default() };
        assert!(refuse(memory, &pod(value!({}))).is_some());
        assert!(refuse(Pressures::default(), &pod(value!({}))).is_none());
        assert!(refuse(memory, &pod(value!({"memory": "1Mi"}))).is_none());
        let mut tolerant = pod(value!({}));
        let toleration = value!({"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"});
        tolerant.set_at(&["spec", "tolerations"], vec![toleration]);
        assert!(refuse(memory, &tolerant).is_none());
        let disk = Pressures { disk: true, ..memory };
        let (_, message) = refuse(disk, &pod(value!({"memory": "1Mi"}))).unwrap();
        assert_eq!(&*message, "Pod was rejected: The node had condition: [MemoryPressure DiskPressure]. ");
    }
}
