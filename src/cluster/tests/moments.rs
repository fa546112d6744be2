//! Moments as bytes: they lead back to the same hash, small ones fit into a link, another release loses nothing that etcd had, and
//! bytes of anybody do no harm.

use std::rc::Rc;

use base::{Duration, Seed};
use cluster::{Bottle, Config, Input, Moment, NoMoment, Recipe, Replay, aside};
use cri_api::host::HostMessage;

const YAML: &str = include_str!("../../../tests/golden/digest.yaml");

fn run_for(bottle: &mut Bottle, ms: i64) {
    let until = bottle.head().now() + Duration::from_millis(ms);
    bottle.run_until(until, u64::MAX);
}

fn boot(name: &str) -> Bottle {
    let mut bottle = Bottle::new(Config::named(name).expect("a known name"));
    let end = bottle.start() + Duration::from_secs(240);
    while bottle.head().now() < end && !bottle.head().is_ready() {
        run_for(&mut bottle, 200);
    }
    assert!(bottle.head().is_ready());
    bottle
}

fn job(words: &[&str], stdin: &str) -> Input {
    let argv = words.iter().map(|w| (*w).into()).collect();
    Input::Laptop(Rc::new(HostMessage::RunJob { job: 5, argv, stdin: stdin.as_bytes().into() }))
}

fn key(key: &str) -> Rc<HostMessage> {
    Rc::new(HostMessage::TtyInput { tab: 1, data: key.as_bytes().into() })
}

/// What a command prints in a clone.
fn printed(bottle: &Bottle, line: &str) -> String {
    let message = HostMessage::RunJob { job: 9, argv: ["sh", "-c", line].map(Into::into).to_vec(), stdin: (*b"").into() };
    let mut out = String::new();
    for message in aside::run(bottle.head(), message.into()).page {
        if let HostMessage::JobOutput { data, .. } = message {
            out.push_str(&String::from_utf8_lossy(&data));
        }
    }
    out
}

fn recipe(bottle: &Bottle) -> Recipe {
    Recipe::Named(bottle.head().config.name.clone())
}

fn replayed(moment: &Moment, same_release: bool) -> (Bottle, bool) {
    let mut bottle = Bottle::new(moment.config().unwrap());
    let mut replay = Replay::new(moment.clone(), same_release);
    // In slices, as the page does it.
    while !replay.run(&mut bottle, 500) {}
    let met = replay.met(&bottle);
    (bottle, met)
}

/// A visit: a manifest, keys in a terminal (some while time stands), a machine without power.
fn visit(mut bottle: Bottle) -> Bottle {
    bottle.input(Input::Laptop(Rc::new(HostMessage::TtyOpen { tab: 1, cols: 80, rows: 24 })));
    run_for(&mut bottle, 500);
    bottle.input(job(&["kubectl", "apply", "-f", "-"], YAML));
    run_for(&mut bottle, 9_000);
    for c in "kubectl get pods\r".chars() {
        bottle.input(Input::Laptop(key(&c.to_string())));
        run_for(&mut bottle, 70);
    }
    // While time stands, a command that only reads is answered in a clone, and only the laptop is kept of it.
    for c in "echo $((2+3)) > five; ls\r".chars() {
        let outcome = aside::run(bottle.head(), key(&c.to_string()));
        assert!(!outcome.wrote);
        bottle.adopt_laptop(key(&c.to_string()), &outcome.cluster);
    }
    bottle.input(Input::PowerOff("node-2".into()));
    run_for(&mut bottle, 3_210);
    bottle
}

#[test]
fn a_visit_fits_into_a_link_and_comes_back_exactly() {
    let bottle = visit(boot("demo"));
    let moment = Moment::of(&bottle, recipe(&bottle), "abc");
    let bytes = moment.to_bytes();
    println!("{} inputs, {} bytes", moment.inputs.len(), bytes.len());
    assert!(bytes.len() < 2_600, "{} bytes before compression", bytes.len());
    let read = Moment::from_bytes(&bytes).unwrap();
    assert_eq!(read, moment);
    let (again, met) = replayed(&read, true);
    assert!(met);
    assert_eq!(again.head().digest(), bottle.head().digest());
    assert_eq!(printed(&again, "cat five"), "5\n", "what was done while time stood is there too");
    // Both go on alike.
    let (mut a, mut b) = (bottle, again);
    run_for(&mut a, 30_000);
    run_for(&mut b, 30_000);
    assert_eq!(a.head().digest(), b.head().digest());
}

