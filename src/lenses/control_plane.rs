//! The Control plane lens: health and leadership. etcd's members with their logs, who holds which lease, how the nodes are; and what
//! works now, as it was tried in throwaway copies of the cluster.

use protocol::{Anchor, Layer, Point, Rect, Scene, SceneBox, SceneHead, SceneText, Shape, Span, State, Thing, View};

use crate::cloud;
use crate::grammar::{horizontal, part, vertical};
use crate::heat::heat_map;
use crate::observed::{CheckSeen, ComponentHealth, Fault, Health, LeaseSeen, MemberSeen, NodeHealth};
use crate::words::link_edge;

const MARGIN: f32 = 22.0;
const PLANE: f32 = 216.0;
const NODE: f32 = 142.0;
const SMALL_NODE: f32 = 66.0;
const GAP: f32 = 10.0;
/// Log entries drawn of each member.
const ENTRIES: u64 = 12;
/// Above that many nodes they are drawn smaller.
const LARGE_NODES: usize = 4;
const MIN_WIDTH: f32 = 820.0;
/// The cloud stands right of the control plane.
const CLOUD: f32 = 196.0;

/// Draws health and leadership.
pub fn control_plane(seen: &Health, view: &View) -> Scene {
    let mut scene = Scene::default();
    let besides = match (&seen.cloud, seen.members.len()) {
        (None, _) => 0.0,
        (Some(_), 0 | 1) => CLOUD + GAP,
        (Some(_), _) => CLOUD + GAP + 180.0,
    };
    let narrow = view.compact || view.width < MIN_WIDTH + besides;
    let width = view.width.max(320.0);
    let height = if narrow { tall(&mut scene, seen, width) } else { wide(&mut scene, seen, width) };
    scene.head = SceneHead {
        lens: protocol::Lens::ControlPlane,
        width,
        height,
        title: "Health and leadership of the control plane".into(),
        ..SceneHead::default()
    };
    scene
}

fn wide(scene: &mut Scene, seen: &Health, width: f32) -> f32 {
    let whole = width - 2.0 * MARGIN;
    let inner = whole - if seen.cloud.is_some() { CLOUD + 26.0 } else { 0.0 };
    let candidates = seen.candidates.len().max(2) as f32;
    let plane = if seen.candidates.len() > 2 { PLANE + 24.0 } else { PLANE };
    let frame = Rect::new(MARGIN, 14.0, inner, plane);
    plane_frame(scene, seen, frame);
    if let Some(rented) = &seen.cloud {
        // Below the buttons of the stage.
        let room = Rect { x: frame.x + whole - CLOUD, y: frame.y + 26.0, w: CLOUD, h: frame.h - 26.0 };
        cloud::frame(scene, rented, room, 1);
    }
    let share = if seen.members.len() > 1 { 0.44 } else { 0.28 };
    let etcd = Rect::new(frame.x + 18.0, frame.y + 34.0, inner * share - 18.0, plane - 46.0);
    members(scene, seen, etcd);
    let right_w = (inner * if candidates > 2.0 { 0.33 } else { 0.3 }).clamp(224.0, 320.0);
    let (between, high) = if candidates > 2.0 { (6.0, 68.0) } else { (12.0, 86.0) };
    let right =
        Rect::new(frame.x + inner - 16.0 - right_w, frame.y + 22.0 - if candidates > 2.0 { 8.0 } else { 0.0 }, right_w, high);
    let api_x = etcd.x + etcd.w + 44.0;
    let api = Rect::new(api_x, frame.y + 44.0, right.x - 44.0 - api_x, 118.0);
    scene.add_box(component(&seen.apiserver, api));
    for (i, c) in seen.candidates.iter().enumerate() {
        candidate(scene, c, Rect { y: right.y + i as f32 * (right.h + between), ..right });
    }
    let y = frame.y + frame.h + 30.0;
    let bottom = nodes(scene, seen, Rect::new(MARGIN, y, whole, 0.0));
    links(scene, seen, false);
    checks(scene, seen, Rect::new(MARGIN, bottom + 12.0, whole, 0.0), seen.checks.len().max(1))
}

