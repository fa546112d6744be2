//! `kubectl delete`. Models `kubectl/pkg/cmd/delete/delete.go`.

use std::rc::Rc;

use apimachinery::{Request, Value, WatchEventType, value};
use base::Duration;
use base::Vector;

use super::util::delete_request;
use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Event, Next, Res, Stop, done, each, fail};
use crate::error::{Error, aggregate};
use crate::printers::DryRun;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    if !flags.str("raw").is_empty() {
        return fail("delete --raw is not in this bottle");
    }
    let options = options(ctx)?;
    if flags.bool("all") && !flags.str("selector").is_empty() {
        return fail("setting 'all' parameter but found a non empty selector.");
    }
    if flags.args.is_empty() && !ctx.has_files() {
        return fail(crate::builder::NOTHING_GIVEN);
    }
    let select = Select {
        fetch: false,
        ignore_not_found: flags.bool("ignore-not-found"),
        field_selector: flags.str("field-selector").into(),
        ..Select::of(ctx)
    };
    let (infos, errors) = ctx.infos_and_errors(&select)?;
    let listed = flags.bool("all") || !flags.str("selector").is_empty() || !flags.str("field-selector").is_empty();
    if flags.bool("interactive") && !infos.is_empty() && !confirm(ctx, &infos)? {
        return done();
    }
    delete_all(infos.into(), errors, options, listed)
}

/// DeleteOptions from the flags.
fn options(ctx: &mut Ctx) -> Res<Value> {
    let flags = ctx.flags.clone();
    let dry_run = ctx.dry_run()?;
    let mut grace = flags.int("grace-period").unwrap_or(-1);
    let mut options = Value::map();
    if flags.bool("now") {
        if grace != -1 {
            return fail("--now and --grace-period cannot be specified together");
        }
        grace = 1;
    }
    if flags.bool("force") {
        if dry_run == DryRun::None {
            ctx.warn("Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.");
        }
        if grace < 0 {
            grace = 0;
        }
    } else if grace == 0 {
        // Without --force the server still takes its time: at least a second.
        grace = 1;
    }
    if grace >= 0 {
        options.set_at(&["gracePeriodSeconds"], grace);
    }
    options.set_at(&["propagationPolicy"], cascade(flags.str("cascade"))?);
    if dry_run == DryRun::Server {
        options.set_at(&["dryRun"], vec![Value::str("All")]);
    }
    Ok(options)
}

pub(super) fn cascade(text: &str) -> Res<&'static str> {
    match text {
        "background" | "true" => Ok("Background"),
        "foreground" => Ok("Foreground"),
        "orphan" | "false" => Ok("Orphan"),
        other => fail(format!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"")),
    }
}

fn confirm(ctx: &mut Ctx, infos: &[Info]) -> Res<bool> {
    ctx.println(format!("You are about to delete the following {} resource(s):", infos.len()));
    for info in infos {
        ctx.println(info.label());
    }
    ctx.print("Do you want to continue? (y/N): ");
    ctx.open_stdin();
    let mut line = String::new();
    loop {
        match ctx.next_event()? {
            (_, Event::Stdin(bytes)) => line.push_str(&String::from_utf8_lossy(&bytes)),
            (_, Event::StdinEof) => line.push('\n'),
            _ => {}
        }
        if line.contains('\n') {
            let yes = matches!(line.trim(), "y" | "Y");
            if !yes {
                ctx.println("deletion is cancelled");
            }
            return Ok(yes);
        }
    }
}

/// What was deleted and is to be waited for.
type Deleted = Vector<(Info, Rc<str>)>;

