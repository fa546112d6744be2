//! The panels: loops held and stepped, etcd's tree, log and maintenance.

use protocol::{Cell, Inspector, Line, Section, SectionBody};

use super::*;

fn section<'a>(inspector: &'a Inspector, title: &str) -> &'a Section {
    let found = inspector.sections.iter().find(|s| s.title.starts_with(title));
    found.unwrap_or_else(|| panic!("no {title} among {:?}", inspector.sections.iter().map(|s| &s.title).collect::<Vec<_>>()))
}

fn cells(section: &Section) -> Vec<Cell> {
    match &section.body {
        SectionBody::Cells(cells) => cells.clone(),
        other => panic!("no cells: {other:?}"),
    }
}

fn lines(section: &Section) -> Vec<Line> {
    match &section.body {
        SectionBody::Lines(lines) => lines.clone(),
        other => panic!("no lines: {other:?}"),
    }
}

fn text(spans: &[protocol::Span]) -> String {
    spans.iter().map(|s| s.text.as_str()).collect()
}

fn pods(page: &Page, app: &str) -> usize {
    let cluster = page.session.bottle().unwrap().head();
    let pods = cluster.api().unwrap().objects(apimachinery::resources::pods(), "default");
    pods.filter(|p| p.name().starts_with(app)).count()
}

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: loop}
spec:
  replicas: 3
  selector: {matchLabels: {app: loop}}
  template:
    metadata: {labels: {app: loop}}
    spec: {containers: [{name: c, image: 'nginx:1.27'}]}
";

#[test]
fn a_controller_is_held_and_lets_one_item_through() {
    let mut page = Page::open();
    let chip = Thing::component("kube-controller-manager/replicaset");
    let name = "replicaset-controller".to_string();
    let running = page.inspect(chip.clone(), Tab::Overview);
    assert_eq!(running.title, "replicaset-controller");
    assert!(running.offers.iter().any(|o| o.label == "Step one" && o.disabled.is_some()));
    page.act(Action::HoldLoop { name: name.clone() });
    page.apply(DEPLOYMENT);
    page.run(10);
    assert_eq!(pods(&page, "loop"), 0, "nobody makes pods");
    let held = page.inspect(chip.clone(), Tab::Overview);
    let waiting = cells(section(&held, "Queue"));
    assert!(waiting.iter().any(|c| c.text.starts_with("default/loop-") && c.state == State::Pending), "{waiting:#?}");
    assert!(waiting[0].aria.contains("because of ADDED replicaset/loop-"), "{}", waiting[0].aria);
    let watched = lines(section(&held, "Watched last"));
    assert!(watched.iter().any(|l| text(&l.text).starts_with("ADDED replicaset/loop-")), "{watched:#?}");
    assert!(held.offers.iter().any(|o| o.label == "Step one" && o.disabled.is_none()), "{:?}", held.offers);
    page.act(Action::StepLoop { name: name.clone() });
    page.run(10);
    assert_eq!(pods(&page, "loop"), 3);
    let stepped = page.inspect(chip.clone(), Tab::Overview);
    let plans = lines(section(&stepped, "Plans"));
    let first = plans.iter().find(|l| text(&l.text).contains("wants 3, has 0: creates 1")).expect("the plan in words");
    assert_eq!(text(&first.outcome), "1 call, answered", "batches of one, two, …");
    assert!(first.cause.as_ref().is_some_and(|c| c.text.starts_with("ADDED replicaset/loop-")), "{first:?}");
    // Its pods became Ready, and it may not look at them.
    assert!(!cells(section(&stepped, "Queue")).is_empty());
    page.act(Action::ReleaseLoop { name });
    page.run(5);
    let released = page.inspect(chip, Tab::Overview);
    assert!(cells(section(&released, "Queue")).is_empty(), "{:#?}", section(&released, "Queue"));
    // What a debugger did is part of the history: it replays, also from a save.
    let bottle = page.session.bottle().unwrap();
    assert!(bottle.verify().1, "the replay must meet the head again");
    assert!(bottle.log().iter().any(|i| matches!(&i.input, cluster::Input::StepLoop(n) if **n == *"replicaset-controller")));
}

