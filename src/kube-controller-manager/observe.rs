//! What a controller's loop looks like from outside: its queue, its last plans in words with what came of them, counts. For the
//! page: it is put together when somebody looks, and only the last plans and some counters are kept for it.

use std::fmt::Display;
use std::rc::Rc;

use apimachinery::Gvr;
use base::{Time, Vector};
use client_go::QueueView;
use sim::MsgId;

use crate::framework::Outcome;
use crate::resources;
use crate::runner::{Key, Runner};

/// How many plans are remembered per controller.
const REMEMBERED_PLANS: usize = 16;

/// A controller in numbers.
#[derive(Clone, Debug)]
pub struct ControllerView {
    pub name: &'static str,
    pub waiting: usize,
    pub in_process: usize,
    pub is_held: bool,
}

/// What came of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// Its calls are under way.
    UnderWay,
    /// All calls were answered with success.
    Done,
    /// The error of the first call that failed, or why the sync failed without a call.
    Failed(Rc<str>),
}

/// A plan in words: when, about what, what it is for, and what came of it.
#[derive(Clone, Debug)]
pub struct PlanNote {
    pub at: Time,
    pub key: Rc<str>,
    pub why: Rc<str>,
    pub calls: usize,
    /// The message because of which its key was queued.
    pub cause: MsgId,
    pub fate: Fate,
    /// The sync that it belongs to.
    number: u64,
}

/// Since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub syncs: u64,
    /// Syncs that found nothing to do.
    pub idle: u64,
    /// Plans that had calls, and these.
    pub plans: u64,
    pub calls: u64,
    /// Syncs and plans that failed.
    pub failures: u64,
}

/// The last plans, and counts of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub counts: Counts,
    plans: Vector<PlanNote>,
}

impl Notes {
    /// A sync planned calls.
    pub fn planned(&mut self, number: u64, at: Time, key: &impl Display, why: Rc<str>, calls: usize, cause: MsgId) {
        self.counts.plans += 1;
        self.counts.calls += calls as u64;
        self.push(PlanNote { at, key: key.to_string().into(), why, calls, cause, fate: Fate::UnderWay, number });
    }

    /// A sync failed. If that was because of its calls, the note about these says so already.
    pub fn failed(&mut self, number: u64, at: Time, key: &impl Display, why: Rc<str>, cause: MsgId) {
        if self.newest_of(number).is_some_and(|i| self.plans.get(i).is_some_and(|p| matches!(p.fate, Fate::Failed(_)))) {
            return;
        }
        self.counts.failures += 1;
        let fate = Fate::Failed(why.clone());
        self.push(PlanNote { at, key: key.to_string().into(), why, calls: 0, cause, fate, number });
    }

    /// All calls of the last plan of a sync are answered (fewer, if a sequence failed).
    pub fn answered(&mut self, number: u64, outcomes: &[Option<Outcome>]) {
        let error = outcomes.iter().flatten().find(|o| !o.is_success() || o.code == 0);
        self.counts.failures += u64::from(error.is_some());
        let fate = error.map_or(Fate::Done, |error| Fate::Failed(error.message().into()));
        if let Some(plan) = self.newest_of(number).and_then(|i| self.plans.get_mut(i)) {
            plan.fate = fate;
        }
    }

    fn push(&mut self, note: PlanNote) {
        if self.plans.len() >= REMEMBERED_PLANS {
            self.plans.pop_front();
        }
        self.plans.push_back(note);
    }

    fn newest_of(&self, number: u64) -> Option<usize> {
        (0..self.plans.len()).rev().find(|i| self.plans.get(*i).is_some_and(|p| p.number == number))
    }

    /// Oldest first.
    pub fn plans(&self) -> impl Iterator<Item = &PlanNote> {
        self.plans.iter()
    }
}

/// A sync under way.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningView {
    pub key: Rc<str>,
    pub cause: MsgId,
    /// Calls sent, and how many of them are answered.
    pub calls: usize,
    pub answered: usize,
}

/// Everything about one controller.
#[derive(Clone, Debug)]
pub struct LoopView {
    pub name: &'static str,
    /// As whom it speaks.
    pub account: &'static str,
    pub workers: usize,
    pub is_held: bool,
    pub queue: QueueView,
    pub running: Vec<RunningView>,
    /// Oldest first.
    pub plans: Vec<PlanNote>,
    pub counts: Counts,
    /// What its caches follow.
    pub watches: Vec<Gvr>,
}

impl<K: Key> Runner<K> {
    pub(crate) fn loop_view(&self, limit: usize) -> LoopView {
        LoopView {
            name: self.info.name,
            account: self.info.account,
            workers: self.info.workers,
            is_held: self.is_held,
            queue: self.queue.view(limit),
            running: self.running_views(limit),
            plans: self.notes.plans().cloned().collect(),
            counts: self.notes.counts,
            watches: self.controller.watches().iter().map(|res| resources::gvr(*res)).collect(),
        }
    }
}