fn delete_all(infos: Rc<[Info]>, before: Vec<Error>, options: Value, listed: bool) -> Res<Next> {
    let none = infos.is_empty();
    each(
        infos,
        Deleted::default(),
        move |ctx, info, deleted: &mut Deleted| {
            let ignore = ctx.flags.bool("ignore-not-found") || listed;
            if ctx.dry_run()? == DryRun::Client {
                ctx.fetch(&info.mapping, &info.namespace, &info.name, "")?;
                return announce(ctx, info);
            }
            let answer = match ctx.call(delete_request(info, options.clone())) {
                Ok(answer) => answer,
                Err(Stop::Err(error)) if error.is_not_found() && ignore => return Ok(()),
                Err(Stop::Err(error)) => return Err(error.from_source("deleting", &info.source).into()),
                Err(stop) => return Err(stop),
            };
            let uid = if answer.kind() == "Status" { answer.str_at(&["details", "uid"]).unwrap_or("") } else { answer.uid() };
            deleted.push_back((Info { object: Default::default(), ..info.clone() }, uid.into()));
            announce(ctx, info)
        },
        move |ctx, deleted, errors| {
            let mut all = before.clone();
            all.extend(errors);
            if let Some(error) = aggregate(all) {
                return Err(error.into());
            }
            if none && !ctx.flags.bool("ignore-not-found") {
                ctx.println("No resources found");
            }
            let waits = ctx.flags.bool("wait") && ctx.dry_run()? == DryRun::None;
            match waits {
                true => wait_all(deleted),
                false => done(),
            }
        },
    )
}

/// `pod "x" deleted from default namespace`
fn announce(ctx: &mut Ctx, info: &Info) -> Res<()> {
    let flags = ctx.flags.clone();
    if flags.str("output") == "name" {
        ctx.println(info.label());
        return Ok(());
    }
    let operation = if flags.bool("force") && flags.int("grace-period").unwrap_or(-1) <= 0 { "force deleted" } else { "deleted" };
    let place = if info.mapping.namespaced { format!(" from {} namespace", info.namespace) } else { String::new() };
    let mark = ctx.dry_run()?.mark();
    ctx.println(format!("{} \"{}\" {operation}{place}{mark}", info.mapping.kind_group(), info.name));
    Ok(())
}

fn wait_all(deleted: Deleted) -> Res<Next> {
    each(
        deleted.into_iter().collect(),
        (),
        |ctx, (info, uid), ()| wait_gone(ctx, info, uid),
        |_, (), errors| match aggregate(errors) {
            Some(error) => Err(error.into()),
            None => done(),
        },
    )
}

/// Waits until the object of this uid is gone; what it was is found out by a GET, then by a watch.
pub(super) fn wait_gone(ctx: &mut Ctx, info: &Info, uid: &str) -> Res<()> {
    let live = match ctx.call_if_found(Request::get(info.mapping.gvr, &info.key())) {
        Err(Stop::Err(error))
            if error.status().is_some_and(|s| matches!(s.reason.as_str(), "Forbidden" | "MethodNotAllowed")) =>
        {
            return Ok(());
        }
        other => other?,
    };
    let Some(live) = live else { return Ok(()) };
    if !uid.is_empty() && live.uid() != uid {
        return Ok(());
    }
    let timeout = ctx.flags.duration("timeout");
    let timer = if timeout > Duration::ZERO { ctx.timer(timeout)? } else { 0 };
    let stream = ctx.watch_one(&info.mapping, &info.namespace, &info.name)?;
    let mut seen = false;
    loop {
        match ctx.next_event()? {
            (id, Event::Watch(event)) if id == stream => {
                let shown = matches!(event.kind, WatchEventType::Added | WatchEventType::Modified);
                seen |= shown;
                let other = shown && !uid.is_empty() && event.object.uid() != uid;
                // It had gone before the watch began.
                let initial_end = event.object.annotation("k8s.io/initial-events-end").is_some();
                let empty = event.kind == WatchEventType::Bookmark && initial_end && !seen;
                if event.kind == WatchEventType::Deleted || other || empty {
                    break;
                }
            }
            (id, Event::End) if id == stream => return wait_gone(ctx, info, uid),
            (id, Event::Timer) if id == timer && timer != 0 => {
                ctx.cancel(stream);
                return fail(format!("timed out waiting for the condition on {}/{}", info.mapping.gvr.resource, info.name));
            }
            _ => {}
        }
    }
    ctx.cancel(stream);
    Ok(())
}

/// Deletes and waits, for commands that replace.
pub(super) fn delete_and_wait(ctx: &mut Ctx, info: &Info, grace: i64) -> Res<()> {
    let policy = cascade(ctx.flags.clone().str("cascade"))?;
    let mut options = value!({"propagationPolicy": policy});
    if grace >= 0 {
        options.set_at(&["gracePeriodSeconds"], grace);
    }
    match ctx.call(delete_request(info, options)) {
        Ok(_) => wait_gone(ctx, info, ""),
        Err(Stop::Err(error)) if error.is_not_found() => Ok(()),
        Err(stop) => Err(stop),
    }
}
