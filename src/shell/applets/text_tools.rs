//! Filters over text: cat, head, wc, sort, uniq, cut, tr, nl, rev, tac, fold, paste.

use base::Sort as _;
use cri_api::{Errno, Text};

use super::filter::{Filter, FilterProgram, Next};
use super::{Io, Make};

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

/// A key of `sort -k`.
#[derive(Clone)]
struct SortKey {
    from: (usize, usize),
    to: Option<(usize, usize)>,
    flags: String,
}

#[derive(Clone)]
struct Sort {
    keys: Vec<SortKey>,
    flags: String,
    separator: Option<char>,
    unique: bool,
    check: bool,
    output: Option<Text>,
    lines: Vec<String>,
    bytes: usize,
}

fn sort_key(text: &str) -> Option<SortKey> {
    let position = |text: &str| -> Option<((usize, usize), String)> {
        let flags: String = text.chars().filter(char::is_ascii_alphabetic).collect();
        let numbers = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let (field, character) = numbers.split_once('.').map_or((numbers, "0"), |(f, c)| (f, c));
        Some(((field.parse().ok()?, character.parse().ok()?), flags))
    };
    let (from, to) = text.split_once(',').map_or((text, None), |(f, t)| (f, Some(t)));
    let (from, mut flags) = position(from)?;
    let mut end = None;
    if let Some(to) = to {
        let (position, more) = position(to)?;
        end = Some(position);
        flags += &more;
    }
    Some(SortKey { from, to: end, flags })
}

impl Sort {
    /// Byte ranges of the fields of a line.
    fn key<'l>(&self, line: &'l str, key: &SortKey) -> &'l str {
        let starts = self.field_ranges(line);
        let start = match starts.get(key.from.0.saturating_sub(1)) {
            Some((start, end)) => (start + key.from.1.saturating_sub(1)).min(*end),
            None => line.len(),
        };
        let end = match key.to {
            Some((field, 0)) => starts.get(field.saturating_sub(1)).map_or(line.len(), |r| r.1),
            Some((field, character)) => starts.get(field.saturating_sub(1)).map_or(line.len(), |r| (r.0 + character).min(r.1)),
            None => line.len(),
        };
        line.get(start..end.max(start)).unwrap_or("")
    }

    fn field_ranges(&self, line: &str) -> Vec<(usize, usize)> {
        let mut ranges = Vec::new();
        let mut start = 0;
        match self.separator {
            Some(separator) => {
                for part in line.split(separator) {
                    ranges.push((start, start + part.len()));
                    start += part.len() + separator.len_utf8();
                }
            }
            None => {
                let bytes = line.as_bytes();
                while start < bytes.len() {
                    let blanks = bytes[start..].iter().take_while(|b| b.is_ascii_whitespace()).count();
                    let word = bytes[start + blanks..].iter().take_while(|b| !b.is_ascii_whitespace()).count();
                    ranges.push((start, start + blanks + word));
                    start += blanks + word;
                }
            }
        }
        ranges
    }

    fn compare_text(&self, a: &str, b: &str, flags: &str) -> std::cmp::Ordering {
        let (a, b) = if flags.contains('b') || self.separator.is_none() { (a.trim_start(), b.trim_start()) } else { (a, b) };
        let order = if flags.contains(['n', 'g', 'h']) {
            number(a, flags.contains('h')).total_cmp(&number(b, flags.contains('h')))
        } else if flags.contains('V') {
            version(a).cmp(&version(b))
        } else if flags.contains('M') {
            month(a).cmp(&month(b))
        } else if flags.contains('f') {
            a.to_uppercase().cmp(&b.to_uppercase())
        } else {
            a.cmp(b)
        };
        if flags.contains('r') { order.reverse() } else { order }
    }

    fn compare_keys(&self, a: &str, b: &str) -> std::cmp::Ordering {
        for key in &self.keys {
            let flags = if key.flags.is_empty() { &self.flags } else { &key.flags };
            let order = self.compare_text(self.key(a, key), self.key(b, key), flags);
            if order.is_ne() {
                return order;
            }
        }
        if self.keys.is_empty() { self.compare_whole(a, b) } else { std::cmp::Ordering::Equal }
    }

    fn compare_whole(&self, a: &str, b: &str) -> std::cmp::Ordering {
        match self.flags.contains(['n', 'g', 'h', 'V', 'M', 'f', 'b']) {
            true => self.compare_text(a, b, &self.flags),
            false if self.flags.contains('r') => b.cmp(a),
            false => a.cmp(b),
        }
    }

    fn compare(&self, a: &str, b: &str) -> std::cmp::Ordering {
        let last = if self.flags.contains('s') || self.unique { std::cmp::Ordering::Equal } else { a.cmp(b) };
        let last = if self.flags.contains('r') { last.reverse() } else { last };
        self.compare_keys(a, b).then(last)
    }
}

