//! A visit: one bottle, one page. What it looks like is in [`look`], how something is done to it in [`input`].

mod input;
mod look;

use std::collections::BTreeMap;

use base::Time;
use cluster::{Bottle, Config, Recipe};
use protocol::{
    Batch, CREDIT, EventsQuery, Level, Notice, PROTOCOL_VERSION, Pace, Scene, Start, Tab, TableQuery, Thing, ToPage, ToWorker,
    View,
};
use sim::MsgId;

use crate::apply::Applies;
use crate::checks::Checks;
use crate::exec::Execs;
use crate::journal::Journal;
use crate::pacer::{BootPlay, LATE, Pacer, Slice};
use crate::terminal::Terminals;
use crate::{actions, nodes, timeline};

/// A slice of work takes at most this long, in wall ms, so that a key press is answered soon.
const SLICE_MS: f64 = 8.0;
/// The cluster stands by while the page draws a picture, but not longer than this.
const STAND_BY_MS: f64 = 40.0;
/// Messages handled between two looks at the wall clock.
const CHUNK: u64 = 64;
/// About how many messages a boot takes (it ends when the cluster is Ready, whatever the count).
const BOOT_EVENTS: u64 = 3_000;
const BOOT_EVENTS_A_NODE: u64 = 1_000;

/// What a tick produced, and when to come again.
pub struct Tick {
    pub batch: Option<Batch>,
    /// Wall ms until the next tick is wanted; 0: at once.
    pub again_ms: u32,
}

/// One page's session.
pub struct Session {
    /// Bytes of memory in use, for who shows them.
    memory: fn() -> u64,
    pub(crate) bottle: Option<Bottle>,
    pub(crate) pacer: Pacer,
    view: Option<View>,
    scene: Scene,
    reset_scene: bool,
    in_flight: u32,
    /// The batch with a picture that the page is drawing, and until when the cluster stands by for it, in wall ms.
    being_drawn: Option<(u32, f64)>,
    seq: u32,
    queue: Vec<ToPage>,
    /// The first trace record that no frame has looked at yet.
    next_record: MsgId,
    pub(crate) terminals: Terminals,
    pub(crate) applies: Applies,
    pub(crate) execs: Execs,
    buffers: input::Buffers,
    /// The lab that is open.
    pub(crate) lab: Option<crate::labs::Run>,
    pub(crate) journal: Journal,
    inspecting: Option<(Thing, Tab)>,
    /// What was found to work, while somebody looks.
    pub(crate) checks: Checks,
    /// Maintenance of etcd under way, from a button.
    pub(crate) maintenance: Option<crate::store::Maintenance>,
    /// What the last request from a button has printed so far.
    pub(crate) request_output: Option<String>,
    events: Option<EventsQuery>,
    /// The newest change of an event when the list was made last.
    events_revision: i64,
    table: Option<TableQuery>,
    /// Pods and nodes that were drawn last.
    drawn: nodes::Memo,
    /// Last sent of each kind, so that only changes go out.
    pub(crate) sent: BTreeMap<&'static str, ToPage>,
    /// The last tick was a look.
    looked: bool,
    last_scene_ms: f64,
    last_lists_ms: f64,
    last_stats_ms: f64,
    events_at_stats: u64,
    requests_at_stats: u64,
    longest_slice_ms: f64,
    /// Events handled when the picture was last drawn.
    drawn_at: (u64, Time),
    pub(crate) booting: bool,
    /// Somebody waits for the clock to stand: the next batch says so and nothing else, whatever else there is to say.
    urgent: bool,
    /// A thing was opened, and nothing was said of it yet.
    asked: bool,
    visible: bool,
}

impl Default for Session {
    fn default() -> Session {
        Session::new()
    }
}

impl Session {
    /// Of whose memory nothing is known.
    pub fn new() -> Session {
        Session::measured_by(|| 0)
    }

    /// `memory` counts the bytes that are in use.
    pub fn measured_by(memory: fn() -> u64) -> Session {
        Session {
            memory,
            bottle: None,
            pacer: Pacer::new(),
            view: None,
            scene: Scene::default(),
            reset_scene: true,
            in_flight: 0,
            being_drawn: None,
            seq: 0,
            queue: Vec::new(),
            next_record: MsgId(0),
            terminals: Terminals::default(),
            applies: Applies::default(),
            execs: Execs::default(),
            buffers: input::Buffers::default(),
            lab: None,
            journal: Journal::default(),
            inspecting: None,
            checks: Checks::default(),
            maintenance: None,
            request_output: None,
            events: None,
            events_revision: 0,
            table: None,
            drawn: nodes::Memo::default(),
            sent: BTreeMap::new(),
            looked: false,
            last_scene_ms: 0.0,
            last_lists_ms: 0.0,
            last_stats_ms: 0.0,
            events_at_stats: 0,
            requests_at_stats: 0,
            longest_slice_ms: 0.0,
            drawn_at: (u64::MAX, Time::EPOCH),
            booting: false,
            urgent: false,
            asked: false,
            visible: true,
        }
    }

