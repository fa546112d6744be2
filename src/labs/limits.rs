//! How large a lab may be. A lab by URL is somebody else's: whatever it says, reading and running it ends.

use base::Duration;

use crate::{Files, Mistakes};

/// Bytes of one file.
pub const FILE: usize = 256 << 10;
pub const FILES: usize = 200;
pub const STEPS: usize = 40;
/// Nodes of the cluster.
pub const NODES: usize = 500;
/// Checks, or wrong turns, or hints of a step.
pub const CHECKS: usize = 20;
/// Deeds of one list.
pub const DEEDS: usize = 60;
/// Characters of a message, a title, a name.
pub const LINE: usize = 600;
/// Blocks of text in a step.
pub const BLOCKS: usize = 400;
/// Objects of a goal.
pub const OBJECTS: usize = 40;
/// Mistakes that are told.
pub const MISTAKES: usize = 20;
/// Options of a question.
pub const OPTIONS: usize = 8;
/// A `wait` at most.
pub const WAIT: Duration = Duration::from_secs(3_600);
/// A command of a setup or solution may take so long, in the cluster's time.
pub const COMMAND: Duration = Duration::from_secs(900);
/// Something that is tried in a clone.
pub const TRIAL: Duration = Duration::from_secs(20);
/// Messages that a clone handles at most for one try.
pub const TRIAL_EVENTS: u64 = 200_000;
/// Output of a command that is kept.
pub const OUTPUT: usize = 64 << 10;

/// What is too large, if anything is.
pub(crate) fn check(files: &Files) -> Option<Mistakes> {
    let mut mistakes = Mistakes::default();
    if files.len() > FILES {
        mistakes.add("", 0, format!("a lab has at most {FILES} files"));
    }
    for (path, text) in files.iter().take(FILES) {
        if text.len() > FILE {
            mistakes.add(path, 0, format!("larger than {} KiB", FILE >> 10));
        }
    }
    (!mistakes.is_empty()).then_some(mistakes)
}
