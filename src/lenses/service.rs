//! The Service network lens: from a client to the name, the virtual address, the rule that a node's kube-proxy has written, and the
//! endpoint that it chose; with the labels by which a pod belongs to the Service. Below, the last request step by step.

use protocol::{Glyph, Layer, Point, Rect, Scene, SceneBox, SceneEdge, SceneHead, Shape, Span, State, Thing, View};

use crate::ghosts;
use crate::grammar::{horizontal, pod, vertical};
use crate::observed::{EndpointSeen, HopSeen, Place, ServiceSeen};
use crate::words::{caption, wrap};

/// The page's list of Services is above.
const TOP: f32 = 54.0;
const ROW: f32 = 60.0;
const PLACE: f32 = 36.0;
const MIN_WIDTH: f32 = 860.0;
const NO_SERVICE: &str = "There is no Service yet. Apply one, or run `kubectl expose deployment web --port=80`.";
/// Kinds whose pods a Service leads to.
const WORKLOADS: [&str; 8] =
    ["Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job", "CronJob"];

/// Draws a Service; without one it says how to get one.
pub fn service_network(seen: &ServiceSeen, view: &View) -> Scene {
    let mut scene = Scene::default();
    let width = view.width.max(320.0);
    let height = match &seen.service {
        None if !seen.ghosts.is_empty() => without_service(&mut scene, seen, width).max(view.height),
        None => view.height,
        Some(_) if view.compact || view.width < MIN_WIDTH => tall(&mut scene, seen, width),
        Some(_) => wide(&mut scene, seen, width, view.height),
    };
    scene.head = SceneHead {
        lens: protocol::Lens::ServiceNetwork,
        width,
        height,
        title: seen.title.clone(),
        choices: seen.choices.clone(),
        choose: "Service".into(),
        empty: scene.boxes.is_empty().then(|| NO_SERVICE.into()),
        ..SceneHead::default()
    };
    scene
}

fn wide(scene: &mut Scene, seen: &ServiceSeen, width: f32, room: f32) -> f32 {
    let inner = width - 44.0;
    let (client_w, vip_w) = ((inner * 0.16).clamp(132.0, 176.0), (inner * 0.165).clamp(146.0, 190.0));
    let (rule_w, end_w) = ((inner * 0.19).clamp(176.0, 216.0), (inner * 0.215).clamp(196.0, 250.0));
    let gap = (inner - client_w - vip_w - rule_w - end_w) / 3.0;
    let x = [22.0, 22.0 + client_w + gap, 22.0 + client_w + vip_w + 2.0 * gap, width - 22.0 - end_w];
    // The name stands above the way from the client to the address.
    let name = Rect::new(x[0] + client_w * 0.62, TOP + 18.0, x[1] + vip_w - x[0] - client_w * 0.62, 44.0);
    caption(scene, "name", Point::new(name.x + 2.0, TOP + 8.0), "the name, and who answers for it");
    let low = name_boxes(scene, seen, name) + 34.0;
    caption(scene, "client", Point::new(x[0] + 2.0, low - 8.0), "clients");
    caption(scene, "address", Point::new(x[1] + 2.0, low - 8.0), "virtual address");
    let clients = places(scene, &seen.clients, Rect::new(x[0], low, client_w, PLACE));
    let addresses = places(scene, &seen.addresses, Rect::new(x[1], low, vip_w, PLACE));
    // The rules and the endpoints they lead to, row by row.
    let table = Rect::new(x[2], TOP + 18.0, rule_w, 0.0);
    caption(scene, "rules", Point::new(x[2] + 2.0, TOP + 8.0), "what its node does with the address");
    let first = TOP + 64.0;
    let ends = endpoints(scene, seen, Rect::new(x[3], first, end_w, ROW));
    let ends = policies(scene, seen, Rect::new(x[3], ends, end_w, PLACE));
    let rules = rules(scene, seen, table, first);
    selector(scene, seen, Rect::new(x[3], TOP + 18.0, end_w, 18.0));
    edges(scene, seen);
    let below = |i: usize, y: f32, w: f32| Rect::new(x[i], y, w, 0.0);
    let wanted =
        wanted(scene, seen, below(1, addresses + 10.0, vip_w), below(3, ends, end_w), below(0, clients + 12.0, client_w));
    let bottom = clients.max(addresses).max(ends).max(rules).max(wanted) + 22.0;
    let hops_h = (room - bottom - 14.0).clamp(74.0, 116.0);
    let y = bottom.max(room - hops_h - 14.0);
    hops(scene, seen, Rect::new(22.0, y, inner, hops_h), seen.hops.len().max(1))
}

