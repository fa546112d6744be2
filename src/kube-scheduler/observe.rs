//! The scheduler from outside: who waits where, why a pod is not placed, and what the last cycles came to. For the page: put
//! together when somebody looks; only the last cycles are kept for it.

use std::rc::Rc;

use apimachinery::ObjectKey;
use base::{Time, Vector};
use client_go::{QueueItem, Steer};
use sim::MsgId;

use crate::diagnosis::Diagnosis;
use crate::events::informer;
use crate::framework::Reject;
use crate::pod_info::{PodId, PodInfo};
use crate::queue::{Place, Queued};
use crate::resource::Resource;
use crate::scheduler::Scheduler;

/// How many cycles are remembered.
const REMEMBERED_CYCLES: usize = 16;

/// Why a pod waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// As in the event and the condition.
    pub message: String,
    /// Per verdict: plugin, reasons, and the nodes it holds for.
    pub verdicts: Vec<(&'static str, Vec<Rc<str>>, Vec<Rc<str>>)>,
    pub attempts: u32,
}

/// How many pods wait in which part of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueCounts {
    pub active: usize,
    pub backoff: usize,
    pub unschedulable: usize,
    pub gated: usize,
}

impl QueueCounts {
    /// All that aren't about to be tried.
    pub fn waiting(&self) -> usize {
        self.backoff + self.unschedulable + self.gated
    }
}

/// The queue: at most so many pods of each part as were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueView {
    pub counts: QueueCounts,
    /// In the order in which they are tried.
    pub active: Vec<QueueItem>,
    /// The next first, with the time until which they wait.
    pub backoff: Vec<QueueItem>,
    /// The longest first.
    pub unschedulable: Vec<QueueItem>,
    pub is_held: bool,
}

/// What a cycle found out.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// Of `looked_at` nodes `fit` were good enough; this one got the best score (no score: it was the only one).
    Node {
        node: u32,
        fit: usize,
        looked_at: usize,
        score: Option<i64>,
    },
    Nowhere(Rc<Diagnosis>),
}

/// The last cycles.
#[derive(Clone, Default)]
pub(crate) struct Cycles(Vector<(Time, Rc<PodInfo>, MsgId, Found)>);

impl Cycles {
    pub fn note(&mut self, at: Time, queued: &Queued, found: Found) {
        if self.0.len() >= REMEMBERED_CYCLES {
            self.0.pop_front();
        }
        self.0.push_back((at, queued.pod.clone(), queued.cause, found));
    }
}

/// A cycle in words.
#[derive(Clone, Debug, PartialEq)]
pub struct CycleView {
    pub at: Time,
    pub pod: ObjectKey,
    /// The message because of which the pod was tried.
    pub cause: MsgId,
    /// The node that it got.
    pub node: Option<Rc<str>>,
    /// `best of 3 that fit, 5 looked at, score 214`; or why it fits nowhere.
    pub text: String,
}

impl Scheduler {
    /// Why a pod is not placed; `None`: it is, or it was not tried yet.
    pub fn why(&self, pod: &ObjectKey) -> Option<Why> {
        let id = PodId::of(self.informers().store(informer::PODS).get(pod)?.uid());
        let diagnosis = self.decisions.get(&id)?;
        let name = |i: &u32| self.cache.node(*i).name.clone();
        let verdict = |(r, nodes): &(Reject, Vec<u32>)| (r.plugin, r.reasons.clone(), nodes.iter().map(name).collect());
        let mut verdicts: Vec<_> = diagnosis.rejects.iter().map(verdict).collect();
        verdicts.extend(diagnosis.pre_filter.iter().map(|r| (r.plugin, r.reasons.clone(), Vec::new())));
        let attempts = self.queue.get(id).map_or(0, |q| q.attempts);
        Some(Why { message: diagnosis.message(), verdicts, attempts })
    }

    /// What a pod asks of a resource, and the node that has most of it left: its name and the rest. In millicores, bytes or
    /// whole units. None: the pod does not wait, or there is no node.
    pub fn most_left(&self, pod: &ObjectKey, resource: &str) -> Option<(i64, Rc<str>, i64)> {
        let id = PodId::of(self.informers().store(informer::PODS).get(pod)?.uid());
        let amount = |r: &Resource| match resource {
            "cpu" => r.milli_cpu,
            "memory" => r.memory,
            "ephemeral-storage" => r.ephemeral_storage,
            name => r.scalar(name),
        };
        let asked = amount(&self.queue.get(id)?.pod.requests);
        let nodes = self.cache.current_order().iter().map(|i| self.cache.node(*i));
        let most = nodes.max_by_key(|n| amount(&n.allocatable) - amount(&n.requested))?;
        Some((asked, most.name.clone(), amount(&most.allocatable) - amount(&most.requested)))
    }

    /// How many wait where.
    pub fn queue_counts(&self) -> QueueCounts {
        let (active, backoff, unschedulable, gated) = self.queue.counts();
        QueueCounts { active, backoff, unschedulable, gated }
    }

    /// Who waits where, at most `limit` of each kind.
    pub fn queue_view(&self, limit: usize) -> QueueView {
        let item = |q: &Queued| QueueItem {
            key: q.pod.key.to_string().into(),
            cause: q.cause,
            due: if let Place::Backoff { until, .. } = q.place { Some(until) } else { None },
            retries: q.attempts,
        };
        QueueView {
            counts: self.queue_counts(),
            active: self.queue.active().take(limit).map(item).collect(),
            backoff: self.queue.backoff().take(limit).map(item).collect(),
            unschedulable: self.queue.unschedulables().take(limit).map(item).collect(),
            is_held: self.is_held,
        }
    }

    /// What the last cycles came to, newest first.
    pub fn last_cycles(&self) -> Vec<CycleView> {
        let view = |(at, pod, cause, found): &(Time, Rc<PodInfo>, MsgId, Found)| {
            let (node, text) = match found {
                Found::Node { node, fit, looked_at, score } => {
                    let score = score.map_or_else(String::new, |s| format!(", score {s}"));
                    let text = match fit {
                        1 => format!("the only one that fits of {looked_at} looked at"),
                        n => format!("best of {n} that fit, {looked_at} looked at{score}"),
                    };
                    (Some(self.cache.node(*node).name.clone()), text)
                }
                Found::Nowhere(diagnosis) => (None, diagnosis.message()),
            };
            CycleView { at: *at, pod: pod.key.clone(), cause: *cause, node, text }
        };
        let mut views: Vec<CycleView> = self.cycles.0.iter().map(view).collect();
        views.reverse();
        views
    }

    /// A debugger's hand on it; it acts when a timer [`client_go::NUDGE`] comes. Forgotten with the process' memory.
    pub fn steer(&mut self, what: Steer) {
        match what {
            Steer::Hold => self.is_held = true,
            Steer::Release => self.is_held = false,
            Steer::Step => self.steps += 1,
        }
    }
    pub fn is_held(&self) -> bool {
        self.is_held
    }
}
