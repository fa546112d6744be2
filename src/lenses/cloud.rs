//! The cloud: outside of the cluster, a card with what is rented from it, or a frame with each machine and each load balancer.

use protocol::{Glyph, Layer, Point, Rect, Scene, SceneBox, Shape, Span, State, Thing};

use crate::observed::{CloudSeen, Place};
use crate::words::caption;

const HEIGHT: f32 = 34.0;
const GAP: f32 = 8.0;
const HEAD: f32 = 38.0;
/// The connection of its controller.
pub(crate) const CONTROLLER: &str = "cloud-controller-manager";

/// The cloud in one card. `lines`: what is said besides of it.
pub(crate) fn card(cloud: &CloudSeen, rect: Rect, lines: Vec<Vec<Span>>) -> SceneBox {
    SceneBox {
        id: "cloud".into(),
        rect,
        state: cloud.state,
        title: "cloud".into(),
        lines,
        opens: Some(Thing::component("cloud")),
        aria: format!("The cloud, outside of the cluster: {}", cloud.counts().join(", ")),
        ..SceneBox::default()
    }
}

/// How high the frame is that has room for all of it.
pub(crate) fn height(cloud: &CloudSeen, columns: usize) -> f32 {
    let n = cloud.machines.len() + cloud.balancers.len();
    HEAD + n.div_ceil(columns.max(1)).max(1) as f32 * (HEIGHT + GAP) + 4.0
}

/// The cloud as a frame: load balancers, then machines, as many as there is room for.
pub(crate) fn frame(scene: &mut Scene, cloud: &CloudSeen, rect: Rect, columns: usize) {
    scene.add_box(SceneBox { layer: Layer::Ground, shape: Shape::Group, ..card(cloud, rect, Vec::new()) });
    let all: Vec<&Place> = cloud.balancers.iter().chain(&cloud.machines).collect();
    let rows = ((rect.h - HEAD) / (HEIGHT + GAP)).floor().max(1.0) as usize;
    let places = rows * columns;
    let shown = if all.len() > places { places - 1 } else { all.len() };
    let w = (rect.w - 24.0 - (columns as f32 - 1.0) * GAP) / columns as f32;
    let at = |i: usize| {
        let (row, column) = ((i / columns) as f32, (i % columns) as f32);
        Rect::new(rect.x + 12.0 + column * (w + GAP), rect.y + HEAD + row * (HEIGHT + GAP), w, HEIGHT)
    };
    for (i, place) in all.iter().take(shown).enumerate() {
        scene.add_box(thing(place, at(i)));
    }
    if all.len() > shown {
        let last = at(shown);
        caption(scene, "more of the cloud", Point::new(last.x + 10.0, last.y + 20.0), format!("+{} more", all.len() - shown));
    }
}

fn thing(place: &Place, rect: Rect) -> SceneBox {
    SceneBox {
        id: place.id.clone(),
        parent: Some("cloud".into()),
        layer: Layer::Detail,
        shape: Shape::Pod,
        rect,
        state: place.state,
        glyph: if place.state == State::Off { Glyph::Off } else { place.glyph },
        title: place.title.clone(),
        lines: vec![vec![Span::dim(place.line.clone())]],
        opens: place.opens.clone(),
        aria: format!("{}: {}", place.title, place.line),
        ..SceneBox::default()
    }
}
