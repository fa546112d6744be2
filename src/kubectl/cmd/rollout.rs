//! `kubectl rollout`: status, pause, resume, restart, undo. Models `kubectl/pkg/cmd/rollout` and `pkg/polymorphichelpers`.

use std::rc::Rc;

use apimachinery::{Object, PatchType, Value, WatchEventType, value};

use super::history::{revisions, template_text};
use super::util::LAST_APPLIED;
use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Event, Next, Res, done, each, fail, then};
use crate::error::{Error, aggregate};
use crate::merge;
use crate::printers::DryRun;

pub(super) use super::history::history;

fn infos(ctx: &mut Ctx) -> Res<(Vec<Info>, Vec<Error>)> {
    if ctx.flags.args.is_empty() && !ctx.has_files() {
        return Err(Error::Usage("required resource not specified".into(), ctx.flags.path()).into());
    }
    ctx.infos_and_errors(&Select { latest: true, all: !ctx.flags.str("selector").is_empty(), ..Select::of(ctx) })
}

/// Runs `change` on every object; what it returns is sent as a patch and announced.
fn patch_all(ctx: &mut Ctx, operation: &'static str, change: fn(&Info, base::Time) -> Result<Object, String>) -> Res<Next> {
    let (infos, before) = infos(ctx)?;
    each(
        Rc::from(infos),
        (),
        move |ctx, info: &Info, ()| {
            let changed = change(info, ctx.now).map_err(Error::Plain)?;
            let (kind, patch) = merge::two_way(info.object.value(), changed.value(), info.mapping.gvk());
            if patch.is_empty() {
                return ctx.print_object(&info.object, operation);
            }
            let object = ctx.patch_object(info, kind, patch, "")?;
            ctx.print_object(&object, operation)
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

fn label(info: &Info) -> String {
    format!("{} \"{}\"", info.mapping.gvr.group_resource(), info.name)
}

fn paused(info: &Info) -> bool {
    info.object.bool_at(&["spec", "paused"]).unwrap_or(false)
}

pub(super) fn pause(ctx: &mut Ctx) -> Res<Next> {
    patch_all(ctx, "paused", |info, _| {
        if !info.mapping.is("apps", "Deployment") {
            return Err(format!("{} pausing is not supported", label(info)));
        }
        if paused(info) {
            return Err(format!("{} is already paused", label(info)));
        }
        let mut object = info.object.clone();
        object.set_at(&["spec", "paused"], true);
        Ok(object)
    })
}

pub(super) fn resume(ctx: &mut Ctx) -> Res<Next> {
    patch_all(ctx, "resumed", |info, _| {
        if !info.mapping.is("apps", "Deployment") {
            return Err(format!("{} resuming is not supported", label(info)));
        }
        if !paused(info) {
            return Err(format!("{} is not paused", label(info)));
        }
        let mut object = info.object.clone();
        object.remove_at(&["spec", "paused"]);
        Ok(object)
    })
}

pub(super) fn restart(ctx: &mut Ctx) -> Res<Next> {
    patch_all(ctx, "restarted", |info, now| {
        let restartable = ["Deployment", "DaemonSet", "StatefulSet"].iter().any(|kind| info.mapping.is("apps", kind));
        if !restartable {
            return Err(format!("{} restarting is not supported", label(info)));
        }
        if paused(info) {
            return Err(format!("{} can't restart paused deployment (run rollout resume first)", label(info)));
        }
        let mut object = info.object.clone();
        let annotations = object.value_mut().entry(&["spec", "template", "metadata", "annotations"]).map_mut();
        annotations.insert("kubectl.kubernetes.io/restartedAt".into(), now.rfc3339());
        Ok(object)
    })
}

// ------------------------------------------------------------------ undo

pub(super) fn undo(ctx: &mut Ctx) -> Res<Next> {
    let to = ctx.flags.int("to-revision").unwrap_or(0);
    if to < 0 {
        return fail(format!("revision number cannot be negative: {to}"));
    }
    let (infos, errors) = infos(ctx)?;
    if let Some(error) = aggregate(errors) {
        return Err(error.into());
    }
    for info in infos {
        undo_one(ctx, &info, to)?;
    }
    done()
}

fn undo_one(ctx: &mut Ctx, info: &Info, to: i64) -> Res<()> {
    if info.object.annotation(LAST_APPLIED).is_some() {
        ctx.warn(&format!(
            "resource {}/{} was previously managed with 'kubectl apply'. Rolling back will not update the {LAST_APPLIED} annotation, which may cause unexpected behavior on future 'kubectl apply' operations. Consider using 'kubectl apply' with your previous configuration file instead.",
            info.mapping.gvr.resource, info.name
        ));
    }
    let Some(all) = revisions(ctx, info)? else {
        return fail(format!("no rollbacker has been implemented for {:?}", info.mapping.kind_group_name()));
    };
    let deployment = info.mapping.is("apps", "Deployment");
    let target = match to {
        0 if all.len() < 2 => return fail(no_history(info, deployment)),
        0 => &all[all.len() - 2],
        n => match all.iter().find(|r| r.number == n) {
            Some(revision) => revision,
            None => return fail(format!("unable to find specified revision {n} in history")),
        },
    };
    if deployment && paused(info) {
        return fail(format!(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume deployment/{}' and try again",
            info.name
        ));
    }
    let dry_run = ctx.dry_run()?;
    if dry_run == DryRun::Client {
        let text = template_text(&target.template);
        return announce(ctx, info, &text);
    }
    let mut template = target.template.clone();
    remove_label(&mut template, "pod-template-hash");
    let mut current = info.object.at(&["spec", "template"]).cloned().unwrap_or_default();
    remove_label(&mut current, "pod-template-hash");
    if current == template {
        return announce(ctx, info, &format!("skipped rollback (current template already matches revision {})", target.number));
    }
    let mut request = match deployment {
        true => {
            let mut operations = vec![value!({"op": "replace", "path": "/spec/template", "value": (&template)})];
            let mut annotations = info.object.at(&["metadata", "annotations"]).cloned().unwrap_or_else(Value::map);
            let skip = |k: &str| {
                matches!(
                    k,
                    LAST_APPLIED
                        | "deployment.kubernetes.io/revision"
                        | "deployment.kubernetes.io/revision-history"
                        | "deployment.kubernetes.io/desired-replicas"
                        | "deployment.kubernetes.io/max-replicas"
                        | "deprecated.deployment.rollback.to"
                )
            };
            annotations.map_mut().retain(|k, _| skip(k));
            for (k, v) in target.annotations.iter().flat_map(|a| a.iter()).filter(|(k, _)| !skip(k)) {
                annotations.map_mut().insert(k.clone(), v);
            }
            operations.push(value!({"op": "replace", "path": "/metadata/annotations", "value": annotations}));
            apimachinery::Request::patch(info.mapping.gvr, &info.key(), PatchType::Json, operations.into())
        }
        false => {
            let mut patch = value!({"spec": {"template": (&template)}});
            patch.set_at(&["spec", "template", "$patch"], "replace");
            apimachinery::Request::patch(info.mapping.gvr, &info.key(), PatchType::StrategicMerge, patch)
        }
    };
    request.options.dry_run = dry_run == DryRun::Server;
    ctx.call(request)?;
    announce(ctx, info, "rolled back")
}

fn remove_label(template: &mut Value, name: &str) {
    if template.at(&["metadata", "labels", name]).is_some() {
        template.entry(&["metadata", "labels"]).map_mut().remove(name);
    }
}

fn no_history(info: &Info, deployment: bool) -> String {
    if deployment {
        format!("no rollout history found for deployment {:?}", &*info.name)
    } else {
        "no last revision to roll back to".into()
    }
}

fn announce(ctx: &mut Ctx, info: &Info, text: &str) -> Res<()> {
    ctx.print_object(&info.object, text)
}

// ------------------------------------------------------------------ status

pub(super) fn status(ctx: &mut Ctx) -> Res<Next> {
    let (infos, errors) = infos(ctx)?;
    if let Some(error) = aggregate(errors) {
        return Err(error.into());
    }
    if infos.len() != 1 && ctx.flags.str("selector").is_empty() && !ctx.has_files() {
        return fail("rollout status is only supported on individual resources and resource collections");
    }
    follow(infos.into(), 0)
}

/// Follows the rollout of the objects from `at` on, one after the other.
fn follow(infos: Rc<[Info]>, at: usize) -> Res<Next> {
    then(move |ctx| {
        let Some(info) = infos.get(at) else { return done() };
        let revision = ctx.flags.int("revision").unwrap_or(0);
        check_viewer(info)?;
        if !ctx.flags.bool("watch") {
            let live = ctx.fetch(&info.mapping, &info.namespace, &info.name, "")?;
            let (text, _) = progress(&live, revision).map_err(Error::Plain)?;
            ctx.print(text);
            return follow(infos.clone(), at + 1);
        }
        let timeout = ctx.flags.duration("timeout");
        let timer = if timeout > base::Duration::ZERO { ctx.timer(timeout)? } else { 0 };
        let stream = ctx.watch_one(&info.mapping, &info.namespace, &info.name)?;
        watch(infos.clone(), at, stream, timer)
    })
}

fn check_viewer(info: &Info) -> Res<()> {
    let known = ["Deployment", "DaemonSet", "StatefulSet"].iter().any(|kind| info.mapping.is("apps", kind));
    if known { Ok(()) } else { fail(format!("no status viewer has been implemented for {}", info.mapping.kind_group_name())) }
}

fn watch(infos: Rc<[Info]>, at: usize, stream: u32, timer: u32) -> Res<Next> {
    then(move |ctx| {
        match ctx.next_event()? {
            (id, Event::Watch(event)) if id == stream => match event.kind {
                WatchEventType::Added | WatchEventType::Modified => {
                    let revision = ctx.flags.int("revision").unwrap_or(0);
                    let (text, finished) = progress(&event.object, revision).map_err(Error::Plain)?;
                    ctx.print(text);
                    if finished {
                        ctx.cancel(stream);
                        return follow(infos.clone(), at + 1);
                    }
                }
                WatchEventType::Deleted => return fail("object has been deleted"),
                _ => {}
            },
            (id, Event::Timer) if id == timer => return fail("timed out waiting for the condition"),
            (id, Event::End) if id == stream => return follow(infos.clone(), at),
            _ => {}
        }
        watch(infos.clone(), at, stream, timer)
    })
}

/// What to say of a rollout, and whether it is over.
fn progress(object: &Object, revision: i64) -> Result<(String, bool), String> {
    match object.kind() {
        "Deployment" => deployment(object, revision),
        "DaemonSet" => daemonset(object),
        _ => statefulset(object),
    }
}

fn counts(object: &Object, name: &str) -> i64 {
    object.int_at(&["status", name]).unwrap_or(0)
}

fn seen(object: &Object) -> bool {
    object.generation() <= counts(object, "observedGeneration")
}

fn deployment(object: &Object, revision: i64) -> Result<(String, bool), String> {
    if revision > 0 {
        let now: i64 = object.annotation("deployment.kubernetes.io/revision").and_then(|t| t.parse().ok()).unwrap_or(0);
        if now != revision {
            return Err(format!("desired revision ({revision}) is different from the running revision ({now})"));
        }
    }
    if !seen(object) {
        return Ok(("Waiting for deployment spec update to be observed...\n".into(), false));
    }
    let name = object.name();
    if object.condition("Progressing").and_then(|c| c.str_at(&["reason"])) == Some("ProgressDeadlineExceeded") {
        return Err(format!("deployment {name:?} exceeded its progress deadline"));
    }
    let want = object.int_at(&["spec", "replicas"]).unwrap_or(1);
    let (updated, all, available) =
        (counts(object, "updatedReplicas"), counts(object, "replicas"), counts(object, "availableReplicas"));
    let waiting = |text: String| Ok((format!("Waiting for deployment {name:?} rollout to finish: {text}...\n"), false));
    if updated < want {
        return waiting(format!("{updated} out of {want} new replicas have been updated"));
    }
    if all > updated {
        return waiting(format!("{} old replicas are pending termination", all - updated));
    }
    if available < updated {
        return waiting(format!("{available} of {updated} updated replicas are available"));
    }
    Ok((format!("deployment {name:?} successfully rolled out\n"), true))
}

fn daemonset(object: &Object) -> Result<(String, bool), String> {
    if object.str_at(&["spec", "updateStrategy", "type"]) != Some("RollingUpdate") {
        return Err("rollout status is only available for RollingUpdate strategy type".into());
    }
    if !seen(object) {
        return Ok(("Waiting for daemon set spec update to be observed...\n".into(), false));
    }
    let name = object.name();
    let want = counts(object, "desiredNumberScheduled");
    let (updated, available) = (counts(object, "updatedNumberScheduled"), counts(object, "numberAvailable"));
    if updated < want {
        return Ok((
            format!("Waiting for daemon set {name:?} rollout to finish: {updated} out of {want} new pods have been updated...\n"),
            false,
        ));
    }
    if available < want {
        return Ok((
            format!("Waiting for daemon set {name:?} rollout to finish: {available} of {want} updated pods are available...\n"),
            false,
        ));
    }
    Ok((format!("daemon set {name:?} successfully rolled out\n"), true))
}

fn statefulset(object: &Object) -> Result<(String, bool), String> {
    if object.str_at(&["spec", "updateStrategy", "type"]) != Some("RollingUpdate") {
        return Err("rollout status is only available for RollingUpdate strategy type".into());
    }
    if !seen(object) || counts(object, "observedGeneration") == 0 {
        return Ok(("Waiting for statefulset spec update to be observed...\n".into(), false));
    }
    let want = object.int_at(&["spec", "replicas"]).unwrap_or(1);
    let (ready, updated) = (counts(object, "readyReplicas"), counts(object, "updatedReplicas"));
    if ready < want {
        return Ok((format!("Waiting for {} pods to be ready...\n", want - ready), false));
    }
    let partition = object.int_at(&["spec", "updateStrategy", "rollingUpdate", "partition"]).unwrap_or(0);
    if partition > 0 {
        if updated < want - partition {
            let text = format!(
                "Waiting for partitioned roll out to finish: {updated} out of {} new pods have been updated...\n",
                want - partition
            );
            return Ok((text, false));
        }
        return Ok((format!("partitioned roll out complete: {updated} new pods have been updated...\n"), true));
    }
    let revision = |field| object.str_at(&["status", field]).unwrap_or("").to_string();
    if revision("updateRevision") != revision("currentRevision") {
        let text = format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {}...\n",
            revision("updateRevision")
        );
        return Ok((text, false));
    }
    let current = counts(object, "currentReplicas");
    Ok((format!("statefulset rolling update complete {current} pods at revision {}...\n", revision("currentRevision")), true))
}
