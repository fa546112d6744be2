//! Fields as they grow: quoted text kept apart from what is split and globbed.

use cri_api::Text;

use crate::pattern::escape;

/// Builds the fields of one word as patterns (quoted characters carry a backslash).
pub(super) struct Fields {
    split: bool,
    ifs: Text,
    done: Vec<String>,
    current: Option<String>,
}

impl Fields {
    pub fn new(split: bool, ifs: Text) -> Fields {
        Fields { split, ifs, done: Vec::new(), current: None }
    }

    /// Text as it stands in the script: globs count, blanks don't split.
    pub fn literal(&mut self, text: &str) {
        self.current.get_or_insert_default().push_str(text);
    }

    pub fn quoted(&mut self, text: &str) {
        escape(text, self.current.get_or_insert_default());
    }

    /// The result of an unquoted expansion: split at IFS, globs count, backslashes are plain.
    pub fn expanded(&mut self, text: &str) {
        if !self.split || self.ifs.is_empty() {
            if !text.is_empty() {
                push_active(text, self.current.get_or_insert_default());
            }
            return;
        }
        let is_blank = |c: char| matches!(c, ' ' | '\t' | '\n');
        let ifs = self.ifs.clone();
        let mut chars = text.chars().peekable();
        while let Some(&c) = chars.peek() {
            if !ifs.contains(c) {
                let current = self.current.get_or_insert_default();
                if c == '\\' {
                    current.push('\\');
                }
                current.push(c);
                chars.next();
                continue;
            }
            // A delimiter is blanks around at most one other IFS character.
            let mut hard = false;
            while let Some(&c) = chars.peek() {
                if !ifs.contains(c) || (hard && !is_blank(c)) {
                    break;
                }
                hard |= !is_blank(c);
                chars.next();
            }
            if hard {
                self.current.get_or_insert_default();
            }
            self.end_field();
        }
    }

    /// Ends the field that has been begun, if any.
    pub fn end_field(&mut self) {
        if let Some(field) = self.current.take() {
            self.done.push(field);
        }
    }

    pub fn splits(&self) -> bool {
        self.split
    }

    pub fn finish(mut self) -> Vec<String> {
        self.end_field();
        self.done
    }
}

fn push_active(text: &str, out: &mut String) {
    for c in text.chars() {
        if c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
}
