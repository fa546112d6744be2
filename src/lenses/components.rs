//! The Components lens: who opens a connection to whom. kube-apiserver is the hub in the middle, everybody else its client; only it
//! opens connections to etcd. Each line says how many watches are open on it and what was asked lately.

use protocol::{Glyph, Layer, Point, Rect, Scene, SceneBox, SceneHead, Segment, Shape, Span, View};

use crate::cloud;
use crate::observed::{Client, CloudSeen, Connections, Link, NodeClients};
use crate::words::{caption, link_edge, link_text, link_words, verb_words};

const MARGIN: f32 = 22.0;
const TOP: f32 = 40.0;
/// A row of a node: its pill and, on the line beside it, two texts.
const ROW: f32 = 40.0;
const LEAST_ROW: f32 = 32.0;
const PILL: f32 = 26.0;
const NODE_HEAD: f32 = 32.0;
const NODE_GAP: f32 = 12.0;
const CARD: f32 = 46.0;
/// The cloud has one line more than a client.
const CLOUD: f32 = 62.0;
/// Narrower than this the lines have no room for words.
const MIN_WIDTH: f32 = 860.0;

/// Draws the connections.
pub fn components(seen: &Connections, view: &View) -> Scene {
    let mut scene = Scene::default();
    let height = if view.compact || view.width < MIN_WIDTH { bus(&mut scene, seen, view) } else { hub(&mut scene, seen, view) };
    scene.head = SceneHead {
        lens: protocol::Lens::Components,
        width: view.width.max(320.0),
        height,
        title: "Who opens a connection to whom".into(),
        ..SceneHead::default()
    };
    scene
}

/// Columns of the wide form.
struct Columns {
    node: (f32, f32),
    hub: (f32, f32),
    client: (f32, f32),
}

fn columns(width: f32) -> Columns {
    let (node_w, hub_w) = ((width * 0.29).clamp(254.0, 330.0), (width * 0.15).clamp(132.0, 190.0));
    let client_w = (width * 0.195).clamp(176.0, 230.0);
    let gap = (width - 2.0 * MARGIN - node_w - hub_w - client_w) / 2.0;
    let hub_x = MARGIN + node_w + gap;
    Columns { node: (MARGIN, node_w), hub: (hub_x, hub_w), client: (hub_x + hub_w + gap, client_w) }
}

/// Rows are lower where the nodes would not fit otherwise.
fn row_height(seen: &Connections, view: &View) -> f32 {
    let rows: usize = seen.nodes.iter().map(|n| n.clients.len()).sum();
    let frames = seen.nodes.len() as f32 * (NODE_HEAD + 4.0 + NODE_GAP) - NODE_GAP;
    ((view.height - TOP - 16.0 - frames) / rows.max(1) as f32).clamp(LEAST_ROW, ROW)
}

