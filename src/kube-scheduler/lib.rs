//! kube-scheduler: decides on which node each pod runs, and writes it down as a binding. It starts nothing itself.
//!
//! A cycle takes the first pod of the queue, asks the plugins which nodes can take it (Filter), which of some feasible ones is best
//! (Score), counts it there at once (assume) and posts the binding; the kubelet of that node sees it by its watch. What doesn't fit
//! waits until an event comes that a plugin says may help. Read [`schedule_one`] for the algorithm, `plugins/` for the rules.
//!
//! Left out by name: DynamicResources, VolumeRestrictions, extenders, several profiles, pod groups, Permit's waiting, in-place resize.

mod cache;
mod diagnosis;
mod events;
mod framework;
mod memo;
mod node_info;
mod observe;
mod owners;
mod plugins;
mod pod_info;
mod pre_bind;
mod queue;
mod resource;
mod schedule_one;
mod scheduler;
mod selectors;
#[cfg(test)]
mod tests;
mod volumes;

pub use diagnosis::Diagnosis;
pub use framework::Reject;
pub use observe::{CycleView, QueueCounts, QueueView, Why};
pub use scheduler::{Config, Scheduler};
