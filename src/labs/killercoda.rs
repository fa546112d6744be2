//! Killercoda's scenarios as they are: `index.json` with texts and scripts beside it.
//!
//! A verify script is a check: it runs on the laptop of a throwaway clone and has to end with 0. Background and foreground scripts
//! run on the laptop when their step begins. There is no solution in this form, so a step can't be solved by a click.
//!
//! Left out, and said in the lab's warnings: machines of other kinds than Kubernetes', assets' modes, `{{TRAFFIC_…}}` addresses,
//! and tools that the laptop doesn't have ([`MISSING`]).

use apimachinery::{Value, json};
use cluster::Recipe;

use crate::lab::{Check, Deed, Lab, Step, Test};
use crate::mistakes::Mistakes;
use crate::trial::{Try, What};
use crate::{Files, limits, markdown};

/// Tools that scripts like to use and that the laptop doesn't have.
pub const MISSING: [&str; 22] = [
    "apt",
    "apt-get",
    "docker",
    "podman",
    "nerdctl",
    "helm",
    "git",
    "python",
    "python3",
    "pip",
    "npm",
    "node",
    "go",
    "make",
    "systemctl",
    "journalctl",
    "service",
    "sudo",
    "yq",
    "openssl",
    "k9s",
    "istioctl",
];

/// The files that an index names.
pub(crate) fn wanted(index: &str) -> Vec<String> {
    let Ok(index) = json::parse(index.as_bytes()) else { return Vec::new() };
    let mut wanted: Vec<String> = Vec::new();
    let mut parts: Vec<&Value> = index.list_at(&["details", "steps"]).iter().take(limits::STEPS).collect();
    parts.extend(["intro", "finish"].iter().filter_map(|p| index.at(&["details", p])));
    for part in parts {
        wanted.extend(["text", "verify", "background", "foreground"].iter().filter_map(|f| part.str_at(&[f]).and_then(inside)));
    }
    wanted.extend(assets(&index).into_iter().map(|(file, _)| format!("assets/{file}")));
    wanted.sort();
    wanted.dedup();
    wanted.truncate(limits::FILES - 1);
    wanted
}

/// A path that stays in the folder.
fn inside(path: &str) -> Option<String> {
    let path = path.trim_start_matches("./");
    let bad = path.is_empty() || path.starts_with('/') || path.contains("..") || path.contains(':') || path.contains('\\');
    (!bad).then(|| path.to_string())
}

/// Files to put on the machine, and where.
fn assets(index: &Value) -> Vec<(String, String)> {
    let hosts = index.map_at(&["details", "assets"]).into_iter().flatten();
    let files = hosts.flat_map(|(_, list)| list.items());
    files
        .filter_map(|a| {
            let file = a.str_at(&["file"]).and_then(inside).filter(|f| !f.contains('*'))?;
            Some((file, a.str_at(&["target"]).unwrap_or("/root").to_string()))
        })
        .take(limits::DEEDS / 2)
        .collect()
}

