//! The plugins of the default profile, in the order in which they run: one file and one line here each.

use crate::framework::Plugin;

mod default_preemption;
mod image_locality;
pub mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
mod node_volume_limits;
pub mod pod_topology_spread;
mod scheduling_gates;
mod taint_toleration;
mod volume_binding;
mod volume_restrictions;

pub use default_preemption::{Preemption, Victims, preempt};
pub use node_affinity::{matches as matches_node_affinity, matches_terms};
pub use scheduling_gates::is_gated;
pub use taint_toleration::{tolerates, untolerated};
pub use volume_restrictions::{claims_of, is_ephemeral};

/// Filter and score plugins. (PrioritySort is the queue's order, SchedulingGates its door, DefaultPreemption runs when nothing fits,
/// DefaultBinder writes the binding.)
pub static PLUGINS: &[&(dyn Plugin + Sync)] = &[
    &node_name::NodeName,
    &node_unschedulable::NodeUnschedulable,
    &taint_toleration::TaintToleration,
    &node_affinity::NodeAffinity,
    &node_ports::NodePorts,
    &node_resources_fit::NodeResourcesFit,
    &node_resources_balanced_allocation::NodeResourcesBalancedAllocation,
    &image_locality::ImageLocality,
    &volume_restrictions::VolumeRestrictions,
    &node_volume_limits::NodeVolumeLimits,
    &volume_binding::VolumeBinding,
    &pod_topology_spread::PodTopologySpread,
    &inter_pod_affinity::InterPodAffinity,
];

/// Where the plugin of a name is in [`PLUGINS`].
pub fn index_of(name: &str) -> Option<usize> {
    PLUGINS.iter().position(|p| p.name() == name)
}
