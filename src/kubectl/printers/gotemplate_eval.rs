//! Runs a go-template over a value.

use std::cmp::Ordering;
use std::rc::Rc;

use apimachinery::Value;

use super::go;
use super::gotemplate::{Node, Pipeline, Template, Term};
use crate::base64;

/// Why a block ended early.
enum Flow {
    On,
    Break,
    Continue,
}

struct Run {
    variables: Vec<(String, Value)>,
    out: String,
}

/// What a missing member is: prints as `<no value>`, is false.
const NO_VALUE: &str = "<no value>";

impl Template {
    pub fn execute(&self, value: &Value) -> Result<String, String> {
        let mut run = Run { variables: vec![("$".into(), value.clone())], out: String::new() };
        run.block(&self.nodes, value).map_err(|e| format!("1:0: executing \"output\" at <>: {e}"))?;
        Ok(run.out)
    }
}

fn truth(value: &Option<Value>) -> bool {
    value.as_ref().is_some_and(|v| !v.is_empty())
}

fn print(value: &Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => NO_VALUE.into(),
        Some(value) => go::sprint(value),
    }
}

fn walk(value: &Option<Value>, path: &[String]) -> Result<Option<Value>, String> {
    let mut current = value.clone();
    for name in path {
        current = match current {
            Some(Value::Map(fields)) => fields.get(name).cloned(),
            None | Some(Value::Null) => None,
            Some(other) => return Err(format!("can't evaluate field {name} in type {}", type_name(&other))),
        };
    }
    Ok(current)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Str(_) => "string",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::Bool(_) => "bool",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        Value::Null => "interface {}",
    }
}

