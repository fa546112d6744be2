//! `kubectl patch`. Models `kubectl/pkg/cmd/patch/patch.go`.

use apimachinery::{Object, PatchType, Value};

use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Next, Res, Stop, done, fail};
use crate::docs;
use crate::error::Error;
use crate::merge as patch;
use crate::printers::DryRun;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let kind = match flags.str("type").to_lowercase().as_str() {
        "json" => PatchType::Json,
        "merge" => PatchType::Merge,
        "strategic" => PatchType::StrategicMerge,
        _ => return fail(format!("--type must be one of [json merge strategic], not {:?}", flags.str("type"))),
    };
    let (inline, file) = (flags.str("patch"), flags.str("patch-file"));
    let text = match (inline.is_empty(), file.is_empty()) {
        (false, false) => return fail("cannot specify --patch and --patch-file together"),
        (true, true) => return fail("must specify --patch or --patch-file containing the contents of the patch"),
        (false, true) => inline.to_string(),
        (true, false) => match ctx.read_file(file)? {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => return fail(format!("unable to read patch file: open {file}: no such file or directory")),
        },
    };
    let body = docs::parse_yaml(&text).map_err(|e| Error::Plain(format!("unable to parse {text:?}: {e}")))?;
    let select = Select { latest: !flags.bool("local"), subresource: flags.str("subresource").into(), ..Select::of(ctx) };
    let (infos, errors) = ctx.infos_and_errors(&select)?;
    if let Some(error) = crate::error::aggregate(errors) {
        return Err(error.into());
    }
    if infos.is_empty() {
        return fail("no objects passed to patch");
    }
    for info in infos {
        patch_one(ctx, &info, kind, &body)?;
    }
    done()
}

fn patch_one(ctx: &mut Ctx, info: &Info, kind: PatchType, body: &Value) -> Res<()> {
    let flags = ctx.flags.clone();
    if flags.bool("local") || ctx.dry_run()? == DryRun::Client {
        let patched = patch::apply(kind, info.object.value(), body, info.mapping.gvk());
        let value = patched.map_err(Error::Plain)?;
        let object = Object::from_value(value).unwrap_or_default();
        return finish(ctx, &info.object, &object);
    }
    let patched = match ctx.patch_object(info, kind, body.clone(), flags.str("subresource")) {
        Ok(patched) => patched,
        Err(Stop::Err(error)) => {
            return Err(match error.status() {
                Some(status) if status.reason == "UnsupportedMediaType" => Error::Plain(format!(
                    "application/strategic-merge-patch+json is not supported by {}: {}",
                    info.mapping.go_kind(),
                    status.message
                ))
                .into(),
                _ => Stop::Err(error),
            });
        }
        Err(stop) => return Err(stop),
    };
    finish(ctx, &info.object, &patched)
}

fn finish(ctx: &mut Ctx, before: &Object, after: &Object) -> Res<()> {
    let strip = |object: &Object| {
        let mut object = object.clone();
        object.remove_at(&["metadata", "managedFields"]);
        object.remove_at(&["metadata", "resourceVersion"]);
        object
    };
    let operation = if strip(before) == strip(after) { "patched (no change)" } else { "patched" };
    ctx.print_object(after, operation)
}
