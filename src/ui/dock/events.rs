//! The events list, newest first.

use protocol::EventRow;
use yew::prelude::*;

use crate::app::Do;
use crate::format;
use crate::inspector::emit;
use crate::shared::Shared;

#[derive(Properties, PartialEq)]
pub struct EventsProps {
    pub events: Shared<(Vec<EventRow>, u32)>,
    pub run: Callback<Do>,
}

/// The table.
#[function_component]
pub fn Events(props: &EventsProps) -> Html {
    let (rows, total) = (&props.events.0, props.events.1);
    if rows.is_empty() {
        return html! { <p class="loading">{ "No events yet." }</p> };
    }
    html! {
        <div class="events" tabindex="0" role="region" aria-label="Events">
            <table>
                <thead><tr><th>{ "Last seen" }</th><th>{ "Reason" }</th><th>{ "Object" }</th><th>{ "Message" }</th><th class="from">{ "From" }</th></tr></thead>
                <tbody>{ for rows.iter().map(|row| event(row, &props.run)) }</tbody>
            </table>
            if total as usize > rows.len() {
                <p class="loading">{ format!("{} older events not shown", total as usize - rows.len()) }</p>
            }
        </div>
    }
}

fn event(row: &EventRow, run: &Callback<Do>) -> Html {
    let class = if row.warning { "t-wait" } else { "" };
    let times = if row.count > 1 { format!(" ×{}", row.count) } else { String::new() };
    html! {
        <tr key={row.key.clone()}>
            <td>{ format::clock_s(row.at_us) }</td>
            <td {class}>{ if row.warning { "⚠ " } else { "" } }{ &row.reason }{ times }</td>
            <td><button class="link" onclick={emit(run, Do::Inspect(Some(row.about.clone())))}>{ row.about.title() }</button></td>
            <td class="msg">{ &row.message }</td>
            <td class="from t-dim">{ &row.from }</td>
        </tr>
    }
}
