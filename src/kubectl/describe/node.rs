//! Nodes: conditions, capacity, and what the pods on them ask for.

use apimachinery::{Object, ObjectKey, Quantity, Request, Value, resources};
use base::Sort as _;

use super::{Writer, events_of, events_table, rfc1123, show, since};
use crate::builder::Info;
use crate::ctx::{Ctx, Res, Stop};
use crate::printers::{go, tabwriter};

pub(super) fn node(ctx: &mut Ctx, info: &Info, mut w: Writer) -> Res<String> {
    let node = &info.object;
    let lease_key = ObjectKey::new("kube-node-lease", node.name());
    let lease = ctx.call_if_found(Request::get(resources::leases(), &lease_key))?;
    let pods = pods(ctx, node.name())?;
    let events = match ctx.flags.str("show-events") {
        "false" => None,
        _ => Some(events_of(ctx, info)?),
    };
    head(node, &mut w);
    lease_lines(lease.as_ref(), &mut w);
    conditions(node, &mut w);
    let addresses = node.list_at(&["status", "addresses"]);
    if !addresses.is_empty() {
        w.line(0, "Addresses:");
        for a in addresses {
            w.field(1, a.str_at(&["type"]).unwrap_or(""), a.str_at(&["address"]).unwrap_or(""));
        }
    }
    for (name, field) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
        let Some(list) = node.map_at(&["status", field]).filter(|m| !m.is_empty()) else { continue };
        w.line(0, format!("{name}:"));
        for (k, v) in list.iter() {
            w.field(1, k, go::sprint(v));
        }
    }
    system_info(node, &mut w);
    match &pods {
        Some(pods) => pod_tables(node, pods, &mut w),
        None => w.field(0, "Pods", "not authorized"),
    }
    if let Some(events) = events {
        events_table(&events, &mut w);
    }
    Ok(tabwriter::description(&w.out))
}

/// Pods of the node that are not over; `None` if they may not be seen.
fn pods(ctx: &mut Ctx, node: &str) -> Res<Option<Vec<Object>>> {
    let mut request = Request::list(resources::pods(), "");
    let selector = format!("spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed");
    request.options.field_selector = Some(selector.into());
    request.options.limit = 500;
    match ctx.list(request) {
        Ok(list) => Ok(Some(list.items)),
        Err(Stop::Err(error)) if error.status().is_some_and(|s| s.reason == "Forbidden") => Ok(None),
        Err(stop) => Err(stop),
    }
}

fn head(node: &Object, w: &mut Writer) {
    w.field(0, "Name", node.name());
    let mut roles: Vec<String> = Vec::new();
    for (k, v) in node.labels().into_iter().flat_map(|l| l.iter()) {
        match k.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => roles.push(role.into()),
            _ if &**k == "kubernetes.io/role" => roles.extend(v.as_str().map(String::from)),
            _ => {}
        }
    }
    roles.order();
    w.field(0, "Roles", super::or_none(roles.join(",")));
    w.labels(node);
    w.annotations(node);
    w.field(0, "CreationTimestamp", rfc1123(node.str_at(&["metadata", "creationTimestamp"])));
    let mut taints: Vec<String> = node
        .list_at(&["spec", "taints"])
        .iter()
        .map(|t| {
            let value = t.str_at(&["value"]).filter(|v| !v.is_empty()).map(|v| format!("={v}")).unwrap_or_default();
            format!("{}{value}:{}", show(t.get("key")), show(t.get("effect")))
        })
        .collect();
    taints.order();
    w.field(0, "Taints", super::or_none(taints.join("\n\t")));
    w.field(0, "Unschedulable", node.bool_at(&["spec", "unschedulable"]).unwrap_or(false).to_string());
}

fn lease_lines(lease: Option<&Object>, w: &mut Writer) {
    w.line(0, "Lease:");
    let Some(lease) = lease else { return w.line(1, "Failed to get lease: not found") };
    let time = |f: &str| lease.str_at(&["spec", f]).map_or("<unset>".into(), |t| rfc1123(Some(t)));
    w.field(1, "HolderIdentity", lease.str_at(&["spec", "holderIdentity"]).unwrap_or("<unset>"));
    w.field(1, "AcquireTime", time("acquireTime"));
    w.field(1, "RenewTime", time("renewTime"));
}

