//! Bodies in protobuf: kubectl's typed clients send them. They are turned into the JSON that says the same and decoded as that;
//! answers are never protobuf. Models `apimachinery/pkg/runtime/serializer/protobuf`. `protobuf.txt` holds the facts: messages
//! with number, JSON name and type of their fields (names in brackets have none), and which message a kind is.

use std::collections::HashMap;
use std::sync::OnceLock;

use apimachinery::{Value, json};
use base::Time;

static FACTS: &str = include_str!("protobuf.txt");
const MAGIC: &[u8] = b"k8s\0";

type Fields = HashMap<u64, (&'static str, &'static str)>;

struct Facts {
    messages: HashMap<&'static str, Fields>,
    kinds: HashMap<&'static str, &'static str>,
}

fn facts() -> &'static Facts {
    static LOADED: OnceLock<Facts> = OnceLock::new();
    LOADED.get_or_init(|| {
        let mut facts = Facts { messages: HashMap::new(), kinds: HashMap::new() };
        let mut message = "";
        for line in FACTS.lines() {
            if let Some(kind) = line.strip_prefix('@') {
                facts.kinds.extend(kind.split_once(' '));
            } else if let Some(field) = line.strip_prefix(' ') {
                let mut words = field.splitn(3, ' ');
                let (Some(number), Some(name), Some(ty)) = (words.next(), words.next(), words.next()) else { continue };
                let fields = facts.messages.entry(message).or_default();
                fields.extend(number.parse().map(|n: u64| (n, (name, ty))));
            } else {
                message = line;
                facts.messages.entry(message).or_default();
            }
        }
        facts
    })
}

/// A field on the wire.
enum Wire<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (&b, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(b & 0x7f) << shift;
        if b < 0x80 {
            return Some(n);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(head)
}

/// The fields of a message, in order. `None`: it is none.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Wire<'_>)>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Wire::Varint(varint(&mut bytes)?),
            1 => Wire::Fixed(u64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?)),
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                Wire::Bytes(take(&mut bytes, len)?)
            }
            5 => Wire::Fixed(u64::from(u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?))),
            _ => return None,
        };
        out.push((tag >> 3, value));
    }
    Some(out)
}

fn text(wire: &Wire) -> Value {
    match wire {
        Wire::Bytes(b) => String::from_utf8_lossy(b).as_ref().into(),
        _ => Value::Null,
    }
}

/// A body as JSON. `None`: the bytes are not Kubernetes' protobuf, or of a kind that is not known.
pub fn to_json(body: &[u8]) -> Option<Vec<u8>> {
    let envelope = fields(body.strip_prefix(MAGIC)?)?;
    let part =
        |n: u64| envelope.iter().find_map(|(m, w)| if let (true, Wire::Bytes(b)) = (*m == n, w) { Some(*b) } else { None });
    let type_meta = fields(part(1)?)?;
    let named = |n: u64| type_meta.iter().find(|(m, _)| *m == n).map(|(_, w)| text(w)).unwrap_or_else(|| "".into());
    let (api_version, kind) = (named(1), named(2));
    let (api_version, kind) = (api_version.as_str()?, kind.as_str()?);
    let meta = format!("m:apis.meta.v1.{kind}");
    let message = facts().kinds.get(format!("{api_version}/{kind}").as_str()).copied().unwrap_or(&meta);
    let mut value = message_value(part(2).unwrap_or_default(), message, 0)?;
    value.set_at(&["apiVersion"], api_version);
    value.set_at(&["kind"], kind);
    Some(json::to_string(&value).into_bytes())
}

/// How deep messages may be nested.
const MAX_DEPTH: u32 = 100;

