//! A component's inside: queues and logs as small boxes, plans as sentences, a tree level by level, amounts as bars.

use protocol::{Bar, Cell, Line, Section, SectionBody, Thing};
use yew::prelude::*;

use super::emit;
use super::parts::spans;
use crate::app::Do;
use crate::format;
use crate::icons;
use crate::stage::state_class;

/// All sections, in order.
pub fn sections(sections: &[Section], run: &Callback<Do>) -> Html {
    html! {
        <>{ for sections.iter().map(|s| html! {
            <section class="block inside" key={s.title.clone()}>
                <h3>{ &s.title }</h3>
                if !s.note.is_empty() { <p class="note">{ spans(&s.note) }</p> }
                { body(&s.body, run) }
            </section>
        }) }</>
    }
}

fn body(body: &SectionBody, run: &Callback<Do>) -> Html {
    match body {
        SectionBody::Cells(list) => cells(list, run),
        SectionBody::Lines(list) => lines(list, run),
        SectionBody::Bars(list) => html! { <div class="amounts">{ for list.iter().map(bar) }</div> },
        SectionBody::Tree(levels) => html! {
            <ol class="levels">
                { for levels.iter().map(|(label, list)| html! { <li><small>{ label }</small>{ cells(list, run) }</li> }) }
            </ol>
        },
    }
}

fn cells(list: &[Cell], run: &Callback<Do>) -> Html {
    if list.is_empty() {
        return html! {};
    }
    html! { <ul class="cells">{ for list.iter().enumerate().map(|(i, c)| html! { <li key={i}>{ cell(c, run) }</li> }) }</ul> }
}

fn cell(c: &Cell, run: &Callback<Do>) -> Html {
    let class = classes!("cell", state_class(c.state));
    let inner = html! { <><span>{ &c.text }</span>if !c.note.is_empty() { <small>{ &c.note }</small> }</> };
    match &c.thing {
        Some(thing) => {
            let onclick = emit(run, Do::Inspect(Some(thing.clone())));
            html! { <button {class} title={c.aria.clone()} {onclick}>{ inner }</button> }
        }
        None => html! { <span {class} title={c.aria.clone()}>{ inner }</span> },
    }
}

fn lines(list: &[Line], run: &Callback<Do>) -> Html {
    html! {
        <ul class="told">
            { for list.iter().map(|line| html! {
                <li>
                    { icons::glyph(line.glyph) }
                    <div>
                        <p>{ about(line, run) }</p>
                        if !line.outcome.is_empty() { <p class="outcome">{ spans(&line.outcome) }</p> }
                        <small>
                            <time>{ format::clock(line.at_us) }</time>
                            if let Some(cause) = &line.cause {
                                { " because of " }
                                <button class="link" onclick={emit(run, Do::Inspect(Some(Thing::Message { id: cause.id })))}>{ &cause.text }</button>
                            }
                        </small>
                    </div>
                </li>
            }) }
        </ul>
    }
}

/// The sentence; it opens what it is about.
fn about(line: &Line, run: &Callback<Do>) -> Html {
    match &line.thing {
        Some(thing) => {
            html! { <button class="plain" title={thing.title()} onclick={emit(run, Do::Inspect(Some(thing.clone())))}>{ spans(&line.text) }</button> }
        }
        None => spans(&line.text),
    }
}

fn bar(b: &Bar) -> Html {
    let share = (b.level.clamp(0.0, 1.0) * 100.0).round();
    html! {
        <div class="amount"><span>{ &b.label }</span><span class="track" aria-hidden="true"><i style={format!("width: {share}%")}></i></span><b>{ &b.value }</b></div>
    }
}
