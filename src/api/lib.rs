//! What upstream keeps in `k8s.io/api` and `pkg/apis`, `pkg/registry`, `pkg/printers`: the built-in kinds.
//!
//! A kind is data plus a strategy. The data is the schema (see apimachinery) and one registry line ([`Kind`]); the strategy is a
//! small file of rules under `<group>/<kind>.rs`: defaulting, validation, status, what an update may change, printer columns. Kinds
//! without rules of their own take the generic path by their registry line alone.
//!
//! Everything here is a pure function of the objects handed in. Uniqueness, allocation (cluster IPs, node ports) and admission
//! belong to kube-apiserver. Kinds that a CustomResourceDefinition brings are in [`custom`]: their strategy is made from its schema.

pub mod admissionregistration;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
mod check;
pub mod coordination;
pub mod core;
pub mod custom;
mod edit;
pub mod flowcontrol;
mod gotypes;
mod meta;
pub mod networking;
pub mod node;
pub mod policy;
mod printers;
pub mod rbac;
mod registry;
pub mod resource;
mod rules;
pub mod scheduling;
pub mod storage;
pub mod storagemigration;
mod strategy;

pub use edit::{Edit, edit};
pub use meta::{validate as validate_object_meta, validate_update as validate_object_meta_update};
pub use printers::{Column, human_duration};
pub use registry::{kinds, strategy};
pub use strategy::{Kind, NameRule, Scale, ScalePaths, Strategy};
