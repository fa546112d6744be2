//! How Go's `encoding/json` and `fmt` print values.

use apimachinery::{Value, json};
use base::Sort as _;

/// Compact JSON with Go's HTML escapes.
pub(crate) fn json(value: &Value) -> String {
    escape(json::to_string(value))
}

/// JSON indented by four.
pub(crate) fn json_pretty(value: &Value) -> String {
    escape(json::to_string_pretty(value, 4))
}

/// JSON indented by `indent`.
pub(crate) fn json_indent(value: &Value, indent: usize) -> String {
    escape(json::to_string_pretty(value, indent))
}

/// `<`, `>`, `&` only occur inside of strings in JSON.
fn escape(text: String) -> String {
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// `fmt.Sprint`: `map[a:1 b:[x y]]`.
pub(crate) fn sprint(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::Str(s) => s.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(sprint).collect::<Vec<_>>().join(" ")),
        Value::Map(fields) => {
            let entries: Vec<String> = fields.iter().map(|(k, v)| format!("{k}:{}", sprint(v))).collect();
            format!("map[{}]", entries.join(" "))
        }
        scalar => json::to_string(scalar),
    }
}

/// `%#v`: `map[string]interface {}{"a":"b"}`.
pub(crate) fn syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::Str(s) => apimachinery::field::go_quote(s),
        Value::List(items) => format!("[]interface {{}}{{{}}}", items.iter().map(syntax).collect::<Vec<_>>().join(", ")),
        Value::Map(fields) => {
            let entries: Vec<String> = fields.iter().map(|(k, v)| format!("{:?}:{}", &**k, syntax(v))).collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
        scalar => json::to_string(scalar),
    }
}

/// JSON with the members of well-known types in the order of the Go structs (what kubectl prints for objects that it made itself).
pub(crate) fn typed_json(value: &Value) -> String {
    let mut out = String::new();
    write_typed(value, 0, ORDER, "    ", &mut out);
    escape(out)
}

/// JSON indented by two, members in a given order (others after them).
pub(crate) fn ordered_json(value: &Value, order: &[&str]) -> String {
    let mut out = String::new();
    write_typed(value, 0, order, "  ", &mut out);
    escape(out)
}

/// The order in which the Go structs of pods, services and their parents declare their fields.
const ORDER: &[&str] = &[
    "kind",
    "apiVersion",
    "metadata",
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "immutable",
    "spec",
    "replicas",
    "image",
    "command",
    "args",
    "workingDir",
    "ports",
    "selector",
    "matchLabels",
    "template",
    "strategy",
    "protocol",
    "port",
    "targetPort",
    "nodePort",
    "volumes",
    "containers",
    "containerPort",
    "env",
    "value",
    "resources",
    "limits",
    "requests",
    "imagePullPolicy",
    "stdin",
    "stdinOnce",
    "tty",
    "restartPolicy",
    "dnsPolicy",
    "type",
    "clusterIP",
    "sessionAffinity",
    "data",
    "status",
    "loadBalancer",
];

fn write_typed(value: &Value, depth: usize, order: &[&str], step: &str, out: &mut String) {
    let indent = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(step, depth));
    };
    match value {
        Value::List(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                indent(out, depth + 1);
                write_typed(item, depth + 1, order, step, out);
            }
            indent(out, depth);
            out.push(']');
        }
        Value::Map(fields) if !fields.is_empty() => {
            let mut entries: Vec<_> = fields.iter().collect();
            entries.order_by_key(|(k, _)| order.iter().position(|name| *name == &**k).unwrap_or(order.len()));
            out.push('{');
            for (i, (k, v)) in entries.into_iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                indent(out, depth + 1);
                json::write_str(k, out);
                out.push_str(": ");
                write_typed(v, depth + 1, order, step, out);
            }
            indent(out, depth);
            out.push('}');
        }
        other => json::write(other, out),
    }
}

/// Go's `%q` of a text.
pub(crate) fn quote(text: &str) -> String {
    apimachinery::field::go_quote(text)
}
