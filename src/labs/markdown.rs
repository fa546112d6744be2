//! Markdown to blocks. What it can't say is text: there is no HTML, no image, no script, and a link leads to http or https only.
//!
//! Understood: headings, paragraphs, lists (nested), quotes, fenced code, tables, rules; `code`, **strong**, *emphasis*, [links](…), and
//! links into the picture: `[the scheduler](show:kube-scheduler)`, `[that lens](lens:components)`.
//! Behind code, inline or fenced, `{{exec}}`, `{{exec interrupt}}`, `{{copy}}` and `{{apply}}` say what a click does, as on Killercoda
//! (`{{execute}}` is the older word). Known HTML tags are dropped, an image leaves its description.

use protocol::{Block, Does, Inline};

use crate::limits;

/// Nesting of lists and quotes, and of inline marks.
const DEPTH: usize = 5;
/// Characters of a paragraph; what follows is cut.
const PARAGRAPH: usize = 20_000;
/// How far a closing mark is looked for.
const REACH: usize = 4_000;
const COLUMNS: usize = 12;

/// A text cut at its headings of one level.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// Of the first heading.
    pub title: String,
    pub intro: Vec<Block>,
    /// Each `## ` with its line and what is below.
    pub sections: Vec<Section>,
}

#[derive(Debug)]
pub(crate) struct Section {
    pub title: String,
    pub line: usize,
    pub blocks: Vec<Block>,
}

/// Cuts `# Title`, an introduction and `## Step` sections.
pub(crate) fn document(text: &str) -> Document {
    let mut document = Document::default();
    let mut parts: Vec<(String, usize, Vec<&str>)> = vec![(String::new(), 1, Vec::new())];
    let mut fence: Option<&str> = None;
    for (i, line) in text.lines().enumerate() {
        match (fence, fence_of(line)) {
            (None, Some((mark, _))) => fence = Some(mark),
            (Some(open), Some((mark, _))) if mark == open => fence = None,
            _ => {}
        }
        if fence.is_none() && document.title.is_empty() && line.starts_with("# ") {
            document.title = plain(&inlines(line[2..].trim()));
        } else if let Some(title) = line.strip_prefix("## ").filter(|_| fence.is_none()) {
            parts.push((plain(&inlines(title.trim())), i + 1, Vec::new()));
        } else if let Some(part) = parts.last_mut() {
            part.2.push(line);
        }
    }
    let mut parts = parts.into_iter();
    document.intro = parts.next().map(|p| blocks_of(&p.2, 0)).unwrap_or_default();
    document.sections = parts.map(|(title, line, lines)| Section { title, line, blocks: blocks_of(&lines, 0) }).collect();
    document
}

/// A text without steps: a hint, a step of an imported lab.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    blocks_of(&text.lines().collect::<Vec<_>>(), 0)
}

/// The words alone.
pub(crate) fn plain(inlines: &[Inline]) -> String {
    inlines
        .iter()
        .map(|i| match i {
            Inline::Text(t) | Inline::Code(t, _) => t.clone(),
            Inline::Strong(inner) | Inline::Emphasis(inner) => plain(inner),
            Inline::Link(text, _) | Inline::Show(text, _) => text.clone(),
        })
        .collect()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The mark of a fence and what follows it.
fn fence_of(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    ["```", "~~~"].into_iter().find_map(|mark| Some((mark, line.strip_prefix(mark)?)))
}

/// `- `, `* `, `+ `, `1. `: whether it counts, and where its text begins.
fn bullet(line: &str) -> Option<(bool, usize)> {
    let at = indent(line);
    let rest = &line[at..];
    if ["- ", "* ", "+ "].iter().any(|b| rest.starts_with(b)) {
        return Some((false, at + 2));
    }
    let digits = rest.chars().take_while(char::is_ascii_digit).count();
    let after = &rest[digits..];
    ((1..=4).contains(&digits) && (after.starts_with(". ") || after.starts_with(") "))).then_some((true, at + digits + 2))
}

fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 3 && ["-", "*", "_"].iter().any(|c| line.replace(c, "").is_empty())
}

