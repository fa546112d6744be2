//! What the inspector shows about one thing.

use serde::{Deserialize, Serialize};

use crate::{Glyph, MessageKind, Offer, State, Thing, Tone, Us};

/// The inspector's tabs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tab {
    #[default]
    Why,
    Overview,
    Yaml,
    Events,
    Logs,
}

impl Tab {
    pub const ALL: [Tab; 5] = [Tab::Why, Tab::Overview, Tab::Yaml, Tab::Events, Tab::Logs];

    pub fn title(self) -> &'static str {
        match self {
            Tab::Why => "Why?",
            Tab::Overview => "Overview",
            Tab::Yaml => "YAML",
            Tab::Events => "Events",
            Tab::Logs => "Logs",
        }
    }
}

/// Where a fact comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Read from the API: what any client would see.
    #[default]
    Api,
    /// Read from the component itself: what only a simulation can show.
    AsItIs,
}

/// One thing, as of one moment. Sent again whenever what it says has changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inspector {
    /// What was asked for; None if the page closed the inspector meanwhile.
    pub thing: Option<Thing>,
    /// `pod/db-0`.
    pub title: String,
    /// `default · node-3`.
    pub subtitle: String,
    pub state: State,
    pub glyph: Glyph,
    /// The thing is gone; the rest is how it last was.
    pub gone: bool,
    /// Tabs that have something for this thing, in order, with a count to show beside the name (Events 7).
    pub tabs: Vec<(Tab, Option<u32>)>,
    /// From effect to cause; the last step may be a thing to do. None: not asked for (another tab is open).
    pub why: Option<Vec<WhyStep>>,
    pub overview: Option<Vec<Row>>,
    /// The live object.
    pub yaml: Option<String>,
    pub events: Option<Vec<EventRow>>,
    /// One per container (also init containers, and the previous instance).
    pub logs: Option<Vec<Log>>,
    /// Pictures of a component's inside, above the overview's rows.
    pub sections: Vec<Section>,
    /// Set if the thing is a message; shown on the Overview tab above its rows.
    pub message: Option<MessageDetail>,
    /// Buttons under the title.
    pub offers: Vec<Offer>,
}

/// A part of a component's inside: a queue, a log, one level of a tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    pub title: String,
    /// One quiet sentence below the title.
    pub note: Vec<Span>,
    pub body: SectionBody,
}

/// How a section is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SectionBody {
    /// Small boxes in reading order.
    Cells(Vec<Cell>),
    /// A sentence each, newest first, with what came of it.
    Lines(Vec<Line>),
    /// Levels with their names, a row of cells each; the row below belongs to the cell on the way (state `Active`).
    Tree(Vec<(String, Vec<Cell>)>),
    /// Amounts of one total, side by side: how full something is.
    Bars(Vec<Bar>),
}

impl Default for SectionBody {
    fn default() -> SectionBody {
        SectionBody::Cells(Vec::new())
    }
}

/// One item of a queue, one entry of a log, one key of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub text: String,
    /// Behind the text, quiet: when it is due, how often it failed.
    pub note: String,
    pub state: State,
    pub thing: Option<Thing>,
    /// The whole of it in words.
    pub aria: String,
}

/// Something that was decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub at_us: Us,
    pub text: Vec<Span>,
    /// What came of it.
    pub outcome: Vec<Span>,
    pub glyph: Glyph,
    /// The object that it is about, and the message that it was caused by.
    pub thing: Option<Thing>,
    pub cause: Option<MessageRef>,
}

/// An amount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    pub label: String,
    pub value: String,
    /// From 0 to 1.
    pub level: f32,
}

/// One step of *why*.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyStep {
    /// One sentence, in spans so that names can be code and the point bold.
    pub text: Vec<Span>,
    /// Where it is known from: field, revision, time.
    pub detail: String,
    pub source: Source,
    /// What to open for more.
    pub thing: Option<Thing>,
    /// This step is advice, not a fact.
    pub advice: bool,
    /// A button that does what the advice says.
    pub offer: Option<Offer>,
}

/// A piece of text with a meaning. Always plain text: nothing in it is markup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub text: String,
    pub tone: Tone,
    pub mono: bool,
    pub bold: bool,
}

impl Span {
    pub fn plain(text: impl Into<String>) -> Span {
        Span { text: text.into(), tone: Tone::Normal, mono: false, bold: false }
    }

    pub fn toned(text: impl Into<String>, tone: Tone) -> Span {
        Span { tone, ..Span::plain(text) }
    }

    pub fn dim(text: impl Into<String>) -> Span {
        Span::toned(text, Tone::Dim)
    }

    pub fn code(text: impl Into<String>) -> Span {
        Span { mono: true, ..Span::plain(text) }
    }

    pub fn bold(text: impl Into<String>) -> Span {
        Span { bold: true, ..Span::plain(text) }
    }
}

/// A fact of the overview.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub label: String,
    pub value: Vec<Span>,
    pub source: Source,
    pub thing: Option<Thing>,
    /// Starts a group with this heading.
    pub heading: Option<String>,
}

/// One row of the events list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// The Event object's `namespace/name`: stable, used as key.
    pub key: String,
    /// Newest occurrence.
    pub at_us: Us,
    pub warning: bool,
    pub reason: String,
    /// What it is about, as `pod/db-0`.
    pub about: Thing,
    pub namespace: String,
    pub message: String,
    pub count: u32,
    /// Reporting component, e.g. `kubelet, node-3`.
    pub from: String,
}

/// The end of one container's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    pub container: String,
    pub previous: bool,
    /// Newest lines, UTF-8 (lossy), at most 32 kB.
    pub text: String,
    /// Lines before `text` that are not shown.
    pub cut_lines: u32,
}

/// Everything about one message of the trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageDetail {
    pub id: u64,
    pub kind: MessageKind,
    /// Component names, as `kubelet/node-1`.
    pub from: String,
    pub to: String,
    /// `create`, `watch event MODIFIED`, `RunPodSandbox`, `TCP 80`.
    pub verb: String,
    /// `/api/v1/namespaces/default/pods`, an etcd key, an address.
    pub path: String,
    /// The authenticated user; empty where there is none.
    pub user: String,
    pub sent_us: Us,
    /// None while it is under way.
    pub arrived_us: Option<Us>,
    /// kube-apiserver's stages, in order; empty for other messages.
    pub stages: Vec<Stage>,
    /// As YAML; None if there is no body or its detail is gone.
    pub request: Option<String>,
    pub response: Option<String>,
    pub code: Option<u16>,
    pub revision: Option<u64>,
    /// What made the sender send it: the message and one sentence.
    pub cause: Option<MessageRef>,
    pub effects: Vec<MessageRef>,
    /// The reconcile's plan that asked for it: `wants 3, has 2: creates 1`.
    pub plan: Option<String>,
    /// Detail was dropped for the trace's budget; the sentence says so.
    pub detail_gone: Option<String>,
}

/// A stage of a request inside kube-apiserver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// `authentication`, `authorization`, `mutating admission`, `validation`, `validating admission`, `etcd`.
    pub name: String,
    pub took_us: u64,
    /// What it found or changed: `system:node:node-1`, `RBAC: allowed by ClusterRoleBinding …`.
    pub note: String,
    pub failed: bool,
}

/// A link to another message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageRef {
    pub id: u64,
    pub kind: MessageKind,
    pub text: String,
    pub at_us: Us,
}
