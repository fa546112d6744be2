//! Filters over text: cat, head, wc, sort, uniq, cut, tr, nl, rev, tac, fold, paste.

mod cut;
mod sort;

use cri_api::{Errno, Text};

use super::filter::{Filter, FilterProgram, Next};
use super::{Io, Make};
use cut::{Cut, Tr};
use sort::{Sort, Uniq};

pub(super) const TABLE: &[(&str, Make)] = &[
    ("cat", FilterProgram::<Cat>::boxed),
    ("head", FilterProgram::<Head>::boxed),
    ("wc", FilterProgram::<Wc>::boxed),
    ("sort", FilterProgram::<Sort>::boxed),
    ("uniq", FilterProgram::<Uniq>::boxed),
    ("cut", FilterProgram::<Cut>::boxed),
    ("tr", FilterProgram::<Tr>::boxed),
    ("nl", FilterProgram::<Cat>::boxed),
    ("rev", FilterProgram::<Reverse>::boxed),
    ("tac", FilterProgram::<Reverse>::boxed),
    ("fold", FilterProgram::<Fold>::boxed),
];

/// Writes a line as it came.
fn line_out(io: &mut Io<'_, '_>, line: &[u8], newline: bool) {
    io.print(line);
    if newline {
        io.print("\n");
    }
}

fn cannot_open(io: &mut Io<'_, '_>, name: &str, error: Errno) {
    match error {
        Errno::EISDIR => io.error(format!("read error: {error}")),
        error => io.error(format!("can't open '{name}': {error}")),
    }
}

/// `cat`, and `nl` (which numbers lines that aren't empty).
#[derive(Clone)]
struct Cat {
    number: bool,
    number_nonempty: bool,
    show_ends: bool,
    show_tabs: bool,
    width: usize,
    line: u64,
    begun: bool,
}

impl Cat {
    fn plain(&self) -> bool {
        !(self.number || self.number_nonempty || self.show_ends || self.show_tabs)
    }

    fn line(&mut self, io: &mut Io<'_, '_>, line: &[u8], newline: bool) {
        let counted = self.number || (self.number_nonempty && !line.is_empty());
        if !self.begun && counted {
            self.line += 1;
            io.print(format!("{:>width$}\t", self.line, width = self.width));
        }
        self.begun = !newline;
        match self.show_tabs {
            true => io.print(String::from_utf8_lossy(line).replace('\t', "^I")),
            false => io.print(line),
        }
        if newline {
            io.print(if self.show_ends { "$\n" } else { "\n" });
        }
    }
}

impl Filter for Cat {
    const LINES: bool = false;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Cat, Vec<Text>), i32> {
        let nl = io.name() == "nl";
        let options = io.options(if nl { "b:w:s:" } else { "nbetvAu" }, &[])?;
        let all = options.has('b') && options.value('b').is_some_and(|v| &**v == "a");
        let cat = Cat {
            number: options.has('n') || (nl && all),
            number_nonempty: if nl { !all } else { options.has('b') },
            show_ends: options.has('e') || options.has('A'),
            show_tabs: options.has('t') || options.has('A'),
            width: 6,
            line: 0,
            begun: false,
        };
        Ok((cat, options.operands))
    }

    fn data(&mut self, io: &mut Io<'_, '_>, data: &[u8], _: bool) -> Next {
        if self.plain() {
            io.print(data);
            return Next::More;
        }
        let mut rest = data;
        while let Some(len) = rest.iter().position(|b| *b == b'\n') {
            self.line(io, &rest[..len], true);
            rest = &rest[len + 1..];
        }
        if !rest.is_empty() {
            self.line(io, rest, false);
        }
        Next::More
    }

    fn open_error(&mut self, io: &mut Io<'_, '_>, name: &str, error: Errno) {
        cannot_open(io, name, error);
    }

    fn end(&mut self, _: &mut Io<'_, '_>, failed: bool) -> i32 {
        failed as i32
    }
}

/// `head`.
#[derive(Clone)]
struct Head {
    bytes: bool,
    count: u64,
    left: u64,
    /// `-n -N`: all but the last.
    hold: Option<std::collections::VecDeque<Vec<u8>>>,
    headers: bool,
    first: bool,
}