fn tall(scene: &mut Scene, seen: &Health, width: f32) -> f32 {
    let margin = 10.0;
    let inner = width - 2.0 * margin;
    let columns = if inner >= 520.0 { 2.0 } else { 1.0 };
    let bottom = checks(scene, seen, Rect::new(margin, 6.0, inner, 0.0), if inner >= 520.0 { 3 } else { 2 });
    let mut y = bottom + GAP;
    let cards = 1.0 + seen.candidates.len() as f32;
    let card_rows = (cards / columns).ceil();
    let (members_h, card_h) = (172.0, 98.0);
    let frame = Rect::new(margin, y, inner, 34.0 + members_h + card_rows * (card_h + 8.0) + 6.0);
    plane_frame(scene, seen, frame);
    members(scene, seen, Rect::new(margin + 12.0, y + 34.0, inner - 24.0, members_h));
    let w = (inner - 24.0 - (columns - 1.0) * GAP) / columns;
    let place = |i: usize| {
        let (r, c) = ((i as f32 / columns).floor(), i as f32 % columns);
        Rect::new(margin + 12.0 + c * (w + GAP), y + 34.0 + members_h + r * (card_h + 8.0), w, card_h)
    };
    scene.add_box(component(&seen.apiserver, place(0)));
    for (i, c) in seen.candidates.iter().enumerate() {
        candidate(scene, c, place(i + 1));
    }
    y += frame.h + 24.0;
    if let Some(rented) = &seen.cloud {
        let columns = if inner >= 520.0 { 3 } else { 1 };
        let rect = Rect::new(margin, y - 16.0, inner, cloud::height(rented, columns).min(38.0 + 6.0 * 42.0));
        cloud::frame(scene, rented, rect, columns);
        y += rect.h - 6.0;
    }
    let bottom = nodes(scene, seen, Rect::new(margin, y, inner, 0.0));
    links(scene, seen, true);
    bottom + 12.0
}

fn plane_frame(scene: &mut Scene, seen: &Health, rect: Rect) {
    scene.add_box(SceneBox {
        id: "control-plane".into(),
        layer: Layer::Ground,
        shape: Shape::Group,
        rect,
        title: "control plane".into(),
        lines: vec![vec![Span::dim(seen.place.clone())]],
        opens: (!seen.machine.is_empty()).then(|| Thing::Machine { name: seen.machine.clone() }),
        aria: format!("Control plane on {}", seen.machine),
        ..SceneBox::default()
    });
}

/// etcd's members side by side; their logs end at the same right edge, so that one that lags is seen to.
fn members(scene: &mut Scene, seen: &Health, area: Rect) {
    let n = seen.members.len().max(1) as f32;
    let gap = 14.0;
    let each = (area.w - (n - 1.0) * gap) / n;
    let w = each.min(168.0);
    let newest = seen.members.iter().map(|m| m.last).max().unwrap_or(0);
    for (i, m) in seen.members.iter().enumerate() {
        let x = area.x + i as f32 * (each + gap) + (each - w) / 2.0;
        member(scene, m, newest, Rect::new(x, area.y + 10.0, w, 82.0));
    }
    scene.add_text(SceneText {
        id: "etcd/quorum".into(),
        // As far right as it must be to stay in its frame.
        at: Point::new(area.x + (area.w / 2.0).max(seen.quorum.chars().count() as f32 * 2.9), area.y + area.h - 11.0),
        anchor: Anchor::Middle,
        size: 11.0,
        spans: vec![Span::dim(seen.quorum.clone())],
        ..SceneText::default()
    });
}

fn member(scene: &mut Scene, m: &MemberSeen, newest: u64, rect: Rect) {
    scene.add_box(SceneBox {
        id: m.id.clone(),
        parent: Some("control-plane".into()),
        shape: Shape::Cylinder,
        rect,
        state: m.state,
        crown: m.leader,
        title: m.title.clone(),
        lines: vec![vec![mono(format!("{} · term {}", m.role, m.term))]],
        opens: Some(Thing::component(&m.id)),
        aria: format!(
            "etcd member {}: {}, term {}, log to {}, committed {}, applied {}, revision {}, {} kB",
            m.title,
            m.role,
            m.term,
            m.last,
            m.commit,
            m.applied,
            m.revision,
            m.db_size / 1024
        ),
        ..SceneBox::default()
    });
    let y = rect.y + rect.h + 10.0;
    let w = (rect.w + 2.0) / ENTRIES as f32;
    for i in 0..ENTRIES {
        let index = (newest + i + 1).saturating_sub(ENTRIES);
        let state = match index {
            _ if index == 0 || index > m.last => State::Idle,
            _ if index <= m.applied => State::Ok,
            _ if index <= m.commit => State::Writing,
            _ => State::Pending,
        };
        scene.add_box(SceneBox {
            id: format!("{}/entry/{i}", m.id),
            parent: Some(m.id.clone()),
            layer: Layer::Detail,
            shape: Shape::Entry,
            rect: Rect::new(rect.x + i as f32 * w, y, w - 2.0, 12.0),
            state,
            ..SceneBox::default()
        });
    }
    let words = match m.last {
        // It does not run: nobody can say what its log is.
        0 => ["its log is".to_string(), "on its disk".to_string()],
        _ if rect.w < 130.0 => [format!("log {}", m.last), format!("applied {}", m.applied)],
        _ => [format!("log {} · commit {}", m.last, m.commit), format!("applied {}", m.applied)],
    };
    for (i, text) in words.into_iter().enumerate() {
        scene.add_text(SceneText {
            id: format!("{}/log/{i}", m.id),
            at: Point::new(rect.x + rect.w / 2.0, y + 27.0 + i as f32 * 15.0),
            anchor: Anchor::Middle,
            size: 11.0,
            spans: vec![mono(text)],
            ..SceneText::default()
        });
    }
}

