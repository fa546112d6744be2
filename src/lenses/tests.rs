//! Scenes as text, and what must hold of every scene: nothing outside, nothing on top of anything else.

mod architecture;
mod cloud;
mod ghosts;

use base::{Duration, Time};
use expect_test::{Expect, expect};
use protocol::{Glyph, Layer, Lens, Rect, Scene, SceneBox, Shape, State, Thing, View, ViewOptions};

use crate::*;

fn view(width: f32, height: f32, compact: bool) -> View {
    View { lens: Lens::Components, width, height, compact, options: ViewOptions::default() }
}

/// The page's sizes: wide, an embed, a phone, and a stage beside an open inspector.
fn views() -> [View; 5] {
    [
        view(1090.0, 510.0, false),
        view(600.0, 280.0, true),
        view(360.0, 560.0, true),
        view(640.0, 420.0, false),
        view(1600.0, 800.0, false),
    ]
}

/// Boxes top to bottom with their words, and edges.
fn text(scene: &Scene) -> String {
    let mut boxes: Vec<&SceneBox> = scene.boxes.values().filter(|b| b.shape != Shape::Entry).collect();
    boxes.sort_by(|a, b| a.rect.y.total_cmp(&b.rect.y).then(a.rect.x.total_cmp(&b.rect.x)).then(a.id.cmp(&b.id)));
    let words = |spans: &[protocol::Span]| spans.iter().map(|s| s.text.as_str()).collect::<String>();
    let mut out = String::new();
    for b in boxes {
        let lines: Vec<String> = b.lines.iter().map(|l| words(l)).collect();
        let crown = if b.crown { " ♛" } else { "" };
        let level = if b.shape == Shape::Bar { format!(" {:.0} %", b.level * 100.0) } else { String::new() };
        out += &format!("{:?} {} [{:?}]{crown}{level} {:?} {}\n", b.shape, b.id, b.state, b.title, lines.join(" / "));
    }
    for e in scene.edges.values() {
        out += &format!("{:?} {}: {} / {}\n", e.look, e.id, words(&e.label), words(&e.note));
    }
    out
}

fn overlap(a: Rect, b: Rect) -> bool {
    a.x + 0.5 < b.x + b.w && b.x + 0.5 < a.x + a.w && a.y + 0.5 < b.y + b.h && b.y + 0.5 < a.y + a.h
}

/// Things lie side by side, but those inside their parent; frames beside frames; all within the picture; no small text.
fn tidy(scene: &Scene, what: &str) {
    let ancestor = |a: &SceneBox, b: &SceneBox| {
        let mut at = a.parent.clone();
        while let Some(id) = at {
            if id == b.id {
                return true;
            }
            at = scene.boxes.get(&id).and_then(|p| p.parent.clone());
        }
        false
    };
    let boxes: Vec<&SceneBox> = scene.boxes.values().collect();
    for (i, a) in boxes.iter().enumerate() {
        let inside = a.rect.x >= 0.0 && a.rect.y >= 0.0 && a.rect.x + a.rect.w <= scene.head.width + 0.5;
        assert!(
            inside && a.rect.y + a.rect.h <= scene.head.height + 0.5,
            "{what}: {} is outside: {:?} of {:?}",
            a.id,
            a.rect,
            scene.head
        );
        let words = 39.0 + 17.0 * a.lines.len().saturating_sub(1) as f32 + 4.0;
        assert!(a.shape != Shape::Card || a.lines.is_empty() || words <= a.rect.h, "{what}: {} has too many lines", a.id);
        for b in &boxes[i + 1..] {
            let ground = (a.layer == Layer::Ground) != (b.layer == Layer::Ground);
            if ground || ancestor(a, b) || ancestor(b, a) {
                continue;
            }
            assert!(!overlap(a.rect, b.rect), "{what}: {} {:?} and {} {:?} overlap", a.id, a.rect, b.id, b.rect);
        }
    }
    for t in scene.texts.values() {
        assert!(t.size >= 11.0, "{what}: {} is too small", t.id);
        assert!(t.at.y <= scene.head.height, "{what}: {} is below the picture", t.id);
        let width = t.spans.iter().map(|s| s.text.chars().count()).sum::<usize>() as f32 * 5.4;
        let right = if t.anchor == protocol::Anchor::Middle { t.at.x + width / 2.0 } else { t.at.x + width };
        assert!(right <= scene.head.width + 12.0, "{what}: {} runs out of the picture: {:?}", t.id, t.spans);
    }
}

