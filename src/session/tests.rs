//! Visits of a page, played natively: what the lenses show of a real cluster, and what trying finds out.

use std::cell::Cell;

use protocol::{Action, Config, Lens, Pace, Scene, Start, State, Tab, Thing, ToPage, ToWorker, View, ViewOptions};

use crate::Session;

mod buffers;
mod cloud;
mod flow;
mod journal;
mod panels;
mod policy;
mod scale;
mod standing;
mod throttled;
mod whys;

/// A page that keeps the scene and acknowledges every batch; its clock goes on by itself.
struct Page {
    session: Session,
    scene: Scene,
    notices: Vec<String>,
    inspector: Option<protocol::Inspector>,
    digest: String,
    wall_ms: Cell<f64>,
}

const WEB: &str = include_str!("../../tests/golden/digest.yaml");

impl Page {
    /// A booted demo cluster.
    fn open() -> Page {
        Page::open_with("demo")
    }

    fn open_with(name: &str) -> Page {
        Page::open_config(Config::Named(name.into()))
    }

    fn open_config(config: Config) -> Page {
        let mut page = Page {
            session: Session::new(),
            scene: Scene::default(),
            notices: Vec::new(),
            inspector: None,
            digest: String::new(),
            wall_ms: Cell::new(0.0),
        };
        page.session.receive(ToWorker::Start(Start {
            protocol: protocol::PROTOCOL_VERSION,
            config,
            seed: 1,
            epoch_us: 1_767_225_600_000_000,
            resume: None,
        }));
        page.show(Lens::Architecture);
        page.session.receive(ToWorker::Pace(Pace::SkipBoot));
        page.session.receive(ToWorker::Pace(Pace::Pause));
        page.ticks(6);
        page
    }

    fn show(&mut self, lens: Lens) {
        self.show_at(lens, 1090.0, 510.0, false);
    }

    fn show_at(&mut self, lens: Lens, width: f32, height: f32, compact: bool) {
        let options = ViewOptions { system_pods: true, ..ViewOptions::default() };
        self.session.receive(ToWorker::Show(View { lens, width, height, compact, options }));
        self.ticks(2);
    }

    fn ticks(&mut self, n: usize) {
        for _ in 0..n {
            self.wall_ms.set(self.wall_ms.get() + 300.0);
            let clock = || {
                self.wall_ms.set(self.wall_ms.get() + 0.5);
                self.wall_ms.get()
            };
            let tick = self.session.tick(&clock);
            let Some(batch) = tick.batch else { continue };
            for message in batch.messages {
                match message {
                    ToPage::Scene(patch) => patch.apply_to(&mut self.scene),
                    ToPage::Notice(notice) => self.notices.push(notice.text),
                    ToPage::Inspector(inspector) => self.inspector = Some(*inspector),
                    ToPage::Saved { digest, .. } => self.digest = digest,
                    _ => {}
                }
            }
            self.session.receive(ToWorker::Ack { seq: batch.seq });
        }
    }

    /// Lets the head run on by so many virtual seconds.
    fn run(&mut self, seconds: i64) {
        let bottle = self.session.bottle_mut().expect("there is a cluster");
        let until = bottle.head().now() + base::Duration::from_secs(seconds);
        bottle.run_until(until, u64::MAX);
        self.session.redraw();
        self.ticks(2);
    }

    fn act(&mut self, action: Action) {
        self.session.receive(ToWorker::Act { id: 1, action });
    }

    fn apply(&mut self, text: &str) {
        self.session.receive(ToWorker::Apply { id: 1, name: "web.yaml".into(), text: text.into(), dry_run: false });
    }

    /// Tries until every question is answered, and says which answers were yes.
    fn what_works(&mut self) -> Vec<(String, State, String)> {
        self.show(Lens::ControlPlane);
        for _ in 0..200_000 {
            self.ticks(1);
            let open = |b: &protocol::SceneBox| matches!(b.glyph, protocol::Glyph::Pending | protocol::Glyph::Starting);
            let tiles: Vec<_> = self.scene.boxes.values().filter(|b| b.id.starts_with("check/")).collect();
            if !tiles.iter().any(|b| open(b)) {
                let words = |b: &protocol::SceneBox| b.lines[0].iter().map(|s| s.text.as_str()).collect::<String>();
                return tiles.iter().map(|b| (b.title.clone(), b.state, words(b))).collect();
            }
        }
        panic!("the checks did not end");
    }