fn message_value(bytes: &[u8], name: &str, depth: u32) -> Option<Value> {
    let known = facts().messages.get(name).filter(|_| depth < MAX_DEPTH)?;
    let fields = fields(bytes)?;
    if let Some(scalar) = scalar_message(&fields, name) {
        return Some(scalar);
    }
    let mut out = Value::map();
    for (number, wire) in fields {
        let Some(&(field, ty)) = known.get(&number) else { continue };
        if field.starts_with('(') {
            // An embedded struct: its members are its parent's.
            if let Wire::Bytes(b) = wire {
                for (k, v) in message_value(b, ty, depth + 1)?.as_map()? {
                    out.map_mut().insert(k.clone(), v.clone());
                }
            }
        } else if let Some(elem) = ty.strip_prefix("[]") {
            let mut items = out.get(field).map(|v| v.items().to_vec()).unwrap_or_default();
            items.push(value_of(&wire, elem, depth)?);
            out.set_at(&[field], items);
        } else if let Some(elem) = ty.strip_prefix("map[string]") {
            let (key, value) = entry(&wire, elem, depth)?;
            if out.get(field).is_none() {
                out.set_at(&[field], Value::map());
            }
            out.set_at(&[field, &key], value);
        } else {
            out.set_at(&[field], value_of(&wire, ty, depth)?);
        }
    }
    Some(out)
}

fn entry(wire: &Wire, ty: &str, depth: u32) -> Option<(String, Value)> {
    let Wire::Bytes(bytes) = wire else { return None };
    let (mut key, mut value) = (String::new(), Value::from(""));
    for (number, wire) in fields(bytes)? {
        match (number, ty) {
            (1, _) => key = text(&wire).as_str()?.to_string(),
            (2, "[]string") => {
                let Wire::Bytes(list) = wire else { return None };
                value = fields(list)?.iter().map(|(_, w)| text(w)).collect::<Vec<_>>().into();
            }
            (2, _) => value = value_of(&wire, ty, depth)?,
            _ => {}
        }
    }
    Some((key, value))
}

fn value_of(wire: &Wire, ty: &str, depth: u32) -> Option<Value> {
    Some(match (ty, wire) {
        ("bool", Wire::Varint(n)) => Value::Bool(*n != 0),
        (_, Wire::Varint(n)) => Value::Int(*n as i64),
        (_, Wire::Fixed(n)) => Value::Float(f64::from_bits(*n)),
        ("string", wire) => text(wire),
        ("bytes", Wire::Bytes(b)) => crate::encode::base64(b).into(),
        (message, Wire::Bytes(b)) => message_value(b, message, depth + 1)?,
    })
}

/// Messages that are a scalar in JSON.
fn scalar_message(fields: &[(u64, Wire)], name: &str) -> Option<Value> {
    let number =
        |n: u64| fields.iter().find_map(|(m, w)| if let (true, Wire::Varint(v)) = (*m == n, w) { Some(*v as i64) } else { None });
    let bytes = |n: u64| fields.iter().find_map(|(m, w)| if let (true, Wire::Bytes(b)) = (*m == n, w) { Some(*b) } else { None });
    let string = |n: u64| Value::from(String::from_utf8_lossy(bytes(n).unwrap_or_default()).as_ref());
    Some(match name {
        "m:api.resource.Quantity" => string(1),
        "m:util.intstr.IntOrString" if number(1) == Some(1) => string(3),
        "m:util.intstr.IntOrString" => Value::Int(number(2).unwrap_or(0)),
        "m:apis.meta.v1.Time" | "m:apis.meta.v1.MicroTime" if fields.is_empty() => Value::Null,
        "m:apis.meta.v1.Time" => Time::from_secs(number(1).unwrap_or(0)).rfc3339().into(),
        "m:apis.meta.v1.MicroTime" => {
            Time(number(1).unwrap_or(0) * 1_000_000 + number(2).unwrap_or(0) / 1000).rfc3339_micro().into()
        }
        "m:apis.meta.v1.Duration" => format!("{}s", number(1).unwrap_or(0) / 1_000_000_000).into(),
        "m:apis.meta.v1.FieldsV1" | "m:runtime.RawExtension" | "x:apiextensions.v1.JSON" => {
            json::parse(bytes(1).unwrap_or(b"null")).unwrap_or_default()
        }
        _ => return None,
    })
}