fn check(scene: &Scene, expected: &Expect) {
    expected.assert_eq(&text(scene));
}

fn client(id: &str, watches: u32, verbs: &[(&str, u32, bool)]) -> Client {
    let verbs: Vec<(String, u32, bool)> = verbs.iter().map(|(v, n, w)| (v.to_string(), *n, *w)).collect();
    let requests: u32 = verbs.iter().map(|v| v.1).sum();
    let link = Link { watches, rate: requests as f32 / 10.0, verbs, ..control_plane::between(id, "kube-apiserver") };
    Client {
        id: id.into(),
        title: id.split('/').next().unwrap_or(id).into(),
        note: "runs".into(),
        opens: Some(Thing::component(id)),
        link,
        ..Client::default()
    }
}

fn connections(nodes: usize) -> Connections {
    let mut etcd = client("etcd", 40, &[("txn", 12, true), ("range", 3, false)]);
    (etcd.link.from, etcd.link.to) = ("kube-apiserver".into(), "etcd".into());
    let node = |n: usize| {
        let name = format!("node-{n}");
        let part = |kind: &str| {
            let id = format!("{kind}/{name}");
            let mut c = client(&id, 4, &[("update", 1, true)]);
            c.local = Some(control_plane::between(&id, &format!("containerd/{name}")));
            c
        };
        NodeClients {
            id: format!("node/{name}"),
            title: name.clone(),
            glyph: Glyph::Running,
            clients: ["kubelet", "kube-proxy", "flanneld"].map(part).into(),
            machine: Some(client(&format!("containerd/{name}"), 0, &[])),
            ..NodeClients::default()
        }
    };
    Connections {
        hub: client("kube-apiserver", 0, &[]),
        stores: vec![etcd],
        clients: vec![
            client("laptop", 0, &[]),
            client("kube-controller-manager", 60, &[("get", 5, false), ("update", 5, true)]),
            client("kube-scheduler", 18, &[("get", 5, false)]),
            client("pod/kube-system/coredns-a", 3, &[]),
            client("pod/kube-system/coredns-b", 3, &[]),
        ],
        nodes: (1..=nodes).map(node).collect(),
        window: "in the last 10 s".into(),
        cloud: None,
        traffic: vec![Traffic { from: "kubelet/node-1".into(), to: "kube-apiserver".into(), kind: protocol::MessageKind::Write }],
    }
}

