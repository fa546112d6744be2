//! `kubectl rollout history`, and the revisions that `undo` chooses from. Models `kubectl/pkg/polymorphichelpers/history.go`.

use apimachinery::{Fields, Object, PatchType, Request, Value, labels, resources};
use base::Sort as _;

use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::describe::pod_template;
use crate::error::aggregate;
use crate::merge;
use crate::printers::{Output, tabwriter};

/// A revision of a pod template.
pub(super) struct Revision {
    pub number: i64,
    pub template: Value,
    /// Of the object that keeps it.
    pub annotations: Option<Fields>,
    pub holder: Object,
}

/// All revisions, oldest first. `None` if the kind has none.
pub(super) fn revisions(ctx: &mut Ctx, info: &Info) -> Res<Option<Vec<Revision>>> {
    let deployment = info.mapping.is("apps", "Deployment");
    if !deployment && !["DaemonSet", "StatefulSet"].iter().any(|kind| info.mapping.is("apps", kind)) {
        return Ok(None);
    }
    let selector = labels::format_label_selector(info.object.at(&["spec", "selector"]));
    let gvr = if deployment { resources::replicasets() } else { resources::controllerrevisions() };
    let mut request = Request::list(gvr, &info.namespace);
    request.options.label_selector = Some(selector.into());
    let mut all = Vec::new();
    for holder in ctx.list(request)?.items {
        if holder.controller_ref().and_then(|c| c.str_at(&["uid"])) != Some(info.object.uid()) {
            continue;
        }
        let (number, template) = match deployment {
            true => {
                let number = holder.annotation("deployment.kubernetes.io/revision").and_then(|t| t.parse().ok());
                (number.unwrap_or(0), holder.at(&["spec", "template"]).cloned())
            }
            false => {
                let data = holder.get("data").cloned().unwrap_or_default();
                let merged = merge::apply(PatchType::StrategicMerge, info.object.value(), &data, info.mapping.gvk());
                let template = merged.ok().and_then(|v| v.at(&["spec", "template"]).cloned());
                (holder.int_at(&["revision"]).unwrap_or(0), template)
            }
        };
        all.push(Revision { number, template: template.unwrap_or_default(), annotations: holder.annotations().cloned(), holder });
    }
    all.order_by_key(|r| r.number);
    Ok(Some(all))
}

const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

pub(super) fn history(ctx: &mut Ctx) -> Res<Next> {
    let (infos, errors) =
        ctx.infos_and_errors(&Select { latest: true, all: !ctx.flags.str("selector").is_empty(), ..Select::of(ctx) })?;
    if let Some(error) = aggregate(errors) {
        return Err(error.into());
    }
    let wanted = ctx.flags.int("revision").unwrap_or(0);
    if wanted < 0 {
        return fail(format!("revision must be a positive integer: {wanted}"));
    }
    for info in infos {
        let Some(all) = revisions(ctx, &info)? else {
            return fail(format!("no history viewer has been implemented for {:?}", info.mapping.kind_group_name()));
        };
        if !matches!(ctx.output(false)?, Output::Words) {
            for revision in all.iter().filter(|r| wanted == 0 || r.number == wanted) {
                ctx.print_object(&revision.holder, "")?;
            }
            continue;
        }
        let label = info.label();
        if wanted > 0 {
            let Some(revision) = all.iter().find(|r| r.number == wanted) else {
                return fail(format!("unable to find the specified revision: unable to find revision {wanted}"));
            };
            let mut template = revision.template.clone();
            let cause = revision.annotations.as_ref().and_then(|a| a.get(CHANGE_CAUSE)).cloned();
            if let Some(cause) = cause.filter(|_| info.mapping.is("apps", "Deployment")) {
                template.entry(&["metadata", "annotations"]).map_mut().insert(CHANGE_CAUSE.into(), cause);
            }
            ctx.print(format!("{label} with revision #{wanted}\n{}", template_text(&template)));
            continue;
        }
        let mut text = "REVISION\tCHANGE-CAUSE\n".to_string();
        for revision in &all {
            let cause = revision.annotations.as_ref().and_then(|a| a.get(CHANGE_CAUSE)).and_then(Value::as_str);
            text.push_str(&format!("{}\t{}\n", revision.number, cause.filter(|c| !c.is_empty()).unwrap_or("<none>")));
        }
        ctx.print(format!("{label} \n{}\n", tabwriter::description(&text)));
    }
    done()
}

/// A pod template as `rollout history --revision` prints it: with bare tabs.
pub(super) fn template_text(template: &Value) -> String {
    pod_template::text(template, 0)
}
