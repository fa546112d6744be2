//! Small drawings: state glyphs, message kinds, buttons. All are constant markup of the page itself.

use protocol::{Glyph, MessageKind};
use yew::prelude::*;

/// The state glyph around (0, 0), for inside an SVG.
pub fn glyph_at(glyph: Glyph, x: f32, y: f32) -> Html {
    let shape = match glyph {
        Glyph::None => return html! {},
        Glyph::Running => html! { <circle r="4.5" class="g-ok" /> },
        Glyph::Starting => html! { <path d="M0 -5 a5 5 0 1 1 -5 5" class="g-ring" /> },
        Glyph::Pending => html! { <rect x="-4.5" y="-4.5" width="9" height="9" rx="2" class="g-pending" /> },
        Glyph::Terminating => html! { <path d="M-4 0 h8" class="g-dash" /> },
        Glyph::Failing => html! { <path d="M-4 -4 l8 8 m0 -8 l-8 8" class="g-cross" /> },
        Glyph::Done => html! { <path d="M-4.5 0.5 l3 3.5 l6 -7.5" class="g-tick" /> },
        Glyph::Off => html! { <><circle r="4.5" class="g-off" /><path d="M-3.2 3.2 l6.4 -6.4" class="g-off" /></> },
        Glyph::Cordoned => {
            html! { <><circle r="5" class="g-off" /><rect x="-3" y="-1.2" width="6" height="2.4" class="g-bar" /></> }
        }
    };
    html! { <g transform={format!("translate({x} {y})")}>{ shape }</g> }
}

/// The state glyph as a picture of its own, with its word for who can't see it.
pub fn glyph(glyph: Glyph) -> Html {
    if glyph == Glyph::None {
        return html! {};
    }
    html! { <svg width="14" height="14" viewBox="-7 -7 14 14" role="img" aria-label={glyph_word(glyph)}>{ glyph_at(glyph, 0.0, 0.0) }</svg> }
}

/// What the glyph says.
pub fn glyph_word(glyph: Glyph) -> &'static str {
    match glyph {
        Glyph::None => "",
        Glyph::Running => "running",
        Glyph::Starting => "starting",
        Glyph::Pending => "pending",
        Glyph::Terminating => "terminating",
        Glyph::Failing => "failing",
        Glyph::Done => "done",
        Glyph::Off => "off or unknown",
        Glyph::Cordoned => "cordoned",
    }
}

/// Class of a message kind: colours and lit edges go by it.
pub fn kind_class(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Read => "read",
        MessageKind::Write => "write",
        MessageKind::Watch => "watch",
        MessageKind::Status => "status",
        MessageKind::Packet => "packet",
    }
}

/// Word of a message kind.
pub fn kind_word(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Watch => "watch event",
        other => kind_class(other),
    }
}

/// The dot of a message kind as SVG markup (constant text: safe to set as inner HTML).
pub fn kind_markup(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Read => r#"<svg width="12" height="12" viewBox="-6 -6 12 12"><circle r="5" fill="currentColor"/></svg>"#,
        MessageKind::Write => {
            r#"<svg width="12" height="12" viewBox="-6 -6 12 12"><rect x="-5" y="-5" width="10" height="10" rx="2.5" fill="currentColor"/></svg>"#
        }
        MessageKind::Watch => {
            r#"<svg width="12" height="12" viewBox="-6 -6 12 12"><path d="M0 -6 l6 6 l-6 6 l-6 -6 z" fill="currentColor"/></svg>"#
        }
        MessageKind::Status => {
            r#"<svg width="12" height="12" viewBox="-6 -6 12 12"><path d="M0 -6 l6 10.5 h-12 z" fill="currentColor"/></svg>"#
        }
        MessageKind::Packet => {
            r#"<svg width="12" height="12" viewBox="-6 -6 12 12"><circle r="4.4" fill="var(--bg)" stroke="currentColor" stroke-width="2.6"/></svg>"#
        }
    }
}

