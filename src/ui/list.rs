//! The scene as a list: boxes inside boxes, with their state in words. The first thing on a phone, and the picture for who
//! doesn't see pictures. It is the same scene, read another way.

use protocol::{Cells, SceneBox, Shape, State, Thing};
use yew::prelude::*;

use crate::app::Do;
use crate::icons;
use crate::seen::Picture;
use crate::shared::Shared;
use crate::stage::cells;

#[derive(Properties, PartialEq)]
pub struct ListProps {
    pub picture: Shared<Picture>,
    pub run: Callback<Do>,
    #[prop_or_default]
    pub children: Html,
}

/// The list.
#[function_component]
pub fn List(props: &ListProps) -> Html {
    html! {
        <main class="list" id="stage" tabindex="-1">
            { props.children.clone() }
            <h2>{ &props.picture.head.title }</h2>
            <ul>{ for props.picture.inside(None).into_iter().map(|b| item(props, &b, 0)) }</ul>
            { messages(props) }
        </main>
    }
}

/// Things without a click and without anything inside say nothing in a list.
fn item(props: &ListProps, b: &SceneBox, depth: u32) -> Html {
    if let Some(cells) = &b.cells {
        return row_of_cells(props, b, cells);
    }
    let inside = if depth < 4 { props.picture.inside(Some(&b.id)) } else { Vec::new() };
    let told = b.opens.is_some() && !matches!(b.shape, Shape::Stage | Shape::Slot | Shape::Fold | Shape::Entry);
    if !told && inside.is_empty() {
        return html! {};
    }
    html! {
        <li key={b.id.clone()}>
            { row(props, b) }
            if !inside.is_empty() {
                <ul>{ for inside.iter().map(|b| item(props, b, depth + 1)) }</ul>
            }
        </li>
    }
}

/// A row of a heat map: in short, with those of its nodes that are not Ready; and all of them, where they have names in the picture.
fn row_of_cells(props: &ListProps, b: &SceneBox, row: &Cells) -> Html {
    let told = |i: &usize| row.labelled || !matches!(row.cell(*i).0, State::Ok | State::Active | State::Idle);
    let nodes = (0..row.len()).filter(told).filter_map(|i| {
        let (thing, text) = (cells::opens(row, i)?, cells::told(row, i)?);
        Some(html! { <li key={i}><button class="row" onclick={open(&props.run, thing)}><span class="name">{ text }</span></button></li> })
    });
    html! {
        <li key={b.id.clone()}>
            <div class="row"><span class="name">{ &b.title }</span><span class="more">{ &b.aria }</span></div>
            <ul>{ for nodes }</ul>
        </li>
    }
}

fn row(props: &ListProps, b: &SceneBox) -> Html {
    let more: String = b.lines.first().map(|l| l.iter().map(|s| s.text.as_str()).collect()).unwrap_or_default();
    // What a lab's goal lacks is told whole: a dash says nothing in a list.
    let (name, more) = match b.state == State::Missing && b.opens.is_some() || b.differs {
        true => (b.aria.clone(), String::new()),
        false => (b.title.clone(), more),
    };
    let inner = html! { <>{ icons::glyph(b.glyph) }<span class="name">{ name }</span><span class="more">{ more }</span></> };
    match b.opens.clone() {
        None => html! { <div class="row">{ inner }</div> },
        Some(thing) => html! { <button class="row" onclick={open(&props.run, thing)}>{ inner }</button> },
    }
}

fn open(run: &Callback<Do>, thing: Thing) -> Callback<MouseEvent> {
    let run = run.clone();
    Callback::from(move |_| run.emit(Do::Inspect(Some(thing.clone()))))
}

/// In the flow lens the edges are the story: they are told in order.
fn messages(props: &ListProps) -> Html {
    let mut told: Vec<_> = props.picture.edges.values().filter(|e| matches!(e.opens, Some(Thing::Message { .. }))).collect();
    if told.is_empty() {
        return html! {};
    }
    told.sort_by(|a, b| a.start.y.total_cmp(&b.start.y).then(a.id.cmp(&b.id)));
    html! {
        <>
            <h2>{ "Messages, in order" }</h2>
            <ul>
                { for told.into_iter().map(|e| {
                    let text: String = e.label.iter().map(|s| s.text.as_str()).collect();
                    let thing = e.opens.clone().expect("filtered by it");
                    html! {
                        <li key={e.id.clone()}><button class="row" onclick={open(&props.run, thing)}>
                            { e.kind.map(icons::kind).unwrap_or_default() }
                            <span class="name">{ if text.is_empty() { e.aria.clone() } else { text } }</span>
                            <span class="more">{ format!("{} → {}", e.from, e.to) }</span>
                        </button></li>
                    }
                }) }
            </ul>
        </>
    }
}
