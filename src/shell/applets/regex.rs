//! POSIX regular expressions over `regex-lite`: basic syntax is turned into extended. Left out by name: back-references in
//! patterns (refused), leftmost-longest alternation (the first that matches wins), collating symbols.

use regex_lite::Regex;

/// Turns a basic regular expression into an extended one.
pub fn basic_to_extended(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut start = true;
    while let Some(c) = chars.next() {
        let was_start = std::mem::take(&mut start);
        match c {
            '\\' => match chars.next() {
                Some('(') => {
                    out.push('(');
                    start = true;
                }
                Some('|') => {
                    out.push('|');
                    start = true;
                }
                Some(c @ (')' | '{' | '}' | '+' | '?')) => out.push(c),
                Some('<' | '>') => out.push_str("\\b"),
                Some(c) => out.extend(['\\', c]),
                None => out.push_str("\\\\"),
            },
            '*' if was_start => out.push_str("\\*"),
            '^' if !was_start => out.push_str("\\^"),
            '^' => {
                out.push('^');
                start = true;
            }
            '$' if chars.peek().is_some()
                && !(chars.clone().take(2).eq("\\)".chars()) || chars.clone().take(2).eq("\\|".chars())) =>
            {
                out.push_str("\\$");
            }
            '(' | ')' | '{' | '}' | '+' | '?' | '|' => out.extend(['\\', c]),
            '[' => bracket(&mut chars, &mut out),
            c => out.push(c),
        }
    }
    out
}

/// Copies a bracket expression, where a backslash is itself.
fn bracket(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    out.push('[');
    if let Some(c) = chars.next_if_eq(&'^') {
        out.push(c);
    }
    if chars.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
    while let Some(c) = chars.next() {
        match c {
            ']' => {
                out.push(']');
                return;
            }
            '[' if matches!(chars.peek(), Some(':')) => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str("\\["),
            '\\' => match chars.peek() {
                // Busybox' users write `[\t]` and `[\/]`: both readings are kept.
                Some(&n @ ('n' | 't' | ']' | '\\' | '/')) => {
                    chars.next();
                    out.push_str(&if n == '/' { "/".to_string() } else { format!("\\{n}") });
                }
                _ => out.push_str("\\\\"),
            },
            '&' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
}

/// Extended syntax as `regex-lite` takes it (bracket expressions and word anchors differ).
fn extended(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut start = true;
    while let Some(c) = chars.next() {
        let was_start = std::mem::replace(&mut start, matches!(c, '(' | '|'));
        match c {
            '\\' => match chars.next() {
                Some('<' | '>') => out.push_str("\\b"),
                Some(c) => out.extend(['\\', c]),
                None => out.push_str("\\\\"),
            },
            '[' => bracket(&mut chars, &mut out),
            '{' if !chars.peek().is_some_and(|c| c.is_ascii_digit() || *c == ',') => out.push_str("\\{"),
            '*' if was_start => out.push_str("\\*"),
            c => out.push(c),
        }
    }
    out
}

/// Compiles a pattern. The error is a message.
pub fn compile(pattern: &str, is_extended: bool, ignore_case: bool) -> Result<Regex, String> {
    let text = if is_extended { extended(pattern) } else { basic_to_extended(pattern) };
    let text = format!("{}{text}", if ignore_case { "(?i)" } else { "" });
    Regex::new(&text).map_err(|_| format!("bad regex '{pattern}': Invalid preceding regular expression"))
}
