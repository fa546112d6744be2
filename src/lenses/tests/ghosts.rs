//! What a lab's goal still lacks: where it is drawn, what is said of it, and that nothing of it stays.

use protocol::{Ghost, ScenePatch};

use super::*;

fn ghost(kind: &str, group: &str, resource: &str, name: &str, lacks: &[&str]) -> Ghost {
    let namespace = if kind == "Node" { "" } else { "default" };
    Ghost {
        kind: kind.into(),
        group: group.into(),
        resource: resource.into(),
        namespace: namespace.into(),
        name: name.into(),
        lacks: lacks.iter().map(|l| l.to_string()).collect(),
    }
}

fn deployment(lacks: &[&str]) -> Ghost {
    ghost("Deployment", "apps", "deployments", "web", lacks)
}

fn observed(nodes: usize, pending: usize, ghosts: &[Ghost]) -> Observed {
    let pod = |name: String| PodSeen { namespace: "default".into(), name, aria: "Pod".into(), ..PodSeen::default() };
    let node = |n: usize| NodeSeen {
        name: format!("node-{n}"),
        glyph: Glyph::Running,
        pods: (0..3).map(|i| pod(format!("web-{n}-{i}"))).collect(),
        ..NodeSeen::default()
    };
    let component = |id: &str| Component { id: id.into(), ..Component::default() };
    Observed {
        control_plane: "cp-1".into(),
        etcd: component("etcd"),
        apiserver: component("kube-apiserver"),
        nodes: (1..=nodes).map(node).collect(),
        pending: (0..pending).map(|i| pod(format!("waits-{i}"))).collect(),
        ghosts: ghosts.to_vec(),
        ..Observed::default()
    }
}

fn wide() -> View {
    view(1090.0, 510.0, false)
}

/// What of a scene is about the goal, with the box below or beside which it stands.
fn told(scene: &Scene) -> Vec<String> {
    let mut boxes: Vec<&SceneBox> = scene.boxes.values().filter(|b| b.state == State::Missing || b.differs).collect();
    boxes.sort_by(|a, b| a.rect.y.total_cmp(&b.rect.y).then(a.rect.x.total_cmp(&b.rect.x)));
    let mark = |b: &SceneBox| if b.differs { "ring" } else { "outline" };
    boxes.iter().map(|b| format!("{} {:?} {}: {}", mark(b), b.shape, b.parent.as_deref().unwrap_or("-"), b.aria)).collect()
}

#[test]
fn the_architecture_shows_what_the_goal_lacks() {
    let cases: [(&str, Ghost, &[&str]); 6] = [
        ("a pod waits for a node", ghost("Pod", "", "pods", "main", &[]), &["outline Pod -: missing: Pod main"]),
        (
            "a kind that isn't drawn lies in the tray",
            deployment(&[]),
            &["outline Tray -: the goal still lacks: missing: Deployment web", "outline Pod ghosts: missing: Deployment web"],
        ),
        (
            "also if it is there and differs",
            deployment(&["spec.replicas is 2, not 3"]),
            &[
                "outline Tray -: the goal still lacks: Deployment web differs from the goal: spec.replicas is 2, not 3",
                "ring Pod ghosts: Deployment web differs from the goal: spec.replicas is 2, not 3",
            ],
        ),
        (
            "a pod that is drawn gets a ring",
            ghost("Pod", "", "pods", "web-1-0", &["metadata.labels.app is missing: web"]),
            &["ring Pod node/node-1: Pod; differs from the goal: metadata.labels.app is missing: web"],
        ),
        ("a node stands among the nodes", ghost("Node", "", "nodes", "node-9", &[]), &["outline Group -: missing: Node node-9"]),
        (
            "a machine may be there without its Node object",
            ghost("Node", "", "nodes", "node-1", &[]),
            &["ring Group -: Node node-1: ; 0 pods; missing: Node node-1"],
        ),
    ];
    for (what, ghost, expected) in cases {
        for view in [wide(), view(600.0, 280.0, true)] {
            let scene = draw_architecture(&observed(2, 1, std::slice::from_ref(&ghost)), &view);
            assert_eq!(told(&scene), expected, "{what}, at {}", view.width);
            let opens = scene.boxes.values().filter(|b| b.opens.as_ref() == Some(&ghost.thing()));
            assert_eq!(opens.count(), 1, "{what}: one box can be opened");
        }
    }
}