#[test]
fn a_moment_in_the_past_and_what_was_asked_there() {
    let mut bottle = visit(boot("demo"));
    let then = bottle.head().now() + Duration::from_millis(-4_000);
    bottle.seek(then);
    let outcome = aside::run(bottle.shown(), key("x"));
    bottle.adopt_laptop(key("x"), &outcome.cluster);
    let moment = Moment::of(&bottle, recipe(&bottle), "");
    assert!(moment.inputs.len() < bottle.log().len() + 1 && moment.at == then);
    let (again, met) = replayed(&Moment::from_bytes(&moment.to_bytes()).unwrap(), true);
    assert!(met);
    // A fork there is the same as one of the replayed.
    bottle.input(job(&["kubectl", "delete", "deployment", "--all"], ""));
    let mut again = again;
    again.input(job(&["kubectl", "delete", "deployment", "--all"], ""));
    run_for(&mut bottle, 20_000);
    run_for(&mut again, 20_000);
    assert_eq!(bottle.head().digest(), again.head().digest());
    let saved = bottle.save();
    let mut third = Bottle::new(Config::named("demo").unwrap());
    assert!(third.restore(&saved));
    assert_eq!(third.head().digest(), bottle.head().digest());
}

#[test]
fn another_release_gives_the_inputs_at_their_times() {
    let bottle = visit(boot("demo"));
    let moment = Moment::of(&bottle, recipe(&bottle), "abc");
    // Here the other release is this one, so even the moment is met.
    let (again, met) = replayed(&moment, false);
    assert_eq!(again.head().now(), bottle.head().now());
    assert!(met);
    // Counts that don't hold: the clock takes over, and everything is done all the same.
    let mut lied = moment.clone();
    lied.inputs.iter_mut().for_each(|i| i.events += 3);
    let (again, met) = replayed(&lied, true);
    assert!(!met || again.head().digest() == moment.digest);
    assert_eq!((again.head().now(), again.log().len()), (bottle.head().now(), bottle.log().len()));
}

#[test]
fn another_release_begins_with_etcds_keys_as_after_a_power_cut() {
    let mut bottle = visit(boot("demo"));
    bottle.input(Input::PowerOn("node-2".into()));
    bottle.input(Input::AddNode);
    run_for(&mut bottle, 60_000);
    let names = "kubectl get pods,deployments,services,nodes -A -o name | sort";
    let before = printed(&bottle, names);
    assert!(before.contains("node/node-3") && before.contains("deployment.apps/web"), "{before}");
    let moment = Moment::of(&bottle, recipe(&bottle), "abc").with_backup(&bottle);
    let bytes = moment.to_bytes();
    println!("{} bytes with the keys", bytes.len());
    let read = Moment::from_bytes(&bytes).unwrap();
    assert_eq!(read, moment);
    let mut next = Bottle::new(read.config_of_backup().unwrap().unwrap());
    assert_eq!(next.head().now(), bottle.head().now());
    let end = next.start() + Duration::from_secs(120);
    while next.head().now() < end && !next.head().is_ready() {
        run_for(&mut next, 500);
    }
    assert!(next.head().is_ready(), "{}", printed(&next, "kubectl get pods -A"));
    run_for(&mut next, 30_000);
    assert_eq!(printed(&next, names), before);
    assert_eq!(printed(&next, "cat five"), "5\n", "the laptop's home is there");
    let running = printed(&next, "kubectl get pods | grep -c Running");
    assert_eq!(running, printed(&bottle, "kubectl get pods | grep -c Running"));
    // What comes after it is a moment of its own, which begins with the same keys.
    next.input(job(&["kubectl", "create", "configmap", "after"], ""));
    run_for(&mut next, 2_000);
    let later = Moment::from_bytes(&Moment::of(&next, recipe(&next), "def").to_bytes()).unwrap();
    let (again, met) = replayed(&later, true);
    assert!(met && printed(&again, "kubectl get configmap after -o name") == "configmap/after\n");
}

#[test]
fn a_machine_that_belongs_to_no_cluster_belongs_to_none_after_a_backup() {
    let yaml = "nodes: [{name: cp-1, controlPlane: true}, {name: spare, blank: true}, {name: late, blank: true}]";
    let mut bottle = Bottle::new(Config::from_yaml(yaml).unwrap());
    run_for(&mut bottle, 60_000);
    bottle.input(job(&["sh", "-c", "ssh late $(ssh cp-1 kubeadm token create --print-join-command)"], ""));
    run_for(&mut bottle, 60_000);
    let nodes = "kubectl get nodes -o name";
    assert_eq!(printed(&bottle, nodes), "node/cp-1\nnode/late\n");
    let moment = Moment::of(&bottle, Recipe::Yaml(yaml.into()), "abc").with_backup(&bottle);
    let read = Moment::from_bytes(&moment.to_bytes()).unwrap();
    assert_eq!(read, moment);
    let mut next = Bottle::new(read.config_of_backup().unwrap().unwrap());
    run_for(&mut next, 60_000);
    assert_eq!(printed(&next, nodes), "node/cp-1\nnode/late\n");
    assert_eq!(
        printed(&next, "ssh spare systemctl is-active kubelet; ssh late systemctl is-active kubelet"),
        "activating\nactive\n"
    );
}

