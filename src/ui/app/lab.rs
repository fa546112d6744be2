//! What the page does about labs: fetches, opens, types for the learner, remembers how far they are, and tells a host.

use protocol::*;
use wasm_bindgen::JsValue;
use yew::prelude::*;

use super::{App, Do, Msg, Pane, Sheet};
use crate::js;
use crate::labs::{self, LabDo, catalogue};
use crate::shared::Shared;

/// A terminal that is just being opened may need so long.
const TERMINAL_MS: u32 = 700;
const TRIES: u32 = 8;

/// The lab on the page.
#[derive(Default)]
pub(super) struct Desk {
    /// The address's lab has been asked for.
    asked: bool,
    /// It is the one that the page was opened with.
    first: bool,
    /// Its step goes on in the midst: what the address shows counts, not what the step begins with.
    resumed: bool,
    /// What is being fetched. A lab that comes after the learner has left, or chosen another one, is not opened.
    fetching: Option<String>,
    /// Files that wait until there is a cluster to take the place of.
    waiting: Option<LabFiles>,
    /// What is open, for a worker that has to begin anew.
    open: Option<LabFiles>,
    pub error: Option<String>,
    pub look: Option<u32>,
    /// The list over the page; the inner None: not here yet.
    pub list: Option<Option<Vec<catalogue::Entry>>>,
    /// The language that was chosen in this visit.
    language: Option<String>,
    /// Step and wall time of its beginning, in ms.
    since: Option<(u32, f64)>,
    phase: LabPhase,
    hints: usize,
}

impl Desk {
    /// Whether the panel is there.
    pub fn shown(&self) -> bool {
        self.fetching.is_some() || self.waiting.is_some() || self.open.is_some() || self.error.is_some()
    }
}

impl App {
    /// A worker listens: the address may name a lab, and a lab that was open opens again.
    pub(super) fn lab_greeted(&mut self, ctx: &Context<Self>) {
        if let Some(mut files) = self.desk.open.take() {
            // A worker that goes on from the last snapshot is in the midst of the step.
            let step = self.seen.lab.as_ref().map(|s| s.step).filter(|_| self.keeper.reopened);
            files.passed = step.unwrap_or_else(|| self.lab_passed(&files.name));
            files.resumed = step.is_some();
            self.desk.waiting = Some(files);
        }
        if !std::mem::replace(&mut self.desk.asked, true)
            && let Some(name) = super::keep::wanted("lab")
        {
            self.desk.first = true;
            self.fetch_lab(ctx, name);
        }
    }

    /// Loading the page again, or a bookmark, leads to the lab that is open.
    fn note_lab(&mut self, name: Option<&str>) {
        if super::embedded() {
            return;
        }
        js::replace_query("lab", name);
        if name.is_some() {
            // The lab has a cluster of its own: the moment that the visit began with is not what is shown.
            self.keeper.moment = None;
            js::replace_hash(&self.view_words());
        }
    }

    /// Which step is open, for the link to a moment in the midst of a lab: `step=2`.
    pub(super) fn lab_words(&self) -> Option<String> {
        let state = self.seen.lab.as_ref().filter(|_| self.desk.open.is_some())?;
        Some(format!("step={}", state.step + 1))
    }

    fn fetch_lab(&mut self, ctx: &Context<Self>, name: String) {
        self.seen.lab_text = None;
        self.seen.lab = None;
        self.desk.error = None;
        self.desk.list = None;
        self.desk.fetching = Some(name.clone());
        self.make_room_for_lab();
        let language = self.lab_language();
        ctx.link().send_future(async move {
            let files = labs::fetch::files(name.clone(), language).await;
            Msg::Do(Do::Lab(LabDo::Fetched(name, files)))
        });
    }

