//! A lab in the visit: opens it on a cluster of its own, lets its setup hurry, looks at every change, tries what has to be tried in
//! slices, and tells the page how far the learner is.

use std::rc::Rc;

use cluster::Input;
use cri_api::host::HostMessage;
use labs::Player;
use protocol::{Ghost, LabCommand, LabFiles, LabPhase, LabState, Level, ToPage};

use crate::session::Session;

/// A slice of trying takes at most this long, in wall ms.
const SLICE_MS: f64 = 4.0;
/// Messages handled between two looks at the wall clock.
const CHUNK: u64 = 48;
/// While it hurries, the player looks so often, in virtual ms.
const BEAT_MS: i64 = 50;
/// Tries begin at most so often, in wall ms.
const TRY_MS: f64 = 250.0;

/// The lab that is open.
pub(crate) struct Run {
    player: Player,
    trying: bool,
    tried_ms: f64,
    /// The lab's speed has been set.
    paced: bool,
}

impl Run {
    /// Takes a message of the laptop. True: it was for the lab.
    pub fn message(&mut self, message: &HostMessage) -> bool {
        self.player.message(message)
    }
}

impl Session {
    pub(crate) fn lab(&mut self, command: LabCommand) {
        match command {
            LabCommand::Open(files) => self.open_lab(&files),
            LabCommand::Close => self.lab = None,
            LabCommand::Reset => self.reset_step(),
            LabCommand::Language(files) => self.translate_lab(&files),
            command => {
                let Some(run) = &mut self.lab else { return };
                match command {
                    LabCommand::Next => run.player.next(),
                    LabCommand::Hint => {
                        run.player.hint();
                    }
                    LabCommand::Solve => run.player.solve(),
                    LabCommand::Answer { check, text } => run.player.answer(check as usize, &text),
                    _ => {}
                }
                self.tell_lab();
            }
        }
    }

    fn open_lab(&mut self, files: &LabFiles) {
        let lab = match labs::read(&files.name, &files.files, &files.language) {
            Ok(lab) => Rc::new(lab),
            Err(mistakes) => {
                let note = mistakes.to_string();
                return self.say(ToPage::Lab(Box::new(LabState { phase: LabPhase::Broken, note, ..LabState::default() })));
            }
        };
        if let Some(bottle) = self.bottle.as_ref().filter(|_| files.resumed) {
            let player = Player::resumed(lab.clone(), files.passed as usize, bottle);
            self.say(ToPage::LabText(Box::new(lab.text())));
            self.lab = Some(Run { player, trying: false, tried_ms: 0.0, paced: false });
            return self.tell_lab();
        }
        let tabs = self.terminals.sizes();
        self.fresh(lab.config.clone(), lab.recipe.clone());
        self.play_boot();
        self.pacer.boot = None;
        self.redraw();
        for (tab, cols, rows) in tabs {
            // The screen of another cluster's shell is cleared.
            let clear = protocol::ByteBuf::from(b"\x1bc".to_vec());
            self.say(ToPage::TerminalOutput { tab, bytes: clear });
            self.open_terminal(tab, cols, rows);
        }
        self.say(ToPage::LabText(Box::new(lab.text())));
        self.lab = Some(Run { player: Player::new(lab, files.passed as usize), trying: false, tried_ms: 0.0, paced: false });
        self.tell_lab();
    }

    /// The same lab in another language, where the learner is.
    fn translate_lab(&mut self, files: &LabFiles) {
        let Some(run) = &mut self.lab else { return };
        match labs::read(&files.name, &files.files, &files.language).map(Rc::new) {
            Ok(lab) if run.player.translate(lab.clone()) => self.say(ToPage::LabText(Box::new(lab.text()))),
            Ok(_) => self.notice(Level::Error, "These files are another lab's."),
            Err(mistakes) => self.notice(Level::Error, mistakes.to_string()),
        }
        self.look_at_lab();
        self.tell_lab();
    }

