//! While time stands nothing happens by itself: a moment that was opened stays that moment, and a page that nobody sees stands still.

use protocol::{ByteBuf, How, Keep, Open, Opened, Pace, Speed, ToPage, ToWorker};

use super::{Page, WEB};
use crate::Session;

const DAY_MS: f64 = 86_400_000.0;

/// A visit that began with a moment: what it was told, and what its terminal shows.
struct Visit {
    session: Session,
    opened: Option<Opened>,
    printed: String,
    kept: Option<protocol::Kept>,
    wall_ms: f64,
}

impl Visit {
    fn begin(log: &ByteBuf) -> Visit {
        let mut visit = Visit { session: Session::new(), opened: None, printed: String::new(), kept: None, wall_ms: 0.0 };
        visit.session.receive(ToWorker::Release { id: "one".into() });
        visit.session.receive(ToWorker::Pace(Pace::Pause));
        visit.session.receive(ToWorker::Open(Open { log: log.clone(), spare: None }));
        visit.ticks(3_000);
        visit
    }

    fn ticks(&mut self, n: usize) {
        for _ in 0..n {
            self.wall_ms += 20.0;
            let now = std::cell::Cell::new(self.wall_ms);
            let clock = || {
                now.set(now.get() + 0.5);
                now.get()
            };
            let batch = self.session.tick(&clock).batch;
            self.wall_ms = now.get();
            let Some(batch) = batch else { continue };
            for message in batch.messages {
                match message {
                    ToPage::Opened(opened) => self.opened = Some(opened),
                    ToPage::TerminalOutput { bytes, .. } => self.printed.push_str(&String::from_utf8_lossy(&bytes)),
                    ToPage::Kept(kept) => self.kept = Some(kept),
                    _ => {}
                }
            }
            self.session.receive(ToWorker::Ack { seq: batch.seq });
        }
    }

    fn link(&mut self) -> protocol::Kept {
        self.session.receive(ToWorker::Keep { id: 1, keep: Keep::Link });
        self.ticks(4);
        self.kept.take().expect("a link")
    }

    fn type_line(&mut self, line: &str) {
        self.session.receive(ToWorker::TerminalInput { tab: 1, bytes: ByteBuf::from(format!("{line}\r").into_bytes()) });
        self.ticks(20);
    }

    fn prompts(&self) -> usize {
        self.printed.matches("$\u{1b}[0m ").count()
    }
}

fn link() -> protocol::Kept {
    let mut page = Page::open();
    page.session.receive(ToWorker::Release { id: "one".into() });
    page.apply(WEB);
    page.run(5);
    page.session.receive(ToWorker::Keep { id: 7, keep: Keep::Link });
    for _ in 0..20 {
        let clock = || 1e9;
        for message in page.session.tick(&clock).batch.map(|b| b.messages).unwrap_or_default() {
            if let ToPage::Kept(kept) = message {
                return kept;
            }
        }
    }
    panic!("no link");
}

#[test]
fn an_opened_moment_stays_that_moment_until_something_is_done() {
    let link = link();
    let mut visit = Visit::begin(&link.bytes);
    let opened = visit.opened.clone().expect("it was opened");
    assert_eq!((opened.how, &opened.digest), (How::Exact, &link.digest));
    visit.session.receive(ToWorker::OpenTerminal { tab: 1, cols: 80, rows: 24 });
    visit.session.receive(ToWorker::ResizeTerminal { tab: 1, cols: 100, rows: 20 });
    visit.ticks(50);
    assert_eq!(visit.prompts(), 1, "{:?}", visit.printed);
    let again = visit.link();
    assert_eq!((&again.digest, &again.bytes), (&link.digest, &link.bytes), "showing a terminal changed the moment");

    // What only reads is answered without time; the shell prints its prompt once.
    visit.type_line("echo $((6*7))");
    assert!(visit.printed.contains("42"), "{:?}", visit.printed);
    assert_eq!(visit.prompts(), 2, "{:?}", visit.printed);
    let done = visit.link();
    assert!(done.bytes.len() > link.bytes.len() && done.digest != link.digest);
    // What follows is replayed to the same hash, too.
    let other = Visit::begin(&done.bytes);
    assert_eq!(other.opened.map(|o| (o.how, o.digest)), Some((How::Exact, done.digest)));

    visit.session.receive(ToWorker::Pace(Pace::Play));
    visit.ticks(50);
    visit.type_line("echo $((7*7))");
    assert!(visit.printed.contains("49"), "{:?}", visit.printed);
}

#[test]
fn a_terminal_opened_while_time_stands_is_there_when_it_goes_on() {
    for how in [Pace::Play, Pace::Step] {
        let mut visit = Visit::begin(&link().bytes);
        visit.session.receive(ToWorker::OpenTerminal { tab: 1, cols: 80, rows: 24 });
        visit.ticks(10);
        let inputs = visit.session.bottle().unwrap().log().len();
        visit.session.receive(ToWorker::Pace(how));
        visit.session.receive(ToWorker::Pace(Pace::Play));
        visit.ticks(100);
        assert_eq!(visit.session.bottle().unwrap().log().len(), inputs + 1);
        assert_eq!(visit.prompts(), 1, "{:?}", visit.printed);
        visit.type_line("echo $((6*7))");
        assert!(visit.printed.contains("42"), "{:?}", visit.printed);
    }
}

#[test]
fn hidden_for_a_day_it_stands_still_and_does_not_make_up_for_it() {
    let mut page = Page::open();
    page.session.receive(ToWorker::Pace(Pace::Speed(Speed::Milli(1_000))));
    page.session.receive(ToWorker::Pace(Pace::Play));
    let now = |page: &Page| page.session.bottle().unwrap().head().now();
    page.ticks(20);
    let seen = now(&page);
    page.session.receive(ToWorker::Visible { visible: false });
    page.ticks(50);
    assert_eq!(now(&page), seen, "nobody looks");
    page.wall_ms.set(page.wall_ms.get() + DAY_MS);
    page.ticks(5);
    assert_eq!(now(&page), seen);
    page.session.receive(ToWorker::Visible { visible: true });
    page.ticks(20);
    let passed = now(&page).since(seen);
    assert!(passed > base::Duration::from_millis(500) && passed < base::Duration::from_secs(10), "{passed:?}");
    // A laptop that was closed says nothing of it: its clock is just another one.
    let seen = now(&page);
    page.wall_ms.set(page.wall_ms.get() + DAY_MS);
    page.ticks(20);
    let passed = now(&page).since(seen);
    assert!(passed > base::Duration::from_millis(500) && passed < base::Duration::from_secs(10), "{passed:?}");
}
