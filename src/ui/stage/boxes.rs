//! One box of a scene as SVG: frame, glyph, title, lines. The places of texts are those that `protocol`'s table of shapes names.

use protocol::{Glyph, SceneBox, Shape, Span, State, Tone};
use yew::prelude::*;

use crate::format;
use crate::icons;
use crate::shared::Shared;

#[derive(Properties, PartialEq)]
pub struct BoxProps {
    pub item: Shared<SceneBox>,
    /// The inspector shows it.
    pub selected: bool,
    /// The arrow keys are at it.
    pub cursor: bool,
}

/// Draws one box.
#[function_component]
pub fn BoxView(props: &BoxProps) -> Html {
    let b: &SceneBox = &props.item;
    let class = classes!(
        "box",
        "appear",
        shape_class(b),
        state_class(b.state),
        b.opens.is_some().then_some("open"),
        props.selected.then_some("selected"),
        props.cursor.then_some("cursor"),
    );
    let style = format!("transform: translate({}px, {}px)", b.rect.x, b.rect.y);
    html! {
        <g id={dom_id(&b.id)} {class} {style} data-box={b.id.clone()} role={if b.opens.is_some() { "img" } else { "group" }} aria-label={spoken(b).to_owned()}>
            if props.selected || props.cursor {
                <rect class="ring" x="-4" y="-4" width={(b.rect.w + 8.0).to_string()} height={(b.rect.h + 8.0).to_string()} rx={(radius(b) + 4.0).to_string()} />
            }
            if b.differs {
                <rect class="differs" x="-3" y="-3" width={(b.rect.w + 6.0).to_string()} height={(b.rect.h + 6.0).to_string()} rx={(radius(b) + 3.0).to_string()} />
            }
            { frame(b) }
            { words(b) }
            { crown(b) }
        </g>
    }
}

/// What is said of a box. It is spoken of as a picture: its texts are cut to their room, the words say all of it, and the stage says
/// which keys open it.
fn spoken(b: &SceneBox) -> &str {
    if b.aria.is_empty() { &b.title } else { &b.aria }
}

/// The DOM id of a box, for `aria-activedescendant`.
pub fn dom_id(id: &str) -> String {
    format!("bx-{id}")
}

fn shape_class(b: &SceneBox) -> &'static str {
    match b.shape {
        Shape::Card => "card",
        Shape::Group => "group",
        Shape::Pod => "pod",
        Shape::Pill => "pill",
        Shape::Cylinder => "cylinder",
        Shape::Laptop => "laptop",
        Shape::Stage => "stage-cell",
        Shape::Cell if b.title.is_empty() => "cell bare",
        Shape::Cell => "cell",
        Shape::Slot => "slot",
        Shape::Lifeline => "lifeline",
        Shape::Fold => "fold",
        Shape::Plain => "plain",
        Shape::Bar => "bar",
        Shape::Entry => "entry",
        Shape::Tag => "tag-box",
        Shape::Tray => "tray",
        Shape::Cells => "cells-row",
    }
}

/// The class of a state: border colour and dash.
pub fn state_class(state: State) -> &'static str {
    match state {
        State::Idle => "st-idle",
        State::Active => "st-active",
        State::Ok => "st-ok",
        State::Starting => "st-starting",
        State::Pending => "st-pending",
        State::Terminating => "st-terminating",
        State::Failing => "st-failing",
        State::Done => "st-done",
        State::Off => "st-off",
        State::Writing => "st-writing",
        State::Missing => "st-missing",
    }
}

fn radius(b: &SceneBox) -> f32 {
    match b.shape {
        Shape::Group => 18.0,
        Shape::Card | Shape::Laptop | Shape::Lifeline => 12.0,
        Shape::Pill => b.rect.h / 2.0,
        Shape::Stage | Shape::Tag => 5.0,
        Shape::Bar => b.rect.h / 2.0,
        Shape::Entry => 2.0,
        Shape::Cell => 4.0_f32.min(b.rect.h / 4.0),
        _ => 8.0,
    }
}

fn frame(b: &SceneBox) -> Html {
    let (w, h) = (b.rect.w, b.rect.h);
    if b.shape == Shape::Plain {
        return html! { <rect class="ring" width={w.to_string()} height={h.to_string()} fill="transparent" style="pointer-events: all" /> };
    }
    if b.shape == Shape::Cylinder {
        return cylinder(w, h);
    }
    if b.shape == Shape::Bar {
        return bar(b);
    }
    let tint = matches!(b.shape, Shape::Pill).then_some("tint");
    let size = format!("width: {w}px; height: {h}px");
    html! {
        <>
            <rect class={classes!("shape", tint)} width={w.to_string()} height={h.to_string()} style={size} rx={radius(b).to_string()} />
            if b.shape == Shape::Laptop {
                <path class="drawn" d={laptop(w, h)} />
            }
        </>
    }
}

