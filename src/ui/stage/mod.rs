//! The stage: draws the scene, pans and zooms it, leads the arrow keys through it, and opens what is clicked.

mod boxes;
mod camera;
pub mod cells;
pub mod dots;
mod edges;
mod keys;
mod legend;
mod minimap;
mod pointer;
mod svg;
mod tip;

use std::cell::Cell;
use std::rc::Rc;

use protocol::{Lens, Thing, ViewOptions};
use wasm_bindgen::prelude::*;
use web_sys::{Element, HtmlElement, ResizeObserver};
use yew::prelude::*;

use crate::app::Do;
use crate::icons;
use crate::seen::Picture;
use crate::shared::Shared;
use boxes::dom_id;
pub use boxes::state_class;
use camera::Camera;
use dots::{Dots, Step};
use minimap::Minimap;
use pointer::Drag;
use svg::SceneSvg;
use tip::Tip;

/// Above that many boxes nothing glides: motion would be noise, and costs frames.
const MANY: usize = 400;
/// At full speed nothing glides while pictures follow one another within so many ms: each would only start a glide that the next cuts
/// off, and every gliding thing is a layer to draw at every frame.
const HURRIED_MS: f64 = 400.0;

#[derive(Properties, PartialEq)]
pub struct StageProps {
    pub picture: Shared<Picture>,
    /// What the inspector shows.
    pub selected: Option<Thing>,
    pub dots: Dots,
    pub options: ViewOptions,
    /// Time passes as fast as it can.
    pub full_speed: bool,
    /// The list of reduced motion.
    pub steps: Vec<Step>,
    pub run: Callback<Do>,
    /// What lies over the picture: boot bar, past bar.
    #[prop_or_default]
    pub children: Html,
}

pub enum Msg {
    Wheel(WheelEvent),
    Down(PointerEvent),
    Move(PointerEvent),
    Up(PointerEvent),
    Leave,
    Click(MouseEvent),
    Key(KeyboardEvent),
    Zoom(f32),
    Home,
    /// To this point of the scene.
    Go((f32, f32)),
    /// The map is needed, or no more.
    Map,
}

pub struct Stage {
    root: NodeRef,
    canvas: NodeRef,
    overlay: NodeRef,
    tip: Tip,
    camera: Camera,
    /// The user has moved the camera: a new patch leaves it alone.
    moved: bool,
    drag: Option<Drag>,
    /// Fingers on the stage: two of them zoom.
    fingers: Vec<(i32, f32, f32)>,
    swallow_click: bool,
    cursor: Option<String>,
    observer: Option<(ResizeObserver, Closure<dyn FnMut()>)>,
    /// The stage's width and height, as the observer saw them: to ask the element would lay the whole page out in the midst of a change.
    measured: Rc<Cell<(f32, f32)>>,
    /// Part of the picture is outside: a map shows the whole, and in it a frame.
    mapped: bool,
    frame: NodeRef,
    home_for: (Lens, (f32, f32), u32),
    /// When the last picture came, and whether it followed the one before at once.
    pictured: (f64, bool),
}

impl Component for Stage {
    type Message = Msg;
    type Properties = StageProps;

    fn create(_: &Context<Self>) -> Self {
        Stage {
            root: NodeRef::default(),
            canvas: NodeRef::default(),
            overlay: NodeRef::default(),
            tip: Tip::default(),
            camera: Camera { zoom: 1.0, x: 0.0, y: 0.0 },
            moved: false,
            drag: None,
            fingers: Vec::new(),
            swallow_click: false,
            cursor: None,
            observer: None,
            measured: Rc::default(),
            mapped: false,
            frame: NodeRef::default(),
            home_for: Default::default(),
            pictured: (0.0, false),
        }
    }

    fn changed(&mut self, ctx: &Context<Self>, old: &StageProps) -> bool {
        let (new, old) = (&ctx.props().picture, &old.picture);
        if new.head.lens != old.head.lens {
            self.moved = false;
            self.cursor = None;
        }
        if new != old {
            let (now, before) = (js_sys::Date::now(), self.pictured.0);
            // What is seen by another lens glides there, at any speed.
            self.pictured = (now, new.head.lens == old.head.lens && now - before < HURRIED_MS);
        }
        true
    }

