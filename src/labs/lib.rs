//! Labs that check themselves: the format, the checks, what the goal still lacks, and the player that runs one.
//!
//! A lab is a folder: `lab.yaml` (cluster, steps, checks, solution) and `lab.md` (the text). [`read`] turns the files into a [`Lab`]
//! or into [`Mistakes`] with lines; [`Player`] runs one against a `Bottle`: it prepares the cluster, looks at every change, and
//! says how far the learner is. A check asks about the state, never about the way there: any route that reaches the goal passes.
//! Everything that a check tries (a request, a command) is tried in a throwaway clone of the cluster.
//!
//! A lab may come from anywhere, so nothing of it is trusted: texts become [`protocol::Block`]s and never HTML, commands run on
//! the simulated laptop only, and sizes, counts and times are bounded (see the constants in [`limits`]).
//!
//! The author's guide is `docs/labs.md`.

mod asked;
mod condition;
mod ghosts;
pub mod killercoda;
mod lab;
pub mod limits;
mod markdown;
mod mistakes;
mod parse;
mod parse_checks;
mod player;
pub mod prove;
mod query;
mod script;
mod state;
#[cfg(test)]
mod tests;
pub mod translation;
mod trial;
mod view;

pub use lab::{Check, Deed, Lab, Step, Test, WrongTurn};
pub use mistakes::{Mistake, Mistakes};
pub use player::{Phase, Player};

/// A lab's files: path in the folder, text.
pub type Files = [(String, String)];

/// Reads a lab from its files, our own or Killercoda's. `language` chooses among `lab.md`, `lab.de.md`, ….
///
/// # Errors
/// Every mistake with its file and line.
pub fn read(name: &str, files: &Files, language: &str) -> Result<Lab, Mistakes> {
    if let Some(mistakes) = limits::check(files) {
        return Err(mistakes);
    }
    let has = |path: &str| files.iter().any(|(p, _)| p == path);
    if !has("lab.yaml") && has("index.json") {
        return killercoda::import(name, files);
    }
    parse::lab(name, files, language)
}

/// The files that a lab consists of besides those at hand, as far as those name them: what a page has to fetch next.
pub fn wanted(files: &Files, language: &str) -> Vec<String> {
    let has = |path: &str| files.iter().any(|(p, _)| p == path);
    if has("lab.yaml") {
        let mut wanted = vec!["lab.md".to_string()];
        let language: String = language.chars().take_while(char::is_ascii_alphabetic).take(3).collect();
        if !language.is_empty() && language != "en" {
            wanted.push(format!("lab.{language}.md"));
        }
        wanted.retain(|w| !has(w));
        return wanted;
    }
    let index = files.iter().find(|(p, _)| p == "index.json");
    index.map(|(_, text)| killercoda::wanted(text)).unwrap_or_default().into_iter().filter(|w| !has(w)).collect()
}