/// Reads a scenario.
pub(crate) fn import(name: &str, files: &Files) -> Result<Lab, Mistakes> {
    let mut mistakes = Mistakes::default();
    let file = |path: &str| files.iter().find(|(p, _)| p == path).map(|(_, t)| t.as_str());
    let index = match json::parse(file("index.json").unwrap_or_default().as_bytes()) {
        Ok(index) => index,
        Err(e) => {
            mistakes.add("index.json", 0, format!("is no JSON: {e:?}"));
            return Err(mistakes);
        }
    };
    let list = index.list_at(&["details", "steps"]);
    if list.is_empty() || list.len() > limits::STEPS {
        mistakes.add("index.json", 0, format!("details.steps must have 1 to {} steps", limits::STEPS));
        return Err(mistakes);
    }
    let mut warnings = Vec::new();
    let mut need = |part: &Value, field: &str| -> Option<String> {
        let path = part.str_at(&[field])?;
        let text = inside(path).and_then(|p| file(&p));
        if text.is_none() {
            mistakes.add(
                "index.json",
                0,
                format!("{field}: the file {:?} is not there", path.chars().take(80).collect::<String>()),
            );
        }
        text.map(str::to_string)
    };
    let intro = index.at(&["details", "intro"]).cloned().unwrap_or_default();
    let finish = index.at(&["details", "finish"]).cloned().unwrap_or_default();
    let mut setup: Vec<Deed> = assets(&index)
        .into_iter()
        .filter_map(|(path, target)| {
            let text = file(&format!("assets/{path}"))?.to_string();
            let base = path.rsplit('/').next().unwrap_or(&path);
            Some(Deed::File { path: format!("{}/{base}", target.trim_end_matches('/').replace('~', "/root")), text })
        })
        .collect();
    setup.extend(scripts(&mut need, &intro, &mut warnings));
    let intro_text = need(&intro, "text").unwrap_or_default();
    let outro_text = need(&finish, "text").unwrap_or_default();
    let mut steps = Vec::new();
    for (i, part) in list.iter().enumerate() {
        let text = need(part, "text").unwrap_or_default();
        if text.contains("{{TRAFFIC_") {
            warnings.push(format!("step {}: addresses of Killercoda ({{{{TRAFFIC_…}}}}) lead nowhere here", i + 1));
        }
        let verify = need(part, "verify");
        if let Some(verify) = &verify {
            lacking(verify, &format!("step {}: its verify script", i + 1), &mut warnings);
        }
        let before = scripts(&mut need, part, &mut warnings);
        let title = part.str_at(&["title"]).map_or_else(|| format!("Step {}", i + 1), str::to_string);
        steps.push(Step { title, blocks: markdown::blocks(&text), before, checks: vec![check(verify)], ..Step::default() });
    }
    let title = index.str_at(&["title"]).unwrap_or(name).chars().take(limits::LINE).collect();
    let recipe = recipe(&index, &mut warnings);
    let config = recipe.config().expect("a demo without its second worker");
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    warnings.sort();
    warnings.dedup();
    Ok(Lab {
        name: name.into(),
        title,
        language: String::new(),
        languages: Vec::new(),
        minutes: 10,
        tour: false,
        config,
        recipe,
        speed: None,
        setup,
        intro: markdown::blocks(&intro_text),
        steps,
        outro: markdown::blocks(&outro_text),
        warnings,
    })
}

/// A step's verify script; without one the learner says when it is read.
fn check(verify: Option<String>) -> Check {
    match verify {
        Some(script) => {
            let what = What::Run(script.trim_start_matches('\u{feff}').to_string());
            let test = Test::Try(Try { what, exit: Some(0), ..Try::default() });
            Check { want: "The step's own script says that it is done".into(), fail: "Not yet: {value}".into(), test }
        }
        None => {
            let question =
                crate::lab::Question { options: vec!["Yes".into()], answers: vec!["Yes".into()], ..Default::default() };
            Check { want: "Have you read this step?".into(), fail: String::new(), test: Test::Question(question) }
        }
    }
}

fn scripts(need: &mut impl FnMut(&Value, &str) -> Option<String>, part: &Value, warnings: &mut Vec<String>) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for field in ["background", "foreground"] {
        if let Some(command) = need(part, field) {
            lacking(&command, &format!("the script {}", part.str_at(&[field]).unwrap_or(field)), warnings);
            deeds.push(Deed::Run { command, may_fail: true });
        }
    }
    deeds
}

/// Names the tools of a script that the laptop doesn't have.
fn lacking(script: &str, whose: &str, warnings: &mut Vec<String>) {
    let code = script.lines().map(|l| l.split(" #").next().unwrap_or(l).trim()).filter(|l| !l.starts_with('#'));
    let words = code.flat_map(|l| l.split(|c: char| c.is_whitespace() || "|;&()`$\"'".contains(c)));
    let mut missing: Vec<&str> = words.filter(|w| MISSING.contains(w)).collect();
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        warnings.push(format!("{whose} uses {}, which the bottle's laptop doesn't have", missing.join(", ")));
    }
}

fn recipe(index: &Value, warnings: &mut Vec<String>) -> Recipe {
    let image = index.str_at(&["backend", "imageid"]).unwrap_or("kubernetes-kubeadm-2nodes");
    if !image.starts_with("kubernetes") {
        let image: String = image.chars().take(60).collect();
        warnings.push(format!("made for the machine {image:?}; here there is the laptop of a Kubernetes cluster"));
    }
    if image.contains("1node") { Recipe::Yaml("base: demo\nworkers: 1\n".into()) } else { Recipe::Named("demo".into()) }
}
