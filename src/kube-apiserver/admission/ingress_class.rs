//! DefaultIngressClass: an Ingress that names no class gets the default one.

use apimachinery::status::Status;
use apimachinery::{Gvr, Object, resources};

use super::{Attributes, Plugin};
use crate::server::ApiServer;

pub struct DefaultIngressClass;

impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }
    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !a.creates(resources::ingresses())
            || a.object.at(&["spec", "ingressClassName"]).is_some()
            || a.object.annotation("kubernetes.io/ingress.class").is_some()
        {
            return Ok(());
        }
        let classes = Gvr::new("networking.k8s.io", "v1", "ingressclasses");
        let newest = |c: &&Object| (c.creation_timestamp(), std::cmp::Reverse(c.name().to_string()));
        let default =
            server.all(classes, "").filter(|c| c.annotation("ingressclass.kubernetes.io/is-default-class") == Some("true"));
        if let Some(name) = default.max_by_key(newest).map(|c| c.name().to_string()) {
            a.object.set_at(&["spec", "ingressClassName"], name);
        }
        Ok(())
    }
}
