//! Deployments, ReplicaSets, DaemonSets, StatefulSets, Jobs, CronJobs.

use apimachinery::{Object, Request, Value, labels, resources};

use super::pod_template::template_lines;
use super::{Writer, controlled_by, or_none, rfc1123, show, title};
use crate::builder::Info;
use crate::ctx::{Ctx, Res};

fn selector(object: &Object) -> String {
    match object.kind() {
        "ReplicationController" => super::format_labels(object.at(&["spec", "selector"])),
        _ => labels::format_label_selector(object.at(&["spec", "selector"])),
    }
}

fn template(object: &Object, w: &mut Writer) {
    template_lines(&object.at(&["spec", "template"]).cloned().unwrap_or_default(), w);
}

/// Pods of a controller by phase: running, waiting, succeeded, failed.
fn pod_counts(ctx: &mut Ctx, info: &Info) -> Res<String> {
    let mut request = Request::list(resources::pods(), &info.namespace);
    request.options.label_selector = Some(selector(&info.object).into());
    request.options.limit = 500;
    let mut counts = [0; 4];
    for pod in ctx.list(request)?.items {
        if pod.controller_ref().and_then(|c| c.str_at(&["uid"])) != Some(info.object.uid()) {
            continue;
        }
        match pod.str_at(&["status", "phase"]) {
            Some("Running") => counts[0] += 1,
            Some("Pending") => counts[1] += 1,
            Some("Succeeded") => counts[2] += 1,
            Some("Failed") => counts[3] += 1,
            _ => {}
        }
    }
    Ok(format!("{} Running / {} Waiting / {} Succeeded / {} Failed", counts[0], counts[1], counts[2], counts[3]))
}

fn count(object: &Object, field: &str) -> i64 {
    object.int_at(&["status", field]).unwrap_or(0)
}

fn conditions(object: &Object, w: &mut Writer) {
    let list = object.list_at(&["status", "conditions"]);
    if list.is_empty() {
        return;
    }
    w.line(0, "Conditions:");
    w.line(1, "Type\tStatus\tReason");
    w.line(1, "----\t------\t------");
    for c in list {
        let text = |f: &str| c.str_at(&[f]).unwrap_or("");
        w.line(1, format!("{} \t{}\t{}", text("type"), text("status"), text("reason")));
    }
}

pub(super) fn deployment(ctx: &mut Ctx, info: &Info, w: &mut Writer) -> Res<()> {
    let d = &info.object;
    let mut request = Request::list(resources::replicasets(), &info.namespace);
    request.options.label_selector = Some(selector(d).into());
    request.options.limit = 500;
    let sets: Vec<Object> = ctx
        .list(request)?
        .items
        .into_iter()
        .filter(|rs| rs.controller_ref().and_then(|c| c.str_at(&["uid"])) == Some(d.uid()))
        .collect();
    w.head(d);
    w.field(0, "CreationTimestamp", rfc1123(d.str_at(&["metadata", "creationTimestamp"])));
    w.labels(d);
    w.annotations(d);
    w.field(0, "Selector", selector(d));
    w.field(
        0,
        "Replicas",
        format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            d.int_at(&["spec", "replicas"]).unwrap_or(1),
            count(d, "updatedReplicas"),
            count(d, "replicas"),
            count(d, "availableReplicas"),
            count(d, "unavailableReplicas")
        ),
    );
    w.field(0, "StrategyType", d.str_at(&["spec", "strategy", "type"]).unwrap_or(""));
    w.field(0, "MinReadySeconds", d.int_at(&["spec", "minReadySeconds"]).unwrap_or(0).to_string());
    if let Some(rolling) = d.at(&["spec", "strategy", "rollingUpdate"]) {
        let text =
            format!("{} max unavailable, {} max surge", show(rolling.get("maxUnavailable")), show(rolling.get("maxSurge")));
        w.field(0, "RollingUpdateStrategy", text);
    }
    template(d, w);
    conditions(d, w);
    replica_sets(d, sets, w);
    Ok(())
}