    /// The step begins again, on a branch; the shells show a new prompt.
    fn reset_step(&mut self) {
        let (Some(run), Some(bottle)) = (&mut self.lab, &mut self.bottle) else { return };
        if !run.player.reset(bottle) {
            return;
        }
        for (tab, ..) in self.terminals.sizes() {
            let note = "\r\n\x1b[2m… the step begins again …\x1b[0m\r\n";
            self.say(ToPage::TerminalOutput { tab, bytes: protocol::ByteBuf::from(note.as_bytes().to_vec()) });
            if let Some(bottle) = &mut self.bottle {
                bottle.input(Input::Laptop(HostMessage::TtyInput { tab, data: (*b"\r").into() }.into()));
            }
        }
        self.pacer.paused = false;
        self.pacer.reset();
        self.after_jump();
        self.tell_lab();
    }

    /// Lets the cluster run as fast as it can while a lab is set up. True: it did, and there is more to do.
    pub(crate) fn hurry_lab(&mut self, deadline: f64, clock: &dyn Fn() -> f64) -> bool {
        let hurries = |s: &Session| s.lab.as_ref().is_some_and(|r| r.player.hurries());
        if !hurries(self) || self.pacer.paused {
            return false;
        }
        while hurries(self) && clock() < deadline {
            let Some(bottle) = &mut self.bottle else { return false };
            bottle.seek_head();
            let until = bottle.head().now() + base::Duration::from_millis(BEAT_MS);
            bottle.run_until(until, CHUNK);
            self.page_messages();
            self.look_at_lab();
        }
        self.pacer.reset();
        true
    }

    /// Looks at the lab's checks, and tries for a slice what has to be tried. True: there is more to try.
    pub(crate) fn play_lab(&mut self, clock: &dyn Fn() -> f64) -> bool {
        self.look_at_lab();
        let (Some(run), Some(bottle)) = (&mut self.lab, &self.bottle) else { return false };
        let now = clock();
        if !run.trying {
            let soon = (now - run.tried_ms).abs() < TRY_MS;
            run.trying = !soon && !bottle.is_past() && run.player.wants_to_try(bottle);
            if !run.trying {
                return false;
            }
            run.tried_ms = now;
        }
        let mut news = false;
        while !news && clock() < now + SLICE_MS && run.player.wants_to_try(bottle) {
            news = run.player.try_some(bottle, CHUNK);
        }
        run.trying = run.player.is_trying();
        let more = run.trying;
        if news {
            self.tell_lab();
        }
        more
    }

    fn look_at_lab(&mut self) {
        let (Some(run), Some(bottle)) = (&mut self.lab, &mut self.bottle) else { return };
        if bottle.is_past() {
            return;
        }
        let news = run.player.advance(bottle);
        if !run.paced && !run.player.hurries() {
            run.paced = true;
            if let Some(speed) = run.player.lab.speed {
                self.pacer.speed = speed;
            }
        }
        if news {
            self.tell_lab();
        }
    }

    fn tell_lab(&mut self) {
        let Some(run) = &self.lab else { return };
        let state = run.player.state();
        let before = self.sent.get("lab").map(|m| if let ToPage::Lab(old) = m { &*old.ghosts } else { &[] });
        if before.unwrap_or_default() != state.ghosts {
            self.redraw();
        }
        self.send_changed("lab", ToPage::Lab(Box::new(state)));
    }