#[test]
fn the_scheduler_is_held_and_tells_its_verdicts() {
    let mut page = Page::open();
    let thing = Thing::component("kube-scheduler");
    page.act(Action::HoldLoop { name: "kube-scheduler".into() });
    page.apply(DEPLOYMENT);
    page.run(5);
    let held = page.inspect(thing.clone(), Tab::Overview);
    assert_eq!(cells(section(&held, "Active 3")).len(), 3);
    page.act(Action::StepLoop { name: "kube-scheduler".into() });
    page.run(5);
    let stepped = page.inspect(thing.clone(), Tab::Overview);
    assert_eq!(cells(section(&stepped, "Active 2")).len(), 2);
    let verdict = lines(section(&stepped, "Last verdicts"))[0].clone();
    assert!(text(&verdict.text).contains(" → node-"), "{verdict:?}");
    assert!(text(&verdict.outcome).starts_with("best of 2 that fit, 3 looked at, score "), "{verdict:?}");
    page.act(Action::ReleaseLoop { name: "kube-scheduler".into() });
    page.run(5);
    let released = page.inspect(thing, Tab::Overview);
    assert!(cells(section(&released, "Active 0")).is_empty());
}

#[test]
fn etcd_shows_its_tree_and_what_compaction_takes() {
    let mut page = Page::open();
    page.run(60);
    let etcd = page.inspect(Thing::component("etcd"), Tab::Overview);
    let SectionBody::Tree(levels) = &section(&etcd, "B+ tree").body else { panic!("no tree") };
    assert!(levels.len() >= 2 && levels[0].0.starts_with("root · "), "{levels:?}");
    assert!(levels.last().unwrap().0.starts_with("leaf, 1 of "), "{levels:?}");
    let log = cells(section(&etcd, "Log"));
    let superseded = log.iter().filter(|c| c.state == State::Terminating).count();
    assert!(superseded > 5, "leases are renewed again and again: {superseded}");
    // A cell leads to a key, and the way to it is the real one.
    let key = "/registry/leases/kube-node-lease/node-1".to_string();
    let found = page.inspect(Thing::Key { key: key.clone() }, Tab::Overview);
    let SectionBody::Tree(levels) = &section(&found, "B+ tree").body else { panic!("no tree") };
    let leaf = &levels.last().unwrap().1;
    assert!(leaf.iter().any(|c| c.state == State::Active && c.text == "leases/kube-node-lease/node-1"), "{leaf:#?}");
    let before = cells(section(&found, "Its revisions")).len();
    assert!(before > 3, "{before} revisions");
    page.act(Action::Compact);
    page.run(5);
    assert!(page.notices.iter().any(|n| n.starts_with("Compacted at revision ")), "{:?}", page.notices);
    let after = page.inspect(Thing::Key { key }, Tab::Overview);
    assert!(cells(section(&after, "Its revisions")).len() < before);
    page.act(Action::Defrag);
    page.run(5);
    let notice = page.notices.iter().find(|n| n.starts_with("Defragmented: the file ")).expect("sizes before and after");
    let sizes: Vec<i64> = notice.split(' ').filter_map(|w| w.parse().ok()).collect();
    assert!(sizes[1] < sizes[0], "{notice}");
}

#[test]
fn a_plan_stands_behind_its_requests() {
    let mut page = Page::open();
    page.apply(DEPLOYMENT);
    page.run(10);
    let bottle = page.session.bottle().unwrap();
    let create = |r: &&cluster::Record| match &r.message.payload {
        sim::Payload::ApiRequest { request, .. } => {
            request.verb == apimachinery::Verb::Create && request.gvr == apimachinery::resources::replicasets()
        }
        _ => false,
    };
    let id = bottle.trace().newest().find(create).expect("a ReplicaSet was created").message.id.0;
    let detail = page.inspect(Thing::Message { id }, Tab::Overview).message.unwrap();
    assert!(detail.plan.as_ref().is_some_and(|p| p.starts_with("deployment-controller: ")), "{:?}", detail.plan);
}

/// Frozen, it lets connections be opened and doesn't answer: who asks `/readyz` is told so, and so is who looks.
#[test]
fn kube_apiserver_is_not_ready_while_etcd_does_not_answer() {
    let mut page = Page::open();
    page.show(Lens::ControlPlane);
    assert!(page.words_of("kube-apiserver").contains("kube-apiserver: ready;"), "{}", page.words_of("kube-apiserver"));
    page.act(Action::Freeze { component: "etcd".into() });
    page.run(90);
    let said = page.words_of("kube-apiserver");
    assert!(said.contains("etcd doesn't answer: /readyz fails"), "{said}");
    page.act(Action::Unfreeze { component: "etcd".into() });
    page.run(10);
    assert!(page.words_of("kube-apiserver").contains("kube-apiserver: ready;"), "{}", page.words_of("kube-apiserver"));
}