/// A track and what of it is filled.
fn bar(b: &SceneBox) -> Html {
    let (w, h, r) = (b.rect.w, b.rect.h, radius(b));
    let full = (w * b.level.clamp(0.0, 1.0)).max(0.0);
    html! {
        <>
            <rect class="shape" width={w.to_string()} height={h.to_string()} rx={r.to_string()} />
            if full > 1.0 {
                <rect class="level" width={full.to_string()} height={h.to_string()} rx={r.min(full / 2.0).to_string()} />
            }
        </>
    }
}

/// It leads: a crown on the upper edge, in the middle of a cylinder's lid, else at the right.
fn crown(b: &SceneBox) -> Html {
    if !b.crown {
        return html! {};
    }
    let (x, y) = if b.shape == Shape::Cylinder { (b.rect.w / 2.0, -7.0) } else { (b.rect.w - 24.0, 17.0) };
    html! { <g transform={format!("translate({x} {y})")}><path class="crown" d="M-9 6 L-10 -5 L-4.5 0 L0 -7 L4.5 0 L10 -5 L9 6 z" /></g> }
}

/// etcd: a body with a lid, drawn in the box.
fn cylinder(w: f32, h: f32) -> Html {
    let (rx, lid) = (w / 2.0, (h * 0.14).min(16.0));
    let low = h - lid;
    let body =
        format!("M0 {lid} V{low} C0 {} {} {h} {rx} {h} S{w} {} {w} {low} V{lid}", low + lid * 0.6, rx * 0.44, low + lid * 0.6);
    html! {
        <>
            <path class="shape" d={body} />
            <g class="shape"><ellipse class="lid" cx={rx.to_string()} cy={lid.to_string()} rx={rx.to_string()} ry={lid.to_string()} /></g>
        </>
    }
}

fn laptop(w: f32, h: f32) -> String {
    let (x, y) = (w / 2.0, h / 2.0 - 1.0);
    format!("M{} {} h40 v22 h-40 z M{} {} h52", x - 20.0, y - 13.0, x - 26.0, y + 13.0)
}

/// Title and lines.
fn words(b: &SceneBox) -> Html {
    let (w, h) = (b.rect.w, b.rect.h);
    let middle = w / 2.0;
    match b.shape {
        Shape::Slot | Shape::Entry | Shape::Cells => html! {},
        Shape::Bar => title(&b.title, middle, h / 2.0 + 4.0, 11.0, w - 12.0, "middle", ""),
        Shape::Tag => title(&b.title, middle, h / 2.0 + 4.0, 11.0, w - 6.0, "middle", "mono"),
        Shape::Tray => title(&b.title, 8.0, 15.0, 11.0, w - 12.0, "start", "s-dim"),
        Shape::Group => group_words(b),
        Shape::Card => card_words(b, 14.0, 22.0, 39.0),
        Shape::Plain => card_words(b, 0.0, 12.0, 28.0),
        Shape::Pod => pod_words(b),
        Shape::Pill | Shape::Fold => title(&b.title, middle, h / 2.0 + 4.0, 11.0, w - 12.0, "middle", ""),
        Shape::Stage => title(&b.title, middle, h / 2.0 + 4.0, 11.0, w - 2.0, "middle", ""),
        Shape::Cell if b.title.is_empty() => html! {},
        Shape::Cell => title(&b.title, middle, h / 2.0 + 4.0, 11.0, w, "middle", "mono"),
        Shape::Laptop => title(&b.title, middle, h + 18.0, 11.0, w + 40.0, "middle", "s-dim"),
        Shape::Lifeline => html! {
            <>
                { icons::glyph_at(b.glyph, 14.0, 16.0) }
                { lifeline_title(b) }
                { for b.lines.iter().take(1).map(|l| line(l, middle, h / 2.0 + 13.0, w - 8.0, "middle", "s-dim")) }
            </>
        },
        Shape::Cylinder => html! {
            <>
                { title(&b.title, middle, h / 2.0 + 8.0, 13.0, w - 16.0, "middle", "b") }
                { for b.lines.iter().enumerate().map(|(i, l)| line(l, middle, h / 2.0 + 26.0 + 15.0 * i as f32, w - 12.0, "middle", "s-dim mono")) }
            </>
        },
    }
}

