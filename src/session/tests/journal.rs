//! Moments opened, kept and given away, as the page does it.

use protocol::{ByteBuf, Config, How, Keep, Lens, Open, Opened, Pace, Start, ToPage, ToWorker};

use super::{Page, WEB};
use crate::Session;

/// Acknowledges batches until one has what is looked for.
fn until<T>(session: &mut Session, mut find: impl FnMut(ToPage) -> Option<T>) -> T {
    let wall = std::cell::Cell::new(0.0);
    for _ in 0..100_000 {
        wall.set(wall.get() + 20.0);
        let clock = || {
            wall.set(wall.get() + 0.5);
            wall.get()
        };
        let Some(batch) = session.tick(&clock).batch else { continue };
        // The whole batch is looked through: what comes with what is looked for may be looked at too.
        let found = batch.messages.into_iter().fold(None, |found, m| find(m).or(found));
        session.receive(ToWorker::Ack { seq: batch.seq });
        if let Some(found) = found {
            return found;
        }
    }
    panic!("it was never said");
}

fn kept(session: &mut Session, keep: Keep) -> protocol::Kept {
    session.receive(ToWorker::Keep { id: 7, keep });
    until(session, |m| if let ToPage::Kept(kept) = m { Some(kept) } else { None })
}

/// A page of this release that begins with a moment.
fn opened(release: &str, log: &ByteBuf, spare: Option<ByteBuf>) -> (Session, Opened, String) {
    let (session, opened, printed, _) = opened_and_booted(release, log, spare);
    (session, opened, printed)
}

/// And whether the page was told that the boot is over.
fn opened_and_booted(release: &str, log: &ByteBuf, spare: Option<ByteBuf>) -> (Session, Opened, String, bool) {
    let mut session = Session::new();
    session.receive(ToWorker::Release { id: release.into() });
    session.receive(ToWorker::Open(Open { log: log.clone(), spare }));
    session.receive(ToWorker::Pace(Pace::Pause));
    session.receive(ToWorker::OpenTerminal { tab: 1, cols: 90, rows: 20 });
    let (mut how, mut printed, mut booted) = (None, String::new(), false);
    until(&mut session, |m| match m {
        ToPage::Opened(opened) => Some(how.insert(opened).how),
        ToPage::Boot(boot) => {
            booted = boot.done;
            None
        }
        ToPage::TerminalOutput { tab: 1, bytes } => {
            printed.push_str(&String::from_utf8_lossy(&bytes));
            None
        }
        _ => None,
    });
    (session, how.expect("it was opened"), printed, booted)
}

/// A page with three pods and something in its terminal, standing still.
fn visited() -> Page {
    let mut page = Page::open();
    page.session.receive(ToWorker::Release { id: "one".into() });
    page.session.receive(ToWorker::OpenTerminal { tab: 1, cols: 80, rows: 24 });
    page.run(1);
    page.apply(WEB);
    page.run(10);
    for key in "echo hello\r".bytes() {
        page.session.receive(ToWorker::TerminalInput { tab: 1, bytes: ByteBuf::from(vec![key]) });
        page.ticks(1);
    }
    page.run(2);
    page
}

#[test]
fn a_moment_is_given_away_and_opened() {
    let mut page = visited();
    let link = kept(&mut page.session, Keep::Link);
    assert!(link.error.is_none() && link.file.starts_with("demo-2026") && link.bytes.len() < 2_000, "{} bytes", link.bytes.len());
    let (mut session, found, printed) = opened("one", &link.bytes, None);
    assert_eq!((found.how, found.digest.as_str(), found.text.as_str()), (How::Exact, link.digest.as_str(), ""));
    // The terminal's shell is the one that was, and shows what it had printed.
    assert!(printed.contains("hello"), "{printed:?}");
    let again = kept(&mut session, Keep::Link);
    assert_eq!(again.at_us, link.at_us);
}

#[test]
fn a_moment_that_was_opened_is_not_booting() {
    let mut page = visited();
    // A node that is off is never Ready again: the boot is over all the same.
    page.act(protocol::Action::PowerOff { machine: "node-2".into() });
    page.run(60);
    let link = kept(&mut page.session, Keep::Link);
    let (session, found, _, booted) = opened_and_booted("one", &link.bytes, None);
    assert_eq!(found.how, How::Exact);
    assert!(!session.bottle().unwrap().head().is_ready() && booted, "the page would wait for a boot");
}

#[test]
fn other_releases_are_told_from_this_one() {
    let mut page = visited();
    let (link, file) = (kept(&mut page.session, Keep::Link), kept(&mut page.session, Keep::File));
    let (_, found, _) = opened("two", &link.bytes, None);
    assert!(matches!(found.how, How::Exact | How::OtherRelease), "{found:?}");
    let (session, found, _) = opened("two", &link.bytes, Some(file.bytes.clone()));
    assert_eq!(found.how, How::PowerCut);
    assert!(found.text.contains("as after a power cut"), "{}", found.text);
    assert!(session.bottle().unwrap().head().config.backup.is_some());
    let (_, found, _) = opened("two", &file.bytes, None);
    assert_eq!(found.how, How::PowerCut);
}

