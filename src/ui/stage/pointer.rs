//! The pointer on the stage: pan, zoom, pinch, hover, click.

use protocol::{Cells, Thing};
use web_sys::Element;
use yew::prelude::*;

use super::camera::Camera;
use super::{Stage, attribute_at, cells, dots, target, tip};
use crate::app::Do;
use crate::seen::Picture;

/// A drag in progress: where it began, where the camera was, whether it has become one.
pub struct Drag {
    pointer: i32,
    from: (f32, f32),
    camera: Camera,
    moved: bool,
}

impl Stage {
    /// Ctrl/⌘ + wheel (and pinch) zooms; a plain wheel scrolls a picture that doesn't fit, and otherwise zooms unless the page
    /// is embedded (there it belongs to the page around).
    pub(super) fn wheel(&mut self, ctx: &Context<Self>, event: &WheelEvent) {
        let zooms = event.ctrl_key() || event.meta_key();
        let scrolls = self.camera.overflows(self.size(), Self::scene(ctx));
        if !zooms && !scrolls && crate::app::embedded() {
            return;
        }
        event.prevent_default();
        let (dx, dy) = (event.delta_x() as f32, event.delta_y() as f32);
        if zooms || !scrolls {
            let (x, y) = self.local(event.client_x(), event.client_y());
            self.camera.zoom_at((-dy * 0.0022).clamp(-0.4, 0.4).exp(), x, y);
        } else if event.shift_key() {
            self.camera.x -= dy + dx;
        } else {
            self.camera.x -= dx;
            self.camera.y -= dy;
        }
        self.moved = true;
        self.place(ctx);
    }

    fn local(&self, x: i32, y: i32) -> (f32, f32) {
        let rect = self.root.cast::<Element>().map(|e| e.get_bounding_client_rect());
        rect.map_or((x as f32, y as f32), |r| (x as f32 - r.left() as f32, y as f32 - r.top() as f32))
    }

    pub(super) fn down(&mut self, event: &PointerEvent) {
        self.swallow_click = false;
        let on_tool =
            target(event).is_some_and(|e| e.closest("button:not(.dot), select, .boot, .past, .steps").ok().flatten().is_some());
        if event.button() != 0 || on_tool {
            return;
        }
        let (x, y) = self.local(event.client_x(), event.client_y());
        self.fingers.retain(|f| f.0 != event.pointer_id());
        self.fingers.push((event.pointer_id(), x, y));
        self.drag = Some(Drag {
            pointer: event.pointer_id(),
            from: (event.client_x() as f32, event.client_y() as f32),
            camera: self.camera,
            moved: false,
        });
    }

    /// Two fingers: zooms by how their distance changes, around the finger that rests.
    fn pinch(&mut self, ctx: &Context<Self>, event: &PointerEvent) -> bool {
        let [a, b] = self.fingers[..] else { return false };
        let (moving, resting) = if a.0 == event.pointer_id() { (a, b) } else { (b, a) };
        let (x, y) = self.local(event.client_x(), event.client_y());
        let before = (moving.1 - resting.1).hypot(moving.2 - resting.2).max(1.0);
        let after = (x - resting.1).hypot(y - resting.2).max(1.0);
        self.fingers = vec![(moving.0, x, y), resting];
        self.camera.zoom_at(after / before, resting.1, resting.2);
        self.drag = None;
        self.moved = true;
        self.swallow_click = true;
        self.place(ctx);
        true
    }

    pub(super) fn pointer_moved(&mut self, ctx: &Context<Self>, event: &PointerEvent) {
        if self.pinch(ctx, event) {
            return;
        }
        let Some(drag) = self.drag.as_mut().filter(|d| d.pointer == event.pointer_id()) else {
            self.hover(ctx, event);
            return;
        };
        let (dx, dy) = (event.client_x() as f32 - drag.from.0, event.client_y() as f32 - drag.from.1);
        if !drag.moved && dx.abs() + dy.abs() < 5.0 {
            return;
        }
        if !drag.moved {
            drag.moved = true;
            if let Some(root) = self.root.cast::<Element>() {
                // Without capture the drag ends at the stage's border: acceptable.
                let _ = root.set_pointer_capture(event.pointer_id());
                let _ = root.class_list().add_1("drag");
            }
        }
        self.camera = Camera { x: drag.camera.x + dx, y: drag.camera.y + dy, ..drag.camera };
        self.moved = true;
        self.place(ctx);
    }

    pub(super) fn up(&mut self, event: &PointerEvent) {
        self.fingers.retain(|f| f.0 != event.pointer_id());
        if let Some(drag) = self.drag.take_if(|d| d.pointer == event.pointer_id()) {
            self.swallow_click = drag.moved;
            if let Some(root) = self.root.cast::<Element>() {
                let _ = root.class_list().remove_1("drag");
            }
        }
    }

    pub(super) fn click(&mut self, ctx: &Context<Self>, event: &MouseEvent) {
        if std::mem::take(&mut self.swallow_click) {
            return;
        }
        let Some(at) = target(event) else { return };
        if let Some(message) = dots::message_of(&at) {
            ctx.props().run.emit(Do::Inspect(Some(message)));
            return;
        }
        let picture = &ctx.props().picture;
        if let Some((cells, i)) = self.cell_at(picture, &at, event) {
            let opens = cells::opens(cells, i);
            self.cursor = opens.as_ref().map(Thing::title);
            ctx.props().run.emit(Do::Inspect(opens));
            return;
        }
        if let Some(opens) = opens_at(picture, &at) {
            self.cursor = attribute_at(&at, "data-box");
            ctx.props().run.emit(Do::Inspect(Some(opens)));
        }
    }

    fn hover(&mut self, ctx: &Context<Self>, event: &PointerEvent) {
        let Some(at) = target(event) else { return };
        ctx.props().dots.hold(at.closest(".dot").ok().flatten().as_ref());
        let (x, y) = self.local(event.client_x(), event.client_y());
        let picture = &ctx.props().picture;
        let text = match self.cell_at(picture, &at, event) {
            Some((cells, i)) => cells::told(cells, i).map(|text| (text, String::new())),
            None => tip::text_at(&at, picture, &ctx.props().dots),
        };
        self.tip.show(text, x, y, self.size());
    }
}

impl Stage {
    /// The cell of a heat map under the pointer.
    fn cell_at<'a>(&self, picture: &'a Picture, at: &Element, event: &MouseEvent) -> Option<(&'a Cells, usize)> {
        let row = picture.boxes.get(attribute_at(at, "data-box")?.as_str())?;
        let (x, _) = self.local(event.client_x(), event.client_y());
        let cells = row.cells.as_deref()?;
        Some((cells, cells.at((x - self.camera.x) / self.camera.zoom - row.rect.x)?))
    }
}

/// What a click there opens: the box, or the edge, or nothing.
fn opens_at(picture: &Picture, at: &Element) -> Option<Thing> {
    if let Some(id) = attribute_at(at, "data-box") {
        return picture.boxes.get(id.as_str())?.opens.clone();
    }
    if let Some(id) = attribute_at(at, "data-text") {
        return picture.texts.get(id.as_str())?.opens.clone();
    }
    picture.edges.get(attribute_at(at, "data-edge")?.as_str())?.opens.clone()
}
