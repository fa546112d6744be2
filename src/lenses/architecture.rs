//! The Architecture lens: the control plane with kube-apiserver in its middle, nodes below, the user outside.

use protocol::{Layer, Point, Rect, Scene, SceneBox, SceneHead, Shape, Span, State, Thing, View};

use crate::cloud;
use crate::ghosts;
use crate::grammar::{component, connection, horizontal, part, pill, pod, strip, vertical};
use crate::heat::heat_map;
use crate::observed::{NodeSeen, Observed};

const MARGIN: f32 = 22.0;
const GAP: f32 = 8.0;
/// Where the control plane begins: the laptop is left of it.
const LEFT: f32 = 128.0;
const CONTROL_PLANE_HEIGHT: f32 = 236.0;
const POD_HEIGHT: f32 = 34.0;
const POD_GAP: f32 = 10.0;
/// Where there are many pods, each has one line.
const LOW_POD: (f32, f32) = (22.0, 6.0);
const NODE_HEAD: f32 = 74.0;
/// A digit of the revisions below etcd.
const DIGIT: f32 = 7.2;

/// Draws the cluster for a wide viewport.
pub fn architecture(seen: &Observed, view: &View) -> Scene {
    let mut scene = Scene::default();
    let width = view.width.max(760.0);
    let right = width - MARGIN;
    control_plane(&mut scene, seen, right);
    rented(&mut scene, seen);
    laptop(&mut scene, seen);
    let top = MARGIN + CONTROL_PLANE_HEIGHT + 64.0;
    let room = view.height - top - MARGIN;
    let bottom = match seen.cells.is_empty() {
        true => nodes(&mut scene, seen, top, right, room),
        false => heat_map(&mut scene, &seen.cells, Rect::new(LEFT, top, right - LEFT, 0.0)),
    };
    let pending_bottom = pending(&mut scene, seen, top);
    let pending_bottom = wanted(&mut scene, seen, pending_bottom);
    scene.head = SceneHead {
        lens: protocol::Lens::Architecture,
        width,
        height: (bottom.max(pending_bottom) + MARGIN).max(view.height.min(bottom + 60.0)),
        title: "The cluster: control plane, nodes and their pods".into(),
        ..SceneHead::default()
    };
    scene
}

fn laptop(scene: &mut Scene, seen: &Observed) {
    let rect = Rect::new(MARGIN, 126.0, 80.0, 60.0);
    scene.add_box(SceneBox {
        id: "laptop".into(),
        shape: Shape::Laptop,
        rect,
        title: "you · kubectl".into(),
        opens: Some(Thing::component("laptop")),
        aria: "Your laptop, with kubectl".into(),
        ..SceneBox::default()
    });
    let api = scene.boxes["kube-apiserver"].rect;
    let etcd = scene.boxes["etcd"].rect;
    let start = Point::new(rect.x + rect.w, rect.y + 34.0);
    let end = Point::new(api.x - 2.0, api.y + api.h - 26.0);
    // Below etcd and its log, so that the line crosses nothing: cloud-controller-manager is lower.
    let low = etcd.y + etcd.h + if seen.cloud_controllers.is_some() { 40.0 } else { 56.0 };
    let path = vec![
        protocol::Segment::Cubic(
            Point::new(start.x + 34.0, start.y),
            Point::new(start.x + if seen.cloud_controllers.is_some() { 14.0 } else { 36.0 }, low),
            Point::new(etcd.x + etcd.w * 0.6, low),
        ),
        protocol::Segment::Cubic(Point::new(end.x - 60.0, low), Point::new(end.x - 40.0, end.y + 4.0), end),
    ];
    connection(scene, &seen.traffic, "laptop", "kube-apiserver", start, path);
}

