//! The verbs: one file each, and the table that finds them.

mod annotate;
mod api_resources;
mod apply;
mod attach;
mod auth;
mod autoscale;
mod certificate;
mod cluster_info;
mod config;
mod cp;
mod create;
mod create_config;
mod create_rbac;
mod create_service;
mod create_workload;
mod debug;
mod delete;
mod describe;
mod diff;
mod drain;
mod edit;
mod events;
mod exec;
mod explain;
mod explain_custom;
mod expose;
mod get;
mod history;
pub(crate) mod kustomize;
mod last_applied;
mod logs;
mod patch;
mod port_forward;
mod prune;
mod replace;
mod rollout;
mod run;
mod scale;
mod set;
mod set_env;
mod taint;
mod top;
pub(crate) mod util;
mod version;
mod wait;

use std::rc::Rc;

use crate::ctx::{Ctx, Next, Res, Stage, fail};
use crate::grammar::{self, Parsed};
use crate::help;

pub(crate) use events::interval as event_interval;

type Run = fn(&mut Ctx) -> Res<Next>;

const VERBS: &[(&str, Run)] = &[
    ("annotate", annotate::annotate),
    ("api-resources", api_resources::api_resources),
    ("api-versions", api_resources::api_versions),
    ("apply", apply::run),
    ("apply edit-last-applied", last_applied::edit),
    ("apply set-last-applied", last_applied::set),
    ("apply view-last-applied", last_applied::view),
    ("attach", attach::run),
    ("auth can-i", auth::can_i),
    ("auth reconcile", auth::reconcile),
    ("auth whoami", auth::whoami),
    ("autoscale", autoscale::run),
    ("certificate approve", certificate::approve),
    ("certificate deny", certificate::deny),
    ("cluster-info", cluster_info::run),
    ("cluster-info dump", cluster_info::dump),
    ("config", config::run),
    ("cordon", drain::cordon),
    ("cp", cp::run),
    ("create", create::run),
    ("debug", debug::run),
    ("delete", delete::run),
    ("describe", describe::run),
    ("diff", diff::run),
    ("drain", drain::drain),
    ("edit", edit::run),
    ("events", events::run),
    ("exec", exec::run),
    ("explain", explain::run),
    ("expose", expose::run),
    ("get", get::run),
    ("kustomize", kustomize::run),
    ("label", annotate::label),
    ("logs", logs::run),
    ("options", help::options),
    ("patch", patch::run),
    ("port-forward", port_forward::run),
    ("replace", replace::run),
    ("rollout history", rollout::history),
    ("rollout pause", rollout::pause),
    ("rollout restart", rollout::restart),
    ("rollout resume", rollout::resume),
    ("rollout status", rollout::status),
    ("rollout undo", rollout::undo),
    ("run", run::run),
    ("scale", scale::run),
    ("set env", set_env::run),
    ("set image", set::image),
    ("set resources", set::resources),
    ("set selector", set::selector),
    ("set serviceaccount", set::serviceaccount),
    ("set subject", set::subject),
    ("taint", taint::run),
    ("top node", top::node),
    ("top pod", top::pod),
    ("uncordon", drain::uncordon),
    ("version", version::run),
    ("wait", wait::run),
];

/// The first stage: reads the command line and goes on with the verb.
pub(crate) fn start(argv: Vec<String>) -> Rc<dyn Stage> {
    Rc::new(move |ctx: &mut Ctx| {
        let parsed = grammar::parse(&argv);
        let flags = match parsed? {
            Parsed::Help(command) => {
                ctx.print(help::text(&command));
                return Ok(Next::Exit(0));
            }
            Parsed::Run(flags) => flags,
        };
        let command = flags.command;
        ctx.set_flags(flags);
        if ctx.flags.str("dry-run") == "unchanged" {
            let (_, month, day, hour, minute, second) = ctx.now.civil();
            ctx.eprintln(format!(
                "W{month:02}{day:02} {hour:02}:{minute:02}:{second:02}.000000       1 helpers.go:714] --dry-run is deprecated and can be replaced with --dry-run=client."
            ));
        }
        let top = command.split(' ').next().unwrap_or("");
        let verb = VERBS
            .iter()
            .find(|(path, _)| *path == command)
            .or_else(|| VERBS.iter().find(|(path, _)| matches!(top, "config" | "create") && *path == top));
        match verb {
            Some((_, run)) => Ok(Next::Then(Rc::new(*run))),
            None => fail(format!("kubectl {command} is not in this bottle")),
        }
    })
}