    /// The reader's: chosen just now, said by the address (`?lang=de`: an embed's page knows its readers), chosen in an earlier visit,
    /// the browser's. Where a lab hasn't it, English.
    fn lab_language(&self) -> String {
        let chosen = self.desk.language.clone().or_else(|| super::keep::wanted("lang"));
        let chosen = chosen.or_else(|| js::remembered(labs::LANGUAGE_KEY));
        chosen.or_else(|| js::window().navigator().language()).unwrap_or_default()
    }

    /// Opens what was fetched, once the worker has a cluster.
    pub(super) fn lab_may_open(&mut self) {
        if self.seen.cluster.name.is_empty() || self.desk.waiting.is_none() {
            return;
        }
        if let Some(mut files) = self.desk.waiting.take() {
            let first = std::mem::take(&mut self.desk.first);
            if let Some(step) = self.keeper.shared_step().filter(|_| first) {
                // A shared moment is in the midst of the step that its link names, however far this visitor once was.
                (files.passed, files.resumed) = (step, true);
            } else if first {
                // A cluster that was kept from the last visit is in the midst of the step that had begun.
                let begun = js::remembered(&labs::begun_key(&files.name)).and_then(|n| n.parse::<u32>().ok());
                files.resumed = self.keeper.restored && begun == Some(files.passed);
            }
            self.desk.resumed = files.resumed;
            self.send(&ToWorker::Lab(LabCommand::Open(files.clone())));
            self.desk.open = Some(files);
        }
    }

    pub(super) fn act_lab(&mut self, ctx: &Context<Self>, what: LabDo) {
        match what {
            LabDo::Catalogue(false) => self.desk.list = None,
            LabDo::Catalogue(true) => {
                self.desk.list = Some(None);
                ctx.link().send_future(async { Msg::Do(Do::Lab(LabDo::Listed(labs::fetch::list().await))) });
            }
            LabDo::Listed(Ok(entries)) if self.desk.list.is_some() => self.desk.list = Some(Some(entries)),
            LabDo::Listed(Ok(_)) => {}
            LabDo::Listed(Err(error)) => {
                self.desk.list = None;
                self.toast(ctx, Notice { level: Level::Error, text: error, thing: None });
            }
            LabDo::Open(name) => {
                self.note_lab(Some(&name));
                self.fetch_lab(ctx, name);
            }
            LabDo::Fetched(name, files) if self.desk.fetching.as_ref() == Some(&name) => {
                self.desk.fetching = None;
                self.desk.look = None;
                match files {
                    Ok(files) => self.desk.waiting = Some(files),
                    Err(error) => self.desk.error = Some(error),
                }
                self.lab_may_open();
            }
            LabDo::Fetched(..) => {}
            LabDo::Tell(command) => {
                self.desk.look = None;
                self.lab_told(&command);
                self.send(&ToWorker::Lab(command));
            }
            LabDo::Language(language) => {
                js::remember(labs::LANGUAGE_KEY, &language);
                if let Some(files) = &mut self.desk.open {
                    files.language = language.clone();
                    let command = LabCommand::Language(files.clone());
                    self.send(&ToWorker::Lab(command));
                }
                self.desk.language = Some(language);
            }
            LabDo::Look(step) => {
                self.desk.look = step;
                // In a tour the picture belongs to the words.
                let at = step.or_else(|| self.seen.lab.as_ref().map(|s| s.step));
                if let Some(at) = at.filter(|_| self.is_tour()) {
                    self.show_lens_of(ctx, at);
                }
            }
            LabDo::Exec { text, interrupt } => self.type_for_learner(ctx, &text, interrupt, TRIES),
            LabDo::Copy(text) => copy(&text),
            LabDo::Show(what) => self.show_in_picture(ctx, &what),
            LabDo::Apply(text) => {
                let id = self.count();
                self.send(&ToWorker::Apply { id, name: "lab.yaml".into(), text, dry_run: false });
            }
            LabDo::Leave => {
                self.note_lab(None);
                self.send(&ToWorker::Lab(LabCommand::Close));
                let language = self.desk.language.take();
                self.desk = Desk { asked: true, language, ..Desk::default() };
                (self.seen.lab, self.seen.lab_text) = (None, None);
                self.sheet = Sheet::None;
            }
            LabDo::Sheet => self.sheet = if self.sheet == Sheet::Lab { Sheet::None } else { Sheet::Lab },
        }
    }

