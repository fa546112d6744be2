//! "What works now": each question is tried in a throwaway clone of the cluster, as a user would try it, and nothing happens in the
//! cluster that is shown. A clone runs a slice at a time, so that the page stays awake; its outcome is what came of it.

use base::{Digest, Duration, Time};
use cluster::{Bottle, Cluster};
use lenses::CheckSeen;
use protocol::{Action, Glyph, Inspector, Row, State, Tab, Thing};

use crate::attempt::{Attempt, Question, Verdict};
use crate::inspect::as_it_is;
use crate::offers::offer;
use crate::{api, observe};

/// A slice of trying takes at most this long, in wall ms.
const SLICE_MS: f64 = 4.0;
/// Messages handled between two looks at the wall clock.
const CHUNK: u64 = 48;
/// Whether anything has changed is looked at so often, in wall ms.
const LOOK_MS: f64 = 400.0;

/// The questions with what is known of each.
#[derive(Default)]
pub(crate) struct Checks {
    /// The moment that is tried from.
    base: Option<Cluster>,
    /// What of it the answers depend on; a change asks anew.
    fingerprint: u64,
    verdicts: Vec<Option<Verdict>>,
    running: Option<Box<Attempt>>,
    looked_ms: f64,
}

impl Checks {
    /// Tries anew if what the answers depend on has changed. True: there is something to try.
    pub fn begin(&mut self, bottle: &Bottle, wall_ms: f64) -> bool {
        if self.base.is_some() && (wall_ms - self.looked_ms).abs() < LOOK_MS {
            return self.next().is_some();
        }
        self.looked_ms = wall_ms;
        let cluster = bottle.shown();
        let fingerprint = fingerprint(cluster, bottle.is_past());
        if self.base.is_none() || fingerprint != self.fingerprint {
            self.fingerprint = fingerprint;
            self.verdicts = vec![None; Question::ALL.len()];
            self.running = None;
            self.base = Some(cluster.clone());
        }
        self.next().is_some()
    }

    /// Forgets what was found: the next [`Checks::begin`] tries all anew.
    pub fn forget(&mut self) {
        *self = Checks::default();
    }

    fn next(&self) -> Option<usize> {
        self.verdicts.iter().position(Option::is_none)
    }

    /// Tries for one slice. True: a question has been answered.
    pub fn run(&mut self, clock: &dyn Fn() -> f64) -> bool {
        let (Some(i), Some(base)) = (self.next(), &self.base) else { return false };
        let attempt = self.running.get_or_insert_with(|| Box::new(Attempt::new(Question::ALL[i], base)));
        let deadline = clock() + SLICE_MS;
        loop {
            if let Some(verdict) = attempt.run(CHUNK) {
                self.verdicts[i] = Some(verdict);
                self.running = None;
                return true;
            }
            if clock() >= deadline {
                return false;
            }
        }
    }

    /// Everything for the lens, and a word about when it was tried.
    pub fn seen(&self, now: Time) -> (Vec<CheckSeen>, String) {
        let rows = Question::ALL.iter().enumerate().map(|(i, question)| self.row(i, *question)).collect();
        let note = match &self.base {
            None => "tried in throwaway copies once the cluster is up".into(),
            Some(base) => {
                let (.., h, m, s) = base.now().civil();
                let ago = now.since(base.now());
                let ago = if ago.as_secs() >= 2 { format!(", {} ago", observe::age(ago)) } else { String::new() };
                format!("tried in throwaway copies of the cluster of {h:02}:{m:02}:{s:02}{ago}")
            }
        };
        (rows, note)
    }

