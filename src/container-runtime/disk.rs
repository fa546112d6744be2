//! The node's disk and its processes: what is taken of them, and the notice when little is left.
//!
//! A node here has one disk, for images, containers' layers, logs, volumes and the system. What is taken is counted by contents, where
//! a real one counts blocks. As with memory (`stats.rs`) nothing is polled: when a container has run, what it can be held for is compared
//! with before, and the kubelet is told once that it should look. Left out by name: a full disk refuses nothing, inodes, a disk of its own
//! for images.

use cri_api::cri::{self, Id, NodeStats};
use sim::Outbox;

use crate::{Container, Runtime, Text};

/// What the system takes of the disk, at most an eighth.
const SYSTEM_DISK: u64 = 2 << 30;
/// The system's processes, kernel threads included.
const SYSTEM_PROCESSES: u64 = 120;
/// The kernel allows a thread for each so many bytes of memory.
const MEMORY_PER_THREAD: u64 = 128 << 10;

/// What is watched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    /// The kubelet is told when less than this is available: bytes, processes.
    disk_below: u64,
    processes_below: u64,
    /// It was told, and has not looked yet.
    told: bool,
    /// Bytes of the images that were pulled.
    pub images: u64,
    /// What containers can be held for, all together. A volume of several counts for each: an upper bound.
    held: u64,
    /// Processes of all containers, as each had them when it ran last. Kept up while `processes_below` is set.
    processes: u64,
}

impl Watch {
    /// A container was removed.
    pub fn forget(&mut self, held: u64, processes: u32) {
        self.held = self.held.saturating_sub(held);
        self.processes = self.processes.saturating_sub(u64::from(processes));
    }
}

impl Runtime {
    /// From now on the kubelet is told when less than this is available on the disk (bytes), or of processes.
    pub fn notify_usage(&mut self, disk_below: u64, processes_below: u64) {
        self.watch = Watch { disk_below, processes_below, told: false, processes: 0, ..self.watch };
        let ids: Vec<Id> = self.containers.keys().cloned().collect();
        for id in ids {
            self.change(&id, |c| c.held_processes = 0);
            self.count_processes(&id);
        }
    }

    /// Brings the number of a container's processes up to date.
    fn count_processes(&mut self, id: &Id) {
        if self.watch.processes_below == 0 {
            return;
        }
        let Some(before) = self.containers.get(id).map(|c| c.held_processes) else { return };
        let held = self.machines.get(id).map_or(0, |m| m.process_count() as u32);
        if held != before {
            self.watch.processes = self.watch.processes - u64::from(before) + u64::from(held);
            self.change(id, |c| c.held_processes = held);
        }
    }

    /// A container may have written to the disk, or have other processes than before.
    pub(crate) fn weigh_disk(&mut self, id: &Id, out: &mut Outbox) {
        let Some(container) = self.containers.get(id) else { return };
        let volumes = self.machines.get(id).map_or(0, |m| m.disk_bytes(&self.volumes));
        let held = self.layer_bytes(id, container) + container.log_bytes + volumes;
        let before = container.held_disk;
        if held != before {
            self.watch.held = self.watch.held - before + held;
            self.change(id, |c| c.held_disk = held);
        }
        self.count_processes(id);
        if held > before || self.watch.processes_below > 0 {
            self.notice_usage(Some(id), out);
        }
    }

    /// Tells the kubelet to look if there is something to see. `grown`: the container that has changed.
    pub(crate) fn notice_usage(&mut self, grown: Option<&Id>, out: &mut Outbox) {
        if self.watch.told {
            return;
        }
        let low = || {
            let most = self.system_disk() + self.watch.images + self.watch.held + self.host.root.used();
            let nearly_full = self.config.disk.saturating_sub(most) < self.watch.disk_below;
            let busy = SYSTEM_PROCESSES + self.watch.processes + self.host.process_count() as u64;
            let nearly_busy = self.process_capacity().saturating_sub(busy) < self.watch.processes_below;
            let node = if nearly_full || nearly_busy { self.with_disk(NodeStats::default()) } else { return false };
            node.disk_available_bytes() < self.watch.disk_below || node.processes_available() < self.watch.processes_below
        };
        if grown.is_some_and(|id| self.is_over_its_limits(id)) || low() {
            self.watch.told = true;
            self.event(cri::Event::UsageHigh, out);
        }
    }

    fn is_over_its_limits(&self, id: &Id) -> bool {
        let Some(container) = self.containers.get(id) else { return false };
        let (own, pod) = (container.config.disk_limit.max(0) as u64, container.config.pod_disk_limit.max(0) as u64);
        let of_pod = || {
            let members = self.containers.values().filter(|c| c.sandbox == container.sandbox && c.is_running());
            members.map(|c| c.held_disk).sum::<u64>()
        };
        own > 0 && self.layer_bytes(id, container) + container.log_bytes > own || pod > 0 && of_pod() > pod
    }

    /// What a container has written to its own layer: what lies above its image.
    pub(crate) fn layer_bytes(&self, id: &Id, container: &Container) -> u64 {
        let root = self.machines.get(id).map(|m| m.root.used().saturating_sub(m.root.memory()));
        root.unwrap_or(0).saturating_sub(container.image.root.used())
    }

    fn process_capacity(&self) -> u64 {
        (self.config.memory / MEMORY_PER_THREAD).clamp(1 << 10, 4 << 20)
    }

    fn system_disk(&self) -> u64 {
        SYSTEM_DISK.min(self.config.disk / 8)
    }

    /// Adds what there is of disk and processes. The kubelet looks: it may be told again.
    pub(crate) fn with_disk(&self, node: NodeStats) -> NodeStats {
        let layers: u64 = self.containers.iter().map(|(id, c)| self.layer_bytes(id, c) + c.log_bytes).sum();
        let on_disk = self.volumes.iter().filter(|(_, v)| &*v.device != "tmpfs");
        let volumes: u64 = on_disk.map(|(_, v)| v.tree.used().saturating_sub(v.tree.memory())).sum();
        let processes: usize = self.machines.values().map(|m| m.process_count()).sum();
        NodeStats {
            disk_used_bytes: self.system_disk() + self.watch.images + layers + volumes + self.host.root.used(),
            disk_capacity_bytes: self.config.disk,
            processes: SYSTEM_PROCESSES + (processes + self.host.process_count()) as u64,
            process_capacity: self.process_capacity(),
            ..node
        }
    }

    /// What lies in pods' volumes on the disk. From here on the kubelet may be told again.
    pub(crate) fn volume_stats(&mut self) -> Vec<(Text, u64)> {
        self.watch.told = false;
        let of_pods = self.volume_ids.iter().filter(|(name, _)| !name.contains(':') && !self.host_paths.contains_key(*name));
        let bytes = |id| self.volumes.get(id).filter(|v| &*v.device != "tmpfs").map(|v| v.tree.used());
        of_pods.filter_map(|(name, id)| Some((name.clone(), bytes(*id)?))).collect()
    }
}
