//! The tabs' contents, but the message and the YAML.

use protocol::{EventRow, Log, Row, Source, Span, Tone, WhyStep};
use yew::prelude::*;

use super::emit;
use crate::app::Do;
use crate::format;
use crate::header::offer_button;

/// Spans as HTML text.
pub fn spans(spans: &[Span]) -> Html {
    html! {
        <>{ for spans.iter().map(|s| {
            let class = classes!(tone(s.tone));
            match (s.mono, s.bold) {
                (true, _) => html! { <code {class}>{ &s.text }</code> },
                (false, true) => html! { <b {class}>{ &s.text }</b> },
                _ => html! { <span {class}>{ &s.text }</span> },
            }
        }) }</>
    }
}

fn tone(tone: Tone) -> Option<&'static str> {
    Some(match tone {
        Tone::Normal => return None,
        Tone::Dim => "t-dim",
        Tone::Brand => "t-brand",
        Tone::Read => "t-read",
        Tone::Write => "t-write",
        Tone::Watch => "t-watch",
        Tone::Status => "t-status",
        Tone::Packet => "t-packet",
        Tone::Ok => "t-ok",
        Tone::Wait => "t-wait",
        Tone::Bad => "t-bad",
    })
}

fn source(source: Source) -> Html {
    match source {
        Source::Api => html! {},
        Source::AsItIs => {
            html! { <span class="tag" title="Read from the component itself, not from the API">{ "as it is" }</span> }
        }
    }
}

/// From effect to cause.
pub fn why(steps: &[WhyStep], run: &Callback<Do>) -> Html {
    if steps.is_empty() {
        return html! { <p class="note">{ "Nothing is known to have caused this." }</p> };
    }
    html! {
        <ol class="why">
            { for steps.iter().map(|step| html! {
                <li class={classes!(step.advice.then_some("advice"))}>
                    { spans(&step.text) }
                    <small>
                        if !step.detail.is_empty() { <span>{ &step.detail }</span> }
                        { source(step.source) }
                        if let Some(thing) = &step.thing {
                            <button class="link" onclick={emit(run, Do::Inspect(Some(thing.clone())))}>{ thing.title() }</button>
                        }
                    </small>
                    { step.offer.as_ref().map(|o| offer_button(run, o, "btn small")).unwrap_or_default() }
                </li>
            }) }
        </ol>
    }
}

/// Label and value; each heading begins a list of its own.
pub fn facts(rows: &[Row], run: &Callback<Do>) -> Html {
    let mut groups: Vec<&[Row]> = Vec::new();
    let mut from = 0;
    for i in 1..=rows.len() {
        if i == rows.len() || rows[i].heading.is_some() {
            groups.push(&rows[from..i]);
            from = i;
        }
    }
    html! {
        <div class="fact-groups">
            { for groups.into_iter().filter(|g| !g.is_empty()).map(|group| html! {
                <section>
                    if let Some(heading) = &group[0].heading { <h3>{ heading }</h3> }
                    { fact_list(group, run) }
                </section>
            }) }
        </div>
    }
}

fn fact_list(rows: &[Row], run: &Callback<Do>) -> Html {
    html! {
        <dl class="facts">
            { for rows.iter().map(|row| html! {
                <>
                    <dt>{ &row.label }</dt>
                    <dd>
                        if let Some(thing) = &row.thing {
                            <button class="link" onclick={emit(run, Do::Inspect(Some(thing.clone())))}>{ spans(&row.value) }</button>
                        } else {
                            { spans(&row.value) }
                        }
                        { " " }{ source(row.source) }
                    </dd>
                </>
            }) }
        </dl>
    }
}

/// The events about this thing.
pub fn events(rows: &[EventRow]) -> Html {
    if rows.is_empty() {
        return html! { <p class="note">{ "No events." }</p> };
    }
    html! {
        <ul class="events-list">
            { for rows.iter().map(|row| html! {
                <li key={row.key.clone()} class={classes!(row.warning.then_some("warn"))}>
                    <b class={classes!(row.warning.then_some("t-wait"))}>{ &row.reason }</b>{ " " }{ &row.message }
                    <small>{ format!("{} · {}{}", format::clock_s(row.at_us), row.from, if row.count > 1 { format!(" · ×{}", row.count) } else { String::new() }) }</small>
                </li>
            }) }
        </ul>
    }
}

/// Logs, a block per container.
pub fn logs(logs: &[Log]) -> Html {
    if logs.is_empty() {
        return html! { <p class="note">{ "No container has written anything yet." }</p> };
    }
    html! {
        <div class="blocks">
            { for logs.iter().map(|log| html! {
                <section class="block" key={format!("{}{}", log.container, log.previous)}>
                    <h3>{ &log.container }if log.previous { <span class="tag">{ "previous" }</span> }</h3>
                    <div class="well" tabindex="0" role="group" aria-label={format!("Log of {}", log.container)}>
                        if log.cut_lines > 0 { <p class="note">{ format!("{} earlier lines not shown", log.cut_lines) }</p> }
                        if log.text.is_empty() { <p class="note">{ "Nothing written yet." }</p> } else { <pre class="log">{ &log.text }</pre> }
                    </div>
                </section>
            }) }
        </div>
    }
}