impl Filter for Head {
    const LINES: bool = false;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Head, Vec<Text>), i32> {
        let args: Vec<Text> = io
            .args()
            .into_iter()
            .map(|a| match a.strip_prefix('-') {
                Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => format!("-n{n}").into(),
                _ => a,
            })
            .collect();
        let options = super::Options::parse(&args, "n:c:qv", &[("lines", 'n'), ("bytes", 'c'), ("quiet", 'q')]).map_err(|e| {
            io.error(e);
            1
        })?;
        let bytes = options.has('c');
        let text = options.value('c').or(options.value('n')).cloned().unwrap_or_else(|| "10".into());
        let (negative, digits) = text.strip_prefix('-').map_or((false, &*text), |d| (true, d));
        let Some(count) = crate::text::parse_size(digits) else {
            io.error(format!("invalid number '{text}'"));
            return Err(1);
        };
        let headers = options.has('v') || (options.operands.len() > 1 && !options.has('q'));
        let hold = negative.then(Default::default);
        Ok((Head { bytes, count, left: count, hold, headers, first: true }, options.operands))
    }

    fn open(&mut self, io: &mut Io<'_, '_>, name: &str) -> Next {
        self.left = self.count;
        if self.headers {
            let blank = if self.first { "" } else { "\n" };
            let name = if name == "-" { "standard input" } else { name };
            io.print(format!("{blank}==> {name} <==\n"));
        }
        self.first = false;
        if self.left == 0 && self.hold.is_none() { Next::NextFile } else { Next::More }
    }

    fn data(&mut self, io: &mut Io<'_, '_>, data: &[u8], _: bool) -> Next {
        if let Some(hold) = &mut self.hold {
            for piece in data.split_inclusive(|b| *b == b'\n') {
                match hold.back_mut() {
                    Some(last) if last.last() != Some(&b'\n') => last.extend_from_slice(piece),
                    _ => hold.push_back(piece.to_vec()),
                }
                while hold.len() as u64 > self.count + 1 {
                    let line = hold.pop_front().unwrap_or_default();
                    io.out.push(1, &line);
                }
            }
            return Next::More;
        }
        if self.bytes {
            let n = (self.left as usize).min(data.len());
            io.print(&data[..n]);
            self.left -= n as u64;
        } else {
            let mut end = 0;
            while self.left > 0 && end < data.len() {
                let newline = data[end..].iter().position(|b| *b == b'\n');
                end = newline.map_or(data.len(), |n| end + n + 1);
                self.left -= newline.is_some() as u64;
            }
            io.print(&data[..end]);
        }
        if self.left == 0 { Next::NextFile } else { Next::More }
    }

    fn close(&mut self, io: &mut Io<'_, '_>) {
        if let Some(hold) = &mut self.hold {
            while hold.len() as u64 > self.count {
                let line = hold.pop_front().unwrap_or_default();
                io.out.push(1, &line);
            }
            hold.clear();
        }
    }

    fn open_error(&mut self, io: &mut Io<'_, '_>, name: &str, error: Errno) {
        io.error(format!("{name}: {error}"));
    }

    fn end(&mut self, _: &mut Io<'_, '_>, failed: bool) -> i32 {
        failed as i32
    }
}

/// `wc`.
#[derive(Clone)]
struct Wc {
    /// Which of lines, words, characters, bytes, longest line.
    show: [bool; 5],
    counts: [u64; 5],
    totals: [u64; 5],
    in_word: bool,
    column: u64,
    name: String,
    files: usize,
}

impl Wc {
    fn row(&self, io: &mut Io<'_, '_>, counts: &[u64; 5], name: &str) {
        let shown: Vec<u64> = (0..5).filter(|i| self.show[*i]).map(|i| counts[i]).collect();
        let text = match shown.as_slice() {
            [one] => one.to_string(),
            many => many.iter().map(|n| format!("{n:>9}")).collect::<Vec<_>>().join(" "),
        };
        io.print(if name.is_empty() || name == "-" { format!("{text}\n") } else { format!("{text} {name}\n") });
    }
}

