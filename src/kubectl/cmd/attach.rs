//! `kubectl attach`, and the attaching half of `kubectl run -i`. Models `kubectl/pkg/cmd/attach`.

use apimachinery::{Object, Request, Value, value};

use super::exec::{choose_container, open, pod_of, pump, step};
use super::util::delete_request;
use crate::builder::Info;
use crate::ctx::{Ctx, Next, Res, fail, then};
use crate::error::Error;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let [target] = flags.args.as_slice() else {
        return Err(Error::Usage("at least 1 argument is required for attach".into(), "kubectl attach".into()).into());
    };
    let pod = pod_of(ctx, target)?;
    if let Some(phase @ ("Succeeded" | "Failed")) = pod.str_at(&["status", "phase"]) {
        return fail(format!("cannot attach a container in a completed pod; current phase is {phase}"));
    }
    let container = choose_container(ctx, &pod, flags.str("container"), flags.bool("quiet"))?;
    let (stream, tty) = begin(ctx, &pod, &container)?;
    pump(stream, tty)
}

fn begin(ctx: &mut Ctx, pod: &Object, container: &str) -> Res<(u32, bool)> {
    let flags = ctx.flags.clone();
    let spec = pod.list_at(&["spec", "containers"]).iter().find(|c| c.str_at(&["name"]) == Some(container));
    let mut tty = flags.bool("tty") && ctx.env.stdin_tty;
    if flags.bool("tty") && !ctx.env.stdin_tty {
        ctx.eprintln("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    if tty && spec.is_some_and(|c| c.bool_at(&["tty"]) != Some(true)) {
        ctx.eprintln(format!("error: Unable to use a TTY - container {container} did not allocate one"));
        tty = false;
    }
    let stdin = flags.bool("stdin");
    if !flags.bool("quiet") {
        ctx.eprintln("All commands and output from this session will be recorded in container logs, including credentials and sensitive information passed through the command prompt.");
    }
    if stdin && !flags.bool("quiet") {
        ctx.eprintln("If you don't see a command prompt, try pressing enter.");
    }
    let stream = open(ctx, pod, "attach", vec![("container".into(), container.into())], stdin, tty)?;
    Ok((stream, tty))
}

/// Waits for the container of a pod that was just made, attaches, and reports how it ended.
pub(super) fn attach_to_new(info: Info, remove: bool) -> Res<Next> {
    then(move |ctx| {
        let watch = ctx.watch_one(&info.mapping, &info.namespace, &info.name)?;
        wait_for_start(info.clone(), remove, watch)
    })
}

fn wait_for_start(info: Info, remove: bool, watch: u32) -> Res<Next> {
    then(move |ctx| {
        let Some(event) = ctx.next_watch(watch)? else { return attach_to_new(info.clone(), remove) };
        let pod = event.object;
        let phase = pod.str_at(&["status", "phase"]).unwrap_or("").to_string();
        if matches!(phase.as_str(), "Succeeded" | "Failed") {
            ctx.cancel(watch);
            return log_instead(ctx, info.clone(), remove);
        }
        let running = pod.list_at(&["status", "containerStatuses"]).iter().any(|c| c.at(&["state", "running"]).is_some());
        if phase != "Running" || !running {
            return wait_for_start(info.clone(), remove, watch);
        }
        ctx.cancel(watch);
        let container = pod.list_at(&["spec", "containers"]).first().and_then(|c| c.str_at(&["name"])).unwrap_or("").to_string();
        let (stream, tty) = begin(ctx, &pod, &container)?;
        follow(info.clone(), remove, stream, tty)
    })
}

/// The container ended before it could be attached to: its log is what there is.
fn log_instead(ctx: &mut Ctx, info: Info, remove: bool) -> Res<Next> {
    let request = Request::get(info.mapping.gvr, &info.key()).with_subresource("log");
    let response = ctx.send_ok(request)?;
    let text = super::util::raw_text(&response);
    ctx.print(text);
    finish(info, remove)
}

fn follow(info: Info, remove: bool, stream: u32, tty: bool) -> Res<Next> {
    then(move |ctx| match step(ctx, stream, tty)? {
        None => follow(info.clone(), remove, stream, tty),
        Some(_) => finish(info.clone(), remove),
    })
}

/// With `--rm` deletes the pod; the exit status is the container's if it does not restart.
fn finish(info: Info, remove: bool) -> Res<Next> {
    then(move |ctx| {
        let never = ctx.flags.str("restart") == "Never";
        let mut code = 0;
        let mut reason = String::new();
        let tries = if never { 61 } else { 0 };
        for n in 1..=tries {
            let pod = ctx.fetch(&info.mapping, &info.namespace, &info.name, "")?;
            let ended =
                pod.list_at(&["status", "containerStatuses"]).iter().find_map(|c| c.at(&["state", "terminated"]).cloned());
            if let Some(ended) = ended {
                code = ended.int_at(&["exitCode"]).unwrap_or(0) as i32;
                reason = ended.str_at(&["reason"]).unwrap_or("").into();
                break;
            }
            if n < tries {
                ctx.sleep(base::Duration::from_millis(500))?;
            }
        }
        if remove {
            let options: Value = value!({"propagationPolicy": "Background"});
            ctx.call_if_found(delete_request(&info, options))?;
            if !ctx.flags.bool("quiet") {
                ctx.println(format!("pod {:?} deleted from {} namespace", &*info.name, info.namespace));
            }
        }
        if code != 0 {
            ctx.eprintln(format!("pod {}/{} terminated ({reason})", info.namespace, info.name));
        }
        Ok(Next::Exit(code))
    })
}

/// Attaches to the container of the flags once it runs (`debug -i`).
pub(super) fn run_when_started(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let name = flags.args.first().cloned().unwrap_or_default();
    let pod = pod_of(ctx, &name)?;
    let mapping = ctx.resource("pods")?;
    let info = Info::from_object(mapping, pod, "");
    let watch = ctx.watch_one(&info.mapping, &info.namespace, &info.name)?;
    let container = flags.str("container").to_string();
    until_running(watch, container)
}

fn until_running(watch: u32, container: String) -> Res<Next> {
    then(move |ctx| {
        let Some(event) = ctx.next_watch(watch)? else { return fail("the watch ended before the container started") };
        let lists = ["containerStatuses", "ephemeralContainerStatuses"];
        let state = lists
            .iter()
            .flat_map(|l| event.object.list_at(&["status", l]).iter())
            .find(|s| s.str_at(&["name"]) == Some(&container))
            .and_then(|s| s.get("state").cloned());
        match state {
            Some(state) if state.get("running").is_some() => {
                ctx.cancel(watch);
                let (stream, tty) = begin(ctx, &event.object, &container)?;
                pump(stream, tty)
            }
            Some(state) if state.get("terminated").is_some() => {
                ctx.cancel(watch);
                let mut request = Request::get(apimachinery::resources::pods(), &event.object.key()).with_subresource("log");
                request.options.query.push(("container".into(), container.as_str().into()));
                let response = ctx.send_ok(request)?;
                let text = super::util::raw_text(&response);
                ctx.print(text);
                Ok(Next::Exit(0))
            }
            _ => until_running(watch, container.clone()),
        }
    })
}
