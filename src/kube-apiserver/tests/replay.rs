//! Comparing an answer with a recorded one, variables and all. See the recordings' own description for the rules.

use base::Sort as _;
use std::collections::BTreeMap;

use apimachinery::{Value, json};

/// What the variables of one file stand for.
#[derive(Default, Clone)]
pub struct Bindings(pub BTreeMap<String, String>);

/// `None`: equal; else where and how they differ.
pub fn differ(expected: &Value, actual: &Value, bindings: &mut Bindings, path: &str) -> Option<String> {
    match (expected, actual) {
        (Value::Str(e), _) if &**e == "<any>" || &**e == "<age>" => None,
        (Value::Map(e), _) if e.contains_key("$repeat") || e.contains_key("$join") => None,
        (Value::Map(e), Value::Map(a)) => {
            for (k, ev) in e.iter() {
                if k.contains('<') || &**k == "description" && path.contains("columnDefinitions") {
                    continue;
                }
                match a.get(k) {
                    None if ev.as_str().is_some_and(|s| s == "<opt>") || ev.is_null() => {}
                    None => return Some(format!("{path}/{k}: missing, expected {}", short(ev))),
                    Some(_) if ev.as_str().is_some_and(|s| s == "<opt>") => {}
                    Some(av) => {
                        let difference = differ(ev, av, bindings, &format!("{path}/{k}"));
                        if difference.is_some() {
                            return difference;
                        }
                    }
                }
            }
            let wild = e.keys().any(|k| k.contains('<'));
            let extra = a.iter().find(|(k, v)| !e.contains_key(k) && !wild && !v.is_null());
            extra.map(|(k, v)| format!("{path}/{k}: unexpected {}", short(v)))
        }
        (Value::List(e), Value::List(a)) => {
            if e.len() != a.len() {
                return Some(format!("{path}: {} items instead of {}: {}", a.len(), e.len(), short(actual)));
            }
            let (e, a) = (sorted(e, path), sorted(a, path));
            e.iter().zip(&a).enumerate().find_map(|(i, (e, a))| differ(e, a, bindings, &format!("{path}[{i}]")))
        }
        (Value::Str(e), Value::Str(a)) => {
            text(e, a, bindings).then_some(()).map_or(Some(format!("{path}: {a:?} instead of {e:?}")), |()| None)
        }
        (Value::Str(e), Value::Int(n)) => {
            text(e, &n.to_string(), bindings).then_some(()).map_or(Some(format!("{path}: {n} instead of {e:?}")), |()| None)
        }
        (e, a) if e == a => None,
        (Value::Float(e), Value::Int(a)) if *e == *a as f64 => None,
        (e, a) => Some(format!("{path}: {} instead of {}", short(a), short(e))),
    }
}

fn short(v: &Value) -> String {
    json::to_string(v).chars().take(160).collect()
}

/// Managed fields and causes come in no order that a recording can hold.
fn sorted(list: &[Value], path: &str) -> Vec<Value> {
    let mut list = list.to_vec();
    let text = |v: &Value, name: &str| v.str_at(&[name]).unwrap_or("").to_string();
    if path.ends_with("/managedFields") {
        list.order_by_key(|v| (text(v, "operation"), text(v, "manager"), text(v, "subresource"), text(v, "apiVersion")));
    } else if path.ends_with("/causes") {
        list.order_by_key(|v| (text(v, "field"), text(v, "message")));
    }
    list
}

enum Part<'a> {
    Literal(&'a str),
    Variable(&'a str),
}

fn parts(pattern: &str) -> Vec<Part<'_>> {
    let (mut out, mut rest) = (Vec::new(), pattern);
    while let Some(start) = rest.find('<') {
        let Some(len) = rest[start..].find('>') else { break };
        let name = &rest[start + 1..start + len];
        let known = ["uid:", "rv:", "lrv:", "rand:", "cont:", "jwt:", "ip:", "port:", "etag:", "cap:"]
            .iter()
            .any(|p| name.starts_with(p))
            || matches!(name, "time" | "microtime" | "age" | "anyrv" | "any" | "run");
        if !known {
            out.push(Part::Literal(&rest[..start + 1]));
            rest = &rest[start + 1..];
            continue;
        }
        out.push(Part::Literal(&rest[..start]));
        out.push(Part::Variable(name));
        rest = &rest[start + len + 1..];
    }
    out.push(Part::Literal(rest));
    out
}

/// Whether a text is what the pattern says; binds variables on the way.
pub fn text(pattern: &str, actual: &str, bindings: &mut Bindings) -> bool {
    let actual = actual.replace('\u{a0}', " ");
    let all = parts(pattern);
    let mut bound = bindings.0.clone();
    if fits(&all, &actual, &mut bound) {
        bindings.0 = bound;
        return true;
    }
    false
}

fn fits(all: &[Part], actual: &str, bound: &mut BTreeMap<String, String>) -> bool {
    let Some((first, rest)) = all.split_first() else { return actual.is_empty() };
    match first {
        Part::Literal(l) => actual.strip_prefix(l).is_some_and(|a| fits(rest, a, bound)),
        Part::Variable(name) => {
            if let Some(value) = bound.get(*name).cloned() {
                return actual.strip_prefix(value.as_str()).is_some_and(|a| fits(rest, a, bound));
            }
            let keep = name.contains(':') && !name.starts_with("lrv:");
            let ends: Vec<usize> = (1..=actual.len()).filter(|i| actual.is_char_boundary(*i)).collect();
            for end in ends {
                if !admits(name, &actual[..end]) {
                    continue;
                }
                let mut attempt = bound.clone();
                if keep {
                    attempt.insert((*name).to_string(), actual[..end].to_string());
                }
                if fits(rest, &actual[end..], &mut attempt) {
                    *bound = attempt;
                    return true;
                }
            }
            matches!(*name, "any") && fits(rest, actual, bound)
        }
    }
}

fn admits(name: &str, value: &str) -> bool {
    let all = |f: fn(char) -> bool| value.chars().all(f);
    match name.split(':').next().unwrap_or("") {
        "uid" => value.len() == 36,
        "rv" | "lrv" | "anyrv" | "port" => all(|c| c.is_ascii_digit()),
        "rand" => value.len() == 5,
        "ip" => all(|c| c.is_ascii_digit() || c == '.'),
        "time" => base::Time::parse(value).is_some() && value.len() == 20,
        "microtime" => base::Time::parse(value).is_some(),
        "jwt" => value.matches('.').count() <= 2 && all(|c| c != ' '),
        _ => true,
    }
}
