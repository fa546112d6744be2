//! `kubectl logs`. Models `kubectl/pkg/cmd/logs` and `polymorphichelpers/logsforobject.go`.

use std::rc::Rc;

use apimachinery::{Object, Request, ResponseBody};

use super::exec::choose_container;
use super::util::object_key;
use crate::StreamFrame;
use crate::ctx::{Ctx, Event, Next, Res, Stop, done, fail, then};
use crate::error::Error;

/// One container's log.
#[derive(Clone)]
struct Log {
    pod: Rc<str>,
    container: Rc<str>,
    request: Request,
}

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    check(ctx)?;
    let selector = flags.str("selector").to_string();
    let target = flags.args.first().cloned().unwrap_or_default();
    let pods = match selector.is_empty() {
        true => pods_of(ctx, &target)?,
        false => {
            let namespace = ctx.namespace()?;
            let mut request = Request::list(apimachinery::resources::pods(), &namespace);
            request.options.label_selector = Some(selector.as_str().into());
            ctx.list(request)?.items
        }
    };
    if pods.is_empty() {
        let namespace = ctx.namespace()?;
        ctx.eprintln(format!("No resources found in {namespace} namespace."));
        return done();
    }
    let mut logs = Vec::new();
    for pod in &pods {
        logs.extend(logs_of_pod(ctx, pod, flags.args.get(1).map(String::as_str), !selector.is_empty())?);
    }
    let limit = flags.int("max-log-requests").unwrap_or(5) as usize;
    if flags.bool("follow") && logs.len() > 1 {
        if logs.len() > limit {
            return fail(format!(
                "you are attempting to follow {} log streams, but maximum allowed concurrency is {limit}, use --max-log-requests to increase the limit",
                logs.len()
            ));
        }
        return open_all(logs.into(), 0, Rc::default());
    }
    one_by_one(logs.into(), 0)
}

