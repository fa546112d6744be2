//! A lab in other languages. `lab.de.md` is `lab.md` in German; between two lines `---` at its head it may have a map from texts of
//! `lab.yaml` to what they are in German. What it doesn't name stays as it is in `lab.yaml`.
//!
//! The map is laid over the YAML before that is read, so that a question's options, its answers, the replies to them and the solution
//! that gives them stay one word for one thing.

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::{Fields, Value, yaml};
use protocol::{Block, Does, Inline};

use crate::condition::scalar;
use crate::markdown::{self, Document};
use crate::mistakes::Mistakes;
use crate::{Files, limits};

/// Fields of `lab.yaml` that the learner reads: these every translation should have.
const SENTENCES: [&str; 5] = ["want", "fail", "say", "ask", "hints"];
/// These may be names that are the same everywhere.
const WORDS: [&str; 3] = ["options", "answer", "answers"];

/// Texts of `lab.yaml` in one language.
#[derive(Debug, Default)]
pub(crate) struct Translation {
    /// By the text with single spaces; and whether `lab.yaml` has it.
    texts: BTreeMap<String, (String, bool)>,
}

impl Translation {
    /// Reads the map at the head of a file.
    pub fn read(head: &str, file: &str, mistakes: &mut Mistakes) -> Translation {
        let mut texts = BTreeMap::new();
        let document = match yaml::parse(head) {
            Ok(document) => document,
            Err(e) => {
                mistakes.add(file, e.line + 1, e.message);
                return Translation::default();
            }
        };
        for duplicate in document.duplicates.iter().take(3) {
            mistakes.add(file, 1, duplicate.clone());
        }
        for (text, translated) in document.value.as_map().into_iter().flatten() {
            match translated.as_str().filter(|t| t.chars().count() <= limits::LINE) {
                Some(translated) => drop(texts.insert(spaced(text), (translated.to_string(), false))),
                None => mistakes.add(file, line_of(head, text), format!("{text:?}: must be one text, of one line's length")),
            }
        }
        Translation { texts }
    }

    /// `lab.yaml` in this language.
    pub fn apply(&mut self, document: &Value) -> Value {
        let mut translated = document.clone();
        if let (false, Some(steps)) = (self.texts.is_empty(), document.get("steps")) {
            let steps = walk(steps, &mut |text, _| self.say(text));
            translated.map_mut().set("steps", steps);
        }
        translated
    }

    fn say(&mut self, text: &str) -> Option<String> {
        let (translated, used) = self.texts.get_mut(&spaced(text))?;
        *used = true;
        Some(translated.clone())
    }

    /// Texts that `lab.yaml` doesn't have are mistakes: it was changed, or they have a slip.
    pub fn tell_unused(&self, head: &str, file: &str, mistakes: &mut Mistakes) {
        for (text, _) in self.texts.iter().filter(|(_, (_, used))| !used) {
            mistakes.add(file, line_of(head, text), format!("no step of lab.yaml has the text {text:?}"));
        }
    }
}

/// The value with its texts replaced where `say` has something else; it is told whether the text is a sentence.
fn walk(value: &Value, say: &mut dyn FnMut(&str, bool) -> Option<String>) -> Value {
    match value {
        Value::List(items) => Value::list(items.iter().map(|item| walk(item, say)).collect()),
        Value::Map(fields) => {
            let members = fields.iter().map(|(name, value)| {
                let value = match &**name {
                    "replies" => replies(value, say),
                    n if SENTENCES.contains(&n) => texts(value, true, say),
                    n if WORDS.contains(&n) => texts(value, false, say),
                    _ => walk(value, say),
                };
                (name.clone(), value)
            });
            Value::from(members.collect::<Fields>())
        }
        other => other.clone(),
    }
}

/// A text, or a list of texts.
fn texts(value: &Value, sentence: bool, say: &mut dyn FnMut(&str, bool) -> Option<String>) -> Value {
    match value {
        Value::List(items) => Value::list(items.iter().map(|item| texts(item, sentence, say)).collect()),
        Value::Map(_) | Value::Null => value.clone(),
        // A number is the same answer as its digits.
        other => say(&scalar(other), sentence).map_or_else(|| value.clone(), |said| Value::str(&said)),
    }
}

