//! Moments that come and go as bytes: opened from a link, a file or what the page has kept of its last visit, and given away.
//!
//! The same release replays a moment message by message and knows by its hash that it is there. Another release gives etcd's keys
//! to a new cluster, which starts as after a power cut, or, if only the inputs are there, gives these at their times. A replay runs
//! in slices, so that the page stays awake; what the user does meanwhile waits for its end.

use std::collections::BTreeMap;

use base::Time;
use cluster::{Bottle, Config, Moment, Recipe, Replay};
use cri_api::host::HostMessage;
use protocol::{Boot, ByteBuf, How, Keep, Kept, Open, Opened, Pace, ToPage, ToWorker};

use crate::export;
use crate::session::Session;
use crate::timeline;

/// A slice of a replay takes at most this long, in wall ms: there is nothing else to do.
const SLICE_MS: f64 = 24.0;
/// Messages handled between two looks at the wall clock.
const CHUNK: u64 = 128;
/// The page is told how far it is so often, in wall ms.
const TELL_MS: f64 = 100.0;
/// A longer past is not replayed if there is a backup: it would take half a minute and more.
const LONG: u64 = 6_000_000;
/// What terminals have printed, of each tab.
const MAX_OUTPUT: usize = 64 * 1024;
/// What the user does while a replay runs.
const MAX_WAITING: usize = 400;

/// The session's part in it.
#[derive(Default)]
pub(crate) struct Journal {
    /// Which release of the site this is.
    release: String,
    recipe: Option<Recipe>,
    replay: Option<Box<Replaying>>,
    waiting: Vec<ToWorker>,
    /// What the terminals of the restored cluster had printed; their shells are there still.
    printed: BTreeMap<u32, Vec<u8>>,
}

struct Replaying {
    replay: Replay,
    same_release: bool,
    told_ms: f64,
}

impl Journal {
    pub fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// A new cluster is begun: what stays is which release this is.
    pub fn begin(&mut self, recipe: Recipe) {
        *self = Journal { release: std::mem::take(&mut self.release), recipe: Some(recipe), ..Journal::default() };
    }

    /// What tab `tab` of a restored cluster had printed. None: it isn't open there.
    pub fn take_printed(&mut self, tab: u32) -> Option<Vec<u8>> {
        self.printed.remove(&tab)
    }

    fn keep_output(&mut self, messages: Vec<HostMessage>) {
        for message in messages {
            match message {
                HostMessage::TtyOutput { tab, data } => {
                    let printed = self.printed.entry(tab).or_default();
                    printed.extend_from_slice(&data);
                    let over = printed.len().saturating_sub(MAX_OUTPUT);
                    if over > MAX_OUTPUT / 4 {
                        printed.drain(..over);
                    }
                }
                HostMessage::TtyClosed { tab, .. } => drop(self.printed.remove(&tab)),
                _ => {}
            }
        }
    }
}

/// What the user is told.
fn words(how: How, moment: &Moment, mine: &str) -> String {
    let named = |release: &str| if release.is_empty() { "an unknown release".to_string() } else { format!("release {release}") };
    match how {
        How::Exact | How::Failed => String::new(),
        How::Different => {
            "This moment could not be met exactly: its link or file was changed after it was made, so details may differ.".into()
        }
        How::OtherRelease => format!(
            "This moment was made by {}, and this is {}: what was done has been done again at the same times, and details may differ.",
            named(&moment.release),
            named(mine)
        ),
        How::PowerCut => format!(
            "Restored as after a power cut: every object is as it was at {}, and everything that runs has started anew.",
            &moment.at.rfc3339()[11..19]
        ),
        How::Stopped => "Stopped before the end of what was saved.".into(),
    }
}

impl Session {
    pub(crate) fn set_release(&mut self, id: String) {
        self.journal.release = id.chars().take(64).collect();
    }

    /// Opens a moment in place of whatever there is.
    pub(crate) fn open(&mut self, open: &Open) {
        let prepared = self.prepare(open);
        let (moment, config, how) = match prepared {
            Ok(prepared) => prepared,
            Err(text) => {
                let (release, digest) = (self.journal.release.clone(), String::new());
                return self.say(ToPage::Opened(Opened { how: How::Failed, text, release, at_us: 0, digest }));
            }
        };
        let recipe = moment.recipe.clone();
        self.fresh(config, recipe);
        if how == How::PowerCut {
            let bottle = self.bottle().expect("just made");
            if bottle.head().nodes.values().all(|n| n.powered) {
                self.play_boot();
            }
            return self.opened(how, &moment);
        }
        let same_release = how == How::Exact;
        self.journal.replay = Some(Box::new(Replaying { replay: Replay::new(moment, same_release), same_release, told_ms: 0.0 }));
    }

    /// Reads the bytes and decides how the moment is brought back.
    fn prepare(&self, open: &Open) -> Result<(Moment, Config, How), String> {
        let wrong = |e: &dyn std::fmt::Display| format!("The cluster could not be opened: {e}.");
        let moment = Moment::from_bytes(&open.log).map_err(|e| wrong(&e))?;
        let same = moment.release.is_empty() || *moment.release == *self.journal.release;
        if !same || moment.events > LONG {
            let spare = open.spare.as_ref().and_then(|bytes| Moment::from_bytes(bytes).ok());
            for with_keys in [Some(&moment), spare.as_ref()].into_iter().flatten() {
                if let Some(config) = with_keys.config_of_backup().map_err(|e| wrong(&e))? {
                    return Ok((with_keys.clone(), config, How::PowerCut));
                }
            }
        }
        let config = moment.config().map_err(|e| wrong(&e))?;
        Ok((moment, config, if same { How::Exact } else { How::OtherRelease }))
    }

