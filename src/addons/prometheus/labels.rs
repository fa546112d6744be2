//! Labels of series, and what selects them.

use std::fmt::Write;
use std::rc::Rc;

use base::Sort as _;
use regex_lite::Regex;

type Text = Rc<str>;

/// Names and values, sorted by name; no value is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Rc<Vec<(Text, Text)>>);

/// The label that holds a metric's name.
pub const NAME: &str = "__name__";

impl Labels {
    pub fn new(pairs: impl IntoIterator<Item = (Text, Text)>) -> Labels {
        let mut all: Vec<(Text, Text)> = pairs.into_iter().filter(|(_, v)| !v.is_empty()).collect();
        all.order_by(|a, b| a.0.cmp(&b.0));
        // Of two with one name the later counts.
        let mut kept: Vec<(Text, Text)> = Vec::with_capacity(all.len());
        for pair in all {
            match kept.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => kept.push(pair),
            }
        }
        Labels(Rc::new(kept))
    }
    pub fn get(&self, name: &str) -> Option<&Text> {
        self.0.iter().find(|(n, _)| **n == *name).map(|(_, v)| v)
    }
    /// The value, empty if there is none: as Prometheus compares.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).map_or("", |v| v)
    }
    pub fn iter(&self) -> impl Iterator<Item = &(Text, Text)> {
        self.0.iter()
    }
    pub fn without(&self, names: &[Text]) -> Labels {
        Labels(Rc::new(self.0.iter().filter(|(n, _)| !names.contains(n)).cloned().collect()))
    }
    pub fn only(&self, names: &[Text]) -> Labels {
        Labels(Rc::new(self.0.iter().filter(|(n, _)| names.contains(n)).cloned().collect()))
    }
    /// What functions leave of them: all but the metric's name.
    pub fn nameless(&self) -> Labels {
        match self.get(NAME) {
            Some(_) => Labels(Rc::new(self.0.iter().filter(|(n, _)| **n != *NAME).cloned().collect())),
            None => self.clone(),
        }
    }
    pub fn with(&self, name: &str, value: &str) -> Labels {
        Labels::new(self.0.iter().filter(|(n, _)| **n != *name).cloned().chain([(name.into(), value.into())]))
    }

    /// `up{job="x"}`
    pub fn show(&self) -> String {
        let mut out = self.value(NAME).to_string();
        let rest: Vec<String> = self.0.iter().filter(|(n, _)| **n != *NAME).map(|(n, v)| format!("{n}={}", quote(v))).collect();
        if !rest.is_empty() || out.is_empty() {
            let _ = write!(out, "{{{}}}", rest.join(", "));
        }
        out
    }
}

/// A text as PromQL writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A pattern that must match the whole text.
#[derive(Clone, Debug)]
pub struct Pattern(Rc<Regex>);

impl Pattern {
    pub fn new(text: &str) -> Result<Pattern, String> {
        if text.len() > 4096 {
            return Err("error parsing regexp: expression too large".into());
        }
        let regex = Regex::new(&format!("^(?s:{text})$")).map_err(|e| format!("error parsing regexp: {e}"))?;
        Ok(Pattern(Rc::new(regex)))
    }
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
    /// `template` with `$1` and `${1}` filled in, if the text matches.
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        let captures = self.0.captures(text)?;
        let mut out = String::new();
        captures.expand(template, &mut out);
        Some(out)
    }
}

#[derive(Clone, Debug)]
pub enum Op {
    Equal,
    NotEqual,
    Matches(Pattern),
    MatchesNot(Pattern),
}

/// `name="value"` in braces.
#[derive(Clone, Debug)]
pub struct Matcher {
    pub name: Text,
    pub value: Text,
    pub op: Op,
}

impl Matcher {
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.value(&self.name);
        match &self.op {
            Op::Equal => *self.value == *value,
            Op::NotEqual => *self.value != *value,
            Op::Matches(pattern) => pattern.matches(value),
            Op::MatchesNot(pattern) => !pattern.matches(value),
        }
    }
    /// Whether it lets a series through that has no such label: a selector must have one that doesn't.
    pub fn matches_empty(&self) -> bool {
        self.matches(&Labels::default())
    }
}
