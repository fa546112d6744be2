//! Labs on the page: steps at the left, their checks as they stand, buttons that type into the terminal.
//!
//! The text comes from the worker taken apart ([`protocol::Block`]), and is put on the page as text nodes only. [`fetch`] gets a
//! lab's files, from beside the page or from an address; [`catalogue`] lists what there is; [`panel`] draws.

pub mod catalogue;
pub mod fetch;
mod panel;
mod text;

use protocol::{LabCommand, LabFiles};

pub use panel::LabPanel;

/// What can be asked of the page about labs.
#[derive(Clone, PartialEq)]
pub enum LabDo {
    /// The list of labs.
    Catalogue(bool),
    Listed(Result<Vec<catalogue::Entry>, String>),
    /// Get this lab's files: a name of the catalogue, or an address.
    Open(String),
    /// The lab that was asked for by this name.
    Fetched(String, Result<LabFiles, String>),
    /// Read it in this language, from now on.
    Language(String),
    /// To the worker.
    Tell(LabCommand),
    /// Look at another step's text.
    Look(Option<u32>),
    /// Type into the terminal.
    Exec {
        text: String,
        interrupt: bool,
    },
    Copy(String),
    /// `lens:NAME` or `show:BOX`.
    Show(String),
    Apply(String),
    Leave,
    /// The sheet of small screens.
    Sheet,
}

/// And which step was begun last: a restored cluster may be in the midst of it.
pub fn begun_key(name: &str) -> String {
    format!("{}:begun", key(name))
}

/// Where the page remembers the language that was chosen for labs.
pub const LANGUAGE_KEY: &str = "kubottle-lab-language";

/// What the page remembers of a lab between visits: how many steps were passed.
pub fn key(name: &str) -> String {
    format!("kubottle-lab:{}", name.chars().take(200).collect::<String>())
}
