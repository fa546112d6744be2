//! What containers and the machine use of CPU and memory: the figures behind `ContainerStats`, and the kernel's killer.
//!
//! In a real node these are cgroups' counters, which containerd reads for the kubelet. Here they are a model, the same for all who
//! ask (eviction manager, `/metrics/resource`, `crictl stats`):
//!
//! - **CPU.** A step of a program ([`cri_api::Machine::used_steps`]) is [`NANOS_PER_STEP`] of one core, so that a busy loop takes
//!   a whole core: the bucket of steps gives a container 20,000 a second. All processes of a container share one core. A limit
//!   below a core makes the bucket smaller; work of a burst is accounted at the container's rate, so use never shows more than
//!   the limit. Components (kube-apiserver …) and the system have a nominal use of their kind ([`nominal`]).
//! - **Memory.** What the processes hold (variables, buffers, what a program says it would hold:
//!   [`cri_api::Sys::reserve_memory`]), files in `/dev/shm`, and files in tmpfs volumes, counted in every container that may
//!   write to the volume. The page cache is left out: it is given back before anything is killed.
//!
//! Above a container's limit the process that grew is killed in its [`cri_api::Machine`]. Above the machine's memory the killer
//! here takes the container with the highest score, as the kernel does by use and `oom_score_adj`. Nothing is polled: weights
//! change when a container has run, and the kubelet is told when little is left (memcg's threshold notifier).
//! Left out by name: swap, page cache, memory of the kernel, pressure stall information.

use base::{Duration, Time};
use cri_api::cri::{self, ContainerStats, Id, NodeStats};
use cri_api::{Cpu, MachineInput};
use sim::Outbox;

use crate::image::Start;
use crate::{Container, Runtime};

/// What a step of a program stands for.
const NANOS_PER_STEP: u64 = 50_000;
/// Kubelet, container runtime and the rest of the system.
const SYSTEM_MILLI: u64 = 30;
const SYSTEM_MEMORY: u64 = 260 << 20;

/// CPU time of a container: steps that have run, paid out at the container's rate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuMeter {
    seen_steps: u64,
    owed_nanos: u64,
    total_nanos: u64,
    read_at: Time,
}

impl CpuMeter {
    /// CPU time until now, of a container that may use `rate_milli` thousandths of a core and has run `steps`.
    fn read(&mut self, now: Time, steps: u64, rate_milli: u64) -> u64 {
        self.owed_nanos += steps.saturating_sub(self.seen_steps) * NANOS_PER_STEP;
        self.seen_steps = steps;
        let elapsed = now.since(self.read_at).as_micros().max(0) as u64;
        let paid = self.owed_nanos.min(elapsed.saturating_mul(rate_milli));
        self.owed_nanos -= paid;
        self.total_nanos += paid;
        self.read_at = now;
        self.total_nanos
    }
}

/// The bucket of steps of a container with this limit in millicores (0: none).
pub(crate) fn cpu_bucket(limit_milli: i64) -> Cpu {
    let whole = Cpu::default();
    Cpu { per_second: (whole.per_second as u64 * rate(limit_milli) / 1000).max(1) as u32, ..whole }
}

/// Millicores that a container can use: its limit, and never more than the one core that its processes share.
fn rate(limit_milli: i64) -> u64 {
    if limit_milli > 0 { (limit_milli as u64).min(1000) } else { 1000 }
}

/// What a component uses: thousandths of a core, bytes.
fn nominal(program: &str) -> (u64, u64) {
    let (milli, mib) = match program {
        "kube-apiserver" => (60, 280),
        "etcd" => (25, 60),
        "kube-controller-manager" => (20, 56),
        "kube-scheduler" => (5, 26),
        "coredns" => (2, 16),
        "kube-proxy" => (1, 18),
        _ => (5, 24),
    };
    (milli, mib << 20)
}

impl Runtime {
    /// From now on the kubelet is told when less than this is available.
    pub fn notify_memory(&mut self, available_below: u64) {
        self.memory_notice = available_below;
    }

    /// What the machine is short of, and what it has.
    pub fn node_memory(&self) -> NodeStats {
        let capacity = self.config.memory;
        let used = self.held_memory + SYSTEM_MEMORY.min(capacity / 8);
        NodeStats { memory_working_set_bytes: used, memory_capacity_bytes: capacity, ..NodeStats::default() }
    }

    /// Use of each running container and of the machine.
    pub(crate) fn stats(&mut self, now: Time) -> cri::Response {
        let running: Vec<Id> = self.containers.iter().filter(|(_, c)| c.is_running()).map(|(id, _)| id.clone()).collect();
        let containers: Vec<ContainerStats> = running.iter().filter_map(|id| self.container_stats(now, id)).collect();
        let up = now.since(self.config.boot).as_micros().max(0) as u64;
        let cpu_nanos_total = up * SYSTEM_MILLI + self.ended_cpu + containers.iter().map(|c| c.cpu_nanos_total).sum::<u64>();
        let node = NodeStats { cpu_nanos_total, ..self.with_disk(self.node_memory()) };
        cri::Response::Stats { node, containers, volumes: self.volume_stats() }
    }

