//! `$(NAME)` in commands, arguments and variables. Models `third_party/forked/golang/expansion`.

/// Replaces known references; unknown ones stay as they are, `$$` becomes `$`.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(i) = rest.find('$') {
        out.push_str(&rest[..i]);
        rest = &rest[i + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_recorded() {
        let lookup = |name: &str| (name == "GREETING").then(|| "hello".to_string());
        for (text, expected) in [
            ("$(GREETING)", "hello"),
            ("$$(GREETING)", "$(GREETING)"),
            ("$(UNKNOWN)", "$(UNKNOWN)"),
            ("$NOTHING", "$NOTHING"),
            ("$$$(GREETING)", "$hello"),
            ("a$", "a$"),
        ] {
            assert_eq!(expand(text, &lookup), expected);
        }
    }
}