fn number(text: &str, human: bool) -> f64 {
    let text = text.trim_start();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let len = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let mut value: f64 = digits[..len].parse().unwrap_or(0.0);
    if human {
        let power = digits[len..].chars().next().and_then(|c| "KMGTPE".find(c.to_ascii_uppercase())).map_or(0, |p| p + 1);
        value *= 1024f64.powi(power as i32);
    }
    if text.starts_with('-') { -value } else { value }
}

/// Digits and the rest apart: `v1.10` after `v1.9`.
fn version(text: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[word..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |n| word + n);
        parts.push((rest[..word].to_string(), rest[word..digits].parse().unwrap_or(0)));
        rest = &rest[digits..];
    }
    parts
}

fn month(text: &str) -> usize {
    let name: String = text.trim_start().chars().take(3).collect::<String>().to_ascii_uppercase();
    "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC".find(&name).filter(|_| name.len() == 3).map_or(0, |at| at / 3 + 1)
}

impl Filter for Sort {
    const LINES: bool = true;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Sort, Vec<Text>), i32> {
        let long = [("reverse", 'r'), ("numeric-sort", 'n'), ("unique", 'u'), ("key", 'k'), ("field-separator", 't')];
        let options = io.options("nrgMufbdishVcCmzk:t:o:S:T:", &long)?;
        let flags: String = "nrghMVfbs".chars().filter(|c| options.has(*c)).collect();
        let keys: Option<Vec<SortKey>> = options.values('k').map(|k| sort_key(k)).collect();
        let Some(keys) = keys else {
            io.error("bad field specification");
            return Err(1);
        };
        let sort = Sort {
            keys,
            flags,
            separator: options.value('t').and_then(|t| if &**t == "\\t" { Some('\t') } else { t.chars().next() }),
            unique: options.has('u'),
            check: options.has('c') || options.has('C'),
            output: options.value('o').cloned(),
            lines: Vec::new(),
            bytes: 0,
        };
        Ok((sort, options.operands))
    }

    fn data(&mut self, _: &mut Io<'_, '_>, line: &[u8], _: bool) -> Next {
        self.bytes += line.len() + 32;
        self.lines.push(String::from_utf8_lossy(line).into_owned());
        Next::More
    }

    fn memory(&self) -> usize {
        self.bytes
    }

    fn end(&mut self, io: &mut Io<'_, '_>, failed: bool) -> i32 {
        let mut lines = std::mem::take(&mut self.lines);
        io.sys.charge(lines.len() as u32);
        if self.check {
            return !lines.is_sorted_by(|a, b| self.compare(a, b).is_le()) as i32;
        }
        lines.order_by(|a, b| self.compare(a, b));
        if self.unique {
            lines.dedup_by(|a, b| self.compare_keys(a, b).is_eq());
        }
        let mut text = lines.join("\n");
        if !lines.is_empty() {
            text.push('\n');
        }
        match self.output.clone() {
            None => io.print(text),
            Some(path) => {
                if let Err(error) = io.sys.write_file(&path, text.as_bytes()) {
                    io.error(format!("can't open '{path}': {error}"));
                    return 1;
                }
            }
        }
        failed as i32
    }
}

#[derive(Clone)]
struct Uniq {
    count: bool,
    only_repeated: bool,
    only_unique: bool,
    ignore_case: bool,
    skip_fields: usize,
    skip_chars: usize,
    last: Option<(String, u64)>,
}