    fn update(&mut self, ctx: &Context<Self>, msg: Msg) -> bool {
        match msg {
            Msg::Wheel(event) => self.wheel(ctx, &event),
            Msg::Down(event) => self.down(&event),
            Msg::Move(event) => self.pointer_moved(ctx, &event),
            Msg::Up(event) => self.up(&event),
            Msg::Leave => {
                self.tip.hide();
                ctx.props().dots.hold(None);
            }
            Msg::Click(event) => self.click(ctx, &event),
            Msg::Key(event) => return self.key(ctx, &event),
            Msg::Zoom(factor) => self.zoom(ctx, factor),
            Msg::Home => self.go_home(ctx),
            Msg::Go(point) => self.go(ctx, point),
            Msg::Map => return true,
        }
        false
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        let props = ctx.props();
        let link = ctx.link();
        let head = &props.picture.head;
        let label = format!("{}. Arrow keys move between things, Enter opens, plus, minus and 0 zoom.", head.title);
        let act = |msg: fn() -> Msg| link.callback(move |_: MouseEvent| msg());
        let size = format!("width: {}px; height: {}px", head.width, head.height);
        let still = props.picture.boxes.len() > MANY || (props.full_speed && self.pictured.1);
        html! {
            <main class="stage" id="stage" ref={self.root.clone()} tabindex="0" role="application" aria-label={label}
                aria-activedescendant={self.cursor.as_deref().map(dom_id)}
                onwheel={link.callback(Msg::Wheel)} onpointerdown={link.callback(Msg::Down)} onpointermove={link.callback(Msg::Move)}
                onpointerup={link.callback(Msg::Up)} onpointercancel={link.callback(Msg::Up)} onpointerleave={link.callback(|_| Msg::Leave)}
                onclick={link.callback(Msg::Click)} onkeydown={link.callback(Msg::Key)}>
                <div class={classes!("canvas", still.then_some("still"))} ref={self.canvas.clone()} style={size}>
                    <SceneSvg picture={props.picture.clone()} selected={props.selected.clone()} cursor={self.cursor.clone()} />
                    <div class="dots" aria-hidden="true" ref={self.overlay.clone()}></div>
                </div>
                if let Some(text) = &head.empty {
                    <div class="empty"><p>{ text }</p></div>
                }
                { choices(props) }
                <div class="stage-tools">
                    <button class="btn icon small" title="Zoom out (−)" aria-label="Zoom out" onclick={act(|| Msg::Zoom(0.8))}>{ icons::icon("minus") }</button>
                    <button class="btn icon small" title="Fit (0)" aria-label="Fit the picture" onclick={act(|| Msg::Home)}>{ icons::icon("fit") }</button>
                    <button class="btn icon small" title="Zoom in (+)" aria-label="Zoom in" onclick={act(|| Msg::Zoom(1.25))}>{ icons::icon("plus") }</button>
                </div>
                if self.mapped {
                    <Minimap picture={props.picture.clone()} frame={self.frame.clone()} go={link.callback(Msg::Go)} />
                }
                { steps(props) }
                <legend::Legend options={props.options.clone()} run={props.run.clone()} />
                { self.tip.view() }
                { props.children.clone() }
            </main>
        }
    }

    fn destroy(&mut self, ctx: &Context<Self>) {
        ctx.props().dots.detach();
        if let Some((observer, _)) = &self.observer {
            observer.disconnect();
        }
    }

    fn rendered(&mut self, ctx: &Context<Self>, first: bool) {
        if first {
            self.attach(ctx);
        }
        let head = &ctx.props().picture.head;
        let now = (head.lens, (head.width, head.height), ctx.props().picture.epoch);
        if now != self.home_for {
            self.home_for = now;
            if !self.moved {
                self.go_home(ctx);
            }
        }
        if self.mapped {
            self.show_frame(ctx);
        }
    }
}

/// A list of what can be drawn: pods in the flow lens, Services in the network lens.
fn choices(props: &StageProps) -> Html {
    let head = &props.picture.head;
    if head.choices.is_empty() {
        return html! {};
    }
    let things: Vec<Thing> = head.choices.iter().map(|c| c.thing.clone()).collect();
    let run = props.run.clone();
    let onchange = Callback::from(move |event: Event| {
        let select: web_sys::HtmlSelectElement = event.target_unchecked_into();
        if let Some(thing) = things.get(select.selected_index().max(0) as usize) {
            run.emit(Do::Choose(thing.clone()));
        }
    });
    html! {
        <label class="stage-choose">
            <span class="wide">{ &head.choose }</span>
            <select class="select" aria-label={head.choose.clone()} {onchange}>
                { for head.choices.iter().map(|c| html! { <option selected={c.chosen}>{ &c.label }</option> }) }
            </select>
        </label>
    }
}

fn steps(props: &StageProps) -> Html {
    if props.steps.is_empty() {
        return html! {};
    }
    html! {
        <ol class="steps" aria-label="Messages, in order">
            { for props.steps.iter().map(|step| {
                let (run, message) = (props.run.clone(), step.message);
                let onclick = Callback::from(move |_| run.emit(Do::Inspect(Some(Thing::Message { id: message }))));
                html! { <li key={step.number}><button {onclick}><b>{ step.number }</b>{ &step.text }</button></li> }
            }) }
        </ol>
    }
}

