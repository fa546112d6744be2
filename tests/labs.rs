//! Every lab proves itself: it reads, each step fails at its start, each wrong turn gets its message, the solution passes.
//!
//! Labs of one configuration share one booted cluster, by clone. `KUBOTTLE_LAB=name` proves one lab.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

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
