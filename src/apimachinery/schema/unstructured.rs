//! What Go's converter says of a value that is not of its type. A strategic merge patch is applied to trees, and its result
//! becomes a struct without passing through JSON; the errors are other ones than a decoder's.
//!
//! Models the errors of `apimachinery/pkg/runtime/converter.go`. Left out: those of types with a decoder of their own
//! (quantities, times, `IntOrString`): the caller keeps the decoder's text.

use super::{StructType, Type};
use crate::value::Value;

/// The first wrong value below a struct, in the converter's words: `cannot convert int64 to string`.
pub fn restore_error(ty: &StructType, value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Map(members) => ty.fields().iter().find_map(|f| below(&f.ty, members.get(&f.name)?)),
        other => Some(format!("cannot restore struct from: {}", go_kind(other))),
    }
}

fn below(ty: &Type, value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    match (ty, value) {
        (Type::Struct(s), _) => restore_error(s, value),
        (Type::List(list), Value::List(items)) => items.iter().find_map(|v| below(&list.elem, v)),
        (Type::List(_), other) => Some(format!("cannot restore slice from {}", go_kind(other))),
        (Type::Map(map), Value::Map(members)) => members.iter().find_map(|(_, v)| below(&map.elem, v)),
        (Type::Map(_), other) => Some(format!("cannot restore map from {}", go_kind(other))),
        (Type::Bool, v) => scalar("bool", matches!(v, Value::Bool(_)), v),
        (Type::Int32, v) => scalar("int32", is_whole(v), v),
        (Type::Int64, v) => scalar("int64", is_whole(v), v),
        (Type::Float, v) => scalar("float64", matches!(v, Value::Int(_) | Value::Float(_)), v),
        (Type::String(_), v) => scalar("string", matches!(v, Value::Str(_)), v),
        (Type::Bytes | Type::Time | Type::MicroTime | Type::Quantity | Type::IntOrString | Type::Any, _) => None,
    }
}

/// Go converts between numbers, and from an integer to a string (a rune), as far as the language is concerned; the converter
/// then refuses what JSON can't mean.
fn scalar(wanted: &str, fits: bool, value: &Value) -> Option<String> {
    if fits {
        return None;
    }
    let convertible = match value {
        Value::Int(_) => wanted == "string",
        Value::Float(_) => matches!(wanted, "int32" | "int64"),
        _ => false,
    };
    Some(match convertible {
        true => format!("cannot convert {} to {wanted}", go_kind(value)),
        false => format!("unrecognized type: {wanted}"),
    })
}

fn is_whole(value: &Value) -> bool {
    match value {
        Value::Int(_) => true,
        Value::Float(f) => f.fract() == 0.0,
        _ => false,
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::Str(_) => "string",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn the_converters_words() {
        let ty = |kind| super::super::of(crate::Gvk::new("", "v1", kind)).unwrap();
        let check = |kind, value: Value, error: &str| {
            assert_eq!(restore_error(&ty(kind), &value).as_deref(), Some(error), "{value:?}");
        };
        check("ConfigMap", value!({"data": {"x": 1}}), "cannot convert int64 to string");
        check("ConfigMap", value!({"data": "x"}), "cannot restore map from string");
        check("ConfigMap", value!({"immutable": "x"}), "unrecognized type: bool");
        check("Service", value!({"spec": {"ports": [{"port": "x"}]}}), "unrecognized type: int32");
        check("Service", value!({"spec": {"ports": "x"}}), "cannot restore slice from string");
        assert_eq!(restore_error(&ty("ConfigMap"), &value!({"data": {"x": "1"}, "immutable": null})), None);
    }
}
