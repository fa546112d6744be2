//! jq's functions that are written in Rust: the table, and those about values in general. Texts are in `strings`, patterns in
//! `patterns`, times in `dates`.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::ops::{mismatch, occurrences};
use super::printer::{compact, excerpt};
use super::value::{Array, Json, Object};
use super::{dates, format, paths, patterns, reader, strings};

/// Why a function has no result.
#[derive(Clone, Debug)]
pub enum Failure {
    Error(Json),
    Halt(i32, Option<Json>),
    OutOfMemory,
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Error(Json::str(message))
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Failure {
        Failure::Error(Json::str(message))
    }
}

pub type Answer = Result<Json, Failure>;

/// What a program sees of the process that runs it.
pub struct World<'a> {
    pub env: &'a Json,
    /// Seconds since 1970.
    pub now: f64,
    /// For standard error.
    pub messages: Vec<u8>,
    pub line: usize,
    pub file: Json,
    /// Bytes that were allocated in this step.
    pub spent: usize,
}

type Function = fn(&mut World<'_>, Json, &[Json]) -> Answer;

#[derive(Clone, Copy)]
pub enum Call {
    Function(Function),
    /// Keeps the path.
    GetPath,
    /// Has many outputs.
    Range,
}

pub struct Native {
    pub name: &'static str,
    pub args: usize,
    pub call: Call,
}

const fn native(name: &'static str, args: usize, function: Function) -> Native {
    Native { name, args, call: Call::Function(function) }
}

/// All of them.
pub const TABLE: &[Native] = &[
    Native { name: "getpath", args: 1, call: Call::GetPath },
    Native { name: "_range", args: 3, call: Call::Range },
    native("setpath", 2, |_, input, args| Ok(paths::set(input, &args[0], args[1].clone())?)),
    native("delpaths", 1, |_, input, args| match args[0].as_array() {
        Some(gone) => Ok(paths::delete_all(input, gone.to_vec())?),
        None => Err("Paths must be specified as an array".into()),
    }),
    native("type", 0, |_, input, _| Ok(Json::str(input.kind()))),
    native("length", 0, |_, input, _| length(&input)),
    native("utf8bytelength", 0, |_, input, _| match input.as_str() {
        Some(text) => Ok(Json::int(text.len() as i64)),
        None => Err(about(&input, "only strings have UTF-8 byte length")),
    }),
    native("keys", 0, |_, input, _| keys(&input, true)),
    native("keys_unsorted", 0, |_, input, _| keys(&input, false)),
    native("has", 1, |_, input, args| has(&input, &args[0])),
    native("contains", 1, |_, input, args| contains(&input, &args[0]).map(Json::Bool)),
    native("error", 0, |_, input, _| Err(Failure::Error(input))),
    native("add", 0, |_, input, _| add(input)),
    native("sort", 0, |_, input, _| match input {
        Json::Array(mut array) => {
            Rc::make_mut(&mut array).items_mut().sort();
            Ok(Json::Array(array))
        }
        other => Err(about(&other, "cannot be sorted, as it is not an array")),
    }),
    native("_sort_by", 1, |_, input, args| Ok(Json::array(by_key(&input, &args[0], "sorted")?.into_iter().map(|(_, v)| v)))),
    native("_group_by", 1, |_, input, args| group(&input, &args[0])),
    native("_min_by", 1, |_, input, args| extreme(&input, &args[0], false)),
    native("_max_by", 1, |_, input, args| extreme(&input, &args[0], true)),
    native("min", 0, |_, input, _| extreme(&input, &input, false)),
    native("max", 0, |_, input, _| extreme(&input, &input, true)),
    native("_flatten", 1, |_, input, args| flatten(&input, &args[0])),
    native("tojson", 0, |world, input, _| json_text(world, &input)),
    native("fromjson", 0, |_, input, _| from_json(&input)),
    native("tostring", 0, |world, input, _| match input {
        Json::String(_) => Ok(input),
        other => json_text(world, &other),
    }),
    native("tonumber", 0, |_, input, _| to_number(input)),
    native("indices", 1, |_, input, args| indices(&input, &args[0])),
    native("format", 1, |_, input, args| match args[0].as_str() {
        Some(name) => Ok(format::format(name, &input)?),
        None => Err(about(&args[0], "is not a valid format")),
    }),
    native("halt", 0, |_, _, _| Err(Failure::Halt(0, None))),
    native("halt_error", 1, |_, input, args| match args[0].as_number() {
        Some(code) => Err(Failure::Halt(code as i32, Some(input))),
        None => Err("halt_error/1: number required".into()),
    }),
    native("debug", 0, |world, input, _| {
        let text = compact(&input).ok_or(Failure::OutOfMemory)?;
        world.messages.extend_from_slice(format!("[\"DEBUG:\",{text}]\n").as_bytes());
        Ok(input)
    }),
    native("stderr", 0, |world, input, _| {
        let text = compact(&input).ok_or(Failure::OutOfMemory)?;
        world.messages.extend_from_slice(input.as_str().unwrap_or(&text).as_bytes());
        Ok(input)
    }),
    native("_env", 0, |world, _, _| Ok(world.env.clone())),
    native("_input_line", 0, |world, _, _| Ok(Json::int(world.line as i64))),
    native("input_filename", 0, |world, _, _| Ok(world.file.clone())),
    native("now", 0, |world, _, _| Ok(Json::Number(world.now))),
    native("infinite", 0, |_, _, _| Ok(Json::Number(f64::INFINITY))),
    native("nan", 0, |_, _, _| Ok(Json::Number(f64::NAN))),
    native("null", 0, |_, _, _| Ok(Json::Null)),
    native("true", 0, |_, _, _| Ok(Json::Bool(true))),
    native("false", 0, |_, _, _| Ok(Json::Bool(false))),
    native("isinfinite", 0, |_, input, _| number(&input).map(|n| Json::Bool(n.is_infinite()))),
    native("isnan", 0, |_, input, _| number(&input).map(|n| Json::Bool(n.is_nan()))),
    native("isnormal", 0, |_, input, _| number(&input).map(|n| Json::Bool(n.is_normal()))),
    native("floor", 0, |_, input, _| math(&input, f64::floor)),
    native("ceil", 0, |_, input, _| math(&input, f64::ceil)),
    native("round", 0, |_, input, _| math(&input, f64::round)),
    native("trunc", 0, |_, input, _| math(&input, f64::trunc)),
    native("fabs", 0, |_, input, _| math(&input, f64::abs)),
    native("sqrt", 0, |_, input, _| math(&input, f64::sqrt)),
    native("pow", 2, |_, _, args| Ok(Json::Number(power(number(&args[0])?, number(&args[1])?)))),
    native("explode", 0, |_, input, _| strings::explode(&input)),
    native("implode", 0, |_, input, _| strings::implode(&input)),
    native("ltrimstr", 1, |_, input, args| Ok(strings::trim_text(input, &args[0], true))),
    native("rtrimstr", 1, |_, input, args| Ok(strings::trim_text(input, &args[0], false))),
    native("startswith", 1, |_, input, args| strings::starts(&input, &args[0], true)),
    native("endswith", 1, |_, input, args| strings::starts(&input, &args[0], false)),
    native("ascii_downcase", 0, |_, input, _| strings::case(&input, "ascii_downcase", str::to_ascii_lowercase)),
    native("ascii_upcase", 0, |_, input, _| strings::case(&input, "ascii_upcase", str::to_ascii_uppercase)),
    native("trim", 0, |_, input, _| strings::trim(&input, str::trim)),
    native("ltrim", 0, |_, input, _| strings::trim(&input, str::trim_start)),
    native("rtrim", 0, |_, input, _| strings::trim(&input, str::trim_end)),
    native("split", 1, |_, input, args| strings::split(&input, &args[0])),
    native("_match", 3, |world, input, args| patterns::matches(world, &input, &args[0], &args[1], args[2].is_true())),
    native("gmtime", 0, |_, input, _| dates::broken_down(&input, "gmtime")),
    native("localtime", 0, |_, input, _| dates::broken_down(&input, "localtime")),
    native("mktime", 0, |_, input, _| dates::seconds(&input)),
    native("strftime", 1, |_, input, args| dates::print(&input, &args[0], "strftime")),
    native("strflocaltime", 1, |_, input, args| dates::print(&input, &args[0], "strflocaltime")),
    native("strptime", 1, |_, input, args| dates::read(&input, &args[0])),
];

/// The place of a function in the table.
pub fn find(name: &str, args: usize) -> Option<u16> {
    TABLE.iter().position(|n| n.name == name && n.args == args).map(|at| at as u16)
}

/// `kind (excerpt) what`
pub fn about(value: &Json, what: &str) -> Failure {
    Failure::from(format!("{} ({}) {what}", value.kind(), excerpt(value, 15)))
}

fn number(value: &Json) -> Result<f64, Failure> {
    value.as_number().ok_or_else(|| about(value, "number required"))
}

fn math(value: &Json, function: fn(f64) -> f64) -> Answer {
    number(value).map(|n| Json::Number(function(n)))
}

/// Whole exponents by multiplication, so that every machine gives the same digits; others by the square root if they are
/// halves. Left out: other exponents are nan.
fn power(base: f64, exponent: f64) -> f64 {
    let whole = |n: f64| base.powi(n as i32);
    match exponent {
        n if n.fract() == 0.0 && n.abs() < 2048.0 => whole(n),
        n if n.fract().abs() == 0.5 && n.abs() < 2048.0 => {
            whole(n.trunc()) * if n > 0.0 { base.sqrt() } else { 1.0 / base.sqrt() }
        }
        _ => f64::NAN,
    }
}

fn length(value: &Json) -> Answer {
    Ok(match value {
        Json::Null => Json::Number(0.0),
        Json::Bool(_) => return Err(about(value, "has no length")),
        Json::Number(_) | Json::Literal(_) => Json::Number(number(value)?.abs()),
        Json::String(text) => Json::int(text.chars().count() as i64),
        Json::Array(array) => Json::int(array.items().len() as i64),
        Json::Object(object) => Json::int(object.len() as i64),
    })
}

fn keys(value: &Json, sorted: bool) -> Answer {
    let name = |(key, _): (&Rc<str>, &Json)| Json::String(key.clone());
    match value {
        Json::Object(object) if sorted => Ok(Json::array(object.sorted().map(name))),
        Json::Object(object) => Ok(Json::array(object.entries().into_iter().map(name))),
        Json::Array(array) => Ok(Json::array((0..array.items().len()).map(|at| Json::int(at as i64)))),
        _ => Err(about(value, "has no keys")),
    }
}

fn has(value: &Json, key: &Json) -> Answer {
    match (value, key) {
        (Json::Object(object), Json::String(key)) => Ok(Json::Bool(object.get(key).is_some())),
        (Json::Array(array), Json::Number(_) | Json::Literal(_)) => {
            let at = number(key)?;
            Ok(Json::Bool(at >= 0.0 && at < array.items().len() as f64))
        }
        (Json::Null, Json::String(_) | Json::Number(_) | Json::Literal(_) | Json::Null) => Ok(Json::Bool(false)),
        _ => Err(format!("Cannot check whether {} has a {} key", value.kind(), key.kind()).into()),
    }
}

fn contains(whole: &Json, part: &Json) -> Result<bool, Failure> {
    match (whole, part) {
        (Json::Object(whole), Json::Object(part)) => {
            for (key, value) in part.sorted() {
                match whole.get(key) {
                    Some(inner) if inner.kind() == value.kind() && contains_inner(inner, value) => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Json::Array(_), Json::Array(_)) | (Json::String(_), Json::String(_)) => Ok(contains_inner(whole, part)),
        _ if whole.kind() == part.kind() && whole.kind() != "boolean" => Ok(whole == part),
        (Json::Bool(a), Json::Bool(b)) if a == b => Ok(true),
        _ => Err(mismatch(whole, part, "cannot have their containment checked").into()),
    }
}

/// The same where kinds may differ: then nothing is contained.
fn contains_inner(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        (Json::Object(_), Json::Object(_)) => contains(whole, part).unwrap_or(false),
        (Json::Array(whole), Json::Array(part)) => {
            part.items().iter().all(|p| whole.items().iter().any(|w| w.kind() == p.kind() && contains_inner(w, p)))
        }
        (Json::String(whole), Json::String(part)) => whole.contains(&**part),
        _ => whole == part,
    }
}

fn add(value: Json) -> Answer {
    let values: Vec<Json> = match value {
        Json::Array(array) => array.items().to_vec(),
        Json::Object(object) => object.entries().into_iter().map(|(_, value)| value.clone()).collect(),
        other => return Err(format!("Cannot iterate over {} ({})", other.kind(), excerpt(&other, 15)).into()),
    };
    // Texts together, so that a thousand of them don't cost a million.
    if !values.is_empty() && values.iter().all(|v| v.as_str().is_some()) {
        return Ok(Json::str(values.iter().filter_map(Json::as_str).collect::<String>()));
    }
    let mut sum = Json::Null;
    for value in values {
        sum = super::ops::calculate(super::ast::Op::Add, sum, value)?;
    }
    Ok(sum)
}

/// Items with their keys, sorted by them; equal ones keep their order.
fn by_key(items: &Json, keys: &Json, what: &str) -> Result<Vec<(Json, Json)>, Failure> {
    let (Some(items), Some(keys)) = (items.as_array(), keys.as_array()) else {
        return Err(about(items, &format!("cannot be {what}, as it is not an array")));
    };
    let mut pairs: Vec<(Json, Json)> = keys.iter().cloned().zip(items.iter().cloned()).collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(pairs)
}

fn group(items: &Json, keys: &Json) -> Answer {
    let mut groups: BTreeMap<Json, Array> = BTreeMap::new();
    for (key, item) in by_key(items, keys, "grouped")? {
        groups.entry(key).or_default().push(item);
    }
    Ok(Json::array(groups.into_values().map(|group| Json::Array(Rc::new(group)))))
}

/// The first of the smallest, or the last of the largest.
fn extreme(items: &Json, keys: &Json, largest: bool) -> Answer {
    let (Some(items), Some(keys)) = (items.as_array(), keys.as_array()) else {
        return Err(format!("Cannot iterate over {} ({})", items.kind(), excerpt(items, 15)).into());
    };
    let mut pairs = keys.iter().zip(items);
    let Some(mut best) = pairs.next() else { return Ok(Json::Null) };
    for pair in pairs {
        if if largest { pair.0 >= best.0 } else { pair.0 < best.0 } {
            best = pair;
        }
    }
    Ok(best.1.clone())
}

fn flatten(value: &Json, depth: &Json) -> Answer {
    let depth = number(depth)?;
    if depth < 0.0 {
        return Err("flatten depth must not be negative".into());
    }
    let items: Vec<Json> = match value {
        Json::Array(array) => array.items().to_vec(),
        Json::Object(object) => object.entries().into_iter().map(|(_, value)| value.clone()).collect(),
        other => return Err(format!("Cannot iterate over {} ({})", other.kind(), excerpt(other, 15)).into()),
    };
    let mut out = Array::default();
    items.iter().for_each(|item| flatten_into(item, depth, &mut out));
    Ok(Json::Array(Rc::new(out)))
}

fn flatten_into(value: &Json, depth: f64, out: &mut Array) {
    match value {
        Json::Array(array) if depth > 0.0 => array.items().iter().for_each(|item| flatten_into(item, depth - 1.0, out)),
        _ => out.push(value.clone()),
    }
}

fn json_text(world: &mut World<'_>, value: &Json) -> Answer {
    let text = compact(value).ok_or(Failure::OutOfMemory)?;
    world.spent += text.len();
    Ok(Json::str(text))
}

fn from_json(value: &Json) -> Answer {
    let Some(text) = value.as_str() else { return Err(about(value, "only strings can be parsed")) };
    match reader::parse_one(text) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(format!("Expected JSON value (while parsing '{text}')").into()),
        Err(message) => Err(format!("{message} (while parsing '{text}')").into()),
    }
}

fn to_number(value: Json) -> Answer {
    match &value {
        Json::Number(_) | Json::Literal(_) => Ok(value),
        Json::String(text) => match from_json(&value)? {
            number if number.as_number().is_some() => Ok(number),
            _ => Err(format!("Invalid literal (while parsing '{text}')").into()),
        },
        _ => Err(about(&value, "cannot be parsed as a number")),
    }
}

fn indices(value: &Json, wanted: &Json) -> Answer {
    Ok(match (value, wanted) {
        (Json::Null, _) => Json::Null,
        (Json::String(text), Json::String(part)) => strings::indices(text, part),
        (Json::Array(items), Json::Array(part)) => occurrences(items.items(), part.items()),
        (Json::Array(items), item) => occurrences(items.items(), std::slice::from_ref(item)),
        _ => return Ok(super::ops::index(value, wanted)?),
    })
}

/// The environment as a value.
pub fn environment(vars: impl Iterator<Item = (Rc<str>, Rc<str>)>) -> Json {
    Json::Object(Rc::new(vars.map(|(name, value)| (name, Json::String(value))).collect::<Object>()))
}
