//! `kubectl set image`, `resources`, `serviceaccount`, `selector`, `subject`. Models `kubectl/pkg/cmd/set`.

use std::rc::Rc;

use apimachinery::{Object, Quantity, Value};

use super::create_rbac::subjects;
use super::create_workload::{QUANTITY_ERROR, label_selector, resource_list};
use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Next, Res, Stop, done, each, fail};
use crate::error::{Error, aggregate};
use crate::merge;
use crate::printers::DryRun;

/// Where a kind keeps its pod template's spec.
pub(super) fn pod_spec_path(object: &Object) -> Option<&'static [&'static str]> {
    match object.kind() {
        "Pod" => Some(&["spec"]),
        "CronJob" => Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" | "ReplicationController" | "Job" => {
            Some(&["spec", "template", "spec"])
        }
        _ => None,
    }
}

pub(super) fn no_template(info: &Info) -> Error {
    Error::Plain(format!(
        "{}/{} the object is not a pod or does not have a pod template: *{}.{}",
        info.mapping.gvr.resource, info.name, info.mapping.gvr.version, info.mapping.kind
    ))
}

/// The objects of a `set` command: those named before the changes.
pub(super) fn select(ctx: &Ctx, args: Vec<String>) -> Select {
    Select { args, latest: true, ..Select::of(ctx) }
}

/// Changes every object by `change`, sends the difference, prints `operation`.
pub(super) fn change_all(
    ctx: &mut Ctx,
    select: Select,
    operation: &'static str,
    failure: &'static str,
    change: impl Fn(&mut Ctx, &Info) -> Res<Option<Object>> + 'static,
) -> Res<Next> {
    let (infos, before) = ctx.infos_and_errors(&select)?;
    each(
        Rc::from(infos),
        (),
        move |ctx, info: &Info, ()| {
            let Some(changed) = change(ctx, info)? else { return Ok(()) };
            if ctx.flags.bool("local") || ctx.dry_run()? == DryRun::Client {
                return ctx.print_object(&changed, operation);
            }
            let (kind, patch) = merge::two_way(info.object.value(), changed.value(), info.mapping.gvk());
            if patch.is_empty() {
                return match failure {
                    "failed to patch resources update to pod template" | "failed to patch image update to pod template" => Ok(()),
                    _ => ctx.print_object(&info.object, operation),
                };
            }
            match ctx.patch_object(info, kind, patch, "") {
                Ok(object) => ctx.print_object(&object, operation),
                Err(Stop::Err(error)) => Err(Error::Plain(format!("{failure} {}", error.text())).into()),
                Err(stop) => Err(stop),
            }
        },
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

/// Splits arguments into objects and `key=value` words.
pub(super) fn split(args: &[String], is_word: impl Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
    let at = args.iter().position(|a| is_word(a)).unwrap_or(args.len());
    (args[..at].to_vec(), args[at..].to_vec())
}

pub(super) fn image(ctx: &mut Ctx) -> Res<Next> {
    let (objects, words) = split(&ctx.flags.args.clone(), |a| a.contains('='));
    if objects.is_empty() && !ctx.has_files() {
        return fail("one or more resources must be specified as <resource> <name> or <resource>/<name>");
    }
    if words.is_empty() {
        return fail("at least one image update is required");
    }
    let mut images: Vec<(String, String)> = Vec::new();
    for word in &words {
        let (name, image) = word.split_once('=').unwrap_or((word, ""));
        if image.is_empty() {
            return fail(format!("all container images must be specified as name=image: {word}"));
        }
        images.push((name.into(), image.into()));
    }
    if images.len() > 1 && images.iter().any(|(n, _)| n == "*") {
        return fail("all containers are already specified by *, but saw more than one container_name=container_image pairs");
    }
    let select = select(ctx, objects);
    change_all(ctx, select, "image updated", "failed to patch image update to pod template", move |_, info| {
        let Some(path) = pod_spec_path(&info.object) else { return Err(no_template(info).into()) };
        let mut object = info.object.clone();
        let mut errors = Vec::new();
        for (name, image) in &images {
            let mut found = false;
            for list in ["initContainers", "containers"] {
                let full = [path, &[list]].concat();
                if object.list_at(&full).is_empty() {
                    continue;
                }
                for container in object.value_mut().entry(&full).list_mut() {
                    if name == "*" || container.str_at(&["name"]) == Some(name) {
                        container.set_at(&["image"], image);
                        found = true;
                    }
                }
            }
            if !found {
                errors.push(Error::Plain(format!("unable to find container named {name:?}")));
            }
        }
        match aggregate(errors) {
            Some(error) => Err(error.into()),
            None => Ok(Some(object)),
        }
    })
}

/// Whether a container's name fits a pattern with `*`.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail),
    }
}

