//! `kubectl events`. Models `kubectl/pkg/cmd/events`.

use apimachinery::{Object, Request, resources};
use base::Sort as _;
use base::Time;

use crate::ctx::{Ctx, Next, Res, done, fail, then};
use crate::printers::table::human;
use crate::printers::{Output, tabwriter};

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let types = flags.list("types");
    if types.iter().any(|t| !t.eq_ignore_ascii_case("Normal") && !t.eq_ignore_ascii_case("Warning")) {
        return fail("valid --types are Normal or Warning");
    }
    let all = flags.bool("all-namespaces");
    let namespace = if all { "".into() } else { ctx.namespace()? };
    let mut request = Request::list(resources::events(), &namespace);
    request.options.limit = flags.int("chunk-size").unwrap_or(500);
    if !flags.str("for").is_empty() {
        let (kind, name) = ctx.pair(flags.str("for"))?;
        let mapping = ctx.resource(&kind)?;
        request.options.field_selector = Some(format!("involvedObject.kind={},involvedObject.name={name}", mapping.kind).into());
    }
    let list = ctx.list(request.clone())?;
    let shown = |e: &Object| {
        types.is_empty()
            || types.iter().any(|t| Some(str::to_lowercase(t.as_str())) == e.str_at(&["type"]).map(str::to_lowercase))
    };
    let mut events: Vec<Object> = list.items.into_iter().filter(shown).collect();
    events.order_by_key(last_seen);
    if let Output::Objects(printer) = ctx.output(false)? {
        let text = printer.print(&super::get::as_list(&events), ctx)?;
        ctx.print(text);
        return done();
    }
    if events.is_empty() && !flags.bool("watch") {
        match all {
            true => ctx.eprintln("No events found."),
            false => ctx.eprintln(format!("No events found in {namespace} namespace.")),
        }
        return done();
    }
    let header =
        if all { "NAMESPACE\tLAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n" } else { "LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n" };
    let mut text = if flags.bool("no-headers") { String::new() } else { header.to_string() };
    let now = ctx.first_time();
    events.iter().for_each(|event| text.push_str(&row(event, all, now)));
    let mut widths = Vec::new();
    ctx.print(tabwriter::align_remembering(&text, 6, 3, &mut widths));
    if !flags.bool("watch") {
        return done();
    }
    let mut watch = Request::watch(resources::events(), &namespace, &list.resource_version.to_string());
    watch.options.field_selector = request.options.field_selector;
    let stream = ctx.open(watch)?;
    follow(stream, all, widths)
}

fn follow(stream: u32, all: bool, widths: Vec<usize>) -> Res<Next> {
    then(move |ctx| {
        let Some(event) = ctx.next_watch(stream)? else { return done() };
        let mut widths = widths.clone();
        if !event.object.kind().is_empty() && event.object.str_at(&["reason"]).is_some() {
            let text = row(&event.object, all, ctx.now);
            ctx.print(tabwriter::align_remembering(&text, 6, 3, &mut widths));
        }
        follow(stream, all, widths)
    })
}

/// When it happened last.
fn last_seen(event: &Object) -> Option<Time> {
    ["lastTimestamp", "eventTime", "firstTimestamp"]
        .iter()
        .find_map(|field| event.str_at(&[field]).and_then(Time::parse))
        .or_else(|| event.creation_timestamp())
}

/// `3s`, `3s (x4 over 1m)`
pub(crate) fn interval(event: &Object, now: Time) -> String {
    let time = |path: &[&str]| event.str_at(path).and_then(Time::parse);
    let ago = |t: Option<Time>| t.map_or("<unknown>".to_string(), |t| human(now.since(t)));
    let first = time(&["firstTimestamp"]).or_else(|| time(&["eventTime"]));
    if let Some(count) = event.int_at(&["series", "count"]) {
        return format!("{} (x{count} over {})", ago(time(&["series", "lastObservedTime"])), ago(first));
    }
    match event.int_at(&["count"]).filter(|n| *n > 1) {
        Some(count) => format!("{} (x{count} over {})", ago(time(&["lastTimestamp"])), ago(first)),
        None => ago(first.or_else(|| event.creation_timestamp())),
    }
}

fn row(event: &Object, all: bool, now: Time) -> String {
    let text = |path: &[&str]| event.str_at(path).unwrap_or("").to_string();
    let namespace = if all { format!("{}\t", event.namespace()) } else { String::new() };
    format!(
        "{namespace}{}\t{}\t{}\t{}/{}\t{}\n",
        interval(event, now),
        text(&["type"]),
        text(&["reason"]),
        text(&["involvedObject", "kind"]),
        text(&["involvedObject", "name"]),
        text(&["message"]).trim()
    )
}
