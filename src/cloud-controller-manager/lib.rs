//! cloud-controller-manager: what Kubernetes does about a cloud, apart from the rest so that each cloud can have its own.
//!
//! Four controllers: nodes get what the cloud knows of their machines and lose the taint that they wait with (`node.rs`); nodes whose
//! machine is gone are deleted (`node_lifecycle.rs`); Services of type LoadBalancer get one (`service.rs`); each node's pod range gets
//! a route (`route.rs`). Models `k8s.io/cloud-provider`. The cloud itself is a process outside of the cluster, reached by requests
//! (`cloud.rs`); here as there the controllers find their desired state in the API and act on the world outside.
//!
//! Left out by name: node IPAM by the cloud, volumes' zones, `--use-service-account-credentials`, UDP load balancers.

mod cloud;
mod framework;
mod manager;
mod node;
mod node_lifecycle;
mod route;
mod service;
#[cfg(test)]
mod tests;

pub use cloud::{Machine, State};
pub use framework::PlanNote;
pub use manager::{CloudControllerManager, Config, ControllerView};
