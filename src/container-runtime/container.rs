//! Sandboxes and containers. Models containerd's CRI plugin with runc under it: what both are and say of themselves is here, their
//! lives are in [`sandbox`], [`start`] and [`stop`].

mod etc;
mod sandbox;
mod start;
mod stop;

use std::net::IpAddr;
use std::rc::Rc;

use base::{Time, Vector};
use cri_api::StreamId;
use cri_api::cri::{self, ContainerConfig, ContainerState, Id, PodSandboxConfig};
use sim::Addr;

use crate::image::{Image, Start};
use crate::logs::LogLine;
use crate::{Runtime, Text};

/// Standard output and error of a container's first process.
pub(crate) const STDOUT: StreamId = StreamId(1);
pub(crate) const STDERR: StreamId = StreamId(2);
pub(crate) const STDIN: StreamId = StreamId(3);

/// A pod sandbox: the network namespace and the name that its containers share.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub config: Rc<PodSandboxConfig>,
    pub ready: bool,
    pub created_at: Time,
    pub ips: Vec<IpAddr>,
}

/// A container.
#[derive(Clone)]
pub struct Container {
    pub sandbox: Id,
    pub config: Rc<ContainerConfig>,
    pub image: Rc<Image>,
    pub state: ContainerState,
    pub created_at: Time,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub exit_code: i32,
    pub reason: Text,
    pub message: Text,
    /// Process 1 of its machine.
    pub(crate) pid: u32,
    pub(crate) tty: Option<cri_api::machine::TtyId>,
    /// Where its component runs, if it is one.
    pub component: Option<Addr>,
    pub(crate) log: Vector<LogLine>,
    /// An unfinished line per stream.
    pub(crate) partial: [Rc<Vec<u8>>; 2],
    /// Stop requests to answer when it is dead.
    pub(crate) stopping: Vec<(Addr, u64)>,
    pub(crate) oom: bool,
    pub(crate) cpu: crate::stats::CpuMeter,
    /// Bytes of memory, as they are counted for the machine.
    pub(crate) held_memory: u64,
    /// Bytes of the disk that it can be held for: its layer, its log, and the volumes it may write to.
    pub(crate) held_disk: u64,
    /// Its processes, if the node's are counted.
    pub(crate) held_processes: u32,
    pub(crate) log_bytes: u64,
}

impl Container {
    pub fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }
    pub fn is_component(&self) -> bool {
        matches!(self.image.start, Start::Component(_))
    }
}

impl Runtime {
    pub(crate) fn update_resources(&mut self, id: &Id, memory_limit: i64, cpu_limit_milli: i64) -> cri::Response {
        self.change(id, |c| {
            let config = Rc::make_mut(&mut c.config);
            (config.memory_limit, config.cpu_limit_milli) = (memory_limit, cpu_limit_milli);
        });
        if let Some(machine) = self.machines.get_mut(id) {
            let machine = Rc::make_mut(machine);
            let config = Rc::make_mut(&mut machine.config);
            config.memory_limit = (memory_limit > 0).then_some(memory_limit as u64);
            config.cpu = crate::stats::cpu_bucket(cpu_limit_milli);
        }
        cri::Response::Done
    }

    pub(crate) fn status(&self, id: &Id) -> Option<cri::ContainerStatus> {
        let c = self.containers.get(id)?;
        let (image, image_ref) = self.image_ref(&c.config.image);
        Some(cri::ContainerStatus {
            id: id.clone(),
            sandbox: c.sandbox.clone(),
            name: c.config.name.clone(),
            attempt: c.config.attempt,
            image,
            image_ref,
            state: c.state,
            created_at: c.created_at,
            started_at: c.started_at,
            finished_at: c.finished_at,
            exit_code: c.exit_code,
            reason: c.reason.clone(),
            message: c.message.clone(),
        })
    }

    pub(crate) fn list_pods(&self) -> cri::Response {
        let pods = self.sandboxes.iter().map(|(id, sandbox)| cri::PodStatus {
            sandbox: id.clone(),
            config: sandbox.config.clone(),
            ready: sandbox.ready,
            created_at: sandbox.created_at,
            ips: sandbox.ips.clone(),
            containers: self.containers.iter().filter(|(_, c)| c.sandbox == *id).filter_map(|(i, _)| self.status(i)).collect(),
        });
        cri::Response::Pods(pods.collect())
    }

    pub(crate) fn change(&mut self, id: &Id, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.containers.get_mut(id) {
            change(Rc::make_mut(container));
        }
    }
}
