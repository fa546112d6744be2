//! Which pod goes first, and what is said of it. Models the comparators and messages of `pkg/kubelet/eviction/helpers.go`.

use std::cmp::Reverse;
use std::rc::Rc;

use apimachinery::{Object, Quantity, Value};
use cri_api::cri::{ContainerStats, NodeStats};

use super::{Signal, Threshold};
use crate::admission;
use crate::pod::{all_specs, app_specs, init_specs};

type Text = Rc<str>;

/// What the eviction manager sees in one look.
pub struct Usage<'a> {
    pub node: NodeStats,
    pub containers: &'a [ContainerStats],
    /// Bytes in pods' volumes on the disk, by `<pod uid>/<volume name>`.
    pub volumes: &'a [(Text, u64)],
}

impl Usage<'_> {
    pub fn containers_of(&self, uid: &str) -> impl Iterator<Item = &ContainerStats> {
        self.containers.iter().filter(move |s| &*s.pod_uid == uid)
    }

    /// Bytes in a pod's volume.
    pub fn volume(&self, uid: &str, name: &str) -> i64 {
        let id = format!("{uid}/{name}");
        self.volumes.iter().find(|(volume, _)| **volume == *id).map_or(0, |(_, bytes)| *bytes as i64)
    }

    /// What a pod takes of the disk: layers, logs, and the volumes that are its own.
    pub fn disk_of(&self, pod: &Object) -> i64 {
        let containers: i64 = self.containers_of(pod.uid()).map(disk).sum();
        let own = |v: &&Value| {
            let on_disk = v.get("emptyDir").is_some_and(|e| e.str_at(&["medium"]) != Some("Memory"));
            on_disk || v.get("configMap").is_some()
        };
        let volumes = pod.list_at(&["spec", "volumes"]).iter().filter(own).filter_map(|v| v.str_at(&["name"]));
        containers + volumes.map(|name| self.volume(pod.uid(), name)).sum::<i64>()
    }
}

/// A container's layer and its log.
pub(super) fn disk(stats: &ContainerStats) -> i64 {
    (stats.rootfs_used_bytes + stats.logs_used_bytes) as i64
}

/// Who goes first: those above their requests, then by priority, then those furthest above.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    within_requests: bool,
    priority: i64,
    above: Reverse<i64>,
}

impl Rank {
    pub fn of(pod: &Object, signal: Signal, usage: &Usage<'_>) -> Rank {
        let priority = super::priority(pod);
        let above = match signal {
            Signal::Memory => {
                let used: i64 = usage.containers_of(pod.uid()).map(|s| s.memory_working_set_bytes as i64).sum();
                used - admission::requests(pod).1
            }
            Signal::NodeFs | Signal::ImageFs => usage.disk_of(pod) - disk_request(pod),
            // Nobody asks for processes.
            Signal::Pid => {
                let used: u64 = usage.containers_of(pod.uid()).map(|s| s.processes).sum();
                return Rank { within_requests: false, priority, above: Reverse(used as i64) };
            }
        };
        Rank { within_requests: above <= 0, priority, above: Reverse(above) }
    }
}

fn amount(container: &Value, kind: &str, name: &str) -> Option<Quantity> {
    container.at(&["resources", kind, name]).and_then(|q| Quantity::from_value(q).ok())
}

fn disk_request(pod: &Object) -> i64 {
    let of = |c: &Value| amount(c, "requests", "ephemeral-storage").map_or(0, |q| q.value());
    let sum: i64 = app_specs(pod).iter().map(|s| of(&s.value)).sum();
    init_specs(pod).iter().map(|s| of(&s.value)).fold(sum, i64::max)
}

/// What all of a pod's containers may take of the disk. `None`: no container has a limit.
pub fn pod_disk_limit(pod: &Object) -> Option<Quantity> {
    let limits = |specs: Vec<crate::pod::Spec>| -> Vec<Quantity> {
        specs.iter().filter_map(|s| amount(&s.value, "limits", "ephemeral-storage")).collect()
    };
    let apps = limits(app_specs(pod));
    let inits = limits(init_specs(pod));
    let sum = apps.iter().map(Quantity::value).sum::<i64>();
    let most = inits.iter().map(Quantity::value).fold(sum, i64::max);
    let format = apps.iter().chain(&inits).next()?.format();
    Some(Quantity::new(most).with_format(format))
}

/// Models `evictionMessage`.
pub(super) fn message(pod: &Object, threshold: &Threshold, usage: &Usage<'_>) -> String {
    let signal = threshold.signal;
    let resource = signal.resource();
    let mut text = format!(
        "The node was low on resource: {resource}. Threshold quantity: {}, available: {}. ",
        threshold.text(&usage.node),
        signal.amount(signal.available(&usage.node).max(0))
    );
    if signal == Signal::Pid {
        return text;
    }
    let specs = all_specs(pod);
    for used in usage.containers_of(pod.uid()) {
        let Some(spec) = specs.iter().find(|s| s.name == used.container) else { continue };
        let request = amount(&spec.value, "requests", resource);
        let bytes = if signal == Signal::Memory { used.memory_working_set_bytes as i64 } else { disk(used) };
        if bytes > request.as_ref().map_or(0, |q| q.value()) {
            let request = request.map_or_else(|| "0".to_string(), |q| q.canonical());
            text.push_str(&format!(
                "Container {} was using {}, request is {request}, has larger consumption of {resource}. ",
                spec.name,
                signal.amount(bytes)
            ));
        }
    }
    text
}

