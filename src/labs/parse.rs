//! `lab.yaml` and `lab.md` to a [`Lab`], strictly: an unknown field is a mistake with its line, and so is whatever could not work.

use apimachinery::{Object, Value, yaml};
use base::Duration;
use cluster::{Config, Recipe};
use protocol::{Lens, Speed};

use crate::lab::{Deed, Lab, Step};
use crate::markdown;
use crate::mistakes::{Mistakes, Node, Reader};
use crate::translation::{self, Translation};
use crate::{Files, limits};

const FIELDS: [&str; 10] = ["title", "minutes", "cluster", "speed", "setup", "steps", "row", "lens", "summary", "tour"];
const STEP: [&str; 8] = ["lens", "show", "before", "checks", "wrong", "hints", "goal", "solution"];

/// Reads a lab of our own form.
pub(crate) fn lab(name: &str, files: &Files, language: &str) -> Result<Lab, Mistakes> {
    let file = |path: &str| files.iter().find(|(p, _)| p == path).map(|(_, text)| text.as_str());
    let mut mistakes = Mistakes::default();
    let Some(text) = file("lab.yaml") else {
        mistakes.add("", 0, "there is no lab.yaml (and no index.json of Killercoda)");
        return Err(mistakes);
    };
    let language = translation::fitting(files, language);
    let prose_name = language.as_ref().map_or_else(|| "lab.md".into(), |l| format!("lab.{l}.md"));
    let prose = file(&prose_name).unwrap_or_default();
    let (head, prose) = if language.is_some() { translation::parts(prose) } else { ("", prose.to_string()) };
    if prose.trim().is_empty() {
        mistakes.add(&prose_name, 0, "is missing or empty");
        return Err(mistakes);
    }
    let document = match yaml::parse(text) {
        Ok(document) => document,
        Err(e) => {
            mistakes.add("lab.yaml", e.line, e.message);
            return Err(mistakes);
        }
    };
    let mut reader = Reader::new("lab.yaml", text);
    for duplicate in document.duplicates.iter().take(3) {
        // `line 4: key "k" already set in map`
        let place = duplicate.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
        let (line, text) = place.and_then(|(n, text)| Some((n.parse().ok()?, text))).unwrap_or((1, duplicate.as_str()));
        reader.mistakes.add("lab.yaml", line, text);
    }
    let mut translation = Translation::read(head, &prose_name, &mut reader.mistakes);
    let translated = translation.apply(&document.value);
    translation.tell_unused(head, &prose_name, &mut reader.mistakes);
    let root = Node { value: &translated, path: String::new() };
    let mut lab = of_root(&mut reader, &root);
    lab.name = name.into();
    lab.language = language.unwrap_or_else(|| "en".into());
    lab.languages = translation::languages(files);
    texts(&mut reader, &mut lab, &prose_name, &prose);
    match reader.mistakes.is_empty() {
        true => Ok(lab),
        false => Err(reader.mistakes.in_order()),
    }
}

