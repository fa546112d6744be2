//! JSONPath templates: `{range .items[*]}{.metadata.name}{"\n"}{end}`. Models `client-go/util/jsonpath`.

use std::cmp::Ordering;

use apimachinery::Value;

use super::go;
use super::jsonpath_parse::{Node, Step, parse};

/// A parsed template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub text: String,
    nodes: Vec<Node>,
    allow_missing: bool,
}

impl Template {
    /// The error is upstream's: `unterminated array`.
    pub fn parse(text: &str) -> Result<Template, String> {
        Ok(Template { text: text.into(), nodes: parse(text)?, allow_missing: false })
    }
    pub fn allow_missing(mut self, allow: bool) -> Template {
        self.allow_missing = allow;
        self
    }

    /// What the template prints for a value.
    pub fn execute(&self, value: &Value) -> Result<String, String> {
        let mut out = String::new();
        self.run(&self.nodes, value, &mut out)?;
        Ok(out)
    }

    fn run(&self, nodes: &[Node], current: &Value, out: &mut String) -> Result<(), String> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Path(steps) => {
                    let texts: Vec<String> = self.eval(steps, current)?.iter().map(text_of).collect();
                    out.push_str(&texts.join(" "));
                }
                Node::Range(steps, body) => {
                    for item in self.eval(steps, current)? {
                        self.run(body, &item, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The values that each path of the template finds.
    pub fn find(&self, value: &Value) -> Result<Vec<Vec<Value>>, String> {
        let mut all = Vec::new();
        for node in &self.nodes {
            match node {
                Node::Text(text) => all.push(vec![text.as_str().into()]),
                Node::Path(steps) | Node::Range(steps, _) => all.push(self.eval(steps, value)?),
            }
        }
        Ok(all)
    }

    fn eval(&self, steps: &[Step], start: &Value) -> Result<Vec<Value>, String> {
        let mut current = vec![start.clone()];
        for step in steps {
            current = self.step(step, current)?;
        }
        Ok(current)
    }

    fn step(&self, step: &Step, input: Vec<Value>) -> Result<Vec<Value>, String> {
        let mut out = Vec::new();
        match step {
            Step::Literal(value) => out.push(value.clone()),
            Step::Field(name) => {
                for value in &input {
                    out.extend(value.get(name).cloned());
                }
                if out.is_empty() && !self.allow_missing {
                    return Err(format!("{name} is not found"));
                }
            }
            Step::Wildcard => {
                for value in &input {
                    match value {
                        Value::List(items) => out.extend(items.iter().cloned()),
                        Value::Map(fields) => out.extend(fields.iter().map(|(_, v)| v.clone())),
                        _ => {}
                    }
                }
            }
            Step::Recursive => input.iter().for_each(|value| descend(value, &mut out)),
            Step::Union(paths) => {
                for path in paths {
                    let mut found = input.clone();
                    for step in path {
                        found = self.step(step, found)?;
                    }
                    out.extend(found);
                }
            }
            Step::Slice { from, to, step, single } => {
                for value in &input {
                    slice(value, (*from, *to, *step, *single), &mut out)?;
                }
            }
            Step::Filter { left, op, right } => {
                for value in &input {
                    let Value::List(items) = value else {
                        if value.is_null() {
                            continue;
                        }
                        return Err(format!("{} is not array or slice and cannot be filtered", go::sprint(value)));
                    };
                    for item in items.iter() {
                        if self.holds(item, left, op, right)? {
                            out.push(item.clone());
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    fn holds(&self, item: &Value, left: &[Step], op: &str, right: &[Step]) -> Result<bool, String> {
        let side = |steps: &[Step]| Template { allow_missing: true, ..self.clone_empty() }.eval(steps, item);
        let left = side(left)?;
        if op == "exists" {
            return Ok(!left.is_empty());
        }
        let right = side(right)?;
        if left.len() > 1 || right.len() > 1 {
            return Err("can only compare one element at a time".into());
        }
        let (Some(left), Some(right)) = (left.first(), right.first()) else { return Ok(false) };
        let order = compare(left, right);
        Ok(match op {
            "==" => order == Some(Ordering::Equal),
            "!=" => order != Some(Ordering::Equal),
            "<" => order == Some(Ordering::Less),
            ">" => order == Some(Ordering::Greater),
            "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        })
    }

    fn clone_empty(&self) -> Template {
        Template { text: String::new(), nodes: Vec::new(), allow_missing: self.allow_missing }
    }
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => Some(a.total_cmp(b)),
        (Value::Int(a), Value::Float(b)) => Some((*a as f64).total_cmp(b)),
        (Value::Float(a), Value::Int(b)) => Some(a.total_cmp(&(*b as f64))),
        _ => None,
    }
}

fn descend(value: &Value, out: &mut Vec<Value>) {
    out.push(value.clone());
    match value {
        Value::List(items) => items.iter().for_each(|v| descend(v, out)),
        Value::Map(fields) => fields.iter().for_each(|(_, v)| descend(v, out)),
        _ => {}
    }
}

fn slice(value: &Value, bounds: (Option<i64>, Option<i64>, Option<i64>, bool), out: &mut Vec<Value>) -> Result<(), String> {
    let (from, to, step, single) = bounds;
    let Value::List(items) = value else {
        return if value.is_null() { Ok(()) } else { Err(format!("{} is not array or slice", go::sprint(value))) };
    };
    let len = items.len() as i64;
    let resolve = |n: i64| if n < 0 { n + len } else { n };
    if single {
        let n = from.unwrap_or(0);
        let at = resolve(n);
        if at < 0 || at >= len {
            return Err(format!("array index out of bounds: index {n}, length {len}"));
        }
        out.push(items[at as usize].clone());
        return Ok(());
    }
    let (mut at, end) = (resolve(from.unwrap_or(0)).max(0), resolve(to.unwrap_or(len)).min(len));
    let step = step.unwrap_or(1);
    if step <= 0 {
        return Err("step must be > 0".into());
    }
    while at < end {
        out.push(items[at as usize].clone());
        at += step;
    }
    Ok(())
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Str(s) => s.to_string(),
        Value::List(_) | Value::Map(_) => go::json(value),
        Value::Null => "null".into(),
        scalar => go::sprint(scalar),
    }
}

/// `x.y`, `.x.y`, `{x.y}` and `{.x.y}` are all `{.x.y}`.
pub(crate) fn relaxed(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let inner = inner.strip_prefix('.').unwrap_or(inner);
    if inner.is_empty() || inner.contains(['{', '}']) {
        return Err("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'"
            .to_string());
    }
    Ok(format!("{{.{inner}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::json;

    const PODS: &str = r#"{"items":[
        {"metadata":{"name":"api","labels":{"tier":"backend","a.b/c":"x"}},"spec":{"n":1,"containers":[{"name":"api","ports":[{"containerPort":8080}]},{"name":"proxy"}]}},
        {"metadata":{"name":"web","labels":{"tier":"frontend"}},"spec":{"n":2,"containers":[{"name":"nginx"}]}}]}"#;

    fn run(template: &str) -> Result<String, String> {
        let value = json::parse(PODS.as_bytes()).unwrap();
        Template::parse(template)?.allow_missing(true).execute(&value)
    }

    #[test]
    fn templates_print_what_they_find() {
        for (template, text) in [
            ("{.items[*].metadata.name}{\"\\n\"}", "api web\n"),
            ("{range .items[*]}{.metadata.name}={range .spec.containers[*]}{.name},{end};{end}", "api=api,proxy,;web=nginx,;"),
            ("{.items[?(@.metadata.labels.tier==\"backend\")].metadata.name}", "api"),
            ("{.items[?(@.spec.n>1)].metadata.name} {.items[?(@.metadata.labels.a\\.b/c)].metadata.name}", "web api"),
            ("{.items[0].spec.containers[-1:].name} {.items[0].spec.containers[1].name} {..containerPort}", "proxy proxy 8080"),
            ("{.items[*]['metadata.name','metadata.labels.tier']}", "api web backend frontend"),
            ("{.items[0].metadata.labels}", r#"{"a.b/c":"x","tier":"backend"}"#),
            ("{.items[0].nope}", ""),
            ("{@.items[0].metadata.name} x {$.items[0].spec.n}", "api x 1"),
        ] {
            assert_eq!(run(template).as_deref(), Ok(text), "{template}");
        }
        assert_eq!(run("{.items[0").unwrap_err(), "unterminated array");
        assert_eq!(run("{.items[5]}").unwrap_err(), "array index out of bounds: index 5, length 2");
        assert_eq!(relaxed("metadata.name").unwrap(), "{.metadata.name}");
    }
}
