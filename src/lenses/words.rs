//! Words of the lenses: what goes over a connection, texts in lines, captions.

use protocol::{Anchor, EdgeLook, Point, Scene, SceneText, Segment, Span, Tone};

use crate::grammar::connection;
use crate::observed::{Fault, Link, Traffic};

/// `11 watches · 0.4/s`
pub(crate) fn link_words(link: &Link) -> Vec<Span> {
    let mut spans = Vec::new();
    if link.watches > 0 {
        let s = if link.watches == 1 { "" } else { "es" };
        spans.push(Span::toned(format!("{} watch{s}", link.watches), Tone::Watch));
        spans.push(Span::dim(" · "));
    }
    spans.push(match link.rate {
        r if r <= 0.0 => Span::dim("no request"),
        r if r < 10.0 => Span::plain(format!("{r:.1}/s")),
        r => Span::plain(format!("{r:.0}/s")),
    });
    spans
}

/// `get 2 · update 1 · 3 events`, each in its colour.
pub(crate) fn verb_words(link: &Link) -> Vec<Span> {
    let mut spans = Vec::new();
    if let Fault::Slow(ms) = link.fault {
        spans.push(Span::toned(format!("+{ms} ms"), Tone::Wait));
    }
    for (verb, n, writes) in &link.verbs {
        if !spans.is_empty() {
            spans.push(Span::dim(" · "));
        }
        spans.push(Span::toned(format!("{verb} {n}"), if *writes { Tone::Write } else { Tone::Read }));
    }
    if link.refused > 0 {
        spans.push(Span::dim(" · "));
        spans.push(Span::toned(format!("429 ×{}", link.refused), Tone::Bad));
    }
    if link.events > 0 {
        if !spans.is_empty() {
            spans.push(Span::dim(" · "));
        }
        let s = if link.events == 1 { "" } else { "s" };
        spans.push(Span::toned(format!("{} event{s}", link.events), Tone::Watch));
    }
    spans
}

/// Everything about a link in one line of plain text.
pub(crate) fn link_text(link: &Link) -> String {
    let flat = |spans: Vec<Span>| spans.into_iter().map(|s| s.text).collect::<String>();
    let fault = if link.fault == Fault::Cut { "; cut" } else { "" };
    let verbs = flat(verb_words(link));
    let verbs = if verbs.is_empty() { verbs } else { format!("; {verbs}") };
    format!("{}{verbs}{fault}", flat(link_words(link)))
}

/// Draws a link; a fault shows on it.
pub(crate) fn link_edge(scene: &mut Scene, traffic: &[Traffic], link: &Link, start: Point, path: Vec<Segment>, told: bool) {
    connection(scene, traffic, &link.from, &link.to, start, path);
    let Some(edge) = scene.edges.get_mut(&format!("{}>{}", link.from, link.to)) else { return };
    if link.fault == Fault::Cut {
        (edge.look, edge.kind) = (EdgeLook::Cut, None);
    }
    if told {
        (edge.label, edge.note) = (link_words(link), verb_words(link));
    } else if let Fault::Slow(ms) = link.fault {
        edge.label = vec![Span::toned(format!("+{ms} ms"), Tone::Wait)];
    }
    edge.aria = format!("{} has a connection to {}: {}", link.from, link.to, link_text(link));
}

/// A quiet word above a column.
pub(crate) fn caption(scene: &mut Scene, id: &str, at: Point, text: impl Into<String>) {
    scene.add_text(SceneText {
        id: format!("caption/{id}"),
        at,
        anchor: Anchor::Start,
        size: 11.0,
        spans: vec![Span::dim(text)],
        opens: None,
    });
}

/// Text in lines of at most `chars` characters, at most `lines` of them; what doesn't fit ends in an ellipsis.
pub(crate) fn wrap(text: &str, chars: usize, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let full = out.len() == lines;
        match out.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= chars => {
                line.push(' ');
                line.push_str(word);
            }
            Some(line) if full => {
                line.push('…');
                break;
            }
            _ => out.push(word.to_string()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_lines() {
        assert_eq!(wrap("kube-proxy's rules choose one of three", 14, 2), ["kube-proxy's", "rules choose…"]);
        assert_eq!(wrap("one two", 20, 2), ["one two"]);
    }

    #[test]
    fn a_quiet_link_says_so() {
        let link = Link { watches: 1, verbs: vec![("get".into(), 2, false)], ..Link::default() };
        assert_eq!(link_text(&link), "1 watch · no request; get 2");
    }
}