/// The dot of a message kind, for lists and the legend.
pub fn kind(kind: MessageKind) -> Html {
    let shape = match kind {
        MessageKind::Read => html! { <circle r="5" fill="currentColor" /> },
        MessageKind::Write => html! { <rect x="-5" y="-5" width="10" height="10" rx="2.5" fill="currentColor" /> },
        MessageKind::Watch => html! { <path d="M0 -6 l6 6 l-6 6 l-6 -6 z" fill="currentColor" /> },
        MessageKind::Status => html! { <path d="M0 -6 l6 10.5 h-12 z" fill="currentColor" /> },
        MessageKind::Packet => html! { <circle r="4.2" fill="none" stroke="currentColor" stroke-width="2.6" /> },
    };
    html! { <svg width="11" height="11" viewBox="-6 -6 12 12" class={classes!(format!("t-{}", kind_class(kind)))} role="img" aria-label={kind_word(kind)}>{ shape }</svg> }
}

/// The bottle.
pub fn logo() -> Html {
    html! {
        <svg width="20" height="22" viewBox="0 0 20 22" aria-hidden="true">
            <path d="M7.5 1.5h5M8.5 1.5v4.2C5 7.2 2.6 10 2.6 13.6c0 4 3.3 6.9 7.4 6.9s7.4-2.9 7.4-6.9c0-3.6-2.4-6.4-5.9-7.9V1.5" fill="none" stroke="var(--brand)" stroke-width="1.7" stroke-linecap="round" />
            <path d="M10 9.6l3.4 2v4L10 17.6l-3.4-2v-4z" fill="var(--brand)" />
        </svg>
    }
}

/// A button's icon: 16×16, drawn with the text's colour.
pub fn icon(name: &str) -> Html {
    let d = match name {
        "play" => "M5 3.2v9.6l8-4.8z",
        "pause" => "M4.5 3h2.6v10H4.5zM8.9 3h2.6v10H8.9z",
        "step" => "M4 3.2v9.6l6.4-4.8zM10.8 3.2h2v9.6h-2z",
        "fit" => "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
        "plus" => "M8 3.5v9M3.5 8h9",
        "minus" => "M3.5 8h9",
        "close" => "M4 4l8 8M12 4l-8 8",
        "terminal" => "M2.5 3.5h11v9h-11zM5 6.5l2 1.7-2 1.7M8.5 10h2.5",
        "edit" => "M3.5 12.5l.6-2.7 6.6-6.6 2.1 2.1-6.6 6.6zM3.5 14h9",
        "more" => "M3.5 8h.01M8 8h.01M12.5 8h.01",
        "events" => "M4 4h.01M6.5 4h6M4 8h.01M6.5 8h6M4 12h.01M6.5 12h6",
        "objects" => "M2.5 3h11v10h-11zM2.5 6.3h11M2.5 9.6h11M6.5 3v10",
        "picture" => "M2.5 3h4.5v4H2.5zM9 9h4.5v4H9zM7 5h4.2v4",
        "things" => "M2.5 3.5h11M5 8h8.5M5 12.5h8.5M2.5 8h.01M2.5 12.5h.01",
        "lab" => "M6 2.5h4M7 2.5v4L3.2 12.4a.8.8 0 0 0 .7 1.1h8.2a.8.8 0 0 0 .7-1.1L9 6.5v-4M5 10h6",
        "copy" => "M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3",
        "panel" => "M2.5 3h11v10h-11zM10 3v10",
        "sun" => {
            "M8 5.2a2.8 2.8 0 1 0 0 5.6a2.8 2.8 0 1 0 0-5.6M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1"
        }
        "moon" => "M13 9.6A5.6 5.6 0 1 1 6.4 3a4.5 4.5 0 0 0 6.6 6.6z",
        "auto" => "M8 2.2a5.8 5.8 0 1 0 0 11.6a5.8 5.8 0 1 0 0-11.6M8 2.2v11.6M6 3v10M4 4.5v7",
        "live" => "M3.5 3.5l5 4.5-5 4.5zM9.5 3.5v9",
        "share" => "M5 6.5H3.5v7h9v-7H11M8 10V2.2M5.2 4.8L8 2.2l2.8 2.6",
        "fork" => "M4.5 3v10M4.5 9.5c0-3 6.5-1.5 6.5-4.5M11 3.2v1.6",
        _ => "",
    };
    let filled = matches!(name, "play" | "pause" | "step");
    html! {
        <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
            if filled {
                <path {d} fill="currentColor" />
            } else {
                <path {d} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
            }
        </svg>
    }
}