#[test]
fn what_is_no_moment_leaves_the_cluster_alone() {
    let mut page = visited();
    let before = page.session.bottle().unwrap().digest();
    let link = kept(&mut page.session, Keep::Link);
    let mut changed = link.bytes.to_vec();
    changed[20] ^= 0x40;
    for (bytes, says) in [
        (b"hello".to_vec(), "not a cluster of Kubottle"),
        (link.bytes[..40].to_vec(), "cut off or changed"),
        (changed, "checksum"),
        (b"KB\x09aaaa".to_vec(), "has the format 9"),
    ] {
        page.session.receive(ToWorker::Open(Open { log: ByteBuf::from(bytes), spare: None }));
        let found = until(&mut page.session, |m| if let ToPage::Opened(opened) = m { Some(opened) } else { None });
        assert!(found.how == How::Failed && found.text.contains(says), "{found:?}");
        assert_eq!(page.session.bottle().unwrap().digest(), before);
    }
}

#[test]
fn a_replay_can_be_stopped_and_what_is_done_meanwhile_waits() {
    let mut page = visited();
    page.run(600);
    let link = kept(&mut page.session, Keep::Link);
    let mut session = Session::new();
    session.receive(ToWorker::Release { id: "one".into() });
    session.receive(ToWorker::Open(Open { log: link.bytes, spare: None }));
    until(&mut session, |m| if let ToPage::Replaying { permille, .. } = m { Some(permille) } else { None });
    session.receive(ToWorker::Apply { id: 3, name: "x".into(), text: WEB.into(), dry_run: false });
    let before = session.bottle().unwrap().log().len();
    session.receive(ToWorker::Pace(Pace::SkipBoot));
    let found = until(&mut session, |m| if let ToPage::Opened(opened) = m { Some(opened) } else { None });
    assert_eq!(found.how, How::Stopped);
    assert!(found.at_us < link.at_us);
    assert_eq!(session.bottle().unwrap().log().len(), before + 1, "the apply that waited");
}

#[test]
fn objects_as_yaml_and_commands_of_a_host() {
    let mut page = visited();
    let yours = kept(&mut page.session, Keep::Yaml { all: false });
    let text = String::from_utf8(yours.bytes.to_vec()).unwrap();
    let kinds: Vec<&str> = text.lines().filter(|l| l.starts_with("kind: ")).collect();
    println!("{text}");
    assert!(kinds.contains(&"kind: Deployment") && kinds.contains(&"kind: Service"), "{kinds:?}");
    assert!(!kinds.iter().any(|k| matches!(*k, "kind: Node" | "kind: ReplicaSet" | "kind: Event" | "kind: Lease")), "{kinds:?}");
    for noise in ["managedFields", "uid:", "resourceVersion", "creationTimestamp", "status:", "last-applied", "clusterIP:"] {
        assert!(!text.contains(noise), "{noise} in {text}");
    }
    let documents = apimachinery::yaml::parse_all(&text).unwrap();
    assert_eq!(documents.iter().filter(|(_, d)| !d.value.is_null()).count(), kinds.len());
    let all = kept(&mut page.session, Keep::Yaml { all: true });
    let all = String::from_utf8(all.bytes.to_vec()).unwrap();
    assert!(all.contains("kind: Node") && all.contains("status:") && !all.contains("managedFields"));

    page.session.receive(ToWorker::Pace(Pace::Play));
    page.session.receive(ToWorker::Exec { id: 11, line: "echo $((6*7)); echo no >&2; exit 3".into() });
    let done = until(&mut page.session, |m| if let ToPage::Executed(done) = m { Some(done) } else { None });
    assert_eq!((done.id, done.code, done.stdout.as_str(), done.stderr.as_str()), (11, 3, "42\n", "no\n"));
    page.session.receive(ToWorker::Exec { id: 12, line: "x".repeat(100_000) });
    let done = until(&mut page.session, |m| if let ToPage::Executed(done) = m { Some(done) } else { None });
    assert_eq!((done.id, done.code), (12, 126));
}

#[test]
fn a_start_with_a_saved_log_is_an_open() {
    let mut page = visited();
    page.session.receive(ToWorker::Save);
    let log = until(&mut page.session, |m| if let ToPage::Saved { log, .. } = m { Some(log) } else { None });
    let mut session = Session::new();
    session.receive(ToWorker::Release { id: "one".into() });
    let config = Config::Named("demo".into());
    session.receive(ToWorker::Start(Start {
        protocol: protocol::PROTOCOL_VERSION,
        config,
        seed: 9,
        epoch_us: 0,
        resume: Some(log),
    }));
    let found = until(&mut session, |m| if let ToPage::Opened(opened) = m { Some(opened) } else { None });
    assert_eq!(found.how, How::Exact);
    page.show(Lens::Architecture);
}