fn blocks_of(lines: &[&str], depth: usize) -> Vec<Block> {
    let mut out = Vec::new();
    let mut i = 0;
    while i < lines.len() && out.len() < limits::BLOCKS {
        let line = lines[i];
        if line.trim().is_empty() {
            i += 1;
        } else if fence_of(line).is_some() {
            i = code(lines, i, &mut out);
        } else if let Some(level) = heading(line) {
            out.push(Block::Heading(level, inlines(line.trim_start_matches('#').trim())));
            i += 1;
        } else if is_rule(line) {
            out.push(Block::Rule);
            i += 1;
        } else if line.trim_start().starts_with('>') && depth < DEPTH {
            let end = run(lines, i, |l| l.trim_start().starts_with('>'));
            let inner: Vec<&str> = lines[i..end].iter().map(|l| l.trim_start()[1..].trim_start_matches(' ')).collect();
            out.push(Block::Quote(blocks_of(&inner, depth + 1)));
            i = end;
        } else if bullet(line).is_some() && depth < DEPTH {
            i = list(lines, i, depth, &mut out);
        } else if is_table(lines, i) {
            i = table(lines, i, &mut out);
        } else {
            i = paragraph(lines, i, depth, &mut out);
        }
    }
    out
}

fn run(lines: &[&str], from: usize, holds: impl Fn(&str) -> bool) -> usize {
    lines[from..].iter().position(|l| !holds(l)).map_or(lines.len(), |n| from + n)
}

fn heading(line: &str) -> Option<u8> {
    let level = line.chars().take_while(|c| *c == '#').count();
    ((1..=6).contains(&level) && line[level..].starts_with(' ')).then_some(level as u8)
}

fn code(lines: &[&str], at: usize, out: &mut Vec<Block>) -> usize {
    let Some((mark, info)) = fence_of(lines[at]) else { return at + 1 };
    let margin = indent(lines[at]);
    let mut end = at + 1;
    while end < lines.len() && fence_of(lines[end]).is_none_or(|(m, _)| m != mark) {
        end += 1;
    }
    let body: Vec<&str> = lines[at + 1..end].iter().map(|l| l.get(indent(l).min(margin)..).unwrap_or(l)).collect();
    let after = lines.get(end).and_then(|l| fence_of(l)).map_or("", |(_, after)| after);
    let (language, early) = info.split_once("{{").unwrap_or((info, ""));
    let does = does(&format!("{{{{{early}")).or_else(|| does(after)).map_or(Does::Nothing, |(d, _)| d);
    let language = language.split_whitespace().next().unwrap_or("").chars().take(20).collect();
    out.push(Block::Code { language, text: body.join("\n"), does });
    end + 1
}

/// `{{exec}}` and its like at the beginning of a text, and how long that is.
fn does(text: &str) -> Option<(Does, usize)> {
    let inner = text.strip_prefix("{{")?;
    let end = inner.find("}}").filter(|n| *n < 60)?;
    let mut words = inner[..end].split_whitespace();
    let does = match (words.next()?.to_lowercase().as_str(), words.next()) {
        ("exec" | "execute", Some("interrupt")) => Does::ExecInterrupt,
        ("exec" | "execute", _) => Does::Exec,
        ("copy", _) => Does::Copy,
        ("apply", _) => Does::Apply,
        _ => return None,
    };
    Some((does, end + 4))
}

