//! Conditions on an object's fields: `.status.readyReplicas >= 3`, `.spec.containers[*].image like nginx:*`, `Ready`.
//!
//! A path is kubectl's JSONPath as far as people use it: members, `['a.b']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`. No slices, no `..`,
//! no scripts: whatever a lab says, reading a path takes the time of the object's size.

use apimachinery::Value;
use apimachinery::quantity::Quantity;

/// Values that a path may lead to at most.
const FOUND: usize = 1_000;

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Member(String),
    Index(usize),
    All,
    /// `[?(@.a.b=="c")]`
    Where(Vec<String>, String),
}

/// A path into an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path(Vec<Part>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Is,
    IsNot,
    AtLeast,
    AtMost,
    More,
    Less,
    Contains,
    Like,
    Exists,
    Missing,
}

/// `PATH OP VALUE`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    path: Path,
    op: Op,
    operand: String,
}

impl Path {
    pub fn parse(text: &str) -> Result<Path, String> {
        let mut parts = Vec::new();
        let mut rest = text.trim().trim_start_matches('{').trim_end_matches('}');
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let end = after.find(']').ok_or_else(|| format!("{text:?}: a [ has no ]"))?;
                parts.push(bracket(&after[..end]).ok_or_else(|| format!("{text:?}: [{}] is not understood", &after[..end]))?);
                rest = &after[end + 1..];
                continue;
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let (name, after) = member(rest);
            if name.is_empty() {
                return Err(format!("{text:?}: a member's name is missing"));
            }
            parts.push(if name == "*" { Part::All } else { Part::Member(name) });
            rest = after;
        }
        if parts.is_empty() { Err("a path is missing".into()) } else { Ok(Path(parts)) }
    }

    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![value];
        for part in &self.0 {
            let mut next: Vec<&Value> = Vec::new();
            for value in found {
                match part {
                    Part::Member(name) => next.extend(value.get(name)),
                    Part::Index(i) => next.extend(value.items().get(*i)),
                    Part::All => match value {
                        Value::Map(fields) => next.extend(fields.iter().map(|(_, v)| v)),
                        other => next.extend(other.items()),
                    },
                    Part::Where(path, wanted) => next.extend(value.items().iter().filter(|item| {
                        let path: Vec<&str> = path.iter().map(String::as_str).collect();
                        item.at(&path).is_some_and(|v| scalar(v) == *wanted)
                    })),
                }
            }
            next.truncate(FOUND);
            found = next;
        }
        found
    }
}

/// The name up to the next `.` or `[`; `\.` is a dot of the name.
fn member(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[i..]),
            c => name.push(c),
        }
    }
    (name, "")
}

fn bracket(text: &str) -> Option<Part> {
    let unquoted = |t: &str| {
        let t = t.trim();
        ['"', '\''].into_iter().find_map(|q| t.strip_prefix(q)?.strip_suffix(q)).map(str::to_string)
    };
    if text == "*" {
        return Some(Part::All);
    }
    if let Some(name) = unquoted(text) {
        return Some(Part::Member(name));
    }
    if let Some(filter) = text.strip_prefix("?(@.").and_then(|t| t.strip_suffix(')')) {
        let (path, wanted) = filter.split_once("==")?;
        let wanted = unquoted(wanted).unwrap_or_else(|| wanted.trim().to_string());
        return Some(Part::Where(path.trim().split('.').map(str::to_string).collect(), wanted));
    }
    text.parse().ok().map(Part::Index)
}

impl Condition {
    /// `PATH OP VALUE`, `PATH exists`, `PATH missing`; `Ready` and `!Ready` are about a condition of the status.
    pub fn parse(text: &str) -> Result<Condition, String> {
        let text = text.trim();
        let word = text.strip_prefix('!').unwrap_or(text);
        if !word.is_empty() && word.chars().all(char::is_alphanumeric) {
            let path = Path::parse(&format!(".status.conditions[?(@.type==\"{word}\")].status"))?;
            let op = if word == text { Op::Is } else { Op::IsNot };
            return Ok(Condition { path, op, operand: "True".into() });
        }
        let (path, rest) = text.split_once(' ').ok_or_else(|| format!("{text:?}: PATH OPERATOR VALUE is expected"))?;
        let (op, operand) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let op = match op {
            "=" | "==" => Op::Is,
            "!=" => Op::IsNot,
            ">=" => Op::AtLeast,
            "<=" => Op::AtMost,
            ">" => Op::More,
            "<" => Op::Less,
            "contains" => Op::Contains,
            "like" => Op::Like,
            "exists" => Op::Exists,
            "missing" => Op::Missing,
            other => return Err(format!("unknown operator {other:?} (there are = != >= <= > < contains like exists missing)")),
        };
        let operand = operand.trim();
        let unary = matches!(op, Op::Exists | Op::Missing);
        if unary != operand.is_empty() && !matches!(op, Op::Is | Op::IsNot) {
            return Err(format!("{text:?}: {}", if unary { "takes no value" } else { "a value is missing" }));
        }
        Ok(Condition { path: Path::parse(path)?, op, operand: operand.trim_matches('"').to_string() })
    }

