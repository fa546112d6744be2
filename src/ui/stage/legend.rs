//! What the shapes mean, in one quiet line under the picture; at its end, what else can be drawn.

use protocol::{MessageKind, ViewOptions};
use yew::prelude::*;

use crate::app::Do;
use crate::icons;
use crate::inspector::emit;

#[derive(Properties, PartialEq)]
pub struct LegendProps {
    pub options: ViewOptions,
    pub run: Callback<Do>,
}

/// The line.
#[function_component]
pub fn Legend(props: &LegendProps) -> Html {
    let kinds = [MessageKind::Read, MessageKind::Write, MessageKind::Watch, MessageKind::Status, MessageKind::Packet];
    let o = &props.options;
    let toggle = |name: &'static str, hint: &'static str, on: bool, next: ViewOptions| {
        html! { <button aria-pressed={on.to_string()} title={hint} onclick={emit(&props.run, Do::Options(next))}>{ name }</button> }
    };
    html! {
        <div class="legend">
            { for kinds.into_iter().map(|k| html! { <span>{ icons::kind(k) }<i>{ icons::kind_word(k) }</i></span> }) }
            <span class="end words">{ "arrowhead: who opens the connection · dot: the message itself" }</span>
            { toggle("heartbeats", "Draw lease renewals and node status too", o.heartbeats, ViewOptions { heartbeats: !o.heartbeats, ..o.clone() }) }
            { toggle("system pods", "Draw the pods of kube-system too", o.system_pods, ViewOptions { system_pods: !o.system_pods, ..o.clone() }) }
        </div>
    }
}