    fn container_stats(&mut self, now: Time, id: &Id) -> Option<ContainerStats> {
        let cpu_nanos_total = self.cpu_nanos(now, id);
        let container = self.containers.get(id)?;
        let pod = &self.sandboxes.get(&container.sandbox)?.config;
        Some(ContainerStats {
            pod_uid: pod.pod_uid.clone(),
            pod_namespace: pod.pod_namespace.clone(),
            pod_name: pod.pod_name.clone(),
            container: container.config.name.clone(),
            started_at: container.started_at?,
            cpu_nanos_total,
            memory_working_set_bytes: container.held_memory,
            rootfs_used_bytes: self.layer_bytes(id, container),
            logs_used_bytes: container.log_bytes,
            processes: self.machines.get(id).map_or(1, |m| m.process_count() as u64),
        })
    }

    fn cpu_nanos(&mut self, now: Time, id: &Id) -> u64 {
        let Some(container) = self.containers.get(id) else { return 0 };
        let started = container.started_at.unwrap_or(now);
        if let Start::Component(program) = &container.image.start {
            return now.since(started).max(Duration::ZERO).as_micros() as u64 * nominal(program).0;
        }
        let (limit, mut meter) = (rate(container.config.cpu_limit_milli), container.cpu);
        let steps = self.machines.get(id).map_or(0, |m| m.used_steps());
        meter.read_at = meter.read_at.max(started);
        let total = meter.read(now, steps, limit);
        self.change(id, |c| c.cpu = meter);
        total
    }

    /// A container has ended: the machine's CPU time keeps what it used.
    pub(crate) fn settle_stats(&mut self, now: Time, id: &Id, out: &mut Outbox) {
        self.ended_cpu += self.cpu_nanos(now, id);
        self.weigh(now, id, out);
    }

    /// A container may hold more or less memory than before.
    pub(crate) fn weigh(&mut self, now: Time, id: &Id, out: &mut Outbox) {
        let Some(container) = self.containers.get(id) else { return };
        let held = if container.is_running() { self.working_set(id, container) } else { 0 };
        let before = container.held_memory;
        if held == before {
            return;
        }
        let notice = self.is_low();
        self.held_memory = self.held_memory - before + held;
        self.change(id, |c| c.held_memory = held);
        if held < before {
            return;
        }
        self.kill_for_memory(now, out);
        if self.is_low() && !notice {
            self.event(cri::Event::MemoryLow, out);
        }
    }

    /// A kubelet that has just started learns what one before it was told.
    pub(crate) fn repeat_memory_notice(&self, out: &mut Outbox) {
        if self.is_low() {
            self.event(cri::Event::MemoryLow, out);
        }
    }

    fn is_low(&self) -> bool {
        self.node_memory().memory_available_bytes() < self.memory_notice
    }

    fn working_set(&self, id: &Id, container: &Container) -> u64 {
        match (&container.image.start, self.machines.get(id)) {
            (Start::Component(program), _) => nominal(program).1,
            (Start::Command, Some(machine)) => machine.memory_bytes().saturating_add(machine.tmpfs_bytes(&self.volumes)),
            (Start::Command, None) => 0,
        }
    }

    /// While the machine's memory doesn't suffice: ends the biggest process of the container with the highest score.
    fn kill_for_memory(&mut self, now: Time, out: &mut Outbox) {
        loop {
            let node = self.node_memory();
            if node.memory_working_set_bytes <= node.memory_capacity_bytes {
                return;
            }
            let score = |c: &Container| {
                (c.held_memory as i128 * 1000 / node.memory_capacity_bytes.max(1) as i128) + c.config.oom_score_adj as i128
            };
            let killable = self.containers.iter().filter(|(_, c)| c.is_running() && !c.is_component() && c.held_memory > 0);
            let victim = killable.max_by_key(|(_, c)| (score(c), c.held_memory)).map(|(id, _)| id.clone());
            let Some(id) = victim else { return };
            let Some(machine) = self.machines.get_mut(&id) else { return };
            let Some(pid) = std::rc::Rc::make_mut(machine).kill_biggest() else { return };
            let process = machine.processes().find(|p| p.pid == pid).map(|p| p.comm).unwrap_or_else(|| "".into());
            self.event(cri::Event::SystemOom { process, pid }, out);
            let before = self.held_memory;
            self.feed(now, &id, MachineInput::Timer, out);
            if self.held_memory >= before {
                return; // what was killed has not run to its end: the next step of the machine does it
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_paid_out_at_the_containers_rate() {
        let at = |seconds| Time::EPOCH + Duration::from_secs(seconds);
        let second = 1_000_000_000;
        let mut meter = CpuMeter::default();
        // A busy loop: the burst of ten seconds' worth of steps shows as one whole core, and goes on showing until it is paid.
        assert_eq!(meter.read(at(1), 200_000, 1000), second);
        assert_eq!(meter.read(at(5), 200_000, 1000), 5 * second);
        assert_eq!(meter.read(at(60), 200_000, 1000), 10 * second, "no more than what has run");
        // Half a core at most.
        let mut meter = CpuMeter::default();
        assert_eq!(meter.read(at(2), 200_000, 500), second);
        // An idle container uses nothing.
        assert_eq!(CpuMeter::default().read(at(100), 0, 1000), 0);
    }

    #[test]
    fn a_limit_makes_the_bucket_smaller() {
        assert_eq!(cpu_bucket(0).per_second, Cpu::default().per_second);
        assert_eq!(cpu_bucket(250).per_second, Cpu::default().per_second / 4);
        assert_eq!(cpu_bucket(8000).per_second, Cpu::default().per_second);
        assert_eq!(cpu_bucket(1).per_second, Cpu::default().per_second / 1000);
    }
}
