//! Plays a lab on a bottle: prepares the cluster, looks at every change, tries what has to be tried, says how far the learner is.
//!
//! It has no clock and does nothing by itself: whoever lets time pass (the session, a test) calls [`Player::advance`] afterwards,
//! hands in what the laptop says, and lets it try a slice at a time ([`Player::try_some`]).

use std::rc::Rc;

use base::{Duration, Time};
use cluster::{Bottle, Cluster};
use cri_api::host::HostMessage;
use protocol::{Ghost, LabStepState};

use crate::asked::Ear;
use crate::ghosts::ghosts;
use crate::lab::{Check, Deed, Lab, Question, Step, Test};
use crate::query::{Outcome, Query};
use crate::script::{Progress, Script};
use crate::state;
use crate::trial::{Running, Tried};

/// A cluster that isn't ready after so long is taken as it is (a lab may begin with one that can't be).
const BOOT: Duration = Duration::from_secs(120);
/// What is tried is tried anew after so long, even if no object has changed: rules, files and processes have.
const AGAIN: Duration = Duration::from_secs(1);
/// And not sooner than this after a change.
const SETTLE: Duration = Duration::from_millis(150);

/// What the player is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Booting,
    Setup,
    /// Solves steps that were passed in an earlier visit.
    Skipping,
    /// What a step begins with.
    Before,
    Playing,
    Solving,
    Passed,
    Finished,
    /// Setup or solution went wrong.
    Broken,
}

/// How a check of the step stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    pub holds: bool,
    pub message: String,
}

/// All tries of a step, from one moment.
#[derive(Clone)]
struct Round {
    base: Cluster,
    running: Option<(usize, Running)>,
    results: Vec<(usize, Tried)>,
}

/// A lab being played.
#[derive(Clone)]
pub struct Player {
    pub lab: Rc<Lab>,
    pub phase: Phase,
    pub step: usize,
    pub(crate) note: String,
    pub(crate) states: Vec<LabStepState>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) wrong: Option<usize>,
    pub(crate) ghosts: Vec<Ghost>,
    pub(crate) hints: usize,
    pub(crate) answers: Vec<Option<String>>,
    script: Script,
    skip: usize,
    ear: Ear,
    heard: Vec<bool>,
    heard_wrong: Vec<bool>,
    began: Time,
    pub(crate) seen: Option<u64>,
    round: Option<Round>,
    tried: Vec<Option<Tried>>,
    tried_at: Option<(Time, u64)>,
    solved: bool,
}

impl Player {
    /// A lab at its beginning; the first `passed` steps are solved without being shown.
    pub fn new(lab: Rc<Lab>, passed: usize) -> Player {
        // Who has passed all of it begins anew.
        let skip = if passed < lab.steps.len() { passed } else { 0 };
        Player {
            states: vec![LabStepState::Todo; lab.steps.len()],
            lab,
            phase: Phase::Booting,
            step: 0,
            note: String::new(),
            verdicts: Vec::new(),
            wrong: None,
            ghosts: Vec::new(),
            hints: 0,
            answers: Vec::new(),
            script: Script::default(),
            skip,
            ear: Ear::default(),
            heard: Vec::new(),
            heard_wrong: Vec::new(),
            began: Time::EPOCH,
            seen: None,
            round: None,
            tried: Vec::new(),
            tried_at: None,
            solved: false,
        }
    }

    /// A lab whose cluster was restored: the step after the `passed` ones goes on as it is.
    pub fn resumed(lab: Rc<Lab>, passed: usize, bottle: &Bottle) -> Player {
        let mut player = Player::new(lab, passed);
        player.step = player.skip;
        (0..player.step).for_each(|i| player.states[i] = LabStepState::Passed);
        player.play(bottle);
        player
    }

    pub(crate) fn current(&self) -> Option<&Step> {
        self.lab.steps.get(self.step)
    }

    /// What the step's goal still lacks: nothing once it is passed.
    pub fn ghosts(&self) -> &[Ghost] {
        &self.ghosts
    }

    /// When the step began: where a reset leads.
    pub fn began(&self) -> Time {
        self.began
    }

    /// Whether time may pass as fast as it can: nobody is meant to watch.
    pub fn hurries(&self) -> bool {
        match self.phase {
            Phase::Booting | Phase::Setup | Phase::Skipping | Phase::Before => true,
            Phase::Solving => self.script.waits(),
            _ => false,
        }
    }

    /// Takes a message of the laptop or a node. True: it was for the lab.
    pub fn message(&mut self, message: &HostMessage) -> bool {
        self.script.message(message)
    }

