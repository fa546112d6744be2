//! Bodies of requests: bytes and a content type to an object, with upstream's complaints. Models
//! `apiserver/pkg/endpoints/handlers` (create, update) and `apimachinery/pkg/runtime/serializer/json`.

use base::Sort as _;
use std::rc::Rc;

use crate::gvr::Gvk;
use crate::object::Object;
use crate::schema::{self, StructType, decode};
use crate::status::Status;
use crate::value::Value;
use crate::yaml;

/// A decoded body.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub object: Object,
    /// What `fieldValidation=Strict` refuses and `Warn` warns of, in document order: `unknown field "spec.foo"`,
    /// `duplicate field "data.k"` (JSON), `line 7: key "k" already set in map` (YAML).
    pub strict: Vec<String>,
}

/// Why a body can't be parsed, before anything is known of its kind.
const NOT_A_MAP: &str =
    "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";

/// A parsed body: the tree and what was given twice.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub value: Value,
    pub duplicates: Vec<String>,
}

/// Whether a media type means YAML (else JSON).
pub fn is_yaml(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    matches!(media_type, "application/yaml" | "application/apply-patch+yaml")
}

/// Parses bytes as JSON or YAML. The error is the text that follows `the object provided is unrecognized (…): `.
pub fn parse(content_type: &str, bytes: &[u8]) -> Result<Parsed, String> {
    if !is_yaml(content_type) {
        let parsed = schema::parse_json(bytes).map_err(|e| format!("couldn't get version/kind; json parse error: {e}"))?;
        return Ok(Parsed { value: parsed.value, duplicates: parsed.duplicates });
    }
    let text = String::from_utf8_lossy(bytes);
    let document = yaml::parse(&text).map_err(|e| e.message)?;
    Ok(Parsed { value: document.value, duplicates: document.duplicates })
}

/// Decodes the body of a create or update of `expected`. Kind and version may be missing; others than expected are refused.
/// For built-in kinds; `ty` is the type of the kind.
pub fn decode_object(content_type: &str, bytes: &[u8], expected: Gvk, ty: &Rc<StructType>) -> Result<Decoded, Status> {
    let unrecognized = |why: String| {
        let summary = summarize(bytes);
        Status::bad_request(format!("the object provided is unrecognized (must be of type {}): {why} ({summary})", expected.kind))
    };
    let parsed = parse(content_type, bytes).map_err(unrecognized)?;
    let value = match parsed.value {
        Value::Null => Value::map(),
        value @ Value::Map(_) => value,
        other => {
            let kind = match other {
                Value::List(_) => "array",
                Value::Str(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            let why = format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go value of type {NOT_A_MAP}"
            );
            return Err(unrecognized(why));
        }
    };
    for name in ["apiVersion", "kind"] {
        let kind = match value.get(name) {
            Some(Value::Bool(_)) => "bool",
            Some(Value::Int(_) | Value::Float(_)) => "number",
            Some(Value::List(_)) => "array",
            Some(Value::Map(_)) => "object",
            _ => continue,
        };
        let why = format!("json: cannot unmarshal {kind} into Go struct field .{name} of type string");
        return Err(unrecognized(format!("couldn't get version/kind; json parse error: {why}")));
    }
    if let Some(api_version) = value.str_at(&["apiVersion"])
        && api_version.matches('/').count() > 1
    {
        return Err(unrecognized(format!("unexpected GroupVersion string: {api_version}")));
    }
    let mut decoded = decode_value(value, expected, ty)?;
    if is_yaml(content_type) {
        // YAML goes through a map, which sorts: complaints about duplicates come first.
        decoded.strict.splice(0..0, parsed.duplicates);
    } else if !(parsed.duplicates.is_empty() && decoded.strict.len() < 2) {
        let duplicates = parsed.duplicates.iter().map(|d| (true, d.clone()));
        let unknown = decoded
            .strict
            .iter()
            .filter_map(|u| Some((false, u.strip_prefix("unknown field \"")?.strip_suffix('"')?.to_string())));
        decoded.strict = in_document_order(bytes, duplicates.chain(unknown).collect());
    }
    Ok(decoded)
}

/// Decodes a tree that did not come as bytes. As [`decode_object`].
pub fn decode_value(mut value: Value, expected: Gvk, ty: &Rc<StructType>) -> Result<Decoded, Status> {
    let given = |name: &str| value.str_at(&[name]).filter(|s| !s.is_empty());
    let api_version = given("apiVersion").map_or_else(|| expected.api_version(), str::to_string);
    let kind = given("kind").map_or_else(|| expected.kind.to_string(), str::to_string);
    let found = Gvk::from_api_version(&api_version, &kind);
    let refuse = |why: String| {
        let text = format!("{kind} in version \"{}\" cannot be handled as a {}: {why}", found.version, expected.kind);
        Err(Status::bad_request(text))
    };
    if found != expected {
        let list = (api_version == "v1" && kind == "List").then(|| "v1.List".to_string());
        let Some(other) = list.or_else(|| schema::of(found).map(|ty| ty.go_name().to_string())) else {
            return refuse(format!(
                "no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\""
            ));
        };
        let internal = if expected.group.is_empty() {
            "core".to_string()
        } else {
            expected.group.with(|g| g.split('.').next().unwrap_or("").to_string())
        };
        return refuse(format!("converting ({}) to ({internal}.{}): unknown conversion", other, expected.kind));
    }
    let decoded = match decode(ty, &value) {
        Ok(decoded) => decoded,
        Err(why) => return refuse(why),
    };
    value = decoded.value;
    for (name, text) in [("apiVersion", api_version.as_str()), ("kind", kind.as_str())] {
        if value.str_at(&[name]) != Some(text) {
            value.set_at(&[name], Value::sym(text));
        }
    }
    let strict = decoded.unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    let object = Object::from_value(value).expect("a struct decodes to a map");
    Ok(Decoded { object, strict })
}

/// The complaints as texts, in the order of the document: a duplicate where it is given again, an unknown field where it is
/// given first.
fn in_document_order(bytes: &[u8], complaints: Vec<(bool, String)>) -> Vec<String> {
    let members = schema::member_paths(bytes);
    let mut placed: Vec<(usize, String)> = complaints
        .into_iter()
        .map(|(duplicate, path)| match duplicate {
            true => (
                members.iter().enumerate().filter(|(_, m)| **m == path).nth(1).map_or(0, |(i, _)| i),
                format!("duplicate field \"{path}\""),
            ),
            false => (members.iter().position(|m| *m == path).unwrap_or(0), format!("unknown field \"{path}\"")),
        })
        .collect();
    placed.order_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, text)| text).collect()
}