fn of_root(reader: &mut Reader<'_>, root: &Node<'_>) -> Lab {
    reader.map(root, &FIELDS);
    let title = root.get("title").map(|n| reader.line(&n)).unwrap_or_default();
    if title.is_empty() {
        reader.wrong("title", "is missing");
    }
    let lens = root.get("lens").and_then(|n| lens(reader, &n));
    let tour = reader.flag(root.get("tour"));
    let steps: Vec<Step> = reader.items(root.get("steps"), limits::STEPS).iter().map(|n| step(reader, n, tour)).collect();
    if steps.is_empty() {
        reader.wrong("steps", "a lab has at least one step");
    }
    let mut steps = steps;
    steps.iter_mut().for_each(|s| s.lens = s.lens.or(lens));
    let (recipe, config) = config(reader, root.get("cluster"));
    Lab {
        name: String::new(),
        title,
        language: String::new(),
        languages: Vec::new(),
        minutes: root.get("minutes").map_or(5, |n| reader.number(&n, 600) as u32),
        tour,
        config,
        recipe,
        speed: root.get("speed").and_then(|n| speed(reader, &n)),
        setup: deeds(reader, root.get("setup")),
        intro: Vec::new(),
        steps,
        outro: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Puts the text beside the steps: one `## ` section a step, and perhaps one more at the end.
fn texts(reader: &mut Reader<'_>, lab: &mut Lab, name: &str, prose: &str) {
    let document = markdown::document(prose);
    lab.intro = document.intro;
    if !document.title.is_empty() && name != "lab.md" {
        lab.title = document.title;
    }
    let (sections, steps) = (document.sections.len(), lab.steps.len());
    if sections < steps || sections > steps + 1 {
        let last = document.sections.last().map_or(1, |s| s.line);
        let text = format!("has {sections} sections (## …) for {steps} steps of lab.yaml; one more at the end is allowed");
        reader.mistakes.add(name, last, text);
    }
    for (i, section) in document.sections.into_iter().enumerate() {
        match lab.steps.get_mut(i) {
            Some(step) => (step.title, step.blocks) = (section.title, section.blocks),
            None => lab.outro = section.blocks,
        }
    }
}

fn config(reader: &mut Reader<'_>, node: Option<Node<'_>>) -> (Recipe, Config) {
    let demo = || (Recipe::Named("demo".into()), Config::named("demo").expect("the demo is built in"));
    let Some(node) = node else { return demo() };
    let recipe = match node.value {
        Value::Str(name) => Recipe::Named(name.clone()),
        Value::Map(_) => Recipe::Yaml(yaml::to_string(node.value).into()),
        _ => {
            reader.wrong(&node.path, "must be a configuration's name, or a map");
            return demo();
        }
    };
    match recipe.config() {
        Ok(config) if config.nodes.len() > limits::NODES => {
            reader.wrong(&node.path, format!("a lab's cluster has at most {} nodes", limits::NODES));
            demo()
        }
        Ok(config) => (recipe, config),
        Err(text) => {
            reader.wrong(&node.path, text);
            demo()
        }
    }
}

fn speed(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Speed> {
    let text = reader.line(node);
    match text.as_str() {
        "auto" => Some(Speed::Auto),
        "max" => Some(Speed::Max),
        other => match other.trim_end_matches(['x', '×']).parse::<f64>() {
            Ok(times) if (0.001..=10_000.0).contains(&times) => Some(Speed::Milli((times * 1_000.0) as u32)),
            _ => {
                reader.wrong(&node.path, "must be auto, max, or a number of times real time");
                None
            }
        },
    }
}

fn lens(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Lens> {
    Some(match reader.line(node).as_str() {
        "architecture" => Lens::Architecture,
        "components" => Lens::Components,
        "control-plane" => Lens::ControlPlane,
        "service-network" => Lens::ServiceNetwork,
        "pod-creation" => Lens::PodCreation,
        _ => {
            reader.wrong(&node.path, "must be architecture, components, control-plane, service-network or pod-creation");
            return None;
        }
    })
}

fn step(reader: &mut Reader<'_>, node: &Node<'_>, tour: bool) -> Step {
    reader.map(node, &STEP);
    let goal = node.get("goal").map(|n| goal(reader, &n)).unwrap_or_default();
    let hints = reader.items(node.get("hints"), limits::CHECKS);
    let hints = hints.iter().map(|n| markdown::blocks(&reader.text(n))).collect();
    let listed = reader.items(node.get("checks"), limits::CHECKS);
    let mut checks: Vec<_> = listed.iter().filter_map(|n| crate::parse_checks::check(reader, n)).collect();
    if checks.is_empty() && !goal.is_empty() {
        checks.push(crate::parse_checks::goal_check());
    }
    if listed.is_empty() && checks.is_empty() && !tour {
        reader.wrong(&node.path, "a step has checks, or a goal");
    }
    let wrong = reader.items(node.get("wrong"), limits::CHECKS);
    Step {
        title: String::new(),
        blocks: Vec::new(),
        lens: node.get("lens").and_then(|n| lens(reader, &n)),
        show: node.get("show").map(|n| reader.line(&n)),
        before: deeds(reader, node.get("before")),
        wrong: wrong.iter().filter_map(|n| crate::parse_checks::wrong_turn(reader, n)).collect(),
        solution: deeds(reader, node.get("solution")),
        checks,
        hints,
        goal,
    }
}

fn goal(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Object> {
    let text = reader.text(node);
    let documents = match yaml::parse_all(&text) {
        Ok(documents) => documents,
        Err(e) => {
            reader.wrong(&node.path, format!("line {} of it: {}", e.line, e.message));
            return Vec::new();
        }
    };
    let mut objects = Vec::new();
    for (line, document) in documents.into_iter().take(limits::OBJECTS) {
        let object = Object::from_value(document.value).filter(|o| !o.kind().is_empty() && !o.name().is_empty());
        match object.filter(|o| apimachinery::schema::resource_for_kind(o.gvk()).is_some()) {
            Some(object) => objects.push(object),
            None => reader.wrong(&node.path, format!("line {line} of it: not an object of a built-in kind with a name")),
        }
    }
    objects
}

/// A list of deeds.
pub(crate) fn deeds(reader: &mut Reader<'_>, node: Option<Node<'_>>) -> Vec<Deed> {
    reader.items(node, limits::DEEDS).iter().filter_map(|n| deed(reader, n)).collect()
}

const DEEDS: [&str; 22] = [
    "run", "apply", "file", "answer", "powerOff", "powerOn", "cut", "mend", "isolate", "rejoin", "freeze", "thaw", "kill",
    "stop", "start", "addNode", "wait", "until", "mayFail", "text", "question", "seconds",
];

fn deed(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Deed> {
    reader.map(node, &DEEDS)?;
    let allowed: &[&str] = match () {
        () if node.get("run").is_some() => &["run", "mayFail"],
        () if node.get("file").is_some() => &["file", "text"],
        () if node.get("answer").is_some() => &["answer", "question"],
        () => &[],
    };
    let fields = node.value.as_map()?;
    let main = fields.keys().find(|k| allowed.first().is_none_or(|a| ***k == **a))?.to_string();
    if fields.len() > allowed.len().max(1) || fields.keys().any(|k| **k != *main && !allowed.contains(&&**k)) {
        reader.wrong(&node.path, format!("one deed an item: {main} and something else can't be together"));
        return None;
    }
    let value = node.get(&main)?;
    let pair = |reader: &mut Reader<'_>| {
        let names = reader.items(Some(value.clone()), 2);
        let names: Vec<String> = names.iter().map(|n| reader.line(n)).collect();
        match names.as_slice() {
            [a, b] => Some((a.clone(), b.clone())),
            _ => {
                reader.wrong(&value.path, "must be two names");
                None
            }
        }
    };
    Some(match main.as_str() {
        "run" => Deed::Run { command: reader.text(&value), may_fail: reader.flag(node.get("mayFail")) },
        "apply" => Deed::Apply(reader.text(&value)),
        "file" => {
            let text = node.get("text").map(|n| reader.text(&n)).unwrap_or_default();
            Deed::File { path: absolute(reader.line(&value)), text }
        }
        "answer" => {
            let question = node.get("question").map_or(0, |n| reader.number(&n, 20).saturating_sub(1) as usize);
            Deed::Answer { question, text: reader.line(&value) }
        }
        "powerOff" => Deed::PowerOff(reader.line(&value)),
        "powerOn" => Deed::PowerOn(reader.line(&value)),
        "cut" => pair(reader).map(|(a, b)| Deed::Cut(a, b))?,
        "mend" => pair(reader).map(|(a, b)| Deed::Mend(a, b))?,
        "isolate" => Deed::Isolate(reader.line(&value)),
        "rejoin" => Deed::Rejoin(reader.line(&value)),
        "freeze" => Deed::Freeze(reader.line(&value)),
        "thaw" => Deed::Thaw(reader.line(&value)),
        "kill" => Deed::Kill(reader.line(&value)),
        "stop" => Deed::Stop(reader.line(&value)),
        "start" => Deed::Start(reader.line(&value)),
        "addNode" => Deed::AddNode,
        "wait" => Deed::Wait(span(reader, &value)),
        "until" => Deed::Until(Box::new(crate::parse_checks::state_test(reader, &value)?)),
        other => {
            reader.wrong(&node.path, format!("{other} is no deed"));
            return None;
        }
    })
}

fn absolute(path: String) -> String {
    if path.starts_with('/') { path } else { format!("/root/{path}") }
}

/// `30s`, `5m`, a number of seconds.
fn span(reader: &mut Reader<'_>, node: &Node<'_>) -> Duration {
    let text = reader.line(node);
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60.0),
        None => (text.trim_end_matches('s'), 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|n| n * unit).filter(|s| *s >= 0.0 && *s <= limits::WAIT.as_secs_f64());
    match seconds {
        Some(seconds) => Duration::from_secs_f64(seconds),
        None => {
            reader.wrong(&node.path, format!("must be a time such as 30s or 5m, at most {} s", limits::WAIT.as_secs()));
            Duration::ZERO
        }
    }
}
