//! The native server: HTTPS on loopback over a cluster, so that real kubectl, curl and client libraries talk to it.
//!
//! The cluster lives on one thread of its own ([`machine`]) and knows nothing of sockets or wall time; connections are tasks
//! that hand it requests and get back answers, watch events and frames through channels. A [`pacer`] turns wall time into
//! virtual time. [`labs`] is `kubottle lab`. Left out, by name: answers in protobuf (406), HTTP/2, SPDY and port-forward over websockets (501).
#![cfg(not(target_arch = "wasm32"))]

mod der;
mod encode;
mod http;
pub mod labs;
mod machine;
mod pacer;
mod protobuf;
mod serve;
mod tls;
mod websocket;

pub use pacer::Speed;
pub use serve::{Options, serve};
