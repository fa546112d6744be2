//! `kubectl explain`: the schema's fields and types. Upstream's descriptions of built-in kinds are not carried over; custom resources
//! have those of their definition.

use apimachinery::schema::{self, StructType, Type, innermost};

use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::error::Error;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let [text] = flags.args.as_slice() else {
        let text = match flags.args.is_empty() {
            true => {
                "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources.\n"
            }
            false => "We accept only this format: explain RESOURCE\n",
        };
        return Err(Error::Raw(format!("error: {text}")).into());
    };
    let mut parts = text.split('.');
    let kind = parts.next().unwrap_or("");
    let mut path: Vec<&str> = parts.collect();
    let mapping = match ctx.resource_if_known(text)? {
        Some(mapping)
            if !path.is_empty() && text.contains('.') && mapping.gvr.group.with(|g| text.ends_with(g) && !g.is_empty()) =>
        {
            path.clear();
            mapping
        }
        _ => ctx.resource(kind)?,
    };
    let mut gvk = mapping.gvk();
    if !flags.str("api-version").is_empty() {
        gvk = apimachinery::Gvk::from_api_version(flags.str("api-version"), &mapping.kind);
    }
    let depth = if flags.bool("recursive") { flags.int("max-depth").filter(|d| *d > 0).unwrap_or(12) } else { 1 };
    let Some(root) = schema::of(gvk) else { return super::explain_custom::run(ctx, gvk, &path, depth) };
    let mut out = String::new();
    if !gvk.group.is_empty() {
        out.push_str(&format!("GROUP:      {}\n", gvk.group));
    }
    out.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", gvk.kind, gvk.version));
    let mut ty = Type::Struct(root);
    let mut shown = None;
    for (i, name) in path.iter().enumerate() {
        let field = innermost(&ty).as_struct().and_then(|s| s.field(name).cloned());
        let Some(field) = field else { return fail(format!("field {:?} does not exist", path[i])) };
        ty = field.ty.clone();
        shown = Some((field.name.to_string(), ty.explain_name()));
    }
    if let Some((name, kind)) = &shown {
        out.push_str(&format!("FIELD: {name} <{kind}>\n\n"));
    }
    out.push_str("DESCRIPTION:\n    (descriptions are not part of this bottle; names, types and required marks are)\n\n");
    if let Some(inner) = innermost(&ty).as_struct() {
        out.push_str("FIELDS:\n");
        fields(inner, 1, depth, &mut Vec::new(), &mut out);
    }
    ctx.print(out.trim_end().to_string() + "\n\n");
    done()
}

fn fields(ty: &StructType, depth: usize, max: i64, seen: &mut Vec<String>, out: &mut String) {
    for field in ty.fields() {
        let required = if field.required { " -required-" } else { "" };
        out.push_str(&format!("{}{}\t<{}>{required}\n", "  ".repeat(depth), field.name, field.ty.explain_name()));
        let inner = innermost(&field.ty).as_struct();
        if let Some(inner) = inner.filter(|_| (depth as i64) < max) {
            let name = inner.short_name().to_string();
            if !seen.contains(&name) {
                seen.push(name);
                fields(inner, depth + 1, max, seen, out);
                seen.pop();
            }
        } else if max == 1 && depth == 1 {
            out.push('\n');
        }
    }
}