    /// Leaves what is shown as JSON where `KUBOTTLE_SCENES` says, to be looked at.
    fn keep(&mut self, name: &str) {
        let Ok(dir) = std::env::var("KUBOTTLE_SCENES") else { return };
        let lens = self.scene.head.lens;
        for (width, height, compact, size) in
            [(600.0, 284.0, true, "-embed"), (360.0, 560.0, true, "-phone"), (1090.0, 510.0, false, "")]
        {
            self.show_at(lens, width, height, compact);
            let text = serde_json::to_string(&self.scene).expect("plain data");
            std::fs::write(format!("{dir}/{name}{size}.json"), text).expect("a folder to write to");
        }
    }

    fn works(&mut self) -> Vec<String> {
        let all = self.what_works();
        self.keep(&format!("control-plane-{}", all.iter().filter(|a| a.1 == State::Ok).count()));
        println!("{all:#?}");
        all.into_iter().filter(|(_, state, _)| *state == State::Ok).map(|(title, ..)| title).collect()
    }

    /// What the inspector shows of a thing.
    fn inspect(&mut self, thing: Thing, tab: Tab) -> protocol::Inspector {
        self.session.receive(ToWorker::Inspect { thing: Some(thing), tab });
        self.ticks(2);
        self.inspector.clone().expect("it was asked for")
    }

    /// The steps of *why*, a line each.
    fn why(&mut self, thing: Thing) -> Vec<String> {
        let steps = self.inspect(thing, Tab::Why).why.expect("there is a why");
        let words = |s: &protocol::WhyStep| s.text.iter().map(|t| t.text.as_str()).collect::<String>();
        steps.iter().map(|s| format!("{}{}", if s.advice { "→ " } else { "" }, words(s))).collect()
    }

    /// Runs a line in the laptop's shell.
    fn shell(&mut self, line: &str) {
        let argv = ["sh", "-c", line].map(Into::into).to_vec();
        let stdin = (*b"").into();
        self.session.to_laptop(cri_api::host::HostMessage::RunJob { job: 70, argv, stdin });
    }

    fn words_of(&self, id: &str) -> String {
        let b =
            self.scene.boxes.get(id).unwrap_or_else(|| panic!("no {id} among {:?}", self.scene.boxes.keys().collect::<Vec<_>>()));
        format!("{} {}", b.title, b.aria)
    }
}

#[test]
fn a_page_that_draws_slowly_is_told_of_more_than_its_picture() {
    let mut page = Page::open();
    page.session.receive(ToWorker::Pace(Pace::Speed(protocol::Speed::Milli(10_000))));
    page.session.receive(ToWorker::Pace(Pace::Play));
    let (mut pictures, mut timelines) = (0, 0);
    for _ in 0..40 {
        page.wall_ms.set(page.wall_ms.get() + 150.0);
        let Some(batch) = page.session.tick(&|| page.wall_ms.get()).batch else { continue };
        pictures += batch.messages.iter().filter(|m| matches!(m, ToPage::Scene(_))).count();
        timelines += batch.messages.iter().filter(|m| matches!(m, ToPage::Timeline(_))).count();
        page.session.receive(ToWorker::Ack { seq: batch.seq });
    }
    assert!(pictures >= 5 && timelines >= 5, "{pictures} pictures, {timelines} timelines");
}

#[test]
fn who_opens_a_thing_waits_for_nothing_else() {
    let mut page = Page::open();
    page.show(Lens::Architecture);
    page.session.receive(ToWorker::Pace(Pace::Speed(protocol::Speed::Max)));
    page.session.receive(ToWorker::Pace(Pace::Play));
    // A page that has a picture to draw, and says of none that it has drawn it.
    let mut pictures = 0;
    for _ in 0..40 {
        page.wall_ms.set(page.wall_ms.get() + 150.0);
        let tick = page.session.tick(&|| {
            page.wall_ms.set(page.wall_ms.get() + 0.5);
            page.wall_ms.get()
        });
        pictures += tick.batch.is_some_and(|b| b.messages.iter().any(|m| matches!(m, ToPage::Scene(_)))) as u32;
    }
    assert!(pictures > 0);
    page.session.receive(ToWorker::Inspect { thing: Some(Thing::core("nodes", "", "node-1")), tab: Tab::Why });
    let answer = page.session.tick(&|| page.wall_ms.get()).batch.expect("it was asked").messages;
    assert!(matches!(&answer[..], [ToPage::Inspector(inspector)] if inspector.title.contains("node-1")), "{answer:?}");
}