fn component(c: &ComponentHealth, rect: Rect) -> SceneBox {
    let flat = |line: &Vec<Span>| line.iter().map(|s| s.text.as_str()).collect::<String>();
    let words: Vec<String> = c.lines.iter().map(flat).collect();
    SceneBox {
        id: c.id.clone(),
        parent: Some("control-plane".into()),
        rect,
        state: c.state,
        glyph: c.glyph,
        crown: c.leader,
        title: c.title.clone(),
        lines: c.lines.clone(),
        opens: Some(Thing::component(&c.id)),
        aria: format!("{}: {}", c.title, words.join("; ")),
        ..SceneBox::default()
    }
}

fn candidate(scene: &mut Scene, c: &ComponentHealth, rect: Rect) {
    scene.add_box(component(c, rect));
    if let Some(lease) = &c.lease {
        let up = if rect.h < 80.0 { 23.0 } else { 28.0 };
        let bar = Rect::new(rect.x + 12.0, rect.y + rect.h - up, rect.w - 24.0, 18.0);
        let thing = Thing::object("coordination.k8s.io", "leases", "kube-system", &c.id);
        scene.add_box(bar_of(lease, &format!("{}/lease", c.id), &c.id, bar, thing));
    }
}

/// A lease runs out: the bar drains, and its words say how long ago it was renewed.
fn bar_of(lease: &LeaseSeen, id: &str, parent: &str, rect: Rect, opens: Thing) -> SceneBox {
    let left = lease.left();
    let age = lease.age.as_secs_f64().max(0.0);
    let age = if age < 10.0 { format!("{age:.1} s") } else { format!("{age:.0} s") };
    let total = lease.duration.as_secs();
    let (state, title) = match left {
        l if l <= 0.0 => (State::Failing, format!("expired: renewed {age} ago, lasts {total} s")),
        l if l < 0.34 => (State::Starting, format!("renewed {age} ago, lasts {total} s")),
        _ => (State::Ok, format!("renewed {age} ago, lasts {total} s")),
    };
    SceneBox {
        id: id.into(),
        parent: Some(parent.into()),
        layer: Layer::Detail,
        shape: Shape::Bar,
        rect,
        state,
        level: left,
        aria: format!("Lease of {}: {title}", lease.holder),
        title,
        opens: Some(opens),
        ..SceneBox::default()
    }
}

/// Where the nodes end.
fn nodes(scene: &mut Scene, seen: &Health, area: Rect) -> f32 {
    let n = seen.nodes.len();
    if !seen.cells.is_empty() {
        return heat_map(scene, &seen.cells, area);
    }
    if n == 0 {
        return area.y;
    }
    let large = n <= LARGE_NODES;
    let (least, h) = if large { (236.0, NODE) } else { (216.0, SMALL_NODE) };
    let columns = ((area.w + GAP) / (least + GAP)).floor().clamp(1.0, n as f32);
    let w = (area.w - (columns - 1.0) * GAP) / columns;
    for (i, node) in seen.nodes.iter().enumerate() {
        let (r, c) = ((i as f32 / columns).floor(), i as f32 % columns);
        node_box(scene, node, Rect::new(area.x + c * (w + GAP), area.y + r * (h + GAP), w, h), large);
    }
    area.y + (n as f32 / columns).ceil() * (h + GAP) - GAP
}

