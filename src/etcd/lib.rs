//! etcd: the store behind kube-apiserver. Every change gets the next revision; old revisions can be read and watched until
//! they are compacted.
//!
//! A cluster runs one or more members that agree by Raft ([`raft`], a value by itself); a member ([`Member`]) speaks messages
//! with its clients and with the other members. Its data directory ([`DataDir`]) survives a restart and a loss of power, watches
//! do not. Left out: authentication, users and roles, nested transactions, lease checkpoints, downgrades.
//! Read next: [`store`](mod@store) for the keys and the log, `member` for who is told what, `consensus` for the others.

mod apply;
pub mod backup;
mod client;
pub mod config;
mod consensus;
mod content;
mod data_dir;
mod gateway;
mod lease;
mod member;
mod notify;
pub mod raft;
mod serve;
pub mod store;
mod watch;

#[cfg(test)]
mod tests;

pub use config::MemberConfig;
pub use data_dir::{DataDir, Node, State};
pub use member::{Change, Member, RESPONSE_DELAY};
pub use store::Store;
