//! What outlives the page: the moment that a visit begins with, the journal that the next one begins with, and what is shared.

use std::cell::Cell;

use protocol::*;
use yew::prelude::*;

use super::{App, Do, Msg};
use crate::format;
use crate::js;
use crate::share::ShareLink;
use crate::store::{self, Begin};

/// How often the page looks whether there is something to be saved, and how often it saves what only time has done.
pub(super) const SAVE_MS: u32 = 1_000;
const IDLE_SAVES: u32 = 10;
/// etcd's keys are kept for another release so often, in saves.
const SPARE_EVERY: u32 = 60;
/// Larger ones are not kept.
const MAX_SPARE: usize = 16 << 20;
/// Kept by the page itself.
const FOR_JOURNAL: u32 = u32::MAX;
const FOR_LINK: u32 = u32::MAX - 1;
const FOR_DOWNLOAD: u32 = u32::MAX - 2;
/// When a changed view gets into the address.
const NOTED_AFTER_MS: u32 = 250;

/// The page's memory of what it keeps.
#[derive(Default)]
pub(super) struct Keeper {
    pub release: String,
    /// The link that this visit began with.
    pub moment: Option<String>,
    /// It began with the cluster of the last visit.
    pub restored: bool,
    /// This worker began with the last snapshot of one that died.
    pub reopened: bool,
    /// The user has done something: this cluster is worth to be kept.
    touched: Cell<bool>,
    /// Something was done since the last save.
    news: Cell<bool>,
    /// That nothing can be kept has been said.
    told: bool,
    ticks: u32,
    /// The view will be written into the address.
    noting: bool,
    /// Events handled when a saved log, and when etcd's keys were last asked for.
    saved_events: u64,
    spare_events: u64,
    spare: Option<ByteBuf>,
    /// The share dialog, with what is in it.
    pub share: Option<ShareLink>,
    pub copied: bool,
    shared_bytes: ByteBuf,
    /// Which moment that is: time goes on while the dialog is open.
    pub shared_us: Option<Us>,
}

/// What has come from `js/store.js`.
pub enum Kept {
    Began(Begin),
    /// Nothing can be kept; in a sentence.
    Refused(String),
    Link(Result<Option<String>, String>),
    Copied(bool),
    File(Result<Option<ByteBuf>, String>),
    Failed(String),
    /// The journal is gone: the page may begin anew.
    Forgotten,
}

impl Keeper {
    pub fn new() -> Keeper {
        let meta = js::document().query_selector("meta[name=kubottle-release]").ok().flatten();
        Keeper { release: meta.and_then(|m| m.get_attribute("content")).unwrap_or_default(), ..Keeper::default() }
    }

    /// How many steps of a lab lie before the one that the moment is in.
    pub fn shared_step(&self) -> Option<u32> {
        self.moment.as_ref()?;
        Some(hashed("step").and_then(|n| n.parse::<u32>().ok()).unwrap_or(1).saturating_sub(1))
    }

    /// Looks at what is sent: does it make the cluster the user's own?
    pub fn notice(&self, message: &ToWorker) {
        if writes(message) {
            self.touched.set(true);
            self.news.set(true);
        }
    }
}

/// Whether a message does something to the cluster.
pub(super) fn writes(message: &ToWorker) -> bool {
    matches!(
        message,
        ToWorker::Apply { dry_run: false, .. }
            | ToWorker::TerminalInput { .. }
            | ToWorker::Act { .. }
            | ToWorker::BufferClosed { .. }
            | ToWorker::Exec { .. }
            | ToWorker::ResumeHere { .. }
            | ToWorker::Lab(_)
    )
}

/// Whether anything may be kept for the next visit: not in an embed, whose page has other plans.
fn keeps() -> bool {
    !super::embedded()
}

/// A parameter of the address.
pub(super) fn wanted(key: &str) -> Option<String> {
    let query = js::window().location().search().unwrap_or_default();
    web_sys::UrlSearchParams::new_with_str(&query).ok()?.get(key)
}

/// A parameter behind the `#`.
pub(super) fn hashed(key: &str) -> Option<String> {
    let hash = js::window().location().hash().unwrap_or_default();
    web_sys::UrlSearchParams::new_with_str(hash.trim_start_matches('#')).ok()?.get(key)
}

fn config() -> String {
    wanted("config").unwrap_or_else(|| "demo".into())
}

/// What kind of cluster the address asks for: only one of its kind is restored.
fn kind() -> String {
    wanted("lab").map_or_else(config, |lab| format!("lab:{lab}"))
}