fn node_frame(node: &NodeHealth, rect: Rect, shape: Shape) -> SceneBox {
    let conditions: Vec<String> = node.conditions.iter().map(|(t, s, _)| format!("{t}={s}")).collect();
    SceneBox {
        id: format!("node/{}", node.name),
        layer: Layer::Ground,
        shape,
        rect,
        state: node.state,
        glyph: node.glyph,
        title: node.name.clone(),
        lines: vec![vec![Span::dim(node.note.clone())]],
        opens: Some(Thing::core("nodes", "", &node.name)),
        aria: format!("Node {}: {}; {}; {}", node.name, node.note, conditions.join(", "), node.facts.join(", ")),
        ..SceneBox::default()
    }
}

fn node_box(scene: &mut Scene, node: &NodeHealth, rect: Rect, large: bool) {
    let id = format!("node/{}", node.name);
    scene.add_box(node_frame(node, rect, Shape::Group));
    let bar_y = if large { rect.y + 92.0 } else { rect.y + 36.0 };
    if let Some(lease) = &node.lease {
        let bar = Rect::new(rect.x + 14.0, bar_y, rect.w - 28.0, 18.0);
        let thing = Thing::object("coordination.k8s.io", "leases", "kube-node-lease", &node.name);
        scene.add_box(bar_of(lease, &format!("{id}/lease"), &id, bar, thing));
    }
    if !large {
        return;
    }
    row(node.parts.len(), rect, 36.0, 24.0, |i, place| scene.add_box(part(&node.parts[i], &id, place)));
    row(node.conditions.len(), rect, 66.0, 20.0, |i, place| {
        let (kind, status, good) = &node.conditions[i];
        let short = kind.trim_end_matches("Pressure").trim_end_matches("Unavailable");
        scene.add_box(SceneBox {
            id: format!("{id}/condition/{kind}"),
            parent: Some(id.clone()),
            layer: Layer::Detail,
            shape: Shape::Tag,
            rect: place,
            state: match (good, status.as_str()) {
                (true, _) => State::Ok,
                (false, "Unknown") => State::Starting,
                _ => State::Failing,
            },
            title: if *good { short.to_string() } else { format!("{short} {status}") },
            opens: Some(Thing::core("nodes", "", &node.name)),
            aria: format!("Condition {kind} of {} is {status}", node.name),
            ..SceneBox::default()
        });
    });
    scene.add_text(SceneText {
        id: format!("{id}/facts"),
        at: Point::new(rect.x + 14.0, rect.y + 129.0),
        size: 11.0,
        spans: vec![Span::dim(fit(&node.facts.join(" · "), rect.w - 28.0))],
        ..SceneText::default()
    });
}

/// `n` places side by side in a node's box.
fn row(n: usize, rect: Rect, dy: f32, h: f32, mut put: impl FnMut(usize, Rect)) {
    let (gap, inner) = (6.0, rect.w - 28.0);
    let w = (inner - (n.max(1) as f32 - 1.0) * gap) / n.max(1) as f32;
    for i in 0..n {
        put(i, Rect::new(rect.x + 14.0 + i as f32 * (w + gap), rect.y + dy, w, h));
    }
}

/// About what fits into `room` px at 11 px; a text on its own isn't cut by the page.
fn fit(text: &str, room: f32) -> String {
    let most = (room / 6.0) as usize;
    match text.chars().count() > most {
        true => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_string(),
    }
}

