//! One message, from its cause to its effects.

use protocol::{MessageDetail, MessageRef, Stage};
use yew::prelude::*;

use super::emit;
use super::yaml::yaml;
use crate::app::Do;
use crate::format;
use crate::icons;

/// Everything about a message, in the order in which one asks.
pub fn message(m: &MessageDetail, run: &Callback<Do>) -> Html {
    let took = m.arrived_us.map(|at| format::span(at - m.sent_us));
    html! {
        <>
            <section class="block">
                <p class="verb">{ icons::kind(m.kind) }{ " " }<span class={format!("t-{}", icons::kind_class(m.kind))}>{ &m.verb }</span>{ " " }{ &m.path }</p>
                <dl class="facts">
                    <dt>{ "From" }</dt><dd>{ &m.from }</dd>
                    <dt>{ "To" }</dt><dd>{ &m.to }</dd>
                    if !m.user.is_empty() { <dt>{ "As" }</dt><dd><code>{ &m.user }</code></dd> }
                    <dt>{ "Sent" }</dt><dd>{ format::clock(m.sent_us) }</dd>
                    <dt>{ "Took" }</dt><dd>{ took.unwrap_or_else(|| "still under way".to_owned()) }</dd>
                    if let Some(code) = m.code { <dt>{ "Answer" }</dt><dd class={if code >= 400 { "t-bad" } else { "" }}>{ code }</dd> }
                    if let Some(revision) = m.revision { <dt>{ "Revision" }</dt><dd>{ format::number(revision) }</dd> }
                    if let Some(plan) = &m.plan { <dt>{ "Plan" }</dt><dd>{ plan }</dd> }
                </dl>
            </section>
            if let Some(cause) = &m.cause {
                <section class="block"><h3>{ "Because of" }</h3>{ refs(std::slice::from_ref(cause), run) }</section>
            }
            if !m.stages.is_empty() {
                <section class="block"><h3>{ "Inside kube-apiserver" }</h3><ol class="stages">{ for m.stages.iter().map(stage) }</ol></section>
            }
            { part("Request", m.request.as_deref()) }
            { part("Response", m.response.as_deref()) }
            if let Some(gone) = &m.detail_gone { <p class="note">{ gone }</p> }
            if !m.effects.is_empty() {
                <section class="block"><h3>{ "Led to" }</h3>{ refs(&m.effects, run) }</section>
            }
        </>
    }
}

fn stage(stage: &Stage) -> Html {
    let (mark, class) = if stage.failed { ("✕", "t-bad") } else { ("✓", "t-ok") };
    html! {
        <li><span {class}>{ mark }</span><span>{ &stage.name }</span><span class="ms">{ format::span(stage.took_us as i64) }</span>
            if !stage.note.is_empty() { <small>{ &stage.note }</small> }
        </li>
    }
}

fn refs(refs: &[MessageRef], run: &Callback<Do>) -> Html {
    html! {
        <ul class="refs">
            { for refs.iter().map(|r| html! {
                <li key={r.id}><button onclick={emit(run, Do::Inspect(Some(protocol::Thing::Message { id: r.id })))}>
                    { icons::kind(r.kind) }<span>{ &r.text }</span><time>{ format::clock(r.at_us) }</time>
                </button></li>
            }) }
        </ul>
    }
}

fn part(title: &'static str, text: Option<&str>) -> Html {
    match text {
        None | Some("") => html! {},
        Some(text) => {
            html! { <section class="block"><h3>{ title }</h3><div class="well" tabindex="0" role="group" aria-label={title}>{ yaml(text) }</div></section> }
        }
    }
}
