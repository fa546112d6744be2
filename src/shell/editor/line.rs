//! One line being edited: keys in, terminal bytes out. No terminal is needed to test it.

mod keys;

use base::Vector;
use cri_api::Text;

use crate::text::width;
use keys::{Key, next_key};

/// What ended a run of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Line(String),
    /// ^C
    Interrupt,
    /// ^D on an empty line.
    Eof,
    /// Tab.
    Complete,
    /// More than [`MAX_LINE`] characters: the line is thrown away.
    TooLong,
}

/// Characters of one line (or one paste).
const MAX_LINE: usize = 1 << 20;

/// A line editor.
#[derive(Clone, Default)]
pub struct LineEditor {
    prompt: String,
    cols: usize,
    text: Vec<char>,
    cursor: usize,
    /// Row of the cursor below the first row of the prompt's last line.
    row: usize,
    killed: Vec<char>,
    /// Index into the history; its length while the line is new.
    history_at: Option<usize>,
    /// The new line, while an older one is shown.
    stashed: Vec<char>,
    search: Option<Search>,
    /// Whether the terminal was asked to mark pasted text.
    marks_paste: bool,
    pasting: bool,
    /// What follows of a line that was too long is thrown away too.
    discarding: bool,
    /// Where the text ends on the screen, if that is known.
    end: Option<Cell>,
    input: Vec<u8>,
    pub(super) tabs: u32,
}

/// A place on the screen, in cells from the prompt's beginning.
#[derive(Clone, Copy, Default)]
struct Cell {
    at: usize,
    after_newline: bool,
}

impl Cell {
    /// Behind one more character.
    fn next(self, c: char, cols: usize) -> Cell {
        let column = self.at % cols;
        if c == '\n' {
            // A row that is exactly full has ended already.
            let full = column == 0 && self.at > 0 && !self.after_newline;
            return Cell { at: if full { self.at } else { self.at + cols - column }, after_newline: true };
        }
        let w = width(c);
        // A wide character doesn't fit into the last column.
        let gap = if column + w > cols { cols - column } else { 0 };
        Cell { at: self.at + gap + w, after_newline: false }
    }
}

/// ^R.
#[derive(Clone, Default)]
struct Search {
    query: String,
    found: Option<usize>,
}

impl LineEditor {
    /// Starts a line; the bytes show its prompt. `paste`: ask the terminal to mark pasted text.
    pub fn begin(&mut self, prompt: &str, cols: u16, paste: bool) -> Vec<u8> {
        let (before, last) = match prompt.rfind('\n') {
            Some(at) => prompt.split_at(at + 1),
            None => ("", prompt),
        };
        self.prompt = last.to_string();
        self.cols = cols.max(2) as usize;
        (self.text, self.cursor, self.row, self.history_at, self.search) = (Vec::new(), 0, 0, None, None);
        (self.marks_paste, self.end) = (paste, None);
        let marks = if paste { "\x1b[?2004h" } else { "" };
        format!("{marks}{before}{last}").into_bytes()
    }

    pub fn resize(&mut self, cols: u16) {
        self.cols = cols.max(2) as usize;
        self.end = None;
    }