/// The connections; where they would run behind other things, only those that somebody has done something to.
fn links(scene: &mut Scene, seen: &Health, only_faults: bool) {
    let count = seen.nodes.len().max(2) as f32 - 1.0;
    for link in seen.links.iter().filter(|l| !only_faults || l.fault != Fault::None) {
        let (Some(from), Some(to)) = (scene.boxes.get(&link.from), scene.boxes.get(&link.to)) else { continue };
        let (a, b) = (from.rect, to.rect);
        let nth = seen.nodes.iter().position(|n| link.from.ends_with(&format!("/{}", n.name)));
        let (start, path) = match nth {
            _ if link.from.starts_with("etcd/") && link.to.starts_with("etcd/") => peers(a, b),
            // From a node up.
            Some(i) if link.from.starts_with("kubelet/") => {
                let top = scene.boxes.get(&format!("node/{}", seen.nodes[i].name)).map_or(a.y, |n| n.rect.y);
                let spread = b.x + 24.0 + (b.w - 48.0) * (i as f32 / count).min(1.0);
                let (start, end) = (Point::new(a.x + a.w / 2.0, top), Point::new(spread, b.y + b.h + 3.0));
                match scene.boxes.get("control-plane").filter(|_| seen.candidates.len() > 2) {
                    // Below the lowest candidate.
                    Some(plane) => {
                        let low = plane.rect.y + plane.rect.h + 10.0;
                        (start, vec![protocol::Segment::Cubic(Point::new(start.x, low), Point::new(end.x, low), end)])
                    }
                    None => (start, vertical(start, end)),
                }
            }
            _ if link.to == "cloud" => {
                let y = a.centre().y;
                (Point::new(a.x + a.w, y), horizontal(Point::new(a.x + a.w, y), Point::new(b.x - 2.0, y)))
            }
            _ if a.x > b.x + b.w => {
                let lower = a.centre().y > b.centre().y + 20.0;
                let y = match seen.candidates.iter().position(|c| c.id == link.from) {
                    Some(i) if seen.candidates.len() > 2 => b.y + b.h * (0.25 + 0.25 * i as f32),
                    _ if lower => b.y + b.h * 0.72,
                    _ => b.y + b.h * 0.3,
                };
                let (start, end) = (Point::new(a.x, a.centre().y), Point::new(b.x + b.w + 2.0, y));
                match link.from == "kube-apiserver" {
                    true => {
                        let (start, end) = (Point::new(a.x, a.y + a.h * 0.4), Point::new(b.x + b.w + 2.0, b.y + b.h * 0.5));
                        (start, horizontal(start, end))
                    }
                    false => (start, horizontal(start, end)),
                }
            }
            _ if b.y > a.y + a.h || a.y > b.y + b.h => {
                let down = b.y > a.y;
                let (from, to) = if down { (a.y + a.h, b.y - 2.0) } else { (a.y, b.y + b.h + 2.0) };
                let (start, end) = (Point::new(a.centre().x, from), Point::new(b.centre().x, to));
                (start, vertical(start, end))
            }
            _ => {
                let (start, end) = (Point::new(a.x + a.w, a.centre().y), Point::new(b.x - 2.0, b.centre().y));
                (start, horizontal(start, end))
            }
        };
        link_edge(scene, &seen.traffic, link, start, path, false);
    }
}

/// Between members: from lid to lid, above whoever stands between.
fn peers(a: Rect, b: Rect) -> (Point, Vec<protocol::Segment>) {
    let right = b.x > a.x;
    let (from, to) = if right { (0.74, 0.26) } else { (0.26, 0.74) };
    let (start, end) = (Point::new(a.x + a.w * from, a.y + 3.0), Point::new(b.x + b.w * to, b.y + 1.0));
    let high = start.y - 8.0 - 0.05 * (end.x - start.x).abs();
    (start, vec![protocol::Segment::Cubic(Point::new(start.x, high), Point::new(end.x, high), end)])
}

/// The card: one tile for each question. Returns where it ends.
fn checks(scene: &mut Scene, seen: &Health, area: Rect, columns: usize) -> f32 {
    let (gap, h) = (8.0, 48.0);
    let rows = seen.checks.len().div_ceil(columns.max(1)) as f32;
    let frame = Rect::new(area.x, area.y, area.w, 34.0 + rows * (h + gap) + 2.0);
    scene.add_box(SceneBox {
        id: "checks".into(),
        layer: Layer::Ground,
        shape: Shape::Group,
        rect: frame,
        title: "what works now".into(),
        lines: vec![vec![Span::dim(seen.checks_note.clone())]],
        opens: Some(Thing::Check { name: "all".into() }),
        aria: format!("What works now: {}", seen.checks_note),
        ..SceneBox::default()
    });
    let w = (area.w - 20.0 - (columns as f32 - 1.0) * gap) / columns as f32;
    for (i, check) in seen.checks.iter().enumerate() {
        let (r, c) = ((i / columns) as f32, (i % columns) as f32);
        let rect = Rect::new(area.x + 10.0 + c * (w + gap), area.y + 34.0 + r * (h + gap), w, h);
        scene.add_box(tile(check, rect));
    }
    frame.y + frame.h + 4.0
}

fn tile(check: &CheckSeen, rect: Rect) -> SceneBox {
    SceneBox {
        id: format!("check/{}", check.name),
        parent: Some("checks".into()),
        rect,
        state: check.state,
        glyph: check.glyph,
        title: check.title.clone(),
        lines: vec![vec![Span::dim(check.line.clone())]],
        opens: check.opens.clone(),
        aria: format!("{}: {}", check.title, check.line),
        ..SceneBox::default()
    }
}

fn mono(text: impl Into<String>) -> Span {
    Span { mono: true, ..Span::dim(text) }
}

/// A link without anything on it, for tests.
#[cfg(test)]
pub(crate) fn between(from: &str, to: &str) -> crate::Link {
    let none = crate::Link::default();
    crate::Link { from: from.into(), to: to.into(), ..none }
}