#[test]
fn kube_apiserver_is_the_only_hub() {
    let mut page = Page::open();
    page.run(15);
    page.show(Lens::Components);
    let edges: Vec<&protocol::SceneEdge> = page.scene.edges.values().collect();
    assert!(edges.len() > 12, "{:?}", page.scene.edges.keys().collect::<Vec<_>>());
    for edge in &edges {
        let local = edge.to.starts_with("containerd/");
        assert!(local || edge.to == "kube-apiserver" || edge.from == "kube-apiserver", "{}", edge.id);
        assert!(edge.to != "etcd" || edge.from == "kube-apiserver", "{}", edge.id);
    }
    let kubelet = &page.scene.edges["kubelet/node-1>kube-apiserver"].aria;
    assert!(kubelet.contains("watches") && kubelet.contains("update 1"), "{kubelet}");
    let etcd = &page.scene.edges["kube-apiserver>etcd"].aria;
    assert!(etcd.contains("txn"), "{etcd}");
    page.keep("components");
    // A connection tells its messages with answer, revision and cause.
    let (from, to) = ("kubelet/node-1".to_string(), "kube-apiserver".to_string());
    page.session.receive(ToWorker::Inspect { thing: Some(Thing::Connection { from, to }), tab: Tab::Overview });
    let bottle = page.session.bottle().expect("there is a cluster");
    let inspector = crate::connection::connection(bottle, "kubelet/node-1", "kube-apiserver");
    let rows: Vec<String> =
        inspector.overview.unwrap().iter().map(|r| r.value.iter().map(|s| s.text.as_str()).collect()).collect();
    assert!(
        rows.iter()
            .any(|r| r.contains("PUT /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1 → 200, revision")),
        "{rows:#?}"
    );
}

#[test]
fn what_works_is_found_by_trying_and_changes_nothing() {
    let mut page = Page::open();
    let before = page.session.bottle().unwrap().digest();
    assert_eq!(page.works(), ["Connect", "Heal", "Read", "Resolve", "Run", "Schedule", "Write"]);
    assert_eq!(page.session.bottle().unwrap().digest(), before, "trying must not touch the cluster");
}

#[test]
fn without_controllers_nothing_heals() {
    let mut page = Page::open();
    page.act(Action::Freeze { component: "kube-controller-manager".into() });
    assert_eq!(page.works(), ["Connect", "Read", "Resolve", "Run", "Schedule", "Write"]);
    assert!(page.words_of("kube-controller-manager").contains("frozen"));
}

/// Its liveness probe fails eight times, the kubelet kills the process, SIGSTOP and all, and starts another.
#[test]
fn the_kubelet_heals_a_frozen_static_pod() {
    let mut page = Page::open();
    page.act(Action::Freeze { component: "kube-controller-manager".into() });
    page.run(1);
    assert_eq!(page.scene.boxes.get("kube-controller-manager").map(|b| &*b.aria), Some("kube-controller-manager: frozen"));
    page.run(180);
    let events = crate::api::list(page.session.bottle().unwrap().head(), apimachinery::resources::events(), "kube-system");
    let said: Vec<&str> = events.iter().filter_map(|e| e.str_at(&["message"])).filter(|m| m.contains("iveness")).collect();
    assert!(said.iter().any(|m| m.starts_with("Liveness probe failed")), "{said:?}");
    assert!(said.iter().any(|m| m.ends_with("failed liveness probe, will be restarted")), "{said:?}");
    assert!(!page.words_of("kube-controller-manager").contains("frozen"));
    assert_eq!(page.works(), ["Connect", "Heal", "Read", "Resolve", "Run", "Schedule", "Write"]);
}

#[test]
fn without_an_api_names_and_services_still_work() {
    let mut page = Page::open();
    page.act(Action::Stop { component: "kube-apiserver".into() });
    page.run(40);
    assert_eq!(page.works(), ["Connect", "Resolve"]);
    page.act(Action::Start { component: "kube-apiserver".into() });
    page.run(60);
    assert!(page.works().contains(&"Write".to_string()));
}