pub(super) fn resources(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    if flags.str("limits").is_empty() && flags.str("requests").is_empty() {
        return fail("you must specify an update to requests or limits (in the form of --requests/--limits)");
    }
    for text in [flags.str("limits"), flags.str("requests")] {
        for part in text.split(',').filter(|p| !p.is_empty()) {
            if part.split_once('=').is_some_and(|(_, amount)| Quantity::parse(amount).is_err()) {
                return fail(QUANTITY_ERROR);
            }
        }
    }
    let (limits, requests) = (resource_list(flags.str("limits"))?, resource_list(flags.str("requests"))?);
    let pattern = flags.str("containers").to_string();
    let select = select(ctx, flags.args.clone());
    change_all(
        ctx,
        select,
        "resource requirements updated",
        "failed to patch resources update to pod template",
        move |_, info| {
            let Some(path) = pod_spec_path(&info.object) else { return Err(no_template(info).into()) };
            let mut object = info.object.clone();
            let mut found = false;
            for list in ["initContainers", "containers"] {
                let full = [path, &[list]].concat();
                if object.list_at(&full).is_empty() {
                    continue;
                }
                for container in object.value_mut().entry(&full).list_mut() {
                    if !fits(&pattern, container.str_at(&["name"]).unwrap_or("")) {
                        continue;
                    }
                    found = true;
                    for (field, list) in [("limits", &limits), ("requests", &requests)] {
                        for (k, v) in list.as_map().into_iter().flat_map(|m| m.iter()) {
                            container.entry(&["resources", field]).map_mut().insert(k.clone(), v);
                        }
                    }
                }
            }
            match found {
                true => Ok(Some(object)),
                false => fail(format!("unable to find container named {pattern}")),
            }
        },
    )
}

pub(super) fn serviceaccount(ctx: &mut Ctx) -> Res<Next> {
    let mut args = ctx.flags.args.clone();
    let Some(name) = args.pop() else { return fail("serviceaccount is required") };
    let select = select(ctx, args);
    change_all(ctx, select, "serviceaccount updated", "failed to patch ServiceAccountName", move |_, info| {
        let Some(path) = pod_spec_path(&info.object) else { return Err(no_template(info).into()) };
        let mut object = info.object.clone();
        object.set_at(&[path, &["serviceAccountName"]].concat(), name.as_str());
        if object.at(&[path, &["serviceAccount"]].concat()).is_some() {
            object.set_at(&[path, &["serviceAccount"]].concat(), name.as_str());
        }
        Ok(Some(object))
    })
}

pub(super) fn selector(ctx: &mut Ctx) -> Res<Next> {
    let mut args = ctx.flags.args.clone();
    let Some(text) = args.pop() else {
        return fail("one or more resources must be specified as <resource> <name> or <resource>/<name>");
    };
    let selector = label_selector(&text)?;
    let select = select(ctx, args);
    change_all(ctx, select, "selector updated", "failed to patch selector", move |ctx, info| {
        let expressions = selector.list_at(&["matchExpressions"]);
        if &*info.mapping.kind != "Service" {
            return fail("setting a selector is only supported for Services");
        }
        if !expressions.is_empty() {
            let texts: Vec<String> = expressions
                .iter()
                .map(|e| {
                    let values: Vec<&str> = e.list_at(&["values"]).iter().filter_map(Value::as_str).collect();
                    format!(
                        "{{{} {} [{}]}}",
                        e.str_at(&["key"]).unwrap_or(""),
                        e.str_at(&["operator"]).unwrap_or(""),
                        values.join(" ")
                    )
                })
                .collect();
            return fail(format!("match expression [{}] not supported on this object", texts.join(" ")));
        }
        let mut object = info.object.clone();
        let version = ctx.flags.str("resource-version");
        if !version.is_empty() {
            object.set_at(&["metadata", "resourceVersion"], version);
        }
        object.set_at(&["spec", "selector"], selector.get("matchLabels").cloned().unwrap_or_else(Value::map));
        Ok(Some(object))
    })
}

pub(super) fn subject(ctx: &mut Ctx) -> Res<Next> {
    let more = subjects(ctx)?;
    if more.is_empty() {
        return fail("you must specify at least one value of user, group or serviceaccount");
    }
    let select = select(ctx, ctx.flags.args.clone());
    change_all(ctx, select, "subjects updated", "failed to patch subjects to rolebinding:", move |_, info| {
        if !matches!(&*info.mapping.kind, "RoleBinding" | "ClusterRoleBinding") {
            return fail("setting subjects is only supported for RoleBinding/ClusterRoleBinding");
        }
        let mut object = info.object.clone();
        let list = object.value_mut().entry(&["subjects"]).list_mut();
        for subject in &more {
            let same = |s: &Value| {
                ["kind", "name", "namespace"].iter().all(|f| s.str_at(&[f]).unwrap_or("") == subject.str_at(&[f]).unwrap_or(""))
            };
            if !list.iter().any(same) {
                list.push(subject.clone());
            }
        }
        Ok(Some(object))
    })
}
