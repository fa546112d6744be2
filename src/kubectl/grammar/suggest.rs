//! What somebody meant who typed a command that does not exist. Models cobra's `SuggestionsFor`.

use super::CommandDef;

pub(super) fn unknown_command(word: &str, parent: &CommandDef) -> String {
    let mut text = format!("unknown command {word:?} for {:?}", parent.full());
    let near: Vec<&str> = parent
        .children()
        .iter()
        .map(CommandDef::name)
        .filter(|name| distance(word, name) <= 2 || name.starts_with(word) || suggested_for(name).contains(&word))
        .collect();
    if !near.is_empty() {
        text.push_str("\n\nDid you mean this?\n");
        near.iter().for_each(|name| text.push_str(&format!("\t{name}\n")));
    }
    text
}

/// Words that people use for a command that is named otherwise.
fn suggested_for(name: &str) -> &'static [&'static str] {
    match name {
        "get" => &["list", "ls"],
        "delete" => &["rm", "remove"],
        "describe" => &["inspect"],
        "top" => &["stats"],
        _ => &[],
    }
}

/// Levenshtein's distance, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