fn control_plane(scene: &mut Scene, seen: &Observed, right: f32) {
    let frame = Rect::new(LEFT, MARGIN, right - LEFT, CONTROL_PLANE_HEIGHT);
    scene.add_box(SceneBox {
        id: "control-plane".into(),
        layer: Layer::Ground,
        shape: Shape::Group,
        rect: frame,
        title: "control plane".into(),
        lines: vec![vec![Span::dim(seen.control_plane_note.clone())]],
        opens: (!seen.control_plane.is_empty()).then(|| Thing::Machine { name: seen.control_plane.clone() }),
        aria: format!("Control plane on {}", seen.control_plane),
        ..SceneBox::default()
    });
    // Three columns: etcd, kube-apiserver, the controllers.
    let inner = frame.w;
    let etcd = Rect::new(frame.x + inner * 0.05, MARGIN + 46.0, (inner * 0.16).clamp(118.0, 150.0), 88.0);
    let api_w = (inner * 0.25).clamp(200.0, 300.0);
    let api = Rect::new(frame.x + inner * 0.285, MARGIN + 60.0, api_w, 134.0);
    let right_x = api.x + api.w + (inner * 0.05).max(34.0);
    let right_w = frame.x + frame.w - 16.0 - right_x;
    let scheduler = Rect::new(right_x, MARGIN + 38.0, right_w, 76.0);
    let controllers = Rect::new(right_x, MARGIN + 126.0, right_w, 96.0);

    let mut b = component(&seen.etcd, "etcd", etcd);
    (b.shape, b.parent) = (Shape::Cylinder, Some("control-plane".into()));
    scene.add_box(b);
    revisions(scene, seen, etcd);

    let mut b = component(&seen.apiserver, "kube-apiserver", api);
    b.parent = Some("control-plane".into());
    // The last line is below the strip of stages.
    let last = if b.lines.len() > 1 { b.lines.pop() } else { None };
    scene.add_box(b);
    stages(scene, seen, api, last);

    for (c, title, rect) in
        [(&seen.scheduler, "kube-scheduler", scheduler), (&seen.controllers, "kube-controller-manager", controllers)]
    {
        let Some(c) = c else { continue };
        let mut b = component(c, title, rect);
        b.parent = Some("control-plane".into());
        scene.add_box(b);
        let y = rect.y + rect.h - 36.0;
        chips(scene, c, rect, y);
        let start = Point::new(rect.x, rect.y + rect.h * 0.45);
        let end = Point::new(api.x + api.w + 2.0, if title == "kube-scheduler" { api.y + 36.0 } else { api.y + 92.0 });
        connection(scene, &seen.traffic, &c.id, "kube-apiserver", start, horizontal(start, end));
    }
    let start = Point::new(api.x, api.y + 40.0);
    let end = Point::new(etcd.x + etcd.w + 2.0, etcd.y + 34.0);
    connection(scene, &seen.traffic, "kube-apiserver", "etcd", start, horizontal(start, end));
}

/// The cloud below the laptop, outside; its controller beside it, in the control plane's lower left corner.
fn rented(scene: &mut Scene, seen: &Observed) {
    let api = scene.boxes["kube-apiserver"].rect;
    let controller =
        Rect::new(LEFT + 14.0, MARGIN + CONTROL_PLANE_HEIGHT - 52.0, (api.x - LEFT - 50.0).clamp(118.0, 206.0), 46.0);
    if let Some(c) = &seen.cloud_controllers {
        let mut b = component(c, cloud::CONTROLLER, controller);
        b.parent = Some("control-plane".into());
        scene.add_box(b);
        let start = Point::new(controller.x + controller.w, controller.centre().y);
        let end = Point::new(api.x - 2.0, api.y + api.h - 10.0);
        connection(scene, &seen.traffic, cloud::CONTROLLER, "kube-apiserver", start, horizontal(start, end));
    }
    let Some(rented) = &seen.cloud else { return };
    let rect = Rect::new(4.0, MARGIN + CONTROL_PLANE_HEIGHT - 44.0, LEFT - 14.0, 66.0);
    scene.add_box(cloud::card(rented, rect, rented.counts().map(|line| vec![Span::dim(line)]).into()));
    if seen.cloud_controllers.is_some() {
        let (start, end) =
            (Point::new(controller.x, controller.centre().y), Point::new(rect.x + rect.w + 2.0, controller.centre().y));
        connection(scene, &seen.traffic, cloud::CONTROLLER, "cloud", start, horizontal(start, end));
    }
}

fn revisions(scene: &mut Scene, seen: &Observed, etcd: Rect) {
    let n = seen.revisions.len().max(1) as f32;
    let w = ((etcd.w + 20.0) / n - 3.0).min(46.0);
    let x0 = etcd.x + etcd.w / 2.0 - (w + 3.0) * n / 2.0;
    for (i, r) in seen.revisions.iter().enumerate() {
        scene.add_box(SceneBox {
            // By place, not by number: the log scrolls through the cells.
            id: format!("etcd/log/{i}"),
            parent: Some("etcd".into()),
            layer: Layer::Detail,
            shape: Shape::Cell,
            rect: Rect::new(x0 + i as f32 * (w + 3.0), etcd.y + etcd.h + 12.0, w, 20.0),
            state: if r.newest { State::Writing } else { State::Idle },
            title: last_digits(r.revision, (w / DIGIT) as usize),
            opens: Some(Thing::Revision { revision: r.revision as u64 }),
            aria: format!("etcd revision {}", r.revision),
            ..SceneBox::default()
        });
    }
}

