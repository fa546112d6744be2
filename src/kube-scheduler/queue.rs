//! Pods that wait to be placed. Models `pkg/scheduler/backend/queue`: active by priority and age, back-off, and unschedulable until
//! an event comes that may help (the plugins' hints), with the default gates of v1.37 (pods are taken from the back-off when
//! nothing is active, unless they wait because of an error).

use std::rc::Rc;

use base::{Duration, Map, Set, Time};
use sim::MsgId;

use crate::framework::{ClusterEvent, Cx};
use crate::plugins::{PLUGINS, index_of, is_gated};
use crate::pod_info::{PodId, PodInfo};

const INITIAL_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// How long a pod may sit among the unschedulable before it is tried again anyway.
const MAX_UNSCHEDULABLE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Active(u64),
    Backoff {
        until: Time,
        error: bool,
    },
    Unschedulable,
    Gated,
    /// Taken out; its placement is being written.
    InFlight,
}

#[derive(Clone, Debug)]
pub struct Queued {
    pub pod: Rc<PodInfo>,
    /// The message because of which it waits to be tried.
    pub cause: MsgId,
    pub attempts: u32,
    pub since: Time,
    pub place: Place,
    /// Plugins that rejected it last, as numbers in the registry.
    pub rejected_by: Vec<u8>,
}

#[derive(Clone, Default)]
pub struct SchedulingQueue {
    pods: Map<PodId, Queued>,
    active: Map<(i64, Time, u64), PodId>,
    backoff: Set<(Time, PodId)>,
    /// Of these, those that wait because of no error.
    idle: Set<(Time, PodId)>,
    /// Waiting for what the plugin of this number says may help.
    by_plugin: Map<u8, Set<PodId>>,
    unschedulable: Set<(Time, PodId)>,
    gated: usize,
    next: u64,
}

impl SchedulingQueue {
    pub fn get(&self, id: PodId) -> Option<&Queued> {
        self.pods.get(&id)
    }
    /// How many pods are active, in back-off, unschedulable, gated.
    pub fn counts(&self) -> (usize, usize, usize, usize) {
        (self.active.len(), self.backoff.len(), self.unschedulable.len(), self.gated)
    }
    /// The active pods in the order in which they are tried.
    pub fn active(&self) -> impl Iterator<Item = &Queued> {
        self.active.values().filter_map(|id| self.pods.get(id))
    }
    /// Those in back-off, the next first.
    pub fn backoff(&self) -> impl Iterator<Item = &Queued> {
        self.backoff.iter().filter_map(|(_, id)| self.pods.get(id))
    }
    /// The unschedulable ones, the longest first.
    pub fn unschedulables(&self) -> impl Iterator<Item = &Queued> {
        self.unschedulable.iter().filter_map(|(_, id)| self.pods.get(id))
    }

    /// A new pod, or one that lost its gates.
    pub fn add(&mut self, pod: Rc<PodInfo>, cause: MsgId, now: Time) {
        self.remove(pod.id);
        let id = pod.id;
        let place = if is_gated(&pod) { Place::Gated } else { Place::InFlight };
        self.gated += usize::from(place == Place::Gated);
        self.pods.insert(id, Queued { pod, cause, attempts: 0, since: now, place, rejected_by: Vec::new() });
        if place != Place::Gated {
            self.activate(id, cause, now);
        }
    }

    /// A waiting pod changed. It is tried again if one of the plugins that rejected it cares.
    pub fn update(&mut self, pod: Rc<PodInfo>, cx: &Cx, cause: MsgId, now: Time) {
        let id = pod.id;
        let Some(queued) = self.pods.get_mut(&id) else { return self.add(pod, cause, now) };
        queued.pod = pod.clone();
        match queued.place {
            Place::Gated if !is_gated(&pod) => self.activate(id, cause, now),
            Place::Unschedulable => {
                let event = ClusterEvent::PodUpdated { key: pod.key.clone() };
                let helps = queued.rejected_by.iter().any(|&p| PLUGINS[p as usize].may_help(cx, &pod, &event));
                if helps {
                    self.move_up(id, cause, now);
                }
            }
            _ => {}
        }
    }

    pub fn remove(&mut self, id: PodId) -> Option<Queued> {
        self.take_out(id);
        self.pods.remove(&id)
    }

    /// Takes a pod out of its place; it stays known.
    fn take_out(&mut self, id: PodId) {
        let Some(queued) = self.pods.get_mut(&id) else { return };
        match std::mem::replace(&mut queued.place, Place::InFlight) {
            Place::Active(seq) => {
                self.active.remove(&(-queued.pod.priority, queued.since, seq));
            }
            Place::Backoff { until, .. } => {
                self.backoff.remove(&(until, id));
                self.idle.remove(&(until, id));
            }
            Place::Unschedulable => {
                self.unschedulable.remove(&(queued.since, id));
                for plugin in &queued.rejected_by {
                    if let Some(ids) = self.by_plugin.get_mut(plugin) {
                        ids.remove(&id);
                    }
                }
            }
            Place::Gated => self.gated -= 1,
            Place::InFlight => {}
        }
    }

    fn activate(&mut self, id: PodId, cause: MsgId, now: Time) {
        self.take_out(id);
        let Some(queued) = self.pods.get_mut(&id) else { return };
        self.next += 1;
        (queued.place, queued.cause, queued.since) = (Place::Active(self.next), cause, now);
        self.active.insert((-queued.pod.priority, now, self.next), id);
    }

