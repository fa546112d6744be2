//! A lab on the page: its text, already taken apart (so that nothing of it is ever HTML), and how far the learner is.

use serde::{Deserialize, Serialize};

use crate::{Lens, Thing};

/// What the learner does with a lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LabCommand {
    /// Open the lab that these files are; a cluster of its own boots for it. Answered by [`crate::ToPage::LabText`], or a state that
    /// says what is wrong with it.
    Open(LabFiles),
    /// Leave the lab; the cluster stays as it is.
    Close,
    /// Begin the next step.
    Next,
    /// Show one more hint.
    Hint,
    /// Do what the solution does, on the learner's laptop.
    Solve,
    /// Back to the moment at which the step began (as a fork: nothing is lost).
    Reset,
    /// The same lab's files with another language: the text is sent anew, and the lab goes on where it is.
    Language(LabFiles),
    /// An answer to a question of the step.
    Answer { check: u32, text: String },
}

/// A lab's files as they were fetched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabFiles {
    /// The folder's name, or the address that it came from.
    pub name: String,
    /// Path in the folder, text.
    pub files: Vec<(String, String)>,
    /// The reader's language: `lab.de.md` is taken if it is there.
    pub language: String,
    /// Steps that were passed in an earlier visit: they are solved first.
    pub passed: u32,
    /// The cluster was restored, and is the lab's in the midst of the step after those: no boot, no setup.
    pub resumed: bool,
}

/// A lab's text. Sent once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabText {
    pub name: String,
    pub title: String,
    /// Of the text, and those to choose from, as in `lang`: `de`. Empty where it isn't known.
    pub language: String,
    pub languages: Vec<String>,
    /// About how long it takes.
    pub minutes: u32,
    /// Nothing is to be done: the steps are captions of what is shown, in large type.
    pub tour: bool,
    pub intro: Vec<Block>,
    pub steps: Vec<LabStepText>,
    pub outro: Vec<Block>,
    /// What of an imported lab the bottle can't do.
    pub warnings: Vec<String>,
}

/// A step's text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabStepText {
    pub title: String,
    pub blocks: Vec<Block>,
    /// How many hints there are.
    pub hints: u32,
    /// The lens that shows best what happens.
    pub lens: Option<Lens>,
    /// The box that is opened when the step begins.
    pub show: Option<String>,
    pub solvable: bool,
}

/// How far the learner is. Sent when it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabState {
    pub phase: LabPhase,
    /// The step being done, from 0; the number of steps once all are.
    pub step: u32,
    /// What happens now, or what went wrong.
    pub note: String,
    pub steps: Vec<LabStepState>,
    /// Of the step being done.
    pub checks: Vec<LabCheck>,
    /// The learner went another way than the step means: why that doesn't lead there.
    pub wrong: Option<String>,
    /// What the goal's objects still lack.
    pub ghosts: Vec<Ghost>,
    /// The hints shown so far.
    pub hints: Vec<Vec<Block>>,
}

/// What a lab is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabPhase {
    /// The files can't be used; the note says why, a line per mistake.
    Broken,
    /// The cluster boots and is prepared.
    #[default]
    SettingUp,
    Playing,
    /// The solution is being carried out.
    Solving,
    /// Every check of the step holds.
    Passed,
    Finished,
}

/// How a step went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabStepState {
    #[default]
    Todo,
    Now,
    Passed,
    /// By "solve this step".
    Solved,
}

/// One thing that is looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabCheck {
    pub want: String,
    pub holds: bool,
    /// Why it doesn't hold.
    pub message: String,
    /// A question to the learner instead of to the cluster.
    pub question: Option<LabQuestion>,
}

/// A question with its options (none: the answer is typed).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabQuestion {
    pub options: Vec<String>,
    pub answered: String,
}

/// An object of the goal that isn't there, or not like that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ghost {
    pub kind: String,
    /// Group and plural, as in a [`Thing::Object`].
    pub group: String,
    pub resource: String,
    pub namespace: String,
    pub name: String,
    /// Fields and what they should be; empty: the object is missing.
    pub lacks: Vec<String>,
}

impl Ghost {
    /// The object that it would be, or is.
    pub fn thing(&self) -> Thing {
        Thing::object(&self.group, &self.resource, &self.namespace, &self.name)
    }

    /// It isn't there at all.
    pub fn is_missing(&self) -> bool {
        self.lacks.is_empty()
    }

    /// The whole of it in words: `missing: Deployment web`, `Deployment web differs from the goal: spec.replicas is 2, not 3`.
    pub fn words(&self) -> String {
        let place = match self.namespace.as_str() {
            "" | "default" => String::new(),
            other => format!(" in {other}"),
        };
        let object = format!("{} {}{place}", self.kind, self.name);
        match self.is_missing() {
            true => format!("missing: {object}"),
            false => format!("{object} {}", self.difference()),
        }
    }

    /// `differs from the goal: spec.replicas is 2, not 3`
    pub fn difference(&self) -> String {
        format!("differs from the goal: {}", self.lacks.join("; "))
    }
}

/// A piece of a lab's text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Block {
    Heading(u8, Vec<Inline>),
    Paragraph(Vec<Inline>),
    List { ordered: bool, items: Vec<Vec<Block>> },
    Quote(Vec<Block>),
    Code { language: String, text: String, does: Does },
    Table { head: Vec<Vec<Inline>>, rows: Vec<Vec<Vec<Inline>>> },
    Rule,
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Inline {
    Text(String),
    Code(String, Does),
    Strong(Vec<Inline>),
    Emphasis(Vec<Inline>),
    /// An address of http or https, opened in another tab.
    Link(String, String),
    /// Points at the picture: `lens:components`, or `show:` and a box's id (`show:kube-scheduler`, `show:node/node-1`).
    Show(String, String),
}

/// What a click on code does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Does {
    #[default]
    Nothing,
    Copy,
    /// Types it into the terminal, with Enter.
    Exec,
    /// The same after Ctrl+C.
    ExecInterrupt,
    /// Applies it as a manifest.
    Apply,
}
