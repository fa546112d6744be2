//! The page's one state: what the worker last said, and which panel is open. Everything a panel wants goes through [`Do`].

mod act;
mod addons;
mod commands;
mod host;
mod keep;
mod lab;
mod view;
mod words;

use protocol::*;
use wasm_bindgen::prelude::*;
use yew::prelude::*;

use crate::dialogs::{AskFork, Died};
use crate::dock::EditRequest;
use crate::dock::terminal::{TermTab, Terminals};
use crate::js;
use crate::link::{Link, LinkEvent};
use crate::palette::Palette;
use crate::seen::Seen;
use crate::share::Share;
use crate::shared::Shared;
use crate::stage::dots::Dots;
use crate::toasts::Toast;

pub use addons::{Answers, Question};
pub use words::{Pane, Sheet, Theme};

/// Everything that can be asked of the page, by a panel, a key or the wire.
#[derive(Clone, PartialEq)]
pub enum Do {
    /// Straight to the worker.
    Send(ToWorker),
    Lens(Lens),
    /// Whose flow the Pod creation lens draws.
    Choose(Thing),
    /// The Pod creation lens on this pod.
    ShowFlow(Thing),
    Options(ViewOptions),
    StageSize(f32, f32),
    Inspect(Option<Thing>),
    InspectTab(Tab),
    Act(Action),
    Apply {
        name: String,
        text: String,
        dry_run: bool,
    },
    Pane(Pane),
    /// Another resource in the objects pane.
    Table(TableQuery),
    ShowList(bool),
    ToggleAside,
    NextTheme,
    Palette(bool),
    InsertExample(&'static str),
    NewTerminal,
    SelectTerminal(u32),
    CloseTerminal(u32),
    ForkAnswer {
        tab: u32,
        yes: bool,
    },
    DropToast(u32),
    /// The dock's border was dragged to this y of the page, or moved by so many px.
    DockTop(i32),
    DockBy(i32),
    Restart {
        resume: bool,
    },
    /// The last snapshot of a worker that is gone, as a file.
    KeepLast,
    /// A demo cluster, in place of one that was too large.
    Smaller,
    /// The share dialog, and what is in it.
    Share(bool),
    CopyLink,
    Keep(protocol::Keep),
    Picture {
        png: bool,
    },
    OpenFile,
    /// A new cluster, whatever was kept.
    Fresh,
    /// About add-ons.
    Addons(Question),
    /// About labs.
    Lab(crate::labs::LabDo),
    /// The release that waits.
    Update,
}

pub enum Msg {
    Do(Do),
    Link(LinkEvent),
    /// A frame has passed since this batch was put on the page.
    Drawn(u32),
    Key(KeyboardEvent),
    Visible,
    /// What was opened may still be without an answer.
    Unanswered,
    /// Time to write the view into the address.
    NoteView,
    /// Time to ask for a saved log.
    Save,
    Kept(keep::Kept),
    /// A terminal may be open now: type this, or wait so many times more.
    TypeAgain(String, bool, u32),
    /// A new release of the site has been fetched.
    Update,
    /// Another address was put into the bar, of which only the part behind the `#` is new.
    Address,
    Host(host::FromHost),
    /// A minute and a half after a worker was started.
    StillSilent,
    Resized,
    Calm(bool),
}

/// Whether the page is shown inside another one.
pub fn embedded() -> bool {
    let location = js::window().location();
    let path = location.pathname().unwrap_or_default();
    let search = location.search().unwrap_or_default();
    path.ends_with("embed.html") || search.trim_start_matches('?').split('&').any(|p| p == "embed" || p.starts_with("embed="))
}

pub struct App {
    run: Callback<Do>,
    link: Option<Link>,
    /// Why the worker is gone.
    died: Option<String>,
    /// The next worker starts from the saved log.
    resume: bool,
    seen: Seen,
    dots: Dots,
    lens: Lens,
    options: ViewOptions,
    stage: Option<(f32, f32)>,
    /// Width of the page.
    width: f32,
    list: bool,
    asked: Option<Thing>,
    tab: Tab,
    theme: Theme,
    pane: Pane,
    sheet: Sheet,
    aside: bool,
    dock_px: Option<i32>,
    palette: bool,
    /// What was typed while the palette was on its way to the screen.
    typed: String,
    toasts: Vec<Toast>,
    /// Counts what gets a number from the page: toasts, terminals, applies, actions.
    counter: u32,
    terminals: Terminals,
    tabs: Vec<TermTab>,
    active_tab: u32,
    ask_fork: Option<(u32, String)>,
    edit: Option<Shared<EditRequest>>,
    insert: Option<Shared<&'static str>>,
    /// What the objects pane shows.
    query: TableQuery,
    keeper: keep::Keeper,
    hosted: host::Hosted,
    desk: lab::Desk,
    addons: addons::AddonsDesk,
    _listeners: Vec<Listener>,
}

/// A listener on the window or the document, for the page's lifetime.
struct Listener(#[allow(dead_code)] Closure<dyn FnMut(web_sys::Event)>);

impl Component for App {
    type Message = Msg;
    type Properties = ();

    fn create(ctx: &Context<Self>) -> Self {
        let theme = keep::wanted("theme").and_then(|w| Theme::of_word(&w)).unwrap_or_else(Theme::remembered);
        theme.put_on();
        let mut app = App {
            run: ctx.link().callback(Msg::Do),
            link: None,
            died: None,
            resume: false,
            seen: Seen::default(),
            dots: Dots::default(),
            lens: Lens::default(),
            options: ViewOptions {
                reduced_motion: js::media("(prefers-reduced-motion: reduce)"),
                // The boot is mostly pods of kube-system.
                system_pods: true,
                ..ViewOptions::default()
            },
            stage: None,
            width: page_width(),
            list: page_width() < 600.0,
            asked: None,
            tab: Tab::Why,
            theme,
            pane: Pane::Terminal,
            sheet: Sheet::None,
            aside: true,
            dock_px: None,
            palette: false,
            typed: String::new(),
            toasts: Vec::new(),
            counter: 1,
            terminals: Terminals::default(),
            tabs: vec![TermTab { id: 1, ..TermTab::default() }],
            active_tab: 1,
            ask_fork: None,
            edit: None,
            insert: None,
            query: crate::dock::objects::first_query(),
            keeper: keep::Keeper::new(),
            hosted: host::Hosted::new(),
            desk: lab::Desk::default(),
            addons: addons::AddonsDesk::default(),
            _listeners: listeners(ctx),
        };
        app.dots.set_reduced(app.options.reduced_motion);
        app.view_from_address();
        app.connect(ctx);
        app.listen_to_host(ctx);
        app.save(ctx);
        app
    }

    fn update(&mut self, ctx: &Context<Self>, msg: Msg) -> bool {
        match msg {
            Msg::Do(what) => self.act(ctx, what),
            Msg::Link(LinkEvent::Batch(batch)) => self.take(ctx, *batch),
            Msg::Link(LinkEvent::Died(reason)) => {
                web_sys::console::error_1(&reason.as_str().into());
                self.link = None;
                self.died = Some(reason);
                self.seen.ready = false;
                self.dots.clear();
                true
            }
            Msg::Drawn(seq) => {
                self.send(&ToWorker::Ack { seq });
                false
            }
            Msg::Key(event) => self.key(ctx, &event),
            Msg::Visible => {
                let visible = js::document().visibility_state() == web_sys::VisibilityState::Visible;
                if !visible {
                    self.save_at_once();
                }
                self.send(&ToWorker::Visible { visible });
                false
            }
            Msg::Kept(kept) => {
                self.kept(ctx, kept);
                true
            }
            Msg::Address => {
                self.address_changed(ctx);
                true
            }
            Msg::Update => {
                self.update_is_ready(ctx);
                true
            }
            Msg::TypeAgain(text, interrupt, tries) => {
                self.type_again(ctx, &text, interrupt, tries);
                true
            }
            Msg::Host(what) => {
                self.from_host(ctx, what);
                true
            }
            Msg::Unanswered => self.awaits_answer(),
            Msg::NoteView => {
                self.put_view_into_address();
                false
            }
            Msg::Save => {
                self.save(ctx);
                false
            }
            Msg::StillSilent => {
                let silent = !self.seen.ready && self.died.is_none();
                if silent {
                    self.died = Some("The worker has not answered.".into());
                }
                silent
            }
            Msg::Resized => self.resized(),
            Msg::Calm(reduced) => {
                self.options.reduced_motion = reduced;
                self.dots.set_reduced(reduced);
                self.show();
                true
            }
        }
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        html! {
            <>
                <a class="skip-link" href="#stage">{ "Skip to the picture" }</a>
                { self.page(ctx) }
                <crate::toasts::Toasts toasts={self.toasts.clone()} run={self.run.clone()} />
                if self.palette {
                    <Palette commands={self.commands()} found={self.seen.found.clone()} typed={self.typed.clone()} run={self.run.clone()} />
                }
                if let Some(link) = &self.keeper.share {
                    <Share link={link.clone()} at={crate::format::clock_s(self.keeper.shared_us.unwrap_or(self.seen.clock.now_us))} copied={self.keeper.copied} run={self.run.clone()} />
                }
                if let Some(entries) = &self.desk.list {
                    <crate::labs::catalogue::Catalogue entries={entries.clone()} run={self.run.clone()} />
                }
                if let Some((tab, command)) = &self.ask_fork {
                    <AskFork tab={*tab} command={command.clone()} run={self.run.clone()} />
                }
                if let Some(reason) = &self.died {
                    <Died reason={reason.clone()} saved_us={self.seen.saved.as_ref().map(|s| s.0)} memory_bytes={self.seen.stats.memory_bytes} run={self.run.clone()} />
                }
            </>
        }
    }
}

fn page_width() -> f32 {
    js::window().inner_width().ok().and_then(|w| w.as_f64()).unwrap_or(1280.0) as f32
}

/// Keys, visibility, size and the wish for less motion.
fn listeners(ctx: &Context<App>) -> Vec<Listener> {
    let link = ctx.link().clone();
    let mut kept = Vec::new();
    let mut listen = |target: &web_sys::EventTarget, name: &str, on: Box<dyn FnMut(web_sys::Event)>| {
        let closure = Closure::<dyn FnMut(web_sys::Event)>::wrap(on);
        // Adding a listener to the window, the document or a media query can't fail.
        let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        kept.push(Listener(closure));
    };
    let keys = link.clone();
    listen(
        &js::document(),
        "keydown",
        Box::new(move |e| {
            if let Ok(event) = e.dyn_into::<KeyboardEvent>() {
                keys.send_message(Msg::Key(event));
            }
        }),
    );
    let update = link.clone();
    listen(&js::window(), "kubottle-update", Box::new(move |_| update.send_message(Msg::Update)));
    let address = link.clone();
    listen(&js::window(), "hashchange", Box::new(move |_| address.send_message(Msg::Address)));
    let visible = link.clone();
    listen(&js::document(), "visibilitychange", Box::new(move |_| visible.send_message(Msg::Visible)));
    let resized = link.clone();
    listen(&js::window(), "resize", Box::new(move |_| resized.send_message(Msg::Resized)));
    if let Ok(Some(query)) = js::window().match_media("(prefers-reduced-motion: reduce)") {
        let watched = query.clone();
        listen(&query, "change", Box::new(move |_| link.send_message(Msg::Calm(watched.matches()))));
    }
    kept
}