/// A number in a cell that holds so many digits: of neighbours the last ones differ.
fn last_digits(number: i64, fit: usize) -> String {
    let digits = number.to_string();
    let cut = digits.len().saturating_sub(fit.max(2) - 1);
    if digits.len() <= fit { digits } else { format!("…{}", &digits[cut..]) }
}

fn stages(scene: &mut Scene, seen: &Observed, api: Rect, last: Option<Vec<Span>>) {
    let names = seen.stages.iter().map(|(name, _)| name.as_str());
    for ((name, active), (x, w)) in seen.stages.iter().zip(strip(names, api.x + 12.0, api.w - 24.0, 3.0)) {
        scene.add_box(SceneBox {
            id: format!("kube-apiserver/{name}"),
            parent: Some("kube-apiserver".into()),
            layer: Layer::Detail,
            shape: Shape::Stage,
            rect: Rect::new(x, api.y + 66.0, w, 20.0),
            state: if *active { State::Writing } else { State::Idle },
            title: name.clone(),
            aria: format!("Stage {name} of kube-apiserver"),
            ..SceneBox::default()
        });
    }
    if let Some(spans) = last {
        scene.add_text(protocol::SceneText {
            id: "kube-apiserver/last".into(),
            at: Point::new(api.x + 14.0, api.y + 110.0),
            size: 11.0,
            spans,
            ..protocol::SceneText::default()
        });
    }
}

fn chips(scene: &mut Scene, c: &crate::observed::Component, rect: Rect, y: f32) {
    let mut x = rect.x + 14.0;
    let end = rect.x + rect.w - 12.0;
    for (i, chip) in c.chips.iter().enumerate() {
        let w = chip.title.chars().count() as f32 * 6.4 + 24.0;
        let left = c.chips.len() - i;
        let reserve = if left > 1 { 50.0 } else { 0.0 };
        if x + w > end - reserve {
            let more = crate::Chip {
                id: format!("{}/more", c.id),
                title: format!("+{left}"),
                active: false,
                opens: Some(Thing::component(&c.id)),
            };
            scene.add_box(pill(&more, &c.id, Rect::new(x, y, 42.0, 24.0)));
            break;
        }
        scene.add_box(pill(chip, &c.id, Rect::new(x, y, w, 24.0)));
        x += w + 6.0;
    }
}

/// What a lab's goal still lacks: its pods wait below those that have no node yet, other kinds lie in a tray.
fn wanted(scene: &mut Scene, seen: &Observed, top: f32) -> f32 {
    let left = ghosts::ring(scene, &seen.ghosts);
    let (pods, others) = ghosts::of_kinds(left, &["Pod"]);
    let y = ghosts::column(scene, &pods, Rect::new(4.0, top, LEFT - 14.0, POD_HEIGHT), None);
    ghosts::tray(scene, &others, Rect::new(2.0, y, LEFT - 10.0, 0.0))
}

/// Pods without a node wait left of the nodes.
fn pending(scene: &mut Scene, seen: &Observed, top: f32) -> f32 {
    let mut y = top;
    for p in seen.pending.iter().take(6) {
        scene.add_box(pod(p, None, Rect::new(4.0, y, LEFT - 14.0, POD_HEIGHT)));
        y += POD_HEIGHT + POD_GAP;
    }
    let more = seen.pending.len().saturating_sub(6) + seen.more_pending as usize;
    if more > 0 {
        scene.add_text(protocol::SceneText {
            id: "pending/more".into(),
            at: Point::new(8.0, y + 12.0),
            size: 11.0,
            spans: vec![Span::dim(format!("+{more} pending"))],
            ..protocol::SceneText::default()
        });
        y += 20.0;
    }
    y
}

fn nodes(scene: &mut Scene, seen: &Observed, top: f32, right: f32, room: f32) -> f32 {
    let wanted = ghosts::machines(seen);
    let n = seen.nodes.len() + wanted.len();
    if n == 0 {
        return top;
    }
    let full = right - LEFT;
    let columns = ((full + GAP) / (236.0 + GAP)).floor().max(1.0).min(n as f32);
    let rows = (n as f32 / columns).ceil();
    let w = (full - (columns - 1.0) * GAP) / columns;
    let h = ((room - (rows - 1.0) * GAP) / rows)
        .clamp(NODE_HEAD + 2.0 * (POD_HEIGHT + POD_GAP), NODE_HEAD + 5.0 * (POD_HEIGHT + POD_GAP) + 6.0);
    let place = |i: usize| {
        let (row, column) = ((i as f32 / columns).floor(), i as f32 % columns);
        Rect::new(LEFT + column * (w + GAP), top + row * (h + GAP), w, h)
    };
    for (i, node) in seen.nodes.iter().enumerate() {
        node_box(scene, node, place(i));
        node_edges(scene, seen, node, place(i), top, i, n);
    }
    for (i, ghost) in wanted.into_iter().enumerate() {
        scene.add_box(ghosts::outline(ghost, place(seen.nodes.len() + i)));
    }
    place(n - 1).y + h
}

