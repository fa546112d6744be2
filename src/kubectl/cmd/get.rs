//! `kubectl get`. Models `kubectl/pkg/cmd/get/get.go`.

use std::rc::Rc;

use apimachinery::{Object, Request, Value, Verb, WatchEventType, value};

use crate::builder::{Info, Named, Select, unable};
use crate::ctx::{Ctx, Next, Res, Stop, done, fail, then};
use crate::error::{Error, aggregate};
use crate::mapper::Mapping;
use crate::printers::{Output, Printer, sort, table, tabwriter};

pub(crate) const AS_TABLE: &str =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let raw = ctx.flags.str("raw").to_string();
    if !raw.is_empty() {
        return get_raw(ctx, &raw);
    }
    if ctx.flags.args.is_empty() && !ctx.has_files() {
        ctx.eprintln(
            "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.\n",
        );
        let text = "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).";
        return Err(Error::Usage(text.into(), "kubectl get".into()).into());
    }
    let watching = ctx.flags.bool("watch") || ctx.flags.bool("watch-only");
    match ctx.output(true)? {
        _ if watching => watch(ctx),
        Output::Objects(printer) => objects(ctx, &printer),
        output => tables(ctx, matches!(output, Output::Wide)),
    }
}

fn get_raw(ctx: &mut Ctx, path: &str) -> Res<Next> {
    if !ctx.flags.args.is_empty() {
        return fail("arguments may not be passed when --raw is specified");
    }
    let response = ctx.send_ok(Request::get_path(path))?;
    let text = super::util::raw_text(&response);
    ctx.print(text);
    done()
}

fn select(ctx: &Ctx) -> Select {
    let flags = &ctx.flags;
    Select {
        all: true,
        latest: true,
        ignore_not_found: flags.bool("ignore-not-found"),
        subresource: flags.str("subresource").into(),
        ..Select::of(ctx)
    }
}

// ------------------------------------------------------------------ whole objects

fn objects(ctx: &mut Ctx, printer: &Printer) -> Res<Next> {
    let select = select(ctx);
    let single = is_single(ctx, &select)?;
    let (mut infos, errors) = ctx.infos_and_errors(&select)?;
    let field = ctx.flags.str("sort-by").to_string();
    if !field.is_empty() && !single {
        let values: Vec<&Value> = infos.iter().map(|i| i.object.value()).collect();
        let order = sort::order(&values, &field).map_err(Error::Plain)?;
        infos = order.into_iter().map(|i| infos[i].clone()).collect();
    }
    if infos.is_empty() && single {
        return finish(errors);
    }
    if infos.is_empty() && !errors.is_empty() {
        return finish(errors);
    }
    let printed: Vec<Object> = infos.iter().map(|i| ctx.presentable_by(printer, &i.object)).collect();
    let object = match (single, printed.as_slice()) {
        (true, [one]) => one.clone(),
        _ => as_list(&printed),
    };
    let text = printer.print(&object, ctx)?;
    ctx.print(text);
    finish(errors)
}

/// `kind: List` of objects.
pub(crate) fn as_list(objects: &[Object]) -> Object {
    let items: Vec<Value> = objects.iter().map(Value::from).collect();
    let list = value!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items});
    Object::from_value(list).unwrap_or_default()
}

fn finish(errors: Vec<Error>) -> Res<Next> {
    match aggregate(errors) {
        Some(error) => Err(error.into()),
        None => done(),
    }
}

/// Whether exactly one object was named.
fn is_single(ctx: &mut Ctx, select: &Select) -> Res<bool> {
    if ctx.has_files() {
        return Ok(false);
    }
    Ok(match ctx.named(&select.args)? {
        Named::Pairs(pairs) => pairs.len() == 1,
        Named::Types(types, names) => types.len() == 1 && names.len() == 1,
        Named::Nothing => false,
    })
}

// ------------------------------------------------------------------ tables

/// The rows of one resource.
struct Part {
    mapping: Rc<Mapping>,
    table: Object,
}