/// In bold where there is room for it.
fn lifeline_title(b: &SceneBox) -> Html {
    let y = if b.lines.is_empty() { b.rect.h / 2.0 + 4.0 } else { b.rect.h / 2.0 - 2.0 };
    let room = b.rect.w - 12.0;
    let bold = format::width(&b.title, 12.0, false, true) <= room;
    let (size, class) = if bold { (12.0, "b") } else { (11.0, "") };
    title(&b.title, b.rect.w / 2.0, y, size, room, "middle", class)
}

fn group_words(b: &SceneBox) -> Html {
    let node = b.glyph != Glyph::None;
    let (x, size) = if node { (32.0, 13.0) } else { (20.0, 12.0) };
    let shown = format::fit(&b.title, size, false, true, b.rect.w - x - 12.0);
    let after = x + format::width(&shown, size, false, true) + 10.0;
    html! {
        <>
            { icons::glyph_at(b.glyph, 20.0, 21.0) }
            <text x={x.to_string()} y="25" font-size={size.to_string()} class={if node { "b" } else { "b s-dim" }}>{ shown }</text>
            { for b.lines.iter().take(1).map(|l| line(l, after, 25.0, b.rect.w - after - 12.0, "start", "s-dim")) }
        </>
    }
}

fn card_words(b: &SceneBox, x: f32, top: f32, first: f32) -> Html {
    let glyph = b.glyph != Glyph::None;
    let left = if glyph { x + 16.0 } else { x };
    html! {
        <>
            { icons::glyph_at(b.glyph, x + 4.0, top - 4.5) }
            { title(&b.title, left, top, 13.0, b.rect.w - left - x.max(2.0), "start", "b") }
            { for b.lines.iter().enumerate().map(|(i, l)| line(l, x, first + 17.0 * i as f32, b.rect.w - 2.0 * x, "start", "")) }
        </>
    }
}

fn pod_words(b: &SceneBox) -> Html {
    let left = if b.glyph == Glyph::None { 10.0 } else { 25.0 };
    let room = b.rect.w - left - 6.0;
    let one = b.rect.h < 30.0 || b.lines.is_empty();
    let y = if one { b.rect.h / 2.0 + 4.0 } else { 15.0 };
    html! {
        <>
            { icons::glyph_at(b.glyph, 13.0, b.rect.h / 2.0) }
            <text x={left.to_string()} y={y.to_string()} font-size="12">{ format::fit_name(&b.title, 12.0, room) }</text>
            if !one {
                { line(&b.lines[0], left, 28.0, room, "start", "s-dim") }
            }
        </>
    }
}

fn title(text: &str, x: f32, y: f32, size: f32, room: f32, anchor: &'static str, class: &'static str) -> Html {
    if text.is_empty() {
        return html! {};
    }
    let shown = format::fit(text, size, class.contains("mono"), class.contains('b'), room);
    html! { <text x={x.to_string()} y={y.to_string()} font-size={size.to_string()} text-anchor={anchor} {class}>{ shown }</text> }
}

/// A run of spans at 11 px, cut where the room ends.
fn line(spans: &[Span], x: f32, y: f32, room: f32, anchor: &'static str, class: &'static str) -> Html {
    runs(spans, x, y, 11.0, room, anchor, class)
}

/// A run of spans, cut where the room ends; `class` is for what has no tone of its own.
pub fn runs(spans: &[Span], x: f32, y: f32, size: f32, room: f32, anchor: &'static str, class: &'static str) -> Html {
    let mut left = room;
    let mut shown = Vec::with_capacity(spans.len());
    for span in spans {
        let mono = span.mono || class.contains("mono");
        let text = format::fit(&span.text, size, mono, span.bold, left);
        left -= format::width(&text, size, mono, span.bold);
        let cut = text != span.text;
        let classes = classes!(tone_class(span.tone), span.mono.then_some("mono"), span.bold.then_some("b"));
        shown.push(html! { <tspan class={classes}>{ text }</tspan> });
        if cut {
            break;
        }
    }
    html! { <text x={x.to_string()} y={y.to_string()} font-size={size.to_string()} text-anchor={anchor} {class} style="white-space: pre">{ for shown }</text> }
}

/// The SVG fill class of a tone.
pub fn tone_class(tone: Tone) -> Option<&'static str> {
    Some(match tone {
        Tone::Normal => return None,
        Tone::Dim => "s-dim",
        Tone::Brand => "s-brand",
        Tone::Read => "s-read",
        Tone::Write => "s-write",
        Tone::Watch => "s-watch",
        Tone::Status => "s-status",
        Tone::Packet => "s-packet",
        Tone::Ok => "s-ok",
        Tone::Wait => "s-wait",
        Tone::Bad => "s-bad",
    })
}
