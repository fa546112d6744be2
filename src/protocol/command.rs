//! From the page to the worker: what the user does and what the page needs to see.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{Action, Keep, LabCommand, Lens, Open, Tab, Thing, Us};

/// One message from the page. Everything that changes the cluster is logged by the worker as an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// First message after [`crate::ToPage::Ready`]. Also restarts a running worker from nothing.
    Start(Start),
    /// The page has drawn the batch with this number (gives credit back).
    Ack {
        seq: u32,
    },
    /// Which lens is on screen, and how large. Sent at start, on a lens change and on resize; answered by a scene with `reset`.
    Show(View),
    /// How time passes.
    Pace(Pace),
    /// Look at the cluster as it was (or is, at the head) at this moment of the current branch. Pauses; changes nothing.
    Seek {
        at_us: Us,
    },
    /// Back to the newest moment of the current branch.
    SeekHead,
    /// Go on from the moment shown. In the past this forks a branch named `name` (None: the worker names it).
    ResumeHere {
        name: Option<String>,
    },
    /// Show another branch at its head.
    SwitchBranch {
        branch: u32,
    },
    /// `kubectl apply -f` of the text as the user of the page. Answered by [`crate::ToPage::Applied`] with the same `id`.
    Apply {
        id: u32,
        name: String,
        text: String,
        dry_run: bool,
    },
    /// A terminal tab; `tab` is the page's number for it.
    OpenTerminal {
        tab: u32,
        cols: u16,
        rows: u16,
    },
    CloseTerminal {
        tab: u32,
    },
    /// What the terminal sends for keys and pastes (bracketed if the mode is on), UTF-8.
    TerminalInput {
        tab: u32,
        bytes: ByteBuf,
    },
    ResizeTerminal {
        tab: u32,
        cols: u16,
        rows: u16,
    },
    /// Answer to [`crate::ToPage::AskFork`].
    ForkAnswer {
        tab: u32,
        yes: bool,
    },
    /// Show this thing in the inspector, and keep it up to date; None closes it. Answered by [`crate::ToPage::Inspector`].
    Inspect {
        thing: Option<Thing>,
        tab: Tab,
    },
    /// Keep the events list up to date (None stops). Answered by [`crate::ToPage::Events`].
    WatchEvents {
        query: Option<EventsQuery>,
    },
    /// Keep a table of one resource up to date (None stops). Answered by [`crate::ToPage::Table`].
    WatchTable {
        query: Option<TableQuery>,
    },
    /// A button was pressed. Answered by [`crate::ToPage::ActionDone`] with the same `id`.
    Act {
        id: u32,
        action: Action,
    },
    /// The buffer that [`crate::ToPage::OpenBuffer`] opened was saved (Some) or given up (None).
    BufferClosed {
        buffer: u32,
        saved: Option<String>,
    },
    /// The page went into the background or came back: a hidden page's time stands still.
    Visible {
        visible: bool,
    },
    /// Ask for [`crate::ToPage::Saved`] now.
    Save,
    /// Which release of the site this is: it is written into links and files. Said before anything is started or opened.
    Release {
        id: String,
    },
    /// Begin with a moment instead of a boot. Answered by [`crate::ToPage::Replaying`] and [`crate::ToPage::Opened`].
    Open(Open),
    /// Ask for the moment shown as bytes. Answered by [`crate::ToPage::Kept`] with the same `id`.
    Keep {
        id: u32,
        keep: Keep,
    },
    /// Run a line in the laptop's shell, without a terminal. Answered by [`crate::ToPage::Executed`] with the same `id`.
    Exec {
        id: u32,
        line: String,
    },
    /// About a lab. Answered by [`crate::ToPage::LabText`] and [`crate::ToPage::Lab`].
    Lab(LabCommand),
    /// Which objects' names have these words? Answered by [`crate::ToPage::Found`].
    Find {
        words: String,
    },
}

/// What a new cluster is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub protocol: u32,
    pub config: Config,
    pub seed: u64,
    /// The virtual moment at which the cluster is switched on.
    pub epoch_us: Us,
    /// A [`crate::ToPage::Saved`] log to restore instead of booting (after a worker died).
    pub resume: Option<ByteBuf>,
}

/// Where the cluster's configuration comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Config {
    /// A built-in one: `demo`, `recorded`, `wire`, `kubelet`.
    Named(String),
    /// A YAML text.
    Yaml(String),
}

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Pace {
    Play,
    Pause,
    /// One event, then stand still.
    Step,
    /// Run through what is left of the boot as fast as possible, then go on as before.
    SkipBoot,
    Speed(Speed),
}

/// Virtual seconds per wall second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Speed {
    /// DESIGN's default: slow while a chain of effects is in flight, fast between chains.
    Auto,
    /// In thousandths: 10 is 0.01×, 1000 is real time.
    Milli(u32),
    /// As fast as the machine can.
    Max,
}

impl Speed {
    /// What the speed menu offers.
    pub const MENU: [Speed; 8] = [
        Speed::Auto,
        Speed::Milli(10),
        Speed::Milli(100),
        Speed::Milli(500),
        Speed::Milli(1_000),
        Speed::Milli(10_000),
        Speed::Milli(100_000),
        Speed::Max,
    ];

    /// `Auto`, `0.1×`, `10×`, `max`.
    pub fn label(self) -> String {
        match self {
            Speed::Auto => "Auto".into(),
            Speed::Max => "max".into(),
            Speed::Milli(m) if m % 1000 == 0 => format!("{}×", m / 1000),
            Speed::Milli(m) => format!("{}×", f64::from(m) / 1000.0),
        }
    }
}

/// The lens on screen and the room it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub lens: Lens,
    /// CSS pixels that the scene may use at zoom 1. The scene's width must fit; its height may be larger (the page scrolls).
    pub width: f32,
    pub height: f32,
    /// Below 900 px of page width: fewer words per box, nodes as rows, no text under 11 px.
    pub compact: bool,
    pub options: ViewOptions,
}

/// What of the cluster is drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ViewOptions {
    /// Draw also lease renewals and node status heartbeats.
    pub heartbeats: bool,
    /// Draw also pods of kube-system.
    pub system_pods: bool,
    /// Only this namespace's pods.
    pub namespace: Option<String>,
    /// Pod creation flow: whose flow (None: the newest pod that the user caused).
    pub chosen: Option<Thing>,
    /// The user asked for reduced motion: flights are numbered steps; no after-image has to be long.
    pub reduced_motion: bool,
}

/// Which events the list shows, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventsQuery {
    pub namespace: Option<String>,
    pub warnings_only: bool,
    pub limit: u32,
}

/// Which objects a table shows; columns are kube-apiserver's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableQuery {
    pub group: String,
    pub resource: String,
    pub namespace: Option<String>,
    pub limit: u32,
}
