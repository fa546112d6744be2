//! Dots: messages on their way. They are elements of their own over the picture, moved by Web Animations, so that nothing
//! is drawn anew while they fly. Every dot is a message that was sent; it opens on click, and stands still under the pointer.
//! With reduced motion a dot does not move: it becomes a numbered step in the middle of its way, and a line in a list.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use js_sys::Array;
use protocol::{Flight, MessageKind, Point, Thing};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Animation, Element, HtmlElement};

use super::boxes::dom_id;
use super::edges::{edge_dom_id, walk};
use crate::icons::{kind_class, kind_markup};
use crate::js;
use crate::seen::Picture;

/// More dots than this at once are not drawn (the edge still lights).
const MOST: usize = 90;
/// How many steps the list of reduced motion shows.
const STEPS: usize = 8;

/// A numbered step, shown instead of motion.
#[derive(Clone, PartialEq)]
pub struct Step {
    pub number: u32,
    pub message: u64,
    pub text: String,
}

/// The dots of the stage; cheap to clone, equal to itself.
#[derive(Clone, Default)]
pub struct Dots(Rc<RefCell<Inner>>);

impl PartialEq for Dots {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Default)]
struct Inner {
    overlay: Option<HtmlElement>,
    alive: BTreeMap<u32, Live>,
    next: u32,
    paused: bool,
    reduced: bool,
    /// How many dots light an edge now.
    lit: BTreeMap<String, u32>,
    /// The last message at a box, and between two (`a|b`), for their tips.
    last: BTreeMap<String, String>,
    steps: VecDeque<Step>,
    counted: u32,
    /// Counts resets: a timer of before does nothing.
    epoch: u32,
}

struct Live {
    element: HtmlElement,
    animation: Option<Animation>,
    edge: String,
}

impl Dots {
    /// The stage has put its overlay on the page.
    pub fn attach(&self, overlay: HtmlElement) {
        self.0.borrow_mut().overlay = Some(overlay);
    }

    /// The stage is off the page: nothing flies.
    pub fn detach(&self) {
        self.clear();
        let mut inner = self.0.borrow_mut();
        inner.overlay = None;
    }

    /// Reduced motion from now on, or no longer.
    pub fn set_reduced(&self, reduced: bool) {
        self.0.borrow_mut().reduced = reduced;
    }

    /// Dots stand still while time does.
    pub fn set_paused(&self, paused: bool) {
        let mut inner = self.0.borrow_mut();
        inner.paused = paused;
        for animation in inner.alive.values().filter_map(|live| live.animation.as_ref()) {
            run_or_rest(animation, paused);
        }
    }

    /// Takes all dots away: the picture has become another one.
    pub fn clear(&self) {
        let mut inner = self.0.borrow_mut();
        inner.epoch += 1;
        for (_, live) in std::mem::take(&mut inner.alive) {
            live.element.remove();
        }
        for edge in std::mem::take(&mut inner.lit).into_keys() {
            inner.mark(&edge, None);
        }
    }

    /// What was last said at this box.
    pub fn last_at(&self, id: &str) -> Option<String> {
        self.0.borrow().last.get(id).cloned()
    }

    /// What was last said between two boxes, either way.
    pub fn last_between(&self, a: &str, b: &str) -> Option<String> {
        self.0.borrow().last.get(&between(a, b)).cloned()
    }

    /// The list of reduced motion, oldest first.
    pub fn steps(&self) -> Vec<Step> {
        self.0.borrow().steps.iter().cloned().collect()
    }

    /// Sends messages on their way. True if the list of steps has changed.
    pub fn fly(&self, picture: &Picture, flights: Vec<Flight>) -> bool {
        let mut stepped = false;
        for flight in flights {
            if !flight.caption.is_empty() {
                let text = format!("{} → {}  {}", flight.from, flight.to, flight.caption);
                let mut inner = self.0.borrow_mut();
                // Pods come and go for as long as a tab is open.
                if inner.last.len() > MOST_LAST {
                    inner.last.clear();
                }
                inner.last.insert(flight.from.clone(), text.clone());
                inner.last.insert(flight.to.clone(), text.clone());
                inner.last.insert(between(&flight.from, &flight.to), text.clone());
                stepped |= inner.reduced && inner.count_step(&flight, text);
            }
            if let Some(points) = way(picture, &flight) {
                self.launch(flight, &points);
            }
        }
        stepped
    }