/// Answers with what is said to them.
fn replies(value: &Value, say: &mut dyn FnMut(&str, bool) -> Option<String>) -> Value {
    let members = value.as_map().into_iter().flatten().map(|(answer, reply)| {
        let answer = say(answer, false).map_or_else(|| answer.clone(), |said| said.as_str().into());
        (answer, texts(reply, true, say))
    });
    Value::from(members.collect::<Fields>())
}

/// The map at the head of a translation, and the text below it. The text keeps its line numbers.
pub(crate) fn parts(prose: &str) -> (&str, String) {
    let Some(rest) = prose.strip_prefix("---\n") else { return ("", prose.to_string()) };
    let Some(end) = rest.find("\n---\n") else { return ("", prose.to_string()) };
    let (head, text) = (&rest[..=end], &rest[end + 5..]);
    (head, "\n".repeat(head.lines().count() + 2) + text)
}

/// The languages that a lab's text is in: `en`, and those of `lab.de.md` and its like.
pub fn languages(files: &Files) -> Vec<String> {
    let plain = |l: &&str| (2..=12).contains(&l.len()) && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let others = files.iter().filter_map(|(path, _)| path.strip_prefix("lab.")?.strip_suffix(".md")).filter(plain);
    let mut all: Vec<String> = others.map(str::to_string).collect();
    if files.iter().any(|(path, _)| path == "lab.md") {
        all.insert(0, "en".into());
    }
    all
}

/// Which of them suits a reader of `language` (`de-AT`: `de`); None: English.
pub(crate) fn fitting(files: &Files, language: &str) -> Option<String> {
    let there = languages(files);
    let main = language.split('-').next().unwrap_or_default();
    [language, main].iter().find_map(|wanted| there.iter().find(|l| l.eq_ignore_ascii_case(wanted) && *l != "en")).cloned()
}

/// What is wrong with a lab's translations, by name: steps, commands or texts that aren't those of `lab.md` and `lab.yaml`.
pub fn check(name: &str, files: &Files) -> Mistakes {
    let file = |path: &str| files.iter().find(|(p, _)| p == path).map_or("", |(_, text)| text.as_str());
    let (original, mut mistakes) = (markdown::document(file("lab.md")), Mistakes::default());
    let document = yaml::parse(file("lab.yaml")).map(|d| d.value).unwrap_or_default();
    for language in languages(files).iter().filter(|l| *l != "en") {
        if let Err(wrong) = crate::read(name, files, language) {
            mistakes.0.extend(wrong.0);
            continue;
        }
        let path = format!("lab.{language}.md");
        let (head, text) = parts(file(&path));
        commands(&original, &markdown::document(&text), &path, &mut mistakes);
        let mut translation = Translation::read(head, &path, &mut mistakes);
        if !head.is_empty() {
            sentences(&document, &mut translation, &path, &mut mistakes);
        }
    }
    // A text that stands in two steps is told once.
    let mut told = BTreeSet::new();
    mistakes.0.retain(|m| told.insert(m.to_string()));
    mistakes
}

/// Every sentence of `lab.yaml` is translated, with the same code and the same `{value}`s in it.
fn sentences(document: &Value, translation: &mut Translation, path: &str, mistakes: &mut Mistakes) {
    let mut look = |text: &str, sentence: bool| {
        match translation.say(text) {
            None if sentence && has_words(text) => mistakes.add(path, 0, format!("the text {text:?} is not translated")),
            Some(said) if fixed(&said) != fixed(text) => {
                let (has, wants) = (fixed(&said).join(", "), fixed(text).join(", "));
                mistakes.add(path, 0, format!("{text:?}: the translation has {has:?} where lab.yaml has {wants:?}"));
            }
            _ => {}
        }
        None
    };
    walk(document.get("steps").unwrap_or(&Value::Null), &mut look);
}

/// What a translation may not change: code in backticks and what is filled in, sorted.
fn fixed(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    found.extend(["{value}", "{count}", "{name}"].into_iter().filter(|f| text.contains(f)));
    found.sort_unstable();
    found
}

