//! What the bottle stores and does not call or enforce: webhooks and admission policies. Their creator is told.

use apimachinery::Verb;
use apimachinery::status::Status;

use super::{Attributes, Plugin};
use crate::server::ApiServer;

pub struct NotEnforced;

impl Plugin for NotEnforced {
    fn name(&self) -> &'static str {
        "NotEnforced"
    }
    fn admit(&self, _server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !matches!(a.verb, Verb::Create | Verb::Update) {
            return Ok(());
        }
        let group = &*a.gvr.group.text();
        let why = match group {
            "admissionregistration.k8s.io" => "is stored but not enforced",
            "apiextensions.k8s.io" => "is stored but its custom resources are not served",
            "apiregistration.k8s.io" if a.object.at(&["spec", "service"]).is_some() => {
                "is stored but its aggregated server is not called"
            }
            _ => return Ok(()),
        };
        a.warnings.push(format!("{} {why} in this bottle", a.kind.kind));
        Ok(())
    }
}
