//! A JSON tree as few bytes: what links and files consist of.
//!
//! Texts and the key lists of maps are written once and named by number afterwards, small numbers take one byte. A log of key
//! presses or a list of objects says the same words again and again, so this is most of what there is to gain before a general
//! compression (the page's) takes the rest. Reading is for bytes from anywhere: nothing is allocated that the bytes don't pay for.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{Fields, Key, Value};

/// Trees deeper than this are refused.
const MAX_DEPTH: u32 = 200;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const FLOAT: u8 = 3;
const INT: u8 = 4;
const TEXT: u8 = 5;
const TEXT_AGAIN: u8 = 6;
const LIST: u8 = 7;
const MAP: u8 = 8;
const MAP_AGAIN: u8 = 9;
/// From here: whole numbers 0 to 63 in the byte itself.
const SMALL: u8 = 0x40;
/// From here: texts 0 to 127 that were there before.
const SMALL_TEXT: u8 = 0x80;

/// The tree as bytes.
pub(crate) fn pack(value: &Value) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.value(value);
    packer.out
}

/// The tree again. `None`: these bytes are no tree.
pub(crate) fn unpack(bytes: &[u8]) -> Option<Value> {
    let mut unpacker = Unpacker { rest: bytes, texts: Vec::new(), shapes: Vec::new() };
    let value = unpacker.value(0)?;
    unpacker.rest.is_empty().then_some(value)
}

#[derive(Default)]
struct Packer {
    out: Vec<u8>,
    texts: BTreeMap<Rc<str>, u64>,
    shapes: BTreeMap<Vec<Rc<str>>, u64>,
}