fn tall(scene: &mut Scene, seen: &ServiceSeen, width: f32) -> f32 {
    let margin = 10.0;
    let inner = width - 2.0 * margin;
    let mut y = TOP + 4.0;
    let half = (inner - 24.0) / 2.0;
    caption(scene, "client", Point::new(margin + 2.0, y), "clients");
    caption(scene, "name", Point::new(margin + half + 26.0, y), "the name");
    y += 8.0;
    let name = Rect::new(margin + half + 24.0, y, half, 44.0);
    let low = places(scene, &seen.clients, Rect::new(margin, y, half, PLACE)).max(name_boxes(scene, seen, name));
    caption(scene, "address", Point::new(margin + 2.0, low + 26.0), "virtual address");
    let mut low = places(scene, &seen.addresses, Rect::new(margin, low + 34.0, half, PLACE));
    y = low + 24.0;
    selector(scene, seen, Rect::new(margin + half + 24.0, y, half, 18.0));
    low = endpoints(scene, seen, Rect::new(margin + half + 24.0, y + 46.0, half, ROW));
    low = policies(scene, seen, Rect::new(margin + half + 24.0, low, half, PLACE));
    let rules = rules(scene, seen, Rect::new(margin, y, half, 0.0), y + 46.0);
    edges(scene, seen);
    let left = Rect::new(margin, rules + 10.0, half, 0.0);
    let wanted = wanted(scene, seen, left, Rect { x: margin + half + 24.0, y: low, ..left }, left);
    hops(scene, seen, Rect::new(margin, low.max(rules).max(wanted) + 14.0, inner, 66.0), if inner >= 520.0 { 2 } else { 1 })
}

/// There is no Service, but a lab's goal has something: outlines where it will be. Returns where they end.
fn without_service(scene: &mut Scene, seen: &ServiceSeen, width: f32) -> f32 {
    let w = ((width - 60.0) / 2.0).min(220.0);
    let x = width / 2.0 - w - 20.0;
    let mut y = TOP + 10.0;
    for (i, line) in wrap(NO_SERVICE, (2.0 * w / 6.4) as usize, 5).into_iter().enumerate() {
        caption(scene, &format!("no service {i}"), Point::new(x + 2.0, y), line);
        y += 16.0;
    }
    let services = Rect::new(x, y + 32.0, w, 0.0);
    let workloads = Rect { x: width / 2.0 + 20.0, ..services };
    caption(scene, "address", Point::new(services.x + 2.0, y + 22.0), "virtual address");
    caption(scene, "endpoints", Point::new(workloads.x + 2.0, y + 22.0), "endpoints");
    wanted(scene, seen, services, workloads, services) + 12.0
}

/// What a lab's goal still lacks: Services among the addresses, workloads among the endpoints, the rest in a tray (never over the
/// Services). Returns where the lowest of them ends.
fn wanted(scene: &mut Scene, seen: &ServiceSeen, services: Rect, workloads: Rect, tray: Rect) -> f32 {
    if seen.ghosts.is_empty() {
        return 0.0;
    }
    let left = ghosts::ring(scene, &seen.ghosts);
    let (addresses, left) = ghosts::of_kinds(left, &["Service"]);
    let (pods, others) = ghosts::of_kinds(left, &WORKLOADS);
    let low = ghosts::column(scene, &addresses, services, None);
    let ends = ghosts::column(scene, &pods, workloads, None);
    let tray = if tray.x == services.x { Rect { y: low, ..tray } } else { tray };
    low.max(ends).max(ghosts::tray(scene, &others, tray))
}

