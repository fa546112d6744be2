//! Foundations under every component: virtual time, pure-hash randomness, an interner and persistent collections.
//!
//! Nothing here knows Kubernetes. The rules that the rest of the house relies on: time is an argument, randomness is a
//! function of (seed, component, purpose, counter), and everything that grows is a persistent collection, so that cloning a
//! cluster costs no more than a few hundred reference counts.

mod collections;
mod hash;
mod rand;
mod sort;
mod sym;
mod time;

pub use collections::{Map, Parts, Set, Text, TextMap, TextSet, TreeNode, Vector};
pub use hash::{Digest, Lookup, LookupHasher, hash64, mix64};
pub use rand::{SAFE_ALPHANUMS, Seed};
pub use sort::Sort;
pub use sym::Sym;
pub use time::{Duration, Time};
