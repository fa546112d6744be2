//! `kubectl apply`. Models `kubectl/pkg/cmd/apply/apply.go` and `patcher.go`.
//!
//! Client-side: the last applied configuration (an annotation), the file and the live object make a three-way patch. `--server-side`
//! sends the file as an apply patch. Documents are applied one stage each, so ten thousand of them stay linear.

use std::rc::Rc;

use apimachinery::{Object, PatchType, Request, Value, json};
use base::Vector;

use super::prune::{self, Prune};
use super::util::{LAST_APPLIED, delete_request, with_last_applied};
use crate::builder::Info;
use crate::ctx::{Ctx, Next, Res, Stop, each, fail, then};
use crate::docs::{self, Checks, Parsed};
use crate::error::{Error, aggregate};
use crate::merge as patch;
use crate::printers::{DryRun, Output, Printer};

const CONFLICT_HELP: &str = "Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts";

/// How often a patch is tried again after a conflict.
const MAX_PATCH_RETRY: usize = 5;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    check_flags(ctx)?;
    let prune = prune::options(ctx)?;
    let sources = ctx.sources()?;
    let checks = if ctx.validation()? == "Ignore" { Checks::Decode } else { Checks::Schema };
    if checks == Checks::Schema && !ctx.flags.bool("server-side") {
        ctx.ask_for_validation()?;
    }
    let sources = Rc::new(sources);
    then(move |ctx| {
        let parsed: Vec<Parsed> = sources.iter().flat_map(|source| docs::objects(source, checks)).collect();
        resolve(ctx, parsed.into(), prune.clone())
    })
}

