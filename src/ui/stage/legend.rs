//! What the shapes mean, in one quiet line under the picture.

use protocol::MessageKind;
use yew::prelude::*;

use crate::icons;

/// The legend; `words` false leaves the explanation at its end away.
#[function_component]
pub fn Legend() -> Html {
    let kinds = [MessageKind::Read, MessageKind::Write, MessageKind::Watch, MessageKind::Status, MessageKind::Packet];
    html! {
        <div class="legend" aria-hidden="true">
            { for kinds.into_iter().map(|k| html! { <span>{ icons::kind(k) }<i>{ icons::kind_word(k) }</i></span> }) }
            <span class="end">{ "arrowhead: who opens the connection · dot: the message itself" }</span>
        </div>
    }
}
