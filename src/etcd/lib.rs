//! etcd: the store behind kube-apiserver. Every change gets the next revision; old revisions can be read and watched until
//! they are compacted.
//!
//! A real cluster runs one or more members that agree by Raft. Here is one member, which speaks messages with its clients, so
//! that others and Raft can come between without kube-apiserver noticing. The data directory survives a restart (it is this
//! value), watches do not. Left out: Raft, authentication, learners, snapshots as files, nested transactions.
//! Read next: [`store`](mod@store) for the keys and the log, `member` for who is told what and when.

mod content;
mod gateway;
mod lease;
mod member;
pub mod raft;
pub mod store;
mod watch;

#[cfg(test)]
mod tests;

pub use member::{Change, Member, RESPONSE_DELAY};
pub use store::Store;
