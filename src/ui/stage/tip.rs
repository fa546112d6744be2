//! The tip under the pointer: what a thing is, and the last message at it. Set outside the virtual DOM.

use web_sys::{Element, HtmlElement};
use yew::prelude::*;

use super::attribute_at;
use super::dots::Dots;
use crate::js;
use crate::seen::Picture;

/// The tip's element.
#[derive(Default)]
pub struct Tip {
    element: NodeRef,
    small: NodeRef,
    big: NodeRef,
}

impl Tip {
    pub fn view(&self) -> Html {
        html! { <div class="tip" ref={self.element.clone()} aria-hidden="true"><span ref={self.big.clone()}></span><small ref={self.small.clone()}></small></div> }
    }

    pub fn hide(&self) {
        self.show(None, 0.0, 0.0, (0.0, 0.0));
    }

    /// Shows the two texts near a point of the stage; None hides.
    pub fn show(&self, text: Option<(String, String)>, x: f32, y: f32, stage: (f32, f32)) {
        let (Some(element), Some(big), Some(small)) =
            (self.element.cast::<HtmlElement>(), self.big.cast::<HtmlElement>(), self.small.cast::<HtmlElement>())
        else {
            return;
        };
        let Some((what, last)) = text else {
            element.set_class_name("tip");
            return;
        };
        big.set_text_content(Some(&what));
        small.set_text_content(Some(&last));
        let (w, h) = (element.offset_width() as f32, element.offset_height() as f32);
        let left = (x + 14.0).min(stage.0 - w - 8.0).max(8.0);
        let top = if y + 18.0 + h > stage.1 { y - h - 10.0 } else { y + 18.0 };
        js::style(&element, "transform", &format!("translate({left}px, {top}px)"));
        js::style(&element, "left", "0");
        js::style(&element, "top", "0");
        element.set_class_name("tip on");
    }
}

/// What to say about the element under the pointer.
pub fn text_at(at: &Element, picture: &Picture, dots: &Dots) -> Option<(String, String)> {
    if let Some(tip) = attribute_at(at, "data-tip") {
        let (way, caption) = tip.split_once('\n').unwrap_or((&tip, ""));
        return Some((way.to_owned(), caption.to_owned()));
    }
    if let Some(id) = attribute_at(at, "data-box") {
        let b = picture.boxes.get(id.as_str()).filter(|b| b.opens.is_some())?;
        let what = if b.aria.is_empty() { b.title.clone() } else { b.aria.clone() };
        return Some((what, dots.last_at(&id).unwrap_or_default()));
    }
    let edge = picture.edges.get(attribute_at(at, "data-edge")?.as_str())?;
    (!edge.aria.is_empty()).then(|| (edge.aria.clone(), dots.last_between(&edge.from, &edge.to).unwrap_or_default()))
}
