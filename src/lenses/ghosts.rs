//! What a lab's goal still lacks, in the picture: an object that isn't there is a dashed, faint outline where it would stand, one that
//! is otherwise has a dashed ring. What no lens draws lies in a tray.

use protocol::{Ghost, Layer, Point, Rect, Scene, SceneBox, Shape, Span, State};

use crate::observed::Observed;
use crate::words::caption;

/// Above a column of outlines their number is told instead.
const MOST: usize = 6;
const HEIGHT: f32 = 34.0;
const GAP: f32 = 10.0;
const TRAY_HEAD: f32 = 22.0;
const TRAY: &str = "the goal still lacks";

/// Puts a ring around everything drawn that differs from the goal. Returns what is left to draw: what is missing, and what differs but
/// has no box.
pub fn ring<'a>(scene: &mut Scene, ghosts: &'a [Ghost]) -> Vec<&'a Ghost> {
    ghosts.iter().filter(|ghost| !ring_one(scene, ghost)).collect()
}

/// Rings the boxes that stand for the object itself (a tag only names it). False: there is none. A machine is drawn without its Node
/// object, too: then that is missing.
fn ring_one(scene: &mut Scene, ghost: &Ghost) -> bool {
    let thing = ghost.thing();
    let mut found = false;
    for b in scene.boxes.values_mut().filter(|b| b.shape != Shape::Tag && b.opens.as_ref() == Some(&thing)) {
        found = true;
        if b.state != State::Missing {
            b.differs = true;
            b.aria = format!("{}; {}", b.aria, if ghost.is_missing() { ghost.words() } else { ghost.difference() });
        }
    }
    found
}

/// Nodes that the goal has and for which there is no machine. Where nodes are cells they lie in the tray.
pub(crate) fn machines(seen: &Observed) -> Vec<&Ghost> {
    let is_new = |g: &&Ghost| g.kind == "Node" && g.is_missing() && !seen.nodes.iter().any(|n| n.name == g.name);
    seen.ghosts.iter().filter(|g| seen.cells.is_empty() && is_new(g)).collect()
}

/// One object of the goal as a box. It has the id that the real one will have where lenses draw its kind, so that it becomes that.
pub(crate) fn outline(ghost: &Ghost, rect: Rect) -> SceneBox {
    let Ghost { kind, namespace, name, .. } = ghost;
    let id = match kind.as_str() {
        "Pod" => format!("pod/{namespace}/{name}"),
        "Node" => format!("node/{name}"),
        _ => format!("ghost/{kind}/{namespace}/{name}"),
    };
    let (shape, layer) = if kind == "Node" { (Shape::Group, Layer::Ground) } else { (Shape::Pod, Layer::Detail) };
    let word = if ghost.is_missing() { "missing" } else { "differs" };
    SceneBox {
        id,
        shape,
        layer,
        rect,
        state: if ghost.is_missing() { State::Missing } else { State::Idle },
        differs: !ghost.is_missing(),
        title: name.clone(),
        lines: vec![vec![Span::dim(format!("{kind} · {word}"))]],
        opens: Some(ghost.thing()),
        aria: ghost.words(),
        ..SceneBox::default()
    }
}

/// Outlines one below the other from `first`, inside `parent`. Returns where they end; without any, where they would begin.
pub(crate) fn column(scene: &mut Scene, ghosts: &[&Ghost], first: Rect, parent: Option<&str>) -> f32 {
    let mut rect = Rect { h: HEIGHT, ..first };
    for ghost in ghosts.iter().take(MOST) {
        scene.add_box(SceneBox { parent: parent.map(Into::into), ..outline(ghost, rect) });
        rect.y += HEIGHT + GAP;
    }
    let more = ghosts.len().saturating_sub(MOST);
    if more > 0 {
        let id = format!("ghosts at {} {}", first.x, first.y);
        caption(scene, &id, Point::new(first.x + 4.0, rect.y + 8.0), format!("+{more} more of the goal"));
        rect.y += 20.0;
    }
    rect.y
}

/// The tray for what the picture doesn't draw. Returns where it ends.
pub(crate) fn tray(scene: &mut Scene, ghosts: &[&Ghost], area: Rect) -> f32 {
    if ghosts.is_empty() {
        return area.y;
    }
    let id = "ghosts";
    let first = Rect::new(area.x + 7.0, area.y + TRAY_HEAD, area.w - 14.0, HEIGHT);
    let bottom = column(scene, ghosts, first, Some(id)) - 3.0;
    let names: Vec<String> = ghosts.iter().map(|g| g.words()).collect();
    scene.add_box(SceneBox {
        id: id.into(),
        layer: Layer::Ground,
        shape: Shape::Tray,
        rect: Rect { h: bottom - area.y, ..area },
        state: State::Missing,
        title: TRAY.into(),
        aria: format!("{TRAY}: {}", names.join(", ")),
        ..SceneBox::default()
    });
    bottom
}

/// Those of the kinds, and the others.
pub(crate) fn of_kinds<'a>(ghosts: Vec<&'a Ghost>, kinds: &[&str]) -> (Vec<&'a Ghost>, Vec<&'a Ghost>) {
    ghosts.into_iter().partition(|g| kinds.contains(&g.kind.as_str()))
}