impl Packer {
    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.out.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }

    fn text(&mut self, text: &Rc<str>) {
        if let Some(n) = self.texts.get(text).copied() {
            match u8::try_from(n).ok().filter(|n| *n < 0x80) {
                Some(n) => self.out.push(SMALL_TEXT + n),
                None => {
                    self.out.push(TEXT_AGAIN);
                    self.number(n);
                }
            }
            return;
        }
        self.texts.insert(text.clone(), self.texts.len() as u64);
        self.out.push(TEXT);
        self.number(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn map(&mut self, fields: &Fields) {
        let shape: Vec<Rc<str>> = fields.keys().cloned().collect();
        match self.shapes.get(&shape).copied() {
            Some(n) => {
                self.out.push(MAP_AGAIN);
                self.number(n);
            }
            None => {
                self.out.push(MAP);
                self.number(shape.len() as u64);
                for key in &shape {
                    self.text(key);
                }
                self.shapes.insert(shape, self.shapes.len() as u64);
            }
        }
        for (_, value) in fields {
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push(NULL),
            Value::Bool(b) => self.out.push(if *b { TRUE } else { FALSE }),
            Value::Float(f) => {
                self.out.push(FLOAT);
                self.out.extend(f.to_le_bytes());
            }
            Value::Int(n @ 0..64) => self.out.push(SMALL + *n as u8),
            Value::Int(n) => {
                self.out.push(INT);
                // The sign goes to the end, so that small negative numbers are short too.
                self.number((*n << 1 ^ (*n >> 63)) as u64);
            }
            Value::Str(text) => self.text(text),
            Value::List(items) => {
                self.out.push(LIST);
                self.number(items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
            Value::Map(fields) => self.map(fields),
        }
    }
}

struct Unpacker<'a> {
    rest: &'a [u8],
    texts: Vec<Rc<str>>,
    shapes: Vec<Rc<[Key]>>,
}

impl Unpacker<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn bytes(&mut self, n: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut n = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    /// A count of things that take a byte each at least.
    fn count(&mut self) -> Option<usize> {
        let n = usize::try_from(self.number()?).ok()?;
        (n <= self.rest.len()).then_some(n)
    }

    fn text(&mut self, tag: u8) -> Option<Rc<str>> {
        match tag {
            TEXT => {
                let n = self.count()?;
                let text: Rc<str> = std::str::from_utf8(self.bytes(n)?).ok()?.into();
                self.texts.push(text.clone());
                Some(text)
            }
            TEXT_AGAIN => {
                let n = usize::try_from(self.number()?).ok()?;
                self.texts.get(n).cloned()
            }
            SMALL_TEXT.. => self.texts.get(usize::from(tag - SMALL_TEXT)).cloned(),
            _ => None,
        }
    }

    fn map(&mut self, shape: &[Key], depth: u32) -> Option<Value> {
        // A shape may be named again and again for one byte each: its values still have to be there.
        if shape.len() > self.rest.len() {
            return None;
        }
        let mut entries = Vec::with_capacity(shape.len().min(64));
        for key in shape {
            entries.push((key.clone(), self.value(depth + 1)?));
        }
        Some(Value::Map(Rc::new(Fields::from_entries(entries))))
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        Some(match self.byte()? {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            FLOAT => {
                let bytes = self.bytes(8)?.try_into().ok()?;
                Value::Float(f64::from_le_bytes(bytes).is_finite().then_some(f64::from_le_bytes(bytes))?)
            }
            INT => {
                let n = self.number()?;
                Value::Int((n >> 1) as i64 ^ -((n & 1) as i64))
            }
            LIST => {
                let n = self.count()?;
                let mut items = Vec::with_capacity(n.min(1024));
                for _ in 0..n {
                    items.push(self.value(depth + 1)?);
                }
                Value::list(items)
            }
            MAP => {
                let n = self.count()?;
                let mut shape = Vec::with_capacity(n.min(1024));
                for _ in 0..n {
                    let tag = self.byte()?;
                    shape.push(self.text(tag)?);
                }
                let shape: Rc<[Key]> = shape.into();
                self.shapes.push(shape.clone());
                self.map(&shape, depth)?
            }
            MAP_AGAIN => {
                let n = usize::try_from(self.number()?).ok()?;
                let shape = self.shapes.get(n).cloned()?;
                self.map(&shape, depth)?
            }
            tag @ SMALL..SMALL_TEXT => Value::Int(i64::from(tag - SMALL)),
            tag => Value::Str(self.text(tag)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::{json, value};

    use super::*;

    fn there_and_back(text: &str) -> usize {
        let value = json::parse(text.as_bytes()).unwrap();
        let bytes = pack(&value);
        assert_eq!(unpack(&bytes), Some(value));
        for cut in 0..bytes.len() {
            assert_eq!(unpack(&bytes[..cut]), None, "cut at {cut}");
        }
        bytes.len()
    }

    #[test]
    fn a_tree_comes_back() {
        assert_eq!(there_and_back("null"), 1);
        there_and_back(r#"{"a":[1,-1,63,64,9223372036854775807,-9223372036854775808,1.5,true,false,null,"","é"],"b":{}}"#);
        let one = there_and_back(r#"[{"kind":"laptop","a":{"m":"input","data":"k","tab":1}}]"#);
        let two = there_and_back(
            r#"[{"kind":"laptop","a":{"m":"input","data":"k","tab":1}},{"kind":"laptop","a":{"m":"input","data":"k","tab":1}}]"#,
        );
        assert_eq!(two - one, 8, "a second key press is eight bytes");
    }

    #[test]
    fn hostile_bytes_are_no_tree() {
        // Deep, wide, named before it is there, and not all of it read.
        assert_eq!(unpack(&[LIST, 1].repeat(100_000)), None);
        assert_eq!(unpack(&[LIST, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), None);
        assert_eq!(unpack(&[TEXT, 0xff, 0xff, 0x7f, b'a']), None);
        assert_eq!(unpack(&[SMALL_TEXT]), None);
        assert_eq!(unpack(&[MAP_AGAIN, 0]), None);
        assert_eq!(unpack(&[NULL, NULL]), None);
        assert_eq!(unpack(&[FLOAT, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f]), None);
        assert_eq!(unpack(&[TEXT, 1, 0xff]), None);
        let mut bytes = pack(&value!({"a": [1, 2, {"b": "c"}], "d": "c"}));
        for i in 0..bytes.len() {
            for flip in 1..=255_u8 {
                bytes[i] ^= flip;
                let _ = unpack(&bytes);
                bytes[i] ^= flip;
            }
        }
    }
}