    fn launch(&self, flight: Flight, points: &[Point]) {
        let mut inner = self.0.borrow_mut();
        let Some(overlay) = inner.overlay.clone() else { return };
        let (id, epoch) = (inner.next, inner.epoch);
        inner.next += 1;
        let kind = kind_class(flight.kind);
        let edge = flight.edge.clone();
        if !edge.is_empty() {
            let dots = self.clone();
            let lit = edge.clone();
            js::later(flight.start_ms, move || dots.light(&lit, kind, epoch));
        }
        let drawn = inner.alive.len() < MOST;
        let reduced = inner.reduced;
        let paused = inner.paused;
        let element = drawn.then(|| make(&flight, points, reduced.then_some(inner.counted))).flatten();
        let animation = element.as_ref().and_then(|element| {
            // Appended even if it can't move: it is then taken away by the timer below.
            overlay.append_child(element).ok()?;
            if reduced { fade(element, &flight) } else { move_along(element, points, &flight) }
        });
        if let Some(animation) = animation.as_ref().filter(|_| paused) {
            run_or_rest(animation, true);
        }
        let finished = animation.as_ref().and_then(|a| a.finished().ok());
        if let Some(element) = element {
            inner.alive.insert(id, Live { element, animation, edge: edge.clone() });
        }
        drop(inner);
        self.finish_later(id, epoch, edge, flight, finished);
    }

    /// Takes the dot away when its animation has ended (which waits while it is paused), or by the clock if it has none.
    fn finish_later(&self, id: u32, epoch: u32, edge: String, flight: Flight, finished: Option<js_sys::Promise>) {
        let dots = self.clone();
        let wait = flight.start_ms + flight.duration_ms;
        let Some(finished) = finished else {
            js::later(wait, move || dots.finish(id, epoch, &edge, &flight));
            return;
        };
        spawn_local(async move {
            // A cancelled animation rejects: the dot is over all the same.
            let _ = JsFuture::from(finished).await;
            dots.finish(id, epoch, &edge, &flight);
        });
    }

    fn finish(&self, id: u32, epoch: u32, edge: &str, flight: &Flight) {
        let mut inner = self.0.borrow_mut();
        if let Some(live) = inner.alive.remove(&id) {
            live.element.remove();
        }
        if inner.epoch != epoch {
            return;
        }
        if let Some(count) = inner.lit.get_mut(edge) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inner.lit.remove(edge);
                inner.mark(edge, None);
            }
        }
        // Wherever it came from, it has arrived at `to`.
        let arrived = &flight.to;
        let Some(target) = js::document().get_element_by_id(&dom_id(arrived)) else { return };
        drop(inner);
        flash(target);
    }

    fn light(&self, edge: &str, kind: &str, epoch: u32) {
        let mut inner = self.0.borrow_mut();
        // The dot may be over already (its timer and its animation are not in step to the millisecond).
        if inner.epoch == epoch && inner.alive.values().any(|live| live.edge == edge) {
            *inner.lit.entry(edge.to_owned()).or_default() = inner.alive.values().filter(|live| live.edge == edge).count() as u32;
            inner.mark(edge, Some(kind));
        }
    }
}

impl Inner {
    fn mark(&self, edge: &str, kind: Option<&str>) {
        let Some(element) = js::document().get_element_by_id(&edge_dom_id(edge)) else { return };
        // Setting a data attribute can't fail; the edge may be gone, which is handled above.
        let _ = match kind {
            Some(kind) => element.set_attribute("data-lit", kind),
            None => element.remove_attribute("data-lit"),
        };
    }

    fn count_step(&mut self, flight: &Flight, text: String) -> bool {
        self.counted += 1;
        self.steps.push_back(Step { number: self.counted, message: flight.message, text });
        if self.steps.len() > STEPS {
            self.steps.pop_front();
        }
        true
    }
}

/// The message has arrived: the box lights for a moment.
fn flash(target: Element) {
    let _ = target.set_attribute("data-lit", "");
    js::later(360, move || {
        let _ = target.remove_attribute("data-lit");
    });
}

/// The points that a flight passes, in its own direction; None if nothing it touches is drawn.
fn way(picture: &Picture, flight: &Flight) -> Option<Vec<Point>> {
    if let Some(edge) = picture.edges.get(flight.edge.as_str()) {
        let mut points = walk(edge, 14);
        if flight.reverse {
            points.reverse();
        }
        return (points.len() > 1).then(|| evenly(&points));
    }
    let centre = |id: &str| picture.place(id).map(protocol::Rect::centre);
    let (from, to) = (centre(&flight.from)?, centre(&flight.to)?);
    Some(evenly(&[from, to]))
}

/// So many last messages are remembered; then it begins anew.
const MOST_LAST: usize = 4_000;

/// The key of what is said between two boxes, whoever says it.
fn between(a: &str, b: &str) -> String {
    if a < b { format!("{a}|{b}") } else { format!("{b}|{a}") }
}

/// The same way in steps of at most a tenth of it: a dot fades in on the first and out on the last.
fn evenly(points: &[Point]) -> Vec<Point> {
    let length = |p: &[Point]| ((p[1].x - p[0].x).powi(2) + (p[1].y - p[0].y).powi(2)).sqrt();
    let whole: f32 = points.windows(2).map(length).sum::<f32>().max(0.1);
    let mut out = vec![points[0]];
    for pair in points.windows(2) {
        let parts = (length(pair) / whole * 10.0).ceil().max(1.0);
        let at =
            |i: f32| Point::new(pair[0].x + (pair[1].x - pair[0].x) * i / parts, pair[0].y + (pair[1].y - pair[0].y) * i / parts);
        out.extend((1..=parts as usize).map(|i| at(i as f32)));
    }
    out
}

