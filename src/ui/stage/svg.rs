//! The drawing: grounds, edges, things, details, texts, in this order. Items that have not changed are not drawn again.

use protocol::{Layer, SceneBox, Shape, Thing};
use yew::prelude::*;

use super::boxes::BoxView;
use super::cells::CellsView;
use super::edges::{EdgeView, TextView};
use crate::seen::Picture;
use crate::shared::Shared;

#[derive(Properties, PartialEq)]
pub struct SceneProps {
    pub picture: Shared<Picture>,
    pub selected: Option<Thing>,
    pub cursor: Option<String>,
}

/// The whole scene.
#[function_component]
pub fn SceneSvg(props: &SceneProps) -> Html {
    let head = &props.picture.head;
    html! {
        <svg width={head.width.to_string()} height={head.height.to_string()} role="group" aria-label={head.title.clone()}>
            <defs>
                <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                    <rect width="6" height="6" fill="var(--surface)" /><path d="M0 0v6" stroke="var(--line-strong)" stroke-width="1.4" />
                </pattern>
            </defs>
            <g key="ground">{ stems(props) }{ layer(props, Layer::Ground) }</g>
            <g key="edges">{ for props.picture.edges.iter().map(|(id, e)| html! { <EdgeView key={&**id} item={e.clone()} /> }) }</g>
            <g key="things">{ layer(props, Layer::Thing) }</g>
            <g key="details">{ layer(props, Layer::Detail) }</g>
            <g key="texts">{ for props.picture.texts.iter().map(|(id, t)| html! { <TextView key={&**id} item={t.clone()} /> }) }</g>
            <g key="heads" class="heads">{ boxes(props, |b| b.shape == Shape::Lifeline) }</g>
            if let Some(y) = head.playhead {
                <path key="playhead" class="playhead" d={format!("M0 0 H{}", head.width)} style={format!("transform: translateY({y}px)")} />
            }
        </svg>
    }
}

fn node_of(thing: Option<&Thing>) -> Option<&str> {
    match thing? {
        Thing::Object { group, resource, name, .. } if group.is_empty() && resource == "nodes" => Some(name),
        Thing::Machine { name } => Some(name),
        _ => None,
    }
}

fn layer(props: &SceneProps, layer: Layer) -> Html {
    boxes(props, |b| b.layer == layer && b.shape != Shape::Lifeline)
}

fn boxes(props: &SceneProps, drawn: impl Fn(&SceneBox) -> bool) -> Html {
    let shown = props.picture.boxes.iter().filter(|(_, b)| drawn(b)).map(|(id, b)| {
        if b.shape == Shape::Cells {
            let at =
                |node: Option<&str>| node.and_then(|n| props.picture.cell(n)).filter(|(row, _)| **row == *id).map(|(_, i)| i);
            let cursor = at(props.cursor.as_deref().and_then(|c| c.strip_prefix("node/")));
            return html! { <CellsView key={&**id} item={b.clone()} selected={at(node_of(props.selected.as_ref()))} {cursor} /> };
        }
        let selected = b.opens.is_some() && b.opens == props.selected;
        let cursor = props.cursor.as_deref() == Some(&**id);
        html! { <BoxView key={&**id} item={b.clone()} {selected} {cursor} /> }
    });
    shown.collect()
}

/// The lines down from lifelines' heads. The heads themselves are drawn last: they stay in sight while the picture scrolls.
fn stems(props: &SceneProps) -> Html {
    let bottom = props.picture.head.height;
    let lines = props.picture.boxes.values().filter(|b| b.shape == Shape::Lifeline).map(|b| {
        let x = b.rect.centre().x;
        html! { <path key={format!("stem {}", b.id)} class="stem" d={format!("M{x} {} V{bottom}", b.rect.y + b.rect.h)} /> }
    });
    lines.collect()
}