    /// Keys that have come.
    pub fn type_ahead(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    pub fn has_input(&self) -> bool {
        next_key(&self.input).is_some()
    }

    /// The text before the cursor.
    pub fn before_cursor(&self) -> String {
        self.text[..self.cursor].iter().collect()
    }

    /// Takes keys until one ends the line (or asks for completion); the rest waits.
    pub fn feed(&mut self, history: &Vector<Text>, out: &mut Vec<u8>) -> Option<Outcome> {
        let mut at = 0;
        let mut outcome = None;
        while outcome.is_none()
            && let Some((key, len)) = next_key(&self.input[at.min(self.input.len())..])
        {
            at += len;
            outcome = self.key(key, history, out);
            if outcome.is_none() && self.text.len() > MAX_LINE {
                (self.text, self.cursor, self.end) = (Vec::new(), 0, None);
                self.discarding = true;
                outcome = Some(Outcome::TooLong);
            }
        }
        self.input.drain(..at.min(self.input.len()));
        if outcome.is_some() && self.marks_paste && outcome != Some(Outcome::Complete) {
            out.extend(b"\x1b[?2004l");
        }
        outcome
    }

    fn key(&mut self, key: Key, history: &Vector<Text>, out: &mut Vec<u8>) -> Option<Outcome> {
        if key != Key::Char('\t') {
            self.tabs = 0;
        }
        if self.discarding {
            let over = match key {
                Key::PasteEnd | Key::Char('\x03') => true,
                Key::Char('\r' | '\n') => !self.pasting,
                _ => false,
            };
            (self.discarding, self.pasting) = (!over, self.pasting && !over);
            return None;
        }
        if self.pasting
            && let Key::Char(c) = key
            && c != '\x03'
        {
            // A paste is one text: its lines wait for the Enter key together, if the terminal marks what is pasted.
            match c {
                '\r' | '\n' if self.marks_paste => self.insert('\n', out),
                '\r' | '\n' => return self.enter(out),
                '\t' => self.insert(' ', out),
                c if c < ' ' || c == '\x7f' => {}
                c => self.insert(c, out),
            }
            return None;
        }
        if self.search.is_some() {
            return self.search_key(key, history, out);
        }
        match key {
            Key::Char('\r' | '\n') => return self.enter(out),
            Key::Char('\x03') => {
                self.cursor = self.text.len();
                out.extend(self.redraw());
                out.extend(b"^C\n");
                self.pasting = false;
                self.input.clear();
                return Some(Outcome::Interrupt);
            }
            Key::Char('\x04') if self.text.is_empty() => return Some(Outcome::Eof),
            Key::Char('\t') => {
                self.tabs += 1;
                return Some(Outcome::Complete);
            }
            Key::Char('\x12') => {
                self.search = Some(Search::default());
                self.stashed = self.text.clone();
                out.extend(self.redraw());
            }
            Key::Char('\x0c') => {
                out.extend(b"\x1b[H\x1b[2J");
                self.row = 0;
                out.extend(self.redraw());
            }
            Key::Char('\x10') | Key::Up => self.go_back(history, out),
            Key::Char('\x0e') | Key::Down => self.go_forward(history, out),
            Key::PasteStart => self.pasting = true,
            Key::PasteEnd => self.pasting = false,
            key => self.edit_key(key, out),
        }
        None
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> Option<Outcome> {
        if self.cursor < self.text.len() {
            self.cursor = self.text.len();
            out.extend(self.redraw());
        }
        out.push(b'\n');
        Some(Outcome::Line(self.text.iter().collect()))
    }

    fn edit_key(&mut self, key: Key, out: &mut Vec<u8>) {
        let before = (self.text.len(), self.cursor);
        match key {
            Key::Char('\x01') | Key::Home => self.cursor = 0,
            Key::Char('\x05') | Key::End => self.cursor = self.text.len(),
            Key::Char('\x02') | Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Char('\x06') | Key::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            Key::WordLeft => self.cursor = self.word_start(),
            Key::WordRight => self.cursor = self.word_end(),
            Key::Char('\x7f' | '\x08') => {
                if self.cursor > 0 {
                    self.cursor -= 1;
                    self.text.remove(self.cursor);
                }
            }
            Key::Char('\x04') | Key::Delete => {
                if self.cursor < self.text.len() {
                    self.text.remove(self.cursor);
                }
            }
            Key::Char('\x0b') => self.killed = self.text.split_off(self.cursor),
            Key::Char('\x15') => self.kill_from(0),
            Key::Char('\x17') => {
                let blanks = self.text[..self.cursor].iter().rposition(|c| *c != ' ').map_or(0, |n| n + 1);
                let start = self.text[..blanks].iter().rposition(|c| *c == ' ').map_or(0, |n| n + 1);
                self.kill_from(start);
            }
            Key::WordErase => {
                let start = self.word_start();
                self.kill_from(start);
            }
            Key::WordDelete => {
                let end = self.word_end();
                self.killed = self.text.drain(self.cursor..end).collect();
            }
            Key::Char('\x19') => {
                let killed = self.killed.clone();
                self.text.splice(self.cursor..self.cursor, killed.iter().copied());
                self.cursor += killed.len();
            }
            Key::Char('\x14') if self.cursor > 0 && self.text.len() > 1 => {
                let at = self.cursor.min(self.text.len() - 1);
                self.text.swap(at - 1, at);
                self.cursor = at + 1;
                out.extend(self.redraw());
            }
            Key::Char(c) if c >= ' ' => return self.insert(c, out),
            _ => return,
        }
        if before != (self.text.len(), self.cursor) {
            out.extend(self.redraw());
        }
    }

    fn insert(&mut self, c: char, out: &mut Vec<u8>) {
        let at_end = self.cursor == self.text.len();
        let before = if at_end { Some(self.end.unwrap_or_else(|| self.cell(self.text.len()))) } else { None };
        self.text.insert(self.cursor, c);
        self.cursor += 1;
        let Some(before) = before else {
            out.extend(self.redraw());
            return;
        };
        // At the line's end the character itself is enough; behind the screen's edge the cursor goes to the next row.
        let after = before.next(c, self.cols);
        let mut buffer = [0; 4];
        out.extend(c.encode_utf8(&mut buffer).as_bytes());
        if after.at % self.cols == 0 && !after.after_newline {
            out.extend(b"\r\n");
        }
        self.row = after.at / self.cols;
        self.end = Some(after);
    }

    /// Inserts what completion found.
    pub(super) fn insert_text(&mut self, text: &str) -> Vec<u8> {
        let chars: Vec<char> = text.chars().collect();
        self.text.splice(self.cursor..self.cursor, chars.iter().copied());
        self.cursor += chars.len();
        self.redraw()
    }

    /// Replaces the last characters before the cursor.
    pub(super) fn replace_before(&mut self, count: usize, text: &str) -> Vec<u8> {
        let start = self.cursor.saturating_sub(count);
        self.text.drain(start..self.cursor);
        self.cursor = start;
        self.insert_text(text)
    }

    fn kill_from(&mut self, start: usize) {
        self.killed = self.text.drain(start..self.cursor).collect();
        self.cursor = start;
    }

    fn word_start(&self) -> usize {
        let word = |c: &char| c.is_alphanumeric();
        let end = self.text[..self.cursor].iter().rposition(word).map_or(0, |n| n + 1);
        self.text[..end].iter().rposition(|c| !word(c)).map_or(0, |n| n + 1)
    }

    fn word_end(&self) -> usize {
        let word = |c: &char| c.is_alphanumeric();
        let start = self.text[self.cursor..].iter().position(word).map_or(self.text.len(), |n| n + self.cursor);
        self.text[start..].iter().position(|c| !word(c)).map_or(self.text.len(), |n| n + start)
    }

    // ---- history ----

    fn go_back(&mut self, history: &Vector<Text>, out: &mut Vec<u8>) {
        let at = self.history_at.unwrap_or(history.len());
        if at == 0 {
            return;
        }
        if self.history_at.is_none() {
            self.stashed = std::mem::take(&mut self.text);
        }
        self.show(history, at - 1, out);
    }

    fn go_forward(&mut self, history: &Vector<Text>, out: &mut Vec<u8>) {
        let Some(at) = self.history_at else { return };
        if at + 1 < history.len() {
            return self.show(history, at + 1, out);
        }
        self.history_at = None;
        self.text = std::mem::take(&mut self.stashed);
        self.cursor = self.text.len();
        out.extend(self.redraw());
    }

    fn show(&mut self, history: &Vector<Text>, at: usize, out: &mut Vec<u8>) {
        self.history_at = Some(at);
        self.text = history.get(at).map(|line| line.chars().collect()).unwrap_or_default();
        self.cursor = self.text.len();
        out.extend(self.redraw());
    }

    fn search_key(&mut self, key: Key, history: &Vector<Text>, out: &mut Vec<u8>) -> Option<Outcome> {
        let Some(search) = &mut self.search else { return None };
        let mut from = search.found.map_or(history.len(), |at| at + 1);
        match key {
            Key::Char('\x12') => from = search.found.unwrap_or(history.len()),
            Key::Char('\x7f' | '\x08') => {
                search.query.pop();
                from = history.len();
            }
            Key::Char('\x03' | '\x07') => {
                self.search = None;
                self.text = std::mem::take(&mut self.stashed);
                self.cursor = self.text.len();
                out.extend(self.redraw());
                return None;
            }
            Key::Char(c) if c >= ' ' => search.query.push(c),
            key => {
                self.search = None;
                out.extend(self.redraw());
                return self.key(key, history, out);
            }
        }
        let query = search.query.clone();
        let found = (0..from).rev().find(|at| history.get(*at).is_some_and(|line| line.contains(&query)));
        if let Some(at) = found {
            search.found = Some(at);
            self.text = history.get(at).map(|line| line.chars().collect()).unwrap_or_default();
            self.cursor = self.text.len();
        }
        out.extend(self.redraw());
        None
    }

    // ---- drawing ----

    fn shown_prompt(&self) -> String {
        match &self.search {
            Some(search) => format!("(reverse-i-search)`{}': ", search.query),
            None => self.prompt.clone(),
        }
    }

    /// Where a character is on the screen.
    fn cell(&self, index: usize) -> Cell {
        let shown = self.shown_prompt();
        let all = visible(&shown).chain(self.text[..index].iter().copied());
        all.fold(Cell::default(), |cell, c| cell.next(c, self.cols))
    }

    /// Bytes that draw the whole line again and put the cursor.
    pub fn redraw(&mut self) -> Vec<u8> {
        let mut out = String::new();
        if self.row > 0 {
            out.push_str(&format!("\x1b[{}A", self.row));
        }
        out.push('\r');
        out.push_str(&self.shown_prompt());
        out.extend(&self.text);
        let end = self.cell(self.text.len());
        let (end_row, end_col) = (end.at / self.cols, end.at % self.cols);
        if end_col == 0 && end_row > 0 && !end.after_newline {
            out.push_str("\r\n");
        }
        out.push_str("\x1b[J");
        let cursor = if self.cursor == self.text.len() { end } else { self.cell(self.cursor) };
        let (row, col) = (cursor.at / self.cols, cursor.at % self.cols);
        self.end = Some(end);
        if end_row > row {
            out.push_str(&format!("\x1b[{}A", end_row - row));
        }
        if (row, col) != (end_row, end_col) {
            out.push('\r');
            if col > 0 {
                out.push_str(&format!("\x1b[{col}C"));
            }
        }
        self.row = row;
        out.into_bytes()
    }
}

/// The characters of a prompt without its escape sequences.
fn visible(prompt: &str) -> impl Iterator<Item = char> {
    let mut in_escape = false;
    let chars: Vec<char> = prompt
        .chars()
        .filter(|c| {
            if *c == '\x1b' {
                in_escape = true;
                return false;
            }
            if in_escape {
                in_escape = !c.is_ascii_alphabetic();
                return false;
            }
            true
        })
        .collect();
    chars.into_iter()
}