fn make(flight: &Flight, points: &[Point], step: Option<u32>) -> Option<HtmlElement> {
    let element = blank(flight.kind, step.is_some())?;
    element.set_attribute("data-message", &flight.message.to_string()).ok()?;
    element.set_attribute("data-tip", &format!("{} → {}\n{}", flight.from, flight.to, flight.caption)).ok()?;
    match step {
        Some(number) => {
            let middle = points[points.len() / 2];
            js::style(&element, "transform", &format!("translate({}px, {}px)", middle.x, middle.y));
            element.set_text_content(Some(&number.to_string()));
        }
        None => {
            if flight.count > 1 {
                let badge = js::document().create_element("b").ok()?;
                badge.set_text_content(Some(&flight.count.to_string()));
                element.append_child(&badge).ok()?;
            }
        }
    }
    Some(element)
}

thread_local! {
    /// A dot of each kind, to be copied: parsing its markup each time would cost more than all the rest of it.
    static BLANKS: RefCell<BTreeMap<String, HtmlElement>> = const { RefCell::new(BTreeMap::new()) };
}

/// A dot without a message.
fn blank(kind: MessageKind, step: bool) -> Option<HtmlElement> {
    let class = format!("dot {}{}", kind_class(kind), if step { " step" } else { "" });
    BLANKS.with_borrow_mut(|blanks| {
        if !blanks.contains_key(&class) {
            let element: HtmlElement = js::document().create_element("button").ok()?.dyn_into().ok()?;
            element.set_class_name(&class);
            element.set_tab_index(-1);
            element.set_inner_html(if step { "" } else { kind_markup(kind) });
            blanks.insert(class.clone(), element);
        }
        blanks.get(&class)?.clone_node_with_deep(true).ok()?.dyn_into().ok()
    })
}

fn options(flight: &Flight, easing: &str) -> JsValue {
    js::object(&[
        ("duration", flight.duration_ms.max(1).into()),
        ("delay", flight.start_ms.into()),
        ("fill", "both".into()),
        ("easing", easing.into()),
    ])
}

fn move_along(element: &HtmlElement, points: &[Point], flight: &Flight) -> Option<Animation> {
    let lengths: Vec<f32> = points.windows(2).map(|p| ((p[1].x - p[0].x).powi(2) + (p[1].y - p[0].y).powi(2)).sqrt()).collect();
    let whole: f32 = lengths.iter().sum::<f32>().max(0.1);
    let frames = Array::new();
    let mut gone = 0.0;
    for (i, p) in points.iter().enumerate() {
        let ends = i == 0 || i + 1 == points.len();
        frames.push(&js::object(&[
            ("transform", format!("translate({:.1}px, {:.1}px)", p.x, p.y).into()),
            ("offset", if i + 1 == points.len() { 1.0 } else { f64::from((gone / whole).min(1.0)) }.into()),
            ("opacity", if ends { 0.0 } else { 1.0 }.into()),
        ]));
        gone += lengths.get(i).copied().unwrap_or(0.0);
    }
    js::animate(element, &frames, &options(flight, "cubic-bezier(.45, .1, .55, .9)"))
}

fn fade(element: &HtmlElement, flight: &Flight) -> Option<Animation> {
    let frame = |opacity: f64| js::object(&[("opacity", opacity.into())]);
    let frames = Array::of4(&frame(0.0), &frame(1.0), &frame(1.0), &frame(0.0));
    js::animate(element, &frames, &options(&Flight { duration_ms: flight.duration_ms.max(1600), ..flight.clone() }, "linear"))
}

fn run_or_rest(animation: &Animation, rest: bool) {
    if animation.play_state() == web_sys::AnimationPlayState::Finished {
        return;
    }
    // Pausing or resuming an animation that is just ending may throw; it ends either way.
    let _ = if rest { animation.pause() } else { animation.play() };
}

/// Which message the element under the pointer is, if it is a dot.
pub fn message_of(element: &Element) -> Option<Thing> {
    let dot = element.closest("[data-message]").ok().flatten()?;
    Some(Thing::Message { id: dot.get_attribute("data-message")?.parse().ok()? })
}

impl Dots {
    /// The dot under the pointer stands still so that it can be read and clicked; the others go on.
    pub fn hold(&self, held: Option<&Element>) {
        let inner = self.0.borrow();
        if inner.paused {
            return;
        }
        let held = held.and_then(|e| e.closest(".dot").ok().flatten());
        for live in inner.alive.values() {
            let Some(animation) = &live.animation else { continue };
            let this = held.as_ref().is_some_and(|h| **h == **live.element);
            let rests = animation.play_state() == web_sys::AnimationPlayState::Paused;
            if this != rests {
                run_or_rest(animation, this);
            }
        }
    }
}
