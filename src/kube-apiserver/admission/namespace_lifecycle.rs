//! NamespaceLifecycle: nothing is created in a namespace that isn't there or is being deleted; three namespaces stay for ever.

use apimachinery::status::Status;
use apimachinery::{Verb, resources, value};

use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct NamespaceLifecycle;

/// Reviews ask questions; they may be asked about any namespace.
fn is_review(a: &Attributes) -> bool {
    a.gvr.group == "authorization.k8s.io" && a.gvr.resource == "localsubjectaccessreviews"
}

impl NamespaceLifecycle {
    fn check(&self, server: &ApiServer, a: &Attributes) -> Result<(), Status> {
        if a.gvr == resources::namespaces() {
            let immortal = matches!(&*a.name, "default" | "kube-system" | "kube-public");
            return match a.verb == Verb::Delete && immortal {
                true => Err(a.forbidden("this namespace may not be deleted")),
                false => Ok(()),
            };
        }
        if a.verb != Verb::Create || a.namespace.is_empty() || is_review(a) {
            return Ok(());
        }
        let Some(namespace) = server.peek(resources::namespaces(), "", &a.namespace) else {
            return Err(Status::not_found(resources::namespaces(), &a.namespace));
        };
        if namespace.str_at(&["status", "phase"]) != Some("Terminating") || !a.subresource.is_empty() {
            return Ok(());
        }
        let why = format!("unable to create new content in namespace {} because it is being terminated", a.namespace);
        let mut status = Status::forbidden(a.gvr, a.object.name(), &why);
        let message = format!("namespace {} is being terminated", a.namespace);
        status
            .details
            .set_at(&["causes"], value!([{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]));
        Err(status)
    }
}

impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }
    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        self.check(server, a)
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        if a.verb == Verb::Delete { self.check(server, a) } else { Ok(()) }
    }
}