fn check_flags(ctx: &mut Ctx) -> Res<()> {
    let flags = ctx.flags.clone();
    if flags.bool("force-conflicts") && !flags.bool("server-side") {
        return fail("--force-conflicts only works with --server-side");
    }
    if ctx.dry_run()? == DryRun::Client && flags.bool("server-side") {
        return fail("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    }
    if flags.bool("force") && flags.bool("server-side") {
        return fail("--force cannot be used with --server-side");
    }
    ctx.validation()?;
    if let Some(word) = flags.args.first() {
        return Err(
            Error::Usage(format!("Unexpected args: [{}]", flags.args.join(" ")), format!("kubectl apply ({word})")).into()
        );
    }
    Ok(())
}

/// Finds every document's resource before the first is applied, as upstream does; one stage each.
fn resolve(ctx: &mut Ctx, parsed: Rc<[Parsed]>, prune: Prune) -> Res<Next> {
    if !ctx.has_files() {
        return fail("must specify one of -f and -k");
    }
    each(
        parsed,
        // The state of a stage is kept while the next is made from it: it has to be cheap to copy.
        Vector::<Info>::new(),
        |ctx, parsed, infos| {
            let info = ctx.info_of(parsed)?;
            if selected(ctx, &info)? {
                infos.push_back(info);
            }
            Ok(())
        },
        move |_, infos, errors| {
            if infos.is_empty() && errors.is_empty() {
                return fail("no objects passed to apply");
            }
            apply_all(infos.into_iter().collect(), errors, prune.clone())
        },
    )
}

fn selected(ctx: &Ctx, info: &Info) -> Res<bool> {
    let selector = ctx.flags.str("selector");
    if selector.is_empty() {
        return Ok(true);
    }
    match apimachinery::labels::Selector::parse(selector) {
        Ok(selector) => Ok(selector.matches(info.object.labels())),
        Err(text) => fail(text),
    }
}

/// What has been applied, for pruning and for `-o json` of several objects.
#[derive(Clone, Default)]
struct Applied {
    uids: Vector<Rc<str>>,
    objects: Vector<Object>,
}

fn apply_all(infos: Rc<[Info]>, before: Vec<Error>, prune: Prune) -> Res<Next> {
    let all = infos.clone();
    then(move |ctx| {
        let prune = prune.prepare(ctx, &all)?;
        let (all, before) = (all.clone(), before.clone());
        let infos = all.clone();
        each(
            all,
            Applied::default(),
            {
                let prune = prune.clone();
                move |ctx, info, applied: &mut Applied| {
                    let info = prune.mark(info);
                    apply_one(ctx, &info, applied)
                }
            },
            move |ctx, applied, mut errors| {
                let mut all_errors = before.clone();
                all_errors.append(&mut errors);
                print_collected(ctx, &applied)?;
                if all_errors.is_empty() {
                    return prune.run(&infos, applied.uids.into_iter().collect());
                }
                match aggregate(all_errors) {
                    Some(error) => Err(error.into()),
                    None => Ok(Next::Exit(0)),
                }
            },
        )
    })
}

fn apply_one(ctx: &mut Ctx, info: &Info, applied: &mut Applied) -> Res<()> {
    if info.object.name().is_empty() && info.object.str_at(&["metadata", "generateName"]).is_some() {
        let name = info.object.str_at(&["metadata", "generateName"]).unwrap_or("");
        return fail(format!("from {name}: cannot use generate name with apply"));
    }
    let (object, operation) = match ctx.flags.bool("server-side") {
        true => (server_side(ctx, info)?, "serverside-applied"),
        false => client_side(ctx, info)?,
    };
    if !object.uid().is_empty() {
        applied.uids.push_back(object.uid().into());
    }
    match ctx.output(false)? {
        Output::Words => ctx.print_object(&object, operation),
        Output::Objects(Printer::Name) => ctx.print_object(&object, operation),
        _ => {
            applied.objects.push_back(object);
            Ok(())
        }
    }
}

/// With `-o yaml` and the like several objects print as one list.
fn print_collected(ctx: &mut Ctx, applied: &Applied) -> Res<()> {
    let objects: Vec<Object> = applied.objects.iter().cloned().collect();
    match objects.as_slice() {
        [] => Ok(()),
        [one] => ctx.print_object(one, ""),
        many => {
            let shown: Vec<Object> = match ctx.output(false)? {
                Output::Objects(printer) => many.iter().map(|o| ctx.presentable_by(&printer, o)).collect(),
                _ => many.to_vec(),
            };
            ctx.print_object(&super::get::as_list(&shown), "")
        }
    }
}

fn server_side(ctx: &mut Ctx, info: &Info) -> Res<Object> {
    let mut request = Request::patch(info.mapping.gvr, &info.key(), PatchType::Apply, info.object.value().clone())
        .with_subresource(ctx.flags.str("subresource"));
    request.options.force = ctx.flags.bool("force-conflicts");
    request.options.field_validation = Some(ctx.validation()?.into());
    let mut request = ctx.writing(request)?;
    if !ctx.flags.changed("field-manager") {
        request.options.field_manager = Some("kubectl".into());
    }
    match ctx.call(request) {
        Err(Stop::Err(error)) => match error.status() {
            Some(status)
                if status.reason == "Conflict"
                    && status
                        .details
                        .list_at(&["causes"])
                        .iter()
                        .any(|c| c.str_at(&["reason"]) == Some("FieldManagerConflict")) =>
            {
                fail(format!("{}\n{CONFLICT_HELP}", status.message))
            }
            _ => Err(error.from_source("patching", &info.source).into()),
        },
        other => other,
    }
}

fn client_side(ctx: &mut Ctx, info: &Info) -> Res<(Object, &'static str)> {
    let dry_run = ctx.dry_run()?;
    let describe = |info: &Info| {
        format!(
            "Resource: \"{}\", GroupVersionKind: \"{}\"\nName: \"{}\", Namespace: \"{}\"",
            info.mapping.go(),
            info.mapping.go_kind(),
            info.name,
            info.namespace
        )
    };
    let live = match info.name.is_empty() {
        true => Err(Error::Plain("resource name may not be empty".into()).into()),
        false => ctx.fetch(&info.mapping, &info.namespace, &info.name, ctx.flags.clone().str("subresource")),
    };
    let live = match live {
        Ok(live) => live,
        Err(Stop::Err(error)) if error.is_not_found() => return create(ctx, info, dry_run),
        Err(Stop::Err(error)) => {
            let prefix = format!("error when retrieving current configuration of:\n{}", describe(info));
            return Err(with_prefix(*error, &prefix, &format!("from server for: \"{}\"", info.source)).into());
        }
        Err(stop) => return Err(stop),
    };
    if live.annotation(LAST_APPLIED).is_none() {
        ctx.warn(&format!(
            "resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
            info.mapping.gvr.resource, info.name
        ));
    } else if live.is_being_deleted() {
        let text = format!("Detected changes to resource {} which is currently being deleted.", info.name);
        ctx.warn(&text);
    }
    let modified = with_last_applied(&info.object);
    if dry_run == DryRun::Client {
        let (kind, patch) = three_way(info, &live, &modified)?;
        let merged = patch::apply(kind, live.value(), &patch, info.mapping.gvk()).unwrap_or_else(|_| live.value().clone());
        let changed = Object::from_value(merged).unwrap_or_else(|| live.clone());
        return Ok((changed, if patch.as_map().is_some_and(|m| m.is_empty()) { "unchanged" } else { "configured" }));
    }
    let mut live = live;
    let mut tries = 0;
    loop {
        let (kind, patch) = three_way(info, &live, &modified)?;
        if patch.as_map().is_some_and(|m| m.is_empty()) {
            return Ok((live, "unchanged"));
        }
        let mut request =
            Request::patch(info.mapping.gvr, &info.key(), kind, patch.clone()).with_subresource(ctx.flags.str("subresource"));
        request.options.field_validation = Some(ctx.validation()?.into());
        let request = ctx.writing(request)?;
        match ctx.call(request) {
            Ok(object) => return Ok((object, "configured")),
            Err(Stop::Err(error)) => {
                let conflict = error.status().is_some_and(|s| s.reason == "Conflict");
                if conflict && tries < MAX_PATCH_RETRY && info.object.resource_version().is_empty() {
                    tries += 1;
                    live = ctx.fetch(&info.mapping, &info.namespace, &info.name, "")?;
                    continue;
                }
                if ctx.flags.bool("force") && error.status().is_some_and(|s| matches!(s.reason.as_str(), "Conflict" | "Invalid"))
                {
                    return replace(ctx, info);
                }
                return Err(error.into_prefixed(&patch, &describe(info), &info.source).into());
            }
            Err(stop) => return Err(stop),
        }
    }
}

impl Error {
    /// The long form of a failed patch.
    fn into_prefixed(self, patch: &Value, object: &str, source: &str) -> Error {
        let prefix = format!("error when applying patch:\n{}\nto:\n{object}", crate::printers::go::json(patch));
        let inner = self.from_source("patching", source);
        with_prefix(inner, &prefix, &format!("for: \"{source}\""))
    }
}

/// `prefix`, a line with `last: message`.
fn with_prefix(error: Error, prefix: &str, last: &str) -> Error {
    match error {
        Error::Status(mut status) => {
            status.message = format!("{prefix}\n{last}: {}", status.message);
            Error::Status(status)
        }
        other => Error::Plain(format!("{prefix}\n{last}: {}", other.text())),
    }
}

/// The patch from last applied, file and live object.
pub(crate) fn three_way(info: &Info, live: &Object, modified: &Object) -> Res<(PatchType, Value)> {
    let original = live.annotation(LAST_APPLIED).and_then(|text| json::parse(text.as_bytes()).ok());
    let gvk = info.mapping.gvk();
    let result = patch::three_way(original.as_ref(), modified.value(), live.value(), gvk);
    let (kind, mut patch) = result.map_err(|e| Stop::from(Error::Plain(format!("error when creating patch: {e}"))))?;
    if !info.object.resource_version().is_empty() && !patch.as_map().is_some_and(|m| m.is_empty()) {
        patch.set_at(&["metadata", "resourceVersion"], info.object.resource_version());
    }
    Ok((kind, patch))
}

fn create(ctx: &mut Ctx, info: &Info, dry_run: DryRun) -> Res<(Object, &'static str)> {
    let object = with_last_applied(&info.object);
    if dry_run == DryRun::Client {
        return Ok((object, "created"));
    }
    match ctx.create_object(info, &object) {
        Ok(object) => Ok((object, "created")),
        Err(Stop::Err(error)) => Err(error.from_source("creating", &info.source).into()),
        Err(stop) => Err(stop),
    }
}

/// `--force`: deletes, waits until it is gone, creates.
fn replace(ctx: &mut Ctx, info: &Info) -> Res<(Object, &'static str)> {
    ctx.send_ok(delete_request(info, Value::map()))?;
    while ctx.call_if_found(Request::get(info.mapping.gvr, &info.key()))?.is_some() {
        ctx.sleep(base::Duration::from_secs(1))?;
    }
    let object = with_last_applied(&info.object);
    Ok((ctx.create_object(info, &object)?, "configured"))
}