fn hub(scene: &mut Scene, seen: &Connections, view: &View) -> f32 {
    let at = columns(view.width);
    let row_h = row_height(seen, view);
    let node_height = |n: &NodeClients| NODE_HEAD + n.clients.len() as f32 * row_h + 4.0;
    let left: f32 = seen.nodes.iter().map(|n| node_height(n) + NODE_GAP).sum::<f32>() - NODE_GAP;
    let pitch = CARD + 18.0;
    let rented = if seen.cloud.is_some() { CLOUD + 22.0 } else { 0.0 };
    let right = seen.clients.len() as f32 * pitch + seen.stores.len().max(1) as f32 * 96.0 + rented;
    let room = (view.height - TOP - 16.0).max(left.max(right));
    caption(scene, "nodes", Point::new(at.node.0 + 2.0, 24.0), "on the nodes");
    caption(scene, "window", Point::new(at.hub.0 + 2.0, 24.0), format!("requests {}", seen.window));
    caption(scene, "clients", Point::new(at.client.0 + 2.0, 24.0), "clients and etcd");
    let hub = Rect::new(at.hub.0, TOP, at.hub.1, room);
    let said = seen.hub.note.split(" · ").map(|part| vec![Span::dim(part)]).collect();
    scene.add_box(card(&seen.hub, hub, said));
    let mut y = TOP;
    let spread = if seen.nodes.len() > 1 { ((room - left) / (seen.nodes.len() - 1) as f32).min(26.0) } else { 0.0 };
    for node in &seen.nodes {
        let frame = Rect::new(at.node.0, y, at.node.1, node_height(node));
        node_rows(scene, seen, node, frame, hub, row_h);
        y += frame.h + NODE_GAP + spread;
    }
    let loose = ((room - right) / (seen.clients.len() + seen.stores.len()).max(1) as f32).clamp(0.0, 14.0);
    let mut y = TOP;
    for client in &seen.clients {
        let rect = Rect::new(at.client.0, y, at.client.1, CARD);
        scene.add_box(card(client, rect, vec![vec![Span::dim(client.note.clone())]]));
        let middle = y + CARD / 2.0;
        let (start, end) = (Point::new(rect.x, middle), Point::new(hub.x + hub.w + 2.0, middle));
        link_edge(scene, &seen.traffic, &client.link, start, vec![Segment::Line(end)], true);
        y += pitch + loose;
        if let Some((cloud, link)) = seen.cloud.as_ref().filter(|(_, link)| link.from == client.id) {
            let below = Rect::new(rect.x, rect.y + CARD + 20.0, rect.w, CLOUD);
            scene.add_box(cloud_card(cloud, link, below));
            let (start, end) = (Point::new(rect.x + 30.0, rect.y + CARD), Point::new(rect.x + 30.0, below.y - 2.0));
            link_edge(scene, &seen.traffic, link, start, vec![Segment::Line(end)], false);
            y = below.y + CLOUD + 18.0 + loose;
        }
    }
    for store in &seen.stores {
        let w = rect_of_store(at.client.1);
        let rect = Rect::new(at.client.0 + (at.client.1 - w) / 2.0, y + 4.0, w, 78.0);
        scene.add_box(SceneBox { shape: Shape::Cylinder, ..card(store, rect, vec![vec![mono(&store.note)]]) });
        let middle = rect.y + 40.0;
        let (start, end) = (Point::new(hub.x + hub.w, middle), Point::new(rect.x - 2.0, middle));
        if store.back.is_none() {
            link_edge(scene, &seen.traffic, &store.link, start, vec![Segment::Line(end)], true);
        }
        y += 96.0 + loose;
    }
    for link in seen.stores.iter().filter_map(|s| s.local.as_ref()) {
        peer(scene, seen, link);
    }
    TOP + room + 12.0
}

/// The cloud: what is rented, and what its controller asks of it.
fn cloud_card(cloud: &CloudSeen, link: &Link, rect: Rect) -> SceneBox {
    let mut asked = link_words(link);
    let verbs = verb_words(link);
    if !verbs.is_empty() {
        asked.push(Span::dim(" · "));
        asked.extend(verbs);
    }
    cloud::card(cloud, rect, vec![vec![Span::dim(cloud.counts().join(" · "))], asked])
}

/// Between etcd's members, along their right side.
fn peer(scene: &mut Scene, seen: &Connections, link: &Link) {
    let (Some(a), Some(b)) = (scene.boxes.get(&link.from).map(|b| b.rect), scene.boxes.get(&link.to).map(|b| b.rect)) else {
        return;
    };
    let (start, end) = (Point::new(a.x + a.w, a.centre().y), Point::new(b.x + b.w + 2.0, b.centre().y));
    let out = 26.0;
    let path = vec![Segment::Cubic(Point::new(start.x + out, start.y), Point::new(end.x + out, end.y), end)];
    link_edge(scene, &seen.traffic, link, start, path, false);
}

fn rect_of_store(column: f32) -> f32 {
    column.min(170.0)
}

