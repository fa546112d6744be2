//! Arrow keys between the boxes (and a heat map's cells) that can be opened: the nearest in the key's direction.

use protocol::{Cells, Rect, SceneBox};

use crate::seen::Picture;

/// Where `key` leads from `at`; None if the key is not one of these or leads nowhere.
pub fn next(picture: &Picture, at: Option<&str>, key: &str) -> Option<String> {
    let (dx, dy) = match key {
        "ArrowLeft" => (-1.0, 0.0),
        "ArrowRight" => (1.0, 0.0),
        "ArrowUp" => (0.0, -1.0),
        "ArrowDown" => (0.0, 1.0),
        "Home" => (0.0, 0.0),
        _ => return None,
    };
    let here = at.and_then(|id| Some((id, picture.place(id)?))).filter(|_| key != "Home");
    let Some((id, here)) = here else {
        let first = targets(picture).min_by(|a, b| (a.1.y + a.1.x / 4.0).total_cmp(&(b.1.y + b.1.x / 4.0)));
        return first.map(|(target, _)| target.id());
    };
    let others = targets(picture).filter(|(target, _)| !target.is(id));
    let best = others.filter_map(|(target, place)| Some((distance(here, place, dx, dy)?, target)));
    best.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, target)| target.id())
}

/// What can be opened: a box, or a cell of a heat map.
#[derive(Clone, Copy)]
enum Target<'a> {
    Box(&'a SceneBox),
    Cell(&'a Cells, usize),
}

impl Target<'_> {
    fn id(self) -> String {
        match self {
            Target::Box(b) => b.id.clone(),
            Target::Cell(cells, i) => format!("node/{}", cells.names.lines().nth(i).unwrap_or_default()),
        }
    }
    fn is(self, id: &str) -> bool {
        match self {
            Target::Box(b) => b.id == id,
            // A cell at no distance lies in no direction.
            Target::Cell(..) => false,
        }
    }
}

fn targets(picture: &Picture) -> impl Iterator<Item = (Target<'_>, Rect)> {
    let boxes = picture.boxes.values().filter(|b| b.opens.is_some()).map(|b| (Target::Box(b), b.rect));
    let rows = picture.boxes.values().filter_map(|b| Some((b.rect, b.cells.as_deref()?)));
    let cells = rows.flat_map(|(row, cells)| (0..cells.len()).map(move |i| (Target::Cell(cells, i), cells.place(row, i))));
    boxes.chain(cells)
}

/// How far `to` is in the direction; sideways counts three times. None if it lies the other way.
fn distance(from: Rect, to: Rect, dx: f32, dy: f32) -> Option<f32> {
    let (a, b) = (from.centre(), to.centre());
    let along = (b.x - a.x) * dx + (b.y - a.y) * dy;
    let across = ((b.x - a.x) * dy + (b.y - a.y) * dx).abs();
    (along > 2.0).then_some(along + 3.0 * across)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Shared;
    use protocol::Thing;

    #[test]
    fn arrows_find_the_neighbour() {
        let mut picture = Picture::default();
        for (id, x, y) in [("a", 0.0, 0.0), ("b", 100.0, 0.0), ("c", 100.0, 100.0)] {
            let b = SceneBox {
                id: id.into(),
                rect: Rect::new(x, y, 20.0, 20.0),
                opens: Some(Thing::component(id)),
                ..SceneBox::default()
            };
            picture.boxes.insert(id.into(), Shared::new(b));
        }
        assert_eq!(next(&picture, None, "ArrowDown").as_deref(), Some("a"));
        assert_eq!(next(&picture, Some("a"), "ArrowRight").as_deref(), Some("b"));
        assert_eq!(next(&picture, Some("b"), "ArrowDown").as_deref(), Some("c"));
        assert_eq!(next(&picture, Some("a"), "ArrowLeft"), None);
    }
}
