//! `kubectl edit`. Models `kubectl/pkg/cmd/util/editor/editoptions.go`.

use apimachinery::{Object, Value};

use super::util::{LAST_APPLIED, modified_configuration};
use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Next, Res, Stop, done, fail};
use crate::docs;
use crate::error::Error;
use crate::merge as patch;
use crate::printers::go;

const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
";

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let select = Select { latest: true, subresource: ctx.flags.str("subresource").into(), ..Select::of(ctx) };
    let infos = ctx.infos(&select)?;
    if infos.is_empty() {
        return fail("edit cancelled, no objects found");
    }
    for info in infos {
        edit_one(ctx, &info)?;
    }
    done()
}

fn body_of(ctx: &Ctx, object: &Object) -> String {
    let shown = ctx.presentable(object);
    if ctx.flags.str("output") == "json" { go::json_pretty(shown.value()) + "\n" } else { docs::to_yaml(shown.value()) }
}

fn edit_one(ctx: &mut Ctx, info: &Info) -> Res<()> {
    let original = body_of(ctx, &info.object);
    let mut text = format!("{HEADER}{original}");
    let mut reasons = String::new();
    loop {
        let edited = match ctx.edit(&info.label(), &text)? {
            Ok(Some(edited)) => edited.to_string(),
            Ok(None) => text.clone(),
            Err(()) => {
                let editor = ctx.env.var("KUBE_EDITOR").or_else(|| ctx.env.var("EDITOR")).unwrap_or("vi").to_string();
                return fail(format!("there was a problem with the editor {editor:?}"));
            }
        };
        let bare = |t: &str| t.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect::<String>();
        if edited == text && !reasons.is_empty() {
            preserved(ctx, info, &edited)?;
            return fail("Edit cancelled, no valid changes were saved.");
        }
        if bare(&edited).trim_end() == original.trim_end() {
            ctx.eprintln("Edit cancelled, no changes made.");
            return Ok(());
        }
        if bare(&edited).trim().is_empty() {
            // sigs.k8s.io/yaml reads it as null: no object.
            ctx.eprintln(format!("error: {} \"{}\" is invalid", info.mapping.gvr.group_resource(), info.name));
            preserved(ctx, info, &edited)?;
            return fail("Edit cancelled, no valid changes were saved.");
        }
        let parsed = docs::parse_yaml(&edited).ok().and_then(Object::from_value);
        let Some(object) = parsed.filter(|o| !o.kind().is_empty()) else {
            ctx.eprintln(format!("error: {} \"{}\" is invalid", info.mapping.gvr.group_resource(), info.name));
            reasons = format!(
                "# {} \"{}\" was not valid:\n# * <nil>: Invalid value: \"The edited file failed validation\"\n#\n",
                info.mapping.gvr.resource, info.name
            );
            text = with_reasons(&edited, &reasons);
            continue;
        };
        match save(ctx, info, object, &edited) {
            Ok(()) => return Ok(()),
            Err(Stop::Err(error))
                if error.status().is_some_and(|s| matches!(s.reason.as_str(), "Invalid" | "BadRequest" | "Forbidden")) =>
            {
                ctx.report(&error);
                let lines: String = error.report().0.lines().map(|l| format!("# {l}\n")).collect();
                reasons = format!("# {} \"{}\" was not valid:\n{lines}#\n", info.mapping.gvr.resource, info.name);
                text = with_reasons(&edited, &reasons);
            }
            Err(stop) => return Err(stop),
        }
    }
}

fn with_reasons(edited: &str, reasons: &str) -> String {
    let body: String = edited.lines().skip_while(|l| l.starts_with('#')).map(|l| format!("{l}\n")).collect();
    format!("{HEADER}{reasons}{body}")
}

/// Keeps what was typed, as upstream does, in a file.
fn preserved(ctx: &mut Ctx, info: &Info, text: &str) -> Res<()> {
    let path = format!("/tmp/kubectl-edit-{}.yaml", info.name);
    let _ = ctx.write_file(&path, text.as_bytes())?;
    ctx.eprintln(format!("A copy of your changes has been stored to \"{path}\""));
    Ok(())
}

fn save(ctx: &mut Ctx, info: &Info, mut object: Object, text: &str) -> Res<()> {
    let old = ctx.presentable(&info.object);
    if object.api_version() != old.api_version() || object.kind() != old.kind() || object.name() != old.name() {
        preserved(ctx, info, text)?;
        return fail("At least one of apiVersion, kind and name was changed");
    }
    let saves = ctx.flags.bool("save-config");
    if saves {
        let config = modified_configuration(&object);
        object.value_mut().entry(&["metadata", "annotations"]).map_mut().insert(LAST_APPLIED.into(), config);
    }
    let (kind, patch) = patch::two_way(old.value(), object.value(), info.mapping.gvk());
    if patch.as_map().is_some_and(|m| m.is_empty()) {
        ctx.eprintln("Edit cancelled, no changes made.");
        return Ok(());
    }
    if ctx.flags.bool("output-patch") {
        ctx.println(format!("Patch: {}", go::json(&patch)));
    }
    let subresource = ctx.flags.str("subresource").to_string();
    let mut request = apimachinery::Request::patch(info.mapping.gvr, &info.key(), kind, patch).with_subresource(&subresource);
    request.options.field_validation = Some(ctx.validation()?.into());
    let request = ctx.writing(request)?;
    let changed = ctx.call(request)?;
    let mut label = changed;
    if label.kind().is_empty() {
        label = info.object.clone();
    }
    let operation = "edited";
    let name = crate::printers::resource_name(&label);
    if ctx.flags.str("output").is_empty() || matches!(ctx.flags.str("output"), "yaml" | "json") {
        ctx.println(format!("{name} {operation}"));
    } else {
        ctx.print_object(&label, operation)?;
    }
    Ok(())
}

/// What `create --edit` opens.
pub(super) fn edit_text(ctx: &mut Ctx, name: &str, value: &Value) -> Res<Value> {
    let text = format!("{HEADER}{}", docs::to_yaml(value));
    match ctx.edit(name, &text)? {
        Ok(Some(edited)) => Ok(docs::parse_yaml(&edited).map_err(Error::Plain)?),
        Ok(None) => Ok(value.clone()),
        Err(()) => fail("there was a problem with the editor"),
    }
}
