//! kube-controller-manager: the controllers that make the cluster become what its objects say.
//!
//! One process: it elects its leader by a lease, follows every resource by one shared informer each, and runs the controllers of
//! [`registry`], one file each. A controller is [`framework::Controller`]: it queues keys when caches change and turns a key into a
//! plan of calls. Not in the bottle, by name: see [`registry::NOT_IN_THE_BOTTLE`].

mod account;
mod affinity;
mod any;
mod config;
pub mod framework;
mod manager;
mod mirroring;
mod observe;
mod quota;
mod refs;
pub mod registry;
pub mod resources;
mod runner;
pub mod template_hash;

mod clusterrole_aggregation;
mod cronjob;
mod csr_approving;
mod csr_signing;
mod custom;
mod daemonset;
mod deployment;
mod disruption;
mod endpoints;
mod garbage;
mod history;
mod hpa;
mod job;
mod namespace;
mod node_ipam;
mod node_lifecycle;
mod pod_gc;
mod replicaset;
mod root_ca;
mod service_cidr;
mod serviceaccount;
mod statefulset;
mod taint_eviction;
mod tally;
mod token_secrets;
mod ttl;
mod ttl_after_finished;
mod volumes;

pub use config::Config;
pub use manager::KubeControllerManager;
pub use observe::{ControllerView, Counts, Fate, LoopView, PlanNote, RunningView};
