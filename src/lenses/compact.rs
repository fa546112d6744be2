//! The Architecture lens for narrow viewports: components as cards in two columns, nodes as rows, fewer words.

use protocol::{Layer, Point, Rect, Scene, SceneBox, SceneHead, Shape, Span, Thing, View};

use crate::ghosts;
use crate::grammar::{component, connection, pod, vertical};
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
        let (from, to) = if c.id == "etcd" { ("kube-apiserver", "etcd") } else { (c.id.as_str(), "kube-apiserver") };
        let (a, b) = (api.centre(), other.centre());
        let (start, end) = if from == "kube-apiserver" { (a, b) } else { (b, a) };
        connection(&mut scene, &seen.traffic, from, to, start, vec![protocol::Segment::Line(end)]);
    }
    let rows = (order.len() as f32 / columns).ceil();
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
        let note = if hidden > 0 { format!("{} · +{hidden}", node.note) } else { node.note.clone() };
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
        let kubelet = format!("kubelet/{}", node.name);
        let start = Point::new(rect.x + rect.w - 24.0, rect.y);
        let end = Point::new(api.x + api.w * 0.7, api.y + api.h + 2.0);
        connection(&mut scene, &seen.traffic, &kubelet, "kube-apiserver", start, vertical(start, end));
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
