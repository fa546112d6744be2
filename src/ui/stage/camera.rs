//! Pan and zoom: a transform on the canvas, set outside the virtual DOM.

use web_sys::HtmlElement;

use crate::js;

/// Where the canvas is: `screen = scene × zoom + (x, y)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    pub zoom: f32,
    pub x: f32,
    pub y: f32,
}

impl Camera {
    /// The resting place: the scene centred in the stage, or its top left corner if it is larger. Scenes are laid out for the
    /// stage, so that the zoom is 1 but where a scene's smallest form is wider than a very small stage.
    pub fn home(stage: (f32, f32), scene: (f32, f32)) -> Camera {
        let zoom = if scene.0 > stage.0 + 1.0 { (stage.0 / scene.0).max(0.8) } else { 1.0 };
        let rest = |room: f32, size: f32| ((room - size * zoom) / 2.0).max(0.0).round();
        Camera { zoom, x: rest(stage.0, scene.0), y: rest(stage.1, scene.1) }
    }

    /// Zooms by `factor` around a point of the stage.
    pub fn zoom_at(&mut self, factor: f32, px: f32, py: f32) {
        let zoom = (self.zoom * factor).clamp(0.25, 4.0);
        let k = zoom / self.zoom;
        self.x = px - (px - self.x) * k;
        self.y = py - (py - self.y) * k;
        self.zoom = zoom;
    }

    /// Keeps at least a corner of the scene on the stage.
    pub fn hold(&mut self, stage: (f32, f32), scene: (f32, f32)) {
        let margin = 80.0_f32;
        self.x = self.x.clamp(margin.min(stage.0) - scene.0 * self.zoom, (stage.0 - margin).max(0.0));
        self.y = self.y.clamp(margin.min(stage.1) - scene.1 * self.zoom, (stage.1 - margin).max(0.0));
    }

    /// The scene does not fit: the wheel scrolls it.
    pub fn overflows(&self, stage: (f32, f32), scene: (f32, f32)) -> bool {
        scene.1 * self.zoom > stage.1 + 2.0 || scene.0 * self.zoom > stage.0 + 2.0
    }

    /// Puts the canvas there.
    pub fn show(&self, canvas: &HtmlElement) {
        js::style(canvas, "transform", &format!("translate({}px, {}px) scale({})", self.x, self.y, self.zoom));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooming_keeps_the_point_under_the_pointer() {
        let mut camera = Camera { zoom: 1.0, x: 10.0, y: 20.0 };
        let scene_x = |c: &Camera| (100.0 - c.x) / c.zoom;
        let before = scene_x(&camera);
        camera.zoom_at(2.0, 100.0, 50.0);
        assert!((scene_x(&camera) - before).abs() < 1e-3);
    }
}