    /// What the goal of the lab's step lacks. It is known of now, not of the past.
    pub(crate) fn ghosts(&self) -> &[Ghost] {
        let now = self.bottle.as_ref().is_some_and(|b| !b.is_past());
        self.lab.as_ref().filter(|_| now).map_or(&[], |run| run.player.ghosts())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use protocol::{Config, LabText, Pace, Speed, Start, ToWorker};

    use super::*;

    /// A page that remembers what it was told of a lab.
    struct Page {
        session: Session,
        text: Option<LabText>,
        state: LabState,
        scene: protocol::Scene,
        inspector: protocol::Inspector,
        wall_ms: Cell<f64>,
    }

    const LAB: &str = "
title: Web
cluster: {base: recorded}
speed: 10
setup:
- run: kubectl create namespace other
steps:
- checks:
  - {want: a Deployment, get: deployment/web, fail: none}
  - {want: it can be listed, run: kubectl get deployments, contains: web, fail: 'no: {value}'}
  solution:
  - run: kubectl create deployment web --image=nginx
- checks:
  - {want: a namespace, get: namespace/more, fail: none}
";

    fn lab_files(files: &[(&str, &str)], language: &str) -> LabFiles {
        let files = files.iter().map(|(p, t)| ((*p).to_string(), (*t).to_string())).collect();
        LabFiles { name: "test".into(), files, language: language.into(), ..LabFiles::default() }
    }

    impl Page {
        fn open(files: &[(&str, &str)]) -> Page {
            let mut page = Page {
                session: Session::new(),
                text: None,
                state: LabState::default(),
                scene: protocol::Scene::default(),
                inspector: protocol::Inspector::default(),
                wall_ms: Cell::new(0.0),
            };
            page.session.receive(ToWorker::Start(Start {
                protocol: protocol::PROTOCOL_VERSION,
                config: Config::Named("wire".into()),
                seed: 1,
                epoch_us: 1_767_225_600_000_000,
                resume: None,
            }));
            page.session.receive(ToWorker::OpenTerminal { tab: 1, cols: 80, rows: 24 });
            page.tell(LabCommand::Open(lab_files(files, "")));
            page
        }

        fn tell(&mut self, command: LabCommand) {
            self.session.receive(ToWorker::Lab(command));
        }

        /// Ticks until it holds.
        fn until(&mut self, holds: impl Fn(&LabState) -> bool) {
            self.until_seen(|page| holds(&page.state));
        }

        fn until_seen(&mut self, holds: impl Fn(&Page) -> bool) {
            for _ in 0..20_000 {
                if holds(self) {
                    return;
                }
                self.wall_ms.set(self.wall_ms.get() + 20.0);
                let clock = || {
                    self.wall_ms.set(self.wall_ms.get() + 0.2);
                    self.wall_ms.get()
                };
                let Some(batch) = self.session.tick(&clock).batch else { continue };
                for message in batch.messages {
                    match message {
                        ToPage::Lab(state) => self.state = *state,
                        ToPage::LabText(text) => self.text = Some(*text),
                        ToPage::Scene(patch) => patch.apply_to(&mut self.scene),
                        ToPage::Inspector(inspector) => self.inspector = *inspector,
                        _ => {}
                    }
                }
                self.session.receive(ToWorker::Ack { seq: batch.seq });
            }
            panic!("it does not get there: {:?}", self.state);
        }
    }

    #[test]
    fn a_lab_has_a_cluster_of_its_own_and_steps_that_pass() {
        let mut page = Page::open(&[("lab.yaml", LAB), ("lab.md", "# Web\n## One\n\nGo.\n## Two\n")]);
        page.until(|s| s.phase == LabPhase::Playing);
        assert_eq!(page.text.as_ref().map(|t| (t.title.as_str(), t.steps.len())), Some(("Web", 2)));
        assert_eq!(page.session.pacer.speed, Speed::Milli(10_000));
        let cluster = page.session.bottle().unwrap().head();
        assert_eq!(&*cluster.config.name, "recorded");
        assert_eq!(page.state.checks[0].message, "none");

        page.session.receive(ToWorker::Pace(Pace::Play));
        page.tell(LabCommand::Solve);
        page.until(|s| s.phase == LabPhase::Passed);
        assert_eq!(page.state.steps[0], protocol::LabStepState::Solved);
        page.tell(LabCommand::Reset);
        page.until(|s| s.phase == LabPhase::Playing && !s.checks[0].holds);
        assert_eq!(page.session.bottle().unwrap().branches().len(), 2);

        page.tell(LabCommand::Solve);
        page.until(|s| s.phase == LabPhase::Passed);
        page.tell(LabCommand::Next);
        page.until(|s| s.phase == LabPhase::Playing && s.step == 1);
        page.tell(LabCommand::Close);
        assert!(page.session.lab.is_none());
    }

    const GOAL: &str = "
title: Web
cluster: {base: recorded}
steps:
- goal: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec: {replicas: 2}
  solution:
  - run: kubectl create deployment web --image=nginx --replicas=2
";

    #[test]
    fn what_the_goal_lacks_is_in_the_picture_until_it_is_reached() {
        let mut page = Page::open(&[("lab.yaml", GOAL), ("lab.md", "# Web\n## One\n")]);
        let (lens, options) = (protocol::Lens::Architecture, protocol::ViewOptions::default());
        let view = protocol::View { lens, width: 1090.0, height: 510.0, compact: false, options };
        page.session.receive(ToWorker::Show(view));
        let web = protocol::Thing::object("apps", "deployments", "default", "web");
        page.session.receive(ToWorker::Inspect { thing: Some(web), tab: protocol::Tab::Overview });
        let told = |page: &Page| page.scene.boxes.get("ghost/Deployment/default/web").map(|b| b.aria.clone());
        page.until_seen(|p| told(p).as_deref() == Some("missing: Deployment web"));
        page.until_seen(|p| p.inspector.subtitle == "missing: the lab's goal has this Deployment" && !p.inspector.gone);

        // One that is otherwise says what it lacks, there and in the inspector.
        page.session
            .to_laptop(HostMessage::TtyInput { tab: 1, data: (*b"kubectl create deployment web --image=nginx\r").into() });
        let differs = "differs from the goal: spec.replicas is 1, not 2";
        page.until_seen(|p| told(p).is_some_and(|aria| aria.ends_with(differs)));
        page.until_seen(|p| p.inspector.subtitle == format!("default · {differs}"));

        page.session.to_laptop(HostMessage::TtyInput { tab: 1, data: (*b"kubectl scale deployment web --replicas=2\r").into() });
        page.until(|s| s.phase == LabPhase::Finished);
        page.until_seen(|p| told(p).is_none() && p.inspector.subtitle == "default");
    }

    #[test]
    fn a_lab_goes_on_in_another_language() {
        let files = [("lab.yaml", GOAL), ("lab.md", "# Web\n## One\n"), ("lab.de.md", "# Netz\n## Eins\n")];
        let mut page = Page::open(&files);
        page.until(|s| s.phase == LabPhase::Playing);
        let told = |p: &Page| p.text.as_ref().map(|t| (t.title.clone(), t.language.clone(), t.languages.join(" ")));
        assert_eq!(told(&page), Some(("Web".into(), "en".into(), "en de".into())));
        let began = page.session.lab.as_ref().map(|run| run.player.began());
        page.tell(LabCommand::Language(lab_files(&files, "de-CH")));
        page.until_seen(|p| told(p) == Some(("Netz".into(), "de".into(), "en de".into())));
        assert_eq!(page.session.lab.as_ref().map(|run| run.player.began()), began, "the step did not begin anew");
        // Files that can't be read, or another lab's, leave it as it is.
        for yaml in ["title: x\nsteps: 3\n", "title: x\nsteps:\n- checks: [{want: x, get: pods}, {want: y, get: pods}]\n"] {
            page.tell(LabCommand::Language(lab_files(&[("lab.yaml", yaml), ("lab.md", "# Other\n## One\n")], "en")));
        }
        page.until(|s| s.phase == LabPhase::Playing);
        assert_eq!(told(&page).map(|t| t.0).as_deref(), Some("Netz"));
    }

    #[test]
    fn a_broken_lab_says_where() {
        let mut page = Page::open(&[("lab.yaml", "title: A\nsteps: 3\n"), ("lab.md", "x")]);
        page.until(|s| s.phase == LabPhase::Broken);
        assert!(page.state.note.starts_with("lab.yaml:2: steps: must be a list"), "{}", page.state.note);
        assert!(page.session.bottle().is_some(), "the cluster that was there stays");
    }
}
