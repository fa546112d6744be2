//! Arithmetic, comparison and indexing.

use std::rc::Rc;

use super::ast::Op;
use super::paths;
use super::printer::excerpt;
use super::value::{Array, Json, MAX_DEPTH, Object};

/// Two values under an operator. An error is jq's message.
pub fn calculate(op: Op, left: Json, right: Json) -> Result<Json, String> {
    Ok(match op {
        Op::Add => return add(left, right),
        Op::Sub => return subtract(left, right),
        Op::Mul => return multiply(left, right),
        Op::Div => return divide(left, right),
        Op::Rem => return remainder(left, right),
        Op::Eq => Json::Bool(left == right),
        Op::Ne => Json::Bool(left != right),
        Op::Lt => Json::Bool(left < right),
        Op::Le => Json::Bool(left <= right),
        Op::Gt => Json::Bool(left > right),
        Op::Ge => Json::Bool(left >= right),
        Op::Alternative => {
            if left.is_true() {
                left
            } else {
                right
            }
        }
    })
}

/// `left (…) and right (…) cannot be …`
pub fn mismatch(left: &Json, right: &Json, what: &str) -> String {
    format!("{} ({}) and {} ({}) {what}", left.kind(), excerpt(left, 15), right.kind(), excerpt(right, 15))
}

fn add(left: Json, right: Json) -> Result<Json, String> {
    if let (Some(a), Some(b)) = (left.as_number(), right.as_number()) {
        return Ok(Json::Number(a + b));
    }
    Ok(match (left, right) {
        (Json::Null, other) | (other, Json::Null) => other,
        (Json::String(a), Json::String(b)) => {
            let mut text = String::with_capacity(a.len() + b.len());
            text.push_str(&a);
            text.push_str(&b);
            Json::String(text.into())
        }
        (Json::Array(mut a), Json::Array(b)) => {
            let items = Rc::make_mut(&mut a);
            b.items().iter().for_each(|item| items.push(item.clone()));
            deep_enough(Json::Array(a))?
        }
        (Json::Object(mut a), Json::Object(b)) => {
            let members = Rc::make_mut(&mut a);
            b.entries().into_iter().for_each(|(key, value)| members.insert(key.clone(), value.clone()));
            deep_enough(Json::Object(a))?
        }
        (left, right) => return Err(mismatch(&left, &right, "cannot be added")),
    })
}

/// Values may be nested only so deep.
pub fn deep_enough(value: Json) -> Result<Json, String> {
    if value.depth() > MAX_DEPTH + 1 { Err("Exceeds depth limit".into()) } else { Ok(value) }
}

fn subtract(left: Json, right: Json) -> Result<Json, String> {
    if let (Some(a), Some(b)) = (left.as_number(), right.as_number()) {
        return Ok(Json::Number(a - b));
    }
    match (left.as_array(), right.as_array()) {
        (Some(a), Some(b)) => {
            let gone: std::collections::BTreeSet<&Json> = b.iter().collect();
            Ok(Json::array(a.iter().filter(|item| !gone.contains(item)).cloned()))
        }
        _ => Err(mismatch(&left, &right, "cannot be subtracted")),
    }
}

fn multiply(left: Json, right: Json) -> Result<Json, String> {
    match (left.as_number(), right.as_number(), left.as_str(), right.as_str()) {
        (Some(a), Some(b), ..) => Ok(Json::Number(a * b)),
        (Some(times), _, _, Some(text)) | (_, Some(times), Some(text), _) => repeat(text, times),
        _ => match (left, right) {
            (Json::Object(a), Json::Object(b)) => Ok(Json::Object(Rc::new(merge((*a).clone(), &b)))),
            (left, right) => Err(mismatch(&left, &right, "cannot be multiplied")),
        },
    }
}

fn repeat(text: &str, times: f64) -> Result<Json, String> {
    if times.is_nan() || times <= 0.0 {
        return Ok(Json::Null);
    }
    let times = (times as usize).max(1);
    if text.len().saturating_mul(times) > 64 << 20 {
        return Err("Repeat string result too long".into());
    }
    Ok(Json::str(text.repeat(times)))
}

