//! The whole picture in small, where the stage shows only a part of it: which part that is, and a press or a drag leads elsewhere.

use protocol::{Layer, Point, SceneEdge, Segment};
use web_sys::{Element, PointerEvent};
use yew::prelude::*;

use super::camera::Camera;
use crate::seen::Picture;
use crate::shared::Shared;

/// The room that it takes at most, in px.
const ROOM: (f32, f32) = (150.0, 104.0);
/// On a smaller stage it would hide more than it shows, and fingers scroll.
const SMALLEST_STAGE: (f32, f32) = (680.0, 320.0);
/// Here and not among the page's styles, since most visits never show it.
const STYLE: &str = "position: absolute; right: 10px; bottom: 38px; z-index: 4; overflow: hidden; cursor: pointer; touch-action: none; \
                     background: color-mix(in srgb, var(--surface) 88%, transparent); border: 1px solid var(--line-strong); border-radius: 6px";

/// Whether there is something that the stage doesn't show.
pub fn needed(camera: &Camera, stage: (f32, f32), scene: (f32, f32)) -> bool {
    stage.0 >= SMALLEST_STAGE.0 && stage.1 >= SMALLEST_STAGE.1 && camera.overflows(stage, scene)
}

/// Px of the map for one of the scene.
fn scale(scene: (f32, f32)) -> f32 {
    (ROOM.0 / scene.0.max(1.0)).min(ROOM.1 / scene.1.max(1.0))
}

/// Puts the frame around what the stage shows.
pub fn put_frame(frame: &Element, camera: &Camera, stage: (f32, f32), scene: (f32, f32)) {
    let k = scale(scene);
    let (x, y) = (-camera.x / camera.zoom * k, -camera.y / camera.zoom * k);
    let (w, h) = (stage.0 / camera.zoom * k, stage.1 / camera.zoom * k);
    for (name, value) in [("x", x), ("y", y), ("width", w), ("height", h)] {
        // Setting an attribute can't fail.
        let _ = frame.set_attribute(name, &value.to_string());
    }
}

#[derive(Properties, PartialEq)]
pub struct MinimapProps {
    pub picture: Shared<Picture>,
    pub frame: NodeRef,
    /// A point of the scene that is to be in the stage's middle.
    pub go: Callback<(f32, f32)>,
}

/// Things as blocks, and a frame, which is put by [`put_frame`] outside the virtual DOM.
#[function_component]
pub fn Minimap(props: &MinimapProps) -> Html {
    let head = &props.picture.head;
    let k = scale((head.width, head.height));
    let (w, h) = ((head.width * k).max(8.0), (head.height * k).max(8.0));
    let mut blocks = [String::new(), String::new()];
    for b in props.picture.boxes.values().filter(|b| b.parent.is_none() || b.layer != Layer::Detail) {
        let ([x, y], [w, h]) = ([b.rect.x * k, b.rect.y * k], [b.rect.w * k, b.rect.h * k]);
        let block = &mut blocks[usize::from(b.layer != Layer::Ground)];
        block.push_str(&format!("M{x:.1} {y:.1}h{w:.1}v{h:.1}h-{w:.1}z"));
    }
    let lines: String = props.picture.edges.values().fold(String::new(), |mut d, e| {
        let end = end_of(e);
        d.push_str(&format!("M{:.1} {:.1}L{:.1} {:.1}", e.start.x * k, e.start.y * k, end.x * k, end.y * k));
        d
    });
    let map = use_node_ref();
    let (go, place) = (props.go.clone(), map.clone());
    let moved = Callback::from(move |event: PointerEvent| {
        if event.buttons() & 1 == 0 {
            return;
        }
        event.stop_propagation();
        event.prevent_default();
        if let Some(map) = place.cast::<Element>() {
            // Without capture the drag ends at the map's border: acceptable.
            let _ = map.set_pointer_capture(event.pointer_id());
            let at = map.get_bounding_client_rect();
            go.emit(((event.client_x() as f32 - at.left() as f32) / k, (event.client_y() as f32 - at.top() as f32) / k));
        }
    });
    let [ground, things] = blocks;
    html! {
        <svg ref={map} class="minimap" aria-hidden="true" style={STYLE} width={w.to_string()} height={h.to_string()} onpointerdown={moved.clone()} onpointermove={moved}>
            <path d={ground} fill="var(--surface-2)" stroke="var(--line-strong)" stroke-width=".5" />
            <path d={lines} stroke="var(--line-strong)" stroke-width=".6" fill="none" />
            <path d={things} fill="var(--text-3)" fill-opacity=".55" />
            <rect ref={props.frame.clone()} class="frame" fill="var(--brand)" fill-opacity=".12" stroke="var(--brand)" stroke-width="1.4" rx="3" />
        </svg>
    }
}

fn end_of(edge: &SceneEdge) -> Point {
    match edge.path.last() {
        Some(Segment::Line(end) | Segment::Cubic(.., end)) => *end,
        None => edge.start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_only_where_something_does_not_fit() {
        let camera = |zoom| Camera { zoom, x: 0.0, y: 0.0 };
        assert!(!needed(&camera(1.0), (1090.0, 530.0), (1090.0, 530.0)));
        assert!(needed(&camera(1.25), (1090.0, 530.0), (1090.0, 530.0)), "zoomed in");
        assert!(needed(&camera(1.0), (1090.0, 530.0), (1090.0, 2_000.0)), "a long flow");
        assert!(!needed(&camera(1.0), (360.0, 560.0), (360.0, 900.0)), "a phone scrolls");
    }

    #[test]
    fn the_map_keeps_the_pictures_shape() {
        assert_eq!(scale((1500.0, 520.0)), 0.1);
        assert_eq!(scale((1000.0, 2080.0)), 0.05);
    }
}