impl Uniq {
    fn key(&self, line: &str) -> String {
        let mut rest = line;
        for _ in 0..self.skip_fields {
            rest = rest.trim_start();
            rest = rest.find(char::is_whitespace).map_or("", |at| &rest[at..]);
        }
        let rest: String = rest.chars().skip(self.skip_chars).collect();
        if self.ignore_case { rest.to_lowercase() } else { rest }
    }

    fn put(&mut self, io: &mut Io<'_, '_>) {
        let Some((line, count)) = self.last.take() else { return };
        if (self.only_repeated && count < 2) || (self.only_unique && count > 1) {
            return;
        }
        io.print(if self.count { format!("{count:>7} {line}\n") } else { format!("{line}\n") });
    }
}

impl Filter for Uniq {
    const LINES: bool = true;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Uniq, Vec<Text>), i32> {
        let options = io.options("cduif:s:w:", &[("count", 'c'), ("repeated", 'd'), ("unique", 'u')])?;
        let number = |c| options.value(c).and_then(|v| v.parse().ok()).unwrap_or(0);
        let uniq = Uniq {
            count: options.has('c'),
            only_repeated: options.has('d'),
            only_unique: options.has('u'),
            ignore_case: options.has('i'),
            skip_fields: number('f'),
            skip_chars: number('s'),
            last: None,
        };
        Ok((uniq, options.operands.iter().take(1).cloned().collect()))
    }

    fn data(&mut self, io: &mut Io<'_, '_>, line: &[u8], _: bool) -> Next {
        let line = String::from_utf8_lossy(line).into_owned();
        let differs = self.last.as_ref().is_some_and(|(last, _)| self.key(last) != self.key(&line));
        if differs {
            self.put(io);
        }
        match &mut self.last {
            Some((_, count)) => *count += 1,
            None => self.last = Some((line, 1)),
        }
        Next::More
    }

    fn end(&mut self, io: &mut Io<'_, '_>, failed: bool) -> i32 {
        self.put(io);
        failed as i32
    }
}

#[derive(Clone)]
struct Cut {
    fields: bool,
    ranges: Vec<(usize, usize)>,
    delimiter: char,
    output: String,
    only_delimited: bool,
}

fn ranges(text: &str) -> Option<Vec<(usize, usize)>> {
    text.split(',')
        .map(|part| {
            let (from, to) =
                part.split_once('-').map_or((part, Some(part)), |(f, t)| (f, if t.is_empty() { None } else { Some(t) }));
            let from = if from.is_empty() { 1 } else { from.parse().ok()? };
            let to = to.map_or(Some(usize::MAX), |t| t.parse().ok())?;
            (from > 0 && from <= to).then_some((from, to))
        })
        .collect()
}

impl Filter for Cut {
    const LINES: bool = true;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Cut, Vec<Text>), i32> {
        let long = [("delimiter", 'd'), ("fields", 'f'), ("characters", 'c'), ("bytes", 'b'), ("output-delimiter", 'O')];
        let options = io.options("b:c:f:d:snO:", &long)?;
        let Some(list) = options.value('f').or(options.value('c')).or(options.value('b')) else {
            io.error("expected a list of bytes, characters, or fields");
            return Err(1);
        };
        let Some(ranges) = ranges(list) else {
            io.error(format!("invalid range {list}"));
            return Err(1);
        };
        let delimiter = options.value('d').and_then(|d| d.chars().next()).unwrap_or('\t');
        let output = options.value('O').map_or_else(|| delimiter.to_string(), |o| o.to_string());
        let cut = Cut { fields: options.has('f'), ranges, delimiter, output, only_delimited: options.has('s') };
        Ok((cut, options.operands))
    }

    fn data(&mut self, io: &mut Io<'_, '_>, line: &[u8], _: bool) -> Next {
        let line = String::from_utf8_lossy(line);
        let wanted = |n: usize| self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&n));
        if self.fields {
            if !line.contains(self.delimiter) {
                if !self.only_delimited {
                    io.print(format!("{line}\n"));
                }
                return Next::More;
            }
            let kept: Vec<&str> = line.split(self.delimiter).enumerate().filter(|(i, _)| wanted(i + 1)).map(|(_, f)| f).collect();
            io.print(kept.join(&self.output) + "\n");
        } else {
            let kept: String = line.chars().enumerate().filter(|(i, _)| wanted(i + 1)).map(|(_, c)| c).collect();
            io.print(kept + "\n");
        }
        Next::More
    }

    fn open_error(&mut self, io: &mut Io<'_, '_>, name: &str, error: Errno) {
        io.error(format!("{name}: {error}"));
    }

    fn end(&mut self, _: &mut Io<'_, '_>, failed: bool) -> i32 {
        failed as i32
    }
}