#[test]
fn bytes_that_are_no_moment_say_why() {
    let mut bottle = Bottle::new(Config::named("recorded").unwrap());
    run_for(&mut bottle, 1_000);
    let bytes = bottle.save();
    let error = |bytes: &[u8]| Moment::from_bytes(bytes).unwrap_err();
    assert_eq!(error(b""), NoMoment::Damaged);
    assert_eq!(error(b"{}"), NoMoment::Foreign);
    assert_eq!(error(b"KB\x63rest"), NoMoment::Format(0x63));
    for cut in 3..bytes.len() {
        assert_eq!(error(&bytes[..cut]), NoMoment::Damaged, "cut at {cut}");
    }
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(error(&changed), NoMoment::Damaged);
    let moment = Moment::from_bytes(&bytes).unwrap();
    let year = Duration::from_secs(366 * 86_400);
    let far = Moment { at: moment.at + year * 20, ..moment.clone() };
    assert_eq!(error(&far.to_bytes()), NoMoment::Senseless);
    let early = Moment { epoch: base::Time(i64::MIN + 1), ..moment.clone() };
    assert!(matches!(error(&early.to_bytes()), NoMoment::Senseless));
    let many = Moment { events: u64::MAX >> 1, ..moment.clone() };
    assert_eq!(error(&many.to_bytes()), NoMoment::Senseless);
    let unknown = Moment { recipe: Recipe::Named("nothing".into()), ..moment.clone() };
    assert_eq!(
        Moment::from_bytes(&unknown.to_bytes()).unwrap().config().unwrap_err(),
        "there is no configuration named \"nothing\""
    );
    let yaml = Moment { recipe: Recipe::Yaml("nodes: [".into()), ..moment };
    assert!(Moment::from_bytes(&yaml.to_bytes()).unwrap().config().is_err());
}

/// Whole bytes that say wild things: nothing panics, and every replay ends.
#[test]
fn wild_inputs_do_no_harm() {
    let bottle = Bottle::new(Config::named("recorded").unwrap());
    let names =
        ["node-1", "node-9", "", "laptop", "kube-apiserver/control-plane", "etcd/control-plane", "kubelet/node-1", "\0", "../.."];
    let lines = ["", "\u{1b}[", "kubectl get", "\r", ":(){ :|:& };:\r", "exit\r", "cat /dev/zero | head -c 100\r", "\u{3}\u{4}"];
    for round in 0..12_u64 {
        let seed = Seed(round);
        let draw = |i: u64, n: usize| seed.below(i, n as u64) as usize;
        let mut moment = Moment::of(&bottle, recipe(&bottle), "");
        let (mut at, mut n) = (moment.at, 0);
        for i in 0..60_u64 {
            let i = i * 10;
            let name = |k: u64| Rc::<str>::from(names[draw(i + k, names.len())]);
            let text: Rc<[u8]> = lines[draw(i + 4, lines.len())].as_bytes().into();
            let tab = draw(i + 5, 3) as u32;
            let input = match draw(i, 15) {
                0 => Input::PowerOff(name(1)),
                1 => Input::PowerOn(name(1)),
                2 => Input::Freeze(name(1)),
                3 => Input::Thaw(name(1)),
                4 => Input::Kill(name(1)),
                5 => Input::Cut(name(1), name(2)),
                6 => Input::Mend(name(1), name(2)),
                7 => Input::Slow(name(1), name(2), u32::MAX),
                8 => Input::AddNode,
                9 => Input::Laptop(Rc::new(HostMessage::TtyOpen { tab, cols: 1, rows: 1 })),
                10 => Input::Laptop(Rc::new(HostMessage::TtyClose { tab })),
                11 => Input::Aside(Rc::new(HostMessage::TtyInput { tab, data: text })),
                12 => Input::Machine(name(1), Rc::new(HostMessage::WriteFile { path: name(2), data: text })),
                13 => Input::Laptop(Rc::new(HostMessage::BufferClosed { buffer: tab, saved: Some(name(1)) })),
                _ => Input::Laptop(Rc::new(HostMessage::TtyInput { tab, data: text })),
            };
            at += Duration::from_millis(draw(i + 7, 900) as i64);
            n += draw(i + 8, 90) as u64;
            moment.inputs.push(cluster::LoggedInput { at, events: n, input });
        }
        (moment.at, moment.events) = (at, n);
        let read = Moment::from_bytes(&moment.to_bytes()).unwrap();
        let (again, _) = replayed(&read, round % 2 == 0);
        assert_eq!(again.head().now(), at);
    }
}