    /// Whether one of the values that the path leads to is as it should be (`!=`: none is otherwise).
    pub fn holds(&self, object: &Value) -> bool {
        let found = self.path.find(object);
        let any = |f: &dyn Fn(&str) -> bool| found.iter().any(|v| f(&scalar(v)));
        let compare = |f: fn(std::cmp::Ordering) -> bool| any(&|v| order(v, &self.operand).is_some_and(f));
        match self.op {
            Op::Is => any(&|v| v == self.operand) || self.operand.is_empty() && found.is_empty(),
            Op::IsNot => !(any(&|v| v == self.operand) || self.operand.is_empty() && found.is_empty()),
            Op::AtLeast => compare(std::cmp::Ordering::is_ge),
            Op::AtMost => compare(std::cmp::Ordering::is_le),
            Op::More => compare(std::cmp::Ordering::is_gt),
            Op::Less => compare(std::cmp::Ordering::is_lt),
            Op::Contains => any(&|v| v.contains(&self.operand)),
            Op::Like => any(&|v| like(&self.operand, v)),
            Op::Exists => !found.is_empty(),
            Op::Missing => found.is_empty(),
        }
    }

    /// What the path leads to, for a message.
    pub fn value(&self, object: &Value) -> String {
        let found: Vec<String> = self.path.find(object).into_iter().take(4).map(scalar).collect();
        if found.is_empty() { "nothing".into() } else { found.join(", ").chars().take(160).collect() }
    }
}

/// A value as a person would write it.
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Str(s) => s.to_string(),
        other => apimachinery::json::to_string(other),
    }
}

/// Numbers and quantities by size; `None` if one is neither.
fn order(a: &str, b: &str) -> Option<std::cmp::Ordering> {
    let quantity = |t: &str| Quantity::parse(t).ok();
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => Some(a.cmp(&b)),
        _ => Some(quantity(a)?.milli_value().cmp(&quantity(b)?.milli_value())),
    }
}

/// `*` stands for any run of characters.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return pattern == text };
    if parts.len() == 1 {
        return pattern == text;
    }
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn conditions_are_about_fields() {
        let pod = value!({
            "metadata": {"labels": {"app.kubernetes.io/name": "web"}},
            "spec": {"containers": [{"image": "nginx:1.27", "resources": {"limits": {"memory": "64Mi"}}}, {"image": "busybox"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "restartCount": 3}
        });
        for (text, holds) in [
            ("Ready", true),
            ("!Ready", false),
            (".status.restartCount = 3", true),
            (".status.restartCount >= 4", false),
            (".status.restartCount < 10", true),
            (".spec.containers[*].image like nginx:*", true),
            (".spec.containers[1].image = busybox", true),
            (".spec.containers[*].image != busybox", false),
            (".metadata.labels['app.kubernetes.io/name'] = web", true),
            (".metadata.labels.app\\.kubernetes\\.io/name contains we", true),
            (".spec.containers[0].resources.limits.memory >= 60Mi", true),
            (".spec.nodeName missing", true),
            (".spec.nodeName = ", true),
            (".spec exists", true),
            ("{.status.conditions[?(@.type==\"Ready\")].status} = True", true),
        ] {
            assert_eq!(Condition::parse(text).unwrap().holds(&pod), holds, "{text}");
        }
        assert_eq!(Condition::parse(".spec.containers[*].image = x").unwrap().value(&pod), "nginx:1.27, busybox");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for text in ["", ".a", ".a ~ b", ".a >=", ".a exists b", ".a[ = 1", ".a[x] = 1", "..a = 1", ". = 1"] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_have_stars_only() {
        for (pattern, text, holds) in [
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*", "", true),
            ("a", "ab", false),
            ("*b*", "abc", true),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(like(pattern, text), holds, "{pattern} {text}");
        }
    }
}
