//! The server with its etcd, driven by the simulation's queue.

mod bench;
mod custom;
mod fields;
mod flows;
pub(crate) mod pump;
mod replay;
mod stale;
mod wire;
