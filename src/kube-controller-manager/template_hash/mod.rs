//! The hash of a pod template, as in the names of ReplicaSets (`web-69c6f74b8b`).
//!
//! Models `controller.ComputeHash`: the template is printed as the Go struct that upstream decodes it into (every field in order of
//! declaration, with its type), hashed with FNV-1a of 32 bits, and the number is written in the safe alphabet. So the table of Go
//! types is part of the behaviour; it is in `types.rs`.

mod types;

use std::fmt::Write;

use apimachinery::quantity::Format;
use apimachinery::{Fields, Quantity, Value};
use client_go::history::safe_encode;

use types::TYPES;

/// A Go type. The text is how Go names it; numbers refer to the table.
#[derive(Debug)]
pub enum Type {
    Str(&'static str),
    Bool(&'static str),
    Int(&'static str),
    Ptr(&'static str, usize),
    Slice(&'static str, usize),
    Map(&'static str, usize),
    /// Field name, JSON name (empty: embedded), type.
    Struct(&'static str, &'static [(&'static str, &'static str, usize)]),
    Time,
    Quantity,
    IntOrString,
    Bytes,
}

/// The hash of a template, with the collision count of its Deployment if there is one.
pub fn compute_hash(template: &Value, collision_count: Option<i64>) -> String {
    let mut hash = Fnv32a::default();
    print(0, Some(template), true, &mut hash);
    if let Some(n) = collision_count {
        hash.write(&(n as u32 as u64).to_le_bytes());
    }
    safe_encode(&hash.0.to_string())
}

/// FNV-1a of 32 bits.
struct Fnv32a(u32);

impl Default for Fnv32a {
    fn default() -> Fnv32a {
        Fnv32a(0x811c_9dc5)
    }
}

impl Fnv32a {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ *byte as u32).wrapping_mul(0x0100_0193));
    }
}

impl Write for Fnv32a {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

impl Type {
    fn name(&self) -> &'static str {
        match self {
            Type::Str(n) | Type::Bool(n) | Type::Int(n) | Type::Ptr(n, _) => n,
            Type::Slice(n, _) | Type::Map(n, _) | Type::Struct(n, _) => n,
            Type::Time => "v1.Time",
            Type::Quantity => "resource.Quantity",
            Type::IntOrString => "intstr.IntOrString",
            Type::Bytes => "[]uint8",
        }
    }
}

/// Prints a value as go-spew's `%#v` without methods does: its type in parentheses, then what it holds.
fn print(number: usize, value: Option<&Value>, with_type: bool, out: &mut impl Write) {
    let value = value.filter(|v| !v.is_null());
    let go = &TYPES[number];
    if let (Type::Ptr(_, target), Some(value)) = (go, value) {
        let _ = if with_type { write!(out, "(*{})", TYPES[*target].name()) } else { out.write_str("<*>") };
        return print(*target, Some(value), false, out);
    }
    if with_type {
        let _ = write!(out, "({})", go.name());
    }
    let _ = match (go, value) {
        (Type::Str(_), value) => out.write_str(value.and_then(Value::as_str).unwrap_or("")),
        (Type::Bool(_), value) => write!(out, "{}", value.and_then(Value::as_bool).unwrap_or(false)),
        (Type::Int(_), value) => write!(out, "{}", value.and_then(Value::as_i64).unwrap_or(0)),
        (Type::Ptr(..) | Type::Slice(..) | Type::Map(..) | Type::Bytes, None) => out.write_str("<nil>"),
        (Type::Slice(_, item), Some(value)) => print_slice(*item, value.items(), out),
        (Type::Map(_, item), Some(value)) => print_map(*item, value.as_map(), out),
        (Type::Struct(_, fields), value) => print_struct(fields, value, out),
        // The creation time of a template is never set.
        (Type::Time, _) => out.write_str("{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"),
        (Type::Quantity, value) => print_quantity(value, out),
        (Type::IntOrString, value) => print_int_or_string(value, out),
        (Type::Bytes | Type::Ptr(..), Some(_)) => Ok(()),
    };
}

fn print_slice(item: usize, items: &[Value], out: &mut impl Write) -> std::fmt::Result {
    // An empty list came over the wire as no list.
    if items.is_empty() {
        return out.write_str("<nil>");
    }
    out.write_str("[")?;
    for (i, value) in items.iter().enumerate() {
        if i > 0 {
            out.write_str(" ")?;
        }
        print(item, Some(value), false, out);
    }
    out.write_str("]")
}

fn print_map(item: usize, fields: Option<&Fields>, out: &mut impl Write) -> std::fmt::Result {
    let Some(fields) = fields.filter(|f| !f.is_empty()) else { return out.write_str("<nil>") };
    out.write_str("map[")?;
    for (i, (key, value)) in fields.iter().enumerate() {
        if i > 0 {
            out.write_str(" ")?;
        }
        write!(out, "{key}:")?;
        print(item, Some(value), false, out);
    }
    out.write_str("]")
}

fn print_struct(fields: &[(&str, &str, usize)], value: Option<&Value>, out: &mut impl Write) -> std::fmt::Result {
    out.write_str("{")?;
    for (i, (name, json, number)) in fields.iter().enumerate() {
        if i > 0 {
            out.write_str(" ")?;
        }
        write!(out, "{name}:")?;
        let field = if json.is_empty() { value } else { value.and_then(|v| v.get(json)) };
        print(*number, field, true, out);
    }
    out.write_str("}")
}

/// A quantity as it is after decoding: number and scale apart, and its text where that was canonical.
fn print_quantity(value: Option<&Value>, out: &mut impl Write) -> std::fmt::Result {
    let quantity = value.and_then(|v| Quantity::from_value(v).ok()).unwrap_or_else(|| Quantity::parse("0").expect("0 is one"));
    let canonical = quantity.canonical();
    let format = match quantity.format() {
        Format::BinarySi => "BinarySI",
        Format::DecimalExponent => "DecimalExponent",
        Format::DecimalSi => "DecimalSI",
    };
    let (number, scale) = number_and_scale(&canonical);
    // The parser keeps the text where it takes it for canonical; of binary ones only if the digits are no multiple of 8.
    let digits: i64 = canonical.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    let text = if quantity.format() == Format::BinarySi && digits & 7 == 0 { "" } else { &*canonical };
    write!(
        out,
        "{{i:(resource.int64Amount){{value:(int64){number} scale:(resource.Scale){scale}}} \
         d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){text} Format:(resource.Format){format}}}"
    )
}

/// Digits and power of ten of a canonical quantity; binary suffixes are multiplied out.
fn number_and_scale(text: &str) -> (i64, i32) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let number: i64 = text[..end].parse().unwrap_or(0);
    let scale = match &text[end..] {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        exponent if exponent.starts_with(['e', 'E']) => exponent[1..].parse().unwrap_or(0),
        _ => 0,
    };
    let shift = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|s| *s == &text[end..]).map_or(0, |i| 10 * (i + 1));
    (number << shift, scale)
}

fn print_int_or_string(value: Option<&Value>, out: &mut impl Write) -> std::fmt::Result {
    let (kind, number, text) = match value {
        Some(Value::Str(text)) => (1, 0, &**text),
        Some(Value::Int(n)) => (0, *n, ""),
        _ => (0, 0, ""),
    };
    write!(out, "{{Type:(intstr.Type){kind} IntVal:(int32){number} StrVal:(string){text}}}")
}

#[cfg(test)]
mod tests;