fn merge(mut left: Object, right: &Object) -> Object {
    for (key, value) in right.entries() {
        let merged = match (left.get(key), value) {
            (Some(Json::Object(a)), Json::Object(b)) => Json::Object(Rc::new(merge((**a).clone(), b))),
            _ => value.clone(),
        };
        left.insert(key.clone(), merged);
    }
    left
}

fn divide(left: Json, right: Json) -> Result<Json, String> {
    match (left.as_number(), right.as_number(), left.as_str(), right.as_str()) {
        (Some(_), Some(0.0), ..) => Err(mismatch(&left, &right, "cannot be divided because the divisor is zero")),
        (Some(a), Some(b), ..) => Ok(Json::Number(a / b)),
        (_, _, Some(text), Some(separator)) => Ok(split(text, separator)),
        _ => Err(mismatch(&left, &right, "cannot be divided")),
    }
}

/// Pieces of a text between separators; with an empty separator its characters.
pub fn split(text: &str, separator: &str) -> Json {
    match (text.is_empty(), separator.is_empty()) {
        (true, _) => Json::array([]),
        (_, true) => Json::array(text.chars().map(|c| Json::str(c.to_string()))),
        _ => Json::array(text.split(separator).map(Json::str)),
    }
}

/// Of whole numbers, with the sign of the left one.
fn remainder(left: Json, right: Json) -> Result<Json, String> {
    let (Some(a), Some(b)) = (left.as_number(), right.as_number()) else {
        return Err(mismatch(&left, &right, "cannot be divided (remainder)"));
    };
    if a.is_nan() || b.is_nan() {
        return Ok(Json::Number(f64::NAN));
    }
    let (a, b) = (a as i64, (b as i64).unsigned_abs());
    if b == 0 {
        return Err(mismatch(&left, &right, "cannot be divided (remainder) because the divisor is zero"));
    }
    let rest = (a.unsigned_abs() % b) as f64;
    Ok(Json::Number(if a < 0 { -rest } else { rest }))
}

/// `-value`
pub fn negate(value: &Json) -> Result<Json, String> {
    let refused = || format!("{} ({}) cannot be negated", value.kind(), excerpt(value, 15));
    value.as_number().map(|number| Json::Number(-number)).ok_or_else(refused)
}

/// `value[key]`
pub fn index(value: &Json, key: &Json) -> Result<Json, String> {
    match (value, key) {
        (Json::Object(object), Json::String(key)) => Ok(object.get(key).cloned().unwrap_or_default()),
        (Json::Null, Json::String(_) | Json::Number(_) | Json::Literal(_) | Json::Null) => Ok(Json::Null),
        (Json::Array(array), Json::Number(_) | Json::Literal(_)) => Ok(item(array, key.as_number().unwrap_or(0.0))),
        (Json::Array(_) | Json::String(_) | Json::Null, Json::Object(range)) => slice(value, range),
        (Json::Array(array), Json::Array(wanted)) => Ok(occurrences(array.items(), wanted.items())),
        (_, Json::String(name)) => Err(format!("Cannot index {} with string {:?}", value.kind(), &**name)),
        _ => Err(format!("Cannot index {} with {}", value.kind(), key.kind())),
    }
}

fn item(array: &Array, at: f64) -> Json {
    let items = array.items();
    let at = at.floor();
    let at = if at < 0.0 { at + items.len() as f64 } else { at };
    if at >= 0.0 { items.get(at as usize).cloned().unwrap_or_default() } else { Json::Null }
}

fn slice(value: &Json, range: &Object) -> Result<Json, String> {
    Ok(match value {
        Json::Array(array) => {
            let (from, to) = paths::bounds(range, array.items().len())?;
            Json::array(array.items()[from..to].iter().cloned())
        }
        Json::String(text) => {
            let (from, to) = paths::bounds(range, text.chars().count())?;
            Json::str(text.chars().skip(from).take(to - from).collect::<String>())
        }
        _ => {
            paths::bounds(range, 0)?;
            Json::Null
        }
    })
}

/// Where a list of values begins inside another one.
pub fn occurrences(items: &[Json], wanted: &[Json]) -> Json {
    if wanted.is_empty() {
        return Json::array([]);
    }
    let found = items.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
    Json::array(found.map(|(at, _)| Json::int(at as i64)))
}