/// The name, and below it the pods that answer. Returns where they end.
fn name_boxes(scene: &mut Scene, seen: &ServiceSeen, rect: Rect) -> f32 {
    scene.add_box(SceneBox {
        id: seen.name.id.clone(),
        shape: Shape::Pod,
        rect: Rect { h: 36.0, ..rect },
        title: seen.name.fqdn.clone(),
        lines: vec![vec![Span { mono: true, ..Span::dim(seen.name.record.clone()) }]],
        opens: seen.service.clone(),
        aria: format!("{} is answered with {}", seen.name.fqdn, seen.name.record),
        ..SceneBox::default()
    });
    let n = seen.name.servers.len().max(1) as f32;
    // Side by side where there is room, so that a way leads to each.
    let beside = rect.w > 300.0;
    let w = if beside { (rect.w - (n - 1.0) * 8.0) / n } else { rect.w };
    let mut bottom = rect.y + 36.0;
    for (i, server) in seen.name.servers.iter().enumerate() {
        let (right, down) = if beside { (i as f32 * (w + 8.0), 0.0) } else { (0.0, i as f32 * 42.0) };
        let place = Rect::new(rect.x + right, rect.y + 44.0 + down, w, 34.0);
        bottom = place.y + place.h;
        let mut b = pod(server, None, place);
        if seen.name.asked.as_deref() == Some(&b.id) {
            b.state = State::Active;
        }
        scene.add_box(b);
    }
    bottom
}

/// Places one below the other. Returns where they end.
fn places(scene: &mut Scene, places: &[Place], first: Rect) -> f32 {
    let mut rect = first;
    for place in places {
        let is_laptop = place.id == "laptop";
        scene.add_box(SceneBox {
            id: place.id.clone(),
            shape: Shape::Pod,
            layer: Layer::Detail,
            rect,
            state: if place.chosen { State::Active } else { place.state },
            glyph: place.glyph,
            title: place.title.clone(),
            lines: vec![vec![Span::dim(place.line.clone())]],
            opens: place.opens.clone(),
            aria: format!("{}{}: {}", if is_laptop { "Outside: " } else { "" }, place.title, place.line),
            ..SceneBox::default()
        });
        rect.y += rect.h + 10.0;
    }
    rect.y - 10.0
}

/// The rule table of one node. Returns where it ends.
fn rules(scene: &mut Scene, seen: &ServiceSeen, at: Rect, first: f32) -> f32 {
    let table = &seen.table;
    let rows = table.rows.len().max(1) as f32;
    let frame = Rect::new(at.x, at.y, at.w, first - at.y + rows * ROW - 14.0);
    scene.add_box(SceneBox {
        id: table.id.clone(),
        layer: Layer::Ground,
        shape: Shape::Group,
        rect: frame,
        title: "kube-proxy".into(),
        lines: vec![vec![Span::dim(table.node.clone())]],
        opens: Some(Thing::component(&table.id)),
        aria: format!("Rules of kube-proxy on {}: {}", table.node, table.note),
        ..SceneBox::default()
    });
    if let Some(reason) = &table.empty {
        for (i, line) in wrap(reason, (at.w / 6.4) as usize, 3).into_iter().enumerate() {
            caption(scene, &format!("no rule {i}"), Point::new(at.x + 14.0, first + 12.0 + 15.0 * i as f32), line);
        }
    }
    for (i, row) in table.rows.iter().enumerate() {
        scene.add_box(SceneBox {
            id: row.id.clone(),
            parent: Some(table.id.clone()),
            shape: Shape::Pod,
            layer: Layer::Detail,
            rect: Rect::new(at.x + 10.0, first + i as f32 * ROW, at.w - 20.0, 34.0),
            state: if row.chosen { State::Active } else { row.state },
            glyph: if row.chosen { Glyph::Done } else { row.glyph },
            title: row.title.clone(),
            lines: vec![vec![Span::dim(if row.chosen { format!("chosen, {}", row.line) } else { row.line.clone() })]],
            opens: row.opens.clone(),
            aria: format!("Rule to {}: {}", row.title, row.line),
            ..SceneBox::default()
        });
    }
    frame.y + frame.h
}