impl Stage {
    fn attach(&mut self, ctx: &Context<Self>) {
        let (Some(root), Some(overlay)) = (self.root.cast::<Element>(), self.overlay.cast::<HtmlElement>()) else { return };
        ctx.props().dots.attach(overlay);
        let (run, watched, measured) = (ctx.props().run.clone(), root.clone(), self.measured.clone());
        measured.set((root.client_width() as f32, root.client_height() as f32));
        let on_size = Closure::<dyn FnMut()>::new(move || {
            let (width, height) = (watched.client_width() as f32, watched.client_height() as f32);
            measured.set((width, height));
            run.emit(Do::StageSize(width, height));
        });
        if let Ok(observer) = ResizeObserver::new(on_size.as_ref().unchecked_ref()) {
            observer.observe(&root);
            self.observer = Some((observer, on_size));
        }
    }

    fn size(&self) -> (f32, f32) {
        self.measured.get()
    }

    fn scene(ctx: &Context<Self>) -> (f32, f32) {
        let head = &ctx.props().picture.head;
        (head.width, head.height)
    }

    fn zoom(&mut self, ctx: &Context<Self>, factor: f32) {
        let (w, h) = self.size();
        self.camera.zoom_at(factor, w / 2.0, h / 2.0);
        self.moved = true;
        self.place(ctx);
    }

    fn go_home(&mut self, ctx: &Context<Self>) {
        self.camera = Camera::home(self.size(), Self::scene(ctx));
        self.moved = false;
        self.place(ctx);
    }

    /// Puts a point of the scene into the stage's middle.
    fn go(&mut self, ctx: &Context<Self>, (x, y): (f32, f32)) {
        let (w, h) = self.size();
        self.camera.x = w / 2.0 - x * self.camera.zoom;
        self.camera.y = h / 2.0 - y * self.camera.zoom;
        self.moved = true;
        self.place(ctx);
    }

    fn show_frame(&mut self, ctx: &Context<Self>) {
        let (stage, scene) = (self.size(), Self::scene(ctx));
        let needed = minimap::needed(&self.camera, stage, scene);
        if needed != self.mapped {
            self.mapped = needed;
            ctx.link().send_message(Msg::Map);
        }
        if let Some(frame) = self.frame.cast::<Element>() {
            minimap::put_frame(&frame, &self.camera, stage, scene);
        }
    }

    fn place(&mut self, ctx: &Context<Self>) {
        self.camera.hold(self.size(), Self::scene(ctx));
        self.show_frame(ctx);
        if let Some(canvas) = self.canvas.cast::<HtmlElement>() {
            self.camera.show(&canvas);
            self.hold_heads(ctx, &canvas);
        }
        self.tip.hide();
    }

    /// Lifelines' heads stay at the stage's top while their picture scrolls.
    fn hold_heads(&self, ctx: &Context<Self>, canvas: &HtmlElement) {
        let top = ctx
            .props()
            .picture
            .boxes
            .values()
            .filter(|b| b.shape == protocol::Shape::Lifeline)
            .map(|b| b.rect.y)
            .reduce(f32::min);
        let Ok(Some(heads)) = canvas.query_selector(".heads") else { return };
        let down = top.map_or(0.0, |top| (8.0 - self.camera.y) / self.camera.zoom - top).max(0.0);
        // Setting an attribute can't fail.
        let _ = heads.set_attribute("transform", &format!("translate(0 {down})"));
    }

    fn key(&mut self, ctx: &Context<Self>, event: &KeyboardEvent) -> bool {
        let own = target(event).is_some_and(|e| self.root.cast::<Element>().is_some_and(|root| root == e));
        if !own || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return false;
        }
        let picture = &ctx.props().picture;
        match event.key().as_str() {
            "Enter" => {
                let thing = self.cursor.as_deref().and_then(|id| picture.opens(id));
                ctx.props().run.emit(Do::Inspect(thing));
            }
            "+" | "=" => self.zoom(ctx, 1.25),
            "-" => self.zoom(ctx, 0.8),
            "0" => self.go_home(ctx),
            key => {
                let Some(next) = keys::next(picture, self.cursor.as_deref(), key) else { return false };
                self.cursor = Some(next);
                event.prevent_default();
                return true;
            }
        }
        event.prevent_default();
        false
    }
}

fn target(event: &web_sys::Event) -> Option<Element> {
    event.target().and_then(|t| t.dyn_into().ok())
}

fn attribute_at(at: &Element, name: &str) -> Option<String> {
    at.closest(&format!("[{name}]")).ok().flatten()?.get_attribute(name)
}
