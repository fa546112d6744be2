//! A lab as it is meant: steps, checks, deeds.

use apimachinery::Object;
use base::Duration;
use cluster::{Config, Recipe};
use protocol::{Block, Lens, Speed};

use crate::asked::Asked;
use crate::query::Query;
use crate::trial::Try;

/// A whole lab.
#[derive(Clone, Debug)]
pub struct Lab {
    pub name: String,
    pub title: String,
    /// Of its text, and those that there are; none: it isn't known (a lab of another form).
    pub language: String,
    pub languages: Vec<String>,
    pub minutes: u32,
    /// Steps without checks are captions: whoever has read one goes on.
    pub tour: bool,
    pub config: Config,
    /// Where that comes from: what a save of the lab's cluster names.
    pub recipe: Recipe,
    /// How time passes while the learner works.
    pub speed: Option<Speed>,
    /// What is done once the cluster is up.
    pub setup: Vec<Deed>,
    pub intro: Vec<Block>,
    pub steps: Vec<Step>,
    pub outro: Vec<Block>,
    /// What of an imported lab the bottle can't do.
    pub warnings: Vec<String>,
}

/// A step: what to reach, and how that is known.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub title: String,
    pub blocks: Vec<Block>,
    pub lens: Option<Lens>,
    /// The box that is opened when the step begins.
    pub show: Option<String>,
    /// What is done before it begins: a fault, something that somebody else applies.
    pub before: Vec<Deed>,
    pub checks: Vec<Check>,
    pub wrong: Vec<WrongTurn>,
    pub hints: Vec<Vec<Block>>,
    /// Objects as they should be in the end; what they lack is shown.
    pub goal: Vec<Object>,
    pub solution: Vec<Deed>,
}

/// Something that has to hold.
#[derive(Clone, Debug)]
pub struct Check {
    /// In the learner's words: `Three replicas are Ready`.
    pub want: String,
    /// What is said while it doesn't hold: `{value}`, `{count}` and `{name}` are filled in.
    pub fail: String,
    pub test: Test,
}

/// How it is known.
#[derive(Clone, Debug)]
pub enum Test {
    /// Objects, as the API says.
    Query(Query),
    /// Whether a component's process runs: as it is.
    Component { name: String, state: Liveness },
    /// Whether a machine has power.
    Machine { name: String, on: bool },
    /// The learner (or somebody else) asked kube-apiserver for something.
    Asked(Asked),
    /// Tried in a clone: a command, a request.
    Try(Try),
    /// The learner is asked.
    Question(Question),
    /// The step's goal lacks nothing.
    Goal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    Up,
    Stopped,
    Frozen,
}

/// A question to the learner.
#[derive(Clone, Debug, Default)]
pub struct Question {
    pub options: Vec<String>,
    /// Any of these is right.
    pub answers: Vec<String>,
    /// Or what the cluster has there.
    pub from: Option<Query>,
    /// What is said to a wrong answer.
    pub replies: Vec<(String, String)>,
}

/// A way that doesn't lead to the goal.
#[derive(Clone, Debug)]
pub struct WrongTurn {
    pub say: String,
    pub test: Test,
    /// How to get there: proves that it is noticed.
    pub provoke: Vec<Deed>,
}

/// Something that is done to the cluster.
#[derive(Clone, Debug)]
pub enum Deed {
    /// A command line of the laptop's shell.
    Run {
        command: String,
        may_fail: bool,
    },
    /// `kubectl apply -f -`
    Apply(String),
    /// A file of the laptop.
    File {
        path: String,
        text: String,
    },
    /// The answer to the step's n-th question; `*`: the right one.
    Answer {
        question: usize,
        text: String,
    },
    PowerOff(String),
    PowerOn(String),
    Cut(String, String),
    Mend(String, String),
    /// Cuts a machine from all others, and joins it again.
    Isolate(String),
    Rejoin(String),
    Freeze(String),
    Thaw(String),
    Kill(String),
    /// Moves a static pod's manifest away from its kubelet, and back.
    Stop(String),
    Start(String),
    AddNode,
    Wait(Duration),
    /// Waits until it holds, for a bounded time.
    Until(Box<Test>),
}
