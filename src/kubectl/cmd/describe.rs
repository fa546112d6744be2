//! `kubectl describe`. Models `kubectl/pkg/cmd/describe`.

use std::rc::Rc;

use crate::builder::{Info, Named, Select};
use crate::ctx::{Ctx, Next, Res, Stop, done, each};
use crate::describe::describe;
use crate::error::{Error, aggregate};

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    if ctx.flags.args.is_empty() && !ctx.has_files() {
        return Err(Error::Raw(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of supported resources.\n"
                .into(),
        )
        .into());
    }
    let select = Select { all: true, latest: true, ..Select::of(ctx) };
    let (infos, before) = match ctx.infos_and_errors(&select)? {
        (infos, errors) if infos.is_empty() && errors.len() == 1 && errors[0].is_not_found() => by_prefix(ctx, &select, errors)?,
        found => found,
    };
    if infos.is_empty() && before.is_empty() {
        match select.all_namespaces {
            true => ctx.eprintln("No resources found"),
            false => {
                let namespace = ctx.namespace()?;
                ctx.eprintln(format!("No resources found in {namespace} namespace."));
            }
        }
        return done();
    }
    each(
        Rc::from(infos),
        true,
        |ctx, info: &Info, first: &mut bool| {
            let text = describe(ctx, info)?;
            if !std::mem::replace(first, false) {
                ctx.print("\n\n");
            }
            ctx.print(text);
            Ok(())
        },
        move |_, _, errors| {
            let mut all = before.clone();
            all.extend(errors);
            match aggregate(all) {
                Some(error) => Err(error.into()),
                None => done(),
            }
        },
    )
}

/// A name that does not exist may be the beginning of names that do.
fn by_prefix(ctx: &mut Ctx, select: &Select, errors: Vec<Error>) -> Res<(Vec<Info>, Vec<Error>)> {
    let Ok(Named::Types(types, names)) = ctx.named(&select.args) else { return Ok((Vec::new(), errors)) };
    let ([mapping], [prefix]) = (types.as_slice(), names.as_slice()) else { return Ok((Vec::new(), errors)) };
    let all = Select { args: vec![select.args[0].clone()], ..select.clone() };
    let request = ctx.list_request(&all, mapping)?;
    let items = match ctx.list(request) {
        Ok(list) => list.items,
        Err(Stop::Err(_)) => return Ok((Vec::new(), errors)),
        Err(stop) => return Err(stop),
    };
    let found: Vec<Info> = items
        .into_iter()
        .filter(|o| o.name().starts_with(prefix.as_str()))
        .map(|o| Info::from_object(mapping.clone(), o, ""))
        .collect();
    if found.is_empty() { Ok((found, errors)) } else { Ok((found, Vec::new())) }
}