impl Run {
    fn block(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        let depth = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot)?;
            if !matches!(flow, Flow::On) {
                break;
            }
        }
        self.variables.truncate(depth);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                match pipeline.declares.first() {
                    Some(name) => self.declare(name, value.unwrap_or_default(), pipeline.assigns),
                    None => self.out.push_str(&print(&value)),
                }
            }
            Node::If(branches) => {
                for (condition, body) in branches {
                    let holds = match condition {
                        Some(pipeline) => truth(&self.pipeline(pipeline, dot)?),
                        None => true,
                    };
                    if holds {
                        return self.block(body, dot);
                    }
                }
            }
            Node::With(pipeline, body, otherwise) => {
                let value = self.pipeline(pipeline, dot)?;
                if !truth(&value) {
                    return self.block(otherwise, dot);
                }
                let value = value.unwrap_or_default();
                if let Some(name) = pipeline.declares.first() {
                    self.declare(name, value.clone(), false);
                }
                return self.block(body, &value);
            }
            Node::Range(pipeline, body, otherwise) => return self.range(pipeline, body, otherwise, dot),
        }
        Ok(Flow::On)
    }

    fn range(&mut self, over: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<Flow, String> {
        let value = self.pipeline(over, dot)?.unwrap_or_default();
        let items: Vec<(Value, Value)> = match &value {
            Value::List(items) => items.iter().enumerate().map(|(i, v)| (Value::Int(i as i64), v.clone())).collect(),
            Value::Map(fields) => fields.iter().map(|(k, v)| (k.into(), v.clone())).collect(),
            Value::Int(n) => (0..*n).map(|i| (Value::Int(i), Value::Int(i))).collect(),
            Value::Null => Vec::new(),
            other => return Err(format!("range can't iterate over {}", go::sprint(other))),
        };
        if items.is_empty() {
            return self.block(otherwise, dot);
        }
        let depth = self.variables.len();
        for (key, item) in items {
            match over.declares.as_slice() {
                [k, v] => self.variables.extend([(k.clone(), key), (v.clone(), item.clone())]),
                [v] => self.variables.push((v.clone(), item.clone())),
                _ => {}
            }
            let flow = self.block(body, &item)?;
            self.variables.truncate(depth);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn declare(&mut self, name: &str, value: Value, assigns: bool) {
        if assigns && let Some(old) = self.variables.iter_mut().rev().find(|(n, _)| n == name) {
            old.1 = value;
            return;
        }
        self.variables.push((name.into(), value));
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Option<Value>, String> {
        let mut last: Option<Option<Value>> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.flatten())
    }

    fn command(&mut self, terms: &[Term], dot: &Value, piped: Option<Option<Value>>) -> Result<Option<Value>, String> {
        let Some(Term::Function(name)) = terms.first() else {
            return match terms {
                [one] => self.term(one, dot),
                _ => Err("can't give argument to non-function".into()),
            };
        };
        let mut arguments = Vec::new();
        for term in &terms[1..] {
            let value = self.term(term, dot)?;
            // `and` and `or` stop at the first that decides.
            let decides = name == "and" && !truth(&value) || name == "or" && truth(&value);
            arguments.push(value);
            if decides {
                return Ok(arguments.pop().flatten());
            }
        }
        arguments.extend(piped);
        call(name, &arguments)
    }

    fn term(&mut self, term: &Term, dot: &Value) -> Result<Option<Value>, String> {
        match term {
            Term::Literal(value) => Ok(Some(value.clone())),
            Term::Field(path) => walk(&Some(dot.clone()), path),
            Term::Variable(name, path) => {
                let value = self.variables.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
                match value {
                    Some(value) => walk(&Some(value), path),
                    None => Err(format!("undefined variable {name:?}")),
                }
            }
            Term::Function(name) => call(name, &[]),
            Term::Sub(pipeline, path) => {
                let value = self.pipeline(pipeline, dot)?;
                walk(&value, path)
            }
        }
    }
}

fn compare(a: &Option<Value>, b: &Option<Value>) -> Result<Ordering, String> {
    match (a, b) {
        (Some(Value::Str(a)), Some(Value::Str(b))) => Ok(a.cmp(b)),
        (Some(Value::Int(a)), Some(Value::Int(b))) => Ok(a.cmp(b)),
        (Some(Value::Float(a)), Some(Value::Float(b))) => Ok(a.total_cmp(b)),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => Ok(a.cmp(b)),
        (None | Some(Value::Null), None | Some(Value::Null)) => Ok(Ordering::Equal),
        (None | Some(Value::Null), _) | (_, None | Some(Value::Null)) => Ok(Ordering::Less),
        _ => Err("incompatible types for comparison".into()),
    }
}

fn call(name: &str, a: &[Option<Value>]) -> Result<Option<Value>, String> {
    let need = |n: usize| {
        if a.len() < n { Err(format!("wrong number of args for {name}: want at least {n} got {}", a.len())) } else { Ok(()) }
    };
    let text = |i: usize| a.get(i).map(print).unwrap_or_default();
    let some = |v: Value| Ok(Some(v));
    match name {
        "and" | "or" => Ok(a.last().cloned().flatten()),
        "not" => need(1).and_then(|()| some((!truth(&a[0])).into())),
        "eq" => {
            need(2)?;
            for other in &a[1..] {
                if compare(&a[0], other)? == Ordering::Equal {
                    return some(true.into());
                }
            }
            some(false.into())
        }
        "ne" | "lt" | "le" | "gt" | "ge" => {
            need(2)?;
            let order = compare(&a[0], &a[1])?;
            some(
                match name {
                    "ne" => order != Ordering::Equal,
                    "lt" => order == Ordering::Less,
                    "le" => order != Ordering::Greater,
                    "gt" => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }
                .into(),
            )
        }
        "len" => match a.first() {
            Some(Some(Value::Str(s))) => some((s.len() as i64).into()),
            Some(Some(Value::List(l))) => some((l.len() as i64).into()),
            Some(Some(Value::Map(m))) => some((m.len() as i64).into()),
            _ => Err("error calling len: len of nil pointer".into()),
        },
        "index" | "exists" => {
            let mut current = a.first().cloned().flatten();
            for key in a.iter().skip(1) {
                current = match (current, key) {
                    (Some(Value::Map(m)), Some(Value::Str(k))) => m.get(k).cloned(),
                    (Some(Value::List(l)), Some(Value::Int(i))) => match l.get(*i as usize) {
                        Some(item) => Some(item.clone()),
                        None if name == "exists" => None,
                        None => return Err(format!("error calling index: reflect: slice index out of range: {i}")),
                    },
                    _ if name == "exists" => None,
                    (None, _) => return Err("error calling index: index of untyped nil".into()),
                    _ => return Err("error calling index: can't index item".into()),
                };
            }
            if name == "exists" { some(current.is_some().into()) } else { Ok(current) }
        }
        "slice" => {
            let bound = |i: usize| a.get(i).cloned().flatten().and_then(|v| v.as_i64()).map(|n| n as usize);
            match a.first() {
                Some(Some(Value::Str(s))) => {
                    let part = s.get(bound(1).unwrap_or(0)..bound(2).unwrap_or(s.len()));
                    part.map(|t| Some(t.into())).ok_or("error calling slice: index out of range".into())
                }
                Some(Some(Value::List(l))) => {
                    let part = l.get(bound(1).unwrap_or(0)..bound(2).unwrap_or(l.len()));
                    part.map(|t| Some(t.to_vec().into())).ok_or("error calling slice: index out of range".into())
                }
                _ => Err("error calling slice: can't slice item".into()),
            }
        }
        "print" => some((0..a.len()).map(text).collect::<String>().into()),
        "println" => some(((0..a.len()).map(text).collect::<Vec<_>>().join(" ") + "\n").into()),
        "printf" => need(1).and_then(|()| some(printf(&text(0), &a[1..]).into())),
        "html" => some(
            text(0)
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&#34;")
                .replace('\'', "&#39;")
                .into(),
        ),
        "js" => some(text(0).replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\\\"").replace('\n', "\\u000A").into()),
        "base64decode" => match base64::decode(&text(0)) {
            Some(bytes) => some(Value::Str(Rc::from(String::from_utf8_lossy(&bytes)))),
            None => Err("error calling base64decode: base64 decode failed: illegal base64 data".into()),
        },
        other => Err(format!("function {other:?} not defined")),
    }
}

/// `fmt.Sprintf` with flags `-`, `0`, width, and the verbs `v s d q t f x`.
fn printf(format: &str, values: &[Option<Value>]) -> String {
    let (mut out, mut chars, mut at) = (String::new(), format.chars().peekable(), 0);
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (mut spec, mut left, mut zero) = (String::new(), false, false);
        while let Some(c) = chars.peek().copied().filter(|c| !c.is_alphabetic() && *c != '%') {
            left |= c == '-';
            zero |= c == '0' && spec.is_empty();
            if c.is_ascii_digit() || c == '.' {
                spec.push(c);
            }
            chars.next();
        }
        let Some(verb) = chars.next() else { break };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = values.get(at).cloned().flatten();
        at += 1;
        let (width, precision) = spec.split_once('.').map_or((spec.as_str(), None), |(w, p)| (w, p.parse::<usize>().ok()));
        let mut text = match (verb, &value) {
            ('q', Some(Value::Str(s))) => go::quote(s),
            ('f', Some(Value::Int(n))) => format!("{:.*}", precision.unwrap_or(6), *n as f64),
            ('f', Some(Value::Float(n))) => format!("{:.*}", precision.unwrap_or(6), n),
            ('x', Some(Value::Int(n))) => format!("{n:x}"),
            ('d', Some(Value::Str(s))) => format!("%!d(string={s})"),
            (_, None) => "<nil>".into(),
            (_, Some(v)) => go::sprint(v),
        };
        if let (Some(n), 's' | 'v') = (precision, verb) {
            text = text.chars().take(n).collect();
        }
        let pad = width.parse::<usize>().unwrap_or(0).saturating_sub(text.chars().count());
        match (left, zero) {
            (true, _) => out.push_str(&(text + &" ".repeat(pad))),
            (false, true) => out.push_str(&("0".repeat(pad) + &text)),
            (false, false) => out.push_str(&(" ".repeat(pad) + &text)),
        }
    }
    out
}