#[test]
fn a_request_is_told_hop_by_hop_and_a_label_takes_the_endpoint_away() {
    let mut page = Page::open();
    page.apply(WEB);
    page.run(60);
    page.show(Lens::ServiceNetwork);
    assert_eq!(page.scene.boxes.keys().filter(|id| id.starts_with("rule/")).count(), 2);
    assert!(page.words_of("pod/default/client").contains("client"));
    let client = Thing::core("pods", "default", "client");
    page.act(Action::Request { from: Some(client), url: "http://my-service.default:80/".into() });
    page.run(4);
    assert!(page.notices.iter().any(|n| n.contains("Welcome to nginx!")), "{:?}", page.notices);
    let hops: Vec<String> = (0..5).map(|i| page.words_of(&format!("hop/{i}"))).collect();
    println!("{hops:#?}");
    assert!(hops[1].contains("my-service.default.svc.cluster.local is A 10."), "{hops:?}");
    assert!(hops[3].contains("drawn at random, 1 of 2 ready"), "{hops:?}");
    assert!(hops[4].contains("accepts 10.244.") && hops[4].contains("no NetworkPolicy isolates it"), "{hops:?}");
    assert!(page.scene.edges.values().filter(|e| e.look == protocol::EdgeLook::Strong).count() >= 4);
    page.keep("service");
    let pod = page.scene.boxes.values().find(|b| b.id.starts_with("pod/default/web-")).and_then(|b| b.opens.clone()).unwrap();
    page.act(Action::Label { thing: pod.clone(), key: "app".into(), value: Some("other".into()) });
    page.run(10);
    page.keep("service-out");
    let Thing::Object { name, .. } = &pod else { panic!("a pod is an object") };
    assert!(page.words_of(&format!("pod/default/{name}")).contains("not selected: app=other"));
}

#[test]
fn a_link_is_cut_slowed_and_mended() {
    let mut page = Page::open();
    let (from, to) = ("kubelet/node-1".to_string(), "kube-apiserver".to_string());
    page.act(Action::Cut { from: from.clone(), to: to.clone() });
    page.show(Lens::Components);
    assert_eq!(page.scene.edges["kubelet/node-1>kube-apiserver"].look, protocol::EdgeLook::Cut);
    page.act(Action::Mend { from: from.clone(), to: to.clone() });
    page.act(Action::Slow { from: from.clone(), to: to.clone(), ms: 400 });
    page.ticks(3);
    let edge = &page.scene.edges["kubelet/node-1>kube-apiserver"];
    assert!(edge.aria.contains("+400 ms"), "{}", edge.aria);
    page.act(Action::Slow { from, to, ms: 0 });
    page.act(Action::Isolate { machine: "node-1".into() });
    page.run(60);
    page.show(Lens::ControlPlane);
    assert!(page.words_of("node/node-1").contains("NotReady"), "{}", page.words_of("node/node-1"));
}

#[test]
fn of_three_members_one_leads_and_without_it_another() {
    let mut page = Page::open_with("ha");
    page.show(Lens::ControlPlane);
    page.keep("control-plane-ha");
    let leaders = |page: &Page| -> Vec<String> {
        page.scene.boxes.values().filter(|b| b.crown && b.id.starts_with("etcd/")).map(|b| b.id.clone()).collect()
    };
    let first = leaders(&page);
    assert_eq!(first.len(), 1, "{:?}", page.scene.boxes.keys().collect::<Vec<_>>());
    let followers = page.scene.edges.keys().filter(|e| e.starts_with(&format!("{}>etcd/", first[0]))).count();
    assert_eq!(followers, 2, "{:?}", page.scene.edges.keys().collect::<Vec<_>>());
    page.act(Action::Freeze { component: first[0].clone() });
    page.run(20);
    let second = leaders(&page);
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
    page.show(Lens::Components);
    page.keep("components-ha");
    assert!(page.words_of(&first[0]).contains("frozen"));
    page.show(Lens::Architecture);
    assert!(page.words_of("etcd").contains("3 members"), "{}", page.words_of("etcd"));
    page.keep("architecture-ha");
}

/// The browser walk does the same to the worker's wasm and reads the same file.
#[test]
fn a_moment_has_the_same_hash_here_and_in_wasm() {
    let mut page = Page::open();
    let epoch = 1_767_225_600_000_000;
    page.run(60);
    page.session.receive(ToWorker::Seek { at_us: epoch + 40_000_000 });
    // An input in the past: at exactly this moment a fork begins.
    page.apply(WEB);
    page.run(70);
    page.session.receive(ToWorker::Seek { at_us: epoch + 100_000_000 });
    page.session.receive(ToWorker::Save);
    page.ticks(2);
    expect_test::expect_file!["../../tests/golden/digest.txt"].assert_eq(&format!("{}\n", page.digest));
}
