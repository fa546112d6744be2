//! The core group: pods and what they use.

pub mod config;
pub mod endpoints;
pub mod event;
pub mod namespace;
pub mod node;
pub mod persistent;
pub mod pod;
pub mod quota;
pub mod service;
