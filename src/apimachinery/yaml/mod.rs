//! YAML text to and from [`Value`](crate::Value), as `sigs.k8s.io/yaml` reads and writes it.
//!
//! The scanner is `saphyr-parser` (YAML 1.2); what plain scalars mean is go-yaml v2's YAML 1.1 (`yes` is a bool, `0777` is
//! octal, timestamps stay strings). The emitter is our own, after libyaml, so that output is upstream's byte by byte.
//! Left out: complex keys, binary tags, number tags.

mod emit;
mod load;
mod scalar;

pub use emit::{to_string, write};
pub use load::{Document, Error, locate, parse};

/// A document of a stream, as kubectl cuts it: at lines that begin with `---`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk<'a> {
    pub text: &'a str,
    /// The line of the stream (from 1) on which the text begins.
    pub line: usize,
}

impl Chunk<'_> {
    /// Whether there is nothing but white space, comments and document marks: kubectl skips it.
    pub fn is_empty(&self) -> bool {
        self.text.lines().all(|l| {
            let l = l.trim();
            l.is_empty() || l.starts_with('#') || l == "---" || l == "..."
        })
    }
}

/// Cuts a stream into documents without parsing it, so that an error in one leaves the others readable. The `---` lines
/// belong to none; what follows the mark on its line (`--- # comment`, `--- {a: b}`) is dropped as kubectl does.
pub fn split_documents(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if line.starts_with("---") {
            chunks.push(Chunk { text: &text[start..at], line: start_line });
            (start, start_line) = (at + line.len(), i + 2);
        }
        at += line.len();
    }
    chunks.push(Chunk { text: &text[start..], line: start_line });
    chunks
}

/// Parses all documents of a stream. Empty ones are left out; each comes with the line on which it begins. The error is of
/// the first document that has one, its line counted from the start of the stream.
pub fn parse_all(text: &str) -> Result<Vec<(usize, Document)>, Error> {
    let mut documents = Vec::new();
    for chunk in split_documents(text) {
        if chunk.is_empty() {
            continue;
        }
        match parse(chunk.text) {
            Ok(document) => documents.push((chunk.line, document)),
            Err(mut error) => {
                error.line += chunk.line - 1;
                return Err(error);
            }
        }
    }
    Ok(documents)
}
