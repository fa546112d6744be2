//! Simple JSON paths, as definitions use them for columns, scale and selectable fields: `.spec.list[0]`,
//! `.status.conditions[?(@.type=="Ready")].status`. Models what apiextensions-apiserver takes of `client-go/util/jsonpath`.
//!
//! Left out, and refused by name when a definition is written: slices, unions, `..`, scripts, comparisons other than `==` and `!=`.

use std::rc::Rc;

use apimachinery::{Value, json};

/// A path that can be followed.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(Rc<str>),
    Index(i64),
    All,
    /// The items whose value at a path is (or isn't) that.
    Filter(Vec<Step>, bool, Value),
}

impl JsonPath {
    /// The error says what is wrong or not in the bottle.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        if !text.starts_with('.') {
            return Err("must be a simple json path starting with .".into());
        }
        steps(text).map(JsonPath)
    }

    /// The values found, in order.
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        follow(&self.0, value)
    }
    pub fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.find(value).first().copied()
    }
    /// The names of a path that has nothing but names.
    pub fn names(&self) -> Option<Vec<&str>> {
        self.0.iter().map(|s| if let Step::Field(name) = s { Some(&**name) } else { None }).collect()
    }
}

fn follow<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    steps.iter().fold(vec![value], |found, step| found.into_iter().flat_map(|v| one(step, v)).collect())
}

fn one<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(i) => {
            let items = value.items();
            let at = if *i < 0 { items.len() as i64 + i } else { *i };
            usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
        }
        Step::All => match value {
            Value::Map(members) => members.iter().map(|(_, v)| v).collect(),
            other => other.items().iter().collect(),
        },
        Step::Filter(path, equal, wanted) => {
            let fits = |item: &&Value| (follow(path, item).first() == Some(&wanted)) == *equal;
            value.items().iter().filter(fits).collect()
        }
    }
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after).ok_or("unterminated array")?;
            out.push(bracket(after[..end].trim())?);
            rest = &after[end + 1..];
            continue;
        }
        let after = rest.strip_prefix('.').ok_or_else(|| format!("unrecognized character in action: {rest:?}"))?;
        let end = after.find(['.', '[']).unwrap_or(after.len());
        match &after[..end] {
            "" if after.starts_with('[') => {}
            "" if after.is_empty() && out.is_empty() => {}
            "" => return Err(left_out(text)),
            "*" => out.push(Step::All),
            name => out.push(Step::Field(name.replace('\\', "").as_str().into())),
        }
        rest = &after[end..];
    }
    Ok(out)
}

fn left_out(text: &str) -> String {
    format!("the path {text} is not in this bottle")
}

/// Where the bracket ends, past quotes and brackets inside.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(i),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Result<Step, String> {
    if inside == "*" {
        return Ok(Step::All);
    }
    if let Ok(index) = inside.parse() {
        return Ok(Step::Index(index));
    }
    if let Some(name) = quoted(inside) {
        return Ok(Step::Field(name.into()));
    }
    let filter = inside.strip_prefix("?(").and_then(|f| f.strip_suffix(')')).ok_or_else(|| left_out(inside))?;
    let (left, equal, right) = match (filter.split_once("=="), filter.split_once("!=")) {
        (Some((l, r)), _) => (l, true, r),
        (_, Some((l, r))) => (l, false, r),
        _ => return Err(left_out(inside)),
    };
    let path = left.trim().strip_prefix('@').ok_or_else(|| left_out(inside))?;
    let right = right.trim();
    let wanted = match quoted(right) {
        Some(text) => text.into(),
        None => json::parse(right.as_bytes()).map_err(|_| left_out(inside))?,
    };
    Ok(Step::Filter(steps(path)?, equal, wanted))
}

fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn paths_of_columns() {
        let v = value!({
            "spec": {"list": ["x", "y"], "odd.name": 1},
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]}
        });
        let check = |path: &str, found: &str| {
            let path = JsonPath::parse(path).unwrap();
            assert_eq!(format!("{:?}", path.find(&v)), found, "{path:?}");
        };
        check(".spec.list[0]", r#"["x"]"#);
        check(".spec.list[-1]", r#"["y"]"#);
        check(".spec.list[5]", "[]");
        check(".spec.list[*]", r#"["x", "y"]"#);
        check(".spec['odd.name']", "[1]");
        check(r#".status.conditions[?(@.type=="Ready")].status"#, r#"["True"]"#);
        check(".status.conditions[?(@.type!='A')].status", r#"["True"]"#);
        check(".none.at.all", "[]");
        for bad in ["spec", ".spec..x", ".spec[0:2]", ".spec[?(@.a<1)]", ".spec[", ".spec]"] {
            let parsed = JsonPath::parse(bad);
            assert!(parsed.is_err() || parsed.unwrap().find(&v).is_empty(), "{bad}");
        }
    }
}