    fn opened(&mut self, how: How, moment: &Moment) {
        let Some(bottle) = self.bottle() else { return };
        let (at_us, digest) = (bottle.head().now().0, hex(bottle.head().digest()));
        let text = words(how, moment, &self.journal.release);
        let release = moment.release.to_string();
        if !self.booting {
            // A page that has just come knows of no boot but the one it waits for.
            let boot = timeline::boot(bottle);
            self.say(ToPage::Boot(Boot { done: true, ..boot }));
        }
        self.say(ToPage::Opened(Opened { how, text, release, at_us, digest }));
        self.after_jump();
        self.redraw();
    }

    /// Replays for one slice. False: nothing is being replayed.
    pub(crate) fn replay(&mut self, wall_ms: f64, clock: &dyn Fn() -> f64) -> bool {
        let Some(mut replaying) = self.journal.replay.take() else { return false };
        let Some(bottle) = self.bottle_mut() else { return false };
        let mut messages = Vec::new();
        let done = loop {
            let done = replaying.replay.run(bottle, CHUNK);
            messages.extend(bottle.head_mut().take_page_messages());
            if done || clock() - wall_ms >= SLICE_MS {
                break done;
            }
        };
        let permille = replaying.replay.permille(bottle);
        self.journal.keep_output(messages);
        self.skip_records();
        if done {
            self.replayed(&replaying, None);
            return true;
        }
        if wall_ms - replaying.told_ms >= TELL_MS {
            replaying.told_ms = wall_ms;
            self.say(ToPage::Replaying { permille, at_us: replaying.replay.moment().at.0 });
        }
        self.journal.replay = Some(replaying);
        true
    }

    fn replayed(&mut self, replaying: &Replaying, stopped: Option<How>) {
        let Some(bottle) = self.bottle() else { return };
        let how = stopped.unwrap_or(match (replaying.same_release, replaying.replay.met(bottle)) {
            (_, true) => How::Exact,
            (true, false) => How::Different,
            (false, false) => How::OtherRelease,
        });
        let moment = replaying.replay.moment().clone();
        self.pacer.reset();
        self.opened(how, &moment);
        for message in std::mem::take(&mut self.journal.waiting) {
            self.receive(message);
        }
    }

    /// While a replay runs, what would touch the cluster waits. True: the message is taken care of.
    pub(crate) fn wait_for_replay(&mut self, message: &ToWorker) -> bool {
        if !self.journal.is_replaying() {
            return false;
        }
        match message {
            ToWorker::Pace(Pace::SkipBoot) => {
                if let Some(replaying) = self.journal.replay.take() {
                    self.replayed(&replaying, Some(How::Stopped));
                }
                true
            }
            // Saving half of the way would lose the rest; a step would leave the way.
            ToWorker::Save | ToWorker::Pace(Pace::Step) => true,
            ToWorker::Pace(Pace::Pause) => {
                self.pacer.paused = true;
                true
            }
            ToWorker::Pace(Pace::Play) => {
                self.pacer.paused = false;
                true
            }
            ToWorker::Start(_)
            | ToWorker::Open(_)
            | ToWorker::Release { .. }
            | ToWorker::Ack { .. }
            | ToWorker::Show(_)
            | ToWorker::Pace(_)
            | ToWorker::Visible { .. }
            | ToWorker::Inspect { .. }
            | ToWorker::WatchEvents { .. }
            | ToWorker::WatchTable { .. } => false,
            other => {
                if self.journal.waiting.len() < MAX_WAITING {
                    self.journal.waiting.push(other.clone());
                }
                true
            }
        }
    }

    /// What a new worker, or the next visit, needs to get back to the head.
    pub(crate) fn save(&mut self) {
        let Some(bottle) = self.bottle() else { return };
        let digest = hex(bottle.shown().digest());
        let log = Moment { release: self.journal.release.as_str().into(), ..Moment::of_head(bottle, self.recipe(bottle)) };
        let saved = ToPage::Saved { at_us: log.at.0, log: ByteBuf::from(log.to_bytes()), digest };
        self.say(saved);
    }

    fn recipe(&self, bottle: &Bottle) -> Recipe {
        self.journal.recipe.clone().unwrap_or_else(|| Recipe::Named(bottle.head().config.name.clone()))
    }

    /// The moment shown, as bytes.
    pub(crate) fn keep(&mut self, id: u32, keep: Keep) {
        let Some(bottle) = self.bottle() else { return };
        let moment = Moment::of(bottle, self.recipe(bottle), &self.journal.release);
        let (at, digest) = (moment.at, hex(moment.digest));
        let (bytes, error) = match keep {
            Keep::Link => (moment.to_bytes(), None),
            Keep::File => (moment.with_backup(bottle).to_bytes(), None),
            Keep::Yaml { all } => match export::yaml(bottle.shown(), all) {
                Some(text) => (text.into_bytes(), None),
                None => (Vec::new(), Some("no member of etcd runs, so nobody knows the objects".to_string())),
            },
        };
        let file =
            file_name(&bottle.shown().config.name, at, if matches!(keep, Keep::Yaml { .. }) { "yaml" } else { "kubottle" });
        self.say(ToPage::Kept(Kept { id, keep, bytes: ByteBuf::from(bytes), file, at_us: at.0, digest, error }));
    }
}

fn hex(digest: u64) -> String {
    format!("{digest:016x}")
}

/// `demo-20260101-120433.kubottle`
fn file_name(name: &str, at: Time, end: &str) -> String {
    let word: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(40).collect();
    let (y, mo, d, h, mi, s) = at.civil();
    format!("{}-{y}{mo:02}{d:02}-{h:02}{mi:02}{s:02}.{end}", if word.is_empty() { "cluster" } else { &word })
}