/// The selector as tags above the pods that it selects.
fn selector(scene: &mut Scene, seen: &ServiceSeen, at: Rect) {
    caption(
        scene,
        "endpoints",
        Point::new(at.x + 2.0, at.y - 10.0),
        if seen.selector.is_empty() { "endpoints: no selector" } else { "selector" },
    );
    tags(scene, "selector", None, at, seen.selector.iter().map(|s| (s.clone(), State::Active)), seen.service.as_ref());
}

/// Tags side by side as far as there is room.
fn tags(
    scene: &mut Scene,
    id: &str,
    parent: Option<&str>,
    at: Rect,
    tags: impl Iterator<Item = (String, State)>,
    opens: Option<&Thing>,
) {
    let mut x = at.x;
    for (i, (title, state)) in tags.enumerate() {
        let left = at.x + at.w - x;
        if left < 44.0 {
            break;
        }
        let w = (title.chars().count() as f32 * 7.0 + 14.0).min(left);
        let aria = match state {
            State::Ok => format!("{title}, matches the selector"),
            State::Failing => format!("{title}, does not match the selector"),
            _ => format!("selector {title}"),
        };
        scene.add_box(SceneBox {
            id: format!("{id}/tag/{i}"),
            parent: parent.map(Into::into),
            layer: Layer::Detail,
            shape: Shape::Tag,
            rect: Rect::new(x, at.y, w, at.h),
            state,
            title,
            opens: opens.cloned(),
            aria,
            ..SceneBox::default()
        });
        x += w + 6.0;
    }
}

/// Pods with the labels that make them endpoints. Returns where they end.
fn endpoints(scene: &mut Scene, seen: &ServiceSeen, first: Rect) -> f32 {
    let mut y = first.y;
    for end in &seen.endpoints {
        let rect = Rect::new(first.x, y, first.w, 34.0);
        let mut b = pod(&end.pod, None, rect);
        b.lines = vec![vec![Span::dim(end.line.clone())]];
        b.aria = format!("{}; {}; {}", end.pod.aria, end.line, match_words(end));
        if end.chosen {
            b.state = State::Active;
        }
        let (id, opens) = (b.id.clone(), b.opens.clone());
        scene.add_box(b);
        let labels = end.labels.iter().map(|(text, ok)| match ok {
            true => (format!("✓ {text}"), State::Ok),
            false => (format!("✕ {text}"), State::Failing),
        });
        tags(scene, &id, Some(&id), Rect::new(first.x + 8.0, y + 37.0, first.w - 8.0, 17.0), labels, opens.as_ref());
        y += first.h;
    }
    if seen.more_endpoints > 0 {
        caption(scene, "more endpoints", Point::new(first.x + 4.0, y + 10.0), format!("+{} more", seen.more_endpoints));
        y += 18.0;
    }
    y
}

/// The policies of the endpoints, below them. Returns where they end.
fn policies(scene: &mut Scene, seen: &ServiceSeen, below: Rect) -> f32 {
    if seen.policies.is_empty() {
        return below.y;
    }
    caption(scene, "policies", Point::new(below.x + 2.0, below.y + 12.0), "network policies of these pods");
    places(scene, &seen.policies, Rect { y: below.y + 20.0, ..below }) + 8.0
}

fn match_words(end: &EndpointSeen) -> String {
    match end.labels.iter().find(|(_, ok)| !ok) {
        Some((label, _)) => format!("not selected: {label}"),
        None => "selected".into(),
    }
}

