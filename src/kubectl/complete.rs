//! Tab completion: commands and flags from the grammar, resource types from what is known, names from the server.

use base::Sort as _;
use std::rc::Rc;

use crate::builder::Select;
use crate::ctx::{Ctx, Res, Stage, Stop, done};
use crate::grammar::{self, FlagDef, find, global_flags};
use crate::mapper::built_in_names;

/// A candidate for the word being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    pub word: String,
}

/// A command that prints the candidates for the last of `words`, one a line.
pub(crate) fn start(words: Vec<String>) -> Rc<dyn Stage> {
    Rc::new(move |ctx: &mut Ctx| {
        let candidates = candidates(ctx, &words)?;
        let none = candidates.is_empty();
        for candidate in candidates {
            ctx.println(candidate.word);
        }
        // Cobra's directive: where a thing of the cluster is meant, no file is offered instead.
        if none && !names_files(&words) {
            ctx.println(":4");
        }
        done()
    })
}

fn candidates(ctx: &mut Ctx, words: &[String]) -> Res<Vec<Completion>> {
    let Some((current, before)) = words.split_last() else { return Ok(Vec::new()) };
    let before = before.get(1..).unwrap_or(&[]);
    let (command, rest) = find(before);
    if let Ok(grammar::Parsed::Run(flags)) = grammar::parse(before) {
        ctx.set_flags(flags);
    }
    let mut flags: Vec<FlagDef> = command.local_flags();
    flags.extend(global_flags());
    let mut found: Vec<String> = Vec::new();
    if current.starts_with('-') {
        found.extend(flags.iter().filter(|f| !f.hidden).map(|f| format!("--{}", f.name)));
        return Ok(matching(found, current));
    }
    if let Some(value) = before.last().and_then(|w| flag_value(w, &flags)) {
        found = value_candidates(ctx, value, command.path, &positional(&rest, &flags))?;
        return Ok(matching(found, current));
    }
    let positional = positional(&rest, &flags);
    if positional.is_empty() {
        found.extend(command.children().iter().map(|c| c.name().to_string()));
    }
    found.extend(operands(ctx, command.path, &positional, current)?);
    Ok(matching(found, current))
}

/// Words that are neither flags nor their values; nothing behind `--`, where another program's command line begins.
fn positional<'a>(rest: &'a [String], flags: &[FlagDef]) -> Vec<&'a String> {
    let (mut words, mut value) = (Vec::new(), false);
    for word in rest.iter().take_while(|w| *w != "--") {
        match (value, word.starts_with('-')) {
            (false, false) => words.push(word),
            (false, true) => value = flag_value(word, flags).is_some(),
            (true, _) => value = false,
        }
    }
    words
}

/// Whether the word being typed may well be a file: a value of `-f` and its like, an operand of `cp`, or something in a container.
fn names_files(words: &[String]) -> bool {
    let Some((_, before)) = words.split_last() else { return true };
    let (command, _) = find(before.get(1..).unwrap_or(&[]));
    let file = |flag: &str| matches!(flag, "-f" | "-k") || flag.starts_with("--from-") || flag.ends_with("file");
    let flag = before.last().is_some_and(|w| file(w) || matches!(w.as_str(), "--filename" | "--kustomize" | "--kubeconfig"));
    flag || matches!(command.path, "cp" | "kustomize" | "apply" | "create" | "replace" | "diff")
        || before.iter().any(|w| w == "--")
}

/// The flag whose value is being typed.
fn flag_value<'a>(word: &str, flags: &'a [FlagDef]) -> Option<&'a FlagDef> {
    let takes = |f: &&FlagDef| f.bare.is_none();
    match word.strip_prefix("--") {
        Some(name) => flags.iter().filter(takes).find(|f| f.name == name),
        None => {
            let letter = word.strip_prefix('-').filter(|w| w.len() == 1)?.chars().next();
            flags.iter().filter(takes).find(|f| f.short == letter)
        }
    }
}

