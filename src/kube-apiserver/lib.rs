//! kube-apiserver: the only door to the cluster's state. Everything else is its client; it alone speaks to etcd.
//!
//! A request takes upstream's stages: authentication → flow control → authorization → decoding and defaulting → mutating admission → validation
//! → validating admission → a transaction in etcd → the answer; etcd's watch then feeds the watch cache, and that the clients'
//! watches. One generic path serves all kinds; what a kind is comes from `apimachinery::schema` and `api::Strategy`.
//!
//! Left out, and said so by name where asked for: webhooks, rules and admission policies in CEL, protobuf, audit.
//! Read next: `server` (who sends what), `registry` (the verbs), `cache` and `watchers` (lists and watches).

mod admission;
mod aggregated;
mod aggregator;
mod alloc;
mod authn;
mod authz;
mod boot;
mod cache;
mod call;
mod codec;
mod config;
mod convert;
mod custom;
mod discovery;
mod endpoints;
mod etcd_client;
mod fields;
mod flowcontrol;
mod handling;
mod master_leases;
mod memo;
mod metrics;
mod observe;
mod openapi;
mod options;
mod paths;
mod proxy;
mod registry;
mod reviews;
mod routing;
mod scheme;
mod select;
mod server;
mod stages;
mod token;
mod view;
mod watchers;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use flowcontrol::{Culprit, LevelSeen, Reason, Refusal};
pub use routing::{Header, parse};
pub use server::ApiServer;
pub use stages::Stages;
