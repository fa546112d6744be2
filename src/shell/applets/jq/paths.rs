//! `getpath`, `setpath` and `delpaths`: reading and changing what lies at a path. A change copies only what others hold too.

use std::rc::Rc;

use super::ops;
use super::value::{Array, Json, Object};

/// What lies at a path; null where nothing does.
pub fn get(value: &Json, path: &Json) -> Result<Json, String> {
    let keys = path.as_array().ok_or("Path must be specified as an array")?;
    let mut value = value.clone();
    for key in keys {
        if matches!(value, Json::Null) {
            return Ok(Json::Null);
        }
        value = ops::index(&value, key)?;
    }
    Ok(value)
}

/// The value with something else at a path.
pub fn set(value: Json, path: &Json, new: Json) -> Result<Json, String> {
    let keys = path.as_array().ok_or("Path must be specified as an array")?;
    if keys.len() > super::value::MAX_DEPTH as usize {
        return Err("Exceeds depth limit".into());
    }
    ops::deep_enough(change(value, keys, &mut |_| Ok(new.clone()))?)
}

/// The value with a function applied at a path.
fn change(value: Json, keys: &[Json], new: &mut dyn FnMut(Json) -> Result<Json, String>) -> Result<Json, String> {
    let Some((key, rest)) = keys.split_first() else { return new(value) };
    match (value, key) {
        (Json::Null, Json::String(_)) => change(Json::object::<&str, _>([]), keys, new),
        (Json::Null, Json::Number(_) | Json::Literal(_) | Json::Object(_)) => change(Json::array([]), keys, new),
        (Json::Object(mut object), Json::String(key)) => {
            let members = Rc::make_mut(&mut object);
            let inner = members.take(key);
            let inner = change(inner, rest, new)?;
            members.insert(key.clone(), inner);
            Ok(Json::Object(object))
        }
        (Json::Array(mut array), Json::Number(_) | Json::Literal(_)) => {
            let items = Rc::make_mut(&mut array);
            let at = place(items, key.as_number().unwrap_or(0.0))?;
            let inner = items.take(at);
            let inner = change(inner, rest, new)?;
            items.set(at, inner);
            Ok(Json::Array(array))
        }
        (Json::Array(mut array), Json::Object(range)) => {
            let (from, to) = bounds(range, array.items().len())?;
            let inner = Json::array(array.items()[from..to].iter().cloned());
            let inner = change(inner, rest, new)?;
            let items = inner.as_array().ok_or("A slice of an array can only be assigned another array")?;
            Rc::make_mut(&mut array).splice(from, to, items);
            Ok(Json::Array(array))
        }
        (value, Json::Object(_)) => Err(format!("Cannot update field at object index of {}", value.kind())),
        (Json::Array(_), Json::Array(_)) => Err("Cannot update field at array index of array".into()),
        (value, Json::String(name)) => Err(format!("Cannot index {} with string {:?}", value.kind(), &**name)),
        (value, key) => Err(format!("Cannot index {} with {}", value.kind(), key.kind())),
    }
}

/// The index to write to.
fn place(array: &Array, at: f64) -> Result<usize, String> {
    let len = array.items().len() as f64;
    let at = at.floor();
    let at = if at < 0.0 { at + len } else { at };
    match at {
        _ if at < 0.0 => Err("Out of bounds negative array index".into()),
        _ if at > 16_000_000.0 => Err("Array index too large".into()),
        _ => Ok(at as usize),
    }
}

/// From where to where `{"start": …, "end": …}` reaches in so many items.
pub fn bounds(range: &Object, len: usize) -> Result<(usize, usize), String> {
    let bound = |name: &str, default: f64, ceil: bool| -> Result<f64, String> {
        let number = match range.get(name) {
            None | Some(Json::Null) => default,
            Some(value) => value.as_number().ok_or("Start and end indices of an array slice must be numbers")?,
        };
        let number = if number < 0.0 { number + len as f64 } else { number };
        let number = number.clamp(0.0, len as f64);
        Ok(if ceil { number.ceil() } else { number.floor() })
    };
    if range.get("start").is_none() && range.get("end").is_none() {
        return Err("Start and end indices of an array slice must be numbers".into());
    }
    let (from, to) = (bound("start", 0.0, false)? as usize, bound("end", len as f64, true)? as usize);
    Ok((from, to.max(from)))
}

/// The value without what lies at these paths: later paths first, so that earlier ones stay where they are.
pub fn delete_all(mut value: Json, mut gone: Vec<Json>) -> Result<Json, String> {
    gone.sort();
    for path in gone.iter().rev() {
        let keys = path.as_array().ok_or_else(|| format!("Path must be specified as array, not {}", path.kind()))?;
        value = delete(value, keys)?;
    }
    Ok(value)
}

fn delete(value: Json, keys: &[Json]) -> Result<Json, String> {
    let Some((last, before)) = keys.split_last() else { return Ok(Json::Null) };
    if matches!(get(&value, &Json::array(before.iter().cloned()))?, Json::Null) {
        return Ok(value);
    }
    change(value, before, &mut |inner| remove(inner, last))
}

/// The value without one of its own members.
fn remove(value: Json, key: &Json) -> Result<Json, String> {
    match (value, key) {
        (Json::Null, _) => Ok(Json::Null),
        (Json::Object(mut object), Json::String(key)) => {
            Rc::make_mut(&mut object).remove(key);
            Ok(Json::Object(object))
        }
        (Json::Array(mut array), Json::Number(_) | Json::Literal(_)) => {
            let at = key.as_number().unwrap_or(0.0).floor();
            let at = if at < 0.0 { at + array.items().len() as f64 } else { at };
            if at >= 0.0 && (at as usize) < array.items().len() {
                Rc::make_mut(&mut array).items_mut().remove(at as usize);
            }
            Ok(Json::Array(array))
        }
        (Json::Array(mut array), Json::Object(range)) => {
            let (from, to) = bounds(range, array.items().len())?;
            Rc::make_mut(&mut array).splice(from, to, &[]);
            Ok(Json::Array(array))
        }
        (Json::Object(_), key) => Err(format!("Cannot delete {} field of object", key.kind())),
        (Json::Array(_), key) => Err(format!("Cannot delete {} element of array", key.kind())),
        (value, _) => Err(format!("Cannot delete fields from {}", value.kind())),
    }
}