impl App {
    /// The worker listens: with what does it begin? The first time the address or the last visit may say so.
    pub(super) fn first_message(&mut self, ctx: &Context<Self>) {
        self.send(&ToWorker::Release { id: self.keeper.release.clone() });
        self.keeper.reopened = self.resume && self.seen.saved.is_some();
        if std::mem::take(&mut self.resume)
            && let Some(saved) = self.seen.saved.as_ref()
        {
            let open = Open { log: saved.1.clone(), spare: self.keeper.spare.clone() };
            return self.begin_with(&ToWorker::Open(open));
        }
        match store::beginning() {
            Some(promise) => ctx.link().send_future(async { Msg::Kept(Kept::Began(store::begin(promise).await)) }),
            None => self.begin_with(&start()),
        }
    }

    fn began(&mut self, ctx: &Context<Self>, begin: Begin) {
        match begin {
            Begin::Fresh => self.begin_with(&start()),
            Begin::Link { log, moment } => {
                self.keeper.moment = Some(moment);
                // Who opens a link to a moment looks at that moment: said first, so that no time passes after it.
                self.send(&ToWorker::Pace(Pace::Pause));
                self.begin_with(&ToWorker::Open(Open { log, spare: None }));
            }
            Begin::Journal { log, spare } => {
                self.keeper.moment = hashed("m");
                self.keeper.touched.set(true);
                self.keeper.restored = true;
                self.keeper.spare = spare.clone();
                self.begin_with(&ToWorker::Open(Open { log, spare }));
            }
            Begin::Broken { log } => {
                let text = "The cluster of your last visit stopped this page when it was restored, so this is a new one. Yours is still kept: it is downloaded now.";
                self.say(ctx, Level::Warning, text);
                ctx.link().send_future(async {
                    match store::download(log, "last-visit.kubottle".into()).await {
                        Ok(()) => Msg::Kept(Kept::Copied(false)),
                        Err(text) => Msg::Kept(Kept::Failed(text)),
                    }
                });
                self.begin_with(&start());
            }
            Begin::Wrong(text) => {
                self.say(ctx, Level::Error, &format!("{text} This is a new cluster."));
                self.begin_with(&start());
            }
        }
    }

    pub(super) fn update_is_ready(&mut self, ctx: &Context<Self>) {
        let text = "A new version of Kubottle is ready. Your cluster comes along.".to_owned();
        let notice = Notice { level: Level::Info, text, thing: None };
        self.toast_with(ctx, notice, Some(("Load it", Do::Update)));
    }

    fn say(&mut self, ctx: &Context<Self>, level: Level, text: &str) {
        self.toast(ctx, Notice { level, text: text.to_owned(), thing: None });
    }

    /// What the store has answered.
    pub(super) fn kept(&mut self, ctx: &Context<Self>, kept: Kept) {
        match kept {
            Kept::Began(begin) => self.began(ctx, begin),
            Kept::Refused(text) => {
                if !std::mem::replace(&mut self.keeper.told, true) {
                    self.say(ctx, Level::Warning, &text);
                }
            }
            Kept::Link(link) => {
                let bytes = self.keeper.shared_bytes.len();
                let link = match link {
                    Ok(Some(link)) => ShareLink::Ready(link),
                    Ok(None) => ShareLink::TooLong(bytes),
                    Err(why) => ShareLink::Failed(why),
                };
                self.keeper.share = self.keeper.share.is_some().then_some(link);
            }
            Kept::Copied(copied) => self.keeper.copied = copied,
            Kept::File(Ok(Some(log))) => {
                self.keeper.share = None;
                self.keeper.moment = None;
                if self.desk.shown() {
                    // Its checks are about another cluster.
                    self.act_lab(ctx, crate::labs::LabDo::Leave);
                }
                self.send(&ToWorker::Pace(Pace::Pause));
                self.begin_with(&ToWorker::Open(Open { log, spare: None }));
            }
            Kept::File(Ok(None)) => {}
            Kept::File(Err(text)) | Kept::Failed(text) => self.say(ctx, Level::Error, &text),
            Kept::Forgotten => {
                let location = js::window().location();
                // Setting the hash of one's own address and loading it again can't fail.
                let _ = location.set_hash("");
                let _ = location.reload();
            }
        }
    }

