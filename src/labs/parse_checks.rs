//! Checks, wrong turns and questions of `lab.yaml`.

use apimachinery::labels::Selector;

use crate::asked::Asked;
use crate::condition::{Condition, Path};
use crate::lab::{Check, Liveness, Question, Test, WrongTurn};
use crate::limits;
use crate::mistakes::{Node, Reader};
use crate::query::{Count, Query};
use crate::trial::{Try, What};

const QUERY: [&str; 5] = ["get", "namespace", "selector", "where", "count"];
const TRY: [&str; 4] = ["exit", "contains", "lacks", "prints"];

/// The check that a goal alone makes.
pub(crate) fn goal_check() -> Check {
    Check {
        want: "Everything is as the goal has it".into(),
        fail: "Something is still missing, see below.".into(),
        test: Test::Goal,
    }
}

/// A check: `want`, `fail`, and one way of knowing.
pub(crate) fn check(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Check> {
    let test = test(reader, node, &["want", "fail"])?;
    let mut want = node.get("want").map(|n| reader.line(&n)).unwrap_or_default();
    if let (Test::Question(_), Some(ask)) = (&test, node.get("ask")) {
        want = reader.line(&ask);
    }
    if want.is_empty() {
        match test {
            Test::Goal => want = goal_check().want,
            _ => reader.wrong(&node.path, "want is missing: what should hold, in the learner's words"),
        }
    }
    let fail = node.get("fail").map(|n| reader.line(&n)).unwrap_or_default();
    Some(Check { want, fail, test })
}

/// A wrong turn: `say`, a state, and how to get there (`try`).
pub(crate) fn wrong_turn(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<WrongTurn> {
    let test = test(reader, node, &["say", "try"])?;
    if matches!(test, Test::Try(_) | Test::Question(_) | Test::Goal) {
        reader.wrong(&node.path, "a wrong turn is known by get, component, machine or asked");
    }
    let say = node.get("say").map(|n| reader.line(&n)).unwrap_or_default();
    if say.is_empty() {
        reader.wrong(&node.path, "say is missing: what the learner is told");
    }
    Some(WrongTurn { say, test, provoke: crate::parse::deeds(reader, node.get("try")) })
}

/// A test that is answered at once, for `until`.
pub(crate) fn state_test(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Test> {
    let test = test(reader, node, &[])?;
    if !matches!(test, Test::Query(_) | Test::Component { .. } | Test::Machine { .. }) {
        reader.wrong(&node.path, "until waits for get, component or machine");
        return None;
    }
    Some(test)
}

fn test(reader: &mut Reader<'_>, node: &Node<'_>, common: &[&str]) -> Option<Test> {
    const KINDS: [&str; 9] = ["ask", "component", "machine", "asked", "run", "request", "exec", "goal", "get"];
    let Some(kind) = KINDS.into_iter().find(|k| node.value.get(k).is_some()) else {
        reader.wrong(&node.path, format!("one of these is missing: {}", KINDS.join(", ")));
        return None;
    };
    let own: Vec<&str> = match kind {
        "ask" => ["ask", "options", "answer", "answers", "path", "replies"].into_iter().chain(QUERY).collect(),
        "component" | "machine" => vec![kind, "is"],
        "asked" => vec!["asked"],
        "goal" => vec!["goal"],
        "run" => ["run"].into_iter().chain(TRY).collect(),
        "request" => ["request", "from", "namespace"].into_iter().chain(TRY).collect(),
        "exec" => ["exec", "pod", "namespace", "container"].into_iter().chain(TRY).collect(),
        _ => QUERY.to_vec(),
    };
    let allowed: Vec<&str> = own.into_iter().chain(common.iter().copied()).collect();
    reader.map(node, &allowed)?;
    let main = node.get(kind)?;
    match kind {
        "ask" => question(reader, node).map(Test::Question),
        "component" => {
            let state = match word(reader, node, "is").as_str() {
                "running" => Liveness::Up,
                "stopped" => Liveness::Stopped,
                "frozen" => Liveness::Frozen,
                _ => {
                    reader.wrong(&node.path, "is: must be running, stopped or frozen");
                    return None;
                }
            };
            Some(Test::Component { name: reader.line(&main), state })
        }
        "machine" => {
            // YAML reads a bare `on` and `off` as true and false.
            let on = match word(reader, node, "is").as_str() {
                "on" | "true" => true,
                "off" | "false" => false,
                _ => {
                    reader.wrong(&node.path, "is: must be on or off");
                    return None;
                }
            };
            Some(Test::Machine { name: reader.line(&main), on })
        }
        "asked" => {
            let text = reader.line(&main);
            Asked::parse(&text).map_err(|e| reader.wrong(&main.path, e)).ok().map(Test::Asked)
        }
        "goal" => Some(Test::Goal),
        "get" => query(reader, node).map(Test::Query),
        _ => Some(Test::Try(attempt(reader, node, kind))),
    }
}

fn word(reader: &mut Reader<'_>, node: &Node<'_>, name: &str) -> String {
    node.get(name).map(|n| reader.line(&n)).unwrap_or_default()
}

fn query(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Query> {
    let get = node.get("get")?;
    let text = reader.line(&get);
    let mut query = Query::new(&text).map_err(|e| reader.wrong(&get.path, e)).ok()?;
    match word(reader, node, "namespace").as_str() {
        "" => {}
        "*" => query.namespace = String::new(),
        other => query.namespace = other.into(),
    }
    if let Some(selector) = node.get("selector") {
        let text = reader.line(&selector);
        match Selector::parse(&text) {
            Ok(found) => query.selector = found,
            Err(e) => reader.wrong(&selector.path, e),
        }
    }
    for condition in lines(reader, node, "where") {
        match Condition::parse(&condition.1) {
            Ok(found) => query.conditions.push(found),
            Err(e) => reader.wrong(&condition.0, e),
        }
    }
    if let Some(count) = node.get("count") {
        match Count::parse(&reader.line(&count)) {
            Some(found) => query.count = found,
            None => reader.wrong(&count.path, "must be a number, \">=N\" or \"<=N\""),
        }
    }
    Some(query)
}

/// A text or a list of texts, each with its path.
fn lines(reader: &mut Reader<'_>, node: &Node<'_>, name: &str) -> Vec<(String, String)> {
    let Some(node) = node.get(name) else { return Vec::new() };
    if node.value.as_list().is_none() {
        return vec![(node.path.clone(), reader.line(&node))];
    }
    let items = reader.items(Some(node), limits::CHECKS);
    items.iter().map(|n| (n.path.clone(), reader.line(n))).collect()
}

fn texts(reader: &mut Reader<'_>, node: &Node<'_>, name: &str) -> Vec<String> {
    lines(reader, node, name).into_iter().map(|(_, text)| text).collect()
}

fn attempt(reader: &mut Reader<'_>, node: &Node<'_>, kind: &str) -> Try {
    let main = node.get(kind).map(|n| reader.text(&n)).unwrap_or_default();
    let namespace = Some(word(reader, node, "namespace")).filter(|n| !n.is_empty()).unwrap_or_else(|| "default".into());
    let plain = |n: &str| n.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !plain(&namespace) {
        reader.wrong(&node.path, "namespace: must be a namespace's name");
    }
    let what = match kind {
        "request" => {
            let from = Some(word(reader, node, "from")).filter(|f| !f.is_empty()).unwrap_or_else(|| "laptop".into());
            What::Request { from, namespace, url: main.trim().into() }
        }
        "exec" => {
            let pod = word(reader, node, "pod");
            if pod.is_empty() {
                reader.wrong(&node.path, "pod is missing: pod/NAME or a selector");
            }
            let container = node.get("container").map(|n| reader.line(&n));
            What::Exec { pod, namespace, container, command: main }
        }
        _ => What::Run(main),
    };
    let exit = match node.get("exit") {
        None => Some(0),
        Some(n) if n.value.as_str() == Some("failure") => None,
        Some(n) => Some(reader.number(&n, 255) as i32),
    };
    Try {
        what,
        exit,
        contains: texts(reader, node, "contains"),
        lacks: texts(reader, node, "lacks"),
        prints: node.get("prints").map(|n| reader.line(&n)),
    }
}

fn question(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Question> {
    let options = texts(reader, node, "options");
    if options.len() > limits::OPTIONS {
        reader.wrong(&node.path, format!("at most {} options", limits::OPTIONS));
    }
    if let Some((_, twice)) = options.iter().enumerate().find(|(i, o)| options[..*i].contains(o)) {
        reader.wrong(&node.path, format!("two options are called {twice:?}"));
    }
    let answers: Vec<String> = ["answer", "answers"].into_iter().flat_map(|name| texts(reader, node, name)).collect();
    let mut from = if node.get("get").is_some() { query(reader, node) } else { None };
    match (&mut from, node.get("path")) {
        (Some(from), Some(path)) => match Path::parse(&reader.line(&path)) {
            Ok(found) => from.path = Some(found),
            Err(e) => reader.wrong(&path.path, e),
        },
        (Some(_), None) => reader.wrong(&node.path, "path is missing: the field that holds the answer"),
        (None, Some(_)) => reader.wrong(&node.path, "get is missing: the object that has the path"),
        (None, None) => {}
    }
    if answers.is_empty() && from.is_none() {
        reader.wrong(&node.path, "answer is missing (or get and path)");
    }
    if let Some(odd) = answers.iter().find(|a| !options.is_empty() && !options.contains(a)) {
        reader.wrong(&node.path, format!("the answer {odd:?} is none of the options"));
    }
    let mut replies = Vec::new();
    if let Some(node) = node.get("replies") {
        for (answer, reply) in node.value.as_map().into_iter().flatten().take(limits::OPTIONS) {
            let reply = reader.line(&Node { value: reply, path: format!("{}.{answer}", node.path) });
            if !options.is_empty() && !options.iter().any(|o| **o == **answer) {
                reader.wrong(&node.path, format!("a reply to {answer:?}, which is none of the options"));
            }
            replies.push((answer.to_string(), reply));
        }
    }
    Some(Question { options, answers, from, replies })
}
