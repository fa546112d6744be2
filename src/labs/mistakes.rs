//! What is wrong with a lab's files, each with its place; and a strict reader of YAML maps that notes it.

use std::fmt;

use apimachinery::{Fields, Value, yaml};

use crate::limits;

/// One mistake: `lab.yaml:12: steps[0].checks[1]: unknown field "foo"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub file: String,
    /// From 1; 0: the whole file.
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => f.write_str(&self.text),
            (file, 0) => write!(f, "{file}: {}", self.text),
            (file, line) => write!(f, "{file}:{line}: {}", self.text),
        }
    }
}

/// All mistakes of a lab.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    pub fn add(&mut self, file: &str, line: usize, text: impl Into<String>) {
        if self.0.len() < limits::MISTAKES {
            self.0.push(Mistake { file: file.into(), line, text: text.into() });
        }
    }

    /// As an author goes through the files: `lab.yaml` first, from its top.
    pub(crate) fn in_order(mut self) -> Mistakes {
        self.0.sort_by(|a, b| (a.file != "lab.yaml", &a.file, a.line).cmp(&(b.file != "lab.yaml", &b.file, b.line)));
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Mistake::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

/// Reads one YAML file and gathers what is wrong with it.
pub(crate) struct Reader<'a> {
    pub file: &'a str,
    text: &'a str,
    pub mistakes: Mistakes,
}

/// A value of the file with its path.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub value: &'a Value,
    pub path: String,
}

impl<'a> Reader<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Reader<'a> {
        Reader { file, text, mistakes: Mistakes::default() }
    }

    /// Notes a mistake at a path such as `steps[0].checks`.
    pub fn wrong(&mut self, path: &str, text: impl fmt::Display) {
        if self.mistakes.0.len() >= limits::MISTAKES {
            return;
        }
        let line = yaml::locate(self.text, path).map_or(1, |(line, _)| line);
        let text = if path.is_empty() { text.to_string() } else { format!("{path}: {text}") };
        self.mistakes.add(self.file, line, text);
    }

    /// The members of a map; those that aren't `allowed` are mistakes.
    pub fn map<'n>(&mut self, node: &Node<'n>, allowed: &[&str]) -> Option<&'n Fields> {
        let Some(fields) = node.value.as_map() else {
            self.wrong(&node.path, "must be a map");
            return None;
        };
        for (name, _) in fields {
            if !allowed.contains(&&**name) {
                let name: String = name.chars().take(60).collect();
                let known = allowed.join(", ");
                self.wrong(&join(&node.path, &name), format!("unknown field {name:?} (there are {known})"));
            }
        }
        Some(fields)
    }

    /// The items of a list; a missing one has none.
    pub fn items<'n>(&mut self, node: Option<Node<'n>>, most: usize) -> Vec<Node<'n>> {
        let Some(node) = node else { return Vec::new() };
        let Some(list) = node.value.as_list() else {
            self.wrong(&node.path, "must be a list");
            return Vec::new();
        };
        if list.len() > most {
            self.wrong(&node.path, format!("has {} items, at most {most} are allowed", list.len()));
        }
        list.iter().take(most).enumerate().map(|(i, value)| Node { value, path: format!("{}[{i}]", node.path) }).collect()
    }

    /// A scalar as text.
    pub fn text(&mut self, node: &Node<'_>) -> String {
        match node.value {
            Value::Str(s) => s.to_string(),
            Value::Int(n) => n.to_string(),
            Value::Bool(b) => b.to_string(),
            Value::Float(f) => f.to_string(),
            _ => {
                self.wrong(&node.path, "must be a text");
                String::new()
            }
        }
    }

    /// The same, of one line's length.
    pub fn line(&mut self, node: &Node<'_>) -> String {
        let text = self.text(node);
        if text.chars().count() > limits::LINE {
            self.wrong(&node.path, format!("longer than {} characters", limits::LINE));
        }
        text.trim().to_string()
    }

    pub fn number(&mut self, node: &Node<'_>, most: i64) -> i64 {
        match node.value.as_i64().filter(|n| (0..=most).contains(n)) {
            Some(n) => n,
            None => {
                self.wrong(&node.path, format!("must be a number from 0 to {most}"));
                0
            }
        }
    }

    pub fn flag(&mut self, node: Option<Node<'_>>) -> bool {
        let Some(node) = node else { return false };
        node.value.as_bool().unwrap_or_else(|| {
            self.wrong(&node.path, "must be true or false");
            false
        })
    }
}

impl<'a> Node<'a> {
    pub fn get(&self, name: &str) -> Option<Node<'a>> {
        self.value.get(name).map(|value| Node { value, path: join(&self.path, name) })
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}