    /// Goes on after time has passed. True: there is something new to show.
    pub fn advance(&mut self, bottle: &mut Bottle) -> bool {
        let before = (self.phase.clone(), self.step, self.note.clone());
        let mut changed = false;
        match self.phase {
            Phase::Booting => self.boot(bottle),
            Phase::Setup | Phase::Skipping | Phase::Before => self.prepare(bottle),
            Phase::Solving => {
                self.drive_solution(bottle);
                changed = self.look(bottle);
            }
            Phase::Playing => changed = self.look(bottle),
            Phase::Passed | Phase::Finished | Phase::Broken => {}
        }
        changed || before != (self.phase.clone(), self.step, self.note.clone())
    }

    fn boot(&mut self, bottle: &mut Bottle) {
        let up = bottle.head().now().since(bottle.start());
        self.note = "the cluster boots".into();
        let settled = bottle.head().is_ready() && pods_can_be_made(bottle.head());
        if settled || up > BOOT && bottle.head().api().is_some_and(|a| a.is_ready()) {
            let setup = self.lab.setup.clone();
            self.begin(Phase::Setup, &setup);
        }
    }

    fn begin(&mut self, phase: Phase, deeds: &[Deed]) {
        self.phase = phase;
        self.script.begin(deeds);
    }

    /// Drives what nobody is meant to watch: setup, earlier steps, what a step begins with.
    fn prepare(&mut self, bottle: &mut Bottle) {
        match self.script.drive(bottle) {
            Progress::Busy => self.note = self.script.note(),
            Progress::Answer(..) => {}
            Progress::Failed(text) => {
                self.note = text;
                self.phase = Phase::Broken;
            }
            Progress::Done => match self.phase {
                Phase::Before if self.step < self.skip => {
                    let solution = self.lab.steps[self.step].solution.clone();
                    self.begin(Phase::Skipping, &solution);
                }
                Phase::Before => self.play(bottle),
                Phase::Skipping => {
                    self.states[self.step] = LabStepState::Passed;
                    self.step += 1;
                    self.begin_step();
                }
                _ => self.begin_step(),
            },
        }
    }

    fn begin_step(&mut self) {
        let before = self.current().map(|s| s.before.clone()).unwrap_or_default();
        self.begin(Phase::Before, &before);
    }

    fn play(&mut self, bottle: &Bottle) {
        let (checks, wrong) = self.current().map_or((0, 0), |s| (s.checks.len(), s.wrong.len()));
        if let Some(state) = self.states.get_mut(self.step) {
            *state = LabStepState::Now;
        }
        self.phase = Phase::Playing;
        self.note.clear();
        self.verdicts = vec![Verdict::default(); checks];
        self.answers = vec![None; checks];
        self.tried = vec![None; checks];
        (self.heard, self.heard_wrong) = (vec![false; checks], vec![false; wrong]);
        (self.wrong, self.hints, self.solved) = (None, 0, false);
        (self.round, self.tried_at, self.seen) = (None, None, None);
        self.ghosts.clear();
        self.ear = Ear::begin(bottle);
        self.began = bottle.head().now();
        if checks == 0 {
            // A caption: who has read it goes on.
            self.pass();
        }
    }

    fn drive_solution(&mut self, bottle: &mut Bottle) {
        loop {
            match self.script.drive(bottle) {
                Progress::Busy => self.note = self.script.note(),
                Progress::Done => self.note = "done; now the cluster acts".into(),
                Progress::Failed(text) => {
                    self.note = format!("The solution failed: {text}");
                    self.phase = Phase::Playing;
                }
                Progress::Answer(question, text) => {
                    let questions = self.current().into_iter().flat_map(|s| s.checks.iter().enumerate());
                    let at = questions.filter(|(_, c)| matches!(c.test, Test::Question(_))).nth(question).map(|(i, _)| i);
                    if let Some(i) = at {
                        let text = if text == "*" { self.right_answer(i, bottle.head()) } else { text };
                        self.answer(i, &text);
                    }
                    continue;
                }
            }
            return;
        }
    }

    /// Looks whether the checks hold. True: something is otherwise than before.
    fn look(&mut self, bottle: &Bottle) -> bool {
        let news = self.listen(bottle);
        let state = fingerprint(bottle.head());
        if !news && self.seen == Some(state) {
            return false;
        }
        self.seen = Some(state);
        self.judge(bottle.head())
    }