/// The machine left, the node's clients right of it, a line from each to the hub.
fn node_rows(scene: &mut Scene, seen: &Connections, node: &NodeClients, frame: Rect, hub: Rect, row_h: f32) {
    scene.add_box(SceneBox {
        id: node.id.clone(),
        layer: Layer::Ground,
        shape: Shape::Group,
        rect: frame,
        state: node.state,
        glyph: node.glyph,
        title: node.title.clone(),
        lines: vec![vec![Span::dim(node.note.clone())]],
        opens: node.opens.clone(),
        aria: format!("{}: {}", node.title, node.note),
        ..SceneBox::default()
    });
    let pill_w = (frame.w * 0.38).clamp(96.0, 122.0);
    let x = frame.x + frame.w - 12.0 - pill_w;
    let rows = node.clients.len() as f32;
    // As wide as its words, if the line to the pills keeps room for dots.
    let machine_w = (frame.w - 24.0 - pill_w - 44.0).clamp(pill_w - 14.0, 120.0);
    let machine = Rect::new(frame.x + 12.0, frame.y + NODE_HEAD + 7.0, machine_w, rows * row_h - 14.0);
    if let Some(m) = &node.machine {
        let lines = vec![vec![Span::dim(m.note.clone())]];
        scene.add_box(SceneBox { layer: Layer::Detail, parent: Some(node.id.clone()), ..card(m, machine, lines) });
        if !m.link.verbs.is_empty() {
            // Programs in its containers ask kube-apiserver as well.
            let low = frame.y + frame.h - 5.0;
            let (start, end) = (Point::new(machine.x + machine.w / 2.0, machine.y + machine.h), Point::new(hub.x - 2.0, low));
            let path = vec![Segment::Line(Point::new(start.x, low)), Segment::Line(end)];
            link_edge(scene, &seen.traffic, &m.link, start, path, false);
        }
    }
    for (i, client) in node.clients.iter().enumerate() {
        let rect = Rect::new(x, frame.y + NODE_HEAD + i as f32 * row_h + (row_h - PILL) / 2.0, pill_w, PILL);
        scene.add_box(SceneBox {
            shape: Shape::Pill,
            layer: Layer::Detail,
            parent: Some(node.id.clone()),
            lines: vec![link_words(&client.link)],
            ..card(client, rect, Vec::new())
        });
        let middle = rect.y + PILL / 2.0;
        let (start, end) = (Point::new(rect.x + rect.w, middle), Point::new(hub.x - 2.0, middle));
        link_edge(scene, &seen.traffic, &client.link, start, vec![Segment::Line(end)], true);
        if let Some(back) = &client.back {
            let (start, end) = (Point::new(hub.x, middle + 9.0), Point::new(rect.x + rect.w + 2.0, middle + 9.0));
            link_edge(scene, &seen.traffic, back, start, vec![Segment::Line(end)], false);
        }
        if let Some(local) = client.local.as_ref().filter(|_| node.machine.is_some()) {
            let (start, end) = (Point::new(rect.x, middle), Point::new(machine.x + machine.w + 2.0, middle));
            link_edge(scene, &seen.traffic, local, start, vec![Segment::Line(end)], false);
        }
    }
}

fn card(client: &Client, rect: Rect, lines: Vec<Vec<Span>>) -> SceneBox {
    SceneBox {
        id: client.id.clone(),
        rect,
        state: client.state,
        glyph: if client.glyph == Glyph::Running { Glyph::None } else { client.glyph },
        title: client.title.clone(),
        lines,
        opens: client.opens.clone(),
        aria: format!("{}: {}; {}", client.title, client.note, link_text(&client.link)),
        ..SceneBox::default()
    }
}

fn mono(text: &str) -> Span {
    Span { mono: true, ..Span::dim(text) }
}

/// The cards of the narrow form, column by column. No client: the cloud, below its controller.
fn bus_rows(seen: &Connections, columns: usize) -> Vec<(Option<&Client>, Option<&NodeClients>)> {
    let mut rows: Vec<(Option<&Client>, Option<&NodeClients>)> = seen
        .stores
        .iter()
        .chain(&seen.clients)
        .map(|c| (Some(c), None))
        .chain(seen.nodes.iter().flat_map(|n| n.clients.iter().map(move |c| (Some(c), Some(n)))))
        .collect();
    let controller = |(_, link): &(CloudSeen, Link)| rows.iter().position(|r| r.0.is_some_and(|c| c.id == link.from));
    if let Some(at) = seen.cloud.as_ref().and_then(controller) {
        rows.insert(at + 1, (None, None));
        let per_column = rows.len().div_ceil(columns);
        if (at + 1).is_multiple_of(per_column) && at > 0 {
            // Both in one column.
            rows[at - 1..=at + 1].rotate_left(1);
        }
    }
    rows
}