    fn is_tour(&self) -> bool {
        self.seen.lab_text.as_ref().is_some_and(|t| t.tour)
    }

    /// A tour goes on, or back, by the keys that a presenter's remote has.
    pub(super) fn turn_page(&mut self, ctx: &Context<Self>, event: &KeyboardEvent) -> bool {
        let Some(state) = self.seen.lab.clone().filter(|_| self.is_tour()) else { return false };
        let at = self.desk.look.unwrap_or(state.step);
        let what = match event.key().as_str() {
            "PageUp" if at > 0 => LabDo::Look(Some(at - 1)),
            "PageDown" if at < state.step => LabDo::Look(Some(at + 1).filter(|next| *next != state.step)),
            "PageDown" if state.phase == LabPhase::Passed => LabDo::Tell(LabCommand::Next),
            _ => return false,
        };
        event.prevent_default();
        self.act(ctx, Do::Lab(what))
    }

    /// A lens, or a box of the picture with its inspector.
    fn show_in_picture(&mut self, ctx: &Context<Self>, what: &str) {
        let names = ["architecture", "components", "control-plane", "service-network", "pod-creation"];
        if let Some(name) = what.strip_prefix("lens:") {
            if let Some(i) = names.iter().position(|n| *n == name) {
                self.list = false;
                self.sheet = Sheet::None;
                self.act(ctx, Do::Lens(Lens::ALL[i]));
            }
        } else if let Some(id) = what.strip_prefix("show:") {
            let opens = self.seen.picture.boxes.get(id).and_then(|b| b.opens.clone());
            if opens.is_some() {
                self.act(ctx, Do::Inspect(opens));
            }
        }
    }

    /// The panel takes the place of the inspector where there is not room for both.
    fn make_room_for_lab(&mut self) {
        self.sheet = Sheet::Lab;
        if self.width < 1500.0 && self.asked.is_none() {
            self.aside = false;
        }
    }

    /// Puts a command into the terminal, as if it were typed. A terminal that isn't open yet is opened first.
    fn type_for_learner(&mut self, ctx: &Context<Self>, text: &str, interrupt: bool, tries: u32) {
        let tab = self.active_tab;
        if self.pane != Pane::Terminal && self.width < 1181.0 || self.width < 900.0 {
            self.open_pane(Pane::Terminal);
        }
        if self.terminals.open_tabs().iter().any(|(open, _)| *open == tab) {
            let mut keys = if interrupt { "\u{3}".to_owned() } else { String::new() };
            keys.push_str(&text.trim_end().replace('\n', "\r"));
            keys.push('\r');
            self.send(&ToWorker::TerminalInput { tab, bytes: ByteBuf::from(keys.into_bytes()) });
            // The terminal may have been waited for: who writes into a dialog by now goes on writing there.
            if !self.palette && self.desk.list.is_none() && self.keeper.share.is_none() {
                self.terminals.focus(tab);
            }
        } else if tries > 0 {
            let (link, text) = (ctx.link().clone(), text.to_owned());
            let again = move || link.send_message(Msg::TypeAgain(text, interrupt, tries - 1));
            js::later(TERMINAL_MS, again);
        }
    }

    pub(super) fn type_again(&mut self, ctx: &Context<Self>, text: &str, interrupt: bool, tries: u32) {
        self.type_for_learner(ctx, text, interrupt, tries);
    }

