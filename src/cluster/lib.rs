//! Puts a cluster together: configuration, processes, the nodes' network, kubeadm's part, the user's laptop, the table of images.
//!
//! [`Cluster`] is the value that everything is about; [`Bottle`] holds one together with its past (trace, snapshots, logged
//! inputs, branches) and is what the worker, the native server and the tests drive.

mod boot;
mod bottle;
mod cluster;
pub mod config;
mod images;
mod kubeadm;
mod laptop;
mod process;
mod programs;
mod trace;

pub use bottle::{Bottle, Branch, Input, LoggedInput};
pub use cluster::{Cluster, Node, Observer};
pub use config::{Config, NodeConfig};
pub use process::{Proc, Process};
pub use trace::{Record, Trace, is_heartbeat};