fn conditions(node: &Object, w: &mut Writer) {
    let list = node.list_at(&["status", "conditions"]);
    if list.is_empty() {
        return;
    }
    w.line(0, "Conditions:");
    w.line(1, "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    w.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for c in list {
        let text = |f: &str| c.str_at(&[f]).unwrap_or("");
        let time = |f: &str| rfc1123(c.str_at(&[f]));
        w.line(
            1,
            format!(
                "{} \t{} \t{} \t{} \t{} \t{}",
                text("type"),
                text("status"),
                time("lastHeartbeatTime"),
                time("lastTransitionTime"),
                text("reason"),
                text("message")
            ),
        );
    }
}

fn system_info(node: &Object, w: &mut Writer) {
    w.line(0, "System Info:");
    for (name, field) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ] {
        w.field(1, name, node.str_at(&["status", "nodeInfo", field]).unwrap_or(""));
    }
    if let Some(cidr) = node.str_at(&["spec", "podCIDR"]).filter(|c| !c.is_empty()) {
        w.field(0, "PodCIDR", cidr);
        w.field(0, "PodCIDRs", super::join(node.list_at(&["spec", "podCIDRs"]), ","));
    }
    if let Some(id) = node.str_at(&["spec", "providerID"]).filter(|i| !i.is_empty()) {
        w.field(0, "ProviderID", id);
    }
}

fn quantity(value: Option<&Value>) -> Option<Quantity> {
    Quantity::from_value(value?).ok()
}

fn zero() -> Quantity {
    Quantity::parse("0").expect("zero is a quantity")
}

/// What a pod asks for in `kind` (`requests`, `limits`) of a resource: the sum of its containers, or its largest init container.
fn asked(pod: &Object, kind: &str, name: &str) -> Quantity {
    let of = |c: &Value| quantity(c.at(&["resources", kind, name])).unwrap_or_else(zero);
    let mut sum = zero();
    pod.list_at(&["spec", "containers"]).iter().for_each(|c| sum += of(c));
    let mut sidecars = zero();
    let mut highest = zero();
    for c in pod.list_at(&["spec", "initContainers"]) {
        if c.str_at(&["restartPolicy"]) == Some("Always") {
            sidecars += of(c);
            highest = highest.max(sidecars);
        } else {
            highest = highest.max(sidecars + of(c));
        }
    }
    let mut total = (sum + sidecars).max(highest);
    if let Some(overhead) = quantity(pod.at(&["spec", "overhead", name])).filter(|_| kind == "requests" || !total.is_zero()) {
        total += overhead;
    }
    total
}

fn percent(part: Quantity, whole: Quantity) -> i64 {
    let (part, whole) = (part.milli_value() as i128, whole.milli_value() as i128);
    if whole == 0 { 0 } else { (part * 100 / whole) as i64 }
}

fn pod_tables(node: &Object, pods: &[Object], w: &mut Writer) {
    let allocatable = |name: &str| {
        quantity(node.at(&["status", "allocatable", name]))
            .or_else(|| quantity(node.at(&["status", "capacity", name])))
            .unwrap_or_else(zero)
    };
    let share = |q: Quantity, name: &str| format!("{q} ({}%)", percent(q, allocatable(name)));
    w.field(0, "Non-terminated Pods", format!("({} in total)", pods.len()));
    w.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    w.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    for pod in pods {
        let cell = |kind: &str, name: &str| share(asked(pod, kind, name), name);
        w.line(
            1,
            format!(
                "{}\t{}\t\t{}\t{}\t{}\t{}\t{}",
                pod.namespace(),
                pod.name(),
                cell("requests", "cpu"),
                cell("limits", "cpu"),
                cell("requests", "memory"),
                cell("limits", "memory"),
                since(pod.str_at(&["metadata", "creationTimestamp"]), w.now)
            ),
        );
    }
    w.line(0, "Allocated resources:");
    w.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)");
    w.line(1, "Resource\tRequests\tLimits");
    w.line(1, "--------\t--------\t------");
    let sum = |kind: &str, name: &str| {
        let mut total = zero();
        pods.iter().for_each(|pod| total += asked(pod, kind, name));
        total
    };
    let mut names: Vec<String> = vec!["cpu".into(), "memory".into(), "ephemeral-storage".into()];
    let known = node.map_at(&["status", "allocatable"]);
    let others = known.into_iter().flat_map(|m| m.keys()).filter(|k| k.starts_with("hugepages-") || k.contains('/'));
    names.extend(others.map(|k| k.to_string()));
    for name in names {
        let (requests, limits) = (sum("requests", &name), sum("limits", &name));
        match name.contains('/') {
            true => w.line(1, format!("{name}\t{requests}\t{limits}")),
            false => w.line(1, format!("{name}\t{}\t{}", share(requests, &name), share(limits, &name))),
        }
    }
}