    /// Notes which requests were made. True: one of those that are waited for.
    fn listen(&mut self, bottle: &Bottle) -> bool {
        let Some(step) = self.lab.steps.get(self.step) else { return false };
        let asked = |test: &Test| matches!(test, Test::Asked(_));
        if !step.checks.iter().any(|c| asked(&c.test)) && !step.wrong.iter().any(|w| asked(&w.test)) {
            return false;
        }
        let (mut news, heard, heard_wrong) = (false, &mut self.heard, &mut self.heard_wrong);
        self.ear.listen(bottle, |record| {
            let mut note = |test: &Test, flag: &mut bool| {
                if let Test::Asked(asked) = test
                    && !*flag
                    && asked.matches(bottle, record)
                {
                    (*flag, news) = (true, true);
                }
            };
            step.checks.iter().zip(heard.iter_mut()).for_each(|(c, flag)| note(&c.test, flag));
            step.wrong.iter().zip(heard_wrong.iter_mut()).for_each(|(w, flag)| note(&w.test, flag));
        });
        news
    }

    fn judge(&mut self, cluster: &Cluster) -> bool {
        let lab = self.lab.clone();
        let Some(step) = lab.steps.get(self.step) else { return false };
        let ghosts = ghosts(&step.goal, cluster);
        let verdicts: Vec<Verdict> =
            step.checks.iter().enumerate().map(|(i, check)| self.verdict(i, check, cluster, ghosts.is_empty())).collect();
        let wrong = step.wrong.iter().enumerate().position(|(i, w)| match &w.test {
            Test::Asked(_) => self.heard_wrong[i],
            test => state::evaluate(test, cluster).is_some_and(|o| o.holds),
        });
        let passed = verdicts.iter().all(|v| v.holds);
        let wrong = wrong.filter(|_| !passed);
        let changed = (&verdicts, wrong, &ghosts) != (&self.verdicts, self.wrong, &self.ghosts);
        (self.verdicts, self.wrong, self.ghosts) = (verdicts, wrong, ghosts);
        if passed {
            self.pass();
        }
        changed || passed
    }

    fn verdict(&self, i: usize, check: &Check, cluster: &Cluster, reached: bool) -> Verdict {
        let said = |holds: bool, message: String| Verdict { holds, message: if holds { String::new() } else { message } };
        match &check.test {
            Test::Asked(_) => said(self.heard[i], check.fail.clone()),
            Test::Goal => said(reached, check.fail.clone()),
            Test::Question(question) => {
                let (holds, message) = self.reply(i, question, cluster);
                said(holds, message)
            }
            Test::Try(_) => match &self.tried[i] {
                Some(tried) => said(tried.holds, fill(&check.fail, "", "", &tried.line)),
                None => Verdict::default(),
            },
            test => {
                let Outcome { holds, count, name, value } = state::evaluate(test, cluster).unwrap_or(Outcome {
                    holds: false,
                    count: 0,
                    name: String::new(),
                    value: String::new(),
                });
                said(holds, fill(&check.fail, &name, &count.to_string(), &value))
            }
        }
    }

    /// Whether the answer is right, and what to say if it isn't.
    fn reply(&self, i: usize, question: &Question, cluster: &Cluster) -> (bool, String) {
        let Some(answer) = &self.answers[i] else { return (false, String::new()) };
        let same = |a: &str| a.trim().eq_ignore_ascii_case(answer.trim());
        let right = question.answers.iter().any(|a| same(a))
            || question.from.as_ref().is_some_and(|q| q.values(cluster).iter().any(|v| same(v)));
        let reply = question.replies.iter().find(|(a, _)| same(a)).map(|(_, reply)| reply.clone());
        (right, reply.unwrap_or_else(|| "No, that isn't it.".into()))
    }

    /// The first of the right answers to a question.
    fn right_answer(&self, i: usize, cluster: &Cluster) -> String {
        let check = self.current().and_then(|s| s.checks.get(i));
        let Some(Test::Question(question)) = check.map(|c| &c.test) else { return String::new() };
        let found = question.from.as_ref().and_then(|q| q.values(cluster).into_iter().next());
        question.answers.first().cloned().or(found).unwrap_or_default()
    }

    fn pass(&mut self) {
        self.states[self.step] = if self.solved { LabStepState::Solved } else { LabStepState::Passed };
        self.phase = if self.step + 1 == self.lab.steps.len() { Phase::Finished } else { Phase::Passed };
        (self.round, self.wrong) = (None, None);
        self.ghosts.clear();
        self.note.clear();
    }