    /// The greeting: a batch of its own.
    pub fn ready() -> Batch {
        let ready = ToPage::Ready { protocol: PROTOCOL_VERSION, build: env!("CARGO_PKG_VERSION").into() };
        Batch { seq: 0, messages: vec![ready] }
    }

    pub(crate) fn say(&mut self, message: ToPage) {
        self.queue.push(message);
    }

    pub(crate) fn notice(&mut self, level: Level, text: impl Into<String>) {
        self.queue.push(ToPage::Notice(Notice { level, text: text.into(), thing: None }));
    }

    /// The bottle, for benches and tests.
    pub fn bottle(&self) -> Option<&Bottle> {
        self.bottle.as_ref()
    }
    pub(crate) fn bottle_mut(&mut self) -> Option<&mut Bottle> {
        self.bottle.as_mut()
    }

    /// Takes a message of the page.
    pub fn receive(&mut self, message: ToWorker) {
        if self.wait_for_replay(&message) {
            return;
        }
        match message {
            ToWorker::Start(start) => self.begin(start),
            ToWorker::Open(open) => {
                // Who says so before looks at the moment and not at what follows: no slice may come in between.
                let paused = self.pacer.paused;
                self.open(&open);
                self.pacer.paused = paused;
            }
            ToWorker::Release { id } => self.set_release(id),
            ToWorker::Ack { seq } => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.being_drawn.take_if(|(drawn, _)| *drawn <= seq);
            }
            ToWorker::Show(view) => {
                self.reset_scene |= self.view.as_ref().is_none_or(|v| {
                    v.lens != view.lens || v.width != view.width || v.height != view.height || v.compact != view.compact
                });
                self.view = Some(view);
                self.redraw();
            }
            ToWorker::Pace(pace) => self.pace(pace),
            ToWorker::Visible { visible } => {
                self.visible = visible;
                self.pacer.reset();
            }
            ToWorker::Inspect { thing, tab } => {
                self.inspecting = thing.map(|t| (t, tab));
                self.sent.remove("inspector");
                self.asked = true;
            }
            ToWorker::WatchEvents { query } => {
                self.events = query;
                self.sent.remove("events");
                self.last_lists_ms = 0.0;
            }
            ToWorker::WatchTable { query } => {
                self.table = query;
                self.sent.remove("table");
                self.last_lists_ms = 0.0;
            }
            other => self.receive_for_bottle(other),
        }
    }

    fn receive_for_bottle(&mut self, message: ToWorker) {
        if self.bottle.is_none() {
            return;
        }
        match message {
            ToWorker::Seek { at_us } => self.with_bottle(|b| b.seek(Time(at_us))),
            ToWorker::SeekHead => self.with_bottle(Bottle::seek_head),
            ToWorker::ResumeHere { name } => {
                self.with_bottle(|b| b.fork(name.as_deref()));
                self.pacer.paused = false;
                self.after_jump();
            }
            ToWorker::SwitchBranch { branch } => {
                self.with_bottle(|b| b.switch(branch as usize));
                self.after_jump();
            }
            ToWorker::Apply { id, name, text, dry_run } => self.apply(id, &name, &text, dry_run),
            ToWorker::OpenTerminal { tab, cols, rows } => self.open_terminal(tab, cols, rows),
            ToWorker::CloseTerminal { tab } => self.close_terminal(tab),
            ToWorker::TerminalInput { tab, bytes } => self.terminal_input(tab, &bytes),
            ToWorker::ResizeTerminal { tab, cols, rows } => self.resize_terminal(tab, cols, rows),
            ToWorker::ForkAnswer { tab, yes } => self.fork_answer(tab, yes),
            ToWorker::Act { id, action } => {
                let error = actions::act(self, action).err();
                self.say(ToPage::ActionDone { id, error });
            }
            ToWorker::BufferClosed { buffer, saved } => {
                self.buffer_closed(buffer, saved.map(Into::into));
            }
            ToWorker::Save => return self.save(),
            ToWorker::Keep { id, keep } => return self.keep(id, keep),
            ToWorker::Exec { id, line } => self.exec(id, &line),
            ToWorker::Lab(command) => self.lab(command),
            ToWorker::Find { words } => {
                if let Some(bottle) = &self.bottle {
                    self.say(ToPage::Found(crate::find::find(bottle.shown(), &words)));
                }
                return;
            }
            _ => {}
        }
        self.redraw();
    }

    fn with_bottle(&mut self, f: impl FnOnce(&mut Bottle)) {
        if let Some(bottle) = &mut self.bottle {
            f(bottle);
        }
        self.pacer.reset();
        self.sent.clear();
    }

    /// The head is another one now: what was seen of its trace is past.
    pub(crate) fn after_jump(&mut self) {
        self.skip_records();
        self.reset_scene = true;
        self.sent.clear();
    }

    /// What the trace has up to now is not drawn as moving.
    pub(crate) fn skip_records(&mut self) {
        if let Some(bottle) = &self.bottle {
            self.next_record = bottle.head().queue.next_id();
        }
    }

    fn begin(&mut self, start: Start) {
        if start.protocol != PROTOCOL_VERSION {
            return self.notice(Level::Error, "the page and the worker are of different builds: reload the page");
        }
        if let Some(log) = start.resume {
            return self.open(&protocol::Open { log, spare: None });
        }
        let recipe = match start.config {
            protocol::Config::Named(name) => Recipe::Named(name.into()),
            protocol::Config::Yaml(text) => Recipe::Yaml(text.into()),
        };
        match recipe.config() {
            Ok(config) => {
                self.fresh(Config { seed: start.seed, epoch: Time(start.epoch_us), ..config }, recipe);
                self.play_boot();
            }
            Err(text) => self.notice(Level::Error, text),
        }
    }

    /// A cluster that has just been switched on, in place of whatever there is. What the page wants to see stays.
    pub(crate) fn fresh(&mut self, config: Config, recipe: Recipe) {
        let (view, pacer, mut journal) = (self.view.take(), Pacer::new(), std::mem::take(&mut self.journal));
        let (events, table, in_flight, seq) = (self.events.take(), self.table.take(), self.in_flight, self.seq);
        journal.begin(recipe);
        *self = Session { view, pacer, events, table, in_flight, seq, journal, ..Session::measured_by(self.memory) };
        let bottle = Bottle::new(config);
        let info = timeline::info(&bottle);
        self.bottle = Some(bottle);
        self.say(ToPage::Cluster(info));
    }

    /// The boot is paced by messages, not by time: most of it is waiting.
    pub(crate) fn play_boot(&mut self) {
        self.booting = true;
        let nodes = self.bottle.as_ref().map_or(0, |b| b.head().nodes.len() as u64);
        self.pacer.boot = Some(BootPlay { events_left: BOOT_EVENTS + BOOT_EVENTS_A_NODE * nodes, started_ms: None });
    }

    fn pace(&mut self, pace: Pace) {
        self.pacer.reset();
        match pace {
            Pace::Play => {
                self.pacer.paused = false;
                self.with_bottle(Bottle::seek_head);
            }
            Pace::Pause => {
                self.pacer.paused = true;
                self.urgent = true;
            }
            Pace::Step => {
                self.pacer.paused = true;
                self.with_bottle(Bottle::seek_head);
                self.wake_terminals();
                self.with_bottle(|b| {
                    b.step();
                });
            }
            Pace::SkipBoot => {
                if let (Some(_), Some(bottle)) = (self.pacer.boot.take(), &mut self.bottle) {
                    let limit = bottle.head().now() + base::Duration::from_secs(240);
                    while !bottle.head().is_ready() && bottle.head().now() < limit {
                        let next = bottle.head().now() + base::Duration::from_millis(500);
                        bottle.run_until(next, u64::MAX);
                    }
                    self.next_record = bottle.head().queue.next_id();
                    self.last_lists_ms = f64::NEG_INFINITY;
                }
            }
            Pace::Speed(speed) => self.pacer.speed = speed,
        }
        self.redraw();
    }

    pub(crate) fn redraw(&mut self) {
        self.drawn_at.0 = u64::MAX;
        self.last_scene_ms = f64::NEG_INFINITY;
    }

    /// Lets time pass, and gathers what there is to say. `clock` reads wall milliseconds.
    pub fn tick(&mut self, clock: &dyn Fn() -> f64) -> Tick {
        let started = clock();
        if let Some(batch) = self.answer(started) {
            return Tick { batch: Some(batch), again_ms: 0 };
        }
        // Cores may be few: the frame that shows a picture would wait for the cluster's slices.
        match self.being_drawn {
            Some((_, until)) if started < until => return Tick { batch: None, again_ms: (until - started).ceil() as u32 },
            _ => self.being_drawn = None,
        }
        // A look takes as long as a slice: it is a task of its own, so that what the page says in between is heard.
        if !std::mem::take(&mut self.looked) && self.visible && self.in_flight < CREDIT && self.look_is_due(started) {
            self.looked = true;
            self.page_messages();
            self.look(started);
            let batch = self.batch();
            if let Some(batch) = batch.as_ref().filter(|b| b.messages.iter().any(|m| matches!(m, ToPage::Scene(_)))) {
                self.being_drawn = Some((batch.seq, clock() + STAND_BY_MS));
            }
            return Tick { batch, again_ms: 0 };
        }
        let full = self.visible && (self.replay(started, clock) || self.run(started, clock));
        self.longest_slice_ms = self.longest_slice_ms.max(clock() - started);
        self.page_messages();
        let trying = self.visible && self.try_what_works(clock);
        let trying = self.visible && self.play_lab(clock) || trying;
        if self.in_flight < CREDIT {
            self.glance(started);
        }
        let batch = self.batch();
        let again_ms = match (full || trying, self.bottle.is_some()) {
            (true, _) => 0,
            (false, true) => 15,
            (false, false) => 50,
        };
        Tick { batch, again_ms }
    }

    /// Tries for a slice what works now, if that is on screen. True: there is more to try.
    fn try_what_works(&mut self, clock: &dyn Fn() -> f64) -> bool {
        let shown = self.view.as_ref().is_some_and(|v| v.lens == protocol::Lens::ControlPlane)
            || matches!(self.inspecting, Some((Thing::Check { .. }, _)));
        let Some(bottle) = self.bottle.as_ref().filter(|_| shown && !self.booting && self.pacer.boot.is_none()) else {
            return false;
        };
        if !self.checks.begin(bottle, clock()) {
            return false;
        }
        if self.checks.run(clock) {
            self.redraw();
        }
        true
    }

    /// Runs the cluster for one slice. True: there was more to do than time.
    fn run(&mut self, wall_ms: f64, clock: &dyn Fn() -> f64) -> bool {
        let deadline = wall_ms + SLICE_MS;
        if !self.pacer.paused {
            self.wake_terminals();
        }
        if self.hurry_lab(deadline, clock) {
            return true;
        }
        let Some(bottle) = &mut self.bottle else { return false };
        if bottle.is_past() {
            self.pacer.reset();
            return false;
        }
        let (now, next) = (bottle.head().now(), bottle.head().queue.peek());
        match self.pacer.slice(wall_ms, now, next) {
            Slice::Nothing => false,
            Slice::Events(n) => {
                let mut done = 0;
                while done < n && clock() < deadline {
                    let part = CHUNK.min(n - done);
                    for _ in 0..part {
                        bottle.step();
                    }
                    done += part;
                }
                if let Some(boot) = &mut self.pacer.boot {
                    boot.events_left = boot.events_left.saturating_sub(done);
                }
                // Late, it runs fast: not beyond its end.
                self.pacer.boot.take_if(|_| n >= LATE && bottle.head().is_ready());
                done < n
            }
            Slice::Until(time) => {
                while !bottle.run_until(time, CHUNK) {
                    if clock() >= deadline {
                        return true;
                    }
                }
                false
            }
            Slice::Max => {
                while clock() < deadline {
                    // Between timers of an idle cluster whole seconds pass at once.
                    let time = bottle.head().now() + base::Duration::from_secs(1);
                    bottle.run_until(time, CHUNK);
                }
                true
            }
        }
    }

    pub(crate) fn send_changed(&mut self, name: &'static str, message: ToPage) {
        if self.sent.get(name) != Some(&message) {
            self.sent.insert(name, message.clone());
            self.queue.push(message);
        }
    }

    fn batch(&mut self) -> Option<Batch> {
        if self.queue.is_empty() || self.in_flight >= CREDIT {
            return None;
        }
        let messages = std::mem::take(&mut self.queue);
        Some(self.batch_of(messages))
    }

    pub(super) fn batch_of(&mut self, messages: Vec<ToPage>) -> Batch {
        self.seq += 1;
        self.in_flight += 1;
        Batch { seq: self.seq, messages }
    }
}