impl Filter for Wc {
    const LINES: bool = false;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Wc, Vec<Text>), i32> {
        let options = io.options("lwmcL", &[("lines", 'l'), ("words", 'w'), ("bytes", 'c'), ("chars", 'm')])?;
        let mut show = ['l', 'w', 'm', 'c', 'L'].map(|c| options.has(c));
        if show == [false; 5] {
            show = [true, true, false, true, false];
        }
        let files = options.operands.len();
        Ok((Wc { show, counts: [0; 5], totals: [0; 5], in_word: false, column: 0, name: String::new(), files }, options.operands))
    }

    fn open(&mut self, _: &mut Io<'_, '_>, name: &str) -> Next {
        self.counts = [0; 5];
        (self.in_word, self.column) = (false, 0);
        self.name = name.to_string();
        Next::More
    }

    fn data(&mut self, _: &mut Io<'_, '_>, data: &[u8], _: bool) -> Next {
        for &byte in data {
            self.counts[0] += (byte == b'\n') as u64;
            let blank = byte.is_ascii_whitespace();
            self.counts[1] += (!blank && !self.in_word) as u64;
            self.in_word = !blank;
            self.counts[2] += (byte & 0xc0 != 0x80) as u64;
            self.column = if byte == b'\n' { 0 } else { self.column + (byte & 0xc0 != 0x80) as u64 };
            self.counts[4] = self.counts[4].max(self.column);
        }
        self.counts[3] += data.len() as u64;
        Next::More
    }

    fn close(&mut self, io: &mut Io<'_, '_>) {
        let (counts, name) = (self.counts, self.name.clone());
        self.row(io, &counts, if self.files == 0 { "" } else { &name });
        for (total, count) in self.totals.iter_mut().zip(counts).take(4) {
            *total += count;
        }
        self.totals[4] = self.totals[4].max(counts[4]);
    }

    fn end(&mut self, io: &mut Io<'_, '_>, failed: bool) -> i32 {
        if self.files > 1 {
            let totals = self.totals;
            self.row(io, &totals, "total");
        }
        failed as i32
    }
}

/// `rev` (characters) and `tac` (lines).
#[derive(Clone)]
struct Reverse {
    lines: Option<Vec<Vec<u8>>>,
    bytes: usize,
}

impl Filter for Reverse {
    const LINES: bool = true;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Reverse, Vec<Text>), i32> {
        let options = io.options("", &[])?;
        Ok((Reverse { lines: (io.name() == "tac").then(Vec::new), bytes: 0 }, options.operands))
    }

    fn data(&mut self, io: &mut Io<'_, '_>, line: &[u8], newline: bool) -> Next {
        match &mut self.lines {
            Some(lines) => {
                self.bytes += line.len() + 24;
                lines.push(line.to_vec());
            }
            None => {
                let text: String = String::from_utf8_lossy(line).chars().rev().collect();
                line_out(io, text.as_bytes(), newline);
            }
        }
        Next::More
    }

    fn memory(&self) -> usize {
        self.bytes
    }

    fn end(&mut self, io: &mut Io<'_, '_>, failed: bool) -> i32 {
        for line in self.lines.take().unwrap_or_default().iter().rev() {
            line_out(io, line, true);
        }
        failed as i32
    }
}

#[derive(Clone)]
struct Fold {
    width: usize,
    at_spaces: bool,
}

impl Filter for Fold {
    const LINES: bool = true;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Fold, Vec<Text>), i32> {
        let options = io.options("bsw:", &[])?;
        let width = options.value('w').and_then(|w| w.parse().ok()).filter(|w| *w > 0).unwrap_or(80);
        Ok((Fold { width, at_spaces: options.has('s') }, options.operands))
    }

    fn data(&mut self, io: &mut Io<'_, '_>, line: &[u8], newline: bool) -> Next {
        let mut rest: Vec<char> = String::from_utf8_lossy(line).chars().collect();
        while rest.len() > self.width {
            let space = rest[..self.width].iter().rposition(|c| *c == ' ').filter(|_| self.at_spaces);
            let tail = rest.split_off(space.map_or(self.width, |at| at + 1));
            io.print(rest.iter().collect::<String>() + "\n");
            rest = tail;
        }
        line_out(io, rest.iter().collect::<String>().as_bytes(), newline);
        Next::More
    }

    fn end(&mut self, _: &mut Io<'_, '_>, failed: bool) -> i32 {
        failed as i32
    }
}
