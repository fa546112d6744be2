//! The palette's entries, and the page's own keys.

use protocol::*;
use wasm_bindgen::JsCast;
use web_sys::Element;
use yew::prelude::*;

use super::{App, Do, Pane};
use crate::dock::EXAMPLES;
use crate::palette::Command;

impl App {
    /// Everything that can be done now.
    pub(super) fn commands(&self) -> Vec<Command> {
        let mut all = Vec::new();
        let mut add = |name: String, hint: &str, what: Do| all.push(Command { name, hint: hint.to_owned(), what });
        for example in &EXAMPLES {
            add(format!("Example: {}", example.title), example.name, Do::InsertExample(example.name));
        }
        add("Labs…".into(), "tasks that check themselves", Do::Lab(crate::labs::LabDo::Catalogue(true)));
        for lens in Lens::ALL.into_iter().filter(|l| *l != self.lens) {
            add(format!("Lens: {}", lens.title()), "", Do::Lens(lens));
        }
        let pace = |p: Pace| Do::Send(ToWorker::Pace(p));
        let clock = &self.seen.clock;
        if clock.paused {
            add("Play".into(), "space", pace(Pace::Play));
        } else {
            add("Pause".into(), "space", pace(Pace::Pause));
        }
        add("Step one event".into(), ".", pace(Pace::Step));
        if clock.booting {
            add("Skip the boot".into(), "", pace(Pace::SkipBoot));
        }
        if clock.past {
            add("Back to the end".into(), "", Do::Send(ToWorker::SeekHead));
            add("Go on from here (fork)".into(), "", Do::Send(ToWorker::ResumeHere { name: None }));
        }
        for speed in Speed::MENU {
            add(format!("Speed: {}", speed.label()), "", pace(Pace::Speed(speed)));
        }
        for offer in self.seen.cluster.offers.iter().filter(|o| o.disabled.is_none()) {
            add(offer.label.clone(), &offer.hint, Do::Act(offer.action.clone()));
        }
        self.option_commands(&mut add);
        for b in self.seen.picture.boxes.values().filter(|b| !b.title.is_empty()) {
            if let Some(thing) = &b.opens {
                // Every node has a `kube-proxy`.
                let title = thing.title();
                let hint = if title.ends_with(&b.title) { "" } else { &title };
                add(format!("Open {}", b.title), hint, Do::Inspect(Some(thing.clone())));
            }
        }
        let rows = self.seen.picture.boxes.values().filter_map(|b| b.cells.as_deref());
        for name in rows.flat_map(|row| row.names.lines()) {
            add(format!("Open {name}"), "node", Do::Inspect(Some(Thing::core("nodes", "", name))));
        }
        all
    }

    fn option_commands(&self, add: &mut impl FnMut(String, &str, Do)) {
        let o = &self.options;
        let verb = |on: bool| if on { "Hide" } else { "Show" };
        add(
            format!("{} heartbeats", verb(o.heartbeats)),
            "leases and node status",
            Do::Options(ViewOptions { heartbeats: !o.heartbeats, ..o.clone() }),
        );
        add(
            format!("{} system pods", verb(o.system_pods)),
            "kube-system",
            Do::Options(ViewOptions { system_pods: !o.system_pods, ..o.clone() }),
        );
        add("Share…".into(), "a link, a file, YAML, a picture", Do::Share(true));
        add("Open a file…".into(), "a cluster that was shared as a file", Do::OpenFile);
        add("Picture as SVG".into(), "", Do::Picture { png: false });
        add("Picture as PNG".into(), "", Do::Picture { png: true });
        add("Start a new cluster".into(), "", Do::Fresh);
        add("Theme".into(), self.theme.next().word(), Do::NextTheme);
        add("New terminal".into(), "", Do::NewTerminal);
        add("Terminal".into(), "", Do::Pane(Pane::Terminal));
        add("Manifests".into(), "", Do::Pane(Pane::Manifests));
        add("Objects".into(), "", Do::Pane(Pane::Objects));
        add("Events".into(), "", Do::Pane(Pane::Events));
        add("Add-ons".into(), "install, PromQL, logs", Do::Pane(Pane::Addons));
        add("Show or hide the inspector".into(), "", Do::ToggleAside);
    }

    /// The page's own keys: nothing where somebody is typing, but ⌘K and Escape.
    pub(super) fn key(&mut self, ctx: &Context<Self>, event: &KeyboardEvent) -> bool {
        let command = event.ctrl_key() || event.meta_key();
        let at: Option<Element> = event.target().and_then(|t| t.dyn_into().ok());
        let inside = |what: &str| at.as_ref().is_some_and(|e| e.closest(what).ok().flatten().is_some());
        // In a terminal Ctrl+K is the shell's (kill to the end of the line); ⌘K is free.
        if command && event.key() == "k" && (event.meta_key() || !inside(".term")) {
            event.prevent_default();
            return self.act(ctx, Do::Palette(!self.palette));
        }
        // Whoever knows what they want types on while the palette is not drawn yet.
        let key = event.key();
        let types = key == "Enter" || key.chars().count() == 1;
        if self.palette && types && !command && !event.alt_key() && !inside("[role=dialog], [role=alertdialog]") {
            event.prevent_default();
            self.typed.push_str(if key == "Enter" { "\n" } else { &key });
            return true;
        }
        // A dialog hears it only while the focus is inside: a click on its text takes the focus away.
        if event.key() == "Escape"
            && !inside("[role=dialog], [role=alertdialog]")
            && let Some(close) = self.dialog_to_close()
        {
            return self.act(ctx, close);
        }
        let typing = inside("input, textarea, select, .cm-editor, .term, [role=dialog], [role=alertdialog]");
        if typing || command || event.alt_key() {
            return false;
        }
        match event.key().as_str() {
            "Escape" if self.asked.is_some() => self.act(ctx, Do::Inspect(None)),
            " " if !inside("button, [role=slider], a") => {
                event.prevent_default();
                let pace = if self.seen.clock.paused { Pace::Play } else { Pace::Pause };
                self.act(ctx, Do::Send(ToWorker::Pace(pace)))
            }
            "." => self.act(ctx, Do::Send(ToWorker::Pace(Pace::Step))),
            "PageDown" | "PageUp" => self.turn_page(ctx, event),
            _ => false,
        }
    }

    /// What closes the dialog over the page, if there is one that may be closed.
    fn dialog_to_close(&self) -> Option<Do> {
        match (self.palette, self.desk.list.is_some(), self.keeper.share.is_some()) {
            (true, ..) => Some(Do::Palette(false)),
            (_, true, _) => Some(Do::Lab(crate::labs::LabDo::Catalogue(false))),
            (.., true) => Some(Do::Share(false)),
            _ => None,
        }
    }
}
