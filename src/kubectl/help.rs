//! `--help`, in our own words: what a command does, its usage and its flags.

use crate::ctx::{Ctx, Next, Res, done};
use crate::grammar::{CommandDef, FlagDef, Kind, commands, global_flags};
use base::Sort as _;

/// One line on what a command does.
fn about(path: &str) -> &'static str {
    match path {
        "" => "kubectl talks to the API server of a Kubernetes cluster.",
        "create" => "Create objects from files, or make one of a kind by flags",
        "expose" => "Make a Service for pods, a workload or another Service",
        "run" => "Run an image in a new pod",
        "set" => "Change one thing of an object",
        "explain" => "Show the fields of a kind",
        "get" => "List objects, or show some by name",
        "edit" => "Open an object in an editor and save what changed",
        "delete" => "Delete objects by file, name or selector",
        "rollout" => "Follow, pause, restart or undo the rollout of a workload",
        "scale" => "Set the number of replicas",
        "autoscale" => "Make an autoscaler for a workload",
        "certificate" => "Approve or deny certificate signing requests",
        "cluster-info" => "Say where the control plane is",
        "top" => "Show resource usage (needs the metrics API)",
        "cordon" => "Keep new pods off a node",
        "uncordon" => "Let new pods onto a node again",
        "drain" => "Evict the pods of a node for maintenance",
        "taint" => "Add or remove taints of nodes",
        "describe" => "Show objects in detail, with their events",
        "logs" => "Print what a container has written",
        "attach" => "Connect to a running container's first process",
        "exec" => "Run a command in a container",
        "port-forward" => "Forward local ports to a pod",
        "cp" => "Copy files to and from containers",
        "auth" => "Ask about permissions",
        "debug" => "Add a container to a pod, or copy it, to look into it",
        "events" => "List events",
        "diff" => "Show what apply would change",
        "apply" => "Bring objects to the state that files describe",
        "patch" => "Change fields of an object by a patch",
        "replace" => "Replace objects by those in files",
        "wait" => "Wait for a condition of objects",
        "kustomize" => "Print what a kustomization builds",
        "label" => "Set or remove labels",
        "annotate" => "Set or remove annotations",
        "api-resources" => "List the resources that the server offers",
        "api-versions" => "List the API versions that the server offers",
        "config" => "Show and change the kubeconfig",
        "version" => "Print the versions of client and server",
        "options" => "List the flags that every command takes",
        _ => "",
    }
}

pub(crate) fn text(command: &CommandDef) -> String {
    let mut out = String::new();
    let line = about(command.path);
    if !line.is_empty() {
        out.push_str(&format!("{line}{}\n\n", if line.ends_with('.') { "" } else { "." }));
    }
    if !command.aliases.is_empty() {
        out.push_str(&format!("Aliases:\n  {}, {}\n\n", command.name(), command.aliases.replace(',', ", ")));
    }
    let children = command.children();
    if !children.is_empty() {
        out.push_str("Available Commands:\n");
        let width = children.iter().map(|c| c.name().len()).max().unwrap_or(0) + 3;
        for child in children {
            out.push_str(format!("  {:width$}{}", child.name(), about(child.path)).trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
    let flags: Vec<FlagDef> = if command.path.is_empty() { Vec::new() } else { command.local_flags() };
    if flags.iter().any(|f| !f.hidden) {
        out.push_str("Options:\n");
        flags.iter().filter(|f| !f.hidden).for_each(|f| out.push_str(&flag(f)));
        out.push('\n');
    }
    let tail = if flags.is_empty() { "" } else { " [options]" };
    out.push_str(&format!("Usage:\n  {}{tail}\n\n", command.full()));
    if commands().any(|c| c.parent() == command.path) {
        out.push_str(&format!("Use \"{} <command> --help\" for more information about a given command.\n", command.full()));
    }
    out.push_str("Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n");
    out
}

fn flag(f: &FlagDef) -> String {
    let short = f.short.map_or("    ".to_string(), |s| format!("-{s}, "));
    let default = match f.kind {
        Kind::Bool | Kind::Tristate => if f.default.is_empty() { "false" } else { f.default }.to_string(),
        Kind::Int => if f.default.is_empty() { "0" } else { f.default }.to_string(),
        Kind::Duration => if f.default.is_empty() { "0s" } else { f.default }.to_string(),
        Kind::Slice | Kind::Array | Kind::Pairs => format!("[{}]", f.default),
        Kind::Str => format!("'{}'", f.default),
    };
    let required = if f.required { " (required)" } else { "" };
    format!("    {short}--{}={default}{required}\n", f.name)
}

pub(crate) fn options(ctx: &mut Ctx) -> Res<Next> {
    let mut out = "The following options can be passed to any command:\n\n".to_string();
    let mut flags = global_flags();
    flags.order_by_key(|f| f.name);
    flags.iter().for_each(|f| out.push_str(&flag(f)));
    ctx.print(out);
    done()
}