    /// A moment was opened, or not.
    pub(super) fn opened(&mut self, ctx: &Context<Self>, opened: &Opened) {
        if opened.how == How::Failed {
            self.say(ctx, Level::Error, &opened.text);
            self.keeper.moment = None;
            if self.seen.cluster.name.is_empty() {
                self.begin_with(&start());
            }
            return;
        }
        let level = if opened.how == How::Exact { Level::Info } else { Level::Warning };
        let at = format::clock_s(opened.at_us);
        let text = match (&self.keeper.moment, opened.how) {
            (Some(_), How::Exact) => {
                format!("This is {at} of a shared cluster. Play goes on from here; nothing that you do changes it for others.")
            }
            (None, How::Exact) => format!("Your cluster is back, as it was at {at}."),
            _ => opened.text.clone(),
        };
        let button = self.keeper.restored.then_some(("Start a new one", Do::Fresh));
        self.toast_with(ctx, Notice { level, text, thing: None }, button);
        self.keeper.news.set(self.keeper.touched.get());
    }

    /// Time to look whether something is to be saved.
    pub(super) fn save(&mut self, ctx: &Context<Self>) {
        let link = ctx.link().clone();
        js::later(SAVE_MS, move || link.send_message(Msg::Save));
        let keeper = &mut self.keeper;
        keeper.ticks = keeper.ticks.wrapping_add(1);
        let events = self.seen.clock.events;
        let due = keeper.news.get() || keeper.ticks.is_multiple_of(IDLE_SAVES) && events != keeper.saved_events;
        if !due || js::document().visibility_state() != web_sys::VisibilityState::Visible {
            return;
        }
        keeper.news.set(false);
        keeper.saved_events = events;
        let spare = keeper.touched.get() && keeps() && keeper.ticks >= SPARE_EVERY && events != keeper.spare_events;
        if spare {
            keeper.ticks = 0;
            keeper.spare_events = events;
            self.send(&ToWorker::Keep { id: FOR_JOURNAL, keep: Keep::File });
        }
        self.send(&ToWorker::Save);
    }

    /// The tab goes into the background, or away: what was done last is saved at once.
    pub(super) fn save_at_once(&mut self) {
        if self.keeper.news.replace(false) {
            self.send(&ToWorker::Save);
        }
    }

    /// The worker has saved: so does the browser, if there is anything of the user's in it.
    pub(super) fn saved(&mut self, ctx: &Context<Self>) {
        let Some(saved) = self.seen.saved.clone().filter(|_| self.keeper.touched.get() && keeps()) else { return };
        let (moment, spare) = (self.keeper.moment.clone(), self.keeper.spare.clone());
        ctx.link().send_future_batch(async move {
            let refused = store::save(kind(), moment, saved.1.clone(), spare, saved.0).await;
            refused.map(|text| Msg::Kept(Kept::Refused(text))).into_iter().collect::<Vec<_>>()
        });
    }

    /// The moment shown has come as bytes.
    pub(super) fn kept_by_worker(&mut self, ctx: &Context<Self>, kept: protocol::Kept) {
        if let Some(error) = kept.error {
            return self.say(ctx, Level::Error, &error);
        }
        match kept.id {
            FOR_JOURNAL => self.keeper.spare = (kept.bytes.len() <= MAX_SPARE).then_some(kept.bytes),
            FOR_LINK => {
                self.keeper.shared_bytes = kept.bytes.clone();
                self.keeper.shared_us = Some(kept.at_us);
                let view: Vec<String> =
                    self.lab_words().into_iter().chain([self.view_words()]).filter(|v| !v.is_empty()).collect();
                let (release, view) = (self.keeper.release.clone(), view.join("&"));
                ctx.link().send_future(async { Msg::Kept(Kept::Link(store::link(kept.bytes, release, view).await)) });
            }
            FOR_DOWNLOAD => ctx.link().send_future_batch(async {
                let failed = store::download(kept.bytes, kept.file).await.err();
                failed.map(|text| Msg::Kept(Kept::Failed(text))).into_iter().collect::<Vec<_>>()
            }),
            id => self.host_snapshot(ctx, id, kept),
        }
    }

