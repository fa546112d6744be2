//! Arrow keys between the boxes that can be opened: the nearest in the key's direction.

use protocol::SceneBox;

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
    let targets = || picture.boxes.values().filter(|b| b.opens.is_some());
    let here = at.and_then(|id| picture.boxes.get(id)).filter(|_| key != "Home");
    let Some(here) = here else {
        return targets()
            .min_by(|a, b| (a.rect.y + a.rect.x / 4.0).total_cmp(&(b.rect.y + b.rect.x / 4.0)))
            .map(|b| b.id.clone());
    };
    let best = targets().filter(|b| b.id != here.id).filter_map(|b| Some((distance(here, b, dx, dy)?, b)));
    best.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, b)| b.id.clone())
}

/// How far `to` is in the direction; sideways counts three times. None if it lies the other way.
fn distance(from: &SceneBox, to: &SceneBox, dx: f32, dy: f32) -> Option<f32> {
    let (a, b) = (from.rect.centre(), to.rect.centre());
    let along = (b.x - a.x) * dx + (b.y - a.y) * dy;
    let across = ((b.x - a.x) * dy + (b.y - a.y) * dx).abs();
    (along > 2.0).then_some(along + 3.0 * across)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Shared;
    use protocol::{Rect, Thing};

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
