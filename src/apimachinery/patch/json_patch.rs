//! JSON patch (RFC 6902), as strict and as lenient as the library upstream uses (evanphx/json-patch).

use crate::value::{Value, key};

/// Applies the operations in order; nothing is applied if one fails. The error says which and why (upstream does not tell
/// its users).
pub fn json_patch(object: &Value, patch: &Value) -> Result<Value, String> {
    let mut out = object.clone();
    for op in patch.items() {
        operation(&mut out, op).map_err(|e| format!("{e}: {op:?}"))?;
    }
    Ok(out)
}

fn operation(object: &mut Value, op: &Value) -> Result<(), String> {
    let kind = op.str_at(&["op"]).ok_or("no operation")?;
    let path = op.str_at(&["path"]).ok_or("no path")?;
    // A value that is missing is null.
    let value = || op.get("value").cloned().unwrap_or_default();
    let from = || op.str_at(&["from"]).ok_or("no from");
    match kind {
        "add" => add(object, path, value()),
        "remove" => remove(object, path).map(drop),
        "replace" => replace(object, path, value()),
        "test" => {
            let wanted = op.get("value").cloned().unwrap_or_default();
            (*find(object, path)? == wanted).then_some(()).ok_or("test failed".to_string())
        }
        "move" => {
            let moved = remove(object, from()?)?;
            add(object, path, moved)
        }
        "copy" => {
            let copied = copy(object, from()?)?;
            add(object, path, copied)
        }
        other => Err(format!("unexpected operation {other}")),
    }
}

/// The parent and the last segment. What stands before the first slash is ignored, as upstream does.
fn parent<'v>(object: &'v mut Value, path: &str) -> Result<(&'v mut Value, String), String> {
    let mut segments = path.split('/').skip(1).map(unescape).collect::<Result<Vec<String>, String>>()?;
    let last = match segments.pop() {
        Some(last) => last,
        // `a` without a slash: Go splits it into one part, which is then also the last.
        None => unescape(path)?,
    };
    let mut at = object;
    for segment in segments {
        at = child(at, &segment)?;
    }
    Ok((at, last))
}

fn unescape(segment: &str) -> Result<String, String> {
    let mut rest = segment.split('~');
    let mut out = rest.next().unwrap_or("").to_string();
    for part in rest {
        let (c, tail) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            _ => return Err("bad escape".to_string()),
        };
        out.push(c);
        out.push_str(tail);
    }
    Ok(out)
}

fn index(segment: &str, len: usize) -> Result<usize, String> {
    let n: i64 = segment.parse().map_err(|_| "not an index")?;
    let n = if n < 0 { n + len as i64 } else { n };
    usize::try_from(n).ok().filter(|n| *n < len).ok_or("index out of range".to_string())
}

fn child<'v>(value: &'v mut Value, segment: &str) -> Result<&'v mut Value, String> {
    match value {
        Value::Map(_) => value.map_mut().get_mut(segment).ok_or("missing".to_string()),
        Value::List(_) => {
            let list = value.list_mut();
            let i = index(segment, list.len())?;
            Ok(&mut list[i])
        }
        _ => Err("not a container".to_string()),
    }
}

fn find<'v>(object: &'v mut Value, path: &str) -> Result<&'v mut Value, String> {
    if path.is_empty() {
        return Ok(object);
    }
    let (parent, last) = parent(object, path)?;
    child(parent, &last)
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    let (parent, last) = parent(object, path)?;
    match parent {
        Value::Map(_) => {
            let fields = parent.map_mut();
            fields.insert(key_of(&last), value);
        }
        Value::List(_) => {
            let list = parent.list_mut();
            let at = if last == "-" { list.len() } else { index(&last, list.len() + 1)? };
            list.insert(at, value);
        }
        _ => return Err("not a container".to_string()),
    }
    Ok(())
}

/// As upstream: a member of a map need not be there.
fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    let (parent, last) = parent(object, path)?;
    if let Value::Map(_) = parent {
        parent.map_mut().insert(key_of(&last), value);
        return Ok(());
    }
    *child(parent, &last)? = value;
    Ok(())
}

/// As upstream: a member that is not there is null.
fn copy(object: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, last) = parent(object, path)?;
    match parent {
        Value::Map(fields) => Ok(fields.get(&last).cloned().unwrap_or_default()),
        _ => child(parent, &last).cloned(),
    }
}

fn key_of(name: &str) -> crate::value::Key {
    base::Sym::existing(name).map_or_else(|| name.into(), |s| key(&s.text()))
}

fn remove(object: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, last) = parent(object, path)?;
    match parent {
        Value::Map(_) => parent.map_mut().remove(&last).ok_or("missing".to_string()),
        Value::List(_) => {
            let list = parent.list_mut();
            let i = index(&last, list.len())?;
            Ok(list.remove(i))
        }
        _ => Err("not a container".to_string()),
    }
}
