//! The core group: pods and what they use.

pub mod pod;
pub mod service;