    fn row(&self, i: usize, question: Question) -> CheckSeen {
        let trying = self.running.as_ref().filter(|_| self.next() == Some(i));
        let (state, glyph, line) = match (self.verdicts.get(i).and_then(Option::as_ref), trying) {
            (Some(verdict), _) => match verdict.works {
                Some(true) => (State::Ok, Glyph::Done, verdict.line.clone()),
                Some(false) => (State::Failing, Glyph::Failing, verdict.line.clone()),
                None => (State::Idle, Glyph::Off, verdict.line.clone()),
            },
            (None, Some(attempt)) => {
                (State::Starting, Glyph::Starting, format!("trying, {:.1} s in", attempt.elapsed().as_secs_f64()))
            }
            (None, None) => (State::Idle, Glyph::Pending, "not tried yet".into()),
        };
        CheckSeen {
            name: question.name().into(),
            title: question.title().into(),
            state,
            glyph,
            line,
            opens: Some(Thing::Check { name: question.name().into() }),
        }
    }

    /// What was done for a question, step by step, and what came of it.
    pub fn verdict(&self, name: &str) -> Option<(Question, Option<&Verdict>)> {
        let i = Question::ALL.iter().position(|q| q.name() == name)?;
        Some((Question::ALL[i], self.verdicts.get(i).and_then(Option::as_ref)))
    }
}

/// Faults, power, which processes run, which nodes and add-ons are Ready, and which ReplicaSets there are to heal.
fn fingerprint(cluster: &Cluster, past: bool) -> u64 {
    let mut digest = Digest::new();
    let faults = &cluster.queue.faults;
    for (a, b) in faults.cut.iter() {
        digest.write_u64(u64::from(a.0) << 32 | u64::from(b.0));
    }
    for ((a, b), delay) in faults.delay.iter() {
        digest.write_u64(u64::from(a.0) << 32 | u64::from(b.0));
        digest.write_u64(delay.0 as u64);
    }
    for (addr, proc) in cluster.procs() {
        digest.write(proc.name.as_bytes());
        digest.write_u64(u64::from(proc.is_running()) | u64::from(cluster.is_silent(addr)) << 1);
    }
    for node in api::list(cluster, apimachinery::resources::nodes(), "") {
        digest.write_u64(u64::from(node.condition_is_true("Ready")));
    }
    for set in api::list(cluster, apimachinery::resources::replicasets(), "") {
        digest.write(set.name().as_bytes());
    }
    digest.write_u64(u64::from(cluster.api().is_some_and(|a| a.is_ready())));
    if past {
        digest.write_u64(cluster.now().0 as u64);
    }
    digest.finish()
}

/// What was done for a question, step by step, and what came of it; `all`: every question.
pub(crate) fn inspector(checks: &Checks, name: &str, now: Time) -> Inspector {
    let (rows, note) = checks.seen(now);
    let mut overview: Vec<Row> = Vec::new();
    let shown = rows.iter().filter(|r| name == "all" || r.name == name);
    for row in shown.clone() {
        let Some((question, verdict)) = checks.verdict(&row.name) else { continue };
        overview.push(Row { heading: Some(format!("{}: {}", row.title, row.line)), ..as_it_is("Tried", question.tried()) });
        for (at, text) in verdict.map(|v| v.steps.as_slice()).unwrap_or_default() {
            overview.push(as_it_is(&format!("+{}", span(*at)), text.clone()));
        }
    }
    let first = shown.clone().next().filter(|_| name != "all");
    Inspector {
        thing: Some(Thing::Check { name: name.into() }),
        title: first.map_or_else(|| "What works now".to_string(), |r| r.title.clone()),
        subtitle: note,
        state: first.map_or(State::Idle, |r| r.state),
        glyph: first.map_or(Glyph::None, |r| r.glyph),
        tabs: vec![(Tab::Overview, None)],
        overview: Some(overview),
        offers: vec![offer(Action::Recheck, "Try again", "Tries every question in a new copy of this moment", false)],
        ..Inspector::default()
    }
}

/// A span in words: `12 ms`, `3.1 s`.
pub(crate) fn span(d: Duration) -> String {
    match d.as_millis() {
        ms if ms < 10 => format!("{:.1} ms", d.as_secs_f64() * 1_000.0),
        ms if ms < 1_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", d.as_secs_f64()),
    }
}