fn list(lines: &[&str], at: usize, depth: usize, out: &mut Vec<Block>) -> usize {
    let ordered = bullet(lines[at]).is_some_and(|(o, _)| o);
    let margin = indent(lines[at]);
    let mut items: Vec<Vec<Block>> = Vec::new();
    let mut i = at;
    while i < lines.len() {
        let Some((_, body)) = bullet(lines[i]).filter(|(o, _)| *o == ordered && indent(lines[i]) == margin) else { break };
        // What is further in, and blank lines before such, belongs to the item.
        let mut end = i + 1;
        while end < lines.len() {
            let blank = lines[end].trim().is_empty();
            let next = lines[end..].iter().find(|l| !l.trim().is_empty());
            let inside = next.is_some_and(|l| indent(l) > margin);
            let lazy = !blank && bullet(lines[end]).is_none() && !lines[end - 1].trim().is_empty() && starts_nothing(lines[end]);
            if !(inside || lazy) {
                break;
            }
            end += 1;
        }
        let mut inner: Vec<&str> = vec![&lines[i][body..]];
        inner.extend(lines[i + 1..end].iter().map(|l| l.get(indent(l).min(body)..).unwrap_or(l)));
        items.push(blocks_of(&inner, depth + 1));
        i = end;
        let next = run(lines, i, |l| l.trim().is_empty());
        if next < lines.len() && bullet(lines[next]).is_some_and(|(o, _)| o == ordered && indent(lines[next]) == margin) {
            i = next;
        }
    }
    out.push(Block::List { ordered, items });
    i.max(at + 1)
}

/// Whether a line goes on with a paragraph.
fn starts_nothing(line: &str) -> bool {
    fence_of(line).is_none() && heading(line).is_none() && !is_rule(line) && !line.trim_start().starts_with('>')
}

fn paragraph(lines: &[&str], at: usize, depth: usize, out: &mut Vec<Block>) -> usize {
    let more = |l: &str| !l.trim().is_empty() && starts_nothing(l) && (bullet(l).is_none() || depth >= DEPTH);
    let end = run(lines, at + 1, more);
    let text: String = lines[at..end].iter().map(|l| l.trim()).collect::<Vec<_>>().join(" ").chars().take(PARAGRAPH).collect();
    let inlines = inlines(&text);
    if !plain(&inlines).trim().is_empty() {
        out.push(Block::Paragraph(inlines));
    }
    end
}

fn cells(line: &str) -> Vec<Vec<Inline>> {
    let line = line.trim().trim_start_matches('|').trim_end_matches('|');
    line.split('|').take(COLUMNS).map(|c| inlines(c.trim())).collect()
}

fn is_table(lines: &[&str], at: usize) -> bool {
    let bar = |l: &&&str| l.contains('|');
    let dashes = |l: &&str| l.contains("--") && l.chars().all(|c| "|-: ".contains(c));
    lines.get(at).filter(bar).is_some() && lines.get(at + 1).filter(bar).is_some_and(dashes)
}

fn table(lines: &[&str], at: usize, out: &mut Vec<Block>) -> usize {
    let end = run(lines, at + 2, |l| l.contains('|'));
    let rows = lines[at + 2..end].iter().take(limits::BLOCKS).map(|l| cells(l)).collect();
    out.push(Block::Table { head: cells(lines[at]), rows });
    end
}

/// The pieces of a line.
pub(crate) fn inlines(text: &str) -> Vec<Inline> {
    spans(text, 0)
}

fn spans(text: &str, depth: usize) -> Vec<Inline> {
    let mut out = Vec::new();
    let mut words = String::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let found = match c {
            _ if depth >= DEPTH => None,
            '`' => code_span(rest),
            '*' | '_' => emphasis(rest, before, depth),
            '[' | '!' => link(rest),
            '<' => tag(rest),
            _ => None,
        };
        if let Some((inline, length)) = found {
            flush(&mut words, &mut out);
            out.extend(inline);
            rest = &rest[length..];
            before = ' ';
            continue;
        }
        let escaped = c == '\\' && rest[1..].starts_with(|c: char| c.is_ascii_punctuation());
        if escaped {
            rest = &rest[1..];
        }
        let Some(c) = rest.chars().next() else { break };
        words.push(c);
        before = c;
        rest = &rest[c.len_utf8()..];
    }
    flush(&mut words, &mut out);
    out
}

