//! From what was observed to a picture: each lens is a pure function from [`Observed`] (or [`Flow`]) and a viewport to a scene.
//!
//! A lens decides places and words, never colours or strokes (the page's renderer does) and never what is true (the session
//! observed it). Ids name things, so that a thing keeps its identity when the lens changes.

mod architecture;
mod cloud;
mod compact;
mod components;
mod control_plane;
mod flow;
mod ghosts;
mod grammar;
mod heat;
mod observed;
mod service;
#[cfg(test)]
mod tests;
mod words;

pub use architecture::architecture;
pub use components::components;
pub use control_plane::control_plane;
pub use flow::pod_creation;
pub use ghosts::ring;
pub use heat::row_id;
pub use observed::*;
pub use service::service_network;

use protocol::{Scene, View};

/// The Architecture lens for any viewport.
pub fn draw_architecture(seen: &Observed, view: &View) -> Scene {
    if view.compact { compact::architecture(seen, view) } else { architecture(seen, view) }
}