#[test]
fn components_are_told_by_their_connections() {
    let mut seen = connections(1);
    seen.nodes[0].clients[0].link.fault = Fault::Cut;
    seen.clients[2].link.fault = Fault::Slow(400);
    check(
        &components(&seen, &view(1090.0, 510.0, false)),
        &expect![[r#"
            Group node/node-1 [Idle] "node-1" 
            Card kube-apiserver [Idle] "kube-apiserver" runs
            Card laptop [Idle] "laptop" runs
            Card containerd/node-1 [Idle] "containerd" runs
            Pill kubelet/node-1 [Idle] "kubelet" 4 watches · 0.1/s
            Card kube-controller-manager [Idle] "kube-controller-manager" runs
            Pill kube-proxy/node-1 [Idle] "kube-proxy" 4 watches · 0.1/s
            Pill flanneld/node-1 [Idle] "flanneld" 4 watches · 0.1/s
            Card kube-scheduler [Idle] "kube-scheduler" runs
            Card pod/kube-system/coredns-a [Idle] "pod" runs
            Card pod/kube-system/coredns-b [Idle] "pod" runs
            Cylinder etcd [Idle] "etcd" runs
            Quiet flanneld/node-1>containerd/node-1:  / 
            Quiet flanneld/node-1>kube-apiserver: 4 watches · 0.1/s / update 1
            Quiet kube-apiserver>etcd: 40 watches · 1.5/s / txn 12 · range 3
            Quiet kube-controller-manager>kube-apiserver: 60 watches · 1.0/s / get 5 · update 5
            Quiet kube-proxy/node-1>containerd/node-1:  / 
            Quiet kube-proxy/node-1>kube-apiserver: 4 watches · 0.1/s / update 1
            Quiet kube-scheduler>kube-apiserver: 18 watches · 0.5/s / +400 ms · get 5
            Quiet kubelet/node-1>containerd/node-1:  / 
            Cut kubelet/node-1>kube-apiserver: 4 watches · 0.1/s / update 1
            Quiet laptop>kube-apiserver: no request / 
            Quiet pod/kube-system/coredns-a>kube-apiserver: 3 watches · no request / 
            Quiet pod/kube-system/coredns-b>kube-apiserver: 3 watches · no request / 
        "#]],
    );
}

#[test]
fn components_lie_side_by_side() {
    for view in views() {
        for (nodes, members) in [(1, 1), (3, 1), (4, 3)] {
            let mut seen = connections(nodes);
            let store = seen.stores[0].clone();
            seen.stores = (0..members).map(|i| Client { id: format!("etcd/cp-{i}"), ..store.clone() }).collect();
            tidy(&components(&seen, &view), &format!("{nodes} nodes at {}×{}", view.width, view.height));
        }
    }
}

fn lease(age_s: i64, duration_s: i64) -> Option<LeaseSeen> {
    Some(LeaseSeen { holder: "cp-1_abc".into(), age: Duration::from_secs(age_s), duration: Duration::from_secs(duration_s) })
}

fn health(members: usize, nodes: usize) -> Health {
    let member = |i: usize| MemberSeen {
        id: if members == 1 { "etcd".into() } else { format!("etcd/cp-{}", i + 1) },
        title: format!("etcd cp-{}", i + 1),
        leader: i == 0,
        role: if i == 0 { "leader" } else { "follower" }.into(),
        term: 3,
        revision: 551,
        last: 1204 - i as u64,
        commit: 1203 - i as u64,
        applied: 1202 - i as u64,
        db_size: 3_000_000,
        ..MemberSeen::default()
    };
    let candidate = |name: &str, age| ComponentHealth {
        id: name.into(),
        title: name.into(),
        glyph: Glyph::Running,
        lines: vec![vec![protocol::Span::plain("leader")]; if name == "kube-apiserver" { 4 } else { 1 }],
        leader: age < 15,
        lease: lease(age, 15),
        ..ComponentHealth::default()
    };
    let node = |i: usize| NodeHealth {
        name: format!("node-{i}"),
        glyph: Glyph::Running,
        note: "Ready".into(),
        conditions: [("Ready", "Unknown", false), ("MemoryPressure", "False", true)]
            .map(|(t, s, g)| (t.into(), s.into(), g))
            .into(),
        lease: lease(30 + i as i64 * 6, 40),
        facts: vec!["status 12 s ago".into(), "9 pods".into(), "unreachable:NoExecute".into()],
        parts: ["kubelet", "kube-proxy"]
            .map(|k| Part { id: format!("{k}/node-{i}"), title: k.into(), state: State::Idle })
            .into(),
        ..NodeHealth::default()
    };
    let check = |name: &str, works: bool| CheckSeen {
        name: name.into(),
        title: name.into(),
        state: if works { State::Ok } else { State::Failing },
        glyph: if works { Glyph::Done } else { Glyph::Failing },
        line: "answered in 12 ms".into(),
        opens: Some(Thing::Check { name: name.into() }),
    };
    Health {
        now: Time::EPOCH,
        place: "node cp-1".into(),
        machine: "cp-1".into(),
        members: (0..members).map(member).collect(),
        quorum: "3 of 3 members up: quorum 2, 1 may fail".into(),
        apiserver: candidate("kube-apiserver", 99),
        candidates: vec![candidate("kube-scheduler", 1), candidate("kube-controller-manager", 16)],
        nodes: (1..=nodes).filter(|_| nodes <= 24).map(node).collect(),
        cells: (1..=nodes)
            .filter(|_| nodes > 24)
            .map(|i| NodeCell { name: format!("node-{i}").into(), state: State::Ok, pods: 9 })
            .collect(),
        links: vec![
            control_plane::between("kubelet/node-1", "kube-apiserver"),
            control_plane::between("kube-scheduler", "kube-apiserver"),
        ],
        checks: ["read", "write", "schedule", "run", "heal", "resolve", "connect"].map(|n| check(n, n != "heal")).into(),
        checks_note: "tried in throwaway copies of the cluster of 12:04:33".into(),
        cloud: None,
        traffic: Vec::new(),
    }
}

#[test]
fn the_control_plane_says_who_leads_and_what_works() {
    check(
        &control_plane(&health(1, 1), &view(1090.0, 510.0, false)),
        &expect![[r#"
        Group control-plane [Idle] "control plane" node cp-1
        Card kube-scheduler [Idle] ♛ "kube-scheduler" leader
        Cylinder etcd [Idle] ♛ "etcd cp-1" leader · term 3
        Card kube-apiserver [Idle] "kube-apiserver" leader / leader / leader / leader
        Bar kube-scheduler/lease [Ok] 93 % "renewed 1.0 s ago, lasts 15 s" 
        Card kube-controller-manager [Idle] "kube-controller-manager" leader
        Bar kube-controller-manager/lease [Failing] 0 % "expired: renewed 16 s ago, lasts 15 s" 
        Group node/node-1 [Idle] "node-1" Ready
        Pill kubelet/node-1 [Idle] "kubelet" 
        Pill kube-proxy/node-1 [Idle] "kube-proxy" 
        Tag node/node-1/condition/Ready [Starting] "Ready Unknown" 
        Tag node/node-1/condition/MemoryPressure [Ok] "Memory" 
        Bar node/node-1/lease [Starting] 10 % "renewed 36 s ago, lasts 40 s" 
        Group checks [Idle] "what works now" tried in throwaway copies of the cluster of 12:04:33
        Card check/read [Ok] "read" answered in 12 ms
        Card check/write [Ok] "write" answered in 12 ms
        Card check/schedule [Ok] "schedule" answered in 12 ms
        Card check/run [Ok] "run" answered in 12 ms
        Card check/heal [Failing] "heal" answered in 12 ms
        Card check/resolve [Ok] "resolve" answered in 12 ms
        Card check/connect [Ok] "connect" answered in 12 ms
        Quiet kube-scheduler>kube-apiserver:  / 
        Quiet kubelet/node-1>kube-apiserver:  / 
    "#]],
    );
}

#[test]
fn a_member_that_lags_has_fewer_entries() {
    let scene = control_plane(&health(3, 1), &view(1090.0, 510.0, false));
    let states = |id: &str| {
        (0..12)
            .map(|i| format!("{:?}", scene.boxes[&format!("{id}/entry/{i}")].state).chars().next().unwrap_or(' '))
            .collect::<String>()
    };
    assert_eq!(states("etcd/cp-1"), "OOOOOOOOOOWP");
    assert_eq!(states("etcd/cp-3"), "OOOOOOOOWPII");
}

#[test]
fn the_control_plane_lies_side_by_side() {
    for view in views() {
        for (members, nodes) in [(1, 1), (1, 3), (3, 5), (5, 30)] {
            tidy(
                &control_plane(&health(members, nodes), &view),
                &format!("{members} members, {nodes} nodes at {}×{}", view.width, view.height),
            );
        }
    }
}

fn service(endpoints: usize) -> ServiceSeen {
    let pod = |name: &str| PodSeen {
        namespace: "default".into(),
        name: name.into(),
        state: State::Ok,
        glyph: Glyph::Running,
        ..PodSeen::default()
    };
    let row = |i: usize| Place {
        id: format!("rule/10.244.1.{i}:80"),
        title: format!("→ 10.244.1.{i}:80"),
        line: format!("1 of {endpoints}, at random"),
        chosen: i == 1,
        ..Place::default()
    };
    let end = |i: usize| EndpointSeen {
        pod: pod(&format!("web-{i}")),
        line: format!("10.244.1.{i}:80 · node-1"),
        labels: vec![("app=MyApp".into(), i != endpoints)],
        row: (i != endpoints).then(|| i - 1),
        chosen: i == 1,
    };
    let hop = |title: &str| HopSeen {
        title: title.into(),
        reason: "10.244.1.2:80 drawn at random, 1 of 3 ready; route 10.244.1.0/24 via 172.18.0.3".into(),
        glyph: Glyph::Done,
        ..HopSeen::default()
    };
    ServiceSeen {
        title: "From a client to the endpoints of my-service".into(),
        service: Some(Thing::core("services", "default", "my-service")),
        clients: vec![
            Place {
                id: "pod/default/client".into(),
                title: "client".into(),
                line: "10.244.2.9 · node-2".into(),
                chosen: true,
                ..Place::default()
            },
            Place { id: "laptop".into(), title: "your laptop".into(), line: "outside the cluster".into(), ..Place::default() },
        ],
        name: NameSeen {
            id: "name/default/my-service".into(),
            fqdn: "my-service.default.svc.cluster.local".into(),
            record: "A 10.96.14.3".into(),
            servers: vec![pod("coredns-a"), pod("coredns-b")],
            asked: Some("pod/default/coredns-a".into()),
        },
        addresses: vec![Place {
            id: "service/default/my-service/80".into(),
            title: "10.96.14.3:80".into(),
            line: "ClusterIP · TCP".into(),
            chosen: true,
            ..Place::default()
        }],
        table: TableSeen {
            id: "kube-proxy/node-2".into(),
            node: "on node-2".into(),
            rows: (1..endpoints).map(row).collect(),
            ..TableSeen::default()
        },
        selector: vec!["app=MyApp".into()],
        endpoints: (1..=endpoints).map(end).collect(),
        hops: ["client", "name", "address", "rule", "endpoint"].map(hop).into(),
        ..ServiceSeen::default()
    }
}

#[test]
fn a_service_is_drawn_from_client_to_endpoint() {
    check(
        &service_network(&service(2), &view(1090.0, 510.0, false)),
        &expect![[r#"
        Pod name/default/my-service [Idle] "my-service.default.svc.cluster.local" A 10.96.14.3
        Group kube-proxy/node-2 [Idle] "kube-proxy" on node-2
        Tag selector/tag/0 [Active] "app=MyApp" 
        Pod pod/default/coredns-a [Active] "coredns-a" 
        Pod pod/default/coredns-b [Ok] "coredns-b" 
        Pod rule/10.244.1.1:80 [Active] "→ 10.244.1.1:80" chosen, 1 of 2, at random
        Pod pod/default/web-1 [Active] "web-1" 10.244.1.1:80 · node-1
        Tag pod/default/web-1/tag/0 [Ok] "✓ app=MyApp" 
        Pod pod/default/web-2 [Ok] "web-2" 10.244.1.2:80 · node-1
        Pod pod/default/client [Active] "client" 10.244.2.9 · node-2
        Pod service/default/my-service/80 [Active] "10.96.14.3:80" ClusterIP · TCP
        Tag pod/default/web-2/tag/0 [Failing] "✕ app=MyApp" 
        Pod laptop [Idle] "your laptop" outside the cluster
        Card hop/0 [Idle] "1 client" 10.244.1.2:80 drawn at / random, 1 of 3 ready; route / 10.244.1.0/24 via / 172.18.0.3
        Card hop/1 [Idle] "2 name" 10.244.1.2:80 drawn at / random, 1 of 3 ready; route / 10.244.1.0/24 via / 172.18.0.3
        Card hop/2 [Idle] "3 address" 10.244.1.2:80 drawn at / random, 1 of 3 ready; route / 10.244.1.0/24 via / 172.18.0.3
        Card hop/3 [Idle] "4 rule" 10.244.1.2:80 drawn at / random, 1 of 3 ready; route / 10.244.1.0/24 via / 172.18.0.3
        Card hop/4 [Idle] "5 endpoint" 10.244.1.2:80 drawn at / random, 1 of 3 ready; route / 10.244.1.0/24 via / 172.18.0.3
        Strong pod/default/client>pod/default/coredns-a:  / 
        Strong pod/default/client>service/default/my-service/80:  / 
        Strong rule/10.244.1.1:80>pod/default/web-1:  / 
        Strong service/default/my-service/80>rule/10.244.1.1:80:  / 
    "#]],
    );
}

#[test]
fn a_service_lies_side_by_side() {
    for view in views() {
        for endpoints in [1, 3, 6] {
            tidy(
                &service_network(&service(endpoints), &view),
                &format!("{endpoints} endpoints at {}×{}", view.width, view.height),
            );
        }
    }
}

#[test]
fn without_a_service_it_says_how_to_get_one() {
    let scene = service_network(&ServiceSeen::default(), &view(1090.0, 510.0, false));
    assert!(scene.boxes.is_empty() && scene.head.empty.is_some());
}
