//! `kubectl wait`. Models `kubectl/pkg/cmd/wait`.

use std::rc::Rc;

use apimachinery::{Object, WatchEventType};
use base::{Duration, Time};

use crate::builder::{Info, NOTHING_GIVEN, Named, Select};
use crate::ctx::{Ctx, Event, Next, Res, Stop, done, each, fail};
use crate::error::{Error, aggregate};
use crate::printers::go;
use crate::printers::jsonpath::{Template, relaxed};

/// What is waited for.
#[derive(Clone)]
enum For {
    Delete,
    Create,
    Condition(String, String),
    /// A path, and the value it must have (any if none).
    JsonPath(Rc<Template>, Option<String>),
}

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let wanted = flags.list("for");
    let condition = match wanted.as_slice() {
        [] => return fail("unrecognized condition: \"\""),
        list => parse(&list.join(","))?,
    };
    if flags.args.is_empty() && !ctx.has_files() {
        return fail(NOTHING_GIVEN);
    }
    let mut timeout = flags.duration("timeout");
    if timeout < Duration::ZERO {
        timeout = Duration::from_secs(7 * 24 * 3600);
    }
    let deadline = ctx.now + timeout;
    let condition = Rc::new(condition);
    crate::ctx::then(move |ctx| {
        let condition = condition.clone();
        let fetch = !matches!(*condition, For::Create | For::Delete);
        let select = Select { fetch, latest: false, all: ctx.flags.bool("all"), ..Select::of(ctx) };
        if matches!(*condition, For::Create) {
            return create(ctx, &select, deadline, timeout);
        }
        let (infos, errors) = ctx.infos_and_errors(&select)?;
        if let Some(error) = aggregate(errors) {
            return Err(error.into());
        }
        if infos.is_empty() {
            return fail("no matching resources found");
        }
        each(
            Rc::from(infos),
            (),
            move |ctx, info: &Info, ()| one(ctx, info, &condition, deadline, timeout),
            |_, (), errors| match aggregate(errors) {
                Some(error) => Err(error.into()),
                None => done(),
            },
        )
    })
}

fn parse(text: &str) -> Res<For> {
    if text.eq_ignore_ascii_case("delete") {
        return Ok(For::Delete);
    }
    if text.eq_ignore_ascii_case("create") {
        return Ok(For::Create);
    }
    if let Some(rest) = text.strip_prefix("condition=") {
        let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
        return Ok(For::Condition(name.into(), value.into()));
    }
    if let Some(rest) = text.strip_prefix("jsonpath=") {
        let (path, value) = match rest.find("}=") {
            Some(at) => (&rest[..=at], Some(&rest[at + 2..])),
            None if rest.ends_with('}') => (rest, None),
            None => rest.split_once('=').map_or((rest, None), |(p, v)| (p, Some(v))),
        };
        if value == Some("") {
            return fail("jsonpath wait has to have a value after equal sign");
        }
        let path = relaxed(path.trim_matches(['\'', '"'])).map_err(Error::Plain)?;
        let template = Template::parse(&path).map_err(|e| Error::Plain(format!("error parsing jsonpath {path}, {e}")))?;
        let value = value.map(|v| v.trim_matches(['\'', '"']).to_string());
        return Ok(For::JsonPath(Rc::new(template.allow_missing(true)), value));
    }
    fail(format!("unrecognized condition: {text:?}"))
}

/// `--for=create`: looks until everything named is there.
fn create(ctx: &mut Ctx, select: &Select, deadline: Time, timeout: Duration) -> Res<Next> {
    if !select.selector.is_empty() || matches!(ctx.named(&select.args)?, Named::Types(_, names) if names.is_empty()) {
        return fail("--for=create needs names here: waiting for what a selector may find is not in this bottle");
    }
    let select = Select { fetch: true, latest: true, ..select.clone() };
    let timer = ctx.timer(timeout)?;
    loop {
        match ctx.infos_and_errors(&select)? {
            (infos, errors) if errors.is_empty() => {
                for info in infos {
                    met(ctx, &info.object)?;
                }
                return done();
            }
            (_, errors) if errors.iter().any(|e| !e.is_not_found()) => return Err(Error::Many(errors).into()),
            _ => {}
        }
        if ctx.now >= deadline {
            return fail("timed out waiting for the condition");
        }
        let tick = ctx.timer(Duration::from_millis(200))?;
        loop {
            match ctx.next_event()? {
                (id, Event::Timer) if id == tick => break,
                (id, Event::Timer) if id == timer => return fail("timed out waiting for the condition"),
                _ => {}
            }
        }
    }
}

