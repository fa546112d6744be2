//! The drawing: grounds, edges, things, details, texts, in this order. Items that have not changed are not drawn again.

use protocol::{Layer, Thing};
use yew::prelude::*;

use super::boxes::BoxView;
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
            <g key="ground">{ layer(props, Layer::Ground) }</g>
            <g key="edges">{ for props.picture.edges.iter().map(|(id, e)| html! { <EdgeView key={&**id} item={e.clone()} /> }) }</g>
            <g key="things">{ layer(props, Layer::Thing) }</g>
            <g key="details">{ layer(props, Layer::Detail) }</g>
            <g key="texts">{ for props.picture.texts.iter().map(|(id, t)| html! { <TextView key={&**id} item={t.clone()} /> }) }</g>
            if let Some(y) = head.playhead {
                <path key="playhead" class="playhead" d={format!("M0 0 H{}", head.width)} style={format!("transform: translateY({y}px)")} />
            }
        </svg>
    }
}

fn layer(props: &SceneProps, layer: Layer) -> Html {
    let picture = &props.picture;
    let shown = picture.boxes.iter().filter(|(_, b)| b.layer == layer).map(|(id, b)| {
        let selected = b.opens.is_some() && b.opens == props.selected;
        let cursor = props.cursor.as_deref() == Some(&**id);
        let bottom = if b.shape == protocol::Shape::Lifeline { picture.head.height } else { 0.0 };
        html! { <BoxView key={&**id} item={b.clone()} {bottom} {selected} {cursor} /> }
    });
    shown.collect()
}