    /// What the share dialog and the palette ask for.
    pub(super) fn act_keeping(&mut self, ctx: &Context<Self>, what: Do) {
        match what {
            Do::Share(open) => {
                self.keeper.share = open.then(ShareLink::default);
                self.keeper.copied = false;
                self.keeper.shared_us = None;
                if open {
                    self.send(&ToWorker::Keep { id: FOR_LINK, keep: Keep::Link });
                }
            }
            Do::CopyLink => {
                if let Some(ShareLink::Ready(link)) = self.keeper.share.clone() {
                    ctx.link().send_future(async { Msg::Kept(Kept::Copied(store::copy(link).await)) });
                }
            }
            Do::Keep(keep) => self.send(&ToWorker::Keep { id: FOR_DOWNLOAD, keep }),
            Do::Picture { png } => {
                let name = format!("kubottle-{}.{}", self.lens.word(), if png { "png" } else { "svg" });
                ctx.link().send_future_batch(async move {
                    let failed = store::picture(name, png).await.err();
                    failed.map(|text| Msg::Kept(Kept::Failed(text))).into_iter().collect::<Vec<_>>()
                });
            }
            Do::Update => {
                self.save_at_once();
                // There is such a function when a release waits; nothing happens where there is none.
                let _ = js::call(&js::window(), "kubottleTakeOver", &[]);
            }
            Do::OpenFile => ctx.link().send_future(async { Msg::Kept(Kept::File(store::open_file().await)) }),
            Do::KeepLast => {
                let Some(saved) = self.seen.saved.clone() else { return };
                ctx.link().send_future_batch(async move {
                    let failed = store::download(saved.1.clone(), "last-snapshot.kubottle".into()).await.err();
                    failed.map(|text| Msg::Kept(Kept::Failed(text))).into_iter().collect::<Vec<_>>()
                });
            }
            Do::Smaller => {
                // What was kept of the large one stays, and isn't restored by the next page.
                js::for_next_page("kubottle-fresh", "1");
                let location = js::window().location();
                let query = location.search().unwrap_or_default();
                if let Ok(query) = web_sys::UrlSearchParams::new_with_str(&query) {
                    query.delete("lab");
                    query.set("config", "demo");
                    // Setting parts of one's own address can't fail.
                    let _ = location.set_hash("");
                    let _ = location.set_search(&query.to_string().as_string().unwrap_or_default());
                }
            }
            Do::Fresh => {
                js::for_next_page("kubottle-fresh", "1");
                ctx.link().send_future(async {
                    store::forget().await;
                    Msg::Kept(Kept::Forgotten)
                });
            }
            _ => {}
        }
    }

    /// Lens, selection and tab as an address has them.
    pub(super) fn view_words(&self) -> String {
        let mut words = Vec::new();
        if self.lens != Lens::default() {
            words.push(format!("lens={}", self.lens.word()));
        }
        if let Some(thing) = &self.asked {
            words.push(format!("open={}", js::encode(&thing.path())));
            words.push(format!("tab={}", self.tab.word()));
        }
        words.join("&")
    }

    /// The address leads to what is shown, so that it can be copied, kept as a bookmark, and loaded again. It is written a moment later:
    /// browsers have work with a new address (the icon is drawn again), which what was just opened would wait for.
    pub(super) fn note_view(&mut self, ctx: &Context<Self>) {
        if !keeps() || std::mem::replace(&mut self.keeper.noting, true) {
            return;
        }
        let link = ctx.link().clone();
        js::later(NOTED_AFTER_MS, move || link.send_message(Msg::NoteView));
    }

    pub(super) fn put_view_into_address(&mut self) {
        self.keeper.noting = false;
        let moment = hashed("m").map(|m| format!("m={m}"));
        let step = moment.as_ref().and_then(|_| self.lab_words());
        let view = Some(self.view_words()).filter(|v| !v.is_empty());
        let hash = [moment, step, view].into_iter().flatten().collect::<Vec<_>>().join("&");
        js::replace_hash(&hash);
    }

    /// A link was put into the address of a page that is open: its moment is another visit's, the rest is shown.
    pub(super) fn address_changed(&mut self, ctx: &Context<Self>) {
        if hashed("m").is_some_and(|m| Some(m) != self.keeper.moment) {
            // Loading one's own address again can't fail.
            let _ = js::window().location().reload();
            return;
        }
        let (lens, asked) = (self.lens, self.asked.clone());
        self.view_from_address();
        if self.lens != lens {
            self.show();
        }
        if self.asked != asked {
            self.act(ctx, Do::Inspect(self.asked.clone()));
        }
    }

    /// Lens, selection and tab that the address asks for.
    pub(super) fn view_from_address(&mut self) {
        let asked = |key: &str| hashed(key).or_else(|| wanted(key));
        if let Some(lens) = asked("lens").and_then(|w| Lens::of_word(&w)) {
            self.lens = lens;
        }
        if let Some(thing) = asked("open").and_then(|p| Thing::of_path(&p)) {
            self.asked = Some(thing);
            self.tab = asked("tab").and_then(|w| Tab::of_word(&w)).unwrap_or(self.tab);
        }
    }
}

/// A boot.
fn start() -> ToWorker {
    ToWorker::Start(Start {
        protocol: PROTOCOL_VERSION,
        config: Config::Named(config()),
        seed: wanted("seed").and_then(|s| s.parse().ok()).unwrap_or(1),
        epoch_us: js_sys::Date::now() as i64 * 1000,
        resume: None,
    })
}
