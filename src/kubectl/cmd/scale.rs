//! `kubectl scale`. Models `kubectl/pkg/cmd/scale` and `pkg/scale`.

use apimachinery::{PatchType, Request, value};

use crate::builder::Select;
use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::error::aggregate;
use crate::printers::DryRun;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let replicas = flags.int("replicas").unwrap_or(-1);
    if replicas < 0 {
        return fail("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    }
    if flags.bool("all") && !flags.str("selector").is_empty() {
        return fail("cannot set --all and --selector at the same time");
    }
    let select = Select { latest: true, ..Select::of(ctx) };
    let (infos, errors) = ctx.infos_and_errors(&select)?;
    if let Some(error) = aggregate(errors) {
        return Err(error.into());
    }
    if infos.is_empty() {
        return fail("no objects passed to scale");
    }
    let (current, version) = (flags.int("current-replicas").unwrap_or(-1), flags.str("resource-version"));
    for info in infos {
        let dry_run = ctx.dry_run()?;
        if dry_run == DryRun::Client {
            ctx.print_object(&info.object, "scaled")?;
            continue;
        }
        let checked = current >= 0 || !version.is_empty();
        if checked {
            let scale = ctx.call(Request::get(info.mapping.gvr, &info.key()).with_subresource("scale"))?;
            let have = scale.int_at(&["spec", "replicas"]).unwrap_or(0);
            if current >= 0 && have != current {
                return fail(format!("Expected replicas to be {current}, was {have}"));
            }
            if !version.is_empty() && scale.resource_version() != version {
                return fail(format!("Expected resource version to be {version}, was {}", scale.resource_version()));
            }
            let mut scale = scale;
            scale.set_at(&["spec", "replicas"], replicas);
            let mut request = Request::update(info.mapping.gvr, scale).with_subresource("scale");
            request.namespace = info.namespace.clone();
            request.name = info.name.clone();
            let request = ctx.writing(request)?;
            ctx.call(request)?;
        } else {
            ctx.patch_object(&info, PatchType::Merge, value!({"spec": {"replicas": replicas}}), "scale")?;
        }
        let timeout = flags.duration("timeout");
        if timeout > base::Duration::ZERO && dry_run == DryRun::None {
            wait(ctx, &info, replicas, timeout)?;
        }
        ctx.print_object(&info.object, "scaled")?;
    }
    done()
}

fn wait(ctx: &mut Ctx, info: &crate::builder::Info, replicas: i64, timeout: base::Duration) -> Res<()> {
    let end = ctx.first_time() + timeout;
    loop {
        let scale = ctx.call(Request::get(info.mapping.gvr, &info.key()).with_subresource("scale"))?;
        if scale.int_at(&["status", "replicas"]).unwrap_or(0) == replicas {
            return Ok(());
        }
        if ctx.now > end {
            return fail("timed out waiting for the condition");
        }
        ctx.sleep(base::Duration::from_millis(500))?;
    }
}
