//! Manifests: text into documents, documents into objects. Models `apimachinery/pkg/util/yaml` and `cli-runtime/pkg/resource`.

use std::rc::Rc;

use apimachinery::{Object, Value, json, yaml};

use crate::error::Error;

/// Parses one YAML (or JSON) document. The error is Go yaml's text: `yaml: line 4: …`.
pub(crate) fn parse_yaml(text: &str) -> Result<Value, String> {
    yaml::parse(text).map(|document| document.value).map_err(|e| e.message)
}

/// YAML as kubectl prints it: sorted keys, list items not indented, a newline at the end.
pub(crate) fn to_yaml(value: &Value) -> String {
    yaml::to_string(value)
}

/// A text with where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The path as typed, or `STDIN`.
    pub name: Rc<str>,
    pub text: Rc<str>,
}

/// What to do with documents that do not say what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    /// As commands that validate (`create`, `apply`).
    Schema,
    /// As all others.
    Decode,
}

/// A document that can't be used, or an object.
pub(crate) type Parsed = Result<(Rc<str>, Object), Error>;

/// The byte ranges of the documents of a text: split at lines that begin with `---`.
pub(crate) fn split(text: &str) -> Vec<std::ops::Range<usize>> {
    if text.trim_start().starts_with(['{', '[']) {
        return std::iter::once(0..text.len()).collect();
    }
    let (mut ranges, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if line.starts_with("---") && line[3..].trim_end().chars().next().is_none_or(|c| c == ' ' || c == '#' || c == '\t') {
            ranges.push(start..at);
            // `--- # comment` and `--- {…}` keep what follows the marker.
            start = if line[3..].trim().is_empty() || line[3..].trim_start().starts_with('#') { end } else { at + 3 };
        }
        at = end;
    }
    ranges.push(start..text.len());
    ranges
}

/// All objects of a text, in order; lists are taken apart. A document that can't be parsed ends the text.
pub(crate) fn objects(source: &Source, checks: Checks) -> Vec<Parsed> {
    let mut out = Vec::new();
    for range in split(&source.text) {
        let text = &source.text[range];
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            continue;
        }
        let values = if text.trim_start().starts_with('{') { json_stream(text) } else { parse_yaml(text).map(|v| vec![v]) };
        match values {
            Ok(values) => values.into_iter().for_each(|value| document(source, value, checks, &mut out)),
            Err(text) => {
                let text = text.strip_prefix("error converting YAML to JSON: ").unwrap_or(&text).to_string();
                let converting = if text.starts_with("yaml:") { "error converting YAML to JSON: " } else { "" };
                out.push(Err(Error::Plain(format!("error parsing {}: {converting}{text}", source.name))));
                break;
            }
        }
    }
    out
}

/// JSON objects one after the other.
fn json_stream(text: &str) -> Result<Vec<Value>, String> {
    match json::parse(text.as_bytes()) {
        Ok(value) => Ok(vec![value]),
        // YAML in flow style begins with a brace as well.
        Err(error) => parse_yaml(text).map(|v| vec![v]).map_err(|_| format!("json: line {}: {error}", error.line())),
    }
}

fn document(source: &Source, value: Value, checks: Checks, out: &mut Vec<Parsed>) {
    if value.is_null() {
        return;
    }
    let invalid = |text: &str| {
        Error::Plain(format!(
            "error validating \"{}\": error validating data: {text}; if you choose to ignore these errors, turn validation off with --validate=false",
            source.name
        ))
    };
    let undecodable = |text: String| Error::Plain(format!("unable to decode \"{}\": {text}", source.name));
    let Some(object) = Object::from_value(value.clone()) else {
        out.push(Err(match checks {
            Checks::Schema => invalid("invalid object to validate"),
            Checks::Decode => {
                undecodable(format!("json: cannot unmarshal {} into Go value of type unstructured.detector", json_type(&value)))
            }
        }));
        return;
    };
    if checks == Checks::Schema {
        let missing: Vec<&str> = [("apiVersion", object.api_version()), ("kind", object.kind())]
            .iter()
            .filter(|(_, text)| text.is_empty())
            .map(|(field, _)| *field)
            .collect();
        if let [field] = missing.as_slice() {
            out.push(Err(invalid(&format!("{field} not set"))));
            return;
        }
        if missing.len() == 2 {
            out.push(Err(invalid("[apiVersion not set, kind not set]")));
            return;
        }
    }
    if object.kind().is_empty() {
        let text = json::to_string(&value);
        out.push(Err(undecodable(format!("Object 'Kind' is missing in '{text}'"))));
        return;
    }
    if object.kind().ends_with("List") && object.get("items").is_some() {
        let kind = object.kind().strip_suffix("List").unwrap_or("").to_string();
        for item in object.list_at(&["items"]) {
            let mut item = item.clone();
            if item.str_at(&["kind"]).is_none() && !kind.is_empty() {
                item.set_at(&["kind"], kind.as_str());
                item.set_at(&["apiVersion"], object.api_version());
            }
            document(source, item, checks, out);
        }
        return;
    }
    out.push(Ok((source.name.clone(), object)));
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        Value::List(_) => "array",
        Value::Null => "null",
        Value::Map(_) => "object",
        Value::Int(_) | Value::Float(_) => "number",
    }
}
