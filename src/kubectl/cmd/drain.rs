//! `kubectl cordon`, `uncordon`, `drain`. Models `kubectl/pkg/cmd/drain` and `pkg/drain`.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Object, PatchType, Request, Value, Verb, resources, value};

use super::util::delete_request;
use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Next, Res, Stop, body, done, fail};
use crate::error::{Error, aggregate};
use crate::printers::DryRun;

pub(super) fn cordon(ctx: &mut Ctx) -> Res<Next> {
    let nodes = nodes(ctx)?;
    mark(ctx, &nodes, true)?;
    done()
}
pub(super) fn uncordon(ctx: &mut Ctx) -> Res<Next> {
    let nodes = nodes(ctx)?;
    mark(ctx, &nodes, false)?;
    done()
}

fn nodes(ctx: &mut Ctx) -> Res<Vec<Info>> {
    let flags = ctx.flags.clone();
    if flags.args.is_empty() && flags.str("selector").is_empty() {
        return Err(Error::Usage(format!("USAGE: {} [flags]", flags.verb()), flags.path()).into());
    }
    if !flags.args.is_empty() && !flags.str("selector").is_empty() {
        return fail("error: cannot specify both a node name and a --selector option");
    }
    let mut args: Vec<String> = Vec::new();
    if flags.args.iter().any(|a| a.contains('/')) {
        args.extend(flags.args.iter().map(|a| if a.contains('/') { a.clone() } else { format!("node/{a}") }));
    } else {
        args.push("nodes".into());
        args.extend(flags.args.iter().cloned());
    }
    let (infos, errors) = ctx.infos_and_errors(&Select { args, all_namespaces: false, ..Select::of(ctx) })?;
    match aggregate(errors) {
        Some(error) => Err(error.into()),
        None => Ok(infos),
    }
}

fn mark(ctx: &mut Ctx, nodes: &[Info], unschedulable: bool) -> Res<()> {
    let word = if unschedulable { "cordoned" } else { "uncordoned" };
    for node in nodes {
        let now = node.object.bool_at(&["spec", "unschedulable"]).unwrap_or(false);
        if now == unschedulable {
            ctx.print_object(&node.object, &format!("already {word}"))?;
            continue;
        }
        let mut object = node.object.clone();
        if ctx.dry_run()? != DryRun::Client {
            let to: Value = if unschedulable { true.into() } else { Value::Null };
            let mut patch = value!({"spec": {}});
            patch.set_at(&["spec", "unschedulable"], to);
            object = ctx.patch_object(node, PatchType::StrategicMerge, patch, "")?;
        }
        ctx.print_object(&object, word)?;
    }
    Ok(())
}

pub(super) fn drain(ctx: &mut Ctx) -> Res<Next> {
    let nodes = nodes(ctx)?;
    mark(ctx, &nodes, true)?;
    let mut failures: Vec<Error> = Vec::new();
    let mut pending: Vec<Rc<str>> = Vec::new();
    for node in &nodes {
        match drain_node(ctx, node) {
            Ok(()) => ctx.print_object(&node.object, "drained")?,
            Err(Stop::Err(error)) => {
                ctx.eprintln(format!(
                    "error: unable to drain node \"{}\" due to error: {}, continuing command...",
                    node.name,
                    error.text()
                ));
                pending.push(node.name.clone());
                failures.push(*error);
            }
            Err(stop) => return Err(stop),
        }
    }
    if failures.is_empty() {
        return done();
    }
    ctx.eprintln("There are pending nodes to be drained:");
    for name in &pending {
        ctx.eprintln(format!(" {name}"));
    }
    let texts: Vec<String> = failures.iter().flat_map(flat).collect();
    for text in texts {
        ctx.eprintln(text);
    }
    Ok(Next::Exit(1))
}

fn flat(error: &Error) -> Vec<String> {
    match error {
        Error::Many(errors) => errors.iter().flat_map(flat).collect(),
        other => vec![other.text()],
    }
}

fn pod_name(pod: &Object) -> String {
    format!("{}/{}", pod.namespace(), pod.name())
}

fn drain_node(ctx: &mut Ctx, node: &Info) -> Res<()> {
    let flags = ctx.flags.clone();
    let mut request = Request::list(resources::pods(), "");
    request.options.field_selector = Some(format!("spec.nodeName={}", node.name).into());
    request.options.limit = 500;
    if !flags.str("pod-selector").is_empty() {
        request.options.label_selector = Some(flags.str("pod-selector").into());
    }
    let pods = ctx.list(request)?.items;
    let (mut doomed, mut problems, mut notes): (Vec<Object>, Vec<(&str, String)>, Vec<(&str, String)>) = Default::default();
    for pod in &pods {
        if pod.annotation("kubernetes.io/config.mirror").is_some() {
            continue;
        }
        let finished = matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed"));
        let controller = pod.controller_ref();
        let is_daemon = controller.is_some_and(|c| c.str_at(&["kind"]) == Some("DaemonSet"));
        if is_daemon && !finished {
            match flags.bool("ignore-daemonsets") {
                true => notes.push(("ignoring DaemonSet-managed Pods", pod_name(pod))),
                false => {
                    problems.push(("cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)", pod_name(pod)))
                }
            }
            continue;
        }
        let local = pod.list_at(&["spec", "volumes"]).iter().any(|v| v.get("emptyDir").is_some());
        if local && !finished && !flags.bool("delete-emptydir-data") {
            problems.push(("cannot delete Pods with local storage (use --delete-emptydir-data to override)", pod_name(pod)));
            continue;
        }
        if controller.is_none() && !finished {
            match flags.bool("force") {
                true => notes.push(("deleting Pods that declare no controller", pod_name(pod))),
                false => {
                    problems.push(("cannot delete Pods that declare no controller (use --force to override)", pod_name(pod)));
                    continue;
                }
            }
        }
        doomed.push(pod.clone());
    }
    if !problems.is_empty() {
        let errors: Vec<Error> = grouped(&problems).into_iter().map(Error::Plain).collect();
        return Err(aggregate(errors).unwrap_or(Error::Plain(String::new())).into());
    }
    if !notes.is_empty() {
        ctx.warn(&grouped(&notes).join("; "));
    }
    evict_all(ctx, &doomed)
}