/// What `fieldValidation` makes of the strict complaints: warnings, or with `Strict` an error. `mode` is one of `Strict`,
/// `Warn` (also when empty) and `Ignore`.
pub fn field_validation(mode: &str, gvk: Gvk, strict: Vec<String>) -> Result<Vec<String>, Status> {
    match mode {
        "Ignore" => Ok(Vec::new()),
        "Strict" if !strict.is_empty() => {
            let (kind, version) = (gvk.kind, gvk.version);
            let text = strict_text(&strict);
            Err(Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {text}")))
        }
        _ => Ok(strict),
    }
}

/// `strict decoding error: unknown field "a", unknown field "b"`
pub fn strict_text(strict: &[String]) -> String {
    let (lines, others): (Vec<&String>, Vec<&String>) = strict.iter().partition(|s| s.starts_with("line "));
    let mut texts = Vec::new();
    if !lines.is_empty() {
        texts.push(lines.iter().fold("yaml: unmarshal errors:".to_string(), |text, line| format!("{text}\n  {line}")));
    }
    texts.extend(others.into_iter().cloned());
    format!("strict decoding error: {}", texts.join(", "))
}

/// The beginning of a body for error texts: as text if it begins like JSON, else in hexadecimal. Models `summarizeData`.
fn summarize(bytes: &[u8]) -> String {
    const MAX: usize = 30;
    let head = &bytes[..bytes.len().min(MAX)];
    let dots = if bytes.len() > MAX { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".to_string(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(head)),
        Some(_) => format!("{}{dots}", head.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: &str, body: &str) -> Result<(String, Vec<String>), String> {
        let gvk = Gvk::new("", "v1", "ConfigMap");
        let ty = schema::of(gvk).expect("it is built in");
        let decoded = decode_object(content_type, body.as_bytes(), gvk, &ty).map_err(|s| s.message)?;
        Ok((format!("{:?}", decoded.object), decoded.strict))
    }

    #[test]
    fn bad_bodies_read_as_upstream() {
        let (json, yaml) = ("application/json", "application/yaml");
        let unrecognized = "the object provided is unrecognized (must be of type ConfigMap): ";
        for (content_type, body, error) in [
            (json, "{", "couldn't get version/kind; json parse error: unexpected end of JSON input ({)".to_string()),
            (
                json,
                "[]",
                format!(
                    "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type {NOT_A_MAP} (5b5d)"
                ),
            ),
            (yaml, "a: b: c", "yaml: mapping values are not allowed in this context (613a20623a2063)".to_string()),
            (
                json,
                r#"{"apiVersion": "a/b/c", "kind": "ConfigMap"}"#,
                "unexpected GroupVersion string: a/b/c ({\"apiVersion\": \"a/b/c\", \"kind\" ...)".to_string(),
            ),
        ] {
            assert_eq!(check(content_type, body).unwrap_err(), format!("{unrecognized}{error}"));
        }
        for (body, error) in [
            (
                r#"{"apiVersion":"v1","kind":"Pod"}"#,
                "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion",
            ),
            (
                r#"{"data":{"n":1}}"#,
                "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
            ),
        ] {
            assert_eq!(check(json, body).unwrap_err(), error);
        }
    }

    #[test]
    fn complaints_come_in_document_order() {
        let (object, strict) =
            check("application/json", r#"{"z":1,"metadata":{"x":1,"name":"a"},"data":{"k":"1","k":"2"},"a":1}"#).unwrap();
        assert_eq!(object, r#"{"apiVersion":"v1","data":{"k":"2"},"kind":"ConfigMap","metadata":{"name":"a"}}"#);
        assert_eq!(
            strict,
            ["unknown field \"z\"", "unknown field \"metadata.x\"", "duplicate field \"data.k\"", "unknown field \"a\""]
        );
        let (_, strict) = check("application/yaml", "data:\n  k: a\n  k: b\nnope: 1\n").unwrap();
        assert_eq!(
            strict_text(&strict),
            "strict decoding error: yaml: unmarshal errors:\n  line 3: key \"k\" already set in map, unknown field \"nope\""
        );
    }
}
