//! A row of a heat map as SVG: cells of one colour are one path, so that thousands of nodes are a few hundred elements. Where
//! they are few enough, each has its name and number of pods in it.

use std::collections::BTreeMap;

use protocol::{Cells, Rect, SceneBox, State, Thing};
use yew::prelude::*;

use super::boxes::{dom_id, state_class};
use crate::format;
use crate::shared::Shared;

/// So many pods make a cell's colour full.
const FULL: u8 = 100;
/// Steps of a colour.
const STEPS: u8 = 4;

#[derive(Properties, PartialEq)]
pub struct CellsProps {
    pub item: Shared<SceneBox>,
    /// The node that the inspector shows, if it is in this row.
    pub selected: Option<usize>,
    /// The arrow keys are at this cell.
    pub cursor: Option<usize>,
}

/// Draws the row.
#[function_component]
pub fn CellsView(props: &CellsProps) -> Html {
    let b: &SceneBox = &props.item;
    let Some(cells) = &b.cells else { return html! {} };
    let style = format!("transform: translate({}px, {}px)", b.rect.x, b.rect.y);
    html! {
        <g class={classes!("box", "cells-row", cells.labelled.then_some("named"))} {style} data-box={b.id.clone()} role="group" aria-label={format!("{}: {}", b.title, b.aria)}>
            { for by_look(cells).into_iter().map(|((state, step), d)| html! {
                <path key={format!("{state} {step}")} class={format!("heat {} h{step}", state_class(State::of_number(state)))} {d} />
            }) }
            if cells.labelled {
                { for cells.names.lines().enumerate().map(|(i, name)| words(cells, i, name)) }
            }
            { for props.selected.map(|i| mark(cells, i, "picked")) }
            { for props.cursor.map(|i| cursor(cells, i)) }
        </g>
    }
}

/// The cells that look alike, as one path each. The step says how many pods there are.
fn by_look(cells: &Cells) -> BTreeMap<(u8, u8), String> {
    let mut paths: BTreeMap<(u8, u8), String> = BTreeMap::new();
    let (w, h) = cells.size;
    for i in 0..cells.len() {
        let (state, pods) = cells.cell(i);
        let step = (u16::from(pods.min(FULL)) * u16::from(STEPS)).div_ceil(u16::from(FULL)) as u8;
        let d = paths.entry((state.number(), step)).or_default();
        d.push_str(&format!("M{} 0h{w}v{h}h-{w}z", i as f32 * cells.pitch));
    }
    paths
}

fn words(cells: &Cells, i: usize, name: &str) -> Html {
    let (x, (w, h)) = (i as f32 * cells.pitch, cells.size);
    let pods = cells.cell(i).1.to_string();
    let room = w - 22.0 - format::width(&pods, 11.0, true, false);
    html! {
        <g key={i}>
            <text x={(x + 8.0).to_string()} y={(h / 2.0 + 4.0).to_string()} font-size="11">{ format::fit_name(name, 11.0, room) }</text>
            <text x={(x + w - 8.0).to_string()} y={(h / 2.0 + 4.0).to_string()} font-size="11" text-anchor="end" class="mono s-dim">{ pods }</text>
        </g>
    }
}

fn mark(cells: &Cells, i: usize, class: &'static str) -> Html {
    let Rect { x, w, h, .. } = cells.place(Rect::default(), i);
    html! { <rect {class} x={(x - 2.0).to_string()} y="-2" width={(w + 4.0).to_string()} height={(h + 4.0).to_string()} rx="3" /> }
}

/// The cell of the arrow keys is an element of its own, to be spoken of.
fn cursor(cells: &Cells, i: usize) -> Html {
    let name = cells.names.lines().nth(i).unwrap_or_default();
    html! {
        <g id={dom_id(&format!("node/{name}"))} class="box cursor" role="img" aria-label={told(cells, i).unwrap_or_default()}>{ mark(cells, i, "ring") }</g>
    }
}

/// A cell in words.
pub fn told(cells: &Cells, i: usize) -> Option<String> {
    let name = cells.names.lines().nth(i)?;
    let (state, pods) = cells.cell(i);
    let word = match state {
        State::Ok | State::Active => "Ready",
        State::Idle => "Ready, SchedulingDisabled",
        State::Starting => "not Ready yet",
        State::Off => "switched off",
        _ => "NotReady",
    };
    let more = if pods == u8::MAX { " or more" } else { "" };
    Some(format!("Node {name}: {word}; {pods}{more} pods"))
}

/// What a cell opens.
pub fn opens(cells: &Cells, i: usize) -> Option<Thing> {
    Some(Thing::core("nodes", "", cells.names.lines().nth(i)?))
}
