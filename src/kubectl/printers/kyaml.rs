//! `-o kyaml`: YAML in flow style with quoted strings, one member a line.

use apimachinery::{Value, json};

pub(crate) fn print(value: &Value) -> String {
    let mut out = String::from("---\n");
    write(value, 0, &mut out);
    out.push('\n');
    out
}

fn write(value: &Value, depth: usize, out: &mut String) {
    let indent = |out: &mut String, depth: usize| out.extend(std::iter::repeat_n("  ", depth));
    match value {
        Value::Map(fields) if !fields.is_empty() => {
            out.push_str("{\n");
            for (k, v) in fields.iter() {
                indent(out, depth + 1);
                let plain = k.starts_with(|c: char| c.is_ascii_alphabetic())
                    && k.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
                let word =
                    matches!(k.to_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null");
                if plain && !word {
                    out.push_str(k);
                } else {
                    json::write_str(k, out);
                }
                out.push_str(": ");
                write(v, depth + 1, out);
                out.push_str(",\n");
            }
            indent(out, depth);
            out.push('}');
        }
        Value::List(items) if items.iter().all(|v| matches!(v, Value::Map(_))) && !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write(item, depth, out);
            }
            out.push(']');
        }
        Value::List(items) if !items.is_empty() => {
            out.push_str("[\n");
            for item in items.iter() {
                indent(out, depth + 1);
                write(item, depth + 1, out);
                out.push_str(",\n");
            }
            indent(out, depth);
            out.push(']');
        }
        other => json::write(other, out),
    }
}