fn tables(ctx: &mut Ctx, wide: bool) -> Res<Next> {
    let select = select(ctx);
    let mut parts: Vec<Part> = Vec::new();
    let mut errors = Vec::new();
    let requests = requests(ctx, &select)?;
    let several = requests.windows(2).any(|w| w[0].0.gvr != w[1].0.gvr);
    let field = ctx.flags.str("sort-by").to_string();
    for (mapping, mut request) in requests.clone() {
        if !field.is_empty() {
            request.options.query.push(("includeObject".into(), "Object".into()));
        }
        match fetch_table(ctx, &select, &mapping, request) {
            Ok(table) => add(&mut parts, mapping, table),
            Err(Stop::Err(error)) if error.is_not_found() && select.ignore_not_found => {}
            Err(Stop::Err(error)) => errors.push(*error),
            Err(stop) => return Err(stop),
        }
    }
    let mut printed = false;
    for part in &parts {
        let rows = part.table.list_at(&["rows"]);
        if rows.is_empty() {
            continue;
        }
        let order = match field.is_empty() {
            true => None,
            false => {
                let null = Value::Null;
                let values: Vec<&Value> = rows.iter().map(|r| r.get("object").unwrap_or(&null)).collect();
                Some(sort::order(&values, &field).map_err(Error::Plain)?)
            }
        };
        if printed {
            ctx.print("\n");
        }
        let options = options(ctx, &part.mapping, wide, several);
        ctx.print(table::print(&part.table, order.as_deref(), &options));
        printed = true;
    }
    if !printed && errors.is_empty() && !select.ignore_not_found {
        let namespaced = requests.iter().all(|(m, _)| m.namespaced) && !select.all_namespaces && !requests.is_empty();
        nothing_found(ctx, namespaced)?;
    }
    finish(errors)
}

fn nothing_found(ctx: &mut Ctx, namespaced: bool) -> Res<()> {
    if namespaced {
        let namespace = ctx.namespace()?;
        ctx.eprintln(format!("No resources found in {namespace} namespace."));
    } else {
        ctx.eprintln("No resources found");
    }
    Ok(())
}

fn options(ctx: &Ctx, mapping: &Mapping, wide: bool, several: bool) -> table::Options {
    let flags = &ctx.flags;
    table::Options {
        wide,
        no_headers: flags.bool("no-headers"),
        with_namespace: flags.bool("all-namespaces") && mapping.namespaced,
        with_kind: flags.bool("show-kind") || several,
        kind: Some(mapping.gvk()),
        show_labels: flags.bool("show-labels"),
        label_columns: flags.list("label-columns"),
        event: None,
    }
}

fn add(parts: &mut Vec<Part>, mapping: Rc<Mapping>, mut table: Object) {
    match parts.last_mut().filter(|p| p.mapping.gvr == mapping.gvr) {
        Some(part) => {
            let rows = std::mem::take(table.value_mut().entry(&["rows"]).list_mut());
            part.table.value_mut().entry(&["rows"]).list_mut().extend(rows);
        }
        None => parts.push(Part { mapping, table }),
    }
}

/// One request per list or named object.
fn requests(ctx: &mut Ctx, select: &Select) -> Res<Vec<(Rc<Mapping>, Request)>> {
    let mut out = Vec::new();
    let one = |info: &Info| Request::get(info.mapping.gvr, &info.key()).with_subresource(&select.subresource);
    if ctx.has_files() {
        let select = Select { latest: false, ..select.clone() };
        for info in ctx.infos(&select)? {
            out.push((info.mapping.clone(), one(&info)));
        }
        return Ok(out);
    }
    match ctx.named(&select.args)? {
        Named::Types(types, names) if names.is_empty() => {
            let limit = ctx.flags.int("chunk-size").unwrap_or(0);
            for mapping in types {
                let mut request = ctx.list_request(select, &mapping)?;
                request.options.limit = limit;
                out.push((mapping, request));
            }
        }
        _ => {
            let select = Select { fetch: false, ..select.clone() };
            if select.all_namespaces {
                return fail("a resource cannot be retrieved by name across all namespaces");
            }
            for info in ctx.infos(&select)? {
                out.push((info.mapping.clone(), one(&info)));
            }
        }
    }
    Ok(out)
}

/// A table with all pages of a list, or of one object.
fn fetch_table(ctx: &mut Ctx, select: &Select, mapping: &Mapping, mut request: Request) -> Res<Object> {
    request.accept = Some(AS_TABLE.into());
    let is_list = request.verb == Verb::List;
    let mut all: Option<Object> = None;
    loop {
        let answer = ctx.call(request.clone()).map_err(|stop| if is_list { unable(stop, select, mapping) } else { stop })?;
        let mut page = as_table(ctx, answer);
        let token = page.str_at(&["metadata", "continue"]).filter(|t| !t.is_empty()).map(Rc::from);
        match &mut all {
            None => all = Some(page),
            Some(table) => {
                let rows = std::mem::take(page.value_mut().entry(&["rows"]).list_mut());
                table.value_mut().entry(&["rows"]).list_mut().extend(rows);
            }
        }
        if token.is_none() {
            return Ok(all.unwrap_or_default());
        }
        request.options.continue_token = token;
    }
}

