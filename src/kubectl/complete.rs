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
        for candidate in candidates {
            ctx.println(candidate.word);
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
        found = value_candidates(ctx, value)?;
        return Ok(matching(found, current));
    }
    let positional: Vec<&String> = rest.iter().filter(|w| !w.starts_with('-')).collect();
    if positional.is_empty() {
        found.extend(command.children().iter().map(|c| c.name().to_string()));
    }
    found.extend(operands(ctx, command.path, &positional, current)?);
    Ok(matching(found, current))
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

fn value_candidates(ctx: &mut Ctx, flag: &FlagDef) -> Res<Vec<String>> {
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
        _ => Vec::new(),
    })
}

fn operands(ctx: &mut Ctx, path: &str, positional: &[&String], current: &str) -> Res<Vec<String>> {
    let pods = matches!(path, "logs" | "exec" | "attach" | "port-forward" | "debug" | "cp");
    let nodes = matches!(path, "drain" | "cordon" | "uncordon");
    if pods || nodes {
        return if positional.is_empty() { names(ctx, if pods { "pods" } else { "nodes" }) } else { Ok(Vec::new()) };
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

fn matching(found: Vec<String>, current: &str) -> Vec<Completion> {
    let mut found: Vec<String> = found.into_iter().filter(|w| w.starts_with(current)).collect();
    found.order();
    found.dedup();
    found.into_iter().map(|word| Completion { word }).collect()
}