    /// The most important pod, or one that is in back-off for no error.
    pub fn pop(&mut self) -> Option<Queued> {
        let id = match self.active.get_min() {
            Some((_, id)) => *id,
            None => self.idle.get_min()?.1,
        };
        self.take_out(id);
        let queued = self.pods.get_mut(&id)?;
        queued.attempts += 1;
        Some(queued.clone())
    }

    /// No node takes it; `plugins` said so.
    pub fn unschedulable(&mut self, id: PodId, plugins: &[&'static str], now: Time) {
        self.take_out(id);
        let Some(queued) = self.pods.get_mut(&id) else { return };
        queued.rejected_by = plugins.iter().filter_map(|name| index_of(name)).map(|i| i as u8).collect();
        (queued.place, queued.since) = (Place::Unschedulable, now);
        self.unschedulable.insert((now, id));
        for plugin in &queued.rejected_by {
            self.by_plugin.entry(*plugin).or_default().insert(id);
        }
    }

    /// Something went wrong (a refused binding): tried again after the back-off.
    pub fn failed(&mut self, id: PodId, now: Time) {
        self.take_out(id);
        let Some(queued) = self.pods.get_mut(&id) else { return };
        let until = now + backoff(queued.attempts);
        queued.place = Place::Backoff { until, error: true };
        self.backoff.insert((until, id));
    }

    /// To the active pods, or to the back-off if the last try is too recent.
    fn move_up(&mut self, id: PodId, cause: MsgId, now: Time) {
        let Some(queued) = self.pods.get(&id) else { return };
        let until = queued.since + backoff(queued.attempts);
        if until <= now {
            return self.activate(id, cause, now);
        }
        self.take_out(id);
        let Some(queued) = self.pods.get_mut(&id) else { return };
        (queued.place, queued.cause) = (Place::Backoff { until, error: false }, cause);
        self.backoff.insert((until, id));
        self.idle.insert((until, id));
    }

    /// Something happened: pods that it may help are tried again. Returns how many.
    pub fn on_event(&mut self, cx: &Cx, event: &ClusterEvent, cause: MsgId, now: Time) -> usize {
        if self.unschedulable.is_empty() {
            return 0;
        }
        let mut helped: Set<PodId> = Set::default();
        for (&plugin, ids) in &self.by_plugin {
            let plugin = PLUGINS[plugin as usize];
            let may_help = |id: &&PodId| self.pods.get(*id).is_some_and(|q| plugin.may_help(cx, &q.pod, event));
            helped.extend(ids.iter().filter(may_help).copied());
        }
        for id in &helped {
            self.move_up(*id, cause, now);
        }
        helped.len()
    }

    /// Moves what has waited long enough. Returns when there is more to do.
    pub fn flush(&mut self, cause: MsgId, now: Time) -> Option<Time> {
        while let Some(&(until, id)) = self.backoff.get_min() {
            if until > now {
                break;
            }
            self.activate(id, cause, now);
        }
        while let Some(&(since, id)) = self.unschedulable.get_min() {
            if since + MAX_UNSCHEDULABLE > now {
                break;
            }
            self.move_up(id, cause, now);
        }
        let backoff = self.backoff.get_min().map(|(until, _)| *until);
        let leftover = self.unschedulable.get_min().map(|(since, _)| *since + MAX_UNSCHEDULABLE);
        backoff.into_iter().chain(leftover).min()
    }
}

/// 1 s doubling to 10 s.
fn backoff(attempts: u32) -> Duration {
    Duration((INITIAL_BACKOFF.0 << attempts.saturating_sub(1).min(10)).min(MAX_BACKOFF.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use crate::volumes::Volumes;
    use apimachinery::{Object, value};

    fn pod(name: &str, priority: i64) -> Rc<PodInfo> {
        let v = value!({"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": {"priority": priority,
            "containers": [{"resources": {"requests": {"cpu": "1"}}}]}});
        Rc::new(PodInfo::new(&Object::from_value(v).unwrap()))
    }

    #[test]
    fn priority_then_age_and_only_what_helps_wakes() {
        let (cache, volumes) = (Cache::default(), Volumes::default());
        let cx = Cx { cache: &cache, volumes: &volumes };
        let mut queue = SchedulingQueue::default();
        for (i, (name, priority)) in [("old", 0), ("young", 0), ("vip", 9)].iter().enumerate() {
            queue.add(pod(name, *priority), MsgId(i as u64), Time::from_secs(i as i64));
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|q| q.pod.key.name.to_string()).collect();
        assert_eq!(order, ["vip", "old", "young"]);
        let (waiting, gone, now) = (pod("vip", 9), pod("gone", 0), Time::from_secs(5));
        queue.unschedulable(waiting.id, &["NodeResourcesFit"], now);
        let moved = |queue: &mut SchedulingQueue, event| queue.on_event(&cx, &event, MsgId(0), now);
        assert_eq!(moved(&mut queue, ClusterEvent::Storage), 0);
        assert_eq!(moved(&mut queue, ClusterEvent::AssignedPodDeleted { pod: gone }), 1);
        assert_eq!(queue.counts(), (0, 1, 0, 0));
        assert!(queue.pop().is_some(), "nothing else is active");
        queue.failed(waiting.id, now);
        assert!(queue.pop().is_none(), "errors wait their time");
        assert_eq!(queue.flush(MsgId(0), now), Some(Time::from_secs(7)));
        queue.flush(MsgId(0), Time::from_secs(7));
        assert_eq!(queue.pop().map(|q| q.attempts), Some(3));
    }
}
