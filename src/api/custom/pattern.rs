//! The regular expressions of schemas. Models Go's `regexp` by `regex-lite`, which has the same syntax without Unicode classes;
//! an expression that it can't read is refused when the definition is written.

use std::cell::RefCell;
use std::collections::HashMap;

use regex_lite::{Regex, RegexBuilder};

/// Compiled expressions, beyond this many forgotten.
const KEPT: usize = 500;
/// Bytes that a compiled expression may take: matching takes time in proportion.
const LARGEST: usize = 1 << 18;

thread_local! {
    /// A memo beside the state: looked up only.
    static COMPILED: RefCell<HashMap<String, Option<Regex>>> = RefCell::default();
}

fn with<T>(pattern: &str, f: impl FnOnce(Option<&Regex>) -> T) -> T {
    COMPILED.with_borrow_mut(|memo| {
        if memo.len() > KEPT {
            memo.clear();
        }
        if !memo.contains_key(pattern) {
            memo.insert(pattern.into(), RegexBuilder::new(pattern).size_limit(LARGEST).build().ok());
        }
        f(memo.get(pattern).and_then(Option::as_ref))
    })
}

/// Whether the expression occurs in a text. One that can't be read occurs nowhere.
pub fn matches(pattern: &str, text: &str) -> bool {
    with(pattern, |regex| regex.is_some_and(|r| r.is_match(text)))
}

/// What Go says of an expression that is none; `None`: it is one.
pub fn mistake(pattern: &str) -> Option<String> {
    if with(pattern, |regex| regex.is_some()) {
        return None;
    }
    let (mut set, mut groups, mut escaped) = (None, Vec::new(), false);
    for (i, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            // The first bracket of a set may be a member.
            ']' if set.is_some_and(|at| i > at + 1 && !(i == at + 2 && pattern[at + 1..].starts_with('^'))) => set = None,
            _ if set.is_some() => {}
            '[' => set = Some(i),
            '(' => groups.push(i),
            ')' if groups.pop().is_none() => return Some(format!("error parsing regexp: unexpected ): `{pattern}`")),
            '*' | '+' | '?' if i == 0 => {
                return Some(format!("error parsing regexp: missing argument to repetition operator: `{c}`"));
            }
            _ => {}
        }
    }
    Some(match (set, groups.is_empty()) {
        (Some(at), _) => format!("error parsing regexp: missing closing ]: `{}`", &pattern[at..]),
        (None, false) => format!("error parsing regexp: missing closing ): `{pattern}`"),
        _ if escaped => "error parsing regexp: trailing backslash at end of expression: ``".into(),
        _ => format!("error parsing regexp: `{pattern}` is not in this bottle"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        assert_eq!(mistake("^[a-z]+$"), None);
        assert_eq!(mistake("["), Some("error parsing regexp: missing closing ]: `[`".into()));
        assert_eq!(mistake("(a"), Some("error parsing regexp: missing closing ): `(a`".into()));
        assert_eq!(mistake("*a"), Some("error parsing regexp: missing argument to repetition operator: `*`".into()));
        assert!(mistake(r"\p{Greek}").unwrap().ends_with("is not in this bottle"));
        assert!(mistake("((a{99}){99}){99}").unwrap().ends_with("is not in this bottle"));
        assert!(matches("^a.c$", "abc") && !matches("^a.c$", "abd"));
    }
}