fn has_words(text: &str) -> bool {
    let outside: String = text.split('`').step_by(2).collect();
    ["{value}", "{count}", "{name}"].iter().fold(outside, |t, f| t.replace(f, "")).chars().any(char::is_alphabetic)
}

/// Both have the same commands, step by step.
fn commands(original: &Document, translated: &Document, path: &str, mistakes: &mut Mistakes) {
    let first = (1, "the introduction".to_string(), &original.intro, &translated.intro);
    let steps = original.sections.iter().zip(&translated.sections).enumerate();
    let steps = steps.map(|(i, (o, t))| (t.line, format!("step {} ({})", i + 1, t.title), &o.blocks, &t.blocks));
    for (line, place, wanted, there) in std::iter::once(first).chain(steps) {
        let (wanted, there) = (does(wanted), does(there));
        let mut tell = |text: String| mistakes.add(path, line, format!("{place}: {text}"));
        let (lost, more) = (without(&wanted, &there), without(&there, &wanted));
        lost.iter().for_each(|c| tell(format!("{c:?} of lab.md is missing")));
        more.iter().for_each(|c| tell(format!("{c:?} is not in lab.md")));
        if lost.is_empty() && more.is_empty() && wanted != there {
            tell("its code stands in another order than in lab.md".into());
        }
    }
    if original.sections.len() != translated.sections.len() {
        mistakes.add(path, 0, format!("has {} sections, lab.md has {}", translated.sections.len(), original.sections.len()));
    }
}

/// Items of the first list that the second doesn't have as often.
fn without(all: &[String], taken: &[String]) -> Vec<String> {
    let mut taken = taken.to_vec();
    let left = all.iter().filter(|item| match taken.iter().position(|t| t == *item) {
        Some(i) => {
            taken.swap_remove(i);
            false
        }
        None => true,
    });
    left.cloned().collect()
}

/// Fences in their order, then what can be clicked in lines: a sentence may need another order of words.
fn does(blocks: &[Block]) -> Vec<String> {
    let (mut fences, mut clicks) = (Vec::new(), Vec::new());
    gather(blocks, &mut fences, &mut clicks);
    clicks.sort_unstable();
    fences.extend(clicks);
    fences
}

fn gather(blocks: &[Block], fences: &mut Vec<String>, clicks: &mut Vec<String>) {
    for block in blocks {
        match block {
            Block::Code { text, does, .. } => fences.push(marked(text, *does)),
            Block::List { items, .. } => items.iter().for_each(|item| gather(item, fences, clicks)),
            Block::Quote(inner) => gather(inner, fences, clicks),
            Block::Heading(_, line) | Block::Paragraph(line) => gather_line(line, clicks),
            Block::Table { head, rows } => {
                head.iter().chain(rows.iter().flatten()).for_each(|cell| gather_line(cell, clicks));
            }
            Block::Rule => {}
        }
    }
}

fn gather_line(line: &[Inline], clicks: &mut Vec<String>) {
    for inline in line {
        match inline {
            Inline::Code(text, does) if *does != Does::Nothing => clicks.push(marked(text, *does)),
            Inline::Show(_, what) => clicks.push(what.clone()),
            Inline::Strong(inner) | Inline::Emphasis(inner) => gather_line(inner, clicks),
            _ => {}
        }
    }
}

fn marked(text: &str, does: Does) -> String {
    let word = match does {
        Does::Nothing => "",
        Does::Copy => "{{copy}}",
        Does::Exec => "{{exec}}",
        Does::ExecInterrupt => "{{exec interrupt}}",
        Does::Apply => "{{apply}}",
    };
    format!("{text}{word}")
}

/// YAML folds lines: what is between words doesn't count.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The file's line of a text in the head.
fn line_of(head: &str, text: &str) -> usize {
    let begin: String = text.chars().take(40).take_while(|c| !matches!(c, '"' | '\'' | '\\')).collect();
    head.lines().position(|l| l.contains(begin.trim())).map_or(1, |i| i + 2)
}
