//! The Architecture lens for narrow viewports: components as cards in two columns, nodes as rows, fewer words.

use protocol::{Layer, Point, Rect, Scene, SceneBox, SceneHead, Segment, Shape, Span, State, Thing, View};

use crate::cloud;
use crate::ghosts;
use crate::grammar::{component, connection, horizontal, pod};
use crate::observed::Observed;

const MARGIN: f32 = 10.0;
const GAP: f32 = 8.0;

pub(crate) fn architecture(seen: &Observed, view: &View) -> Scene {
    let mut scene = Scene::default();
    let width = view.width.max(320.0);
    let inner = width - 2.0 * MARGIN;
    // kube-apiserver in the middle of a row of four; narrow: two rows.
    let four = inner >= 520.0;
    let columns = if four { 4.0 } else { 2.0 };
    let w = (inner - (columns - 1.0) * GAP) / columns;
    let h = 54.0;
    let place = |i: usize| {
        let (r, c) = ((i as f32 / columns).floor(), i as f32 % columns);
        Rect::new(MARGIN + c * (w + GAP), MARGIN + r * (h + 26.0), w, h)
    };
    let order: Vec<(&crate::Component, &str)> = [Some((&seen.apiserver, "kube-apiserver")), Some((&seen.etcd, "etcd"))]
        .into_iter()
        .chain([seen.scheduler.as_ref().map(|c| (c, "scheduler")), seen.controllers.as_ref().map(|c| (c, "controllers"))])
        .chain([seen.cloud_controllers.as_ref().map(|c| (c, "cloud controllers"))])
        .flatten()
        .collect();
    for (i, (c, title)) in order.iter().enumerate() {
        let mut b = component(c, title, place(i));
        b.lines.truncate(1);
        scene.add_box(b);
    }
    let api = place(0);
    for (c, _) in order.iter().skip(1) {
        let other = scene.boxes[&c.id].rect;
        if c.id == "etcd" {
            let (start, end) = (Point::new(api.x + api.w, api.centre().y), Point::new(other.x - 2.0, other.centre().y));
            connection(&mut scene, &seen.traffic, "kube-apiserver", "etcd", start, vec![Segment::Line(end)]);
            continue;
        }
        let (start, path) = to_api(other, api, if c.id == "kube-scheduler" { 0.0 } else { 1.0 });
        connection(&mut scene, &seen.traffic, &c.id, "kube-apiserver", start, path);
    }
    if let Some(rented) = &seen.cloud {
        let rect = place(order.len());
        scene.add_box(cloud::card(rented, rect, vec![vec![Span::dim(rented.counts().join(" · "))]]));
        if let Some(b) = scene.boxes.get(cloud::CONTROLLER).map(|b| b.rect) {
            let (start, end) = (Point::new(b.x + b.w, b.centre().y), Point::new(rect.x - 2.0, rect.centre().y));
            connection(&mut scene, &seen.traffic, cloud::CONTROLLER, "cloud", start, horizontal(start, end));
        }
    }
    let rows = ((order.len() + usize::from(seen.cloud.is_some())) as f32 / columns).ceil();
    let mut y = MARGIN + rows * (h + 26.0) - 4.0;
    if !seen.cells.is_empty() {
        y = crate::heat::heat_map(&mut scene, &seen.cells, Rect::new(MARGIN, y, inner, 0.0));
    }
    for node in &seen.nodes {
        let id = format!("node/{}", node.name);
        let pod_w = if inner >= 420.0 { (inner - 28.0 - 2.0 * GAP) / 3.0 } else { (inner - 24.0 - GAP) / 2.0 };
        let per_row = if inner >= 420.0 { 3 } else { 2 };
        let shown = node.pods.len().min(if four { 6 } else { 8 });
        let pod_rows = shown.div_ceil(per_row) as f32;
        let rect = Rect::new(MARGIN, y, inner, 38.0 + pod_rows * 34.0 + if shown > 0 { 4.0 } else { 0.0 });
        let hidden = node.pods.len() - shown + (node.hidden_pods + node.more_pods) as usize;
        let note = if hidden > 0 { format!("{} · +{hidden} more", node.note) } else { node.note.clone() };
        scene.add_box(SceneBox {
            id: id.clone(),
            layer: Layer::Ground,
            shape: Shape::Group,
            rect,
            state: node.state,
            glyph: node.glyph,
            title: node.name.clone(),
            lines: vec![vec![Span::dim(note)]],
            opens: Some(Thing::core("nodes", "", &node.name)),
            aria: format!("Node {}: {}; {} pods", node.name, node.note, node.total_pods),
            ..SceneBox::default()
        });
        for (i, p) in node.pods.iter().take(shown).enumerate() {
            let (r, c) = ((i / per_row) as f32, (i % per_row) as f32);
            scene.add_box(pod(p, Some(&id), Rect::new(rect.x + 12.0 + c * (pod_w + GAP), y + 38.0 + r * 34.0, pod_w, 28.0)));
        }
        // A blank machine has no connection to anybody.
        if node.state != State::Pending {
            let kubelet = format!("kubelet/{}", node.name);
            let (start, path) = along_the_margin(rect, api);
            connection(&mut scene, &seen.traffic, &kubelet, "kube-apiserver", start, path);
        }
        y += rect.h + GAP;
    }
    for ghost in ghosts::machines(seen) {
        scene.add_box(ghosts::outline(ghost, Rect::new(MARGIN, y, inner, 38.0)));
        y += 38.0 + GAP;
    }
    for p in seen.pending.iter().take(4) {
        scene.add_box(pod(p, None, Rect::new(MARGIN, y, inner / 2.0, 28.0)));
        y += 34.0;
    }
    let left = ghosts::ring(&mut scene, &seen.ghosts);
    let (pods, others) = ghosts::of_kinds(left, &["Pod"]);
    y = ghosts::column(&mut scene, &pods, Rect::new(MARGIN, y, inner / 2.0, 0.0), None);
    y = ghosts::tray(&mut scene, &others, Rect::new(MARGIN, y, inner / 2.0, 0.0));
    scene.head = SceneHead {
        lens: protocol::Lens::Architecture,
        width,
        height: y + MARGIN,
        title: "The cluster: control plane, nodes and their pods".into(),
        ..SceneHead::default()
    };
    scene
}

/// From a card to kube-apiserver, the first of them, without a way behind another card; the `nth` of those that go below the first row.
fn to_api(card: Rect, api: Rect, nth: f32) -> (Point, Vec<Segment>) {
    let low = api.y + api.h;
    if card.y > low + api.h {
        return along_the_margin(card, api);
    }
    let x = card.centre().x;
    let start = Point::new(x, if card.y > low { card.y } else { card.y + card.h });
    if (card.x - api.x).abs() < 1.0 {
        return (start, vec![Segment::Line(Point::new(x, low + 2.0))]);
    }
    let (end, between) = (api.x + api.w * (0.9 - 0.15 * nth), low + 9.0 + 7.0 * nth);
    let path = [(x, between), (end, between), (end, low + 2.0)];
    (start, path.map(|(x, y)| Segment::Line(Point::new(x, y))).into())
}

/// From far below: out to the margin, and up.
fn along_the_margin(from: Rect, api: Rect) -> (Point, Vec<Segment>) {
    let (margin, start) = (MARGIN / 2.0, Point::new(from.x, from.y + 19.0));
    let path = [(margin, start.y), (margin, api.centre().y), (api.x - 1.0, api.centre().y)];
    (start, path.map(|(x, y)| Segment::Line(Point::new(x, y))).into())
}
