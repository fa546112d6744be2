//! `kubectl replace`. Models `kubectl/pkg/cmd/replace/replace.go`.

use std::rc::Rc;

use apimachinery::Request;

use super::delete::delete_and_wait;
use super::util::{LAST_APPLIED, with_last_applied};
use crate::builder::Info;
use crate::ctx::{Ctx, Next, Res, Stop, done, each, fail};
use crate::docs::Checks;
use crate::error::aggregate;
use crate::printers::DryRun;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    if !ctx.has_files() {
        return fail("must specify --filename, --kustomize or --raw");
    }
    if !ctx.flags.str("raw").is_empty() {
        return fail("replace --raw is not in this bottle");
    }
    if ctx.flags.bool("force") && ctx.dry_run()? != DryRun::None {
        return fail("--dry-run can not be used when --force is set");
    }
    let checks = if ctx.validation()? == "Ignore" { Checks::Decode } else { Checks::Schema };
    let sources = ctx.sources()?;
    let (infos, before) = ctx.file_infos(&sources, checks)?;
    if infos.is_empty() && before.is_empty() {
        return fail("no objects passed to replace");
    }
    each(
        Rc::from(infos),
        (),
        |ctx, info: &Info, ()| replace_one(ctx, info),
        move |_, (), errors| {
            let mut all = before.clone();
            all.extend(errors);
            match aggregate(all) {
                Some(error) => Err(error.into()),
                None => done(),
            }
        },
    )
}

fn replace_one(ctx: &mut Ctx, info: &Info) -> Res<()> {
    let mut object = info.object.clone();
    if ctx.flags.bool("save-config") || object.annotation(LAST_APPLIED).is_some() {
        object = with_last_applied(&object);
    }
    if ctx.dry_run()? == DryRun::Client {
        return ctx.print_object(&object, "replaced");
    }
    if ctx.flags.bool("force") {
        let grace = ctx.flags.int("grace-period").unwrap_or(-1);
        delete_and_wait(ctx, info, if grace < 0 { 0 } else { grace })?;
        object.remove_at(&["metadata", "resourceVersion"]);
        let created = ctx.create_object(info, &object)?;
        return ctx.print_object(&created, "replaced");
    }
    let mut request = Request::update(info.mapping.gvr, object).with_subresource(ctx.flags.str("subresource"));
    request.options.field_validation = Some(ctx.validation()?.into());
    let request = ctx.writing(request)?;
    match ctx.call(request) {
        Ok(replaced) => ctx.print_object(&replaced, "replaced"),
        Err(Stop::Err(error)) => Err(error.from_source("replacing", &info.source).into()),
        Err(stop) => Err(stop),
    }
}
