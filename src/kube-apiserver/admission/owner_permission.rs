//! OwnerReferencesPermissionEnforcement: who sets an owner must be allowed to delete the object. Off by default.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Verb, key};

use super::{Attributes, Extra, Plugin};
use crate::authz;
use crate::server::ApiServer;

pub struct OwnerReferencesPermissionEnforcement;

impl Plugin for OwnerReferencesPermissionEnforcement {
    fn name(&self) -> &'static str {
        "OwnerReferencesPermissionEnforcement"
    }
    fn on_by_default(&self) -> bool {
        false
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        let before = a.old.as_ref().map_or(&[][..], |o| o.owner_references());
        if a.verb == Verb::Delete || a.object.owner_references() == before {
            return Ok(());
        }
        let attributes = authz::Attributes {
            user: a.user.clone(),
            verb: key("delete"),
            group: a.gvr.group.text(),
            resource: a.gvr.resource,
            subresource: Default::default(),
            version: a.gvr.version,
            namespace: a.namespace.clone(),
            name: a.name.clone(),
            path: Rc::from(""),
            node_selector: None,
        };
        match server.decide(&attributes) {
            authz::Decision::Allow(_) => Ok(()),
            authz::Decision::NoOpinion(reason) => {
                Err(a.forbidden(format!("cannot set an ownerRef on a resource you can't delete: {reason}, <nil>")))
            }
        }
    }
}