    fn lab_passed(&self, name: &str) -> u32 {
        js::remembered(&labs::key(name)).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// The worker has said how far the lab is.
    pub(super) fn lab_got_on(&mut self, ctx: &Context<Self>) {
        let Some(state) = self.seen.lab.clone() else { return };
        // A caption of a tour is passed at once.
        let playing = matches!(state.phase, LabPhase::Playing | LabPhase::Solving)
            || state.checks.is_empty() && !state.steps.is_empty() && matches!(state.phase, LabPhase::Passed | LabPhase::Finished);
        let began = playing && self.desk.since.is_none_or(|(step, _)| step != state.step);
        if began {
            self.desk.since = Some((state.step, js_sys::Date::now()));
            self.desk.look = None;
            if let Some(files) = &self.desk.open {
                js::remember(&labs::begun_key(&files.name), &state.step.to_string());
            }
            if !std::mem::take(&mut self.desk.resumed) {
                self.show_lens_of(ctx, state.step);
            }
            self.note_view(ctx);
            self.tell_lab("stepStarted", &state);
        }
        if state.hints.len() > self.desk.hints {
            self.tell_lab("hintUsed", &state);
        }
        self.desk.hints = state.hints.len();
        let passed = |p: LabPhase| matches!(p, LabPhase::Passed | LabPhase::Finished);
        if passed(state.phase) && !passed(self.desk.phase) {
            self.tell_lab("stepPassed", &state);
            self.lab_remember(&state);
        }
        self.desk.phase = state.phase;
    }

    /// The lens that shows a step best, when it begins.
    fn show_lens_of(&mut self, ctx: &Context<Self>, step: u32) {
        let Some(text) = self.seen.lab_text.as_ref().and_then(|t| t.steps.get(step as usize)).cloned() else { return };
        if let Some(lens) = text.lens.filter(|l| *l != self.lens) {
            self.lens = lens;
            self.show();
        }
        if let Some(id) = text.show {
            self.show_in_picture(ctx, &format!("show:{id}"));
        }
    }

    fn lab_remember(&mut self, state: &Shared<LabState>) {
        let passed = state.steps.iter().take_while(|s| matches!(s, LabStepState::Passed | LabStepState::Solved)).count() as u32;
        if let Some(files) = &self.desk.open {
            let best = self.lab_passed(&files.name).max(passed);
            js::remember(&labs::key(&files.name), &best.to_string());
        }
    }

    /// Learner events for a host page that has introduced itself.
    fn tell_lab(&self, event: &str, state: &Shared<LabState>) {
        let Some(text) = &self.seen.lab_text else { return };
        let title = text.steps.get(state.step as usize).map(|s| s.title.clone()).unwrap_or_default();
        let ms = self.desk.since.map_or(0.0, |(_, since)| js_sys::Date::now() - since);
        let solved = state.steps.get(state.step as usize) == Some(&LabStepState::Solved);
        let fields = [
            ("event", event.into()),
            ("lab", text.name.as_str().into()),
            ("step", JsValue::from_f64(f64::from(state.step + 1))),
            ("title", title.into()),
            ("durationMs", JsValue::from_f64(ms)),
            ("hints", JsValue::from_f64(state.hints.len() as f64)),
            ("solved", solved.into()),
            ("finished", (state.phase == LabPhase::Finished).into()),
        ];
        self.tell("lab", &fields);
        if event == "stepPassed" {
            self.tell("checkPassed", &fields[1..4]);
        }
    }

    fn lab_told(&mut self, command: &LabCommand) {
        let event = match command {
            LabCommand::Reset => "stepReset",
            LabCommand::Solve => "stepSolved",
            _ => return,
        };
        if let Some(state) = self.seen.lab.clone() {
            self.tell_lab(event, &state);
        }
    }
}

/// Puts a text on the clipboard, where that is allowed.
fn copy(text: &str) {
    let clipboard = js_sys::Reflect::get(&js::window().navigator(), &"clipboard".into());
    if let Some(clipboard) = clipboard.ok().filter(|c| c.is_object()) {
        // Refused in some frames: then nothing is copied, and the text is there to be selected.
        let _ = js::call(&clipboard, "writeText", &[&text.into()]);
    }
}
