//! `kubottle lab new|check|build`: what an author of labs does on the command line.

use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use apimachinery::{Value, json, value, yaml};

type Failure = Box<dyn std::error::Error>;

/// Text files of a lab's folder, with their paths below it, sorted. What is no text is left out.
///
/// # Errors
/// A folder that can't be read.
pub fn files(folder: &Path) -> Result<Vec<(String, String)>, std::io::Error> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let below = path.strip_prefix(folder).unwrap_or(&path);
                found.push((below.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(folder: &Path) -> String {
    folder.canonicalize().ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned())).unwrap_or_default()
}

/// The name by which a page finds a lab: its folder's without the number in front.
fn short(folder: &str) -> &str {
    let rest = folder.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() < folder.len() { rest.trim_start_matches('-') } else { folder }
}

fn is_lab(folder: &Path) -> bool {
    folder.join("lab.yaml").is_file() || folder.join("index.json").is_file() && !folder.join("index.json").is_dir()
}

/// The folders of a path that are labs: itself, or those in it, in order.
fn labs_in(path: &Path) -> Result<Vec<std::path::PathBuf>, std::io::Error> {
    if path.join("lab.yaml").is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut all: Vec<_> =
        std::fs::read_dir(path)?.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir() && is_lab(p)).collect();
    all.sort();
    if all.is_empty() && is_lab(path) {
        all.push(path.to_path_buf());
    }
    match all.is_empty() {
        true => Err(std::io::Error::other("there is no lab in it: neither lab.yaml nor index.json, nor a folder with one")),
        false => Ok(all),
    }
}

/// What the page's catalogue reads: `index.json` of a folder of labs.
///
/// # Errors
/// A folder that can't be read, or a lab that has mistakes.
pub fn index(path: &Path) -> Result<String, Failure> {
    let mut list: Vec<Value> = Vec::new();
    for folder in labs_in(path)? {
        let files = files(&folder)?;
        let name = name_of(&folder);
        let lab = labs::read(&name, &files, "en").map_err(|e| format!("{name}: {e}"))?;
        if list.iter().any(|l| l.get("name").and_then(Value::as_str) == Some(short(&name))) {
            return Err(format!("{name}: another folder is called {} as well, but for its number", short(&name)).into());
        }
        let text = files.iter().find(|(p, _)| p == "lab.yaml").map(|(_, t)| t.as_str()).unwrap_or_default();
        let head = yaml::parse(text).map(|d| d.value).unwrap_or_default();
        let field = |key: &str| head.get(key).and_then(Value::as_str).unwrap_or_default().trim().to_string();
        let languages = labs::translation::languages(&files).into_iter().filter(|l| l != "en");
        let languages: Vec<Value> = languages.map(Value::from).collect();
        list.push(value!({
            "folder": (name.as_str()),
            "languages": languages,
            "minutes": (lab.minutes),
            "name": (short(&name)),
            "row": (field("row")),
            "steps": (lab.steps.len() as i64),
            "summary": (field("summary")),
            "title": (lab.title.as_str())
        }));
    }
    let lines: Vec<String> = list.iter().map(json::to_string).collect();
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// The command line after `kubottle lab`.
///
/// # Errors
/// One sentence, or all mistakes of the labs.
pub fn command(args: &[String]) -> Result<(), Failure> {
    const USAGE: &str = "Usage: kubottle lab new FOLDER | check FOLDER… | build FOLDER-OF-LABS";
    match args {
        [verb, folder] if verb == "new" => new(Path::new(folder)),
        [verb, folders @ ..] if verb == "check" && !folders.is_empty() => check(folders),
        [verb, folder] if verb == "build" => {
            let path = Path::new(folder);
            std::fs::write(path.join("index.json"), index(path).map_err(|e| format!("{folder}: {e}"))?)?;
            println!("{}", path.join("index.json").display());
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

/// Reads and proves labs; prints what is wrong with each.
fn check(folders: &[String]) -> Result<(), Failure> {
    let mut bad = 0;
    let mut booted: Vec<(String, cluster::Bottle)> = Vec::new();
    for argument in folders {
        for folder in labs_in(Path::new(argument)).map_err(|e| format!("{argument}: {e}"))? {
            let name = name_of(&folder);
            let files = files(&folder)?;
            let lab = match labs::read(&name, &files, "en") {
                Ok(lab) => Rc::new(lab),
                Err(mistakes) => {
                    bad += 1;
                    println!("{name}: FAILS\n{mistakes}");
                    continue;
                }
            };
            lab.warnings.iter().for_each(|w| println!("{name}: {w}"));
            let untranslated = labs::translation::check(&name, &files);
            let key = format!("{:?}", lab.recipe);
            if !booted.iter().any(|(k, _)| *k == key) {
                booted.push((key.clone(), labs::prove::booted(&lab.config)));
            }
            let Some((_, bottle)) = booted.iter().find(|(k, _)| *k == key) else { continue };
            let began = Instant::now();
            let mut problems: Vec<String> = untranslated.0.iter().map(ToString::to_string).collect();
            problems.extend(labs::prove::prove(&lab, bottle));
            let word = if problems.is_empty() { "proved" } else { "FAILS" };
            let steps = if lab.steps.len() == 1 { "step" } else { "steps" };
            println!("{name}: {word}, {} {steps}, {} ms", lab.steps.len(), began.elapsed().as_millis());
            problems.iter().for_each(|p| println!("  {p}"));
            bad += usize::from(!problems.is_empty());
        }
    }
    match bad {
        0 => Ok(()),
        1 => Err("1 lab is not as it should be".into()),
        bad => Err(format!("{bad} labs are not as they should be").into()),
    }
}

/// Writes a lab to begin with: it proves itself as it is.
fn new(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        return Err(format!("{} is there already", folder.display()).into());
    }
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("lab.yaml"), include_str!("lab-template.yaml"))?;
    std::fs::write(folder.join("lab.md"), include_str!("lab-template.md"))?;
    println!("{}: edit lab.md and lab.yaml, then: kubottle lab check {}", folder.display(), folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own below the system's, gone at the end.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let at = std::env::temp_dir().join(format!("kubottle-labs-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&at);
            std::fs::create_dir_all(&at).unwrap();
            Folder(at)
        }

        fn run(&self, verb: &str, inside: &str) -> Result<(), String> {
            let at = self.0.join(inside).to_string_lossy().into_owned();
            command(&[verb.to_string(), at]).map_err(|e| e.to_string())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_new_lab_proves_itself_and_is_listed() {
        let at = Folder::new("new");
        at.run("new", "10-mine").unwrap();
        assert!(at.run("new", "10-mine").unwrap_err().ends_with("is there already"));
        at.run("check", "10-mine").unwrap();
        let yaml = include_str!("lab-template.yaml").replace("One sentence for the list of labs.", ">-\n  Of two\n  lines.");
        std::fs::write(at.0.join("10-mine/lab.yaml"), yaml).unwrap();
        at.run("build", "").unwrap();
        let index = std::fs::read_to_string(at.0.join("index.json")).unwrap();
        assert!(index.contains(r#""name":"mine""#) && index.contains(r#""summary":"Of two lines.""#), "{index}");
        at.run("new", "20-mine").unwrap();
        assert!(at.run("build", "").unwrap_err().contains("20-mine: another folder is called mine as well"));
    }

    #[test]
    fn a_folder_without_labs_is_no_success() {
        let at = Folder::new("none");
        for verb in ["check", "build"] {
            let error = at.run(verb, "").unwrap_err();
            assert!(error.contains("there is no lab in it"), "{error}");
        }
        assert!(!at.0.join("index.json").exists());
    }
}