fn check(ctx: &mut Ctx) -> Res<()> {
    let flags = ctx.flags.clone();
    let usage = |text: &str| Err(Error::Usage(text.into(), "kubectl logs".into()).into());
    match (flags.args.len(), flags.str("selector").is_empty()) {
        (0, true) => {
            return usage(
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command",
            );
        }
        (1 | 2, true) | (0, false) => {}
        (_, false) => return usage("only a selector (-l) or a POD name is allowed"),
        _ => {
            return usage(
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command",
            );
        }
    }
    if flags.changed("since") && !flags.str("since-time").is_empty() {
        return fail("at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    if flags.bool("all-containers") && !flags.str("container").is_empty() {
        return fail("--all-containers=true should not be specified with container name");
    }
    if flags.int("tail").unwrap_or(-1) < -1 {
        return fail("--tail must be greater than or equal to -1");
    }
    Ok(())
}

/// The pods whose log is meant: one, unless `--all-pods`.
fn pods_of(ctx: &mut Ctx, target: &str) -> Res<Vec<Object>> {
    let namespace = ctx.namespace()?;
    if !target.contains('/') {
        let found = ctx.call(Request::get(apimachinery::resources::pods(), &object_key(&namespace, target)));
        return match found {
            Ok(pod) => Ok(vec![pod]),
            Err(Stop::Err(error)) if error.is_not_found() => {
                fail(format!("error from server (NotFound): {} in namespace {:?}", error.text(), &*namespace))
            }
            Err(stop) => Err(stop),
        };
    }
    let pod = super::exec::pod_of(ctx, target)?;
    if !target.starts_with("po") {
        let owner = pod.controller_ref().and_then(|c| c.str_at(&["uid"]));
        let mut request = Request::list(apimachinery::resources::pods(), &namespace);
        request.options.label_selector = pod.label("pod-template-hash").map(|h| format!("pod-template-hash={h}").into());
        let all = ctx.list(request)?.items;
        let siblings: Vec<Object> =
            all.into_iter().filter(|p| owner.is_some() && p.controller_ref().and_then(|c| c.str_at(&["uid"])) == owner).collect();
        if ctx.flags.bool("all-pods") {
            return Ok(siblings);
        }
        if siblings.len() > 1 {
            ctx.eprintln(format!("Found {} pods, using pod/{}", siblings.len(), pod.name()));
        }
    }
    Ok(vec![pod])
}

fn logs_of_pod(ctx: &mut Ctx, pod: &Object, argument: Option<&str>, selected: bool) -> Res<Vec<Log>> {
    let flags = ctx.flags.clone();
    let asked = if flags.str("container").is_empty() { argument.unwrap_or("") } else { flags.str("container") };
    let containers: Vec<String> = match flags.bool("all-containers") {
        true => ["initContainers", "containers", "ephemeralContainers"]
            .iter()
            .flat_map(|list| pod.list_at(&["spec", list]).iter())
            .filter_map(|c| c.str_at(&["name"]).map(String::from))
            .collect(),
        false => vec![choose_container(ctx, pod, asked, false)?],
    };
    Ok(containers.into_iter().map(|container| log(ctx, pod, &container, selected)).collect())
}

fn log(ctx: &Ctx, pod: &Object, container: &str, selected: bool) -> Log {
    let flags = &ctx.flags;
    let mut request = Request::get(apimachinery::resources::pods(), &pod.key()).with_subresource("log");
    let query = &mut request.options.query;
    query.push(("container".into(), container.into()));
    for (flag, name) in [("follow", "follow"), ("previous", "previous"), ("timestamps", "timestamps")] {
        if flags.bool(flag) {
            query.push((name.into(), "true".into()));
        }
    }
    if let Some(n) = flags.int("limit-bytes").filter(|n| *n > 0) {
        query.push(("limitBytes".into(), n.to_string().into()));
    }
    if flags.changed("since") {
        query.push(("sinceSeconds".into(), flags.duration("since").as_secs().max(1).to_string().into()));
    }
    if !flags.str("since-time").is_empty() {
        query.push(("sinceTime".into(), flags.str("since-time").into()));
    }
    let tail = flags.int("tail").unwrap_or(-1);
    if tail >= 0 {
        query.push(("tailLines".into(), tail.to_string().into()));
    } else if selected && !flags.changed("tail") {
        query.push(("tailLines".into(), "10".into()));
    }
    Log { pod: pod.name().into(), container: container.into(), request }
}

fn prefix(ctx: &Ctx, log: &Log) -> String {
    if ctx.flags.bool("prefix") { format!("[pod/{}/{}] ", log.pod, log.container) } else { String::new() }
}

/// Puts the prefix before every line.
fn prefixed(text: &str, prefix: &str) -> String {
    if prefix.is_empty() {
        return text.into();
    }
    text.split_inclusive('\n').map(|line| format!("{prefix}{line}")).collect()
}

fn one_by_one(logs: Rc<[Log]>, at: usize) -> Res<Next> {
    then(move |ctx| {
        let Some(log) = logs.get(at) else { return done() };
        let (id, response) = ctx.send_request(log.request.clone())?;
        if !response.is_success() {
            let error = Error::Status(crate::error::ApiStatus::of(&response));
            if ctx.flags.bool("ignore-errors") {
                ctx.report(&error);
                return one_by_one(logs.clone(), at + 1);
            }
            return Err(error.into());
        }
        let prefix = prefix(ctx, log);
        match &response.body {
            ResponseBody::Text(_, text) => {
                ctx.print(prefixed(text, &prefix));
                one_by_one(logs.clone(), at + 1)
            }
            ResponseBody::StreamStarted => {
                let streams: Streams = Rc::new(vec![(id, prefix.as_str().into())]);
                follow(streams)
            }
            _ => one_by_one(logs.clone(), at + 1),
        }
    })
}

/// Open streams and what goes before their lines.
type Streams = Rc<Vec<(u32, Rc<str>)>>;

fn open_all(logs: Rc<[Log]>, at: usize, streams: Streams) -> Res<Next> {
    then(move |ctx| {
        let Some(log) = logs.get(at) else { return follow(streams.clone()) };
        let id = ctx.open(log.request.clone())?;
        let mut streams = streams.clone();
        let prefix = prefix(ctx, log);
        Rc::make_mut(&mut streams).push((id, prefix.as_str().into()));
        open_all(logs.clone(), at + 1, streams)
    })
}

fn follow(streams: Streams) -> Res<Next> {
    then(move |ctx| {
        if streams.is_empty() {
            return done();
        }
        let (id, event) = ctx.next_event()?;
        let mut streams = streams.clone();
        let prefix = streams.iter().find(|(s, _)| *s == id).map(|(_, p)| p.clone());
        match (prefix, event) {
            (Some(prefix), Event::Frame(StreamFrame::Stdout(bytes) | StreamFrame::Stderr(bytes))) => match prefix.is_empty() {
                true => ctx.print_bytes(&bytes),
                false => ctx.print(prefixed(&String::from_utf8_lossy(&bytes), &prefix)),
            },
            (Some(_), Event::Frame(StreamFrame::Error(text))) => return fail(text.to_string()),
            (Some(_), Event::End | Event::Frame(StreamFrame::ExitStatus(_))) => {
                Rc::make_mut(&mut streams).retain(|(s, _)| *s != id)
            }
            _ => {}
        }
        follow(streams)
    })
}