fn replica_sets(d: &Object, sets: Vec<Object>, w: &mut Writer) {
    let bare = |object: &Object| {
        let mut template = object.at(&["spec", "template"]).cloned().unwrap_or_default();
        if template.at(&["metadata", "labels", "pod-template-hash"]).is_some() {
            template.entry(&["metadata", "labels"]).map_mut().remove("pod-template-hash");
        }
        template
    };
    let wanted = bare(d);
    let (new, old): (Vec<Object>, Vec<Object>) = sets.into_iter().partition(|rs| bare(rs) == wanted);
    let text = |sets: &[Object]| {
        let texts: Vec<String> = sets
            .iter()
            .map(|rs| {
                let want = rs.int_at(&["spec", "replicas"]).unwrap_or(0);
                format!("{} ({}/{want} replicas created)", rs.name(), count(rs, "replicas"))
            })
            .collect();
        or_none(texts.join(", "))
    };
    w.field(0, "OldReplicaSets", text(&old));
    w.field(0, "NewReplicaSet", text(&new));
}

pub(super) fn replicaset(ctx: &mut Ctx, info: &Info, w: &mut Writer) -> Res<()> {
    let rs = &info.object;
    let pods = pod_counts(ctx, info)?;
    w.head(rs);
    w.field(0, "Selector", selector(rs));
    w.labels(rs);
    w.annotations(rs);
    if let Some(controller) = controlled_by(rs) {
        w.field(0, "Controlled By", controller);
    }
    w.field(
        0,
        "Replicas",
        format!("{} current / {} desired", count(rs, "replicas"), rs.int_at(&["spec", "replicas"]).unwrap_or(1)),
    );
    w.field(0, "Pods Status", pods);
    template(rs, w);
    conditions(rs, w);
    Ok(())
}

pub(super) fn daemonset(ctx: &mut Ctx, info: &Info, w: &mut Writer) -> Res<()> {
    let ds = &info.object;
    let pods = pod_counts(ctx, info)?;
    w.head(ds);
    w.field(0, "Selector", selector(ds));
    w.field(0, "Node-Selector", super::format_labels(ds.at(&["spec", "template", "spec", "nodeSelector"])));
    w.labels(ds);
    w.annotations(ds);
    for (text, field) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        w.line(0, format!("{text}: {}", count(ds, field)));
    }
    w.field(0, "Pods Status", pods);
    template(ds, w);
    Ok(())
}

