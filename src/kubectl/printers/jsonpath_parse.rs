//! The parser of JSONPath templates. Models `client-go/util/jsonpath/parser.go`.

use apimachinery::Value;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Node>),
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Field(String),
    /// `[a:b:c]`; `[n]` is from `n`, one item.
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: Option<i64>,
        single: bool,
    },
    Filter {
        left: Vec<Step>,
        op: String,
        right: Vec<Step>,
    },
    Wildcard,
    Recursive,
    Union(Vec<Vec<Step>>),
    Literal(Value),
}

pub(crate) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut stack: Vec<(Vec<Step>, Vec<Node>)> = Vec::new();
    let mut nodes = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            nodes.push(Node::Text(rest[..open].to_string()));
        }
        let (inside, after) = action(&rest[open + 1..])?;
        rest = after;
        let trimmed = inside.trim();
        if trimmed == "end" {
            let Some((path, mut outer)) = stack.pop() else { return Err("not in range, nothing to end".into()) };
            std::mem::swap(&mut outer, &mut nodes);
            nodes.push(Node::Range(path, outer));
        } else if let Some(path) = trimmed.strip_prefix("range").filter(|p| p.starts_with([' ', '\t'])) {
            stack.push((steps(path.trim())?, std::mem::take(&mut nodes)));
        } else {
            nodes.push(Node::Path(steps(trimmed)?));
        }
    }
    if !rest.is_empty() {
        nodes.push(Node::Text(rest.to_string()));
    }
    // A range without its end runs to the end of the template.
    while let Some((path, mut outer)) = stack.pop() {
        std::mem::swap(&mut outer, &mut nodes);
        nodes.push(Node::Range(path, outer));
    }
    Ok(nodes)
}

/// Splits `…}` at the brace that closes the action, not those in strings.
fn action(text: &str) -> Result<(&str, &str), String> {
    let (mut quote, mut escaped, mut brackets) = (None, false, 0i32);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => brackets += 1,
            (None, ']') => brackets -= 1,
            (None, '}') if brackets <= 0 => return Ok((&text[..i], &text[i + 1..])),
            _ => {}
        }
    }
    Err(if brackets > 0 { "unterminated array".into() } else { "unclosed action".into() })
}

/// The steps of one action or of a side of a filter.
fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            ' ' | '\t' | '\n' => rest = &rest[1..],
            '@' | '$' => rest = &rest[1..],
            '.' if rest.starts_with("..") => {
                out.push(Step::Recursive);
                rest = &rest[2..];
                if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '\\') {
                    rest = field(rest, &mut out);
                }
            }
            '.' => {
                rest = &rest[1..];
                if let Some(after) = rest.strip_prefix('*') {
                    out.push(Step::Wildcard);
                    rest = after;
                } else if !rest.is_empty() && !rest.starts_with(['[', '.', ' ', '(']) {
                    rest = field(rest, &mut out);
                }
            }
            '*' => {
                out.push(Step::Wildcard);
                rest = &rest[1..];
            }
            '[' => {
                let end = bracket(rest)?;
                out.push(subscript(&rest[1..end])?);
                rest = &rest[end + 1..];
            }
            '"' | '\'' => {
                let end = closing_quote(rest, c).ok_or("unterminated quoted string")?;
                out.push(Step::Literal(unquote(&rest[1..end]).into()));
                rest = &rest[end + 1..];
            }
            '-' | '+' | '0'..='9' => {
                let end = rest[1..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest.len(), |i| i + 1);
                out.push(Step::Literal(number(&rest[..end])?));
                rest = &rest[end..];
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find([' ', '.', '[', ']', ')', '(']).unwrap_or(rest.len());
                match &rest[..end] {
                    "true" => out.push(Step::Literal(true.into())),
                    "false" => out.push(Step::Literal(false.into())),
                    word => return Err(format!("unrecognized identifier {word}")),
                }
                rest = &rest[end..];
            }
            c => return Err(format!("unrecognized character in action: U+{:04X} '{c}'", c as u32)),
        }
    }
    Ok(out)
}

/// A field name up to the next step; `\.` is a dot in it. Returns what follows.
fn field<'a>(text: &'a str, out: &mut Vec<Step>) -> &'a str {
    let (mut name, mut escaped) = (String::new(), false);
    for (i, c) in text.char_indices() {
        match c {
            c if escaped => {
                name.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' | '[' | ' ' | ')' | '(' | ',' | '{' | '}' | '@' | '\t' | '\n' => {
                out.push(Step::Field(name));
                return &text[i..];
            }
            c => name.push(c),
        }
    }
    out.push(Step::Field(name));
    ""
}

/// The position of the bracket that closes the first.
fn bracket(text: &str) -> Result<usize, String> {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return Ok(i);
                }
            }
            _ => {}
        }
    }
    Err("unterminated array".into())
}

fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(i, c)| {
        let closes = !escaped && c == quote;
        escaped = !escaped && c == '\\';
        closes.then_some(i)
    })
}

fn unquote(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

fn number(text: &str) -> Result<Value, String> {
    if let Ok(n) = text.parse::<i64>() {
        return Ok(n.into());
    }
    text.parse::<f64>().map(Value::Float).map_err(|_| format!("cannot parse number {text}"))
}

/// What is between brackets.
fn subscript(text: &str) -> Result<Step, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(Step::Wildcard);
    }
    if let Some(filter) = text.strip_prefix("?(") {
        let filter = filter.strip_suffix(')').ok_or("unterminated filter")?;
        return condition(filter);
    }
    let parts = split_outside_quotes(text);
    if parts.len() > 1 {
        let members = parts.iter().map(|part| subscript(part).map(|step| vec![step])).collect::<Result<Vec<_>, _>>()?;
        let flat = members.into_iter().map(|m| match m.into_iter().next() {
            Some(Step::Union(mut inner)) if inner.len() == 1 => inner.remove(0),
            Some(step) => vec![step],
            None => Vec::new(),
        });
        return Ok(Step::Union(flat.collect()));
    }
    let quoted = |q: char| text.len() >= 2 && text.starts_with(q) && text.ends_with(q);
    if quoted('\'') || quoted('"') {
        return Ok(Step::Union(vec![steps(&format!(".{}", &text[1..text.len() - 1]))?]));
    }
    let bounds: Vec<&str> = text.split(':').collect();
    let bound = |i: usize| -> Result<Option<i64>, String> {
        match bounds.get(i).map(|t| t.trim()) {
            None | Some("") => Ok(None),
            Some(t) => t.parse().map(Some).map_err(|_| format!("invalid array index {text}")),
        }
    };
    if bounds.len() > 3 || text.is_empty() {
        return Err(format!("invalid array index {text}"));
    }
    Ok(Step::Slice { from: bound(0)?, to: bound(1)?, step: bound(2)?, single: bounds.len() == 1 })
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ',') => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `left op right`, or a path that must exist.
fn condition(text: &str) -> Result<Step, String> {
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '=' | '!' | '<' | '>') => {
                let end = text[i..].find(|c| !"=!<>".contains(c)).map_or(text.len(), |n| i + n);
                let op = &text[i..end];
                if !matches!(op, "==" | "!=" | "<" | ">" | "<=" | ">=") {
                    return Err(format!("unrecognized operator {op}"));
                }
                return Ok(Step::Filter { left: steps(text[..i].trim())?, op: op.into(), right: steps(text[end..].trim())? });
            }
            _ => {}
        }
    }
    Ok(Step::Filter { left: steps(text.trim())?, op: "exists".into(), right: Vec::new() })
}
