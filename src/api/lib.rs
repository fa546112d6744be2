//! What upstream keeps in `k8s.io/api` and `pkg/apis`, `pkg/registry`, `pkg/printers`: the built-in kinds.
//!
//! A kind is data plus a strategy. The data is the schema (see apimachinery) and one registry line ([`Kind`]); the strategy is a
//! small file of rules under `<group>/<kind>.rs`: defaulting, validation, status, what an update may change, printer columns. Kinds
//! without rules of their own take the generic path by their registry line alone.
//!
//! Everything here is a pure function of the objects handed in. Uniqueness, allocation (cluster IPs, node ports) and admission
//! belong to kube-apiserver.

pub mod admission;
pub mod apps;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
mod check;
pub mod cluster_kinds;
pub mod core;
mod edit;
mod gotypes;
mod meta;
pub mod networking;
mod printers;
pub mod rbac;
mod registry;
pub mod resource;
mod rules;
pub mod small;
pub mod storage;
mod strategy;

pub use edit::{Edit, edit};
pub use meta::{validate as validate_object_meta, validate_update as validate_object_meta_update};
pub use printers::{Column, human_duration};
pub use registry::{kinds, strategy};
pub use strategy::{Kind, NameRule, ScalePaths, Strategy};