fn node_edges(scene: &mut Scene, seen: &Observed, node: &NodeSeen, rect: Rect, top: f32, i: usize, n: usize) {
    // A blank machine has no connection to anybody.
    if node.state == State::Pending {
        return;
    }
    let api = scene.boxes["kube-apiserver"].rect;
    let kubelet = format!("kubelet/{}", node.name);
    let Some(pill) = scene.boxes.get(&kubelet).map(|b| b.rect) else { return };
    let start = Point::new(pill.x + pill.w / 2.0, rect.y);
    let spread = api.w - 60.0;
    let at = if n > 1 { i as f32 / (n - 1) as f32 } else { 0.5 };
    let end = Point::new(api.x + 30.0 + spread * at, api.y + api.h + 3.0);
    if rect.y <= top {
        return connection(scene, &seen.traffic, &kubelet, "kube-apiserver", start, vertical(start, end));
    }
    // From a row below: up beside the column, so that it crosses no other node.
    let (start, up) = (Point::new(rect.x, rect.y + 20.0), Point::new(rect.x - GAP / 2.0, top - 6.0));
    let mut path = vec![protocol::Segment::Line(Point::new(up.x, start.y)), protocol::Segment::Line(up)];
    path.extend(vertical(up, end));
    connection(scene, &seen.traffic, &kubelet, "kube-apiserver", start, path);
}

fn node_box(scene: &mut Scene, node: &NodeSeen, rect: Rect) {
    let id = format!("node/{}", node.name);
    scene.add_box(SceneBox {
        id: id.clone(),
        layer: Layer::Ground,
        shape: Shape::Group,
        rect,
        state: node.state,
        glyph: node.glyph,
        title: node.name.clone(),
        lines: vec![vec![Span::dim(node.note.clone())]],
        opens: Some(Thing::core("nodes", "", &node.name)),
        aria: format!("Node {}: {}; {} pods", node.name, node.note, node.total_pods),
        ..SceneBox::default()
    });
    let gap = 6.0;
    let inner = rect.w - 28.0;
    let count = node.parts.len().max(1) as f32;
    let w = (inner - (count - 1.0) * gap) / count;
    for (i, p) in node.parts.iter().enumerate() {
        scene.add_box(part(p, &id, Rect::new(rect.x + 14.0 + i as f32 * (w + gap), rect.y + 38.0, w, 24.0)));
    }
    let columns = if inner >= 236.0 { 2 } else { 1 };
    let pod_w = (inner - (columns as f32 - 1.0) * POD_GAP) / columns as f32;
    let places_of = |(h, gap): (f32, f32)| ((rect.h - NODE_HEAD) / (h + gap)).floor().max(1.0) as usize * columns;
    let wanted = node.pods.len() + node.more_pods as usize + usize::from(node.hidden_pods > 0);
    let tall = (POD_HEIGHT, POD_GAP);
    let (pod_h, pod_gap) = if wanted > places_of(tall) { LOW_POD } else { tall };
    let places = places_of((pod_h, pod_gap));
    let total = node.pods.len() + (node.hidden_pods + node.more_pods) as usize;
    let shown = if total > places || node.hidden_pods + node.more_pods > 0 {
        places.saturating_sub(1).min(node.pods.len())
    } else {
        node.pods.len()
    };
    let place = |i: usize| {
        let (r, c) = ((i / columns) as f32, (i % columns) as f32);
        Rect::new(rect.x + 14.0 + c * (pod_w + POD_GAP), rect.y + NODE_HEAD + r * (pod_h + pod_gap), pod_w, pod_h)
    };
    for (i, p) in node.pods.iter().take(shown).enumerate() {
        scene.add_box(pod(p, Some(&id), place(i)));
    }
    let more = total - shown;
    if more > 0 {
        let at = place(shown);
        scene.add_text(protocol::SceneText {
            id: format!("{id}/more"),
            at: Point::new(at.x + 12.0, at.y + pod_h / 2.0 + 4.0),
            size: 11.0,
            spans: vec![Span::dim(format!(
                "+{more} {}",
                if node.hidden_pods as usize == more { "system pods" } else { "more pods" }
            ))],
            opens: Some(Thing::core("nodes", "", &node.name)),
            ..protocol::SceneText::default()
        });
    }
    for i in shown + usize::from(more > 0)..places.min(4) {
        scene.add_box(SceneBox {
            id: format!("{id}/slot/{i}"),
            parent: Some(id.clone()),
            shape: Shape::Slot,
            rect: place(i),
            ..SceneBox::default()
        });
    }
}