/// What the last request passed is lit, and so is what a packet just went over.
fn edges(scene: &mut Scene, seen: &ServiceSeen) {
    let chosen_client = seen.clients.iter().find(|c| c.chosen);
    let asked = seen.name.asked.clone();
    for client in &seen.clients {
        if let Some(server) = asked.as_ref().filter(|_| client.chosen) {
            way(scene, &client.id, server, true);
        }
        for address in &seen.addresses {
            if client.chosen && address.chosen || chosen_client.is_none() && seen.clients.len() == 1 {
                way(scene, &client.id, &address.id, client.chosen && address.chosen);
            }
        }
    }
    let into_table = |scene: &mut Scene, address: &Place| {
        for row in &seen.table.rows {
            way(scene, &address.id, &row.id, address.chosen && row.chosen);
        }
    };
    let lit = seen.addresses.iter().find(|a| a.chosen).or(seen.addresses.first());
    if let Some(address) = lit {
        into_table(scene, address);
    }
    for end in &seen.endpoints {
        if let Some(row) = end.row.and_then(|i| seen.table.rows.get(i)) {
            way(scene, &row.id, &end.pod.id(), row.chosen && end.chosen);
        }
    }
}

fn way(scene: &mut Scene, from: &str, to: &str, strong: bool) {
    let (Some(a), Some(b)) = (scene.boxes.get(from).map(|b| b.rect), scene.boxes.get(to).map(|b| b.rect)) else { return };
    // Up to a DNS server; the rules are reached from the side, wherever they are.
    let (start, path) = if b.y + b.h < a.y && !to.starts_with("rule/") {
        let (start, end) = (
            Point::new(a.x + a.w * 0.8, a.y),
            Point::new((a.x + a.w * 0.8).max(b.x + 10.0).min(b.x + b.w - 8.0), b.y + b.h + 2.0),
        );
        (start, vertical(start, end))
    } else if b.x > a.x + a.w {
        let (start, end) = (Point::new(a.x + a.w, a.centre().y), Point::new(b.x - 2.0, b.centre().y));
        (start, horizontal(start, end))
    } else {
        let (start, end) = (Point::new(a.x + a.w * 0.82, a.y + a.h), Point::new(b.x + b.w * 0.82, b.y - 2.0));
        (start, vertical(start, end))
    };
    let kind = strong.then_some(protocol::MessageKind::Packet);
    scene.add_edge(SceneEdge {
        id: format!("{from}>{to}"),
        from: from.into(),
        to: to.into(),
        start,
        path,
        look: if strong { protocol::EdgeLook::Strong } else { protocol::EdgeLook::Quiet },
        kind,
        aria: format!("from {from} to {to}"),
        ..SceneEdge::default()
    });
}

/// The last request, step by step. Returns where it ends.
fn hops(scene: &mut Scene, seen: &ServiceSeen, area: Rect, columns: usize) -> f32 {
    let gap = 10.0;
    if seen.hops.is_empty() {
        let text = "No request has gone to this Service lately. Open a client or the Service and send one.";
        for (i, line) in wrap(text, (area.w / 6.2) as usize, 2).into_iter().enumerate() {
            caption(scene, &format!("no hop {i}"), Point::new(area.x + 2.0, area.y + 14.0 + 15.0 * i as f32), line);
        }
        return area.y + 44.0;
    }
    let w = (area.w - (columns as f32 - 1.0) * gap) / columns as f32;
    for (i, hop) in seen.hops.iter().enumerate() {
        let (r, c) = ((i / columns) as f32, (i % columns) as f32);
        scene.add_box(step(hop, i, Rect::new(area.x + c * (w + gap), area.y + r * (area.h + gap), w, area.h)));
    }
    area.y + seen.hops.len().div_ceil(columns) as f32 * (area.h + gap) + 2.0
}

fn step(hop: &HopSeen, i: usize, rect: Rect) -> SceneBox {
    let rows = ((rect.h - 30.0) / 17.0).floor().max(1.0) as usize;
    let lines = wrap(&hop.reason, ((rect.w - 26.0) / 6.3) as usize, rows);
    SceneBox {
        id: format!("hop/{i}"),
        shape: Shape::Card,
        rect,
        state: hop.state,
        glyph: if hop.glyph == Glyph::None { Glyph::Done } else { hop.glyph },
        title: format!("{} {}", i + 1, hop.title),
        lines: lines.into_iter().map(|l| vec![Span::dim(l)]).collect(),
        opens: hop.opens.clone(),
        aria: format!("Step {}: {}. {}", i + 1, hop.title, hop.reason),
        ..SceneBox::default()
    }
}
