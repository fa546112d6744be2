//! What upstream keeps in `k8s.io/apimachinery`: the object tree, names of kinds and resources, requests and answers,
//! selectors, quantities, errors, patches, managed fields, schema.
//!
//! One representation from the wire to the screen: [`Object`], an immutable tree with shared subtrees.

pub mod body;
pub mod field;
pub mod fields;
mod gvr;
pub mod json;
pub mod jwt;
pub mod labels;
pub mod managed_fields;
mod object;
pub mod patch;
pub mod quantity;
mod request;
pub mod schema;
pub mod status;
pub mod validation;
mod value;
pub mod yaml;

pub use gvr::{Gvk, Gvr, resources};
pub use object::{Object, ObjectKey};
pub use quantity::Quantity;
pub use request::{
    Body, Credential, List, Options, PatchType, Request, Response, ResponseBody, UserInfo, Verb, WatchEvent, WatchEventType,
};
pub use value::{Fields, Key, Value, key};
