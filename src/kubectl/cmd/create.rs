//! `kubectl create`: from files, and what the generators share. Models `kubectl/pkg/cmd/create/create.go`.

use std::rc::Rc;

use apimachinery::{Body, Object, Request, Value, Verb, json};

use super::util::with_last_applied;
use super::{create_config, create_rbac, create_service, create_workload, edit};
use crate::builder::Info;
use crate::ctx::{Ctx, Next, Res, Stop, done, each, fail, then};
use crate::docs::{self, Checks, Parsed};
use crate::error::{Error, aggregate};
use crate::mapper::Mapping;
use crate::printers::{DryRun, Output, Printer, go};

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let generator = match ctx.flags.command {
        "create" => return from_files(ctx),
        "create configmap" => create_config::configmap,
        "create secret generic" => create_config::generic,
        "create secret tls" => create_config::tls,
        "create secret docker-registry" => create_config::docker_registry,
        "create deployment" => create_workload::deployment,
        "create job" => create_workload::job,
        "create cronjob" => create_workload::cronjob,
        "create namespace" => create_workload::namespace,
        "create serviceaccount" => create_workload::serviceaccount,
        "create priorityclass" => create_workload::priorityclass,
        "create quota" => create_workload::quota,
        "create poddisruptionbudget" => create_workload::poddisruptionbudget,
        "create token" => create_rbac::token,
        "create role" => create_rbac::role,
        "create clusterrole" => create_rbac::clusterrole,
        "create rolebinding" => create_rbac::rolebinding,
        "create clusterrolebinding" => create_rbac::clusterrolebinding,
        "create ingress" => create_service::ingress,
        "create service clusterip" => create_service::clusterip,
        "create service nodeport" => create_service::nodeport,
        "create service loadbalancer" => create_service::loadbalancer,
        "create service externalname" => create_service::externalname,
        other => return fail(format!("kubectl {other} is not in this bottle")),
    };
    ctx.dry_run()?;
    generator(ctx)?;
    done()
}

/// The one NAME argument of a generator.
pub(super) fn name_arg(ctx: &Ctx) -> Res<String> {
    let before_dash = ctx.flags.dash.unwrap_or(ctx.flags.args.len());
    match &ctx.flags.args[..before_dash.min(ctx.flags.args.len())] {
        [name] => Ok(name.clone()),
        args => {
            let text = format!("exactly one NAME is required, got {}", args.len());
            Err(Error::Usage(text, ctx.flags.path()).into())
        }
    }
}

/// Sends a generated object (or only prints it) and prints what came of it. `failure` begins the error's text; with none the
/// server's error stands for itself.
pub(super) fn submit(ctx: &mut Ctx, mapping: Rc<Mapping>, object: Value, failure: Option<&str>) -> Res<Object> {
    let mut object = Object::from_value(object).unwrap_or_default();
    let explicit = ctx.flags.changed("namespace");
    if mapping.namespaced && (explicit || ctx.dry_run()? != DryRun::Client) {
        let namespace = ctx.namespace()?;
        // What is only printed names the namespace only if it was given.
        object.set_at(&["metadata", "namespace"], &namespace);
    }
    if ctx.flags.bool("save-config") {
        object = with_last_applied(&object);
    }
    if ctx.dry_run()? == DryRun::Client {
        print_made(ctx, &object)?;
        return Ok(object);
    }
    let info = Info::from_object(mapping, object, "");
    match ctx.create_object(&info, &info.object.clone()) {
        Ok(created) => {
            ctx.print_object(&created, "created")?;
            Ok(created)
        }
        Err(Stop::Err(error)) => Err(match failure {
            Some(prefix) => error.wrapped(prefix).into(),
            None => Stop::Err(error),
        }),
        Err(stop) => Err(stop),
    }
}

/// An object that was made here prints as Go's structs do.
fn print_made(ctx: &mut Ctx, object: &Object) -> Res<()> {
    match ctx.output(false)? {
        Output::Objects(Printer::Json) => {
            ctx.print(go::typed_json(object.value()) + "\n");
            Ok(())
        }
        _ => ctx.print_object(object, "created"),
    }
}

fn from_files(ctx: &mut Ctx) -> Res<Next> {
    let raw = ctx.flags.str("raw").to_string();
    if !raw.is_empty() {
        return create_raw(ctx, &raw);
    }
    if !ctx.has_files() {
        return fail("must specify one of -f and -k");
    }
    if let Some(word) = ctx.flags.args.first().filter(|_| !ctx.has_files()) {
        return fail(format!("unknown command {word:?} for \"kubectl create\""));
    }
    let checks = if ctx.validation()? == "Ignore" { Checks::Decode } else { Checks::Schema };
    let sources = Rc::new(ctx.sources()?);
    if checks == Checks::Schema {
        ctx.ask_for_validation()?;
    }
    then(move |_| {
        let parsed: Vec<Parsed> = sources.iter().flat_map(|source| docs::objects(source, checks)).collect();
        each(
            Rc::from(parsed),
            0usize,
            |ctx, parsed, count| {
                let info = ctx.info_of(parsed)?;
                let selector = ctx.flags.str("selector").to_string();
                if !selector.is_empty() {
                    let selector = apimachinery::labels::Selector::parse(&selector).map_err(Error::Plain)?;
                    if !selector.matches(info.object.labels()) {
                        return Ok(());
                    }
                }
                *count += 1;
                create_one(ctx, &info)
            },
            |_, count, errors| match aggregate(errors) {
                Some(error) => Err(error.into()),
                None if count == 0 => fail("no objects passed to create"),
                None => done(),
            },
        )
    })
}

fn create_one(ctx: &mut Ctx, info: &Info) -> Res<()> {
    let mut object = info.object.clone();
    if ctx.flags.bool("edit") {
        let value = edit::edit_text(ctx, &info.label(), object.value())?;
        object = Object::from_value(value).unwrap_or_default();
    }
    if ctx.flags.bool("save-config") {
        object = with_last_applied(&object);
    }
    if ctx.dry_run()? == DryRun::Client {
        return ctx.print_object(&object, "created");
    }
    match ctx.create_object(info, &object) {
        Ok(created) => ctx.print_object(&created, "created"),
        Err(Stop::Err(error)) => Err(error.from_source("creating", &info.source).into()),
        Err(stop) => Err(stop),
    }
}

/// POSTs a file to a path.
fn create_raw(ctx: &mut Ctx, path: &str) -> Res<Next> {
    if ctx.flags.list("filename").len() != 1 {
        return fail("--raw can only use a single local file or stdin");
    }
    let sources = ctx.sources()?;
    let Some(source) = sources.first() else { return fail("--raw can only use a single local file or stdin") };
    let body = match json::parse(source.text.as_bytes()).ok().and_then(Object::from_value) {
        Some(object) => Body::Object(object),
        None => Body::Bytes("application/json".into(), source.text.as_bytes().into()),
    };
    let request = Request { verb: Verb::OtherPath, path: path.into(), body, ..Request::default() };
    let response = ctx.send_ok(request)?;
    let text = super::util::raw_text(&response);
    ctx.print(text.trim_end_matches('\n').to_string() + "\n");
    done()
}