fn value_candidates(ctx: &mut Ctx, flag: &FlagDef, path: &str, positional: &[&String]) -> Res<Vec<String>> {
    let texts = |list: &[&str]| list.iter().map(|t| t.to_string()).collect();
    Ok(match flag.name {
        "namespace" => names(ctx, "namespaces")?,
        "output" => texts(&["json", "yaml", "wide", "name", "jsonpath=", "custom-columns=", "go-template="]),
        "dry-run" => texts(&["none", "client", "server"]),
        "cascade" => texts(&["background", "foreground", "orphan"]),
        "context" => {
            let file = ctx.kubeconfig()?;
            file.value.list_at(&["contexts"]).iter().filter_map(|c| c.str_at(&["name"]).map(String::from)).collect()
        }
        "container" if matches!(path, "logs" | "exec" | "attach" | "debug" | "cp") => match positional {
            [pod, ..] => containers(ctx, pod.trim_start_matches("pod/").trim_start_matches("pods/"))?,
            [] => Vec::new(),
        },
        _ => Vec::new(),
    })
}

fn operands(ctx: &mut Ctx, path: &str, positional: &[&String], current: &str) -> Res<Vec<String>> {
    let kind = match path {
        "logs" | "exec" | "attach" | "port-forward" | "debug" | "cp" | "top pod" => Some("pods"),
        "drain" | "cordon" | "uncordon" | "top node" => Some("nodes"),
        "certificate approve" | "certificate deny" => Some("certificatesigningrequests"),
        _ => None,
    };
    if let Some(kind) = kind {
        return match (positional, current.split_once('/')) {
            ([], Some((of, _))) => Ok(names(ctx, of)?.into_iter().map(|n| format!("{of}/{n}")).collect()),
            ([], None) => names(ctx, kind),
            _ => Ok(Vec::new()),
        };
    }
    if path == "taint" && positional.is_empty() {
        return Ok(vec!["nodes".into()]);
    }
    if path == "config use-context" {
        let file = ctx.kubeconfig()?;
        return Ok(file.value.list_at(&["contexts"]).iter().filter_map(|c| c.str_at(&["name"]).map(String::from)).collect());
    }
    let typed = matches!(
        path,
        "get"
            | "describe"
            | "delete"
            | "edit"
            | "label"
            | "annotate"
            | "scale"
            | "expose"
            | "patch"
            | "wait"
            | "autoscale"
            | "taint"
            | "explain"
    ) || path.starts_with("rollout ")
        || path.starts_with("set ");
    if !typed {
        return Ok(Vec::new());
    }
    if let Some((kind, _)) = current.split_once('/') {
        return Ok(names(ctx, kind)?.into_iter().map(|n| format!("{kind}/{n}")).collect());
    }
    match positional {
        [] => {
            let (done, _) = current.rsplit_once(',').map_or(("", current), |(d, c)| (d, c));
            let head = if done.is_empty() { String::new() } else { format!("{done},") };
            Ok(built_in_names()
                .iter()
                .map(|m| {
                    let name = if m.gvr.group.is_empty() { m.gvr.resource.to_string() } else { m.gvr.group_resource() };
                    format!("{head}{name}")
                })
                .collect())
        }
        [first, taken @ ..] if !first.contains('/') => {
            let all = names(ctx, first)?;
            Ok(all.into_iter().filter(|n| !taken.contains(&n)).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Names of a type's objects in the namespace of the command; none if they can't be had.
fn names(ctx: &mut Ctx, kind: &str) -> Res<Vec<String>> {
    let quiet = |result: Res<Vec<String>>| match result {
        Err(Stop::Err(_)) => Ok(Vec::new()),
        other => other,
    };
    let found = (|| {
        let mapping = ctx.resource(kind.split(',').next().unwrap_or(kind))?;
        let request = ctx.list_request(&Select::default(), &mapping)?;
        Ok(ctx.list(request)?.items.iter().map(|o| o.name().to_string()).collect())
    })();
    quiet(found)
}

/// The containers of a pod, those of its start first.
fn containers(ctx: &mut Ctx, pod: &str) -> Res<Vec<String>> {
    let found = (|| {
        let mapping = ctx.resource("pods")?;
        let request = ctx.list_request(&Select::default(), &mapping)?;
        Ok(ctx.list(request)?.items.iter().find(|o| o.name() == pod).map_or(Vec::new(), |pod| {
            let lists = ["initContainers", "containers"].iter().flat_map(|l| pod.list_at(&["spec", l]));
            lists.filter_map(|c| c.str_at(&["name"]).map(String::from)).collect()
        }))
    })();
    match found {
        Err(Stop::Err(_)) => Ok(Vec::new()),
        other => other,
    }
}

fn matching(found: Vec<String>, current: &str) -> Vec<Completion> {
    let mut found: Vec<String> = found.into_iter().filter(|w| w.starts_with(current)).collect();
    found.order();
    found.dedup();
    found.into_iter().map(|word| Completion { word }).collect()
}
