//! Small constructors for boxes, edges and texts, shared by the lenses.

use protocol::{EdgeLook, Layer, MessageKind, Point, Rect, Scene, SceneBox, SceneEdge, Segment, Shape, Span, State, Thing};

use crate::observed::{Chip, Component, Part, PodSeen, Traffic};

pub(crate) fn component(c: &Component, title: &str, rect: Rect) -> SceneBox {
    SceneBox {
        id: c.id.clone(),
        rect,
        state: c.state,
        title: title.into(),
        lines: c.lines.clone(),
        opens: Some(Thing::component(&c.id)),
        aria: c.aria.clone(),
        ..SceneBox::default()
    }
}

pub(crate) fn pill(chip: &Chip, parent: &str, rect: Rect) -> SceneBox {
    SceneBox {
        id: chip.id.clone(),
        parent: Some(parent.into()),
        layer: Layer::Detail,
        shape: Shape::Pill,
        rect,
        state: if chip.active { State::Active } else { State::Idle },
        title: chip.title.clone(),
        opens: chip.opens.clone(),
        aria: chip.title.clone(),
        ..SceneBox::default()
    }
}

pub(crate) fn part(part: &Part, parent: &str, rect: Rect) -> SceneBox {
    SceneBox {
        id: part.id.clone(),
        parent: Some(parent.into()),
        layer: Layer::Detail,
        shape: Shape::Pill,
        rect,
        state: part.state,
        title: part.title.clone(),
        opens: Some(Thing::component(&part.id)),
        aria: part.id.clone(),
        ..SceneBox::default()
    }
}

pub(crate) fn pod(p: &PodSeen, parent: Option<&str>, rect: Rect) -> SceneBox {
    SceneBox {
        id: p.id(),
        parent: parent.map(Into::into),
        shape: Shape::Pod,
        layer: Layer::Detail,
        rect,
        state: p.state,
        glyph: p.glyph,
        title: p.name.clone(),
        lines: vec![vec![Span::dim(p.note.clone())]],
        opens: Some(Thing::core("pods", &p.namespace, &p.name)),
        aria: p.aria.clone(),
        ..SceneBox::default()
    }
}

/// An open connection. Lit if there was traffic on it lately, either way.
pub(crate) fn connection(scene: &mut Scene, traffic: &[Traffic], from: &str, to: &str, start: Point, path: Vec<Segment>) {
    let lit: Option<MessageKind> =
        traffic.iter().rev().find(|t| t.from == from && t.to == to || t.from == to && t.to == from).map(|t| t.kind);
    scene.add_edge(SceneEdge {
        id: format!("{from}>{to}"),
        from: from.into(),
        to: to.into(),
        start,
        path,
        look: if lit.is_some() { EdgeLook::Lit } else { EdgeLook::Quiet },
        kind: lit,
        opens: Some(Thing::Connection { from: from.into(), to: to.into() }),
        aria: format!("{from} has a connection to {to}"),
        ..SceneEdge::default()
    });
}

/// A soft curve from one point to another that leaves and arrives vertically.
pub(crate) fn vertical(start: Point, end: Point) -> Vec<Segment> {
    let mid = (start.y + end.y) / 2.0;
    vec![Segment::Cubic(Point::new(start.x, mid), Point::new(end.x, mid), end)]
}

/// The same, horizontally.
pub(crate) fn horizontal(start: Point, end: Point) -> Vec<Segment> {
    let mid = (start.x + end.x) / 2.0;
    vec![Segment::Cubic(Point::new(mid, start.y), Point::new(mid, end.y), end)]
}

/// Left edges and widths of cells side by side, each as wide as its word needs: a share for each letter, and one for the edges.
pub(crate) fn strip<'a>(words: impl Iterator<Item = &'a str> + Clone, x: f32, wide: f32, gap: f32) -> Vec<(f32, f32)> {
    let share = |word: &str| word.chars().count() as f32 + 1.0;
    let n = words.clone().count() as f32;
    let each = (wide - (n - 1.0) * gap) / words.clone().map(share).sum::<f32>().max(1.0);
    let mut left = x;
    let cell = |word| {
        let (at, w) = (left, share(word) * each);
        left += w + gap;
        (at, w)
    };
    words.map(cell).collect()
}
