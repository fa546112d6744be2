//! What the page does when it is asked, and what it does with the worker's batches.

use protocol::*;
use wasm_bindgen::prelude::*;
use yew::prelude::*;

use super::{App, Do, Msg, Pane, Sheet, page_width};
use crate::dock::EditRequest;
use crate::dock::terminal::TermTab;
use crate::js;
use crate::link::Link;
use crate::seen::Effect;
use crate::shared::Shared;
use crate::toasts::Toast;

/// Toasts go away by themselves after this, errors later.
const TOAST_MS: u32 = 6_000;
/// A worker that has not said anything for so long will not.
const ANSWER_MS: u32 = 90_000;
/// An answer that takes longer is waited for with an empty panel.
const PATIENCE_MS: u32 = 100;
/// How many events the list holds.
const EVENTS: u32 = 200;

impl App {
    pub(super) fn send(&self, message: &ToWorker) {
        if self.hosted.read_only && super::keep::writes(message) {
            return;
        }
        self.send_as_host(message);
    }

    /// Also in an embed that visitors may only look at.
    pub(super) fn send_as_host(&self, message: &ToWorker) {
        if let Some(link) = self.link.as_ref().filter(|_| self.seen.ready) {
            self.keeper.notice(message);
            link.send(message);
        }
    }

    /// Starts a worker; it is told what to do once it has said that it listens.
    pub(super) fn connect(&mut self, ctx: &Context<Self>) {
        match Link::open(ctx.link().callback(Msg::Link)) {
            Ok(link) => self.link = Some(link),
            Err(error) => self.died = Some(error),
        }
        let link = ctx.link().clone();
        js::later(ANSWER_MS, move || link.send_message(Msg::StillSilent));
    }

    /// The worker listens: what cluster, which lens, which panels.
    fn greet(&mut self, ctx: &Context<Self>, protocol: u32) {
        if protocol != PROTOCOL_VERSION {
            self.link = None;
            self.died = Some("The page and its worker are of different builds; reload the page.".into());
            return;
        }
        self.first_message(ctx);
    }

    /// Begins a cluster: a boot, or a moment; then what the page needs to see of it.
    pub(super) fn begin_with(&mut self, message: &ToWorker) {
        self.send(message);
        if matches!(message, ToWorker::Start(_)) && super::keep::wanted("boot").as_deref() == Some("skip") {
            self.send(&ToWorker::Pace(Pace::SkipBoot));
        }
        if let Some(speed) = super::keep::wanted("speed").and_then(|s| super::host::speed(&s).ok()) {
            self.send(&ToWorker::Pace(Pace::Speed(speed)));
        }
        self.show();
        self.send(&ToWorker::WatchEvents { query: Some(EventsQuery { limit: EVENTS, ..EventsQuery::default() }) });
        for (tab, (cols, rows)) in self.terminals.open_tabs() {
            self.send(&ToWorker::OpenTerminal { tab, cols, rows });
        }
        self.inspect_again();
        self.watch_table();
    }

    /// Tells the worker which lens is on screen and how large.
    pub(super) fn show(&self) {
        let Some((width, height)) = self.stage.or(self.list.then_some((self.width, 600.0))) else { return };
        let compact = self.width < 900.0;
        // The legend (while booting or in the past: the bar that says so) has a line of its own under the picture.
        let height = (height - if compact { 36.0 } else { 44.0 }).max(160.0);
        self.send(&ToWorker::Show(View { lens: self.lens, width, height, compact, options: self.options.clone() }));
    }

    /// The worker prints a table only while it is on screen.
    fn watch_table(&self) {
        let query = (self.pane == Pane::Objects).then(|| self.query.clone());
        self.send(&ToWorker::WatchTable { query });
    }

    fn inspect_again(&self) {
        self.send(&ToWorker::Inspect { thing: self.asked.clone(), tab: self.tab });
    }

    /// Takes a batch in, and acknowledges it when the frame that shows it has been drawn.
    pub(super) fn take(&mut self, ctx: &Context<Self>, batch: Batch) -> bool {
        for message in batch.messages {
            let effect = self.seen.take(message);
            self.follow(ctx, effect);
        }
        self.tell_host(ctx);
        self.lab_may_open();
        let link = ctx.link().clone();
        // Callbacks come at a frame's beginning; a timer set there goes off when it has been painted.
        let painted = move || js::later(0, move || link.send_message(Msg::Drawn(batch.seq)));
        let drawn = Closure::once_into_js(painted);
        // A window always takes a frame callback.
        let _ = js::window().request_animation_frame(drawn.unchecked_ref());
        true
    }

