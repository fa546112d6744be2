//! `kubectl apply view-last-applied`, `set-last-applied` and `edit-last-applied`.

use apimachinery::{Object, PatchType, Value, json, value};

use super::util::{LAST_APPLIED, modified_configuration};
use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::docs;
use crate::error::Error;
use crate::printers::go;

fn annotation_patch(text: &str) -> Value {
    let annotations = apimachinery::Fields::from_entries(vec![(LAST_APPLIED.into(), Value::str(text))]);
    value!({"metadata": {"annotations": annotations}})
}

fn missing(name: &str) -> Error {
    Error::Plain(format!("no last-applied-configuration annotation found on resource: {name}"))
}

pub(super) fn view(ctx: &mut Ctx) -> Res<Next> {
    let format = ctx.flags.str("output").to_string();
    if !matches!(format.as_str(), "yaml" | "json") {
        return Err(Error::Usage(
            format!("Unexpected -o output mode: {format}, the flag 'output' must be one of yaml|json"),
            "kubectl apply view-last-applied".into(),
        )
        .into());
    }
    let select = Select { latest: true, ..Select::of(ctx) };
    for info in ctx.infos(&select)? {
        let Some(text) = info.object.annotation(LAST_APPLIED) else { return Err(missing(&info.name).into()) };
        let value = json::parse(text.as_bytes()).map_err(|e| Error::Plain(e.to_string()))?;
        let text = if format == "yaml" { docs::to_yaml(&value) } else { go::json_indent(&value, 2) + "\n" };
        ctx.print(text);
    }
    done()
}

pub(super) fn set(ctx: &mut Ctx) -> Res<Next> {
    if !ctx.has_files() {
        return fail("one or more files must be specified as -f");
    }
    let sources = ctx.sources()?;
    let (infos, errors) = ctx.file_infos(&sources, docs::Checks::Decode)?;
    if let Some(error) = crate::error::aggregate(errors) {
        return Err(error.into());
    }
    for info in infos {
        let live = ctx.fetch(&info.mapping, &info.namespace, &info.name, "")?;
        let config = modified_configuration(&info.object);
        let current = live.annotation(LAST_APPLIED).map(String::from);
        if current.is_none() && !ctx.flags.bool("create-annotation") {
            return fail(format!(
                "no last-applied-configuration annotation found on resource: {}, to create the annotation, run the command with --create-annotation",
                info.name
            ));
        }
        let changed = current.as_deref() != Some(&config);
        let mut object = live;
        if changed && ctx.dry_run()? != crate::printers::DryRun::Client {
            object = ctx.patch_object(&info, PatchType::Merge, annotation_patch(&config), "")?;
        }
        ctx.print_object(&object, "configured")?;
    }
    done()
}

pub(super) fn edit(ctx: &mut Ctx) -> Res<Next> {
    let select = Select { latest: true, ..Select::of(ctx) };
    for info in ctx.infos(&select)? {
        let Some(text) = info.object.annotation(LAST_APPLIED) else { return Err(missing(&info.name).into()) };
        let value = json::parse(text.as_bytes()).map_err(|e| Error::Plain(e.to_string()))?;
        let before = docs::to_yaml(&value);
        edit_one(ctx, &info, &before)?;
    }
    done()
}

fn edit_one(ctx: &mut Ctx, info: &Info, before: &str) -> Res<()> {
    let after = match ctx.edit(&info.label(), before)? {
        Ok(Some(text)) => text,
        Ok(None) => before.into(),
        Err(()) => return fail("there was a problem with the editor"),
    };
    if &*after == before {
        ctx.eprintln("Edit cancelled, no changes made.");
        return Ok(());
    }
    let value = docs::parse_yaml(&after).map_err(Error::Plain)?;
    let Some(object) = Object::from_value(value) else { return fail("the edited text is no object") };
    let patched = ctx.patch_object(info, PatchType::Merge, annotation_patch(&modified_configuration(&object)), "")?;
    ctx.print_object(&patched, "edited")
}
