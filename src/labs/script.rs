//! Carries out deeds, one after the other, as time allows: a command is a job of the laptop and has ended before the next begins.

use std::collections::VecDeque;
use std::rc::Rc;

use base::{Duration, Time};
use cluster::{Bottle, Input};
use cri_api::host::HostMessage;

use crate::lab::{Deed, Test};
use crate::{limits, state};

/// Jobs of labs have numbers from here on.
pub(crate) const JOBS: u32 = 5_000_000;
/// The manifest moves have one number: nobody waits for them.
const MOVE: u32 = JOBS - 1;
/// How long `until` waits.
const UNTIL: Duration = Duration::from_secs(900);

#[derive(Clone, Debug, Default)]
enum Waiting {
    #[default]
    Nothing,
    Job {
        command: String,
        may_fail: bool,
        ended: Option<i32>,
        output: Vec<u8>,
        deadline: Time,
    },
    Time(Time),
    Until(Box<Test>, Time),
}

/// Deeds under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    left: VecDeque<Deed>,
    waiting: Waiting,
    /// Counts jobs over the player's lifetime.
    job: u32,
}

/// How far a script is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Progress {
    Busy,
    Done,
    /// An answer to the step's n-th question.
    Answer(usize, String),
    Failed(String),
}

impl Script {
    /// Begins with these deeds; what was under way is forgotten.
    pub fn begin(&mut self, deeds: &[Deed]) {
        self.left = deeds.iter().cloned().collect();
        self.waiting = Waiting::Nothing;
    }

    /// Whether it only waits for time to pass: then time may hurry.
    pub fn waits(&self) -> bool {
        matches!(self.waiting, Waiting::Time(_) | Waiting::Until(..))
    }

    /// What it is doing, in a few words.
    pub fn note(&self) -> String {
        match &self.waiting {
            Waiting::Job { command, .. } => command.lines().next().unwrap_or("").chars().take(80).collect(),
            Waiting::Time(_) | Waiting::Until(..) => "time passes".into(),
            Waiting::Nothing => String::new(),
        }
    }

    /// Takes a message of the laptop. True: it was for this script.
    pub fn message(&mut self, message: &HostMessage) -> bool {
        match (message, &mut self.waiting) {
            (HostMessage::JobOutput { job, data, .. }, Waiting::Job { output, .. }) if *job == JOBS + self.job => {
                let room = limits::OUTPUT.saturating_sub(output.len());
                output.extend_from_slice(&data[..data.len().min(room)]);
                true
            }
            (HostMessage::JobDone { job, code }, Waiting::Job { ended, .. }) if *job == JOBS + self.job => {
                *ended = Some(*code);
                true
            }
            (HostMessage::JobOutput { job, .. } | HostMessage::JobDone { job, .. }, _) => *job >= MOVE,
            _ => false,
        }
    }

    /// Goes on as far as it gets now.
    pub fn drive(&mut self, bottle: &mut Bottle) -> Progress {
        loop {
            let now = bottle.head().now();
            match &self.waiting {
                Waiting::Nothing => {}
                Waiting::Time(until) if now < *until => return Progress::Busy,
                Waiting::Until(test, deadline) => {
                    let holds = state::evaluate(test, bottle.head()).is_some_and(|o| o.holds);
                    if !holds && now < *deadline {
                        return Progress::Busy;
                    }
                    if !holds {
                        return self.fail("what was waited for did not come".into());
                    }
                }
                Waiting::Job { command, may_fail, ended, output, deadline } => {
                    let Some(code) = ended else {
                        if now < *deadline {
                            return Progress::Busy;
                        }
                        let text = format!("{command}: has not ended");
                        return self.fail(text);
                    };
                    if *code != 0 && !may_fail {
                        let said = String::from_utf8_lossy(output);
                        let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no output");
                        let text = format!("{}: exit {code}: {last}", command.trim());
                        return self.fail(text);
                    }
                }
                Waiting::Time(_) => {}
            }
            self.waiting = Waiting::Nothing;
            let Some(deed) = self.left.pop_front() else { return Progress::Done };
            if let Deed::Answer { question, text } = deed {
                return Progress::Answer(question, text);
            }
            self.carry_out(deed, bottle);
        }
    }

    fn fail(&mut self, text: String) -> Progress {
        self.left.clear();
        self.waiting = Waiting::Nothing;
        Progress::Failed(text.chars().take(400).collect())
    }

