//! Persistent collections: `Clone` is O(1), an update copies one path. Ordered, so that iteration is deterministic.
//!
//! They are our own because of what they cost in wasm: a cluster holds some two hundred kinds of maps, and a library's general B+
//! tree, compiled for each, made a third of the worker. These do less (no splitting, no set algebra) in a tenth of the code.

mod map;
mod set;
mod vector;

pub use map::{Map, Parts, Text, TextMap, TreeNode};
pub use set::{Set, TextSet};
pub use vector::Vector;