/// Why a pod has taken more of the disk than it may; `None`: it hasn't. Models `localStorageEviction`.
pub(super) fn over_its_limits(pod: &Object, usage: &Usage<'_>) -> Option<String> {
    for volume in pod.list_at(&["spec", "volumes"]) {
        let Some(name) = volume.str_at(&["name"]) else { continue };
        let limit = volume.at(&["emptyDir", "sizeLimit"]).and_then(|q| Quantity::from_value(q).ok());
        let on_disk = volume.str_at(&["emptyDir", "medium"]) != Some("Memory");
        if let Some(limit) = limit.filter(|l| on_disk && l.value() > 0 && usage.volume(pod.uid(), name) > l.value()) {
            return Some(format!("Usage of EmptyDir volume \"{name}\" exceeds the limit \"{}\". ", limit.canonical()));
        }
    }
    if let Some(limit) = pod_disk_limit(pod).filter(|l| usage.disk_of(pod) > l.value()) {
        let limit = limit.canonical();
        return Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "));
    }
    let specs = all_specs(pod);
    usage.containers_of(pod.uid()).find_map(|used| {
        let spec = specs.iter().find(|s| s.name == used.container)?;
        let limit = amount(&spec.value, "limits", "ephemeral-storage").filter(|l| l.value() > 0 && disk(used) > l.value())?;
        Some(format!("Container {} exceeded its local ephemeral storage limit \"{}\". ", spec.name, limit.canonical()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn pod(resources: Value, volumes: Value) -> Object {
        let container = value!({"name": "c", "resources": resources});
        Object::from_value(value!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u"},
            "spec": {"containers": [container], "volumes": volumes}
        }))
        .expect("a map was built")
    }

    fn used(memory: u64, rootfs: u64) -> ContainerStats {
        ContainerStats {
            pod_uid: "u".into(),
            pod_namespace: "default".into(),
            pod_name: "p".into(),
            container: "c".into(),
            started_at: base::Time::EPOCH,
            cpu_nanos_total: 0,
            memory_working_set_bytes: memory,
            rootfs_used_bytes: rootfs,
            logs_used_bytes: 0,
            processes: 1,
        }
    }

    fn node(available: u64) -> NodeStats {
        NodeStats { memory_capacity_bytes: available, disk_capacity_bytes: available, ..NodeStats::default() }
    }

    #[test]
    fn the_message_names_containers_above_their_request() {
        let pod = pod(value!({"requests": {"memory": "64Mi"}}), value!([]));
        let memory = &Threshold::defaults()[0];
        let said =
            |bytes: u64| message(&pod, memory, &Usage { node: node(50 << 20), containers: &[used(bytes, 0)], volumes: &[] });
        let start = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ";
        let more = "Container c was using 200Mi, request is 64Mi, has larger consumption of memory. ";
        assert_eq!(said(200 << 20), format!("{start}{more}"));
        assert_eq!(said(1 << 20), start);
        let disk = Threshold::hard(Signal::NodeFs, super::super::Amount::parse("1Gi").unwrap());
        let usage = Usage { node: node(512 << 20), containers: &[used(0, 3 << 20)], volumes: &[] };
        assert_eq!(
            message(&pod, &disk, &usage),
            "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 512Mi. Container c was using 3Mi, request is 0, has larger consumption of ephemeral-storage. "
        );
    }

    #[test]
    fn limits_of_the_disk_are_looked_at_in_upstreams_order() {
        let volumes = value!([{"name": "scratch", "emptyDir": {"sizeLimit": "2Mi"}}, {"name": "free", "emptyDir": {}}]);
        let pod = pod(value!({"limits": {"ephemeral-storage": "4Mi"}}), volumes);
        let said = |rootfs: u64, scratch: u64, free: u64| {
            let volumes = [("u/scratch".into(), scratch), ("u/free".into(), free)];
            over_its_limits(&pod, &Usage { node: node(1), containers: &[used(0, rootfs)], volumes: &volumes })
        };
        assert_eq!(said(1 << 20, 1 << 20, 1 << 20), None);
        assert_eq!(said(0, 3 << 20, 0).unwrap(), "Usage of EmptyDir volume \"scratch\" exceeds the limit \"2Mi\". ");
        let whole = "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ";
        assert_eq!(said(1 << 20, 0, 4 << 20).unwrap(), whole);
        assert_eq!(said(5 << 20, 0, 0).unwrap(), whole);
    }
}