/// What a server answers that knows no tables becomes one of names and ages.
fn as_table(ctx: &Ctx, answer: Object) -> Object {
    if answer.kind() == "Table" {
        return answer;
    }
    let objects = match answer.get("items") {
        Some(_) => crate::ctx::list_of(&answer).items,
        None => vec![answer.clone()],
    };
    let mut table = table::fallback(&objects, ctx.now);
    table.set_at(&["metadata"], answer.get("metadata").cloned().unwrap_or_default());
    table
}

// ------------------------------------------------------------------ watches

/// What is kept between the events of a watch.
#[derive(Clone)]
struct Watching {
    mapping: Rc<Mapping>,
    stream: u32,
    wide: bool,
    headers: bool,
    columns: Value,
    widths: Vec<usize>,
}

fn watch(ctx: &mut Ctx) -> Res<Next> {
    let select = select(ctx);
    let requests = requests(ctx, &select)?;
    let [(mapping, request)] = requests.as_slice() else {
        return fail("you may only specify a single resource type");
    };
    let output = ctx.output(true)?;
    let wide = matches!(output, Output::Wide);
    let printer = if let Output::Objects(printer) = output { Some(printer) } else { None };
    let mut state =
        Watching { mapping: mapping.clone(), stream: 0, wide, headers: true, columns: Value::Null, widths: Vec::new() };
    let mut listing = request.clone();
    listing.options.limit = 0;
    let first = match &printer {
        None => fetch_table(ctx, &select, mapping, listing)?,
        Some(_) => ctx.call(listing)?,
    };
    let version = match first.get("metadata").and_then(|m| m.str_at(&["resourceVersion"])) {
        Some(version) => version.to_string(),
        None => String::new(),
    };
    if !ctx.flags.bool("watch-only") {
        match &printer {
            None => print_rows(ctx, &mut state, &first, "ADDED"),
            Some(printer) => {
                let items = if first.get("items").is_some() { crate::ctx::list_of(&first).items } else { vec![first.clone()] };
                for item in items {
                    print_event(ctx, printer, &item, "ADDED")?;
                }
            }
        }
    }
    let mut watch = Request::watch(mapping.gvr, &request.namespace, &version);
    watch.options.label_selector = request.options.label_selector.clone();
    watch.options.field_selector = match request.verb {
        Verb::Get => Some(format!("metadata.name={}", request.name).into()),
        _ => request.options.field_selector.clone(),
    };
    watch.accept = printer.is_none().then(|| AS_TABLE.into());
    state.stream = ctx.open(watch)?;
    follow(state, printer)
}

fn follow(state: Watching, printer: Option<Printer>) -> Res<Next> {
    then(move |ctx| {
        let mut state = state.clone();
        let Some(event) = ctx.next_watch(state.stream)? else { return done() };
        match event.kind {
            WatchEventType::Bookmark => {}
            WatchEventType::Error => {
                return fail(event.object.str_at(&["message"]).unwrap_or("the watch failed").to_string());
            }
            kind => match &printer {
                Some(printer) => print_event(ctx, printer, &event.object, kind.as_str())?,
                None => {
                    let table = as_table(ctx, event.object.clone());
                    print_rows(ctx, &mut state, &table, kind.as_str());
                }
            },
        }
        follow(state, printer.clone())
    })
}

fn print_event(ctx: &mut Ctx, printer: &Printer, object: &Object, kind: &'static str) -> Res<()> {
    let mut object = ctx.presentable_by(printer, object);
    if ctx.flags.bool("output-watch-events") {
        let event = value!({"type": kind, "object": (&object)});
        object = Object::from_value(event).unwrap_or_default();
    }
    let text = printer.print(&object, ctx)?;
    ctx.print(text);
    Ok(())
}

/// Prints rows under the columns that earlier rows had.
fn print_rows(ctx: &mut Ctx, state: &mut Watching, table: &Object, kind: &'static str) {
    let mut table = table.clone();
    if table.list_at(&["columnDefinitions"]).is_empty() {
        table.set_at(&["columnDefinitions"], &state.columns);
    } else {
        state.columns = table.get("columnDefinitions").cloned().unwrap_or_default();
    }
    if table.list_at(&["rows"]).is_empty() {
        return;
    }
    let mut options = options(ctx, &state.mapping, state.wide, false);
    options.event = ctx.flags.bool("output-watch-events").then_some(kind);
    let text = table::lines(&table, None, state.headers, &options);
    state.headers = false;
    let aligned = tabwriter::align_remembering(&text, 6, 3, &mut state.widths);
    ctx.print(aligned);
}
