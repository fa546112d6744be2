//! A lab's text as nodes. Nothing of it is ever set as HTML; a link opens another tab and tells it nothing about this one.

use protocol::{Block, Does, Inline};
use yew::prelude::*;

use super::LabDo;
use crate::app::Do;
use crate::icons;

/// Blocks, one below the other.
pub fn blocks(list: &[Block], run: &Callback<Do>) -> Html {
    html! { <>{ for list.iter().map(|b| block(b, run)) }</> }
}

fn block(b: &Block, run: &Callback<Do>) -> Html {
    match b {
        Block::Heading(level, inner) if *level <= 3 => html! { <h3>{ line(inner, run) }</h3> },
        Block::Heading(_, inner) => html! { <h4>{ line(inner, run) }</h4> },
        Block::Paragraph(inner) => html! { <p>{ line(inner, run) }</p> },
        Block::List { ordered: true, items } => {
            html! { <ol>{ for items.iter().map(|i| html! { <li>{ blocks(i, run) }</li> }) }</ol> }
        }
        Block::List { items, .. } => html! { <ul>{ for items.iter().map(|i| html! { <li>{ blocks(i, run) }</li> }) }</ul> },
        Block::Quote(inner) => html! { <blockquote>{ blocks(inner, run) }</blockquote> },
        Block::Code { text, does, .. } => code(text, *does, run),
        Block::Table { head, rows } => html! {
            <div class="wide-table"><table>
                <thead><tr>{ for head.iter().map(|c| html! { <th>{ line(c, run) }</th> }) }</tr></thead>
                <tbody>{ for rows.iter().map(|r| html! { <tr>{ for r.iter().map(|c| html! { <td>{ line(c, run) }</td> }) }</tr> }) }</tbody>
            </table></div>
        },
        Block::Rule => html! { <hr /> },
    }
}

/// Pieces of a line.
pub fn line(list: &[Inline], run: &Callback<Do>) -> Html {
    html! { <>{ for list.iter().map(|i| inline(i, run)) }</> }
}

fn inline(i: &Inline, run: &Callback<Do>) -> Html {
    match i {
        Inline::Text(text) => html! { { text } },
        Inline::Code(text, Does::Nothing) => html! { <code>{ text }</code> },
        Inline::Code(text, does) => {
            let (title, what) = action(text, *does);
            html! { <button class="run-code" {title} onclick={click(run, what)}><code>{ text }</code>{ icons::icon(icon_of(*does)) }</button> }
        }
        Inline::Strong(inner) => html! { <strong>{ line(inner, run) }</strong> },
        Inline::Emphasis(inner) => html! { <em>{ line(inner, run) }</em> },
        // The worker lets only addresses of http and https through; here once more, because it is here that it counts.
        Inline::Link(text, href) if href.starts_with("https://") || href.starts_with("http://") => {
            html! { <a href={href.clone()} target="_blank" rel="noopener noreferrer nofollow">{ text }</a> }
        }
        Inline::Link(text, _) => html! { { text } },
        Inline::Show(text, what) => {
            html! { <button class="show" title="Show it in the picture" onclick={click(run, LabDo::Show(what.clone()))}>{ text }</button> }
        }
    }
}

fn code(text: &str, does: Does, run: &Callback<Do>) -> Html {
    if does == Does::Nothing {
        return html! { <pre tabindex="0"><code>{ text }</code></pre> };
    }
    let (title, what) = action(text, does);
    let word = match does {
        Does::Copy => "Copy",
        Does::Apply => "Apply",
        _ => "Run",
    };
    html! {
        <div class="run-block">
            <pre tabindex="0"><code>{ text }</code></pre>
            <button class="btn small" {title} onclick={click(run, what)}>{ icons::icon(icon_of(does)) }{ word }</button>
        </div>
    }
}

fn icon_of(does: Does) -> &'static str {
    match does {
        Does::Copy => "copy",
        Does::Apply => "edit",
        _ => "play",
    }
}

fn action(text: &str, does: Does) -> (&'static str, LabDo) {
    match does {
        Does::Copy => ("Copy it", LabDo::Copy(text.into())),
        Does::Apply => ("Apply it as a manifest", LabDo::Apply(text.into())),
        Does::ExecInterrupt => {
            ("Stop what runs, then run it in the terminal", LabDo::Exec { text: text.into(), interrupt: true })
        }
        _ => ("Run it in the terminal", LabDo::Exec { text: text.into(), interrupt: false }),
    }
}

fn click(run: &Callback<Do>, what: LabDo) -> Callback<MouseEvent> {
    let run = run.clone();
    Callback::from(move |_: MouseEvent| run.emit(Do::Lab(what.clone())))
}
