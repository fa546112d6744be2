//! Puts a cluster together: configuration, processes, the nodes' network, kubeadm's part, the user's laptop, the table of images.
//!
//! [`Cluster`] is the value that everything is about; [`Bottle`] holds one together with its past (trace, snapshots, logged
//! inputs, branches) and is what the worker, the native server and the tests drive.

pub mod addons;
pub mod aside;
mod backup;
mod balancer;
mod boot;
mod bottle;
mod client;
mod cloud;
mod cluster;
mod components;
pub mod config;
mod connections;
mod control_planes;
mod etcd;
mod flags;
mod images;
mod journald;
mod kubeadm;
mod kubeadm_files;
mod kubelet_config;
mod laptop;
mod logs;
mod metrics;
mod pack;
mod process;
mod programs;
mod replay;
mod save;
mod steer;
mod systemd;
mod trace;
mod world_calls;

pub use ::etcd::Member;
pub use ::etcd::store::{EntrySeen, NodeSeen};
pub use backup::Backup;
pub use bottle::{Bottle, Branch, Input, LoggedInput};
pub use client_go::{QueueItem, QueueView};
pub use cloud::Cloud;
pub use cloud_controller_manager::{Machine as CloudMachine, State as CloudMachineState};
pub use cluster::{Cluster, Node, Observer};
pub use config::{Config, NodeConfig};
pub use kube_apiserver::{Culprit, LevelSeen, Reason as RefusalReason, Refusal};
pub use kube_controller_manager::{ControllerView, Fate, LoopView, PlanNote};
pub use kube_scheduler::{CycleView, QueueCounts};
pub use laptop::administrator;
pub use process::{Proc, Process};
pub use replay::Replay;
pub use save::{MAX_BYTES, Moment, NoMoment, Recipe};
pub use trace::{Record, Trace, is_heartbeat};

/// The cells of an object's row as kube-apiserver prints it.
pub fn printed_row(gvr: apimachinery::Gvr, object: &apimachinery::Object, now: base::Time) -> Vec<apimachinery::Value> {
    api::strategy(gvr).map(|s| s.row(object, now)).unwrap_or_default()
}