    fn follow(&mut self, ctx: &Context<Self>, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Greeted { protocol } => {
                self.greet(ctx, protocol);
                self.lab_greeted(ctx);
            }
            Effect::Fly(flights) => {
                self.dots.fly(&self.seen.picture, flights);
            }
            Effect::Terminal(tab, bytes) => self.terminals.write(tab, &bytes),
            Effect::TerminalMode(tab, mode) => {
                if let Some(tab) = self.tabs.iter_mut().find(|t| t.id == tab) {
                    (tab.place, tab.note) = (mode.place, mode.note);
                }
            }
            Effect::TerminalClosed(tab, code) => {
                if let Some(tab) = self.tabs.iter_mut().find(|t| t.id == tab) {
                    tab.closed = true;
                    tab.note = format!("The shell has ended (exit {code}). Open another terminal with +.");
                }
            }
            Effect::AskFork { tab, command } => self.ask_fork = Some((tab, command)),
            Effect::OpenBuffer { buffer, name, text } => {
                self.edit = Some(Shared::new(EditRequest { buffer, name, text }));
                self.open_pane(Pane::Manifests);
            }
            Effect::ActionDone { error } => {
                if let Some(error) = error {
                    self.toast(ctx, Notice { level: Level::Error, text: error, thing: None });
                }
            }
            Effect::Notice(notice) => self.toast(ctx, notice),
            Effect::PausedChanged(paused) => self.dots.set_paused(paused),
            Effect::PictureReset => self.dots.clear(),
            Effect::Lab => self.lab_got_on(ctx),
            Effect::Saved => self.saved(ctx),
            Effect::Opened(opened) => self.opened(ctx, &opened),
            Effect::Kept(kept) => self.kept_by_worker(ctx, kept),
            Effect::Executed(executed) if self.addons_executed(&executed) => {}
            Effect::Executed(executed) => self.host_executed(&executed),
            Effect::Applied { id, done: true } => self.host_applied(id),
            Effect::Applied { .. } => {}
        }
    }

    pub(super) fn toast(&mut self, ctx: &Context<Self>, notice: Notice) {
        self.toast_with(ctx, notice, None);
    }

    /// A toast with something to be done about it stays longer.
    pub(super) fn toast_with(&mut self, ctx: &Context<Self>, notice: Notice, button: Option<(&'static str, Do)>) {
        let id = self.count();
        let wait = if notice.level == Level::Error || button.is_some() { 3 * TOAST_MS } else { TOAST_MS };
        self.toasts.push(Toast { id, level: notice.level, text: notice.text, thing: notice.thing, button });
        if self.toasts.len() > 4 {
            self.toasts.remove(0);
        }
        let link = ctx.link().clone();
        js::later(wait, move || link.send_message(Msg::Do(Do::DropToast(id))));
    }

    pub(super) fn count(&mut self) -> u32 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn open_pane(&mut self, pane: Pane) {
        self.pane = pane;
        self.watch_table();
        self.sheet = Sheet::Dock;
    }

    pub(super) fn resized(&mut self) -> bool {
        let width = page_width();
        let phone_before = self.width < 600.0;
        let changed = (self.width < 900.0) != (width < 900.0) || phone_before != (width < 600.0);
        self.width = width;
        if phone_before != (width < 600.0) {
            self.list = width < 600.0;
        }
        if changed {
            self.show();
        }
        changed
    }

    /// Does what was asked; true if the page has to be drawn again.
    pub(super) fn act(&mut self, ctx: &Context<Self>, what: Do) -> bool {
        match what {
            Do::Send(message) => {
                self.send(&message);
                return false;
            }
            Do::Lens(lens) => {
                self.lens = lens;
                self.show();
                self.note_view(ctx);
            }
            Do::Choose(thing) => {
                self.options.chosen = Some(thing);
                self.show();
            }
            Do::ShowFlow(thing) => {
                self.lens = Lens::PodCreation;
                self.options.chosen = Some(thing);
                self.list = false;
                self.sheet = Sheet::None;
                self.show();
            }
            Do::Options(options) => {
                self.options = options;
                self.show();
            }
            Do::StageSize(w, h) => {
                if self.stage != Some((w, h)) && w > 0.0 {
                    self.stage = Some((w, h));
                    self.show();
                }
                return false;
            }
            Do::Inspect(thing) => return self.inspect(ctx, thing),
            Do::InspectTab(tab) => {
                self.tab = tab;
                self.inspect_again();
                self.note_view(ctx);
            }
            Do::Act(action) => {
                let id = self.count();
                self.send(&ToWorker::Act { id, action });
                return false;
            }
            Do::Apply { name, text, dry_run } => {
                let id = self.count();
                self.send(&ToWorker::Apply { id, name, text, dry_run });
                return false;
            }
            Do::Restart { resume } => {
                self.died = None;
                self.resume = resume;
                for tab in &mut self.tabs {
                    (tab.closed, tab.note) = (false, String::new());
                }
                self.connect(ctx);
            }
            other => self.act_here(ctx, other),
        }
        true
    }

    /// Opens a thing, or closes what is open; true if the page has to be drawn again now. A thing is drawn with what the worker answers, at
    /// once: an empty panel before it would take a frame that the answer waits for.
    fn inspect(&mut self, ctx: &Context<Self>, thing: Option<Thing>) -> bool {
        if let Some(thing) = &thing {
            // A message has no why of its own kind to begin with: its overview is the story.
            let message = matches!(thing, Thing::Message { .. });
            let was_message = matches!(self.asked, Some(Thing::Message { .. }));
            if self.asked.is_none() || message != was_message {
                self.tab = if message { Tab::Overview } else { Tab::Why };
            }
            self.aside = true;
            self.sheet = Sheet::Inspector;
        } else if self.sheet == Sheet::Inspector {
            self.sheet = Sheet::None;
        }
        self.asked = thing;
        self.inspect_again();
        self.note_view(ctx);
        if !self.awaits_answer() {
            return true;
        }
        let link = ctx.link().clone();
        js::later(PATIENCE_MS, move || link.send_message(Msg::Unanswered));
        false
    }

    /// What was opened last is not what the panel has.
    pub(super) fn awaits_answer(&self) -> bool {
        self.asked.is_some() && self.seen.inspector.as_ref().and_then(|i| i.thing.as_ref()) != self.asked.as_ref()
    }

    /// What concerns only the page itself.
    fn act_here(&mut self, ctx: &Context<Self>, what: Do) {
        match what {
            Do::Pane(pane) => {
                let same = self.pane == pane && self.sheet == Sheet::Dock;
                self.pane = pane;
                self.sheet = if same { Sheet::None } else { Sheet::Dock };
                self.watch_table();
            }
            Do::Table(query) => {
                self.query = query;
                self.watch_table();
            }
            Do::ShowList(list) => {
                self.list = list;
                self.sheet = Sheet::None;
            }
            Do::ToggleAside => self.aside = !self.aside,
            Do::NextTheme => {
                self.put_on(self.theme.next());
                self.theme.remember();
            }
            Do::Palette(open) => {
                self.palette = open;
                self.typed.clear();
            }
            Do::InsertExample(name) => {
                self.insert = Some(Shared::new(name));
                self.open_pane(Pane::Manifests);
            }
            Do::NewTerminal => {
                let id = self.count();
                self.tabs.push(TermTab { id, ..TermTab::default() });
                self.active_tab = id;
                self.open_pane(Pane::Terminal);
            }
            Do::SelectTerminal(id) => {
                self.active_tab = id;
                self.terminals.focus(id);
            }
            Do::CloseTerminal(id) => self.close_terminal(id),
            Do::ForkAnswer { tab, yes } => {
                self.ask_fork = None;
                self.send(&ToWorker::ForkAnswer { tab, yes });
                self.terminals.focus(tab);
            }
            Do::DropToast(id) => self.toasts.retain(|t| t.id != id),
            Do::DockTop(y) => {
                let page = js::window().inner_height().ok().and_then(|h| h.as_f64()).unwrap_or(800.0) as i32;
                self.set_dock(page - 58 - y);
            }
            Do::Addons(question) => self.ask_addons(question),
            Do::Lab(what) => self.act_lab(ctx, what),
            Do::DockBy(px) => self.set_dock(self.dock_px.unwrap_or(240) + px),
            // The rest is done by `act`.
            other => self.act_keeping(ctx, other),
        }
    }

    pub(super) fn put_on(&mut self, theme: super::Theme) {
        self.theme = theme;
        self.theme.put_on();
        self.terminals.retheme();
    }

    fn set_dock(&mut self, px: i32) {
        self.dock_px = Some(px.clamp(80, 620));
    }

    fn close_terminal(&mut self, id: u32) {
        self.tabs.retain(|t| t.id != id);
        self.terminals.close(id);
        self.send(&ToWorker::CloseTerminal { tab: id });
        if self.tabs.is_empty() {
            let id = self.count();
            self.tabs.push(TermTab { id, ..TermTab::default() });
        }
        if self.tabs.iter().all(|t| t.id != self.active_tab) {
            self.active_tab = self.tabs[0].id;
        }
    }
}
