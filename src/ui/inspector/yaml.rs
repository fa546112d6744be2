//! YAML with quiet colours. The text is the worker's; here it is only cut into pieces, each a text node.

use yew::prelude::*;

/// More lines than this are shown without colours.
const COLOURED_LINES: usize = 1500;

/// The text, coloured line by line.
pub fn yaml(text: &str) -> Html {
    if text.lines().count() > COLOURED_LINES {
        return html! { <pre class="yaml" tabindex="0">{ text }</pre> };
    }
    html! { <pre class="yaml" tabindex="0">{ for text.split_inclusive('\n').map(line) }</pre> }
}

fn line(line: &str) -> Html {
    let (indent, key, value) = cut(line);
    html! {
        <>
            { indent }
            if !key.is_empty() { <span class="y-key">{ key }</span> }
            if value.is_empty() { } else if let Some(class) = value_class(value) { <span {class}>{ value }</span> } else { { value } }
        </>
    }
}

/// Indentation with dashes, key, and the rest with its colon.
fn cut(line: &str) -> (&str, &str, &str) {
    let start = line.len() - line.trim_start_matches([' ', '-']).len();
    let (indent, rest) = line.split_at(start);
    let end = rest.find(": ").or_else(|| rest.trim_end().strip_suffix(':').map(str::len));
    match end {
        Some(end) if !rest.starts_with(['"', '\'', '#']) && !rest[..end].contains(' ') => (indent, &rest[..end], &rest[end..]),
        _ => (indent, "", rest),
    }
}

fn value_class(value: &str) -> Option<&'static str> {
    let bare = value.strip_prefix(':').unwrap_or(value).trim();
    if bare.is_empty() {
        return None;
    }
    if bare.parse::<f64>().is_ok() || matches!(bare, "true" | "false" | "null") {
        return Some("y-num");
    }
    if bare.starts_with('#') || matches!(bare, "{}" | "[]" | "|" | "|-" | ">" | "---") {
        return Some("y-dim");
    }
    Some("y-str")
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn lines_are_cut_at_their_key() {
        assert_eq!(cut("  - name: web\n"), ("  - ", "name", ": web\n"));
        assert_eq!(cut("spec:\n"), ("", "spec", ":\n"));
        assert_eq!(cut("- sleep 5; echo a: b\n"), ("- ", "", "sleep 5; echo a: b\n"));
        assert_eq!(cut("\n"), ("", "", "\n"));
    }
}
