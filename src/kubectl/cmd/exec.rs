//! `kubectl exec`. Models `kubectl/pkg/cmd/exec`.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Object, Request};

use super::util::object_key;
use crate::ctx::{Ctx, Event, Next, Res, fail, then};
use crate::error::Error;
use crate::{StreamFrame, StreamInput};

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let (mut args, dash) = (flags.args.clone(), flags.dash);
    if args.is_empty() || dash == Some(0) {
        return Err(Error::Usage("pod, type/name or --filename must be specified".into(), "kubectl exec".into()).into());
    }
    let target = args.remove(0);
    if dash.is_none() && !args.is_empty() {
        return fail("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' for help and examples".to_string());
    }
    if args.is_empty() {
        return Err(Error::Usage("you must specify at least one command for the container".into(), "kubectl exec".into()).into());
    }
    let pod = pod_of(ctx, &target)?;
    if let Some(phase @ ("Succeeded" | "Failed")) = pod.str_at(&["status", "phase"]) {
        return fail(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    let container = choose_container(ctx, &pod, flags.str("container"), flags.bool("quiet"))?;
    let stdin = flags.bool("stdin");
    let mut tty = flags.bool("tty");
    if tty && !(stdin && ctx.env.stdin_tty) {
        if stdin {
            ctx.eprintln("Unable to use a TTY - input is not a terminal or the right kind of file");
        } else {
            ctx.eprintln("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
        tty = false;
    }
    let mut query: Vec<(Rc<str>, Rc<str>)> = args.iter().map(|a| ("command".into(), a.as_str().into())).collect();
    query.push(("container".into(), container.as_str().into()));
    let stream = open(ctx, &pod, "exec", query, stdin, tty)?;
    pump(stream, tty)
}

/// The pod that `POD`, `pod/x` or `deployment/x` means.
pub(super) fn pod_of(ctx: &mut Ctx, target: &str) -> Res<Object> {
    Ok(named_and_pod_of(ctx, target)?.1)
}

/// What is named, and its pod.
pub(super) fn named_and_pod_of(ctx: &mut Ctx, target: &str) -> Res<(Object, Object)> {
    let namespace = ctx.namespace()?;
    let pods = apimachinery::resources::pods();
    let Some((kind, name)) = target.split_once('/') else {
        let pod = ctx.call(Request::get(pods, &object_key(&namespace, target)))?;
        return Ok((pod.clone(), pod));
    };
    let mapping = ctx.resource(kind)?;
    let object = ctx.fetch(&mapping, &namespace, &name.into(), "")?;
    if object.kind() == "Pod" {
        return Ok((object.clone(), object));
    }
    let selector = match object.kind() {
        "Service" | "ReplicationController" => object
            .map_at(&["spec", "selector"])
            .map(|m| m.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect::<Vec<_>>().join(","))
            .unwrap_or_default(),
        _ => apimachinery::labels::format_label_selector(object.at(&["spec", "selector"])),
    };
    if selector.is_empty() || selector == "<none>" {
        return fail(format!("cannot attach to {}: selector for {} not implemented", mapping.kind_group(), mapping.kind_group()));
    }
    let mut request = Request::list(pods, &namespace);
    request.options.label_selector = Some(selector.into());
    let mut found = ctx.list(request)?.items;
    // The best one: assigned, running, ready.
    found.order_by_key(|p| {
        (
            p.str_at(&["spec", "nodeName"]).is_none(),
            p.str_at(&["status", "phase"]) != Some("Running"),
            !p.condition_is_true("Ready"),
        )
    });
    match found.into_iter().next() {
        Some(pod) => Ok((object, pod)),
        None => fail("timed out waiting for the condition"),
    }
}

/// All containers: regular, init, ephemeral.
pub(super) fn containers(pod: &Object) -> Vec<String> {
    ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| pod.list_at(&["spec", list]).iter())
        .filter_map(|c| c.str_at(&["name"]).map(String::from))
        .collect()
}

/// The container asked for, or the default one (said aloud if there are several).
pub(super) fn choose_container(ctx: &mut Ctx, pod: &Object, asked: &str, quiet: bool) -> Res<String> {
    let all = containers(pod);
    if !asked.is_empty() {
        return match all.iter().any(|c| c == asked) {
            true => Ok(asked.into()),
            false => fail(format!("container {asked} is not valid for pod {} out of: {}", pod.name(), described(pod))),
        };
    }
    let annotated = pod.annotation("kubectl.kubernetes.io/default-container").filter(|name| all.iter().any(|c| c == name));
    let name = annotated.map(String::from).or_else(|| all.first().cloned()).unwrap_or_default();
    if all.len() > 1 && annotated.is_none() && !quiet {
        ctx.eprintln(format!("Defaulted container {name:?} out of: {}", described(pod)));
    }
    Ok(name)
}

/// `a, b (init), c (ephem)`
fn described(pod: &Object) -> String {
    let kinds = [("containers", ""), ("ephemeralContainers", " (ephem)"), ("initContainers", " (init)")];
    let names: Vec<String> = kinds
        .iter()
        .flat_map(|(list, mark)| {
            pod.list_at(&["spec", list]).iter().map(move |c| format!("{}{mark}", c.str_at(&["name"]).unwrap_or("")))
        })
        .collect();
    names.join(", ")
}

/// Opens an exec or attach stream.
pub(super) fn open(
    ctx: &mut Ctx,
    pod: &Object,
    subresource: &str,
    mut query: Vec<(Rc<str>, Rc<str>)>,
    stdin: bool,
    tty: bool,
) -> Res<u32> {
    let flag = |name: &str| (Rc::from(name), Rc::from("true"));
    if stdin {
        query.push(flag("stdin"));
    }
    query.push(flag("stdout"));
    match tty {
        true => query.push(flag("tty")),
        false => query.push(flag("stderr")),
    }
    let mut request = Request::get(apimachinery::resources::pods(), &pod.key()).with_subresource(subresource);
    request.options.query = query;
    let stream = match ctx.open(request) {
        Ok(stream) => stream,
        Err(crate::ctx::Stop::Err(error)) => {
            let text = error.text();
            return Err(match error.status().map(|s| s.reason.as_str()) {
                Some("InternalError") => Error::Plain(text),
                Some("BadRequest") if text.contains("container not found") => {
                    Error::Plain(format!("unable to upgrade connection: {text}"))
                }
                _ => *error,
            }
            .into());
        }
        Err(stop) => return Err(stop),
    };
    if stdin {
        ctx.open_stdin();
    }
    if tty {
        ctx.raw_terminal(true);
        let columns = ctx.env.columns.max(1) as u16;
        ctx.send(stream, StreamInput::Resize { columns, rows: 24 });
    }
    Ok(stream)
}

/// Carries bytes both ways until the command ends: one event a stage.
pub(super) fn pump(stream: u32, tty: bool) -> Res<Next> {
    then(move |ctx| match step(ctx, stream, tty)? {
        None => pump(stream, tty),
        Some(code) => Ok(Next::Exit(code)),
    })
}

/// One event of a stream; the exit status when it is over.
pub(super) fn step(ctx: &mut Ctx, stream: u32, tty: bool) -> Res<Option<i32>> {
    let (id, event) = ctx.next_event()?;
    match event {
        Event::Stdin(bytes) => ctx.send(stream, StreamInput::Stdin(bytes)),
        Event::StdinEof => ctx.send(stream, StreamInput::StdinEof),
        Event::Resize(columns, rows) => ctx.send(stream, StreamInput::Resize { columns, rows }),
        Event::Frame(frame) if id == stream => match frame {
            StreamFrame::Stdout(bytes) => ctx.print_bytes(&bytes),
            StreamFrame::Stderr(bytes) => ctx.eprint_bytes(&bytes),
            StreamFrame::ExitStatus(code) => {
                if tty {
                    ctx.raw_terminal(false);
                }
                if code != 0 {
                    ctx.eprintln(format!("command terminated with exit code {code}"));
                }
                return Ok(Some(code));
            }
            StreamFrame::Error(text) => {
                if tty {
                    ctx.raw_terminal(false);
                }
                ctx.eprintln(format!("error: {text}"));
                return Ok(Some(1));
            }
        },
        Event::End if id == stream => {
            if tty {
                ctx.raw_terminal(false);
            }
            return Ok(Some(0));
        }
        _ => {}
    }
    Ok(None)
}
