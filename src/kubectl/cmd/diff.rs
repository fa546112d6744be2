//! `kubectl diff`: what `apply` would change, as the server says it. Models `kubectl/pkg/cmd/diff`.

use apimachinery::{Object, PatchType, Request};

use super::apply::three_way;
use super::util::LAST_APPLIED;
use crate::builder::Info;
use crate::ctx::{Ctx, Next, Res, Stop, fail};
use crate::docs::{self, Checks};
use crate::error::{Error, aggregate};
use crate::unified;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    if !ctx.has_files() {
        return fail("must specify one of -f and -k");
    }
    let exit2 = |stop: Stop| match stop {
        Stop::Err(error) => {
            let (text, _) = error.report();
            Error::Exit(text, 2).into()
        }
        other => other,
    };
    let sources = ctx.sources().map_err(exit2)?;
    let (infos, errors) = ctx.file_infos(&sources, Checks::Schema).map_err(exit2)?;
    if let Some(error) = aggregate(errors) {
        return Err(exit2(error.into()));
    }
    let mut changed = false;
    for info in infos {
        changed |= diff_one(ctx, &info).map_err(exit2)?;
    }
    Ok(Next::Exit(if changed { 1 } else { 0 }))
}

fn diff_one(ctx: &mut Ctx, info: &Info) -> Res<bool> {
    let live = ctx.call_if_found(Request::get(info.mapping.gvr, &info.key()))?;
    let merged = merged(ctx, info, live.as_ref())?;
    let text = |object: Option<&Object>| match object {
        None => String::new(),
        Some(object) => {
            let mut object = object.clone();
            if !ctx.flags.bool("show-managed-fields") {
                object.remove_at(&["metadata", "managedFields"]);
            }
            if object.kind() == "Secret" && !ctx.flags.bool("show-secrets") {
                mask(&mut object, live.as_ref());
            }
            docs::to_yaml(object.value())
        }
    };
    let (before, after) = (text(live.as_ref()), text(Some(&merged)));
    let group = if info.mapping.gvr.group.is_empty() { String::new() } else { format!("{}.", info.mapping.gvr.group) };
    let name = format!("{group}{}.{}.{}.{}", info.mapping.gvr.version, info.mapping.kind, info.namespace, info.name);
    let (old, new) = (format!("/tmp/LIVE-1/{name}"), format!("/tmp/MERGED-1/{name}"));
    let now = ctx.first_time();
    let hunks = unified::diff(&before, &after, 3);
    if hunks.is_empty() {
        return Ok(false);
    }
    let (y, mo, d, h, mi, s) = now.civil();
    let stamp = format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02}.000000000 +0000");
    ctx.print(format!("diff -u -N {old} {new}\n--- {old}\t{stamp}\n+++ {new}\t{stamp}\n{hunks}"));
    Ok(true)
}

fn merged(ctx: &mut Ctx, info: &Info, live: Option<&Object>) -> Res<Object> {
    let flags = ctx.flags.clone();
    let manager = flags.str("field-manager");
    let finish = |mut request: Request| {
        request.options.dry_run = true;
        request.options.field_manager = Some(manager.into());
        request
    };
    if flags.bool("server-side") {
        let mut request = finish(Request::patch(info.mapping.gvr, &info.key(), PatchType::Apply, info.object.value().clone()));
        request.options.force = flags.bool("force-conflicts");
        if !flags.changed("field-manager") {
            request.options.field_manager = Some("kubectl".into());
        }
        return ctx.call(request);
    }
    // The annotation of the last apply is not part of what is compared.
    let mut modified = info.object.clone();
    modified.value_mut().entry(&["metadata", "annotations"]).map_mut().remove(LAST_APPLIED);
    let Some(live) = live else {
        let mut created = ctx.call(finish(Request::create(info.mapping.gvr, info.object.clone())))?;
        created.remove_at(&["metadata", "managedFields"]);
        return Ok(created);
    };
    let (kind, mut patch) = three_way(info, live, &modified)?;
    if patch.as_map().is_some_and(|m| m.is_empty()) {
        return Ok(live.clone());
    }
    patch.set_at(&["metadata", "resourceVersion"], live.resource_version());
    ctx.call(finish(Request::patch(info.mapping.gvr, &info.key(), kind, patch)))
}

fn mask(object: &mut Object, live: Option<&Object>) {
    let keys: Vec<String> = object.map_at(&["data"]).into_iter().flat_map(|m| m.keys().map(|k| k.to_string())).collect();
    for key in keys {
        let same = live.and_then(|l| l.at(&["data", &key])) == object.at(&["data", &key]);
        let text = if same || live.is_none() { "***" } else { "*** (after)" };
        object.value_mut().entry(&["data"]).map_mut().insert(key.into(), text);
    }
}
