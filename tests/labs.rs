//! Every lab proves itself: it reads, each step fails at its start, each wrong turn gets its message, the solution passes.
//!
//! Labs of one configuration share one booted cluster, by clone. `KUBOTTLE_LAB=name` proves one lab.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use apimachinery::{Value, yaml};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("static/labs")
}

/// The labs' folders, in order; of one name only if `KUBOTTLE_LAB` is set.
fn folders() -> Vec<PathBuf> {
    let only = std::env::var("KUBOTTLE_LAB").unwrap_or_default();
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    all.retain(|p| only.is_empty() || name(p).contains(&only));
    all.sort();
    all
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Proves one folder: its name, milliseconds, what is wrong.
fn prove(path: &Path, booted: &mut BTreeMap<String, cluster::Bottle>) -> (String, u128, Vec<String>) {
    let files = server::labs::files(path).unwrap();
    let lab = match labs::read(&name(path), &files, "en") {
        Ok(lab) => Rc::new(lab),
        Err(mistakes) => return (name(path), 0, mistakes.0.iter().map(ToString::to_string).collect()),
    };
    let bottle = booted.entry(format!("{:?}", lab.recipe)).or_insert_with(|| labs::prove::booted(&lab.config));
    let began = Instant::now();
    let mut problems: Vec<String> = labs::translation::check(&name(path), &files).0.iter().map(ToString::to_string).collect();
    problems.extend(labs::prove::prove(&lab, bottle));
    (name(path), began.elapsed().as_millis(), problems)
}

#[test]
fn every_lab_fails_at_the_start_and_passes_by_its_solution() {
    let folders = folders();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get()).min(folders.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let work = || {
                let mut booted = BTreeMap::new();
                while let Some(path) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let proved = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| prove(path, &mut booted)));
                    let result = proved.unwrap_or_else(|_| (name(path), 0, vec!["panicked somewhere".into()]));
                    println!("{:34} {:6} ms  {}", result.0, result.1, if result.2.is_empty() { "proved" } else { "FAILS" });
                    for problem in &result.2 {
                        println!("    {problem}");
                    }
                    results.lock().unwrap().push(result);
                }
            };
            std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, work).unwrap();
        }
    });
    let results = results.into_inner().unwrap();
    let slowest = results.iter().map(|r| r.1).max().unwrap_or(0);
    println!("{} labs, {} ms together, the slowest {slowest} ms", results.len(), results.iter().map(|r| r.1).sum::<u128>());
    let wrong: Vec<String> =
        results.iter().filter(|r| !r.2.is_empty()).map(|r| format!("{}:\n  {}", r.0, r.2.join("\n  "))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The list that the page reads is that of the folders. `UPDATE_EXPECT=1` writes it.
#[test]
fn the_index_lists_the_folders() {
    let index = server::labs::index(&folder()).unwrap();
    let path = folder().join("index.json");
    if std::env::var("UPDATE_EXPECT").is_ok_and(|v| v == "1") {
        std::fs::write(&path, &index).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(index == there, "static/labs/index.json is not that of the folders: run with UPDATE_EXPECT=1");
    assert!(index.matches("\"folder\"").count() >= 30, "there are at least thirty labs");
}

/// What a check or a wrong turn looks at, in the words of `lab.yaml`: the kind of look first.
fn looks_at(check: &Value) -> String {
    let text = |key: &str| match check.get(key) {
        Some(Value::Str(text)) => text.to_string(),
        Some(Value::List(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" and "),
        Some(Value::Bool(on)) => if *on { "on" } else { "off" }.into(),
        Some(Value::Int(number)) => number.to_string(),
        _ => String::new(),
    };
    let with = |keys: &[&str]| -> String {
        let told = keys.iter().filter(|k| check.get(k).is_some()).map(|k| format!(" {} {}", word(k), code(&text(k))));
        told.collect()
    };
    let object = ["where", "count", "selector", "namespace"];
    let output = ["contains", "lacks", "prints", "exit"];
    let main = |key: &str| code(&text(key));
    match ["ask", "component", "machine", "asked", "run", "request", "exec", "goal", "get"]
        .iter()
        .find(|k| check.get(k).is_some())
    {
        Some(&"ask") => {
            let asked = text("ask").split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            let held = with(&["path", "where"]);
            if check.get("get").is_some() {
                format!("the answer to “{asked}”, as {}{held} has it", main("get"))
            } else {
                format!("the answer to “{asked}”")
            }
        }
        Some(&key @ ("component" | "machine")) => format!("whether the {key} {} is {}", text(key), text("is")),
        Some(&"asked") => format!("the trace: the laptop has asked {}", main("asked")),
        Some(&"run") => format!("{} on the laptop{}", main("run"), with(&output)),
        Some(&"request") => format!("a request to {}{}", main("request"), with(&["from", "contains", "lacks", "prints", "exit"])),
        Some(&"exec") => format!("{} in {}{}", main("exec"), main("pod"), with(&output)),
        Some(&"goal") => "all fields that the goal's manifests name".into(),
        _ => format!("{}{}", main("get"), with(&object)),
    }
}

fn word(key: &str) -> &str {
    match key {
        "selector" => "with",
        "namespace" => "in",
        "path" => "at",
        other => other,
    }
}

/// As code in a cell of a table.
fn code(text: &str) -> String {
    format!("`{}`", text.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "'").replace('|', "\\|"))
}

fn row_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path.join("lab.yaml")).unwrap();
    let lab = yaml::parse(&text).unwrap().value;
    let said = |key: &str| lab.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let steps = lab.get("steps").map(Value::items).unwrap_or_default().iter().enumerate().map(|(i, step)| {
        let checks = step.get("checks").map(Value::items).unwrap_or_default();
        let mut looks: Vec<String> = checks.iter().map(looks_at).collect();
        looks.dedup();
        let nothing = if step.get("goal").is_some() { "all fields that the goal's manifests name" } else { "nothing: a caption" };
        format!("{}. {}", i + 1, if looks.is_empty() { nothing.into() } else { looks.join("; ") })
    });
    let steps: Vec<String> = steps.collect();
    let row = Some(said("row")).filter(|row| !row.is_empty()).unwrap_or_else(|| "a failure story".into());
    let name = name(path);
    format!("| {row} | [{name}](../static/labs/{name}) {} | {} |\n", said("title").replace('|', "\\|"), steps.join("<br>"))
}

/// The table of the documentation is that of the labs. `UPDATE_EXPECT=1` writes it.
#[test]
fn the_table_says_what_each_lab_looks_at() {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    all.sort();
    let rows: String = all.iter().map(|p| row_of(p)).collect();
    let table = format!(
        "# What the labs look at\n\nRow of an introduction to Kubernetes, lab, and for each of its steps what its checks look at, in the words of its `lab.yaml` \
         ([labs.md](labs.md) explains them). Whatever leads there passes. Written by `UPDATE_EXPECT=1 cargo test --test labs`.\n\n\
         | row | lab | what its checks look at |\n| --- | --- | --- |\n{rows}"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lab-checks.md");
    if std::env::var("UPDATE_EXPECT").is_ok_and(|v| v == "1") {
        std::fs::write(&path, &table).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(table == there, "docs/lab-checks.md is not what the labs say: run with UPDATE_EXPECT=1");
}