fn flush(words: &mut String, out: &mut Vec<Inline>) {
    if !words.is_empty() {
        out.push(Inline::Text(std::mem::take(words)));
    }
}

/// The beginning of a text in which closing marks are looked for.
fn reach(text: &str) -> &str {
    let mut end = text.len().min(REACH);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

type Found = Option<(Option<Inline>, usize)>;

fn code_span(text: &str) -> Found {
    let ticks = text.chars().take_while(|c| *c == '`').count();
    let mark = &text[..ticks];
    let end = reach(&text[ticks..]).find(mark)?;
    let inside = &text[ticks..ticks + end];
    let after = ticks + end + ticks;
    let (does, length) = does(&text[after..]).unwrap_or((Does::Nothing, 0));
    let trimmed = if inside.trim().is_empty() { inside } else { inside.trim() };
    Some((Some(Inline::Code(trimmed.into(), does)), after + length))
}

fn emphasis(text: &str, before: char, depth: usize) -> Found {
    let c = text.chars().next()?;
    if c == '_' && before.is_alphanumeric() {
        return None;
    }
    let strong = text[1..].starts_with(c);
    let mark = if strong { &text[..2] } else { &text[..1] };
    let inner = &text[mark.len()..];
    if inner.starts_with(char::is_whitespace) || inner.is_empty() {
        return None;
    }
    let end = reach(inner).find(mark).filter(|n| *n > 0 && !inner[..*n].ends_with(char::is_whitespace))?;
    let after = &inner[end + mark.len()..];
    if c == '_' && after.starts_with(char::is_alphanumeric) {
        return None;
    }
    let inside = spans(&inner[..end], depth + 1);
    Some((Some(if strong { Inline::Strong(inside) } else { Inline::Emphasis(inside) }), end + 2 * mark.len()))
}

/// `[text](address)`; an image is its description.
fn link(text: &str) -> Found {
    let image = text.starts_with('!');
    let open = if image { text.strip_prefix('!')? } else { text }.strip_prefix('[')?;
    let close = reach(open).find("](")?;
    let address = &open[close + 2..];
    let end = reach(address).find(')')?;
    let length = text.len() - address.len() + end + 1;
    let target = address[..end].split_whitespace().next().unwrap_or("");
    let words = plain(&spans(&open[..close], DEPTH));
    let safe = target.starts_with("https://") || target.starts_with("http://");
    let shows = (target.starts_with("lens:") || target.starts_with("show:")) && target.len() < 120;
    let inline = match (image, safe) {
        (false, _) if shows => Some(Inline::Show(words, target.into())),
        (true, _) if words.is_empty() => None,
        (true, _) => Some(Inline::Emphasis(vec![Inline::Text(format!("(picture: {words})"))])),
        (false, true) => Some(Inline::Link(words, target.into())),
        (false, false) => Some(Inline::Text(words)),
    };
    Some((inline, length))
}

/// HTML tags that people put into markdown. Others, such as `<none>`, are text.
const TAGS: &str = " a abbr b blockquote br center code dd del details div dl dt em font h1 h2 h3 h4 h5 h6 hr i iframe img ins kbd li mark ol p pre s script small source span strong style sub summary sup table tbody td th thead tr u ul video svg object embed form input button link meta ";

fn tag(text: &str) -> Found {
    if text.starts_with("<!--") {
        let end = reach(text).find("-->")?;
        return Some((None, end + 3));
    }
    let end = reach(text).find('>')?;
    let inside = text[1..end].trim_start_matches('/');
    if inside.starts_with("http://") || inside.starts_with("https://") {
        return Some((Some(Inline::Link(inside.into(), inside.into())), end + 1));
    }
    let name: String = inside.chars().take_while(char::is_ascii_alphanumeric).collect();
    let known = !name.is_empty() && TAGS.contains(&format!(" {} ", name.to_lowercase()));
    let breaks = name.eq_ignore_ascii_case("br");
    known.then_some((breaks.then(|| Inline::Text(" ".into())), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(t: &str) -> Inline {
        Inline::Text(t.into())
    }

    #[test]
    fn a_lab_is_cut_at_its_steps() {
        let document = document("# A *lab*\n\nHello.\n\n## One\n\nDo:\n\n```sh\n## not a step\n```{{exec}}\n\n## Two\n");
        assert_eq!((document.title.as_str(), document.intro.len()), ("A lab", 1));
        let titles: Vec<_> = document.sections.iter().map(|s| (s.title.as_str(), s.line)).collect();
        assert_eq!(titles, [("One", 5), ("Two", 13)]);
        let code = Block::Code { language: "sh".into(), text: "## not a step".into(), does: Does::Exec };
        assert_eq!(document.sections[0].blocks[1], code);
    }

    #[test]
    fn code_says_what_a_click_does() {
        assert_eq!(
            inlines("run `kubectl get po`{{exec}} or `x`{{copy}} or `y`"),
            [
                text("run "),
                Inline::Code("kubectl get po".into(), Does::Exec),
                text(" or "),
                Inline::Code("x".into(), Does::Copy),
                text(" or "),
                Inline::Code("y".into(), Does::Nothing)
            ]
        );
        assert_eq!(inlines("``a`b``{{execute}}"), [Inline::Code("a`b".into(), Does::Exec)]);
        assert_eq!(inlines("`c`{{exec interrupt}}"), [Inline::Code("c".into(), Does::ExecInterrupt)]);
    }

    #[test]
    fn nothing_becomes_html() {
        assert_eq!(inlines("<script>alert(1)</script>"), [text("alert(1)")]);
        assert_eq!(inlines("[x](javascript:alert(1))"), [text("x"), text(")")]);
        assert_eq!(inlines("![pic](https://evil/x.png)"), [Inline::Emphasis(vec![text("(picture: pic)")])]);
        assert_eq!(inlines("[k](https://kubernetes.io)"), [Inline::Link("k".into(), "https://kubernetes.io".into())]);
        assert_eq!(inlines("[s](show:kube-scheduler)"), [Inline::Show("s".into(), "show:kube-scheduler".into())]);
        assert_eq!(inlines("the node is <none>"), [text("the node is <none>")]);
    }

    #[test]
    fn marks_and_lists() {
        assert_eq!(
            inlines("a **b** *c* snake_case_name \\*d"),
            [
                text("a "),
                Inline::Strong(vec![text("b")]),
                text(" "),
                Inline::Emphasis(vec![text("c")]),
                text(" snake_case_name *d")
            ]
        );
        let found = blocks("- one\n  more\n- two\n\n  ```\n  x\n  ```\n  1. deep\n\nafter\n\n| a | b |\n|---|---|\n| 1 | 2 |");
        assert_eq!(found.len(), 3);
        let Block::List { ordered: false, items } = &found[0] else { panic!("{found:?}") };
        assert_eq!((items.len(), items[1].len()), (2, 3));
        assert!(matches!(&found[2], Block::Table { rows, .. } if rows.len() == 1));
    }

    #[test]
    fn hostile_texts_end() {
        for text in [
            "*".repeat(100_000),
            "[".repeat(100_000),
            "`".repeat(99_999),
            "> ".repeat(50_000),
            "- ".repeat(50_000),
            "<".repeat(100_000),
            "![](".repeat(30_000),
            "_a".repeat(50_000),
        ] {
            blocks(&text);
        }
        blocks(&"- a\n".repeat(50_000));
        blocks(&(0..2_000).map(|i| format!("{}- x\n", " ".repeat(i))).collect::<String>());
        document("```\n## a");
    }
}