    fn job(&mut self, bottle: &mut Bottle, argv: &[&str], stdin: &str, command: String, may_fail: bool) {
        self.job += 1;
        let argv = argv.iter().map(|a| (*a).into()).collect();
        let message = HostMessage::RunJob { job: JOBS + self.job, argv, stdin: stdin.as_bytes().into() };
        bottle.input(Input::Laptop(message.into()));
        let deadline = bottle.head().now() + limits::COMMAND;
        self.waiting = Waiting::Job { command, may_fail, ended: None, output: Vec::new(), deadline };
    }

    fn carry_out(&mut self, deed: Deed, bottle: &mut Bottle) {
        let now = bottle.head().now();
        match deed {
            Deed::Run { command, may_fail } => {
                let line = format!("cd /root; {command}");
                self.job(bottle, &["sh", "-c", &line], "", command, may_fail);
            }
            Deed::Apply(text) => self.job(bottle, &["kubectl", "apply", "-f", "-"], &text, "kubectl apply -f -".into(), false),
            Deed::File { path, text } => {
                let message = HostMessage::WriteFile { path: path.as_str().into(), data: text.as_bytes().into() };
                bottle.input(Input::Laptop(message.into()));
            }
            Deed::Wait(span) => self.waiting = Waiting::Time(now + span),
            Deed::Until(test) => self.waiting = Waiting::Until(test, now + UNTIL),
            Deed::Stop(component) => move_manifest(bottle, &component, true),
            Deed::Start(component) => move_manifest(bottle, &component, false),
            Deed::Isolate(machine) => each_other(bottle, &machine, Input::Cut),
            Deed::Rejoin(machine) => each_other(bottle, &machine, Input::Mend),
            Deed::PowerOff(name) => input(bottle, Input::PowerOff(name.as_str().into())),
            Deed::PowerOn(name) => input(bottle, Input::PowerOn(name.as_str().into())),
            Deed::Cut(a, b) => input(bottle, Input::Cut(process(bottle, &a), process(bottle, &b))),
            Deed::Mend(a, b) => input(bottle, Input::Mend(process(bottle, &a), process(bottle, &b))),
            Deed::Freeze(name) => input(bottle, Input::Freeze(process(bottle, &name))),
            Deed::Thaw(name) => input(bottle, Input::Thaw(process(bottle, &name))),
            Deed::Kill(name) => input(bottle, Input::Kill(process(bottle, &name))),
            Deed::AddNode => input(bottle, Input::AddNode),
            Deed::Answer { .. } => {}
        }
    }
}

fn input(bottle: &mut Bottle, input: Input) {
    bottle.input(input);
}

/// A process by its name, or the first of a component's name (`kube-scheduler` is `kube-scheduler/cp-1`).
fn process(bottle: &Bottle, name: &str) -> Rc<str> {
    let cluster = bottle.head();
    if cluster.addr(name).is_some() || cluster.nodes.contains_key(name) {
        return name.into();
    }
    let found = cluster.of_component(name).next().map(|(_, p)| p.name.clone());
    found.unwrap_or_else(|| name.into())
}

/// As an administrator does it: a kubelet's directory of static pods.
fn move_manifest(bottle: &mut Bottle, component: &str, away: bool) {
    let name = process(bottle, component);
    let Some(machine) = bottle.head().procs().find(|(_, p)| p.name == name).map(|(_, p)| p.machine.clone()) else { return };
    let component = name.split('/').next().unwrap_or(component);
    let (here, there) = (format!("/etc/kubernetes/manifests/{component}.yaml"), format!("/etc/kubernetes/{component}.yaml"));
    let (from, to) = if away { (here, there) } else { (there, here) };
    let argv = ["mv", &from, &to].map(Into::into).to_vec();
    let job = HostMessage::RunJob { job: MOVE, argv, stdin: (*b"").into() };
    bottle.input(Input::Machine(machine, job.into()));
}

/// Does something to the links between a machine and every other one.
fn each_other(bottle: &mut Bottle, machine: &str, make: fn(Rc<str>, Rc<str>) -> Input) {
    let mut others: Vec<Rc<str>> = bottle.head().procs().map(|(_, p)| p.machine.clone()).filter(|m| **m != *machine).collect();
    others.sort();
    others.dedup();
    for other in others {
        bottle.input(make(machine.into(), other));
    }
}
