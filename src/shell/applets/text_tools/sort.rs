//! `sort` and `uniq`: keys, orders, repeated lines.

use base::Sort as _;
use cri_api::Text;

use crate::applets::Io;
use crate::applets::filter::{Filter, Next};

/// A key of `sort -k`.
#[derive(Clone)]
pub(super) struct SortKey {
    from: (usize, usize),
    to: Option<(usize, usize)>,
    flags: String,
}

#[derive(Clone)]
pub(super) struct Sort {
    keys: Vec<SortKey>,
    flags: String,
    separator: Option<char>,
    unique: bool,
    check: bool,
    output: Option<Text>,
    lines: Vec<String>,
    bytes: usize,
}

pub(super) fn sort_key(text: &str) -> Option<SortKey> {
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

pub(super) fn number(text: &str, human: bool) -> f64 {
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
pub(super) fn version(text: &str) -> Vec<(String, u64)> {
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

pub(super) fn month(text: &str) -> usize {
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
pub(super) struct Uniq {
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