pub(super) fn statefulset(ctx: &mut Ctx, info: &Info, w: &mut Writer) -> Res<()> {
    let ss = &info.object;
    let pods = pod_counts(ctx, info)?;
    w.head(ss);
    w.field(0, "CreationTimestamp", rfc1123(ss.str_at(&["metadata", "creationTimestamp"])));
    w.field(0, "Selector", selector(ss));
    w.labels(ss);
    w.annotations(ss);
    for (name, field) in [("Service Name", "serviceName"), ("Pod Management Policy", "podManagementPolicy")] {
        if let Some(text) = ss.str_at(&["spec", field]).filter(|t| !t.is_empty()) {
            w.field(0, name, text);
        }
    }
    let want = ss.int_at(&["spec", "replicas"]).unwrap_or(1);
    w.field(0, "Replicas", format!("{want} desired | {} total", count(ss, "replicas")));
    w.field(0, "Update Strategy", ss.str_at(&["spec", "updateStrategy", "type"]).unwrap_or(""));
    if let Some(partition) = ss.int_at(&["spec", "updateStrategy", "rollingUpdate", "partition"]) {
        w.field(1, "Partition", partition.to_string());
        if let Some(max) = ss.at(&["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]) {
            w.field(1, "MaxUnavailable", show(Some(max)));
        }
    }
    if let Some(policy) = ss.at(&["spec", "persistentVolumeClaimRetentionPolicy"]) {
        w.line(0, "Persistent Volume Claim Retention Policy:");
        w.field(1, "WhenDeleted", policy.str_at(&["whenDeleted"]).unwrap_or(""));
        w.field(1, "WhenScaled", policy.str_at(&["whenScaled"]).unwrap_or(""));
    }
    w.field(0, "Pods Status", pods);
    template(ss, w);
    claim_templates(ss.list_at(&["spec", "volumeClaimTemplates"]), w);
    Ok(())
}

fn claim_templates(list: &[Value], w: &mut Writer) {
    if list.is_empty() {
        return w.line(0, "Volume Claims:\t<none>");
    }
    w.line(0, "Volume Claims:");
    for claim in list {
        w.field(1, "Name", claim.str_at(&["metadata", "name"]).unwrap_or(""));
        w.field(1, "StorageClass", claim.str_at(&["spec", "storageClassName"]).unwrap_or(""));
        w.map("  ", "Labels", claim.at(&["metadata", "labels"]), "=");
        w.map("  ", "Annotations", claim.at(&["metadata", "annotations"]), "=");
        let capacity = show(claim.at(&["spec", "resources", "requests", "storage"]));
        w.field(1, "Capacity", if capacity.is_empty() { "<default>".into() } else { capacity });
        w.field(1, "Access Modes", format!("[{}]", super::join(claim.list_at(&["spec", "accessModes"]), " ")));
    }
}

pub(super) fn job(job: &Object, w: &mut Writer) {
    w.head(job);
    w.field(0, "Selector", selector(job));
    w.labels(job);
    w.annotations(job);
    if let Some(controller) = controlled_by(job) {
        w.field(0, "Controlled By", controller);
    }
    let spec = |f: &str| job.at(&["spec", f]);
    if spec("parallelism").is_some() {
        w.field(0, "Parallelism", show(spec("parallelism")));
    }
    w.field(0, "Completions", if spec("completions").is_some() { show(spec("completions")) } else { "<unset>".into() });
    for (name, field) in [
        ("Completion Mode", "completionMode"),
        ("Suspend", "suspend"),
        ("Backoff Limit", "backoffLimit"),
        ("TTL Seconds After Finished", "ttlSecondsAfterFinished"),
    ] {
        if spec(field).is_some() {
            w.field(0, name, show(spec(field)));
        }
    }
    let time = |f: &str| job.str_at(&["status", f]).and_then(base::Time::parse);
    for (name, field) in [("Start Time", "startTime"), ("Completed At", "completionTime")] {
        if let Some(text) = job.str_at(&["status", field]) {
            w.field(0, name, rfc1123(Some(text)));
        }
    }
    if let (Some(start), Some(end)) = (time("startTime"), time("completionTime")) {
        w.field(0, "Duration", crate::printers::table::human(end.since(start)));
    }
    if let Some(deadline) = job.int_at(&["spec", "activeDeadlineSeconds"]) {
        w.field(0, "Active Deadline Seconds", format!("{deadline}s"));
    }
    let (active, succeeded, failed) = (count(job, "active"), count(job, "succeeded"), count(job, "failed"));
    let ready = job.int_at(&["status", "ready"]).map(|n| format!(" ({n} Ready)")).unwrap_or_default();
    w.field(0, "Pods Statuses", format!("{active} Active{ready} / {succeeded} Succeeded / {failed} Failed"));
    if job.str_at(&["spec", "completionMode"]) == Some("Indexed") {
        w.field(0, "Completed Indexes", or_none(job.str_at(&["status", "completedIndexes"]).unwrap_or("").to_string()));
    }
    template(job, w);
}

pub(super) fn cronjob(cron: &Object, w: &mut Writer) {
    w.head(cron);
    w.labels(cron);
    w.annotations(cron);
    let spec = |f: &str| cron.at(&["spec", f]);
    let unset = |f: &str, suffix: &str| match spec(f) {
        Some(value) => show(Some(value)) + suffix,
        None => "<unset>".into(),
    };
    w.field(0, "Schedule", show(spec("schedule")));
    w.field(0, "Concurrency Policy", show(spec("concurrencyPolicy")));
    w.field(0, "Suspend", title(cron.bool_at(&["spec", "suspend"]).unwrap_or(false)));
    w.field(0, "Time Zone", unset("timeZone", ""));
    w.field(0, "Successful Job History Limit", unset("successfulJobsHistoryLimit", ""));
    w.field(0, "Failed Job History Limit", unset("failedJobsHistoryLimit", ""));
    w.field(0, "Starting Deadline Seconds", unset("startingDeadlineSeconds", "s"));
    let job = |f: &str| cron.at(&["spec", "jobTemplate", "spec", f]);
    w.field(
        0,
        "Selector",
        if job("selector").is_some() { labels::format_label_selector(job("selector")) } else { "<unset>".into() },
    );
    for (name, field) in [("Parallelism", "parallelism"), ("Completions", "completions")] {
        w.field(0, name, if job(field).is_some() { show(job(field)) } else { "<unset>".into() });
    }
    template_lines(&job("template").cloned().unwrap_or_default(), w);
    w.field(0, "Last Schedule Time", cron.str_at(&["status", "lastScheduleTime"]).map_or("<unset>".into(), |t| rfc1123(Some(t))));
    let active: Vec<&str> = cron.list_at(&["status", "active"]).iter().filter_map(|j| j.str_at(&["name"])).collect();
    w.field(0, "Active Jobs", or_none(active.join(", ")));
}