fn below_its_controller(scene: &mut Scene, seen: &Connections, rect: Rect) {
    let Some((cloud, link)) = &seen.cloud else { return };
    scene.add_box(cloud::card(cloud, rect, vec![vec![Span::dim(cloud.counts().join(" · "))]]));
    let Some(above) = scene.boxes.get(&link.from).map(|b| b.rect) else { return };
    let (start, end) = (Point::new(above.x + 24.0, above.y + above.h), Point::new(above.x + 24.0, rect.y - 2.0));
    link_edge(scene, &seen.traffic, link, start, vec![Segment::Line(end)], false);
}

/// The narrow form: the hub on top, its clients as cards below, all on one line as on a bus. The words are in the cards.
fn bus(scene: &mut Scene, seen: &Connections, view: &View) -> f32 {
    let (margin, gutter, gap) = (10.0, 16.0, 8.0);
    let inner = view.width.max(320.0) - 2.0 * margin;
    let count = if inner < 440.0 {
        1
    } else if inner < 780.0 {
        2
    } else {
        3
    };
    let w = (inner - (count as f32 - 1.0) * gap) / count as f32;
    let hub = Rect::new(margin, margin, inner, 44.0);
    let note = format!("{} · requests {}", seen.hub.note, seen.window);
    scene.add_box(card(&seen.hub, hub, vec![vec![Span::dim(note)]]));
    let machines = seen.nodes.iter().filter_map(|n| Some((n, n.machine.as_ref()?)));
    let rows = bus_rows(seen, count);
    let per_column = rows.len().div_ceil(count);
    let h = 46.0;
    for (i, (client, node)) in rows.iter().enumerate() {
        let (column, row) = ((i / per_column) as f32, (i % per_column) as f32);
        let x = margin + column * (w + gap);
        let rect = Rect::new(x + gutter, hub.y + hub.h + 14.0 + row * (h + 8.0), w - gutter, h);
        let Some(client) = client else {
            below_its_controller(scene, seen, rect);
            continue;
        };
        let title = match node {
            Some(node) if !client.title.contains('×') => format!("{} · {}", client.title, node.title),
            _ => client.title.clone(),
        };
        let mut line = link_words(&client.link);
        let verbs = verb_words(&client.link);
        if !verbs.is_empty() {
            line.push(Span::dim(" · "));
            line.extend(verbs);
        }
        scene.add_box(SceneBox { title, ..card(client, rect, vec![line]) });
        let (trunk, middle) = (x + 5.0, rect.y + h / 2.0);
        let below = Point::new(trunk, hub.y + hub.h + 2.0);
        let (start, path) = if client.link.to == client.id {
            // etcd: the hub is the one that calls.
            (Point::new(trunk, hub.y + hub.h), vec![(trunk, middle), (rect.x - 2.0, middle)])
        } else {
            (Point::new(rect.x, middle), vec![(trunk, middle), (below.x, below.y)])
        };
        let path = path.into_iter().map(|(x, y)| Segment::Line(Point::new(x, y))).collect();
        if client.back.is_none() || client.link.to != client.id {
            link_edge(scene, &seen.traffic, &client.link, start, path, false);
        }
    }
    let bottom = hub.y + hub.h + 14.0 + per_column as f32 * (h + 8.0);
    let mut x = margin;
    let machine_w = (inner - 2.0 * gap) / 3.0;
    let mut y = bottom;
    for (node, machine) in machines {
        if x + machine_w > margin + inner + 1.0 {
            (x, y) = (margin, y + 38.0);
        }
        let title = format!("{} · {}", machine.title, node.title);
        scene.add_box(SceneBox { shape: Shape::Pill, title, ..card(machine, Rect::new(x, y, machine_w, 26.0), Vec::new()) });
        x += machine_w + gap;
    }
    y + 38.0
}
