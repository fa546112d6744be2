//! Puts a cluster together: configuration, processes, the nodes' network, kubeadm's part, the user's laptop, the table of images.
//!
//! [`Cluster`] is the value that everything is about; [`Bottle`] holds one together with its past (trace, snapshots, logged
//! inputs, branches) and is what the worker, the native server and the tests drive.

mod boot;
mod bottle;
mod client;
mod cluster;
pub mod config;
mod etcd;
mod images;
mod kubeadm;
mod laptop;
mod process;
mod programs;
mod save;
mod trace;

pub use bottle::{Bottle, Branch, Input, LoggedInput};
pub use cluster::{Cluster, Node, Observer};
pub use config::{Config, NodeConfig};
pub use kube_controller_manager::ControllerView;
pub use laptop::administrator;
pub use process::{Proc, Process};
pub use save::saved_origin;
pub use trace::{Record, Trace, is_heartbeat};

/// The cells of an object's row as kube-apiserver prints it.
pub fn printed_row(gvr: apimachinery::Gvr, object: &apimachinery::Object, now: base::Time) -> Vec<apimachinery::Value> {
    api::strategy(gvr).map(|s| s.row(object, now)).unwrap_or_default()
}