#[derive(Clone)]
struct Tr {
    /// What becomes of each byte; `None`: deleted.
    map: Vec<Option<u8>>,
    squeeze: Vec<bool>,
    last: Option<u8>,
}

/// The bytes of a `tr` set.
fn tr_set(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let unescaped = unescape_set(text);
    let mut at = 0;
    while at < unescaped.len() {
        let (byte, literal) = unescaped[at];
        if byte == b'[' && !literal && unescaped.get(at + 1).is_some_and(|b| b.0 == b':') {
            let tail: Vec<u8> = unescaped[at..].iter().map(|b| b.0).collect();
            if let Some(end) = tail.windows(2).position(|w| w == b":]") {
                let name = String::from_utf8_lossy(&tail[2..end]).into_owned();
                bytes.extend((0..=255u8).filter(|b| crate::pattern::in_class(&name, *b as char)));
                at += end + 2;
                continue;
            }
        }
        if unescaped.get(at + 1).is_some_and(|(b, l)| *b == b'-' && !l) && at + 2 < unescaped.len() {
            bytes.extend(byte..=unescaped[at + 2].0);
            at += 3;
            continue;
        }
        bytes.push(byte);
        at += 1;
    }
    bytes
}

/// Bytes with whether they came from an escape.
fn unescape_set(text: &str) -> Vec<(u8, bool)> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' || at + 1 == bytes.len() {
            out.push((bytes[at], false));
            at += 1;
            continue;
        }
        let octal = bytes[at + 1..].iter().take(3).take_while(|b| (b'0'..b'8').contains(b)).count();
        let len = if octal > 0 { 1 + octal } else { 2 };
        let piece = &bytes[at..at + len];
        let unescaped = if octal > 0 {
            vec![piece[1..].iter().fold(0u32, |n, b| n * 8 + (b - b'0') as u32) as u8]
        } else {
            match crate::text::unescape(piece).bytes {
                same if same == piece => vec![piece[1]],
                other => other,
            }
        };
        out.extend(unescaped.into_iter().map(|b| (b, true)));
        at += len;
    }
    out
}

impl Filter for Tr {
    const LINES: bool = false;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Tr, Vec<Text>), i32> {
        let options = io.options("+Ccdst", &[])?;
        let Some(first) = options.operands.first() else {
            io.error("missing operand");
            return Err(1);
        };
        let mut from = tr_set(first);
        if options.has('c') || options.has('C') {
            from = (0..=255).filter(|b| !from.contains(b)).collect();
        }
        let to = options.operands.get(1).map(|t| tr_set(t));
        let mut map: Vec<Option<u8>> = (0..=255).map(Some).collect();
        let mut squeeze = vec![false; 256];
        if options.has('d') {
            from.iter().for_each(|b| map[*b as usize] = None);
        } else if let Some(last) = to.as_ref().and_then(|t| t.last().copied()) {
            let to = to.as_deref().unwrap_or_default();
            for (i, byte) in from.iter().enumerate() {
                map[*byte as usize] = Some(to.get(i).copied().unwrap_or(last));
            }
        }
        if options.has('s') {
            to.as_ref().unwrap_or(&from).iter().for_each(|b| squeeze[*b as usize] = true);
        }
        Ok((Tr { map, squeeze, last: None }, Vec::new()))
    }

    fn data(&mut self, io: &mut Io<'_, '_>, data: &[u8], _: bool) -> Next {
        let mut out = Vec::with_capacity(data.len());
        for byte in data {
            let Some(byte) = self.map[*byte as usize] else { continue };
            if self.squeeze[byte as usize] && self.last == Some(byte) {
                continue;
            }
            self.last = Some(byte);
            out.push(byte);
        }
        io.print(out);
        Next::More
    }

    fn end(&mut self, _: &mut Io<'_, '_>, _: bool) -> i32 {
        0
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
