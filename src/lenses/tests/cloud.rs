//! The cloud stands outside of the cluster in every lens that has the control plane, and its controller opens the connection.

use super::*;

fn rented(machines: usize, balancers: usize) -> CloudSeen {
    let place = |id: String, title: String, line: &str| Place { id, title, line: line.into(), ..Place::default() };
    let machine = |i| place(format!("cloud/machine/node-{i}"), format!("node-{i}"), "bottle-1a · running");
    let balancer = |i| place(format!("cloud/balancer/172.18.255.{i}"), format!("172.18.255.{i}"), "default/web → 2 machines");
    CloudSeen {
        machines: (1..=machines).map(machine).collect(),
        balancers: (1..=balancers).map(balancer).collect(),
        ..CloudSeen::default()
    }
}

fn architecture_of(machines: usize) -> Observed {
    let component =
        |id: &str| Component { id: id.into(), lines: vec![vec![protocol::Span::dim("runs")]], ..Component::default() };
    let revision = |revision| RevisionSeen { revision, newest: false };
    Observed {
        etcd: component("etcd"),
        revisions: (1281..1286).map(revision).collect(),
        apiserver: component("kube-apiserver"),
        scheduler: Some(component("kube-scheduler")),
        controllers: Some(component("kube-controller-manager")),
        cloud_controllers: Some(component(crate::cloud::CONTROLLER)),
        cloud: Some(rented(machines, 1)),
        nodes: (1..=machines).map(|i| NodeSeen { name: format!("node-{i}"), ..NodeSeen::default() }).collect(),
        ..Observed::default()
    }
}

#[test]
fn the_controller_calls_the_cloud_in_every_lens() {
    for view in views() {
        let mut connections = connections(2);
        connections.clients.push(client(crate::cloud::CONTROLLER, 5, &[]));
        connections.cloud = Some((rented(3, 1), control_plane::between(crate::cloud::CONTROLLER, "cloud")));
        let mut seen = health(1, 3);
        seen.candidates.push(ComponentHealth { id: crate::cloud::CONTROLLER.into(), ..seen.candidates[0].clone() });
        seen.cloud = Some(rented(3, 1));
        seen.links.push(control_plane::between(crate::cloud::CONTROLLER, "cloud"));
        let at = format!("at {}×{}", view.width, view.height);
        let scenes = [
            ("architecture", draw_architecture(&architecture_of(3), &view)),
            ("components", components(&connections, &view)),
            ("control plane", crate::control_plane(&seen, &view)),
        ];
        for (lens, scene) in scenes {
            tidy(&scene, &format!("{lens} {at}"));
            let cloud = &scene.boxes["cloud"];
            assert!(cloud.aria.contains("3 machines, 1 load balancer"), "{lens} {at}: {}", cloud.aria);
            // Where a narrow picture has no lines but for faults, none leads to the cloud.
            let lines = lens != "control plane" || !view.compact && view.width > 1000.0;
            let edge = scene.edges.get("cloud-controller-manager>cloud");
            assert_eq!(edge.is_some(), lines, "{lens} {at}");
            if let Some(edge) = edge {
                let end = match edge.path.last() {
                    Some(protocol::Segment::Line(p) | protocol::Segment::Cubic(_, _, p)) => *p,
                    None => edge.start,
                };
                let r = cloud.rect;
                let near = end.x > r.x - 4.0 && end.x < r.x + r.w + 4.0 && end.y > r.y - 4.0 && end.y < r.y + r.h + 4.0;
                assert!(near, "{lens} {at}: the line to the cloud ends at {end:?}, the cloud is {r:?}");
            }
        }
    }
}

#[test]
fn more_machines_than_room_are_told_by_number() {
    let mut seen = health(3, 3);
    seen.cloud = Some(rented(40, 2));
    for view in views() {
        let scene = crate::control_plane(&seen, &view);
        tidy(&scene, &format!("40 machines at {}×{}", view.width, view.height));
        assert!(scene.texts.keys().any(|id| id.ends_with("more of the cloud")), "{:?}", scene.texts.keys());
        assert!(scene.boxes.contains_key("cloud/balancer/172.18.255.1"));
    }
}

#[test]
fn policies_stand_below_the_endpoints_that_they_select() {
    let mut seen = service(3);
    let policy = |name: &str, state| Place {
        id: format!("networkpolicy/default/{name}"),
        title: name.into(),
        line: "flannel does not enforce it".into(),
        state,
        ..Place::default()
    };
    seen.policies = vec![policy("closed", State::Off), policy("open", State::Idle)];
    for view in views() {
        let scene = service_network(&seen, &view);
        tidy(&scene, &format!("policies at {}×{}", view.width, view.height));
        let (last, policy) = (&scene.boxes["pod/default/web-3"], &scene.boxes["networkpolicy/default/closed"]);
        assert!(policy.rect.y > last.rect.y + last.rect.h && policy.rect.x == last.rect.x);
        assert_eq!(policy.state, State::Off);
    }
}

/// Where a path goes, in small steps.
fn points(edge: &protocol::SceneEdge) -> Vec<protocol::Point> {
    let mut at = edge.start;
    let mut out = vec![at];
    for segment in &edge.path {
        let end = match *segment {
            protocol::Segment::Line(end) | protocol::Segment::Cubic(_, _, end) => end,
        };
        for i in 1..=24 {
            let t = i as f32 / 24.0;
            let mix = |a: f32, b: f32, c: f32, d: f32| {
                let u = 1.0 - t;
                u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d
            };
            out.push(match *segment {
                protocol::Segment::Line(e) => protocol::Point::new(at.x + (e.x - at.x) * t, at.y + (e.y - at.y) * t),
                protocol::Segment::Cubic(b, c, e) => protocol::Point::new(mix(at.x, b.x, c.x, e.x), mix(at.y, b.y, c.y, e.y)),
            });
        }
        at = end;
    }
    out
}

#[test]
fn a_kubelets_line_crosses_no_other_node() {
    for view in views() {
        let mut seen = architecture_of(7);
        (seen.cloud, seen.cloud_controllers) = (None, None);
        for node in &mut seen.nodes {
            node.parts = vec![Part { id: format!("kubelet/{}", node.name), title: "kubelet".into(), state: State::Idle }];
        }
        let scene = draw_architecture(&seen, &view);
        for i in 1..=7 {
            let edge = &scene.edges[&format!("kubelet/node-{i}>kube-apiserver")];
            for other in (1..=7).filter(|n| *n != i) {
                let r = scene.boxes[&format!("node/node-{other}")].rect;
                let inside =
                    |p: &protocol::Point| p.x > r.x + 1.0 && p.x < r.x + r.w - 1.0 && p.y > r.y + 1.0 && p.y < r.y + r.h - 1.0;
                assert!(!points(edge).iter().any(inside), "node-{i} over node-{other} at {}×{}", view.width, view.height);
            }
        }
    }
}
