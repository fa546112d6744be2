//! One edge of a scene as SVG: the line, its arrowhead, its label; and the walk along it that dots take.

use protocol::{Anchor, EdgeLook, Point, SceneEdge, SceneText, Segment, Span};
use yew::prelude::*;

use super::boxes::{runs, tone_class};
use crate::icons;
use crate::shared::Shared;

#[derive(Properties, PartialEq)]
pub struct EdgeProps {
    pub item: Shared<SceneEdge>,
}

/// Draws one edge. Its colour while a dot is on it comes from `data-lit`, which the dots set.
#[function_component]
pub fn EdgeView(props: &EdgeProps) -> Html {
    let e: &SceneEdge = &props.item;
    let look = match e.look {
        EdgeLook::Quiet => "quiet",
        EdgeLook::Lit => "lit",
        EdgeLook::Strong => "strong",
        EdgeLook::Thin => "thin",
        EdgeLook::Cut => "cut",
        EdgeLook::Future => "future",
    };
    let lit = e.kind.filter(|_| !matches!(e.look, EdgeLook::Quiet)).map(|k| format!("k-{}", icons::kind_class(k)));
    let d = path_data(e);
    let points = walk(e, 12);
    html! {
        <g id={edge_dom_id(&e.id)} class={classes!("edge", look, lit)} data-edge={e.id.clone()} role="img" aria-label={e.aria.clone()}>
            <path class="line" d={d.clone()} />
            if e.look == EdgeLook::Cut {
                { middle_cross(&points) }
            } else if let Some(head) = arrowhead(&points) {
                <path class="head" d={head} />
            }
            if e.opens.is_some() {
                <path class="hit" {d} />
            }
            if !e.label.is_empty() {
                { along(&e.label, &points, -5.0) }
            }
            if !e.note.is_empty() {
                { along(&e.note, &points, 14.0) }
            }
        </g>
    }
}

/// The DOM id of an edge, for the dots that light it.
pub fn edge_dom_id(id: &str) -> String {
    format!("eg-{id}")
}

/// The path in SVG's words.
fn path_data(e: &SceneEdge) -> String {
    let mut d = format!("M{} {}", e.start.x, e.start.y);
    for segment in &e.path {
        d += &match segment {
            Segment::Line(p) => format!(" L{} {}", p.x, p.y),
            Segment::Cubic(a, b, p) => format!(" C{} {} {} {} {} {}", a.x, a.y, b.x, b.y, p.x, p.y),
        };
    }
    d
}

/// Points along the edge, `per_segment` a curve; first and last are its ends.
pub fn walk(e: &SceneEdge, per_segment: usize) -> Vec<Point> {
    let mut points = vec![e.start];
    let mut at = e.start;
    for segment in &e.path {
        match *segment {
            Segment::Line(p) => {
                points.push(p);
                at = p;
            }
            Segment::Cubic(a, b, p) => {
                points.extend((1..=per_segment).map(|i| bezier(at, a, b, p, i as f32 / per_segment as f32)));
                at = p;
            }
        }
    }
    points
}

fn bezier(p0: Point, p1: Point, p2: Point, p3: Point, t: f32) -> Point {
    let u = 1.0 - t;
    let (a, b, c, d) = (u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t);
    Point::new(a * p0.x + b * p1.x + c * p2.x + d * p3.x, a * p0.y + b * p1.y + c * p2.y + d * p3.y)
}

/// A triangle at the end of the walk.
fn arrowhead(points: &[Point]) -> Option<String> {
    let (end, before) = (points.last()?, points.iter().rev().nth(1)?);
    let (dx, dy) = (end.x - before.x, end.y - before.y);
    let length = (dx * dx + dy * dy).sqrt();
    if length < 0.01 {
        return None;
    }
    let (ux, uy) = (dx / length, dy / length);
    let (bx, by) = (end.x - ux * 7.5, end.y - uy * 7.5);
    Some(format!("M{} {} L{} {} L{} {} z", end.x, end.y, bx - uy * 3.4, by + ux * 3.4, bx + uy * 3.4, by - ux * 3.4))
}

fn middle_cross(points: &[Point]) -> Html {
    let p = points[points.len() / 2];
    html! { <path class="g-cross" d={format!("M{} {} l10 10 m0 -10 l-10 10", p.x - 5.0, p.y - 5.0)} /> }
}

/// A text along the edge, so far below its middle.
fn along(spans: &[Span], points: &[Point], dy: f32) -> Html {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return html! {} };
    let room = (last.x - first.x).abs().max(120.0) - 16.0;
    html! { <g class="halo">{ runs(spans, (first.x + last.x) / 2.0, (first.y + last.y) / 2.0 + dy, 11.0, room, "middle", "") }</g> }
}

#[derive(Properties, PartialEq)]
pub struct TextProps {
    pub item: Shared<SceneText>,
}

/// Draws a text that stands on its own.
#[function_component]
pub fn TextView(props: &TextProps) -> Html {
    let t: &SceneText = &props.item;
    let anchor = match t.anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let size = if t.size > 0.0 { t.size.max(11.0) } else { 11.0 };
    html! {
        <text class={classes!("box", t.opens.is_some().then_some("open"))} data-text={t.id.clone()} style={format!("transform: translate({}px, {}px); white-space: pre", t.at.x, t.at.y)} font-size={size.to_string()} text-anchor={anchor}>
            { for t.spans.iter().map(|s| html! { <tspan class={classes!(tone_class(s.tone), s.mono.then_some("mono"), s.bold.then_some("b"))}>{ &s.text }</tspan> }) }
        </text>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_starts_and_ends_where_the_edge_does() {
        let (a, b) = (Point::new(0.0, 0.0), Point::new(30.0, 40.0));
        let e = SceneEdge {
            start: a,
            path: vec![Segment::Cubic(Point::new(10.0, 0.0), Point::new(30.0, 10.0), b)],
            ..SceneEdge::default()
        };
        let points = walk(&e, 8);
        assert_eq!((points.len(), points[0], points[8]), (9, a, b));
        assert!(arrowhead(&points).is_some_and(|d| d.starts_with("M30 40")));
    }
}