#[test]
fn an_outline_stands_where_its_kind_does() {
    let goal = [ghost("Pod", "", "pods", "main", &[]), ghost("Node", "", "nodes", "node-9", &[])];
    let scene = architecture(&observed(2, 1, &goal), &wide());
    let at = |id: &str| scene.boxes[id].rect;
    // With the id that the real ones will have, so that they glide into their places.
    let (waits, main) = (at("pod/default/waits-0"), at("pod/default/main"));
    assert!(main.x == waits.x && main.y > waits.y, "{main:?} below {waits:?}");
    let (last, node) = (at("node/node-2"), at("node/node-9"));
    assert!(node.y == last.y && node.x > last.x && node.w == last.w, "{node:?} beside {last:?}");

    let goal = [ghost("Service", "", "services", "other", &[]), deployment(&[]), ghost("ConfigMap", "", "configmaps", "c", &[])];
    for view in views() {
        let scene = service_network(&ServiceSeen { ghosts: goal.to_vec(), ..service(2) }, &view);
        let at = |id: &str| scene.boxes[id].rect;
        let (address, other) = (at("service/default/my-service/80"), at("ghost/Service/default/other"));
        assert!(other.x == address.x && other.y > address.y, "{other:?} below {address:?}");
        let (end, web) = (at("pod/default/web-2"), at("ghost/Deployment/default/web"));
        assert!(web.x == end.x && web.y > end.y, "{web:?} below {end:?}");
        assert_eq!(scene.boxes["ghost/ConfigMap/default/c"].parent.as_deref(), Some("ghosts"));
    }
}

#[test]
fn the_service_network_rings_the_service_that_differs() {
    let lacks = ["spec.ports[0].targetPort is 80, not 9376"];
    let mut seen = service(2);
    seen.addresses[0].opens = seen.service.clone();
    seen.ghosts = vec![ghost("Service", "", "services", "my-service", &lacks)];
    let scene = service_network(&seen, &wide());
    let ringed: Vec<&str> = scene.boxes.values().filter(|b| b.differs).map(|b| b.id.as_str()).collect();
    assert_eq!(ringed, ["name/default/my-service", "service/default/my-service/80"], "its tags have none");
    assert!(told(&scene).iter().all(|line| line.ends_with(lacks[0])), "{:?}", told(&scene));
}

#[test]
fn a_service_that_is_still_to_be_made_is_drawn_without_any_other() {
    let goal = [ghost("Service", "", "services", "my-service", &[]), deployment(&[])];
    for view in views() {
        let scene = service_network(&ServiceSeen { ghosts: goal.to_vec(), ..ServiceSeen::default() }, &view);
        assert_eq!(told(&scene), ["outline Pod -: missing: Service my-service", "outline Pod -: missing: Deployment web"]);
        assert_eq!(scene.head.empty, None, "no sentence lies over them");
    }
}

#[test]
fn nothing_of_the_goal_stays_when_it_is_reached() {
    let goal = [deployment(&[]), ghost("Pod", "", "pods", "web-1-0", &["x"]), ghost("Service", "", "services", "s", &[])];
    let (before, after) = (observed(2, 1, &goal), observed(2, 1, &[]));
    let (old, new) = (architecture(&before, &wide()), architecture(&after, &wide()));
    assert!(told(&new).is_empty());
    let patch = ScenePatch::between(&old, &new);
    assert_eq!(patch.gone_boxes, ["ghost/Deployment/default/web", "ghost/Service/default/s", "ghosts"]);
    assert_eq!(
        patch.boxes.iter().map(|b| b.id.as_str()).collect::<Vec<_>>(),
        ["pod/default/web-1-0"],
        "the others stay as they were"
    );
}

#[test]
fn a_large_goal_lies_beside_everything_else() {
    let many = |kind: &str, resource: &str, n: usize| -> Vec<Ghost> {
        (0..n).map(|i| ghost(kind, "", resource, &format!("{resource}-with-a-long-name-{i}"), &[])).collect()
    };
    for view in views() {
        for (nodes, pending, n) in [(0, 0, 1), (1, 0, 3), (3, 8, 9), (5, 2, 40)] {
            let mut goal = many("Pod", "pods", n);
            goal.extend(
                [many("Service", "services", n), many("ConfigMap", "configmaps", n), many("Node", "nodes", n.min(3))].concat(),
            );
            let what = format!("{n} of each, {nodes} nodes at {}×{}", view.width, view.height);
            tidy(&draw_architecture(&observed(nodes, pending, &goal), &view), &what);
            tidy(&service_network(&ServiceSeen { ghosts: goal.clone(), ..service(3) }, &view), &what);
            tidy(&service_network(&ServiceSeen { ghosts: goal, ..ServiceSeen::default() }, &view), &what);
        }
    }
}

#[test]
fn a_large_goal_is_told_whole() {
    let goal: Vec<Ghost> = (0..9).map(|i| ghost("ConfigMap", "", "configmaps", &format!("c{i}"), &[])).collect();
    let scene = architecture(&observed(1, 0, &goal), &wide());
    let tray = &scene.boxes["ghosts"];
    assert!((0..9).all(|i| tray.aria.contains(&format!("missing: ConfigMap c{i}"))), "{}", tray.aria);
    let more = scene.texts.values().any(|t| t.spans.iter().any(|s| s.text == "+3 more of the goal"));
    assert!(more && scene.boxes.values().filter(|b| b.parent.as_deref() == Some("ghosts")).count() == 6);
}