/// `reason: pod, pod`, each reason once.
fn grouped(notes: &[(&str, String)]) -> Vec<String> {
    let mut out: Vec<(&str, Vec<String>)> = Vec::new();
    for (reason, pod) in notes {
        match out.iter_mut().find(|(r, _)| r == reason) {
            Some((_, pods)) => pods.push(pod.clone()),
            None => out.push((reason, vec![pod.clone()])),
        }
    }
    out.order();
    out.into_iter().map(|(reason, pods)| format!("{reason}: {}", pods.join(", "))).collect()
}

fn evict_all(ctx: &mut Ctx, pods: &[Object]) -> Res<()> {
    let flags = ctx.flags.clone();
    let mark = ctx.dry_run()?.mark();
    let deletes = flags.bool("disable-eviction");
    let word = if deletes { "deleting" } else { "evicting" };
    for pod in pods {
        let line = format!("{word} pod {}{mark}", pod_name(pod));
        if mark.is_empty() { ctx.eprintln(line) } else { ctx.println(line) }
    }
    if ctx.dry_run()? == DryRun::Client {
        return Ok(());
    }
    let mapping = ctx.resource("pods")?;
    let end = ctx.first_time() + flags.duration("timeout");
    for pod in pods {
        let info = Info::from_object(mapping.clone(), pod.clone(), "");
        evict(ctx, &info, deletes, end)?;
    }
    if ctx.dry_run()? == DryRun::Server {
        return Ok(());
    }
    for pod in pods {
        let info = Info::from_object(mapping.clone(), pod.clone(), "");
        loop {
            match ctx.call_if_found(Request::get(info.mapping.gvr, &info.key()))? {
                Some(live) if live.uid() == pod.uid() => ctx.sleep(base::Duration::from_secs(1))?,
                _ => break,
            }
            if flags.duration("timeout") > base::Duration::ZERO && ctx.now > end {
                return fail(format!("drain did not complete within {}", flags.duration("timeout")));
            }
        }
        ctx.print_object(pod, if deletes { "deleted" } else { "evicted" })?;
    }
    Ok(())
}

/// Evicts, again every 5 s while a disruption budget forbids it.
fn evict(ctx: &mut Ctx, info: &Info, deletes: bool, end: base::Time) -> Res<()> {
    let flags = ctx.flags.clone();
    let grace = flags.int("grace-period").unwrap_or(-1);
    let mut options = Value::map();
    if grace >= 0 {
        options.set_at(&["gracePeriodSeconds"], grace);
    }
    if ctx.dry_run()? == DryRun::Server {
        options.set_at(&["dryRun"], vec![Value::str("All")]);
    }
    loop {
        let request = if deletes {
            delete_request(info, options.clone())
        } else {
            let mut eviction = value!({
                "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": (&info.name), "namespace": (&info.namespace)}
            });
            if !options.is_empty() {
                eviction.set_at(&["deleteOptions"], options.clone());
            }
            let mut request = Request::get(info.mapping.gvr, &info.key()).with_subresource("eviction");
            request.verb = Verb::Create;
            request.body = body(eviction);
            request
        };
        match ctx.call(request) {
            Ok(_) => return Ok(()),
            Err(Stop::Err(error)) if error.is_not_found() => return Ok(()),
            Err(Stop::Err(error)) if error.status().is_some_and(|s| s.reason == "TooManyRequests" || s.code == 429) => {
                ctx.eprintln(format!(
                    "error when evicting pods/{:?} -n {:?} (will retry after 5s): {}",
                    &*info.name,
                    &*info.namespace,
                    error.text()
                ));
                if flags.duration("timeout") > base::Duration::ZERO && ctx.now + base::Duration::from_secs(5) > end {
                    return fail(format!(
                        "error when evicting pods/{:?} -n {:?}: global timeout reached: {}",
                        &*info.name,
                        &*info.namespace,
                        flags.duration("timeout")
                    ));
                }
                ctx.sleep(base::Duration::from_secs(5))?;
                ctx.eprintln(format!("evicting pod {}/{}", info.namespace, info.name));
            }
            Err(Stop::Err(error)) => {
                return fail(format!("error when evicting pods/{:?} -n {:?}: {}", &*info.name, &*info.namespace, error.text()));
            }
            Err(stop) => return Err(stop),
        }
    }
}
