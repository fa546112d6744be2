//! `kubectl certificate approve` and `deny`.

use apimachinery::{Request, value};

use crate::builder::Select;
use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::error::aggregate;

pub(super) fn approve(ctx: &mut Ctx) -> Res<Next> {
    decide(ctx, "Approved", "KubectlApprove", "This CSR was approved by kubectl certificate approve.", "approved")
}
pub(super) fn deny(ctx: &mut Ctx) -> Res<Next> {
    decide(ctx, "Denied", "KubectlDeny", "This CSR was denied by kubectl certificate deny.", "denied")
}

fn decide(ctx: &mut Ctx, kind: &str, reason: &str, message: &str, word: &str) -> Res<Next> {
    let mut args = ctx.flags.args.clone();
    if args.is_empty() && !ctx.has_files() {
        return fail("one or more CSRs must be specified as <name> or -f <filename>");
    }
    if !args.is_empty() {
        args.insert(0, "certificatesigningrequests".into());
    }
    let (infos, errors) = ctx.infos_and_errors(&Select { args, latest: true, ..Select::of(ctx) })?;
    if let Some(error) = aggregate(errors) {
        return Err(error.into());
    }
    for info in infos {
        let other = if kind == "Approved" { "Denied" } else { "Approved" };
        if info.object.condition(other).is_some() {
            return fail(format!("certificate signing request {:?} is already {other}", &*info.name));
        }
        let mut object = info.object.clone();
        if info.object.condition(kind).is_none() || ctx.flags.bool("force") {
            let condition = value!({
                "type": kind, "status": "True", "reason": reason, "message": message, "lastUpdateTime": (ctx.first_time().rfc3339())
            });
            object.value_mut().entry(&["status", "conditions"]).list_mut().push(condition);
            let request = Request::update(info.mapping.gvr, object).with_subresource("approval");
            object = ctx.call(request)?;
        }
        ctx.print_object(&object, word)?;
    }
    done()
}
