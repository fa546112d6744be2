//! `cut` and `tr`: parts of lines, and characters for others.

use cri_api::{Errno, Text};

use crate::applets::Io;
use crate::applets::filter::{Filter, Next};

#[derive(Clone)]
pub(super) struct Cut {
    fields: bool,
    ranges: Vec<(usize, usize)>,
    delimiter: char,
    output: String,
    only_delimited: bool,
}

pub(super) fn ranges(text: &str) -> Option<Vec<(usize, usize)>> {
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
pub(super) struct Tr {
    /// What becomes of each byte; `None`: deleted.
    map: Vec<Option<u8>>,
    squeeze: Vec<bool>,
    last: Option<u8>,
}

/// The bytes of a `tr` set.
pub(super) fn tr_set(text: &str) -> Vec<u8> {
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
pub(super) fn unescape_set(text: &str) -> Vec<(u8, bool)> {
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
