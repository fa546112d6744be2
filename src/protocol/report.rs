//! From the worker to the page: what there is to see.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    EventRow, Executed, Flight, Glyph, Inspector, Kept, LabState, LabText, Offer, Opened, ScenePatch, Speed, State, TableQuery,
    Thing, Us,
};

/// One message from the worker; see [`crate::Batch`] for how they travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToPage {
    /// The worker listens. First message, in a batch of its own with `seq` 0.
    Ready { protocol: u32, build: String },
    /// What the cluster is. After a start, and whenever one of its fields changes.
    Cluster(ClusterInfo),
    /// How far the boot is. The last one has `done`.
    Boot(Boot),
    /// Where time stands.
    Clock(Clock),
    /// What changed in the picture since the last patch (or the whole of it).
    Scene(ScenePatch),
    /// Messages that set out, to be drawn moving.
    Flights(Vec<Flight>),
    /// Shape of the whole run; sent when it changed, at most four times a second.
    Timeline(Timeline),
    /// What the open thing looks like now.
    Inspector(Box<Inspector>),
    /// The events list, whole (bounded by the query's limit).
    Events { rows: Vec<EventRow>, total: u32 },
    /// A table, whole (bounded by the query's limit).
    Table(Table),
    /// Bytes for a terminal tab (ANSI).
    TerminalOutput { tab: u32, bytes: ByteBuf },
    /// What a terminal tab is doing.
    TerminalMode { tab: u32, mode: TerminalMode },
    /// The shell of this tab has exited (the page keeps the tab's text).
    TerminalClosed { tab: u32, code: i32 },
    /// A command that writes was typed while the past is shown: fork here? Answered by [`crate::ToWorker::ForkAnswer`].
    AskFork { tab: u32, command: String },
    /// What became of [`crate::ToWorker::Apply`]. May come in several parts; the last has `done`.
    Applied(Applied),
    /// `kubectl edit` wants this text edited. Answered by [`crate::ToWorker::BufferClosed`].
    OpenBuffer { buffer: u32, name: String, text: String },
    /// What became of [`crate::ToWorker::Act`].
    ActionDone { id: u32, error: Option<String> },
    /// Something the user should know.
    Notice(Notice),
    /// What a new worker needs to get back to the head. The page keeps only the newest. `digest`: a hash of the moment shown, by
    /// which two runs can be compared (in hexadecimal: it has 64 bits).
    Saved { at_us: Us, log: ByteBuf, digest: String },
    /// How busy the worker is; about once a second while something runs.
    Stats(Stats),
    /// How much of an opened moment has been replayed, in thousandths, and until when.
    Replaying { permille: u32, at_us: Us },
    /// What became of [`crate::ToWorker::Open`].
    Opened(Opened),
    /// The moment shown, as bytes.
    Kept(Kept),
    /// What a command of an embedding page has printed.
    Executed(Executed),
    /// The text of the lab that was opened.
    LabText(Box<LabText>),
    /// How far the lab is.
    Lab(Box<LabState>),
    /// Some of the objects that [`crate::ToWorker::Find`] asked for.
    Found(Vec<Thing>),
}

/// What the cluster is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// `demo cluster`.
    pub name: String,
    /// `v1.37.2`.
    pub version: String,
    pub nodes: u32,
    pub pods: u32,
    /// Actions on the whole cluster (add a node).
    pub offers: Vec<Offer>,
    /// Namespaces that have pods, for the filter.
    pub namespaces: Vec<String>,
    /// The add-ons that are installed.
    pub addons: Vec<Addon>,
}

/// An add-on that is installed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Addon {
    /// As its file in `/addons` is called.
    pub name: String,
    /// Pods of its workload that are ready, of how many.
    pub ready: u32,
    pub pods: u32,
}

/// How far the boot is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    /// What happens now, in a few words: `kubelet on cp-1 starts etcd`.
    pub step: String,
    pub nodes_ready: u32,
    pub nodes: u32,
    pub pods_ready: u32,
    pub pods: u32,
    pub done: bool,
}

/// Where time stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    pub now_us: Us,
    pub start_us: Us,
    /// Newest moment of this branch.
    pub head_us: Us,
    /// etcd's revision at `now_us`.
    pub revision: u64,
    /// Events handled since the start of the branch's history.
    pub events: u64,
    pub branch: u32,
    pub branch_name: String,
    pub paused: bool,
    /// The moment shown is before the head: looking changes nothing, doing forks.
    pub past: bool,
    /// What the user chose.
    pub speed: PaceSpeed,
    /// What it comes to right now, in thousandths (Auto and max change by themselves).
    pub actual_milli: u64,
    /// Nothing will happen before this moment.
    pub idle_until_us: Option<Us>,
    pub booting: bool,
}

/// [`Speed`] with a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceSpeed(pub Speed);

impl Default for PaceSpeed {
    fn default() -> Self {
        PaceSpeed(Speed::Auto)
    }
}

/// Shape of the run, for the bar at the bottom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    pub branch: u32,
    pub start_us: Us,
    pub head_us: Us,
    /// Messages per slice (heartbeats left out); the slices divide `start_us..=head_us` evenly. At most 240.
    pub slices: Vec<u32>,
    /// What the user did, in order.
    pub marks: Vec<Mark>,
    pub branches: Vec<Branch>,
}

/// A user's action on the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    pub at_us: Us,
    /// `apply web.yaml`, `boot`, `power off node-2`.
    pub label: String,
    /// The message that it became, if it is still known.
    pub message: Option<u64>,
}

/// A line of history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    pub id: u32,
    pub name: String,
    /// Where it left which other branch; None for the first.
    pub forked_from: Option<(u32, Us)>,
    pub head_us: Us,
}

/// One resource as kube-apiserver prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub query: TableQuery,
    pub columns: Vec<String>,
    pub rows: Vec<TableRow>,
    /// Objects that exist (rows may be fewer).
    pub total: u32,
}

/// One object of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableRow {
    pub thing: Thing,
    pub cells: Vec<String>,
    pub state: State,
    pub glyph: Glyph,
}

/// What a terminal tab is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TerminalMode {
    /// For the tab's title: `laptop`, `node-1`, `web-7f9c-8t4z`.
    pub place: String,
    /// A command runs in the foreground.
    pub busy: bool,
    /// Shown beside the prompt: `paused: commands that write step time`, `looking at 12:04:33: writing forks`. Empty when live.
    pub note: String,
}

/// What became of an apply, document by document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    pub id: u32,
    pub documents: Vec<AppliedDocument>,
    pub done: bool,
}

/// One document of an applied text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppliedDocument {
    /// Which document of the text, from 0.
    pub index: u32,
    /// Where the document (or the mistake in it) is, from 1; column 0 means the whole line.
    pub line: u32,
    pub column: u32,
    pub outcome: Outcome,
    /// kubectl's own line: `deployment.apps/web created`, or the error as kubectl words it.
    pub text: String,
    pub thing: Option<Thing>,
    /// API warnings, in order.
    pub warnings: Vec<String>,
}

/// How a document fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Created,
    Configured,
    Unchanged,
    Failed,
}

/// Something the user should know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub level: Level,
    pub text: String,
    /// What to open for more.
    pub thing: Option<Thing>,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    Info,
    Warning,
    Error,
}

/// How busy the worker is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub events_per_s: u32,
    pub requests_per_s: u32,
    pub watches: u32,
    pub memory_bytes: u64,
    /// Longest slice since the last stats.
    pub slice_ms: u32,
}