fn met(ctx: &mut Ctx, object: &Object) -> Res<()> {
    ctx.print_object(object, "condition met")
}

fn one(ctx: &mut Ctx, info: &Info, condition: &For, deadline: Time, timeout: Duration) -> Res<()> {
    let timed_out = format!("timed out waiting for the condition on {}/{}", info.mapping.gvr.resource, info.name);
    if timeout == Duration::ZERO {
        let live = ctx.call_if_found(apimachinery::Request::get(info.mapping.gvr, &info.key()))?;
        return match live {
            None if matches!(condition, For::Delete) => Ok(()),
            Some(live) if holds(condition, &live)? => met(ctx, &live),
            _ => fail(format!("condition not met for {}", info.label())),
        };
    }
    if matches!(condition, For::Delete) {
        return deleted(ctx, info, deadline, &timed_out);
    }
    if holds(condition, &info.object)? && !info.object.api_version().is_empty() && info.source.is_empty() {
        return met(ctx, &info.object);
    }
    let left = Duration((deadline.0 - ctx.first_time().0).max(0));
    let timer = ctx.timer(left)?;
    let stream = ctx.watch_one(&info.mapping, &info.namespace, &info.name)?;
    loop {
        match ctx.next_event()? {
            (id, Event::Watch(event)) if id == stream => match event.kind {
                WatchEventType::Added | WatchEventType::Modified => {
                    if holds(condition, &event.object)? {
                        ctx.cancel(stream);
                        return met(ctx, &event.object);
                    }
                }
                WatchEventType::Deleted => {
                    ctx.cancel(stream);
                    return fail(format!("Error: {} was deleted while waiting", info.label()));
                }
                _ => {}
            },
            (id, Event::Timer) if id == timer => {
                ctx.cancel(stream);
                return fail(timed_out);
            }
            (id, Event::End) if id == stream => return fail(timed_out),
            _ => {}
        }
    }
}

fn deleted(ctx: &mut Ctx, info: &Info, deadline: Time, timed_out: &str) -> Res<()> {
    let request = apimachinery::Request::get(info.mapping.gvr, &info.key());
    let Some(live) = ctx.call_if_found(request)? else { return Ok(()) };
    let uid = live.uid().to_string();
    let left = Duration((deadline.0 - ctx.first_time().0).max(0));
    let timer = ctx.timer(left)?;
    let stream = ctx.watch_one(&info.mapping, &info.namespace, &info.name)?;
    loop {
        match ctx.next_event()? {
            (id, Event::Watch(event)) if id == stream => {
                let gone = event.kind == WatchEventType::Deleted
                    || matches!(event.kind, WatchEventType::Added | WatchEventType::Modified) && event.object.uid() != uid;
                let ended = event.kind == WatchEventType::Bookmark
                    && ctx.call_if_found(apimachinery::Request::get(info.mapping.gvr, &info.key()))?.is_none();
                if gone || ended {
                    ctx.cancel(stream);
                    return met(ctx, &live);
                }
            }
            (id, Event::Timer) if id == timer => {
                ctx.cancel(stream);
                return fail(timed_out);
            }
            (id, Event::End) if id == stream => return fail(timed_out),
            _ => {}
        }
    }
}

fn holds(condition: &For, object: &Object) -> Res<bool> {
    match condition {
        For::Condition(name, wanted) => {
            let found = object
                .list_at(&["status", "conditions"])
                .iter()
                .find(|c| c.str_at(&["type"]).is_some_and(|t| t.eq_ignore_ascii_case(name)));
            let Some(found) = found else { return Ok(false) };
            let old = found.int_at(&["observedGeneration"]).is_some_and(|seen| seen < object.generation());
            Ok(!old && found.str_at(&["status"]).is_some_and(|s| s.eq_ignore_ascii_case(wanted)))
        }
        For::JsonPath(template, wanted) => {
            let found: Vec<_> =
                template.find(object.value()).map_err(|e| Stop::from(Error::Plain(e)))?.into_iter().flatten().collect();
            match (found.as_slice(), wanted) {
                ([], _) => Ok(false),
                ([_], None) => Ok(true),
                ([one], Some(wanted)) => Ok(go::sprint(one) == wanted.trim()),
                _ => fail("given jsonpath expression matches more than one value"),
            }
        }
        For::Create | For::Delete => Ok(false),
    }
}
