//! The kubelet: makes the pods that are bound to its node run, and says so. It talks to kube-apiserver by client-go and to its
//! node's container runtime by CRI messages; it needs neither to keep what runs running.
//!
//! Each pod has a worker, a small state machine: sync (make it so), terminating, terminated. A sync writes the pod's status, mounts
//! volumes, and then takes one step after another (sandbox, images, init containers, containers), each answered by the runtime.
//! Read [`kubelet`] for the flow of messages, `pod_worker` for the life of a pod, `node` for registration and heartbeat.
//!
//! Left out by name: in-place resize, device plugins and DRA, user namespaces, image garbage collection,
//! credential providers, checkpoints, swap, pod certificates.

mod admission;
mod authorization;
mod backoff;
mod bootstrap;
mod claims;
mod config;
mod container_config;
pub mod der;
mod downward;
mod events;
mod eviction;
mod expansion;
mod hollow;
mod hooks;
pub mod journal;
mod kubelet;
mod metrics;
mod node;
mod node_object;
mod pod;
mod pod_worker;
mod prober;
mod references;
mod runtime_health;
mod sandbox;
mod server;
mod start;
mod static_pods;
mod status;
mod status_manager;
mod terminate;
#[cfg(test)]
mod tests;
mod volumes;
mod wheel;

pub use config::Config;
pub use eviction::{Amount, Signal, Threshold};
pub use kubelet::{Kubelet, WorkerView};