    /// Whether something has to be tried now. A round of tries begins if nothing under way is left and something may have changed.
    pub fn wants_to_try(&mut self, bottle: &Bottle) -> bool {
        if !matches!(self.phase, Phase::Playing | Phase::Solving) {
            self.round = None;
            return false;
        }
        if self.round.is_some() {
            return true;
        }
        let Some(step) = self.current() else { return false };
        let is_try = |c: &Check| matches!(c.test, Test::Try(_));
        // What costs a clone comes last: when all that is seen at once holds.
        let others = step.checks.iter().zip(&self.verdicts).filter(|(c, _)| !is_try(c)).all(|(_, v)| v.holds);
        if !step.checks.iter().any(is_try) || !others {
            return false;
        }
        let (now, state) = (bottle.head().now(), fingerprint(bottle.head()));
        let due = self.tried_at.is_none_or(|(at, seen)| {
            let since = now.since(at);
            since >= AGAIN || since >= SETTLE && seen != state || since < Duration::ZERO
        });
        if due {
            self.tried_at = Some((now, state));
            self.round = Some(Round { base: bottle.head().clone(), running: None, results: Vec::new() });
        }
        due
    }

    /// Whether a round of tries is under way.
    pub fn is_trying(&self) -> bool {
        self.round.is_some()
    }

    /// Tries for at most `n` messages. True: there is something new to show.
    pub fn try_some(&mut self, bottle: &Bottle, n: u64) -> bool {
        let lab = self.lab.clone();
        let (Some(step), Some(round)) = (lab.steps.get(self.step), &mut self.round) else { return false };
        let tries: Vec<(usize, &crate::trial::Try)> = step
            .checks
            .iter()
            .enumerate()
            .filter_map(|(i, c)| if let Test::Try(t) = &c.test { Some((i, t)) } else { None })
            .collect();
        let Some((i, attempt)) = tries.get(round.results.len()).copied() else { return false };
        let (_, running) = round.running.get_or_insert_with(|| (i, attempt.begin(&round.base)));
        let Some(tried) = running.run(attempt, n) else { return false };
        round.running = None;
        round.results.push((i, tried));
        if round.results.len() < tries.len() {
            return false;
        }
        for (i, tried) in std::mem::take(&mut round.results) {
            self.tried[i] = Some(tried);
        }
        self.round = None;
        self.judge(bottle.head())
    }

    /// One more hint. False: there is none.
    pub fn hint(&mut self) -> bool {
        let more = self.current().is_some_and(|s| self.hints < s.hints.len()) && self.phase == Phase::Playing;
        self.hints += usize::from(more);
        more
    }

    /// An answer to a check that is a question.
    pub fn answer(&mut self, check: usize, text: &str) {
        if let Some(answer) = self.answers.get_mut(check) {
            *answer = Some(text.chars().take(crate::limits::LINE).collect());
            self.seen = None;
        }
    }

    /// Carries out the step's solution.
    pub fn solve(&mut self) {
        let Some(solution) = self.current().map(|s| s.solution.clone()).filter(|s| !s.is_empty()) else { return };
        if self.phase == Phase::Playing {
            self.solved = true;
            self.begin(Phase::Solving, &solution);
        }
    }

    /// Carries out deeds that lead to a wrong turn: for proofs.
    pub(crate) fn provoke(&mut self, deeds: &[Deed]) {
        self.begin(Phase::Solving, deeds);
    }

    /// The next step, if this one is passed.
    pub fn next(&mut self) {
        if self.phase == Phase::Passed {
            self.step += 1;
            self.begin_step();
        }
    }

    /// Back to the moment at which the step began, on a branch of its own. False: there is no such moment.
    pub fn reset(&mut self, bottle: &mut Bottle) -> bool {
        if matches!(self.phase, Phase::Booting | Phase::Setup | Phase::Skipping | Phase::Before) || self.began == Time::EPOCH {
            return false;
        }
        bottle.seek(self.began);
        let name = format!("step {} again", self.step + 1);
        bottle.fork(Some(&name));
        self.script.begin(&[]);
        self.play(bottle);
        true
    }
}

/// Whether the namespace default has its ServiceAccount: before that pods are refused.
fn pods_can_be_made(cluster: &Cluster) -> bool {
    Query::new("serviceaccounts/default").is_ok_and(|q| q.evaluate(cluster).holds)
}

/// Changes when something that state tests look at has.
fn fingerprint(cluster: &Cluster) -> u64 {
    let mut digest = base::Digest::new();
    digest.write_u64(cluster.api().filter(|a| a.is_ready()).map_or(0, |a| a.revision() as u64 + 1));
    for (addr, proc) in cluster.procs() {
        digest.write_u64(u64::from(proc.is_running()) | u64::from(cluster.is_silent(addr)) << 1);
    }
    digest.write_u64(cluster.nodes.iter().filter(|(_, n)| n.powered).count() as u64);
    digest.finish()
}

fn fill(text: &str, name: &str, count: &str, value: &str) -> String {
    text.replace("{name}", name).replace("{count}", count).replace("{value}", value)
}
